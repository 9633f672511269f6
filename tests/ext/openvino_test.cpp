// SPDX-License-Identifier: MIT
// Tensors as constants and tensors of OpenVINO, with the real library. The suite has none; tests/interop/runtimes.py builds this with it.
#include <doctest/doctest.h>

#if defined(STET_HAS_OPENVINO)

#include <openvino/openvino.hpp>
#include <openvino/opsets/opset8.hpp>

#include <stet/ext/openvino.hpp>
#include <stet/formats/numpy.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include "support/digits_case.hpp"
#include "support/native_bytes.hpp"
#include "support/npy_files.hpp"
#include "support/outcome.hpp"
#include "support/shared_store.hpp"
#include "support/temp_folder.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using stet_test::outcome;
using shared_store = std::shared_ptr<const stet::store>;

/// The digits network, whose weights are the constants `weights(name)`.
template <class Weights> std::shared_ptr<ov::Model> digits_model(std::size_t images, Weights weights) {
  const auto pixels = std::make_shared<ov::op::v0::Parameter>(ov::element::f32, ov::Shape{images, digits::pixel_count});
  const auto dense = [&](const ov::Output<ov::Node>& input, const char* kernel, const char* bias) {
    // Keras has a kernel as [in, out], as this product wants it.
    const auto product = std::make_shared<ov::op::v0::MatMul>(input, weights(kernel));
    return std::make_shared<ov::op::v1::Add>(product, weights(bias));
  };
  const auto hidden = std::make_shared<ov::op::v0::Relu>(dense(pixels, "dense/kernel", "dense/bias"));
  const auto answers = std::make_shared<ov::op::v8::Softmax>(dense(hidden, "dense_1/kernel", "dense_1/bias"), 1);
  return std::make_shared<ov::Model>(ov::OutputVector{answers}, ov::ParameterVector{pixels});
}

/// A store of what `out` holds, and a way to see whether it is still there.
struct watched_store {
  shared_store store;
  std::weak_ptr<const stet::store> alive;
};
watched_store watched(stet::result<stet::store>&& opened) {
  watched_store made{stet_test::shared(std::move(opened)), {}};
  made.alive = made.store;
  return made;
}

} // namespace

