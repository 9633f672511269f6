// SPDX-License-Identifier: MIT
// GGUF files: what the specification allows, in place; what is wrong, by name.
#include <stet/formats/gguf.hpp>

#include "support/allocations.hpp"
#include "support/counted_memory.hpp"
#include "support/exact_text.hpp"
#include "support/gguf_files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("gguf");

namespace {

using namespace std::string_view_literals;
using stet_test::gguf_file;

/// A reader that has no memory to show.
class gguf_bytes_reader final : public stet::byte_reader {
public:
  explicit gguf_bytes_reader(std::string_view bytes) : bytes_(bytes) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return bytes_.size(); }
  [[nodiscard]] stet::result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (offset_bytes > bytes_.size() || into.size() > bytes_.size() - offset_bytes) return stet::errc::bad_range;
    std::memcpy(into.data(), bytes_.data() + offset_bytes, into.size());
    return {};
  }

private:
  std::string_view bytes_;
};

std::string text_of_failure(const stet::error& failure) {
  std::string text(stet::describe(failure.code()).name);
  if (!failure.subject().empty()) text.append(" ").append(failure.subject());
  if (failure.offset_bytes() != stet::error::no_offset)
    text.append(" @").append(std::to_string(failure.offset_bytes()));
  return text;
}

/// The name of the error, its subject and offset; "ok" for none. Read from a block that ends where the file does, and on demand.
std::string gguf_failure(std::string_view file) {
  const stet_test::exact_text block(file);
  const auto opened = stet::open_gguf(block.bytes());
  const std::string made = opened ? "ok" : text_of_failure(opened.error());
  const gguf_bytes_reader reader(file);
  const auto streamed = stet::detail::open_gguf_source(stet::source::stream(reader), {}, {});
  CHECK((streamed ? "ok" : text_of_failure(streamed.error())) == made);
  return made;
}
std::string gguf_failure(const gguf_file& file) { return gguf_failure(file.bytes()); }

std::span<const std::byte> bytes_in(std::string_view file) { return std::as_bytes(std::span(file)); }

} // namespace

TEST_CASE("the worked example opens in place") {
  const std::string file = stet_test::example_gguf_file();
  REQUIRE(file.size() == 0x160);
  const auto store = stet::open_gguf(bytes_in(file));
  REQUIRE(store);
  CHECK(store->tensor_count() == 2);
  CHECK(store->alignment_bytes() == 32);
  const auto w = store->find("w");
  REQUIRE(w);
  CHECK(w->dtype() == stet::dtype::float32);
  CHECK(w->shape().equals({2, 3}));
  CHECK(static_cast<const void*>(w->bytes().data()) == file.data() + 0x100);
  std::vector<float> values(6);
  REQUIRE(w->copy_to(std::span(values)));
  CHECK(values == std::vector<float>{1, 2, 3, 4, 5, 6});
  const auto q = store->find("q");
  REQUIRE(q);
  CHECK(q->layout().block == stet::block_type{"q8_0", 32, 34});
  CHECK(q->shape().equals({32}));
  CHECK(q->size_bytes() == 34);
  CHECK(q->entry().offset_bytes() == 0x120);
}

TEST_CASE("opens from a file: mapped, read and on demand") {
  const stet_test::temp_folder folder;
  const std::string path = folder.write("m.gguf", stet_test::example_gguf_file());
  for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
    const auto store = stet::open_gguf(path, {.backing = backing});
    REQUIRE(store);
    std::vector<float> values(6);
    REQUIRE(store->find("w")->copy_to(std::span(values)));
    CHECK(values == std::vector<float>{1, 2, 3, 4, 5, 6});
  }
  CHECK(stet_test::outcome(stet::open_gguf(folder.path("none.gguf"))) == "file_not_found");
  const auto empty = stet::open_gguf(folder.write("empty.gguf", ""));
  REQUIRE_FALSE(empty);
  CHECK(empty.error().code() == stet::errc::truncated);
}

