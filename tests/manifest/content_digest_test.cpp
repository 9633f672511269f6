// SPDX-License-Identifier: MIT
#include "support/temp_folder.hpp"

#include <stet/manifest/content_digest.hpp>
#include <stet/manifest/detail/digest_text.hpp>
#include <stet/store/open.hpp>
#include <stet/writer/writer.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

TEST_SUITE("manifest/content_digest") {
  TEST_CASE("it is the SHA-256 of the manifest and the index, from wherever the file is read") {
    const stet_test::temp_folder folder;
    std::vector<std::int32_t> elements = {1, 2, 3};
    stet::writer out;
    out.add("a", elements);
    REQUIRE(out.save(folder.path("a.stet")));
    const std::vector<std::byte> bytes = folder.read("a.stet");
    const auto header = stet::decode_header(std::span(bytes).first(stet::file_header::size_bytes), bytes.size());
    REQUIRE(header);
    stet::sha256 hash;
    hash.update(std::span(bytes).subspan(static_cast<std::size_t>(header->manifest_offset_bytes),
                                         static_cast<std::size_t>(header->manifest_size_bytes)));
    hash.update(std::span(bytes).subspan(static_cast<std::size_t>(header->index_offset_bytes),
                                         static_cast<std::size_t>(header->index_size_bytes)));
    const std::string expected = stet::detail::hex_of(hash.finish());
    for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
      stet::open_options options;
      options.backing = backing;
      const auto opened = stet::open(folder.path("a.stet"), options);
      REQUIRE(opened);
      CHECK(stet::detail::hex_of(stet::content_digest(*opened)) == expected);
    }
    // Other elements have another checksum, and so another digest.
    elements[2] = 4;
    REQUIRE(out.save(folder.path("a.stet")));
    CHECK(stet::detail::hex_of(stet::content_digest(stet::open(folder.path("a.stet")).value())) != expected);
  }

  TEST_CASE("only a native file that has a manifest and no index is without index") {
    stet::writer out, head;
    out.add("a", 1);
    const stet::shard_reference shards[] = {{"s.stet", {}}};
    head.set_shards(shards);
    const auto whole = out.save_to_memory(), listing = head.save_to_memory();
    REQUIRE(whole);
    REQUIRE(listing);
    const auto is_without = [](std::span<const std::byte> bytes) {
      return stet::detail::is_without_index(stet::source::borrow(bytes));
    };
    CHECK(!is_without(*whole));
    CHECK(is_without(*listing));
    for (std::size_t size = 0; size < listing->size(); size += 17) CHECK(!is_without(std::span(*listing).first(size)));
    std::vector<std::byte> damaged = *listing;
    damaged[50] ^= std::byte{1};
    CHECK(!is_without(damaged));
  }
}
