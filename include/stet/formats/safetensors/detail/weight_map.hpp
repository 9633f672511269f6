// SPDX-License-Identifier: MIT
// Reads the index of a sharded model, `*.safetensors.index.json`: the file of each tensor.
#ifndef STET_FORMATS_SAFETENSORS_DETAIL_WEIGHT_MAP_HPP
#define STET_FORMATS_SAFETENSORS_DETAIL_WEIGHT_MAP_HPP

#include "entries.hpp"

#include "../../../index/index.hpp"
#include "../../../source/source.hpp"
#include "../../../wire/json.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string_view>

namespace stet::inline STET_NAMESPACE::detail {

/// The member of the index that maps the name of each tensor to a file beside the index.
inline constexpr std::string_view safetensors_weight_map_key = "weight_map";
/// The largest index that is read: as for headers.
inline constexpr std::uint64_t max_safetensors_map_size_bytes = 100'000'000;

/// The distinct names of files in a weight map, in the order of their first use: an array and a hash table in one block of memory.
class safetensors_file_names {
public:
  explicit safetensors_file_names(memory_resource* memory) noexcept : memory_(memory) {}

  /// The number of the file called `name`, whose text must outlive this object.
  /// @retval errc::bad_hash_table  the names were made to collide
  /// or an error of `source::allocate`. Cost: constant; nothing is hashed if the name is that of the last call.
  result<std::uint32_t> number_of(const json_string& name) noexcept {
    if (count_ != 0 && (*this)[last_] == name) return last_;
    if (count_ == capacity_) {
      if (auto grown = grow(); !grown) return grown.error();
    }
    std::uint32_t* const slot = slot_of(name);
    if (slot == nullptr) return errc::bad_hash_table;
    if (*slot == 0) {
      ::new (static_cast<void*>(names() + count_)) json_string(name);
      *slot = ++count_;
    }
    return last_ = *slot - 1;
  }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  [[nodiscard]] const json_string& operator[](std::uint32_t number) const noexcept {
    return reinterpret_cast<const json_string*>(bytes_.data())[number];
  }

private:
  [[nodiscard]] json_string* names() noexcept { return reinterpret_cast<json_string*>(bytes_.writable_data()); }
  /// Twice as many slots as there is room for names: numbers of files, counted from 1, or 0.
  [[nodiscard]] std::uint32_t* slots() noexcept { return reinterpret_cast<std::uint32_t*>(names() + capacity_); }

  result<void> grow() noexcept {
    constexpr std::uint32_t least = 64;
    const std::uint32_t capacity = capacity_ == 0 ? least : capacity_ * 4;
    const std::size_t names_size = capacity * sizeof(json_string), slots_size = capacity * 2 * sizeof(std::uint32_t);
    result<source> made = source::allocate(std::uint64_t{names_size} + slots_size, memory_);
    if (!made) return made.error();
    std::byte* const base = made->writable_data();
    if (count_ != 0) std::memcpy(base, bytes_.data(), count_ * sizeof(json_string));
    std::memset(base + names_size, 0, slots_size);
    bytes_ = std::move(*made);
    capacity_ = capacity;
    for (std::uint32_t number = 0; number < count_; ++number) {
      std::uint32_t* const slot = slot_of((*this)[number]);
      if (slot == nullptr) return errc::bad_hash_table;
      *slot = number + 1;
    }
    return {};
  }
  /// The slot of `name`, or the free slot for it; nullptr if it is too far from the slot where the search begins.
  [[nodiscard]] std::uint32_t* slot_of(const json_string& name) noexcept {
    const std::uint64_t mask = std::uint64_t{capacity_} * 2 - 1, first = name.hash();
    for (std::uint64_t probe = 0; probe <= max_probe_count; ++probe) {
      std::uint32_t* const slot = slots() + ((first + probe) & mask);
      if (*slot == 0 || (*this)[*slot - 1] == name) return slot;
    }
    return nullptr;
  }

  memory_resource* memory_;
  source bytes_;
  std::uint32_t count_ = 0, capacity_ = 0, last_ = 0;
};

/// The index of a sharded model. Used once.
class safetensors_weight_map {
public:
  explicit safetensors_weight_map(memory_resource* memory) noexcept : memory_(memory) {}

