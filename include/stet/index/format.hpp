// SPDX-License-Identifier: MIT
// The native file, byte by byte: the specification in prose, its constants, and the header.
#ifndef STET_INDEX_FORMAT_HPP
#define STET_INDEX_FORMAT_HPP

#include "../bytes/crc32c.hpp"
#include "../vocabulary/detail/checked.hpp"
#include "../vocabulary/detail/endian.hpp"
#include "../vocabulary/result.hpp"
#include "../vocabulary/shape.hpp"
#include "../vocabulary/detail/spans.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

// The stet format, version 1
// ==========================
//
// A store is one file. All integers are little-endian and unsigned; all offsets are absolute, from the first byte of the
// file (or of the range of a larger file that holds the store). Checksums are CRC-32C.
//
//   header     128 bytes
//   manifest   UTF-8 JSON, for people and other languages; it is normative (see manifest/manifest.hpp)
//   index      binary, for stet; it holds the same as the manifest and can be rebuilt from it
//   data       the tensors' bytes, each tensor at a multiple of the alignment
//
// The sections have this order. The manifest begins at byte 128, the index at the next multiple of 64 after it, the data
// at the next multiple of the alignment (at least 64, and of a page where a tensor has whole pages, see "Data") after that. Bytes
// between sections and between tensors are zero.
//
// Header
//   at  bytes
//    0   8   magic: 89 53 54 45 54 0D 0A 1A ("\x89STET\r\n\x1A": not text, damaged visibly by line-end conversion)
//    8   4   version of the format that the writer followed: 1
//   12   4   the least version a reader must know to read the file correctly: 1
//   16   8   size of the file
//   24   4   size of this header: 128
//   28   4   alignment of tensors: a power of two, 1 … 65536
//   32   8   offset of the manifest    40   8   its size
//   48   8   offset of the index       56   8   its size; 0: there is no index, the store opens through its manifest
//   64   8   offset of the data        72   8   its size; data and file end together
//   80   4   checksum of the manifest  84   4   checksum of the index
//   88   4   kind: 0 a store, 1 a part of a sharded store
//   92   4   kind 1: the number of this part, from 0; kind 0: 0
//   96   4   kind 1: the number of parts of the store; kind 0: 0
//  100   4   0
//  104   8   kind 1: the content id (below); kind 0: 0
//  112  12   0
//  124   4   checksum of bytes 0 … 123
//
// A part of a sharded store is a header of kind 1 (manifest and index of size 0), zeros up to the alignment, and data.
// The store itself then has no data; its manifest and index list the parts. The content id distinguishes a part from a
// part of another save that has the same name and size. It is the FNV-1a hash (64 bits) of the size of the part, 8 bytes,
// and of offset and checksum, 8 and 4 bytes, of each of its tensors in the order of their offsets. Aliases and tensors
// without bytes are left out.
//
// Index
//   at  bytes
//    0   4   tensor count N           4   4   part count P (0: the data is in this file)
//    8   4   block type count B ≤ 65536   12   4   slot count S
//   16   8   size of the entries     24   8   size of the names
//   32   8   seed of the name hash   40  24   0
//   64  32P  parts: 4 name offset, 4 name size, 8 size of the file, 8 content id, 4 flags (1: the part has a header), 4 zero
//       16B  block types: 4 name offset, 4 name size, 4 elements in a block, 4 bytes in a block
//       8S   slots of the hash table
//            entries, one a tensor, in manifest order
//            names: the parts' paths, the block types' names, in order, without separators; zeros up to a multiple of 8
//
// Entry. The place of an entry is its offset from the start of the index, in units of 8 bytes.
//    0   8   offset of the tensor in its file; 0 if the tensor has no bytes
//    8   8   size of the tensor
//   16   8   element count
//   24   4   checksum of the tensor's bytes, or 0
//   28   4   part
//   32   4   the slot, counted from 1, of the entry this is an alias of; 0: no alias
//   36   4   the number of the tensor, from 0
//   40   2   size of the name        42   2   block type, or 0
//   44   1   rank R                  45   1   dtype (enum dtype)
//   46   1   bits of an element      47   1   flags: 1 a checksum is present, 2 big-endian (never in a file)
//   48  8R   extents, outermost first
//            the name; zeros up to a multiple of 8
//
// Tensors are in ascending order of (part, offset) and do not overlap. An alias has the dtype, shape, part, offset and
// checksum of an earlier entry that is not itself an alias.
//
// Hash table. S is the least power of two that is at least 2N, at least 2. A slot is 4 bytes of tag and 4 bytes of the
// entry's place (0: empty). The name is read as little-endian integers of 8 bytes: those at 0, 8, … that are within it,
// and its last 8 bytes unless an integer ends with the name (a name of less than 8 bytes is one integer, padded with
// zeros). The hash begins as seed ^ (size × K1). Each integer w changes it to (hash ^ w) × K1, then to hash ^ (hash >> 32).
// Finally it becomes hash × K2, then hash ^ (hash >> 29). The tag is its upper half. The search begins at slot hash mod S
// and continues with the next slot, wrapping around at the end. Names are entered in order. The seed is the least one for
// which every name is at most 128 slots from where its search begins. K1 = 9E3779B97F4A7C15, K2 = D6E8FEB86659FD93
// (hexadecimal).
//
// Data. Row-major, little-endian, no padding between elements. Elements of less than a byte are packed from the least
// significant bit of each byte, across bytes where necessary; the last byte is padded with zero bits. If the bits of an
// element exceed those of the dtype (an int4 in 8 bits), each element is in the low bits of its own byte. Strings: element
// count + 1 offsets of 8 bytes, the first 0, each at least as large as the one before it, counted from the end of the
// offsets; then the bytes of the strings. A tensor without bytes has no place.
//
// Code that computes reads whole vectors, and so some bytes behind a tensor. A writer puts 128 zero bytes behind the last tensor
// of each file, as part of its data; so at least 128 bytes are readable behind every tensor. They are no more than padding: a
// file without them is valid, and a reader that needs readable bytes looks how many there are.
//
// Devices import memory in whole pages. A writer may give tensors whole pages: each of at least 16 pages begins at a multiple of the
// page size, a power of two, and zeros follow up to the next multiple, behind the last tensor of a file, too. Smaller tensors lie
// between them at multiples of the alignment, which the header states. This is no more than padding, either: nothing states it, every
// reader reads such a file, and one that needs whole pages looks where a tensor begins and how many bytes behind it are readable.
//
// How the format grows. A reader rejects a file whose "least version" is above its own. In other files it ignores what it
// does not know: a later header may be longer (its first 128 bytes keep their meaning), and manifests may have more
// fields. A change that an older reader would misread raises the least version.
//
// A minimal writer in any language writes no index: the header with index offset and size 0, the manifest, the tensors.
// The loose form is simpler still: the manifest is a file of its own, and names raw files that hold the tensors' bytes.
// A minimal reader needs bytes 32 … 47 of the header and a JSON parser.

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// An integer field of the format: little-endian, at `offset` from the start of its structure.
template <class Unsigned> struct stored_field {
  std::size_t offset;

  /// The offset behind the field.
  [[nodiscard]] constexpr std::size_t end() const noexcept { return offset + sizeof(Unsigned); }
  /// Reads the field of the structure at `structure`.
  [[nodiscard]] Unsigned load(const std::byte* structure) const noexcept {
    return load_little<Unsigned>(structure + offset);
  }
  /// Writes the field of the structure at `structure`.
  void store(std::byte* structure, Unsigned value) const noexcept { store_little(structure + offset, value); }
};

