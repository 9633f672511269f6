// SPDX-License-Identifier: MIT
#include <stet/sharded/load.hpp>

#include "support/rank_errors.hpp"
#include "support/temp_folder.hpp"

#include <stet/sharded/save.hpp>
#include <stet/sharded/thread_communicator.hpp>
#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace {

using stet_test::errors_of;

constexpr std::size_t matrix_height = 300, matrix_width = 2500; // 3 MB

/// A store of a matrix whose elements tell their places.
std::vector<std::byte> matrix_store(std::size_t height, std::size_t width) {
  std::vector<float> kernel(height * width);
  for (std::size_t i = 0; i < kernel.size(); ++i) kernel[i] = static_cast<float>(i);
  stet::writer out;
  out.add("kernel", kernel, {height, width});
  const auto saved = out.save_to_memory();
  REQUIRE(saved);
  return *saved;
}

TEST_CASE("columns of a matrix come from an ordinary store, for any number of ranks") {
  const std::vector<std::byte> bytes = matrix_store(7, 12);
  const auto from = stet::open(bytes);
  REQUIRE(from);
  std::atomic<int> wrong{0};
  const auto errors = errors_of(3, [&](stet::communicator& ranks) {
    std::vector<float> own(7 * 4);
    stet::sharded_variable_list variables;
    REQUIRE(variables.add_block("kernel", own, {7, 12}, {0, ranks.rank() * 4}, {7, 4}));
    const auto loaded = stet::load_blocks(ranks, *from, variables);
    for (std::size_t row = 0; row < 7; ++row) {
      for (std::size_t column = 0; column < 4; ++column)
        wrong += own[row * 4 + column] != static_cast<float>(row * 12 + ranks.rank() * 4 + column);
    }
    return loaded;
  });
  CHECK(errors == std::vector<std::string>(3, ""));
  CHECK(wrong == 0);
}

TEST_CASE("a large file that is streamed is read straight to its places, in runs of any size") {
  const stet_test::temp_folder folder;
  const std::string path = folder.write("model.stet", matrix_store(matrix_height, matrix_width));
  std::atomic<int> wrong{0};
  for (const stet::backing how : {stet::backing::stream, stet::backing::map, stet::backing::read}) {
    const auto from = stet::open(path, {.backing = how});
    REQUIRE(from);
    const auto errors = errors_of(2, [&](stet::communicator& ranks) {
      // Rank 0 has the first rows, strided; rank 1 the last columns of the others, in two blocks.
      std::vector<float> wide(100 * (matrix_width + 7), -1), left(200 * 1000), right(200 * 1500);
      stet::sharded_variable_list variables;
      if (ranks.rank() == 0) {
        REQUIRE(variables.add_strided_block("kernel", wide, {matrix_height, matrix_width}, {0, 0}, {100, matrix_width},
                                            {matrix_width + 7, 1}));
      } else {
        REQUIRE(variables.add_block("kernel", left, {matrix_height, matrix_width}, {100, 0}, {200, 1000}));
        REQUIRE(variables.add_block("kernel", right, {matrix_height, matrix_width}, {100, 1000}, {200, 1500}));
      }
      const auto loaded = stet::load_blocks(ranks, *from, variables);
      const auto expected = [](std::size_t row, std::size_t column) {
        return static_cast<float>(row * matrix_width + column);
      };
      for (std::size_t row = 0; row < 100 && ranks.rank() == 0; ++row) {
        for (std::size_t column = 0; column < matrix_width; ++column)
          wrong += wide[row * (matrix_width + 7) + column] != expected(row, column);
        for (std::size_t column = matrix_width; column < matrix_width + 7; ++column)
          wrong += wide[row * (matrix_width + 7) + column] != -1;
      }
      for (std::size_t row = 0; row < 200 && ranks.rank() == 1; ++row) {
        for (std::size_t column = 0; column < 1000; ++column)
          wrong += left[row * 1000 + column] != expected(100 + row, column);
        for (std::size_t column = 0; column < 1500; ++column)
          wrong += right[row * 1500 + column] != expected(100 + row, 1000 + column);
      }
      return loaded;
    });
    CHECK(errors == std::vector<std::string>(2, ""));
  }
  CHECK(wrong == 0);
}

TEST_CASE("bools are checked, and packed elements unpacked, wherever a block begins") {
  const bool flags[10] = {true, false, true, true, false, false, true, false, true, true};
  std::vector<stet::int4> nibbles(21);
  for (std::size_t i = 0; i < nibbles.size(); ++i) nibbles[i] = stet::int4(static_cast<int>(i % 16) - 8);
  stet::writer out;
  out.add("flags", flags).add("nibbles", nibbles);
  const auto bytes = out.save_to_memory();
  REQUIRE(bytes);
  const auto from = stet::open(*bytes);
  REQUIRE(from);
  std::atomic<int> wrong{0};
  const auto errors = errors_of(2, [&](stet::communicator& ranks) {
    bool own_flags[5] = {};
    std::vector<stet::int4> own(ranks.rank() == 0 ? 9 : 12);
    const std::size_t first = ranks.rank() == 0 ? 0 : 9;
    stet::sharded_variable_list variables;
    REQUIRE(variables.add_block("flags", own_flags, {10}, {ranks.rank() * 5}, {5}));
    REQUIRE(variables.add_block("nibbles", own, {21}, {first}, {own.size()}));
    const auto loaded = stet::load_blocks(ranks, *from, variables);
    for (std::size_t i = 0; i < 5; ++i) wrong += own_flags[i] != flags[ranks.rank() * 5 + i];
    for (std::size_t i = 0; i < own.size(); ++i) wrong += !(own[i] == nibbles[first + i]);
    return loaded;
  });
  CHECK(errors == std::vector<std::string>(2, ""));
  CHECK(wrong == 0);
}

