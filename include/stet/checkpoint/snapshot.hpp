// SPDX-License-Identifier: MIT
// What the variables of a program hold at one moment.
#ifndef STET_CHECKPOINT_SNAPSHOT_HPP
#define STET_CHECKPOINT_SNAPSHOT_HPP

#include "add_variables.hpp"

#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

namespace stet::inline v0_1 {

/// A copy of the elements of a program's variables, in memory that is used again for the next one. Not for use by several
/// threads at once.
class snapshot {
public:
  /// @param memory  where the copies are to be; it must outlive the snapshot; nullptr: on the heap
  explicit snapshot(memory_resource* memory = nullptr) noexcept : memory_(memory) {}

  /// Makes room for these variables, and touches it, so that the first `take` finds its pages there.
  /// @retval errc::out_of_memory
  result<void> reserve(const variable_list& of) {
    const std::size_t size_bytes = place(of);
    if (size_bytes <= elements_.size_bytes()) return {};
    elements_ = source();
    result<source> made = source::allocate(size_bytes, memory_);
    if (!made) {
      of_ = nullptr;
      return made.error();
    }
    elements_ = std::move(*made);
    std::memset(elements_.writable_data(), 0, size_bytes);
    return {};
  }

  /// Copies the elements of every variable. The list is borrowed: it must stay as it is while the snapshot is used; the
  /// variables may change.
  /// @retval errc::out_of_memory  nothing is held any more
  /// Cost: one memcpy of the variables; memory is allocated only if they became larger.
  result<void> take(const variable_list& of) {
    if (auto reserved = reserve(of); !reserved) return reserved;
    of_ = &of;
    for (std::size_t number = 0; number < of.size(); ++number) {
      const std::span<const std::byte> from = of[number].bytes();
      if (!from.empty()) std::memcpy(elements_.writable_data() + offsets_[number], from.data(), from.size());
    }
    return {};
  }

  /// The variables that were copied, or nullptr before the first `take`.
  [[nodiscard]] const variable_list* variables() const noexcept { return of_; }
  /// The copied elements of variable `number` < variables()->size().
  [[nodiscard]] std::span<const std::byte> bytes(std::size_t number) const noexcept {
    return {elements_.data() + offsets_[number], (*of_)[number].size_bytes()};
  }

private:
  /// Gives each variable a place, apart by cache lines. @return the size of all
  std::size_t place(const variable_list& of) {
    constexpr std::size_t line_bytes = 64;
    offsets_.clear();
    std::size_t end = 0;
    for (const variable& each : of) {
      offsets_.push_back(end);
      end += (each.size_bytes() + line_bytes - 1) / line_bytes * line_bytes;
    }
    return end;
  }

  const variable_list* of_ = nullptr;
  std::vector<std::size_t> offsets_;
  memory_resource* memory_;
  source elements_;
};

/// Adds every variable as it was when the snapshot was taken, which must stay until the last save.
/// @retval errc::invalid_argument  nothing was taken; or the errors of `writer::add`
inline result<void> add_variables(writer& to, const snapshot& of) {
  if (of.variables() == nullptr) return errc::invalid_argument;
  for (std::size_t number = 0; number < of.variables()->size(); ++number) {
    const variable& each = (*of.variables())[number];
    if (auto added = add_variable(to, each, each.name(), of.bytes(number)); !added) return added;
  }
  return {};
}

} // namespace stet::inline v0_1

#endif
