// SPDX-License-Identifier: MIT
// TFLite models: constants in place wherever their bytes lie; what is wrong, by name.
#include <stet/formats/tflite.hpp>

#include "support/counted_memory.hpp"
#include "support/exact_text.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"
#include "support/tflite_files.hpp"
#include "support/thinned.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("formats/tflite");

namespace {

using namespace std::string_literals;
using namespace stet_test;

/// The name of the error and its subject; "ok" for none. Read from a block that ends where the file does.
std::string tflite_failure(std::string_view file) {
  const exact_text block(file);
  const auto opened = stet::open_tflite(block.bytes());
  if (opened) return "ok";
  CHECK((opened.error().offset_bytes() == stet::error::no_offset || opened.error().offset_bytes() <= file.size()));
  std::string text(stet::describe(opened.error().code()).name);
  if (!opened.error().subject().empty()) text.append(" ").append(opened.error().subject());
  return text;
}
std::string tflite_failure(const tflite_model_file& model) { return tflite_failure(model.bytes()); }

/// A model with one tensor that has buffer 1.
tflite_model_file one_tensor(tflite_tensor tensor, std::string bytes) {
  tflite_model_file made;
  tensor.buffer = 1;
  made.subgraphs = {{{std::move(tensor)}}};
  made.buffers = {std::move(bytes)};
  return made;
}

std::vector<std::string> names_in(const stet::store& of) {
  std::vector<std::string> names;
  for (const stet::tensor each : of) names.emplace_back(each.name());
  return names;
}

} // namespace

TEST_CASE("the constants of a model are in place, by their numbers and by their names") {
  const std::string file = dense_tflite_model().bytes();
  const exact_text block(file);
  const auto store = stet::open_tflite(block.bytes());
  REQUIRE(store);
  CHECK(names_in(*store) == std::vector<std::string>{"0:1:dense/w", "0:2:dense/b", "dense/w", "dense/b"});
  const auto w = store->find("0:1:dense/w");
  REQUIRE(w);
  CHECK(w->dtype() == stet::dtype::float32);
  CHECK(w->shape().equals({3, 2}));
  CHECK(w->bytes().data() >= block.bytes().data());
  CHECK(w->bytes().data() + 24 <= block.bytes().data() + block.bytes().size());
  std::vector<float> values(6);
  REQUIRE(w->copy_to(std::span(values)));
  CHECK(values == std::vector<float>{1, 2, 3, 4, 5, 6});
  const auto alias = store->find("dense/w");
  REQUIRE(alias);
  CHECK(alias->bytes().data() == w->bytes().data());
  CHECK(store->original_of(*alias)->name() == "0:1:dense/w");
  CHECK(outcome(store->find("x")) == "not_found"); // an input has no bytes
}

TEST_CASE("a model opens from a file: mapped, read and on demand, which reads it") {
  const temp_folder folder;
  const std::string path = folder.write("m.tflite", dense_tflite_model().bytes());
  for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
    const auto store = stet::open_tflite(path, {.backing = backing});
    REQUIRE(store);
    CHECK(store->find("dense/b")->bytes().size() == 12);
  }
  CHECK(outcome(stet::open_tflite(folder.path("none.tflite"))) == "file_not_found");
  CHECK(stet::open_tflite(folder.write("short", "TFL3")).error().subject().find("short") != std::string_view::npos);
}

TEST_CASE("every type has its dtype, and those below a byte are packed") {
  struct row {
    std::int8_t code;
    stet::dtype dtype;
    std::size_t size_of_three;
  };
  constexpr row rows[] = {
      {0, stet::dtype::float32, 12},       {1, stet::dtype::float16, 6},      {2, stet::dtype::int32, 12},
      {3, stet::dtype::uint8, 3},          {4, stet::dtype::int64, 24},       {6, stet::dtype::boolean, 3},
      {7, stet::dtype::int16, 6},          {8, stet::dtype::complex64, 24},   {9, stet::dtype::int8, 3},
      {10, stet::dtype::float64, 24},      {11, stet::dtype::complex128, 48}, {12, stet::dtype::uint64, 24},
      {15, stet::dtype::uint32, 12},       {16, stet::dtype::uint16, 6},      {17, stet::dtype::int4, 2},
      {18, stet::dtype::bfloat16, 6},      {19, stet::dtype::int2, 1},        {20, stet::dtype::uint4, 2},
      {21, stet::dtype::float8_e4m3fn, 3}, {22, stet::dtype::float8_e5m2, 3},
  };
  for (const row& each : rows) {
    CAPTURE(int{each.code});
    const std::string file = one_tensor({"t", {3}, each.code}, std::string(each.size_of_three, '\1')).bytes();
    const exact_text block(file);
    const auto store = stet::open_tflite(block.bytes());
    REQUIRE(store);
    CHECK(store->find("t")->dtype() == each.dtype);
    CHECK(store->find("t")->size_bytes() == each.size_of_three);
    CHECK(tflite_failure(one_tensor({"t", {3}, each.code}, std::string(each.size_of_three + 1, '\1'))) ==
          "bad_size 0:0:t");
  }
}

