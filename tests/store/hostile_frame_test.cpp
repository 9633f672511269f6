// SPDX-License-Identifier: MIT
// Hostile files: the frame. Cut short, lengthened, with flipped bits, with headers that lie; and paths and
// handles that are no files. Each in every way to open one, with its exact code.
#include "support/byte_order.hpp"
#include "support/files.hpp"

#include <stet/store/open.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#define STET_TEST_POSIX 1
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#else
#define STET_TEST_POSIX 0
#endif

using stet::errc;
using stet_test::byte_vector;
using stet_test::code_of;
using stet_test::native_file;

namespace {

/// Expects that `bytes` open with this error, in every way.
void expect(const stet_test::every_way& ways, std::span<const std::byte> bytes, errc expected) {
  ways.open(bytes, [&](const stet_test::way_to_open& way, stet::result<stet::store>&& store) {
    CAPTURE(way.name);
    CHECK(code_of(store) == expected);
  });
}

/// What one flipped bit of a file does: the error of `open`; or that of `verify_checksums`, if open succeeds.
struct damage {
  errc at_open = errc{}, at_verify = errc{};
  friend bool operator==(const damage&, const damage&) = default;
};
damage damage_of(const stet::result<stet::store>& store) {
  if (!store) return {store.error().code(), errc{}};
  return {errc{}, code_of(store->verify_checksums())};
}

/// What it must do, by where it stands.
damage expected_damage(const native_file& file, std::size_t at) {
  const stet::file_header& header = file.header;
  if (at < 8) return {errc::bad_magic, {}};
  if (at < 128) return {errc::header_checksum, {}};
  if (at - 128 < header.manifest_size_bytes) return {errc::manifest_checksum, {}};
  if (at >= file.index_at() && at - file.index_at() < header.index_size_bytes) return {errc::index_checksum, {}};
  for (const std::size_t number : {0u, 1u, 2u, 3u}) { // those with bytes of their own
    const std::uint64_t offset = file.get<std::uint64_t>(file.entry_at(number));
    if (at >= offset && at - offset < file.get<std::uint64_t>(file.entry_at(number) + 8))
      return {{}, errc::checksum_mismatch};
  }
  return {}; // between the parts; only a check of the whole file reads that
}

} // namespace

