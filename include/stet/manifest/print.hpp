// SPDX-License-Identifier: MIT
// Manifest → JSON, the same bytes for the same manifest everywhere.
#ifndef STET_MANIFEST_PRINT_HPP
#define STET_MANIFEST_PRINT_HPP

#include "check.hpp"
#include "detail/emit.hpp"
#include "detail/rows.hpp"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// The JSON text of `m`, for which check_manifest gives no error. Parsing it gives `m` again.
/// Cost: allocates; about a hundred nanoseconds a tensor, free-form JSON apart.
/// Source: manifest.hpp, "As written by this library".
inline std::string print_manifest(const manifest& m) {
  detail::manifest_texts texts;
  // A manifest that check_manifest accepts has all texts.
  if (auto free_form = detail::texts_of({m.graph, m.state, m.metadata, m.extra}))
    texts.free_form = std::move(*free_form);
  for (std::size_t number = 0; number < m.tensors.size(); ++number) {
    if (m.tensors[number].attributes.empty()) continue;
    std::string& text = texts.attributes.emplace_back(detail::attribute_text{number, {}}).text;
    (void)detail::append_attributes(text, m.tensors[number].attributes);
  }
  const std::vector<index_row> rows = detail::rows_of(m);
  const detail::manifest_lines lines{m.version, m.minimum_reader, m.alignment_bytes, m.parts, rows, 0, texts};
  std::string text(detail::container_size(detail::manifest_size_bytes(lines)), '\0');
  detail::emit_manifest(lines, text.data());
  return text;
}

} // namespace stet::inline STET_NAMESPACE

#endif
