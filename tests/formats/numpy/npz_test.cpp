// SPDX-License-Identifier: MIT
// npz archives: stored members in place, deflated ones decompressed, and what is wrong, by name.
#include <stet/formats/numpy.hpp>

#include "support/exact_text.hpp"
#include "support/keras_files.hpp"
#include "support/npy_files.hpp"
#include "support/outcome.hpp"
#include "support/python_streams.hpp"
#include "support/temp_folder.hpp"
#include "support/zip_archives.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

TEST_SUITE_BEGIN("npz");

namespace {

using namespace std::string_view_literals;
using stet_test::deflated_member;
using stet_test::made_archive;
using stet_test::made_member;
using stet_test::numpy_array;

std::span<const std::byte> npz_bytes(const std::string& file) { return std::as_bytes(std::span(file)); }
std::span<const std::byte> npz_bytes(std::string&&) = delete; // a model views the bytes

/// The name of the error and its subject; "ok" for none. Read from a block that ends where the file does.
std::string npz_verdict(const made_archive& archive, const stet::open_options& options = {}) {
  const stet_test::exact_text block(archive.bytes());
  const auto opened = stet::open_npz(block.bytes(), options);
  if (opened) return "ok";
  std::string text(stet::describe(opened.error().code()).name);
  if (!opened.error().subject().empty()) text.append(" ").append(opened.error().subject());
  return text;
}

std::vector<float> npz_values(const stet::model& of, std::string_view name) {
  const auto found = of.store.find(name);
  REQUIRE(found);
  std::vector<float> values(static_cast<std::size_t>(found->element_count()));
  CHECK(stet_test::outcome(found->copy_to(std::span(values))) == "ok");
  return values;
}

std::string array_of_floats(bool fortran_order = false) {
  return numpy_array("'<f4'", "(2, 3)", stet_test::floats_0_to_5(), fortran_order);
}
stet::open_options npz_inflating() {
  stet::open_options options;
  options.inflate = stet_test::inflate_stored;
  return options;
}
const std::vector<float> npz_floats{0, 1, 2, 3, 4, 5}, npz_turned{0, 2, 4, 1, 3, 5};

} // namespace

TEST_CASE("stored members are in place, by their keys, in the order of the directory") {
  const std::string file = stet_test::zip_of({{"w.npy", array_of_floats()},
                                              {"layer/0/kernel.npy", array_of_floats(true)},
                                              {"a.npy.npy", numpy_array("'|u1'", "(2,)", "xy")},
                                              {"raw", numpy_array("'|u1'", "()", "z")},
                                              {"layer/", ""},
                                              {"README.txt", "no array"}});
  const auto model = stet::open_npz(npz_bytes(file));
  REQUIRE(model);
  std::string names;
  for (const stet::tensor each : model->store) names.append(each.name()).append(" ");
  CHECK(names == "w layer/0/kernel a.npy raw ");
  const stet::tensor w = *model->store.find("w");
  CHECK(static_cast<const void*>(w.bytes().data()) == file.data() + file.find(stet_test::floats_0_to_5()));
  CHECK(model->is_in_file(w));
  CHECK_FALSE(model->is_in_file(*model->store.find("layer/0/kernel")));
  CHECK(npz_values(*model, "w") == npz_floats);
  CHECK(npz_values(*model, "layer/0/kernel") == npz_turned);
  REQUIRE(model->omitted.size() == 1);
  CHECK(model->omitted[0].name == "README.txt");
  CHECK(model->omitted[0].reason.code() == stet::errc::unknown_format);
  // Each stored array can be compared with the checksum of its member.
  REQUIRE(model->checks.size() == 4);
  CHECK(model->checks[0].name == "w.npy");
  CHECK(model->checks[0].crc32 == stet_test::zip_crc32(array_of_floats()));
  CHECK(model->checks[0].size_bytes == 152);
}

TEST_CASE("opens from a file: mapped, read and streamed") {
  const stet_test::temp_folder folder;
  const std::string path = folder.write("m.npz", stet_test::zip_of({{"w.npy", array_of_floats()}}));
  for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
    const auto model = stet::open_npz(path, {.backing = backing});
    REQUIRE(model);
    CHECK(npz_values(*model, "w") == npz_floats);
    CHECK(model->path == path);
  }
  CHECK(stet_test::outcome(stet::open_npz(folder.path("none.npz"))) == "file_not_found");
  const auto damaged = stet::open_npz(folder.write("d.npz", "PK\3\4"));
  REQUIRE_FALSE(damaged);
  CHECK(damaged.error().code() == stet::errc::truncated);
  CHECK(damaged.error().subject().ends_with("d.npz"));
}

