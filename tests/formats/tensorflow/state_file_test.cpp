// SPDX-License-Identifier: MIT
// Tests of state_file.hpp: what TensorFlow writes, what its parser allows, and what it refuses.
#include "support/outcome.hpp"

#include <stet/formats/tensorflow/state_file.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace {

using namespace std::literals;
using stet::parse_tensorflow_state;

std::string parse_result(std::string_view text) { return stet_test::outcome(parse_tensorflow_state(text)); }

/// The path in `text`; what went wrong if there is none.
std::string path_in(std::string_view text) {
  const auto state = parse_tensorflow_state(text);
  return state ? state->model_checkpoint_path : std::string(stet::describe(state.error().code()).name);
}

constexpr std::string_view managed = "model_checkpoint_path: \"ckpt-3\"\n"
                                     "all_model_checkpoint_paths: \"ckpt-2\"\n"
                                     "all_model_checkpoint_paths: \"ckpt-3\"\n"
                                     "all_model_checkpoint_timestamps: 1721234567.0625\n"
                                     "all_model_checkpoint_timestamps: 1721234568.5\n"
                                     "last_preserved_timestamp: 1721234560.25\n";

} // namespace

TEST_SUITE("tensorflow/state_file") {
  TEST_CASE("reads what CheckpointManager writes") {
    const auto state = parse_tensorflow_state(managed);
    REQUIRE(state);
    CHECK(*state ==
          stet::tensorflow_state{"ckpt-3", {"ckpt-2", "ckpt-3"}, {1721234567.0625, 1721234568.5}, 1721234560.25});
  }

  TEST_CASE("what is printed is read, any bytes of a path included") {
    std::string path;
    for (int byte = 1; byte < 256; ++byte) path += static_cast<char>(byte);
    const stet::tensorflow_state state{path, {"a", path}, {1721234567.0625, 0.1, -1e-300}, 5.5};
    const auto parsed = parse_tensorflow_state(stet::print_tensorflow_state(state));
    REQUIRE(parsed);
    CHECK(*parsed == state);
    CHECK(stet::print_tensorflow_state(
              {"ckpt-3", {"ckpt-2", "ckpt-3"}, {1721234567.0625, 1721234568.5}, 1721234560.25}) == managed);
    CHECK(stet::print_tensorflow_state({"\n\xc3\"", {}, {}, 0}) == "model_checkpoint_path: \"\\012\\303\\042\"\n");
  }

  TEST_CASE("one line is enough") { CHECK(path_in("model_checkpoint_path: \"ckpt-2\"") == "ckpt-2"); }

  TEST_CASE("allows what the text form allows") {
    CHECK(path_in("model_checkpoint_path:'a'") == "a");
    CHECK(path_in("\r\n# comment\n model_checkpoint_path : \"a\" # more\r\n#") == "a");
    CHECK(path_in("model_checkpoint_path: \"a\" 'b'\n\"c\"") == "abc");
    CHECK(
        path_in(
            "model_checkpoint_path: \"a\"; all_model_checkpoint_paths: [\"x\", 'y'], all_model_checkpoint_paths: []") ==
        "a");
    CHECK(path_in("model_checkpoint_path: \"a\" model_checkpoint_path: \"b\"") == "b");
    CHECK(path_in(R"(model_checkpoint_path: "\n\t\"\'\\\101\x41\u00e9\U0001F600\7")") ==
          "\n\t\"'\\AA\xc3\xa9\xf0\x9f\x98\x80\a");
    CHECK(path_in("model_checkpoint_path: \"\xc3\xa9\"") == "\xc3\xa9");
  }

  TEST_CASE("reads numbers as they may be written") {
    const auto state = parse_tensorflow_state("model_checkpoint_path: 'a' all_model_checkpoint_timestamps: "
                                              "[1, 1.5e3, -2.25, 1E-2, .5, 12345678901234567890123, 0.1]");
    REQUIRE(state);
    CHECK(state->all_model_checkpoint_timestamps ==
          std::vector<double>{1, 1500, -2.25, 0.01, 0.5, 12345678901234567000000.0, 0.1});
  }

  TEST_CASE("refuses what TensorFlow refuses, and says where") {
    const char* const table[] = {
        "",
        " \n",
        "model_checkpoint_path: \"\"",
        "all_model_checkpoint_paths: \"a\"",
        "model_checkpoint_path \"a\"",
        "model_checkpoint_path:",
        "model_checkpoint_path: a",
        "model_checkpoint_path: 1",
        "model_checkpoint_path: \"a",
        "model_checkpoint_path: \"a\nb\"",
        "model_checkpoint_path: \"a\\\"",
        "model_checkpoint_path: \"\\q\"",
        "model_checkpoint_path: \"\\x\"",
        "model_checkpoint_path: \"\\777\"",
        "model_checkpoint_path: \"\\u12\"",
        "model_checkpoint_path: \"\\U00110000\"",
        "\xef\xbb\xbfmodel_checkpoint_path: \"a\"",
        "unknown: 1 model_checkpoint_path: \"a\"",
        "model_checkpoint_path: \"a\" unknown: \"b\"",
        "model_checkpoint_path: [\"a\"]",
        "model_checkpoint_path: \"a\" last_preserved_timestamp: \"b\"",
        "model_checkpoint_path: \"a\" last_preserved_timestamp: e5",
        "model_checkpoint_path: \"a\" last_preserved_timestamp: 1e",
        "model_checkpoint_path: \"a\" all_model_checkpoint_paths: [\"b\"",
        "model_checkpoint_path: \"a\" all_model_checkpoint_paths: [\"b\",]",
        "model_checkpoint_path: \"a\" all_model_checkpoint_paths: [\"b\" ,",
        "{\"model_checkpoint_path\": \"a\"}",
    };
    for (const char* const text : table) {
      CAPTURE(text);
      CHECK(parse_result(text) == "bad_state_file");
    }
    CHECK(parse_tensorflow_state("model_checkpoint_path: \"a\"\nfoo: 1").error().offset_bytes() == 27);
    CHECK(parse_tensorflow_state("model_checkpoint_path: \"a\"\nfoo: 1").error().subject() == "foo");
  }

  TEST_CASE("every truncation and flip of a bit gives a state or an error") {
    for (std::size_t size = 0; size < managed.size(); ++size) {
      const std::string text(managed.substr(0, size));
      const std::string result = parse_result(text);
      CHECK((result == "ok" || result == "bad_state_file"));
    }
    for (std::size_t bit = 0; bit < managed.size() * 8; ++bit) {
      std::string text(managed);
      text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << bit % 8));
      const std::string result = parse_result(text);
      CHECK((result == "ok" || result == "bad_state_file"));
    }
  }

  TEST_CASE("a deep or long text costs no more than its length") {
    CHECK(parse_result(std::string(1 << 20, '[')) == "bad_state_file");
    CHECK(parse_result("model_checkpoint_path: 'a' all_model_checkpoint_paths: " + std::string(1 << 20, '[')) ==
          "bad_state_file");
    CHECK(path_in("model_checkpoint_path: '" + std::string(1 << 20, 'a') + "'").size() == 1 << 20);
  }
}
