// SPDX-License-Identifier: MIT
// HDF5 files as they are planned: byte for byte, groups of any size, attributes, alignment, and what is
// refused.
#include <stet/wire/hdf5/writer.hpp>

#include "support/outcome.hpp"

#include <stet/wire/hdf5.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace detail = stet::detail;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/// The file with the data of each dataset filled with its number.
std::string whole(const detail::hdf5_writer& planned, const std::vector<std::pair<std::size_t, std::string>>& data) {
  std::string file = planned.head();
  file.resize(static_cast<std::size_t>(planned.size_bytes()));
  for (const auto& [object, bytes] : data)
    file.replace(static_cast<std::size_t>(planned.data_address(object)), bytes.size(), bytes);
  return file;
}

std::string hex(std::string_view bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string made;
  for (const char each : bytes) {
    made += digits[static_cast<unsigned char>(each) >> 4];
    made += digits[static_cast<unsigned char>(each) & 15];
  }
  return made;
}

/// The address of the object at a path; 0 if there is none.
std::uint64_t find(detail::hdf5_file& file, std::string_view path) {
  std::uint64_t at = file.root();
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    const auto object = detail::hdf5_object::read(file, at);
    if (!object) return 0;
    const auto links = detail::read_links(file, *object);
    if (!links) return 0;
    at = 0;
    for (const auto& link : *links) {
      if (link.name == path.substr(0, slash)) at = link.address;
    }
    if (at == 0) return 0;
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return at;
}

constexpr std::array<std::uint64_t, 1> two{2};

} // namespace

