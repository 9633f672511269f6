// SPDX-License-Identifier: MIT
// Saves tensors for NumPy: one as an npy file, all as an npz archive.
#ifndef STET_FORMATS_NUMPY_SAVE_HPP
#define STET_FORMATS_NUMPY_SAVE_HPP

#include "detail/saved_array.hpp"
#include "npz.hpp"

#include "../common/archive_output.hpp"

#include "../../bytes/crc32.hpp"
#include "../../source/detail/path.hpp"
#include "../../vocabulary/deflate.hpp"
#include "../../wire/zip_writer.hpp"
#include "../../writer/atomic_file.hpp"
#include "../../writer/detail/stream_output.hpp"
#include "../../writer/writer.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// The options of `save_npy` and `save_npz`.
struct numpy_save_options {
  /// Compresses each member of an npz archive that becomes smaller by it: `deflate_with_zlib` of stet/ext/zlib.hpp, say; nullptr:
  /// members are stored, and opened in place. Not for npy files.
  deflate_function deflate = nullptr;
  /// Wait until the file and its name are on the disk.
  bool is_durable = true;
  /// The system calls to save with; nullptr: the operating system's.
  const file_operations* operations = nullptr;
};

/// What was saved for NumPy.
struct numpy_save_report {
  /// The size of the file.
  std::uint64_t file_size_bytes = 0;
  /// The number of arrays.
  std::size_t array_count = 0;
};

namespace detail {

/// One save of an archive.
class npz_save {
public:
  npz_save(const writer_model& from, const numpy_save_options& options) noexcept : from_(from), options_(options) {}

  result<void> plan() {
    const npy_planner planner(from_);
    std::vector<std::string> names;
    for (const tensor each : from_.store) {
      if (from_.is_second_name(each)) continue;
      result<saved_array> array = planner.plan(each);
      if (!array) return array.error();
      std::string_view key = each.name();
      if (key.starts_with('/')) key.remove_prefix(1); // a path of HDF5
      std::string name(key);
      name.append(npy_ending);
      if (key.empty() || !is_zip_name(name))
        return inexpressible(std::string(each.name()), "the name leads out of an archive; rename the tensor");
      names.push_back(name);
      members_.push_back({std::move(*array), {}, 0});
      if (auto added = add(std::move(name), members_.back()); !added) return added;
    }
    const std::size_t same = find_duplicate(names.size(), [&](std::size_t i) -> std::string_view { return names[i]; });
    if (same != name_table::none) return error(errc::duplicate_name, members_[same].array.from.name());
    return {};
  }

  [[nodiscard]] std::uint64_t size_bytes() const { return archive_.size_bytes(); }
  [[nodiscard]] std::size_t array_count() const noexcept { return members_.size(); }

  result<void> write(byte_writer& to) {
    archive_output out(to, archive_);
    for (const member& each : members_) {
      auto written = each.deflated.empty() ? out.add(each.array.size_bytes(), each.array.from.name(),
                                                     [&](piece_sink& sink) { return write_array(each.array, sink); })
                                           : out.add(each.deflated, each.crc32);
      if (!written) return written;
    }
    return out.finish();
  }

private:
  static constexpr std::uint32_t member_alignment_bytes = 64;
  struct member {
    saved_array array;
    /// Head and elements compressed, and the checksum of what they were; empty: they are stored.
    std::vector<std::byte> deflated;
    std::uint32_t crc32;
  };

  result<void> add(std::string name, member& of) {
    if (options_.deflate != nullptr) {
      std::vector<std::byte> bytes;
      if (auto gathered = gather(of, bytes); !gathered) return gathered;
      of.deflated.resize(bytes.size() - 1); // a larger result would be of no use
      of.deflated.resize(options_.deflate(bytes.data(), bytes.size(), of.deflated.data(), of.deflated.size()));
      of.deflated.shrink_to_fit();
      of.crc32 = crc32(std::span<const std::byte>(bytes));
    }
    const auto added = of.deflated.empty()
                           ? archive_.add(std::move(name), of.array.size_bytes(), member_alignment_bytes)
                           : archive_.add_deflated(std::move(name), of.array.size_bytes(), of.deflated.size());
    return added ? result<void>() : added.error();
  }

  /// Sets `into` to the bytes of a member.
  static result<void> gather(const member& of, std::vector<std::byte>& into) {
    into.resize(static_cast<std::size_t>(of.array.size_bytes()));
    memory_sink sink(into);
    if (auto written = write_array(of.array, sink); !written) return written;
    return sink.is_full() ? result<void>() : error(errc::source_too_short, of.array.from.name());
  }

