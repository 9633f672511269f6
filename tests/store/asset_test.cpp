// SPDX-License-Identifier: MIT
// Stores as uncompressed entries of an archive, at whatever offset the packer put them: what a descriptor, an offset and a
// length of Android's assets, or a resource of iOS, come to.
#include "support/files.hpp"
#include "support/outcome.hpp"
#include "support/zip_archives.hpp"

#include <stet/store/open.hpp>
#include <stet/wire/zip.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#if defined(__linux__)
#include <unistd.h>
#endif

namespace {

using namespace stet_test;

/// An archive with a store between other entries, whose bytes begin at a wanted offset.
struct made_package {
  std::string bytes;
  stet::file_range entry;

  /// @param offset  of the store's first byte; at least 1000
  made_package(std::string_view store, std::size_t offset) {
    made_archive archive;
    archive.members = {
        {"classes.dex", std::string(200, 'd')}, {"assets/model.stet", std::string(store)}, {"res/icon.png", "icon"}};
    // As zipalign does it, but for any offset.
    const std::size_t plain = offset_in(archive.bytes());
    archive.members[1].gap = std::string(offset - plain, '\0');
    bytes = archive.bytes();
    entry = {offset_in(bytes), store.size()};
  }

private:
  /// Where the entry's bytes are, by the directory of the archive.
  static std::size_t offset_in(const std::string& archive) {
    const auto members = stet::detail::read_zip(std::as_bytes(std::span(archive.data(), archive.size())));
    REQUIRE(members);
    if (members) {
      for (const auto& each : *members) {
        if (each.name == "assets/model.stet") return static_cast<std::size_t>(each.offset_bytes);
      }
    }
    return 0;
  }
};

/// A store with elements of 1, 2, 4 and 8 bytes, each at a multiple of 64.
std::string asset_bytes() {
  const native_file file({tensor_of<std::uint8_t>("bytes", {3}, {1, 2, 3}),
                          tensor_of<std::int16_t>("shorts", {2}, {4, 5}), tensor_of<float>("floats", {2}, {6, 7}),
                          tensor_of<double>("doubles", {1}, {8})});
  return {reinterpret_cast<const char*>(file.bytes.data()), file.bytes.size()};
}

/// What the view of elements of `size` bytes is to give: there are none of several bytes where words are the other way round.
std::string expected_view(std::size_t offset, std::size_t size, std::size_t alignment) {
  if (size > 1 && std::endian::native == std::endian::big) return "wrong_byte_order";
  return offset % alignment == 0 ? "ok" : "misaligned";
}

/// What the typed view of a tensor gives; its value must be right if there is one, and its copy in any case.
template <class T> std::string asset_view(const stet::store& store, std::string_view name, T value) {
  T copied{};
  const auto found = store.find(name);
  REQUIRE(found);
  if (!found) return "none";
  std::vector<T> all(static_cast<std::size_t>(found->element_count()));
  CHECK(found->copy_to(std::span(all)));
  copied = all.front();
  CHECK(copied == value);
  const auto view = store.get<T>(name);
  if (view) CHECK(view->front() == value);
  if (view) CHECK(reinterpret_cast<const std::byte*>(view->data()) == found->bytes().data()); // in place
  return outcome(view);
}

} // namespace

