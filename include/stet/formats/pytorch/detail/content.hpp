// SPDX-License-Identifier: MIT
// Reads the parts of a file that torch.save, torch.jit.save or torch.export.save wrote: its pickle and its storages.
#ifndef STET_FORMATS_PYTORCH_DETAIL_CONTENT_HPP
#define STET_FORMATS_PYTORCH_DETAIL_CONTENT_HPP

#include "archive_members.hpp"
#include "storages.hpp"
#include "tensors.hpp"

#include "../../common/open_member.hpp"

#include "../../../source/source.hpp"
#include "../../../wire/cursor.hpp"
#include "../../../wire/pickle.hpp"
#include "../../../wire/zip.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// A zip archive, since 1.6: ROOT/data.pkl, the object; ROOT/data/KEY, the bytes of a storage; ROOT/byteorder; torch.jit adds
// ROOT/code/. Archives of torch.export have no such pickle (export.hpp).
//
// Before: pickles one behind the other: a magic number, 1001, a dict with "little_endian", the object, the list of the keys of
// storages; then for each key the count of elements as u64, and the elements.
//
// Before 0.1.10: a tar archive of three files. "storages": a count, then for each storage a pickle of (key, location, class), a
// count as u64 and the elements; then the list of views (key, key of the whole, offset, count). "tensors": a count, then for each
// tensor a pickle of (key, key of the storage, class), i32 rank, i32, and as i64 the sizes, the strides and the offset. "pickle":
// the object, whose tensors are persistent by their keys, or as in later files. Some have "sys_info", the dict.
//
// Sources: github.com/pytorch/pytorch, torch/serialization.py and caffe2/serialize/inline_container.cc.

namespace stet::inline STET_NAMESPACE::detail {

/// What a file of PyTorch has. Views the bytes.
struct pytorch_content {
  explicit pytorch_content(memory_resource* memory) noexcept : object(memory) {}

  /// The object. Of an archive of torch.export it is not read.
  pickle object;
  bool is_big_endian = false;
  pytorch_storages storages;
  /// Of a tar archive: the tensors by key.
  bool is_tar = false;
  std::map<std::string, pytorch_tensor> tensors;
  /// Of a zip archive.
  std::span<const std::byte> archive;
  std::vector<zip_member> members;
  std::string_view root;
  /// Of an archive of torch.export: where the weights are, in `members`.
  std::vector<pytorch_exported> exported;
  /// The pickle, where it is decompressed.
  source decompressed;

  [[nodiscard]] bool is_export() const noexcept { return !exported.empty(); }
  [[nodiscard]] pytorch_values values() const noexcept {
    return is_tar ? pytorch_values(object, tensors) : pytorch_values(object);
  }
};

/// Reads a pickle of the table of names, and refuses the functions that run code.
inline result<void> run_pickle(pickle& into, std::span<const std::byte> bytes) noexcept {
  if (auto done = into.run(bytes, pytorch_names); !done) return done;
  return check_names(into);
}

/// True if the value is the number that begins a file before 1.6.
inline bool is_legacy_magic(const pickle& of) noexcept {
  const pickle_value& value = of[of.root()];
  if (value.kind != pickle_kind::long_integer) return false;
  return of.text(value) ==
         (value.is_other_form ? "119547037146038801333356" : "\x6C\xFC\x9C\x46\xF9\x20\x6A\xA8\x50\x19");
}
/// True if a file with these first bytes is one of before 1.6.
inline bool is_legacy_pytorch(std::span<const std::byte> start) noexcept {
  constexpr std::size_t most = 64;
  if (start.empty() || (start[0] != std::byte{0x80} && start[0] != std::byte{'L'})) return false;
  pickle magic;
  return magic.run(start.first((std::min)(start.size(), most)), {}) && is_legacy_magic(magic);
}
/// True if a file with these first bytes is a tar archive of before 0.1.10: its first member is one of its files.
inline bool is_tar_pytorch(std::span<const std::byte> start) noexcept {
  constexpr std::size_t magic_at = 257;
  if (start.size() < 512 || text_at(start.data() + magic_at, 5) != "ustar") return false;
  std::string_view name = text_at(start.data(), 100);
  name = name.substr(0, name.find('\0'));
  if (name.starts_with("./")) name.remove_prefix(2);
  return name == "storages" || name == "tensors" || name == "pickle" || name == "sys_info";
}

/// Reads the content of one file.
class pytorch_content_reader {
public:
  /// @param bytes   the file, or the archive within a file, which must outlive `into`
  /// @param part    the number of the part that has the bytes, and where they begin in it
  /// @param members  those of the archive, if they were read before
  pytorch_content_reader(pytorch_content& into, std::span<const std::byte> bytes, std::uint32_t part,
                         std::uint64_t begin_bytes, const open_options& options,
                         std::optional<std::vector<zip_member>> members = std::nullopt) noexcept
      : into_(into), bytes_(bytes), part_(part), begin_(begin_bytes), options_(options), members_(std::move(members)) {}

