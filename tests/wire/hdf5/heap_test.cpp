// SPDX-License-Identifier: MIT
// Fractal heaps and global heaps: objects by their ids, and ids that lead nowhere.
#include <stet/wire/hdf5/heap.hpp>

#include "support/allocations.hpp"
#include "support/hdf5_bytes.hpp"
#include "support/outcome.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace stet_test;
using stet::detail::fractal_heap;
using stet::detail::global_heap;

namespace {

struct heap_header {
  std::uint16_t filter_size = 0;
  std::uint8_t flags = 2;
  std::uint32_t max_object = 100;
  std::uint16_t width = 2;
  std::uint64_t start_size = 64, max_direct_size = 128;
  std::uint16_t bits = 16;
  std::uint64_t root = 0;
  std::uint16_t rows = 0;
  std::uint16_t id_size = 7;
  std::uint64_t huge_tree = hdf5_bytes::nowhere;
  /// The filter pipeline message, and of a root that is a direct block, its size in the file and its mask.
  std::string filters = {};
  std::uint64_t root_size = 0;
  std::uint32_t root_mask = 0;
};

/// Undoes a filter that a test made: what the pipeline message says is added to each byte, unless the mask leaves it out.
stet::result<void> subtract(std::span<const std::byte> pipeline, std::uint32_t mask, std::span<const std::byte> stored,
                            std::span<std::byte> into, stet::inflate_function) {
  if (stored.size() != into.size()) return stet::errc::bad_compression;
  const int number = (mask & 1) != 0 ? 0 : static_cast<int>(pipeline[0]);
  for (std::size_t i = 0; i < stored.size(); ++i)
    into[i] = static_cast<std::byte>(static_cast<int>(stored[i]) - number);
  return {};
}
std::string plus_each(std::string text, int number) {
  for (char& each : text) each = static_cast<char>(each + number);
  return text;
}

struct made_heap : hdf5_bytes {
  /// Where the header is, which blocks name as their owner: behind the superblock.
  static constexpr std::uint64_t header_at = 48, blocks_at = header_at + 146;
  /// The same in a heap with a filter pipeline message of one byte.
  static constexpr std::uint64_t filtered_blocks_at = blocks_at + 13;

  explicit made_heap(const heap_header& is) {
    raw("FRHP").u8(0).u16(is.id_size).u16(is.filter_size + is.filters.size()).u8(is.flags).u32(is.max_object);
    zeros(8).u64(is.huge_tree).zeros(80).u16(is.width);
    u64(is.start_size).u64(is.max_direct_size).u16(is.bits).u16(1).u64(is.root).u16(is.rows);
    if (!is.filters.empty()) u64(is.root_size).u32(is.root_mask).raw(is.filters);
    seal(header_at);
  }
  /// A B-tree of one leaf, `record_size` bytes a record; its address.
  std::uint64_t tree(std::uint8_t type, std::size_t record_size, const std::string& records) {
    const std::uint64_t leaf = size(), count = records.size() / record_size;
    raw("BTLF").u8(0).u8(type).raw(records).seal(leaf);
    const std::uint64_t at = size();
    raw("BTHD")
        .u8(0)
        .u8(type)
        .u32(4096)
        .u16(record_size)
        .u16(0)
        .u8(100)
        .u8(40)
        .u64(leaf)
        .u16(count)
        .u64(count)
        .seal(at);
    return at;
  }
  /// A direct block that begins at `offset` of the heap; its text from byte 19 of it on.
  /// @param filter  is added to each byte
  made_heap& direct(std::uint64_t offset, std::size_t block_size, std::string text, bool is_sound = true,
                    int filter = 0) {
    hdf5_fields block;
    block.raw("FHDB").u8(0).u64(header_at).u16(offset);
    const std::string before = block.text();
    text.resize(block_size - before.size() - 4);
    const std::uint32_t checksum = checksum_of(before + std::string(4, '\0') + text);
    raw(plus_each(hdf5_fields().raw(before).u32(is_sound ? checksum : checksum + 1).raw(text), filter));
    return *this;
  }
  made_heap& indirect(std::uint64_t offset, std::initializer_list<std::uint64_t> children) {
    const std::uint64_t at = size();
    raw("FHIB").u8(0).u64(header_at).u16(offset);
    for (const std::uint64_t each : children) u64(each);
    seal(at);
    return *this;
  }

