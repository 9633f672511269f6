// SPDX-License-Identifier: MIT
// Reads the tables of tensors of GGUF files into one index.
#ifndef STET_FORMATS_GGUF_DETAIL_TABLE_HPP
#define STET_FORMATS_GGUF_DETAIL_TABLE_HPP

#include "keys.hpp"

#include "../ggml_type.hpp"

#include "../../../index/detail/builder.hpp"
#include "../../../store/detail/entry_buffer.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// The number of types in `ggml_types`.
inline constexpr std::size_t ggml_type_count = sizeof ggml_types / sizeof ggml_types[0];

/// The layouts of `ggml_types`, in the same order.
struct gguf_layouts {
  element_layout of[ggml_type_count];
};
constexpr gguf_layouts make_gguf_layouts(bool is_big_endian) noexcept {
  gguf_layouts made;
  for (std::size_t i = 0; i < ggml_type_count; ++i) {
    const ggml_type& type = ggml_types[i];
    // Some writers swap the bytes of BF16 and some do not, and the file does not tell.
    const bool is_opaque = is_big_endian && type.dtype == dtype::bfloat16;
    if (is_opaque) {
      made.of[i] = {dtype::block, 0, {type.name, 1, type.size_bytes}};
    } else {
      made.of[i] = type.is_plain() ? element_layout::of(type.dtype) : element_layout{dtype::block, 0, type.block()};
    }
  }
  return made;
}
inline constexpr gguf_layouts little_gguf_layouts = make_gguf_layouts(false),
                              big_gguf_layouts = make_gguf_layouts(true);

/// Collects the tensors of the files of a model, one file after the other, and makes their index. Used once.
class gguf_table {
public:
  explicit gguf_table(memory_resource* memory) noexcept : memory_(memory) {
    for (std::uint32_t& each : block_numbers_) each = no_block;
  }

  /// The number of tensors so far.
  [[nodiscard]] std::uint64_t tensor_count() const noexcept { return count_; }
  /// The least alignment of the files so far.
  [[nodiscard]] std::uint32_t alignment_bytes() const noexcept {
    return alignment_ == 0 ? default_gguf_alignment_bytes : alignment_;
  }

  /// Adds the tensors of the next file.
  /// @param in  stands behind the values of the keys
  /// Errors: those of `open_gguf` for tensors.
  result<void> add_file(gguf_input& in, const gguf_facts& facts) noexcept {
    constexpr std::uint64_t limit = 0x40000000u;
    if (facts.tensor_count > limit - count_) return error(errc::too_large, "number of tensors");
    if (alignment_ == 0 || facts.alignment_bytes < alignment_) alignment_ = facts.alignment_bytes;
    const std::uint64_t begin = entries_.size_bytes();
    // Room for usual names. An entry is less than twice as large as its record in the file.
    const std::uint64_t usual = facts.tensor_count * entry_buffer::usual_entry_size, most = in.left_bytes() * 2;
    const std::uint64_t likely = usual < most ? usual : most;
    if (!entries_.has_room(likely)) {
      if (auto there = entries_.grow(likely + entry_buffer::usual_entry_size, memory_); !there) return there;
    }
    is_in_order_ = true;
    end_ = 0;
    for (std::uint64_t number = 0; number < facts.tensor_count; ++number) {
      if (auto read = read_tensor(in, facts); !read) return read;
    }
    return place(in, facts, static_cast<std::size_t>(begin));
  }
  /// Ends the file that was added last: the tensors of the next one lie in another part.
  void end_file() noexcept { ++part_; }

  /// Makes the index. Its offsets are those of the files.
  /// @param parts   the files; empty: the one file is the store's own
  /// @param index   set to a view of the memory that is returned
  /// @retval errc::duplicate_name  two tensors have the same name
  result<source> finish(std::span<const index_part> parts, std::uint64_t data_size_bytes,
                        tensor_index& index) noexcept {
    index_limits limits;
    limits.data_end_bytes = data_size_bytes;
    limits.has_any_names = true; // which were checked when they were read
    return entries_.finish(index, count_, parts, blocks_, limits, "number of tensors", memory_);
  }

private:
  static constexpr std::uint32_t no_block = ~std::uint32_t{0};

