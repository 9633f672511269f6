// SPDX-License-Identifier: MIT
// The error of saving to a format that cannot express a part of the model.
#ifndef STET_FORMATS_COMMON_INEXPRESSIBLE_HPP
#define STET_FORMATS_COMMON_INEXPRESSIBLE_HPP

#include "../../vocabulary/config.hpp"

#include "../../vocabulary/error.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// errc::not_expressible with the subject "WHAT: HINT". WHAT is shortened so that the hint fits.
/// @param what  the layer or tensor that cannot be expressed
/// @param hint  the form that the model can be saved in
inline error inexpressible(std::string what, std::string_view hint) {
  constexpr std::size_t most = error::max_subject_bytes;
  const std::size_t room = most > hint.size() + 5 ? most - hint.size() - 5 : 0;
  if (what.size() > room) {
    std::size_t size = room;
    while (size > 0 && (static_cast<unsigned char>(what[size]) & 0xC0u) == 0x80u) --size;
    what.resize(size);
    what.append("...");
  }
  return error(errc::not_expressible, what.append(": ").append(hint));
}

/// The layer called `name` in a message: "layer dense (Dense)".
inline std::string text_of_layer(std::string_view name, std::string_view op) {
  std::string made("layer ");
  made.append(name);
  return op.empty() ? made : made.append(" (").append(op).append(")");
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
