// SPDX-License-Identifier: MIT
// Writes TensorFlow checkpoints as a test wants them, sound or not; each block's checksum fits, each tensor's unless it is said.
#ifndef STET_TESTS_SUPPORT_TENSORFLOW_CHECKPOINTS_HPP
#define STET_TESTS_SUPPORT_TENSORFLOW_CHECKPOINTS_HPP

#include "temp_folder.hpp"

#include <stet/formats/tensorflow/detail/bundle.hpp>
#include <stet/formats/tensorflow/detail/data_type.hpp>
#include <stet/wire/masked_crc32c.hpp>
#include <stet/wire/protobuf_writer.hpp>
#include <stet/wire/sorted_table_writer.hpp>

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace stet_test {

using stet::detail::protobuf_writer;
using stet::detail::slice_extent;

/// The bytes of values, little-endian.
template <class T> std::string bytes_of(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

inline std::uint32_t masked_crc32c(std::string_view bytes) {
  return stet::detail::mask_crc32c(stet::crc32c(std::as_bytes(std::span(bytes.data(), bytes.size()))));
}

inline std::string shape_message(const std::vector<std::uint64_t>& shape) {
  protobuf_writer out;
  for (const std::uint64_t extent : shape) {
    out.message(2, [&](protobuf_writer& dim) {
      if (extent != 0) dim.varint(1, extent);
    });
  }
  return out.take();
}

inline std::string slice_message(const std::vector<slice_extent>& slice) {
  protobuf_writer out;
  for (const slice_extent& extent : slice) {
    out.message(1, [&](protobuf_writer& inner) {
      if (extent.start != 0) inner.integer(1, extent.start);
      if (extent.length != slice_extent::all) inner.integer(2, extent.length);
    });
  }
  return out.take();
}

/// What an entry says; every field can be set to anything.
struct entry_fields {
  std::int64_t data_type = 1;
  std::vector<std::uint64_t> shape;
  std::int64_t shard = 0, offset = 0, size = 0;
  std::uint32_t masked_crc = 0;
  std::vector<std::vector<slice_extent>> slices;

  [[nodiscard]] std::string message() const {
    protobuf_writer out;
    out.integer(1, data_type).bytes(2, shape_message(shape));
    if (shard != 0) out.integer(3, shard);
    if (offset != 0) out.integer(4, offset);
    if (size != 0) out.integer(5, size);
    out.fixed32(6, masked_crc);
    for (const auto& slice : slices) out.bytes(7, slice_message(slice));
    return out.take();
  }
};

/// A V2 checkpoint in the making.
class made_checkpoint {
public:
  explicit made_checkpoint(std::uint32_t shard_count = 1) : shards(shard_count) {
    protobuf_writer out;
    out.varint(1, shard_count).message(3, [](protobuf_writer& version) { version.varint(1, 1); });
    header = out.take();
  }

  /// Appends bytes to a shard and the entry of a tensor that they are.
  entry_fields& add(std::string_view name, std::int64_t data_type, const std::vector<std::uint64_t>& shape,
                    std::string_view bytes, std::uint32_t shard = 0) {
    entry_fields& entry = entries[std::string(name)];
    entry.data_type = data_type;
    entry.shape = shape;
    entry.shard = shard;
    entry.offset = static_cast<std::int64_t>(shards[shard].size());
    entry.size = static_cast<std::int64_t>(bytes.size());
    entry.masked_crc = masked_crc32c(bytes);
    shards[shard] += bytes;
    return entry;
  }
  template <class T>
  entry_fields& add(std::string_view name, std::int64_t data_type, const std::vector<std::uint64_t>& shape,
                    const std::vector<T>& values, std::uint32_t shard = 0) {
    return add(name, data_type, shape, std::string_view(bytes_of(values)), shard);
  }
  /// The same for a slice of the tensor `name`, which is listed by what `entries[name]` says.
  entry_fields& add_slice(std::string_view name, const std::vector<slice_extent>& slice,
                          const std::vector<std::uint64_t>& shape, const std::vector<float>& values,
                          std::uint32_t shard = 0) {
    entries[std::string(name)].slices.push_back(slice);
    return add(stet::detail::slice_key(name, slice), 1, shape, values, shard);
  }
  entry_fields& add_strings(std::string_view name, const std::vector<std::uint64_t>& shape,
                            const std::vector<std::string>& strings, std::uint32_t shard = 0) {
    std::string lengths, table, text;
    for (const std::string& each : strings) {
      stet::detail::append_varint(lengths, each.size());
      table += bytes_of(std::vector<std::uint32_t>{static_cast<std::uint32_t>(each.size())});
      text += each;
    }
    const std::string crc = bytes_of(std::vector<std::uint32_t>{masked_crc32c(table)});
    entry_fields& entry = add(name, 7, shape, std::string_view(lengths + crc + text), shard);
    entry.masked_crc = masked_crc32c(table + crc + text);
    return entry;
  }

  [[nodiscard]] std::string index() const {
    stet::detail::sorted_table_writer out(block_size);
    out.add("", header);
    for (const auto& [key, entry] : entries) out.add(key, entry.message());
    return out.finish();
  }
  /// Writes the files with this prefix into a folder; gives the path of the prefix.
  std::string write(const temp_folder& folder, std::string_view prefix = "model") const {
    for (std::uint32_t shard = 0; shard < shards.size(); ++shard) {
      const std::string end = stet::detail::shard_suffix(shard, static_cast<std::uint32_t>(shards.size()));
      folder.write(std::string(prefix) + end, shards[shard]);
    }
    folder.write(std::string(prefix) + ".index", index());
    return folder.path(prefix);
  }

  std::string header;
  std::map<std::string, entry_fields> entries; // sorts by bytes, as the table does
  std::vector<std::string> shards;
  std::size_t block_size = std::size_t{1} << 18;
};

/// A TrackableObjectGraph of variables: full name and key of each.
inline std::string object_graph_of(const std::vector<std::pair<std::string, std::string>>& variables) {
  protobuf_writer graph;
  for (const auto& variable : variables) {
    graph.message(1, [&](protobuf_writer& node) {
      node.message(2, [&](protobuf_writer& attribute) {
        attribute.bytes(1, "VARIABLE_VALUE").bytes(2, variable.first).bytes(3, variable.second);
      });
    });
  }
  return graph.take();
}

} // namespace stet_test

#endif
