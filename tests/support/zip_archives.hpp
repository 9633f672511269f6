// SPDX-License-Identifier: MIT
// Makes zip archives as a test wants them, sound or not: every field that says something can be made to lie.
#ifndef STET_TESTS_SUPPORT_ZIP_ARCHIVES_HPP
#define STET_TESTS_SUPPORT_ZIP_ARCHIVES_HPP

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet_test {

/// CRC-32 as zip archives have it.
inline std::uint32_t zip_crc32(std::string_view bytes) {
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char each : bytes) {
    crc ^= static_cast<unsigned char>(each);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1u) != 0 ? 0xEDB88320u : 0u);
  }
  return ~crc;
}

inline std::string little(std::uint64_t value, std::size_t size_bytes) {
  std::string bytes;
  for (std::size_t i = 0; i < size_bytes; ++i) bytes += static_cast<char>(value >> 8 * i & 0xFFu);
  return bytes;
}

/// Extra field 1 with these values.
inline std::string zip64_field(std::initializer_list<std::uint64_t> values) {
  std::string bytes = little(1, 2) + little(values.size() * 8, 2);
  for (const std::uint64_t each : values) bytes += little(each, 8);
  return bytes;
}

/// What both a local header and a central entry say.
struct zip_header {
  std::string name;
  std::uint16_t flags = 0, method = 0;
  std::uint32_t crc32 = 0, stored_size = 0, size = 0;
  std::string extra = {};

  [[nodiscard]] std::string fields() const {
    return little(flags, 2) + little(method, 2) + little(0x00210000, 4) + little(crc32, 4) + little(stored_size, 4) +
           little(size, 4) + little(name.size(), 2) + little(extra.size(), 2);
  }
};

struct made_member {
  zip_header local, central;
  std::string data;
  /// Before the local header, and behind the data.
  std::string gap = {}, descriptor = {};
  std::string comment = {};
  std::uint16_t disk = 0;
  /// Of the local header, where it is not where it is.
  std::optional<std::uint32_t> offset = std::nullopt;

  /// A sound one. Of a deflated one, `data` is what is stored.
  made_member(const std::string& name, const std::string& bytes) : data(bytes) {
    local.name = name;
    local.crc32 = zip_crc32(bytes);
    local.stored_size = local.size = static_cast<std::uint32_t>(bytes.size());
    central = local;
  }
  /// Another method: what `size` bytes became.
  made_member(const std::string& name, std::uint16_t method, const std::string& stored, std::uint32_t size)
      : made_member(name, stored) {
    local.method = central.method = method;
    local.size = central.size = size;
  }
};

struct made_archive {
  std::vector<made_member> members;
  std::string comment = {};
  /// Between the last member and the directory; and before the end record: a ZIP64 record and its locator.
  std::string gap = {}, end64 = {};
  std::uint16_t disk = 0, first_disk = 0;
  std::optional<std::uint32_t> here = std::nullopt, count = std::nullopt, directory_size = std::nullopt,
                               directory = std::nullopt;

  [[nodiscard]] std::string bytes() const {
    std::string made, entries;
    for (const made_member& each : members) {
      made += each.gap;
      const std::size_t at = made.size();
      made += "PK\3\4" + little(20, 2) + each.local.fields() + each.local.name + each.local.extra + each.data +
              each.descriptor;
      entries += "PK\1\2" + little(20, 2) + little(20, 2) + each.central.fields() + little(each.comment.size(), 2) +
                 little(each.disk, 2) + little(0, 6) + little(each.offset.value_or(static_cast<std::uint32_t>(at)), 4) +
                 each.central.name + each.central.extra + each.comment;
    }
    made += gap;
    const std::size_t at = made.size();
    made += entries + end64 + "PK\5\6" + little(disk, 2) + little(first_disk, 2) +
            little(here.value_or(static_cast<std::uint32_t>(members.size())), 2) +
            little(count.value_or(static_cast<std::uint32_t>(members.size())), 2) +
            little(directory_size.value_or(static_cast<std::uint32_t>(entries.size())), 4) +
            little(directory.value_or(static_cast<std::uint32_t>(at)), 4) + little(comment.size(), 2) + comment;
    return made;
  }
};

/// A ZIP64 end record and its locator for an archive whose directory has these numbers; `extensible` stands at
/// the record's end.
inline std::string zip64_end(std::uint64_t count, std::uint64_t size, std::uint64_t directory,
                             const std::string& extensible = "") {
  return "PK\6\6" + little(44 + extensible.size(), 8) + little(45, 2) + little(45, 2) + little(0, 8) +
         little(count, 8) + little(count, 8) + little(size, 8) + little(directory, 8) + extensible + "PK\6\7" +
         little(0, 4) + little(directory + size, 8) + little(1, 4);
}

/// A sound archive of stored members.
inline std::string zip_of(const std::vector<std::pair<std::string, std::string>>& members) {
  made_archive made;
  for (const auto& [name, data] : members) made.members.emplace_back(name, data);
  return made.bytes();
}

} // namespace stet_test

#endif
