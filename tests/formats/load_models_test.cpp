// SPDX-License-Identifier: MIT
// Models of every format in bulk: what load_all brings, and load_blocks to several ranks, is what the tensors' own readers give, from real
// files, mapped and streamed.
#if STET_HAS_ZLIB
#include <zlib.h>

#include <stet/ext/zlib.hpp>
#endif

#include "support/outcome.hpp"
#include "support/thinned.hpp"

#include <stet/formats/compiled.hpp>
#include <stet/formats/format.hpp>
#include <stet/load.hpp>
#include <stet/sharded/load.hpp>
#include <stet/sharded/thread_communicator.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
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

/// A tensor, and what its own reader gives of it.
struct whole_tensor {
  stet::tensor of;
  std::size_t element_size_bytes;
  std::vector<std::byte> elements;
};

/// Whether three ranks, each of which wants a part of every tensor, together get what its own reader gives.
void compare_blocks(const stet::store& from) {
  std::vector<whole_tensor> wanted;
  for (const stet::tensor each : from) {
    const std::size_t size = (std::size_t{stet::describe(each.dtype()).bits} + 7) / 8;
    if (size == 0 || each.shape().rank() == 0 || each.dtype() == stet::dtype::string) continue;
    if (!stet::detail::is_valid_name(each.name())) continue; // no variable is called so
    whole_tensor whole{each, size, std::vector<std::byte>(static_cast<std::size_t>(each.element_count()) * size)};
    if (stet::copy_elements(each, each.dtype(), whole.elements, 0)) wanted.push_back(std::move(whole));
  }
  std::atomic<std::size_t> failed{0}, wrong{0};
  const auto run = [&](stet::communicator& ranks) {
    stet::sharded_variable_list variables;
    std::vector<std::vector<std::uint64_t>> memory(wanted.size()); // aligned for every dtype
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      // A third along one axis, uneven where it does not divide the extent.
      const stet::tensor& of = wanted[i].of;
      std::vector<std::uint64_t> shape(of.shape().begin(), of.shape().end()), start(shape.size(), 0), box = shape;
      const std::size_t axis = i % shape.size();
      start[axis] = shape[axis] * ranks.rank() / 3;
      box[axis] = shape[axis] * (ranks.rank() + 1) / 3 - start[axis];
      std::uint64_t count = 1;
      for (const std::uint64_t extent : box) count *= extent;
      memory[i].resize(static_cast<std::size_t>(count) * wanted[i].element_size_bytes / 8 + 1);
      stet::visit_dtype(of.dtype(), [&]<class T>(std::type_identity<T>) {
        const std::span<T> elements(reinterpret_cast<T*>(memory[i].data()), static_cast<std::size_t>(count));
        if (!variables.add_block(of.name(), elements, shape, start, box)) ++failed;
      });
    }
    if (!stet::load_blocks(ranks, from, variables)) ++failed;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const stet::sharded_variable* const loaded = variables.find(wanted[i].of.name());
      if (loaded == nullptr) continue; // which was counted
      const stet::local_block& block = loaded->blocks[0];
      for (std::uint64_t element = 0; element < block.element_count(); ++element) {
        std::uint64_t rest = element, at = 0, step = 1;
        for (std::size_t axis = block.extents.size(); axis-- > 0; step *= loaded->shape[axis]) {
          at += (block.start[axis] + rest % block.extents[axis]) * step;
          rest /= block.extents[axis];
        }
        const std::size_t size = wanted[i].element_size_bytes;
        wrong += std::memcmp(block.memory + static_cast<std::size_t>(element) * size,
                             wanted[i].elements.data() + static_cast<std::size_t>(at) * size, size) != 0;
      }
    }
  };
  REQUIRE(stet::run_ranks(3, run));
  CHECK(failed == 0);
  CHECK(wrong == 0);
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
        if (how == stet::backing::stream) compare_blocks(model->store);
      }
    }
    CHECK(opened.size() >= 12);
    for (const auto& each : opened) {
      CAPTURE(each.first);
      CHECK(each.second % 2 == 0); // what is mapped can be streamed
    }
  }
}