/// The fields of the header, behind the magic.
namespace header_field {
inline constexpr stored_field<std::uint32_t> version{8}, minimum_reader{12};
inline constexpr stored_field<std::uint64_t> file_size{16};
inline constexpr stored_field<std::uint32_t> header_size{24}, alignment{28};
inline constexpr stored_field<std::uint64_t> manifest_offset{32}, manifest_size{40}, index_offset{48}, index_size{56};
inline constexpr stored_field<std::uint64_t> data_offset{64}, data_size{72};
inline constexpr stored_field<std::uint32_t> manifest_crc32c{80}, index_crc32c{84}, kind{88}, part_number{92},
    part_count{96};
inline constexpr stored_field<std::uint64_t> content_id{104};
inline constexpr stored_field<std::uint32_t> header_crc32c{124};
} // namespace header_field

/// The fields of the first 64 bytes of an index; what follows `hash_seed` is zero.
namespace index_field {
inline constexpr stored_field<std::uint32_t> tensor_count{0}, part_count{4}, block_count{8}, slot_count{12};
inline constexpr stored_field<std::uint64_t> entries_size{16}, names_size{24}, hash_seed{32};
} // namespace index_field

/// A name in the pool of names: the first fields of a part and of a block type.
namespace name_field {
inline constexpr stored_field<std::uint32_t> offset{0}, size{4};
} // namespace name_field