TEST_CASE("every type of ggml, by its code") {
  for (const stet::ggml_type& each : stet::ggml_types) {
    CAPTURE(each.name);
    gguf_file made;
    made.tensor("x", {each.element_count * 2u, 3}, each.code, std::string(each.size_bytes * 6u, '\7'));
    const std::string file = made.bytes();
    const auto store = stet::open_gguf(bytes_in(file));
    REQUIRE(store);
    const auto x = store->find("x");
    CHECK(x->dtype() == each.dtype);
    CHECK(x->layout().block == each.block());
    CHECK(x->shape().equals({3u, each.element_count * 2u}));
    CHECK(x->size_bytes() == each.size_bytes * 6u);
    CHECK(x->bytes()[0] == std::byte{7});
    if (!each.is_plain()) {
      // Blocks do not reach over the end of a row, even where all elements fill whole blocks.
      gguf_file cut;
      cut.tensor("x", {each.element_count / 2u, 2}, each.code, std::string(each.size_bytes, '\7'));
      CHECK(gguf_failure(cut).starts_with("bad_shape x"));
    }
  }
  for (const std::uint32_t code : {4u, 5u, 31u, 36u, 43u, 77u, 0xFFFFFFFFu}) {
    const std::string failure = gguf_failure(gguf_file().tensor("x", {1}, code, "ab"));
    CHECK(failure.starts_with("unknown_dtype x: ggml type " + std::to_string(code) + " @"));
  }
}

TEST_CASE("versions 1, 2 and 3 in both byte orders") {
  for (const std::uint32_t version : {1u, 2u, 3u}) {
    for (const bool is_big : {false, true}) {
      CAPTURE(version);
      CAPTURE(is_big);
      gguf_file made(version, is_big);
      made.string("general.architecture", "t");
      made.key("n", stet_test::gguf_array, made.array(stet_test::gguf_i16, 2, made.number(1, 2) + made.number(2, 2)));
      made.alignment(64);
      made.tensor("f", {2, 1}, 0, made.number(0x3f800000u, 4) + made.number(0xc0000000u, 4));
      made.tensor("i", {2}, 27, made.number(7, 8) + made.number(~std::uint64_t{0}, 8));
      made.tensor("b", {3}, 24, "abc");
      made.tensor("h", {1}, 30, made.number(0x3f80u, 2));
      made.tensor("q", {32}, 8, std::string(34, 'q'));
      const std::string file = made.bytes();
      const auto store = stet::open_gguf(bytes_in(file));
      REQUIRE(store);
      CHECK(store->alignment_bytes() == 64);
      std::vector<float> floats(2);
      REQUIRE(store->find("f")->copy_to(std::span(floats)));
      CHECK(floats == std::vector<float>{1, -2});
      CHECK(store->find("f")->shape().equals({1, 2}));
      std::vector<std::int64_t> integers(2);
      REQUIRE(store->find("i")->copy_to(std::span(integers)));
      CHECK(integers == std::vector<std::int64_t>{7, -1});
      CHECK(store->find("i")->is_in_place() == (is_big == (std::endian::native == std::endian::big)));
      CHECK(store->find("b")->as<std::int8_t>());
      // Of a big-endian file nobody knows the byte order of BF16: it is opaque. Blocks tell that their file is big-endian.
      const auto h = store->find("h");
      CHECK(h->dtype() == (is_big ? stet::dtype::block : stet::dtype::bfloat16));
      if (is_big) CHECK(h->layout().block == stet::block_type{"bf16", 1, 2});
      CHECK(store->find("q")->bytes()[33] == std::byte{'q'});
      CHECK(store->find("q")->entry().is_big_endian() == is_big);
      for (std::size_t size = 0; size < made.head().size(); ++size)
        CHECK(gguf_failure(file.substr(0, size)).starts_with("truncated"));
    }
  }
  CHECK(gguf_failure(gguf_file(4)) == "newer_format header @4");
  CHECK(gguf_failure(gguf_file(4, true)) == "newer_format header @4");
  CHECK(gguf_failure(gguf_file(0)) == "malformed header @4");
  CHECK(gguf_failure("GGUg\3\0\0\0"sv) == "malformed header @0");
  CHECK(gguf_failure("GGUF\3\0\0"sv) == "truncated header @7");
  CHECK(gguf_failure(gguf_file()) == "ok");
}

