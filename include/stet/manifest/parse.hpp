// SPDX-License-Identifier: MIT
// JSON → manifest, for text from anyone: no recursion, no exception, nothing but a manifest or an error.
#ifndef STET_MANIFEST_PARSE_HPP
#define STET_MANIFEST_PARSE_HPP

#include "check.hpp"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline v0_1 {

namespace detail {

/// Reads text for nlohmann's parser and leaves behind how far it came, which the parser tells its handlers
/// only of syntax errors.
class text_cursor {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  text_cursor(const char* at, const char** reached) noexcept : at_(at), reached_(reached) {}
  reference operator*() const noexcept { return *at_; }
  text_cursor& operator++() noexcept { return *reached_ = ++at_, *this; }
  text_cursor operator++(int) noexcept {
    text_cursor before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const text_cursor& a, const text_cursor& b) noexcept { return a.at_ == b.at_; }

 private:
  const char* at_;
  const char** reached_;
};

/// Handles the events of nlohmann's parser. Finished values wait on a stack until the object or array around
/// them ends; a field of the manifest is read when it is complete, and so is each tensor, so that the text is
/// never held as one tree.
class manifest_parser {
 public:
  explicit manifest_parser(std::string_view text) noexcept
      : begin_(text.data()), reached_(text.data()), end_(begin_ + text.size()) {}

  result<manifest> run() {
    if (!json_value::sax_parse(text_cursor(begin_, &reached_), text_cursor(end_, &reached_), this))
      return error_;
    return std::move(manifest_);
  }

  // ---- the events; false ends the parsing ----

  bool null() { return complete(nullptr); }
  bool boolean(bool value) { return complete(value); }
  bool number_integer(json_value::number_integer_t value) { return complete(value); }
  bool number_unsigned(json_value::number_unsigned_t value) { return complete(value); }
  bool number_float(json_value::number_float_t value, const std::string& text) {
    // An integer beyond 64 bits comes as a float and would not be what the text says.
    if (text.find_first_of(".eE") == std::string::npos)
      return fail(errc::bad_number, keys_.empty() ? std::string() : keys_.back());
    return complete(value);
  }
  bool string(std::string& value) { return complete(std::move(value)); }
  bool binary(json_value::binary_t&) { return fail(errc::bad_json); }
  bool key(std::string& name) { return keys_.push_back(std::move(name)), true; }

  bool start_object(std::size_t) {
    if (frames_.size() == 1 && keys_.back() == "tensors")
      in_tensors_ = true;
    return open();
  }
  bool start_array(std::size_t) { return frames_.empty() ? fail(errc::wrong_type) : open(); }

  bool end_object() {
    const frame object = frames_.back();
    const std::size_t count = keys_.size() - object.first_key;
    const auto name_at = [&](std::size_t i) -> std::string_view { return keys_[object.first_key + i]; };
    if (const std::size_t duplicate = find_duplicate(count, name_at); duplicate != name_table::none) {
      return fail(errc::duplicate_key, name_at(duplicate));
    }
    const std::size_t depth = frames_.size();
    if (depth == 1)
      return finish();
    if (in_tensors_ && depth == 3)
      return read_tensor(object) && close(object) && (keys_.pop_back(), true);
    if (in_tensors_ && depth == 2) {
      in_tensors_ = false;
      if (!finish_tensors())
        return false;
    }
    json_value value =
        take_members(keys_.begin() + static_cast<std::ptrdiff_t>(object.first_key), keys_.end(),
                     values_.begin() + static_cast<std::ptrdiff_t>(object.first_value));
    return close(object) && complete(std::move(value));
  }
  bool end_array() {
    const frame array = frames_.back();
    const auto first = values_.begin() + static_cast<std::ptrdiff_t>(array.first_value);
    json_value value =
        json_value::array_t(std::make_move_iterator(first), std::make_move_iterator(values_.end()));
    return close(array) && complete(std::move(value));
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& problem) {
    constexpr int number_overflow = 406; // nlohmann: json.exception.out_of_range.406
    error_ = error(problem.id == number_overflow ? errc::bad_number : errc::bad_json, {},
                   position == 0 ? 0 : position - 1);
    return false;
  }