TEST_CASE("int4 has its first element in the low bits") {
  const std::string file = one_tensor({"t", {3}, tflite_i4}, "\x21\x0F").bytes();
  const exact_text block(file);
  const auto store = stet::open_tflite(block.bytes());
  REQUIRE(store);
  std::vector<int> values(3);
  REQUIRE(store->find("t")->copy_to(std::span(values), stet::convert));
  CHECK(values == std::vector<int>{1, 2, -1});
}

TEST_CASE("a type without bytes or above the last one is left out, and so are bytes in another file") {
  for (const std::int8_t code : {std::int8_t{13}, std::int8_t{14}, std::int8_t{23}, std::int8_t{-1}}) {
    const std::string file = one_tensor({"t", {3}, code}, "abc").bytes();
    const exact_text block(file);
    const auto store = stet::open_tflite(block.bytes());
    REQUIRE(store);
    CHECK(store->tensor_count() == 0);
  }
  tflite_tensor external{"t", {3}};
  external.external_buffer = 7;
  tflite_model_file model;
  model.subgraphs = {{{external}}};
  CHECK(tflite_failure(model) == "ok");
  CHECK(tflite_failure(one_tensor(external, std::string(12, '\0'))) == "malformed 0:0:t"); // bytes in two places
}

TEST_CASE("strings are decoded, and their offsets are checked") {
  const auto table = [](const std::vector<std::int32_t>& words, std::string_view text) {
    return numbers_as_bytes(words).append(text);
  };
  const std::string good = table({2, 16, 18, 18}, "hi");
  const std::string file = one_tensor({"s", {2}, tflite_string}, good).bytes();
  const exact_text block(file);
  const auto store = stet::open_tflite(block.bytes());
  REQUIRE(store);
  const auto strings = store->find("s")->as_strings();
  REQUIRE(strings);
  CHECK((*strings)[0] == "hi");
  CHECK((*strings)[1].empty());
  const std::string_view bad = "bad_string_table 0:0:s";
  const auto failure = [](const std::string& bytes, std::vector<std::int32_t> shape) {
    return tflite_failure(one_tensor({"s", std::move(shape), tflite_string}, bytes));
  };
  CHECK(failure(good, {3}) == bad);
  CHECK(failure(good, {}) == bad);
  CHECK(failure(table({2, 16, 18, 19}, "hi"), {2}) == bad);
  CHECK(failure(table({2, 16, 19, 18}, "hi"), {2}) == bad);
  CHECK(failure(table({2, 15, 18, 18}, "hi"), {2}) == bad);
  CHECK(failure(table({2, 16, -1, 18}, "hi"), {2}) == bad);
  CHECK(failure(table({-1, 16, 18, 18}, "hi"), {2}) == bad);
  CHECK(failure("\2\0\0\0"s, {2}) == bad);
  CHECK(failure(table({0, 8}, ""), {0}) == "ok");
}

TEST_CASE("bytes behind the FlatBuffer are in place; an offset up to 1 means that there are none") {
  const auto with_place = [](std::uint64_t offset, std::uint64_t size, bool has_data = false) {
    tflite_model_file made = one_tensor({"w", {2}}, {});
    made.buffer_tables = {flat_table({}), flat_table({has_data ? flat_data("12345678") : flat_value{},
                                                      flat_number(offset), flat_number(size)})};
    return made.bytes();
  };
  const std::uint64_t end = with_place(4096, 8).size();
  const std::string file = with_place(end, 8) + numbers_as_bytes<float>({7, 8});
  const exact_text block(file);
  const auto store = stet::open_tflite(block.bytes());
  REQUIRE(store);
  CHECK(store->find("w")->bytes().data() == block.bytes().data() + end);
  CHECK(tflite_failure(with_place(end, 9) + "12345678") == "truncated 0:0:w");
  CHECK(tflite_failure(with_place(end, 4) + "12345678") == "bad_size 0:0:w");
  CHECK(tflite_failure(with_place(end + 1, 8) + "12345678") == "truncated 0:0:w");
  CHECK(tflite_failure(with_place(~std::uint64_t{0} - 3, 8)) == "truncated 0:0:w");
  CHECK(tflite_failure(with_place(8, ~std::uint64_t{0} - 3)) == "truncated 0:0:w");
  CHECK(tflite_failure(with_place(2, 8, true)) == "malformed 0:0:w"); // bytes in two places
  for (const std::uint64_t offset : {0u, 1u}) {
    const std::string none = with_place(offset, 8);
    const exact_text bytes(none);
    const auto opened = stet::open_tflite(bytes.bytes());
    REQUIRE(opened);
    CHECK(opened->tensor_count() == 0);
  }
}

