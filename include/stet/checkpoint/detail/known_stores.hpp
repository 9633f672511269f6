// SPDX-License-Identifier: MIT
// The files that each store of a folder needs, cached while the files do not change.
#ifndef STET_CHECKPOINT_DETAIL_KNOWN_STORES_HPP
#define STET_CHECKPOINT_DETAIL_KNOWN_STORES_HPP

#include "../delta.hpp"
#include "stated_base.hpp"

#include "../../source/file.hpp"
#include "../../writer/detail/parts.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The identity of the file at a path; nothing if there is no regular file.
/// Errors: what the operating system reports.
inline result<std::optional<file_identity>> identity_of(std::string_view path_utf8) {
  const result<file> opened = file::open(path_utf8);
  if (opened) return std::optional(opened->identity());
  if (is_of_contents(opened.error()) || opened.error().code() == errc::file_not_found)
    return std::optional<file_identity>();
  return opened.error();
}

/// A file of a folder, with the files that it needs.
struct known_store {
  store_kind kind = store_kind::none;
  /// True if the file and everything that it builds on can be opened.
  bool is_sound = false;
  /// The other files that it needs: its parts or shards and, for a delta, the base.
  std::vector<std::string> needs;
  /// The base of a delta.
  std::string base;
  /// The files that these properties depend on, its own first, with their identities at that time.
  std::vector<std::pair<std::string, std::optional<file_identity>>> seen;
  /// True if these properties are valid as long as these files do not change. A damaged store may be repaired by a file that
  /// is not among them.
  bool is_final = false;

  [[nodiscard]] std::optional<file_identity> identity() const { return seen.front().second; }
};

/// The stores of a folder. A store is read again when a file that it builds on has changed: the folder is the truth.
class known_stores {
public:
  /// @param folder  "" or ending in a separator
  explicit known_stores(std::string folder) : folder_(std::move(folder)) {}

  /// The properties of the file called `name`; valid until the next call for the same name, or `keep_only`.
  /// @retval errc::file_not_found  there is no such file
  /// After any error the properties are unknown, so nothing may be removed.
  /// Cost: three system calls for each file that it builds on; the first time also that of `open_checkpoint`.
  result<const known_store*> look_at(const std::string& name) {
    const auto known = all_.find(name);
    if (known != all_.end() && known->second.is_final) {
      const result<bool> is_current = is_as_seen(known->second);
      if (!is_current) return is_current.error();
      if (*is_current) return &known->second;
    }
    result<known_store> found = look_closely_at(name);
    if (!found) return found.error();
    return &(all_[name] = std::move(*found));
  }

  /// The other files that some stores need, including those that their bases need. Names of missing files are ignored.
  result<std::set<std::string>> needed_by(std::vector<std::string> names) {
    std::set<std::string> needed;
    while (!names.empty()) {
      const std::string name = std::move(names.back());
      names.pop_back();
      const result<const known_store*> known = look_at(name);
      if (!known && known.error().code() == errc::file_not_found) continue;
      if (!known) return known.error();
      for (const std::string& each : (*known)->needs) {
        if (needed.insert(each).second && each == (*known)->base) names.push_back(each);
      }
    }
    return needed;
  }

  /// Forgets all stores except these.
  /// @param names  ascending
  void keep_only(const std::vector<std::string>& names) {
    std::erase_if(all_, [&](const auto& each) { return !std::binary_search(names.begin(), names.end(), each.first); });
  }

private:
  result<bool> is_as_seen(const known_store& known) const {
    for (const auto& [name, identity] : known.seen) {
      const auto now = identity_of(folder_ + name);
      if (!now) return now.error();
      if (*now != identity) return false;
    }
    return true;
  }

  result<known_store> look_closely_at(const std::string& name) const {
    known_store found;
    const std::string path = folder_ + name;
    // Identities first: a file that changes while it is read then has another identity.
    std::string at = name;
    for (std::size_t depth = 0; depth < max_delta_depth && !at.empty(); ++depth) {
      const auto identity = identity_of(folder_ + at);
      if (!identity) return identity.error();
      found.seen.emplace_back(at, *identity);
      const auto stated = read_stated_base(folder_ + at);
      if (!stated && !is_of_contents(stated.error()) && stated.error().code() != errc::file_not_found)
        return stated.error();
      if (depth == 0) {
        if (!stated && stated.error().code() == errc::file_not_found) return stated.error();
        if (stated) found.kind = stated->kind;
        if (stated) found.base = stated->base;
      }
      at = stated ? stated->base : std::string();
    }
    if (found.kind == store_kind::none) {
      found.is_final = is_settled(found);
      return found;
    }
    const result<checkpoint_store> opened = open_checkpoint(path);
    if (opened) {
      found.is_sound = true;
      for (std::size_t i = 0; i < opened->file_count(); ++i) {
        const tensor_index& index = opened->file(i).index();
        for (std::uint32_t part = 0; part < index.part_count(); ++part) {
          std::string part_name(index.part(part).path);
          if (!is_file_part(part_name)) continue;
          const auto identity = identity_of(folder_ + part_name);
          if (!identity) return identity.error();
          if (i == 0) found.needs.push_back(part_name);
          found.seen.emplace_back(std::move(part_name), *identity);
        }
      }
      found.is_final = is_settled(found);
    } else if (!is_of_contents(opened.error())) {
      return opened.error();
    } else if (const auto own =
                   open(path, found.kind == store_kind::loose ? open_options{.read_manifest = read_manifest}
                                                              : open_options())) {
      for (std::uint32_t part = 0; part < own->index().part_count(); ++part)
        found.needs.emplace_back(own->index().part(part).path);
    } else if (auto shards = listed_shards(path)) {
      found.needs = shards->empty() ? listed_parts(path) : std::move(*shards);
    } else if (!is_of_contents(shards.error())) {
      return shards.error();
    }
    if (!found.base.empty()) found.needs.push_back(found.base);
    return found;
  }

  /// True if every file has been unchanged for so long that the next change gives it another time on any file system. The clock
  /// of FAT has ticks of 2 seconds.
  static bool is_settled(const known_store& found) {
    constexpr std::chrono::nanoseconds longest_tick = std::chrono::seconds(3);
    const auto now =
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch());
    const auto last = static_cast<std::uint64_t>((now - longest_tick).count());
    return std::all_of(found.seen.begin(), found.seen.end(),
                       [last](const auto& each) { return !each.second || each.second->changed_ns < last; });
  }

  std::string folder_;
  std::map<std::string, known_store> all_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
