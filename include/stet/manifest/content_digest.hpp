// SPDX-License-Identifier: MIT
// The content digest of a store, by which other files refer to it.
#ifndef STET_MANIFEST_CONTENT_DIGEST_HPP
#define STET_MANIFEST_CONTENT_DIGEST_HPP

#include "../bytes/sha256.hpp"
#include "../index/format.hpp"
#include "../store/store.hpp"

#include <cstddef>
#include <span>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// Whether these bytes are a native file that has a manifest and no index.
inline bool is_without_index(const source& file) noexcept {
  std::byte start[file_header::size_bytes];
  if (file.size_bytes() < sizeof start || !file.read_at(0, start)) return false;
  const result<file_header> header = decode_header(start, file.size_bytes());
  return header && header->kind == file_header::file_kind::store && header->index_size_bytes == 0;
}

} // namespace detail

/// The content digest of a native store: SHA-256 of its manifest and of the index in its file, which hold every name, shape, place
/// and checksum. A sharded checkpoint has no index in its file; its manifest has the digest of each shard.
/// Cost: reads both once.
[[nodiscard]] inline sha256_digest content_digest(const store& of) noexcept {
  sha256 hash;
  hash.update(std::as_bytes(std::span(of.manifest_text().data(), of.manifest_text().size())));
  if (!detail::is_without_index(of.data())) hash.update(of.index().bytes());
  return hash.finish();
}

} // namespace stet::inline STET_NAMESPACE

#endif
