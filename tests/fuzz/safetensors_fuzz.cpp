// SPDX-License-Identifier: MIT
// Opens any bytes as a safetensors file: an error, or a store all of whose tensors lie in the file, apart, and fill its data.
#include "support/exact_text.hpp"

#include <stet/formats/safetensors.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const stet_test::exact_text block({reinterpret_cast<const char*>(data), size});
  const std::span<const std::byte> file = block.bytes();
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
