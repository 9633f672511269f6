// SPDX-License-Identifier: MIT
// Layouts of every version, pipelines of filters, and fill values.
#include <stet/wire/hdf5/layout.hpp>

#include "support/hdf5_bytes.hpp"
#include "support/outcome.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace stet_test;
using namespace stet_test::made_hdf5;
using stet::errc;
using stet::detail::hdf5_chunk_index;
using stet::detail::hdf5_filter;
using stet::detail::hdf5_layout;
using stet::detail::hdf5_object;
using stet::detail::hdf5_storage;

namespace {

errc parse(const std::string& body, hdf5_layout& into) {
  into = {};
  return into.parse(exact_text(body).bytes());
}
errc parse(const std::string& body) {
  hdf5_layout ignored;
  return parse(body, ignored);
}

/// The fill value that an object with this message has, as text, or the error.
std::string fill_of(made_message message) {
  hdf5_bytes made;
  const std::uint64_t at = made.object({std::move(message)});
  opened_hdf5 opened(made.file(at));
  if (!opened.file) return outcome(opened.file);
  const auto object = hdf5_object::read(*opened.file, at);
  if (!object) return outcome(object);
  const auto value = stet::detail::read_fill_value(*opened.file, *object);
  return value ? std::string(reinterpret_cast<const char*>(value->data()), value->size()) : outcome(value);
}

} // namespace

