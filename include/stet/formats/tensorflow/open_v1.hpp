// SPDX-License-Identifier: MIT
// Opens TensorFlow V1 checkpoints, whose tables hold the tensors: floats in place, others decoded.
#ifndef STET_FORMATS_TENSORFLOW_OPEN_V1_HPP
#define STET_FORMATS_TENSORFLOW_OPEN_V1_HPP

#include "detail/bundle.hpp"
#include "detail/data_type.hpp"
#include "../common/slices.hpp"
#include "detail/tensor_proto.hpp"

#include "../format.hpp"
#include "../common/store_builder.hpp"
#include "../common/string_table.hpp"

#include "../../source/detail/path.hpp"
#include "../../wire/sorted_table.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Each file is a sorted table (wire/sorted_table.hpp) of
//
//   SavedTensorSlices     under key "": 1 SavedTensorSliceMeta meta; under the keys of slices (bundle.hpp): 2 SavedSlice data
//   SavedTensorSliceMeta  1 tensor (repeated) {1 name | 2 TensorShapeProto | 3 DataType | 4 TensorSliceProto (repeated)}
//   SavedSlice            1 name | 2 TensorSliceProto | 3 TensorProto data
//
// Of a TensorProto one of the lists of values is filled, by the type, and nothing else. Slices of one tensor may stand in several
// files. Source: tensorflow/core/util/saved_tensor_slice.proto, core/framework/tensor.proto.

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// Adds the tensors of one V1 checkpoint to a store that is being built.
class checkpoint_v1_reader {
public:
  /// @param probe  if given: what looks at one of the files already
  checkpoint_v1_reader(store_builder& into, const open_options& options, format_probe* probe)
      : into_(into), options_(options), probe_(probe) {}

  /// `files` are its paths; each is known in the model by what follows its folder, behind `subfolder`.
  result<void> run(const std::vector<std::string>& files, std::string_view subfolder) {
    const std::uint32_t first_part = into_.file_count();
    for (const std::string& path : files) {
      const bool is_open = probe_ != nullptr && !probe_->failure() && probe_->path() == path;
      result<source> opened = is_open ? probe_->take_bytes() : open_resident(path, options_);
      if (!opened)
        return opened.error().code() == errc::file_not_found ? error(errc::missing_part, path) : opened.error();
      into_.add_file(std::string(subfolder).append(file_name_in(path)), std::move(*opened));
    }
    for (std::uint32_t number = 0; number < files.size(); ++number) {
      if (auto read = read_table(first_part + number); !read) return read.error().about(files[number]);
    }
    std::stable_sort(values_.begin(), values_.end(),
                     [](const slice_value& a, const slice_value& b) { return a.key < b.key; });
    for (const listed_tensor& tensor : tensors_) {
      if (const errc failure = add_tensor(tensor); failure != errc{}) return error(failure, tensor.name);
    }
    return {};
  }

private:
  /// A tensor, as the files together list it.
  struct listed_tensor {
    std::string name;
    std::int32_t data_type = 0;
    std::vector<std::uint64_t> shape;
    std::vector<std::vector<slice_extent>> slices;
  };
  /// The TensorProto of a slice.
  struct slice_value {
    std::string key;
    std::span<const std::byte> tensor;
    std::uint32_t part = 0; // in which it lies, a file or decompressed
  };

  result<void> read_table(std::uint32_t part) {
    const source& from = into_.part(part);
    const std::byte* const file = from.data();
    sorted_table table;
    if (auto opened = table.open({file, static_cast<std::size_t>(from.size_bytes())}); !opened) return opened;
    if (!table.next()) return table.is_whole() ? result<void>(error(errc::bad_header)) : table.failure();
    if (!table.key().empty()) return error(errc::bad_header, {}, table.offset_bytes());
    if (const errc failure = read_meta(table.value()); failure != errc{})
      return error(failure, {}, table.offset_bytes());
    while (table.next()) {
      slice_value value;
      value.key = table.key();
      if (!find_tensor_proto(table.value(), value.tensor)) return error(errc::bad_protobuf, {}, table.offset_bytes());
      value.part = part;
      if (!table.is_in_place()) {
        result<source> copy = source::copy(value.tensor, into_.memory());
        if (!copy) return copy.error();
        value.tensor = {copy->data(), value.tensor.size()};
        value.part = into_.add_decoded(std::move(*copy));
      }
      values_.push_back(std::move(value));
    }
    return table.is_whole() ? result<void>() : table.failure();
  }

  /// Takes the tensors that a SavedTensorSlices lists, or more slices of those that a file before listed.
  errc read_meta(std::span<const std::byte> bytes) {
    protobuf_message saved(bytes);
    while (saved.next()) {
      if (saved.tag() != bytes_field(1)) continue;
      protobuf_message meta(saved.bytes());
      while (meta.next()) {
        if (meta.tag() != bytes_field(1)) continue;
        if (const errc failure = read_listed(meta.bytes()); failure != errc{}) return failure;
      }
      if (!meta.is_whole()) return errc::bad_protobuf;
    }
    return saved.is_whole() ? errc{} : errc::bad_protobuf;
  }

