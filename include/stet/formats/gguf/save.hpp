// SPDX-License-Identifier: MIT
// Saves a model as GGUF, in one file or in several of a chosen size.
#ifndef STET_FORMATS_GGUF_SAVE_HPP
#define STET_FORMATS_GGUF_SAVE_HPP

#include "detail/metadata_writer.hpp"
#include "detail/part_name.hpp"
#include "ggml_type.hpp"

#include "../common/inexpressible.hpp"
#include "../common/write_elements.hpp"
#include "../common/writer_model.hpp"

#include "../../source/detail/path.hpp"
#include "../../wire/little_writer.hpp"
#include "../../writer/atomic_file.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

/// How a model is saved as GGUF.
struct gguf_save_options {
  /// No file is larger, unless it has one tensor alone; a model that fits is one file. 0: always one file.
  std::uint64_t part_size_bytes = 0;
  /// Saves a tensor with several names (tied weights) under its first name alone. Otherwise such a tensor is an error.
  bool drops_aliases = false;
  /// Wait until the files and their names are on the disk.
  bool is_durable = true;
  /// The system calls to save with; nullptr: the operating system's.
  const file_operations* operations = nullptr;
};

/// What was saved as GGUF.
struct gguf_save_report {
  /// All files together.
  std::uint64_t file_size_bytes = 0;
  /// The number of files.
  std::uint32_t part_count = 0;
  /// The number of names that `drops_aliases` left out.
  std::uint64_t dropped_count = 0;
};

namespace detail {

/// The longest name of a tensor that ggml reads.
inline constexpr std::size_t max_ggml_name_size_bytes = 63;
/// The most extents of a tensor that ggml reads.
inline constexpr std::size_t max_ggml_rank = 4;

/// A tensor to be saved.
struct gguf_saved_tensor {
  tensor from;
  const ggml_type* type;
  /// Counted from the beginning of the data of its file.
  std::uint64_t offset_bytes;

  /// The size of its row in the file.
  [[nodiscard]] std::uint64_t row_size_bytes() const noexcept {
    return 8 + from.name().size() + 4 + 8 * from.shape().rank() + 4 + 8;
  }
};

/// One of the files to be saved: a range of the tensors.
struct gguf_saved_part {
  std::size_t first = 0, end = 0;
  std::uint64_t data_size_bytes = 0;
  /// The bytes in front of the padding.
  std::string head;
  std::uint64_t data_offset_bytes = 0, file_size_bytes = 0;
};

/// The type that a tensor is saved with.
/// @retval errc::not_expressible  GGUF does not have the tensor, the subject
inline result<const ggml_type*> ggml_type_to_save(const tensor& of, bool is_alias) {
  const std::string name(of.name());
  if (is_alias) return inexpressible(name, "GGUF has no aliases; leave it out");
  if (name.empty() || name.size() > max_ggml_name_size_bytes || name.find('\0') != std::string::npos)
    return inexpressible(name, "a name in GGUF has 1 to 63 bytes; rename it");
  if (of.shape().rank() > max_ggml_rank) return inexpressible(name, "GGUF has at most 4 extents");
  const element_layout& layout = of.layout();
  const ggml_type* const type = find_ggml_type(layout.dtype, layout.block);
  if (type == nullptr || (type->is_plain() && layout.bits != describe(layout.dtype).bits)) {
    return inexpressible(name + " (" + std::string(name_of(layout)) + ")", "not a type of GGUF; float32 is one");
  }
  if (!type->is_plain() && of.entry().is_big_endian()) return inexpressible(name, "its blocks are big-endian");
  const std::size_t rank = of.shape().rank();
  if ((rank == 0 ? 1 : of.shape()[rank - 1]) % type->element_count != 0)
    return inexpressible(name, "its rows are no whole blocks");
  return type;
}

/// Lays out the files of a save, and writes them.
class gguf_saver {
public:
  gguf_saver(const writer_model& from, const gguf_save_options& options) : from_(from), options_(options) {}

  /// Errors: those of `save_gguf` for the model.
  result<void> plan() {
    if (auto added = keys_.add(from_.described.metadata); !added) return added;
    for (const tensor_note& each : from_.described.tensors) {
      if (find_member(each.attributes, "quantization") != nullptr)
        return inexpressible(each.name, "GGUF cannot hold its quantization");
    }
    for (const tensor each : from_.store) {
      if (from_.is_second_name(each)) continue;
      const bool is_alias = static_cast<bool>(from_.store.index().original_of(each.entry()));
      if (is_alias && options_.drops_aliases) {
        ++dropped_count_;
        continue;
      }
      const result<const ggml_type*> type = ggml_type_to_save(each, is_alias);
      if (!type) return type.error();
      tensors_.push_back({each, *type, 0});
    }
    if (!divide(0)) return error(errc::too_large);
    if (options_.part_size_bytes == 0 || fits(parts_.front())) return finish_heads();
    if (!divide(options_.part_size_bytes)) return error(errc::too_large);
    constexpr std::size_t most = 65535; // which split.count holds
    if (parts_.size() > most) return error(errc::too_large, gguf_split_count_key);
    return finish_heads();
  }

