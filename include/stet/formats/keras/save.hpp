// SPDX-License-Identifier: MIT
// Saves a model for Keras: as a .keras file, as weights alone, or as an HDF5 file of Keras 1 and 2.
#ifndef STET_FORMATS_KERAS_SAVE_HPP
#define STET_FORMATS_KERAS_SAVE_HPP

#include "detail/save_config.hpp"
#include "detail/save_weights.hpp"

#include "../common/writer_model.hpp"

#include "../../vocabulary/version.hpp"
#include "../../wire/zip_writer.hpp"
#include "../../writer/atomic_file.hpp"
#include "../../writer/detail/stream_output.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// What kind of file a model is saved as.
enum class keras_form : std::uint8_t {
  /// What the path ends in says it: .keras, .weights.h5, or else .h5 or .hdf5.
  by_extension,
  /// .keras, for load_model: configuration and weights in one archive.
  keras,
  /// .weights.h5, for load_weights of Keras 3.
  weights,
  /// .h5, for load_model if there is a graph, and load_weights; what Keras 1 and 2 wrote.
  legacy,
};

/// How a model is saved for Keras.
struct keras_save_options {
  /// The form of the file.
  keras_form form = keras_form::by_extension;
  /// Whether the variables of the optimizer are saved, too.
  bool save_optimizer = false;
  /// Wait until the file and its name are on the disk.
  bool is_durable = true;
  /// The system calls to save with; nullptr: the operating system's.
  const file_operations* operations = nullptr;
};

/// What was saved for Keras.
struct keras_save_report {
  /// The size of the file.
  std::uint64_t file_size_bytes = 0;
  /// The form that was chosen.
  keras_form form = keras_form::keras;
  /// Whether load_model can build the model from the file alone.
  bool has_config = false;
  /// The number of datasets that were written.
  std::uint64_t dataset_count = 0;
  /// Variables of the optimizer that were not saved.
  std::uint64_t left_out_count = 0;
};

namespace detail {

inline keras_form keras_form_of(std::string_view path) noexcept {
  if (path.ends_with(".keras")) return keras_form::keras;
  if (path.ends_with(".weights.h5")) return keras_form::weights;
  return path.ends_with(".h5") || path.ends_with(".hdf5") ? keras_form::legacy : keras_form::by_extension;
}

/// One save of a model for Keras.
class keras_save {
public:
  keras_save(std::string_view path, const writer_model& from, const keras_save_options& options, keras_form form)
      : path_(path), described_(from.described), options_(options), form_(form), graph_(keras_graph_of(described_)),
        weights_(from, graph_, options.save_optimizer) {}

  result<keras_save_report> run() {
    if (auto planned = plan(); !planned) return planned.error();
    const std::uint64_t size = form_ == keras_form::keras ? archive_.size_bytes() : weights_.file().size_bytes();
    const auto saved = save_file(options_.operations, path_, size, options_.is_durable, [this](byte_writer& to) {
      return form_ == keras_form::keras ? write_archive(to) : write_weights(to, 0);
    });
    if (!saved) return saved.error();
    return keras_save_report{size, form_, has_config_, weights_.datasets().size(), weights_.left_out_count()};
  }

private:
  static constexpr std::uint32_t weights_number = 2; // of the members, behind both texts

  /// What the model's metadata say of Keras; `otherwise` if nothing.
  [[nodiscard]] std::string said(std::string_view field, const char* otherwise) const {
    const json_value* const keras = find_member(described_.metadata, "keras");
    const std::string_view text = keras == nullptr ? std::string_view() : text_member(*keras, field);
    return text.empty() ? std::string(otherwise) : std::string(text);
  }

  result<void> plan() {
    json_value config;
    if (form_ != keras_form::weights && graph_ != nullptr) {
      result<json_value> made = make_keras_config(*graph_, form_ == keras_form::legacy);
      if (!made) return made.error();
      config = std::move(*made);
      if (auto checked = check_config(config); !checked) return checked;
    } else if (form_ == keras_form::keras) {
      const std::string problem = said("config_problem", "");
      return inexpressible(problem.empty() ? "model without layers" : problem, "weights can be saved as keras-weights");
    }
    has_config_ = !config.is_null();
    auto planned = form_ == keras_form::legacy ? plan_legacy(config) : weights_.plan_objects(model_name());
    if (planned) planned = weights_.file().plan(0); // in the archive, it begins at a multiple of the alignment
    return planned && form_ == keras_form::keras ? plan_archive(config) : planned;
  }

