// SPDX-License-Identifier: MIT
// Tests of pytorch/distributed.hpp: pieces in place and gathered, missing and damaged ones, values as state.
#include <stet/formats/pytorch/distributed.hpp>

#include "support/outcome.hpp"
#include "support/pytorch_files.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

TEST_SUITE_BEGIN("pytorch distributed");

namespace {

using namespace std::literals;
using namespace stet_test;

/// A piece: `count` floats from `first` on, of this shape.
std::string dcp_piece(const dcp_sizes& size, const dcp_sizes& stride, std::size_t count, float first = 0) {
  return pytorch_file(pt::tensor("0", static_cast<std::int64_t>(count), 0, size, stride),
                      {{"0", floats(count, first)}});
}
/// The values of a tensor, or the error of reading it with its subject.
std::string dcp_values(const stet::model& of, std::string_view name) {
  const auto found = of.store.find(name);
  REQUIRE(found);
  std::vector<float> values(static_cast<std::size_t>(found->size_bytes() / sizeof(float)));
  if (const auto read = found->read(0, std::as_writable_bytes(std::span(values))); !read)
    return outcome(read) + " " + std::string(read.error().subject());
  std::string made;
  for (const float each : values) made += std::to_string(static_cast<int>(each)) + " ";
  return made;
}
std::string dcp_open(const std::string& path) {
  const auto opened = stet::open_as(stet::pytorch_folder_format, path);
  return opened ? "ok" : outcome(opened) + " " + std::string(opened.error().subject());
}

} // namespace

TEST_CASE("a tensor of one piece is in place, of several gathered") {
  const temp_folder folder;
  const std::string left = dcp_piece({2, 2}, {2, 1}, 4), right = dcp_piece({2, 1}, {1, 1}, 2, 10),
                    whole = dcp_piece({3}, {1}, 3, 20), turned = dcp_piece({2, 2}, {1, 2}, 4, 30);
  folder.write("__0_0.distcp", left + whole + turned);
  folder.write("__1_0.distcp", right);
  folder.write("__2_0.distcp", "a leftover");
  const std::string metadata = dcp_metadata(
      {pt::text("cut"), dcp_tensor({2, 3}, {dcp_chunk({0, 0}, {2, 2}), dcp_chunk({0, 2}, {2, 1})}), pt::text("whole"),
       dcp_tensor({3}, {dcp_chunk({0}, {3})}), pt::text("turned"), dcp_tensor({2, 2}, {dcp_chunk({0, 0}, {2, 2})}),
       pt::text("none"), dcp_tensor({0, 3}, {dcp_chunk({0, 0}, {0, 3})}), pt::text("step"),
       dcp_object("BytesStorageMetadata", pt::dict({}))},
      {dcp_place("cut", dcp_size({0, 0}), "__0_0.distcp", 0, left.size()),
       dcp_place("whole", dcp_size({0}), "__0_0.distcp", left.size(), whole.size()),
       dcp_place("turned", dcp_size({0, 0}), "__0_0.distcp", left.size() + whole.size(), turned.size()),
       dcp_place("cut", dcp_size({0, 2}), "__1_0.distcp", 0, right.size())});
  const std::string table = folder.write(".metadata", metadata);
  const std::string top = std::filesystem::path(table).parent_path().string();
  for (const std::string& path : {top, table}) {
    stet::format_probe probe(path);
    CHECK(stet::pytorch_folder_format.recognises(probe));
    for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
      const auto model = stet::open_as(stet::pytorch_folder_format, path, {.backing = backing});
      REQUIRE(model);
      CHECK(model->file_count == 2);
      CHECK(dcp_values(*model, "cut") == "0 1 10 2 3 11 ");
      CHECK(dcp_values(*model, "whole") == "20 21 22 ");
      CHECK(dcp_values(*model, "turned") == "30 32 31 33 ");
      CHECK(dcp_values(*model, "none") == "");
      const auto in_place = model->store.find("whole");
      CHECK(model->is_in_file(*in_place));
      CHECK(in_place->entry().offset_bytes() == (left + whole + turned).find(floats(3, 20)));
      CHECK_FALSE(model->is_in_file(*model->store.find("cut")));
    }
  }
  std::filesystem::remove(std::filesystem::path(top) / "__1_0.distcp");
  const auto model = stet::open_as(stet::pytorch_folder_format, top);
  REQUIRE(model);
  CHECK(dcp_values(*model, "cut") == "missing_part __1_0.distcp");
  CHECK(dcp_values(*model, "whole") == "20 21 22 ");
}

