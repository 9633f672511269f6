// SPDX-License-Identifier: MIT
// One store over several: a base, a fine-tuned head, a user's patch. The first that has a name wins; nothing is copied.
#ifndef STET_CHECKPOINT_LAYERED_HPP
#define STET_CHECKPOINT_LAYERED_HPP

#include "../index/check.hpp"
#include "../store/store.hpp"

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stet::inline v0_1 {

/// One layer: an open store, which must stay open, and what to call it.
struct store_layer {
  std::string_view label;
  const store* of;
};

namespace detail {

/// The bytes of a source that someone else owns, as a source of its own.
inline source borrow_source(const source& of) noexcept {
  if (of.fetcher() != nullptr) return source::stream(*of.fetcher());
  const std::span<const std::byte> bytes(of.data(), static_cast<std::size_t>(of.size_bytes()));
  // Whether a tensor may be written to is the layer's to say.
  return of.is_writable() ? source::borrow_writable({const_cast<std::byte*>(bytes.data()), bytes.size()}) : source::borrow(bytes);
}

} // namespace detail

/// Makes one store of several, the first layer on top: of tensors with the same name, the first is found. The result is a
/// store like any other: bind it, restore from it, verify it, save it. Each file of each layer is a part of it, so
/// `layer_of` tells where a tensor comes from. Tensors stand in the order of the layers, a hidden one not at all.
/// @retval errc::too_large         too many tensors for one index
/// @retval errc::out_of_memory
/// Lifetime: while every layer is open, and not moved from. Cost: an index of its own, some hundred nanoseconds a tensor;
/// reads no tensor.
[[nodiscard]] inline result<store> layer_stores(std::span<const store_layer> layers) {
  std::vector<index_row> rows;
  std::vector<std::vector<std::uint64_t>> shapes;
  std::vector<std::string> paths;
  std::vector<const source*> sources;
  std::unordered_map<std::string_view, std::uint32_t> numbers;
  std::size_t tensor_count = 0;
  for (const store_layer& layer : layers) tensor_count += layer.of->tensor_count();
  rows.reserve(tensor_count);
  shapes.reserve(tensor_count);
  numbers.reserve(tensor_count);

  store::contents made;
  for (const store_layer& layer : layers) {
    const tensor_index& index = layer.of->index();
    const std::uint32_t first_part = static_cast<std::uint32_t>(sources.size());
    for (std::uint32_t part = 0; part < index.part_count(); ++part) {
      sources.push_back(&layer.of->part(part));
      paths.push_back(std::string(layer.label) + "/" + std::string(index.part(part).path));
    }
    if (index.part_count() == 0) {
      sources.push_back(&layer.of->data());
      paths.emplace_back(layer.label);
    }
    made.alignment_bytes = made.alignment_bytes == 1 || layer.of->alignment_bytes() < made.alignment_bytes ? layer.of->alignment_bytes() : made.alignment_bytes;
    for (const index_entry entry : index) {
      const std::uint32_t number = static_cast<std::uint32_t>(rows.size());
      if (!numbers.emplace(entry.name(), number).second) continue;
      index_row& row = rows.emplace_back();
      row.name = entry.name();
      row.layout = index.layout(entry);
      row.shape = shapes.emplace_back(entry.shape().begin(), entry.shape().end());
      row.part = first_part + entry.part();
      row.offset_bytes = entry.offset_bytes();
      row.size_bytes = entry.size_bytes();
      row.crc32c = entry.crc32c();
      row.has_crc32c = entry.has_crc32c();
      row.big_endian = entry.is_big_endian();
      // An alias stays one where its original is visible; else it stands for itself.
      if (const index_entry original = index.original_of(entry)) {
        const std::uint32_t visible = numbers.at(original.name());
        if (rows[visible].part == row.part && rows[visible].offset_bytes == row.offset_bytes) row.alias_of = visible;
      }
    }
  }
  std::vector<index_part> parts;
  parts.reserve(sources.size());
  for (std::size_t i = 0; i < sources.size(); ++i) parts.push_back({paths[i], sources[i]->size_bytes(), 0, false});

  const result<std::uint64_t> size = index_size_bytes(rows, parts);
  if (!size) return size.error();
  std::vector<std::byte> bytes(static_cast<std::size_t>(*size));
  if (auto built = build_index(rows, parts, bytes); !built) return built.error();
  result<source> table = source::copy(bytes);
  if (!table) return table.error();
  made.table = std::move(*table);
  index_limits limits;
  limits.foreign = true;
  const result<tensor_index> checked = check_index({made.table.data(), bytes.size()}, limits);
  if (!checked) return checked.error();
  made.index = *checked;
  result<part_sources> opened = part_sources::allocate(checked->part_count());
  if (!opened) return opened.error();
  for (std::uint32_t i = 0; i < checked->part_count(); ++i) (*opened)[i] = detail::borrow_source(*sources[i]);
  made.parts = std::move(*opened);
  return store(std::move(made));
}

/// The label of the layer that a tensor of a layered store comes from, followed by "/FILE" where that layer has parts.
/// Lives as long as the store.
[[nodiscard]] inline std::string_view layer_of(const store& layered, const tensor& of) noexcept {
  return layered.index().part_count() == 0 ? std::string_view() : layered.index().part(of.entry().part()).path;
}

} // namespace stet::inline v0_1

#endif
