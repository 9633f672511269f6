// SPDX-License-Identifier: MIT
// Walks over the arrays of an npy file, and makes an index of them.
#ifndef STET_FORMATS_NUMPY_DETAIL_ARRAYS_HPP
#define STET_FORMATS_NUMPY_DETAIL_ARRAYS_HPP

#include "header.hpp"
#include "reordered.hpp"

#include "../../../index/detail/builder.hpp"
#include "../../../source/source.hpp"
#include "../../../store/detail/entry_buffer.hpp"
#include "../../../store/open.hpp"

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

/// The meaning of types that an npy array does not state.
struct numpy_types {
  /// The dtype of elements that are void types of 1 byte. ml_dtypes writes its float8, float6, float4, int4, uint4, int2 and
  /// uint2 so, one element in a byte.
  stet::dtype void1 = dtype::block;
  /// The dtype of elements that are void types of 2 bytes: ml_dtypes and MLX write bfloat16 so.
  stet::dtype void2 = dtype::block;
};

namespace detail {

/// @retval errc::invalid_argument  elements of these dtypes do not have the size of their void type
inline result<void> check_numpy_types(const numpy_types& types) noexcept {
  const auto fits = [](stet::dtype d, std::size_t least, std::size_t most) {
    return d == dtype::block || (is_known(d) && describe(d).bits >= least && describe(d).bits <= most);
  };
  if (!fits(types.void1, 1, 8)) return error(errc::invalid_argument, "void1");
  return fits(types.void2, 16, 16) ? result<void>() : error(errc::invalid_argument, "void2");
}

/// The error of an array of Python objects. Its elements are a pickle, which runs code when it is loaded.
inline error error_of_objects(std::string_view name) noexcept {
  return error_about(errc::unsupported, name, "Python objects, stored as a pickle");
}

/// The header and the place of an array.
struct npy_array {
  npy_header header;
  /// The offset of the elements, and of what follows them.
  std::uint64_t offset_bytes = 0, end_bytes = 0;
  /// The major version, which tells the encoding of the text.
  unsigned major = 0;
};

/// Reads the array that begins at `begin` of `data`, up to `end`.
/// @param copy  the memory for its text where it is not in memory; the descriptor views it
/// Errors: as `open_npy` documents them.
inline result<void> read_npy_array(const source& data, std::uint64_t begin, std::uint64_t end, const numpy_types& types,
                                   memory_resource* memory, source& copy, npy_array& into) noexcept {
  std::byte start[12];
  const std::size_t start_size = end - begin < sizeof start ? static_cast<std::size_t>(end - begin) : sizeof start;
  if (auto read = data.read_at(begin, writable_bytes_at(start, start_size)); !read) return read;
  const result<npy_prefix> prefix = npy_prefix::read(bytes_at(start, start_size));
  const auto at = [begin](const error& failure, std::uint64_t base) {
    return error(failure.code(), failure.subject(), begin + base + failure.offset_bytes());
  };
  if (!prefix) return at(prefix.error(), 0);
  const std::uint64_t text_begin = begin + prefix->size_bytes();
  if (prefix->text_size_bytes > prefix->max_text_size()) return error(errc::too_large, "header", text_begin);
  if (prefix->text_size_bytes > end - text_begin) return error(errc::truncated, "header", end);
  const auto text_size = static_cast<std::size_t>(prefix->text_size_bytes);
  const std::byte* text = data.data();
  if (text != nullptr) {
    text += static_cast<std::size_t>(text_begin);
  } else {
    result<source> read = source::read(*data.fetcher(), {text_begin, text_size}, 1, memory);
    if (!read) return read.error();
    copy = std::move(*read);
    text = copy.data();
  }
  npy_header& header = into.header;
  header.rank = 0;
  header.size_bytes = 0;
  header.is_fortran_order = false;
  if (auto read = npy_header_reader(text_at(text, text_size), prefix->major).read(header); !read) {
    const bool has_offset = read.error().offset_bytes() != error::no_offset;
    return has_offset ? at(read.error(), prefix->size_bytes())
                      : error(read.error().code(), read.error().subject(), text_begin);
  }
  const std::string_view name = text_at(header.type.name, header.type.name_size);
  const stet::dtype named = header.type.dtype != dtype::block ? dtype::block
                            : name == "void1"                 ? types.void1
                            : name == "void2"                 ? types.void2
                                                              : dtype::block;
  if (named != dtype::block) header.type.dtype = named;
  into.major = prefix->major;
  into.offset_bytes = text_begin + text_size;
  if (!header.type.has_objects && header.size_bytes > end - into.offset_bytes)
    return error(errc::truncated, "data", end);
  into.end_bytes = into.offset_bytes + header.size_bytes;
  return {};
}

/// Makes the store of an npy file: its arrays by their numbers.
class npy_store_maker {
public:
  npy_store_maker(const numpy_types& types, memory_resource* memory) noexcept : types_(types), memory_(memory) {}

