// SPDX-License-Identifier: MIT
// Tensors saved for NumPy: byte for byte, and opened again.
#if STET_HAS_ZLIB
#include <zlib.h>

#include <stet/ext/zlib.hpp>
#endif

#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>
#include <stet/formats/numpy/format.hpp>

#include "support/npy_files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"
#include "support/zip_archives.hpp"

#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("save_numpy");

namespace {

using namespace std::string_view_literals;

const std::vector<float> six_floats{0, 1, 2, 3, 4, 5};

/// "ok", or the name of the error and its subject.
template <class Value> std::string numpy_outcome(const stet::result<Value>& made) {
  std::string text = stet_test::outcome(made);
  if (!made && !made.error().subject().empty()) text.append(" ").append(made.error().subject());
  return text;
}
std::string numpy_file_text(const stet_test::temp_folder& folder, const std::string& name) {
  const auto bytes = folder.read(name);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
/// An npy file of the one tensor of a writer.
std::string saved_npy(const stet::writer& from) {
  const stet_test::temp_folder folder;
  const auto saved = stet::save_npy(folder.path("x.npy"), from, {.is_durable = false});
  if (!saved) return numpy_outcome(saved);
  const std::string made = numpy_file_text(folder, "x.npy");
  CHECK(saved->file_size_bytes == made.size());
  CHECK(saved->array_count == 1);
  return made;
}
std::string npz_outcome(const stet::writer& from) {
  const stet_test::temp_folder folder;
  const std::string made = numpy_outcome(stet::save_npz(folder.path("x.npz"), from, {.is_durable = false}));
  if (made != "ok") CHECK(folder.names().empty());
  return made;
}
/// As numpy.save writes the header of a shape with one digit in front.
std::string array_of_numpy(std::string_view descr, std::string_view shape, std::string_view elements) {
  return stet_test::numpy_array(descr, shape, elements);
}

} // namespace

TEST_CASE("an npy file, byte for byte as numpy.save writes it") {
  stet::writer out;
  out.add("any/name", six_floats, {2, 3});
  std::string head = "\x93NUMPY\1";
  head.append("\0\x76\0"sv).append("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }");
  head.append(127 - head.size(), ' ').append("\n");
  CHECK(saved_npy(out) == head + stet_test::floats_0_to_5());
}

TEST_CASE("the text of the header has room for the first extent to grow, as NumPy's") {
  using stet::detail::npy_head;
  std::array<std::byte, 64 * 8> memory{};
  const auto head_of = [&](std::string_view descr, std::initializer_list<std::uint64_t> extents) {
    std::byte* at = memory.data();
    for (const std::uint64_t each : extents) {
      stet::detail::store_little(at, each);
      at += 8;
    }
    return npy_head(descr, stet::shape(memory.data(), extents.size()));
  };
  // What numpy.save of NumPy 2.4 writes: its size, and the end of the dict.
  struct row {
    std::string_view descr;
    std::initializer_list<std::uint64_t> shape;
    std::size_t size;
    std::string_view end;
  };
  const row rows[] = {{"'<f4'", {}, 128, "'shape': (), } "},
                      {"'<f4'", {7}, 128, "'shape': (7,), } "},
                      {"'<f4'", {1, 2, 3, 4, 5, 6, 7, 8, 9}, 128, "(1, 2, 3, 4, 5, 6, 7, 8, 9), } "},
                      // 117 bytes of prefix and dict, and 20 of room.
                      {"'<f4'", {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8}, 192, "7, 8), } "}};
  for (const row& each : rows) {
    const std::string head = head_of(each.descr, each.shape);
    CHECK(head.size() == each.size);
    CHECK(head.find(each.end) != std::string::npos);
    CHECK(head.ends_with(" \n"));
  }
  // Version 2.0 beyond what NumPy takes of 1.0, and 3.0 for names that are not ASCII.
  std::string wide = "[";
  for (int i = 0; i < 500; ++i) wide += "('field_" + std::to_string(i) + "', '<f4'), ";
  CHECK(head_of(wide + "]", {1})[6] == '\2');
  CHECK(head_of(wide + "]", {1}).size() % 64 == 0);
  CHECK(head_of("[('\xc3\xa9', '<f4')]", {1})[6] == '\3');
}

TEST_CASE("an npz archive, byte for byte") {
  stet::writer out;
  out.add("w", six_floats, {2, 3});
  const stet_test::temp_folder folder;
  const auto saved = stet::save_npz(folder.path("m.npz"), out);
  REQUIRE(saved);
  CHECK(saved->array_count == 1);
  using stet_test::little;
  const std::string array = stet_test::example_npy_file();
  const std::string common = little(20, 2) + little(0x800, 2) + little(0, 4) + little(0x21, 2) +
                             little(stet_test::zip_crc32(array), 4) + little(152, 4) + little(152, 4) + little(5, 2);
  const std::string local = "PK\3\4" + common + little(29, 2) + "w.npy" + little(0xD935, 2) + little(25, 2) +
                            little(64, 2) + std::string(23, '\0');
  REQUIRE(local.size() == 64);
  const std::string entry = "PK\1\2" + little(20, 2) + common + little(0, 2) + little(0, 2) + little(0, 2) +
                            little(0, 2) + little(0, 4) + little(0, 4) + "w.npy";
  const std::string made = local + array + entry + "PK\5\6" + little(0, 4) + little(1, 2) + little(1, 2) +
                           little(entry.size(), 4) + little(64 + 152, 4) + little(0, 2);
  CHECK(numpy_file_text(folder, "m.npz") == made);
  CHECK(saved->file_size_bytes == made.size());
  // Again the same, over what is there, without waiting.
  REQUIRE(stet::save_npz(folder.path("m.npz"), out, {.is_durable = false}));
  CHECK(numpy_file_text(folder, "m.npz") == made);
  CHECK(folder.names().size() == 1);
}

TEST_CASE("each tensor begins at a multiple of 64 and is in place again, also beside large ones") {
  stet::writer out;
  const std::vector<float> large(400'000, 1.5f);
  const std::vector<std::int16_t> small{1, 2, 3};
  for (int i = 0; i < 20; ++i) out.add("a/" + std::to_string(i), small, {3});
  out.add("large", large, {400, 1000});
  for (int i = 0; i < 20; ++i) out.add(std::string(static_cast<std::size_t>(i) + 1, 'n'), small, {3, 1});
  out.add("larger", large, {400'000}).add("step", 12);
  const stet_test::temp_folder folder;
  const std::string path = folder.path("m.npz");
  REQUIRE(stet::save_npz(path, out));
  const auto model = stet::open_npz(path);
  REQUIRE(model);
  REQUIRE(model->store.tensor_count() == 43);
  for (const stet::tensor each : model->store) CHECK(each.entry().offset_bytes() % 64 == 0);
  const auto found = model->store.find("large");
  REQUIRE(found);
  CHECK(found->bytes().size() == 1'600'000);
  std::vector<float> values(400'000);
  REQUIRE(found->copy_to(std::span(values)));
  CHECK(values == large);
  // The checksums are those of the members.
  const std::string file = numpy_file_text(folder, "m.npz");
  for (const stet::range_check& each : model->checks)
    CHECK(stet_test::zip_crc32(std::string_view(file).substr(static_cast<std::size_t>(each.offset_bytes),
                                                             static_cast<std::size_t>(each.size_bytes))) == each.crc32);
  // An archive without members is one.
  REQUIRE(stet::save_npz(path, stet::writer()));
  CHECK(numpy_file_text(folder, "m.npz").size() == 22);
}

#if STET_HAS_ZLIB
TEST_CASE("deflated on request, where that is smaller") {
  stet::writer out;
  const std::vector<float> zeros(1000), few{1};
  out.add("zeros", zeros, {1000}).add("few", few, {1});
  const stet_test::temp_folder folder;
  const auto saved = stet::save_npz(folder.path("m.npz"), out, {.deflate = stet::deflate_with_zlib});
  REQUIRE(saved);
  CHECK(saved->file_size_bytes < 1000);
  CHECK(saved->file_size_bytes == numpy_file_text(folder, "m.npz").size());
  stet::open_options options;
  options.inflate = stet::inflate_with_zlib;
  const auto model = stet::open_npz(folder.path("m.npz"), options);
  REQUIRE(model);
  std::vector<float> values(1000, 1.0f);
  REQUIRE(model->store.find("zeros")->copy_to(std::span(values)));
  CHECK(values == zeros);
  REQUIRE(model->store.find("few")->copy_to(std::span(values)));
  CHECK(values[0] == 1.0f);
  // A compressor that fails leaves the bytes as they are.
  const auto never = [](const std::byte*, std::size_t, std::byte*, std::size_t) noexcept { return std::size_t{0}; };
  REQUIRE(stet::save_npz(folder.path("n.npz"), out, {.deflate = never}));
  REQUIRE(stet::save_npz(folder.path("s.npz"), out));
  CHECK(numpy_file_text(folder, "n.npz") == numpy_file_text(folder, "s.npz"));
}
#endif

TEST_CASE("every dtype that NumPy or ml_dtypes has, by its descriptor") {
  struct row {
    stet::dtype dtype;
    std::string_view descr;
    std::string_view stored, elements;
  };
  using stet::dtype;
  const row rows[] = {{dtype::boolean, "'|b1'", "\1\0"sv, "\1\0"sv},
                      {dtype::uint16, "'<u2'", "\1\2\3\4"sv, "\1\2\3\4"sv},
                      {dtype::complex64, "'<c8'", "0123456789abcdef"sv, "0123456789abcdef"sv},
                      {dtype::bfloat16, "'<V2'", "\x80\x3f\0\x40"sv, "\x80\x3f\0\x40"sv},
                      {dtype::float8_e5m2, "'<V1'", "\1\2"sv, "\1\2"sv},
                      {dtype::float8_e8m0fnu, "'<V1'", "\1\2"sv, "\1\2"sv},
                      {dtype::int4, "'<V1'", "\x8f"sv, "\x0f\x08"sv},
                      {dtype::uint2, "'<V1'", "\x0d"sv, "\1\3"sv},
                      {dtype::float6_e2m3fn, "'<V1'", "\xc1\x0f"sv, "\1\x3f"sv},
                      {dtype::float4_e2m1fn, "'<V1'", "\x21"sv, "\1\2"sv}};
  for (const row& each : rows) {
    CAPTURE(stet::name_of(each.dtype));
    stet::writer out;
    out.add_bytes("x", stet::element_layout::of(each.dtype), {2},
                  std::as_bytes(std::span(each.stored.data(), each.stored.size())));
    CHECK(saved_npy(out) == array_of_numpy(each.descr, "(2,)", each.elements));
  }
}

TEST_CASE("packed elements are unpacked also across blocks of them") {
  std::string packed, unpacked;
  for (int i = 0; i < 3 * 2500; ++i) packed.push_back(static_cast<char>(i * 37));
  for (std::size_t i = 0; i < 10'000; ++i) {
    const std::size_t at = i * 6 / 8;
    const unsigned both =
        static_cast<unsigned char>(packed[at]) |
        (at + 1 < packed.size() ? static_cast<unsigned>(static_cast<unsigned char>(packed[at + 1])) << 8 : 0u);
    unpacked.push_back(static_cast<char>(both >> i * 6 % 8 & 63u));
  }
  stet::writer out;
  out.add_bytes("x", stet::element_layout::of(stet::dtype::float6_e3m2fn), {10'000}, std::as_bytes(std::span(packed)));
  CHECK(saved_npy(out) == array_of_numpy("'<V1'", "(10000,)", unpacked));
}

TEST_CASE("strings are padded to the longest one") {
  stet::writer out;
  const std::vector<std::string_view> views{"a"sv, ""sv, "xyz"sv, "\0b"sv};
  out.add("t", views, {2, 2});
  CHECK(saved_npy(out) == array_of_numpy("'|S3'", "(2, 2)", "a\0\0\0\0\0xyz\0b\0"sv));
  stet::writer empty;
  empty.add("t", ""sv);
  CHECK(saved_npy(empty) == array_of_numpy("'|S1'", "()", "\0"sv));
  stet::writer ends_in_nul;
  ends_in_nul.add("t", "a\0"sv);
  CHECK(saved_npy(ends_in_nul) == "not_expressible t: a string ends in NUL, which NumPy takes for padding");
}

TEST_CASE("big-endian, reordered and structured arrays of NumPy come back") {
  const stet_test::temp_folder folder;
  const std::string structured =
      stet_test::numpy_array("[('a', '<i2'), ('\xe9', '|S3', (2,))]", "(2,)", "0123456789abcdef"sv);
  const std::string path = folder.write(
      "m.npz",
      stet_test::zip_of({{"big.npy", stet_test::numpy_array("'>i2'", "(2,)", "\0\1\0\2"sv)},
                         {"turned.npy", stet_test::numpy_array("'<f4'", "(2, 3)", stet_test::floats_0_to_5(), true)},
                         {"s.npy", structured},
                         {"date.npy", stet_test::numpy_array("'<M8[25s]'", "()", "12345678"sv)}}));
  const auto model = stet::open_as(stet::npz_format, path);
  REQUIRE(model);
  const auto described = stet::describe(*model);
  REQUIRE(described);
  stet::writer out;
  REQUIRE(stet::compiled::add_model(out, *model));
  REQUIRE(stet::save_npz(folder.path("again.npz"), out));
  const auto again = stet::open_as(stet::npz_format, folder.path("again.npz"));
  REQUIRE(again);
  CHECK_FALSE(again->store.find("big")->entry().is_big_endian());
  std::vector<std::int16_t> numbers(2);
  REQUIRE(again->store.find("big")->copy_to(std::span(numbers)));
  CHECK(numbers == std::vector<std::int16_t>{1, 2});
  std::vector<float> values(6);
  REQUIRE(again->store.find("turned")->copy_to(std::span(values)));
  CHECK(values == std::vector<float>{0, 2, 4, 1, 3, 5});
  CHECK(again->is_in_file(*again->store.find("turned")));
  CHECK(again->store.find("s")->layout().block.name == "struct8");
  CHECK(again->store.find("date")->layout().block.name == "datetime64[25s]");
  const auto described_again = stet::describe(*again);
  REQUIRE(described_again);
  // All but the order, which is now C's.
  REQUIRE(described_again->tensors.size() == 2);
  CHECK(described_again->tensors[0] == described->tensors[1]);
  CHECK(described_again->tensors[1] == described->tensors[2]);
  // A note that does not fit its tensor is not believed.
  stet::writer wrong;
  wrong.add("s", *model->store.find("s"), stet::json_text(R"({"numpy":{"descr":"[('a', '<i4')]"}})"));
  CHECK(npz_outcome(wrong).starts_with("not_expressible s: "));
}

TEST_CASE("names are those of the tensors; what NumPy cannot say is an error by name") {
  const auto named = [](std::string_view name) {
    stet::writer out;
    out.add(name, 1);
    return npz_outcome(out);
  };
  CHECK(named("layer/0/kernel") == "ok");
  CHECK(named("/hdf5/path") == "ok");
  for (const std::string_view name : {"../x", "a/../b", "a//b", "C:x", "a\\b", "//x", "/"}) {
    CAPTURE(name);
    CHECK(named(name) ==
          "not_expressible " + std::string(name) + ": the name leads out of an archive; rename the tensor");
  }
  stet::writer out;
  out.add("/a", 1).add("a", 2);
  CHECK(npz_outcome(out) == "duplicate_name a");
  stet::writer quantized;
  quantized.add_bytes("q", stet::element_layout::of(stet::dtype::qint8), {1}, std::as_bytes(std::span("x", 1)));
  CHECK(npz_outcome(quantized) == "not_expressible q: NumPy has no quantized dtypes; convert it to another one first");
  stet::writer deep;
  const std::vector<std::uint64_t> ones(65, 1);
  deep.add("d", 1, ones);
  CHECK(npz_outcome(deep) == "not_expressible d: NumPy has at most 64 dimensions");
  stet::writer two;
  two.add("a", 1).add("b", 2);
  CHECK(saved_npy(two) == "not_expressible b: an npy file holds one tensor; npz holds several");
  CHECK(saved_npy(stet::writer()).starts_with("not_expressible "));
  CHECK(stet_test::outcome(stet::save_npz("folder/", two)) == "bad_path");
  CHECK(stet_test::outcome(stet::save_npy("", two)) == "bad_path");
  // An alias is an array of its own.
  stet::writer tied;
  tied.add("a", 7).add_alias("b", "a");
  const stet_test::temp_folder folder;
  REQUIRE(stet::save_npz(folder.path("m.npz"), tied));
  const auto model = stet::open_npz(folder.path("m.npz"));
  REQUIRE(model);
  CHECK(model->store.tensor_count() == 2);
}

TEST_CASE("the rows of the table save") {
  stet::writer out;
  out.add("w", six_floats, {2, 3});
  const stet_test::temp_folder folder;
  for (const stet::format* const each : {&stet::npy_format, &stet::npz_format}) {
    const std::string path = folder.path("m" + std::string(each->ending));
    const auto saved = stet::save_as(*each, path, out);
    REQUIRE(saved);
    CHECK(saved->file_count == 1);
    CHECK(stet::open_as(*each, path));
  }
#if STET_HAS_ZLIB
  stet::save_any_options deflated;
  deflated.deflate = stet::deflate_with_zlib;
  const auto smaller = stet::save_as(stet::npz_format, folder.path("d.npz"), out, deflated);
  REQUIRE(smaller);
  CHECK(smaller->file_size_bytes < numpy_file_text(folder, "m.npz").size());
#endif
}

TEST_SUITE_END();
