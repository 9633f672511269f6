// SPDX-License-Identifier: MIT
// Reads any bytes as a FlatBuffer of tables that have a number, a string, a vector of numbers and a vector of such tables: a fault
// within the file, or bytes that lie in it, and no more references than the file can have.
#include "require.hpp"
#include "support/exact_text.hpp"

#include <stet/wire/flatbuffers.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace {

void require_within(std::span<const std::byte> part, std::span<const std::byte> file) {
  require(part.empty() || (part.data() >= file.data() && part.data() + part.size() <= file.data() + file.size()));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const stet_test::exact_text block({reinterpret_cast<const char*>(data), size});
  const std::span<const std::byte> file = block.bytes();
  stet::detail::flatbuffer in(file);
  std::vector<stet::detail::flatbuffer_table> open{in.root()};
  std::size_t count = 0;
  while (!open.empty() && in.is_good()) {
    const stet::detail::flatbuffer_table table = open.back();
    open.pop_back();
    if (!table.is_present()) continue;
    require(++count <= size + 64);
    (void)table.number<std::uint64_t>(0);
    (void)table.number<float>(4);
    require_within(table.string(1).bytes(), file);
    require_within(table.structure(5, 12), file);
    const auto numbers = table.vector(2, 8);
    require_within(numbers.bytes(), file);
    if (numbers.size() != 0) (void)numbers.number<std::int64_t>(numbers.size() - 1);
    const auto tables = table.references(3);
    for (std::uint32_t number = 0; number < tables.size() && in.is_good(); ++number)
      open.push_back(tables.table(number));
  }
  if (!in.is_good()) require(in.problem({}).offset_bytes() <= size);
  return 0;
}