  /// The object with this id, or the error.
  [[nodiscard]] std::string find(const std::string& id, std::uint64_t at = header_at,
                                 stet::detail::hdf5_undo_filters undo = subtract) const {
    opened_hdf5 opened(file());
    if (!opened.file) return outcome(opened.file);
    opened.file->read_filters_with(undo, nullptr);
    auto heap = fractal_heap::open(*opened.file, at);
    if (!heap) return outcome(heap);
    const exact_text bytes(id);
    const auto found = heap->find(bytes.bytes());
    return found ? std::string(reinterpret_cast<const char*>(found->data()), found->size()) : outcome(found);
  }
};

std::string id_of(std::uint64_t offset, std::uint64_t size, std::uint8_t first = 0) {
  return hdf5_fields().u8(first).u16(offset).u8(size);
}

std::string open_heap(const heap_header& is) { return made_heap(is).find(hdf5_fields().u8(0x20).raw("x")); }

struct made_collection : hdf5_bytes {
  explicit made_collection(std::uint64_t size_bytes) { raw("GCOL").u8(1).zeros(3).u64(size_bytes); }
  made_collection& add(std::uint16_t number, std::string_view text) {
    u16(number).u16(1).u32(0).u64(text.size()).raw(text).zeros((8 - text.size() % 8) % 8);
    return *this;
  }
  [[nodiscard]] std::string find(std::uint32_t number, std::uint64_t size_bytes, std::uint64_t at = root) const {
    opened_hdf5 opened(file());
    std::span<const std::byte> found;
    if (!opened.file || !global_heap(*opened.file).find(at, number, size_bytes, found)) return "no";
    return {reinterpret_cast<const char*>(found.data()), found.size()};
  }
};

} // namespace

