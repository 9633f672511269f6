// SPDX-License-Identifier: MIT
// Makes the table of a store from the constant tensors of TFLite models.
#ifndef STET_FORMATS_TFLITE_DETAIL_TABLE_HPP
#define STET_FORMATS_TFLITE_DETAIL_TABLE_HPP

#include "constants.hpp"

#include "../../common/index_collector.hpp"
#include "../../common/string_table.hpp"

#include "../../../store/store.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

// A string tensor:
//
//   i32 count | i32 offset of each string from the beginning, and of the end of the last | bytes
//
// Source: tensorflow/lite/string_util.h.

namespace stet::inline STET_NAMESPACE::detail {

/// Decodes a string tensor to stet's layout.
/// @retval errc::bad_string_table  the offsets do not lead from the end of the table to the end of the bytes, or there are not
///                                 `element_count` strings
/// Cost: allocates less than four times the size of `stored`.
inline result<source> decode_tflite_strings(std::span<const std::byte> stored, std::uint64_t element_count,
                                            memory_resource* memory) noexcept {
  const auto word = [&](std::uint64_t number) {
    return std::uint64_t{load_little<std::uint32_t>(stored.data() + static_cast<std::size_t>(number) * 4)};
  };
  if (stored.size() < 8 || word(0) != element_count || element_count > stored.size() / 4 - 2)
    return errc::bad_string_table;
  const std::uint64_t head = (element_count + 2) * 4;
  if (word(1) != head || word(element_count + 1) != stored.size()) return errc::bad_string_table;
  result<string_table> made = string_table::allocate(element_count, stored.size() - head, memory);
  if (!made) return made.error();
  for (std::uint64_t number = 1; number <= element_count; ++number) {
    const std::uint64_t begin = word(number), end = word(number + 1);
    if (begin > end || end > stored.size()) return errc::bad_string_table;
    made->append(text_at(stored.data() + static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)));
  }
  return made->finish();
}

/// The table of a store, from one model, or from those of a bundle. Used once.
class tflite_table {
public:
  /// @param memory  for the table and decoded strings; nullptr: the heap
  explicit tflite_table(memory_resource* memory) noexcept : memory_(memory), store_(memory), rows_(store_.rows()) {}

  /// Adds the constants of the model that `bytes` holds.
  /// @param base_bytes  where the model begins in the file of the store
  /// @param prefix      of the names of its tensors
  /// @param omit        called with the name, in two pieces, and the error of what cannot be in a store
  /// Errors: those of `open_tflite` for the file's content.
  template <class Omit>
  result<void>
  add_model(std::span<const std::byte> bytes, std::uint64_t base_bytes, std::string_view prefix,
            Omit omit) noexcept(noexcept(omit(std::declval<const tflite_constant&>(), std::declval<const error&>()))) {
    constexpr bool is_noexcept = noexcept(omit(std::declval<const tflite_constant&>(), std::declval<const error&>()));
    tflite_file file(bytes);
    if (auto opened = file.open(); !opened) return opened;
    const std::uint32_t first = rows_.count();
    const std::size_t begin = rows_.size_bytes();
    auto read = file.for_each_constant([&](const tflite_constant& of) noexcept(is_noexcept) -> result<void> {
      if (of.is_external) return omit(of, of.problem(errc::external_data, of.table.offset_bytes())), result<void>();
      if (of.type == nullptr) return omit(of, of.problem(errc::unknown_dtype, of.table.offset_bytes())), result<void>();
      if (const flatbuffer_table sparsity = of.table.table(tflite_field::sparsity); sparsity.is_present())
        return add_sparse(file, of, sparsity, base_bytes, prefix);
      if (of.type->dtype == dtype::string) return add_strings(bytes, of, prefix);
      index_row row;
      row.layout = element_layout::of(of.type->dtype);
      row.shape = of.extents;
      row.offset_bytes = base_bytes + of.offset_bytes;
      row.size_bytes = of.size_bytes;
      const std::string_view name[] = {prefix, of.key, of.name};
      return add(of, row, name);
    });
    return read ? add_plain_names(first, begin, prefix) : read;
  }

