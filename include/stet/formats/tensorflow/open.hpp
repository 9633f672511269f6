// SPDX-License-Identifier: MIT
// Opens TensorFlow V2 checkpoints: shards mapped, tensors in place.
#ifndef STET_FORMATS_TENSORFLOW_OPEN_HPP
#define STET_FORMATS_TENSORFLOW_OPEN_HPP

#include "detail/bundle.hpp"
#include "detail/data_type.hpp"
#include "detail/object_graph.hpp"
#include "detail/second_names.hpp"
#include "detail/sliced_strings.hpp"
#include "detail/strings.hpp"
#include "../common/model_folder.hpp"
#include "../common/readers.hpp"
#include "../common/slices.hpp"

#include "../format.hpp"
#include "../common/store_builder.hpp"

#include "../../wire/masked_crc32c.hpp"
#include "../../wire/sorted_table.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// The index of the checkpoint with this prefix, in memory: mapped if it is large and `options` do not ask for reading. To map a
/// small one, touch it and unmap it again takes longer than to read it.
/// @param probe  if given: what may look at that file already, and have its bytes
inline result<source> checkpoint_index(std::string_view prefix, const open_options& options,
                                       format_probe* probe = nullptr) {
  constexpr std::uint64_t small_size_bytes = 256 * 1024;
  open_options only_read = options;
  only_read.access = access::read_only;
  const std::string path = std::string(prefix) + ".index";
  if (probe != nullptr && probe->path() == path) return resident_bytes(path, only_read, probe);
  return open_resident(path, only_read, small_size_bytes);
}

/// An entry of an index is rarely smaller; so many tensors at most are expected.
inline constexpr std::uint64_t bytes_of_an_entry = 28;

/// Adds the tensors of one checkpoint to a store that is being built.
class checkpoint_reader {
public:
  /// @param prefix    path of the checkpoint without ".index"
  /// @param subfolder  where that is within the folder of the model: "", or a path that ends in '/'
  checkpoint_reader(store_builder& into, std::string_view prefix, std::string_view subfolder,
                    const open_options& options)
      : into_(into), prefix_(prefix), subfolder_(subfolder), options_(options), folder_(prefix_, options) {}

  /// @param index  what the file with ".index" holds
  result<void> run(const source& index) {
    const std::string path = prefix_ + ".index";
    const std::span<const std::byte> bytes(index.data(), static_cast<std::size_t>(index.size_bytes()));
    sorted_table table;
    if (auto opened = table.open(bytes); !opened) return opened.error().about(path);
    if (auto opened = open_shards(table, bytes.size()); !opened) return about_file(opened.error(), path);
    while (table.next()) {
      if (const auto added = add_entry(table); !added) return added;
    }
    if (!table.is_whole()) return table.failure().about(path);
    if (!graph_.empty()) add_second_names(into_, graph_);
    return {};
  }

private:
  static error about_file(const error& failure, std::string_view path) noexcept {
    return failure.subject().empty() ? failure.about(path) : failure;
  }

  /// Reads the header, which is the first entry, and opens every shard; one that is not there fails only its tensors.
  result<void> open_shards(sorted_table& table, std::size_t index_size_bytes) {
    if (!table.next()) return table.is_whole() ? result<void>(error(errc::bad_header)) : table.failure();
    if (!table.key().empty()) return error(errc::bad_header, {}, table.offset_bytes());
    const result<bundle_header> header = parse_bundle_header(table.value());
    if (!header) return header.error();
    // Each shard holds a tensor, whose entry has eight bytes at least: so a small file cannot ask for many.
    if (static_cast<std::uint64_t>(header->shard_count) > index_size_bytes / 8)
      return error(errc::too_large, "number of shards");
    is_big_endian_ = header->is_big_endian;
    shard_count_ = static_cast<std::uint32_t>(header->shard_count);
    is_missing_.resize(shard_count_);
    for (std::uint32_t shard = 0; shard < shard_count_; ++shard) {
      const std::string name = shard_name(shard);
      result<source> opened = folder_.open_part(name);
      is_missing_[shard] = !opened && opened.error().code() == errc::file_not_found;
      if (is_missing_[shard]) {
        opened = source::keep(missing_file(name), into_.memory());
      } else if (opened) {
        data_size_bytes_ += opened->size_bytes();
      }
      if (!opened) return opened.error().about(name);
      const std::uint32_t part = into_.add_file(subfolder_ + name, std::move(*opened));
      if (shard == 0) first_part_ = part;
    }
    return {};
  }

