// SPDX-License-Identifier: MIT
// Saves tensors as a state dict that torch.load reads.
#ifndef STET_FORMATS_PYTORCH_SAVE_HPP
#define STET_FORMATS_PYTORCH_SAVE_HPP

#include "detail/saved_pickle.hpp"

#include "../common/archive_output.hpp"
#include "../common/inexpressible.hpp"
#include "../common/json_members.hpp"
#include "../common/write_elements.hpp"
#include "../common/writer_model.hpp"

#include "../../source/detail/path.hpp"
#include "../../wire/zip_writer.hpp"
#include "../../writer/atomic_file.hpp"
#include "../../writer/writer.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// The options of `save_pytorch`.
struct pytorch_save_options {
  /// Saves dicts within each other: "model.layers.0.weight" is under "model", "layers", "0", "weight". Otherwise the file is one dict
  /// of whole names, as state_dict() gives it.
  bool nests_names = false;
  /// Wait until the file and its name are on the disk.
  bool is_durable = true;
  /// The system calls to save with; nullptr: the operating system's.
  const file_operations* operations = nullptr;
};

/// What was saved for PyTorch.
struct pytorch_save_report {
  /// The size of the file.
  std::uint64_t file_size_bytes = 0;
  /// The number of names.
  std::size_t tensor_count = 0;
  /// The number of storages.
  std::size_t storage_count = 0;
};

namespace detail {

/// One save of a state dict.
class pytorch_save {
public:
  pytorch_save(const writer_model& from, const pytorch_save_options& options) noexcept
      : from_(from), options_(options) {}

  result<void> plan() {
    std::set<std::string_view> tied;
    for (const tensor_note& each : from_.described.tensors) {
      const json_value* const field = find_member(each.attributes, pytorch_tied_field);
      if (field != nullptr && field->is_boolean() && field->get<bool>()) tied.insert(each.name);
    }
    for (const tensor each : from_.store) {
      if (from_.is_second_name(each) && tied.count(each.name()) == 0) continue;
      if (auto added = add_tensor(each); !added) return added;
    }
    if (auto written = write_pickle(); !written) return written;
    if (auto added = archive_.add("archive/data.pkl", pickle_.size(), alignment_bytes); !added) return added.error();
    if (auto added = archive_.add("archive/byteorder", byte_order.size()); !added) return added.error();
    for (std::size_t number = 0; number < storages_.size(); ++number) {
      const auto added =
          archive_.add("archive/data/" + std::to_string(number), storages_[number].size_bytes(), alignment_bytes);
      if (!added) return added.error();
    }
    const auto added = archive_.add("archive/version", version.size());
    return added ? result<void>() : added.error();
  }

  [[nodiscard]] std::uint64_t size_bytes() const { return archive_.size_bytes(); }
  [[nodiscard]] std::size_t tensor_count() const noexcept { return saved_.size(); }
  [[nodiscard]] std::size_t storage_count() const noexcept { return storages_.size(); }

  result<void> write(byte_writer& to) {
    archive_output out(to, archive_);
    auto written = out.add(pickle_);
    if (written) written = out.add(byte_order);
    for (std::size_t number = 0; number < storages_.size() && written; ++number) {
      const tensor& each = storages_[number];
      written = out.add(each.size_bytes(), each.name(), [&](piece_sink& sink) { return write_checked(each, sink); });
    }
    if (written) written = out.add(version);
    return written ? out.finish() : written;
  }

private:
  static constexpr std::uint32_t alignment_bytes = 64;
  static constexpr std::string_view byte_order = "little", version = "3\n";

  /// A name, the type and shape of its tensor, and the number of its storage.
  struct saved_tensor {
    tensor from;
    const pytorch_type* type;
    std::size_t storage;
  };
  /// A dict that is made of the parts of names: its members in the order of their first tensors.
  struct dict {
    std::vector<std::string_view> keys;
    std::map<std::string_view, std::size_t> places;
    /// For each key, the number of a dict, or of a tensor.
    struct member {
      bool is_dict;
      std::size_t number;
    };
    std::vector<member> members;
  };

  result<void> add_tensor(const tensor& each) {
    const std::string name(each.name());
    const pytorch_type* const type = find_pytorch_type(each.layout());
    if (type == nullptr) return inexpressible(name, "PyTorch has no such type; convert it");
    if (each.shape().rank() > 64) return inexpressible(name, "PyTorch has at most 64 dimensions");
    const auto original = from_.store.original_of(each);
    if (original) {
      saved_.push_back({each, type, storage_of_.at(original->entry().number())});
      return {};
    }
    storage_of_[each.entry().number()] = storages_.size();
    saved_.push_back({each, type, storages_.size()});
    storages_.push_back(each);
    return {};
  }

