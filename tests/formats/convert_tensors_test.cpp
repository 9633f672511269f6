// SPDX-License-Identifier: MIT
// Tests of convert_tensors.hpp: tensors as other dtypes, read from anywhere; what stays; what is refused.
#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>
#include <stet/formats/convert_tensors.hpp>
#include <stet/writer.hpp>

#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace {

using stet::dtype;
using stet::errc;

/// "half" of 3000 float16 with an alias, "ids" of int32, "blocks" of 64 × 100 as q8_0 with an alias, "text", "opaque".
std::string save_to_convert(const stet_test::temp_folder& in) {
  static const std::vector<stet::float16> halves = [] {
    std::vector<stet::float16> made;
    for (int i = 0; i < 3000; ++i) made.emplace_back(static_cast<float>(i % 2000) / 8 - 100);
    return made;
  }();
  static const std::vector<std::byte> blocks = [] {
    std::vector<std::byte> made(200 * 34);
    for (std::size_t i = 0; i < made.size(); ++i)
      made[i] = static_cast<std::byte>(i % 34 == 0 ? 0 : i % 34 == 1 ? 0x3c : i % 251); // scale 1
    return made;
  }();
  static const std::vector<std::int32_t> ids{1, -2, 3};
  stet::writer out;
  out.add("half", halves, {30, 100}, stet::json_text(R"({"trainable":true})")).add_alias("half_too", "half");
  out.add("ids", ids).add_bytes("blocks", {dtype::block, 0, stet::find_ggml_type(8)->block()}, {100, 64}, blocks);
  out.add_alias("blocks_too", "blocks").add("text", "a");
  out.add_bytes("opaque", {dtype::block, 0, stet::find_ggml_type(9)->block()}, {256},
                std::span<const std::byte>(blocks).first(8 * 36));
  out.metadata = stet::json_text(R"({"author":"me"})");
  const std::string path = in.path("m.stet");
  REQUIRE(out.save(path));
  return path;
}

/// All floating tensors and q8_0 as `to`.
stet::result<stet::model> converted_to(const std::string& path, dtype to) {
  auto opened = stet::compiled::open_any(path);
  REQUIRE(opened);
  return stet::with_dtypes(std::move(*opened), [to](const stet::tensor& each) -> std::optional<dtype> {
    const bool is_block = each.dtype() == dtype::block && each.layout().block.name == "q8_0";
    return is_block || each.dtype() == dtype::float16 ? std::optional(to) : std::nullopt;
  });
}

} // namespace

