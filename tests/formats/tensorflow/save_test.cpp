// SPDX-License-Identifier: MIT
// Tests of save.hpp: what is saved opens with the same tensors, has the bytes that TensorFlow would write, and appears
// whole or not at all.
#include "support/outcome.hpp"
#include "support/sorted_tables.hpp"
#include "support/temp_folder.hpp"

#include <stet/json.hpp>
#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>
#include <stet/formats/tensorflow/save.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <set>
#include <string>
#include <vector>

namespace {

using namespace std::literals;
using stet::save_tensorflow_checkpoint;
using stet_test::outcome;
using stet_test::temp_folder;

std::string text_of(const std::vector<std::byte>& bytes) {
  std::string text(bytes.size(), '\0');
  if (!bytes.empty()) std::memcpy(text.data(), bytes.data(), bytes.size());
  return text;
}

std::set<std::string> names_in(const temp_folder& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(stet_test::to_path(folder.path())))
    names.insert(entry.path().filename().string());
  return names;
}

/// Something of everything that can be saved.
struct model {
  std::array<float, 6> kernel = {1, 2, 3, 4, 5, 6};
  std::array<std::int64_t, 1> step = {42};
  std::array<stet::int4, 5> codes = {stet::int4(-1), stet::int4(7), stet::int4(-8), stet::int4(0), stet::int4(3)};
  std::array<stet::uint2, 3> pairs = {stet::uint2(3), stet::uint2(0), stet::uint2(1)};
  std::array<stet::bfloat16, 2> brain = {stet::bfloat16(1.5f), stet::bfloat16(-2.f)};
  std::array<std::string_view, 3> words = {"ab", "", "with \0 zero"sv};
  std::array<bool, 2> flags = {true, false};

  void add_to(stet::writer& out) const {
    out.add("dense/kernel", kernel, {2, 3}, stet::json_value{{"tensorflow", {{"full_name", "given"}}}});
    out.add("step", step, {});
    out.add("codes", codes, {5});
    out.add("pairs", pairs, {3});
    out.add("brain", brain, {2, 1});
    out.add("words", words, {3});
    out.add("no_words", std::span<const std::string_view>(), {0});
    out.add("flags", flags, {2});
    out.add("empty", std::span<const float>(), {0, 4});
    out.add_alias("tied", "dense/kernel");
  }

  /// Whether an open checkpoint has all of it.
  void check(const stet::store& in) const {
    const auto read_kernel = in.view<float, 2, 3>("dense/kernel");
    REQUIRE(read_kernel);
    CHECK((*read_kernel)(1, 2) == 6);
    CHECK((*in.get<std::int64_t>("step"))[0] == 42);
    std::array<stet::int4, 5> read_codes;
    REQUIRE(in.find("codes")->copy_to(std::span<stet::int4>(read_codes)));
    CHECK(read_codes == codes);
    std::array<stet::uint2, 3> read_pairs;
    REQUIRE(in.find("pairs")->copy_to(std::span<stet::uint2>(read_pairs)));
    CHECK(read_pairs == pairs);
    CHECK(static_cast<float>((*in.get<stet::bfloat16>("brain"))[1]) == -2.f);
    const auto read_words = in.find("words")->as_strings();
    REQUIRE(read_words);
    for (std::size_t i = 0; i < words.size(); ++i) CHECK((*read_words)[i] == words[i]);
    CHECK(in.find("no_words")->as_strings()->size() == 0);
    CHECK((*in.get<bool>("flags"))[0]);
    CHECK(in.find("empty")->shape().equals({0, 4}));
    const auto tied = in.get<float>("tied");
    REQUIRE(tied);
    CHECK((*tied)[5] == 6);
    CHECK(in.verify_checksums());
  }
};

} // namespace

