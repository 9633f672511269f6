// SPDX-License-Identifier: MIT
// Tests of the command: each run as a user runs it, with what it prints and the status it ends with.
#include "support/hdf5_files.hpp"
#include "support/keras_files.hpp"
#include "support/pytorch_files.hpp"
#include "support/shard_files.hpp"
#include "support/temp_folder.hpp"
#include "support/thinned.hpp"

#include <stet/json.hpp>
#include <stet/manifest/graph_json.hpp>
#include <stet/checkpoint/delta.hpp>
#include <stet/manifest.hpp>
#include <stet/vocabulary/version.hpp>
#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#if defined(STET_COMMAND) && !defined(_WIN32)

#include <sys/wait.h>

namespace {

using stet_test::temp_folder;

std::string text_of(const std::vector<std::byte>& bytes) {
  return bytes.empty() ? std::string() : std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::string shell_word(std::string_view argument) {
  std::string text = "'";
  for (const char c : argument) {
    if (c == '\'') text += "'\\'";
    text += c;
  }
  return text + "'";
}

struct outcome {
  int status = -1;
  std::string out, err;

  [[nodiscard]] std::ptrdiff_t error_line_count() const { return std::count(err.begin(), err.end(), '\n'); }
};

/// Runs the command in a folder, so that messages hold short paths.
outcome run(const temp_folder& in, const std::vector<std::string>& arguments) {
  const temp_folder streams;
  std::string line = "cd " + shell_word(in.path()) + " && " + shell_word(STET_COMMAND);
  for (const std::string& each : arguments) line += " " + shell_word(each);
  line += " >" + shell_word(streams.path("out")) + " 2>" + shell_word(streams.path("err")) + " </dev/null";
  const int status = std::system(line.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text_of(streams.read("out")), text_of(streams.read("err"))};
}

constexpr std::string_view hostile_name = "red\x1b[31m\nline\x7f\xC2\x9B"
                                          "2J\"\\";

/// What the model of these tests has; a test changes it and saves it again.
struct sample {
  std::vector<float> kernel = std::vector<float>(12);
  std::vector<stet::int4> codes;
  std::vector<std::string_view> words = {"zero", "", std::string_view("a\0b", 3)};
  std::vector<float> hostile = {1, std::numeric_limits<float>::quiet_NaN()};
  std::vector<std::byte> blocks = std::vector<std::byte>(2 * 144);

  sample() {
    for (std::size_t i = 0; i < kernel.size(); ++i) kernel[i] = 0.5f * static_cast<float>(i);
    for (int i = -4; i < 5; ++i) codes.push_back(stet::int4(i));
  }
  void add_to(stet::writer& out) const {
    out.add("dense/kernel", kernel, {4, 3}, stet::json_value{{"trainable", true}, {"x-note", {1, 2}}});
    out.add_alias("tied", "dense/kernel", stet::json_value{{"x-note", "tied"}});
    out.add("codes", codes, {9}, stet::json_value{{"quantization", {{"scales", 0.5}}}});
    out.add("words", words, {3});
    out.add_bytes("blocks", {stet::dtype::block, 0, {"q4_k", 256, 144}}, {2, 256}, blocks);
    out.add(hostile_name, hostile, {2});
    out.add("empty", std::span<const float>(), {0, 5});
    out.add("\xE5\x90\x8D\xE5\x89\x8D", std::span<const float>(kernel).first(1), {1, 1});
    out.graph = stet::json_value{{"nodes", stet::json_value::array()}};
    out.state = stet::json_value{{"global_step", 7}};
    out.metadata = stet::json_value{{"author", "me"}, {"rate", 0.001}};
    out.set_extra(stet::json_value{{"x-custom", {{"deep", true}}}});
  }
  void save(const std::string& path, const stet::save_options& options = {}) const {
    stet::writer out;
    add_to(out);
    CHECK(out.save(path, options));
  }
};

/// Ten thousand tensors of one element.
void save_many(const std::string& path) {
  const float value = 1;
  stet::writer out;
  for (int i = 0; i < 10000; ++i)
    out.add("layer_" + std::to_string(i) + "/weight", std::span<const float>(&value, 1), {1});
  CHECK(out.save(path));
}

/// Whether a terminal can only print it: no control character but line ends, in ASCII or beyond.
bool is_harmless(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if ((c < 0x20u && c != '\n') || c == 0x7Fu) return false;
    if (c == 0xC2u && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0u) return false;
  }
  return true;
}

stet::json_value parse(const std::string& text) { return stet::json_value::parse(text, nullptr, false); }

void overwrite(const std::string& path, std::uint64_t offset, char value) {
  std::fstream file(stet_test::to_path(path), std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(offset));
  file.put(value);
}

std::uint64_t offset_of(const std::string& path, std::string_view name) {
  const auto opened = stet::open(path);
  REQUIRE(opened);
  if (!opened) return 0;
  const auto found = opened->find(name);
  REQUIRE(found);
  return found ? found->entry().offset_bytes() : 0;
}

template <class T> std::string bytes_of(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

} // namespace

TEST_SUITE("stet command") {
  TEST_CASE("help and version are short and go to standard output") {
    const temp_folder folder;
    for (const char* option : {"--help", "-h", "help"}) {
      const outcome help = run(folder, {option});
      CHECK(help.status == 0);
      CHECK(help.err.empty());
      for (const char* name : {"ls", "cat", "verify", "manifest", "pack", "unpack", "diff"}) {
        CHECK(help.out.find(std::string("  stet ") + name + " ") != std::string::npos);
      }
      CHECK(std::count(help.out.begin(), help.out.end(), '\n') < 24);
    }
    for (const char* option : {"--version", "-V"}) CHECK(run(folder, {option}).out == "stet " STET_VERSION_STRING "\n");
    const outcome about = run(folder, {"cat", "--help"});
    CHECK(about.status == 0);
    CHECK(about.out.find("--as DTYPE") != std::string::npos);
    CHECK(run(folder, {"cat", "-h"}).out == about.out);
    CHECK(run(folder, {"--help"}).out.find("--dequantize]  write") != std::string::npos);
  }

  TEST_CASE("wrong use is status 2 and one line") {
    const temp_folder folder;
    sample().save(folder.path("m.stet"));
    const std::vector<std::vector<std::string>> lines = {
        {},
        {"frobnicate"},
        {"ls"},
        {"ls", "m.stet", "m.stet"},
        {"ls", "m.stet", "--all"},
        {"ls", "m.stet", "--json=1"},
        {"cat", "m.stet"},
        {"cat", "m.stet", "codes", "--as"},
        {"cat", "m.stet", "codes", "--as", "float33"},
        {"diff", "m.stet"},
        {"convert", "m.stet", "made.stet", "--names", "both"},
        {"convert", "m.stet", "made.keras", "--names", "layers"},
        {"unpack", "m.stet"},
        {"\x1b[31m"},
    };
    for (const auto& arguments : lines) {
      const outcome wrong = run(folder, arguments);
      CAPTURE(wrong.err);
      CHECK(wrong.status == 2);
      CHECK(wrong.out.empty());
      CHECK(wrong.error_line_count() == 1);
      CHECK(wrong.err.starts_with("stet: "));
      CHECK(is_harmless(wrong.err));
    }
    const outcome both = run(folder, {"ls", "--json", "--", "m.stet"});
    CHECK(both.status == 0);
  }

  TEST_CASE("what is no model is status 1 and one line that says why") {
    const temp_folder folder;
    sample().save(folder.path("m.stet"));
    const std::vector<std::byte> whole = folder.read("m.stet");
    folder.write("empty", "");
    folder.write("text", "hello, world\n");
    folder.write("unfinished.json", "{\"stet\":");
    folder.write("truncated.stet", std::span(whole).first(whole.size() - 1));
    folder.write("lonely.json",
                 R"({"stet": {"version": 1, "minimum_reader": 1}, "data": ["gone.bin"], "tensors": {}})");
    const struct {
      const char *path, *message;
    } rows[] = {
        {"missing", "stet: missing: no such file"},
        {".", "stet: .: a folder, but neither a SavedModel nor one of checkpoints; give a file in it\n"},
        {"empty", "stet: empty: not a format that is known here"},
        {"text", "stet: text: not a format that is known here; known are stet, safetensors, npy, tf-savedmodel, "},
        {"unfinished.json", "stet: unfinished.json: the text is not valid JSON"},
        {"truncated.stet", "stet: truncated.stet: the file is shorter than it says"},
        {"lonely.json", "stet: lonely.json: gone.bin: a part of the store is missing"}};
    for (const auto& [path, message] : rows) {
      for (const char* command : {"ls", "verify", "manifest"}) {
        const outcome refused = run(folder, {command, path});
        CAPTURE(refused.err);
        CHECK(refused.status == 1);
        CHECK(refused.out.empty());
        CHECK(refused.err.starts_with(message));
        CHECK(refused.error_line_count() == 1);
      }
      CHECK(run(folder, {"cat", path, "codes"}).status == 1);
      CHECK(run(folder, {"diff", "m.stet", path}).err.starts_with(message));
      CHECK(run(folder, {"pack", path, "made.stet"}).err.starts_with(message));
      CHECK(run(folder, {"unpack", path, "made"}).err.starts_with(message));
    }
    CHECK(run(folder, {"cat", "m.stet", "nothing"}).err == "stet: m.stet: nothing: no tensor has this name\n");
    for (const std::string& name : folder.names()) CHECK(name.find("made") == std::string::npos);
  }

  TEST_CASE("a sharded checkpoint is shown as its tensors, and with --slices as their pieces") {
    const temp_folder folder;
    stet_test::shard_maker first, second;
    const stet::json_text trainable(R"({"trainable":true})");
    first.piece("dense/kernel", 100, {4, 6}, {0, 0}, {4, 2}, trainable).whole("bias", 5, {3});
    first.out.add_alias("tied", "bias");
    second.piece("dense/kernel", 100, {4, 6}, {0, 2}, {4, 4}, trainable);
    const std::string one = "ckpt-7-00000-of-00002-0a0a0a0a.stet", two = "ckpt-7-00001-of-00002-0b0b0b0b.stet";
    stet_test::save_head(folder, "ckpt-7.stet", {first.save(folder, one), second.save(folder, two)});

    const outcome listed = run(folder, {"ls", "ckpt-7.stet"});
    CHECK(listed.status == 0);
    CHECK(listed.out.find("      96 B  int32  [4, 6]  dense/kernel\n      12 B  int32  [3]     bias\n"
                          "      12 B  int32  [3]     tied = bias\n     108 B  3 tensors, 27 elements; 3 files of ") ==
          0);
    const outcome json = run(folder, {"ls", "--json", "--slices", "ckpt-7.stet"});
    CHECK(json.status == 0);
    const stet::json_value all = stet::json_value::parse(json.out, nullptr, false);
    REQUIRE(!all.is_discarded());
    REQUIRE(all["tensors"].size() == 3);
    CHECK(all["tensors"][0]["file"].is_null());
    CHECK(all["tensors"][0]["offset_bytes"].is_null());
    CHECK(all["tensors"][0]["in_place"] == false);
    CHECK(all["tensors"][1]["file"] == one);
    CHECK(all["tensors"][1]["in_place"] == true);
    REQUIRE(all["slices"].size() == 4);
    CHECK(all["slices"][3]["tensor"] == "dense/kernel");
    CHECK(all["slices"][3]["start"] == stet::json_value{0, 2});
    CHECK(all["slices"][3]["shape"] == stet::json_value{4, 4});
    CHECK(all["slices"][3]["file"] == two);
    CHECK(all["slices"][3]["size_bytes"] == 64);
    CHECK(stet::json_value::parse(run(folder, {"ls", "--json", "ckpt-7.stet"}).out, nullptr, false).count("slices") ==
          0);
    const outcome slices = run(folder, {"ls", "--slices", "ckpt-7.stet"});
    CHECK(slices.status == 0);
    CHECK(std::count(slices.out.begin(), slices.out.end(), '\n') == 4);
    CHECK(slices.out.find("[0:4, 2:6]  dense/kernel\n") != std::string::npos);
    CHECK(slices.out.find(two + " at ") != std::string::npos);

    const outcome verified = run(folder, {"verify", "ckpt-7.stet"});
    CHECK(verified.status == 0);
    CHECK(verified.out.find("structure  ok   3 tensors in 3 files\n") == 0);
    CHECK(verified.out.find("\n" + one + ":\nmanifest   ok   the index says the same\n") != std::string::npos);
    CHECK(verified.out.find("\n" + two + ":\nmanifest   ok   the index says the same\n") != std::string::npos);
    CHECK(run(folder, {"verify", "."}).status == 0);
    const outcome manifest = run(folder, {"manifest", "ckpt-7.stet"});
    CHECK(manifest.status == 0);
    const stet::json_value shown = stet::json_value::parse(manifest.out, nullptr, false);
    REQUIRE(!shown.is_discarded());
    CHECK(shown["tensors"]["dense/kernel"]["shape"] == stet::json_value{4, 6});
    CHECK(shown["tensors"]["dense/kernel"]["trainable"] == true);
    CHECK(shown["tensors"]["tied"]["alias_of"] == "bias");
    CHECK(shown["shards"].size() == 2);
    CHECK(shown["state"]["global_step"] == 7);

    const std::vector<std::int32_t> kernel = stet_test::elements_from(100, {4, 6});
    CHECK(run(folder, {"cat", "ckpt-7.stet", "dense/kernel"}).out ==
          std::string(reinterpret_cast<const char*>(kernel.data()), 96));
    CHECK(run(folder, {"convert", "ckpt-7.stet", "whole.stet"}).status == 0);
    CHECK(run(folder, {"diff", "ckpt-7.stet", "whole.stet"}).status == 0);
    const auto whole = stet::open(folder.path("whole.stet"));
    REQUIRE(whole);
    CHECK(whole->manifest_text().find("shards") == std::string_view::npos);
    CHECK(whole->manifest_text().find("slice_of") == std::string_view::npos);
    CHECK(whole->manifest_text().find(R"("trainable":true)") != std::string_view::npos);
    const outcome none = run(folder, {"ls", "--slices", "whole.stet"});
    CHECK(none.status == 1);
    CHECK(none.error_line_count() == 1);

    // Damage in a piece.
    std::vector<std::byte> bytes = folder.read(two);
    const auto at = static_cast<std::size_t>(all["slices"][3]["offset_bytes"].get<std::uint64_t>());
    bytes[at] ^= std::byte{1};
    folder.write(two, bytes);
    const outcome damaged = run(folder, {"verify", "ckpt-7.stet"});
    CHECK(damaged.status == 1);
    CHECK(damaged.out.find("checksums  BAD") > damaged.out.find(two));
    CHECK(run(folder, {"cat", "ckpt-7.stet", "dense/kernel"}).status == 1);
    std::filesystem::remove(folder.path(two));
    const outcome missing = run(folder, {"ls", "ckpt-7.stet"});
    CHECK(missing.status == 1);
    CHECK(missing.err == "stet: ckpt-7.stet: " + two + ": a part of the store is missing\n");
  }

  TEST_CASE("ls lists for people: columns, human sizes, totals, no control characters") {
    const temp_folder folder;
    sample().save(folder.path("m.stet"));
    const outcome listed = run(folder, {"ls", "m.stet"});
    CHECK(listed.status == 0);
    CHECK(listed.err.empty());
    const std::string expected = "      48 B  float32  [4, 3]    dense/kernel\n"
                                 "      48 B  float32  [4, 3]    tied = dense/kernel\n"
                                 "       5 B  int4     [9]       codes\n"
                                 "      39 B  string   [3]       words\n"
                                 "     288 B  q4_k     [2, 256]  blocks\n"
                                 "       8 B  float32  [2]       red\\x1b[31m\\x0aline\\x7f\\x9b2J\"\\\n"
                                 "       0 B  float32  [0, 5]    empty\n"
                                 "       4 B  float32  [1, 1]    \xE5\x90\x8D\xE5\x89\x8D\n"
                                 "     392 B  8 tensors, 539 elements; 1 file of ";
    CHECK(listed.out.substr(0, expected.size()) == expected);
    CHECK(listed.out.ends_with(", alignment 64\n"));
    CHECK(is_harmless(listed.out));
  }

  TEST_CASE("ls --json gives every byte's place, in one file and in many") {
    const temp_folder folder;
    stet::save_options sharded, loose;
    sharded.form = stet::store_form::sharded;
    sharded.max_part_size_bytes = 256;
    loose.form = stet::store_form::loose;
    const sample model;
    model.save(folder.path("one.stet"));
    model.save(folder.path("many.stet"), sharded);
    model.save(folder.path("loose.json"), loose);
    for (const char* path : {"one.stet", "many.stet", "loose.json"}) {
      CAPTURE(path);
      const outcome listed = run(folder, {"ls", "--json", path});
      CHECK(listed.status == 0);
      CHECK(is_harmless(listed.out));
      stet::json_value json = parse(listed.out);
      REQUIRE(json.is_object());
      if (!json.is_object()) continue;
      CHECK(json["format"] == "stet");
      CHECK(json["alignment"] == 64);
      CHECK(json["size_bytes"].get<std::uint64_t>() >= 392);
      REQUIRE(json["tensors"].size() == 8);
      for (stet::json_value& each : json["tensors"]) {
        const std::string name = each["name"].get<std::string>(), file = each["file"].get<std::string>();
        CAPTURE(name);
        CHECK(each["in_place"] == true);
        CHECK(each["crc32c"].get<std::string>().size() == 8);
        const std::vector<std::byte> bytes = folder.read(file);
        const auto offset = each["offset_bytes"].get<std::size_t>(), size = each["size_bytes"].get<std::size_t>();
        REQUIRE(offset + size <= bytes.size());
        if (offset + size > bytes.size()) continue;
        const std::string there = text_of(bytes).substr(offset, size);
        if (each["dtype"] == "string") continue; // cat frames the strings instead
        const outcome written = run(folder, {"cat", path, "--", name});
        CHECK(written.status == 0);
        CHECK(written.out == there);
      }
      CHECK(json["tensors"][0]["shape"] == stet::json_value({4, 3}));
      CHECK(json["tensors"][1]["alias_of"] == "dense/kernel");
      CHECK(json["tensors"][4]["dtype"] == "q4_k");
      CHECK(json["tensors"][5]["name"] == hostile_name);
    }
  }

  TEST_CASE("cat writes strings with their sizes, and converts what can be converted") {
    const temp_folder folder;
    const sample model;
    model.save(folder.path("m.stet"));
    CHECK(run(folder, {"cat", "m.stet", "words"}).out ==
          std::string("\4\0\0\0\0\0\0\0zero\0\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0a\0b", 31));
    CHECK(run(folder, {"cat", "m.stet", "dense/kernel", "--as", "float32"}).out == bytes_of(model.kernel));
    const std::vector<double> doubles(model.kernel.begin(), model.kernel.end());
    CHECK(run(folder, {"cat", "--as=float64", "m.stet", "dense/kernel"}).out == bytes_of(doubles));
    const std::vector<std::int8_t> codes = {-4, -3, -2, -1, 0, 1, 2, 3, 4};
    CHECK(run(folder, {"cat", "m.stet", "codes", "--as", "int8"}).out == bytes_of(codes));
    // Packed as the format has them: 4 and 2 bits from the least significant on, saturated.
    CHECK(run(folder, {"cat", "m.stet", "codes", "--as", "int4"}).out == run(folder, {"cat", "m.stet", "codes"}).out);
    CHECK(run(folder, {"cat", "m.stet", "codes", "--as", "uint2"}).out == std::string("\0\xE4\x03", 3));
    // 0, 1, 2, 3, 4 of 6 bits are the codes 0, 8, 16, 20, 24; -4 … -1 are 56, 52, 48, 40.
    CHECK(run(folder, {"cat", "m.stet", "codes", "--as", "float6_e2m3fn"}).out ==
          std::string("\x38\x0D\xA3\x00\x02\x51\x18", 7));
    for (const char* name : {"words", "blocks"}) {
      const outcome refused = run(folder, {"cat", "m.stet", name, "--as", "float32"});
      CHECK(refused.status == 1);
      CHECK(refused.err == std::string("stet: m.stet: ") + name + ": no conversion exists between these dtypes\n");
    }
  }

  TEST_CASE("cat writes large tensors whole, as they are and converted") {
    const temp_folder folder;
    std::vector<float> large(700001);
    for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<float>(i);
    stet::writer out;
    out.add("large", large, {large.size()});
    CHECK(out.save(folder.path("m.stet")));
    CHECK(run(folder, {"cat", "m.stet", "large"}).out == bytes_of(large));
    const std::vector<std::int64_t> integers(large.begin(), large.end());
    CHECK(run(folder, {"cat", "m.stet", "large", "--as", "int64"}).out == bytes_of(integers));
  }

  TEST_CASE("cat --dequantize writes the numbers that codes stand for; a tensor that is not quantized, as it is") {
    const temp_folder folder;
    const std::vector<std::uint8_t> codes = {0, 1, 2, 255, 128, 7};
    stet::writer out;
    out.add("codes", codes, {2, 3},
            stet::json_value{{"quantization", {{"scales", {0.5, 2.0}}, {"zero_points", {1, 100}}, {"axis", 0}}}});
    out.add("plain", codes, {6});
    CHECK(out.save(folder.path("m.stet")));
    CHECK(run(folder, {"cat", "m.stet", "codes", "--dequantize"}).out ==
          bytes_of(std::vector<float>{-0.5f, 0, 0.5f, 310, 56, -186}));
    CHECK(run(folder, {"cat", "m.stet", "codes"}).out == bytes_of(codes));
    CHECK(run(folder, {"cat", "m.stet", "plain", "--dequantize"}).out == bytes_of(codes));
    CHECK(run(folder, {"cat", "m.stet", "codes", "--dequantize", "--as", "float64"}).status == 2);
  }

  TEST_CASE("verify says what it checked, and names every damaged tensor") {
    const temp_folder folder;
    const std::string path = folder.path("m.stet");
    sample().save(path);
    const outcome sound = run(folder, {"verify", "m.stet"});
    CHECK(sound.status == 0);
    CHECK(sound.err.empty());
    CHECK(sound.out.starts_with("structure  ok   8 tensors in 1 file\n"
                                "manifest   ok   the index says the same\n"
                                "padding    ok   all zero\n"
                                "checksums  ok   7 of 7 tensors, 392 B in "));
    overwrite(path, offset_of(path, "dense/kernel"), 'x');
    overwrite(path, offset_of(path, hostile_name), 'x');
    overwrite(path, offset_of(path, "codes") + 5, 'x');
    const outcome damaged = run(folder, {"verify", "m.stet"});
    CHECK(damaged.status == 1);
    CHECK(damaged.err == "stet: m.stet: 3 problems\n");
    CHECK(damaged.out.find("padding    BAD") != std::string::npos);
    CHECK(damaged.out.find("checksums  BAD  5 of 7 tensors") != std::string::npos);
    CHECK(damaged.out.find("\n  dense/kernel: the bytes of the tensor are damaged") != std::string::npos);
    CHECK(damaged.out.find("\n  red\\x1b[31m\\x0aline\\x7f\\x9b2J\"\\: the bytes") != std::string::npos);
    CHECK(is_harmless(damaged.out));
  }

  TEST_CASE("verify gives a damaged tensor's whole name") {
    const temp_folder folder;
    const std::string path = folder.path("m.stet"), name = std::string(300, 'n') + "/end";
    const float value = 1;
    stet::writer out;
    out.add(name, std::span<const float>(&value, 1), {1});
    CHECK(out.save(path));
    overwrite(path, offset_of(path, name), 'x');
    CHECK(run(folder, {"verify", "m.stet"}).out.find("  " + name + ": ") != std::string::npos);
  }

  TEST_CASE("manifest prints what the file holds, numbers as they are written there") {
    const temp_folder folder;
    sample().save(folder.path("m.stet"));
    const outcome printed = run(folder, {"manifest", "m.stet"});
    CHECK(printed.status == 0);
    CHECK(is_harmless(printed.out));
    const auto opened = stet::open(folder.path("m.stet"));
    REQUIRE(opened);
    if (!opened) return;
    CHECK(parse(printed.out) == parse(std::string(opened->manifest_text())));
    CHECK(printed.out.find("\n  \"state\": {\"global_step\": 7},\n") != std::string::npos);

    folder.write(
        "loose.json",
        R"( {"stet":{"version":1,"minimum_reader":1} , "tensors":{},"metadata":{"a":[1.50e+0,-0,{}],"b":[]}} )");
    CHECK(run(folder, {"manifest", "loose.json"}).out == "{\n"
                                                         "  \"stet\": {\"version\": 1, \"minimum_reader\": 1},\n"
                                                         "  \"tensors\": {},\n"
                                                         "  \"metadata\": {\"a\": [1.50e+0, -0, {}], \"b\": []}\n"
                                                         "}\n");
  }

  TEST_CASE("a file unpacked and packed again is the same, byte for byte") {
    const temp_folder folder;
    for (const std::uint32_t alignment : {1u, 64u, 4096u}) {
      CAPTURE(alignment);
      stet::save_options options;
      options.alignment_bytes = alignment;
      sample().save(folder.path("m.stet"), options);
      const outcome unpacked = run(folder, {"unpack", "m.stet", "folder/below"});
      CHECK(unpacked.status == 0);
      CHECK(unpacked.out.starts_with("folder/below/m.json: 8 tensors, "));
      CHECK(run(folder, {"verify", "folder/below/m.json"}).status == 0);
      CHECK(run(folder, {"diff", "m.stet", "folder/below/m.json"}).status == 0);
      CHECK(run(folder, {"pack", "folder/below/m.json", "again.stet"}).status == 0);
      CHECK(folder.read("again.stet") == folder.read("m.stet"));
    }
  }

  TEST_CASE("unpack and pack do not copy damage, and leave nothing behind") {
    const temp_folder folder;
    const std::string path = folder.path("m.stet");
    sample().save(path);
    overwrite(path, offset_of(path, "words"), 'x');
    for (const char* command : {"unpack", "pack"}) {
      const outcome refused = run(folder, {command, "m.stet", "made"});
      CHECK(refused.status == 1);
      CHECK(refused.err.starts_with("stet: m.stet: words: the bytes of the tensor are damaged"));
    }
    CHECK(folder.names() == std::vector<std::string>{"m.stet"});
    CHECK(run(folder, {"pack", "m.stet", "./m.stet"}).err == "stet: ./m.stet: input and output are the same file\n");
    sample().save(path);
    CHECK(run(folder, {"pack", "m.stet", "no/such/folder.stet"})
              .err.starts_with("stet: no/such/folder.stet: no such file"));
  }

  TEST_CASE("diff tells names, shapes, dtypes and values apart") {
    const temp_folder folder;
    sample model;
    model.save(folder.path("a.stet"));
    CHECK(run(folder, {"diff", "a.stet", "a.stet"}).out == "no difference in 8 tensors\n"); // a NaN equals itself
    model.kernel[0] = -0.0f;
    model.kernel[2] = 1.25f;
    model.kernel[3] = std::numeric_limits<float>::quiet_NaN();
    model.codes[8] = stet::int4(-8);
    model.words[1] = "x";
    model.blocks[150] = std::byte{1};
    stet::writer out;
    model.add_to(out);
    out.add("new", std::span<const float>(model.kernel).first(4), {2, 2});
    CHECK(out.save(folder.path("b.stet")));
    const outcome found = run(folder, {"diff", "a.stet", "b.stet"});
    CHECK(found.status == 1);
    CHECK(found.out == "values     3 of 12 elements, max abs 0.25, max rel 0.2, 1 with NaN  dense/kernel\n"
                       "values     3 of 12 elements, max abs 0.25, max rel 0.2, 1 with NaN  tied\n"
                       "values     1 of 9 elements, max abs 12, max rel 1.5                 codes\n"
                       "values     1 of 3 elements                                          words\n"
                       "values     1 of 2 blocks                                            blocks\n"
                       "values     1 of 1 element, max abs 0, max rel 0                     \xE5\x90\x8D\xE5\x89\x8D\n"
                       "only in B  float32 [2, 2]                                           new\n");
    CHECK(found.err == "stet: a.stet: differs from b.stet in 7 of 9 tensors\n");
    CHECK(run(folder, {"diff", "b.stet", "a.stet"}).out.find("only in A  float32 [2, 2]") != std::string::npos);
  }

  TEST_CASE("diff compares values across dtypes, and integers exactly") {
    const temp_folder folder;
    const std::vector<float> wide = {1, 2, std::numeric_limits<float>::quiet_NaN(), 0.1f};
    const std::vector<stet::bfloat16> narrow(wide.begin(), wide.end());
    const std::vector<std::int64_t> first = {(std::numeric_limits<std::int64_t>::min)(), 9007199254740993, 5};
    const std::vector<std::int64_t> second = {(std::numeric_limits<std::int64_t>::min)(), 9007199254740992, 5};
    stet::writer a, b;
    a.add("mixed", wide, {4});
    b.add("mixed", narrow, {4});
    a.add("integers", first, {3});
    b.add("integers", second, {3});
    a.add("shape", wide, {4});
    b.add("shape", wide, {2, 2});
    CHECK(a.save(folder.path("a.stet")));
    CHECK(b.save(folder.path("b.stet")));
    const std::string found = run(folder, {"diff", "a.stet", "b.stet"}).out;
    CHECK(found == "dtype      float32 -> bfloat16                                        mixed\n"
                   "values     1 of 4 elements, max abs 9.76548e-05, max rel 0.000975595  mixed\n"
                   "values     1 of 3 elements, max abs 1, max rel 1.11022e-16            integers\n"
                   "shape      [4] -> [2, 2]                                              shape\n");
  }

  TEST_CASE("ten thousand tensors are listed, and a closed pipe ends the listing quietly") {
    const temp_folder folder;
    save_many(folder.path("many.stet"));
    const outcome listed = run(folder, {"ls", "many.stet"});
    CHECK(std::count(listed.out.begin(), listed.out.end(), '\n') == 10001);
    CHECK(listed.out.find("\n  39.1 KiB  10,000 tensors, 10,000 elements; 1 file of ") != std::string::npos);
    const stet::json_value json = parse(run(folder, {"ls", "--json", "many.stet"}).out);
    REQUIRE(json.is_object());
    if (!json.is_object()) return;
    CHECK(json["tensors"].size() == 10000);

    for (const char* command : {"ls many.stet", "ls --json many.stet", "manifest many.stet"}) {
      // The pipe is closed before the command begins: every write fails.
      const std::string line = "cd " + shell_word(folder.path()) + " && { sleep 0.2; " + shell_word(STET_COMMAND) +
                               " " + command + " 2>err; echo $? >status; } | true";
      CHECK(std::system(line.c_str()) == 0);
      CHECK(text_of(folder.read("status")) == "0\n");
      CHECK(text_of(folder.read("err")).empty());
    }
  }

#if defined(__linux__)
  TEST_CASE("a full disk under standard output is an error") {
    const temp_folder folder;
    sample().save(folder.path("m.stet"));
    const std::string line =
        "cd " + shell_word(folder.path()) + " && " + shell_word(STET_COMMAND) + " ls m.stet >/dev/full 2>err";
    const int status = std::system(line.c_str());
    CHECK(WEXITSTATUS(status) == 1);
    CHECK(text_of(folder.read("err")).starts_with("stet: standard output: "));
  }
#endif

  TEST_CASE("convert goes to TensorFlow's forms and Keras' and back without a change, and graph shows what a model "
            "computes") {
    const temp_folder folder;
    const std::vector<float> kernel = {1, 2, 3, 4, 5, 6}, bias = {0.5f, -1, 3};
    stet::writer out;
    out.add("dense/kernel", kernel, {2, 3});
    out.add("dense/bias", bias, {3});
    stet::graph graph;
    graph.add("x", "Placeholder");
    graph.add("dense", "Dense", {"x"}, {{"units", 3}}, {{"kernel", "dense/kernel"}, {"bias", "dense/bias"}});
    graph.inputs = {{"x", "x", stet::dtype::float32, {{2}}}};
    graph.outputs = {{"y", "dense", std::nullopt, std::nullopt}};
    out.graph = stet::graph_to_json(graph);
    REQUIRE(out.save(folder.path("m.stet")));

    const outcome forth = run(folder, {"convert", "m.stet", "ckpt", "--to", "tensorflow"});
    CHECK(forth.status == 0);
    CHECK(forth.out.starts_with("ckpt: 2 tensors, "));
    CHECK(run(folder, {"ls", "--json", "ckpt"}).out.starts_with("{\"format\": \"tf-ckpt-v2\""));
    CHECK(run(folder, {"verify", "ckpt"}).status == 0);
    CHECK(run(folder, {"convert", "ckpt", "back.stet"}).status == 0);
    CHECK(run(folder, {"diff", "m.stet", "back.stet"}).status == 0);
    CHECK(run(folder, {"convert", "m.stet", "model.json"}).status == 0);
    CHECK(run(folder, {"diff", "m.stet", "model.json"}).status == 0);
    for (const char* const name : {"m.keras", "m.weights.h5", "m.h5"}) { // each has names of its own for the two
      CAPTURE(name);
      const outcome saved = run(folder, {"convert", "m.stet", name});
      CHECK(saved.status == 0);
      CHECK(saved.out.starts_with(std::string(name) + ": 2 tensors, "));
      CHECK(run(folder, {"verify", name}).status == 0);
      CHECK(run(folder, {"cat", name, "dense/kernel"}).out == run(folder, {"cat", "m.stet", "dense/kernel"}).out);
    }
    CHECK(run(folder, {"convert", "m.keras", "again", "--to", "keras-weights"}).status == 0);
    CHECK(folder.read("again") == folder.read("m.weights.h5"));
    CHECK(run(folder, {"convert", "m.keras", "again", "--to", "keras"}).status == 0);
    CHECK(run(folder, {"convert", "m.keras", "again", "--to", "keras-legacy"}).status == 0);
    CHECK(run(folder, {"convert", "m.weights.h5", "weights.keras"}).status == 1); // nothing tells the layers
    CHECK(folder.read("weights.keras").empty());
    CHECK(run(folder, {"convert", "m.stet", "elsewhere"}).status == 2);
    CHECK(run(folder, {"convert", "m.stet", "elsewhere", "--to", "onnx"}).status == 2);
    CHECK(run(folder, {"convert", "m.stet", "m.stet"}).status == 1);
    CHECK(run(folder, {"convert", "absent", "new.stet"}).status == 1);
    CHECK(folder.read("new.stet").empty());

    const outcome shown = run(folder, {"graph", "m.stet"});
    CHECK(shown.status == 0);
    CHECK(shown.out.find("Dense") != std::string::npos);
    CHECK(shown.out.find("dense/kernel") != std::string::npos);
    CHECK(run(folder, {"graph", "m.stet", "--dot"}).out.starts_with("digraph {"));
    CHECK(nlohmann::json::accept(run(folder, {"graph", "m.stet", "--json"}).out));
    CHECK(run(folder, {"graph", "absent"}).status == 1);
  }

  TEST_CASE("files of Keras are listed, read, verified, shown and compared") {
    const temp_folder folder;
    folder.write("m.keras", stet_test::keras_archive().bytes());
    folder.write("m.weights.h5", stet_test::probe_weights());
    folder.write("index.weights.json",
                 R"({"metadata": {"total_size": 36.0}, "weight_map": {"/layers/dense/vars": ["m.weights.h5"]}})");
    std::string expected(24, '\0');
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = static_cast<char>(i);
    for (const char* const name : {"m.keras", "m.weights.h5", "index.weights.json"}) {
      CAPTURE(name);
      const outcome listed = run(folder, {"ls", "--json", name});
      REQUIRE(listed.status == 0);
      const stet::json_value parsed = parse(listed.out);
      CHECK(parsed["format"] == (name == std::string("m.weights.h5") ? "hdf5" : "keras-v3"));
      REQUIRE(parsed["tensors"].size() == 2);
      CHECK(parsed["tensors"][0]["name"] == "/layers/dense/vars/0");
      CHECK(parsed["tensors"][0]["names"] == stet::json_value{"probe/kernel"});
      CHECK(parsed["tensors"][0]["in_place"] == true);
      CHECK(run(folder, {"ls", name}).out.find("2 tensors") != std::string::npos);
      CHECK(run(folder, {"cat", name, "probe/kernel"}).out == expected);
      CHECK(run(folder, {"verify", name}).out.find("2 tensors in 1 file") != std::string::npos);
      CHECK(run(folder, {"diff", "m.keras", name}).status == 0);
      CHECK(run(folder, {"ls", name}).out.find("/layers/dense/vars/1  also probe/bias\n") != std::string::npos);
    }
    const outcome shown = run(folder, {"graph", "m.keras"});
    CHECK(shown.status == 0);
    CHECK(shown.out.find("kernel=/layers/dense/vars/0") != std::string::npos);
    CHECK(run(folder, {"graph", "m.weights.h5"}).status == 1);
  }

  TEST_CASE("a delta is listed, verified, converted and compacted with its base, or the missing file is named") {
    const temp_folder folder;
    std::vector<float> a = {1, 2}, b = {3, 4};
    stet::variable_list variables;
    REQUIRE(variables.add("a", a, {2}));
    REQUIRE(variables.add("b", b, {2}));
    {
      stet::writer base;
      base.state = stet::json_value{{"global_step", 1}, {"metric", 0.25}};
      REQUIRE(stet::add_variables(base, variables));
      REQUIRE(base.save(folder.path("ckpt-1.stet")));
    }
    b[0] = 30;
    {
      const auto base = stet::open_checkpoint(folder.path("ckpt-1.stet"));
      REQUIRE(base);
      stet::writer delta;
      REQUIRE(stet::add_changed(delta, variables, *base));
      REQUIRE(delta.save(folder.path("ckpt-2.stet")));
    }
    const outcome listed = run(folder, {"ls", "ckpt-2.stet"});
    CHECK(listed.status == 0);
    CHECK(listed.out.find("delta of ckpt-1.stet\n") != std::string::npos);
    CHECK(listed.out.find("2 tensors") != std::string::npos);
    const stet::json_value json = parse(run(folder, {"ls", "--json", "ckpt-2.stet"}).out);
    CHECK(json["base"] == "ckpt-1.stet");
    REQUIRE(json["tensors"].size() == 2);
    CHECK(json["tensors"][0]["file"] == "ckpt-1.stet");
    CHECK(json["tensors"][1]["file"] == "ckpt-2.stet");
    CHECK_FALSE(json.contains("omitted"));
    CHECK(run(folder, {"cat", "ckpt-2.stet", "a"}).out == bytes_of(a));
    CHECK(run(folder, {"verify", "ckpt-2.stet"}).status == 0);
    CHECK(run(folder, {"convert", "ckpt-2.stet", "whole.stet"}).status == 0);
    CHECK(run(folder, {"compact", "ckpt-2.stet", "compact.stet"}).out.starts_with("compact.stet: 2 tensors, "));
    CHECK(folder.read("whole.stet") == folder.read("compact.stet"));
    CHECK(run(folder, {"diff", "ckpt-2.stet", "whole.stet"}).status == 0);

    // The folder that they lie in.
    const outcome all = run(folder, {"ls", "."});
    CHECK(all.status == 0);
    CHECK(all.out.find("ckpt-1.stet  step 1, metric 0.25\n") != std::string::npos);
    CHECK(all.out.find("ckpt-2.stet  step 2, delta of ckpt-1.stet\n") != std::string::npos);
    const stet::json_value rows = parse(run(folder, {"ls", "--json", "."}).out)["checkpoints"];
    REQUIRE(rows.size() == 2);
    CHECK(rows[0]["step"] == 1);
    CHECK(rows[0]["size_bytes"] == folder.read("ckpt-1.stet").size());
    CHECK_FALSE(rows[0].contains("base"));
    CHECK(rows[0]["metric"] == 0.25);
    CHECK(rows[1]["base"] == "ckpt-1.stet");
    CHECK_FALSE(rows[1].contains("metric"));
    CHECK(run(folder, {"cat", ".", "b"}).out == bytes_of(b));
    CHECK(run(folder, {"verify", "."}).status == 0);
    CHECK(run(folder, {"compact", ".", "newest.stet"}).status == 0);
    CHECK(folder.read("newest.stet") == folder.read("compact.stet"));
    // The base of a delta is not replaced.
    CHECK(run(folder, {"compact", "ckpt-2.stet", "ckpt-1.stet"}).err ==
          "stet: ckpt-2.stet: a delta of the file that would be replaced; compact it first\n");

    // Damage in the base.
    const std::vector<std::byte> base = folder.read("ckpt-1.stet");
    overwrite(folder.path("ckpt-1.stet"), offset_of(folder.path("ckpt-1.stet"), "a"), 'x');
    for (const std::vector<std::string>& line :
         std::vector<std::vector<std::string>>{{"verify", "ckpt-2.stet"},
                                               {"verify", "."},
                                               {"cat", "ckpt-2.stet", "a"},
                                               {"convert", "ckpt-2.stet", "bad.stet"},
                                               {"compact", "ckpt-2.stet", "bad.stet"}}) {
      const outcome refused = run(folder, line);
      CAPTURE(line[0]);
      CHECK(refused.status == 1);
      CHECK((refused.out + refused.err).find("a: the bytes of the tensor are damaged") != std::string::npos);
    }
    CHECK(folder.read("bad.stet").empty());
    REQUIRE(std::remove(folder.path("ckpt-1.stet").c_str()) == 0);
    for (const char* const command : {"ls", "verify", "manifest"}) {
      CHECK(run(folder, {command, "ckpt-2.stet"}).err ==
            "stet: ckpt-2.stet: ckpt-1.stet: the file is a delta and its base is missing\n");
      CHECK(run(folder, {command, "ckpt-2.stet"}).status == 1);
    }
  }

  TEST_CASE("a converted model keeps the names that programs bind by, and is compared by them") {
    const temp_folder folder;
    folder.write("m.keras", stet_test::keras_archive().bytes());
    CHECK(run(folder, {"convert", "m.keras", "both.stet"}).out.starts_with("both.stet: 2 tensors, "));
    CHECK(run(folder, {"convert", "m.keras", "file.stet", "--names", "file"}).status == 0);
    CHECK(run(folder, {"convert", "m.keras", "layers.stet", "--names=layers"}).status == 0);
    CHECK(run(folder, {"convert", "both.stet", "again.stet", "--names=layers"}).status == 0);
    CHECK(folder.read("again.stet") == folder.read("layers.stet"));
    CHECK(run(folder, {"convert", "m.keras", "m.h5"}).status == 0);
    CHECK(run(folder, {"ls", "both.stet"}).out.find("/layers/dense/vars/0  also probe/kernel\n") != std::string::npos);
    CHECK(run(folder, {"ls", "file.stet"}).out.find("probe/") == std::string::npos);
    CHECK(run(folder, {"ls", "layers.stet"}).out.find("/layers/") == std::string::npos);
    const stet::json_value json = parse(run(folder, {"ls", "--json", "both.stet"}).out);
    REQUIRE(json["tensors"].size() == 2);
    CHECK(json["tensors"][1]["names"] == stet::json_value{"probe/bias"});
    for (const char* const name : {"both.stet", "layers.stet", "m.h5", "m.keras"}) {
      CAPTURE(name);
      CHECK(run(folder, {"verify", name}).status == 0);
      CHECK(run(folder, {"cat", name, "probe/kernel"}).out == run(folder, {"cat", "m.keras", "probe/kernel"}).out);
      CHECK(run(folder, {"diff", "m.keras", name}).out == "no difference in 2 tensors\n");
      CHECK(run(folder, {"diff", name, "m.h5"}).out == "no difference in 2 tensors\n");
    }
    // Without a name in common they are different tensors.
    CHECK(run(folder, {"diff", "file.stet", "layers.stet"}).err ==
          "stet: file.stet: differs from layers.stet in 4 of 4 tensors\n");
    // Two tensors of B that are one of A are both compared.
    stet::writer one, two;
    const std::vector<float> a{1, 2}, b{1, 3};
    one.add("x", a, {2});
    one.add_alias("y", "x", stet::json_value{{"second_name", true}});
    two.add("x", a, {2});
    two.add("y", b, {2});
    CHECK(one.save(folder.path("one.stet")));
    CHECK(two.save(folder.path("two.stet")));
    CHECK(run(folder, {"diff", "one.stet", "two.stet"}).err ==
          "stet: one.stet: differs from two.stet in 1 of 2 tensors\n");
  }

  TEST_CASE("names that turn the text around them are escaped") {
    const temp_folder folder;
    const std::vector<float> values{1};
    stet::writer out;
    out.add("a\xE2\x80\xAE"
            "b\xE2\x81\xA6\xE2\x82\xAC",
            values, {1});
    CHECK(out.save(folder.path("m.stet")));
    CHECK(run(folder, {"ls", "m.stet"}).out.find("a\\u202eb\\u2066\xE2\x82\xAC\n") != std::string::npos);
    CHECK(run(folder, {"cat", "m.stet", "\xE2\x80\xAA"}).err == "stet: m.stet: \\u202a: no tensor has this name\n");
  }

  TEST_CASE("what a format needs and a file has not is said in words") {
    const temp_folder folder;
    sample().save(folder.path("m.stet"));
    CHECK(run(folder, {"unpack", "m.stet", "loose"}).status == 0);
    CHECK(run(folder, {"verify", "loose/m.json"})
              .out.find("manifest   ok   valid; the file has no index to compare it with\n") != std::string::npos);
    CHECK(run(folder, {"convert", "m.stet", "m.keras"})
              .err.starts_with("stet: m.stet: model without layers: weights can be saved as keras-weights: "));
    folder.write("k.keras", stet_test::keras_archive().bytes());
    CHECK(run(folder, {"graph", "k.keras"}).out.find(" \n") == std::string::npos);
  }

  TEST_CASE("a soft link of HDF5 is a further name of its tensor, and can be read by it") {
    const temp_folder folder;
    folder.write("m.h5", stet_test::hdf5_files::symbols.bytes());
    const stet::json_value json = parse(run(folder, {"ls", "--json", "m.h5"}).out);
    for (const stet::json_value& each : json["tensors"]) {
      CHECK(each["name"] != "/soft");
      CHECK(each.contains("names") == (each["name"] == "/again"));
      if (each.contains("names")) CHECK(each["names"] == stet::json_value({"/soft"}));
    }
    CHECK(run(folder, {"cat", "m.h5", "/soft"}).out == run(folder, {"cat", "m.h5", "/again"}).out);
  }

  TEST_CASE("what cannot be given as a tensor is listed with its reason, and not converted") {
    const temp_folder folder;
    const std::vector<float> a = {1, 2};
    stet::writer good;
    good.add("a", a, {2});
    REQUIRE(good.save(folder.path("ckpt-1.stet")));
    folder.write("ckpt-2.stet", "damaged");
    const outcome listed = run(folder, {"ls", "."});
    CHECK(listed.status == 0);
    CHECK(listed.out.find("   omitted  ") != std::string::npos);
    CHECK(listed.out.find("1 item of the file not listed as tensors\n") != std::string::npos);
    const stet::json_value json = parse(run(folder, {"ls", "--json", "."}).out);
    REQUIRE(json.contains("omitted"));
    REQUIRE(json["omitted"].size() == 1);
    CHECK(json["omitted"][0]["name"].get<std::string>().ends_with("ckpt-2.stet"));
    CHECK_FALSE(json["omitted"][0]["reason"].get<std::string>().empty());
    const outcome converted = run(folder, {"convert", ".", "out.stet"});
    CHECK(converted.status == 0);
    CHECK(converted.out.find(", without 1 item that cannot be converted:\n") != std::string::npos);
    CHECK(converted.out.find("ckpt-2.stet: ") != std::string::npos);
  }

  TEST_CASE("a layer that a format does not have is named, with the format that has it") {
    const temp_folder folder;
    std::string config(stet_test::sequential_config("probe"));
    config.replace(config.find("Dense"), 5, "EinsumDense");
    stet_test::made_archive archive = stet_test::keras_archive();
    archive.members[1] = {"config.json", config};
    folder.write("m.keras", archive.bytes());
    const outcome refused = run(folder, {"convert", "m.keras", "model.json"});
    CHECK(refused.status == 1);
    CHECK(refused.err.starts_with("stet: m.keras: layer probe (EinsumDense): can be saved as tfjs-weights: "));
    CHECK(run(folder, {"convert", "m.keras", "model.json", "--to", "tfjs-weights"}).status == 0);
    CHECK(parse(run(folder, {"ls", "--json", "model.json"}).out)["tensors"].size() == 2);
  }

  TEST_CASE("damage of a stored member of an archive is found by verify, cat and convert") {
    const temp_folder folder;
    folder.write("m.keras", stet_test::keras_archive().bytes());
    const stet::json_value tensors = parse(run(folder, {"ls", "--json", "m.keras"}).out)["tensors"];
    overwrite(folder.path("m.keras"), tensors[0]["offset_bytes"].get<std::uint64_t>() + 1, 'x');
    const outcome verified = run(folder, {"verify", "m.keras"});
    CHECK(verified.status == 1);
    CHECK(verified.out.find("model.weights.h5: the bytes of the tensor are damaged") != std::string::npos);
    for (const char* const name : {"copy.stet", "copy.weights.h5", "model.json"}) {
      CHECK(run(folder, {"convert", "m.keras", name}).status == 1);
      CHECK(folder.read(name).empty());
    }
    const outcome printed = run(folder, {"cat", "m.keras", "probe/kernel"});
    CHECK(printed.status == 1);
    CHECK(printed.out.empty());
  }

  TEST_CASE("convert leaves out what --skip names, and says so") {
    const temp_folder folder;
    sample().save(folder.path("m.stet"));
    const outcome done = run(folder, {"convert", "m.stet", "few.stet", "--skip", "co*", "--skip=e????"});
    CHECK(done.status == 0);
    CHECK(done.out.find("without 2 tensors that --skip names") != std::string::npos);
    const std::string left = run(folder, {"ls", "--json", "few.stet"}).out;
    CHECK(parse(left)["tensors"].size() == 6);
    CHECK(left.find("\"codes\"") == std::string::npos);
    CHECK(run(folder, {"convert", "m.stet", "none.stet", "--skip", "absent"}).status == 1);
    CHECK(folder.read("none.stet").empty());
  }

  TEST_CASE("convert takes what --only names, renames it, and makes numbers of another dtype") {
    const temp_folder folder;
    const std::vector<float> values{1, 2, 3.0625f};
    std::vector<std::byte> block(34, std::byte{1});
    block[1] = std::byte{0x3c};
    std::vector<std::byte> opaque(36);
    stet::writer out;
    out.add("model.w", values).add("model.n", std::vector<std::int32_t>{7}[0]).add("other", values);
    out.add_bytes("model.q", {stet::dtype::block, 0, {"q8_0", 32, 34}}, {32}, block);
    out.add_bytes("sums", {stet::dtype::block, 0, {"q8_1", 32, 36}}, {32}, opaque);
    REQUIRE(out.save(folder.path("m.stet")));
    const outcome done = run(folder, {"convert", "m.stet", "o.stet", "--only", "model.*", "--rename=model.?=$1",
                                      "--dtype", "bfloat16", "--dequantize"});
    CHECK(done.err.empty());
    CHECK(done.status == 0);
    CHECK(done.out.find("3 tensors") != std::string::npos);
    const auto made = stet::open(folder.path("o.stet"));
    REQUIRE(made);
    CHECK(made->tensor_count() == 3);
    CHECK(made->get<stet::bfloat16>("w"));
    CHECK(float{(*made->get<stet::bfloat16>("w"))[2]} == 3.0625f);
    CHECK(made->get<std::int32_t>("n"));
    const auto q = made->get<stet::bfloat16>("q");
    REQUIRE(q);
    CHECK(q->size() == 32);
    CHECK(made->verify_checksums());

    const std::string numbers = run(folder, {"cat", "m.stet", "model.q", "--dequantize"}).out;
    CHECK(numbers.size() == 128);
    const outcome refused = run(folder, {"cat", "m.stet", "sums", "--dequantize"});
    CHECK(refused.status == 1);
    CHECK(refused.err.find("sums: q8_1") != std::string::npos);
    const outcome failed = run(folder, {"convert", "m.stet", "f.stet", "--dequantize"});
    CHECK(failed.status == 1);
    CHECK(failed.err.find("sums: ") != std::string::npos);
    CHECK(failed.err.find("--skip leaves it out") != std::string::npos);
    CHECK(folder.read("f.stet").empty());
    CHECK(run(folder, {"convert", "m.stet", "f.stet", "--only", "absent"}).status == 1);
    CHECK(run(folder, {"convert", "m.stet", "f.stet", "--dtype", "int8"}).status == 2);
    CHECK(run(folder, {"convert", "m.stet", "f.stet", "--dtype", "float4_e2m1fn"}).status == 2);
    CHECK(run(folder, {"convert", "m.stet", "f.stet", "--rename", "x"}).status == 2);
    // What the target cannot have is named with the option that helps.
    const outcome unfit = run(folder, {"convert", "m.stet", "t", "--to", "tensorflow", "--only", "model.q"});
    CHECK(unfit.status == 1);
    CHECK(unfit.err.find("model.q") != std::string::npos);
    CHECK(unfit.err.find("--dequantize makes numbers of it") != std::string::npos);
    CHECK(run(folder, {"convert", "m.stet", "t", "--to", "tensorflow", "--only", "model.q", "--dequantize"}).status ==
          0);
  }

  TEST_CASE("patch puts weights into a file of PyTorch: renamed, with other axes, those that --only names") {
    namespace pt = stet_test::pt;
    using stet_test::floats;
    const auto file = [](const std::string& weight, const std::string& bias, const std::string& other) {
      return stet_test::pytorch_file(
          pt::dict({pt::text("dense.weight"), pt::tensor("0", 6, 0, {2, 3}, {3, 1}), pt::text("dense.bias"),
                    pt::tensor("1", 2, 0, {2}, {1}), pt::text("other.bias"), pt::tensor("2", 2, 0, {2}, {1})}),
          {{"0", weight}, {"1", bias}, {"2", other}});
    };
    const temp_folder folder;
    const std::string old = file(floats(6), floats(2, 50), floats(2, 60));
    folder.write("m.pt", old);
    const std::vector<float> kernel{1, 4, 2, 5, 3, 6}, bias{7, 8};
    stet::writer out;
    out.add("dense/kernel", kernel, {3, 2}).add("dense.bias", bias).add("other.bias", bias).add("step", bias);
    REQUIRE(out.save(folder.path("new.stet")));

    const outcome done = run(folder, {"patch", "m.pt", "new.stet", "out.pt", "--rename", "dense/kernel=dense.weight",
                                      "--axes", "dense.weight=1,0", "--only", "dense.*"});
    CHECK(done.err.empty());
    CHECK(done.status == 0);
    CHECK(done.out ==
          "  dense.weight <- dense/kernel\n  dense.bias\nout.pt: 2 tensors replaced, 1 of the weights not used\n");
    CHECK(text_of(folder.read("out.pt")) == file(floats(6, 1), bytes_of(bias), floats(2, 60)));
    CHECK(text_of(folder.read("m.pt")) == old);
    CHECK(run(folder, {"verify", "out.pt"}).status == 0);

    // Over the model itself, but for what --skip names.
    folder.write("same.pt", old);
    CHECK(run(folder, {"patch", "same.pt", "new.stet", "same.pt", "--skip", "dense.*"}).status == 0);
    CHECK(text_of(folder.read("same.pt")) == file(floats(6), floats(2, 50), bytes_of(bias)));
  }

  TEST_CASE("patch names what does not fit, and writes nothing then") {
    const temp_folder folder;
    folder.write("m.pt", stet_test::example_pytorch_file()); // w, 2 × 3
    const std::vector<float> values{1, 2, 3, 4, 5, 6};
    const auto weights = [&](std::string_view path, std::string_view name, std::vector<std::uint64_t> shape) {
      stet::writer out;
      out.add(name, values, shape);
      REQUIRE(out.save(folder.path(std::string(path))));
    };
    weights("shape.stet", "w", {3, 2});
    weights("name.stet", "v", {2, 3});
    weights("good.stet", "w", {2, 3});
    const auto said = [&](const std::vector<std::string>& arguments, int status) {
      std::vector<std::string> all{"patch"};
      all.insert(all.end(), arguments.begin(), arguments.end());
      const outcome wrong = run(folder, all);
      CHECK(wrong.status == status);
      CHECK(wrong.out.empty());
      CHECK(folder.read("out.pt").empty());
      return wrong.err;
    };
    CHECK(said({"m.pt", "shape.stet", "out.pt"}, 1) ==
          "stet: w: float32 [3, 2] in the weights, float32 [2, 3] in the model\n");
    CHECK(said({"m.pt", "name.stet", "out.pt"}, 1) ==
          "stet: name.stet: no tensor has the name of one in the model; --rename gives them other names\n");
    CHECK(said({"m.pt", "name.stet", "out.pt", "--strict"}, 1) == "stet: w: missing\nstet: v: float32 [2, 3]\n");
    CHECK(said({"m.pt", "good.stet", "out.pt", "--axes", "w=0,0"}, 1) ==
          "stet: w: float32 [2, 3] in the weights, float32 [2, 3] in the model\n");
    CHECK(said({"m.pt", "good.stet", "out.pt", "--only", "x"}, 1).starts_with("stet: good.stet: no tensor"));
    CHECK(said({"good.stet", "good.stet", "out.pt"}, 1) ==
          "stet: good.stet: weights of this format cannot be replaced in its file; stet convert makes a new one\n");
    CHECK(said({"m.pt", "none.stet", "out.pt"}, 1).starts_with("stet: none.stet: "));
    CHECK(said({"m.pt", "good.stet", "out.pt", "--axes", "w"}, 2) ==
          "stet: --axes takes PATTERN=ORDER (see stet --help)\n");
    CHECK(said({"m.pt", "good.stet", "out.pt", "--axes", "w=1;0"}, 2).starts_with("stet: the ORDER of --axes"));
    CHECK(said({"m.pt", "good.stet", "out.pt", "--rename", "w"}, 2) ==
          "stet: --rename takes FROM=TO (see stet --help)\n");
    CHECK(said({"m.pt", "good.stet"}, 2).starts_with("stet: "));
  }

  TEST_CASE("convert saves shards of a chosen size, without tied names, deflated, and in blocks") {
    const temp_folder folder;
    std::vector<float> values(64 * 64);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 100) - 50;
    stet::writer out;
    out.add("a.w", values, {64, 64}).add("b.w", values, {64, 64}).add("bias", std::span(values).first(32), {32});
    out.add("conv", std::span(values).first(18), {2, 3, 3}).add_alias("tied", "a.w");
    REQUIRE(out.save(folder.path("m.stet")));

    const outcome refused = run(folder, {"convert", "m.stet", "m.safetensors"});
    CHECK(refused.status == 1);
    CHECK(refused.err.find("tied") != std::string::npos);
    CHECK(refused.err.find("--drop-aliases saves it under its first name alone") != std::string::npos);
    const outcome sharded = run(folder, {"convert", "m.stet", "m.safetensors", "--drop-aliases", "--shard-size=20kB"});
    CHECK(sharded.status == 0);
    CHECK(sharded.out.find(" in 3 files, without 1 alias name\n") != std::string::npos);
    CHECK(run(folder, {"verify", "m.safetensors.index.json"}).status == 0);
    CHECK(folder.read("m-00001-of-00002.safetensors").size() > 16384);

    const outcome parts = run(folder, {"convert", "m.stet", "m.gguf", "--drop-aliases", "--shard-size", "20KiB"});
    CHECK(parts.status == 0);
    CHECK(parts.out.find(" in 2 files") != std::string::npos);
    CHECK(run(folder, {"verify", "m-00002-of-00002.gguf"}).status == 0);
    CHECK(run(folder, {"convert", "m.stet", "s.stet", "--shard-size", "20KiB"}).out.find(" in 3 files") !=
          std::string::npos);

    const outcome blocks = run(folder, {"convert", "m.stet", "q.gguf", "--drop-aliases", "--dtype", "q8_0"});
    CHECK(blocks.status == 0);
    const auto listed = parse(run(folder, {"ls", "q.gguf", "--json"}).out)["tensors"];
    REQUIRE(listed.size() == 4);
    const std::string expected_dtypes[] = {"q8_0", "q8_0", "float32", "float32"};
    for (std::size_t i = 0; i < 4; ++i)
      CHECK(listed[i].dump().find("\"" + expected_dtypes[i] + "\"") != std::string::npos);
    CHECK(run(folder, {"cat", "q.gguf", "a.w", "--dequantize"}).out.size() == values.size() * 4);

    const std::string size_of_stored = run(folder, {"convert", "m.stet", "m.npz"}).out;
    CHECK(size_of_stored.find("in 1 file") != std::string::npos);
    {
      const std::vector<float> large(70000, 1.5f);
      stet::writer mixed;
      mixed.add("small", std::span(large).first(3), {3});
      mixed.add("large", large, {70000});
      REQUIRE(mixed.save(folder.path("large.stet")));
    }
    CHECK(run(folder, {"convert", "large.stet", "compact.stet", "--layout", "compact"}).status == 0);
    CHECK(folder.read("compact.stet") == folder.read("large.stet"));
    for (const auto& [layout, page] : {std::pair("accelerator", 4096u), std::pair("accelerator:16KiB", 16384u)}) {
      CHECK(run(folder, {"convert", "large.stet", "pages.stet", "--layout", layout}).status == 0);
      CHECK(run(folder, {"verify", "pages.stet"}).status == 0);
      const auto paged = stet::open(folder.path("pages.stet"), {.backing = stet::backing::read});
      REQUIRE(paged);
      CHECK(paged->whole_pages(*paged->find("large"), page));
    }

    const outcome deflated = run(folder, {"convert", "m.stet", "d.npz", "--deflate"});
    if (deflated.status == 0) {
      CHECK(folder.read("d.npz").size() * 4 < folder.read("m.npz").size());
      CHECK(run(folder, {"cat", "d.npz", "a.w"}).out == run(folder, {"cat", "m.stet", "a.w"}).out);
    } else {
      CHECK(deflated.status == 2);
      CHECK(deflated.err.find("built with zlib") != std::string::npos);
    }

    const auto misuse = [&](std::vector<std::string> given, std::string_view sentence) {
      given.insert(given.begin(), {"convert", "m.stet"});
      const outcome wrong = run(folder, given);
      CHECK(wrong.status == 2);
      CHECK(wrong.err.find(sentence) != std::string::npos);
      CHECK(folder.read(given[2]).empty());
    };
    misuse({"x.npz", "--shard-size", "1GB"},
           "--shard-size is for an OUT of format stet, safetensors, gguf, tensorflow");
    misuse({"x.stet", "--drop-aliases"},
           "--drop-aliases is for an OUT of format safetensors, gguf, safetensors-shards");
    misuse({"x.gguf", "--deflate"}, "--deflate is for an OUT of format npz");
    misuse({"x.gguf", "--layout", "accelerator"}, "--layout is for an OUT of format stet");
    for (const char* const layout :
         {"", "metal", "accelerator:", "accelerator:3", "accelerators", "accelerator:128KiB"})
      misuse({"x.stet", "--layout", layout}, "--layout takes compact, accelerator, or accelerator:N");
    misuse({"x.npz", "--dtype", "q8_0"}, "--dtype q8_0 is for an OUT of format stet, gguf");
    misuse({"x.gguf", "--dtype", "q4_k"}, "q8_0");
    for (const char* const size : {"0", "", "GB", "5XB", "1.5GB", "-1", "99999999999999999999", "17179869184GiB"})
      misuse({"x.gguf", "--shard-size", size}, "--shard-size takes a size such as 500MB, 5GB or 2GiB");
  }

