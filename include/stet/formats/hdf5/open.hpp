// SPDX-License-Identifier: MIT
// Opens the datasets of an HDF5 file as tensors.
#ifndef STET_FORMATS_HDF5_OPEN_HPP
#define STET_FORMATS_HDF5_OPEN_HPP

#include "detail/chunked.hpp"
#include "detail/element.hpp"

#include "../common/readers.hpp"
#include "../common/store_builder.hpp"
#include "../common/string_table.hpp"
#include "../format.hpp"

#include "../../source/detail/path.hpp"
#include "../../wire/hdf5.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// What is done with links that lead elsewhere by a path, and with data outside the file.
enum class hdf5_strictness : std::uint8_t {
  /// Soft links to objects of the file are further names; other ones are omitted. Data outside the file is listed, and reading
  /// it is errc::external_data.
  lenient,
  /// They are errc::unsupported: Keras writes none, and has refused them since they were used to read other
  /// files.
  strict,
};

/// A dataset that was added to a store, kept so that it can get further names.
struct hdf5_tensor {
  /// "/layers/dense/vars/0"
  std::string path;
  /// As it was added, but for the name, the shape and the name of a block.
  index_row row;
  std::vector<std::uint64_t> shape;
  std::string block_name;

  /// The row of one more name.
  [[nodiscard]] index_row named(std::string_view name) const noexcept {
    index_row made = row;
    made.name = name;
    made.shape = shape;
    made.layout.block.name = block_name;
    return made;
  }
};

/// Adds the datasets of one file to a store that is being built, in the order in which the groups list them.
/// Each is a tensor once, by the first path that leads to it; further ones, by hard links to it or to a group
/// around it or by soft links, are second names, which come after all tensors. A link to a group around itself gives none.
/// What the file lists and the store cannot give is omitted from it, with the reason.
class hdf5_importer {
public:
  /// @param structure  the file, or the member of an archive, in memory
  /// @param part       the part of the store that has these bytes
  /// @param offset     where in that part they begin
  /// @param inflate    for deflated chunks; nullptr: reading them is errc::compressed
  hdf5_importer(store_builder& into, hdf5_file& structure, std::uint32_t part, std::uint64_t offset,
                hdf5_strictness strictness, inflate_function inflate)
      : into_(into), file_(structure), part_(part), base_(offset + structure.base_bytes()), strictness_(strictness),
        inflate_(inflate) {}

  /// Errors: those of `hdf5_format`.
  result<void> run() {
    const result<hdf5_object> root = hdf5_object::read(file_, file_.root());
    if (!root) return about(root.error(), {});
    if (!is_hdf5_group(*root)) return hdf5_file::bad(file_.root(), "/");
    if (auto added = add_groups(*root); !added) return added;
    if (auto added = add_soft_links(); !added) return added;
    for (second_name& each : second_names_) {
      hdf5_tensor made = tensors_[each.tensor];
      made.path = std::move(each.path);
      into_.add(made.named(made.path));
      if (each.is_link) into_.note_second_name();
      tensors_.push_back(std::move(made));
    }
    return {};
  }
  /// Those that were added; second names have rows of their own.
  [[nodiscard]] std::vector<hdf5_tensor> take_tensors() noexcept { return std::move(tensors_); }

private:
  static constexpr std::size_t not_listed = ~std::size_t{0};
  struct second_name {
    std::string path;
    std::size_t tensor;
    bool is_link = false; // by a path, not to the dataset itself
  };
  /// A group whose members are being added.
  struct open_group {
    std::uint64_t address;
    std::vector<hdf5_link> links;
    std::size_t next, path_size;
  };
  struct soft_link {
    std::string path;
    /// From the root.
    std::string target;
  };

