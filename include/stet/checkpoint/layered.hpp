// SPDX-License-Identifier: MIT
// One store over several, such as a base, a fine-tuned head and a user's patch. The first layer with a name provides the
// tensor; nothing is copied.
#ifndef STET_CHECKPOINT_LAYERED_HPP
#define STET_CHECKPOINT_LAYERED_HPP

#include "../index/detail/builder.hpp"
#include "../manifest/detail/table.hpp"
#include "../source/detail/borrow_source.hpp"
#include "../store/store.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// A layer: an open store, which must stay open and must not move, and its label.
struct store_layer {
  /// The name of the layer, which `layer_of` returns.
  std::string_view label;
  /// The store of the layer, which must stay open.
  const store* of;
  /// Names that this layer does not provide.
  std::span<const std::string> hidden{};
};

/// Makes one store from several, with the first layer on top: of tensors with the same name, the first one is found. The result
/// is an ordinary store: bind it, restore from it, verify it, save it. Each file of each layer is a part of it, so that
/// `layer_of` can return the layer of a tensor. Its tensors are writable if those of the layer are. Call prefetch and evict on
/// the layers, which have the mappings.
/// @param order  the names of the first tensors, in their order; names that no layer has are ignored. All other tensors are in
///               the order of the lowest layer that has them
/// @retval errc::too_large         too many tensors for one index
/// @retval errc::out_of_memory
/// Lifetime: while every layer is open.
/// Cost: its own index in memory from `memory` (nullptr: the heap), some hundred nanoseconds a tensor; reads no tensor.
[[nodiscard]] inline result<store> layer_stores(std::span<const store_layer> layers,
                                                std::span<const std::string> order = {},
                                                memory_resource* memory = nullptr) {
  // The number of the first part of each layer.
  std::vector<std::uint32_t> first_parts;
  std::vector<std::string> paths;
  std::vector<const source*> sources;
  std::vector<std::vector<std::string_view>> hidden;
  store::contents made;
  made.alignment_bytes = layers.empty() ? 1 : max_alignment_bytes;
  for (const store_layer& layer : layers) {
    const store& of = *layer.of;
    first_parts.push_back(static_cast<std::uint32_t>(sources.size()));
    for (std::uint32_t part = 0; part < of.index().part_count(); ++part) {
      sources.push_back(&of.part(part));
      paths.push_back(std::string(layer.label) + "/" + std::string(of.index().part(part).path));
    }
    if (of.index().part_count() == 0) {
      sources.push_back(&of.data());
      paths.emplace_back(layer.label);
    }
    made.alignment_bytes = (std::min)(made.alignment_bytes, of.alignment_bytes());
    std::vector<std::string_view>& names = hidden.emplace_back(layer.hidden.begin(), layer.hidden.end());
    std::sort(names.begin(), names.end());
  }
  const auto is_hidden = [&hidden](std::size_t layer, std::string_view name) {
    return std::binary_search(hidden[layer].begin(), hidden[layer].end(), name);
  };

  std::vector<index_row> rows;
  std::vector<std::vector<std::uint64_t>> shapes;
  // By layer and number of the tensor: its row, if it has one, and the first row for its bytes.
  constexpr std::uint32_t no_row = index_row::not_an_alias;
  std::vector<std::vector<bool>> is_placed;
  std::vector<std::vector<std::uint32_t>> first_rows;
  for (const store_layer& layer : layers) {
    is_placed.emplace_back(layer.of->tensor_count(), false);
    first_rows.emplace_back(layer.of->tensor_count(), no_row);
  }
  const auto place = [&](std::string_view name) {
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      const tensor_index& index = layers[layer].of->index();
      const index_entry entry = index.find(name);
      if (!entry || is_hidden(layer, name)) continue;
      if (is_placed[layer][entry.number()]) return;
      is_placed[layer][entry.number()] = true;
      const std::uint32_t number = static_cast<std::uint32_t>(rows.size());
      const auto& extents = shapes.emplace_back(entry.shape().begin(), entry.shape().end());
      index_row& row = rows.emplace_back(detail::row_of(entry, index.layout(entry), extents));
      row.part += first_parts[layer];
      // Of tensors that share bytes, the first one becomes the original, even if it is an alias in its layer.
      const index_entry original = index.original_of(entry);
      std::uint32_t& first = first_rows[layer][(original ? original : entry).number()];
      if (first != no_row)
        row.alias_of = first;
      else
        first = number;
      return;
    }
  };
  for (const std::string& name : order) place(name);
  // From the lowest layer up, so that a layer that only replaces tensors keeps their order.
  for (std::size_t layer = layers.size(); layer-- > 0;) {
    for (const index_entry named : layers[layer].of->index()) {
      if (!is_hidden(layer, named.name())) place(named.name());
    }
  }
  std::vector<index_part> parts;
  parts.reserve(sources.size());
  for (std::size_t i = 0; i < sources.size(); ++i) parts.push_back({paths[i], sources[i]->size_bytes(), 0, false});

  if (auto indexed = detail::index_rows(made, rows, parts, {}, memory); !indexed) return indexed.error();
  result<part_sources> opened = part_sources::allocate(made.index.part_count(), memory);
  if (!opened) return opened.error();
  for (std::uint32_t i = 0; i < made.index.part_count(); ++i) (*opened)[i] = detail::borrow_source(*sources[i]);
  made.parts = std::move(*opened);
  return store(std::move(made));
}

/// The label of the layer of a tensor of a layered store, followed by "/FILE" if that layer has parts.
/// Lives as long as the store.
[[nodiscard]] inline std::string_view layer_of(const store& layered, const tensor& of) noexcept {
  return layered.index().part_count() == 0 ? std::string_view() : layered.index().part(of.entry().part()).path;
}

} // namespace stet::inline STET_NAMESPACE

#endif