TEST_CASE("an archive without members") {
  const std::string no_members = made_archive{}.bytes();
  const auto model = stet::open_npz(npz_bytes(no_members));
  REQUIRE(model);
  CHECK(model->store.tensor_count() == 0);
}

TEST_CASE("deflated members need a decompressor, and are compared with their checksum") {
  made_archive archive{{deflated_member("w.npy", array_of_floats()),
                        deflated_member("t.npy", array_of_floats(true)),
                        deflated_member("e.npy", numpy_array("'<f4'", "(0, 2)")),
                        {"s.npy", array_of_floats()}}};
  const std::string file = archive.bytes();
  const auto without = stet::open_npz(npz_bytes(file));
  REQUIRE(without);
  CHECK(without->store.tensor_count() == 1);
  REQUIRE(without->omitted.size() == 3);
  CHECK(without->omitted[0].name == "w");
  CHECK(without->omitted[0].reason.code() == stet::errc::compressed);
  const auto model = stet::open_npz(npz_bytes(file), npz_inflating());
  REQUIRE(model);
  CHECK(model->omitted.empty());
  CHECK(npz_values(*model, "w") == npz_floats);
  CHECK(npz_values(*model, "t") == npz_turned);
  CHECK(npz_values(*model, "s") == npz_floats);
  CHECK(model->store.find("e")->shape().equals({0, 2}));
  CHECK_FALSE(model->is_in_file(*model->store.find("w")));

  archive.members[0].local.crc32 = archive.members[0].central.crc32 = 1;
  CHECK(npz_verdict(archive, npz_inflating()) == "bad_archive w.npy");
  archive.members[0] = deflated_member("w.npy", array_of_floats());
  archive.members[0].data[0] = '\xff';
  CHECK(npz_verdict(archive, npz_inflating()) == "bad_compression w.npy");
  archive.members[0] = deflated_member("w.npy", array_of_floats());
  archive.members[0].local.size = archive.members[0].central.size = 0x7FFFFFFF;
  CHECK(npz_verdict(archive, npz_inflating()) == "bad_archive w.npy");
  archive.members[0].local.size = archive.members[0].central.size = 151;
  CHECK(npz_verdict(archive, npz_inflating()) == "bad_compression w.npy");
  // The other methods of Python's zipfile.
  for (const auto& [method, stream] : {std::pair{12, stet_test::python_bzip2}, std::pair{14, stet_test::python_lzma}}) {
    const std::string text = stet_test::python_text();
    made_member member("text.npy", static_cast<std::uint16_t>(method), stet_test::text_of_hex(stream),
                       static_cast<std::uint32_t>(text.size()));
    member.local.crc32 = member.central.crc32 = stet_test::zip_crc32(text);
    archive.members[0] = member;
    CHECK(npz_verdict(archive) == "unknown_format text.npy: npy");
    member.data[30] = static_cast<char>(~member.data[30]);
    archive.members[0] = member;
    const std::string verdict = npz_verdict(archive);
    CHECK((verdict == "bad_compression text.npy" || verdict == "bad_archive text.npy"));
  }
  // Another one.
  archive.members[0] = made_member("zstd.npy", 93, "zstd", 152);
  const std::string other_file = archive.bytes();
  const auto other = stet::open_npz(npz_bytes(other_file), npz_inflating());
  REQUIRE(other);
  REQUIRE(other->omitted.size() == 1);
  CHECK(other->omitted[0].reason.code() == stet::errc::compressed);
}

TEST_CASE("of two members with one name the last counts") {
  const std::string other = numpy_array("'|u1'", "(1,)", "b");
  made_archive archive{{{"d.npy", numpy_array("'|u1'", "(1,)", "a")}, {"e.npy", other}, {"d.npy", other}}};
  const std::string repeated = archive.bytes();
  const auto model = stet::open_npz(npz_bytes(repeated));
  REQUIRE(model);
  CHECK(model->store.tensor_count() == 2);
  CHECK(model->store.find("d")->bytes()[0] == std::byte{'b'});
  CHECK((*model->store.begin()).name() == "e");
  CHECK(npz_verdict({{{"a.npy", other}, {"a", other}}}) == "duplicate_name a");
}

