// SPDX-License-Identifier: MIT
// Contenders that take turns in one run, so that what disturbs the machine disturbs all of them; medians, ratios, goals.
#ifndef STET_BENCHMARKS_CONTEST_HPP
#define STET_BENCHMARKS_CONTEST_HPP

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bench {

/// Ends the program when a result is not the expected one: a wrong answer has no speed.
inline void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "wrong result: %s\n", what);
  std::exit(1);
}

/// Seconds that `work` takes.
template <class Work> double seconds_of(Work&& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// The middle one of `values`, which are put in another order.
inline double median_of(std::span<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Contenders for the same task. Each round every one has a turn, forwards in one round and backwards in the next.
class contest {
public:
  /// A turn returns the seconds of what is to be measured; it may do more before and after.
  using turn = std::function<double()>;

  /// With `warm`, each turn is preceded by one that does not count, so that nobody pays for the caches that another left.
  explicit contest(bool warm) : is_warm_(warm) {}

  void add(std::string name, turn of) { contenders_.push_back({std::move(name), std::move(of), {}}); }

  /// Adds to the report: seconds per item of `name`, at most `limit`.
  void expect_at_most(std::string_view name, double limit) { goals_.push_back({name, {}, limit, true}); }
  /// Adds to the report: the ratio of two contenders' seconds, at most or at least `limit`.
  void expect_ratio_at_most(std::string_view of, std::string_view to, double limit) {
    goals_.push_back({of, to, limit, true});
  }
  void expect_ratio_at_least(std::string_view of, std::string_view to, double limit) {
    goals_.push_back({of, to, limit, false});
  }

  /// Runs rounds as long as `state` wants; seconds per item become counters, the goals the label.
  void run(benchmark::State& state, double item_count) {
    bool forwards = true;
    for (auto _ : state) {
      double round = 0;
      for (std::size_t i = 0; i < contenders_.size(); ++i) {
        contender& next = contenders_[forwards ? i : contenders_.size() - 1 - i];
        if (is_warm_) (void)next.of();
        next.seconds.push_back(next.of());
        round += next.seconds.back();
      }
      forwards = !forwards;
      state.SetIterationTime(round);
    }
    for (contender& each : contenders_) {
      each.median = median_of(each.seconds) / item_count;
      state.counters[each.name] = each.median;
    }
    std::string label;
    for (const goal& each : goals_) label += text_of(each);
    state.SetLabel(label);
  }

private:
  struct contender {
    std::string name;
    turn of;
    std::vector<double> seconds;
    double median = 0;
  };
  struct goal {
    std::string_view of, to;
    double limit;
    bool is_most;
  };

  [[nodiscard]] const contender* find(std::string_view name) const {
    const auto found =
        std::find_if(contenders_.begin(), contenders_.end(), [&](const contender& c) { return c.name == name; });
    return found == contenders_.end() ? nullptr : &*found;
  }
  [[nodiscard]] std::string text_of(const goal& of) const {
    const contender *first = find(of.of), *second = find(of.to);
    if (first == nullptr || (second == nullptr && !of.to.empty())) return {}; // a peer that could not be built
    const double unit = second == nullptr ? 1e-9 : second->median;
    const double value = first->median / unit;
    const bool is_met = of.is_most ? value <= of.limit : value >= of.limit;
    char text[160];
    std::snprintf(text, sizeof text, "%.*s%s%.*s %.3g (%s %g%s) ", static_cast<int>(of.of.size()), of.of.data(),
                  second == nullptr ? " ns" : "/", static_cast<int>(of.to.size()), of.to.data(), value,
                  of.is_most ? "<=" : ">=", of.limit, is_met ? "" : ", MISSED");
    return text;
  }

  bool is_warm_;
  std::vector<contender> contenders_;
  std::vector<goal> goals_;
};

} // namespace bench

#endif
