// SPDX-License-Identifier: MIT
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <stet/vocabulary/element.hpp>
#include <stet/writer/output.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace {

using stet::errc;
using stet::detail::tensor_output;
using stet_test::outcome;
using stet_test::pattern;
using byte_vector = std::vector<std::byte>;

/// Keeps what was written, and how; can be told to fail.
class recording_output final : public stet::byte_writer {
public:
  static constexpr std::size_t never = ~std::size_t{0};
  explicit recording_output(std::size_t fails_at = never) : fails_at_(fails_at) {}
  stet::result<void> write_at(std::uint64_t offset_bytes, std::span<const std::byte> piece) override {
    if (write_count++ == fails_at_) return errc::no_space;
    CHECK(!piece.empty());
    CHECK(offset_bytes >= written_to); // each byte once, in order
    written_to = offset_bytes + piece.size();
    ends.push_back(written_to);
    places.push_back(piece.data());
    if (file.size() < written_to) file.resize(static_cast<std::size_t>(written_to));
    std::memcpy(file.data() + static_cast<std::size_t>(offset_bytes), piece.data(), piece.size());
    return {};
  }
  byte_vector file;
  std::size_t write_count = 0;
  std::uint64_t written_to = 0;
  std::vector<std::uint64_t> ends;
  std::vector<const std::byte*> places; // in memory

private:
  std::size_t fails_at_;
};

/// Collects what a source gives.
class collecting_sink final : public stet::piece_sink {
public:
  stet::result<void> write(std::span<const std::byte> piece) override {
    all.insert(all.end(), piece.begin(), piece.end());
    ++piece_count;
    return {};
  }
  byte_vector all;
  std::size_t piece_count = 0;
};

byte_vector of(std::initializer_list<unsigned> values) {
  byte_vector made;
  for (const unsigned value : values) made.push_back(static_cast<std::byte>(value));
  return made;
}

} // namespace

