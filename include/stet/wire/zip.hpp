// SPDX-License-Identifier: MIT
// Reads the directory of a zip archive: its members, and the places of their bytes.
#ifndef STET_WIRE_ZIP_HPP
#define STET_WIRE_ZIP_HPP

#include "cursor.hpp"

#include "../bytes/detail/fnv1a.hpp"
#include "../source/byte_reader.hpp"
#include "../vocabulary/detail/checked.hpp"
#include "../vocabulary/result.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

// A zip archive
// =============
//
//   members, each after its local header | central directory | [ZIP64 end record, its locator] | end record,
//   comment
//
//   local header   "PK\3\4" | u16 version | u16 flags | u16 method | u32 time | u32 crc-32 | u32 stored size
//                  | u32 size | u16 sizes of name and extra fields | name | extra fields
//   descriptor     after the bytes of a member with flag 8, whose header may then have 0: ["PK\7\8"] | u32
//                  crc-32 | stored size, size, of 4 or 8 bytes
//   central entry  "PK\1\2" | u16 versions (2) | u16 flags | u16 method | u32 time | u32 crc-32 | u32 stored
//                  size | u32 size | u16 sizes of name, extra fields, comment | u16 disk | 6 bytes of
//                  attributes | u32 offset of the local header | name | extra fields | comment
//   end record     "PK\5\6" | u16 disks (2) | u16 entries (here, in all) | u32 size, u32 offset of the
//                  directory | u16 size of the comment
//   ZIP64 end      "PK\6\6" | u64 size of the rest | u16 versions (2) | u32 disks (2) | u64 entries (2) |
//                  u64 size, u64 offset of the directory | anything
//   locator        "PK\6\7" | u32 disk | u64 offset of the ZIP64 end record | u32 count of disks
//   extra fields   u16 id | u16 size | bytes. Field 1 has, 8 bytes each, the size, stored size and offset
//                  that are all ones above
//
// Several fields repeat each other. Readers differ in which of them they use, so an archive can have different contents
// for two programs. Here, all of them must agree.
//
// Source: PKWARE, APPNOTE.TXT 6.3.10, 4.3 and 4.5.3.

namespace stet::inline STET_NAMESPACE::detail {

/// A member of an archive; its name views the archive.
struct zip_member {
  std::string_view name;
  /// The offsets of the entry in the directory, of the local header, and of the stored bytes in the archive.
  std::uint64_t entry_bytes = 0, header_bytes = 0, offset_bytes = 0;
  std::uint64_t stored_size_bytes = 0;
  /// The decompressed size.
  std::uint64_t size_bytes = 0;
  /// The end of the stored bytes and their descriptor, where the next header can begin.
  std::uint64_t end_bytes = 0;
  /// The bytes in front of it that the archive in memory does not have: 0, unless only some members were read
  /// (formats/common/thin_archive.hpp).
  std::uint64_t left_out_bytes = 0;
  std::uint32_t crc32 = 0;
  std::uint16_t method = 0;
  enum : std::uint16_t { is_stored = 0, is_deflated = 8, is_bzip2 = 12, is_lzma = 14 };
};

/// True if a file with these first bytes can be an archive with a member.
inline bool is_zip(std::span<const std::byte> start) noexcept {
  return start.size() >= 4 && load_little<std::uint32_t>(start.data()) == 0x04034B50u;
}

/// True if the name is valid for a member: a relative path with '/' that stays in its folder. A name that ends in '/' is
/// the name of a folder.
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

/// What is done with members that share a name.
enum class zip_repeats : std::uint8_t {
  /// They are errc::bad_archive.
  refused,
  /// The last one in the directory is the member, as for Python's zipfile; earlier ones are left out.
  last_wins,
};

/// Reads the directory of the archive that fills `file`.
class zip_reader {
public:
  /// @param headers  reads the same file without touching its pages; nullptr: nothing does
  explicit zip_reader(std::span<const std::byte> file, zip_repeats repeats = zip_repeats::refused,
                      const byte_reader* headers = nullptr) noexcept
      : size_(file.size()), end_part_(file), repeats_(repeats), headers_(headers) {}
  /// For a file on demand. @param kept  gets the end of the file from the directory on; names view it
  zip_reader(const byte_reader& file, std::vector<std::byte>& kept, zip_repeats repeats) noexcept
      : size_(file.size_bytes()), repeats_(repeats), headers_(&file), kept_(&kept) {}

  /// Stops when the directory was found, if the members are smaller on average: a read for each header then costs more than it saves.
  void stop_below(std::uint64_t average_size_bytes) noexcept { least_average_ = average_size_bytes; }
  /// True if `run` stopped for that, and its list has no meaning.
  [[nodiscard]] bool was_stopped() const noexcept { return was_stopped_; }

