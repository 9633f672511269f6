// SPDX-License-Identifier: MIT
// `stet ls`: the tensors of a model, for people and for programs.
#include "commands.hpp"
#include "model.hpp"

#include <stet/formats/format.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace command {

namespace {

/// A JSON string of ASCII characters, whatever is in `text`.
std::string quoted(std::string_view text) {
  return nlohmann::json(std::string(text)).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

std::string hexadecimal(std::uint32_t value) {
  std::string digits(8, '0');
  for (std::size_t i = digits.size(); i-- > 0; value >>= 4) digits[i] = "0123456789abcdef"[value & 15u];
  return digits;
}

/// The file that holds a tensor, as a JSON string; null if its bytes are in none as they are.
std::string file_of(const stet::model& from, std::string_view path, const stet::tensor& of) {
  if (from.store.index().part_count() == 0)
    return quoted(from.files == nullptr ? file_name_of(path) : files_of(from).front().name);
  if (!from.is_in_file(of)) return "null";
  // A part of a file of a delta is called FILE/PART.
  const std::string_view part = from.store.index().part(of.entry().part()).path;
  return quoted(from.files == nullptr ? part : part.substr(part.rfind('/') + 1));
}

/// "[2, 3]".
std::string list_text(const std::vector<std::uint64_t>& numbers) {
  std::string text;
  for (const std::uint64_t number : numbers) text.append(text.empty() ? "[" : ", ").append(std::to_string(number));
  return text.append(text.empty() ? "[]" : "]");
}

void list_slices_as_json(const std::vector<shard_row>& slices, console& out) {
  std::string_view separator = ", \"slices\": [\n";
  for (const shard_row& each : slices) {
    out.write(std::exchange(separator, ",\n")).write("{\"tensor\": ").write(quoted(std::string_view(each.tensor)));
    out.write(", \"start\": ").write(list_text(each.start)).write(", \"shape\": ").write(list_text(each.extents));
    out.write(", \"dtype\": ").write(quoted(std::string_view(each.dtype)));
    out.write(", \"file\": ").write(quoted(std::string_view(each.file)));
    out.write(", \"offset_bytes\": ").write(std::to_string(each.offset_bytes));
    out.write(", \"size_bytes\": ").write(std::to_string(each.size_bytes)).write("}");
  }
  out.write("\n]");
}

/// @param slices  listed, too, if there are some
void list_as_json(const stet::model& from, std::string_view path, const std::vector<checkpoint_row>& checkpoints,
                  const std::vector<shard_row>& slices, console& out) {
  out.write("{\"format\": ")
      .write(quoted(from.format->name))
      .write(", \"size_bytes\": ")
      .write(std::to_string(file_size_bytes(from)));
  out.write(", \"alignment\": ").write(std::to_string(from.store.alignment_bytes()));
  if (const std::string_view base = base_file_of(from); !base.empty()) out.write(", \"base\": ").write(quoted(base));
  out.write(", \"tensors\": [");
  std::string_view separator = "\n";
  const second_names names = second_names_of(from);
  for (const stet::tensor each : from.store) {
    if (from.is_second_name(each)) continue;
    const bool in_place = is_in_place(from, each);
    out.write(separator)
        .write("{\"name\": ")
        .write(quoted(each.name()))
        .write(", \"dtype\": ")
        .write(quoted(dtype_name_of(each)));
    out.write(", \"shape\": ")
        .write(shape_text_of(each))
        .write(", \"size_bytes\": ")
        .write(std::to_string(each.size_bytes()));
    out.write(", \"file\": ").write(file_of(from, path, each));
    out.write(", \"offset_bytes\": ").write(in_place ? std::to_string(each.entry().offset_bytes()) : "null");
    out.write(", \"in_place\": ").write(in_place ? "true" : "false");
    if (each.entry().has_crc32c()) out.write(", \"crc32c\": \"").write(hexadecimal(each.entry().crc32c())).write("\"");
    if (const auto original = from.store.original_of(each))
      out.write(", \"alias_of\": ").write(quoted(original->name()));
    if (const auto found = names.find(each.entry().number()); found != names.end()) {
      std::string_view before = ", \"names\": [";
      for (const std::string_view name : found->second) out.write(std::exchange(before, ", ")).write(quoted(name));
      out.write("]");
    }
    out.write("}");
    separator = ",\n";
  }
  out.write("\n]");
  if (!from.omitted.empty()) {
    separator = ", \"omitted\": [\n";
    for (const stet::omitted_item& each : from.omitted) {
      out.write(std::exchange(separator, ",\n")).write("{\"name\": ").write(quoted(std::string_view(each.name)));
      out.write(", \"reason\": ").write(quoted(stet::describe(each.reason.code()).name)).write("}");
    }
    out.write("\n]");
  }
  if (!checkpoints.empty()) {
    separator = ", \"checkpoints\": [\n";
    for (const checkpoint_row& each : checkpoints) {
      out.write(std::exchange(separator, ",\n")).write("{\"step\": ").write(std::to_string(each.step));
      out.write(", \"file\": ")
          .write(quoted(std::string_view(each.file_name)))
          .write(", \"size_bytes\": ")
          .write(std::to_string(each.size_bytes));
      if (each.metric) out.write(", \"metric\": ").write(nlohmann::json(*each.metric).dump());
      if (!each.base.empty()) out.write(", \"base\": ").write(quoted(std::string_view(each.base)));
      if (each.failure) out.write(", \"error\": ").write(quoted(stet::describe(each.failure->code()).name));
      out.write("}");
    }
    out.write("\n]");
  }
  if (!slices.empty()) list_slices_as_json(slices, out);
  out.write("}\n");
}

/// "[0:2, 3:6]": start and end in each dimension.
std::string box_text(const shard_row& of) {
  std::string text;
  for (std::size_t axis = 0; axis < of.start.size(); ++axis) {
    text.append(text.empty() ? "[" : ", ").append(std::to_string(of.start[axis])).append(":");
    text.append(std::to_string(of.start[axis] + of.extents[axis]));
  }
  return text.append(text.empty() ? "[]" : "]");
}

void list_slices_for_people(const std::vector<shard_row>& slices, console& out) {
  std::size_t dtype_width = 0, box_width = 0, file_width = 0, offset_width = 0;
  for (const shard_row& each : slices) {
    dtype_width = (std::max)(dtype_width, escaped(each.dtype).size());
    box_width = (std::max)(box_width, box_text(each).size());
    file_width = (std::max)(file_width, escaped(each.file).size());
    offset_width = (std::max)(offset_width, std::to_string(each.offset_bytes).size());
  }
  for (const shard_row& each : slices) {
    out.write(right_aligned(human_size(each.size_bytes), 10)).write("  ");
    out.write(colour::cyan, left_aligned(escaped(each.dtype), dtype_width)).write("  ");
    out.write(left_aligned(escaped(each.file), file_width)).write(" at ");
    out.write(left_aligned(std::to_string(each.offset_bytes), offset_width)).write("  ");
    out.write(left_aligned(box_text(each), box_width)).write("  ").write_escaped(each.tensor).write("\n");
  }
}

void list_checkpoints(const std::vector<checkpoint_row>& checkpoints, console& out) {
  std::size_t width = 0;
  for (const checkpoint_row& each : checkpoints) width = (std::max)(width, escaped(each.file_name).size());
  for (const checkpoint_row& each : checkpoints) {
    out.write(right_aligned(human_size(each.size_bytes), 10)).write("  ");
    out.write(left_aligned(escaped(each.file_name), width)).write("  step ").write(std::to_string(each.step));
    if (each.metric) out.write(", metric ").write(nlohmann::json(*each.metric).dump());
    if (!each.base.empty()) out.write(", delta of ").write_escaped(each.base);
    char text[512];
    if (each.failure) out.write(", ").write(colour::red, each.failure->about({}).print(text, sizeof text));
    out.write("\n");
  }
}

void list_for_people(const stet::model& from, console& out) {
  // Names come last: of whatever length and script they are, they push no column aside. So does a shape of
  // many extents.
  constexpr std::size_t widest_shape = 24;
  const second_names names = second_names_of(from);
  std::size_t dtype_width = 0, shape_width = 0;
  std::uint64_t element_count = 0, size_bytes = 0;
  for (const stet::tensor each : from.store) {
    if (from.is_second_name(each)) continue;
    dtype_width = (std::max)(dtype_width, escaped(dtype_name_of(each)).size());
    if (const std::size_t width = shape_text_of(each).size(); width <= widest_shape)
      shape_width = (std::max)(shape_width, width);
    if (from.store.original_of(each)) continue;
    element_count += each.element_count();
    size_bytes += each.size_bytes();
  }
  for (const stet::tensor each : from.store) {
    if (from.is_second_name(each)) continue;
    out.write(right_aligned(human_size(each.size_bytes()), 10)).write("  ");
    out.write(colour::cyan, left_aligned(escaped(dtype_name_of(each)), dtype_width)).write("  ");
    out.write(left_aligned(shape_text_of(each), shape_width)).write("  ").write_escaped(each.name());
    if (const auto original = from.store.original_of(each)) out.write(colour::faint, " = " + escaped(original->name()));
    if (const auto found = names.find(each.entry().number()); found != names.end()) {
      std::string_view before = "  also ";
      for (const std::string_view name : found->second)
        out.write(colour::faint, std::string(std::exchange(before, ", ")).append(escaped(name)));
    }
    out.write("\n");
  }
  const std::string counts = counted(tensor_count(from), "tensor") + ", " + counted(element_count, "element");
  const std::string files = counted(from.file_count, "file") + " of " + human_size(file_size_bytes(from));
  const std::string alignment = "alignment " + std::to_string(from.store.alignment_bytes());
  std::string total = right_aligned(human_size(size_bytes), 10) + "  " + counts + "; " + files + ", " + alignment;
  if (from.files != nullptr) total += "; " + escaped(files_of(from).front().name);
  if (const std::string_view base = base_file_of(from); !base.empty()) total += ", delta of " + escaped(base);
  out.write(colour::faint, total).write("\n");
  if (from.omitted.empty()) return;
  print_omitted(from.omitted, out);
  out.write(colour::faint,
            right_aligned("", 10) + "  " + counted(from.omitted.size(), "item") + " of the file not listed as tensors")
      .write("\n");
}

} // namespace

status list(const arguments& given, console& out) {
  const std::string_view path = given.operands[0];
  const stet::result<listed_model> opened = open_listed(path);
  if (!opened) return fail_to_open(path, opened.error(), out);
  std::vector<shard_row> slices;
  if (given.has("--slices")) {
    stet::result<std::vector<shard_row>> found = shard_rows_of(opened->model);
    if (!found) return out.fail(path, found.error());
    slices = std::move(*found);
    if (slices.empty()) return out.fail(path, "not a sharded checkpoint, whose tensors are in pieces");
  }
  if (given.has("--json")) {
    list_as_json(opened->model, path, opened->checkpoints, slices, out);
  } else if (given.has("--slices")) {
    list_slices_for_people(slices, out);
  } else {
    list_checkpoints(opened->checkpoints, out);
    list_for_people(opened->model, out);
  }
  return status::done;
}

} // namespace command
