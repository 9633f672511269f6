// SPDX-License-Identifier: MIT
// The three forms of groups of HDF5 files: symbol tables, link messages, and links in a heap.
#ifndef STET_WIRE_HDF5_GROUP_HPP
#define STET_WIRE_HDF5_GROUP_HPP

#include "heap.hpp"
#include "object.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Kinds of links: to an object, to a path in this file, to a path in another file, and user-defined.
enum class hdf5_link_kind : std::uint8_t { hard, soft, external, other };

/// A link of a group; its name views the file.
struct hdf5_link {
  std::string_view name;
  hdf5_link_kind kind{};
  /// The address of the object header, for hard links only.
  std::uint64_t address = hdf5_file::nowhere;
  /// The path of a soft link, from the root or from the group; or the file of an external link.
  std::string_view target = {};
  /// The order of creation within the group, if the group stores it.
  std::uint64_t order = 0;
};

/// Lists the links of one group.
class hdf5_group_reader {
public:
  explicit hdf5_group_reader(hdf5_file& file) noexcept : file_(file) {}

  result<std::vector<hdf5_link>> run(const hdf5_object& group) {
    const result<void> read = read_all(group);
    if (!read) return read.error();
    // The usual order of listings: by creation if that is stored, else by name. Trees are in order of names.
    const auto is_before = [&](const hdf5_link& a, const hdf5_link& b) {
      return is_ordered_ && a.order != b.order ? a.order < b.order : !is_ordered_ && a.name < b.name;
    };
    if (!std::is_sorted(links_.begin(), links_.end(), is_before))
      std::stable_sort(links_.begin(), links_.end(), is_before);
    return std::move(links_);
  }

private:
  static constexpr std::size_t max_depth = 32;

  result<void> read_all(const hdf5_object& group) {
    const error bad = hdf5_file::bad(group.address());
    for (const hdf5_message& message : group.messages()) {
      byte_cursor body(message.body);
      if (message.type == hdf5_message_type::link) {
        if (!read_link(message.body)) return bad;
      } else if (message.type == hdf5_message_type::symbol_table) {
        const std::uint64_t tree = body.take_u64(), heap = body.take_u64();
        if (!body.is_good() || !open_names(heap)) return bad;
        if (!read_tree(tree, 0, max_depth)) return bad;
      } else if (message.type == hdf5_message_type::link_info) {
        const bool is_known = body.take_u8() == 0;
        const std::uint8_t flags = body.take_u8();
        is_ordered_ = (flags & 1) != 0;
        if (is_ordered_) body.skip(8);
        const std::uint64_t heap = body.take_u64(), tree = body.take_u64();
        if (!body.is_good() || !is_known) return bad;
        if (heap == hdf5_file::nowhere) continue;
        if (auto read = read_dense(heap, tree); !read) return read;
      }
    }
    return {};
  }

  /// Reads u8 1 | u8 flags | [u8 type] | [u64 order] | [u8 character set] | size of the name | name | data of the type
  bool read_link(std::span<const std::byte> body) {
    byte_cursor fields(body);
    const bool is_known = fields.take_u8() == 1;
    const std::uint8_t flags = fields.take_u8();
    const std::uint8_t type = (flags & 8) != 0 ? fields.take_u8() : std::uint8_t{0};
    hdf5_link link;
    if ((flags & 4) != 0) link.order = fields.take_u64();
    if ((flags & 16) != 0) fields.skip(1);
    link.name = fields.take_text(fields.take_sized(std::size_t{1} << (flags & 3)));
    constexpr std::uint8_t hard = 0, soft = 1, external = 64;
    link.kind = type == hard       ? hdf5_link_kind::hard
                : type == soft     ? hdf5_link_kind::soft
                : type == external ? hdf5_link_kind::external
                                   : hdf5_link_kind::other;
    if (type == hard) {
      link.address = fields.take_u64();
    } else {
      link.target = fields.take_text(fields.take_u16());
      if (type == external) { // u8 version and flags | file | NUL | path | NUL
        link.target = link.target.substr((std::min)(link.target.size(), std::size_t{1}));
        link.target = link.target.substr(0, link.target.find('\0'));
      }
    }
    return fields.is_good() && is_known && add(link);
  }

  /// Adds a link, whose name must be a single step of a path.
  bool add(const hdf5_link& link) {
    if (link.name.empty() || link.name.find_first_of(std::string_view("\0/", 2)) != std::string_view::npos ||
        !file_.charge(sizeof link))
      return false;
    links_.push_back(link);
    return true;
  }

  result<void> read_dense(std::uint64_t heap_address, std::uint64_t tree) {
    constexpr std::uint8_t links_by_name = 5;
    result<fractal_heap> heap = fractal_heap::open(file_, heap_address);
    if (!heap) return heap.error();
    const auto records = btree2_reader(file_).run(tree, links_by_name, 5);
    if (!records) return records.error();
    for (const std::span<const std::byte> record : *records) {
      const auto object = heap->find(record.subspan(4));
      if (!object) return object.error();
      if (!read_link(*object)) return hdf5_file::bad(heap_address);
    }
    return {};
  }

