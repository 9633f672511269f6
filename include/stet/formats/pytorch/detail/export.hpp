// SPDX-License-Identifier: MIT
// Archives of torch.export: the weights that their JSON lists, or that are in files of torch.save within them.
#ifndef STET_FORMATS_PYTORCH_DETAIL_EXPORT_HPP
#define STET_FORMATS_PYTORCH_DETAIL_EXPORT_HPP

#include "importer.hpp"

#include "../../../wire/json.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// ROOT/data/weights/MODEL_weights_config.json lists the weights of a model: {"config": {NAME: {"path_name": "weight_0", "use_pickle":
// false, "is_param": true, "tensor_meta": {"dtype": 7, "sizes": [{"as_int": 2}], "strides": […], "storage_offset": {"as_int": 0}}}}}.
// ROOT/data/weights/weight_0 is a storage; with "use_pickle", which is for subclasses of tensors, a file of torch.save whose object is
// the tensor. Earlier archives have ROOT/data/weights/MODEL.pt, a file of torch.save whose object is the state dict. Before, that was
// the member serialized_state_dict.pt, in no folder, which 2.1 called .json. A program may save several models in one archive.
//
// Source: github.com/pytorch/pytorch, torch/export/pt2_archive/_package.py, torch/export/__init__.py; torch/_export/serde/schema.py,
// PayloadConfig and TensorMeta.

namespace stet::inline STET_NAMESPACE::detail {

/// Adds the weights of all models of an archive of torch.export, each by its name; where there are several models, behind the name of
/// its model and a dot.
class pytorch_export_reader {
public:
  /// @param notes  gets a note for each tensor; nullptr: none are wanted
  pytorch_export_reader(store_builder& into, pytorch_content& from, const open_options& options,
                        pytorch_notes* notes = nullptr)
      : into_(into), from_(from), options_(options), notes_(notes), importer_(into, from, options, notes),
        placer_(into, from, options) {}

  /// Errors: those of open_member; errc::bad_json, wrong_type, bad_shape; of files of torch.save those of `open_pytorch`, with the
  /// member as the subject where they have none, and offsets within it.
  result<void> run() {
    importer_.add_checks();
    for (const zip_member& each : from_.members) {
      const std::string_view name = each.name.substr((std::min)(from_.root.size(), each.name.size()));
      if (!each.name.starts_with(from_.root) || !name.starts_with(pytorch_weights_folder)) continue;
      from_.storages.add(storage_of(each, name.substr(pytorch_weights_folder.size())));
    }
    std::set<std::string_view> models, pickled;
    for (const pytorch_exported& each : from_.exported) {
      models.insert(each.model);
      if (each.is_pickled) pickled.insert(each.model);
    }
    for (const pytorch_exported& each : from_.exported) {
      if (!each.is_pickled && pickled.count(each.model) != 0) continue; // as torch.export.load
      const std::string_view name = models.size() == 1 ? std::string_view() : each.model;
      pytorch_storage file = storage_of(*each.member, each.member->name);
      auto read = each.is_pickled ? add_file(file, name) : read_config(*each.member, name);
      if (!read) return read;
    }
    return {};
  }

private:
  static error problem(const json_reader& in) noexcept {
    return error(in.code() != errc{} ? in.code() : errc::wrong_type, {}, in.offset_bytes());
  }
  static std::string decoded(const json_string& text) {
    std::string made(text.raw().size(), '\0'); // no escape is shorter than what it means
    made.resize(text.decode(made.data()));
    return made;
  }

  static pytorch_storage storage_of(const zip_member& member, std::string_view key) {
    pytorch_storage made;
    made.key = key;
    made.offset_bytes = member.offset_bytes;
    made.size_bytes = member.size_bytes;
    if (member.method != zip_member::is_stored) made.packed = &member;
    return made;
  }

  /// Adds the tensors of a file of torch.save within the archive. Its storages are in place, unless it is compressed as a whole.
  /// @param name  that of its object; empty: the names of its tensors are whole
  result<void> add_file(pytorch_storage& file, std::string_view name) {
    if (file.size_bytes == 0) return {}; // a model without weights
    if (auto unpacked = placer_.unpack(file); !unpacked) return unpacked;
    const std::span<const std::byte> bytes =
        bytes_in(into_.part(file.part))
            .subspan(static_cast<std::size_t>(file.offset_bytes), static_cast<std::size_t>(file.size_bytes));
    pytorch_content content(options_.memory);
    auto added = pytorch_content_reader(content, bytes, file.part, file.offset_bytes, options_).run();
    if (added && content.is_export()) added = error(errc::unknown_format, file.key);
    if (added) {
      work_ += pytorch_importer::work_per_byte * content.object.size_bytes();
      pytorch_importer importer(into_, content, options_, notes_, work_);
      added = importer.add_object(name);
      work_ = importer.work_left();
    }
    return added || !added.error().subject().empty() ? added : added.error().about(file.key);
  }

