// SPDX-License-Identifier: MIT
// Tensors and partitions made from a seed: what each rank holds of them, and whether it is what it has to be.
#ifndef SHARDED_BLOCKS_HPP
#define SHARDED_BLOCKS_HPP

#include "../digits/random.hpp"

#include <stet/sharded/sharded_variables.hpp>
#include <stet/vocabulary/narrow_float.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace sharded {

using extents = std::vector<std::uint64_t>;

/// Numbers from a seed, the same on every rank.
class dice {
public:
  explicit dice(std::uint64_t seed) noexcept : random_{seed} { (void)random_.next(); }
  /// A number less than `bound`.
  std::uint64_t below(std::uint64_t bound) noexcept { return random_.below(bound); }
  /// Whether one of `times` happens.
  bool once_in(std::uint64_t times) noexcept { return below(times) == 0; }

private:
  digits::splitmix64 random_;
};

// ---- tensors ----

/// A tensor of the whole program.
struct tensor {
  std::string name;
  std::size_t type = 0; ///< the number of a type in `with_type`
  extents shape;

  std::uint64_t element_count() const noexcept {
    return std::accumulate(shape.begin(), shape.end(), std::uint64_t{1}, [](auto a, auto b) { return a * b; });
  }
};

inline constexpr std::size_t type_count = 9;

/// Calls `visit(std::type_identity<T>())` with one of the types.
template <class Visit> void with_type(std::size_t number, Visit visit) {
  std::size_t at = 0;
  const auto pick = [&]<class... T>(std::type_identity<T>... types) {
    ((at++ == number ? visit(types) : void()), ...);
  };
  pick(std::type_identity<float>(), std::type_identity<double>(), std::type_identity<std::int8_t>(),
       std::type_identity<std::uint16_t>(), std::type_identity<std::int32_t>(), std::type_identity<std::int64_t>(),
       std::type_identity<bool>(), std::type_identity<stet::float16>(), std::type_identity<stet::bfloat16>());
}
inline std::size_t size_of(std::size_t type) {
  std::size_t size = 0;
  with_type(type, [&]<class T>(std::type_identity<T>) { size = sizeof(T); });
  return size;
}

/// One to twelve tensors of up to five axes, among them scalars and some without elements.
inline std::vector<tensor> make_tensors(std::uint64_t seed) {
  dice random(seed);
  std::vector<tensor> made(1 + random.below(12));
  for (std::size_t i = 0; i < made.size(); ++i) {
    made[i].name = "layer_" + std::to_string(random.below(4)) + "/tensor_" + std::to_string(i);
    made[i].type = random.below(type_count);
    std::uint64_t room = 1 + random.below(30000);
    for (std::uint64_t axes = random.below(6); axes > 0; --axes) {
      const std::uint64_t extent = 1 + random.below((std::min)(room, std::uint64_t{90}));
      made[i].shape.push_back(random.once_in(60) ? 0 : extent);
      room /= extent;
    }
  }
  return made;
}

/// The bits of an element, of which it has as many as its type takes: those of its place in its tensor, scrambled.
inline std::uint64_t bits_of(std::uint64_t seed, std::size_t tensor_number, const tensor& of,
                             std::uint64_t element) noexcept {
  digits::splitmix64 scrambler{(seed * 1000 + tensor_number) * 0x9E3779B97F4A7C15u ^ (element + 1)};
  const std::uint64_t bits = scrambler.next();
  return of.type == 6 ? bits & 1u : bits; // a bool
}

// ---- partitions ----

/// A block of a tensor on a rank.
struct piece {
  std::size_t tensor = 0;
  std::uint32_t rank = 0;
  extents start, size;
  std::vector<std::uint64_t> strides; ///< in elements; empty: row-major

  std::uint64_t element_count() const noexcept {
    return std::accumulate(size.begin(), size.end(), std::uint64_t{1}, [](auto a, auto b) { return a * b; });
  }
};

/// Gives a block room in memory in which its elements do not lie in a row: other axes first, gaps between them.
inline void spread(piece& of, dice& random) {
  std::vector<std::size_t> order(of.size.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t left = order.size(); left > 1; --left) std::swap(order[left - 1], order[random.below(left)]);
  of.strides.assign(order.size(), 0);
  std::uint64_t step = 1 + random.below(3);
  for (const std::size_t axis : order) {
    of.strides[axis] = step;
    step = step * of.size[axis] + random.below(3);
  }
}

/// Cuts a tensor into boxes, at random places along random axes, one after the other.
inline std::vector<piece> cut(const tensor& of, std::size_t number, std::uint32_t rank_count, dice& random) {
  std::vector<piece> boxes(1);
  boxes[0].tensor = number;
  boxes[0].start.assign(of.shape.size(), 0);
  boxes[0].size = of.shape;
  for (std::uint64_t cuts = random.below(2 * rank_count + 1); cuts > 0 && !of.shape.empty(); --cuts) {
    piece& first = boxes[random.below(boxes.size())];
    const std::size_t axis = random.below(of.shape.size());
    if (first.size[axis] < 2) continue;
    piece second = first;
    const std::uint64_t at = 1 + random.below(first.size[axis] - 1);
    first.size[axis] = at;
    second.start[axis] += at;
    second.size[axis] -= at;
    boxes.push_back(second);
  }
  return boxes;
}

