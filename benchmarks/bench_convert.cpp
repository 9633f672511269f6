// SPDX-License-Identifier: MIT
// Converting 256 MiB from one format that is opened in place to another, not durable, opening included. Beside plain writing of as
// many bytes.
#include "support/bare_file.hpp"
#include "support/model.hpp"

#include <stet/formats/compiled.hpp>

#include <cstring>

namespace {

constexpr std::size_t tensor_count = 64, tensor_size_bytes = std::size_t{4} << 20;

/// @param from, to  the endings of the files
void convert(benchmark::State& state, const char* from, const char* to) {
  const bench::folder folder;
  const bench::model weights(tensor_count, tensor_size_bytes);
  const std::string native = folder / "weights.stet", in = folder / (std::string("in.") + from),
                    out = folder / (std::string("out.") + to), plain = folder / "plain";
  weights.save(native, false);
  stet::save_any_options options;
  options.is_durable = false;
  const auto converted = [&](const std::string& source, const std::string& target) {
    const auto opened = stet::compiled::open_any(source);
    bench::require(opened && stet::compiled::save_any(target, *opened, options), "convert");
  };
  converted(native, in);
  converted(in, out);
  const auto made = stet::compiled::open_any(out);
  for (std::size_t number = 0; number < tensor_count; ++number) {
    const auto found = made->store.find(weights.names()[number]);
    bench::require(found && std::memcmp(found->bytes().data(), weights.values(number).data(), tensor_size_bytes) == 0,
                   "the same values");
  }

  const auto removing = [](const std::string& file, double seconds) {
    std::filesystem::remove(file);
    return seconds;
  };
  bench::contest contest(true);
  contest.add("stet", [&] { return removing(out, bench::seconds_of([&] { converted(in, out); })); });
  contest.add("write", [&] {
    return removing(plain, bench::seconds_of([&] { bench::write_plainly(plain, std::as_bytes(weights.values())); }));
  });
  contest.expect_ratio_at_least("write", "stet", 0.85);
  contest.run(state, 1);
}
BENCHMARK_CAPTURE(convert, safetensors_to_gguf, "safetensors", "gguf")->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(convert, gguf_to_safetensors, "gguf", "safetensors")->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(convert, safetensors_to_npz, "safetensors", "npz")->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(convert, safetensors_to_native, "safetensors", "stet")
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

} // namespace
