// SPDX-License-Identifier: MIT
// Values of ONNX models in other files: where they may be, and what is wrong with them.
#include <stet/formats/check_model.hpp>
#include <stet/formats/onnx.hpp>

#include "support/onnx_files.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

TEST_SUITE_BEGIN("onnx");

namespace {

using stet_test::onnx_external;
using stet_test::onnx_graph;
using stet_test::onnx_model;

using onnx_entries = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// Opens a model with the tensor w, two bytes in another file.
std::string onnx_outcome(const stet_test::temp_folder& folder, onnx_entries entries,
                         const stet::open_options& options = {}) {
  const std::string path = folder.write("model.onnx", onnx_model(onnx_graph({onnx_external("w", 2, {2}, entries)})));
  const auto opened = stet::open_onnx(path, options);
  if (!opened) {
    std::string text(stet::describe(opened.error().code()).name);
    return text.append(" ").append(opened.error().subject());
  }
  std::vector<std::uint8_t> values(2);
  if (auto copied = opened->store.find("w")->copy_to(std::span(values)); !copied)
    return std::string(stet::describe(copied.error().code()).name);
  return std::string(values.begin(), values.end());
}

} // namespace

TEST_CASE("values of ONNX in another file are in place there") {
  const stet_test::temp_folder folder;
  folder.write("w.bin", "..ab");
  std::filesystem::create_directory(stet_test::to_path(folder.path("sub")));
  folder.write("sub/w.bin", "cd");
  for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
    const stet::open_options options{.backing = backing};
    CHECK(onnx_outcome(folder, {{"location", "w.bin"}, {"offset", "2"}, {"length", "2"}}, options) == "ab");
    CHECK(onnx_outcome(folder, {{"location", "sub/w.bin"}}, options) == "cd");
  }
  CHECK(onnx_outcome(folder, {{"location", "./w.bin"}, {"offset", "2"}}) == "ab");
  CHECK(onnx_outcome(folder, {{"location", "w.bin"}, {"offset", "0002"}}) == "ab");
  // Without a length, the file may be longer. Unknown keys are ignored, and the last entry of a key counts.
  CHECK(onnx_outcome(folder, {{"location", "w.bin"}, {"offset", "1"}}) == ".a");
  CHECK(onnx_outcome(folder, {{"basepath", "/"}, {"location", "x"}, {"location", "w.bin"}, {"offset", "2"}}) == "ab");

  const std::string path = folder.write(
      "two.onnx", onnx_model(onnx_graph({onnx_external("a", 2, {2}, {{"location", "w.bin"}}),
                                         onnx_external("b", 2, {2}, {{"location", "./w.bin"}, {"offset", "1"}}),
                                         onnx_external("c", 2, {2}, {{"location", "sub/w.bin"}}),
                                         onnx_external("empty", 2, {0}, {{"location", "w.bin"}, {"length", "0"}})})));
  const auto opened = stet::open_onnx(path, {.access = stet::access::copy_on_write});
  REQUIRE(opened);
  CHECK(opened->file_count == 3); // each file once
  CHECK(opened->store.index().part(1).path == "w.bin");
  CHECK(opened->store.index().part(2).path == "sub/w.bin");
  CHECK(opened->store.find("a")->entry().part() == 1);
  CHECK(opened->store.find("c")->entry().part() == 2);
  CHECK(opened->is_in_file(*opened->store.find("c")));
  // Two tensors share bytes: neither may be written to.
  CHECK_FALSE(opened->store.part(1).is_writable());
  CHECK(opened->store.part(2).is_writable());
}

