// SPDX-License-Identifier: MIT
// Plans HDF5 files: groups, attributes, and contiguous datasets whose bytes are aligned.
#ifndef STET_WIRE_HDF5_WRITER_HPP
#define STET_WIRE_HDF5_WRITER_HPP

#include "writer_type.hpp"

#include "../../vocabulary/detail/checked.hpp"
#include "../../vocabulary/result.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The file that is written
// ========================
//
// It has the oldest version of every structure, which every reader supports: superblock 0, headers of version 1,
// groups as symbol tables. Everything but the data comes first:
//
//   superblock | strings of attributes | objects | data of each dataset, in the order of the calls, each aligned
//   object      header | local heap | symbol table nodes | nodes of the B-tree, leaves first
//               members precede their groups
//
// The file does not depend on time or place: the same calls make the same file.
// Source: HDF5 File Format Specification 3.0 (II.A.0, III.A.1, III.B, III.C, III.D, IV.A.1).

namespace stet::inline STET_NAMESPACE::detail {

/// Makes the bytes in front of the data, and computes the offset of the data of each dataset.
class hdf5_writer {
public:
  /// The number of a group or dataset.
  using object = std::size_t;
  static constexpr object root = 0;
  static constexpr std::uint64_t alignment_bytes = 64;
  /// The largest size of an attribute; each string counts 16 bytes.
  static constexpr std::size_t max_attribute_bytes = 64512;

  hdf5_writer() : objects_(1) {}

  /// Finds or makes the group at a path of steps with '/' between them, from `below` on.
  /// @retval errc::bad_name        a step is empty, "." or "..", or holds a NUL
  /// @retval errc::duplicate_name  a step is a dataset
  result<object> group(object below, std::string_view path) {
    if (path.ends_with('/')) return error(errc::bad_name, path);
    while (!path.empty()) {
      const std::size_t slash = (std::min)(path.find('/'), path.size());
      const std::string_view step = path.substr(0, slash);
      path.remove_prefix((std::min)(slash + 1, path.size()));
      if (!is_link_name(step)) return error(errc::bad_name, step);
      const auto [found, is_new] = objects_[below].links.try_emplace(std::string(step), objects_.size());
      below = found->second;
      if (is_new) objects_.emplace_back();
      if (objects_[below].is_dataset) return error(errc::duplicate_name, step);
    }
    return below;
  }

  /// Adds a dataset. The caller writes its data, at the offset that `plan` computes.
  /// @param path        steps with '/' between them, from `below` on
  /// @param type        a datatype made by writer_type.hpp
  /// @param size_bytes  the size of the data
  /// @param room_bytes  the size to reserve: the data, and the bytes that belong to it
  /// @retval errc::bad_name, duplicate_name  as for `group`; or an object has the name already
  /// @retval errc::bad_shape  more than 32 dimensions
  result<object> dataset(object below, std::string_view path, std::string type, std::span<const std::uint64_t> shape,
                         std::uint64_t size_bytes, std::uint64_t room_bytes) {
    constexpr std::size_t max_hdf5_rank = 32;
    const std::size_t slash = path.rfind('/');
    const std::string_view name = path.substr(slash + 1); // npos + 1 is 0
    if (slash == 0 || !is_link_name(name)) return error(errc::bad_name, path);
    const result<object> parent =
        slash == std::string_view::npos ? result<object>(below) : group(below, path.substr(0, slash));
    if (!parent) return parent.error();
    if (shape.size() > max_hdf5_rank) return error(errc::bad_shape, path);
    if (!objects_[*parent].links.try_emplace(std::string(name), objects_.size()).second)
      return error(errc::duplicate_name, path);
    object_plan& made = objects_.emplace_back();
    made.is_dataset = true;
    made.type = std::move(type);
    made.shape.assign(shape.begin(), shape.end());
    made.size_bytes = size_bytes;
    made.room_bytes = room_bytes;
    return objects_.size() - 1;
  }

  /// Adds an attribute that is one string.
  void attribute(object of, std::string name, std::string text) {
    objects_[of].attributes.push_back({std::move(name), {std::move(text)}, true});
  }
  /// Adds an attribute that is a list of strings.
  /// @retval errc::too_large  there are more than `max_attribute_bytes` / 16 strings
  result<void> attribute(object of, std::string name, std::vector<std::string> texts) {
    if (texts.size() > max_attribute_bytes / hdf5_reference_size) return error(errc::too_large, name);
    objects_[of].attributes.push_back({std::move(name), std::move(texts), false});
    return {};
  }

