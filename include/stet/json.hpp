// SPDX-License-Identifier: MIT
// Free-form JSON as values of nlohmann/json: conversions from and to the text that stores, writers and checkpoints have.
#ifndef STET_JSON_HPP
#define STET_JSON_HPP

#include "manifest/check.hpp"
#include "manifest/manifest.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// Free-form JSON. Keeps the order of keys, and integers apart from floats.
using json_value = nlohmann::ordered_json;

namespace detail {

/// Makes a value of the tokens of a text. Finished values wait on a stack until the object or array around them ends.
class json_value_reader {
public:
  explicit json_value_reader(std::string_view text) noexcept : in_(text, max_manifest_depth) {}

  result<json_value> run() {
    do {
      switch (in_.next()) {
      case json_token::begin_object:
      case json_token::begin_array:
        frames_.push_back({keys_.size(), values_.size()});
        break;
      case json_token::key:
        assign_string(in_.string(), keys_.emplace_back());
        break;
      case json_token::end_object:
        end_object();
        break;
      case json_token::end_array:
        end_array();
        break;
      case json_token::string: {
        std::string text;
        assign_string(in_.string(), text);
        values_.emplace_back(std::move(text));
        break;
      }
      case json_token::number:
        values_.push_back(number());
        break;
      case json_token::boolean:
        values_.emplace_back(in_.boolean());
        break;
      case json_token::null:
        values_.emplace_back(nullptr);
        break;
      default:
        break;
      }
      if (in_.failure()) return *in_.failure();
    } while (in_.token() != json_token::end);
    return std::move(values_.front());
  }

private:
  /// An object or array that has begun: where its keys and values begin on the stacks.
  struct frame {
    std::size_t first_key, first_value;
  };

  [[nodiscard]] json_value number() const {
    const json_number& number = in_.number();
    if (!number.is_integer) return number.to_double();
    if (!number.is_negative) return number.magnitude;
    return static_cast<std::int64_t>(0 - number.magnitude);
  }
  void end_object() {
    const frame ended = frames_.back();
    // Members are appended without the search that ordered_json makes for each.
    json_value::object_t members;
    members.reserve(keys_.size() - ended.first_key);
    for (std::size_t key = ended.first_key, value = ended.first_value; key < keys_.size(); ++key, ++value)
      members.emplace_back(std::move(keys_[key]), std::move(values_[value]));
    close(ended);
    values_.emplace_back(std::move(members));
  }
  void end_array() {
    const frame ended = frames_.back();
    const auto first = values_.begin() + static_cast<std::ptrdiff_t>(ended.first_value);
    json_value::array_t elements(std::make_move_iterator(first), std::make_move_iterator(values_.end()));
    close(ended);
    values_.emplace_back(std::move(elements));
  }
  void close(frame ended) {
    keys_.resize(ended.first_key);
    values_.resize(ended.first_value);
    frames_.pop_back();
  }

  json_input in_;
  std::vector<frame> frames_;
  /// The keys of open objects whose members have begun, and the values that are complete within open objects and arrays.
  std::vector<std::string> keys_;
  std::vector<json_value> values_;
};

/// Writes a value as a manifest has it. What text can say and no reader takes, it says: strings that are not UTF-8, keys that
/// occur twice, and one level more than a manifest has, where recursion ends.
class json_value_writer {
public:
  /// errc::wrong_type: a value of no JSON type. Else the text says what there is.
  [[nodiscard]] errc append(const json_value& value, std::size_t depth = 0) {
    switch (value.type()) {
    case json_value::value_t::string:
      append_json_string(text_, *value.get_ptr<const json_value::string_t*>());
      return {};
    case json_value::value_t::object: {
      text_ += '{';
      if (depth == max_manifest_depth) return {};
      bool is_first = true;
      for (const auto& [name, member] : *value.get_ptr<const json_value::object_t*>()) {
        if (!is_first) text_ += ',';
        is_first = false;
        append_json_string(text_, std::string_view(name));
        text_ += ':';
        if (const errc problem = append(member, depth + 1); problem != errc{}) return problem;
      }
      text_ += '}';
      return {};
    }
    case json_value::value_t::array: {
      text_ += '[';
      if (depth == max_manifest_depth) return {};
      bool is_first = true;
      for (const json_value& element : *value.get_ptr<const json_value::array_t*>()) {
        if (!is_first) text_ += ',';
        is_first = false;
        if (const errc problem = append(element, depth + 1); problem != errc{}) return problem;
      }
      text_ += ']';
      return {};
    }
    case json_value::value_t::binary:
    case json_value::value_t::discarded:
      return errc::wrong_type;
    case json_value::value_t::number_float: {
      // A number beyond every double stands for what is not finite: a reader says errc::bad_number.
      const std::string number = value.dump();
      text_ += number == "null" ? "1e999" : number;
      return {};
    }
    default:
      text_ += value.dump();
      return {};
    }
  }
  [[nodiscard]] std::string take() noexcept { return std::move(text_); }

private:
  std::string text_;
};

/// The text of a value, as other formats have it; empty for null. `replace` makes sure that nothing throws even where a string
/// was not checked to be UTF-8.
inline std::string text_of(const json_value& value) {
  return value.is_null() ? std::string() : value.dump(-1, ' ', false, json_value::error_handler_t::replace);
}

} // namespace detail

/// Values become the text that a manifest has; null becomes nothing. What JSON cannot hold is an error when it is saved:
/// errc::wrong_type for binary values, errc::bad_number for infinities and NaN, errc::bad_json for strings that are not UTF-8,
/// errc::too_deep for more than `max_manifest_depth` objects and arrays within each other.
template <> struct json_text_from<json_value> {
  /// The text of `value`.
  [[nodiscard]] static json_text make(const json_value& value) {
    if (value.is_null()) return nullptr;
    detail::json_value_writer writer;
    if (const errc problem = writer.append(value); problem != errc{}) return json_text::of_problem(problem);
    return json_text(writer.take());
  }
};

/// Makes a value of JSON text, which may be anything. The order of keys is kept, and integers apart from floats.
///
/// The error's offset is where reading stood in the text.
/// @retval errc::too_large      the text is longer than `limits` allow
/// @retval errc::bad_json       not JSON in UTF-8, or text follows it
/// @retval errc::too_deep       more than `max_manifest_depth` objects and arrays within each other
/// @retval errc::duplicate_key  a key, the subject, occurs twice in one object
/// @retval errc::bad_number     an integer does not fit 64 bits, or a number exceeds a double
/// Cost: allocates up to thirty times the size of the text where it is nothing but punctuation. No recursion.
/// Source: RFC 8259.
inline result<json_value> parse_json(std::string_view text, const manifest_limits& limits = {}) {
  if (text.size() > limits.size_bytes) return error(errc::too_large, {}, limits.size_bytes);
  return detail::json_value_reader(text).run();
}

/// The value of a text: null for nothing, and a discarded value for a text that a program made and `parse_json` does not take.
/// Text that `parse_manifest` gave has a value always.
inline json_value to_json_value(const json_text& from) {
  if (from.empty()) return nullptr;
  manifest_limits any_size;
  any_size.size_bytes = from.text().size();
  result<json_value> made = parse_json(from.text(), any_size);
  return made ? std::move(*made) : json_value(json_value::value_t::discarded);
}

} // namespace stet::inline STET_NAMESPACE

#endif
