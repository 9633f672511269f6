// SPDX-License-Identifier: MIT
// Tests of variables.hpp: what can be registered, and what the list says of it.
#include "support/outcome.hpp"

#include <stet/restore/variables.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

using stet::dynamic;
using stet::variable;
using stet::variable_list;
using stet_test::outcome;

namespace {

struct dense {
  stet::view<float, 2, 3> kernel;
  stet::view<const float, 3> bias;
  stet::view<const float, 3> scale;
  void bind(auto& field) {
    field("kernel", kernel);
    field("bias", bias);
    field.optional("scale", scale);
  }
};
struct network {
  dense hidden, answer;
  void bind(auto& field) {
    field("hidden", hidden);
    field("answer", answer);
  }
};

/// float16 as another library has it.
struct half {
  std::uint16_t bits;
};

template <class... Arguments>
concept can_be_variable = requires(variable_list variables, Arguments&&... arguments) {
  variables.add("x", std::forward<Arguments>(arguments)...);
};
static_assert(can_be_variable<std::vector<float>&> && can_be_variable<std::span<float>> && can_be_variable<float&>);
static_assert(can_be_variable<std::array<bool, 2>&> && can_be_variable<const std::vector<float>&, std::vector<int>&>);
static_assert(!can_be_variable<std::vector<float>> && !can_be_variable<float> && !can_be_variable<std::vector<bool>&>);
static_assert(!can_be_variable<std::vector<std::string>&> && !can_be_variable<std::vector<float>&, bool>);

} // namespace

template <> struct stet::dtype_of<half> : std::integral_constant<stet::dtype, stet::dtype::float16> {};

