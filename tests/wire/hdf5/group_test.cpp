// SPDX-License-Identifier: MIT
// Members of groups of all three kinds, and groups that are damaged.
#include <stet/wire/hdf5/group.hpp>

#include "support/hdf5_bytes.hpp"
#include "support/hdf5_files.hpp"
#include "support/outcome.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

using namespace stet_test;
using namespace stet_test::made_hdf5;
using stet::detail::hdf5_link_kind;
using stet::detail::hdf5_object;
using stet::detail::read_links;

namespace {

/// "a b(soft)": the members of the group at an address, or the error.
std::string list_links(std::string_view file, std::uint64_t at) {
  opened_hdf5 opened(file);
  if (!opened.file) return outcome(opened.file);
  const auto group = hdf5_object::read(*opened.file, at == 0 ? opened.file->root() : at);
  if (!group) return outcome(group);
  if (!stet::detail::is_hdf5_group(*group)) return "no group";
  const auto links = read_links(*opened.file, *group);
  if (!links) return outcome(links);
  std::string text;
  for (const auto& each : *links) {
    text.append(text.empty() ? "" : " ").append(each.name);
    text.append(each.kind == hdf5_link_kind::hard ? "" : each.kind == hdf5_link_kind::soft ? "(soft)" : "(other)");
  }
  return text;
}

std::string list_links(hdf5_bytes& made, std::initializer_list<made_message> messages) {
  const std::uint64_t at = made.object(messages);
  return list_links(made.file(at), at);
}
std::string list_links(std::initializer_list<made_message> messages) {
  hdf5_bytes made;
  return list_links(made, messages);
}

/// The address of the member `name` of the root.
std::uint64_t find_group(std::string_view file, std::string_view name) {
  opened_hdf5 opened(file);
  if (!opened.file) return 1;
  const auto found = stet::detail::find_object(*opened.file, {name});
  return found ? found->address() : 1;
}

/// A group as a symbol table with the names "a" and "bc", of which a test changes one thing.
struct made_symbols : hdf5_bytes {
  std::uint64_t names = 0, heap = 0, node = 0, tree = 0;
  struct changes {
    std::string_view tree_mark = "TREE", node_mark = "SNOD", heap_mark = "HEAP";
    std::uint64_t name = 3, names_size = 6, names_address = 0, child = 0;
    std::uint16_t symbols = 2, entries = 1;
    std::uint8_t tree_type = 0, level = 0;
    std::uint32_t kind = 0;
  };
  explicit made_symbols(const changes& is) {
    names = size();
    raw(std::string_view("\0a\0bc\0", 6)).zeros(2);
    heap = size();
    raw(is.heap_mark).u8(0).zeros(3).u64(is.names_size).u64(0).u64(is.names_address != 0 ? is.names_address : names);
    node = size();
    raw(is.node_mark).u8(1).u8(0).u16(is.symbols);
    u64(1).u64(800).u32(0).zeros(20).u64(is.name).u64(900).u32(is.kind).zeros(20);
    tree = size();
    raw(is.tree_mark).u8(is.tree_type).u8(is.level).u16(is.entries).u64(nowhere).u64(nowhere);
    u64(0).u64(is.child != 0 ? is.child : node).u64(3);
  }
};
std::string list_symbols(const made_symbols::changes& is) {
  made_symbols made(is);
  return list_links(made, {{is_symbol_table, hdf5_fields().u64(made.tree).u64(made.heap)}});
}

} // namespace

