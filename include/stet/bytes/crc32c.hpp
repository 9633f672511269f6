// SPDX-License-Identifier: MIT
// CRC-32C, the checksum of native files and of TensorFlow's, by the fastest kernel that the processor has.
#ifndef STET_BYTES_CRC32C_HPP
#define STET_BYTES_CRC32C_HPP

#include "crc32c_arm.hpp"
#include "crc32c_portable.hpp"
#include "crc32c_x86.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace stet::inline v0_1 {
namespace detail {

/// One way to advance a CRC-32C state, for tests and benchmarks. `update` may only be called where
/// `supported`.
struct crc32c_kernel {
  const char* name;
  crc32c_update_function* update;
  bool supported;
};

/// All kernels that this build holds, slowest first, the portable one always.
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

/// The state after `size_bytes` more bytes, by the best kernel for this processor and this size. The
/// processor is asked on each call, a few loads on x86, so that there is nothing to initialise or share.
inline std::uint32_t crc32c_update(std::uint32_t state, const std::byte* bytes,
                                   std::size_t size_bytes) noexcept {
#if STET_CRC32C_VPCLMULQDQ
  if (size_bytes >= crc32c_folding_from_bytes && has_crc32c_vpclmulqdq())
    return crc32c_update_vpclmulqdq(state, bytes, size_bytes);
#endif
#if STET_CRC32C_SSE42
  if (has_crc32c_sse42())
    return crc32c_update_sse42(state, bytes, size_bytes);
#endif
#if STET_CRC32C_ARM
  if (has_crc32c_arm())
    return crc32c_update_arm(state, bytes, size_bytes);
#endif
  return crc32c_update_portable(state, bytes, size_bytes);
}

} // namespace detail

/// The CRC-32C (Castagnoli) of `bytes`, following the bytes whose CRC-32C is `crc`:
/// `crc32c(b, crc32c(a)) == crc32c(ab)`.
///
/// @param bytes  any size, at any address; may be empty
/// @param crc    finished CRC of what comes before; 0 if nothing does
/// @return  finished CRC, both inversions of RFC 3720 included; TensorFlow's masking is not applied
/// Cost: reads every byte once, no allocation; at memory speed where the processor has VPCLMULQDQ.
/// Threads: safe, keeps no state. Source: RFC 3720 sections 12.1 and B.4.
[[nodiscard]] inline std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc = 0) noexcept {
  return ~detail::crc32c_update(~crc, bytes.data(), bytes.size());
}

/// The CRC-32C of two byte sequences one after the other, from the CRC-32C of each, without their bytes.
///
/// @param crc_a         finished CRC of the first
/// @param crc_b         finished CRC of the second, computed from 0
/// @param size_b_bytes  size of the second, in bytes
/// Cost: at most 128 products of 32 steps (some microseconds), whatever the size. Threads: safe.
[[nodiscard]] constexpr std::uint32_t crc32c_combine(std::uint32_t crc_a, std::uint32_t crc_b,
                                                     std::uint64_t size_b_bytes) noexcept {
  // The inversions cancel out: a finished CRC moves on as a state does.
  constexpr std::uint32_t past_one_byte = 0x80000000u >> 8; // x^8
  return detail::crc32c_multiply(crc_a, detail::crc32c_power(past_one_byte, size_b_bytes)) ^ crc_b;
}

} // namespace stet::inline v0_1

#endif // STET_BYTES_CRC32C_HPP
