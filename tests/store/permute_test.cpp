// SPDX-License-Identifier: MIT
// Tests of store/permute.hpp: every order of axes, sizes around the blocks, element sizes, threads, byte orders, errors.
#include "support/byte_order.hpp"
#include "support/files.hpp"
#include "support/native_bytes.hpp"
#include "support/outcome.hpp"

#include <stet/store/permute.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

namespace {

using stet_test::outcome;

/// Element `number`, whose bytes are all different where it has as many.
template <class T> T numbered(std::size_t number) {
  T made;
  std::byte bytes[sizeof(T)];
  for (std::size_t i = 0; i < sizeof(T); ++i)
    bytes[i] = static_cast<std::byte>(((number + i * 77) * 2654435761u >> (i % 4 * 8)) & 0xFF);
  std::memcpy(&made, bytes, sizeof made);
  return made;
}

/// Whether a tensor with these extents, copied in this order of axes, is what the definition says. The memory has not a byte more than
/// the elements.
template <class T>
bool is_permuted_right(const std::vector<std::uint64_t>& extents, const std::vector<std::uint32_t>& axes,
                       unsigned thread_count) {
  std::size_t count = 1;
  for (const std::uint64_t each : extents) count *= static_cast<std::size_t>(each);
  std::vector<T> elements(count), copied(count), expected(count);
  for (std::size_t i = 0; i < count; ++i) elements[i] = numbered<T>(i);
  stet::writer out;
  out.add("t", elements, stet::extents(extents));
  const auto file = out.save_to_memory();
  if (!file) return false;
  const auto store = stet::open(*file);
  if (!store) return false;
  if (const auto done = store->find("t")->copy_to(std::span(copied), stet::permute(axes, thread_count)); !done)
    return false;

  std::vector<std::size_t> steps(extents.size(), 1), at(extents.size());
  for (std::size_t axis = extents.size(); axis-- > 1;)
    steps[axis - 1] = steps[axis] * static_cast<std::size_t>(extents[axis]);
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t from = 0;
    for (std::size_t axis = 0; axis < axes.size(); ++axis) from += at[axis] * steps[axes[axis]];
    expected[i] = elements[from];
    for (std::size_t axis = axes.size(); axis-- > 0;) {
      if (++at[axis] != extents[axes[axis]]) break;
      at[axis] = 0;
    }
  }
  return count == 0 || std::memcmp(copied.data(), expected.data(), count * sizeof(T)) == 0;
}

} // namespace

