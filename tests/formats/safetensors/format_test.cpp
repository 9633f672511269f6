// SPDX-License-Identifier: MIT
// safetensors as a row of the table of formats.
#include <stet/formats/safetensors/format.hpp>

#include "support/outcome.hpp"
#include "support/safetensors_files.hpp"
#include "support/temp_folder.hpp"

#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>

TEST_SUITE_BEGIN("safetensors");

TEST_CASE("is recognised by its content and says its metadata") {
  const stet_test::temp_folder folder;
  const std::string path = folder.write("model.bin", stet_test::example_safetensors_file());
  for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
    const auto model = stet::compiled::open_any(path, {.backing = backing});
    REQUIRE(model);
    CHECK(model->format == &stet::safetensors_format);
    CHECK(model->store.tensor_count() == 3);
    CHECK(model->is_in_file(*model->store.find("a")));
    const auto described = stet::describe(*model);
    REQUIRE(described);
    CHECK(described->metadata.dump() == R"({"format":"pt"})");
    CHECK(described->graphs.empty());
  }
}

TEST_CASE("without metadata, or with null, nothing is said") {
  const stet_test::temp_folder folder;
  for (const std::string_view header :
       {"{}", R"({"__metadata__":null})", R"({"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})"}) {
    const auto model = stet::compiled::open_any(folder.write("m.safetensors", stet_test::safetensors_file(header)));
    REQUIRE(model);
    const auto described = stet::describe(*model);
    REQUIRE(described);
    CHECK(described->metadata.is_null());
  }
}

TEST_CASE("an error has the path where it is about the file") {
  const stet_test::temp_folder folder;
  const auto model = stet::compiled::open_any(folder.write("m.safetensors", stet_test::safetensors_file("{}", "x")));
  REQUIRE_FALSE(model);
  CHECK(model.error().code() == stet::errc::trailing_bytes);
  CHECK(model.error().subject().ends_with("m.safetensors"));
  // A file that another program replaced since it was opened.
  const std::string path = folder.write("n.safetensors", stet_test::example_safetensors_file());
  const auto opened = stet::compiled::open_any(path, {.backing = stet::backing::read});
  REQUIRE(opened);
  (void)folder.write("n.safetensors", "short");
  CHECK(stet_test::outcome(stet::describe(*opened)) == "malformed");
}

TEST_CASE("other files that begin with a small number are not taken for one") {
  const stet_test::temp_folder folder;
  for (const std::string_view content :
       {std::string_view("\2\0\0\0\0\0\0\0", 8), std::string_view("\2\0\0\0\0\0\0\0[]", 10),
        std::string_view("\2\0\0\0\0\0\1\0{}", 10)}) {
    CHECK(stet_test::outcome(stet::compiled::open_any(folder.write("x", content))) == "unknown_format");
  }
}

TEST_SUITE_END();
