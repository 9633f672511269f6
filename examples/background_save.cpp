// SPDX-License-Identifier: MIT
// Saves checkpoints while training goes on: the loop stops only for a copy of the variables. A second start goes on where
// the first one ended.
#include "example.hpp"

#include <stet/checkpoint/background.hpp>

#include <chrono>
#include <span>
#include <vector>

int main() {
  // Registered once; the same list saves and restores.
  std::vector<float> kernel(1024 * 1024, 1.0f), moment(kernel.size());
  stet::variable_list variables;
  if (auto added = variables.add("kernel", kernel, {1024, 1024}); !added) return failed(added.error());
  if (auto added = variables.add_slot("kernel", "Adam/m", moment); !added) return failed(added.error());

  auto manager = stet::checkpoint_manager::open_for_saving("background_save_checkpoints");
  if (!manager) return failed(manager.error());
  stet::session_state session;
  if (auto restored = manager->restore_latest(variables)) {
    session = restored->session;
    std::cout << "going on after step " << session.global_step << '\n';
  } else if (restored.error().code() != stet::errc::file_not_found) {
    return failed(restored.error());
  }

  stet::background_saver saver(*manager, stet::when_busy::skip);
  if (auto reserved = saver.reserve(variables); !reserved) return failed(reserved.error());
  for (int i = 0; i < 200; ++i) {
    for (std::size_t k = 0; k < kernel.size(); ++k) kernel[k] -= 0.01f * (moment[k] = 0.9f * moment[k] + kernel[k]);
    if (++session.global_step % 20 != 0) continue;

    const auto begin = std::chrono::steady_clock::now();
    auto saving = saver.save(session, variables); // an error of the save before comes here
    if (!saving) return failed(saving.error());
    const std::chrono::duration<double, std::milli> pause = std::chrono::steady_clock::now() - begin;
    std::cout << "step " << session.global_step << (*saving ? ": saving, paused for " : ": left out, paused for ")
              << pause.count() << " ms\n";
  }
  if (auto written = saver.wait(); !written) return failed(written.error());

  const auto latest = manager->latest();
  if (!latest) return failed(latest.error());
  std::cout << "the newest checkpoint is " << latest->path << '\n';
  return 0;
}
