// SPDX-License-Identifier: MIT
// Undoes the filters of HDF5: the standard ones except n-bit, and LZF and LZ4. Deflate needs an adapter.
#ifndef STET_FORMATS_HDF5_DETAIL_FILTERS_HPP
#define STET_FORMATS_HDF5_DETAIL_FILTERS_HPP

#include "filter_sizes.hpp"
#include "packed_filters.hpp"

#include "../../../source/source.hpp"
#include "../../../vocabulary/detail/checked.hpp"
#include "../../../vocabulary/inflate.hpp"
#include "../../../wire/hdf5/checksum.hpp"
#include "../../../wire/hdf5/layout.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Decompresses LZF. A control byte n below 32 begins n + 1 literals. Any other begins a match: its upper 3 bits are the
/// length - 2, and if they are 7, the next byte is added; its lower 5 bits and the next byte are the distance - 1.
/// @return false if the bytes are invalid or do not fill `into`
/// Source: Marc Lehmann, liblzf 3.6.
inline bool decompress_lzf(std::span<const std::byte> from, std::span<std::byte> into) noexcept {
  std::size_t at = 0, written = 0;
  while (at < from.size()) {
    std::size_t control = static_cast<std::size_t>(from[at++]);
    if (control < 32) {
      if (++control > from.size() - at || control > into.size() - written) return false;
      std::memcpy(into.data() + written, from.data() + at, control);
      at += control, written += control;
      continue;
    }
    std::size_t length = control >> 5;
    if (length == 7 && at < from.size()) length += static_cast<std::size_t>(from[at++]);
    if (at == from.size()) return false;
    const std::size_t distance = ((control & 31) << 8 | static_cast<std::size_t>(from[at++])) + 1;
    length += 2;
    if (distance > written || length > into.size() - written) return false;
    for (; length != 0; --length, ++written) into[written] = into[written - distance];
  }
  return written == into.size();
}

/// Decompresses one block of LZ4: token | more length of literals | literals | u16 distance | more length of the match.
/// Source: lz4/lz4, doc/lz4_Block_format.md.
inline bool decompress_lz4(std::span<const std::byte> from, std::span<std::byte> into) noexcept {
  std::size_t at = 0, written = 0;
  const auto add_length = [&](std::size_t& length) {
    if (length != 15) return true;
    for (;;) {
      if (at == from.size()) return false;
      const std::size_t more = static_cast<std::size_t>(from[at++]);
      length += more;
      if (more != 255) return true;
    }
  };
  while (at < from.size()) {
    const std::size_t token = static_cast<std::size_t>(from[at++]);
    std::size_t literals = token >> 4, length = token & 15;
    if (!add_length(literals) || literals > from.size() - at || literals > into.size() - written) return false;
    if (literals != 0) std::memcpy(into.data() + written, from.data() + at, literals);
    at += literals, written += literals;
    if (at == from.size()) break; // the last sequence has no match
    if (from.size() - at < 2) return false;
    const std::size_t distance = load_little<std::uint16_t>(from.data() + at);
    at += 2;
    if (!add_length(length)) return false;
    length += 4;
    if (distance == 0 || distance > written || length > into.size() - written) return false;
    for (; length != 0; --length, ++written) into[written] = into[written - distance];
  }
  return written == into.size();
}

/// Decompresses the LZ4 filter of HDF5: u64 size | u32 size of a block | blocks, all big-endian. A block is its u32 size
/// in the file and its bytes; a block that does not get smaller is stored uncompressed.
/// Source: the registered filter 32004, nexusformat/HDF5-External-Filter-Plugins.
inline bool decompress_lz4_blocks(std::span<const std::byte> from, std::span<std::byte> into) noexcept {
  if (from.size() < 12) return false;
  const std::uint64_t size = byte_swapped(load_little<std::uint64_t>(from.data()));
  const std::uint32_t block = byte_swapped(load_little<std::uint32_t>(from.data() + 8));
  if (size != into.size() || (block == 0 && size != 0)) return false;
  std::size_t at = 12;
  for (std::size_t written = 0; written < into.size();) {
    const std::size_t some = into.size() - written < block ? into.size() - written : block;
    if (from.size() - at < 4) return false;
    const std::uint32_t stored = byte_swapped(load_little<std::uint32_t>(from.data() + at));
    at += 4;
    if (stored > from.size() - at) return false;
    if (stored == some) {
      std::memcpy(into.data() + written, from.data() + at, some);
    } else if (!decompress_lz4(from.subspan(at, stored), into.subspan(written, some))) {
      return false;
    }
    at += stored, written += some;
  }
  return true;
}