TEST_CASE("a member that is damaged is an error with its name; what is no number is left out") {
  made_archive archive{{{"ok.npy", array_of_floats()}, {"bad.npy", ""}}};
  const auto verdict_of = [&](const std::string& bytes) {
    archive.members[1] = made_member("bad.npy", bytes);
    return npz_verdict(archive);
  };
  CHECK(verdict_of("") == "truncated bad.npy: npy");
  CHECK(verdict_of("text") == "unknown_format bad.npy: npy");
  CHECK(verdict_of(stet_test::npy_array("{}")) == "missing_field bad.npy: descr");
  CHECK(verdict_of(array_of_floats().substr(0, 151)) == "truncated bad.npy: data");
  CHECK(verdict_of(array_of_floats() + "more") == "ok"); // as NumPy does
  archive.members[1] = made_member("bad.npy", numpy_array("'|O'", "()", "N."));
  archive.members.push_back({"f1.npy", numpy_array("'<f1'", "(1,)", "x")});
  archive.members.push_back({".npy", array_of_floats()});
  archive.members.push_back({"\xff.npy", array_of_floats()});
  const std::string damaged_file = archive.bytes();
  const auto model = stet::open_npz(npz_bytes(damaged_file));
  REQUIRE(model);
  CHECK(model->store.tensor_count() == 1);
  REQUIRE(model->omitted.size() == 4);
  CHECK(model->omitted[0].name == "bad");
  CHECK(model->omitted[0].reason.code() == stet::errc::unsupported);
  CHECK(model->omitted[0].reason.subject() == "bad: Python objects, stored as a pickle");
  CHECK(model->omitted[1].reason.code() == stet::errc::unknown_dtype);
  CHECK(model->omitted[2].reason.code() == stet::errc::bad_name);
  CHECK(model->omitted[3].reason.code() == stet::errc::bad_name);
  // The offset is that of the archive.
  made_archive one{{{"x.npy", stet_test::npy_array("{'descr': 1}")}}};
  const std::string file = one.bytes();
  const auto failed = stet::open_npz(npz_bytes(file));
  REQUIRE_FALSE(failed);
  CHECK(failed.error().offset_bytes() == file.find("1}"));
}

TEST_CASE("archives that contradict themselves are refused, as by every reader of archives") {
  made_archive archive{{{"a.npy", array_of_floats()}, {"b.npy", array_of_floats()}}};
  archive.members[1].offset = 0;
  CHECK(npz_verdict(archive).starts_with("bad_archive"));
  archive.members[1].offset = std::nullopt;
  archive.members[1].central.flags = archive.members[1].local.flags = 1;
  CHECK(npz_verdict(archive) == "unsupported b.npy");
  archive.members[1] = made_member("../b.npy", array_of_floats());
  CHECK(npz_verdict(archive) == "bad_path ../b.npy");
  archive.members[1] = made_member("b.npy", array_of_floats());
  archive.members[1].local.name = "c.npy";
  CHECK(npz_verdict(archive) == "bad_archive b.npy");
}

TEST_CASE("every truncation of an archive is an error, and every flipped bit stays within it") {
  made_archive archive{{{"a.npy", array_of_floats(true)}, deflated_member("b.npy", array_of_floats())}};
  const std::string file = archive.bytes();
  for (std::size_t size = 0; size < file.size(); ++size) {
    CAPTURE(size);
    const stet_test::exact_text block(std::string_view(file).substr(0, size));
    const std::string verdict = stet_test::outcome(stet::open_npz(block.bytes(), npz_inflating()));
    CHECK((verdict == "truncated" || verdict == "bad_archive"));
  }
  for (std::size_t at = 0; at < file.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = file;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      const stet_test::exact_text block(flipped);
      const auto opened = stet::open_npz(block.bytes(), npz_inflating());
      if (!opened) continue;
      for (const stet::tensor each : opened->store) {
        std::vector<std::byte> bytes(static_cast<std::size_t>(each.size_bytes()));
        CHECK(stet_test::outcome(each.read(0, bytes)) == "ok");
      }
    }
  }
}

TEST_SUITE_END();