  /// Adds the tensor that the table is at, or keeps a slice for the tensor that comes later.
  result<void> add_entry(const sorted_table& table) {
    const std::string_view key = table.key();
    if (key.front() == '\0') {
      const std::span<const std::byte> value = table.value();
      slices_.emplace_back(key, std::string(reinterpret_cast<const char*>(value.data()), value.size()));
      return {};
    }
    errc failure = entry_.parse(table.value());
    const bool is_variant = entry_.data_type == tensorflow_variant && entry_.slices.empty();
    if (failure == errc{} && !is_variant && dtype_of_tensorflow(entry_.data_type) == no_dtype) {
      into_.omit(key, omitted_data_type(entry_.data_type));
      return {};
    }
    if (failure == errc{}) {
      index_row row;
      row.name = key;
      row.shape = entry_.shape.extents();
      failure = entry_.slices.empty() ? add_whole(row) : add_sliced(row);
    }
    return failure == errc{} ? result<void>() : error(failure, key, table.offset_bytes());
  }

  errc add_whole(index_row& row) {
    element_counter counter;
    for (const std::uint64_t extent : row.shape) {
      if (!counter.multiply(extent)) return errc::bad_shape;
    }
    bool is_cut_off = false;
    if (const errc failure = place(entry_, row, is_cut_off); failure != errc{}) return failure;
    const dtype d = dtype_of_tensorflow(entry_.data_type);
    if (d == dtype::string) return add_strings(row, counter.element_count(), is_cut_off);
    if (entry_.data_type == tensorflow_variant) return add_variant(row, counter.element_count(), is_cut_off);
    row.layout = tensorflow_layout(d);
    std::uint64_t size_bytes = 0;
    if (!checked_size_bytes(counter, row.layout, size_bytes)) return errc::bad_shape;
    if (size_bytes != row.size_bytes) return errc::bad_size;
    if (is_cut_off) return add_unreadable(row, shard_error(errc::truncated, entry_.shard), size_bytes);
    row.crc32c = unmask_crc32c(entry_.masked_crc32c);
    row.has_crc32c = true;
    into_.add(row);
    return errc{};
  }

  /// Variants are of any size: all of a tensor is one block, whose bytes only TensorFlow can read. Their checksum is not one of
  /// these bytes.
  errc add_variant(index_row& row, std::uint64_t element_count, bool is_cut_off) {
    if (element_count > 0xFFFFFFFFu || row.size_bytes > 0xFFFFFFFFu) return errc::too_large;
    if ((element_count == 0) != (row.size_bytes == 0)) return errc::bad_size;
    row.layout = {dtype::block, 0, {"variant", 1, 1}};
    if (element_count != 0) {
      row.layout.block.element_count = static_cast<std::uint32_t>(element_count);
      row.layout.block.size_bytes = static_cast<std::uint32_t>(row.size_bytes);
    }
    row.big_endian = false;
    if (is_cut_off) return add_unreadable(row, shard_error(errc::truncated, entry_.shard), row.size_bytes);
    into_.add(row);
    return errc{};
  }

  [[nodiscard]] std::string shard_name(std::uint32_t shard) const {
    return prefix_.substr(folder_.folder().size()) + shard_suffix(shard, shard_count_);
  }
  /// An error about a shard; reading a tensor in it is this.
  [[nodiscard]] error shard_error(errc code, std::uint32_t shard) const { return error(code, shard_name(shard)); }

