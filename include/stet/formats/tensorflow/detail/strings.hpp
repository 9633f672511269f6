// SPDX-License-Identifier: MIT
// Decodes string tensors of TensorFlow checkpoints to stet's layout, and encodes them.
#ifndef STET_FORMATS_TENSORFLOW_DETAIL_STRINGS_HPP
#define STET_FORMATS_TENSORFLOW_DETAIL_STRINGS_HPP

#include "../../common/string_table.hpp"

#include "../../../bytes/crc32c.hpp"
#include "../../../source/source.hpp"
#include "../../../vocabulary/detail/endian.hpp"
#include "../../../vocabulary/view.hpp"
#include "../../../wire/masked_crc32c.hpp"
#include "../../../wire/varint.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

// A string tensor of n elements:
//
//   varint length of each | u32 masked CRC of the lengths | bytes of each
//
// The lengths enter the CRC as u32, or as u64 if they need more, not as varints. The CRC of the tensor, in its entry, continues
// over the four stored bytes of that CRC and the bytes of all strings. In a file of the other byte order these numbers, and the
// four bytes, are in that order. Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc.

namespace stet::inline STET_NAMESPACE::detail {

/// Computes the CRC of lengths in the byte order of the file.
class length_crc32c {
public:
  explicit length_crc32c(bool is_big_endian) noexcept : is_big_endian_(is_big_endian) {}
  void add(std::uint64_t length) noexcept {
    if (length <= 0xFFFFFFFFu) {
      add_word(static_cast<std::uint32_t>(length));
    } else {
      add_word(length);
    }
  }
  [[nodiscard]] std::uint32_t value() const noexcept { return crc_; }

private:
  template <class Unsigned> void add_word(Unsigned length) noexcept {
    std::byte bytes[sizeof length];
    store_little(bytes, is_big_endian_ ? byte_swapped(length) : length);
    crc_ = crc32c(bytes, crc_);
  }

  std::uint32_t crc_ = 0;
  bool is_big_endian_;
};

/// A string tensor without elements: one offset.
inline constexpr std::byte no_strings[8] = {};

/// Decodes the `element_count` strings in `stored` to stet's layout: offsets, then bytes.
/// @retval errc::bad_string_table   lengths are cut off, or their sum differs from the number of bytes
/// @retval errc::checksum_mismatch  the lengths, or the tensor, are damaged
/// @retval errc::out_of_memory
/// Cost: reads every byte; allocates at most nine times the size of `stored`.
inline result<source> decode_strings(std::span<const std::byte> stored, std::uint64_t element_count,
                                     std::uint32_t masked_crc, bool is_big_endian,
                                     memory_resource* memory = nullptr) noexcept {
  if (stored.empty() && element_count == 0)
    return source::copy(no_strings, memory); // TensorFlow reads such tensors, but does not write them
  // Each length takes at least a byte, which limits the number of strings.
  if (stored.size() < 4 || element_count > stored.size() - 4) return error(errc::bad_string_table, {}, 0);
  const std::size_t count = static_cast<std::size_t>(element_count);
  const std::byte* const end = stored.data() + stored.size();
  const std::byte* at = stored.data();
  std::uint64_t text_size = 0;
  length_crc32c lengths(is_big_endian);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t length = 0;
    const std::byte* const before = at;
    at = read_varint(at, end, length);
    if (at == nullptr || length > stored.size() - text_size) {
      return error(errc::bad_string_table, {}, static_cast<std::uint64_t>(before - stored.data()));
    }
    text_size += length;
    lengths.add(length);
  }
  if (static_cast<std::size_t>(end - at) < 4 || static_cast<std::uint64_t>(end - at) - 4 != text_size) {
    return error(errc::bad_string_table, {}, static_cast<std::uint64_t>(at - stored.data()));
  }
  const std::uint32_t stored_crc = load_little<std::uint32_t>(at);
  if ((is_big_endian ? byte_swapped(stored_crc) : stored_crc) != mask_crc32c(lengths.value()) ||
      crc32c({at, end}, lengths.value()) != unmask_crc32c(masked_crc)) {
    return errc::checksum_mismatch;
  }

  result<string_table> made = string_table::allocate(count, text_size, memory);
  if (!made) return made.error();
  std::string_view text(reinterpret_cast<const char*>(at) + 4, static_cast<std::size_t>(text_size));
  at = stored.data();
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t length = 0;
    at = read_varint(at, end, length);
    made->append(text.substr(0, static_cast<std::size_t>(length)));
    text.remove_prefix(static_cast<std::size_t>(length));
  }
  return made->finish();
}

/// The bytes that TensorFlow stores before those of the strings.
struct encoded_lengths {
  std::string bytes;
  /// The checksum of these bytes, which continues over the bytes of the strings.
  std::uint32_t crc32c = 0;
};

/// Encodes the lengths of strings. `offsets` are their offsets in stet's layout: one more than strings, the first 0.
/// @retval errc::bad_string_table  the offsets decrease
/// Cost: one pass over the offsets.
inline result<encoded_lengths> encode_string_lengths(std::span<const std::byte> offsets) {
  encoded_lengths made;
  length_crc32c lengths(false);
  std::uint64_t before = 0;
  for (std::size_t at = 8; at + 8 <= offsets.size(); at += 8) {
    const std::uint64_t offset = load_little<std::uint64_t>(offsets.data() + at);
    if (offset < before) return error(errc::bad_string_table, {}, at);
    append_varint(made.bytes, offset - before);
    lengths.add(offset - before);
    before = offset;
  }
  std::byte crc[4];
  store_little(crc, mask_crc32c(lengths.value()));
  made.bytes.append(reinterpret_cast<const char*>(crc), sizeof crc);
  made.crc32c = stet::crc32c(crc, lengths.value());
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
