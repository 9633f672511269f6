// SPDX-License-Identifier: MIT
// The table of tensors: checked once (by check.hpp), then looked up without further checks.
#ifndef STET_INDEX_INDEX_HPP
#define STET_INDEX_INDEX_HPP

#include "detail/layout.hpp"

namespace stet::inline STET_NAMESPACE {

namespace detail {
class index_checker;
} // namespace detail

/// An entry of an index: one tensor. Views the bytes of the index and is valid as long as they are. Each call is a load.
class index_entry {
public:
  /// An entry that refers to no tensor.
  constexpr index_entry() noexcept = default;
  /// True if the entry refers to a tensor.
  [[nodiscard]] constexpr explicit operator bool() const noexcept { return at_ != nullptr; }

  /// The offset of the tensor's bytes in its file.
  [[nodiscard]] std::uint64_t offset_bytes() const noexcept { return load(detail::entry_field::offset); }
  /// The size of the tensor's bytes.
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return load(detail::entry_field::size); }
  /// The number of elements.
  [[nodiscard]] std::uint64_t element_count() const noexcept { return load(detail::entry_field::element_count); }
  /// The checksum of the tensor's bytes; 0 if there is none.
  [[nodiscard]] std::uint32_t crc32c() const noexcept { return load(detail::entry_field::crc32c); }
  /// True if the entry has a CRC-32C of the tensor's bytes.
  [[nodiscard]] bool has_crc32c() const noexcept { return (flags() & detail::index_layout::has_crc32c) != 0; }
  /// True if the elements are stored most significant byte first.
  [[nodiscard]] bool is_big_endian() const noexcept { return (flags() & detail::index_layout::big_endian) != 0; }
  /// The number of the file that holds the tensor.
  [[nodiscard]] std::uint32_t part() const noexcept { return load(detail::entry_field::part); }
  /// The number of the tensor in manifest order.
  [[nodiscard]] std::uint32_t number() const noexcept { return load(detail::entry_field::number); }
  /// The dtype of the elements.
  [[nodiscard]] stet::dtype dtype() const noexcept {
    return static_cast<stet::dtype>(load(detail::entry_field::dtype));
  }
  /// Stored bits of an element; 0 for strings and blocks.
  [[nodiscard]] std::uint8_t bits() const noexcept { return load(detail::entry_field::bits); }
  /// The extents, outermost first.
  [[nodiscard]] stet::shape shape() const noexcept {
    return {at_ + detail::index_layout::entry_size, load(detail::entry_field::rank)};
  }
  /// The name, UTF-8.
  [[nodiscard]] std::string_view name() const noexcept {
    const std::size_t rank = load(detail::entry_field::rank);
    return detail::text_at(at_ + detail::index_layout::entry_size + rank * 8, load(detail::entry_field::name_size));
  }
  friend constexpr bool operator==(index_entry, index_entry) noexcept = default;

private:
  friend class tensor_index;
  friend class detail::index_checker;
  constexpr explicit index_entry(const std::byte* at) noexcept : at_(at) {}
  template <class Unsigned> [[nodiscard]] Unsigned load(detail::stored_field<Unsigned> field) const noexcept {
    return field.load(at_);
  }
  [[nodiscard]] std::uint8_t flags() const noexcept { return load(detail::entry_field::flags); }
  [[nodiscard]] const std::byte* next() const noexcept {
    return at_ +
           detail::index_layout::size_of_entry(load(detail::entry_field::rank), load(detail::entry_field::name_size));
  }

  const std::byte* at_ = nullptr;
};

/// A checked index over borrowed bytes, made by `check_index`. Trivially copyable. Each call is a table look-up that
/// allocates nothing and is safe from several threads. The bytes must not change while the index is used.
class tensor_index {
public:
  /// An index without tensors.
  constexpr tensor_index() noexcept = default;

