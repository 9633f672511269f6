// SPDX-License-Identifier: MIT
// Tests of tensor.hpp: views where they are possible, the reason where they are not, and copies everywhere.
#include "support/byte_order.hpp"
#include "support/files.hpp"

#include <stet/store/open.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <vector>

using stet::dtype;
using stet::element_layout;
using stet::errc;
using stet_test::bytes_of;
using stet_test::code_of;
using stet_test::elements_of;
using stet_test::native_file;
using stet_test::native_tensor;
using stet_test::tensor_of;
using stet_test::view_of_words;

namespace {

/// One tensor of each kind.
std::vector<native_tensor> each_kind() {
  std::vector<native_tensor> tensors;
  tensors.push_back(tensor_of<float>("float32", {2, 3}, {1, -2, 3, 4.5f, 5, 6}));
  tensors.push_back(tensor_of<std::int16_t>("int16", {3}, {-1, 2, 300}));
  tensors.push_back(tensor_of("bool", element_layout::of(dtype::boolean), {3}, bytes_of<unsigned char>({1, 0, 1})));
  tensors.push_back(tensor_of("bad bool", element_layout::of(dtype::boolean), {3}, bytes_of<unsigned char>({1, 0, 2})));
  tensors.push_back(tensor_of("int4", element_layout::of(dtype::int4), {3}, bytes_of<unsigned char>({0x2F, 0x08})));
  tensors.push_back(tensor_of("int4 in bytes", {dtype::int4, 8, {}}, {3}, bytes_of<unsigned char>({0x0F, 0xF2, 0x08})));
  tensors.push_back(
      tensor_of("float6", element_layout::of(dtype::float6_e2m3fn), {2}, bytes_of<unsigned char>({0x08 | 0x80, 0x04})));
  tensors.push_back(tensor_of<stet::complex64>("complex64", {1}, {{1, -2}}));
  tensors.push_back(tensor_of<stet::qint8>("qint8", {2}, {{-128}, {127}}));
  tensors.push_back(stet_test::strings_of("strings", {"zero", "", "two"}));
  tensors.push_back(tensor_of("blocks", {dtype::block, 0, {"q8_0", 32, 34}}, {64}, stet_test::byte_vector(68)));
  tensors.push_back(tensor_of<double>("scalar", {}, {2.5}));
  tensors.push_back(tensor_of<float>("empty", {0, 7}, {}));
  native_tensor longer{"uint4 of many", element_layout::of(dtype::uint4), {1003}, stet_test::byte_vector(502)};
  for (std::size_t i = 0; i < 1003; ++i) longer.bytes[i / 2] |= static_cast<std::byte>((i * 7 % 16) << (i % 2 * 4));
  tensors.push_back(longer);
  return tensors;
}

template <class T> std::vector<T> copied(const stet::store& store, std::string_view name, errc expected = errc{}) {
  std::vector<T> values(1003);
  const auto tensor = store.find(name);
  if (!tensor) return {};
  CHECK(code_of(tensor->copy_to(std::span<T>(values))) == expected);
  values.resize(static_cast<std::size_t>(tensor->element_count()));
  return values;
}
template <class T> std::vector<T> converted(const stet::store& store, std::string_view name, errc expected = errc{}) {
  std::vector<T> values(1003);
  const auto tensor = store.find(name);
  if (!tensor) return {};
  CHECK(code_of(tensor->copy_to(std::span<T>(values), stet::convert)) == expected);
  values.resize(static_cast<std::size_t>(tensor->element_count()));
  return values;
}

} // namespace

