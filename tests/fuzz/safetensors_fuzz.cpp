// SPDX-License-Identifier: MIT
// Opens any bytes as a safetensors file: an error, or a store all of whose tensors lie in the file, apart, and fill its data. And
// reads them as the index of shards: an error, or tensors with plain names of files, each found by its name.
#include "require.hpp"
#include "support/exact_text.hpp"

#include <stet/formats/safetensors.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace {

void read_weight_map(std::string_view text) {
  stet::detail::safetensors_weight_map map(nullptr);
  if (!map.read(text)) return;
  std::uint32_t number = 0;
  for (const stet::index_entry each : map.index()) {
    require(each.number() == number++ && each.part() < map.index().part_count());
    require(stet::detail::is_part_name(map.index().part(each.part()).path));
    require(map.index().find(each.name()) == each);
  }
  require(number == map.index().tensor_count());
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const stet_test::exact_text block({reinterpret_cast<const char*>(data), size});
  const std::span<const std::byte> file = block.bytes();
  read_weight_map({reinterpret_cast<const char*>(file.data()), file.size()});
  const auto store = stet::open_safetensors(file);
  if (!store) {
    require(store.error().offset_bytes() == stet::error::no_offset || store.error().offset_bytes() <= size);
    return 0;
  }
  std::uint64_t sum = 0;
  for (const stet::tensor each : *store) {
    sum += each.size_bytes();
    require(each.bytes().size() == each.size_bytes());
    require(each.size_bytes() == 0 || (each.bytes().data() >= file.data() &&
                                       each.bytes().data() + each.bytes().size() <= file.data() + file.size()));
    const auto found = store->find(each.name());
    require(found && found->bytes().data() == each.bytes().data());
  }
  const std::uint64_t header_size = stet::detail::load_little<std::uint64_t>(file.data());
  require(sum == size - 8 - header_size);
  return 0;
}
