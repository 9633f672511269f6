// SPDX-License-Identifier: MIT
// A store: an index and the bytes it speaks of. Find tensors, iterate over them, verify them, keep them in memory.
#ifndef STET_STORE_STORE_HPP
#define STET_STORE_STORE_HPP

#include "tensor.hpp"

#include "../source/source.hpp"
#include "../vocabulary/detail/move_assign.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// The sources of a store's parts: an array in memory of its own, none for a store of one file.
class part_sources {
public:
  part_sources() noexcept = default;
  part_sources(part_sources&& other) noexcept : block_(std::move(other.block_)), count_(other.count_) {
    other.count_ = 0;
  }
  part_sources& operator=(part_sources&& other) noexcept {
    block_ = std::move(other.block_);
    count_ = other.count_;
    other.count_ = 0;
    return *this;
  }

  /// `count` empty sources, from `memory` or the heap. @retval errc::out_of_memory
  static result<part_sources> allocate(std::uint32_t count, memory_resource* memory = nullptr) noexcept {
    part_sources made;
    if (count == 0) return made;
    if (count * std::uint64_t{sizeof(source)} > PTRDIFF_MAX) return errc::out_of_memory;
    made.block_ = detail::owned_block::make<source>(count, memory);
    if (made.block_.get() == nullptr) return errc::out_of_memory;
    made.count_ = count;
    return made;
  }

  /// The number of sources.
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  /// The source of part number `part` < count().
  [[nodiscard]] source& operator[](std::uint32_t part) noexcept { return static_cast<source*>(block_.get())[part]; }
  /// The source of part number `part` < count().
  [[nodiscard]] const source& operator[](std::uint32_t part) const noexcept {
    return static_cast<const source*>(block_.get())[part];
  }

private:
  detail::owned_block block_;
  std::uint32_t count_ = 0;
};

namespace detail {

/// The bytes of a tensor, and of the `readable_bytes_behind` it those that fill its last page.
inline result<std::span<const std::byte>> whole_pages(const tensor& of, std::uint64_t readable_bytes_behind,
                                                      std::size_t page_size_bytes) noexcept {
  STET_ASSERT(is_power_of_two(page_size_bytes));
  const std::span<const std::byte> bytes = of.bytes();
  if (of.size_bytes() == 0) return bytes;
  if (bytes.data() == nullptr) return error(errc::not_resident, of.name());
  if (!is_aligned(bytes.data(), page_size_bytes)) return error(errc::misaligned, of.name());
  const std::size_t missing_bytes = (0 - bytes.size()) & (page_size_bytes - 1);
  if (missing_bytes > readable_bytes_behind) return error(errc::unpadded, of.name());
  return bytes_at(bytes.data(), bytes.size() + missing_bytes);
}

} // namespace detail

/// A tensor whose bytes were brought into memory for it alone; they go with this object, unless they were in memory anyway.
/// Valid while the store is open. Move-only; views stay valid when it is moved.
class loaded_tensor {
public:
  /// A `result` of this type gives no access to its value where it is a temporary.
  using owns_views = void;
  /// A tensor like `of`, whose bytes are `bytes`.
  loaded_tensor(source&& bytes, const tensor& of, std::uint64_t readable_bytes_behind) noexcept
      : bytes_(std::move(bytes)), of_(of), readable_bytes_behind_(readable_bytes_behind) {}
  /// The tensor; it lives as long as this object.
  [[nodiscard]] const tensor& operator*() const noexcept { return of_; }
  /// The same, for `->`.
  [[nodiscard]] const tensor* operator->() const noexcept { return &of_; }
  /// How many bytes behind those of the tensor may be read, at least, whatever they are.
  [[nodiscard]] std::uint64_t readable_bytes_behind() const noexcept { return readable_bytes_behind_; }
  /// As `store::whole_pages`.
  [[nodiscard]] result<std::span<const std::byte>> whole_pages(std::size_t page_size_bytes) const noexcept {
    return detail::whole_pages(of_, readable_bytes_behind_, page_size_bytes);
  }

private:
  source bytes_;
  tensor of_;
  std::uint64_t readable_bytes_behind_;
};

