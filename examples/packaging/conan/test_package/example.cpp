// SPDX-License-Identifier: MIT
// Saves a tensor and reads it back, or, where the package is the reading core alone, is told that nothing is no store.
#include <stet/stet.hpp>
#if HAS_WRITER
#include <stet/writer.hpp>
#endif

#include <cstdio>

int main() {
#if HAS_WRITER
  const float numbers[] = {1, 2, 3};
  stet::writer out;
  out.add("numbers", numbers, {3});
  const auto saved = out.save_to_memory();
  if (!saved) return 1;
  const auto store = stet::open(std::span<const std::byte>(*saved));
  const bool works = store && store->get<float>("numbers")->back() == 3.0f;
#else
  const auto store = stet::open(std::span<const std::byte>());
  const bool works = !store && store.error().code() == stet::errc::truncated;
#endif
  std::printf("stet %s %s\n", STET_VERSION_STRING, works ? "works" : "does not work");
  return works ? 0 : 1;
}
