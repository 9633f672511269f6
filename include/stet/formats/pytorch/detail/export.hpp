// SPDX-License-Identifier: MIT
// Archives of torch.export: the weights that their JSON lists.
#ifndef STET_FORMATS_PYTORCH_DETAIL_EXPORT_HPP
#define STET_FORMATS_PYTORCH_DETAIL_EXPORT_HPP

#include "importer.hpp"

#include "../../../wire/json.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Reads {"config": {NAME: {"path_name": "weight_0", "use_pickle": false, "is_param": true, "tensor_meta": {"dtype": 7,
/// "sizes": [{"as_int": 2}], "strides": […], "storage_offset": {"as_int": 0}}}}}. Each file is a storage.
/// Source: torch/_export/serde/schema.py, PayloadConfig and TensorMeta.
class pytorch_export_reader {
public:
  pytorch_export_reader(store_builder& into, pytorch_content& from, const open_options& options)
      : into_(into), from_(from), options_(options), importer_(into, from, options) {}

  /// Errors: those of open_member; errc::bad_json, wrong_type, bad_shape.
  result<void> run() {
    importer_.add_checks();
    const zip_member* const member = find_in_root(from_.members, pytorch_export_member);
    if (member == nullptr) return error(errc::malformed, pytorch_export_member);
    const result<source> text = open_member(from_.archive, *member, options_.inflate, into_.memory());
    if (!text) return text.error();
    for (const zip_member& each : from_.members) {
      constexpr std::string_view folder = "data/weights/";
      const std::string_view name = each.name.substr((std::min)(from_.root.size(), each.name.size()));
      if (!each.name.starts_with(from_.root) || !name.starts_with(folder)) continue;
      pytorch_storage storage;
      storage.key = name.substr(folder.size());
      storage.offset_bytes = each.offset_bytes;
      storage.size_bytes = each.size_bytes;
      if (each.method != zip_member::is_stored) storage.packed = &each;
      from_.storages.add(std::move(storage));
    }
    json_reader in(text_at(text->data(), static_cast<std::size_t>(text->size_bytes())));
    if (in.next() != json_token::begin_object) return problem(in);
    while (in.next() == json_token::key) {
      const bool is_config = in.string() == "config";
      in.next();
      if (!is_config || in.token() != json_token::begin_object) {
        if (!in.skip()) return problem(in);
        continue;
      }
      while (in.next() == json_token::key) {
        if (auto read = read_weight(in); !read) return read;
      }
      if (in.token() != json_token::end_object) return problem(in);
    }
    return in.token() == json_token::end_object && in.next() == json_token::end ? result<void>() : problem(in);
  }

private:
  static error problem(const json_reader& in) noexcept {
    return error(in.code() != errc{} ? in.code() : errc::wrong_type, pytorch_export_member, in.offset_bytes());
  }
  static std::string decoded(const json_string& text) {
    std::string made(text.raw().size(), '\0'); // no escape is shorter than what it means
    made.resize(text.decode(made.data()));
    return made;
  }

  result<void> read_weight(json_reader& in) {
    const std::string name = decoded(in.string());
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
    if (is_pickled || !has_type) {
      into_.omit(name, error(errc::unsupported, is_pickled ? "a pickled weight" : "a weight without a shape"));
      return {};
    }
    if (tensor.type == nullptr) {
      into_.omit(name, error(errc::unknown_dtype, name));
      return {};
    }
    if (tensor.shape.size() != tensor.strides.size() || !measure(tensor)) return error(errc::bad_shape, name);
    if (const pytorch_storage* const storage = from_.storages.find(tensor.key); storage != nullptr)
      tensor.storage_size_bytes = tensor.end_bytes = storage->size_bytes;
    return importer_.add(name, tensor);
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
  pytorch_importer importer_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
