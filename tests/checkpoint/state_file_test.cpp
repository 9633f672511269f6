// SPDX-License-Identifier: MIT
// Tests of state_file.hpp: the cache beside the checkpoints, which anyone may have written.
#include <stet/checkpoint/state_file.hpp>

#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

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
      CHECK(outcome(stet::detail::write_state_file(stet::system_file_operations(), folder.path() + "/", written, false)) == "ok");
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

  TEST_CASE("text of any kind says nothing, or what stands before the damage") {
    CHECK(read_state_file("/no/such/folder/", false).latest.empty());
    const std::string nested = R"({"all": )" + std::string(100'000, '[');
    for (const std::string_view text : {std::string_view(), std::string_view("x"), std::string_view("[1, 2"), std::string_view("null"),
                                        std::string_view(R"({"latest": 5, "all": {"step": 1}})"), std::string_view(nested),
                                        std::string_view(R"({"all": [{"step": -1}, {"step": 1.5}, {"metric": 1}, 3, [{"step": 4}]]})")}) {
      const state_file read = parse(text);
      CHECK(read.latest.empty());
      CHECK(read.all.empty());
    }
    const state_file half = parse(R"({"latest": "a", "all": [{"step": 1}, {"step": 2, )");
    CHECK(half.latest == "a");
    CHECK(half.all.size() == 1);
    const state_file odd = parse(R"({"other": {"latest": "b"}, "all": [{"step": 1, "saved_ms": 18446744073709551615, "metric": "x", "more": [{}]}]})");
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
