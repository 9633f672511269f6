// SPDX-License-Identifier: MIT
// The digits network computed by Eigen, its weights in the mapped file: serve_eigen MODEL.stet DATA.stet
#include <Eigen/Core>

#include <stet/ext/eigen.hpp>

#include "serve.hpp"

int main(int count, char** arguments) {
  if (count != 3) return 2;
  auto task = runtimes::open_task(arguments[1], arguments[2]);
  if (!task) return runtimes::fail(task.error());
  const stet::store& store = task->model.store;

  const auto kernel = store.view<float, digits::pixel_count, digits::hidden_count>("dense/kernel");
  const auto bias = store.view<float, digits::hidden_count>("dense/bias");
  const auto answer_kernel = store.view<float, digits::hidden_count, digits::class_count>("dense_1/kernel");
  const auto answer_bias = store.view<float, digits::class_count>("dense_1/bias");
  if (!kernel || !bias || !answer_kernel || !answer_bias) return runtimes::fail("the model has another network");

  using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const auto images = static_cast<Eigen::Index>(task->image_count());
  const Eigen::Map<const matrix> pixels(task->pixels.data(), images, digits::pixel_count);
  matrix hidden = pixels * stet::to_eigen(*kernel);
  hidden = (hidden.rowwise() + stet::to_eigen(*bias).transpose()).cwiseMax(0.0f);
  matrix scores = hidden * stet::to_eigen(*answer_kernel);
  scores.rowwise() += stet::to_eigen(*answer_bias).transpose();
  for (auto row : scores.rowwise()) {
    row = (row.array() - row.maxCoeff()).exp().matrix().eval();
    row /= row.sum();
  }
  return runtimes::compare(*task, "Eigen", {scores.data(), static_cast<std::size_t>(scores.size())});
}
