// SPDX-License-Identifier: MIT
// Tests of pytorch/format.hpp and describe.hpp: what is recognised, the state beside tensors, and their notes.
#include <stet/formats/pytorch/format.hpp>

#include "support/npy_files.hpp"
#include "support/outcome.hpp"
#include "support/pytorch_files.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

TEST_SUITE_BEGIN("pytorch format");

namespace {

using namespace std::literals;
using namespace stet_test;

bool pt_is_recognised(const temp_folder& folder, const std::string& bytes) {
  const std::string path = folder.write("model.bin", bytes);
  stet::format_probe probe(path);
  return stet::pytorch_format.recognises(probe);
}

/// The state as JSON, then the notes of tensors, a line each.
std::string pt_described(const temp_folder& folder, const std::string& bytes) {
  const std::string path = folder.write("described.pt", bytes);
  const auto model = stet::open_as(stet::pytorch_format, path);
  if (!model) return outcome(model);
  const auto described = stet::describe(*model);
  if (!described) return outcome(described) + " " + std::string(described.error().subject());
  std::string made = described->state.dump() + "\n";
  for (const stet::tensor_note& each : described->tensors) made += each.name + " " + each.attributes.dump() + "\n";
  return made;
}

} // namespace

TEST_CASE("files of PyTorch are told from others by their directory and first bytes") {
  const temp_folder folder;
  CHECK(pt_is_recognised(folder, example_pytorch_file()));
  CHECK(pt_is_recognised(folder, example_legacy_pytorch_file()));
  CHECK(pt_is_recognised(folder, example_tar_pytorch_file()));
  CHECK(pt_is_recognised(folder, exported_pytorch_file(std::string(exported_meta), floats(6))));
  CHECK(pt_is_recognised(folder, zip_of({{"m/code/x.py", ""}, {"m/data.pkl", "N."}})));
  CHECK(pt_is_recognised(folder, "L119547037146038801333356L\n.I1001\n."));
  CHECK(pt_is_recognised(folder, "\x80\x04\x95\x0d\0\0\0\0\0\0\0\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."s));
  CHECK(pt_is_recognised(folder, example_pytorch_file().substr(0, 200))); // cut off: opening says so
  CHECK_FALSE(pt_is_recognised(folder, zip_of({{"a.npy", example_npy_file()}})));
  CHECK_FALSE(pt_is_recognised(folder, zip_of({{"model.weights.h5", "x"}, {"config.json", "{}"}})));
  CHECK_FALSE(pt_is_recognised(folder, zip_of({{"readme.txt", "x"}, {"m/data.pkl", "N."}})));
  CHECK_FALSE(pt_is_recognised(folder, zip_of({{"data.pkl", "N."}})));
  CHECK_FALSE(pt_is_recognised(folder, pt::pickle("N")));
  CHECK_FALSE(pt_is_recognised(folder, tar_of({{"readme", "x"}})));
  CHECK_FALSE(pt_is_recognised(folder, ""));
  CHECK_FALSE(pt_is_recognised(folder, "L\n"));
}

TEST_CASE("every backing gives the same model") {
  const temp_folder folder;
  const std::string path = folder.write("model.pt", example_pytorch_file());
  for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
    const auto model = stet::open_as(stet::pytorch_format, path, {.backing = backing});
    REQUIRE(model);
    CHECK(model->file_count == 1);
    CHECK(model->store.index().part(0).path == "model.pt");
    std::vector<float> values(6);
    CHECK(outcome(model->store.find("w")->copy_to(std::span(values))) == "ok");
    CHECK(values == std::vector<float>{0, 1, 2, 3, 4, 5});
    CHECK(stet::describe(*model));
  }
  const auto opened = stet::open_pytorch(path);
  REQUIRE(opened);
  CHECK(opened->path == path);
  CHECK(outcome(stet::open_pytorch("nowhere.pt")) == "file_not_found");
}

