// SPDX-License-Identifier: MIT
// Makes files of Keras as a test wants them: weights in HDF5, archives around them.
#ifndef STET_TESTS_SUPPORT_KERAS_FILES_HPP
#define STET_TESTS_SUPPORT_KERAS_FILES_HPP

#include "zip_archives.hpp"

#include <stet/vocabulary/dtype.hpp>
#include <stet/wire/hdf5/writer.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet_test {

/// The datasets and attributes of an HDF5 file. Paths have no '/' in front; "" is the root.
class made_weights {
public:
  /// A dataset whose bytes are 0, 1, 2 …, so that any two of other sizes or dtypes differ.
  void add(std::string_view path, const std::vector<std::uint64_t>& shape, stet::dtype dtype = stet::dtype::float32) {
    std::uint64_t size = stet::describe(dtype).bits / 8u;
    for (const std::uint64_t each : shape) size *= each;
    std::string bytes(static_cast<std::size_t>(size), '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i & 0x3F);
    add(path, shape, dtype, bytes);
  }
  void add(std::string_view path, const std::vector<std::uint64_t>& shape, stet::dtype dtype,
           const std::string& bytes) {
    const auto made =
        out_.dataset(out_.root, path, stet::detail::hdf5_type_of(dtype), shape, bytes.size(), bytes.size());
    if (made) data_.emplace_back(*made, bytes);
  }
  template <class Value> void add_scalar(std::string_view path, stet::dtype dtype, Value value) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    add(path, {}, dtype, bytes);
  }
  /// Variables 0, 1 … of an object, whose own name is `name`; none if that is "".
  void add_object(const std::string& path, const std::string& name,
                  std::initializer_list<std::vector<std::uint64_t>> shapes, stet::dtype first = stet::dtype::float32) {
    group(path + "/vars");
    if (!name.empty()) attribute(path + "/vars", "name", name);
    std::size_t number = 0;
    for (const std::vector<std::uint64_t>& each : shapes) {
      add(path + "/vars/" + std::to_string(number), each, number == 0 ? first : stet::dtype::float32);
      ++number;
    }
  }
  void group(std::string_view path) { (void)out_.group(out_.root, path); }
  void attribute(std::string_view path, const std::string& name, const std::string& text) {
    if (const auto of = out_.group(out_.root, path)) out_.attribute(*of, name, text);
  }
  void attribute(std::string_view path, const std::string& name, const std::vector<std::string>& texts) {
    if (const auto of = out_.group(out_.root, path)) (void)out_.attribute(*of, name, texts);
  }

  /// The file; nothing may be added afterwards.
  std::string bytes() {
    (void)out_.plan(0);
    std::string made = out_.head();
    made.resize(static_cast<std::size_t>(out_.size_bytes()));
    for (const auto& [object, bytes] : data_)
      made.replace(static_cast<std::size_t>(out_.data_address(object)), bytes.size(), bytes);
    return made;
  }

private:
  stet::detail::hdf5_writer out_;
  std::vector<std::pair<stet::detail::hdf5_writer::object, std::string>> data_;
};

/// Weights of one layer: /layers/dense/vars/0 and 1, called "probe".
inline std::string probe_weights() {
  made_weights made;
  made.add_object("layers/dense", "probe", {{2, 3}, {3}});
  return made.bytes();
}

inline constexpr const char* keras_metadata = R"({"keras_version": "3.15.1", "date_saved": "2026-11-23@00:00:00"})";

/// A Sequential model of a Dense layer called `layer`.
inline std::string sequential_config(const std::string& layer) {
  return R"({"module": "keras", "class_name": "Sequential", "config": {"name": "model", "layers": [)"
         R"({"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [null, 2], "dtype": "float32", "name": "in"}, "registered_name": null}, )"
         R"({"module": "keras.layers", "class_name": "Dense", "config": {"name": ")" +
         layer + R"(", "units": 3}, "registered_name": null}]}, "registered_name": null})";
}

/// What Keras writes, member by member.
inline made_archive keras_archive(const std::string& weights = probe_weights()) {
  return {
      {{"metadata.json", keras_metadata}, {"config.json", sequential_config("probe")}, {"model.weights.h5", weights}}};
}

/// Bytes as deflate's stored blocks.
inline std::string deflated(std::string_view bytes) {
  std::string made;
  do {
    const std::string_view some = bytes.substr(0, 0xFFFF);
    bytes.remove_prefix(some.size());
    made += static_cast<char>(bytes.empty());
    made += little(some.size(), 2) + little(~some.size(), 2) + std::string(some);
  } while (!bytes.empty());
  return made;
}

/// An `inflate_function` of stored blocks alone.
inline bool inflate_stored(const std::byte* from, std::size_t size, std::byte* into, std::size_t into_size,
                           bool has_frame) noexcept {
  for (bool is_last = has_frame; !is_last;) {
    if (size < 5 || static_cast<unsigned>(from[0]) > 1) return false;
    const std::size_t some = static_cast<std::size_t>(from[1]) | static_cast<std::size_t>(from[2]) << 8;
    const std::size_t again = static_cast<std::size_t>(from[3]) | static_cast<std::size_t>(from[4]) << 8;
    if ((some ^ again) != 0xFFFF || some > size - 5 || some > into_size) return false;
    is_last = static_cast<unsigned>(from[0]) == 1;
    if (some != 0) std::memcpy(into, from + 5, some);
    from += 5 + some, size -= 5 + some;
    into += some, into_size -= some;
  }
  return !has_frame && size == 0 && into_size == 0;
}

/// A deflated member with the checksum of what it becomes.
inline made_member deflated_member(const std::string& name, const std::string& bytes) {
  made_member made(name, 8, deflated(bytes), static_cast<std::uint32_t>(bytes.size()));
  made.local.crc32 = made.central.crc32 = zip_crc32(bytes);
  return made;
}

} // namespace stet_test

#endif
