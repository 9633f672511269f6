// SPDX-License-Identifier: MIT
// Converts TensorFlow's messages to JSON, by the table in schema.hpp.
#ifndef STET_FORMATS_TENSORFLOW_GRAPH_DEF_PROTO_JSON_HPP
#define STET_FORMATS_TENSORFLOW_GRAPH_DEF_PROTO_JSON_HPP

#include "../../../wire/base64.hpp"
#include "../detail/data_type.hpp"
#include "schema.hpp"

#include "../../common/float_json.hpp"
#include "../../common/json_members.hpp"

#include "../../../manifest/graph_json.hpp"
#include "../../../vocabulary/detail/bit_cast.hpp"
#include "../../../wire/protobuf.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// TensorFlow's names of element types, by number. Source: tensorflow/core/framework/types.proto.
inline constexpr std::string_view data_type_names[] = {
    "DT_INVALID",
    "DT_FLOAT",
    "DT_DOUBLE",
    "DT_INT32",
    "DT_UINT8",
    "DT_INT16",
    "DT_INT8",
    "DT_STRING",
    "DT_COMPLEX64",
    "DT_INT64",
    "DT_BOOL",
    "DT_QINT8",
    "DT_QUINT8",
    "DT_QINT32",
    "DT_BFLOAT16",
    "DT_QINT16",
    "DT_QUINT16",
    "DT_UINT16",
    "DT_COMPLEX128",
    "DT_HALF",
    "DT_RESOURCE",
    "DT_VARIANT",
    "DT_UINT32",
    "DT_UINT64",
    "DT_FLOAT8_E5M2",
    "DT_FLOAT8_E4M3FN",
    "DT_FLOAT8_E4M3FNUZ",
    "DT_FLOAT8_E4M3B11FNUZ",
    "DT_FLOAT8_E5M2FNUZ",
    "DT_INT4",
    "DT_UINT4",
    "DT_INT2",
    "DT_UINT2",
    "DT_FLOAT4_E2M1FN",
};
static_assert(std::size(data_type_names) == std::size(tensorflow_dtypes));
/// A reference to elements of a type has the type's number and this more.
inline constexpr std::int32_t data_type_reference = 100;

/// The name of an element type as JSON has it; the number itself of one that is not known.
inline json_value data_type_json(std::int32_t number) {
  const bool is_reference = number > data_type_reference;
  const auto row = static_cast<std::size_t>(is_reference ? number - data_type_reference : number);
  if (number < 0 || row >= std::size(data_type_names)) return number;
  return std::string(data_type_names[row]).append(is_reference ? "_REF" : "");
}

/// Makes JSON of one message and those within it.
class proto_to_json {
public:
  /// Reads the message that fills `bytes`.
  /// @retval errc::bad_protobuf   it is malformed, or a text in it is not UTF-8; the offset is in `bytes`
  /// @retval errc::too_deep       messages are nested more than Protocol Buffers allow
  /// @retval errc::duplicate_key  a key (the subject) occurs twice in a map
  static result<json_value> run(proto_id message, std::span<const std::byte> bytes) {
    proto_to_json reader(bytes.data());
    json_value made = json_value::object();
    if (!reader.read(message, bytes, made, 0)) return reader.problem_;
    return made;
  }

private:
  explicit proto_to_json(const std::byte* begin) noexcept : begin_(begin) {}

  bool fail(errc code, const std::byte* at, std::string_view subject = {}) {
    problem_ = error(code, subject, static_cast<std::uint64_t>(at - begin_));
    return false;
  }

  bool read(proto_id message, std::span<const std::byte> bytes, json_value& into, std::uint32_t depth) {
    if (depth == max_protobuf_depth) return fail(errc::too_deep, bytes.data());
    if (message == proto_id::node_def && is_constant(bytes)) message = proto_id::const_node_def;
    protobuf_message fields(bytes);
    while (fields.next()) {
      for (const proto_field& row : fields_of(message)) {
        if (row.number != fields.number()) continue;
        if (!read_field(row, fields, into, depth)) return false;
        break;
      }
    }
    if (!fields.is_whole()) return fail(errc::bad_protobuf, bytes.data() + fields.offset_bytes());
    for (const proto_field& row : fields_of(message)) {
      if (row.kind == proto_kind::map && !keys_differ(find_member(into, row.name), bytes.data())) return false;
    }
    if (message == proto_id::dim && find_member(into, "size") == nullptr)
      append_member(into, "size", "0"); // which every reader of the JSON looks for
    return true;
  }

  static bool is_constant(std::span<const std::byte> node) {
    protobuf_message fields(node);
    std::string_view op;
    while (fields.next()) {
      if (fields.tag() == bytes_field(2)) op = fields.text();
    }
    return op == "Const";
  }

  bool keys_differ(const json_value* map, const std::byte* at) {
    const json_value::object_t* const members = map == nullptr ? nullptr : map->get_ptr<const json_value::object_t*>();
    if (members == nullptr) return true;
    const std::size_t duplicate = duplicate_member(*members);
    return duplicate == members->size() || fail(errc::duplicate_key, at, members->data()[duplicate].first);
  }

