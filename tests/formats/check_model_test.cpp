// SPDX-License-Identifier: MIT
#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>
#include <stet/formats/check_model.hpp>
#include <stet/writer.hpp>

#include "support/keras_files.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

TEST_SUITE("formats/check_model") {
  TEST_CASE("a bit that changed in a stored member of an archive is found by the archive's CRC-32") {
    const stet_test::temp_folder folder;
    std::string bytes = stet_test::keras_archive().bytes();
    const std::string sound = folder.write("sound.keras", bytes);
    {
      const auto opened = stet::compiled::open_any(sound);
      REQUIRE(opened);
      REQUIRE(opened->checks.size() == 3);
      CHECK(stet::check_ranges(*opened));
    }
    const auto whole = stet::compiled::open_any(sound);
    REQUIRE(whole);
    const auto bias = whole->store.find("probe/bias");
    REQUIRE(bias);
    const std::uint64_t at = bias->entry().offset_bytes();
    bytes[static_cast<std::size_t>(at)] = static_cast<char>(bytes[static_cast<std::size_t>(at)] ^ 1);
    const std::string damaged = folder.write("damaged.keras", bytes);
    for (const stet::backing how : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
      stet::open_options options;
      options.backing = how;
      const auto opened = stet::compiled::open_any(damaged, options);
      REQUIRE(opened);
      const auto checked = stet::check_ranges(*opened);
      REQUIRE(!checked);
      CHECK(checked.error().code() == stet::errc::checksum_mismatch);
      CHECK(checked.error().subject() == "model.weights.h5");
    }
  }

  TEST_CASE("deflated members of an archive are compared with its CRC-32, too") {
    const stet_test::temp_folder folder;
    stet_test::made_archive archive;
    for (const auto& each : stet_test::keras_archive().members) {
      const std::string text = each.data;
      archive.members.emplace_back(each.local.name, 8, stet_test::deflated(text),
                                   static_cast<std::uint32_t>(text.size()));
      archive.members.back().local.crc32 = archive.members.back().central.crc32 = stet_test::zip_crc32(text);
    }
    archive.members.emplace_back("assets/words.txt", 8, stet_test::deflated("words"), 5);
    stet_test::made_member& words = archive.members.back();
    words.local.crc32 = words.central.crc32 = stet_test::zip_crc32("words");
    stet::open_options options;
    options.inflate = stet_test::inflate_stored;
    const auto check = [&](stet::backing how) {
      options.backing = how;
      const auto opened = stet::compiled::open_any(folder.write("m.keras", archive.bytes()), options);
      REQUIRE(opened);
      CHECK(opened->checks.size() == 3); // the weights are compared when they are opened
      const auto bias = opened->store.find("probe/bias");
      REQUIRE(bias);
      CHECK(stet::check_tensor(*opened, *bias)); // which are in none of these
      stet::writer copy;
      const auto checked = stet::check_ranges(*opened), added = stet::compiled::add_model(copy, *opened);
      CHECK(bool(added) == bool(checked));
      return checked ? std::string("ok")
                     : std::string(stet::describe(checked.error().code()).name) + " " +
                           std::string(checked.error().subject());
    };
    for (const stet::backing how : {stet::backing::map, stet::backing::stream}) CHECK(check(how) == "ok");
    words.data[6] ^= 1;
    for (const stet::backing how : {stet::backing::map, stet::backing::stream})
      CHECK(check(how) == "checksum_mismatch assets/words.txt");
    words.data[3] ^= 1;
    CHECK(check(stet::backing::map) == "bad_compression assets/words.txt");
  }

  TEST_CASE("a range of a file that is streamed is read in pieces") {
    std::string bytes(600'000, 'a');
    class slow final : public stet::byte_reader {
    public:
      explicit slow(const std::string& of) : of_(of) {}
      [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return of_.size(); }
      [[nodiscard]] stet::result<void> read(std::uint64_t offset_bytes,
                                            std::span<std::byte> into) const noexcept override {
        std::memcpy(into.data(), of_.data() + offset_bytes, into.size());
        return {};
      }

    private:
      const std::string& of_;
    };
    stet::store_builder builder;
    stet::result<stet::source> file = stet::source::keep(slow(bytes));
    REQUIRE(file);
    builder.add_file("file", std::move(*file));
    const std::uint32_t right = stet::crc32(std::as_bytes(std::span(bytes)).subspan(7, 590'000));
    builder.add_check({0, 7, 590'000, right, "member"});
    const auto made = stet::finish_model(builder);
    REQUIRE(made);
    CHECK(stet::check_ranges(*made));
    bytes[599'000] = 'b'; // outside
    CHECK(stet::check_ranges(*made));
    bytes[590'006] = 'b'; // its last byte
    CHECK(stet::check_ranges(*made).error().code() == stet::errc::checksum_mismatch);
  }

  TEST_CASE("a SHA-1 digest of a file is compared, in memory and streamed") {
    const stet_test::temp_folder folder;
    const auto check = [&](stet::backing how, std::string_view bytes) {
      const std::string path = folder.write("weights.bin", bytes);
      stet::result<stet::source> file = stet::detail::open_source(path, {.backing = how});
      REQUIRE(file);
      stet::store_builder builder;
      builder.add_file("weights.bin", std::move(*file));
      stet::range_check range;
      range.size_bytes = 3;
      range.name = "weights.bin";
      stet::sha1 digest;
      digest.update(std::as_bytes(std::span("abc", 3)));
      range.sha1 = digest.finish();
      builder.add_check(std::move(range));
      const auto made = stet::finish_model(builder);
      REQUIRE(made);
      return stet::check_ranges(*made) ? std::string("ok") : std::string(stet::check_ranges(*made).error().subject());
    };
    for (const stet::backing how : {stet::backing::map, stet::backing::stream}) {
      CHECK(check(how, "abc") == "ok");
      CHECK(check(how, "abd") == "weights.bin");
    }
  }

  TEST_CASE("an archive whose weights lie between thousands of assets is one of Keras") {
    const stet_test::temp_folder folder;
    stet_test::made_archive archive;
    const stet_test::made_archive usual = stet_test::keras_archive();
    const auto add_assets = [&](const char* name) {
      for (int i = 0; i < 1000; ++i) {
        archive.members.push_back(stet_test::made_member(std::string("assets/") + name + std::to_string(i), "asset"));
      }
    };
    add_assets("a");
    archive.members.insert(archive.members.end(), usual.members.begin(), usual.members.end());
    add_assets("b");
    const auto opened = stet::compiled::open_any(folder.write("m.keras", archive.bytes()));
    REQUIRE(opened);
    CHECK(opened->format->name == "keras-v3");
    CHECK(opened->checks.size() == 2003);
    CHECK(stet::check_ranges(*opened));
    const auto alone = stet::compiled::open_any(folder.write("alone.keras", usual.bytes()));
    REQUIRE(alone);
    CHECK(opened->store.tensor_count() == alone->store.tensor_count());
    for (const stet::tensor expected : alone->store) {
      const auto found = opened->store.find(expected.name());
      REQUIRE(found);
      CHECK(found->size_bytes() != 0);
      CHECK(std::equal(found->bytes().begin(), found->bytes().end(), expected.bytes().begin(), expected.bytes().end()));
    }
  }
}