TEST_SUITE("wire/hdf5/heap") {
  TEST_CASE("objects of a heap that is one block") {
    heap_header header;
    header.root = made_heap::blocks_at;
    made_heap heap(header);
    heap.direct(0, 64, "oneAND");
    CHECK(heap.find(id_of(19, 3)) == "one");
    CHECK(heap.find(id_of(22, 3)) == "AND");
    CHECK(heap.find(id_of(64, 0)).empty());
    CHECK(heap.find(id_of(18, 3)) == "bad_hdf5");  // in the frame
    CHECK(heap.find(id_of(19, 46)) == "bad_hdf5"); // beyond the block
    CHECK(heap.find(id_of(65, 0)) == "bad_hdf5");
    CHECK(heap.find(hdf5_fields().u8(0).u8(19)) == "bad_hdf5"); // an id that ends early
    CHECK(heap.find(id_of(19, 3, 0x10)) == "bad_hdf5");         // huge, of which there are none
    CHECK(heap.find(id_of(19, 3, 0x30)) == "bad_hdf5");
    CHECK(heap.find(id_of(19, 3, 0x40)) == "bad_hdf5");           // another version
    CHECK(heap.find(hdf5_fields().u8(0x22).raw("abc")) == "abc"); // tiny: the id itself
    CHECK(heap.find(hdf5_fields().u8(0x23).raw("abc")) == "bad_hdf5");
    CHECK(heap.find("") == "bad_hdf5");
  }

  TEST_CASE("objects of a heap with rows of blocks") {
    // Rows 0 and 1 are of 64 bytes, row 2 of 128, row 3 of 256: too large for direct blocks of 128, so
    // indirect.
    heap_header header;
    header.root = made_heap::blocks_at;
    header.rows = 4;
    made_heap heap(header);
    const std::uint64_t blocks = made_heap::blocks_at + 15 + 8 * 8 + 4, inner = blocks + 64 * 2 + 128;
    constexpr std::uint64_t nowhere = hdf5_bytes::nowhere;
    heap.indirect(0, {blocks, nowhere, nowhere, blocks + 64, nowhere, blocks + 128, inner, inner});
    heap.direct(0, 64, "first").direct(192, 64, "second").direct(384, 128, "third");
    const std::uint64_t deep = inner + 15 + 4 * 8 + 4;
    heap.indirect(512, {deep, nowhere, nowhere, nowhere});
    heap.direct(512, 64, "deep");
    CHECK(heap.find(id_of(19, 5)) == "first");
    CHECK(heap.find(id_of(192 + 19, 6)) == "second");
    CHECK(heap.find(id_of(384 + 19, 5)) == "third");
    CHECK(heap.find(id_of(512 + 19, 4)) == "deep");
    CHECK(heap.find(id_of(64 + 19, 1)) == "bad_hdf5"); // a block that was never made
    CHECK(heap.find(id_of(60000, 1)) == "bad_hdf5");   // beyond the rows
  }

  TEST_CASE("damaged heaps are refused") {
    heap_header header;
    REQUIRE(open_heap(header) == "x");
    CHECK(open_heap({.filter_size = 4}) == "bad_hdf5"); // the header is too short for filters
    CHECK(open_heap({.id_size = 0}) == "bad_hdf5");
    CHECK(open_heap({.width = 0}) == "bad_hdf5");
    CHECK(open_heap({.width = 3}) == "bad_hdf5");
    CHECK(open_heap({.start_size = 0}) == "bad_hdf5");
    CHECK(open_heap({.start_size = 65}) == "bad_hdf5");
    CHECK(open_heap({.start_size = 256}) == "bad_hdf5");
    CHECK(open_heap({.max_direct_size = std::uint64_t{1} << 63}) == "bad_hdf5");
    CHECK(open_heap({.bits = 0}) == "bad_hdf5");
    CHECK(open_heap({.bits = 65}) == "bad_hdf5");
    CHECK(open_heap({.rows = 65}) == "bad_hdf5");
    CHECK(made_heap(header).find("x", 49) == "bad_hdf5");

    header.root = made_heap::blocks_at;
    CHECK(made_heap(header).direct(0, 64, "one", false).find(id_of(19, 3)) == "bad_hdf5"); // its checksum
    heap_header unchecked = header;
    unchecked.flags = 0;
    CHECK(made_heap(unchecked).direct(0, 64, "one", false).find(id_of(19, 3)) == "one");
    CHECK(made_heap(header).direct(0, 60, "one").find(id_of(19, 3)) == "bad_hdf5"); // it ends with the file
    heap_header outside = header;
    outside.root = 1 << 20;
    CHECK(made_heap(outside).find(id_of(19, 3)) == "bad_hdf5");
    made_heap foreign(header);
    foreign.raw("FHDB").u8(0).u64(1234).zeros(60);
    CHECK(foreign.find(id_of(19, 3)) == "bad_hdf5");
  }

  TEST_CASE("objects too large for a block, by their keys") {
    constexpr std::uint64_t text_at = made_heap::blocks_at;
    const auto record = [](std::uint64_t address, std::uint64_t size, std::uint64_t key) {
      return hdf5_fields().u64(address).u64(size).u64(key).text();
    };
    const std::string records = record(text_at, 5, 1) + record(text_at + 5, 6, 2) + record(text_at, 1 << 20, 3) +
                                record(~std::uint64_t{0}, 2, 4);
    const auto make = [&](std::uint8_t type, std::size_t record_size) {
      made_heap heap({.huge_tree = text_at + 11 + 10 + records.size()});
      heap.raw("first").raw("second");
      REQUIRE(heap.tree(type, record_size, records) == text_at + 11 + 10 + records.size());
      return heap;
    };
    const auto key = [](std::uint64_t number, std::size_t size = 6) {
      return hdf5_fields().u8(0x10).sized(number, size).text();
    };
    const made_heap heap = make(1, 24);
    CHECK(heap.find(key(1)) == "first");
    CHECK(heap.find(key(2)) == "second");
    CHECK(heap.find(key(3)) == "bad_hdf5"); // beyond the file
    CHECK(heap.find(key(4)) == "bad_hdf5");
    CHECK(heap.find(key(5)) == "bad_hdf5"); // not in the tree
    CHECK(heap.find(key(1, 5)) == "bad_hdf5");
    CHECK(make(2, 24).find(key(1)) == "bad_hdf5"); // of filtered objects
    CHECK(make(1, 16).find(key(1)) == "bad_hdf5");
  }

  TEST_CASE("objects too large for a block, where their ids say") {
    constexpr std::uint64_t text_at = made_heap::blocks_at;
    made_heap heap({.id_size = 17});
    heap.raw("text");
    const auto place = [](std::uint64_t address, std::uint64_t size) {
      return hdf5_fields().u8(0x10).u64(address).u64(size).text();
    };
    CHECK(heap.find(place(text_at, 4)) == "text");
    CHECK(heap.find(place(text_at + 1, 2)) == "ex");
    CHECK(heap.find(place(text_at, 5)) == "bad_hdf5");
    CHECK(heap.find(place(hdf5_bytes::nowhere, 5)) == "bad_hdf5");
    CHECK(heap.find(place(text_at, 4).substr(0, 16)) == "bad_hdf5");
  }

  TEST_CASE("blocks and large objects that went through filters") {
    const std::string filter(1, '\3');
    constexpr std::uint64_t blocks_at = made_heap::filtered_blocks_at;
    heap_header header;
    header.filters = filter;
    header.root = blocks_at;
    header.root_size = 64;
    made_heap one(header);
    one.direct(0, 64, "one", true, 3);
    CHECK(one.find(id_of(19, 3)) == "one");
    CHECK(one.find(id_of(19, 46)) == "bad_hdf5");
    CHECK(one.find(id_of(19, 3), made_heap::header_at, nullptr) == "unsupported");
    CHECK(made_heap(header).direct(0, 64, "one", false, 3).find(id_of(19, 3)) == "bad_hdf5");
    CHECK(made_heap(header).direct(0, 64, "one", true, 4).find(id_of(19, 3)) == "bad_hdf5");
    heap_header changed = header;
    changed.root_mask = 1;
    CHECK(made_heap(changed).direct(0, 64, "one").find(id_of(19, 3)) == "one");
    changed = header;
    changed.root_size = 63;
    CHECK(made_heap(changed).direct(0, 64, "one", true, 3).find(id_of(19, 3)) == "bad_compression");
    changed.root_size = 1 << 20;
    CHECK(made_heap(changed).direct(0, 64, "one", true, 3).find(id_of(19, 3)) == "bad_hdf5");
    // A block that would be larger than the file justifies is not even made.
    changed = header;
    changed.start_size = changed.max_direct_size = std::uint64_t{1} << 30;
    const allocations made;
    CHECK(made_heap(changed).direct(0, 64, "one", true, 3).find(id_of(19, 3)) == "bad_hdf5");
    CHECK(made.largest_bytes() < 1 << 16);

    // Rows: an entry of a direct block has its size and its mask, too.
    heap_header deep = header;
    deep.rows = 4;
    made_heap rows(deep);
    const std::uint64_t first = blocks_at + 15 + 6 * 20 + 2 * 8 + 4, inner = first + 64 + 128,
                        last = inner + 15 + 4 * 20 + 4;
    const auto entry = [](std::uint64_t address, std::uint64_t size, std::uint32_t mask = 0) {
      return hdf5_fields().u64(address).u64(size).u32(mask).text();
    };
    const std::string none = entry(hdf5_bytes::nowhere, 0);
    const auto indirect = [&](std::uint64_t offset, const std::string& entries) {
      const std::uint64_t at = rows.size();
      rows.raw("FHIB").u8(0).u64(made_heap::header_at).u16(offset).raw(entries).seal(at);
    };
    indirect(0, entry(first, 64) + none + none + none + none + entry(first + 64, 128, 1) +
                    hdf5_fields().u64(inner).u64(inner).text());
    rows.direct(0, 64, "first", true, 3).direct(384, 128, "second");
    indirect(512, entry(last, 64) + none + none + none);
    rows.direct(512, 64, "deep", true, 3);
    CHECK(rows.find(id_of(19, 5)) == "first");
    CHECK(rows.find(id_of(384 + 19, 6)) == "second");
    CHECK(rows.find(id_of(512 + 19, 4)) == "deep");
    CHECK(rows.find(id_of(64 + 19, 1)) == "bad_hdf5");

    // Large objects, by a key and by a place.
    const std::string stored = plus_each("large", 3);
    const auto place = [&](std::uint64_t size) { return hdf5_fields().u64(blocks_at).u64(5).u32(0).u64(size).text(); };
    heap_header keys = header;
    const std::string record = place(5) + hdf5_fields().u64(7).text();
    keys.huge_tree = blocks_at + stored.size() + 10 + record.size();
    made_heap by_key(keys);
    by_key.raw(stored);
    REQUIRE(by_key.tree(2, 36, record) == keys.huge_tree);
    CHECK(by_key.find(hdf5_fields().u8(0x10).sized(7, 6)) == "large");
    CHECK(by_key.find(hdf5_fields().u8(0x10).sized(8, 6)) == "bad_hdf5");
    heap_header places = header;
    places.id_size = 29;
    made_heap by_place(places);
    by_place.raw(stored);
    CHECK(by_place.find(hdf5_fields().u8(0x10).raw(place(5))) == "large");
    CHECK(by_place.find(hdf5_fields().u8(0x10).raw(place(6))) == "bad_compression");
    CHECK(by_place.find(hdf5_fields().u8(0x10).raw(place(std::uint64_t{1} << 40))) == "bad_hdf5");
  }

  TEST_CASE("indirect blocks that lead to themselves end in an error") {
    heap_header header;
    header.root = made_heap::blocks_at;
    header.rows = 4;
    made_heap heap(header);
    heap.indirect(0, {0, 0, 0, 0, 0, 0, header.root, header.root});
    CHECK(heap.find(id_of(512 + 19, 4)) == "bad_hdf5");
    // Every size at its greatest: nothing may wrap.
    heap_header wide = header;
    wide.width = 0x8000;
    wide.start_size = wide.max_direct_size = std::uint64_t{1} << 32;
    wide.rows = 64;
    wide.bits = 64;
    made_heap wrapping(wide);
    wrapping.zeros(64);
    CHECK(wrapping.find(hdf5_fields().u8(0).u64(~std::uint64_t{0}).u8(1)) == "bad_hdf5");
  }

  TEST_CASE("objects of a global heap") {
    made_collection made(16 + 24 + 16 + 32);
    made.add(2, "two").add(1, "").add(7, "sevenseven");
    CHECK(made.find(2, 3) == "two");
    CHECK(made.find(2, 1) == "t");
    CHECK(made.find(1, 0).empty());
    CHECK(made.find(7, 10) == "sevenseven");
    CHECK(made.find(2, 4) == "no");
    CHECK(made.find(3, 0) == "no");
    CHECK(made.find(0, 0) == "no");
    CHECK(made.find(2, 3, 49) == "no");
    CHECK(made.find(2, 3, hdf5_bytes::nowhere) == "no");
  }

  TEST_CASE("free space ends a global heap") {
    made_collection made(16 + 24 + 24);
    made.add(1, "one").add(0, "12345678");
    CHECK(made.find(1, 3) == "one");
    CHECK(made.find(0, 0) == "no");
  }

  TEST_CASE("damaged global heaps have no objects") {
    CHECK(made_collection(16 + 24).add(1, "one").find(1, 3) == "one");
    CHECK(made_collection(16 + 32).add(1, "one").find(1, 3) == "no"); // longer than the file
    CHECK(made_collection(~std::uint64_t{0}).add(1, "one").find(1, 3) == "no");
    CHECK(made_collection(15).add(1, "one").find(1, 3) == "no");
    CHECK(made_collection(0).add(1, "one").find(1, 3) == "no");
    made_collection lies(32);
    lies.u16(1).u16(0).u32(0).u64(~std::uint64_t{0} - 6);
    CHECK(lies.find(1, 0) == "no");
  }

  TEST_CASE("a collection is read once for a file") {
    made_collection made(16 + 24);
    made.add(1, "one");
    opened_hdf5 opened(made.file());
    REQUIRE(opened.file);
    if (!opened.file) return;
    std::span<const std::byte> found;
    for (int i = 0; i < 100000; ++i) {
      global_heap heap(*opened.file);
      REQUIRE(heap.find(48, 1, 3, found));
    }
  }
}
