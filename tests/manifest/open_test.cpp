// SPDX-License-Identifier: MIT
#include "support/byte_order.hpp"
#include "support/outcome.hpp"
#include "support/own_files.hpp"
#include "support/temp_folder.hpp"

#include <stet/index/detail/encode_header.hpp>
#include <stet/manifest/open.hpp>
#include <stet/manifest/print.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace {

using stet::errc;
using stet_test::outcome;

constexpr std::string_view loose_manifest =
    R"({"stet":{"version":1,"minimum_reader":1},"alignment_bytes":8,"data":["a.bin",{"path":"b.bin","size_bytes":4}],)"
    R"("tensors":{"late":{"dtype":"int16","shape":[2],"offset_bytes":8,"size_bytes":4},)"
    R"("early":{"dtype":"uint8","shape":[3],"offset_bytes":0,"size_bytes":3},)"
    R"("other":{"dtype":"uint8","shape":[2,2],"offset_bytes":0,"size_bytes":4,"data":1}},"metadata":{"who":"me"}})";
constexpr char a_bytes[] = "abc\0\0\0\0\0\x01\x00\x02\x00";
constexpr std::string_view a_bin(a_bytes, 12), b_bin = "wxyz";

std::string with(std::string_view from, std::string_view to) {
  std::string text(loose_manifest);
  return text.replace(text.find(from), from.size(), to);
}

/// A native file without index.
std::vector<std::byte> native_file(std::string_view manifest, std::string_view data, std::uint32_t alignment_bytes) {
  stet::file_header header;
  header.alignment_bytes = alignment_bytes;
  header.manifest_size_bytes = manifest.size();
  header.data_size_bytes = data.size();
  header.manifest_crc32c = stet::crc32c(std::as_bytes(std::span(manifest)));
  REQUIRE(stet::place_sections(header));
  std::vector<std::byte> bytes(static_cast<std::size_t>(header.file_size_bytes));
  stet::encode_header(header, std::span(bytes).first<stet::file_header::size_bytes>());
  std::memcpy(bytes.data() + header.manifest_offset_bytes, manifest.data(), manifest.size());
  if (!data.empty()) std::memcpy(bytes.data() + header.data_offset_bytes, data.data(), data.size());
  return bytes;
}

constexpr stet::open_options by_manifest{.read_manifest = stet::read_manifest};

constexpr stet::backing every_backing[] = {stet::backing::map, stet::backing::read, stet::backing::stream};

std::string contents_of(const stet::store& store, std::string_view name) {
  const auto found = store.find(name);
  if (!found) return "not found";
  std::string bytes(static_cast<std::size_t>(found->size_bytes()), '\0');
  const auto read = found->read(0, std::as_writable_bytes(std::span(bytes)));
  return read ? bytes : "not read";
}

} // namespace

