// SPDX-License-Identifier: MIT
// Tests of compact.hpp: a delta becomes whole, and no other delta loses its base. That the bytes are those of a whole save is
// tested with every delta of delta_test.cpp.
#include "small_program.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <stet/checkpoint/compact.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#if STET_FILES

using stet::variable_list;
using stet_test::outcome;
using stet_test::save_delta;
using stet_test::save_whole;
using stet_test::small_program;
using stet_test::temp_folder;

TEST_SUITE("compact") {
  TEST_CASE("compacting keeps shared bytes shared") {
    const temp_folder folder;
    small_program of;
    stet::writer out;
    out.add("table", of.kernel, {5000});
    out.add_alias("output", "table");
    REQUIRE(outcome(out.save(folder.path("a.stet"))) == "ok");
    stet::save_options options;
    options.alignment_bytes = 256;
    const auto compacted = stet::compact(folder.path("a.stet"), folder.path("b.stet"), options);
    REQUIRE(outcome(compacted) == "ok");
    CHECK(compacted->tensor_size_bytes == 20000);
    const auto opened = stet::open(folder.path("b.stet"));
    REQUIRE(outcome(opened) == "ok");
    if (!opened) return;
    CHECK(opened->alignment_bytes() == 256);
    CHECK(opened->original_of(*opened->find("output"))->name() == "table");
  }

  TEST_CASE("compacting does not replace the base of a delta") {
    small_program program;
    for (const char* name : {"tuned.stet", "tuned.json", "tuned"}) {
      CAPTURE(name);
      const temp_folder folder;
      const variable_list first = program.variables();
      REQUIRE(outcome(save_whole(first, folder.path("a.stet"))) == "ok");
      program.bias[3] += 1;
      REQUIRE(outcome(save_delta(first, folder.path("a.stet"), folder.path("b.stet"), 2)) == "ok");
      program.bias[3] += 1;
      {
        const auto base = stet::open_checkpoint(folder.path("b.stet"));
        REQUIRE(base);
        stet::writer out;
        REQUIRE(outcome(stet::add_changed(out, first, *base)) == "ok");
        stet::save_options options;
        options.form = std::string_view(name) == "tuned.json" ? stet::store_form::loose : stet::store_form::single_file;
        REQUIRE(outcome(out.save(folder.path(name), options)) == "ok");
      }
      folder.write("notes.json", R"({"base": {"file": "c.stet"}})");
      const std::vector<std::byte> before = folder.read("b.stet");
      const auto names = folder.names();
      for (const char* from : {"b.stet", "a.stet", name}) { // in place, and over it
        const auto refused = stet::compact(folder.path(from), folder.path("b.stet"));
        CHECK(outcome(refused) == "missing_base");
        if (!refused) CHECK(refused.error().subject() == folder.path(name));
      }
      CHECK(folder.names() == names);
      CHECK(folder.read("b.stet") == before);
      REQUIRE(outcome(stet::open_checkpoint(folder.path(name))) == "ok");
      // Once the delta is whole, its base may be.
      stet::save_options options;
      options.form = std::string_view(name) == "tuned.json" ? stet::store_form::loose : stet::store_form::single_file;
      CHECK(outcome(stet::compact(folder.path(name), folder.path(name), options)) == "ok");
      CHECK(outcome(stet::compact(folder.path("b.stet"), folder.path("b.stet"))) == "ok");
      CHECK(outcome(stet::compact(folder.path("a.stet"), folder.path("c.stet"))) == "ok"); // which no store says
      CHECK(outcome(stet::compact(folder.path("b.stet"), folder.path("c.stet"))) == "ok");
      const auto tuned = stet::open_checkpoint(folder.path(name));
      CHECK((tuned && tuned->file_count() == 1 && (*(*tuned)->get<float>("dense/bias"))[3] == program.bias[3]));
    }
  }

#if !defined(_WIN32)
  TEST_CASE("compacting through a link does not replace the base of a delta where that leads to") {
    const temp_folder folder, other;
    small_program program;
    const variable_list all = program.variables();
    REQUIRE(outcome(save_whole(all, folder.path("a.stet"))) == "ok");
    program.bias[3] += 1;
    REQUIRE(outcome(save_delta(all, folder.path("a.stet"), folder.path("b.stet"), 2)) == "ok");
    std::filesystem::create_symlink(stet_test::to_path(folder.path("a.stet")), stet_test::to_path(other.path("link")));
    REQUIRE(outcome(save_whole(all, other.path("c.stet"))) == "ok");
    CHECK(outcome(stet::compact(other.path("c.stet"), other.path("link"))) == "missing_base");
    CHECK(outcome(stet::open_checkpoint(folder.path("b.stet"))) == "ok");
  }
#endif

  TEST_CASE("attributes that no manifest may have do not survive compacting") {
    const temp_folder folder;
    small_program of;
    REQUIRE(outcome(save_whole(of.variables(), folder.path("base.stet"))) == "ok");
    const auto base = stet::open(folder.path("base.stet"));
    REQUIRE(outcome(base) == "ok");
    if (!base) return;
    stet::writer out;
    out.set_extra(stet::json_value{{"base",
                                    {{"file", "base.stet"},
                                     {"sha256", stet::detail::hex_of(stet::content_digest(*base))},
                                     {"attributes", {{"codes", {{"quantization", {{"scales", -1.0}}}}}}}}}});
    REQUIRE(outcome(out.save(folder.path("delta.stet"))) == "ok");
    CHECK(outcome(stet::compact(folder.path("delta.stet"), folder.path("c.stet"))) == "bad_quantization");
    CHECK(folder.read("c.stet").empty());
  }
}

#endif