  /// Errors: as `open_pytorch` documents them, but for the tensors.
  result<void> run() {
    if (is_zip(bytes_)) return read_archive();
    return is_tar_pytorch(bytes_) ? read_tar() : read_legacy();
  }

private:
  static error bad(std::string_view what) noexcept { return error(errc::malformed, what); }
  [[nodiscard]] std::span<const std::byte> from(std::size_t offset) const noexcept { return bytes_.subspan(offset); }

  // ---- a zip archive ----

  result<void> read_archive() {
    if (!members_) {
      result<std::vector<zip_member>> read = read_zip(bytes_);
      if (!read) return read.error();
      members_ = std::move(*read);
    }
    into_.archive = bytes_;
    into_.members = std::move(*members_);
    const zip_member* const object = find_in_root(into_.members, pytorch_pickle_member);
    if (object == nullptr) into_.exported = find_exported(into_.members);
    if (object == nullptr && !into_.is_export()) return error(errc::unknown_format, "a zip archive without data.pkl");
    into_.root = root_of(into_.members);
    if (auto read = read_byte_order(); !read) return read;
    for (const zip_member& each : into_.members) {
      constexpr std::string_view data = "data/";
      const std::string_view name = each.name.substr((std::min)(into_.root.size(), each.name.size()));
      if (into_.is_export() || !each.name.starts_with(into_.root) || !name.starts_with(data)) continue;
      pytorch_storage storage;
      storage.key = name.substr(data.size());
      storage.part = part_;
      storage.offset_bytes = begin_ + each.offset_bytes;
      storage.size_bytes = each.size_bytes;
      if (each.method != zip_member::is_stored) storage.packed = &each;
      into_.storages.add(std::move(storage));
    }
    if (object == nullptr) return {};
    result<source> opened = open_member(bytes_, *object, options_.inflate, options_.memory);
    if (!opened) return opened.error();
    into_.decompressed = std::move(*opened);
    return run_pickle(into_.object, bytes_in(into_.decompressed));
  }
  result<void> read_byte_order() {
    const zip_member* const member = find_in_root(into_.members, "byteorder");
    if (member == nullptr) return {};
    const result<source> opened = open_member(bytes_, *member, options_.inflate, options_.memory);
    if (!opened) return opened.error();
    const std::string_view order = text_at(opened->data(), static_cast<std::size_t>(opened->size_bytes()));
    into_.is_big_endian = order == "big";
    return order == "big" || order == "little" ? result<void>() : error(errc::malformed, "byteorder");
  }

  // ---- pickles one behind the other ----