TEST_CASE("what is no tensor is the state") {
  const temp_folder folder;
  const std::string w = pt::tensor("0", 6, 0, {6}, {1});
  CHECK(pt_described(folder, example_pytorch_file()) == "null\n");
  CHECK(
      pt_described(
          folder,
          pytorch_file(pt::dict({pt::text("model"),
                                 pt::ordered_dict({pt::text("w"), w}),
                                 pt::text("epoch"),
                                 pt::integer(3),
                                 pt::text("none"),
                                 "N",
                                 pt::text("b"),
                                 "\x88",
                                 pt::text("lr"),
                                 "G\x3f\xe0\0\0\0\0\0\0"s,
                                 pt::text("nan"),
                                 "G\x7f\xf8\0\0\0\0\0\0"s,
                                 pt::text("inf"),
                                 "G\xff\xf0\0\0\0\0\0\0"s,
                                 pt::text("name"),
                                 pt::text("x\xc3\xa9"),
                                 pt::text("bad"),
                                 pt::text("\xff"),
                                 pt::text("raw"),
                                 "C\2\0\xff"s,
                                 pt::text("large"),
                                 "\x8a\x09\0\0\0\0\0\0\0\0\1"s,
                                 pt::text("groups"),
                                 pt::list({pt::dict({pt::text("params"), pt::list({pt::integer(0), w})})}),
                                 pt::text("only"),
                                 pt::list({w}),
                                 pt::integer(7),
                                 pt::integer(8),
                                 pt::text("dtype"),
                                 pt::global("torch", "bfloat16"),
                                 pt::text("args"),
                                 pt::call(pt::global("argparse", "Namespace"), ")") +
                                     pt::dict({pt::text("lr"), pt::integer(1), pt::text("t"), w}) + "b",
                                 pt::text("set"),
                                 pt::call(pt::global("__builtin__", "set"), pt::tuple({pt::list({pt::integer(1)})})),
                                 pt::text("epoch"),
                                 pt::integer(4)}),
                       {{"0", floats(6)}})) ==
      R"({"none":null,"b":true,"lr":0.5,"nan":"nan","inf":"-inf","name":"xé","bad":"0xff","raw":{"bytes":"00ff"},)"
      R"("large":"0x010000000000000000","groups":[{"params":[0,null]}],"7":8,"dtype":{"class":"torch.bfloat16"},)"
      R"("args":{"class":"argparse.Namespace","state":{"lr":1}},"set":{"class":"__builtin__.set","arguments":[[1]]},"epoch":4})"
      "\n");
  CHECK(pt_described(folder, pytorch_file(pt::list({pt::integer(1)}), {})) == "{\"object\":[1]}\n");
}

TEST_CASE("state that is much larger than its pickle is an error") {
  const temp_folder folder;
  std::string bomb = "]q\0"s;
  for (int i = 0; i < 60; ++i)
    bomb += "](h"s + static_cast<char>(i) + "h"s + static_cast<char>(i) + "eq"s + static_cast<char>(i + 1);
  CHECK(pt_described(folder, pytorch_file(bomb, {})) == "too_large the state");
  CHECK(pt_described(folder, pytorch_file("]q\0h\0a"s, {})) == "null\n"); // nothing but itself
}

TEST_CASE("the notes of views and of tensors that are trained") {
  const temp_folder folder;
  const std::string parameter = pt::call(pt::global("torch._utils", "_rebuild_parameter"),
                                         pt::tuple({pt::tensor("0", 6, 0, {6}, {1}), "\x88", pt::ordered_dict({})}));
  CHECK(
      pt_described(
          folder, pytorch_file(
                      pt::dict({pt::text("w"), pt::tensor("0", 6, 0, {2, 3}, {3, 1}), pt::text("t"),
                                pt::tensor("0", 6, 0, {3, 2}, {1, 3}), pt::text("p"), parameter, pt::text("n"),
                                pt::tensor("0", 6, 0, {3}, {2}, "FloatStorage", pt::dict({pt::text("neg"), "\x88"})),
                                pt::text("c"),
                                pt::tensor("0", 6, 0, {6}, {1}, "FloatStorage", pt::dict({pt::text("conj"), "\x88"}))}),
                      {{"0", floats(6)}})) == R"(null
t {"pytorch":{"strides":[1,3]}}
p {"trainable":true}
n {"pytorch":{"strides":[2],"neg":true}}
c {"pytorch":{"conj":true}}
)");
}

TEST_CASE("samples of PyTorch open and are described") {
  const char* const samples = std::getenv("STET_SAMPLES");
  if (samples == nullptr) {
    MESSAGE("skipped: STET_SAMPLES is not set");
    return;
  }
  std::size_t opened = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(samples) / "made" / "pytorch")) {
    const std::string path = entry.path().string();
    CAPTURE(path);
    stet::format_probe probe(path);
    CHECK(stet::pytorch_format.recognises(probe));
    const auto model = stet::open_as(stet::pytorch_format, probe);
    if (!model) { // there is no inflate
      CHECK(outcome(model) == "compressed");
      continue;
    }
    ++opened;
    CHECK(outcome(stet::describe(*model)) == "ok");
  }
  CHECK(opened > 40);
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(samples) / "hard" / "pytorch")) {
    const std::string name = entry.path().filename().string();
    CAPTURE(name);
    const auto model = stet::open_pytorch(entry.path().string());
    if (name.starts_with("evil_") || name.starts_with("bad_")) CHECK_FALSE(model);
  }
}

TEST_SUITE_END();