  /// Checks that Keras and the reader here accept the configuration: the reader parses its text with these limits, and
  /// makes a graph of it.
  result<void> check_config(const json_value& config) const {
    result<json_value> parsed = parse_json(text_of(config));
    if (!parsed) return parsed.error().about(keras_config_member);
    if (form_ == keras_form::keras) {
      if (auto checked = check_keras_names(config); !checked) return checked;
    }
    const result<graph> read = graph_from_keras(std::move(*parsed));
    return read ? result<void>() : read.error();
  }

  [[nodiscard]] std::string model_name() const {
    const json_value* const rest = graph_ == nullptr ? nullptr : find_member(graph_->metadata, "keras");
    const json_value* const config = rest == nullptr ? nullptr : find_member(*rest, "config");
    const std::string_view name = config == nullptr ? std::string_view() : text_member(*config, "name");
    return name.empty() ? "model" : std::string(name);
  }

  result<void> plan_legacy(const json_value& config) {
    const std::string backend = said("backend", "tensorflow"), version = said("keras_version", oldest_keras);
    auto planned = weights_.plan_legacy(has_config_ ? "model_weights" : "", backend, version);
    if (!planned || !has_config_) return planned;
    hdf5_writer& file = weights_.file();
    file.attribute(file.root, "backend", backend);
    file.attribute(file.root, "keras_version", version);
    file.attribute(file.root, "model_config", text_of(config));
    const json_value* const keras = find_member(described_.metadata, "keras");
    const json_value* const training = keras == nullptr ? nullptr : find_member(*keras, "training_config");
    if (training != nullptr)
      file.attribute(file.root, "training_config",
                     training->is_string() ? std::string(string_or_empty(training)) : text_of(*training));
    return {};
  }

  result<void> plan_archive(const json_value& config) {
    json_value metadata{{"keras_version", said("keras_version", oldest_keras)}};
    if (const std::string date = said("date_saved", ""); !date.empty()) append_member(metadata, "date_saved", date);
    texts_ = {text_of(metadata), text_of(config)};
    for (const auto& [name, size, alignment] :
         {std::tuple{keras_metadata_member, std::uint64_t{texts_[0].size()}, std::uint32_t{1}},
          std::tuple{keras_config_member, std::uint64_t{texts_[1].size()}, std::uint32_t{1}},
          std::tuple{keras_weights_member, weights_.file().size_bytes(),
                     static_cast<std::uint32_t>(hdf5_writer::alignment_bytes)}}) {
      if (auto added = archive_.add(std::string(name), size, alignment); !added) return added.error();
    }
    return {};
  }

  /// Writes the HDF5 file from `base` on.
  result<void> write_weights(byte_writer& to, std::uint64_t base) {
    stream_output out(to, base, form_ == keras_form::keras);
    const hdf5_writer& file = weights_.file();
    if (auto written = out.write(std::as_bytes(std::span(file.head()))); !written) return written;
    for (const keras_dataset& each : weights_.datasets()) {
      if (each.tensor.room_bytes == 0) continue;
      const std::uint64_t address = file.data_address(each.object);
      auto written = out.fill_up_to(base + address);
      if (written) written = each.tensor.write(address, out);
      if (!written)
        return written.error().subject().empty() ? written.error().about(each.tensor.from.name()) : written.error();
      if (out.position_bytes() != base + address + each.tensor.room_bytes)
        return error(errc::source_too_short, each.tensor.from.name());
    }
    crc_ = out.crc32_so_far();
    return out.flush();
  }

