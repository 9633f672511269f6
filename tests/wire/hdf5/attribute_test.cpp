// SPDX-License-Identifier: MIT
// Attributes of every version, in headers and heaps, and the strings in them.
#include <stet/wire/hdf5/attribute.hpp>

#include "support/hdf5_bytes.hpp"
#include "support/hdf5_files.hpp"
#include "support/outcome.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace stet_test;
using namespace stet_test::made_hdf5;
using stet::detail::hdf5_object;

namespace {

/// "name=text|text number=2": the attributes of an object, strings as text, others by the size of their data;
/// or the error.
std::string list_attributes(std::string_view file, std::uint64_t at) {
  opened_hdf5 opened(file);
  if (!opened.file) return outcome(opened.file);
  const auto object = hdf5_object::read(*opened.file, at);
  if (!object) return outcome(object);
  const auto attributes = stet::detail::read_attributes(*opened.file, *object);
  if (!attributes) return outcome(attributes);
  std::string text;
  for (const auto& each : *attributes) {
    text.append(text.empty() ? "" : " ").append(each.name).append("=");
    const auto strings = stet::detail::read_strings(*opened.file, each);
    if (!strings) return outcome(strings);
    for (const std::string_view one : *strings) text.append(one).append("|");
    if (strings->empty()) text.append(std::to_string(each.data.size()));
  }
  return text;
}
std::string list_attributes(hdf5_bytes& made, std::initializer_list<made_message> messages) {
  const std::uint64_t at = made.object(messages);
  return list_attributes(made.file(at), at);
}
std::string list_attributes(std::initializer_list<made_message> messages) {
  hdf5_bytes made;
  return list_attributes(made, messages);
}

/// The attributes of the member `name` of the root of a file.
std::string list_attributes(const hdf5_sample& sample, std::string_view name) {
  const std::string file = sample.bytes();
  opened_hdf5 opened(file);
  if (!opened.file) return outcome(opened.file);
  const auto found = stet::detail::find_object(*opened.file, {name});
  return found ? list_attributes(file, found->address()) : outcome(found);
}

std::string attribute(std::uint8_t version, std::string_view name, const std::string& type, const std::string& space,
                      std::string_view data, std::uint8_t flags = 0) {
  hdf5_fields made;
  made.u8(version).u8(flags).u16(name.size() + 1).u16(type.size()).u16(space.size());
  if (version == 3) made.u8(0);
  for (const std::string& part : {std::string(name) + '\0', type, space}) {
    made.raw(part);
    if (version == 1) made.zeros((8 - part.size() % 8) % 8);
  }
  return made.raw(data);
}
/// The type of strings of a fixed size.
std::string text_type(std::uint32_t size, std::uint8_t padding) {
  return hdf5_fields().u8(0x13).sized(padding, 3).u32(size);
}
std::string pointer(std::uint32_t size, std::uint64_t collection, std::uint32_t number) {
  return hdf5_fields().u32(size).u64(collection).u32(number);
}

} // namespace

