// SPDX-License-Identifier: MIT
// Tests of snapshot.hpp: what the variables held when it was taken, whatever became of them afterwards.
#include <stet/checkpoint/snapshot.hpp>

#include <stet/checkpoint/delta.hpp>

#include "support/allocations.hpp"
#include "support/counted_memory.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using stet::snapshot;
using stet::variable_list;
using stet::view;
using stet_test::outcome;

namespace {

/// A model of one fixed view and two of any extent, all but the first optional.
struct viewed_model {
  std::array<float, 3> first{1, 2, 3};
  std::array<std::int32_t, 4> second{4, 5, 6, 7};
  view<float, 3> kernel{first.data()};
  view<std::int32_t, 4> bias;
  view<std::int32_t, stet::dynamic> moment;
  void bind(auto& visit) {
    visit("kernel", kernel);
    visit.optional("bias", bias);
    visit.optional("moment", moment);
  }
};

view<std::int32_t, stet::dynamic> row(std::int32_t* first, std::size_t count) { return {first, &count}; }

struct optional_row {
  view<std::int32_t, stet::dynamic>* of;
  void bind(auto& visit) { visit.optional("none", *of); }
};

/// "name: elements" of each tensor.
std::string contents_of(const stet::store& of) {
  std::string text;
  for (const stet::tensor each : of) {
    text += std::string(each.name()) + ":";
    if (const auto floats = each.as<float>()) {
      for (const float value : *floats) text += " " + std::to_string(static_cast<int>(value));
    }
    if (const auto integers = each.as<std::int32_t>()) {
      for (const std::int32_t value : *integers) text += " " + std::to_string(value);
    }
    text += "\n";
  }
  return text;
}
std::string contents_of(const snapshot& taken) {
  stet::writer out;
  if (auto added = stet::add_variables(out, taken); !added) return outcome(added);
  const auto file = out.save_to_memory();
  const auto opened = file ? stet::open(std::span<const std::byte>(*file)) : file.error();
  return opened ? contents_of(*opened) : outcome(opened);
}

} // namespace

