// SPDX-License-Identifier: MIT
// Describes a GGUF file: its keys as metadata.
#ifndef STET_FORMATS_GGUF_DESCRIBE_HPP
#define STET_FORMATS_GGUF_DESCRIBE_HPP

#include "detail/metadata_types.hpp"
#include "open.hpp"

#include "../description.hpp"

#include "../../vocabulary/detail/bit_cast.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Reads the keys of a GGUF file into metadata (detail/metadata_types.hpp).
class gguf_metadata_reader {
public:
  /// @param is_part  the keys that concern the parts are left out
  gguf_metadata_reader(gguf_input& in, bool is_part) noexcept : in_(in), is_part_(is_part) {}

  /// Errors: those of `open_gguf` for the header, keys and values.
  result<json_value> read() {
    const result<gguf_facts> counts = read_gguf_counts(in_);
    if (!counts) return counts.error();
    json_value::object_t members, types;
    for (std::uint64_t number = 0; number < counts->key_count; ++number) {
      std::string key(in_.name(max_gguf_key_size_bytes));
      if (in_.is_good() && !is_valid_gguf_key(key)) return error(errc::bad_name, key, in_.position_bytes());
      const gguf_type type = read_gguf_type(in_);
      typed made = value(type, 0);
      if (!in_.is_good()) return in_.problem(key);
      const bool is_of_parts =
          key == gguf_split_number_key || key == gguf_split_count_key || key == gguf_split_tensors_key;
      // What occurs twice has the same value.
      if ((is_part_ && is_of_parts) || !seen_.insert(key).second) continue;
      if (made.type != default_gguf_type(made.value)) types.emplace_back(key, std::move(made.type));
      members.emplace_back(std::move(key), std::move(made.value));
    }
    if (!types.empty()) members.emplace_back(std::string(gguf_types_member), std::move(types));
    return members.empty() ? json_value() : json_value(std::move(members));
  }

private:
  /// A value, and its type as metadata has it.
  struct typed {
    json_value value, type;
  };

  typed value(gguf_type type, std::size_t depth) {
    if (type != gguf_type::array) return {scalar(type), gguf_type_text(type, false)};
    if (depth == max_gguf_depth) return in_.fail(errc::too_deep, in_.position_bytes()), typed();
    const gguf_array_head head = read_gguf_array_head(in_);
    json_value::array_t elements;
    if (head.type == gguf_type::array) {
      json_value::array_t types;
      for (std::uint64_t i = 0; i < head.count && in_.is_good(); ++i) {
        typed made = value(head.type, depth + 1);
        elements.push_back(std::move(made.value));
        types.push_back(std::move(made.type));
      }
      return {std::move(elements), std::move(types)};
    }
    elements.reserve(static_cast<std::size_t>(head.count)); // the file is at least as large
    for (std::uint64_t i = 0; i < head.count && in_.is_good(); ++i) elements.push_back(scalar(head.type));
    return {std::move(elements), gguf_type_text(head.type, true)};
  }

  json_value scalar(gguf_type type) {
    switch (type) {
    case gguf_type::string:
      return string();
    case gguf_type::boolean: {
      const auto byte = in_.number<std::uint8_t>();
      if (byte > 1) in_.fail(errc::bad_value, in_.position_bytes() - 1);
      return byte != 0;
    }
    case gguf_type::int8:
      return static_cast<std::int8_t>(in_.number<std::uint8_t>());
    case gguf_type::int16:
      return static_cast<std::int16_t>(in_.number<std::uint16_t>());
    case gguf_type::int32:
      return static_cast<std::int32_t>(in_.number<std::uint32_t>());
    case gguf_type::int64:
      return static_cast<std::int64_t>(in_.number<std::uint64_t>());
    case gguf_type::float32:
      return floating<float>(in_.number<std::uint32_t>());
    case gguf_type::float64:
      return floating<double>(in_.number<std::uint64_t>());
    default:
      return in_.number(row_of(type).size_bytes);
    }
  }

  template <class Float, class Bits> static json_value floating(Bits bits) {
    const Float value = detail::bit_cast<Float>(bits);
    if (std::isfinite(value)) return static_cast<double>(value);
    if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
    if (bits == detail::bit_cast<Bits>(std::numeric_limits<Float>::quiet_NaN())) return "nan";
    std::string text("0x");
    append_hex(text, bits, sizeof bits);
    return text;
  }

  json_value string() {
    std::string text;
    for (std::uint64_t left = in_.string_size(); left != 0 && in_.is_good();) {
      const std::size_t size = static_cast<std::size_t>((std::min<std::uint64_t>)(left, gguf_input::window_size_bytes));
      const std::byte* const bytes = in_.take(size);
      if (bytes != nullptr) text.append(reinterpret_cast<const char*>(bytes), size);
      left -= size;
    }
    if (is_utf8_text(text)) return text;
    std::string hex;
    for (const char c : text) append_hex(hex, static_cast<unsigned char>(c), 1);
    return json_value::object_t{{std::string(gguf_hex_member), std::move(hex)}};
  }

  /// Appends the lowest `size_bytes` bytes of a number, in hexadecimal.
  static void append_hex(std::string& to, std::uint64_t bits, std::size_t size_bytes) {
    for (std::size_t digit = size_bytes * 2; digit-- > 0;) to += "0123456789abcdef"[bits >> digit * 4 & 0xF];
  }

  gguf_input& in_;
  bool is_part_;
  std::unordered_set<std::string> seen_; // the keys so far
};

/// `format::describe` of gguf_format. The keys of the file, or of the first part, are the metadata. The file was checked when it was
/// opened; what another program wrote there since is errc::malformed. Cost: reads the keys.
inline result<model_description> describe_gguf(const model& of) {
  const bool is_part = of.store.index().part_count() != 0;
  gguf_input in(is_part ? of.store.part(0) : of.store.data(), of.options.memory);
  result<json_value> read = gguf_metadata_reader(in, is_part).read();
  if (!read) {
    const bool is_content = read.error().category() > error_category::system;
    return is_content ? error(errc::malformed, "GGUF: keys", read.error().offset_bytes()) : read.error();
  }
  model_description made;
  made.metadata = std::move(*read);
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
