// SPDX-License-Identifier: MIT
// Variables of random dtypes and shapes, cut into blocks that lie anywhere among ranks. Every element has a value that tells its place.
#ifndef STET_TESTS_SUPPORT_RANDOM_BLOCKS_HPP
#define STET_TESTS_SUPPORT_RANDOM_BLOCKS_HPP

#include <stet/sharded/sharded_variables.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <random>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace stet_test {

/// A variable of the whole program.
struct random_tensor {
  std::string name;
  stet::dtype dtype{};
  std::vector<std::uint64_t> shape;

  [[nodiscard]] std::uint64_t element_count() const {
    std::uint64_t count = 1;
    for (const std::uint64_t extent : shape) count *= extent;
    return count;
  }
};

/// Calls `visit` with the C++ type of a dtype, of those that `random_tensors` uses.
template <class Visit> void visit_random_dtype(stet::dtype of, Visit visit) {
  const auto try_each = [&]<class... T>(std::type_identity<T>... types) {
    (void)((of == stet::dtype_of<T>::value ? (visit(types), true) : false) || ...);
  };
  try_each(std::type_identity<float>(), std::type_identity<std::uint8_t>(), std::type_identity<std::int64_t>(),
           std::type_identity<stet::float16>(), std::type_identity<bool>(), std::type_identity<double>());
}

/// The value of an element: a number that every dtype used here holds exactly.
inline int value_of(std::size_t tensor, std::uint64_t element) {
  return static_cast<int>((element * 7 + tensor * 31) % 120);
}

inline std::size_t random_below(std::mt19937_64& random, std::uint64_t end) {
  return static_cast<std::size_t>(random() % end);
} // the same everywhere

/// Some variables, the same for the same seed.
inline std::vector<random_tensor> random_tensors(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  constexpr stet::dtype dtypes[] = {stet::dtype::float32, stet::dtype::uint8,   stet::dtype::int64,
                                    stet::dtype::float16, stet::dtype::boolean, stet::dtype::float64};
  std::vector<random_tensor> made(1 + random_below(random, 5));
  for (std::size_t i = 0; i < made.size(); ++i) {
    made[i].name = "layer" + std::to_string(random_below(random, 3)) + "/kernel" + std::to_string(i);
    made[i].dtype = dtypes[random_below(random, std::size(dtypes))];
    for (std::size_t rank = random_below(random, 5); rank > 0; --rank)
      made[i].shape.push_back(random_below(random, 20) == 0 ? 0 : 1 + random_below(random, 9));
  }
  return made;
}

/// A block and the ranks that hold it.
struct random_block {
  std::vector<std::uint64_t> start, extents;
  std::vector<std::uint32_t> ranks;
};

/// Cuts a tensor into blocks, uneven and along any axes, and gives each to a rank or to several.
inline std::vector<random_block> random_partition(const random_tensor& of, std::uint32_t rank_count,
                                                  std::mt19937_64& random) {
  std::vector<random_block> whole(1), done;
  whole[0].start.assign(of.shape.size(), 0);
  whole[0].extents = of.shape;
  const std::uint64_t kind = random_below(random, 4); // whole, cut along one axis, cut anyhow
  const std::size_t only = of.shape.empty() ? 0 : random_below(random, of.shape.size());
  while (!whole.empty()) {
    random_block one = whole.back();
    whole.pop_back();
    const std::size_t axis = of.shape.empty() ? 0 : kind == 1 ? only : random_below(random, of.shape.size());
    const bool is_cut = kind != 0 && !of.shape.empty() && one.extents[axis] > 1 && random_below(random, 4) != 0;
    if (!is_cut) {
      done.push_back(one);
      continue;
    }
    random_block other = one;
    const std::uint64_t at = 1 + random_below(random, one.extents[axis] - 1);
    other.start[axis] += at;
    other.extents[axis] -= at;
    one.extents[axis] = at;
    whole.push_back(one);
    whole.push_back(other);
  }
  for (random_block& each : done) {
    each.ranks.push_back(static_cast<std::uint32_t>(random_below(random, rank_count)));
    while (random_below(random, 3) == 0) {
      const auto more = static_cast<std::uint32_t>(random_below(random, rank_count));
      if (std::find(each.ranks.begin(), each.ranks.end(), more) == each.ranks.end()) each.ranks.push_back(more);
    }
  }
  return done;
}

