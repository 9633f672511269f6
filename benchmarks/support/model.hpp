// SPDX-License-Identifier: MIT
// Models to measure with: realistic names, fixed seeds, the same tensors as a stet file and as a safetensors file.
#ifndef STET_BENCHMARKS_MODEL_HPP
#define STET_BENCHMARKS_MODEL_HPP

#include "contest.hpp"

#include <stet/stet.hpp>
#include <stet/writer.hpp>

#if STET_PEER_CRATES
#include <peer_safetensors.h>
#endif

#include <cstdint>
#include <filesystem>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace bench {

/// The name of tensor `number`: twelve to a layer, as a transformer has them.
inline std::string name_of_tensor(std::size_t number) {
  static constexpr const char* leaves[] = {"attention/query/kernel",  "attention/query/bias",   "attention/key/kernel",
                                           "attention/key/bias",      "attention/value/kernel", "attention/value/bias",
                                           "attention/output/kernel", "attention/output/bias",  "mlp/up/kernel",
                                           "mlp/down/kernel",         "norm_1/scale",           "norm_2/scale"};
  return "model/layer_" + std::to_string(number / 12) + "/" + leaves[number % 12];
}

/// A folder that is removed in the end: below the one that STET_BENCHMARK_DIR names, else below the system's for
/// temporary files.
class folder {
public:
  folder() {
    const char* const chosen = std::getenv("STET_BENCHMARK_DIR");
    const std::filesystem::path below =
        chosen == nullptr ? std::filesystem::temp_directory_path() : std::filesystem::path(chosen);
    path_ = below / ("stet_benchmark_" + std::to_string(std::random_device()()));
    std::filesystem::create_directory(path_);
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  ~folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string operator/(std::string_view name) const { return (path_ / name).string(); }
  [[nodiscard]] std::string path() const { return path_.string(); }

private:
  std::filesystem::path path_;
};

/// `tensor_count` float32 tensors of `tensor_size_bytes` bytes each, with other values in every word.
class model {
public:
  model(std::size_t tensor_count, std::size_t tensor_size_bytes)
      : values_(tensor_count * tensor_size_bytes / sizeof(float)), shape_{tensor_size_bytes / sizeof(float)},
        peer_shape_{shape_[0]} {
    std::iota(values_.begin(), values_.end(), 1.0F);
    for (std::size_t number = 0; number < tensor_count; ++number) names_.push_back(name_of_tensor(number));
  }

  [[nodiscard]] std::size_t tensor_count() const { return names_.size(); }
  [[nodiscard]] std::size_t size_bytes() const { return values_.size() * sizeof(float); }
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] std::span<const float> values() const { return values_; }
  [[nodiscard]] std::span<const float> values(std::size_t number) const {
    return std::span(values_).subspan(number * shape_[0], shape_[0]);
  }

  /// Adds every tensor to a writer and saves it.
  void save(const std::string& path, bool is_durable) const {
    stet::writer out;
    for (std::size_t number = 0; number < names_.size(); ++number) out.add(names_[number], values(number), shape_);
    stet::save_options options;
    options.is_durable = is_durable;
    require(bool(out.save(path, options)), "save");
  }

#if STET_PEER_CRATES
  void save_with_peer(const std::string& path) const {
    std::vector<peer_safetensors_tensor> tensors;
    tensors.reserve(names_.size());
    for (std::size_t number = 0; number < names_.size(); ++number) {
      const std::span<const std::byte> bytes = std::as_bytes(values(number));
      tensors.push_back({names_[number].data(), names_[number].size(), peer_shape_, 1,
                         reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), peer_safetensors_f32});
    }
    require(peer_safetensors_serialize_to_file(path.data(), path.size(), tensors.data(), tensors.size()) == 0,
            "serialize_to_file");
  }
#endif

private:
  std::vector<float> values_;
  std::vector<std::uint64_t> shape_;
  std::size_t peer_shape_[1];
  std::vector<std::string> names_;
};

} // namespace bench

#endif
