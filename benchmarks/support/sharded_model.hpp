// SPDX-License-Identifier: MIT
// A model that several ranks hold together, for measure_sharded: its tensors, and what of them a rank has.
#ifndef STET_BENCHMARKS_SHARDED_MODEL_HPP
#define STET_BENCHMARKS_SHARDED_MODEL_HPP

#include <stet/sharded/sharded_variables.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace bench {

/// How the ranks share a matrix out.
enum class cut { rows, columns, replica };

/// A matrix of float32.
struct matrix {
  std::string name;
  std::uint64_t rows = 0, columns = 0;
  cut saved_as = cut::rows;

  [[nodiscard]] std::uint64_t element_count() const noexcept { return rows * columns; }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return element_count() * sizeof(float); }
};

/// Fourteen matrices by rows, of a sixteenth of all bytes each, one by columns, of two sixteenths, and one of 4 KiB, the same on each rank.
inline std::vector<matrix> make_matrices(std::uint64_t size_bytes) {
  const std::uint64_t columns = size_bytes < (std::uint64_t{1} << 30) ? 1024 : 2048;
  const std::uint64_t rows = size_bytes / 16 / sizeof(float) / columns;
  std::vector<matrix> made;
  for (int layer = 0; layer < 14; ++layer)
    made.push_back({"layer" + std::to_string(layer) + "/kernel", rows, columns, cut::rows});
  made.push_back({"output/kernel", rows, 2 * columns, cut::columns});
  made.push_back({"output/bias", 1, 1024, cut::replica});
  return made;
}

/// The bits of element `element` of matrix `number`: no infinities and no NaN.
inline std::uint32_t bits_of(std::size_t number, std::uint64_t element) noexcept {
  return (static_cast<std::uint32_t>(element) * 2654435761u + static_cast<std::uint32_t>(number)) & 0x3FFFFFFFu;
}

/// What a rank has of a matrix.
struct held_matrix {
  std::size_t number = 0;
  const matrix* of = nullptr;
  cut how = cut::rows;
  std::uint64_t first_row = 0, rows = 0, first_column = 0, columns = 0;
  std::vector<float> elements;

  [[nodiscard]] std::span<std::byte> bytes() noexcept { return std::as_writable_bytes(std::span(elements)); }
  /// Calls `visit(float&, element)`.
  template <class Visit> void for_each(Visit visit) {
    for (std::uint64_t row = 0; row < rows; ++row) {
      float* const there = elements.data() + row * columns;
      const std::uint64_t first = (first_row + row) * of->columns + first_column;
      for (std::uint64_t column = 0; column < columns; ++column) visit(there[column], first + column);
    }
  }
};

/// What a rank has of all of them.
class held_model {
public:
  /// @param is_other  columns are cut instead of rows, and rows instead of columns
  held_model(const std::vector<matrix>& all, std::uint32_t rank, std::uint32_t rank_count, bool is_other) {
    for (std::size_t number = 0; number < all.size(); ++number) {
      held_matrix made{number, &all[number], all[number].saved_as, 0, all[number].rows, 0, all[number].columns, {}};
      if (is_other && made.how != cut::replica) made.how = made.how == cut::rows ? cut::columns : cut::rows;
      if (made.how == cut::rows) {
        made.rows /= rank_count;
        made.first_row = made.rows * rank;
      } else if (made.how == cut::columns) {
        made.columns /= rank_count;
        made.first_column = made.columns * rank;
      }
      made.elements.resize(made.rows * made.columns);
      blocks_.push_back(std::move(made));
    }
  }

  [[nodiscard]] std::vector<held_matrix>& blocks() noexcept { return blocks_; }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept {
    std::uint64_t size = 0;
    for (const held_matrix& each : blocks_) size += each.elements.size() * sizeof(float);
    return size;
  }

  /// Registers the blocks.
  stet::result<void> add_to(stet::sharded_variable_list& variables) {
    for (held_matrix& each : blocks_) {
      const auto added = variables.add_block(each.of->name, each.elements, {each.of->rows, each.of->columns},
                                             {each.first_row, each.first_column}, {each.rows, each.columns});
      if (!added) return added;
    }
    return {};
  }

  /// Gives every element its value.
  void fill() {
    for (held_matrix& each : blocks_) {
      each.for_each([&](float& value, std::uint64_t element) {
        const std::uint32_t bits = bits_of(each.number, element);
        std::memcpy(&value, &bits, sizeof bits);
      });
    }
  }
  /// Takes the values away, and the pages are there.
  void clear() {
    for (held_matrix& each : blocks_) std::memset(each.elements.data(), 0xFF, each.elements.size() * sizeof(float));
  }
  /// What is wrong, as a sentence; nothing if every element has its value.
  [[nodiscard]] std::string find_difference() {
    std::string found;
    for (held_matrix& each : blocks_) {
      std::uint64_t wrong_count = 0, first = 0, last = 0;
      std::uint32_t seen = 0;
      each.for_each([&](const float& value, std::uint64_t element) {
        std::uint32_t bits = 0;
        std::memcpy(&bits, &value, sizeof bits);
        if (bits == bits_of(each.number, element)) return;
        if (wrong_count++ == 0) {
          first = element;
          seen = bits;
        }
        last = element;
      });
      if (wrong_count != 0)
        found += (found.empty() ? "" : "; ") + each.of->name + ": " + std::to_string(wrong_count) + " of " +
                 std::to_string(each.elements.size()) + " elements are wrong, the first " + std::to_string(first) +
                 ", whose bits are " + std::to_string(seen) + " instead of " +
                 std::to_string(bits_of(each.number, first)) + ", the last " + std::to_string(last);
    }
    return found;
  }

private:
  std::vector<held_matrix> blocks_;
};

} // namespace bench

#endif
