// SPDX-License-Identifier: MIT
// The directory of a zip archive: which members there are, and where their bytes lie.
#ifndef STET_WIRE_ZIP_HPP
#define STET_WIRE_ZIP_HPP

#include "cursor.hpp"

#include "../vocabulary/checked.hpp"
#include "../vocabulary/result.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

// A zip archive
// =============
//
//   members, each behind its local header | central directory | [ZIP64 end record and its locator] | end
//   record, comment
//
//   local header   "PK\3\4" | 22 bytes of which: flags at 6, method at 8, crc-32 at 14, stored size at 18,
//   size at 22 |
//                  u16 size of the name, at 26 | u16 size of the extra fields | name | extra fields
//   central entry  "PK\1\2" | flags at 8, method at 10, crc-32 at 16, stored size at 20, size at 24 | u16
//   sizes of name, extra
//                  fields and comment from 28 on | u32 offset of the local header at 42 | name | extra fields
//                  | comment
//   end record     "PK\5\6" | u16 disk numbers | u16 entries here, u16 entries | u32 size, u32 offset of the
//   directory | comment ZIP64          a size or offset of all ones stands in the extra field 1; counts and
//   the directory's place in "PK\6\6",
//                  which the locator "PK\6\7", 20 bytes before the end record, points at
//
// Source: PKWARE, APPNOTE.TXT, 4.3 and 4.5.3.

namespace stet::inline v0_1::detail {

/// A member of an archive. The name and the bytes view the archive.
struct zip_member {
  std::string_view name;
  /// Where in the archive the stored bytes begin.
  std::uint64_t offset_bytes = 0;
  std::uint64_t stored_size_bytes = 0;
  /// Decompressed.
  std::uint64_t size_bytes = 0;
  std::uint32_t crc32 = 0;
  std::uint16_t method = 0;
  enum : std::uint16_t { is_stored = 0, is_deflated = 8 };
};

/// Whether a file with these first bytes could be an archive.
inline bool is_zip(std::span<const std::byte> start) noexcept {
  return start.size() >= 4 && load_little<std::uint32_t>(start.data()) == 0x04034B50u;
}

/// Whether a member may be called so: a relative path with '/' that stays in its folder. A name that ends in
/// '/' is that of a folder.
inline bool is_zip_name(std::string_view name) noexcept {
  if (name.empty() || name.front() == '/' || name.find('\\') != std::string_view::npos ||
      name.find('\0') != std::string_view::npos || (name.size() > 1 && name[1] == ':')) {
    return false;
  }
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t slash = (std::min)(name.find('/', begin), name.size());
    const std::string_view step = name.substr(begin, slash - begin);
    if (step == ".." || step == "." || (step.empty() && begin != name.size()))
      return false;
    begin = slash + 1;
  }
  return true;
}

/// Reads the directory of the archive that fills `file`.
class zip_reader {
 public:
  explicit zip_reader(std::span<const std::byte> file) noexcept : file_(file) {}

  result<std::vector<zip_member>> run() {
    if (auto found = find_directory(); !found)
      return found.error();
    byte_cursor directory(
        file_.subspan(static_cast<std::size_t>(directory_), static_cast<std::size_t>(directory_size_)));
    // An entry has 46 bytes at least, so that the count can be believed only so far.
    if (count_ > directory_size_ / central_size)
      return bad(directory_);
    std::vector<zip_member> members;
    members.reserve(static_cast<std::size_t>(count_));
    for (std::uint64_t number = 0; number < count_; ++number) {
      zip_member member;
      if (auto read = read_entry(directory, member); !read)
        return read.error();
      members.push_back(member);
    }
    if (directory.left() != 0)
      return bad(directory_ + directory_size_ - directory.left());
    if (auto checked = check_apart(members); !checked)
      return checked.error();
    return members;
  }

 private:
  static constexpr std::size_t end_size = 22, locator_size = 20, end64_size = 56, central_size = 46,
                               local_size = 30;
  static constexpr std::uint32_t unknown = 0xFFFFFFFFu;