TEST_SUITE("wire/hdf5/attribute") {
  TEST_CASE("attributes of files of every generation") {
    CHECK(list_attributes(hdf5_files::links, "a") == "fixed=ab|c| number=4");
    CHECK(list_attributes(hdf5_files::dense, "noted") == "one=1 two=x|yz|"); // in the order of the tree
    CHECK(list_attributes(hdf5_files::strings, "fixed") == "list=x|yz|");
    CHECK(list_attributes(hdf5_files::huge, "g") == "names=" + std::string(4100, 'n') + "||last| short=1");
    CHECK(list_attributes(hdf5_files::shared, "a") == "number=4");
    CHECK(list_attributes(hdf5_files::shared, "g") == "number=4 text=x|yz|");
  }

  TEST_CASE("3,000 attributes in a heap") {
    hdf5_bytes made;
    const std::uint64_t heap = made.size(), block = heap + 146;
    constexpr std::uint64_t block_size = 1 << 17;
    made.raw("FRHP")
        .u8(0)
        .u16(8)
        .u16(0)
        .u8(0)
        .u32(255)
        .zeros(96)
        .u16(4)
        .u64(block_size)
        .u64(block_size)
        .u16(32)
        .u16(1)
        .u64(block)
        .u16(0)
        .seal(heap);
    made.raw("FHDB").u8(0).u64(heap).u32(0);
    std::string records, expected;
    for (int i = 0; i < 3000; ++i) {
      const std::string name = "a" + std::to_string(i), body = attribute(3, name, type_integer(1), space({}), "x");
      records += hdf5_fields().u8(0).u32(made.size() - block).u8(body.size()).zeros(2).u8(0).u32(0).u32(0).text();
      made.raw(body);
      expected += (i == 0 ? "" : " ") + name + "=1";
    }
    made.zeros(static_cast<std::size_t>(block + block_size - made.size()));
    const std::uint64_t leaf = made.size();
    made.raw("BTLF").u8(0).u8(8).raw(records).seal(leaf);
    const std::uint64_t tree = made.size();
    made.raw("BTHD").u8(0).u8(8).u32(1 << 16).u16(17).u16(0).u8(100).u8(40).u64(leaf).u16(3000).u64(3000).seal(tree);
    CHECK(list_attributes(made, {{is_attribute_info, hdf5_fields().u8(0).u8(0).u64(heap).u64(tree)}}) == expected);
  }

  TEST_CASE("attributes of every version") {
    for (std::uint8_t version = 1; version <= 3; ++version)
      CHECK(list_attributes({{is_attribute, attribute(version, "n", type_integer(2), space({2}), "abcd")}}) == "n=4");
    CHECK(list_attributes({{is_attribute, attribute(3, "none", type_integer(2), hdf5_fields().u8(2).u8(0).u8(0).u8(2),
                                                    "")}}) == "none=0");
  }

  TEST_CASE("strings of fixed size end at a NUL, or are padded") {
    CHECK(list_attributes({{is_attribute, attribute(3, "t", text_type(4, 0), space({2}),
                                                    std::string_view("a\0xxabcd", 8))}}) == "t=a|abcd|");
    CHECK(list_attributes({{is_attribute, attribute(3, "t", text_type(4, 1), space({}),
                                                    std::string_view("a\0b\0", 4))}}) == std::string("t=a\0b|", 6));
    CHECK(list_attributes({{is_attribute, attribute(3, "t", text_type(4, 2), space({}), "ab  ")}}) == "t=ab|");
  }

  TEST_CASE("strings of any size are where they say, or an error") {
    hdf5_bytes made;
    made.raw("GCOL").u8(1).zeros(3).u64(16 + 24).u16(1).u16(1).u32(0).u64(3).raw("one").zeros(5);
    const auto text = [&](const std::string& data) {
      return attribute(3, "s", type_variable_string(), space({data.size() / 16}), data);
    };
    CHECK(list_attributes(made, {{is_attribute, text(pointer(3, 48, 1) + pointer(2, 48, 1))}}) == "s=one|on|");
    CHECK(list_attributes(made, {{is_attribute, text(pointer(0, 0, 0) + pointer(0, hdf5_bytes::nowhere, 0))}}) ==
          "s=||");
    CHECK(list_attributes(made, {{is_attribute, text(pointer(4, 48, 1))}}) == "bad_hdf5");
    CHECK(list_attributes(made, {{is_attribute, text(pointer(3, 48, 2))}}) == "bad_hdf5");
    CHECK(list_attributes(made, {{is_attribute, text(pointer(3, 49, 1))}}) == "bad_hdf5");
    CHECK(list_attributes(made, {{is_attribute, text(pointer(3, 0, 0))}}) == "bad_hdf5");
  }

  TEST_CASE("damaged attributes are refused") {
    const std::string good = attribute(3, "n", type_integer(2), space({2}), "abcd");
    for (std::size_t size = 0; size < good.size(); ++size)
      CHECK(list_attributes({{is_attribute, good.substr(0, size)}}) == "bad_hdf5");
    CHECK(list_attributes({{is_attribute, attribute(0, "n", type_integer(2), space({2}), "abcd")}}) == "bad_hdf5");
    CHECK(list_attributes({{is_attribute, attribute(4, "n", type_integer(2), space({2}), "abcd")}}) == "bad_hdf5");
    CHECK(list_attributes({{is_attribute, attribute(3, "", type_integer(2), space({2}), "abcd")}}) == "bad_hdf5");
    CHECK(list_attributes({{is_attribute, attribute(3, "n", type_integer(0), space({2}), "abcd")}}) == "bad_hdf5");
    const std::uint64_t half = std::uint64_t{1} << 63, many = std::uint64_t{1} << 32;
    CHECK(list_attributes({{is_attribute, attribute(3, "n", type_integer(2), space({half, 2}), "abcd")}}) ==
          "bad_hdf5");
    CHECK(list_attributes({{is_attribute, attribute(3, "n", type_integer(2), space({many, many}), "abcd")}}) ==
          "bad_hdf5");
    CHECK(list_attributes({{is_attribute, attribute(3, "n", type_integer(2), space({0, many, many}), "")}}) ==
          "bad_hdf5");
    CHECK(list_attributes({{is_attribute, attribute(3, "n", type_integer(2), space({half}), "abcd")}}) == "bad_hdf5");
    CHECK(list_attributes({{is_attribute_info, ""}}) == "bad_hdf5");
    CHECK(list_attributes({{is_attribute_info, hdf5_fields().u8(1).u8(0).u64(hdf5_bytes::nowhere).u64(0)}}) ==
          "bad_hdf5");
    CHECK(list_attributes({{is_attribute_info, hdf5_fields().u8(0).u8(0).u64(48).u64(48)}}) ==
          "bad_hdf5"); // no heap there
    CHECK(list_attributes({{is_attribute_info, hdf5_fields().u8(0).u8(0).u64(hdf5_bytes::nowhere).u64(0)}}).empty());
  }

  TEST_CASE("a datatype with a name is looked up") {
    hdf5_bytes made;
    const std::uint64_t type = made.object({{is_type, type_integer(2)}});
    const std::string shared = hdf5_fields().u8(3).u8(2).u64(type), lost = hdf5_fields().u8(3).u8(2).u64(1);
    CHECK(list_attributes(made, {{is_attribute, attribute(3, "n", shared, space({2}), "abcd", 1)}}) == "n=4");
    CHECK(list_attributes(made, {{is_attribute, attribute(3, "n", lost, space({2}), "abcd", 1)}}) == "bad_hdf5");
  }
}
