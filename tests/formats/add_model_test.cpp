// SPDX-License-Identifier: MIT
#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>
#include <stet/formats/add_model.hpp>
#include <stet/formats/keras/save.hpp>
#include <stet/formats/tfjs/save.hpp>
#include <stet/formats/common/store_builder.hpp>

#include "support/save_model.hpp"
#include "support/keras_files.hpp"
#include "support/outcome.hpp"
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

/// The names of the store, aliases as NAME=ORIGINAL.
std::string names_in(const stet::model& of) {
  std::string text;
  for (const stet::tensor each : of.store) {
    text.append(text.empty() ? "" : " ").append(each.name());
    if (const auto original = of.store.original_of(each)) text.append("=").append(original->name());
  }
  return text;
}

stet::result<void> convert_to_native(const std::string& from, const std::string& to,
                                     stet::tensor_names names = stet::tensor_names::both) {
  const auto opened = stet::compiled::open_any(from);
  if (!opened) return opened.error();
  stet::writer all;
  if (auto added = stet::add_model(all, *opened, names); !added) return added;
  const auto saved = all.save(to);
  return saved ? stet::result<void>() : saved.error();
}

/// Converts a model; the outcome as text.
std::string save_as(const stet::format& as, const std::string& from, const std::string& to) {
  const auto opened = stet::compiled::open_any(from);
  if (!opened) return stet_test::outcome(opened);
  stet::writer all;
  if (auto added = stet::add_model(all, *opened); !added) return stet_test::outcome(added);
  const auto saved = stet::save_as(as, to, all);
  return stet_test::outcome(saved) + (saved ? "" : " of " + std::string(saved.error().subject()));
}

constexpr stet::format other_format{"other", "a format of this test", nullptr, open_other, describe_other};

} // namespace