  /// Reads "HEAP" | u8 0 | 3 unused | u64 size | u64 free list | address of the names
  bool open_names(std::uint64_t address) {
    byte_cursor heap = file_.at(address, 32);
    const bool is_heap = heap.take_mark("HEAP") && heap.take_u8() == 0;
    heap.skip(3);
    const std::uint64_t size = heap.take_u64();
    heap.skip(8);
    names_ = file_.at(heap.take_u64(), size).rest();
    return heap.is_good() && is_heap && (size == 0 || !names_.empty());
  }
  bool find_name(std::uint64_t offset, std::string_view& into) noexcept {
    if (offset >= names_.size()) return false;
    const char* const begin = reinterpret_cast<const char*>(names_.data()) + offset;
    const void* const end = std::memchr(begin, 0, static_cast<std::size_t>(names_.size() - offset));
    if (end == nullptr) return false;
    into = {begin, static_cast<std::size_t>(static_cast<const char*>(end) - begin)};
    return file_.charge(into.size());
  }

  /// Reads a version 1 B-tree of type 0: "TREE" | u8 type | u8 level | u16 entries | 2 siblings | key, child, key … key
  bool read_tree(std::uint64_t address, std::uint8_t level, std::size_t depth) {
    byte_cursor node = file_.at(address, 24);
    const bool is_group_tree = node.take_mark("TREE") && node.take_u8() == 0;
    const std::uint8_t own_level = node.take_u8();
    const std::uint16_t count = node.take_u16();
    // The root has the depth of the tree. Each further level must be one less.
    if (!node.is_good() || !is_group_tree || (depth != max_depth && own_level != level) || own_level >= max_depth)
      return false;
    byte_cursor entries = file_.at(address + 24, std::uint64_t{count} * 16 + 8);
    for (std::uint16_t i = 0; i < count; ++i) {
      entries.skip(8);
      const std::uint64_t child = entries.take_u64();
      if (!entries.is_good()) return false;
      if (own_level == 0 ? !read_symbols(child)
                         : !read_tree(child, static_cast<std::uint8_t>(own_level - 1), depth - 1))
        return false;
    }
    return entries.is_good();
  }
  /// Reads "SNOD" | u8 1 | 0 | u16 count | entries: u64 name, address of the object, u32 kind, 4 unused, 16 bytes
  /// (for a soft link: u32 offset of its path among the names)
  bool read_symbols(std::uint64_t address) {
    byte_cursor node = file_.at(address, 8);
    const bool is_node = node.take_mark("SNOD") && node.take_u8() == 1;
    node.skip(1);
    const std::uint16_t count = node.take_u16();
    byte_cursor entries = file_.at(address + 8, std::uint64_t{count} * 40);
    if (!node.is_good() || !is_node || !entries.is_good()) return false;
    for (std::uint16_t i = 0; i < count; ++i) {
      hdf5_link link;
      const std::uint64_t name = entries.take_u64();
      link.address = entries.take_u64();
      constexpr std::uint32_t soft = 2;
      const bool is_soft = entries.take_u32() == soft;
      entries.skip(4);
      const std::uint32_t target = entries.take_u32();
      entries.skip(12);
      if (is_soft) {
        link.kind = hdf5_link_kind::soft;
        if (!find_name(target, link.target)) return false;
      }
      if (!entries.is_good() || !find_name(name, link.name) || !add(link)) return false;
    }
    return true;
  }

  hdf5_file& file_;
  std::vector<hdf5_link> links_;
  std::span<const std::byte> names_;
  bool is_ordered_ = false;
};

/// Lists the links of a group: in order of creation if the file stores it, else by name.
/// @retval errc::bad_hdf5     a structure that the object header leads to is damaged
/// Errors: those of `hdf5_file::undo_filters`, if the links are in a heap with filters.
inline result<std::vector<hdf5_link>> read_links(hdf5_file& file, const hdf5_object& group) {
  return hdf5_group_reader(file).run(group);
}

/// True if an object is a group.
inline bool is_hdf5_group(const hdf5_object& object) noexcept {
  return object.find(hdf5_message_type::symbol_table) != nullptr ||
         object.find(hdf5_message_type::link_info) != nullptr || object.find(hdf5_message_type::link) != nullptr;
}

/// Finds the object at a path of names from the root.
/// @retval errc::not_found  there is no such object
inline result<hdf5_object> find_object(hdf5_file& file, std::initializer_list<std::string_view> path) {
  result<hdf5_object> at = hdf5_object::read(file, file.root());
  for (const std::string_view name : path) {
    if (!at) break;
    const auto links = read_links(file, *at);
    if (!links) return links.error();
    std::uint64_t next = hdf5_file::nowhere;
    for (const hdf5_link& link : *links) {
      if (link.name == name && link.kind == hdf5_link_kind::hard) next = link.address;
    }
    at = next == hdf5_file::nowhere ? result<hdf5_object>(errc::not_found) : hdf5_object::read(file, next);
  }
  return at;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
