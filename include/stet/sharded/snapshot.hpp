// SPDX-License-Identifier: MIT
// A copy of the blocks of a rank at one moment.
#ifndef STET_SHARDED_SNAPSHOT_HPP
#define STET_SHARDED_SNAPSHOT_HPP

#include "detail/block_memory.hpp"
#include "sharded_variables.hpp"

#include "../manifest/detail/caught.hpp"
#include "../source/source.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// A copy of the blocks of a rank, in memory that is reused for the next copy. It does not refer to the program's list or memory. Not
/// safe from several threads at once.
class sharded_snapshot {
public:
  /// @param memory  the memory for the elements, which must outlive the snapshot; nullptr: the heap
  explicit sharded_snapshot(memory_resource* memory = nullptr) : memory_(memory) {}

  /// Copies every block. List and memory may change as soon as it returns. After an error the snapshot is empty.
  /// @retval errc::out_of_memory
  /// Cost: one memcpy of the blocks; memory is allocated only if they became larger, or their names other ones.
  result<void> take(const sharded_variable_list& of) noexcept {
    return detail::caught([&]() -> result<void> {
      held_ = {};
      std::uint64_t size_bytes = 0;
      visit_blocks(of, [&](const detail::block_memory& each) { size_bytes += place_bytes(each); });
      if (size_bytes > elements_.size_bytes()) {
        elements_ = source(); // first: there may not be enough memory for both
        result<source> made = source::allocate(size_bytes, memory_);
        if (!made) return errc::out_of_memory;
        elements_ = std::move(*made);
      }
      held_ = of;
      std::byte* to = elements_.writable_data();
      for (sharded_variable& each : held_.variables_) {
        for (local_block& block : each.blocks) {
          const detail::block_memory bytes(each, block);
          bytes.copy_elements_to(0, {to, static_cast<std::size_t>(bytes.size_bytes())});
          const std::uint64_t place = place_bytes(bytes);
          block.memory = to;
          block.become_row_major(each.element_size_bytes());
          to += static_cast<std::size_t>(place);
        }
      }
      return {};
    });
  }

  /// The copied blocks, in memory of the snapshot. Lives as long as the snapshot.
  [[nodiscard]] const sharded_variable_list& variables() const noexcept { return held_; }

private:
  template <class Visit> static void visit_blocks(const sharded_variable_list& of, Visit visit) {
    for (const sharded_variable& each : of) {
      for (const local_block& block : each.blocks) visit(detail::block_memory(each, block));
    }
  }
  /// Whole cache lines.
  static std::uint64_t place_bytes(const detail::block_memory& of) noexcept {
    constexpr std::uint64_t line_bytes = 64;
    return (of.size_bytes() + line_bytes - 1) / line_bytes * line_bytes;
  }

  sharded_variable_list held_;
  memory_resource* memory_;
  source elements_;
};

} // namespace stet::inline STET_NAMESPACE

#endif
