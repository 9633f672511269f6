// SPDX-License-Identifier: MIT
// The storages of a file of PyTorch, by their keys.
#ifndef STET_FORMATS_PYTORCH_DETAIL_STORAGES_HPP
#define STET_FORMATS_PYTORCH_DETAIL_STORAGES_HPP

#include "../../../wire/zip.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The bytes of a storage in a part of the store.
struct pytorch_storage {
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  std::string key;
  std::uint32_t part = 0;
  std::uint64_t offset_bytes = 0, size_bytes = 0;
  /// The member of the archive that is still to be decompressed; nullptr: the bytes are in place.
  const zip_member* packed = nullptr;
  /// The view that was added first of it.
  std::uint32_t first_view = none;
};

/// Storages in the order of the file, which is that of their first use.
class pytorch_storages {
public:
  void add(pytorch_storage&& storage) { all_.push_back(std::move(storage)); }
  [[nodiscard]] std::size_t count() const noexcept { return all_.size(); }

  /// The storage with this key; nullptr: there is none. Cost: a comparison in the order of the file; else a search in keys that are
  /// sorted once.
  [[nodiscard]] pytorch_storage* find(std::string_view key) {
    for (const std::size_t each : {last_, last_ + 1}) {
      if (each < all_.size() && all_[each].key == key) return &all_[last_ = each];
    }
    if (sorted_.size() != all_.size()) {
      sorted_.resize(all_.size());
      for (std::size_t i = 0; i < sorted_.size(); ++i) sorted_[i] = i;
      std::sort(sorted_.begin(), sorted_.end(),
                [&](std::size_t a, std::size_t b) { return all_[a].key < all_[b].key; });
    }
    const auto found = std::lower_bound(sorted_.begin(), sorted_.end(), key,
                                        [&](std::size_t a, std::string_view wanted) { return all_[a].key < wanted; });
    if (found == sorted_.end() || all_[*found].key != key) return nullptr;
    return &all_[last_ = *found];
  }

private:
  std::vector<pytorch_storage> all_;
  std::vector<std::size_t> sorted_;
  std::size_t last_ = 0;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
