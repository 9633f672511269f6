// SPDX-License-Identifier: MIT
// Object headers of HDF5 files, in both versions: the messages of a group or dataset.
#ifndef STET_WIRE_HDF5_OBJECT_HPP
#define STET_WIRE_HDF5_OBJECT_HPP

#include "heap.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

// version 1  u8 1 | 0 | u16 messages | u32 references | u32 size of the first block | 4 unused | messages
//   message  u16 type | u16 size, a multiple of 8 | u8 flags | 3 unused | body
// version 2  "OHDR" | u8 2 | u8 flags | [16 bytes of times] | [u16, u16 of attributes] | size of the first block |
//            messages | checksum
//   message  u8 type | u16 size | u8 flags | [u16 order of creation] | body
//
// Continuation messages lead to further blocks: in version 1 messages alone, in version 2 "OCHK" | messages | checksum.
// Source: HDF5 File Format Specification 3.0, IV.A.1.

namespace stet::inline STET_NAMESPACE::detail {

/// The type of a message.
enum class hdf5_message_type : std::uint16_t {
  nil = 0,
  dataspace = 1,
  link_info = 2,
  datatype = 3,
  old_fill_value = 4,
  fill_value = 5,
  link = 6,
  external_files = 7,
  layout = 8,
  filters = 11,
  attribute = 12,
  shared_table = 15,
  continuation = 16,
  symbol_table = 17,
  attribute_info = 21,
};

/// A message of an object header; its body is in place.
struct hdf5_message {
  hdf5_message_type type{};
  /// True if the body only refers to the message, which is elsewhere.
  bool is_shared = false;
  std::span<const std::byte> body;
};

/// An object: its messages.
class hdf5_object {
public:
  /// Reads the object header at an address.
  /// @retval errc::bad_hdf5  the header is damaged
  /// Cost: allocates the list of messages.
  static result<hdf5_object> read(hdf5_file& file, std::uint64_t address) {
    hdf5_object made;
    made.address_ = address;
    made.room_ = file.size_bytes();
    made.messages_.reserve(usual_messages);
    byte_cursor start = file.from(address);
    const std::span<const std::byte> mark = start.rest();
    const bool is_second = mark.size() >= 4 && load_little<std::uint32_t>(mark.data()) == 0x5244484Fu; // "OHDR"
    if (!(is_second ? made.read_second(file, start) : made.read_first(file, start))) return hdf5_file::bad(address);
    return made;
  }

  [[nodiscard]] std::uint64_t address() const noexcept { return address_; }
  [[nodiscard]] const std::vector<hdf5_message>& messages() const noexcept { return messages_; }
  /// The first message of a type; nullptr if there is none.
  [[nodiscard]] const hdf5_message* find(hdf5_message_type type) const noexcept {
    for (const hdf5_message& each : messages_) {
      if (each.type == type) return &each;
    }
    return nullptr;
  }

private:
  struct block {
    std::uint64_t address, size;
  };
  /// The number of messages that space is reserved for.
  static constexpr std::size_t usual_messages = 8;

  bool read_first(hdf5_file& file, byte_cursor start) {
    if (start.take_u8() != 1) return false;
    start.skip(1);
    std::uint32_t count = start.take_u16();
    start.skip(4);
    const std::uint32_t size = start.take_u32();
    if (!start.is_good()) return false;
    blocks_.push_back({address_ + 16, size});
    for (std::size_t number = 0; number < blocks_.size() && count != 0; ++number) {
      byte_cursor messages = file.at(blocks_[number].address, blocks_[number].size);
      if (!messages.is_good()) return false;
      for (; count != 0 && messages.left() >= 8; --count) {
        const std::uint16_t type = messages.take_u16(), body_size = messages.take_u16();
        const std::uint8_t flags = messages.take_u8();
        messages.skip(3);
        const std::span<const std::byte> body = messages.take_bytes(body_size);
        if (!messages.is_good() || !add(type, flags, body)) return false;
      }
    }
    return count == 0;
  }

  bool read_second(hdf5_file& file, byte_cursor start) {
    const std::size_t whole = start.left();
    start.skip(4);
    if (start.take_u8() != 2) return false;
    const std::uint8_t flags = start.take_u8();
    if ((flags & 0x20) != 0) start.skip(16);
    if ((flags & 0x10) != 0) start.skip(4);
    const std::uint64_t size = start.take_sized(std::size_t{1} << (flags & 3));
    if (!start.is_good() || size > start.left()) return false;
    const std::size_t before = whole - start.left();
    byte_cursor messages = file.checked_at(address_, before + size + 4);
    messages.skip(before);
    if (!read_messages(messages, flags)) return false;
    for (std::size_t number = 0; number < blocks_.size(); ++number) {
      messages = file.checked_at(blocks_[number].address, blocks_[number].size);
      if (!messages.take_mark("OCHK") || !read_messages(messages, flags)) return false;
    }
    return true;
  }
  bool read_messages(byte_cursor messages, std::uint8_t header_flags) {
    const std::size_t fixed = (header_flags & 4) != 0 ? 6 : 4;
    while (messages.left() >= fixed) { // the rest is a gap
      const std::uint8_t type = messages.take_u8();
      const std::uint16_t size = messages.take_u16();
      const std::uint8_t flags = messages.take_u8();
      messages.skip(fixed - 4);
      const std::span<const std::byte> body = messages.take_bytes(size);
      if (!messages.is_good() || !add(type, flags, body)) return false;
    }
    return messages.is_good();
  }

