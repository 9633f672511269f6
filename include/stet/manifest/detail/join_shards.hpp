// SPDX-License-Identifier: MIT
// Makes one store of the shards of a sharded checkpoint.
#ifndef STET_MANIFEST_DETAIL_JOIN_SHARDS_HPP
#define STET_MANIFEST_DETAIL_JOIN_SHARDS_HPP

#include "../shards.hpp"
#include "gathered_path.hpp"
#include "slices.hpp"
#include "table.hpp"

#include "../../index/detail/builder.hpp"
#include "../../store/open.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Where a shard would have parts, which it must not.
class no_parts_of_shard final : public part_opener {
public:
  [[nodiscard]] result<source> open_part(std::string_view name) const noexcept override {
    return error(errc::unsupported, name);
  }
};

/// Joins shards. Used once: `open`, then `finish`.
class shard_join {
public:
  /// @param made  the contents of the head, which become those of the joined store
  shard_join(store::contents& made, memory_resource* memory) noexcept : made_(made), memory_(memory) {}

  /// Opens the shards and compares each with its digest.
  result<void> open(std::span<const shard_reference> listed, const part_opener& opener) {
    const std::size_t count = listed.size();
    sources_.reserve(count);
    shards_.reserve(count);
    made_.alignment_bytes = max_alignment_bytes;
    for (const shard_reference& each : listed) {
      result<source> opened = opener.open_part(each.file_name);
      if (!opened) {
        const bool is_missing = opened.error().code() == errc::file_not_found;
        return is_missing ? error(errc::missing_part, each.file_name) : opened.error().about(each.file_name);
      }
      sources_.push_back(std::move(*opened));
      result<store> shard = open_store(borrow_source(sources_.back()), no_parts_of_shard(), memory_);
      if (!shard) return shard.error().about(each.file_name);
      if (content_digest(*shard) != each.digest) return error(errc::part_mismatch, each.file_name);
      made_.alignment_bytes = (std::min)(made_.alignment_bytes, shard->alignment_bytes());
      parts_.push_back({each.file_name, sources_.back().size_bytes()});
      shards_.push_back(std::move(*shard));
      if (auto taken = take_pieces(); !taken) return taken;
    }
    return {};
  }

  /// Makes the index and the sources of the joined store. @param text  the manifest of the head
  result<void> finish(std::string_view text) {
    if (auto placed = place_tensors(); !placed) return placed;
    if (auto indexed = index_rows(made_, rows_, parts_, text, memory_); !indexed) return indexed;
    result<part_sources> all = part_sources::allocate(made_.index.part_count(), memory_);
    if (!all) return all.error();
    for (std::uint32_t number = 0; number < all->count(); ++number) (*all)[number] = std::move(sources_[number]);
    protect_shared_bytes(made_.index, *all);
    made_.parts = std::move(*all);
    return {};
  }

private:
  static constexpr std::uint32_t no_row = ~std::uint32_t{0};

  /// A tensor of a shard: a piece of a tensor of the checkpoint, or all of it.
  struct piece {
    std::string_view name; // of the tensor of the checkpoint
    index_entry entry;
    const slice_place* place; // nullptr: it is all of the tensor
    std::uint32_t shard;
    std::uint32_t row; // of which it is a part, when that is placed; `no_row` where another shard's counts
  };

  /// Adds the tensors of the last shard. Only a manifest that has slices is parsed.
  result<void> take_pieces() {
    const store& shard = shards_.back();
    const auto number = static_cast<std::uint32_t>(shards_.size() - 1);
    const std::string_view file = parts_.back().path;
    first_pieces_.push_back(pieces_.size());
    if (pieces_.size() + shard.tensor_count() >= no_row) return error(errc::too_large, file);
    pieces_.reserve(pieces_.size() + shard.tensor_count());
    for (const index_entry entry : shard.index()) pieces_.push_back({entry.name(), entry, nullptr, number, no_row});
    if (!may_have_member(shard.manifest_text(), slice_of_key)) return {};
    result<std::vector<shard_piece>> stated = pieces_of(shard);
    if (!stated) return stated.error().subject().empty() ? stated.error().about(file) : stated.error();
    for (std::size_t i = 0; i < stated->size(); ++i) {
      if (!(*stated)[i].place) continue;
      piece& of = pieces_[first_pieces_.back() + i];
      of.place = &places_.emplace_back(std::move(*(*stated)[i].place));
      // The manifest was checked against itself; the extents are those of the index.
      if (!is_within(*of.place, extents_of(of.entry))) return error(errc::bad_slice, of.entry.name());
      of.name = of.place->tensor;
    }
    return {};
  }

