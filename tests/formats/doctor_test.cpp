// SPDX-License-Identifier: MIT
// Tests of doctor.hpp and common/known_content.hpp: each file that is no model, or a damaged one, with its sentence; repairs.
#include <stet/formats/compiled.hpp>
#include <stet/formats/diagnosis.hpp>
#include <stet/json.hpp>
#include <stet/writer.hpp>

#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace {

using stet::errc;
using repair_kind = stet::diagnosis::repair_kind;

/// A safetensors file of a header and as many bytes of data, 1, 2, 3 …
std::string safetensors_text(std::string_view header, std::size_t data_size) {
  std::string text;
  for (std::size_t i = 0; i < 8; ++i) text += static_cast<char>(std::uint64_t{header.size()} >> 8 * i & 0xFF);
  text += header;
  for (std::size_t i = 0; i < data_size; ++i) text += static_cast<char>(i + 1);
  return text;
}
constexpr std::string_view one_tensor = R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}})";

std::string content_of(const stet_test::temp_folder& in, const char* name) {
  const auto bytes = in.read(name);
  return bytes.empty() ? std::string() : std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

} // namespace

TEST_SUITE("formats/doctor") {
  TEST_CASE("what is often found in place of a model is told, by open_any, too") {
    const stet_test::temp_folder folder;
    const std::string tar = std::string(257, 'a') + "ustar" + std::string(300, 'b');
    const struct {
      const char* name;
      std::string content;
      std::string_view what;
    } rows[] = {
        {"m.gguf", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n",
         "a git-LFS pointer, not the file itself, which git lfs pull fetches"},
        {"m.safetensors", "\n<!DOCTYPE html>\n<html></html>", "an HTML page"},
        {"h.keras", "<HTML><body>", "an HTML page"},
        {"x.npz", "<?xml version='1.0'?><Error/>", "an XML page"},
        {"n.stet", std::string(9000, '\0'), "nothing but NUL bytes"},
        {"p.safetensors", std::string("\x80\x04\x95", 3) + "abc.", "a Python pickle"},
        {"z.safetensors", std::string("PK\x03\x04", 4) + std::string(40, '\0'), "a zip archive"},
        {"g.gguf", std::string("\x1F\x8B\x08", 3) + "abc", "a file compressed by gzip"},
        {"t.gguf", tar, "a tar archive"},
        {"e.stet", "", "an empty file"},
    };
    for (const auto& row : rows) {
      CAPTURE(row.name);
      const std::string path = folder.write(row.name, row.content);
      const auto opened = stet::compiled::open_any(path);
      REQUIRE(!opened);
      CHECK(opened.error().code() == errc::unknown_format);
      CHECK(opened.error().subject() == row.what);
      const stet::diagnosis found = stet::compiled::diagnose(path);
      REQUIRE(found.problem);
      CHECK(found.what == row.what);
      CHECK(!found.advice.empty());
      CHECK(found.says_more);
      CHECK(found.repair == repair_kind::none);
      CHECK(stet::compiled::repair(found, path, folder.path("out")).error().code() == errc::unsupported);
    }
    CHECK(folder.read("out").empty());
    // Text is told to be nothing that it is not.
    const std::string text = folder.write("text", "hello\n");
    CHECK(stet::compiled::open_any(text).error().subject() == text);
    const stet::diagnosis found = stet::compiled::diagnose(text);
    CHECK(!found.says_more);
    CHECK(found.advice.starts_with("known are stet, "));
    CHECK(stet::compiled::diagnose(folder.path("absent")).problem->code() == errc::file_not_found);
  }

  TEST_CASE("a header that is padded with NUL bytes is told, and repaired") {
    const stet_test::temp_folder folder;
    const std::string padded = safetensors_text(std::string(one_tensor).append(9, '\0'), 12);
    const std::string path = folder.write("m.safetensors", padded);
    const stet::diagnosis found = stet::compiled::diagnose(path);
    REQUIRE(found.problem);
    CHECK(found.what.find("NUL") != std::string::npos);
    CHECK(found.repair == repair_kind::blank);
    REQUIRE(stet::compiled::repair(found, path, folder.path("out.safetensors")));
    CHECK(content_of(folder, "out.safetensors") == safetensors_text(std::string(one_tensor).append(9, ' '), 12));
    CHECK(content_of(folder, "m.safetensors") == padded);
    CHECK(!stet::compiled::diagnose(folder.path("out.safetensors")).problem);
    // What is broken besides is not repaired.
    const std::string worse = safetensors_text(std::string(one_tensor).append(9, '\0'), 11);
    CHECK(stet::compiled::diagnose(folder.write("w.safetensors", worse)).repair == repair_kind::none);
    // Over itself.
    REQUIRE(stet::compiled::repair(found, path, path));
    CHECK(!stet::compiled::diagnose(path).problem);
  }

  TEST_CASE("bytes after the end are counted, and left out; missing ones are counted") {
    const stet_test::temp_folder folder;
    const std::string whole = safetensors_text(one_tensor, 12);
    const std::string path = folder.write("m.safetensors", whole + "tail");
    const stet::diagnosis found = stet::compiled::diagnose(path);
    REQUIRE(found.problem);
    CHECK(found.what == "a safetensors file with 4 bytes after its end");
    CHECK(found.repair == repair_kind::cut);
    CHECK(found.kept_bytes == whole.size());
    REQUIRE(stet::compiled::repair(found, path, folder.path("out.safetensors")));
    CHECK(content_of(folder, "out.safetensors") == whole);
    const auto zeros = stet::compiled::diagnose(folder.write("z.safetensors", whole + std::string(4096, '\0')));
    CHECK(zeros.what == "a safetensors file with 4096 NUL bytes after its end");
    const auto cut =
        stet::compiled::diagnose(folder.write("c.safetensors", std::string_view(whole).substr(0, whole.size() - 5)));
    CHECK(cut.what ==
          "a safetensors file that is cut off: 5 of " + std::to_string(whole.size()) + " bytes are missing");
    CHECK(cut.repair == repair_kind::none);
    // Every truncation has an answer, and none is repaired.
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const auto each =
          stet::compiled::diagnose(folder.write("t.safetensors", std::string_view(whole).substr(0, size)));
      REQUIRE(each.problem);
      CHECK(!each.what.empty());
      CHECK(each.repair == repair_kind::none);
    }
  }

  TEST_CASE("bytes after the end of native files and archives are counted, and left out") {
    const stet_test::temp_folder folder;
    const std::vector<float> values{1, 2, 3};
    stet::writer out;
    out.add("a", values, {3});
    const struct {
      const char* name;
      std::string_view kind;
    } rows[] = {{"m.stet", "a native file"}, {"m.npz", "a zip archive"}};
    for (const auto& row : rows) {
      CAPTURE(row.name);
      REQUIRE(stet::compiled::save_any(folder.path(row.name), out));
      const std::string whole = content_of(folder, row.name);
      for (const std::string& tail : {std::string("tail"), std::string(70000, '\0'), std::string(1, 'P')}) {
        const std::string path = folder.write(std::string("t") + row.name, whole + tail);
        const stet::diagnosis found = stet::compiled::diagnose(path);
        REQUIRE(found.problem);
        const bool is_nul = tail[0] == '\0';
        CHECK(found.what == std::string(row.kind) + " with " + std::to_string(tail.size()) + (is_nul ? " NUL" : "") +
                                (tail.size() == 1 ? " byte" : " bytes") + " after its end");
        REQUIRE(found.repair == repair_kind::cut);
        CHECK(found.kept_bytes == whole.size());
        REQUIRE(stet::compiled::repair(found, path, folder.path("out")));
        CHECK(content_of(folder, "out") == whole);
      }
      // What does not open without them, either, is not repaired.
      std::string damaged = whole + "tail";
      damaged[row.name[2] == 's' ? 200 : 0x1c] ^= 1;
      CHECK(stet::compiled::diagnose(folder.write("d", damaged)).repair == repair_kind::none);
      for (std::size_t size = 0; size < whole.size(); ++size) {
        const auto each = stet::compiled::diagnose(folder.write("t", std::string_view(whole).substr(0, size)));
        REQUIRE(each.problem);
        REQUIRE(each.repair == repair_kind::none);
      }
    }
    const std::string native = content_of(folder, "m.stet"), archive = content_of(folder, "m.npz");
    const auto cut = stet::compiled::diagnose(folder.write("c", std::string_view(native).substr(0, native.size() - 5)));
    CHECK(cut.problem->code() == errc::truncated);
    CHECK(cut.advice == "copy or download it again");
    CHECK(stet::compiled::diagnose(folder.write("c", std::string_view(archive).substr(0, archive.size() - 30))).what ==
          "a zip archive that is cut off: the directory at its end is missing");
    // Two archives one after the other: the second is the one that readers see, and the first is none of its own.
    const stet::diagnosis two = stet::compiled::diagnose(folder.write("two", archive + archive));
    REQUIRE(two.problem);
    CHECK(two.repair == repair_kind::none);
  }

  TEST_CASE("a stale index is told, and made anew of the shards that are there") {
    const stet_test::temp_folder folder;
    folder.write("model-00001-of-00002.safetensors", safetensors_text(one_tensor, 12));
    folder.write("model-00002-of-00002.safetensors",
                 safetensors_text(R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 2));
    const std::string path = folder.write("model.safetensors.index.json",
                                          R"({"weight_map":{"a":"gone-1.safetensors","b":"gone-2.safetensors"}})");
    const stet::diagnosis found = stet::compiled::diagnose(path);
    CHECK(found.what.find("stale") != std::string::npos);
    CHECK(found.what.find("gone-1.safetensors") != std::string::npos);
    REQUIRE(found.repair == repair_kind::reindex);
    CHECK(stet::compiled::repair(found, path, folder.path("elsewhere/index.json")).error().code() == errc::bad_path);
    REQUIRE(stet::compiled::repair(found, path, folder.path("new.safetensors.index.json")));
    const auto index = stet::parse_json(content_of(folder, "new.safetensors.index.json"));
    REQUIRE(index);
    CHECK((*index)["weight_map"]["a"] == "model-00001-of-00002.safetensors");
    CHECK((*index)["weight_map"]["b"] == "model-00002-of-00002.safetensors");
    CHECK((*index)["metadata"]["total_size"] == 14);
    // As a save writes it.
    CHECK(
        content_of(folder, "new.safetensors.index.json") ==
        "{\n  \"metadata\": {\n    \"total_size\": 14\n  },\n  \"weight_map\": {\n"
        "    \"a\": \"model-00001-of-00002.safetensors\",\n    \"b\": \"model-00002-of-00002.safetensors\"\n  }\n}\n");
    // Two shards with one tensor: which is meant is a guess.
    folder.write("other.safetensors", safetensors_text(one_tensor, 12));
    const auto twice = stet::compiled::repair(found, path, path);
    REQUIRE(!twice);
    CHECK(twice.error().code() == errc::duplicate_name);
    CHECK(twice.error().subject() == "a");
    // Some of the files are there: not stale. One that is damaged, or the model would open.
    folder.write("bad.safetensors", "bad");
    const stet::diagnosis partly = stet::compiled::diagnose(folder.write(
        "partly.safetensors.index.json", R"({"weight_map":{"a":"bad.safetensors","b":"gone.safetensors"}})"));
    CHECK(partly.what.find("1 are missing, first gone.safetensors") != std::string::npos);
    CHECK(partly.repair == repair_kind::none);
  }

  TEST_CASE("a file that a model of TensorFlow.js or Keras names, and that is not there, is told") {
    const stet_test::temp_folder folder;
    const auto advice_for = [&](std::string_view name, std::string_view json, std::string_view missing) {
      const stet::diagnosis found = stet::compiled::diagnose(folder.write(std::string(name), json));
      REQUIRE(found.problem);
      CHECK(*found.problem == errc::missing_part);
      CHECK(found.what.find(missing) != std::string::npos);
      CHECK(found.repair == repair_kind::none);
      return found.advice;
    };
    const std::string_view wanted = "copy or download the file that is missing, to where the model names it";
    CHECK(advice_for(
              "model.json",
              R"({"format":"layers-model","modelTopology":{},"weightsManifest":[{"paths":["group1-shard1of1.bin"],)"
              R"("weights":[{"name":"a","shape":[1],"dtype":"float32"}]}]})",
              "group1-shard1of1.bin") == wanted);
    CHECK(advice_for("m.weights.json", R"({"weight_map": {"/layers/dense/vars": ["m_00000.weights.h5"]}})",
                     "m_00000.weights.h5") == wanted);
  }

  TEST_CASE("parts of a split model in one file are told") {
    const stet_test::temp_folder folder;
    const auto header = [](unsigned char tensors) {
      std::string text("GGUF\3\0\0\0", 8);
      text += static_cast<char>(tensors);
      return text + std::string(15, '\0');
    };
    const std::string two = header(1) + std::string(40, 'x') + header(2);
    const stet::diagnosis found = stet::compiled::diagnose(folder.write("two.gguf", two));
    CHECK(found.what == "several GGUF files one after the other, the second from byte 64 on");
    const std::string one = header(1) + "GGUF is a word, and GGUF\3\0\0 is cut" + std::string("GGUF\3\0\0\0\1", 9);
    const stet::diagnosis sound = stet::compiled::diagnose(folder.write("one.gguf", one));
    CHECK(sound.problem); // it has no tensor, but that is not told of the file
    CHECK(!sound.says_more);
  }

  TEST_CASE("a folder of checkpoints without its state file names the newest") {
    const stet_test::temp_folder folder;
    for (const char* name : {"ckpt-9.index", "ckpt-10.index", "ckpt-10.data-00000-of-00001"}) folder.write(name, "x");
    const stet::diagnosis found = stet::compiled::diagnose(folder.path());
    REQUIRE(found.problem);
    CHECK(found.what.find("without its state file `checkpoint`") != std::string::npos);
    CHECK(found.advice.ends_with("ckpt-10"));
    folder.write("checkpoint", "x");
    CHECK(!stet::compiled::diagnose(folder.path()).says_more);
  }
}
