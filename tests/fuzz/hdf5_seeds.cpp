// SPDX-License-Identifier: MIT
// Writes the seeds of hdf5_fuzz.cpp into the folder it is given: each small file as it is, as a path, and in
// pieces.
#include "fuzz/seed_folder.hpp"
#include "support/hdf5_bytes.hpp"
#include "support/hdf5_files.hpp"

#include <cstring>
#include <string>
#include <string_view>

namespace {

std::string piece(std::string_view bytes, bool is_sealed) {
  const std::size_t size = bytes.size() | (is_sealed ? 0x8000u : 0u);
  return std::string{static_cast<char>(size & 0xFF), static_cast<char>(size >> 8)}.append(bytes);
}

/// Where the structure that begins at `begin` has its checksum: the first four bytes that are the checksum of
/// those before.
std::size_t find_checksum(std::string_view file, std::size_t begin) {
  for (std::size_t size = 6; size <= 4096 && begin + size + 4 <= file.size(); ++size) {
    const std::string checksum = stet_test::hdf5_fields().u32(stet_test::checksum_of(file.substr(begin, size)));
    if (file.substr(begin + size, 4) == checksum) return begin + size;
  }
  return std::string_view::npos;
}

std::string in_pieces(std::string_view file) {
  constexpr std::string_view marks[] = {"\x89HDF", "OHDR", "OCHK", "BTHD", "BTLF", "BTIN", "FRHP",
                                        "FHIB",    "FAHD", "FADB", "EAHD", "EAIB", "EADB", "EASB"};
  std::string made;
  std::size_t done = 0;
  for (std::size_t at = 0; at < file.size(); ++at) {
    for (const std::string_view mark : marks) {
      if (file.substr(at, mark.size()) != mark) continue;
      const std::size_t checksum = find_checksum(file, at);
      if (checksum == std::string_view::npos) break;
      made += piece(file.substr(done, at - done), false) + piece(file.substr(at, checksum - at), true);
      done = checksum + 4;
      at = done - 1;
      break;
    }
  }
  return made + piece(file.substr(done), false);
}

} // namespace

int main(int count, char** arguments) {
  stet_test::seed_folder seeds(count, arguments);
  for (const stet_test::hdf5_sample& each : stet_test::hdf5_files::all) {
    const std::string name(each.name);
    const std::string bytes = each.bytes();
    seeds.add(name, 0, bytes);
    seeds.add(name + "_strict", 2, bytes);
    seeds.add(name + "_pieces", 1, in_pieces(bytes));
    seeds.add(name + "_path", 5, in_pieces(bytes));
  }
  return seeds.status();
}
