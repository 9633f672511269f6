// SPDX-License-Identifier: MIT
// What stet asks of a decompressor of deflate, which the standard library has none of.
#ifndef STET_VOCABULARY_INFLATE_HPP
#define STET_VOCABULARY_INFLATE_HPP

#include "config.hpp"

#include <cstddef>

namespace stet::inline STET_NAMESPACE {

/// Decompresses `size_bytes` bytes at `from` into exactly `into_size_bytes` bytes at `into`. The program gives one to
/// `open_options::inflate`: `inflate_with_zlib` of stet/ext/zlib.hpp, or its own. It may be called from several threads at once, and
/// with any bytes.
/// @param has_frame  whether zlib's header and checksum stand around the deflated bytes (RFC 1950), or nothing (RFC 1951)
/// @return  false if they are not valid or make more or fewer bytes
using inflate_function = bool (*)(const std::byte* from, std::size_t size_bytes, std::byte* into,
                                  std::size_t into_size_bytes, bool has_frame) noexcept;

namespace detail {

/// No deflated byte stands for more: a bound on what a size can be. Source: zlib's technical details, "Maximum Compression Factor".
inline constexpr std::size_t max_inflation = 1032;

} // namespace detail

} // namespace stet::inline STET_NAMESPACE

#endif
