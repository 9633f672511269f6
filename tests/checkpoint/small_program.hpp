// SPDX-License-Identifier: MIT
// A program with a few variables, and its saves: whole, and as deltas.
#ifndef STET_TESTS_CHECKPOINT_SMALL_PROGRAM_HPP
#define STET_TESTS_CHECKPOINT_SMALL_PROGRAM_HPP

#include <stet/json.hpp>
#include <stet/checkpoint/delta.hpp>
#include <stet/restore.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#if STET_FILES

namespace stet_test {

/// A program with a few variables; a test changes the vectors, and registers what it likes.
struct small_program {
  std::vector<float> kernel = std::vector<float>(5000), bias = std::vector<float>(10);
  std::vector<stet::int4> codes = std::vector<stet::int4>(7, stet::int4(3));
  std::vector<std::int64_t> step = {0};

  small_program() {
    std::iota(kernel.begin(), kernel.end(), 1.0F);
    std::iota(bias.begin(), bias.end(), -5.0F);
  }
  [[nodiscard]] stet::variable_list variables(bool is_trainable = true) {
    stet::variable_list all;
    CHECK(all.add("dense/kernel", kernel, {500, 10}, is_trainable));
    CHECK(all.add("dense/bias", bias, {10}));
    CHECK(all.add("codes", codes, {7}));
    CHECK(all.add("step", step, {}, false));
    return all;
  }
};

/// Fields that are not tensors.
inline void describe(stet::writer& to, std::uint64_t step) {
  to.state = stet::json_value{{"global_step", step}};
  to.metadata = stet::json_value{{"note", "step " + std::to_string(step)}};
}

/// Saves all variables.
inline stet::result<stet::save_report> save_whole(const stet::variable_list& from, const std::string& path,
                                                  std::uint64_t step = 1) {
  stet::writer out;
  describe(out, step);
  if (auto added = stet::add_variables(out, from); !added) return added.error();
  return out.save(path);
}

/// Saves what differs from the checkpoint at `base_path`.
inline stet::result<stet::delta_report> save_delta(const stet::variable_list& from, const std::string& base_path,
                                                   const std::string& path, std::uint64_t step = 1) {
  const auto base = stet::open_checkpoint(base_path);
  if (!base) return base.error();
  stet::writer out;
  describe(out, step);
  auto report = stet::add_changed(out, from, *base);
  if (!report) return report;
  if (auto saved = out.save(path); !saved) return saved.error();
  return report;
}

} // namespace stet_test

#endif

#endif