  static error bad(std::uint64_t at, std::string_view name = {}) noexcept {
    return error(errc::bad_archive, name, at);
  }
  [[nodiscard]] byte_cursor at(std::uint64_t offset, std::uint64_t size) const noexcept {
    if (!range_fits(offset, size, file_.size())) {
      byte_cursor nowhere;
      nowhere.fail();
      return nowhere;
    }
    return byte_cursor(file_.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size)));
  }

  /// The end record: at the end of the file but for its comment, of 65535 bytes at most.
  result<void> find_directory() noexcept {
    if (file_.size() < end_size)
      return error(errc::truncated, {}, file_.size());
    const std::size_t last = file_.size() - end_size;
    const std::size_t first = last > 0xFFFF ? last - 0xFFFF : 0;
    for (std::size_t end = last + 1; end-- > first;) {
      byte_cursor record(file_.subspan(end, end_size));
      if (record.take_u32() != 0x06054B50u)
        continue;
      const std::uint32_t disks = record.take_u32();
      const std::uint16_t here = record.take_u16();
      count_ = record.take_u16();
      directory_size_ = record.take_u32();
      directory_ = record.take_u32();
      if (record.take_u16() != last - end)
        continue; // the mark stood in a comment
      const bool is_zip64 = count_ == 0xFFFF || directory_size_ == unknown || directory_ == unknown;
      if (!is_zip64 && (disks != 0 || here != count_))
        return bad(end);
      std::uint64_t directory_end = end;
      if (is_zip64) {
        if (auto read = read_end64(end, directory_end); !read)
          return read;
      }
      // What stands before the archive would move every offset; nothing may.
      if (!range_fits(directory_, directory_size_, directory_end) ||
          directory_ + directory_size_ != directory_end)
        return bad(end);
      return {};
    }
    return bad(last);
  }
  result<void> read_end64(std::uint64_t end, std::uint64_t& directory_end) noexcept {
    if (end < locator_size)
      return bad(end);
    byte_cursor locator = at(end - locator_size, locator_size);
    const bool is_locator = locator.take_u32() == 0x07064B50u && locator.take_u32() == 0;
    const std::uint64_t place = locator.take_u64();
    if (!is_locator || locator.take_u32() > 1)
      return bad(end - locator_size);
    byte_cursor record = at(place, end64_size);
    const bool is_record = record.take_u32() == 0x06064B50u;
    const std::uint64_t size = record.take_u64();
    record.skip(4); // versions
    const std::uint64_t disks = record.take_u64(), here = record.take_u64();
    count_ = record.take_u64();
    directory_size_ = record.take_u64();
    directory_ = record.take_u64();
    if (!record.is_good() || !is_record || disks != 0 || here != count_ || size < end64_size - 12 ||
        size - (end64_size - 12) != end - locator_size - end64_size - place) {
      return bad(place);
    }
    directory_end = place;
    return {};
  }

  result<void> read_entry(byte_cursor& directory, zip_member& into) const noexcept {
    const std::uint64_t entry_at = directory_ + directory_size_ - directory.left();
    const bool is_entry = directory.take_u32() == 0x02014B50u;
    directory.skip(4); // versions
    const std::uint16_t flags = directory.take_u16();
    into.method = directory.take_u16();
    directory.skip(4); // time
    into.crc32 = directory.take_u32();
    into.stored_size_bytes = directory.take_u32();
    into.size_bytes = directory.take_u32();
    const std::uint16_t name_size = directory.take_u16(), extra_size = directory.take_u16(),
                        comment_size = directory.take_u16();
    std::uint32_t disk = directory.take_u16();
    directory.skip(6); // attributes
    std::uint64_t header_at = directory.take_u32();
    into.name = directory.take_text(name_size);
    byte_cursor extra(directory.take_bytes(extra_size));
    directory.skip(comment_size);
    if (!is_entry || !directory.is_good())
      return bad(entry_at);
    if (!is_zip_name(into.name))
      return error(errc::bad_path, into.name, entry_at);
    while (extra.left() >= 4) {
      const std::uint16_t id = extra.take_u16();
      byte_cursor field(extra.take_bytes(extra.take_u16()));
      if (id != 1)
        continue;
      for (std::uint64_t* const value : {&into.size_bytes, &into.stored_size_bytes, &header_at}) {
        if (*value == unknown)
          *value = field.take_u64();
      }
      if (disk == 0xFFFF)
        disk = field.take_u32();
      if (!field.is_good())
        return bad(entry_at, into.name);
    }
    constexpr std::uint16_t encrypted = 0x2041; // in any of the ways
    if (disk != 0)
      return bad(entry_at, into.name);
    if ((flags & encrypted) != 0)
      return error(errc::unsupported, into.name, entry_at);
    return read_local(flags, header_at, into);
  }

  /// The local header, which must say what the directory says; where the bytes begin, it alone says.
  result<void> read_local(std::uint16_t flags, std::uint64_t header_at, zip_member& into) const noexcept {
    byte_cursor header = at(header_at, local_size);
    const bool is_header = header.take_u32() == 0x04034B50u;
    header.skip(2);
    const std::uint16_t own_flags = header.take_u16(), method = header.take_u16();
    header.skip(4);
    const std::uint32_t crc = header.take_u32(), stored_size = header.take_u32(), size = header.take_u32();
    const std::uint16_t name_size = header.take_u16(), extra_size = header.take_u16();
    if (!header.is_good() || !is_header)
      return bad(header_at, into.name);
    byte_cursor rest = at(header_at + local_size, std::uint64_t{name_size} + extra_size);
    const std::string_view name = rest.take_text(name_size);
    constexpr std::uint16_t sizes_follow = 8; // behind the bytes, in a data descriptor
    const bool agrees =
        [&](std::uint64_t said, std::uint64_t known) {
          return said == known || said == unknown || ((own_flags & sizes_follow) != 0 && said == 0);
        }(stored_size, into.stored_size_bytes) &&
        (size == into.size_bytes || size == unknown || ((own_flags & sizes_follow) != 0 && size == 0));
    const bool same_crc = crc == into.crc32 || ((own_flags & sizes_follow) != 0 && crc == 0);
    if (!rest.is_good() || name != into.name || method != into.method ||
        ((flags ^ own_flags) & sizes_follow) != 0 || !agrees || !same_crc) {
      return bad(header_at, into.name);
    }
    into.offset_bytes = header_at + local_size + name_size + extra_size;
    if (!range_fits(into.offset_bytes, into.stored_size_bytes, directory_))
      return bad(header_at, into.name);
    const bool is_sound = into.method != zip_member::is_stored || into.stored_size_bytes == into.size_bytes;
    return is_sound ? result<void>() : bad(header_at, into.name);
  }

  /// No two members may have one name, or share bytes: that is how a small file becomes a large one.
  static result<void> check_apart(const std::vector<zip_member>& members) {
    std::vector<const zip_member*> sorted;
    sorted.reserve(members.size());
    for (const zip_member& each : members)
      sorted.push_back(&each);
    const auto ends_before = [](const zip_member* a, const zip_member* b) {
      // Headers count, too.
      return a->offset_bytes + a->stored_size_bytes <= b->offset_bytes - local_size - b->name.size();
    };
    std::sort(sorted.begin(), sorted.end(),
              [](const zip_member* a, const zip_member* b) { return a->offset_bytes < b->offset_bytes; });
    for (std::size_t i = 1; i < sorted.size(); ++i) {
      if (!ends_before(sorted[i - 1], sorted[i]))
        return bad(sorted[i]->offset_bytes, sorted[i]->name);
    }
    std::sort(sorted.begin(), sorted.end(),
              [](const zip_member* a, const zip_member* b) { return a->name < b->name; });
    for (std::size_t i = 1; i < sorted.size(); ++i) {
      if (sorted[i - 1]->name == sorted[i]->name)
        return bad(sorted[i]->offset_bytes, sorted[i]->name);
    }
    return {};
  }

  std::span<const std::byte> file_;
  std::uint64_t count_ = 0, directory_ = 0, directory_size_ = 0;
};

/// Lists the members of the archive that fills `file`, in the order of its directory. What a member's bytes
/// are is not looked at: neither its checksum nor whether they decompress.
/// @retval errc::truncated    the file is shorter than any archive
/// @retval errc::bad_archive  directory and members contradict each other, share bytes or names, or lie
/// outside; or something
///                            stands before the first or behind the last byte that the archive knows of
/// @retval errc::bad_path     a name, the subject, is absolute, leads out of its folder, or is not
/// '/'-separated
/// @retval errc::unsupported  a member, the subject, is encrypted
/// Cost: n log n in the members; allocates the list.
inline result<std::vector<zip_member>> read_zip(std::span<const std::byte> file) {
  return zip_reader(file).run();
}

} // namespace stet::inline v0_1::detail

#endif
