// SPDX-License-Identifier: MIT
// Deflated tensors by way of zlib: include <zlib.h> and then this header in one file of the program, and link
// zlib.
#ifndef STET_EXT_ZLIB_HPP
#define STET_EXT_ZLIB_HPP

#include "../vocabulary/inflate.hpp"

#include <cstddef>
#include <limits>

#if !defined(ZLIB_VERNUM)
#error "stet/ext/zlib.hpp: include <zlib.h> first"
#endif

namespace stet::inline v0_1::detail {

/// The adapter. Cost: zlib's own, with an allocation of its window.
inline bool inflate_by_zlib(const std::byte* from, std::size_t size, std::byte* into, std::size_t into_size,
                            bool has_frame) noexcept {
  constexpr std::size_t most = (std::numeric_limits<uInt>::max)();
  if (size > most || into_size > most)
    return false;
  z_stream stream{};
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(from));
  stream.avail_in = static_cast<uInt>(size);
  stream.next_out = reinterpret_cast<Bytef*>(into);
  stream.avail_out = static_cast<uInt>(into_size);
  if (inflateInit2(&stream, has_frame ? MAX_WBITS : -MAX_WBITS) != Z_OK)
    return false;
  const bool is_whole = ::inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_out == 0;
  inflateEnd(&stream);
  return is_whole;
}

/// Makes it known when the program starts.
inline const bool zlib_is_installed = (inflate = inflate_by_zlib) != nullptr;

} // namespace stet::inline v0_1::detail

#endif
