// SPDX-License-Identifier: MIT
// Models of every format in bulk: what load_all brings is what the tensors' own readers give, from real files, mapped and streamed.
#if STET_HAS_ZLIB
#include <zlib.h>

#include <stet/ext/zlib.hpp>
#endif

#include "support/outcome.hpp"
#include "support/thinned.hpp"

#include <stet/formats/compiled.hpp>
#include <stet/formats/format.hpp>
#include <stet/load.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace {

using stet_test::outcome;

/// Whether what was loaded is what reading each tensor by itself gives.
void compare_loaded(const stet::store& from, const stet::load_options& options) {
  stet::load_report report;
  const auto loaded = stet::load_all(from, options, &report);
  std::vector<std::byte> bytes;
  bool can_read = true; // all of them
  for (const stet::tensor each : from) {
    bytes.resize(static_cast<std::size_t>(each.size_bytes()));
    const bool is_read = static_cast<bool>(each.read(0, bytes));
    can_read = can_read && is_read;
    if (!loaded || !is_read) continue;
    const auto found = loaded->find(each.name());
    CAPTURE(each.name());
    REQUIRE(outcome(found) == "ok");
    if (!found) return;
    CHECK(std::equal(bytes.begin(), bytes.end(), found->bytes().begin(), found->bytes().end()));
  }
  CHECK(static_cast<bool>(loaded) == can_read);
}

} // namespace

TEST_SUITE("load models") {
  TEST_CASE("models of the samples, of all formats") {
    const char* const samples = std::getenv("STET_SAMPLES");
    if (samples == nullptr) {
      MESSAGE("skipped: STET_SAMPLES is not set");
      return;
    }
    std::ifstream index(std::filesystem::path(samples) / "INDEX.tsv");
    std::map<std::string, int> opened; // by format
    std::size_t number = 0;
    for (std::string line; std::getline(index, line);) {
      const std::string path = std::string(samples) + "/" + line.substr(0, line.find('\t'));
      std::error_code failure;
      const auto size = std::filesystem::file_size(path, failure);
      if (failure || size > (2u << 20) || ++number % stet_test::step_if_thinned(7) != 0) continue;
      CAPTURE(path);
      for (const stet::backing how : {stet::backing::map, stet::backing::stream}) {
        stet::open_options options;
        options.backing = how;
        options.follow_links = true;
#if STET_HAS_ZLIB
        options.inflate = stet::inflate_with_zlib;
#endif
        const auto model = stet::compiled::open_any(path, options);
        if (!model) break; // hostile files, and parts of models
        // An expanded tensor may be larger than any memory.
        const bool is_large = std::any_of(model->store.begin(), model->store.end(),
                                          [](const stet::tensor& each) { return each.size_bytes() > (64u << 20); });
        if (is_large) break;
        ++opened[std::string(model->format->name)];
        stet::load_options small, large;
        small.request_size_bytes = 4096;
        small.thread_count = 3;
        small.direct = stet::direct_reads::always;
        compare_loaded(model->store, small);
        compare_loaded(model->store, large);
      }
    }
    CHECK(opened.size() >= 12);
    for (const auto& each : opened) {
      CAPTURE(each.first);
      CHECK(each.second % 2 == 0); // what is mapped can be streamed
    }
  }
}
