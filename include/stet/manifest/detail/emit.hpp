// SPDX-License-Identifier: MIT
// Emits the text of a manifest: once to learn its size, once to write it. Both runs are the same code.
#ifndef STET_MANIFEST_DETAIL_EMIT_HPP
#define STET_MANIFEST_DETAIL_EMIT_HPP

#include "../check.hpp"

#include "../../index/detail/builder.hpp"
#include "../../vocabulary/detail/json_string.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The further fields of one tensor, an object.
struct attribute_text {
  std::size_t tensor_number;
  std::string text;
};

/// Free-form JSON as a manifest has it.
struct manifest_texts {
  free_form_texts free_form;
  /// Of the tensors that have some, by number, ascending.
  std::vector<attribute_text> attributes;
};

/// The content of a manifest as rows of an index.
struct manifest_lines {
  std::uint32_t version = format_version;
  std::uint32_t minimum_reader = format_version;
  std::uint32_t alignment_bytes = 1;
  std::span<const manifest_part> parts;
  std::span<const index_row> rows;
  /// Added to every offset: it may be known only after the size of the text is.
  std::uint64_t base_offset_bytes = 0;
  const manifest_texts& texts;
  /// No name of a row has to be looked at for characters that JSON escapes: `needs_no_escape` was asked about all of them at once.
  bool has_plain_names = false;

  [[nodiscard]] std::uint64_t offset_of(const index_row& row) const noexcept {
    return row.size_bytes == 0 ? 0 : row.offset_bytes + base_offset_bytes;
  }
};

/// True if nothing in `text` needs an escape, as far as a quick test shows. Eight characters at once, the last eight perhaps twice;
/// shorter texts are left to the loop.
inline bool needs_no_escape(std::string_view text) noexcept {
  if (text.size() < 8) return false;
  const std::byte* const bytes = reinterpret_cast<const std::byte*>(text.data());
  std::uint64_t escapes = find_escapes(load_little<std::uint64_t>(bytes + text.size() - 8));
  for (std::size_t at = 0; at + 8 < text.size(); at += 8)
    escapes |= find_escapes(load_little<std::uint64_t>(bytes + at));
  return escapes == 0;
}

/// Computes the size of the text without writing it.
class text_counter {
public:
  void raw(std::string_view text) noexcept { size_bytes_ += text.size(); }
  void number(std::uint64_t value) noexcept { size_bytes_ += digit_count(value); }
  /// Offsets are counted apart, by `offsets_size_bytes`: they alone change while the store is laid out.
  void offset(std::uint64_t) noexcept {}
  void hex(std::uint64_t, std::size_t digits) noexcept { size_bytes_ += digits; }
  /// Calls `write` with a sink for a piece of at most `bound` bytes.
  template <class Write> void piece(std::uint64_t, Write write) { write(*this); }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }

  /// The decimal digits of `value`.
  static constexpr std::uint32_t digit_count(std::uint64_t value) noexcept {
    value |= 1; // 0 has a digit, too; no other number gets one more by this
    // 1233 / 4096 is the logarithm of 2, near enough for 64 bits.
    const auto least = static_cast<std::uint32_t>(std::bit_width(value)) * 1233 >> 12;
    return least + (value >= powers[least]);
  }

private:
  /// The powers of 10 that 64 bits hold.
  static constexpr auto powers = [] {
    std::array<std::uint64_t, 20> made{1};
    for (std::size_t i = 1; i < made.size(); ++i) made[i] = made[i - 1] * 10;
    return made;
  }();

  std::uint64_t size_bytes_ = 0;
};