  /// Writes the files and gives them their names. Errors: those of reading and of the operating system.
  result<gguf_save_report> save(std::string_view path) {
    const file_operations& system = options_.operations == nullptr ? system_file_operations() : *options_.operations;
    const std::string_view folder = folder_in(path);
    std::vector<std::string> names;
    for (std::size_t number = 0; number < parts_.size(); ++number) names.push_back(name_of_part(path, number));
    gguf_save_report made;
    std::vector<atomic_file> files; // the first file last: by it the others are found
    output_buffer buffer;
    for (std::size_t i = 1; i <= parts_.size(); ++i) {
      const std::size_t number = i % parts_.size();
      const gguf_saved_part& part = parts_[number];
      result<atomic_file> file = atomic_file::create(system, folder, names[number], part.file_size_bytes);
      if (!file) return file.error();
      if (auto written = write(part, *file, buffer); !written) return written.error();
      if (auto finished = file->finish(options_.is_durable, number != 0); !finished) return finished.error();
      files.push_back(std::move(*file));
      made.file_size_bytes += part.file_size_bytes;
    }
    made.dropped_count = dropped_count_;
    made.part_count = static_cast<std::uint32_t>(parts_.size());
    const auto is_taken = [&](std::size_t i) {
      return static_cast<bool>(file::open(std::string(folder).append(names[i + 1])));
    };
    const std::span<atomic_file> others(files.data(), files.size() - 1);
    if (auto published = publish_together(others, files.back(), options_.is_durable, is_taken); !published)
      return published.error();
    return made;
  }

private:
  /// The size of the magic, the version and the counts.
  static constexpr std::uint64_t frame_size = 24;
  /// The size of the three keys of a part.
  static constexpr std::uint64_t split_keys_size = 82;
  /// The size of the key of the alignment.
  static constexpr std::uint64_t alignment_key_size = 33;

  [[nodiscard]] bool has_own_alignment() const noexcept {
    return keys_.alignment_bytes() != default_gguf_alignment_bytes;
  }
  [[nodiscard]] std::uint64_t aligned(std::uint64_t size) const noexcept {
    const std::uint64_t alignment = keys_.alignment_bytes();
    return (size + alignment - 1) & ~(alignment - 1);
  }

  /// Divides the tensors among files of at most `most_bytes`, 0: one file. False if the sizes overflow.
  bool divide(std::uint64_t most_bytes) {
    parts_.assign(1, {});
    const std::uint64_t split_size = most_bytes == 0 ? 0 : split_keys_size;
    std::uint64_t head_size = frame_size + keys_.bytes().size() + split_size;
    for (std::size_t number = 0; number < tensors_.size(); ++number) {
      gguf_saved_tensor& each = tensors_[number];
      if (each.from.size_bytes() > max_tensor_size_bytes / 2 ||
          parts_.back().data_size_bytes > max_tensor_size_bytes / 4)
        return false; // no file is so large, and sums of less do not overflow
      const std::uint64_t size = aligned(each.from.size_bytes());
      const std::uint64_t with_it = aligned(head_size + each.row_size_bytes()) + parts_.back().data_size_bytes + size;
      if (most_bytes != 0 && with_it > most_bytes && parts_.back().end != parts_.back().first) {
        parts_.emplace_back().first = number;
        head_size = frame_size + split_size + (has_own_alignment() ? alignment_key_size : 0);
      }
      gguf_saved_part& part = parts_.back();
      each.offset_bytes = part.data_size_bytes;
      part.data_size_bytes += size;
      part.end = number + 1;
      head_size += each.row_size_bytes();
    }
    return true;
  }

  [[nodiscard]] bool fits(const gguf_saved_part& all) const {
    std::uint64_t head_size = frame_size + keys_.bytes().size();
    for (const gguf_saved_tensor& each : tensors_) head_size += each.row_size_bytes();
    return aligned(head_size) + all.data_size_bytes <= options_.part_size_bytes;
  }

  /// Makes the bytes in front of the data of every file.
  result<void> finish_heads() {
    for (std::size_t number = 0; number < parts_.size(); ++number) {
      gguf_saved_part& part = parts_[number];
      gguf_metadata_writer keys;
      if (number == 0) {
        keys = keys_;
      } else if (has_own_alignment()) {
        keys.add(gguf_alignment_key, gguf_type::uint32, keys_.alignment_bytes());
      }
      if (parts_.size() > 1) {
        keys.add(gguf_split_number_key, gguf_type::uint16, number);
        keys.add(gguf_split_count_key, gguf_type::uint16, parts_.size());
        keys.add(gguf_split_tensors_key, gguf_type::int32, tensors_.size());
      }
      little_writer out;
      out.text(gguf_magic).u32(gguf_version).u64(part.end - part.first).u64(keys.key_count()).text(keys.bytes());
      for (std::size_t i = part.first; i < part.end; ++i) {
        const gguf_saved_tensor& each = tensors_[i];
        const shape extents = each.from.shape();
        out.u64(each.from.name().size()).text(each.from.name()).u32(static_cast<std::uint32_t>(extents.rank()));
        for (std::size_t axis = extents.rank(); axis-- > 0;) out.u64(extents[axis]);
        out.u32(each.type->code).u64(each.offset_bytes);
      }
      part.head = out.take();
      // Without tensors there is no data to align.
      part.data_offset_bytes = part.first == part.end ? part.head.size() : aligned(part.head.size());
      part.file_size_bytes = part.data_offset_bytes + part.data_size_bytes;
    }
    return {};
  }