TEST_SUITE("wire/hdf5/group") {
  TEST_CASE("members of groups of every kind are listed by name, or as they were made") {
    CHECK(list_links(hdf5_files::symbols.bytes(), 0) == "again big compact g h soft(soft) true w z");
    CHECK(list_links(hdf5_files::links.bytes(), 0) == "z a compact filled nothing type outside(other)"); // which counts
    CHECK(list_links({{is_link_info, link_info()}, {is_link, hard_link("b", 1)}, {is_link, hard_link("a", 2)}}) ==
          "a b");
    CHECK(list_links({{is_link_info, link_info()}}).empty());
    CHECK(list_links({{is_space, ""}}) == "no group");
    const std::string huge = hdf5_files::huge.bytes(), filtered = hdf5_files::filtered_groups.bytes();
    CHECK(list_links(huge, find_group(huge, "g")) == std::string(4100, 'l') + " z");
    CHECK(list_links(filtered, find_group(filtered, "one")) == "a b " + std::string(4100, 'l'));
    const std::string in_rows = list_links(filtered, find_group(filtered, "rows"));
    CHECK(in_rows.substr(in_rows.size() - 43) == "n23" + std::string(40, 'x'));
    CHECK(std::count(in_rows.begin(), in_rows.end(), ' ') == 23);
    CHECK(list_links(filtered, find_group(filtered, "deflated")) == "compressed");
    for (const auto* each : {&hdf5_files::dense, &hdf5_files::rows}) {
      const std::string file = each->bytes();
      opened_hdf5 opened(file);
      REQUIRE(opened.file);
      if (!opened.file) return;
      const auto root = hdf5_object::read(*opened.file, opened.file->root());
      const auto links = read_links(*opened.file, *root);
      REQUIRE(links);
      if (!links) return;
      const auto g = std::find_if(links->begin(), links->end(), [](const auto& link) { return link.name == "g"; });
      REQUIRE(g != links->end());
      const std::string names = list_links(file, g->address);
      if (each == &hdf5_files::dense) {
        CHECK(names == "a b c");
      } else {
        CHECK(names.substr(0, 44) == "n00" + std::string(40, 'x') + " ");
        CHECK(std::count(names.begin(), names.end(), ' ') == 23);
      }
    }
  }

  TEST_CASE("links of every kind and form") {
    CHECK(list_links({{is_link, soft_link("s", "/a")}}) == "s(soft)");
    CHECK(list_links({{is_link, hdf5_fields().u8(1).u8(8).u8(64).u8(1).raw("x").u16(3).raw("abc")}}) == "x(other)");
    CHECK(list_links({{is_link, hdf5_fields().u8(1).u8(0x1D).u8(0).u64(9).u8(1).u16(2).raw("ab").u64(1)}}) == "ab");
    const std::string second = hdf5_fields().u8(1).u8(4).u64(1).u8(1).raw("b").u64(1),
                      first = hdf5_fields().u8(1).u8(4).u64(0).u8(1).raw("c").u64(1);
    CHECK(
        list_links({{is_link_info, hdf5_fields().u8(0).u8(1).u64(2).u64(hdf5_bytes::nowhere).u64(hdf5_bytes::nowhere)},
                    {is_link, second},
                    {is_link, first}}) == "c b");
  }

  TEST_CASE("damaged links are refused") {
    CHECK(list_links({{is_link, hard_link("", 1)}}) == "bad_hdf5");
    CHECK(list_links({{is_link, hard_link("a/b", 1)}}) == "bad_hdf5");
    CHECK(list_links({{is_link, hard_link(std::string_view("a\0b", 3), 1)}}) == "bad_hdf5");
    CHECK(list_links({{is_link, ""}}) == "bad_hdf5");
    CHECK(list_links({{is_link, hdf5_fields().u8(2).u8(0).u8(1).raw("a").u64(1)}}) == "bad_hdf5");
    CHECK(list_links({{is_link, hdf5_fields().u8(1).u8(3).u64(~std::uint64_t{0}).raw("a").u64(1)}}) == "bad_hdf5");
    CHECK(list_links({{is_link, hdf5_fields().u8(1).u8(0).u8(1).raw("a").u32(1)}}) == "bad_hdf5");
    CHECK(list_links({{is_link_info, ""}}) == "bad_hdf5");
    CHECK(list_links({{is_link_info, link_info().replace(0, 1, "\1")}}) == "bad_hdf5");
    CHECK(list_links({{is_link_info, link_info(48, 48)}}) == "bad_hdf5"); // no heap there
  }

  TEST_CASE("damaged symbol tables are refused") {
    CHECK(list_symbols({}) == "a bc");
    CHECK(list_symbols({.kind = 2}) == "a bc(soft)");
    CHECK(list_symbols({.tree_mark = "THREE"}) == "bad_hdf5");
    CHECK(list_symbols({.node_mark = "SNOT"}) == "bad_hdf5");
    CHECK(list_symbols({.heap_mark = "HEEP"}) == "bad_hdf5");
    CHECK(list_symbols({.name = 6}) == "bad_hdf5"); // behind the names
    CHECK(list_symbols({.name = ~std::uint64_t{0}}) == "bad_hdf5");
    CHECK(list_symbols({.name = 0}) == "bad_hdf5");       // empty
    CHECK(list_symbols({.names_size = 5}) == "bad_hdf5"); // a name without an end
    CHECK(list_symbols({.names_size = ~std::uint64_t{0}}) == "bad_hdf5");
    CHECK(list_symbols({.names_address = 1 << 20}) == "bad_hdf5");
    CHECK(list_symbols({.child = 1 << 20}) == "bad_hdf5");
    CHECK(list_symbols({.symbols = 3}) == "bad_hdf5"); // one that is no symbol
    CHECK(list_symbols({.symbols = 0xFFFF}) == "bad_hdf5");
    CHECK(list_symbols({.entries = 0xFFFF}) == "bad_hdf5");
    CHECK(list_symbols({.tree_type = 1}) == "bad_hdf5"); // of chunks
    CHECK(list_symbols({.level = 1}) == "bad_hdf5");     // a node that is no tree
    CHECK(list_symbols({.level = 255}) == "bad_hdf5");
    CHECK(list_symbols({.entries = 0}).empty());
  }

  TEST_CASE("trees that lead to themselves, or to one node many times over, end") {
    made_symbols shape({});
    CHECK(list_symbols({.child = shape.tree, .level = 31}) == "bad_hdf5");

    // 20 levels of nodes whose 8 children are all the node below: 8^20 visits if nobody counted.
    made_symbols made({});
    std::uint64_t below = made.tree;
    for (std::uint8_t level = 1; level <= 20; ++level) {
      const std::uint64_t at = made.size();
      made.raw("TREE").u8(0).u8(level).u16(8).u64(hdf5_bytes::nowhere).u64(hdf5_bytes::nowhere).u64(0);
      for (int child = 0; child < 8; ++child) made.u64(below).u64(0);
      below = at;
    }
    CHECK(list_links(made, {{is_symbol_table, hdf5_fields().u64(below).u64(made.heap)}}) == "bad_hdf5");
  }
}