  /// Computes all offsets. Nothing may be added afterwards.
  /// @param base_bytes  the offset of this file in the file that data is aligned in, such as an archive
  /// @retval errc::too_large  the file would be too large
  result<void> plan(std::uint64_t base_bytes) {
    out_.zeros(superblock_size);
    append_strings();
    // Members have greater numbers than their groups.
    for (object number = objects_.size(); number-- > 0;)
      objects_[number].is_dataset ? append_dataset(number) : append_group(number);
    std::uint64_t end = out_.size_bytes();
    for (object_plan& each : objects_) {
      if (!each.is_dataset || each.room_bytes == 0) continue;
      if (!checked_add(end, base_bytes, end) || !checked_align_up(end, alignment_bytes, each.data_address))
        return errc::too_large;
      each.data_address -= base_bytes;
      if (!checked_add(each.data_address, each.room_bytes, end)) return errc::too_large;
      if (each.size_bytes != 0) out_.set_u64(each.address_at, each.data_address);
    }
    end_ = end;
    set_superblock();
    return {};
  }

  /// The bytes in front of the data.
  [[nodiscard]] const std::string& head() const noexcept { return out_.bytes(); }
  /// The offset of the data of a dataset from the beginning of the file; meaningless if it has no room.
  [[nodiscard]] std::uint64_t data_address(object of) const noexcept { return objects_[of].data_address; }
  /// The size of the file.
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return end_; }

private:
  static constexpr std::size_t superblock_size = 96, group_message_size = 16;
  static constexpr std::uint64_t nowhere = ~std::uint64_t{0};
  // HDF5's default ranks; a node has twice as many entries.
  static constexpr std::uint16_t leaf_rank = 4, tree_rank = 16;
  enum message : std::uint16_t {
    dataspace = 1,
    datatype = 3,
    fill_value = 5,
    layout = 8,
    attribute_message = 12,
    symbol_table = 17
  };

  struct attribute_plan {
    std::string name;
    std::vector<std::string> texts;
    bool is_scalar;
    /// The references to the strings.
    std::string references{};
  };
  struct object_plan {
    std::map<std::string, object> links; // in order of bytes, as the B-tree requires
    std::vector<attribute_plan> attributes;
    bool is_dataset = false;
    std::string type;
    std::vector<std::uint64_t> shape;
    std::uint64_t size_bytes = 0, room_bytes = 0, data_address = 0;
    std::uint64_t header = 0, tree = 0, heap = 0; // the offsets of these
    std::size_t address_at = 0;                   // the offset of the address of the data
  };
  /// A node of a B-tree: its offset, and the offset in the heap of the last name below it.
  struct tree_entry {
    std::uint64_t address, last_name;
  };

  static bool is_link_name(std::string_view name) noexcept {
    return !name.empty() && name != "." && name != ".." && name.find('\0') == std::string_view::npos;
  }

  /// Appends the strings of all attributes, in one heap.
  void append_strings() {
    std::vector<std::string_view> all;
    hdf5_string_heap heap;
    for (const object_plan& each : objects_) {
      for (const attribute_plan& attribute : each.attributes)
        all.insert(all.end(), attribute.texts.begin(), attribute.texts.end());
    }
    for (const std::string_view each : all) heap.add(each.size());
    std::string references;
    (void)heap.write_references(all, out_.size_bytes(), [&](std::string_view piece) {
      references += piece;
      return true;
    });
    (void)heap.write_collections(all, [&](std::string_view piece) {
      out_.text(piece);
      return true;
    });
    std::size_t done = 0;
    for (object_plan& each : objects_) {
      for (attribute_plan& attribute : each.attributes) {
        const std::size_t size = attribute.texts.size() * hdf5_reference_size;
        attribute.references = references.substr(done, size);
        done += size;
      }
    }
  }

  static std::string space_message(std::span<const std::uint64_t> shape) {
    little_writer body;
    body.u8(1).u8(static_cast<std::uint8_t>(shape.size())).zeros(6);
    for (const std::uint64_t extent : shape) body.u64(extent);
    return body.take();
  }

  /// Appends a message, whose body is padded to a multiple of 8 bytes.
  static void append_message(little_writer& messages, message type, std::string_view body, bool is_constant = false) {
    const std::size_t size = (body.size() + 7) / 8 * 8;
    messages.u16(type)
        .u16(static_cast<std::uint16_t>(size))
        .u8(is_constant ? 1 : 0)
        .zeros(3)
        .text(body)
        .zeros(size - body.size());
  }
  static void append_attributes(little_writer& messages, const object_plan& of) {
    for (const attribute_plan& each : of.attributes) {
      const std::string type = hdf5_string_type();
      const std::uint64_t count = each.texts.size();
      const std::string space = space_message(each.is_scalar ? std::span<const std::uint64_t>() : std::span(&count, 1));
      little_writer body;
      body.u8(1).u8(0).u16(static_cast<std::uint16_t>(each.name.size() + 1));
      body.u16(static_cast<std::uint16_t>(type.size())).u16(static_cast<std::uint16_t>(space.size()));
      // The parts are padded to multiples of 8 bytes; all but the first already are.
      body.text(each.name).u8(0).align(8).text(type).align(8).text(space).align(8).text(each.references);
      append_message(messages, attribute_message, body.bytes());
    }
  }
  /// Appends the header of an object. @return the offset of its first message
  std::size_t append_header(object_plan& of, little_writer messages) {
    const std::size_t first_size = messages.size_bytes();
    append_attributes(messages, of);
    out_.align(8);
    of.header = out_.size_bytes();
    const std::size_t own_count = of.is_dataset ? 4 : 1;
    out_.u8(1).u8(0).u16(static_cast<std::uint16_t>(own_count + of.attributes.size())).u32(1);
    out_.u32(static_cast<std::uint32_t>(messages.size_bytes())).u32(0);
    out_.text(messages.bytes());
    return static_cast<std::size_t>(of.header) + 16 + first_size;
  }

