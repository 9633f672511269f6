// SPDX-License-Identifier: MIT
// npy files: what NumPy takes, in place; what is wrong, by name.
#include <stet/formats/numpy/open.hpp>

#include "support/allocations.hpp"
#include "support/counted_memory.hpp"
#include "support/exact_text.hpp"
#include "support/npy_files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("numpy");

namespace {

using namespace std::string_view_literals;
using stet_test::example_npy_file;
using stet_test::npy_array;
using stet_test::numpy_array;

std::span<const std::byte> npy_bytes(std::string_view file) { return std::as_bytes(std::span(file)); }

/// The name of the error and its subject; "ok" for none. Read from a block that ends where the file does.
std::string npy_verdict(std::string_view file, const stet::numpy_types& types = {}) {
  const stet_test::exact_text block(file);
  const auto opened = stet::open_npy(block.bytes(), {}, types);
  if (opened) return "ok";
  const stet::error& failure = opened.error();
  CHECK((failure.offset_bytes() == stet::error::no_offset || failure.offset_bytes() <= file.size()));
  std::string text(stet::describe(failure.code()).name);
  if (!failure.subject().empty()) text.append(" ").append(failure.subject());
  return text;
}
/// Of 64 bytes of elements with this header.
std::string text_verdict(std::string_view text, int major = 1) {
  return npy_verdict(npy_array(text, std::string(64, '\1'), major));
}
std::string descr_verdict(std::string_view descr) {
  return text_verdict("{'descr': " + std::string(descr) + ", 'fortran_order': False, 'shape': ()}");
}
std::string shape_verdict(std::string_view shape) {
  return text_verdict("{'descr': '|u1', 'fortran_order': False, 'shape': " + std::string(shape) + "}");
}

template <class T> std::vector<T> values_of(const stet::tensor& of) {
  std::vector<T> values(static_cast<std::size_t>(of.element_count()));
  CHECK(stet_test::outcome(of.copy_to(std::span(values))) == "ok");
  return values;
}

const std::vector<float> zero_to_five{0, 1, 2, 3, 4, 5};

} // namespace

TEST_CASE("NumPy's worked example opens in place") {
  const std::string file = example_npy_file();
  REQUIRE(file.size() == 152);
  const auto store = stet::open_npy(npy_bytes(file));
  REQUIRE(store);
  REQUIRE(store->tensor_count() == 1);
  const auto found = store->find("0");
  REQUIRE(found);
  CHECK(found->dtype() == stet::dtype::float32);
  CHECK(found->shape().equals({2, 3}));
  CHECK(found->is_in_place() == stet::detail::host_is_little_endian);
  CHECK(static_cast<const void*>(found->bytes().data()) == file.data() + 128);
  CHECK(found->entry().offset_bytes() == 128);
  CHECK(values_of<float>(*found) == zero_to_five);
}

TEST_CASE("opens from a file: mapped, read and on demand") {
  const stet_test::temp_folder folder;
  const std::string path = folder.write("a.npy", example_npy_file());
  const std::string turned = folder.write("t.npy", numpy_array("'<f4'", "(3, 2)", stet_test::floats_0_to_5(), true));
  for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
    const auto store = stet::open_npy(path, {.backing = backing});
    REQUIRE(store);
    CHECK(values_of<float>(*store->find("0")) == zero_to_five);
    const auto reordered = stet::open_npy(turned, {.backing = backing});
    REQUIRE(reordered);
    CHECK(values_of<float>(*reordered->find("0")) == std::vector<float>{0, 3, 1, 4, 2, 5});
  }
  CHECK(stet_test::outcome(stet::open_npy(folder.path("none.npy"))) == "file_not_found");
  CHECK(stet_test::outcome(stet::open_npy(
            path, {.backing = stet::backing::stream, .access = stet::access::shared_write})) == "unsupported");
}

