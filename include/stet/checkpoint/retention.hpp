// SPDX-License-Identifier: MIT
// The rules by which checkpoints are kept.
#ifndef STET_CHECKPOINT_RETENTION_HPP
#define STET_CHECKPOINT_RETENTION_HPP

#include "../vocabulary/config.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// A checkpoint of a folder.
struct checkpoint_info {
  /// The global step at which it was saved.
  std::uint64_t step = 0;
  /// The path of the file, UTF-8.
  std::string path;
  /// The time at which it was saved, if the state file has it.
  std::optional<std::chrono::system_clock::time_point> saved_at;
  /// The quality of the program at this step, if the state file has it.
  std::optional<double> metric;
};

/// The direction of a metric: an accuracy is better if it is larger, a loss if it is smaller.
enum class better_metric : std::uint8_t { larger, smaller };

/// The rules for keeping checkpoints. A checkpoint is kept if any of the rules applies.
struct retention_rules {
  /// Keeps this number of the newest, by step; 0: all.
  std::size_t max_to_keep = 5;
  /// Keeps the first, and then each one that was saved at least this long after the last one that this rule keeps; 0: none.
  /// A checkpoint whose time is unknown is kept.
  std::chrono::milliseconds keep_every{0};
  /// Keeps those whose step is a multiple of this; 0: none.
  std::uint64_t keep_step_multiple = 0;
  /// Keeps this number of the best by metric, and the older of equal ones; 0: none.
  std::size_t keep_best = 0;
  /// The better direction of the metric.
  better_metric better = better_metric::larger;
};

/// Selects those of `all`, in ascending order of steps, that the rules keep; always the last one. Removing the others and
/// selecting again gives the same result.
inline std::vector<bool> select_kept(const std::vector<checkpoint_info>& all, const retention_rules& rules) {
  const std::size_t newest = rules.max_to_keep == 0 ? all.size() : (std::min)(rules.max_to_keep, all.size());
  std::vector<bool> kept(all.size());
  for (std::size_t i = all.size() - newest; i < all.size(); ++i) kept[i] = true;
  if (rules.keep_step_multiple != 0) {
    for (std::size_t i = 0; i < all.size(); ++i) kept[i] = kept[i] || all[i].step % rules.keep_step_multiple == 0;
  }
  if (rules.keep_every.count() > 0) {
    std::optional<std::chrono::system_clock::time_point> last;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto& saved_at = all[i].saved_at;
      // If the clock was set back, the time that has passed is unknown.
      const bool is_due = !saved_at || !last || *saved_at < *last || *saved_at - *last >= rules.keep_every;
      if (!is_due) continue;
      kept[i] = true;
      if (saved_at) last = saved_at;
    }
  }
  if (rules.keep_best != 0) {
    std::vector<std::size_t> ranked;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i].metric) ranked.push_back(i);
    }
    std::stable_sort(ranked.begin(), ranked.end(), [&](std::size_t a, std::size_t b) {
      return rules.better == better_metric::larger ? *all[a].metric > *all[b].metric : *all[a].metric < *all[b].metric;
    });
    ranked.resize((std::min)(ranked.size(), rules.keep_best));
    for (const std::size_t i : ranked) kept[i] = true;
  }
  return kept;
}

} // namespace stet::inline STET_NAMESPACE

#endif
