// SPDX-License-Identifier: MIT
// Tensors as tensors of TensorFlow's C API, with the real library. The suite has none; tests/interop/runtimes.py builds this with it.
#include <doctest/doctest.h>

#if defined(STET_HAS_TENSORFLOW)

#include <tensorflow/c/c_api.h>

#include <stet/ext/tensorflow.hpp>
#include <stet/formats/numpy.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include "support/digits_case.hpp"
#include "support/native_bytes.hpp"
#include "support/npy_files.hpp"
#include "support/outcome.hpp"
#include "support/shared_store.hpp"
#include "support/temp_folder.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using stet_test::outcome;
using stet_test::shared;

struct tensorflow_deleter {
  void operator()(TF_Tensor* of) const { TF_DeleteTensor(of); }
};
using tensorflow_owner = std::unique_ptr<TF_Tensor, tensorflow_deleter>;

/// The tensor of TensorFlow that `made` holds.
tensorflow_owner owned(const stet::result<TF_Tensor*>& made) {
  REQUIRE(outcome(made) == "ok");
  return tensorflow_owner(*made);
}

template <class T> std::span<const T> tensorflow_elements(const tensorflow_owner& of) {
  return {static_cast<const T*>(TF_TensorData(of.get())), static_cast<std::size_t>(TF_TensorElementCount(of.get()))};
}

/// A graph of TensorFlow, and a session that runs it.
class tensorflow_graph {
public:
  tensorflow_graph() = default;
  tensorflow_graph(const tensorflow_graph&) = delete;
  tensorflow_graph& operator=(const tensorflow_graph&) = delete;
  ~tensorflow_graph() {
    TF_DeleteGraph(graph_);
    TF_DeleteStatus(status_);
  }

  TF_Output input(const char* name, TF_DataType type) {
    TF_OperationDescription* const made = TF_NewOperation(graph_, "Placeholder", name);
    TF_SetAttrType(made, "dtype", type);
    return finish(made);
  }
  TF_Output apply(const char* op, const char* name, std::initializer_list<TF_Output> inputs) {
    TF_OperationDescription* const made = TF_NewOperation(graph_, op, name);
    for (const TF_Output each : inputs) TF_AddInput(made, each);
    return finish(made);
  }
  TF_Output to_float(TF_Output input) {
    TF_OperationDescription* const made = TF_NewOperation(graph_, "Cast", "cast");
    TF_AddInput(made, input);
    TF_SetAttrType(made, "DstT", TF_FLOAT);
    return finish(made);
  }
  tensorflow_owner run(const std::vector<TF_Output>& inputs, const std::vector<TF_Tensor*>& fed, TF_Output output) {
    TF_SessionOptions* const options = TF_NewSessionOptions();
    TF_Session* const session = TF_NewSession(graph_, options, status_);
    check_status();
    TF_Tensor* answer = nullptr;
    TF_SessionRun(session, nullptr, inputs.data(), fed.data(), static_cast<int>(inputs.size()), &output, &answer, 1,
                  nullptr, 0, nullptr, status_);
    check_status();
    TF_DeleteSession(session, status_);
    TF_DeleteSessionOptions(options);
    return tensorflow_owner(answer);
  }

private:
  TF_Output finish(TF_OperationDescription* of) {
    TF_Operation* const made = TF_FinishOperation(of, status_);
    check_status();
    return {made, 0};
  }
  void check_status() {
    CAPTURE(std::string(TF_Message(status_)));
    REQUIRE(TF_GetCode(status_) == TF_OK);
  }

  TF_Graph* graph_ = TF_NewGraph();
  TF_Status* status_ = TF_NewStatus();
};

} // namespace

