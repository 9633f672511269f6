// SPDX-License-Identifier: MIT
// Opens npz archives: stored arrays in place, deflated ones decompressed. Needs the standard library only.
#ifndef STET_FORMATS_NUMPY_NPZ_HPP
#define STET_FORMATS_NUMPY_NPZ_HPP

#include "open.hpp"

#include "../common/finish_model.hpp"
#include "../common/open_member.hpp"
#include "../common/store_builder.hpp"
#include "../model.hpp"

#include "../../wire/bzip2.hpp"
#include "../../wire/lzma.hpp"
#include "../../wire/zip.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// The ending of the members that are arrays.
inline constexpr std::string_view npy_ending = ".npy";

/// True for an archive without members, which is an end record with its comment alone.
/// @param start  the first bytes of the file
inline bool is_empty_zip(std::span<const std::byte> start, std::uint64_t size_bytes) noexcept {
  constexpr std::size_t record_size = 22, comment_size_at = 20;
  return start.size() >= record_size && load_little<std::uint32_t>(start.data()) == 0x06054B50u &&
         size_bytes == record_size + std::uint64_t{load_little<std::uint16_t>(start.data() + comment_size_at)};
}

/// The key by which NumPy users know a member.
inline std::string_view npz_key(std::string_view member) noexcept {
  if (member.ends_with(npy_ending)) member.remove_suffix(npy_ending.size());
  return member;
}

/// Whether a stored member begins as an array does. Members are arrays by that, whatever they are called. Errors: those of the source.
inline result<bool> begins_as_npy(const source& archive, const zip_member& member) noexcept {
  if (member.method != zip_member::is_stored || member.stored_size_bytes < npy_magic.size()) return false;
  std::byte start[npy_magic.size()];
  if (auto read = archive.read_at(member.offset_bytes, start); !read) return read.error();
  return text_at(start, sizeof start) == npy_magic;
}

/// Of the members of an archive those that are arrays or may be; in `others` the rest, but for folders. Errors: those of the source.
inline result<std::vector<zip_member>> npz_arrays(const source& archive, std::vector<zip_member> members,
                                                  std::vector<zip_member>* others) {
  std::size_t kept = 0;
  for (const zip_member& each : members) {
    result<bool> is_array = each.name.ends_with(npy_ending);
    if (!*is_array) is_array = begins_as_npy(archive, each);
    if (!is_array) return is_array.error();
    if (*is_array) {
      members[kept++] = each;
    } else if (others != nullptr && !each.name.ends_with('/')) {
      others->push_back(each);
    }
  }
  members.resize(kept);
  return members;
}
/// The same for an archive in memory. Errors: those of read_zip.
inline result<std::vector<zip_member>> npz_arrays(std::span<const std::byte> archive,
                                                  std::vector<zip_member>* others = nullptr) {
  result<std::vector<zip_member>> members = read_zip(archive, zip_repeats::last_wins);
  if (!members) return members;
  return npz_arrays(source::borrow(archive), std::move(*members), others);
}

/// The bytes of a member: as open_member, and of the other methods of Python's zipfile.
/// Errors: those of open_member.
inline result<source> open_npz_member(std::span<const std::byte> archive, const zip_member& member,
                                      inflate_function inflate, memory_resource* memory) {
  if (member.method == zip_member::is_bzip2) return decompress_member(archive, member, memory, decompress_bzip2);
  if (member.method == zip_member::is_lzma) return decompress_member(archive, member, memory, decompress_lzma);
  return open_member(archive, member, inflate, memory);
}

/// An error about a member, its name the subject, and its place in the archive where that is known.
inline error error_of_member(const error& failure, const zip_member& member) noexcept {
  const bool is_known = failure.offset_bytes() != error::no_offset && member.method == zip_member::is_stored;
  const std::uint64_t at = is_known ? member.offset_bytes + failure.offset_bytes() : member.offset_bytes;
  const std::string_view what = failure.subject();
  const error named = what.empty() || what == member.name ? error(failure.code(), member.name)
                                                          : error_about(failure.code(), member.name, what);
  return error(named.code(), named.subject(), at);
}

