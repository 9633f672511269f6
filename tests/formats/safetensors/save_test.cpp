// SPDX-License-Identifier: MIT
// Saves safetensors files: exact bytes, shards with their index, and what the format cannot express.
#include <stet/formats/safetensors/save.hpp>

#include "support/faulty_files.hpp"
#include "support/outcome.hpp"
#include "support/simulated_disk.hpp"
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

using namespace std::string_literals;

std::string text_in(const stet_test::temp_folder& folder, std::string_view name) {
  const std::vector<std::byte> bytes = folder.read(name);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The error's name and subject; "ok" for none.
std::string outcome_of_save(const stet::writer& from, const stet::safetensors_save_options& options = {}) {
  const stet_test::temp_folder folder;
  const auto saved = stet::save_safetensors(folder.path("m.safetensors"), from, options);
  if (saved) return "ok";
  CHECK(folder.names().empty());
  std::string text(stet::describe(saved.error().code()).name);
  return saved.error().subject().empty() ? text : text.append(" ").append(saved.error().subject());
}

/// A model of two tensors of 200 and 100 bytes, all of whose elements are `value`.
struct two_tensors {
  std::vector<float> a, b;
  stet::writer out;
  explicit two_tensors(float value) : a(50, value), b(25, value) { out.add("b", b).add("a", a); }

  stet::result<stet::safetensors_save_report> save_to(const std::string& path,
                                                      const stet::file_operations& operations) const {
    stet::safetensors_save_options options;
    options.max_shard_size_bytes = 250; // two shards
    options.operations = &operations;
    return stet::save_safetensors(path, out, options);
  }
};

/// The value of all elements of the model of this index; 0 if there is none, -1 if it is damaged or mixed.
float value_at(const std::string& index) {
  const auto opened = stet::open_safetensors(index);
  if (!opened) return opened.error().code() == stet::errc::file_not_found ? 0.0f : -1.0f;
  float value = 0;
  for (const std::string_view name : {"a", "b"}) {
    const auto elements = opened->get<float>(name);
    if (!elements) return -1;
    for (const float each : *elements) {
      if (value != 0 && each != value) return -1;
      value = each;
    }
  }
  return value;
}

} // namespace

TEST_CASE("the bytes of a file: header padded to 64, largest elements first, then by name") {
  const stet_test::temp_folder folder;
  const std::string path = folder.path("m.safetensors");
  stet::writer out;
  const std::vector<std::uint8_t> bytes = {7};
  const std::vector<float> floats = {1, 2, 3};
  const std::vector<double> doubles = {1};
  const std::vector<float> none;
  out.add("bb", bytes).add("z", floats).add("a", floats, {3, 1}).add("d", doubles, {}).add("none", none, {0, 2});
  out.metadata = stet::json_value{{"format", "pt"}, {"\"k\"\n", "\u00e9"}};
  const auto saved = stet::save_safetensors(path, out);
  REQUIRE(saved);
  CHECK(saved->shard_count == 1);
  CHECK_FALSE(saved->has_index);
  std::string header = R"({"__metadata__":{"\"k\"\n":"é","format":"pt"},)"
                       R"("d":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
                       R"("a":{"dtype":"F32","shape":[3,1],"data_offsets":[8,20]},)"
                       R"("none":{"dtype":"F32","shape":[0,2],"data_offsets":[20,20]},)"
                       R"("z":{"dtype":"F32","shape":[3],"data_offsets":[20,32]},)"
                       R"("bb":{"dtype":"U8","shape":[1],"data_offsets":[32,33]}})";
  while ((header.size() + 8) % 64 != 0) header += ' ';
  const std::string data = "\0\0\0\0\0\0\xf0\x3f"
                           "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40"
                           "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40"
                           "\7"s;
  CHECK(text_in(folder, "m.safetensors") == std::string(1, static_cast<char>(header.size() & 0xFF)) +
                                                std::string(1, static_cast<char>(header.size() >> 8)) +
                                                std::string(6, '\0') + header + data);
  CHECK(saved->file_size_bytes == 8 + header.size() + data.size());
  const auto opened = stet::compiled::open_any(path);
  REQUIRE(opened);
  CHECK(opened->store.get<float>("z"));
  const auto described = stet::describe(*opened);
  REQUIRE(described);
  CHECK(described->metadata.size() == 2);
}