TEST_SUITE("writer/output") {
  TEST_CASE("tensors of every size lie where they were begun, and zeros between them") {
    // Around the sizes at which the output changes its way: slices, its buffer, and gaps too large to fill.
    const std::size_t sizes[] = {0,      1,      63,      64,      4096,    262143, 262144,
                                 262145, 524288, 1048575, 1048576, 1048577, 3000000};
    for (const std::size_t alignment : {1u, 64u, 4096u, 8192u}) {
      for (const std::size_t piece_size : {1000u, 262144u, 5000000u}) {
        CAPTURE(alignment);
        CAPTURE(piece_size);
        recording_output to;
        stet::detail::output_buffer buffer;
        byte_vector expected;
        tensor_output output(to, buffer, stet::detail::tensor_checksums::crc32c);
        std::size_t number = 0;
        for (const std::size_t first : sizes) {
          for (const std::size_t size : {first, std::size_t{5}}) {
            byte_vector tensor = pattern(size);
            if (size != 0) tensor[0] = static_cast<std::byte>(++number);
            const std::size_t offset =
                size == 0 ? expected.size() : (expected.size() + alignment - 1) / alignment * alignment;
            expected.resize(offset);
            expected.insert(expected.end(), tensor.begin(), tensor.end());
            REQUIRE(output.begin(offset, size));
            for (std::span<const std::byte> left = tensor; !left.empty();) {
              const std::size_t count = left.size() < piece_size ? left.size() : piece_size;
              REQUIRE(output.write(left.first(count)));
              left = left.subspan(count);
            }
            REQUIRE(output.write({}));
            REQUIRE(output.end());
            CHECK(output.crc32c_so_far() == stet::crc32c(tensor));
            CHECK(output.end_bytes() == expected.size());
          }
        }
        REQUIRE(output.flush());
        CHECK(to.file == expected);
      }
    }
  }

  TEST_CASE("little tensors are gathered into few writes") {
    recording_output to;
    stet::detail::output_buffer buffer;
    tensor_output output(to, buffer, stet::detail::tensor_checksums::crc32c);
    const byte_vector tensor = pattern(100);
    for (std::uint64_t number = 0; number < 10000; ++number) {
      REQUIRE(output.begin(number * 128, tensor.size()));
      REQUIRE(output.write(tensor));
    }
    REQUIRE(output.flush());
    CHECK(to.write_count == 1280000 / stet::detail::output_buffer_size_bytes + 1);
    CHECK(to.file.size() == 9999 * 128 + 100);
  }

  TEST_CASE("a large tensor is written in whole pages of the file, wherever it begins") {
    for (const std::uint64_t begin : {0u, 64u, 12480u, 262080u, 262144u}) {
      for (const std::size_t piece_size : {1000u, 100000u, 262144u, 3000000u}) {
        CAPTURE(begin);
        CAPTURE(piece_size);
        recording_output to;
        stet::detail::output_buffer buffer;
        tensor_output output(to, buffer, stet::detail::tensor_checksums::crc32c);
        const byte_vector tensor = pattern(3000000);
        REQUIRE(output.begin(begin, tensor.size()));
        for (std::span<const std::byte> left = tensor; !left.empty();) {
          const std::size_t count = left.size() < piece_size ? left.size() : piece_size;
          REQUIRE(output.write(left.first(count)));
          left = left.subspan(count);
        }
        REQUIRE(output.flush());
        REQUIRE(to.ends.size() == (begin + tensor.size() - 1) / 262144 - begin / 262144 + 1);
        for (std::size_t i = 0; i + 1 < to.ends.size(); ++i) CHECK(to.ends[i] % 262144 == 0);
      }
    }
  }

  TEST_CASE("pieces of the size that is asked for are written from where they lie") {
    const byte_vector tensor = pattern(1'000'000);
    recording_output to;
    stet::detail::output_buffer buffer;
    tensor_output output(to, buffer, stet::detail::tensor_checksums::crc32c);
    REQUIRE(output.begin(1000, tensor.size()));
    for (std::size_t done = 0; done < tensor.size();) {
      const std::size_t left = tensor.size() - done, best = output.best_piece_size_bytes();
      const std::size_t size = best < left ? best : left;
      CHECK(best <= 262144);
      REQUIRE(output.write(std::span(tensor).subspan(done, size)));
      done += size;
    }
    REQUIRE(output.end());
    REQUIRE(to.places.size() == 3); // the rest is gathered
    CHECK(to.places[0] == tensor.data());
    CHECK(to.places[2] == tensor.data() + 2 * 262144 - 1000);
    REQUIRE(output.flush());
    CHECK(std::equal(tensor.begin(), tensor.end(), to.file.begin() + 1000, to.file.end()));
    CHECK(output.crc32c_so_far() == stet::crc32c(tensor));
  }

  TEST_CASE("text is the same through a buffer of any size, and a failed write ends it") {
    const auto write = [](auto& text) {
      text.raw("");
      for (std::uint64_t number = 1; number != 0; number *= 10) {
        text.raw("a name that is longer than the smallest buffer of all, and more than once: ");
        text.number(number);
        text.offset(~number);
        text.hex(number, 16);
        text.piece(100, [number](auto& piece) { // more than some of the buffers hold
          piece.raw("a piece of no more than that: ");
          piece.number(number);
          piece.hex(~number, 8);
        });
        if (number > ~std::uint64_t{0} / 10) break;
      }
    };
    stet::detail::text_counter counter;
    write(counter);
    std::string expected(static_cast<std::size_t>(counter.size_bytes()) + 20 * 20, '\0'); // offsets are not counted
    stet::detail::text_filler filler(expected.data());
    write(filler);
    expected.resize(static_cast<std::size_t>(filler.at() - expected.data()));
    for (const std::size_t size : {64u, 65u, 100u, 1000u, 100000u}) {
      CAPTURE(size);
      recording_output to;
      byte_vector buffer(size);
      stet::detail::text_output text(to, 7, buffer);
      write(text);
      REQUIRE(text.finish());
      const std::string_view written(reinterpret_cast<const char*>(to.file.data()), to.file.size());
      CHECK(written.substr(7) == expected);
      CHECK(text.crc32c_so_far() == stet::crc32c(std::as_bytes(std::span(expected))));
    }
    recording_output to(1);
    byte_vector buffer(64);
    stet::detail::text_output text(to, 0, buffer);
    write(text);
    CHECK(outcome(text.finish()) == "no_space");
    CHECK(to.write_count == 2);
  }

  TEST_CASE("too few and too many bytes are noticed, also by who is not told") {
    recording_output to;
    stet::detail::output_buffer buffer;
    const byte_vector four = pattern(4);
    {
      tensor_output output(to, buffer, stet::detail::tensor_checksums::crc32c);
      REQUIRE(output.begin(0, 5));
      REQUIRE(output.write(four));
      CHECK(outcome(output.end()) == "source_too_short");
    }
    {
      tensor_output output(to, buffer, stet::detail::tensor_checksums::crc32c);
      REQUIRE(output.begin(0, 5));
      REQUIRE(output.write(four));
      CHECK(outcome(output.write(four)) == "source_too_long");
      CHECK(outcome(output.write(std::span(four).first(1))) == "source_too_long"); // what would fit comes too late
      CHECK(outcome(output.end()) == "source_too_long");
    }
  }

  TEST_CASE("a failed write is not forgotten") {
    for (const std::size_t fails_at : {0u, 1u, 2u}) {
      recording_output to(fails_at);
      stet::detail::output_buffer buffer;
      tensor_output output(to, buffer, stet::detail::tensor_checksums::crc32c);
      const byte_vector large = pattern(262144);
      REQUIRE(output.begin(0, 4 * large.size()));
      for (int i = 0; i < 4; ++i) (void)output.write(large); // as a careless source would
      CHECK(outcome(output.end()) == "no_space");
    }
  }

  TEST_CASE("the checksum of a large piece is that of its bytes, between small ones, and whoever computes it") {
    // As large as what another processor sums up, where there is one.
    const byte_vector bytes = pattern((std::size_t{4} << 20) + 7);
    const std::span<const std::byte> all(bytes), head = all.first(5), body = all.subspan(5);
    recording_output to;
    stet::detail::output_buffer buffer;
    tensor_output out(to, buffer, stet::detail::tensor_checksums::crc32c);
    REQUIRE(out.begin(64, 2 * bytes.size()));
    for (const std::span<const std::byte> piece : {head, body, all}) REQUIRE(out.write(piece));
    REQUIRE(out.end());
    REQUIRE(out.flush());
    CHECK(out.crc32c_so_far() == stet::crc32c(all, stet::crc32c(all)));
    CHECK(std::equal(all.begin(), all.end(), to.file.begin() + 64));
    CHECK(std::equal(all.begin(), all.end(), to.file.begin() + 64 + static_cast<std::ptrdiff_t>(all.size())));
    // The next tensor begins anew.
    REQUIRE(out.begin(to.file.size(), 5));
    REQUIRE(out.write(head));
    CHECK(out.crc32c_so_far() == stet::crc32c(head));

    recording_output full(3);
    tensor_output cut(full, buffer, stet::detail::tensor_checksums::crc32c);
    REQUIRE(cut.begin(0, bytes.size()));
    CHECK(outcome(cut.write(all)) == "no_space");
    CHECK(outcome(cut.end()) == "no_space");
    CHECK(full.write_count == 4);
  }

  TEST_CASE("elements narrower than a byte are packed from the lowest bit on") {
    const auto encoded = [](auto elements) {
      collecting_sink sink;
      using element = typename decltype(elements)::value_type;
      CHECK(stet::detail::write_encoded(std::span<const element>(elements), sink));
      return sink.all;
    };
    // By hand: element i of b bits begins at bit i × b.
    CHECK(encoded(std::vector<stet::int4>{stet::int4(1), stet::int4(-1), stet::int4(7)}) == of({0xF1, 0x07}));
    CHECK(encoded(std::vector<stet::uint2>{stet::uint2(3), stet::uint2(0), stet::uint2(2), stet::uint2(1),
                                           stet::uint2(1)}) == of({0x63, 0x01}));
    const auto six = [](std::uint8_t code) { return stet::float6_e2m3fn::from_bits(code); };
    CHECK(encoded(std::vector<stet::float6_e2m3fn>{six(0x3F), six(0), six(0x21), six(0x11), six(0x2A)}) ==
          of({0x3F, 0x10, 0x46, 0x2A}));
    CHECK(encoded(std::vector<stet::int4>{}).empty());

    // More than one step of the packing, and an odd rest.
    for (const std::size_t count : {4095u, 4096u, 4097u, 10001u}) {
      std::vector<stet::float6_e3m2fn> many;
      for (std::size_t i = 0; i < count; ++i)
        many.push_back(stet::float6_e3m2fn::from_bits(static_cast<std::uint8_t>(i * 7 % 64)));
      const byte_vector packed = encoded(many);
      REQUIRE(packed.size() == (count * 6 + 7) / 8);
      const stet::packed_span<stet::float6_e3m2fn> view(packed.data(), count, 6);
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < count; ++i) wrong += view[i].bits() != many[i].bits() ? 1u : 0u;
      CHECK(wrong == 0);
    }
  }

  TEST_CASE("strings are offsets, then bytes") {
    collecting_sink sink;
    const std::string_view strings[] = {"ab", "", std::string_view("\0c", 2)};
    REQUIRE(stet::detail::write_strings(strings, sink));
    CHECK(sink.all == of({0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0,   0,   2, 0,
                          0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 'a', 'b', 0, 'c'}));
    collecting_sink empty;
    REQUIRE(stet::detail::write_strings(std::span<const std::string_view>(), empty));
    CHECK(empty.all == byte_vector(8));
  }
}
