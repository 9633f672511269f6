// SPDX-License-Identifier: MIT
// The variables of a program of many ranks: each rank registers the blocks of them that it holds.
#ifndef STET_SHARDED_SHARDED_VARIABLES_HPP
#define STET_SHARDED_SHARDED_VARIABLES_HPP

#include "../store/store.hpp"
#include "../vocabulary/detail/borrowed.hpp"
#include "../vocabulary/detail/checked.hpp"
#include "../vocabulary/extents.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// A block of a variable, a box of its elements, in memory of this rank.
struct local_block {
  /// Where the box begins in the variable, for each of its axes.
  std::vector<std::uint64_t> start;
  /// The extents of the box, as many.
  std::vector<std::uint64_t> extents;
  /// The distance in memory between neighbours along each axis, in bytes.
  std::vector<std::size_t> strides_bytes;
  /// The first element. Null for a block without elements.
  std::byte* memory = nullptr;
  /// Whether the program may only read the elements.
  bool is_const = false;

  /// The number of elements.
  [[nodiscard]] std::uint64_t element_count() const noexcept {
    std::uint64_t count = 1;
    for (const std::uint64_t extent : extents) count *= extent;
    return count;
  }
  /// Sets the strides of elements that lie in memory row-major, without gaps.
  void become_row_major(std::size_t element_size_bytes) {
    strides_bytes.resize(extents.size());
    std::size_t step = element_size_bytes;
    for (std::size_t axis = extents.size(); axis-- > 0; step *= static_cast<std::size_t>(extents[axis]))
      strides_bytes[axis] = step;
  }
};

/// A variable of the whole program, and what of it this rank holds.
struct sharded_variable {
  /// The name, the same on every rank.
  std::string name;
  /// The variable whose slot this is; empty for a variable of its own.
  std::string slot_of;
  /// The layout of the elements; each has whole bytes of its own, in memory and when saved.
  element_layout layout;
  /// The extents of the whole variable, outermost first.
  std::vector<std::uint64_t> shape;
  /// True if training changes the variable.
  bool is_trainable = true;
  /// What this rank holds: any number of blocks, none of which share elements.
  std::vector<local_block> blocks;

  /// The size of an element.
  [[nodiscard]] std::size_t element_size_bytes() const noexcept { return layout.bits / 8u; }
};

/// The variables of a program of many ranks, on one of them. A rank need not register what it holds nothing of. The same block on
/// several ranks is a replica: nobody says so, and one of them saves it. Memory is the program's, which keeps it in place while the list
/// is used. Not for use by several threads at once.
///
///     stet::sharded_variable_list variables;
///     variables.add("norm/scale", scale);                                              // whole on each rank
///     variables.add_block("dense/kernel", rows, {784, 10}, {first_row, 0}, {row_count, 10}); // some rows on this rank
///
/// Errors of every `add`, the name being the subject: errc::bad_name, errc::duplicate_name if `add` is called for a name that was added,
/// errc::bad_shape if an extent is negative, a size overflows, or the block does not lie within the shape, errc::size_mismatch if the
/// memory is not as many elements as the block has, errc::dtype_mismatch and shape_mismatch if blocks of a name disagree.
class sharded_variable_list {
public:
  /// Adds a variable that this rank holds whole. Its one extent is the number of elements; those of a view are its own.
  template <class Memory>
    requires detail::borrowed_elements<Memory>
  result<void> add(std::string_view name, Memory&& memory) {
    const std::span elements(memory);
    return add_whole(name, elements, detail::own_extents(memory, elements.size()), true, {});
  }
  /// The same, of a shape.
  template <class Memory>
    requires detail::borrowed_elements<Memory>
  result<void> add(std::string_view name, Memory&& memory, const extents& shape, bool is_trainable = true) {
    return add_whole(name, std::span(memory), shape, is_trainable, {});
  }
  /// Adds a variable of one element, which this rank holds.
  template <element T>
  result<void> add(std::string_view name, T& value, const extents& shape = {}, bool is_trainable = true) {
    return add_whole(name, std::span<T>(&value, 1), shape, is_trainable, {});
  }

  /// Adds a block of a variable, which may have others on this rank.
  /// @param memory       the elements of the block, row-major
  /// @param shape        the extents of the whole variable
  /// @param start        where the block begins in it
  /// @param block_shape  the extents of the block
  template <class Memory>
    requires detail::borrowed_elements<Memory>
  result<void> add_block(std::string_view name, Memory&& memory, const extents& shape, const extents& start,
                         const extents& block_shape, bool is_trainable = true) {
    return insert(name, std::span(memory), shape, start, block_shape, {}, is_trainable, {});
  }
  /// The same for a block within a larger array.
  /// @param memory   from the first element of the block on, at least to its last
  /// @param strides  the distance between neighbours along each axis, in elements
  template <class Memory>
    requires detail::borrowed_elements<Memory>
  result<void> add_strided_block(std::string_view name, Memory&& memory, const extents& shape, const extents& start,
                                 const extents& block_shape, const extents& strides, bool is_trainable = true) {
    const std::span<const std::uint64_t> given = strides;
    if (given.size() != std::span<const std::uint64_t>(shape).size()) return error(errc::bad_shape, name);
    const std::span elements(memory);
    const std::span first = elements.first(given.empty() && !elements.empty() ? 1 : elements.size()); // of a scalar
    return insert(name, first, shape, start, block_shape, given, is_trainable, {});
  }

