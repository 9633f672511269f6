// SPDX-License-Identifier: MIT
// Tests of dequantize.hpp: each block type against numbers of gguf-py, among them every special float16 as scale; parts, readers and
// other types of numbers; big-endian blocks; what is refused.
#include <stet/formats/gguf/dequantize.hpp>

#include <stet/bytes/crc32.hpp>
#include <stet/formats/gguf/open.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include "support/allocations.hpp"
#include "support/gguf_files.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using stet::errc;

constexpr std::size_t golden_block_count = 300;

/// A block type, where its blocks have float16 scales (-1: none), and the CRC-32 of the numbers that `dequantize` of gguf-py 0.19.0
/// makes of `golden_blocks`, little-endian, with 0x7fc00000 for every NaN.
struct golden_type {
  std::string_view name;
  int scales[2];
  std::uint32_t crc32;
};
constexpr golden_type golden_types[] = {
    {"q4_0", {0, -1}, 0xe401a113},   {"q4_1", {0, 2}, 0xd532d24b},     {"q5_0", {0, -1}, 0xe7942854},
    {"q5_1", {0, 2}, 0x861d732a},    {"q8_0", {0, -1}, 0x4e6eb97d},    {"q2_k", {80, 82}, 0xe1864141},
    {"q3_k", {108, -1}, 0x2b48de23}, {"q4_k", {0, 2}, 0x7d5f12e7},     {"q5_k", {0, 2}, 0x467e4c85},
    {"q6_k", {208, -1}, 0x724fbb7b}, {"iq4_nl", {0, -1}, 0x76e81bfb},  {"iq4_xs", {0, -1}, 0x664ac561},
    {"tq1_0", {52, -1}, 0x41ee7fa0}, {"tq2_0", {64, -1}, 0xbf417177},  {"mxfp4", {-1, -1}, 0xd8dfa0ba},
    {"nvfp4", {-1, -1}, 0x8adcd005}, {"iq2_xxs", {0, -1}, 0x6b0b11a3}, {"iq2_xs", {0, -1}, 0x18a310e1},
    {"iq2_s", {0, -1}, 0x75fb840e},  {"iq3_xxs", {0, -1}, 0x84a50e35}, {"iq3_s", {0, -1}, 0x5c6a4bb6},
    {"iq1_s", {0, -1}, 0x7436e856},  {"iq1_m", {-1, -1}, 0x8385f8ea},
};

stet::block_type block_called(std::string_view name) {
  for (const stet::ggml_type& each : stet::ggml_types) {
    if (each.name == name) return each.block();
  }
  return {};
}

/// Random blocks. The first 256 have zeros, subnormals, the largest numbers, infinities and NaN as scales, or every first byte.
std::vector<std::byte> golden_blocks(const golden_type& of) {
  constexpr std::uint16_t scales[16] = {0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x0400, 0x7bff, 0xfbff,
                                        0x7c00, 0xfc00, 0x7e00, 0x3c00, 0xbc00, 0x2e66, 0x3555, 0x1400};
  const std::size_t size = block_called(of.name).size_bytes;
  std::vector<std::byte> blocks(golden_block_count * size);
  std::uint64_t state = 1;
  for (std::byte& each : blocks) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    each = static_cast<std::byte>(state >> 56);
  }
  for (std::size_t i = 0; i < 256; ++i) {
    for (std::size_t field = 0; field < 2; ++field) {
      if (of.scales[field] < 0) continue;
      const std::uint16_t scale = scales[i >> (4 * field) & 15];
      std::byte* const at = blocks.data() + i * size + of.scales[field];
      at[0] = static_cast<std::byte>(scale & 0xFF);
      at[1] = static_cast<std::byte>(scale >> 8);
    }
    if (of.scales[0] < 0) blocks[i * size] = static_cast<std::byte>(i);
  }
  return blocks;
}

