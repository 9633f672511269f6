// SPDX-License-Identifier: MIT
// The digits network run by ExecuTorch, one image at a time. The program has no weights, those are in the mapped file:
// serve_executorch MODEL.stet DATA.stet PROGRAM.pte
#include <memory>

#include <executorch/extension/data_loader/mmap_data_loader.h>
#include <executorch/runtime/executor/program.h>
#include <executorch/runtime/platform/runtime.h>

#include <stet/ext/executorch.hpp>

#include "executorch_memory.hpp"
#include "serve.hpp"

#include <string>
#include <vector>

namespace {

namespace et = executorch::runtime;

int fail(et::Error failure) { return runtimes::fail(std::string("ExecuTorch: ") + et::to_string(failure)); }

} // namespace

int main(int count, char** arguments) {
  if (count != 4) return 2;
  et::runtime_init();
  auto task = runtimes::open_task(arguments[1], arguments[2]);
  if (!task) return runtimes::fail(task.error());
  // Views stay valid where the store is moved to, the network's own among them.
  const auto weights =
      stet::executorch_data_map::make(std::make_shared<const stet::store>(std::move(task->model.store)));
  if (!weights) return runtimes::fail(weights.error());

  auto loader = executorch::extension::MmapDataLoader::from(arguments[3]);
  if (!loader.ok()) return fail(loader.error());
  const auto program = et::Program::load(&*loader, et::Program::Verification::InternalConsistency);
  if (!program.ok()) return fail(program.error());
  const auto meta = program->method_meta("forward");
  if (!meta.ok()) return fail(meta.error());

  runtimes::executorch_memory memory(*meta);
  auto method = program->load_method("forward", memory.manager(), nullptr, &*weights);
  if (!method.ok()) return fail(method.error());

  std::vector<float> answers;
  std::int32_t extents[] = {1, digits::pixel_count};
  std::uint8_t order[] = {0, 1};
  for (std::size_t at = 0; at < task->image_count(); ++at) {
    executorch::aten::TensorImpl pixels(executorch::aten::ScalarType::Float, 2, extents,
                                        task->pixels.data() + at * digits::pixel_count, order);
    et::Error done = method->set_input(et::EValue(executorch::aten::Tensor(&pixels)), 0);
    if (done == et::Error::Ok) done = method->execute();
    if (done != et::Error::Ok) return fail(done);
    const auto probabilities = method->get_output(0).toTensor();
    if (probabilities.numel() != digits::class_count) return runtimes::fail("the program computes something else");
    const float* const first = probabilities.const_data_ptr<float>();
    answers.insert(answers.end(), first, first + digits::class_count);
  }
  return runtimes::compare(*task, "ExecuTorch", answers);
}