TEST_SUITE("wire/hdf5/layout") {
  TEST_CASE("layouts of versions 1 and 2") {
    hdf5_layout layout;
    CHECK(parse(hdf5_fields().u8(1).u8(2).u8(1).zeros(5).u64(400).u32(3).u32(4), layout) == errc{});
    CHECK(layout.storage == hdf5_storage::contiguous);
    CHECK(layout.address == 400);
    CHECK(!layout.has_size);
    CHECK(parse(hdf5_fields().u8(2).u8(1).u8(0).zeros(5).u32(3).u32(2).raw("ab"), layout) == errc{});
    CHECK(layout.compact.size() == 2);
    CHECK(parse(hdf5_fields().u8(1).u8(3).u8(2).zeros(5).u64(500).u32(5).u32(6).u32(4), layout) == errc{});
    CHECK(layout.rank == 2);
    CHECK(layout.chunk[1] == 6);
    CHECK(layout.element_size == 4);
    CHECK(layout.index == hdf5_chunk_index::btree1);
    CHECK(parse(hdf5_fields().u8(1).u8(1).u8(3).zeros(5).u64(0)) == errc::unsupported);
  }

  TEST_CASE("layouts of version 3") {
    hdf5_layout layout;
    CHECK(parse(contiguous(96, 24), layout) == errc{});
    CHECK(layout.has_size);
    CHECK(layout.size_bytes == 24);
    CHECK(parse(compact("abc"), layout) == errc{});
    CHECK(layout.compact.size() == 3);
    CHECK(parse(hdf5_fields().u8(3).u8(2).u8(2).u64(77).u32(9).u32(8), layout) == errc{});
    CHECK(layout.rank == 1);
    CHECK(layout.chunk[0] == 9);
    CHECK(layout.element_size == 8);
  }

  TEST_CASE("layouts of version 4 name the index of chunks") {
    hdf5_layout layout;
    const auto chunked = [](std::uint8_t flags, std::uint8_t index, std::string_view details) {
      return hdf5_fields().u8(4).u8(2).u8(flags).u8(2).u8(2).u16(300).u16(4).u8(index).raw(details).u64(640).text();
    };
    CHECK(parse(chunked(2, 1, hdf5_fields().u64(55).u32(6).text()), layout) == errc{});
    CHECK(layout.index == hdf5_chunk_index::single);
    CHECK(layout.single_size_bytes == 55);
    CHECK(layout.single_mask == 6);
    CHECK(layout.address == 640);
    CHECK(layout.chunk[0] == 300);
    const std::size_t details[] = {0, 0, 0, 1, 5, 6};
    for (std::uint8_t index = 1; index <= 5; ++index) {
      CHECK(parse(chunked(1, index, std::string(details[index], 'd')), layout) == errc{});
      CHECK(static_cast<int>(layout.index) == index);
      CHECK(layout.address == 640);
      CHECK(layout.leaves_edges);
    }
    CHECK(parse(chunked(0, 0, "")) == errc::unsupported);
    CHECK(parse(chunked(0, 6, "")) == errc::unsupported);
  }

  TEST_CASE("layouts that end early or whose chunks have no elements are damaged") {
    for (const std::string& good :
         {contiguous(96, 24), compact("abc"), hdf5_fields().u8(3).u8(2).u8(2).u64(77).u32(9).u32(8).text(),
          hdf5_fields().u8(4).u8(2).u8(0).u8(2).u8(1).u8(3).u8(4).u8(2).u64(640).text()}) {
      REQUIRE(parse(good) == errc{});
      for (std::size_t size = 0; size < good.size(); ++size) CHECK(parse(good.substr(0, size)) != errc{});
    }
    CHECK(parse("") == errc::bad_hdf5);
    CHECK(parse(hdf5_fields().u8(3).u8(2).u8(2).u64(77).u32(0).u32(8)) == errc::bad_hdf5);
    CHECK(parse(hdf5_fields().u8(3).u8(2).u8(1).u64(77).u32(8)) == errc::bad_hdf5);         // no extents
    CHECK(parse(hdf5_fields().u8(3).u8(2).u8(34).u64(77).zeros(34 * 4)) == errc::bad_hdf5); // rank 33
    CHECK(parse(hdf5_fields().u8(4).u8(2).u8(0).u8(2).u8(9).zeros(30)) == errc::bad_hdf5);  // extents of 9 bytes
    CHECK(parse(hdf5_fields().u8(6).u8(1).u64(0).u64(0)) == errc::unsupported);
    CHECK(parse(hdf5_fields().u8(0).u8(1).u64(0).u64(0)) == errc::unsupported);
    CHECK(parse(hdf5_fields().u8(3).u8(4).u64(0).u64(0)) == errc::unsupported);
  }

  TEST_CASE("pipelines of both versions") {
    std::vector<hdf5_filter> filters;
    const exact_text first(hdf5_fields()
                               .u8(1)
                               .u8(2)
                               .zeros(6)
                               .u16(2)
                               .u16(8)
                               .u16(1)
                               .u16(1)
                               .raw("shuffle")
                               .zeros(1)
                               .u32(4)
                               .u32(0)
                               .u16(3)
                               .u16(0)
                               .u16(1)
                               .u16(0));
    REQUIRE(stet::detail::read_filters(first.bytes(), filters));
    REQUIRE(filters.size() == 2);
    CHECK(filters[0].id == hdf5_filter::shuffle);
    CHECK(filters[0].name == "shuffle");
    CHECK(filters[0].value == 4);
    CHECK(filters[1].id == hdf5_filter::fletcher);
    filters.clear();
    const exact_text second(hdf5_fields()
                                .u8(2)
                                .u8(2)
                                .u16(1)
                                .u16(0)
                                .u16(1)
                                .u32(6)
                                .u16(32000)
                                .u16(3)
                                .u16(0)
                                .u16(3)
                                .raw("lzf")
                                .u32(1)
                                .u32(2)
                                .u32(3));
    REQUIRE(stet::detail::read_filters(second.bytes(), filters));
    REQUIRE(filters.size() == 2);
    CHECK(filters[0].value == 6);
    CHECK(filters[1].id == hdf5_filter::lzf);
    CHECK(filters[1].name == "lzf");
  }

  TEST_CASE("damaged pipelines are none") {
    const auto is_read = [](const std::string& body) {
      std::vector<hdf5_filter> filters;
      return stet::detail::read_filters(exact_text(body).bytes(), filters);
    };
    const std::string good = hdf5_fields().u8(2).u8(1).u16(1).u16(0).u16(1).u32(6);
    REQUIRE(is_read(good));
    for (std::size_t size = 0; size < good.size(); ++size) CHECK(!is_read(good.substr(0, size)));
    CHECK(!is_read(hdf5_fields().u8(3).u8(0)));
    CHECK(!is_read(hdf5_fields().u8(2).u8(33).zeros(33 * 6)));                   // as many as masks have no bits for
    CHECK(!is_read(hdf5_fields().u8(2).u8(1).u16(1).u16(0).u16(0xFFFF).u32(6))); // values that are not there
    CHECK(!is_read(hdf5_fields().u8(2).u8(1).u16(300).u16(9).u16(0).u16(0).raw("short")));
  }

  TEST_CASE("fill values of every version") {
    CHECK(fill_of({is_fill, hdf5_fields().u8(3).u8(0x20).u32(2).raw("ab")}) == "ab");
    CHECK(fill_of({is_fill, hdf5_fields().u8(3).u8(0)}).empty());
    CHECK(fill_of({is_fill, hdf5_fields().u8(2).u8(2).u8(2).u8(1).u32(2).raw("ab")}) == "ab");
    CHECK(fill_of({is_fill, hdf5_fields().u8(2).u8(2).u8(2).u8(1).u32(0)}).empty());
    CHECK(fill_of({is_fill, hdf5_fields().u8(2).u8(2).u8(2).u8(0)}).empty());
    CHECK(fill_of({is_fill, hdf5_fields().u8(1).u8(2).u8(2).u8(0).u32(0xFFFFFFFF)}).empty());
    CHECK(fill_of({4, hdf5_fields().u32(2).raw("ab")}) == "ab"); // the old message
    CHECK(fill_of({is_space, ""}).empty());
  }

  TEST_CASE("damaged fill values are refused") {
    CHECK(fill_of({is_fill, ""}) == "bad_hdf5");
    CHECK(fill_of({is_fill, hdf5_fields().u8(4).u8(0)}) == "bad_hdf5");
    CHECK(fill_of({is_fill, hdf5_fields().u8(3).u8(0x20).u32(3).raw("ab")}) == "bad_hdf5");
    CHECK(fill_of({is_fill, hdf5_fields().u8(2).u8(2).u8(2)}) == "bad_hdf5");
    CHECK(fill_of({4, hdf5_fields().u32(3).raw("ab")}) == "bad_hdf5");
    CHECK(fill_of({is_fill, hdf5_fields().u8(3).u8(1).u64(0), 2}) ==
          "bad_hdf5"); // in a heap of shared messages, which the file does not have
  }
}
