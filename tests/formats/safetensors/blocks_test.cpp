// SPDX-License-Identifier: MIT
// Distributed checkpoints of PyTorch in safetensors files: tensors gathered from their blocks.
#include <stet/formats/safetensors/format.hpp>

#include "support/outcome.hpp"
#include "support/safetensors_files.hpp"
#include "support/temp_folder.hpp"

#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("safetensors");

namespace {

/// A block of a tensor of U8 in a file: its extents, where it begins in the tensor, and its elements.
struct block {
  std::string_view name, shape, offsets, elements;
};

/// The file of a rank with these blocks.
std::string file_of_blocks(std::initializer_list<block> blocks) {
  std::string rows, info, data;
  for (const block& each : blocks) {
    rows.append(",\"").append(each.name).append("\":{\"dtype\":\"U8\",\"shape\":[").append(each.shape);
    rows.append("],\"data_offsets\":[").append(std::to_string(data.size())).append(",");
    data.append(each.elements);
    rows.append(std::to_string(data.size())).append("]}");
    info.append(info.empty() ? "" : ", ").append("\\\"").append(each.name);
    info.append("\\\": {\\\"saved_offsets\\\": [").append(each.offsets).append("]}");
  }
  return stet_test::safetensors_file(R"({"__metadata__":{"DCP_SHARDING_INFO":"{)" + info +
                                         R"(}","DCP_VERSION":"1.0","format":"pt"})" + rows + "}",
                                     data);
}

/// A folder with a file for each rank.
struct checkpoint {
  stet_test::temp_folder folder;
  explicit checkpoint(std::initializer_list<std::string> files) {
    int rank = 0;
    for (const std::string& each : files)
      (void)folder.write("shard-0000" + std::to_string(++rank) + "-model-00001-of-00001.safetensors", each);
  }
  [[nodiscard]] stet::result<stet::model> open(const stet::open_options& options = {}) const {
    return stet::compiled::open_any(folder.path(""), options);
  }
};

/// The elements of a tensor as text; the name of the error if it cannot be read.
std::string elements_of(const stet::store& of, std::string_view name) {
  const auto found = of.find(name);
  if (!found) return stet::describe(found.error().code()).name;
  std::string text(static_cast<std::size_t>(found->size_bytes()), '?');
  const auto read = found->read(0, std::as_writable_bytes(std::span(text)));
  return read ? text : stet::describe(read.error().code()).name;
}

} // namespace

TEST_CASE("blocks are gathered by their offsets, and one that is the whole tensor is in place") {
  const checkpoint files{
      file_of_blocks({{"w", "2,2", "0,0", "abef"}, {"rows", "1,3", "1,0", "456"}, {"s", "", "", "S"}}),
      file_of_blocks({{"w", "2,2", "0,2", "cdgh"}, {"rows", "1,3", "0,0", "123"}, {"e", "0", "0", ""}})};
  for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
    const auto model = files.open({.backing = backing});
    REQUIRE(model);
    CHECK(model->format == &stet::safetensors_folder_format);
    CHECK(model->file_count == 2);
    CHECK(model->omitted.empty());
    std::string names;
    for (const stet::tensor each : model->store) names.append(each.name()).append(" ");
    CHECK(names == "w rows s e ");
    CHECK(model->store.find("w")->shape().equals({2, 4}));
    CHECK(elements_of(model->store, "w") == "abcdefgh");
    CHECK(elements_of(model->store, "rows") == "123456");
    CHECK(elements_of(model->store, "s") == "S");
    CHECK(elements_of(model->store, "e").empty());
    CHECK(model->is_in_file(*model->store.find("s")));
    CHECK_FALSE(model->is_in_file(*model->store.find("w")));
    const auto described = stet::describe(*model);
    REQUIRE(described);
    CHECK(described->metadata.dump() == R"({"format":"pt"})");
  }
}

TEST_CASE("blocks that lie one behind the other in a file are in place") {
  const checkpoint files{file_of_blocks({{"x", "2", "0", "ab"}}), file_of_blocks({{"y", "1", "0", "c"}})};
  const auto model = files.open();
  REQUIRE(model);
  CHECK(model->is_in_file(*model->store.find("x")));
  CHECK_FALSE(model->store.find("x")->entry().has_crc32c());
}

TEST_CASE("gaps and overlaps fail the tensor alone, when it is read") {
  const checkpoint files{
      file_of_blocks(
          {{"gap", "2", "0", "ab"}, {"lap", "2", "0", "ab"}, {"same", "2", "0", "ab"}, {"ok", "1", "0", "1"}}),
      file_of_blocks(
          {{"gap", "2", "3", "cd"}, {"lap", "2", "1", "cd"}, {"same", "2", "0", "ab"}, {"ok", "1", "1", "2"}})};
  const auto model = files.open();
  REQUIRE(model);
  CHECK(model->store.find("gap")->shape().equals({5}));
  CHECK(elements_of(model->store, "gap") == "bad_slice");
  CHECK(elements_of(model->store, "lap") == "bad_slice");
  CHECK(elements_of(model->store, "same") == "bad_slice");
  CHECK(elements_of(model->store, "ok") == "12");
}

TEST_CASE("blocks that make no shape are omitted, with the reason") {
  const checkpoint files{file_of_blocks({{"rank", "2", "0", "ab"},
                                         {"count", "2", "0,0", "ab"},
                                         {"far", "2", "18446744073709551615", "ab"},
                                         {"large", "1,1", "9223372036854775806,9223372036854775806", "a"}}),
                         file_of_blocks({{"rank", "1,2", "0,0", "ab"}})};
  const auto model = files.open();
  REQUIRE(model);
  CHECK(model->store.tensor_count() == 0);
  REQUIRE(model->omitted.size() == 4);
  CHECK(model->omitted[0].name == "rank");
  CHECK(model->omitted[0].reason.code() == stet::errc::bad_slice);
  CHECK(model->omitted[1].reason.code() == stet::errc::bad_slice);
  CHECK(model->omitted[2].reason.code() == stet::errc::bad_shape);
  CHECK(model->omitted[3].reason.code() == stet::errc::bad_shape);
}

TEST_CASE("a table of offsets that is not of its form is an error of the file") {
  for (const std::string_view info : {"[]", "{", R"({\"x\":1})", R"({\"x\":{\"saved_offsets\":1}})",
                                      R"({\"x\":{\"saved_offsets\":[-1]}})", R"({}{})"}) {
    CAPTURE(info);
    const checkpoint files{
        stet_test::safetensors_file(R"({"__metadata__":{"DCP_SHARDING_INFO":")" + std::string(info) + "\"}}")};
    const auto model = files.open();
    REQUIRE_FALSE(model);
    CHECK(model.error().code() == stet::errc::malformed);
    CHECK(model.error().subject() == "shard-00001-model-00001-of-00001.safetensors");
  }
}

TEST_SUITE_END();