/// Adds the arrays of an archive to a store that is being built.
class npz_importer {
public:
  /// @param part  the part of the store that has the bytes of the archive
  /// @param all   of an archive on demand, whose `archive` is empty, its members
  npz_importer(store_builder& into, std::span<const std::byte> archive, std::uint32_t part, const open_options& options,
               const numpy_types& types, const std::vector<zip_member>* all = nullptr) noexcept
      : into_(into), archive_(archive), part_(part), options_(options), types_(types), all_(all) {}

  /// Errors: as `open_npz` documents them.
  result<void> run() {
    if (auto checked = check_numpy_types(types_); !checked) return checked;
    std::vector<zip_member> others;
    const result<std::vector<zip_member>> members =
        all_ == nullptr ? npz_arrays(archive_, &others) : npz_arrays(into_.part(part_), *all_, &others);
    if (!members) return members.error();
    for (const zip_member& each : *members) {
      if (auto added = add(each); !added) return error_of_member(added.error(), each);
    }
    for (const zip_member& each : others) into_.omit(std::string(each.name), error(errc::unknown_format, each.name));
    return {};
  }

private:
  /// The bytes of a member of an archive on demand: on demand, too, if they are stored.
  result<source> open_on_demand(const zip_member& member) {
    const byte_reader& file = *into_.part(part_).fetcher();
    const file_range range{member.offset_bytes, member.stored_size_bytes};
    if (member.method == zip_member::is_stored) return source::part_of(source::stream(file), range, into_.memory());
    const result<source> stored = source::read(file, range, 1, into_.memory());
    if (!stored) return stored.error();
    zip_member alone = member;
    alone.left_out_bytes = alone.offset_bytes;
    return open_npz_member(bytes_in(*stored), alone, options_.inflate, into_.memory());
  }

  result<void> add(const zip_member& member) {
    const std::string_view key = npz_key(member.name);
    if (!is_valid_name(key)) return omit(member, error(errc::bad_name, member.name));
    const bool is_stored = member.method == zip_member::is_stored;
    result<source> bytes =
        all_ == nullptr ? open_npz_member(archive_, member, options_.inflate, into_.memory()) : open_on_demand(member);
    if (!bytes && bytes.error().code() == errc::compressed) return omit(member, bytes.error());
    if (!bytes) return bytes.error();
    source none;
    const auto read = read_npy_array(*bytes, 0, bytes->size_bytes(), types_, into_.memory(), none, array_);
    if (!read && read.error().code() == errc::unknown_dtype) return omit(member, read.error());
    if (!read) return read;
    const npy_header& header = array_.header;
    if (header.type.has_objects) return omit(member, error_of_objects(key));
    index_row row;
    row.name = key;
    row.layout = header.type.layout();
    row.shape = header.extents();
    row.size_bytes = header.size_bytes;
    row.big_endian = header.type.is_big_endian;
    row.part = part_;
    row.offset_bytes = is_stored ? member.offset_bytes + array_.offset_bytes : array_.offset_bytes;
    if (is_stored) {
      into_.add_check({part_, member.offset_bytes, member.size_bytes, member.crc32, std::string(member.name)});
    } else if (header.size_bytes != 0) {
      row.part = into_.add_decoded(std::move(*bytes));
    }
    if (header.is_reordered()) {
      if (const source& from = into_.part(row.part); from.data() == nullptr) { // not element by element
        result<source> loaded = from.load({row.offset_bytes, header.size_bytes}, into_.memory());
        if (!loaded) return loaded.error();
        row.part = into_.add_decoded(std::move(*loaded));
        row.offset_bytes = 0;
      }
      result<source> kept = source::keep(npy_reordered(into_.part(row.part), row.offset_bytes, header), into_.memory());
      if (!kept) return kept.error();
      row.part = into_.add_decoded(std::move(*kept));
      row.offset_bytes = 0;
    }
    if (header.size_bytes == 0) row.offset_bytes = 0;
    into_.add(row);
    return {};
  }

  result<void> omit(const zip_member& member, const error& reason) {
    into_.omit(std::string(npz_key(member.name)), reason);
    return {};
  }

