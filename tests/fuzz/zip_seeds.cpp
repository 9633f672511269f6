// SPDX-License-Identifier: MIT
// Writes the seeds of zip_fuzz.cpp into the folder it is given.
#include "fuzz/seed_folder.hpp"
#include "support/keras_files.hpp"

#include <string>

int main(int count, char** arguments) {
  using namespace stet_test;
  seed_folder seeds(count, arguments);
  const made_archive plain{{{"a.json", "[1]"}, {"b/c", "be"}}};
  made_archive deflated = plain, described = plain, large = plain, commented = plain;
  deflated.members[0] = deflated_member("a.json", "{\"a\": 1}");
  described.members[0].local.flags = described.members[0].central.flags = 8;
  described.members[0].local.crc32 = described.members[0].local.stored_size = described.members[0].local.size = 0;
  described.members[0].descriptor = "PK\7\x08" + little(zip_crc32("[1]"), 4) + little(3, 4) + little(3, 4);
  large.members[1].central.stored_size = large.members[1].central.size = 0xFFFFFFFF;
  large.members[1].central.extra = zip64_field({2, 2});
  large.members[1].local.extra = std::string(5, '\0');
  const std::uint64_t place = 36 + 3 + 33 + 5 + 2, size = 46 + 6 + 46 + 3 + 20;
  large.end64 = zip64_end(2, size, place);
  large.count = large.here = 0xFFFF;
  commented.comment = "comment";
  commented.members[1].gap = "gap";
  seeds.add("plain", plain.bytes());
  seeds.add("deflated", deflated.bytes());
  seeds.add("described", described.bytes());
  seeds.add("large", large.bytes());
  seeds.add("commented", commented.bytes());
  seeds.add("empty", made_archive().bytes());
  return seeds.status();
}
