// SPDX-License-Identifier: MIT
// Reads a TensorProto of ONNX: its shape, its type, and the place of its values.
#ifndef STET_FORMATS_ONNX_DETAIL_TENSOR_PROTO_HPP
#define STET_FORMATS_ONNX_DETAIL_TENSOR_PROTO_HPP

#include "data_type.hpp"
#include "fields.hpp"

#include "../../common/files_beside.hpp"

#include "../../../bytes/sha1.hpp"
#include "../../../index/detail/name_hash.hpp"
#include "../../../store/tensor.hpp"
#include "../../../vocabulary/detail/checked.hpp"
#include "../../../vocabulary/shape.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Where the values of a tensor are.
enum class onnx_place : std::uint8_t {
  /// In the file as a store has them.
  file,
  /// In a list that has to be decoded.
  list,
  /// In another file.
  other_file,
};

/// A tensor of a model.
struct onnx_tensor {
  std::string name;
  element_layout layout;
  std::vector<std::uint64_t> shape;
  std::uint64_t element_count = 0;
  /// The size in a store.
  std::uint64_t size_bytes = 0;
  onnx_place place = onnx_place::file;
  /// The field that has the values.
  onnx_list list = onnx_list::raw_data;
  /// The values in the file, and the message that has them.
  onnx_range values, message;
  /// The number of the message among `onnx_tensors::messages`.
  std::uint32_t message_number = 0;

  /// The values in another file: its part in the store, its path without "./", their offset, and their size and the SHA-1 of that file if the model states them.
  std::uint32_t part = 0;
  std::string location;
  std::uint64_t offset_bytes = 0;
  std::optional<std::uint64_t> length_bytes;
  std::optional<sha1_digest> checksum;

  /// The dense shape, of the values of a sparse tensor.
  std::optional<std::vector<std::int64_t>> sparse_shape;
};

/// The number of integers in the list of a tensor: elements of 4 and 2 bits are packed into bytes.
inline std::uint64_t onnx_integer_count(const onnx_tensor& of) noexcept {
  const bool is_packed = of.layout.bits == 4 || of.layout.bits == 2;
  return is_packed ? of.size_bytes : of.element_count;
}

/// A number of decimal digits alone. Nothing if it is another text, or does not fit.
inline std::optional<std::uint64_t> onnx_number(std::string_view text) noexcept {
  if (text.empty()) return std::nullopt;
  std::uint64_t made = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    if (!checked_multiply(made, 10, made) || !checked_add(made, static_cast<std::uint64_t>(c - '0'), made))
      return std::nullopt;
  }
  return made;
}

/// The digest of 40 hexadecimal digits. Nothing if it is another text.
inline std::optional<sha1_digest> sha1_of_text(std::string_view text) noexcept {
  sha1_digest made;
  if (text.size() != 2 * sizeof made.bytes) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return std::nullopt;
    made.bytes[i / 2] = made.bytes[i / 2] << 4 | static_cast<std::byte>(digit);
  }
  return made;
}

/// The fields of a TensorProto.
class onnx_tensor_proto {
public:
  /// A list of values: how often its field occurs, and the bytes of all its payloads.
  struct list {
    std::uint64_t field_count = 0, size_bytes = 0;
    onnx_range last;
    bool has_loose = false;
  };

  std::string name;
  std::vector<std::int64_t> dims;
  std::int64_t data_type = 0;
  bool has_segment = false, has_long_name = false, has_high_rank = false, is_external = false, has_raw = false;
  onnx_range raw;
  list lists[12]; // by the number of the field
  std::string location, offset, length, checksum;
  bool has_offset = false, has_length = false, has_checksum = false;

  /// Reads the fields of the message. Failures are those of the input.
  void read(onnx_input& in, const onnx_range& message) {
    onnx_fields fields(in, message);
    while (fields.next()) {
      switch (fields.tag()) {
      case varint_field(1):
        add_extent(fields.value());
        break;
      case bytes_field(1):
        for_each_packed_varint(in, fields.payload(), [&](std::uint64_t extent) { add_extent(extent); });
        break;
      case varint_field(2):
        data_type = static_cast<std::int32_t>(static_cast<std::uint32_t>(fields.value()));
        break;
      case bytes_field(3):
        has_segment = true;
        break;
      case fixed32_field(4):
        add_loose(lists[4], 4);
        break;
      case fixed64_field(10):
        add_loose(lists[10], 8);
        break;
      case varint_field(5):
      case varint_field(7):
      case varint_field(11):
        add_loose(lists[fields.number()], 1);
        break;
      case bytes_field(4):
      case bytes_field(5):
      case bytes_field(6):
      case bytes_field(7):
      case bytes_field(10):
      case bytes_field(11):
        add_chunk(lists[fields.number()], fields);
        break;
      case bytes_field(8):
        has_long_name = fields.payload().size_bytes() > max_name_size_bytes;
        if (!has_long_name) name = fields.text();
        break;
      case bytes_field(9):
        has_raw = true;
        raw = fields.payload();
        break;
      case bytes_field(13):
        read_external(in, fields.payload());
        break;
      case varint_field(14):
        is_external = fields.value() == 1;
        break;
      default:
        break;
      }
    }
  }

