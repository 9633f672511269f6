// SPDX-License-Identifier: MIT
// Reads Protocol Buffers field by field and in place: no schema, no message objects, no allocation.
#ifndef STET_WIRE_PROTOBUF_HPP
#define STET_WIRE_PROTOBUF_HPP

#include "varint.hpp"

#include "../vocabulary/detail/bit_cast.hpp"
#include "../vocabulary/detail/endian.hpp"
#include "../vocabulary/result.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

// A message is a sequence of fields, in any order:
//
//   field  = varint (number << 3 | type) | payload by type
//   type   0  varint   integers, bool, enum (negative ones as 64 bits)
//          1  fixed64  8 bytes, little-endian
//          2  bytes    varint size | bytes: strings, sub-messages, packed repeated scalars
//          3  group    fields up to a field of type 4 with the same number (obsolete; skipped here)
//          5  fixed32  4 bytes, little-endian
//
// The rules for every reader: unknown fields, and known fields of another type, are skipped. Of a scalar that occurs twice,
// the last one is valid. A sub-message that occurs twice is merged. A repeated scalar may be packed, loose, or both.
// Source: protobuf.dev, "Encoding".

#if defined(_MSC_VER) && !defined(__clang__)
#define STET_NOINLINE __declspec(noinline)
#else
#define STET_NOINLINE __attribute__((noinline))
#endif

namespace stet::inline STET_NAMESPACE::detail {

/// The encoding of the payload of a field.
enum class protobuf_type : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, group = 3, group_end = 4, fixed32 = 5 };

/// The largest depth of groups, as in Protocol Buffers' own readers. A reader of recursive messages should apply the same
/// limit to its own recursion.
inline constexpr std::uint32_t max_protobuf_depth = 100;

// Labels for a switch over `protobuf_message::tag()`. A field of an unexpected type has another tag, and so is treated like an
// unknown field.
constexpr std::uint32_t varint_field(std::uint32_t number) noexcept { return number << 3; }
constexpr std::uint32_t fixed64_field(std::uint32_t number) noexcept { return number << 3 | 1; }
constexpr std::uint32_t bytes_field(std::uint32_t number) noexcept { return number << 3 | 2; }
constexpr std::uint32_t fixed32_field(std::uint32_t number) noexcept { return number << 3 | 5; }

/// Walks over the fields of one message. The bytes must outlive it and every view that it returns.
///
///     protobuf_message entry(bytes);
///     while (entry.next()) {
///       switch (entry.tag()) {
///       case varint_field(4): offset = entry.varint(); break;
///       case bytes_field(2): shape = entry.bytes(); break;
///       }
///     }
///     if (!entry.is_whole()) return error(errc::bad_protobuf, "entry", entry.offset_bytes());
class protobuf_message {
public:
  /// Reads the message that fills `bytes`; an empty one has no fields.
  explicit protobuf_message(std::span<const std::byte> bytes) noexcept
      : begin_(bytes.data()), field_(begin_), at_(begin_), end_(begin_ + bytes.size()) {}

  /// Goes to the next field. Groups are checked and skipped.
  /// @return  false at the end of the message, and where the message is malformed (then `!is_whole()`)
  /// Cost: a few instructions for a field of any size.
  [[nodiscard]] bool next() noexcept {
    // Most fields are a tag and a value or size, of one byte each. This path is short enough to be inlined into the caller's
    // loop.
    if (left(at_) >= 2 && (at_[0] | at_[1]) < std::byte{0x80}) {
      field_ = at_;
      tag_ = static_cast<std::uint32_t>(at_[0]);
      value_ = static_cast<std::uint64_t>(at_[1]);
      payload_ = at_ + 2;
      const bool is_bytes = type() == protobuf_type::bytes && value_ <= left(payload_);
      if (number() != 0 && (is_bytes || type() == protobuf_type::varint)) {
        at_ = payload_ + (is_bytes ? static_cast<std::size_t>(value_) : 0);
        return true;
      }
    }
    return at_ != end_ && next_of_any_form();
  }

  /// True if no field so far is malformed. Test it when `next` returns false.
  [[nodiscard]] bool is_whole() const noexcept { return is_whole_; }
  /// The offset in the message of the field that `next` went to or failed at.
  [[nodiscard]] std::uint64_t offset_bytes() const noexcept { return static_cast<std::uint64_t>(field_ - begin_); }

  // The field that `next` went to.

  /// The number and type of the field, for comparison with `varint_field(number)` and its siblings.
  [[nodiscard]] std::uint32_t tag() const noexcept { return tag_; }
  [[nodiscard]] std::uint32_t number() const noexcept { return tag_ >> 3; }
  [[nodiscard]] protobuf_type type() const noexcept { return static_cast<protobuf_type>(tag_ & 7); }