TEST_CASE("every type that has a dtype, in both byte orders and by name") {
  for (const stet::detail::npy_plain_type& row : stet::detail::npy_plain_types) {
    const std::string size = std::to_string(row.size_bytes), letter(1, row.kind);
    CAPTURE(letter + size);
    const std::size_t word = stet::describe(row.dtype).word_size_bytes;
    for (const std::string_view order : {"<", ">", "|", "=", ""}) {
      const std::string file = numpy_array("'" + std::string(order) + letter + size + "'", "(2,)",
                                           std::string(std::size_t{row.size_bytes} * 2, '\1'));
      const auto store = stet::open_npy(npy_bytes(file));
      REQUIRE(store);
      const auto found = store->find("0");
      CHECK(found->dtype() == row.dtype);
      CHECK(found->size_bytes() == std::size_t{row.size_bytes} * 2);
      const bool is_big = order == ">" || (order != "<" && !stet::detail::host_is_little_endian);
      CHECK(found->entry().is_big_endian() == (is_big && word > 1));
    }
    const std::string named = "'" + std::string(stet::name_of(row.dtype)) + "'";
    CHECK(npy_verdict(numpy_array(named, "()", std::string(row.size_bytes, '\1'))) == "ok");
  }
  CHECK(descr_verdict("'?'") == "ok");
}

TEST_CASE("big-endian elements are swapped by copy_to") {
  const std::string file = numpy_array("'>i4'", "(3,)", "\0\0\0\1\0\0\0\2\xff\xff\xff\xfd"sv);
  const auto store = stet::open_npy(npy_bytes(file));
  REQUIRE(store);
  CHECK(values_of<std::int32_t>(*store->find("0")) == std::vector<std::int32_t>{1, 2, -3});
  if (stet::detail::host_is_little_endian)
    CHECK(stet_test::outcome(store->get<std::int32_t>("0")) == "wrong_byte_order");
}

TEST_CASE("Fortran order comes through copy_to") {
  std::string elements;
  for (int i = 0; i < 24; ++i) elements.append({'\0', static_cast<char>(i)});
  const std::string file = numpy_array("'>u2'", "(2, 3, 1, 4)", elements, true);
  const auto store = stet::open_npy(npy_bytes(file));
  REQUIRE(store);
  const auto found = store->find("0");
  REQUIRE(found);
  CHECK(found->shape().equals({2, 3, 1, 4}));
  CHECK_FALSE(found->is_in_place());
  CHECK(stet_test::outcome(found->as<std::uint16_t>()) == "not_resident");
  // Element (i, j, 0, k) is number i + 2 j + 6 k of the file.
  const std::vector<std::uint16_t> values = values_of<std::uint16_t>(*found);
  std::size_t number = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      for (std::size_t k = 0; k < 4; ++k) CHECK(values[number++] == i + 2 * j + 6 * k);
    }
  }
  // In pieces of any size, from anywhere.
  std::vector<std::byte> whole(48);
  REQUIRE(found->read(0, whole));
  for (std::size_t begin = 0; begin < whole.size(); ++begin) {
    for (std::size_t size = 1; size <= whole.size() - begin; ++size) {
      std::vector<std::byte> piece(size);
      REQUIRE(found->read(begin, piece));
      CHECK(std::equal(piece.begin(), piece.end(), whole.begin() + static_cast<std::ptrdiff_t>(begin)));
    }
  }
  std::byte byte{};
  CHECK(stet_test::outcome(found->read(48, std::span(&byte, 1))) == "bad_range");
}

TEST_CASE("one axis that is longer than 1 has no order") {
  for (const std::string_view shape : {"(6,)", "(1, 6)", "(6, 1, 1)", "()"}) {
    CAPTURE(shape);
    const std::string file = numpy_array("'<f4'", shape, stet_test::floats_0_to_5(), true);
    const auto store = stet::open_npy(npy_bytes(file));
    REQUIRE(store);
    CHECK(store->index().part_count() == 0);
    const stet::tensor found = *store->find("0");
    CHECK(static_cast<const void*>(found.bytes().data()) == file.data() + 128);
  }
}