TEST_CASE("pieces that do not make up their tensor cost that tensor") {
  const std::string four = dcp_piece({2, 2}, {2, 1}, 4), two = dcp_piece({2, 1}, {1, 1}, 2);
  const auto read = [&](const std::string& tensor, std::initializer_list<std::string> places, std::size_t cut = 0) {
    const temp_folder folder;
    const std::string all = four + two;
    folder.write("a.distcp", all.substr(0, all.size() - cut));
    const std::string table = folder.write(".metadata", dcp_metadata({pt::text("w"), tensor}, places));
    const auto model = stet::open_as(stet::pytorch_folder_format, table);
    return model ? dcp_values(*model, "w")
                 : "not opened: " + outcome(model) + " " + std::string(model.error().subject());
  };
  const std::string first = dcp_place("w", dcp_size({0, 0}), "a.distcp", 0, four.size()),
                    second = dcp_place("w", dcp_size({0, 2}), "a.distcp", four.size(), two.size());
  CHECK(read(dcp_tensor({2, 3}, {dcp_chunk({0, 0}, {2, 2}), dcp_chunk({0, 2}, {2, 1})}), {first, second}) ==
        "0 1 0 2 3 1 ");
  CHECK(read(dcp_tensor({2, 3}, {dcp_chunk({0, 0}, {2, 2})}), {first}) == "bad_slice w");
  CHECK(read(dcp_tensor({2, 4}, {dcp_chunk({0, 0}, {2, 2}), dcp_chunk({0, 2}, {2, 1})}), {first, second}) ==
        "bad_slice w");
  CHECK(read(dcp_tensor({2, 2}, {dcp_chunk({0, 0}, {2, 2}), dcp_chunk({0, 0}, {2, 2})}), {first}) == "bad_slice w");
  CHECK(read(dcp_tensor({1, 2}, {dcp_chunk({0, 0}, {2, 2})}), {first}) == "bad_slice w");
  CHECK(read(dcp_tensor({2, 2}, {dcp_chunk({0, 0}, {2, 2})}), {second}) == "bad_slice w: a chunk without a place");
  CHECK(read(dcp_tensor({4}, {dcp_chunk({0}, {4})}), {dcp_place("w", dcp_size({0}), "a.distcp", 0, four.size())}) ==
        "bad_slice w: a.distcp");
  CHECK(read(dcp_tensor({2, 2}, {dcp_chunk({0, 0}, {2, 2})}, "int32"), {first}) == "bad_slice w: a.distcp");
  CHECK(read(dcp_tensor({2, 2}, {dcp_chunk({0, 0}, {2, 2})}),
             {dcp_place("w", dcp_size({0, 0}), "a.distcp", 0, four.size() - 1)})
            .starts_with("bad_archive w"));
  CHECK(read(dcp_tensor({2, 1}, {dcp_chunk({0, 0}, {2, 1})}),
             {dcp_place("w", dcp_size({0, 0}), "a.distcp", four.size(), two.size())}, 1) == "truncated a.distcp");
  CHECK(read(dcp_tensor({2, 2}, {dcp_chunk({0, 0}, {2, 2})}),
             {dcp_place("w", dcp_size({0, 0}), "../a.distcp", 0, 1)}) == "not opened: bad_path ../a.distcp");
  CHECK(read(dcp_tensor({-2, 2}, {dcp_chunk({0, 0}, {2, 2})}), {first}) == "not opened: bad_shape w");
  CHECK(read(dcp_tensor({std::int64_t{1} << 62, 2}, {dcp_chunk({0, 0}, {2, 2})}), {first}) ==
        "not opened: bad_shape w");
  const auto everything = [&](std::string_view name) {
    return dcp_place(name, dcp_size({0, 0}), "a.distcp", 0, four.size() + two.size());
  };
  CHECK(read(dcp_tensor({2, 2}, {dcp_chunk({0, 0}, {2, 2})}), {everything("w"), everything("v")}) ==
        "not opened: overlap a.distcp");
}