/// The fields of a part, behind those of its name.
namespace part_field {
inline constexpr stored_field<std::uint64_t> file_size{8}, content_id{16};
inline constexpr stored_field<std::uint32_t> flags{24}, reserved{28};
} // namespace part_field

/// The fields of a block type, behind those of its name.
namespace block_field {
inline constexpr stored_field<std::uint32_t> element_count{8}, size{12};
} // namespace block_field

/// The fields of a slot of the hash table.
namespace slot_field {
inline constexpr stored_field<std::uint32_t> tag{0}, place{4};
} // namespace slot_field

/// The fields of an entry, in front of its extents. An alias has those from `block` on, and those in front of `alias_of`, in
/// common with its original.
namespace entry_field {
inline constexpr stored_field<std::uint64_t> offset{0}, size{8}, element_count{16};
inline constexpr stored_field<std::uint32_t> crc32c{24}, part{28}, alias_of{32}, number{36};
inline constexpr stored_field<std::uint16_t> name_size{40}, block{42};
inline constexpr stored_field<std::uint8_t> rank{44}, dtype{45}, bits{46}, flags{47};
} // namespace entry_field

} // namespace detail

/// The version of the format that this library writes, and the highest "least version" that it reads.
inline constexpr std::uint32_t format_version = 1;
/// The default alignment of tensors: a cache line, and enough for every vector unit.
inline constexpr std::uint32_t default_alignment_bytes = 64;
/// The largest alignment: the largest size of a memory page in use.
inline constexpr std::uint32_t max_alignment_bytes = 65536;
/// The zero bytes that a save puts behind the last tensor of a file: as many are readable behind every tensor. Two cache lines, more
/// than what any vector unit reads at once.
inline constexpr std::uint32_t tail_padding_bytes = 128;
/// How tensors are placed in the files of a store.
enum class store_layout : std::uint8_t {
  /// One behind the other, each at the next multiple of the alignment.
  compact,
  /// For import into the memory of devices: a tensor of at least `whole_page_count` pages has whole pages. It begins at a multiple of
  /// the page size, and zeros follow up to the next multiple. Smaller tensors as above.
  accelerator,
};
/// The page size of `store_layout::accelerator` unless the caller sets another: that of most processors, and of what Vulkan, CUDA and
/// Level Zero import on them. Apple's have 16384.
inline constexpr std::uint32_t default_page_size_bytes = 4096;
/// The number of pages from which on a tensor has whole pages: its padding is less than an eighth of its bytes.
inline constexpr std::uint32_t whole_page_count = 16;
/// The longest name of a tensor.
inline constexpr std::size_t max_name_size_bytes = 65535;
/// The largest manifest that is written, and that is read unless the caller sets another limit.
inline constexpr std::uint64_t max_manifest_size_bytes = std::uint64_t{64} << 20;
/// The largest index that is written and read. The entry of a tensor is at most four times as large as its text in the manifest.
inline constexpr std::uint64_t max_index_size_bytes = 4 * max_manifest_size_bytes;