TEST_SUITE("snapshot") {
  TEST_CASE("an optional view that is set after the snapshot was not there") {
    viewed_model model;
    variable_list variables;
    REQUIRE(variables.add_model(model));
    snapshot taken;
    REQUIRE(outcome(taken.take(variables)) == "ok");
    model.bias = view<std::int32_t, 4>(model.second.data());
    model.first = {9, 9, 9};
    CHECK(contents_of(taken) == "kernel: 1 2 3\n");
    CHECK(taken.bytes(0).size() == 12);
    CHECK(taken.bytes(1).empty());
    CHECK(taken.bytes(2).empty());
    REQUIRE(taken.take(variables));
    CHECK(contents_of(taken) == "kernel: 9 9 9\nbias: 4 5 6 7\n");
  }

  TEST_CASE("a view that is cleared after the snapshot is saved as it was") {
    viewed_model model;
    model.bias = view<std::int32_t, 4>(model.second.data());
    variable_list variables;
    REQUIRE(variables.add_model(model));
    snapshot taken;
    REQUIRE(outcome(taken.take(variables)) == "ok");
    model.bias = {};
    model.kernel = {};
    model.second = {};
    CHECK(contents_of(taken) == "kernel: 1 2 3\nbias: 4 5 6 7\n");
    CHECK(outcome(taken.take(variables)) == "size_mismatch");
    CHECK(taken.variables() == nullptr);
    model.kernel = view<float, 3>(model.first.data());
    REQUIRE(taken.take(variables));
    CHECK(contents_of(taken) == "kernel: 1 2 3\n"); // and nothing of the bias that an earlier one held
    CHECK(taken.bytes(1).empty());
  }

  TEST_CASE("a view that gets other extents after the snapshot is saved as it was, and cannot be taken again") {
    std::vector<std::int32_t> elements{1, 2, 3}, more(100, 8);
    view<std::int32_t, stet::dynamic> values = row(elements.data(), elements.size());
    variable_list variables;
    REQUIRE(variables.add_view("values", values));
    snapshot taken;
    REQUIRE(outcome(taken.take(variables)) == "ok");
    values = row(more.data(), more.size());
    CHECK(contents_of(taken) == "values: 1 2 3\n");
    const auto failed = taken.take(variables);
    CHECK(outcome(failed) == "size_mismatch");
    CHECK((!failed && failed.error().subject() == "values"));
    stet::writer out;
    CHECK(outcome(stet::add_variables(out, variables)) == "size_mismatch");
    values = row(more.data(), 1); // three would be read past it
    CHECK(outcome(taken.take(variables)) == "size_mismatch");
  }

  TEST_CASE("a list that grows or ends after the snapshot is another") {
    snapshot taken;
    std::array<float, 1> a{1}, b{2};
    {
      variable_list variables;
      REQUIRE(variables.add("a", a, {1}));
      REQUIRE(outcome(taken.take(variables)) == "ok");
      REQUIRE(variables.add("b", b, {1}));
      CHECK(contents_of(taken) == "a: 1\n");
    }
    CHECK(contents_of(taken) == "a: 1\n");
    variable_list swapped;
    REQUIRE(swapped.add("b", b, {1}));
    REQUIRE(swapped.add("a", a, {1}));
    REQUIRE(taken.take(swapped));
    CHECK(contents_of(taken) == "b: 2\na: 1\n");
    REQUIRE(taken.variables() != nullptr);
    CHECK((taken.variables()->find("b") == &(*taken.variables())[0]));
    CHECK((taken.variables()->find("a") == &(*taken.variables())[1]));
    const snapshot moved = std::move(taken);
    CHECK(contents_of(moved) == "b: 2\na: 1\n");
  }

  TEST_CASE("an optional variable without elements is there all the same") {
    std::int32_t nothing = 0;
    view<std::int32_t, stet::dynamic> none = row(&nothing, 0);
    optional_row model{&none};
    variable_list variables;
    REQUIRE(variables.add_model(model));
    snapshot taken;
    REQUIRE(outcome(taken.take(variables)) == "ok");
    CHECK(contents_of(taken) == "none:\n");
    none = {};
    CHECK(contents_of(taken) == "none:\n");
    REQUIRE(taken.take(variables));
    CHECK(contents_of(taken).empty());
  }

  TEST_CASE("a delta holds what changed until the snapshot, and what was there then") {
    const stet_test::temp_folder folder;
    viewed_model model;
    model.bias = view<std::int32_t, 4>(model.second.data());
    variable_list variables;
    REQUIRE(variables.add_model(model));
    stet::writer whole;
    REQUIRE(stet::add_variables(whole, variables));
    REQUIRE(outcome(whole.save(folder.path("base.stet"))) == "ok");
    const auto base = stet::open_checkpoint(folder.path("base.stet"));
    REQUIRE(outcome(base) == "ok");
    if (!base) return;
    const auto delta_of = [&](const snapshot& taken, const char* name) -> std::string {
      stet::writer out;
      const auto report = stet::add_changed(out, taken, *base);
      if (!report || !out.save(folder.path(name))) return outcome(report);
      const auto opened = stet::open_checkpoint(folder.path(name));
      return opened ? std::to_string(report->changed_count) + " changed\n" + contents_of(**opened) : outcome(opened);
    };
    snapshot with, without;
    model.first = {3, 2, 1};
    REQUIRE(outcome(with.take(variables)) == "ok");
    model.bias = {};
    REQUIRE(outcome(without.take(variables)) == "ok");
    model.first = {};
    CHECK(delta_of(with, "with.stet") == "1 changed\nkernel: 3 2 1\nbias: 4 5 6 7\n");
    model.second = {};
    model.bias = view<std::int32_t, 4>(model.second.data());
    CHECK(delta_of(without, "without.stet") == "1 changed\nkernel: 3 2 1\n");
    CHECK(delta_of(with, "again.stet") == "1 changed\nkernel: 3 2 1\nbias: 4 5 6 7\n");
  }

  TEST_CASE("taking the same variables again allocates nothing") {
    viewed_model model;
    variable_list variables;
    REQUIRE(variables.add_model(model));
    std::array<float, 2> elements{};
    REQUIRE(variables.add("a name that is longer than what a string holds without memory of its own", elements, {2}));
    snapshot taken;
    REQUIRE(taken.take(variables));
    model.bias = view<std::int32_t, 4>(model.second.data());
    REQUIRE(taken.take(variables)); // what was not there had room already
    const stet_test::allocations seen;
    REQUIRE(taken.take(variables));
    const std::uint64_t count = seen.count();
    CHECK(count == 0);
  }

  TEST_CASE("sizes whose sum overflows are more memory than there is") {
    // Never touched: there is no such memory.
    const std::size_t half = std::size_t{1} << (sizeof(std::size_t) * 8 - 2);
    std::byte* const nowhere = reinterpret_cast<std::byte*>(std::size_t{64});
    variable_list variables;
    for (const char* name : {"a", "b", "c", "d"}) {
      REQUIRE(outcome(variables.add(name, std::span(reinterpret_cast<std::uint8_t*>(nowhere), half), {half})) == "ok");
    }
    snapshot taken;
    CHECK(outcome(taken.reserve(variables)) == "out_of_memory");
    CHECK(outcome(taken.take(variables)) == "out_of_memory");
    CHECK(taken.variables() == nullptr);
  }

  TEST_CASE("room for more does not touch what is held, unless it takes its place") {
    std::array<float, 2> elements{1, 2};
    std::vector<float> many(1000);
    variable_list variables, larger, smaller;
    REQUIRE(variables.add("a", elements, {2}));
    REQUIRE(larger.add("large", many, {1000}));
    REQUIRE(smaller.add("none", std::span<float>(), {0}));
    snapshot taken;
    REQUIRE(taken.take(variables));
    REQUIRE(taken.reserve(smaller));
    CHECK(contents_of(taken) == "a: 1 2\n");
    REQUIRE(taken.reserve(larger));
    CHECK(taken.variables() == nullptr);
    CHECK(contents_of(taken) == "invalid_argument");
  }
}
