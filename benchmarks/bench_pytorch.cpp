// SPDX-License-Identifier: MIT
// Files of PyTorch: opening a state dict with its full check, per tensor, beside the crate pytorch-reader; the first value by name;
// loading a distributed checkpoint into memory that is there. measure_pytorch.py runs torch itself on the same.
#include "support/bare_file.hpp"
#include "support/model.hpp"
#include "support/pytorch_files.hpp" // of the tests

#include <stet/formats/pytorch.hpp>
#include <stet/formats/pytorch/distributed.hpp>
#include <stet/formats/pytorch/save.hpp>
#include <stet/restore.hpp>

#if STET_PEER_CRATES
#include <peer_pytorch.h>
#endif

#include <cstring>
#include <optional>

namespace {

void save_state_dict(const bench::model& model, const std::string& path) {
  stet::writer out;
  for (std::size_t number = 0; number < model.tensor_count(); ++number)
    out.add(model.names()[number], model.values(number));
  stet::pytorch_save_options options;
  options.is_durable = false;
  bench::require(bool(stet::save_pytorch(path, out, options)), "save");
}

void open_pytorch(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const bench::folder folder;
  const std::string path = folder / "model.pt";
  const bench::model model(count, 16);
  save_state_dict(model, path);
  const auto opened = stet::open_pytorch(path);
  bench::require(opened && opened->store.tensor_count() == count, "open");
  for (std::size_t number = 0; number < count; ++number) {
    const auto values = opened->store.get<float>(model.names()[number]);
    bench::require(values && std::memcmp(values->data(), model.values(number).data(), 16) == 0, "a tensor's values");
  }
  bench::contest contest(true);
  contest.add("stet", [&] {
    std::optional<stet::model> found;
    return bench::seconds_of([&] { found.emplace(stet::open_pytorch(path).value()); });
  });
#if STET_PEER_CRATES
  contest.add("crate", [&] {
    peer_pytorch* file = nullptr;
    const double seconds = bench::seconds_of([&] { file = peer_pytorch_open(path.data(), path.size()); });
    bench::require(file != nullptr && peer_pytorch_tensor_count(file) == count, "the crate's open");
    peer_pytorch_close(file);
    return seconds;
  });
  contest.expect_ratio_at_most("stet", "crate", 0.2);
#endif
  contest.run(state, static_cast<double>(count));
}
BENCHMARK(open_pytorch)->Arg(1000)->Arg(10000)->UseManualTime()->Unit(benchmark::kMillisecond);

/// 64 tensors of 4 MiB; closing counts, for everybody. The crate makes a copy of the tensor.
void first_value_of_pytorch(benchmark::State& state) {
  constexpr std::size_t count = 64, wanted = 41;
  const bench::folder folder;
  const std::string path = folder / "model.pt";
  const bench::model model(count, std::size_t{4} << 20);
  save_state_dict(model, path);
  const std::string& name = model.names()[wanted];
  const float expected = model.values(wanted)[0];
  const auto saved = stet::open_pytorch(path);
  const std::uint64_t offset_bytes = saved->store.find(name)->entry().offset_bytes();

  bench::contest contest(true);
  contest.add("stet", [&] {
    float value = 0;
    const double seconds =
        bench::seconds_of([&] { value = (*stet::open_pytorch(path).value().store.get<float>(name))[0]; });
    bench::require(value == expected, "the first value");
    return seconds;
  });
  contest.add("floor", [&] { return bench::seconds_to_first_value(path, offset_bytes, expected); });
  // What every reader of the archive does: only the header in front of each storage says where it begins.
  contest.add("floor_and_headers", [&] {
    return bench::seconds_of([&] {
      const bench::bare_mapping mapping(path.c_str());
      unsigned sum = 0;
      for (const stet::tensor each : saved->store)
        sum += std::to_integer<unsigned>(mapping.data()[each.entry().offset_bytes() - 1]);
      benchmark::DoNotOptimize(sum);
    });
  });
#if STET_PEER_CRATES
  contest.add("crate", [&] {
    int byte = -1;
    const double seconds = bench::seconds_of([&] {
      peer_pytorch* const file = peer_pytorch_open(path.data(), path.size());
      byte = peer_pytorch_first_byte(file, name.data(), name.size());
      peer_pytorch_close(file);
    });
    bench::require(byte == *reinterpret_cast<const unsigned char*>(&expected), "the crate's first value");
    return seconds;
  });
#endif
  contest.expect_ratio_at_most("stet", "floor", 3);
  contest.run(state, 1);
}
BENCHMARK(first_value_of_pytorch)->UseManualTime()->Unit(benchmark::kMicrosecond);

constexpr std::size_t rank_count = 4, tensor_count = 16, piece_bytes = std::size_t{4} << 20;

/// Writes the folder that four processes make which have 16 tensors of 16 MiB between them: each a file with its fourth of every
/// tensor, a piece of 4 MiB.
/// @return the paths of the files
std::vector<std::string> save_distributed(const bench::model& model, const bench::folder& folder) {
  using namespace stet_test;
  constexpr std::int64_t columns = 1024, rows = piece_bytes / sizeof(float) / columns;
  std::vector<std::string> paths, places;
  for (std::size_t rank = 0; rank < rank_count; ++rank) {
    const std::string name = "__" + std::to_string(rank) + "_0.distcp";
    paths.push_back(folder / name);
    std::FILE* const out = std::fopen(paths.back().c_str(), "wb");
    std::size_t offset = 0;
    for (std::size_t number = 0; number < tensor_count; ++number) {
      const std::span<const float> values = model.values(number).subspan(rank * piece_bytes / 4, piece_bytes / 4);
      const std::string bytes(reinterpret_cast<const char*>(values.data()), piece_bytes);
      const std::string piece =
          pytorch_file(pt::tensor("0", rows * columns, 0, {rows, columns}, {columns, 1}), {{"0", bytes}});
      bench::require(std::fwrite(piece.data(), 1, piece.size(), out) == piece.size(), "write");
      places.push_back(dcp_place(model.names()[number], dcp_size({static_cast<std::int64_t>(rank) * rows, 0}), name,
                                 offset, piece.size()));
      offset += piece.size();
    }
    std::fclose(out);
  }
  std::vector<std::string> chunks, items;
  for (std::size_t rank = 0; rank < rank_count; ++rank)
    chunks.push_back(dcp_chunk({static_cast<std::int64_t>(rank) * rows, 0}, {rows, columns}));
  for (const std::string& each : model.names()) {
    items.push_back(pt::text(each));
    items.push_back(dcp_tensor({rows * static_cast<std::int64_t>(rank_count), columns}, chunks));
  }
  const std::string table = dcp_metadata(items, places);
  bench::write_plainly(folder / ".metadata", std::as_bytes(std::span(table)));
  return paths;
}

void load_distributed(benchmark::State& state) {
  const bench::folder folder;
  const bench::model model(tensor_count, rank_count * piece_bytes);
  const std::vector<std::string> paths = save_distributed(model, folder);
  std::vector<float> memory(model.values().size());
  stet::variable_list variables;
  for (std::size_t number = 0; number < tensor_count; ++number) {
    const std::size_t size = model.values(number).size();
    const std::span<float> values = std::span(memory).subspan(number * size, size);
    bench::require(bool(variables.add(model.names()[number], values, {size / 1024, 1024})), "add");
  }
  std::vector<float> plain(piece_bytes * tensor_count / sizeof(float) * rank_count + 1024);

  bench::contest contest(true);
  contest.add("stet", [&] {
    const double seconds = bench::seconds_of([&] {
      const auto opened = stet::open_as(stet::pytorch_folder_format, folder.path());
      bench::require(opened && stet::restore(opened->store, variables), "restore");
    });
    bench::require(std::memcmp(memory.data(), model.values().data(), model.size_bytes()) == 0, "restored values");
    std::fill(memory.begin(), memory.end(), 0.0F);
    return seconds;
  });
  contest.add("read", [&] {
    return bench::seconds_of([&] {
      for (std::size_t rank = 0; rank < rank_count; ++rank) {
        const auto into = std::as_writable_bytes(std::span(plain));
        bench::read_plainly(paths[rank], into.subspan(rank * tensor_count * piece_bytes, tensor_count * piece_bytes));
      }
    });
  });
  contest.expect_ratio_at_most("stet", "read", 1.3);
  contest.run(state, 1);
}
BENCHMARK(load_distributed)->UseManualTime()->Unit(benchmark::kMillisecond);

} // namespace
