// SPDX-License-Identifier: MIT
// Tests of session.hpp: what a program needs to go on, as JSON and back.
#include <stet/json.hpp>
#include <stet/checkpoint/session.hpp>

#include "support/outcome.hpp"

#include <doctest/doctest.h>

#include <limits>

using stet::json_value;
using stet::session_state;
using stet_test::outcome;

TEST_SUITE("session") {
  TEST_CASE("comes back with every bit, through text") {
    session_state session;
    session.global_step = (std::numeric_limits<std::uint64_t>::max)();
    session.metric = 0.1;
    session.random = json_value{{"state", {0xFFFFFFFFFFFFFFFFu, 0x8000000000000001u}}};
    session.optimizer = json_value{{"rate", 1e-300}, {"beta", 0.30000000000000004}};
    session.user = json_value("anything");
    const json_value parsed = json_value::parse(to_json(session).text(), nullptr, false);
    const auto back = stet::to_session(parsed);
    REQUIRE(back);
    if (!back) return;
    CHECK(back->global_step == session.global_step);
    CHECK(back->metric == session.metric);
    CHECK(back->random == session.random);
    CHECK(stet::to_json_value(back->random)["state"][1].is_number_unsigned());
    CHECK(back->optimizer == session.optimizer);
    CHECK(back->user == session.user);
  }

  TEST_CASE("JSON that nests without end is found before it is copied") {
    const auto nested = [](int depth) {
      json_value made = json_value::array();
      while (--depth > 0) {
        json_value around = json_value::array();
        around.push_back(std::move(made));
        made = std::move(around);
      }
      return made;
    };
    const auto problem_of = [](const stet::result<void>& checked) {
      return outcome(checked) + (checked ? "" : " " + std::string(checked.error().subject()));
    };
    session_state session{1};
    CHECK(problem_of(stet::detail::check_saved(session, nullptr)) == "ok");
    CHECK(problem_of(stet::detail::check_saved(session, nested(200'000))) == "too_deep graph");
    session.user = nested(static_cast<int>(stet::max_manifest_depth) - 2);
    CHECK(problem_of(stet::detail::check_saved(session, nullptr)) == "ok");
    session.user = nested(static_cast<int>(stet::max_manifest_depth) - 1);
    CHECK(problem_of(stet::detail::check_saved(session, nullptr)) == "too_deep user");
    session.user = nested(200'000);
    CHECK(problem_of(stet::detail::check_saved(session, nullptr)) == "too_deep user");
    session.user = nullptr;
    session.optimizer = json_value{{"rate", std::numeric_limits<double>::infinity()}};
    CHECK(problem_of(stet::detail::check_saved(session, nullptr)) == "bad_number optimizer");
  }

  TEST_CASE("what is none is left out") {
    CHECK(to_json(session_state{7}).text() == R"({"global_step":7})");
    session_state session{8};
    session.metric = std::numeric_limits<double>::quiet_NaN();
    CHECK(to_json(session).text() == R"({"global_step":8})");
    const auto back = stet::to_session(to_json(session_state{7}));
    REQUIRE(back);
    if (!back) return;
    CHECK(!back->metric);
    CHECK((back->random.empty() && back->optimizer.empty() && back->user.empty()));
  }

  TEST_CASE("a state that is not a session is an error that names the field") {
    const auto error_of = [](const char* text) {
      const auto made = stet::to_session(json_value::parse(text, nullptr, false));
      return made ? std::string("ok") : outcome(made) + " " + std::string(made.error().subject());
    };
    CHECK(error_of("null") == "missing_field state");
    CHECK(error_of("[]") == "wrong_type state");
    CHECK(error_of("{}") == "missing_field state.global_step");
    CHECK(error_of(R"({"global_step": -1})") == "bad_number state.global_step");
    CHECK(error_of(R"({"global_step": 1.0})") == "bad_number state.global_step");
    CHECK(error_of(R"({"global_step": "1"})") == "bad_number state.global_step");
    CHECK(error_of(R"({"global_step": 1, "metric": "x"})") == "wrong_type state.metric");
    CHECK(error_of(R"({"global_step": 1, "metric": 2, "more": []})") == "ok");
  }
}
