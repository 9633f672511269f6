// SPDX-License-Identifier: MIT
#include <stet/formats/common/readers.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <vector>

namespace {

std::vector<std::byte> counting(std::size_t size, int first) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(static_cast<unsigned>(first) + i);
  return bytes;
}

} // namespace

TEST_SUITE("formats/readers") {
  TEST_CASE("pieces read as one run, whichever range is asked for") {
    const auto a = counting(10, 0), b = counting(7, 100);
    const stet::source first = stet::source::borrow(a), second = stet::source::borrow(b);
    stet::gathered_bytes pieces;
    REQUIRE(pieces.append(second, 2, 3));
    REQUIRE(pieces.append(first, 0, 0));
    REQUIRE(pieces.append(first, 4, 6));
    REQUIRE(pieces.append(second, 6, 1));
    std::vector<std::byte> whole(b.begin() + 2, b.begin() + 5);
    whole.insert(whole.end(), a.begin() + 4, a.end());
    whole.push_back(b[6]);
    REQUIRE(pieces.size_bytes() == whole.size());
    CHECK(pieces.reads_from_memory());
    for (std::size_t begin = 0; begin <= whole.size(); ++begin) {
      for (std::size_t end = begin; end <= whole.size(); ++end) {
        std::vector<std::byte> read(end - begin);
        REQUIRE(pieces.read(begin, read));
        CHECK(std::equal(read.begin(), read.end(), whole.begin() + static_cast<std::ptrdiff_t>(begin)));
      }
    }
    std::vector<std::byte> too_much(2);
    CHECK(pieces.read(whole.size() - 1, too_much).error().code() == stet::errc::bad_range);
    CHECK(pieces.read(whole.size() + 1, std::span(too_much).first(0)).error().code() == stet::errc::bad_range);
  }

  TEST_CASE("pieces may themselves be on demand, and outlive the move of their sources") {
    const auto a = counting(8, 0);
    const stet::source bytes = stet::source::borrow(a);
    stet::gathered_bytes inner;
    REQUIRE(inner.append(bytes, 4, 4));
    REQUIRE(inner.append(bytes, 0, 4));
    auto kept = stet::source::keep(std::move(inner));
    REQUIRE(kept);
    stet::gathered_bytes outer;
    REQUIRE(outer.append(*kept, 2, 4));
    CHECK_FALSE(outer.reads_from_memory()); // it does not ask the readers of its pieces
    const stet::source moved = std::move(*kept);
    std::byte read[4];
    REQUIRE(outer.read(0, read));
    CHECK(read[0] == std::byte{6});
    CHECK(read[3] == std::byte{1});
  }

  TEST_CASE("a piece outside its source is refused") {
    const auto a = counting(8, 0);
    const stet::source bytes = stet::source::borrow(a);
    stet::gathered_bytes pieces;
    CHECK(pieces.append(bytes, 4, 5).error().code() == stet::errc::bad_range);
    CHECK(pieces.append(bytes, 9, 0).error().code() == stet::errc::bad_range);
    CHECK(pieces.append(bytes, 8, ~std::uint64_t{0}).error().code() == stet::errc::bad_range);
    CHECK(pieces.size_bytes() == 0);
  }

  TEST_CASE("a file that is not there says so by its name") {
    auto absent = stet::source::keep(stet::missing_file("w.data-00001-of-00002", 100));
    REQUIRE(absent);
    std::byte read[4];
    const auto failed = absent->read_at(8, read);
    REQUIRE(!failed);
    CHECK(failed.error().code() == stet::errc::missing_part);
    CHECK(failed.error().subject() == "w.data-00001-of-00002");
  }
}