  /// Reads a tensor and writes its entry. Its offset is counted from the beginning of the data until `place` changes that.
  result<void> read_tensor(gguf_input& in, const gguf_facts& facts) noexcept {
    // A record is at most half as large as the window, and so is contiguous there.
    const std::uint64_t begin = in.position_bytes();
    const auto length = static_cast<std::size_t>(in.length_size_bytes());
    const std::byte* at = in.peek(length);
    if (at == nullptr) return in.problem("tensor");
    const std::uint64_t stated = in.load_length(at);
    if (stated > in.left_bytes() - length) return error(errc::truncated, "tensor", begin);
    if (stated > max_name_size_bytes) return error(errc::bad_name, "tensor", begin);
    const auto name_size = static_cast<std::size_t>(stated);
    at = in.peek(length + name_size + 4);
    if (at == nullptr) return in.problem("tensor");
    std::string_view name = text_at(at + length, name_size);
    if (!is_utf8_without_nul(name)) return error(errc::bad_name, name, begin);
    const auto rank = in.load<std::uint32_t>(at + length + name_size);
    const std::uint64_t rank_offset = begin + length + name_size;
    if (rank > max_rank) return error(errc::bad_shape, name, rank_offset);
    const std::size_t size = length + name_size + 4 + rank * length + 12;
    if (size > in.left_bytes()) return error(errc::truncated, name, in.size_bytes());
    at = in.take(size);
    if (at == nullptr) return in.problem("tensor");
    name = text_at(at + length, name_size); // the window may have moved
    at += length + name_size + 4;

    element_counter counter;
    for (std::size_t i = 0; i < rank; ++i, at += length) {
      // The file has the innermost extent first.
      extents_[rank - 1 - i] = in.load_length(at);
      if (!counter.multiply(extents_[rank - 1 - i])) return error(errc::bad_shape, name, rank_offset);
    }
    const std::uint64_t type_offset = begin + size - 12;
    const std::size_t type = number_of_type(in.load<std::uint32_t>(at));
    if (type == ggml_type_count) return unknown_type(name, in.load<std::uint32_t>(at), type_offset);
    index_row row;
    row.name = name;
    row.shape = std::span<const std::uint64_t>(extents_, rank);
    row.layout = (in.is_big_endian() ? big_gguf_layouts : little_gguf_layouts).of[type];
    row.part = part_;
    row.big_endian = in.is_big_endian() && ggml_types[type].size_bytes > 1;
    // Blocks do not reach over the end of a row.
    const std::uint64_t row_size = rank == 0 ? 1 : extents_[rank - 1];
    if (row_size % ggml_types[type].element_count != 0) return cut_block(name, row_size, type, rank_offset);
    if (!checked_size_bytes(counter, row.layout, row.size_bytes)) return error(errc::bad_shape, name, rank_offset);
    row.offset_bytes = in.load<std::uint64_t>(at + 4);
    if (row.offset_bytes % facts.alignment_bytes != 0) return error(errc::bad_offset, name, type_offset + 4);
    if (row.size_bytes != 0) {
      is_in_order_ = is_in_order_ && row.offset_bytes >= end_;
      if (!checked_add(row.offset_bytes, row.size_bytes, end_)) return error(errc::bad_offset, name, type_offset + 4);
    }

    const std::uint64_t entry_size = index_layout::size_of_entry(rank, name_size);
    if (!entries_.has_room(entry_size)) {
      if (auto there = entries_.grow(entry_size, memory_); !there) return there;
    }
    std::uint32_t block = 0;
    if (row.layout.dtype == dtype::block) {
      const result<std::uint32_t> number = number_of_block(type, in.is_big_endian());
      if (!number) return number.error();
      block = *number;
    }
    if (const errc failure = write_entry(row, count_, block, entries_.end()); failure != errc{})
      return error(failure, name, rank_offset);
    (void)entries_.take(entry_size);
    ++count_;
    return {};
  }

