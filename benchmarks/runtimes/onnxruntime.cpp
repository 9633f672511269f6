// SPDX-License-Identifier: MIT
// ONNX Runtime loads and runs the network of layers.hpp on the processor:
//   onnxruntime prepare|small|adapter|own|own_unpacked dense FOLDER
#include <onnxruntime_c_api.h>
#include <onnxruntime_session_options_config_keys.h>

#include <stet/ext/onnxruntime.hpp>

#include "layers.hpp"
#include "support/onnx_files.hpp"

namespace {

const OrtApi& ort() { return *OrtGetApiBase()->GetApi(ORT_API_VERSION); }
void check(OrtStatus* status) {
  if (status != nullptr) layers::require(false, ort().GetErrorMessage(status));
}

/// The network as a model whose kernels are in `data`, one after the other, or in none of its bytes where it is empty.
std::string make_model(std::size_t width, std::string_view data, bool is_empty) {
  using stet_test::onnx_field;
  const auto extent = static_cast<std::int64_t>(width);
  const auto value = [](std::string_view name) {
    return stet_test::onnx_writer()
        .bytes(1, name)
        .message(2,
                 [](stet_test::onnx_writer& type) {
                   type.message(1, [](stet_test::onnx_writer& tensor) { tensor.varint(1, 1); });
                 })
        .take();
  };
  std::string graph, last = "x";
  const std::size_t size = width * width * sizeof(float);
  for (std::size_t i = 0; i < layers::count; ++i) {
    const std::string number = std::to_string(i), product = "product_" + number, name = layers::name_of(i);
    const std::string relu = i + 1 == layers::count ? "y" : "relu_" + number;
    const std::string offset = std::to_string(is_empty ? 0 : i * size);
    graph += onnx_field(1, stet_test::onnx_node("MatMul", {last, name}, {product}));
    graph += onnx_field(1, stet_test::onnx_node("Relu", {product}, {relu}));
    graph +=
        onnx_field(5, stet_test::onnx_external(name, 1, {extent, extent}, {{"location", data}, {"offset", offset}}));
    last = relu;
  }
  graph += onnx_field(2, "dense") + onnx_field(11, value("x")) + onnx_field(12, value("y"));
  return stet_test::onnx_model(graph);
}

} // namespace

int main(int argument_count, char** arguments) {
  if (argument_count != 4) return 2;
  const std::string mode = arguments[1], folder = arguments[3];
  const std::string large = folder + "/large.stet", small = folder + "/small.stet";
  if (mode == "prepare") {
    std::string data;
    for (const auto& each : layers::save_both(large, small))
      data.append(reinterpret_cast<const char*>(each.data()), each.size() * sizeof(float));
    layers::write(folder + "/dense.bin", data);
    layers::write(folder + "/empty.bin", "");
    layers::write(folder + "/own.onnx", make_model(layers::width, "dense.bin", false));
    layers::write(folder + "/adapter.onnx", make_model(layers::width, "empty.bin", true));
    layers::write(folder + "/small.onnx", make_model(layers::small_width, "empty.bin", true));
    return 0;
  }
  const bool is_own = mode == "own" || mode == "own_unpacked";
  const std::size_t width = mode == "small" ? layers::small_width : layers::width;
  std::vector<float> ones(width, 1.0f);
  layers::measured since;
  OrtEnv* environment = nullptr;
  check(ort().CreateEnv(ORT_LOGGING_LEVEL_ERROR, "measure", &environment));
  OrtSessionOptions* options = nullptr;
  check(ort().CreateSessionOptions(&options));
  if (mode != "own") check(ort().AddSessionConfigEntry(options, kOrtSessionOptionsConfigDisablePrepacking, "1"));
  std::shared_ptr<const stet::store> store;
  std::vector<OrtValue*> kernels;
  if (!is_own) {
    check(ort().SetSessionGraphOptimizationLevel(options, ORT_DISABLE_ALL));
    store = layers::open(mode == "small" ? small : large);
    for (std::size_t i = 0; i < layers::count; ++i) {
      const auto made = stet::onnxruntime_value(ort(), *store, layers::name_of(i));
      layers::require(static_cast<bool>(made), "a kernel");
      kernels.push_back(*made);
      check(ort().AddInitializer(options, layers::name_of(i).c_str(), *made));
    }
  }
  const std::string path = folder + (is_own ? "/own.onnx" : "/" + mode + ".onnx");
  OrtSession* session = nullptr;
  check(ort().CreateSession(environment, path.c_str(), options, &session));
  since.note_loaded();
  OrtMemoryInfo* memory = nullptr;
  check(ort().CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory));
  OrtValue *input = nullptr, *answer = nullptr;
  const std::int64_t extents[] = {1, static_cast<std::int64_t>(width)};
  check(ort().CreateTensorWithDataAsOrtValue(memory, ones.data(), ones.size() * sizeof(float), extents, 2,
                                             ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &input));
  const char* const inputs[] = {"x"};
  const char* const outputs[] = {"y"};
  check(ort().Run(session, nullptr, inputs, &input, 1, outputs, 1, &answer));
  void* numbers = nullptr;
  check(ort().GetTensorMutableData(answer, &numbers));
  since.print({static_cast<const float*>(numbers), width});
  ort().ReleaseValue(answer);
  ort().ReleaseValue(input);
  ort().ReleaseMemoryInfo(memory);
  ort().ReleaseSession(session);
  for (OrtValue* const each : kernels) ort().ReleaseValue(each);
  ort().ReleaseSessionOptions(options);
  ort().ReleaseEnv(environment);
  return 0;
}
