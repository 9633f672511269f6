// SPDX-License-Identifier: MIT
// Takes a few tensors of a large store: reads them ahead of use, converts them, and leaves the rest on the
// disk.
#include "example.hpp"

#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <string>
#include <vector>

constexpr std::size_t layer_count = 24, layer_size = 64 * 1024;

static stet::result<stet::save_report> make_file(const char* path) {
  const std::vector<stet::bfloat16> weights(layer_size, stet::bfloat16(0.75f));
  stet::writer out;
  for (std::size_t layer = 0; layer < layer_count; ++layer) {
    const std::string name = "layer_" + std::to_string(layer) + "/kernel";
    out.add(name, weights, {256, layer_size / 256});
  }
  return out.save(path);
}

int main() {
  const scratch_file file("partial_load.stet");
  if (auto made = make_file(file.path()); !made) return failed(made.error());
  auto store = stet::open(file.path());
  if (!store) return failed(store.error());

  // The system starts reading these two while the program does something else; no other tensor is touched.
  const std::string_view wanted[] = {"layer_3/kernel", "layer_17/kernel"};
  if (auto begun = store->prefetch(wanted); !begun) return failed(begun.error());

  // The store has bfloat16, this program wants float.
  std::vector<float> kernel(layer_size);
  for (const std::string_view name : wanted) {
    auto found = store->find(name);
    if (!found) return failed(found.error());
    if (auto copied = found->copy_to(std::span(kernel), stet::convert); !copied) return failed(copied.error());
    std::cout << name << ": " << stet::name_of(found->dtype()) << " read as float, the first is " << kernel[0] << '\n';
  }

  // Their pages may go; views would stay valid, and bring them in again.
  if (auto dropped = store->evict(wanted); !dropped) return failed(dropped.error());
  return kernel[layer_size - 1] == 0.75f ? 0 : 1;
}
