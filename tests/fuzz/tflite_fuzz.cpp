// SPDX-License-Identifier: MIT
// Opens any bytes as a TFLite model: an error, or a store all of whose tensors lie in the file or were decoded, each found by its
// name; and a description with a valid graph for each subgraph, or an error.
#include "require.hpp"
#include "support/exact_text.hpp"

#include <stet/formats/tflite/format.hpp>
#include <stet/manifest/graph_link.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const stet_test::exact_text block({reinterpret_cast<const char*>(data), size});
  const std::span<const std::byte> file = block.bytes();
  auto store = stet::open_tflite(file);
  if (!store) {
    require(store.error().offset_bytes() == stet::error::no_offset || store.error().offset_bytes() <= size);
    return 0;
  }
  for (const stet::tensor each : *store) {
    const auto found = store->find(each.name());
    require(found && found->bytes().data() == each.bytes().data());
    require(each.bytes().size() == each.size_bytes());
    if (each.dtype() == stet::dtype::string) {
      require(bool(each.as_strings()));
    } else {
      require(each.size_bytes() == 0 || (each.bytes().data() >= file.data() &&
                                         each.bytes().data() + each.bytes().size() <= file.data() + file.size()));
    }
  }
  const stet::model opened{std::move(*store), &stet::tflite_format, 1};
  const auto made = stet::describe(opened);
  if (!made) return 0;
  for (const stet::graph& each : made->graphs) require(bool(stet::check_graph(each)));
  for (const stet::tensor_note& each : made->tensors) require(opened.store.contains(each.name));
  return 0;
}
