// SPDX-License-Identifier: MIT
// Finds equal names among many, also if they were chosen to collide.
#ifndef STET_MANIFEST_DETAIL_NAMES_HPP
#define STET_MANIFEST_DETAIL_NAMES_HPP

#include "../../index/detail/name_hash.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Names and their numbers, sorted by hash, then bytes, then number. It sorts and has no hash slots, so that names made to
/// collide cost string comparisons, but never quadratic time. Views the names.
class name_table {
public:
  static constexpr std::size_t none = ~std::size_t{0};

  /// Reserves memory for `count` names.
  void reserve(std::size_t count) { entries_.reserve(count); }
  /// Adds `name`, whose number is the count of names before it.
  void add(std::string_view name) { entries_.push_back({hash_name(name, 0), name, entries_.size()}); }
  /// Sorts the names; the calls below require it.
  void sort() {
    std::sort(entries_.begin(), entries_.end(), is_before);
    // The order begins with the upper bits of the hash, so that they lead to a few entries at once.
    unsigned bits = 1;
    while (bits < 31 && (std::size_t{1} << bits) < entries_.size()) ++bits;
    shift_ = 64 - bits;
    first_.resize((std::size_t{1} << bits) + 1);
    std::size_t at = 0;
    for (std::size_t bucket = 0; bucket < first_.size(); ++bucket) {
      while (at < entries_.size() && entries_[at].hash >> shift_ < bucket) ++at;
      first_[bucket] = static_cast<std::uint32_t>(at);
    }
  }

  /// The number of a name that an earlier one equals; `none` if all differ.
  [[nodiscard]] std::size_t duplicate() const {
    const auto found = std::adjacent_find(entries_.begin(), entries_.end(), [](const entry& a, const entry& b) {
      return a.hash == b.hash && a.name == b.name;
    });
    return found == entries_.end() ? none : (found + 1)->number;
  }
  /// The number of `name`, the least where it was added more than once; `none` if it was not added. Cost: the
  /// same for any count of names, unless they were made to collide; never more than log n comparisons.
  [[nodiscard]] std::size_t number_of(std::string_view name) const {
    if (entries_.empty()) return none;
    const entry sought{hash_name(name, 0), name, 0};
    const auto bucket = static_cast<std::size_t>(sought.hash >> shift_);
    const auto at = [&](std::uint32_t i) { return entries_.begin() + static_cast<std::ptrdiff_t>(i); };
    const auto last = at(first_[bucket + 1]);
    const auto found = std::lower_bound(at(first_[bucket]), last, sought, is_before);
    return found != last && found->name == name ? found->number : none;
  }

private:
  struct entry {
    std::uint64_t hash;
    std::string_view name;
    std::size_t number;
  };
  static bool is_before(const entry& a, const entry& b) {
    if (a.hash != b.hash) return a.hash < b.hash;
    if (const int order = a.name.compare(b.name); order != 0) return order < 0;
    return a.number < b.number;
  }
  std::vector<entry> entries_;
  /// Where the entries of each bucket begin, and where the last ends.
  std::vector<std::uint32_t> first_;
  unsigned shift_ = 0;
};

/// The number of a name that an earlier one equals, among the `count` that `name_at` gives by number;
/// `name_table::none` if all differ. Cost: n log n; allocates nothing for few names.
template <class NameAt> std::size_t find_duplicate(std::size_t count, NameAt name_at) {
  constexpr std::size_t few = 16;
  if (count <= few) {
    for (std::size_t i = 1; i < count; ++i) {
      const std::string_view name = name_at(i);
      for (std::size_t j = 0; j < i; ++j) {
        if (name_at(j) == name) return i;
      }
    }
    return name_table::none;
  }
  name_table table;
  table.reserve(count);
  for (std::size_t i = 0; i < count; ++i) table.add(name_at(i));
  table.sort();
  return table.duplicate();
}

/// True if `text` is UTF-8. It may hold NULs.
inline bool is_utf8(std::string_view text) noexcept {
  for (;;) {
    const std::size_t end = text.find('\0');
    if (!is_utf8_without_nul(text.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
