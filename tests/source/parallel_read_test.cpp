// SPDX-License-Identifier: MIT
// Reading a range of a file with several threads: any range, at any place in memory, and what a file that ends too early is.
#include "support/files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"
#include "support/thinned.hpp"

#include <stet/source/parallel_read.hpp>
#include <stet/store/open.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace {

using namespace stet_test;

} // namespace

TEST_SUITE("parallel read") {
  TEST_CASE("any range, to any place") {
    const std::size_t size = (std::size_t{3} << 20) + 12'345;
    const auto bytes = pattern(size);
    const temp_folder folder;
    const std::string path = folder.write("bytes", bytes);
    const auto file = stet::file::open(path);
    REQUIRE(file);
    if (!file) return;
    std::vector<std::byte> memory(size + 8192);
    for (const std::size_t begin : {std::size_t{0}, std::size_t{1}, std::size_t{4096}, (std::size_t{1} << 20) - 1}) {
      for (const std::size_t end : {begin, begin + 1, std::size_t{1} << 20, (std::size_t{2} << 20) + 4097, size}) {
        for (const std::size_t shift : {std::size_t{0}, std::size_t{1}, std::size_t{4095}}) {
          CAPTURE(begin);
          CAPTURE(end);
          CAPTURE(shift);
          std::fill(memory.begin(), memory.end(), std::byte{0xEE});
          const auto into = std::span(memory).subspan(shift + 1, end - begin);
          CHECK(outcome(stet::read_in_parallel(*file, begin, into)) == "ok");
          CHECK(std::equal(into.begin(), into.end(), bytes.begin() + static_cast<std::ptrdiff_t>(begin)));
          CHECK(memory[shift] == std::byte{0xEE});
          CHECK(memory[shift + 1 + end - begin] == std::byte{0xEE});
        }
      }
    }
  }

#if defined(__linux__) // elsewhere nobody tells what is in the cache
  TEST_CASE("a large file that is not in the cache, with whole pages in memory and without") {
    const std::size_t size = (std::size_t{40} << 20) + 777;
    const auto bytes = pattern(size);
    const temp_folder folder;
    const std::string path = folder.write("bytes", bytes);
    for (const std::size_t shift : {std::size_t{0}, std::size_t{64}}) {
      const auto written = stet::file::open(path, stet::open_for::read_write);
      REQUIRE(written);
      if (!written) return;
      (void)::fdatasync(written->handle());
      (void)::posix_fadvise(written->handle(), 0, 0, POSIX_FADV_DONTNEED);
      const auto file = stet::file::open(path);
      REQUIRE(file);
      if (!file) return;
      auto memory = stet::source::allocate_pages(size + shift);
      REQUIRE(memory);
      if (!memory) return;
      const std::span<std::byte> into(memory->writable_data() + shift, size);
      CHECK(outcome(stet::read_in_parallel(*file, 0, into)) == "ok");
      CHECK(std::equal(into.begin(), into.end(), bytes.begin()));
    }
  }
#endif

  TEST_CASE("a range beyond the end is an error that says where the file ends") {
    const std::size_t size = (std::size_t{2} << 20) + 99;
    const temp_folder folder;
    const auto file = stet::file::open(folder.write("bytes", pattern(size)));
    REQUIRE(file);
    if (!file) return;
    std::vector<std::byte> memory(size + 1);
    const auto done = stet::read_in_parallel(*file, 0, memory);
    REQUIRE(outcome(done) == "truncated");
    CHECK(done.error().offset_bytes() == size);
    CHECK(outcome(stet::read_in_parallel(*file, ~std::uint64_t{0}, std::span(memory).first(1))) == "bad_range");
    CHECK(outcome(stet::read_in_parallel(*file, ~std::uint64_t{0} >> 1, std::span(memory).first(1))) == "bad_range");
  }

  TEST_CASE("open reads with it, a part of a file, too") {
    std::vector<native_tensor> tensors;
    for (unsigned i = 0; i < 5; ++i) {
      std::vector<std::byte> bytes = pattern(700'000 + i);
      const std::uint64_t size = bytes.size();
      tensors.push_back(
          tensor_of("t" + std::to_string(i), stet::element_layout::of(stet::dtype::uint8), {size}, std::move(bytes)));
    }
    const native_file file(tensors);
    const temp_folder folder;
    byte_vector package(777);
    package.insert(package.end(), file.bytes.begin(), file.bytes.end());
    const std::string plain = folder.write("model.stet", file.bytes), packed = folder.write("package", package);
    stet::open_options options;
    options.backing = stet::backing::read;
    options.read = stet::read_in_parallel;
    for (const bool is_packed : {false, true}) {
      if (is_packed) options.range = {777, file.bytes.size()};
      const auto store = stet::open(is_packed ? packed : plain, options);
      REQUIRE(outcome(store) == "ok");
      if (!store) return;
      CHECK(outcome(store->verify_checksums()) == "ok");
      CHECK(store->find("t4")->bytes().size() == 700'004);
    }
    options.range = {777, file.bytes.size() + 1};
    CHECK(outcome(stet::open(packed, options)) == "bad_range");
  }
}
