// SPDX-License-Identifier: MIT
// Datasets as tensors: names, places, what is not in the file, and files that are made to harm.
#include <stet/formats/hdf5/open.hpp>
#include <stet/store/open.hpp>
#include <stet/writer.hpp>

#include "support/hdf5_bytes.hpp"
#include "support/hdf5_files.hpp"
#include "support/outcome.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

using namespace stet_test;
using namespace stet_test::made_hdf5;

namespace {

/// "/a /b=/a omitted /c: not_found /d": the tensors of a file, second names with what they name, and what is omitted; or the
/// error with its subject.
std::string list(std::string_view text, bool is_strict = false) {
  const exact_text bytes(text);
  std::vector<stet::omitted_item> omitted;
  const auto opened = open_hdf5_bytes(bytes.bytes(), nullptr, is_strict, &omitted);
  if (!opened) return outcome(opened) + " " + std::string(opened.error().subject());
  std::string made;
  for (const stet::tensor each : *opened) {
    made.append(made.empty() ? "" : " ").append(each.name());
    if (const auto original = opened->original_of(each)) made.append("=").append(original->name());
  }
  for (const stet::omitted_item& each : omitted) {
    made.append(" omitted ").append(each.name).append(": ").append(stet::describe(each.reason.code()).name);
    made.append(" ").append(each.reason.subject());
  }
  return made;
}

/// Adds a dataset of one byte; its address.
std::uint64_t add_byte(hdf5_bytes& to) {
  return to.object({{is_type, type_integer(1)}, {is_space, space({1})}, {is_layout, compact("x")}});
}

/// A file whose root has one dataset "d" of these messages.
std::string with_dataset(std::initializer_list<made_message> messages) {
  hdf5_bytes made;
  const std::uint64_t at = made.object(messages);
  return made.file(made.object({{is_link_info, link_info()}, {is_link, hard_link("d", at)}}));
}
std::string list_dataset(std::initializer_list<made_message> messages, bool is_strict = false) {
  return list(with_dataset(messages), is_strict);
}
/// What reading "d" comes to.
std::string read_dataset(std::initializer_list<made_message> messages) {
  const exact_text bytes(with_dataset(messages));
  const auto opened = open_hdf5_bytes(bytes.bytes());
  if (!opened) return outcome(opened);
  const auto found = opened->find("/d");
  std::byte into[1];
  return found ? outcome(found->read(0, into)) : outcome(found);
}

constexpr std::uint64_t nowhere = hdf5_bytes::nowhere;

} // namespace

