// SPDX-License-Identifier: MIT
// Makes files of PyTorch byte by byte.
#ifndef STET_TESTS_SUPPORT_PYTORCH_FILES_HPP
#define STET_TESTS_SUPPORT_PYTORCH_FILES_HPP

#include "zip_archives.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet_test {

// The opcodes of protocol 2, as torch.save writes them but for the memo.
namespace pt {

inline std::string text(std::string_view value) { return "X" + little(value.size(), 4) + std::string(value); }
inline std::string integer(std::int64_t value) { return "\x8a\x08" + little(static_cast<std::uint64_t>(value), 8); }
inline std::string global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}
inline std::string tuple(const std::vector<std::string>& values) {
  std::string made = "(";
  for (const std::string& each : values) made += each;
  return made + "t";
}
inline std::string integers(const std::vector<std::int64_t>& values) {
  std::string made = "(";
  for (const std::int64_t each : values) made += integer(each);
  return made + "t";
}
/// A dict of keys and values, one after the other.
inline std::string dict(const std::vector<std::string>& pairs) {
  std::string made = "}(";
  for (const std::string& each : pairs) made += each;
  return made + "u";
}
inline std::string list(const std::vector<std::string>& values) {
  std::string made = "](";
  for (const std::string& each : values) made += each;
  return made + "e";
}
inline std::string call(const std::string& function, const std::string& arguments) {
  return function + arguments + "R";
}
inline std::string ordered_dict(const std::vector<std::string>& pairs) {
  std::string made = global("collections", "OrderedDict") + ")R(";
  for (const std::string& each : pairs) made += each;
  return made + "u";
}
inline std::string storage(std::string_view type, std::string_view key, std::int64_t count) {
  return tuple({text("storage"), global("torch", type), text(key), text("cpu"), integer(count)}) + "Q";
}
/// _rebuild_tensor_v2 of FloatStorage `key` with `count` elements.
inline std::string tensor(std::string_view key, std::int64_t count, std::int64_t offset,
                          const std::vector<std::int64_t>& size, const std::vector<std::int64_t>& stride,
                          std::string_view type = "FloatStorage", const std::string& more = "") {
  return call(global("torch._utils", "_rebuild_tensor_v2"),
              tuple({storage(type, key, count), integer(offset), integers(size), integers(stride), "\x89",
                     ordered_dict({}), more}));
}
inline std::string pickle(const std::string& object) { return "\x80\x02" + object + "."; }

} // namespace pt

/// float32 from `first` on.
inline std::string floats(std::size_t count, float first = 0) {
  std::string made;
  for (std::size_t i = 0; i < count; ++i) {
    const float value = first + static_cast<float>(i);
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    made += little(bits, 4);
  }
  return made;
}

using pt_members = std::vector<std::pair<std::string, std::string>>;

/// An archive of torch.save with this object and these storages; members are named without their root.
inline std::string pytorch_file(const std::string& object, const pt_members& storages, const pt_members& more = {}) {
  pt_members all{{"m/data.pkl", pt::pickle(object)}};
  for (const auto& [key, bytes] : storages) all.emplace_back("m/data/" + key, bytes);
  for (const auto& [name, bytes] : more) all.emplace_back("m/" + name, bytes);
  all.emplace_back("m/version", "3\n");
  return zip_of(all);
}

/// A file of before 1.6. Storages: the key, the count of elements, and their bytes.
struct pt_legacy_storage {
  std::string key;
  std::uint64_t count;
  std::string bytes;
};
inline std::string legacy_pytorch_file(const std::string& object, const std::vector<pt_legacy_storage>& storages,
                                       bool is_little_endian = true) {
  std::string keys = "](", elements;
  for (const pt_legacy_storage& each : storages) {
    keys += pt::text(each.key);
    elements += little(each.count, 8) + each.bytes;
  }
  return "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19." + pt::pickle("M\xe9\x03") +
         pt::pickle(pt::dict({pt::text("protocol_version"), "M\xe9\x03", pt::text("little_endian"),
                              is_little_endian ? "\x88" : "\x89"})) +
         pt::pickle(object) + pt::pickle(keys + "e") + elements;
}

// The table of a folder of torch.distributed.checkpoint.

using dcp_sizes = std::vector<std::int64_t>;

