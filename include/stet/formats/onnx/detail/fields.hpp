// SPDX-License-Identifier: MIT
// Walks over the fields of Protocol Buffers in a file that may be on demand, and reads only the fields that are asked for.
#ifndef STET_FORMATS_ONNX_DETAIL_FIELDS_HPP
#define STET_FORMATS_ONNX_DETAIL_FIELDS_HPP

#include "../../../source/source.hpp"
#include "../../../wire/protobuf.hpp"
#include "../../../wire/varint.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The bytes of a file with messages. What is on demand comes through a window: one that grows while it moves on, and is small
/// after a jump, so that a walk over headers between large tensors reads little more than the headers. The first failure is kept.
class onnx_input {
public:
  /// Resident bytes, or those of a reader. They must outlive this object.
  explicit onnx_input(const source& from) noexcept
      : data_(from.data()), reader_(from.fetcher()), size_bytes_(from.size_bytes()) {}
  explicit onnx_input(const byte_reader& from) noexcept : reader_(&from), size_bytes_(from.size_bytes()) {}

  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }

  /// The bytes of a range of the file, valid until the next call; nullptr, and a failure, if they cannot be read.
  [[nodiscard]] const std::byte* view(std::uint64_t offset_bytes, std::uint64_t size_bytes) {
    if (data_ != nullptr) return data_ + static_cast<std::size_t>(offset_bytes);
    const std::uint64_t end = begin_ + window_.size();
    if (offset_bytes < begin_ || offset_bytes + size_bytes > end) {
      const bool moves_on = offset_bytes >= begin_ && offset_bytes <= end;
      step_ = moves_on ? (std::min)(step_ * 2, most_step_bytes) : least_step_bytes;
      const std::uint64_t left = size_bytes_ - offset_bytes;
      window_.resize(static_cast<std::size_t>((std::min)(left, (std::max)(size_bytes, step_))));
      begin_ = offset_bytes;
      if (auto read = reader_->read(offset_bytes, window_); !read) {
        window_.clear();
        fail(read.error());
        return nullptr;
      }
    }
    return window_.data() + static_cast<std::size_t>(offset_bytes - begin_);
  }

  /// Ends every walk over these bytes. Only the first failure counts.
  void fail(const error& why) {
    if (!failure_) failure_ = why;
  }
  [[nodiscard]] const std::optional<error>& failure() const noexcept { return failure_; }
  /// Success, or the first failure.
  [[nodiscard]] result<void> outcome() const noexcept { return failure_ ? result<void>(*failure_) : result<void>(); }

private:
  static constexpr std::uint64_t least_step_bytes = 512, most_step_bytes = 64 * 1024;

  const std::byte* data_ = nullptr;
  const byte_reader* reader_ = nullptr;
  std::uint64_t size_bytes_;
  std::vector<std::byte> window_;
  std::uint64_t begin_ = 0, step_ = least_step_bytes;
  std::optional<error> failure_;
};

/// A range of the bytes of a file.
struct onnx_range {
  std::uint64_t begin = 0, end = 0;
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return end - begin; }
};

/// Walks over the fields of one message, which fills a range of the input. Groups are not part of ONNX, and malformed.
class onnx_fields {
public:
  onnx_fields(onnx_input& in, const onnx_range& message) noexcept : in_(in), message_(message), at_(message.begin) {}