  result<void> read_legacy() {
    std::size_t at = 0;
    const auto next = [&](pickle& into) -> result<void> {
      if (auto done = run_pickle(into, from(at)); !done) {
        const std::uint64_t offset = done.error().offset_bytes();
        return offset == error::no_offset ? done : error(done.error().code(), done.error().subject(), at + offset);
      }
      at += into.size_bytes();
      return {};
    };
    pickle magic(options_.memory), version(options_.memory), system(options_.memory), keys(options_.memory);
    if (auto done = next(magic); !done) return done;
    if (!is_legacy_magic(magic)) return error(errc::unknown_format, "a pickle that torch.save did not write");
    if (auto done = next(version); !done) return done;
    const pickle_value& number = version[version.root()];
    if (number.kind != pickle_kind::integer || number.integer != 1001) return error(errc::newer_format, "protocol");
    if (auto done = next(system); !done) return done;
    if (auto done = read_system(system); !done) return done;
    if (auto done = next(into_.object); !done) return done;
    if (auto done = next(keys); !done) return done;
    if (keys[keys.root()].kind != pickle_kind::list) return bad("the keys of storages");
    result<std::vector<stated_storage>> stated = stated_storages();
    if (!stated) return stated.error();
    for (pickle::walk each(keys, keys[keys.root()]); each.next();) {
      std::string key;
      if (!pytorch_values(keys).read_key(each.value(), key)) return bad("the keys of storages");
      const auto found = std::lower_bound(stated->begin(), stated->end(), key, before);
      if (found == stated->end() || found->key != key) return error(errc::malformed, "a storage without a class");
      if (auto read = read_elements(at, std::move(key), *found); !read) return read;
    }
    return {};
  }

  /// Reads the dict with the order of bytes.
  result<void> read_system(const pickle& of) {
    if (of[of.root()].kind != pickle_kind::dict) return bad("system information");
    const pytorch_values facts(of);
    for (pickle::walk each(of, of[of.root()]); each.next();) {
      if (facts.is_text(each.key(), "little_endian")) into_.is_big_endian = !facts.is_true(each.value());
    }
    return {};
  }

  /// A storage as the persistent ids of the object describe it.
  struct stated_storage {
    std::string key;
    std::uint64_t item_size_bytes, size_bytes;
  };
  static bool before(const stated_storage& a, const std::string& key) noexcept { return a.key < key; }

  result<std::vector<stated_storage>> stated_storages() {
    std::vector<stated_storage> made;
    pytorch_values values(into_.object);
    pytorch_tensor read;
    for (pickle_ref number = 0; number < into_.object.value_count(); ++number) {
      if (into_.object[number].kind != pickle_kind::persistent) continue;
      const result<const pytorch_type*> type = values.read_storage(number, read);
      if (!type) return type.error();
      if (*type != nullptr) made.push_back({read.key, (*type)->size_bytes, read.storage_size_bytes});
    }
    std::sort(made.begin(), made.end(), [](const stated_storage& a, const stated_storage& b) { return a.key < b.key; });
    for (std::size_t i = 1; i < made.size(); ++i) {
      if (made[i].key == made[i - 1].key &&
          (made[i].size_bytes != made[i - 1].size_bytes || made[i].item_size_bytes != made[i - 1].item_size_bytes))
        return error(errc::bad_size, made[i].key);
    }
    return made;
  }

  /// Adds the storage whose count of elements is at `at`, and goes behind its elements.
  result<void> read_elements(std::size_t& at, std::string key, const stated_storage& stated) {
    byte_cursor in(from(at));
    const std::uint64_t count = in.take_u64(); // little-endian, whatever the elements are
    std::uint64_t size = 0;
    if (!in.is_good()) return error(errc::truncated, key, at);
    if (!checked_multiply(count, stated.item_size_bytes, size) || size != stated.size_bytes)
      return error(errc::bad_size, key, at);
    at += sizeof count;
    if (size > in.left()) return error(errc::truncated, key, at);
    pytorch_storage storage;
    storage.key = std::move(key);
    storage.part = part_;
    storage.offset_bytes = begin_ + at;
    storage.size_bytes = size;
    into_.storages.add(std::move(storage));
    at += static_cast<std::size_t>(size);
    return {};
  }