TEST_CASE("a file of several arrays; other bytes behind one are ignored") {
  const std::string first = numpy_array("'|u1'", "(3,)", "abc"),
                    second = numpy_array("'<f4'", "(3, 2)", stet_test::floats_0_to_5(), true);
  const std::string third = numpy_array("[('a', '<i4')]", "()", "wxyz"), fourth = numpy_array("'|V3'", "()", "uvw");
  const std::string file = first + second + third + fourth + "\x93NUMP";
  const auto store = stet::open_npy(npy_bytes(file));
  REQUIRE(store);
  REQUIRE(store->tensor_count() == 4);
  CHECK(store->find("0")->shape().equals({3}));
  CHECK(values_of<float>(*store->find("1")) == std::vector<float>{0, 3, 1, 4, 2, 5});
  CHECK(store->find("2")->layout().block == stet::block_type{"struct4", 1, 4});
  CHECK(store->find("3")->layout().block == stet::block_type{"void3", 1, 3});
  CHECK(store->find("3")->bytes()[0] == std::byte{'u'});
  CHECK(store->find("3")->entry().offset_bytes() == first.size() + second.size() + third.size() + 128);
  CHECK(npy_verdict(first + "\x93NUMPY") == "truncated npy");
  CHECK(npy_verdict(first + npy_array("{}")) == "missing_field descr");
  // More than one digit.
  std::string many;
  for (int i = 0; i < 120; ++i) many += numpy_array("'|u1'", "()", std::string(1, static_cast<char>(i)));
  const auto opened = stet::open_npy(npy_bytes(many));
  REQUIRE(opened);
  REQUIRE(opened->tensor_count() == 120);
  CHECK(opened->find("119")->bytes()[0] == std::byte{119});
}

TEST_CASE("types without a dtype are blocks") {
  struct row {
    std::string_view descr, name;
    std::uint32_t size_bytes;
  };
  constexpr row rows[] = {
      {"'|S5'", "bytes5", 5},
      {"'a5'", "bytes5", 5},
      {"'<U3'", "unicode3", 12},
      {"'>U3'", "unicode3_be", 12},
      {"'|V2'", "void2", 2},
      {"'<V7'", "void7", 7},
      {"'<M8[ns]'", "datetime64[ns]", 8},
      {"'<m8[25s]'", "timedelta64[25s]", 8},
      {"'>M8'", "datetime64_be", 8},
      {"'<f16'", "longdouble16", 16},
      {"'<c32'", "clongdouble32", 32},
      {"[('a', '<i4'), ('b', '>f8')]", "struct12", 12},
      {"[('p', [('q', '|u1'), ('', '|V3'), ('r', '>f4', (2, 3))]), (('title', 's'), '|S3'), ('', '|V1')]", "struct32",
       32},
      {"[('a', ('<i2', (2,)), 3), ('z', '|V0')]", "struct12", 12},
      {"[(\"a\", \"|i1\", ), ]", "struct1", 1},
  };
  for (const row& each : rows) {
    CAPTURE(each.descr);
    const std::string file = numpy_array(each.descr, "(2,)", std::string(std::size_t{each.size_bytes} * 2, '\1'));
    const auto store = stet::open_npy(npy_bytes(file));
    REQUIRE(store);
    CHECK(store->find("0")->layout().block == stet::block_type{each.name, 1, each.size_bytes});
    CHECK(store->find("0")->size_bytes() == std::size_t{each.size_bytes} * 2);
    CHECK(store->find("0")->entry().offset_bytes() % 64 == 0);
  }
}

