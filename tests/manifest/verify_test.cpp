// SPDX-License-Identifier: MIT
#include "support/faulty_files.hpp"
#include "support/few_threads.hpp"
#include "support/files.hpp"
#include "support/native_bytes.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <stet/manifest/open.hpp>
#include <stet/manifest/verify.hpp>
#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

using stet::store_form;
using stet_test::byte_vector;
using stet_test::pattern;
using stet_test::temp_folder;

/// Tensors with gaps between them, a packed one whose last byte is half used, and an alias; borrowed by the
/// writer.
struct model {
  byte_vector content = pattern(3000);
  std::vector<stet::int4> packed = std::vector<stet::int4>(7, stet::int4(-1));
  stet::writer writer() const {
    stet::writer out;
    out.add_bytes("a", stet::element_layout::of(stet::dtype::uint8), {1000}, std::span(content).first(1000));
    out.add("packed", packed, {7});
    out.add_alias("tied", "a");
    out.add_bytes("b", stet::element_layout::of(stet::dtype::uint8), {1001}, std::span(content).first(1001),
                  stet::json_text(R"({"trainable":false})"));
    out.add("empty", std::span<const float>(), {0});
    return out;
  }
};

stet::save_options with_form(store_form form, std::uint64_t max_part_size_bytes = ~std::uint64_t{0}) {
  stet::save_options options;
  options.form = form;
  options.max_part_size_bytes = max_part_size_bytes;
  options.is_durable = false;
  return options;
}

/// "code subject" of each problem, one a line.
std::string listed(const stet::verify_report& report) {
  std::string text;
  for (const stet::error& problem : report.problems) {
    text += std::string(stet::describe(problem.code()).name) + " " + std::string(problem.subject()) + "\n";
  }
  return text;
}
std::string problems_of(std::span<const std::byte> file, unsigned thread_count = 1) {
  const auto opened = stet::open(file, {.read_manifest = stet::read_manifest});
  if (!opened) return "not opened: " + stet_test::outcome(opened);
  return listed(stet::verify_store(*opened, {.thread_count = thread_count}));
}
byte_vector saved(const stet::writer& out, std::uint32_t alignment_bytes = 64) {
  stet::save_options options;
  options.alignment_bytes = alignment_bytes;
  auto made = out.save_to_memory(options);
  CHECK(made);
  return made ? std::move(*made) : byte_vector();
}
stet::file_header header_of(std::span<const std::byte> file) {
  const auto header = stet::decode_header(file, file.size());
  CHECK(header);
  return header ? *header : stet::file_header();
}

} // namespace

TEST_SUITE("manifest/verify") {
  TEST_CASE("a sound store has no problems, and the report says what was looked at") {
    const model m;
    const byte_vector file = saved(m.writer());
    const auto opened = stet::open(file);
    REQUIRE(opened);
    const stet::verify_report report = stet::verify_store(*opened);
    CHECK(report.is_sound());
    CHECK(report.tensors_compared == 4);
    CHECK(report.tensors_without_checksum == 0);
    CHECK(report.compared_bytes == 1000 + 4 + 1001);
    CHECK(report.has_manifest);
    CHECK(report.has_padding);
    const stet::verify_report nothing =
        stet::verify_store(*opened, {.manifest = false, .padding = false, .checksums = false});
    CHECK(nothing.is_sound());
    CHECK(nothing.tensors_compared == 0);
    CHECK_FALSE(nothing.has_manifest);
    CHECK_FALSE(nothing.has_padding);
    CHECK(stet::verify_store(stet::store()).is_sound());
  }

  TEST_CASE("every flipped bit of a file is found, by opening it or by verifying it") {
    const model m;
    byte_vector file = saved(m.writer());
    std::size_t undetected = 0, by_opening = 0, by_verifying = 0;
    // Every bit of the header and of every fifth byte, and one bit of each of the others.
    for (std::size_t at = 0; at < file.size(); ++at) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        if (bit != at % 8 && at > 128 && at % 5 != 0) continue;
        file[at] ^= static_cast<std::byte>(1u << bit);
        if (!stet::open(file)) {
          ++by_opening;
        } else {
          ++(problems_of(file).empty() ? undetected : by_verifying);
        }
        file[at] ^= static_cast<std::byte>(1u << bit);
      }
    }
    CHECK(undetected == 0);
    CHECK(by_opening > 1000);
    CHECK(by_verifying > 1000);
  }

  TEST_CASE("damaged tensors are all reported, in order, by any number of threads") {
    // Larger than the pieces that tensors are cut into, so that checksums are combined, and many small ones.
    byte_vector large = pattern((std::size_t{20} << 20) + 12345);
    stet::writer out;
    const stet::element_layout layout = stet::element_layout::of(stet::dtype::uint8);
    for (int i = 0; i < 100; ++i) {
      const std::size_t size = i == 50 ? large.size() : static_cast<std::size_t>(i) * 7;
      out.add_bytes("t" + std::to_string(i), layout, {size}, std::span(large).first(size));
    }
    byte_vector file = saved(out);
    std::string expected;
    {
      const auto opened = stet::open(file);
      REQUIRE(opened);
      for (const int damaged : {1, 17, 50, 51, 99}) {
        const std::string name = "t" + std::to_string(damaged);
        const auto found = opened->find(name);
        REQUIRE(found);
        const std::uint64_t last = found->entry().offset_bytes() + found->size_bytes() - 1;
        file[static_cast<std::size_t>(last)] ^= std::byte{0x10};
        expected += "checksum_mismatch " + name + "\n";
      }
    }
    for (unsigned thread_count = 0; thread_count <= 8; ++thread_count) {
      CAPTURE(thread_count);
      CHECK(problems_of(file, thread_count) == expected);
    }
    const auto opened = stet::open(file);
    REQUIRE(opened);
    const stet::verify_report report = stet::verify_store(*opened, {.thread_count = 3});
    CHECK(report.tensors_compared == 100);
    REQUIRE(report.problems.size() == 5);
    CHECK(report.problems[0].offset_bytes() == opened->find("t1")->entry().offset_bytes());
  }