std::uint32_t crc32_of_numbers(std::span<const float> numbers) {
  std::vector<std::byte> bytes(numbers.size() * 4);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto bits = std::isnan(numbers[i]) ? std::uint32_t{0x7fc00000} : std::bit_cast<std::uint32_t>(numbers[i]);
    for (std::size_t byte = 0; byte < 4; ++byte) bytes[i * 4 + byte] = static_cast<std::byte>(bits >> 8 * byte & 0xFF);
  }
  return stet::crc32(bytes);
}

/// A native file with the tensor "w" of blocks.
std::vector<std::byte> file_of_blocks(const stet::block_type& block, std::span<const std::byte> blocks) {
  stet::writer out;
  const std::uint64_t count = blocks.size() / block.size_bytes * block.element_count;
  out.add_bytes("w", {stet::dtype::block, 0, block}, {count}, blocks);
  auto saved = out.save_to_memory();
  REQUIRE(saved);
  return std::move(*saved);
}

/// Gives the bytes of a file when they are asked for.
class blocks_reader final : public stet::byte_reader {
public:
  explicit blocks_reader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::uint64_t size_bytes() const noexcept override { return bytes_.size(); }
  stet::result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (offset_bytes > bytes_.size() || into.size() > bytes_.size() - offset_bytes) return errc::bad_range;
    std::memcpy(into.data(), bytes_.data() + offset_bytes, into.size());
    return {};
  }

private:
  std::span<const std::byte> bytes_;
};

/// The bits of numbers, every NaN as one.
template <class T> std::vector<std::uint64_t> bits_of(std::span<const T> numbers) {
  std::vector<std::uint64_t> bits;
  for (const T each : numbers) {
    const auto number = static_cast<double>(each);
    bits.push_back(std::isnan(number) ? ~std::uint64_t{0} : std::bit_cast<std::uint64_t>(number));
  }
  return bits;
}

} // namespace

TEST_CASE("Every block type gives the numbers of gguf-py") {
  for (const golden_type& each : golden_types) {
    INFO(each.name);
    const stet::block_type block = block_called(each.name);
    REQUIRE(block.size_bytes != 0);
    CHECK(stet::is_dequantizable(block));
    const std::vector<std::byte> blocks = golden_blocks(each);
    std::vector<float> numbers(golden_block_count * block.element_count);
    const std::uint32_t code = stet::find_ggml_type(stet::dtype::block, block)->code;
    for (const stet::detail::block_decoder& decoder : stet::detail::block_decoders) {
      if (decoder.code != code) continue;
      decoder.portable(blocks.data(), golden_block_count, numbers.data());
      CHECK(crc32_of_numbers(numbers) == each.crc32);
    }
    const auto file = file_of_blocks(block, blocks);
    const auto store = stet::open(file);
    REQUIRE(store);
    std::fill(numbers.begin(), numbers.end(), -1.0f);
    const auto copied = store->find("w")->copy_to(std::span(numbers), stet::dequantize);
    REQUIRE(copied);
    CHECK(crc32_of_numbers(numbers) == each.crc32);
  }
  CHECK(std::size(golden_types) == std::size(stet::detail::block_decoders));
}

TEST_CASE("The numbers of a q4_0 block are its codes minus 8, times the scale") {
  std::vector<std::byte> block(18);
  block[0] = std::byte{0x00};
  block[1] = std::byte{0x38}; // 0.5
  for (std::size_t i = 0; i < 16; ++i) block[2 + i] = static_cast<std::byte>(i | (15 - i) << 4);
  const auto file = file_of_blocks(block_called("q4_0"), block);
  const auto store = stet::open(file);
  REQUIRE(store);
  float numbers[32];
  REQUIRE(store->find("w")->copy_to(std::span<float>(numbers), stet::dequantize));
  for (int i = 0; i < 16; ++i) {
    CHECK(numbers[i] == 0.5f * static_cast<float>(i - 8));
    CHECK(numbers[16 + i] == 0.5f * static_cast<float>(7 - i));
  }
}

