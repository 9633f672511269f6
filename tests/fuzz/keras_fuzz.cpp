// SPDX-License-Identifier: MIT
// Opens any bytes as a model of Keras, and uses all of it: what opens is read to the end and described.
//
// The first byte of the input says what the rest is: 0, a .keras file; 1, the members of a sound one, config.json with its size
// before it (two bytes), and the weights; 2, an index of shards with its size before it, and a shard, a.weights.h5; 3, a group of
// an HDF5 file that is made of it: for each variable the sizes of the group's name and its own, one byte each, and both.
#include "require.hpp"
#include "support/keras_files.hpp"
#include "support/temp_folder.hpp"

#include <stet/formats/any.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace {

void use(const std::string& path, const stet::format& as) {
  stet::open_options options;
  options.backing = stet::backing::read;
  options.inflate = stet_test::inflate_stored;
  const auto opened = stet::open_as(as, path, options);
  if (!opened) return;
  std::uint64_t budget = 1 << 18;
  for (const stet::tensor each : opened->store) {
    require(opened->store.contains(each.name()));
    if (each.size_bytes() > budget) continue;
    budget -= each.size_bytes();
    std::vector<std::byte> bytes(static_cast<std::size_t>(each.size_bytes()));
    (void)each.read(0, bytes);
  }
  const auto described = stet::describe(*opened);
  if (!described) return;
  for (const stet::graph& graph : described->graphs) {
    for (const stet::graph_node& node : graph.nodes) {
      for (const auto& variable : node.variables) require(opened->store.contains(variable.tensor));
    }
  }
}

std::string_view take(std::string_view& from, std::size_t size) {
  const std::string_view taken = from.substr(0, size);
  from.remove_prefix(taken.size());
  return taken;
}
std::size_t take_size(std::string_view& from, std::size_t bytes) {
  std::size_t size = 0;
  for (std::size_t i = 0; i < bytes && !from.empty(); ++i)
    size |= static_cast<std::size_t>(static_cast<unsigned char>(take(from, 1)[0])) << 8 * i;
  return size;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stet_test;
  static const temp_folder folder(temp_folder::in_memory());
  if (size == 0) return 0;
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] & 3) {
  case 0:
    use(folder.write("m.keras", input), stet::keras_format);
    break;
  case 1: {
    const std::string config(take(input, take_size(input, 2)));
    use(folder.write("m.keras",
                     made_archive{{{"config.json", config}, {"model.weights.h5", std::string(input)}}}.bytes()),
        stet::keras_format);
    break;
  }
  case 2: {
    const std::string index(take(input, take_size(input, 2)));
    folder.write("a.weights.h5", input);
    use(folder.write("m.weights.json", index), stet::keras_format);
    break;
  }
  default: {
    made_weights weights;
    while (input.size() > 2) {
      const std::size_t group_size = take_size(input, 1), name_size = take_size(input, 1);
      const std::string group(take(input, group_size)), name(take(input, name_size));
      weights.attribute(group, "name", name);
      weights.attribute(group, "weight_names", std::vector{name, group});
      weights.add(group + "/" + name, {2, 2});
      weights.add(group + "/0", {2});
    }
    use(folder.write("m.h5", weights.bytes()), stet::keras_h5_format);
  }
  }
  return 0;
}