  /// The number of tensors.
  [[nodiscard]] std::uint32_t tensor_count() const noexcept { return layout_.tensor_count; }
  /// The number of files that hold tensors; 0 when they lie in the store's own file.
  [[nodiscard]] std::uint32_t part_count() const noexcept { return layout_.part_count; }
  /// The bytes of the index.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return detail::bytes_at(base_, static_cast<std::size_t>(layout_.size_bytes));
  }

  /// The tensor called `name` (compared bytewise); an empty entry if there is none. Cost: constant.
  [[nodiscard]] index_entry find(std::string_view name) const noexcept {
    if (base_ == nullptr) return {};
    const std::byte* const slot = detail::find_slot(base_, layout_, name);
    return slot == nullptr ? index_entry() : entry_of(slot);
  }

  /// Iterates over the tensors in manifest order.
  class iterator {
  public:
    using value_type = index_entry;
    using difference_type = std::ptrdiff_t;
    constexpr iterator() noexcept = default;
    index_entry operator*() const noexcept { return entry_; }
    iterator& operator++() noexcept { return entry_ = index_entry(entry_.next()), *this; }
    iterator operator++(int) noexcept {
      iterator before = *this;
      ++*this;
      return before;
    }
    friend constexpr bool operator==(iterator, iterator) noexcept = default;

  private:
    friend class tensor_index;
    constexpr explicit iterator(index_entry entry) noexcept : entry_(entry) {}
    index_entry entry_;
  };
  /// The first tensor.
  [[nodiscard]] iterator begin() const noexcept { return iterator(index_entry(base_ + layout_.entries)); }
  /// The iterator at `entry`, which is not empty.
  [[nodiscard]] static iterator iterator_at(index_entry entry) noexcept { return iterator(entry); }
  /// The end of the tensors.
  [[nodiscard]] iterator end() const noexcept { return iterator(index_entry(base_ + layout_.names)); }

  /// The tensor whose bytes the alias `entry` shares; an empty entry if `entry` is not an alias.
  [[nodiscard]] index_entry original_of(index_entry entry) const noexcept {
    const std::uint32_t slot = entry.load(detail::entry_field::alias_of);
    return slot == 0 ? index_entry() : entry_of(slot_at(slot - 1));
  }

  /// The layout of the elements of `entry`; the name of a block type lives as long as the bytes.
  [[nodiscard]] element_layout layout(index_entry entry) const noexcept {
    element_layout layout{entry.dtype(), entry.bits(), {}};
    if (layout.dtype == dtype::block) {
      const std::byte* const b =
          base_ + layout_.blocks + entry.load(detail::entry_field::block) * detail::index_layout::block_size;
      layout.block = {name_at(b), detail::block_field::element_count.load(b), detail::block_field::size.load(b)};
    }
    return layout;
  }

  /// The part `number` < part_count(); its path lives as long as the bytes.
  [[nodiscard]] index_part part(std::uint32_t number) const noexcept {
    const std::byte* const p = base_ + detail::index_layout::header_size + number * detail::index_layout::part_size;
    return {name_at(p), detail::part_field::file_size.load(p), detail::part_field::content_id.load(p),
            (detail::part_field::flags.load(p) & 1u) != 0};
  }

private:
  [[nodiscard]] const std::byte* slot_at(std::uint32_t number) const noexcept {
    return base_ + layout_.slots + number * detail::index_layout::slot_size;
  }
  [[nodiscard]] index_entry entry_of(const std::byte* slot) const noexcept {
    return index_entry(base_ + detail::slot_field::place.load(slot) * detail::index_layout::unit);
  }
  [[nodiscard]] std::string_view name_at(const std::byte* reference) const noexcept {
    return detail::text_at(base_ + layout_.names + detail::name_field::offset.load(reference),
                           detail::name_field::size.load(reference));
  }

  const std::byte* base_ = nullptr;
  detail::index_layout layout_;

  friend class detail::index_checker;
};

} // namespace stet::inline STET_NAMESPACE

#endif
