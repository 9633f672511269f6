// SPDX-License-Identifier: MIT
// Tests of error.hpp: the table, the text, and what an error keeps of its subject.
#include <stet/vocabulary/error.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#if STET_FILES && !defined(_WIN32)
#include <errno.h>
#endif

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
/// The enumerator of `code` as the compiler spells it; empty where none has this number.
template <errc code> constexpr std::string_view enumerator_name() {
#if defined(_MSC_VER) && !defined(__clang__)
  return stet::describe(code).code == code ? stet::describe(code).name : "";
#else
  std::string_view text =
      __PRETTY_FUNCTION__; // "… [with errc code = stet::v0_1::errc::not_found; …]", or "(stet::v0_1::errc)7"
  text.remove_prefix(text.find("code = ") + 7);
  text = text.substr(0, text.find_first_of(";]"));
  return text.front() == '(' ? std::string_view() : text.substr(text.rfind(':') + 1);
#endif
}
/// The number of codes from `hundred` on, below the next hundred, of which the table and the enumeration say the same.
template <std::size_t hundred, std::size_t... Rest> std::size_t count_agreeing(std::index_sequence<Rest...>) {
  const auto agree = [](errc code, std::string_view enumerator) {
    const stet::error_description& row = stet::describe(code);
    return row.code == code ? enumerator == row.name : enumerator.empty();
  };
  return (std::size_t{agree(static_cast<errc>(hundred + Rest), enumerator_name<static_cast<errc>(hundred + Rest)>())} +
          ...);
}
} // namespace

