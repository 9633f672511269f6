// SPDX-License-Identifier: MIT
// Tensors as values of ONNX Runtime, with the real library. The suite has none; tests/interop/runtimes.py builds this with it.
#include <doctest/doctest.h>

#if defined(STET_HAS_ONNXRUNTIME)

#include <onnxruntime_c_api.h>
#include <onnxruntime_session_options_config_keys.h>

#include <stet/ext/onnxruntime.hpp>
#include <stet/formats/numpy.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include "support/digits_case.hpp"
#include "support/native_bytes.hpp"
#include "support/npy_files.hpp"
#include "support/onnx_files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

using stet_test::outcome;

const OrtApi& ort() {
  const OrtApi* const api = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  REQUIRE(api != nullptr);
  return *api;
}
/// Checks that a call succeeded.
void done(OrtStatus* status) {
  const std::string said = status == nullptr ? "" : ort().GetErrorMessage(status);
  if (status != nullptr) ort().ReleaseStatus(status);
  REQUIRE(said == "");
}

struct ort_deleter {
  void operator()(OrtEnv* of) const { ort().ReleaseEnv(of); }
  void operator()(OrtSession* of) const { ort().ReleaseSession(of); }
  void operator()(OrtSessionOptions* of) const { ort().ReleaseSessionOptions(of); }
  void operator()(OrtValue* of) const { ort().ReleaseValue(of); }
  void operator()(OrtMemoryInfo* of) const { ort().ReleaseMemoryInfo(of); }
};
template <class T> using ort_owner = std::unique_ptr<T, ort_deleter>;

/// The value of ONNX Runtime that `made` holds.
ort_owner<OrtValue> owned(const stet::result<OrtValue*>& made) {
  REQUIRE(outcome(made) == "ok");
  return ort_owner<OrtValue>(*made);
}
template <class T> const T* ort_data(OrtValue* of) {
  void* data = nullptr;
  done(ort().GetTensorMutableData(of, &data));
  return static_cast<const T*>(data);
}

struct named_value {
  const char* name;
  const OrtValue* value;
};
/// A session that runs `model` with `values` as its initializers, and takes their bytes as they are. The model's own are in a file that
/// is empty.
struct ort_session {
  ort_owner<OrtEnv> environment;
  ort_owner<OrtSession> session;

  ort_session(const std::string& model, std::span<const named_value> values);
};
ort_session::ort_session(const std::string& model, std::span<const named_value> values) {
  OrtEnv* env = nullptr;
  done(ort().CreateEnv(ORT_LOGGING_LEVEL_ERROR, "stet", &env));
  environment.reset(env);
  OrtSessionOptions* made_options = nullptr;
  done(ort().CreateSessionOptions(&made_options));
  const ort_owner<OrtSessionOptions> options(made_options);
  done(ort().SetSessionGraphOptimizationLevel(options.get(), ORT_DISABLE_ALL));
  done(ort().AddSessionConfigEntry(options.get(), kOrtSessionOptionsConfigDisablePrepacking, "1"));
  for (const named_value& each : values) done(ort().AddInitializer(options.get(), each.name, each.value));
  const stet_test::temp_folder folder;
  folder.write("empty.bin", "");
  folder.write("model.onnx", model);
  OrtSession* made = nullptr;
  done(ort().CreateSession(env, folder.path("model.onnx").c_str(), options.get(), &made));
  session.reset(made);
}
/// The output "y" for the input "x".
ort_owner<OrtValue> ort_run(const ort_session& in, const OrtValue* input) {
  const char* const inputs[] = {"x"};
  const char* const outputs[] = {"y"};
  OrtValue* made = nullptr;
  done(ort().Run(in.session.get(), nullptr, inputs, &input, input == nullptr ? 0 : 1, outputs, 1, &made));
  return ort_owner<OrtValue>(made);
}
ort_owner<OrtValue> ort_floats(std::vector<float>& numbers, std::vector<std::int64_t> extents) {
  OrtMemoryInfo* memory = nullptr;
  done(ort().CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory));
  const ort_owner<OrtMemoryInfo> owner(memory);
  OrtValue* made = nullptr;
  done(ort().CreateTensorWithDataAsOrtValue(memory, numbers.data(), numbers.size() * sizeof(float), extents.data(),
                                            extents.size(), ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &made));
  return ort_owner<OrtValue>(made);
}