  // ---- a tar archive ----

  /// The bytes of a file in the archive; nowhere if it is missing or damaged.
  [[nodiscard]] byte_cursor find_file(std::string_view name) const noexcept {
    constexpr std::size_t block = 512;
    for (std::size_t at = 0; at + block <= bytes_.size();) {
      const std::string_view header = text_at(bytes_.data() + at, block);
      std::string_view own = header.substr(0, 100);
      own = own.substr(0, own.find('\0'));
      if (own.starts_with("./")) own.remove_prefix(2);
      std::uint64_t size = 0;
      for (const char c : header.substr(124, 11)) {
        if (c >= '0' && c <= '7') size = size << 3 | static_cast<std::uint64_t>(c - '0');
      }
      if (size > bytes_.size() - at - block) break;
      const auto length = static_cast<std::size_t>(size);
      if (own == name) return byte_cursor(bytes_.subspan(at + block, length));
      const std::size_t blocks = length / block + (length % block != 0 ? 1 : 0);
      if (blocks > (bytes_.size() - at - block) / block) break;
      at += block + blocks * block;
    }
    byte_cursor nowhere;
    nowhere.fail();
    return nowhere;
  }
  [[nodiscard]] std::size_t place_of(const byte_cursor& in) const noexcept {
    return static_cast<std::size_t>(in.rest().data() - bytes_.data());
  }
  /// Reads the pickle at the cursor, and goes behind it.
  static result<void> next(byte_cursor& in, pickle& into) noexcept {
    if (!in.is_good()) return error(errc::truncated, "tar");
    if (auto done = run_pickle(into, in.rest()); !done) return done;
    in.skip(into.size_bytes());
    return {};
  }
  result<std::uint64_t> next_count(byte_cursor& in) const {
    pickle made(options_.memory);
    if (auto done = next(in, made); !done) return done.error();
    std::uint64_t count = 0;
    if (!pytorch_values(made).read_count(made.root(), count)) return bad("a count");
    return count;
  }

  /// A storage of a tar archive.
  struct tar_storage {
    const pytorch_type* type = nullptr;
    /// The key of the storage that has the bytes, and the range in it.
    std::string whole;
    std::uint64_t begin_bytes = 0, size_bytes = 0, whole_size_bytes = 0;
  };

  result<void> read_tar() {
    into_.is_tar = true;
    if (const byte_cursor facts = find_file("sys_info"); facts.is_good()) {
      pickle system(options_.memory);
      if (auto done = run_pickle(system, facts.rest()); !done) return done;
      if (auto done = read_system(system); !done) return done;
    }
    std::map<std::string, tar_storage> storages;
    if (auto read = read_tar_storages(storages); !read) return read;
    if (auto read = read_tar_tensors(storages); !read) return read;
    byte_cursor object = find_file("pickle");
    if (!object.is_good()) return error(errc::truncated, "pickle");
    return run_pickle(into_.object, object.rest());
  }