 private:
  /// An object or array that has begun: where its keys and values begin on the stacks.
  struct frame {
    std::size_t first_key, first_value;
  };
  /// The name that the tensor of this number gives for its original.
  struct pending_alias {
    std::size_t tensor;
    std::string original;
  };
  using key_iterator = std::vector<std::string>::iterator;
  using value_iterator = std::vector<json_value>::iterator;

  bool fail(errc code, std::string_view subject = {}) noexcept {
    error_ = error(code, subject, position());
    return false;
  }
  [[nodiscard]] std::uint64_t position() const noexcept {
    return static_cast<std::uint64_t>(reached_ - begin_);
  }

  bool open() {
    if (frames_.size() == max_manifest_depth)
      return fail(errc::too_deep);
    frames_.push_back({keys_.size(), values_.size()});
    return true;
  }
  bool close(const frame& ended) {
    keys_.erase(keys_.begin() + static_cast<std::ptrdiff_t>(ended.first_key), keys_.end());
    values_.erase(values_.begin() + static_cast<std::ptrdiff_t>(ended.first_value), values_.end());
    frames_.pop_back();
    return true;
  }

  /// Makes an object of keys and as many values. Members are appended without the search that ordered_json
  /// makes for each.
  static json_value take_members(key_iterator key, key_iterator last, value_iterator value) {
    json_value::object_t members;
    members.reserve(static_cast<std::size_t>(last - key));
    for (; key != last; ++key, ++value)
      members.emplace_back(std::move(*key), std::move(*value));
    return members;
  }

  /// Takes a value that is complete to where it belongs.
  bool complete(json_value value) {
    if (frames_.empty())
      return fail(errc::wrong_type);
    if (frames_.size() == 1)
      return read_field(std::move(value));
    if (in_tensors_ && frames_.size() == 2)
      return fail(errc::wrong_type, keys_.back());
    values_.push_back(std::move(value));
    return true;
  }

  bool read_field(json_value value) {
    const std::string& name = keys_.back();
    if (!fields_.knows(name)) {
      extra_keys_.push_back(name);
      values_.push_back(std::move(value));
      return true;
    }
    const field_problem problem = fields_.read(name, value, manifest_);
    return !problem || fail(problem.code, problem.field);
  }

  bool read_tensor(const frame& object) {
    const std::string& name = keys_[object.first_key - 1];
    tensor_fields_read read;
    field_reader<tensor_fields_read> fields(tensor_fields);
    attribute_keys_.clear();
    std::size_t attributes = object.first_value; // those met so far stand at the front of the tensor's values
    for (std::size_t key = object.first_key, at = object.first_value; key < keys_.size(); ++key, ++at) {
      if (fields.knows(keys_[key])) {
        if (const field_problem problem = fields.read(keys_[key], values_[at], read))
          return fail_about(problem, name);
      } else {
        attribute_keys_.push_back(std::move(keys_[key]));
        if (attributes != at)
          values_[attributes] = std::move(values_[at]);
        ++attributes;
      }
    }
    if (const field_problem problem = fields.missing())
      return fail_about(problem, name);

    manifest_tensor& tensor = read.tensor;
    tensor.bits = read.bits ? *read.bits : describe(tensor.dtype).bits;
    if (!attribute_keys_.empty()) {
      tensor.attributes = take_members(attribute_keys_.begin(), attribute_keys_.end(),
                                       values_.begin() + static_cast<std::ptrdiff_t>(object.first_value));
    }
    tensor.name = name;
    if (const field_problem problem = check_tensor(tensor))
      return fail_about(problem, name);
    if (read.alias_of)
      aliases_.push_back({manifest_.tensors.size(), std::move(*read.alias_of)});
    manifest_.tensors.push_back(std::move(tensor));
    return true;
  }
  bool fail_about(field_problem problem, std::string_view tensor_name) noexcept {
    error_ = error_about(problem, tensor_name, position());
    return false;
  }