// ---- models ----

/// A ValueInfoProto of float32, with any extents.
std::string onnx_float_value(std::string_view name) {
  stet_test::onnx_writer made;
  made.bytes(1, name).message(2, [](stet_test::onnx_writer& type) {
    type.message(1, [](stet_test::onnx_writer& tensor) { tensor.varint(1, 1); });
  });
  return made.take();
}
std::string onnx_model_of(std::string graph, bool has_input) {
  using stet_test::onnx_field;
  graph += onnx_field(2, "g") + onnx_field(12, onnx_float_value("y"));
  if (has_input) graph += onnx_field(11, onnx_float_value("x"));
  stet_test::onnx_writer made;
  made.varint(1, 10).bytes(7, graph).message(8, [](stet_test::onnx_writer& opset) { opset.varint(2, 21); });
  return made.take();
}
/// An initializer whose bytes are not in the model.
std::string onnx_elsewhere(std::string_view name, std::uint64_t type, std::initializer_list<std::int64_t> dims) {
  return stet_test::onnx_field(5, stet_test::onnx_external(name, type, dims, {{"location", "empty.bin"}}));
}
std::string onnx_digits_model() {
  using stet_test::onnx_field;
  using stet_test::onnx_node;
  std::string graph;
  graph += onnx_field(1, onnx_node("MatMul", {"x", "dense/kernel"}, {"product"}));
  graph += onnx_field(1, onnx_node("Add", {"product", "dense/bias"}, {"biased"}));
  graph += onnx_field(1, onnx_node("Relu", {"biased"}, {"hidden"}));
  graph += onnx_field(1, onnx_node("MatMul", {"hidden", "dense_1/kernel"}, {"product_1"}));
  graph += onnx_field(1, onnx_node("Add", {"product_1", "dense_1/bias"}, {"scores"}));
  graph += onnx_field(1, onnx_node("Softmax", {"scores"}, {"y"}));
  constexpr std::int64_t pixels = digits::pixel_count, hidden = digits::hidden_count, classes = digits::class_count;
  graph += onnx_elsewhere("dense/kernel", 1, {pixels, hidden}) + onnx_elsewhere("dense/bias", 1, {hidden});
  graph += onnx_elsewhere("dense_1/kernel", 1, {hidden, classes}) + onnx_elsewhere("dense_1/bias", 1, {classes});
  return onnx_model_of(std::move(graph), true);
}

} // namespace

