// SPDX-License-Identifier: MIT
// Reads the header of a safetensors file (github.com/huggingface/safetensors, README, "Format") into entries of an index.
#ifndef STET_FORMATS_SAFETENSORS_DETAIL_HEADER_HPP
#define STET_FORMATS_SAFETENSORS_DETAIL_HEADER_HPP

#include "entries.hpp"

#include "../../../source/source.hpp"
#include "../../../vocabulary/detail/heap_sort.hpp"
#include "../../../wire/json.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// The size of the field in front of the header: its size, little-endian.
inline constexpr std::uint64_t safetensors_length_size_bytes = 8;
/// The largest header that the reference takes.
inline constexpr std::uint64_t max_safetensors_header_size_bytes = 100'000'000;
/// The key of the member that is no tensor.
inline constexpr std::string_view safetensors_metadata_key = "__metadata__";

/// A dtype by its name in safetensors files.
struct safetensors_dtype {
  std::string_view name;
  stet::dtype dtype;
};
/// Every dtype of the format, in the order of the reference's enum, by which its writer sorts.
inline constexpr safetensors_dtype safetensors_dtypes[] = {
    {"BOOL", dtype::boolean},
    {"F4", dtype::float4_e2m1fn},
    {"F6_E2M3", dtype::float6_e2m3fn},
    {"F6_E3M2", dtype::float6_e3m2fn},
    {"U8", dtype::uint8},
    {"I8", dtype::int8},
    {"F8_E5M2", dtype::float8_e5m2},
    {"F8_E4M3", dtype::float8_e4m3fn},
    {"F8_E8M0", dtype::float8_e8m0fnu},
    {"F8_E4M3FNUZ", dtype::float8_e4m3fnuz},
    {"F8_E5M2FNUZ", dtype::float8_e5m2fnuz},
    {"I16", dtype::int16},
    {"U16", dtype::uint16},
    {"F16", dtype::float16},
    {"BF16", dtype::bfloat16},
    {"I32", dtype::int32},
    {"U32", dtype::uint32},
    {"F32", dtype::float32},
    {"C64", dtype::complex64},
    {"F64", dtype::float64},
    {"I64", dtype::int64},
    {"U64", dtype::uint64},
};

/// Reads the members of a header one by one and writes an entry for each tensor. Used once.
class safetensors_header_reader {
public:
  /// @param text             the header, which must outlive this object
  /// @param data_size_bytes  the number of bytes behind it
  /// @param part             the number of the file
  safetensors_header_reader(std::string_view text, std::uint64_t data_size_bytes, std::uint32_t part,
                            safetensors_entries& entries, memory_resource* memory) noexcept
      : in_(text, max_depth), text_(text), text_size_(text.size()), data_size_(data_size_bytes), part_(part),
        memory_(memory), entries_(entries), first_count_(entries.count()), first_size_(entries.size_bytes()) {}

  /// Reads the header and adds an entry for each of its tensors, whose offsets are those of the file.
  /// Errors: as `open_safetensors` documents them, but for names that occur twice.
  result<void> read() noexcept {
    if (in_.next() != json_token::begin_object) return problem(errc::wrong_type, "header");
    if (auto there = entries_.make_room(text_size_); !there) return there;
    while (in_.next() == json_token::key) {
      const json_string name = in_.string();
      const auto read = name == safetensors_metadata_key ? read_metadata() : read_tensor(name);
      if (!read) return read;
    }
    if (in_.token() != json_token::end_object) return problem(in_.code(), "header");
    const auto end = static_cast<std::size_t>(in_.offset_bytes());
    if (in_.next() != json_token::end) {
      const bool is_padded = end < text_.size() && text_[end] == '\0';
      return problem(in_.code(), "header").about(is_padded ? "header, padded with NUL bytes" : "header");
    }
    return check_chain();
  }

private:
  /// A header is an object of objects that hold arrays.
  static constexpr std::size_t max_depth = 8;

  /// The fields of a tensor; its extents are in `extents_`.
  struct fields {
    const safetensors_dtype* type = nullptr;
    std::size_t rank = 0;
    std::uint64_t begin = 0, end = 0;
    bool has_shape = false, has_offsets = false;
  };

  /// An error of the JSON if the reader has one, else `code`.
  [[nodiscard]] error problem(errc code, std::string_view subject) const noexcept {
    const std::uint64_t offset = safetensors_length_size_bytes + in_.offset_bytes();
    if (in_.code() != errc{}) return error(in_.code(), "header", offset);
    return error(code, subject, offset);
  }
  /// The same about a tensor.
  [[nodiscard]] error problem(errc code, const json_string& name) const noexcept {
    char decoded[error::max_subject_bytes];
    if (!name.has_escapes() || name.raw().size() > sizeof decoded) return problem(code, name.raw());
    return problem(code, text_at(decoded, name.decode(decoded)));
  }

