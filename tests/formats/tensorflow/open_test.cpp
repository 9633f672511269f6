// SPDX-License-Identifier: MIT
// Tests of checkpoint.hpp: every kind of tensor that a V2 checkpoint holds, in place where it can be; and hostile indexes.
#include "support/allocations.hpp"
#include "support/outcome.hpp"
#include "support/sorted_tables.hpp"
#include "support/tensorflow_checkpoints.hpp"

#include <stet/formats/tensorflow/open.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace {

using namespace std::literals;
using namespace stet_test;
using stet::open_tensorflow_checkpoint;

template <class T> std::vector<T> values_of(const stet::model& in, std::string_view name) {
  const auto found = in.store.find(name);
  if (!found) return {};
  std::vector<T> values(static_cast<std::size_t>(found->element_count()));
  CHECK(found->copy_to(std::span<T>(values)));
  return values;
}

std::string open_outcome(const made_checkpoint& made) {
  const temp_folder folder;
  return outcome(open_tensorflow_checkpoint(made.write(folder)));
}

/// A small checkpoint with something of everything: shards, slices, strings, an object graph, several blocks.
made_checkpoint everything() {
  made_checkpoint made(2);
  made.block_size = 200;
  const std::string suffix = "/.ATTRIBUTES/VARIABLE_VALUE";
  made.add("net/w" + suffix, 1, {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6});
  made.add("net/b" + suffix, 9, {}, std::vector<std::int64_t>{7}, 1);
  made.add("net/e" + suffix, 1, {0, 3}, std::vector<float>{});
  made.add_strings("net/s" + suffix, {2}, {"ab", ""}, 1);
  made.entries["rows"].shape = {4, 2};
  made.add_slice("rows", {{0, 2}, {0, -1}}, {2, 2}, {1, 2, 3, 4});
  made.add_slice("rows", {{2, 2}, {0, -1}}, {2, 2}, {5, 6, 7, 8});
  made.entries["columns"].shape = {2, 3};
  made.add_slice("columns", {{0, -1}, {0, 1}}, {2, 1}, {1, 4});
  made.add_slice("columns", {{0, -1}, {1, 2}}, {2, 2}, {2, 3, 5, 6}, 1);
  made.add_strings(
      "_CHECKPOINTABLE_OBJECT_GRAPH", {},
      {object_graph_of(
          {{"dense/kernel", "net/w" + suffix}, {"dense/bias", "net/b" + suffix}, {"", "net/s" + suffix}})});
  return made;
}

} // namespace

