// SPDX-License-Identifier: MIT
// Opens the weights of a TensorFlow.js model in place.
#ifndef STET_FORMATS_TFJS_OPEN_HPP
#define STET_FORMATS_TFJS_OPEN_HPP

#include "detail/model_json.hpp"

#include "../common/files_beside.hpp"
#include "../common/model_folder.hpp"
#include "../common/readers.hpp"
#include "../format.hpp"
#include "../common/store_builder.hpp"
#include "../common/string_table.hpp"

#include "../../manifest/open.hpp"
#include "../../source/detail/path.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The files of a group as one run of bytes.
class tfjs_bytes {
public:
  /// Appends a part of `builder`.
  result<void> append(const store_builder& builder, std::uint32_t part) {
    begins_.push_back(all_.size_bytes());
    parts_.push_back(part);
    return all_.append(builder.part(part), 0, builder.part(part).size_bytes());
  }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return all_.size_bytes(); }
  [[nodiscard]] const byte_reader& all() const noexcept { return all_; }

  /// Finds the file that holds a range of the group. @return whether one holds all of it
  bool find(std::uint64_t begin, std::uint64_t size_bytes, std::uint32_t& part, std::uint64_t& offset) const {
    part = 0;
    offset = 0;
    if (size_bytes == 0) return true;
    const std::size_t number = file_at(begin);
    part = parts_[number];
    offset = begin - begins_[number];
    return size_bytes <= end_of(number) - begin;
  }
  /// The pieces of a range that several files hold.
  result<gathered_bytes> gather(const store_builder& builder, std::uint64_t begin, std::uint64_t size_bytes) const {
    gathered_bytes made;
    for (std::size_t number = file_at(begin); size_bytes != 0; ++number) {
      const std::uint64_t left = end_of(number) - begin;
      const std::uint64_t taken = left < size_bytes ? left : size_bytes;
      if (auto added = made.append(builder.part(parts_[number]), begin - begins_[number], taken); !added)
        return added.error();
      begin += taken;
      size_bytes -= taken;
    }
    return made;
  }

private:
  /// The number of the last file that begins at or before `offset`; what is of no size is passed over.
  [[nodiscard]] std::size_t file_at(std::uint64_t offset) const {
    const auto after = std::upper_bound(begins_.begin(), begins_.end(), offset);
    return after == begins_.begin() ? 0 : static_cast<std::size_t>(after - begins_.begin()) - 1;
  }
  [[nodiscard]] std::uint64_t end_of(std::size_t number) const {
    return number + 1 < begins_.size() ? begins_[number + 1] : all_.size_bytes();
  }

  gathered_bytes all_;
  std::vector<std::uint64_t> begins_;
  std::vector<std::uint32_t> parts_;
};

/// Reads the u32 that stands at `at`, which lies within the bytes.
inline result<std::uint32_t> read_tfjs_size(const byte_reader& from, std::uint64_t at) {
  std::byte size[4];
  if (auto read = from.read(at, size); !read) return read.error();
  return load_little<std::uint32_t>(size);
}

/// Where a string tensor of `count` elements ends that begins at `at`.
/// @retval errc::bad_string_table  a string reaches beyond the group
inline result<std::uint64_t> end_of_tfjs_strings(const byte_reader& from, std::uint64_t at, std::uint64_t count) {
  // Before anything is believed of the count: each string has at least its size.
  if (count > (from.size_bytes() - at) / 4) return error(errc::bad_string_table, {}, at);
  for (; count != 0; --count) {
    if (from.size_bytes() - at < 4) return error(errc::bad_string_table, {}, at);
    const result<std::uint32_t> size = read_tfjs_size(from, at);
    if (!size) return size.error();
    at += 4;
    if (*size > from.size_bytes() - at) return error(errc::bad_string_table, {}, at - 4);
    at += *size;
  }
  return at;
}

/// The strings in [begin, end) as a store has them: offsets, then bytes (index/format.hpp, "Data").
inline result<source> decode_tfjs_strings(const byte_reader& from, std::uint64_t begin, std::uint64_t end,
                                          std::uint64_t count, memory_resource* memory) {
  const std::uint64_t text_bytes = end - begin - count * 4;
  result<string_table> made = string_table::allocate(count, text_bytes, memory);
  if (!made) return made.error();
  for (std::uint64_t number = 0; number < count; ++number) {
    const result<std::uint32_t> size = read_tfjs_size(from, begin);
    if (!size) return size.error();
    // The files may have changed since they were measured.
    if (!made->fits(*size)) return error(errc::bad_string_table, {}, begin);
    if (auto read = from.read(begin + 4, made->append(*size)); !read) return read.error();
    begin += 4 + std::uint64_t{*size};
  }
  return made->finish();
}

