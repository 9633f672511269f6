// SPDX-License-Identifier: MIT
// A file that imports stet, and ahead of that includes a header of what the module leaves out.
#include <stet/index/detail/builder.hpp>

#include "index/golden_store.hpp"

#include <cstdio>
#include <span>

import stet;

bool includer_reads(const stet::store& model);

struct golden_model {
  stet::view<const float, 2, 1> kernel;
  void bind(auto& field) { field("layer_0/kernel", kernel); }
};

int main() {
  const auto model = stet::open(std::as_bytes(std::span(stet_test::golden_store)));
  golden_model bound;
  if (!model || !model->verify_checksums() || !stet::bind_model(bound, *model) || bound.kernel(1, 0) != -2.0f) {
    std::puts("the imported library does not read the golden store");
    return 1;
  }
  if (stet::open("no such file").error().code() != stet::errc::file_not_found || !includer_reads(*model)) {
    std::puts("the importing and the including file do not share one library");
    return 1;
  }
  std::puts("imported");
  return 0;
}
