// SPDX-License-Identifier: MIT
// Reads FlatBuffers: each table, vector and string is checked when it is reached.
#ifndef STET_WIRE_FLATBUFFERS_HPP
#define STET_WIRE_FLATBUFFERS_HPP

#include "../vocabulary/detail/bit_cast.hpp"
#include "../vocabulary/detail/checked.hpp"
#include "../vocabulary/detail/endian.hpp"
#include "../vocabulary/detail/spans.hpp"
#include "../vocabulary/error.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

// A FlatBuffer
// ============
//
//   u32 offset of the root table | 4 bytes of identifier | tables, vtables, vectors and strings in any order
//
//   table    i32, what the vtable lies in front of it by (negative: behind it) | fields. At a multiple of 4
//   vtable   u16 size of the vtable | u16 size of the table | u16 offset of each field in the table, 0: the field is absent. At a
//            multiple of 2. A field beyond the vtable is absent, too. Tables may share a vtable
//   field    a scalar at a multiple of its size; or a reference
//   reference  u32, the distance from itself to a table, vector or string, which so lies behind it. At a multiple of 4
//   vector   u32 number of elements | elements: scalars, structs, or references. At a multiple of 4
//   string   a vector of bytes, followed by a NUL that is not counted
//
// Numbers are little-endian. Alignment counts from the beginning of the file. The library's Verifier does not check that elements of
// 8 bytes are aligned, and older writers do not align them; so neither does this reader, which loads them at any address.
//
// Source: flatbuffers.dev, "FlatBuffers Binary Format"; google/flatbuffers, include/flatbuffers/verifier.h.

namespace stet::inline STET_NAMESPACE::detail {

class flatbuffer_table;

/// The bytes of a FlatBuffer, and the first fault that was found in them. After a fault, everything that is read is absent, zero or
/// empty, so a caller may check `is_good` after several reads.
///
/// References may lead to the same bytes again and again, so that a small file describes any number of tables. The number of
/// references that are followed is limited by the size of the file; a caller whose work depends on what it finds adds that by `spend`.
class flatbuffer {
public:
  /// @param bytes  must outlive this object
  /// @param uses   how often every reference of the file may be followed
  explicit flatbuffer(std::span<const std::byte> bytes, std::uint64_t uses = 2) noexcept
      : bytes_(bytes), left_(bytes.size() / reference_size * uses + free_references) {}
  flatbuffer(const flatbuffer&) = delete;
  flatbuffer& operator=(const flatbuffer&) = delete;

  /// True if the file has this identifier of 4 bytes.
  [[nodiscard]] static bool has_identifier(std::span<const std::byte> start, std::string_view identifier) noexcept {
    return start.size() >= 2 * reference_size && text_at(start.data() + reference_size, reference_size) == identifier;
  }
  /// The root table.
  [[nodiscard]] inline flatbuffer_table root() noexcept;

  /// All bytes.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return bytes_.size(); }
  /// False after a fault.
  [[nodiscard]] bool is_good() const noexcept { return code_ == errc{}; }
  /// The first fault, about `subject`:
  /// @retval errc::truncated  something reaches past the end of the file
  /// @retval errc::malformed  something is not aligned, a vtable or reference is invalid, or a string has no NUL
  /// @retval errc::too_large  more references were followed than the file can have
  [[nodiscard]] error problem(std::string_view subject) const noexcept { return error(code_, subject, at_); }
  /// Records a fault; the first one counts.
  void fail(errc code, std::uint64_t offset_bytes) noexcept {
    if (!is_good()) return;
    code_ = code;
    at_ = offset_bytes;
  }
  /// Counts work for elements that references may share. @return false, and a fault, if it is more than the file can justify
  bool spend(std::uint64_t units, std::uint64_t offset_bytes) noexcept {
    if (units <= left_) {
      left_ -= units;
      return is_good();
    }
    left_ = 0;
    fail(errc::too_large, offset_bytes);
    return false;
  }

