// SPDX-License-Identifier: MIT
// Tests of flatbuffers.hpp: every kind of field, every offset that can lead astray, truncations and flipped bits.
#include "support/exact_text.hpp"
#include "support/flatbuffer_files.hpp"

#include <stet/wire/flatbuffers.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace std::literals;
using namespace stet_test;
using stet::errc;
using stet::detail::flatbuffer;
using stet::detail::flatbuffer_table;
using stet::detail::flatbuffer_vector;

/// Reads all that `sample_flatbuffer` has: "SUM text|text", or the name of the fault.
std::string walk_flatbuffer(std::string_view file, std::uint64_t* offset = nullptr, std::uint64_t uses = 2) {
  const exact_text block(file);
  flatbuffer in(block.bytes(), uses);
  const flatbuffer_table root = in.root();
  std::uint64_t sum = root.number<std::uint32_t>(0, 1000) + root.number<std::uint8_t>(1) +
                      root.number<std::uint64_t>(2) + root.number<std::uint16_t>(40, 7);
  const double real = root.number<float>(7, 0) + root.number<double>(8, 0);
  if (real > -1e18 && real < 1e18)
    sum += static_cast<std::uint64_t>(static_cast<std::int64_t>(real)); // damage is any number
  std::string text(root.string(3).text());
  const flatbuffer_vector numbers = root.vector(4, 8);
  for (std::uint32_t i = 0; i < numbers.size(); ++i) sum += static_cast<std::uint64_t>(numbers.number<std::int64_t>(i));
  const flatbuffer_vector tables = root.references(5);
  for (std::uint32_t i = 0; i < tables.size() && in.is_good(); ++i) {
    const flatbuffer_table each = tables.table(i);
    sum += each.table(0).number<std::uint16_t>(0, 3);
  }
  const flatbuffer_vector strings = root.references(6);
  for (std::uint32_t i = 0; i < strings.size(); ++i) text.append("|").append(strings.string(i).text());
  if (in.is_good()) return std::to_string(sum) + " " + text;
  const stet::error why = in.problem("x");
  CHECK(why.subject() == "x");
  CHECK(why.offset_bytes() <= file.size());
  if (offset != nullptr) *offset = why.offset_bytes();
  return std::string(stet::describe(why.code()).name);
}

flat_value sample_flatbuffer_root() {
  return flat_table({flat_number(std::uint32_t{1}), flat_number(std::uint8_t{2}), flat_number(std::uint64_t{4}),
                     flat_string("name"), flat_numbers<std::int64_t>({8, 16}),
                     flat_list({flat_table({flat_table({flat_number(std::uint16_t{32})})}), flat_table({})}),
                     flat_list({flat_string("a"), flat_string("")}), flat_number(64.5F), flat_number(128.25)});
}
std::string sample_flatbuffer() { return flatbuffer_file("TEST", sample_flatbuffer_root()); }

std::string patched(std::string file, std::size_t at, std::string_view bytes) {
  return file.replace(at, bytes.size(), bytes);
}
std::uint32_t word_at(std::string_view file, std::size_t at) {
  return stet::detail::load_little<std::uint32_t>(reinterpret_cast<const std::byte*>(file.data() + at));
}
std::uint16_t half_at(std::string_view file, std::size_t at) {
  return stet::detail::load_little<std::uint16_t>(reinterpret_cast<const std::byte*>(file.data() + at));
}
std::string half(std::uint16_t value) { return flat_bytes(value); }
std::string word(std::uint32_t value) { return flat_bytes(value); }

/// The places in `sample_flatbuffer` that tests change.
struct flatbuffer_places {
  std::string file = sample_flatbuffer();
  std::size_t root = word_at(file, 0);
  std::size_t vtable = root - word_at(file, root);
  [[nodiscard]] std::size_t field(std::size_t number) const { return root + half_at(file, vtable + 4 + 2 * number); }
  [[nodiscard]] std::size_t target(std::size_t number) const { return field(number) + word_at(file, field(number)); }
};

TEST_CASE("flatbuffers: scalars, strings, vectors and tables are read, and absent fields have their default") {
  CHECK(walk_flatbuffer(sample_flatbuffer()) == "265 name|a|");
  CHECK(walk_flatbuffer(flatbuffer_file("TEST", flat_table({}))) == "1007 ");
  CHECK(walk_flatbuffer(flatbuffer_file("TEST", flat_table({{}, {}, flat_number(std::uint64_t{5})}))) == "1012 ");
}

TEST_CASE("flatbuffers: the identifier is compared, and a short file has none") {
  const auto has = [](std::string_view file) {
    const exact_text block(file);
    return flatbuffer::has_identifier(block.bytes(), "TEST");
  };
  CHECK(has(sample_flatbuffer()));
  CHECK(has("\0\0\0\0TEST"sv));
  CHECK_FALSE(has("\0\0\0\0TES"sv));
  CHECK_FALSE(has("\0\0\0\0TESS"sv));
  CHECK_FALSE(has(""));
}

