// SPDX-License-Identifier: MIT
// A zip archive on demand, of which some members are read into memory and the others are left out.
#ifndef STET_FORMATS_COMMON_THIN_ARCHIVE_HPP
#define STET_FORMATS_COMMON_THIN_ARCHIVE_HPP

#include "../../source/source.hpp"
#include "../../wire/zip.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Reads the members for which `is_wanted(member)` holds, one behind the other in the order of the file, behind the first four bytes of
/// an archive. Sets `left_out_bytes` of all members, by which `open_member` finds those that were read.
/// @param file     the whole archive
/// @param members  those of its directory, none of which overlap
/// @retval errc::out_of_memory; or an error of the reader
/// Cost: one allocation of the members' stored sizes, a read for each.
template <class IsWanted>
result<source> read_some_members(const byte_reader& file, std::vector<zip_member>& members, const IsWanted& is_wanted,
                                 memory_resource* memory) {
  constexpr std::size_t mark_size = 4;
  std::vector<zip_member*> wanted;
  std::uint64_t size = mark_size;
  for (zip_member& each : members) {
    if (!is_wanted(each)) continue;
    wanted.push_back(&each);
    size += each.stored_size_bytes; // apart from each other in the file, so that this does not overflow
  }
  std::sort(wanted.begin(), wanted.end(),
            [](const zip_member* a, const zip_member* b) { return a->offset_bytes < b->offset_bytes; });
  result<source> made = source::allocate(size, memory);
  if (!made) return made;
  std::byte* const into = made->writable_data();
  if (auto read = file.read(0, writable_bytes_at(into, mark_size)); !read) return read.error();
  for (zip_member& each : members) each.left_out_bytes = each.offset_bytes - (std::min)(each.offset_bytes, size);
  std::size_t at = mark_size;
  for (zip_member* const each : wanted) {
    const auto member_size = static_cast<std::size_t>(each->stored_size_bytes);
    if (auto read = file.read(each->offset_bytes, writable_bytes_at(into + at, member_size)); !read)
      return read.error();
    each->left_out_bytes = each->offset_bytes - at;
    at += member_size;
  }
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