  /// The row of `ggml_types` with this code, or `ggml_type_count`. Most tensors have the type of the one before.
  [[nodiscard]] std::size_t number_of_type(std::uint32_t code) noexcept {
    if (ggml_types[last_type_].code == code) return last_type_;
    const ggml_type* const found = find_ggml_type(code);
    if (found == nullptr) return ggml_type_count;
    last_type_ = static_cast<std::size_t>(found - ggml_types);
    return last_type_;
  }
  static error unknown_type(std::string_view name, std::uint32_t code, std::uint64_t offset) noexcept {
    constexpr std::size_t room = 26;
    char buffer[error::max_subject_bytes];
    text_writer text(buffer, sizeof buffer);
    append_shortened(text, name, sizeof buffer - room);
    text.append(": ggml type ").append(std::uint64_t{code});
    return error(errc::unknown_dtype, text.text(), offset);
  }
  static error cut_block(std::string_view name, std::uint64_t row_size, std::size_t type,
                         std::uint64_t offset) noexcept {
    constexpr std::size_t room = 65;
    char buffer[error::max_subject_bytes];
    text_writer text(buffer, sizeof buffer);
    append_shortened(text, name, sizeof buffer - room);
    text.append(": rows of ").append(row_size).append(" are no whole blocks of ").append(ggml_types[type].name);
    return error(errc::bad_shape, text.text(), offset);
  }
  result<std::uint32_t> number_of_block(std::size_t type, bool is_big_endian) noexcept {
    // Parts may differ in byte order, but only BF16 is another block then, which little-endian files do not have as one.
    std::uint32_t& number = block_numbers_[type];
    if (number == no_block) {
      const result<std::uint32_t> made =
          blocks_.number_of((is_big_endian ? big_gguf_layouts : little_gguf_layouts).of[type].block);
      if (!made) return made.error();
      number = *made;
    }
    return number;
  }

  /// Counts the offsets of the tensors of a file, whose entries begin at `begin`, from the beginning of the file, and checks that
  /// the tensors lie within it, apart.
  result<void> place(const gguf_input& in, const gguf_facts& facts, std::size_t begin) noexcept {
    if (facts.tensor_count == 0) return {}; // then there need be no padding
    std::uint64_t data_begin = 0;
    if (!checked_align_up(in.position_bytes(), facts.alignment_bytes, data_begin))
      return error(errc::truncated, "data", in.size_bytes());
    std::byte* entry = entries_.end() - (entries_.size_bytes() - begin);
    for (std::uint64_t number = 0; number < facts.tensor_count; ++number) {
      const std::uint64_t offset = entry_field::offset.load(entry), size = entry_field::size.load(entry);
      std::uint64_t from_start = 0;
      if (!checked_add(offset, data_begin, from_start) || !range_fits(from_start, size, in.size_bytes()))
        return error(errc::truncated, name_of(entry), in.size_bytes());
      entry_field::offset.store(entry, from_start);
      entry += size_of(entry);
    }
    return is_in_order_ ? result<void>() : check_apart(begin, facts.tensor_count);
  }

  /// The same for tensors in any order: sorts them.
  result<void> check_apart(std::size_t begin, std::uint64_t count) noexcept {
    result<source> memory = source::allocate(count * sizeof(range), memory_);
    if (!memory) return memory.error();
    range* const ranges = reinterpret_cast<range*>(memory->writable_data());
    const std::byte* entry = entries_.data() + begin;
    std::size_t used = 0;
    for (std::uint64_t number = 0; number < count; ++number, entry += size_of(entry)) {
      const std::uint64_t offset = entry_field::offset.load(entry), size = entry_field::size.load(entry);
      if (size != 0) ranges[used++] = {offset, offset + size, entry};
    }
    heap_sort(ranges, used, [](const range& a, const range& b) {
      return a.begin != b.begin ? a.begin < b.begin : a.entry < b.entry;
    });
    for (std::size_t number = 1; number < used; ++number) {
      if (ranges[number].begin < ranges[number - 1].end)
        return error(errc::overlap, name_of(ranges[number].entry), ranges[number].begin);
    }
    return {};
  }

  static std::uint64_t size_of(const std::byte* entry) noexcept {
    return index_layout::size_of_entry(entry_field::rank.load(entry), entry_field::name_size.load(entry));
  }
  static std::string_view name_of(const std::byte* entry) noexcept {
    const std::size_t rank = entry_field::rank.load(entry);
    return text_at(entry + index_layout::entry_size + rank * 8, entry_field::name_size.load(entry));
  }

  /// The bytes of a tensor.
  struct range {
    std::uint64_t begin, end;
    const std::byte* entry;
  };

  memory_resource* memory_;
  entry_buffer entries_;
  block_types blocks_;
  std::uint32_t block_numbers_[ggml_type_count]; // in `blocks_`, by the row of the type
  std::uint64_t extents_[max_rank];
  std::size_t last_type_ = 0;
  std::uint64_t end_ = 0; // of the tensors of the file so far
  bool is_in_order_ = true;
  std::uint32_t count_ = 0, part_ = 0, alignment_ = 0;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