TEST_CASE("flatbuffers: an absent table, vector or string is empty, and so is everything in it") {
  const flatbuffer_table none;
  CHECK_FALSE(none.is_present());
  CHECK(none.number<std::uint32_t>(0, 9) == 9);
  CHECK_FALSE(none.table(0).is_present());
  CHECK(none.vector(1, 4).size() == 0);
  CHECK_FALSE(none.string(0).is_present());
  CHECK(none.string(0).text().empty());
  CHECK(none.structure(0, 8).empty());
  const std::string file = flatbuffer_file("TEST", flat_table({flat_list({})}));
  const exact_text block(file);
  flatbuffer in(block.bytes());
  CHECK(in.root().references(0).is_present());
  CHECK(in.root().references(0).size() == 0);
}

TEST_CASE("flatbuffers: offsets that leave the file, lead nowhere or are not aligned are faults at their place") {
  const flatbuffer_places of;
  const auto fault = [](const std::string& file) {
    std::uint64_t at = 0;
    const std::string name = walk_flatbuffer(file, &at);
    return name + " " + std::to_string(at);
  };
  const auto expected = [](std::string_view name, std::uint64_t at) {
    return std::string(name) + " " + std::to_string(at);
  };
  const std::uint64_t end = of.file.size();
  SUBCASE("the root") {
    CHECK(fault("") == expected("truncated", 0));
    CHECK(fault("\x08\0\0"s) == expected("truncated", 3));
    CHECK(fault(patched(of.file, 0, word(0))) == expected("malformed", 0));
    CHECK(fault(patched(of.file, 0, word(static_cast<std::uint32_t>(of.root + 2)))) ==
          expected("malformed", of.root + 2));
    CHECK(fault(patched(of.file, 0, word(static_cast<std::uint32_t>(end)))) == expected("truncated", end));
    CHECK(fault(patched(of.file, 0, word(0xFFFFFFFCu))) == expected("truncated", end));
  }
  SUBCASE("the vtable") {
    CHECK(fault(patched(of.file, of.root, word(0x7FFFFFFFu))) ==
          expected("malformed", of.root)); // in front of the file
    CHECK(fault(patched(of.file, of.root, word(0x80000000u))) == expected("truncated", end));
    CHECK(fault(patched(of.file, of.root, word(static_cast<std::uint32_t>(of.root - of.vtable + 1)))) ==
          expected("malformed", of.vtable - 1)); // odd
    CHECK(fault(patched(of.file, of.vtable, half(2))) == expected("malformed", of.vtable));
    CHECK(fault(patched(of.file, of.vtable, half(23))) == expected("malformed", of.vtable));
    CHECK(fault(patched(of.file, of.vtable, half(0xFFFE))) == expected("truncated", end));
    CHECK(fault(patched(of.file, of.vtable + 2, half(3))) == expected("malformed", of.vtable));
    CHECK(fault(patched(of.file, of.vtable + 2, half(0xFFFF))) == expected("truncated", end));
  }
  SUBCASE("a field") {
    CHECK(fault(patched(of.file, of.vtable + 4, half(3))) == expected("malformed", of.vtable + 4)); // in the head
    CHECK(fault(patched(of.file, of.vtable + 4, half(6))) == expected("malformed", of.root + 6));   // not aligned
    CHECK(fault(patched(of.file, of.vtable + 4, half(half_at(of.file, of.vtable + 2)))) ==
          expected("malformed", of.vtable + 4)); // behind the table
    CHECK(fault(patched(of.file, of.vtable + 4, half(0xFFFC))) == expected("malformed", of.vtable + 4));
  }
  SUBCASE("a string") {
    CHECK(fault(patched(of.file, of.field(3), word(0))) == expected("malformed", of.field(3)));
    CHECK(fault(patched(of.file, of.target(3), word(0xFFFFFFFFu))) == expected("truncated", end));
    CHECK(fault(patched(of.file, of.target(3), word(3))) == expected("malformed", of.target(3) + 7)); // no NUL
  }
  SUBCASE("a vector") {
    CHECK(fault(patched(of.file, of.target(4), word(0xFFFFFFFFu))) == expected("truncated", end));
    CHECK(fault(patched(of.file, of.target(4), word(0x20000000u))) ==
          expected("truncated", end)); // a size that wraps in 32 bits
    CHECK(fault(patched(of.file, of.field(4), word(static_cast<std::uint32_t>(of.target(4) - of.field(4) + 2)))) ==
          expected("malformed", of.target(4) + 2));
  }
  SUBCASE("an element that is a reference") {
    CHECK(fault(patched(of.file, of.target(5) + 4, word(0))) == expected("malformed", of.target(5) + 4));
    CHECK(fault(patched(of.file, of.target(5) + 8, word(0xFFFFFFF0u))) == expected("truncated", end));
  }
}