TEST_SUITE("tensorflow/write_checkpoint") {
  TEST_CASE("writes the bytes that TensorFlow wrote") {
    // tensorflow/serving, saved_model_half_plus_two_gpu: three scalars a, b, c.
    const temp_folder folder;
    const std::array<float, 3> values = {0.5f, 2.f, 3.f};
    stet::writer out;
    out.add("a", std::span(values).subspan<0, 1>(), {});
    out.add("b", std::span(values).subspan<1, 1>(), {});
    out.add("c", std::span(values).subspan<2, 1>(), {});
    stet::tensorflow_save_options options;
    options.alignment_bytes = 1;
    const auto saved = save_tensorflow_checkpoint(folder.path("variables"), out, options);
    REQUIRE(saved);
    CHECK(saved->file_size_bytes == 151 + 12);
    CHECK(saved->tensor_size_bytes == 12);
    CHECK(saved->part_count == 1);
    CHECK(text_of(folder.read("variables.index")) == stet_test::tensorflow_index());
    CHECK(text_of(folder.read("variables.data-00000-of-00001")) == "\0\0\0\x3f\0\0\0\x40\0\0\x40\x40"s);
  }

  TEST_CASE("what is saved by name opens with the same tensors, in place") {
    const temp_folder folder;
    const model made;
    stet::writer out;
    made.add_to(out);
    const auto saved = save_tensorflow_checkpoint(folder.path("ckpt-1"), out);
    REQUIRE(saved);
    const auto opened = stet::compiled::open_any(folder.path("ckpt-1"));
    REQUIRE(opened);
    CHECK(opened->format->name == "tf-ckpt-v2");
    CHECK(opened->store.tensor_count() == 10);
    made.check(opened->store);
    CHECK(opened->store.get<float>("tied")->data() == opened->store.get<float>("dense/kernel")->data());
    CHECK(names_in(folder) == std::set<std::string>{"ckpt-1.data-00000-of-00001", "ckpt-1.index"});
    CHECK(std::filesystem::file_size(stet_test::to_path(folder.path("ckpt-1.index"))) +
              std::filesystem::file_size(stet_test::to_path(folder.path("ckpt-1.data-00000-of-00001"))) ==
          saved->file_size_bytes);
    // Narrow elements have a byte each, as TensorFlow wants.
    CHECK(opened->store.find("codes")->size_bytes() == 5);
    CHECK(opened->store.find("codes")->bytes()[0] == std::byte{0x0F});
  }

  TEST_CASE("what is saved by objects has a graph that names it") {
    const temp_folder folder;
    const model made;
    stet::writer out;
    made.add_to(out);
    stet::tensorflow_save_options options;
    options.naming = stet::tensorflow_naming::by_object;
    REQUIRE(save_tensorflow_checkpoint(folder.path("ckpt-1"), out, options));
    const auto opened = stet::compiled::open_any(folder.path("ckpt-1"));
    REQUIRE(opened);
    made.check(opened->store);
    CHECK(opened->store.contains("dense/kernel/.ATTRIBUTES/VARIABLE_VALUE"));
    CHECK(opened->store.contains("given"));
    const auto counter = opened->store.get<std::int64_t>("save_counter");
    REQUIRE(counter);
    CHECK((*counter)[0] == 1);
    const auto said = stet::describe(*opened);
    REQUIRE(said);
    CHECK(said->tensors.size() == 11);

    // Saved by name from there, it is the same checkpoint.
    stet::writer again;
    for (const stet::tensor each : opened->store) {
      if (!opened->store.original_of(each)) again.add(each.name(), each);
    }
    REQUIRE(save_tensorflow_checkpoint(folder.path("ckpt-2"), again));
    const auto reopened = stet::compiled::open_any(folder.path("ckpt-2"));
    REQUIRE(reopened);
    CHECK(reopened->store.contains("given"));
    made.check(reopened->store);
    // By objects, too: the graph is there already.
    REQUIRE(save_tensorflow_checkpoint(folder.path("ckpt-3"), again, options));
    CHECK(folder.read("ckpt-3.index") == folder.read("ckpt-2.index"));
  }

  TEST_CASE("several shards hold it all, and none exceeds its limit unless one tensor does") {
    const temp_folder folder;
    const model made;
    stet::writer out;
    made.add_to(out);
    for (const std::uint64_t limit : {1u, 90u, 200u, 100000u}) {
      stet::tensorflow_save_options options;
      options.max_shard_size_bytes = limit;
      const std::string prefix = folder.path("at-" + std::to_string(limit));
      const auto saved = save_tensorflow_checkpoint(prefix, out, options);
      REQUIRE(saved);
      CHECK((limit > 1000) == (saved->part_count == 1));
      const auto opened = stet::compiled::open_any(prefix);
      REQUIRE(opened);
      CHECK(opened->file_count == saved->part_count);
      made.check(opened->store);
      for (std::uint32_t part = 0; part < saved->part_count; ++part)
        CHECK(opened->store.part(part).size_bytes() <= (limit < 90 ? 48 : limit));
    }
  }

  TEST_CASE("a checkpoint without tensors opens") {
    const temp_folder folder;
    REQUIRE(save_tensorflow_checkpoint(folder.path("none"), stet::writer()));
    const auto opened = stet::compiled::open_any(folder.path("none"));
    REQUIRE(opened);
    CHECK(opened->store.tensor_count() == 0);
  }

  TEST_CASE("the same tensors give the same bytes") {
    const temp_folder folder;
    const model made;
    stet::writer out;
    made.add_to(out);
    stet::tensorflow_save_options options;
    options.naming = stet::tensorflow_naming::by_object;
    REQUIRE(save_tensorflow_checkpoint(folder.path("a"), out, options));
    REQUIRE(save_tensorflow_checkpoint(folder.path("b"), out, options));
    CHECK(folder.read("a.index") == folder.read("b.index"));
    CHECK(folder.read("a.data-00000-of-00001") == folder.read("b.data-00000-of-00001"));
  }

  TEST_CASE("the state file is written last, and read back") {
    const temp_folder folder;
    const std::array<float, 1> value = {1};
    stet::writer out;
    out.add("a", value, {});
    stet::tensorflow_save_options options;
    options.state = stet::tensorflow_state{"ckpt-2", {"ckpt-1", "ckpt-2"}, {1721234567.0625, 0.1}, 5.5};
    REQUIRE(save_tensorflow_checkpoint(folder.path("ckpt-2"), out, options));
    const auto opened = stet::compiled::open_any(folder.path());
    REQUIRE(opened);
    CHECK(opened->store.contains("a"));
    CHECK(text_of(folder.read("checkpoint")) == "model_checkpoint_path: \"ckpt-2\"\n"
                                                "all_model_checkpoint_paths: \"ckpt-1\"\n"
                                                "all_model_checkpoint_paths: \"ckpt-2\"\n"
                                                "all_model_checkpoint_timestamps: 1721234567.0625\n"
                                                "all_model_checkpoint_timestamps: 0.10000000000000001\n"
                                                "last_preserved_timestamp: 5.5\n");
  }

  TEST_CASE("refuses what TensorFlow could not read, and leaves nothing behind") {
    const temp_folder folder;
    const std::array<std::byte, 8> bytes = {};
    const std::array<float, 1> value = {1};
    struct attack {
      const char* what;
      void (*add)(stet::writer&, std::span<const std::byte>);
      const char* expected;
    };
    const attack table[] = {
        {"a block",
         [](stet::writer& out, std::span<const std::byte> b) {
           out.add_bytes("x", {stet::dtype::block, 0, {"q", 4, 8}}, {4}, b);
         },
         "unsupported"},
        {"float6",
         [](stet::writer& out, std::span<const std::byte> b) {
           out.add_bytes("x", stet::element_layout::of(stet::dtype::float6_e2m3fn), {4}, b.first(3));
         },
         "unsupported"},
        {"a name twice",
         [](stet::writer& out, std::span<const std::byte> b) {
           out.add_bytes("a", stet::element_layout::of(stet::dtype::uint8), {8}, b);
         },
         "duplicate_name"},
        {"strings with bad offsets",
         [](stet::writer& out, std::span<const std::byte>) {
           static constexpr std::byte offsets[] = {std::byte{1}, {}, {}, {}, {}, {}, {}, {}};
           out.add_bytes("x", stet::element_layout::of(stet::dtype::string), {0}, offsets);
         },
         "bad_string_table"},
        {"a source that gives too little",
         [](stet::writer& out, std::span<const std::byte>) {
           out.add_source("x", stet::element_layout::of(stet::dtype::uint8), {8}, 8,
                          [](stet::piece_sink& sink) { return sink.write({}); });
         },
         "source_too_short"},
        {"a source of packed elements that gives too much",
         [](stet::writer& out, std::span<const std::byte> b) {
           out.add_source("x", stet::element_layout::of(stet::dtype::int4), {8}, 4,
                          [b](stet::piece_sink& sink) { return sink.write(b); });
         },
         "source_too_long"},
        {"strings that stop within their offsets",
         [](stet::writer& out, std::span<const std::byte> b) {
           out.add_source("x", stet::element_layout::of(stet::dtype::string), {1}, 16,
                          [b](stet::piece_sink& sink) { return sink.write(b); });
         },
         "source_too_short"},
        {"a bad name",
         [](stet::writer& out, std::span<const std::byte> b) {
           out.add_bytes("", stet::element_layout::of(stet::dtype::uint8), {8}, b);
         },
         "bad_name"},
    };
    for (const attack& each : table) {
      CAPTURE(each.what);
      stet::writer out;
      out.add("a", value, {});
      each.add(out, bytes);
      const auto saved = save_tensorflow_checkpoint(folder.path("model"), out);
      CHECK(outcome(saved) == each.expected);
      CHECK(names_in(folder).empty());
    }
    stet::writer out;
    CHECK(outcome(save_tensorflow_checkpoint(folder.path() + "/", out)) == "bad_path");
    CHECK(outcome(save_tensorflow_checkpoint(folder.path("absent/model"), out)) == "file_not_found");
    stet::tensorflow_save_options options;
    options.alignment_bytes = 3;
    CHECK(outcome(save_tensorflow_checkpoint(folder.path("model"), out, options)) == "bad_alignment");
  }

  TEST_CASE("what the reader would refuse is not saved") {
    const temp_folder folder;
    const std::vector<float> value = {1};
    const std::string longest(65535, 'n');
    for (const bool by_name : {true, false}) { // an object-based checkpoint has longer keys
      stet::writer out;
      out.add(longest, value, {});
      stet::tensorflow_save_options options;
      options.naming = by_name ? stet::tensorflow_naming::by_name : stet::tensorflow_naming::by_object;
      const auto saved = save_tensorflow_checkpoint(folder.path("model"), out, options);
      CHECK(outcome(saved) == (by_name ? "ok" : "bad_name"));
      if (by_name) CHECK(stet::compiled::open_any(folder.path("model")));
      for (const std::string& name : names_in(folder)) std::filesystem::remove(stet_test::to_path(folder.path(name)));
    }
    stet::tensorflow_state nameless, endless;
    endless.model_checkpoint_path = "model";
    endless.last_preserved_timestamp = std::numeric_limits<double>::infinity();
    for (const stet::tensorflow_state& state : {nameless, endless}) {
      stet::writer out;
      out.add("a", value, {});
      stet::tensorflow_save_options options;
      options.state = state;
      CHECK(outcome(save_tensorflow_checkpoint(folder.path("model"), out, options)) == "bad_state_file");
      CHECK(names_in(folder).empty());
    }
    for (const int alias_count : {10, 100}) {
      stet::writer out;
      const std::vector<std::string_view> words = {std::string_view(longest)};
      out.add("s", words, {1});
      for (int i = 0; i < alias_count; ++i) out.add_alias("s" + std::to_string(i), "s");
      const auto saved = save_tensorflow_checkpoint(folder.path("model"), out);
      CHECK(outcome(saved) == (alias_count == 10 ? "ok" : "too_large"));
      if (alias_count == 10) CHECK(stet::compiled::open_any(folder.path("model")));
    }
  }

  TEST_CASE("real checkpoints, saved again by name, hold the same tensors") {
    const char* const samples = std::getenv("STET_SAMPLES");
    if (samples == nullptr || !std::filesystem::exists(std::filesystem::path(samples) / "made/tf-ckpt-v2")) {
      MESSAGE("skipped: no samples of made/tf-ckpt-v2");
      return;
    }
    const temp_folder folder;
    for (const char* const name :
         {"saver_dtypes/model.ckpt-3", "objects/ckpt-3", "partitioned/part.ckpt", "many/many", "keras3_adam/slots-1"}) {
      CAPTURE(name);
      const auto opened =
          stet::compiled::open_any(stet_test::to_utf8(std::filesystem::path(samples) / "made/tf-ckpt-v2" / name));
      REQUIRE(opened);
      stet::writer out;
      for (const stet::tensor each : opened->store) {
        if (!opened->store.original_of(each)) out.add(each.name(), each);
      }
      REQUIRE(save_tensorflow_checkpoint(folder.path("again"), out));
      const auto again = stet::compiled::open_any(folder.path("again"));
      REQUIRE(again);
      CHECK(again->store.tensor_count() == opened->store.tensor_count());
      CHECK(again->store.verify_checksums());
      for (const stet::tensor each : opened->store) {
        const auto copy = again->store.find(each.name());
        REQUIRE(copy);
        std::vector<std::byte> a(static_cast<std::size_t>(each.size_bytes())), b(a.size());
        CHECK(copy->shape() == each.shape());
        CHECK(copy->size_bytes() == each.size_bytes());
        CHECK(each.read(0, a));
        CHECK(copy->read(0, b));
        CHECK(a == b);
      }
    }
  }
}
