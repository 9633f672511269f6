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
  /// Its file, UTF-8.
  std::string path;
  /// When it was saved, and how good the program was, as far as the state file knows.
  std::optional<std::chrono::system_clock::time_point> saved_at;
  /// The quality of the program at this step, if it is known.
  std::optional<double> metric;
};

/// Which of two metrics is the better one: an accuracy is better larger, a loss smaller.
enum class better_metric : std::uint8_t { larger, smaller };

/// What to keep: a checkpoint stays if any of these wants it.
struct retention_rules {
  /// The newest, by step; 0: all.
  std::size_t max_to_keep = 5;
  /// The first, and then each that was saved at least so long after the last one kept for this; 0: none. One of which the
  /// time is not known stays, since nothing says that it may go.
  std::chrono::milliseconds keep_every{0};
  /// Those whose step is a multiple of this; 0: none.
  std::uint64_t keep_step_multiple = 0;
  /// The best by their metric, the older of equals; 0: none.
  std::size_t keep_best = 0;
  /// Whether a larger or a smaller metric is better.
  better_metric better = better_metric::larger;
};

/// Which of `all`, in ascending order of steps, the rules want; the last one always. Removing the others and asking again
/// gives the same answer.
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
      // A clock that was set back says nothing about how much time went by.
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