TEST_SUITE("ext/onnxruntime") {
  TEST_CASE(
      "the digits network served by two sessions of ONNX Runtime from one mapped file answers as its own code does") {
    stet_test::digits_case task;
    const auto store = stet::open(task.path());
    REQUIRE(outcome(store) == "ok");
    std::vector<ort_owner<OrtValue>> values;
    std::vector<named_value> named;
    for (const char* const name : {"dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"}) {
      values.push_back(owned(stet::onnxruntime_value(ort(), *store, name)));
      CHECK(ort_data<std::byte>(values.back().get()) == store->find(name)->bytes().data()); // nothing is copied
      named.push_back({name, values.back().get()});
    }
    const std::string model = onnx_digits_model();
    const ort_session first(model, named), second(model, named);
    const auto images = ort_floats(task.images, {task.image_count, digits::pixel_count});
    for (const ort_session* const each : {&first, &second}) {
      const auto answered = ort_run(*each, images.get());
      task.check({ort_data<float>(answered.get()), task.image_count * digits::class_count});
    }
  }

  TEST_CASE("a session computes with the bytes of the store, and not with a copy") {
    const float numbers[] = {1, 2, 3};
    stet::writer out;
    out.add("w", numbers, {3});
    const stet_test::temp_folder folder;
    REQUIRE(out.save(folder.path("w.stet")));
    const auto store = stet::open(folder.path("w.stet"), {.access = stet::access::copy_on_write});
    REQUIRE(outcome(store) == "ok");
    const auto weights = owned(stet::onnxruntime_value(ort(), *store, "w"));
    const named_value named[] = {{"w", weights.get()}};
    using stet_test::onnx_field;
    using stet_test::onnx_node;
    const std::string graph = onnx_field(1, onnx_node("Add", {"x", "w"}, {"y"})) + onnx_elsewhere("w", 1, {3});
    const ort_session session(onnx_model_of(graph, true), named);
    std::vector<float> zeros(3);
    const auto input = ort_floats(zeros, {3});
    CHECK(ort_data<float>(ort_run(session, input.get()).get())[2] == 3);
    (*store->find("w")->as_writable<float>())[2] = 7;
    CHECK(ort_data<float>(ort_run(session, input.get()).get())[2] == 7);
  }

  TEST_CASE("every dtype is ONNX's of the same elements, or none") {
    // TensorProto.DataType is another numbering; Cast tells whether a code is what it seems, below.
    struct row {
      stet::dtype dtype;
      ONNXTensorElementDataType type;
    };
    using enum stet::dtype;
    const row rows[] = {{boolean, ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL},
                        {int8, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8},
                        {int16, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16},
                        {int32, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32},
                        {int64, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64},
                        {uint8, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8},
                        {uint16, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16},
                        {uint32, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32},
                        {uint64, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64},
                        {float16, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16},
                        {bfloat16, ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16},
                        {float32, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT},
                        {float64, ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE},
                        {complex64, ONNX_TENSOR_ELEMENT_DATA_TYPE_COMPLEX64},
                        {complex128, ONNX_TENSOR_ELEMENT_DATA_TYPE_COMPLEX128},
                        {float8_e4m3fn, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FN},
                        {float8_e5m2, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2},
                        {float8_e4m3fnuz, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FNUZ},
                        {float8_e5m2fnuz, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2FNUZ},
                        {float8_e8m0fnu, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E8M0},
                        {float4_e2m1fn, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT4E2M1},
                        {int4, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT4},
                        {uint4, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT4},
                        {int2, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT2},
                        {uint2, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT2},
                        {qint8, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8},
                        {quint8, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8},
                        {qint16, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16},
                        {quint16, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16},
                        {qint32, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32}};
    std::size_t count = 0;
    for (const auto& described : stet::dtype_table) {
      const auto type = stet::onnxruntime_type(described.dtype);
      auto expected = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
      for (const row& each : rows) expected = each.dtype == described.dtype ? each.type : expected;
      CAPTURE(described.name);
      CHECK((type == expected));
      count += type != ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    }
    CHECK(count == std::size(rows));
  }

  TEST_CASE("headers without the later types do without them") {
    enum class earlier {
      ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_COMPLEX64,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_COMPLEX128,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FN,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FNUZ,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2FNUZ
    };
    CHECK((stet::onnxruntime_type<earlier>(stet::dtype::float32) == earlier::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT));
    CHECK((stet::onnxruntime_type<earlier>(stet::dtype::int4) == earlier::ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED));
  }

  TEST_CASE("elements of each kind are the numbers that they were") {
    const std::vector<stet::float16> halves = {stet::float16(1.5f), stet::float16(-2.0f)};
    const std::vector<stet::bfloat16> brains = {stet::bfloat16(1.5f), stet::bfloat16(-3.0f)};
    const std::vector<stet::float8_e4m3fn> eights = {stet::float8_e4m3fn(1.5f), stet::float8_e4m3fn(-2.0f)};
    const std::vector<stet::int4> nibbles = {stet::int4(1), stet::int4(-2), stet::int4(7)};
    const std::vector<std::int64_t> longs = {-1, 300};
    const bool switches[] = {true, false};
    const float scalar[] = {7};
    const std::vector<float> nothing;
    stet::writer out;
    out.add("halves", halves, {2}).add("brains", brains, {2}).add("eights", eights, {2}).add("longs", longs, {2});
    out.add("nibbles", nibbles, {3})
        .add("switches", switches, {2})
        .add("scalar", scalar, {})
        .add("nothing", nothing, {0});
    const auto file = out.save_to_memory();
    REQUIRE(outcome(file) == "ok");
    const auto store = stet::open(*file);
    REQUIRE(outcome(store) == "ok");
    // `type` is ONNX's number in TensorProto.
    const auto numbers = [&](const char* name, std::uint64_t type, std::initializer_list<std::int64_t> dims) {
      const stet::tensor of = *store->find(name);
      const auto value = owned(stet::onnxruntime_value(ort(), of));
      CHECK(ort_data<std::byte>(value.get()) == of.bytes().data());
      const named_value named[] = {{"w", value.get()}};
      const std::string to = stet_test::onnx_writer().bytes(1, "to").varint(3, 1).varint(20, 2).take();
      const std::string graph =
          stet_test::onnx_field(1, stet_test::onnx_node("Cast", {"w"}, {"y"}, {to})) + onnx_elsewhere("w", type, dims);
      const auto answered = ort_run(ort_session(onnx_model_of(graph, false), named), nullptr);
      const float* const first = ort_data<float>(answered.get());
      return std::vector<float>(first, first + of.element_count());
    };
    using floats = std::vector<float>;
    CHECK(numbers("halves", 10, {2}) == floats{1.5f, -2});
    CHECK(numbers("brains", 16, {2}) == floats{1.5f, -3});
    CHECK(numbers("eights", 17, {2}) == floats{1.5f, -2});
    CHECK(numbers("longs", 7, {2}) == floats{-1, 300});
    CHECK(numbers("nibbles", 22, {3}) == floats{1, -2, 7});
    CHECK(numbers("switches", 9, {2}) == floats{1, 0});
    CHECK(numbers("scalar", 1, {}) == floats{7});
    CHECK(numbers("nothing", 1, {0}).empty());
  }

  TEST_CASE("what ONNX Runtime cannot use where it is has an error of its own") {
    const std::vector<double> doubles = {1, 2};
    const std::vector<stet::complex64> pairs(2);
    const std::vector<std::string> texts = {"a", "bc"};
    stet::writer out;
    out.add("doubles", doubles, {2}).add("pairs", pairs, {2}).add("texts", texts, {2});
    const auto file = out.save_to_memory();
    REQUIRE(outcome(file) == "ok");
    const auto store = stet::open(*file);
    REQUIRE(outcome(store) == "ok");
    CHECK(outcome(stet::onnxruntime_value(ort(), *store, "texts")) == "unsupported");
    CHECK(outcome(stet::onnxruntime_value(ort(), *store, "pairs")) == "unsupported"); // it has the type's number alone
    CHECK(outcome(stet::onnxruntime_value(ort(), *store, "nobody")) == "not_found");

    std::vector<std::byte> shifted(file->size() + 4);
    std::copy(file->begin(), file->end(), shifted.begin() + 4);
    const auto odd = stet::open(std::span<const std::byte>(shifted).subspan(4));
    REQUIRE(outcome(odd) == "ok");
    CHECK(outcome(stet::onnxruntime_value(ort(), *odd, "doubles")) == "misaligned");

    const stet_test::temp_folder folder;
    REQUIRE(out.save(folder.path("a.stet")));
    const auto streamed = stet::open(folder.path("a.stet"), {.backing = stet::backing::stream});
    REQUIRE(outcome(streamed) == "ok");
    CHECK(outcome(stet::onnxruntime_value(ort(), *streamed, "doubles")) == "not_resident");
    folder.write("big.npy", stet_test::numpy_array("'>f4'", "(2,)", std::string_view("\x3f\x80\0\0\x40\0\0\0", 8)));
    const auto big = stet::open_npy(folder.path("big.npy"));
    REQUIRE(outcome(big) == "ok");
    for (const stet::tensor each : *big) CHECK(outcome(stet::onnxruntime_value(ort(), each)) == "wrong_byte_order");

    using stet::element_layout;
    const auto bytes = stet_test::bytes_of<unsigned char>({1, 2});
    const stet_test::native_file crafted(
        {stet_test::tensor_of("two", element_layout::of(stet::dtype::boolean), {2}, bytes),
         stet_test::tensor_of("wide", element_layout{stet::dtype::int4, 8, {}}, {2}, bytes),
         stet_test::tensor_of("endless", element_layout::of(stet::dtype::int4), {0, (std::uint64_t{1} << 63) + 2},
                              {})});
    const auto narrow = stet::open(std::span<const std::byte>(crafted.bytes));
    REQUIRE(outcome(narrow) == "ok");
    CHECK(outcome(stet::onnxruntime_value(ort(), *narrow, "two")) == "bad_value");
    CHECK(outcome(stet::onnxruntime_value(ort(), *narrow, "wide")) == "packed");
    CHECK(outcome(stet::onnxruntime_value(ort(), *narrow, "endless")) == "invalid_argument");
  }
}

#else

TEST_SUITE("ext/onnxruntime") {
  TEST_CASE("tensors are values of ONNX Runtime") { MESSAGE("skipped: built by interop.runtime_onnxruntime alone"); }
}

#endif