  /// Makes a tensor called `into.name` of the fields.
  /// @retval errc::unsupported    it has a segment
  /// @retval errc::unknown_dtype  the element type is none of ONNX's
  /// @retval errc::bad_shape      an extent is negative, there are too many, or the size overflows
  /// @retval errc::bad_size       the values are fewer or more than the shape has
  /// @retval errc::malformed      the values are in no field of the element type, or in two
  /// or an error of `locate_other_file`. The subject is the name, and what is wrong.
  result<void> make(onnx_tensor& into) const {
    const std::string_view tensor = into.name;
    if (has_segment) return error_about(errc::unsupported, tensor, "a segment of a tensor");
    const onnx_type* const type = find_onnx_type(data_type);
    if (type == nullptr) return error(errc::unknown_dtype, tensor);
    if (has_high_rank) return error(errc::bad_shape, tensor);
    element_counter counter;
    for (const std::int64_t extent : dims) {
      if (extent < 0 || !counter.multiply(static_cast<std::uint64_t>(extent))) return error(errc::bad_shape, tensor);
      into.shape.push_back(static_cast<std::uint64_t>(extent));
    }
    into.layout = element_layout::of(type->dtype);
    into.element_count = counter.element_count();
    if (!checked_size_bytes(counter, into.layout, into.size_bytes)) return error(errc::bad_shape, tensor);
    into.list = type->list;
    return locate(into);
  }

private:
  void add_extent(std::uint64_t extent) {
    if (dims.size() == max_rank) {
      has_high_rank = true;
    } else {
      dims.push_back(static_cast<std::int64_t>(extent));
    }
  }
  static void add_loose(list& to, std::uint64_t size_bytes) noexcept {
    ++to.field_count;
    to.size_bytes += size_bytes;
    to.has_loose = true;
  }
  static void add_chunk(list& to, const onnx_fields& field) noexcept {
    const onnx_range payload = field.payload();
    if (payload.size_bytes() == 0 && field.number() != static_cast<std::uint32_t>(onnx_list::string_data)) return;
    ++to.field_count;
    to.size_bytes += payload.size_bytes();
    to.last = payload;
  }

  /// Reads an entry of `external_data`, as the reference does: unknown keys are ignored, and of a key the last entry counts.
  void read_external(onnx_input& in, const onnx_range& entry) {
    constexpr std::uint64_t longest_value = 4096;
    std::string key, value;
    onnx_fields fields(in, entry);
    while (fields.next()) {
      if (fields.tag() != bytes_field(1) && fields.tag() != bytes_field(2)) continue;
      // A longer text is no valid value, and no key that is known.
      const bool is_long = fields.payload().size_bytes() > longest_value;
      std::string& text = fields.number() == 1 ? key : value;
      text = is_long ? std::string(1, '\0') : std::string(fields.text());
    }
    if (key == "location") location = value;
    if (key == "offset") offset = value, has_offset = true;
    if (key == "length") length = value, has_length = true;
    if (key == "checksum") checksum = value, has_checksum = true;
  }

  /// Sets the place of the values.
  result<void> locate(onnx_tensor& into) const {
    const std::string_view tensor = into.name;
    std::size_t field_count = raw.size_bytes() != 0 ? 1u : 0u;
    for (const list& each : lists) field_count += each.field_count != 0 ? 1u : 0u;
    if (field_count > 1 || (is_external && field_count != 0))
      return error_about(errc::malformed, tensor, "values in two places");
    const bool is_text = into.layout.dtype == dtype::string;
    if (is_text) {
      if (is_external || raw.size_bytes() != 0) return error_about(errc::malformed, tensor, "strings as raw bytes");
      const list& strings = lists[static_cast<std::size_t>(onnx_list::string_data)];
      if (strings.field_count != into.element_count) return error(errc::bad_size, tensor);
      into.size_bytes += strings.size_bytes; // both are sizes of what the file has
      into.place = onnx_place::list;
      return {};
    }
    if (is_external) return locate_other_file(into);
    if (field_count == 0 || raw.size_bytes() != 0) {
      into.list = onnx_list::raw_data;
      into.values = raw;
      return raw.size_bytes() == into.size_bytes ? result<void>() : error(errc::bad_size, tensor);
    }
    const list& values = lists[static_cast<std::size_t>(into.list)];
    if (values.field_count == 0) return error_about(errc::malformed, tensor, "values of another type");
    if (into.list == onnx_list::float_data || into.list == onnx_list::double_data) {
      if (values.size_bytes != into.size_bytes) return error(errc::bad_size, tensor);
      into.values = values.last;
      into.place = values.field_count == 1 && !values.has_loose ? onnx_place::file : onnx_place::list;
      return {};
    }
    // Each integer has at least one byte, which bounds what is allocated for them.
    if (onnx_integer_count(into) > values.size_bytes) return error(errc::bad_size, tensor);
    into.place = onnx_place::list;
    return {};
  }

  /// Reads the place in another file.
  /// @retval errc::bad_path   its path leads out of the folder of the model, or is a tag by which ONNX Runtime refers to memory
  /// @retval errc::malformed  the offset, the length or the checksum is invalid
  /// @retval errc::bad_size   the length is not that of the tensor
  result<void> locate_other_file(onnx_tensor& into) const {
    const std::string_view tensor = into.name;
    into.place = onnx_place::other_file;
    into.list = onnx_list::raw_data;
    std::string_view path = location;
    while (path.starts_with("./")) path.remove_prefix(2);
    if (path.starts_with("*/_ORT_MEM_ADDR_/") || !is_path_beside(path))
      return error_about(errc::bad_path, tensor, location);
    into.location = path;
    if (has_offset) {
      const std::optional<std::uint64_t> number = onnx_number(offset);
      if (!number) return error_about(errc::malformed, tensor, "offset " + offset);
      into.offset_bytes = *number;
    }
    if (has_length) {
      into.length_bytes = onnx_number(length);
      if (!into.length_bytes) return error_about(errc::malformed, tensor, "length " + length);
      if (*into.length_bytes != into.size_bytes) return error(errc::bad_size, tensor);
    }
    if (has_checksum) {
      into.checksum = sha1_of_text(checksum);
      if (!into.checksum) return error_about(errc::malformed, tensor, "checksum " + checksum);
    }
    return {};
  }
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
