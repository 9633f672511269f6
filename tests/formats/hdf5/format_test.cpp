// SPDX-License-Identifier: MIT
// HDF5 files as a format: sound ones of every generation, and everything that can become of them when bytes
// are lost or changed.
#include "support/hdf5_bytes.hpp"
#include "support/hdf5_files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"
#include "support/thinned.hpp"

#include <stet/formats/hdf5/format.hpp>
#include <stet/formats/keras/format.hpp>

#include <doctest/doctest.h>

#if STET_HAS_ZLIB
#include <zlib.h>

#include <stet/ext/zlib.hpp>
#endif

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

namespace hdf5_files = stet_test::hdf5_files;
using stet::errc;
using stet_test::elements_of;
using stet_test::exact_text;
using stet_test::open_hdf5_bytes;

/// What opening, or reading a tensor, of a damaged file may come to.
constexpr errc allowed[] = {
    errc::bad_magic,  errc::truncated,         errc::bad_hdf5,         errc::unsupported,     errc::bad_shape,
    errc::bad_size,   errc::bad_name,          errc::duplicate_name,   errc::bad_compression, errc::too_large,
    errc::compressed, errc::checksum_mismatch, errc::bad_string_table, errc::external_data,
};
bool is_allowed(errc code) { return std::find(std::begin(allowed), std::end(allowed), code) != std::end(allowed); }

/// Opens a file of bytes and reads all tensors of it. @return whether every error is one of those
bool is_harmless(std::string_view text) {
  const exact_text bytes(text);
  const auto opened = open_hdf5_bytes(bytes.bytes());
  if (!opened) return is_allowed(opened.error().code());
  bool is_sound = true;
  std::vector<std::byte> into(1 << 12);
  for (const stet::tensor each : *opened) {
    const std::size_t size =
        each.size_bytes() < into.size() ? static_cast<std::size_t>(each.size_bytes()) : into.size();
    if (const auto read = each.read(0, std::span(into).first(size)); !read)
      is_sound = is_sound && is_allowed(read.error().code());
    if (each.dtype() == stet::dtype::string && each.as_strings()) {
      for (std::size_t i = 0; i < each.as_strings()->size(); ++i) (void)(*each.as_strings())[i].size();
    }
  }
  return is_sound;
}

/// Calls `change` for every byte of every file; of long runs of one byte, free space and long names, for some.
template <class Change> void for_every_byte(const Change& change) {
  for (const stet_test::hdf5_sample& each : hdf5_files::all) {
    std::string bytes = each.bytes();
    REQUIRE(is_harmless(bytes));
    std::size_t run = 0;
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      run = at != 0 && bytes[at] == bytes[at - 1] ? run + 1 : 1;
      const bool is_taken = at % stet_test::step_if_thinned(5) == 0 && (run < 64 || run % 16 == 0);
      if (is_taken) change(each.name, bytes, at, run > 8);
    }
  }
}

/// The bytes of a file of samples; none without samples.
std::string sample(const char* name) {
  const char* const folder = std::getenv("STET_SAMPLES");
  if (folder == nullptr) return {};
  const auto bytes = stet::source::read(std::string(folder) + "/" + name);
  if (!bytes) return {};
  return {reinterpret_cast<const char*>(bytes->data()), static_cast<std::size_t>(bytes->size_bytes())};
}

bool is_recognised(const std::string& path) {
  stet::format_probe probe(path);
  return stet::hdf5_format.recognises(probe);
}

} // namespace

