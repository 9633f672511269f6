// SPDX-License-Identifier: MIT
// Opens HDF5 files, .keras files and sharded weights of Keras where their tensors lie.
#ifndef STET_FORMATS_KERAS_OPEN_HPP
#define STET_FORMATS_KERAS_OPEN_HPP

#include "archive.hpp"
#include "names.hpp"

#include "../hdf5/import.hpp"
#include "../model.hpp"
#include "../store_builder.hpp"

#include "../../manifest/open.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline v0_1::detail {

/// A file in memory: mapped, unless `options` ask for reading. Structures are looked at all over it, so that
/// nothing is on demand.
inline result<source> open_resident(std::string_view path_utf8, const open_options& options) {
  return options.backing == backing::map ? source::map(path_utf8, {}, options.access)
                                         : source::read(path_utf8);
}

inline std::string_view file_name_in(std::string_view path_utf8) noexcept {
  return path_utf8.substr(path_utf8.find_last_of("/\\") + 1); // npos + 1 is 0
}

/// Whether the root of a file is that of weights of Keras.
inline result<bool> is_keras_hdf5(hdf5_file& file) {
  const auto root = hdf5_object::read(file, file.root());
  if (!root)
    return root.error();
  const auto attributes = read_attributes(file, *root);
  if (!attributes)
    return attributes.error();
  for (const hdf5_attribute& each : *attributes) {
    if (each.name == "keras_version" || each.name == "model_config")
      return true;
  }
  const auto links = read_links(file, *root);
  if (!links)
    return links.error();
  constexpr std::string_view groups[] = {"layers", "_layer_checkpoint_dependencies", "model_weights", "vars"};
  return std::any_of(links->begin(), links->end(), [&](const hdf5_link& link) {
    return std::find(std::begin(groups), std::end(groups), link.name) != std::end(groups);
  });
}

/// Adds the tensors of one file, and if it is of Keras, afterwards, their second names.
class hdf5_model_builder {
 public:
  hdf5_model_builder(store_builder& into, inflate_function inflate) noexcept
      : into_(into), inflate_(inflate) {}

  /// @param bytes   the file, or the member of an archive, in memory
  /// @param part    the part of the store that has these bytes, from `offset` on
  result<void> add(std::span<const std::byte> bytes, std::uint32_t part, std::uint64_t offset,
                   bool is_keras) {
    result<hdf5_file> file = hdf5_file::open(bytes);
    if (!file)
      return file.error();
    if (!is_keras) {
      const result<bool> found = is_keras_hdf5(*file);
      if (!found)
        return found.error();
      is_keras = *found;
    }
    hdf5_importer importer(into_, *file, part, offset,
                           is_keras ? hdf5_strictness::strict : hdf5_strictness::lenient, inflate_);
    if (auto read = importer.run(); !read)
      return read;
    for (const hdf5_tensor& each : importer.tensors())
      taken_.insert(each.path);
    return is_keras ? keras_names(into_, *file, importer.tensors(), taken_).run() : result<void>();
  }

 private:
  store_builder& into_;
  inflate_function inflate_;
  std::set<std::string> taken_;
};

/// `format::open` of hdf5_format.
inline result<model> open_hdf5(std::string_view path_utf8, const open_options& options) {
  result<source> opened = open_resident(path_utf8, options);
  if (!opened)
    return opened.error();
  const std::span<const std::byte> bytes = bytes_in(*opened);
  store_builder builder;
  const std::uint32_t part = builder.add_file(file_name_in(path_utf8), std::move(*opened));
  if (auto added = hdf5_model_builder(builder, options.inflate).add(bytes, part, 0, false); !added)
    return added.error();
  return finish_model(builder);
}

/// Opens the weights of the archive at a path.
inline result<model> open_keras_archive(std::string_view path_utf8, const open_options& options) {
  result<source> opened = open_resident(path_utf8, options);
  if (!opened)
    return opened.error();
  const std::span<const std::byte> archive = bytes_in(*opened);
  const auto members = read_zip(archive);
  if (!members)
    return members.error();
  const zip_member* const weights = find_member(*members, keras_weights_member);
  if (weights == nullptr)
    return error(errc::missing_part, keras_weights_member);
  result<source> bytes = open_member(archive, *weights, options.inflate);
  if (!bytes)
    return bytes.error();
  store_builder builder;
  std::uint32_t part = builder.add_file(file_name_in(path_utf8), std::move(*opened));
  const std::span<const std::byte> structure = bytes_in(*bytes);
  std::uint64_t offset = weights->offset_bytes;
  if (weights->method != zip_member::is_stored) {
    part = builder.add_decoded(std::move(*bytes));
    offset = 0;
  }
  if (auto added = hdf5_model_builder(builder, options.inflate).add(structure, part, offset, true); !added)
    return added.error();
  return finish_model(builder);
}

/// Reads the index of a sharded model.
inline result<json_value> read_keras_index(std::string_view path_utf8, const manifest_limits& limits = {}) {
  const result<file> opened = file::open(path_utf8);
  if (!opened)
    return opened.error();
  if (opened->size_bytes() > limits.size_bytes)
    return error(errc::too_large, path_utf8, limits.size_bytes);
  const result<source> text = source::read(*opened);
  if (!text)
    return text.error().about(path_utf8);
  return parse_json(
      {reinterpret_cast<const char*>(text->data()), static_cast<std::size_t>(text->size_bytes())}, limits);
}

/// Opens the shards that the index at a path names; they lie beside it.
inline result<model> open_keras_shards(std::string_view path_utf8, const open_options& options) {
  const auto index = read_keras_index(path_utf8);
  if (!index)
    return index.error();
  const auto names = read_keras_shards(*index);
  if (!names)
    return names.error();
  open_options resident = options;
  if (resident.backing == backing::stream)
    resident.backing = backing::read;
  const std::string path(path_utf8);
  const parts_beside beside(path, resident);
  store_builder builder;
  for (const std::string& name : *names) {
    result<source> opened = is_part_name(name) ? beside.open_part(name) : result<source>(errc::bad_path);
    if (!opened)
      return error(opened.error().code() == errc::file_not_found ? errc::missing_part : opened.error().code(),
                   name);
    builder.add_file(name, std::move(*opened));
  }
  hdf5_model_builder all(builder, options.inflate);
  for (std::uint32_t part = 0; part < names->size(); ++part) {
    if (auto added = all.add(bytes_in(builder.part(part)), part, 0, true); !added) {
      return added.error().subject().empty() ? added.error().about((*names)[part]) : added.error();
    }
  }
  return finish_model(builder);
}

/// `format::open` of keras_format.
inline result<model> open_keras(std::string_view path_utf8, const open_options& options) {
  result<model> made = is_zip(format_probe(path_utf8).start()) ? open_keras_archive(path_utf8, options)
                                                               : open_keras_shards(path_utf8, options);
  if (made)
    made->inflate = options.inflate;
  return made;
}

} // namespace stet::inline v0_1::detail

#endif
