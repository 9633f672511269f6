// SPDX-License-Identifier: MIT
// A program with nothing of stet but the single header of the reading core, in two files. This one opens a store.
#include <stet.hpp>

#include "index/golden_store.hpp"

#include <cstdio>

bool second_reads(const stet::store& model);
stet::result<stet::store> (*second_open())(std::span<const std::byte>);

int main() {
  const auto bytes = std::as_bytes(std::span(stet_test::golden_store));
  const auto model = stet::open(bytes);
  if (!model || model->tensor_count() != 4 || !model->verify_checksums()) {
    std::puts("the golden store does not open");
    return 1;
  }
  if (stet::open(bytes.first(bytes.size() - 1)).error().code() != stet::errc::truncated) {
    std::puts("a truncated store opens");
    return 1;
  }
  stet::result<stet::store> (*const open)(std::span<const std::byte>) = stet::open;
  if (open != second_open() || !second_reads(*model)) {
    std::puts("the two files do not share one library");
    return 1;
  }
  return 0;
}