TEST_CASE("every type of value is passed over; what follows is found") {
  using namespace stet_test;
  const gguf_file f;
  std::string strings;
  for (int i = 0; i < 100; ++i) strings.append(f.text(std::to_string(i)));
  const std::string inner =
      f.array(gguf_u8, 3, "abc") + f.array(gguf_string, 1, f.text("x")) + f.array(gguf_array, 0, "");
  struct value {
    std::uint32_t type;
    std::string bytes;
  };
  const value values[] = {{gguf_u8, "\xFF"},
                          {gguf_i8, "\xFF"},
                          {gguf_u16, "ab"},
                          {gguf_i16, "ab"},
                          {gguf_u32, "abcd"},
                          {gguf_i32, "abcd"},
                          {gguf_f32, "abcd"},
                          {gguf_bool, std::string(1, '\0')},
                          {gguf_bool, "\1"},
                          {gguf_string, f.text("")},
                          {gguf_string, f.text("\xFF\0"sv)},
                          {gguf_u64, "abcdefgh"},
                          {gguf_i64, "abcdefgh"},
                          {gguf_f64, "abcdefgh"},
                          {gguf_array, f.array(gguf_string, 100, strings)},
                          {gguf_array, f.array(gguf_bool, 3, "\0\1\1"sv)},
                          {gguf_array, f.array(gguf_f64, 2, "abcdefghabcdefgh")},
                          {gguf_array, f.array(gguf_i16, 0, "")},
                          {gguf_array, f.array(gguf_array, 3, inner)},
                          {gguf_array, f.array(gguf_u8, 300000, std::string(300000, 'x'))}};
  gguf_file all;
  for (const value& each : values) {
    all.key("k." + std::to_string(all.key_count), each.type, each.bytes);
    gguf_file one;
    one.key("k", each.type, each.bytes).alignment(8).tensor("x", {1}, 24, "z");
    CHECK(gguf_failure(one) == "ok");
    // Every byte of the value counts: without the last one, something is missing or wrong.
    if (each.bytes.size() < 1000) {
      for (std::size_t size = 0; size < each.bytes.size(); ++size) {
        gguf_file cut;
        cut.key("k", each.type, each.bytes.substr(0, size));
        CHECK(gguf_failure(cut.head()) != "ok");
      }
    }
  }
  CHECK(gguf_failure(all.tensor("x", {1}, 24, "z")) == "ok");
}

