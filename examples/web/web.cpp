// SPDX-License-Identifier: MIT
// What the page asks of stet, compiled to WebAssembly: open the files that were dropped, list the tensors, give their values.
//
// Strings come back as JSON, which worker.js parses; what a call returns is valid until the next call. The dropped files are a
// file system of the program's own, from which stet reads only what it needs: of its own format, TensorFlow's and TensorFlow.js's
// the tables and the tensors that are looked at; of others, whose structure is spread over the file, all of it, into memory.
#include "inflate.hpp"

#include <stet/formats/any.hpp>
#include <stet/store/copy_elements.hpp>

#include <emscripten.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The page's side. Files have numbers; a path without one is a folder (-2) or nothing (-1). A read fails where the browser
// refuses it, because the file was changed or removed, say. Offsets cross as doubles, which are exact up to 2^53.
EM_JS(int, page_find_file, (const char* path, std::size_t size_bytes),
      { return Module["find"](UTF8ToString(path, size_bytes)); })
EM_JS(double, page_file_size, (int file), { return Module["size"](file); })
EM_JS(bool, page_read, (int file, double offset_bytes, std::byte* into, std::size_t size_bytes),
      { return Module["read"](file, offset_bytes, into, size_bytes); })

namespace {

/// A dropped file, by its number.
class dropped_file final : public stet::byte_reader {
public:
  explicit dropped_file(int number) noexcept
      : number_(number), size_bytes_(static_cast<std::uint64_t>(page_file_size(number))) {}
  [[nodiscard]] stet::result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (offset_bytes > size_bytes_ || into.size() > size_bytes_ - offset_bytes) return stet::errc::truncated;
    if (!page_read(number_, static_cast<double>(offset_bytes), into.data(), into.size()))
      return stet::error(stet::errc::io_error, {}, offset_bytes);
    return {};
  }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return size_bytes_; }

private:
  int number_;
  std::uint64_t size_bytes_;
};

/// All that was dropped.
class dropped_files final : public stet::file_system {
public:
  [[nodiscard]] stet::result<stet::source> open_file(std::string_view path_utf8) const noexcept override {
    const int file = page_find_file(path_utf8.data(), path_utf8.size());
    if (file < 0)
      return stet::error(file == -2 ? stet::errc::not_a_regular_file : stet::errc::file_not_found, path_utf8);
    return stet::source::keep(dropped_file(file));
  }
};

constexpr dropped_files files;
stet::model opened;
std::vector<stet::tensor> tensors; // of `opened`, in its order
std::string answer;
std::vector<double> values;

const char* reply(const stet::json_value& made) {
  answer = made.dump(-1, ' ', false, stet::json_value::error_handler_t::replace);
  return answer.c_str();
}

/// stet's own sentence.
const char* reply(const stet::error& failure) {
  char text[512];
  return reply(
      stet::json_value{{"error", failure.print(text, sizeof text)}, {"code", stet::describe(failure.code()).name}});
}

stet::json_value list_tensors() {
  std::map<std::uint32_t, stet::json_value> second_names;
  for (const stet::tensor& each : tensors) {
    if (opened.is_second_name(each))
      second_names[opened.store.index().original_of(each.entry()).number()].push_back(each.name());
  }
  stet::json_value rows = stet::json_value::array();
  for (const stet::tensor& each : tensors) {
    if (opened.is_second_name(each)) continue;
    stet::json_value shape = stet::json_value::array();
    for (std::size_t axis = 0; axis < each.shape().rank(); ++axis) shape.push_back(each.shape()[axis]);
    const bool is_block = each.dtype() == stet::dtype::block;
    stet::json_value row = {
        {"number", each.entry().number()},
        {"name", each.name()},
        {"dtype", is_block ? each.layout().block.name : stet::name_of(each.dtype())},
        {"shape", std::move(shape)},
        {"element_count", each.element_count()},
        {"size_bytes", each.size_bytes()},
        {"is_decoded", !opened.is_in_file(each)},
    };
    if (opened.is_in_file(each)) row["offset_bytes"] = each.entry().offset_bytes();
    if (opened.store.index().part_count() != 0 && opened.is_in_file(each))
      row["file"] = opened.store.index().part(each.entry().part()).path;
    if (const auto original = opened.store.original_of(each)) row["alias_of"] = original->name();
    if (const auto found = second_names.find(each.entry().number()); found != second_names.end())
      row["names"] = std::move(found->second);
    rows.push_back(std::move(row));
  }
  return rows;
}

} // namespace

