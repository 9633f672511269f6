// SPDX-License-Identifier: MIT
// JSON → manifest, for text from anyone: no recursion, no exception, nothing but a manifest or an error.
#ifndef STET_MANIFEST_PARSE_HPP
#define STET_MANIFEST_PARSE_HPP

#include "check.hpp"
#include "json_text.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// Reads a field of the manifest when it is complete, and so each tensor: the text is never held as one tree.
class manifest_parser final : public json_reader<manifest_parser> {
public:
  using json_reader::json_reader;

  result<manifest> run() {
    if (!read()) return error_;
    return std::move(manifest_);
  }

  // ---- the events that mean something here ----

  bool start_object(std::size_t size) {
    if (frames_.size() == 1 && keys_.back() == "tensors") in_tensors_ = true;
    return json_reader::start_object(size);
  }
  bool start_array(std::size_t size) {
    return frames_.empty() ? fail(errc::wrong_type) : json_reader::start_array(size);
  }
  bool end_object() {
    const std::size_t depth = frames_.size();
    if (depth == 1) return keys_differ() && finish();
    if (in_tensors_ && depth == 3) {
      if (!keys_differ() || !read_tensor(frames_.back())) return false;
      close();
      keys_.pop_back();
      return true;
    }
    if (in_tensors_ && depth == 2) {
      in_tensors_ = false;
      if (!finish_tensors()) return false;
    }
    return json_reader::end_object();
  }

  /// Takes a value that is complete to where it belongs.
  bool complete(json_value value) {
    if (frames_.empty()) return fail(errc::wrong_type);
    if (frames_.size() == 1) return read_field(std::move(value));
    if (in_tensors_ && frames_.size() == 2) return fail(errc::wrong_type, keys_.back());
    values_.push_back(std::move(value));
    return true;
  }

private:
  /// The name that the tensor of this number gives for its original.
  struct pending_alias {
    std::size_t tensor;
    std::string original;
  };

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
        if (const field_problem problem = fields.read(keys_[key], values_[at], read)) return fail_about(problem, name);
      } else {
        attribute_keys_.push_back(std::move(keys_[key]));
        if (attributes != at) values_[attributes] = std::move(values_[at]);
        ++attributes;
      }
    }
    if (const field_problem problem = fields.missing()) return fail_about(problem, name);

    manifest_tensor& tensor = read.tensor;
    tensor.bits = read.bits ? *read.bits : describe(tensor.dtype).bits;
    if (!attribute_keys_.empty()) {
      tensor.attributes = take_members(attribute_keys_.begin(), attribute_keys_.end(),
                                       values_.begin() + static_cast<std::ptrdiff_t>(object.first_value));
    }
    tensor.name = name;
    if (const field_problem problem = check_tensor(tensor)) return fail_about(problem, name);
    if (read.alias_of) aliases_.push_back({manifest_.tensors.size(), std::move(*read.alias_of)});
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
    for (const manifest_tensor& tensor : manifest_.tensors) names.add(tensor.name);
    names.sort();
    if (const std::size_t duplicate = names.duplicate(); duplicate != name_table::none) {
      return fail(errc::duplicate_key, manifest_.tensors[duplicate].name);
    }
    for (const pending_alias& alias : aliases_) {
      const std::size_t original = names.number_of(alias.original);
      manifest_tensor& tensor = manifest_.tensors[alias.tensor];
      if (original >= alias.tensor || manifest_.tensors[original].alias_of) return fail(errc::bad_alias, tensor.name);
      tensor.alias_of = static_cast<std::uint32_t>(original);
    }
    aliases_.clear();
    return true;
  }

  bool finish() {
    if (const field_problem problem = fields_.missing()) return fail(problem.code, problem.field);
    if (const result<void> parts = check_parts(manifest_); !parts) return error_ = parts.error(), false;
    for (const manifest_tensor& tensor : manifest_.tensors) {
      if (tensor.part != 0 && tensor.part >= manifest_.parts.size()) return fail(errc::missing_part, tensor.name);
    }
    if (!extra_keys_.empty()) manifest_.extra = take_members(extra_keys_.begin(), extra_keys_.end(), values_.begin());
    return true;
  }

  manifest manifest_;
  field_reader<manifest> fields_{manifest_fields};
  bool in_tensors_ = false;
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
  if (const result<void> checked = detail::check_json_text(text, limits); !checked) return checked.error();
  return detail::manifest_parser(text).run();
}

} // namespace stet::inline STET_NAMESPACE

#endif
