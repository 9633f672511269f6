// SPDX-License-Identifier: MIT
// Opens a store, lists its tensors, and uses one where it lies in the file.
#include "example.hpp"

#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <vector>

/// Makes the file that the rest of this example reads; write_store.cpp is about that.
static stet::result<stet::save_report> make_file(const char* path) {
  const std::vector<float> kernel = {1, 2, 3, 4, 5, 6}, bias = {0.5f, -0.5f};
  stet::writer out;
  out.add("dense/kernel", kernel, {3, 2});
  out.add("dense/bias", bias, {2});
  return out.save(path);
}

int main() {
  const scratch_file file("read_weights.stet");
  if (auto made = make_file(file.path()); !made) return failed(made.error());

  // The file is mapped: nothing of the weights has been read yet, and nothing will be copied.
  auto store = stet::open(file.path());
  if (!store) return failed(store.error());

  for (const stet::tensor tensor : *store) {
    char buffer[64];
    stet::text_writer shape(buffer, sizeof buffer);
    tensor.shape().print(shape);
    std::cout << tensor.name() << ": " << stet::name_of(tensor.dtype()) << ' ' << shape.text() << '\n';
  }

  // All elements in a row, or with extents that are checked once, here.
  auto bias = store->get<float>("dense/bias");
  if (!bias) return failed(bias.error());
  auto kernel = store->view<float, stet::dynamic, 2>("dense/kernel");
  if (!kernel) return failed(kernel.error());

  const float input[] = {1, 0, -1};
  for (std::size_t column = 0; column < 2; ++column) {
    float sum = (*bias)[column];
    for (std::size_t row = 0; row < kernel->extent(0); ++row) sum += input[row] * (*kernel)(row, column);
    std::cout << "output " << column << " is " << sum << '\n';
  }

  // Errors are values that say what they are about.
  if (auto missing = store->get<float>("dense/gamma"); !missing) failed(missing.error());
}
