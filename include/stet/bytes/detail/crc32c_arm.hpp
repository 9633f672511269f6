// SPDX-License-Identifier: MIT
// The CRC-32C kernel for Arm, by the crc32c instructions of ARMv8.
#ifndef STET_BYTES_DETAIL_CRC32C_ARM_HPP
#define STET_BYTES_DETAIL_CRC32C_ARM_HPP

#include "crc_portable.hpp"

// The instructions are optional in ARMv8.0. They are used where the compiler's options promise them, and on 64-bit
// Linux and Android where the operating system reports them. Elsewhere the portable kernel is used.
#if STET_SMALL_CODE || (!defined(__GNUC__) && !defined(__clang__))
#define STET_CRC32C_ARM 0
#elif defined(__ARM_FEATURE_CRC32) || (defined(__aarch64__) && defined(__linux__))
#define STET_CRC32C_ARM 1
#else
#define STET_CRC32C_ARM 0
#endif

#if STET_CRC32C_ARM

#if defined(__ARM_FEATURE_CRC32)
#define STET_CRC32C_TARGET
#else
#include <sys/auxv.h>
#if defined(__clang__)
#define STET_CRC32C_TARGET __attribute__((target("crc")))
#else
#define STET_CRC32C_TARGET __attribute__((target("+crc")))
#endif
#endif

namespace stet::inline STET_NAMESPACE::detail {

#if defined(__ARM_FEATURE_CRC32)
inline bool has_crc32c_arm() noexcept { return true; }
#else
/// True if this processor has the crc32c instructions: HWCAP_CRC32 of Linux, bit 7 of AT_HWCAP (16). Cost:
/// one call into the C library, which keeps the answer.
inline bool has_crc32c_arm() noexcept { return (getauxval(16) & (1u << 7)) != 0; }
#endif

/// One register of message per crc32c instruction.
struct crc32c_arm_step {
#if defined(__aarch64__)
  using word_type = std::uint64_t;
#else
  using word_type = std::uint32_t;
#endif
  static constexpr std::size_t word_size_bytes = sizeof(word_type);

  STET_CRC32C_TARGET static std::uint32_t byte(std::uint32_t state, std::byte next) noexcept {
    const auto value = std::to_integer<unsigned char>(next);
#if defined(__clang__) || !defined(__aarch64__)
    return __builtin_arm_crc32cb(state, value);
#else
    return __builtin_aarch64_crc32cb(state, value);
#endif
  }

  STET_CRC32C_TARGET static std::uint32_t word(std::uint32_t state, const std::byte* next) noexcept {
    const auto value = load_little<word_type>(next);
#if !defined(__aarch64__)
    return __builtin_arm_crc32cw(state, value);
#elif defined(__clang__)
    return __builtin_arm_crc32cd(state, value);
#else
    return __builtin_aarch64_crc32cx(state, value);
#endif
  }
};

/// The crc32c instructions in three lanes; `has_crc32c_arm()` must hold.
STET_CRC32C_TARGET
inline std::uint32_t crc32c_update_arm(std::uint32_t state, const std::byte* bytes, std::size_t size_bytes) noexcept {
  return crc_update_by_words<crc32c_arm_step>(state, bytes, size_bytes);
}

} // namespace stet::inline STET_NAMESPACE::detail

#undef STET_CRC32C_TARGET
#endif

#endif // STET_BYTES_DETAIL_CRC32C_ARM_HPP
