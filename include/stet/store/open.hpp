// SPDX-License-Identifier: MIT
// Opens a native store from a path, a descriptor, memory, or a reader of the program.
#ifndef STET_STORE_OPEN_HPP
#define STET_STORE_OPEN_HPP

#include "store.hpp"

#include "../index/detail/check.hpp"
#include "../index/format.hpp"
#include "../source/file_system.hpp"
#include "../source/detail/path.hpp"
#include "../vocabulary/inflate.hpp"

namespace stet::inline STET_NAMESPACE {

namespace detail {
class part_opener;
}

/// Makes a store of its own file, whose parts are opened by name: `read_manifest` of stet/manifest.hpp.
using store_reader = result<store> (*)(source&& data, const detail::part_opener& parts,
                                       memory_resource* memory) noexcept;

/// Where the bytes of an open file are.
enum class backing : std::uint8_t {
  /// Mapped: pages come in when they are touched, and are shared with other processes. What cannot be mapped, a reader of the
  /// program, is streamed.
  map,
  /// Read into memory at open, all of them. Memory of the program is copied if it is not aligned for every type.
  read,
  /// Left in the file: only the table of tensors is read; `tensor::copy_to` fetches the rest.
  stream,
};

/// How to open a store.
struct open_options {
  /// With `files`, map and stream take bytes as they are given, in memory or not, and read loads those that are not.
  stet::backing backing = stet::backing::map;
  /// Of a mapping: whether tensors may be written to, and who sees it. No two tensors of a native file share bytes, but for an
  /// alias and its original, which are one. Where two of a file of another format do, all tensors of that file are read only.
  stet::access access = stet::access::read_only;
  /// The part of the file that is the store: an asset within a package, at any offset.
  file_range range{};
  /// Of a mapping: whether the system may read what lies around the touched pages, up to its own limit, which may be
  /// megabytes. False saves that where little of a large file is used, and makes reading much of it slow: prefetch it then.
  bool reads_ahead = true;
  /// Whether parts beside the store may be symbolic or hard links, which can lead out of its folder. Without it a link is
  /// errc::bad_path. Models of other formats may consist of links of huggingface_hub's cache: "../../blobs/" and a hash.
  bool follow_links = false;
  /// Decompresses what files of other formats hold deflated: `inflate_with_zlib` of stet/ext/zlib.hpp, say. The open store keeps it.
  /// Without one, deflated tensors are listed, and reading them is errc::compressed.
  inflate_function inflate = nullptr;
#if STET_FILES
  /// Reads files for `backing::read`: `read_in_parallel` of stet/source/parallel_read.hpp. nullptr: one read after the other, and no
  /// code that starts threads is linked.
  read_function* read = nullptr;
#endif
  /// Opens also files without an index and loose manifests: `read_manifest` of stet/manifest.hpp. nullptr: these are errc::no_index
  /// and errc::bad_magic, and no code that parses JSON is linked.
  store_reader read_manifest = nullptr;
  /// Where files are; nullptr: with the operating system. A store that is opened without a path finds its parts here by their
  /// names alone. Whether links may be followed is the file system's to say then, and
  /// tensors may be written to (`access`) where it gives memory that may be, else errc::unsupported. The open store keeps it.
  const file_system* files = nullptr;
  /// Where memory comes from; nullptr: from the heap. Of a native file that is all that is allocated. Of other formats, and of
  /// a manifest, it is the table of tensors, all bytes of tensors (decompressed, decoded, read) and whole files that are read;
  /// what is parsed on the way (JSON, names, lists of pieces) is in containers of the standard library, in other formats also nlohmann's, on the
  /// heap. The open store keeps it.
  memory_resource* memory = nullptr;
};

namespace detail {

/// Gives the parts of a sharded store to `open_store`.
class part_opener {
public:
  /// The bytes of the part called `name`, a plain file name (letters and such, no separators) from the store's index.
  [[nodiscard]] virtual result<source> open_part(std::string_view name) const noexcept = 0;

protected:
  part_opener() noexcept = default;
  part_opener(const part_opener&) noexcept = default;
  part_opener& operator=(const part_opener&) noexcept = default;
  ~part_opener() noexcept = default;
};

/// Where there is no folder to look for parts in.
class no_parts final : public part_opener {
public:
  [[nodiscard]] result<source> open_part(std::string_view name) const noexcept override {
    return error(errc::missing_part, name);
  }
};

/// Opens the parts that `index` lists and compares each with what the index says of it.
/// Errors: those that `open` names for parts.
inline result<part_sources> open_parts(const tensor_index& index, const part_opener& opener,
                                       memory_resource* memory) noexcept {
  result<part_sources> parts = part_sources::allocate(index.part_count(), memory);
  if (!parts) return parts;
  for (std::uint32_t number = 0; number < index.part_count(); ++number) {
    const index_part expected = index.part(number);
    if (!is_part_name(expected.path)) return error(errc::bad_path, expected.path);
    // Each part is opened once. One with a header has its number there, so that it cannot be two.
    for (std::uint32_t before = 0; !expected.has_header && before < number; ++before) {
      if (index.part(before).path == expected.path) return error(errc::duplicate_part, expected.path);
    }
    result<source> opened = opener.open_part(expected.path);
    if (!opened) {
      const bool is_missing = opened.error().code() == errc::file_not_found;
      return is_missing ? error(errc::missing_part, expected.path) : opened.error().about(expected.path);
    }
    if (opened->size_bytes() != expected.size_bytes) return error(errc::part_size, expected.path);
    if (expected.has_header) {
      std::byte start[file_header::size_bytes];
      if (expected.size_bytes < sizeof start) return error(errc::part_size, expected.path);
      if (auto read = opened->read_at(0, writable_bytes_at(start, sizeof start)); !read)
        return read.error().about(expected.path);
      const result<file_header> header = decode_header(bytes_at(start, sizeof start), expected.size_bytes);
      if (!header) return header.error().about(expected.path);
      if (header->kind != file_header::file_kind::part || header->part_number != number ||
          header->part_count != index.part_count() || header->content_id != expected.content_id) {
        return error(errc::part_mismatch, expected.path);
      }
    }
    (*parts)[number] = std::move(*opened);
  }
  return parts;
}

/// The header of a store, whose own file `data` is. Errors: those that `open` names for the header, and no_index.
inline result<file_header> read_store_header(const source& data) noexcept {
  std::byte start[file_header::size_bytes];
  const std::size_t start_size =
      data.size_bytes() < sizeof start ? static_cast<std::size_t>(data.size_bytes()) : sizeof start;
  if (auto read = data.read_at(0, writable_bytes_at(start, start_size)); !read) return read.error();
  result<file_header> header = decode_header(bytes_at(start, start_size), data.size_bytes());
  if (!header) return header;
  if (header->kind != file_header::file_kind::store)
    return error(errc::bad_header, "a part of a store", header_field::kind.offset);
  if (header->index_size_bytes == 0) return errc::no_index;
  if (header->manifest_size_bytes > max_manifest_size_bytes)
    return error(errc::too_large, "manifest", header->manifest_offset_bytes);
  if (header->index_size_bytes > max_index_size_bytes)
    return error(errc::too_large, "index", header->index_offset_bytes);
  return header;
}

/// Checks manifest and index, which lie at `table` as they do in the file, and notes in `made` what `header` and they say.
/// Errors: those that `open` names for both.
inline result<void> check_table(const file_header& header, const std::byte* table, store::contents& made) noexcept {
  const std::byte* const manifest = table + static_cast<std::size_t>(header.manifest_offset_bytes);
  const auto manifest_size = static_cast<std::size_t>(header.manifest_size_bytes);
  const std::byte* const index = table + static_cast<std::size_t>(header.index_offset_bytes);
  const auto index_size = static_cast<std::size_t>(header.index_size_bytes);
  if (crc32c(bytes_at(manifest, manifest_size)) != header.manifest_crc32c)
    return error(errc::manifest_checksum, {}, header.manifest_offset_bytes);
  if (crc32c(bytes_at(index, index_size)) != header.index_crc32c)
    return error(errc::index_checksum, {}, header.index_offset_bytes);
  index_limits limits;
  limits.alignment_bytes = header.alignment_bytes;
  limits.data_begin_bytes = header.data_offset_bytes;
  limits.data_end_bytes = header.file_size_bytes;
  const result<tensor_index> checked = check_index(bytes_at(index, index_size), limits);
  if (!checked) return checked.error();
  made.index = *checked;
  made.manifest = text_at(manifest, manifest_size);
  made.alignment_bytes = header.alignment_bytes;
  return {};
}

/// Opens a store whose bytes are all in memory and which has no parts: nothing that it calls could allocate, so that
/// linking it asks for no heap.
/// Errors: those of `open`; missing_part or bad_path for a store with parts.
inline result<store> open_in_memory(source&& data) noexcept {
  const result<file_header> header = read_store_header(data);
  if (!header) return header.error();
  store::contents made;
  if (auto checked = check_table(*header, data.data(), made); !checked) return checked.error();
  if (made.index.part_count() != 0) {
    const std::string_view first = made.index.part(0).path;
    return error(is_part_name(first) ? errc::missing_part : errc::bad_path, first);
  }
  made.data = std::move(data);
  return store(std::move(made));
}

/// `open` of a source, under a name of its own: among its overloads the compiler would ask of a source whether it is a range.
inline result<store> open_store(source&& data, const part_opener& parts, memory_resource* memory) noexcept {
  const result<file_header> header = read_store_header(data);
  if (!header) return header.error();
  store::contents made;
  const std::byte* table = data.data();
  if (table == nullptr) {
    result<source> read = source::read(*data.fetcher(), {0, header->index_offset_bytes + header->index_size_bytes},
                                       alignof(std::max_align_t), memory);
    if (!read) return read.error();
    made.table = std::move(*read);
    table = made.table.data();
  }
  if (auto checked = check_table(*header, table, made); !checked) return checked.error();
  result<part_sources> opened = open_parts(made.index, parts, memory);
  if (!opened) return opened.error();
  made.data = std::move(data);
  made.parts = std::move(*opened);
  return store(std::move(made));
}

/// Only a mapping passes changes on to its file.
/// @retval errc::unsupported  shared writing to what is read or streamed
inline result<void> check_writing(const open_options& options) noexcept {
  if (options.access == access::shared_write && options.backing != backing::map) return errc::unsupported;
  return {};
}

#if STET_FILES
/// The bytes of an open file in the way `options` ask for.
inline result<source> source_of(file&& from, const open_options& options) noexcept {
  if (options.backing == backing::stream) return source::stream(std::move(from), options.range, options.memory);
  if (options.backing == backing::read)
    return source::read(from, options.range, max_alignment_bytes, options.memory, options.read);
  result<source> mapped = source::map(from, options.range, options.access);
  // A hint: where the system does not take it, more is read than needed.
  if (mapped && !options.reads_ahead) (void)mapped->stop_read_ahead(0, mapped->size_bytes());
  return mapped;
}
#endif

/// Bytes of the program (memory, a reader, or what its file system gave), in the way `options` ask for.
inline result<source> source_of(source&& given, const open_options& options) noexcept {
  const bool is_read = given.data() == nullptr && options.backing == backing::read;
  if (is_read) return source::read(*given.fetcher(), options.range, max_alignment_bytes, options.memory);
  const bool must_be_writable = options.backing == backing::map && options.access != access::read_only;
  if (must_be_writable && !given.is_writable()) return errc::unsupported;
  result<source> part = source::part_of(std::move(given), options.range, options.memory);
  const bool is_moved = options.backing == backing::read && part && part->data() != nullptr &&
                        !is_aligned(part->data(), alignof(std::max_align_t));
  if (!is_moved) return part;
  return source::copy({part->data(), static_cast<std::size_t>(part->size_bytes())}, options.memory);
}

/// Opens a file of the operating system.
inline result<source> open_system_file([[maybe_unused]] std::string_view path_utf8,
                                       [[maybe_unused]] const open_options& options,
                                       [[maybe_unused]] bool is_beside) noexcept {
#if STET_FILES
  const bool writable = options.backing == backing::map && options.access == access::shared_write;
  const bool follows = options.follow_links || !is_beside;
  const open_for purpose = writable ? open_for::read_write : open_for::read;
  result<file> from = file::open(path_utf8, purpose, follows ? links::follow : links::no_follow);
  if (!from) return from.error();
  if (!follows && from->link_count() > 1) return errc::bad_path;
  return source_of(std::move(*from), options);
#else
  return errc::unsupported;
#endif
}

/// Opens a file of the program.
inline result<source> open_own_file(std::string_view path_utf8, const open_options& options) noexcept {
  result<source> given = options.files->open_file(path_utf8);
  if (!given) return given;
  return source_of(std::move(*given), options);
}

/// Opens the file at `path_utf8`, wherever `options` say that files are. All that stet reads by a path, it opens here.
/// @param is_beside  whether the path is made of what a file says, which must not lead out of its folder
/// Errors: those of `file::open` and of mapping or reading.
inline result<source> open_source(std::string_view path_utf8, const open_options& options,
                                  bool is_beside = false) noexcept {
  result<source> opened =
      options.files != nullptr ? open_own_file(path_utf8, options) : open_system_file(path_utf8, options, is_beside);
  if (!opened && opened.error().subject().empty()) return opened.error().about(path_utf8);
  return opened;
}

/// Opens parts as files in the folder of the store, which is itself none.
class parts_in_folder : public part_opener {
public:
  /// The folder of the file at `path_utf8`.
  parts_in_folder(std::string_view path_utf8, const open_options& options) noexcept : options_(options) {
    folder_ = folder_in(path_utf8);
    own_name_ = file_name_in(path_utf8);
    options_.range = {};
  }