  result<void> read_tar_storages(std::map<std::string, tar_storage>& into) {
    byte_cursor in = find_file("storages");
    const result<std::uint64_t> count = next_count(in);
    if (!count) return count.error().subject() == "tar" ? error(errc::truncated, "storages") : count.error();
    for (std::uint64_t i = 0; i < *count; ++i) {
      pickle made(options_.memory);
      if (auto done = next(in, made); !done) return done;
      const pytorch_values values(made);
      std::string key;
      const pickle_ref of = values.argument(made.root(), 2);
      if (!values.read_key(values.argument(made.root(), 0), key) || of == no_pickle_value ||
          made[of].kind != pickle_kind::global)
        return bad("a storage");
      const pytorch_type* const type = pytorch_storage_of(made[of].id);
      if (type == nullptr) return error_about(errc::unknown_dtype, made.module_of(made[of]), made.name_of(made[of]));
      std::size_t at = place_of(in);
      const std::uint64_t elements = in.take_u64();
      std::uint64_t size = 0;
      if (!in.is_good() || !checked_multiply(elements, std::uint64_t{type->size_bytes}, size) || size > in.left())
        return error(errc::truncated, key, at);
      if (auto read = read_elements(at, key, {key, type->size_bytes, size}); !read) return read;
      in.skip(size);
      if (!into.emplace(key, tar_storage{type, key, 0, size, size}).second) return error(errc::duplicate_name, key);
    }
    if (in.left() == 0) return {};
    pickle views(options_.memory);
    if (auto done = next(in, views); !done) return done;
    if (views[views.root()].kind != pickle_kind::list) return bad("the views of storages");
    const pytorch_values values(views);
    for (pickle::walk each(views, views[views.root()]); each.next();) {
      std::string key, whole;
      std::uint64_t begin = 0, elements = 0;
      if (!values.read_key(values.argument(each.value(), 0), key) ||
          !values.read_key(values.argument(each.value(), 1), whole) ||
          !values.read_count(values.argument(each.value(), 2), begin) ||
          !values.read_count(values.argument(each.value(), 3), elements))
        return bad("the views of storages");
      const auto found = into.find(whole);
      if (found == into.end()) return error(errc::malformed, whole);
      tar_storage view = found->second;
      if (!checked_multiply(begin, std::uint64_t{view.type->size_bytes}, begin) ||
          !checked_multiply(elements, std::uint64_t{view.type->size_bytes}, elements) ||
          !range_fits(begin, elements, view.size_bytes))
        return error(errc::bad_offset, key);
      view.begin_bytes += begin;
      view.size_bytes = elements;
      if (!into.emplace(key, view).second) return error(errc::duplicate_name, key);
    }
    return {};
  }

  result<void> read_tar_tensors(const std::map<std::string, tar_storage>& storages) {
    byte_cursor in = find_file("tensors");
    if (!in.is_good()) return {}; // the pickle has them
    const result<std::uint64_t> count = next_count(in);
    if (!count) return count.error();
    for (std::uint64_t i = 0; i < *count; ++i) {
      pickle made(options_.memory);
      if (auto done = next(in, made); !done) return done;
      const pytorch_values values(made);
      std::string key, storage;
      if (!values.read_key(values.argument(made.root(), 0), key) ||
          !values.read_key(values.argument(made.root(), 1), storage))
        return bad("a tensor");
      const auto found = storages.find(storage);
      if (found == storages.end()) return error(errc::malformed, storage);
      pytorch_tensor tensor;
      tensor.key = found->second.whole;
      tensor.type = found->second.type == &pytorch_bytes ? &pytorch_types[8] : found->second.type;
      tensor.storage_size_bytes = found->second.whole_size_bytes;
      tensor.begin_bytes = found->second.begin_bytes;
      tensor.end_bytes = found->second.begin_bytes + found->second.size_bytes;
      const std::uint32_t rank = in.take_u32();
      in.skip(4);
      if (!in.is_good()) return error(errc::truncated, key);
      if (rank > max_rank) return error(errc::bad_shape, key);
      for (std::vector<std::uint64_t>* const numbers : {&tensor.shape, &tensor.strides}) {
        for (std::uint32_t axis = 0; axis < rank; ++axis) numbers->push_back(in.take_u64());
      }
      tensor.offset = in.take_u64();
      if (!in.is_good()) return error(errc::truncated, key);
      if (!measure(tensor)) return error(errc::bad_shape, key);
      if (!into_.tensors.emplace(key, std::move(tensor)).second) return error(errc::duplicate_name, key);
    }
    return {};
  }

  pytorch_content& into_;
  std::span<const std::byte> bytes_;
  std::uint32_t part_;
  std::uint64_t begin_;
  const open_options& options_;
  std::optional<std::vector<zip_member>> members_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
