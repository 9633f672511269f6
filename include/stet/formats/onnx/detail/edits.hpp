// SPDX-License-Identifier: MIT
// Copies a file with some ranges of its bytes replaced, and keeps the sizes of the messages around them true.
#ifndef STET_FORMATS_ONNX_DETAIL_EDITS_HPP
#define STET_FORMATS_ONNX_DETAIL_EDITS_HPP

#include "tensors.hpp"

#include "../../../source/source.hpp"
#include "../../../wire/protobuf_writer.hpp"
#include "../../../wire/varint.hpp"
#include "../../../writer/tensors.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// A range of a file that gets other bytes: `bytes`, or if `values` is not nullptr, as many as the range has, from there.
struct onnx_edit {
  onnx_range range;
  std::string bytes{};
  const piece_source* values = nullptr;
  /// The number of the message that holds the range; none: the file does.
  std::uint32_t message = onnx_message::none;

  [[nodiscard]] std::uint64_t size_bytes() const noexcept {
    return values != nullptr ? range.size_bytes() : bytes.size();
  }
};

/// Passes on as many bytes as were announced.
class exact_sink final : public piece_sink {
public:
  exact_sink(piece_sink& to, std::uint64_t size_bytes) noexcept : to_(to), left_(size_bytes) {}
  result<void> write(std::span<const std::byte> piece) override {
    if (piece.size() > left_) return errc::source_too_long;
    left_ -= piece.size();
    return to_.write(piece);
  }
  [[nodiscard]] std::size_t best_piece_size_bytes() const noexcept override { return to_.best_piece_size_bytes(); }
  [[nodiscard]] std::uint64_t left_bytes() const noexcept { return left_; }

private:
  piece_sink& to_;
  std::uint64_t left_;
};

/// Calls `values` for exactly `size_bytes` bytes.
/// @retval errc::source_too_short, source_too_long  there are fewer or more; or an error of `values` or of `to`
inline result<void> write_exactly(const piece_source& values, std::uint64_t size_bytes, piece_sink& to) {
  exact_sink exact(to, size_bytes);
  if (auto written = values(exact); !written) return written;
  return exact.left_bytes() == 0 ? result<void>() : errc::source_too_short;
}

/// Copies a range of `from`.
inline result<void> copy_range(const source& from, const onnx_range& range, piece_sink& to) {
  std::vector<std::byte> memory;
  for (std::uint64_t at = range.begin; at != range.end;) {
    const auto size = static_cast<std::size_t>((std::min)(range.end - at, std::uint64_t{to.best_piece_size_bytes()}));
    std::span<const std::byte> piece;
    if (from.data() != nullptr) {
      piece = {from.data() + static_cast<std::size_t>(at), size};
    } else {
      memory.resize(size);
      if (auto read = from.read_at(at, memory); !read) return read;
      piece = memory;
    }
    if (auto written = to.write(piece); !written) return written;
    at += size;
  }
  return {};
}

/// Writes all of `from` to `to`, with the edits, which are in order and apart.
inline result<void> copy_with_edits(const source& from, std::span<const onnx_edit> edits, piece_sink& to) {
  std::uint64_t at = 0;
  for (const onnx_edit& each : edits) {
    if (auto copied = copy_range(from, {at, each.range.begin}, to); !copied) return copied;
    result<void> written = each.values != nullptr ? write_exactly(*each.values, each.range.size_bytes(), to)
                                                  : to.write(std::as_bytes(std::span(each.bytes)));
    if (!written) return written;
    at = each.range.end;
  }
  return copy_range(from, {at, from.size_bytes()}, to);
}

/// Sorts the edits, and adds those of the sizes of messages, which change with their content.
inline void add_size_edits(std::span<const onnx_message> messages, std::vector<onnx_edit>& edits) {
  // Sizes are added modulo 2^64, as some become less.
  std::vector<std::uint64_t> growth(messages.size(), 0);
  const auto grow = [&](std::uint32_t message, std::uint64_t by) {
    if (message != onnx_message::none) growth[message] += by;
  };
  for (const onnx_edit& each : edits) grow(each.message, each.size_bytes() - each.range.size_bytes());
  // A message is listed after the one that holds it.
  for (std::size_t number = messages.size(); number-- > 0;) {
    if (growth[number] == 0) continue;
    const onnx_message& message = messages[number];
    onnx_edit size;
    size.range = {message.length_offset_bytes, message.content.begin};
    append_varint(size.bytes, message.content.size_bytes() + growth[number]);
    grow(message.parent, growth[number] + size.bytes.size() - size.range.size_bytes());
    edits.push_back(std::move(size));
  }
  std::sort(edits.begin(), edits.end(),
            [](const onnx_edit& a, const onnx_edit& b) { return a.range.begin < b.range.begin; });
}

/// The fields of a list with these values, which are those of the tensor as a store has them.
/// @param is_packed  true: one field with all of them; false: a field for each
inline std::string encode_onnx_list(const onnx_tensor& of, std::span<const std::byte> values, bool is_packed) {
  const auto field = static_cast<std::uint32_t>(of.list);
  protobuf_writer out;
  if (of.list == onnx_list::float_data || of.list == onnx_list::double_data) {
    const std::string_view text = text_at(values.data(), values.size());
    if (is_packed) return out.bytes(field, text).take();
    for (std::size_t at = 0; at < values.size();) {
      if (of.list == onnx_list::float_data) {
        out.fixed32(field, load_little<std::uint32_t>(values.data() + at));
        at += 4;
      } else {
        out.fixed64(field, load_little<std::uint64_t>(values.data() + at));
        at += 8;
      }
    }
    return out.take();
  }
  std::string packed;
  const std::size_t bits = of.layout.bits, size = bits < 8 ? 1 : bits / 8;
  const bool has_sign = describe(of.layout.dtype).kind == dtype_kind::signed_integer && bits >= 8 && bits < 64;
  const std::uint64_t count = onnx_integer_count(of);
  for (std::uint64_t number = 0; number < count; ++number) {
    std::uint64_t value = 0;
    if (bits == 6) {
      const auto at = static_cast<std::size_t>(number * 6 / 8);
      value = std::to_integer<std::uint64_t>(values[at]);
      if (at + 1 < values.size()) value |= std::to_integer<std::uint64_t>(values[at + 1]) << 8;
      value = value >> (number * 6 % 8) & 63u;
    } else {
      for (std::size_t i = size; i-- > 0;)
        value = value << 8 | std::to_integer<std::uint64_t>(values[static_cast<std::size_t>(number) * size + i]);
    }
    if (has_sign && (value >> (bits - 1) & 1u) != 0) value |= ~std::uint64_t{0} << bits;
    if (is_packed) {
      append_varint(packed, value);
    } else {
      out.varint(field, value);
    }
  }
  return is_packed ? out.bytes(field, packed).take() : out.take();
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
