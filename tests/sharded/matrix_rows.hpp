// SPDX-License-Identifier: MIT
// A program of some ranks: what each has of a matrix.
#ifndef STET_TESTS_SHARDED_MATRIX_ROWS_HPP
#define STET_TESTS_SHARDED_MATRIX_ROWS_HPP

#include "support/outcome.hpp"

#include <stet/checkpoint/manager.hpp>
#include <stet/sharded/sharded_variables.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace stet_test {

/// Nobody switches the power off in these tests.
inline stet::checkpoint_options not_durable() {
  stet::checkpoint_options options;
  options.save.is_durable = false;
  return options;
}

/// Some rows of a matrix of twelve.
struct matrix_rows {
  matrix_rows(std::uint32_t rank, std::uint32_t rank_count)
      : first(rank * 12 / rank_count), count((rank + 1) * 12 / rank_count - first) {
    values.resize(static_cast<std::size_t>(count) * 4);
    added = outcome(variables.add_block("kernel", values, {12, 4}, {first, 0}, {count, 4}));
  }
  void fill(float with) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = with + static_cast<float>(first * 4 + i);
  }
  [[nodiscard]] bool is(float with) const {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] != with + static_cast<float>(first * 4 + i)) return false;
    }
    return true;
  }
  std::uint64_t first, count;
  std::vector<float> values;
  stet::sharded_variable_list variables;
  std::string added;
};

} // namespace stet_test

#endif
