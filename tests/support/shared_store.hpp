// SPDX-License-Identifier: MIT
// Stores with an owner that is counted, as libraries keep them. Include doctest first.
#ifndef STET_TESTS_SUPPORT_SHARED_STORE_HPP
#define STET_TESTS_SUPPORT_SHARED_STORE_HPP

#include "outcome.hpp"

#include <stet/stet.hpp>

#include <memory>
#include <string_view>
#include <utility>

namespace stet_test {

/// What was opened, with an owner.
inline std::shared_ptr<const stet::store> shared(stet::result<stet::store>&& opened) {
  REQUIRE(outcome(opened) == "ok");
  return std::make_shared<const stet::store>(std::move(opened).value());
}

/// A tensor that was loaded for itself, with its store: they go together.
struct store_and_tensor {
  stet::store store;
  stet::loaded_tensor tensor;
};
inline std::shared_ptr<const store_and_tensor> shared_tensor(stet::result<stet::store>&& opened,
                                                             std::string_view name) {
  REQUIRE(outcome(opened) == "ok");
  auto tensor = opened->load(name);
  REQUIRE(outcome(tensor) == "ok");
  return std::make_shared<const store_and_tensor>(
      store_and_tensor{std::move(opened).value(), std::move(tensor).value()});
}

} // namespace stet_test

#endif
