// SPDX-License-Identifier: MIT
// Native files made in memory, whose every field can be overwritten afterwards and the checksums set anew, so
// that a test's attack gets past them.
#ifndef STET_TESTS_SUPPORT_NATIVE_BYTES_HPP
#define STET_TESTS_SUPPORT_NATIVE_BYTES_HPP

#include <stet/index/detail/builder.hpp>
#include <stet/index/detail/encode_header.hpp>
#include <stet/vocabulary/element.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet_test {

using byte_vector = std::vector<std::byte>;

/// The code of an error; errc{} of a success.
template <class T> stet::errc code_of(const stet::result<T>& made) { return made ? stet::errc{} : made.error().code(); }

/// The bytes of some elements as a file has them, one after the other: words are little-endian.
template <class T> byte_vector bytes_of(std::span<const T> values) {
  byte_vector bytes(values.size_bytes());
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  constexpr std::size_t word = stet::describe(stet::dtype_of<T>::value).word_size_bytes;
  for (std::size_t at = 0; std::endian::native == std::endian::big && at < bytes.size(); at += word)
    std::reverse(bytes.data() + at, bytes.data() + at + word);
  return bytes;
}
template <class T> byte_vector bytes_of(std::initializer_list<T> values) {
  return bytes_of(std::span<const T>(values.begin(), values.size()));
}

/// The bytes of a string tensor: offsets, then texts.
inline byte_vector bytes_of_strings(std::initializer_list<std::string_view> texts) {
  byte_vector bytes((texts.size() + 1) * 8);
  std::uint64_t end = 0;
  std::size_t at = 0;
  for (const std::string_view text : texts) {
    end += text.size();
    stet::detail::store_little(bytes.data() + (at += 8), end);
  }
  for (const std::string_view text : texts) {
    for (const char c : text) bytes.push_back(static_cast<std::byte>(c));
  }
  return bytes;
}

/// A tensor of a `native_file`.
struct native_tensor {
  static constexpr std::uint64_t next_free = ~std::uint64_t{0};

  std::string name;
  stet::element_layout layout;
  std::vector<std::uint64_t> shape;
  byte_vector bytes;
  std::uint32_t alias_of = stet::index_row::not_an_alias;
  std::uint32_t part = 0;
  /// Where the bytes go; by default after those of the tensor before, aligned.
  std::uint64_t offset_bytes = next_free;
  bool has_crc32c = true;
};

/// A tensor of plain elements.
template <class T>
native_tensor tensor_of(std::string name, std::vector<std::uint64_t> shape, std::initializer_list<T> values) {
  return {std::move(name), stet::element_layout::of(stet::dtype_of<T>::value), std::move(shape), bytes_of<T>(values)};
}
/// A tensor whose stored bytes are given.
inline native_tensor tensor_of(std::string name, stet::element_layout layout, std::vector<std::uint64_t> shape,
                               byte_vector bytes) {
  return {std::move(name), layout, std::move(shape), std::move(bytes)};
}
/// A tensor of strings, one-dimensional.
inline native_tensor strings_of(std::string name, std::initializer_list<std::string_view> texts) {
  return {std::move(name), stet::element_layout::of(stet::dtype::string), {texts.size()}, bytes_of_strings(texts)};
}
/// Another name for tensor `original` of the same list.
inline native_tensor alias_of(std::string name, const std::vector<native_tensor>& tensors, std::uint32_t original) {
  const native_tensor& of = tensors[original];
  return {std::move(name), of.layout, of.shape, of.bytes, original, of.part, of.offset_bytes, of.has_crc32c};
}

/// Sets the checksums of a native file to those of its bytes, wherever its header says that manifest and
/// index lie.
inline void seal(std::span<std::byte> file) noexcept {
  if (file.size() < stet::file_header::size_bytes) return;
  const auto seal_section = [&](std::size_t offset_field, std::size_t crc_field) {
    const std::uint64_t offset = stet::detail::load_little<std::uint64_t>(file.data() + offset_field);
    const std::uint64_t size = stet::detail::load_little<std::uint64_t>(file.data() + offset_field + 8);
    if (!stet::detail::range_fits(offset, size, file.size())) return;
    const auto section = file.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
    stet::detail::store_little(file.data() + crc_field, stet::crc32c(section));
  };
  seal_section(32, 80);
  seal_section(48, 84);
  stet::detail::store_little(file.data() + 124, stet::crc32c(file.first(124)));
}

