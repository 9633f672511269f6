// SPDX-License-Identifier: MIT
// Object headers of both versions: blocks that lead on, and what is damaged.
#include <stet/wire/hdf5/object.hpp>

#include "support/hdf5_bytes.hpp"
#include "support/outcome.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace stet_test;
using namespace stet_test::made_hdf5;
using stet::detail::hdf5_message_type;
using stet::detail::hdf5_object;

namespace {

std::string read_object(const hdf5_bytes& made, std::uint64_t at = hdf5_bytes::root) {
  opened_hdf5 opened(made.file());
  return opened.file ? outcome(hdf5_object::read(*opened.file, at)) : outcome(opened.file);
}

std::string continuation(std::uint64_t address, std::uint64_t size) { return hdf5_fields().u64(address).u64(size); }

/// A header of version 1 with a count of messages that may lie.
hdf5_bytes first_version(std::uint16_t count, std::string_view messages, std::uint64_t size) {
  hdf5_bytes made;
  made.u8(1).u8(0).u16(count).u32(1).u32(size).u32(0).raw(messages);
  return made;
}
std::string message1(std::uint16_t type, std::string_view body, std::uint8_t flags = 0) {
  return hdf5_fields().u16(type).u16(body.size()).u8(flags).zeros(3).raw(body);
}

} // namespace

