// SPDX-License-Identifier: MIT
// Numbers of block types, 4 million each: `copy_to(into, stet::dequantize)` beside ggml's own routines; and quantizing.
#include <stet/formats/gguf/dequantize.hpp>
#include <stet/formats/gguf/quantize.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include "support/contest.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#if STET_PEER_GGML
extern "C" {
#define STET_PEER_ROUTINE(name) void dequantize_row_##name(const void* blocks, float* into, std::int64_t count);
STET_PEER_ROUTINE(q4_0)
STET_PEER_ROUTINE(q4_1)
STET_PEER_ROUTINE(q5_0)
STET_PEER_ROUTINE(q5_1)
STET_PEER_ROUTINE(q8_0)
STET_PEER_ROUTINE(q2_K)
STET_PEER_ROUTINE(q3_K)
STET_PEER_ROUTINE(q4_K)
STET_PEER_ROUTINE(q5_K)
STET_PEER_ROUTINE(q6_K)
STET_PEER_ROUTINE(iq4_nl)
STET_PEER_ROUTINE(iq4_xs)
STET_PEER_ROUTINE(tq1_0)
STET_PEER_ROUTINE(tq2_0)
STET_PEER_ROUTINE(mxfp4)
STET_PEER_ROUTINE(nvfp4)
void quantize_row_q8_0_ref(const float* from, void* blocks, std::int64_t count);
void quantize_row_q4_0_ref(const float* from, void* blocks, std::int64_t count);
}
#define STET_PEER(name) dequantize_row_##name
#define STET_PEER_ENCODER(name) quantize_row_##name##_ref
#else
#define STET_PEER(name) nullptr
#define STET_PEER_ENCODER(name) nullptr
#endif

namespace {

constexpr std::size_t element_count = std::size_t{1} << 22;

using peer_decoder = void (*)(const void* blocks, float* into, std::int64_t count);
using peer_encoder = void (*)(const float* from, void* blocks, std::int64_t count);

/// Random blocks: their scales are no infinities and no NaN, which processors may be slow with.
std::vector<std::byte> random_blocks(const stet::block_type& of) {
  std::vector<std::byte> blocks(element_count / of.element_count * of.size_bytes);
  std::uint64_t state = 1;
  for (std::byte& each : blocks) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    each = static_cast<std::byte>(state >> 56 & 0x3B);
  }
  return blocks;
}

void dequantize(benchmark::State& state, std::uint32_t code, [[maybe_unused]] peer_decoder peer) {
  const stet::block_type block = stet::find_ggml_type(code)->block();
  const std::vector<std::byte> blocks = random_blocks(block);
  stet::writer out;
  out.add_bytes("w", {stet::dtype::block, 0, block}, {element_count}, blocks);
  const auto file = out.save_to_memory();
  bench::require(bool(file), "save");
  const auto store = stet::open(*file);
  bench::require(bool(store), "open");
  const stet::tensor tensor = *store->find("w");
  std::vector<float> numbers(element_count), others(element_count);
  bench::contest contest(true);
  contest.add("stet", [&] {
    return bench::seconds_of([&] {
      bench::require(bool(tensor.copy_to(std::span(numbers), stet::dequantize)), "copy_to");
      benchmark::ClobberMemory();
    });
  });
#if STET_PEER_GGML
  contest.add("ggml", [&] {
    return bench::seconds_of([&] {
      peer(blocks.data(), others.data(), static_cast<std::int64_t>(element_count));
      benchmark::ClobberMemory();
    });
  });
#endif
  contest.expect_ratio_at_most("stet", "ggml", 1);
  contest.run(state, static_cast<double>(element_count));
#if STET_PEER_GGML
  bench::require(std::memcmp(numbers.data(), others.data(), numbers.size() * sizeof(float)) == 0, "numbers of ggml");
#endif
}

void quantize(benchmark::State& state, std::uint32_t code, [[maybe_unused]] peer_encoder peer) {
  const stet::block_type block = stet::find_ggml_type(code)->block();
  std::vector<float> numbers(element_count);
  std::uint64_t random = 1;
  for (float& each : numbers) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    each = static_cast<float>(static_cast<std::int64_t>(random) >> 40) * 0x1p-24f;
  }
  std::vector<std::byte> blocks(element_count / block.element_count * block.size_bytes), others(blocks.size());
  bench::contest contest(true);
  contest.add("stet", [&] {
    return bench::seconds_of([&] {
      bench::require(bool(stet::quantize_blocks(block, numbers, blocks)), "quantize_blocks");
      benchmark::ClobberMemory();
    });
  });
#if STET_PEER_GGML
  contest.add("ggml", [&] {
    return bench::seconds_of([&] {
      peer(numbers.data(), others.data(), static_cast<std::int64_t>(element_count));
      benchmark::ClobberMemory();
    });
  });
#endif
  contest.expect_ratio_at_most("stet", "ggml", 1);
  contest.run(state, static_cast<double>(element_count));
#if STET_PEER_GGML
  bench::require(blocks == others, "blocks of ggml");
#endif
}

#define STET_BENCH(kind, code, name, peer)                                                                             \
  BENCHMARK_CAPTURE(kind, name, code, peer)->UseManualTime()->Unit(benchmark::kMillisecond)
STET_BENCH(dequantize, 2, q4_0, STET_PEER(q4_0));
STET_BENCH(dequantize, 3, q4_1, STET_PEER(q4_1));
STET_BENCH(dequantize, 6, q5_0, STET_PEER(q5_0));
STET_BENCH(dequantize, 7, q5_1, STET_PEER(q5_1));
STET_BENCH(dequantize, 8, q8_0, STET_PEER(q8_0));
STET_BENCH(dequantize, 10, q2_k, STET_PEER(q2_K));
STET_BENCH(dequantize, 11, q3_k, STET_PEER(q3_K));
STET_BENCH(dequantize, 12, q4_k, STET_PEER(q4_K));
STET_BENCH(dequantize, 13, q5_k, STET_PEER(q5_K));
STET_BENCH(dequantize, 14, q6_k, STET_PEER(q6_K));
STET_BENCH(dequantize, 20, iq4_nl, STET_PEER(iq4_nl));
STET_BENCH(dequantize, 23, iq4_xs, STET_PEER(iq4_xs));
STET_BENCH(dequantize, 34, tq1_0, STET_PEER(tq1_0));
STET_BENCH(dequantize, 35, tq2_0, STET_PEER(tq2_0));
STET_BENCH(dequantize, 39, mxfp4, STET_PEER(mxfp4));
STET_BENCH(dequantize, 40, nvfp4, STET_PEER(nvfp4));
STET_BENCH(quantize, 2, q4_0, STET_PEER_ENCODER(q4_0));
STET_BENCH(quantize, 8, q8_0, STET_PEER_ENCODER(q8_0));

} // namespace
