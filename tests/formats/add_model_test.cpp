// SPDX-License-Identifier: MIT
#include <stet/formats/add_model.hpp>
#include <stet/formats/keras/save.hpp>
#include <stet/formats/tfjs/save.hpp>
#include <stet/formats/common/store_builder.hpp>

#include "support/save_model.hpp"
#include "support/keras_files.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::array<std::uint16_t, 3> big_endian_words = {0x0100, 0x0203, 0xFF00};

/// A model of a format of its own: a big-endian tensor with a second name, and a description.
stet::result<stet::model> open_other(stet::format_probe&) {
  stet::store_builder builder;
  builder.add_file("data", stet::source::borrow(std::as_bytes(std::span(big_endian_words))));
  const std::uint64_t shape[] = {3};
  stet::index_row row;
  row.name = "w";
  row.layout = stet::element_layout::of(stet::dtype::uint16);
  row.shape = shape;
  row.size_bytes = 6;
  row.big_endian = true;
  row.has_crc32c = true;
  row.crc32c = stet::crc32c(std::as_bytes(std::span(big_endian_words)));
  builder.add(row);
  row.name = "w/.ATTRIBUTES";
  row.alias_of = 0;
  builder.add(row);
  stet::result<stet::store> made = builder.finish();
  if (!made) return made.error();
  return stet::model{std::move(*made), nullptr, 1};
}

stet::result<stet::model_description> describe_other(const stet::model&) {
  stet::model_description made;
  made.graphs.resize(2);
  made.graphs[0].nodes.push_back({"first", "Op", {}, nullptr, {}, nullptr});
  made.state = {{"global_step", 3}};
  made.metadata = {{"by", "other"}};
  made.tensors.push_back({"w", {{"trainable", false}}});
  return made;
}

constexpr stet::format other_format{"other", "a format of this test", nullptr, open_other, describe_other};

} // namespace

