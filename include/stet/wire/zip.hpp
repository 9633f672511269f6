// SPDX-License-Identifier: MIT
// The directory of a zip archive: which members there are, and where their bytes lie.
#ifndef STET_WIRE_ZIP_HPP
#define STET_WIRE_ZIP_HPP

#include "cursor.hpp"

#include "../vocabulary/detail/checked.hpp"
#include "../vocabulary/result.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

// A zip archive
// =============
//
//   members, each behind its local header | central directory | [ZIP64 end record, its locator] | end record,
//   comment
//
//   local header   "PK\3\4" | u16 version | u16 flags | u16 method | u32 time | u32 crc-32 | u32 stored size
//                  | u32 size | u16 sizes of name and extra fields | name | extra fields
//   descriptor     behind the bytes of a member with flag 8, whose header may then say 0: ["PK\7\8"] | u32
//                  crc-32 | stored size, size, of 4 or 8 bytes
//   central entry  "PK\1\2" | u16 versions (2) | u16 flags | u16 method | u32 time | u32 crc-32 | u32 stored
//                  size | u32 size | u16 sizes of name, extra fields, comment | u16 disk | 6 bytes of
//                  attributes | u32 offset of the local header | name | extra fields | comment
//   end record     "PK\5\6" | u16 disks (2) | u16 entries (here, in all) | u32 size, u32 offset of the
//                  directory | u16 size of the comment
//   ZIP64 end      "PK\6\6" | u64 size of what follows | u16 versions (2) | u32 disks (2) | u64 entries (2) |
//                  u64 size, u64 offset of the directory | anything
//   locator        "PK\6\7" | u32 disk | u64 offset of the ZIP64 end record | u32 count of disks
//   extra fields   u16 id | u16 size | bytes. Field 1 has, 8 bytes each, the size, stored size and offset
//                  that are all ones above
//
// Several places say the same. Readers differ in which they believe, and an archive that one program has
// checked is another one to the next: here, all that is said has to agree.
//
// Source: PKWARE, APPNOTE.TXT 6.3.10, 4.3 and 4.5.3.

namespace stet::inline STET_NAMESPACE::detail {

/// A member of an archive. The name views the archive.
struct zip_member {
  std::string_view name;
  /// Where in the archive its local header begins, and where the stored bytes.
  std::uint64_t header_bytes = 0, offset_bytes = 0;
  std::uint64_t stored_size_bytes = 0;
  /// Decompressed.
  std::uint64_t size_bytes = 0;
  /// Where the next header can begin: behind the stored bytes and their descriptor.
  std::uint64_t end_bytes = 0;
  std::uint32_t crc32 = 0;
  std::uint16_t method = 0;
  enum : std::uint16_t { is_stored = 0, is_deflated = 8 };
};

/// True if a file with these first bytes could be an archive with a member.
inline bool is_zip(std::span<const std::byte> start) noexcept {
  return start.size() >= 4 && load_little<std::uint32_t>(start.data()) == 0x04034B50u;
}

/// True if a member may be called so: a relative path with '/' that stays in its folder. A name that ends in
/// '/' is that of a folder.
inline bool is_zip_name(std::string_view name) noexcept {
  if (name.empty() || name.front() == '/' || name.find('\\') != std::string_view::npos ||
      name.find('\0') != std::string_view::npos || (name.size() > 1 && name[1] == ':')) {
    return false;
  }
  for (std::size_t begin = 0; begin < name.size();) {
    const std::size_t slash = (std::min)(name.find('/', begin), name.size());
    const std::string_view step = name.substr(begin, slash - begin);
    if (step.empty() || step == ".." || step == ".") return false;
    begin = slash + 1;
  }
  return true;
}

/// Reads the directory of the archive that fills `file`.
class zip_reader {
public:
  explicit zip_reader(std::span<const std::byte> file) noexcept : file_(file) {}

