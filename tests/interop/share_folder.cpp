// SPDX-License-Identifier: MIT
// Shares a folder of checkpoints with TensorFlow: share_folder FOLDER save saves steps 100, 200 and 300, of which two stay;
// share_folder FOLDER restore prints the step and the first number of what is the newest then.
#include <stet/formats/tensorflow/saver.hpp>

#include <cstdio>
#include <string_view>
#include <vector>

namespace {

int fail(const stet::error& failure) {
  char text[256];
  const std::string_view line = failure.print(text, sizeof text);
  std::fprintf(stderr, "share_folder: %.*s\n", static_cast<int>(line.size()), line.data());
  return 1;
}

} // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  std::vector<float> kernel(6);
  stet::variable_list variables;
  if (auto added = variables.add("dense/kernel", kernel, {2, 3}); !added) return fail(added.error());
  if (arguments[2] == std::string_view("restore")) {
    const auto restored = stet::restore_tensorflow_checkpoint(arguments[1], variables);
    if (!restored) return fail(restored.error());
    std::printf("%llu %g\n", static_cast<unsigned long long>(restored->session.global_step),
                static_cast<double>(kernel[0]));
    return 0;
  }
  stet::tensorflow_saver_options options;
  options.keep.max_to_keep = 2;
  options.save.naming = stet::tensorflow_naming::by_object;
  auto saver = stet::tensorflow_saver::open_for_saving(arguments[1], options);
  if (!saver) return fail(saver.error());
  for (const std::uint64_t step : {100u, 200u, 300u}) {
    kernel.assign(kernel.size(), static_cast<float>(step));
    stet::session_state session;
    session.global_step = step;
    if (const auto saved = saver->save(session, variables); !saved) return fail(saved.error());
  }
  return 0;
}