  TEST_CASE("doctor says what a file is and what to do, and repairs it") {
    const temp_folder folder;
    sample().save(folder.path("m.stet"));
    folder.write("lfs.gguf", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n");
    const outcome sound = run(folder, {"doctor", "m.stet"});
    CHECK(sound.status == 0);
    CHECK(sound.out.starts_with("m.stet: "));
    const outcome pointer = run(folder, {"doctor", "lfs.gguf"});
    CHECK(pointer.status == 1);
    CHECK(pointer.out.starts_with("lfs.gguf: a git-LFS pointer, not the file itself, which git lfs pull fetches\n"));
    CHECK(pointer.err.empty());
    const outcome listed = run(folder, {"ls", "lfs.gguf"});
    CHECK(listed.status == 1);
    CHECK(listed.err.starts_with(
        "stet: lfs.gguf: not a format that is known here: a git-LFS pointer, not the file itself, "));
    CHECK(listed.error_line_count() == 1);
    CHECK(run(folder, {"doctor", "lfs.gguf", "--repair", "out"}).status == 1);
    CHECK(run(folder, {"doctor", "absent"}).status == 1);
    std::string text(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})");
    text =
        std::string(1, static_cast<char>(text.size() + 1)) + std::string(7, '\0') + text + std::string(1, '\0') + "ab";
    folder.write("n.safetensors", text);
    CHECK(run(folder, {"ls", "n.safetensors"}).err.find("NUL") != std::string::npos);
    const outcome repaired = run(folder, {"doctor", "n.safetensors", "--repair", "o.safetensors"});
    CHECK(repaired.status == 0);
    CHECK(repaired.out.ends_with("o.safetensors: repaired\n"));
    CHECK(run(folder, {"cat", "o.safetensors", "a"}).out == "ab");
  }