  bool add(std::uint16_t type, std::uint8_t flags, std::span<const std::byte> body) {
    constexpr std::uint8_t shared = 2, fail_if_unknown = 0x80;
    if (type > 0x18 && (flags & fail_if_unknown) != 0) return false;
    if (type == static_cast<std::uint16_t>(hdf5_message_type::continuation)) {
      byte_cursor fields(body);
      const std::uint64_t address = fields.take_u64(), size = fields.take_u64();
      // Blocks that form a cycle, or that overlap, exceed the size of the file in the end.
      if (!fields.is_good() || size == 0 || size > room_) return false;
      room_ -= size;
      blocks_.push_back({address, size});
    } else if (type != 0) {
      messages_.push_back({static_cast<hdf5_message_type>(type), (flags & shared) != 0, body});
    }
    return true;
  }

  std::uint64_t address_ = 0, room_ = 0;
  std::vector<hdf5_message> messages_;
  std::vector<block> blocks_;
};

/// Reads the indexes of messages that objects share. The superblock extension leads to a table:
///   "SMTB" | indexes: u8 0 | u8 list or tree | u16 types of message | u32 least size | u16 … | u16 … | u16 count |
///   address | address of the fractal heap | checksum
/// Source: HDF5 File Format Specification 3.0, III.H and IV.A.2.p.
inline result<void> read_shared_indexes(hdf5_file& file) {
  if (file.has_shared_indexes()) return {};
  const result<hdf5_object> extension = hdf5_object::read(file, file.extension());
  if (!extension) return extension.error();
  const hdf5_message* const found = extension->find(hdf5_message_type::shared_table);
  const error bad = hdf5_file::bad(file.extension());
  if (found == nullptr) return bad;
  byte_cursor fields(found->body);
  const bool is_known = fields.take_u8() == 0;
  const std::uint64_t address = fields.take_u64();
  const std::uint8_t count = fields.take_u8();
  constexpr std::uint64_t index_size = 1 + 1 + 2 + 4 + 2 + 2 + 2 + 8 + 8;
  byte_cursor table = file.checked_at(address, 4 + count * index_size + 4);
  if (!fields.is_good() || !is_known || !table.take_mark("SMTB")) return bad;
  for (std::uint8_t i = 0; i < count; ++i) {
    hdf5_shared_index made;
    const bool is_known_index = table.take_u8() == 0;
    table.skip(1);
    made.types = table.take_u16();
    table.skip(4 + 2 + 2 + 2 + 8);
    made.heap = table.take_u64();
    if (!is_known_index) return bad;
    file.shared_indexes().push_back(made);
  }
  file.has_shared_indexes() = true;
  return {};
}

/// Finds the message of a type with this id in the heap of shared messages.
/// @retval errc::bad_hdf5  there is no such message
inline result<std::span<const std::byte>> find_shared(hdf5_file& file, std::span<const std::byte> id,
                                                      hdf5_message_type type) {
  if (auto read = read_shared_indexes(file); !read) return read.error();
  for (const hdf5_shared_index& each : file.shared_indexes()) {
    if ((each.types >> static_cast<unsigned>(type) & 1) == 0) continue;
    result<fractal_heap> heap = fractal_heap::open(file, each.heap);
    return heap ? heap->find(id) : heap.error();
  }
  return hdf5_file::bad(file.extension());
}

/// Finds the message that a shared message refers to: in another object (such as a named datatype), or in a heap.
/// @retval errc::bad_hdf5  there is no such message
inline result<std::span<const std::byte>> resolve_shared(hdf5_file& file, std::span<const std::byte> body,
                                                         hdf5_message_type type) {
  byte_cursor fields(body);
  const std::uint8_t version = fields.take_u8(), kind = fields.take_u8();
  if (version == 1) fields.skip(6);
  constexpr std::uint8_t in_heap = 1;
  if (fields.is_good() && version == 3 && kind == in_heap) return find_shared(file, fields.rest(), type);
  const std::uint64_t address = fields.take_u64();
  if (!fields.is_good() || version == 0 || version > 3) return hdf5_file::bad(hdf5_file::nowhere);
  const result<hdf5_object> object = hdf5_object::read(file, address);
  if (!object) return object.error();
  const hdf5_message* const found = object->find(type);
  if (found == nullptr || found->is_shared) return hdf5_file::bad(address);
  return found->body;
}

/// The body of a message, which may be shared.
inline result<std::span<const std::byte>> body_of(hdf5_file& file, const hdf5_message& message) {
  if (message.is_shared) return resolve_shared(file, message.body, message.type);
  return message.body;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
