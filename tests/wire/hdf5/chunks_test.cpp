// SPDX-License-Identifier: MIT
// Indexes of chunks of all six kinds, and indexes that lie.
#include <stet/wire/hdf5/chunks.hpp>

#include "support/hdf5_bytes.hpp"
#include "support/outcome.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace stet_test;
using stet::detail::hdf5_chunk_index;
using stet::detail::hdf5_layout;
using stet::detail::hdf5_space;
using stet::detail::hdf5_storage;

namespace {

constexpr std::uint64_t nowhere = hdf5_bytes::nowhere, unlimited = hdf5_space::unlimited;

/// A dataset of bytes in chunks of 4 along each axis.
struct dataset {
  std::initializer_list<std::uint64_t> shape;
  hdf5_chunk_index index;
  std::uint64_t address;
  bool is_filtered = false;
  std::initializer_list<std::uint64_t> limits = {};
  std::uint64_t chunk = 4;
};

/// "0@100+4 2@104+4": number, address and size of the chunks, and their mask where there is one; or the
/// error.
std::string list_chunks(const hdf5_bytes& made, const dataset& is, void (*change)(hdf5_layout&) = nullptr) {
  opened_hdf5 opened(made.file());
  if (!opened.file) return outcome(opened.file);
  hdf5_layout layout;
  layout.storage = hdf5_storage::chunked;
  layout.index = is.index;
  layout.address = is.address;
  layout.rank = static_cast<std::uint8_t>(is.shape.size());
  hdf5_space space;
  space.rank = layout.rank;
  std::uint64_t size = 1;
  for (std::size_t axis = 0; axis < space.rank; ++axis) {
    space.extents[axis] = is.shape.begin()[axis];
    space.limits[axis] = is.limits.size() != 0 ? is.limits.begin()[axis] : space.extents[axis];
    layout.chunk[axis] = is.chunk;
    size *= is.chunk;
  }
  if (change != nullptr) change(layout);
  const auto chunks = stet::detail::read_chunks(*opened.file, layout, space, size, is.is_filtered);
  if (!chunks) return outcome(chunks);
  std::string text;
  for (const auto& each : *chunks) {
    text.append(text.empty() ? "" : " ")
        .append(std::to_string(each.number))
        .append("@")
        .append(std::to_string(each.address));
    text.append("+").append(std::to_string(each.size_bytes)).append(each.mask != 0 ? "!" : "");
  }
  return text;
}

/// A file with 100 bytes of data at 48 and whatever follows.
struct made_index : hdf5_bytes {
  made_index() { zeros(100); }
  struct entry {
    std::uint64_t offset, address;
    std::uint32_t size = 4, mask = 0;
  };
  std::uint64_t tree(std::uint8_t level, std::initializer_list<entry> entries, std::uint8_t type = 1, int count = -1) {
    const std::uint64_t at = size();
    raw("TREE")
        .u8(type)
        .u8(level)
        .u16(count < 0 ? entries.size() : static_cast<std::uint64_t>(count))
        .u64(nowhere)
        .u64(nowhere);
    for (const entry& each : entries) u32(each.size).u32(each.mask).u64(each.offset).u64(0).u64(each.address);
    u32(0).u32(0).u64(100).u64(0);
    return at;
  }
  std::uint64_t fixed_array(std::uint64_t count, std::initializer_list<std::uint64_t> addresses,
                            std::uint8_t element_size = 8, std::uint8_t page_bits = 10,
                            std::uint64_t owner_offset = 0) {
    const std::uint64_t at = size(), block = at + 28;
    raw("FAHD").u8(0).u8(0).u8(element_size).u8(page_bits).u64(count).u64(block).seal(at);
    raw("FADB").u8(0).u8(0).u64(at + owner_offset);
    for (const std::uint64_t each : addresses) u64(each);
    seal(block);
    return at;
  }
};

const auto btree1 = hdf5_chunk_index::btree1, single = hdf5_chunk_index::single, implicit = hdf5_chunk_index::implicit,
           fixed = hdf5_chunk_index::fixed_array, extensible = hdf5_chunk_index::extensible_array,
           btree2 = hdf5_chunk_index::btree2;

} // namespace