/// Writes to memory that is known to be large enough.
class text_filler {
public:
  explicit text_filler(char* at) noexcept : at_(at) {}
  void raw(std::string_view text) noexcept {
    if (!text.empty()) std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void number(std::uint64_t value) noexcept {
    const std::uint32_t digits = text_counter::digit_count(value);
    char* last = at_ + digits;
    at_ = last;
    for (; value >= 100; value /= 100) std::memcpy(last -= 2, &pairs[static_cast<std::size_t>(value % 100) * 2], 2);
    if (value >= 10) {
      std::memcpy(last - 2, &pairs[static_cast<std::size_t>(value) * 2], 2);
    } else {
      *--last = static_cast<char>('0' + value);
    }
  }
  void offset(std::uint64_t value) noexcept { number(value); }
  /// The lowest `digits`, a multiple of 8, hexadecimal digits of `value`.
  void hex(std::uint64_t value, std::size_t digits) noexcept {
    for (std::size_t left = digits; left != 0; left -= 8, at_ += 8) {
      const std::uint64_t text = eight_hex_digits(static_cast<std::uint32_t>(value >> (left - 8) * 4));
      store_little(reinterpret_cast<std::byte*>(at_), byte_swapped(text));
    }
  }
  /// Calls `write` with a sink for a piece of at most `bound` bytes.
  template <class Write> void piece(std::uint64_t, Write write) {
    text_filler filler = *this; // of its own, so that its place stays in a register
    write(filler);
    *this = filler;
  }
  [[nodiscard]] char* at() const noexcept { return at_; }

private:
  /// The numbers from 00 to 99.
  static constexpr auto pairs = [] {
    std::array<char, 200> made{};
    for (std::size_t i = 0; i < made.size(); ++i) made[i] = static_cast<char>('0' + (i % 2 == 0 ? i / 20 : i / 2 % 10));
    return made;
  }();

  /// The digits of `value` in the bytes of a word, the first in the highest: all eight at once.
  static constexpr std::uint64_t eight_hex_digits(std::uint32_t value) noexcept {
    constexpr std::uint64_t ones = 0x0101010101010101u;
    std::uint64_t digits = value; // each step doubles the distances between the digits
    digits = (digits | digits << 16) & 0x0000FFFF0000FFFFu;
    digits = (digits | digits << 8) & 0x00FF00FF00FF00FFu;
    digits = (digits | digits << 4) & 0x0F0F0F0F0F0F0F0Fu;
    const std::uint64_t letters = (digits + ones * 6) >> 4 & ones; // from 10 on
    return digits + ones * '0' + letters * ('a' - '0' - 10);
  }

  char* at_;
};

/// Writes a manifest field by field into a sink.
template <class Sink> class manifest_emitter {
public:
  explicit manifest_emitter(Sink& sink) noexcept : sink_(sink) {}

  void emit(const manifest_lines& lines) {
    raw("{\"stet\":{\"version\":").number(lines.version).raw(",\"minimum_reader\":").number(lines.minimum_reader);
    raw("},\n\"alignment_bytes\":").number(lines.alignment_bytes);
    if (!lines.parts.empty()) {
      raw(",\n\"data\":[");
      for (std::size_t i = 0; i < lines.parts.size(); ++i) next(i).part(lines.parts[i]);
      raw("]");
    }
    raw(",\n\"tensors\":{");
    auto attributes = lines.texts.attributes.begin();
    for (std::size_t i = 0; i < lines.rows.size(); ++i) {
      const bool has_attributes = attributes != lines.texts.attributes.end() && attributes->tensor_number == i;
      tensor(lines, i, has_attributes ? members_of(attributes++->text) : std::string_view());
    }
    raw("\n}");
    const free_form_texts& free_form = lines.texts.free_form;
    field(",\n\"graph\":", free_form.graph);
    field(",\n\"state\":", free_form.state);
    field(",\n\"metadata\":", free_form.metadata);
    field(",\n", members_of(free_form.extra));
    raw("}\n");
  }

private:
  template <class> friend class manifest_emitter;

  manifest_emitter& raw(std::string_view text) { return sink_.raw(text), *this; }
  /// The separator in front of the member of this number.
  manifest_emitter& next(std::size_t number) { return number == 0 ? raw("\n") : raw(",\n"); }
  manifest_emitter& number(std::uint64_t value) { return sink_.number(value), *this; }
  void field(std::string_view before, std::string_view text) {
    if (!text.empty()) raw(before).raw(text);
  }

  /// A JSON string. Most need no look at each character.
  manifest_emitter& string(std::string_view text, bool is_known_to_be_plain = false) {
    if (is_known_to_be_plain || needs_no_escape(text)) return raw("\"").raw(text).raw("\"");
    emit_json_string(text, [this](std::string_view piece) { raw(piece); });
    return *this;
  }

  void part(const manifest_part& part) {
    if (!part.size_bytes && !part.content_id) {
      string(part.path);
      return;
    }
    raw("{\"path\":").string(part.path);
    if (part.size_bytes) raw(",\"size_bytes\":").number(*part.size_bytes);
    if (part.content_id) {
      raw(",\"content_id\":\"");
      sink_.hex(*part.content_id, 16);
      raw("\"");
    }
    raw("}");
  }

  /// One tensor, whose text is bounded, so that a sink need look but once whether it has room.
  void tensor(const manifest_lines& lines, std::size_t number, std::string_view attributes) {
    const index_row& row = lines.rows[number];
    constexpr std::uint64_t longest_number = 20, longest_escape = 6, everything_else = 400;
    const std::string_view alias =
        row.alias_of != index_row::not_an_alias ? lines.rows[row.alias_of].name : std::string_view();
    const std::uint64_t text_bound =
        (row.name.size() + row.layout.block.name.size() + alias.size()) * longest_escape + attributes.size();
    sink_.piece(text_bound + row.shape.size() * (longest_number + 1) + everything_else, [&](auto& sink) {
      manifest_emitter<std::remove_reference_t<decltype(sink)>>(sink).next(number).tensor_fields(lines, row, alias,
                                                                                                 attributes);
    });
  }

  void tensor_fields(const manifest_lines& lines, const index_row& row, std::string_view alias,
                     std::string_view attributes) {
    string(row.name, lines.has_plain_names).raw(":{\"dtype\":\"").raw(name_of(row.layout.dtype)).raw("\",\"shape\":[");
    for (std::size_t axis = 0; axis < row.shape.size(); ++axis) {
      if (axis != 0) raw(",");
      number(row.shape[axis]);
    }
    raw("],\"offset_bytes\":");
    sink_.offset(lines.offset_of(row));
    raw(",\"size_bytes\":").number(row.size_bytes);
    if (row.has_crc32c) {
      raw(",\"crc32c\":\"");
      sink_.hex(row.crc32c, 8);
      raw("\"");
    }
    if (row.part != 0) raw(",\"data\":").number(row.part);
    if (row.layout.bits != describe(row.layout.dtype).bits) raw(",\"bits\":").number(row.layout.bits);
    if (row.layout.dtype == dtype::block) {
      raw(",\"block\":{\"name\":").string(row.layout.block.name);
      raw(",\"elements\":").number(row.layout.block.element_count);
      raw(",\"size_bytes\":").number(row.layout.block.size_bytes).raw("}");
    }
    if (row.alias_of != index_row::not_an_alias) raw(",\"alias_of\":").string(alias, lines.has_plain_names);
    field(",", attributes);
    raw("}");
  }

  Sink& sink_;
};

/// The size of the text of `lines` without the digits of the tensors' offsets.
inline std::uint64_t size_without_offsets_bytes(const manifest_lines& lines) noexcept {
  text_counter counter;
  manifest_emitter(counter).emit(lines);
  return counter.size_bytes();
}

/// The digits of the tensors' offsets.
inline std::uint64_t offsets_size_bytes(const manifest_lines& lines) noexcept {
  std::uint64_t size = 0;
  for (const index_row& row : lines.rows) size += text_counter::digit_count(lines.offset_of(row));
  return size;
}

/// The size of the text of `lines`.
inline std::uint64_t manifest_size_bytes(const manifest_lines& lines) noexcept {
  return size_without_offsets_bytes(lines) + offsets_size_bytes(lines);
}

/// Writes the text of `lines`, `manifest_size_bytes(lines)` bytes, to `into`.
inline void emit_manifest(const manifest_lines& lines, char* into) noexcept {
  text_filler filler(into);
  manifest_emitter(filler).emit(lines);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
