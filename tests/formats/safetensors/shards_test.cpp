// SPDX-License-Identifier: MIT
// Sharded safetensors models: the index decides which file a tensor comes from.
#include <stet/formats/safetensors.hpp>

#include "support/counted_memory.hpp"
#include "support/exact_text.hpp"
#include "support/outcome.hpp"
#include "support/own_files.hpp"
#include "support/safetensors_files.hpp"
#include "support/temp_folder.hpp"

#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>
#include <stet/formats/safetensors/format.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("safetensors");

namespace {

using stet_test::shard_of;

constexpr std::string_view first_shard = "m-00001-of-00002.safetensors", second_shard = "m-00002-of-00002.safetensors",
                           index_name = "m.safetensors.index.json";

/// An index of these tensors and files.
std::string weight_map(std::initializer_list<std::pair<std::string_view, std::string_view>> rows) {
  std::string text = R"({"metadata":{"total_size":4},"weight_map":{)";
  for (const auto& [name, file] : rows)
    text.append(text.back() == '{' ? "" : ",").append("\"").append(name).append("\":\"").append(file).append("\"");
  return text + "}}";
}

/// A folder with two shards, which have a tensor in common, and an index.
struct two_shards {
  stet_test::temp_folder folder;
  std::string index;
  explicit two_shards(std::string_view map = R"({"weight_map":{"a":"m-00001-of-00002.safetensors",)"
                                             R"("\u0062":"m-00002-of-00002.safetensors"}})") {
    (void)folder.write(std::string(first_shard), shard_of({"a", "b"}, 1));
    (void)folder.write(std::string(second_shard), shard_of({"unlisted", "b", "a"}, 2));
    index = folder.write(std::string(index_name), map);
  }
};

int value_of(const stet::store& of, std::string_view name) {
  std::vector<std::uint8_t> values(2);
  const auto found = of.find(name);
  if (!found || !found->copy_to(std::span(values))) return -1;
  return values[0] == values[1] ? values[0] : -2;
}

/// The name of the error and its subject; "ok" for none.
std::string failure_of_map(std::string_view map) {
  const two_shards files(map);
  const auto opened = stet::open_safetensors(files.index);
  if (opened) return "ok";
  std::string text(stet::describe(opened.error().code()).name);
  const std::string_view subject = opened.error().subject();
  if (subject.ends_with(index_name)) return text.append(" (index)");
  return subject.empty() ? text : text.append(" ").append(subject);
}

} // namespace

TEST_CASE("the index assigns each tensor to one of the shards") {
  const two_shards files;
  for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
    const auto store = stet::open_safetensors(files.index, {.backing = backing});
    REQUIRE(store);
    CHECK(store->tensor_count() == 2);
    CHECK(value_of(*store, "a") == 1);
    CHECK(value_of(*store, "b") == 2);
    CHECK_FALSE(store->contains("unlisted"));
    REQUIRE(store->index().part_count() == 2);
    CHECK(store->index().part(0).path == first_shard);
    CHECK(store->index().part(1).path == second_shard);
    CHECK(store->find("b")->entry().part() == 1);
    CHECK(store->find("b")->entry().number() == 1);
  }
}

TEST_CASE("all memory comes from the options, and where there is none, opening fails and leaves nothing") {
  const two_shards files;
  stet_test::counted_memory memory;
  {
    const auto store = stet::open_safetensors(files.index, {.memory = &memory});
    REQUIRE(store);
    CHECK(value_of(*store, "a") == 1);
  }
  CHECK(memory.live() == 0);
  REQUIRE(memory.count() > 4);
  for (std::uint64_t at = 0; at < memory.count(); ++at) {
    stet_test::counted_memory fails(at);
    CHECK(stet_test::outcome(stet::open_safetensors(files.index, {.memory = &fails})) == "out_of_memory");
    CHECK(fails.live() == 0);
  }
}

TEST_CASE("an entry whose shard or tensor is missing fails alone, by name") {
  const std::string map = weight_map({{"a", first_shard}, {"gone", second_shard}, {"lost", "m-3.safetensors"}});
  const two_shards files(map);
  const auto store = stet::open_safetensors(files.index);
  REQUIRE(store);
  CHECK(store->tensor_count() == 1);
  CHECK(stet_test::outcome(store->find("gone")) == "not_found");
  const auto model = stet::compiled::open_any(files.index);
  REQUIRE(model);
  CHECK(model->format == &stet::safetensors_format);
  CHECK(model->file_count == 2);
  CHECK(value_of(model->store, "a") == 1);
  REQUIRE(model->omitted.size() == 2);
  CHECK(model->omitted[0].name == "gone");
  CHECK(model->omitted[0].reason.code() == stet::errc::not_found);
  CHECK(model->omitted[0].reason.subject() == "m-00002-of-00002.safetensors: gone");
  CHECK(model->omitted[1].name == "lost");
  CHECK(model->omitted[1].reason.code() == stet::errc::missing_part);
  CHECK(model->omitted[1].reason.subject() == "m-3.safetensors");
}