  result<void> write_archive(byte_writer& to) {
    if (auto written = write_weights(to, archive_.data_offset(weights_number)); !written) return written;
    // The checksums stand in front of what they are of.
    stream_output out(to, 0, false);
    for (std::size_t number = 0; number <= weights_number; ++number) {
      const bool is_text = number < weights_number;
      const std::string& text = is_text ? texts_[number] : empty_;
      const std::uint32_t crc = is_text ? crc32(std::as_bytes(std::span(text))) : crc_;
      const std::string header = archive_.header(number, crc);
      for (const std::string* const piece : {&header, &text}) {
        if (auto written = out.write(std::as_bytes(std::span(*piece))); !written) return written;
      }
    }
    if (auto flushed = out.flush(); !flushed) return flushed;
    const std::string directory = archive_.directory();
    return to.write_at(archive_.directory_offset(), std::as_bytes(std::span(directory)));
  }

  static constexpr const char* oldest_keras = "3.0.0";

  std::string_view path_;
  const model_description& described_;
  const keras_save_options& options_;
  keras_form form_;
  const graph* graph_;
  keras_weights_plan weights_;
  zip_writer archive_;
  std::vector<std::string> texts_;
  std::string empty_;
  std::uint32_t crc_ = 0;
  bool has_config_ = false;
};

} // namespace detail

/// Saves what was added to `from` to `path_utf8` for Keras, in place of what is there: a reader finds the old file or
/// the new one. Every tensor is contiguous and begins at a multiple of 64 of the file, inside a .keras
/// archive, too. The same model and options give the same bytes.
///
/// The graph becomes the configuration, and says which tensor is which weight. Tensors that are called as
/// datasets of the same form keep their places. Without a graph, LAYER/ROLE is taken for a weight of a layer
/// of that name, and the layers for those of a model in the order of the store; names that begin with '/' are
/// datasets. What is no weight of a layer is a dataset called as the tensor; Keras passes over it.
///
/// What HDF5 has no word for is widened to int8, uint8 or float32.
/// @param path_utf8  of the new file
/// @retval errc::invalid_argument  what the path ends in does not tell the form, and options do not either
/// @retval errc::bad_graph        as graph_to_keras
/// @retval errc::not_expressible  the form cannot have a layer or tensor, the subject, which says what works: a
///                                .keras file needs a graph of layers; or where Keras would have a weight is not
///                                known, of a layer whose inside is not known here, that has LoRA or another
///                                quantization than int8, or in a file of another form without lists; or Keras 3,
///                                which alone opens .keras files, does not have the layer's name, one with '/'
/// @retval errc::not_found        a tensor, the subject, that the graph names is not there
/// @retval errc::not_convertible  a tensor, the subject, is of blocks, or of an optimizer whose order the names
///                                do not tell
/// @retval errc::duplicate_name, bad_name, bad_shape  a tensor, the subject, cannot be a dataset: another one has its
///                                path, a step of the path is empty or ".", or it has more than 32 dimensions
/// @retval errc::too_large, too_deep  a string is longer than 4 GiB, the file than 2^64 bytes, the paths of all
///                                datasets than 64 MiB, or the configuration longer or deeper than readers accept
/// @retval errc::checksum_mismatch  a tensor, the subject, is damaged
/// @retval errc::bad_path         the path names no file
/// or the error of the first `add` that failed, of `graph_from_json`, of reading, or of the operating system. After one the folder is as it was
/// before. Cost: reads every byte once; memory for what is not data, and 512 KiB. Source:
/// wire/hdf5/writer.hpp; keras-team/keras 3.15, src/saving/saving_lib.py,
/// src/legacy/saving/legacy_h5_format.py.
inline result<keras_save_report> save_keras(std::string_view path_utf8, const writer& from,
                                            const keras_save_options& options = {}) {
  if (detail::file_name_in(path_utf8).empty()) return error(errc::bad_path, path_utf8);
  const keras_form form = options.form == keras_form::by_extension ? detail::keras_form_of(path_utf8) : options.form;
  if (form == keras_form::by_extension) return error(errc::invalid_argument, path_utf8);
  const result<detail::writer_model> added = detail::model_of_writer(from);
  if (!added) return added.error();
  return detail::keras_save(path_utf8, *added, options, form).run();
}

} // namespace stet::inline STET_NAMESPACE

#endif