TEST_CASE("a model without tensors is the reference's empty file, padded to 64") {
  const stet_test::temp_folder folder;
  REQUIRE(stet::save_safetensors(folder.path("m.safetensors"), stet::writer()));
  CHECK(text_in(folder, "m.safetensors") == "\x38\0\0\0\0\0\0\0{}"s + std::string(54, ' '));
}

TEST_CASE("metadata that are no strings are kept as the text of an object, and come back as they were") {
  const stet_test::temp_folder folder;
  const std::string path = folder.path("m.safetensors");
  stet::writer out;
  out.add("x", 1.0f);
  const stet::json_value given = {
      {"format", "pt"}, {"epochs", 3}, {"deep", {{"a", {1, 2}}}}, {"stet", "own"}, {"total_size", 17}};
  out.metadata = given;
  REQUIRE(stet::save_safetensors(path, out));
  CHECK(text_in(folder, "m.safetensors").find(R"("stet":"{\"epochs\":3,\"deep\":{\"a\":[1,2]},\"stet\":\"own\"}")") !=
        std::string::npos);
  const auto opened = stet::compiled::open_any(path);
  REQUIRE(opened);
  const auto described = stet::describe(*opened);
  REQUIRE(described);
  stet::json_value expected = given;
  expected.erase("total_size"); // an index has its own
  CHECK(described->metadata == expected);
}

TEST_CASE("every dtype of the format, packed ones in whole bytes") {
  const stet_test::temp_folder folder;
  const std::string path = folder.path("m.safetensors");
  const std::string bytes(64, '\1');
  stet::writer out;
  for (const stet::detail::safetensors_dtype& each : stet::detail::safetensors_dtypes) {
    const auto layout = stet::element_layout::of(each.dtype);
    out.add_bytes(each.name, layout, {4}, std::as_bytes(std::span(bytes)).first(layout.bits / 2u));
  }
  REQUIRE(stet::save_safetensors(path, out));
  const auto opened = stet::open_safetensors(path);
  REQUIRE(opened);
  CHECK(opened->tensor_count() == std::size(stet::detail::safetensors_dtypes));
  for (const stet::tensor each : *opened) {
    CHECK(opened->find(each.name())->shape().equals({4}));
    const std::size_t element = each.layout().bits / 8u;
    if (element > 1) CHECK(reinterpret_cast<std::uintptr_t>(each.bytes().data()) % element == 0);
  }
}

TEST_CASE("what the format cannot express is an error by name") {
  const std::string bytes(16, '\1');
  const auto with = [&](const stet::element_layout& layout, const stet::extents& shape, std::size_t size,
                        std::string_view name = "t") {
    stet::writer out;
    out.add_bytes(name, layout, shape, std::as_bytes(std::span(bytes)).first(size));
    return outcome_of_save(out);
  };
  using stet::dtype;
  CHECK(with(stet::element_layout::of(dtype::complex128), {1}, 16) ==
        "not_expressible t: safetensors has no dtype complex128");
  CHECK(with(stet::element_layout::of(dtype::int4), {2}, 1) == "not_expressible t: safetensors has no dtype int4");
  CHECK(with({dtype::block, 0, {"q4_k", 2, 4}}, {4}, 8) == "not_expressible t: safetensors has no dtype q4_k");
  CHECK(with({dtype::float4_e2m1fn, 8, {}}, {4}, 4) ==
        "not_expressible t: elements narrower than a byte have to be packed");
  CHECK(with(stet::element_layout::of(dtype::float4_e2m1fn), {3}, 2) ==
        "not_expressible t: the elements do not fill whole bytes");
  CHECK(with(stet::element_layout::of(dtype::float6_e2m3fn), {5}, 4) ==
        "not_expressible t: the elements do not fill whole bytes");
  CHECK(with(stet::element_layout::of(dtype::uint8), {1}, 1, "__metadata__") ==
        "not_expressible __metadata__: the name is that of the metadata");
  stet::writer strings;
  strings.add("s", "text");
  CHECK(outcome_of_save(strings) == "not_expressible s: safetensors has no dtype string");
  stet::writer list;
  list.metadata = stet::json_value{1, 2};
  CHECK(outcome_of_save(list) == "not_expressible metadata: an object is expected");
  stet::writer twice;
  twice.add("x", 1).add("x", 2);
  CHECK(outcome_of_save(twice) == "duplicate_name x");
  stet::safetensors_save_options none;
  none.max_shard_size_bytes = 0;
  CHECK(outcome_of_save(twice, none).starts_with("invalid_argument"));
  CHECK(stet_test::outcome(stet::save_safetensors("folder/", twice)) == "bad_path");
  stet::writer short_source;
  short_source.add_source("x", stet::element_layout::of(dtype::uint8), {4}, 4,
                          [](stet::piece_sink& sink) { return sink.write(std::vector<std::byte>(3)); });
  CHECK(outcome_of_save(short_source) == "source_too_short x");
}

TEST_CASE("tied names are an error, or noted in the metadata as the reference does") {
  const stet_test::temp_folder folder;
  stet::writer out;
  out.add("a.weight", 1.0f).add_alias("b.weight", "a.weight");
  CHECK(outcome_of_save(out) == "not_expressible b.weight: it shares the bytes of a.weight");
  stet::writer long_names;
  long_names.add(std::string(200, 'o'), 1.0f).add_alias("alias" + std::string(200, 'x'), std::string(200, 'o'));
  CHECK(outcome_of_save(long_names).starts_with("not_expressible alias"));
  stet::safetensors_save_options options;
  options.notes_dropped_names = true;
  const auto saved = stet::save_safetensors(folder.path("m.safetensors"), out, options);
  REQUIRE(saved);
  CHECK(saved->dropped_count == 1);
  CHECK(text_in(folder, "m.safetensors").find(R"({"__metadata__":{"b.weight":"a.weight"},"a.weight":{)") == 8);
  out.metadata = stet::json_value{{"b.weight", "note"}};
  CHECK(outcome_of_save(out, options) == "not_expressible b.weight: the metadata have a member of this name");
}

TEST_CASE("shards of a chosen size, and their index") {
  const stet_test::temp_folder folder;
  stet::writer out;
  const std::vector<std::uint8_t> some(40, 1), none;
  out.add("c", some).add("b", some).add("large", none, {0}).add("\"q\"", some).add("a", some, {10, 4});
  stet::safetensors_save_options options;
  options.max_shard_size_bytes = 80;
  const auto saved = stet::save_safetensors(folder.path("model.safetensors"), out, options);
  REQUIRE(saved);
  CHECK(saved->shard_count == 2);
  CHECK(saved->has_index);
  CHECK(folder.names() == std::vector<std::string>{"model-00001-of-00002.safetensors",
                                                   "model-00002-of-00002.safetensors", "model.safetensors.index.json"});
  CHECK(text_in(folder, "model.safetensors.index.json") == R"({
  "metadata": {
    "total_size": 160
  },
  "weight_map": {
    "\"q\"": "model-00002-of-00002.safetensors",
    "a": "model-00002-of-00002.safetensors",
    "b": "model-00001-of-00002.safetensors",
    "c": "model-00001-of-00002.safetensors",
    "large": "model-00001-of-00002.safetensors"
  }
}
)");
  const auto model = stet::compiled::open_any(folder.path(""));
  REQUIRE(model);
  CHECK(model->store.tensor_count() == 5);
  CHECK(model->store.get<std::uint8_t>("a"));
  // A tensor larger than a shard has its own.
  options.max_shard_size_bytes = 1;
  const auto single = stet::save_safetensors(folder.path("each.safetensors.index.json"), out, options);
  REQUIRE(single);
  CHECK(single->shard_count == 4); // the empty one needs none
  // By the ending, an index even of one shard.
  REQUIRE(stet::compiled::save_any(folder.path("one.safetensors.index.json"), out));
  CHECK(stet::compiled::open_any(folder.path("one-00001-of-00001.safetensors")));
}

