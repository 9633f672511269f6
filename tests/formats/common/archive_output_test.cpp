// SPDX-License-Identifier: MIT
// Tests of common/archive_output.hpp: small and large members in one order, each byte written once, in few writes.
#include <stet/formats/common/archive_output.hpp>

#include "support/outcome.hpp"

#include <stet/wire/zip.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace {

/// Keeps what is written, and how often.
class kept_writes final : public stet::byte_writer {
public:
  explicit kept_writes(std::size_t size_bytes) : bytes(size_bytes), counts_(size_bytes) {}
  stet::result<void> write_at(std::uint64_t offset_bytes, std::span<const std::byte> written) override {
    if (fails_at == write_count++) return stet::errc::io_error;
    REQUIRE(offset_bytes + written.size() <= bytes.size());
    for (std::size_t i = 0; i < written.size(); ++i) {
      bytes[static_cast<std::size_t>(offset_bytes) + i] = written[i];
      ++counts_[static_cast<std::size_t>(offset_bytes) + i];
    }
    return {};
  }
  [[nodiscard]] bool is_each_once() const {
    for (const int count : counts_) {
      if (count != 1) return false;
    }
    return true;
  }
  std::vector<std::byte> bytes;
  std::size_t write_count = 0, fails_at = ~std::size_t{0};

private:
  std::vector<int> counts_;
};

/// The bytes of member `number`.
std::vector<std::byte> content_of(std::size_t number, std::size_t size_bytes) {
  std::vector<std::byte> made(size_bytes);
  for (std::size_t i = 0; i < size_bytes; ++i) made[i] = static_cast<std::byte>((i * 31 + number * 7) & 0xFFu);
  return made;
}

stet::result<void> write_all(const std::vector<std::size_t>& sizes, kept_writes& to,
                             stet::detail::zip_writer& archive) {
  stet::detail::archive_output out(to, archive);
  for (std::size_t number = 0; number < sizes.size(); ++number) {
    const std::vector<std::byte> content = content_of(number, sizes[number]);
    auto added = out.add(sizes[number], "member", [&](stet::piece_sink& sink) { return sink.write(content); });
    if (!added) return added;
  }
  return out.finish();
}
stet::detail::zip_writer planned(const std::vector<std::size_t>& sizes) {
  stet::detail::zip_writer archive;
  for (std::size_t number = 0; number < sizes.size(); ++number)
    REQUIRE(archive.add("m" + std::to_string(number), sizes[number], 64));
  return archive;
}

} // namespace

TEST_SUITE("formats/archive_output") {
  TEST_CASE("the archive has each member with its checksum, whatever the sizes, and no byte is written twice") {
    constexpr std::size_t large = (1 << 20) + 1;
    for (const std::vector<std::size_t>& sizes : {std::vector<std::size_t>{},
                                                  {0},
                                                  {1, 0, 300'000},
                                                  {large},
                                                  {large, large},
                                                  {5, large, 7, 3 * large, 0},
                                                  {1 << 20}}) {
      stet::detail::zip_writer archive = planned(sizes);
      kept_writes to(static_cast<std::size_t>(archive.size_bytes()));
      REQUIRE(stet_test::outcome(write_all(sizes, to, archive)) == "ok");
      CHECK(to.is_each_once());
      const auto members = stet::detail::read_zip(to.bytes);
      REQUIRE(members);
      REQUIRE(members->size() == sizes.size());
      for (std::size_t number = 0; number < sizes.size(); ++number) {
        const stet::detail::zip_member& member = (*members)[number];
        const auto stored =
            std::span<const std::byte>(to.bytes).subspan(static_cast<std::size_t>(member.offset_bytes), sizes[number]);
        CHECK(member.size_bytes == sizes[number]);
        CHECK(member.crc32 == stet::crc32(stored));
        const std::vector<std::byte> content = content_of(number, sizes[number]);
        CHECK((content.empty() || std::memcmp(stored.data(), content.data(), content.size()) == 0));
      }
    }
  }

  TEST_CASE("many small members cost few writes") {
    const std::vector<std::size_t> sizes(1000, 100);
    stet::detail::zip_writer archive = planned(sizes);
    kept_writes to(static_cast<std::size_t>(archive.size_bytes()));
    REQUIRE(write_all(sizes, to, archive));
    CHECK(to.write_count <= to.bytes.size() / (256 * 1024) + 1);
  }

  TEST_CASE("a member of another size than planned, and a write that fails, are errors") {
    constexpr std::size_t large = 2 << 20;
    for (const std::size_t size : {std::size_t{100}, large}) {
      for (const bool is_shorter : {false, true}) {
        stet::detail::zip_writer archive = planned({size});
        kept_writes to(static_cast<std::size_t>(archive.size_bytes()) + 1);
        stet::detail::archive_output out(to, archive);
        const std::vector<std::byte> content(is_shorter ? size - 1 : size + 1);
        const auto added = out.add(size, "member", [&](stet::piece_sink& sink) { return sink.write(content); });
        CHECK(stet_test::outcome(added) == (is_shorter ? "source_too_short" : "source_too_long"));
        CHECK((size != large || added.error().subject() == "member"));
      }
    }
    const std::vector<std::size_t> sizes{5, large, 7};
    stet::detail::zip_writer whole = planned(sizes);
    kept_writes all(static_cast<std::size_t>(whole.size_bytes()));
    REQUIRE(write_all(sizes, all, whole));
    for (std::size_t call = 0; call < all.write_count; ++call) {
      stet::detail::zip_writer archive = planned(sizes);
      kept_writes to(static_cast<std::size_t>(archive.size_bytes()));
      to.fails_at = call;
      CHECK(stet_test::outcome(write_all(sizes, to, archive)) == "io_error");
    }
  }
}
