// SPDX-License-Identifier: MIT
// Reads a file at a URL by stet/ext/curl.hpp.
//   measure_remote URL CONNECTIONS stream|split
// stream: several threads, each a run of bytes at a time into memory that it uses again, as a loader does that passes them on.
// split: one read of everything, which the reader splits, into fresh memory.
#include <curl/curl.h>

#include <stet/ext/curl.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t run_size = 4 << 20, split_size = 16 << 20;

int fail(const stet::error& why) {
  std::fprintf(stderr, "%s\n", stet::to_text(why).c_str());
  return 1;
}

} // namespace

int main(int count, char** arguments) {
  if (count != 4) return 2;
  const auto connections = static_cast<std::uint32_t>(std::atoi(arguments[2]));
  const bool splits = std::string_view(arguments[3]) == "split";
  stet::http_options options;
  options.max_connections = connections;
  options.split_size_bytes = splits ? split_size : 0;
  const stet::http_files files(options);
  const auto begin = std::chrono::steady_clock::now();
  const auto opened = files.open_reader(arguments[1]);
  if (!opened) return fail(opened.error());
  const auto size = static_cast<std::size_t>(opened->size_bytes());
  std::atomic<std::size_t> next{0};
  std::atomic<std::uint64_t> sum{0}; // a byte of each page, so that both ways can be seen to read the same
  std::atomic<bool> has_failed{false};
  const auto add = [&](std::span<const std::byte> bytes) {
    std::uint64_t some = 0;
    for (std::size_t i = 0; i < bytes.size(); i += 4096) some += std::to_integer<std::uint64_t>(bytes[i]);
    sum += some;
  };
  const auto work = [&] {
    const std::unique_ptr<std::byte[]> run(new std::byte[run_size]); // not set to zero
    for (std::size_t first = next.fetch_add(run_size); first < size && !has_failed; first = next.fetch_add(run_size)) {
      const std::span<std::byte> into(run.get(), size - first < run_size ? size - first : run_size);
      if (!opened->read(first, into)) has_failed = true;
      add(into);
    }
  };
  if (splits) {
    const std::unique_ptr<std::byte[]> all(new std::byte[size]);
    if (auto read = opened->read(0, {all.get(), size}); !read) return fail(read.error());
    add({all.get(), size});
  } else {
    std::vector<std::thread> threads;
    for (std::uint32_t number = 0; number < connections; ++number) threads.emplace_back(work);
    for (std::thread& each : threads) each.join();
    if (has_failed) return 1;
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("%.6f seconds, %llu requests, sum %llu\n", seconds,
              static_cast<unsigned long long>(files.counts().request_count),
              static_cast<unsigned long long>(sum.load()));
  return 0;
}