/// What the ranks hold so that it can be saved: every element is on one rank, or the same block on several.
inline std::vector<piece> partition(const std::vector<tensor>& tensors, std::uint64_t seed, std::uint32_t rank_count) {
  dice random(seed * 64 + rank_count);
  std::vector<piece> made;
  for (std::size_t number = 0; number < tensors.size(); ++number) {
    for (piece& each : cut(tensors[number], number, rank_count, random)) {
      const auto first = static_cast<std::uint32_t>(random.below(rank_count));
      const std::uint64_t copies = random.once_in(3) ? 1 + random.below(rank_count) : 1;
      for (std::uint32_t copy = 0; copy < copies; ++copy) {
        piece& own = made.emplace_back(each);
        own.rank = (first + copy) % rank_count;
        if (random.once_in(3)) spread(own, random);
      }
    }
  }
  return made;
}

/// What the ranks want: the boxes of another partition, some of which nobody wants; or a box for each rank that may overlap another's.
inline std::vector<piece> wishes(const std::vector<tensor>& tensors, std::uint64_t seed, std::uint32_t rank_count) {
  dice random(~seed * 64 + rank_count);
  std::vector<piece> made;
  for (std::size_t number = 0; number < tensors.size(); ++number) {
    if (random.once_in(2)) {
      for (piece& each : cut(tensors[number], number, rank_count, random)) {
        if (random.once_in(8)) continue;
        each.rank = static_cast<std::uint32_t>(random.below(rank_count));
        if (random.once_in(3)) spread(each, random);
        made.push_back(each);
      }
      continue;
    }
    for (std::uint32_t rank = 0; rank < rank_count; ++rank) {
      piece& own = made.emplace_back();
      own.tensor = number;
      own.rank = rank;
      for (const std::uint64_t extent : tensors[number].shape) {
        own.start.push_back(random.below(extent + 1));
        own.size.push_back(random.below(extent - own.start.back() + 1));
      }
      if (random.once_in(3)) spread(own, random);
    }
  }
  return made;
}

// ---- memory ----

/// The memory of a block. What lies between its elements is not its own, and nothing may change it.
class held_block {
public:
  held_block(const std::vector<tensor>& tensors, const piece& what)
      : of_(&tensors[what.tensor]), what_(what), element_size_(size_of(of_->type)) {
    std::uint64_t last = 0;
    for (std::size_t axis = 0; axis < what.size.size() && !what.strides.empty(); ++axis)
      if (what.size[axis] != 0) last += (what.size[axis] - 1) * what.strides[axis];
    count_ = what.strides.empty() || what.element_count() == 0 ? what.element_count() : last + 1;
    if (count_ == 0) what_.strides.clear();
    bytes_.assign((count_ * element_size_ + 7) / 8, untouched);
  }

  /// Registers the block.
  stet::result<void> add_to(stet::sharded_variable_list& variables) {
    stet::result<void> added;
    with_type(of_->type, [&]<class T>(std::type_identity<T>) {
      const std::span<T> memory(reinterpret_cast<T*>(bytes_.data()), static_cast<std::size_t>(count_));
      added = what_.strides.empty()
                  ? variables.add_block(of_->name, memory, of_->shape, what_.start, what_.size)
                  : variables.add_strided_block(of_->name, memory, of_->shape, what_.start, what_.size, what_.strides);
    });
    return added;
  }

  std::uint64_t element_count() const noexcept { return what_.element_count(); }

  /// Gives each element its value.
  void fill(std::uint64_t seed) {
    for_each(
        [&](std::byte* memory, std::uint64_t element) { store(memory, bits_of(seed, what_.tensor, *of_, element)); });
  }
  /// What is wrong, as a sentence; nothing if every element has its value and all else is as it was.
  std::optional<std::string> find_difference(std::uint64_t seed) {
    std::optional<std::string> found;
    std::vector<std::uint64_t> expected(bytes_.size(), untouched);
    auto* const memory_of_expected = reinterpret_cast<std::byte*>(expected.data());
    const auto* const begin = reinterpret_cast<const std::byte*>(bytes_.data());
    for_each([&](std::byte* memory, std::uint64_t element) {
      std::byte* const there = memory_of_expected + (memory - begin);
      store(there, bits_of(seed, what_.tensor, *of_, element));
      if (std::memcmp(memory, there, element_size_) != 0 && !found)
        found = "element " + std::to_string(element) + " of " + of_->name + " is wrong";
    });
    if (!found && expected != bytes_) found = "memory beside a block of " + of_->name + " has changed";
    return found;
  }

private:
  static constexpr std::uint64_t untouched = 0x0101010101010101u; // which is a bool, too

  /// Little-endian, as in a file.
  void store(std::byte* memory, std::uint64_t bits) const noexcept {
    for (std::size_t i = 0; i < element_size_; ++i)
      memory[std::endian::native == std::endian::little ? i : element_size_ - 1 - i] =
          static_cast<std::byte>(bits >> 8 * i);
  }

  /// Calls `visit(memory, number of the element in its tensor)`.
  template <class Visit> void for_each(Visit visit) {
    for (std::uint64_t number = 0, count = what_.element_count(); number < count; ++number) {
      std::uint64_t rest = number, element = 0, step = 1, in_memory = what_.strides.empty() ? number : 0;
      for (std::size_t axis = what_.size.size(); axis-- > 0; step *= of_->shape[axis]) {
        const std::uint64_t within = rest % what_.size[axis];
        rest /= what_.size[axis];
        element += (what_.start[axis] + within) * step;
        if (!what_.strides.empty()) in_memory += within * what_.strides[axis];
      }
      visit(reinterpret_cast<std::byte*>(bytes_.data()) + in_memory * element_size_, element);
    }
  }

  const tensor* of_;
  piece what_;
  std::size_t element_size_;
  std::uint64_t count_ = 0;
  std::vector<std::uint64_t> bytes_; // aligned for every type
};

} // namespace sharded

#endif
