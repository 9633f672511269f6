// SPDX-License-Identifier: MIT
// Tests of quantize.hpp: blocks against those of gguf-py, among them ties, zeros, subnormal and overflowing scales; what is refused.
#include <stet/formats/gguf/quantize.hpp>

#include <stet/bytes/crc32.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace {

using stet::errc;

const stet::block_type quantized_q4_0 = stet::find_ggml_type(2)->block();
const stet::block_type quantized_q8_0 = stet::find_ggml_type(8)->block();

/// 600 blocks: random numbers of many magnitudes; ties of q8_0 and of q4_0; zeros, and 1 and -1 in any order.
std::vector<float> numbers_to_quantize() {
  constexpr int exponents[] = {-24, -20, -15, 0, 30, 100, -60, -120, -135, -149, -22, -31};
  std::vector<float> numbers;
  std::uint64_t state = 1;
  for (int block = 0; block < 600; ++block) {
    for (int i = 0; i < 32; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const int random = static_cast<int>(static_cast<std::int64_t>(state) >> 40);
      const auto modulo = [random](int by) { return static_cast<float>((random % by + by) % by); };
      float number = 0;
      switch (block % 4) {
      case 0:
        number = std::ldexp(static_cast<float>(random), exponents[block / 4 % 12]);
        break;
      case 1:
        number = i != 0 ? (modulo(509) - 254) / 2 : (block & 8) != 0 ? 127.0f : -127.0f;
        break;
      case 2:
        number = i != 0 ? (modulo(33) - 16) / 2 : (block & 8) != 0 ? -8.0f : 8.0f;
        break;
      default:
        number = block % 8 == 3 ? 0.0f : modulo(3) - 1;
      }
      numbers.push_back(number);
    }
  }
  return numbers;
}

std::string hex_of(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte each : bytes) {
    text += "0123456789abcdef"[std::to_integer<unsigned>(each) >> 4];
    text += "0123456789abcdef"[std::to_integer<unsigned>(each) & 15];
  }
  return text;
}

/// The block of zeros but for the fourth number, `number`, and the sixth, the smallest there is.
std::string block_with(const stet::block_type& type, float number) {
  float numbers[32] = {};
  numbers[3] = number;
  numbers[5] = 1e-45f;
  std::vector<std::byte> block(type.size_bytes);
  REQUIRE(stet::quantize_blocks(type, numbers, block));
  return hex_of(block);
}

} // namespace

TEST_CASE("Blocks are those of gguf-py") {
  const std::vector<float> numbers = numbers_to_quantize();
  REQUIRE(stet::crc32(std::as_bytes(std::span(numbers))) == 0x380a9c71); // the numbers that gguf-py 0.19.0 was given
  std::vector<std::byte> q4_0(600 * 18), q8_0(600 * 34);
  REQUIRE(stet::quantize_blocks(quantized_q4_0, numbers, q4_0));
  REQUIRE(stet::quantize_blocks(quantized_q8_0, numbers, q8_0));
  CHECK(hex_of(std::span(q4_0).first(18)) == "fe2bff1022be65801129e55b1491756ddc24");
  CHECK(hex_of(std::span(q8_0).first(34)) == "071c6c83a761cc818f11d732bf8ac9513ec06c93a034defb8ea062ca980ef7e448a5");
  CHECK(stet::crc32(q4_0) == 0x4eeccab8);
  CHECK(stet::crc32(q8_0) == 0xa716fa81);
}

TEST_CASE("Numbers that no scale fits become what gguf-py makes of them") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  CHECK(block_with(quantized_q4_0, infinity) == "00fc88888880888888888888888888888888");
  CHECK(block_with(quantized_q4_0, -infinity) == "007c88888880888888888888888888888888");
  CHECK(block_with(quantized_q4_0, 1e-45f) == "008088888888888888888888888888888888");
  CHECK(block_with(quantized_q4_0, 1e-40f) == "008000000000000000000000000000000000");
  CHECK(block_with(quantized_q4_0, 3e38f) == "00fc88888880888888888888888888888888");
  const std::string zeros(56, '0');
  CHECK(block_with(quantized_q8_0, infinity) == "007c00000000" + zeros);
  CHECK(block_with(quantized_q8_0, -infinity) == "007c00000000" + zeros);
  CHECK(block_with(quantized_q8_0, 1e-40f) == "000000000000" + zeros);
  CHECK(block_with(quantized_q8_0, 3e38f) == "007c0000007f" + zeros);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(block_with(quantized_q4_0, nan) == "007e00000000000000000000000000000000");
  CHECK(block_with(quantized_q8_0, nan) == "007e00000000" + zeros);
}

TEST_CASE("Only whole blocks of known types are made") {
  float numbers[64] = {};
  std::byte into[68];
  const auto refusal = [&](const stet::block_type& to, std::size_t count, std::size_t size) {
    const auto made = stet::quantize_blocks(to, std::span(numbers).first(count), std::span(into).first(size));
    return made ? errc{} : made.error().code();
  };
  CHECK(refusal(quantized_q8_0, 64, 68) == errc{});
  CHECK(refusal(quantized_q8_0, 0, 0) == errc{});
  CHECK(refusal(quantized_q8_0, 33, 68) == errc::size_mismatch);
  CHECK(refusal(quantized_q8_0, 64, 34) == errc::size_mismatch);
  CHECK(refusal(quantized_q8_0, 64, 67) == errc::size_mismatch);
  CHECK(refusal(stet::find_ggml_type(12)->block(), 0, 0) == errc::not_convertible);
  CHECK(refusal({"q8_0", 32, 36}, 32, 36) == errc::not_convertible);
  CHECK(stet::is_quantizable(quantized_q4_0));
  CHECK(!stet::is_quantizable(stet::find_ggml_type(12)->block()));
}