  /// Adds the weights that the JSON lists.
  result<void> read_config(const zip_member& member, std::string_view model) {
    const result<source> text = open_member(from_.archive, member, options_.inflate, into_.memory());
    if (!text) return text.error();
    json_reader in(text_at(text->data(), static_cast<std::size_t>(text->size_bytes())));
    auto read = read_config(in, model);
    return read || !read.error().subject().empty() ? read : read.error().about(member.name);
  }
  result<void> read_config(json_reader& in, std::string_view model) {
    if (in.next() != json_token::begin_object) return problem(in);
    while (in.next() == json_token::key) {
      const bool is_config = in.string() == "config";
      in.next();
      if (!is_config || in.token() != json_token::begin_object) {
        if (!in.skip()) return problem(in);
        continue;
      }
      while (in.next() == json_token::key) {
        if (auto read = read_weight(in, model); !read) return read;
      }
      if (in.token() != json_token::end_object) return problem(in);
    }
    return in.token() == json_token::end_object && in.next() == json_token::end ? result<void>() : problem(in);
  }

  result<void> read_weight(json_reader& in, std::string_view model) {
    std::string name(model);
    if (!model.empty()) name += '.';
    name += decoded(in.string());
    if (in.next() != json_token::begin_object) return problem(in);
    pytorch_tensor tensor;
    bool is_pickled = false, has_type = false;
    while (in.next() == json_token::key) {
      const json_string key = in.string();
      in.next();
      if (key == "path_name" && in.token() == json_token::string) tensor.key = decoded(in.string());
      if (key == "use_pickle" && in.token() == json_token::boolean) is_pickled = in.boolean();
      if (key == "tensor_meta" && in.token() == json_token::begin_object) {
        if (auto read = read_meta(in, tensor, has_type); !read) return read;
        continue;
      }
      if (!in.skip()) return problem(in);
    }
    if (in.token() != json_token::end_object) return problem(in);
    pytorch_storage* const storage = from_.storages.find(tensor.key);
    if (is_pickled) {
      if (storage == nullptr) return omit(name, error_about(errc::missing_part, "data", tensor.key));
      // Each has a file of its own: reading one for every name would cost more than the archive is large.
      if (!opened_.insert(storage).second) return omit(name, error_about(errc::duplicate_part, "data", tensor.key));
      return add_file(*storage, name);
    }
    if (!has_type) return omit(name, error(errc::unsupported, "a weight without a shape"));
    if (tensor.type == nullptr) return omit(name, error(errc::unknown_dtype, name));
    if (tensor.shape.size() != tensor.strides.size() || !measure(tensor)) return error(errc::bad_shape, name);
    if (storage != nullptr) tensor.storage_size_bytes = tensor.end_bytes = storage->size_bytes;
    return importer_.add(name, tensor);
  }
  result<void> omit(std::string_view name, const error& reason) {
    into_.omit(name, reason);
    return {};
  }
  /// @param has_type  set if there is a dtype; `type` is nullptr if it is one without tensors
  static result<void> read_meta(json_reader& in, pytorch_tensor& into, bool& has_type) {
    while (in.next() == json_token::key) {
      const json_string key = in.string();
      in.next();
      if (key == "dtype" && in.token() == json_token::number && in.number().is_unsigned()) {
        has_type = true;
        for (const pytorch_type& each : pytorch_types) {
          if (each.export_code >= 0 && in.number().magnitude == static_cast<std::uint64_t>(each.export_code))
            into.type = &each;
        }
      } else if (key == "requires_grad" && in.token() == json_token::boolean) {
        into.is_trainable = in.boolean();
      } else if (key == "storage_offset") {
        if (!read_integer(in, into.offset)) return problem(in);
        continue;
      } else if ((key == "sizes" || key == "strides") && in.token() == json_token::begin_array) {
        std::vector<std::uint64_t>& numbers = key == "sizes" ? into.shape : into.strides;
        numbers.clear();
        while (in.next() == json_token::begin_object) {
          numbers.push_back(0);
          if (numbers.size() > max_rank || !read_integer(in, numbers.back())) return problem(in);
        }
        if (in.token() != json_token::end_array) return problem(in);
        continue;
      }
      if (!in.skip()) return problem(in);
    }
    return in.token() == json_token::end_object ? result<void>() : problem(in);
  }
  /// Reads {"as_int": 2}, whose first token was read.
  static bool read_integer(json_reader& in, std::uint64_t& into) noexcept {
    if (in.token() != json_token::begin_object || in.next() != json_token::key) return false;
    if (!(in.string() == "as_int") || in.next() != json_token::number || !in.number().is_unsigned()) return false;
    into = in.number().magnitude;
    return in.next() == json_token::end_object;
  }

  store_builder& into_;
  pytorch_content& from_;
  const open_options& options_;
  pytorch_notes* notes_;
  pytorch_importer importer_;
  pytorch_placer placer_;
  std::uint64_t work_ = pytorch_importer::least_work; // what is left for the names in files of torch.save
  std::set<const pytorch_storage*> opened_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
