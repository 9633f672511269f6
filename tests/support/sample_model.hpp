// SPDX-License-Identifier: MIT
// A small model with a bit of everything to save, and what a folder is to hold before and after.
#ifndef STET_TESTS_SUPPORT_SAMPLE_MODEL_HPP
#define STET_TESTS_SUPPORT_SAMPLE_MODEL_HPP

#include <stet/manifest/open.hpp>
#include <stet/manifest/verify.hpp>
#include <stet/writer/writer.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stet_test {

/// Tensors that differ from one version to the next; the writer borrows them from here.
class sample_model {
public:
  explicit sample_model(int version) : version_(version), kernel_(3000), bias_(10), packed_(7) {
    for (std::size_t i = 0; i < kernel_.size(); ++i) kernel_[i] = static_cast<float>(version) + static_cast<float>(i);
    for (std::size_t i = 0; i < bias_.size(); ++i) bias_[i] = version * 100 + static_cast<std::int32_t>(i);
    for (std::size_t i = 0; i < packed_.size(); ++i) packed_[i] = stet::int4(static_cast<int>(i) - version);
    labels_ = {"zero", version_ == 1 ? "one" : "another", ""};
  }
  sample_model(const sample_model&) = delete;
  sample_model& operator=(const sample_model&) = delete;

  /// A writer with all tensors; they live in this object.
  [[nodiscard]] stet::writer writer() const {
    stet::writer out;
    out.add("dense/kernel", kernel_, {300, 10});
    out.add("dense/bias", bias_, {10}, stet::json_text(R"({"trainable":true})"));
    out.add("packed", packed_, {7});
    out.add("labels", labels_, {3});
    out.add("empty", std::span<const double>(), {0, 5});
    out.add_alias("tied", "dense/kernel");
    out.add("bias again", bias_, {10});
    out.metadata = stet::json_text("{\"version\":" + std::to_string(version_) + "}");
    return out;
  }

  /// Whether `of` is this version, whole and sound.
  [[nodiscard]] bool is_in(const stet::store& of) const {
    if (of.tensor_count() != 7 || !stet::verify_store(of, {.thread_count = 1}).is_sound()) return false;
    std::vector<float> kernel(kernel_.size());
    const auto found = of.find("tied");
    return found && found->copy_to(std::span(kernel)) && kernel == kernel_;
  }

private:
  int version_;
  std::vector<float> kernel_;
  std::vector<std::int32_t> bias_;
  std::vector<stet::int4> packed_;
  std::vector<std::string_view> labels_;
};

/// Which of two versions the store at a path is.
enum class saved : std::uint8_t { neither, older, newer };
inline saved which_is_at(const std::string& path, const sample_model& older, const sample_model& newer) {
  const auto opened = stet::open(path, {.read_manifest = stet::read_manifest});
  if (!opened) return saved::neither;
  if (older.is_in(*opened)) return saved::older;
  return newer.is_in(*opened) ? saved::newer : saved::neither;
}

} // namespace stet_test

#endif
