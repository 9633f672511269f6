// SPDX-License-Identifier: MIT
// Finds equal names among many, whoever chose them, and tells safe names of files from others.
#ifndef STET_MANIFEST_NAMES_HPP
#define STET_MANIFEST_NAMES_HPP

#include "../index/name_hash.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace stet::inline v0_1::detail {

/// Names and their numbers, in the order of hash, then bytes, then number. Sorting, not hashing into slots:
/// names made to collide cost a comparison of strings instead of one of integers, and nothing becomes
/// quadratic. Views the names.
class name_table {
 public:
  static constexpr std::size_t none = ~std::size_t{0};

  /// Makes room for `count` names.
  void reserve(std::size_t count) { entries_.reserve(count); }
  /// Adds `name`, whose number is the count of names before it.
  void add(std::string_view name) { entries_.push_back({hash_name(name, 0), name, entries_.size()}); }
  /// Puts the names in order, as the calls below require.
  void sort() { std::sort(entries_.begin(), entries_.end(), is_before); }

  /// The number of a name that an earlier one equals; `none` if all differ.
  [[nodiscard]] std::size_t duplicate() const {
    const auto found =
        std::adjacent_find(entries_.begin(), entries_.end(), [](const entry& a, const entry& b) {
          return a.hash == b.hash && a.name == b.name;
        });
    return found == entries_.end() ? none : (found + 1)->number;
  }
  /// The number of `name`; `none` if it was not added.
  [[nodiscard]] std::size_t number_of(std::string_view name) const {
    const auto found =
        std::lower_bound(entries_.begin(), entries_.end(), entry{hash_name(name, 0), name, 0}, is_before);
    return found != entries_.end() && found->name == name ? found->number : none;
  }

 private:
  struct entry {
    std::uint64_t hash;
    std::string_view name;
    std::size_t number;
  };
  static bool is_before(const entry& a, const entry& b) {
    if (a.hash != b.hash)
      return a.hash < b.hash;
    if (const int order = a.name.compare(b.name); order != 0)
      return order < 0;
    return a.number < b.number;
  }
  std::vector<entry> entries_;
};

/// The number of a name that an earlier one equals, among the `count` that `name_at` gives by number;
/// `name_table::none` if all differ. Cost: n log n; allocates nothing for few names.
template <class NameAt> std::size_t find_duplicate(std::size_t count, NameAt name_at) {
  constexpr std::size_t few = 16;
  if (count <= few) {
    for (std::size_t i = 1; i < count; ++i) {
      const std::string_view name = name_at(i);
      for (std::size_t j = 0; j < i; ++j) {
        if (name_at(j) == name)
          return i;
      }
    }
    return name_table::none;
  }
  name_table table;
  table.reserve(count);
  for (std::size_t i = 0; i < count; ++i)
    table.add(name_at(i));
  table.sort();
  return table.duplicate();
}

} // namespace stet::inline v0_1::detail

#endif