TEST_CASE("void types have the dtype that the caller names") {
  const std::string file = numpy_array("'<V2'", "(2,)", "\x80\x3f\0\x40"sv) + numpy_array("'|V1'", "(2,)", "\1\x0f") +
                           numpy_array("'|V3'", "()", "abc");
  const auto store = stet::open_npy(npy_bytes(file), {}, {.void1 = stet::dtype::int4, .void2 = stet::dtype::bfloat16});
  REQUIRE(store);
  CHECK(store->find("0")->dtype() == stet::dtype::bfloat16);
  std::vector<float> values(2);
  REQUIRE(store->find("0")->copy_to(std::span(values), stet::convert));
  CHECK(values == std::vector<float>{1, 2});
  CHECK(store->find("1")->dtype() == stet::dtype::int4);
  CHECK(store->find("1")->entry().bits() == 8);
  REQUIRE(store->find("1")->copy_to(std::span(values), stet::convert));
  CHECK(values == std::vector<float>{1, -1});
  CHECK(store->find("2")->dtype() == stet::dtype::block);
  CHECK(npy_verdict(file, {.void1 = stet::dtype::bfloat16}) == "invalid_argument void1");
  CHECK(npy_verdict(file, {.void1 = stet::dtype::string}) == "invalid_argument void1");
  CHECK(npy_verdict(file, {.void2 = stet::dtype::int8}) == "invalid_argument void2");
}

