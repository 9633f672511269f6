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

/// The stored bytes of a member.
/// @param archive  all of it, or what read_some_members (thin_archive.hpp) read of it
/// @retval errc::not_resident  that was not this member
inline result<std::span<const std::byte>> stored_bytes_of(std::span<const std::byte> archive,
                                                          const zip_member& member) noexcept {
  const std::uint64_t at = member.offset_bytes - member.left_out_bytes;
  if (!range_fits(at, member.stored_size_bytes, archive.size()))
    return error(errc::not_resident, member.name, member.offset_bytes);
  return archive.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(member.stored_size_bytes));
}

/// The bytes of a compressed member, which are then checked.
/// @param decompress  called with the stored bytes and the memory for what they become; false: they are not valid
/// Errors: that of stored_bytes_of, and
/// @retval errc::bad_compression  they are not valid
/// @retval errc::bad_archive      they cannot become as many as the directory says, or became others
template <class Decompress>
result<source> decompress_member(std::span<const std::byte> archive, const zip_member& member, memory_resource* memory,
                                 Decompress decompress) {
  const auto stored = stored_bytes_of(archive, member);
  if (!stored) return stored.error();
  if (member.size_bytes / max_inflation > member.stored_size_bytes)
    return error(errc::bad_archive, member.name, member.offset_bytes);
  result<source> made = source::allocate(member.size_bytes, memory);
  if (!made) return made;
  const std::span<std::byte> into(made->writable_data(), static_cast<std::size_t>(made->size_bytes()));
  if (!decompress(*stored, into)) return error(errc::bad_compression, member.name, member.offset_bytes);
  if (crc32(bytes_in(*made)) != member.crc32) return error(errc::bad_archive, member.name, member.offset_bytes);
  return made;
}

/// The bytes of a member: borrowed from the archive if they are stored, else decompressed, and then checked.
/// @retval errc::compressed  they are deflated, and `inflate` is nullptr; or compressed in another way
/// or an error of decompress_member
inline result<source> open_member(std::span<const std::byte> archive, const zip_member& member,
                                  inflate_function inflate, memory_resource* memory = nullptr) {
  if (member.method == zip_member::is_stored) {
    const auto stored = stored_bytes_of(archive, member);
    if (!stored) return stored.error();
    return source::borrow(*stored);
  }
  if (member.method != zip_member::is_deflated || inflate == nullptr)
    return error(errc::compressed, member.name, member.offset_bytes);
  return decompress_member(archive, member, memory, [&](std::span<const std::byte> from, std::span<std::byte> into) {
    return inflate(from.data(), from.size(), into.data(), into.size(), false);
  });
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
