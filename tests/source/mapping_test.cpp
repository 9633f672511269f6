// SPDX-License-Identifier: MIT
// Tests of source/mapping.hpp: ranges, what writes do, hints.
#include <stet/source/mapping.hpp>

#include "support/large_files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

using stet::mapping;
using stet_test::outcome;
using stet_test::temp_folder;

namespace {

constexpr std::uint64_t beyond = ~std::uint64_t{0};

std::string map_outcome(const stet::file& from, std::uint64_t offset_bytes, std::uint64_t size_bytes) {
  return outcome(mapping::map(from, offset_bytes, size_bytes));
}

bool mapping_holds(const mapping& mapped, const std::vector<std::byte>& bytes, std::size_t offset_bytes) {
  return std::memcmp(mapped.data(), bytes.data() + offset_bytes, mapped.size_bytes()) == 0;
}

} // namespace

TEST_SUITE("mapping") {
  TEST_CASE("maps any range at any offset") {
    temp_folder folder;
    const auto bytes = stet_test::pattern(300'000);
    const auto from = stet::file::open(folder.write("a", bytes));
    REQUIRE(from);
    if (!from) return;
    for (const std::size_t offset_bytes : {0u, 1u, 4095u, 4096u, 4097u, 65535u, 65536u, 65537u, 299'999u}) {
      CAPTURE(offset_bytes);
      for (const std::size_t size_bytes : {std::size_t{1}, bytes.size() - offset_bytes}) {
        const auto mapped = mapping::map(*from, offset_bytes, size_bytes);
        CHECK(outcome(mapped) == "ok");
        if (!mapped) continue;
        CHECK(mapped->size_bytes() == size_bytes);
        CHECK(mapping_holds(*mapped, bytes, offset_bytes));
      }
    }
  }

  TEST_CASE("an injected granularity changes where the mapping starts, not what it shows") {
    temp_folder folder;
    const auto bytes = stet_test::pattern(300'000);
    const auto from = stet::file::open(folder.write("a", bytes));
    REQUIRE(from);
    if (!from) return;
    for (const std::size_t granularity_bytes : {65536u, 131072u}) {
      for (const std::size_t offset_bytes : {1u, 65535u, 65537u, 200'000u}) {
        const auto mapped = mapping::map(*from, offset_bytes, 5000, stet::access::read_only, granularity_bytes);
        CHECK(outcome(mapped) == "ok");
        if (!mapped) continue;
        CHECK(mapping_holds(*mapped, bytes, offset_bytes));
        CHECK(reinterpret_cast<std::uintptr_t>(mapped->data()) % 4096 == offset_bytes % 4096);
      }
    }
  }

  TEST_CASE("refuses ranges that are not in the file") {
    temp_folder folder;
    const auto from = stet::file::open(folder.write("a", stet_test::pattern(10)));
    REQUIRE(from);
    if (!from) return;
    CHECK(map_outcome(*from, 0, 10) == "ok");
    CHECK(map_outcome(*from, 0, 11) == "bad_range");
    CHECK(map_outcome(*from, 10, 1) == "bad_range");
    CHECK(map_outcome(*from, 11, 0) == "bad_range");
    CHECK(map_outcome(*from, 1, beyond) == "bad_range");
    CHECK(map_outcome(*from, beyond, 1) == "bad_range");
    CHECK(map_outcome(*from, beyond, 2) == "bad_range");
    CHECK(map_outcome(*from, beyond - 4, 10) == "bad_range");
  }

  TEST_CASE("a mapping of nothing is valid and empty") {
    temp_folder folder;
    const auto from = stet::file::open(folder.write("empty", ""));
    const auto full = stet::file::open(folder.write("full", "0123"));
    REQUIRE((from && full));
    if (!from || !full) return;
    const auto ranges = {std::pair{&*from, 0}, std::pair{&*full, 2}, std::pair{&*full, 4}};
    for (const auto& [file, offset_bytes] : ranges) {
      auto mapped = mapping::map(*file, static_cast<std::uint64_t>(offset_bytes), 0, stet::access::copy_on_write);
      CHECK(outcome(mapped) == "ok");
      if (!mapped) continue;
      CHECK(mapped->size_bytes() == 0);
      CHECK(mapped->data() == nullptr);
      CHECK(mapped->writable_data() == nullptr);
      CHECK(outcome(mapped->prefetch(0, 0)) == "ok");
      CHECK(outcome(mapped->prefetch(0, 1)) == "bad_range");
    }
  }

  TEST_CASE("outlives its file, and moves without moving the bytes") {
    temp_folder folder;
    const auto bytes = stet_test::pattern(5000);
    mapping kept;
    {
      const auto from = stet::file::open(folder.write("a", bytes));
      REQUIRE(from);
      if (!from) return;
      auto mapped = mapping::map(*from, 7, 4000);
      REQUIRE(mapped);
      if (!mapped) return;
      const std::byte* const where = mapped->data();
      kept = std::move(*mapped);
      CHECK(kept.data() == where);
      CHECK(mapped->data() == nullptr);
      CHECK(mapped->size_bytes() == 0);
    }
#if !defined(_WIN32)
    std::error_code failure;
    CHECK(std::filesystem::remove(stet_test::to_path(folder.path("a")), failure));
#endif
    CHECK(mapping_holds(kept, bytes, 7));
  }

  TEST_CASE("copy-on-write changes never reach the file") {
    temp_folder folder;
    const auto bytes = stet_test::pattern(10'000);
    const auto from = stet::file::open(folder.write("a", bytes));
    REQUIRE(from);
    if (!from) return;
    auto mine = mapping::map(*from, 100, 9000, stet::access::copy_on_write);
    REQUIRE(mine);
    if (!mine) return;
    REQUIRE(mine->writable_data() != nullptr);
    std::memset(mine->writable_data(), 0x55, 9000);
    CHECK(mine->data()[8999] == std::byte{0x55});
    CHECK(outcome(mine->evict(0, 9000)) == "unsupported"); // it would undo them
    CHECK(mine->data()[0] == std::byte{0x55});
    CHECK(outcome(mine->flush(0, 9000)) == "unsupported");
    mine = mapping();
    CHECK(folder.read("a") == bytes);
  }

  TEST_CASE("shared writes reach the file") {
    temp_folder folder;
    auto bytes = stet_test::pattern(10'000);
    const std::string path = folder.write("a", bytes);
    {
      const auto from = stet::file::open(path, stet::open_for::read_write);
      REQUIRE(from);
      if (!from) return;
      auto shared = mapping::map(*from, 4097, 5000, stet::access::shared_write);
      if (outcome(shared) == "unsupported") {
        MESSAGE("skipped: no shared mappings on this platform");
        return;
      }
      REQUIRE(shared);
      if (!shared) return;
      REQUIRE(shared->writable_data() != nullptr);
      std::memset(shared->writable_data(), 0x55, 5000);
      CHECK(outcome(shared->flush(1, 4999)) == "ok");
      CHECK(outcome(shared->flush(1, 5000)) == "bad_range");
      CHECK(outcome(shared->evict(0, 5000)) == "ok");
      CHECK(shared->data()[4999] == std::byte{0x55});
    }
    std::memset(bytes.data() + 4097, 0x55, 5000);
    CHECK(folder.read("a") == bytes);
  }

  TEST_CASE("a read-only mapping offers no writing, nor does a read-only file a shared one") {
    temp_folder folder;
    const auto from = stet::file::open(folder.write("a", "0123"));
    REQUIRE(from);
    if (!from) return;
    auto mapped = mapping::map(*from, 0, 4);
    REQUIRE(mapped);
    if (!mapped) return;
    CHECK(mapped->mode() == stet::access::read_only);
    CHECK(mapped->writable_data() == nullptr);
    CHECK(outcome(mapped->flush(0, 4)) == "unsupported");
    const std::string shared = outcome(mapping::map(*from, 0, 4, stet::access::shared_write));
    if (shared != "unsupported") CHECK(shared == "access_denied");
  }

  TEST_CASE("hints change nothing that can be seen") {
    temp_folder folder;
    const auto bytes = stet_test::pattern(200'000);
    const auto from = stet::file::open(folder.write("a", bytes));
    REQUIRE(from);
    if (!from) return;
    for (const stet::access mode : {stet::access::read_only, stet::access::copy_on_write}) {
      const auto mapped = mapping::map(*from, 4097, 100'000, mode);
      REQUIRE(mapped);
      if (!mapped) return;
      for (const std::uint64_t offset_bytes : {0u, 1u, 50'000u, 99'000u}) {
        CHECK(outcome(mapped->prefetch(offset_bytes, 1000)) == "ok");
        CHECK(outcome(mapped->stop_read_ahead(offset_bytes, 1000)) == "ok");
        CHECK(outcome(mapped->evict(offset_bytes, 1000)) == (mode == stet::access::read_only ? "ok" : "unsupported"));
        const std::string locked = outcome(mapped->lock(offset_bytes, 1000));
        if (locked == "ok") CHECK(outcome(mapped->unlock(offset_bytes, 1000)) == "ok");
        if (locked != "ok") MESSAGE("nothing can be locked here: " << locked);
        CHECK(mapping_holds(*mapped, bytes, 4097));
      }
      for (const auto hint : {&mapping::prefetch, &mapping::stop_read_ahead, &mapping::lock, &mapping::unlock}) {
        CHECK(outcome(((*mapped).*hint)(0, 100'001)) == "bad_range");
        CHECK(outcome(((*mapped).*hint)(100'000, 1)) == "bad_range");
        CHECK(outcome(((*mapped).*hint)(1, beyond)) == "bad_range");
        CHECK(outcome(((*mapped).*hint)(beyond, 2)) == "bad_range");
        CHECK(outcome(((*mapped).*hint)(100'000, 0)) == "ok");
      }
    }
  }

  TEST_CASE("maps windows beyond 4 GiB, and refuses what the address space cannot hold") {
    temp_folder folder;
    const std::string path = folder.write("large", "");
    const std::uint64_t far = (std::uint64_t{5} << 30) + 123;
    {
      std::ofstream out(stet_test::to_path(path), std::ios::binary);
      out.seekp(static_cast<std::streamoff>(far)).write("stet", 4); // leaves a hole
      out.flush();
      if (!out) {
        MESSAGE("skipped: this file system makes no file of 5 GiB");
        return;
      }
    }
    const auto from = stet::file::open(path);
    if (outcome(from) == "unsupported") {
      MESSAGE("skipped: no such files on this platform");
      return;
    }
    REQUIRE(from);
    if (!from) return;
    const auto window = mapping::map(*from, far, 4);
    CHECK(outcome(window) == "ok");
    if (!stet_test::system_maps_beyond_4_gib())
      MESSAGE("skipped: this system maps other bytes than those beyond 4 GiB");
    else if (window)
      CHECK(std::memcmp(window->data(), "stet", 4) == 0);
    CHECK(map_outcome(*from, 0, far + 4) == (sizeof(void*) == 4 ? "too_large" : "ok"));
    if (sizeof(void*) == 4) {
      CHECK(map_outcome(*from, 0, std::uint64_t{1} << 32) == "too_large"); // 0 as a size_t
      CHECK(map_outcome(*from, 1, 0x7FFFFFFFu) == "too_large");            // with the slack
    }
  }
}