TEST_SUITE("ext/openvino") {
  TEST_CASE("the digits network served by OpenVINO from the mapped file answers as its own code does") {
    stet_test::digits_case task;
    auto [store, alive] = watched(stet::open(task.path()));
    for (const stet::tensor each : *store) {
      const auto constant = stet::openvino_constant(store, each);
      REQUIRE(outcome(constant) == "ok");
      CHECK((*constant)->get_data_ptr() == each.bytes().data()); // nothing is copied
      const auto tensor = stet::openvino_tensor(store, each);
      REQUIRE(outcome(tensor) == "ok");
      CHECK(std::as_const(*tensor).data() == each.bytes().data());
    }
    auto model = digits_model(task.image_count, [from = store](const char* name) {
      const auto constant = stet::openvino_constant(from, name);
      REQUIRE(outcome(constant) == "ok");
      return *constant;
    });
    // The model holds the store now, and the compiled one what it needs of it.
    store.reset();
    CHECK(!alive.expired());
    ov::Core core;
    auto compiled = core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32));
    model.reset();
    ov::InferRequest request = compiled.create_infer_request();
    request.set_input_tensor(ov::Tensor(ov::element::f32, {task.image_count, digits::pixel_count}, task.images.data()));
    request.infer();
    const ov::Tensor answered = request.get_output_tensor();
    REQUIRE(answered.get_shape() == ov::Shape{task.image_count, digits::class_count});
    task.check({answered.data<const float>(), answered.get_size()});
  }

  TEST_CASE("constants and tensors keep what owns their bytes, and let go of it") {
    const float numbers[] = {1, 2, 3, 4, 5, 6};
    stet::writer out;
    out.add("a", numbers, {2, 3});
    const auto file = out.save_to_memory();
    REQUIRE(file);
    {
      auto [store, alive] = watched(stet::open(*file));
      auto constant = stet::openvino_constant(store, "a");
      REQUIRE(outcome(constant) == "ok");
      CHECK((*constant)->get_shape() == ov::Shape{2, 3});
      store.reset();
      CHECK(!alive.expired());
      CHECK((*constant)->cast_vector<float>() == std::vector<float>{1, 2, 3, 4, 5, 6});
      auto model = std::make_shared<ov::Model>(ov::OutputVector{*constant}, ov::ParameterVector{});
      constant->reset();
      CHECK(!alive.expired());
      model.reset();
      CHECK(alive.expired());
    }
    {
      auto [store, alive] = watched(stet::open(*file));
      auto tensor = stet::openvino_tensor(store, "a");
      REQUIRE(outcome(tensor) == "ok");
      CHECK(tensor->get_shape() == ov::Shape{2, 3});
      CHECK_THROWS_AS((void)tensor->data(), ov::Exception); // it is for reading only
      store.reset();
      // It is an input of a model, which holds it until it gets another.
      const auto input = std::make_shared<ov::op::v0::Parameter>(ov::element::f32, ov::Shape{2, 3});
      const auto twice = std::make_shared<ov::op::v1::Add>(input, input);
      const auto model = std::make_shared<ov::Model>(ov::OutputVector{twice}, ov::ParameterVector{input});
      ov::InferRequest request = ov::Core().compile_model(model, "CPU").create_infer_request();
      request.set_input_tensor(*tensor);
      *tensor = {};
      CHECK(!alive.expired());
      request.infer();
      const ov::Tensor answered = request.get_output_tensor();
      CHECK(answered.data<const float>()[5] == 12.0f);
      request = {};
      CHECK(alive.expired());
    }
    // A tensor that was loaded for itself is kept with its store.
    const stet_test::temp_folder folder;
    REQUIRE(out.save(folder.path("a.stet")));
    struct loaded {
      stet::store store;
      stet::loaded_tensor tensor;
    };
    auto streamed = stet::open(folder.path("a.stet"), {.backing = stet::backing::stream});
    REQUIRE(outcome(streamed) == "ok");
    auto bytes = streamed->load("a");
    REQUIRE(outcome(bytes) == "ok");
    auto owner = std::make_shared<const loaded>(loaded{std::move(*streamed), std::move(*bytes)});
    const std::weak_ptr<const loaded> alive = owner;
    CHECK(outcome(stet::openvino_constant(owner, *owner->store.find("a"))) == "not_resident");
    auto constant = stet::openvino_constant(owner, *owner->tensor);
    REQUIRE(outcome(constant) == "ok");
    owner.reset();
    CHECK((*constant)->cast_vector<float>() == std::vector<float>{1, 2, 3, 4, 5, 6});
    constant->reset();
    CHECK(alive.expired());
  }

  TEST_CASE("a model is read with its weights from a store, which it keeps") {
    const stet_test::temp_folder folder;
    const auto input = std::make_shared<ov::op::v0::Parameter>(ov::element::f32, ov::Shape{1, 2});
    const auto kernel = ov::op::v0::Constant::create(ov::element::f32, {2, 3}, {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f});
    const auto product = std::make_shared<ov::op::v0::MatMul>(input, kernel);
    ov::save_model(std::make_shared<ov::Model>(ov::OutputVector{product}, ov::ParameterVector{input}),
                   folder.path("model.xml"), false);
    const std::vector<std::byte> xml = folder.read("model.xml"), weights = folder.read("model.bin");
    REQUIRE_FALSE(weights.empty());
    stet::writer out;
    const std::span<const std::uint8_t> numbers(reinterpret_cast<const std::uint8_t*>(weights.data()), weights.size());
    out.add("weights", numbers, {weights.size()});
    const auto file = out.save_to_memory();
    REQUIRE(outcome(file) == "ok");
    auto [store, alive] = watched(stet::open(*file));
    const std::byte* const first = store->find("weights")->bytes().data();
    ov::Core core;
    auto model = core.read_model(std::string(reinterpret_cast<const char*>(xml.data()), xml.size()),
                                 *stet::openvino_tensor(store, "weights"));
    store.reset();
    REQUIRE_FALSE(alive.expired());
    std::size_t constants = 0;
    for (const auto& node : model->get_ops()) {
      const auto constant = std::dynamic_pointer_cast<ov::op::v0::Constant>(node);
      if (constant == nullptr) continue;
      ++constants;
      CHECK(constant->get_data_ptr() == first); // nothing is copied
    }
    CHECK(constants == 1);
    std::vector<float> ones = {1, 1};
    ov::InferRequest request = core.compile_model(model, "CPU").create_infer_request();
    request.set_input_tensor(ov::Tensor(ov::element::f32, {1, 2}, ones.data()));
    request.infer();
    const ov::Tensor answered = request.get_output_tensor();
    CHECK(answered.data<const float>()[0] == 5.0f);
    CHECK(answered.data<const float>()[2] == 9.0f);
  }

  TEST_CASE("every dtype is OpenVINO's of the same bytes, or none") {
    struct row {
      stet::dtype dtype;
      ov::element::Type type;
    };
    using enum stet::dtype;
    const row rows[] = {
        {boolean, ov::element::boolean},
        {int8, ov::element::i8},
        {int16, ov::element::i16},
        {int32, ov::element::i32},
        {int64, ov::element::i64},
        {uint8, ov::element::u8},
        {uint16, ov::element::u16},
        {uint32, ov::element::u32},
        {uint64, ov::element::u64},
        {float16, ov::element::f16},
        {bfloat16, ov::element::bf16},
        {float32, ov::element::f32},
        {float64, ov::element::f64},
        {float8_e4m3fn, ov::element::f8e4m3},
        {float8_e5m2, ov::element::f8e5m2},
        {float8_e8m0fnu, ov::element::f8e8m0},
        {float4_e2m1fn, ov::element::f4e2m1},
        {int4, ov::element::i4},
        {uint4, ov::element::u4},
        {uint2, ov::element::u2},
        {qint8, ov::element::i8},
        {quint8, ov::element::u8},
        {qint16, ov::element::i16},
        {quint16, ov::element::u16},
        {qint32, ov::element::i32},
    };
    std::size_t found = 0;
    for (const auto& described : stet::dtype_table) {
      const row* const expected = std::find_if(std::begin(rows), std::end(rows),
                                               [&](const row& each) { return each.dtype == described.dtype; });
      const ov::element::Type type = stet::openvino_type(described.dtype);
      CAPTURE(described.name);
      CHECK((type == (expected == std::end(rows) ? ov::element::dynamic : expected->type)));
      if (type == ov::element::dynamic) continue;
      ++found;
      CHECK(type.bitwidth() == described.bits);
    }
    CHECK(found == std::size(rows));
  }

  TEST_CASE("elements of each kind are the numbers that they were") {
    const std::vector<stet::float16> halves = {stet::float16(1.5f), stet::float16(-2.0f)};
    const std::vector<stet::bfloat16> brains = {stet::bfloat16(1.5f), stet::bfloat16(-3.0f)};
    const std::vector<stet::float8_e4m3fn> eights = {stet::float8_e4m3fn(1.5f), stet::float8_e4m3fn(-2.0f)};
    const std::vector<stet::int4> nibbles = {stet::int4(1), stet::int4(-2), stet::int4(7), stet::int4(-8),
                                             stet::int4(3)};
    const std::vector<stet::uint4> codes = {stet::uint4(1), stet::uint4(15), stet::uint4(9)};
    const std::vector<stet::uint2> pairs = {stet::uint2(1), stet::uint2(2), stet::uint2(3), stet::uint2(0),
                                            stet::uint2(2)};
    const std::vector<std::int64_t> longs = {-1, std::int64_t{1} << 40};
    const float scalar[] = {7};
    const std::vector<float> nothing;
    stet::writer out;
    out.add("halves", halves, {2}).add("brains", brains, {2}).add("eights", eights, {2}).add("longs", longs, {2});
    out.add("scalar", scalar, {}).add("nothing", nothing, {0, 3});
    out.add("nibbles", nibbles, {5}).add("codes", codes, {3}).add("pairs", pairs, {5});
    const auto file = out.save_to_memory();
    REQUIRE(outcome(file) == "ok");
    auto [store, alive] = watched(stet::open(*file));
    const auto numbers = [&, from = store](const char* name) {
      const auto constant = stet::openvino_constant(from, name);
      REQUIRE(outcome(constant) == "ok");
      CHECK((*constant)->get_byte_size() == from->find(name)->size_bytes());
      return (*constant)->template cast_vector<double>();
    };
    using doubles = std::vector<double>;
    CHECK(numbers("halves") == doubles{1.5, -2});
    CHECK(numbers("brains") == doubles{1.5, -3});
    CHECK(numbers("eights") == doubles{1.5, -2});
    CHECK(numbers("longs") == doubles{-1, 1099511627776});
    CHECK(numbers("scalar") == doubles{7});
    CHECK(numbers("nothing") == doubles{});
    CHECK(numbers("nibbles") == doubles{1, -2, 7, -8, 3});
    CHECK(numbers("codes") == doubles{1, 15, 9});
    CHECK(numbers("pairs") == doubles{1, 2, 3, 0, 2});
  }

  TEST_CASE("what OpenVINO cannot use where it is has an error of its own") {
    const std::vector<double> doubles = {1, 2};
    const std::vector<stet::complex64> pairs(2);
    const std::vector<std::string> texts = {"a", "bc"};
    stet::writer out;
    out.add("doubles", doubles, {2}).add("complex", pairs, {2}).add("texts", texts, {2});
    const auto file = out.save_to_memory();
    REQUIRE(outcome(file) == "ok");
    const auto [store, alive] = watched(stet::open(*file));
    for (const char* const name : {"complex", "texts"}) {
      CHECK(outcome(stet::openvino_constant(store, name)) == "unsupported");
      CHECK(outcome(stet::openvino_tensor(store, name)) == "unsupported");
    }
    CHECK(outcome(stet::openvino_constant(store, "nobody")) == "not_found");
    CHECK(outcome(stet::openvino_tensor(store, "nobody")) == "not_found");

    std::vector<std::byte> shifted(file->size() + 1);
    std::copy(file->begin(), file->end(), shifted.begin() + 1);
    const auto [odd, odd_alive] = watched(stet::open(std::span<const std::byte>(shifted).subspan(1)));
    CHECK(outcome(stet::openvino_constant(odd, "doubles")) == "misaligned");
    CHECK(outcome(stet::openvino_tensor(odd, "doubles")) == "misaligned");

    const stet_test::temp_folder folder;
    REQUIRE(out.save(folder.path("streamed.stet")));
    const auto [streamed, streamed_alive] =
        watched(stet::open(folder.path("streamed.stet"), {.backing = stet::backing::stream}));
    CHECK(outcome(stet::openvino_constant(streamed, "doubles")) == "not_resident");
    CHECK(outcome(stet::openvino_tensor(streamed, "doubles")) == "not_resident");
  }

  TEST_CASE(
      "elements in the other byte order, narrow ones that are not packed, and booleans of neither value are refused") {
    using namespace std::string_view_literals;
    const stet_test::temp_folder folder;
    folder.write("big.npy", stet_test::numpy_array("'>f4'", "(2,)", "\x3f\x80\0\0\x40\0\0\0"sv));
    const auto [big, big_alive] = watched(stet::open_npy(folder.path("big.npy")));
    for (const stet::tensor each : *big) CHECK(outcome(stet::openvino_constant(big, each)) == "wrong_byte_order");

    const stet_test::native_file narrow(
        {stet_test::tensor_of("codes", {stet::dtype::int4, 8}, {2}, stet_test::bytes_of<std::int8_t>({1, -2})),
         stet_test::tensor_of("truths", {stet::dtype::boolean, 8}, {2}, stet_test::bytes_of<std::int8_t>({1, 0})),
         stet_test::tensor_of("lies", {stet::dtype::boolean, 8}, {2}, stet_test::bytes_of<std::int8_t>({1, 2}))});
    const auto [loose, loose_alive] = watched(stet::open(std::span<const std::byte>(narrow.bytes)));
    CHECK(outcome(stet::openvino_constant(loose, "codes")) == "packed");
    CHECK(outcome(stet::openvino_constant(loose, "truths")) == "ok");
    CHECK(outcome(stet::openvino_constant(loose, "lies")) == "bad_value");
  }
}

#else

TEST_SUITE("ext/openvino") {
  TEST_CASE("tensors are constants of OpenVINO") {
    MESSAGE("skipped: tests/interop/runtimes.py builds this test with OpenVINO");
  }
}

#endif
