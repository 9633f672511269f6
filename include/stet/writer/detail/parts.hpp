// SPDX-License-Identifier: MIT
// What the parts of a store are called, and which parts the store that a save replaces leaves behind.
#ifndef STET_WRITER_DETAIL_PARTS_HPP
#define STET_WRITER_DETAIL_PARTS_HPP

#include "../../bytes/detail/fnv1a.hpp"
#include "../../index/detail/check.hpp"
#include "../../manifest/parse.hpp"
#include "../../manifest/shards.hpp"
#include "../../source/file.hpp"
#include "../../source/detail/path.hpp"
#include "../../source/source.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The file in a folder of checkpoints that the folder's writer has locked. On Windows nobody else can open it.
inline constexpr std::string_view lock_name = ".stet-lock";

/// The hash that becomes the content id of a part of `size_bytes` bytes when its tensors are added, in order.
inline fnv1a content_hash(std::uint64_t size_bytes) noexcept { return fnv1a().add(size_bytes, 8); }
/// Adds a tensor that has bytes and is no alias.
inline void add_to_content(fnv1a& hash, std::uint64_t offset_bytes, std::uint32_t checksum) noexcept {
  hash.add(offset_bytes, 8).add(checksum, 4);
}

/// What the names of the parts of the store in the file `store_name` begin with.
constexpr std::string_view part_stem(std::string_view store_name) noexcept {
  return store_name.substr(0, store_name.rfind('.'));
}

/// The name of a part: "model-00000-of-00003-89abcdef.stet". The last digits stand for its content and for
/// the name of the store: saving over a store never touches the parts of the old one, and no two stores of a
/// folder share a part, although `model.stet` and `model.v2` share the stem.
inline std::string part_name(std::string_view store_name, std::uint32_t number, std::size_t count,
                             std::uint64_t content_id, std::string_view extension) {
  const std::uint64_t hash = fnv1a(content_id).add(store_name).value();
  char digits[64];
  std::snprintf(digits, sizeof digits, "-%05u-of-%05u-%08x", static_cast<unsigned>(number),
                static_cast<unsigned>(count), static_cast<unsigned>(hash & 0xFFFFFFFFu));
  return std::string(part_stem(store_name)).append(digits).append(extension);
}

/// Whether a part of the store in the file `store_name` may be called `name`.
inline bool is_like_part_name(std::string_view name, std::string_view store_name) noexcept {
  const auto take = [&name](std::string_view text) {
    if (name.substr(0, text.size()) != text) return false;
    name.remove_prefix(text.size());
    return true;
  };
  const auto take_digits = [&name](std::string_view allowed, std::size_t least, std::size_t most) {
    std::size_t count = 0;
    while (count < name.size() && allowed.find(name[count]) != std::string_view::npos) ++count;
    name.remove_prefix(count);
    return count >= least && count <= most;
  };
  constexpr std::string_view digits = "0123456789abcdef", decimal = digits.substr(0, 10);
  return take(part_stem(store_name)) && take("-") && take_digits(decimal, 5, 10) && take("-of-") &&
         take_digits(decimal, 5, 10) && take("-") && take_digits(digits, 8, 8) && (name == ".stet" || name == ".bin");
}

/// Whether the file at `path_utf8` is the part of these facts.
inline bool is_part_file(std::string_view path_utf8, std::uint64_t size_bytes,
                         std::optional<std::uint64_t> content_id) {
  const result<file> opened = file::open(path_utf8, open_for::read, links::no_follow);
  if (!opened || opened->size_bytes() != size_bytes) return false;
  if (!content_id) return true;
  std::byte start[file_header::size_bytes];
  if (size_bytes < sizeof start || !opened->read(0, start)) return false;
  const result<file_header> header = decode_header(start, size_bytes);
  return header && header->kind == file_header::file_kind::part && header->content_id == *content_id;
}

/// Whether the file at `path_utf8` is a native store of its own, as a shard is.
inline bool is_store_file(std::string_view path_utf8) {
  const result<file> opened = file::open(path_utf8, open_for::read, links::no_follow);
  std::byte start[file_header::size_bytes];
  if (!opened || opened->size_bytes() < sizeof start || !opened->read(0, start)) return false;
  const result<file_header> header = decode_header(start, opened->size_bytes());
  return header && header->kind == file_header::file_kind::store && header->index_size_bytes != 0;
}

/// Parses the manifest that lies in a range of a file. Errors: those of reading and of `parse_manifest`.
inline result<manifest> read_manifest_text(const file& from, file_range where) {
  if (where.size_bytes > manifest_limits().size_bytes) return errc::too_large;
  const result<source> bytes = source::read(from, where);
  if (!bytes) return bytes.error();
  return parse_manifest({reinterpret_cast<const char*>(bytes->data()), static_cast<std::size_t>(bytes->size_bytes())});
}

