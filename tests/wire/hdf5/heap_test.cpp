// SPDX-License-Identifier: MIT
// Fractal heaps and global heaps: objects by their ids, and ids that lead nowhere.
#include <stet/wire/hdf5/heap.hpp>

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
};

struct made_heap : hdf5_bytes {
  /// Where the header is, which blocks name as their owner: behind the superblock.
  static constexpr std::uint64_t header_at = 48, blocks_at = header_at + 146;

  explicit made_heap(const heap_header& is) {
    raw("FRHP").u8(0).u16(7).u16(is.filter_size).u8(is.flags).u32(is.max_object).zeros(96).u16(is.width);
    u64(is.start_size).u64(is.max_direct_size).u16(is.bits).u16(1).u64(is.root).u16(is.rows).seal(header_at);
  }
  /// A direct block that begins at `offset` of the heap; its text from byte 19 of it on.
  made_heap& direct(std::uint64_t offset, std::size_t block_size, std::string text, bool is_sound = true) {
    hdf5_fields block;
    block.raw("FHDB").u8(0).u64(header_at).u16(offset);
    const std::string before = block.text();
    text.resize(block_size - before.size() - 4);
    const std::uint32_t checksum = checksum_of(before + std::string(4, '\0') + text);
    raw(before).u32(is_sound ? checksum : checksum + 1).raw(text);
    return *this;
  }
  made_heap& indirect(std::uint64_t offset, std::initializer_list<std::uint64_t> children) {
    const std::uint64_t at = size();
    raw("FHIB").u8(0).u64(header_at).u16(offset);
    for (const std::uint64_t each : children)
      u64(each);
    seal(at);
    return *this;
  }

  /// The object with this id, or the error.
  [[nodiscard]] std::string find(const std::string& id, std::uint64_t at = header_at) const {
    opened_hdf5 opened(file());
    if (!opened.file)
      return outcome(opened.file);
    auto heap = fractal_heap::open(*opened.file, at);
    if (!heap)
      return outcome(heap);
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
  [[nodiscard]] std::string find(std::uint32_t number, std::uint64_t size_bytes,
                                 std::uint64_t at = root) const {
    opened_hdf5 opened(file());
    std::span<const std::byte> found;
    if (!opened.file || !global_heap(*opened.file).find(at, number, size_bytes, found))
      return "no";
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
    CHECK(heap.find(id_of(19, 3, 0x10)) == "unsupported");      // huge
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
    CHECK(open_heap({.filter_size = 4}) == "unsupported");
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
    if (!opened.file)
      return;
    std::span<const std::byte> found;
    for (int i = 0; i < 100000; ++i) {
      global_heap heap(*opened.file);
      REQUIRE(heap.find(48, 1, 3, found));
    }
  }
}
