// SPDX-License-Identifier: MIT
// Writes a tensor as an HDF5 dataset: its datatype and its bytes.
#ifndef STET_FORMATS_HDF5_DETAIL_SAVE_TENSOR_HPP
#define STET_FORMATS_HDF5_DETAIL_SAVE_TENSOR_HPP

#include "../../common/write_elements.hpp"

#include "../../../store/copy_elements.hpp"
#include "../../../wire/hdf5/writer.hpp"

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// How bfloat16 is written.
enum class hdf5_bfloat16 : std::uint8_t {
  /// As the floating point format that it is.
  floating,
  /// As two opaque bytes, whose attribute `dtype` says what they are: so does Keras.
  opaque,
};

/// A tensor on its way into an HDF5 file.
struct hdf5_saved_tensor {
  tensor from;
  /// What it is there; unless it is `from`'s own, its elements are converted.
  stet::dtype written{};
  std::string type;
  /// Of the dataset, and with what belongs to it.
  std::uint64_t size_bytes = 0, room_bytes = 0;
  /// What the attribute `dtype` says; empty: there is none.
  std::string_view noted_dtype;
  hdf5_string_heap strings;

  /// Writes all that belongs to the dataset.
  /// @param address  where it begins in the file
  result<void> write(std::uint64_t address, piece_sink& sink) const {
    if (from.dtype() == dtype::string) return write_strings(address, sink);
    if (written == from.dtype() && from.layout().bits == describe(written).bits) return write_checked(from, sink);
    result<void> outcome = errc::not_convertible;
    const auto as = [&]<class T>(std::type_identity<T>) {
      if (written == dtype_of<T>::value) {
        outcome = write_windows<T>(from, sink, [&](std::span<T> numbers, std::uint64_t first) {
          return copy_elements(from, written, std::as_writable_bytes(numbers), first);
        });
      }
    };
    as(std::type_identity<std::int8_t>());
    as(std::type_identity<std::uint8_t>());
    as(std::type_identity<float>());
    return outcome;
  }

private:
  result<void> write_strings(std::uint64_t address, piece_sink& sink) const {
    std::vector<std::byte> memory;
    const result<string_span> texts = strings_of(from, memory);
    if (!texts) return texts.error();
    const auto write = [&](std::string_view piece) {
      return sink.write(std::as_bytes(std::span(piece.data(), piece.size())));
    };
    if (auto done = strings.write_references(*texts, address + size_bytes, write); !done) return done;
    return strings.write_collections(*texts, write);
  }
};

/// Decides what becomes of a tensor. What HDF5 has no word for is widened, which changes no value: integers
/// below a byte to a byte, other floats to float32. Blocks that were read from an HDF5 file as "opaqueN" or
/// "stringN" are that again.
/// @retval errc::not_convertible  it is of other blocks
/// @retval errc::too_large        a string is longer than 4 GiB
inline result<hdf5_saved_tensor> plan_hdf5_tensor(const tensor& from, hdf5_bfloat16 bfloat16) {
  hdf5_saved_tensor made;
  made.from = from;
  made.written = from.dtype();
  made.room_bytes = made.size_bytes = from.size_bytes();
  const dtype_description& row = describe(from.dtype());
  if (from.dtype() == dtype::string) {
    std::vector<std::byte> memory;
    const result<string_span> texts = strings_of(from, memory);
    if (!texts) return texts.error().about(from.name());
    for (std::size_t number = 0; number < texts->size(); ++number) {
      if ((*texts)[number].size() > 0xFFFFFFFFu) return error(errc::too_large, from.name());
      made.strings.add((*texts)[number].size());
    }
    made.size_bytes = from.element_count() * hdf5_reference_size;
    made.room_bytes = made.size_bytes + made.strings.size_bytes();
  } else if (from.dtype() == dtype::block) {
    const block_type block = from.layout().block;
    for (const auto& [prefix, make] : {std::pair{std::string_view("opaque"), &hdf5_opaque_type},
                                       std::pair{std::string_view("string"), &hdf5_fixed_string_type}}) {
      std::string name(prefix);
      if (block.element_count == 1 && block.name == name.append(std::to_string(block.size_bytes)))
        made.type = make(block.size_bytes);
    }
    if (made.type.empty()) return error(errc::not_convertible, from.name());
    return made;
  } else if (from.dtype() == dtype::bfloat16 && bfloat16 == hdf5_bfloat16::opaque) {
    made.type = hdf5_opaque_type(2);
    made.noted_dtype = row.name;
    return made;
  } else if (hdf5_type_of(from.dtype()).empty() || from.layout().bits != row.bits) {
    made.written = row.kind == dtype_kind::signed_integer     ? dtype::int8
                   : row.kind == dtype_kind::unsigned_integer ? dtype::uint8
                                                              : dtype::float32;
    made.room_bytes = made.size_bytes = from.element_count() * (describe(made.written).bits / 8u);
  }
  made.type = hdf5_type_of(made.written);
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