  TEST_CASE("a URL is opened by libcurl, and says so where the command was built without") {
    const temp_folder folder;
#if STET_HAS_CURL
    // Nobody listens on port 1 of this machine.
    const std::string failure = ": the server cannot be reached, or does not answer\n";
#else
    const std::string failure = ": this stet was built without libcurl, which opens URLs; download the file\n";
#endif
    for (const std::vector<std::string>& arguments : {std::vector<std::string>{"ls", "http://127.0.0.1:1/m.stet"},
                                                      {"cat", "http://127.0.0.1:1/m.stet", "a"},
                                                      {"verify", "http://127.0.0.1:1/m.stet"},
                                                      {"graph", "http://127.0.0.1:1/m.stet"},
                                                      {"convert", "http://127.0.0.1:1/m.stet", "o.stet"},
                                                      {"ls", "--ca-file", "none.pem", "http://127.0.0.1:1/m.stet"}}) {
      const outcome made = run(folder, arguments);
      CHECK(made.status == 1);
      CHECK(made.out.empty());
      CHECK_MESSAGE(made.err.starts_with("stet: http://127.0.0.1:1/m.stet: "), made.err);
      CHECK_MESSAGE(made.err.ends_with(failure), made.err);
    }
    CHECK(folder.names().empty());
    CHECK(run(folder, {"ls", "m.stet", "--ca-file"}).status == 2);
  }

