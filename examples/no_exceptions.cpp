// SPDX-License-Identifier: MIT
// The same library without exceptions and RTTI: this file is compiled with -fno-exceptions -fno-rtti. Every
// failure is a value with a stable number, the tensor or path it is about, and the byte of the file.
#include "example.hpp"

#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <vector>

/// The sum of a tensor. A result is passed on by returning its error.
static stet::result<float> sum_of(const stet::store& store, std::string_view name) noexcept {
  const auto values = store.get<float>(name);
  if (!values) return values.error();
  float sum = 0;
  for (const float value : *values) sum += value;
  return sum;
}

int main() {
  const std::vector<float> weights = {1, 2, 3};
  stet::writer out;
  out.add("weights", weights, {3});
  auto bytes = out.save_to_memory();
  if (!bytes) return failed(bytes.error());

  // Opening bytes in memory, finding and viewing allocate nothing, so nothing here can run out of memory.
  auto store = stet::open(std::span<const std::byte>(*bytes));
  if (!store) return failed(store.error());
  const auto sum = sum_of(*store, "weights");
  if (!sum) return failed(sum.error());
  std::cout << "the sum is " << *sum << '\n';

  // What a program decides by is the code; the sentence is for people.
  const auto missing = sum_of(*store, "biases");
  if (missing || missing.error().code() != stet::errc::not_found) return 1;
  failed(missing.error());

  // A damaged byte of a tensor is found when the tensor is verified, one of what comes before the tensors
  // when opening.
  (*bytes)[bytes->size() - 1 - stet::tail_padding_bytes] ^= std::byte{1};
  const auto verified = store->verify_checksums();
  if (verified || verified.error().code() != stet::errc::checksum_mismatch) return 1;
  failed(verified.error());

  (*bytes)[100] ^= std::byte{1};
  const auto damaged = stet::open(std::span<const std::byte>(*bytes));
  if (damaged) return 1;
  failed(damaged.error());
}
