// SPDX-License-Identifier: MIT
// Tests of report.hpp: what a report says, to people and to machines.
#include <stet/restore/report.hpp>

#include <doctest/doctest.h>

#include <string>

using stet::restore_entry;
using stet::restore_outcome;
using stet::restore_report;

TEST_SUITE("report") {
  TEST_CASE("an empty report is good") {
    const restore_report report;
    CHECK(report.is_good());
    CHECK(report.to_text() == "0 bytes to copy\n");
    CHECK(report.to_json() == "{\"is_good\":true,\"copied_bytes\":0,\"counts\":{},\"entries\":[]}\n");
  }

  TEST_CASE("every outcome has a name of its own") {
    CHECK(stet::name_of(restore_outcome::copied) == "copied");
    CHECK(stet::name_of(restore_outcome::bound) == "bound");
    CHECK(stet::name_of(restore_outcome::excluded) == "excluded");
    CHECK(stet::name_of(restore_outcome::shape_mismatch) == "shape_mismatch");
    CHECK(stet::name_of(restore_outcome::failed) == "failed");
    CHECK(std::size(stet::detail::restore_outcome_names) == static_cast<std::size_t>(restore_outcome::failed) + 1);
  }

  TEST_CASE("says what became of each, and escapes what names hold") {
    restore_report report;
    report.entries.push_back({"dense/kernel", "dense/kernel", restore_outcome::copied, false, "", 40});
    report.entries.push_back({"new", "old\x1b[31m", restore_outcome::shape_mismatch, true,
                              "float32 [2] in the store, float32 [3] in the program", 0});
    report.entries.push_back({"", "a \"quoted\"\\\nname", restore_outcome::unexpected, false, "", 0});
    report.entries.push_back({"made", "not \xFF UTF-8 \xC3\xA4", restore_outcome::missing, false, "", 0});
    report.copied_bytes = 40;
    CHECK_FALSE(report.is_good());
    CHECK(report.count(restore_outcome::copied) == 1);
    CHECK(report.count(restore_outcome::bound) == 0);
    CHECK(report.to_text() ==
          "  copied          dense/kernel\n"
          "! shape_mismatch  new <- old\\x1b[31m: float32 [2] in the store, float32 [3] in the program\n"
          "  unexpected      a \"quoted\"\\\\x0aname\n"
          "  missing         made <- not \xFF UTF-8 \xC3\xA4\n"
          "1 copied, 1 missing, 1 unexpected, 1 shape_mismatch, 40 bytes to copy; there are errors, so "
          "nothing is restored\n");
    CHECK(report.to_json() ==
          "{\"is_good\":false,\"copied_bytes\":40,\"counts\":{\"copied\":1,\"missing\":1,\"unexpected\":1,"
          "\"shape_mismatch\":1},\"entries\":[\n"
          "{\"outcome\":\"copied\",\"is_error\":false,\"variable\":\"dense/kernel\",\"tensor\":\"dense/"
          "kernel\",\"copied_bytes\":40},\n"
          "{\"outcome\":\"shape_mismatch\",\"is_error\":true,\"variable\":\"new\",\"tensor\":\"old\\u001b["
          "31m\",\"copied_bytes\":0,\"reason\":\"float32 [2] in the store, "
          "float32 [3] in the program\"},\n"
          "{\"outcome\":\"unexpected\",\"is_error\":false,\"tensor\":\"a "
          "\\\"quoted\\\"\\\\\\nname\",\"copied_bytes\":0},\n"
          "{\"outcome\":\"missing\",\"is_error\":false,\"variable\":\"made\",\"tensor\":\"not ? UTF-8 "
          "??\",\"copied_bytes\":0}]}\n");
  }
}
