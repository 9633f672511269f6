// SPDX-License-Identifier: MIT
// The table of the element types of GGUF files.
#include <stet/formats/gguf/ggml_type.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <iterator>

namespace {

TEST_CASE("ggml types are in the order of their codes; the plain ones have the width of their dtype") {
  std::uint32_t previous = 0;
  for (const stet::ggml_type& each : stet::ggml_types) {
    CAPTURE(each.name);
    CHECK((&each == stet::ggml_types || each.code > previous));
    previous = each.code;
    CHECK(stet::find_ggml_type(each.code) == &each);
    CHECK(stet::find_ggml_type(each.dtype, each.block()) == &each);
    CHECK((each.element_count == 1) == each.is_plain());
    if (each.is_plain()) {
      CHECK(each.size_bytes * 8 == stet::describe(each.dtype).bits);
      CHECK(each.block() == stet::block_type{});
    } else {
      CHECK(each.block() == stet::block_type{each.name, each.element_count, each.size_bytes});
    }
  }
  CHECK(std::size(stet::ggml_types) == 35);
}

TEST_CASE("removed and unknown codes have no ggml type; neither have dtypes that ggml lacks") {
  for (const std::uint32_t code : {4u, 5u, 31u, 32u, 33u, 36u, 37u, 38u, 43u, 77u, 0xFFFFFFFFu})
    CHECK(stet::find_ggml_type(code) == nullptr);
  CHECK(stet::find_ggml_type(stet::dtype::uint8) == nullptr);
  CHECK(stet::find_ggml_type(stet::dtype::block, {"q4_k", 256, 143}) == nullptr);
  CHECK(stet::find_ggml_type(12)->block() == stet::block_type{"q4_k", 256, 144});
  CHECK(stet::find_ggml_type(stet::dtype::bfloat16)->code == 30);
}

} // namespace
