// SPDX-License-Identifier: MIT
// Makes one store of the shards of a model.
#ifndef STET_FORMATS_SAFETENSORS_DETAIL_SHARDS_HPP
#define STET_FORMATS_SAFETENSORS_DETAIL_SHARDS_HPP

#include "header.hpp"
#include "weight_map.hpp"

#include "../../../store/open.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string_view>
#include <utility>

namespace stet::inline STET_NAMESPACE::detail {

/// Reads the header of the safetensors file that `data` holds. The text lies in `data`, or else in `copy`.
/// @retval errc::truncated, too_large  the size of the header
/// or an error of the reader. Cost: reads the header, where it is not in memory.
inline result<std::string_view> read_safetensors_header(const source& data, source& copy,
                                                        memory_resource* memory) noexcept {
  std::byte length_bytes[safetensors_length_size_bytes];
  if (data.size_bytes() < sizeof length_bytes) return error(errc::truncated, "header", data.size_bytes());
  if (auto read = data.read_at(0, writable_bytes_at(length_bytes, sizeof length_bytes)); !read) return read.error();
  const auto length = load_little<std::uint64_t>(length_bytes);
  if (length > max_safetensors_header_size_bytes) return error(errc::too_large, "header");
  if (length > data.size_bytes() - sizeof length_bytes) return error(errc::truncated, "header", data.size_bytes());
  if (data.data() != nullptr) return text_at(data.data() + sizeof length_bytes, static_cast<std::size_t>(length));
  result<source> read = source::read(*data.fetcher(), {sizeof length_bytes, length}, 1, memory);
  if (!read) return read.error();
  copy = std::move(*read);
  return text_at(copy.data(), static_cast<std::size_t>(length));
}

/// Adds the tensors of the safetensors file that `data` holds to `entries`, as those of part `part`.
/// Errors: those of the header. @return where its data begin and end
inline result<index_limits> add_safetensors_file(safetensors_entries& entries, const source& data, std::uint32_t part,
                                                 memory_resource* memory) noexcept {
  source copy;
  const result<std::string_view> text = read_safetensors_header(data, copy, memory);
  if (!text) return text.error();
  index_limits limits;
  limits.data_begin_bytes = safetensors_length_size_bytes + text->size();
  limits.data_end_bytes = data.size_bytes();
  safetensors_header_reader header(*text, limits.data_end_bytes - limits.data_begin_bytes, part, entries, memory);
  if (auto read = header.read(); !read) return read.error();
  return limits;
}

/// Opens the safetensors file that `data` holds. Errors: those of `open_safetensors` but for the operating system's.
inline result<store> open_safetensors_source(source&& data, memory_resource* memory) noexcept {
  safetensors_entries entries(memory);
  store::contents made;
  const result<index_limits> limits = add_safetensors_file(entries, data, 0, memory);
  if (!limits) return limits.error();
  result<source> table = entries.finish(made.index, {}, *limits, "header");
  if (!table) return table.error();
  made.table = std::move(*table);
  made.data = std::move(data);
  return store(std::move(made));
}

/// Opens the shards of a model. Used once.
class safetensors_shards {
public:
  explicit safetensors_shards(memory_resource* memory) noexcept : memory_(memory), entries_(memory) {}

  /// Opens the files that the weight map lists, and adds to the store the tensors that it assigns to them.
  /// @retval errc::missing_part  none of the files exists; the subject lists them
  /// or an error of opening a file or of its header, which has the file as subject. Cost: that of opening each file, and a
  /// look-up for each tensor.
  result<store> open(const safetensors_weight_map& map, const part_opener& opener) noexcept {
    const tensor_index& listed = map.index();
    if (auto begun = begin(listed.part_count()); !begun) return begun.error();
    file_count_ = listed.part_count();
    const std::uint64_t flags_size = std::uint64_t{file_count_} + listed.tensor_count();
    result<source> found = source::allocate(flags_size, memory_);
    if (!found) return found.error();
    found_ = std::move(*found);
    if (flags_size != 0) std::memset(found_.writable_data(), 0, static_cast<std::size_t>(flags_size));
    for (std::uint32_t number = 0; number < listed.part_count(); ++number) {
      const std::string_view name = listed.part(number).path;
      result<source> opened = opener.open_part(name);
      if (!opened && opened.error().code() == errc::file_not_found) continue;
      if (!opened) return opened.error().about(name);
      found_.writable_data()[number] = std::byte{1};
      const std::uint32_t first = entries_.count();
      const std::size_t first_size = entries_.size_bytes();
      if (auto added = add(name, std::move(*opened)); !added) return added.error();
      keep_listed(listed, number, first, first_size);
    }
    if (part_count_ == 0 && listed.part_count() != 0) return stale(listed);
    return finish();
  }
  /// True if `open` found the tensor with this number in the weight map.
  [[nodiscard]] bool is_found(std::uint32_t number) const noexcept {
    return found_.data()[std::size_t{file_count_} + number] != std::byte{0};
  }
  /// True if `open` found the file with this number in the weight map.
  [[nodiscard]] bool is_file_found(std::uint32_t number) const noexcept {
    return found_.data()[number] != std::byte{0};
  }

