// SPDX-License-Identifier: MIT
// Tests of native/format.hpp: sharded checkpoints as models.
#include "support/outcome.hpp"
#include "support/shard_files.hpp"

#include <stet/formats/add_model.hpp>
#include <stet/formats/check_model.hpp>
#include <stet/formats/compiled.hpp>
#include <stet/formats/native/checkpoint_folder.hpp>
#include <stet/formats/select.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

namespace {

using stet_test::elements_from;
using stet_test::outcome;
using stet_test::shard_maker;
using stet_test::temp_folder;

std::vector<std::int32_t> copied(const stet::store& from, std::string_view name) {
  const auto found = from.find(name);
  if (!found) return {};
  std::vector<std::int32_t> all(static_cast<std::size_t>(found->element_count()));
  if (const auto done = found->copy_to(std::span(all)); !done) return {};
  return all;
}

/// `kernel` in two columns, `bias` whole, and a second name of it.
std::string save_sharded(const temp_folder& folder) {
  shard_maker first, second;
  const stet::json_text note(R"({"note":[1]})");
  first.piece("kernel", 100, {4, 6}, {0, 0}, {4, 2}, note).whole("bias", 50, {5});
  first.out.add_alias("layers/bias", "bias", stet::json_text(R"({"second_name":true})"));
  second.piece("kernel", 100, {4, 6}, {0, 2}, {4, 4}, note);
  return stet_test::save_head(folder, "ckpt-7.stet",
                              {first.save(folder, "ckpt-7-00000-of-00002-0a0a0a0a.stet"),
                               second.save(folder, "ckpt-7-00001-of-00002-0b0b0b0b.stet")});
}

void check_model(const stet::result<stet::model>& opened) {
  REQUIRE(outcome(opened) == "ok");
  CHECK(opened->file_count == 3);
  CHECK(opened->store.tensor_count() == 3);
  CHECK(copied(opened->store, "kernel") == elements_from(100, {4, 6}));
  const auto kernel = opened->store.find("kernel"), bias = opened->store.find("bias");
  REQUIRE(kernel);
  REQUIRE(bias);
  CHECK(!opened->is_in_file(*kernel));
  CHECK(opened->is_in_file(*bias));
  CHECK(opened->is_second_name(*opened->store.find("layers/bias")));
  CHECK(stet::check_ranges(*opened));
  CHECK(stet::check_tensor(*opened, *kernel));
  const auto described = stet::describe(*opened);
  REQUIRE(outcome(described) == "ok");
  REQUIRE(described->tensors.size() == 2);
  CHECK(described->tensors[0].name == "kernel");
  CHECK(described->tensors[0].attributes == stet::json_value{{"note", {1}}});
  CHECK(described->tensors[1].name == "layers/bias");
  CHECK(described->state == stet::json_value{{"global_step", 7}});
}

} // namespace

TEST_SUITE("formats/native/format") {
  TEST_CASE("a sharded checkpoint is a native model of its tensors, by itself and in its folder") {
    const temp_folder folder;
    const std::string path = save_sharded(folder);
    const auto alone = stet::compiled::open_any(path);
    check_model(alone);
    CHECK(alone->format == &stet::native_format);
    CHECK(stet::base_name_of(*alone).empty());
    const auto in_folder = stet::compiled::open_any(folder.path());
    check_model(in_folder);
    CHECK(in_folder->format == &stet::checkpoint_folder_format);
  }

  TEST_CASE("it is saved again as one file, without a trace of pieces") {
    const temp_folder folder;
    const auto opened = stet::compiled::open_any(save_sharded(folder));
    REQUIRE(outcome(opened) == "ok");
    stet::writer out;
    REQUIRE(outcome(stet::add_model(out, *opened)) == "ok");
    REQUIRE(outcome(out.save(folder.path("whole.stet"))) == "ok");
    const auto whole = stet::open(folder.path("whole.stet"));
    REQUIRE(outcome(whole) == "ok");
    CHECK(copied(*whole, "kernel") == elements_from(100, {4, 6}));
    CHECK(whole->manifest_text().find("slice_of") == std::string_view::npos);
    CHECK(whole->manifest_text().find("shards") == std::string_view::npos);
    CHECK(whole->manifest_text().find(R"("note":[1])") != std::string_view::npos);
    CHECK(whole->original_of(*whole->find("layers/bias"))->name() == "bias");
  }

  TEST_CASE("some of its tensors are a model, too") {
    const temp_folder folder;
    auto opened = stet::compiled::open_any(save_sharded(folder));
    REQUIRE(outcome(opened) == "ok");
    const auto only =
        stet::only_tensors(std::move(*opened), [](const stet::tensor& each) { return each.name() == "kernel"; });
    REQUIRE(outcome(only) == "ok");
    CHECK(only->store.tensor_count() == 1);
    CHECK(copied(only->store, "kernel") == elements_from(100, {4, 6}));
    CHECK(!only->is_in_file(*only->store.find("kernel")));
    stet::writer out;
    CHECK(outcome(stet::add_model(out, *only)) == "ok");
    CHECK(outcome(out.save_to_memory()) == "ok");
  }

  TEST_CASE("a shard is a model of its own pieces") {
    const temp_folder folder;
    (void)save_sharded(folder);
    const auto shard = stet::compiled::open_any(folder.path("ckpt-7-00001-of-00002-0b0b0b0b.stet"));
    REQUIRE(outcome(shard) == "ok");
    CHECK(shard->store.tensor_count() == 1);
    CHECK(shard->store.contains("kernel[0:4,2:6]"));
  }

  TEST_CASE("a shard that is missing is told by its name") {
    const temp_folder folder;
    const std::string path = save_sharded(folder);
    std::filesystem::remove(folder.path("ckpt-7-00001-of-00002-0b0b0b0b.stet"));
    const auto opened = stet::compiled::open_any(path);
    CHECK(outcome(opened) == "missing_part");
    CHECK(opened.error().subject() == "ckpt-7-00001-of-00002-0b0b0b0b.stet");
  }
}