TEST_CASE("Blocks that are fetched, parts, and other types give the same numbers") {
  for (const golden_type& each : golden_types) {
    INFO(each.name);
    const stet::block_type block = block_called(each.name);
    const auto file = file_of_blocks(block, golden_blocks(each));
    const blocks_reader reader(file);
    const auto streamed = stet::open(reader);
    const auto mapped = stet::open(file);
    REQUIRE(streamed);
    REQUIRE(mapped);
    const stet::tensor fetched = *streamed->find("w"), there = *mapped->find("w");
    REQUIRE(fetched.bytes().empty());
    const std::size_t count = static_cast<std::size_t>(there.element_count());
    std::vector<float> numbers(count), others(count + 3, -1.0f);
    const auto before = stet_test::allocation_count.load();
    REQUIRE(there.copy_to(std::span(numbers), stet::dequantize));
    REQUIRE(fetched.copy_to(std::span(others), stet::dequantize)); // into more room
    CHECK(stet_test::allocation_count.load() == before);
    CHECK(others.back() == -1.0f);
    others.resize(count);
    CHECK(bits_of<float>(numbers) == bits_of<float>(others));

    std::vector<float> part(block.element_count * 5);
    const std::uint64_t first = std::uint64_t{block.element_count} * 7;
    REQUIRE(stet::dequantize(fetched, std::span(part), first));
    CHECK(bits_of<float>(part) ==
          bits_of<float>(std::span(numbers).subspan(static_cast<std::size_t>(first), part.size())));

    std::vector<double> doubles(count), wide(numbers.begin(), numbers.end());
    std::vector<stet::float16> halves(count), rounded_halves;
    std::vector<stet::bfloat16> brains(count), rounded_brains;
    for (const float number : numbers) {
      rounded_halves.emplace_back(number);
      rounded_brains.emplace_back(number);
    }
    REQUIRE(there.copy_to(std::span(doubles), stet::dequantize));
    REQUIRE(fetched.copy_to(std::span(halves), stet::dequantize));
    REQUIRE(there.copy_to(std::span(brains), stet::dequantize));
    CHECK(bits_of<double>(doubles) == bits_of<double>(wide));
    CHECK(bits_of<stet::float16>(halves) == bits_of<stet::float16>(rounded_halves));
    CHECK(bits_of<stet::bfloat16>(brains) == bits_of<stet::bfloat16>(rounded_brains));
  }
}

TEST_CASE("Big-endian blocks give the same numbers where their order is known, and else are refused by name") {
  constexpr std::string_view known[] = {"q4_0", "q4_1",   "q8_0",  "q2_k",  "q3_k",  "q4_k", "q5_k",
                                        "q6_k", "iq4_nl", "tq1_0", "tq2_0", "mxfp4", "nvfp4"};
  for (const golden_type& each : golden_types) {
    INFO(each.name);
    const stet::block_type block = block_called(each.name);
    std::vector<std::byte> blocks = golden_blocks(each);
    for (std::size_t i = 0; i < golden_block_count; ++i) {
      for (const int field : each.scales) {
        if (field < 0) continue;
        std::byte* const at = blocks.data() + i * block.size_bytes + field;
        std::swap(at[0], at[1]);
      }
    }
    const std::uint64_t count = golden_block_count * std::uint64_t{block.element_count};
    stet_test::gguf_file made(3, true);
    made.string("general.architecture", "test");
    made.tensor("w", {count}, stet::find_ggml_type(stet::dtype::block, block)->code,
                {reinterpret_cast<const char*>(blocks.data()), blocks.size()});
    const std::string text = made.bytes();
    const auto store = stet::open_gguf(std::as_bytes(std::span(text)));
    REQUIRE(store);
    const stet::tensor from = *store->find("w");
    REQUIRE(from.entry().is_big_endian());
    std::vector<float> numbers(static_cast<std::size_t>(count));
    const auto before = stet_test::allocation_count.load();
    const auto copied = from.copy_to(std::span(numbers), stet::dequantize);
    CHECK(stet_test::allocation_count.load() == before);
    if (std::find(std::begin(known), std::end(known), each.name) == std::end(known)) {
      REQUIRE(!copied);
      CHECK(copied.error().code() == errc::wrong_byte_order);
      CHECK(copied.error().subject() == "w");
      continue;
    }
    REQUIRE(copied);
    CHECK(crc32_of_numbers(numbers) == each.crc32);
    std::vector<double> part(block.element_count * 5);
    const std::uint64_t first = std::uint64_t{block.element_count} * 7;
    REQUIRE(stet::dequantize(from, std::span(part), first));
    const auto same = std::span(numbers).subspan(static_cast<std::size_t>(first), part.size());
    CHECK(bits_of<double>(part) == bits_of<float>(same));
    // The blocks of the file stay as they are.
    CHECK(std::equal(blocks.begin(), blocks.end(), from.bytes().begin(), from.bytes().end()));
  }
}