  /// The value of a varint, fixed32 or fixed64.
  [[nodiscard]] std::uint64_t varint() const noexcept { return value_; }
  /// The same as int64. An int32 or enum is stored sign-extended, and its value is the low 32 bits.
  [[nodiscard]] std::int64_t int64() const noexcept { return static_cast<std::int64_t>(value_); }
  [[nodiscard]] std::int32_t int32() const noexcept {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(value_));
  }
  [[nodiscard]] bool boolean() const noexcept { return value_ != 0; }
  [[nodiscard]] std::uint32_t fixed32() const noexcept { return static_cast<std::uint32_t>(value_); }
  [[nodiscard]] std::uint64_t fixed64() const noexcept { return value_; }
  [[nodiscard]] float float32() const noexcept { return bit_cast<float>(fixed32()); }
  [[nodiscard]] double float64() const noexcept { return bit_cast<double>(fixed64()); }
  /// The payload of a field of type bytes, in place.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return {payload_, static_cast<std::size_t>(value_)};
  }
  /// The same as text; any bytes are possible.
  [[nodiscard]] std::string_view text() const noexcept {
    return {reinterpret_cast<const char*>(payload_), static_cast<std::size_t>(value_)};
  }

private:
  STET_NOINLINE bool next_of_any_form() noexcept {
    do {
      field_ = at_;
      const std::byte* at = read_varint(at_, end_, tag_);
      if (at == nullptr || number() == 0) return fail();
      at = type() == protobuf_type::group ? skip_group(at) : read_payload(at, type());
      if (at == nullptr) return fail();
      at_ = at;
      if (type() != protobuf_type::group) return true;
    } while (at_ != end_);
    return false;
  }

  bool fail() noexcept {
    at_ = end_;
    return is_whole_ = false;
  }
  [[nodiscard]] std::size_t left(const std::byte* at) const noexcept { return static_cast<std::size_t>(end_ - at); }

  template <class Unsigned> const std::byte* read_fixed(const std::byte* at) noexcept {
    if (left(at) < sizeof(Unsigned)) return nullptr;
    value_ = load_little<Unsigned>(at);
    return at + sizeof(Unsigned);
  }
  const std::byte* read_bytes(const std::byte* at) noexcept {
    at = read_varint(at, end_, value_);
    if (at == nullptr || value_ > left(at)) return nullptr;
    payload_ = at;
    return at + static_cast<std::size_t>(value_);
  }
  /// Reads the payload of a field of this type, which is not a group; nullptr if it is cut off.
  const std::byte* read_payload(const std::byte* at, protobuf_type type) noexcept {
    switch (type) {
    case protobuf_type::varint:
      return read_varint(at, end_, value_);
    case protobuf_type::fixed64:
      return read_fixed<std::uint64_t>(at);
    case protobuf_type::fixed32:
      return read_fixed<std::uint32_t>(at);
    case protobuf_type::bytes:
      return read_bytes(at);
    default:
      return nullptr;
    }
  }
  /// Skips the group whose first field is at `at`; `tag()` stays that of the group.
  const std::byte* skip_group(const std::byte* at) noexcept {
    std::uint32_t open[max_protobuf_depth]; // numbers of the groups around `at`
    std::uint32_t depth = 0;
    open[depth++] = number();
    while (at != nullptr && depth != 0) {
      std::uint32_t tag = 0;
      at = read_varint(at, end_, tag);
      if (at == nullptr || tag >> 3 == 0) return nullptr;
      const protobuf_type type = static_cast<protobuf_type>(tag & 7);
      if (type == protobuf_type::group) {
        if (depth == max_protobuf_depth) return nullptr;
        open[depth++] = tag >> 3;
      } else if (type == protobuf_type::group_end) {
        if (open[--depth] != tag >> 3) return nullptr;
      } else {
        at = read_payload(at, type);
      }
    }
    return at;
  }

  const std::byte* begin_;
  const std::byte* field_;
  const std::byte* at_;
  const std::byte* end_;
  const std::byte* payload_ = nullptr;
  std::uint64_t value_ = 0; // of type bytes: the size
  std::uint32_t tag_ = 0;
  bool is_whole_ = true;
};

/// Calls `visit(std::uint64_t)` for each integer of a repeated field that is packed (type bytes) or loose (type varint).
/// @return  false if the packed bytes are malformed; the integers before that place have been visited
template <class Visit> bool for_each_varint(const protobuf_message& field, Visit&& visit) {
  if (field.type() != protobuf_type::bytes) {
    visit(field.varint());
    return true;
  }
  const std::byte* at = field.bytes().data();
  for (const std::byte* const end = at + field.bytes().size(); at != end;) {
    std::uint64_t value = 0;
    at = read_varint(at, end, value);
    if (at == nullptr) return false;
    visit(value);
  }
  return true;
}

/// Calls `visit(Unsigned)` for each fixed32 (std::uint32_t) or fixed64 (std::uint64_t) word of a repeated field that is packed
/// or loose. For floats, the caller applies bit_cast.
/// @return  false if the packed bytes are not whole words; nothing has been visited then
template <class Unsigned, class Visit> bool for_each_fixed(const protobuf_message& field, Visit&& visit) {
  static_assert(sizeof(Unsigned) == 4 || sizeof(Unsigned) == 8);
  if (field.type() != protobuf_type::bytes) {
    visit(static_cast<Unsigned>(field.varint()));
    return true;
  }
  const std::span<const std::byte> words = field.bytes();
  if (words.size() % sizeof(Unsigned) != 0) return false;
  for (std::size_t i = 0; i < words.size(); i += sizeof(Unsigned)) visit(load_little<Unsigned>(words.data() + i));
  return true;
}

} // namespace stet::inline STET_NAMESPACE::detail

#undef STET_NOINLINE

#endif
