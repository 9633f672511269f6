// SPDX-License-Identifier: MIT
// The tensors a store is to be written from, and where each will lie.
#ifndef STET_WRITER_TENSORS_HPP
#define STET_WRITER_TENSORS_HPP

#include "../index/detail/builder.hpp"
#include "../manifest/manifest.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// Takes the bytes of one tensor piece by piece, in order.
class piece_sink {
public:
  /// Takes the next piece, of any size; it need not outlive the call.
  /// @retval errc::source_too_long  with it the tensor has more bytes than it was added with; or an error of writing,
  ///                                which the source is to pass on
  virtual result<void> write(std::span<const std::byte> piece) = 0;

  /// The best size of the next piece, at most 256 KiB, which the second-level cache holds. A source that reads its bytes in
  /// memory, as for a checksum, should write pieces of this size, which are not copied.
  [[nodiscard]] virtual std::size_t best_piece_size_bytes() const noexcept { return 256 * 1024; }

protected:
  ~piece_sink() = default;
};

/// Gives the bytes of a tensor to a sink; called once for each save, by the saving thread.
using piece_source = std::function<result<void>(piece_sink&)>;

namespace detail {

/// The tensors that were added to a writer, kept in few allocations: a model may have a hundred thousand.
class tensor_list {
public:
  /// The origin of the bytes of a tensor: memory of the program, or a source, which may encode elements in memory.
  struct origin {
    /// The bytes in memory: those that are stored, or the elements that the source encodes.
    std::span<const std::byte> bytes;
    /// Number of the source plus one; 0: `bytes` are stored as they are.
    std::uint32_t source = 0;
    /// Number of the tensor of an open store plus one whose bytes the source gives; 0: of none.
    std::uint32_t opened = 0;
  };

  /// Adds a tensor and checks it, without regard to the others.
  /// @retval errc::bad_name   the name is empty, too long, not UTF-8, or holds a NUL
  /// @retval errc::bad_shape  rank or size overflows, or elements do not fill whole blocks
  /// @retval errc::unknown_dtype  the layout is not one a tensor can have
  /// @retval errc::size_mismatch  `size_bytes` differs from the size of layout and shape
  result<void> add(std::string_view name, const element_layout& layout, std::span<const std::uint64_t> shape,
                   std::uint64_t size_bytes, origin from, json_text&& attributes) {
    if (!is_valid_name(name)) return error(errc::bad_name, name);
    if (shape.size() > max_rank) return error(errc::bad_shape, name);
    if (!is_known(layout.dtype)) return error(errc::unknown_dtype, name);
    const std::uint8_t own_bits = describe(layout.dtype).bits;
    const bool is_unpacked = layout.bits == 8 && own_bits < 8 && own_bits != 0;
    if (layout.bits != own_bits && !is_unpacked) return error(errc::unknown_dtype, name);
    const bool is_block = layout.dtype == dtype::block;
    if (is_block && (layout.block.element_count == 0 || layout.block.size_bytes == 0))
      return error(errc::unknown_dtype, name);
    element_counter counter;
    for (const std::uint64_t extent : shape) {
      if (!counter.multiply(extent)) return error(errc::bad_shape, name);
    }
    std::uint64_t expected_bytes = 0;
    if (!checked_size_bytes(counter, layout, expected_bytes)) return error(errc::bad_shape, name);
    const bool fits = layout.dtype == dtype::string ? size_bytes >= expected_bytes : size_bytes == expected_bytes;
    if (!fits) return error(errc::size_mismatch, name);
    if (is_block && !is_valid_name(layout.block.name)) return error(errc::bad_name, layout.block.name);
    if (!range_fits(names_.size(), name.size(), max_pool_size) ||
        !range_fits(shapes_.size(), shape.size(), max_pool_size))
      return errc::too_large;

    const item added{static_cast<std::uint32_t>(names_.size()),
                     static_cast<std::uint32_t>(name.size()),
                     static_cast<std::uint32_t>(shapes_.size()),
                     static_cast<std::uint32_t>(shape.size()),
                     static_cast<std::uint32_t>(own_block(layout)),
                     index_row::not_an_alias,
                     layout.dtype,
                     layout.bits,
                     size_bytes,
                     from};
    names_.append(name);
    for (const std::uint64_t extent : shape) shapes_.push_back(extent);
    items_.push_back(added);
    if (!attributes.empty()) attributes_.push_back({items_.size() - 1, std::move(attributes)});
    return {};
  }