TEST_SUITE("formats/hdf5/import") {
  TEST_CASE("each dataset is a tensor once; further paths are its second names") {
    CHECK(list(hdf5_files::symbols.bytes()) ==
          "/again /big /compact /g/bf /true /z /h/bf=/g/bf /w=/again /soft=/again");
  }

  TEST_CASE("tensors in a file lie where they are") {
    const exact_text bytes(hdf5_files::links.bytes());
    const auto opened = open_hdf5_bytes(bytes.bytes());
    REQUIRE(opened);
    if (!opened) return;
    const auto a = opened->find("/a");
    REQUIRE(a);
    if (!a) return;
    CHECK(a->entry().part() == 0);
    std::int64_t values[2] = {};
    std::memcpy(values, bytes.bytes().data() + a->entry().offset_bytes(), sizeof values);
    CHECK(values[0] == 1);
    CHECK(values[1] == 2);
  }

  TEST_CASE("groups that hold each other end, and every member has a name") {
    hdf5_bytes made;
    const std::uint64_t data = add_byte(made);
    // Each group is as long as the other; so the second one's address is known before it is made.
    const std::uint64_t first = made.size();
    hdf5_bytes measure;
    measure.object({{is_link_info, link_info()}, {is_link, hard_link("d", data)}, {is_link, hard_link("o", 0)}});
    const std::uint64_t second = first + measure.size() - 48;
    REQUIRE(made.object(
                {{is_link_info, link_info()}, {is_link, hard_link("d", data)}, {is_link, hard_link("o", second)}}) ==
            first);
    REQUIRE(
        made.object({{is_link_info, link_info()}, {is_link, hard_link("d", data)}, {is_link, hard_link("o", first)}}) ==
        second);
    CHECK(list(made.file(first)) == "/d /o/d=/d");
  }

  TEST_CASE("groups with many names for each other do not multiply") {
    // 40 groups, each with eight names for the next: 8^40 paths.
    hdf5_bytes made;
    std::uint64_t at = add_byte(made);
    for (int depth = 0; depth < 40; ++depth) {
      const auto link = [&](std::string_view name) { return made_message{is_link, hard_link(name, at)}; };
      at = made.object({{is_link_info, link_info()},
                        link("a"),
                        link("b"),
                        link("c"),
                        link("d"),
                        link("e"),
                        link("f"),
                        link("g"),
                        link("h")});
    }
    CHECK(list(made.file(at)).substr(0, 8) == "bad_hdf5");
  }

  TEST_CASE("a dataset with some names more has them all") {
    hdf5_bytes made;
    const std::uint64_t data = add_byte(made);
    const std::uint64_t inner = made.object({{is_link_info, link_info()}, {is_link, hard_link("x", data)}});
    CHECK(list(made.file(made.object(
              {{is_link_info, link_info()}, {is_link, hard_link("a", inner)}, {is_link, hard_link("b", inner)}}))) ==
          "/a/x /b/x=/a/x");
  }

  TEST_CASE("groups nest as deep as the budget pays for their paths") {
    const auto nested = [](int depth) {
      hdf5_bytes made;
      std::uint64_t at = add_byte(made);
      for (int i = 0; i < depth; ++i) at = made.object({{is_link_info, link_info()}, {is_link, hard_link("g", at)}});
      return list(made.file(at)).substr(0, 8);
    };
    CHECK(nested(64) == "/g/g/g/g");
    CHECK(nested(65) == "/g/g/g/g");
    CHECK(nested(600) == "/g/g/g/g");
    CHECK(nested(20000) == "bad_hdf5"); // the paths together are many times the file
  }

  TEST_CASE("two members of one name are refused") {
    hdf5_bytes made;
    const std::uint64_t data = add_byte(made), other = add_byte(made);
    CHECK(list(made.file(made.object(
              {{is_link_info, link_info()}, {is_link, hard_link("a", data)}, {is_link, hard_link("a", other)}}))) ==
          "duplicate_name /a");
  }

  TEST_CASE("an object that is neither group nor dataset nor named type is refused") {
    CHECK(list_dataset({{is_type, type_integer(1)}}).empty());
    CHECK(list_dataset({{is_type, type_integer(1)}, {is_space, space({1})}}) == "bad_hdf5 /d"); // its layout is lost
    CHECK(list_dataset({{is_space, space({1})}}) == "bad_hdf5 /d");
    CHECK(list_dataset({}) == "bad_hdf5 /d");
    CHECK(list_dataset({{is_layout, compact("x")}, {is_space, space({1})}}) == "bad_hdf5 /d");
    CHECK(list_dataset({{is_layout, compact("x")}, {is_type, type_integer(1)}}) == "bad_hdf5 /d");
    hdf5_bytes made;
    CHECK(list(made.file(add_byte(made))) == "bad_hdf5 /"); // a root that is no group
    hdf5_bytes lost;
    CHECK(list(lost.file(lost.object({{is_link_info, link_info()}, {is_link, hard_link("d", 1 << 20)}}))) ==
          "bad_hdf5 /d");
    hdf5_bytes undefined;
    CHECK(list(undefined.file(undefined.object({{is_link_info, link_info()}, {is_link, hard_link("d", nowhere)}}))) ==
          "bad_hdf5 /d");
  }

  TEST_CASE("shapes and sizes that lie are refused by the exact reason") {
    const made_message type{is_type, type_integer(4)};
    const std::uint64_t half = std::uint64_t{1} << 63, many = std::uint64_t{1} << 32;
    CHECK(list_dataset({type, {is_space, space({2})}, {is_layout, compact("12345678")}}) == "/d");
    CHECK(list_dataset({type, {is_space, space({2})}, {is_layout, compact("1234567")}}) == "bad_size /d");
    CHECK(list_dataset({type, {is_space, space({2})}, {is_layout, compact("123456789")}}) == "bad_size /d");
    CHECK(list_dataset({type, {is_space, space({2})}, {is_layout, contiguous(48, 7)}}) == "bad_size /d");
    CHECK(list_dataset({type, {is_space, space({2})}, {is_layout, contiguous(48, 8)}}) == "/d");
    CHECK(list_dataset({type, {is_space, space({2})}, {is_layout, contiguous(48, 80)}}) == "/d"); // with room to spare
    CHECK(list_dataset({type, {is_space, space({2})}, {is_layout, contiguous(1 << 20, 8)}}) == "truncated /d");
    CHECK(list_dataset({type, {is_space, space({2})}, {is_layout, contiguous(nowhere - 4, 8)}}) == "truncated /d");
    CHECK(list_dataset({type, {is_space, space({1000})}, {is_layout, contiguous(48, 4000)}}) == "truncated /d");
    CHECK(list_dataset({type, {is_space, space({half, 2})}, {is_layout, contiguous(48, 0)}}) == "bad_shape /d");
    CHECK(list_dataset({type, {is_space, space({many, many})}, {is_layout, contiguous(48, 0)}}) == "bad_shape /d");
    CHECK(list_dataset({type, {is_space, space({many, many, 0})}, {is_layout, contiguous(48, 0)}}) == "bad_shape /d");
    CHECK(list_dataset({type, {is_space, space({std::uint64_t{1} << 62})}, {is_layout, contiguous(48, 0)}}) ==
          "bad_shape /d");
    CHECK(list_dataset({type, {is_space, space({0, 7})}, {is_layout, contiguous(nowhere, 0)}}) == "/d");
    CHECK(list_dataset({type, {is_space, ""}, {is_layout, compact("")}}) == "bad_hdf5 /d");
    CHECK(list_dataset({{is_type, ""}, {is_space, space({1})}, {is_layout, compact("")}}) == "bad_hdf5 /d");
    CHECK(list_dataset({type, {is_space, space({1})}, {is_layout, ""}}) == "bad_hdf5 /d");
    CHECK(list_dataset({type, {is_space, space({1})}, {is_layout, contiguous(48, 4), 2}}) ==
          "bad_hdf5 /d"); // shared, as none is
    CHECK(list_dataset({type,
                        {is_space, space({1})},
                        {is_layout, compact("1234")},
                        {is_fill, hdf5_fields().u8(3).u8(0x20).u32(2).raw("ab")}}) ==
          "bad_hdf5 /d"); // a fill value of another size
  }

  TEST_CASE("chunks that lie are refused, or their reading is") {
    const made_message type{is_type, type_integer(4)};
    const auto chunked = [](std::uint64_t address, std::uint32_t extent, std::uint32_t element_size) {
      return made_message{is_layout, hdf5_fields().u8(3).u8(2).u8(2).u64(address).u32(extent).u32(element_size)};
    };
    CHECK(list_dataset({type, {is_space, space({8})}, chunked(nowhere, 4, 4)}) == "/d");
    CHECK(list_dataset({type, {is_space, space({8})}, chunked(nowhere, 4, 8)}) ==
          "bad_hdf5 /d"); // elements of another size
    CHECK(list_dataset({type, {is_space, space({8, 1})}, chunked(nowhere, 4, 4)}) == "bad_hdf5 /d");
    CHECK(list_dataset({type, {is_space, space({8})}, chunked(48, 4, 4)}) == "bad_hdf5 /d");
    CHECK(list_dataset({type, {is_space, space({8})}, chunked(nowhere, 4, 4), {is_filters, ""}}) == "bad_hdf5 /d");
    CHECK(read_dataset({type, {is_space, space({8})}, chunked(nowhere, 4, 4)}) == "ok"); // never written: zeros
    const made_message nbit{is_filters, hdf5_fields().u8(2).u8(1).u16(5).u16(0).u16(0)},
        deflate{is_filters, hdf5_fields().u8(2).u8(1).u16(1).u16(0).u16(0)};
    CHECK(read_dataset({type, {is_space, space({8})}, chunked(nowhere, 4, 4), nbit}) == "unsupported");
    CHECK(read_dataset({type, {is_space, space({8})}, chunked(nowhere, 4, 4), deflate}) == "compressed");
  }

  TEST_CASE("terabytes that a few bytes stand for are listed, and not read") {
    const made_message type{is_type, type_integer(1)}, fits{is_space, space({std::uint64_t{1} << 32})},
        bomb{is_space, space({std::uint64_t{1} << 40})};
    const made_message never{is_layout, contiguous(nowhere, 0)},
        chunks{is_layout, hdf5_fields().u8(3).u8(2).u8(2).u64(nowhere).u32(1 << 30).u32(1)};
    CHECK(read_dataset({type, fits, never}) == "ok");
    CHECK(read_dataset({type, bomb, never}) == "too_large");
    CHECK(read_dataset({type, fits, chunks}) == "ok");
    CHECK(read_dataset({type, bomb, chunks}) == "too_large");
    const made_message strings{is_type, type_variable_string()};
    CHECK(read_dataset({strings, {is_space, space({std::uint64_t{1} << 30})}, never}) == "too_large");
  }

  TEST_CASE("strings that are not where they say are listed, and not read") {
    const made_message type{is_type, type_variable_string()};
    const auto text = [](std::uint64_t collection) {
      return made_message{is_layout, compact(hdf5_fields().u32(3).u64(collection).u32(1))};
    };
    CHECK(read_dataset({type, {is_space, space({1})}, text(1 << 20)}) == "bad_string_table");
    CHECK(read_dataset({type, {is_space, space({1})}, text(48)}) == "bad_string_table");
  }

  TEST_CASE("strings that share their bytes take no more memory than the file justifies") {
    // 4,000 strings of the same 60,000 bytes.
    hdf5_bytes made;
    made.raw("GCOL").u8(1).zeros(3).u64(16 + 16 + 60000).u16(1).u16(1).u32(0).u64(60000).zeros(60000);
    const std::uint64_t elements = made.size();
    for (int i = 0; i < 4000; ++i) made.u32(60000).u64(48).u32(1);
    const std::uint64_t data = made.object(
        {{is_type, type_variable_string()}, {is_space, space({4000})}, {is_layout, contiguous(elements, 64000)}});
    const exact_text bytes(made.file(made.object({{is_link_info, link_info()}, {is_link, hard_link("d", data)}})));
    const auto opened = open_hdf5_bytes(bytes.bytes());
    REQUIRE(opened);
    if (!opened) return;
    CHECK(use_tensors(*opened).empty());
    std::byte into[1];
    CHECK(outcome((*opened->find("/d")).read(0, into)) == "too_large");
  }

  TEST_CASE("links out of the file and data outside it: passed over or unreadable, or refused") {
    hdf5_bytes soft;
    const std::string file = soft.file(soft.object({{is_link_info, link_info()}, {is_link, soft_link("s", "/x")}}));
    CHECK(list(file) == " omitted /s: not_found /x");
    CHECK(list(file, true) == "unsupported /s");
    CHECK(list(hdf5_files::links.bytes(), true) == "unsupported /outside");
    const exact_text bytes(hdf5_files::elsewhere.bytes());
    const auto opened = open_hdf5_bytes(bytes.bytes());
    REQUIRE(opened);
    if (!opened) return;
    CHECK(use_tensors(*opened) == "external_data external_data");
    CHECK(list(hdf5_files::elsewhere.bytes(), true) == "unsupported /virtual");
    const made_message external{is_external, hdf5_fields().u8(1).zeros(3).u16(1).u16(1).u64(48)};
    CHECK(list_dataset({{is_type, type_integer(1)}, {is_space, space({1})}, {is_layout, contiguous(0, 1)}, external},
                       true) == "unsupported /d");
  }

  TEST_CASE("soft links to what is in the file are second names; those that lead nowhere are omitted") {
    hdf5_bytes made;
    const std::uint64_t data = add_byte(made);
    const std::uint64_t inner = made.object({{is_link_info, link_info()},
                                             {is_link, hard_link("x", data)},
                                             {is_link, soft_link("beside", "x")},
                                             {is_link, soft_link("up", "/g")},
                                             {is_link, soft_link("top", "/")}});
    const auto list_with = [&](std::string_view name, std::string_view target) {
      hdf5_bytes file = made;
      return list(file.file(file.object(
          {{is_link_info, link_info()}, {is_link, hard_link("g", inner)}, {is_link, soft_link(name, target)}})));
    };
    CHECK(list_with("s", "/g/x") == "/g/x /g/beside=/g/x /s=/g/x");
    CHECK(list_with("s", "g//./x") == "/g/x /g/beside=/g/x /s=/g/x");
    CHECK(list_with("a", "/g") == "/g/x /g/beside=/g/x /a/beside=/g/x /a/x=/g/x");
    CHECK(list_with("s", "/g/beside") == "/g/x /g/beside=/g/x /s=/g/x");
    CHECK(list_with("a", "/g/y") == "/g/x /g/beside=/g/x omitted /a: not_found /g/y");
    CHECK(list_with("a", "/a") == "/g/x /g/beside=/g/x omitted /a: not_found /a");
    CHECK(list_with("a", "") == "/g/x /g/beside=/g/x");
    CHECK(list_with("a", "a/b/c") == "/g/x /g/beside=/g/x omitted /a: not_found /a/b/c");

    hdf5_bytes chain; // each leads to the next one, and only the last to a dataset
    const std::uint64_t last = add_byte(chain);
    CHECK(list(chain.file(chain.object({{is_link_info, link_info()},
                                        {is_link, soft_link("a", "b")},
                                        {is_link, soft_link("b", "c")},
                                        {is_link, soft_link("c", "d")},
                                        {is_link, hard_link("d", last)}}))) == "/d /c=/d /b=/d /a=/d");
    hdf5_bytes ring;
    CHECK(list(ring.file(ring.object(
              {{is_link_info, link_info()}, {is_link, soft_link("a", "b")}, {is_link, soft_link("b", "a")}}))) ==
          " omitted /a: not_found /b omitted /b: not_found /b");
    hdf5_bytes empty; // a link to a group that has no tensors leads somewhere
    const std::uint64_t nothing = empty.object({{is_link_info, link_info()}});
    CHECK(list(empty.file(empty.object(
                   {{is_link_info, link_info()}, {is_link, hard_link("e", nothing)}, {is_link, soft_link("s", "e")}})))
              .empty());
  }

  TEST_CASE("soft links cost no more than the file justifies") {
    // 300 links to each other in the order that takes the most passes, and then 20,000.
    const auto chained = [](std::size_t count) {
      hdf5_bytes made;
      const std::uint64_t data = add_byte(made);
      std::vector<made_message> messages{{is_link_info, link_info()}};
      const auto name = [](std::size_t number) { return "l" + std::to_string(100000 + number); };
      for (std::size_t i = 0; i < count; ++i)
        messages.push_back({is_link, soft_link(name(i), i + 1 == count ? "d" : name(i + 1))});
      messages.push_back({is_link, hard_link("d", data)});
      const std::string bodies = [&] {
        std::string text;
        for (const made_message& each : messages)
          text += hdf5_fields().u8(each.type).u16(each.body.size()).u8(each.flags).raw(each.body).text();
        return text;
      }();
      const std::uint64_t at = made.size();
      made.raw("OHDR").u8(2).u8(2).u32(bodies.size()).raw(bodies).seal(at);
      return list(made.file(at)).substr(0, 8);
    };
    CHECK(chained(100) == "/d /l100");
    CHECK(chained(20000) == "bad_hdf5");
  }

  TEST_CASE("links out of the file, and to what only a program knows, are omitted with the reason") {
    hdf5_bytes made;
    const std::string external = hdf5_fields().u8(1).u8(8).u8(64).u8(1).raw("e").u16(9).u8(0).raw(
                          std::string_view("p.h5\0/w\0", 8)),
                      own = hdf5_fields().u8(1).u8(8).u8(100).u8(1).raw("u").u16(2).raw("??");
    CHECK(list(made.file(made.object(
              {{is_link_info, link_info()}, {is_link, external}, {is_link, own}, {is_link, soft_link("s", "/e")}}))) ==
          " omitted /e: external_data p.h5 omitted /u: external_data ?? omitted /s: external_data p.h5");
    CHECK(list(hdf5_files::links.bytes()).find("omitted /outside: external_data") != std::string::npos);
    CHECK(list_dataset({{is_type, type_integer(1)},
                        {is_space, hdf5_fields().u8(2).u8(0).u8(0).u8(2)},
                        {is_layout, compact("")}}) == " omitted /d: bad_shape /d");
  }

  TEST_CASE("a group whose links cannot be read is omitted with the reason, or the file is refused") {
    const std::string file = hdf5_files::filtered_groups.bytes();
    CHECK(list(file).find(" omitted /deflated: compressed") != std::string::npos);
    CHECK(list(file, true) == "compressed /deflated");
  }

  TEST_CASE("names that a store cannot have are omitted, and nothing else") {
    hdf5_bytes made;
    const std::uint64_t data = add_byte(made);
    const auto named = [&](std::string_view name) {
      hdf5_bytes file = made;
      return list(file.file(file.object({{is_link_info, link_info()}, {is_link, hard_link(name, data)}})));
    };
    CHECK(named("\xff") == " omitted /\xff: bad_name /\xff");
    CHECK(named(std::string_view("\xc3\xa4")) == "/\xc3\xa4");
    hdf5_bytes file = made;
    const std::uint64_t inner = file.object({{is_link_info, link_info()}, {is_link, hard_link("x", data)}});
    CHECK(list(file.file(file.object({{is_link_info, link_info()},
                                      {is_link, hard_link("a", data)},
                                      {is_link, hard_link("gr\xfc\xdf", inner)},
                                      {is_link, hard_link("z", inner)}}))) ==
          "/a /z/x=/a omitted /gr\xfc\xdf: bad_name /gr\xfc\xdf");
  }

  TEST_CASE("strings of any number of fixed widths are blocks, which a store saved of them has, too") {
    for (const std::uint32_t count : {65u, 1000u}) {
      CAPTURE(count);
      hdf5_bytes made;
      std::vector<made_message> messages = {{is_link_info, link_info()}};
      for (std::uint32_t width = 1; width <= count; ++width) {
        const std::string type = hdf5_fields().u8(0x13).sized(0, 3).u32(width);
        const std::uint64_t at =
            made.object({{is_type, type}, {is_space, space({1})}, {is_layout, compact(std::string(width, 'w'))}});
        messages.push_back({is_link, hard_link(std::to_string(width), at)});
      }
      const exact_text bytes(made.file(made.object(messages)));
      const auto opened = open_hdf5_bytes(bytes.bytes());
      REQUIRE(opened);
      stet::writer writer;
      for (const stet::tensor each : *opened) {
        const std::vector<std::uint64_t> shape(each.shape().begin(), each.shape().end());
        writer.add_bytes(each.name(), each.layout(), shape, each.bytes());
      }
      const auto saved = writer.save_to_memory();
      REQUIRE(saved);
      const auto again = stet::open(std::span<const std::byte>(*saved));
      REQUIRE(again);
      CHECK(again->tensor_count() == count);
      bool is_same = true;
      for (std::uint32_t width = 1; width <= count; ++width) {
        const auto found = again->find("/" + std::to_string(width));
        is_same = is_same && found &&
                  found->layout().block == stet::block_type{"string" + std::to_string(width), 1, width} &&
                  found->bytes().size() == width && found->bytes().back() == std::byte{'w'};
      }
      CHECK(is_same);
    }
  }

  TEST_CASE("bfloat16 is two opaque bytes whose attribute says so") {
    const made_message type{is_type, hdf5_fields().u8(0x15).sized(0, 3).u32(2)}, shape{is_space, space({1})},
        data{is_layout, compact("ab")};
    const auto attribute = [](std::string_view text) {
      const std::string string_type = hdf5_fields().u8(0x13).sized(1, 3).u32(8), scalar = space({});
      hdf5_fields body;
      body.u8(3)
          .u8(0)
          .u16(6)
          .u16(string_type.size())
          .u16(scalar.size())
          .u8(0)
          .raw(std::string_view("dtype\0", 6))
          .raw(string_type)
          .raw(scalar);
      return made_message{is_attribute, body.raw(text)};
    };
    const auto dtype = [&](std::initializer_list<made_message> messages) {
      const exact_text bytes(with_dataset(messages));
      const auto opened = open_hdf5_bytes(bytes.bytes());
      return opened ? std::string(stet::describe((*opened->find("/d")).dtype()).name) : outcome(opened);
    };
    CHECK(dtype({type, shape, data, attribute("bfloat16")}) == "bfloat16");
    CHECK(dtype({type, shape, data, attribute("other\0\0\0")}) == "bad_hdf5"); // which ends early
    CHECK(dtype({type, shape, data, attribute("float16z")}) == "block");
    CHECK(dtype({type, shape, data}) == "block");
  }
}