  /// Sets where the bytes of an entry lie.
  /// @param is_cut_off  set: whether the shard ends before they do
  errc place(const bundle_entry& entry, index_row& row, bool& is_cut_off) const {
    if (entry.shard >= shard_count_) return errc::bad_offset;
    if (entry.offset_bytes > max_tensor_size_bytes || entry.size_bytes > max_tensor_size_bytes) return errc::bad_offset;
    row.part = first_part_ + entry.shard;
    row.offset_bytes = entry.offset_bytes;
    row.size_bytes = entry.size_bytes;
    row.big_endian = is_big_endian_;
    is_cut_off = !range_fits(row.offset_bytes, row.size_bytes, into_.part(row.part).size_bytes());
    if (is_cut_off && row.size_bytes == 0) { // nothing is cut off
      row.offset_bytes = 0;
      is_cut_off = false;
    }
    return errc{};
  }

  /// Adds a tensor whose bytes are those of `made`, which lie in no file as they are.
  void add_decoded(index_row& row, source&& made) {
    row.offset_bytes = 0;
    row.size_bytes = made.size_bytes();
    row.part = into_.add_decoded(std::move(made));
    into_.add(row);
  }
  /// Adds a tensor that can be listed only: to read it is `failure`.
  errc add_unreadable(index_row& row, const error& failure, std::uint64_t size_bytes) {
    result<source> made = source::keep(unreadable_bytes(failure, size_bytes), into_.memory());
    if (!made) return made.error().code();
    add_decoded(row, std::move(*made));
    return errc{};
  }

  errc add_strings(index_row& row, std::uint64_t element_count, bool is_cut_off) {
    row.layout = element_layout::of(dtype::string);
    row.big_endian = false;
    // The offsets of stet's own layout; no more strings than bytes, which have a length each.
    if (element_count > row.size_bytes || element_count >= max_tensor_size_bytes / 8) return errc::bad_size;
    const std::uint64_t table_size = (element_count + 1) * 8;
    if (is_missing_[entry_.shard])
      return add_unreadable(row, shard_error(errc::missing_part, entry_.shard), table_size);
    if (is_cut_off) return add_unreadable(row, shard_error(errc::truncated, entry_.shard), table_size);
    if (!takes_strings(row.size_bytes)) return errc::too_large;
    result<source> decoded =
        read_strings(row.part, {row.offset_bytes, row.size_bytes}, element_count, entry_.masked_crc32c);
    if (!decoded) return add_unreadable(row, decoded.error().about(row.name), table_size);
    return add_native_strings(row, std::move(*decoded), element_count);
  }
  /// Counts strings that are about to be decoded. @return  whether there may be so many
  bool takes_strings(std::uint64_t stored_size_bytes) noexcept {
    decoded_size_bytes_ += stored_size_bytes;
    return are_strings_in_proportion(decoded_size_bytes_, data_size_bytes_);
  }
  /// Reads and decodes strings of a shard.
  [[nodiscard]] result<source> read_strings(std::uint32_t part, file_range where, std::uint64_t element_count,
                                            std::uint32_t masked_crc) const {
    const source& from = into_.part(part);
    result<source> stored = from.data() != nullptr
                                ? source::borrow({from.data() + static_cast<std::size_t>(where.offset_bytes),
                                                  static_cast<std::size_t>(where.size_bytes)})
                                : source::read(*from.fetcher(), where, alignof(std::max_align_t), into_.memory());
    if (!stored) return stored;
    return decode_strings({stored->data(), static_cast<std::size_t>(stored->size_bytes())}, element_count, masked_crc,
                          is_big_endian_, into_.memory());
  }
  errc add_native_strings(index_row& row, source&& decoded, std::uint64_t element_count) {
    const std::span<const std::byte> native(decoded.data(), static_cast<std::size_t>(decoded.size_bytes()));
    // TensorFlow's checksum of the stored form was right; this one is of what it became.
    row.crc32c = crc32c(native);
    row.has_crc32c = true;
    if (row.name == object_graph_key && element_count == 1) graph_ = native.subspan(16);
    add_decoded(row, std::move(decoded));
    return errc{};
  }