  /// The folder, ending in its separator; empty for the current one.
  [[nodiscard]] std::string_view folder() const noexcept { return folder_; }

  [[nodiscard]] result<source> open_part(std::string_view name) const noexcept override {
    char buffer[max_path_size];
    if (name == own_name_) return error(errc::bad_path, name);
    if (folder_.size() + name.size() > sizeof buffer) return error(errc::bad_path, name);
    text_writer path(buffer, sizeof buffer);
    path.append(folder_).append(name);
    result<source> opened = open_source(path.text(), options_, true);
    return opened || opened.error().code() != errc::bad_path ? std::move(opened)
                                                             : open_refused(path.text(), opened.error());
  }

protected:
  static constexpr std::size_t max_path_size = 4096;

  [[nodiscard]] const open_options& options() const noexcept { return options_; }

private:
  /// What the file at `path_utf8` leads to, for an opener that follows some links. @param refused  the error of opening it
  [[nodiscard]] virtual result<source> open_refused([[maybe_unused]] std::string_view path_utf8,
                                                    const error& refused) const noexcept {
    return refused;
  }

  std::string_view folder_, own_name_;
  open_options options_;
};

/// Makes a store of its own file, by the manifest if `options` say how.
inline result<store> read_store(source&& data, const part_opener& parts, const open_options& options) noexcept {
  const store_reader reader = options.read_manifest != nullptr ? options.read_manifest : open_store;
  return reader(std::move(data), parts, options.memory);
}

/// A store without a path: parts are the program's files, or none. `bytes` may be an error already.
inline result<store> open_without_path(result<source> bytes, const open_options& options) noexcept {
  if (auto possible = check_writing(options); !possible) return possible.error();
  if (!bytes) return bytes.error();
  if (options.files == nullptr) return read_store(std::move(*bytes), no_parts(), options);
  return read_store(std::move(*bytes), parts_in_folder({}, options), options);
}

/// Opens the file at `path_utf8` and returns `make(source&&)`, a result<store>; its errors about no other subject are about the
/// path. Errors: those of `check_writing`, `open_source` and `make`.
template <class Make>
result<store> open_file(std::string_view path_utf8, const open_options& options, const Make& make) noexcept {
  if (auto possible = check_writing(options); !possible) return possible.error().about(path_utf8);
  result<source> bytes = open_source(path_utf8, options);
  if (!bytes) return bytes.error();
  result<store> made = make(std::move(*bytes));
  if (!made && made.error().subject().empty()) return made.error().about(path_utf8);
  return made;
}

/// `open` of a path, under a name of its own, as `open_store`.
inline result<store> open_path(std::string_view path_utf8, const open_options& options) noexcept {
  return open_file(path_utf8, options, [&](source&& bytes) noexcept {
    return read_store(std::move(bytes), parts_in_folder(path_utf8, options), options);
  });
}

} // namespace detail

/// Opens the store at `path_utf8`; its parts, if any, are looked for beside it. Every `open` checks the header, the checksums
/// of manifest and index, every entry of the index, and every part; afterwards no look-up checks again.
/// Errors: those of `file::open` and of mapping or reading, or of `options.files`, and
/// @retval errc::bad_magic, truncated, header_checksum, newer_format, bad_header, bad_alignment, bad_section,
///         trailing_bytes           the header (see `decode_header`)
/// @retval errc::no_index           the store has a manifest only; `options.read_manifest` opens it
/// @retval errc::manifest_checksum  the manifest is damaged
/// @retval errc::index_checksum     the index is damaged
/// @retval errc::bad_index … too_large       the index is not sound (see `check_index`)
/// @retval errc::missing_part, part_size, part_mismatch, bad_path, duplicate_part  a part, its name the subject
/// @retval errc::too_large          the manifest exceeds `max_manifest_size_bytes`, or the index `max_index_size_bytes`
/// @retval errc::bad_range          `options.range` does not lie within the file
/// @retval errc::unsupported  there is no operating system with files, and `options.files` is nullptr; or writing is to be
///                            shared without a mapping
/// Cost: mapped, three system calls and a pass over the table of tensors; the data is not touched. No allocation unless the
/// bytes are on demand (the table is then read into memory) or there are parts.
[[nodiscard]] inline result<store> open(std::string_view path_utf8, const open_options& options = {}) noexcept {
  return detail::open_path(path_utf8, options);
}
/// The same, for a string literal.
[[nodiscard]] inline result<store> open(const char* path_utf8, const open_options& options = {}) noexcept {
  return detail::open_path(path_utf8, options);
}
/// Opens the store at a std::filesystem::path, or another type with its members. Allocates a UTF-8 path on Windows.
template <class Path>
  requires requires(const Path& path) { path.native(), path.u8string(); }
[[nodiscard]] result<store> open(const Path& path, const open_options& options = {}) noexcept {
  if constexpr (sizeof *path.native().data() == 1) {
    return detail::open_path(detail::text_at(path.native().data(), path.native().size()), options);
  } else {
    const auto path_utf8 = path.u8string();
    return detail::open_path(detail::text_at(reinterpret_cast<const char*>(path_utf8.data()), path_utf8.size()),
                             options);
  }
}

/// Opens a store whose bytes are `data`. `options.range` and what they say of memory apply; `options.files` has the parts.
/// Errors and cost: those of `open(path)`; without files, a store with parts is missing_part.
[[nodiscard]] inline result<store> open(source&& data, const open_options& options = {}) noexcept {
  return detail::open_without_path(detail::source_of(std::move(data), options), options);
}

/// Opens a store in memory, which must outlive it. Allocates nothing, and a program that opens stores in this way alone need
/// not even link a heap. Errors: those of `open(source&&)`.
[[nodiscard]] inline result<store> open(std::span<const std::byte> memory) noexcept {
  return detail::open_in_memory(source::borrow(detail::bytes_at(memory.data(), memory.size())));
}
/// As above, with options.
[[nodiscard]] inline result<store> open(std::span<const std::byte> memory, const open_options& options) noexcept {
  source bytes = source::borrow(detail::bytes_at(memory.data(), memory.size()));
  return detail::open_without_path(detail::source_of(std::move(bytes), options), options);
}
/// As above; tensors may be written to. Wants a std::span<std::byte>: of a vector, `open` reads.
template <std::size_t Size> [[nodiscard]] result<store> open(std::span<std::byte, Size> memory) noexcept {
  return detail::open_in_memory(source::borrow_writable(detail::writable_bytes_at(memory.data(), memory.size())));
}
/// As above, with options.
template <std::size_t Size>
[[nodiscard]] result<store> open(std::span<std::byte, Size> memory, const open_options& options) noexcept {
  source bytes = source::borrow_writable(detail::writable_bytes_at(memory.data(), memory.size()));
  return detail::open_without_path(detail::source_of(std::move(bytes), options), options);
}
/// As `open` of bytes, for containers and arrays of unsigned char: what tools make of a file for a program's own memory.
template <class Memory>
  requires requires(const Memory& memory, const unsigned char* first) { first = memory.data(), memory.size(); }
[[nodiscard]] result<store> open(const Memory& memory, const open_options& options = {}) noexcept {
  source bytes = source::borrow(detail::bytes_at(reinterpret_cast<const std::byte*>(memory.data()), memory.size()));
  return detail::open_without_path(detail::source_of(std::move(bytes), options), options);
}
/// As above, for an array.
template <std::size_t Size>
[[nodiscard]] result<store> open(const unsigned char (&memory)[Size], const open_options& options = {}) noexcept {
  source bytes = source::borrow(detail::bytes_at(reinterpret_cast<const std::byte*>(memory), Size));
  return detail::open_without_path(detail::source_of(std::move(bytes), options), options);
}

/// Opens a store through a reader of the program, which must outlive it. Only the table is read; tensors are fetched by
/// `tensor::copy_to`. With `backing::read`, everything is read now. Errors: those of `open(source&&)` and of the reader.
[[nodiscard]] inline result<store> open(const byte_reader& from, const open_options& options = {}) noexcept {
  return detail::open_without_path(detail::source_of(source::stream(from), options), options);
}

#if STET_FILES

/// Opens a store within an open file: an asset in a package, by descriptor, offset and length. The handle stays the
/// caller's; unless tensors are streamed it may be closed afterwards. Errors: those of `open(source&&)` and of `file::borrow`.
[[nodiscard]] inline result<store> open(native_handle handle, const open_options& options = {}) noexcept {
  result<file> borrowed = file::borrow(handle);
  if (!borrowed) return borrowed.error();
  return detail::open_without_path(detail::source_of(std::move(*borrowed), options), options);
}

#endif

} // namespace stet::inline STET_NAMESPACE

#endif