/// Adds the weights of a group, the files of which are `bytes`.
inline result<void> add_tfjs_weights(const tfjs_group& group, const tfjs_bytes& bytes, store_builder& builder) {
  std::uint64_t at = 0;
  for (const tfjs_weight& weight : group.weights) {
    index_row row;
    row.name = weight.name;
    row.layout = element_layout::of(weight.stored);
    row.shape = weight.shape;
    element_counter counter;
    for (const std::uint64_t extent : weight.shape) {
      if (!counter.multiply(extent)) return error(errc::bad_shape, weight.name);
    }
    if (!checked_size_bytes(counter, row.layout, row.size_bytes)) return error(errc::bad_shape, weight.name);
    if (weight.stored == dtype::string) {
      const result<std::uint64_t> end = end_of_tfjs_strings(bytes.all(), at, counter.element_count());
      if (!end) return end.error().about(weight.name);
      result<source> decoded = decode_tfjs_strings(bytes.all(), at, *end, counter.element_count(), builder.memory());
      if (!decoded) return decoded.error().about(weight.name);
      row.size_bytes = decoded->size_bytes();
      row.part = builder.add_decoded(std::move(*decoded));
      at = *end;
    } else {
      if (row.size_bytes > bytes.size_bytes() - at) return error(errc::truncated, weight.name, at);
      if (!bytes.find(at, row.size_bytes, row.part, row.offset_bytes)) {
        result<gathered_bytes> pieces = bytes.gather(builder, at, row.size_bytes);
        if (!pieces) return pieces.error().about(weight.name);
        result<source> gathered = source::keep(std::move(*pieces), builder.memory());
        if (!gathered) return gathered.error().about(weight.name);
        row.part = builder.add_decoded(std::move(*gathered));
        row.offset_bytes = 0;
      }
      at += row.size_bytes;
    }
    builder.add(row);
  }
  if (at != bytes.size_bytes()) return error(errc::trailing_bytes, group.paths.back(), at);
  return {};
}

/// The path of model.json: `path_utf8`, or where it is in that folder.
inline std::string tfjs_json_path(std::string_view path_utf8, bool is_folder) {
  std::string path(path_utf8);
  if (is_folder) path.append(separator_after(path)).append("model.json");
  return path;
}

/// Reads the model.json that the probe looks at.
inline result<tfjs_model_json> read_tfjs_model(const format_probe& json, const manifest_limits& limits = {}) {
  if (json.failure()) return *json.failure();
  if (json.size_bytes() > limits.size_bytes) return error(errc::too_large, json.path(), limits.size_bytes);
  std::string text(static_cast<std::size_t>(json.size_bytes()), '\0');
  if (auto read = json.read_at(0, std::as_writable_bytes(std::span(text))); !read)
    return read.error().about(json.path());
  result<tfjs_model_json> parsed = parse_tfjs_model(text, limits);
  if (!parsed && parsed.error().subject().empty()) return parsed.error().about(json.path());
  return parsed;
}

/// Opens what the model.json lists that the probe looks at.
inline result<model> open_tfjs_json(const format_probe& json) {
  const open_options& options = json.options();
  const result<tfjs_model_json> described = read_tfjs_model(json);
  if (!described) return described.error();
  const model_folder beside(json.path(), options);

  store_builder builder(described->weight_count(), options.memory);
  for (const tfjs_group& group : described->groups) {
    for (const std::string& name : group.paths) {
      result<source> opened = open_file_beside(beside, name, options);
      if (!opened) return opened.error();
      builder.add_file(name, std::move(*opened));
    }
  }
  std::uint32_t part = 0;
  for (const tfjs_group& group : described->groups) {
    tfjs_bytes bytes;
    for (std::size_t number = 0; number < group.paths.size(); ++number, ++part) {
      if (auto appended = bytes.append(builder, part); !appended) return appended.error().about(group.paths[number]);
    }
    if (auto added = add_tfjs_weights(group, bytes, builder); !added) return added.error();
  }
  return finish_model(builder, options);
}

/// `format::open` of tfjs_format: of a folder, the model.json in it.
inline result<model> open_tfjs(format_probe& probe) {
  if (!probe.is_folder()) return open_tfjs_json(probe);
  const std::string path = tfjs_json_path(probe.path(), true);
  return open_tfjs_json(format_probe(path, probe.options()));
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