  errc read_listed(std::span<const std::byte> bytes) {
    listed_tensor tensor;
    shape_.clear();
    protobuf_message message(bytes);
    while (message.next()) {
      switch (message.tag()) {
      case bytes_field(1):
        tensor.name = message.text();
        break;
      case bytes_field(2):
        if (const errc failure = shape_.append(message.bytes()); failure != errc{}) return failure;
        break;
      case varint_field(3):
        tensor.data_type = message.int32();
        break;
      case bytes_field(4):
        if (!parse_slice(message.bytes(), tensor.slices.emplace_back())) return errc::bad_protobuf;
        break;
      default:
        break;
      }
    }
    if (!message.is_whole()) return errc::bad_protobuf;
    tensor.shape.assign(shape_.extents().begin(), shape_.extents().end());
    const auto [known, is_new] = numbers_.try_emplace(tensor.name, tensors_.size());
    if (is_new) {
      tensors_.push_back(std::move(tensor));
      return errc{};
    }
    listed_tensor& before = tensors_[known->second];
    if (before.data_type != tensor.data_type || before.shape != tensor.shape) return errc::duplicate_name;
    for (std::vector<slice_extent>& slice : tensor.slices) before.slices.push_back(std::move(slice));
    return errc{};
  }

  /// Sets `tensor` to the TensorProto in a SavedTensorSlices; empty if there is none.
  static bool find_tensor_proto(std::span<const std::byte> bytes, std::span<const std::byte>& tensor) noexcept {
    tensor = {};
    protobuf_message saved(bytes);
    while (saved.next()) {
      if (saved.tag() != bytes_field(2)) continue;
      protobuf_message slice(saved.bytes());
      while (slice.next()) {
        if (slice.tag() == bytes_field(3)) tensor = slice.bytes();
      }
      if (!slice.is_whole()) return false;
    }
    return saved.is_whole();
  }

  errc add_tensor(const listed_tensor& tensor) {
    const dtype d = dtype_of_tensorflow(tensor.data_type);
    const tensor_proto_list* const list = find_tensor_proto_list(d);
    if (list == nullptr) {
      into_.omit(tensor.name, omitted_data_type(tensor.data_type));
      return errc{};
    }
    index_row row;
    row.name = tensor.name;
    row.shape = tensor.shape;
    row.layout = element_layout::of(d);
    element_counter counter;
    for (const std::uint64_t extent : tensor.shape) {
      if (!counter.multiply(extent)) return errc::bad_shape;
    }
    if (!checked_size_bytes(counter, row.layout, row.size_bytes)) return errc::bad_shape;

    std::vector<tensor_slice> slices;
    for (const std::vector<slice_extent>& extents : tensor.slices) {
      if (!append_slice(extents, tensor.shape, slices)) return errc::bad_slice;
    }
    if (counter.element_count() == 0) {
      if (d == dtype::string) return add_strings(row, {}, 0);
      into_.add(row);
      return errc{};
    }
    if (!sort_and_cover(tensor.shape, slices)) return errc::bad_slice;
    for (tensor_slice& slice : slices) {
      const std::string wanted = slice_key(tensor.name, slice.written);
      const auto found =
          std::lower_bound(values_.begin(), values_.end(), wanted,
                           [](const slice_value& value, const std::string& key) { return value.key < key; });
      if (found == values_.end() || found->key != wanted) return errc::bad_slice;
      if (d == dtype::string) {
        return slices.size() == 1 ? add_strings(row, found->tensor, counter.element_count()) : errc::unsupported;
      }
      const std::uint64_t element_size = row.layout.bits / 8u;
      if (const errc failure = place_values(*found, *list, element_size, slice); failure != errc{}) return failure;
    }
    if (const errc failure = place_slices(into_, row, row.layout.bits / 8u, std::move(slices)); failure != errc{})
      return failure;
    into_.add(row);
    return errc{};
  }