/// Undoes the shuffle filter, which stores all first bytes of the elements, then all second bytes, and so on.
inline void unshuffle(std::span<const std::byte> from, std::span<std::byte> into, std::size_t element_size) noexcept {
  const std::size_t count = element_size < 2 ? 0 : from.size() / element_size;
  for (std::size_t byte = 0; byte < element_size && count != 0; ++byte) {
    for (std::size_t i = 0; i < count; ++i) into[i * element_size + byte] = from[byte * count + i];
  }
  const std::size_t done = count * element_size; // the filter leaves an incomplete last element unchanged
  if (done < from.size()) std::memcpy(into.data() + done, from.data() + done, from.size() - done);
}

/// The first filter that cannot be undone; nullptr if all can.
inline const hdf5_filter* first_unsupported_filter(const std::vector<hdf5_filter>& filters,
                                                   inflate_function inflate) noexcept {
  for (const hdf5_filter& each : filters) {
    switch (each.id) {
    case hdf5_filter::shuffle:
    case hdf5_filter::fletcher:
    case hdf5_filter::lzf:
    case hdf5_filter::lz4:
    case hdf5_filter::szip:
    case hdf5_filter::scale_offset:
      continue;
    case hdf5_filter::deflate:
      if (inflate != nullptr) continue;
      break;
    default:
      break;
    }
    return &each;
  }
  return nullptr;
}

/// The name of a registered filter; empty if the table lacks it.
/// Source: The HDF Group, "Registered Filter Plugins".
inline std::string_view registered_filter_name(std::uint16_t id) noexcept {
  static constexpr struct {
    std::uint16_t id;
    std::string_view name;
  } known[] = {{305, "lzo"},         {307, "bzip2"},        {32001, "blosc"},  {32002, "mafisc"},   {32003, "snappy"},
               {32005, "apax"},      {32008, "bitshuffle"}, {32009, "spdp"},   {32010, "lpc-rice"}, {32012, "jpeg-ls"},
               {32013, "zfp"},       {32014, "fpzip"},      {32015, "zstd"},   {32016, "b3d"},      {32017, "sz"},
               {32018, "fcidecomp"}, {32019, "jpeg"},       {32020, "vbz"},    {32022, "bitgroom"}, {32023, "bitround"},
               {32024, "sz3"},       {32025, "delta-rice"}, {32026, "blosc2"}, {32027, "flac"}};
  for (const auto& each : known) {
    if (each.id == id) return each.name;
  }
  return {};
}

/// The error of reading the dataset `name`, which has a filter that cannot be undone: errc::compressed for deflate, else
/// errc::unsupported with the subject "filter 32001 (blosc; h5repack -f NONE removes it) of NAME".
inline error error_of_obstacle(const hdf5_filter& filter, std::string_view name) {
  if (filter.id == hdf5_filter::deflate) return error(errc::compressed, name);
  std::string text = filter.id == hdf5_filter::nbit ? "nbit" : "filter " + std::to_string(filter.id);
  std::string_view known = registered_filter_name(filter.id);
  constexpr std::size_t usual_name_size = 16; // so that the name of the dataset is not cut
  if (known.empty()) known = filter.name.substr(0, (std::min)(usual_name_size, filter.name.find_first_of(" ;:")));
  text += " (";
  if (!known.empty() && filter.id != hdf5_filter::nbit) text.append(known).append("; ");
  return error(errc::unsupported, text.append("h5repack -f NONE removes it) of ").append(name));
}

/// True if a filter changes the size of the bytes by more than a checksum.
inline bool is_compressor(const hdf5_filter& filter) noexcept {
  return filter.id != hdf5_filter::shuffle && filter.id != hdf5_filter::fletcher;
}

