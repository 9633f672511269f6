// SPDX-License-Identifier: MIT
// npy and npz as rows of the table of formats.
#include <stet/formats/numpy/format.hpp>

#include "support/npy_files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"
#include "support/zip_archives.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

TEST_SUITE_BEGIN("numpy");

namespace {

bool npy_is_recognised(const stet::format& as, std::string_view path) {
  stet::format_probe probe(path);
  return as.recognises(probe);
}

std::string notes_of(const stet::model& of) {
  const auto described = stet::describe(of);
  if (!described) return stet_test::outcome(described);
  CHECK(described->metadata.is_null());
  std::string made;
  for (const stet::tensor_note& each : described->tensors) made += each.name + " " + each.attributes.dump() + "\n";
  return made;
}

const std::string structured = stet_test::numpy_array(
    "[('p', [('q', '|u1'), ('\xe9', '>f4', (2, 3))]), (('title', 's'), ('|S3', 2))]", "(1,)", std::string(31, '\1'));
constexpr std::string_view structured_note =
    R"({"numpy":{"descr":"[('p', [('q', '|u1'), ('é', '>f4', (2, 3))]), (('title', 's'), ('|S3', 2))]","fields":[)"
    R"({"name":"p","descr":[{"name":"q","descr":"|u1"},{"name":"é","descr":">f4","shape":[2,3]}]},)"
    R"({"title":"title","name":"s","descr":"|S3","shape":[2]}]}})";

} // namespace

TEST_CASE("an npy file is recognised by its content and described") {
  const stet_test::temp_folder folder;
  const std::string path =
      folder.write("x.bin", stet_test::example_npy_file() +
                                stet_test::numpy_array("'<f4'", "(2, 3)", stet_test::floats_0_to_5(), true) +
                                stet_test::numpy_array("'<M8[ns]'", "()", "12345678") + structured +
                                stet_test::numpy_array("'|O'", "()", "N."));
  CHECK(npy_is_recognised(stet::npy_format, path));
  CHECK_FALSE(npy_is_recognised(stet::npz_format, path));
  for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
    const auto model = stet::open_as(stet::npy_format, path, {.backing = backing});
    REQUIRE(model);
    CHECK(model->store.tensor_count() == 4);
    CHECK(model->is_in_file(*model->store.find("0")));
    CHECK_FALSE(model->is_in_file(*model->store.find("1")));
    REQUIRE(model->omitted.size() == 1);
    CHECK(model->omitted[0].name == "4");
    CHECK(model->omitted[0].reason.code() == stet::errc::unsupported);
    CHECK(notes_of(*model) == "1 {\"numpy\":{\"fortran_order\":true}}\n2 {\"numpy\":{\"descr\":\"'<M8[ns]'\"}}\n3 " +
                                  std::string(structured_note) + "\n");
  }
  const auto failed = stet::open_as(stet::npy_format, folder.write("y.npy", "\x93NUMPY\1"));
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code() == stet::errc::truncated);
  // A file that another program replaced since it was opened.
  const auto opened = stet::open_as(stet::npy_format, path, {.backing = stet::backing::read});
  REQUIRE(opened);
  (void)folder.write("x.bin", "short");
  CHECK(notes_of(*opened) == "malformed");
}

TEST_CASE("an npz archive is recognised by an array in it") {
  const stet_test::temp_folder folder;
  const std::string array = stet_test::example_npy_file();
  const auto is_npz = [&](const std::string& content) {
    return npy_is_recognised(stet::npz_format, folder.write("m", content));
  };
  CHECK(is_npz(stet_test::made_archive{}.bytes()));
  CHECK(is_npz(stet_test::zip_of({{"a.npy", array}})));
  CHECK(is_npz(stet_test::zip_of({{"a", array}})));
  CHECK(is_npz(stet_test::zip_of({{"a.npy", array}}).substr(0, 100))); // which opening refuses
  CHECK(is_npz(stet_test::zip_of({{"README", "text"}, {"a.npy", array}})));
  CHECK(is_npz(stet_test::zip_of({{"a.npy", array}, {"a.npy", array}})));
  CHECK_FALSE(is_npz(stet_test::zip_of({{"README", "text"}})));
  CHECK_FALSE(is_npz(stet_test::zip_of({{"README", "text"}}).substr(0, 40)));
  CHECK_FALSE(is_npz("PK\3\4"));
  CHECK_FALSE(is_npz("PK"));
}

TEST_CASE("an npz archive is described") {
  const stet_test::temp_folder folder;
  const std::string path =
      folder.write("m.npz", stet_test::zip_of({{"a.npy", stet_test::example_npy_file()},
                                               {"s.npy", structured},
                                               {"o.npy", stet_test::numpy_array("'|O'", "()", "N.")}}));
  for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
    const auto model = stet::open_as(stet::npz_format, path, {.backing = backing});
    REQUIRE(model);
    CHECK(model->store.tensor_count() == 2);
    CHECK(notes_of(*model) == "s " + std::string(structured_note) + "\n");
  }
}

TEST_SUITE_END();
