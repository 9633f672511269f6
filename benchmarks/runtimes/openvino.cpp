// SPDX-License-Identifier: MIT
// OpenVINO loads and runs the network of layers.hpp on the processor: openvino prepare|small|adapter|own dense|lookup FOLDER
#include <openvino/op/constant.hpp>
#include <openvino/openvino.hpp>
#include <openvino/opsets/opset8.hpp>

#include <stet/ext/openvino.hpp>

#include "layers.hpp"

namespace {

std::shared_ptr<ov::Model> build_dense(const std::shared_ptr<const stet::store>& from, std::size_t width) {
  const auto input = std::make_shared<ov::op::v0::Parameter>(ov::element::f32, ov::Shape{1, width});
  ov::Output<ov::Node> last = input;
  for (std::size_t i = 0; i < layers::count; ++i) {
    const auto kernel = stet::openvino_constant(from, layers::name_of(i));
    layers::require(static_cast<bool>(kernel), "a kernel");
    last = std::make_shared<ov::op::v0::Relu>(std::make_shared<ov::op::v0::MatMul>(last, *kernel));
  }
  return std::make_shared<ov::Model>(ov::OutputVector{last}, ov::ParameterVector{input});
}

/// The kernels as tables, from each of which one row is taken; the rows are added.
std::shared_ptr<ov::Model> build_lookup(const std::shared_ptr<const stet::store>& from) {
  const auto input = std::make_shared<ov::op::v0::Parameter>(ov::element::i64, ov::Shape{1});
  const auto axis = ov::op::v0::Constant::create(ov::element::i64, ov::Shape{}, {0});
  ov::Output<ov::Node> sum;
  for (std::size_t i = 0; i < layers::count; ++i) {
    const auto kernel = stet::openvino_constant(from, layers::name_of(i));
    layers::require(static_cast<bool>(kernel), "a kernel");
    const ov::Output<ov::Node> row = std::make_shared<ov::op::v8::Gather>(*kernel, input, axis);
    sum = i == 0 ? row : ov::Output<ov::Node>(std::make_shared<ov::op::v1::Add>(sum, row));
  }
  return std::make_shared<ov::Model>(ov::OutputVector{sum}, ov::ParameterVector{input});
}

} // namespace

int main(int argument_count, char** arguments) {
  if (argument_count != 4) return 2;
  const std::string mode = arguments[1], network = arguments[2], folder = arguments[3];
  const std::string large = folder + "/large.stet", small = folder + "/small.stet";
  const std::string own = folder + "/" + network + ".xml";
  const bool looks_up = network == "lookup";
  const auto build = [&](const std::shared_ptr<const stet::store>& from, std::size_t width) {
    return looks_up ? build_lookup(from) : build_dense(from, width);
  };
  if (mode == "prepare") {
    layers::save_both(large, small);
    ov::save_model(build(layers::open(large), layers::width), own, false);
    return 0;
  }
  const std::size_t width = mode == "small" ? layers::small_width : layers::width;
  std::vector<float> input(width, 1.0f);
  std::int64_t row = 3;
  layers::measured since;
  ov::Core core;
  auto model = mode == "own" ? core.read_model(own) : build(layers::open(mode == "small" ? small : large), width);
  ov::CompiledModel compiled = core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32));
  model.reset();
  ov::InferRequest request = compiled.create_infer_request();
  since.note_loaded();
  request.set_input_tensor(looks_up ? ov::Tensor(ov::element::i64, {1}, &row)
                                    : ov::Tensor(ov::element::f32, {1, width}, input.data()));
  request.infer();
  const ov::Tensor answer = request.get_output_tensor();
  since.print({answer.data<const float>(), answer.get_size()});
  return 0;
}