TEST_CASE("the path of another file of ONNX does not lead out of the folder") {
  const stet_test::temp_folder outer;
  std::filesystem::create_directory(stet_test::to_path(outer.path("in")));
  outer.write("w.bin", "ab");
  const stet_test::temp_folder folder(stet_test::to_path(outer.path("in")));
  folder.write("w.bin", "ab");
  folder.write("file", "ab");
  const std::string absolute = folder.path("w.bin");
  for (const std::string_view path :
       {std::string_view("../w.bin"), std::string_view("../../w.bin"), std::string_view(absolute),
        std::string_view("in/../w.bin"), std::string_view("a/../../w.bin"), std::string_view(""), std::string_view("."),
        std::string_view("./"), std::string_view(".."), std::string_view("sub\\w.bin"), std::string_view("C:\\w.bin"),
        std::string_view("C:w.bin"), std::string_view("\\\\?\\w.bin"), std::string_view("w.bin\0", 6),
        std::string_view("w.bin/"), std::string_view("/w.bin"), std::string_view("a//w.bin"),
        std::string_view("*/_ORT_MEM_ADDR_/*"), std::string_view("*/_ORT_MEM_ADDR_/w.bin")}) {
    CAPTURE(path);
    CHECK(onnx_outcome(folder, {{"location", path}}).starts_with("bad_path w: "));
  }
  CHECK(onnx_outcome(folder, {}) == "bad_path w: ");
  CHECK(onnx_outcome(folder, {{"location", "model.onnx"}}) == "bad_path model.onnx");
  CHECK(onnx_outcome(folder, {{"location", "%2e%2e/w.bin"}}) == "missing_part %2e%2e/w.bin");
  CHECK(onnx_outcome(folder, {{"location", "none.bin"}}) == "missing_part none.bin");
  CHECK(onnx_outcome(folder, {{"location", "file/w.bin"}}) == "bad_path file/w.bin");
  std::filesystem::create_directory(stet_test::to_path(folder.path("sub")));
  CHECK(onnx_outcome(folder, {{"location", "sub"}}) == "not_a_regular_file sub");
}

TEST_CASE("links are not followed to other files of ONNX unless the caller asks for it") {
  const stet_test::temp_folder outer, folder;
  outer.write("w.bin", "ab");
  std::error_code failure;
  std::filesystem::create_symlink(stet_test::to_path(outer.path("w.bin")), stet_test::to_path(folder.path("link")),
                                  failure);
  if (failure) return; // no right to make links, as on Windows
  std::filesystem::create_directory_symlink(stet_test::to_path(outer.path()), stet_test::to_path(folder.path("way")));
  std::filesystem::create_hard_link(stet_test::to_path(outer.path("w.bin")), stet_test::to_path(folder.path("hard")),
                                    failure);
  CHECK(onnx_outcome(folder, {{"location", "link"}}) == "bad_path link");
  CHECK(onnx_outcome(folder, {{"location", "way/w.bin"}}) == "bad_path way/w.bin");
  if (!failure) CHECK(onnx_outcome(folder, {{"location", "hard"}}) == "bad_path hard");
  const stet::open_options following{.follow_links = true};
  CHECK(onnx_outcome(folder, {{"location", "link"}}, following) == "ab");
  CHECK(onnx_outcome(folder, {{"location", "way/w.bin"}}, following) == "ab");
}