TEST_CASE("A tensor without blocks is converted") {
  const std::vector<stet::bfloat16> numbers{stet::bfloat16(1.5f), stet::bfloat16(-2.0f), stet::bfloat16(0.0f)};
  stet::writer out;
  out.add("w", numbers).add("s", "text");
  const auto file = out.save_to_memory();
  REQUIRE(file);
  const auto store = stet::open(*file);
  REQUIRE(store);
  float into[3];
  REQUIRE(store->find("w")->copy_to(std::span<float>(into), stet::dequantize));
  CHECK(into[0] == 1.5f);
  CHECK(into[1] == -2.0f);
  CHECK(into[2] == 0.0f);
  const auto refused = store->find("s")->copy_to(std::span<float>(into), stet::dequantize);
  REQUIRE(!refused);
  CHECK(refused.error().code() == errc::not_convertible);
  CHECK(refused.error().subject() == "s");
}

TEST_CASE("What cannot be dequantized is an error by name") {
  const auto error_of = [](const stet::block_type& block, std::size_t count, std::uint64_t first, std::size_t wanted) {
    const std::vector<std::byte> blocks(count * block.size_bytes);
    const auto file = file_of_blocks(block, blocks);
    const auto store = stet::open(file);
    REQUIRE(store);
    std::vector<float> into(wanted);
    return stet::dequantize(*store->find("w"), std::span(into), first);
  };
  const auto unknown = error_of(block_called("q8_1"), 1, 0, 32);
  REQUIRE(!unknown);
  CHECK(unknown.error().code() == errc::not_convertible);
  CHECK(unknown.error().subject() == "w: q8_1");
  CHECK(!stet::is_dequantizable(block_called("q8_1")));
  // Of the name of a known type, but of other sizes.
  CHECK(error_of({"q8_0", 32, 36}, 1, 0, 32).error().code() == errc::not_convertible);
  CHECK(error_of({"q8_0", 64, 34}, 1, 0, 64).error().code() == errc::not_convertible);

  const stet::block_type q8 = block_called("q8_0");
  CHECK(error_of(q8, 2, 16, 32).error().code() == errc::invalid_argument);
  CHECK(error_of(q8, 2, 0, 16).error().code() == errc::invalid_argument);
  CHECK(error_of(q8, 2, 0, 96).error().code() == errc::bad_range);
  CHECK(error_of(q8, 2, 64, 32).error().code() == errc::bad_range);
  CHECK(error_of(q8, 2, ~std::uint64_t{31}, 32).error().code() == errc::bad_range);
  CHECK(error_of(q8, 2, 64, 0));
  CHECK(error_of(q8, 0, 0, 0));

  const std::vector<std::byte> blocks(34 * 2);
  const auto file = file_of_blocks(q8, blocks);
  const auto store = stet::open(file);
  REQUIRE(store);
  std::vector<float> small(63);
  const auto refused = store->find("w")->copy_to(std::span(small), stet::dequantize);
  REQUIRE(!refused);
  CHECK(refused.error().code() == errc::buffer_too_small);
}
