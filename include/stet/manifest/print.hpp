// SPDX-License-Identifier: MIT
// Manifest → JSON, the same bytes for the same manifest everywhere.
#ifndef STET_MANIFEST_PRINT_HPP
#define STET_MANIFEST_PRINT_HPP

#include "detail/emit.hpp"
#include "detail/rows.hpp"

#include <cstddef>
#include <string>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// The text of free-form JSON; empty for null, which stands for none. `replace` makes sure that nothing
/// throws even where a string was not checked to be UTF-8.
inline std::string text_of(const json_value& value) {
  return value.is_null() ? std::string() : value.dump(-1, ' ', false, json_value::error_handler_t::replace);
}

/// The text of an object's members, without the braces.
inline std::string members_text_of(const json_value& object) {
  const std::string text = text_of(object);
  return text.size() < 2 ? std::string() : text.substr(1, text.size() - 2);
}

} // namespace detail

/// The JSON text of `m`, for which check_manifest gives no error. Parsing it gives `m` again.
/// Cost: allocates; about a hundred nanoseconds a tensor, free-form JSON apart.
/// Source: manifest.hpp, "As written by this library".
inline std::string print_manifest(const manifest& m) {
  detail::manifest_texts texts{detail::text_of(m.graph),
                               detail::text_of(m.state),
                               detail::text_of(m.metadata),
                               detail::members_text_of(m.extra),
                               {}};
  for (std::size_t number = 0; number < m.tensors.size(); ++number) {
    const json_value& attributes = m.tensors[number].attributes;
    if (!attributes.empty()) texts.attributes.push_back({number, detail::members_text_of(attributes)});
  }
  const std::vector<index_row> rows = detail::rows_of(m);
  const detail::manifest_lines lines{m.version, m.minimum_reader, m.alignment_bytes, m.parts, rows, 0, texts};
  std::string text(detail::container_size(detail::manifest_size_bytes(lines)), '\0');
  detail::emit_manifest(lines, text.data());
  return text;
}

} // namespace stet::inline STET_NAMESPACE

#endif