  /// Begins a store of at most `count` files, for which `add` follows.
  result<void> begin(std::uint32_t count) noexcept {
    result<part_sources> sources = part_sources::allocate(count, memory_);
    if (!sources) return sources.error();
    result<source> parts = source::allocate(count * std::uint64_t{sizeof(index_part)}, memory_);
    if (!parts) return parts.error();
    sources_ = std::move(*sources);
    parts_ = std::move(*parts);
    return {};
  }
  /// Adds all tensors of a file. Its name must outlive this object.
  result<void> add(std::string_view name, source&& file) noexcept {
    const auto added = add_safetensors_file(entries_, file, part_count_, memory_);
    if (!added) {
      const error& why = added.error();
      if (why.category() <= error_category::system || why.subject().empty()) return why.about(name);
      return error(why.code(), error_about(why.code(), name, why.subject()).subject(), why.offset_bytes());
    }
    ::new (static_cast<void*>(parts() + part_count_)) index_part{name, file.size_bytes()};
    sources_[part_count_++] = std::move(file);
    return {};
  }
  /// Makes the store. @retval errc::duplicate_name  two tensors have the same name
  result<store> finish() noexcept {
    store::contents made;
    result<source> table = entries_.finish(made.index, std::span<const index_part>(parts(), part_count_), {}, "shards");
    if (!table) return table.error();
    made.table = std::move(*table);
    made.parts = std::move(sources_);
    return store(std::move(made));
  }

private:
  [[nodiscard]] index_part* parts() noexcept { return reinterpret_cast<index_part*>(parts_.writable_data()); }

  /// Removes from the entries of a file those that the weight map does not assign to it, and notes the others as found.
  void keep_listed(const tensor_index& listed, std::uint32_t file, std::uint32_t first,
                   std::size_t first_size) noexcept {
    // Index and shards are often in the same order. A look-up then costs a comparison instead of a search of the table.
    tensor_index::iterator next = listed.begin();
    entries_.keep_if(first, first_size, [&](std::string_view name) {
      index_entry entry;
      if (next != listed.end() && (*next).name() == name) {
        entry = *next;
      } else {
        entry = listed.find(name);
        if (!entry) return false;
        next = listed.iterator_at(entry);
      }
      ++next;
      if (entry.part() != file) return false;
      found_.writable_data()[std::size_t{file_count_} + entry.number()] = std::byte{1};
      return true;
    });
  }

  /// The error of an index that lists no existing file.
  [[nodiscard]] static error stale(const tensor_index& listed) noexcept {
    char text[error::max_subject_bytes];
    text_writer out(text, sizeof text);
    constexpr std::uint32_t shown = 2;
    for (std::uint32_t number = 0; number < listed.part_count() && number < shown; ++number)
      out.append(number == 0 ? "" : ", ").append(listed.part(number).path);
    if (listed.part_count() > shown)
      out.append(" and ").append(std::uint64_t{listed.part_count()} - shown).append(" more");
    return error(errc::missing_part, out.text());
  }

  memory_resource* memory_;
  safetensors_entries entries_;
  part_sources sources_;
  source parts_;
  source found_; // a byte for each file of the weight map, then for each tensor
  std::uint32_t file_count_ = 0, part_count_ = 0;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