TEST_SUITE("wire/hdf5/object") {
  TEST_CASE("messages of both versions are found, those of further blocks, too") {
    hdf5_bytes second;
    second.raw("OCHK").u8(is_link).u16(2).u8(0).raw("cd").seal(48);
    const std::uint64_t size = second.size() - 48;
    const std::uint64_t at = second.object({{is_space, "ab"}, {0, "nil"}, {is_continuation, continuation(48, size)}});
    opened_hdf5 opened(second.file(at));
    REQUIRE(opened.file);
    if (!opened.file) return;
    const auto object = hdf5_object::read(*opened.file, at);
    REQUIRE(object);
    if (!object) return;
    CHECK(object->address() == at);
    CHECK(object->messages().size() == 2);
    REQUIRE(object->find(hdf5_message_type::link) != nullptr);
    CHECK(object->find(hdf5_message_type::link)->body.size() == 2);
    CHECK(object->find(hdf5_message_type::datatype) == nullptr);

    const std::string further = message1(is_link, "12345678");
    hdf5_bytes first = first_version(
        3, message1(is_space, "12345678") + message1(is_continuation, continuation(48 + 16 + 40, 16)), 40);
    first.raw(further);
    CHECK(read_object(first) == "ok");
  }

  TEST_CASE("times, counts of attributes and orders of creation are passed over") {
    hdf5_bytes made;
    made.raw("OHDR").u8(2).u8(0x34).zeros(16).u16(8).u16(6).u8(8);
    made.u8(is_space).u16(2).u8(0).u16(77).raw("ab").seal(48);
    CHECK(read_object(made) == "ok");
  }

  TEST_CASE("damaged headers are refused") {
    const std::string message = message1(is_space, "12345678");
    CHECK(read_object(first_version(1, message, 16)) == "ok");
    CHECK(read_object(first_version(2, message, 16)) == "bad_hdf5"); // fewer than it says
    CHECK(read_object(first_version(1, message, 15)) == "bad_hdf5"); // a message beyond its block
    CHECK(read_object(first_version(1, message, 17)) == "bad_hdf5"); // a block beyond the file
    CHECK(read_object(first_version(1, message, 0xFFFFFFFF)) == "bad_hdf5");
    CHECK(read_object(first_version(1, message1(0x19, "", 0x80), 8)) == "bad_hdf5"); // unknown, and must be known
    CHECK(read_object(first_version(1, message1(0x19, ""), 8)) == "ok");
    CHECK(read_object(first_version(1, message, 16), 47) == "bad_hdf5"); // not a header

    hdf5_bytes version;
    version.raw("OHDR").u8(3).u8(0).u8(0).seal(48);
    CHECK(read_object(version) == "bad_hdf5");
    hdf5_bytes size;
    size.raw("OHDR").u8(2).u8(3).u64(~std::uint64_t{0} - 8).seal(48);
    CHECK(read_object(size) == "bad_hdf5");
    hdf5_bytes unsealed;
    unsealed.raw("OHDR").u8(2).u8(0).u8(0).u32(1);
    CHECK(read_object(unsealed) == "bad_hdf5");
    hdf5_bytes over;
    over.raw("OHDR").u8(2).u8(0).u8(4).u8(is_space).u16(1).u8(0).seal(48);
    CHECK(read_object(over) == "bad_hdf5");
  }

  TEST_CASE("a gap behind the messages is none") {
    hdf5_bytes made;
    made.raw("OHDR").u8(2).u8(0).u8(4 + 2 + 3).u8(is_space).u16(2).u8(0).raw("ab").zeros(3).seal(48);
    CHECK(read_object(made) == "ok");
  }

  TEST_CASE("blocks that lead to themselves, each other, or out of the file are refused") {
    hdf5_bytes self;
    const std::string to_self = hdf5_fields().raw("OCHK").u8(is_continuation).u16(16).u8(0).raw(continuation(48, 28));
    self.raw(to_self).seal(48);
    CHECK(read_object(self, self.object({{is_continuation, continuation(48, 28)}})) == "bad_hdf5");

    hdf5_bytes pair;
    pair.raw("OCHK").u8(is_continuation).u16(16).u8(0).raw(continuation(76, 28)).seal(48);
    pair.raw("OCHK").u8(is_continuation).u16(16).u8(0).raw(continuation(48, 28)).seal(76);
    CHECK(read_object(pair, pair.object({{is_continuation, continuation(48, 28)}})) == "bad_hdf5");

    // In version 1 the first block itself.
    CHECK(read_object(first_version(0xFFFF, message1(is_continuation, continuation(64, 24)), 24)) == "bad_hdf5");

    for (const auto& [address, size] : {std::pair<std::uint64_t, std::uint64_t>{hdf5_bytes::nowhere, 24},
                                        {48, ~std::uint64_t{0}},
                                        {~std::uint64_t{0} - 3, 8},
                                        {48, 0}}) {
      hdf5_bytes out;
      CHECK(read_object(out, out.object({{is_continuation, continuation(address, size)}})) == "bad_hdf5");
    }
  }

  TEST_CASE("a shared message is the one it leads to") {
    hdf5_bytes made;
    const std::uint64_t type = made.object({{is_type, "TYPE"}});
    const std::uint64_t chain = made.object({{is_type, hdf5_fields().u8(3).u8(2).u64(type), 2}});
    const auto resolve = [&](std::string body) {
      opened_hdf5 opened(made.file(type));
      const std::string text = std::move(body);
      const auto found = stet::detail::resolve_shared(*opened.file, std::as_bytes(std::span(text.data(), text.size())),
                                                      hdf5_message_type::datatype);
      return found ? std::string(reinterpret_cast<const char*>(found->data()), found->size()) : outcome(found);
    };
    CHECK(resolve(hdf5_fields().u8(3).u8(2).u64(type)) == "TYPE");
    CHECK(resolve(hdf5_fields().u8(2).u8(0).u64(type)) == "TYPE");
    CHECK(resolve(hdf5_fields().u8(1).u8(0).zeros(6).u64(type)) == "TYPE");
    CHECK(resolve(hdf5_fields().u8(3).u8(1).u64(type)) ==
          "bad_hdf5"); // in a heap of shared messages, of which there is none
    CHECK(resolve(hdf5_fields().u8(4).u8(2).u64(type)) == "bad_hdf5");
    CHECK(resolve(hdf5_fields().u8(3).u8(2).u32(1)) == "bad_hdf5");
    CHECK(resolve(hdf5_fields().u8(3).u8(2).u64(chain)) == "bad_hdf5"); // which is shared itself
    CHECK(resolve(hdf5_fields().u8(3).u8(2).u64(hdf5_bytes::nowhere)) == "bad_hdf5");
  }

  TEST_CASE("messages that objects share are in the heap of their type") {
    struct changes {
      std::string mark = "SMTB";
      std::uint8_t version = 0, table_version = 0, count = 2;
      std::uint64_t table = 0, heap = 0;
    };
    // A table of two indexes: of attributes, whose heap is damaged, and of datatypes.
    const auto resolve = [](const changes& is, hdf5_message_type type, std::string_view id) {
      hdf5_bytes made;
      const std::uint64_t heap = made.size();
      made.raw("FRHP")
          .u8(0)
          .u16(8)
          .u16(0)
          .u8(0)
          .u32(100)
          .zeros(96)
          .u16(2)
          .u64(64)
          .u64(64)
          .u16(16)
          .u16(1)
          .u64(heap + 146)
          .u16(0)
          .seal(heap);
      made.raw("FHDB").u8(0).u64(heap).u16(0).raw("TYPE").zeros(45);
      const std::uint64_t table = made.size();
      made.raw(is.mark);
      for (const std::uint16_t types : {std::uint16_t{1u << 12}, std::uint16_t{1u << 1 | 1u << 3}}) {
        made.u8(is.version).u8(0).u16(types).u32(50).u16(40).u16(10).u16(1).u64(0);
        made.u64(types == 1u << 12 ? 1 : is.heap != 0 ? is.heap : heap);
      }
      made.seal(table);
      const std::uint64_t extension =
          made.object({{15, hdf5_fields().u8(is.table_version).u64(is.table != 0 ? is.table : table).u8(is.count)}});
      std::string file = made.file(heap);
      hdf5_fields block;
      block.raw(std::string_view(file).substr(0, 20)).u64(extension).raw(std::string_view(file).substr(28, 16)).seal(0);
      opened_hdf5 opened(block.text() + file.substr(48));
      REQUIRE(opened.file);
      const std::string text = hdf5_fields().u8(3).u8(1).raw(id);
      const auto found =
          stet::detail::resolve_shared(*opened.file, std::as_bytes(std::span(text.data(), text.size())), type);
      return found ? std::string(reinterpret_cast<const char*>(found->data()), found->size()) : outcome(found);
    };
    const std::string id = hdf5_fields().u8(0).u16(15).u8(4).zeros(4);
    CHECK(resolve({}, hdf5_message_type::datatype, id) == "TYPE");
    CHECK(resolve({}, hdf5_message_type::dataspace, id) == "TYPE");
    CHECK(resolve({}, hdf5_message_type::attribute, id) == "bad_hdf5");
    CHECK(resolve({}, hdf5_message_type::filters, id) == "bad_hdf5"); // in no index
    CHECK(resolve({}, hdf5_message_type::datatype, id.substr(0, 3)) == "bad_hdf5");
    CHECK(resolve({.mark = "SMTC"}, hdf5_message_type::datatype, id) == "bad_hdf5");
    CHECK(resolve({.version = 1}, hdf5_message_type::datatype, id) == "bad_hdf5");
    CHECK(resolve({.table_version = 1}, hdf5_message_type::datatype, id) == "bad_hdf5");
    CHECK(resolve({.count = 3}, hdf5_message_type::datatype, id) == "bad_hdf5");
    CHECK(resolve({.table = 49}, hdf5_message_type::datatype, id) == "bad_hdf5");
    CHECK(resolve({.heap = 49}, hdf5_message_type::datatype, id) == "bad_hdf5");
  }
}