TEST_SUITE("hostile frame") {
  TEST_CASE("F1, F2: every truncation is noticed") {
    const auto file = stet_test::mixed_store();
    const stet_test::every_way ways;
    for (std::size_t size = 0; size < file.bytes.size(); ++size) {
      CAPTURE(size);
      expect(ways, std::span(file.bytes).first(size), errc::truncated);
    }
    expect(ways, file.bytes, errc{});
  }

  TEST_CASE("F3, F4: other magics and other versions") {
    const stet_test::every_way ways;
    auto file = stet_test::mixed_store();
    for (const std::string_view magic : {std::string_view("\x89PNG\r\n\x1a\n", 8), std::string_view("GGUF\3\0\0\0", 8),
                                         std::string_view("PK\3\4....", 8), std::string_view("\x89STET\n\x1a\0", 8),
                                         std::string_view("\0\0\0\0\0\0\0\0", 8)}) {
      expect(ways, file.put(0, magic).bytes, errc::bad_magic);
    }
    for (const std::uint32_t version : {2u, 0x01000000u, 0xFFFFFFFFu}) {
      file = stet_test::mixed_store();
      expect(ways, file.set(8, version).set(12, version).seal().bytes, errc::newer_format);
    }
    file = stet_test::mixed_store();
    expect(ways, file.set(8, std::uint32_t{0}).seal().bytes, errc::bad_header);
  }

  TEST_CASE("F5: sizes and places of manifest, index and data") {
    const stet_test::every_way ways;
    const auto good = stet_test::mixed_store();
    const std::uint64_t most = ~std::uint64_t{0};
    for (const std::size_t field : {32u, 40u, 48u, 56u, 64u, 72u}) {
      const std::uint64_t lengths[] = {
          good.bytes.size() + 8, std::uint64_t{1} << 63, most - 7, most - 63, most - 127, most};
      for (const std::uint64_t length : lengths) {
        CAPTURE(field);
        CAPTURE(length);
        auto file = good;
        expect(ways, file.set(field, length).seal().bytes, errc::bad_section);
      }
    }
    auto file = good;
    expect(ways, file.set(56, good.header.index_size_bytes - 8).seal().bytes, errc::bad_index);
    file = good;
    expect(ways, file.set(56, good.header.index_size_bytes + 8).seal().bytes, errc::bad_index);
    file = good;
    expect(ways,
           file.set(48, good.header.index_offset_bytes + 64).set(56, good.header.index_size_bytes - 64).seal().bytes,
           errc::bad_index);
    file = good;
    expect(ways, file.set(48, std::uint64_t{0}).set(56, std::uint64_t{0}).seal().bytes, errc::no_index);
    for (const std::uint32_t alignment : {0u, 3u, 63u, 1u << 17, 1u << 31, 0xFFFFFFFFu}) {
      file = good;
      expect(ways, file.set(28, alignment).seal().bytes, errc::bad_alignment);
    }
    file = good;
    expect(ways, file.set(28, std::uint32_t{128}).seal().bytes,
           errc::bad_section); // the data lies at no multiple of it
  }

  TEST_CASE("F7, F8: a file within a file is not read as this one") {
    const stet_test::every_way ways;
    const auto good = stet_test::mixed_store();
    for (const std::string_view tail :
         {std::string_view("\0", 1), std::string_view("PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22),
          std::string_view("\x80\4\x95.", 4)}) {
      auto bytes = good.bytes;
      for (const char c : tail) bytes.push_back(static_cast<std::byte>(c));
      expect(ways, bytes, errc::trailing_bytes);
      bytes = good.bytes;
      bytes.insert(bytes.begin(), std::byte{'P'});
      expect(ways, bytes, errc::bad_magic);
    }
    auto twice = good.bytes;
    twice.insert(twice.end(), good.bytes.begin(), good.bytes.end());
    expect(ways, twice, errc::trailing_bytes);
  }

  TEST_CASE("C1: every flipped bit is noticed where it matters") {
    const auto file = stet_test::mixed_store();
    const stet_test::every_way ways;
    const stet_test::exact_block block(file.bytes);
    for (std::size_t bit = 0; bit < file.bytes.size() * 8; ++bit) {
      const std::size_t at = bit / 8;
      const damage expected = expected_damage(file, at);
      auto& byte = block.span()[at];
      byte ^= static_cast<std::byte>(1u << bit % 8);
      const auto store = stet::open(std::span<const std::byte>(block.span()));
      if (!(damage_of(store) == expected)) {
        CAPTURE(bit);
        CHECK(damage_of(store) == expected);
      }
      if (bit % 8 == at % 8) { // the ways that need files: one bit of each byte
        ways.open(block.span(), [&](const stet_test::way_to_open& way, stet::result<stet::store>&& opened) {
          CAPTURE(way.name);
          CAPTURE(bit);
          CHECK(damage_of(opened) == expected);
        });
      }
      byte ^= static_cast<std::byte>(1u << bit % 8);
    }
  }

  TEST_CASE("C1: a checksum that was made to fit does not help the bytes under it") {
    const stet_test::every_way ways;
    auto file = stet_test::mixed_store();
    file.bytes[file.data_at()] ^= std::byte{1};
    ways.open(file.seal().bytes, [&](const stet_test::way_to_open& way, stet::result<stet::store>&& store) {
      CAPTURE(way.name);
      REQUIRE(store);
      if (!store) return;
      const auto verified = store->verify_checksums();
      CHECK(code_of(verified) == errc::checksum_mismatch);
      CHECK(verified.error().subject() == "dense/kernel");
      CHECK(code_of(store->find("tied")->verify_checksum()) == errc::checksum_mismatch);
      CHECK(code_of(store->find("labels")->verify_checksum()) == errc{});
    });
  }

  TEST_CASE("F9: folders, missing files and loops of links are no stores") {
    const stet_test::temp_folder folder;
    for (const stet::backing how : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
      stet::open_options options;
      options.backing = how;
      CHECK(code_of(stet::open(folder.path(), options)) == errc::not_a_regular_file);
      CHECK(code_of(stet::open(folder.path("none"), options)) == errc::file_not_found);
      CHECK(code_of(stet::open(folder.path("none/none"), options)) == errc::file_not_found);
    }
#if STET_TEST_POSIX
#if !defined(__EMSCRIPTEN__) // it shows pipes as files
    REQUIRE(::mkfifo(folder.path("fifo").c_str(), 0600) == 0);
#endif
    std::error_code failure;
    std::filesystem::create_symlink(folder.path("b"), folder.path("a"), failure);
    std::filesystem::create_symlink(folder.path("a"), folder.path("b"), failure);
    const auto file = stet_test::mixed_store();
    folder.write("good.stet", file.bytes);
    std::filesystem::create_symlink(folder.path("good.stet"), folder.path("link.stet"), failure);
    for (const stet::backing how : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
      stet::open_options options;
      options.backing = how;
#if !defined(__EMSCRIPTEN__)
      CHECK(code_of(stet::open(folder.path("fifo"), options)) ==
            errc::not_a_regular_file); // and does not wait for a writer
#endif
      CHECK(code_of(stet::open("/dev/zero", options)) == errc::not_a_regular_file);
      CHECK(code_of(stet::open(folder.path("a"), options)) == errc::io_error);
      CHECK(code_of(stet::open(folder.path("good.stet/x"), options)) == errc::file_not_found);
      CHECK(code_of(stet::open(folder.path("link.stet"), options)) == errc{}); // the user's own choice of path
    }
#endif
  }

#if STET_TEST_POSIX
  TEST_CASE("F10: handles that cannot be read") {
    const stet_test::temp_folder folder;
    const auto file = stet_test::mixed_store();
    const std::string path = folder.write("good.stet", file.bytes);
    int ends[2] = {};
    REQUIRE(::pipe(ends) == 0);
    const int write_only = ::open(path.c_str(), O_WRONLY);
    const int closed = ::open(path.c_str(), O_RDONLY);
    ::close(closed);
    for (const stet::backing how : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
      stet::open_options options;
      options.backing = how;
#if !defined(__EMSCRIPTEN__) // it shows pipes as files
      CHECK(code_of(stet::open(ends[0], options)) == errc::not_a_regular_file);
#endif
      CHECK(code_of(stet::open(write_only, options)) == errc::access_denied);
      CHECK(code_of(stet::open(closed, options)) == errc::io_error);
      CHECK(code_of(stet::open(-1, options)) == errc::io_error);
    }
    for (const int each : {ends[0], ends[1], write_only}) ::close(each);
  }

  TEST_CASE("R1: a file cut after it was opened gives an error where it is read on demand") {
    const stet_test::temp_folder folder;
    const auto file = stet_test::mixed_store();
    const std::string path = folder.write("m.stet", file.bytes);
    stet::open_options options;
    options.backing = stet::backing::stream;
    const auto streamed = stet::open(path, options);
    options.backing = stet::backing::read;
    const auto read = stet::open(path, options);
    REQUIRE(streamed);
    REQUIRE(read);
    if (!streamed || !read) return;
    REQUIRE(::truncate(path.c_str(), 300) == 0);
    float values[6] = {};
    CHECK(code_of(streamed->find("tied")->copy_to(std::span<float>(values))) == errc::truncated);
    CHECK(code_of(streamed->verify_checksums()) == errc::truncated);
    CHECK(code_of(read->find("tied")->copy_to(std::span<float>(values))) == errc{});
    CHECK(values[5] == 6);
  }

  TEST_CASE("R2: a mapped file that is replaced by rename stays as it was") {
    const stet_test::temp_folder folder;
    const auto file = stet_test::mixed_store();
    const std::string path = folder.write("m.stet", file.bytes);
    const auto store = stet::open(path);
    REQUIRE(store);
    if (!store) return;
    const std::string other = folder.write("new", native_file({stet_test::tensor_of<float>("x", {1}, {1})}).bytes);
    std::error_code failure;
    std::filesystem::rename(other, path, failure);
    CHECK(stet_test::elements_of<float>(store->find("tied"))[5] == 6);
    CHECK(code_of(store->verify_checksums()) == errc{});
    CHECK(stet::open(path).value().tensor_count() == 1);
  }
#endif
}