TEST_SUITE("error") {
  TEST_CASE("the table has the enumerators and no others, by their names") {
    const auto each = std::make_index_sequence<100>();
    CHECK(count_agreeing<100>(each) == 100);
    CHECK(count_agreeing<200>(each) == 100);
    CHECK(count_agreeing<300>(each) == 100);
    CHECK(count_agreeing<400>(each) == 100);
    CHECK(count_agreeing<500>(each) == 100);
    CHECK(count_agreeing<600>(each) == 100);
    CHECK(count_agreeing<700>(each) == 100);
    CHECK(count_agreeing<800>(each) == 100);
    CHECK(count_agreeing<900>(each) == 100);
  }

  TEST_CASE("success is ok, and a number of another version is unknown") {
    CHECK(stet::describe(errc{}).name == std::string_view("ok"));
    CHECK(stet::describe(errc{}).message == std::string_view("ok"));
    CHECK(stet::describe(static_cast<errc>(99)).name == std::string_view("unknown"));
    CHECK(stet::describe(static_cast<errc>(1200)).name == std::string_view("unknown"));
    CHECK(error(static_cast<errc>(1200), "x").message() == "an error that this version of stet does not know");
  }

  TEST_CASE("the category is the hundreds of the number") {
    using enum stet::error_category;
    static_assert(stet::category_of(errc{}) == none && error(errc::packed).category() == call);
    static_assert(error(errc::file_not_found).category() == system && error(errc::not_durable).category() == system);
    static_assert(error(errc::changed).category() == system && error(errc::rank_lost).category() == system);
    static_assert(error(errc::truncated).category() == frame && error(errc::too_large).category() == index);
    static_assert(error(errc::bad_graph).category() == manifest && error(errc::missing_base).category() == parts);
    static_assert(error(errc::no_checksum).category() == bytes && error(errc::not_expressible).category() == writing);
    static_assert(error(errc::malformed).category() == format);
    static_assert(system < frame && call < system);
  }

  TEST_CASE("every code has a row of its own, in ascending order, with a name and a sentence") {
    int before = -1;
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
    static_assert(static_cast<int>(errc::unpadded) == 116);
    static_assert(static_cast<int>(errc::cancelled) == 117);
    static_assert(static_cast<int>(errc::file_not_found) == 200 && static_cast<int>(errc::bad_range) == 207);
    static_assert(static_cast<int>(errc::truncated) == 300 && static_cast<int>(errc::nonzero_padding) == 309);
    static_assert(static_cast<int>(errc::index_checksum) == 400 && static_cast<int>(errc::too_large) == 411);
    static_assert(static_cast<int>(errc::manifest_checksum) == 500 && static_cast<int>(errc::bad_graph) == 510);
    static_assert(static_cast<int>(errc::missing_part) == 600 && static_cast<int>(errc::checksum_mismatch) == 700);
    static_assert(static_cast<int>(errc::source_too_short) == 800 && static_cast<int>(errc::malformed) == 911);
  }

  TEST_CASE("prints subject, sentence, place and system error in one line") {
    CHECK(printed(errc::bad_magic) == "not a stet file");
    CHECK(printed(error(errc::not_found, "dense/kernel")) == "dense/kernel: no tensor has this name");
    CHECK(printed(error(errc::bad_offset, "w", 128)) ==
          "w: the offset is misaligned or outside the data (at byte 128)");
    CHECK(printed(error(errc::io_error, "f").with_system_code(54321)) ==
          "f: the operating system reports an input/output error (system error 54321)");
    CHECK(printed(error(errc::io_error, {}, 3).with_system_code(54321).about("g")) ==
          "g: the operating system reports an input/output error (at byte 3) (system error 54321)");
  }

#if STET_FILES
  TEST_CASE("says the operating system's usual reasons in words") {
#if defined(_WIN32)
    CHECK(printed(error(errc::access_denied, "f").with_system_code(32)) ==
          "f: the file may not be accessed (system error 32: another process uses the file)");
#else
    CHECK(printed(error(errc::access_denied, "f").with_system_code(EROFS)) ==
          "f: the file may not be accessed (system error " + std::to_string(EROFS) + ": the file system is read-only)");
#endif
    for (const auto& row : stet::detail::system_reasons) CHECK(stet::detail::reason_of(row.code) == row.words);
  }
#endif

  TEST_CASE("control characters of a subject cannot reach a terminal") {
    CHECK(escaped("a\x1b[2Jb") == "a\\x1b[2Jb");
    CHECK(escaped("\n\t\x7f") == "\\x0a\\x09\\x7f");
    CHECK(escaped("\xC2\x9B"
                  "1m") == "\\x9b1m"); // CSI as one character of the C1 range
    CHECK(escaped("Größe \xE2\x82\xAC") == "Größe \xE2\x82\xAC");
    CHECK(escaped("\xC2") == "\xC2");
    CHECK(error(errc::not_found, "a\nb").subject() == "a\nb");
  }

  TEST_CASE("a long subject keeps its start and its end, cut at character boundaries") {
    const std::string ellipsis = "\xE2\x80\xA6", euro = "\xE2\x82\xAC";
    const std::string whole(error::max_subject_bytes, 'x');
    CHECK(error(errc::not_found, whole).subject() == whole);
    const std::string path = "/home/" + std::string(200, 'd') + "/ckpt-1000.stet";
    CHECK(error(errc::not_found, path).subject() == path.substr(0, 30) + ellipsis + path.substr(path.size() - 62));
    // A character that does not fit whole is left out.
    const std::string wide = std::string(29, 'a') + euro + std::string(100, 'b') + euro + std::string(60, 'c');
    CHECK(error(errc::not_found, wide).subject() == std::string(29, 'a') + ellipsis + euro + std::string(60, 'c'));
    const std::string cut = std::string(30, 'a') + std::string(100, 'b') + euro + std::string(60, 'c');
    CHECK(error(errc::not_found, cut).subject() == std::string(30, 'a') + ellipsis + std::string(60, 'c'));
  }

  TEST_CASE("printed text ends with a NUL and stays within its buffer") {
    char buffer[16];
    for (std::size_t capacity = 0; capacity < sizeof buffer; ++capacity) {
      std::memset(buffer, '#', sizeof buffer);
      const std::string_view text = error(errc::not_found, "kernel").print(buffer, capacity);
      CHECK(text == std::string_view("kernel: no tensor").substr(0, capacity == 0 ? 0 : capacity - 1));
      if (capacity != 0) CHECK(buffer[text.size()] == '\0');
      CHECK(buffer[capacity] == '#');
    }
    char longest[error::max_text_bytes];
    const std::string control(error::max_subject_bytes, '\x01');
    for (const stet::error_description& row : stet::error_table) {
      const error full = error(row.code, control, ~std::uint64_t{1}).with_system_code(-1);
      const std::string_view text = full.print(longest, sizeof longest);
      CHECK(text.ends_with("(system error 4294967295)"));
      for (const auto& reason : stet::detail::system_reasons) {
        if (reason.code != 0) CHECK(full.with_system_code(reason.code).print(longest, sizeof longest).ends_with(")"));
      }
    }
  }

  TEST_CASE("compares with a code and writes itself to streams") {
    static_assert(error(errc::locked) == errc::locked && error(errc::locked, "x") != errc::not_found);
    std::ostringstream out;
    out << "failed: " << error(errc::not_found, "dense/kernel");
    CHECK(out.str() == "failed: dense/kernel: no tensor has this name");
    const stet::error_text text = to_text(error(errc::not_found, "dense/kernel"));
    CHECK(text.c_str() == std::string("dense/kernel: no tensor has this name"));
    CHECK(std::string_view(text) == text.c_str());
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
    CHECK(stet::text_writer(digits, sizeof digits).append(~std::uint64_t{0}).text() == "18446744073709551615");
    CHECK(stet::text_writer(digits, sizeof digits).append(std::uint64_t{0}).text() == "0");
  }

  TEST_CASE("is a constant expression") {
    constexpr error constant(errc::truncated, "part", 7);
    static_assert(constant.code() == errc::truncated && constant.subject() == "part" && constant.offset_bytes() == 7);
    static_assert(constant.message() == "the file is shorter than it says" && constant.system_code() == 0);
  }
}