  TEST_CASE("parts that are links are refused with the option that opens them") {
    const temp_folder folder;
    std::vector<float> values(64);
    stet::writer out;
    out.add("a", values, {64});
    stet::save_options sharded;
    sharded.form = stet::store_form::sharded;
    REQUIRE(out.save(folder.path("m.stet"), sharded));
    const auto opened = stet::open(folder.path("m.stet"));
    REQUIRE(opened);
    const std::string part(opened->index().part(0).path);
    std::filesystem::create_directory(folder.path("elsewhere"));
    std::filesystem::rename(folder.path(part), folder.path("elsewhere/part"));
    std::filesystem::create_symlink("elsewhere/part", folder.path(part));
    const outcome refused = run(folder, {"ls", "m.stet"});
    CHECK(refused.status == 1);
    CHECK(refused.err ==
          "stet: m.stet: " + part + ": a link, which may lead out of the folder; --follow-links opens it\n");
    CHECK(run(folder, {"ls", "m.stet", "--follow-links"}).status == 0);
    CHECK(run(folder, {"cat", "--follow-links", "m.stet", "a"}).out.size() == 256);
  }

  TEST_CASE("a file that grows beyond the limit is an error, not the end of the command") {
    const temp_folder folder;
    stet::writer out;
    const std::vector<float> many(100'000);
    out.add("many", many, {100'000});
    REQUIRE(out.save(folder.path("m.stet")));
    const std::string line = "cd " + shell_word(folder.path()) + " && ulimit -f 16 && " + shell_word(STET_COMMAND) +
                             " convert m.stet c.stet 2>err";
    const int status = std::system(line.c_str());
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 1);
    CHECK(text_of(folder.read("err")).starts_with("stet: c.stet: "));
  }

#if !STET_TEST_IS_SANITIZED // whose own tables are larger
  TEST_CASE("a model that is larger than the memory that the command may have is converted") {
    constexpr std::size_t tensor_count = 6, element_count = std::size_t{4} << 20; // of float32: 96 MiB
    const temp_folder folder;
    std::vector<float> values(element_count);
    for (std::size_t i = 0; i < element_count; ++i) values[i] = static_cast<float>(i);
    stet::writer out;
    std::vector<std::string> names(tensor_count);
    for (std::size_t i = 0; i < tensor_count; ++i)
      out.add(names[i] = "layer_" + std::to_string(i) + "/kernel", values, {2048, element_count / 2048});
    stet::save_options options;
    options.is_durable = false;
    REQUIRE(out.save(folder.path("m.stet"), options));
    const char* const paths[] = {"m.stet", "a.safetensors", "b.gguf", "c.npz", "d.pt", "e.h5", "f.stet"};
    for (std::size_t i = 1; i < std::size(paths); ++i) {
      CAPTURE(paths[i]);
      const std::string line = "cd " + shell_word(folder.path()) + " && ulimit -d 65536 && " +
                               shell_word(STET_COMMAND) + " convert " + paths[i - 1] + " " + paths[i] + " >out 2>&1";
      CHECK(std::system(line.c_str()) == 0);
      std::filesystem::remove(folder.path(paths[i - 1]));
    }
    const auto made = stet::open(folder.path("f.stet"));
    REQUIRE(made);
    const auto last = made->get<float>(names.back());
    REQUIRE(last);
    CHECK(std::equal(last->begin(), last->end(), values.begin(), values.end()));
  }
#endif

  TEST_CASE("deflated weights are read by a command with zlib, and said to be compressed by one without") {
    const temp_folder folder;
    stet_test::made_archive archive = stet_test::keras_archive();
    archive.members[2] = stet_test::deflated_member("model.weights.h5", stet_test::probe_weights());
    folder.write("m.keras", archive.bytes());
    const outcome listed = run(folder, {"ls", "m.keras"});
    if (listed.status == 0) {
      CHECK(run(folder, {"cat", "m.keras", "probe/bias"}).out == std::string("\0\1\2\3\4\5\6\7\x08\t\n\x0b", 12));
    } else {
      CHECK(listed.status == 1);
      CHECK(listed.err.find("model.weights.h5: the bytes are deflated: include <zlib.h>") != std::string::npos);
    }
  }
}

#else

TEST_SUITE("stet command") {
  TEST_CASE("the command is run") { MESSAGE("skipped: there is no command to run, or no POSIX shell to run it in"); }
}

#endif