  /// Reads the text of an index.
  /// @retval errc::bad_json, too_deep, bad_number  it is not JSON in UTF-8; the offset is where
  /// @retval errc::wrong_type      it is not an object, the weight map is not an object, or a file is not a string
  /// @retval errc::missing_field, duplicate_key  the weight map is missing, or occurs twice
  /// @retval errc::bad_path        the name of a file, the subject, is not a plain name
  /// @retval errc::duplicate_name  two entries have the same name, the subject
  /// @retval errc::bad_name        a name is longer than `max_name_size_bytes`
  /// or an error of memory. Cost: one pass; allocates an index of all names, about as large as the text.
  result<void> read(std::string_view text) noexcept {
    json_reader in(text);
    safetensors_entries entries(memory_);
    safetensors_file_names files(memory_);
    bool is_found = false;
    if (in.next() != json_token::begin_object) return problem(in, errc::wrong_type, "index");
    while (in.next() == json_token::key) {
      const bool is_map = in.string() == safetensors_weight_map_key;
      in.next();
      if (!is_map) {
        if (!in.skip()) return problem(in, errc::bad_json, "index");
        continue;
      }
      if (is_found) return problem(in, errc::duplicate_key, safetensors_weight_map_key);
      is_found = true;
      if (auto there = entries.make_room(text.size()); !there) return there;
      if (auto read = read_map(in, entries, files); !read) return read;
    }
    if (in.token() != json_token::end_object || in.next() != json_token::end)
      return problem(in, errc::bad_json, "index");
    if (!is_found) return error(errc::missing_field, safetensors_weight_map_key);
    return finish(entries, files);
  }

  /// An empty tensor for each entry of the weight map, in its order; parts are the files.
  [[nodiscard]] const tensor_index& index() const noexcept { return index_; }

private:
  [[nodiscard]] static error problem(const json_reader& in, errc code, std::string_view subject) noexcept {
    return in.code() != errc{} ? error(in.code(), "index", in.offset_bytes()) : error(code, subject, in.offset_bytes());
  }

  static result<void> read_map(json_reader& in, safetensors_entries& entries, safetensors_file_names& files) noexcept {
    constexpr std::uint64_t no_elements[] = {0};
    if (in.token() != json_token::begin_object) return problem(in, errc::wrong_type, safetensors_weight_map_key);
    while (in.next() == json_token::key) {
      const json_string name = in.string();
      if (in.next() != json_token::string) return problem(in, errc::wrong_type, name.raw());
      const result<std::uint32_t> number = files.number_of(in.string());
      if (!number) return number.error();
      index_row row;
      row.layout = element_layout::of(dtype::uint8);
      row.shape = std::span<const std::uint64_t>(no_elements, 1);
      row.part = *number;
      const errc failure = entries.add(row, name);
      if (failure == errc::bad_name) return problem(in, failure, name.raw());
      if (failure != errc{}) return error(failure);
    }
    return in.token() == json_token::end_object ? result<void>()
                                                : problem(in, errc::bad_json, safetensors_weight_map_key);
  }

  /// Makes the index; its parts are the files.
  result<void> finish(safetensors_entries& entries, const safetensors_file_names& files) noexcept {
    std::uint64_t text_size = 0;
    for (std::uint32_t number = 0; number < files.count(); ++number) text_size += files[number].raw().size();
    const std::uint64_t parts_size = files.count() * std::uint64_t{sizeof(index_part)};
    result<source> memory = source::allocate(parts_size + text_size, memory_);
    if (!memory) return memory.error();
    index_part* const parts = reinterpret_cast<index_part*>(memory->writable_data());
    char* into = reinterpret_cast<char*>(memory->writable_data()) + static_cast<std::size_t>(parts_size);
    for (std::uint32_t number = 0; number < files.count(); ++number) {
      const std::size_t size = files[number].decode(into);
      const std::string_view name = text_at(into, size);
      if (!is_part_name(name)) return error(errc::bad_path, name);
      ::new (static_cast<void*>(parts + number)) index_part{name};
      into += size;
    }
    result<source> table = entries.finish(index_, std::span<const index_part>(parts, files.count()), {}, "index");
    if (!table) return table.error();
    table_ = std::move(*table);
    return {};
  }

  memory_resource* memory_;
  source table_;
  tensor_index index_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