TEST_CASE("keys and values that are wrong are errors that name them") {
  using namespace stet_test;
  const gguf_file f;
  const auto with = [](std::string_view name, std::uint32_t type, std::string_view value) {
    return gguf_failure(gguf_file().string("a", "b").key(name, type, value));
  };
  CHECK(with("a", gguf_u8, "x") == "duplicate_key a @46");
  CHECK(with("a", gguf_string, f.text("c")) == "duplicate_key a @46");
  CHECK(with("a", gguf_string, f.text("bb")) == "duplicate_key a @46");
  CHECK(with("a", gguf_string, f.text("b")) == "ok"); // the same once more, as IREE writes it
  gguf_file thrice;
  for (const std::string_view value : {"b", "b", "c"}) thrice.string("a", std::string(1000, 'x').append(value));
  CHECK(gguf_failure(thrice).starts_with("duplicate_key a"));
  CHECK(with("", gguf_u8, "x") == "bad_name key @46");
  CHECK(with("\xC3\xA9", gguf_u8, "x") == "bad_name \xC3\xA9 @46");
  CHECK(with("a\0b"sv, gguf_u8, "x").starts_with("bad_name a"));
  CHECK(with("gguf:types", gguf_u8, "x") == "bad_name gguf:types @46");
  CHECK(with(std::string(65535, 'k'), gguf_u8, "x") == "ok");
  CHECK(with(std::string(65536, 'k'), gguf_u8, "x") == "bad_name key @46");
  CHECK(with("b", 13, "x") == "unknown_dtype b @55");
  CHECK(with("b", 0xFFFFFFFFu, "x") == "unknown_dtype b @55");
  CHECK(with("b", gguf_bool, "\2") == "bad_value b @59");
  CHECK(with("b", gguf_array, f.array(gguf_bool, 3, "\0\1\xFF"sv)) == "bad_value b @73");
  CHECK(with("b", gguf_array, f.array(13, 0, "")) == "unknown_dtype b @59");
  // The lengths: one more than there is, and those that wrap around.
  CHECK(gguf_failure(gguf_file().key("b", gguf_string, f.length(2) + "x").head()) == "truncated b @37");
  for (const std::uint64_t count :
       {std::uint64_t{1} << 29, std::uint64_t{1} << 62, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
    CHECK(with("b", gguf_string, f.length(count)) == "truncated b @59");
    for (const std::uint32_t type : {gguf_u8, gguf_bool, gguf_u64, gguf_string, gguf_array})
      CHECK(with("b", gguf_array, f.array(type, count, "")) == "truncated b @63");
  }
  CHECK(gguf_failure(std::string("GGUF\3\0\0\0"sv) + f.length(~std::uint64_t{0}) + f.length(0)) ==
        "truncated number of tensors @8");
  CHECK(gguf_failure(std::string("GGUF\3\0\0\0"sv) + f.length(0) + f.length(std::uint64_t{1} << 60)) ==
        "truncated number of keys @16");
  // Arrays within each other
  std::string nested = f.array(gguf_u8, 1, "x");
  for (int depth = 1; depth < 16; ++depth) nested = f.array(gguf_array, 1, nested);
  CHECK(with("b", gguf_array, nested) == "ok");
  CHECK(with("b", gguf_array, f.array(gguf_array, 1, nested)).starts_with("too_deep b @"));
  std::string endless;
  for (int depth = 0; depth < 20000; ++depth) endless.append(f.number(gguf_array, 4)).append(f.length(1));
  CHECK(with("b", gguf_array, endless).starts_with("too_deep b @"));
  // Keys whose values the reader needs
  CHECK(with("split.no", gguf_f32, "abcd") == "malformed split.no @66");
  CHECK(with("split.count", gguf_string, f.text("2")) == "malformed split.count @69");
  CHECK(gguf_failure(gguf_file().u32("split.count", 2)) == "malformed split.no");
  CHECK(gguf_failure(gguf_file().split(2, 2, 0)) == "malformed split.no");
  CHECK(gguf_failure(gguf_file().split(0, 1, 0)) == "ok");
  CHECK(gguf_failure(gguf_file().split(0, 0, 0)) == "ok");
  CHECK(gguf_failure(gguf_file().split(0, 2, 0)) == "missing_part -00001-of-2 in the name; this is part 1");
}

TEST_CASE("O5: alignment") {
  using namespace stet_test;
  for (const std::uint32_t alignment : {1u, 8u, 16u, 32u, 64u, 4096u, 65536u}) {
    gguf_file made;
    made.alignment(alignment).tensor("a", {1}, 24, "a").tensor("b", {1}, 24, "b");
    const std::string file = made.bytes();
    const auto store = stet::open_gguf(bytes_in(file));
    REQUIRE(store);
    CHECK(store->alignment_bytes() == alignment);
    CHECK(store->find("b")->entry().offset_bytes() - store->find("a")->entry().offset_bytes() == alignment);
    CHECK(store->find("b")->bytes()[0] == std::byte{'b'});
  }
  for (const std::uint32_t alignment : {0u, 3u, 24u, 48u, 131072u, 0x80000000u, 0xFFFFFFFFu}) {
    CHECK(gguf_failure(gguf_file().u32("general.alignment", alignment)) ==
          "bad_alignment general.alignment " + std::to_string(alignment) + " @53");
  }
  const gguf_file f;
  CHECK(gguf_failure(f) == "ok");
  CHECK(gguf_failure(gguf_file().key("general.alignment", gguf_i32, f.number(32, 4))) ==
        "bad_alignment general.alignment of type i32 @53");
  CHECK(gguf_failure(gguf_file().key("general.alignment", gguf_u64, f.number(32, 8))) ==
        "bad_alignment general.alignment of type u64 @53");
  CHECK(gguf_failure(gguf_file().string("general.alignment", "32")) ==
        "bad_alignment general.alignment of type string @53");
}

TEST_CASE("O: tensors lie within the file, apart") {
  const auto two = [](std::uint64_t first, std::uint64_t second, std::size_t data_size) {
    gguf_file made;
    made.row("a", {40}, 24, first).row("b", {40}, 24, second).data(std::string(data_size, 'x'));
    return gguf_failure(made);
  };
  CHECK(two(0, 64, 104) == "ok");
  CHECK(two(64, 0, 104) == "ok");  // in any order
  CHECK(two(0, 128, 168) == "ok"); // with a gap
  CHECK(two(0, 64, 300) == "ok");  // with bytes behind them
  CHECK(two(0, 64, 103) == "truncated b @199");
  CHECK(two(64, 0, 103) == "truncated a @199");
  CHECK(two(0, 32, 128) == "overlap b @128");
  CHECK(two(32, 0, 128) == "overlap a @128");
  CHECK(two(0, 0, 128) == "overlap b @96");
  CHECK(two(0, 65, 128) == "bad_offset b @82");
  CHECK(two(16, 64, 128) == "bad_offset a @49");
  CHECK(two(std::uint64_t{1} << 63, 0, 128) == "truncated a @224");
  CHECK(two(~std::uint64_t{0} - 31, 0, 128) == "bad_offset a @49");
  CHECK(two(~std::uint64_t{0} - 63, 0, 128) == "truncated a @224");
  // The file may end behind the table only where there are no tensors.
  gguf_file made;
  made.row("a", {1}, 24, 0);
  CHECK(gguf_failure(made.head()) == "truncated a @" + std::to_string(made.head().size()));
  CHECK(gguf_failure(gguf_file().u32("k", 1).head()) == "ok");
  // Empty tensors have no bytes to lie apart, but a place.
  CHECK(gguf_failure(gguf_file().row("z", {0, 4}, 0, 0).row("a", {4}, 0, 0).data(std::string(16, 'x'))) == "ok");
  CHECK(gguf_failure(gguf_file().row("a", {16}, 0, 0).row("z", {0, 4}, 0, 32).data(std::string(64, 'x'))) == "ok");
  CHECK(gguf_failure(gguf_file().row("a", {4}, 0, 0).row("z", {0, 4}, 0, 64).data(std::string(16, 'x'))) ==
        "truncated z @144");
}

TEST_CASE("S: shapes that overflow, have too many extents or no whole blocks") {
  constexpr std::uint64_t two32 = std::uint64_t{1} << 32, two63 = std::uint64_t{1} << 63;
  const auto shaped = [](std::initializer_list<std::uint64_t> dims, std::uint32_t type = 0) {
    return gguf_failure(gguf_file().row("x", dims, type, 0).data(std::string(64, 'x')));
  };
  CHECK(shaped({}) == "ok");
  CHECK(shaped({4, 1, 1, 1, 1}) == "ok"); // more than ggml's four
  for (const auto& dims : {std::initializer_list<std::uint64_t>{two32, two32},
                           {two63, 2},
                           {~std::uint64_t{0}},
                           {two63},
                           {0, ~std::uint64_t{0}},
                           {~std::uint64_t{0}, 0},
                           {two32, two32, 0}}) {
    CHECK(shaped(dims) == "bad_shape x @33");
  }
  CHECK(shaped({two32 * 32, two32 / 2}, 8) == "bad_shape x @33");
  CHECK(shaped({33}, 8) == "bad_shape x: rows of 33 are no whole blocks of q8_0 @33");
  CHECK(shaped({}, 8) == "bad_shape x: rows of 1 are no whole blocks of q8_0 @33");
  CHECK(shaped({0}, 8) == "ok");
  CHECK(shaped({two32}) == "truncated x @128");
  const gguf_file f;
  for (const std::uint32_t rank : {254u, 255u, 0x7FFFFFFFu, 0xFFFFFFFFu}) {
    std::string file = "GGUF" + f.number(3, 4) + f.length(1) + f.length(0) + f.text("x") + f.number(rank, 4);
    for (std::uint32_t i = 0; i < 300; ++i) file.append(i < rank ? f.length(1) : "");
    file.append(400, '\0');
    CHECK(gguf_failure(file) == (rank == 254 ? "ok" : "bad_shape x @33"));
  }
}

TEST_CASE("names of tensors") {
  const auto named = [](std::string_view name) { return gguf_failure(gguf_file().tensor(name, {1}, 24, "x")); };
  CHECK(named("") == "ok");
  CHECK(named("\xC3\xA9") == "ok");
  CHECK(named(std::string(64, 'n')) == "ok"); // more than ggml's 63
  CHECK(named(std::string(65535, 'n')) == "ok");
  CHECK(named(std::string(65536, 'n')) == "bad_name tensor @24");
  CHECK(named("\xFF") == "bad_name \xFF @24");
  CHECK(named("a\0b"sv).starts_with("bad_name a"));
  CHECK(gguf_failure(gguf_file().tensor("x", {1}, 24, "a").tensor("y", {1}, 24, "a").tensor("x", {1}, 0, "aaaa")) ==
        "duplicate_name x");
  const gguf_file f;
  CHECK(gguf_failure("GGUF" + f.number(3, 4) + f.length(1) + f.length(0) + f.length(~std::uint64_t{0}) +
                     std::string(30, 'x')) == "truncated tensor @24");
}

TEST_CASE("F2, C1: every truncation and every flipped bit is an error or a sound store") {
  const std::string good = stet_test::example_gguf_file();
  for (std::size_t size = 0; size < 0x142; ++size) CHECK(gguf_failure(good.substr(0, size)).starts_with("truncated"));
  for (std::size_t size = 0x142; size <= good.size(); ++size) CHECK(gguf_failure(good.substr(0, size)) == "ok");
  std::size_t opened_count = 0;
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string flipped = good;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    const stet_test::exact_text block(flipped);
    const auto store = stet::open_gguf(block.bytes());
    if (!store) continue;
    ++opened_count;
    std::uint64_t size = 0;
    for (const stet::tensor each : *store) {
      size += each.size_bytes();
      CHECK(each.bytes().size() == each.size_bytes());
      if (!each.bytes().empty())
        CHECK((each.bytes().data() >= block.bytes().data() &&
               each.bytes().data() + each.size_bytes() <= block.bytes().data() + block.bytes().size()));
    }
    CHECK(size <= 0x60);
  }
  CHECK(opened_count > 0x60 * 8); // the data are not checked
}