#if !defined(_WIN32) && !defined(__EMSCRIPTEN__) && !defined(__wasi__)
TEST_CASE("P2: a snapshot of huggingface_hub's cache opens, whose files are links to blobs; other links are refused") {
  const stet_test::temp_folder folder;
  namespace fs = std::filesystem;
  const fs::path root(folder.path("models--a--b"));
  REQUIRE(fs::create_directories(root / "snapshots" / "rev"));
  REQUIRE(fs::create_directories(root / "blobs"));
  const std::string sha256(64, 'a'), other(std::string(63, '0') + 'f'), sha1(40, 'b');
  const auto put = [&](const std::string& hash, std::string_view bytes) {
    (void)folder.write("models--a--b/blobs/" + hash, bytes);
  };
  put(sha256, shard_of({"a"}, 1));
  put(other, shard_of({"b"}, 2));
  put(sha1, weight_map({{"a", std::string(first_shard)}, {"b", std::string(second_shard)}}));
  const auto link = [&](std::string_view name, const std::string& target) {
    const fs::path at = root / "snapshots" / "rev" / fs::path(name);
    fs::remove(at);
    fs::create_symlink(target, at);
  };
  link(first_shard, "../../blobs/" + sha256);
  link(second_shard, "../../blobs/" + other);
  link(index_name, "../../blobs/" + sha1);
  const std::string snapshot = folder.path("models--a--b/snapshots/rev");
  const std::string index = snapshot + "/" + std::string(index_name);
  for (const stet::backing how : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
    const auto store = stet::open_safetensors(index, {.backing = how});
    REQUIRE(store);
    CHECK(store->tensor_count() == 2);
    CHECK(store->find("b"));
    CHECK(stet::compiled::open_any(snapshot, {.backing = how}));
  }
  const auto code = [&] { return stet_test::outcome(stet::open_safetensors(index)); };
  const std::string upper(64, 'A'), shorter(39, 'a');
  put(upper, shard_of({"b"}, 2));
  put(shorter, shard_of({"b"}, 2));
  put(std::string(64, 'c') + ".x", shard_of({"b"}, 2));
  const std::string targets[] = {"../../blobs/" + upper,
                                 "../../blobs/" + shorter,
                                 "../../blobs/" + std::string(64, 'c') + ".x",
                                 "../../blobs/../blobs/" + other,
                                 "../../../models--a--b/blobs/" + other,
                                 std::string(first_shard),
                                 folder.path("models--a--b/blobs/" + other)};
  for (const std::string& target : targets) {
    CAPTURE(target);
    link(second_shard, target);
    CHECK(code() == "bad_path");
    CHECK(stet::open_safetensors(index).error().subject() == second_shard);
  }
  // A blob is a file: a link or a hard link there leads elsewhere again.
  const std::string third(64, 'd');
  fs::create_symlink(other, root / "blobs" / third);
  link(second_shard, "../../blobs/" + third);
  CHECK(code() == "bad_path");
  fs::remove(root / "blobs" / third);
  fs::create_hard_link(root / "blobs" / other, root / "blobs" / third);
  CHECK(code() == "bad_path");
  fs::remove(root / "blobs" / third); // which leaves a link to nothing: one shard of two is missing
  const auto partly = stet::compiled::open_any(index);
  REQUIRE(partly);
  CHECK(partly->store.tensor_count() == 1);
  REQUIRE(partly->omitted.size() == 1);
  CHECK(partly->omitted[0].reason.code() == stet::errc::missing_part);
}
#endif

TEST_CASE("a stale index is an error that lists its files") {
  CHECK(failure_of_map(weight_map({{"a", "x.safetensors"}, {"b", "y.safetensors"}, {"c", "x.safetensors"}})) ==
        "missing_part x.safetensors, y.safetensors");
  CHECK(failure_of_map(weight_map({{"a", "x"}, {"b", "y"}, {"c", "z"}, {"d", "w"}})) == "missing_part x, y and 2 more");
  CHECK(failure_of_map(R"({"weight_map":{}})") == "ok");
}

