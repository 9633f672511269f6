// SPDX-License-Identifier: MIT
// Chooses the fastest kernel that the processor has, for CRC-32C and for CRC-32.
#ifndef STET_BYTES_DETAIL_CRC_DISPATCH_HPP
#define STET_BYTES_DETAIL_CRC_DISPATCH_HPP

#include "crc32c_arm.hpp"
#include "crc_portable.hpp"
#include "crc32c_x86.hpp"

#include <cstddef>
#include <cstdint>

namespace stet::inline STET_NAMESPACE::detail {

/// A CRC-32C kernel with its name, for tests and benchmarks. `update` may only be called if `supported`.
struct crc32c_kernel {
  const char* name;
  crc32c_update_function* update;
  bool supported;
};

/// All kernels of this build, slowest first. The portable one is always there.
struct crc32c_kernel_list {
  crc32c_kernel at[1 + STET_CRC32C_SSE42 + STET_CRC32C_VPCLMULQDQ + STET_CRC32C_ARM];

  constexpr const crc32c_kernel* begin() const noexcept { return at; }
  constexpr const crc32c_kernel* end() const noexcept { return at + sizeof(at) / sizeof(*at); }
};

inline crc32c_kernel_list crc32c_kernels() noexcept {
  return {{
      {"portable", &crc32c_update_portable, true},
#if STET_CRC32C_ARM
      {"arm_crc", &crc32c_update_arm, has_crc32c_arm()},
#endif
#if STET_CRC32C_SSE42
      {"sse4.2", &crc32c_update_sse42, has_crc32c_sse42()},
#endif
#if STET_CRC32C_VPCLMULQDQ
      {"vpclmulqdq", &crc32c_update_vpclmulqdq, has_crc32c_vpclmulqdq()},
#endif
  }};
}

/// The state after `size_bytes` more bytes, by the best kernel for this processor and this size. Features are tested on
/// each call, which takes a few loads on x86, so that no state has to be initialised or shared.
inline std::uint32_t crc32c_update(std::uint32_t state, const std::byte* bytes, std::size_t size_bytes) noexcept {
#if STET_CRC32C_VPCLMULQDQ
  if (size_bytes >= crc_folding_from_bytes && has_crc32c_vpclmulqdq())
    return crc32c_update_vpclmulqdq(state, bytes, size_bytes);
#endif
#if STET_CRC32C_SSE42
  if (has_crc32c_sse42()) return crc32c_update_sse42(state, bytes, size_bytes);
#endif
#if STET_CRC32C_ARM
  if (has_crc32c_arm()) return crc32c_update_arm(state, bytes, size_bytes);
#endif
  return crc32c_update_portable(state, bytes, size_bytes);
}

/// x^32 + x^26 + x^23 + x^22 + x^16 + x^12 + x^11 + x^10 + x^8 + x^7 + x^5 + x^4 + x^2 + x + 1, reflected and
/// without its x^32. Source: PKWARE, APPNOTE.TXT, 4.4.7 (its "magic number", 0xdebb20e3, is a remainder modulo
/// this polynomial).
inline constexpr std::uint32_t crc32_polynomial = 0xEDB88320u;

/// The state after `size_bytes` more bytes. Features are tested on each call.
inline std::uint32_t crc32_update(std::uint32_t state, const std::byte* bytes, std::size_t size_bytes) noexcept {
#if STET_CRC32C_VPCLMULQDQ
  if (size_bytes >= crc_folding_from_bytes && has_crc32c_vpclmulqdq())
    return crc32_update_folding<crc32_polynomial>(state, bytes, size_bytes);
#endif
  return crc_update_by_tables<crc32_polynomial>(state, bytes, size_bytes);
}

} // namespace stet::inline STET_NAMESPACE::detail

// Only the headers above and this one use them.
#undef STET_CRC32C_ARM
#undef STET_CRC32C_SSE42
#undef STET_CRC32C_VPCLMULQDQ

#endif
