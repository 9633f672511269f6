// SPDX-License-Identifier: MIT
// Opens any bytes as a TensorFlow checkpoint and uses all of it: whatever opens must be read to the end, the same at once and in
// pieces.
//
// The first byte of the input says what the rest is: 0, an index with one shard of the same bytes; 1, a V1 table; 2, a shard with
// its size before it (two bytes), and the entries of an index, each with its sizes before it, which get sound blocks and
// checksums; 3, the entries of a V1 table; 4, a state file; 5, an object graph; 6, checksum (four bytes), count (one) and bytes of
// a string tensor; 7, a snappy block.
#include "require.hpp"
#include "support/temp_folder.hpp"

#include <stet/formats/tensorflow/format.hpp>
#include <stet/wire/sorted_table_writer.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace {

/// Reads every tensor at once and in two pieces, and names what there is.
void use(const stet::model& opened) {
  std::uint64_t budget = 1 << 20;
  std::uint32_t count = 0;
  for (const stet::tensor each : opened.store) {
    require(opened.store.contains(each.name()));
    ++count;
    if (each.size_bytes() > budget) continue;
    budget -= each.size_bytes();
    const std::size_t size = static_cast<std::size_t>(each.size_bytes()), half = size / 2;
    std::vector<std::byte> whole(size), pieces(size);
    const auto read = each.read(0, whole);
    auto first = each.read(0, std::span(pieces).first(half));
    if (first) first = each.read(half, std::span(pieces).subspan(half));
    if (read && first) require(whole == pieces);
    require(!each.read(size + 1, {}));
    (void)each.verify_checksum();
    if (each.dtype() == stet::dtype::string && each.as_strings()) {
      for (std::size_t i = 0; i < each.as_strings()->size(); ++i) (void)(*each.as_strings())[i].size();
    }
  }
  require(count == opened.store.tensor_count());
  (void)stet::detail::describe_tensorflow_checkpoint(opened);
}

/// A sound table of the entries in `text`: size of the key, size of the value (two bytes), key, value.
std::string seal(std::string_view text) {
  std::map<std::string, std::string> entries;
  while (text.size() >= 3) {
    const std::size_t key_size = static_cast<unsigned char>(text[0]),
                      value_size = static_cast<unsigned char>(text[1]) |
                                   static_cast<std::size_t>(static_cast<unsigned char>(text[2])) << 8;
    text.remove_prefix(3);
    const std::string_view key = text.substr(0, key_size);
    text.remove_prefix(key.size());
    const std::string_view value = text.substr(0, value_size);
    text.remove_prefix(value.size());
    entries.emplace(key, value);
  }
  stet::detail::sorted_table_writer out(64);
  for (const auto& [key, value] : entries) out.add(key, value);
  return out.finish();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const stet_test::temp_folder folder;
  if (size == 0) return 0;
  // In a block of exactly its size.
  const auto block = std::make_unique<char[]>(size - 1);
  if (size > 1) std::memcpy(block.get(), data + 1, size - 1);
  const std::string_view text(block.get(), size - 1);
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text.data(), text.size()));
  switch (data[0] & 7) {
  case 0:
  case 2: {
    std::string_view shard = text, entries = text;
    if ((data[0] & 7) == 2 && size > 2) {
      shard = text.substr(2, static_cast<std::size_t>(data[1]) | static_cast<std::size_t>(data[2]) << 8);
      entries = text.substr(2 + shard.size());
    }
    folder.write("m.data-00000-of-00001", shard);
    folder.write("m.index", (data[0] & 7) == 0 ? std::string(text) : seal(entries));
    const auto opened = stet::open_tensorflow_checkpoint(folder.path("m"));
    if (opened) use(*opened);
    break;
  }
  case 1:
  case 3: {
    const auto opened =
        stet::open_tensorflow_checkpoint_v1({folder.write("v1", (data[0] & 7) == 1 ? std::string(text) : seal(text))});
    if (opened) use(*opened);
    break;
  }
  case 4:
    (void)stet::parse_tensorflow_state(text);
    break;
  case 5:
    (void)stet::detail::notes_of_object_graph(bytes);
    break;
  case 6: {
    if (bytes.size() < 5) break;
    const std::uint32_t crc = stet::detail::load_little<std::uint32_t>(bytes.data());
    const std::uint64_t count = static_cast<std::uint64_t>(bytes[4]);
    const auto decoded = stet::detail::decode_strings(bytes.subspan(5), count, crc, (data[0] & 8) != 0);
    require(!decoded ||
            stet::string_span::validate({decoded->data(), static_cast<std::size_t>(decoded->size_bytes())}, count));
    break;
  }
  default: {
    const auto opened = stet::detail::open_snappy(bytes);
    if (!opened) break;
    const auto into = std::make_unique<std::byte[]>(opened->size_bytes);
    (void)stet::detail::decompress_snappy(*opened, into.get());
  }
  }
  return 0;
}
