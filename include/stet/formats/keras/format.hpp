// SPDX-License-Identifier: MIT
// Models of Keras as formats: .keras files, sharded weights by their index, and HDF5 files.
#ifndef STET_FORMATS_KERAS_FORMAT_HPP
#define STET_FORMATS_KERAS_FORMAT_HPP

#include "describe.hpp"
#include "open.hpp"

#include "../hdf5/format.hpp"

#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// Whether the archive has weights of Keras, wherever its directory lists them. Cost: reads the directory.
inline bool has_keras_weights(const format_probe& probe) {
  open_options options = probe.options();
  options.backing = backing::map;
  const result<source> file = open_resident(probe.path(), options);
  if (!file) return false;
  const auto members = read_zip(bytes_in(*file));
  return members && find_member(*members, keras_weights_member) != nullptr;
}

/// An archive of which a member near its beginning or end is called as those of Keras are, or JSON that maps
/// groups to files of weights.
inline bool is_keras(const format_probe& probe) {
  const auto says = [](std::span<const std::byte> sample, std::string_view key) {
    return std::string_view(reinterpret_cast<const char*>(sample.data()), sample.size()).find(key) !=
           std::string_view::npos;
  };
  if (is_zip(probe.start())) {
    return says(probe.end(), keras_weights_member) || says(probe.start(), keras_weights_member) ||
           (says(probe.start(), keras_metadata_member) && says(probe.start(), keras_config_member)) ||
           has_keras_weights(probe);
  }
  return probe.starts_like_json() && says(probe.start(), "\"weight_map\"") && says(probe.start(), ".weights.h5\"");
}

/// An HDF5 file with weights of Keras. Cost: reads the root of the file.
inline bool is_keras_h5(const format_probe& probe) {
  if (!is_hdf5(probe)) return false;
  open_options options = probe.options();
  options.backing = backing::map;
  const result<source> file = open_resident(probe.path(), options);
  return file && may_be_keras_hdf5(bytes_in(*file), options.inflate);
}

} // namespace detail

/// A .keras file of Keras 3 or 2.15, or NAME.weights.json with its shards NAME_00000.weights.h5 … beside it.
/// Tensors are as those of hdf5_format, at their places in the archive; where the weights are deflated, they
/// are decompressed when the file is opened. Assets are passed over. `describe` tells the graph of
/// config.json and the optimizer's state.
///
/// Structures are all over the weights, so that they are in memory as a whole: mapped, or read where
/// `open_options::backing` is not map. Tensors are not on demand.
///
/// Opening fails as hdf5_format's does, and with
/// @retval errc::bad_archive, bad_path, unsupported  the archive: those of read_zip (wire/zip.hpp); a
///                                deflated member that does not become what the archive says is bad_archive,
///                                too
/// @retval errc::missing_part     there is no model.weights.h5 in it (weights in NumPy's format are not
///                                read), or a shard, the subject, is not there
/// @retval errc::part_mismatch    a shard has nothing of a group, the subject, that the index says it has
/// @retval errc::compressed       the weights are deflated, and `open_options::inflate` is nullptr; or they
///                                are compressed in another way
/// @retval errc::bad_compression  they are deflated wrongly
/// @retval errc::bad_json … wrong_type, bad_path  the index of shards is not what Keras writes, or leads
///                                elsewhere
inline constexpr format keras_format{"keras-v3", detail::is_keras, detail::open_keras, detail::describe_keras};

/// An HDF5 file of Keras: .weights.h5, or .h5 as Keras 1 and 2 wrote. Tensors are as those of hdf5_format, and the variables of
/// layers have second names (keras/detail/names.hpp). `describe` tells the graph, the optimizer's state and the versions.
/// Opening fails as hdf5_format's does, and with
/// @retval errc::unsupported  a soft or external link, or data outside the file, which Keras refuses, too
/// @retval errc::too_large    second names take far more memory than the file
inline constexpr format keras_h5_format{"hdf5", detail::is_keras_h5, detail::open_keras_h5, detail::describe_keras_h5};

} // namespace stet::inline STET_NAMESPACE

#endif
