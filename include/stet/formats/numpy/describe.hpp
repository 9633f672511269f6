// SPDX-License-Identifier: MIT
// Describes npy and npz files: the types of their arrays that are no dtypes, and which are in Fortran order.
#ifndef STET_FORMATS_NUMPY_DESCRIBE_HPP
#define STET_FORMATS_NUMPY_DESCRIBE_HPP

#include "npz.hpp"

#include "../description.hpp"

#include "../../json.hpp"
#include "../../manifest/graph_json.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// The text of a header as UTF-8; up to version 2.0 it is Latin-1.
inline std::string npy_utf8(std::string_view text, bool is_latin1) {
  std::string made;
  for (const char each : text) {
    const auto byte = static_cast<unsigned char>(each);
    if (byte < 0x80 || !is_latin1) {
      made.push_back(each);
    } else {
      made.push_back(static_cast<char>(0xC0u | byte >> 6));
      made.push_back(static_cast<char>(0x80u | (byte & 0x3Fu)));
    }
  }
  return made;
}

/// Makes JSON of the descriptor of a structured type, which was read before.
class npy_field_list {
public:
  npy_field_list(std::string_view descr, bool is_latin1) noexcept : in_(descr, true), is_latin1_(is_latin1) {}

  /// [{"name": …, "title": …, "descr": "<f4" or a list as this, "shape": […]}, …]. Fields lie one behind the other.
  json_value run() { return fields(); }

private:
  json_value fields() {
    json_value made = json_value::array();
    (void)in_.take('[');
    while (in_.take('(')) {
      json_value field = json_value::object();
      if (in_.take('(')) {
        append_member(field, "title", text());
        (void)in_.take(',');
        append_member(field, "name", text());
        (void)in_.take(',');
        (void)in_.take(')');
      } else {
        append_member(field, "name", text());
      }
      (void)in_.take(',');
      json_value shape = json_value::array();
      append_member(field, "descr", type(shape));
      if (in_.take(',')) add_counts(shape);
      (void)in_.take(',');
      (void)in_.take(')');
      if (!shape.empty()) append_member(field, "shape", std::move(shape));
      made.push_back(std::move(field));
      (void)in_.take(',');
    }
    (void)in_.take(']');
    return made;
  }
  json_value type(json_value& shape) {
    if (in_.peek() == '[') return fields();
    if (!in_.take('(')) return text();
    json_value made = type(shape);
    (void)in_.take(',');
    add_counts(shape);
    (void)in_.take(',');
    (void)in_.take(')');
    return made;
  }
  void add_counts(json_value& shape) {
    const bool is_tuple = in_.take('(');
    npy_integer count;
    while (in_.peek() != ')' && in_.take(count)) {
      shape.push_back(count.magnitude);
      if (!is_tuple || !in_.take(',')) break;
    }
    if (is_tuple) (void)in_.take(')');
  }
  std::string text() {
    npy_string taken;
    (void)in_.take(taken);
    // Escapes stay as they are written: they may be no characters at all.
    return npy_utf8(taken.raw(), is_latin1_);
  }

  npy_literal in_;
  bool is_latin1_;
};

/// Adds what is said of an array, if anything is.
inline void add_npy_note(model_description& to, std::string_view name, const npy_header& header, unsigned major) {
  const bool is_block = header.type.dtype == dtype::block;
  if (!is_block && !header.is_reordered()) return;
  json_value fields = json_value::object();
  if (is_block) {
    append_member(fields, "descr", npy_utf8(header.descr, major < 3));
    if (header.descr.starts_with('[')) append_member(fields, "fields", npy_field_list(header.descr, major < 3).run());
  }
  if (header.is_reordered()) append_member(fields, "fortran_order", true);
  to.tensors.push_back({std::string(name), json_value{{"numpy", std::move(fields)}}});
}

/// The options to read a file again with that is described.
inline open_options options_to_describe(const model& of, stet::backing backing) noexcept {
  open_options made = of.options;
  made.backing = backing;
  made.access = access::read_only;
  made.range = {};
  return made;
}
/// The error of describing a file that is no longer what was opened.
inline error error_of_changed(const error& failure) noexcept {
  return failure.category() > error_category::system ? error(errc::malformed, "npy: header") : failure;
}

/// `format::describe` of npy_format: for tensors without a dtype or in Fortran order, {"numpy": {"descr": the descriptor as in
/// the file, "fields": of a structured type, "fortran_order": true}}. Cost: reads the headers.
inline result<model_description> describe_npy(const model& of) {
  model_description made;
  const result<source> file = open_source(of.path, options_to_describe(of, backing::stream));
  if (!file) return file.error();
  std::uint64_t number = 0;
  error left_out(errc{});
  npy_store_maker maker({}, of.options.memory);
  const auto note = [&](const npy_array& array) -> result<void> {
    add_npy_note(made, std::to_string(number++), array.header, array.major);
    return {};
  };
  if (auto walked = maker.walk(*file, note, &left_out); !walked) return error_of_changed(walked.error());
  return made;
}

/// `format::describe` of npz_format: as `describe_npy`. Cost: reads the directory and the headers, and decompresses deflated
/// members.
inline result<model_description> describe_npz(const model& of) {
  model_description made;
  const result<source> file = open_resident(of.path, options_to_describe(of, of.options.backing));
  if (!file) return file.error();
  const std::span<const std::byte> archive = bytes_in(*file);
  const result<std::vector<zip_member>> members = npz_arrays(archive);
  if (!members) return error_of_changed(members.error());
  npy_array array;
  source none;
  for (const zip_member& each : *members) {
    const std::string_view key = npz_key(each.name);
    if (!of.store.find(key)) continue; // it was left out
    const result<source> bytes = open_npz_member(archive, each, of.options.inflate, of.options.memory);
    if (!bytes) return error_of_changed(bytes.error());
    if (auto read = read_npy_array(*bytes, 0, bytes->size_bytes(), {}, of.options.memory, none, array); !read)
      return error_of_changed(read.error());
    add_npy_note(made, key, array.header, array.major);
  }
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
