// SPDX-License-Identifier: MIT
// Converts the tensors and parts of a manifest to rows of an index.
#ifndef STET_MANIFEST_DETAIL_ROWS_HPP
#define STET_MANIFEST_DETAIL_ROWS_HPP

#include "../manifest.hpp"

#include "../../index/detail/builder.hpp"

#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The rows of the tensors of `m`; they view its names and shapes.
inline std::vector<index_row> rows_of(const manifest& m) {
  std::vector<index_row> rows;
  rows.reserve(m.tensors.size());
  for (const manifest_tensor& tensor : m.tensors) {
    index_row& row = rows.emplace_back();
    row.name = tensor.name;
    row.layout = tensor.layout();
    row.shape = tensor.shape;
    row.part = tensor.part;
    row.offset_bytes = tensor.offset_bytes;
    row.size_bytes = tensor.size_bytes;
    row.crc32c = tensor.crc32c.value_or(0);
    row.has_crc32c = tensor.crc32c.has_value();
    row.alias_of = tensor.alias_of.value_or(index_row::not_an_alias);
  }
  return rows;
}

/// The rows of the parts of `m`, with 0 for a missing size; they view its paths.
inline std::vector<index_part> part_rows_of(const manifest& m) {
  std::vector<index_part> rows;
  rows.reserve(m.parts.size());
  for (const manifest_part& part : m.parts) {
    rows.push_back({part.path, part.size_bytes.value_or(0), part.content_id.value_or(0), part.content_id.has_value()});
  }
  return rows;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
