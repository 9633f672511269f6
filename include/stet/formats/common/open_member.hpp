// SPDX-License-Identifier: MIT
// The bytes of a member of a zip archive, decompressed if needed.
#ifndef STET_FORMATS_COMMON_OPEN_MEMBER_HPP
#define STET_FORMATS_COMMON_OPEN_MEMBER_HPP

#include "finish_model.hpp"

#include "../../bytes/crc32.hpp"
#include "../../source/source.hpp"
#include "../../vocabulary/inflate.hpp"
#include "../../wire/zip.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace stet::inline STET_NAMESPACE::detail {

/// The bytes of a member: borrowed from the archive if they are stored, else decompressed, and then checked.
/// @retval errc::compressed       they are deflated, and `inflate` is nullptr; or compressed in another way
/// @retval errc::bad_compression  they are not valid
/// @retval errc::bad_archive      they cannot become as many as the directory says, or became others
inline result<source> open_member(std::span<const std::byte> archive, const zip_member& member,
                                  inflate_function inflate, memory_resource* memory = nullptr) {
  const std::span<const std::byte> stored = archive.subspan(static_cast<std::size_t>(member.offset_bytes),
                                                            static_cast<std::size_t>(member.stored_size_bytes));
  if (member.method == zip_member::is_stored) return source::borrow(stored);
  if (member.method != zip_member::is_deflated || inflate == nullptr)
    return error(errc::compressed, member.name, member.offset_bytes);
  if (member.size_bytes / max_inflation > member.stored_size_bytes)
    return error(errc::bad_archive, member.name, member.offset_bytes);
  result<source> made = source::allocate(member.size_bytes, memory);
  if (!made) return made;
  if (!inflate(stored.data(), stored.size(), made->writable_data(), static_cast<std::size_t>(made->size_bytes()),
               false)) {
    return error(errc::bad_compression, member.name, member.offset_bytes);
  }
  if (crc32(bytes_in(*made)) != member.crc32) return error(errc::bad_archive, member.name, member.offset_bytes);
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
