// SPDX-License-Identifier: MIT
// Tests of tensorflow.hpp: recognising checkpoints, what is said of their variables, and real files.
#include "support/outcome.hpp"
#include "support/tensorflow_checkpoints.hpp"

#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>
#include <stet/formats/tensorflow/open.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace {

using namespace std::literals;
using namespace stet_test;

/// Every file below the samples of a format that `is_wanted`; none where there are no samples.
template <class Predicate>
std::vector<std::string> samples(std::initializer_list<const char*> formats, Predicate&& is_wanted) {
  std::vector<std::string> found;
  const char* const folder = std::getenv("STET_SAMPLES");
  for (const char* const format : formats) {
    const std::filesystem::path root = std::filesystem::path(folder != nullptr ? folder : "") / format;
    if (folder == nullptr || !std::filesystem::is_directory(root)) {
      MESSAGE("skipped: no samples of " << format);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
      if (entry.is_regular_file() && is_wanted(entry.path().filename().string()))
        found.push_back(to_utf8(entry.path()));
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string contents_of(const std::string& path) {
  std::ifstream in(to_path(path), std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Reads all of every tensor; says what kinds of failure there were.
std::string read_all(const stet::model& opened) {
  std::string failures;
  for (const stet::tensor each : opened.store) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(each.size_bytes()));
    auto done = each.read(0, bytes);
    if (done && each.entry().has_crc32c()) done = each.verify_checksum();
    if (!done && failures.find(outcome(done)) == std::string::npos) failures += outcome(done) + " ";
  }
  return failures;
}

} // namespace

TEST_SUITE("tensorflow") {
  TEST_CASE("a checkpoint is recognised by what it is, whichever of its names is given") {
    const temp_folder folder;
    made_checkpoint made;
    made.add("a", 1, {1}, std::vector<float>{1});
    const std::string prefix = made.write(folder, "ckpt-1");
    folder.write("checkpoint", "model_checkpoint_path: \"ckpt-1\"\n"sv);
    for (const std::string& path : {prefix, prefix + ".index", folder.path()}) {
      const auto opened = stet::compiled::open_any(path);
      REQUIRE(opened);
      CHECK(opened->format->name == "tf-ckpt-v2");
      CHECK(opened->store.contains("a"));
    }
    // What is wrong is said as it is, not as an unknown format.
    folder.write("checkpoint", "model_checkpoint_path: \"ckpt-2\"\n"sv);
    CHECK(outcome(stet::compiled::open_any(folder.path())) == "file_not_found");
    folder.write("checkpoint", "model_checkpoint_path: ckpt-2"sv);
    CHECK(outcome(stet::compiled::open_any(folder.path())) == "bad_state_file");
    folder.write("ckpt-1.index", std::string(100, 'x'));
    CHECK(outcome(stet::compiled::open_any(prefix)) == "bad_magic");
    CHECK(outcome(stet::compiled::open_any(prefix + ".index")) == "unknown_format");
    CHECK(outcome(stet::compiled::open_any(prefix + ".data-00000-of-00001")) == "bad_magic");
    std::filesystem::remove(to_path(prefix + ".index"));
    CHECK(outcome(stet::compiled::open_any(prefix + ".data-00000-of-00001")) == "file_not_found");
  }

  TEST_CASE("full names and slots are said of their variables") {
    const temp_folder folder;
    const std::string suffix = "/.ATTRIBUTES/VARIABLE_VALUE", slot = "w/.OPTIMIZER_SLOT/optimizer/m" + suffix;
    made_checkpoint made;
    made.add("w" + suffix, 1, {1}, std::vector<float>{1});
    made.add(slot, 1, {1}, std::vector<float>{2});
    made.add("plain" + suffix, 1, {1}, std::vector<float>{2});
    std::string graph = object_graph_of({{"dense/kernel", "w" + suffix}, {"", slot}, {"", "plain" + suffix}});
    protobuf_writer optimizer;
    optimizer.message(
        1, [](protobuf_writer& node) { node.message(3, [](protobuf_writer& of) { of.bytes(2, "m").varint(3, 1); }); });
    graph += optimizer.view();
    made.add_strings("_CHECKPOINTABLE_OBJECT_GRAPH", {}, {graph});
    const std::string prefix = made.write(folder);
    const auto opened = stet::compiled::open_any(prefix);
    REQUIRE(opened);
    const auto said = stet::describe(*opened);
    REQUIRE(said);
    REQUIRE(said->tensors.size() == 1);
    CHECK(said->tensors[0].name == "w" + suffix);
    CHECK(said->tensors[0].attributes ==
          stet::json_value{{"tensorflow", {{"full_name", "dense/kernel"}, {"slots", {{"m", slot}}}}}});

    made.entries.erase("_CHECKPOINTABLE_OBJECT_GRAPH");
    made.add_strings("_CHECKPOINTABLE_OBJECT_GRAPH", {}, {"\x0a\xff"});
    (void)made.write(folder);
    const auto damaged = stet::compiled::open_any(prefix);
    REQUIRE(damaged);
    const auto partly = stet::describe(*damaged); // which must not keep the tensors from being converted
    REQUIRE(partly);
    CHECK(partly->tensors.empty());
    CHECK(partly->metadata["tensorflow"]["unread"].get<std::string>().starts_with("_CHECKPOINTABLE_OBJECT_GRAPH: "));
  }

  TEST_CASE("a checkpoint without an object graph has nothing said of it") {
    const temp_folder folder;
    made_checkpoint made;
    made.add("a", 1, {1}, std::vector<float>{1});
    const std::string prefix = made.write(folder);
    const auto opened = stet::compiled::open_any(prefix);
    REQUIRE(opened);
    const auto said = stet::describe(*opened);
    REQUIRE(said);
    CHECK(*said == stet::model_description{});
  }

  TEST_CASE("real checkpoints of version 2 open, and every checksum is right") {
    const auto is_index = [](const std::string& name) { return name.ends_with(".index"); };
    for (const std::string& path :
         samples({"tf-ckpt-v2", "made/tf-ckpt-v2", "tf-savedmodel", "made/tf-savedmodel"}, is_index)) {
      CAPTURE(path);
      const std::string prefix = path.substr(0, path.size() - 6);
      const auto opened = stet::compiled::open_any(prefix);
      REQUIRE(opened);
      CHECK(opened->format->name == "tf-ckpt-v2");
      const std::string failures = read_all(*opened);
      CHECK((failures.empty() || failures == "missing_part " ||
             (failures == "bad_slice " && prefix.ends_with("partial"))));
      CHECK(stet::describe(*opened));
    }
  }

  TEST_CASE("real checkpoints of version 1 open") {
    const auto is_table = [](const std::string& name) {
      return name == "old.ckpt-7" || name == "sharded-00000-of-00001" || name == "export-00000-of-00001";
    };
    for (const std::string& path : samples({"tf-ckpt-v1", "made/tf-ckpt-v1"}, is_table)) {
      CAPTURE(path);
      const auto opened = stet::compiled::open_any(path);
      REQUIRE(opened);
      CHECK(opened->format->name == "tf-ckpt-v1");
      CHECK(read_all(*opened).empty());
      CHECK(stet::describe(*opened));
    }
  }

  TEST_CASE("real folders open at the checkpoint that TensorFlow saved last") {
    for (const std::string& path : samples({"tf-ckpt-v2", "made/tf-ckpt-v2", "made/tf-ckpt-v1"},
                                           [](const std::string& name) { return name == "checkpoint"; })) {
      CAPTURE(path);
      CHECK(stet::compiled::open_any(path.substr(0, path.rfind('/'))));
    }
  }

  TEST_CASE("small real indexes, cut off anywhere or with any bit flipped, open or are refused") {
    const auto is_index = [](const std::string& name) { return name.ends_with(".index"); };
    const temp_folder folder;
    for (const std::string& path : samples({"tf-ckpt-v2", "made/tf-ckpt-v2"}, is_index)) {
      const std::string good = contents_of(path);
      if (good.size() > 300) continue;
      CAPTURE(path);
      for (std::size_t size = 0; size < good.size(); ++size) {
        folder.write("m.index", good.substr(0, size));
        CHECK(outcome(stet::open_tensorflow_checkpoint(folder.path("m"))) == (size < 48 ? "truncated" : "bad_magic"));
      }
      for (std::size_t bit = 0; bit < (good.size() - 48) * 8; ++bit) {
        std::string damaged = good;
        damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
        folder.write("m.index", damaged);
        CHECK(outcome(stet::open_tensorflow_checkpoint(folder.path("m"))) == "table_checksum");
      }
    }
  }
}
