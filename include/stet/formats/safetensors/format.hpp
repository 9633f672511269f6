// SPDX-License-Identifier: MIT
// safetensors files as a format.
#ifndef STET_FORMATS_SAFETENSORS_FORMAT_HPP
#define STET_FORMATS_SAFETENSORS_FORMAT_HPP

#include "describe.hpp"
#include "open.hpp"

#include "../format.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// The size of a header that the format allows, and the beginning of a JSON object.
inline bool is_safetensors(format_probe& probe) noexcept {
  const std::span<const std::byte> start = probe.start();
  if (start.size() <= safetensors_length_size_bytes) return false;
  if (load_little<std::uint64_t>(start.data()) > max_safetensors_header_size_bytes) return false;
  const std::string_view text =
      text_at(start.data() + safetensors_length_size_bytes, start.size() - safetensors_length_size_bytes);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{';
}

/// `format::open` of safetensors_format.
inline result<model> open_safetensors_model(format_probe& probe) {
  result<source> file = probe.take();
  if (!file) return file.error();
  result<store> opened = open_safetensors_source(std::move(*file), probe.options().memory);
  if (!opened) return opened.error().subject().empty() ? opened.error().about(probe.path()) : opened.error();
  return model{std::move(*opened), nullptr, 1, probe.options()};
}

} // namespace detail

/// A safetensors file. `open_safetensors` (open.hpp) opens it without the JSON library, and says what is taken.
inline constexpr format safetensors_format{"safetensors", "safetensors files", detail::is_safetensors,
                                           detail::open_safetensors_model, detail::describe_safetensors};

} // namespace stet::inline STET_NAMESPACE

#endif
