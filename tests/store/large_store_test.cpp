// SPDX-License-Identifier: MIT
// A store of more than 4 GiB, which a 32-bit program can neither map nor read as a whole, but use: by streaming, by mapping
// one tensor, by a reader of its own. The file is sparse; what the address space cannot hold is an error, nowhere cut off.
#include "support/counted_memory.hpp"
#include "support/files.hpp"
#include "support/large_files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <stet/index/detail/builder.hpp>
#include <stet/store/open.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#if defined(__unix__)
#include <sys/stat.h>
#endif

namespace {

using namespace stet_test;
using stet::backing;

constexpr bool is_32_bit = sizeof(void*) == 4;
/// What a view of floats in memory gives.
const std::string in_place = std::endian::native == std::endian::big ? "wrong_byte_order" : "ok";
constexpr std::uint64_t huge_bytes = (std::uint64_t{1} << 32) + 4096 * 4;

/// The file: four floats, more than 4 GiB of floats that are 0 but for the last, and four floats.
class large_file {
public:
  large_file() {
    const std::uint64_t huge_extent[] = {huge_bytes / 4}, four[] = {4};
    const stet::element_layout layout = stet::element_layout::of(stet::dtype::float32);
    std::vector<stet::index_row> rows{{"low", layout, four}, {"huge", layout, huge_extent}, {"beyond", layout, four}};
    const byte_vector values = bytes_of<float>({1, 2, 3, 4});
    for (stet::index_row& row : rows) {
      row.size_bytes = row.name == "huge" ? huge_bytes : 16;
      row.has_crc32c = row.name != "huge";
      row.crc32c = row.has_crc32c ? stet::crc32c(values) : 0;
    }
    header.manifest_size_bytes = 2;
    header.index_size_bytes = *stet::index_size_bytes(rows, {});
    bool is_made = static_cast<bool>(stet::place_sections(header));
    std::uint64_t end = header.data_offset_bytes;
    for (stet::index_row& row : rows) {
      row.offset_bytes = (end + 63) / 64 * 64;
      end = row.offset_bytes + row.size_bytes;
      offsets.push_back(row.offset_bytes);
    }
    header.data_size_bytes = end - header.data_offset_bytes;
    is_made = is_made && stet::place_sections(header);
    byte_vector head(static_cast<std::size_t>(header.data_offset_bytes));
    head[static_cast<std::size_t>(header.manifest_offset_bytes)] = std::byte{'{'};
    head[static_cast<std::size_t>(header.manifest_offset_bytes) + 1] = std::byte{'}'};
    const std::span<std::byte> all(head);
    is_made = is_made && stet::build_index(rows, {},
                                           all.subspan(static_cast<std::size_t>(header.index_offset_bytes),
                                                       static_cast<std::size_t>(header.index_size_bytes)));
    stet::encode_header(header, all.first<stet::file_header::size_bytes>());
    seal(all);
    CHECK(is_made);
    path = folder.write("large.stet", head);
    std::error_code failure;
    std::filesystem::resize_file(to_path(path), header.file_size_bytes, failure);
    if (failure) {
      why_not = failure.message();
      return;
    }
    std::fstream out(to_path(path), std::ios::binary | std::ios::in | std::ios::out);
    const auto put = [&out](std::uint64_t at, std::span<const std::byte> elements) {
      out.seekp(static_cast<std::streamoff>(at));
      out.write(reinterpret_cast<const char*>(elements.data()), static_cast<std::streamsize>(elements.size()));
    };
    put(offsets[0], values);
    put(offsets[1] + huge_bytes - 4, bytes_of<float>({9}));
    put(offsets[2], values);
    out.close();
    if (!out) why_not = "it cannot be written";
    if (outcome(stet::file::open(path)) == "unsupported") why_not = "no such files on this platform";
    if (!stet_test::system_maps_beyond_4_gib()) why_not = "this system maps other bytes than those beyond 4 GiB";
#if defined(__unix__)
    struct stat status;
    if (::stat(path.c_str(), &status) == 0 && status.st_blocks > (1 << 20))
      why_not = "the file system has no sparse files";
#endif
  }

  temp_folder folder;
  std::string path, why_not;
  stet::file_header header;
  std::vector<std::uint64_t> offsets;
};

/// Reads the file through a reader of the program.
class reader_of_file final : public stet::byte_reader {
public:
  explicit reader_of_file(const stet::file& from) noexcept : from_(from) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return from_.size_bytes(); }
  [[nodiscard]] stet::result<void> read(std::uint64_t offset, std::span<std::byte> into) const noexcept override {
    return from_.read(offset, into);
  }

private:
  const stet::file& from_;
};