TEST_SUITE("formats/add_model") {
  TEST_CASE("a foreign model becomes a store: words turned, second names left out, the rest carried over") {
    const auto opened = stet::open_as(other_format, "");
    REQUIRE(opened);
    stet::writer out;
    REQUIRE(stet::add_model(out, *opened));
    const auto saved = out.save_to_memory();
    REQUIRE(saved);
    const auto store = stet::open(std::span<const std::byte>(*saved));
    REQUIRE(store);
    CHECK(store->tensor_count() == 1);
    std::array<std::uint16_t, 3> values{};
    REQUIRE(store->find("w")->copy_to(std::span<std::uint16_t>(values)));
    const bool host_is_little = std::endian::native == std::endian::little;
    CHECK(values[1] == (host_is_little ? 0x0302 : 0x0203));
    const auto manifest = stet::parse_manifest(store->manifest_text());
    REQUIRE(manifest);
    CHECK(stet::to_json_value(manifest->state)["global_step"] == 3);
    CHECK(stet::to_json_value(manifest->metadata)["by"] == "other");
    CHECK(stet::to_json_value(manifest->graph)["nodes"][0]["name"] == "first");
    CHECK(stet::to_json_value(manifest->tensors[0].attributes)["trainable"] == false);
  }

  TEST_CASE("a damaged tensor is not made to look sound") {
    const stet_test::temp_folder folder;
    const std::vector<float> values(100, 1.5f);
    stet::writer original;
    original.add("fine", values, {100});
    original.add("hurt", values, {100});
    auto bytes = original.save_to_memory();
    REQUIRE(bytes);
    const auto at = stet::open(std::span<const std::byte>(*bytes)).value().find("hurt")->entry().offset_bytes();
    (*bytes)[static_cast<std::size_t>(at) + 7] ^= std::byte{1};
    const std::string path = folder.write("m.stet", *bytes);
    const auto opened = stet::open_any(path);
    REQUIRE(opened);
    stet::writer copy;
    REQUIRE(stet::add_model(copy, *opened));
    const auto saved = copy.save(folder.path("copy.stet"));
    REQUIRE(!saved);
    CHECK(saved.error().code() == stet::errc::checksum_mismatch);
    CHECK(saved.error().subject() == "hurt");
    CHECK(folder.names() == std::vector<std::string>{"m.stet"});
  }

  TEST_CASE("a native model keeps its aliases, attributes and unknown fields") {
    const stet_test::temp_folder folder;
    const std::vector<float> values(4, 1.5f);
    stet::writer original;
    original.add("a", values, {2, 2}, stet::json_value{{"trainable", true}});
    original.add_alias("b", "a", stet::json_value{{"note", 1}});
    original.set_extra(stet::json_value{{"company", {{"ticket", 7}}}});
    const std::string path = folder.path("m.stet");
    REQUIRE(original.save(path));
    const auto opened = stet::open_any(path);
    REQUIRE(opened);
    stet::writer copy;
    REQUIRE(stet::add_model(copy, *opened));
    REQUIRE(copy.save(folder.path("copy.stet")));
    CHECK(folder.read("copy.stet") == folder.read("m.stet"));
  }

  TEST_CASE("a delta becomes a whole file: as if all had been saved at once") {
    const stet_test::temp_folder folder;
    std::vector<float> a = {1, 2}, b = {3, 4};
    stet::variable_list variables;
    REQUIRE(variables.add("a", a, {2}));
    REQUIRE(variables.add("b", b, {2}, false));
    {
      stet::writer base;
      REQUIRE(stet::add_variables(base, variables));
      REQUIRE(base.save(folder.path("base.stet")));
    }
    b[0] = 30;
    {
      const auto base = stet::open_checkpoint(folder.path("base.stet"));
      REQUIRE(base);
      stet::writer delta;
      delta.state = stet::json_value{{"global_step", 2}};
      REQUIRE(stet::add_changed(delta, variables, *base));
      REQUIRE(delta.save(folder.path("delta.stet")));
    }
    stet::writer at_once;
    at_once.state = stet::json_value{{"global_step", 2}};
    REQUIRE(stet::add_variables(at_once, variables));
    REQUIRE(at_once.save(folder.path("expected.stet")));
    const auto opened = stet::open_any(folder.path("delta.stet"));
    REQUIRE(opened);
    stet::writer copy;
    REQUIRE(stet::add_model(copy, *opened));
    REQUIRE(copy.save(folder.path("copy.stet")));
    CHECK(folder.read("copy.stet") == folder.read("expected.stet"));

    // Damage in the base is damage of the model.
    std::vector<std::byte> bytes = folder.read("base.stet");
    const auto base = stet::open(folder.path("base.stet"));
    REQUIRE(base);
    bytes[static_cast<std::size_t>(base->find("a")->entry().offset_bytes())] ^= std::byte{1};
    folder.write("base.stet", bytes);
    const auto damaged = stet::open_any(folder.path("delta.stet"));
    REQUIRE(damaged);
    stet::writer again;
    REQUIRE(stet::add_model(again, *damaged));
    const auto saved = again.save(folder.path("again.stet"));
    REQUIRE(!saved);
    CHECK(saved.error().code() == stet::errc::checksum_mismatch);
    CHECK(saved.error().subject() == "a");
  }

  TEST_CASE("a model of which a stored member is damaged is not copied") {
    const stet_test::temp_folder folder;
    std::string bytes = stet_test::keras_archive().bytes();
    const std::string path = folder.write("m.keras", bytes);
    std::uint64_t at = 0;
    {
      const auto opened = stet::open_any(path);
      REQUIRE(opened);
      at = opened->store.find("probe/bias")->entry().offset_bytes();
    }
    bytes[static_cast<std::size_t>(at)] = static_cast<char>(bytes[static_cast<std::size_t>(at)] ^ 4);
    folder.write("m.keras", bytes);
    const auto opened = stet::open_any(path);
    REQUIRE(opened);
    stet::writer copy;
    const auto added = stet::add_model(copy, *opened);
    REQUIRE(!added);
    CHECK(added.error().code() == stet::errc::checksum_mismatch);
    CHECK(added.error().subject() == "model.weights.h5");
    CHECK(stet_test::save_keras(folder.path("c.weights.h5"), *opened).error().code() == stet::errc::checksum_mismatch);
    CHECK(stet_test::save_tfjs(folder.path("c.json"), *opened).error().code() == stet::errc::checksum_mismatch);
    CHECK(folder.names() == std::vector<std::string>{"m.keras"});
  }

  TEST_CASE("what is converted or holds strings is compared with its checksum before it is written") {
    const stet_test::temp_folder folder;
    const std::vector<double> wide(5000, 1.5);
    const std::vector<std::string_view> words = {"zero", "one"};
    stet::writer original;
    original.add("wide", wide, {5000});
    original.add("words", words, {2});
    REQUIRE(original.save(folder.path("m.stet")));
    for (const char* const name : {"wide", "words"}) {
      CAPTURE(name);
      std::vector<std::byte> bytes = folder.read("m.stet");
      const auto sound = stet::open(folder.path("m.stet"));
      REQUIRE(sound);
      const auto of = sound->find(name);
      REQUIRE(of);
      bytes[static_cast<std::size_t>(of->entry().offset_bytes() + of->size_bytes() - 1)] ^= std::byte{1};
      const std::string path = folder.write("damaged.stet", bytes);
      const auto opened = stet::open_any(path);
      REQUIRE(opened);
      stet::tfjs_save_options options;
      options.allow_rounding = true;
      const auto saved = stet_test::save_tfjs(folder.path("c.json"), *opened, options);
      REQUIRE(!saved);
      CHECK(saved.error().code() == stet::errc::checksum_mismatch);
      CHECK(saved.error().subject() == name);
    }
    CHECK(folder.names() == std::vector<std::string>{"damaged.stet", "m.stet"});
  }
}
