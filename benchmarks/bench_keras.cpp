// SPDX-License-Identifier: MIT
// Files of Keras: opening with the full check, of a few large tensors and of many; restoring all of one into memory that is
// there; saving. Beside the floors; measure_keras.py runs h5py and Keras on the same tasks.
#include "support/bare_file.hpp"
#include "support/model.hpp"

#include <stet/formats/add_model.hpp>
#include <stet/formats/any.hpp>
#include <stet/formats/keras/save.hpp>
#include <stet/restore.hpp>

#include <cstring>
#include <optional>

namespace {

enum form : std::int64_t { archive, weights };
constexpr const char* file_names[] = {"model.keras", "model.weights.h5"};
constexpr std::size_t count = 64, tensor_size_bytes = std::size_t{4} << 20;

/// A model of stet's as Keras would save it: a Sequential model of layers with a kernel each.
class keras_file {
public:
  explicit keras_file(const bench::model& model) {
    const std::uint64_t extent = model.values(0).size();
    stet::json_value::array_t layers;
    stet::writer out;
    for (std::size_t number = 0; number < model.tensor_count(); ++number) {
      const std::string layer = "dense_" + std::to_string(number);
      names_.push_back(layer + "/kernel");
      out.add(names_.back(), model.values(number), {1, extent});
      layers.push_back(
          {{"class_name", "Dense"}, {"config", {{"name", layer}, {"units", extent}, {"use_bias", false}}}});
    }
    auto graph = stet::graph_from_keras(
        {{"class_name", "Sequential"}, {"config", {{"name", "model"}, {"layers", std::move(layers)}}}});
    bench::require(bool(graph), "graph");
    native_ = folder_ / "model.stet";
    stet::save_options unsynced;
    unsynced.is_durable = false;
    bench::require(bool(out.save(native_, unsynced)), "save natively");
    auto opened = stet::open_any(native_);
    bench::require(bool(opened), "open natively");
    stet::name_keras_variables(*graph, opened->store);
    out.graph = stet::graph_to_json(*graph);
    bench::require(bool(out.save(native_, unsynced)), "save natively");
    opened = stet::open_any(native_);
    bench::require(bool(opened), "open natively");
    model_.emplace(std::move(*opened));
    bench::require(bool(stet::add_model(saved_, *model_)), "add");
  }
  [[nodiscard]] std::string path(std::int64_t form) const { return folder_ / file_names[form]; }
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }

  /// Saves it; gives the path.
  std::string save(std::int64_t form) const {
    stet::keras_save_options options;
    options.is_durable = false;
    bench::require(bool(stet::save_keras(path(form), saved_, options)), "save");
    return path(form);
  }

private:
  bench::folder folder_;
  std::string native_;
  std::optional<stet::model> model_;
  stet::writer saved_; // all of it
  std::vector<std::string> names_;
};

/// One byte of each of `places`, of a file that is mapped plainly, and closing it.
void add_floor(bench::contest& contest, std::string path, std::vector<std::uint64_t> places) {
  contest.add("map_touch", [path = std::move(path), places = std::move(places)] {
    return bench::seconds_of([&] {
      const bench::bare_mapping mapping(path.c_str());
      unsigned sum = 0;
      for (const std::uint64_t place : places) sum += static_cast<unsigned>(mapping.data()[place]);
      benchmark::DoNotOptimize(sum);
    });
  });
}

/// Where a model's tensors begin, by the names of their layers.
std::vector<std::uint64_t> places_in(const std::string& path, const std::vector<std::string>& names) {
  const auto opened = stet::open_any(path);
  bench::require(bool(opened), "open");
  std::vector<std::uint64_t> places;
  for (const std::string& name : names) places.push_back(opened->store.find(name)->entry().offset_bytes());
  return places;
}

/// Opening 256 MiB in 64 tensors, taking the first value of one, by the name of its layer, and closing.
void open_keras(benchmark::State& state) {
  const bench::model model(count, tensor_size_bytes);
  const keras_file file(model);
  const std::string path = file.save(state.range(0));
  constexpr std::size_t wanted = 41;
  const std::string& name = file.names()[wanted];
  bench::contest contest(true);
  contest.add("stet", [&] {
    float value = 0;
    const double seconds = bench::seconds_of([&] {
      const auto opened = stet::open_any(path);
      value = (*opened->store.get<float>(name))[0];
    });
    bench::require(value == model.values(wanted)[0], "the first value");
    return seconds;
  });
  add_floor(contest, path, places_in(path, {name}));
  contest.expect_ratio_at_most("stet", "map_touch", 20);
  contest.run(state, 1);
}
BENCHMARK(open_keras)->Arg(archive)->Arg(weights)->UseManualTime()->Unit(benchmark::kMicrosecond);

/// Opening a thousand small tensors, and closing; the time is that of one.
void open_many(benchmark::State& state) {
  const bench::model model(1000, 16);
  const keras_file file(model);
  const std::string path = file.save(state.range(0));
  bench::contest contest(true);
  contest.add("stet", [&] {
    return bench::seconds_of([&] { benchmark::DoNotOptimize(stet::open_any(path).value().store.tensor_count()); });
  });
  add_floor(contest, path, places_in(path, file.names()));
  contest.run(state, 1000);
}
BENCHMARK(open_many)->Arg(archive)->Arg(weights)->UseManualTime()->Unit(benchmark::kMillisecond);

void restore_keras(benchmark::State& state) {
  const bench::model model(count, tensor_size_bytes);
  const keras_file file(model);
  const std::string path = file.save(state.range(0));
  std::vector<float> memory(model.values().size()), plain(memory.size());
  stet::variable_list variables;
  for (std::size_t number = 0; number < count; ++number) {
    const std::span<float> values = std::span(memory).subspan(number * tensor_size_bytes / 4, tensor_size_bytes / 4);
    bench::require(bool(variables.add(file.names()[number], values, {1, values.size()})), "add");
  }
  bench::contest contest(true);
  contest.add("stet", [&] {
    const double seconds = bench::seconds_of([&] {
      const auto opened = stet::open_any(path);
      bench::require(opened && stet::restore(opened->store, variables), "restore");
    });
    bench::require(std::memcmp(memory.data(), model.values().data(), model.size_bytes()) == 0, "restored values");
    return seconds;
  });
  contest.add("read", [&] {
    return bench::seconds_of([&] { bench::read_plainly(path, std::as_writable_bytes(std::span(plain))); });
  });
  contest.expect_ratio_at_most("stet", "read", 1.3);
  contest.run(state, 1);
}
BENCHMARK(restore_keras)->Arg(archive)->Arg(weights)->UseManualTime()->Unit(benchmark::kMillisecond);

void save_keras(benchmark::State& state) {
  const bench::model model(count, tensor_size_bytes);
  const keras_file file(model);
  const std::string plain = file.path(state.range(0)) + ".plain";
  bench::contest contest(true);
  contest.add("stet", [&] {
    const double seconds = bench::seconds_of([&] { file.save(state.range(0)); });
    std::filesystem::remove(file.path(state.range(0)));
    return seconds;
  });
  contest.add("write", [&] {
    const double seconds = bench::seconds_of([&] { bench::write_plainly(plain, std::as_bytes(model.values())); });
    std::filesystem::remove(plain);
    return seconds;
  });
  contest.expect_ratio_at_most("stet", "write", 1 / 0.85);
  contest.run(state, 1);
}
BENCHMARK(save_keras)->Arg(archive)->Arg(weights)->UseManualTime()->Unit(benchmark::kMillisecond);

} // namespace
