// SPDX-License-Identifier: MIT
// Opens ONNX models and tensors in place. Needs the standard library only.
#ifndef STET_FORMATS_ONNX_OPEN_HPP
#define STET_FORMATS_ONNX_OPEN_HPP

#include "detail/tensors.hpp"
#include "detail/values.hpp"

#include "../common/files_beside.hpp"
#include "../common/finish_model.hpp"
#include "../common/model_folder.hpp"
#include "../common/store_builder.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// True if a range begins with the fields of a GraphProto. It may be cut off.
inline bool begins_like_onnx_graph(onnx_input& in, const onnx_range& graph) {
  constexpr std::uint64_t sample_size_bytes = 4096; // which a probe has read already
  onnx_fields fields(in, graph);
  while (fields.rest().begin < sample_size_bytes && fields.next()) {
    const std::uint32_t number = fields.number();
    const bool is_known = number == 1 || number == 2 || number == 5 || (number >= 10 && number <= 16);
    if (number <= 16 ? !is_known || fields.type() != protobuf_type::bytes : number <= 18) return false;
  }
  return true;
}

/// True if the fields of a file begin as those of a ModelProto with a version and a graph do. It may be cut off within the graph.
inline bool is_onnx_model(const onnx_input& file) {
  constexpr std::uint32_t varints = 1u << 1 | 1u << 5;
  constexpr std::uint32_t messages =
      1u << 2 | 1u << 3 | 1u << 4 | 1u << 6 | 1u << 7 | 1u << 8 | 1u << 14 | 1u << 20 | 1u << 25 | 1u << 26;
  constexpr int most_fields = 64;
  onnx_input in = file;
  onnx_fields fields(in, {0, in.size_bytes()});
  bool has_version = false, has_graph = false;
  for (int count = 0; count < most_fields && !(has_version && has_graph) && fields.next(); ++count) {
    const std::uint32_t number = fields.number();
    if (number > 26) continue; // of a later version
    const std::uint32_t due = fields.type() == protobuf_type::varint  ? varints
                              : fields.type() == protobuf_type::bytes ? messages
                                                                      : 0;
    if ((due >> number & 1u) == 0) return false;
    has_version = has_version || number == 1;
    if (number != 7) continue;
    onnx_input inside = file;
    if (!begins_like_onnx_graph(inside, fields.payload())) return false;
    has_graph = true;
  }
  if (in.failure() && !has_graph && fields.tag() == bytes_field(7)) {
    onnx_input inside = file;
    has_graph = begins_like_onnx_graph(inside, fields.rest());
  }
  return has_version && has_graph;
}

/// True if the fields of a message are those of a TensorProto with an element type that is known, and values.
inline bool is_onnx_tensor(const onnx_input& file, const onnx_range& message) {
  // A list may have any number of fields, so not all are looked at.
  constexpr int most_fields = 512;
  onnx_input in = file;
  onnx_fields fields(in, message);
  bool has_type = false, has_values = false;
  int count = 0;
  for (; count < most_fields && fields.next(); ++count) {
    const std::uint32_t number = fields.number();
    const bool is_packed_list = fields.type() == protobuf_type::bytes && number <= 11;
    switch (fields.tag()) {
    case varint_field(2):
      if (fields.value() == 0 || find_onnx_type(static_cast<std::int64_t>(fields.value() & 0xFFFFu)) == nullptr)
        return false;
      has_type = true;
      break;
    case varint_field(1): // an extent of 0 needs no values
      has_values = has_values || fields.value() == 0;
      break;
    case fixed32_field(4):
    case fixed64_field(10):
    case varint_field(5):
    case varint_field(7):
    case varint_field(11):
    case bytes_field(13):
      has_values = true;
      break;
    case bytes_field(1):
    case bytes_field(3):
    case bytes_field(8):
    case bytes_field(12):
    case bytes_field(16):
    case varint_field(14):
      break;
    default:
      if (!is_packed_list || number == 2) return false;
      has_values = true;
    }
  }
  return has_type && has_values && !in.failure();
}

