// SPDX-License-Identifier: MIT
// Saving: large tensors beside plain writing of the same bytes, with and without waiting for the disk, and ten thousand
// tiny ones beside the safetensors crate. Every save includes the calls that add the tensors.
#include "support/bare_file.hpp"
#include "support/model.hpp"

#include <cstring>

namespace {

/// Whether the file is a sound store of the model.
bool holds(const std::string& path, const bench::model& model) {
  const auto store = stet::open(path.c_str());
  if (!store || store->tensor_count() != model.tensor_count() || !store->verify_checksums()) return false;
  for (std::size_t number = 0; number < model.tensor_count(); ++number) {
    const auto values = store->get<float>(model.names()[number]);
    if (!values || !std::ranges::equal(*values, model.values(number))) return false;
  }
  return true;
}

/// 64 tensors of 4 MiB. The files are removed outside of the measurement.
void save_large(benchmark::State& state, bool is_durable) {
  const bench::model model(64, std::size_t{4} << 20);
  const bench::folder folder;
  const std::string path = folder / "model.stet", plain = folder / "plain";
  const auto bytes = std::as_bytes(model.values());
  model.save(path, is_durable);
  bench::require(holds(path, model), "the saved store");
  std::filesystem::remove(path);

  const auto removing = [](const std::string& file, double seconds) {
    std::filesystem::remove(file);
    return seconds;
  };
  bench::contest contest(false);
  contest.add("stet", [&] { return removing(path, bench::seconds_of([&] { model.save(path, is_durable); })); });
  contest.add("write", [&] {
    return removing(plain, bench::seconds_of([&] {
                      if (is_durable)
                        bench::write_durably(plain, folder.path(), bytes);
                      else
                        bench::write_plainly(plain, bytes);
                    }));
  });
  std::vector<std::byte> copy(bytes.size());
  contest.add("memcpy", [&] {
    return bench::seconds_of([&] {
      std::memcpy(copy.data(), bytes.data(), bytes.size());
      benchmark::ClobberMemory();
    });
  });
#if STET_PEER_CRATES
  // The crate never waits for the disk.
  if (!is_durable)
    contest.add("crate", [&] { return removing(plain, bench::seconds_of([&] { model.save_with_peer(plain); })); });
#endif
  contest.expect_ratio_at_least("write", "stet", is_durable ? 0.95 : 0.9);
  contest.run(state, 1);
}
BENCHMARK_CAPTURE(save_large, volatile, false)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(save_large, durable, true)->UseManualTime()->Unit(benchmark::kMillisecond);

/// Tensors of 16 bytes to a new file, durability off, since the crate never waits for the disk. Time per tensor.
void save_tiny(benchmark::State& state) {
  const bench::model model(static_cast<std::size_t>(state.range(0)), 16);
  const bench::folder folder;
  const std::string path = folder / "model.stet", plain = folder / "plain";
  model.save(path, false);
  bench::require(holds(path, model), "the saved store");
  std::vector<std::byte> file;
  {
    const auto store = stet::open(path.c_str());
    file.assign(store->data().data(), store->data().data() + store->data().size_bytes());
  }

  bench::contest contest(true);
  const auto to_new_file = [](const std::string& to, auto save) {
    std::filesystem::remove(to);
    return bench::seconds_of(save);
  };
  contest.add("stet", [&] { return to_new_file(path, [&] { model.save(path, false); }); });
  contest.add("write", [&] { return to_new_file(plain, [&] { bench::write_plainly(plain, file); }); });
#if STET_PEER_CRATES
  const std::string peer_path = folder / "model.safetensors";
  contest.add("crate", [&] { return to_new_file(peer_path, [&] { model.save_with_peer(peer_path); }); });
#endif
  contest.expect_ratio_at_most("stet", "crate", 0.5);
  contest.run(state, static_cast<double>(model.tensor_count()));
}
BENCHMARK(save_tiny)->Arg(10000)->UseManualTime()->Unit(benchmark::kMillisecond);

} // namespace
