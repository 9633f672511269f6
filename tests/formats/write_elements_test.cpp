// SPDX-License-Identifier: MIT
// Tests of write_elements.hpp: strings that are not in memory are read without trust in the size that is declared.
#include "support/allocations.hpp"
#include "support/outcome.hpp"

#include <stet/formats/store_builder.hpp>
#include <stet/formats/tensorflow/unreadable.hpp>
#include <stet/formats/write_elements.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

namespace {

/// Bytes that can only be read, not viewed.
class copied_bytes final : public stet::reader {
 public:
  explicit copied_bytes(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return bytes_.size(); }
  [[nodiscard]] stet::result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    std::memcpy(into.data(), bytes_.data() + static_cast<std::size_t>(offset_bytes), into.size());
    return {};
  }

 private:
  std::vector<std::byte> bytes_;
};

template <class Reader> stet::result<stet::store> store_of_strings(Reader&& from, std::uint64_t count) {
  stet::store_builder builder;
  stet::index_row row;
  row.name = "s";
  row.shape = {&count, 1};
  row.layout = stet::element_layout::of(stet::dtype::string);
  row.size_bytes = from.size_bytes();
  row.part = builder.add_decoded(*stet::source::keep(std::move(from)));
  builder.add(row);
  return builder.finish();
}

} // namespace

TEST_SUITE("write_elements") {
  TEST_CASE("2^40 declared strings that cannot be read take no memory") {
    const std::uint64_t count = std::uint64_t{1} << 40;
    const auto made =
        store_of_strings(stet::detail::unreadable_bytes(stet::error(stet::errc::io_error, "s"), (count + 1) * 8), count);
    REQUIRE(made);
    const stet_test::allocations before;
    std::vector<std::byte> memory;
    const auto strings = stet::detail::strings_of(*made->find("s"), memory);
    CHECK(stet_test::outcome(strings) == "io_error");
    CHECK(before.bytes() < 100000);
  }

  TEST_CASE("strings of any size are read whole") {
    for (const std::size_t count : {0u, 1u, 8000u, 8191u, 8192u, 50000u}) {
      std::vector<std::byte> bytes((count + 1) * 8 + count);
      for (std::size_t i = 0; i <= count; ++i)
        stet::detail::store_little(bytes.data() + 8 * i, std::uint64_t{i});
      for (std::size_t i = 0; i < count; ++i)
        bytes[(count + 1) * 8 + i] = static_cast<std::byte>('a' + i % 26);
      const auto made = store_of_strings(copied_bytes(std::move(bytes)), count);
      REQUIRE(made);
      std::vector<std::byte> memory;
      const auto strings = stet::detail::strings_of(*made->find("s"), memory);
      REQUIRE(strings);
      REQUIRE(strings->size() == count);
      if (count != 0)
        CHECK((*strings)[count - 1] == std::string_view("abcdefghijklmnopqrstuvwxyz").substr((count - 1) % 26, 1));
    }
  }
}
