// SPDX-License-Identifier: MIT
// Version 2 B-trees: records in order, and trees that are damaged or turn in circles.
#include <stet/wire/hdf5/btree2.hpp>

#include "support/hdf5_bytes.hpp"
#include "support/outcome.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace stet_test;

namespace {

constexpr std::uint8_t record_type = 5;

/// A tree with nodes of 64 bytes, in which records are of 8.
struct made_tree : hdf5_bytes {
  std::uint64_t leaf(std::string_view records) {
    const std::uint64_t at = size();
    raw("BTLF").u8(0).u8(record_type).raw(records).seal(at);
    return at;
  }
  struct child {
    std::uint64_t address, count;
  };
  std::uint64_t inner(std::string_view records, std::initializer_list<child> children, std::size_t size_of_total = 0) {
    const std::uint64_t at = size();
    raw("BTIN").u8(0).u8(record_type).raw(records);
    for (const child& each : children) u64(each.address).u8(each.count).sized(0, size_of_total);
    seal(at);
    return at;
  }
  std::uint64_t header(std::uint64_t root_node, std::uint64_t count, std::uint64_t depth, std::uint64_t total,
                       std::uint32_t node_size = 64, std::uint16_t record_size = 8) {
    const std::uint64_t at = size();
    raw("BTHD").u8(0).u8(record_type).u32(node_size).u16(record_size).u16(depth).u8(100).u8(40);
    u64(root_node).u16(count).u64(total).seal(at);
    return at;
  }
};

/// The records of the tree, or the error.
std::string read_tree(const made_tree& made, std::uint64_t header, std::uint8_t expected = record_type,
                      std::size_t least = 8) {
  opened_hdf5 opened(made.file());
  if (!opened.file) return outcome(opened.file);
  const auto records = stet::detail::btree2_reader(*opened.file).run(header, expected, least);
  if (!records) return outcome(records);
  std::string text;
  for (const auto& each : *records) text.append(reinterpret_cast<const char*>(each.data()), each.size());
  return text;
}

} // namespace

TEST_SUITE("wire/hdf5/btree2") {
  TEST_CASE("records come in order, from leaves and from between them") {
    made_tree leaf;
    CHECK(read_tree(leaf, leaf.header(leaf.leaf("11111111"), 1, 0, 1)) == "11111111");
    made_tree empty;
    CHECK(read_tree(empty, empty.header(hdf5_bytes::nowhere, 0, 0, 0)).empty());
    made_tree two;
    const std::uint64_t a = two.leaf("11111111"), b = two.leaf("3333333344444444");
    CHECK(read_tree(two, two.header(two.inner("22222222", {{a, 1}, {b, 2}}), 1, 1, 4)) ==
          "11111111222222223333333344444444");
    made_tree three;
    const std::uint64_t c = three.leaf("11111111"), d = three.leaf("33333333");
    const std::uint64_t inner = three.inner("22222222", {{c, 1}, {d, 1}}), last = three.leaf("55555555");
    const std::uint64_t other = three.inner("", {{last, 1}});
    CHECK(read_tree(three, three.header(three.inner("44444444", {{inner, 1}, {other, 0}}, 1), 1, 2, 5)) ==
          "1111111122222222333333334444444455555555");
  }

  TEST_CASE("damaged headers are refused") {
    const auto header = [](std::uint64_t count, std::uint64_t depth, std::uint64_t total, std::uint32_t node_size = 64,
                           std::uint16_t record_size = 8) {
      made_tree made;
      const std::uint64_t leaf = made.leaf("11111111");
      return read_tree(made, made.header(leaf, count, depth, total, node_size, record_size));
    };
    REQUIRE(header(1, 0, 1) == "11111111");
    CHECK(header(1, 0, 2) == "bad_hdf5");                 // fewer records than it says
    CHECK(header(1, 0, 0) == "bad_hdf5");                 // more
    CHECK(header(1, 0, ~std::uint64_t{0}) == "bad_hdf5"); // more than the file can hold
    CHECK(header(2, 0, 2) == "bad_hdf5");                 // a leaf that ends too early
    CHECK(header(7, 0, 7) == "bad_hdf5");                 // more than a node holds
    CHECK(header(1, 1, 1) == "bad_hdf5");                 // a leaf where an inner node should be
    CHECK(header(1, 16, 1) == "bad_hdf5");                // too deep
    CHECK(header(1, 0xFFFF, 1) == "bad_hdf5");
    CHECK(header(1, 0, 1, 17) == "bad_hdf5"); // nodes without room for a record
    CHECK(header(1, 0, 1, 0) == "bad_hdf5");
    CHECK(header(1, 0, 1, 64, 0) == "bad_hdf5");
    made_tree made;
    const std::uint64_t at = made.header(made.leaf("11111111"), 1, 0, 1);
    CHECK(read_tree(made, at, record_type + 1) == "bad_hdf5"); // a tree of something else
    CHECK(read_tree(made, at, record_type, 9) == "bad_hdf5");  // records too short for what they should be
    CHECK(read_tree(made, at + 1) == "bad_hdf5");
    CHECK(read_tree(made, hdf5_bytes::nowhere) == "bad_hdf5");
    made_tree out;
    CHECK(read_tree(out, out.header(1 << 20, 1, 0, 1)) == "bad_hdf5");
  }

  TEST_CASE("a node that is damaged or of another tree is refused") {
    made_tree made;
    const std::uint64_t leaf = made.size();
    made.raw("BTLF").u8(0).u8(record_type + 1).raw("11111111").seal(leaf);
    CHECK(read_tree(made, made.header(leaf, 1, 0, 1)) == "bad_hdf5");
    made_tree version;
    version.raw("BTLF").u8(1).u8(record_type).raw("11111111").seal(48);
    CHECK(read_tree(version, version.header(48, 1, 0, 1)) == "bad_hdf5");
    made_tree unsealed;
    unsealed.raw("BTLF").u8(0).u8(record_type).raw("11111111").u32(0);
    CHECK(read_tree(unsealed, unsealed.header(48, 1, 0, 1)) == "bad_hdf5");
  }

  TEST_CASE("nodes that lead to one another many times over end in an error") {
    // Inner nodes over one leaf, each with three times the same child: 3^12 visits if nobody counted.
    made_tree made;
    std::uint64_t at = made.leaf("11111111");
    at = made.inner("2222222222222222", {{at, 1}, {at, 1}, {at, 1}});
    for (int level = 0; level < 11; ++level)
      at = made.inner("2222222222222222", {{at, 2}, {at, 2}, {at, 2}}, level < 3 ? 1 : level < 8 ? 2 : 3);
    CHECK(read_tree(made, made.header(at, 2, 12, 100)) == "bad_hdf5");
    // An inner node that is its own child.
    made_tree circle;
    circle.inner("22222222", {{48, 1}, {48, 1}}, 1);
    CHECK(read_tree(circle, circle.header(48, 1, 2, 5)) == "bad_hdf5");
  }
}
