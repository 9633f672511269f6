// SPDX-License-Identifier: MIT
// TensorFlow.js models as a format: layers models, graph models, and bare manifests of weights.
#ifndef STET_FORMATS_TFJS_FORMAT_HPP
#define STET_FORMATS_TFJS_FORMAT_HPP

#include "describe.hpp"
#include "open.hpp"
#include "save.hpp"

#include <string>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// Whether a file is JSON that says near its beginning or end that it is such a model: the topology may be
/// longer than what is looked at.
inline bool is_tfjs_json(const format_probe& probe) {
  if (!probe.starts_like_json()) return false;
  for (const std::span<const std::byte> sample : {probe.start(), probe.end()}) {
    const std::string_view text(reinterpret_cast<const char*>(sample.data()), sample.size());
    const auto says = [text](std::string_view key) { return text.find(key) != std::string_view::npos; };
    if (says("\"weightsManifest\"") || says("\"modelTopology\"") ||
        (says("\"weights\"") && says("\"shape\"") && says("\"dtype\"")) || (says("\"paths\"") && says("\"weights\"")))
      return true;
  }
  return false;
}

inline bool is_tfjs(format_probe& probe) {
  if (!probe.is_folder()) return is_tfjs_json(probe);
  const std::string path = tfjs_json_path(probe.path(), true);
  return is_tfjs_json(format_probe(path, probe.options()));
}

template <bool WeightsOnly>
result<saved_files> save_for_tfjs(std::string_view path_utf8, const writer& from, const save_any_options& options) {
  tfjs_save_options how;
  how.weights_only = WeightsOnly;
  how.is_durable = options.is_durable;
  how.operations = options.operations;
  if (options.max_shard_size_bytes != 0) how.shard_size_bytes = options.max_shard_size_bytes;
  const result<tfjs_save_report> saved = save_tfjs(path_utf8, from, how);
  if (!saved) return saved.error();
  return saved_files{saved->file_size_bytes, saved->shard_count + std::uint64_t{1}, 0};
}

} // namespace detail

/// A model of TensorFlow.js: model.json, the folder it is in, or weights_manifest.json. Weights lie where the
/// files beside it have them; those that are cut over files, and strings, are brought together when they are
/// read. Quantized ones are listed as the codes that are stored, and describe says what these stand for
/// (`quantization`, manifest/quantization.hpp).
///
/// Opening fails with those of file::open, and
/// @retval errc::bad_json … bad_number, wrong_type, missing_field  model.json is not what tfjs/model_json.hpp says
/// @retval errc::unknown_dtype, bad_shape, bad_quantization, bad_name, duplicate_name  a weight, the subject, is not
/// @retval errc::bad_path, duplicate_part, missing_part  a file, the subject, lies elsewhere, is listed twice, or is
///                                not there
/// @retval errc::truncated        the files of a group are too short for a weight, the subject
/// @retval errc::trailing_bytes   they are longer than all weights of the group; the last file is the subject
/// @retval errc::bad_string_table a string of a weight, the subject, reaches beyond its group
inline constexpr format tfjs_format{"tfjs",
                                    "TensorFlow.js layers models and graph models: model.json, or its folder",
                                    detail::is_tfjs,
                                    detail::open_tfjs,
                                    detail::describe_tfjs,
                                    "tfjs",
                                    "model.json",
                                    detail::save_for_tfjs<false>,
                                    save_choice::shards};

/// The same without its layers or graph: weights alone, for tf.io.decodeWeights.
inline constexpr format tfjs_weights_format{"tfjs-weights",
                                            "the same without the layers: weights alone",
                                            nullptr,
                                            nullptr,
                                            nullptr,
                                            "tfjs-weights",
                                            {},
                                            detail::save_for_tfjs<true>,
                                            save_choice::shards};

} // namespace stet::inline STET_NAMESPACE

#endif
