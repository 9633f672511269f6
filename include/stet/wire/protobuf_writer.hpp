// SPDX-License-Identifier: MIT
// Writes Protocol Buffers field by field, in the order of the calls.
#ifndef STET_WIRE_PROTOBUF_WRITER_HPP
#define STET_WIRE_PROTOBUF_WRITER_HPP

#include "protobuf.hpp"

#include <bit>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Writes one message. Every call appends a field, even a zero; the caller leaves out what the schema leaves out. Fields in
/// ascending order of their numbers give the same bytes as Protocol Buffers.
///
///     protobuf_writer shape;
///     for (std::uint64_t extent : extents) shape.message(2, [&](protobuf_writer& dim) { dim.varint(1, extent); });
class protobuf_writer {
public:
  /// Appends an unsigned integer, an enumerator, or a bool.
  protobuf_writer& varint(std::uint32_t number, std::uint64_t value) {
    append_varint(bytes_, varint_field(number));
    append_varint(bytes_, value);
    return *this;
  }
  /// Appends an int32 or int64; a negative one takes ten bytes.
  protobuf_writer& integer(std::uint32_t number, std::int64_t value) {
    return varint(number, static_cast<std::uint64_t>(value));
  }
  protobuf_writer& fixed32(std::uint32_t number, std::uint32_t value) { return fixed(fixed32_field(number), value); }
  protobuf_writer& fixed64(std::uint32_t number, std::uint64_t value) { return fixed(fixed64_field(number), value); }
  protobuf_writer& float32(std::uint32_t number, float value) {
    return fixed32(number, bit_cast<std::uint32_t>(value));
  }
  protobuf_writer& float64(std::uint32_t number, double value) {
    return fixed64(number, bit_cast<std::uint64_t>(value));
  }
  /// Appends a string, bytes, a complete message or packed scalars.
  protobuf_writer& bytes(std::uint32_t number, std::string_view payload) {
    append_varint(bytes_, bytes_field(number));
    append_varint(bytes_, payload.size());
    bytes_.append(payload);
    return *this;
  }
  /// Appends the sub-message that `fill(protobuf_writer&)` writes.
  template <class Fill> protobuf_writer& message(std::uint32_t number, Fill&& fill) {
    protobuf_writer inner;
    std::forward<Fill>(fill)(inner);
    return bytes(number, inner.bytes_);
  }

  /// The bytes of the message; valid until the next call.
  [[nodiscard]] std::string_view view() const noexcept { return bytes_; }
  /// Returns the bytes and leaves the writer empty.
  [[nodiscard]] std::string take() noexcept { return std::exchange(bytes_, {}); }
  /// Begins another message, and reuses the memory.
  void clear() noexcept { bytes_.clear(); }

private:
  template <class Unsigned> protobuf_writer& fixed(std::uint32_t tag, Unsigned value) {
    append_varint(bytes_, tag);
    std::byte little[sizeof value];
    store_little(little, value);
    bytes_.append(reinterpret_cast<const char*>(little), sizeof little);
    return *this;
  }

  std::string bytes_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