  /// Checks what concerns all tensors, and finds the originals of aliases.
  bool finish_tensors() {
    name_table names;
    names.reserve(manifest_.tensors.size());
    for (const manifest_tensor& tensor : manifest_.tensors)
      names.add(tensor.name);
    names.sort();
    if (const std::size_t duplicate = names.duplicate(); duplicate != name_table::none) {
      return fail(errc::duplicate_key, manifest_.tensors[duplicate].name);
    }
    for (const pending_alias& alias : aliases_) {
      const std::size_t original = names.number_of(alias.original);
      manifest_tensor& tensor = manifest_.tensors[alias.tensor];
      if (original >= alias.tensor || manifest_.tensors[original].alias_of)
        return fail(errc::bad_alias, tensor.name);
      tensor.alias_of = static_cast<std::uint32_t>(original);
    }
    aliases_.clear();
    return true;
  }

  bool finish() {
    if (const field_problem problem = fields_.missing())
      return fail(problem.code, problem.field);
    if (const result<void> parts = check_parts(manifest_); !parts)
      return error_ = parts.error(), false;
    for (const manifest_tensor& tensor : manifest_.tensors) {
      if (tensor.part != 0 && tensor.part >= manifest_.parts.size())
        return fail(errc::missing_part, tensor.name);
    }
    if (!extra_keys_.empty())
      manifest_.extra = take_members(extra_keys_.begin(), extra_keys_.end(), values_.begin());
    return true;
  }

  const char *begin_, *reached_, *end_;
  manifest manifest_;
  error error_{errc::bad_json};
  field_reader<manifest> fields_{manifest_fields};
  bool in_tensors_ = false;
  std::vector<frame> frames_;
  /// The keys of open objects whose members have begun, and the values that are complete within open objects
  /// and arrays.
  std::vector<std::string> keys_;
  std::vector<json_value> values_;
  std::vector<std::string> extra_keys_, attribute_keys_;
  std::vector<pending_alias> aliases_;
};

} // namespace detail

/// Makes a manifest of its JSON text, which may be anything.
///
/// The error's subject is the tensor's name, the field's, or "FIELD of NAME"; its offset is where reading
/// stood in the text.
/// @retval errc::too_large           the text is longer than `limits` allow
/// @retval errc::bad_json            not JSON in UTF-8, or text follows it
/// @retval errc::too_deep            more than `max_manifest_depth` objects and arrays within each other
/// @retval errc::duplicate_key       a key occurs twice in one object, a tensor's name included
/// @retval errc::bad_number          a number is not an unsigned integer where one is due, or does not fit
/// @retval errc::wrong_type          a value has another JSON type than its field
/// @retval errc::missing_field       a required field is not there
/// @retval errc::newer_format        the store needs a later version of this library
/// @retval errc::bad_header          the versions contradict each other
/// @retval errc::bad_alignment       the alignment is not a power of two from 1 to 65536
/// @retval errc::bad_path            the path of a part is not a plain file name
/// @retval errc::duplicate_part      two parts are the same file
/// @retval errc::missing_part        a tensor lies in a part that is not listed
/// @retval errc::bad_name            a tensor or block has a name that it may not have
/// @retval errc::unknown_dtype       a dtype is not known, or does not go with its bits or block
/// @retval errc::bad_shape           a tensor has more than `max_rank` dimensions
/// @retval errc::bad_checksum_field  a checksum or content id is not of hexadecimal digits
/// @retval errc::bad_alias           an alias does not name an earlier tensor that is none
/// @retval errc::bad_quantization    a quantization does not fit its tensor
/// Sizes and offsets are make_index's to check.
/// Cost: a few microseconds a tensor. Allocates about twice the size of the text for tensors, and for
/// free-form JSON up to thirty times where it is nothing but punctuation. Threads: any.
///
/// Source: manifest.hpp, "The stet manifest, version 1".
inline result<manifest> parse_manifest(std::string_view text, const manifest_limits& limits = {}) {
  if (text.size() > limits.size_bytes)
    return error(errc::too_large, {}, limits.size_bytes);
  // nlohmann's parser skips a byte order mark, and takes a NUL for the end of the text.
  if (text.substr(0, 3) == "\xEF\xBB\xBF")
    return error(errc::bad_json, {}, 0);
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos)
    return error(errc::bad_json, {}, nul);
  return detail::manifest_parser(text).run();
}

} // namespace stet::inline v0_1

#endif
