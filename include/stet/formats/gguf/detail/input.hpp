// SPDX-License-Identifier: MIT
// Reads the fields of a GGUF file in order, in either byte order, from memory or on demand.
#ifndef STET_FORMATS_GGUF_DETAIL_INPUT_HPP
#define STET_FORMATS_GGUF_DETAIL_INPUT_HPP

#include "../../../index/format.hpp"
#include "../../../source/source.hpp"
#include "../../../vocabulary/detail/endian.hpp"
#include "../../../vocabulary/detail/spans.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// The first bytes of a GGUF file, in either byte order.
inline constexpr std::string_view gguf_magic = "GGUF";
/// The highest version of the format that is read, and the one that is written.
inline constexpr std::uint32_t gguf_version = 3;
/// The most bytes of a string, and the most elements of an array: those that ggml reads.
inline constexpr std::uint64_t max_gguf_length = std::uint64_t{1} << 30;
/// The most arrays within each other.
inline constexpr std::size_t max_gguf_depth = 16;
/// The alignment of a file without `general.alignment`.
inline constexpr std::uint32_t default_gguf_alignment_bytes = 32;

/// The type of a value, by its code.
enum class gguf_type : std::uint32_t {
  uint8 = 0,
  int8 = 1,
  uint16 = 2,
  int16 = 3,
  uint32 = 4,
  int32 = 5,
  float32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  uint64 = 10,
  int64 = 11,
  float64 = 12,
};

/// One row of `gguf_types`.
struct gguf_type_description {
  /// The name of the type in metadata.
  std::string_view name;
  /// The size of a value; 0 if it varies.
  std::uint8_t size_bytes;
};
/// Every type of value, in the order of the codes.
inline constexpr gguf_type_description gguf_types[] = {
    {"u8", 1},   {"i8", 1},     {"u16", 2},   {"i16", 2}, {"u32", 4}, {"i32", 4}, {"f32", 4},
    {"bool", 1}, {"string", 0}, {"array", 0}, {"u64", 8}, {"i64", 8}, {"f64", 8},
};
/// The number of types; a code from here on is unknown.
inline constexpr std::uint32_t gguf_type_count = sizeof gguf_types / sizeof gguf_types[0];

constexpr const gguf_type_description& row_of(gguf_type type) noexcept {
  return gguf_types[static_cast<std::uint32_t>(type)];
}
constexpr bool is_integer(gguf_type type) noexcept {
  return type <= gguf_type::int32 || type == gguf_type::uint64 || type == gguf_type::int64;
}

/// Walks over the fields of a GGUF file. Bytes that are not in memory are read through a window. A field that cannot be read is
/// zero, and so is every later one; `is_good()` then is false, and `problem` gives the reason.
class gguf_input {
public:
  /// The most bytes that `take` gives at once.
  static constexpr std::size_t window_size_bytes = std::size_t{128} * 1024;

  /// @param from  must outlive the input
  gguf_input(const source& from, memory_resource* memory) noexcept
      : from_(from), memory_(memory), window_(from.data()), size_(from.size_bytes()) {
    if (window_ != nullptr) window_size_ = size_;
  }

