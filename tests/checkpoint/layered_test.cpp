// SPDX-License-Identifier: MIT
// Tests of layered.hpp: several stores as one, whatever is then done with it.
#include "support/files.hpp"
#include "support/outcome.hpp"

#include <stet/checkpoint/layered.hpp>
#include <stet/manifest/verify.hpp>
#include <stet/restore.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using stet::store_layer;
using stet_test::alias_of;
using stet_test::memory_reader;
using stet_test::native_file;
using stet_test::native_tensor;
using stet_test::outcome;
using stet_test::tensor_of;

namespace {

stet::store open_bytes(std::span<const std::byte> bytes) {
  auto opened = stet::open(bytes);
  CHECK(outcome(opened) == "ok");
  return opened ? std::move(*opened) : stet::store();
}

std::string layered_names(const stet::store& of) {
  std::string names;
  for (const stet::tensor each : of) names.append(names.empty() ? "" : " ").append(each.name());
  return names;
}

float first_of(const stet::store& of, std::string_view name) {
  const auto values = of.get<float>(name);
  CHECK(outcome(values) == "ok");
  return values && !values->empty() ? values->front() : -1;
}

/// A base, a head that replaces a tensor and adds one, and a patch that replaces it again.
struct three_layers {
  native_file base_file{
      {tensor_of<float>("trunk", {2}, {1, 2}), tensor_of<float>("head", {1}, {3}), tensor_of<float>("last", {1}, {4})}};
  native_file head_file{{tensor_of<float>("new", {1}, {5}), tensor_of<float>("head", {3}, {6, 7, 8})}};
  native_file patch_file{{tensor_of<std::int32_t>("head", {1}, {9})}};
  stet::store base = open_bytes(base_file.bytes), head = open_bytes(head_file.bytes),
              patch = open_bytes(patch_file.bytes);
};

struct model {
  stet::view<const float, 2> trunk;
  stet::view<const float, 3> head;
  void bind(auto& field) {
    field("trunk", trunk);
    field("head", head);
  }
};

} // namespace

