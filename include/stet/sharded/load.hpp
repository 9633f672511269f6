// SPDX-License-Identifier: MIT
// Loads the blocks of a program's ranks from a store, however it was saved and by however many.
#ifndef STET_SHARDED_LOAD_HPP
#define STET_SHARDED_LOAD_HPP

#include "communicator.hpp"
#include "detail/block_memory.hpp"
#include "detail/message.hpp"
#include "sharded_variables.hpp"

#include "../load/load.hpp"
#include "../manifest/detail/caught.hpp"
#include "../store/copy_elements.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// How ranks load unless they say otherwise: one thread each, since they share the processors of a machine, and through the system's cache,
/// so that what several of them want comes once from its device.
inline constexpr load_options load_options_of_ranks{.thread_count = 1, .direct = direct_reads::never};

namespace detail {

/// Loads the blocks of one rank: as many reads as there are runs of elements that lie in a row in the store and in memory.
class block_loader {
public:
  block_loader(const store& from, const load_options& options) : from_(from), options_(options) {
    options_.observer = nullptr; // what it would be told of are runs
  }

  /// Loads every block of a list. A failure leaves some of them loaded.
  result<void> run(const sharded_variable_list& variables) {
    for (const sharded_variable& each : variables) {
      if (auto added = add(each); !added) return added;
    }
    return load_runs();
  }

private:
  result<void> add(const sharded_variable& to) {
    const result<tensor> found = from_.find(to.name);
    if (!found) return found.error();
    if (found->dtype() != to.layout.dtype) return error(errc::dtype_mismatch, to.name);
    if (!std::equal(found->shape().begin(), found->shape().end(), to.shape.begin(), to.shape.end()))
      return error(errc::shape_mismatch, to.name);
    for (const local_block& block : to.blocks) {
      if (block.element_count() == 0) continue;
      if (block.is_const) return error(errc::read_only, to.name);
      if (auto added = add(*found, to, block); !added) return added;
    }
    return {};
  }

  result<void> add(const tensor& from, const sharded_variable& to, const local_block& block) {
    const block_memory bytes(to, block);
    const std::size_t rank = block.extents.size(), element = to.element_size_bytes();
    const bool is_swapped =
        describe(to.layout.dtype).word_size_bytes > 1 && from.entry().is_big_endian() == host_is_little_endian;
    const bool is_as_stored = from.layout().bits == element * 8 && !is_swapped && to.layout.dtype != dtype::boolean;
    // The runs of the block in the tensor: over its last whole axes and one more.
    std::uint64_t run_elements = 1;
    std::size_t outer = rank;
    while (outer > 0) {
      --outer;
      run_elements *= block.extents[outer];
      if (block.extents[outer] != to.shape[outer]) break;
    }
    for (std::uint64_t done = 0, count = block.element_count(); done < count; done += run_elements) {
      const std::uint64_t first = element_at(to, block, outer, done / run_elements);
      if (!is_as_stored) {
        if (auto copied = copy(from, to, bytes, first, done, run_elements); !copied) return copied;
        continue;
      }
      for (std::uint64_t at = 0, size = run_elements * element; at < size;) {
        std::size_t row = static_cast<std::size_t>(size - at);
        std::byte* const memory = bytes.row_at(done * element + at, row);
        row = request(from, first * element + at, std::span(memory, row));
        at += row;
        if (requests_.size() < most_requests) continue;
        if (auto loaded = load_runs(); !loaded) return loaded;
      }
    }
    return {};
  }

  /// Asks for bytes of a tensor from `offset_bytes` on: from where they are stored, if the tensor is gathered of slices, and nobody wants them
  /// compared with checksums. @return how many, at least one
  std::size_t request(const tensor& of, std::uint64_t offset_bytes, std::span<std::byte> into) {
    const byte_reader* const reader = from_.tensor_file(of.entry().part()).fetcher();
    if (reader != nullptr && !options_.verify_checksums) {
      const byte_reader::origin origin = reader->origin_of(of.entry().offset_bytes() + offset_bytes);
      if (is_of_store(origin)) {
        if (into.size() > origin.size_bytes) into = into.first(static_cast<std::size_t>(origin.size_bytes));
        if (!grows_last(origin, into)) requests_.push_back(load_request(of, origin.part, origin.offset_bytes, into));
        return into.size();
      }
    }
    requests_.emplace_back(of, offset_bytes, into);
    return into.size();
  }
  /// Whether the bytes are in a source of this store, which may be a layer over that of the reader.
  [[nodiscard]] bool is_of_store(const byte_reader::origin& origin) const noexcept {
    if (origin.data == nullptr && origin.fetcher == nullptr) return false;
    const std::uint32_t count = from_.index().part_count();
    if (origin.part >= (count == 0 ? 1 : count)) return false;
    const source& found = from_.tensor_file(origin.part);
    return found.data() == origin.data && found.fetcher() == origin.fetcher;
  }
  /// Whether bytes follow those of the last request in their source and in memory: then they are part of it.
  bool grows_last(const byte_reader::origin& origin, std::span<std::byte> into) {
    if (requests_.empty()) return false;
    load_request& last = requests_.back();
    if (!last.is_elsewhere_ || last.part_ != origin.part ||
        last.begin_bytes_ + last.size_bytes_ != origin.offset_bytes ||
        last.into_ + static_cast<std::size_t>(last.size_bytes_) != into.data())
      return false;
    last.size_bytes_ += into.size();
    return true;
  }