TEST_SUITE("manifest/open") {
  TEST_CASE("a loose store opens in every way") {
    const stet_test::temp_folder folder;
    const std::string path = folder.write("model.json", loose_manifest);
    folder.write("a.bin", a_bin);
    folder.write("b.bin", b_bin);
    for (const stet::backing backing : every_backing) {
      stet::open_options options = by_manifest;
      options.backing = backing;
      const auto store = stet::open(path, options);
      CHECK(outcome(store) == "ok");
      if (!store) continue;
      CHECK(store->tensor_count() == 3);
      CHECK(store->alignment_bytes() == 8);
      CHECK(store->manifest_text() == loose_manifest);
      CHECK((*store->begin()).name() == "late");
      CHECK(contents_of(*store, "early") == "abc");
      CHECK(contents_of(*store, "other") == "wxyz");
      CHECK(contents_of(*store, "late") == std::string("\x01\0\x02\0", 4));
      if (backing == stet::backing::stream) continue;
      CHECK(stet_test::elements_of<std::int16_t>(store->find("late")) == std::vector<std::int16_t>{1, 2});
    }
  }

  TEST_CASE("parts that are not as they should be") {
    const stet_test::temp_folder folder;
    const std::string path = folder.write("model.json", loose_manifest);
    CHECK(outcome(stet::open(path, by_manifest)) == "missing_part");
    folder.write("a.bin", a_bin);
    const auto missing = stet::open(path, by_manifest);
    REQUIRE_FALSE(missing);
    if (!missing) CHECK(missing.error().subject() == "b.bin");
    CHECK(outcome(missing) == "missing_part");
    folder.write("b.bin", "vwxyz");
    CHECK(outcome(stet::open(path, by_manifest)) == "part_size");
    folder.write("b.bin", "xyz");
    CHECK(outcome(stet::open(path, by_manifest)) == "part_size");
    folder.write("b.bin", b_bin);
    CHECK(outcome(stet::open(path, by_manifest)) == "ok");
    folder.write("a.bin", a_bin.substr(0, 11));
    CHECK(outcome(stet::open(path, by_manifest)) == "bad_offset");
    folder.write("a.bin", a_bin);
    folder.write("model.json", with(R"("size_bytes":4})", R"("size_bytes":4,"content_id":"0123456789abcdef"})"));
    CHECK(outcome(stet::open(path, by_manifest)) == "bad_offset");
    folder.write("model.json", with("a.bin", "../a.bin"));
    CHECK(outcome(stet::open(path, by_manifest)) == "bad_path");
    folder.write("model.json", with("a.bin", "b.bin"));
    CHECK(outcome(stet::open(path, by_manifest)) == "duplicate_part");
    folder.write("model.json", with("a.bin", "model.json"));
    CHECK(outcome(stet::open(path, by_manifest)) == "bad_path");
    folder.write("model.json", with(R"("offset_bytes":8)", R"("offset_bytes":9)"));
    CHECK(outcome(stet::open(path, by_manifest)) == "bad_offset");
    folder.write("model.json", with(R"("offset_bytes":8)", R"("offset_bytes":0)"));
    CHECK(outcome(stet::open(path, by_manifest)) == "overlap");
    folder.write("model.json", loose_manifest.substr(1));
    CHECK(outcome(stet::open(path, by_manifest)) == "wrong_type");
    CHECK(outcome(stet::open(folder.path("none.json"), by_manifest)) == "file_not_found");
    CHECK(outcome(stet::open(folder.path(), by_manifest)) == "not_a_regular_file");
  }

#if !defined(_WIN32)
  TEST_CASE("a part that is a link out of the folder is refused unless links may be followed") {
    const stet_test::temp_folder folder, elsewhere;
    const std::string path = folder.write("model.json", loose_manifest);
    folder.write("b.bin", b_bin);
    elsewhere.write("secret", a_bin);
    std::error_code failure;
    std::filesystem::create_symlink(stet_test::to_path(elsewhere.path("secret")),
                                    stet_test::to_path(folder.path("a.bin")), failure);
    REQUIRE_FALSE(failure);
    CHECK(outcome(stet::open(path, by_manifest)) == "bad_path");
    stet::open_options options = by_manifest;
    options.follow_links = true;
    CHECK(outcome(stet::open(path, options)) == "ok");
  }
#endif

  TEST_CASE("a native file without index opens through its manifest") {
    const std::string manifest = R"({"stet":{"version":1,"minimum_reader":1},"alignment_bytes":64,"tensors":{)"
                                 R"("t":{"dtype":"uint8","shape":[4],"offset_bytes":320,"size_bytes":4,"crc32c":")" +
                                 std::string("00000000") + R"("}}})";
    const auto bytes = native_file(manifest, "wxyz", 64);
    const auto data_offset = bytes.size() - 4;
    CHECK(data_offset == 320);
    CHECK(outcome(stet::open(std::span<const std::byte>(bytes))) == "no_index");
    const auto store = stet::open(std::span<const std::byte>(bytes), by_manifest);
    CHECK(outcome(store) == "ok");
    if (!store) return;
    CHECK(contents_of(*store, "t") == "wxyz");
    const auto tensor = store->find("t");
    REQUIRE(tensor);
    if (tensor) CHECK(tensor->bytes().data() == bytes.data() + 320);
    CHECK(store->manifest_text() == manifest);

    const stet_test::temp_folder folder;
    const std::string path = folder.write("model.stet", bytes);
    for (const stet::backing backing : every_backing) {
      stet::open_options options = by_manifest;
      options.backing = backing;
      const auto opened = stet::open(path, options);
      CHECK(outcome(opened) == "ok");
      if (opened) CHECK(contents_of(*opened, "t") == "wxyz");
      if (opened) CHECK(opened->manifest_text() == manifest);
    }
    CHECK(outcome(stet::open(std::span<const std::byte>(native_file(manifest, "wxyz", 32)), by_manifest)) ==
          "manifest_mismatch");
    auto damaged = bytes;
    damaged[130] ^= std::byte{1};
    CHECK(outcome(stet::open(std::span<const std::byte>(damaged), by_manifest)) == "manifest_checksum");
    damaged = bytes;
    damaged[100] ^= std::byte{1};
    CHECK(outcome(stet::open(std::span<const std::byte>(damaged), by_manifest)) == "header_checksum");
    damaged = bytes;
    damaged.pop_back();
    CHECK(outcome(stet::open(std::span<const std::byte>(damaged), by_manifest)) == "truncated");
  }

  TEST_CASE("a store without an index, and a loose one, open from a reader, a descriptor and the program's files") {
    const auto native = native_file(
        R"({"stet":{"version":1,"minimum_reader":1},"alignment_bytes":64,"tensors":{"t":{"dtype":"uint8","shape":[4],)"
        R"("offset_bytes":320,"size_bytes":4}}})",
        "wxyz", 64);
    for (const stet_test::given how : {stet_test::given::in_place, stet_test::given::on_demand}) {
      stet_test::own_files files(how);
      files.add("native", native);
      files.add("loose.json", std::as_bytes(std::span(loose_manifest)));
      files.add("a.bin", std::as_bytes(std::span(a_bin)));
      files.add("b.bin", std::as_bytes(std::span(b_bin)));
      stet::open_options options = by_manifest;
      options.files = &files;
      const auto own = stet::open("native", options);
      REQUIRE(own);
      CHECK(contents_of(*own, "t") == "wxyz");
      const auto loose = stet::open("loose.json", options);
      REQUIRE(loose);
      CHECK(contents_of(*loose, "other") == "wxyz");
      // Bytes without a name take their parts from the same files.
      const auto nameless = stet::open(std::as_bytes(std::span(loose_manifest)), options);
      REQUIRE(nameless);
      CHECK(contents_of(*nameless, "early") == "abc");
    }
    const stet_test::memory_reader reader(native);
    const auto read = stet::open(reader, by_manifest);
    REQUIRE(read);
    CHECK(contents_of(*read, "t") == "wxyz");

    const stet_test::temp_folder folder;
    const std::string path = folder.write("packed", native);
    auto opened = stet::file::open(path, stet::open_for::read);
    REQUIRE(opened);
    CHECK(outcome(stet::open(opened->handle())) == "no_index");
    const auto by_handle = stet::open(opened->handle(), by_manifest);
    REQUIRE(by_handle);
    CHECK(contents_of(*by_handle, "t") == "wxyz");
  }

  TEST_CASE("a manifest in memory has no parts to open") {
    const auto bytes = std::as_bytes(std::span(loose_manifest));
    CHECK(outcome(stet::open(bytes, by_manifest)) == "missing_part");
    const std::string_view empty = R"({"stet":{"version":1,"minimum_reader":1},"tensors":{}})";
    const auto store = stet::open(std::as_bytes(std::span(empty)), by_manifest);
    CHECK(outcome(store) == "ok");
    if (store) CHECK(store->tensor_count() == 0);
    CHECK(outcome(stet::open(std::span<const std::byte>(), by_manifest)) == "bad_json");
  }

  TEST_CASE("tensors of a manifest without data have no place") {
    const std::string_view text =
        R"({"stet":{"version":1,"minimum_reader":1},"tensors":{"t":{"dtype":"uint8","shape":[4],"offset_bytes":0,"size_bytes":4}}})";
    CHECK(outcome(stet::open(std::as_bytes(std::span(text)), by_manifest)) == "bad_offset");
  }

  TEST_CASE("a manifest over the limit is refused") {
    stet::manifest_limits limits;
    limits.size_bytes = 10;
    const auto bytes = std::as_bytes(std::span(loose_manifest));
    CHECK(outcome(stet::detail::open_by_manifest(stet::source::borrow(bytes), stet::detail::no_parts(), nullptr,
                                                 limits)) == "too_large");
  }
}