  result<std::vector<zip_member>> run() {
    result<std::vector<zip_member>> made = read_all();
    return made || !read_failure_ ? std::move(made) : result<std::vector<zip_member>>(*read_failure_);
  }

private:
  result<std::vector<zip_member>> read_all() {
    if (auto found = find_directory(); !found) return found.error();
    if (least_average_ != 0 && size_ / least_average_ < count_) {
      was_stopped_ = true;
      return std::vector<zip_member>();
    }
    if (auto had = have_from(directory_); !had) return had.error();
    // An entry has at least 46 bytes, which limits the count.
    if (count_ > directory_size_ / central_size) return bad(directory_);
    if (kept_ == nullptr && headers_ != nullptr && size_ / large_bytes < count_) headers_ = nullptr;
    byte_cursor directory = at(directory_, directory_size_);
    std::vector<zip_member> members(static_cast<std::size_t>(count_));
    for (zip_member& each : members) {
      if (auto read = read_entry(directory, each); !read) return read.error();
    }
    if (directory.left() != 0) return bad(directory_ + directory_size_ - directory.left());
    if (auto checked = check_apart(members); !checked) return checked.error();
    if (auto checked = check_names(members); !checked) return checked.error();
    return members;
  }

  static constexpr std::size_t end_size = 22, locator_size = 20, end64_size = 56, central_size = 46, local_size = 30;
  static constexpr std::uint32_t end_mark = 0x06054B50u, locator_mark = 0x07064B50u;
  // the value that refers to the ZIP64 record
  static constexpr std::uint32_t elsewhere = 0xFFFFFFFFu;
  static constexpr std::uint16_t elsewhere16 = 0xFFFFu;
  // of an archive whose members are smaller on average, the pages with headers have much else that is read
  static constexpr std::size_t large_bytes = 64 << 10;
  enum : std::uint16_t { has_descriptor = 0x0008, is_encrypted = 0x2041, is_patch = 0x0020 };

  static error bad(std::uint64_t at, std::string_view name = {}) noexcept { return error(errc::bad_archive, name, at); }
  /// A cursor over a range of the file; not good if the range is not within the file, or not in memory.
  [[nodiscard]] byte_cursor at(std::uint64_t offset, std::uint64_t size) const noexcept {
    const std::uint64_t begin = size_ - end_part_.size();
    if (!range_fits(offset, size, size_) || offset < begin) {
      byte_cursor nowhere;
      nowhere.fail();
      return nowhere;
    }
    return byte_cursor(end_part_.subspan(static_cast<std::size_t>(offset - begin), static_cast<std::size_t>(size)));
  }
  /// Reads the file from `offset` to its end, if that is on demand and was not read yet.
  /// @retval errc::too_large  the directory is larger than any that a model needs; or an error of the reader
  result<void> have_from(std::uint64_t offset) {
    constexpr std::uint64_t most_bytes = 64u << 20;
    if (kept_ == nullptr || (size_ - offset <= end_part_.size() && !end_part_.empty())) return {};
    if (size_ - offset > most_bytes) return error(errc::too_large, {}, offset);
    std::vector<std::byte> longer(static_cast<std::size_t>(size_ - offset));
    const std::size_t missing = longer.size() - end_part_.size();
    if (auto read = headers_->read(offset, std::span(longer).first(missing)); !read) return read;
    if (!end_part_.empty()) std::memcpy(longer.data() + missing, end_part_.data(), end_part_.size());
    *kept_ = std::move(longer);
    end_part_ = *kept_;
    return {};
  }

  /// As `at`, for a few bytes beside large members: they come through `headers`. A page fault, which maps pages around it, takes several
  /// times as long as copying them. The bytes behind them are kept: after a member's descriptor comes the next header.
  /// Valid until the next call.
  [[nodiscard]] byte_cursor between_members(std::uint64_t offset, std::uint64_t size) noexcept {
    if (headers_ == nullptr || !range_fits(offset, size, size_) || (kept_ == nullptr && size > sizeof window_))
      return at(offset, size);
    if (size > sizeof window_) { // a header on demand whose name and fields are very long
      long_window_.resize(static_cast<std::size_t>(size));
      if (auto read = headers_->read(offset, long_window_); !read) {
        note(read.error());
        return at(size_, 1);
      }
      return byte_cursor(std::span<const std::byte>(long_window_));
    }
    const bool is_kept = offset >= window_at_ && range_fits(offset - window_at_, size, window_size_);
    if (!is_kept) {
      const auto wanted = static_cast<std::size_t>((std::min)(std::uint64_t{sizeof window_}, size_ - offset));
      if (auto read = headers_->read(offset, std::span(window_, wanted)); !read) {
        window_size_ = 0;
        if (kept_ != nullptr) note(read.error());
        return at(offset, size);
      }
      window_at_ = offset, window_size_ = wanted;
    }
    return byte_cursor(std::span<const std::byte>(window_ + static_cast<std::size_t>(offset - window_at_),
                                                  static_cast<std::size_t>(size)));
  }

