// SPDX-License-Identifier: MIT
// Reads which base the files of a folder state, and finds the deltas of a file.
#ifndef STET_CHECKPOINT_DETAIL_STATED_BASE_HPP
#define STET_CHECKPOINT_DETAIL_STATED_BASE_HPP

#include "../delta.hpp"

#include "../../index/format.hpp"
#include "../../source/detail/path.hpp"
#include "../../source/file.hpp"
#include "../../writer/detail/list_folder.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// The kind of store that a file is.
enum class store_kind : std::uint8_t { none, native, loose };

/// The base that a file states.
struct stated_base {
  store_kind kind = store_kind::none;
  /// The file name of its base; empty if it has none or is too damaged.
  std::string base;
};

/// Reads the base that the file at a path states. The rest of the file may be damaged.
/// Errors: those of `file::open`, and of reading; errc::out_of_memory.
/// Cost: reads the beginning of the file, and of a store the manifest.
inline result<stated_base> read_stated_base(std::string_view path_utf8) {
  stated_base made;
  const result<file> opened = file::open(path_utf8);
  if (!opened) return opened.error();
  std::byte start[file_header::size_bytes];
  const std::span<std::byte> head =
      std::span(start).first(static_cast<std::size_t>((std::min<std::uint64_t>)(opened->size_bytes(), sizeof start)));
  if (auto read = opened->read(0, head); !read) return read.error();
  file_range text{0, opened->size_bytes()};
  if (has_native_magic(head)) {
    made.kind = store_kind::native;
    const result<file_header> header = decode_header(head, opened->size_bytes());
    if (!header || header->kind != file_header::file_kind::store) return made;
    text = {header->manifest_offset_bytes, header->manifest_size_bytes};
  } else {
    const std::string_view beginning(reinterpret_cast<const char*>(head.data()), head.size());
    const std::size_t first = beginning.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos || beginning[first] != '{') return made;
    made.kind = store_kind::loose;
  }
  if (text.size_bytes > max_manifest_size_bytes) return made;
  const result<source> bytes = source::read(*opened, text);
  if (!bytes) return bytes.error();
  const auto base = base_in(
      std::string_view(reinterpret_cast<const char*>(bytes->data()), static_cast<std::size_t>(bytes->size_bytes())));
  if (base && *base) made.base = (*base)->file_name;
  return made;
}

/// The name of a delta of the store at a path, in the same folder; empty if there is none.
/// Errors: those of listing the folder and of `read_stated_base`. Files that are not stores or cannot be read are ignored.
inline result<std::string> find_delta_of(const file_operations& operations, std::string_view path_utf8) {
  const std::string folder(folder_in(path_utf8));
  const std::string_view own_name = file_name_in(path_utf8);
  const auto names = list_folder(operations, folder);
  if (!names) return names.error();
  for (const std::string& name : *names) {
    if (name == own_name) continue;
    const auto stated = read_stated_base(folder + name);
    if (!stated) {
      const errc code = stated.error().code();
      if (is_of_contents(stated.error()) || code == errc::file_not_found || code == errc::access_denied) continue;
      return stated.error();
    }
    if (stated->base == own_name) return name;
  }
  return std::string();
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
