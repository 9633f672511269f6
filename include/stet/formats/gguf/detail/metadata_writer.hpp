// SPDX-License-Identifier: MIT
// Writes metadata as the keys of a GGUF file.
#ifndef STET_FORMATS_GGUF_DETAIL_METADATA_WRITER_HPP
#define STET_FORMATS_GGUF_DETAIL_METADATA_WRITER_HPP

#include "metadata_types.hpp"

#include "../../common/inexpressible.hpp"

#include "../../../vocabulary/detail/bit_cast.hpp"
#include "../../../wire/little_writer.hpp"

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Makes the bytes of keys and their values (metadata_types.hpp).
class gguf_metadata_writer {
public:
  /// Adds all members of the metadata, which may be null, but for those that concern the parts of a model. What no type of GGUF
  /// holds is its JSON text, a string.
  /// @retval errc::not_expressible  the metadata is no object, or a key is none of GGUF
  /// @retval errc::bad_value        a value, its key the subject, is none of the type that it is to have
  /// @retval errc::bad_alignment    `general.alignment` is no uint32, or no power of two up to 65536
  result<void> add(const json_value& metadata) {
    if (metadata.is_null()) return {};
    if (!metadata.is_object()) return inexpressible("metadata", "GGUF has an object of values");
    const json_value* const types = find_member(metadata, gguf_types_member);
    for (const auto& [key, value] : metadata.items()) {
      const bool is_of_parts =
          key == gguf_split_number_key || key == gguf_split_count_key || key == gguf_split_tensors_key;
      if (key == gguf_types_member || is_of_parts) continue;
      if (!is_valid_gguf_key(key))
        return inexpressible("metadata " + key, "a key of GGUF is 1 to 65535 bytes of ASCII");
      const json_value* const stated = types == nullptr || !types->is_object() ? nullptr : find_member(*types, key);
      json_value type = stated != nullptr ? *stated : default_gguf_type(value);
      if (key == gguf_alignment_key) {
        if (auto noted = note_alignment(value, type); !noted) return noted;
      }
      const bool is_text = type.is_null();
      if (!add_key(key, is_text ? json_value(value.dump(-1, ' ', false, json_value::error_handler_t::replace)) : value,
                   is_text ? gguf_type_text(gguf_type::string, false) : type))
        return error(errc::bad_value, key);
    }
    return {};
  }
  /// Adds an integer.
  void add(std::string_view key, gguf_type type, std::uint64_t value) {
    (void)add_key(key, value, gguf_type_text(type, false));
  }

  [[nodiscard]] std::uint64_t key_count() const noexcept { return key_count_; }
  [[nodiscard]] const std::string& bytes() const noexcept { return out_.bytes(); }
  /// What `general.alignment` states, or else the default.
  [[nodiscard]] std::uint32_t alignment_bytes() const noexcept { return alignment_; }

private:
  result<void> note_alignment(const json_value& value, const json_value& type) {
    const bool is_number = value.is_number_integer() && type == gguf_type_text(gguf_type::uint32, false);
    if (!is_number || !is_valid_alignment(value.get<std::uint64_t>()))
      return error(errc::bad_alignment, gguf_alignment_key);
    alignment_ = value.get<std::uint32_t>();
    return {};
  }

  /// False if the value is not of the type.
  bool add_key(std::string_view key, const json_value& value, const json_value& type) {
    add_text(key);
    ++key_count_;
    const gguf_type scalar =
        type.is_string() ? find_gguf_type(*type.get_ptr<const json_value::string_t*>()) : gguf_type::array;
    out_.u32(static_cast<std::uint32_t>(scalar));
    return scalar == gguf_type::array ? add_array(value, type, 0) : add_scalar(value, scalar);
  }

  void add_text(std::string_view text) { out_.u64(text.size()).text(text); }

