// SPDX-License-Identifier: MIT
// Opens HDF5 files, .keras files and sharded weights of Keras, with their tensors in place.
#ifndef STET_FORMATS_KERAS_OPEN_HPP
#define STET_FORMATS_KERAS_OPEN_HPP

#include "detail/archive.hpp"
#include "detail/names.hpp"

#include "../hdf5/open.hpp"
#include "../format.hpp"
#include "../common/model_folder.hpp"
#include "../common/store_builder.hpp"

#include "../../manifest/open.hpp"
#include "../../source/detail/path.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Whether the root of a file is that of weights of Keras. Errors: those of its attributes and links.
inline result<bool> is_keras_hdf5(hdf5_file& file) {
  const auto root = hdf5_object::read(file, file.root());
  if (!root) return root.error();
  const auto attributes = read_attributes(file, *root);
  if (!attributes) return attributes.error();
  const auto links = read_links(file, *root);
  if (!links) return links.error();
  const auto is_link = [&](std::string_view name) {
    return std::any_of(links->begin(), links->end(), [&](const hdf5_link& each) { return each.name == name; });
  };
  for (const hdf5_attribute& each : *attributes) {
    if (each.name == "keras_version" || each.name == "model_config") return true;
    if (each.name != "layer_names") continue;
    const auto layers = read_strings(file, each);
    if (!layers) return layers.error();
    const auto is_group = [&](std::string_view name) { return is_link(name.substr(0, name.find('/'))); };
    if (!layers->empty() && std::all_of(layers->begin(), layers->end(), is_group)) return true;
  }
  constexpr std::string_view groups[] = {"layers", "_layer_checkpoint_dependencies", "model_weights", "vars"};
  return std::any_of(std::begin(groups), std::end(groups), is_link);
}

/// Builds the model of the HDF5 files of Keras that its tensors are in.
class keras_model_builder {
public:
  keras_model_builder(store_builder& into, const open_options& options) noexcept : into_(into), options_(options) {}

  /// Adds the tensors of a file.
  /// @param bytes   the file, or the member of an archive, in memory
  /// @param part    the part of the store that has these bytes, from `offset` on
  /// @return their paths, in order
  result<std::span<const hdf5_tensor>> add(std::span<const std::byte> bytes, std::uint32_t part, std::uint64_t offset) {
    result<hdf5_file> file = open_hdf5_file(bytes, options_.inflate);
    if (!file) return file.error();
    hdf5_importer importer(into_, *file, part, offset, hdf5_strictness::strict, options_.inflate);
    if (auto read = importer.run(); !read) return read.error();
    const std::size_t before = tensors_.size();
    std::vector<hdf5_tensor> added = importer.take_tensors();
    tensors_.insert(tensors_.end(), std::make_move_iterator(added.begin()), std::make_move_iterator(added.end()));
    if (auto read = names_.read(*file); !read) return read.error();
    return std::span<const hdf5_tensor>(tensors_).subspan(before);
  }

  [[nodiscard]] keras_names& names() noexcept { return names_; }

  /// The model, with the second names that files of Keras give their tensors.
  result<model> finish() {
    if (auto named = names_.add(into_, tensors_); !named) return named.error();
    return finish_model(into_, options_);
  }

private:
  store_builder& into_;
  const open_options& options_;
  std::vector<hdf5_tensor> tensors_;
  keras_names names_;
};

/// Whether the bytes of an HDF5 file are weights of Keras. Where that cannot be read they count as such: opening them says why.
inline bool may_be_keras_hdf5(std::span<const std::byte> bytes, inflate_function inflate) {
  result<hdf5_file> file = open_hdf5_file(bytes, inflate);
  if (!file) return false;
  const result<bool> is_keras = is_keras_hdf5(*file);
  return !is_keras || *is_keras;
}

/// `format::open` of keras_h5_format.
inline result<model> open_keras_h5(format_probe& probe) {
  const open_options& options = probe.options();
  store_builder builder(options.memory);
  const result<added_file> file = add_whole_file(builder, probe);
  if (!file) return file.error();
  keras_model_builder whole(builder, options);
  if (auto added = whole.add(file->bytes, file->part, 0); !added) return added.error();
  return whole.finish();
}

