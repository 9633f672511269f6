// SPDX-License-Identifier: MIT
// Parses a manifest. The text may be anything: there is no recursion, and every invalid text is an error.
#ifndef STET_MANIFEST_PARSE_HPP
#define STET_MANIFEST_PARSE_HPP

#include "check.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// Reads a manifest field by field, without a tree of JSON values.
class manifest_parser {
public:
  explicit manifest_parser(std::string_view text) noexcept : in_(text, max_manifest_depth) {}

  result<manifest> run() {
    if (const field_problem problem = read()) return in_.failure() ? *in_.failure() : error_of(problem);
    if (in_.failure()) return *in_.failure();
    if (const result<void> parts = check_parts(manifest_); !parts) return parts.error();
    for (const manifest_tensor& tensor : manifest_.tensors) {
      if (tensor.part != 0 && tensor.part >= manifest_.parts.size()) return error_of({errc::missing_part, tensor.name});
    }
    if (in_.next() != json_token::end) return *in_.failure();
    return std::move(manifest_);
  }

private:
  /// The name of the original that the tensor of this number states.
  struct pending_alias {
    std::size_t tensor;
    std::string original;
  };

  [[nodiscard]] error error_of(field_problem problem) const noexcept {
    return problem_tensor_.empty() ? error(problem.code, problem.field, in_.offset_bytes())
                                   : error_about(problem, problem_tensor_, in_.offset_bytes());
  }

  field_problem read() {
    if (in_.next() != json_token::begin_object) return errc::wrong_type;
    std::string extra;
    basic_field_reader<manifest, json_input> fields(manifest_fields);
    while (in_.next() == json_token::key) {
      assign_string(in_.string(), name_);
      if (!fields.knows(name_)) {
        append_json_key(extra, in_.string());
        in_.next();
        if (!append_json_value(extra, in_)) return {};
        continue;
      }
      in_.next();
      if (name_ == "tensors" && in_.token() == json_token::begin_object) {
        if (const field_problem problem = read_tensors()) return problem;
        name_ = "tensors";
      }
      if (const field_problem problem = fields.read(name_, in_, manifest_)) return problem;
    }
    if (in_.failure()) return {};
    if (!extra.empty()) manifest_.extra = json_text(extra += '}');
    return fields.missing();
  }

  field_problem read_tensors() {
    in_.leave_keys();
    while (in_.next() == json_token::key) {
      assign_string(in_.string(), name_);
      in_.next();
      tensor_fields_read read;
      field_problem problem = read_tensor(read);
      if (in_.failure()) return {};
      read.tensor.name = name_;
      if (!problem) problem = check_tensor(read.tensor);
      if (problem) {
        problem_tensor_ = name_;
        return problem;
      }
      if (read.alias_of) aliases_.push_back({manifest_.tensors.size(), std::move(*read.alias_of)});
      manifest_.tensors.push_back(std::move(read.tensor));
    }
    return in_.failure() ? field_problem() : finish_tensors();
  }

  field_problem read_tensor(tensor_fields_read& into) {
    if (in_.token() != json_token::begin_object) return wrong_type(in_);
    attributes_.clear();
    basic_field_reader<tensor_fields_read, json_input> fields(tensor_fields);
    while (in_.next() == json_token::key) {
      const json_string key = in_.string();
      in_.next();
      std::string_view name = key.raw();
      if (key.has_escapes()) {
        assign_string(key, key_);
        name = key_;
      }
      if (fields.knows(name)) {
        if (const field_problem problem = fields.read(name, in_, into)) return problem;
      } else {
        append_json_key(attributes_, key);
        if (!append_json_value(attributes_, in_)) return {};
      }
    }
    into.tensor.bits = into.bits ? *into.bits : describe(into.tensor.dtype).bits;
    if (!attributes_.empty()) into.tensor.attributes = json_text(attributes_ += '}');
    return fields.missing();
  }

  /// Checks that the names of tensors differ, and finds the originals of aliases.
  field_problem finish_tensors() {
    name_table names;
    names.reserve(manifest_.tensors.size());
    for (const manifest_tensor& tensor : manifest_.tensors) names.add(tensor.name);
    names.sort();
    if (const std::size_t duplicate = names.duplicate(); duplicate != name_table::none)
      return {errc::duplicate_key, manifest_.tensors[duplicate].name};
    for (const pending_alias& alias : aliases_) {
      const std::size_t original = names.number_of(alias.original);
      manifest_tensor& tensor = manifest_.tensors[alias.tensor];
      if (original >= alias.tensor || manifest_.tensors[original].alias_of) return {errc::bad_alias, tensor.name};
      tensor.alias_of = static_cast<std::uint32_t>(original);
    }
    aliases_.clear();
    return {};
  }

  json_input in_;
  manifest manifest_;
  /// The key that is being read; a buffer for keys of tensors; the name of the tensor with a problem.
  std::string name_, key_, problem_tensor_;
  /// The attributes of the tensor that is being read, without the closing brace.
  std::string attributes_;
  std::vector<pending_alias> aliases_;
};

} // namespace detail

/// Parses the JSON text of a manifest.
///
/// The error's subject is the name of the tensor, the name of the field, or "FIELD of NAME". Its offset is the place in the
/// text where reading stopped.
/// @retval errc::too_large           the text is longer than `limits` allow
/// @retval errc::bad_json            not JSON in UTF-8, or text follows it
/// @retval errc::too_deep            more than `max_manifest_depth` objects and arrays within each other
/// @retval errc::duplicate_key       a key occurs twice in one object, a tensor's name included
/// @retval errc::bad_number          a number is not an unsigned integer where one is due, or does not fit
/// @retval errc::wrong_type          a value has another JSON type than its field
/// @retval errc::missing_field       a required field is missing
/// @retval errc::newer_format        the store needs a later version of this library
/// @retval errc::bad_header          the versions contradict each other
/// @retval errc::bad_alignment       the alignment is not a power of two from 1 to 65536
/// @retval errc::bad_path            the path of a part is not a plain file name
/// @retval errc::duplicate_part      two parts are the same file
/// @retval errc::missing_part        a tensor lies in a part that is not listed
/// @retval errc::bad_name            the name of a tensor or block is invalid
/// @retval errc::unknown_dtype       a dtype is not known, or its bits or block are invalid
/// @retval errc::bad_shape           a tensor has more than `max_rank` dimensions
/// @retval errc::bad_checksum_field  a checksum or content id is not of hexadecimal digits
/// @retval errc::bad_alias           the original of an alias is not an earlier tensor, or is an alias itself
/// @retval errc::bad_quantization    a quantization does not fit its tensor
/// @retval errc::bad_slice           a piece does not lie within the tensor that it is a piece of
/// `make_index` checks sizes and offsets.
/// Cost: about a microsecond a tensor. Allocates about twice the size of the text for tensors, as much as the text for
/// free-form JSON, and for the keys of the objects that are open at once up to twenty times their text. Threads: any.
///
/// Source: manifest.hpp, "The stet manifest, version 1".
inline result<manifest> parse_manifest(std::string_view text, const manifest_limits& limits = {}) {
  if (text.size() > limits.size_bytes) return error(errc::too_large, {}, limits.size_bytes);
  return detail::manifest_parser(text).run();
}

} // namespace stet::inline STET_NAMESPACE

#endif
