// SPDX-License-Identifier: MIT
// Tests of bundle.hpp: headers and entries as protobuf allows them, and what must be refused.
#include "support/outcome.hpp"
#include "support/sorted_tables.hpp"
#include "support/tensorflow_checkpoints.hpp"

#include <stet/formats/tensorflow/detail/bundle.hpp>

#include <doctest/doctest.h>

namespace {

using namespace std::literals;
using namespace stet_test;

std::string header_outcome(std::string_view message) {
  return outcome(stet::detail::parse_bundle_header(exact_text(message).bytes()));
}

std::string entry_outcome(std::string_view message) {
  const exact_text block(message);
  stet::detail::bundle_entry entry;
  const stet::errc failure = entry.parse(block.bytes());
  return failure == stet::errc{} ? "ok" : stet::describe(failure).name;
}

} // namespace

TEST_SUITE("tensorflow/bundle") {
  TEST_CASE("reads a header in any order, with what it does not know") {
    const auto plain = stet::detail::parse_bundle_header(exact_text("\x08\x01\x1a\x02\x08\x01"sv).bytes());
    REQUIRE(plain);
    CHECK(plain->shard_count == 1);
    CHECK_FALSE(plain->is_big_endian);
    const auto odd = stet::detail::parse_bundle_header(exact_text("\x7a\x01z\x10\x01\x08\x09\x08\x03"sv).bytes());
    REQUIRE(odd);
    CHECK(odd->shard_count == 3);
    CHECK(odd->is_big_endian);
  }

  TEST_CASE("refuses headers that name no shards, another byte order, or a later version") {
    CHECK(header_outcome("") == "bad_header");
    CHECK(header_outcome("\x08\x00"sv) == "bad_header");
    CHECK(header_outcome("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"sv) == "bad_header");
    CHECK(header_outcome("\x08\x01\x10\x02"sv) == "bad_header");
    CHECK(header_outcome("\x08"sv) == "bad_protobuf");
    CHECK(header_outcome("\x08\x01\x1a\x01\x08"sv) == "bad_protobuf");
    CHECK(header_outcome("\x08\x01\x1a\x03\x1a\x01\x80"sv) == "bad_protobuf");
    CHECK(header_outcome("\x08\x01\x1a\x02\x10\x01"sv) == "ok");
    CHECK(header_outcome("\x08\x01\x1a\x02\x10\x02"sv) == "newer_format");
    CHECK(header_outcome("\x08\x01\x1a\x02\x18\x01"sv) == "newer_format");
    CHECK(header_outcome("\x08\x01\x1a\x04\x1a\x02\x07\x01"sv) == "newer_format");
    CHECK(header_outcome("\x08\x01\x1a\x04\x1a\x02\x07\x02"sv) == "ok");
  }

  TEST_CASE("reads an entry, and nothing of the one before") {
    entry_fields fields;
    fields.data_type = 14;
    fields.shape = {3, 0, 70000};
    fields.shard = 2;
    fields.offset = 5000000000;
    fields.size = 12;
    fields.masked_crc = 0x1F273806u;
    fields.slices = {{{0, 2}, {0, -1}, {1, 5}}};
    const exact_text first(fields.message()), second("\x08\x07"sv);
    stet::detail::bundle_entry entry;
    REQUIRE(entry.parse(first.bytes()) == stet::errc{});
    CHECK(entry.data_type == 14);
    CHECK(std::vector<std::uint64_t>(entry.shape.extents().begin(), entry.shape.extents().end()) == fields.shape);
    CHECK(entry.shard == 2);
    CHECK(entry.offset_bytes == 5000000000);
    CHECK(entry.size_bytes == 12);
    CHECK(entry.masked_crc32c == 0x1F273806u);
    REQUIRE(entry.slices.size() == 1);
    std::vector<slice_extent> slice;
    REQUIRE(stet::detail::parse_slice(entry.slices[0], slice));
    REQUIRE(slice.size() == 3);
    CHECK(slice[0].length == 2);
    CHECK(slice[1].length == slice_extent::all);
    CHECK(slice[2].start == 1);

    REQUIRE(entry.parse(second.bytes()) == stet::errc{});
    CHECK(entry.data_type == 7);
    CHECK(entry.shape.extents().empty());
    CHECK(entry.shard == 0);
    CHECK(entry.offset_bytes == 0);
    CHECK(entry.size_bytes == 0);
    CHECK(entry.masked_crc32c == 0);
    CHECK(entry.slices.empty());
  }

  TEST_CASE("refuses shapes that are unknown or have too many dimensions") {
    entry_fields fields;
    fields.shape.assign(254, 1);
    CHECK(entry_outcome(fields.message()) == "ok");
    fields.shape.assign(255, 1);
    CHECK(entry_outcome(fields.message()) == "bad_shape");
    fields.shape = {~std::uint64_t{0}};
    CHECK(entry_outcome(fields.message()) == "bad_shape");
    CHECK(entry_outcome("\x12\x02\x18\x01"sv) == "bad_shape");
    CHECK(entry_outcome("\x12\x02\x18\x00"sv) == "ok");
    CHECK(entry_outcome("\x12\x03\x12\x01\x08"sv) == "bad_protobuf");
    CHECK(entry_outcome("\x12\x01\x12"sv) == "bad_protobuf");
    CHECK(entry_outcome("\x08"sv) == "bad_protobuf");
  }

  TEST_CASE("the shape of two messages is that of both, as protobuf merges them") {
    stet::detail::bundle_entry entry;
    REQUIRE(entry.parse(exact_text("\x12\x04\x12\x02\x08\x03\x12\x04\x12\x02\x08\x05"sv).bytes()) == stet::errc{});
    REQUIRE(entry.shape.extents().size() == 2);
    CHECK(entry.shape.extents()[0] == 3);
    CHECK(entry.shape.extents()[1] == 5);
  }

  TEST_CASE("the key of a slice is the ordered code that TensorFlow writes") {
    const slice_extent rows[] = {{2, 2}, {0, slice_extent::all}}, explicit_rows[] = {{0, 2}, {0, 4}};
    CHECK(stet::detail::slice_key("p", rows) == "\0p\0\x01\x01\x02\x82\x82\x80\x7f"s);
    CHECK(stet::detail::slice_key("p", explicit_rows) == "\0p\0\x01\x01\x02\x80\x82\x80\x84"s);
    CHECK(stet::detail::slice_key("a", {}) == "\0a\0\x01\0"s);
  }

  TEST_CASE("shards are numbered with five digits, or more") {
    CHECK(stet::detail::shard_suffix(0, 1) == ".data-00000-of-00001");
    CHECK(stet::detail::shard_suffix(100000, 123456) == ".data-100000-of-123456");
  }
}