  /// Adds all that the root leads to, without recursion: depth is bounded only by the budget, which pays for each path.
  result<void> add_groups(const hdf5_object& root) {
    std::string path;
    if (auto entered = enter(root, path); !entered) return entered;
    while (!groups_.empty()) {
      open_group& group = groups_.back();
      path.resize(group.path_size);
      if (group.next == group.links.size()) {
        around_.erase(group.address);
        groups_.pop_back();
        continue;
      }
      const hdf5_link link = group.links[group.next++];
      path.append("/").append(link.name);
      if (auto added = add_link(link, path); !added) // may open a group, and move the list of those that are open
        return added;
    }
    return {};
  }
  /// Opens a group, whose members come next.
  result<void> enter(const hdf5_object& group, const std::string& path) {
    if (around_.count(group.address()) != 0) return {}; // whatever is in it has a name
    if (!file_.charge(path.size())) return hdf5_file::bad(group.address(), path);
    auto links = read_links(file_, group);
    if (!links && is_out_of_reach(links.error()) && strictness_ == hdf5_strictness::lenient)
      return omit(path.empty() ? std::string("/") : path, links.error());
    if (!links) return about(links.error(), path);
    group_paths_.insert(path);
    around_.insert(group.address());
    groups_.push_back({group.address(), std::move(*links), 0, path.size()});
    return {};
  }

  /// Whether a heap went through filters that cannot be undone here, and is sound for all that is known.
  static bool is_out_of_reach(const error& failure) noexcept {
    return failure.code() == errc::unsupported || failure.code() == errc::compressed;
  }

  result<void> omit(const std::string& path, const error& reason) {
    if (!file_.charge(path.size() + sizeof(omitted_item))) return hdf5_file::bad(0, path);
    into_.omit(path, reason);
    omitted_.emplace(path, reason);
    return {};
  }

  /// The path from the root of what is called `path` in the group at `from`: "." and slashes too many are left out.
  static std::string absolute(std::string_view from, std::string_view path) {
    std::string made(path.substr(0, 1) == "/" ? std::string_view() : from);
    for (std::size_t begin = 0; begin < path.size();) {
      const std::size_t end = (std::min)(path.find('/', begin), path.size());
      const std::string_view name = path.substr(begin, end - begin);
      if (!name.empty() && name != ".") made.append("/").append(name);
      begin = end + 1;
    }
    return made;
  }

  /// Makes soft links second names of all that is at their paths. A link may lead through others, so those which lead nowhere
  /// are tried again while any was found.
  result<void> add_soft_links() {
    // Links to datasets come first: they are members of the groups that other links lead to.
    for (bool is_progress = true, with_groups = false; (is_progress || !with_groups) && !soft_links_.empty();) {
      with_groups = !is_progress;
      is_progress = false;
      if (!file_.charge((tensors_.size() + second_names_.size()) * sizeof(second_name)))
        return hdf5_file::bad(0, soft_links_.front().path);
      std::map<std::string, std::size_t, std::less<>> names;
      for (std::size_t number = 0; number < tensors_.size(); ++number) names.emplace(tensors_[number].path, number);
      for (const second_name& each : second_names_) names.emplace(each.path, each.tensor);
      std::vector<soft_link> left;
      for (soft_link& link : soft_links_) {
        if (!file_.charge(link.path.size())) return hdf5_file::bad(0, link.path);
        if (link.path.compare(0, link.target.size() + 1, link.target + "/") == 0 &&
            group_paths_.count(link.target) != 0) {
          is_progress = true;
          continue; // to a group around itself
        }
        bool is_found = with_groups && group_paths_.count(link.target) != 0;
        if (const auto same = names.find(link.target); same != names.end()) {
          is_found = true;
          second_names_.push_back({link.path, same->second, true});
        }
        const std::string inside = link.target + "/";
        for (auto each = with_groups ? names.lower_bound(inside) : names.end();
             each != names.end() && each->first.compare(0, inside.size(), inside) == 0; ++each) {
          is_found = true;
          std::string path = link.path + each->first.substr(link.target.size());
          if (!file_.charge(path.size() + sizeof(second_name))) return hdf5_file::bad(0, path);
          if (is_valid_name(path)) second_names_.push_back({std::move(path), each->second, true});
        }
        if (!is_found) {
          left.push_back(std::move(link));
          continue;
        }
        group_paths_.insert(link.path);
        is_progress = true;
      }
      soft_links_ = std::move(left);
    }
    for (const soft_link& link : soft_links_) {
      const auto known = omitted_.find(link.target);
      if (auto done = omit(link.path, known != omitted_.end() ? known->second : error(errc::not_found, link.target));
          !done)
        return done;
    }
    return {};
  }

