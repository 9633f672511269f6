// SPDX-License-Identifier: MIT
// Tests of pytorch/save.hpp: golden bytes, what comes back, tied and nested names, and what cannot be saved.
#include <stet/formats/pytorch/format.hpp>
#include <stet/formats/pytorch/save.hpp>

#include <stet/formats/add_model.hpp>
#include <stet/writer.hpp>

#include "support/outcome.hpp"
#include "support/pytorch_files.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("pytorch save");

namespace {

using namespace std::literals;
using namespace stet_test;

std::string pt_file_content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}
const std::vector<float> pt_six{0, 1, 2, 3, 4, 5};

std::string pt_save_outcome(const stet::writer& out, const stet::pytorch_save_options& options = {}) {
  const temp_folder folder;
  const auto saved = stet::save_pytorch(folder.path("m.pt"), out, options);
  return saved ? "ok" : outcome(saved) + " " + std::string(saved.error().subject());
}

} // namespace

TEST_CASE("a state dict has the bytes that are agreed") {
  const temp_folder folder;
  stet::writer out;
  out.add("w", pt_six, {2, 3});
  const auto saved = stet::save_pytorch(folder.path("m.pt"), out);
  REQUIRE(saved);
  const std::string file = pt_file_content(folder.path("m.pt"));
  CHECK(saved->file_size_bytes == file.size());
  CHECK(saved->tensor_count == 1);
  CHECK(saved->storage_count == 1);
  const std::string pickle = "\x80\x02}(X\1\0\0\0wctorch._utils\n_rebuild_tensor_v2\nq\0((X\7\0\0\0storageq\1"
                             "ctorch\nFloatStorage\nq\2X\1\0\0\0"
                             "0X\3\0\0\0cpuq\3K\6tQK\0(K\2K\3t(K\3K\1t\x89"
                             "ccollections\nOrderedDict\nq\4)RtRu."s;
  const std::size_t at = file.find(pickle), elements = file.find(floats(6));
  REQUIRE(at != std::string::npos);
  CHECK(at % 64 == 0);
  REQUIRE(elements != std::string::npos);
  CHECK(elements % 64 == 0);
  CHECK(file.starts_with("PK\3\4"));
  CHECK(file.find("archive/data.pkl") == 30);
  CHECK(file.find("archive/byteorder") < file.find("archive/data/0"));
  CHECK(file.find("archive/data/0") < file.find("archive/version"));
  // The same model, the same bytes.
  REQUIRE(stet::save_pytorch(folder.path("again.pt"), out));
  CHECK(pt_file_content(folder.path("again.pt")) == file);
}

TEST_CASE("what was saved opens again, with its types, aliases and alignment") {
  const temp_folder folder;
  stet::writer out;
  out.add("layer.weight", pt_six, {2, 3});
  const std::vector<double> seven{7};
  const std::vector<std::int64_t> none;
  const std::vector<std::uint16_t> pair{1, 2};
  out.add("scalar", seven, {});
  out.add("empty", none, {0, 3});
  out.add("short", pair, {2});
  out.add_alias("head.weight", "layer.weight");
  const auto saved = stet::save_pytorch(folder.path("m.pt"), out);
  REQUIRE(saved);
  CHECK(saved->tensor_count == 5);
  CHECK(saved->storage_count == 4);
  const auto model = stet::open_as(stet::pytorch_format, folder.path("m.pt"));
  REQUIRE(model);
  CHECK(model->store.tensor_count() == 5);
  const auto head = model->store.find("head.weight");
  REQUIRE(head);
  CHECK(model->store.original_of(*head)->name() == "layer.weight");
  CHECK(model->store.get<double>("scalar"));
  CHECK(model->store.get<std::uint16_t>("short"));
  CHECK(model->store.find("empty")->shape()[1] == 3);
  for (const stet::tensor each : model->store) {
    CHECK(model->is_in_file(each));
    if (each.size_bytes() != 0) CHECK(each.entry().offset_bytes() % 64 == 0);
  }
  const auto described = stet::describe(*model);
  REQUIRE(described);
  REQUIRE(described->tensors.size() == 1);
  CHECK(described->tensors[0].name == "head.weight");
  CHECK(described->tensors[0].attributes.dump() == "{\"tied\":true}");
  // And once more through what was opened: the same bytes.
  stet::writer copy;
  REQUIRE(stet::add_model(copy, *model));
  REQUIRE(stet::save_pytorch(folder.path("copy.pt"), copy));
  CHECK(pt_file_content(folder.path("copy.pt")) == pt_file_content(folder.path("m.pt")));
}

TEST_CASE("views that are not contiguous and big-endian elements are saved as plain ones") {
  const temp_folder folder;
  std::string swapped;
  for (std::size_t i = 0; i < 6; ++i) {
    const std::string each = floats(1, static_cast<float>(i));
    swapped.append(each.rbegin(), each.rend());
  }
  folder.write("big.pt", pytorch_file(pt::dict({pt::text("t"), pt::tensor("0", 6, 0, {3, 2}, {1, 3})}),
                                      {{"0", swapped}}, {{"byteorder", "big"}}));
  const auto model = stet::open_as(stet::pytorch_format, folder.path("big.pt"));
  REQUIRE(model);
  stet::writer out;
  REQUIRE(stet::add_model(out, *model));
  REQUIRE(stet::save_pytorch(folder.path("m.pt"), out));
  const auto again = stet::open_pytorch(folder.path("m.pt"));
  REQUIRE(again);
  const auto values = again->store.get<float>("t");
  REQUIRE(values);
  CHECK(std::vector<float>(values->begin(), values->end()) == std::vector<float>{0, 3, 1, 4, 2, 5});
}

TEST_CASE("names are nested on request") {
  const temp_folder folder;
  stet::writer out;
  out.add("a.b", pt_six, {6});
  out.add("c", pt_six, {6});
  out.add("a.d.e", pt_six, {6});
  stet::pytorch_save_options nested;
  nested.nests_names = true;
  REQUIRE(stet::save_pytorch(folder.path("m.pt"), out, nested));
  const std::string file = pt_file_content(folder.path("m.pt"));
  CHECK(file.find("X\1\0\0\0a}(X\1\0\0\0b"s) != std::string::npos);
  const auto model = stet::open_pytorch(folder.path("m.pt"));
  REQUIRE(model);
  std::string names;
  for (const stet::tensor each : model->store) names += std::string(each.name()) + " ";
  CHECK(names == "a.b a.d.e c ");
  out.add("a.b.f", pt_six, {6});
  CHECK(pt_save_outcome(out) == "ok");
  CHECK(pt_save_outcome(out, nested).starts_with("not_expressible a.b.f: another tensor's name"));
}

TEST_CASE("what PyTorch does not have cannot be saved") {
  stet::writer strings;
  strings.add("s", "a");
  CHECK(pt_save_outcome(strings).starts_with("not_expressible s: PyTorch has no such type"));
  stet::writer out;
  out.add("w", pt_six, {6});
  CHECK(outcome(stet::save_pytorch("", out)) == "bad_path");
  CHECK(outcome(stet::save_pytorch("no/such/folder/m.pt", out)) == "file_not_found");
  CHECK(pt_save_outcome(stet::writer()) == "ok");
}

TEST_SUITE_END();