  static std::vector<std::uint64_t> extents_of(index_entry entry) {
    const shape of = entry.shape();
    return {of.begin(), of.end()};
  }
  [[nodiscard]] element_layout layout_of(const piece& of) const noexcept {
    return shards_[of.shard].index().layout(of.entry);
  }

  /// Makes a row for each tensor, in the order of their first pieces.
  result<void> place_tensors() {
    // Sorting costs no more for names that were made to collide.
    std::vector<std::uint32_t> by_name(pieces_.size());
    std::iota(by_name.begin(), by_name.end(), 0u);
    std::sort(by_name.begin(), by_name.end(), [&](std::uint32_t a, std::uint32_t b) {
      const int order = pieces_[a].name.compare(pieces_[b].name);
      return order != 0 ? order < 0 : a < b;
    });
    std::vector<std::span<std::uint32_t>> groups;
    for (std::size_t first = 0, end = 0; first < by_name.size(); first = end) {
      while (end < by_name.size() && pieces_[by_name[end]].name == pieces_[by_name[first]].name) ++end;
      groups.push_back(std::span(by_name).subspan(first, end - first));
    }
    std::sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) { return a.front() < b.front(); });
    for (const std::span<std::uint32_t> group : groups) {
      if (auto placed = place(group); !placed) return placed;
    }
    return {};
  }

  /// Makes the row of a tensor. @param group  the numbers of its pieces, ascending
  result<void> place(std::span<std::uint32_t> group) {
    const piece& first = pieces_[group.front()];
    for (const std::uint32_t number : group) {
      const piece& each = pieces_[number];
      if ((each.place == nullptr) != (first.place == nullptr)) return error(errc::duplicate_name, first.name);
      if (!has_same_elements(layout_of(each), layout_of(first))) return error(errc::dtype_mismatch, first.name);
      const bool is_shape_same = first.place != nullptr ? each.place->shape == first.place->shape
                                                        : each.entry.shape().equals(first.entry.shape());
      if (!is_shape_same) return error(errc::shape_mismatch, first.name);
    }
    if (first.place == nullptr) {
      add_row(first, shapes_.emplace_back(extents_of(first.entry)), group.first(1));
      return {};
    }
    return place_slices_of(first, keep_first_of_equals(group));
  }

  static bool has_same_elements(const element_layout& a, const element_layout& b) noexcept {
    return a.dtype == b.dtype && a.bits == b.bits && a.block == b.block;
  }

  /// Sorts pieces by their boxes, and of equal boxes keeps that of the first shard; drops those without elements.
  std::span<std::uint32_t> keep_first_of_equals(std::span<std::uint32_t> group) {
    const auto order = [&](std::uint32_t a, std::uint32_t b) {
      const piece &left = pieces_[a], &right = pieces_[b];
      if (left.place->start != right.place->start) return comes_before(left.place->start, right.place->start) ? -1 : 1;
      const shape extents = left.entry.shape(), others = right.entry.shape();
      if (extents.equals(others)) return 0;
      return std::lexicographical_compare(extents.begin(), extents.end(), others.begin(), others.end()) ? -1 : 1;
    };
    auto end = std::remove_if(group.begin(), group.end(),
                              [&](std::uint32_t number) { return pieces_[number].entry.element_count() == 0; });
    std::sort(group.begin(), end, [&](std::uint32_t a, std::uint32_t b) {
      const int compared = order(a, b);
      return compared != 0 ? compared < 0 : a < b;
    });
    end = std::unique(group.begin(), end, [&](std::uint32_t a, std::uint32_t b) { return order(a, b) == 0; });
    return group.first(static_cast<std::size_t>(end - group.begin()));
  }

  /// Makes the row of a tensor that consists of these pieces, sorted by their first elements.
  result<void> place_slices_of(const piece& first, std::span<const std::uint32_t> chosen) {
    const std::vector<std::uint64_t>& extents = first.place->shape;
    const element_layout layout = layout_of(first);
    if (layout.bits == 0 || layout.bits % 8 != 0) return error(errc::bad_slice, first.name);
    const std::uint64_t element_size = layout.bits / 8u;
    element_counter counter;
    for (const std::uint64_t extent : extents) {
      if (!counter.multiply(extent)) return error(errc::bad_shape, first.name);
    }
    if (counter.element_count() == 0) { // and so no piece has elements
      index_row& row = add_row(first, extents, chosen);
      row.offset_bytes = 0;
      return {};
    }
    std::uint64_t size_bytes = 0;
    if (!checked_size_bytes(counter, layout, size_bytes)) return error(errc::bad_shape, first.name);
    std::vector<tensor_slice> slices;
    slices.reserve(chosen.size());
    for (const std::uint32_t number : chosen) {
      const piece& each = pieces_[number];
      const source& bytes = sources_[each.shard];
      tensor_slice& slice = slices.emplace_back();
      slice.start = each.place->start;
      slice.extents = extents_of(each.entry);
      slice.data = bytes.data();
      slice.fetcher = bytes.fetcher();
      slice.part = each.shard;
      slice.offset_bytes = each.entry.offset_bytes();
      slice.size_bytes = each.entry.size_bytes();
      slice.crc32c = each.entry.crc32c();
      slice.has_crc32c = each.entry.has_crc32c();
    }
    if (!sort_and_cover(extents, slices)) return error(errc::bad_slice, first.name);
    index_row& row = add_row(first, extents, chosen);
    if (row.alias_of != index_row::not_an_alias) return {};
    row.size_bytes = size_bytes;
    row.has_crc32c = false;
    row.crc32c = 0;
    const errc failure = place_slices(row, element_size, std::move(slices), memory_, [&](source&& gathered) {
      parts_.push_back({gathered_path, gathered.size_bytes()});
      sources_.push_back(std::move(gathered));
      return static_cast<std::uint32_t>(parts_.size() - 1);
    });
    return failure == errc{} ? result<void>() : error(failure, first.name);
  }

  /// Adds a row in the place of a piece, or an alias of an earlier row.
  index_row& add_row(const piece& first, const std::vector<std::uint64_t>& extents,
                     std::span<const std::uint32_t> chosen) {
    const auto number = static_cast<std::uint32_t>(rows_.size());
    const std::uint32_t original = original_of(extents, chosen);
    index_row& row = rows_.emplace_back();
    if (original != no_row) {
      row = rows_[original];
      row.alias_of = original;
    } else {
      row = row_of(first.entry, layout_of(first), extents);
      row.part = first.shard;
    }
    row.name = first.name;
    first_chosen_.push_back(chosen_.size());
    chosen_.insert(chosen_.end(), chosen.begin(), chosen.end());
    for (const std::uint32_t each : chosen) pieces_[each].row = number;
    return row;
  }

  /// The row whose pieces these are aliases of, each of one and in the same place; `no_row` if there is none.
  [[nodiscard]] std::uint32_t original_of(const std::vector<std::uint64_t>& extents,
                                          std::span<const std::uint32_t> chosen) const {
    if (chosen.empty()) return no_row;
    const auto original_piece = [&](std::uint32_t alias) -> const piece* {
      const piece& of = pieces_[alias];
      const index_entry entry = shards_[of.shard].index().original_of(of.entry);
      return entry ? &pieces_[first_pieces_[of.shard] + entry.number()] : nullptr;
    };
    const piece* const first = original_piece(chosen.front());
    const std::uint32_t row = first == nullptr ? no_row : first->row;
    if (row == no_row) return no_row;
    const std::size_t begin = first_chosen_[row],
                      end = row + 1 < first_chosen_.size() ? first_chosen_[row + 1] : chosen_.size();
    if (end - begin != chosen.size() ||
        !std::equal(extents.begin(), extents.end(), rows_[row].shape.begin(), rows_[row].shape.end()))
      return no_row;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      const piece &alias = pieces_[chosen[i]], &original = pieces_[chosen_[begin + i]];
      if (original_piece(chosen[i]) != &original) return no_row;
      const bool is_place_same = alias.place == nullptr || original.place == nullptr
                                     ? alias.place == original.place
                                     : alias.place->start == original.place->start;
      if (!is_place_same) return no_row;
    }
    return row;
  }

  store::contents& made_;
  memory_resource* memory_;
  std::vector<source> sources_;   // of the shards, then what is gathered
  std::vector<index_part> parts_; // the same
  std::vector<store> shards_;
  std::vector<piece> pieces_;
  std::vector<std::size_t> first_pieces_;         // of each shard
  std::deque<slice_place> places_;                // never moved: pieces and rows view them
  std::deque<std::vector<std::uint64_t>> shapes_; // of whole tensors; never moved
  std::vector<index_row> rows_;
  std::vector<std::uint32_t> chosen_;     // the pieces of each row
  std::vector<std::size_t> first_chosen_; // by row: where its pieces begin
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
