// SPDX-License-Identifier: MIT
// From a path to the first value of a tensor by name, and closing again: 64 tensors of 4 MiB, in the page cache. The floor
// is open + fstat + mmap + one touch + munmap + close. The contenders whose name ends in _open leave closing out.
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
#if STET_PEER_CRATES
  const std::string peer_path = folder / "model.safetensors";
#endif
  {
    const bench::model model(count, std::size_t{4} << 20);
    model.save(path, false);
#if STET_PEER_CRATES
    model.save_with_peer(peer_path);
#endif
    name = model.names()[wanted];
    expected = model.values(wanted)[0];
    const auto store = stet::open(path.c_str());
    bench::require(store && store->find(name), "find");
    offset_bytes = store->find(name)->entry().offset_bytes();
  }

  bench::contest contest(true);
  const auto with_stet = [&](bool with_closing) {
    std::optional<stet::store> store;
    float value = 0;
    const double seconds = bench::seconds_of([&] {
      store.emplace(stet::open(path.c_str()).value());
      value = (*store->get<float>(name))[0];
      if (with_closing) store.reset();
    });
    bench::require(value == expected, "the first value");
    return seconds;
  };
  const auto with_nothing = [&](bool with_closing) {
    std::optional<bench::bare_mapping> mapping;
    float value = 0;
    const double seconds = bench::seconds_of([&] {
      mapping.emplace(path.c_str());
      std::memcpy(&value, mapping->data() + offset_bytes, sizeof value);
      if (with_closing) mapping.reset();
    });
    bench::require(value == expected, "the floor's first value");
    return seconds;
  };
  contest.add("stet", [&] { return with_stet(true); });
  contest.add("stet_open", [&] { return with_stet(false); });
  contest.add("floor", [&] { return with_nothing(true); });
  contest.add("floor_open", [&] { return with_nothing(false); });
#if STET_PEER_CRATES
  contest.add("crate", [&] {
    float value = 0;
    const double seconds = bench::seconds_of([&] {
      std::size_t size_bytes = 0;
      peer_safetensors* const file = peer_safetensors_open(peer_path.data(), peer_path.size());
      std::memcpy(&value, peer_safetensors_find(file, name.data(), name.size(), &size_bytes), sizeof value);
      peer_safetensors_close(file);
    });
    bench::require(value == expected, "the crate's first value");
    return seconds;
  });
#endif
  contest.expect_ratio_at_most("stet", "floor", 1.5);
  contest.expect_ratio_at_most("stet_open", "floor_open", 1.5);
  contest.run(state, 1);
}
BENCHMARK(first_value)->UseManualTime()->Unit(benchmark::kMicrosecond);

} // namespace