TEST_CASE("values that are no tensors are the state, where the planner has them") {
  const temp_folder folder;
  const std::string epoch = pytorch_file(pt::integer(3), {}), rate = pytorch_file("G\x3f\xe0\0\0\0\0\0\0"s, {});
  folder.write("a.distcp", epoch + rate);
  const std::string table = folder.write(
      ".metadata", dcp_metadata({pt::text("epoch"), dcp_object("BytesStorageMetadata", pt::dict({})),
                                 pt::text("groups.0.lr"), dcp_object("BytesStorageMetadata", pt::dict({})),
                                 pt::text("gone"), dcp_object("BytesStorageMetadata", pt::dict({}))},
                                {dcp_place("epoch", "N", "a.distcp", 0, epoch.size()),
                                 dcp_place("groups.0.lr", "N", "a.distcp", epoch.size(), rate.size())},
                                {pt::text("epoch"), pt::tuple({pt::text("epoch")}), pt::text("groups.0.lr"),
                                 pt::tuple({pt::text("groups"), pt::integer(0), pt::text("lr")})}));
  const auto model = stet::open_as(stet::pytorch_folder_format, table);
  REQUIRE(model);
  CHECK(model->store.tensor_count() == 0);
  const auto described = stet::describe(*model);
  REQUIRE(described);
  CHECK(described->state.dump() == R"({"epoch":3,"groups":{"0":{"lr":0.5}}})");
}

TEST_CASE("folders that are no checkpoints, or damaged ones") {
  const temp_folder folder;
  const std::string table = folder.write(".metadata", pt::pickle("N"));
  const std::string top = std::filesystem::path(table).parent_path().string();
  {
    stet::format_probe probe(top);
    CHECK_FALSE(stet::pytorch_folder_format.recognises(probe));
  }
  CHECK(dcp_open(table) == "malformed .metadata");
  folder.write(".metadata", pt::pickle(pt::call(pt::global("os", "system"), pt::tuple({pt::text("echo")}))));
  CHECK(dcp_open(table) == "malformed os: system");
  const std::string whole = dcp_metadata({}, {});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    folder.write(".metadata", whole.substr(0, size));
    CHECK(dcp_open(table).starts_with("truncated"));
  }
  std::filesystem::remove(table);
  folder.write("__0_0.distcp", "x");
  stet::format_probe probe(top);
  CHECK(stet::pytorch_folder_format.recognises(probe));
  CHECK(dcp_open(top).starts_with("missing_part "));
  CHECK(dcp_open(top).ends_with(".metadata"));
}

TEST_CASE("samples of distributed checkpoints open") {
  const char* const samples = std::getenv("STET_SAMPLES");
  if (samples == nullptr) {
    MESSAGE("skipped: STET_SAMPLES is not set");
    return;
  }
  const std::string folder = (std::filesystem::path(samples) / "hard" / "dcp").string() + "/";
  for (const std::string name : {"plain", "ranks2", "mesh2x2", "threads", "file_missing", "file_cut"}) {
    CAPTURE(name);
    const auto model = stet::open_as(stet::pytorch_folder_format, folder + name);
    REQUIRE(model);
    const auto described = stet::describe(*model);
    REQUIRE(described);
    CAPTURE(described->state.dump());
    CHECK(described->state.contains("epoch") == (name != "file_missing"));
  }
  CHECK(dcp_open(folder + "evil_metadata").starts_with("malformed "));
}

TEST_SUITE_END();
