// SPDX-License-Identifier: MIT
// Finding tensors by name in random order, hot: beside the floor of loading the entries whose places are known, and the
// safetensors crate. The queries' strings lie one after the other, in the order of the queries, for everybody.
#include "support/model.hpp"

#include <atomic>
#include <new>

namespace {
std::atomic<std::uint64_t> allocation_count{0};
} // namespace

// Not inlined: GCC 12 would take the inlined free for one that does not belong to the new.
[[gnu::noinline]] void* operator new(std::size_t size_bytes) {
  allocation_count.fetch_add(1, std::memory_order_relaxed);
  if (void* const block = std::malloc(size_bytes == 0 ? 1 : size_bytes)) return block;
  std::abort();
}
[[gnu::noinline]] void operator delete(void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept { std::free(block); }

namespace {

void find(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const bench::folder folder;
  const std::string path = folder / "model.stet";
  const bench::model model(count, 16);
  model.save(path, false);
  const auto opened = stet::open(path.c_str());
  bench::require(bool(opened), "open");
  const stet::store& store = *opened;

  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
  std::string pool;
  for (const std::size_t number : order) pool += model.names()[number];
  std::vector<std::string_view> queries;
  std::size_t begin = 0;
  for (const std::size_t number : order) {
    queries.push_back(std::string_view(pool).substr(begin, model.names()[number].size()));
    begin += model.names()[number].size();
  }

  std::vector<stet::index_entry> answers;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t before = allocation_count;
    const auto found = store.find(queries[i]);
    bench::require(allocation_count == before, "find allocates");
    bench::require(found && found->name() == queries[i] && found->as<float>(), "find");
    bench::require((*found->as<float>())[0] == model.values(order[i])[0], "the tensor's value");
    answers.push_back(found->entry());
  }

  bench::contest contest(true);
  contest.add("stet", [&] {
    return bench::seconds_of([&] {
      for (const std::string_view query : queries) benchmark::DoNotOptimize(store.find(query)->bytes().data());
    });
  });
  contest.add("floor", [&] {
    return bench::seconds_of([&] {
      std::uint64_t sum = 0;
      for (std::size_t i = 0; i < answers.size(); ++i)
        sum += static_cast<unsigned char>(queries[i].front()) + answers[i].offset_bytes();
      benchmark::DoNotOptimize(sum);
    });
  });
#if STET_PEER_CRATES
  const std::string peer_path = folder / "model.safetensors";
  model.save_with_peer(peer_path);
  peer_safetensors* const peer = peer_safetensors_open(peer_path.data(), peer_path.size());
  bench::require(peer != nullptr, "the crate's open");
  contest.add("crate", [&] {
    return bench::seconds_of([&] {
      std::size_t size_bytes = 0;
      for (const std::string_view query : queries) {
        benchmark::DoNotOptimize(peer_safetensors_find(peer, query.data(), query.size(), &size_bytes));
      }
      bench::require(size_bytes == 16, "the crate's find");
    });
  });
#endif
  if (count == 10000) contest.expect_at_most("stet", 50);
  contest.expect_ratio_at_most("stet", "crate", 0.4);
  contest.run(state, static_cast<double>(count));
#if STET_PEER_CRATES
  peer_safetensors_close(peer);
#endif
}
BENCHMARK(find)->Arg(1000)->Arg(10000)->Arg(100000)->UseManualTime()->Unit(benchmark::kMillisecond);

} // namespace