  /// The number in the tensor of the first element of run `number` of a block, whose axes before `outer` are between runs.
  static std::uint64_t element_at(const sharded_variable& of, const local_block& block, std::size_t outer,
                                  std::uint64_t number) noexcept {
    std::uint64_t at = 0, step = 1;
    for (std::size_t axis = block.extents.size(); axis-- > 0; step *= of.shape[axis]) {
      std::uint64_t within = 0;
      if (axis < outer) {
        within = number % block.extents[axis];
        number /= block.extents[axis];
      }
      at += (block.start[axis] + within) * step;
    }
    return at;
  }

  /// Copies a run whose elements are not stored as memory has them: packed, in the other byte order, or bools, which are checked.
  result<void> copy(const tensor& from, const sharded_variable& to, const block_memory& bytes, std::uint64_t first,
                    std::uint64_t into, std::uint64_t count) {
    const std::size_t element = to.element_size_bytes();
    constexpr std::size_t most_bytes = std::size_t{1} << 20;
    scratch_.resize(most_bytes);
    for (std::uint64_t done = 0; done < count;) {
      // From the element on that begins a byte, however narrow they are.
      const std::uint64_t lead = (first + done) % 8;
      const std::uint64_t size = (std::min)(std::uint64_t{most_bytes / element} - lead, count - done);
      const std::span<std::byte> some(scratch_.data(), static_cast<std::size_t>(lead + size) * element);
      if (auto copied = copy_elements(from, to.layout.dtype, some, first + done - lead); !copied) return copied;
      bytes.take_elements((into + done) * element, some.subspan(static_cast<std::size_t>(lead) * element));
      done += size;
    }
    return {};
  }

  result<void> load_runs() {
    const auto loaded = load(from_, requests_, options_);
    requests_.clear();
    return loaded;
  }

  static constexpr std::size_t most_requests = 65536;
  const store& from_;
  load_options options_;
  std::vector<load_request> requests_;
  std::vector<std::byte> scratch_;
};

} // namespace detail

/// Loads the blocks of every rank from a store, which each rank has opened: of one file, of a checkpoint that other ranks saved
/// (manifest/shards.hpp), or of a model of another format (`open_any`), such as a folder of PyTorch's DCP or a sharded TensorFlow
/// checkpoint. The blocks may lie in any way in the tensors. Tensors that no rank wants are left alone. Collective.
/// @param ranks    the same on every rank
/// @param from     the same store on every rank: streamed (`backing::stream`), bytes go straight from the file to their places
/// @param options  of each rank; its observer is not told. With `verify_checksums` whole tensors are compared, and the slices of those
///                 that are gathered; a part of a tensor has no checksum of its own: `verify_store` compares everything
/// @return the same on every rank; after an error some blocks may be loaded
/// @retval errc::not_found       the store has no such tensor
/// @retval errc::dtype_mismatch, shape_mismatch  the tensor is another
/// @retval errc::read_only       the memory of a block is const
/// or an error of `load` or of the communicator.
/// Cost: reads what the blocks need.
/// About 200 bytes for each run of elements that lie in a row, at most 65,536 at once.
inline result<void> load_blocks(communicator& ranks, const store& from, const sharded_variable_list& variables,
                                const load_options& options = load_options_of_ranks) noexcept {
  const auto own = detail::caught([&] { return detail::block_loader(from, options).run(variables); });
  return detail::caught([&] { return detail::agree(ranks, own); });
}

} // namespace stet::inline STET_NAMESPACE

#endif
