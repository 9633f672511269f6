// SPDX-License-Identifier: MIT
// A running program takes over a model that is saved anew, between two frames, while others still read the
// old one.
#include "example.hpp"

#include <stet/checkpoint/live_store.hpp>
#include <stet/writer.hpp>

#include <vector>

/// What a training program does on the side: save under the same name. Readers see the old file or the new
/// one.
static stet::result<stet::save_report> publish(const char* path, float speed) {
  const std::vector<float> speeds = {speed};
  stet::writer out;
  out.add("speed", speeds, {1});
  return out.save(path);
}

int main() {
  const scratch_file file("hot_reload.stet");
  if (auto saved = publish(file.path(), 1.0f); !saved) return failed(saved.error());
  auto live = stet::live_store::open(file.path());
  if (!live) return failed(live.error());
  const std::shared_ptr<const stet::store> first = live->current();

  float seen = 0;
  for (int frame = 0; frame < 6; ++frame) {
    if (frame == 3) {
      if (auto saved = publish(file.path(), 2.0f); !saved) return failed(saved.error());
    }
    // Once a frame: three system calls while nothing is new. A file that is damaged changes nothing.
    const auto polled = live->poll();
    if (!polled) failed(polled.error());

    const std::shared_ptr<const stet::store> model =
        live->current(); // stays whole for this frame, whatever is published
    const auto speed = model->get<float>("speed");
    if (!speed) return failed(speed.error());
    seen = speed->front();
    std::cout << "frame " << frame << ": speed " << seen << (polled && *polled ? ", a new model\n" : "\n");
  }

  const auto kept = first->get<float>("speed");
  if (!kept) return failed(kept.error());
  std::cout << "who kept the first model still reads " << kept->front() << '\n';
  return seen == 2.0f && kept->front() == 1.0f ? 0 : 1;
}
