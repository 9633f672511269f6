// SPDX-License-Identifier: MIT
// Tests of source/source.hpp and source/byte_reader.hpp: one suite for every kind of source, then what sets them
// apart.
#include <stet/source/source.hpp>

#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

using stet::file_range;
using stet::source;
using stet_test::outcome;
using stet_test::temp_folder;

namespace {

constexpr std::uint64_t beyond_memory = ~std::uint64_t{0};

/// A program's own reader: bytes in memory, or the error of a broken device from some byte on.
class memory_reader final : public stet::byte_reader {
public:
  explicit memory_reader(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return bytes_.size(); }
  [[nodiscard]] stet::result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (offset_bytes > bytes_.size() || into.size() > bytes_.size() - offset_bytes) return stet::errc::truncated;
    if (offset_bytes + into.size() > broken_from) return stet::error(stet::errc::source_failed, "device", broken_from);
    if (!into.empty()) std::memcpy(into.data(), bytes_.data() + offset_bytes, into.size());
    return {};
  }
  std::uint64_t broken_from = beyond_memory;

private:
  std::vector<std::byte> bytes_;
};

/// One file and everything from which a source of it can be made.
struct fixture {
  explicit fixture(std::vector<std::byte> contents)
      : bytes(std::move(contents)), path(folder.write("a.stet", bytes)),
        open(stet::file::open(path, stet::open_for::read_write)), custom(bytes) {}
  temp_folder folder;
  std::vector<std::byte> bytes;
  std::string path;
  stet::result<stet::file> open;
  memory_reader custom;
};

struct backend {
  std::string name;
  stet::result<source> (*make)(fixture&, file_range);
  bool resident, writable;
};

/// Memory has no ranges of its own: the caller cuts.
stet::result<source> borrow_part(fixture& from, file_range range) {
  const auto part = range.within(from.bytes.size());
  if (!part) return part.error();
  return source::borrow(
      std::span<const std::byte>(from.bytes)
          .subspan(static_cast<std::size_t>(part->offset_bytes), static_cast<std::size_t>(part->size_bytes)));
}
stet::result<source> borrow_writable_part(fixture& from, file_range range) {
  const auto part = range.within(from.bytes.size());
  if (!part) return part.error();
  return source::borrow_writable(
      std::span(from.bytes)
          .subspan(static_cast<std::size_t>(part->offset_bytes), static_cast<std::size_t>(part->size_bytes)));
}
/// A handle that the program opened, with an offset and a length: an asset within a package.
stet::result<source> stream_borrowed_handle(fixture& from, file_range range) {
  auto borrowed = stet::file::borrow(from.open->handle());
  if (!borrowed) return borrowed.error();
  return source::stream(std::move(*borrowed), range);
}
stet::result<source> map_borrowed_handle(fixture& from, file_range range) {
  const auto borrowed = stet::file::borrow(from.open->handle());
  if (!borrowed) return borrowed.error();
  return source::map(*borrowed, range);
}

const backend backends[] = {
    {"memory", borrow_part, true, false},
    {"writable memory", borrow_writable_part, true, true},
    {"mapped path", [](fixture& from, file_range range) { return source::map(from.path, range); }, true, false},
    {"mapped handle", map_borrowed_handle, true, false},
    {"copy-on-write",
     [](fixture& from, file_range range) { return source::map(from.path, range, stet::access::copy_on_write); }, true,
     true},
#if !defined(__EMSCRIPTEN__) && !defined(__wasi__) // have no shared mappings
    {"shared write",
     [](fixture& from, file_range range) { return source::map(from.path, range, stet::access::shared_write); }, true,
     true},
#endif
    {"read path", [](fixture& from, file_range range) { return source::read(from.path, range); }, true, true},
    {"read file, 65536 aligned", [](fixture& from, file_range range) { return source::read(*from.open, range, 65536); },
     true, true},
    {"read custom reader", [](fixture& from, file_range range) { return source::read(from.custom, range); }, true,
     true},
    {"streamed path", [](fixture& from, file_range range) { return source::stream(from.path, range); }, false, false},
    {"streamed handle", stream_borrowed_handle, false, false},
};

bool source_holds(const source& from, std::span<const std::byte> expected) {
  std::vector<std::byte> bytes(expected.size());
  return from.size_bytes() == expected.size() && from.read_at(0, bytes) &&
         std::equal(bytes.begin(), bytes.end(), expected.begin());
}

} // namespace