  static error about(const error& failure, std::string_view path) noexcept {
    return failure.subject().empty() ? failure.about(path.empty() ? std::string_view("/") : path) : failure;
  }

  result<void> add_link(const hdf5_link& link, std::string& path) {
    if (!is_valid_name(path)) return omit(path, error(errc::bad_name, path));
    if (link.kind != hdf5_link_kind::hard) {
      if (strictness_ == hdf5_strictness::strict) return error(errc::unsupported, path);
      if (link.kind != hdf5_link_kind::soft) return omit(path, error(errc::external_data, link.target));
      if (!file_.charge(path.size() + link.target.size() + sizeof(soft_link))) return hdf5_file::bad(0, path);
      const std::string_view group = std::string_view(path).substr(0, path.size() - link.name.size() - 1);
      soft_links_.push_back({path, absolute(group, link.target)});
      return {};
    }
    if (const auto known = datasets_.find(link.address); known != datasets_.end()) {
      if (!file_.charge(path.size())) return hdf5_file::bad(link.address, path);
      if (known->second != not_listed) second_names_.push_back({path, known->second});
      return {};
    }
    const result<hdf5_object> object = hdf5_object::read(file_, link.address);
    if (!object) return about(object.error(), path);
    if (object->find(hdf5_message_type::layout) != nullptr) {
      if (!file_.charge(path.size())) return hdf5_file::bad(link.address, path);
      const std::size_t number = tensors_.size();
      if (auto added = add_dataset(*object, path); !added) return about(added.error(), path);
      datasets_.emplace(link.address, tensors_.size() != number ? number : not_listed);
      return {};
    }
    if (is_hdf5_group(*object)) return enter(*object, path);
    const bool is_named_type =
        object->find(hdf5_message_type::datatype) != nullptr && object->find(hdf5_message_type::dataspace) == nullptr;
    return is_named_type ? result<void>() : hdf5_file::bad(link.address, path);
  }