TEST_SUITE("wire/hdf5/chunks") {
  TEST_CASE("a dataset that has no index has no chunks") {
    CHECK(list_chunks(made_index(), {{10}, btree1, nowhere}).empty());
  }

  TEST_CASE("version 1 B-trees") {
    made_index made;
    const std::uint64_t a = made.tree(0, {{0, 48}, {4, 52}}), b = made.tree(0, {{8, 56}});
    CHECK(list_chunks(made, {{10}, btree1, a}) == "0@48+4 1@52+4");
    CHECK(list_chunks(made, {{10}, btree1, made.tree(1, {{0, a}, {8, b}})}) == "0@48+4 1@52+4 2@56+4");
    CHECK(list_chunks(made, {{10}, btree1, made.tree(0, {{4, 60, 9, 1}, {0, 48, 3}}), true}) == "0@48+3 1@60+9!");
    // What lies beyond the extents is left over from when they were larger.
    CHECK(list_chunks(made, {{10}, btree1, made.tree(0, {{0, 48}, {12, 52}})}) == "0@48+4");
  }

  TEST_CASE("version 1 B-trees that lie are refused") {
    made_index made;
    const auto of = [&](std::uint64_t at) { return list_chunks(made, {{10}, btree1, at}); };
    const std::uint64_t leaf = made.tree(0, {{0, 48}});
    REQUIRE(of(leaf) == "0@48+4");
    CHECK(of(made.tree(0, {{0, 48, 5}})) == "bad_hdf5");       // not as long as a chunk
    CHECK(of(made.tree(0, {{1, 48}})) == "bad_hdf5");          // between chunks
    CHECK(of(made.tree(0, {{0, 48}, {0, 52}})) == "bad_hdf5"); // twice
    CHECK(of(made.tree(0, {{0, 48}, {4, 51}})) == "bad_hdf5"); // bytes of another
    CHECK(of(made.tree(0, {{0, 1 << 20}})) == "bad_hdf5");     // out of the file
    CHECK(of(made.tree(0, {{0, nowhere - 1}})) == "bad_hdf5");
    CHECK(of(made.tree(0, {{0, 48}}, 0)) == "bad_hdf5");         // of a group
    CHECK(of(made.tree(0, {{0, 48}}, 1, 0xFFFF)) == "bad_hdf5"); // more than are there
    CHECK(of(made.tree(2, {{0, leaf}})) == "bad_hdf5");          // a level left out
    CHECK(of(made.tree(1, {{0, made.size()}})) == "bad_hdf5");   // itself
    CHECK(of(made.tree(33, {{0, leaf}})) == "bad_hdf5");
    CHECK(of(48) == "bad_hdf5");
    CHECK(of(1 << 20) == "bad_hdf5");
    std::uint64_t below = leaf;
    for (std::uint8_t level = 1; level <= 20; ++level)
      below = made.tree(level, {{0, below}, {4, below}, {8, below}}); // 3^20 visits if nobody counted
    CHECK(of(below) == "bad_hdf5");
  }

  TEST_CASE("a single chunk") {
    made_index made;
    CHECK(list_chunks(made, {{4}, single, 48}) == "0@48+4");
    CHECK(list_chunks(made, {{3}, single, 48, true},
                      [](hdf5_layout& is) { is.single_size_bytes = 7, is.single_mask = 2; }) == "0@48+7!");
    CHECK(list_chunks(made, {{5}, single, 48}) == "bad_hdf5"); // which are two
    CHECK(list_chunks(made, {{4}, single, 145}) == "bad_hdf5");
    CHECK(list_chunks(made, {{4}, single, 48}, [](hdf5_layout& is) { is.single_size_bytes = 7; }) == "bad_hdf5");
    CHECK(list_chunks(made, {{4, 4}, single, 48}, [](hdf5_layout& is) { is.rank = 1; }) == "bad_hdf5");
  }

  TEST_CASE("chunks one after the other") {
    made_index made;
    CHECK(list_chunks(made, {{5, 4}, implicit, 48}) == "0@48+16 1@64+16");
    CHECK(list_chunks(made, {{5}, implicit, 48, false, {9}}) == "0@48+4 1@52+4"); // and one that it may grow to
    CHECK(list_chunks(made, {{5}, implicit, 48, true}) == "bad_hdf5");
    // A grid of 2 x 1 in one of 2 x 3, and of 1 x 2 in one of 2 x 3.
    CHECK(list_chunks(made, {{5, 4}, implicit, 48, false, {8, 12}}) == "0@48+16 1@96+16");
    CHECK(list_chunks(made, {{4, 8}, implicit, 48, false, {8, 12}}) == "0@48+16 1@64+16");
    CHECK(list_chunks(made, {{0, 8}, implicit, 48, false, {8, 12}}).empty());
    CHECK(list_chunks(made, {{100}, implicit, 49}) == "bad_hdf5");
    CHECK(list_chunks(made, {{std::uint64_t{1} << 62}, implicit, 48}) == "bad_hdf5");
    CHECK(list_chunks(made, {{std::uint64_t{1} << 40, std::uint64_t{1} << 40}, implicit, 48}) == "bad_hdf5");
    CHECK(list_chunks(made, {{5}, implicit, 48, false, {unlimited}}) == "bad_hdf5");
  }

  TEST_CASE("chunks beyond the extents cost nothing, however many datasets could grow to them") {
    // A million chunks of one byte, of which each of a thousand datasets has one.
    hdf5_bytes made;
    made.zeros(1 << 20);
    opened_hdf5 opened(made.file());
    REQUIRE(opened.file);
    if (!opened.file) return;
    std::size_t found = 0;
    for (int i = 0; i < 100000; ++i) {
      hdf5_layout layout;
      layout.storage = hdf5_storage::chunked;
      layout.index = implicit;
      layout.address = 48;
      layout.rank = 1;
      layout.chunk[0] = 1;
      hdf5_space space;
      space.rank = 1;
      space.extents[0] = 1;
      space.limits[0] = 1 << 20;
      const auto chunks = stet::detail::read_chunks(*opened.file, layout, space, 1, false);
      found += chunks ? chunks->size() : 0;
    }
    CHECK(found == 100000);
    // Those within the extents are charged: the same million, read again and again, ends.
    int reads = 0;
    for (bool is_read = true; is_read && reads < 100; ++reads) {
      hdf5_layout layout;
      layout.storage = hdf5_storage::chunked;
      layout.index = implicit;
      layout.address = 48;
      layout.rank = 1;
      layout.chunk[0] = 1;
      hdf5_space space;
      space.rank = 1;
      space.extents[0] = space.limits[0] = 1 << 20;
      is_read = bool(stet::detail::read_chunks(*opened.file, layout, space, 1, false));
    }
    CHECK(reads < 3);
  }

  TEST_CASE("fixed arrays, whole and in pages") {
    made_index made;
    CHECK(list_chunks(made, {{9}, fixed, made.fixed_array(3, {48, nowhere, 56})}) == "0@48+4 2@56+4");
    made_index none;
    const std::uint64_t header = none.size();
    none.raw("FAHD").u8(0).u8(0).u8(8).u8(10).u64(3).u64(nowhere).seal(header);
    CHECK(list_chunks(none, {{9}, fixed, header}).empty());

    // Pages of 2: the second was never written.
    made_index paged;
    const std::uint64_t at = paged.size(), block = at + 28;
    paged.raw("FAHD").u8(0).u8(0).u8(8).u8(1).u64(5).u64(block).seal(at);
    paged.raw("FADB").u8(0).u8(0).u64(at).u8(0xA0).seal(block);
    std::uint64_t page = paged.size();
    paged.u64(48).u64(52).seal(page);
    paged.zeros(20);
    page = paged.size();
    paged.u64(64).seal(page);
    CHECK(list_chunks(paged, {{20}, fixed, at}) == "0@48+4 1@52+4 4@64+4");

    made_index filtered;
    const std::uint64_t start = filtered.size(), data = start + 28;
    filtered.raw("FAHD").u8(0).u8(1).u8(14).u8(10).u64(2).u64(data).seal(start);
    filtered.raw("FADB").u8(0).u8(1).u64(start).u64(48).u16(7).u32(0).u64(60).u16(9).u32(1).seal(data);
    CHECK(list_chunks(filtered, {{8}, fixed, start, true}) == "0@48+7 1@60+9!");
    CHECK(list_chunks(filtered, {{8}, fixed, start}) == "bad_hdf5");
  }

  TEST_CASE("fixed arrays that lie are refused") {
    const auto of = [](std::uint64_t count, std::initializer_list<std::uint64_t> addresses,
                       std::uint8_t element_size = 8, std::uint8_t page_bits = 10, std::uint64_t owner_offset = 0) {
      made_index made;
      const std::uint64_t at = made.fixed_array(count, addresses, element_size, page_bits, owner_offset);
      return list_chunks(made, {{8}, fixed, at});
    };
    REQUIRE(of(2, {48, 52}) == "0@48+4 1@52+4");
    CHECK(of(3, {48, 52}) == "bad_hdf5");
    CHECK(of(1 << 30, {48, 52}) == "bad_hdf5");
    CHECK(of(~std::uint64_t{0}, {48, 52}) == "bad_hdf5");
    CHECK(of(2, {48, 52}, 7) == "bad_hdf5");
    CHECK(of(2, {48, 52}, 0) == "bad_hdf5");
    CHECK(of(2, {48, 52}, 8, 32) == "bad_hdf5");
    CHECK(of(2, {48, 52}, 8, 0) == "bad_hdf5");     // pages, and there are none
    CHECK(of(2, {48, 52}, 8, 10, 1) == "bad_hdf5"); // a block of another array
    CHECK(of(2, {48, 1 << 20}) == "bad_hdf5");
    CHECK(of(2, {48, 48}) == "bad_hdf5");
  }

  TEST_CASE("extensible arrays: elements in the index block, in data blocks, and behind secondary blocks") {
    // 1 element in the index; data blocks of 1, 2, 2 … elements, the first two pointed at by the index.
    made_index made;
    const std::uint64_t at = made.size(), index = at + 72;
    constexpr std::uint64_t first_super = 2, supers = 8 - first_super + 1;
    const std::uint64_t data = index + 14 + 8 + 2 * 8 + supers * 8 + 4;
    made.raw("EAHD").u8(0).u8(0).u8(8).u8(8).u8(1).u8(1).u8(2).u8(10).zeros(48).u64(index).seal(at);
    const std::uint64_t second = data + 14 + 1 + 8 + 4, super = second + 14 + 1 + 16 + 4,
                        last = super + 14 + 1 + 2 * 8 + 4;
    made.raw("EAIB").u8(0).u8(0).u64(at).u64(48).u64(data).u64(second).u64(super);
    for (std::uint64_t i = 1; i < supers; ++i) made.u64(nowhere);
    made.seal(index);
    made.raw("EADB").u8(0).u8(0).u64(at).u8(0).u64(52).seal(data);
    made.raw("EADB").u8(0).u8(0).u64(at).u8(1).u64(56).u64(nowhere).seal(second);
    made.raw("EASB").u8(0).u8(0).u64(at).u8(3).u64(nowhere).u64(last).seal(super);
    made.raw("EADB").u8(0).u8(0).u64(at).u8(5).u64(60).u64(64).seal(last);
    CHECK(list_chunks(made, {{100}, extensible, at, false, {unlimited}}) == "0@48+4 1@52+4 2@56+4 6@60+4 7@64+4");
    CHECK(list_chunks(made, {{100}, extensible, at}) == "bad_hdf5"); // which cannot grow
    CHECK(list_chunks(made, {{100}, extensible, at, true, {unlimited}}) == "bad_hdf5");
    CHECK(list_chunks(made, {{100}, extensible, at + 1, false, {unlimited}}) == "bad_hdf5");
  }

  TEST_CASE("extensible arrays with pages: the bits of all data blocks follow one another") {
    // Pages of 2. Secondary block 3 has two data blocks of 4 elements, from 8 and from 12 on: bits 0 and 1, 2 and 3.
    const auto list_with_bits = [](std::uint8_t bits) {
      made_index made;
      const std::uint64_t at = made.size(), index = at + 72;
      constexpr std::uint64_t supers = 7;
      const std::uint64_t super = index + 14 + 8 + 2 * 8 + supers * 8 + 4, first = super + 14 + 1 + 2 + 2 * 8 + 4,
                          page_size = 2 * 8 + 4, second = first + 14 + 1 + 4 + 2 * page_size;
      made.raw("EAHD").u8(0).u8(0).u8(8).u8(8).u8(1).u8(1).u8(2).u8(1).zeros(48).u64(index).seal(at);
      made.raw("EAIB").u8(0).u8(0).u64(at).u64(nowhere).u64(nowhere).u64(nowhere).u64(nowhere).u64(super);
      for (std::uint64_t i = 2; i < supers; ++i) made.u64(nowhere);
      made.seal(index);
      made.raw("EASB").u8(0).u8(0).u64(at).u8(7).u8(bits).u8(0).u64(first).u64(second).seal(super);
      std::uint64_t data = 48;
      for (const std::uint64_t block : {first, second}) {
        made.raw("EADB").u8(0).u8(0).u64(at).u8(7).seal(block);
        for (int page = 0; page < 2; ++page, data += 8) {
          const std::uint64_t begin = made.size();
          made.u64(data).u64(data + 4).seal(begin);
        }
      }
      return list_chunks(made, {{64}, extensible, at, false, {unlimited}});
    };
    CHECK(list_with_bits(0xF0) == "8@48+4 9@52+4 10@56+4 11@60+4 12@64+4 13@68+4 14@72+4 15@76+4");
    CHECK(list_with_bits(0x60) == "10@56+4 11@60+4 12@64+4 13@68+4");
    CHECK(list_with_bits(0x10) == "14@72+4 15@76+4");
  }

  TEST_CASE("extensible arrays that lie are refused") {
    const auto of = [](std::uint8_t element_size, std::uint8_t bits, std::uint8_t in_index, std::uint8_t elements,
                       std::uint8_t blocks, std::uint8_t page_bits) {
      made_index made;
      const std::uint64_t at = made.size(), index = at + 72;
      made.raw("EAHD")
          .u8(0)
          .u8(0)
          .u8(element_size)
          .u8(bits)
          .u8(in_index)
          .u8(elements)
          .u8(blocks)
          .u8(page_bits)
          .zeros(48)
          .u64(index)
          .seal(at);
      made.raw("EAIB").u8(0).u8(0).u64(at).u64(48);
      for (int i = 0; i < 2 + 7; ++i) made.u64(nowhere);
      made.seal(index);
      return list_chunks(made, {{8}, extensible, at, false, {unlimited}});
    };
    REQUIRE(of(8, 8, 1, 1, 2, 10) == "0@48+4");
    CHECK(of(9, 8, 1, 1, 2, 10) == "bad_hdf5");
    CHECK(of(8, 64, 1, 1, 2, 10) == "bad_hdf5");
    CHECK(of(8, 63, 1, 1, 2, 10) == "bad_hdf5");
    CHECK(of(8, 8, 2, 1, 2, 10) == "bad_hdf5");
    CHECK(of(8, 8, 255, 1, 2, 10) == "bad_hdf5");
    CHECK(of(8, 8, 1, 0, 2, 10) == "bad_hdf5");
    CHECK(of(8, 8, 1, 3, 2, 10) == "bad_hdf5");
    CHECK(of(8, 8, 1, 1, 0, 10) == "bad_hdf5");
    CHECK(of(8, 8, 1, 1, 3, 10) == "bad_hdf5");
    CHECK(of(8, 8, 1, 1, 2, 32) == "bad_hdf5");
    CHECK(of(8, 0, 1, 2, 2, 10) == "bad_hdf5"); // fewer bits than the least block takes
  }

  TEST_CASE("version 2 B-trees") {
    const auto tree = [](hdf5_bytes& made, std::uint8_t type, std::uint16_t record_size, std::uint16_t count,
                         std::string_view records) {
      const std::uint64_t leaf = made.size();
      made.raw("BTLF").u8(0).u8(type).raw(records).seal(leaf);
      const std::uint64_t at = made.size();
      made.raw("BTHD")
          .u8(0)
          .u8(type)
          .u32(512)
          .u16(record_size)
          .u16(0)
          .u8(100)
          .u8(40)
          .u64(leaf)
          .u16(count)
          .u64(count)
          .seal(at);
      return at;
    };
    made_index plain;
    const std::string records = hdf5_fields().u64(48).u64(0).u64(1).u64(64).u64(1).u64(0).u64(80).u64(7).u64(0);
    const std::uint64_t at = tree(plain, 10, 24, 3, records);
    CHECK(list_chunks(plain, {{8, 8}, btree2, at, false, {unlimited, unlimited}}) == "1@48+16 2@64+16");
    CHECK(list_chunks(plain, {{8, 8}, btree2, at, true, {unlimited, unlimited}}) == "bad_hdf5");
    CHECK(list_chunks(plain, {{8, 8, 8}, btree2, at}) == "bad_hdf5"); // records too short for the rank
    made_index filtered;
    const std::uint64_t other = tree(filtered, 11, 8 + 2 + 4 + 8, 1, hdf5_fields().u64(48).u16(9).u32(1).u64(1).text());
    CHECK(list_chunks(filtered, {{8}, btree2, other, true, {unlimited}}) == "1@48+9!");
  }

  TEST_CASE("grids that do not fit are refused") {
    made_index made;
    const std::uint64_t huge = std::uint64_t{1} << 63;
    CHECK(list_chunks(made, {{huge, huge}, btree1, made.tree(0, {{0, 48}})}) == "bad_hdf5");
    CHECK(list_chunks(made, {{huge, huge, 0}, btree1, 48}) == "bad_hdf5");
  }
}