  /// Checks that `size_bytes` bytes at `offset_bytes` lie in the file, at a multiple of `alignment_bytes`.
  bool expect_range(std::uint64_t offset_bytes, std::uint64_t size, std::uint64_t alignment_bytes) noexcept {
    if (!is_good()) return false;
    if (!range_fits(offset_bytes, size, bytes_.size())) {
      fail(errc::truncated, bytes_.size());
    } else if (offset_bytes % alignment_bytes != 0) {
      fail(errc::malformed, offset_bytes);
    }
    return is_good();
  }
  /// The scalar at `offset_bytes`, which was checked.
  template <class T> [[nodiscard]] T load(std::uint64_t offset_bytes) const noexcept {
    const std::byte* const at = bytes_.data() + static_cast<std::size_t>(offset_bytes);
    if constexpr (std::is_integral_v<T>) {
      return static_cast<T>(load_little<std::make_unsigned_t<T>>(at));
    } else {
      using bits = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
      return bit_cast<T>(load_little<bits>(at));
    }
  }
  /// Follows the reference at `offset_bytes`, which lies in the file. @return where it leads; 0 after a fault
  std::uint64_t follow(std::uint64_t offset_bytes) noexcept {
    if (!expect_range(offset_bytes, reference_size, reference_size) || !spend(1, offset_bytes)) return 0;
    const std::uint32_t distance = load<std::uint32_t>(offset_bytes);
    if (distance == 0) return fail(errc::malformed, offset_bytes), 0;
    return expect_range(offset_bytes + distance, reference_size, reference_size) ? offset_bytes + distance : 0;
  }

private:
  static constexpr std::size_t reference_size = 4;
  /// Enough for a file that is all header.
  static constexpr std::uint64_t free_references = 64;

  std::span<const std::byte> bytes_;
  std::uint64_t left_;
  errc code_{};
  std::uint64_t at_ = 0;
};

/// A vector of scalars, structs or references; or a string. Its elements lie in the file. An absent one is empty.
class flatbuffer_vector {
public:
  flatbuffer_vector() noexcept = default;

  /// True if the file has the vector, which may be empty.
  [[nodiscard]] bool is_present() const noexcept { return in_ != nullptr; }
  /// The number of elements.
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  /// The offset of the first element in the file.
  [[nodiscard]] std::uint64_t offset_bytes() const noexcept { return begin_; }
  /// The elements as bytes.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    if (in_ == nullptr) return {};
    return in_->bytes().subspan(static_cast<std::size_t>(begin_), std::size_t{size_} * element_size_);
  }
  /// The elements as text.
  [[nodiscard]] std::string_view text() const noexcept { return text_at(bytes().data(), bytes().size()); }
  /// Element `number` < size(), which is a scalar of the type that the vector was asked for as.
  template <class T> [[nodiscard]] T number(std::uint32_t number) const noexcept {
    return in_->load<T>(begin_ + std::uint64_t{number} * element_size_);
  }
  /// Element `number` < size(), which is a reference to a table.
  [[nodiscard]] inline flatbuffer_table table(std::uint32_t number) const noexcept;
  /// Element `number` < size(), which is a reference to a string.
  [[nodiscard]] flatbuffer_vector string(std::uint32_t number) const noexcept {
    return string_at(*in_, in_->follow(begin_ + std::uint64_t{number} * element_size_));
  }

private:
  friend class flatbuffer_table;
  flatbuffer_vector(flatbuffer& in, std::uint64_t begin, std::uint32_t size, std::uint32_t element_size) noexcept
      : in_(&in), begin_(begin), size_(size), element_size_(element_size) {}

  /// The vector at `offset`, which `follow` gave.
  static flatbuffer_vector at(flatbuffer& in, std::uint64_t offset, std::uint32_t element_size) noexcept {
    if (!in.is_good()) return {};
    const auto count = in.load<std::uint32_t>(offset);
    // A u32 times the size of an element fits.
    if (!in.expect_range(offset + 4, std::uint64_t{count} * element_size, 1)) return {};
    return {in, offset + 4, count, element_size};
  }
  static flatbuffer_vector string_at(flatbuffer& in, std::uint64_t offset) noexcept {
    const flatbuffer_vector made = at(in, offset, 1);
    if (!made.is_present()) return made;
    const std::uint64_t end = made.begin_ + made.size_;
    if (!in.expect_range(end, 1, 1)) return {};
    if (in.load<std::uint8_t>(end) != 0) return in.fail(errc::malformed, end), flatbuffer_vector();
    return made;
  }

  flatbuffer* in_ = nullptr;
  std::uint64_t begin_ = 0;
  std::uint32_t size_ = 0, element_size_ = 1;
};

/// A table. The fields of an absent one are absent.
class flatbuffer_table {
public:
  flatbuffer_table() noexcept = default;

  /// True if the file has the table.
  [[nodiscard]] bool is_present() const noexcept { return in_ != nullptr; }
  /// The offset of the table in the file.
  [[nodiscard]] std::uint64_t offset_bytes() const noexcept { return at_; }