extern "C" {

/// Opens what lies at a path of the dropped files: a file, a folder, or what the names of files have in common.
/// @return {format, file_count, alignment_bytes, base: the file that a delta builds on or "", tensors: [{number, name, dtype, shape, …}]}, or {error, code}
EMSCRIPTEN_KEEPALIVE const char* open_model(const char* path) {
  tensors.clear();
  opened = {};
  stet::open_options options;
  options.backing = stet::backing::stream;
  options.inflate = web::inflate;
  options.files = &files;
  stet::result<stet::model> made = stet::open_any(path, options);
  if (!made && made.error() == stet::errc::unknown_format) {
    const std::string text = std::string(path).append(": ").append(made.error().message());
    return reply(stet::json_value{{"error", text + "; known are " + stet::names_of_known_formats()},
                                  {"code", stet::describe(stet::errc::unknown_format).name}});
  }
  if (!made) return reply(made.error());
  opened = std::move(*made);
  for (const stet::tensor each : opened.store) tensors.push_back(each);
  return reply(stet::json_value{
      {"format", opened.format->name},
      {"file_count", opened.file_count},
      {"alignment_bytes", opened.store.alignment_bytes()},
      {"base", stet::base_name_of(opened)},
      {"tensors", list_tensors()},
  });
}

/// Reads values of a tensor as doubles; of complex numbers their magnitudes.
/// @param first  a multiple of 8
/// @return nullptr after a failure, which `last_error` tells
EMSCRIPTEN_KEEPALIVE const double* read_values(std::uint32_t number, double first, std::uint32_t count) {
  const stet::tensor& from = tensors[number];
  const bool is_complex = stet::describe(from.dtype()).kind == stet::dtype_kind::complex;
  values.resize(std::size_t{count} * (is_complex ? 2 : 1));
  const stet::result<void> copied =
      stet::copy_elements(from, is_complex ? stet::dtype::complex128 : stet::dtype::float64,
                          std::as_writable_bytes(std::span(values)), static_cast<std::uint64_t>(first));
  if (!copied) {
    reply(copied.error());
    return nullptr;
  }
  for (std::size_t i = 0; is_complex && i < count; ++i) values[i] = std::hypot(values[2 * i], values[2 * i + 1]);
  return values.data();
}

/// The names of the formats that are opened, as one string.
EMSCRIPTEN_KEEPALIVE const char* format_names() { return reply(stet::names_of_known_formats()); }

/// What the last call that failed says: {error, code}.
EMSCRIPTEN_KEEPALIVE const char* last_error() { return answer.c_str(); }

/// The first strings of a tensor of strings: {strings: […]}, or {error, code}.
EMSCRIPTEN_KEEPALIVE const char* read_strings(std::uint32_t number, std::uint32_t at_most) {
  const stet::tensor& from = tensors[number];
  std::vector<std::byte> copy;
  std::span<const std::byte> bytes = from.bytes();
  if (bytes.size() != from.size_bytes()) {
    copy.resize(static_cast<std::size_t>(from.size_bytes()));
    if (auto read = from.read(0, copy); !read) return reply(read.error());
    bytes = copy;
  }
  const stet::result<stet::string_span> strings = stet::string_span::validate(bytes, from.element_count());
  if (!strings) return reply(strings.error().about(from.name()));
  stet::json_value made = stet::json_value::array();
  for (std::size_t i = 0; i < strings->size() && i < at_most; ++i) made.push_back((*strings)[i].substr(0, 1000));
  return reply(stet::json_value{{"strings", std::move(made)}});
}
}
