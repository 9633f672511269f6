// SPDX-License-Identifier: MIT
// Requests that cannot be carried out say so before anything is read; loaded tensors are found and viewed as those of a store.
#include "support/byte_order.hpp"
#include "support/native_bytes.hpp"
#include "support/outcome.hpp"

#include <stet/load.hpp>
#include <stet/store/open.hpp>

#include <doctest/doctest.h>

#include <utility>
#include <vector>

namespace {

using namespace stet_test;
using stet::load_request;

} // namespace

TEST_SUITE("load requests") {
  TEST_CASE("a request that does not fit its tensor has its outcome at once, with the tensor's name") {
    const native_file file({tensor_of<float>("kernel", {2, 2}, {1, 2, 3, 4})});
    const auto store = stet::open(std::span<const std::byte>(file.bytes));
    REQUIRE(store);
    if (!store) return;
    const stet::tensor kernel = *store->find("kernel");
    float numbers[4] = {};
    double wide[4] = {};
    std::byte bytes[16] = {};
    const auto outcome_of = [](const load_request& of) { return outcome(of.outcome()); };
    CHECK(outcome_of(load_request(kernel)) == "ok");
    CHECK(outcome_of(load_request(kernel, std::span<float>(numbers))) == "ok");
    CHECK(outcome_of(load_request(kernel, std::span<float>(numbers).first(3))) == "buffer_too_small");
    CHECK(outcome_of(load_request(kernel, std::span<double>(wide))) == "dtype_mismatch");
    CHECK(outcome_of(load_request(kernel, std::span<double>(wide), stet::convert)) == "ok");
    CHECK(outcome_of(load_request(kernel, std::span<double>(wide).first(3), stet::convert)) == "buffer_too_small");
    CHECK(outcome_of(load_request(kernel, std::span<std::byte>(bytes))) == "ok");
    CHECK(outcome_of(load_request(kernel, std::span<std::byte>(bytes).first(15))) == "buffer_too_small");
    CHECK(outcome_of(load_request(kernel, std::span<std::byte>(bytes), stet::dtype::float32)) == "ok");
    CHECK(outcome_of(load_request(kernel, std::span<std::byte>(bytes), stet::dtype::float64)) == "buffer_too_small");
    const load_request bad(kernel, std::span<double>(wide));
    CHECK(bad.outcome().error().subject() == "kernel");
    CHECK(bad.of().name() == "kernel");
  }

  TEST_CASE("elements of a dtype that is chosen at run time are converted to it") {
    const native_file file({tensor_of<float>("kernel", {3}, {1.5f, -2.5f, 300}), strings_of("names", {"a"})});
    const auto store = stet::open(std::span<const std::byte>(file.bytes));
    REQUIRE(store);
    if (!store) return;
    std::int8_t small[3] = {};
    float same[3] = {};
    std::byte text[32] = {};
    load_request requests[] = {
        {*store->find("kernel"), std::as_writable_bytes(std::span(small)), stet::dtype::int8},
        {*store->find("kernel"), std::as_writable_bytes(std::span(same)), stet::dtype::float32},
        {*store->find("names"), std::span<std::byte>(text), stet::dtype::float32},
    };
    CHECK(outcome(stet::load(*store, requests)) == "not_convertible");
    CHECK(small[0] == 1);
    CHECK(small[1] == -2);
    CHECK(small[2] == 127);
    CHECK(same[2] == 300);
    CHECK(outcome(requests[2].outcome()) == "not_convertible");
  }

  TEST_CASE("loaded tensors are found, viewed and written to, also after they were moved") {
    const native_file file(
        {tensor_of<float>("kernel", {2, 2}, {1, 2, 3, 4}), tensor_of<std::uint8_t>("bytes", {2}, {7, 8})});
    const auto store = stet::open(std::span<const std::byte>(file.bytes));
    REQUIRE(store);
    if (!store) return;
    auto loaded = stet::load_all(*store);
    REQUIRE(loaded);
    if (!loaded) return;
    const stet::loaded_tensors moved = std::move(*loaded);
    CHECK(outcome(moved.get<float>("kernel")) == (can_view_words ? "ok" : "wrong_byte_order"));
    CHECK(outcome(moved.get<double>("kernel")) == "dtype_mismatch");
    CHECK(outcome(moved.get<float>("bias")) == "not_found");
    CHECK(outcome(moved.view<float, 2, 3>("kernel")) == (can_view_words ? "shape_mismatch" : "wrong_byte_order"));
    const auto bytes = moved.view<std::uint8_t, 2>("bytes");
    REQUIRE(bytes);
    if (!bytes) return;
    CHECK((*bytes)(1) == 8);
    const auto writable = moved.find("bytes")->as_writable<std::uint8_t>();
    REQUIRE(writable);
    if (!writable) return;
    (*writable)[0] = 9;
    CHECK((*bytes)(0) == 9);
    CHECK(store->find("bytes")->bytes()[0] == std::byte{7}); // a copy
  }
}
