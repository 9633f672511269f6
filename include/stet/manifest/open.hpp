// SPDX-License-Identifier: MIT
// Opens a store through its manifest: the loose form, and native files with or without an index.
#ifndef STET_MANIFEST_OPEN_HPP
#define STET_MANIFEST_OPEN_HPP

#include "detail/caught.hpp"
#include "detail/join_shards.hpp"
#include "detail/table.hpp"
#include "parse.hpp"
#include "to_index.hpp"

#include "../store/open.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// Opens the parts whose size the manifest does not state, and keeps each until the store needs it, so that no part is
/// read twice.
class sized_parts final : public part_opener {
public:
  explicit sized_parts(const part_opener& opener) noexcept : opener_(opener) {}

  /// Sets the missing sizes of the parts of `m` from their files.
  result<void> set_sizes(manifest& m) {
    for (manifest_part& part : m.parts) {
      if (part.size_bytes) continue;
      result<source> opened = opener_.open_part(part.path);
      if (!opened) {
        const bool is_missing = opened.error().code() == errc::file_not_found;
        return is_missing ? error(errc::missing_part, part.path) : opened.error().about(part.path);
      }
      part.size_bytes = opened->size_bytes();
      kept_.push_back({part.path, std::move(*opened)});
    }
    return {};
  }

  [[nodiscard]] result<source> open_part(std::string_view name) const noexcept override {
    // The store opens its parts in the order of the manifest.
    if (next_ < kept_.size() && kept_[next_].name == name) return std::move(kept_[next_++].opened);
    return opener_.open_part(name);
  }

private:
  struct kept_part {
    std::string_view name;
    source opened;
  };
  const part_opener& opener_;
  mutable std::vector<kept_part> kept_;
  mutable std::size_t next_ = 0;
};

/// Makes the store of a sharded checkpoint, whose head has the manifest `text`.
inline result<store> store_of_shards(std::span<const shard_reference> shards, std::string_view text,
                                     store::contents&& made, const part_opener& opener, memory_resource* memory) {
  shard_join join(made, memory);
  if (auto opened = join.open(shards, opener); !opened) return opened.error();
  if (auto finished = join.finish(text); !finished) return finished.error();
  return store(std::move(made));
}

/// Makes a store from a manifest. `text` lies in `made.data`, or in memory of the caller if those bytes are on demand; the
/// store then keeps a copy.
inline result<store> store_of_manifest(std::string_view text, store::contents&& made, index_limits limits,
                                       std::uint32_t header_alignment_bytes, const part_opener& opener,
                                       const manifest_limits& text_limits, memory_resource* memory) {
  result<manifest> parsed = parse_manifest(text, text_limits);
  if (!parsed) return parsed.error();
  if (header_alignment_bytes != 0 && parsed->alignment_bytes != header_alignment_bytes) {
    return error(errc::manifest_mismatch, "alignment_bytes");
  }
  if (!limits.foreign) {
    const result<std::vector<shard_reference>> shards = shards_in(*parsed);
    if (!shards) return shards.error();
    if (!shards->empty()) return store_of_shards(*shards, text, std::move(made), opener, memory);
  }
  sized_parts parts(opener);
  if (const result<void> sized = parts.set_sizes(*parsed); !sized) return sized.error();

  std::span<const std::byte> index;
  const auto make_room = [&](std::size_t size_bytes) -> result<std::span<std::byte>> {
    result<std::span<std::byte>> room = make_table(made, size_bytes, text, memory);
    if (room) index = *room;
    return room;
  };
  if (const result<void> indexed = make_index_in(*parsed, limits, make_room); !indexed) return indexed.error();
  limits.alignment_bytes = parsed->alignment_bytes;
  const result<tensor_index> checked = check_index(index, limits);
  if (!checked) return checked.error();
  made.index = *checked;
  made.alignment_bytes = parsed->alignment_bytes;
  result<part_sources> opened = open_parts(*checked, parts, memory);
  if (!opened) return opened.error();
  made.parts = std::move(*opened);
  return store(std::move(made));
}