  /// @param name      the name of the file, in a store that has parts
  /// @param left_out  nullptr, or set to the error of an array that the store cannot give, and that ends the list
  /// Errors: as `open_npy` documents them.
  result<store> run(source&& data, std::string_view name, error* left_out) noexcept {
    if (auto checked = check_numpy_types(types_); !checked) return checked.error();
    counts total;
    const auto count = [&](const npy_array& array) -> result<void> {
      total.entries_size += index_layout::size_of_entry(array.header.rank, digits_of(total.arrays));
      total.reordered += array.header.is_reordered() ? 1u : 0u;
      total.blocks += array.header.type.dtype == dtype::block ? 1u : 0u;
      return ++total.arrays < max_arrays ? result<void>() : error(errc::too_large, "npy");
    };
    if (auto walked = walk(data, count, left_out); !walked) return walked.error();
    return make(std::move(data), name, total);
  }

  /// The name of array `number`: its digits. Calls `use` with it.
  template <class Use> static auto with_name(std::uint64_t number, Use&& use) noexcept {
    char text[24];
    text_writer out(text, sizeof text);
    return use(out.append(number).text());
  }

  /// Calls `visit` with each array. The next one, if there is one, begins where one ends; NumPy ignores other bytes there.
  template <class Visit> result<void> walk(const source& data, Visit&& visit, error* left_out) noexcept {
    const std::uint64_t end = data.size_bytes();
    std::uint64_t number = 0;
    npy_array array;
    source copy;
    for (std::uint64_t at = 0;; at = array.end_bytes, ++number) {
      if (number != 0 && !begins_at(data, at)) return {};
      auto read = read_npy_array(data, at, end, types_, memory_, copy, array);
      if (read && array.header.type.has_objects) read = with_name(number, error_of_objects);
      const bool is_foreign = !read && (array.header.type.has_objects || read.error().code() == errc::unknown_dtype);
      if (is_foreign && left_out != nullptr) return *left_out = read.error(), result<void>();
      if (!read) return read;
      if (auto visited = visit(array); !visited) return visited;
    }
  }

private:
  static constexpr std::uint32_t max_arrays = 0x10000000u;
  struct counts {
    std::uint32_t arrays = 0, reordered = 0, blocks = 0;
    std::uint64_t entries_size = 0;
  };

  static std::size_t digits_of(std::uint64_t number) noexcept {
    return with_name(number, [](std::string_view name) { return name.size(); });
  }
  static bool begins_at(const source& data, std::uint64_t at) noexcept {
    std::byte start[6];
    return data.read_at(at, writable_bytes_at(start, sizeof start)) && text_at(start, sizeof start) == npy_magic;
  }
  /// Memory for `count` objects of this type, which are made.
  template <class T> result<std::span<T>> objects(source& owner, std::size_t count) const noexcept {
    result<source> made = source::allocate(std::uint64_t{count} * sizeof(T), memory_);
    if (!made) return made.error();
    owner = std::move(*made);
    T* const first = reinterpret_cast<T*>(owner.writable_data());
    for (std::size_t i = 0; i < count; ++i) ::new (static_cast<void*>(first + i)) T();
    return std::span<T>(first, count);
  }

