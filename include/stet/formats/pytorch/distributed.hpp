// SPDX-License-Identifier: MIT
// Folders of torch.distributed.checkpoint as a format.
#ifndef STET_FORMATS_PYTORCH_DISTRIBUTED_HPP
#define STET_FORMATS_PYTORCH_DISTRIBUTED_HPP

#include "describe.hpp"
#include "detail/distributed.hpp"

#include "../common/model_folder.hpp"
#include "../format.hpp"

#include "../../writer/detail/list_folder.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// The path of the table of a folder, which is given itself or by its table.
inline std::string distributed_metadata_path(std::string_view path, const open_options& options) {
  std::string made(path);
  if (is_folder(path, options)) made.append(separator_after(path)).append(pytorch_metadata_name);
  return made;
}
/// True if the first bytes are those of such a table: a pickle that names the module.
inline bool is_distributed_metadata(std::span<const std::byte> start) noexcept {
  const std::string_view text = text_at(start.data(), start.size());
  return text.starts_with('\x80') && text.find("torch.distributed.checkpoint") != std::string_view::npos;
}

/// A folder with .metadata, or with pieces; or its .metadata.
inline bool is_distributed_pytorch(format_probe& probe) {
  if (!probe.is_folder()) {
    return !probe.failure() && file_name_in(probe.path()) == pytorch_metadata_name &&
           is_distributed_metadata(probe.start());
  }
  const std::string folder = std::string(probe.path()).append(separator_after(probe.path()));
  const std::string path = folder + std::string(pytorch_metadata_name);
  format_probe table(path, probe.options());
  if (!table.failure()) return is_distributed_metadata(table.start());
  const auto pieces = list_folder(probe.options().files, folder,
                                  [](std::string_view name) { return name.ends_with(pytorch_pieces_ending); });
  return pieces && !pieces->empty();
}

/// Reads the table at `path`, whose bytes `bytes` then holds.
inline result<void> read_distributed_table(std::string_view path, const open_options& options, source& bytes,
                                           distributed_table& into) {
  open_options only_read = options;
  only_read.access = access::read_only;
  result<source> opened = open_resident(path, only_read);
  if (!opened) {
    const bool is_missing = opened.error().code() == errc::file_not_found;
    return is_missing ? error(errc::missing_part, path) : opened.error();
  }
  bytes = std::move(*opened);
  if (auto read = into.read(bytes_in(bytes)); !read)
    return read.error().subject().empty() ? read.error().about(path) : read;
  return {};
}

/// `format::open` of pytorch_folder_format.
inline result<model> open_distributed_pytorch_model(format_probe& probe) {
  const open_options& options = probe.options();
  const std::string path = distributed_metadata_path(probe.path(), options);
  source bytes;
  distributed_table table(options.memory);
  if (auto read = read_distributed_table(path, options, bytes, table); !read) return read.error();
  store_builder builder(options.memory);
  distributed_files files;
  if (auto opened = files.open(table, model_folder(path, options), options, &builder); !opened) return opened.error();
  if (auto added = distributed_importer(builder, table, files, options).run(); !added) return added.error();
  return finish_model(builder, options);
}

/// Adds `value` at the path that the planner has for `name`: a tuple of keys and positions.
inline void add_distributed_value(json_value& state, const distributed_table& table, std::string_view name,
                                  json_value&& value) {
  const pickle& of = table.values();
  const pytorch_values values(of);
  const pickle_ref path = find_in_dict(values, table.paths(), name);
  json_value* at = &state;
  if (path != no_pickle_value && of[path].kind == pickle_kind::tuple && of[path].count <= max_pytorch_depth) {
    for (std::size_t i = 0; i < of[path].count; ++i) {
      std::string key;
      append_pytorch_key(key, of, of.element(of[path], i), i);
      if (!is_utf8(key) || (!at->is_null() && !at->is_object())) return;
      at = &(*at)[key];
    }
  } else if (is_utf8(name)) {
    at = &(*at)[std::string(name)];
  }
  *at = std::move(value);
}

/// `format::describe` of pytorch_folder_format. The values that are no tensors are the state, as those of a file, at the places that
/// they had in the object: lists are objects by position. A value that cannot be read is left out.
/// Cost: reads the table, and the pickle of each value.
inline result<model_description> describe_distributed_pytorch(const model& of) {
  model_description made;
  const std::string path = distributed_metadata_path(of.path, of.options);
  open_options options = of.options;
  options.access = access::read_only;
  source bytes;
  distributed_table table(options.memory);
  const auto changed = [](const error& failure) {
    return failure.category() > error_category::system ? error(errc::malformed, pytorch_metadata_name) : failure;
  };
  if (auto read = read_distributed_table(path, options, bytes, table); !read) return changed(read.error());
  distributed_files files;
  if (auto opened = files.open(table, model_folder(path, options), options, nullptr); !opened)
    return changed(opened.error());
  for (const distributed_table::item& each : table.items()) {
    const distributed_piece* const piece = each.is_tensor ? nullptr : table.find(each.name, {});
    if (piece == nullptr) continue;
    const auto archive = files.bytes(*piece);
    if (!archive) continue;
    pytorch_content content(options.memory);
    if (!pytorch_content_reader(content, *archive, 0, 0, options).run() || content.is_export()) continue;
    result<json_value> value = pytorch_state(content).value();
    if (value) add_distributed_value(made.state, table, each.name, std::move(*value));
  }
  return made;
}

} // namespace detail

/// A folder of torch.distributed.checkpoint (`.metadata` and `*.distcp`), also given by its `.metadata`. Tensors have the names of the
/// flattened state. One that is a single contiguous piece is in place, at any offset: `get` may be errc::misaligned, and `copy_to`
/// works. Others are gathered from their pieces when they are read. Files that the table does not name are passed over.
///
/// A tensor whose file is missing, shorter than the table says, or damaged is listed, and reading it is errc::missing_part,
/// errc::truncated or the error of the piece; pieces that leave gaps, overlap or are not what the table says are errc::bad_slice.
/// Opening fails with
/// @retval errc::missing_part  there is no .metadata, the subject
/// @retval errc::malformed     it is no table; or it names a function that runs code, the subject
/// @retval errc::bad_path      a file, the subject, is not a plain name, or a link (`open_options::follow_links`)
/// @retval errc::bad_shape     the shape of a tensor, the subject, is invalid
/// @retval errc::overlap       the pieces of a file, the subject, are together longer than it
/// or an error of the pickle (wire/pickle.hpp). Cost: reads the table, and the pickle of each piece.
inline constexpr format pytorch_folder_format{"pytorch", "folders of torch.distributed.checkpoint",
                                              detail::is_distributed_pytorch, detail::open_distributed_pytorch_model,
                                              detail::describe_distributed_pytorch};

} // namespace stet::inline STET_NAMESPACE

#endif