  /// Adds a slot, such as an optimizer's moment, of the variable called `of`: "OF/SLOT", of its shape, not trainable.
  /// @param memory  as many elements as block `number` of the owner on this rank has, row-major
  /// @retval errc::not_found  no variable is called `of`, or it has no block of this number here
  template <class Memory>
    requires detail::borrowed_elements<Memory>
  result<void> add_slot(std::string_view of, std::string_view slot, Memory&& memory, std::size_t number = 0) {
    const sharded_variable* const owner = find(of);
    if (owner == nullptr || number >= owner->blocks.size()) return error(errc::not_found, of);
    const local_block like = owner->blocks[number]; // a copy: the owner may move
    return insert(std::string(of) + "/" + std::string(slot), std::span(memory), extents(owner->shape),
                  extents(like.start), extents(like.extents), {}, false, of);
  }

  /// The number of variables of which this rank holds something.
  [[nodiscard]] std::size_t size() const noexcept { return variables_.size(); }
  /// Variable `number` < size(), in the order of registration.
  [[nodiscard]] const sharded_variable& operator[](std::size_t number) const noexcept { return variables_[number]; }
  /// The first variable.
  [[nodiscard]] auto begin() const noexcept { return variables_.begin(); }
  /// The end of the variables.
  [[nodiscard]] auto end() const noexcept { return variables_.end(); }
  /// The variable called `name`, or nullptr.
  [[nodiscard]] const sharded_variable* find(std::string_view name) const {
    const auto found = numbers_.find(std::string(name));
    return found == numbers_.end() ? nullptr : &variables_[found->second];
  }

private:
  friend class sharded_snapshot;
  template <class T, std::size_t Count>
  result<void> add_whole(std::string_view name, std::span<T, Count> memory, const extents& shape, bool is_trainable,
                         std::string_view slot_of) {
    if (find(name) != nullptr) return error(errc::duplicate_name, name);
    const std::vector<std::uint64_t> start(std::span<const std::uint64_t>(shape).size(), 0);
    return insert(name, memory, shape, extents(start), shape, {}, is_trainable, slot_of);
  }

  template <class T, std::size_t Count>
  result<void> insert(std::string_view name, std::span<T, Count> memory, const extents& shape, const extents& start,
                      const extents& block_shape, std::span<const std::uint64_t> strides, bool is_trainable,
                      std::string_view slot_of) {
    using value = std::remove_const_t<T>;
    sharded_variable of;
    of.name = name;
    of.slot_of = slot_of;
    of.layout = element_layout::of(dtype_of<value>::value);
    of.layout.bits = sizeof(value) * 8;
    of.shape.assign(std::span<const std::uint64_t>(shape).begin(), std::span<const std::uint64_t>(shape).end());
    of.is_trainable = is_trainable;
    const std::span<const std::uint64_t> begin = start, box = block_shape;
    local_block made;
    made.start.assign(begin.begin(), begin.end());
    made.extents.assign(box.begin(), box.end());
    made.memory = reinterpret_cast<std::byte*>(const_cast<value*>(memory.data()));
    made.is_const = std::is_const_v<T>;
    return insert(std::move(of), std::move(made), memory.size(), strides);
  }

  /// @param memory_count  how many elements there are in memory
  /// @param strides       in elements; none: row-major
  result<void> insert(sharded_variable&& of, local_block&& block, std::uint64_t memory_count,
                      std::span<const std::uint64_t> strides) {
    if (!detail::is_valid_name(of.name)) return error(errc::bad_name, of.name);
    const std::size_t rank = of.shape.size();
    if (rank > max_rank || block.start.size() != rank || block.extents.size() != rank)
      return error(errc::bad_shape, of.name);
    detail::element_counter all, own;
    std::uint64_t size_bytes = 0;
    for (std::size_t axis = 0; axis < rank; ++axis) {
      if (!all.multiply(of.shape[axis]) || !own.multiply(block.extents[axis]) ||
          !detail::range_fits(block.start[axis], block.extents[axis], of.shape[axis]))
        return error(errc::bad_shape, of.name);
    }
    if (!checked_size_bytes(all, of.layout, size_bytes)) return error(errc::bad_shape, of.name);
    if (auto placed = set_strides(of, block, own.element_count(), memory_count, strides); !placed) return placed;

    const auto [found, is_new] = numbers_.try_emplace(of.name, variables_.size());
    if (is_new) variables_.push_back(std::move(of));
    sharded_variable& into = variables_[found->second];
    if (!is_new) {
      if (into.layout.dtype != of.layout.dtype || into.layout.bits != of.layout.bits)
        return error(errc::dtype_mismatch, of.name);
      if (into.shape != of.shape) return error(errc::shape_mismatch, of.name);
    }
    into.blocks.push_back(std::move(block));
    return {};
  }

  static result<void> set_strides(const sharded_variable& of, local_block& block, std::uint64_t count,
                                  std::uint64_t memory_count, std::span<const std::uint64_t> strides) {
    const std::size_t rank = block.extents.size(), element = of.element_size_bytes();
    if (strides.empty()) {
      if (count != memory_count) return error(errc::size_mismatch, of.name);
      block.become_row_major(element);
      return {};
    }
    std::uint64_t last = 0; // element
    for (std::size_t axis = 0; axis < rank && count != 0; ++axis) {
      std::uint64_t distance = 0;
      if (!detail::checked_multiply(block.extents[axis] - 1, strides[axis], distance) ||
          !detail::checked_add(last, distance, last))
        return error(errc::bad_shape, of.name);
    }
    if (count != 0 && last >= memory_count) return error(errc::size_mismatch, of.name);
    block.strides_bytes.resize(rank);
    for (std::size_t axis = 0; axis < rank; ++axis) // of an axis of one element, it is not used
      block.strides_bytes[axis] = block.extents[axis] > 1 ? static_cast<std::size_t>(strides[axis]) * element : 0;
    return {};
  }

  std::vector<sharded_variable> variables_;
  std::unordered_map<std::string, std::size_t> numbers_;
};

} // namespace stet::inline STET_NAMESPACE

#endif
