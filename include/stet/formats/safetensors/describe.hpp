// SPDX-License-Identifier: MIT
// Describes a safetensors file: its metadata.
#ifndef STET_FORMATS_SAFETENSORS_DESCRIBE_HPP
#define STET_FORMATS_SAFETENSORS_DESCRIBE_HPP

#include "open.hpp"

#include "../description.hpp"
#include "../format.hpp"

#include "../../json.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// `format::describe` of safetensors_format. `__metadata__`, an object of strings, is the metadata. The file was checked when it
/// was opened; what another program wrote there since is errc::malformed.
inline result<model_description> describe_safetensors(const model& of) {
  model_description made;
  format_probe probe(of.path, of.options);
  const auto all = probe.bytes();
  if (!all) return all.error();
  const error changed(errc::malformed, "safetensors: header");
  if (all->size() < safetensors_length_size_bytes) return changed;
  const auto length = load_little<std::uint64_t>(all->data());
  if (length > all->size() - safetensors_length_size_bytes) return changed;
  json_reader in(text_at(all->data() + safetensors_length_size_bytes, static_cast<std::size_t>(length)));
  if (in.next() != json_token::begin_object) return changed;
  while (in.next() == json_token::key) {
    const bool is_metadata = in.string() == safetensors_metadata_key;
    (void)in.next();
    if (!in.skip()) return changed;
    if (!is_metadata) continue;
    made.metadata = to_json_value(json_text(in.text()));
    return made;
  }
  return in.token() == json_token::end_object ? made : result<model_description>(changed);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
