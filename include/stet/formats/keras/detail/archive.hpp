// SPDX-License-Identifier: MIT
// The members of a .keras file, and the shards of a sharded file.
#ifndef STET_FORMATS_KERAS_DETAIL_ARCHIVE_HPP
#define STET_FORMATS_KERAS_DETAIL_ARCHIVE_HPP

#include "../../../bytes/crc32.hpp"
#include "../../../json.hpp"
#include "../../../manifest/manifest.hpp"
#include "../../../source/source.hpp"
#include "../../../vocabulary/inflate.hpp"
#include "../../../wire/zip.hpp"

#include "../../common/json_members.hpp"
#include "../../common/finish_model.hpp"
#include "../../common/open_member.hpp"
#include "../../model.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

inline constexpr std::string_view keras_weights_member = "model.weights.h5", keras_config_member = "config.json",
                                  keras_metadata_member = "metadata.json";

/// The member called `name`; nullptr if there is none.
inline const zip_member* find_member(const std::vector<zip_member>& members, std::string_view name) noexcept {
  for (const zip_member& each : members) {
    if (each.name == name) return &each;
  }
  return nullptr;
}

/// The text of a member as JSON; null if there is no such member.
/// Errors: those of open_member and parse_json; errc::bad_archive also if its checksum is wrong.
inline result<json_value> read_json_member(std::span<const std::byte> archive, const std::vector<zip_member>& members,
                                           std::string_view name, inflate_function inflate,
                                           memory_resource* memory = nullptr) {
  const zip_member* const member = find_member(members, name);
  if (member == nullptr) return json_value();
  // Before it is decompressed: nobody's description is so long.
  if (const std::uint64_t most = manifest_limits().size_bytes; member->size_bytes > most)
    return error(errc::too_large, name, most);
  const result<source> text = open_member(archive, *member, inflate, memory);
  if (!text) return text.error();
  if (crc32(bytes_in(*text)) != member->crc32) return error(errc::bad_archive, name, member->offset_bytes);
  result<json_value> parsed =
      parse_json({reinterpret_cast<const char*>(text->data()), static_cast<std::size_t>(text->size_bytes())});
  return parsed || !parsed.error().subject().empty() ? std::move(parsed)
                                                     : result<json_value>(parsed.error().about(name));
}

/// The files that the index of a sharded model names, each with the groups that it has something of.
using keras_shards = std::map<std::string, std::vector<std::string>>;

/// Reads them.
/// @retval errc::wrong_type  it is not {"weight_map": {GROUP: FILE or [FILE …]}}, the subject says what
inline result<keras_shards> read_keras_shards(const json_value& index) {
  const json_value* const groups = find_member(index, "weight_map");
  if (groups == nullptr || !groups->is_object()) return error(errc::wrong_type, "weight_map");
  keras_shards made;
  const auto add = [&](const std::string& group, const json_value& file) {
    if (file.is_string()) made[std::string(string_or_empty(&file))].push_back(group);
    return file.is_string();
  };
  for (const auto& [group, where] : groups->items()) {
    const json_value::array_t* const files = elements_of(&where);
    const bool are_files = files == nullptr
                               ? add(group, where)
                               : std::all_of(files->begin(), files->end(),
                                             [&, &name = group](const json_value& each) { return add(name, each); });
    if (!are_files) return error(errc::wrong_type, group);
  }
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