inline std::string dcp_object(std::string_view name, const std::string& state) {
  return pt::global("torch.distributed.checkpoint.metadata", name) + ")\x81" + state + "b";
}
inline std::string dcp_size(const dcp_sizes& sizes) {
  return pt::call(pt::global("torch", "Size"), pt::tuple({pt::integers(sizes)}));
}
inline std::string dcp_chunk(const dcp_sizes& offsets, const dcp_sizes& sizes) {
  return dcp_object("ChunkStorageMetadata",
                    pt::dict({pt::text("offsets"), dcp_size(offsets), pt::text("sizes"), dcp_size(sizes)}));
}
inline std::string dcp_tensor(const dcp_sizes& size, const std::vector<std::string>& chunks,
                              std::string_view dtype = "float32") {
  return dcp_object(
      "TensorStorageMetadata",
      pt::dict({pt::text("properties"), dcp_object("TensorProperties", pt::tuple({pt::global("torch", dtype), "\x89"})),
                pt::text("size"), dcp_size(size), pt::text("chunks"), pt::list(chunks)}));
}
/// A key and a place of storage_data. No offset: "N".
inline std::string dcp_place(std::string_view name, const std::string& offset, std::string_view file, std::size_t begin,
                             std::size_t size) {
  return dcp_object("MetadataIndex",
                    pt::dict({pt::text("fqn"), pt::text(name), pt::text("offset"), offset, pt::text("index"), "N"})) +
         pt::global("torch.distributed.checkpoint.filesystem", "_StorageInfo") + ")\x81" +
         pt::dict({pt::text("relative_path"), pt::text(file), pt::text("offset"),
                   pt::integer(static_cast<std::int64_t>(begin)), pt::text("length"),
                   pt::integer(static_cast<std::int64_t>(size))}) +
         "b";
}
/// The whole table: keys and values of state_dict_metadata, storage_data and planner_data.
inline std::string dcp_metadata(const std::vector<std::string>& items, const std::vector<std::string>& places,
                                const std::vector<std::string>& paths = {}) {
  return pt::pickle(
      dcp_object("Metadata", pt::dict({pt::text("state_dict_metadata"), pt::dict(items), pt::text("planner_data"),
                                       pt::dict(paths), pt::text("storage_data"), pt::dict(places)})));
}

/// A tar archive of these files.
inline std::string tar_of(const pt_members& files) {
  std::string made;
  for (const auto& [name, bytes] : files) {
    std::string header(512, '\0');
    header.replace(0, name.size(), name);
    std::string digits;
    for (std::size_t left = bytes.size(), i = 0; i < 11; ++i, left /= 8)
      digits.insert(digits.begin(), static_cast<char>('0' + left % 8));
    header.replace(124, 11, digits);
    header.replace(257, 5, "ustar");
    made += header + bytes + std::string((512 - bytes.size() % 512) % 512, '\0');
  }
  return made + std::string(1024, '\0');
}

/// {"w": float32 [[0, 1, 2], [3, 4, 5]]}.
inline std::string example_pytorch_file() {
  return pytorch_file(pt::dict({pt::text("w"), pt::tensor("0", 6, 0, {2, 3}, {3, 1})}), {{"0", floats(6)}});
}
inline std::string example_legacy_pytorch_file() {
  return legacy_pytorch_file(pt::dict({pt::text("w"), pt::tensor("7", 6, 0, {2, 3}, {3, 1})}), {{"7", 6, floats(6)}});
}
/// The tensors w, 2 × 3, and t, its transpose, of a file of before 0.1.10.
inline std::string example_tar_pytorch_file() {
  const auto header = [](std::int64_t key) {
    return pt::pickle(pt::tuple({pt::integer(key), pt::integer(5), pt::global("torch", "FloatTensor")}));
  };
  const std::string storages =
      pt::pickle(pt::integer(1)) +
      pt::pickle(pt::tuple({pt::integer(4), pt::text("cpu"), pt::global("torch", "FloatStorage")})) + little(7, 8) +
      floats(7, -1) +
      pt::pickle(pt::list({pt::tuple({pt::integer(5), pt::integer(4), pt::integer(1), pt::integer(6)})}));
  const std::string tensors = pt::pickle(pt::integer(2)) + header(8) + little(2, 4) + little(0, 4) + little(2, 8) +
                              little(3, 8) + little(3, 8) + little(1, 8) + little(0, 8) + header(9) + little(2, 4) +
                              little(0, 4) + little(3, 8) + little(2, 8) + little(1, 8) + little(3, 8) + little(0, 8);
  const std::string object =
      pt::pickle(pt::dict({pt::text("w"), pt::integer(8) + "Q", pt::text("t"), pt::integer(9) + "Q"}));
  return tar_of({{"storages", storages}, {"tensors", tensors}, {"pickle", object}});
}

/// An archive of torch.export with one weight, as its JSON tells it.
inline std::string exported_pytorch_file(const std::string& meta, const std::string& weight) {
  return zip_of(
      {{"m/data/weights/weight_0", weight},
       {"m/data/weights/model_weights_config.json",
        R"({"config":{"lin.\u0077eight":{"path_name":"weight_0","is_param":true,"use_pickle":false,"tensor_meta":)" +
            meta + "}}}"},
       {"m/models/model.json", "{}"},
       {"m/byteorder", "little"},
       {"m/archive_format", "pt2"}});
}
inline constexpr std::string_view exported_meta =
    R"({"dtype":7,"sizes":[{"as_int":2},{"as_int":3}],"requires_grad":true,"device":{"type":"cpu","index":null},)"
    R"("strides":[{"as_int":3},{"as_int":1}],"storage_offset":{"as_int":0},"layout":7})";

} // namespace stet_test

#endif