  /// The scalar in field `field`; `otherwise` if it is absent.
  template <class T> [[nodiscard]] T number(std::uint32_t field, T otherwise = T{}) const noexcept {
    const std::uint64_t at = place(field, sizeof(T), sizeof(T));
    return at == 0 ? otherwise : in_->load<T>(at);
  }
  /// The bytes of the struct of `size_bytes` bytes in field `field`; empty if it is absent.
  [[nodiscard]] std::span<const std::byte> structure(std::uint32_t field, std::size_t size_bytes) const noexcept {
    const std::uint64_t at = place(field, size_bytes, 1);
    return at == 0 ? std::span<const std::byte>() : in_->bytes().subspan(static_cast<std::size_t>(at), size_bytes);
  }
  /// The table that field `field` refers to.
  [[nodiscard]] flatbuffer_table table(std::uint32_t field) const noexcept {
    const std::uint64_t at = target(field);
    return at == 0 ? flatbuffer_table() : flatbuffer_table::at(*in_, at);
  }
  /// The vector that field `field` refers to, of elements of `element_size_bytes` bytes.
  [[nodiscard]] flatbuffer_vector vector(std::uint32_t field, std::uint32_t element_size_bytes) const noexcept {
    const std::uint64_t at = target(field);
    return at == 0 ? flatbuffer_vector() : flatbuffer_vector::at(*in_, at, element_size_bytes);
  }
  /// The vector of references that field `field` refers to.
  [[nodiscard]] flatbuffer_vector references(std::uint32_t field) const noexcept { return vector(field, 4); }
  /// The string that field `field` refers to.
  [[nodiscard]] flatbuffer_vector string(std::uint32_t field) const noexcept {
    const std::uint64_t at = target(field);
    return at == 0 ? flatbuffer_vector() : flatbuffer_vector::string_at(*in_, at);
  }

private:
  friend class flatbuffer;
  friend class flatbuffer_vector;
  flatbuffer_table(flatbuffer& in, std::uint64_t at, std::uint64_t vtable, std::uint16_t vtable_size,
                   std::uint16_t size) noexcept
      : in_(&in), at_(at), vtable_(vtable), vtable_size_(vtable_size), size_(size) {}

  /// The table at `offset`, which `follow` gave.
  static flatbuffer_table at(flatbuffer& in, std::uint64_t offset) noexcept {
    if (!in.is_good()) return {};
    constexpr std::uint16_t head_size = 4;
    const std::int64_t vtable = static_cast<std::int64_t>(offset) - in.load<std::int32_t>(offset);
    if (vtable < 0) return in.fail(errc::malformed, offset), flatbuffer_table();
    const auto begin = static_cast<std::uint64_t>(vtable);
    if (!in.expect_range(begin, head_size, 2)) return {};
    const auto vtable_size = in.load<std::uint16_t>(begin), size = in.load<std::uint16_t>(begin + 2);
    if (vtable_size < head_size || vtable_size % 2 != 0 || size < head_size)
      return in.fail(errc::malformed, begin), flatbuffer_table();
    if (!in.expect_range(begin, vtable_size, 2) || !in.expect_range(offset, size, 4)) return {};
    return {in, offset, begin, vtable_size, size};
  }

  /// The offset of a field in the file; 0 if it is absent.
  [[nodiscard]] std::uint64_t place(std::uint32_t field, std::size_t size, std::size_t alignment) const noexcept {
    if (in_ == nullptr || !in_->is_good()) return 0;
    const std::uint64_t entry = 4 + std::uint64_t{field} * 2;
    if (entry >= vtable_size_) return 0;
    const auto offset = in_->load<std::uint16_t>(vtable_ + entry);
    if (offset == 0) return 0;
    if (offset < 4 || !range_fits(offset, size, size_)) return in_->fail(errc::malformed, vtable_ + entry), 0;
    return in_->expect_range(at_ + offset, size, alignment) ? at_ + offset : 0;
  }
  /// Where the reference in a field leads; 0 if it is absent.
  [[nodiscard]] std::uint64_t target(std::uint32_t field) const noexcept {
    const std::uint64_t at = place(field, 4, 4);
    return at == 0 ? 0 : in_->follow(at);
  }

  flatbuffer* in_ = nullptr;
  std::uint64_t at_ = 0, vtable_ = 0;
  std::uint16_t vtable_size_ = 0, size_ = 0;
};

inline flatbuffer_table flatbuffer::root() noexcept {
  const std::uint64_t at = follow(0);
  return at == 0 ? flatbuffer_table() : flatbuffer_table::at(*this, at);
}

inline flatbuffer_table flatbuffer_vector::table(std::uint32_t number) const noexcept {
  const std::uint64_t at = in_->follow(begin_ + std::uint64_t{number} * element_size_);
  return at == 0 ? flatbuffer_table() : flatbuffer_table::at(*in_, at);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
