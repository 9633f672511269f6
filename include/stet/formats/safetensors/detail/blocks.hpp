// SPDX-License-Identifier: MIT
// Gathers the tensors of a distributed checkpoint of PyTorch whose blocks are in safetensors files.
#ifndef STET_FORMATS_SAFETENSORS_DETAIL_BLOCKS_HPP
#define STET_FORMATS_SAFETENSORS_DETAIL_BLOCKS_HPP

#include "metadata.hpp"
#include "shards.hpp"

#include "../../common/finish_model.hpp"
#include "../../common/readers.hpp"
#include "../../common/slices.hpp"
#include "../../model.hpp"

#include "../../../wire/json.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// torch.distributed.checkpoint's HuggingFaceStorageWriter writes each rank's blocks of the tensors into safetensors files of its
// own. The metadata of each file has the member
//
//   DCP_SHARDING_INFO  a string of JSON: {"NAME": {"saved_offsets": [..]}, ..}
//
// The tensor NAME of this file is the block of the whole tensor that begins at these offsets. The extents of the whole tensor are
// the largest ends of its blocks. Source: pytorch, torch/distributed/checkpoint/hf_storage.py, _hf_utils.py.

namespace stet::inline STET_NAMESPACE::detail {

inline constexpr std::string_view dcp_sharding_key = "DCP_SHARDING_INFO", dcp_version_key = "DCP_VERSION";

/// The offsets of the blocks in a file, by the names of their tensors.
using dcp_offsets = std::map<std::string, std::vector<std::uint64_t>, std::less<>>;

/// Reads the text of DCP_SHARDING_INFO.
/// @retval errc::malformed  it is not of the form above
inline result<dcp_offsets> parse_dcp_offsets(std::string_view text) {
  dcp_offsets made;
  json_reader in(text);
  if (in.next() != json_token::begin_object) return error(errc::malformed, dcp_sharding_key);
  while (in.next() == json_token::key) {
    std::vector<std::uint64_t>& offsets = made[decoded(in.string())];
    offsets.clear();
    if (in.next() != json_token::begin_object) return error(errc::malformed, dcp_sharding_key);
    while (in.next() == json_token::key) {
      const bool are_offsets = in.string() == "saved_offsets";
      in.next();
      if (!are_offsets) {
        if (!in.skip()) return error(errc::malformed, dcp_sharding_key);
        continue;
      }
      if (in.token() != json_token::begin_array) return error(errc::malformed, dcp_sharding_key);
      while (in.next() == json_token::number && in.number().is_unsigned() && offsets.size() < max_rank)
        offsets.push_back(in.number().magnitude);
      if (in.token() != json_token::end_array) return error(errc::malformed, dcp_sharding_key);
    }
    if (in.token() != json_token::end_object) return error(errc::malformed, dcp_sharding_key);
  }
  if (in.token() != json_token::end_object || in.next() != json_token::end)
    return error(errc::malformed, dcp_sharding_key);
  return made;
}

/// The text of DCP_SHARDING_INFO in the metadata of a file; empty if it has none.
/// Errors: those of `read_safetensors_header` and `safetensors_member`.
inline result<std::string> dcp_sharding_text(const source& file, memory_resource* memory) {
  source copy;
  const result<std::string_view> header = read_safetensors_header(file, copy, memory);
  if (!header) return header.error();
  const result<std::string_view> metadata = safetensors_member(*header, safetensors_metadata_key);
  if (!metadata || metadata->empty()) return metadata ? result<std::string>(std::string()) : metadata.error();
  json_reader in(*metadata);
  in.next();
  while (in.next() == json_token::key) {
    const bool is_wanted = in.string() == dcp_sharding_key;
    if (in.next() != json_token::string) break;
    if (is_wanted) return decoded(in.string());
  }
  return std::string();
}

/// Collects the blocks of the files of a checkpoint, and adds their tensors to a store. Used once.
class dcp_blocks {
public:
  explicit dcp_blocks(store_builder& into) noexcept : into_(into) {}

  /// Adds a file. Its bytes become a part of the store.
  /// @param name  must outlive this object
  /// @param info  the text of its DCP_SHARDING_INFO
  /// Errors: those of the header of the file, and of `parse_dcp_offsets`.
  result<void> add_file(std::string_view name, source&& file, std::string_view info) {
    const result<dcp_offsets> offsets = info.empty() ? dcp_offsets() : parse_dcp_offsets(info);
    if (!offsets) return offsets.error().about(name);
    const std::uint32_t part = into_.add_file(name, std::move(file));
    const source& bytes = into_.part(part);
    result<store> opened = open_safetensors_source(
        bytes.data() != nullptr ? source::borrow(bytes_in(bytes)) : source::stream(*bytes.fetcher()), into_.memory());
    if (!opened) return opened.error().subject().empty() ? opened.error().about(name) : opened.error();
    files_.push_back(std::move(*opened));
    for (const index_entry entry : files_.back().index()) {
      block made{entry, part, {}};
      const auto found = offsets->find(entry.name());
      made.offsets = found == offsets->end() ? std::vector<std::uint64_t>(entry.shape().rank()) : found->second;
      blocks_.push_back(std::move(made));
    }
    return {};
  }

