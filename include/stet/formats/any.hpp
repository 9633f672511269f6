// SPDX-License-Identifier: MIT
// The table of formats. Opens a model of any of them, told by its content; saves in one that is chosen by name or ending.
#ifndef STET_FORMATS_ANY_HPP
#define STET_FORMATS_ANY_HPP

#include "common/known_content.hpp"
#include "native/checkpoint_folder.hpp"
#include "executorch/format.hpp"
#include "gguf/format.hpp"
#include "keras/format.hpp"
#include "native/format.hpp"
#include "numpy/format.hpp"
#include "onnx/format.hpp"
#include "pytorch/format.hpp"
#include "safetensors/format.hpp"
#include "tensorflow/saved_model.hpp"
#include "tensorflow/format.hpp"
#include "tfjs/format.hpp"
#include "tflite/format.hpp"

#include "../store/bind.hpp"

#include <string>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

/// Every format, in the order in which `open_any` tries them. A format is a folder and a line here.
inline constexpr const format* known_formats[] = {
    &native_format,
    &safetensors_format,
    &npy_format,
    &saved_model_format,
    &gguf_format,
    &tflite_format,
    &executorch_format,
    &meta_graph_format,
    &graph_def_format,
    &onnx_format,
    &tensorflow_checkpoint_format,
    &tensorflow_objects_format,
    &tensorflow_checkpoint_v1_format,
    &tfjs_format,
    &tfjs_weights_format,
    &pytorch_format,
    &keras_format,
    &keras_weights_format,
    &npz_format,
    &tflite_bundle_format,
    &keras_h5_format,
    &hdf5_format,
    &checkpoint_folder_format,
    &safetensors_folder_format,
};

/// Opens the model at `path_utf8`: a file, a folder, or the prefix that the names of its files have in common.
/// Errors: those of the format's own `open`, those of `file::open`, and
/// @retval errc::unknown_format  the content is of no format that is known; where it is something else that is known, such as a pointer
///                               of git-LFS, the subject says so
/// Cost: opens the file once. To find the format, reads its first and last 4 KiB, and what no format is recognised by less than:
/// all bytes of an archive, of HDF5, and of what begins as a graph of TensorFlow does; each at most once, and the format goes on
/// with what was read. Mapped (the default), of these only the pages that are looked at.
[[nodiscard]] inline result<model> open_any(std::string_view path_utf8, const open_options& options = {}) {
  format_probe probe(path_utf8, options);
  for (const format* const each : known_formats) {
    if (each->recognises != nullptr && each->recognises(probe)) return open_as(*each, probe);
  }
  if (probe.failure()) return *probe.failure();
  if (const detail::known_content* const found = detail::find_known_content(probe))
    return error(errc::unknown_format, found->what);
  return error(errc::unknown_format, path_utf8);
}

/// The names of the formats that are opened, each once, for messages: "stet, safetensors, tf-savedmodel, …".
[[nodiscard]] inline std::string names_of_known_formats() {
  std::string names;
  const auto is_listed = [](const format* of) { // by a row before
    for (const format* const each : known_formats) {
      if (each == of) return false;
      if (each->recognises != nullptr && each->name == of->name) return true;
    }
    return false;
  };
  for (const format* const each : known_formats) {
    if (each->recognises == nullptr || is_listed(each)) continue;
    if (!names.empty()) names.append(", ");
    names.append(each->name);
  }
  return names;
}

/// The format that a model is saved in at `path_utf8`; nullptr if there is none.
/// @param saved_as  its name (`format::saved_as`); empty: the longest ending that the path has tells it
[[nodiscard]] inline const format* find_format_to_save(std::string_view path_utf8,
                                                       std::string_view saved_as = {}) noexcept {
  const format* found = nullptr;
  for (const format* const each : known_formats) {
    if (each->save == nullptr) continue;
    if (!saved_as.empty()) {
      if (each->saved_as == saved_as) return each;
    } else if (!each->ending.empty() && path_utf8.ends_with(each->ending) &&
               (found == nullptr || each->ending.size() > found->ending.size())) {
      found = each;
    }
  }
  return found;
}

/// Saves what was added to `from` at `path_utf8`, in the format that `options.format` names, or else the path's ending:
/// .stet, .safetensors, .safetensors.index.json, .npy, .npz, .gguf, model.json, .keras, .weights.h5, .h5. A program saves what it
/// trained; `add_model` adds what was opened.
/// Errors: those of the format's own saver, and
/// @retval errc::unknown_format  no format has this name, the subject, or the path no ending of one
/// Cost: that of the format's own saver.
inline result<saved_files> save_any(std::string_view path_utf8, const writer& from,
                                    const save_any_options& options = {}) {
  const format* const as = find_format_to_save(path_utf8, options.format);
  if (as == nullptr) return error(errc::unknown_format, options.format.empty() ? path_utf8 : options.format);
  return save_as(*as, path_utf8, from, options);
}

} // namespace stet::inline STET_NAMESPACE

#endif