  void append_dataset(object number) {
    object_plan& of = objects_[number];
    little_writer messages, place;
    append_message(messages, dataspace, space_message(of.shape));
    append_message(messages, datatype, of.type, true);
    // Late allocation; the fill value is defined, as zero.
    append_message(messages, fill_value, std::string_view("\2\2\2\1\0\0\0\0", 8));
    constexpr std::uint8_t contiguous = 1;
    append_message(messages, layout, place.u8(3).u8(contiguous).u64(nowhere).u64(of.size_bytes).bytes());
    constexpr std::size_t behind_address = 22; // the size, and the padding of the message
    of.address_at = append_header(of, std::move(messages)) - behind_address;
  }

  void append_group(object number) {
    object_plan& of = objects_[number];
    // The local heap: "HEAP"; its data is an empty name, then the names of the members.
    little_writer names;
    std::vector<std::uint64_t> name_offsets;
    names.zeros(8);
    for (const auto& [name, member] : of.links) {
      name_offsets.push_back(names.size_bytes());
      names.text(name).u8(0).align(8);
    }
    constexpr std::uint64_t nothing_free = 1;
    out_.align(8);
    of.heap = out_.size_bytes();
    out_.text("HEAP").zeros(4).u64(names.size_bytes()).u64(nothing_free).u64(of.heap + 32).text(names.bytes());

    std::vector<tree_entry> level = append_symbols(of, name_offsets);
    for (std::uint8_t height = 0; height == 0 || level.size() > 1; ++height) level = append_tree_level(level, height);
    of.tree = level.front().address;
    little_writer messages, body;
    append_message(messages, symbol_table, body.u64(of.tree).u64(of.heap).bytes());
    append_header(of, std::move(messages));
  }

  /// Appends the symbol table nodes of a group: "SNOD", and entries of 40 bytes.
  std::vector<tree_entry> append_symbols(const object_plan& of, const std::vector<std::uint64_t>& name_offsets) {
    std::vector<tree_entry> made;
    constexpr std::size_t entry_size = 40, capacity = 2 * leaf_rank;
    auto member = of.links.begin();
    for (std::size_t first = 0; first < name_offsets.size(); first += capacity) {
      const std::size_t count = (std::min)(capacity, name_offsets.size() - first);
      made.push_back({out_.size_bytes(), name_offsets[first + count - 1]});
      out_.text("SNOD").u8(1).u8(0).u16(static_cast<std::uint16_t>(count));
      for (std::size_t i = 0; i < count; ++i, ++member) {
        out_.u64(name_offsets[first + i]).u64(objects_[member->second].header).zeros(24);
      }
      out_.zeros((capacity - count) * entry_size);
    }
    return made;
  }

  /// Appends the nodes of a B-tree that lead to `below`; at least one.
  std::vector<tree_entry> append_tree_level(const std::vector<tree_entry>& below, std::uint8_t height) {
    constexpr std::size_t capacity = 2 * tree_rank, node_size = 24 + capacity * 8 + (capacity + 1) * 8;
    std::vector<tree_entry> made;
    std::uint64_t last_name = 0;
    std::size_t first = 0;
    do {
      const std::size_t count = (std::min)(capacity, below.size() - first);
      const std::uint64_t address = out_.size_bytes();
      const bool is_last = first + count == below.size();
      out_.text("TREE").u8(0).u8(height).u16(static_cast<std::uint16_t>(count));
      out_.u64(first == 0 ? nowhere : address - node_size).u64(is_last ? nowhere : address + node_size).u64(last_name);
      for (std::size_t i = 0; i < count; ++i) {
        last_name = below[first + i].last_name;
        out_.u64(below[first + i].address).u64(last_name);
      }
      out_.zeros((capacity - count) * 16);
      made.push_back({address, last_name});
      first += count;
    } while (first < below.size());
    return made;
  }

  void set_superblock() {
    little_writer block;
    block.text("\x89HDF\r\n\x1a\n").zeros(5).u8(8).u8(8).u8(0).u16(leaf_rank).u16(tree_rank).u32(0);
    block.u64(0).u64(nowhere).u64(end_).u64(nowhere);
    constexpr std::uint32_t is_group = 1; // the rest of the entry has the address of its table
    block.u64(0).u64(objects_[root].header).u32(is_group).u32(0).u64(objects_[root].tree).u64(objects_[root].heap);
    out_.replace(0, block.bytes());
  }

  std::vector<object_plan> objects_;
  little_writer out_;
  std::uint64_t end_ = 0;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
