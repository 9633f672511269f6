// SPDX-License-Identifier: MIT
// Reads the beginning of a GGUF file: its counts and its keys with their values, of which it notes those that concern the file.
#ifndef STET_FORMATS_GGUF_DETAIL_KEYS_HPP
#define STET_FORMATS_GGUF_DETAIL_KEYS_HPP

#include "input.hpp"

#include "../../../index/detail/name_hash.hpp"
#include "../../../vocabulary/detail/heap_sort.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// The keys that concern the file and not the model.
inline constexpr std::string_view gguf_alignment_key = "general.alignment", gguf_split_number_key = "split.no",
                                  gguf_split_count_key = "split.count", gguf_split_tensors_key = "split.tensors.count";
/// The member of the metadata that has the types of values (describe.hpp). No key of a valid file has a colon.
inline constexpr std::string_view gguf_types_member = "gguf:types";
/// The longest key of the specification.
inline constexpr std::size_t max_gguf_key_size_bytes = 65535;

/// What the beginning of a file states.
struct gguf_facts {
  std::uint64_t tensor_count = 0, key_count = 0;
  std::uint32_t alignment_bytes = default_gguf_alignment_bytes;
  /// The number of this part, from 0, and the number of parts; 0 or 1: the model is one file.
  std::uint64_t split_number = 0, split_count = 0;
  /// The number of tensors of all parts, if it is stated.
  std::uint64_t split_tensor_count = 0;
  bool has_split_number = false, has_split_tensor_count = false;
};

/// True if the specification allows the key: ASCII, not empty. A NUL would end it for programs in C.
inline bool is_valid_gguf_key(std::string_view key) noexcept {
  if (key.empty() || key.size() > max_gguf_key_size_bytes || key == gguf_types_member) return false;
  for (const char c : key) {
    if (c == '\0' || static_cast<unsigned char>(c) > 0x7Fu) return false;
  }
  return true;
}

/// Reads the code of a type. Errors: in `in.is_good()`.
inline gguf_type read_gguf_type(gguf_input& in) noexcept {
  const std::uint64_t begin = in.position_bytes();
  const auto code = in.number<std::uint32_t>();
  if (code < gguf_type_count) return static_cast<gguf_type>(code);
  in.fail(errc::unknown_dtype, begin);
  return gguf_type::uint8;
}

/// The type and the number of the elements of an array.
struct gguf_array_head {
  gguf_type type;
  std::uint64_t count;
};
/// Reads the head of an array, whose elements the rest of the file may hold. Errors: in `in.is_good()`.
inline gguf_array_head read_gguf_array_head(gguf_input& in) noexcept {
  const gguf_type type = read_gguf_type(in);
  const std::uint64_t begin = in.position_bytes();
  const std::uint64_t count = in.length();
  const std::uint64_t length_size = in.length_size_bytes();
  const std::uint64_t least_size = type == gguf_type::array    ? 4 + length_size
                                   : type == gguf_type::string ? length_size
                                                               : std::uint64_t{row_of(type).size_bytes};
  if (in.is_good() && count > in.left_bytes() / least_size) {
    in.fail(errc::truncated, begin);
  } else if (count > max_gguf_length) {
    in.fail(errc::too_large, begin);
  }
  return {type, in.is_good() ? count : 0};
}

/// Passes over a value, and checks it. Errors: in `in.is_good()`.
inline void skip_gguf_value(gguf_input& in, gguf_type type, std::size_t depth = 0) noexcept;

/// Passes over `count` values.
inline void skip_gguf_values(gguf_input& in, gguf_type type, std::uint64_t count, std::size_t depth) noexcept {
  const std::uint64_t size = row_of(type).size_bytes;
  if (size != 0 && type != gguf_type::boolean) {
    if (count > in.left_bytes() / size) return in.fail(errc::truncated, in.size_bytes());
    return in.skip(count * size);
  }
  for (; count != 0 && in.is_good(); --count) {
    if (type == gguf_type::string) {
      in.skip(in.string_size());
    } else if (type == gguf_type::array) {
      skip_gguf_value(in, type, depth);
    } else if (in.number<std::uint8_t>() > 1) {
      in.fail(errc::bad_value, in.position_bytes() - 1);
    }
  }
}

inline void skip_gguf_value(gguf_input& in, gguf_type type, std::size_t depth) noexcept {
  if (type != gguf_type::array) return skip_gguf_values(in, type, 1, depth);
  if (depth == max_gguf_depth) return in.fail(errc::too_deep, in.position_bytes());
  const gguf_array_head head = read_gguf_array_head(in);
  skip_gguf_values(in, head.type, head.count, depth + 1);
}

/// Reads the counts behind the frame. Errors: those of `open_gguf` for the counts.
inline result<gguf_facts> read_gguf_counts(gguf_input& in) noexcept {
  in.read_frame();
  if (!in.is_good()) return in.problem("header");
  gguf_facts made;
  const std::uint64_t begin = in.position_bytes();
  made.tensor_count = in.length();
  made.key_count = in.length();
  if (!in.is_good()) return in.problem("header");
  // The least sizes: of a tensor a name, a rank, a type and an offset; of a key one letter, a type and a value.
  const std::uint64_t length = in.length_size_bytes(), left = in.left_bytes();
  if (made.tensor_count > left / (length + 16)) return error(errc::truncated, "number of tensors", begin);
  if (made.key_count > left / (length + 6)) return error(errc::truncated, "number of keys", begin + length);
  return made;
}

/// Reads the keys of a file one by one, with the counts in front of them.
class gguf_keys_reader {
public:
  gguf_keys_reader(gguf_input& in, memory_resource* memory) noexcept : in_(in), memory_(memory) {}

