// SPDX-License-Identifier: MIT
// Makes the store of the checks on the target, on the host:  make_every_dtype STORE
#include "../every_dtype.hpp"

#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <cstdio>
#include <string>
#include <vector>

namespace {

using stet_test::every_count;

std::vector<std::byte> bytes_of(const stet::dtype_description& row) {
  const bool is_block = row.dtype == stet::dtype::block;
  std::vector<std::byte> bytes(is_block ? 34 : every_count * row.bits / 8);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    bytes[at] = std::byte{stet_test::every_byte(static_cast<std::size_t>(row.dtype), at)};
    if (row.dtype == stet::dtype::boolean) bytes[at] &= std::byte{1};
  }
  return bytes;
}

stet::result<stet::save_report> make(const char* path) {
  std::vector<std::vector<std::byte>> bytes;
  std::vector<std::vector<double>> numbers;
  bytes.reserve(stet::dtype_count);
  numbers.reserve(stet::dtype_count);
  stet::writer out; // an `add` that fails makes `save` fail
  for (const stet::dtype_description& row : stet::dtype_table) {
    if (row.dtype == stet::dtype::string) {
      out.add(row.name, stet_test::every_string, {std::size(stet_test::every_string)});
      continue;
    }
    const bool is_block = row.dtype == stet::dtype::block;
    const auto layout =
        is_block ? stet::element_layout{row.dtype, 0, {"q8_0", 32, 34}} : stet::element_layout::of(row.dtype);
    bytes.push_back(bytes_of(row));
    out.add_bytes(row.name, layout, {every_count}, bytes.back());
    if (is_block || row.kind == stet::dtype_kind::complex) continue;

    stet::writer alone;
    alone.add_bytes(row.name, layout, {every_count}, bytes.back());
    const auto file = alone.save_to_memory();
    if (!file) return file.error();
    const auto store = stet::open(std::span<const std::byte>(*file));
    if (!store) return store.error();
    numbers.emplace_back(every_count);
    if (auto done = store->find(row.name)->copy_to(std::span<double>(numbers.back()), stet::convert); !done)
      return done.error();
    out.add(std::string(row.name).append(stet_test::as_float64), std::span<const double>(numbers.back()),
            {every_count});
  }
  return out.save(path);
}

} // namespace

int main(int count, char** words) {
  if (count != 2) return std::fputs("usage: make_every_dtype STORE\n", stderr), 2;
  const auto made = make(words[1]);
  if (made) return 0;
  char text[256];
  const std::string_view message = made.error().print(text, sizeof text);
  std::fprintf(stderr, "make_every_dtype: %.*s\n", static_cast<int>(message.size()), message.data());
  return 1;
}