/// True if the fields of a file are those of a SequenceProto of tensors, as far as the first of these.
inline bool is_onnx_sequence(const onnx_input& file) {
  onnx_input in = file;
  onnx_fields fields(in, {0, in.size_bytes()});
  bool has_type = false;
  while (fields.next()) {
    if (fields.tag() == bytes_field(3)) return has_type && is_onnx_tensor(file, fields.payload());
    const bool is_type = fields.tag() == varint_field(2) && fields.value() == 1;
    if (!is_type && fields.tag() != bytes_field(1)) return false;
    has_type = has_type || is_type;
  }
  return false;
}

/// The message that fills a file. Cost: reads a few KiB at most; of a tensor whose values are many fields, the first 512 of them.
inline onnx_kind kind_of_onnx(const onnx_input& file) {
  if (file.size_bytes() == 0) return onnx_kind::none;
  return is_onnx_model(file)                            ? onnx_kind::model
         : is_onnx_tensor(file, {0, file.size_bytes()}) ? onnx_kind::tensor
         : is_onnx_sequence(file)                       ? onnx_kind::sequence
                                                        : onnx_kind::none;
}

/// The files with values of a model, each opened once.
class onnx_files {
public:
  onnx_files(store_builder& into, std::string_view path_utf8, const open_options& options) noexcept
      : into_(into), beside_(path_utf8, options), options_(options) {}

  /// Opens the file that has the values of `of`. @return the number of its part
  /// @retval errc::truncated  it ends before the values; the subject is the tensor
  /// or an error of `open_file_beside`
  result<std::uint32_t> part_of(const onnx_tensor& of) {
    const auto [found, is_new] = parts_.try_emplace(of.location);
    file_facts& file = found->second;
    if (is_new) {
      result<source> opened = open_file_beside(beside_, of.location, options_);
      if (!opened) return opened.error();
      file.part = into_.add_file(of.location, std::move(*opened));
    }
    const std::uint64_t size_bytes = into_.part(file.part).size_bytes();
    if (!range_fits(of.offset_bytes, of.size_bytes, size_bytes))
      return error(errc::truncated, of.name, of.offset_bytes);
    // Most models state the same checksum for all tensors of a file, or none.
    if (of.checksum && (!file.checksum || !(*file.checksum == *of.checksum))) {
      range_check check;
      check.part = file.part;
      check.size_bytes = size_bytes;
      check.sha1 = file.checksum = of.checksum;
      check.name = of.location;
      into_.add_check(std::move(check));
    }
    return file.part;
  }

private:
  struct file_facts {
    std::uint32_t part = 0;
    std::optional<sha1_digest> checksum;
  };
  store_builder& into_;
  model_folder beside_;
  const open_options& options_;
  std::map<std::string, file_facts> parts_;
};

/// Opens the ONNX file that `file` holds. Errors: as `open_onnx` documents them, without the path.
inline result<model> open_onnx_source(source&& file, std::string_view path_utf8, const open_options& options) {
  onnx_input in(file);
  const onnx_kind kind = kind_of_onnx(in);
  if (kind == onnx_kind::none) return errc::unknown_format;
  result<onnx_tensors> found = find_onnx_tensors(in, kind);
  if (!found) return found.error();
  store_builder builder(found->tensors.size(), options.memory);
  // The bytes and the reader of the file, which the input has, stay in their place.
  const std::string_view own_name = path_utf8.empty() ? "onnx" : file_name_in(path_utf8);
  const std::uint32_t own_part = builder.add_file(own_name, std::move(file));
  onnx_files files(builder, path_utf8, options);
  for (onnx_tensor& each : found->tensors) {
    if (each.place != onnx_place::other_file) continue;
    const result<std::uint32_t> part = files.part_of(each);
    if (!part) return part.error();
    each.part = *part;
  }
  for (omitted_item& each : found->omitted) builder.omit(each.name, each.reason);
  for (const onnx_tensor& each : found->tensors) {
    index_row row;
    row.name = each.name;
    row.layout = each.layout;
    row.shape = each.shape;
    row.size_bytes = each.size_bytes;
    row.part = own_part;
    if (each.place == onnx_place::list) {
      result<source> decoded = decode_onnx_values(in, each, options.memory);
      if (!decoded) return decoded.error();
      row.part = builder.add_decoded(std::move(*decoded));
    } else if (each.place == onnx_place::other_file) {
      row.part = each.part;
      row.offset_bytes = each.offset_bytes;
    } else {
      row.offset_bytes = each.values.begin;
    }
    builder.add(row);
  }
  return finish_model(builder, options);
}