  bool add_array(const json_value& value, const json_value& type, std::size_t depth) {
    if (!value.is_array() || depth == max_gguf_depth) return false;
    if (type.is_array()) {
      if (type.size() != value.size()) return false;
      out_.u32(static_cast<std::uint32_t>(gguf_type::array)).u64(value.size());
      for (std::size_t i = 0; i < value.size(); ++i) {
        if (!add_array(value[i], type[i], depth + 1)) return false;
      }
      return true;
    }
    const gguf_type element =
        type.is_string() ? find_gguf_element_type(*type.get_ptr<const json_value::string_t*>()) : gguf_type::array;
    if (element == gguf_type::array) return false;
    out_.u32(static_cast<std::uint32_t>(element)).u64(value.size());
    for (const json_value& each : value) {
      if (!add_scalar(each, element)) return false;
    }
    return true;
  }

  bool add_scalar(const json_value& value, gguf_type type) {
    switch (type) {
    case gguf_type::string:
      return add_string(value);
    case gguf_type::boolean:
      if (!value.is_boolean()) return false;
      out_.u8(value.get<bool>() ? 1 : 0);
      return true;
    case gguf_type::float32:
      return add_float<float, std::uint32_t>(value);
    case gguf_type::float64:
      return add_float<double, std::uint64_t>(value);
    default:
      return add_integer(value, type);
    }
  }

  bool add_string(const json_value& value) {
    if (value.is_string()) return add_text(*value.get_ptr<const json_value::string_t*>()), true;
    if (!is_gguf_hex(value)) return false;
    const std::string& hex = *value.begin()->get_ptr<const json_value::string_t*>();
    if (hex.size() % 2 != 0) return false;
    std::string bytes;
    for (std::size_t at = 0; at < hex.size(); at += 2) {
      unsigned byte = 0;
      const char* const end = hex.data() + at + 2;
      if (std::from_chars(hex.data() + at, end, byte, 16).ptr != end) return false;
      bytes.push_back(static_cast<char>(byte));
    }
    return add_text(bytes), true;
  }

  bool add_integer(const json_value& value, gguf_type type) {
    if (!value.is_number_integer()) return false;
    const bool is_negative = !value.is_number_unsigned() && value.get<std::int64_t>() < 0;
    const auto bits = value.get<std::uint64_t>(); // of a negative number its two's complement
    const std::size_t size = row_of(type).size_bytes;
    const bool is_signed = row_of(type).name.front() == 'i';
    const unsigned width = static_cast<unsigned>(size) * 8 - (is_signed ? 1 : 0);
    if (is_negative ? !is_signed || ~bits >> width != 0 : width < 64 && bits >> width != 0) return false;
    out_.sized(bits, size);
    return true;
  }

  template <class Float, class Bits> bool add_float(const json_value& value) {
    Bits bits = 0;
    if (value.is_number()) {
      const auto number = static_cast<Float>(value.get<double>());
      if (!std::isfinite(number)) return false;
      bits = detail::bit_cast<Bits>(number);
    } else if (value.is_string()) {
      std::string_view text = *value.get_ptr<const json_value::string_t*>();
      constexpr Float infinity = std::numeric_limits<Float>::infinity();
      if (text == "nan") {
        bits = detail::bit_cast<Bits>(std::numeric_limits<Float>::quiet_NaN());
      } else if (text == "inf" || text == "-inf") {
        bits = detail::bit_cast<Bits>(text == "inf" ? infinity : -infinity);
      } else {
        if (text.size() != 2 + 2 * sizeof bits || !text.starts_with("0x")) return false;
        if (std::from_chars(text.data() + 2, text.data() + text.size(), bits, 16).ptr != text.data() + text.size())
          return false;
      }
    } else {
      return false;
    }
    out_.sized(bits, sizeof bits);
    return true;
  }

  little_writer out_;
  std::uint64_t key_count_ = 0;
  std::uint32_t alignment_ = default_gguf_alignment_bytes;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