  /// Adds a tensor that was saved in slices.
  errc add_sliced(index_row& row) {
    const dtype d = dtype_of_tensorflow(entry_.data_type);
    element_counter counter;
    for (const std::uint64_t extent : row.shape) {
      if (!counter.multiply(extent)) return errc::bad_shape;
    }
    row.layout = d == dtype::string ? element_layout::of(d) : tensorflow_layout(d);
    if (!checked_size_bytes(counter, row.layout, row.size_bytes)) return errc::bad_shape;
    row.big_endian = is_big_endian_ && d != dtype::string;

    std::vector<tensor_slice> slices;
    std::vector<slice_extent> extents;
    for (const std::span<const std::byte> listed : entry_.slices) {
      if (!parse_slice(listed, extents)) return errc::bad_protobuf;
      if (!append_slice(extents, row.shape, slices))
        return add_unreadable(row, error(errc::bad_slice, row.name), row.size_bytes);
    }
    if (row.size_bytes == 0) {
      row.part = first_part_;
      into_.add(row);
      return errc{};
    }
    const std::uint64_t element_size = row.layout.bits / 8u;
    bool is_sound = counter.element_count() == 0 || sort_and_cover(row.shape, slices);
    for (std::size_t i = 0; is_sound && i < slices.size(); ++i) {
      bool is_cut_off = false;
      if (const errc failure = find_slice(row.name, slices[i], element_size, is_cut_off); failure != errc{}) {
        if (failure != errc::bad_slice) return failure;
        is_sound = false;
      } else if (is_cut_off) {
        return add_unreadable(row, shard_error(errc::truncated, slices[i].part - first_part_), row.size_bytes);
      }
    }
    if (!is_sound) return add_unreadable(row, error(errc::bad_slice, row.name), row.size_bytes);
    if (d == dtype::string) return add_sliced_strings(row, slices, counter.element_count());
    if (const errc failure = place_slices(into_, row, element_size, std::move(slices)); failure != errc{})
      return failure;
    into_.add(row);
    return errc{};
  }

  /// Adds a tensor of strings whose slices were found.
  errc add_sliced_strings(index_row& row, const std::vector<tensor_slice>& slices, std::uint64_t element_count) {
    std::vector<source> strings;
    for (const tensor_slice& slice : slices) {
      const std::uint32_t shard = slice.part - first_part_;
      if (is_missing_[shard]) return add_unreadable(row, shard_error(errc::missing_part, shard), row.size_bytes);
      if (!takes_strings(slice.size_bytes)) return errc::too_large;
      result<source> decoded = read_strings(slice.part, {slice.offset_bytes, slice.size_bytes}, slice.element_count(),
                                            mask_crc32c(slice.crc32c));
      if (!decoded) return add_unreadable(row, decoded.error().about(row.name), row.size_bytes);
      strings.push_back(std::move(*decoded));
    }
    result<source> made = gather_strings(row.shape, slices, strings, into_.memory());
    if (!made) return made.error().code();
    return add_native_strings(row, std::move(*made), element_count);
  }

  /// Sets where the bytes of a slice of the tensor `name` lie, by the slice's own entry.
  /// @param element_size_bytes  0: of strings
  /// @param is_cut_off          that of `place`
  /// @return  errc::bad_slice if there is none, or it is not what the tensor says; other errors are those of the entry
  errc find_slice(std::string_view name, tensor_slice& slice, std::uint64_t element_size_bytes, bool& is_cut_off) {
    const std::string wanted = slice_key(name, slice.written);
    const auto found = std::lower_bound(slices_.begin(), slices_.end(), wanted,
                                        [](const auto& entry, const std::string& key) { return entry.first < key; });
    if (found == slices_.end() || found->first != wanted) return errc::bad_slice;
    if (const errc failure = slice_entry_.parse(std::as_bytes(std::span(found->second))); failure != errc{})
      return failure;
    const std::span<const std::uint64_t> stored = slice_entry_.shape.extents();
    if (slice_entry_.data_type != entry_.data_type || !slice_entry_.slices.empty() ||
        !std::equal(stored.begin(), stored.end(), slice.extents.begin(), slice.extents.end())) {
      return errc::bad_slice;
    }
    index_row row;
    if (const errc failure = place(slice_entry_, row, is_cut_off); failure != errc{}) return failure;
    if (element_size_bytes != 0 && row.size_bytes != slice.element_count() * element_size_bytes) return errc::bad_size;
    slice.part = row.part;
    slice.data = into_.part(row.part).data();
    slice.fetcher = into_.part(row.part).fetcher();
    slice.offset_bytes = row.offset_bytes;
    slice.size_bytes = row.size_bytes;
    slice.crc32c = unmask_crc32c(slice_entry_.masked_crc32c);
    slice.has_crc32c = true;
    return errc{};
  }

