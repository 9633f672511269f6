// SPDX-License-Identifier: MIT
// Tests of write_elements.hpp: strings that are not in memory are read without trust in the size that is declared.
#include "support/allocations.hpp"
#include "support/outcome.hpp"

#include <stet/formats/common/store_builder.hpp>
#include <stet/formats/common/readers.hpp>
#include <stet/formats/common/write_elements.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

namespace {

/// Bytes that can only be read, not viewed.
class copied_bytes final : public stet::byte_reader {
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
  row.part = builder.add_decoded(stet::source::keep(std::move(from)).value());
  builder.add(row);
  return builder.finish();
}

} // namespace

TEST_SUITE("write_elements") {
  TEST_CASE("2^40 declared strings that cannot be read take no memory") {
    const std::uint64_t count = std::uint64_t{1} << 40;
    const auto made = store_of_strings(
        stet::detail::unreadable_bytes(stet::error(stet::errc::io_error, "s"), (count + 1) * 8), count);
    REQUIRE(made);
    const stet_test::allocations before;
    std::vector<std::byte> memory;
    const auto strings = stet::detail::strings_of(*made->find("s"), memory);
    CHECK(stet_test::outcome(strings) == "io_error");
    CHECK(before.bytes() < 100000);
  }

  TEST_CASE("windows are compared with the tensor's checksum, in memory while they are converted, else before") {
    class kept final : public stet::piece_sink {
    public:
      stet::result<void> write(std::span<const std::byte> piece) override {
        bytes.insert(bytes.end(), piece.begin(), piece.end());
        return {};
      }
      std::vector<std::byte> bytes;
    };
    // Elements of a word each, and of four bits, which end within a byte.
    const struct {
      stet::dtype dtype;
      std::uint64_t count;
      std::size_t size_bytes;
    } table[] = {{stet::dtype::int16, 10000, 20000},
                 {stet::dtype::uint4, 9999, 5000},
                 {stet::dtype::int16, 0, 0},
                 {stet::dtype::uint4, 8192, 4096}};
    for (const auto& each : table) {
      for (const bool is_resident : {true, false}) {
        for (const bool is_damaged : {false, true}) {
          CAPTURE(each.count);
          std::vector<std::byte> bytes(each.size_bytes);
          for (std::size_t i = 0; i < bytes.size(); ++i)
            bytes[i] = static_cast<std::byte>(i % 251 & (i + 1 == bytes.size() && each.count % 2 != 0 ? 15 : 255));
          stet::index_row row;
          row.name = "t";
          row.shape = {&each.count, 1};
          row.layout = stet::element_layout::of(each.dtype);
          row.size_bytes = bytes.size();
          row.crc32c = stet::crc32c(bytes);
          row.has_crc32c = true;
          const bool is_wrong = is_damaged && !bytes.empty();
          if (is_wrong) bytes.back() ^= std::byte{1};
          stet::store_builder builder;
          row.part = builder.add_decoded(is_resident ? stet::source::copy(bytes).value()
                                                     : stet::source::keep(copied_bytes(bytes)).value());
          builder.add(row);
          const auto made = builder.finish();
          REQUIRE(made);
          const auto of = made->find("t");
          REQUIRE(of);
          kept sink;
          const auto written = stet::detail::write_windows<std::int16_t>(
              *of, sink, [&](std::span<std::int16_t> numbers, std::uint64_t first) {
                for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<std::int16_t>(first + i);
                return stet::result<void>();
              });
          CHECK(stet_test::outcome(written) == (is_wrong ? "checksum_mismatch" : "ok"));
          CHECK(sink.bytes.size() == (is_wrong && !is_resident ? 0 : each.count * 2));
        }
      }
    }
  }

  TEST_CASE("strings of any size are read whole") {
    for (const std::size_t count : {0u, 1u, 8000u, 8191u, 8192u, 50000u}) {
      std::vector<std::byte> bytes((count + 1) * 8 + count);
      for (std::size_t i = 0; i <= count; ++i) stet::detail::store_little(bytes.data() + 8 * i, std::uint64_t{i});
      for (std::size_t i = 0; i < count; ++i) bytes[(count + 1) * 8 + i] = static_cast<std::byte>('a' + i % 26);
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