TEST_CASE("what is wrong with the place of values of ONNX in another file") {
  const stet_test::temp_folder folder;
  folder.write("w.bin", "abcd");
  const auto outcome = [&](std::string_view key, std::string_view value) {
    return onnx_outcome(folder, {{"location", "w.bin"}, {key, value}});
  };
  CHECK(outcome("offset", "2") == "cd");
  CHECK(outcome("offset", "3") == "truncated w");
  CHECK(outcome("offset", "18446744073709551615") == "truncated w");
  CHECK(outcome("offset", "18446744073709551616") == "malformed w: offset 18446744073709551616");
  CHECK(outcome("offset", "36893488147419103233") == "malformed w: offset 36893488147419103233");
  for (const std::string_view bad : {"-1", "+1", " 1", "1 ", "1.0", "0x1", ""}) {
    CAPTURE(bad);
    CHECK(outcome("offset", bad) == "malformed w: offset " + std::string(bad));
    CHECK(outcome("length", bad) == "malformed w: length " + std::string(bad));
  }
  CHECK(outcome("length", "2") == "ab");
  CHECK(outcome("length", "1") == "bad_size w");
  CHECK(outcome("length", "3") == "bad_size w");
  folder.write("w.bin", "a");
  CHECK(outcome("offset", "0") == "truncated w");
  const auto opened = [&](const std::string& tensor) {
    const auto made = stet::open_onnx(folder.write("model.onnx", onnx_model(onnx_graph({tensor}))));
    return made ? std::string("ok")
                : std::string(stet::describe(made.error().code()).name) + " " + std::string(made.error().subject());
  };
  const std::string tensor = onnx_external("w", 2, {1}, {{"location", "w.bin"}});
  CHECK(opened(tensor) == "ok");
  CHECK(opened(tensor + stet_test::onnx_field(9, "a")) == "malformed w: values in two places");
  CHECK(opened(onnx_external("w", 8, {1}, {{"location", "w.bin"}})) == "malformed w: strings as raw bytes");
  // Without the flag, the entries mean nothing.
  CHECK(opened(tensor + stet_test::onnx_writer().varint(14, 0).take()) == "bad_size w");
}

TEST_CASE("a model of ONNX in memory has no other files, but those of the program") {
  const std::string file = onnx_model(onnx_graph({onnx_external("w", 2, {2}, {{"location", "w.bin"}})}));
  class own_files final : public stet::file_system {
  public:
    [[nodiscard]] stet::result<stet::source> open_file(std::string_view path_utf8) const noexcept override {
      if (path_utf8 != "w.bin") return stet::errc::file_not_found;
      return stet::source::borrow(std::as_bytes(std::span("ab", 2)));
    }
  };
  const own_files files;
  const auto opened = stet::open_onnx(std::as_bytes(std::span(file)), {.files = &files});
  REQUIRE(opened);
  std::vector<std::uint8_t> values(2);
  REQUIRE(opened->store.find("w")->copy_to(std::span(values)));
  CHECK(values == std::vector<std::uint8_t>{'a', 'b'});
}

TEST_CASE("the checksum of another file of ONNX is compared on request") {
  const stet_test::temp_folder folder;
  constexpr std::string_view abc = "a9993e364706816aba3e25717850c26c9cd0d89d"; // of "abc"
  const auto check = [&](std::string_view bytes, std::string_view checksum) {
    folder.write("w.bin", bytes);
    const std::string path = folder.write(
        "model.onnx",
        onnx_model(onnx_graph(
            {onnx_external("v", 2, {1}, {{"location", "w.bin"}, {"checksum", checksum}}),
             onnx_external("w", 2, {2}, {{"location", "w.bin"}, {"offset", "1"}, {"checksum", checksum}})})));
    const auto opened = stet::open_onnx(path);
    if (!opened)
      return std::string(stet::describe(opened.error().code()).name) + " " + std::string(opened.error().subject());
    CHECK(opened->checks.size() == 1);
    const auto checked = stet::check_ranges(*opened);
    return checked ? std::string("ok")
                   : std::string(stet::describe(checked.error().code()).name) + " " +
                         std::string(checked.error().subject());
  };
  CHECK(check("abc", abc) == "ok");
  CHECK(check("abc", "A9993E364706816ABA3E25717850C26C9CD0D89D") == "ok");
  CHECK(check("abd", abc) == "checksum_mismatch w.bin");
  CHECK(check("abcd", abc) == "checksum_mismatch w.bin"); // of the whole file
  CHECK(check("abc", "") == "malformed v: checksum ");
  CHECK(check("abc", "a9993e364706816aba3e25717850c26c9cd0d89").starts_with("malformed v: checksum a9993e"));
  CHECK(check("abc", "g9993e364706816aba3e25717850c26c9cd0d89d").starts_with("malformed v: checksum g9993e"));
}

TEST_SUITE_END();
