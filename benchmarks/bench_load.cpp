// SPDX-License-Identifier: MIT
// All tensors of a store into memory: from the page cache beside reads of as many threads, from the disk beside direct reads of as many
// as are in flight; a restore beside memcpy. STET_BENCH_LOAD_MIB sets the size, 256.
#include <stet/load.hpp>
#include <stet/restore.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include "support/contest.hpp"

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace {

constexpr std::size_t request_bytes = std::size_t{1} << 20;

std::size_t size_mib() {
  const char* const set = std::getenv("STET_BENCH_LOAD_MIB");
  return set == nullptr ? 256 : static_cast<std::size_t>(std::atoi(set));
}

/// A store of tensors of 4 MiB and of 10,000 small ones, on the disk.
class stored {
public:
  stored() {
    std::vector<float> values(std::size_t{1} << 20);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 8191);
    stet::writer out;
    for (std::size_t i = 0; i < size_mib() / 4; ++i) out.add("layer" + std::to_string(i) + "/kernel", values);
    for (std::size_t i = 0; i < 10'000; ++i)
      out.add("layer" + std::to_string(i) + "/bias", std::span(values).first(16));
    bench::require(bool(out.save(path())), "save");
  }
  ~stored() { (void)std::remove(path().c_str()); }
  [[nodiscard]] static std::string path() { return "bench_load.stet"; }

  /// Takes the file out of the page cache.
  static void forget() {
    const int handle = ::open(path().c_str(), O_RDONLY);
    (void)::fdatasync(handle);
    (void)::posix_fadvise(handle, 0, 0, POSIX_FADV_DONTNEED);
    (void)::close(handle);
  }
};

/// Fresh memory with large pages, as `load_all` has it.
class fresh_memory {
public:
  explicit fresh_memory(std::size_t size) : size_(size + align) {
    at_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)::madvise(at_, size_, MADV_HUGEPAGE);
  }
  ~fresh_memory() { (void)::munmap(at_, size_); }
  fresh_memory(const fresh_memory&) = delete;
  fresh_memory& operator=(const fresh_memory&) = delete;
  [[nodiscard]] char* data() const {
    return reinterpret_cast<char*>((reinterpret_cast<std::uintptr_t>(at_) + align - 1) / align * align);
  }

private:
  static constexpr std::size_t align = 65536;
  std::size_t size_;
  void* at_;
};

/// What `threads` threads need to read the whole file by requests of 1 MiB: the floor.
double seconds_of_reads(unsigned threads, int flags) {
  const int handle = ::open(stored::path().c_str(), O_RDONLY | flags);
  bench::require(handle >= 0, "open");
  const auto size = static_cast<std::size_t>(::lseek(handle, 0, SEEK_END));
  const double seconds = bench::seconds_of([&] {
    const fresh_memory into(size + request_bytes);
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
      for (std::size_t at; (at = next.fetch_add(request_bytes)) < size;)
        bench::require(::pread(handle, into.data() + at, request_bytes, static_cast<off_t>(at)) > 0, "read");
    };
    std::vector<std::thread> helpers;
    for (unsigned i = 1; i < threads; ++i) helpers.emplace_back(work);
    work();
    for (std::thread& each : helpers) each.join();
  });
  (void)::close(handle);
  return seconds;
}

double seconds_of_load(stet::backing backing, const stet::load_options& options) {
  return bench::seconds_of([&] {
    const auto store = stet::open(stored::path(), {.backing = backing});
    bench::require(bool(store), "open");
    const auto loaded = stet::load_all(*store, options);
    bench::require(bool(loaded), "load");
    const auto found = loaded->get<float>("layer3/kernel");
    bench::require(found && (*found)[5] == 5, "elements");
  });
}

void load(benchmark::State& state, bool is_cold) {
  const stored file;
  bench::contest contest(!is_cold);
  const auto ready = [is_cold] {
    if (is_cold) stored::forget();
  };
  const unsigned processors = std::thread::hardware_concurrency();
  const auto add = [&](std::string name, auto turn) {
    contest.add(std::move(name), [&ready, turn] {
      ready();
      return turn();
    });
  };
  if (is_cold)
    add("direct_reads", [] { return seconds_of_reads(16, O_DIRECT); });
  else
    add("reads", [processors] { return seconds_of_reads(processors, 0); });
  add("load_all", [] { return seconds_of_load(stet::backing::stream, {}); });
  add("load_all_mapped", [] { return seconds_of_load(stet::backing::map, {}); });
  add("load_all_verified", [] {
    stet::load_options options;
    options.verify_checksums = true;
    return seconds_of_load(stet::backing::stream, options);
  });
  add("backing_read", [] {
    return bench::seconds_of([] {
      bench::require(bool(stet::open(stored::path(), {.backing = stet::backing::read, .read = stet::read_in_parallel})),
                     "open");
    });
  });
  add("prefetch", [] {
    return bench::seconds_of([] {
      const auto store = stet::open(stored::path());
      bench::require(store && stet::prefetch(*store), "prefetch");
    });
  });
  add("touch", [] {
    return bench::seconds_of([] {
      const auto store = stet::open(stored::path());
      bench::require(bool(store), "open");
      unsigned sum = 0;
      for (const stet::tensor each : *store)
        for (std::size_t i = 0; i < each.size_bytes(); i += 4096) sum += static_cast<unsigned>(each.bytes()[i]);
      benchmark::DoNotOptimize(sum);
    });
  });
  contest.expect_ratio_at_most("load_all", is_cold ? "direct_reads" : "reads", 1 / 0.95);
  contest.run(state, static_cast<double>(size_mib()) / 1024);
}

/// Into variables that the program has: half of them with another dtype.
void restore(benchmark::State& state, bool is_converted) {
  const stored file;
  const auto store = stet::open(stored::path());
  bench::require(bool(store), "open");
  const std::size_t count = size_mib() / 4;
  std::vector<std::vector<float>> variables(count, std::vector<float>(std::size_t{1} << 20));
  std::vector<std::vector<double>> wide(is_converted ? count : 0, std::vector<double>(std::size_t{1} << 20));
  stet::variable_list list;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string name = "layer" + std::to_string(i) + "/kernel";
    bench::require(bool(is_converted ? list.add(name, wide[i], {wide[i].size()})
                                     : list.add(name, variables[i], {variables[i].size()})),
                   "add");
  }
  stet::restore_rules rules;
  rules.unexpected = stet::absence_policy::skip;
  rules.dtype = stet::dtype_policy::cast;
  bench::contest contest(true);
  contest.add("memcpy", [&] {
    return bench::seconds_of([&] {
      for (std::size_t i = 0; i < count; ++i) {
        const stet::tensor from = *store->find("layer" + std::to_string(i) + "/kernel");
        std::memcpy(variables[i].data(), from.bytes().data(), from.bytes().size());
      }
      benchmark::ClobberMemory();
    });
  });
  contest.add("restore", [&] {
    return bench::seconds_of([&] {
      bench::require(bool(stet::restore(*store, list, rules)), "restore");
      benchmark::ClobberMemory();
    });
  });
  if (!is_converted) contest.expect_ratio_at_most("restore", "memcpy", 1 / 1.3);
  contest.run(state, static_cast<double>(size_mib()) / 1024);
  bench::require(is_converted ? wide[1][5] == 5 : variables[1][5] == 5, "elements");
}

BENCHMARK_CAPTURE(load, warm, false)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(load, cold, true)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(restore, copied, false)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(restore, converted, true)->UseManualTime()->Unit(benchmark::kMillisecond);

} // namespace