  /// Reads up to the end of the last value. Errors: those of `open_gguf` for the header, keys and values.
  result<gguf_facts> read() noexcept {
    const result<gguf_facts> counts = read_gguf_counts(in_);
    if (!counts) return counts.error();
    facts_ = *counts;
    result<source> memory = source::allocate(facts_.key_count * sizeof(seen_key), memory_);
    if (!memory) return memory.error();
    seen_key* const seen = reinterpret_cast<seen_key*>(memory->writable_data());
    for (std::uint64_t number = 0; number < facts_.key_count; ++number) {
      const std::uint64_t begin = in_.position_bytes();
      const std::string_view name = in_.name(max_gguf_key_size_bytes);
      if (!in_.is_good()) return in_.problem("key");
      if (!is_valid_gguf_key(name)) return error(errc::bad_name, name.empty() ? "key" : name, begin);
      seen[number] = {hash_name(name, 0), begin};
      // The name is valid until the next field is read.
      char kept[error::max_subject_bytes];
      text_writer text(kept, sizeof kept);
      append_shortened(text, name, sizeof kept);
      if (auto read = read_value(text.text()); !read) return read.error();
    }
    if (auto unique = check_unique(seen); !unique) return unique.error();
    return check_split();
  }

private:
  /// A key that was read. Two keys of one hash are taken for the same: no file has others by chance.
  struct seen_key {
    std::uint64_t hash, offset;
  };

  result<void> read_value(std::string_view name) noexcept {
    const gguf_type type = read_gguf_type(in_);
    const std::uint64_t begin = in_.position_bytes();
    if (name == gguf_alignment_key && in_.is_good()) return read_alignment(type);
    std::uint64_t* const split = name == gguf_split_number_key    ? &facts_.split_number
                                 : name == gguf_split_count_key   ? &facts_.split_count
                                 : name == gguf_split_tensors_key ? &facts_.split_tensor_count
                                                                  : nullptr;
    if (split == nullptr || !in_.is_good()) {
      skip_gguf_value(in_, type);
      return in_.is_good() ? result<void>() : in_.problem(name);
    }
    // Writers use several types. A negative number is a large one here, which no count is.
    if (!is_integer(type)) return error(errc::malformed, name, begin);
    *split = in_.number(row_of(type).size_bytes);
    if (split == &facts_.split_number) facts_.has_split_number = true;
    if (split == &facts_.split_tensor_count) facts_.has_split_tensor_count = true;
    return in_.is_good() ? result<void>() : in_.problem(name);
  }

  result<void> read_alignment(gguf_type type) noexcept {
    const std::uint64_t begin = in_.position_bytes();
    if (type != gguf_type::uint32) {
      char buffer[error::max_subject_bytes];
      text_writer text(buffer, sizeof buffer);
      text.append(gguf_alignment_key).append(" of type ").append(row_of(type).name);
      return error(errc::bad_alignment, text.text(), begin);
    }
    facts_.alignment_bytes = in_.number<std::uint32_t>();
    if (!in_.is_good()) return in_.problem(gguf_alignment_key);
    if (is_valid_alignment(facts_.alignment_bytes)) return {};
    char buffer[error::max_subject_bytes];
    text_writer text(buffer, sizeof buffer);
    text.append(gguf_alignment_key).append(" ").append(std::uint64_t{facts_.alignment_bytes});
    return error(errc::bad_alignment, text.text(), begin);
  }

  /// A key that occurs twice must have the same value, as some writers' files have it. The file is read again for those alone.
  result<void> check_unique(seen_key* seen) noexcept {
    heap_sort(seen, static_cast<std::size_t>(facts_.key_count), [](const seen_key& a, const seen_key& b) {
      return a.hash != b.hash ? a.hash < b.hash : a.offset < b.offset;
    });
    const std::uint64_t end = in_.position_bytes();
    for (std::uint64_t number = 1; number < facts_.key_count; ++number) {
      if (seen[number].hash != seen[number - 1].hash) continue;
      const std::uint64_t first = seen[number - 1].offset, second = seen[number].offset;
      if (is_same(first, size_of_key(first), second, size_of_key(second))) continue;
      in_.rewind(second);
      return error(errc::duplicate_key, in_.name(max_gguf_key_size_bytes), second);
    }
    in_.rewind(end);
    return {};
  }
  /// The size of a key with its value, which were read before.
  std::uint64_t size_of_key(std::uint64_t offset) noexcept {
    in_.rewind(offset);
    (void)in_.name(max_gguf_key_size_bytes);
    skip_gguf_value(in_, read_gguf_type(in_));
    return in_.position_bytes() - offset;
  }
  bool is_same(std::uint64_t first, std::uint64_t first_size, std::uint64_t second,
               std::uint64_t second_size) noexcept {
    if (first_size != second_size) return false;
    for (std::uint64_t left = first_size; left != 0;) {
      std::byte piece[256];
      const std::size_t size = left < sizeof piece ? static_cast<std::size_t>(left) : sizeof piece;
      in_.rewind(first + first_size - left);
      const std::byte* at = in_.peek(size);
      if (at == nullptr) return false;
      std::memcpy(piece, at, size);
      in_.rewind(second + first_size - left);
      at = in_.peek(size);
      if (at == nullptr || std::memcmp(piece, at, size) != 0) return false;
      left -= size;
    }
    return true;
  }

  /// What a part of a model states about itself.
  result<gguf_facts> check_split() const noexcept {
    if (facts_.split_count < 2) return facts_;
    if (!facts_.has_split_number || facts_.split_number >= facts_.split_count)
      return error(errc::malformed, gguf_split_number_key);
    if (facts_.split_count > max_gguf_length) return error(errc::malformed, gguf_split_count_key);
    return facts_;
  }

  gguf_input& in_;
  memory_resource* memory_;
  gguf_facts facts_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
