// SPDX-License-Identifier: MIT
// A copy of the variables of a program at one moment.
#ifndef STET_CHECKPOINT_SNAPSHOT_HPP
#define STET_CHECKPOINT_SNAPSHOT_HPP

#include "add_variables.hpp"
#include "../manifest/detail/caught.hpp"

#include "../vocabulary/detail/checked.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// A copy of the variables of a program: their descriptions, the presence of optional ones, and their elements, in memory that is
/// reused for the next copy. The copy does not refer to the program's list, memory or views. Not safe from several threads at
/// once.
class snapshot {
public:
  /// @param memory  the memory for the elements, which must outlive the snapshot; nullptr: the heap
  explicit snapshot(memory_resource* memory = nullptr) : memory_(memory) {}

  /// Allocates memory for these variables, including absent ones, and touches it, so that the first `take` causes no page faults.
  /// If more memory is needed, an earlier copy is dropped.
  /// @retval errc::out_of_memory
  result<void> reserve(const variable_list& of) {
    std::uint64_t size_bytes = 0;
    for (const variable& each : of) {
      if (!detail::checked_add(size_bytes, place_bytes(each), size_bytes)) return errc::out_of_memory;
    }
    if (size_bytes <= elements_.size_bytes()) return {};
    is_taken_ = false;
    elements_ = source(); // first: there may not be enough memory for both
    result<source> made = source::allocate(size_bytes, memory_);
    if (!made) return errc::out_of_memory;
    elements_ = std::move(*made);
    std::memset(elements_.writable_data(), 0, static_cast<std::size_t>(size_bytes));
    return {};
  }

  /// Copies every variable. List, memory and views may change as soon as it returns.
  /// @retval errc::out_of_memory  or
  /// @retval errc::size_mismatch  a required view is empty, or the extents of a view have changed since it was added; the
  ///                              snapshot is then empty
  /// Cost: one memcpy of the variables; memory is allocated only if they, or their names, became larger.
  result<void> take(const variable_list& of) {
    is_taken_ = false;
    if (auto reserved = reserve(of); !reserved) return reserved;
    return detail::caught([&]() -> result<void> {
      held_.assign(of);
      std::byte* to = elements_.writable_data();
      for (variable& each : held_.variables_) {
        const std::span<const std::byte> from = each.bytes();
        const bool is_there = from.data() != nullptr || !each.is_optional();
        if (is_there && from.size() != each.size_bytes()) return error(errc::size_mismatch, each.name());
        if (!from.empty()) std::memcpy(to, from.data(), from.size());
        each.move_to(is_there ? to : nullptr);
        to += static_cast<std::size_t>(place_bytes(each));
      }
      is_taken_ = true;
      return {};
    });
  }

  /// The copied variables, in memory of the snapshot; nullptr if it is empty. Lives as long as the snapshot.
  [[nodiscard]] const variable_list* variables() const noexcept { return is_taken_ ? &held_ : nullptr; }
  /// The copied elements of variable `number` < variables()->size(); empty if it was absent.
  [[nodiscard]] std::span<const std::byte> bytes(std::size_t number) const noexcept { return held_[number].bytes(); }

private:
  /// The size that a variable occupies: whole cache lines, at least one, so that an empty variable also has an address.
  static std::uint64_t place_bytes(const variable& of) noexcept {
    constexpr std::uint64_t line_bytes = 64;
    return (of.size_bytes() / line_bytes + 1) * line_bytes;
  }

  bool is_taken_ = false;
  variable_list held_;
  memory_resource* memory_;
  source elements_;
};

/// Adds every variable of a snapshot to a writer. The snapshot must stay until the last save.
/// @retval errc::invalid_argument  the snapshot is empty; or the errors of `writer::add`
inline result<void> add_variables(writer& to, const snapshot& of) {
  if (of.variables() == nullptr) return errc::invalid_argument;
  return add_variables(to, *of.variables());
}

} // namespace stet::inline STET_NAMESPACE

#endif