TEST_CASE("flatbuffers: a string that ends with the file has its NUL there") {
  std::string file = flatbuffer_file("TEST", flat_table({{}, {}, {}, flat_string("abc")}));
  CHECK(walk_flatbuffer(file) == "1007 abc");
  file.pop_back();
  CHECK(walk_flatbuffer(file) == "truncated");
}

TEST_CASE("flatbuffers: after a fault all is absent, and the first fault stays") {
  const flatbuffer_places of;
  const std::string file = patched(patched(of.file, of.field(3), word(0)), of.target(4), word(0xFFFFFFFFu));
  const exact_text block(file);
  flatbuffer in(block.bytes());
  const flatbuffer_table root = in.root();
  CHECK(root.number<std::uint32_t>(0) == 1);
  CHECK_FALSE(root.string(3).is_present());
  CHECK_FALSE(in.is_good());
  CHECK(root.vector(4, 8).size() == 0);
  CHECK(root.number<std::uint32_t>(0, 77) == 77);
  CHECK_FALSE(in.root().is_present());
  CHECK(in.problem("s").code() == errc::malformed);
  CHECK(in.problem("s").offset_bytes() == of.field(3));
}

TEST_CASE("flatbuffers: references may share a table, but not more often than the file has references") {
  const auto shared = [](std::size_t count) {
    return flatbuffer_file("TEST", flat_table({{}, {}, {}, {}, {}, flat_repeated(flat_table({}), count)}));
  };
  CHECK(walk_flatbuffer(shared(1000)) == "4007 ");
  // Each of 200 tables has the same vector of 200 tables, which are read 40,000 times.
  const std::string file =
      flatbuffer_file("TEST", flat_table({flat_repeated(flat_table({flat_repeated(flat_table({}), 200)}), 200)}));
  const exact_text block(file);
  flatbuffer in(block.bytes());
  std::size_t read = 0;
  const flatbuffer_vector outer = in.root().references(0);
  for (std::uint32_t i = 0; i < outer.size() && in.is_good(); ++i) {
    const flatbuffer_vector inner = outer.table(i).references(0);
    for (std::uint32_t k = 0; k < inner.size() && in.is_good(); ++k) read += inner.table(k).is_present() ? 1u : 0u;
  }
  CHECK(in.problem({}).code() == errc::too_large);
  CHECK(read < file.size());
  CHECK(read > 200);
}

TEST_CASE("flatbuffers: work that a caller counts is limited by the size of the file") {
  const std::string file = sample_flatbuffer();
  const exact_text block(file);
  flatbuffer in(block.bytes());
  CHECK(in.spend(file.size() / 4, 5));
  CHECK(in.spend(64, 5));
  CHECK_FALSE(in.spend(file.size(), 6));
  CHECK(in.problem({}).code() == errc::too_large);
  CHECK(in.problem({}).offset_bytes() == 6);
  CHECK_FALSE(in.spend(0, 7));
}

TEST_CASE("flatbuffers: a table whose vtable lies behind it, and one that shares another's vtable") {
  // root at 8 with its vtable at 20; the table at 16 has the same vtable
  const std::string file = word(8) + "TEST" + flat_bytes(std::int32_t{-12}) + word(4) + flat_bytes(std::int32_t{-4}) +
                           half(6) + half(8) + half(4) + half(0);
  const exact_text block(file);
  flatbuffer in(block.bytes());
  const flatbuffer_table other = in.root().table(0);
  CHECK(other.is_present());
  CHECK(other.offset_bytes() == 16);
  CHECK(in.root().number<std::uint32_t>(0) == 4);
  CHECK(in.is_good());
}

TEST_CASE("flatbuffers: a table that refers to itself is no way to read for ever") {
  // A reference leads forward, so a cycle needs a distance that wraps, which is past the end.
  const std::string file = word(12) + "TEST" + half(6) + half(8) + flat_bytes(std::int32_t{4}) + word(0xFFFFFFFCu);
  const exact_text block(file);
  flatbuffer in(block.bytes());
  CHECK(in.root().is_present());
  CHECK_FALSE(in.root().table(0).is_present());
  CHECK(in.problem({}).code() == errc::truncated);
}

TEST_CASE("flatbuffers: any truncation is an error, and any flipped bit is read within the bytes") {
  const std::string file = sample_flatbuffer();
  std::size_t last_needed = file.size();
  while (file[last_needed - 1] == '\0') --last_needed;
  for (std::size_t size = 0; size < file.size(); ++size) {
    const std::string outcome = walk_flatbuffer(file.substr(0, size));
    if (size < last_needed) CHECK(outcome == "truncated");
  }
  for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
    std::string flipped = file;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    CHECK_FALSE(walk_flatbuffer(flipped).empty());
  }
}

} // namespace
