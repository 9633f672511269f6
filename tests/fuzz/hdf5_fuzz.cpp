// SPDX-License-Identifier: MIT
// Opens any bytes as an HDF5 file and uses all of it: whatever opens must be read to the end, the same at
// once and in pieces.
//
// The first byte of the input says what the rest is. Bit 0: the file as it is, or pieces of it, each with its
// size before it (two bytes), of which those whose size has its highest bit set get a sound checksum behind
// them. Bit 1: links and data that lead out of the file are refused. Bit 2: it is opened as a path, with the
// names and the graph that Keras gives it.
#include "require.hpp"
#include "support/hdf5_bytes.hpp"
#include "support/temp_folder.hpp"

#include <stet/formats/hdf5/format.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace {

/// Reads every tensor at once and in two pieces.
void use(const stet::store& opened) {
  std::uint64_t budget = 1 << 20;
  std::uint32_t count = 0;
  for (const stet::tensor each : opened) {
    require(opened.contains(each.name()));
    ++count;
    if (each.size_bytes() > budget) continue;
    budget -= each.size_bytes();
    const std::size_t size = static_cast<std::size_t>(each.size_bytes()), half = size / 3;
    std::vector<std::byte> whole(size), pieces(size);
    const auto read = each.read(0, whole);
    auto first = each.read(0, std::span(pieces).first(half));
    if (first) first = each.read(half, std::span(pieces).subspan(half));
    if (read && first) require(whole == pieces);
    require(!each.read(size + 1, {}));
    if (each.dtype() == stet::dtype::string && each.as_strings()) {
      for (std::size_t i = 0; i < each.as_strings()->size(); ++i) (void)(*each.as_strings())[i].size();
    }
  }
  require(count == opened.tensor_count());
}

/// Puts the pieces of a file together.
std::string assemble(std::string_view text) {
  std::string made;
  while (text.size() >= 2) {
    const std::size_t size =
        static_cast<unsigned char>(text[0]) | static_cast<std::size_t>(static_cast<unsigned char>(text[1])) << 8;
    text.remove_prefix(2);
    const std::string_view piece = text.substr(0, size & 0x7FFF);
    text.remove_prefix(piece.size());
    made += piece;
    if ((size & 0x8000) != 0) made += stet_test::hdf5_fields().u32(stet_test::checksum_of(piece)).text();
  }
  return made;
}

/// The attributes of the root and its members, with their strings.
void read_attributes(std::span<const std::byte> bytes) {
  using namespace stet::detail;
  auto file = hdf5_file::open(bytes);
  if (!file) return;
  const auto use = [&](std::uint64_t address) {
    const auto object = hdf5_object::read(*file, address);
    if (!object) return;
    const auto attributes = read_attributes(*file, *object);
    for (std::size_t i = 0; attributes && i < attributes->size(); ++i) (void)read_strings(*file, (*attributes)[i]);
  };
  use(file->root());
  const auto root = hdf5_object::read(*file, file->root());
  if (!root) return;
  const auto links = read_links(*file, *root);
  for (std::size_t i = 0; links && i < links->size(); ++i) use((*links)[i].address);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const stet_test::temp_folder folder(stet_test::temp_folder::in_memory());
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const stet_test::exact_text text((data[0] & 1) != 0 ? assemble(rest) : std::string(rest));
  if ((data[0] & 4) != 0) {
    const std::string path = folder.write("m.h5", text.bytes());
    const auto opened = stet::open_as(stet::hdf5_format, path, {});
    if (opened) {
      use(opened->store);
      (void)stet::describe(*opened);
    }
    return 0;
  }
  const auto opened = stet_test::open_hdf5_bytes(text.bytes(), nullptr, (data[0] & 2) != 0);
  if (opened) use(*opened);
  read_attributes(text.bytes());
  return 0;
}
