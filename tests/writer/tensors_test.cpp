// SPDX-License-Identifier: MIT
#include "support/outcome.hpp"

#include <stet/json.hpp>
#include <stet/writer/tensors.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace {

using stet::dtype;
using stet::element_layout;
using stet::detail::tensor_list;
using stet_test::outcome;

constexpr std::uint64_t huge = std::uint64_t{1} << 63;

std::string add(std::string_view name, const element_layout& layout, std::vector<std::uint64_t> shape,
                std::uint64_t size_bytes) {
  tensor_list list;
  const auto added = list.add(name, layout, shape, size_bytes, {}, nullptr);
  if (added) {
    CHECK(list.size() == 1);
  } else {
    CHECK(list.size() == 0);
    CHECK(list.rows().empty());
  }
  return outcome(added);
}

} // namespace

TEST_SUITE("writer/tensors") {
  TEST_CASE("names that cannot be written are refused") {
    const element_layout layout = element_layout::of(dtype::uint8);
    CHECK(add("a", layout, {1}, 1) == "ok");
    CHECK(add("a/../b c\n\xC3\xA9", layout, {1}, 1) == "ok");
    CHECK(add(std::string(65535, 'x'), layout, {1}, 1) == "ok");
    CHECK(add("", layout, {1}, 1) == "bad_name");
    CHECK(add(std::string(65536, 'x'), layout, {1}, 1) == "bad_name");
    CHECK(add(std::string_view("a\0b", 3), layout, {1}, 1) == "bad_name");
    CHECK(add("\xC3", layout, {1}, 1) == "bad_name");
    CHECK(add("\xED\xA0\x80", layout, {1}, 1) == "bad_name"); // a lone surrogate
    CHECK(add("\xC0\xAF", layout, {1}, 1) == "bad_name");     // an overlong slash
  }

  TEST_CASE("shapes whose size overflows are refused, zeros or not") {
    const element_layout bytes = element_layout::of(dtype::uint8), floats = element_layout::of(dtype::float32);
    const std::uint64_t half = std::uint64_t{1} << 32;
    CHECK(add("t", floats, {half, half}, 0) == "bad_shape");
    CHECK(add("t", floats, {huge, 2}, 0) == "bad_shape");
    CHECK(add("t", floats, {~std::uint64_t{0}}, 0) == "bad_shape");
    CHECK(add("t", floats, {huge / 4}, 0) == "bad_shape"); // the product fits, the size does not
    CHECK(add("t", bytes, {0, ~std::uint64_t{0}, 2}, 0) == "bad_shape");
    CHECK(add("t", bytes, {~std::uint64_t{0}, 2, 0}, 0) == "bad_shape");
    CHECK(add("t", bytes, {huge - 1}, huge - 1) == "ok");
    CHECK(add("t", bytes, {huge}, huge) == "bad_shape");
    CHECK(add("t", bytes, {0, huge - 1}, 0) == "ok");
    CHECK(add("t", element_layout::of(dtype::int4), {~std::uint64_t{0}}, huge) == "bad_shape");
  }

  TEST_CASE("ranks go up to 254") {
    const element_layout layout = element_layout::of(dtype::uint8);
    CHECK(add("t", layout, {}, 1) == "ok");
    CHECK(add("t", layout, std::vector<std::uint64_t>(254, 1), 1) == "ok");
    CHECK(add("t", layout, std::vector<std::uint64_t>(255, 1), 1) == "bad_shape");
    CHECK(add("t", layout, std::vector<std::uint64_t>(1000000, 1), 1) == "bad_shape");
  }

  TEST_CASE("sizes must be those of dtype and shape") {
    const element_layout floats = element_layout::of(dtype::float32);
    CHECK(add("t", floats, {2, 3}, 24) == "ok");
    CHECK(add("t", floats, {2, 3}, 23) == "size_mismatch");
    CHECK(add("t", floats, {2, 3}, 25) == "size_mismatch");
    CHECK(add("t", floats, {2, 0}, 0) == "ok");
    CHECK(add("t", floats, {2, 0}, 4) == "size_mismatch");
    CHECK(add("t", floats, {}, 0) == "size_mismatch");
    const element_layout nibbles = element_layout::of(dtype::int4);
    CHECK(add("t", nibbles, {3}, 2) == "ok");
    CHECK(add("t", nibbles, {3}, 3) == "size_mismatch");
    CHECK(add("t", {dtype::int4, 8, {}}, {3}, 3) == "ok");
    CHECK(add("t", element_layout::of(dtype::float6_e2m3fn), {5}, 4) == "ok");
    const element_layout strings = element_layout::of(dtype::string);
    CHECK(add("t", strings, {2}, 23) == "size_mismatch");
    CHECK(add("t", strings, {2}, 24) == "ok");
    CHECK(add("t", strings, {2}, 1000) == "ok");
    CHECK(add("t", strings, {0}, 8) == "ok");
    CHECK(add("t", strings, {0}, 0) == "size_mismatch");
  }

  TEST_CASE("layouts must be ones that a tensor can have") {
    CHECK(add("t", {static_cast<dtype>(0), 8, {}}, {1}, 1) == "unknown_dtype");
    CHECK(add("t", {static_cast<dtype>(200), 8, {}}, {1}, 1) == "unknown_dtype");
    CHECK(add("t", {dtype::float32, 16, {}}, {1}, 2) == "unknown_dtype");
    CHECK(add("t", {dtype::int4, 5, {}}, {1}, 1) == "unknown_dtype");
    CHECK(add("t", {dtype::string, 8, {}}, {1}, 16) == "unknown_dtype");
    CHECK(add("t", {dtype::block, 0, {"q4_0", 32, 18}}, {2, 32}, 36) == "ok");
    CHECK(add("t", {dtype::block, 0, {"q4_0", 32, 18}}, {2, 33}, 36) == "bad_shape");
    CHECK(add("t", {dtype::block, 0, {"q4_0", 0, 18}}, {2, 32}, 36) == "unknown_dtype");
    CHECK(add("t", {dtype::block, 0, {"q4_0", 32, 0}}, {2, 32}, 0) == "unknown_dtype");
    CHECK(add("t", {dtype::block, 0, {"", 32, 18}}, {2, 32}, 36) == "bad_name");
  }

  TEST_CASE("an alias of an alias names the original") {
    tensor_list list;
    const element_layout layout = element_layout::of(dtype::uint16);
    REQUIRE(list.add("a", layout, std::vector<std::uint64_t>{2}, 4, {}, nullptr));
    REQUIRE(list.add_alias("b", 0, nullptr));
    REQUIRE(list.add_alias("c", 1, stet::json_value{{"trainable", false}}));
    CHECK(outcome(list.add_alias("", 0, nullptr)) == "bad_name");
    const std::vector<stet::index_row> rows = list.rows();
    REQUIRE(rows.size() == 3);
    CHECK(rows[0].alias_of == stet::index_row::not_an_alias);
    CHECK(rows[1].alias_of == 0);
    CHECK(rows[2].alias_of == 0);
    CHECK(rows[2].size_bytes == 4);
    CHECK(list.find("c") == 2);
    CHECK(list.find("d") == 3);
    REQUIRE(list.attributes().size() == 1);
    CHECK(list.attributes()[0].number == 2);
  }

  TEST_CASE("nothing of what was passed needs to outlive the call but the bytes") {
    tensor_list list;
    {
      const std::string name = "a name of more than a few characters", block = "q4_k";
      const std::vector<std::uint64_t> shape = {1, 256};
      REQUIRE(list.add(name, {dtype::block, 0, {block, 256, 144}}, shape, 144, {}, nullptr));
    }
    const std::vector<stet::index_row> rows = list.rows();
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].name == "a name of more than a few characters");
    CHECK(rows[0].layout.block.name == "q4_k");
    CHECK(rows[0].shape.size() == 2);
    CHECK(rows[0].shape[1] == 256);
  }
}