/// The shards that the file at `path_utf8` lists, whatever their names are; none if it is no head of a sharded checkpoint, or
/// one that cannot be parsed. Errors: those of opening and reading the file.
inline result<std::vector<std::string>> listed_shards(std::string_view path_utf8) {
  std::vector<std::string> names;
  const result<file> opened = file::open(path_utf8);
  if (!opened) return opened.error();
  std::byte start[file_header::size_bytes];
  if (opened->size_bytes() < sizeof start) return names;
  if (auto read = opened->read(0, start); !read) return read.error();
  const result<file_header> header = decode_header(start, opened->size_bytes());
  if (!header || header->kind != file_header::file_kind::store || header->index_size_bytes != 0) return names;
  const result<manifest> parsed =
      read_manifest_text(*opened, {header->manifest_offset_bytes, header->manifest_size_bytes});
  if (!parsed && parsed.error().category() <= error_category::system) return parsed.error();
  if (!parsed) return names;
  if (result<std::vector<shard_reference>> shards = shards_in(*parsed)) {
    for (shard_reference& each : *shards) names.push_back(std::move(each.file_name));
  }
  return names;
}

/// The parts that were saved with the store at `path_utf8` under this very path: those that it lists by the name that a part
/// of its name, number and content has, and whose file is that part. What a copy of another store lists is not its own. Of the
/// head of a sharded checkpoint, the shards that are called as its parts would be; other heads may list them, too. None
/// if there is no store, or none that can be read: this serves only to know what may be removed.
inline std::vector<std::string> listed_parts(std::string_view path_utf8) {
  std::vector<std::string> names;
  const std::string folder(folder_in(path_utf8));
  const std::string_view store_name = file_name_in(path_utf8);
  const auto add_if_own = [&](std::string_view name, std::uint32_t number, std::size_t count, std::uint64_t size_bytes,
                              std::uint64_t content_id, bool has_header) {
    if (name != part_name(store_name, number, count, content_id, has_header ? ".stet" : ".bin")) return;
    if (is_part_file(folder + std::string(name), size_bytes, has_header ? std::optional(content_id) : std::nullopt))
      names.emplace_back(name);
  };
  const result<file> opened = file::open(path_utf8, open_for::read, links::no_follow);
  if (!opened) return names;
  file_range text{0, opened->size_bytes()};
  std::byte start[file_header::size_bytes];
  const std::span<std::byte> head =
      std::span(start).first(text.size_bytes < sizeof start ? static_cast<std::size_t>(text.size_bytes) : sizeof start);
  if (!opened->read(0, head)) return names;
  const bool is_native = has_native_magic(head);
  if (is_native) {
    const result<file_header> header = decode_header(head, opened->size_bytes());
    if (!header || header->kind != file_header::file_kind::store) return names;
    if (header->index_size_bytes != 0) {
      // Most stores have no parts, which the first bytes of the index tell.
      std::byte counts[index_field::part_count.end()];
      if (!opened->read(header->index_offset_bytes, counts) || index_field::part_count.load(counts) == 0) return names;
      const result<source> bytes = source::read(*opened, {header->index_offset_bytes, header->index_size_bytes});
      if (!bytes) return names;
      index_limits limits;
      limits.alignment_bytes = header->alignment_bytes;
      const result<tensor_index> index =
          check_index({bytes->data(), static_cast<std::size_t>(bytes->size_bytes())}, limits);
      for (std::uint32_t number = 0; index && number < index->part_count(); ++number) {
        const index_part part = index->part(number);
        if (part.has_header) add_if_own(part.path, number, index->part_count(), part.size_bytes, part.content_id, true);
      }
      return names;
    }
    text = {header->manifest_offset_bytes, header->manifest_size_bytes};
  }
  const result<manifest> parsed = read_manifest_text(*opened, text);
  if (!parsed) return names;
  if (is_native) {
    const result<std::vector<shard_reference>> shards = shards_in(*parsed);
    if (!shards) return names;
    for (const shard_reference& each : *shards) {
      if (is_like_part_name(each.file_name, store_name) && is_store_file(folder + each.file_name))
        names.push_back(each.file_name);
    }
    if (!shards->empty()) return names;
  }
  std::vector<fnv1a> contents;
  for (const manifest_part& part : parsed->parts) contents.push_back(content_hash(part.size_bytes.value_or(0)));
  for (const manifest_tensor& tensor : parsed->tensors) {
    if (tensor.size_bytes != 0 && !tensor.alias_of && tensor.part < contents.size())
      add_to_content(contents[tensor.part], tensor.offset_bytes, tensor.crc32c.value_or(0));
  }
  for (std::uint32_t number = 0; number < parsed->parts.size(); ++number) {
    const manifest_part& part = parsed->parts[number];
    const std::uint64_t content_id = part.content_id.value_or(contents[number].value());
    if (part.size_bytes)
      add_if_own(part.path, number, contents.size(), *part.size_bytes, content_id, part.content_id.has_value());
  }
  return names;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