TEST_SUITE("tensor") {
  TEST_CASE("a mismatch says what was expected and what was found, both within the subject") {
    const std::string long_name = "model/layers/attention/query/" + std::string(60, 'x') + "/kernel";
    const native_file file({tensor_of<float>("w", {2, 3}, {1, 2, 3, 4, 5, 6}),
                            tensor_of<std::uint8_t>("b", {3}, {1, 2, 3}),
                            tensor_of<float>(long_name, {2, 3}, {1, 2, 3, 4, 5, 6}),
                            tensor_of<std::uint8_t>("deep", std::vector<std::uint64_t>(40, 1), {1})});
    const stet_test::exact_block block(file.bytes);
    const auto store = stet::open(std::span<const std::byte>(block.span()));
    REQUIRE(store);
    if (!store) return;
    const auto subject = [](const auto& failed) {
      return failed ? std::string() : std::string(failed.error().subject());
    };
    const stet::tensor w = *store->find("w"), b = *store->find("b");
    CHECK(subject(store->get<int>("w")) == "w: int32 expected, float32 [2, 3] found");
    CHECK(subject(store->view<int, 2, 3>("w")) == "w: int32 [2, 3] expected, float32 [2, 3] found");
    CHECK(subject(store->view<std::uint8_t, 2, stet::dynamic>("b")) == "b: uint8 [2, any] expected, uint8 [3] found");
    CHECK(subject(store->view<int, stet::dynamic_rank>("w")) == "w: int32 expected, float32 [2, 3] found");
    CHECK(subject(b.as_view<const std::uint8_t>()) == "b: uint8 [] expected, uint8 [3] found");
    CHECK(subject(w.as_packed<stet::int4>()) == "w: int4 expected, float32 [2, 3] found");
    CHECK(subject(w.as_strings()) == "w: string expected, float32 [2, 3] found");
    double doubles[6];
    float floats[5];
    CHECK(subject(w.copy_to(std::span<double>(doubles))) == "w: float64 expected, float32 [2, 3] found");
    CHECK(subject(w.copy_to(std::span<float>(floats))) == "w: float32 [2, 3], room for 5 elements");
    CHECK(subject(b.copy_to(std::span<double>(doubles, 1), stet::convert)) == "b: uint8 [3], room for 1 elements");
    CHECK(std::string(to_text(store->get<int>("w").error()).c_str()) ==
          "w: int32 expected, float32 [2, 3] found: the tensor has another dtype");
    // Whatever is too long is shortened where it tells least; a failure of another kind has the name alone.
    CHECK(subject(store->get<int>(long_name)) ==
          "model/layers/atten…" + std::string(29, 'x') + "/kernel: int32 expected, float32 [2, 3] found");
    const std::string deep = subject(store->view<std::uint8_t, 7>("deep"));
    CHECK(deep.starts_with("deep: uint8 [7] expected, uint8 [1…"));
    CHECK(deep.ends_with("1, 1] found"));
    CHECK(deep.size() == stet::error::max_subject_bytes);
    CHECK(subject(w.as_writable<float>()) == "w");
  }

  TEST_CASE("copies and converts the same from every backing") {
    const native_file file(each_kind());
    const stet_test::every_way ways;
    ways.open(file.bytes, [&](const stet_test::way_to_open& way, stet::result<stet::store>&& opened) {
      CAPTURE(way.name);
      REQUIRE(opened);
      if (!opened) return;
      const stet::store& store = *opened;
      CHECK(copied<float>(store, "float32") == std::vector<float>{1, -2, 3, 4.5f, 5, 6});
      CHECK(converted<double>(store, "float32") == std::vector<double>{1, -2, 3, 4.5, 5, 6});
      CHECK(converted<std::uint8_t>(store, "int16") == std::vector<std::uint8_t>{0, 2, 255});
      CHECK(converted<float>(store, "bool") == std::vector<float>{1, 0, 1});
      std::array<bool, 3> booleans{};
      CHECK(code_of(store.find("bool")->copy_to(std::span<bool>(booleans))) == errc{});
      CHECK((booleans[0] && !booleans[1] && booleans[2]));
      CHECK(code_of(store.find("bad bool")->copy_to(std::span<bool>(booleans))) == errc::bad_value);
      converted<float>(store, "bad bool", errc::bad_value);
      CHECK(converted<int>(store, "int4") == std::vector<int>{-1, 2, -8});
      CHECK(converted<int>(store, "int4 in bytes") == std::vector<int>{-1, 2, -8});
      CHECK(copied<stet::int4>(store, "int4") ==
            std::vector<stet::int4>{stet::int4(-1), stet::int4(2), stet::int4(-8)});
      CHECK(copied<stet::int4>(store, "int4 in bytes") == copied<stet::int4>(store, "int4"));
      CHECK(converted<float>(store, "float6") == std::vector<float>{1.0f, 2.5f});
      CHECK(copied<stet::complex64>(store, "complex64") == std::vector<stet::complex64>{{1, -2}});
      converted<float>(store, "complex64", errc::not_convertible);
      CHECK(converted<int>(store, "qint8") == std::vector<int>{-128, 127});
      CHECK(copied<stet::qint8>(store, "qint8")[0].value == -128);
      CHECK(copied<double>(store, "scalar") == std::vector<double>{2.5});
      CHECK(copied<float>(store, "empty").empty());
      copied<double>(store, "float32", errc::dtype_mismatch);
      converted<float>(store, "strings", errc::not_convertible);
      converted<float>(store, "blocks", errc::not_convertible);
      const auto many = converted<int>(store, "uint4 of many");
      bool right = true;
      for (std::size_t i = 0; i < many.size(); ++i) right = right && many[i] == static_cast<int>(i * 7 % 16);
      CHECK(right);
      CHECK(copied<stet::uint4>(store, "uint4 of many").size() == 1003);
      CHECK(code_of(store.verify_checksums()) == errc{});
    });
  }

  TEST_CASE("a destination too small, or none, is refused and not written to") {
    const native_file file(each_kind());
    const stet_test::every_way ways;
    ways.open(file.bytes, [&](const stet_test::way_to_open& way, stet::result<stet::store>&& store) {
      CAPTURE(way.name);
      REQUIRE(store);
      if (!store) return;
      const auto tensor = *store->find("float32");
      float values[6] = {9, 9, 9, 9, 9, 9};
      for (std::size_t count = 0; count < 6; ++count) {
        CHECK(code_of(tensor.copy_to(std::span<float>(values, count))) == errc::buffer_too_small);
        CHECK(code_of(tensor.copy_to(std::span<float>(values, count), stet::convert)) == errc::buffer_too_small);
      }
      CHECK(code_of(tensor.copy_to(std::span<float>())) == errc::buffer_too_small);
      CHECK(code_of(tensor.copy_to(std::span<double>(), stet::convert)) == errc::buffer_too_small);
      CHECK(code_of(store->find("int4")->copy_to(std::span<stet::int4>())) == errc::buffer_too_small);
      CHECK(values[0] == 9);
      CHECK(code_of(store->find("empty")->copy_to(std::span<float>())) == errc{});
      CHECK(code_of(store->find("empty")->copy_to(std::span<int>(), stet::convert)) == errc{});
      double more[8] = {};
      more[6] = 9;
      CHECK(code_of(tensor.copy_to(std::span<double>(more), stet::convert)) == errc{});
      CHECK(more[5] == 6);
      CHECK(more[6] == 9);
    });
  }

  TEST_CASE("reads any range of the stored bytes, and none outside") {
    const native_file file(each_kind());
    const stet_test::every_way ways;
    ways.open(file.bytes, [&](const stet_test::way_to_open& way, stet::result<stet::store>&& store) {
      CAPTURE(way.name);
      REQUIRE(store);
      if (!store) return;
      const auto tensor = *store->find("int16");
      std::byte bytes[8] = {};
      CHECK(code_of(tensor.read(0, std::span(bytes, 6))) == errc{});
      CHECK(bytes[0] == std::byte{0xFF});
      CHECK(code_of(tensor.read(5, std::span(bytes, 1))) == errc{});
      CHECK(bytes[0] == std::byte{1});
      CHECK(code_of(tensor.read(6, std::span<std::byte>())) == errc{});
      CHECK(code_of(tensor.read(0, std::span(bytes, 7))) == errc::bad_range);
      CHECK(code_of(tensor.read(6, std::span(bytes, 1))) == errc::bad_range);
      CHECK(code_of(tensor.read(~std::uint64_t{0}, std::span(bytes, 1))) == errc::bad_range);
      CHECK(code_of(tensor.read(~std::uint64_t{0} - 7, std::span(bytes, 8))) == errc::bad_range);
    });
  }

  TEST_CASE("views elements in place, or says why not") {
    const native_file file(each_kind());
    const stet_test::exact_block block(file.bytes);
    const auto opened = stet::open(std::span<const std::byte>(block.span()));
    REQUIRE(opened);
    if (!opened) return;
    const stet::store& store = *opened;
    const auto floats = *store.find("float32");
    CHECK(floats.is_in_place() == stet_test::can_view_words);
    CHECK(floats.name() == "float32");
    CHECK(floats.shape().equals({2, 3}));
    CHECK(elements_of<float>(floats) == std::vector<float>{1, -2, 3, 4.5f, 5, 6});
    CHECK(elements_of<std::int16_t>(store.find("int16")) == std::vector<std::int16_t>{-1, 2, 300});
    CHECK(elements_of<stet::complex64>(store.find("complex64")) == std::vector<stet::complex64>{{1, -2}});
    CHECK(elements_of<double>(store.find("scalar")) == std::vector<double>{2.5});
    CHECK(elements_of<stet::qint8>(store.find("qint8"))[1].value == 127);
    CHECK(code_of(floats.as<double>()) == errc::dtype_mismatch);
    CHECK(code_of(floats.as<std::int32_t>()) == errc::dtype_mismatch);
    CHECK(code_of(floats.as_strings()) == errc::dtype_mismatch);
    CHECK(code_of(floats.as_packed<stet::int4>()) == errc::dtype_mismatch);
    CHECK(code_of(floats.as_writable<float>()) == view_of_words(errc::read_only));
    CHECK(code_of(floats.as_view<float, 2, 3>()) == view_of_words(errc::read_only));
    const auto fixed = floats.as_view<const float, 2, 3>();
    CHECK(code_of(fixed) == view_of_words());
    CHECK((!fixed || (*fixed)(1, 0) == 4.5f));
    const auto partly_fixed = floats.as_view<const float, stet::dynamic, 3>();
    CHECK(code_of(partly_fixed) == view_of_words());
    CHECK((!partly_fixed || partly_fixed->extent(0) == 2));
    CHECK(code_of(floats.as_view<const float, 3, 2>()) == view_of_words(errc::shape_mismatch));
    CHECK(code_of(floats.as_view<const float, 2, 3, 1>()) == view_of_words(errc::shape_mismatch));
    CHECK(code_of(floats.as_view<const float, 6>()) == view_of_words(errc::shape_mismatch));
    CHECK(code_of(floats.as_view<const float>()) == view_of_words(errc::shape_mismatch));
    const auto any_rank = floats.as_view<const float, stet::dynamic_rank>();
    CHECK(code_of(any_rank) == view_of_words());
    CHECK((!any_rank || (any_rank->extents() == floats.shape() && (*any_rank)(1, 0) == 4.5f)));
    const auto found_any = store.view<float, stet::dynamic_rank>("float32");
    CHECK(code_of(found_any) == view_of_words());
    CHECK((!found_any || (found_any->rank() == 2 && found_any->flat().size() == 6)));
    CHECK((*store.find("int4 in bytes")->as_view<const stet::int4, stet::dynamic_rank>())(1) == 2);
    CHECK(code_of(floats.as_view<const double, stet::dynamic_rank>()) == errc::dtype_mismatch);
    CHECK(code_of(floats.as_view<float, stet::dynamic_rank>()) == view_of_words(errc::read_only));
    CHECK(code_of(store.find("bad bool")->as_view<const bool, stet::dynamic_rank>()) == errc::bad_value);
    CHECK(code_of(store.find("bad bool")->as<const bool>()) == errc::bad_value);
    CHECK(code_of(floats.as<const float>()) == view_of_words());
    CHECK(code_of(store.get<const float>("float32")) == view_of_words());
    const auto scalar = store.find("scalar")->as_view<const double>();
    CHECK(code_of(scalar) == view_of_words());
    CHECK((!scalar || (*scalar)() == 2.5));
    const auto small = *store.find("int4 in bytes"); // which is viewed in either byte order
    CHECK(code_of(small.as_writable<stet::int4>()) == errc::read_only);
    CHECK(code_of(small.as_view<stet::int4, 3>()) == errc::read_only);
    CHECK((*small.as_view<const stet::int4, stet::dynamic>())(1) == 2);
    CHECK(code_of(small.as_view<const stet::int4, 2>()) == errc::shape_mismatch);
    CHECK(code_of(small.as_view<const stet::int4, 3, 1>()) == errc::shape_mismatch);
    CHECK(code_of(store.find("int4")->as<stet::int4>()) == errc::packed);
    CHECK((*store.find("int4")->as_packed<stet::int4>())[2] == -8);
    CHECK((*store.find("int4 in bytes")->as<stet::int4>())[1] == 2);
    CHECK((*store.find("int4 in bytes")->as_packed<stet::int4>())[0] == -1);
    CHECK(static_cast<float>((*store.find("float6")->as_packed<stet::float6_e2m3fn>())[1]) == 2.5f);
    CHECK((*store.find("bool")->as<bool>())[2]);
    CHECK(code_of(store.find("bad bool")->as<bool>()) == errc::bad_value);
    CHECK((*store.find("strings")->as_strings())[2] == "two");
    CHECK(store.find("blocks")->bytes().size() == 68);
    CHECK(store.find("empty")->as<float>()->empty());
    CHECK((*store.find("empty")->as_view<const float, stet::dynamic, 7>()).extent(0) == 0);
    CHECK(store.find("empty")->bytes().empty());
  }

  TEST_CASE("bytes that are not in memory are not viewed") {
    const native_file file(each_kind());
    const stet_test::memory_reader reader(file.bytes);
    const auto store = stet::open(reader);
    REQUIRE(store);
    if (!store) return;
    CHECK_FALSE(store->find("float32")->is_in_place());
    CHECK(store->find("float32")->bytes().empty());
    CHECK(code_of(store->find("float32")->as<float>()) == errc::not_resident);
    CHECK(code_of(store->find("float32")->as_view<const float, 2, 3>()) == errc::not_resident);
    CHECK(code_of(store->find("int4")->as_packed<stet::int4>()) == errc::not_resident);
    CHECK(code_of(store->find("strings")->as_strings()) == errc::not_resident);
    CHECK(code_of(store->find("bool")->as<bool>()) == errc::not_resident);
  }

  TEST_CASE("misaligned memory is viewed as far as types allow, and copied right") {
    const native_file file(each_kind());
    for (const std::size_t misalignment : {1u, 2u, 4u, 8u, 63u}) {
      CAPTURE(misalignment);
      const stet_test::exact_block block(file.bytes, misalignment);
      const auto opened = stet::open(std::span<const std::byte>(block.span()));
      REQUIRE(opened);
      if (!opened) return;
      const stet::store& store = *opened;
      CHECK(code_of(store.find("float32")->as<float>()) ==
            view_of_words(misalignment % alignof(float) == 0 ? errc{} : errc::misaligned));
      CHECK(code_of(store.find("scalar")->as<double>()) ==
            view_of_words(misalignment % alignof(double) == 0 ? errc{} : errc::misaligned));
      CHECK(code_of(store.find("int16")->as<std::int16_t>()) ==
            view_of_words(misalignment % 2 == 0 ? errc{} : errc::misaligned));
      CHECK(code_of(store.find("bool")->as<bool>()) == errc{});
      CHECK((*store.find("int4")->as_packed<stet::int4>())[0] == -1);
      CHECK((*store.find("strings")->as_strings())[0] == "zero");
      CHECK(copied<float>(store, "float32") == std::vector<float>{1, -2, 3, 4.5f, 5, 6});
      CHECK(converted<float>(store, "scalar") == std::vector<float>{2.5f});
      CHECK(code_of(store.find("empty")->as<float>()) == errc{}); // nothing is misaligned
      CHECK(code_of(store.verify_checksums()) == errc{});
    }
  }

  TEST_CASE("big-endian words of a foreign format are copied right, and viewed on a big-endian machine only") {
    const std::uint64_t two[] = {2}, one[] = {1}, none[] = {0};
    stet::index_row rows[] = {{"u16", element_layout::of(dtype::uint16), two},
                              {"c64", element_layout::of(dtype::complex64), one},
                              {"u8", element_layout::of(dtype::uint8), two},
                              {"no u16", element_layout::of(dtype::uint16), none}};
    const std::uint64_t sizes[] = {4, 8, 2, 0}, offsets[] = {0, 8, 16, 0};
    for (int i = 0; i < 4; ++i) {
      rows[i].size_bytes = sizes[i];
      rows[i].offset_bytes = offsets[i];
      rows[i].big_endian = true;
    }
    stet_test::byte_vector index(static_cast<std::size_t>(*stet::index_size_bytes(rows, {})));
    REQUIRE(stet::build_index(rows, {}, index));
    stet::index_limits limits;
    limits.data_end_bytes = 18;
    limits.foreign = true;
    const auto checked = stet::check_index(index, limits);
    REQUIRE(checked);
    if (!checked) return;
    // 1.0f is 3F800000, -2.0f is C0000000
    alignas(8) static constexpr unsigned char data[18] = {0x12, 0x34, 0xAB, 0xCD, 0, 0, 0, 0, 0x3F,
                                                          0x80, 0,    0,    0xC0, 0, 0, 0, 7, 8};
    stet::store::contents made;
    made.index = *checked;
    made.data = stet::source::borrow(std::as_bytes(std::span(data)));
    const stet::store store(std::move(made));
    const auto viewed = store.get<std::uint16_t>("u16");
    CHECK(code_of(viewed) == (stet_test::can_view_words ? errc::wrong_byte_order : errc{}));
    CHECK((!viewed || (*viewed)[1] == 0xABCD));
    CHECK(store.find("u16")->is_in_place() != stet_test::can_view_words);
    CHECK(code_of(store.get<std::uint16_t>("no u16")) == errc{}); // nothing is the wrong way round
    CHECK(store.get<std::uint8_t>("u8")->data() == data + 16);
    CHECK(copied<std::uint16_t>(store, "u16") == std::vector<std::uint16_t>{0x1234, 0xABCD});
    CHECK(converted<float>(store, "u16") == std::vector<float>{4660, 43981});
    CHECK(copied<stet::complex64>(store, "c64") == std::vector<stet::complex64>{{1, -2}});
  }

  TEST_CASE("strings that a file gets wrong are refused when they are viewed") {
    auto tensor = stet_test::strings_of("s", {"ab", "c"});
    for (const std::uint64_t end : {0ull, 2ull, 4ull, ~0ull}) {
      stet::detail::store_little(tensor.bytes.data() + 16, end);
      const native_file file({tensor});
      const auto store = stet::open(std::span<const std::byte>(file.bytes));
      REQUIRE(store);
      if (!store) return;
      const auto strings = store->find("s")->as_strings();
      CHECK(code_of(strings) == errc::bad_string_table);
      CHECK(strings.error().subject() == "s");
    }
  }
}
