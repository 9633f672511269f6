// SPDX-License-Identifier: MIT
// Opening safetensors models with their full check, per tensor, beside the safetensors crate: one file, and 33 shards with their index.
// Of the shards the crate opens the files alone; it has no function for the index. Closing is not measured, for anybody. Saving 256 MiB.
#include "support/model.hpp"

#include <stet/formats/safetensors.hpp>
#include <stet/formats/safetensors/save.hpp>

#include <cstring>
#include <optional>

namespace {

void add_tensors(stet::writer& to, const bench::model& from) {
  for (std::size_t number = 0; number < from.tensor_count(); ++number)
    to.add(from.names()[number], from.values(number));
}

#if STET_PEER_CRATES
double seconds_to_open_with_peer(const std::vector<std::string>& paths, std::size_t count) {
  std::vector<peer_safetensors*> files(paths.size());
  const double seconds = bench::seconds_of([&] {
    for (std::size_t number = 0; number < paths.size(); ++number)
      files[number] = peer_safetensors_open(paths[number].data(), paths[number].size());
  });
  std::size_t found = 0;
  for (peer_safetensors* const each : files) {
    found += peer_safetensors_tensor_count(each);
    peer_safetensors_close(each);
  }
  bench::require(found == count, "the crate's open");
  return seconds;
}
#endif

void open_safetensors(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const bench::folder folder;
  const std::string path = folder / "model.safetensors";
  const bench::model model(count, 16);
#if STET_PEER_CRATES
  model.save_with_peer(path);
#else
  stet::writer out;
  add_tensors(out, model);
  bench::require(bool(stet::save_safetensors(path, out)), "save");
#endif
  const auto opened = stet::open_safetensors(path);
  bench::require(bool(opened) && opened->tensor_count() == count, "open");
  for (std::size_t number = 0; number < count; ++number) {
    const auto values = opened->get<float>(model.names()[number]);
    bench::require(values && std::memcmp(values->data(), model.values(number).data(), 16) == 0, "a tensor's values");
  }
  bench::contest contest(true);
  contest.add("stet", [&] {
    std::optional<stet::store> store;
    return bench::seconds_of([&] { store.emplace(stet::open_safetensors(path).value()); });
  });
#if STET_PEER_CRATES
  contest.add("crate", [&] { return seconds_to_open_with_peer({path}, count); });
  contest.expect_ratio_at_most("stet", "crate", 0.25);
#endif
  contest.run(state, static_cast<double>(count));
}
BENCHMARK(open_safetensors)->Arg(1000)->Arg(10000)->Arg(100000)->UseManualTime()->Unit(benchmark::kMillisecond);

void open_shards(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  constexpr std::size_t shard_count = 33;
  const bench::folder folder;
  const bench::model model(count, 16);
  stet::writer out;
  add_tensors(out, model);
  stet::safetensors_save_options options;
  options.max_shard_size_bytes = (count + shard_count - 1) / shard_count * 16;
  options.is_durable = false;
  const auto saved = stet::save_safetensors(folder / "model.safetensors", out, options);
  bench::require(saved && saved->shard_count == shard_count, "save");
  const std::string index = folder / "model.safetensors.index.json";
  const auto opened = stet::open_safetensors(index);
  bench::require(bool(opened) && opened->tensor_count() == count, "open");
  std::vector<std::string> paths;
  for (std::uint32_t part = 0; part < shard_count; ++part) paths.push_back(folder / opened->index().part(part).path);
  bench::contest contest(true);
  contest.add("stet", [&] {
    std::optional<stet::store> store;
    return bench::seconds_of([&] { store.emplace(stet::open_safetensors(index).value()); });
  });
#if STET_PEER_CRATES
  contest.add("crate_without_index", [&] { return seconds_to_open_with_peer(paths, count); });
  contest.expect_ratio_at_most("stet", "crate_without_index", 0.25);
#endif
  contest.run(state, static_cast<double>(count));
}
BENCHMARK(open_shards)->Arg(222747)->UseManualTime()->Unit(benchmark::kMillisecond);

void save_safetensors(benchmark::State& state) {
  constexpr std::size_t tensor_count = 64, tensor_size = std::size_t{4} << 20;
  const bench::folder folder;
  const std::string path = folder / "model.safetensors";
  const bench::model model(tensor_count, tensor_size);
  bench::contest contest(false);
  contest.add("stet", [&] {
    stet::safetensors_save_options options;
    options.is_durable = false;
    return bench::seconds_of([&] {
      stet::writer out;
      add_tensors(out, model);
      bench::require(bool(stet::save_safetensors(path, out, options)), "save");
    });
  });
#if STET_PEER_CRATES
  const std::string peer_path = folder / "peer.safetensors";
  contest.add("crate", [&] { return bench::seconds_of([&] { model.save_with_peer(peer_path); }); });
  contest.expect_ratio_at_least("crate", "stet", 0.95);
#endif
  contest.run(state, 1);
}
BENCHMARK(save_safetensors)->UseManualTime()->Unit(benchmark::kMillisecond);

} // namespace