/// `read_manifest` with limits. May throw what the standard containers throw.
inline result<store> open_by_manifest(source&& data, const part_opener& parts, memory_resource* memory,
                                      const manifest_limits& limits = {}) {
  std::byte start[file_header::size_bytes];
  const std::size_t start_size =
      data.size_bytes() < sizeof start ? static_cast<std::size_t>(data.size_bytes()) : sizeof start;
  const std::span<std::byte> head(start, start_size);
  if (auto read = data.read_at(0, head); !read) return read.error();

  file_range where{0, data.size_bytes()};
  index_limits data_limits;
  result<file_header> header = errc::no_index;
  if (has_native_magic(head)) {
    header = decode_header(head, data.size_bytes());
    // `open` handles files with an index, and files that cannot be opened.
    if (!header || header->index_size_bytes != 0 || header->kind != file_header::file_kind::store)
      return open_store(std::move(data), parts, memory);
    where = {header->manifest_offset_bytes, header->manifest_size_bytes};
    data_limits.data_begin_bytes = header->data_offset_bytes;
    data_limits.data_end_bytes = header->file_size_bytes;
  } else {
    data_limits.foreign = true; // the loose form may list tensors in any order
  }
  if (where.size_bytes > limits.size_bytes) return error(errc::too_large, {}, limits.size_bytes);

  source fetched;
  const std::byte* text = data.data();
  if (text != nullptr) {
    text += static_cast<std::size_t>(where.offset_bytes);
  } else {
    result<source> read = source::read(*data.fetcher(), where, alignof(std::max_align_t), memory);
    if (!read) return read.error();
    fetched = std::move(*read);
    text = fetched.data();
  }
  const std::span<const std::byte> bytes(text, static_cast<std::size_t>(where.size_bytes));
  if (header && crc32c(bytes) != header->manifest_crc32c) return error(errc::manifest_checksum, {}, where.offset_bytes);
  store::contents made;
  made.data = std::move(data);
  return store_of_manifest({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, std::move(made), data_limits,
                           header ? header->alignment_bytes : 0, parts, limits, memory);
}

} // namespace detail

/// For `open_options::read_manifest`: opens a native file by its index if it has one and else by its manifest, and the
/// manifest of a loose store. The store then behaves as any other.
/// Errors: those of `open` except errc::no_index, of `parse_manifest` and of `make_index`, and
/// @retval errc::manifest_mismatch  the manifest and the header give different alignments; the head of a sharded checkpoint has tensors
///                                  or files of its own; or a shard's manifest has other tensors than its index
/// @retval errc::bad_path           a part is the manifest itself
/// A sharded checkpoint (shards.hpp) opens as one store of its tensors. One that is whole, or whose pieces lie one behind the other,
/// is in place; any other is gathered when it is copied, and a piece is compared with its checksum when it is first read. Further
/// errors, the subject the field, the shard's file or the tensor:
/// @retval errc::wrong_type, missing_field, bad_checksum_field, bad_path, duplicate_part, too_large  the field `shards`
/// @retval errc::missing_part       there are no shards, or the file of one is missing
/// @retval errc::part_mismatch      a shard has another content digest
/// @retval errc::no_index           a shard is itself sharded
/// @retval errc::unsupported        a shard has parts
/// @retval errc::bad_slice          the pieces of a tensor leave a gap or overlap, or do not lie within it; or elements of pieces
///                                  are not whole bytes each
/// @retval errc::dtype_mismatch, shape_mismatch  pieces of a tensor disagree on it
/// @retval errc::duplicate_name     a tensor is both whole and in pieces
/// or an error of `open` about a shard, or of `parse_manifest` about its manifest.
/// Offsets of errors in the manifest count from its first byte.
/// Cost: for files without index, allocates a small multiple of the manifest and takes some microseconds a tensor. The table
/// of tensors and the bytes that are read come from `memory` (nullptr: the heap), the rest from the heap.
[[nodiscard]] inline result<store> read_manifest(source&& data, const detail::part_opener& parts,
                                                 memory_resource* memory) noexcept {
  return detail::caught([&] { return detail::open_by_manifest(std::move(data), parts, memory); });
}

} // namespace stet::inline STET_NAMESPACE

#endif
