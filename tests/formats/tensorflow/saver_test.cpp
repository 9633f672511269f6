// SPDX-License-Identifier: MIT
// Tests of saver.hpp: a folder of TensorFlow checkpoints, kept as TensorFlow keeps it.
#include <stet/json.hpp>
#include <stet/formats/tensorflow/saver.hpp>

#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using stet_test::outcome;
using stet_test::temp_folder;

namespace {

/// A program with a variable, a slot of it, and a clock that it sets.
struct program {
  std::vector<float> kernel = std::vector<float>(6), moment = std::vector<float>(6);
  stet::variable_list variables;
  std::int64_t seconds = 1'700'000'000;

  program() {
    (void)variables.add("dense/kernel", kernel, {2, 3});
    (void)variables.add_slot("dense/kernel", "Adam/m", moment);
  }
  void train_to(std::uint64_t step) {
    for (std::size_t i = 0; i < kernel.size(); ++i) {
      kernel[i] = static_cast<float>(step * 10 + i);
      moment[i] = -kernel[i];
    }
  }
  stet::tensorflow_saver_options options(std::size_t max_to_keep) {
    stet::tensorflow_saver_options made;
    made.keep.max_to_keep = max_to_keep;
    made.clock = [this] { return std::chrono::system_clock::time_point(std::chrono::seconds(seconds++)); };
    return made;
  }
  void save(stet::tensorflow_saver& saver, std::uint64_t step) {
    train_to(step);
    stet::session_state session;
    session.global_step = step;
    session.user = stet::json_value{{"seed", step * 7}};
    const auto saved = saver.save(session, variables);
    REQUIRE(outcome(saved) == "ok");
    CHECK(outcome(saved->upkeep) == "ok");
  }
};

std::string file_text(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

} // namespace

TEST_SUITE("formats/tensorflow/saver") {
  TEST_CASE("the newest checkpoints stay, the state file names them, and the newest comes back") {
    const temp_folder folder;
    program one;
    {
      auto saver = stet::tensorflow_saver::open_for_saving(folder.path("run"), one.options(2));
      REQUIRE(outcome(saver) == "ok");
      for (const std::uint64_t step : {100u, 200u, 300u}) one.save(*saver, step);
    }
    CHECK(file_text(folder.read("run/checkpoint")) == "model_checkpoint_path: \"ckpt-300\"\n"
                                                      "all_model_checkpoint_paths: \"ckpt-200\"\n"
                                                      "all_model_checkpoint_paths: \"ckpt-300\"\n"
                                                      "all_model_checkpoint_timestamps: 1700000001\n"
                                                      "all_model_checkpoint_timestamps: 1700000002\n");
    const auto exists = [&](const std::string& name) { return !folder.read("run/" + name).empty(); };
    CHECK_FALSE(exists("ckpt-100.index"));
    CHECK_FALSE(exists("ckpt-100.data-00000-of-00001"));
    CHECK(exists("ckpt-200.index"));
    CHECK(exists("ckpt-300.data-00000-of-00001"));

    program two;
    auto saver = stet::tensorflow_saver::open_for_saving(folder.path("run"), two.options(2));
    REQUIRE(outcome(saver) == "ok");
    const auto all = saver->all();
    REQUIRE(outcome(all) == "ok");
    REQUIRE(all->size() == 2);
    CHECK((*all)[0].step == 200);
    CHECK((*all)[0].saved_at == std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'001)));
    const auto restored = saver->restore_latest(two.variables);
    REQUIRE(outcome(restored) == "ok");
    CHECK(restored->info.step == 300);
    CHECK(restored->session.global_step == 300);
    CHECK(stet::to_json_value(restored->session.user)["seed"] == 2100);
    CHECK(two.kernel == one.kernel);
    CHECK(two.moment == one.moment);
    REQUIRE(outcome(saver->restore(200, two.variables)) == "ok");
    CHECK(two.kernel[0] == 2000.0f);
    CHECK(outcome(saver->restore(100, two.variables)) == "file_not_found");
  }

  TEST_CASE("without the state file, and without the newest, the folder still tells") {
    const temp_folder folder;
    program one;
    auto saver = stet::tensorflow_saver::open_for_saving(folder.path("run"), one.options(5));
    REQUIRE(outcome(saver) == "ok");
    for (const std::uint64_t step : {1u, 2u, 10u}) one.save(*saver, step);
    folder.write("run/checkpoint", "not a state file");
    CHECK(saver->restore_latest(one.variables)->session.global_step == 10);
    folder.write("run/ckpt-10.index", "damaged");
    CHECK(saver->restore_latest(one.variables)->session.global_step == 2);
    CHECK(one.kernel[0] == 20.0f);
  }

  TEST_CASE("an object-based folder restores by the names of variables, too") {
    const temp_folder folder;
    program one;
    stet::tensorflow_saver_options options = one.options(5);
    options.save.naming = stet::tensorflow_naming::by_object;
    auto saver = stet::tensorflow_saver::open_for_saving(folder.path("run"), options);
    REQUIRE(outcome(saver) == "ok");
    one.save(*saver, 3);
    program two;
    const auto restored = stet::restore_tensorflow_checkpoint(folder.path("run"), two.variables);
    REQUIRE(outcome(restored) == "ok");
    CHECK(restored->session.global_step == 3);
    CHECK(two.kernel == one.kernel);
    CHECK(two.moment == one.moment);
  }

  TEST_CASE("a folder has one saver, who clears up after one that died") {
    const temp_folder folder;
    program one;
    {
      auto saver = stet::tensorflow_saver::open_for_saving(folder.path("run"), one.options(5));
      REQUIRE(outcome(saver) == "ok");
      CHECK(outcome(stet::tensorflow_saver::open_for_saving(folder.path("run"))) == "locked");
      one.save(*saver, 5);
    }
    folder.write("run/ckpt-6.data-00000-of-00001", "lost");
    folder.write("run/.ckpt-6.data.0.stet-tmp", "unfinished");
    folder.write("run/ckpt-6.txt", "another's");
    auto saver = stet::tensorflow_saver::open_for_saving(folder.path("run"), one.options(5));
    REQUIRE(outcome(saver) == "ok");
    CHECK(folder.read("run/ckpt-6.data-00000-of-00001").empty());
    CHECK(folder.read("run/.ckpt-6.data.0.stet-tmp").empty());
    CHECK(file_text(folder.read("run/ckpt-6.txt")) == "another's");
    CHECK(saver->all()->size() == 1);
  }

  TEST_CASE("wrong options and an empty folder are errors") {
    const temp_folder folder;
    stet::tensorflow_saver_options options;
    options.keep.keep_best = 1;
    CHECK(outcome(stet::tensorflow_saver::open_for_saving(folder.path("run"), options)) == "invalid_argument");
    options = {};
    options.prefix = "../ckpt";
    CHECK(outcome(stet::tensorflow_saver::open_for_saving(folder.path("run"), options)) == "bad_path");
    auto saver = stet::tensorflow_saver::open_for_saving(folder.path("run"));
    REQUIRE(outcome(saver) == "ok");
    program one;
    CHECK(outcome(saver->restore_latest(one.variables)) == "file_not_found");
  }

  TEST_CASE("a program that went back to an earlier step is continued from there") {
    const temp_folder folder;
    program one;
    auto saver = stet::tensorflow_saver::open_for_saving(folder.path("run"), one.options(5));
    REQUIRE(outcome(saver) == "ok");
    for (const std::uint64_t step : {10u, 20u, 15u}) one.save(*saver, step);
    CHECK(saver->restore_latest(one.variables)->session.global_step == 15);
  }
}
