// SPDX-License-Identifier: MIT
// The hash of a tensor's name, and the rules for names.
#ifndef STET_INDEX_DETAIL_NAME_HASH_HPP
#define STET_INDEX_DETAIL_NAME_HASH_HPP

#include "../format.hpp"

#include "../../vocabulary/detail/utf8.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// The largest distance of a name from the slot where its search begins. It bounds look-ups in any file, and detects names
/// made to collide early.
inline constexpr std::uint32_t max_probe_count = 128;

/// The first `count` < 8 bytes at `at` as an integer, the rest zero. Loads two overlapping halves instead of looping.
inline std::uint64_t load_short(const std::byte* at, std::size_t count) noexcept {
  if (count >= 4) {
    const std::uint64_t low = load_little<std::uint32_t>(at), high = load_little<std::uint32_t>(at + count - 4);
    return low | (high << (8 * (count - 4)));
  }
  if (count == 0) return 0;
  const std::uint64_t first = static_cast<std::uint64_t>(at[0]), middle = static_cast<std::uint64_t>(at[count / 2]),
                      last = static_cast<std::uint64_t>(at[count - 1]);
  return first | (middle << (8 * (count / 2))) | (last << (8 * (count - 1)));
}

/// The hash of `name` as format.hpp specifies it.
inline std::uint64_t hash_name(std::string_view name, std::uint64_t seed) noexcept {
  constexpr std::uint64_t k1 = 0x9E3779B97F4A7C15u; // 2^64 / golden ratio: odd, bits well spread
  constexpr std::uint64_t k2 = 0xD6E8FEB86659FD93u; // odd, without long runs of equal bits
  const std::byte* at = reinterpret_cast<const std::byte*>(name.data());
  const std::size_t size = name.size();
  std::uint64_t hash = seed ^ (size * k1);
  const auto mix = [&hash](std::uint64_t word) noexcept {
    hash = (hash ^ word) * k1;
    hash ^= hash >> 32;
  };
  if (size < 8) {
    mix(load_short(at, size));
  } else {
    const std::byte* const last = at + size - 8;
    for (; at < last; at += 8) mix(load_little<std::uint64_t>(at));
    mix(load_little<std::uint64_t>(last));
  }
  hash *= k2;
  return hash ^ (hash >> 29);
}

/// The number of slots for `tensor_count` tensors.
constexpr std::uint32_t slot_count_for(std::uint32_t tensor_count) noexcept {
  std::uint32_t slots = 2;
  while (slots < std::uint64_t{2} * tensor_count && slots < 0x80000000u) slots *= 2;
  return slots;
}

/// True if `text` is well-formed UTF-8 without NUL (Unicode 15, table 3-7: no overlong forms, no surrogates, no code above
/// U+10FFFF).
inline bool is_utf8_without_nul(std::string_view text) noexcept {
  constexpr std::uint64_t high_bits = 0x8080808080808080u;
  constexpr std::uint64_t low_bits = 0x0101010101010101u;
  const char* at = text.data();
  std::size_t left = text.size();
  // Has no high bit if eight bytes are ASCII; a NUL among them borrows into it.
  const auto word_at = [](const char* bytes) noexcept {
    const std::uint64_t word = load_little<std::uint64_t>(reinterpret_cast<const std::byte*>(bytes));
    return word | (word - low_bits);
  };
  if (left >= 8) {
    // Most texts are ASCII all over. The last word overlaps the one before it, which is harmless: ASCII has no context.
    const char* const last = at + left - 8;
    std::uint64_t all = word_at(last);
    for (const char* next = at; next < last; next += 8) all |= word_at(next);
    if ((all & high_bits) == 0) return true;
  }
  while (left != 0) {
    if (!STET_SMALL_CODE && left >= 8 && (word_at(at) & high_bits) == 0) {
      at += 8;
      left -= 8;
      continue;
    }
    const auto lead = static_cast<unsigned char>(*at);
    std::size_t length = 1;
    if (lead == 0) return false;
    if (lead >= 0x80u) {
      const utf8_form form = utf8_form_of(lead);
      if (form.size_bytes == 0 || form.size_bytes > left || !form.fits(at)) return false;
      length = form.size_bytes;
    }
    at += length;
    left -= length;
  }
  return true;
}

/// True if the name is valid for a tensor: 1 … max_name_size_bytes bytes of UTF-8 without NUL.
inline bool is_valid_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= max_name_size_bytes && is_utf8_without_nul(name);
}

/// True if Windows treats a file name as a device, in every folder and with every ending: "nul", "COM1.txt".
/// Source: learn.microsoft.com/windows/win32/fileio/naming-a-file, "Naming Conventions".
constexpr bool is_device_name(std::string_view name) noexcept {
  // Without substr, which could throw: firmware has no room for that.
  if (const std::size_t dot = name.find('.'); dot != std::string_view::npos) name.remove_suffix(name.size() - dot);
  while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
  const auto is = [](std::string_view text, std::string_view upper) {
    for (std::size_t i = 0; i < upper.size(); ++i) {
      if (i >= text.size() ||
          (text[i] >= 'a' && text[i] <= 'z' ? static_cast<char>(text[i] - 'a' + 'A') : text[i]) != upper[i])
        return false;
    }
    return text.size() == upper.size();
  };
  for (const std::string_view device : {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}) {
    if (is(name, device)) return true;
  }
  if (name.size() < 3) return false;
  const std::string_view kind(name.data(), 3), number(name.data() + 3, name.size() - 3);
  if (!is(kind, "COM") && !is(kind, "LPT")) return false;
  if (number.size() == 1) return number[0] >= '0' && number[0] <= '9';
  return number == "\xC2\xB9" || number == "\xC2\xB2" || number == "\xC2\xB3"; // superscript digits
}

/// True if the name is valid for a part: a plain file name on every platform, which can neither leave the folder of the
/// manifest nor reach a device or a stream. Names that end in '.' or ' ', such as "." and "..", are invalid: Windows
/// shortens them.
inline bool is_part_name(std::string_view name) noexcept {
  constexpr std::size_t longest = 255;
  if (!is_valid_name(name) || name.size() > longest || name.back() == '.' || name.back() == ' ') return false;
  if (is_device_name(name)) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(name[i]);
    // Control characters; U+0080 … U+009F take two bytes.
    if (c < 0x20u || c == 0x7Fu || (c == 0xC2u && static_cast<unsigned char>(name[i + 1]) < 0xA0u)) return false;
    if (c == '/' || c == '\\' || c == ':') return false;
  }
  return true;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
