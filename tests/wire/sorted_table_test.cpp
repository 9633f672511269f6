// SPDX-License-Identifier: MIT
// Tests of sorted_table.hpp and its writer: golden bytes, every attack on a block's numbers, truncations and flipped bits.
#include "support/outcome.hpp"
#include "support/sorted_tables.hpp"

#include <stet/wire/sorted_table.hpp>
#include <stet/wire/sorted_table_writer.hpp>

#include <doctest/doctest.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::literals;
using namespace stet_test;
using entry_list = std::vector<std::pair<std::string, std::string>>;

struct walked {
  std::string result;
  entry_list entries;
  std::uint64_t offset = 0;
};

walked walk_table(std::string_view file) {
  const exact_text block(file);
  stet::detail::sorted_table table;
  walked seen;
  if (const auto opened = table.open(block.bytes()); !opened) {
    seen.result = outcome(opened);
    seen.offset = opened.error().offset_bytes();
    return seen;
  }
  while (table.next()) {
    const auto value = table.value();
    CHECK(table.offset_bytes() < file.size());
    CHECK((!table.is_in_place() ||
           (value.data() >= block.bytes().data() && value.data() <= block.bytes().data() + file.size())));
    seen.entries.emplace_back(table.key(), std::string(reinterpret_cast<const char*>(value.data()), value.size()));
  }
  seen.result = table.is_whole() ? "ok" : stet::describe(table.failure().code()).name;
  seen.offset = table.is_whole() ? 0 : table.failure().offset_bytes();
  return seen;
}

entry_list numbered(std::size_t count, std::size_t value_size) {
  entry_list entries;
  for (std::size_t i = 0; i < count; ++i) {
    char key[32];
    std::snprintf(key, sizeof key, "layer_%04u/kernel", static_cast<unsigned>(i));
    entries.emplace_back(key, std::string(value_size, static_cast<char>(i)));
  }
  return entries;
}

std::string written(const entry_list& entries, std::size_t block_size = std::size_t{1} << 18) {
  stet::detail::sorted_table_writer out(block_size);
  for (const auto& [key, value] : entries) out.add(key, value);
  return out.finish();
}

const std::string& golden = stet_test::tensorflow_index();
const entry_list golden_entries = {{"", "\x08\x01\x1a\x02\x08\x01"},
                                   {"a", "\x08\x01\x12\x00\x28\x04\x35\x06\x38\x27\x1f"s},
                                   {"b", "\x08\x01\x12\x00\x20\x04\x28\x04\x35\x10\xfd\x78\x4f"s},
                                   {"c", "\x08\x01\x12\x00\x20\x08\x28\x04\x35\xef\xd6\x82\xc3"s}};

} // namespace

