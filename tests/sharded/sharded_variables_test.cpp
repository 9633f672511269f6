// SPDX-License-Identifier: MIT
#include <stet/sharded/sharded_variables.hpp>

#include "support/outcome.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace {

using stet_test::outcome;

TEST_CASE("a rank registers what it holds: whole variables, blocks, slots") {
  std::vector<float> scale(4), rows(2 * 3), moment(2 * 3);
  std::uint64_t step = 7;
  stet::sharded_variable_list variables;
  REQUIRE(variables.add("scale", scale));
  REQUIRE(variables.add("step", step));
  REQUIRE(variables.add_block("dense/kernel", rows, {8, 3}, {4, 0}, {2, 3}));
  REQUIRE(variables.add_slot("dense/kernel", "Adam/m", moment));
  REQUIRE(variables.size() == 4);
  CHECK(variables[0].shape == std::vector<std::uint64_t>{4});
  CHECK(variables[1].shape.empty());
  const stet::sharded_variable* const slot = variables.find("dense/kernel/Adam/m");
  REQUIRE(slot != nullptr);
  CHECK(slot->slot_of == "dense/kernel");
  CHECK_FALSE(slot->is_trainable);
  CHECK(slot->shape == std::vector<std::uint64_t>{8, 3});
  REQUIRE(slot->blocks.size() == 1);
  CHECK(slot->blocks[0].start == std::vector<std::uint64_t>{4, 0});
  CHECK(slot->blocks[0].extents == std::vector<std::uint64_t>{2, 3});
  CHECK(slot->blocks[0].strides_bytes == std::vector<std::size_t>{12, 4});
  CHECK(slot->blocks[0].memory == reinterpret_cast<std::byte*>(moment.data()));
}

TEST_CASE("a variable may have several blocks on a rank") {
  std::vector<float> first(2), second(3);
  stet::sharded_variable_list variables;
  REQUIRE(variables.add_block("bias", first, {9}, {0}, {2}));
  REQUIRE(variables.add_block("bias", second, {9}, {6}, {3}));
  REQUIRE(variables.size() == 1);
  CHECK(variables[0].blocks.size() == 2);
  CHECK(variables[0].blocks[1].element_count() == 3);
}

TEST_CASE("a block within a larger array has strides") {
  std::vector<float> array(6 * 10);
  stet::sharded_variable_list variables;
  const std::span<float> from(array.data() + 2 * 10 + 3, 24);
  REQUIRE(variables.add_strided_block("kernel", from, {8, 8}, {0, 0}, {3, 4}, {10, 1}));
  CHECK(variables[0].blocks[0].strides_bytes == std::vector<std::size_t>{40, 4});
  const std::span<float> shorter(array.data(), 23); // the last element is the 24th
  CHECK(outcome(variables.add_strided_block("other", shorter, {8, 8}, {0, 0}, {3, 4}, {10, 1})) == "size_mismatch");
  CHECK(outcome(variables.add_strided_block("other", from, {8, 8}, {0, 0}, {3, 4}, {10})) == "bad_shape");
  const std::uint64_t huge = std::uint64_t{1} << 63;
  CHECK(outcome(variables.add_strided_block("other", from, {8, 8}, {0, 0}, {3, 4}, {huge, huge})) == "bad_shape");
}

TEST_CASE("what cannot be a block is an error that names the variable") {
  std::vector<float> rows(6);
  std::vector<double> doubles(6);
  stet::sharded_variable_list variables;
  CHECK(outcome(variables.add_block("", rows, {6}, {0}, {6})) == "bad_name");
  CHECK(outcome(variables.add_block("a", rows, {6}, {0}, {5})) == "size_mismatch");
  CHECK(outcome(variables.add_block("a", rows, {6}, {1}, {6})) == "bad_shape");
  CHECK(outcome(variables.add_block("a", rows, {6}, {~std::uint64_t{0}}, {6})) == "bad_shape");
  CHECK(outcome(variables.add_block("a", rows, {6, 1}, {0}, {6})) == "bad_shape");
  CHECK(outcome(variables.add_block("a", rows, {-6}, {0}, {6})) == "bad_shape");
  CHECK(outcome(variables.add_block("a", rows, {std::uint64_t{1} << 62, 4}, {0, 0}, {6, 1})) == "bad_shape");
  CHECK(outcome(variables.add_slot("a", "m", rows)) == "not_found");
  CHECK(variables.size() == 0);
  REQUIRE(variables.add_block("a", rows, {12}, {0}, {6}));
  const auto other = variables.add_block("a", doubles, {12}, {6}, {6});
  CHECK(outcome(other) == "dtype_mismatch");
  CHECK(other.error().subject() == "a");
  CHECK(outcome(variables.add_block("a", rows, {13}, {6}, {6})) == "shape_mismatch");
  CHECK(outcome(variables.add("a", rows)) == "duplicate_name");
  CHECK(outcome(variables.add_slot("a", "m", rows, 1)) == "not_found");
  CHECK(variables[0].blocks.size() == 1);
}

TEST_CASE("a block without elements has no place in memory") {
  std::vector<float> none;
  stet::sharded_variable_list variables;
  CHECK(variables.add_block("rows", none, {4, 3}, {4, 0}, {0, 3}));
  CHECK(variables.add("empty", none, {0, 5}));
  CHECK(variables[0].blocks[0].element_count() == 0);
}

} // namespace