/// An open store. `stet::open` makes one from a native file; formats make one from theirs. Move-only; tensors and views
/// stay valid when it is moved, and end with it; a store that was moved from has no tensors. Threads: const members may be
/// called from several at once.
class store {
public:
  /// A `result` of this type gives no access to its value where it is a temporary.
  using owns_views = void;
  /// What a store is made of. Whoever fills it in has checked that every tensor of `index` lies within its source.
  struct contents {
    /// Owns the bytes of the index and the manifest, unless `data` does.
    source table;
    /// The table of tensors, in `table` or `data`.
    tensor_index index;
    /// The JSON text, if there is one; it lives in `table` or `data`.
    std::string_view manifest;
    /// The store's own file, where tensors lie when there are no parts.
    source data;
    /// The files with the tensors of a store that has parts.
    part_sources parts;
    /// The power of two that every tensor's offset is a multiple of.
    std::uint32_t alignment_bytes = 1;
  };

  /// A store without tensors.
  store() noexcept = default;
  /// A store of `made`.
  explicit store(contents&& made) noexcept : contents_(std::move(made)) {}
  /// Afterwards `other` has no tensors.
  store(store&& other) noexcept : contents_(std::move(other.contents_)) {
    other.contents_.index = {};
    other.contents_.manifest = {};
  }
  store& operator=(store&& other) noexcept { return detail::move_assign(*this, other); }

  /// The number of tensors.
  [[nodiscard]] std::uint32_t tensor_count() const noexcept { return contents_.index.tensor_count(); }
  /// Every tensor begins at a multiple of this in its file.
  [[nodiscard]] std::uint32_t alignment_bytes() const noexcept { return contents_.alignment_bytes; }
  /// The checked table of tensors.
  [[nodiscard]] const tensor_index& index() const noexcept { return contents_.index; }
  /// The manifest as it stands in the file, UTF-8 JSON (its checksum was compared at open, its text not parsed); empty
  /// if the format has none. Lives as long as the store.
  [[nodiscard]] std::string_view manifest_text() const noexcept { return contents_.manifest; }
  /// The bytes of the store's own file.
  [[nodiscard]] const source& data() const noexcept { return contents_.data; }
  /// The bytes of part `number` < index().part_count().
  [[nodiscard]] const source& part(std::uint32_t number) const noexcept { return contents_.parts[number]; }

  /// The bytes of file `number` of those that hold tensors (`index_entry::part`): that part, or number 0 of a store without parts, its own
  /// file.
  [[nodiscard]] const source& tensor_file(std::uint32_t number) const noexcept {
    return contents_.index.part_count() == 0 ? contents_.data : contents_.parts[number];
  }

  /// The tensor called `name`, compared bytewise.
  /// @retval errc::not_found  no tensor has this name
  /// Cost: constant, no allocation; reads nothing of the tensor.
  [[nodiscard]] result<tensor> find(std::string_view name) const noexcept {
    const index_entry entry = contents_.index.find(name);
    if (!entry) return error(errc::not_found, name);
    return at(entry);
  }
  /// Whether a tensor is called `name`.
  [[nodiscard]] bool contains(std::string_view name) const noexcept {
    return static_cast<bool>(contents_.index.find(name));
  }

  /// The elements of the tensor called `name`, in place. Errors and cost: those of `find` and `tensor::as`.
  template <element T> [[nodiscard]] result<std::span<const T>> get(std::string_view name) const noexcept {
    const result<tensor> found = find(name);
    if (!found) return found.error();
    return found->as<T>();
  }

  /// The tensor called `name` in place, with its extents: `view<float, 784, 10>("dense/kernel")`, or
  /// `view<float, dynamic_rank>(name)` for any number of them.
  /// Errors and cost: those of `find` and `tensor::as_view`.
  template <class T, std::size_t... Extents>
    requires element<T>
  [[nodiscard]] result<stet::view<const T, Extents...>> view(std::string_view name) const noexcept {
    static_assert(sizeof...(Extents) != 0, "view<T, extents...> wants an extent for each dimension, a number or "
                                           "stet::dynamic, or stet::dynamic_rank alone "
                                           "for any rank; find(name)->as_view<T>() is the view of a scalar");
    const result<tensor> found = find(name);
    if (!found) return found.error();
    return found->as_view<const T, Extents...>();
  }