#if STET_TEST_FEW_THREADS
  TEST_CASE("where no thread can be started, fewer do the work") {
    const byte_vector content = pattern(100);
    stet::writer out;
    for (int i = 0; i < 200; ++i) {
      out.add_bytes("t" + std::to_string(i), stet::element_layout::of(stet::dtype::uint8), {100}, content);
    }
    byte_vector file = saved(out);
    for (const bool is_damaged : {false, true}) {
      if (is_damaged)
        file[static_cast<std::size_t>(
            stet::open(std::span<const std::byte>(file)).value().find("t70")->entry().offset_bytes())] ^= std::byte{1};
      const auto opened = stet::open(std::span<const std::byte>(file));
      REQUIRE(opened);
      if (!opened) return;
      CHECK(stet_test::with_few_threads([&] {
              const stet::verify_report report = stet::verify_store(*opened, {.thread_count = 64});
              return report.tensors_compared == 200 && listed(report) == (is_damaged ? "checksum_mismatch t70\n" : "")
                         ? 0
                         : 1;
            }) == 0);
    }
  }
#endif

  TEST_CASE("padding is looked at everywhere, and every gap is reported") {
    const model m;
    const byte_vector good = saved(m.writer(), 4096);
    const stet::file_header header = header_of(good);
    const std::size_t after_manifest =
        static_cast<std::size_t>(header.manifest_offset_bytes + header.manifest_size_bytes);
    const std::size_t after_index = static_cast<std::size_t>(header.index_offset_bytes + header.index_size_bytes);
    const std::size_t data = static_cast<std::size_t>(header.data_offset_bytes);
    REQUIRE(after_manifest < header.index_offset_bytes);
    REQUIRE(after_index < data);
    const std::size_t gaps[] = {after_manifest, static_cast<std::size_t>(header.index_offset_bytes) - 1,
                                after_index,    data - 1,
                                data + 1000,    data + 4096 + 4};
    byte_vector all = good;
    for (const std::size_t at : gaps) {
      CAPTURE(at);
      byte_vector file = good;
      file[at] = all[at] = std::byte{1};
      const auto opened = stet::open(file);
      REQUIRE(opened);
      const stet::verify_report report = stet::verify_store(*opened);
      CHECK(listed(report) == "nonzero_padding \n");
      if (!report.problems.empty()) CHECK(report.problems[0].offset_bytes() == at);
      CHECK(stet::verify_store(*opened, {.padding = false}).is_sound());
    }
    std::string expected;
    for (int gap = 0; gap < 4; ++gap) expected += "nonzero_padding \n";
    CHECK(problems_of(all) == expected);
  }

  TEST_CASE("the unused bits of the last byte of packed elements are padding") {
    const model m;
    byte_vector file = saved(m.writer());
    const std::size_t last = [&] {
      const auto opened = stet::open(file);
      CHECK(opened);
      const auto found = opened->find("packed");
      CHECK(found);
      return static_cast<std::size_t>(found->entry().offset_bytes() + found->size_bytes() - 1);
    }();
    CHECK(file[last] == std::byte{0x0F});
    file[last] |= std::byte{0x80};
    CHECK(problems_of(file) == "nonzero_padding packed\nchecksum_mismatch packed\n");
  }

  TEST_CASE("an index that says something else than the manifest is found") {
    const model m;
    const byte_vector good = saved(m.writer());
    const stet::file_header header = header_of(good);
    const std::string text(reinterpret_cast<const char*>(good.data() + header.manifest_offset_bytes),
                           static_cast<std::size_t>(header.manifest_size_bytes));
    const auto with = [&](std::string_view from, std::string_view to) {
      REQUIRE(from.size() == to.size());
      byte_vector file = good;
      const std::size_t at = text.find(from);
      REQUIRE(at != std::string::npos);
      std::memcpy(file.data() + header.manifest_offset_bytes + at, to.data(), to.size());
      stet_test::seal(file);
      return problems_of(file);
    };
    CHECK(with("\"a\"", "\"c\"") == "bad_alias tied\n"); // tied names "a", which is no more
    CHECK(with("\"b\"", "\"c\"") == "manifest_mismatch \n");
    CHECK(with("[1001]", "[1002]") == "bad_size b\n");
    CHECK(with("\"uint8\",\"shape\":[1001]", "\"qint8\",\"shape\":[1001]").empty() == false);
    CHECK(with("\"empty\":{\"dtype\":\"float32\"", "\"empty\":{\"dtype\":\"complex\"") ==
          "unknown_dtype dtype of empty\n");
    CHECK(with("\"alignment_bytes\":64", "\"alignment_bytes\":32") == "manifest_mismatch \n");
    CHECK(with("\"version\":1", "\"version\":0") == "bad_header stet\n");
    CHECK(with("\"stet\"", "\"Stet\"") == "missing_field stet\n");
    CHECK(with("{", "[") == "wrong_type \n");
    CHECK(with("false", "true ") == ""); // the index knows nothing of attributes
    const std::size_t crc = text.find("\"crc32c\":\"", text.find("\"b\":")) + 10;
    const std::string checksum = text.substr(crc, 8);
    CHECK(with(checksum, checksum == "00000000" ? "11111111" : "00000000") == "manifest_mismatch \n");
  }

  TEST_CASE("a store without manifest, or tensors without checksum, are told apart from compared ones") {
    std::vector<stet_test::native_tensor> tensors;
    tensors.push_back(stet_test::tensor_of<float>("with", {1}, {1.0f}));
    tensors.push_back(stet_test::tensor_of<float>("without", {1}, {1.0f}));
    tensors[1].has_crc32c = false;
    const stet_test::native_file file(tensors, {.manifest = ""});
    const auto opened = stet::open(file.bytes);
    REQUIRE(opened);
    const stet::verify_report report = stet::verify_store(*opened);
    CHECK(report.is_sound());
    CHECK_FALSE(report.has_manifest);
    CHECK(report.tensors_compared == 1);
    CHECK(report.tensors_without_checksum == 1);
    CHECK(report.tensors_sound == 1);
  }

  TEST_CASE("tensors without checksum that are not in memory are read, and one that cannot be read is a problem") {
    class bytes_until final : public stet::byte_reader {
    public:
      explicit bytes_until(std::uint64_t end, std::uint64_t size) : end_(end), size_(size) {}
      [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return size_; }
      [[nodiscard]] stet::result<void> read(std::uint64_t offset, std::span<std::byte> into) const noexcept override {
        if (offset + into.size() > end_) return stet::errc::bad_compression;
        std::memset(into.data(), 1, into.size());
        return {};
      }

    private:
      std::uint64_t end_, size_;
    };
    std::vector<stet_test::native_tensor> tensors;
    tensors.push_back(stet_test::tensor_of<float>("first", {1}, {1.0f}));
    tensors.push_back(stet_test::tensor_of<std::uint8_t>("last", {3}, {1, 1, 1}));
    for (stet_test::native_tensor& each : tensors) each.has_crc32c = false;
    const stet_test::native_file file(tensors, {.manifest = ""});
    const auto index = stet::open(file.bytes);
    REQUIRE(index);
    const std::uint64_t end = index->find("last")->entry().offset_bytes() + 3;
    for (const std::uint64_t readable : {end, end - 1}) {
      stet::store::contents made;
      made.index = index->index();
      auto kept = stet::source::keep(bytes_until(readable, file.bytes.size()));
      REQUIRE(kept);
      made.data = std::move(*kept);
      const stet::store streamed(std::move(made));
      const stet::verify_report report = stet::verify_store(streamed, {.padding = false});
      CHECK(listed(report) == (readable == end ? "" : "bad_compression last\n"));
      CHECK(report.tensors_compared == 0);
      CHECK(report.tensors_sound == 0);
      CHECK(report.tensors_without_checksum == 2);
      CHECK(report.compared_bytes == 7);
    }
  }

  TEST_CASE("a longer header of a later version is no padding") {
    const model m;
    byte_vector file = saved(m.writer());
    // Move the manifest into the gap before the index as far as that goes, and call what it leaves header.
    stet::file_header header = header_of(file);
    const std::size_t room =
        static_cast<std::size_t>(header.index_offset_bytes - header.manifest_offset_bytes - header.manifest_size_bytes);
    REQUIRE(room > 8);
    std::memmove(file.data() + 128 + room, file.data() + 128, static_cast<std::size_t>(header.manifest_size_bytes));
    std::memset(file.data() + 128, 0x55, room);
    stet::detail::store_little(file.data() + 32, std::uint64_t{128 + room});
    stet::detail::store_little(file.data() + 24, static_cast<std::uint32_t>(128 + room));
    stet_test::seal(file);
    CHECK(problems_of(file) == "");
    stet::detail::store_little(file.data() + 24, std::uint32_t{128});
    stet_test::seal(file);
    CHECK(problems_of(file) == "nonzero_padding \n");
  }

  TEST_CASE("parts are verified as the store's own file is, in place and on demand") {
    const model m;
    for (const store_form form : {store_form::sharded, store_form::loose}) {
      const temp_folder folder;
      const std::string path = folder.path("m.x");
      REQUIRE(m.writer().save(path, with_form(form, 1328)));
      const auto problems = [&] {
        std::string first;
        for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
          for (const unsigned thread_count : {1u, 4u}) {
            stet::open_options options;
            options.backing = backing;
            options.read_manifest = stet::read_manifest;
            const auto opened = stet::open(path, options);
            if (!opened) return "not opened: " + stet_test::outcome(opened);
            const std::string found = listed(stet::verify_store(*opened, {.thread_count = thread_count}));
            if (backing == stet::backing::map && thread_count == 1) first = found;
            CHECK(found == first);
          }
        }
        return first;
      };
      CHECK(problems() == "");
      const auto parts = stet::detail::listed_parts(path);
      REQUIRE(parts.size() == 2);
      for (const std::string& part : parts) {
        const byte_vector good = folder.read(part);
        byte_vector damaged = good;
        damaged[good.size() - 129] ^= std::byte{0x01};
        folder.write(part, damaged);
        CHECK(problems() == (part == parts[0] ? "checksum_mismatch packed\n" : "checksum_mismatch b\n"));
        folder.write(part, good);
      }
      // Between "a" and "packed".
      const byte_vector good = folder.read(parts[0]);
      byte_vector damaged = good;
      damaged[good.size() - 138] = std::byte{1};
      folder.write(parts[0], damaged);
      // The specification asks nothing of what lies between tensors in raw files.
      CHECK(problems() == (form == store_form::sharded ? "nonzero_padding " + parts[0] + "\n" : ""));
    }
  }

  TEST_CASE("a part that ends early while it is open is a problem of its tensors, not a crash") {
    const model m;
    const byte_vector file = saved(m.writer());
    std::size_t reported = 0;
    for (int fails_at = 0; fails_at < 40; ++fails_at) {
      const stet_test::memory_reader reader(file, fails_at);
      const auto opened = stet::open(reader);
      if (!opened) continue;
      const stet::verify_report report = stet::verify_store(*opened, {.thread_count = 1});
      for (const stet::error& problem : report.problems) {
        CHECK(problem.code() == stet::errc::io_error);
        ++reported;
      }
    }
    CHECK(reported > 10);
  }
}
