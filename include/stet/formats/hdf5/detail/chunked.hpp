// SPDX-License-Identifier: MIT
// Readers for HDF5 datasets that are not contiguous in the file: chunked, filtered, or never written.
#ifndef STET_FORMATS_HDF5_DETAIL_CHUNKED_HPP
#define STET_FORMATS_HDF5_DETAIL_CHUNKED_HPP

#include "filters.hpp"

#include "../../../wire/hdf5/chunks.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Fills `into` with the repeated value of one element, beginning at byte `offset_bytes` of the tensor; with zeros if
/// `value` is empty.
inline void fill_elements(std::span<const std::byte> value, std::uint64_t offset_bytes,
                          std::span<std::byte> into) noexcept {
  if (value.empty()) {
    if (!into.empty()) std::memset(into.data(), 0, into.size());
    return;
  }
  for (std::size_t i = 0; i < into.size(); ++i) {
    into[i] =
        i < value.size() ? value[static_cast<std::size_t>((offset_bytes + i) % value.size())] : into[i - value.size()];
  }
}

/// The bytes of a dataset that was never written: every element has the fill value.
class filled_bytes final : public byte_reader {
public:
  filled_bytes(std::span<const std::byte> value, std::uint64_t size_bytes)
      : value_(value.begin(), value.end()), size_bytes_(size_bytes) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return size_bytes_; }
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (!range_fits(offset_bytes, into.size(), size_bytes_)) return error(errc::bad_range, {}, offset_bytes);
    fill_elements(value_, offset_bytes, into);
    return {};
  }

private:
  std::vector<std::byte> value_;
  std::uint64_t size_bytes_;
};

/// The properties of a chunked dataset that its reader needs.
struct chunked_dataset {
  /// The subject of errors.
  std::string name = {};
  std::vector<std::uint64_t> shape, chunk;
  std::uint32_t element_size = 0;
  std::uint64_t chunk_size_bytes = 0;
  bool leaves_edges = false;
  std::vector<hdf5_filter> filters;
  inflate_function inflate = nullptr;
  /// The memory for decoded chunks; nullptr: the heap.
  memory_resource* memory = nullptr;
  std::vector<std::byte> fill_value;
  /// The chunks in the file, in order of their numbers.
  std::vector<hdf5_chunk> chunks;
  /// The part that holds the chunks, in memory or behind a reader; and the offset of address 0 in it.
  const std::byte* data = nullptr;
  const byte_reader* fetcher = nullptr;
  std::uint64_t base_bytes = 0;
};

/// Reads the elements row by row. The decoded chunks of one step along the first axis are kept until they are read to
/// their end, so that sequential reading decodes each chunk once. Memory: one such row of chunks for each dataset that is
/// read in pieces.
class chunked_bytes final : public byte_reader {
public:
  explicit chunked_bytes(chunked_dataset&& dataset) : state_(std::make_unique<state>(std::move(dataset))) {
    const chunked_dataset& from = state_->dataset;
    size_bytes_ = from.element_size;
    for (std::size_t axis = 0; axis < from.shape.size(); ++axis) {
      size_bytes_ *= from.shape[axis];
      grid_.push_back(from.shape[axis] / from.chunk[axis] + (from.shape[axis] % from.chunk[axis] != 0 ? 1u : 0u));
    }
    for (std::size_t axis = 1; axis < grid_.size(); ++axis) row_of_chunks_ *= grid_[axis];
    // The size of the elements of one row of chunks; of the whole dataset, if there is only one row.
    row_size_bytes_ = grid_.empty() || grid_[0] == 1 ? size_bytes_ : size_bytes_ / from.shape[0] * from.chunk[0];
  }

  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return size_bytes_; }

  /// @retval errc::bad_compression, checksum_mismatch, too_large  a chunk is damaged; or an error of the
  /// file's reader
  [[nodiscard]] result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (!range_fits(offset_bytes, into.size(), size_bytes_)) return error(errc::bad_range, {}, offset_bytes);
    const std::lock_guard lock(state_->mutex);
    const chunked_dataset& from = state_->dataset;
    while (!into.empty()) {
      // The position of the element, the number of its chunk, and the number of elements that are contiguous in both.
      std::uint64_t rest = offset_bytes / from.element_size, number = 0, within = 0, run = 1;
      std::uint64_t scale = 1, inner_scale = 1;
      bool is_edge = false;
      for (std::size_t axis = from.shape.size(); axis-- > 0;) {
        const std::uint64_t place = rest % from.shape[axis], chunk = place / from.chunk[axis],
                            inner = place % from.chunk[axis];
        rest /= from.shape[axis];
        number += chunk * scale;
        within += inner * inner_scale;
        scale *= grid_[axis];
        inner_scale *= from.chunk[axis];
        is_edge = is_edge || from.chunk[axis] > from.shape[axis] - chunk * from.chunk[axis];
        if (axis + 1 == from.shape.size()) run = (std::min)(from.chunk[axis] - inner, from.shape[axis] - place);
      }
      const std::uint64_t skipped = offset_bytes % from.element_size;
      const auto some =
          static_cast<std::size_t>((std::min)(run * from.element_size - skipped, std::uint64_t{into.size()}));
      const std::byte* decoded = nullptr;
      if (auto found = find(number, from.leaves_edges && is_edge, decoded); !found)
        return found.error().about(from.name);
      if (decoded == nullptr) {
        fill_elements(from.fill_value, offset_bytes, into.first(some));
      } else {
        std::memcpy(into.data(), decoded + static_cast<std::size_t>(within * from.element_size + skipped), some);
      }
      offset_bytes += some;
      into = into.subspan(some);
      if (offset_bytes % row_size_bytes_ == 0 || offset_bytes == size_bytes_) state_->forget();
    }
    return {};
  }