TEST_CASE("a failure on one rank is the failure of all") {
  const std::vector<std::byte> bytes = matrix_store(4, 4);
  const auto from = stet::open(bytes);
  REQUIRE(from);
  const auto load_as = [&](auto add) {
    return errors_of(3, [&](stet::communicator& ranks) {
      std::vector<float> kernel(16);
      stet::sharded_variable_list variables;
      if (ranks.rank() == 1) {
        add(variables);
      } else {
        REQUIRE(variables.add("kernel", kernel, {4, 4}));
      }
      return stet::load_blocks(ranks, *from, variables);
    });
  };
  std::vector<double> doubles(16);
  std::vector<float> floats(20);
  const std::vector<float> fixed(16);
  const auto all = [](const char* text) { return std::vector<std::string>(3, text); };
  CHECK(load_as([&](stet::sharded_variable_list& to) { REQUIRE(to.add("kernel", doubles, {4, 4})); }) ==
        all("dtype_mismatch: kernel"));
  CHECK(load_as([&](stet::sharded_variable_list& to) { REQUIRE(to.add("kernel", floats, {4, 5})); }) ==
        all("shape_mismatch: kernel"));
  CHECK(load_as([&](stet::sharded_variable_list& to) { REQUIRE(to.add("bias", floats)); }) == all("not_found: bias"));
  CHECK(load_as([&](stet::sharded_variable_list& to) { REQUIRE(to.add("kernel", fixed, {4, 4})); }) ==
        all("read_only: kernel"));
}

TEST_CASE("reads past the cache that are in flight keep their memory while slices of other tensors are gathered") {
  const stet_test::temp_folder folder;
  const std::string path = folder.path("model.stet");
  constexpr std::size_t height = 512, width = 256, whole_count = 12; // 512 KiB each
  for (const stet::shard_per per : {stet::shard_per::node, stet::shard_per::rank}) {
    for (const bool is_verified : {false, true}) {
      CAPTURE(is_verified);
      std::atomic<int> wrong{0};
      const auto errors = errors_of(2, [&](stet::communicator& ranks) {
        // Some by rows, one by columns: each element tells its place and its matrix.
        std::vector<std::vector<float>> blocks(whole_count + 1, std::vector<float>(height * width / 2));
        stet::sharded_variable_list variables;
        const auto value_of = [&](std::size_t number, std::size_t at) {
          const bool is_cut_across = number == whole_count;
          const std::size_t element = is_cut_across
                                          ? at / (width / 2) * width + ranks.rank() * (width / 2) + at % (width / 2)
                                          : ranks.rank() * (height / 2) * width + at;
          return static_cast<float>(number * height * width + element);
        };
        for (std::size_t number = 0; number <= whole_count; ++number) {
          const std::string name = "matrix" + std::to_string(number);
          for (std::size_t at = 0; at < blocks[number].size(); ++at) blocks[number][at] = value_of(number, at);
          if (number < whole_count) {
            REQUIRE(variables.add_block(name, blocks[number], {height, width}, {ranks.rank() * (height / 2), 0},
                                        {height / 2, width}));
          } else {
            REQUIRE(variables.add_block(name, blocks[number], {height, width}, {0, ranks.rank() * (width / 2)},
                                        {height, width / 2}));
          }
        }
        stet::sharded_save_options how;
        how.shards.per = per;
        how.save.is_durable = true; // so that no page waits to be written
        const auto saved = stet::save_sharded(ranks, path, variables, how);
        REQUIRE(saved);
        for (std::vector<float>& each : blocks) each.assign(each.size(), -1.0f);
        const auto from = stet::open(path, {.backing = stet::backing::stream, .read_manifest = stet::read_manifest});
        REQUIRE(from);
        const auto loaded = stet::load_blocks(ranks, *from, variables,
                                              {.thread_count = 1,
                                               .request_size_bytes = 16384,
                                               .direct = stet::direct_reads::always,
                                               .verify_checksums = is_verified});
        for (std::size_t number = 0; number <= whole_count; ++number) {
          for (std::size_t at = 0; at < blocks[number].size(); ++at)
            wrong += blocks[number][at] != value_of(number, at);
        }
        return loaded;
      });
      CHECK(errors == std::vector<std::string>(2, ""));
      CHECK(wrong == 0);
    }
  }
}

} // namespace
