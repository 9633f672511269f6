// SPDX-License-Identifier: MIT
// Tests of protobuf.hpp and its writer: every type of field, leniency where the format asks for it, and damage of all kinds.
#include "support/exact_text.hpp"

#include <stet/wire/protobuf.hpp>
#include <stet/wire/protobuf_writer.hpp>

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

namespace {

using namespace stet::detail;
using namespace std::string_view_literals;

using exact = stet_test::exact_text;

struct protobuf_outcome {
  std::vector<std::uint32_t> tags;
  bool is_whole = false;
  std::uint64_t offset = 0;
};

protobuf_outcome walk_message(std::string_view text) {
  const exact block(text);
  protobuf_message message(block.bytes());
  protobuf_outcome seen;
  while (message.next()) seen.tags.push_back(message.tag());
  seen.is_whole = message.is_whole();
  seen.offset = message.offset_bytes();
  return seen;
}

} // namespace

TEST_SUITE("protobuf") {
  TEST_CASE("reads every type of field where it lies") {
    protobuf_writer out;
    out.varint(1, 150).bytes(2, "testing").integer(3, -2).fixed32(4, 0x01020304).float64(5, 0.5).float32(1000, -1.5f);
    out.message(6, [](protobuf_writer& inner) { inner.varint(1, 7); });
    const exact block(out.view());
    protobuf_message message(block.bytes());
    REQUIRE(message.next());
    CHECK(message.tag() == varint_field(1));
    CHECK(message.varint() == 150);
    CHECK(message.boolean());
    REQUIRE(message.next());
    CHECK(message.tag() == bytes_field(2));
    CHECK(message.text() == "testing");
    CHECK(message.bytes().data() == block.bytes().data() + 5);
    REQUIRE(message.next());
    CHECK(message.int64() == -2);
    CHECK(message.int32() == -2);
    REQUIRE(message.next());
    CHECK(message.tag() == fixed32_field(4));
    CHECK(message.fixed32() == 0x01020304);
    REQUIRE(message.next());
    CHECK(message.tag() == fixed64_field(5));
    CHECK(message.float64() == 0.5);
    REQUIRE(message.next());
    CHECK(message.number() == 1000);
    CHECK(message.float32() == -1.5f);
    REQUIRE(message.next());
    protobuf_message inner(message.bytes());
    REQUIRE(inner.next());
    CHECK(inner.varint() == 7);
    CHECK_FALSE(inner.next());
    CHECK(inner.is_whole());
    CHECK_FALSE(message.next());
    CHECK(message.is_whole());
    CHECK_FALSE(message.next());
  }

  TEST_CASE("writes the bytes of the specification") {
    protobuf_writer out;
    out.varint(1, 150).bytes(2, "testing").message(3, [](protobuf_writer& inner) { inner.varint(1, 150); });
    CHECK(out.view() == "\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01"sv);
    CHECK(out.take().size() == 17);
    CHECK(out.view().empty());
    out.integer(1, -1).fixed32(2, 1).fixed64(3, 1);
    CHECK(out.view() == "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x15\x01\0\0\0\x19\x01\0\0\0\0\0\0\0"sv);
  }

  TEST_CASE("an empty message has no fields") {
    const protobuf_outcome seen = walk_message("");
    CHECK(seen.tags.empty());
    CHECK(seen.is_whole);
  }

  TEST_CASE("passes over groups") {
    // 1: group { 2: varint, 3: bytes, 4: group {}, 5: fixed32, 6: fixed64 }, 7: varint
    const protobuf_outcome seen =
        walk_message("\x0b\x10\x05\x1a\x02zz\x23\x24\x2d\1\2\3\4\x31\1\2\3\4\5\6\7\x08\x0c\x38\x01"sv);
    CHECK(seen.is_whole);
    CHECK(seen.tags == std::vector<std::uint32_t>{varint_field(7)});
  }

  TEST_CASE("refuses what is malformed, and says where") {
    const std::string deepest = std::string(max_protobuf_depth, '\x0b') + std::string(max_protobuf_depth, '\x0c');
    CHECK(walk_message(deepest).is_whole);
    const std::string too_deep = "\x08\x01" + std::string(200000, '\x0b');
    const std::pair<const char*, std::string_view> table[] = {
        {"field number 0", "\x08\x01\x02\x00"sv},
        {"a tag of 33 bits", "\x08\x01\x88\x80\x80\x80\x10\x00"sv},
        {"a tag of six bytes", "\x08\x01\x88\x80\x80\x80\x80\x00\x00"sv},
        {"a tag cut off", "\x08\x01\x88"sv},
        {"type 6", "\x08\x01\x0e\x00"sv},
        {"type 7", "\x08\x01\x0f\x00"sv},
        {"a varint cut off", "\x08\x01\x08\xff"sv},
        {"a varint missing", "\x08\x01\x08"sv},
        {"a varint of 65 bits", "\x08\x01\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"sv},
        {"fixed32 cut off", "\x08\x01\x0d\x01\x02\x03"sv},
        {"fixed64 cut off", "\x08\x01\x09\x01\x02\x03\x04\x05\x06\x07"sv},
        {"bytes beyond the end by one", "\x08\x01\x12\x03zz"sv},
        {"bytes of 2^64 - 1", "\x08\x01\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01zz"sv},
        {"bytes of 2^63", "\x08\x01\x12\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01zz"sv},
        {"bytes without a size", "\x08\x01\x12"sv},
        {"a group that is never closed", "\x08\x01\x0b\x08\x01"sv},
        {"a group closed by another", "\x08\x01\x0b\x14"sv},
        {"the end of no group", "\x08\x01\x0c"sv},
        {"field number 0 in a group", "\x08\x01\x0b\x00\x00\x0c"sv},
        {"type 7 in a group", "\x08\x01\x0b\x0f\x0c"sv},
        {"bytes beyond the end in a group", "\x08\x01\x0b\x12\x7f\x0c"sv},
        {"groups nested too deeply", too_deep},
    };
    for (const auto& row : table) {
      const auto& what = row.first;
      const auto& text = row.second;
      CAPTURE(what);
      const protobuf_outcome seen = walk_message(text);
      CHECK_FALSE(seen.is_whole);
      CHECK(seen.tags == std::vector<std::uint32_t>{varint_field(1)});
      CHECK(seen.offset == 2);
    }
  }

  TEST_CASE("a truncated message is malformed unless it ends between two fields") {
    protobuf_writer out;
    out.varint(1, 300).bytes(2, "abc").fixed32(3, 1).fixed64(4, 1);
    std::string text = out.take() + "\x2b\x08\x01\x2c"; // and a group
    const std::size_t ends[] = {0, 3, 8, 13, 22, text.size()};
    for (std::size_t size = 0; size <= text.size(); ++size) {
      bool between = false;
      for (const std::size_t end : ends) between |= size == end;
      CAPTURE(size);
      CHECK(walk_message(std::string_view(text).substr(0, size)).is_whole == between);
    }
  }

  TEST_CASE("every flip of a bit gives fields within the message, or a malformed one") {
    protobuf_writer out;
    out.varint(1, 300).bytes(2, "abc").fixed32(3, 1).message(5, [](protobuf_writer& inner) { inner.varint(1, 7); });
    const std::string good = out.take() + "\x33\x08\x01\x34";
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
      std::string text = good;
      text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << bit % 8));
      const exact block(text);
      protobuf_message message(block.bytes());
      while (message.next()) {
        if (message.type() != protobuf_type::bytes) continue;
        const auto payload = message.bytes();
        CHECK(payload.data() >= block.bytes().data());
        CHECK(payload.data() + payload.size() <= block.bytes().data() + block.bytes().size());
      }
      CHECK(message.offset_bytes() < text.size());
    }
  }

  TEST_CASE("repeated scalars are read packed and loose") {
    protobuf_writer out;
    out.varint(1, 5).bytes(1, "\x01\xac\x02"sv).fixed32(2, 9).bytes(2, "\x01\0\0\0\x02\0\0\0"sv).bytes(2, "");
    const exact block(out.view());
    protobuf_message message(block.bytes());
    std::vector<std::uint64_t> varints, words;
    while (message.next()) {
      if (message.number() == 1)
        CHECK(for_each_varint(message, [&](std::uint64_t value) { varints.push_back(value); }));
      else
        CHECK(for_each_fixed<std::uint32_t>(message, [&](std::uint32_t value) { words.push_back(value); }));
    }
    CHECK(varints == std::vector<std::uint64_t>{5, 1, 300});
    CHECK(words == std::vector<std::uint64_t>{9, 1, 2});

    out.clear();
    out.bytes(1, "\x01\x80"sv).bytes(2, "\1\2\3\4\5"sv);
    const exact damaged(out.view());
    protobuf_message bad(damaged.bytes());
    REQUIRE(bad.next());
    CHECK_FALSE(for_each_varint(bad, [](std::uint64_t) {}));
    REQUIRE(bad.next());
    CHECK_FALSE(for_each_fixed<std::uint32_t>(bad, [](std::uint32_t) { CHECK(false); }));
  }
}
