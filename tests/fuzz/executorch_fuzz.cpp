// SPDX-License-Identifier: MIT
// Opens any bytes as a .ptd file of ExecuTorch: an error, or a store all of whose tensors lie in the file or are gathered from it, each
// found by its name; and a description of tensors that are there.
#include "require.hpp"
#include "support/exact_text.hpp"

#include <stet/formats/executorch/format.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const stet_test::exact_text block({reinterpret_cast<const char*>(data), size});
  const std::span<const std::byte> file = block.bytes();
  auto store = stet::open_executorch(file);
  if (!store) {
    require(store.error().offset_bytes() == stet::error::no_offset || store.error().offset_bytes() <= size);
    return 0;
  }
  for (const stet::tensor each : *store) {
    const auto found = store->find(each.name());
    require(found && found->bytes().data() == each.bytes().data());
    require(each.size_bytes() <= size);
    std::vector<std::byte> bytes(static_cast<std::size_t>(each.size_bytes()));
    require(bool(each.read(0, bytes)));
    const std::span<const std::byte> there = each.bytes();
    require(there.empty() || (there.data() >= file.data() && there.data() + there.size() <= file.data() + file.size()));
  }
  const stet::model opened{std::move(*store), &stet::executorch_format, 1};
  const auto made = stet::describe(opened);
  require(bool(made));
  for (const stet::tensor_note& each : made->tensors) require(opened.store.contains(each.name));
  return 0;
}