  [[nodiscard]] bool is_good() const noexcept { return failure_code_ == errc{}; }
  /// The offset of the next byte.
  [[nodiscard]] std::uint64_t position_bytes() const noexcept { return at_; }
  /// The number of bytes left.
  [[nodiscard]] std::uint64_t left_bytes() const noexcept { return size_ - at_; }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_; }
  [[nodiscard]] std::uint32_t version() const noexcept { return version_; }
  [[nodiscard]] bool is_big_endian() const noexcept { return is_big_endian_; }
  /// The size of a length, a count of elements or an extent.
  [[nodiscard]] std::uint64_t length_size_bytes() const noexcept { return version_ == 1 ? 4u : 8u; }

  /// Remembers a failure; the first one counts.
  void fail(errc code, std::uint64_t offset_bytes) noexcept {
    if (!is_good()) return;
    failure_code_ = code;
    failure_offset_ = offset_bytes;
  }
  /// The failure, about `subject`. An error of reading the file is as the reader gave it.
  [[nodiscard]] error problem(std::string_view subject) const noexcept {
    if (read_failure_.code() != errc{}) return read_failure_;
    return error(failure_code_, subject, failure_offset_);
  }

  /// The next `count` bytes, at most `window_size_bytes`; valid until the next call. nullptr, and a failure, if the file ends
  /// before.
  const std::byte* peek(std::size_t count) noexcept {
    if (!is_good()) return nullptr;
    if (count > size_ - at_) {
      fail(errc::truncated, size_);
      return nullptr;
    }
    const bool is_there = at_ >= window_begin_ && count <= window_size_ && at_ - window_begin_ <= window_size_ - count;
    if (!is_there && !fill()) return nullptr;
    return window_ + static_cast<std::size_t>(at_ - window_begin_);
  }
  /// The same, and passes over them.
  const std::byte* take(std::size_t count) noexcept {
    const std::byte* const taken = peek(count);
    if (taken != nullptr) at_ += count;
    return taken;
  }
  template <class Unsigned> Unsigned number() noexcept {
    const std::byte* const at = take(sizeof(Unsigned));
    return at == nullptr ? Unsigned{0} : load<Unsigned>(at);
  }
  /// The number at `at`, in the byte order of the file.
  template <class Unsigned> [[nodiscard]] Unsigned load(const std::byte* at) const noexcept {
    const auto value = load_little<Unsigned>(at);
    return is_big_endian_ ? byte_swapped(value) : value;
  }
  /// The length, count or extent at `at`.
  [[nodiscard]] std::uint64_t load_length(const std::byte* at) const noexcept {
    return version_ == 1 ? std::uint64_t{load<std::uint32_t>(at)} : load<std::uint64_t>(at);
  }
  /// An unsigned integer of 1, 2, 4 or 8 bytes.
  std::uint64_t number(std::size_t size_bytes) noexcept {
    switch (size_bytes) {
    case 1:
      return number<std::uint8_t>();
    case 2:
      return number<std::uint16_t>();
    case 4:
      return number<std::uint32_t>();
    default:
      return number<std::uint64_t>();
    }
  }
  /// A length, a count of elements or an extent.
  std::uint64_t length() noexcept {
    return version_ == 1 ? std::uint64_t{number<std::uint32_t>()} : number<std::uint64_t>();
  }
  /// The length of a string whose bytes follow.
  std::uint64_t string_size() noexcept {
    const std::uint64_t begin = at_;
    const std::uint64_t size = length();
    if (size > left_bytes()) {
      fail(errc::truncated, begin);
    } else if (size > max_gguf_length) {
      fail(errc::too_large, begin);
    }
    return is_good() ? size : 0;
  }
  /// A string of at most `max_size_bytes`, which fit the window. A longer one is errc::bad_name.
  std::string_view name(std::size_t max_size_bytes) noexcept {
    const std::uint64_t begin = at_;
    const std::uint64_t size = string_size();
    if (size > max_size_bytes) fail(errc::bad_name, begin);
    if (!is_good() || size == 0) return {};
    const std::byte* const text = take(static_cast<std::size_t>(size));
    return text == nullptr ? std::string_view() : text_at(text, static_cast<std::size_t>(size));
  }
  /// Passes over bytes that exist.
  void skip(std::uint64_t count) noexcept { at_ += count; }
  /// Goes back to a byte that was read.
  void rewind(std::uint64_t offset_bytes) noexcept { at_ = offset_bytes; }

  /// Reads magic, version and byte order. Errors: in `is_good`; the subject is `header`.
  void read_frame() noexcept {
    const std::byte* const magic = take(gguf_magic.size());
    if (magic == nullptr) return;
    if (text_at(magic, gguf_magic.size()) != gguf_magic) return fail(errc::malformed, 0);
    version_ = number<std::uint32_t>();
    if ((version_ & 0xFFFFu) == 0) {
      // The version of a big-endian file: its low bytes are the high ones.
      is_big_endian_ = true;
      version_ = byte_swapped(version_);
    }
    if (version_ > gguf_version) fail(errc::newer_format, gguf_magic.size());
    if (version_ == 0) fail(errc::malformed, gguf_magic.size());
  }

private:
  /// Reads the window that begins at the next byte.
  bool fill() noexcept {
    if (room_.size_bytes() == 0) {
      const std::uint64_t size = size_ < window_size_bytes ? size_ : window_size_bytes;
      result<source> made = source::allocate(size, memory_);
      if (!made) return fail_to_read(made.error());
      room_ = std::move(*made);
      window_ = room_.data();
    }
    window_begin_ = at_;
    window_size_ = size_ - at_ < room_.size_bytes() ? size_ - at_ : room_.size_bytes();
    const auto read =
        from_.read_at(at_, writable_bytes_at(room_.writable_data(), static_cast<std::size_t>(window_size_)));
    return read ? true : fail_to_read(read.error());
  }
  bool fail_to_read(const error& reason) noexcept {
    read_failure_ = reason;
    fail(reason.code(), reason.offset_bytes());
    return false;
  }

  const source& from_;
  memory_resource* memory_;
  source room_; // the window, where the file is not in memory
  const std::byte* window_;
  std::uint64_t size_, at_ = 0, window_begin_ = 0, window_size_ = 0;
  std::uint64_t failure_offset_ = 0;
  error read_failure_{errc{}};
  errc failure_code_{};
  std::uint32_t version_ = 0;
  bool is_big_endian_ = false;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