TEST_SUITE("layered") {
  TEST_CASE("the first layer that has a name wins, and says that it did") {
    three_layers of;
    const store_layer layers[] = {{"patch", &of.patch}, {"head", &of.head}, {"base", &of.base}};
    const auto all = stet::layer_stores(layers);
    REQUIRE(outcome(all) == "ok");
    if (!all) return;
    CHECK(layered_names(*all) == "trunk head last new"); // as in the base, then what is new
    CHECK(all->find("head")->dtype() == stet::dtype::int32);
    CHECK(first_of(*all, "trunk") == 1);
    CHECK(first_of(*all, "new") == 5);
    CHECK(stet::layer_of(*all, *all->find("head")) == "patch");
    CHECK(stet::layer_of(*all, *all->find("new")) == "head");
    CHECK(stet::layer_of(*all, *all->find("last")) == "base");
    CHECK_FALSE(all->contains("other"));
    // Nothing is copied.
    CHECK(all->find("trunk")->bytes().data() == of.base.find("trunk")->bytes().data());
    CHECK(all->alignment_bytes() == 64);
    CHECK(all->manifest_text().empty());
  }

  TEST_CASE("a layered store does what stores do") {
    three_layers of;
    const store_layer layers[] = {{"head", &of.head}, {"base", &of.base}};
    const auto all = stet::layer_stores(layers);
    REQUIRE(outcome(all) == "ok");
    if (!all) return;
    model bound;
    CHECK(outcome(stet::bind_model(bound, *all)) == "ok");
    CHECK((bound.trunk(1) == 2 && bound.head(2) == 8));

    float trunk[2] = {}, head[3] = {};
    stet::variable_list variables;
    CHECK(variables.add("trunk", trunk, {2}));
    CHECK(variables.add("head", head, {3}));
    stet::restore_rules rules;
    rules.ignore = {"last", "new"};
    rules.verify_checksums = true;
    CHECK(outcome(stet::restore(*all, variables, rules)) == "ok");
    CHECK((trunk[1] == 2 && head[0] == 6));

    CHECK(outcome(all->verify_checksums()) == "ok");
    const stet::verify_report verified = stet::verify_store(*all, {.thread_count = 2});
    CHECK(verified.is_sound());
    CHECK(verified.tensors_compared == 4);
    CHECK(outcome(all->prefetch()) == "ok");

    stet::writer out;
    for (const stet::tensor each : *all) out.add(each.name(), each);
    const auto saved = out.save_to_memory();
    REQUIRE(outcome(saved) == "ok");
    if (!saved) return;
    const stet::store whole = open_bytes(*saved);
    CHECK(layered_names(whole) == layered_names(*all));
    CHECK(first_of(whole, "head") == 6);
  }

  TEST_CASE("damage in any layer is found") {
    three_layers of;
    of.base_file.bytes[static_cast<std::size_t>(of.base.find("last")->entry().offset_bytes())] ^= std::byte{1};
    const store_layer layers[] = {{"head", &of.head}, {"base", &of.base}};
    const auto all = stet::layer_stores(layers);
    REQUIRE(outcome(all) == "ok");
    if (!all) return;
    const auto verified = all->verify_checksums();
    CHECK(outcome(verified) == "checksum_mismatch");
    CHECK(verified.error().subject() == "last");
  }

  TEST_CASE("hides what is not to be taken from a layer") {
    three_layers of;
    const std::vector<std::string> hidden = {"last", "none", "head"};
    const store_layer layers[] = {{"head", &of.head}, {"base", &of.base, hidden}};
    const auto all = stet::layer_stores(layers);
    REQUIRE(outcome(all) == "ok");
    if (!all) return;
    CHECK(layered_names(*all) == "trunk new head"); // the head has no place in the base any more
    CHECK(first_of(*all, "head") == 6);
  }

  TEST_CASE("stands in the order that is asked for") {
    three_layers of;
    const store_layer layers[] = {{"head", &of.head}, {"base", &of.base}};
    const std::vector<std::string> order = {"new", "none", "last", "new"};
    const auto all = stet::layer_stores(layers, order);
    REQUIRE(outcome(all) == "ok");
    if (!all) return;
    CHECK(layered_names(*all) == "new last trunk head");
  }

  TEST_CASE("one layer, none, and empty ones") {
    three_layers of;
    const native_file empty_file({});
    const stet::store empty = open_bytes(empty_file.bytes);
    const store_layer layers[] = {{"empty", &empty}, {"base", &of.base}};
    const auto none = stet::layer_stores({});
    const auto only = stet::layer_stores(std::span(layers).subspan(1));
    const auto both = stet::layer_stores(layers);
    REQUIRE((none && only && both));
    if (!none || !only || !both) return;
    CHECK(none->tensor_count() == 0);
    CHECK_FALSE(none->contains("trunk"));
    CHECK(layered_names(*only) == "trunk head last");
    CHECK(layered_names(*both) == "trunk head last");
    const store_layer unnamed[] = {{"", &of.base}};
    CHECK(outcome(stet::layer_stores(unnamed)) == "bad_index");
  }

  TEST_CASE("tensors that share their bytes go on to, whichever of them is left") {
    std::vector<native_tensor> tied = {tensor_of<float>("table", {2}, {1, 2}), tensor_of<float>("other", {2}, {1, 2})};
    tied.push_back(alias_of("output", tied, 0));
    tied.push_back(alias_of("third", tied, 0));
    const native_file file(tied), replaced_file({tensor_of<float>("table", {2}, {3, 4})});
    const stet::store base = open_bytes(file.bytes), replaced = open_bytes(replaced_file.bytes);
    SUBCASE("all of them") {
      const store_layer layers[] = {{"base", &base}};
      const auto all = stet::layer_stores(layers);
      REQUIRE(outcome(all) == "ok");
      if (!all) return;
      CHECK(all->original_of(*all->find("output"))->name() == "table");
      CHECK_FALSE(all->original_of(*all->find("table")));
    }
    SUBCASE("without the original") {
      const store_layer layers[] = {{"top", &replaced}, {"base", &base}};
      const auto all = stet::layer_stores(layers);
      REQUIRE(outcome(all) == "ok");
      if (!all) return;
      CHECK(first_of(*all, "table") == 3);
      CHECK(first_of(*all, "output") == 1);
      CHECK_FALSE(all->original_of(*all->find("output")));
      CHECK(all->original_of(*all->find("third"))->name() == "output");
    }
    SUBCASE("in another order") {
      const std::vector<std::string> order = {"third"};
      const store_layer layers[] = {{"base", &base}};
      const auto all = stet::layer_stores(layers, order);
      REQUIRE(outcome(all) == "ok");
      if (!all) return;
      CHECK(all->original_of(*all->find("table"))->name() == "third");
      CHECK(all->original_of(*all->find("output"))->name() == "third");
    }
  }

  TEST_CASE("streamed layers are read when they are asked") {
    three_layers of;
    const memory_reader reader(of.base_file.bytes);
    const auto streamed = stet::open(reader);
    REQUIRE(outcome(streamed) == "ok");
    if (!streamed) return;
    const store_layer layers[] = {{"head", &of.head}, {"base", &*streamed}};
    const auto all = stet::layer_stores(layers);
    REQUIRE(outcome(all) == "ok");
    if (!all) return;
    CHECK(outcome(all->get<float>("trunk")) == "not_resident");
    float trunk[2] = {};
    CHECK(outcome(all->find("trunk")->copy_to(std::span<float>(trunk))) == "ok");
    CHECK(trunk[1] == 2);
    CHECK(first_of(*all, "head") == 6);
    CHECK(outcome(all->verify_checksums()) == "ok");
  }

  TEST_CASE("tensors may be written to where their layer may be") {
    three_layers of;
    auto writable = stet::open(std::span(of.head_file.bytes));
    REQUIRE(outcome(writable) == "ok");
    if (!writable) return;
    const store_layer layers[] = {{"head", &*writable}, {"base", &of.base}};
    const auto all = stet::layer_stores(layers);
    REQUIRE(outcome(all) == "ok");
    if (!all) return;
    CHECK(outcome(all->find("trunk")->as_writable<float>()) == "read_only");
    const auto head = all->find("head")->as_writable<float>();
    REQUIRE(outcome(head) == "ok");
    if (!head) return;
    (*head)[0] = 77;
    CHECK(first_of(*writable, "head") == 77);
  }

  TEST_CASE("layers may be layered, and moved, and be of any number") {
    three_layers of;
    const store_layer lower[] = {{"head", &of.head}, {"base", &of.base}};
    auto below = stet::layer_stores(lower);
    REQUIRE(outcome(below) == "ok");
    if (!below) return;
    const store_layer layers[] = {{"patch", &of.patch}, {"below", &*below}};
    auto all = stet::layer_stores(layers);
    REQUIRE(outcome(all) == "ok");
    if (!all) return;
    const stet::store moved(std::move(*all));
    CHECK(layered_names(moved) == "trunk head last new");
    CHECK(stet::layer_of(moved, *moved.find("new")) == "below/head");
    CHECK(stet::layer_of(moved, *moved.find("trunk")) == "below/base");
    CHECK(moved.find("head")->dtype() == stet::dtype::int32);
  }

#if STET_FILES
  TEST_CASE("layers of several files") {
    const std::vector<float> values = {1, 2, 3, 4};
    stet::writer out;
    for (const char* name : {"a", "b", "c"}) out.add(name, values, {4});
    const stet_test::temp_folder folder;
    stet::save_options options;
    options.form = stet::store_form::sharded;
    options.max_part_size_bytes = 200; // a tensor each
    const auto saved = out.save(folder.path("model.stet"), options);
    REQUIRE(outcome(saved) == "ok");
    CHECK(saved->part_count == 3);
    three_layers of;
    const native_file patch_file({tensor_of<float>("b", {1}, {9})});
    const stet::store patch = open_bytes(patch_file.bytes);
    const auto base = stet::open(folder.path("model.stet"));
    REQUIRE(outcome(base) == "ok");
    if (!base) return;
    const store_layer layers[] = {{"patch", &patch}, {"model", &*base}, {"other", &of.base}};
    const auto all = stet::layer_stores(layers);
    REQUIRE(outcome(all) == "ok");
    if (!all) return;
    CHECK(layered_names(*all) == "trunk head last a b c");
    CHECK(first_of(*all, "b") == 9);
    CHECK(first_of(*all, "c") == 1);
    CHECK(stet::layer_of(*all, *all->find("c")).starts_with("model/model-00002-of-00003-"));
    CHECK(stet::verify_store(*all, {.thread_count = 1}).is_sound());
  }
#endif
}
