// SPDX-License-Identifier: MIT
// Plans the files of a safetensors save: the tensors of each in order, and the text of its header.
#ifndef STET_FORMATS_SAFETENSORS_DETAIL_SAVE_PLAN_HPP
#define STET_FORMATS_SAFETENSORS_DETAIL_SAVE_PLAN_HPP

#include "header.hpp"

#include "../../common/inexpressible.hpp"
#include "../../common/json_members.hpp"
#include "../../common/second_name.hpp"

#include "../../../json.hpp"
#include "../../../manifest/detail/json_input.hpp"
#include "../../../vocabulary/detail/checked.hpp"
#include "../../../writer/writer.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The member of `__metadata__` that holds, as the text of a JSON object, the metadata that are not strings.
inline constexpr std::string_view safetensors_json_key = "stet";
/// The tensors of a file begin at a multiple of this, and each at a multiple of the size of its elements.
inline constexpr std::uint64_t safetensors_data_alignment_bytes = 64;

/// Strings by key: the metadata of a file.
using safetensors_metadata = std::map<std::string, std::string>;

/// A tensor that is saved.
struct saved_safetensor {
  /// Its number in the writer.
  std::size_t number = 0;
  /// Its row of `safetensors_dtypes`.
  std::size_t type = 0;
  /// The size of all tensors before it in the file.
  std::uint64_t begin_bytes = 0;
};

/// One file of a save.
struct saved_safetensors_file {
  std::vector<saved_safetensor> tensors;
  std::uint64_t data_size_bytes = 0;
  /// The length of the header, and the header.
  std::string head;

  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return head.size() + data_size_bytes; }
};

/// The content of a writer as files. Views the writer.
class safetensors_plan {
public:
  /// @param max_size_bytes       of the tensors of a file
  /// @param notes_dropped_names  whether an alias becomes a member of the metadata
  /// Errors: as `save_safetensors` documents them.
  result<void> make(const writer& from, std::uint64_t max_size_bytes, bool notes_dropped_names) {
    const result<writer::contents> added = from.added();
    if (!added) return added.error();
    rows_ = added->tensors.rows();
    if (auto taken = take_metadata(from.metadata); !taken) return taken;
    const std::vector<bool> is_second_name = find_second_names(added->tensors, rows_);
    files_.emplace_back();
    for (std::size_t number = 0; number < rows_.size(); ++number) {
      if (is_second_name[number]) continue;
      const auto kept = rows_[number].alias_of == index_row::not_an_alias ? add_tensor(number, max_size_bytes)
                                                                          : drop_name(number, notes_dropped_names);
      if (!kept) return kept;
    }
    const std::size_t same = find_duplicate(rows_.size(), [this](std::size_t number) { return rows_[number].name; });
    if (same != name_table::none) return error(errc::duplicate_name, rows_[same].name);
    for (saved_safetensors_file& each : files_) {
      if (auto finished = finish(each); !finished) return finished;
    }
    return {};
  }

  [[nodiscard]] const std::vector<saved_safetensors_file>& files() const noexcept { return files_; }
  /// A tensor or alias of the writer.
  [[nodiscard]] const index_row& row(std::size_t number) const noexcept { return rows_[number]; }
  /// The size of all tensors.
  [[nodiscard]] std::uint64_t total_size_bytes() const noexcept { return total_size_; }
  [[nodiscard]] std::uint64_t dropped_count() const noexcept { return dropped_count_; }

private:
  /// Strings are members of `__metadata__`; the rest becomes the text of one JSON object.
  result<void> take_metadata(const json_text& text) {
    json_value all = to_json_value(text);
    if (all.is_null()) return {};
    json_value::object_t* const members = all.get_ptr<json_value::object_t*>();
    if (members == nullptr) return inexpressible("metadata", "an object is expected");
    json_value others = json_value::object();
    for (auto& [key, value] : *members) {
      const bool is_total = key == "total_size" && value.is_number(); // of an index, which has its own
      if (is_total) continue;
      if (value.is_string() && key != safetensors_json_key) {
        metadata_[key] = std::string(string_or_empty(&value));
      } else {
        others[key] = std::move(value);
      }
    }
    if (!others.empty()) metadata_[std::string(safetensors_json_key)] = text_of(others);
    return {};
  }

