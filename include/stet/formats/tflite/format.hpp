// SPDX-License-Identifier: MIT
// TFLite models, and bundles of them, as formats.
#ifndef STET_FORMATS_TFLITE_FORMAT_HPP
#define STET_FORMATS_TFLITE_FORMAT_HPP

#include "describe.hpp"
#include "open.hpp"

#include "../format.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

inline bool is_tflite(format_probe& probe) noexcept {
  return flatbuffer::has_identifier(probe.start(), tflite_identifier);
}

/// An archive with a stored member that is a TFLite model. Cost: reads the directory.
inline bool is_tflite_bundle(format_probe& probe) {
  if (!is_zip(probe.start())) return false;
  const auto all = probe.bytes();
  const auto& members = probe.zip();
  if (!all || !members) return false;
  for (const zip_member& each : *members) {
    if (is_tflite_member(*all, each)) return true;
  }
  return false;
}

/// Makes a model of the models in `table`, which were found in the probe's file.
/// @param has_parts  the file is a part of the store, so that ranges of it can have checksums
inline result<model> finish_tflite_model(tflite_table& table, format_probe& probe, std::vector<omitted_item>&& omitted,
                                         bool has_parts) {
  result<source> file = probe.take_bytes();
  if (!file) return file.error();
  result<store> opened = table.finish(std::move(*file), file_name_in(probe.path()), has_parts);
  if (!opened) return opened.error();
  model made{std::move(*opened), nullptr, 1, probe.options(), std::move(omitted)};
  for (const tensor each : made.store) {
    if (made.store.index().original_of(each.entry())) made.second_names.push_back(each.entry().number());
  }
  return made;
}

/// `format::open` of both rows.
inline result<model> open_tflite_model(format_probe& probe) {
  const auto all = probe.bytes();
  if (!all) return all.error();
  std::vector<tflite_model> models{{0, *all, {}}};
  if (is_zip(*all)) {
    if (!probe.zip()) return probe.zip().error().about(probe.path());
    models = tflite_models_of(*all, *probe.zip());
  }
  tflite_table table(probe.options().memory);
  std::vector<omitted_item> omitted;
  for (const tflite_model& each : models) {
    const auto omit = [&](const tflite_constant& of, const error& reason) {
      omitted.push_back({each.prefix + std::string(of.key) + std::string(of.name), reason});
    };
    if (auto added = table.add_model(each.bytes, each.offset_bytes, each.prefix, omit); !added) {
      if (each.prefix.empty())
        return added.error().subject().empty() ? added.error().about(probe.path()) : added.error();
      return error_about(added.error().code(), each.prefix, added.error().subject());
    }
  }
  const bool is_bundle = is_zip(*all);
  result<model> made = finish_tflite_model(table, probe, std::move(omitted), is_bundle);
  if (!made || !is_bundle) return made;
  for (const zip_member& each : *probe.zip()) {
    if (is_tflite_member(bytes_in(made->store.part(0)), each))
      made->checks.push_back({0, each.offset_bytes, each.size_bytes, each.crc32, std::string(each.name)});
  }
  return made;
}

} // namespace detail

/// A TFLite (LiteRT) model. `open_tflite` (open.hpp) opens it without the JSON library, and documents what is accepted. A tensor of a
/// type that is not known, or whose bytes are in another file, is in `model::omitted`, with errc::unknown_dtype or errc::external_data.
inline constexpr format tflite_format{"tflite",
                                      "TFLite (LiteRT) models",
                                      detail::is_tflite,
                                      detail::open_tflite_model,
                                      detail::describe_tflite,
                                      {},
                                      {},
                                      nullptr,
                                      save_choice::none,
                                      weight_replacement::in_place};

/// A bundle of MediaPipe (`.task`), or another zip archive with TFLite models that are stored, not deflated. The tensors of a model
/// are called "MEMBER/0:4:NAME", and by second names "MEMBER/NAME". They are in place. Opening fails as that of `tflite_format`, with
/// the member in front of the subject, and with the errors of read_zip (wire/zip.hpp).
inline constexpr format tflite_bundle_format{"tflite",
                                             "bundles of TFLite models: .task",
                                             detail::is_tflite_bundle,
                                             detail::open_tflite_model,
                                             detail::describe_tflite,
                                             {},
                                             {},
                                             nullptr,
                                             save_choice::none,
                                             weight_replacement::in_place};

} // namespace stet::inline STET_NAMESPACE

#endif