TEST_SUITE("source") {
  TEST_CASE("every kind gives the bytes of any range") {
    fixture from(stet_test::pattern(200'000));
    REQUIRE(from.open);
    if (!from.open) return;
    const auto end = static_cast<std::uint64_t>(from.bytes.size());
    const file_range ranges[] = {{},          {0, 200'000}, {1, 1},     {4095, 3},   {4097, 70'000},
                                 {65537, 64}, {65537},      {1, 65536}, {199'999},   {end, 0},
                                 {end},       {0, 0},       {4097, 0},  {end - 1, 1}};
    for (const backend& kind : backends) {
      for (const file_range& range : ranges) {
        CAPTURE(kind.name);
        CAPTURE(range.offset_bytes);
        CAPTURE(range.size_bytes);
        auto made = kind.make(from, range);
        CHECK(outcome(made) == "ok");
        if (!made) continue;
        const auto part = range.within(end);
        const auto expected =
            std::span<const std::byte>(from.bytes)
                .subspan(static_cast<std::size_t>(part->offset_bytes), static_cast<std::size_t>(part->size_bytes));
        CHECK(source_holds(*made, expected));
        CHECK((made->data() != nullptr) == kind.resident);
        CHECK((made->fetcher() != nullptr) == !kind.resident);
        CHECK((made->writable_data() != nullptr) == kind.writable);
        if (made->data() != nullptr) CHECK(std::equal(expected.begin(), expected.end(), made->data()));
        if (made->fetcher() != nullptr) CHECK(made->fetcher()->size_bytes() == expected.size());
      }
    }
  }

  TEST_CASE("every kind refuses ranges that the file does not have") {
    for (const std::size_t size_bytes : {0u, 10u}) {
      fixture from(stet_test::pattern(size_bytes));
      REQUIRE(from.open);
      if (!from.open) return;
      const std::uint64_t end = size_bytes;
      const file_range ranges[] = {{end + 1, 0},
                                   {end + 1},
                                   {0, end + 1},
                                   {end, 1},
                                   {1, beyond_memory - 1},
                                   {beyond_memory, 2},
                                   {beyond_memory},
                                   {beyond_memory - 4, 10},
                                   {beyond_memory / 2 + 1, beyond_memory / 2 + 1}};
      for (const backend& kind : backends) {
        for (const file_range& range : ranges) {
          CAPTURE(kind.name);
          CAPTURE(range.offset_bytes);
          CAPTURE(range.size_bytes);
          CHECK(outcome(kind.make(from, range)) == "bad_range");
        }
        CHECK(outcome(kind.make(from, {})) == "ok");
      }
    }
  }

  TEST_CASE("every kind keeps to its bounds when read") {
    fixture from(stet_test::pattern(10'000));
    REQUIRE(from.open);
    if (!from.open) return;
    for (const backend& kind : backends) {
      CAPTURE(kind.name);
      const auto made = kind.make(from, {4097, 100});
      REQUIRE(made);
      if (!made) return;
      std::vector<std::byte> part(10);
      CHECK(outcome(made->read_at(90, part)) == "ok");
      CHECK(std::memcmp(part.data(), from.bytes.data() + 4187, 10) == 0);
      CHECK(outcome(made->read_at(91, part)) == "bad_range");
      CHECK(outcome(made->read_at(100, part)) == "bad_range");
      CHECK(outcome(made->read_at(beyond_memory - 4, part)) == "bad_range");
      CHECK(outcome(made->read_at(beyond_memory, part)) == "bad_range");
      CHECK(outcome(made->read_at(100, {})) == "ok");
      CHECK(outcome(made->read_at(101, {})) == "bad_range");
      if (made->fetcher() != nullptr) {
        CHECK(outcome(made->fetcher()->read(90, part)) == "ok");
        CHECK(outcome(made->fetcher()->read(91, part)) == "bad_range"); // not what follows in the file
        CHECK(outcome(made->fetcher()->read(beyond_memory - 4, part)) == "bad_range");
      }
    }
  }

  TEST_CASE("every kind takes hints, and gives the same bytes afterwards") {
    fixture from(stet_test::pattern(100'000));
    REQUIRE(from.open);
    if (!from.open) return;
    for (const backend& kind : backends) {
      CAPTURE(kind.name);
      const auto made = kind.make(from, {4097, 80'000});
      REQUIRE(made);
      if (!made) return;
      const bool copies = kind.name == "copy-on-write";
      const bool shares = kind.name == "shared write";
      CHECK(outcome(made->prefetch(1, 70'000)) == "ok");
      CHECK(outcome(made->stop_read_ahead(1, 70'000)) == "ok");
      CHECK(outcome(made->evict(1, 70'000)) == (copies ? "unsupported" : "ok"));
      CHECK(outcome(made->flush(0, 80'000)) == (shares ? "ok" : "unsupported"));
      const std::string locked = outcome(made->lock(1, 5000));
      if (made->data() == nullptr) CHECK(locked == "not_resident");
      if (made->data() != nullptr && locked != "ok") MESSAGE("nothing can be locked here: " << locked);
      if (locked == "ok") CHECK(outcome(made->unlock(1, 5000)) == "ok");
      for (const auto hint : {&source::prefetch, &source::stop_read_ahead, &source::evict, &source::lock,
                              &source::unlock, &source::flush}) {
        CHECK(outcome(((*made).*hint)(0, 80'001)) == "bad_range");
        CHECK(outcome(((*made).*hint)(80'000, 1)) == "bad_range");
        CHECK(outcome(((*made).*hint)(beyond_memory, 2)) == "bad_range");
      }
      CHECK(source_holds(*made, std::span<const std::byte>(from.bytes).subspan(4097, 80'000)));
    }
  }

  TEST_CASE("every kind moves without moving its bytes") {
    fixture from(stet_test::pattern(5000));
    REQUIRE(from.open);
    if (!from.open) return;
    for (const backend& kind : backends) {
      CAPTURE(kind.name);
      auto made = kind.make(from, {});
      REQUIRE(made);
      if (!made) return;
      const std::byte* const data = made->data();
      const stet::byte_reader* const fetcher = made->fetcher();
      source first = std::move(*made);
      CHECK(made->size_bytes() == 0);
      CHECK(made->data() != nullptr);
      CHECK(made->data() != data);
      CHECK(made->fetcher() == nullptr);
      CHECK(made->writable_data() == nullptr);
      source second;
      CHECK(second.size_bytes() == 0);
      second = std::move(first);
      CHECK(second.data() == data);
      CHECK(second.fetcher() == fetcher);
      CHECK((second.writable_data() != nullptr) == kind.writable);
      CHECK(source_holds(second, from.bytes));
      second = source();
      CHECK(second.size_bytes() == 0);
    }
  }

  TEST_CASE("whatever opens a path refuses what is no file") {
    temp_folder folder;
    for (const auto open : {+[](std::string_view path) { return source::map(path); },
                            +[](std::string_view path) { return source::read(path); },
                            +[](std::string_view path) { return source::stream(path); }}) {
      const auto missing = open(folder.path("missing"));
      CHECK(outcome(missing) == "file_not_found");
      if (!missing) CHECK_FALSE(missing.error().subject().empty());
      CHECK(outcome(open(folder.path())) == "not_a_regular_file");
      CHECK(outcome(open("")) == "bad_path");
    }
    const auto outside = source::map(folder.write("a", "0123"), {5});
    CHECK(outcome(outside) == "bad_range");
    if (!outside) {
      CHECK(outside.error().offset_bytes() == 5);
      CHECK(outside.error().subject() == folder.path("a").substr(0, stet::error::max_subject_bytes));
    }
  }

  TEST_CASE("borrowed memory is the program's own, at its own address") {
    const auto bytes = stet_test::pattern(100);
    const source whole = source::borrow(bytes);
    CHECK(whole.data() == bytes.data());
    const source odd = source::borrow(std::span<const std::byte>(bytes).subspan(1));
    CHECK(odd.data() == bytes.data() + 1);
    std::vector<std::byte> mine(3);
    source writable = source::borrow_writable(mine);
    CHECK(writable.writable_data() == mine.data());
    CHECK(source::borrow({}).data() != nullptr);
  }

  TEST_CASE("memory that is read into is aligned as asked") {
    fixture from(stet_test::pattern(1000));
    for (std::size_t alignment_bytes = 1; alignment_bytes <= 65536; alignment_bytes *= 2) {
      const auto made = source::read(from.custom, {3}, alignment_bytes);
      CHECK(outcome(made) == "ok");
      if (!made) continue;
      const std::size_t least_bytes = alignment_bytes < 64 ? 64 : alignment_bytes;
      CHECK(reinterpret_cast<std::uintptr_t>(made->data()) % least_bytes == 0);
    }
    for (const std::size_t alignment_bytes : {0u, 3u, 63u, 96u, 131072u}) {
      CHECK(outcome(source::read(from.custom, {}, alignment_bytes)) == "bad_alignment");
    }
  }

  TEST_CASE("a reader's error comes through unchanged") {
    fixture from(stet_test::pattern(1000));
    from.custom.broken_from = 500;
    const auto made = source::read(from.custom);
    CHECK(outcome(made) == "source_failed");
    if (!made) {
      CHECK(made.error().subject() == "device");
      CHECK(made.error().offset_bytes() == 500);
    }
    CHECK(outcome(source::read(from.custom, {0, 500})) == "ok");
    const source streamed = source::stream(from.custom);
    CHECK(streamed.fetcher() == &from.custom);
    CHECK(streamed.data() == nullptr);
    std::vector<std::byte> part(100);
    CHECK(outcome(streamed.read_at(400, part)) == "ok");
    CHECK(outcome(streamed.read_at(401, part)) == "source_failed");
    CHECK(outcome(streamed.read_at(901, part)) == "bad_range");
  }

  TEST_CASE("a file that shrinks after it was opened gives an error, not old or made-up bytes") {
    temp_folder folder;
    const std::string path = folder.write("a", stet_test::pattern(10'000));
    auto opened = stet::file::open(path);
    REQUIRE(opened);
    if (!opened) return;
    std::error_code failure;
    std::filesystem::resize_file(stet_test::to_path(path), 5000, failure);
    REQUIRE_FALSE(failure);
    const auto made = source::read(*opened);
    CHECK(outcome(made) == "truncated");
    if (!made) CHECK(made.error().offset_bytes() == 5000);
    CHECK(outcome(source::read(*opened, {0, 5000})) == "ok");
    const auto streamed = source::stream(std::move(*opened));
    REQUIRE(streamed);
    if (!streamed) return;
    std::vector<std::byte> part(100);
    CHECK(outcome(streamed->read_at(4900, part)) == "ok");
    CHECK(outcome(streamed->read_at(4901, part)) == "truncated");
  }

  TEST_CASE("what is written stays where the kind of source says") {
    struct row {
      stet::result<source> (*make)(const std::string&);
      bool reaches_file;
    };
    for (const row& kind :
         {row{[](const std::string& path) { return source::read(path); }, false},
          row{[](const std::string& path) { return source::map(path, {}, stet::access::copy_on_write); }, false},
          row{[](const std::string& path) { return source::map(path, {}, stet::access::shared_write); }, true}}) {
      temp_folder folder;
      auto bytes = stet_test::pattern(5000);
      {
        auto made = kind.make(folder.write("a", bytes));
        if (kind.reaches_file && outcome(made) == "unsupported") {
          MESSAGE("skipped: no shared mappings on this platform");
          continue;
        }
        REQUIRE(made);
        if (!made) return;
        made->writable_data()[4097] ^= std::byte{0xFF};
        CHECK(made->data()[4097] == (bytes[4097] ^ std::byte{0xFF}));
      }
      if (kind.reaches_file) bytes[4097] ^= std::byte{0xFF};
      CHECK(folder.read("a") == bytes);
    }
  }

  TEST_CASE("a view stays valid when another file takes the name") {
    temp_folder folder;
    const auto bytes = stet_test::pattern(5000);
    const auto mapped = source::map(folder.write("a", bytes));
    const auto streamed = source::stream(folder.path("a"));
    REQUIRE((mapped && streamed));
    if (!mapped || !streamed) return;
    folder.write("b", "new");
    std::error_code failure;
    std::filesystem::rename(stet_test::to_path(folder.path("b")), stet_test::to_path(folder.path("a")), failure);
    if (failure) {
      MESSAGE("skipped: this system does not rename over an open file this way");
      return;
    }
    CHECK(source_holds(*mapped, bytes));
    CHECK(source_holds(*streamed, bytes));
    const auto fresh = source::read(folder.path("a"));
    CHECK((fresh && fresh->size_bytes() == 3));
  }
}
