// SPDX-License-Identifier: MIT
// A part of a program that uses one release of stet: saves a store, opens it, and says what it saw.
#include "user.hpp"

#include <stet/manifest.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <vector>

seen RELEASE(const char* path) {
  std::vector<float> values = {1, 2, 3};
  stet::writer out;
  seen made{sizeof(stet::source), 0, false};
  if (!out.add("values", values, {3}).save(path)) return made;
  const auto store = stet::open(path);
  const auto parsed = stet::open(path, {.read_manifest = stet::read_manifest});
  if (!store || !parsed) return made;
  const auto stored = store->get<float>("values");
  for (const float each : *stored) made.sum += each;
  made.is_sound = store->verify_checksums() && parsed->tensor_count() == 1;
  return made;
}