TEST_SUITE("ext/tensorflow") {
  TEST_CASE("the digits network served by TensorFlow from the mapped file answers as its own code does") {
    const stet_test::digits_case task;
    auto store = shared(stet::open(task.path()));
    const std::weak_ptr<const stet::store> alive = store;
    tensorflow_graph net;
    std::vector<TF_Output> inputs{net.input("images", TF_FLOAT)};
    std::vector<tensorflow_owner> weights;
    const std::int64_t extents[] = {task.image_count, digits::pixel_count};
    weights.emplace_back(TF_AllocateTensor(TF_FLOAT, extents, 2, task.images.size() * sizeof(float)));
    std::memcpy(TF_TensorData(weights[0].get()), task.images.data(), task.images.size() * sizeof(float));
    for (const char* const name : {"dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"}) {
      weights.push_back(owned(stet::tensorflow_tensor(store, name)));
      CHECK(TF_TensorData(weights.back().get()) == store->find(name)->bytes().data()); // nothing is copied
      CHECK(TF_TensorIsAligned(weights.back().get()));
      inputs.push_back(net.input(name, TF_FLOAT));
    }
    store.reset();
    const TF_Output hidden = net.apply(
        "Relu", "hidden",
        {net.apply("BiasAdd", "biased", {net.apply("MatMul", "product", {inputs[0], inputs[1]}), inputs[2]})});
    const TF_Output answers =
        net.apply("Softmax", "answers",
                  {net.apply("BiasAdd", "scores", {net.apply("MatMul", "product_1", {hidden, inputs[3]}), inputs[4]})});
    std::vector<TF_Tensor*> fed;
    for (const tensorflow_owner& each : weights) fed.push_back(each.get());
    const tensorflow_owner answered = net.run(inputs, fed, answers);
    task.check(tensorflow_elements<float>(answered));
    CHECK(!alive.expired());
    weights.clear();
    CHECK(alive.expired());
  }

  TEST_CASE("tensors keep what owns their bytes, and TensorFlow's own tensors of the same bytes do") {
    const float numbers[] = {1, 2, 3, 4, 5, 6};
    stet::writer out;
    out.add("a", numbers, {2, 3});
    const stet_test::temp_folder folder;
    REQUIRE(out.save(folder.path("a.stet")));
    {
      auto store = shared(stet::open(folder.path("a.stet")));
      const std::weak_ptr<const stet::store> alive = store;
      const std::byte* const bytes = store->find("a")->bytes().data();
      tensorflow_owner made = owned(stet::tensorflow_tensor(store, "a"));
      store.reset();
      CHECK(TF_TensorType(made.get()) == TF_FLOAT);
      REQUIRE(TF_NumDims(made.get()) == 2);
      CHECK(TF_Dim(made.get(), 0) == 2);
      CHECK(TF_Dim(made.get(), 1) == 3);
      CHECK(TF_TensorMaybeMove(made.get()) == nullptr); // it is not TensorFlow's to give away, or to write into
      // What a session passes on is the same bytes.
      tensorflow_graph graph;
      const TF_Output input = graph.input("input", TF_FLOAT);
      tensorflow_owner passed = graph.run({input}, {made.get()}, graph.apply("Identity", "same", {input}));
      CHECK(TF_TensorData(passed.get()) == bytes);
      made.reset();
      CHECK(!alive.expired());
      CHECK(tensorflow_elements<float>(passed)[5] == 6);
      passed.reset();
      CHECK(alive.expired());
    }
    // A tensor that was loaded for itself is kept with its store.
    auto owner = stet_test::shared_tensor(stet::open(folder.path("a.stet"), {.backing = stet::backing::stream}), "a");
    const std::weak_ptr<const stet_test::store_and_tensor> alive = owner;
    CHECK(outcome(stet::tensorflow_tensor(owner, *owner->store.find("a"))) == "not_resident");
    tensorflow_owner made = owned(stet::tensorflow_tensor(owner, *owner->tensor));
    owner.reset();
    CHECK(tensorflow_elements<float>(made)[4] == 5);
    made.reset();
    CHECK(alive.expired());
  }

  TEST_CASE("a session does not write into a tensor, also where it computes in place") {
    const float numbers[] = {-1, 2, -3};
    stet::writer out;
    out.add("a", numbers, {3});
    const stet_test::temp_folder folder;
    REQUIRE(out.save(folder.path("a.stet")));
    auto store = shared(stet::open(folder.path("a.stet"))); // writing would end the program
    tensorflow_owner made = owned(stet::tensorflow_tensor(store, "a"));
    tensorflow_graph graph;
    const TF_Output input = graph.input("input", TF_FLOAT);
    const TF_Output output = graph.apply("Neg", "negative", {graph.apply("Relu", "positive", {input})});
    const tensorflow_owner answered = graph.run({input}, {made.get()}, output);
    CHECK(tensorflow_elements<float>(answered)[1] == -2);
    CHECK((*store->get<float>("a"))[0] == -1);
  }

  TEST_CASE("every dtype is TensorFlow's of the same elements, or none") {
    std::string without;
    for (const auto& described : stet::dtype_table) {
      const TF_DataType type = stet::tensorflow_type(described.dtype);
      CAPTURE(described.name);
      if (type == TF_DataType{}) {
        without.append(described.name).append(" ");
        continue;
      }
      CHECK(TF_DataTypeSize(type) * 8 == (described.bits < 8 ? 8 : described.bits));
    }
    CHECK(without == "float8_e8m0fnu float6_e2m3fn float6_e3m2fn string block ");
  }

  TEST_CASE("elements of each kind are the numbers that they were") {
    const std::vector<stet::float16> halves = {stet::float16(1.5f), stet::float16(-2.0f)};
    const std::vector<stet::bfloat16> brains = {stet::bfloat16(1.5f), stet::bfloat16(-3.0f)};
    const std::vector<stet::float8_e4m3fn> eights = {stet::float8_e4m3fn(1.5f), stet::float8_e4m3fn(-2.0f)};
    const std::vector<std::int16_t> shorts = {-1, 300};
    const bool switches[] = {true, false};
    const float scalar[] = {7};
    const std::vector<float> nothing;
    stet::writer out;
    out.add("halves", halves, {2}).add("brains", brains, {2}).add("eights", eights, {2}).add("shorts", shorts, {2});
    out.add("switches", switches, {2}).add("scalar", scalar, {}).add("nothing", nothing, {0, 3});
    const stet_test::temp_folder folder;
    REQUIRE(out.save(folder.path("kinds.stet")));
    const auto store = shared(stet::open(folder.path("kinds.stet")));
    const auto numbers = [&](const char* name) {
      const tensorflow_owner made = owned(stet::tensorflow_tensor(store, name));
      CHECK(TF_TensorByteSize(made.get()) == store->find(name)->size_bytes());
      tensorflow_graph graph;
      const TF_Output input = graph.input("input", TF_TensorType(made.get()));
      const tensorflow_owner cast = graph.run({input}, {made.get()}, graph.to_float(input));
      const std::span<const float> floats = tensorflow_elements<float>(cast);
      return std::vector<float>(floats.begin(), floats.end());
    };
    using floats = std::vector<float>;
    CHECK(numbers("halves") == floats{1.5f, -2});
    CHECK(numbers("brains") == floats{1.5f, -3});
    CHECK(numbers("eights") == floats{1.5f, -2});
    CHECK(numbers("shorts") == floats{-1, 300});
    CHECK(numbers("switches") == floats{1, 0});
    CHECK(numbers("scalar") == floats{7});
    CHECK(numbers("nothing").empty());
    // A nibble in a byte of its own, as TensorFlow's checkpoints have it.
    using stet::element_layout;
    const stet_test::native_file wide({stet_test::tensor_of("nibbles", element_layout{stet::dtype::int4, 8, {}}, {2},
                                                            stet_test::bytes_of<unsigned char>({0x07, 0x0E}))});
    folder.write("wide.stet", {reinterpret_cast<const char*>(wide.bytes.data()), wide.bytes.size()});
    const auto nibbles = shared(stet::open(folder.path("wide.stet")));
    const tensorflow_owner made = owned(stet::tensorflow_tensor(nibbles, "nibbles"));
    CHECK(TF_TensorType(made.get()) == TF_INT4);
    CHECK(tensorflow_elements<unsigned char>(made)[1] == 0x0E);
  }

  TEST_CASE("what TensorFlow cannot use where it is has an error of its own, and the owner is let go of") {
    const std::vector<double> doubles = {1, 2};
    const std::vector<stet::int4> nibbles(3);
    const std::vector<std::string> texts = {"a", "bc"};
    stet::writer out;
    out.add("doubles", doubles, {2}).add("nibbles", nibbles, {3}).add("texts", texts, {2});
    const stet_test::temp_folder folder;
    REQUIRE(out.save(folder.path("a.stet")));
    const auto store = shared(stet::open(folder.path("a.stet")));
    CHECK(outcome(stet::tensorflow_tensor(store, "texts")) == "unsupported");
    CHECK(outcome(stet::tensorflow_tensor(store, "nibbles")) == "packed");
    CHECK(outcome(stet::tensorflow_tensor(store, "nobody")) == "not_found");
    CHECK(store.use_count() == 1);

    // Aligned for double, and not for TensorFlow, which would copy it.
    const auto file = out.save_to_memory();
    REQUIRE(outcome(file) == "ok");
    std::vector<std::byte> memory(file->size() + 128);
    const std::size_t before = 64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64 + 16;
    std::copy(file->begin(), file->end(), memory.begin() + static_cast<std::ptrdiff_t>(before));
    const auto odd = shared(stet::open(std::span<const std::byte>(memory).subspan(before, file->size())));
    CHECK(outcome(odd->get<double>("doubles")) == "ok");
    CHECK(outcome(stet::tensorflow_tensor(odd, "doubles")) == "misaligned");

    folder.write("big.npy", stet_test::numpy_array("'>f4'", "(2,)", std::string_view("\x3f\x80\0\0\x40\0\0\0", 8)));
    const auto big = shared(stet::open_npy(folder.path("big.npy")));
    for (const stet::tensor each : *big) CHECK(outcome(stet::tensorflow_tensor(big, each)) == "wrong_byte_order");

    using stet::element_layout;
    const stet_test::native_file crafted({stet_test::tensor_of("two", element_layout::of(stet::dtype::boolean), {2},
                                                               stet_test::bytes_of<unsigned char>({1, 2}))});
    folder.write("two.stet", {reinterpret_cast<const char*>(crafted.bytes.data()), crafted.bytes.size()});
    const auto not_boolean = shared(stet::open(folder.path("two.stet")));
    CHECK(outcome(stet::tensorflow_tensor(not_boolean, "two")) == "bad_value");
  }
}

#else

TEST_SUITE("ext/tensorflow") {
  TEST_CASE("tensors are tensors of TensorFlow") { MESSAGE("skipped: built by interop.runtime_tensorflow alone"); }
}

#endif
