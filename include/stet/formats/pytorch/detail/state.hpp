// SPDX-License-Identifier: MIT
// What a pickle of PyTorch has besides tensors, as JSON.
#ifndef STET_FORMATS_PYTORCH_DETAIL_STATE_HPP
#define STET_FORMATS_PYTORCH_DETAIL_STATE_HPP

#include "importer.hpp"

#include "../../../json.hpp"
#include "../../../manifest/graph_json.hpp"
#include "../../../manifest/detail/names.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Text of the bytes as hexadecimal digits.
inline std::string hex_of(std::string_view bytes) {
  std::string made;
  for (const char c : bytes) {
    made += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    made += "0123456789abcdef"[static_cast<unsigned char>(c) & 0xFu];
  }
  return made;
}

/// Makes JSON of the object of a file. Containers that have nothing but tensors are left out.
class pytorch_state {
public:
  explicit pytorch_state(const pytorch_content& from)
      : values_(from.values()), of_(from.object), is_walked_(of_.value_count()),
        work_((std::uint64_t{1} << 20) + 16 * of_.size_bytes()) {}

  /// The state; null: the file has nothing but tensors.
  /// @retval errc::too_large  containers that are used several times make it much larger than the pickle
  /// @retval errc::too_deep   containers are within each other more than 200 times
  result<json_value> run() {
    json_value made;
    if (auto done = convert(of_.root(), 0, made); !done) return done.error();
    if (!made.is_null() && !made.is_object()) made = json_value{{"object", std::move(made)}};
    return made;
  }

private:
  using pairs = std::vector<std::pair<std::string, json_value>>;

  /// Sets `into` to the value; it stays null for what has nothing to tell.
  result<void> convert(pickle_ref number, unsigned depth, json_value& into) {
    const pickle_value& value = of_[number];
    const std::uint64_t size = value.kind == pickle_kind::text || value.kind == pickle_kind::bytes ? value.count : 1;
    if (size > work_) return error(errc::too_large, "the state");
    work_ -= size;
    if (depth > max_pytorch_depth) return error(errc::too_deep, "pickle");
    switch (value.kind) {
    case pickle_kind::none:
      return {};
    case pickle_kind::boolean:
      into = value.integer != 0;
      return {};
    case pickle_kind::integer:
      into = value.integer;
      return {};
    case pickle_kind::long_integer:
      into = value.is_other_form ? std::string(of_.text(value)) : "0x" + big_endian_hex(of_.text(value));
      return {};
    case pickle_kind::real:
      if (std::isfinite(value.real)) {
        into = value.real;
      } else {
        into = std::isnan(value.real) ? "nan" : value.real > 0 ? "inf" : "-inf";
      }
      return {};
    case pickle_kind::text:
      into = text(of_.text(value));
      return {};
    case pickle_kind::bytes:
      into = json_value{{"bytes", hex_of(of_.text(value))}};
      return {};
    case pickle_kind::global:
      into = json_value{{"class", name_of(value)}};
      return {};
    case pickle_kind::persistent:
      return {};
    default:
      break;
    }
    if (is_walked_[number]) return {}; // within itself
    const result<pytorch_kind> kind = values_.read(number, tensor_);
    if (!kind) return kind.error();
    if (*kind != pytorch_kind::other) return {};
    is_walked_[number] = true;
    auto done = value.kind == pickle_kind::object ? convert_object(of_.object(value), depth, into)
                                                  : convert_items(value, depth, into);
    is_walked_[number] = false;
    return done;
  }

  result<void> convert_items(const pickle_value& value, unsigned depth, json_value& into) {
    const bool is_dict = value.kind == pickle_kind::dict;
    pairs members;
    json_value::array_t elements;
    bool has_any = value.count == 0;
    std::size_t position = 0;
    for (pickle::walk each(of_, value); each.next(); ++position) {
      json_value made;
      if (auto done = convert(each.value(), depth + 1, made); !done) return done;
      const bool is_told = !made.is_null() || of_[each.value()].kind == pickle_kind::none;
      has_any = has_any || is_told;
      if (!is_dict) {
        elements.push_back(std::move(made));
      } else if (is_told) {
        std::string key;
        append_pytorch_key(key, of_, each.key(), position);
        members.emplace_back(text(key), std::move(made));
      }
    }
    if (!has_any) return {};
    if (is_dict) {
      set_members(into, std::move(members));
    } else {
      into = std::move(elements);
    }
    return {};
  }
  /// Of a key that occurs several times the last value counts, as for Python.
  static void set_members(json_value& into, pairs&& members) {
    std::map<std::string_view, std::size_t> last;
    for (std::size_t i = 0; i < members.size(); ++i) last[members[i].first] = i;
    json_value::object_t kept;
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (last[members[i].first] == i) kept.emplace_back(members[i].first, std::move(members[i].second));
    }
    into = std::move(kept);
  }

  result<void> convert_object(const pickle_object& object, unsigned depth, json_value& into) {
    const pickle_value& callee = of_[object.callee];
    if (callee.kind == pickle_kind::global && callee.id == pytorch_ordered_dict && object.pairs != no_pickle_value)
      return convert(object.pairs, depth, into);
    json_value made = json_value::object();
    append_member(made, "class", callee.kind == pickle_kind::global ? name_of(callee) : std::string("?"));
    const std::pair<const char*, pickle_ref> parts[] = {{"arguments", object.arguments},
                                                        {"keywords", object.keywords},
                                                        {"state", object.state},
                                                        {"elements", object.elements},
                                                        {"pairs", object.pairs}};
    for (const auto& [name, part] : parts) {
      if (part == no_pickle_value) continue;
      if (of_[part].kind == pickle_kind::tuple && of_[part].count == 0) continue;
      json_value told;
      if (auto done = convert(part, depth + 1, told); !done) return done;
      if (!told.is_null()) append_member(made, name, std::move(told));
    }
    into = std::move(made);
    return {};
  }

  [[nodiscard]] std::string name_of(const pickle_value& global) const {
    return text(std::string(of_.module_of(global)) + "." + std::string(of_.name_of(global)));
  }
  /// Text that is no UTF-8 as its bytes.
  static std::string text(std::string_view from) { return is_utf8(from) ? std::string(from) : "0x" + hex_of(from); }
  static std::string big_endian_hex(std::string_view little) {
    std::string reversed(little.rbegin(), little.rend());
    return hex_of(reversed);
  }

  pytorch_values values_;
  const pickle& of_;
  pytorch_tensor tensor_;
  std::vector<bool> is_walked_;
  std::uint64_t work_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