TEST_CASE("names that occur twice are found by their numbers alone") {
  tflite_model_file model;
  model.subgraphs = {{{{"w", {1}, tflite_f32, 1}, {"w", {1}, tflite_f32, 1}, {"", {1}, tflite_f32, 1}}},
                     {{{"v", {1}, tflite_f32, 1}, {"0:1:w", {1}, tflite_f32, 1}, {"a:b", {1}, tflite_f32, 1}}}};
  model.buffers = {std::string(4, '\0')};
  const std::string file = model.bytes();
  const exact_text block(file);
  const auto store = stet::open_tflite(block.bytes());
  REQUIRE(store);
  CHECK(names_in(*store) ==
        std::vector<std::string>{"0:0:w", "0:1:w", "0:2:", "1:0:v", "1:1:0:1:w", "1:2:a:b", "v", "a:b"});
  CHECK(store->find("0:1:w")->bytes().data() == store->find("1:0:v")->bytes().data());
}

TEST_CASE("a file whose tensors share bytes is not writable") {
  tflite_model_file model;
  model.subgraphs = {{{{"a", {1}, tflite_f32, 1}, {"b", {1}, tflite_f32, 1}}}};
  model.buffers = {std::string(4, '\0')};
  const temp_folder folder;
  const auto shared = stet::open_tflite(folder.write("shared", model.bytes()), {.access = stet::access::copy_on_write});
  REQUIRE(shared);
  CHECK_FALSE(shared->data().is_writable());
  const auto apart =
      stet::open_tflite(folder.write("apart", dense_tflite_model().bytes()), {.access = stet::access::copy_on_write});
  REQUIRE(apart);
  CHECK(apart->data().is_writable());
}

TEST_CASE("a sparse tensor is its values, segments and indices") {
  const flat_value dense = flat_table({flat_number(std::int8_t{0}), flat_number(std::int32_t{2})});
  const flat_value csr = flat_table({flat_number(std::int8_t{1}),
                                     {},
                                     flat_number(std::uint8_t{3}),
                                     flat_table({flat_data(std::string("\0\1\2", 3), 4)}),
                                     flat_number(std::uint8_t{1}),
                                     flat_table({flat_numbers<std::int32_t>({3, 0})})});
  tflite_tensor tensor{"w", {2, 4}};
  tensor.sparsity = flat_table({flat_numbers<std::int32_t>({0, 1}), {}, flat_list({dense, csr})});
  const std::string file = one_tensor(tensor, numbers_as_bytes<float>({5, 6})).bytes();
  const exact_text block(file);
  const auto store = stet::open_tflite(block.bytes());
  REQUIRE(store);
  const auto values = store->find("0:0:w.values");
  REQUIRE(values);
  CHECK(values->shape().equals({2}));
  CHECK(store->find("0:0:w.dim1.segments")->dtype() == stet::dtype::uint8);
  CHECK(store->find("0:0:w.dim1.segments")->shape().equals({3}));
  CHECK(store->find("w.dim1.indices")->dtype() == stet::dtype::int32);
  CHECK(store->find("w.dim1.indices")->bytes()[0] == std::byte{3});
  CHECK(outcome(store->find("w")) == "not_found");
  CHECK(tflite_failure(one_tensor(tensor, "12345")) == "bad_size 0:0:w");
}

TEST_CASE("the frame of a model: identifier and version") {
  tflite_model_file model = dense_tflite_model();
  model.version = 4;
  CHECK(tflite_failure(model) == "newer_format version");
  model.version = 2;
  CHECK(tflite_failure(model) == "malformed version");
  CHECK(tflite_failure(flatbuffer_file("TFL2", model.value())) == "malformed");
  CHECK(tflite_failure("") == "malformed");
  CHECK(tflite_failure("\0\0\0\0TFL3"s) == "malformed model");
  CHECK(tflite_failure("\x08\0\0\0TFL3"s) == "truncated model");
  CHECK(tflite_failure(dense_tflite_model().bytes() + "PK\3\4 and so on") == "ok"); // associated files
}