TEST_SUITE("permute") {
  TEST_CASE("every order of up to five axes, of elements of every size") {
    const std::vector<std::uint64_t> shapes[] = {{},           {7},
                                                 {3, 5},       {70, 66},
                                                 {2, 3, 4},    {1, 17, 1},
                                                 {65, 2, 33},  {3, 3, 18, 20},
                                                 {2, 5, 6, 3}, {4, 1, 3, 1, 5},
                                                 {2, 2, 2, 2}, {3, 2, 2, 2, 9},
                                                 {0, 3, 2}};
    for (const std::vector<std::uint64_t>& extents : shapes) {
      std::vector<std::uint32_t> axes(extents.size());
      std::iota(axes.begin(), axes.end(), 0u);
      do {
        std::string text;
        for (const std::uint32_t each : axes) text += std::to_string(each);
        CAPTURE(text);
        CAPTURE(extents.size());
        CHECK(is_permuted_right<std::uint8_t>(extents, axes, 1));
        CHECK(is_permuted_right<std::uint16_t>(extents, axes, 1));
        CHECK(is_permuted_right<std::uint32_t>(extents, axes, 1));
        CHECK(is_permuted_right<std::uint64_t>(extents, axes, 1));
        CHECK(is_permuted_right<stet::complex128>(extents, axes, 1));
      } while (std::next_permutation(axes.begin(), axes.end()));
    }
  }

  TEST_CASE("sizes on both sides of the blocks, with threads") {
    for (const std::uint64_t rows : {1u, 15u, 16u, 17u, 63u, 64u, 65u, 257u}) {
      for (const std::uint64_t columns : {3u, 64u, 1023u, 1024u, 1025u}) {
        CAPTURE(rows);
        CAPTURE(columns);
        CHECK(is_permuted_right<std::uint8_t>({rows, columns}, {1, 0}, 1));
        CHECK(is_permuted_right<std::uint32_t>({columns, rows}, {1, 0}, 1));
      }
    }
    for (const unsigned threads : {0u, 2u, 3u, 7u, 1000u}) {
      CAPTURE(threads);
      CHECK(is_permuted_right<std::uint32_t>({3, 3, 250, 520}, {3, 2, 0, 1}, threads)); // of 4.7 MB
      CHECK(is_permuted_right<std::uint8_t>({2050, 3, 1025}, {2, 0, 1}, threads));
      CHECK(is_permuted_right<std::uint64_t>({2, 300, 1025}, {1, 0, 2}, threads));
    }
  }

  TEST_CASE("what cannot be permuted is an error, and nothing else is written") {
    const std::vector<float> numbers(6, 1.0f);
    const std::vector<stet::int4> nibbles(6);
    const bool flags[] = {true, false, true, true};
    stet::writer out;
    out.add("t", numbers, {2, 3}).add("packed", nibbles, {2, 3}).add("flags", flags, {2, 2});
    auto file = out.save_to_memory();
    REQUIRE(file);
    const auto store = stet::open(std::span<const std::byte>(*file));
    REQUIRE(store);
    const stet::tensor t = *store->find("t");
    float into[7] = {0, 0, 0, 0, 0, 0, 42};
    const std::span<float> enough(into);
    CHECK(outcome(t.copy_to(enough, stet::permute({1, 1}))) == "invalid_argument");
    CHECK(outcome(t.copy_to(enough, stet::permute({1, 2}))) == "invalid_argument");
    CHECK(outcome(t.copy_to(enough, stet::permute({0}))) == "invalid_argument");
    CHECK(outcome(t.copy_to(enough, stet::permute({}))) == "invalid_argument");
    CHECK(outcome(t.copy_to(enough, stet::permute({0, 1, 2}))) == "invalid_argument");
    CHECK(outcome(t.copy_to(enough, stet::permute({0, 257}))) == "invalid_argument");
    CHECK(outcome(t.copy_to(enough, stet::permute(std::vector<std::uint32_t>(1000, 1)))) == "invalid_argument");
    CHECK(outcome(t.copy_to(enough.first(5), stet::permute({1, 0}))) == "buffer_too_small");
    CHECK(into[0] == 0);
    CHECK(outcome(t.copy_to(enough, stet::permute({1, 0}))) == "ok");
    CHECK(into[5] == 1);
    CHECK(into[6] == 42);
    double doubles[6];
    CHECK(outcome(t.copy_to(std::span<double>(doubles), stet::permute({1, 0}))) == "dtype_mismatch");
    stet::int4 unpacked[6];
    CHECK(outcome(store->find("packed")->copy_to(std::span<stet::int4>(unpacked), stet::permute({1, 0}))) == "packed");
    bool bools[4];
    CHECK(outcome(store->find("flags")->copy_to(std::span<bool>(bools), stet::permute({1, 0}))) == "ok");
    CHECK(bools[1]);
    CHECK_FALSE(bools[2]);
    (*file)[static_cast<std::size_t>(store->find("flags")->entry().offset_bytes())] = std::byte{2};
    CHECK(outcome(store->find("flags")->copy_to(std::span<bool>(bools), stet::permute({1, 0}))) == "bad_value");

    const stet_test::memory_reader reader(*file);
    const auto streamed = stet::open(reader);
    REQUIRE(streamed);
    CHECK(outcome(streamed->find("t")->copy_to(enough, stet::permute({1, 0}))) == "not_resident");
    const auto loaded = streamed->load("t");
    REQUIRE(loaded);
    CHECK(outcome((*loaded)->copy_to(enough, stet::permute({1, 0}))) == "ok");
  }
}
