// SPDX-License-Identifier: MIT
// Tests of format.hpp: the header against golden bytes, and every way it can lie.
#include "index/golden_store.hpp"
#include "index/sound_header.hpp"
#include "support/native_bytes.hpp"

#include <stet/index/detail/encode_header.hpp>
#include <stet/index/format.hpp>

#include <doctest/doctest.h>

#include <array>

using stet::errc;
using stet::file_header;
using stet_test::sound_header;

namespace {

using header_bytes = std::array<std::byte, file_header::size_bytes>;

header_bytes encoded(const file_header& header) {
  header_bytes bytes;
  stet::encode_header(header, bytes);
  return bytes;
}

errc code_of(const stet::result<file_header>& decoded) { return decoded ? errc{} : decoded.error().code(); }

/// A field, without its type.
struct field_range {
  std::size_t begin, end;
};
template <class Unsigned> constexpr field_range range_of(stet::detail::stored_field<Unsigned> field) {
  return {field.offset, field.end()};
}

/// The offset behind the last field, if each begins where the one before it ends, the first at `begin`; else 0.
template <class... Unsigned>
constexpr std::size_t end_of(std::size_t begin, stet::detail::stored_field<Unsigned>... fields) {
  for (const field_range range : {range_of(fields)...}) {
    if (range.begin != begin) return 0;
    begin = range.end;
  }
  return begin;
}

} // namespace

