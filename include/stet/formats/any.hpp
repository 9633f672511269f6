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
/// Cost: opens the file once. To find the format, reads its first and last 4 KiB, and what no format is recognised by less than:
/// all bytes of an archive, of HDF5, and of what begins as a graph of TensorFlow does; each at most once, and the format goes on
/// with what was read. Mapped (the default), of these only the pages that are looked at.
[[nodiscard]] inline result<model> open_any(std::string_view path_utf8, const open_options& options = {}) {
  format_probe probe(path_utf8, options);
  for (const format* const each : known_formats) {
    if (each->recognises(probe)) return open_as(*each, probe);
  }
  if (probe.failure()) return *probe.failure();
  return error(errc::unknown_format, path_utf8);
}

} // namespace stet::inline STET_NAMESPACE

#endif