  result<std::vector<zip_member>> run() {
    if (auto found = find_directory(); !found) return found.error();
    // An entry has 46 bytes at least, so that the count can be believed only so far.
    if (count_ > directory_size_ / central_size) return bad(directory_);
    byte_cursor directory = at(directory_, directory_size_);
    std::vector<zip_member> members(static_cast<std::size_t>(count_));
    for (zip_member& each : members) {
      if (auto read = read_entry(directory, each); !read) return read.error();
    }
    if (directory.left() != 0) return bad(directory_ + directory_size_ - directory.left());
    if (auto checked = check_apart(members); !checked) return checked.error();
    return members;
  }

private:
  static constexpr std::size_t end_size = 22, locator_size = 20, end64_size = 56, central_size = 46, local_size = 30;
  static constexpr std::uint32_t end_mark = 0x06054B50u, locator_mark = 0x07064B50u;
  // "see the ZIP64 record"
  static constexpr std::uint32_t elsewhere = 0xFFFFFFFFu;
  static constexpr std::uint16_t elsewhere16 = 0xFFFFu;
  enum : std::uint16_t { has_descriptor = 0x0008, is_encrypted = 0x2041, is_patch = 0x0020 };

  static error bad(std::uint64_t at, std::string_view name = {}) noexcept { return error(errc::bad_archive, name, at); }
  /// A range of the file; not good if it does not lie in it.
  [[nodiscard]] byte_cursor at(std::uint64_t offset, std::uint64_t size) const noexcept {
    if (!range_fits(offset, size, file_.size())) {
      byte_cursor nowhere;
      nowhere.fail();
      return nowhere;
    }
    return byte_cursor(file_.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size)));
  }

  // ---- where the directory is ----

  /// The end record: at the end of the file but for its comment, of 65535 bytes at most. The last mark there
  /// is has to be it: a comment with a mark in it would be another archive to others.
  result<void> find_directory() noexcept {
    if (file_.size() < end_size) return error(errc::truncated, {}, file_.size());
    const std::size_t last = file_.size() - end_size;
    const std::size_t first = last > elsewhere16 ? last - elsewhere16 : 0;
    std::size_t end = last;
    while (load_little<std::uint32_t>(file_.data() + end) != end_mark) {
      if (end == first) return bad(last);
      --end;
    }
    byte_cursor record = at(end, end_size);
    record.skip(4);
    const std::uint16_t disk = record.take_u16(), first_disk = record.take_u16();
    const std::uint16_t here = record.take_u16(), count = record.take_u16();
    const std::uint32_t size = record.take_u32(), offset = record.take_u32();
    if (record.take_u16() != last - end) return bad(end);
    count_ = count, directory_size_ = size, directory_ = offset;
    std::uint64_t directory_end = end;
    // A locator is believed wherever there is one, as others do.
    byte_cursor locator = at(end >= locator_size ? end - locator_size : end, locator_size);
    if (locator.take_u32() == locator_mark) {
      if (auto read = read_end64(end - locator_size, locator, directory_end); !read) return read;
    }
    const bool is_said_twice = says(disk, 0) && says(first_disk, 0) && says(here, count_) && says(count, count_) &&
                               says(size, directory_size_) && says(offset, directory_);
    if (!is_said_twice || !range_fits(directory_, directory_size_, directory_end) ||
        directory_ + directory_size_ != directory_end) {
      return bad(end);
    }
    return {};
  }
  /// True if a field of the end record has this value, or leaves it to the ZIP64 record.
  static bool says(std::uint16_t field, std::uint64_t value) noexcept { return field == value || field == elsewhere16; }
  static bool says(std::uint32_t field, std::uint64_t value) noexcept { return field == value || field == elsewhere; }

  /// The ZIP64 end record, which ends where its locator begins.
  result<void> read_end64(std::uint64_t locator_at, byte_cursor locator, std::uint64_t& directory_end) noexcept {
    const std::uint32_t disk = locator.take_u32();
    const std::uint64_t place = locator.take_u64();
    if (disk != 0 || locator.take_u32() > 1 || locator_at < end64_size || place > locator_at - end64_size)
      return bad(locator_at);
    byte_cursor record = at(place, end64_size);
    const bool is_record = record.take_mark("PK\6\6") && record.take_u64() == locator_at - place - 12;
    record.skip(4); // versions
    const std::uint64_t disks = record.take_u64(), here = record.take_u64();
    count_ = record.take_u64();
    directory_size_ = record.take_u64();
    directory_ = record.take_u64();
    if (!is_record || disks != 0 || here != count_) return bad(place);
    directory_end = place;
    return {};
  }

  // ---- members ----

  result<void> read_entry(byte_cursor& directory, zip_member& into) const noexcept {
    const std::uint64_t entry_at = directory_ + directory_size_ - directory.left();
    directory.take_mark("PK\1\2");
    directory.skip(4); // versions
    const std::uint16_t flags = directory.take_u16();
    into.method = directory.take_u16();
    directory.skip(4); // time
    into.crc32 = directory.take_u32();
    into.stored_size_bytes = directory.take_u32();
    into.size_bytes = directory.take_u32();
    const std::uint16_t name_size = directory.take_u16(), extra_size = directory.take_u16(),
                        comment_size = directory.take_u16();
    const std::uint16_t disk = directory.take_u16();
    directory.skip(6); // attributes
    into.header_bytes = directory.take_u32();
    into.name = directory.take_text(name_size);
    const std::span<const std::byte> extra = directory.take_bytes(extra_size);
    directory.skip(comment_size);
    if (!directory.is_good()) return bad(entry_at);
    if (!is_zip_name(into.name)) return error(errc::bad_path, into.name, entry_at);
    if (!take_large(extra, {&into.size_bytes, &into.stored_size_bytes, &into.header_bytes}) ||
        (disk != 0 && disk != elsewhere16) || !range_fits(into.header_bytes, local_size, directory_)) {
      return bad(entry_at, into.name);
    }
    if ((flags & (is_encrypted | is_patch)) != 0) return error(errc::unsupported, into.name, entry_at);
    if (into.method == zip_member::is_stored && into.stored_size_bytes != into.size_bytes)
      return bad(entry_at, into.name);
    return read_local(flags, into);
  }

  /// Replaces the values that are all ones by those in extra field 1.
  /// @return  false if one is not there, the field is there twice, or the fields are cut off
  static bool take_large(std::span<const std::byte> extra, std::initializer_list<std::uint64_t*> values) noexcept {
    byte_cursor fields(extra), large;
    bool is_there = false;
    while (fields.left() >= 4) { // less is padding
      const std::uint16_t id = fields.take_u16(), size = fields.take_u16();
      const std::span<const std::byte> field = fields.take_bytes(size);
      if (id != 1) continue;
      if (is_there) return false;
      is_there = true;
      large = byte_cursor(field);
    }
    for (std::uint64_t* const value : values) {
      if (*value == elsewhere) *value = large.take_u64();
    }
    return fields.is_good() && large.is_good();
  }

  /// The local header, which must say what the directory says; where the bytes begin, it alone says.
  result<void> read_local(std::uint16_t flags, zip_member& into) const noexcept {
    const error contradiction = bad(into.header_bytes, into.name);
    byte_cursor header = at(into.header_bytes, local_size);
    header.take_mark("PK\3\4");
    header.skip(2); // version
    const std::uint16_t own_flags = header.take_u16(), method = header.take_u16();
    header.skip(4); // time
    const std::uint32_t crc32 = header.take_u32();
    std::uint64_t stored_size = header.take_u32(), size = header.take_u32();
    const std::uint16_t name_size = header.take_u16(), extra_size = header.take_u16();
    if (!header.is_good()) return contradiction;
    byte_cursor rest = at(into.header_bytes + local_size, std::uint64_t{name_size} + extra_size);
    const std::string_view name = rest.take_text(name_size);
    if (!rest.is_good() || !take_large(rest.rest(), {&size, &stored_size})) return contradiction;
    constexpr std::uint16_t of_meaning = has_descriptor | is_encrypted | is_patch;
    const bool is_followed = (flags & has_descriptor) != 0;
    const auto agrees = [&](std::uint64_t said, std::uint64_t known) {
      return said == known || (is_followed && said == 0);
    };
    if (name != into.name || method != into.method || ((flags ^ own_flags) & of_meaning) != 0 ||
        !agrees(crc32, into.crc32) || !agrees(stored_size, into.stored_size_bytes) || !agrees(size, into.size_bytes)) {
      return contradiction;
    }
    into.offset_bytes = into.header_bytes + local_size + name_size + extra_size;
    if (!range_fits(into.offset_bytes, into.stored_size_bytes, directory_)) return contradiction;
    into.end_bytes = into.offset_bytes + into.stored_size_bytes;
    return is_followed && !pass_descriptor(into) ? result<void>(contradiction) : result<void>();
  }

  /// True if the descriptor behind a member says what the directory says; it has no mark, or 4-byte sizes, as
  /// its writer liked.
  bool pass_descriptor(zip_member& member) const noexcept {
    for (const std::size_t mark_size : {4u, 0u}) {
      for (const std::size_t size_size : {8u, 4u}) {
        const std::size_t whole = mark_size + 4 + 2 * size_size;
        byte_cursor fields = at(member.end_bytes, whole);
        if (mark_size != 0) fields.take_mark("PK\7\x08");
        if (fields.take_u32() == member.crc32 && fields.take_sized(size_size) == member.stored_size_bytes &&
            fields.take_sized(size_size) == member.size_bytes && fields.is_good() &&
            range_fits(member.end_bytes, whole, directory_)) {
          member.end_bytes += whole;
          return true;
        }
      }
    }
    return false;
  }

  /// The first member begins the file, and no two may have one name, or share bytes: that is how a small file
  /// becomes a large one.
  static result<void> check_apart(const std::vector<zip_member>& members) {
    std::vector<const zip_member*> sorted;
    sorted.reserve(members.size());
    for (const zip_member& each : members) sorted.push_back(&each);
    std::sort(sorted.begin(), sorted.end(),
              [](const zip_member* a, const zip_member* b) { return a->header_bytes < b->header_bytes; });
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      const bool is_apart = i == 0 ? sorted[i]->header_bytes == 0 : sorted[i - 1]->end_bytes <= sorted[i]->header_bytes;
      if (!is_apart) return bad(sorted[i]->header_bytes, sorted[i]->name);
    }
    std::sort(sorted.begin(), sorted.end(), [](const zip_member* a, const zip_member* b) {
      return a->name != b->name ? a->name < b->name : a->header_bytes < b->header_bytes;
    });
    for (std::size_t i = 1; i < sorted.size(); ++i) {
      if (sorted[i - 1]->name == sorted[i]->name) return bad(sorted[i]->header_bytes, sorted[i]->name);
    }
    return {};
  }

  std::span<const std::byte> file_;
  std::uint64_t count_ = 0, directory_ = 0, directory_size_ = 0;
};

/// Lists the members of the archive that fills `file`, in the order of its directory. What a member's bytes
/// are is not looked at: neither its checksum nor whether they decompress. Members may stand apart and in any
/// order.
/// @retval errc::truncated    the file is shorter than any archive
/// @retval errc::bad_archive  directory, headers and descriptors contradict each other or lie outside;
///                            members share bytes or names; or something stands before the first, or behind
///                            the last byte that the archive knows of. The subject is the member, if it is
///                            about one
/// @retval errc::bad_path     a name, the subject, is absolute, leads out of its folder, or is not
///                            '/'-separated
/// @retval errc::unsupported  a member, the subject, is encrypted or a patch
/// Cost: n log n in the members; allocates the list.
inline result<std::vector<zip_member>> read_zip(std::span<const std::byte> file) { return zip_reader(file).run(); }

} // namespace stet::inline STET_NAMESPACE::detail

#endif