/// True if the alignment is valid for a store: a power of two up to `max_alignment_bytes`.
constexpr bool is_valid_alignment(std::uint64_t alignment_bytes) noexcept {
  return detail::is_power_of_two(alignment_bytes) && alignment_bytes <= max_alignment_bytes;
}

/// The fixed header at the start of a native file; the fields are those of the specification above.
struct file_header {
  /// A store, or a part of one.
  enum class file_kind : std::uint32_t { store = 0, part = 1 };
  /// Bytes of the header.
  static constexpr std::size_t size_bytes = 128;
  /// The first eight bytes of every file.
  static constexpr unsigned char magic[8] = {0x89, 'S', 'T', 'E', 'T', '\r', '\n', 0x1A};

  /// The version of the format that the writer followed.
  std::uint32_t version = format_version;
  /// The least version a reader must know to read the file correctly.
  std::uint32_t minimum_reader = format_version;
  /// The size of the file.
  std::uint64_t file_size_bytes = 0;
  /// The power of two that every tensor's offset is a multiple of.
  std::uint32_t alignment_bytes = default_alignment_bytes;
  /// The offset of the JSON manifest.
  std::uint64_t manifest_offset_bytes = size_bytes;
  /// The size of the JSON manifest.
  std::uint64_t manifest_size_bytes = 0;
  /// The offset of the index.
  std::uint64_t index_offset_bytes = 0;
  /// The size of the index; 0: the file has no index.
  std::uint64_t index_size_bytes = 0;
  /// The offset of the tensors.
  std::uint64_t data_offset_bytes = 0;
  /// The size of the tensors with the padding between them.
  std::uint64_t data_size_bytes = 0;
  /// The CRC-32C of the manifest.
  std::uint32_t manifest_crc32c = 0;
  /// The CRC-32C of the index.
  std::uint32_t index_crc32c = 0;
  /// The kind of the file: a store, or a part of one.
  file_kind kind = file_kind::store;
  /// The number of this part.
  std::uint32_t part_number = 0;
  /// The number of parts of the store.
  std::uint32_t part_count = 0;
  /// The number that a store and its parts have in common.
  std::uint64_t content_id = 0;
};

/// True if `bytes` begin with the magic of a native file. Reads at most 8 bytes.
inline bool has_native_magic(std::span<const std::byte> bytes) noexcept {
  return bytes.size() >= sizeof file_header::magic &&
         std::memcmp(bytes.data(), file_header::magic, sizeof file_header::magic) == 0;
}