  /// The tensor called `name` with its bytes in memory, as `as` and `as_view` want them: of a store that is streamed, it maps
  /// the pages of this tensor alone, or reads them through the program's reader. So a file larger than the address space is used.
  /// @param memory            where bytes that are read go; nullptr: on the heap
  /// @param bytes_behind      how many bytes behind those of the tensor are to be readable: libraries that compute read beyond their
  ///                          arrays. Where there are fewer, the tensor is copied, for reading only
  /// @retval errc::not_found  no tensor has this name; or the errors of `source::load`
  /// Cost: nothing where the bytes are in memory, with enough behind them; else one system call, or reading them.
  [[nodiscard]] result<loaded_tensor> load(std::string_view name, memory_resource* memory = nullptr,
                                           std::uint32_t bytes_behind = 0) const noexcept {
    const index_entry entry = contents_.index.find(name);
    if (!entry) return error(errc::not_found, name);
    const source& from = source_of(entry);
    const std::uint64_t size = entry.size_bytes(), in_file = from.size_bytes() - entry.offset_bytes() - size;
    const std::uint64_t wanted_in_file = in_file < bytes_behind ? in_file : bytes_behind;
    result<source> bytes = from.load({entry.offset_bytes(), size + wanted_in_file}, memory);
    if (!bytes) return bytes.error().about(name);
    std::uint64_t behind =
        (from.fetcher() == nullptr ? readable_bytes_behind(entry) : bytes->readable_size_bytes() - size);
    if (behind < bytes_behind) {
      behind = bytes_behind;
      bytes = copy_padded({bytes->data(), static_cast<std::size_t>(size)}, bytes_behind, memory);
      if (!bytes) return bytes.error().about(name);
    }
    const tensor of(contents_.index, entry, bytes->data(), bytes->is_writable(), nullptr);
    return loaded_tensor(std::move(*bytes), of, behind);
  }

  /// How many bytes behind those of a tensor of this store may be read, at least: what follows in its file or in the memory that was
  /// opened, and in the last page of a mapping. What they are does not matter to who reads them, and may change. 0 if the bytes are
  /// not in memory. A file that stet saved has at least `tail_padding_bytes` behind each tensor.
  [[nodiscard]] std::uint64_t readable_bytes_behind(const tensor& of) const noexcept {
    return readable_bytes_behind(of.entry());
  }

  /// The bytes of a tensor of this store and what follows them up to a multiple of the page size: address and size as interfaces want
  /// them that import memory into a device in place. In a file that was saved with `store_layout::accelerator` the large tensors have
  /// such pages, and nothing but zeros is behind them; in others another tensor may be.
  /// @param page_size_bytes  what the interface asks for: a power of two
  /// @retval errc::not_resident  the bytes are not in memory
  /// @retval errc::misaligned    they do not begin with a page
  /// @retval errc::unpadded      the rest of the last page is not readable
  /// Lifetime: that of the store. Cost: a few comparisons.
  [[nodiscard]] result<std::span<const std::byte>> whole_pages(const tensor& of,
                                                               std::size_t page_size_bytes) const noexcept {
    return detail::whole_pages(of, readable_bytes_behind(of), page_size_bytes);
  }

  /// Iterates over the tensors in manifest order.
  class iterator {
  public:
    using value_type = tensor;
    using difference_type = std::ptrdiff_t;
    iterator() noexcept = default;
    tensor operator*() const noexcept { return store_->at(*entry_); }
    iterator& operator++() noexcept { return ++entry_, *this; }
    iterator operator++(int) noexcept {
      iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const iterator& a, const iterator& b) noexcept { return a.entry_ == b.entry_; }

  private:
    friend class store;
    iterator(const store& of, tensor_index::iterator entry) noexcept : store_(&of), entry_(entry) {}
    const store* store_ = nullptr;
    tensor_index::iterator entry_;
  };
  /// The first tensor, in manifest order.
  [[nodiscard]] iterator begin() const noexcept { return {*this, contents_.index.begin()}; }
  /// The end of the tensors.
  [[nodiscard]] iterator end() const noexcept { return {*this, contents_.index.end()}; }

  /// The tensor that `entry` of this store's index names.
  [[nodiscard]] tensor at(index_entry entry) const noexcept {
    const source& from = source_of(entry);
    const std::byte* data = from.data();
    if (data != nullptr && entry.size_bytes() != 0) data += static_cast<std::size_t>(entry.offset_bytes());
    return {contents_.index, entry, data, from.is_writable(), from.fetcher()};
  }

