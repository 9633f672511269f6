// SPDX-License-Identifier: MIT
// The options of saving a model in any format, and its report.
#ifndef STET_FORMATS_SAVE_ANY_OPTIONS_HPP
#define STET_FORMATS_SAVE_ANY_OPTIONS_HPP

#include "../index/format.hpp"
#include "../vocabulary/deflate.hpp"

#include <cstdint>
#include <string_view>

namespace stet::inline STET_NAMESPACE {

struct file_operations;

/// The options of `save_any` and `save_as`, for every format. The function of formats/NAME/save.hpp has more of them.
struct save_any_options {
  /// The format by its name (`format::saved_as`); empty: the one that the name of the file ends as.
  std::string_view format = {};
  /// Wait until the files and their names are on the disk.
  bool is_durable = true;
  /// Where tensors begin in a native file or a checkpoint of TensorFlow: at multiples of this. Other formats have their own.
  std::uint32_t alignment_bytes = default_alignment_bytes;
  /// The system calls to save with; nullptr: the operating system's.
  const file_operations* operations = nullptr;
  /// Compresses the tensors of an npz archive; nullptr: they are stored. Other formats do not use it.
  deflate_function deflate = nullptr;
};

/// The files that `save_any` or `save_as` saved.
struct saved_files {
  /// All files together.
  std::uint64_t file_size_bytes = 0;
  /// The number of files.
  std::uint64_t file_count = 0;
  /// Variables of the optimizer that the format has no place for.
  std::uint64_t left_out_count = 0;
};

} // namespace stet::inline STET_NAMESPACE

#endif
