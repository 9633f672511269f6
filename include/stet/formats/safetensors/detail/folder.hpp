// SPDX-License-Identifier: MIT
// Finds the safetensors model in a folder: an index of shards, shards without one, or one file.
#ifndef STET_FORMATS_SAFETENSORS_DETAIL_FOLDER_HPP
#define STET_FORMATS_SAFETENSORS_DETAIL_FOLDER_HPP

#include "../../../source/detail/path.hpp"
#include "../../../source/file_operations.hpp"
#include "../../../store/open.hpp"
#include "../../../writer/detail/list_folder.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The name of an index: "model.safetensors.index.json", "model.safetensors.index.fp16.json".
inline bool is_safetensors_index_name(std::string_view name) noexcept {
  return name.ends_with(".json") && name.find(".safetensors.index.") != std::string_view::npos;
}

/// The name of a shard, "STEM-00001-of-00003.safetensors".
struct safetensors_shard_name {
  std::string_view stem;
  std::uint32_t number = 0, count = 0;

  static std::optional<safetensors_shard_name> parse(std::string_view name) noexcept {
    constexpr std::string_view pattern = "-NNNNN-of-CCCCC.safetensors";
    if (name.size() < pattern.size()) return std::nullopt;
    const std::string_view end = name.substr(name.size() - pattern.size());
    safetensors_shard_name parsed{name.substr(0, name.size() - pattern.size())};
    for (std::size_t i = 0; i < pattern.size(); ++i) {
      if (pattern[i] == 'N' || pattern[i] == 'C') {
        if (end[i] < '0' || end[i] > '9') return std::nullopt;
        std::uint32_t& into = pattern[i] == 'N' ? parsed.number : parsed.count;
        into = into * 10 + static_cast<std::uint32_t>(end[i] - '0');
      } else if (end[i] != pattern[i]) {
        return std::nullopt;
      }
    }
    return parsed;
  }
};

/// The names of safetensors files in a folder, sorted.
struct safetensors_folder {
  std::vector<std::string> indexes, files;

  /// Lists the folder at `path_utf8`; nothing is found where it cannot be listed.
  static safetensors_folder list(std::string_view path_utf8, const open_options& options) {
    std::string folder(path_utf8);
    folder += separator_after(folder);
    const auto names = list_folder(options.files, folder, [](std::string_view name) {
      return !name.starts_with('.') && (name.ends_with(".safetensors") || is_safetensors_index_name(name));
    });
    safetensors_folder made;
    if (!names) return made;
    for (const std::string& name : *names) (name.ends_with(".json") ? made.indexes : made.files).push_back(name);
    std::sort(made.indexes.begin(), made.indexes.end());
    std::sort(made.files.begin(), made.files.end());
    return made;
  }

  /// The index of the model; empty if there is none. Of several, the only one that ends in ".safetensors.index.json".
  /// @retval errc::invalid_argument  there are several; the subject names one, to be given with the folder
  [[nodiscard]] result<std::string> index() const {
    if (indexes.empty()) return std::string();
    if (indexes.size() == 1) return indexes.front();
    std::vector<std::string> plain;
    for (const std::string& name : indexes) {
      if (name.ends_with(".safetensors.index.json")) plain.push_back(name);
    }
    if (plain.size() == 1) return plain.front();
    return several(indexes.size(), "indexes", indexes.front());
  }

  /// Checks that the files are the shards of one model, or one file.
  /// @retval errc::invalid_argument  they are several models; the subject names one, to be given with the folder
  /// @retval errc::missing_part      a shard, the subject, does not exist
  [[nodiscard]] result<void> check_shards() const {
    const auto first = safetensors_shard_name::parse(files.front());
    if (files.size() == 1 && (!first || first->count == 1)) return {};
    if (is_distributed()) return {};
    for (std::size_t number = 0; number < files.size(); ++number) {
      const auto shard = safetensors_shard_name::parse(files[number]);
      if (!shard || shard->stem != first->stem || shard->count != first->count)
        return several(files.size(), "files and no index", files.front());
      // Sorted by name, they are sorted by number; some writers count from 0.
      const std::uint32_t expected = first->number + static_cast<std::uint32_t>(number);
      if (shard->number != expected || first->number > 1) return missing(*first, first->number > 1 ? 1 : expected);
    }
    if (files.size() < first->count) {
      const bool is_from_0 = first->number == 0;
      return missing(*first, static_cast<std::uint32_t>(files.size()) + (is_from_0 ? 0 : 1));
    }
    return {};
  }

private:
  /// True if the files are those of a distributed checkpoint of PyTorch: "shard-00001-model-00001-of-00001.safetensors".
  [[nodiscard]] bool is_distributed() const noexcept {
    return std::all_of(files.begin(), files.end(), [](const std::string& name) {
      return name.starts_with("shard-") && safetensors_shard_name::parse(name);
    });
  }
  static error several(std::size_t count, std::string_view what, std::string_view example) {
    std::string text = std::to_string(count);
    text.append(" ").append(what).append("; add a name, such as /").append(example);
    return error(errc::invalid_argument, text);
  }
  static error missing(const safetensors_shard_name& like, std::uint32_t number) {
    char digits[64];
    std::snprintf(digits, sizeof digits, "-%05u-of-%05u.safetensors", static_cast<unsigned>(number),
                  static_cast<unsigned>(like.count));
    return error(errc::missing_part, std::string(like.stem).append(digits));
  }
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
