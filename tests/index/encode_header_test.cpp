// SPDX-License-Identifier: MIT
// Tests of encode_header.hpp: where sections go. format_test.cpp compares the bytes.
#include "index/sound_header.hpp"

#include <stet/index/detail/encode_header.hpp>

#include <doctest/doctest.h>

using stet::errc;
using stet::file_header;
using stet_test::sound_header;

TEST_SUITE("encode_header") {
  TEST_CASE("places sections one after the other, data at the alignment but at least 64") {
    file_header header = sound_header();
    CHECK(header.manifest_offset_bytes == 128);
    CHECK(header.index_offset_bytes == 256);
    CHECK(header.data_offset_bytes == 384);
    CHECK(header.file_size_bytes == 434);
    header.alignment_bytes = 1;
    CHECK(stet::place_sections(header));
    CHECK(header.data_offset_bytes == 384);
    header.alignment_bytes = 65536;
    CHECK(stet::place_sections(header));
    CHECK(header.data_offset_bytes == 65536);
    header.index_size_bytes = 0;
    header.alignment_bytes = 64;
    CHECK(stet::place_sections(header));
    CHECK(header.index_offset_bytes == 0);
    CHECK(header.data_offset_bytes == 256);
  }

  TEST_CASE("refuses to place what does not fit in a file") {
    file_header header = sound_header();
    for (const std::uint32_t alignment : {0u, 3u, 96u, 131072u, 1u << 31, ~0u}) {
      header.alignment_bytes = alignment;
      const auto placed = stet::place_sections(header);
      CHECK((!placed && placed.error().code() == errc::bad_alignment));
    }
    header.alignment_bytes = 64;
    for (std::uint64_t file_header::* size :
         {&file_header::manifest_size_bytes, &file_header::index_size_bytes, &file_header::data_size_bytes}) {
      for (const std::uint64_t value : {~0ull, ~0ull - 127, ~0ull - 191, ~0ull - 400, 1ull << 63, (1ull << 63) - 1}) {
        header = sound_header();
        header.*size = value;
        const auto placed = stet::place_sections(header);
        CHECK((!placed && placed.error().code() == errc::too_large));
      }
    }
  }
}