TEST_SUITE("assets in archives") {
  TEST_CASE("at every offset: in place where elements are aligned, errc::misaligned where not, copied anywhere") {
    const temp_folder folder;
    const std::string store = asset_bytes();
    for (std::size_t offset = 1000; offset < 1064; ++offset) {
      CAPTURE(offset);
      const made_package package(store, offset);
      CHECK(package.entry.offset_bytes == offset);
      std::optional<stet::store> opened;
      {
        const auto file = stet::file::open(folder.write("base.apk", package.bytes));
        REQUIRE(file);
        if (!file) return;
        auto made = stet::open(file->handle(), {.range = package.entry});
        REQUIRE(outcome(made) == "ok");
        if (!made) return;
        opened.emplace(std::move(*made));
      } // the descriptor is closed; the mapping stays
      CHECK(asset_view<std::uint8_t>(*opened, "bytes", 1) == "ok");
      CHECK(asset_view<std::int16_t>(*opened, "shorts", 4) == expected_view(offset, 2, 2));
      CHECK(asset_view<float>(*opened, "floats", 6) == expected_view(offset, 4, 4));
      CHECK(asset_view<double>(*opened, "doubles", 8) == expected_view(offset, 8, alignof(double)));
      CHECK(outcome(opened->verify_checksums()) == "ok");
      CHECK(opened->prefetch());
      CHECK(opened->evict());
    }
  }

  TEST_CASE("an entry that zipalign moved, to 4 bytes or to a page, is in place") {
    const temp_folder folder;
    constexpr std::size_t offsets[] = {1004, 1040, 4096, 16384, 65536};
    for (const std::size_t offset : offsets) {
      CAPTURE(offset);
      const made_package package(asset_bytes(), offset);
      const auto file = stet::file::open(folder.write("base.apk", package.bytes));
      REQUIRE(file);
      if (!file) return;
      const auto store = stet::open(file->handle(), {.range = package.entry});
      REQUIRE(outcome(store) == "ok");
      if (!store) return;
      CHECK(asset_view<float>(*store, "floats", 6) == expected_view(offset, 4, 4));
      CHECK(asset_view<double>(*store, "doubles", 8) == expected_view(offset, 8, alignof(double)));
    }
  }

  TEST_CASE("reading instead of mapping aligns whatever the archive did not") {
    const temp_folder folder;
    const made_package package(asset_bytes(), 1001);
    const auto file = stet::file::open(folder.write("base.apk", package.bytes));
    REQUIRE(file);
    if (!file) return;
    const auto read = stet::open(file->handle(), {.backing = stet::backing::read, .range = package.entry});
    REQUIRE(outcome(read) == "ok");
    if (read) CHECK(asset_view<double>(*read, "doubles", 8) == expected_view(0, 8, 8));
    // An entry cut short, and what follows it, are no store.
    CHECK(outcome(stet::open(file->handle(), {.range = {1001, package.entry.size_bytes - 1}})) == "truncated");
    CHECK(outcome(stet::open(file->handle(), {.range = {1001, package.entry.size_bytes + 1}})) == "trailing_bytes");
    CHECK(outcome(stet::open(file->handle(), {.range = {1000, package.entry.size_bytes}})) == "bad_magic");
    CHECK(outcome(stet::open(file->handle(), {.range = {1001, package.bytes.size()}})) == "bad_range");
  }

#if defined(__linux__)
  TEST_CASE("a store is one mapping, for reading only, of the pages that hold the entry") {
    const temp_folder folder;
    made_package package(asset_bytes(), 200001);
    package.bytes.append(500000, 'x');
    const std::string path = folder.write("base.apk", package.bytes);
    const auto file = stet::file::open(path);
    REQUIRE(file);
    if (!file) return;
    const auto store = stet::open(file->handle(), {.range = package.entry});
    REQUIRE(outcome(store) == "ok");
    if (!store) return;
    (void)store->get<std::uint8_t>("bytes");
    std::vector<std::string> mappings;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      if (line.find(path) != std::string::npos) mappings.push_back(line);
    }
    REQUIRE(mappings.size() == 1);
    CAPTURE(mappings[0]);
    unsigned long long begin = 0, end = 0, offset = 0;
    char access[5] = {};
    REQUIRE(std::sscanf(mappings[0].c_str(), "%llx-%llx %4s %llx", &begin, &end, access, &offset) == 4);
    CHECK(std::string_view(access) == "r--p");
    const auto page = static_cast<unsigned long long>(::sysconf(_SC_PAGESIZE));
    CHECK(offset == 200001 / page * page);
    CHECK(end - begin >= package.entry.size_bytes + 200001 % page);
    CHECK(end - begin < package.entry.size_bytes + 200001 % page + page);
  }
#endif
}