  /// Metadata is an object of strings, or null.
  result<void> read_metadata() noexcept {
    if (has_metadata_) return problem(errc::duplicate_key, safetensors_metadata_key);
    has_metadata_ = true;
    if (in_.next() == json_token::null) return {};
    if (in_.token() != json_token::begin_object) return problem(errc::wrong_type, safetensors_metadata_key);
    while (in_.next() == json_token::key) {
      if (in_.next() != json_token::string) return problem(errc::wrong_type, safetensors_metadata_key);
    }
    if (in_.token() != json_token::end_object) return problem(errc::bad_json, safetensors_metadata_key);
    return {};
  }

  result<void> read_tensor(const json_string& name) noexcept {
    fields of;
    if (read_usual_tensor(of)) return add(name, of);
    of = {};
    if (in_.next() != json_token::begin_object) return problem(errc::wrong_type, name);
    while (in_.next() == json_token::key) {
      const json_string key = in_.string();
      in_.next();
      if (key == "dtype") {
        if (of.type != nullptr) return problem(errc::duplicate_key, name);
        if (in_.token() != json_token::string) return problem(errc::wrong_type, name);
        of.type = find_type(in_.string());
        if (of.type == nullptr) return problem(errc::unknown_dtype, name);
      } else if (key == "shape") {
        if (of.has_shape) return problem(errc::duplicate_key, name);
        of.has_shape = true;
        if (auto read = read_shape(of, name); !read) return read;
      } else if (key == "data_offsets") {
        if (of.has_offsets) return problem(errc::duplicate_key, name);
        of.has_offsets = true;
        if (auto read = read_offsets(of, name); !read) return read;
      } else if (!in_.skip()) { // the reference ignores other fields
        return problem(errc::bad_json, name);
      }
    }
    if (in_.token() != json_token::end_object) return problem(errc::bad_json, name);
    if (of.type == nullptr || !of.has_shape || !of.has_offsets) return problem(errc::missing_field, name);
    return add(name, of);
  }

  /// The text of a tensor as the reference and most writers print it: without spaces, the fields in one order.
  class usual_text {
  public:
    explicit usual_text(std::string_view text) noexcept
        : begin_(text.data()), at_(begin_), end_(begin_ + text.size()) {}

    /// The number of bytes that were taken.
    [[nodiscard]] std::size_t size_bytes() const noexcept { return static_cast<std::size_t>(at_ - begin_); }
    template <std::size_t Size> bool take(const char (&literal)[Size]) noexcept {
      constexpr std::size_t size = Size - 1;
      if (static_cast<std::size_t>(end_ - at_) < size || std::memcmp(at_, literal, size) != 0) return false;
      at_ += size;
      return true;
    }
    /// Takes a name of few plain characters, up to the quote behind it.
    bool take_name(std::string_view& name) noexcept {
      constexpr std::ptrdiff_t most = 16;
      const char* const begin = at_;
      while (at_ != end_ && at_ - begin < most && (is_digit(*at_) || *at_ == '_' || (*at_ >= 'A' && *at_ <= 'Z')))
        ++at_;
      name = {begin, static_cast<std::size_t>(at_ - begin)};
      return take("\"");
    }
    /// Takes a plain integer that surely fits 64 bits.
    bool take_number(std::uint64_t& number) noexcept {
      constexpr std::ptrdiff_t most_digits = 18;
      const char* const begin = at_;
      number = 0;
      for (; at_ != end_ && is_digit(*at_) && at_ - begin < most_digits; ++at_)
        number = number * 10 + static_cast<std::uint64_t>(*at_ - '0');
      // What is longer does not end with the separator that follows.
      return at_ != begin && (*begin != '0' || at_ - begin == 1);
    }

  private:
    static bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
    const char *begin_, *at_, *end_;
  };

  /// Reads the fields of a tensor that is printed in the usual way. False, without a change of the reader, for any other.
  [[nodiscard]] bool read_usual_tensor(fields& of) noexcept {
    usual_text text(in_.rest());
    std::string_view type;
    if (!text.take("{\"dtype\":\"") || !text.take_name(type)) return false;
    of.type = find_type({type, false});
    if (of.type == nullptr || !text.take(",\"shape\":[")) return false;
    if (!text.take("]")) {
      do {
        if (of.rank == max_rank || !text.take_number(extents_[of.rank++])) return false;
      } while (text.take(","));
      if (!text.take("]")) return false;
    }
    if (!text.take(",\"data_offsets\":[") || !text.take_number(of.begin) || !text.take(",") ||
        !text.take_number(of.end) || !text.take("]}"))
      return false;
    in_.pass_value(text.size_bytes());
    return true;
  }

  /// The dtype of this name; nullptr if there is none. Most tensors of a file have the dtype of the one before.
  [[nodiscard]] const safetensors_dtype* find_type(const json_string& name) noexcept {
    if (last_type_ != nullptr && name == last_type_->name) return last_type_;
    for (const safetensors_dtype& each : safetensors_dtypes) {
      if (name == each.name) return last_type_ = &each;
    }
    return nullptr;
  }