  bool read_field(const proto_field& row, const protobuf_message& field, json_value& into, std::uint32_t depth) {
    if (row.kind == proto_kind::map)
      return field.type() != protobuf_type::bytes ||
             read_entry(row, field.bytes(), member(into, row.name, json_value::object()), depth + 1);
    if (row.kind == proto_kind::message) {
      if (field.type() != protobuf_type::bytes) return true; // as a field that is not known
      json_value& target = member(into, row.name, row.is_repeated ? json_value::array() : json_value::object());
      if (!row.is_repeated) return read(row.message, field.bytes(), target, depth + 1);
      target.push_back(json_value::object());
      return read(row.message, field.bytes(), target.back(), depth + 1);
    }
    if (!row.is_repeated) {
      json_value value = scalar(row.kind, field);
      if (!value.is_null()) member(into, row.name, nullptr) = std::move(value);
      return value_is_whole(row.kind, field);
    }
    return read_repeated(row, field, into) && value_is_whole(row.kind, field);
  }

  /// One entry of a map.
  bool read_entry(const proto_field& row, std::span<const std::byte> entry, json_value& into, std::uint32_t depth) {
    if (depth == max_protobuf_depth) return fail(errc::too_deep, entry.data());
    const proto_field& first = fields_of(row.message).front();
    const bool is_scalar = first.name == nullptr;
    std::string key;
    json_value value =
        is_scalar ? first.kind == proto_kind::text ? json_value("") : json_value(0) : json_value::object();
    protobuf_message fields(entry);
    while (fields.next()) {
      if (fields.tag() == bytes_field(1)) {
        key = fields.text();
        if (!is_utf8(key)) return fail(errc::bad_protobuf, entry.data() + fields.offset_bytes());
      } else if (fields.tag() == varint_field(1)) {
        key = std::to_string(fields.varint());
      } else if (fields.number() == 2 && is_scalar) {
        if (json_value read = scalar(first.kind, fields); !read.is_null()) value = std::move(read);
        if (!value_is_whole(first.kind, fields)) return false;
      } else if (fields.tag() == bytes_field(2)) {
        if (!read(row.message, fields.bytes(), value, depth + 1)) return false;
      }
    }
    if (!fields.is_whole()) return fail(errc::bad_protobuf, entry.data() + fields.offset_bytes());
    append_member(into, std::move(key), std::move(value));
    return true;
  }

  bool read_repeated(const proto_field& row, const protobuf_message& field, json_value& into) {
    const bool is_packed =
        field.type() == protobuf_type::bytes && row.kind != proto_kind::text && row.kind != proto_kind::bytes;
    if (!is_packed) {
      if (json_value value = scalar(row.kind, field); !value.is_null())
        member(into, row.name, json_value::array()).push_back(std::move(value));
      return true;
    }
    json_value& target = member(into, row.name, json_value::array());
    bool is_whole = true;
    if (row.kind == proto_kind::float32) {
      is_whole = for_each_fixed<std::uint32_t>(
          field, [&](std::uint32_t bits) { target.push_back(float_json(bit_cast<float>(bits))); });
    } else if (row.kind == proto_kind::float64) {
      is_whole = for_each_fixed<std::uint64_t>(
          field, [&](std::uint64_t bits) { target.push_back(float_json(bit_cast<double>(bits))); });
    } else {
      is_whole = for_each_varint(field, [&](std::uint64_t bits) { target.push_back(integer(row.kind, bits)); });
    }
    return is_whole || fail(errc::bad_protobuf, field.bytes().data());
  }

  /// Whether the text of a field is UTF-8; other fields are always whole.
  bool value_is_whole(proto_kind kind, const protobuf_message& field) {
    if (kind != proto_kind::text || field.type() != protobuf_type::bytes || is_utf8(field.text())) return true;
    return fail(errc::bad_protobuf, field.bytes().data());
  }

  static json_value integer(proto_kind kind, std::uint64_t bits) {
    switch (kind) {
    case proto_kind::boolean:
      return bits != 0;
    case proto_kind::int32:
      return static_cast<std::int32_t>(static_cast<std::uint32_t>(bits));
    case proto_kind::int64:
      return std::to_string(static_cast<std::int64_t>(bits));
    case proto_kind::uint64:
      return std::to_string(bits);
    default:
      return data_type_json(static_cast<std::int32_t>(static_cast<std::uint32_t>(bits)));
    }
  }

  /// The value of a field; null if it is written in another way than its kind.
  static json_value scalar(proto_kind kind, const protobuf_message& field) {
    const protobuf_type type = field.type();
    switch (kind) {
    case proto_kind::float32:
      return type == protobuf_type::fixed32 ? float_json(field.float32()) : json_value();
    case proto_kind::float64:
      return type == protobuf_type::fixed64 ? float_json(field.float64()) : json_value();
    case proto_kind::text:
      return type == protobuf_type::bytes ? json_value(std::string(field.text())) : json_value();
    case proto_kind::bytes:
      return type == protobuf_type::bytes ? json_value(to_base64(field.text())) : json_value();
    default:
      return type == protobuf_type::varint ? integer(kind, field.varint()) : json_value();
    }
  }

  /// The member called `name`, made of `otherwise` if there is none yet.
  static json_value& member(json_value& object, const char* name, json_value otherwise) {
    if (json_value* const found = find_member(object, name)) return *found;
    append_member(object, name, std::move(otherwise));
    return object.get_ptr<json_value::object_t*>()->back().second;
  }

  const std::byte* begin_;
  error problem_{errc::bad_protobuf};
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
