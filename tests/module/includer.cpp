// SPDX-License-Identifier: MIT
// Another file of the same program, which includes the headers.
#include <stet/stet.hpp>

bool includer_reads(const stet::store& model);

bool includer_reads(const stet::store& model) {
  const auto kernel = model.get<float>("layer_0/kernel");
  return kernel && kernel->size() == 2 && kernel->back() == -2.0f;
}
