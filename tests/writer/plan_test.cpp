// SPDX-License-Identifier: MIT
// Where a save puts things: offsets, aliases, parts, and every byte of a small store.
#include "index/golden_store.hpp"
#include "support/byte_order.hpp"
#include "support/outcome.hpp"
#include "support/sample_model.hpp"
#include "support/temp_folder.hpp"

#include <stet/json.hpp>
#include <stet/manifest/parse.hpp>
#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

using stet::save_options;
using stet::store_form;
using stet::writer;
using stet_test::outcome;
using stet_test::pattern;
using stet_test::temp_folder;
using byte_vector = std::vector<std::byte>;

save_options with_form(store_form form, std::uint64_t max_part_size_bytes = ~std::uint64_t{0}) {
  save_options options;
  options.form = form;
  options.max_part_size_bytes = max_part_size_bytes;
  options.is_durable = false;
  return options;
}

/// A writer of byte tensors called "0", "1" … of these sizes, all views of the same bytes.
writer tensors_of(std::span<const std::size_t> sizes, std::span<const std::byte> content) {
  writer out;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    out.add_bytes(std::to_string(i), stet::element_layout::of(stet::dtype::uint8), {sizes[i]},
                  content.subspan(i, sizes[i]));
  }
  return out;
}

byte_vector saved_bytes(const writer& out, const save_options& options = {}) {
  auto made = out.save_to_memory(options);
  CHECK(outcome(made) == "ok");
  return made ? std::move(*made) : byte_vector();
}

} // namespace