TEST_SUITE("formats/convert_tensors") {
  TEST_CASE("tensors have the other dtype, and all else stays") {
    const stet_test::temp_folder folder;
    const std::string path = save_to_convert(folder);
    const auto made = converted_to(path, dtype::float32);
    if (!made) FAIL(made.error());
    REQUIRE(made);
    std::vector<std::string> names;
    for (const stet::tensor each : made->store) names.emplace_back(each.name());
    CHECK(names == std::vector<std::string>{"half", "half_too", "ids", "blocks", "blocks_too", "text", "opaque"});
    const auto half = made->store.find("half"), blocks = made->store.find("blocks");
    CHECK(half->dtype() == dtype::float32);
    CHECK(half->shape()[1] == 100);
    CHECK(half->size_bytes() == 12000);
    CHECK(!half->entry().has_crc32c());
    CHECK(made->store.original_of(*made->store.find("half_too"))->name() == "half");
    CHECK(made->store.get<std::int32_t>("ids"));
    CHECK(made->store.find("opaque")->dtype() == dtype::block);

    std::vector<float> numbers(6400);
    REQUIRE(half->copy_to(std::span(numbers)));
    for (std::size_t i = 0; i < 3000; ++i) REQUIRE(numbers[i] == static_cast<float>(i % 2000) / 8 - 100);
    REQUIRE(blocks->copy_to(std::span(numbers)));
    const auto stored = stet::compiled::open_any(path);
    std::vector<float> expected(6400);
    REQUIRE(stored->store.find("blocks")->copy_to(std::span(expected), stet::dequantize));
    CHECK(numbers == expected);
    CHECK(numbers[31] == static_cast<float>(33));

    // Any range of bytes, across the steps of the conversion.
    const auto bytes = std::as_bytes(std::span(expected));
    for (const std::size_t at : {0u, 1u, 8191u, 8192u, 8193u, 25599u}) {
      for (const std::size_t size : {1u, 3u, 9000u}) {
        if (at + size > bytes.size()) continue;
        std::vector<std::byte> some(size);
        REQUIRE(blocks->read(at, some));
        CHECK(std::memcmp(some.data(), bytes.data() + at, size) == 0);
      }
    }
    std::byte past[1];
    CHECK(blocks->read(25600, past).error().code() == errc::bad_range);
  }

  TEST_CASE("a saved copy has what tensors of that dtype would have had, whatever the dtype") {
    const stet_test::temp_folder folder;
    const std::string path = save_to_convert(folder);
    for (const dtype to : {dtype::float64, dtype::bfloat16, dtype::float8_e4m3fn, dtype::float16}) {
      CAPTURE(stet::name_of(to));
      const auto made = converted_to(path, to);
      REQUIRE(made);
      stet::writer copy;
      REQUIRE(stet::compiled::add_model(copy, *made));
      REQUIRE(copy.save(folder.path("copy.stet")));
      const auto saved = stet::compiled::open_any(folder.path("copy.stet"));
      REQUIRE(saved);
      CHECK(saved->store.verify_checksums());
      CHECK(saved->store.find("half")->dtype() == to);
      CHECK(saved->store.find("blocks_too")->dtype() == to);
      CHECK(saved->store.tensor_count() == 7);
      const auto described = stet::describe(*saved);
      REQUIRE(described);
      CHECK(described->metadata["author"] == "me");
      REQUIRE(described->tensors.size() == 1);
      CHECK(described->tensors[0].name == "half");
      std::vector<double> numbers(6400);
      REQUIRE(saved->store.find("half")->copy_to(std::span(numbers).first(3000), stet::convert));
      for (std::size_t i = 0; i < 3000; ++i) {
        double expected = static_cast<double>(i % 2000) / 8 - 100;
        if (to == dtype::bfloat16) expected = double{stet::bfloat16(expected)};
        if (to == dtype::float8_e4m3fn) expected = double{stet::float8_e4m3fn(expected)};
        REQUIRE(numbers[i] == expected);
      }
    }
  }

  TEST_CASE("floating tensors and blocks become blocks, the same as quantize_blocks makes of all their numbers") {
    const stet_test::temp_folder folder;
    std::vector<float> numbers(200 * 96);
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i * 37 % 1001) / 8 - 60;
    std::vector<stet::float16> halves;
    for (const float each : numbers) halves.emplace_back(each);
    stet::writer out;
    out.add("w", numbers, {200, 96}).add("h", halves, {2, 100, 96}).add_alias("tied", "w");
    REQUIRE(out.save(folder.path("m.stet")));
    for (const std::uint32_t code : {2u, 8u}) {
      const stet::block_type block = stet::find_ggml_type(code)->block();
      CAPTURE(block.name);
      const stet::element_layout layout{dtype::block, 0, block};
      auto opened = stet::compiled::open_any(folder.path("m.stet"));
      REQUIRE(opened);
      CHECK(stet::is_tensor_convertible(*opened->store.find("h"), layout));
      const auto made = stet::with_dtypes(
          std::move(*opened), [&](const stet::tensor&) { return std::optional<stet::element_layout>(layout); });
      REQUIRE(made);
      std::vector<std::byte> expected(numbers.size() / 32 * block.size_bytes);
      REQUIRE(stet::quantize_blocks(block, numbers, expected));
      for (const char* const name : {"w", "h"}) {
        const auto found = made->store.find(name);
        REQUIRE(found);
        CHECK(found->layout().block == block);
        CHECK(found->size_bytes() == expected.size());
        std::vector<std::byte> bytes(expected.size());
        REQUIRE(found->read(0, bytes));
        CHECK(bytes == expected);
        for (const std::size_t at : {1u, 33u, 1151u, 1152u, 2175u, 2176u, 2177u}) {
          std::vector<std::byte> some(3000);
          REQUIRE(found->read(at, some));
          CHECK(std::memcmp(some.data(), expected.data() + at, some.size()) == 0);
        }
      }
      CHECK(made->store.original_of(*made->store.find("tied"))->name() == "w");
      // Blocks of one type become those of another.
      stet::writer copy;
      REQUIRE(stet::compiled::add_model(copy, *made));
      REQUIRE(copy.save(folder.path("copy.stet")));
      auto again = stet::compiled::open_any(folder.path("copy.stet"));
      REQUIRE(again);
      const stet::element_layout other{dtype::block, 0, stet::find_ggml_type(10 - code)->block()};
      std::vector<float> stored(numbers.size());
      REQUIRE(again->store.find("w")->copy_to(std::span(stored), stet::dequantize));
      const auto requantized = stet::with_dtypes(
          std::move(*again), [&](const stet::tensor&) { return std::optional<stet::element_layout>(other); });
      REQUIRE(requantized);
      expected.resize(numbers.size() / 32 * other.block.size_bytes);
      REQUIRE(stet::quantize_blocks(other.block, stored, expected));
      std::vector<std::byte> bytes(expected.size());
      REQUIRE(requantized->store.find("w")->read(0, bytes));
      CHECK(bytes == expected);
    }
  }

  TEST_CASE("what cannot become blocks is an error by name") {
    const stet_test::temp_folder folder;
    std::vector<float> numbers(128);
    stet::writer out;
    out.add("narrow", numbers, {8, 16}).add("scalar", 1.0f).add("text", "a");
    out.add("fits", numbers, {2, 64});
    REQUIRE(out.save(folder.path("m.stet")));
    const auto refusal = [&](std::string_view name, std::uint32_t code) {
      auto opened = stet::compiled::open_any(folder.path("m.stet"));
      REQUIRE(opened);
      const stet::element_layout layout{dtype::block, 0, stet::find_ggml_type(code)->block()};
      const auto made = stet::with_dtypes(std::move(*opened), [&](const stet::tensor& each) {
        return each.name() == name ? std::optional(layout) : std::nullopt;
      });
      REQUIRE(!made);
      CHECK(made.error().code() == errc::not_convertible);
      CHECK(made.error().subject() == name);
    };
    refusal("narrow", 8);
    refusal("scalar", 8);
    refusal("text", 2);
    refusal("fits", 12); // q4_k is read alone
  }

  TEST_CASE("damage of what is converted is found") {
    const stet_test::temp_folder folder;
    const std::string path = save_to_convert(folder);
    auto bytes = folder.read("m.stet");
    const auto opened = stet::compiled::open_any(path);
    const auto at = static_cast<std::size_t>(opened->store.find("half")->entry().offset_bytes());
    bytes[at + 5000] ^= std::byte{1};
    const auto made = converted_to(folder.write("damaged.stet", bytes), dtype::float32);
    REQUIRE(made);
    stet::writer copy;
    REQUIRE(stet::compiled::add_model(copy, *made));
    const auto saved = copy.save(folder.path("copy.stet"));
    REQUIRE(!saved);
    CHECK(saved.error().code() == errc::checksum_mismatch);
    CHECK(saved.error().subject() == "half");
  }

  TEST_CASE("what cannot be converted is an error by name") {
    const stet_test::temp_folder folder;
    const std::string path = save_to_convert(folder);
    const auto refusal = [&](const char* name, dtype to) {
      auto opened = stet::compiled::open_any(path);
      REQUIRE(opened);
      const auto made = stet::with_dtypes(std::move(*opened), [&](const stet::tensor& each) {
        return each.name() == name ? std::optional(to) : std::nullopt;
      });
      REQUIRE(!made);
      CHECK(made.error().code() == errc::not_convertible);
      CHECK(made.error().subject() == name);
    };
    refusal("text", dtype::float32);
    refusal("opaque", dtype::float32);
    refusal("half", dtype::string);
    refusal("half", dtype::float4_e2m1fn);
    refusal("half", dtype::complex64);
    refusal("half", dtype::block);
  }
}