TEST_SUITE("formats/add_model") {
  TEST_CASE("a foreign model becomes a store: words turned, aliases marked as second names, the rest carried over") {
    const auto opened = stet::open_as(other_format, "");
    REQUIRE(opened);
    stet::writer out;
    REQUIRE(stet::add_model(out, *opened));
    const auto saved = out.save_to_memory();
    REQUIRE(saved);
    const auto store = stet::open(std::span<const std::byte>(*saved));
    REQUIRE(store);
    CHECK(store->tensor_count() == 2);
    CHECK(store->original_of(*store->find("w/.ATTRIBUTES"))->name() == "w");
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
    CHECK(manifest->tensors[1].attributes.text() == R"({"second_name":true})");
  }

  TEST_CASE("second names become aliases of a native file, by which the core finds the tensors") {
    const stet_test::temp_folder folder;
    const std::string path = folder.path("m.stet");
    REQUIRE(convert_to_native(folder.write("m.keras", stet_test::keras_archive().bytes()), path));
    const auto opened = stet::compiled::open_any(path);
    REQUIRE(opened);
    CHECK(names_in(*opened) == "/layers/dense/vars/0 /layers/dense/vars/1 probe/kernel=/layers/dense/vars/0 "
                               "probe/bias=/layers/dense/vars/1");
    CHECK(opened->second_names.size() == 2);
    const auto core = stet::open(path);
    REQUIRE(core);
    CHECK(core->find("probe/kernel")->bytes().data() == core->find("/layers/dense/vars/0")->bytes().data());

    REQUIRE(convert_to_native(path, folder.path("again.stet")));
    CHECK(folder.read("again.stet") == folder.read("m.stet"));
    REQUIRE(convert_to_native(path, folder.path("file.stet"), stet::tensor_names::of_file));
    REQUIRE(convert_to_native(folder.path("m.keras"), folder.path("file too.stet"), stet::tensor_names::of_file));
    CHECK(folder.read("file.stet") == folder.read("file too.stet"));
    const auto of_file = stet::compiled::open_any(folder.path("file.stet"));
    REQUIRE(of_file);
    CHECK(names_in(*of_file) == "/layers/dense/vars/0 /layers/dense/vars/1");
    CHECK(of_file->second_names.empty());
  }

  TEST_CASE("the names of layers can be the only names, in the graph, too") {
    const stet_test::temp_folder folder;
    const std::string path = folder.write("m.keras", stet_test::keras_archive().bytes());
    REQUIRE(convert_to_native(path, folder.path("m.stet")));
    for (const char* const from : {"m.keras", "m.stet"}) {
      CAPTURE(from);
      REQUIRE(convert_to_native(folder.path(from), folder.path("layers.stet"), stet::tensor_names::of_layers));
      const auto opened = stet::compiled::open_any(folder.path("layers.stet"));
      REQUIRE(opened);
      CHECK(names_in(*opened) == "probe/kernel probe/bias");
      const auto described = stet::describe(*opened);
      REQUIRE(described);
      REQUIRE(described->graphs.size() == 1);
      std::string variables;
      for (const stet::graph_node& node : described->graphs[0].nodes) {
        for (const stet::graph_variable& each : node.variables) variables += each.role + "=" + each.tensor + " ";
      }
      CHECK(variables == "kernel=probe/kernel bias=probe/bias ");
      // Keras finds the layers all the same.
      REQUIRE(stet_test::save_keras(folder.path("again.keras"), *opened));
      const auto again = stet::compiled::open_any(folder.path("again.keras"));
      REQUIRE(again);
      CHECK(names_in(*again) == "/layers/dense/vars/0 /layers/dense/vars/1 probe/kernel=/layers/dense/vars/0 "
                                "probe/bias=/layers/dense/vars/1");
    }
  }

  TEST_CASE("what names a tensor in attributes and state names it by its new name") {
    const stet_test::temp_folder folder;
    const std::vector<float> values(4, 1.5f);
    stet::writer original;
    original.add("/s", values, {4});
    original.add("/w", values, {2, 2},
                 stet::json_value{{"quantization", {{"axis", 0}, {"scales", "/s"}, {"zero_points", "/z"}}},
                                  {"slot_of", "/s"},
                                  {"note", "/s"}});
    original.add("/z", values, {4}, stet::json_value{{"tensorflow", {{"slots", {{"m", "/w"}}}}}});
    original.add_alias("tied", "/s");
    for (const char* const name : {"s", "a/s", "w"})
      original.add_alias(name, name[0] == 'w' ? "/w" : "/s", stet::json_value{{"second_name", true}});
    original.state = stet::json_value{{"optimizer", {{"variables", {"/w", "/z"}}}}, {"user", "/w"}};
    const std::string path = folder.path("m.stet");
    REQUIRE(original.save(path));
    REQUIRE(convert_to_native(path, folder.path("layers.stet"), stet::tensor_names::of_layers));
    const auto opened = stet::compiled::open_any(folder.path("layers.stet"));
    REQUIRE(opened);
    // Of several second names the last is the tensor's own; the others stay aliases.
    CHECK(names_in(*opened) == "a/s w /z tied=a/s s=a/s");
    const auto described = stet::describe(*opened);
    REQUIRE(described);
    REQUIRE(described->tensors.size() == 3);
    CHECK(described->tensors[0].attributes.dump() ==
          R"({"quantization":{"axis":0,"scales":"a/s","zero_points":"/z"},"slot_of":"a/s","note":"/s"})");
    CHECK(described->tensors[1].attributes.dump() == R"({"tensorflow":{"slots":{"m":"w"}}})");
    CHECK(described->state.dump() == R"({"optimizer":{"variables":["w","/z"]},"user":"/w"})");
  }

  TEST_CASE("a second name that a tensor of the writer has is left out") {
    const stet_test::temp_folder folder;
    const auto opened = stet::compiled::open_any(folder.write("m.keras", stet_test::keras_archive().bytes()));
    REQUIRE(opened);
    const std::vector<float> values(3, 1.5f);
    for (const stet::tensor_names names : {stet::tensor_names::both, stet::tensor_names::of_layers}) {
      stet::writer out;
      out.add("probe/bias", values, {3});
      REQUIRE(stet::add_model(out, *opened, names));
      const auto saved = out.save_to_memory();
      REQUIRE(saved);
      const auto store = stet::open(std::span<const std::byte>(*saved));
      REQUIRE(store);
      CHECK_FALSE(store->original_of(*store->find("probe/bias")));
      CHECK(store->contains("/layers/dense/vars/1"));
      CHECK(store->contains("probe/kernel"));
    }
  }

  TEST_CASE("a native file with second names becomes in other formats what the original becomes") {
    const stet_test::temp_folder folder;
    folder.write("m.keras", stet_test::keras_archive().bytes());
    folder.write("m.weights.h5", stet_test::probe_weights());
    const std::vector<float> kernel(6, 1.5f), bias(2, 0.5f);
    stet::writer made;
    made.add("dense/kernel", kernel, {3, 2});
    made.add("dense/bias", bias, {2});
    made.add_alias("tied/kernel", "dense/kernel");
    for (const char* const as : {"tensorflow-objects", "tensorflow", "keras-legacy", "tfjs"})
      REQUIRE(stet::compiled::save_any(folder.path(std::string("made-") + as), made, {.format = as}));
    int saved_count = 0;
    for (const char* const from :
         {"m.keras", "m.weights.h5", "made-tensorflow-objects", "made-tensorflow", "made-keras-legacy", "made-tfjs"}) {
      CAPTURE(from);
      REQUIRE(convert_to_native(folder.path(from), folder.path("m.stet")));
      for (const stet::format* const as : stet::compiled::known_formats()) {
        if (as->save == nullptr || as == &stet::native_format) continue;
        const std::string to(as->saved_as);
        CAPTURE(to);
        const stet_test::temp_folder direct, through;
        CHECK(save_as(*as, folder.path(from), direct.path("x")) ==
              save_as(*as, folder.path("m.stet"), through.path("x")));
        CHECK(direct.names() == through.names());
        for (const std::string& name : direct.names()) CHECK((direct.read(name) == through.read(name)));
        saved_count += !direct.names().empty();
      }
    }
    CHECK(saved_count > 20);
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
    const auto opened = stet::compiled::open_any(path);
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
    const auto opened = stet::compiled::open_any(path);
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
    const auto opened = stet::compiled::open_any(folder.path("delta.stet"));
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
    const auto damaged = stet::compiled::open_any(folder.path("delta.stet"));
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
      const auto opened = stet::compiled::open_any(path);
      REQUIRE(opened);
      at = opened->store.find("probe/bias")->entry().offset_bytes();
    }
    bytes[static_cast<std::size_t>(at)] = static_cast<char>(bytes[static_cast<std::size_t>(at)] ^ 4);
    folder.write("m.keras", bytes);
    const auto opened = stet::compiled::open_any(path);
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
      const auto opened = stet::compiled::open_any(path);
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

  TEST_CASE("tensors are added under new names, which the state and attributes know, too") {
    const stet_test::temp_folder folder;
    const std::array<float, 2> values = {1, 2};
    stet::writer out;
    out.add("model.a", values).add_alias("model.tied", "model.a");
    out.add("m", values, {2}, stet::json_text(R"({"slot_of":"model.a"})"));
    out.state = stet::json_text(R"({"optimizer":{"variables":["m","model.a"]}})");
    REQUIRE(out.save(folder.path("m.stet")));
    const auto opened = stet::compiled::open_any(folder.path("m.stet"));
    REQUIRE(opened);
    stet::writer copy;
    const stet::rename_rule rules[] = {stet::rename_rule::exact("other", "x"), stet::rename_rule::prefix("model.", "")};
    REQUIRE(stet::add_model(copy, *opened, stet::tensor_names::both, rules));
    REQUIRE(copy.save(folder.path("copy.stet")));
    stet::writer expected;
    expected.add("a", values).add_alias("tied", "a").add("m", values, {2}, stet::json_text(R"({"slot_of":"a"})"));
    expected.state = stet::json_text(R"({"optimizer":{"variables":["m","a"]}})");
    REQUIRE(expected.save(folder.path("expected.stet")));
    CHECK(folder.read("copy.stet") == folder.read("expected.stet"));
  }
}
