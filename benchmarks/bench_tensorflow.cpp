// SPDX-License-Identifier: MIT
// TensorFlow checkpoints: opening with its full check, per variable; the first value by name; restoring all of one into memory
// that is there; saving. Beside the floors; measure_tensorflow.py runs TensorFlow itself on the same checkpoints.
#include "support/bare_file.hpp"
#include "support/model.hpp"

#include <stet/formats/tensorflow/format.hpp>
#include <stet/formats/tensorflow/save.hpp>
#include <stet/restore.hpp>

#include <cstring>
#include <optional>

namespace {

using naming = stet::tensorflow_naming;

/// What a program that knows names only calls a variable of an object-based checkpoint.
std::string full_name(const std::string& path) { return "full/" + path; }

/// Saves a model as TensorFlow's Saver would, or its Checkpoint.
void save_checkpoint(const bench::model& model, const std::string& prefix, naming how = naming::by_name) {
  const std::uint64_t extent = model.values(0).size();
  stet::writer out;
  for (std::size_t number = 0; number < model.tensor_count(); ++number) {
    const std::string& name = model.names()[number];
    stet::json_text attributes;
    if (how == naming::by_object) attributes = stet::json_value{{"tensorflow", {{"full_name", full_name(name)}}}};
    out.add(name, model.values(number), {extent}, std::move(attributes));
  }
  stet::tensorflow_save_options options;
  options.naming = how;
  options.is_durable = false;
  bench::require(bool(stet::save_tensorflow_checkpoint(prefix, out, options)), "save");
}

/// A variable of an object-based checkpoint is three tensors to the store: by its key, its path and its full name.
void open_saved(benchmark::State& state, naming how) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const bench::folder folder;
  const std::string prefix = folder / "model";
  const bench::model model(count, 16);
  save_checkpoint(model, prefix, how);
  const auto opened = stet::open_tensorflow_checkpoint(prefix);
  const std::size_t tensor_count = how == naming::by_name ? count : 3 * count + 3;
  bench::require(opened && opened->store.tensor_count() == tensor_count, "open");
  for (std::size_t number = 0; number < count; ++number) {
    const std::string& name = model.names()[number];
    for (const std::string& each : {name, how == naming::by_name ? name : full_name(name)}) {
      const auto values = opened->store.get<float>(each);
      bench::require(values && std::memcmp(values->data(), model.values(number).data(), 16) == 0, "a tensor's values");
    }
  }
  const std::string index = prefix + ".index";

  bench::contest contest(true);
  contest.add("stet", [&] {
    std::optional<stet::model> found;
    return bench::seconds_of([&] { found.emplace(stet::open_tensorflow_checkpoint(prefix).value()); });
  });
  contest.add("map_touch_index", [&] {
    std::optional<bench::bare_mapping> mapping;
    return bench::seconds_of([&] {
      mapping.emplace(index.c_str());
      unsigned sum = 0;
      for (std::size_t at = 0; at < mapping->size_bytes(); at += 4096)
        sum += static_cast<unsigned>(mapping->data()[at]);
      benchmark::DoNotOptimize(sum);
    });
  });
  if (how == naming::by_name) contest.expect_at_most("stet", 130);
  contest.run(state, static_cast<double>(count));
}
void open_checkpoint(benchmark::State& state) { open_saved(state, naming::by_name); }
void open_object_checkpoint(benchmark::State& state) { open_saved(state, naming::by_object); }
BENCHMARK(open_checkpoint)->Arg(1000)->Arg(10000)->Arg(100000)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(open_object_checkpoint)->Arg(1000)->Arg(10000)->Arg(100000)->UseManualTime()->Unit(benchmark::kMillisecond);

void first_value_of_checkpoint(benchmark::State& state) {
  constexpr std::size_t count = 64, wanted = 41;
  const bench::folder folder;
  const std::string prefix = folder / "model", data = prefix + ".data-00000-of-00001";
  const bench::model model(count, std::size_t{4} << 20);
  save_checkpoint(model, prefix);
  const std::string& name = model.names()[wanted];
  const float expected = model.values(wanted)[0];
  const auto saved = stet::open_tensorflow_checkpoint(prefix);
  const std::uint64_t offset_bytes = saved->store.find(name)->entry().offset_bytes();

  bench::contest contest(true);
  contest.add("stet", [&] {
    std::optional<stet::model> opened;
    float value = 0;
    const double seconds = bench::seconds_of([&] {
      opened.emplace(stet::open_tensorflow_checkpoint(prefix).value());
      value = (*opened->store.get<float>(name))[0];
    });
    bench::require(value == expected, "the first value");
    return seconds;
  });
  contest.add("floor", [&] {
    std::optional<bench::bare_mapping> mapping;
    float value = 0;
    const double seconds = bench::seconds_of([&] {
      mapping.emplace(data.c_str());
      std::memcpy(&value, mapping->data() + offset_bytes, sizeof value);
    });
    bench::require(value == expected, "the floor's first value");
    return seconds;
  });
  contest.expect_ratio_at_most("stet", "floor", 3);
  contest.run(state, 1);
}
BENCHMARK(first_value_of_checkpoint)->UseManualTime()->Unit(benchmark::kMicrosecond);

void restore_checkpoint(benchmark::State& state) {
  constexpr std::size_t count = 64, tensor_size_bytes = std::size_t{4} << 20;
  const bench::folder folder;
  const std::string prefix = folder / "model", data = prefix + ".data-00000-of-00001";
  const bench::model model(count, tensor_size_bytes);
  save_checkpoint(model, prefix);
  std::vector<float> memory(model.values().size());
  stet::variable_list variables;
  for (std::size_t number = 0; number < count; ++number) {
    const std::span<float> values = std::span(memory).subspan(number * tensor_size_bytes / 4, tensor_size_bytes / 4);
    bench::require(bool(variables.add(model.names()[number], values, {values.size()})), "add");
  }
  std::vector<float> plain(memory.size());

  bench::contest contest(true);
  contest.add("stet", [&] {
    const double seconds = bench::seconds_of([&] {
      const auto opened = stet::open_tensorflow_checkpoint(prefix);
      bench::require(opened && stet::restore(opened->store, variables), "restore");
    });
    bench::require(std::memcmp(memory.data(), model.values().data(), model.size_bytes()) == 0, "restored values");
    return seconds;
  });
  contest.add("read", [&] {
    return bench::seconds_of([&] { bench::read_plainly(data, std::as_writable_bytes(std::span(plain))); });
  });
  contest.expect_ratio_at_most("stet", "read", 1.2);
  contest.run(state, 1);
}
BENCHMARK(restore_checkpoint)->UseManualTime()->Unit(benchmark::kMillisecond);

void write_checkpoint(benchmark::State& state) {
  const bench::folder folder;
  const bench::model model(64, std::size_t{4} << 20);
  int number = 0;
  const auto remove = [&](const std::string& prefix) {
    for (const char* const end : {".index", ".data-00000-of-00001", ""}) std::filesystem::remove(prefix + end);
  };

  bench::contest contest(true);
  contest.add("stet", [&] {
    const std::string prefix = folder / std::to_string(number++);
    const double seconds = bench::seconds_of([&] { save_checkpoint(model, prefix); });
    remove(prefix);
    return seconds;
  });
  contest.add("write", [&] {
    const std::string path = folder / std::to_string(number++);
    const double seconds = bench::seconds_of([&] { bench::write_plainly(path, std::as_bytes(model.values())); });
    remove(path);
    return seconds;
  });
  contest.run(state, 1);
}
BENCHMARK(write_checkpoint)->UseManualTime()->Unit(benchmark::kMillisecond);

} // namespace
