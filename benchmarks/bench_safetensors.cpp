// SPDX-License-Identifier: MIT
// Opening safetensors models with their full check, per tensor, beside the safetensors crate: one file, and 33 shards with their index.
// The crate has no function for the index: what its users write is beside it. Closing is not measured there, for anybody. The first
// value by name, and saving, of 256 MiB.
#include "support/bare_file.hpp"
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
double seconds_to_open_with_peer(const std::string& path, std::size_t count) {
  peer_safetensors* file = nullptr;
  const double seconds = bench::seconds_of([&] { file = peer_safetensors_open(path.data(), path.size()); });
  bench::require(file != nullptr && peer_safetensors_tensor_count(file) == count, "the crate's open");
  peer_safetensors_close(file);
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
  contest.add("crate", [&] { return seconds_to_open_with_peer(path, count); });
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
  bench::contest contest(true);
  contest.add("stet", [&] {
    std::optional<stet::store> store;
    return bench::seconds_of([&] { store.emplace(stet::open_safetensors(index).value()); });
  });
#if STET_PEER_CRATES
  contest.add("crate", [&] {
    peer_safetensors_shards* files = nullptr;
    const double seconds = bench::seconds_of([&] { files = peer_safetensors_open_shards(index.data(), index.size()); });
    bench::require(peer_safetensors_close_shards(files) == count, "the crate's shards");
    return seconds;
  });
  contest.expect_ratio_at_most("stet", "crate", 0.25);
#endif
  contest.run(state, static_cast<double>(count));
}
BENCHMARK(open_shards)->Arg(222747)->UseManualTime()->Unit(benchmark::kMillisecond);

constexpr std::size_t tensor_count = 64, tensor_size = std::size_t{4} << 20;

/// Closing counts, for everybody.
void first_value_of_safetensors(benchmark::State& state) {
  constexpr std::size_t wanted = 41;
  const bench::folder folder;
  const std::string path = folder / "model.safetensors";
  const bench::model model(tensor_count, tensor_size);
  stet::writer out;
  add_tensors(out, model);
  stet::safetensors_save_options options;
  options.is_durable = false;
  bench::require(bool(stet::save_safetensors(path, out, options)), "save");
  const std::string& name = model.names()[wanted];
  const float expected = model.values(wanted)[0];
  const auto saved = stet::open_safetensors(path);
  const std::uint64_t offset_bytes = saved->find(name)->entry().offset_bytes();

  bench::contest contest(true);
  contest.add("stet", [&] {
    float value = 0;
    const double seconds =
        bench::seconds_of([&] { value = (*stet::open_safetensors(path).value().get<float>(name))[0]; });
    bench::require(value == expected, "the first value");
    return seconds;
  });
  contest.add("floor", [&] { return bench::seconds_to_first_value(path, offset_bytes, expected); });
  contest.expect_ratio_at_most("stet", "floor", 2);
  contest.run(state, 1);
}
BENCHMARK(first_value_of_safetensors)->UseManualTime()->Unit(benchmark::kMicrosecond);

void save_safetensors(benchmark::State& state) {
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
