// SPDX-License-Identifier: MIT
// What is wrong with a file that does not open as a model. doctor.hpp finds it.
#ifndef STET_FORMATS_DIAGNOSIS_HPP
#define STET_FORMATS_DIAGNOSIS_HPP

#include "../vocabulary/error.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace stet::inline STET_NAMESPACE {

/// What `diagnose` found.
struct diagnosis {
  /// What can be done without a guess.
  enum class repair_kind : std::uint8_t {
    none,
    /// The first `kept_bytes` of the file are the model.
    cut,
    /// NUL bytes behind the header of a safetensors file become spaces.
    blank,
    /// An index of the shards that are in the folder.
    reindex,
  };

  /// The error of opening; nothing if the path opens as a model.
  std::optional<error> problem = std::nullopt;
  /// What the file is, or what is wrong with it: part of a sentence.
  std::string what = {};
  /// What to do; empty if nothing needs to be done.
  std::string advice = {};
  /// Whether `what` says more than `problem`.
  bool says_more = false;
  /// The repair that is possible.
  repair_kind repair = repair_kind::none;
  /// For `cut`.
  std::uint64_t kept_bytes = 0;
};

} // namespace stet::inline STET_NAMESPACE

#endif
