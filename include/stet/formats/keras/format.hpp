// SPDX-License-Identifier: MIT
// Models of Keras as formats: .keras files, sharded weights by their index, and HDF5 files.
#ifndef STET_FORMATS_KERAS_FORMAT_HPP
#define STET_FORMATS_KERAS_FORMAT_HPP

#include "describe.hpp"
#include "open.hpp"
#include "save.hpp"

#include "../hdf5/format.hpp"

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// An archive that has the weights of Keras, or its configuration and metadata, by its directory. One that is damaged counts, too,
/// if its first member is called as those of Keras are: opening it says what is wrong.
inline bool is_keras_archive(format_probe& probe) {
  const auto& members = probe.zip();
  if (members) {
    const auto has = [&](std::string_view name) { return find_member(*members, name) != nullptr; };
    return has(keras_weights_member) || (has(keras_metadata_member) && has(keras_config_member));
  }
  constexpr std::size_t name_at = 30; // in the header of a member (wire/zip.hpp)
  std::string_view first(reinterpret_cast<const char*>(probe.start().data()), probe.start().size());
  first.remove_prefix((std::min)(name_at, first.size()));
  return first.starts_with(keras_weights_member) || first.starts_with(keras_metadata_member) ||
         first.starts_with(keras_config_member);
}

/// A .keras file, or JSON that maps groups to files of weights.
inline bool is_keras(format_probe& probe) {
  if (is_zip(probe.start())) return is_keras_archive(probe);
  const std::string_view text(reinterpret_cast<const char*>(probe.start().data()), probe.start().size());
  const auto says = [text](std::string_view key) { return text.find(key) != std::string_view::npos; };
  return probe.starts_like_json() && says("\"weight_map\"") && says(".weights.h5\"");
}

/// An HDF5 file with weights of Keras. Cost: reads the root of the file, for which all of it has to be in memory.
inline bool is_keras_h5(format_probe& probe) {
  if (!is_hdf5(probe)) return false;
  const auto bytes = probe.bytes();
  return bytes && may_be_keras_hdf5(*bytes, probe.options().inflate);
}

/// With the state of the optimizer, unless the form has no place for it.
template <keras_form Form>
result<saved_files> save_for_keras(std::string_view path_utf8, const writer& from, const save_any_options& options) {
  keras_save_options how;
  how.form = Form;
  how.save_optimizer = true;
  how.is_durable = options.is_durable;
  how.operations = options.operations;
  result<keras_save_report> saved = save_keras(path_utf8, from, how);
  const bool may_be_for_optimizer =
      !saved && (saved.error().code() == errc::not_convertible || saved.error().code() == errc::not_expressible);
  if (may_be_for_optimizer) {
    how.save_optimizer = false;
    saved = save_keras(path_utf8, from, how);
  }
  if (!saved) return saved.error();
  return saved_files{saved->file_size_bytes, 1, saved->left_out_count};
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
/// Keras stores the weights at any offset. With `backing::read` they are copied to an aligned place if that does not suit elements, which
/// takes as much memory again; of a mapped file `get` may be errc::misaligned, and `copy_to` or `bind_model` with `copy_into` serve.
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
inline constexpr format keras_format{"keras-v3",
                                     "Keras 3 models: .keras, and weights in shards by their .weights.json",
                                     detail::is_keras,
                                     detail::open_keras,
                                     detail::describe_keras,
                                     "keras",
                                     ".keras",
                                     detail::save_for_keras<keras_form::keras>,
                                     save_choice::none,
                                     weight_replacement::in_place};

/// What keras_h5_format opens, saved as weights alone.
inline constexpr format keras_weights_format{
    "keras-weights", "Keras 3 weights alone", nullptr,       nullptr,
    nullptr,         "keras-weights",         ".weights.h5", detail::save_for_keras<keras_form::weights>};

/// An HDF5 file of Keras: .weights.h5, or .h5 as Keras 1 and 2 wrote. Tensors are as those of hdf5_format, and the variables of
/// layers have second names (keras/detail/names.hpp). `describe` tells the graph, the optimizer's state and the versions.
/// Opening fails as hdf5_format's does, and with
/// @retval errc::unsupported  a soft or external link, or data outside the file, which Keras refuses, too
/// @retval errc::too_large    second names take far more memory than the file
inline constexpr format keras_h5_format{
    "hdf5",
    "HDF5 files of Keras: weights, and models of Keras 1 and 2, as which they are saved",
    detail::is_keras_h5,
    detail::open_keras_h5,
    detail::describe_keras_h5,
    "keras-legacy",
    ".h5",
    detail::save_for_keras<keras_form::legacy>,
    save_choice::none,
    weight_replacement::in_place};

} // namespace stet::inline STET_NAMESPACE

#endif
