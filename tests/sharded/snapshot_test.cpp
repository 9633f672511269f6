// SPDX-License-Identifier: MIT
#include <stet/sharded/snapshot.hpp>

#include "support/counted_memory.hpp"
#include "support/outcome.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

namespace {

TEST_CASE("a snapshot has the blocks as they were, row-major, whatever strides the program has") {
  std::vector<float> array(4 * 6), rows(2 * 3);
  for (std::size_t i = 0; i < array.size(); ++i) array[i] = static_cast<float>(i);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(100 + i);
  stet::sharded_variable_list variables;
  REQUIRE(
      variables.add_strided_block("a", std::span<const float>(array).subspan(7, 15), {8, 8}, {1, 2}, {3, 3}, {6, 1}));
  REQUIRE(variables.add_block("b", rows, {2, 3}, {0, 0}, {2, 3}));
  stet::sharded_snapshot copied;
  REQUIRE(copied.take(variables));
  array.assign(array.size(), -1.0f);
  rows.assign(rows.size(), -1.0f);
  variables = {};
  const stet::sharded_variable_list& held = copied.variables();
  REQUIRE(held.size() == 2);
  const stet::local_block& block = held[0].blocks[0];
  CHECK(block.start == std::vector<std::uint64_t>{1, 2});
  CHECK(block.strides_bytes == std::vector<std::size_t>{12, 4});
  float values[9];
  std::memcpy(values, block.memory, sizeof values);
  CHECK(values[0] == 7.0f);
  CHECK(values[4] == 14.0f);
  CHECK(values[8] == 21.0f);
  std::memcpy(values, held[1].blocks[0].memory, 6 * sizeof(float));
  CHECK(values[5] == 105.0f);
}

TEST_CASE("its memory is reused, and that there is none is an error that leaves it empty") {
  stet_test::counted_memory memory(1);
  std::vector<float> rows(1000);
  stet::sharded_variable_list variables;
  REQUIRE(variables.add("a", rows));
  stet::sharded_snapshot copied(&memory);
  REQUIRE(copied.take(variables));
  const std::byte* const before = copied.variables()[0].blocks[0].memory;
  REQUIRE(copied.take(variables));
  CHECK(copied.variables()[0].blocks[0].memory == before);
  std::vector<float> more(5000);
  REQUIRE(variables.add("b", more));
  CHECK(stet_test::outcome(copied.take(variables)) == "out_of_memory");
  CHECK(copied.variables().size() == 0);
}

} // namespace
