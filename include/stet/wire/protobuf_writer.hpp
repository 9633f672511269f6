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

/// Makes one message. Every call appends a field, zero or not: whether a zero is left out is the schema's business. To be
/// byte for byte what Protocol Buffers write, append fields in ascending order of their numbers.
///
///     protobuf_writer shape;
///     for (std::uint64_t extent : extents) shape.message(2, [&](protobuf_writer& dim) { dim.varint(1, extent); });
class protobuf_writer {
public:
  /// An unsigned integer, an enumerator, or a bool.
  protobuf_writer& varint(std::uint32_t number, std::uint64_t value) {
    append_varint(bytes_, varint_field(number));
    append_varint(bytes_, value);
    return *this;
  }
  /// An int32 or int64: negative ones take ten bytes.
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
  /// A string, bytes, a finished message or packed scalars.
  protobuf_writer& bytes(std::uint32_t number, std::string_view payload) {
    append_varint(bytes_, bytes_field(number));
    append_varint(bytes_, payload.size());
    bytes_.append(payload);
    return *this;
  }
  /// The sub-message that `fill(protobuf_writer&)` makes.
  template <class Fill> protobuf_writer& message(std::uint32_t number, Fill&& fill) {
    protobuf_writer inner;
    std::forward<Fill>(fill)(inner);
    return bytes(number, inner.bytes_);
  }

  /// What was written; lives until the next call.
  [[nodiscard]] std::string_view view() const noexcept { return bytes_; }
  /// The same, moved out; the writer is then empty.
  [[nodiscard]] std::string take() noexcept { return std::exchange(bytes_, {}); }
  /// Begins another message in the same memory.
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