  /// Adds another name for tensor `original`.
  result<void> add_alias(std::string_view name, std::size_t original, json_text&& attributes) {
    const item of = items_[original];
    const std::span<const std::uint64_t> extents = std::span(shapes_).subspan(of.first_extent, of.rank);
    const std::vector<std::uint64_t> shape(extents.begin(), extents.end()); // `add` makes shapes_ grow
    auto added = add(name, layout(of), shape, of.size_bytes, of.from, std::move(attributes));
    if (added)
      items_.back().alias_of =
          of.alias_of == index_row::not_an_alias ? static_cast<std::uint32_t>(original) : of.alias_of;
    return added;
  }

  [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }
  [[nodiscard]] const origin& from(std::size_t number) const noexcept { return items_[number].from; }
  [[nodiscard]] std::string_view name(std::size_t number) const noexcept {
    return std::string_view(names_).substr(items_[number].first_char, items_[number].name_size);
  }
  /// All names, one behind the other.
  [[nodiscard]] std::string_view names() const noexcept { return names_; }
  /// The number of the tensor called `name`, or `size()`. Cost: constant, after one look at each name.
  [[nodiscard]] std::size_t find(std::string_view name) {
    for (; named_count_ < size(); ++named_count_) numbers_.emplace(this->name(named_count_), named_count_);
    const auto found = numbers_.find(std::string(name));
    return found == numbers_.end() ? size() : found->second;
  }

  /// Every tensor as a row of an index, its place still to be decided. The rows view this list.
  [[nodiscard]] std::vector<index_row> rows() const {
    std::vector<index_row> rows;
    rows.reserve(items_.size());
    for (std::size_t number = 0; number < items_.size(); ++number) {
      const item& each = items_[number];
      index_row& row = rows.emplace_back();
      row.name = name(number);
      row.layout = layout(each);
      row.shape = std::span(shapes_).subspan(each.first_extent, each.rank);
      row.size_bytes = each.size_bytes;
      row.has_crc32c = true;
      row.alias_of = each.alias_of;
    }
    return rows;
  }

  /// The further fields of the tensors that have some, by number, ascending.
  struct attributes_of {
    std::size_t number;
    json_text fields;
  };
  [[nodiscard]] const std::vector<attributes_of>& attributes() const noexcept { return attributes_; }

private:
  static constexpr std::size_t max_pool_size = 0xFFFFFFFFu;
  struct item {
    std::uint32_t first_char, name_size, first_extent, rank, block, alias_of;
    stet::dtype dtype;
    std::uint8_t bits;
    std::uint64_t size_bytes;
    origin from;
  };
  struct block {
    std::string name;
    std::uint32_t element_count, size_bytes;
  };

  /// The number of the layout's block type among those seen, plus one; 0 without blocks.
  std::size_t own_block(const element_layout& layout) {
    if (layout.dtype != dtype::block) return 0;
    std::string key(8, '\0');
    store_little(reinterpret_cast<std::byte*>(key.data()),
                 std::uint64_t{layout.block.element_count} << 32 | layout.block.size_bytes);
    const auto [seen, is_new] = block_numbers_.try_emplace(key.append(layout.block.name), blocks_.size() + 1);
    if (is_new)
      blocks_.push_back({std::string(layout.block.name), layout.block.element_count, layout.block.size_bytes});
    return seen->second;
  }
  [[nodiscard]] block_type block_of(std::size_t i) const noexcept {
    return {blocks_[i].name, blocks_[i].element_count, blocks_[i].size_bytes};
  }
  [[nodiscard]] element_layout layout(const item& of) const noexcept {
    return {of.dtype, of.bits, of.block == 0 ? block_type{} : block_of(of.block - 1)};
  }

  std::vector<item> items_;
  std::string names_;
  std::vector<std::uint64_t> shapes_;
  std::vector<block> blocks_;
  std::unordered_map<std::string, std::size_t> block_numbers_; // by the sizes, 8 bytes, and the name
  std::vector<attributes_of> attributes_;
  // The first `named_count_` names; filled only when one is asked for.
  std::unordered_map<std::string, std::size_t> numbers_;
  std::size_t named_count_ = 0;
};

} // namespace detail

} // namespace stet::inline STET_NAMESPACE

#endif
