// SPDX-License-Identifier: MIT
// Writes a tensor as an npy array: its header and its elements.
#ifndef STET_FORMATS_NUMPY_DETAIL_SAVED_ARRAY_HPP
#define STET_FORMATS_NUMPY_DETAIL_SAVED_ARRAY_HPP

#include "arrays.hpp"

#include "../../common/inexpressible.hpp"
#include "../../common/json_members.hpp"
#include "../../common/write_elements.hpp"
#include "../../common/writer_model.hpp"

#include "../../../vocabulary/detail/checked.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// A tensor on its way to an array.
struct saved_array {
  tensor from;
  /// Everything in front of the elements; its size is a multiple of 64.
  std::string head;
  /// The size of the elements, and of one of them.
  std::uint64_t elements_size_bytes = 0;
  std::uint32_t item_size_bytes = 0;

  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return head.size() + elements_size_bytes; }
};

/// The head of an array, as NumPy 2.4 writes it. @param descr  the descriptor, ASCII or UTF-8
inline std::string npy_head(std::string_view descr, const shape& extents) {
  std::string text("{'descr': ");
  text.append(descr).append(", 'fortran_order': False, 'shape': (");
  std::size_t first_size = 0;
  for (std::size_t axis = 0; axis < extents.rank(); ++axis) {
    const std::string digits = std::to_string(extents[axis]);
    text.append(axis == 0 ? "" : ", ").append(digits);
    if (axis == 0) first_size = digits.size();
  }
  text.append(extents.rank() == 1 ? ",), }" : "), }");
  // Room for the first extent to grow to as many digits.
  constexpr std::size_t most_digits = 21, alignment = 64;
  if (extents.rank() != 0) text.append(most_digits - first_size, ' ');
  const bool is_ascii =
      std::all_of(descr.begin(), descr.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  const auto padded_size = [&](unsigned version) {
    return text.size() + 1 + alignment - (npy_prefix_size(version) + text.size() + 1) % alignment;
  };
  // Of version 1.0, NumPy and stet take no longer texts.
  const unsigned major = !is_ascii ? 3 : padded_size(1) > max_npy_text_size ? 2 : 1;
  const std::size_t size = static_cast<std::size_t>(padded_size(major));
  text.append(size - 1 - text.size(), ' ').append("\n");
  std::string made(npy_magic);
  made.push_back(static_cast<char>(major));
  made.push_back('\0');
  for (unsigned shift = 0; shift < (major == 1 ? 16u : 32u); shift += 8)
    made.push_back(static_cast<char>(size >> shift & 0xFFu));
  return made.append(text);
}

/// Plans the arrays of a model.
class npy_planner {
public:
  explicit npy_planner(const writer_model& from) : from_(from) {
    for (const tensor_note& each : from.described.tensors) {
      const json_value* const note = find_member(each.attributes, "numpy");
      if (note != nullptr) descrs_.emplace(each.name, text_member(*note, "descr"));
    }
  }

  /// Errors: as `save_npz` documents them.
  result<saved_array> plan(const tensor& of) const {
    constexpr std::size_t numpy_rank = 64;
    const std::string name(of.name());
    if (of.shape().rank() > numpy_rank) return inexpressible(name, "NumPy has at most 64 dimensions");
    saved_array made;
    made.from = of;
    std::string descr;
    if (of.dtype() == dtype::string) {
      if (auto measured = measure_strings(made); !measured) return measured.error();
      descr = "'|S" + std::to_string(made.item_size_bytes) + "'";
    } else if (of.dtype() == dtype::block) {
      const auto found = descrs_.find(of.name());
      made.item_size_bytes = of.layout().block.size_bytes;
      if (found == descrs_.end() || of.layout().block.element_count != 1 || !fits(found->second, of.layout().block))
        return inexpressible(name, "NumPy has no blocks; convert it to another dtype first");
      descr = found->second;
    } else {
      descr = descr_of(of.dtype());
      if (descr.empty()) return inexpressible(name, "NumPy has no quantized dtypes; convert it to another one first");
      made.item_size_bytes = (std::max)(std::uint32_t{describe(of.dtype()).bits}, 8u) / 8;
    }
    if (!checked_multiply(of.element_count(), std::uint64_t{made.item_size_bytes}, made.elements_size_bytes))
      return error(errc::too_large, of.name());
    made.head = npy_head(descr, of.shape());
    return made;
  }

private:
  /// The descriptor of a dtype; empty if there is none. Those of ml_dtypes are void types, as it writes them.
  static std::string descr_of(stet::dtype of) {
    for (const npy_plain_type& row : npy_plain_types) {
      if (row.dtype != of) continue;
      const char order = describe(of).word_size_bytes > 1 ? '<' : '|';
      return std::string("'") + order + row.kind + std::to_string(row.size_bytes) + "'";
    }
    if (of == dtype::bfloat16) return "'<V2'";
    const bool is_of_ml_dtypes = of >= dtype::float8_e4m3fn && of <= dtype::uint2;
    return is_of_ml_dtypes ? "'<V1'" : "";
  }

  /// True if a descriptor from a note is that of elements of this block.
  static bool fits(const std::string& descr, const block_type& block) noexcept {
    const std::string text = "{'descr': " + descr + ", 'fortran_order': False, 'shape': ()}";
    npy_header header;
    npy_header_reader reader(text, 3);
    return reader.read(header) && header.descr == descr && !header.type.has_objects &&
           header.type.dtype == dtype::block && header.type.size_bytes == block.size_bytes;
  }

  /// Sets the size of the longest string, at least 1.
  static result<void> measure_strings(saved_array& of) {
    std::vector<std::byte> memory;
    const result<string_span> strings = strings_of(of.from, memory);
    if (!strings) return strings.error();
    std::size_t most = 1;
    for (std::size_t i = 0; i < strings->size(); ++i) {
      const std::string_view each = (*strings)[i];
      if (each.ends_with('\0'))
        return inexpressible(std::string(of.from.name()), "a string ends in NUL, which NumPy takes for padding");
      most = (std::max)(most, each.size());
    }
    if (most > 0x7FFFFFFFu) return error(errc::too_large, of.from.name());
    of.item_size_bytes = static_cast<std::uint32_t>(most);
    return {};
  }

  const writer_model& from_;
  std::map<std::string, std::string, std::less<>> descrs_; // by the names of tensors
};

/// Writes the strings of a tensor, padded with NULs to one size.
inline result<void> write_padded_strings(const saved_array& of, piece_sink& sink) {
  std::vector<std::byte> memory;
  const result<string_span> strings = strings_of(of.from, memory);
  if (!strings) return strings.error();
  constexpr std::byte zeros[64]{};
  for (std::size_t i = 0; i < strings->size(); ++i) {
    const std::string_view each = (*strings)[i];
    if (each.size() > of.item_size_bytes) return errc::source_too_long;
    if (auto written = sink.write(std::as_bytes(std::span(each.data(), each.size()))); !written) return written;
    for (std::size_t left = of.item_size_bytes - each.size(); left != 0;) {
      const std::size_t some = (std::min)(left, sizeof zeros);
      if (auto written = sink.write(std::span(zeros).first(some)); !written) return written;
      left -= some;
    }
  }
  return {};
}

/// Writes packed elements in the low bits of a byte each, as ml_dtypes stores them.
inline result<void> write_unpacked(const tensor& of, piece_sink& sink) {
  const std::size_t bits = of.layout().bits;
  std::vector<std::byte> packed;
  return write_windows<std::uint8_t>(of, sink, [&](std::span<std::uint8_t> codes, std::uint64_t first) -> result<void> {
    packed.resize((codes.size() * bits + 7) / 8 + 1); // a code may reach into the byte behind its own
    packed.back() = std::byte{0};
    if (auto read = of.read(first / 8 * bits, std::span(packed).first(packed.size() - 1)); !read) return read;
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const std::size_t at = i * bits / 8;
      const unsigned both = static_cast<unsigned>(packed[at]) | static_cast<unsigned>(packed[at + 1]) << 8;
      codes[i] = static_cast<std::uint8_t>(both >> i * bits % 8 & ((1u << bits) - 1));
    }
    return {};
  });
}

/// Writes head and elements. Errors: those of the sink, of reading, and of `tensor::verify_checksum`.
inline result<void> write_array(const saved_array& of, piece_sink& sink) {
  if (auto written = sink.write(std::as_bytes(std::span(of.head))); !written) return written;
  const auto written = of.from.dtype() == dtype::string                               ? write_padded_strings(of, sink)
                       : of.from.dtype() != dtype::block && of.from.layout().bits < 8 ? write_unpacked(of.from, sink)
                                                                                      : write_checked(of.from, sink);
  return written || !written.error().subject().empty() ? written : result<void>(written.error().about(of.from.name()));
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
