// SPDX-License-Identifier: MIT
// The one front door: opens a model of any format, which is told by its content and not by its name.
#ifndef STET_FORMATS_ANY_HPP
#define STET_FORMATS_ANY_HPP

#include "native/checkpoint_folder.hpp"
#include "keras/format.hpp"
#include "native/format.hpp"
#include "tensorflow/saved_model.hpp"
#include "tensorflow/format.hpp"
#include "tfjs/format.hpp"

#include <string_view>

namespace stet::inline STET_NAMESPACE {

/// Every format that `open_any` knows, in the order in which they are tried. A format is a header and a line here.
inline constexpr const format* known_formats[] = {
    &native_format,
    &saved_model_format,
    &meta_graph_format,
    &graph_def_format,
    &tensorflow_checkpoint_format,
    &tensorflow_checkpoint_v1_format,
    &tfjs_format,
    &keras_format,
    &keras_h5_format,
    &hdf5_format,
    &checkpoint_folder_format,
};

/// Opens the model at `path_utf8`: a file, a folder, or the prefix that the names of its files have in common.
/// Errors: those of the format's own `open`, those of `file::open`, and
/// @retval errc::unknown_format  the content is of no format that is known
/// Cost: reads up to 8 KiB to find the format, then that of the format.
[[nodiscard]] inline result<model> open_any(std::string_view path_utf8, const open_options& options = {}) {
  const format_probe probe(path_utf8, options);
  for (const format* const each : known_formats) {
    if (!each->recognises(probe)) continue;
    result<model> opened = each->open(path_utf8, options);
    if (opened) opened->format = each;
    return opened;
  }
  if (probe.failure()) return *probe.failure();
  return error(errc::unknown_format, path_utf8);
}

/// What the model at `path_utf8`, which `open_any` opened as `of`, says beside its tensors.
/// Errors: those of the format's reader of graphs and settings.
[[nodiscard]] inline result<model_description> describe_any(std::string_view path_utf8, const model& of) {
  if (of.format == nullptr) return error(errc::invalid_argument, path_utf8);
  return of.format->describe(path_utf8, of);
}

} // namespace stet::inline STET_NAMESPACE

#endif