TEST_SUITE("format") {
  TEST_CASE("the fields of each structure follow one another, as the specification lists them") {
    {
      using namespace stet::detail::header_field;
      CHECK(end_of(8, version, minimum_reader, file_size, header_size, alignment, manifest_offset, manifest_size,
                   index_offset, index_size, data_offset, data_size, manifest_crc32c, index_crc32c, kind, part_number,
                   part_count) == 100);
      CHECK(end_of(104, content_id) == 112);
      CHECK(end_of(124, header_crc32c) == file_header::size_bytes);
    }
    {
      using namespace stet::detail::index_field;
      CHECK(end_of(0, tensor_count, part_count, block_count, slot_count, entries_size, names_size, hash_seed) == 40);
    }
    {
      using namespace stet::detail;
      CHECK(end_of(0, name_field::offset, name_field::size, part_field::file_size, part_field::content_id,
                   part_field::flags, part_field::reserved) == 32);
      CHECK(end_of(0, name_field::offset, name_field::size, block_field::element_count, block_field::size) == 16);
      CHECK(end_of(0, slot_field::tag, slot_field::place) == 8);
    }
    {
      namespace field = stet::detail::entry_field;
      CHECK(end_of(0, field::offset, field::size, field::element_count, field::crc32c, field::part, field::alias_of,
                   field::number, field::name_size, field::block, field::rank, field::dtype, field::bits,
                   field::flags) == 48);
    }
  }

  TEST_CASE("reads the golden header field by field and writes it again") {
    const auto bytes = std::as_bytes(std::span(stet_test::golden_store));
    const auto header = stet::decode_header(bytes, bytes.size());
    REQUIRE(header);
    if (!header) return;
    CHECK(header->version == 1);
    CHECK(header->minimum_reader == 1);
    CHECK(header->file_size_bytes == bytes.size());
    CHECK(header->alignment_bytes == 64);
    CHECK(header->manifest_offset_bytes == stet_test::golden_manifest_offset);
    CHECK(header->manifest_size_bytes == stet_test::golden_manifest_size);
    CHECK(header->index_offset_bytes == stet_test::golden_index_offset);
    CHECK(header->index_size_bytes == stet_test::golden_index_size);
    CHECK(header->data_offset_bytes == stet_test::golden_data_offset);
    CHECK(header->data_size_bytes == bytes.size() - stet_test::golden_data_offset);
    CHECK(header->kind == file_header::file_kind::store);
    CHECK(std::memcmp(encoded(*header).data(), bytes.data(), file_header::size_bytes) == 0);
    CHECK(stet::has_native_magic(bytes));
    CHECK_FALSE(stet::has_native_magic(bytes.first(7)));
    CHECK_FALSE(stet::has_native_magic(bytes.subspan(1)));
  }

  TEST_CASE("a file shorter than a header is truncated, unless it begins otherwise") {
    const auto bytes = encoded(sound_header());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const stet_test::byte_vector exact(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
      CHECK(code_of(stet::decode_header(exact, size)) == errc::truncated);
    }
    for (std::size_t i = 0; i < 8; ++i) {
      auto other = bytes;
      other[i] ^= std::byte{0x20};
      for (const std::size_t size : {i + 1, std::size_t{8}, std::size_t{128}}) {
        CHECK(code_of(stet::decode_header(std::span(other).first(size), size)) == errc::bad_magic);
      }
    }
  }

  TEST_CASE("every flipped bit of a header is noticed") {
    const file_header header = sound_header();
    const auto good = encoded(header);
    REQUIRE(code_of(stet::decode_header(good, header.file_size_bytes)) == errc{});
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
      auto bytes = good;
      bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
      CHECK(code_of(stet::decode_header(bytes, header.file_size_bytes)) ==
            (bit < 64 ? errc::bad_magic : errc::header_checksum));
    }
  }

  TEST_CASE("a later version that this reader may read, and a longer header, are read") {
    file_header header = sound_header();
    header.version = 9;
    CHECK(code_of(stet::decode_header(encoded(header), header.file_size_bytes)) == errc{});
    auto bytes = encoded(sound_header());
    stet::detail::store_little(bytes.data() + 24, std::uint32_t{192});
    stet::detail::store_little(bytes.data() + 32, std::uint64_t{192});
    stet::detail::store_little(bytes.data() + 40, std::uint64_t{64});
    stet_test::seal(bytes);
    CHECK(code_of(stet::decode_header(bytes, header.file_size_bytes)) == errc{});
    stet::detail::store_little(bytes.data() + 100, std::uint32_t{7}); // reserved: for later versions to use
    stet_test::seal(bytes);
    CHECK(code_of(stet::decode_header(bytes, header.file_size_bytes)) == errc{});
  }

  TEST_CASE("every field that lies under a right checksum is refused by name") {
    struct lie {
      std::size_t at, width;
      std::uint64_t value;
      errc expected;
    };
    const file_header sound = sound_header();
    const std::uint64_t most = ~std::uint64_t{0}, size = sound.file_size_bytes;
    const lie lies[] = {
        {8, 4, 0, errc::bad_header},
        {12, 4, 0, errc::bad_header},
        {12, 4, 2, errc::bad_header}, // needs a reader newer than its writer
        {12, 4, 0xFFFFFFFF, errc::bad_header},
        {12, 4, 0x01000000, errc::bad_header}, // byte-swapped
        {16, 8, 0, errc::trailing_bytes},
        {16, 8, size - 1, errc::trailing_bytes},
        {16, 8, size + 1, errc::truncated},
        {16, 8, most, errc::truncated},
        {24, 4, 0, errc::bad_header},
        {24, 4, 127, errc::bad_header},
        {24, 4, 129, errc::bad_section}, // the manifest would lie in the header
        {24, 4, 0xFFFFFFFF, errc::bad_section},
        {28, 4, 0, errc::bad_alignment},
        {28, 4, 3, errc::bad_alignment},
        {28, 4, 131072, errc::bad_alignment},
        {28, 4, 0x80000000, errc::bad_alignment},
        {28, 4, 0xFFFFFFFF, errc::bad_alignment},
        {28, 4, 1024, errc::bad_section}, // the data does not lie at such a multiple
        {32, 8, 0, errc::bad_section},
        {32, 8, 127, errc::bad_section},
        {32, 8, most, errc::bad_section},
        {32, 8, most - 99, errc::bad_section}, // offset + size wraps to 0
        {40, 8, 129, errc::bad_section},       // into the index
        {40, 8, size, errc::bad_section},
        {40, 8, std::uint64_t{1} << 63, errc::bad_section},
        {40, 8, most, errc::bad_section},
        {40, 8, most - 127, errc::bad_section}, // 128 + size wraps to 0
        {48, 8, 0, errc::bad_section},
        {48, 8, 192, errc::bad_section}, // into the manifest
        {48, 8, 320, errc::bad_section}, // its end lies in the data
        {48, 8, 260, errc::bad_section}, // not a multiple of 64
        {48, 8, most - 63, errc::bad_section},
        {56, 8, 0, errc::bad_section}, // an offset without an index
        {56, 8, 127, errc::bad_section},
        {56, 8, 136, errc::bad_section},
        {56, 8, most - 255, errc::bad_section},
        {56, 8, most - 7, errc::bad_section},
        {64, 8, 0, errc::bad_section},
        {64, 8, 320, errc::bad_section}, // into the index
        {64, 8, 385, errc::bad_section},
        {64, 8, 448, errc::bad_section},
        {64, 8, most - 63, errc::bad_section},
        {72, 8, 0, errc::bad_section},
        {72, 8, 49, errc::bad_section},
        {72, 8, 51, errc::bad_section},
        {72, 8, most, errc::bad_section},
        {72, 8, most - 383, errc::bad_section}, // offset + size wraps to 0
        {88, 4, 1, errc::bad_header},           // a part has no manifest
        {88, 4, 2, errc::bad_header},
        {88, 4, 0xFFFFFFFF, errc::bad_header},
        {92, 4, 1, errc::bad_header},
        {96, 4, 1, errc::bad_header},
        {104, 8, 1, errc::bad_header},
    };
    for (const lie& each : lies) {
      auto bytes = encoded(sound);
      for (std::size_t i = 0; i < each.width; ++i) bytes[each.at + i] = static_cast<std::byte>(each.value >> (8 * i));
      stet_test::seal(bytes);
      CAPTURE(each.at);
      CAPTURE(each.value);
      const auto decoded = stet::decode_header(bytes, size);
      CHECK(code_of(decoded) == each.expected);
    }
  }

  TEST_CASE("a newer format is refused by its own code, whatever else it says") {
    for (const std::uint32_t version : {2u, 0x01000000u, 0xFFFFFFFFu}) {
      file_header header = sound_header();
      header.version = header.minimum_reader = version;
      header.alignment_bytes = 3;
      CHECK(code_of(stet::decode_header(encoded(header), header.file_size_bytes)) == errc::newer_format);
    }
  }

  TEST_CASE("a part says which of how many it is") {
    file_header header;
    header.kind = file_header::file_kind::part;
    header.part_number = 1;
    header.part_count = 2;
    header.content_id = 7;
    header.data_size_bytes = 10;
    CHECK(stet::place_sections(header));
    CHECK(code_of(stet::decode_header(encoded(header), header.file_size_bytes)) == errc{});
    header.part_number = 2;
    CHECK(code_of(stet::decode_header(encoded(header), header.file_size_bytes)) == errc::bad_header);
    header.part_number = header.part_count = 0;
    CHECK(code_of(stet::decode_header(encoded(header), header.file_size_bytes)) == errc::bad_header);
  }
}
