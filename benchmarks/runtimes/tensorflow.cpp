// SPDX-License-Identifier: MIT
// TensorFlow's C API loads and runs the network of layers.hpp on the processor: tensorflow prepare|small|adapter|own dense FOLDER
#include <tensorflow/c/c_api.h>

#include <stet/ext/tensorflow.hpp>

#include "layers.hpp"

#include <cstring>
#include <iterator>

namespace {

void check(const TF_Status* status) { layers::require(TF_GetCode(status) == TF_OK, TF_Message(status)); }

/// The network; its kernels are inputs, or constants with the values of `kernels`.
TF_Output build(TF_Graph* graph, TF_Status* status, std::vector<TF_Output>& inputs,
                const std::vector<TF_Tensor*>* kernels) {
  const auto input = [&](const std::string& name) {
    TF_OperationDescription* const made = TF_NewOperation(graph, "Placeholder", name.c_str());
    TF_SetAttrType(made, "dtype", TF_FLOAT);
    inputs.push_back({TF_FinishOperation(made, status), 0});
    check(status);
    return inputs.back();
  };
  TF_Output last = input("x");
  for (std::size_t i = 0; i < layers::count; ++i) {
    const std::string number = std::to_string(i);
    TF_Output kernel;
    if (kernels == nullptr) {
      kernel = input("kernel_" + number);
    } else {
      TF_OperationDescription* const constant = TF_NewOperation(graph, "Const", ("kernel_" + number).c_str());
      TF_SetAttrTensor(constant, "value", (*kernels)[i], status);
      TF_SetAttrType(constant, "dtype", TF_FLOAT);
      kernel = {TF_FinishOperation(constant, status), 0};
      check(status);
    }
    TF_OperationDescription* const product = TF_NewOperation(graph, "MatMul", ("product_" + number).c_str());
    TF_AddInput(product, last);
    TF_AddInput(product, kernel);
    const TF_Output made{TF_FinishOperation(product, status), 0};
    check(status);
    TF_OperationDescription* const relu = TF_NewOperation(graph, "Relu", ("relu_" + number).c_str());
    TF_AddInput(relu, made);
    last = {TF_FinishOperation(relu, status), 0};
    check(status);
  }
  return last;
}

std::vector<TF_Tensor*> kernels_of(const std::shared_ptr<const stet::store>& from) {
  std::vector<TF_Tensor*> made;
  for (std::size_t i = 0; i < layers::count; ++i) {
    const auto kernel = stet::tensorflow_tensor(from, layers::name_of(i));
    layers::require(static_cast<bool>(kernel), "a kernel");
    made.push_back(*kernel);
  }
  return made;
}

} // namespace

int main(int argument_count, char** arguments) {
  if (argument_count != 4) return 2;
  const std::string mode = arguments[1], folder = arguments[3];
  const std::string large = folder + "/large.stet", small = folder + "/small.stet", own = folder + "/dense.pb";
  TF_Status* const status = TF_NewStatus();
  TF_Graph* const graph = TF_NewGraph();
  std::vector<TF_Output> inputs;
  if (mode == "prepare") {
    layers::save_both(large, small);
    const std::vector<TF_Tensor*> kernels = kernels_of(layers::open(large));
    build(graph, status, inputs, &kernels);
    TF_Buffer* const bytes = TF_NewBuffer();
    TF_GraphToGraphDef(graph, bytes, status);
    check(status);
    layers::write(own, {static_cast<const char*>(bytes->data), bytes->length});
    return 0;
  }
  const std::size_t width = mode == "small" ? layers::small_width : layers::width;
  layers::measured since;
  std::vector<TF_Tensor*> fed;
  const std::int64_t extents[] = {1, static_cast<std::int64_t>(width)};
  fed.push_back(TF_AllocateTensor(TF_FLOAT, extents, 2, width * sizeof(float)));
  const std::vector<float> ones(width, 1.0f);
  std::memcpy(TF_TensorData(fed[0]), ones.data(), width * sizeof(float));
  TF_Output output;
  if (mode == "own") {
    std::ifstream in(own, std::ios::binary);
    std::string bytes(std::istreambuf_iterator<char>(in), {});
    TF_Buffer* const buffer = TF_NewBufferFromString(bytes.data(), bytes.size());
    bytes = {};
    TF_ImportGraphDefOptions* const options = TF_NewImportGraphDefOptions();
    TF_GraphImportGraphDef(graph, buffer, options, status);
    check(status);
    TF_DeleteImportGraphDefOptions(options);
    TF_DeleteBuffer(buffer);
    inputs.push_back({TF_GraphOperationByName(graph, "x"), 0});
    output = {TF_GraphOperationByName(graph, ("relu_" + std::to_string(layers::count - 1)).c_str()), 0};
  } else {
    for (TF_Tensor* const each : kernels_of(layers::open(mode == "small" ? small : large))) fed.push_back(each);
    output = build(graph, status, inputs, nullptr);
  }
  TF_SessionOptions* const options = TF_NewSessionOptions();
  TF_Session* const session = TF_NewSession(graph, options, status);
  check(status);
  since.note_loaded();
  TF_Tensor* answer = nullptr;
  TF_SessionRun(session, nullptr, inputs.data(), fed.data(), static_cast<int>(inputs.size()), &output, &answer, 1,
                nullptr, 0, nullptr, status);
  check(status);
  since.print({static_cast<const float*>(TF_TensorData(answer)), width});
  TF_DeleteTensor(answer);
  for (TF_Tensor* const each : fed) TF_DeleteTensor(each);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
