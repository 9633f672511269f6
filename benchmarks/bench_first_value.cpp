// SPDX-License-Identifier: MIT
// From a path to the first value of a tensor by name: 64 tensors of 4 MiB, in the page cache. The floor is
// open + fstat + mmap + one touch. Closing is not measured, for anybody.
#include "support/bare_file.hpp"
#include "support/model.hpp"

#include <cstring>
#include <optional>

namespace {

void first_value(benchmark::State& state) {
  constexpr std::size_t count = 64, wanted = 41;
  const bench::folder folder;
  const std::string path = folder / "model.stet";
  std::string name;
  float expected = 0;
  std::uint64_t offset_bytes = 0;
#if STET_PEER_SAFETENSORS
  const std::string peer_path = folder / "model.safetensors";
#endif
  {
    const bench::model model(count, std::size_t{4} << 20);
    model.save(path, false);
#if STET_PEER_SAFETENSORS
    model.save_with_peer(peer_path);
#endif
    name = model.names()[wanted];
    expected = model.values(wanted)[0];
    const auto store = stet::open(path.c_str());
    bench::require(store && store->find(name), "find");
    offset_bytes = store->find(name)->entry().offset_bytes();
  }

  bench::contest contest(true);
  contest.add("stet", [&] {
    std::optional<stet::store> store;
    float value = 0;
    const double seconds = bench::seconds_of([&] {
      store.emplace(std::move(*stet::open(path.c_str())));
      value = (*store->get<float>(name))[0];
    });
    bench::require(value == expected, "the first value");
    return seconds;
  });
  contest.add("floor", [&] {
    std::optional<bench::bare_mapping> mapping;
    float value = 0;
    const double seconds = bench::seconds_of([&] {
      mapping.emplace(path.c_str());
      std::memcpy(&value, mapping->data() + offset_bytes, sizeof value);
    });
    bench::require(value == expected, "the floor's first value");
    return seconds;
  });
#if STET_PEER_SAFETENSORS
  contest.add("crate", [&] {
    peer_safetensors* file = nullptr;
    float value = 0;
    const double seconds = bench::seconds_of([&] {
      std::size_t size_bytes = 0;
      file = peer_safetensors_open(peer_path.data(), peer_path.size());
      std::memcpy(&value, peer_safetensors_find(file, name.data(), name.size(), &size_bytes), sizeof value);
    });
    bench::require(value == expected, "the crate's first value");
    peer_safetensors_close(file);
    return seconds;
  });
#endif
  contest.expect_ratio_at_most("stet", "floor", 1.5);
  contest.run(state, 1);
}
BENCHMARK(first_value)->UseManualTime()->Unit(benchmark::kMicrosecond);

} // namespace