TEST_CASE("shards that replace others leave none of the old ones, and no other file") {
  const stet_test::temp_folder folder;
  const std::string path = folder.path("m.safetensors"), index = folder.path("m.safetensors.index.json");
  (void)folder.write("m-x-00001-of-00002.safetensors", "not of this model");
  const two_tensors first(1), second(2);
  REQUIRE(first.save_to(path, stet_test::without_syncing()));
  CHECK(value_at(index) == 1);
  REQUIRE(second.save_to(path, stet_test::without_syncing()));
  CHECK(value_at(index) == 2);
  CHECK(folder.names() == std::vector<std::string>{"m-2-00001-of-00002.safetensors", "m-2-00002-of-00002.safetensors",
                                                   "m-x-00001-of-00002.safetensors", "m.safetensors.index.json"});
  REQUIRE(first.save_to(path, stet_test::without_syncing()));
  CHECK(folder.names().front() == "m-00001-of-00002.safetensors");
  CHECK(folder.names().size() == 4);
}

TEST_CASE("after a fault at any call, the folder holds the old model or the new one") {
  const two_tensors first(1), second(2);
  std::vector<stet_test::faulty_files::call> calls;
  {
    const stet_test::temp_folder folder;
    REQUIRE(first.save_to(folder.path("m.safetensors"), stet_test::without_syncing()));
    stet_test::faulty_files watched(stet_test::fault::none, stet_test::faulty_files::never,
                                    stet_test::without_syncing());
    REQUIRE(second.save_to(folder.path("m.safetensors"), watched.operations()));
    calls = watched.calls();
  }
  std::size_t old_count = 0, new_count = 0;
  for (const stet_test::fault kind :
       {stet_test::fault::failure, stet_test::fault::late_failure, stet_test::fault::short_write}) {
    for (std::size_t number = 0; number < calls.size(); ++number) {
      if (!stet_test::is_applicable(kind, calls[number].entry)) continue;
      CAPTURE(number);
      CAPTURE(static_cast<int>(kind));
      const stet_test::temp_folder folder;
      REQUIRE(first.save_to(folder.path("m.safetensors"), stet_test::without_syncing()));
      stet_test::faulty_files faulty(kind, number, stet_test::without_syncing());
      const auto done = second.save_to(folder.path("m.safetensors"), faulty.operations());
      const float found = value_at(folder.path("m.safetensors.index.json"));
      CHECK((found == 1.0f || found == 2.0f));
      if (done) CHECK(found == 2.0f);
      ++(found == 1.0f ? old_count : new_count);
      for (const std::string& name : folder.names()) CHECK(name.find(".stet-tmp") == std::string::npos);
    }
  }
  CHECK(old_count > 10);
  CHECK(new_count > 3);
}

TEST_CASE("when the power fails, a model that was saved is there, or the one that replaces it") {
  const two_tensors first(1), second(2);
  const stet_test::temp_folder folder;
  const std::string path = folder.path("m.safetensors");
  stet_test::simulated_disk disk;
  float saved = 0, next = 1;
  std::size_t image_count = 0;
  disk.before_call = [&] {
    disk.after_power_loss([&](const stet_test::disk_image& image) {
      ++image_count;
      const stet_test::temp_folder after;
      for (const auto& [name, bytes] : image)
        (void)after.write(name, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
      const float found = value_at(after.path("m.safetensors.index.json"));
      CHECK((found == saved || found == next));
    });
  };
  REQUIRE(first.save_to(path, disk.operations()));
  saved = 1;
  next = 2;
  REQUIRE(second.save_to(path, disk.operations()));
  saved = 2;
  disk.before_call();
  CHECK(image_count > 50);
}

TEST_SUITE_END();
