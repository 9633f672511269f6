// SPDX-License-Identifier: MIT
#include "support/temp_folder.hpp"

#include <stet/formats/keras.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace {

std::string sample(const char* name) {
  const char* const folder = std::getenv("STET_SAMPLES");
  if (folder == nullptr)
    return {};
  const auto bytes = stet::source::read(std::string(folder) + "/" + name);
  if (!bytes)
    return {};
  return {reinterpret_cast<const char*>(bytes->data()), static_cast<std::size_t>(bytes->size_bytes())};
}

/// Opens bytes as if they were a file and reads all that is not too large. @return whether they opened
bool use(const stet_test::temp_folder& folder, const std::string& bytes) {
  const auto opened = stet::detail::open_hdf5(folder.write("m.h5", bytes), {stet::backing::read});
  if (!opened)
    return false;
  for (const stet::tensor each : opened->store) {
    if (each.size_bytes() > 1 << 16)
      continue;
    std::vector<std::byte> into(static_cast<std::size_t>(each.size_bytes()));
    (void)each.read(0, into);
  }
  (void)stet::detail::describe_hdf5("", *opened);
  return true;
}

} // namespace

TEST_SUITE("formats/hdf5") {
  TEST_CASE("variables of a Keras layer have its names, too") {
    const std::string bytes = sample("made/keras-v3/seed_example/my_model.weights.h5");
    if (bytes.empty()) {
      MESSAGE("skipped: STET_SAMPLES is not set");
      return;
    }
    const stet_test::temp_folder folder;
    const auto opened = stet::detail::open_hdf5(folder.write("m.h5", bytes), {});
    REQUIRE(opened);
    if (!opened)
      return;
    CHECK(opened->store.contains("/layers/dense/vars/0"));
    CHECK(opened->file_count == 1);
    bool has_second_name = false;
    for (const stet::tensor each : opened->store)
      has_second_name = has_second_name || each.name().ends_with("/kernel");
    CHECK(has_second_name);
  }

  TEST_CASE("a file that is cut off anywhere does not open") {
    const std::string bytes = sample("hdf5/debian_python-tables-data/tests/smpl_i32le.h5");
    if (bytes.empty()) {
      MESSAGE("skipped: STET_SAMPLES is not set");
      return;
    }
    const stet_test::temp_folder folder;
    REQUIRE(use(folder, bytes));
    // What stands behind the end that the superblock names is not the file's.
    const auto end =
        stet::detail::load_little<std::uint64_t>(reinterpret_cast<const std::byte*>(bytes.data()) + 40);
    REQUIRE(end <= bytes.size());
    for (std::size_t size = 1; size < end; ++size) {
      const auto opened =
          stet::detail::open_hdf5(folder.write("m.h5", bytes.substr(0, size)), {stet::backing::read});
      CAPTURE(size);
      REQUIRE(!opened);
      if (!opened)
        CHECK(opened.error().code() == stet::errc::truncated);
    }
  }

  TEST_CASE("a bit that is wrong anywhere does no harm") {
    const stet_test::temp_folder folder;
    for (const char* const name : {"hdf5/jamesmudd_jhdf/float_special_values_latest.hdf5",
                                   "hdf5/jamesmudd_jhdf/utf8-fixed-length.hdf5"}) {
      std::string bytes = sample(name);
      if (bytes.empty()) {
        MESSAGE("skipped: STET_SAMPLES is not set");
        return;
      }
      REQUIRE(use(folder, bytes));
      for (std::size_t at = 0; at < bytes.size(); ++at) {
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << at % 8));
        (void)use(folder, bytes);
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << at % 8));
      }
    }
  }
}
