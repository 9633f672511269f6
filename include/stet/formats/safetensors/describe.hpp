// SPDX-License-Identifier: MIT
// Describes a safetensors file: its metadata.
#ifndef STET_FORMATS_SAFETENSORS_DESCRIBE_HPP
#define STET_FORMATS_SAFETENSORS_DESCRIBE_HPP

#include "open.hpp"

#include "../description.hpp"

#include "../../json.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// `format::describe` of safetensors_format. `__metadata__`, an object of strings, is the metadata. The file was checked when it
/// was opened; what another program wrote there since is errc::malformed. Cost: reads the header.
inline result<model_description> describe_safetensors(const model& of) {
  model_description made;
  const error changed(errc::malformed, "safetensors: header");
  open_options on_demand = of.options;
  on_demand.backing = backing::stream;
  on_demand.range = {};
  const result<source> file = open_source(of.path, on_demand);
  if (!file) return file.error();
  source copy;
  const result<std::string_view> text = read_safetensors_header(*file, copy, of.options.memory);
  if (!text) return text.error().category() > error_category::system ? changed : text.error();
  json_reader in(*text);
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