TEST_CASE("the names of files are plain names") {
  for (const std::string_view name : {"../m-00001-of-00002.safetensors", "/m", "d/m", "d\\\\m", "..", ".", "", "c:m",
                                      "m\\u0000", "\\u002e\\u002e\\u002fm"}) {
    CAPTURE(name);
    CHECK(failure_of_map(weight_map({{"a", first_shard}, {"b", name}})).starts_with("bad_path"));
  }
  // The index itself is no shard.
  CHECK(failure_of_map(weight_map({{"a", index_name}})) == "bad_path (index)");
}

TEST_CASE("what is wrong with an index, by name") {
  CHECK(failure_of_map(R"({"weight_map":{"a":"x","a":"y"}})") == "duplicate_name a");
  CHECK(failure_of_map(R"({"weight_map":{"a":"x","\u0061":"x"}})") == "duplicate_name a");
  CHECK(failure_of_map(R"({"weight_map":{},"weight_map":{}})") == "duplicate_key weight_map");
  CHECK(failure_of_map(R"({"metadata":{}, "more":[]})") == "missing_field weight_map");
  CHECK(failure_of_map(R"({"weight_map":["a","x"]})") == "wrong_type weight_map");
  CHECK(failure_of_map(R"({"weight_map":{"a":1}}   )") == "wrong_type a");
  CHECK(failure_of_map(R"({"weight_map":{"a":"x"},})") == "bad_json index");
  CHECK(failure_of_map(R"({"weight_map":{"a":"x"})") == "bad_json index");
  CHECK(failure_of_map(R"({"weight_map":{"a":"x"}}{})") == "bad_json index");
  CHECK(failure_of_map("  {\"weight_map\":{\"a\":\"\xff\"}}") == "bad_json index");
}

TEST_CASE("of a damaged shard, the file is named") {
  const two_shards files;
  (void)files.folder.write(std::string(second_shard), "short");
  const auto opened = stet::open_safetensors(files.index);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code() == stet::errc::truncated);
  CHECK(opened.error().subject() == "m-00002-of-00002.safetensors: header");
}

TEST_CASE("tensors that a header lists twice are found even in shards") {
  const two_shards files;
  (void)files.folder.write(std::string(second_shard), shard_of({"b", "b"}, 2));
  const auto opened = stet::open_safetensors(files.index);
  CHECK(stet_test::outcome(opened) == "duplicate_name");
  // Holes are an error even where the tensors around them are not the model's.
  (void)files.folder.write(std::string(second_shard),
                           stet_test::safetensors_file("{" + stet_test::u8_row("x", 1, 1) + "}", "xy"));
  CHECK(stet_test::outcome(stet::open_safetensors(files.index)) == "bad_offset");
}

TEST_CASE("names in any order, and many files") {
  const stet_test::temp_folder folder;
  std::string map;
  std::vector<std::string> names;
  constexpr int files = 300;
  for (int file = 0; file < files; ++file) {
    const std::string name = "s" + std::to_string(file), own = "t" + std::to_string(file);
    (void)folder.write(name, shard_of({"decoy", own, "both"}, static_cast<char>(file % 100)));
    map.insert(0, (map.empty() ? "\"" : "\"") + own + "\":\"" + name + (map.empty() ? "\"" : "\","));
  }
  const std::string index = folder.write("i.json", "{\"weight_map\":{\"both\":\"s7\"," + map + "}}");
  const auto store = stet::open_safetensors(index);
  REQUIRE(store);
  CHECK(store->tensor_count() == files + 1);
  CHECK(value_of(*store, "both") == 7);
  for (int file = 0; file < files; ++file) CHECK(value_of(*store, "t" + std::to_string(file)) == file % 100);
}

TEST_CASE("every truncation of an index is an error") {
  const std::string map = weight_map({{"a", first_shard}, {"b", second_shard}});
  for (std::size_t size = 0; size < map.size(); ++size) {
    const stet_test::exact_text text(map.substr(0, size));
    stet::detail::safetensors_weight_map read(nullptr);
    CHECK_FALSE(read.read({reinterpret_cast<const char*>(text.bytes().data()), size}));
  }
}

