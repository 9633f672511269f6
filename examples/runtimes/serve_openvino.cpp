// SPDX-License-Identifier: MIT
// The digits network run by OpenVINO, its weights in the mapped file: serve_openvino MODEL.stet DATA.stet
#include <openvino/openvino.hpp>
#include <openvino/opsets/opset8.hpp>

#include <stet/ext/openvino.hpp>

#include "serve.hpp"

#include <memory>

namespace {

using shared_store = std::shared_ptr<const stet::store>;
using shared_node = std::shared_ptr<ov::Node>;

/// A dense layer with the weights of `from`, whose kernel is [in, out], as Keras has it.
stet::result<shared_node> add_dense(const shared_store& from, const char* kernel, const char* bias,
                                    const shared_node& input) {
  const auto weights = stet::openvino_constant(from, kernel);
  if (!weights) return weights.error();
  const auto added = stet::openvino_constant(from, bias);
  if (!added) return added.error();
  return shared_node(std::make_shared<ov::op::v1::Add>(std::make_shared<ov::op::v0::MatMul>(input, *weights), *added));
}

/// The network for so many images. It keeps the store.
stet::result<std::shared_ptr<ov::Model>> build(const shared_store& from, std::size_t images) {
  const auto pixels = std::make_shared<ov::op::v0::Parameter>(ov::element::f32, ov::Shape{images, digits::pixel_count});
  const auto hidden = add_dense(from, "dense/kernel", "dense/bias", pixels);
  if (!hidden) return hidden.error();
  const auto scores = add_dense(from, "dense_1/kernel", "dense_1/bias", std::make_shared<ov::op::v0::Relu>(*hidden));
  if (!scores) return scores.error();
  const auto answers = std::make_shared<ov::op::v8::Softmax>(*scores, 1);
  return std::make_shared<ov::Model>(ov::OutputVector{answers}, ov::ParameterVector{pixels});
}

} // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  auto task = runtimes::open_task(arguments[1], arguments[2]);
  if (!task) return runtimes::fail(task.error());
  // Views stay valid where the store is moved to, the network's own among them.
  const auto store = std::make_shared<const stet::store>(std::move(task->model.store));
  const std::size_t images = task->image_count();
  try {
    const auto model = build(store, images);
    if (!model) return runtimes::fail(model.error());
    ov::CompiledModel compiled =
        ov::Core().compile_model(*model, "CPU", ov::hint::inference_precision(ov::element::f32));
    ov::InferRequest request = compiled.create_infer_request();
    request.set_input_tensor(ov::Tensor(ov::element::f32, {images, digits::pixel_count}, task->pixels.data()));
    request.infer();
    const ov::Tensor answers = request.get_output_tensor();
    return runtimes::compare(*task, "OpenVINO", {answers.data<const float>(), answers.get_size()});
  } catch (const std::exception& failure) {
    return runtimes::fail(failure.what());
  }
}