  /// Sets where the elements of `slice` lie: in the message, where it holds them packed as they are; else in a part of their own.
  errc place_values(const slice_value& from, const tensor_proto_list& list, std::uint64_t element_size,
                    tensor_slice& slice) {
    slice.size_bytes = slice.element_count() * element_size;
    protobuf_message message(from.tensor);
    std::uint64_t value_count = 0, field_count = 0;
    std::span<const std::byte> packed;
    const auto count = [&](std::uint64_t) { ++value_count; };
    while (message.next()) {
      if (message.number() != list.field) continue;
      ++field_count;
      bool is_whole = true;
      if (message.tag() == bytes_field(list.field)) packed = message.bytes();
      if (is_list(message, list)) {
        is_whole = list.word_size_bytes == 8   ? for_each_fixed<std::uint64_t>(message, count)
                   : list.word_size_bytes == 4 ? for_each_fixed<std::uint32_t>(message, count)
                                               : for_each_varint(message, count);
      }
      if (!is_whole) return errc::bad_protobuf;
    }
    if (!message.is_whole()) return errc::bad_protobuf;
    const std::uint64_t word_size = list.word_size_bytes == 0 ? element_size : list.word_size_bytes;
    if (value_count > slice.size_bytes / word_size || value_count * word_size != slice.size_bytes)
      return errc::bad_size;

    slice.part = from.part;
    const source& part = into_.part(from.part);
    if (list.word_size_bytes != 0 && field_count == 1 && packed.size() == slice.size_bytes) {
      slice.offset_bytes = static_cast<std::uint64_t>(packed.data() - part.data());
    } else {
      result<source> made = source::allocate(slice.size_bytes, into_.memory());
      if (!made) return made.error().code();
      std::byte* at = made->writable_data();
      const auto store = [&](std::uint64_t value) {
        if (list.dtype == dtype::boolean) value = value != 0 ? 1 : 0;
        for (std::uint64_t i = 0; i < word_size; ++i) *at++ = static_cast<std::byte>(value >> (8 * i) & 0xFF);
      };
      protobuf_message again(from.tensor);
      while (again.next()) {
        if (again.number() != list.field || !is_list(again, list)) continue;
        (void)(list.word_size_bytes == 8   ? for_each_fixed<std::uint64_t>(again, store)
               : list.word_size_bytes == 4 ? for_each_fixed<std::uint32_t>(again, store)
                                           : for_each_varint(again, store));
      }
      slice.part = into_.add_decoded(std::move(*made));
    }
    slice.data = into_.part(slice.part).data();
    // The checksums of the blocks were right; this one is of what they hold.
    slice.crc32c =
        crc32c({slice.data + static_cast<std::size_t>(slice.offset_bytes), static_cast<std::size_t>(slice.size_bytes)});
    slice.has_crc32c = slice.is_compared = true;
    return errc{};
  }

  /// Whether the field that `message` is at holds values of `list`, packed or loose.
  static bool is_list(const protobuf_message& message, const tensor_proto_list& list) noexcept {
    const protobuf_type loose = list.word_size_bytes == 8   ? protobuf_type::fixed64
                                : list.word_size_bytes == 4 ? protobuf_type::fixed32
                                                            : protobuf_type::varint;
    return message.type() == protobuf_type::bytes || message.type() == loose;
  }

  /// Adds a string tensor in stet's own layout: offsets, then bytes.
  errc add_strings(index_row& row, std::span<const std::byte> tensor, std::uint64_t element_count) {
    std::uint64_t count = 0, text_size = 0;
    protobuf_message message(tensor);
    while (message.next()) {
      if (message.tag() != bytes_field(8)) continue;
      ++count;
      text_size += message.bytes().size();
    }
    if (!message.is_whole()) return errc::bad_protobuf;
    if (count != element_count) return errc::bad_size;
    result<string_table> table = string_table::allocate(count, text_size, into_.memory());
    if (!table) return table.error().code();
    protobuf_message again(tensor);
    while (again.next()) {
      if (again.tag() == bytes_field(8)) table->append(again.text());
    }
    source made = table->finish();
    row.size_bytes = made.size_bytes();
    row.crc32c = crc32c({made.data(), static_cast<std::size_t>(row.size_bytes)});
    row.has_crc32c = true;
    row.part = into_.add_decoded(std::move(made));
    into_.add(row);
    return errc{};
  }

  store_builder& into_;
  open_options options_;
  format_probe* probe_;
  std::vector<listed_tensor> tensors_;
  std::map<std::string, std::size_t> numbers_;
  std::vector<slice_value> values_;
  parsed_shape shape_;
};

inline result<model> open_checkpoint_v1(const std::vector<std::string>& files, const open_options& options,
                                        std::string_view subfolder, format_probe* probe) {
  store_builder into(options.memory);
  if (auto read = checkpoint_v1_reader(into, options, probe).run(files, subfolder); !read) return read.error();
  return finish_model(into, options);
}

} // namespace detail

/// Opens the V1 checkpoint of these files, of which all must be there.
/// @param subfolder  where they are within the folder of the model: "", or a path that ends in '/'
/// @retval errc::missing_part    a file (the subject) is not there
/// @retval errc::bad_magic, truncated, bad_table, table_checksum, bad_compression, bad_header, bad_protobuf  a file (the subject)
///                               is no sound table of such messages
/// @retval errc::bad_shape, bad_size, bad_slice, unsupported, duplicate_name  what is said of a tensor (the subject)
///                               is not valid, or its slices do not make it up, or it is of strings in slices
/// Tensors of a dtype that such checkpoints do not have are omitted, each with its reason (`model::omitted`).
/// Cost: reads every byte once, because the checksums are those of blocks; allocates what has to be decoded.
[[nodiscard]] inline result<model> open_tensorflow_checkpoint_v1(const std::vector<std::string>& files,
                                                                 const open_options& options = {},
                                                                 std::string_view subfolder = {}) {
  return detail::open_checkpoint_v1(files, options, subfolder, nullptr);
}

} // namespace stet::inline STET_NAMESPACE

#endif