TEST_CASE("100,000 tensors and 300,000 strings: memory is the program's, in proportion, and its lack an error") {
  const auto make = [](int tensor_count, int string_count) {
    gguf_file made;
    std::string strings;
    for (int i = 0; i < string_count; ++i) strings.append(made.text("token" + std::to_string(i)));
    made.key("tokens", stet_test::gguf_array,
             made.array(stet_test::gguf_string, static_cast<std::uint64_t>(string_count), strings));
    for (int i = 0; i < tensor_count; ++i) made.tensor("blk." + std::to_string(i) + ".weight", {1}, 24, "x");
    return made.bytes();
  };
  const std::string large = make(100000, 300000);
  stet_test::counted_memory memory;
  {
    const stet_test::allocations counted;
    const auto store = stet::open_gguf(bytes_in(large), {.memory = &memory});
    REQUIRE(store);
    CHECK(counted.count() == 0);
    CHECK(store->tensor_count() == 100000);
    CHECK(store->find("blk.99999.weight"));
    CHECK(memory.bytes() < 2 * large.size());
  }
  CHECK(memory.live() == 0);
  // In reverse, so that they are sorted; and on demand, so that there is a window.
  gguf_file reversed;
  for (std::uint64_t i = 0; i < 1000; ++i) reversed.row("t" + std::to_string(i), {32}, 24, (999 - i) * 32);
  const std::string file = reversed.data(std::string(32000, 'x')).bytes();
  const gguf_bytes_reader reader(file);
  const auto open = [&](stet::memory_resource& from) {
    return stet::detail::open_gguf_source(stet::source::stream(reader), {}, {.memory = &from});
  };
  stet_test::counted_memory all;
  REQUIRE(open(all));
  CHECK(all.count() >= 3);
  for (std::uint64_t fails_at = 0; fails_at < all.count(); ++fails_at) {
    stet_test::counted_memory little(fails_at);
    CHECK(stet_test::outcome(open(little)) == "out_of_memory");
    CHECK(little.live() == 0);
  }
}

