// SPDX-License-Identifier: MIT
// Prints the index of a sharded safetensors model.
#ifndef STET_FORMATS_SAFETENSORS_DETAIL_INDEX_TEXT_HPP
#define STET_FORMATS_SAFETENSORS_DETAIL_INDEX_TEXT_HPP

#include "../../../vocabulary/config.hpp"

#include "../../../manifest/detail/json_input.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The text of an index, as huggingface_hub has it: indented by 2, the names of tensors sorted.
/// @param tensors           the name of each tensor, and of its file
/// @param total_size_bytes  of all tensors
inline std::string safetensors_index_text(std::vector<std::pair<std::string_view, std::string_view>> tensors,
                                          std::uint64_t total_size_bytes) {
  std::sort(tensors.begin(), tensors.end());
  std::string text =
      "{\n  \"metadata\": {\n    \"total_size\": " + std::to_string(total_size_bytes) + "\n  },\n  \"weight_map\": {";
  for (const auto& [name, file] : tensors) {
    text.append(text.back() == '{' ? "\n    " : ",\n    ");
    append_json_string(text, name);
    text.append(": ");
    append_json_string(text, file);
  }
  return text.append(tensors.empty() ? "}\n}\n" : "\n  }\n}\n");
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