/// Reads and checks the header of a native file of `file_size_bytes` bytes. `bytes` are its first bytes (at least 128
/// unless the file is shorter). After success every section lies within the file, in order.
/// @retval errc::truncated        the file is shorter than its header states, or than a header
/// @retval errc::bad_magic        not a stet file
/// @retval errc::header_checksum  the header is damaged
/// @retval errc::newer_format     the file needs a later version of this library
/// @retval errc::bad_alignment    the alignment is not a power of two from 1 to 65536
/// @retval errc::bad_header       the kind, or a field that depends on it, is invalid in version 1
/// @retval errc::bad_section      a section is outside of its place
/// @retval errc::trailing_bytes   the file is longer than its header states
/// Cost: reads 128 bytes. Source: the specification at the top of this file.
inline result<file_header> decode_header(std::span<const std::byte> bytes, std::uint64_t file_size_bytes) noexcept {
  namespace header_field = detail::header_field;
  const std::size_t magic_size = bytes.size() < sizeof file_header::magic ? bytes.size() : sizeof file_header::magic;
  if (magic_size != 0 && std::memcmp(bytes.data(), file_header::magic, magic_size) != 0) {
    return error(errc::bad_magic, {}, 0);
  }
  if (bytes.size() < file_header::size_bytes || file_size_bytes < file_header::size_bytes) {
    return error(errc::truncated, {}, file_size_bytes);
  }
  const std::byte* at = bytes.data();
  if (header_field::header_crc32c.load(at) != crc32c(detail::bytes_at(at, header_field::header_crc32c.offset))) {
    return error(errc::header_checksum, {}, header_field::header_crc32c.offset);
  }
  file_header header;
  header.version = header_field::version.load(at);
  header.minimum_reader = header_field::minimum_reader.load(at);
  header.file_size_bytes = header_field::file_size.load(at);
  const std::uint32_t header_size_bytes = header_field::header_size.load(at);
  header.alignment_bytes = header_field::alignment.load(at);
  header.manifest_offset_bytes = header_field::manifest_offset.load(at);
  header.manifest_size_bytes = header_field::manifest_size.load(at);
  header.index_offset_bytes = header_field::index_offset.load(at);
  header.index_size_bytes = header_field::index_size.load(at);
  header.data_offset_bytes = header_field::data_offset.load(at);
  header.data_size_bytes = header_field::data_size.load(at);
  header.manifest_crc32c = header_field::manifest_crc32c.load(at);
  header.index_crc32c = header_field::index_crc32c.load(at);
  header.kind = static_cast<file_header::file_kind>(header_field::kind.load(at));
  header.part_number = header_field::part_number.load(at);
  header.part_count = header_field::part_count.load(at);
  header.content_id = header_field::content_id.load(at);

  if (header.version == 0 || header.minimum_reader == 0 || header.minimum_reader > header.version) {
    return error(errc::bad_header, "version", header_field::version.offset);
  }
  if (header.minimum_reader > format_version) return error(errc::newer_format, {}, header_field::minimum_reader.offset);
  if (!is_valid_alignment(header.alignment_bytes))
    return error(errc::bad_alignment, {}, header_field::alignment.offset);
  if (header_size_bytes < file_header::size_bytes)
    return error(errc::bad_header, "header size", header_field::header_size.offset);
  if (file_size_bytes < header.file_size_bytes) return error(errc::truncated, {}, file_size_bytes);
  if (file_size_bytes > header.file_size_bytes) return error(errc::trailing_bytes, {}, header.file_size_bytes);

  const bool is_part = header.kind == file_header::file_kind::part;
  if (!is_part && header.kind != file_header::file_kind::store)
    return error(errc::bad_header, "kind", header_field::kind.offset);
  if (is_part
          ? header.part_number >= header.part_count || header.manifest_size_bytes != 0 || header.index_size_bytes != 0
          : header.part_number != 0 || header.part_count != 0 || header.content_id != 0) {
    return error(errc::bad_header, "part", header_field::part_number.offset);
  }

  // Each section begins after the one before it and ends within the file; the last one ends with the file.
  const std::uint64_t size = header.file_size_bytes;
  if (header.manifest_offset_bytes < header_size_bytes ||
      !detail::range_fits(header.manifest_offset_bytes, header.manifest_size_bytes, size)) {
    return error(errc::bad_section, "manifest", header_field::manifest_offset.offset);
  }
  std::uint64_t end = header.manifest_offset_bytes + header.manifest_size_bytes;
  if (header.index_size_bytes != 0) {
    if (header.index_offset_bytes < end || header.index_offset_bytes % 64 != 0 || header.index_size_bytes % 8 != 0 ||
        !detail::range_fits(header.index_offset_bytes, header.index_size_bytes, size)) {
      return error(errc::bad_section, "index", header_field::index_offset.offset);
    }
    end = header.index_offset_bytes + header.index_size_bytes;
  } else if (header.index_offset_bytes != 0) {
    return error(errc::bad_section, "index", header_field::index_offset.offset);
  }
  if (header.data_offset_bytes < end || header.data_offset_bytes % header.alignment_bytes != 0 ||
      !detail::range_fits(header.data_offset_bytes, header.data_size_bytes, size) ||
      header.data_offset_bytes + header.data_size_bytes != size) {
    return error(errc::bad_section, "data", header_field::data_offset.offset);
  }
  return header;
}

} // namespace stet::inline STET_NAMESPACE

#endif