  // ---- where the directory is ----

  /// Finds the end record: at the end of the file, before a comment of at most 65535 bytes. The last mark must be its
  /// mark: other readers would see another archive if the comment had a mark.
  result<void> find_directory() {
    if (size_ < end_size) return error(errc::truncated, {}, size_);
    const std::uint64_t last = size_ - end_size;
    const std::uint64_t first = last > elsewhere16 ? last - elsewhere16 : 0;
    constexpr std::uint64_t usual_end = 4096; // with a short comment, or none
    if (auto had = have_from(size_ > usual_end ? size_ - usual_end : 0); !had) return had;
    std::uint64_t end = last;
    while (load_little<std::uint32_t>(end_part_.data() + static_cast<std::size_t>(end - (size_ - end_part_.size()))) !=
           end_mark) {
      if (end == first) return bad(last);
      --end;
      if (end < size_ - end_part_.size()) {
        if (auto had = have_from(first); !had) return had;
      }
    }
    if (auto had = have_from(end >= locator_size ? end - locator_size : 0); !had) return had;
    byte_cursor record = at(end, end_size);
    record.skip(4);
    const std::uint16_t disk = record.take_u16(), first_disk = record.take_u16();
    const std::uint16_t here = record.take_u16(), count = record.take_u16();
    const std::uint32_t size = record.take_u32(), offset = record.take_u32();
    if (record.take_u16() != last - end) return bad(end);
    count_ = count, directory_size_ = size, directory_ = offset;
    std::uint64_t directory_end = end;
    // A locator is always used if there is one, as other readers do.
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
  /// True if a field of the end record has this value, or refers to the ZIP64 record.
  static bool says(std::uint16_t field, std::uint64_t value) noexcept { return field == value || field == elsewhere16; }
  static bool says(std::uint32_t field, std::uint64_t value) noexcept { return field == value || field == elsewhere; }

  /// Reads the ZIP64 end record, which ends where its locator begins.
  result<void> read_end64(std::uint64_t locator_at, byte_cursor locator, std::uint64_t& directory_end) {
    const std::uint32_t disk = locator.take_u32();
    const std::uint64_t place = locator.take_u64();
    if (disk != 0 || locator.take_u32() > 1 || locator_at < end64_size || place > locator_at - end64_size)
      return bad(locator_at);
    if (auto had = have_from(place); !had) return had;
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

  result<void> read_entry(byte_cursor& directory, zip_member& into) noexcept {
    const std::uint64_t entry_at = directory_ + directory_size_ - directory.left();
    into.entry_bytes = entry_at;
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
  /// @return  false if a value is missing, the field occurs twice, or the fields are cut off
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

  /// Reads the local header, which must agree with the directory. Only the local header gives the offset of the bytes.
  result<void> read_local(std::uint16_t flags, zip_member& into) noexcept {
    const error contradiction = bad(into.header_bytes, into.name);
    byte_cursor header = between_members(into.header_bytes, local_size);
    header.take_mark("PK\3\4");
    header.skip(2); // version
    const std::uint16_t own_flags = header.take_u16(), method = header.take_u16();
    header.skip(4); // time
    const std::uint32_t crc32 = header.take_u32();
    std::uint64_t stored_size = header.take_u32(), size = header.take_u32();
    const std::uint16_t name_size = header.take_u16(), extra_size = header.take_u16();
    if (!header.is_good()) return contradiction;
    byte_cursor rest = between_members(into.header_bytes + local_size, std::uint64_t{name_size} + extra_size);
    const std::string_view name = rest.take_text(name_size);
    if (!rest.is_good() || !take_large(rest.rest(), {&size, &stored_size})) return contradiction;
    constexpr std::uint16_t of_meaning = has_descriptor | is_encrypted | is_patch;
    const bool is_followed = (flags & has_descriptor) != 0;
    const auto agrees = [&](std::uint64_t stated, std::uint64_t known) {
      return stated == known || (is_followed && stated == 0);
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

  /// Passes over the descriptor after a member. Returns false if it disagrees with the directory. Writers differ: the mark
  /// may be missing, and sizes may have 4 bytes.
  bool pass_descriptor(zip_member& member) noexcept {
    for (const std::size_t mark_size : {4u, 0u}) {
      for (const std::size_t size_size : {8u, 4u}) {
        const std::size_t whole = mark_size + 4 + 2 * size_size;
        byte_cursor fields = between_members(member.end_bytes, whole);
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

  /// Checks that the first member begins the file, and that no two members share bytes: by shared bytes, a small file could
  /// expand to a very large one.
  static result<void> check_apart(const std::vector<zip_member>& members) {
    std::vector<const zip_member*> sorted;
    sorted.reserve(members.size());
    for (const zip_member& each : members) sorted.push_back(&each);
    const auto is_before = [](const zip_member* a, const zip_member* b) { return a->header_bytes < b->header_bytes; };
    if (!std::is_sorted(sorted.begin(), sorted.end(), is_before)) std::sort(sorted.begin(), sorted.end(), is_before);
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      const bool is_apart = i == 0 ? sorted[i]->header_bytes == 0 : sorted[i - 1]->end_bytes <= sorted[i]->header_bytes;
      if (!is_apart) return bad(sorted[i]->header_bytes, sorted[i]->name);
    }
    return {};
  }

  /// Checks that no two members share a name, or leaves out those that another one replaces.
  result<void> check_names(std::vector<zip_member>& members) const {
    struct named {
      std::uint64_t hash; // compared first, since names of one archive begin alike
      const zip_member* member;
    };
    std::vector<named> sorted;
    sorted.reserve(members.size());
    for (const zip_member& each : members) sorted.push_back({fnv1a().add(each.name).value(), &each});
    const bool is_last_wanted = repeats_ == zip_repeats::last_wins;
    std::sort(sorted.begin(), sorted.end(), [is_last_wanted](const named& a, const named& b) {
      if (a.hash != b.hash) return a.hash < b.hash;
      if (a.member->name != b.member->name) return a.member->name < b.member->name;
      return is_last_wanted ? a.member < b.member : a.member->header_bytes < b.member->header_bytes;
    });
    std::vector<bool> is_replaced;
    for (std::size_t i = 1; i < sorted.size(); ++i) {
      const zip_member &one = *sorted[i - 1].member, &other = *sorted[i].member;
      if (sorted[i - 1].hash != sorted[i].hash || one.name != other.name) continue;
      if (!is_last_wanted) return bad(other.header_bytes, other.name);
      is_replaced.resize(members.size());
      is_replaced[static_cast<std::size_t>(&one - members.data())] = true;
    }
    if (is_replaced.empty()) return {};
    std::size_t kept = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (!is_replaced[i]) members[kept++] = members[i];
    }
    members.resize(kept);
    return {};
  }

  void note(const error& why) noexcept {
    if (!read_failure_) read_failure_ = why;
  }

  std::uint64_t size_;
  std::span<const std::byte> end_part_; // of the file; all of it, unless it is on demand
  zip_repeats repeats_;
  const byte_reader* headers_;
  std::vector<std::byte>* kept_ = nullptr;
  std::vector<std::byte> long_window_;
  std::optional<error> read_failure_;
  std::uint64_t least_average_ = 0;
  bool was_stopped_ = false;
  std::byte window_[512];
  std::uint64_t window_at_ = 0, window_size_ = 0;
  std::uint64_t count_ = 0, directory_ = 0, directory_size_ = 0;
};

/// Lists the members of the archive that fills `file`, in the order of its directory. The bytes of members are not read:
/// neither checksums nor decompression are checked. Members may be in any order and have gaps between them.
/// @retval errc::truncated    the file is shorter than any archive
/// @retval errc::bad_archive  directory, headers and descriptors disagree or are outside of the file; members share
///                            bytes or, if `repeats` refuses that, names; or the file has bytes before the first member or after the end
///                            record and its comment. The subject is the member, if the error concerns one
/// @retval errc::bad_path     a name (the subject) is absolute, leads out of its folder, or is not
///                            '/'-separated
/// @retval errc::unsupported  a member (the subject) is encrypted or a patch
/// @param headers  reads the same file, for the headers of large members; nullptr, and where it fails: they are read in memory
/// Cost: n log n in the number of members; allocates the list. Of a mapped file, the pages with the directory, and those with the
/// headers of members; with `headers`, a read for each instead, if the members have 64 KiB or more on average.
inline result<std::vector<zip_member>> read_zip(std::span<const std::byte> file,
                                                zip_repeats repeats = zip_repeats::refused,
                                                const byte_reader* headers = nullptr) {
  return zip_reader(file, repeats, headers).run();
}

/// The same of a file on demand, of which the directory and the headers of members are read.
/// @param kept  gets the end of the file, from the directory on; the names of the members view it
/// Errors: those of read_zip and of the reader; errc::too_large  the directory has more than 64 MiB
/// Cost: a read for the end, one for a longer directory, and one for the header of each member.
inline result<std::vector<zip_member>> read_zip_directory(const byte_reader& file, std::vector<std::byte>& kept,
                                                          zip_repeats repeats = zip_repeats::refused) {
  return zip_reader(file, kept, repeats).run();
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