TEST_SUITE("tensorflow/checkpoint") {
  TEST_CASE("tensors stand in place, in the order of their names") {
    const temp_folder folder;
    made_checkpoint made;
    made.add("b", 1, {2, 2}, std::vector<float>{1, 2, 3, 4});
    made.shards[0] += "x"; // what follows is misaligned
    made.add("a", 9, {2}, std::vector<std::int64_t>{-1, 5});
    made.add("c", 19, {}, std::vector<std::uint16_t>{0x3C00});
    const auto opened = open_tensorflow_checkpoint(made.write(folder));
    REQUIRE(opened);
    CHECK(opened->file_count == 1);
    CHECK(opened->store.index().part(0).path == "model.data-00000-of-00001");
    std::string names;
    for (const stet::tensor each : opened->store) {
      names += each.name();
      CHECK(each.is_in_place());
      CHECK(opened->is_in_file(each));
      CHECK(each.verify_checksum());
    }
    CHECK(names == "abc");
    const auto b = opened->store.find("b");
    REQUIRE(b);
    CHECK(b->entry().offset_bytes() == 0);
    CHECK(b->shape().equals({2, 2}));
    REQUIRE(b->as<float>());
    CHECK((*b->as<float>())[3] == 4);
    CHECK(outcome(opened->store.get<std::int64_t>("a")) == "misaligned");
    CHECK(values_of<std::int64_t>(*opened, "a") == std::vector<std::int64_t>{-1, 5});
  }

  TEST_CASE("verify compares with TensorFlow's own checksum") {
    const temp_folder folder;
    made_checkpoint made;
    made.add("a", 1, {1}, std::vector<float>{1});
    made.add("b", 1, {1}, std::vector<float>{2}).masked_crc ^= 1;
    made.add("c", 1, {1}, std::vector<float>{3});
    made.shards[0][8] ^= 1;
    const auto opened = open_tensorflow_checkpoint(made.write(folder));
    REQUIRE(opened);
    CHECK(outcome(opened->store.find("a")->verify_checksum()) == "ok");
    CHECK(outcome(opened->store.find("b")->verify_checksum()) == "checksum_mismatch");
    CHECK(outcome(opened->store.find("c")->verify_checksum()) == "checksum_mismatch");
  }

  TEST_CASE("a missing shard fails only its own tensors") {
    const temp_folder folder;
    made_checkpoint made(3);
    made.add("a", 1, {1}, std::vector<float>{1}, 0);
    made.add("b", 1, {2}, std::vector<float>{2, 3}, 1);
    made.add_strings("s", {2}, {"x", "y"}, 1);
    made.add("z", 1, {1}, std::vector<float>{4}, 2);
    made.entries["sliced"].shape = {2};
    made.add_slice("sliced", {{0, 1}}, {1}, {5}, 0);
    made.add_slice("sliced", {{1, 1}}, {1}, {6}, 1);
    const std::string prefix = made.write(folder);
    REQUIRE(std::filesystem::remove(to_path(prefix + ".data-00001-of-00003")));
    const auto opened = open_tensorflow_checkpoint(prefix);
    REQUIRE(opened);
    CHECK(values_of<float>(*opened, "a") == std::vector<float>{1});
    CHECK(values_of<float>(*opened, "z") == std::vector<float>{4});
    for (const char* const name : {"b", "s", "sliced"}) {
      const auto missing = opened->store.find(name);
      REQUIRE(missing);
      std::byte first[1];
      const auto read = missing->read(0, first);
      CHECK(outcome(name == "sliced"sv ? missing->verify_checksum() : read) == "missing_part");
    }
    CHECK(opened->store.find("b")->read(0, {}).operator bool());
    std::vector<float> room(2);
    CHECK(opened->store.find("b")->copy_to(std::span<float>(room)).error().subject() == "model.data-00001-of-00003");
  }

  TEST_CASE("slices that lie back to back are one tensor in place, with a checksum of theirs") {
    const temp_folder folder;
    made_checkpoint made(2);
    made.entries["p"].shape = {4, 2};
    made.add_slice("p", {{2, 2}, {0, -1}}, {2, 2}, {5, 6, 7, 8}, 1); // listed in any order, spelt in any way
    made.shards[0] = "....";
    made.entries["q"].shape = {3, 2};
    made.add_slice("q", {{0, 1}, {0, 2}}, {1, 2}, {1, 2});
    made.add_slice("q", {{1, 2}, {0, 2}}, {2, 2}, {3, 4, 5, 6});
    made.add_slice("p", {{0, 2}, {0, -1}}, {2, 2}, {1, 2, 3, 4}, 1);
    made.entries["r"].shape = {2, 3};
    made.add_slice("r", {{0, -1}, {0, 1}}, {2, 1}, {1, 4});
    made.add_slice("r", {{0, -1}, {1, 2}}, {2, 2}, {2, 3, 5, 6}, 1);
    const auto opened = open_tensorflow_checkpoint(made.write(folder));
    REQUIRE(opened);
    REQUIRE(opened->store.tensor_count() == 3);
    const auto q = opened->store.find("q");
    REQUIRE(q);
    CHECK(opened->is_in_file(*q));
    CHECK(q->is_in_place());
    CHECK(q->entry().offset_bytes() == 4);
    CHECK(values_of<float>(*opened, "q") == std::vector<float>{1, 2, 3, 4, 5, 6});
    CHECK(outcome(q->verify_checksum()) == "ok");
    // In the wrong order in the file: gathered, but of whole runs, whose checksums make up that of all.
    const auto p = opened->store.find("p");
    REQUIRE(p);
    CHECK_FALSE(opened->is_in_file(*p));
    CHECK(values_of<float>(*opened, "p") == std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8});
    CHECK(outcome(p->verify_checksum()) == "ok");
    const auto r = opened->store.find("r");
    REQUIRE(r);
    CHECK(values_of<float>(*opened, "r") == std::vector<float>{1, 2, 3, 4, 5, 6});
    CHECK(outcome(r->verify_checksum()) == "no_checksum");
  }

  TEST_CASE("a damaged slice fails every way to read its tensor") {
    const temp_folder folder;
    made_checkpoint made;
    made.entries["columns"].shape = {2, 3};
    made.add_slice("columns", {{0, -1}, {0, 1}}, {2, 1}, {1, 4});
    made.add_slice("columns", {{0, -1}, {1, 2}}, {2, 2}, {2, 3, 5, 6});
    made.shards[0][13] ^= 0x40;
    const std::string prefix = made.write(folder);
    for (const stet::backing how : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
      stet::open_options options;
      options.backing = how;
      const auto opened = open_tensorflow_checkpoint(prefix, options);
      REQUIRE(opened);
      const auto columns = opened->store.find("columns");
      REQUIRE(columns);
      std::vector<float> room(6);
      const auto copied = columns->copy_to(std::span<float>(room));
      CHECK(outcome(copied) == "checksum_mismatch");
      CHECK(copied.error().subject() == "columns");
      std::vector<std::byte> bytes(24);
      CHECK(outcome(columns->read(0, bytes)) == "checksum_mismatch");
      CHECK(outcome(columns->read(4, std::span(bytes).first(1))) == "checksum_mismatch");
    }
  }

  TEST_CASE("slices that do not make up their tensor fail that tensor only") {
    const std::vector<slice_extent> low = {{0, 2}}, high = {{2, 2}};
    for (int attack = 0; attack < 8; ++attack) {
      CAPTURE(attack);
      const temp_folder folder;
      made_checkpoint made;
      made.add("whole", 1, {1}, std::vector<float>{9});
      made.entries["t"].shape = {4};
      made.add_slice("t", low, {2}, {1, 2});
      made.add_slice("t", high, {2}, {3, 4});
      entry_fields& tensor = made.entries["t"];
      entry_fields& slice = made.entries[stet::detail::slice_key("t", high)];
      switch (attack) {
      case 0:
        made.entries.erase(stet::detail::slice_key("t", high));
        break;
      case 1:
        tensor.slices.pop_back();
        break;
      case 2:
        tensor.slices.push_back(high);
        break;
      case 3:
        tensor.slices[1] = {{1, 2}};
        break;
      case 4:
        tensor.slices[1] = {{2, 2}, {0, -1}};
        break;
      case 5:
        slice.data_type = 3;
        break;
      case 6:
        slice.shape = {1, 2};
        break;
      case 7:
        slice.slices.push_back(high);
        break;
      default:
        break;
      }
      const auto opened = open_tensorflow_checkpoint(made.write(folder));
      REQUIRE(opened);
      CHECK(values_of<float>(*opened, "whole") == std::vector<float>{9});
      const auto t = opened->store.find("t");
      REQUIRE(t);
      std::vector<float> room(4);
      CHECK(outcome(t->copy_to(std::span<float>(room))) == "bad_slice");
    }
  }

  TEST_CASE("a tensor in slices may have no elements") {
    const temp_folder folder;
    made_checkpoint made;
    made.entries["t"].shape = {0, 3};
    made.add_slice("t", {{0, -1}, {0, -1}}, {0, 3}, {});
    const auto opened = open_tensorflow_checkpoint(made.write(folder));
    REQUIRE(opened);
    CHECK(opened->store.find("t")->size_bytes() == 0);
  }

  TEST_CASE("big-endian data is flagged, and copied right") {
    const temp_folder folder;
    made_checkpoint made;
    made.header = "\x08\x01\x10\x01";
    made.add("a", 3, {2}, "\0\0\0\x01\x01\x02\x03\x04"sv);
    made.add("u", 4, {2}, "\x01\x02"sv);
    made.entries["p"].shape = {2, 2};
    made.entries["p"].slices = {{{0, -1}, {0, 1}}, {{0, -1}, {1, 1}}};
    made.add(stet::detail::slice_key("p", std::vector<slice_extent>{{0, -1}, {0, 1}}), 1, {2, 1},
             "\x3f\x80\0\0\x40\x40\0\0"sv);
    made.add(stet::detail::slice_key("p", std::vector<slice_extent>{{0, -1}, {1, 1}}), 1, {2, 1},
             "\x40\0\0\0\x40\x80\0\0"sv);
    const auto opened = open_tensorflow_checkpoint(made.write(folder));
    REQUIRE(opened);
    CHECK(outcome(opened->store.get<std::int32_t>("a")) == "wrong_byte_order");
    CHECK(values_of<std::int32_t>(*opened, "a") == std::vector<std::int32_t>{1, 0x01020304});
    CHECK(values_of<std::uint8_t>(*opened, "u") == std::vector<std::uint8_t>{1, 2});
    CHECK(values_of<float>(*opened, "p") == std::vector<float>{1, 2, 3, 4});
    CHECK(outcome(opened->store.find("a")->verify_checksum()) == "ok"); // of the bytes in the file
  }

  TEST_CASE("narrow elements have a byte each, whose high bits mean nothing") {
    const temp_folder folder;
    made_checkpoint made;
    made.add("i4", 29, {4}, "\x0f\xff\x08\x07"sv);
    made.add("u2", 32, {2}, "\xfd\x03"sv);
    const auto opened = open_tensorflow_checkpoint(made.write(folder));
    REQUIRE(opened);
    CHECK(opened->store.find("i4")->layout().bits == 8);
    std::vector<int> wide;
    for (const stet::int4 value : values_of<stet::int4>(*opened, "i4")) wide.push_back(value);
    CHECK(wide == std::vector<int>{-1, -1, -8, 7});
    CHECK(values_of<stet::uint2>(*opened, "u2")[0] == 1);
  }

  TEST_CASE("strings are decoded to stet's layout; damaged ones are listed and cannot be read") {
    const temp_folder folder;
    made_checkpoint made;
    made.add_strings("good", {2, 1}, {"ab", ""});
    made.add_strings("none", {0}, {});
    made.add_strings("damaged", {2}, {"ab", "cd"}).masked_crc ^= 1;
    made.add_strings("lying", {3}, {"ab", "cd"});
    const auto opened = open_tensorflow_checkpoint(made.write(folder));
    REQUIRE(opened);
    const auto strings = opened->store.find("good")->as_strings();
    REQUIRE(strings);
    REQUIRE(strings->size() == 2);
    CHECK((*strings)[0] == "ab");
    CHECK(outcome(opened->store.find("good")->verify_checksum()) == "ok");
    CHECK(opened->store.find("none")->as_strings()->size() == 0);
    CHECK(outcome(opened->store.find("damaged")->verify_checksum()) == "no_checksum");
    std::byte room[8];
    const auto damaged = opened->store.find("damaged")->read(0, room);
    CHECK(outcome(damaged) == "checksum_mismatch");
    CHECK(damaged.error().subject() == "damaged");
    CHECK(outcome(opened->store.find("lying")->read(0, room)) == "bad_string_table");
  }

  TEST_CASE("variants are opaque blocks, in place, of any number of sizes") {
    const temp_folder folder;
    made_checkpoint made;
    made.add("none", 21, {0}, ""sv);
    for (int i = 0; i < 70; ++i)
      made.add("v" + std::to_string(i), 21, {2}, std::string(static_cast<std::size_t>(i + 1), 'v'));
    const auto opened = open_tensorflow_checkpoint(made.write(folder));
    REQUIRE(opened);
    CHECK(opened->store.tensor_count() == 71);
    const auto v = opened->store.find("v69");
    REQUIRE(v);
    CHECK(v->dtype() == stet::dtype::block);
    CHECK(v->layout().block.name == "variant");
    CHECK(v->is_in_place());
    CHECK(v->size_bytes() == 70);
    CHECK(v->shape().equals({2}));
    CHECK(opened->store.find("none")->size_bytes() == 0);
  }

  TEST_CASE("tensors of dtypes that stet does not have are omitted with their reason, and the others open") {
    const temp_folder folder;
    made_checkpoint made;
    made.add("future", 34, {1}, "x"sv);
    made.add("resource", 20, {1}, "x"sv);
    made.add("reference", 101, {1}, "abcd"sv);
    made.add("none", 0, {1}, "x"sv);
    made.add("negative", -1, {1}, "x"sv);
    made.add("w", 1, {1}, std::vector<float>{3});
    entry_fields& sliced = made.add("z", 21, {2, 2}, ""sv);
    sliced.slices = {{{0, 2}, {0, 2}}};
    const auto opened = open_tensorflow_checkpoint(made.write(folder));
    REQUIRE(opened);
    CHECK(opened->store.tensor_count() == 1);
    CHECK(values_of<float>(*opened, "w") == std::vector<float>{3});
    const std::pair<const char*, const char*> table[] = {
        {"future", "unknown_dtype dtype 34"},       {"negative", "unknown_dtype dtype -1"},
        {"none", "unknown_dtype dtype 0"},          {"reference", "unknown_dtype dtype 101"},
        {"resource", "unsupported dtype resource"}, {"z", "unsupported dtype variant"},
    };
    REQUIRE(opened->omitted.size() == std::size(table));
    for (std::size_t i = 0; i < std::size(table); ++i) {
      const stet::omitted_item& item = opened->omitted[i];
      CHECK(item.name == table[i].first);
      CHECK(outcome(stet::result<void>(item.reason)) + " " + std::string(item.reason.subject()) == table[i].second);
    }
  }

  TEST_CASE("a missing shard of any number of strings fails only its own tensors, and says which file it is") {
    const temp_folder folder;
    made_checkpoint made(2);
    made.add("a", 1, {1}, std::vector<float>{1}, 0);
    made.add_strings("s", {300000}, std::vector<std::string>(300000, "string"), 1);
    made.entries["most"] = made.entries["s"];
    made.entries["most"].shape = {(1ull << 60) - 2};
    made.entries["most"].size = INT64_MAX;
    const std::string prefix = made.write(folder);
    REQUIRE(std::filesystem::remove(to_path(prefix + ".data-00001-of-00002")));
    const allocations before;
    const auto opened = open_tensorflow_checkpoint(prefix);
    CHECK(before.largest_bytes() < 100000);
    REQUIRE(opened);
    CHECK(values_of<float>(*opened, "a") == std::vector<float>{1});
    for (const char* const name : {"s", "most"}) {
      const auto found = opened->store.find(name);
      REQUIRE(found);
      std::byte room[8];
      const auto read = found->read(0, room);
      CHECK(outcome(read) == "missing_part");
      CHECK(read.error().subject() == "model.data-00001-of-00002");
    }
  }

  TEST_CASE("a name that many keys begin with does not take memory out of proportion") {
    const temp_folder folder;
    const std::string prefix = folder.path("model");
    const std::string name(60000, 'n');
    const std::string header = made_checkpoint().header;
    entry_fields entry;
    entry.shape = {0};
    const std::string value = entry.message();
    std::string block = raw_entry(0, 0, header.size(), header) + raw_entry(0, name.size(), value.size(), name + value);
    for (int i = 10000; i < 30000; ++i) block += raw_entry(name.size(), 5, value.size(), std::to_string(i) + value);
    folder.write("model.index", table_of_block(block + little32(0) + little32(1)));
    folder.write("model.data-00000-of-00001", ""sv);
    const std::uint64_t size = std::filesystem::file_size(to_path(prefix + ".index"));
    const allocations before;
    const auto opened = open_tensorflow_checkpoint(prefix);
    CHECK(outcome(opened) == "too_large");
    CHECK(before.bytes() < 256 * size);
  }

  TEST_CASE("variables are known by key, by path and by full name, where these mean one") {
    const temp_folder folder;
    const std::string suffix = "/.ATTRIBUTES/VARIABLE_VALUE";
    made_checkpoint made;
    made.add("net/w" + suffix, 1, {1}, std::vector<float>{1});
    made.add("net/b" + suffix, 1, {1}, std::vector<float>{2});
    made.add("x" + suffix, 1, {1}, std::vector<float>{3});
    made.add("y" + suffix, 1, {1}, std::vector<float>{4});
    made.add("y", 1, {1}, std::vector<float>{5}); // has the name that the path of another would be
    made.add_strings("_CHECKPOINTABLE_OBJECT_GRAPH", {},
                     {object_graph_of({{"dense/kernel", "net/w" + suffix},
                                       {"Variable", "net/b" + suffix},
                                       {"Variable", "x" + suffix},
                                       {"net/w", "net/w" + suffix},
                                       {"bad\xff", "y" + suffix},
                                       {"lost", "not/there" + suffix},
                                       {"other", "net/b/.ATTRIBUTES/OBJECT_CONFIG_JSON"}})});
    const auto opened = open_tensorflow_checkpoint(made.write(folder));
    REQUIRE(opened);
    const std::pair<const char*, float> table[] = {{"net/w/.ATTRIBUTES/VARIABLE_VALUE", 1.f},
                                                   {"net/w", 1.f},
                                                   {"dense/kernel", 1.f},
                                                   {"net/b", 2.f},
                                                   {"x", 3.f},
                                                   {"y", 5.f}};
    for (const auto& row : table) {
      const auto& name = row.first;
      const auto& value = row.second;
      CAPTURE(name);
      CHECK(values_of<float>(*opened, name) == std::vector<float>{value});
    }
    for (const char* const name : {"Variable", "lost", "other", "not/there", "bad\xff"})
      CHECK_FALSE(opened->store.contains(name));
    const auto alias = opened->store.find("dense/kernel");
    REQUIRE(alias);
    REQUIRE(opened->store.original_of(*alias));
    CHECK(opened->store.original_of(*alias)->name() == "net/w/.ATTRIBUTES/VARIABLE_VALUE");
    CHECK(opened->store.tensor_count() == 6 + 4);
    REQUIRE(opened->omitted.size() == 1); // two have it
    CHECK(opened->omitted[0].name == "Variable");
    CHECK(opened->omitted[0].reason.code() == stet::errc::duplicate_name);
  }

  TEST_CASE("where the object graph is malformed there are no full names, and the tensors open") {
    const temp_folder folder;
    made_checkpoint made;
    made.add("w/.ATTRIBUTES/VARIABLE_VALUE", 1, {1}, std::vector<float>{1});
    made.add_strings("_CHECKPOINTABLE_OBJECT_GRAPH", {}, {"\x0a\xff"});
    const auto opened = open_tensorflow_checkpoint(made.write(folder));
    REQUIRE(opened);
    CHECK(opened->store.tensor_count() == 3);
    CHECK(opened->store.contains("w"));
  }

  TEST_CASE("a graph that names one variable ten thousand times is not believed without limit") {
    const temp_folder folder;
    const std::string key = "w/.ATTRIBUTES/VARIABLE_VALUE";
    std::vector<std::pair<std::string, std::string>> variables;
    for (int i = 0; i < 10000; ++i) variables.emplace_back("name_" + std::to_string(i), key);
    made_checkpoint made;
    made.add(key, 1, {1}, std::vector<float>{1});
    made.add_strings("_CHECKPOINTABLE_OBJECT_GRAPH", {}, {object_graph_of(variables)});
    const auto opened = open_tensorflow_checkpoint(made.write(folder));
    REQUIRE(opened);
    CHECK(opened->store.tensor_count() <= 6);
    CHECK(opened->store.contains("name_0"));
  }

  TEST_CASE("opens the same through every backing, and below a subfolder") {
    const temp_folder folder;
    const std::string prefix = everything().write(folder);
    for (const stet::backing how : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
      stet::open_options options;
      options.backing = how;
      const auto opened = open_tensorflow_checkpoint(prefix, options, "variables/");
      REQUIRE(opened);
      CHECK(opened->store.index().part(1).path == "variables/model.data-00001-of-00002");
      CHECK(values_of<float>(*opened, "dense/kernel") == std::vector<float>{1, 2, 3, 4, 5, 6});
      CHECK(values_of<float>(*opened, "rows") == std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8});
      CHECK(values_of<float>(*opened, "columns") == std::vector<float>{1, 2, 3, 4, 5, 6});
      CHECK(values_of<std::int64_t>(*opened, "net/b") == std::vector<std::int64_t>{7});
      CHECK((*opened->store.find("net/s")->as_strings())[0] == "ab");
    }
  }

  TEST_CASE("compressed indexes are read") {
    const temp_folder folder;
    made_checkpoint made;
    made.add("a", 1, {1}, std::vector<float>{1});
    const std::string prefix = made.write(folder);
    std::vector<std::pair<std::string, std::string>> entries = {{"", made.header}};
    for (const auto& [key, entry] : made.entries) entries.emplace_back(key, entry.message());
    folder.write("model.index", table_of_block(as_snappy_literals(block_of(entries)), 1));
    const auto opened = open_tensorflow_checkpoint(prefix);
    REQUIRE(opened);
    CHECK(values_of<float>(*opened, "a") == std::vector<float>{1});
  }

  TEST_CASE("refuses entries that lie, each with its own error") {
    struct attack {
      const char* what;
      void (*change)(entry_fields&);
      const char* expected;
    };
    const attack table[] = {
        {"nothing", [](entry_fields&) {}, "ok"},
        {"a shard that is not counted", [](entry_fields& e) { e.shard = 1; }, "bad_offset"},
        {"a negative shard", [](entry_fields& e) { e.shard = -1; }, "bad_offset"},
        {"a negative offset", [](entry_fields& e) { e.offset = -1; }, "bad_offset"},
        {"a negative size", [](entry_fields& e) { e.size = -16; }, "bad_offset"},
        {"an offset beyond the shard", [](entry_fields& e) { e.offset = 1; },
         "ok"}, // which only its tensor cannot be read for
        {"an offset far beyond the shard", [](entry_fields& e) { e.offset = INT64_MAX; }, "ok"},
        {"a size one too small", [](entry_fields& e) { e.size = 15; }, "bad_size"},
        {"a size one too large", [](entry_fields& e) { e.size = 17; }, "bad_size"},
        {"a larger shape", [](entry_fields& e) { e.shape = {2, 3}; }, "bad_size"},
        {"a smaller shape", [](entry_fields& e) { e.shape = {3}; }, "bad_size"},
        {"a shape that overflows", [](entry_fields& e) { e.shape = {1ull << 32, 1ull << 32}; }, "bad_shape"},
        {"a size that overflows", [](entry_fields& e) { e.shape = {1ull << 62}; }, "bad_shape"},
        {"a zero that hides an overflow",
         [](entry_fields& e) {
           e.shape = {0, 1ull << 62, 8};
           e.size = 0;
         },
         "bad_shape"},
        {"the same in another order",
         [](entry_fields& e) {
           e.shape = {1ull << 62, 8, 0};
           e.size = 0;
         },
         "bad_shape"},
        {"a negative extent", [](entry_fields& e) { e.shape = {~0ull}; }, "bad_shape"},
        {"more strings than bytes",
         [](entry_fields& e) {
           e.data_type = 7;
           e.shape = {17};
         },
         "bad_size"},
        {"2^60 strings",
         [](entry_fields& e) {
           e.data_type = 7;
           e.shape = {1ull << 60};
         },
         "bad_size"},
        {"slices of strings",
         [](entry_fields& e) {
           e.data_type = 7;
           e.slices = {{{0, 2}, {0, 2}}};
         },
         "ok"},
        {"a variant of no bytes",
         [](entry_fields& e) {
           e.data_type = 21;
           e.shape = {2};
           e.size = 0;
         },
         "bad_size"},
        {"slices of a shape that overflows",
         [](entry_fields& e) {
           e.shape = {1ull << 62, 8};
           e.slices = {{{0, 1}, {0, 1}}};
         },
         "bad_shape"},
    };
    for (const attack& each : table) {
      CAPTURE(each.what);
      made_checkpoint made;
      each.change(made.add("victim", 1, {2, 2}, std::vector<float>{1, 2, 3, 4}));
      const temp_folder folder;
      const auto opened = open_tensorflow_checkpoint(made.write(folder));
      CHECK(outcome(opened) == each.expected);
      if (!opened) CHECK(opened.error().subject() == "victim");
    }
  }

  TEST_CASE("refuses headers and names that are not valid") {
    made_checkpoint made;
    made.add("a", 1, {1}, std::vector<float>{1});
    made.header = "\x08\x01\x1a\x02\x10\x02";
    CHECK(open_outcome(made) == "newer_format");
    made.header = "";
    CHECK(open_outcome(made) == "bad_header");
    made.header = "\x08\xff\xff\xff\xff\x07";
    CHECK(open_outcome(made) == "too_large"); // and not two thousand million files opened
    made.header = "\x08";
    CHECK(open_outcome(made) == "bad_protobuf");
    made.header = "\x08\x01";
    made.add("bad\xff", 1, {1}, std::vector<float>{1});
    CHECK(open_outcome(made) == "bad_name");
    const temp_folder folder;
    stet::detail::sorted_table_writer out;
    folder.write("empty.index", out.finish());
    CHECK(outcome(open_tensorflow_checkpoint(folder.path("empty"))) == "bad_header");
    out.add("a", "\x08\x01");
    folder.write("headless.index", out.finish());
    CHECK(outcome(open_tensorflow_checkpoint(folder.path("headless"))) == "bad_header");
    CHECK(outcome(open_tensorflow_checkpoint(folder.path("absent"))) == "file_not_found");
  }

  TEST_CASE("many string tensors over the same bytes are not decoded without limit") {
    made_checkpoint made;
    const entry_fields first = made.add_strings("s", {30000}, std::vector<std::string>(30000));
    for (int i = 0; i < 2000; ++i) made.entries["s" + std::to_string(i)] = first;
    CHECK(open_outcome(made) == "too_large");
  }

  TEST_CASE("a shard that is a link is not followed unless that is asked for") {
    const temp_folder folder;
    made_checkpoint made;
    made.add("a", 1, {1}, std::vector<float>{1});
    const std::string prefix = made.write(folder);
    const std::string shard = prefix + ".data-00000-of-00001", moved = folder.path("elsewhere");
    std::filesystem::rename(to_path(shard), to_path(moved));
    std::error_code failure;
    std::filesystem::create_symlink(to_path(moved), to_path(shard), failure);
    if (failure) {
      MESSAGE("skipped: symbolic links cannot be made here");
      return;
    }
    CHECK_FALSE(open_tensorflow_checkpoint(prefix));
    stet::open_options options;
    options.follow_links = true;
    CHECK(outcome(open_tensorflow_checkpoint(prefix, options)) == "ok");
  }

  TEST_CASE("every truncation of the index is refused") {
    const temp_folder folder;
    const made_checkpoint made = everything();
    const std::string prefix = made.write(folder), index = made.index();
    REQUIRE(open_tensorflow_checkpoint(prefix));
    for (std::size_t size = 0; size < index.size(); ++size) {
      folder.write("model.index", index.substr(0, size));
      CAPTURE(size);
      CHECK(outcome(open_tensorflow_checkpoint(prefix)) == (size < 48 ? "truncated" : "bad_magic"));
    }
  }

  TEST_CASE("every flip of a bit in the index is noticed, but in the footer's padding") {
    const temp_folder folder;
    const made_checkpoint made = everything();
    const std::string prefix = made.write(folder), index = made.index();
    for (std::size_t bit = 0; bit < index.size() * 8; ++bit) {
      std::string damaged = index;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      folder.write("model.index", damaged);
      CAPTURE(bit);
      const std::string result = outcome(open_tensorflow_checkpoint(prefix));
      if (bit / 8 < index.size() - 48)
        CHECK(result == "table_checksum");
      else
        CHECK((result == "table_checksum" || result == "bad_table" || result == "bad_magic" || result == "ok"));
    }
  }

  TEST_CASE("every flip of a bit in an entry, sealed anew, opens or is refused") {
    const temp_folder folder;
    const made_checkpoint made = everything();
    const std::string prefix = made.write(folder);
    std::vector<std::pair<std::string, std::string>> entries = {{"", made.header}};
    for (const auto& [key, entry] : made.entries) entries.emplace_back(key, entry.message());
    for (std::size_t number = 0; number < entries.size(); ++number) {
      for (std::size_t bit = 0; bit < entries[number].second.size() * 8; ++bit) {
        auto damaged = entries;
        char& byte = damaged[number].second[bit / 8];
        byte = static_cast<char>(byte ^ (1 << bit % 8));
        stet::detail::sorted_table_writer out;
        for (const auto& [key, value] : damaged) out.add(key, value);
        folder.write("model.index", out.finish());
        const auto opened = open_tensorflow_checkpoint(prefix);
        if (!opened) continue;
        for (const stet::tensor each : opened->store) {
          std::vector<std::byte> all(static_cast<std::size_t>(std::min<std::uint64_t>(each.size_bytes(), 1 << 16)));
          (void)each.read(0, all);
          (void)each.verify_checksum();
        }
      }
    }
  }

  TEST_CASE("a truncated shard fails the tensors that reach beyond its end, and names itself") {
    const temp_folder folder;
    const made_checkpoint made = everything();
    const std::string prefix = made.write(folder);
    const auto whole = open_tensorflow_checkpoint(prefix);
    REQUIRE(whole);
    // Where the bytes of each tensor end in the first shard; its names here are keys.
    std::map<std::string, std::size_t> ends;
    for (const auto& [key, entry] : made.entries) {
      if (!entry.slices.empty() || entry.shard != 0) continue;
      std::string name = key;
      if (key[0] == '\0') name = key.find("columns") != std::string::npos ? "columns" : "rows";
      ends[name] = (std::max)(ends[name], static_cast<std::size_t>(entry.size == 0 ? 0 : entry.offset + entry.size));
    }
    REQUIRE(ends.size() == 5);
    for (std::size_t size = 0; size < made.shards[0].size(); ++size) {
      CAPTURE(size);
      folder.write("model.data-00000-of-00002", made.shards[0].substr(0, size));
      const auto opened = open_tensorflow_checkpoint(prefix);
      REQUIRE(opened);
      for (const stet::tensor expected : whole->store) {
        CAPTURE(std::string(expected.name()));
        const auto original = whole->store.original_of(expected);
        const auto end = ends.find(std::string(original ? original->name() : expected.name()));
        const auto found = opened->store.find(expected.name());
        if (!found && size < ends["_CHECKPOINTABLE_OBJECT_GRAPH"]) continue; // a second name
        REQUIRE(found);
        std::vector<std::byte> all(static_cast<std::size_t>(found->size_bytes())),
            as_it_was(static_cast<std::size_t>(expected.size_bytes()));
        const auto read = found->read(0, all);
        if (end != ends.end() && end->second > size) {
          CHECK(outcome(read) == "truncated");
          if (!read) CHECK(read.error().subject() == "model.data-00000-of-00002");
        } else {
          CHECK(read);
          CHECK(expected.read(0, as_it_was));
          CHECK(all == as_it_was);
        }
      }
    }
  }

  TEST_CASE("strings that were saved in slices are put together") {
    const temp_folder folder;
    made_checkpoint made(2);
    const auto add_slice = [&made](const char* name, const std::vector<slice_extent>& slice,
                                   const std::vector<std::uint64_t>& shape, const std::vector<std::string>& strings,
                                   std::uint32_t shard = 0) -> entry_fields& {
      made.entries[name].data_type = 7;
      made.entries[name].slices.push_back(slice);
      return made.add_strings(stet::detail::slice_key(name, slice), shape, strings, shard);
    };
    made.entries["rows"].shape = {3, 2};
    add_slice("rows", {{0, 2}, {0, -1}}, {2, 2}, {"a", "bc", "", "d"});
    add_slice("rows", {{2, 1}, {0, -1}}, {1, 2}, {"efg", "h"}, 1);
    made.entries["columns"].shape = {2, 3};
    add_slice("columns", {{0, -1}, {2, 1}}, {2, 1}, {"c", "f"}, 1);
    add_slice("columns", {{0, -1}, {0, 2}}, {2, 2}, {"a", "bb", "", "e"});
    made.entries["empty"].shape = {0, 3};
    add_slice("empty", {{0, -1}, {0, -1}}, {0, 3}, {});
    made.entries["scalar"].shape = {};
    add_slice("scalar", {}, {}, {"one"});
    made.entries["damaged"].shape = {2};
    add_slice("damaged", {{0, 1}}, {1}, {"x"});
    add_slice("damaged", {{1, 1}}, {1}, {"y"}).masked_crc ^= 1;
    made.entries["hole"].shape = {3};
    add_slice("hole", {{0, 1}}, {1}, {"x"});
    const std::string prefix = made.write(folder);
    for (const stet::backing how : {stet::backing::map, stet::backing::stream}) {
      stet::open_options options;
      options.backing = how;
      const auto opened = open_tensorflow_checkpoint(prefix, options);
      REQUIRE(opened);
      const auto texts = [&opened](const char* name) {
        const auto found = opened->store.find(name);
        const auto strings = found ? found->as_strings() : found.error();
        std::string made_text;
        for (std::size_t i = 0; strings && i < strings->size(); ++i)
          made_text.append(i == 0 ? "" : "|").append((*strings)[i]);
        return strings ? made_text : outcome(strings);
      };
      CHECK(texts("rows") == "a|bc||d|efg|h");
      CHECK(texts("columns") == "a|bb|c||e|f");
      CHECK(texts("empty") == "");
      CHECK(opened->store.find("empty")->size_bytes() == 8);
      CHECK(texts("scalar") == "one");
      for (const char* const name : {"rows", "columns", "scalar"})
        CHECK(outcome(opened->store.find(name)->verify_checksum()) == "ok");
      std::byte room[8];
      CHECK(outcome(opened->store.find("damaged")->read(0, room)) == "checksum_mismatch");
      CHECK(outcome(opened->store.find("hole")->read(0, room)) == "bad_slice");
    }
    REQUIRE(std::filesystem::remove(to_path(prefix + ".data-00001-of-00002")));
    const auto opened = open_tensorflow_checkpoint(prefix);
    REQUIRE(opened);
    std::byte room[8];
    for (const char* const name : {"rows", "columns"})
      CHECK(outcome(opened->store.find(name)->read(0, room)) == "missing_part");
    CHECK(opened->store.find("scalar")->read(0, room));
  }
}
