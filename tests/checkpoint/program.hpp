// SPDX-License-Identifier: MIT
// A program that trains: a few variables, a random number generator, and steps that depend on every bit of both.
#ifndef STET_TESTS_CHECKPOINT_PROGRAM_HPP
#define STET_TESTS_CHECKPOINT_PROGRAM_HPP

#include <stet/json.hpp>
#include <stet/checkpoint/manager.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace stet_test {

class program {
public:
  /// @param frozen_size  elements that training does not change; 0: none
  explicit program(std::size_t size = 100, std::size_t frozen_size = 0)
      : kernel(size, 0.5F), moment(size, 0.0), frozen(frozen_size, 7) {
    if (frozen_size != 0) (void)variables.add("frozen", frozen, {frozen_size}, false);
    (void)variables.add("dense/kernel", kernel, {size});
    (void)variables.add_slot("dense/kernel", "Adam/m", moment);
    (void)variables.add("seen", std::span<std::uint64_t>(&seen, 1), {}, false);
  }
  program(const program&) = delete;
  program& operator=(const program&) = delete;

  /// One step of training: everything changes.
  void train() {
    for (std::size_t i = 0; i < kernel.size(); ++i) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      const double gradient = static_cast<double>(random >> 40) / 16777216.0 - 0.5;
      moment[i] = 0.9 * moment[i] + rate * gradient;
      kernel[i] -= static_cast<float>(moment[i]);
    }
    seen += kernel.size();
    rate *= 0.99999;
    ++step;
  }
  void train_until(std::uint64_t last) {
    while (step < last) train();
  }

  [[nodiscard]] stet::session_state session() const {
    stet::session_state made;
    made.global_step = step;
    made.random = stet::json_value{{"state", random}};
    made.optimizer = stet::json_value{{"rate", rate}};
    return made;
  }
  void resume(const stet::session_state& from) {
    step = from.global_step;
    random = stet::to_json_value(from.random).value("state", std::uint64_t{0});
    rate = stet::to_json_value(from.optimizer).value("rate", 0.0);
  }

  std::vector<float> kernel;
  std::vector<double> moment;
  std::vector<std::uint16_t> frozen;
  std::uint64_t seen = 0, random = 0xFEDCBA9876543210u, step = 0;
  double rate = 0.1;
  stet::variable_list variables;
};

/// What the elements of a program that trained for `step` steps must be.
inline bool is_at_step(const stet::store& of, std::uint64_t step, std::size_t size = 100, std::size_t frozen_size = 0) {
  program expected(size, frozen_size);
  expected.train_until(step);
  const auto kernel = of.get<float>("dense/kernel");
  const auto moment = of.get<double>("dense/kernel/Adam/m");
  const auto frozen = of.get<std::uint16_t>("frozen");
  if (frozen ? !std::equal(frozen->begin(), frozen->end(), expected.frozen.begin(), expected.frozen.end())
             : frozen_size != 0)
    return false;
  return kernel && moment &&
         std::equal(kernel->begin(), kernel->end(), expected.kernel.begin(), expected.kernel.end()) &&
         std::equal(moment->begin(), moment->end(), expected.moment.begin(), expected.moment.end()) &&
         of.verify_checksums();
}

/// The steps of all checkpoints in a folder.
inline std::vector<std::uint64_t> steps_in(const stet::checkpoint_folder& folder) {
  std::vector<std::uint64_t> steps;
  const auto all = folder.all();
  for (std::size_t i = 0; all && i < all->size(); ++i) steps.push_back((*all)[i].step);
  return steps;
}

/// A clock that is where the test puts it.
class manual_clock {
public:
  [[nodiscard]] std::function<std::chrono::system_clock::time_point()> function() const {
    return [this] { return now; };
  }
  std::chrono::system_clock::time_point now{std::chrono::seconds(1'700'000'000)};
};

} // namespace stet_test

#endif