  /// Makes the store, as `store_collector::finish`.
  result<store> finish(source&& file, std::string_view name, bool has_parts = false) noexcept {
    return store_.finish(std::move(file), name, has_parts);
  }

private:
  /// A tensor, for finding names that occur once.
  struct named {
    std::uint64_t hash;
    std::size_t place;
    /// Of the tensor among those of the model.
    std::uint32_t number;
  };

  result<void> add(const tflite_constant& of, const index_row& row, std::span<const std::string_view> name) noexcept {
    const auto added = rows_.add(row, name);
    if (added || added.error().code() == errc::out_of_memory) return added;
    return of.problem(added.error().code(), of.table.offset_bytes());
  }
  result<void> add_strings(std::span<const std::byte> bytes, const tflite_constant& of,
                           std::string_view prefix) noexcept {
    std::uint64_t count = 1; // which was found not to overflow
    for (const std::uint64_t extent : of.extents) count *= extent;
    result<source> made = decode_tflite_strings(
        bytes.subspan(static_cast<std::size_t>(of.offset_bytes), static_cast<std::size_t>(of.size_bytes)), count,
        memory_);
    if (!made) {
      return made.error().code() == errc::bad_string_table ? of.problem(errc::bad_string_table, of.offset_bytes)
                                                           : made.error();
    }
    index_row row;
    row.layout = element_layout::of(dtype::string);
    row.shape = of.extents;
    row.size_bytes = made->size_bytes();
    const result<std::uint32_t> part = store_.add_decoded(std::move(*made));
    if (!part) return part.error();
    row.part = *part;
    const std::string_view name[] = {prefix, of.key, of.name};
    return add(of, row, name);
  }

  /// Adds the parts of a sparse tensor: its values, and the segments and indices of its sparse dimensions.
  result<void> add_sparse(tflite_file& file, const tflite_constant& of, const flatbuffer_table& sparsity,
                          std::uint64_t base_bytes, std::string_view prefix) noexcept {
    const std::uint8_t bits = describe(of.type->dtype).bits;
    if (bits == 0 || of.size_bytes * 8 % bits != 0) return of.problem(errc::bad_size, of.offset_bytes);
    if (auto added = add_list(of, prefix, {}, ".values", of.type->dtype, of.size_bytes * 8 / bits,
                              base_bytes + of.offset_bytes, of.size_bytes);
        !added)
      return added;
    const flatbuffer_vector dimensions = sparsity.references(tflite_field::dim_metadata);
    for (std::uint32_t number = 0; number < dimensions.size(); ++number) {
      const flatbuffer_table each = dimensions.table(number);
      char buffer[16];
      text_writer text(buffer, sizeof buffer);
      text.append(".dim").append(std::uint64_t{number});
      for (const bool is_indices : {false, true}) {
        const std::uint32_t field = is_indices ? tflite_field::indices_type : tflite_field::segments_type;
        const auto type = each.number<std::uint8_t>(field);
        constexpr dtype types[] = {dtype::int32, dtype::uint16, dtype::uint8};
        if (type == 0) continue;
        if (type > 3) return of.problem(errc::malformed, each.offset_bytes());
        const std::uint32_t size = type == 1 ? 4 : type == 2 ? 2 : 1;
        const flatbuffer_vector values = each.table(field + 1).vector(0, size);
        if (!file.in().is_good()) break;
        if (values.size() == 0) continue;
        if (auto added =
                add_list(of, prefix, text.text(), is_indices ? ".indices" : ".segments", types[type - 1], values.size(),
                         base_bytes + values.offset_bytes(), std::uint64_t{values.size()} * size);
            !added)
          return added;
      }
      // The name is copied for each part.
      (void)file.in().spend(of.name.size() / 2, each.offset_bytes());
      if (!file.in().is_good()) break;
    }
    if (file.in().is_good()) return {};
    const error found = file.in().problem({});
    return of.problem(found.code(), found.offset_bytes());
  }
  result<void> add_list(const tflite_constant& of, std::string_view prefix, std::string_view dimension,
                        std::string_view what, dtype type, std::uint64_t count, std::uint64_t offset_bytes,
                        std::uint64_t size_bytes) noexcept {
    index_row row;
    row.layout = element_layout::of(type);
    row.shape = std::span<const std::uint64_t>(&count, 1);
    row.offset_bytes = offset_bytes;
    row.size_bytes = size_bytes;
    const std::string_view name[] = {prefix, of.key, of.name, dimension, what};
    return add(of, row, name);
  }

