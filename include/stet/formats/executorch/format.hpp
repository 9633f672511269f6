// SPDX-License-Identifier: MIT
// ExecuTorch's .ptd files as a format.
#ifndef STET_FORMATS_EXECUTORCH_FORMAT_HPP
#define STET_FORMATS_EXECUTORCH_FORMAT_HPP

#include "describe.hpp"
#include "open.hpp"

#include "../format.hpp"

#include <string>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

inline bool is_ptd(format_probe& probe) noexcept { return flatbuffer::has_identifier(probe.start(), ptd_identifier); }

/// `format::open` of executorch_format.
inline result<model> open_ptd_model(format_probe& probe) {
  result<source> file = probe.take_bytes();
  if (!file) return file.error();
  std::vector<omitted_item> omitted;
  result<store> opened =
      open_ptd_source(std::move(*file), file_name_in(probe.path()), probe.options().memory, [&](const ptd_item& of) {
        omitted.push_back({std::string(of.key), error(errc::unknown_dtype, of.key)});
      });
  if (!opened) return opened.error().subject().empty() ? opened.error().about(probe.path()) : opened.error();
  return model{std::move(*opened), nullptr, 1, probe.options(), std::move(omitted)};
}

} // namespace detail

/// A .ptd file of ExecuTorch. `open_executorch` (open.hpp) opens it without the JSON library, and documents what is accepted. A tensor of a
/// type that is not known is in `model::omitted`, with errc::unknown_dtype.
inline constexpr format executorch_format{"executorch",
                                          "tensors of ExecuTorch: .ptd",
                                          detail::is_ptd,
                                          detail::open_ptd_model,
                                          detail::describe_ptd,
                                          {},
                                          {},
                                          nullptr,
                                          save_choice::none,
                                          weight_replacement::in_place};

} // namespace stet::inline STET_NAMESPACE

#endif