/// What one rank holds of random tensors: memory, and its registration.
class random_blocks {
public:
  /// @param partition_seed  another one gives the tensors to the ranks in another way
  random_blocks(std::uint64_t seed, std::uint64_t partition_seed, std::uint32_t rank_count, std::uint32_t rank)
      : tensors_(random_tensors(seed)) {
    std::mt19937_64 random(partition_seed * 977 + rank_count);
    for (std::size_t number = 0; number < tensors_.size(); ++number) {
      for (const random_block& each : random_partition(tensors_[number], rank_count, random)) {
        const bool is_strided = random_below(random, 3) == 0;
        if (std::find(each.ranks.begin(), each.ranks.end(), rank) != each.ranks.end()) add(number, each, is_strided);
      }
    }
  }

  [[nodiscard]] const stet::sharded_variable_list& variables() const { return variables_; }
  [[nodiscard]] const std::vector<random_tensor>& tensors() const { return tensors_; }

  /// Gives every element its value, or makes all of them 1.
  void fill(bool with_values) {
    visit([&](std::size_t tensor, std::uint64_t element, auto& at) {
      using value = std::remove_reference_t<decltype(at)>;
      const int wanted = with_values ? value_of(tensor, element) : 1;
      if constexpr (std::is_same_v<value, bool>)
        at = wanted % 2 != 0;
      else
        at = static_cast<value>(static_cast<float>(wanted));
    });
  }
  /// How many elements do not have their value.
  [[nodiscard]] std::size_t wrong_count() {
    std::size_t wrong = 0;
    visit([&](std::size_t tensor, std::uint64_t element, auto& at) {
      using value = std::remove_reference_t<decltype(at)>;
      const int wanted = value_of(tensor, element);
      if constexpr (std::is_same_v<value, bool>)
        wrong += at != (wanted % 2 != 0);
      else
        wrong += static_cast<float>(at) != static_cast<float>(wanted);
    });
    return wrong;
  }
  /// Whether a tensor of an open store has all its values.
  [[nodiscard]] static bool is_right(const stet::tensor& of, std::size_t number) {
    std::vector<float> all(static_cast<std::size_t>(of.element_count()));
    if (!of.copy_to(std::span(all), stet::convert)) return false;
    for (std::size_t i = 0; i < all.size(); ++i) {
      const int wanted = value_of(number, i);
      if (all[i] != static_cast<float>(of.dtype() == stet::dtype::boolean ? wanted % 2 : wanted)) return false;
    }
    return true;
  }

private:
  struct held {
    std::size_t tensor;
    random_block block;
    std::vector<std::uint64_t> strides; // in elements
    std::vector<std::uint64_t> memory;  // aligned for every dtype
  };

  void add(std::size_t number, const random_block& block, bool is_strided) {
    held& made = all_.emplace_back(held{number, block, {}, {}});
    made.strides.resize(block.extents.size());
    std::uint64_t step = is_strided ? 2 : 1, count = 1;
    for (std::size_t axis = block.extents.size(); axis-- > 0;) {
      made.strides[axis] = step;
      step *= block.extents[axis] + (is_strided && axis % 2 == 1 ? 1 : 0);
      count *= block.extents[axis];
    }
    made.memory.assign(static_cast<std::size_t>((is_strided ? step : count) + 1), 0x5555555555555555u);
    const random_tensor& of = tensors_[number];
    visit_random_dtype(of.dtype, [&]<class T>(std::type_identity<T>) {
      const std::span<T> memory(reinterpret_cast<T*>(made.memory.data()),
                                static_cast<std::size_t>(is_strided ? step : count));
      const auto added =
          is_strided ? variables_.add_strided_block(of.name, memory, of.shape, block.start, block.extents, made.strides)
                     : variables_.add_block(of.name, memory, of.shape, block.start, block.extents);
      if (!added) std::abort();
    });
  }

  template <class Visit> void visit(Visit visit) {
    for (held& each : all_) {
      const random_tensor& of = tensors_[each.tensor];
      std::uint64_t count = 1;
      for (const std::uint64_t extent : each.block.extents) count *= extent;
      for (std::uint64_t i = 0; i < count; ++i) {
        std::uint64_t rest = i, at = 0, element = 0, step = 1;
        for (std::size_t axis = each.block.extents.size(); axis-- > 0; step *= of.shape[axis]) {
          const std::uint64_t within = rest % each.block.extents[axis];
          rest /= each.block.extents[axis];
          at += within * each.strides[axis];
          element += (each.block.start[axis] + within) * step;
        }
        visit_random_dtype(of.dtype, [&]<class T>(std::type_identity<T>) {
          visit(each.tensor, element, reinterpret_cast<T*>(each.memory.data())[at]);
        });
      }
    }
  }

  std::vector<random_tensor> tensors_;
  std::deque<held> all_; // whose memory stays in place
  stet::sharded_variable_list variables_;
};

} // namespace stet_test

#endif