  /// Goes to the next field. @return false at the end of the message, and after a failure of the input:
  /// errc::bad_protobuf  the message is malformed at the offset
  /// errc::truncated     the message is the whole file, and the file ends within a field
  [[nodiscard]] bool next() {
    if (at_ == message_.end || in_.failure()) return false;
    field_ = at_;
    constexpr std::uint64_t longest_head = 15; // a tag of 5 bytes, a varint of 10
    const auto size = static_cast<std::size_t>((std::min)(message_.end - at_, longest_head));
    const std::byte* const head = in_.view(at_, size);
    if (head == nullptr) return false;
    const std::byte* const end = head + size;
    tag_ = 0;
    const std::byte* at = read_varint(head, end, tag_);
    const bool is_cut = size < longest_head;
    if (at == nullptr) return tag_ = 0, fail(is_cut && (end[-1] & std::byte{0x80}) != std::byte{0});
    length_at_ = at_ + static_cast<std::uint64_t>(at - head);
    if (number() == 0) return fail(false);
    switch (type()) {
    case protobuf_type::varint:
    case protobuf_type::bytes:
      at = read_varint(at, end, value_);
      if (at == nullptr)
        return fail(is_cut && (length_at_ == message_.end || (end[-1] & std::byte{0x80}) != std::byte{0}));
      break;
    case protobuf_type::fixed32:
      if (end - at < 4) return fail(true);
      value_ = load_little<std::uint32_t>(at);
      at += 4;
      break;
    case protobuf_type::fixed64:
      if (end - at < 8) return fail(true);
      value_ = load_little<std::uint64_t>(at);
      at += 8;
      break;
    default:
      return fail(false);
    }
    at_ += static_cast<std::uint64_t>(at - head);
    payload_ = at_;
    if (type() == protobuf_type::bytes) {
      if (value_ > message_.end - at_) return fail(true);
      at_ += value_;
    }
    return true;
  }

  // The field that `next` went to, or failed at.

  [[nodiscard]] std::uint32_t tag() const noexcept { return tag_; }
  [[nodiscard]] std::uint32_t number() const noexcept { return tag_ >> 3; }
  [[nodiscard]] protobuf_type type() const noexcept { return static_cast<protobuf_type>(tag_ & 7); }
  [[nodiscard]] std::uint64_t value() const noexcept { return value_; }
  /// The offset of the field, and of what follows its tag.
  [[nodiscard]] std::uint64_t offset_bytes() const noexcept { return field_; }
  [[nodiscard]] std::uint64_t length_offset_bytes() const noexcept { return length_at_; }
  /// The payload of a field of type bytes.
  [[nodiscard]] onnx_range payload() const noexcept { return {payload_, at_}; }
  /// The same as text, valid until the input is read again; empty after a failure. Any bytes are possible.
  [[nodiscard]] std::string_view text() const {
    if (at_ == payload_) return {};
    const std::byte* const bytes = in_.view(payload_, at_ - payload_);
    if (bytes == nullptr) return {};
    return {reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(at_ - payload_)};
  }
  /// The rest of the message behind the header of the field at which `next` failed.
  [[nodiscard]] onnx_range rest() const noexcept { return {at_, message_.end}; }

private:
  bool fail(bool is_cut) {
    const bool is_whole_file = message_.begin == 0 && message_.end == in_.size_bytes();
    in_.fail(is_cut && is_whole_file ? error(errc::truncated, {}, message_.end)
                                     : error(errc::bad_protobuf, {}, field_));
    return false;
  }

  onnx_input& in_;
  onnx_range message_;
  std::uint64_t at_, field_ = 0, length_at_ = 0, payload_ = 0, value_ = 0;
  std::uint32_t tag_ = 0;
};

/// Calls `visit(std::uint64_t)` for each integer of packed varints. A malformed one is a failure of the input.
template <class Visit> void for_each_packed_varint(onnx_input& in, const onnx_range& packed, Visit&& visit) {
  constexpr std::uint64_t most = 32 * 1024, longest_varint = 10;
  for (std::uint64_t begin = packed.begin; begin != packed.end;) {
    const std::uint64_t left = packed.end - begin, size = (std::min)(left, most);
    const std::byte* const first = in.view(begin, size);
    if (first == nullptr) return;
    const std::byte* const end = first + static_cast<std::size_t>(size);
    const std::byte* at = first;
    // Of a piece, the last varint may be cut off, and comes with the next piece.
    while (at != end && (size == left || static_cast<std::uint64_t>(end - at) >= longest_varint)) {
      std::uint64_t value = 0;
      const std::byte* const after = read_varint(at, end, value);
      if (after == nullptr)
        return in.fail(error(errc::bad_protobuf, {}, begin + static_cast<std::uint64_t>(at - first)));
      visit(value);
      at = after;
    }
    begin += static_cast<std::uint64_t>(at - first);
  }
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