TEST_CASE("shapes and sizes that cannot be are errors about the tensor") {
  const auto failure = [](std::vector<std::int32_t> shape, std::string bytes) {
    return tflite_failure(one_tensor({"t", std::move(shape)}, std::move(bytes)));
  };
  CHECK(failure({}, "1234") == "ok");
  CHECK(failure({1, 1}, "1234") == "ok");
  CHECK(failure({2}, "1234") == "bad_size 0:0:t");
  CHECK(failure({1}, "12345") == "bad_size 0:0:t");
  CHECK(failure({0}, "1234") == "bad_size 0:0:t");
  CHECK(failure({-1}, "1234") == "bad_shape 0:0:t");
  CHECK(failure({0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF}, "1234") == "bad_shape 0:0:t");
  CHECK(failure({0, 0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF}, "1234") == "bad_shape 0:0:t"); // a zero hides no overflow
  CHECK(failure({0x40000000, 0x40000000, 4}, "1234") == "bad_shape 0:0:t");             // 2^64 bytes
  CHECK(failure(std::vector<std::int32_t>(254, 1), "1234") == "ok");
  CHECK(failure(std::vector<std::int32_t>(255, 1), "1234") == "bad_shape 0:0:t");
  tflite_model_file model = one_tensor({"t", {1}}, "1234");
  model.subgraphs[0].tensors[0].buffer = 2;
  CHECK(tflite_failure(model) == "bad_offset 0:0:t");
}

TEST_CASE("names of constants are UTF-8 without NUL, and not too long") {
  CHECK(tflite_failure(one_tensor({"\xFF", {1}}, "1234")).starts_with("bad_name 0:0:"));
  CHECK(tflite_failure(one_tensor({std::string_view("a\0b", 3), {1}}, "1234")).starts_with("bad_name 0:0:"));
  const std::string longest(stet::max_name_size_bytes - 4, 'n');
  CHECK(tflite_failure(one_tensor({longest, {1}}, "1234")) == "ok");
  const std::string longer = longest + "n";
  CHECK(tflite_failure(one_tensor({longer, {1}}, "1234")).starts_with("bad_name 0:0:"));
}

TEST_CASE("tables that are shared take time and memory as the size of the file") {
  // 3000 subgraphs are one of 3000 tensors, each of which has the longest name.
  const std::string name(stet::max_name_size_bytes - 16, 'n');
  tflite_tensor tensor{name, {1}};
  tensor.buffer = 1;
  const flat_value subgraph = flat_table({flat_repeated(tensor.value(), 3000)});
  const std::string file =
      flatbuffer_file("TFL3", flat_table({flat_number(std::uint32_t{3}),
                                          {},
                                          flat_repeated(subgraph, 3000),
                                          {},
                                          flat_list({flat_table({}), flat_table({flat_data("1234")})})}));
  const exact_text block(file);
  counted_memory memory;
  const auto opened = stet::open_tflite(block.bytes(), {.memory = &memory});
  CHECK(outcome(opened) == "too_large");
  CHECK(memory.bytes() < 16 * file.size());
}

TEST_CASE("memory comes from the program, and its failure is an error") {
  const std::string file = dense_tflite_model().bytes();
  const exact_text block(file);
  std::uint64_t count = 0;
  {
    counted_memory memory;
    {
      REQUIRE(stet::open_tflite(block.bytes(), {.memory = &memory}));
      count = memory.count();
    }
    CHECK(count > 0);
    CHECK(memory.live() == 0);
    CHECK(memory.is_sound());
  }
  for (std::uint64_t fails_at = 0; fails_at < count; ++fails_at) {
    counted_memory memory(fails_at);
    CHECK(outcome(stet::open_tflite(block.bytes(), {.memory = &memory})) == "out_of_memory");
    CHECK(memory.live() == 0);
  }
}

TEST_CASE("any truncation of a model is an error, and any flipped bit is an error or a model in its bytes") {
  // What follows the last buffer is signatures and metadata, which `describe` reads.
  const std::string file = dense_tflite_model().bytes();
  const std::string last = numbers_as_bytes<float>({0.5F, 1.5F, 2.5F});
  const std::size_t end = file.find(last) + last.size();
  for (std::size_t size = 0; size < end; size += step_if_thinned(3)) {
    const std::string failure = tflite_failure(file.substr(0, size));
    CHECK(failure.starts_with(size < 8 ? "malformed" : "truncated"));
  }
  for (std::size_t bit = 0; bit < file.size() * 8; bit += step_if_thinned(5)) {
    std::string flipped = file;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    const exact_text block(flipped);
    const auto store = stet::open_tflite(block.bytes());
    if (!store) continue;
    for (const stet::tensor each : *store) {
      CHECK((each.size_bytes() == 0 ||
             (each.bytes().data() >= block.bytes().data() &&
              each.bytes().data() + each.bytes().size() <= block.bytes().data() + block.bytes().size())));
    }
  }
}

TEST_SUITE_END();
