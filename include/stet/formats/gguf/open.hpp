// SPDX-License-Identifier: MIT
// Opens GGUF files in place. Needs the standard library only, and neither exceptions nor an operating system.
#ifndef STET_FORMATS_GGUF_OPEN_HPP
#define STET_FORMATS_GGUF_OPEN_HPP

#include "detail/part_name.hpp"
#include "detail/table.hpp"

#include "../common/model_folder.hpp"

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE {

namespace detail {

/// Reads the keys of a file. Errors: those of `open_gguf` for the header, keys and values.
inline result<gguf_facts> read_gguf_facts(const source& file, memory_resource* memory) noexcept {
  gguf_input in(file, memory);
  return gguf_keys_reader(in, memory).read();
}

/// Opens the parts of a model that is split, in the order of their numbers.
class gguf_parts {
public:
  /// @param path  of the part that was opened; it must outlive this
  gguf_parts(std::string_view path, const open_options& options) noexcept
      : own_name_(file_name_in(path)), folder_(path, options), memory_(options.memory), table_(options.memory) {}

  /// @param own    the part that was opened
  /// @param in     reads it, and stands behind its keys
  /// @param stated  what it states
  /// Errors: those of `open_gguf`.
  result<store> open(source&& own, gguf_input& in, const gguf_facts& stated) noexcept {
    if (auto named = check_name(stated); !named) return named.error();
    const std::uint64_t count = stated.split_count < 2 ? 1 : stated.split_count;
    for (std::uint64_t number = 0; number < count; ++number) {
      char buffer[max_name_size];
      text_writer text(buffer, sizeof buffer);
      name_.print(number + 1, text);
      const bool is_own = count == 1 || number == stated.split_number;
      const auto added = is_own ? add_own(std::move(own), in, static_cast<std::uint32_t>(number), stated)
                                : add(text.text(), static_cast<std::uint32_t>(number), stated);
      // An error about a tensor or key names it, and the file is the one that has it; else the file is named.
      if (!added) return added.error().subject().empty() ? added.error().about(text.text()) : added.error();
    }
    return finish(static_cast<std::uint32_t>(count), stated);
  }

private:
  /// The longest name of a file on the usual systems.
  static constexpr std::size_t max_name_size = 1024;

  /// @retval errc::missing_part   the name does not tell those of the other parts
  /// @retval errc::part_mismatch  the name has another number or count than the file
  result<void> check_name(const gguf_facts& stated) noexcept {
    if (!gguf_part_name::parse(own_name_, name_) || own_name_.size() + 16 > max_name_size) {
      char buffer[error::max_subject_bytes];
      text_writer text(buffer, sizeof buffer);
      text.append("-00001-of-").append(stated.split_count).append(" in the name; this is part ");
      text.append(stated.split_number + 1);
      return error(errc::missing_part, text.text());
    }
    const bool is_one = stated.split_count < 2 && name_.count == 1 && name_.number == 1;
    const bool fits = is_one || (name_.count == stated.split_count && name_.number == stated.split_number + 1);
    return fits ? result<void>() : error(errc::part_mismatch, own_name_);
  }

  result<void> add_own(source&& own, gguf_input& in, std::uint32_t number, const gguf_facts& stated) noexcept {
    auto added = table_.add_file(in, stated);
    return added ? keep(std::move(own), number) : added;
  }
  result<void> add(std::string_view name, std::uint32_t number, const gguf_facts& stated) noexcept {
    result<source> file = folder_.open_part(name);
    if (!file) {
      const bool is_missing = file.error().code() == errc::file_not_found;
      return is_missing ? error(errc::missing_part, name) : file.error().about(name);
    }
    gguf_input in(*file, memory_);
    const result<gguf_facts> facts = gguf_keys_reader(in, memory_).read();
    if (!facts) return facts.error();
    if (facts->split_count != stated.split_count || (facts->split_count > 1 && facts->split_number != number))
      return errc::part_mismatch;
    const bool is_total_same = !facts->has_split_tensor_count || !stated.has_split_tensor_count ||
                               facts->split_tensor_count == stated.split_tensor_count;
    if (!is_total_same) return errc::part_mismatch;
    auto added = table_.add_file(in, *facts);
    return added ? keep(std::move(*file), number) : added;
  }

  /// Ends a file whose tensors were added.
  result<void> keep(source&& file, std::uint32_t number) noexcept {
    table_.end_file();
    if (number == sources_.count()) {
      if (auto grown = grow(); !grown) return grown;
    }
    sources_[number] = std::move(file);
    return {};
  }

  /// Memory grows with the files that are there: a count is only a number in a file.
  result<void> grow() noexcept {
    const std::uint32_t before = sources_.count();
    result<part_sources> larger = part_sources::allocate(before == 0 ? 4 : before * 2, memory_);
    if (!larger) return larger.error();
    for (std::uint32_t number = 0; number < before; ++number) (*larger)[number] = std::move(sources_[number]);
    sources_ = std::move(*larger);
    return {};
  }

  result<store> finish(std::uint32_t count, const gguf_facts& stated) noexcept {
    if (stated.has_split_tensor_count && stated.split_tensor_count != table_.tensor_count())
      return error(errc::part_mismatch, gguf_split_tensors_key);
    // The rows of the parts, then their names.
    const std::uint64_t name_size = own_name_.size() + 8;
    result<source> memory = source::allocate(count * (sizeof(index_part) + name_size), memory_);
    if (!memory) return memory.error();
    index_part* const parts = reinterpret_cast<index_part*>(memory->writable_data());
    char* names = reinterpret_cast<char*>(parts + count);
    for (std::uint32_t number = 0; number < count; ++number, names += name_size) {
      text_writer text(names, static_cast<std::size_t>(name_size));
      name_.print(number + std::uint64_t{1}, text);
      ::new (static_cast<void*>(parts + number)) index_part{text.text(), sources_[number].size_bytes(), 0, false};
    }
    store::contents made;
    result<source> table = table_.finish({parts, count}, 0, made.index);
    if (!table) return table.error();
    made.table = std::move(*table);
    made.parts = std::move(sources_);
    made.alignment_bytes = table_.alignment_bytes();
    return store(std::move(made));
  }

  std::string_view own_name_;
  gguf_part_name name_;
  model_folder folder_;
  memory_resource* memory_;
  gguf_table table_;
  part_sources sources_; // as many as the files, and some more
};

/// Opens the GGUF file that `data` holds, and the other parts of its model, if it is one of several.
/// @param path       of the file; empty: other parts cannot be found
/// @param is_in_folder  the path of the model is the folder, so that even a single file is a part
/// Errors: those of `open_gguf` but for the operating system's.
inline result<store> open_gguf_source(source&& data, std::string_view path, const open_options& options,
                                      bool is_in_folder = false) noexcept {
  gguf_input in(data, options.memory);
  const result<gguf_facts> facts = gguf_keys_reader(in, options.memory).read();
  if (!facts) return facts.error();
  if (facts->split_count > 1 || is_in_folder) return gguf_parts(path, options).open(std::move(data), in, *facts);
  gguf_table tensors(options.memory);
  if (auto added = tensors.add_file(in, *facts); !added) return added.error();
  store::contents made;
  result<source> table = tensors.finish({}, data.size_bytes(), made.index);
  if (!table) return table.error();
  made.table = std::move(*table);
  made.alignment_bytes = tensors.alignment_bytes();
  made.data = std::move(data);
  return store(std::move(made));
}

} // namespace detail

/// Opens the GGUF file at `path_utf8`: version 1, 2 or 3, little- or big-endian. If it is a part of a model that is split
/// (`split.count`), all parts are opened, by their names "…-00001-of-00003…" beside it; any part may be given.
///
/// Tensors are in place, in the order of the files; shapes have the outermost extent first, the reverse of the file. Quantized
/// types are blocks (`ggml_types`, ggml_type.hpp). Of a big-endian file, `copy_to` gives the values of plain tensors; blocks are as the file has
/// them, BF16 too, which some writers swap and some do not. The file has no checksums. Tensors may be in any order, with gaps
/// between them; bytes may follow the last one.
///
/// Errors: those of `stet::open` for paths and options, and
/// @retval errc::truncated       the file ends within its header, or before the end of a tensor, the subject
/// @retval errc::malformed       the file does not begin as a GGUF file; or `split.no` or `split.count`, the subject, is invalid
/// @retval errc::newer_format    a version above 3
/// @retval errc::bad_name        a key is empty, not ASCII, or longer than 65535 bytes; or a tensor's name is not UTF-8, or too long
/// @retval errc::duplicate_key   a key, the subject, occurs twice with different values
/// @retval errc::unknown_dtype   the type of a key's value, or that of a tensor (the subject, with the code), is not known
/// @retval errc::bad_value       a boolean is neither 0 nor 1
/// @retval errc::too_deep        more than 16 arrays within each other
/// @retval errc::too_large       a string or array is longer than 2^30, or there are too many tensors
/// @retval errc::bad_alignment   `general.alignment` is no uint32, or no power of two up to 65536
/// @retval errc::bad_shape       a shape overflows, has more than `max_rank` extents, or rows that are not whole blocks
/// @retval errc::bad_offset      an offset is no multiple of the alignment
/// @retval errc::overlap         a tensor begins within another
/// @retval errc::duplicate_name  two tensors have the same name
/// @retval errc::missing_part    another part, the subject, is not there
/// @retval errc::part_mismatch   a part, the subject, has another number than its name, or other counts than the part that was given
/// @retval errc::bad_path        a part is a link (`open_options::follow_links`)
/// Cost: one pass over the keys, which skips arrays of numbers, and one over the tensors; allocates the index, and while it reads,
/// 16 bytes for each key, and 24 for each tensor if they are not in order; all from `options.memory`. Reads no tensor.
/// Source: github.com/ggml-org/ggml, docs/gguf.md and src/gguf.cpp.
[[nodiscard]] inline result<store> open_gguf(std::string_view path_utf8, const open_options& options = {}) noexcept {
  return detail::open_file(path_utf8, options, [&](source&& bytes) noexcept {
    return detail::open_gguf_source(std::move(bytes), path_utf8, options);
  });
}
/// The same for a string literal.
[[nodiscard]] inline result<store> open_gguf(const char* path_utf8, const open_options& options = {}) noexcept {
  return open_gguf(std::string_view(path_utf8), options);
}
/// Opens a GGUF file in memory, such as flash, which must outlive the store. Tensors are in place.
/// Errors: those of the file's content; errc::missing_part for a part of several. Cost: as of a path.
[[nodiscard]] inline result<store> open_gguf(std::span<const std::byte> bytes,
                                             const open_options& options = {}) noexcept {
  return detail::open_gguf_source(source::borrow(bytes), {}, options);
}

} // namespace stet::inline STET_NAMESPACE

#endif