TEST_CASE("a folder is opened by its index, its shards, or its only file") {
  const two_shards files;
  const auto by_index = stet::compiled::open_any(files.folder.path(""));
  REQUIRE(by_index);
  CHECK(by_index->format == &stet::safetensors_folder_format);
  CHECK(value_of(by_index->store, "a") == 1);
  CHECK(value_of(by_index->store, "b") == 2);

  const stet_test::temp_folder alone;
  (void)alone.write(std::string(first_shard), shard_of({"a"}, 1));
  const auto incomplete = stet::compiled::open_any(alone.path(""));
  REQUIRE_FALSE(incomplete);
  CHECK(incomplete.error().code() == stet::errc::missing_part);
  CHECK(incomplete.error().subject() == second_shard);
  (void)alone.write(std::string(second_shard), shard_of({"b"}, 2));
  const auto shards = stet::compiled::open_any(alone.path(""));
  REQUIRE(shards);
  CHECK(shards->store.tensor_count() == 2);
  CHECK(shards->file_count == 2);
  CHECK(value_of(shards->store, "b") == 2);
  (void)alone.write(std::string(second_shard), shard_of({"b", "a"}, 2));
  CHECK(stet_test::outcome(stet::compiled::open_any(alone.path(""))) == "duplicate_name");
  (void)alone.write("other.safetensors", shard_of({"b"}, 2));
  const auto several = stet::compiled::open_any(alone.path(""));
  REQUIRE_FALSE(several);
  CHECK(several.error().code() == stet::errc::invalid_argument);
  CHECK(several.error().subject() == "3 files and no index; add a name, such as /m-00001-of-00002.safetensors");

  const stet_test::temp_folder single;
  (void)single.write("x.safetensors", shard_of({"a"}, 3));
  (void)single.write("config.json", "{}");
  const auto one = stet::compiled::open_any(single.path(""));
  REQUIRE(one);
  CHECK(value_of(one->store, "a") == 3);
  (void)single.write("x.safetensors.index.json", weight_map({{"a", "x.safetensors"}}));
  (void)single.write("y.safetensors.index.json", weight_map({{"a", "x.safetensors"}}));
  CHECK(stet_test::outcome(stet::compiled::open_any(single.path(""))) == "invalid_argument");

  const stet_test::temp_folder none;
  (void)none.write("config.json", "{}");
  CHECK(stet_test::outcome(stet::compiled::open_any(none.path(""))) == "not_a_regular_file");
}

TEST_CASE("a program's own files are sharded models, too") {
  stet_test::own_files files(stet_test::given::on_demand);
  const std::string one = shard_of({"a"}, 1), two = shard_of({"b"}, 2);
  const std::string map = weight_map({{"a", "s1.safetensors"}, {"b", "s2.safetensors"}});
  files.add("d/s1.safetensors", stet_test::bytes_of(one));
  files.add("d/s2.safetensors", stet_test::bytes_of(two));
  files.add("d/m.safetensors.index.json", stet_test::bytes_of(map));
  for (const std::string_view path : {"d", "d/m.safetensors.index.json"}) {
    const auto model = stet::compiled::open_any(path, {.files = &files});
    REQUIRE(model);
    CHECK(value_of(model->store, "b") == 2);
  }
}

TEST_CASE("an index of other files is not taken for one of safetensors") {
  const stet_test::temp_folder folder;
  CHECK(stet_test::outcome(stet::compiled::open_any(folder.write(
            "pytorch_model.bin.index.json", weight_map({{"a", "pytorch_model-1.bin"}})))) == "unknown_format");
  (void)folder.write("s.safetensors", shard_of({"a"}, 1));
  CHECK(stet::compiled::open_any(folder.write("any.json", weight_map({{"a", "s.safetensors"}}))));
}

TEST_CASE("the metadata of index and shards is merged") {
  const two_shards files(weight_map({{"a", first_shard}, {"b", second_shard}}));
  (void)files.folder.write(
      std::string(first_shard),
      stet_test::safetensors_file(R"({"__metadata__":{"format":"pt","k":"1"},)" + stet_test::u8_row("a", 0, 2) + "}",
                                  "aa"));
  (void)files.folder.write(
      std::string(second_shard),
      stet_test::safetensors_file(
          "{" + stet_test::u8_row("b", 0, 2) + R"(,"__metadata__":{"format":"tf","total_size":"x","l":""}})", "bb"));
  for (const std::string& path : {files.index, files.folder.path("")}) {
    const auto model = stet::compiled::open_any(path);
    REQUIRE(model);
    const auto described = stet::describe(*model);
    REQUIRE(described);
    CHECK(described->metadata.dump() == R"({"total_size":4,"format":"pt","k":"1","l":""})");
  }
}

TEST_SUITE_END();