  result<void> add_dataset(const hdf5_object& object, const std::string& path) {
    const error bad = hdf5_file::bad(object.address(), path);
    const hdf5_message* const type_message = object.find(hdf5_message_type::datatype);
    const hdf5_message* const space_message = object.find(hdf5_message_type::dataspace);
    const hdf5_message* const layout_message = object.find(hdf5_message_type::layout);
    if (type_message == nullptr || space_message == nullptr || layout_message->is_shared) return bad;
    const auto type_body = body_of(file_, *type_message), space_body = body_of(file_, *space_message);
    if (!type_body) return type_body.error();
    if (!space_body) return space_body.error();
    hdf5_type type;
    hdf5_space space;
    hdf5_layout layout;
    const auto fill = read_fill_value(file_, object);
    if (!fill) return fill.error();
    if (!type.parse(*type_body) || !space.parse(*space_body) || (!fill->empty() && fill->size() != type.size_bytes)) {
      return bad;
    }
    if (space.is_null) // h5py's Empty: no shape, and no elements
      return omit(path, error(errc::bad_shape, path));
    const errc unknown_layout = layout.parse(layout_message->body);
    if (unknown_layout == errc::bad_hdf5) return bad;

    const hdf5_element element(type);
    index_row row;
    row.name = path;
    row.layout = element.layout;
    row.big_endian = element.is_big_endian;
    row.shape = space.shape();
    row.part = part_;
    std::uint64_t count = 0;
    if (!count_elements(space, type.size_bytes, count, row.size_bytes)) return error(errc::bad_shape, path);
    if (type.kind == hdf5_class::opaque && type.size_bytes == 2) {
      const result<bool> says_bfloat16 = is_bfloat16(object);
      if (!says_bfloat16) return says_bfloat16.error();
      if (*says_bfloat16) row.layout = element_layout::of(dtype::bfloat16);
    }

    result<source> decoded = source();
    bool is_in_place = false;
    const bool is_elsewhere =
        object.find(hdf5_message_type::external_files) != nullptr || layout.storage == hdf5_storage::virtual_sets;
    if (unknown_layout != errc{} || is_elsewhere) {
      if (strictness_ == hdf5_strictness::strict) return error(errc::unsupported, path);
      decoded = unreadable(error(is_elsewhere ? errc::external_data : errc::unsupported, path), row.size_bytes);
    } else if (layout.storage == hdf5_storage::chunked) {
      decoded = open_chunks(object, layout, space, type, *fill, row);
    } else {
      std::uint64_t address = layout.address, size = layout.has_size ? layout.size_bytes : row.size_bytes;
      if (layout.storage == hdf5_storage::compact) {
        size = layout.compact.size();
        address = size == 0 ? hdf5_file::nowhere : file_.address_of(layout.compact);
      }
      if (address == hdf5_file::nowhere || row.size_bytes == 0) {
        decoded = row.size_bytes == 0       ? result<source>(source())
                  : is_bomb(row.size_bytes) ? unreadable(error(errc::too_large, path), row.size_bytes)
                                            : source::keep(filled_bytes(*fill, row.size_bytes), into_.memory());
      } else {
        if (size != row.size_bytes && !(layout.storage == hdf5_storage::contiguous && size > row.size_bytes))
          return error(errc::bad_size, path, address);
        if (!file_.contains(address, row.size_bytes)) return error(errc::truncated, path, base_ + address);
        is_in_place = true;
        row.offset_bytes = base_ + address;
      }
    }
    if (!decoded) return decoded.error();
    if (row.layout.dtype == dtype::string) {
      if (is_in_place) decoded = source::borrow(file_.at(row.offset_bytes - base_, row.size_bytes).rest());
      decoded = decode_strings(*decoded, type, count, row);
      if (!decoded) return decoded.error();
      is_in_place = false;
    }
    if (!is_in_place) {
      row.offset_bytes = 0;
      row.size_bytes = decoded->size_bytes();
      if (row.size_bytes != 0) row.part = into_.add_decoded(std::move(*decoded));
    }
    into_.add(row);
    tensors_.push_back({path, row, {row.shape.begin(), row.shape.end()}, std::string(row.layout.block.name)});
    tensors_.back().row.alias_of = static_cast<std::uint32_t>(into_.tensor_count() - 1);
    return {};
  }

  /// ml_dtypes' bfloat16 is two opaque bytes; Keras 3 says in an attribute what they are.
  result<bool> is_bfloat16(const hdf5_object& object) {
    const auto attributes = read_attributes(file_, object);
    if (!attributes && is_out_of_reach(attributes.error())) return false;
    if (!attributes) return attributes.error();
    for (const hdf5_attribute& each : *attributes) {
      if (each.name != "dtype") continue;
      const auto text = read_strings(file_, each);
      if (!text) return text.error();
      return text->size() == 1 && text->front() == "bfloat16";
    }
    return false;
  }

  [[nodiscard]] result<source> unreadable(const error& failure, std::uint64_t size_bytes) const {
    return source::keep(unreadable_bytes(failure, size_bytes), into_.memory());
  }
  /// Whether elements which need not be in the file are more than anyone means: a size of some bytes that
  /// costs those who believe it terabytes.
  [[nodiscard]] bool is_bomb(std::uint64_t size_bytes) const noexcept {
    constexpr std::uint64_t harmless = std::uint64_t{4} << 30;
    return size_bytes > harmless && size_bytes / max_inflation > file_.size_bytes();
  }

