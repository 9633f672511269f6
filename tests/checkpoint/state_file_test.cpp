// SPDX-License-Identifier: MIT
// Tests of state_file.hpp: the cache beside the checkpoints, which anyone may have written.
#include <stet/checkpoint/detail/state_file.hpp>

#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <limits>

using stet::detail::read_state_file;
using stet::detail::state_file;
using stet_test::outcome;
using stet_test::temp_folder;

namespace {

state_file parse(std::string_view text, bool only_latest = false) {
  const temp_folder folder;
  folder.write("checkpoint.json", text);
  return read_state_file(folder.path() + "/", only_latest);
}

} // namespace

TEST_SUITE("state_file") {
  TEST_CASE("says again what was written") {
    const temp_folder folder;
    state_file written;
    written.latest = "ckpt-18446744073709551615.stet";
    written.all[7] = {std::chrono::system_clock::time_point(std::chrono::milliseconds(1'700'000'000'123)), 0.1};
    written.all[8] = {};
    written.all[~std::uint64_t{0}] = {std::nullopt, -2.0};
    for (int times = 0; times < 2; ++times) {
      CHECK(outcome(stet::detail::write_state_file(stet::system_file_operations(), folder.path() + "/", written,
                                                   false)) == "ok");
      CHECK(folder.names() == std::vector<std::string>{"checkpoint.json"});
    }
    const state_file read = read_state_file(folder.path() + "/", false);
    CHECK(read.latest == written.latest);
    REQUIRE(read.all.size() == 3);
    for (const auto& [step, details] : written.all) {
      const auto found = read.all.find(step);
      REQUIRE(found != read.all.end());
      if (found == read.all.end()) return;
      CHECK(found->second.saved_at == details.saved_at);
      CHECK(found->second.metric == details.metric);
    }
    const state_file latest = read_state_file(folder.path() + "/", true);
    CHECK(latest.latest == written.latest);
    CHECK(latest.all.empty());
  }

  TEST_CASE("knows a file from others of the same name") {
    const temp_folder folder;
    const auto identity = [&] {
      const auto opened = stet::file::open(folder.path("a"));
      return opened ? opened->identity() : stet::file_identity();
    };
    folder.write("a", "12345");
    const stet::file_identity first = identity();
    CHECK(first == identity());
    CHECK(stet::detail::file_text(first).find('-') != std::string::npos);
    CHECK(stet::detail::file_text({1, 26, 255, ~std::uint64_t{0}}) == "1a-ff-ffffffffffffffff");
    folder.write("b", "12345"); // while the first has its number
    CHECK(outcome(stet::system_file_operations().rename_over(nullptr, folder.path("b"), folder.path("a"))) == "ok");
    CHECK_FALSE(first == identity());
    CHECK(stet::detail::file_text(first) != stet::detail::file_text(identity()));

    state_file written;
    written.latest = "ckpt-1.stet";
    written.latest_file = stet::detail::file_text(first);
    written.all[1].file = "1-2-3";
    CHECK(outcome(stet::detail::write_state_file(stet::system_file_operations(), folder.path() + "/", written,
                                                 false)) == "ok");
    for (const bool only_latest : {true, false}) {
      const state_file read = read_state_file(folder.path() + "/", only_latest);
      CHECK(read.latest == written.latest);
      CHECK(read.latest_file == written.latest_file);
      CHECK(read.all.size() == (only_latest ? 0 : 1));
      if (!only_latest) CHECK(read.all.begin()->second.file == "1-2-3");
    }
    // Whatever the order; and without one that is not known.
    const state_file other = parse(R"({"all": [{"file": "x", "step": 1}], "file": "y", "latest": "z"})", true);
    CHECK(other.latest == "z");
    CHECK(other.latest_file == "y");
    CHECK(parse(R"({"latest": "z"})", true).latest_file.empty());
  }

  TEST_CASE("no reader is given a state file that is too large, or a time or metric that it does not take") {
    const temp_folder folder(temp_folder::in_memory());
    const auto write = [&](const state_file& state) {
      return outcome(stet::detail::write_state_file(stet::system_file_operations(), folder.path() + "/", state, false));
    };
    state_file state;
    state.all[1].saved_at = std::chrono::system_clock::time_point(std::chrono::milliseconds(5));
    const std::size_t others = stet::detail::text_of(state).size();
    state.latest.assign(stet::detail::max_state_file_size_bytes - others, 'a');
    CHECK(write(state) == "ok");
    const state_file read = read_state_file(folder.path() + "/", false);
    CHECK(read.latest.size() == state.latest.size());
    CHECK(read.all.size() == 1);
    state.latest += 'a';
    CHECK(write(state) == "too_large");
    CHECK(folder.names() == std::vector<std::string>{"checkpoint.json"});
    CHECK(read_state_file(folder.path() + "/", true).latest.size() + 1 == state.latest.size());

    state.latest = "a\"\xFF";
    state.all[2].metric = std::numeric_limits<double>::infinity();
    state.all[3].saved_at = std::chrono::system_clock::time_point(std::chrono::milliseconds(-5));
    CHECK(write(state) == "ok");
    const state_file odd = read_state_file(folder.path() + "/", false);
    CHECK(odd.latest == "a\"\xEF\xBF\xBD");
    REQUIRE(odd.all.size() == 3);
    CHECK(odd.all.at(1).saved_at == state.all[1].saved_at);
    CHECK_FALSE(odd.all.at(2).metric);
    CHECK_FALSE(odd.all.at(3).saved_at);
  }

  TEST_CASE("text of any kind says nothing, or what stands before the damage") {
    CHECK(read_state_file("/no/such/folder/", false).latest.empty());
    const std::string nested = R"({"all": )" + std::string(100'000, '[');
    for (const std::string_view text :
         {std::string_view(), std::string_view("x"), std::string_view("[1, 2"), std::string_view("null"),
          std::string_view(R"({"latest": 5, "all": {"step": 1}})"), std::string_view(nested),
          std::string_view(R"({"all": [{"step": -1}, {"step": 1.5}, {"metric": 1}, 3, [{"step": 4}]]})")}) {
      const state_file read = parse(text);
      CHECK(read.latest.empty());
      CHECK(read.all.empty());
    }
    const state_file half = parse(R"({"latest": "a", "all": [{"step": 1}, {"step": 2, )");
    CHECK(half.latest == "a");
    CHECK(half.all.size() == 1);
    const state_file odd = parse(
        R"({"other": {"latest": "b"}, "all": [{"step": 1, "saved_ms": 18446744073709551615, "metric": "x", "more": [{}]}]})");
    CHECK(odd.latest.empty());
    CHECK(odd.all.size() <= 1);
    for (const auto& [step, details] : odd.all) CHECK(!details.saved_at);
  }

  TEST_CASE("a great number of keys takes no great time") {
    std::string text = "{";
    for (int i = 0; i < 300'000; ++i) text += "\"k" + std::to_string(i) + "\":0,";
    text += R"("latest":"a"})";
    CHECK(parse(text).latest == "a");
  }
}