  /// @retval errc::not_expressible  a name is that of a tensor and the beginning of another
  result<void> write_pickle() {
    std::vector<dict> dicts(1);
    for (std::size_t number = 0; number < saved_.size(); ++number) {
      std::string_view rest = saved_[number].from.name();
      std::size_t at = 0;
      for (std::size_t dot = rest.find('.'); options_.nests_names && dot != std::string_view::npos;
           dot = rest.find('.')) {
        const auto [found, is_new] = add_member(dicts[at], rest.substr(0, dot), {true, dicts.size()});
        if (!found.is_dict) return clash(number);
        if (is_new) dicts.emplace_back();
        at = found.number;
        rest = rest.substr(dot + 1);
      }
      if (!add_member(dicts[at], rest, {false, number}).second) return clash(number);
    }
    pickle_writer out;
    (void)out.op("}(");
    // The dicts that are being written, and the next member of each.
    std::vector<std::pair<std::size_t, std::size_t>> open{{0, 0}};
    while (!open.empty()) {
      auto& [number, next] = open.back();
      const dict& current = dicts[number];
      if (next == current.keys.size()) {
        (void)out.op("u");
        open.pop_back();
        continue;
      }
      const typename dict::member member = current.members[next];
      (void)out.text(current.keys[next++]);
      if (member.is_dict) {
        (void)out.op("}(");
        open.emplace_back(member.number, 0);
      } else {
        const saved_tensor& each = saved_[member.number];
        std::vector<std::uint64_t> shape;
        for (std::size_t axis = 0; axis < each.from.shape().rank(); ++axis) shape.push_back(each.from.shape()[axis]);
        out.tensor(*each.type, each.storage, shape, each.from.size_bytes());
      }
    }
    pickle_ = out.take();
    return pickle_.size() < 0xFFFFFFFFu ? result<void>() : error(errc::too_large, "data.pkl");
  }
  static std::pair<dict::member, bool> add_member(dict& to, std::string_view key, dict::member member) {
    const auto [found, is_new] = to.places.try_emplace(key, to.keys.size());
    if (is_new) {
      to.keys.push_back(key);
      to.members.push_back(member);
    }
    return {to.members[found->second], is_new};
  }
  error clash(std::size_t number) const {
    return inexpressible(std::string(saved_[number].from.name()),
                         "another tensor's name begins so; save without nesting");
  }

  const writer_model& from_;
  const pytorch_save_options& options_;
  std::vector<saved_tensor> saved_;
  std::vector<tensor> storages_;
  std::map<std::uint32_t, std::size_t> storage_of_; // by the number of the tensor
  std::string pickle_;
  zip_writer archive_;
};

} // namespace detail

/// Saves the tensors that were added to `from` to `path_utf8`, an archive that torch.load reads, also with weights_only=True, in place
/// of what is there: a reader finds the old file or the new one. The object is a dict of tensors by their names, or dicts within
/// each other (`options.nests_names`). The same tensors and options give the same bytes.
///
/// Each tensor is contiguous and has a storage of its own, at a multiple of 64; aliases are tensors of the storage of their original,
/// as tied weights are. Types that PyTorch 2.3 and newer have alone, such as uint16 and the float8 types, need it for loading.
/// Second names (`model::is_second_name`) are left out, but for those that `describe_pytorch` noted as tied; so are graphs, state
/// and metadata.
/// @retval errc::not_expressible  a tensor, the subject, is of strings or another type that PyTorch does not have, or has more than 64
///                                dimensions; or, of nested names, one is the beginning of another
/// @retval errc::duplicate_name   two tensors have the same name
/// @retval errc::too_large        the file would be larger than 2^64 bytes, or its pickle than 4 GiB
/// @retval errc::checksum_mismatch  a tensor, the subject, is damaged
/// @retval errc::bad_path         the path names no file
/// or the error of the first `add` that failed, of reading, or of the operating system. After one the folder is as it was before.
/// Cost: reads every byte once; memory for the names and 1 MiB. Source: torch/serialization.py, torch/_weights_only_unpickler.py.
inline result<pytorch_save_report> save_pytorch(std::string_view path_utf8, const writer& from,
                                                const pytorch_save_options& options = {}) {
  if (detail::file_name_in(path_utf8).empty()) return error(errc::bad_path, path_utf8);
  const result<detail::writer_model> added = detail::model_of_writer(from);
  if (!added) return added.error();
  detail::pytorch_save save(*added, options);
  if (auto planned = save.plan(); !planned) return planned.error();
  const std::uint64_t size = save.size_bytes();
  const auto saved = save_file(options.operations, path_utf8, size, options.is_durable,
                               [&](byte_writer& to) { return save.write(to); });
  if (!saved) return saved.error();
  return pytorch_save_report{size, save.tensor_count(), save.storage_count()};
}

} // namespace stet::inline STET_NAMESPACE

#endif
