// SPDX-License-Identifier: MIT
// Finds equal names among many, whoever chose them, and tells safe paths from others.
#ifndef STET_MANIFEST_NAMES_HPP
#define STET_MANIFEST_NAMES_HPP

#include "../index/name_hash.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline v0_1::detail {

/// Names and their numbers, in the order of hash, then bytes, then number. Sorting, not hashing into slots: names made to
/// collide cost a comparison of strings instead of one of integers, and nothing becomes quadratic. Views the names.
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
    const auto found = std::adjacent_find(entries_.begin(), entries_.end(), [](const entry& a, const entry& b) {
      return a.hash == b.hash && a.name == b.name;
    });
    return found == entries_.end() ? none : (found + 1)->number;
  }
  /// The number of `name`; `none` if it was not added.
  [[nodiscard]] std::size_t number_of(std::string_view name) const {
    const auto found = std::lower_bound(entries_.begin(), entries_.end(), entry{hash_name(name, 0), name, 0}, is_before);
    return found != entries_.end() && found->name == name ? found->number : none;
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
};

/// A name that occurs twice, or nullptr. Cost: n log n; allocates nothing for few names.
inline const std::string* find_duplicate(std::span<const std::string> names) {
  constexpr std::size_t few = 16;
  if (names.size() <= few) {
    for (std::size_t i = 1; i < names.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (names[i] == names[j]) return &names[i];
      }
    }
    return nullptr;
  }
  name_table table;
  table.reserve(names.size());
  for (const std::string& name : names) table.add(name);
  table.sort();
  const std::size_t duplicate = table.duplicate();
  return duplicate == name_table::none ? nullptr : &names[duplicate];
}

/// Whether `path` names a file in a folder or in one below it, on every platform: relative, '/' between its parts, no part
/// that a file system takes for another place or cuts short ("..", "x."; "x " on Windows), no drive, no stream.
inline bool is_safe_relative_path(std::string_view path) noexcept {
  if (!is_valid_name(path)) return false;
  char before = '/';
  for (std::size_t i = 0; i <= path.size(); ++i) {
    const char c = i < path.size() ? path[i] : '/';
    const unsigned char code = static_cast<unsigned char>(c);
    if (code < 0x20u || code == 0x7Fu || c == '\\' || c == ':') return false;
    // U+0080 … U+009F command terminals as the lower ones do.
    if (before == '\xC2' && code < 0xA0u && code >= 0x80u) return false;
    if (c == '/' && (before == '/' || before == '.' || before == ' ')) return false;
    before = c;
  }
  return true;
}

} // namespace stet::inline v0_1::detail

#endif
