// SPDX-License-Identifier: MIT
#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>
#include <stet/formats/keras/format.hpp>
#include <stet/formats/native/checkpoint_folder.hpp>
#include <stet/formats/tfjs/format.hpp>

#include <stet/store/bind.hpp>
#include <stet/writer.hpp>

#include "support/keras_files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

/// Three variables of one element, of which a test changes some.
struct few_variables {
  std::vector<float> a = {1}, b = {2}, c = {3};
  [[nodiscard]] stet::variable_list all() {
    stet::variable_list made;
    CHECK(made.add("a", a, {1}));
    CHECK(made.add("b", b, {1}));
    CHECK(made.add("c", c, {1}, false));
    return made;
  }
};

void save_base(few_variables& from, const std::string& path) {
  stet::writer out;
  out.metadata = stet::json_value{{"note", "base"}};
  REQUIRE(stet::add_variables(out, from.all()));
  REQUIRE(out.save(path));
}

void save_delta_of(few_variables& from, const std::string& base_path, const std::string& path,
                   stet::store_form form = stet::store_form::single_file) {
  const auto base = stet::open_checkpoint(base_path);
  REQUIRE(base);
  stet::writer out;
  out.metadata = stet::json_value{{"note", "delta"}};
  REQUIRE(stet::add_changed(out, from.all(), *base));
  stet::save_options options;
  options.form = form;
  REQUIRE(out.save(path, options));
}

/// The table of formats as the README has it.
std::string table_of_formats() {
  std::string made = "| Format | What it is | Saved with `--to` |\n|---|---|---|\n";
  for (const stet::format* const each : stet::compiled::known_formats()) {
    made.append("| `").append(each->name).append("` | ").append(each->about).append(" | ");
    if (each->save != nullptr) made.append("`").append(each->saved_as).append("`");
    if (!each->ending.empty()) made.append(", or to `…").append(each->ending).append("`");
    made.append(" |\n");
  }
  return made;
}

float value_in(const stet::store& of, std::string_view name) {
  float value = -1;
  const auto found = of.find(name);
  CHECK(found);
  if (found) CHECK(found->copy_to(std::span(&value, 1)));
  return value;
}

struct one_number {
  stet::tensor a;
  void bind(auto& field) { field("a", a); }
};

} // namespace