/// A native store as bytes, made of tensors. The manifest is a stand-in: opening through the index does not
/// parse it.
class native_file {
public:
  struct options {
    std::uint32_t alignment_bytes = 64;
    std::string manifest = "{}";
    /// Files that hold the tensors; none: the store does.
    std::vector<stet::index_part> parts{};
  };

  byte_vector bytes;
  stet::file_header header;

  explicit native_file(const std::vector<native_tensor>& tensors) : native_file(tensors, options()) {}
  native_file(const std::vector<native_tensor>& tensors, const options& with) {
    std::vector<stet::index_row> rows;
    for (const native_tensor& each : tensors) {
      stet::index_row row{each.name, each.layout, each.shape};
      row.part = each.part;
      row.size_bytes = each.bytes.size();
      row.crc32c = stet::crc32c(each.bytes);
      row.has_crc32c = each.has_crc32c;
      row.alias_of = each.alias_of;
      rows.push_back(row);
    }
    header.alignment_bytes = with.alignment_bytes;
    header.manifest_size_bytes = with.manifest.size();
    const auto size = stet::index_size_bytes(rows, with.parts);
    if (!size) return;
    header.index_size_bytes = *size;
    if (!stet::place_sections(header)) return;
    std::uint64_t end = header.data_offset_bytes;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const native_tensor& each = tensors[i];
      if (each.alias_of != stet::index_row::not_an_alias) {
        rows[i].offset_bytes = rows[each.alias_of].offset_bytes;
      } else if (each.offset_bytes != native_tensor::next_free) {
        rows[i].offset_bytes = each.offset_bytes;
      } else if (!each.bytes.empty()) {
        (void)stet::detail::checked_align_up(end, with.alignment_bytes, rows[i].offset_bytes);
        end = rows[i].offset_bytes + each.bytes.size();
      }
    }
    header.data_size_bytes = end - header.data_offset_bytes;
    if (!stet::place_sections(header)) return;
    byte_vector index(static_cast<std::size_t>(*size));
    if (!stet::build_index(rows, with.parts, index)) return;

    bytes.resize(static_cast<std::size_t>(header.file_size_bytes));
    put(header.manifest_offset_bytes, std::as_bytes(std::span(with.manifest)));
    put(header.index_offset_bytes, index);
    for (std::size_t i = 0; i < rows.size() && with.parts.empty(); ++i) put(rows[i].offset_bytes, tensors[i].bytes);
    stet::encode_header(header, std::span<std::byte>(bytes).first<stet::file_header::size_bytes>());
    seal();

    std::size_t entry = slots_at() + get<std::uint32_t>(index_at() + 12) * std::size_t{8};
    for (const stet::index_row& row : rows) {
      entries_.push_back(entry);
      entry += static_cast<std::size_t>(stet::detail::index_layout::size_of_entry(row.shape.size(), row.name.size()));
    }
    names_at_ = entry;
  }

  // Where things stand in the file, in bytes from its start.
  [[nodiscard]] std::size_t index_at() const { return static_cast<std::size_t>(header.index_offset_bytes); }
  [[nodiscard]] std::size_t data_at() const { return static_cast<std::size_t>(header.data_offset_bytes); }
  [[nodiscard]] std::size_t part_at(std::size_t number) const { return index_at() + 64 + number * 32; }
  [[nodiscard]] std::size_t block_at(std::size_t number) const {
    return part_at(get<std::uint32_t>(index_at() + 4)) + number * 16;
  }
  [[nodiscard]] std::size_t slots_at() const { return block_at(get<std::uint32_t>(index_at() + 8)); }
  [[nodiscard]] std::size_t entry_at(std::size_t number) const { return entries_[number]; }
  [[nodiscard]] std::size_t extents_at(std::size_t number) const { return entries_[number] + 48; }
  [[nodiscard]] std::size_t name_at(std::size_t number) const {
    return extents_at(number) + static_cast<std::size_t>(bytes[entries_[number] + 44]) * 8;
  }
  [[nodiscard]] std::size_t names_at() const { return names_at_; }
  /// The place of an entry, as the index counts.
  [[nodiscard]] std::uint32_t place_of(std::size_t number) const {
    return static_cast<std::uint32_t>((entries_[number] - index_at()) / 8);
  }
  /// The slot that leads to an entry.
  [[nodiscard]] std::size_t slot_at(std::size_t number) const {
    std::size_t at = slots_at();
    while (at < entries_[0] && get<std::uint32_t>(at + 4) != place_of(number)) at += 8;
    return at;
  }

  /// Reads and overwrites an integer; the type says how wide it is.
  template <class Unsigned> [[nodiscard]] Unsigned get(std::size_t at) const {
    return stet::detail::load_little<Unsigned>(bytes.data() + at);
  }
  template <class Unsigned> native_file& set(std::size_t at, Unsigned value) {
    stet::detail::store_little(bytes.data() + at, value);
    return *this;
  }
  /// Overwrites bytes.
  native_file& put(std::uint64_t at, std::span<const std::byte> with) {
    if (!with.empty()) std::memcpy(bytes.data() + static_cast<std::size_t>(at), with.data(), with.size());
    return *this;
  }
  native_file& put(std::uint64_t at, std::string_view with) {
    return put(at, std::as_bytes(std::span(with.data(), with.size())));
  }

  /// Sets all checksums but the tensors' to those of the bytes as they are now.
  native_file& seal() {
    stet_test::seal(bytes);
    return *this;
  }