  /// The tensor that `alias` shares its bytes with.
  /// @retval errc::not_found  it is no alias
  [[nodiscard]] result<tensor> original_of(const tensor& alias) const noexcept {
    const index_entry entry = contents_.index.original_of(alias.entry());
    if (!entry) return error(errc::not_found, alias.name());
    return at(entry);
  }

  /// Compares every tensor that has a checksum with it, one after the other. verify.hpp checks the rest of a file, too.
  /// @retval errc::checksum_mismatch  the first tensor found damaged is the subject; or an error of a reader
  /// Cost: reads every byte, allocates nothing.
  [[nodiscard]] result<void> verify_checksums() const noexcept {
    for (const tensor each : *this) {
      if (!each.entry().has_crc32c() || contents_.index.original_of(each.entry())) continue;
      if (auto verified = each.verify_checksum(); !verified) return verified;
    }
    return {};
  }

  // Residency. Each call is a hint or a request to the operating system about the pages of a mapping, and does nothing
  // where the bytes are in ordinary memory. Errors: those of `source`, and errc::not_found for a name.

  /// Starts reading tensors ahead of use: all of them, or those named.
  result<void> prefetch() const noexcept { return for_all(&source::prefetch); }
  /// The same for the tensors called `names`.
  result<void> prefetch(std::span<const std::string_view> names) const noexcept {
    return for_each(names, &source::prefetch);
  }
  /// Takes tensors out of memory until they are next used.
  result<void> evict() const noexcept { return for_all(&source::evict); }
  /// The same for the tensors called `names`.
  result<void> evict(std::span<const std::string_view> names) const noexcept { return for_each(names, &source::evict); }
  /// Keeps tensors in memory until `unlock`.
  result<void> lock() const noexcept { return for_all(&source::lock); }
  /// The same for the tensors called `names`.
  result<void> lock(std::span<const std::string_view> names) const noexcept { return for_each(names, &source::lock); }
  /// Ends what `lock` began.
  result<void> unlock() const noexcept { return for_all(&source::unlock); }
  /// The same for the tensors called `names`.
  result<void> unlock(std::span<const std::string_view> names) const noexcept {
    return for_each(names, &source::unlock);
  }

private:
  using residency_call = result<void> (source::*)(std::uint64_t, std::uint64_t) const noexcept;

  [[nodiscard]] const source& source_of(index_entry entry) const noexcept { return tensor_file(entry.part()); }

  [[nodiscard]] std::uint64_t readable_bytes_behind(index_entry entry) const noexcept {
    const source& from = source_of(entry);
    return from.fetcher() != nullptr ? 0 : from.readable_size_bytes() - entry.offset_bytes() - entry.size_bytes();
  }
  /// Bytes in memory of their own, with zeros behind them.
  static result<source> copy_padded(std::span<const std::byte> bytes, std::uint32_t padding_bytes,
                                    memory_resource* memory) noexcept {
    result<source> made = source::allocate(std::uint64_t{bytes.size()} + padding_bytes, memory);
    if (!made) return made;
    std::byte* const at = made->writable_data();
    if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
    std::memset(at + bytes.size(), 0, padding_bytes);
    made->make_read_only();
    return made;
  }

  result<void> for_all(residency_call call) const noexcept {
    if (auto done = (contents_.data.*call)(0, contents_.data.size_bytes()); !done) return done;
    for (std::uint32_t i = 0; i < contents_.parts.count(); ++i) {
      if (auto done = (contents_.parts[i].*call)(0, contents_.parts[i].size_bytes()); !done) return done;
    }
    return {};
  }
  result<void> for_each(const std::span<const std::string_view>& names, residency_call call) const noexcept {
    for (std::size_t i = 0; i < names.size(); ++i) { // iterators of a span cost each includer more than this loop
      const std::string_view name = names[i];
      const index_entry entry = contents_.index.find(name);
      if (!entry) return error(errc::not_found, name);
      if (auto done = (source_of(entry).*call)(entry.offset_bytes(), entry.size_bytes()); !done)
        return done.error().about(name);
    }
    return {};
  }

  contents contents_;
};

} // namespace stet::inline STET_NAMESPACE

#endif
