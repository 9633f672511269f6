// SPDX-License-Identifier: MIT
// Reads any bytes as a GraphDef, MetaGraph or SavedModel, and as a GraphDef or Keras configuration in JSON:
// what is read must say the same again.
//
// The first byte of the input says what the rest is: 0, a message of any of the three kinds; 1, a GraphDef;
// 2, a GraphDef in JSON; 3, a Keras configuration.
#include "require.hpp"

#include <stet/formats/keras/config.hpp>
#include <stet/formats/tensorflow/saved_model.hpp>
#include <stet/manifest.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace {

/// Checks the graph, and takes it through a manifest.
void use(const stet::graph& graph) {
  if (!stet::check_graph(graph, stet::tensorflow_graph_rules())) return;
  const auto again = stet::graph_from_json(stet::graph_to_json(graph));
  require(again && *again == graph);
}

/// A graph of TensorFlow, written as JSON and read again, is the same.
void use_graph_def(const stet::graph& graph) {
  use(graph);
  const auto written = stet::graph_to_graph_def(graph);
  if (!written || !stet::check_graph(graph, stet::tensorflow_graph_rules())) return;
  const auto again = stet::graph_from_graph_def(stet::json_value(*written));
  require(static_cast<bool>(again));
  const auto twice = stet::graph_to_graph_def(*again);
  require(twice && *twice == *written);
}

/// Makes a store of all constants, and reads their ends.
void use_constants(std::span<const std::byte> file) {
  stet::store_builder builder;
  builder.add_file("graph", stet::source::borrow(file));
  stet::detail::constant_adder constants(file, 0, builder);
  (void)stet::detail::for_each_graph(file, [&](std::span<const std::byte> graph, std::uint32_t, std::string_view tags) {
    return constants.add_graph(graph, tags);
  });
  const auto store = builder.finish();
  if (!store) return;
  for (const stet::tensor each : *store) {
    std::byte bytes[16];
    const std::size_t some =
        each.size_bytes() < sizeof bytes ? static_cast<std::size_t>(each.size_bytes()) : sizeof bytes;
    require(static_cast<bool>(each.read(0, std::span(bytes, some))));
    require(static_cast<bool>(each.read(each.size_bytes() - some, std::span(bytes, some))));
    if (each.dtype() == stet::dtype::string) require(static_cast<bool>(each.as_strings()));
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  // In a block of exactly its size.
  const auto block = std::make_unique<std::byte[]>(size - 1);
  const std::span<std::byte> bytes(block.get(), size - 1);
  if (size > 1) std::memcpy(bytes.data(), data + 1, size - 1);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  switch (data[0]) {
  case 0: {
    use_constants(bytes);
    const auto kind = stet::detail::kind_of_graph_file(bytes);
    if (kind == stet::detail::graph_file_kind::meta_graph) {
      if (const auto graph = stet::detail::read_graph_message(bytes, kind)) use(*graph);
    }
    break;
  }
  case 1:
    if (const auto graph = stet::graph_from_graph_def(std::span<const std::byte>(bytes))) use_graph_def(*graph);
    break;
  case 2:
    if (auto json = stet::parse_json(text)) {
      if (const auto graph = stet::graph_from_graph_def(std::move(*json))) use_graph_def(*graph);
    }
    break;
  case 3:
    if (auto json = stet::parse_json(text)) {
      const auto graph = stet::graph_from_keras(std::move(*json));
      if (!graph) break;
      use(*graph);
      for (const auto dialect : {stet::keras_dialect::keras, stet::keras_dialect::tfjs}) {
        const auto written = stet::graph_to_keras(*graph, dialect);
        if (written && stet::check_graph(*graph))
          require(static_cast<bool>(stet::graph_from_keras(stet::json_value(*written))));
      }
    }
    break;
  default:
    break;
  }
  return 0;
}
