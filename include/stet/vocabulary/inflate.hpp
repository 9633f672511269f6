// SPDX-License-Identifier: MIT
// The place where an adapter of stet/ext puts its decompression of deflate.
#ifndef STET_VOCABULARY_INFLATE_HPP
#define STET_VOCABULARY_INFLATE_HPP

#include <cstddef>

namespace stet::inline v0_1::detail {

/// Decompresses `size` bytes at `from` into exactly `into_size` bytes.
/// @param has_frame  whether zlib's header and checksum stand around the deflated bytes (RFC 1950), or
/// nothing (RFC 1951)
/// @return  false if they are not valid or make more or fewer bytes
using inflate_function = bool (*)(const std::byte* from, std::size_t size, std::byte* into,
                                  std::size_t into_size, bool has_frame) noexcept;

/// nullptr unless the program includes such an adapter; set before main and never again.
inline inflate_function inflate = nullptr;

/// No deflated byte stands for more: a bound on what a size can be.
inline constexpr std::size_t max_inflation = 1032;

} // namespace stet::inline v0_1::detail

#endif
