// SPDX-License-Identifier: MIT
// Loads all tensors of a file of any format once, and prints the seconds: measure_load FILE stream|map|prefetch|read
#include <stet/formats/compiled.hpp>
#include <stet/load.hpp>

#include <chrono>
#include <cstdio>
#include <string_view>

int main(int argument_count, char** arguments) {
  if (argument_count != 3) return std::puts("measure_load FILE stream|map|prefetch|read"), 2;
  const std::string_view way = arguments[2];
  stet::open_options options;
  options.backing = way == "stream" ? stet::backing::stream : way == "read" ? stet::backing::read : stet::backing::map;
  const auto begin = std::chrono::steady_clock::now();
  const auto model = stet::compiled::open_any(arguments[1], options);
  if (!model) return std::puts(stet::to_text(model.error()).c_str()), 1;
  if (way == "prefetch") {
    if (const auto done = stet::prefetch(model->store); !done) return std::puts(stet::to_text(done.error()).c_str()), 1;
  } else if (way != "read") {
    const auto loaded = stet::load_all(model->store);
    if (!loaded) return std::puts(stet::to_text(loaded.error()).c_str()), 1;
  }
  std::printf("%.6f\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
}
