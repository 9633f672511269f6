// SPDX-License-Identifier: MIT
// Reads any bytes as a zip archive: members have to lie within it, apart, under names that stay in their folder, and what is
// deflated becomes what the archive says or an error.
#include "require.hpp"
#include "support/exact_text.hpp"
#include "support/keras_files.hpp"

#include <stet/formats/keras/format.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const stet_test::exact_text block({reinterpret_cast<const char*>(data), size});
  const std::span<const std::byte> file = block.bytes();
  const auto members = stet::detail::read_zip(file);
  if (!members) {
    require(members.error().offset_bytes() <= size);
    return 0;
  }
  require(members->empty() || stet::detail::is_zip(file));
  std::set<std::string_view> names;
  std::map<std::uint64_t, std::uint64_t> places;
  for (const stet::detail::zip_member& each : *members) {
    require(names.insert(each.name).second && stet::detail::is_zip_name(each.name));
    require(places.emplace(each.header_bytes, each.end_bytes).second);
    require(each.header_bytes + 30 + each.name.size() <= each.offset_bytes);
    require(each.offset_bytes + each.stored_size_bytes <= each.end_bytes && each.end_bytes <= size);
    const auto bytes = stet::detail::open_member(file, each, stet_test::inflate_stored);
    require(!bytes || bytes->size_bytes() == each.size_bytes);
    require(bytes || each.method != stet::detail::zip_member::is_stored);
    (void)stet::detail::read_json_member(file, *members, each.name, stet_test::inflate_stored);
  }
  std::uint64_t end = 0;
  for (const auto& [begins, ends] : places) {
    require(begins >= end);
    end = ends;
  }
  return 0;
}
