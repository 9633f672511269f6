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

/// The options of `save_any` and `save_as`, for every format. The function of formats/NAME/save.hpp has more of them. A format
/// ignores the options that it has no use for; `format::choices` lists those that it has.
struct save_any_options {
  /// The format by its name (`format::saved_as`); empty: the one that the name of the file ends as.
  std::string_view format = {};
  /// Wait until the files and their names are on the disk.
  bool is_durable = true;
  /// Where tensors begin in a native file or a checkpoint of TensorFlow: at multiples of this. Other formats have their own.
  std::uint32_t alignment_bytes = default_alignment_bytes;
  /// Whether large tensors of a native file have whole pages, and the size of these: as in `save_options`.
  store_layout layout = store_layout::compact;
  /// The size of a page.
  std::uint32_t page_size_bytes = default_page_size_bytes;
  /// The system calls to save with; nullptr: the operating system's.
  const file_operations* operations = nullptr;
  /// Compresses the tensors of an npz archive; nullptr: they are stored.
  deflate_function deflate = nullptr;
  /// The largest size of a file with tensors, as the option of the format's own saver counts it; a larger tensor has a file of its
  /// own. 0: the size that the format has by default, for most of them one file.
  std::uint64_t max_shard_size_bytes = 0;
  /// Saves a tensor with several names (tied weights) under its first name alone where the format has no aliases: safetensors
  /// notes the others in its metadata, GGUF does not have them. Otherwise such a tensor is errc::not_expressible.
  bool drops_aliases = false;
};

/// The files that `save_any` or `save_as` saved.
struct saved_files {
  /// All files together.
  std::uint64_t file_size_bytes = 0;
  /// The number of files.
  std::uint64_t file_count = 0;
  /// Variables of the optimizer that the format has no place for.
  std::uint64_t left_out_count = 0;
  /// Names that `save_any_options::drops_aliases` left out.
  std::uint64_t dropped_alias_count = 0;
};

/// The members of `save_any_options`, and other wishes, that some formats have a use for: a set of bits.
enum class save_choice : std::uint8_t {
  none = 0,
  /// `max_shard_size_bytes`.
  shards = 1,
  /// `drops_aliases`.
  aliases = 2,
  /// `deflate`.
  deflate = 4,
  /// Tensors may be of the block types of ggml.
  ggml_blocks = 8,
  /// `layout` and `page_size_bytes`.
  layout = 16,
};
/// Both sets.
constexpr save_choice operator|(save_choice a, save_choice b) noexcept {
  return static_cast<save_choice>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
/// True if `of` has a choice of `which`.
constexpr bool has_choice(save_choice of, save_choice which) noexcept {
  return (static_cast<unsigned>(of) & static_cast<unsigned>(which)) != 0;
}

} // namespace stet::inline STET_NAMESPACE

#endif
