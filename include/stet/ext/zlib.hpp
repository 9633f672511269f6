// SPDX-License-Identifier: MIT
// Decompresses and compresses tensors by zlib: include <zlib.h> and then this header, link zlib, open with inflate_with_zlib and
// save with deflate_with_zlib.
#ifndef STET_EXT_ZLIB_HPP
#define STET_EXT_ZLIB_HPP

#include "../vocabulary/config.hpp"

#include "../vocabulary/deflate.hpp"
#include "../vocabulary/inflate.hpp"

#include <cstddef>
#include <limits>

#if !defined(ZLIB_VERNUM)
#error "stet/ext/zlib.hpp: include <zlib.h> first"
#endif

namespace stet::inline STET_NAMESPACE {

/// zlib as an `inflate_function`:
///
///   stet::open_options options;
///   options.inflate = stet::inflate_with_zlib;
///   const auto opened = stet::open_any("model.h5", options);
///
/// @return  false also if zlib has no memory, or a size does not fit its `uInt`
/// Cost: zlib's own, with an allocation of its window. Thread safety: safe.
inline bool inflate_with_zlib(const std::byte* from, std::size_t size_bytes, std::byte* into,
                              std::size_t into_size_bytes, bool has_frame) noexcept {
  constexpr std::size_t most = (std::numeric_limits<uInt>::max)();
  if (size_bytes > most || into_size_bytes > most) return false;
  Bytef none = 0; // zlib rejects a null pointer, even if it writes nothing
  z_stream stream{};
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(from));
  stream.avail_in = static_cast<uInt>(size_bytes);
  stream.next_out = into_size_bytes != 0 ? reinterpret_cast<Bytef*>(into) : &none;
  stream.avail_out = static_cast<uInt>(into_size_bytes);
  if (inflateInit2(&stream, has_frame ? MAX_WBITS : -MAX_WBITS) != Z_OK) return false;
  const bool is_whole = ::inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_out == 0;
  inflateEnd(&stream);
  return is_whole;
}

/// zlib as a `deflate_function`, at its default level.
/// @return  0 also if zlib has no memory, or a size does not fit its `uInt`
/// Cost: zlib's own, with an allocation of its tables. Thread safety: safe.
inline std::size_t deflate_with_zlib(const std::byte* from, std::size_t size_bytes, std::byte* into,
                                     std::size_t into_size_bytes) noexcept {
  constexpr std::size_t most = (std::numeric_limits<uInt>::max)();
  if (size_bytes > most || into_size_bytes > most || into_size_bytes == 0) return 0;
  Bytef none = 0; // zlib rejects a null pointer, even if it reads nothing
  z_stream stream{};
  stream.next_in = size_bytes != 0 ? const_cast<Bytef*>(reinterpret_cast<const Bytef*>(from)) : &none;
  stream.avail_in = static_cast<uInt>(size_bytes);
  stream.next_out = reinterpret_cast<Bytef*>(into);
  stream.avail_out = static_cast<uInt>(into_size_bytes);
  constexpr int usual_memory = 8;
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, usual_memory, Z_DEFAULT_STRATEGY) != Z_OK)
    return 0;
  const bool is_whole = ::deflate(&stream, Z_FINISH) == Z_STREAM_END;
  const std::size_t size = into_size_bytes - stream.avail_out;
  deflateEnd(&stream);
  return is_whole ? size : 0;
}

} // namespace stet::inline STET_NAMESPACE

#endif
