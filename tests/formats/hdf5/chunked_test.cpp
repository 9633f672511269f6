// SPDX-License-Identifier: MIT
// Datasets put together from chunks, at once and in pieces, and those that were never written.
#include <stet/formats/hdf5/detail/chunked.hpp>

#include "support/outcome.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using stet::detail::chunked_bytes;
using stet::detail::chunked_dataset;
using stet::detail::filled_bytes;

namespace {

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string read(const stet::byte_reader& from, std::uint64_t offset, std::size_t size) {
  std::vector<std::byte> into(size);
  const auto done = from.read(offset, into);
  return done ? text_of(into) : stet_test::outcome(done);
}

/// Counts what is asked for.
class counting_reader final : public stet::byte_reader {
public:
  explicit counting_reader(std::string_view bytes) : bytes_(bytes) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return bytes_.size(); }
  [[nodiscard]] stet::result<void> read(std::uint64_t offset, std::span<std::byte> into) const noexcept override {
    ++count;
    if (!stet::detail::range_fits(offset, into.size(), bytes_.size())) return stet::error(stet::errc::bad_range);
    std::memcpy(into.data(), bytes_.data() + offset, into.size());
    return {};
  }
  mutable int count = 0;

private:
  std::string_view bytes_;
};

/// 3 x 5 letters in chunks of 2 x 2, of which the one at the bottom right is not there:
///   abcde     ab cd e.
///   fghij  =  fg hi j.
///   klmno     kl mn ..   and the fill value '-'
/// What lies beyond the edge is x.
constexpr std::string_view stored_chunks = "....abfgcdhiexjxklxxmnxx";

chunked_dataset letters() {
  chunked_dataset made;
  made.shape = {3, 5};
  made.chunk = {2, 2};
  made.element_size = 1;
  made.chunk_size_bytes = 4;
  made.fill_value = {static_cast<std::byte>('-')};
  for (std::uint64_t number = 0; number < 5; ++number) made.chunks.push_back({number, number * 4, 4, 0});
  made.data = reinterpret_cast<const std::byte*>(stored_chunks.data());
  made.base_bytes = 4;
  return made;
}

} // namespace

TEST_SUITE("formats/hdf5/chunked") {
  TEST_CASE("elements come row by row, whatever piece is asked for") {
    const std::string all = "abcdefghijklmn-";
    const chunked_bytes made(letters());
    CHECK(made.size_bytes() == 15);
    for (std::size_t begin = 0; begin <= 15; ++begin) {
      for (std::size_t size = 0; begin + size <= 15; ++size) CHECK(read(made, begin, size) == all.substr(begin, size));
    }
    CHECK(read(made, 0, 16) == "bad_range");
    CHECK(read(made, 16, 0) == "bad_range");
    CHECK(read(made, ~std::uint64_t{0}, 1) == "bad_range");
  }

  TEST_CASE("elements of several bytes, and pieces that begin within one") {
    static constexpr std::string_view bytes = "aabbccddeexx";
    chunked_dataset dataset;
    dataset.shape = {5};
    dataset.chunk = {3};
    dataset.element_size = 2;
    dataset.chunk_size_bytes = 6;
    dataset.chunks = {{0, 0, 6, 0}, {1, 6, 6, 0}};
    dataset.data = reinterpret_cast<const std::byte*>(bytes.data());
    const chunked_bytes made(std::move(dataset));
    CHECK(read(made, 0, 10) == "aabbccddee");
    CHECK(read(made, 3, 6) == "bccdde");
    CHECK(read(made, 9, 1) == "e");
  }

  TEST_CASE("chunks at the edge may be unfiltered while the others are not") {
    static constexpr std::string_view bytes = "acbdefxx";
    chunked_dataset dataset;
    dataset.shape = {3};
    dataset.chunk = {2};
    dataset.element_size = 2;
    dataset.chunk_size_bytes = 4;
    stet::detail::hdf5_filter shuffle;
    shuffle.id = stet::detail::hdf5_filter::shuffle;
    shuffle.value = 2;
    dataset.filters = {shuffle};
    dataset.leaves_edges = true;
    dataset.chunks = {{0, 0, 4, 0}, {1, 4, 4, 0}};
    dataset.data = reinterpret_cast<const std::byte*>(bytes.data());
    const chunked_bytes made(std::move(dataset));
    CHECK(read(made, 0, 6) == "abcdef");
  }

  TEST_CASE("the chunks of a row are fetched once while it is read, and let go at its end") {
    const counting_reader from(stored_chunks);
    chunked_dataset dataset = letters();
    dataset.data = nullptr;
    dataset.fetcher = &from;
    const chunked_bytes made(std::move(dataset));
    for (std::size_t at = 0; at < 10; ++at) CHECK(read(made, at, 1).size() == 1);
    CHECK(from.count == 3); // two rows of elements in one row of three chunks
    CHECK(read(made, 10, 5) == "klmn-");
    CHECK(from.count == 5);
    CHECK(read(made, 9, 1) == "j");
    CHECK(from.count == 6);
  }

  TEST_CASE("an error of the file's reader, or of a damaged chunk, is the reading's") {
    const counting_reader shorter(stored_chunks.substr(0, 10));
    chunked_dataset dataset = letters();
    dataset.data = nullptr;
    dataset.fetcher = &shorter;
    const chunked_bytes cut(std::move(dataset));
    CHECK(read(cut, 0, 2) == "ab");
    CHECK(read(cut, 0, 5) != "abcde");
    dataset = letters();
    dataset.chunks[1].size_bytes = 3;
    const chunked_bytes damaged(std::move(dataset));
    std::vector<std::byte> into(5);
    const auto done = damaged.read(0, into);
    REQUIRE(!done);
    if (done) return;
    CHECK(done.error().code() == stet::errc::bad_compression);
    CHECK(done.error().offset_bytes() == 8); // where the chunk is
  }

  TEST_CASE("a dataset without dimensions is one chunk of one element") {
    chunked_dataset dataset;
    dataset.element_size = 1;
    dataset.chunk_size_bytes = 1;
    dataset.chunks = {{0, 0, 1, 0}};
    dataset.data = reinterpret_cast<const std::byte*>(stored_chunks.data()) + 4;
    CHECK(read(chunked_bytes(std::move(dataset)), 0, 1) == "a");
  }

  TEST_CASE("what was never written is the fill value, or zeros") {
    const std::byte value[] = {std::byte{'a'}, std::byte{'b'}, std::byte{'c'}};
    const filled_bytes made(value, 9);
    CHECK(read(made, 0, 9) == "abcabcabc");
    CHECK(read(made, 4, 5) == "bcabc");
    CHECK(read(made, 5, 1) == "c");
    CHECK(read(made, 0, 10) == "bad_range");
    CHECK(read(filled_bytes({}, 4), 1, 3) == std::string(3, '\0'));
  }
}