TEST_SUITE("variables") {
  TEST_CASE("a variable is what it was added as") {
    std::vector<float> kernel(6, 1.5F);
    variable_list variables;
    REQUIRE(outcome(variables.add("dense/kernel", kernel, {2, 3})) == "ok");
    REQUIRE(variables.size() == 1);
    const variable& added = variables[0];
    CHECK(added.name() == "dense/kernel");
    CHECK(added.slot_of().empty());
    CHECK(added.layout().dtype == stet::dtype::float32);
    CHECK(added.shape() == std::vector<std::uint64_t>{2, 3});
    CHECK(added.is_trainable());
    CHECK_FALSE(added.is_const());
    CHECK_FALSE(added.can_be_pointed());
    CHECK_FALSE(added.is_optional());
    CHECK(added.size_bytes() == 24);
    CHECK(added.bytes().data() == reinterpret_cast<const std::byte*>(kernel.data()));
    CHECK(variables.find("dense/kernel") == &added);
    CHECK(variables.find("dense") == nullptr);
  }

  TEST_CASE("memory is any range of elements in a row, and its shape any integers") {
    std::vector<float> kernel(6);
    std::array<long long, 3> wide{};
    double moment[2] = {};
    float rate = 0.5F;
    const int rows = 2;
    variable_list variables;
    REQUIRE(variables.add("kernel", kernel, {rows, 3}));
    REQUIRE(variables.add("flat", kernel));
    REQUIRE(variables.add("wide", wide, std::vector<std::int64_t>{1, 3}, false));
    REQUIRE(variables.add("moment", moment));
    REQUIRE(variables.add("rate", rate));
    REQUIRE(variables.add("view", stet::view<float, 3, 2>(kernel.data())));
    REQUIRE(variables.add_slot("kernel", "Adam/m", kernel));
    using shape = std::vector<std::uint64_t>;
    const shape expected[] = {{2, 3}, {6}, {1, 3}, {2}, {}, {3, 2}, {2, 3}};
    REQUIRE(variables.size() == std::size(expected));
    for (std::size_t i = 0; i < std::size(expected); ++i) CHECK(variables[i].shape() == expected[i]);
    CHECK(variables[2].layout().dtype == stet::dtype::int64);
    CHECK_FALSE(variables[2].is_trainable());
    CHECK(variables[4].bytes().data() == reinterpret_cast<const std::byte*>(&rate));
    const auto refused = variables.add("n", kernel, {-2, -3});
    CHECK(outcome(refused) == "bad_shape");
    CHECK((!refused && refused.error().subject() == "n"));
    CHECK(outcome(variables.add("n", rate, {-1})) == "bad_shape");
    CHECK(outcome(variables.add("n", kernel, {5})) == "size_mismatch");
  }

  TEST_CASE("elements narrower than a byte have one of their own in memory") {
    std::vector<stet::int4> codes(5);
    variable_list variables;
    REQUIRE(outcome(variables.add("codes", codes, {5})) == "ok");
    CHECK(variables[0].layout().bits == 8);
    CHECK(variables[0].size_bytes() == 5);
  }

  TEST_CASE("a type of the program is its dtype") {
    std::vector<half> halves(4);
    variable_list variables;
    REQUIRE(outcome(variables.add("halves", halves, {4})) == "ok");
    CHECK(variables[0].layout().dtype == stet::dtype::float16);
  }

  TEST_CASE("refuses what is no variable") {
    std::vector<float> six(6);
    const std::span<float> memory(six);
    variable_list variables;
    REQUIRE(outcome(variables.add("a", memory, {6})) == "ok");
    CHECK(outcome(variables.add("", memory, {6})) == "bad_name");
    CHECK(outcome(variables.add(std::string(65536, 'a'), memory, {6})) == "bad_name");
    CHECK(outcome(variables.add("\xFF", memory, {6})) == "bad_name");
    CHECK(outcome(variables.add("a", memory, {6})) == "duplicate_name");
    CHECK(outcome(variables.add("b", memory, {5})) == "size_mismatch");
    CHECK(outcome(variables.add("b", memory, {})) == "size_mismatch");
    constexpr std::uint64_t huge = std::uint64_t{1} << 63;
    CHECK(outcome(variables.add("b", memory, {huge, 2})) == "bad_shape");
    CHECK(outcome(variables.add("b", std::span<float>(), {0, huge, 2})) == "bad_shape");
    CHECK(outcome(variables.add("b", memory, {huge})) == "bad_shape");
    CHECK(variables.size() == 1);
    CHECK(outcome(variables.add("empty", std::span<float>(), {0, 6})) == "ok");
    CHECK(outcome(variables.add("scalar", memory.first(1), {})) == "ok");
  }

  TEST_CASE("a slot has the shape of its variable") {
    std::vector<float> kernel(6);
    std::vector<double> moment(6);
    variable_list variables;
    (void)variables.add("k", kernel, {2, 3});
    CHECK(outcome(variables.add_slot("k", "Adam/m", moment)) == "ok");
    CHECK(outcome(variables.add_slot("k", "Adam/m", moment)) == "duplicate_name");
    CHECK(outcome(variables.add_slot("k", "Adam/v", std::span(moment).first(5))) == "size_mismatch");
    CHECK(outcome(variables.add_slot("none", "m", moment)) == "not_found");
    const variable* const slot = variables.find("k/Adam/m");
    REQUIRE(slot != nullptr);
    if (slot == nullptr) return;
    CHECK(slot->slot_of() == "k");
    CHECK(slot->shape() == std::vector<std::uint64_t>{2, 3});
    CHECK(slot->layout().dtype == stet::dtype::float64);
    CHECK_FALSE(slot->is_trainable());
  }

  TEST_CASE("slots are added by names that the list itself holds, while it grows") {
    std::vector<float> memory(1);
    variable_list variables;
    for (int i = 0; i < 50; ++i) (void)variables.add(std::to_string(i), memory, {1});
    for (std::size_t i = 0; i < 50; ++i) REQUIRE(outcome(variables.add_slot(variables[i].name(), "m", memory)) == "ok");
    for (std::size_t i = 0; i < 50; ++i) {
      CHECK(variables[50 + i].slot_of() == std::to_string(i));
      CHECK(variables[50 + i].name() == std::to_string(i) + "/m");
    }
  }

  TEST_CASE("every field of a model is a variable") {
    network model;
    variable_list variables;
    REQUIRE(outcome(variables.add_model(model, false)) == "ok");
    REQUIRE(variables.size() == 6);
    CHECK(variables[0].name() == "hidden/kernel");
    CHECK(variables[4].name() == "answer/bias");
    CHECK(variables[0].can_be_pointed());
    CHECK_FALSE(variables[0].is_const());
    CHECK(variables[1].is_const());
    CHECK_FALSE(variables[1].is_trainable());
    CHECK_FALSE(variables[1].is_optional());
    CHECK(variables[2].is_optional());
    CHECK(variables[0].size_bytes() == 24);
    CHECK(variables[0].bytes().empty()); // the view views nothing yet
    CHECK(variables[0].has_storage());
    CHECK_FALSE(variables[2].has_storage());
    CHECK(outcome(variables.add_model(model)) == "duplicate_name");
  }

  TEST_CASE("a view of dynamic extents is added with those it has") {
    std::vector<float> memory(6);
    const std::size_t extents[] = {2, 3};
    stet::view<float, dynamic, 3> through(memory.data(), extents);
    variable_list variables;
    REQUIRE(outcome(variables.add_view("a", through)) == "ok");
    CHECK(variables[0].shape() == std::vector<std::uint64_t>{2, 3});
    CHECK(variables[0].bytes().data() == reinterpret_cast<const std::byte*>(memory.data()));
  }
}
