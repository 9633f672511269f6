// SPDX-License-Identifier: MIT
// `stet ls`: the tensors of a model, for people and for programs.
#include "commands.hpp"
#include "model.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>

namespace command {

namespace {

/// A JSON string of ASCII characters, whatever is in `text`.
std::string quoted(std::string_view text) {
  return nlohmann::json(std::string(text)).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

std::string hexadecimal(std::uint32_t value) {
  std::string digits(8, '0');
  for (std::size_t i = digits.size(); i-- > 0; value >>= 4)
    digits[i] = "0123456789abcdef"[value & 15u];
  return digits;
}

/// Whether the bytes in the file are the tensor's, little-endian.
bool is_in_place(const stet::tensor& of) {
  return of.bytes().data() != nullptr &&
         !(of.entry().is_big_endian() && stet::describe(of.dtype()).word_size_bytes > 1);
}

std::string_view file_of(const model& from, std::string_view path, const stet::tensor& of) {
  return from.store.index().part_count() == 0 ? file_name_of(path)
                                              : from.store.index().part(of.entry().part()).path;
}

void list_as_json(const model& from, std::string_view path, console& out) {
  out.write("{\"format\": ")
      .write(quoted(from.format))
      .write(", \"size_bytes\": ")
      .write(std::to_string(from.file_size_bytes()));
  out.write(", \"alignment\": ")
      .write(std::to_string(from.store.alignment_bytes()))
      .write(", \"tensors\": [");
  std::string_view separator = "\n";
  for (const stet::tensor each : from.store) {
    out.write(separator)
        .write("{\"name\": ")
        .write(quoted(each.name()))
        .write(", \"dtype\": ")
        .write(quoted(dtype_name_of(each)));
    out.write(", \"shape\": ")
        .write(shape_text_of(each))
        .write(", \"size_bytes\": ")
        .write(std::to_string(each.size_bytes()));
    out.write(", \"file\": ").write(quoted(file_of(from, path, each)));
    out.write(", \"offset_bytes\": ")
        .write(is_in_place(each) ? std::to_string(each.entry().offset_bytes()) : "null");
    out.write(", \"in_place\": ").write(is_in_place(each) ? "true" : "false");
    if (each.entry().has_crc32c())
      out.write(", \"crc32c\": \"").write(hexadecimal(each.entry().crc32c())).write("\"");
    if (const auto original = from.store.original_of(each))
      out.write(", \"alias_of\": ").write(quoted(original->name()));
    out.write("}");
    separator = ",\n";
  }
  out.write("\n]}\n");
}

void list_for_people(const model& from, console& out) {
  // Names come last: of whatever length and script they are, they push no column aside. So does a shape of
  // many extents.
  constexpr std::size_t widest_shape = 24;
  std::size_t dtype_width = 0, shape_width = 0;
  std::uint64_t element_count = 0, size_bytes = 0;
  for (const stet::tensor each : from.store) {
    dtype_width = (std::max)(dtype_width, escaped(dtype_name_of(each)).size());
    if (const std::size_t width = shape_text_of(each).size(); width <= widest_shape)
      shape_width = (std::max)(shape_width, width);
    if (from.store.original_of(each))
      continue;
    element_count += each.element_count();
    size_bytes += each.size_bytes();
  }
  for (const stet::tensor each : from.store) {
    out.write(right_aligned(human_size(each.size_bytes()), 10)).write("  ");
    out.write(colour::cyan, left_aligned(escaped(dtype_name_of(each)), dtype_width)).write("  ");
    out.write(left_aligned(shape_text_of(each), shape_width)).write("  ").write_escaped(each.name());
    if (const auto original = from.store.original_of(each))
      out.write(colour::faint, " = " + escaped(original->name()));
    out.write("\n");
  }
  const std::string counts =
      counted(from.store.tensor_count(), "tensor") + ", " + counted(element_count, "element");
  const std::string files = counted(from.file_count(), "file") + " of " + human_size(from.file_size_bytes());
  const std::string alignment = "alignment " + std::to_string(from.store.alignment_bytes());
  out.write(colour::faint,
            right_aligned(human_size(size_bytes), 10) + "  " + counts + "; " + files + ", " + alignment)
      .write("\n");
}

} // namespace

status list(const arguments& given, console& out) {
  const std::string_view path = given.operands[0];
  const stet::result<model> opened = open_model(path);
  if (!opened)
    return out.fail(path, opened.error());
  if (given.has("--json")) {
    list_as_json(*opened, path, out);
  } else {
    list_for_people(*opened, out);
  }
  return status::done;
}

} // namespace command