TEST_SUITE("formats/hdf5") {
  TEST_CASE("tensors of files of every generation are what was written") {
    const exact_text symbols(hdf5_files::symbols.bytes()), chunks1(hdf5_files::chunks1.bytes()),
        links(hdf5_files::links.bytes()), dense(hdf5_files::dense.bytes()), rows(hdf5_files::rows.bytes()),
        arrays(hdf5_files::arrays.bytes()), growing(hdf5_files::growing.bytes());
    const auto s = open_hdf5_bytes(symbols.bytes());
    CHECK(elements_of<float>(s, "/w") == "1 2 3 4 5 6");
    CHECK(elements_of<float>(s, "/again") == "1 2 3 4 5 6");
    CHECK(elements_of<std::int16_t>(s, "/big") == "1 2 3");
    CHECK(elements_of<bool>(s, "/true") == "1 0");
    CHECK(elements_of<std::uint8_t>(s, "/compact") == "1 2 3 4");
    REQUIRE(s);
    if (!s) return;
    CHECK((*s->find("/g/bf")).dtype() == stet::dtype::bfloat16);
    CHECK((*s->find("/h/bf")).dtype() == stet::dtype::bfloat16);
    CHECK((*s->find("/z")).dtype() == stet::dtype::complex64);

    const auto c = open_hdf5_bytes(chunks1.bytes());
    CHECK(elements_of<std::int16_t>(c, "/plain") == "1 2 3 4 5 6 7 8 9");
    CHECK(elements_of<std::int32_t>(c, "/lzf").substr(0, 8) == "7 7 7 7 ");
    CHECK(elements_of<std::int16_t>(c, "/never") == "0 0 0 0");

    const auto l = open_hdf5_bytes(links.bytes());
    CHECK(elements_of<std::int64_t>(l, "/a") == "1 2");
    CHECK(elements_of<double>(l, "/z") == "1 2");
    CHECK(elements_of<std::int16_t>(l, "/filled") == "5 5 5");
    CHECK(elements_of<std::int16_t>(l, "/nothing") == "not_found");

    CHECK(elements_of<std::uint8_t>(open_hdf5_bytes(dense.bytes()), "/g/b") == "1 2");
    CHECK(elements_of<std::uint8_t>(open_hdf5_bytes(rows.bytes()), "/g/n23" + std::string(40, 'x')) == "1");

    const auto a = open_hdf5_bytes(arrays.bytes());
    for (const char* const name : {"/single", "/implicit", "/single_filtered"})
      CHECK(elements_of<std::int16_t>(a, name) == "1 2 3");
    for (const char* const name : {"/fixed", "/fixed_filtered"})
      CHECK(elements_of<std::int16_t>(a, name) == "1 2 3 4 5");

    const exact_text huge(hdf5_files::huge.bytes()), filtered(hdf5_files::filtered_groups.bytes()),
        shared(hdf5_files::shared.bytes());
    CHECK(elements_of<std::uint8_t>(open_hdf5_bytes(huge.bytes()), "/g/" + std::string(4100, 'l')) == "1 2");
    std::vector<stet::omitted_item> omitted;
    const auto f = open_hdf5_bytes(filtered.bytes(), nullptr, false, &omitted);
    for (const std::string& name :
         {std::string("/one/a"), "/one/" + std::string(4100, 'l'), "/rows/n23" + std::string(40, 'x')})
      CHECK(elements_of<std::uint8_t>(f, name) == "1 2");
    REQUIRE(omitted.size() == 1);
    CHECK(omitted[0].name == "/deflated");
    CHECK(omitted[0].reason.code() == errc::compressed);
#if STET_HAS_ZLIB
    CHECK(elements_of<std::uint8_t>(open_hdf5_bytes(filtered.bytes(), stet::inflate_with_zlib, false, &omitted),
                                    "/deflated/c") == "1 2");
    CHECK(omitted.empty());
#endif
    const auto m = open_hdf5_bytes(shared.bytes());
    for (const char* const name : {"/a", "/b"}) CHECK(elements_of<std::int16_t>(m, name) == "1 2 3");
    CHECK(elements_of<std::int16_t>(m, "/filled") == "5 5 5");

    const auto g = open_hdf5_bytes(growing.bytes());
    std::string thirty = "1";
    for (int i = 2; i <= 30; ++i) thirty += " " + std::to_string(i);
    CHECK(elements_of<std::int8_t>(g, "/one") == thirty);
    CHECK(elements_of<std::int16_t>(g, "/filtered") == "1 2 3 4 5");
    CHECK(elements_of<std::int8_t>(g, "/two") == "1 2 3 4 5 6");
    CHECK(elements_of<std::int16_t>(g, "/two_filtered") == "1 2 3 4");
  }

  TEST_CASE("strings are views, as in every store") {
    const exact_text bytes(hdf5_files::strings.bytes());
    const auto opened = open_hdf5_bytes(bytes.bytes());
    REQUIRE(opened);
    if (!opened) return;
    const auto texts = (*opened->find("/s")).as_strings();
    REQUIRE(texts);
    if (!texts) return;
    REQUIRE(texts->size() == 3);
    CHECK((*texts)[0] == "one");
    CHECK((*texts)[1].empty());
    CHECK((*texts)[2] == "three");
  }

  TEST_CASE("a path opens as the format says, also within other bytes") {
    const stet_test::temp_folder folder;
    for (const stet_test::hdf5_sample& each : hdf5_files::all) {
      CAPTURE(each.name);
      const std::string path = folder.write("m.h5", each.bytes());
      CHECK(is_recognised(path));
      for (const stet::backing where : {stet::backing::map, stet::backing::read}) {
        stet::open_options options;
        options.backing = where;
        const auto opened = stet::open_as(stet::hdf5_format, path, options);
        CHECK(stet_test::outcome(opened) == "ok");
        if (opened) CHECK(stet_test::outcome(stet::describe(*opened)) == "ok");
      }
    }
    // User blocks of any size; at other places there is no superblock.
    for (const std::size_t size : {512u, 2048u, 4096u, 8192u, 65536u}) {
      const std::string path = folder.write("u.h5", std::string(size, 'u') + hdf5_files::symbols.bytes());
      CHECK(is_recognised(path));
      const auto opened = stet::open_as(stet::hdf5_format, path, {});
      REQUIRE(stet_test::outcome(opened) == "ok");
      if (opened) CHECK(opened->store.contains("/big"));
    }
    CHECK(!is_recognised(folder.write("u.h5", std::string(8191, 'u') + hdf5_files::symbols.bytes())));
    CHECK(!is_recognised(folder.write("u.h5", std::string(8192, 'u') + "\x89HDF")));
    CHECK(!is_recognised(folder.write("not.h5", std::string_view("\x89HDF"))));
    CHECK(!is_recognised(folder.path("missing.h5")));
  }

  TEST_CASE("a file that is cut off anywhere does not open") {
    for (const stet_test::hdf5_sample& each : hdf5_files::all) {
      CAPTURE(each.name);
      const std::string bytes = each.bytes();
      const std::size_t begin = bytes.find("\x89HDF");
      for (std::size_t size = 0; size < bytes.size(); ++size) {
        CAPTURE(size);
        const exact_text cut(std::string_view(bytes).substr(0, size));
        const auto opened = open_hdf5_bytes(cut.bytes());
        REQUIRE(!opened);
        if (!opened)
          CHECK(opened.error().code() == (size >= 8 && size < begin + 8 ? errc::bad_magic : errc::truncated));
      }
    }
  }

  TEST_CASE("a bit that is wrong anywhere does no harm") {
    for_every_byte([](std::string_view name, std::string& bytes, std::size_t at, bool is_free) {
      // In free space one bit of a byte stands for all.
      for (std::size_t bit = is_free ? at % 8 : 0; bit < 8; bit += is_free ? 8 : 1) {
        bytes[at] = static_cast<char>(bytes[at] ^ 1 << bit);
        if (!is_harmless(bytes)) FAIL_CHECK(name << ", bit " << bit << " of byte " << at);
        bytes[at] = static_cast<char>(bytes[at] ^ 1 << bit);
      }
    });
  }

  TEST_CASE("a byte that is anything else does no harm") {
    for_every_byte([](std::string_view name, std::string& bytes, std::size_t at, bool is_free) {
      const char before = bytes[at];
      for (const char value : {'\0', '\xff'}) {
        bytes[at] = value;
        if (value != before && !is_free && !is_harmless(bytes))
          FAIL_CHECK(name << ", byte " << at << " is " << static_cast<int>(value));
      }
      bytes[at] = before;
    });
  }

  TEST_CASE("soft links are second names, other paths of the file are not") {
    const stet_test::temp_folder folder;
    const auto opened = stet::open_as(stet::hdf5_format, folder.write("m.h5", hdf5_files::symbols.bytes()), {});
    REQUIRE(opened);
    std::vector<std::string> second_names;
    for (const stet::tensor each : opened->store) {
      if (opened->is_second_name(each)) second_names.emplace_back(each.name());
    }
    CHECK(second_names == std::vector<std::string>{"/soft"});
    CHECK(opened->store.original_of(*opened->store.find("/soft"))->name() == "/again");
    CHECK(opened->omitted.empty());
  }

  TEST_CASE("variables of a Keras layer have its names, too, if they are opened as files of Keras") {
    const std::string bytes = sample("made/keras-v3/seed_example/my_model.weights.h5");
    if (bytes.empty()) {
      MESSAGE("skipped: STET_SAMPLES is not set");
      return;
    }
    const stet_test::temp_folder folder;
    const std::string path = folder.write("m.h5", bytes);
    const auto count_second_names = [](const stet::result<stet::model>& opened) {
      REQUIRE(opened);
      CHECK(opened->store.contains("/layers/dense/vars/0"));
      CHECK(opened->file_count == 1);
      return std::count_if(opened->store.begin(), opened->store.end(),
                           [](const stet::tensor& each) { return each.name().ends_with("/kernel"); });
    };
    CHECK(count_second_names(stet::open_as(stet::keras_h5_format, path, {})) > 0);
    CHECK(count_second_names(stet::open_as(stet::hdf5_format, path, {})) == 0);
  }

  TEST_CASE("real files whose bits are wrong do no harm") {
    for (const char* const name :
         {"hdf5/jamesmudd_jhdf/float_special_values_latest.hdf5", "hdf5/jamesmudd_jhdf/utf8-fixed-length.hdf5"}) {
      std::string bytes = sample(name);
      if (bytes.empty()) {
        MESSAGE("skipped: STET_SAMPLES is not set");
        return;
      }
      REQUIRE(is_harmless(bytes));
      for (std::size_t at = 0; at < bytes.size(); ++at) {
        bytes[at] = static_cast<char>(bytes[at] ^ 1 << at % 8);
        CHECK(is_harmless(bytes));
        bytes[at] = static_cast<char>(bytes[at] ^ 1 << at % 8);
      }
    }
  }
}