  result<void> read_shape(fields& of, const json_string& name) noexcept {
    if (in_.token() != json_token::begin_array) return problem(errc::wrong_type, name);
    while (in_.next() == json_token::number) {
      if (!in_.number().is_unsigned()) return problem(errc::wrong_type, name);
      if (of.rank == max_rank) return problem(errc::bad_shape, name);
      extents_[of.rank++] = in_.number().magnitude;
    }
    return in_.token() == json_token::end_array ? result<void>() : problem(errc::wrong_type, name);
  }

  result<void> read_offsets(fields& of, const json_string& name) noexcept {
    if (in_.token() != json_token::begin_array) return problem(errc::wrong_type, name);
    for (std::uint64_t* const each : {&of.begin, &of.end}) {
      if (in_.next() != json_token::number || !in_.number().is_unsigned()) return problem(errc::wrong_type, name);
      *each = in_.number().magnitude;
    }
    return in_.next() == json_token::end_array ? result<void>() : problem(errc::wrong_type, name);
  }

  /// Checks a tensor and writes its entry.
  result<void> add(const json_string& name, const fields& of) noexcept {
    index_row row;
    row.layout = element_layout::of(of.type->dtype);
    row.shape = std::span<const std::uint64_t>(extents_, of.rank);
    row.size_bytes = of.end - of.begin;
    element_counter counter;
    for (std::size_t i = 0; i < of.rank; ++i) {
      if (!counter.multiply(extents_[i])) return problem(errc::bad_shape, name);
    }
    std::uint64_t bits = 0;
    if (!checked_multiply(counter.element_count(), std::uint64_t{row.layout.bits}, bits))
      return problem(errc::bad_shape, name);
    if (of.begin > of.end) return problem(errc::bad_offset, name);
    if (bits % 8 != 0 || bits / 8 != row.size_bytes) return problem(errc::bad_size, name);
    if (of.end > data_size_) return problem(errc::truncated, name);
    row.offset_bytes = safetensors_length_size_bytes + text_size_ + of.begin;
    is_in_order_ = is_in_order_ && of.begin == end_;
    end_ = of.end;

    row.part = part_;
    const errc failure = entries_.add(row, name);
    if (failure == errc::bad_name || failure == errc::bad_shape) return problem(failure, name);
    return failure == errc{} ? result<void>() : error(failure);
  }

  /// Every byte of the data belongs to one tensor: in the order of their offsets, each tensor begins where the one before ends.
  result<void> check_chain() noexcept {
    if (!is_in_order_) {
      if (auto sorted = check_sorted(); !sorted) return sorted;
    }
    if (end_ == data_size_) return {};
    return error(errc::trailing_bytes, {}, safetensors_length_size_bytes + text_size_ + end_);
  }

  /// The same for tensors in any order. Sets `end_`.
  result<void> check_sorted() noexcept {
    const std::uint32_t count = entries_.count() - first_count_;
    result<source> memory = source::allocate(count * std::uint64_t{sizeof(range)}, memory_);
    if (!memory) return memory.error();
    range* const ranges = reinterpret_cast<range*>(memory->writable_data());
    const std::byte* at = entries_.data() + first_size_;
    const std::uint64_t data_begin = safetensors_length_size_bytes + text_size_;
    for (std::uint32_t number = 0; number < count; ++number) {
      const std::uint64_t begin = entry_field::offset.load(at) - data_begin;
      ranges[number] = {begin, begin + entry_field::size.load(at), at};
      at += safetensors_entries::size_of(at);
    }
    heap_sort(ranges, count, [](const range& a, const range& b) {
      if (a.begin != b.begin) return a.begin < b.begin;
      return a.end != b.end ? a.end < b.end : a.entry < b.entry;
    });
    end_ = 0;
    for (std::uint32_t number = 0; number < count; ++number) {
      const range& each = ranges[number];
      if (each.begin != end_) {
        const std::string_view name = safetensors_entries::name_of(each.entry);
        return error(each.begin < end_ ? errc::overlap : errc::bad_offset, name, data_begin + each.begin);
      }
      end_ = each.end;
    }
    return {};
  }

  /// The bytes of a tensor, counted from the beginning of the data.
  struct range {
    std::uint64_t begin, end;
    const std::byte* entry;
  };

  json_reader in_;
  std::string_view text_;
  std::uint64_t text_size_, data_size_;
  std::uint32_t part_;
  memory_resource* memory_;
  safetensors_entries& entries_;
  std::uint32_t first_count_; // of the entries before this file's
  std::size_t first_size_;
  std::uint64_t extents_[max_rank];
  const safetensors_dtype* last_type_ = nullptr;
  std::uint64_t end_ = 0; // of the tensor before
  bool is_in_order_ = true, has_metadata_ = false;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