  /// Adds, for each name that one tensor of the model has, an alias without the numbers: PREFIX NAME. Names that begin like those
  /// with numbers have none.
  result<void> add_plain_names(std::uint32_t first, std::size_t begin, std::string_view prefix) noexcept {
    const std::uint32_t count = rows_.count() - first;
    constexpr std::uint64_t room_for_each = 2 * sizeof(named) + sizeof(std::uint32_t) + 1;
    result<source> room = source::allocate(count * room_for_each, memory_);
    if (!room) return room.error();
    named *const found = reinterpret_cast<named*>(room->writable_data()), *const all = found + count;
    std::uint32_t* const ends = reinterpret_cast<std::uint32_t*>(all + count);
    std::byte* const is_unique = reinterpret_cast<std::byte*>(ends + count);
    std::uint32_t used = 0;
    // An alias takes less room than the tensor, and its name once more. Names must not move from here on.
    if (auto there = rows_.make_room(2 * std::uint64_t{rows_.size_bytes() - begin}); !there) return there;
    const auto plain = [&](std::size_t place) {
      std::string_view name = rows_.name_at(place);
      name.remove_prefix(prefix.size());
      name.remove_prefix(size_of_key(name));
      return name;
    };
    std::size_t place = begin;
    for (std::uint32_t number = 0; number < count; ++number, place += rows_.size_at(place)) {
      is_unique[number] = std::byte{0};
      const std::string_view name = plain(place);
      if (!name.empty() && size_of_key(name) == 0) found[used++] = {hash_name(name, 0), place, number};
    }
    sort_by_hash(found, used, all, ends, [&](const named& a, const named& b) {
      return a.hash != b.hash ? a.hash < b.hash : plain(a.place).compare(plain(b.place)) < 0;
    });
    bool is_repeated = false;
    for (std::uint32_t i = 0; i < used; ++i) {
      const bool is_next_same =
          i + 1 < used && all[i].hash == all[i + 1].hash && plain(all[i].place) == plain(all[i + 1].place);
      if (!is_repeated && !is_next_same) is_unique[all[i].number] = std::byte{1};
      is_repeated = is_next_same;
    }
    for (std::uint32_t number = 0; number < count; ++number, begin += rows_.size_at(begin)) {
      if (is_unique[number] == std::byte{0}) continue;
      const std::string_view pieces[] = {prefix, plain(begin)};
      rows_.add_alias(first + number, begin, pieces);
    }
    return {};
  }
  /// The size of "NUMBER:NUMBER:" at the beginning of `name`; 0 if it is not there.
  static std::size_t size_of_key(std::string_view name) noexcept {
    std::size_t at = 0;
    for (int part = 0; part < 2; ++part) {
      const std::size_t begin = at;
      while (at < name.size() && name[at] >= '0' && name[at] <= '9') ++at;
      if (at == begin || at == name.size() || name[at] != ':') return 0;
      ++at;
    }
    return at;
  }

  memory_resource* memory_;
  store_collector store_;
  index_collector& rows_;
};

/// Opens the TFLite model that `data` holds, all of it in memory.
/// @param name  of the file
/// @param omit  as for `tflite_table::add_model`
template <class Omit>
result<store> open_tflite_source(source&& data, std::string_view name, memory_resource* memory,
                                 Omit omit) noexcept(noexcept(omit(std::declval<const tflite_constant&>(),
                                                                   std::declval<const error&>()))) {
  tflite_table table(memory);
  const std::span<const std::byte> bytes = bytes_at(data.data(), static_cast<std::size_t>(data.size_bytes()));
  if (auto added = table.add_model(bytes, 0, {}, omit); !added) return added.error();
  return table.finish(std::move(data), name);
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