  /// Adds the tensors, in the order of their first blocks. One whose blocks do not make it up is listed, and reading it is
  /// errc::bad_slice; if they do not agree on dtype and rank, it is omitted.
  void add_tensors() {
    std::vector<std::size_t> order(blocks_.size());
    for (std::size_t number = 0; number < order.size(); ++number) order[number] = number;
    std::sort(order.begin(), order.end(), [this](std::size_t a, std::size_t b) {
      const int names = blocks_[a].entry.name().compare(blocks_[b].entry.name());
      return names != 0 ? names < 0 : a < b;
    });
    std::vector<std::span<const std::size_t>> tensors;
    for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
      while (end < order.size() && blocks_[order[end]].entry.name() == blocks_[order[begin]].entry.name()) ++end;
      tensors.push_back(std::span<const std::size_t>(order).subspan(begin, end - begin));
    }
    std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.front() < b.front(); });
    for (const std::span<const std::size_t> each : tensors) {
      if (const errc failure = add_tensor(each); failure != errc{}) {
        const std::string_view name = blocks_[each.front()].entry.name();
        into_.omit(name, error(failure, name));
      }
    }
  }

private:
  struct block {
    index_entry entry;
    std::uint32_t part;
    std::vector<std::uint64_t> offsets;
  };
  /// Adds the tensor of these blocks. @return the reason why it cannot be listed
  errc add_tensor(std::span<const std::size_t> numbers) {
    const index_entry first = blocks_[numbers.front()].entry;
    const std::size_t rank = first.shape().rank();
    std::vector<std::uint64_t> shape(rank);
    for (const std::size_t number : numbers) {
      const block& each = blocks_[number];
      if (each.entry.dtype() != first.dtype() || each.entry.shape().rank() != rank || each.offsets.size() != rank)
        return errc::bad_slice;
      for (std::size_t axis = 0; axis < rank; ++axis) {
        std::uint64_t end = 0;
        if (!checked_add(each.offsets[axis], each.entry.shape()[axis], end)) return errc::bad_shape;
        shape[axis] = (std::max)(shape[axis], end);
      }
    }
    index_row row;
    row.name = first.name();
    row.layout = element_layout::of(first.dtype());
    row.shape = shape;
    element_counter counter;
    for (const std::uint64_t extent : shape) {
      // A slice states its extents as signed numbers.
      if (!counter.multiply(extent) || extent > (std::numeric_limits<std::int64_t>::max)()) return errc::bad_shape;
    }
    if (!checked_size_bytes(counter, row.layout, row.size_bytes)) return errc::bad_shape;
    return row.size_bytes == 0 ? add_empty(row) : place(row, numbers);
  }

  errc add_empty(index_row& row) {
    into_.add(row);
    return {};
  }

  errc place(index_row& row, std::span<const std::size_t> numbers) {
    std::vector<tensor_slice> slices;
    std::vector<slice_extent> box(row.shape.size());
    for (const std::size_t number : numbers) {
      const block& each = blocks_[number];
      for (std::size_t axis = 0; axis < box.size(); ++axis) {
        box[axis] = {static_cast<std::int64_t>(each.offsets[axis]),
                     static_cast<std::int64_t>(each.entry.shape()[axis])};
      }
      const std::size_t before = slices.size();
      if (!append_slice(box, row.shape, slices)) return errc::bad_slice;
      if (slices.size() == before) continue; // an empty block
      tensor_slice& made = slices.back();
      made.part = each.part;
      made.data = into_.part(each.part).data();
      made.fetcher = into_.part(each.part).fetcher();
      made.offset_bytes = each.entry.offset_bytes();
      made.size_bytes = each.entry.size_bytes();
    }
    const bool is_whole = slices.size() == 1 && slices.front().size_bytes == row.size_bytes;
    if (!is_whole && (row.layout.bits % 8 != 0 || !sort_and_cover(row.shape, slices))) return add_unreadable(row);
    if (is_whole) {
      row.part = slices.front().part;
      row.offset_bytes = slices.front().offset_bytes;
    } else if (const errc failure = place_slices(into_, row, row.layout.bits / 8u, std::move(slices));
               failure != errc{}) {
      return failure;
    }
    into_.add(row);
    return {};
  }

  /// Adds a tensor that can be listed only.
  errc add_unreadable(index_row& row) {
    result<source> made =
        source::keep(unreadable_bytes(error(errc::bad_slice, row.name), row.size_bytes), into_.memory());
    if (!made) return made.error().code();
    row.part = into_.add_decoded(std::move(*made));
    into_.add(row);
    return {};
  }

  store_builder& into_;
  std::vector<store> files_; // keep the entries of blocks
  std::vector<block> blocks_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
