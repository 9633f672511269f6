// SPDX-License-Identifier: MIT
// Opening a store with its full check, per tensor: beside touching the same pages, reading the JSON manifest, and the
// safetensors crate. Closing is not measured, for anybody.
#include "support/bare_file.hpp"
#include "support/model.hpp"

#include <stet/manifest.hpp>

#include <cstring>
#include <optional>

namespace {

void open_store(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const bench::folder folder;
  const std::string path = folder / "model.stet";
  const bench::model model(count, 16);
  model.save(path, false);

  const auto opened = stet::open(path.c_str());
  bench::require(bool(opened) && opened->tensor_count() == count, "open");
  const stet::tensor_index index = opened->index();
  for (std::size_t number = 0; number < count; ++number) {
    const auto values = opened->get<float>(model.names()[number]);
    bench::require(values && std::memcmp(values->data(), model.values(number).data(), 16) == 0, "a tensor's values");
  }
  const std::string_view manifest = opened->manifest_text();
  // Where the table (header, manifest, index) ends.
  const std::size_t table_size =
      static_cast<std::size_t>(index.bytes().data() + index.bytes().size() - opened->data().data());
  const auto read_manifest = [&] {
    const auto parsed = stet::parse_manifest(manifest);
    stet::index_limits limits;
    limits.data_begin_bytes = table_size;
    limits.data_end_bytes = opened->data().size_bytes();
    auto made = parsed ? stet::make_index(*parsed, limits) : stet::result<std::vector<std::byte>>(parsed.error());
    bench::require(bool(made), "read the manifest");
    return std::move(*made);
  };
  const std::vector<std::byte> again = read_manifest();
  bench::require(std::ranges::equal(again, index.bytes()), "the manifest's index");

  bench::contest contest(true);
  contest.add("stet", [&] {
    std::optional<stet::store> store;
    return bench::seconds_of([&] { store.emplace(stet::open(path.c_str()).value()); });
  });
  contest.add("in_memory", [&] {
    const std::span file(opened->data().data(), static_cast<std::size_t>(opened->data().size_bytes()));
    return bench::seconds_of([&] { benchmark::DoNotOptimize(stet::open(file).value().tensor_count()); });
  });
  contest.add("map_touch", [&] {
    std::optional<bench::bare_mapping> mapping;
    return bench::seconds_of([&] {
      mapping.emplace(path.c_str());
      unsigned sum = 0;
      for (std::size_t at = 0; at < table_size; at += 4096) sum += static_cast<unsigned>(mapping->data()[at]);
      benchmark::DoNotOptimize(sum);
    });
  });
  std::vector<std::byte> copy(table_size);
  contest.add("memcpy", [&] {
    return bench::seconds_of([&] {
      std::memcpy(copy.data(), opened->data().data(), table_size);
      benchmark::ClobberMemory();
    });
  });
  contest.add("json", [&] {
    std::vector<std::byte> made;
    return bench::seconds_of([&] { made = read_manifest(); });
  });
#if STET_PEER_CRATES
  const std::string peer_path = folder / "model.safetensors";
  model.save_with_peer(peer_path);
  contest.add("crate", [&] {
    peer_safetensors* file = nullptr;
    const double seconds = bench::seconds_of([&] { file = peer_safetensors_open(peer_path.data(), peer_path.size()); });
    bench::require(peer_safetensors_tensor_count(file) == count, "the crate's open");
    peer_safetensors_close(file);
    return seconds;
  });
#endif
  contest.expect_at_most("stet", 60);
  contest.expect_ratio_at_least("json", "stet", 25);
  contest.run(state, static_cast<double>(count));
}
BENCHMARK(open_store)->Arg(1000)->Arg(10000)->Arg(100000)->UseManualTime()->Unit(benchmark::kMillisecond);

} // namespace