  result<store> make(source&& data, std::string_view name, const counts& total) noexcept {
    const std::uint32_t part_count = total.reordered == 0 ? 0 : total.reordered + 1;
    store::contents made;
    source part_memory, type_memory;
    result<std::span<index_part>> parts = objects<index_part>(part_memory, part_count);
    if (!parts) return parts.error();
    result<std::span<own_type>> own_types = objects<own_type>(type_memory, total.blocks);
    if (!own_types) return own_types.error();
    result<part_sources> sources = part_sources::allocate(part_count, memory_);
    if (!sources) return sources.error();
    if (part_count != 0) {
      (*parts)[0].path = name;
      (*parts)[0].size_bytes = data.size_bytes();
    }

    entry_buffer entries;
    if (auto there = entries.grow(total.entries_size, memory_); !there) return there.error();
    block_types blocks;
    std::uint32_t number = 0, part = 0, type = 0;
    const auto add = [&](const npy_array& array) -> result<void> {
      const npy_header& header = array.header;
      // The bytes are those of the first walk, unless another program changes the file.
      if (number == total.arrays || (header.is_reordered() && part == total.reordered) ||
          (header.type.dtype == dtype::block && type == total.blocks) ||
          !entries.has_room(index_layout::size_of_entry(header.rank, digits_of(number)))) {
        return error(errc::malformed, "npy");
      }
      index_row row;
      row.layout = header.type.layout();
      row.shape = header.extents();
      row.offset_bytes = array.offset_bytes;
      row.size_bytes = header.size_bytes;
      row.big_endian = header.type.is_big_endian;
      std::uint32_t block = 0;
      if (row.layout.dtype == dtype::block) {
        own_type& kept = (*own_types)[type++];
        kept.type = header.type;
        kept.block = kept.type.layout().block;
        const result<std::uint32_t> found = blocks.number_of(kept.block);
        if (!found) return found.error();
        block = *found;
      }
      if (header.is_reordered()) {
        result<source> kept = source::keep(npy_reordered(data, array.offset_bytes, header), memory_);
        if (!kept) return kept.error();
        row.part = ++part;
        row.offset_bytes = 0;
        (*parts)[part].path = "(decoded)";
        (*parts)[part].size_bytes = row.size_bytes;
        (*sources)[part] = std::move(*kept);
      }
      return with_name(number, [&](std::string_view own_name) -> result<void> {
        row.name = own_name;
        if (const errc failure = write_entry(row, number, block, entries.end()); failure != errc{})
          return error(failure, own_name);
        (void)entries.take(index_layout::size_of_entry(header.rank, own_name.size()));
        ++number;
        return {};
      });
    };
    error ignored(errc{});
    if (auto walked = walk(data, add, &ignored); !walked) return walked.error();
    if (number != total.arrays || part != total.reordered) return error(errc::malformed, "npy");

    index_limits limits;
    limits.alignment_bytes = 1;
    limits.data_end_bytes = data.size_bytes();
    result<source> table = entries.finish(made.index, number, *parts, blocks, limits, "npy", memory_);
    if (!table) return table.error();
    made.table = std::move(*table);
    (part_count == 0 ? made.data : (*sources)[0]) = std::move(data);
    made.parts = std::move(*sources);
    return store(std::move(made));
  }

  struct own_type {
    npy_type type;
    block_type block;
  };

  numpy_types types_;
  memory_resource* memory_;
};

} // namespace detail

} // namespace stet::inline STET_NAMESPACE

#endif
