// SPDX-License-Identifier: MIT
// Decodes the values of a tensor of ONNX that the file does not have as a store does.
#ifndef STET_FORMATS_ONNX_DETAIL_VALUES_HPP
#define STET_FORMATS_ONNX_DETAIL_VALUES_HPP

#include "tensor_proto.hpp"

#include "../../common/string_table.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Takes the integers of a list, one after the other, as the elements of a tensor.
class onnx_integers {
public:
  /// @param into  the bytes of the tensor, all zero
  onnx_integers(const onnx_tensor& of, std::span<std::byte> into) noexcept
      : into_(into), count_(onnx_integer_count(of)), bits_(of.layout.bits),
        is_boolean_(of.layout.dtype == dtype::boolean) {}

  /// An integer that has more bits than the element loses the upper ones, as in the reference.
  void add(std::uint64_t value) noexcept {
    if (number_ < count_) store(value);
    ++number_;
  }
  /// True if there were as many integers as the tensor has.
  [[nodiscard]] bool is_complete() const noexcept { return number_ == count_; }

private:
  void store(std::uint64_t value) noexcept {
    if (is_boolean_) value = value != 0 ? 1u : 0u;
    if (bits_ == 6) { // one element in an integer; the stream of bits begins with the lowest
      const std::uint64_t bit = number_ * 6;
      const std::uint64_t shifted = (value & 63u) << (bit % 8);
      const auto at = static_cast<std::size_t>(bit / 8);
      into_[at] |= static_cast<std::byte>(shifted & 0xFFu);
      if (shifted > 0xFFu) into_[at + 1] |= static_cast<std::byte>(shifted >> 8);
      return;
    }
    const std::size_t size = bits_ < 8 ? 1u : bits_ / 8u;
    std::byte little[8];
    store_little(little, value);
    std::memcpy(into_.data() + static_cast<std::size_t>(number_ * size), little, size);
  }

  std::span<std::byte> into_;
  std::uint64_t number_ = 0, count_;
  std::size_t bits_;
  bool is_boolean_;
};

/// The strings of a tensor.
inline result<source> decode_onnx_strings(onnx_input& in, const onnx_tensor& of, memory_resource* memory) {
  const std::uint64_t text_bytes = of.size_bytes - (of.element_count + 1) * 8;
  result<string_table> made = string_table::allocate(of.element_count, text_bytes, memory);
  if (!made) return made.error().about(of.name);
  onnx_fields fields(in, of.message);
  while (fields.next()) {
    if (fields.tag() != bytes_field(static_cast<std::uint32_t>(onnx_list::string_data))) continue;
    const std::string_view text = fields.text();
    // The bytes are those that were measured, unless another program changes the file.
    if (!made->fits(text.size())) return error(errc::bad_size, of.name);
    made->append(text);
  }
  if (in.failure()) return *in.failure();
  return made->finish();
}

/// The values of a tensor whose place is a list, as a store has them.
/// @retval errc::bad_size  they are fewer or more than the shape has
/// @retval errc::bad_protobuf, out_of_memory, or an error of the reader
inline result<source> decode_onnx_values(onnx_input& in, const onnx_tensor& of, memory_resource* memory) {
  if (of.layout.dtype == dtype::string) return decode_onnx_strings(in, of, memory);
  result<source> made = source::allocate(of.size_bytes, memory);
  if (!made) return made.error().about(of.name);
  const std::span<std::byte> into(made->writable_data(), static_cast<std::size_t>(of.size_bytes));
  std::fill(into.begin(), into.end(), std::byte{0});
  onnx_integers integers(of, into);
  const bool is_fixed = of.list == onnx_list::float_data || of.list == onnx_list::double_data;
  std::size_t done = 0; // of fixed words
  onnx_fields fields(in, of.message);
  while (fields.next()) {
    if (fields.number() != static_cast<std::uint32_t>(of.list)) continue;
    const bool is_packed = fields.type() == protobuf_type::bytes;
    if (!is_fixed) {
      if (is_packed) {
        for_each_packed_varint(in, fields.payload(), [&](std::uint64_t value) { integers.add(value); });
      } else if (fields.type() == protobuf_type::varint) {
        integers.add(fields.value());
      }
      continue;
    }
    const std::size_t word = of.list == onnx_list::float_data ? 4 : 8;
    const bool is_word = fields.tag() == fixed32_field(4) || fields.tag() == fixed64_field(10);
    const std::uint64_t size = is_packed ? fields.payload().size_bytes() : is_word ? word : 0;
    if (size > into.size() - done) return error(errc::bad_size, of.name);
    std::byte little[8];
    store_little(little, fields.value());
    const std::byte* const from = is_packed && size != 0 ? in.view(fields.payload().begin, size) : little;
    if (from == nullptr) break;
    if (size != 0) std::memcpy(into.data() + done, from, static_cast<std::size_t>(size));
    done += static_cast<std::size_t>(size);
  }
  if (in.failure()) return in.failure()->subject().empty() ? in.failure()->about(of.name) : *in.failure();
  if (is_fixed ? done != into.size() : !integers.is_complete()) return error(errc::bad_size, of.name);
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