/// What a program does with tensors on both sides of 4 GiB.
void use_large_store(const stet::store& store) {
  CHECK(store.tensor_count() == 3);
  for (const char* const name : {"low", "beyond"}) {
    const auto found = store.find(name);
    REQUIRE(found);
    if (!found) return;
    float values[4] = {};
    CHECK(found->copy_to(std::span<float>(values)));
    CHECK(values[0] == 1);
    CHECK(values[3] == 4);
    CHECK(outcome(found->verify_checksum()) == "ok");
    const auto loaded = store.load(name);
    REQUIRE(outcome(loaded) == "ok");
    if (!loaded) return;
    const auto view = (*loaded)->as_view<const float, 4>();
    CHECK(outcome(view) == in_place);
    if (view) CHECK((*view)(2) == 3);
    CHECK((*loaded)->name() == name);
    CHECK(outcome((*loaded)->verify_checksum()) == "ok");
  }
  const auto huge = store.find("huge");
  REQUIRE(huge);
  if (!huge) return;
  CHECK(huge->size_bytes() == huge_bytes);
  CHECK(huge->element_count() == huge_bytes / 4);
  byte_vector last(4);
  CHECK(huge->read(huge_bytes - 4, last));
  CHECK(last == bytes_of<float>({9}));
  CHECK(outcome(huge->read(huge_bytes - 3, last)) == "bad_range");
  // 2^32 bytes more or less, and elements whose number fits while their bytes do not.
  float few[16];
  CHECK(outcome(huge->copy_to(std::span<float>(few))) == "buffer_too_small");
  CHECK(outcome(store.find("none")) == "not_found");
  CHECK(outcome(store.load("none")) == "not_found");
}

} // namespace

TEST_SUITE("large store") {
  TEST_CASE("is used on both sides of 4 GiB, whatever the address space") {
    const large_file file;
    if (!file.why_not.empty()) {
      MESSAGE("skipped: no usable file of 4 GiB: " << file.why_not);
      return;
    }
    const auto streamed = stet::open(file.path, {.backing = backing::stream});
    REQUIRE(outcome(streamed) == "ok");
    if (streamed) {
      use_large_store(*streamed);
      CHECK(outcome(streamed->get<float>("low")) == "not_resident");
      const auto huge = streamed->load("huge");
      CHECK(outcome(huge) == (is_32_bit ? "too_large" : "ok"));
      if (huge) CHECK((*huge)->bytes()[static_cast<std::size_t>(huge_bytes) - 4] == bytes_of<float>({9})[0]);
    }

    const auto handle = stet::file::open(file.path);
    REQUIRE(handle);
    if (!handle) return;
    const reader_of_file reader(*handle);
    const auto through_reader = stet::open(reader);
    REQUIRE(outcome(through_reader) == "ok");
    if (through_reader) {
      use_large_store(*through_reader);
      counted_memory memory;
      {
        const auto loaded = through_reader->load("beyond", &memory);
        CHECK(loaded);
        CHECK(memory.bytes() == 16);
      }
      CHECK(memory.live() == 0);
      if (is_32_bit) CHECK(outcome(through_reader->load("huge", &memory)) == "too_large");
    }

    const auto mapped = stet::open(file.path);
    CHECK(outcome(mapped) == (is_32_bit ? "too_large" : "ok"));
    if (mapped) use_large_store(*mapped);
    if (is_32_bit) {
      CHECK(outcome(stet::open(file.path, {.backing = backing::read})) == "too_large");
      CHECK(outcome(stet::open(reader, {.backing = backing::read})) == "too_large");
      CHECK(outcome(stet::source::map(file.path)) == "too_large");
      CHECK(outcome(stet::source::read(file.path, {file.offsets[1], huge_bytes})) == "too_large");
    }
  }

#if !defined(__EMSCRIPTEN__) // its files have 2 GiB at most
  TEST_CASE("a range beyond 4 GiB is mapped by itself, and so is one tensor of it") {
    const auto mixed = mixed_store();
    const temp_folder folder;
    const std::string path = folder.write("package.bin", std::string_view("head"));
    constexpr std::uint64_t begin = (std::uint64_t{1} << 32) + 8192 + 64;
    std::error_code failure;
    std::filesystem::resize_file(to_path(path), begin, failure);
    if (failure) {
      MESSAGE("skipped: no sparse file of 4 GiB: " << failure.message());
      return;
    }
    if (!stet_test::system_maps_beyond_4_gib()) {
      MESSAGE("skipped: this system maps other bytes than those beyond 4 GiB");
      return;
    }
    {
      std::ofstream out(to_path(path), std::ios::binary | std::ios::app);
      out.write(reinterpret_cast<const char*>(mixed.bytes.data()), static_cast<std::streamsize>(mixed.bytes.size()));
      out.write("tail", 4);
    }
    const stet::file_range range{begin, mixed.bytes.size()};
    for (const backing how : {backing::map, backing::read, backing::stream}) {
      CAPTURE(static_cast<int>(how));
      const auto store = stet::open(path, {.backing = how, .range = range});
      REQUIRE(outcome(store) == "ok");
      if (!store) return;
      CHECK(outcome(store->verify_checksums()) == "ok");
      const auto kernel = store->load("dense/kernel");
      REQUIRE(outcome(kernel) == "ok");
      if (!kernel) return;
      const auto view = (*kernel)->as_view<const float, 2, 3>();
      CHECK(outcome(view) == in_place);
      if (view) CHECK((*view)(1, 2) == 6);
      const auto labels = store->load("labels");
      REQUIRE(outcome(labels) == "ok");
      if (!labels) return;
      const auto strings = (*labels)->as_strings();
      CHECK(outcome(strings) == "ok"); // bytes, of no order
      if (strings) CHECK((*strings)[2] == "two");
      const auto empty = store->load("empty");
      CHECK(outcome(empty) == "ok");
      if (empty) CHECK((*empty)->as<float>());
    }
  }
#endif
}
