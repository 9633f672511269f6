// SPDX-License-Identifier: MIT
// Tests of error.hpp: the table, the text, and what an error keeps of its subject.
#include <stet/vocabulary/error.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using stet::errc;
using stet::error;

namespace {
std::string printed(const error& what) {
  char buffer[256];
  return std::string(what.print(buffer, sizeof buffer));
}
std::string escaped(std::string_view text) {
  char buffer[128];
  return std::string(stet::text_writer(buffer, sizeof buffer).append_escaped(text).text());
}
} // namespace

TEST_SUITE("error") {
  TEST_CASE("every code has a row of its own, in ascending order, with a name and a sentence") {
    int before = 0;
    for (const stet::error_description& row : stet::error_table) {
      CHECK(static_cast<int>(row.code) > before);
      before = static_cast<int>(row.code);
      CHECK_FALSE(std::string_view(row.name).empty());
      CHECK_FALSE(std::string_view(row.message).empty());
      CHECK(&stet::describe(row.code) == &row);
    }
  }

  TEST_CASE("the numbers that programs may have stored stay what they are") {
    static_assert(static_cast<int>(errc::not_found) == 100 && static_cast<int>(errc::packed) == 115);
    static_assert(static_cast<int>(errc::file_not_found) == 200 && static_cast<int>(errc::bad_range) == 207);
    static_assert(static_cast<int>(errc::truncated) == 300 && static_cast<int>(errc::nonzero_padding) == 309);
    static_assert(static_cast<int>(errc::index_checksum) == 400 && static_cast<int>(errc::too_large) == 411);
    static_assert(static_cast<int>(errc::manifest_checksum) == 500 &&
                  static_cast<int>(errc::bad_graph) == 510);
    static_assert(static_cast<int>(errc::missing_part) == 600 &&
                  static_cast<int>(errc::checksum_mismatch) == 700);
    static_assert(static_cast<int>(errc::source_too_short) == 800);
  }

  TEST_CASE("prints subject, sentence, place and system error in one line") {
    CHECK(printed(errc::bad_magic) == "not a stet file");
    CHECK(printed(error(errc::not_found, "dense/kernel")) == "dense/kernel: no tensor has this name");
    CHECK(printed(error(errc::bad_offset, "w", 128)) ==
          "w: the offset is misaligned or outside the data (at byte 128)");
    CHECK(printed(error(errc::io_error, "f").with_system_code(5)) ==
          "f: the operating system reports an input/output error (system error 5)");
    CHECK(printed(error(errc::io_error, {}, 3).with_system_code(5).about("g")) ==
          "g: the operating system reports an input/output error (at byte 3) (system error 5)");
  }

  TEST_CASE("control characters of a subject cannot reach a terminal") {
    CHECK(escaped("a\x1b[2Jb") == "a\\x1b[2Jb");
    CHECK(escaped("\n\t\x7f") == "\\x0a\\x09\\x7f");
    CHECK(escaped("\xC2\x9B"
                  "1m") == "\\x9b1m"); // CSI as one character of the C1 range
    CHECK(escaped("Größe \xE2\x82\xAC") == "Größe \xE2\x82\xAC");
    CHECK(escaped("\xC2") == "\xC2");
    CHECK(error(errc::not_found, "a\nb").subject() == "a\nb");
  }

  TEST_CASE("a long subject is cut at a character boundary") {
    const std::string plain(200, 'x');
    CHECK(error(errc::not_found, plain).subject() == plain.substr(0, error::max_subject_bytes));
    const std::string wide = std::string(94, 'x') + "\xE2\x82\xAC";
    CHECK(error(errc::not_found, wide).subject() == wide.substr(0, 94));
  }

  TEST_CASE("a text writer never writes beyond its buffer, nor after a gap") {
    char buffer[8];
    buffer[4] = '#';
    stet::text_writer out(buffer, 4);
    out.append("ab").append("cdef").append("g");
    CHECK(out.text() == "abcd");
    CHECK(buffer[4] == '#');
    CHECK(stet::text_writer(buffer, 0).append("a").append(std::uint64_t{7}).text().empty());
    char digits[20];
    CHECK(stet::text_writer(digits, sizeof digits).append(~std::uint64_t{0}).text() ==
          "18446744073709551615");
    CHECK(stet::text_writer(digits, sizeof digits).append(std::uint64_t{0}).text() == "0");
  }

  TEST_CASE("is a constant expression") {
    constexpr error constant(errc::truncated, "part", 7);
    static_assert(constant.code() == errc::truncated && constant.subject() == "part" &&
                  constant.offset_bytes() == 7);
    static_assert(constant.message() == "the file is shorter than it says" && constant.system_code() == 0);
  }
}