/// Undoes the filters of one chunk.
/// @param mask        the filters that were not applied to the chunk, one bit each
/// @param stored      the bytes of the chunk in the file
/// @param size_bytes  the size of the chunk without filters
/// @return            the elements of the chunk; a few more bytes may follow them
/// @retval errc::bad_compression    the bytes are invalid
/// @retval errc::checksum_mismatch  the bytes are damaged
/// @retval errc::too_large          the chunk is larger than the bytes can be when decompressed
/// Cost: allocates the size of the chunk, twice if there are two filters; nothing without filters.
inline result<source> undo_filters(const std::vector<hdf5_filter>& filters, std::uint32_t mask, source&& stored,
                                   std::uint64_t size_bytes, inflate_function inflate,
                                   memory_resource* memory = nullptr) {
  const auto is_applied = [&](std::size_t i) { return (mask >> i & 1) == 0; };
  // The smallest chunk of scale-offset is only a minimum, for any number of elements that are equal to it.
  constexpr std::uint64_t harmless = std::uint64_t{16} << 20;
  std::uint64_t least = 0, checksums = 0, first_compressor = filters.size();
  for (std::size_t i = filters.size(); i-- > 0;) {
    if (!is_applied(i)) continue;
    if (filters[i].id == hdf5_filter::scale_offset) least = harmless;
    if (is_compressor(filters[i])) first_compressor = i;
  }
  // A checksum has 4 bytes. If it was made before the first compression, it is compressed, too.
  for (std::size_t i = 0; i < first_compressor && i < filters.size(); ++i)
    checksums += is_applied(i) && filters[i].id == hdf5_filter::fletcher ? 4u : 0u;
  if (size_bytes > least && size_bytes / max_inflation > stored.size_bytes() + 64) return errc::too_large;
  source held = std::move(stored);
  std::span<const std::byte> bytes(held.data(), static_cast<std::size_t>(held.size_bytes()));
  for (std::size_t i = filters.size(); i-- > 0;) {
    if (!is_applied(i)) continue;
    const hdf5_filter& filter = filters[i];
    if (filter.id == hdf5_filter::fletcher) {
      if (bytes.size() < 4) return errc::bad_compression;
      const std::uint32_t stored_checksum = load_little<std::uint32_t>(bytes.data() + bytes.size() - 4);
      bytes = bytes.first(bytes.size() - 4);
      const std::uint32_t actual = fletcher32(bytes);
      // Before HDF5 1.6.3, little-endian machines swapped the bytes of each half.
      const std::uint32_t turned = (actual & 0x00FF00FFu) << 8 | (actual >> 8 & 0x00FF00FFu);
      if (stored_checksum != actual && stored_checksum != turned) return errc::checksum_mismatch;
      continue;
    }
    // Undoing the first compressor gives the chunk. Undoing a later one gives the output of the compressor before it.
    std::uint64_t made_size = i == first_compressor ? size_bytes + checksums : bytes.size();
    if (is_compressor(filter) && i != first_compressor) {
      // No compressor expands its input by more than this.
      const std::uint64_t most = size_bytes * 2 + 4096;
      if (!measure_decompressed(filter, bytes, most, made_size)) return errc::bad_compression;
    }
    result<source> made = source::allocate(made_size, memory);
    if (!made) return made.error();
    const std::span<std::byte> into(made->writable_data(), static_cast<std::size_t>(made->size_bytes()));
    bool is_valid = true;
    switch (filter.id) {
    case hdf5_filter::shuffle:
      unshuffle(bytes, into, filter.value);
      break;
    case hdf5_filter::lzf:
      is_valid = decompress_lzf(bytes, into);
      break;
    case hdf5_filter::lz4:
      is_valid = decompress_lz4_blocks(bytes, into);
      break;
    case hdf5_filter::szip:
      is_valid = decompress_szip(bytes, into, filter.values);
      break;
    case hdf5_filter::scale_offset:
      is_valid = decompress_scale_offset(bytes, into, filter.values);
      break;
    default:
      is_valid = inflate != nullptr && inflate(bytes.data(), bytes.size(), into.data(), into.size(), true);
    }
    if (!is_valid) return errc::bad_compression;
    held = std::move(*made);
    bytes = {held.data(), static_cast<std::size_t>(held.size_bytes())};
  }
  if (bytes.size() != size_bytes) return errc::bad_compression;
  return held;
}

/// Undoes the filters of a block of a heap (wire/hdf5/heap.hpp). Errors: those of `error_of_obstacle` and `undo_filters`;
/// errc::bad_hdf5 for a pipeline that is damaged. Cost: that of `undo_filters`, and a copy.
inline result<void> undo_heap_filters(std::span<const std::byte> pipeline, std::uint32_t mask,
                                      std::span<const std::byte> stored, std::span<std::byte> into,
                                      inflate_function inflate) {
  std::vector<hdf5_filter> filters;
  if (!read_filters(pipeline, filters)) return errc::bad_hdf5;
  if (const hdf5_filter* const obstacle = first_unsupported_filter(filters, inflate))
    return obstacle->id == hdf5_filter::deflate ? error(errc::compressed) : error_of_obstacle(*obstacle, "a group");
  const result<source> made = undo_filters(filters, mask, source::borrow(stored), into.size(), inflate);
  if (!made) return made.error();
  if (!into.empty()) std::memcpy(into.data(), made->data(), into.size());
  return {};
}

/// Opens the structures of an HDF5 file, heaps with filters included. Errors: those of `hdf5_file::open`.
inline result<hdf5_file> open_hdf5_file(std::span<const std::byte> bytes, inflate_function inflate) noexcept {
  result<hdf5_file> made = hdf5_file::open(bytes);
  if (made) made->read_filters_with(undo_heap_filters, inflate);
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
