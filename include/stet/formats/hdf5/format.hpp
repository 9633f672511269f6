// SPDX-License-Identifier: MIT
// HDF5 files as a format: every dataset is a tensor.
#ifndef STET_FORMATS_HDF5_FORMAT_HPP
#define STET_FORMATS_HDF5_FORMAT_HPP

#include "open.hpp"

#include "../description.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// A file may begin with a user block, bytes of its owner: the superblock is at 0, 512, 1024, 2048 and so on.
/// Cost: beyond the beginning, which the probe has, reads 8 bytes at each of these places.
inline bool is_hdf5(format_probe& probe) noexcept {
  std::byte bytes[8];
  static_assert(hdf5_signature.size() == sizeof bytes);
  for (std::uint64_t at = 0; range_fits(at, sizeof bytes, probe.size_bytes()); at = at == 0 ? 512 : at * 2) {
    if (!probe.read_at(at, bytes)) return false;
    if (std::memcmp(bytes, hdf5_signature.data(), sizeof bytes) == 0) return true;
  }
  return false;
}

/// `format::describe` of hdf5_format: nothing is said beside the tensors.
inline result<model_description> describe_hdf5(const model&) { return model_description(); }

} // namespace detail

/// An HDF5 file of anyone but Keras (keras_h5_format in keras/format.hpp). Tensors are the datasets, by their paths
/// ("/layers/dense/vars/0"), in the order in which the groups list them: as they were made where the file
/// keeps that, else by name. Each is a tensor once; further paths to it, by hard links, are second names.
///
/// Contiguous and compact data are in place, also big-endian data, whose bytes `copy_to` swaps. Chunked data are
/// assembled when they are read; shuffle, fletcher32, szip, scale-offset, LZF and LZ4 are undone. Deflated data need
/// `open_options::inflate` (include <zlib.h> and stet/ext/zlib.hpp, and pass `inflate_with_zlib`). Data that cannot be
/// read are listed, and reading them is
///   errc::compressed      deflated, and there is no `inflate`
///   errc::unsupported     other filters (n-bit, plugins: the subject names the filter and how to remove it)
///   errc::external_data   data in other files, virtual datasets
///   errc::too_large       never or hardly written: more than 4 GiB and 1032 times the file; or strings many times
///                         the size of the file
///   errc::bad_compression, checksum_mismatch, bad_string_table  damaged
///
/// Integers, bit fields, floats, h5py's truth values and complex numbers, and strings of any size are dtypes;
/// enumerations are their integers. Everything else (compounds, references, strings of fixed size, opaque
/// bytes, sequences, arrays, numbers of other forms) is a block named by its class and size: "compound24".
/// Soft links to objects of the file are aliases. Other links, names that are not UTF-8, groups whose links have filters
/// that cannot be undone, and datasets without a shape are in `model::omitted`, with the reason. Named datatypes are
/// ignored.
///
/// Structures of the newer kinds have checksums, which are compared; data have none but fletcher32. Time and memory of
/// opening are in proportion to the size of the file, also for hostile files.
///
/// Opening fails with those of file::open, and
/// @retval errc::truncated    the file, or the bytes of a tensor, the subject, are shorter than they say
/// @retval errc::unsupported  addresses are not of 8 bytes
/// @retval errc::bad_hdf5     a structure, at the byte or of the object named, is damaged, or leads to others so
/// often that reading it all would be many times the file
/// @retval errc::bad_shape, bad_size, duplicate_name  what a dataset, the subject, says of itself
/// is not
inline constexpr format hdf5_format{"hdf5",
                                    "any other HDF5 file",
                                    detail::is_hdf5,
                                    detail::open_hdf5,
                                    detail::describe_hdf5,
                                    {},
                                    {},
                                    nullptr,
                                    save_choice::none,
                                    weight_replacement::in_place};

} // namespace stet::inline STET_NAMESPACE

#endif
