// SPDX-License-Identifier: MIT
// The DEFLATE decompressor that a program supplies.
#ifndef STET_VOCABULARY_INFLATE_HPP
#define STET_VOCABULARY_INFLATE_HPP

#include "config.hpp"

#include <cstddef>

namespace stet::inline STET_NAMESPACE {

/// Decompresses `size_bytes` bytes at `from` into exactly `into_size_bytes` bytes at `into`. The program passes one to
/// `open_options::inflate`: `inflate_with_zlib` of stet/ext/zlib.hpp, or its own. It must be safe from several threads at once,
/// and for any bytes.
/// @param has_frame  true if the deflated bytes have zlib's header and checksum (RFC 1950), false if not (RFC 1951)
/// @return  false if the bytes are invalid, or the decompressed size differs
using inflate_function = bool (*)(const std::byte* from, std::size_t size_bytes, std::byte* into,
                                  std::size_t into_size_bytes, bool has_frame) noexcept;

namespace detail {

/// The largest expansion of DEFLATE. Larger declared sizes are rejected.
/// Source: zlib's technical details, "Maximum Compression Factor".
inline constexpr std::size_t max_inflation = 1032;

} // namespace detail

} // namespace stet::inline STET_NAMESPACE

#endif