  [[nodiscard]] std::string name_of_part(std::string_view path, std::size_t number) const {
    std::string name(file_name_in(path));
    if (parts_.size() == 1) return name;
    const bool has_ending = name.ends_with(gguf_ending);
    if (has_ending) name.resize(name.size() - gguf_ending.size());
    gguf_part_name of;
    of.count = parts_.size();
    of.number_digits = of.count_digits = 5;
    name += '-';
    of.before = name;
    of.after = gguf_ending;
    std::string made(name.size() + 64, '\0');
    text_writer text(made.data(), made.size());
    of.print(number + 1, text);
    made.resize(text.text().size());
    return made;
  }

  /// Writes a file. What is not written is zero: the padding behind the head and each tensor.
  result<void> write(const gguf_saved_part& part, atomic_file& to, output_buffer& buffer) const {
    tensor_output out(to, buffer, tensor_checksums::none);
    if (auto begun = out.begin(0, part.head.size()); !begun) return begun;
    if (auto written = out.write(std::as_bytes(std::span(part.head))); !written) return written;
    for (std::size_t i = part.first; i < part.end; ++i) {
      const gguf_saved_tensor& each = tensors_[i];
      if (each.from.size_bytes() == 0) continue;
      if (auto begun = out.begin(part.data_offset_bytes + each.offset_bytes, each.from.size_bytes()); !begun)
        return begun;
      auto written = write_checked(each.from, out);
      if (written) written = out.end();
      if (!written) return written.error().subject().empty() ? written.error().about(each.from.name()) : written;
    }
    return out.flush();
  }

  const writer_model& from_;
  gguf_save_options options_;
  gguf_metadata_writer keys_; // of the model
  std::vector<gguf_saved_tensor> tensors_;
  std::vector<gguf_saved_part> parts_;
  std::uint64_t dropped_count_ = 0;
};

} // namespace detail

/// Saves what was added to `from` to `path_utf8` as GGUF, version 3, little-endian: for ggml and llama.cpp, whose
/// `gguf_init_from_file` reads it. The tensors follow each other in the order in which they were added, each at a multiple of the
/// alignment: that of the metadata's `general.alignment`, or 32. The same model gives the same bytes, and those of a file that
/// ggml wrote are written again.
///
/// The metadata becomes keys, with the types that detail/metadata_types.hpp gives; null, objects and arrays of unlike
/// values become strings, their JSON text. The graph, the state and attributes of tensors are not saved. llama.cpp asks for more keys
/// than ggml: `general.architecture` at least.
///
/// With `part_size_bytes`, a model that is larger becomes the files "NAME-00001-of-00003.gguf" … for a path "NAME.gguf". The first has
/// the metadata. Where files of these names are, a reader may find some of the old and some of the new ones while they are replaced.
/// @param path_utf8  of the new file
/// @retval errc::not_expressible  GGUF does not have a tensor, the subject: strings, dtypes without a type of ggml, more than 4
///                                extents, names of more than 63 bytes, aliases without `drops_aliases`, quantization by scales; or a key of the metadata
/// @retval errc::bad_value        a value of the metadata, its key the subject, is none of its type
/// @retval errc::bad_alignment    `general.alignment` is no power of two up to 65536
/// @retval errc::too_large        the model is too large, or would have more than 65535 files
/// @retval errc::checksum_mismatch  a tensor, the subject, is damaged
/// @retval errc::bad_path         the path names no file
/// or the error of the first `add` that failed, of `graph_from_json`, of reading, or of the operating system. After one no file is new. Cost: reads every
/// byte once; memory for the table of tensors, the metadata and 256 KiB.
/// Source: github.com/ggml-org/ggml, docs/gguf.md; github.com/ggml-org/llama.cpp, tools/gguf-split.
inline result<gguf_save_report> save_gguf(std::string_view path_utf8, const writer& from,
                                          const gguf_save_options& options = {}) {
  if (!detail::is_part_name(detail::file_name_in(path_utf8))) return error(errc::bad_path, path_utf8);
  const result<detail::writer_model> added = detail::model_of_writer(from);
  if (!added) return added.error();
  detail::gguf_saver saver(*added, options);
  if (auto planned = saver.plan(); !planned)
    return planned.error().subject().empty() ? planned.error().about(path_utf8) : planned.error();
  return saver.save(path_utf8);
}

} // namespace stet::inline STET_NAMESPACE

#endif