/// The same with the path in errors about the whole file.
inline result<model> open_onnx_at(source&& file, std::string_view path_utf8, const open_options& options) {
  result<model> made = open_onnx_source(std::move(file), path_utf8, options);
  if (!made && made.error().subject().empty()) return made.error().about(path_utf8);
  return made;
}

} // namespace detail

/// Opens the ONNX file at `path_utf8`: a model, or a single tensor (`.pb`). The tensors of a sequence (`.pb`) are omitted. The tensors are the initializers of its graph, those of
/// subgraphs, functions and training graphs, and the attributes of nodes; their names are in detail/names.hpp. Sparse tensors are their
/// values and indices. A tensor without a name that is alone in its file is "<unnamed>".
///
/// In place are `raw_data`, and `float_data` and `double_data` in one piece, at any address: where one is not aligned for its
/// type, `get` says errc::misaligned and `copy_to` works. Other lists and strings are decoded. Values in other files (external data)
/// are in place there: the files are parts of the store, and found in the folder of the model alone. A tensor of an element type
/// that a later version of ONNX added is in `model::omitted`. Neither links are followed (`open_options::follow_links`), nor are
/// the values used that ONNX Runtime refers to by an address in memory.
///
/// Errors: those of `stet::open` for paths and options, and
/// @retval errc::unknown_format  the file is neither a model nor a tensor
/// @retval errc::truncated       the file is shorter than its messages; or another file than the tensor, the subject
/// @retval errc::bad_protobuf    a message is malformed, at the offset
/// @retval errc::too_deep        messages are nested deeper than Protocol Buffers allow
/// @retval errc::malformed       a tensor, the subject, has values in two places, or values or a number of another type; or a sparse
///                               tensor lacks its values or indices; or a message that may occur once occurs twice
/// @retval errc::unknown_dtype   a tensor has no element type
/// @retval errc::bad_shape       its shape has a negative extent, overflows, or has more than `max_rank` extents
/// @retval errc::bad_size        its values are fewer or more than the shape has
/// @retval errc::unsupported     it is a segment of a tensor
/// @retval errc::bad_name        an initializer has no name, or a name is longer than `max_name_size_bytes`
/// @retval errc::duplicate_name  two tensors have the same name
/// @retval errc::too_large       the names of nested graphs are more than 64 KiB and 16 times the file
/// @retval errc::bad_path        the path of another file leads out of the folder, or is a link, or the model itself
/// @retval errc::missing_part    another file, the subject, does not exist
/// Cost: one pass over the messages, two over those of nodes; of a file on demand, reads little more than these. Allocates the index
/// and what is decoded from `options.memory`, and a list of the tensors.
/// Source: github.com/onnx/onnx, onnx/onnx.proto and docs/ExternalData.md.
[[nodiscard]] inline result<model> open_onnx(std::string_view path_utf8, const open_options& options = {}) {
  if (auto possible = detail::check_writing(options); !possible) return possible.error().about(path_utf8);
  result<source> file = detail::open_source(path_utf8, options);
  if (!file) return file.error();
  return detail::open_onnx_at(std::move(*file), path_utf8, options);
}
/// Opens an ONNX file in memory, which must outlive the model. Other files are those of `options.files`.
/// Errors: those of the file's content. Cost: as of a path.
[[nodiscard]] inline result<model> open_onnx(std::span<const std::byte> bytes, const open_options& options = {}) {
  return detail::open_onnx_source(source::borrow(bytes), {}, options);
}

} // namespace stet::inline STET_NAMESPACE

#endif