  store_builder& into_;
  std::string prefix_, subfolder_;
  open_options options_;
  model_folder folder_; // views prefix_
  bundle_entry entry_, slice_entry_;
  std::vector<std::pair<std::string, std::string>> slices_; // key and entry, in the order of the table
  std::span<const std::byte> graph_;                        // in a decoded part
  std::uint64_t data_size_bytes_ = 0, decoded_size_bytes_ = 0;
  std::uint32_t shard_count_ = 0, first_part_ = 0;
  std::vector<bool> is_missing_; // each shard
  bool is_big_endian_ = false;
};

} // namespace detail

/// Adds the files and tensors of the V2 checkpoint with this prefix to a store that is being built, in the order of their keys.
/// @param prefix     path of the checkpoint without ".index"
/// @param subfolder  where that is within the folder of the model: "", or a path that ends in '/', "variables/", say
/// @retval errc::file_not_found … io_error  the index, or a shard that is there, cannot be opened or mapped
/// @retval errc::truncated       the index is too short
/// @retval errc::bad_magic, bad_table, table_checksum, bad_compression  the index is no sound table
/// @retval errc::bad_header, newer_format, bad_protobuf, too_large      its header or an entry is not valid
/// @retval errc::bad_shape, bad_size, bad_offset                        the entry of a tensor, the subject, is not valid
/// Variants, such as the state of iterators, are opaque blocks. Tensors whose dtype stet does not have are omitted, each with its
/// reason (`model::omitted`).
/// A tensor in a missing shard or behind the end of one, one whose slices do not make it up or are damaged, and damaged strings are
/// listed all the same; reading them is errc::missing_part or errc::truncated, the shard the subject, errc::bad_slice,
/// errc::bad_string_table or errc::checksum_mismatch.
/// Cost: reads the index and string tensors; of other tensors nothing.
inline result<void> add_tensorflow_checkpoint(store_builder& into, std::string_view prefix,
                                              const open_options& options = {}, std::string_view subfolder = {}) {
  const result<source> index = detail::checkpoint_index(prefix, options);
  if (!index) return index.error();
  return detail::checkpoint_reader(into, prefix, subfolder, options).run(*index);
}

namespace detail {

/// Opens the V2 checkpoint with this prefix, whose index the probe may look at.
inline result<model> open_checkpoint_v2(std::string_view prefix, const open_options& options,
                                        std::string_view subfolder, format_probe* probe) {
  const result<source> index = checkpoint_index(prefix, options, probe);
  if (!index) return index.error();
  store_builder into(static_cast<std::size_t>(index->size_bytes() / bytes_of_an_entry), options.memory);
  if (auto read = checkpoint_reader(into, prefix, subfolder, options).run(*index); !read) return read.error();
  return finish_model(into, options);
}

} // namespace detail

/// Opens the V2 checkpoint with this prefix. Errors and cost: those of `add_tensorflow_checkpoint` and `store_builder::finish`.
[[nodiscard]] inline result<model> open_tensorflow_checkpoint(std::string_view prefix, const open_options& options = {},
                                                              std::string_view subfolder = {}) {
  return detail::open_checkpoint_v2(prefix, options, subfolder, nullptr);
}

} // namespace stet::inline STET_NAMESPACE

#endif
