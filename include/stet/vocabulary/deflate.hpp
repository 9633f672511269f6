// SPDX-License-Identifier: MIT
// The DEFLATE compressor that a program supplies.
#ifndef STET_VOCABULARY_DEFLATE_HPP
#define STET_VOCABULARY_DEFLATE_HPP

#include "config.hpp"

#include <cstddef>

namespace stet::inline STET_NAMESPACE {

/// Compresses `size_bytes` bytes at `from` into the `into_size_bytes` bytes at `into`, without zlib's header and checksum
/// (RFC 1951). The program passes one to an option of saving: `deflate_with_zlib` of stet/ext/zlib.hpp, or its own. The same
/// bytes must give the same result.
/// @return  the compressed size; 0 if there is no room, or the compressor failed: the bytes are then stored
using deflate_function = std::size_t (*)(const std::byte* from, std::size_t size_bytes, std::byte* into,
                                         std::size_t into_size_bytes) noexcept;

} // namespace stet::inline STET_NAMESPACE

#endif