private:
  struct state {
    explicit state(chunked_dataset&& from) : dataset(std::move(from)) {}
    chunked_dataset dataset;
    std::mutex mutex;
    /// The decoded chunks, from number `first` on.
    std::vector<source> decoded;
    std::size_t first = 0;
    std::uint64_t row = no_row;

    void forget() noexcept {
      std::vector<source>().swap(decoded);
      row = no_row;
    }
  };
  static constexpr std::uint64_t no_row = ~std::uint64_t{0};

  /// Sets `into` to the bytes of a chunk; to nullptr if it is not in the file.
  result<void> find(std::uint64_t number, bool is_unfiltered, const std::byte*& into) const noexcept {
    state& at = *state_;
    const std::vector<hdf5_chunk>& chunks = at.dataset.chunks;
    const auto from_number = [&](std::uint64_t wanted) {
      const auto found = std::lower_bound(chunks.begin(), chunks.end(), wanted,
                                          [](const hdf5_chunk& each, std::uint64_t n) { return each.number < n; });
      return static_cast<std::size_t>(found - chunks.begin());
    };
    const std::size_t place = from_number(number);
    into = nullptr;
    if (place == chunks.size() || chunks[place].number != number) return {};
    const std::uint64_t row = number / row_of_chunks_;
    if (row != at.row) {
      at.row = row;
      at.first = from_number(row * row_of_chunks_);
      at.decoded.clear();
      at.decoded.resize(from_number((row + 1) * row_of_chunks_) - at.first);
    }
    source& kept = at.decoded[place - at.first];
    if (kept.size_bytes() == 0) {
      result<source> made = decode(chunks[place], is_unfiltered);
      if (!made) return made.error();
      kept = std::move(*made);
    }
    into = kept.data();
    return {};
  }

  [[nodiscard]] result<source> decode(const hdf5_chunk& chunk, bool is_unfiltered) const noexcept {
    const chunked_dataset& from = state_->dataset;
    const std::uint64_t begin = from.base_bytes + chunk.address;
    result<source> stored =
        from.data != nullptr
            ? source::borrow({from.data + static_cast<std::size_t>(begin), static_cast<std::size_t>(chunk.size_bytes)})
            : source::read(*from.fetcher, {begin, chunk.size_bytes}, alignof(std::max_align_t), from.memory);
    if (!stored) return stored;
    const std::uint32_t mask = is_unfiltered ? ~std::uint32_t{0} : chunk.mask;
    result<source> made =
        undo_filters(from.filters, mask, std::move(*stored), from.chunk_size_bytes, from.inflate, from.memory);
    if (!made && made.error().offset_bytes() == error::no_offset) return error(made.error().code(), {}, begin);
    return made;
  }

  std::unique_ptr<state> state_;
  std::vector<std::uint64_t> grid_;
  std::uint64_t row_of_chunks_ = 1, row_size_bytes_ = 0, size_bytes_ = 0;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