namespace {

/// Counts the bytes that are read of a file.
class counting_gguf_reader final : public stet::byte_reader {
public:
  counting_gguf_reader(std::string_view bytes, std::uint64_t& count) : bytes_(bytes), count_(&count) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return bytes_.size_bytes(); }
  [[nodiscard]] stet::result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    *count_ += into.size();
    return bytes_.read(offset_bytes, into);
  }

private:
  gguf_bytes_reader bytes_;
  std::uint64_t* count_;
};

/// The two parts of a model, on demand.
struct counted_gguf_parts final : stet::file_system {
  std::string first, second;
  mutable std::uint64_t read_of_first = 0, read_of_second = 0;

  [[nodiscard]] stet::result<stet::source> open_file(std::string_view path) const noexcept override {
    if (path == "m-00001-of-00002.gguf") return stet::source::keep(counting_gguf_reader(first, read_of_first));
    if (path == "m-00002-of-00002.gguf") return stet::source::keep(counting_gguf_reader(second, read_of_second));
    return stet::errc::file_not_found;
  }
};

} // namespace

TEST_CASE("of each part of a split model the keys are read once, whichever is given") {
  counted_gguf_parts files;
  const std::string letters(60000, 'k');
  gguf_file first, second;
  first.split(0, 2, 2);
  second.split(1, 2, 2);
  for (const char* const key : {"a", "b", "c", "d", "e", "f", "g", "h"}) {
    first.string(key, letters);
    second.string(key, letters);
  }
  files.first = first.tensor("x", {1}, 0, "xxxx").bytes();
  files.second = second.tensor("y", {1}, 0, "yyyy").bytes();
  for (const char* const given : {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"}) {
    CAPTURE(given);
    files.read_of_first = files.read_of_second = 0;
    const auto store = stet::open_gguf(given, {.backing = stet::backing::stream, .files = &files});
    REQUIRE(store);
    CHECK(store->tensor_count() == 2);
    char y[4] = {};
    REQUIRE(store->find("y")->read(0, std::as_writable_bytes(std::span(y))));
    CHECK(std::string_view(y, 4) == "yyyy");
    CHECK(files.read_of_first > 0);
    CHECK(files.read_of_first <= files.first.size() + 8);
    CHECK(files.read_of_second <= files.second.size() + 8);
  }
}

TEST_CASE("a split model opens by any of its parts, whatever it is called") {
  const stet_test::temp_folder folder;
  const auto part = [](std::uint64_t number, std::uint64_t count, std::uint64_t total, std::string_view name) {
    gguf_file made;
    made.split(number, count, total);
    if (!name.empty()) made.tensor(name, {2}, 24, std::string(2, static_cast<char>('0' + number)));
    return made.bytes();
  };
  std::vector<std::string> paths;
  for (std::uint64_t i = 0; i < 3; ++i)
    paths.push_back(
        folder.write("my-2-of-3-model-0000" + std::to_string(i + 1) + "-of-00003.v2.gguf", part(i, 3, 2,
                                                                                                i == 0   ? ""
                                                                                                : i == 1 ? "x"
                                                                                                         : "y")));
  for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
    for (const std::string& path : paths) {
      const auto store = stet::open_gguf(path, {.backing = backing});
      REQUIRE(store);
      CHECK(store->tensor_count() == 2);
      REQUIRE(store->index().part_count() == 3);
      CHECK(store->index().part(2).path == "my-2-of-3-model-00003-of-00003.v2.gguf");
      CHECK(store->find("y")->entry().part() == 2);
      std::byte first[1];
      REQUIRE(store->find("y")->read(0, first));
      CHECK(first[0] == std::byte{'2'});
    }
  }
  const auto failure_of = [&](std::string_view name) {
    const auto opened = stet::open_gguf(folder.path(name));
    return opened ? std::string("ok") : text_of_failure(opened.error());
  };
  const auto write = [&](std::string_view name, const std::string& bytes) { (void)folder.write(name, bytes); };
  write("one-1-of-2.gguf", part(0, 2, 2, "x"));
  CHECK(failure_of("one-1-of-2.gguf") == "missing_part one-2-of-2.gguf");
  write("one-2-of-2.gguf", part(1, 2, 2, "x"));
  CHECK(failure_of("one-1-of-2.gguf") == "duplicate_name x");
  write("one-2-of-2.gguf", part(1, 3, 2, "y"));
  CHECK(failure_of("one-1-of-2.gguf") == "part_mismatch one-2-of-2.gguf");
  CHECK(failure_of("one-2-of-2.gguf") == "part_mismatch one-2-of-2.gguf");
  write("one-2-of-2.gguf", part(0, 2, 2, "y"));
  CHECK(failure_of("one-1-of-2.gguf") == "part_mismatch one-2-of-2.gguf");
  write("one-2-of-2.gguf", part(1, 2, 3, "y"));
  CHECK(failure_of("one-1-of-2.gguf") == "part_mismatch one-2-of-2.gguf");
  write("one-1-of-2.gguf", part(0, 2, 3, "x"));
  CHECK(failure_of("one-1-of-2.gguf") == "part_mismatch split.tensors.count");
  write("one-1-of-2.gguf", gguf_file().tensor("x", {2}, 24, "ab").bytes()); // no part
  CHECK(failure_of("one-2-of-2.gguf") == "part_mismatch one-1-of-2.gguf");
  write("one-1-of-2.gguf", "");
  CHECK(failure_of("one-2-of-2.gguf") == "truncated header @0");
  write("unnamed.gguf", part(1, 2, 2, "x"));
  CHECK(failure_of("unnamed.gguf") == "missing_part -00001-of-2 in the name; this is part 2");
  for (const std::string_view name :
       {"a-of-2.gguf", "a-0000000001-of-0000000002.gguf", "1-of-2.gguf", "a1-of-2.gguf"}) {
    write(name, part(0, 2, 2, "x"));
    CHECK(failure_of(name).starts_with("missing_part -00001-of-2"));
  }
  // A count is no reason to allocate or to wait.
  write("many-000001-of-999999.gguf", gguf_file().u32("split.no", 0).u32("split.count", 999999).bytes());
  stet_test::counted_memory memory;
  const auto many = stet::open_gguf(folder.path("many-000001-of-999999.gguf"), {.memory = &memory});
  REQUIRE_FALSE(many);
  CHECK(many.error().code() == stet::errc::missing_part);
  CHECK(many.error().subject() == "many-000002-of-999999.gguf");
  CHECK(memory.bytes() < 10000);
}

TEST_SUITE_END();
