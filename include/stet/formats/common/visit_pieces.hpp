// SPDX-License-Identifier: MIT
// Visits the bytes of a large range in memory without keeping all of a mapped file there.
#ifndef STET_FORMATS_COMMON_VISIT_PIECES_HPP
#define STET_FORMATS_COMMON_VISIT_PIECES_HPP

#include "../model.hpp"

#include "../../source/source.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace stet::inline STET_NAMESPACE::detail {

/// Calls `visit(piece)` for one piece after the other of a range of a resident source. Of a large range in a mapped file, the pages
/// of a piece are then taken out of memory: a checksum of any size holds a few MiB. They stay in the system's cache.
inline void visit_pieces(const source& of, std::uint64_t offset_bytes, std::uint64_t size_bytes, const auto& visit) {
  constexpr std::uint64_t piece_size = std::uint64_t{4} << 20, large_size = 4 * piece_size;
  const bool is_large = size_bytes > large_size;
  while (size_bytes != 0) {
    const std::uint64_t some = (std::min)(size_bytes, piece_size);
    visit(std::span(of.data() + static_cast<std::size_t>(offset_bytes), static_cast<std::size_t>(some)));
    // A mapping that the program writes to keeps its pages.
    if (is_large) (void)of.evict(offset_bytes, some);
    offset_bytes += some;
    size_bytes -= some;
  }
}

/// The file of an opened model, or of the model that it is a selection of, which has these bytes in memory; nullptr: none.
inline const source* find_file_with(const model& of, std::span<const std::byte> bytes) noexcept {
  const model* whole = &of;
  while (whole->whole != nullptr) whole = whole->whole.get();
  const store& all = whole->store;
  const std::uint32_t count = all.index().part_count();
  for (std::uint32_t part = 0; part < (std::max)(count, 1u); ++part) {
    const source& each = count == 0 ? all.data() : all.part(part);
    if (each.data() == nullptr || bytes.size() > each.size_bytes()) continue;
    const std::byte* const last = each.data() + static_cast<std::size_t>(each.size_bytes() - bytes.size());
    if (!std::less<>()(bytes.data(), each.data()) && !std::less<>()(last, bytes.data())) return &each;
  }
  return nullptr;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