TEST_CASE("versions 1.0, 2.0 and 3.0") {
  constexpr std::string_view text = "{'descr': '|u1', 'fortran_order': False, 'shape': (3L, 2)}";
  CHECK(text_verdict(text, 1) == "ok");
  CHECK(text_verdict(text, 2) == "ok");
  CHECK(text_verdict(text, 3) == "wrong_type shape"); // Python 3 wrote it, which has no longs
  CHECK(text_verdict("{'descr': '|u1', 'fortran_order': False, 'shape': (3, 2)}", 3) == "ok");
  CHECK(text_verdict(text, 0) == "unsupported npy version");
  CHECK(text_verdict(text, 4) == "unsupported npy version");
  std::string minor = npy_array(text, "abcdef");
  minor[7] = '\1';
  CHECK(npy_verdict(minor) == "unsupported npy version");
  // NumPy's limit for those of version 1.0; others are written for longer ones.
  const std::string wide = std::string(text) + std::string(10'000 - text.size(), ' ');
  CHECK(text_verdict(wide, 1) == "ok");
  CHECK(text_verdict(wide + " ", 1) == "too_large header");
  CHECK(text_verdict(wide + std::string(80'000, ' '), 2) == "ok");
  CHECK(text_verdict(std::string(text) + std::string((1u << 20) - text.size(), ' '), 2) == "ok");
  CHECK(text_verdict(std::string(text) + std::string((1u << 20) - text.size() + 1, ' '), 2) == "too_large header");
}

TEST_CASE("any layout of the header that NumPy takes") {
  CHECK(text_verdict("{'shape':(2,3),'fortran_order':True,'descr':'<f4'}") == "ok");
  CHECK(text_verdict("  { 'shape' : ( 2 ,3, ) ,\n 'fortran_order':True,'descr':'<f4'\t} \r\n\f") == "ok");
  CHECK(text_verdict(R"({"descr": "<f4", "fortran_order": False, "shape": (2, 3)})") == "ok");
  CHECK(text_verdict("{'descr': '<f4', # c\n 'fortran_order': False, 'shape': (6,), } # the end") == "ok");
  CHECK(text_verdict(R"({'\x64esc\u0072': '\x3cf4', 'fortran_order': False, '\U00000073hape': (6,)})") == "ok");
  CHECK(shape_verdict("(0x6, 0o7, 0B1, 0)") == "ok");
  CHECK(shape_verdict("(+4, -0)") == "ok");
  CHECK(shape_verdict("(2, 3 ,)") == "ok");
}

TEST_CASE("what is wrong with the text, by name") {
  CHECK(text_verdict("") == "malformed header");
  CHECK(text_verdict("{") == "malformed header");
  CHECK(text_verdict("{}") == "missing_field descr");
  CHECK(text_verdict("{'descr': '<f4', 'fortran_order': False}") == "missing_field shape");
  CHECK(text_verdict("{'descr': '<f4', 'shape': ()}") == "missing_field fortran_order");
  CHECK(text_verdict("{'descr': '<f4', 'fortran_order': False, 'shape': (), 'x': 1}") == "malformed x");
  CHECK(text_verdict("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}") == "duplicate_key descr");
  CHECK(text_verdict("{'descr': '<f4', 'fortran_order': False, 'shape': ()} x") == "malformed header");
  CHECK(text_verdict("{'descr': '<f4', 'fortran_order': False, 'shape': ()}\0"sv) == "malformed header");
  CHECK(text_verdict("{'descr': '<f4', 'fortran_order': False, 'shape': ()") == "malformed header");
  CHECK(text_verdict("{'descr': '<f4' 'fortran_order': False, 'shape': ()}") == "wrong_type descr");
  CHECK(text_verdict("{'descr': '<f4',, 'fortran_order': False, 'shape': ()}") == "malformed header");
  CHECK(text_verdict("{, 'descr': '<f4', 'fortran_order': False, 'shape': ()}") == "malformed header");
  CHECK(text_verdict("{'descr' '<f4', 'fortran_order': False, 'shape': ()}") == "malformed header");
  CHECK(text_verdict("{descr: '<f4', 'fortran_order': False, 'shape': ()}") == "malformed header");
  CHECK(text_verdict("dict(descr='<f4', fortran_order=False, shape=())") == "malformed header");
  CHECK(text_verdict("[('descr', '<f4')]") == "malformed header");
  for (const std::string_view order : {"1", "0", "None", "true", "'True'", "Truely", "(True)", "not False", ""}) {
    CAPTURE(order);
    CHECK(text_verdict("{'descr': '<f4', 'fortran_order': " + std::string(order) + ", 'shape': ()}") ==
          "wrong_type fortran_order");
  }
}

TEST_CASE("what is wrong with a shape") {
  for (const std::string_view shape :
       {"6", "[2, 3]", "'2'", "None", "{2}", "(True,)", "(2.0,)", "(1e3,)", "('2',)", "(02,)", "(2_0,)", "(--2,)",
        "(0x,)", "(0xg,)", "(2j,)", "(a,)", "((2,),)", "(,)", "(2,,3)"}) {
    CAPTURE(shape);
    CHECK(shape_verdict(shape) == "wrong_type shape");
  }
  CHECK(shape_verdict("(6)") == "wrong_type shape"); // an integer in parentheses
  CHECK(shape_verdict("(2 3)") == "malformed shape");
  CHECK(shape_verdict("(2*3,)") == "malformed shape");
  CHECK(shape_verdict("(2, 3") == "malformed shape");
  CHECK(shape_verdict("(2, 3]") == "malformed shape");
  CHECK(shape_verdict("(-1,)") == "bad_shape shape");
  CHECK(shape_verdict("(18446744073709551616,)") == "bad_shape shape");
  CHECK(shape_verdict("(99999999999999999999999999,)") == "bad_shape shape");
  CHECK(shape_verdict("(18446744073709551615,)") == "bad_shape shape");
  CHECK(shape_verdict("(9223372036854775807,)") == "truncated data");
  CHECK(shape_verdict("(4294967296, 4294967296)") == "bad_shape shape");
  CHECK(shape_verdict("(9223372036854775808, 2)") == "bad_shape shape");
  CHECK(shape_verdict("(0, 18446744073709551615)") == "bad_shape shape");
  CHECK(shape_verdict("(18446744073709551615, 0)") == "bad_shape shape");
  CHECK(shape_verdict("(65,)") == "truncated data");
  CHECK(shape_verdict("(64,)") == "ok");
  // The product fits, the size does not.
  CHECK(text_verdict("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 8)}") ==
        "bad_shape shape");
  CHECK(text_verdict("{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693952,)}") == "bad_shape shape");
  std::string ones = "(", more;
  for (std::size_t i = 0; i < stet::max_rank; ++i) ones += "1,";
  CHECK(shape_verdict(ones + ")") == "ok");
  CHECK(shape_verdict(ones + "1)") == "bad_shape shape");
  more.assign(9000, '1');
  CHECK(shape_verdict("(" + more + ",)") == "bad_shape shape");
}

TEST_CASE("what is wrong with a type") {
  for (const std::string_view descr : {"''",
                                       "'<'",
                                       "'f'",
                                       "'<f'",
                                       "'<f3'",
                                       "'<i3'",
                                       "'<i16'",
                                       "'|b2'",
                                       "'<f1'",
                                       "'<c4'",
                                       "'<f80'",
                                       "'<q8'",
                                       "'<<f4'",
                                       "'<f4 '",
                                       "' <f4'",
                                       "'<f4,<i4'",
                                       "'(2,)<f4'",
                                       "'<f-4'",
                                       "'<f99999999999999999999'",
                                       "'<M4'",
                                       "'<M8[ns'",
                                       "'<M8[]'",
                                       "'<M8[n s]'",
                                       "'|V0'",
                                       "'<U0'",
                                       "'|S0'",
                                       "'<U2147483647'",
                                       "'bfloat16'",
                                       "'float8_e4m3fn'",
                                       "'string'",
                                       "'block'",
                                       R"('\x00f4')",
                                       R"('\u263a')",
                                       "'<f4<f4<f4<f4<f4<f4<f4<f4<f4<f4<f4<f4<f4<f4<f4'"}) {
    CAPTURE(descr);
    CHECK(descr_verdict(descr).starts_with("unknown_dtype"));
  }
  CHECK(descr_verdict("[]") == "unknown_dtype []");
  CHECK(descr_verdict("[('a', '|V0')]").starts_with("unknown_dtype"));
  CHECK(descr_verdict("[('a', '<f3')]") == "unknown_dtype <f3");
  for (const std::string_view descr :
       {"4", "None", "('<f4', (2,))", "{'names': ['a']}", "'<f4", "u'<f4'", "b'<f4'", "'<f4'.x", "'''<f4'''",
        R"('<f4\n')", R"('\x3')", R"('\N{DIGIT ONE}')", "'<\nf4'"}) {
    CAPTURE(descr);
    const std::string verdict = descr_verdict(descr);
    CHECK((verdict == "wrong_type descr" || verdict == "malformed header"));
  }
  for (const std::string_view descr :
       {"[", "[(", "[('a'", "[('a',", "[('a')]", "[('a', '<f4'", "[('a', '<f4'), x]", "['a']",
        "[('a', '<f4') ('b', '<f4')]", "[('a', '<f4', x)]", "[('a', '<f4', (2 3))]", "[('a', '<f4', 2, 3)]",
        "[(('t',), '<f4')]", "[(('t', 'a', '<f4')]", "[('a', ('<f4'))]", "[('a', ('<f4', ))]", "[(1, '<f4')]",
        "[('a', 4)]", "[('a', '<f4', True)]"}) {
    CAPTURE(descr);
    const std::string verdict = descr_verdict(descr);
    CHECK((verdict == "malformed descr" || verdict == "wrong_type descr" || verdict == "unknown_dtype fortran_order"));
  }
  CHECK(descr_verdict("[('a', '<f4', -1)]") == "bad_shape descr");
  CHECK(descr_verdict("[('a', '|V1', (65536, 65536))]") == "too_large descr");
  CHECK(descr_verdict("[('a', '|V2147483647'), ('b', '|V1')]") == "too_large descr");
  CHECK(descr_verdict("[('a', '|V2147483647')]") == "truncated data");
  // Nesting is bounded.
  const auto nested = [](std::size_t depth) {
    std::string begin, end;
    for (std::size_t i = 0; i < depth; ++i) begin += "[('a', ", end += ")]";
    return begin + "'|u1'" + end;
  };
  CHECK(descr_verdict(nested(15)) == "ok");
  CHECK(descr_verdict(nested(40)) == "too_deep descr");
  CHECK(descr_verdict("[('a', " + std::string(9000, '(')) == "too_deep descr");
}

TEST_CASE("Python objects are refused by name") {
  for (const std::string_view descr :
       {"'|O'", "'|O8'", "'O'", "[('a', '<i4'), ('o', '|O')]", "[('a', [('b', 'O', 2)])]"}) {
    CAPTURE(descr);
    CHECK(npy_verdict(numpy_array(descr, "(3,)", "\x80\2]q\0."sv)) ==
          "unsupported 0: Python objects, stored as a pickle");
  }
  CHECK(npy_verdict(example_npy_file() + numpy_array("'|O'", "()", "N.")) ==
        "unsupported 1: Python objects, stored as a pickle");
}

TEST_CASE("every truncation of a file is an error") {
  const std::string file = example_npy_file();
  for (std::size_t size = 0; size < file.size(); ++size) {
    CAPTURE(size);
    const std::string verdict = npy_verdict(file.substr(0, size));
    CHECK(verdict == (size < 10 ? "truncated npy" : size < 128 ? "truncated header" : "truncated data"));
  }
  const std::string both = file + numpy_array("'>i2'", "(2, 2)", "abcdefgh", true);
  for (std::size_t size = file.size(); size < both.size(); ++size) {
    CAPTURE(size);
    CHECK((npy_verdict(both.substr(0, size)) == "ok") == (size < file.size() + 6));
  }
}

TEST_CASE("every flipped bit opens within the file, or is an error") {
  const std::string file = numpy_array("[('a', '<i2', 2), ('b', ('|S1', (2, 2)))]", "(1, 2L)", std::string(16, 'x')) +
                           numpy_array("'>f4'", "(2, 3)", stet_test::floats_0_to_5(), true);
  REQUIRE(npy_verdict(file) == "ok");
  for (std::size_t at = 0; at < file.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = file;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      const stet_test::exact_text block(flipped);
      const auto opened = stet::open_npy(block.bytes());
      if (!opened) continue;
      for (const stet::tensor each : *opened) {
        std::vector<std::byte> bytes(static_cast<std::size_t>(each.size_bytes()));
        CHECK(stet_test::outcome(each.read(0, bytes)) == "ok");
      }
    }
  }
}

TEST_CASE("an error has the offset of what is wrong") {
  const std::string file = npy_array("{'descr': '<f4', 'fortran_order': 1, 'shape': ()}");
  const auto opened = stet::open_npy(npy_bytes(example_npy_file() + file));
  REQUIRE_FALSE(opened);
  CHECK(opened.error().offset_bytes() == 152 + file.find("1, 'shape"));
  const auto unknown = stet::open_npy(npy_bytes(npy_array("{'descr': '<f3', 'fortran_order': False, 'shape': ()}")));
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().offset_bytes() == 20);
  CHECK(npy_verdict("{}") == "unknown_format npy");
  CHECK(npy_verdict("version https://git-lfs.github.com/spec/v1\n") == "unknown_format npy");
}

TEST_CASE("all memory comes from the caller's") {
  stet_test::counted_memory memory;
  const std::string file = example_npy_file() + numpy_array("'<f4'", "(3, 2)", stet_test::floats_0_to_5(), true) +
                           numpy_array("'|S2'", "(1,)", "ab");
  {
    const stet_test::allocations counted;
    const auto store = stet::open_npy(npy_bytes(file), {.memory = &memory});
    REQUIRE(store);
    CHECK(store->tensor_count() == 3);
    CHECK(counted.count() == 0);
  }
  for (std::size_t fails_at = 0; fails_at < 16; ++fails_at) {
    stet_test::counted_memory little(fails_at);
    const auto store = stet::open_npy(npy_bytes(file), {.memory = &little});
    if (!store) CHECK(store.error().code() == stet::errc::out_of_memory);
    if (fails_at == 0) CHECK_FALSE(store);
  }
}

TEST_SUITE_END();