  result<void> add_tensor(std::size_t number, std::uint64_t max_size_bytes) {
    const index_row& row = rows_[number];
    const auto type = std::find_if(std::begin(safetensors_dtypes), std::end(safetensors_dtypes),
                                   [&row](const safetensors_dtype& each) { return each.dtype == row.layout.dtype; });
    if (type == std::end(safetensors_dtypes)) {
      const std::string reason = std::string("safetensors has no dtype ").append(stet::name_of(row.layout));
      return inexpressible(std::string(row.name), reason);
    }
    if (row.layout.bits != describe(row.layout.dtype).bits)
      return inexpressible(std::string(row.name), "elements narrower than a byte have to be packed");
    if (row.name == safetensors_metadata_key)
      return inexpressible(std::string(row.name), "the name is that of the metadata");
    if (element_count_of(row) % 8 * row.layout.bits % 8 != 0)
      return inexpressible(std::string(row.name), "the elements do not fill whole bytes");
    saved_safetensors_file* file = &files_.back();
    if (!file->tensors.empty() && row.size_bytes > max_size_bytes - (std::min)(max_size_bytes, file->data_size_bytes))
      file = &files_.emplace_back();
    file->tensors.push_back({number, static_cast<std::size_t>(type - std::begin(safetensors_dtypes)), 0});
    if (!checked_add(file->data_size_bytes, row.size_bytes, file->data_size_bytes) ||
        !checked_add(total_size_, row.size_bytes, total_size_)) {
      return error(errc::too_large, row.name);
    }
    return {};
  }

  result<void> drop_name(std::size_t number, bool notes_dropped_names) {
    const index_row& row = rows_[number];
    const std::string_view kept = rows_[row.alias_of].name;
    if (!notes_dropped_names)
      return error_about(errc::not_expressible, row.name, std::string("it shares the bytes of ").append(kept));
    if (!metadata_.try_emplace(std::string(row.name), kept).second)
      return inexpressible(std::string(row.name), "the metadata have a member of this name");
    ++dropped_count_;
    return {};
  }

  [[nodiscard]] static std::uint64_t element_count_of(const index_row& row) noexcept {
    std::uint64_t count = 1;
    for (const std::uint64_t extent : row.shape) count *= extent;
    return count;
  }

  /// Sorts the tensors of a file as the reference does, largest elements first, and makes the header.
  result<void> finish(saved_safetensors_file& file) const {
    std::sort(file.tensors.begin(), file.tensors.end(), [this](const saved_safetensor& a, const saved_safetensor& b) {
      return a.type != b.type ? a.type > b.type : rows_[a.number].name < rows_[b.number].name;
    });
    std::string& text = file.head;
    text.assign(safetensors_length_size_bytes, '\0');
    text += '{';
    if (!metadata_.empty()) {
      append_json_string(text, safetensors_metadata_key);
      text += ":{";
      for (const auto& [key, value] : metadata_) {
        if (text.back() != '{') text += ',';
        append_json_string(text, key);
        text += ':';
        append_json_string(text, value);
      }
      text += '}';
    }
    std::uint64_t at = 0;
    for (saved_safetensor& each : file.tensors) {
      const index_row& row = rows_[each.number];
      each.begin_bytes = at;
      at += row.size_bytes;
      if (text.size() != safetensors_length_size_bytes + 1) text += ',';
      append_json_string(text, row.name);
      text.append(":{\"dtype\":\"").append(safetensors_dtypes[each.type].name).append("\",\"shape\":[");
      for (const std::uint64_t extent : row.shape) text.append(std::to_string(extent)) += ',';
      if (!row.shape.empty()) text.pop_back();
      text.append("],\"data_offsets\":[").append(std::to_string(each.begin_bytes)).append(",");
      text.append(std::to_string(at)).append("]}");
    }
    text += '}';
    const std::uint64_t past = text.size() % safetensors_data_alignment_bytes;
    if (past != 0) text.append(static_cast<std::size_t>(safetensors_data_alignment_bytes - past), ' ');
    const std::uint64_t length = text.size() - safetensors_length_size_bytes;
    if (length > max_safetensors_header_size_bytes) return error(errc::too_large, "header");
    store_little(reinterpret_cast<std::byte*>(text.data()), length);
    return {};
  }

  std::vector<index_row> rows_;
  std::vector<saved_safetensors_file> files_;
  safetensors_metadata metadata_;
  std::uint64_t total_size_ = 0, dropped_count_ = 0;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