TEST_SUITE("formats/any") {
  TEST_CASE("each format that has shards saves files of the size that is chosen, and opens them") {
    const stet_test::temp_folder folder;
    const std::vector<float> values(1000, 1.5f);
    stet::writer out;
    for (const char* const name : {"a", "b", "c"}) out.add(name, values, {10, 100});
    std::size_t count = 0;
    for (const stet::format* const each : stet::compiled::known_formats()) {
      if (!stet::has_choice(each->choices, stet::save_choice::shards)) continue;
      CAPTURE(each->saved_as);
      REQUIRE(bool(each->save != nullptr));
      ++count;
      const std::string in = folder.path(std::string(each->saved_as));
      REQUIRE(std::filesystem::create_directory(in));
      const std::string path = in + "/" + (each->ending == "model.json" ? "" : "m") + std::string(each->ending);
      stet::save_any_options options;
      options.max_shard_size_bytes = 5000;
      const auto saved = stet::save_as(*each, path, out, options);
      REQUIRE(saved);
      CHECK(saved->file_count >= 3);
      const bool is_by_part = each->saved_as == "gguf";
      const bool is_by_index = each->saved_as == "safetensors";
      const auto opened = stet::compiled::open_any(is_by_part    ? in + "/m-00002-of-00003.gguf"
                                                   : is_by_index ? in + "/m.safetensors.index.json"
                                                                 : path);
      REQUIRE(opened);
      CHECK(opened->store.find("c"));
      CHECK(opened->store.find("a")->element_count() == 1000);
    }
    CHECK(count == 8);
  }

  TEST_CASE("tied names are dropped on request where a format has no aliases, and an error else") {
    const stet_test::temp_folder folder;
    stet::writer out;
    out.add("embed", 1.0f).add_alias("output", "embed");
    std::size_t count = 0;
    for (const stet::format* const each : stet::compiled::known_formats()) {
      if (!stet::has_choice(each->choices, stet::save_choice::aliases)) continue;
      CAPTURE(each->saved_as);
      ++count;
      const std::string path = folder.path("m" + std::string(each->ending));
      const auto refused = stet::save_as(*each, path, out);
      REQUIRE(!refused);
      CHECK(refused.error().code() == stet::errc::not_expressible);
      CHECK(refused.error().subject().starts_with("output: "));
      stet::save_any_options options;
      options.drops_aliases = true;
      const auto saved = stet::save_as(*each, path, out, options);
      REQUIRE(saved);
      CHECK(saved->dropped_alias_count == 1);
      const auto opened = stet::compiled::open_any(path);
      REQUIRE(opened);
      CHECK(opened->store.tensor_count() == 1);
      CHECK(opened->store.find("embed"));
    }
    CHECK(count == 3);
  }

  TEST_CASE("a model of any format is bound") {
    const stet_test::temp_folder folder;
    few_variables values;
    save_base(values, folder.path("m.stet"));
    const auto model = stet::compiled::open_any(folder.path("m.stet"));
    REQUIRE(model);
    one_number bound;
    REQUIRE(stet::bind_model(bound, model->store));
    CHECK(bound.a.element_count() == 1);
  }

  TEST_CASE("a delta is opened with its base, whatever its form, and has the tensors and notes of both") {
    const stet_test::temp_folder folder;
    few_variables program;
    save_base(program, folder.path("base.stet"));
    program.b = {20};
    save_delta_of(program, folder.path("base.stet"), folder.path("middle.stet"));
    program.c = {30};
    const std::pair<const char*, stet::store_form> forms[] = {{"delta.stet", stet::store_form::single_file},
                                                              {"delta.json", stet::store_form::loose}};
    for (const auto& [name, form] : forms) {
      const std::string_view which = name;
      CAPTURE(which);
      save_delta_of(program, folder.path("middle.stet"), folder.path(name), form);
      for (const stet::backing how : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
        stet::open_options options;
        options.backing = how;
        auto first = stet::compiled::open_any(folder.path(name), options);
        REQUIRE(first);
        const stet::model opened = std::move(*first); // views stay where they are
        CHECK(opened.format->name == "stet");
        CHECK(opened.store.tensor_count() == 3);
        CHECK(value_in(opened.store, "a") == 1);
        CHECK(value_in(opened.store, "b") == 20);
        CHECK(value_in(opened.store, "c") == 30);
        CHECK(opened.store.verify_checksums());
        CHECK(stet::base_name_of(opened) == "middle.stet");
        CHECK(stet::own_store_of(opened).tensor_count() == 1);
        const auto description = stet::compiled::describe(opened);
        REQUIRE(description);
        CHECK(description->metadata["note"] == "delta");
        REQUIRE(description->tensors.size() == 3);
        CHECK(description->tensors[0].name == "a");
        CHECK(description->tensors[0].attributes["trainable"] == true);
        CHECK(description->tensors[2].attributes["trainable"] == false);
      }
    }
    const auto whole = stet::compiled::open_any(folder.path("base.stet"));
    REQUIRE(whole);
    CHECK(stet::base_name_of(*whole).empty());
  }

  TEST_CASE("a delta whose base is missing or another file is not opened, and the error names the base") {
    const stet_test::temp_folder folder;
    few_variables program;
    save_base(program, folder.path("base.stet"));
    program.b = {20};
    save_delta_of(program, folder.path("base.stet"), folder.path("delta.stet"));
    program.a = {9};
    save_base(program, folder.path("base.stet"));
    CHECK(stet::compiled::open_any(folder.path("delta.stet")).error().code() == stet::errc::part_mismatch);
    CHECK(stet::compiled::open_any(folder.path("delta.stet")).error().subject() == "base.stet");
    REQUIRE(std::remove(folder.path("base.stet").c_str()) == 0);
    CHECK(stet::compiled::open_any(folder.path("delta.stet")).error().code() == stet::errc::missing_base);
    CHECK(stet::compiled::open_any(folder.path("delta.stet")).error().subject() == "base.stet");
  }

  TEST_CASE("a folder of checkpoints is its newest one, with its base") {
    const stet_test::temp_folder folder;
    few_variables program;
    save_base(program, folder.path("run-9.stet"));
    program.b = {20};
    save_delta_of(program, folder.path("run-9.stet"), folder.path("run-10.stet"));
    for (const std::string& path : {folder.path(), folder.path() + "/"}) {
      const auto opened = stet::compiled::open_any(path);
      REQUIRE(opened);
      CHECK(opened->format == &stet::checkpoint_folder_format);
      CHECK(value_in(opened->store, "a") == 1);
      CHECK(value_in(opened->store, "b") == 20);
      CHECK(stet::base_name_of(*opened) == "run-9.stet");
      CHECK(opened->omitted.empty());
      CHECK(stet::is_native_model(*opened));
      const auto description = stet::compiled::describe(*opened);
      REQUIRE(description);
      CHECK(description->metadata["note"] == "delta");
    }
    // One that cannot be opened is passed over, and named.
    folder.write("run-11.stet", "damaged");
    const auto older = stet::compiled::open_any(folder.path());
    REQUIRE(older);
    CHECK(value_in(older->store, "b") == 20);
    REQUIRE(older->omitted.size() == 1);
    CHECK(older->omitted[0].name == folder.path("run-11.stet"));
    // Of several prefixes, "ckpt" is the usual one; no other is preferred.
    save_base(program, folder.path("other-1.stet"));
    CHECK(stet::compiled::open_any(folder.path()).error().code() == stet::errc::not_a_regular_file);
    program.a = {100};
    save_base(program, folder.path("ckpt-1.stet"));
    const auto usual = stet::compiled::open_any(folder.path());
    REQUIRE(usual);
    CHECK(value_in(usual->store, "a") == 100);
    folder.write("checkpoint.json", R"({"latest": "run-10.stet", "all": []})");
    const auto stated = stet::compiled::open_any(folder.path());
    REQUIRE(stated);
    CHECK(value_in(stated->store, "a") == 1);
  }

  TEST_CASE("only PREFIX-STEP.stet is a checkpoint") {
    using stet::detail::checkpoint_prefix_of;
    CHECK(checkpoint_prefix_of("ckpt-12.stet") == "ckpt");
    CHECK(checkpoint_prefix_of("a-b-0.stet") == "a-b");
    for (const char* const name :
         {"ckpt-012.stet", "ckpt-.stet", "-1.stet", "12.stet", "ckpt-1.stet2", "ckpt1.stet", "ckpt-1", ".stet", ""}) {
      CAPTURE(name);
      CHECK(checkpoint_prefix_of(name) == "");
    }
  }

  TEST_CASE("a native store is recognised by its content, and says what it holds") {
    const stet_test::temp_folder folder;
    const std::array<float, 4> kernel = {1, 2, 3, 4};
    stet::writer out;
    out.add("kernel", kernel, {2, 2}, stet::json_value{{"trainable", false}});
    out.metadata = stet::json_value{{"author", "me"}};
    out.state = stet::json_value{{"global_step", 7}};
    stet::graph graph;
    graph.nodes.push_back({"matmul", "MatMul", {}, nullptr, {{"b", "kernel"}}, nullptr});
    out.graph = stet::graph_to_json(graph);
    for (const stet::store_form form : {stet::store_form::single_file, stet::store_form::loose}) {
      const std::string path = folder.path(form == stet::store_form::loose ? "m.json" : "weights.h5");
      stet::save_options options;
      options.form = form;
      REQUIRE(out.save(path, options));
      const auto opened = stet::compiled::open_any(path);
      REQUIRE(opened);
      CHECK(opened->format->name == "stet");
      const auto found = opened->store.find("kernel");
      REQUIRE(found);
      CHECK(opened->is_in_file(*found));
      CHECK((*found->as<float>())[3] == 4.0f);
      const auto description = stet::compiled::describe(*opened);
      REQUIRE(description);
      CHECK(description->metadata["author"] == "me");
      CHECK(description->state["global_step"] == 7);
      REQUIRE(description->graphs.size() == 1);
      CHECK(description->graphs[0].nodes[0].op == "MatMul");
      REQUIRE(description->tensors.size() == 1);
      CHECK(description->tensors[0].name == "kernel");
      CHECK(description->tensors[0].attributes["trainable"] == false);
    }
  }

  TEST_CASE("models of Keras are opened as what they are, and described by the format that opened them") {
    const stet_test::temp_folder folder;
    const std::pair<std::string, const char*> table[] = {
        {stet_test::keras_archive().bytes(), "keras-v3"},
        {stet_test::probe_weights(), "hdf5"},
    };
    for (const auto& row : table) {
      const std::string path = folder.write("model.stet", row.first);
      const auto opened = stet::compiled::open_any(path);
      REQUIRE(opened);
      if (!opened) return;
      CHECK(opened->format->name == row.second);
      CHECK(opened->store.contains("probe/kernel"));
      const auto description = stet::compiled::describe(*opened);
      REQUIRE(description);
      CHECK(description->graphs.size() == (row.second == std::string("hdf5") ? 0 : 1));
    }
  }

  TEST_CASE("what is no model is said to be none") {
    const stet_test::temp_folder folder;
    const std::string text = folder.write("notes.stet", "not a model"), empty = folder.write("empty", ""),
                      json = folder.write("other.json", R"({"made_by": "stet"})");
    CHECK(stet::compiled::open_any(text).error().code() == stet::errc::unknown_format);
    CHECK(stet::compiled::open_any(empty).error().code() == stet::errc::unknown_format);
    CHECK(stet::compiled::open_any(json).error().code() == stet::errc::unknown_format);
    CHECK(stet::compiled::open_any(json).error().subject() == json);
    CHECK(stet::compiled::open_any(folder.path("absent")).error().code() == stet::errc::file_not_found);
    CHECK(stet::compiled::open_any(folder.path()).error().code() == stet::errc::not_a_regular_file);
  }

  TEST_CASE("a model that open_any did not open is not described") {
    const stet::model none;
    CHECK(stet::compiled::describe(none).error().code() == stet::errc::invalid_argument);
  }

  TEST_CASE("the README has the table of formats") {
    std::string path = __FILE__;
    std::replace(path.begin(), path.end(), '\\', '/');
    for (int up = 0; up < 3; ++up) path.resize(path.rfind('/'));
    const auto page = stet::source::read(path + "/README.md");
    if (!page) {
      MESSAGE("skipped: the sources are not here");
      return;
    }
    const std::string text(reinterpret_cast<const char*>(page->data()), static_cast<std::size_t>(page->size_bytes()));
    const std::string table = table_of_formats();
    CAPTURE(table);
    CHECK(text.find(table) != std::string::npos);
  }

  TEST_CASE("the formats that are opened are named once each, for messages") {
    const std::string names = stet::compiled::names_of_known_formats();
    CHECK(names.starts_with("stet, safetensors, npy, tf-savedmodel, "));
    CHECK(names.find("hdf5") == names.rfind("hdf5"));
    CHECK(names.find("tensorflow-objects") == std::string::npos);
  }

  TEST_CASE("a pointer of git-LFS is named as such") {
    const stet_test::temp_folder folder;
    const auto opened = stet::compiled::open_any(
        folder.write("m.gguf", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"));
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code() == stet::errc::unknown_format);
    CHECK(opened.error().subject() == "a git-LFS pointer, not the file itself, which git lfs pull fetches");
  }

  TEST_CASE("each row is opened or saved, and is saved under a name and an ending of its own") {
    std::set<std::string_view> names, endings;
    for (const stet::format* const each : stet::compiled::known_formats()) {
      CAPTURE(each->name);
      CHECK(!each->name.empty());
      CHECK(!each->about.empty());
      CHECK((each->open == nullptr) == (each->recognises == nullptr));
      CHECK((each->open == nullptr) == (each->describe == nullptr));
      CHECK((each->save == nullptr) == each->saved_as.empty());
      CHECK((each->open != nullptr || each->save != nullptr));
      if (each->save == nullptr) {
        CHECK(each->ending.empty());
        continue;
      }
      CHECK(names.insert(each->saved_as).second);
      if (!each->ending.empty()) CHECK(endings.insert(each->ending).second);
    }
    CHECK(names == std::set<std::string_view>{"stet", "safetensors", "safetensors-shards", "npy", "gguf", "tensorflow",
                                              "tensorflow-objects", "tfjs", "tfjs-weights", "keras", "keras-weights",
                                              "npz", "keras-legacy", "pytorch"});
  }

  TEST_CASE("what a program added is saved in any format, by name or ending, and opened again") {
    const stet_test::temp_folder folder;
    const std::vector<float> kernel{1, 2, 3, 4, 5, 6};
    stet::writer out;
    out.add("probe/kernel", kernel, {2, 3});
    auto config = stet::parse_json(stet_test::sequential_config("probe"));
    REQUIRE(config);
    auto graph = stet::graph_from_keras(std::move(*config));
    REQUIRE(graph);
    for (stet::graph_node& node : graph->nodes) {
      if (node.name == "probe") {
        node.variables = {{"kernel", "probe/kernel"}};
        node.attributes["use_bias"] = false;
      }
    }
    out.graph = stet::graph_to_json(*graph);
    struct row {
      const char *path, *saved_as, *opened_as, *tensor;
      std::uint64_t file_count;
    };
    const row rows[] = {
        {"m.stet", "", "stet", "probe/kernel", 1},
        {"other", "stet", "stet", "probe/kernel", 1},
        {"ckpt", "tensorflow", "tf-ckpt-v2", "probe/kernel", 2},
        {"objects", "tensorflow-objects", "tf-ckpt-v2", "probe/kernel", 2},
        {"model.json", "", "tfjs", "probe/kernel", 2},
        {"weights.json", "tfjs-weights", "tfjs", "probe/kernel", 2},
        {"m.keras", "", "keras-v3", "/layers/dense/vars/0", 1},
        {"archive", "keras", "keras-v3", "/layers/dense/vars/0", 1},
        {"m.weights.h5", "", "hdf5", "/layers/dense/vars/0", 1},
        {"m.h5", "", "hdf5", "/model_weights/probe/probe/kernel", 1},
    };
    for (const row& each : rows) {
      CAPTURE(each.path);
      const std::string path = folder.path(each.path);
      const auto saved = stet::compiled::save_any(path, out, {.format = each.saved_as, .is_durable = false});
      REQUIRE(stet_test::outcome(saved) == "ok");
      CHECK(saved->file_count == each.file_count);
      CHECK(saved->left_out_count == 0);
      const auto opened = stet::compiled::open_any(path);
      REQUIRE(stet_test::outcome(opened) == "ok");
      if (!opened) continue;
      CHECK(opened->format->name == each.opened_as);
      CHECK(opened->path == path);
      const auto found = opened->store.find(each.tensor);
      REQUIRE(stet_test::outcome(found) == "ok");
      std::vector<float> values(6);
      CHECK(found->copy_to(std::span(values)));
      CHECK((values == kernel));
      CHECK(stet_test::outcome(stet::compiled::describe(*opened)) == "ok");
    }
  }

  TEST_CASE("a format that is not there is said so, and one that is only read or saved, too") {
    const stet_test::temp_folder folder;
    const stet::writer none;
    const auto unnamed = stet::compiled::save_any(folder.path("m.bin"), none);
    CHECK(stet_test::outcome(unnamed) == "unknown_format");
    CHECK(unnamed.error().subject() == folder.path("m.bin"));
    const auto unknown = stet::compiled::save_any(folder.path("m.stet"), none, {.format = "onnx"});
    CHECK(stet_test::outcome(unknown) == "unknown_format");
    CHECK(unknown.error().subject() == "onnx");
    // `ls` calls it so; to save, it has another name.
    CHECK(stet_test::outcome(stet::compiled::save_any(folder.path("m"), none, {.format = "hdf5"})) == "unknown_format");
    CHECK(stet_test::outcome(stet::save_as(stet::hdf5_format, folder.path("m"), none)) == "invalid_argument");
    CHECK(stet_test::outcome(stet::open_as(stet::keras_weights_format, folder.path("m"))) == "invalid_argument");
    CHECK(folder.names().empty());
    CHECK(stet::compiled::find_format_to_save("a.weights.h5") == &stet::keras_weights_format);
    CHECK(stet::compiled::find_format_to_save("a.h5") == &stet::keras_h5_format);
    CHECK(stet::compiled::find_format_to_save("web/model.json") == &stet::tfjs_format);
    CHECK(stet::compiled::find_format_to_save("a.h5", "keras") == &stet::keras_format);
  }
}