TEST_SUITE("hdf5_writer") {
  TEST_CASE("a file of one dataset, byte for byte") {
    detail::hdf5_writer out;
    const auto made = out.dataset(out.root, "x", detail::hdf5_type_of(stet::dtype::float32), two, 8, 8);
    REQUIRE(made);
    REQUIRE(out.plan(0));
    if (!made) return;
    const std::string file = whole(out, {{*made, std::string("\0\0\x80\x3f\0\0\0\x40", 8)}});
    CHECK(out.data_address(*made) == 0x4c0);
    REQUIRE(file.size() == 0x4c8);
    const std::string zero8(16, '0'), ones8(16, 'f');
    // superblock: versions, sizes of 8, ranks 4 and 16; base, free space, end, driver; the root's entry
    CHECK(hex(file.substr(0, 96)) == "894844460d0a1a0a00000000000808000400100000000000" + zero8 + ones8 +
                                         "c804000000000000" + ones8 + zero8 + "7004000000000000" + "0100000000000000" +
                                         "5002000000000000" + "d800000000000000");
    // the dataset's header: dataspace [2], float32, fill value, contiguous at 0x4c0, 8 bytes
    CHECK(hex(file.substr(96, 120)) == "01000400010000006800000000000000"
                                       "01001000000000000101000000000000"
                                       "0200000000000000"
                                       "03001800010000001120"
                                       "1f000400000000002000170800177f00000000000000"
                                       "05000800000000000202020100000000"
                                       "08001800000000000301"
                                       "c0040000000000000800000000000000000000000000");
  }

  TEST_CASE("the rest of it: heap, symbol table, tree, header of the root") {
    detail::hdf5_writer out;
    const auto made = out.dataset(out.root, "x", detail::hdf5_type_of(stet::dtype::uint8), {}, 0, 0);
    REQUIRE(made);
    REQUIRE(out.plan(0));
    const std::string& file = out.head();
    CHECK(out.size_bytes() == file.size());
    const std::size_t heap = file.find("HEAP"), symbols = file.find("SNOD"), tree = file.find("TREE");
    REQUIRE(tree != std::string::npos);
    CHECK(hex(file.substr(heap, 48)) ==
          "4845415000000000"
          "1000000000000000"
          "0100000000000000" +
              hex(std::string{static_cast<char>(heap + 32), static_cast<char>((heap + 32) >> 8), 0, 0, 0, 0, 0, 0}) +
              "0000000000000000"
              "7800000000000000");
    CHECK(symbols == heap + 48);
    CHECK(hex(file.substr(symbols, 24)) == "534e4f4401000100"
                                           "0800000000000000"
                                           "6000000000000000");
    CHECK(tree == symbols + 328);
    CHECK(hex(file.substr(tree, 24)) == "5452454500000100ffffffffffffffffffffffffffffffff");
    CHECK(file.size() == tree + 544 + 16 + 24);
  }

  TEST_CASE("data begins at multiples of 64 of the file around it, in the order of adding") {
    for (const std::uint64_t base : {0u, 1u, 63u, 64u, 1000u}) {
      CAPTURE(base);
      detail::hdf5_writer out;
      std::vector<std::size_t> made;
      std::uint64_t count = 0;
      for (const char* path : {"b", "a/c", "a/b/d", "a/b/empty", "e"}) {
        const std::uint64_t size = std::string_view(path) == "a/b/empty" ? 0 : ++count * 7;
        const auto added =
            out.dataset(out.root, path, detail::hdf5_type_of(stet::dtype::int8), std::span(&size, 1), size, size);
        REQUIRE_MESSAGE(added, path);
        if (added && size != 0) made.push_back(*added);
      }
      REQUIRE(out.plan(base));
      std::uint64_t end = out.head().size();
      for (std::size_t i = 0; i < made.size(); ++i) {
        const std::uint64_t at = out.data_address(made[i]);
        CHECK((base + at) % 64 == 0);
        CHECK(at >= end);
        CHECK(at - end < 64);
        end = at + (i + 1) * 7;
      }
      CHECK(out.size_bytes() == end);
      auto file = detail::hdf5_file::open(bytes_of(whole(out, {})));
      CHECK(file);
    }
  }

  TEST_CASE("groups of any size are found member by member") {
    for (const std::size_t count : {0u, 1u, 8u, 9u, 256u, 257u, 8193u}) {
      CAPTURE(count);
      detail::hdf5_writer out;
      REQUIRE(out.group(out.root, "all"));
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t extent = i;
        REQUIRE(out.dataset(out.root, "all/" + std::to_string(i * 7919 % 100003),
                            detail::hdf5_type_of(stet::dtype::int64), std::span(&extent, 1), 0, 0));
      }
      REQUIRE(out.plan(0));
      const std::string bytes = whole(out, {});
      auto file = detail::hdf5_file::open(bytes_of(bytes));
      REQUIRE(file);
      if (!file) return;
      const auto group = detail::hdf5_object::read(*file, find(*file, "all"));
      REQUIRE(group);
      if (!group) return;
      const auto links = detail::read_links(*file, *group);
      REQUIRE(links);
      if (!links) return;
      CHECK(links->size() == count);
      for (std::size_t i = 1; i < links->size(); ++i) CHECK((*links)[i - 1].name < (*links)[i].name);
    }
  }

  TEST_CASE("attributes: strings and lists of strings, of any size") {
    detail::hdf5_writer out;
    const auto group = out.group(out.root, "a/b");
    REQUIRE(group);
    if (!group) return;
    const std::string large(3'000'000, 'x');
    std::vector<std::string> many;
    for (int i = 0; i < 4032; ++i) many.push_back("name " + std::to_string(i));
    out.attribute(out.root, "json", large);
    out.attribute(*group, "none", std::string());
    CHECK(out.attribute(*group, "list", std::vector<std::string>{"a", "", "é"}));
    CHECK(out.attribute(*group, "no list", std::vector<std::string>{}));
    CHECK(out.attribute(*group, "many", many));
    many.emplace_back("one too many");
    CHECK(stet_test::outcome(out.attribute(*group, "more", many)) == "too_large");
    many.pop_back();
    REQUIRE(out.plan(0));
    const std::string bytes = whole(out, {});
    auto file = detail::hdf5_file::open(bytes_of(bytes));
    REQUIRE(file);
    if (!file) return;
    const auto texts_of = [&](std::string_view path, std::string_view name) {
      std::vector<std::string> made{"(missing)"};
      const auto object = detail::hdf5_object::read(*file, find(*file, path));
      if (!object) return made;
      const auto attributes = detail::read_attributes(*file, *object);
      if (!attributes) return made;
      for (const auto& each : *attributes) {
        if (each.name != name) continue;
        if (const auto texts = detail::read_strings(*file, each)) made.assign(texts->begin(), texts->end());
      }
      return made;
    };
    CHECK(texts_of("", "json") == std::vector<std::string>{large});
    CHECK(texts_of("a/b", "none") == std::vector<std::string>{""});
    CHECK(texts_of("a/b", "list") == std::vector<std::string>{"a", "", "é"});
    CHECK(texts_of("a/b", "no list").empty());
    CHECK(texts_of("a/b", "many") == many);
  }

  TEST_CASE("the heap of strings: collections of 65535 at most, padded as the format wants") {
    for (const std::size_t count : {1u, 65535u, 65536u, 200'000u}) {
      CAPTURE(count);
      std::vector<std::string> texts(count);
      detail::hdf5_string_heap heap;
      for (std::size_t i = 0; i < count; ++i) {
        texts[i] = i % 3 == 0 ? "" : std::string(i % 11, 't');
        heap.add(texts[i].size());
      }
      std::string references, collections;
      const auto into = [](std::string& text) {
        return [&text](std::string_view piece) {
          text += piece;
          return true;
        };
      };
      CHECK(heap.write_references(texts, 1000, into(references)));
      CHECK(heap.write_collections(texts, into(collections)));
      CHECK(references.size() == count * 16);
      CHECK(collections.size() == heap.size_bytes());
      CHECK(collections.size() % 8 == 0);
    }
    detail::hdf5_string_heap nothing;
    nothing.add(0);
    CHECK(nothing.size_bytes() == 0);
    for (std::uint64_t size = 4000; size < 4090; size += 8) { // about the least size of a collection
      detail::hdf5_string_heap heap;
      heap.add(size);
      CHECK(heap.size_bytes() >= 4096);
      CHECK(heap.size_bytes() - 32 - size != 8);
    }
  }

  TEST_CASE("names that no link can have, and names twice, are refused") {
    detail::hdf5_writer out;
    const std::string type = detail::hdf5_type_of(stet::dtype::int8);
    const auto added = [&](std::string_view path) {
      return stet_test::outcome(out.dataset(out.root, path, type, {}, 1, 1));
    };
    CHECK(added("a") == "ok");
    CHECK(added("a") == "duplicate_name");
    CHECK(added("a/b") == "duplicate_name");
    CHECK(added("g/b") == "ok");
    CHECK(added("g") == "duplicate_name");
    for (const std::string_view bad :
         {std::string_view(""), std::string_view("/x"), std::string_view("g//x"), std::string_view("g/"),
          std::string_view("."), std::string_view("../x"), std::string_view("n\0x", 3)}) {
      CHECK(added(bad) == "bad_name");
    }
    CHECK(stet_test::outcome(out.group(out.root, "a")) == "duplicate_name");
    const std::vector<std::uint64_t> most(32, 1), more(33, 1);
    CHECK(stet_test::outcome(out.dataset(out.root, "r32", type, most, 1, 1)) == "ok");
    CHECK(stet_test::outcome(out.dataset(out.root, "r33", type, more, 1, 1)) == "bad_shape");
    CHECK(stet_test::outcome(out.dataset(out.root, "huge", type, {}, ~0ull - 63, ~0ull - 63)) == "ok");
    CHECK(stet_test::outcome(out.plan(0)) == "too_large");
  }

  TEST_CASE("every dtype that HDF5 has a word for") {
    std::size_t count = 0;
    for (const stet::dtype_description& row : stet::dtype_table) {
      const std::string type = detail::hdf5_type_of(row.dtype);
      if (type.empty()) continue;
      ++count;
      detail::hdf5_type parsed;
      CHECK(parsed.parse(bytes_of(type)));
      if (row.dtype != stet::dtype::string) CHECK(parsed.size_bytes * 8 == row.bits);
    }
    CHECK(count == 23);
  }
}