TEST_SUITE("writer/plan") {
  TEST_CASE("a small store has the bytes that the specification gives it") {
    // golden_store.hpp comes from a script that knows the specification and nothing of this library.
    const float weights[] = {1.0f, -2.0f};
    const int integers[] = {-1, 2, 7, 0, 1, -8, 3};
    std::vector<stet::int4> nibbles;
    for (const int each : integers) nibbles.emplace_back(each);
    const std::string_view strings[] = {"no", "y"};
    writer out;
    out.add("layer_0/kernel", weights, {2, 1});
    out.add("w4", nibbles, {7});
    out.add("labels", strings, {2});
    out.add_alias("tied", "layer_0/kernel");
    const byte_vector made = saved_bytes(out);
    // It ends with its last tensor, as files of writers without padding behind it do. Three fields of the header tell the difference.
    const auto golden = std::as_bytes(std::span(stet_test::golden_store));
    byte_vector expected(golden.begin(), golden.end());
    expected.resize(expected.size() + 128);
    stet::detail::store_little(expected.data() + 16, std::uint64_t{expected.size()});
    stet::detail::store_little(expected.data() + 72, std::uint64_t{expected.size() - stet_test::golden_data_offset});
    stet::detail::store_little(expected.data() + 124, stet::crc32c(std::span(expected).first(124)));
    REQUIRE(made.size() == expected.size());
    const auto difference = std::mismatch(made.begin(), made.end(), expected.begin());
    CHECK(difference.first - made.begin() == static_cast<std::ptrdiff_t>(made.size()));
  }

  TEST_CASE("a part has the header that the specification gives it") {
    // The content id by hand: FNV-1a over 264 (8 bytes), 128 (8 bytes) and the CRC-32C of the data,
    // "12345678", which is 0x6087809a (4 bytes), each lowest byte first; worked out with Python's integers.
    constexpr std::uint64_t content_id = 0xF7F620628DC80EE7u;
    const temp_folder folder;
    writer out;
    out.add_bytes("t", stet::element_layout::of(stet::dtype::uint8), {8}, std::as_bytes(std::span("12345678", 8)));
    REQUIRE(out.save(folder.path("m.stet"), with_form(store_form::sharded)));
    const std::vector<std::string> parts = stet::detail::listed_parts(folder.path("m.stet"));
    REQUIRE(parts.size() == 1);
    const byte_vector part = folder.read(parts[0]);
    REQUIRE(part.size() == 264);
    CHECK(std::memcmp(part.data(), "\x89STET\r\n\x1A", 8) == 0);
    CHECK(std::memcmp(part.data() + 128, "12345678", 8) == 0);
    const auto word = [&](std::size_t at) { return stet::detail::load_little<std::uint32_t>(part.data() + at); };
    const auto long_word = [&](std::size_t at) { return stet::detail::load_little<std::uint64_t>(part.data() + at); };
    CHECK(std::all_of(part.begin() + 136, part.end(), [](std::byte each) { return each == std::byte{0}; }));
    CHECK(long_word(16) == 264);
    CHECK(word(28) == 64);
    CHECK(long_word(40) == 0);
    CHECK(long_word(56) == 0);
    CHECK(long_word(64) == 128);
    CHECK(long_word(72) == 136);
    CHECK(word(88) == 1);
    CHECK(word(92) == 0);
    CHECK(word(96) == 1);
    CHECK(long_word(104) == content_id);
    CHECK(word(124) == stet::crc32c(std::span(part).first(124)));
  }

  TEST_CASE("every tensor begins at a multiple of the alignment, and no earlier multiple would do") {
    const byte_vector content = pattern(70000);
    const std::size_t sizes[] = {1, 64, 0, 63, 4097, 65536, 3};
    const writer out = tensors_of(sizes, content);
    for (std::uint32_t alignment = 1; alignment <= 65536; alignment *= 2) {
      CAPTURE(alignment);
      save_options options;
      options.alignment_bytes = alignment;
      const byte_vector made = saved_bytes(out, options);
      const auto opened = stet::open(made);
      REQUIRE(opened);
      CHECK(opened->alignment_bytes() == alignment);
      std::uint64_t end = 0;
      for (const stet::tensor each : *opened) {
        if (each.size_bytes() == 0) {
          CHECK(each.entry().offset_bytes() == 0);
          continue;
        }
        const std::uint64_t offset = each.entry().offset_bytes();
        CHECK(offset % alignment == 0);
        if (end != 0) CHECK(offset - end < alignment);
        end = offset + each.size_bytes();
        const std::size_t number = each.entry().number();
        CHECK(std::memcmp(each.bytes().data(), content.data() + number, each.bytes().size()) == 0);
      }
      CHECK(end + 128 == made.size());
      CHECK(stet::verify_store(*opened).is_sound());
    }
    for (const std::uint32_t alignment : {0u, 3u, 65u, 65535u, 65537u, 131072u, 0x80000000u}) {
      save_options options;
      options.alignment_bytes = alignment;
      CHECK(outcome(out.save_to_memory(options)) == "bad_alignment");
    }
  }

  TEST_CASE("at least 128 bytes behind every tensor are readable, behind the last of each file, too") {
    const byte_vector content = pattern(3000);
    const std::size_t sizes[] = {1, 700, 0, 64, 63, 800, 3};
    const writer out = tensors_of(sizes, content);
    for (const store_form form : {store_form::single_file, store_form::sharded, store_form::loose}) {
      const temp_folder folder;
      REQUIRE(out.save(folder.path("m.x"), with_form(form, 1200)));
      for (const stet::backing from : {stet::backing::map, stet::backing::read}) {
        const auto opened = stet::open(folder.path("m.x"), {.backing = from, .read_manifest = stet::read_manifest});
        REQUIRE(opened);
        CHECK(opened->index().part_count() == (form == store_form::single_file ? 0u : 2u));
        std::uint64_t least = ~std::uint64_t{0};
        for (const stet::tensor each : *opened) {
          if (each.size_bytes() != 0) least = (std::min)(least, opened->readable_bytes_behind(each));
        }
        CHECK(least >= 128);
        if (from == stet::backing::read) CHECK(least == 128); // where no page is longer than the file
      }
    }
  }

  TEST_CASE("an output that ends where its last byte was written has the padding") {
    class growing_output final : public stet::byte_writer {
    public:
      stet::result<void> write_at(std::uint64_t offset_bytes, std::span<const std::byte> bytes) override {
        const std::size_t begin = static_cast<std::size_t>(offset_bytes);
        if (file.size() < begin + bytes.size()) file.resize(begin + bytes.size());
        std::copy(bytes.begin(), bytes.end(), file.begin() + static_cast<std::ptrdiff_t>(begin));
        return {};
      }
      byte_vector file;
    };
    const byte_vector content = pattern(300000);
    const std::size_t sizes[] = {262144 - 100, 262144, 100000}; // beyond what is written at a time
    for (std::size_t count = 1; count <= 3; ++count) {
      const writer out = tensors_of(std::span(sizes).first(count), content);
      growing_output to;
      REQUIRE(out.save_to(to));
      CHECK(to.file == saved_bytes(out));
      CHECK(stet::open(to.file));
    }
  }

  TEST_CASE(
      "in the accelerator layout large tensors have whole pages, and every byte is where the specification has it") {
    constexpr std::size_t page = 4096;
    const byte_vector content = pattern(70000);
    const std::size_t sizes[] = {3, 65537, 0, 5, 65535, 65536};
    const writer out = tensors_of(sizes, content);
    save_options options;
    options.layout = stet::store_layout::accelerator;
    const byte_vector made = saved_bytes(out, options);
    const auto opened = stet::open(made);
    REQUIRE(opened);
    CHECK(stet::verify_store(*opened).is_sound());
    // Worked out by hand. 65535 bytes are less than 16 pages, and so small.
    const std::size_t offsets[] = {0, page, 0, 18 * page, 18 * page + 64, 35 * page};
    const std::uint64_t data = stet::detail::load_little<std::uint64_t>(made.data() + 64);
    CHECK(data == page); // the manifest and the index are in the first page
    byte_vector expected(made.begin(), made.begin() + static_cast<std::ptrdiff_t>(data));
    const std::uint64_t index_end = stet::detail::load_little<std::uint64_t>(made.data() + 48) +
                                    stet::detail::load_little<std::uint64_t>(made.data() + 56);
    std::fill(expected.begin() + static_cast<std::ptrdiff_t>(index_end), expected.end(), std::byte{0});
    expected.resize(page + 51 * page +
                    128); // 35 + 16 pages end where the last tensor does, and 128 bytes are behind it
    for (std::size_t i = 0; i < std::size(sizes); ++i) {
      if (sizes[i] != 0) std::memcpy(expected.data() + page + offsets[i], content.data() + i, sizes[i]);
    }
    stet::detail::store_little(expected.data() + 16, std::uint64_t{expected.size()});
    stet::detail::store_little(expected.data() + 72, std::uint64_t{expected.size() - page});
    stet::detail::store_little(expected.data() + 124, stet::crc32c(std::span(expected).first(124)));
    REQUIRE(made.size() == expected.size());
    CHECK(std::mismatch(made.begin(), made.end(), expected.begin()).first == made.end());
    // The same on every platform.
    CHECK(stet::crc32c(made) == 0x14589573u);
    // A file that any reader of version 1 reads: its alignment is that of all tensors.
    CHECK(stet::detail::load_little<std::uint32_t>(made.data() + 12) == 1);
    CHECK(opened->alignment_bytes() == 64);
    const auto parsed = stet::parse_manifest(opened->manifest_text());
    REQUIRE(parsed);
    CHECK(parsed->minimum_reader == 1);
    CHECK(parsed->extra.empty());
    for (std::size_t i = 0; i < std::size(sizes); ++i)
      CHECK(parsed->tensors[i].offset_bytes == (sizes[i] == 0 ? 0 : page + offsets[i]));
  }

  TEST_CASE("a file without large tensors is the same in both layouts") {
    const byte_vector content = pattern(70000);
    const std::size_t sizes[] = {3, 65535, 0, 64};
    const writer out = tensors_of(sizes, content);
    save_options options;
    options.layout = stet::store_layout::accelerator;
    CHECK(saved_bytes(out, options) == saved_bytes(out));
    options.page_size_bytes = 2048; // of which 65535 bytes are 16
    CHECK(saved_bytes(out, options) != saved_bytes(out));
  }

  TEST_CASE("large tensors have whole pages in every form, whatever page and alignment") {
    const byte_vector content = pattern(300000);
    const std::size_t sizes[] = {262144, 1, 262145, 65536, 700, 0, 70000, 262143 + 64};
    const writer out = tensors_of(sizes, content);
    for (const store_form form : {store_form::single_file, store_form::sharded, store_form::loose}) {
      for (const std::uint32_t page : {4096u, 16384u, 1u, 65536u}) {
        for (const std::uint32_t alignment : {1u, 64u, 32768u}) {
          CAPTURE(page);
          CAPTURE(alignment);
          const temp_folder folder;
          save_options options = with_form(form, 300000);
          options.layout = stet::store_layout::accelerator;
          options.page_size_bytes = page;
          options.alignment_bytes = alignment;
          REQUIRE(out.save(folder.path("m.x"), options));
          // In memory, which begins at a multiple of any page: a mapping begins at one of the system's.
          const auto opened =
              stet::open(folder.path("m.x"), {.backing = stet::backing::read, .read_manifest = stet::read_manifest});
          REQUIRE(opened);
          CHECK(stet::verify_store(*opened).is_sound());
          CHECK(opened->alignment_bytes() == alignment);
          CHECK((opened->index().part_count() > 1) == (form != store_form::single_file));
          if (form != store_form::single_file)
            CHECK(folder.read("m.x").size() <= (alignment > 4096 ? alignment : 4096));
          std::uint64_t end = 0, last_part = 0;
          for (const stet::tensor each : *opened) {
            if (each.size_bytes() == 0) continue;
            const std::uint64_t offset = each.entry().offset_bytes();
            const bool has_pages = each.size_bytes() >= std::uint64_t{16} * page;
            const std::uint64_t step = has_pages && page > alignment ? page : alignment;
            CHECK(offset % step == 0);
            if (each.entry().part() != last_part) end = offset;
            last_part = each.entry().part();
            CHECK(offset >= end);
            if (end != 0) CHECK(offset - end < step);
            end = offset + each.size_bytes();
            if (has_pages) {
              CHECK(opened->whole_pages(each, page));
              end = (end + page - 1) / page * page;
            }
            CHECK(opened->readable_bytes_behind(each) >= 128);
            CHECK(std::memcmp(each.bytes().data(), content.data() + each.entry().number(), each.bytes().size()) == 0);
          }
        }
      }
    }
    for (const std::uint32_t page : {0u, 3u, 4097u, 131072u}) {
      save_options options;
      options.page_size_bytes = page;
      CHECK(outcome(out.save_to_memory(options)) == "bad_alignment");
    }
  }

  TEST_CASE("a byte that is not zero in the rest of a page is found") {
    const byte_vector content = pattern(70000);
    const std::size_t sizes[] = {65537, 3, 65537};
    save_options options;
    options.layout = stet::store_layout::accelerator;
    byte_vector made = saved_bytes(tensors_of(sizes, content), options);
    const std::size_t page = 4096;
    for (const std::size_t at :
         {page - 1, page + 65537, 18 * page - 1, 18 * page + 3, 19 * page - 1, made.size() - 1}) {
      CAPTURE(at);
      byte_vector damaged = made;
      damaged[at] = std::byte{1};
      const auto opened = stet::open(damaged);
      REQUIRE(opened);
      const auto report = stet::verify_store(*opened);
      REQUIRE(report.problems.size() == 1);
      CHECK(report.problems[0].code() == stet::errc::nonzero_padding);
      CHECK(report.problems[0].offset_bytes() == at);
    }
  }

  TEST_CASE("the size of the manifest and the offsets in it agree where they gain a digit") {
    // The padding shifts the data across 999 → 1000, 9999 → 10000 and 99999 → 100000.
    const byte_vector content = pattern(200);
    std::size_t crossings = 0;
    for (const std::size_t around : {1000u, 10000u, 100000u}) {
      std::size_t below = 0, above = 0;
      for (std::size_t padding = around > 1600 ? around - 1600 : 0; padding < around - 300; padding += 13) {
        save_options options;
        options.alignment_bytes = 1;
        writer out = tensors_of(std::vector<std::size_t>(around == 1000 ? 1 : 4, 7), content);
        out.metadata = stet::json_value{{"x", std::string(padding, '.')}};
        const byte_vector made = saved_bytes(out, options);
        const auto opened = stet::open(made);
        if (!opened || !stet::verify_store(*opened).is_sound()) FAIL_CHECK("padding " << padding);
        if (opened) ((*opened->begin()).entry().offset_bytes() < around ? below : above) += 1;
      }
      crossings += below != 0 && above != 0 ? 1u : 0u;
    }
    CHECK(crossings == 3);
  }

  TEST_CASE("the same input gives the same bytes, in memory and in files") {
    const temp_folder folder;
    const stet_test::sample_model model(1);
    const byte_vector first = saved_bytes(model.writer()), second = saved_bytes(model.writer());
    CHECK(first == second);
    const writer out = model.writer();
    REQUIRE(out.save(folder.path("a.stet")));
    CHECK(folder.read("a.stet") == first);
    REQUIRE(out.save(folder.path("a.stet"), with_form(store_form::single_file)));
    CHECK(folder.read("a.stet") == first);
    // Also on every platform, in particular those of 32 bits.
    CHECK(stet::crc32c(first) == 0x0EB9E09Fu);

    for (const store_form form : {store_form::sharded, store_form::loose}) {
      const temp_folder other;
      REQUIRE(out.save(folder.path("b.stet"), with_form(form, 9000)));
      REQUIRE(out.save(other.path("b.stet"), with_form(form, 9000)));
      for (const std::string& name : other.names()) CHECK(folder.read(name) == other.read(name));
      CHECK(other.names().size() == 3);
    }
  }

  TEST_CASE("identical tensors are stored once, on request") {
    const std::vector<float> a(100, 1.0f), b(100, 1.0f), c(100, 2.0f);
    const std::vector<std::int32_t> same_bits(100, 0x3F800000);
    const byte_vector as_stored = stet_test::bytes_of(std::span(a));
    const std::vector<stet::int4> nibbles(9, stet::int4(-3));
    const byte_vector packed_nibbles = stet_test::bytes_of<unsigned char>({0xDD, 0xDD, 0xDD, 0xDD, 0x0D});
    const auto fill = [&] {
      writer out;
      out.add("a", a, {100});
      out.add("b", b, {100});
      out.add("other shape", b, {10, 10});
      out.add("other dtype", same_bits, {100});
      out.add("other bytes", c, {100});
      out.add("empty", std::span<const float>(), {0});
      out.add("also empty", std::span<const float>(), {0});
      out.add_alias("tied to b", "b");
      out.add_source("streamed", stet::element_layout::of(stet::dtype::float32), {100}, 400,
                     [&](stet::piece_sink& sink) { return sink.write(as_stored); });
      out.add_bytes("bytes", stet::element_layout::of(stet::dtype::float32), {100}, as_stored);
      out.add("packed", nibbles, {9});
      out.add("packed again", nibbles, {9});
      out.add_bytes("packed bytes", stet::element_layout::of(stet::dtype::int4), {9}, packed_nibbles);
      return out;
    };
    save_options options;
    const byte_vector plain = saved_bytes(fill(), options);
    options.deduplicate = true;
    const byte_vector once = saved_bytes(fill(), options);
    CHECK(once.size() < plain.size());
    const auto opened = stet::open(once), all = stet::open(plain);
    REQUIRE(opened);
    REQUIRE(all);
    CHECK(stet::verify_store(*opened).is_sound());
    CHECK(stet::verify_store(*all).is_sound());
    const auto original = [](const stet::store& of, std::string_view name) -> std::string {
      const auto found = of.find(name);
      if (!found) return "?";
      const auto shared = of.original_of(*found);
      return shared ? std::string(shared->name()) : "";
    };
    CHECK(original(*opened, "b") == "a");
    CHECK(original(*opened, "tied to b") == "a");
    CHECK(original(*opened, "other shape") == "");
    CHECK(original(*opened, "other dtype") == "");
    CHECK(original(*opened, "other bytes") == "");
    CHECK(original(*opened, "also empty") == "");
    CHECK(original(*opened, "streamed") == "");
    CHECK(original(*opened, "bytes") == "a");
    CHECK(original(*opened, "packed") == "");
    CHECK(original(*opened, "packed again") == "packed");
    CHECK(original(*opened, "packed bytes") == "packed");
    CHECK(stet_test::elements_of<float>(opened->find("bytes")) == a);
    // The same file on every platform.
    CHECK(stet::crc32c(once) == 0xD65FA396u);
    CHECK(original(*all, "b") == "");
    CHECK(original(*all, "tied to b") == "b");
  }

  TEST_CASE("tensors with one checksum and different bytes are not taken for equal") {
    // CRC-32C is linear: what differs by the polynomial itself (leading bit first, a byte's lowest bit first)
    // has one checksum.
    const byte_vector a(8);
    byte_vector b(8);
    constexpr std::uint64_t polynomial = (std::uint64_t{0x82F63B78u} << 1) | 1u;
    for (std::size_t i = 0; i < 8; ++i) b[i] = static_cast<std::byte>(polynomial >> (8 * i) & 0xFFu);
    REQUIRE(stet::crc32c(a) == stet::crc32c(b));
    writer out;
    out.add_bytes("a", stet::element_layout::of(stet::dtype::uint8), {8}, a);
    out.add_bytes("b", stet::element_layout::of(stet::dtype::uint8), {8}, b);
    save_options options;
    options.deduplicate = true;
    const byte_vector made = saved_bytes(out, options);
    const auto opened = stet::open(made);
    REQUIRE(opened);
    const auto second = opened->find("b");
    REQUIRE(second);
    CHECK(std::equal(b.begin(), b.end(), second->bytes().begin(), second->bytes().end()));
  }

  TEST_CASE("parts keep to their limit, but for a tensor that alone exceeds it") {
    const byte_vector content = pattern(9000);
    const std::size_t sizes[] = {100, 100, 5000, 0, 100, 700, 1, 900, 900, 64};
    const writer out = tensors_of(sizes, content);
    for (const store_form form : {store_form::sharded, store_form::loose}) {
      for (const std::uint64_t limit : {0u, 1u, 128u, 1000u, 1024u, 6000u, 100000u}) {
        CAPTURE(limit);
        const temp_folder folder;
        const auto report = out.save(folder.path("m.x"), with_form(form, limit));
        REQUIRE(report);
        const auto opened = stet::open(folder.path("m.x"), {.read_manifest = stet::read_manifest});
        REQUIRE(opened);
        CHECK(stet::verify_store(*opened).is_sound());
        CHECK(report->part_count == opened->index().part_count());
        CHECK(folder.names().size() == report->part_count + 1u);
        std::vector<std::size_t> tensor_counts(report->part_count);
        std::uint64_t tensor_size = 0, file_size = 0;
        for (const stet::tensor each : *opened) {
          if (each.size_bytes() != 0) ++tensor_counts[each.entry().part()];
          tensor_size += each.size_bytes();
          CHECK(std::memcmp(each.bytes().data(), content.data() + each.entry().number(), each.bytes().size()) == 0);
        }
        CHECK(report->tensor_size_bytes == tensor_size);
        for (const std::string& name : folder.names()) file_size += folder.read(name).size();
        CHECK(report->file_size_bytes == file_size);
        for (std::uint32_t part = 0; part < report->part_count; ++part) {
          CHECK(tensor_counts[part] >= 1);
          if (tensor_counts[part] > 1) CHECK(opened->index().part(part).size_bytes <= limit);
        }
        if (limit <= 1) CHECK(report->part_count == 9);
        if (limit == 100000) CHECK(report->part_count == 1);
      }
    }
  }

  TEST_CASE("a store without bytes can be saved in every form") {
    for (const store_form form : {store_form::single_file, store_form::sharded, store_form::loose}) {
      for (const bool has_tensor : {false, true}) {
        const temp_folder folder;
        writer out;
        if (has_tensor) out.add("empty", std::span<const float>(), {3, 0});
        REQUIRE(out.save(folder.path("m.x"), with_form(form)));
        const auto opened = stet::open(folder.path("m.x"), {.read_manifest = stet::read_manifest});
        REQUIRE(opened);
        CHECK(opened->tensor_count() == (has_tensor ? 1u : 0u));
        CHECK(stet::verify_store(*opened).is_sound());
      }
    }
  }

  TEST_CASE("another alignment or other sizes make other parts, even of tensors with the same checksums") {
    const byte_vector content = pattern(300);
    const std::size_t sizes[] = {100, 100};
    const writer out = tensors_of(sizes, content);
    const auto part_for = [&](store_form form, std::uint32_t alignment) {
      const temp_folder folder;
      save_options options = with_form(form);
      options.alignment_bytes = alignment;
      CHECK(out.save(folder.path("m.x"), options));
      const auto parts = stet::detail::listed_parts(folder.path("m.x"));
      return parts.empty() ? std::string() : parts[0];
    };
    for (const store_form form : {store_form::sharded, store_form::loose}) {
      CHECK(part_for(form, 64) == part_for(form, 64));
      CHECK(part_for(form, 64) != part_for(form, 4096));
    }
  }

  TEST_CASE("the parts of stores with a common stem stay apart, whatever is saved over one of them") {
    const temp_folder folder;
    const stet_test::sample_model older(1), newer(2);
    REQUIRE(older.writer().save(folder.path("model.stet"), with_form(store_form::sharded, 9000)));
    REQUIRE(older.writer().save(folder.path("model.v2"), with_form(store_form::sharded, 9000)));
    REQUIRE(older.writer().save(folder.path("model"), with_form(store_form::sharded, 9000)));
    REQUIRE(older.writer().save(folder.path("model.json"), with_form(store_form::loose, 9000)));
    CHECK(folder.names().size() == 12);
    REQUIRE(newer.writer().save(folder.path("model.stet"), with_form(store_form::single_file)));
    CHECK(folder.names().size() == 10);
    CHECK(stet_test::which_is_at(folder.path("model.stet"), older, newer) == stet_test::saved::newer);
    for (const char* const name : {"model.v2", "model", "model.json"}) {
      CHECK(stet_test::which_is_at(folder.path(name), older, newer) == stet_test::saved::older);
    }
  }

  TEST_CASE("parts of others that the old store listed are not removed") {
    const temp_folder folder;
    const stet_test::sample_model older(1), newer(2);
    // A store that lists parts of someone else: a raw file, and what would be a part of another store.
    const std::string others = "other-00000-of-00001-89abcdef.bin";
    folder.write("weights.bin", std::string_view("12345678"));
    folder.write(others, std::string_view("12345678"));
    folder.write("model-00000-of-00001-0a1b2c3d.bin", std::string_view("12345678"));
    folder.write(
        "model.json",
        std::string_view(
            R"({"stet":{"version":1,"minimum_reader":1},"data":["weights.bin","other-00000-of-00001-89abcdef.bin",)"
            R"("model-00000-of-00001-0a1b2c3d.bin"],"tensors":{}})"));
    REQUIRE(newer.writer().save(folder.path("model.json"), with_form(store_form::loose)));
    const std::vector<std::string> names = folder.names();
    CHECK(std::count(names.begin(), names.end(), "weights.bin") == 1);
    CHECK(std::count(names.begin(), names.end(), others) == 1);
    CHECK(std::count(names.begin(), names.end(), "model-00000-of-00001-0a1b2c3d.bin") ==
          1); // its content has another name
    CHECK(stet_test::which_is_at(folder.path("model.json"), older, newer) == stet_test::saved::newer);
  }

  TEST_CASE("parts that are not those of the store are refused") {
    const temp_folder folder;
    const stet_test::sample_model older(1), newer(2);
    const std::string path = folder.path("model.stet");
    REQUIRE(older.writer().save(path, with_form(store_form::sharded, 9000)));
    const std::vector<std::string> old_parts = stet::detail::listed_parts(path);
    REQUIRE(old_parts.size() == 2);
    const byte_vector old_kernel = folder.read(old_parts[0]);
    REQUIRE(newer.writer().save(path, with_form(store_form::sharded, 9000)));
    const std::vector<std::string> parts = stet::detail::listed_parts(path);
    REQUIRE(parts.size() == 2);
    const byte_vector kernel = folder.read(parts[0]), rest = folder.read(parts[1]);
    REQUIRE(kernel.size() == old_kernel.size());

    const auto reopened = [&](std::string_view name, std::span<const std::byte> content) {
      const byte_vector before = folder.read(name);
      folder.write(name, content);
      const std::string code = outcome(stet::open(path));
      folder.write(name, before);
      return code;
    };
    CHECK(reopened(parts[0], kernel) == "ok");
    CHECK(reopened(parts[0], old_kernel) == "part_mismatch"); // of an older save
    CHECK(reopened(parts[0], rest) == "part_size");
    CHECK(reopened(parts[0], std::span(kernel).first(kernel.size() - 1)) == "part_size");
    CHECK(reopened(parts[0], std::span(kernel).first(10)) == "part_size");
    byte_vector longer = kernel;
    longer.push_back(std::byte{0});
    CHECK(reopened(parts[0], longer) == "part_size");
    byte_vector damaged = kernel;
    damaged[93] = std::byte{1};
    CHECK(reopened(parts[0], damaged) == "header_checksum");
    std::filesystem::remove(stet_test::to_path(folder.path(parts[1])));
    CHECK(outcome(stet::open(path)) == "missing_part");
  }

  TEST_CASE("parts of equal sizes that were swapped are refused") {
    const temp_folder folder;
    const byte_vector content = pattern(3000);
    const std::size_t sizes[] = {1000, 1000};
    const std::string path = folder.path("model.stet");
    REQUIRE(tensors_of(sizes, content).save(path, with_form(store_form::sharded, 1100)));
    const std::vector<std::string> parts = stet::detail::listed_parts(path);
    REQUIRE(parts.size() == 2);
    const byte_vector first = folder.read(parts[0]), second = folder.read(parts[1]);
    REQUIRE(first.size() == second.size());
    folder.write(parts[0], second);
    folder.write(parts[1], first);
    CHECK(outcome(stet::open(path)) == "part_mismatch");
  }
}