/// Opens the weights in an archive. Keras stores them at any offset. With `backing::read` they are copied to an aligned place if
/// that offset does not suit elements; the copy takes as much memory as the member, in addition to the archive.
inline result<model> open_keras_archive(format_probe& probe) {
  const open_options& options = probe.options();
  const result<std::vector<zip_member>>& members = probe.zip();
  if (!members) return members.error();
  const zip_member* const weights = find_member(*members, keras_weights_member);
  if (weights == nullptr) return error(errc::missing_part, keras_weights_member);
  store_builder builder(options.memory);
  const result<added_file> file = add_whole_file(builder, probe);
  if (!file) return file.error();
  result<source> bytes = open_member(file->bytes, *weights, options.inflate, options.memory);
  if (!bytes) return bytes.error();
  std::uint32_t part = file->part;
  for (const zip_member& each : *members) {
    range_check check{part, each.offset_bytes, each.stored_size_bytes, each.crc32, std::string(each.name)};
    if (each.method == zip_member::is_deflated && options.inflate != nullptr && &each != weights) // which were compared
      check.inflated_size_bytes = each.size_bytes;
    if (each.method == zip_member::is_stored || check.inflated_size_bytes) builder.add_check(std::move(check));
  }
  std::uint64_t offset = weights->offset_bytes;
  const bool is_decompressed = weights->method != zip_member::is_stored;
  const bool is_moved = !is_decompressed && options.backing == backing::read && offset % alignof(std::max_align_t) != 0;
  if (is_moved) bytes = source::copy(bytes_in(*bytes), options.memory);
  if (!bytes) return bytes.error();
  const std::span<const std::byte> structure = bytes_in(*bytes);
  if (is_decompressed || is_moved) {
    part = builder.add_decoded(std::move(*bytes));
    offset = 0;
  }
  keras_model_builder whole(builder, options);
  if (auto added = whole.add(structure, part, offset); !added)
    return added.error().subject().empty() ? added.error().about(keras_weights_member) : added.error();
  if (const zip_member* const text = find_member(*members, keras_config_member);
      text != nullptr && whole.names().has_objects()) {
    // That it cannot be read, `describe` says; the weights can.
    if (const auto config =
            read_json_member(file->bytes, *members, keras_config_member, options.inflate, options.memory))
      whole.names().read_config(*config, text->size_bytes);
  }
  return whole.finish();
}

/// Parses the index of a sharded model.
inline result<json_value> parse_keras_index(std::span<const std::byte> text, std::string_view path_utf8) {
  result<json_value> parsed = parse_json({reinterpret_cast<const char*>(text.data()), text.size()});
  return parsed || !parsed.error().subject().empty() ? std::move(parsed)
                                                     : result<json_value>(parsed.error().about(path_utf8));
}

/// Opens the shards that an index names; they lie beside it.
inline result<model> open_keras_shards(format_probe& probe) {
  const open_options& options = probe.options();
  const auto text = probe.bytes();
  if (!text) return text.error();
  const auto index = parse_keras_index(*text, probe.path());
  if (!index) return index.error();
  const auto shards = read_keras_shards(*index);
  if (!shards) return shards.error();
  open_options resident = options;
  if (resident.backing == backing::stream) resident.backing = backing::read;
  const model_folder beside(probe.path(), resident);
  store_builder builder(options.memory);
  for (const auto& [name, groups] : *shards) {
    result<source> opened = is_part_name(name) ? beside.open_part(name) : result<source>(errc::bad_path);
    // What the program's file system gives may be on demand; nothing is here.
    if (opened) opened = source::resident(std::move(*opened), options.memory);
    if (!opened) {
      return opened.error().code() == errc::file_not_found ? error(errc::missing_part, name)
                                                           : opened.error().about(name);
    }
    builder.add_file(name, std::move(*opened));
  }
  keras_model_builder whole(builder, options);
  std::uint32_t part = 0;
  for (const auto& [name, groups] : *shards) {
    const auto added = whole.add(bytes_in(builder.part(part)), part, 0);
    if (!added) return added.error().subject().empty() ? added.error().about(name) : added.error();
    std::set<std::string_view> has;
    for (const hdf5_tensor& each : *added) has.insert(std::string_view(each.path).substr(0, each.path.rfind('/')));
    for (const std::string& group : groups) {
      if (has.count(group) == 0) return error(errc::part_mismatch, group);
    }
    ++part;
  }
  return whole.finish();
}

/// `format::open` of keras_format.
inline result<model> open_keras(format_probe& probe) {
  if (probe.failure()) return *probe.failure();
  return is_zip(probe.start()) ? open_keras_archive(probe) : open_keras_shards(probe);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