private:
  std::vector<std::size_t> entries_;
  std::size_t names_at_ = 0;
};

/// A part of a sharded store: a header of kind part, zeros up to the alignment, and data.
inline byte_vector native_part(std::uint32_t number, std::uint32_t count, std::uint64_t content_id,
                               std::span<const std::byte> data, std::uint32_t alignment_bytes = 64) {
  stet::file_header header;
  header.kind = stet::file_header::file_kind::part;
  header.part_number = number;
  header.part_count = count;
  header.content_id = content_id;
  header.alignment_bytes = alignment_bytes;
  header.data_size_bytes = data.size();
  if (!stet::place_sections(header)) return {};
  byte_vector bytes(static_cast<std::size_t>(header.file_size_bytes));
  stet::encode_header(header, std::span<std::byte>(bytes).first<stet::file_header::size_bytes>());
  if (!data.empty()) std::memcpy(bytes.data() + header.data_offset_bytes, data.data(), data.size());
  return bytes;
}

/// A small store with a bit of everything: floats, packed integers, strings, a scalar, nothing at all, and
/// tied weights.
inline native_file mixed_store(const native_file::options& with = native_file::options()) {
  std::vector<native_tensor> tensors;
  tensors.push_back(tensor_of<float>("dense/kernel", {2, 3}, {1, 2, 3, 4, 5, 6}));
  tensors.push_back(
      tensor_of("packed", stet::element_layout::of(stet::dtype::int4), {3}, bytes_of<unsigned char>({0x21, 0x0F})));
  tensors.push_back(strings_of("labels", {"zero", "", "two"}));
  tensors.push_back(tensor_of<std::int64_t>("step", {}, {42}));
  tensors.push_back(tensor_of<float>("empty", {0, 4}, {}));
  tensors.push_back(alias_of("tied", tensors, 0));
  return native_file(tensors, with);
}

/// The files of a store of two parts, the table last: name and bytes of each.
inline std::vector<std::pair<std::string, byte_vector>> files_of_two_parts() {
  std::vector<native_tensor> tensors{tensor_of<float>("a", {2}, {1, 2}), tensor_of<float>("b", {1}, {3})};
  tensors[0].offset_bytes = tensors[1].offset_bytes = 128;
  tensors[1].part = 1;
  const byte_vector first = native_part(0, 2, 11, bytes_of<float>({1, 2}));
  const byte_vector second = native_part(1, 2, 22, bytes_of<float>({3}));
  native_file::options with;
  with.parts = {{"model-0.stet", first.size(), 11, true}, {"model-1.stet", second.size(), 22, true}};
  return {{"model-0.stet", first}, {"model-1.stet", second}, {"model.stet", native_file(tensors, with).bytes}};
}

} // namespace stet_test

#endif