  store_builder& into_;
  std::span<const std::byte> archive_;
  std::uint32_t part_;
  const open_options& options_;
  const numpy_types& types_;
  const std::vector<zip_member>* all_;
  npy_array array_; // here, since it is large
};

/// Opens the archive that `archive` holds in memory, or on demand.
/// @param all  of an archive on demand, its members
inline result<model> open_npz_source(source&& archive, std::string_view path, const open_options& options,
                                     const numpy_types& types, const std::vector<zip_member>* all = nullptr) {
  store_builder builder(options.memory);
  const std::span<const std::byte> bytes = all == nullptr ? bytes_in(archive) : std::span<const std::byte>();
  const std::uint32_t part = builder.add_file(file_name_in(path), std::move(archive));
  if (auto read = npz_importer(builder, bytes, part, options, types, all).run(); !read) return read.error();
  return finish_model(builder, options);
}

} // namespace detail

/// Opens the npz archive at `path_utf8`. Tensors are its arrays, by the keys that NumPy gives them: the name of the member without
/// ".npy", in the order of the archive's directory. The types of tensors, and which are in place, are those of `open_npy`.
///
/// Stored members, as np.savez writes them, are in place where they lie, which is often misaligned: `get` then says
/// errc::misaligned, and `copy_to` works. Archives that stet saves are aligned. Deflated members, as np.savez_compressed writes
/// them, are decompressed when the archive is opened, with `open_options::inflate`, and compared with their checksum, as are those
/// that Python's zipfile compressed by bzip2 or LZMA; checksums of stored members are `model::checks`.
///
/// Of two members with the same name the last one counts, as for NumPy. What the store cannot give is in `model::omitted`:
///   errc::compressed      deflated, and there is no `inflate`; or compressed in another way
///   errc::unsupported     an array of Python objects, which are stored as a pickle
///   errc::unknown_dtype   an array of a type that NumPy does not have
///   errc::bad_name        the name is empty, or not UTF-8
///   errc::unknown_format  a member that is no array
/// Opening fails with those of `stet::open` for paths and options, those of `open_npy` for an array, its member the subject, and
/// @retval errc::truncated, bad_archive, bad_path, unsupported  as read_zip (wire/zip.hpp): no archive, one that contradicts
///                               itself, overlapping or encrypted members, absolute names
/// @retval errc::bad_archive     a compressed member is declared to be more than 1,032 times its compressed size, or has another
///                               checksum
/// @retval errc::bad_compression the deflated bytes of a member are not valid
/// @retval errc::duplicate_name  two members are the same key: "a" and "a.npy"
/// Cost: reads the directory and the header of each member; decompresses deflated ones. Streamed, the whole file is read;
/// `open_any` reads the directory, the headers, compressed members, and arrays in Fortran's order, if its members have 256 KiB or more on
/// average.
[[nodiscard]] inline result<model> open_npz(std::string_view path_utf8, const open_options& options = {},
                                            const numpy_types& types = {}) {
  if (auto possible = detail::check_writing(options); !possible) return possible.error().about(path_utf8);
  result<source> bytes = detail::open_resident(path_utf8, options);
  if (!bytes) return bytes.error();
  result<model> made = detail::open_npz_source(std::move(*bytes), path_utf8, options, types);
  if (!made && made.error().subject().empty()) return made.error().about(path_utf8);
  if (made) made->path = path_utf8;
  return made;
}
/// The same for a string literal.
[[nodiscard]] inline result<model> open_npz(const char* path_utf8, const open_options& options = {},
                                            const numpy_types& types = {}) {
  return open_npz(std::string_view(path_utf8), options, types);
}
/// Opens an archive in memory, which must outlive the model. Errors and cost: those of above, for its content.
[[nodiscard]] inline result<model> open_npz(std::span<const std::byte> bytes, const open_options& options = {},
                                            const numpy_types& types = {}) {
  return detail::open_npz_source(source::borrow(bytes), "npz", options, types);
}

} // namespace stet::inline STET_NAMESPACE

#endif
