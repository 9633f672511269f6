// SPDX-License-Identifier: MIT
// Tensors copied as another dtype, 1 MiB and 64 MiB written or read: `copy_to(into, convert)` and `copy_elements`, beside memcpy. Ratios
// are to memcpy of the bytes written; where fewer bytes are written than read, of the bytes read.
#include <stet/formats/gguf/dequantize.hpp>
#include <stet/formats/gguf/quantize.hpp>
#include <stet/stet.hpp>
#include <stet/store/copy_elements.hpp>
#include <stet/writer.hpp>

#include "support/contest.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

namespace {

constexpr std::size_t small_bytes = std::size_t{1} << 20, large_bytes = std::size_t{64} << 20;

/// Numbers as weights have them: both signs, mostly below 1, none of them NaN or infinite; integers of all sizes.
template <class T> std::vector<T> weights(std::size_t count) {
  std::vector<T> made;
  made.reserve(count);
  std::uint64_t state = 1;
  for (std::size_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    if constexpr (std::is_integral_v<T>) {
      made.push_back(static_cast<T>(state >> 40));
    } else {
      double sum = -2; // of four numbers below 1: nearly a normal distribution
      for (int part = 0; part < 4; ++part) sum += static_cast<double>(state >> (part * 15 + 4) & 0x7fff) * 0x1p-15;
      made.push_back(static_cast<T>(static_cast<float>(std::is_same_v<T, stet::float8_e8m0fnu> ? 2.5 + sum : sum)));
    }
  }
  return made;
}

/// The result of the rule, one element at a time.
template <class To, class From> To converted(From value) {
  if constexpr (std::is_integral_v<To> && !std::is_integral_v<From>) {
    return static_cast<To>(static_cast<std::int32_t>(static_cast<float>(value))); // in range: they are between -2 and 2
  } else {
    return static_cast<To>(value);
  }
}

/// Numbers to be negative for uint8 would saturate: none is.
template <class To, class From> std::vector<From> numbers_for(std::size_t count) {
  std::vector<From> made = weights<From>(count);
  if constexpr (std::is_same_v<To, std::uint8_t>) {
    for (From& each : made) each = static_cast<From>(each < 0 ? -each : each);
  }
  return made;
}

/// Copies a tensor. @param rate  the expected rate, as a part of that of memcpy
template <class To, class From> void convert(benchmark::State& state, std::size_t size_bytes, double rate) {
  const std::size_t count = size_bytes / (std::max)(sizeof(From), sizeof(To));
  const std::vector<From> elements = numbers_for<To, From>(count);
  stet::writer out;
  out.add("w", elements);
  const auto file = out.save_to_memory();
  bench::require(bool(file), "save");
  const auto store = stet::open(*file);
  bench::require(bool(store), "open");
  const stet::tensor tensor = *store->find("w");
  std::vector<To> copied(count), copied_by_dtype(count);
  std::vector<std::byte> from(size_bytes, std::byte{1}), plain(size_bytes);
  bench::contest contest(true);
  contest.add("memcpy", [&] {
    return bench::seconds_of([&] {
      std::memcpy(plain.data(), from.data(), size_bytes);
      benchmark::ClobberMemory();
    });
  });
  contest.add("copy_to", [&] {
    return bench::seconds_of([&] {
      bench::require(bool(tensor.copy_to(std::span(copied), stet::convert)), "copy_to");
      benchmark::ClobberMemory();
    });
  });
  contest.add("copy_elements", [&] {
    return bench::seconds_of([&] {
      const auto bytes = std::as_writable_bytes(std::span(copied_by_dtype));
      bench::require(bool(stet::copy_elements(tensor, stet::dtype_of<To>::value, bytes)), "copy_elements");
      benchmark::ClobberMemory();
    });
  });
  contest.expect_ratio_at_most("copy_to", "memcpy", 1 / rate);
  contest.expect_ratio_at_most("copy_elements", "memcpy", 1 / rate);
  contest.run(state, static_cast<double>(count));
  for (std::size_t i = 0; i < count; ++i) {
    const To expected = converted<To>(elements[i]);
    bench::require(std::memcmp(&copied[i], &expected, sizeof expected) == 0, "elements of copy_to");
    bench::require(std::memcmp(&copied_by_dtype[i], &expected, sizeof expected) == 0, "elements of copy_elements");
  }
}

/// Elements of the other byte order, as a big-endian file has them.
template <class Word> void swap(benchmark::State& state, std::size_t size_bytes, double rate) {
  const std::size_t count = size_bytes / sizeof(Word);
  const std::vector<Word> words = weights<Word>(count);
  std::vector<Word> swapped(count), plain(count);
  const stet::detail::stored_elements stored{reinterpret_cast<const std::byte*>(words.data()),
                                             stet::dtype_of<Word>::value, static_cast<std::uint8_t>(8 * sizeof(Word)),
                                             true};
  bench::contest contest(true);
  contest.add("memcpy", [&] {
    return bench::seconds_of([&] {
      std::memcpy(plain.data(), words.data(), size_bytes);
      benchmark::ClobberMemory();
    });
  });
  contest.add("copy_to", [&] {
    return bench::seconds_of([&] {
      bench::require(stet::detail::copy_elements(stored, std::span(swapped)) == stet::errc{}, "copy_elements");
      benchmark::ClobberMemory();
    });
  });
  contest.expect_ratio_at_most("copy_to", "memcpy", 1 / rate);
  contest.run(state, static_cast<double>(count));
  for (std::size_t i = 0; i < count; ++i) {
    std::byte expected[sizeof(Word)], found[sizeof(Word)];
    std::memcpy(expected, &words[i], sizeof(Word));
    std::memcpy(found, &swapped[i], sizeof(Word));
    std::reverse(expected, expected + sizeof(Word));
    bench::require(std::memcmp(expected, found, sizeof(Word)) == 0, "swapped words");
  }
}

/// Blocks of GGUF to floats.
template <std::uint32_t Code> void dequantize(benchmark::State& state, std::size_t size_bytes, double rate) {
  const stet::block_type block = stet::find_ggml_type(Code)->block();
  const std::size_t count = size_bytes / sizeof(float);
  const std::vector<float> numbers = weights<float>(count);
  std::vector<std::byte> blocks(count / block.element_count * block.size_bytes);
  bench::require(bool(stet::quantize_blocks(block, numbers, blocks)), "quantize_blocks");
  stet::writer out;
  out.add_bytes("w", {stet::dtype::block, 0, block}, {count}, blocks);
  const auto file = out.save_to_memory();
  bench::require(bool(file), "save");
  const auto store = stet::open(*file);
  bench::require(bool(store), "open");
  const stet::tensor tensor = *store->find("w");
  std::vector<float> copied(count), plain(count);
  bench::contest contest(true);
  contest.add("memcpy", [&] {
    return bench::seconds_of([&] {
      std::memcpy(plain.data(), numbers.data(), size_bytes);
      benchmark::ClobberMemory();
    });
  });
  contest.add("copy_to", [&] {
    return bench::seconds_of([&] {
      bench::require(bool(tensor.copy_to(std::span(copied), stet::dequantize)), "copy_to");
      benchmark::ClobberMemory();
    });
  });
  contest.expect_ratio_at_most("copy_to", "memcpy", 1 / rate);
  contest.run(state, static_cast<double>(count));
  for (std::size_t i = 0; i < count; ++i) { // half a step of the codes, and the rounding of the scale
    const float off = copied[i] - numbers[i];
    bench::require(off < 0.26f && off > -0.26f, "numbers of blocks");
  }
}

#define STET_BENCH(name, rate)                                                                                         \
  BENCHMARK_CAPTURE(name, 1_MiB, small_bytes, rate)->UseManualTime()->Unit(benchmark::kMillisecond);                   \
  BENCHMARK_CAPTURE(name, 64_MiB, large_bytes, rate)->UseManualTime()->Unit(benchmark::kMillisecond)
#define STET_BENCH_PAIR(To, From, name, rate)                                                                          \
  constexpr auto name = convert<To, From>;                                                                             \
  STET_BENCH(name, rate)
STET_BENCH_PAIR(float, stet::bfloat16, bfloat16_to_float32, 0.8);
STET_BENCH_PAIR(float, stet::float16, float16_to_float32, 0.8);
STET_BENCH_PAIR(float, stet::float8_e4m3fn, float8_e4m3fn_to_float32, 0.5);
STET_BENCH_PAIR(float, stet::float8_e5m2, float8_e5m2_to_float32, 0.5);
STET_BENCH_PAIR(float, stet::float8_e4m3fnuz, float8_e4m3fnuz_to_float32, 0.5);
STET_BENCH_PAIR(float, stet::float8_e5m2fnuz, float8_e5m2fnuz_to_float32, 0.5);
STET_BENCH_PAIR(float, stet::float8_e4m3b11fnuz, float8_e4m3b11fnuz_to_float32, 0.5);
STET_BENCH_PAIR(float, stet::float8_e8m0fnu, float8_e8m0fnu_to_float32, 0.5);
STET_BENCH_PAIR(float, std::int8_t, int8_to_float32, 0.5);
STET_BENCH_PAIR(float, std::uint8_t, uint8_to_float32, 0.5);
STET_BENCH_PAIR(stet::float16, float, float32_to_float16, 0.5);
STET_BENCH_PAIR(stet::bfloat16, float, float32_to_bfloat16, 0.5);
STET_BENCH_PAIR(stet::float8_e4m3fn, float, float32_to_float8_e4m3fn, 0.3);
STET_BENCH_PAIR(stet::float8_e5m2, float, float32_to_float8_e5m2, 0.3);
STET_BENCH_PAIR(stet::float8_e4m3fnuz, float, float32_to_float8_e4m3fnuz, 0.3);
STET_BENCH_PAIR(stet::float8_e5m2fnuz, float, float32_to_float8_e5m2fnuz, 0.3);
STET_BENCH_PAIR(stet::float8_e4m3b11fnuz, float, float32_to_float8_e4m3b11fnuz, 0.3);
STET_BENCH_PAIR(std::int8_t, float, float32_to_int8, 0.5);
STET_BENCH_PAIR(std::uint8_t, float, float32_to_uint8, 0.5);
STET_BENCH_PAIR(stet::bfloat16, stet::float16, float16_to_bfloat16, 0.3);
STET_BENCH_PAIR(double, float, float32_to_float64, 0.5);
STET_BENCH_PAIR(float, double, float64_to_float32, 0.5);
constexpr auto q8_0_to_float32 = dequantize<8>, q4_0_to_float32 = dequantize<2>;
constexpr auto swap_16_bits = swap<std::uint16_t>, swap_32_bits = swap<std::uint32_t>,
               swap_64_bits = swap<std::uint64_t>;
STET_BENCH(q8_0_to_float32, 0.5);
STET_BENCH(q4_0_to_float32, 0.5);
STET_BENCH(swap_16_bits, 0.5);
STET_BENCH(swap_32_bits, 0.5);
STET_BENCH(swap_64_bits, 0.5);

} // namespace