TEST_SUITE("sorted_table") {
  TEST_CASE("reads and writes what TensorFlow wrote, byte for byte") {
    const walked seen = walk_table(golden);
    CHECK(seen.result == "ok");
    CHECK(seen.entries == golden_entries);
    CHECK(written(golden_entries) == golden);
  }

  TEST_CASE("masks checksums as TensorFlow does") {
    CHECK(stet::detail::mask_crc32c(0x26973E52u) == 0x1F273806u);
    CHECK(stet::detail::unmask_crc32c(0x1F273806u) == 0x26973E52u);
    CHECK(stet::detail::mask_crc32c(0) == 0xA282EAD8u);
  }

  TEST_CASE("what is written is read, in blocks of any size") {
    for (const std::size_t count : {0u, 1u, 15u, 16u, 17u, 500u}) {
      const entry_list entries = numbered(count, 9);
      for (const std::size_t block_size : {1u, 40u, 1000u, 1u << 18}) {
        const walked seen = walk_table(written(entries, block_size));
        CHECK(seen.result == "ok");
        CHECK(seen.entries == entries);
      }
    }
    // A large value gets a block of its own; keys and values of which the sizes take more than one byte.
    const entry_list large = {{"a", "1"}, {"b" + std::string(300, 'x'), std::string(5000, 'y')}, {"c", ""}};
    const walked seen = walk_table(written(large, 100));
    CHECK(seen.result == "ok");
    CHECK(seen.entries == large);
  }

  TEST_CASE("separators stay between the keys, also where no byte can be raised") {
    const entry_list keys = {{"", ""},
                             {"\xff", ""},
                             {"\xff\xff", ""},
                             {"\xff\xff\x01", ""},
                             {"\xff\xff\x02", ""},
                             {"\xff\xff\x04z", ""},
                             {"\xff\xff\xff", ""}};
    const walked seen = walk_table(written(keys, 1));
    CHECK(seen.result == "ok");
    CHECK(seen.entries == keys);
  }

  TEST_CASE("decompresses data and index blocks") {
    const entry_list entries = numbered(40, 20);
    const std::string block = block_of(entries);
    std::string file;
    const std::string handle = append_block(file, as_snappy_literals(block), 1);
    const walked seen = walk_table(end_table(file, as_snappy_literals(block_of({{"~", handle}})), 1));
    CHECK(seen.result == "ok");
    CHECK(seen.entries == entries);
  }

  TEST_CASE("an index entry may have more after its handle, and a block no entries") {
    std::string file;
    const std::string empty = append_block(file, little32(0)), bare = append_block(file, little32(0) + little32(1));
    const std::string full = append_block(file, block_of({{"c", "1"}}));
    const walked seen = walk_table(end_table(file, block_of({{"a", empty}, {"b", bare + "more"}, {"d", full}})));
    CHECK(seen.result == "ok");
    CHECK(seen.entries == entry_list{{"c", "1"}});
  }

  TEST_CASE("refuses blocks that contradict themselves") {
    const std::string one = raw_entry(0, 1, 1, "ax");
    const std::string tail = little32(0) + little32(1);
    const std::pair<const char*, std::string> table[] = {
        {"too short for a count", "abc"},
        {"one restart more than there is room for", one + little32(0) + little32(4)},
        {"2^32 - 1 restarts", one + little32(0) + little32(0xFFFFFFFFu)},
        {"entries without a restart", one + little32(0)},
        {"a first restart that is not the first entry", one + little32(1) + little32(1)},
        {"a restart beyond the entries", one + little32(0) + little32(100) + little32(2)},
        {"a restart at the end of the entries", one + little32(0) + little32(5) + little32(2)},
        {"a restart within an entry", one + raw_entry(0, 1, 1, "bx") + little32(0) + little32(6) + little32(2)},
        {"restarts that do not ascend", one + raw_entry(0, 1, 1, "bx") + little32(0) + little32(0) + little32(2)},
        {"a restart that shares bytes", one + raw_entry(1, 1, 0, "b") + little32(0) + little32(5) + little32(2)},
        {"a first entry that shares bytes", raw_entry(1, 1, 1, "ax") + tail},
        {"more shared than the key before has", one + raw_entry(2, 1, 0, "b") + tail},
        {"a key beyond the entries", raw_entry(0, 100, 0, "ax") + tail},
        {"a value beyond the entries by one", raw_entry(0, 1, 2, "ax") + tail},
        {"sizes whose sum wraps in 32 bits", raw_entry(0, 0xFFFFFFFFu, 3, "ax") + tail},
        {"a size of 33 bits", raw_entry(0, std::uint64_t{1} << 32, 0, "ax") + tail},
        {"a size of six bytes", one + "\x80\x80\x80\x80\x80" + std::string("\0\1\1bx", 5) + tail},
        {"sizes cut off", one + std::string(1, '\0') + tail},
        {"the same key twice", one + one + tail},
        {"the same key twice, shared", one + raw_entry(1, 0, 0, "") + tail},
        {"descending keys", raw_entry(0, 1, 0, "b") + raw_entry(0, 1, 0, "a") + tail},
        {"a key before its own prefix", raw_entry(0, 2, 0, "ab") + raw_entry(0, 1, 0, "a") + tail},
        {"a key beyond its separator", raw_entry(0, 1, 0, "\x7f") + tail},
    };
    for (const auto& row : table) {
      const auto& what = row.first;
      const auto& block = row.second;
      CAPTURE(what);
      CHECK(walk_table(table_of_block(block)).result == "bad_table");
      CHECK(walk_table(table_of_block(as_snappy_literals(block), 1)).result == "bad_table");
    }
    // The same in the index block.
    for (const auto& row : table) {
      const auto& what = row.first;
      const auto& block = row.second;
      CAPTURE(what);
      if (what != "a key beyond its separator"sv) CHECK(walk_table(end_table("", block)).result == "bad_table");
    }
  }

  TEST_CASE("says where in the file an entry is wrong") {
    const walked seen =
        walk_table(table_of_block(raw_entry(0, 1, 1, "ax") + raw_entry(0, 1, 1, "ax") + little32(0) + little32(1)));
    CHECK(seen.result == "bad_table");
    CHECK(seen.offset == 5);
    CHECK(seen.entries == entry_list{{"a", "x"}});
  }

  TEST_CASE("refuses blocks that are out of order, overlap, or lie elsewhere") {
    std::string file;
    const std::string first = append_block(file, block_of({{"b", "1"}})),
                      second = append_block(file, block_of({{"d", "2"}}));
    const std::uint64_t most = ~std::uint64_t{0};
    const std::pair<const char*, std::string> table[] = {
        {"a separator before the last key", block_of({{"a", first}, {"e", second}})},
        {"a separator that is not before the next key", block_of({{"d", first}, {"e", second}})},
        {"the same block twice", block_of({{"b", first}, {"c", first}})},
        {"blocks in the wrong order", block_of({{"d", second}, {"e", first}})},
        {"no handle", block_of({{"b", ""}})},
        {"half a handle", block_of({{"b", varint(0)}})},
        {"a handle of 65 bits", block_of({{"b", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02" + varint(1)}})},
        {"an offset beyond the file", block_of({{"b", varint(1u << 20) + varint(1)}})},
        {"a block up to the footer", block_of({{"b", varint(0) + varint(1000)}})},
        {"an offset and size that wrap", block_of({{"b", varint(1) + varint(most)}})},
        {"a size whose trailer wraps", block_of({{"b", varint(0) + varint(most - 4)}})},
        {"an offset that wraps", block_of({{"b", varint(most) + varint(9)}})},
    };
    for (const auto& row : table) {
      const auto& what = row.first;
      const auto& index = row.second;
      CAPTURE(what);
      CHECK(walk_table(end_table(file, index)).result == "bad_table");
    }
    CHECK(walk_table(end_table(file, block_of({{"b", first}, {"d", second}}))).result == "ok");
  }

  TEST_CASE("an empty block named by a thousand index entries is read once") {
    std::string file;
    const std::string handle = append_block(file, std::string(4, '\0'));
    const walked seen = walk_table(end_table(file, block_of(entry_list{{"a", handle}, {"b", handle}})));
    CHECK(seen.result == "bad_table");
  }

  TEST_CASE("refuses what is compressed in an unknown way or wrongly") {
    const std::string block = block_of({{"a", "1"}});
    CHECK(walk_table(table_of_block(block, 2)).result == "bad_compression");
    CHECK(walk_table(table_of_block(block, -1)).result == "bad_compression");
    CHECK(walk_table(table_of_block("", 1)).result == "bad_compression");
    CHECK(walk_table(table_of_block("\xff\xff\xff\xff\x0f", 1)).result == "bad_compression");
    CHECK(walk_table(table_of_block(as_snappy_literals(block) + "x", 1)).result == "bad_compression");
    CHECK(walk_table(end_table("", "\x05\x01", 1)).result == "bad_compression");
  }

  TEST_CASE("refuses files that end in no footer, and footers with wrong handles") {
    CHECK(walk_table("").result == "truncated");
    CHECK(walk_table(std::string(47, '\0')).result == "truncated");
    CHECK(walk_table(std::string(48, '\0')).result == "bad_magic");
    CHECK(walk_table(golden + "x").result == "bad_magic");
    const std::size_t footer = golden.size() - 48;
    const std::uint64_t most = ~std::uint64_t{0};
    for (const std::string& handles :
         {std::string(40, '\x80'), varint(0) + varint(most) + varint(0x54) + varint(14),
          varint(0x47) + varint(8) + varint(most) + varint(14), varint(0x47) + varint(8) + varint(0x54) + varint(15),
          varint(0x47) + varint(8) + varint(footer) + varint(0)}) {
      std::string damaged = golden;
      damaged.replace(footer, handles.size(), handles);
      CHECK(walk_table(damaged).result == "bad_table");
    }
  }

  TEST_CASE("every truncation is refused") {
    for (std::size_t size = 0; size < golden.size(); ++size) {
      CAPTURE(size);
      CHECK(walk_table(golden.substr(0, size)).result == (size < 48 ? "truncated" : "bad_magic"));
      if (size != 0) CHECK(walk_table(golden.substr(size)).result != "ok");
    }
  }

  TEST_CASE("every flip of a bit is noticed, but in the footer's padding") {
    const std::size_t footer = golden.size() - 48, padding = footer + 4, magic = golden.size() - 8;
    for (std::size_t bit = 0; bit < golden.size() * 8; ++bit) {
      std::string damaged = golden;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      CAPTURE(bit);
      const std::string result = walk_table(damaged).result;
      if (bit / 8 < footer)
        CHECK(result == "table_checksum");
      else if (bit == padding * 8 - 1) // the last handle then goes on into the padding, with the same number
        CHECK(result == "ok");
      else if (bit / 8 < padding)
        CHECK((result == "table_checksum" || result == "bad_table"));
      else
        CHECK(result == (bit / 8 < magic ? "ok" : "bad_magic"));
    }
  }
}