  result<source> open_chunks(const hdf5_object& object, const hdf5_layout& layout, const hdf5_space& space,
                             const hdf5_type& type, std::span<const std::byte> fill, const index_row& row) {
    const error bad = hdf5_file::bad(object.address(), row.name);
    chunked_dataset made;
    if (const hdf5_message* const filters = object.find(hdf5_message_type::filters)) {
      const auto body = body_of(file_, *filters);
      if (!body) return body.error();
      if (!read_filters(*body, made.filters)) return bad;
    }
    if (layout.element_size != type.size_bytes) return bad;
    made.chunk_size_bytes = made.element_size = type.size_bytes;
    for (std::size_t axis = 0; axis < layout.rank; ++axis) {
      if (!checked_multiply(made.chunk_size_bytes, layout.chunk[axis], made.chunk_size_bytes)) return bad;
    }
    if (made.chunk_size_bytes > max_tensor_size_bytes) return bad;
    auto chunks = read_chunks(file_, layout, space, made.chunk_size_bytes, !made.filters.empty());
    if (!chunks) return chunks.error();
    if (row.size_bytes == 0) return source();
    if (const hdf5_filter* const obstacle = first_unsupported_filter(made.filters, inflate_))
      return unreadable(error_of_obstacle(*obstacle, row.name), row.size_bytes);
    if (is_bomb(row.size_bytes)) return unreadable(error(errc::too_large, row.name), row.size_bytes);
    made.name = row.name;
    made.shape.assign(space.extents, space.extents + space.rank);
    made.chunk.assign(layout.chunk, layout.chunk + layout.rank);
    made.leaves_edges = layout.leaves_edges;
    made.fill_value.assign(fill.begin(), fill.end());
    made.inflate = inflate_;
    made.memory = into_.memory();
    made.chunks = std::move(*chunks);
    const source& from = into_.part(part_);
    made.data = from.data();
    made.fetcher = from.fetcher();
    made.base_bytes = base_;
    return source::keep(chunked_bytes(std::move(made)), into_.memory());
  }

  /// Strings as a store has them: offsets, then bytes (index/format.hpp, "Data").
  result<source> decode_strings(const source& elements, const hdf5_type& type, std::uint64_t count,
                                const index_row& row) {
    // Elements that were never written, and strings that share bytes, take nothing in the file: neither may
    // ask for memory, which all datasets together get in proportion to the file.
    const std::uint64_t most = file_.size_bytes() * 16 + 65536;
    const auto damaged = [&](errc failure) { return unreadable(error(failure, row.name), (count + 1) * 8); };
    if (count >= (most - decoded_size_bytes_) / 16) return damaged(errc::too_large);
    decoded_size_bytes_ += (count + 1) * 16;
    result<source> held = source::allocate(count * type.size_bytes, into_.memory());
    if (!held) return held;
    const std::span<std::byte> raw(held->writable_data(), static_cast<std::size_t>(held->size_bytes()));
    if (count != 0) {
      if (auto read = elements.read_at(0, raw); !read) return damaged(read.error().code());
    }
    hdf5_string_reader reader(file_, type);
    std::vector<std::string_view> texts(static_cast<std::size_t>(count));
    std::uint64_t text_size = 0;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      if (!reader.read(raw.subspan(i * type.size_bytes, type.size_bytes), texts[i]))
        return damaged(errc::bad_string_table);
      if (texts[i].size() > most - decoded_size_bytes_) return damaged(errc::too_large);
      text_size += texts[i].size();
      decoded_size_bytes_ += texts[i].size();
    }
    result<string_table> made = string_table::allocate(count, text_size, into_.memory());
    if (!made) return made.error();
    for (const std::string_view each : texts) made->append(each);
    return made->finish();
  }

  store_builder& into_;
  hdf5_file& file_;
  std::uint32_t part_;
  std::uint64_t base_, decoded_size_bytes_ = 0;
  hdf5_strictness strictness_;
  inflate_function inflate_;
  std::vector<open_group> groups_; // from the root on
  std::set<std::uint64_t> around_; // their addresses
  std::set<std::string, std::less<>> group_paths_;
  std::vector<soft_link> soft_links_;
  std::map<std::string, error, std::less<>> omitted_;
  std::map<std::uint64_t, std::size_t> datasets_;
  std::vector<second_name> second_names_;
  std::vector<hdf5_tensor> tensors_;
};

/// `format::open` of hdf5_format.
inline result<model> open_hdf5(format_probe& probe) {
  const open_options& options = probe.options();
  store_builder builder(options.memory);
  const result<added_file> file = add_whole_file(builder, probe);
  if (!file) return file.error();
  result<hdf5_file> structure = open_hdf5_file(file->bytes, options.inflate);
  if (!structure) return structure.error();
  if (auto read = hdf5_importer(builder, *structure, file->part, 0, hdf5_strictness::lenient, options.inflate).run();
      !read)
    return read.error();
  return finish_model(builder, options);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
