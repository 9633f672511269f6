// SPDX-License-Identifier: MIT
// Delta checkpoints: a save that changes one percent of the bytes, beside a save of everything, with and
// without waiting for the disk. Opening the base and finding what changed are part of it.
#include "support/contest.hpp"
#include "support/model.hpp"

#include <stet/checkpoint/delta.hpp>

#include <cstring>
#include <filesystem>

namespace {

constexpr std::size_t variable_count = 100, count = std::size_t{1} << 19; // 200 MiB in all

stet::variable_list variables_in(std::span<float> values) {
  stet::variable_list variables;
  for (std::size_t i = 0; i < variable_count; ++i) {
    bench::require(bool(variables.add(bench::name_of_tensor(i), values.subspan(i * count, count), {count})), "add");
  }
  return variables;
}

void save_whole(const stet::variable_list& from, const std::string& path, const stet::save_options& options) {
  stet::writer out;
  bench::require(bool(stet::add_variables(out, from)), "add");
  bench::require(bool(out.save(path, options)), "save");
}

void save_delta(const stet::variable_list& from, const std::string& base_path, const std::string& path,
                const stet::save_options& options) {
  const auto base = stet::open_checkpoint(base_path);
  bench::require(bool(base), "open the base");
  stet::writer out;
  const auto report = stet::add_changed(out, from, *base);
  bench::require(report && report->changed_count == 1, "find what changed");
  bench::require(bool(out.save(path, options)), "save");
}

/// Whether the checkpoint holds what the variables do.
bool holds(const std::string& path, const stet::variable_list& variables) {
  const auto opened = stet::open_checkpoint(path);
  if (!opened || (*opened)->tensor_count() != variables.size()) return false;
  for (const stet::variable& each : variables) {
    const auto found = (*opened)->find(each.name());
    if (!found || found->size_bytes() != each.size_bytes()) return false;
    if (std::memcmp(found->bytes().data(), each.bytes().data(), each.size_bytes()) != 0) return false;
  }
  return true;
}

void delta(benchmark::State& state, bool is_durable) {
  const bench::folder folder;
  std::vector<float> values(variable_count * count);
  std::iota(values.begin(), values.end(), 1.0F);
  const stet::variable_list variables = variables_in(values);
  stet::save_options options;
  options.is_durable = is_durable;
  const std::string base = folder / "base.stet", path = folder / "delta.stet", whole = folder / "whole.stet";
  save_whole(variables, base, options);
  for (float& value : std::span(values).subspan(57 * count, count)) value = -value;
  save_delta(variables, base, path, options);
  bench::require(holds(path, variables), "the delta");
  const auto delta_bytes = static_cast<double>(std::filesystem::file_size(path)),
             base_bytes = static_cast<double>(std::filesystem::file_size(base));

  bench::contest contest(false);
  contest.add("delta", [&] {
    std::filesystem::remove(path);
    return bench::seconds_of([&] { save_delta(variables, base, path, options); });
  });
  contest.add("whole", [&] {
    const double seconds = bench::seconds_of([&] { save_whole(variables, whole, options); });
    std::filesystem::remove(whole);
    return seconds;
  });
  contest.expect_ratio_at_most("delta", "whole", 0.3);
  contest.run(state, 1);
  state.counters["bytes"] = delta_bytes / base_bytes;
  bench::require(delta_bytes <= 0.03 * base_bytes, "a delta of at most 3 % of the bytes");
}
BENCHMARK_CAPTURE(delta, volatile, false)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(delta, durable, true)->UseManualTime()->Unit(benchmark::kMillisecond);

} // namespace