  const writer_model& from_;
  const numpy_save_options& options_;
  std::vector<member> members_;
  zip_writer archive_;
};

} // namespace detail

/// Saves the tensors that were added to `from` to `path_utf8`, an npz archive that numpy.load reads, in place of what is there: a
/// reader finds the old file or the new one. Elements begin at multiples of 64 of the file, unless they are deflated. The same
/// tensors and options give the same bytes.
///
/// Members are called as the tensors, with ".npy" behind; the '/' in front of a path of HDF5 is left out. Aliases are saved again
/// as arrays of their own, second names (`model::is_second_name`) are left out, as are graphs, state and metadata. The dtypes
/// that only ml_dtypes has are void types, as it writes them: bfloat16 is '<V2', the float8, float6, float4, int4, uint4, int2
/// and uint2 types '<V1', one element in a byte. NumPy reads those as bytes; `array.view(ml_dtypes.bfloat16)` and
/// `numpy_types` say what they are. Strings are '|S5', as long as the longest one. Blocks that were read from NumPy are what
/// their attributes state (`describe_npz`).
/// @retval errc::not_expressible  a tensor, the subject, is of other blocks or a quantized dtype, has more than 64 dimensions, a
///                                string that ends in NUL, or a name that is no relative path
/// @retval errc::duplicate_name   two tensors, one of them the subject, would have the same key
/// @retval errc::too_large        the file would be larger than 2^64 bytes, or a string than 2^31
/// @retval errc::checksum_mismatch  a tensor, the subject, is damaged
/// @retval errc::bad_path         the path names no file
/// or the error of the first `add` that failed, of reading, or of the operating system. After one the folder is as it was before.
/// Cost: reads every byte once; memory for the names and 1 MiB. Deflated: all compressed bytes, and one tensor, are in memory.
inline result<numpy_save_report> save_npz(std::string_view path_utf8, const writer& from,
                                          const numpy_save_options& options = {}) {
  if (detail::file_name_in(path_utf8).empty()) return error(errc::bad_path, path_utf8);
  const result<detail::writer_model> added = detail::model_of_writer(from);
  if (!added) return added.error();
  detail::npz_save save(*added, options);
  if (auto planned = save.plan(); !planned) return planned.error();
  const std::uint64_t size = save.size_bytes();
  const auto saved = save_file(options.operations, path_utf8, size, options.is_durable,
                               [&](byte_writer& to) { return save.write(to); });
  if (!saved) return saved.error();
  return numpy_save_report{size, save.array_count()};
}

/// Saves the one tensor that was added to `from` to `path_utf8`, an npy file that numpy.load reads, byte for byte as numpy.save
/// writes it. Dtypes are those of `save_npz`; the name is not saved.
/// @retval errc::not_expressible  there is no tensor, or more than one: an npz archive holds several
/// or the errors of `save_npz`. Cost: reads every byte once, 256 KiB of memory.
inline result<numpy_save_report> save_npy(std::string_view path_utf8, const writer& from,
                                          const numpy_save_options& options = {}) {
  if (detail::file_name_in(path_utf8).empty()) return error(errc::bad_path, path_utf8);
  const result<detail::writer_model> added = detail::model_of_writer(from);
  if (!added) return added.error();
  std::optional<tensor> only;
  for (const tensor each : added->store) {
    if (added->is_second_name(each)) continue;
    if (only) return detail::inexpressible(std::string(each.name()), "an npy file holds one tensor; npz holds several");
    only = each;
  }
  if (!only) return detail::inexpressible(std::string(path_utf8), "an npy file holds one tensor; there is none");
  const result<detail::saved_array> array = detail::npy_planner(*added).plan(*only);
  if (!array) return array.error();
  const auto write = [&](byte_writer& to) -> result<void> {
    detail::stream_output out(to, 0, false);
    if (auto written = detail::write_array(*array, out); !written) return written;
    if (out.position_bytes() != array->size_bytes()) return error(errc::source_too_short, only->name());
    return out.flush();
  };
  const auto saved = save_file(options.operations, path_utf8, array->size_bytes(), options.is_durable, write);
  if (!saved) return saved.error();
  return numpy_save_report{array->size_bytes(), 1};
}

} // namespace stet::inline STET_NAMESPACE

#endif
