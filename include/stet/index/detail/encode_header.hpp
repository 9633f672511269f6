// SPDX-License-Identifier: MIT
// Makes the header of a native file: computes the offsets of the sections, and writes the 128 bytes.
#ifndef STET_INDEX_DETAIL_ENCODE_HEADER_HPP
#define STET_INDEX_DETAIL_ENCODE_HEADER_HPP

#include "../format.hpp"

#include "../../vocabulary/detail/spans.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace stet::inline STET_NAMESPACE {

/// Sets the offsets of the sections of `header`, and the size of the file, from the sizes of the sections.
/// @param data_alignment_bytes  a power of two that the data begin at a multiple of, beside that of the tensors
/// @retval errc::too_large      the file would exceed 2^63 bytes
/// @retval errc::bad_alignment  `header.alignment_bytes` is not a valid alignment
constexpr result<void> place_sections(file_header& header, std::uint64_t data_alignment_bytes = 64) noexcept {
  if (!is_valid_alignment(header.alignment_bytes)) return errc::bad_alignment;
  const std::uint64_t data_alignment =
      header.alignment_bytes < data_alignment_bytes ? data_alignment_bytes : header.alignment_bytes;
  std::uint64_t end = 0;
  header.manifest_offset_bytes = file_header::size_bytes;
  bool fits = detail::checked_add(header.manifest_offset_bytes, header.manifest_size_bytes, end);
  if (header.index_size_bytes != 0) {
    fits = fits && detail::checked_align_up(end, 64, header.index_offset_bytes);
    fits = fits && detail::checked_add(header.index_offset_bytes, header.index_size_bytes, end);
  } else {
    header.index_offset_bytes = 0;
  }
  fits = fits && detail::checked_align_up(end, data_alignment, header.data_offset_bytes);
  fits = fits && detail::checked_add(header.data_offset_bytes, header.data_size_bytes, header.file_size_bytes);
  if (!fits || header.file_size_bytes > max_tensor_size_bytes) return errc::too_large;
  return {};
}

/// Writes the 128 bytes of `header`, checksum included.
inline void encode_header(const file_header& header, std::span<std::byte, file_header::size_bytes> bytes) noexcept {
  namespace header_field = detail::header_field;
  std::byte* at = bytes.data();
  std::memset(at, 0, bytes.size());
  std::memcpy(at, file_header::magic, sizeof file_header::magic);
  header_field::version.store(at, header.version);
  header_field::minimum_reader.store(at, header.minimum_reader);
  header_field::file_size.store(at, header.file_size_bytes);
  header_field::header_size.store(at, static_cast<std::uint32_t>(file_header::size_bytes));
  header_field::alignment.store(at, header.alignment_bytes);
  header_field::manifest_offset.store(at, header.manifest_offset_bytes);
  header_field::manifest_size.store(at, header.manifest_size_bytes);
  header_field::index_offset.store(at, header.index_offset_bytes);
  header_field::index_size.store(at, header.index_size_bytes);
  header_field::data_offset.store(at, header.data_offset_bytes);
  header_field::data_size.store(at, header.data_size_bytes);
  header_field::manifest_crc32c.store(at, header.manifest_crc32c);
  header_field::index_crc32c.store(at, header.index_crc32c);
  header_field::kind.store(at, static_cast<std::uint32_t>(header.kind));
  header_field::part_number.store(at, header.part_number);
  header_field::part_count.store(at, header.part_count);
  header_field::content_id.store(at, header.content_id);
  header_field::header_crc32c.store(at, crc32c(detail::bytes_at(at, header_field::header_crc32c.offset)));
}

} // namespace stet::inline STET_NAMESPACE

#endif
