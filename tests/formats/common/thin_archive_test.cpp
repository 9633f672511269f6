// SPDX-License-Identifier: MIT
// Archives on demand: the members that are read, and models that are opened by them, beside the same in memory.
#include <stet/formats/common/open_member.hpp>
#include <stet/formats/common/thin_archive.hpp>
#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>
#include <stet/formats/numpy.hpp>
#include <stet/formats/pytorch.hpp>

#include "support/exact_text.hpp"
#include "support/files.hpp"
#include "support/npy_files.hpp"
#include "support/outcome.hpp"
#include "support/pytorch_files.hpp"
#include "support/zip_archives.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

using stet_test::outcome;
namespace pt = stet_test::pt;

/// The size of members that are large enough to be left out.
constexpr std::size_t large_member = 700 << 10;

/// A file system with one archive, "m", that counts the bytes that are read of it.
class one_archive final : public stet::file_system {
public:
  explicit one_archive(std::string_view bytes, std::size_t fails_at = ~std::size_t{0}) noexcept
      : reader_(*this), bytes_(bytes), fails_at_(fails_at) {}
  [[nodiscard]] stet::result<stet::source> open_file(std::string_view path) const noexcept override {
    if (path != "m") return stet::errc::file_not_found;
    return stet::source::stream(reader_);
  }
  [[nodiscard]] std::uint64_t bytes_read() const noexcept { return bytes_read_; }
  [[nodiscard]] std::size_t calls() const noexcept { return calls_; }

private:
  class reader final : public stet::byte_reader {
  public:
    explicit reader(const one_archive& of) noexcept : of_(of) {}
    [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return of_.bytes_.size(); }
    [[nodiscard]] stet::result<void> read(std::uint64_t offset, std::span<std::byte> into) const noexcept override {
      if (of_.calls_++ >= of_.fails_at_) return stet::error(stet::errc::unreachable, "m");
      REQUIRE(stet::detail::range_fits(offset, into.size(), size_bytes()));
      of_.bytes_read_ += into.size();
      std::memcpy(into.data(), of_.bytes_.data() + static_cast<std::size_t>(offset), into.size());
      return {};
    }

  private:
    const one_archive& of_;
  };

  reader reader_;
  std::string_view bytes_;
  std::size_t fails_at_;
  mutable std::uint64_t bytes_read_ = 0;
  mutable std::size_t calls_ = 0;
};

/// The elements of a tensor, row-major, as bytes.
std::string read_all_of(const stet::tensor& of) {
  std::string into(static_cast<std::size_t>(of.size_bytes()), '?');
  const auto read = of.read(0, std::as_writable_bytes(std::span(into)));
  return read ? into : outcome(read);
}

/// Checks that the archive gives the same on demand as in memory, and how much of it is read to open it.
void check_same(const std::string& archive, std::uint64_t most_read, std::size_t tensor_count) {
  const one_archive files(archive);
  const auto there = stet::compiled::open_any("m", {.files = &files});
  REQUIRE(outcome(there) == "ok");
  CHECK(files.bytes_read() <= most_read);
  const bool is_npz = there->format->name == "npz";
  const auto bytes = std::as_bytes(std::span(archive));
  const auto here = is_npz ? stet::open_npz(bytes) : stet::open_pytorch(bytes);
  REQUIRE(outcome(here) == "ok");
  CHECK(there->store.tensor_count() == tensor_count);
  REQUIRE(here->store.tensor_count() == tensor_count);
  for (const stet::tensor each : here->store) {
    CAPTURE(each.name());
    const auto found = there->store.find(each.name());
    REQUIRE(outcome(found) == "ok");
    CHECK((found->shape() == each.shape()));
    CHECK(found->dtype() == each.dtype());
    CHECK((read_all_of(*found) == read_all_of(each)));
  }
  CHECK(there->omitted.size() == here->omitted.size());
  CHECK(outcome(stet::describe(*there)) == "ok");
}

std::string many_floats(float first) { return stet_test::floats(large_member / 4, first); }

constexpr std::int64_t float_count = large_member / 4;

} // namespace

TEST_SUITE("formats/common/thin_archive") {
  TEST_CASE("members that are wanted are read in the order of the file, and found; others are not resident") {
    const std::string archive = stet_test::zip_of({{"a", "alpha"}, {"b", "beta"}, {"c", "gamma"}, {"d", ""}});
    const auto bytes = std::as_bytes(std::span(archive));
    auto members = stet::detail::read_zip(bytes);
    REQUIRE(members);
    std::swap((*members)[0], (*members)[2]); // a directory may have another order
    const stet_test::memory_reader reader(bytes);
    const auto is_wanted = [](const stet::detail::zip_member& each) { return each.name != "b"; };
    const auto read = stet::detail::read_some_members(reader, *members, is_wanted, nullptr);
    REQUIRE(read);
    CHECK(read->size_bytes() == 4 + 5 + 5);
    CHECK(stet::detail::is_zip(stet::detail::bytes_in(*read)));
    for (const stet::detail::zip_member& each : *members) {
      const auto opened = stet::detail::open_member(stet::detail::bytes_in(*read), each, nullptr);
      if (each.name == "b") {
        CHECK(outcome(opened) == "not_resident");
        continue;
      }
      REQUIRE(opened);
      const std::string_view text(reinterpret_cast<const char*>(opened->data()),
                                  static_cast<std::size_t>(opened->size_bytes()));
      CHECK(text == (each.name == "a" ? "alpha" : each.name == "c" ? "gamma" : ""));
    }
    for (int fails_at = 0; fails_at < 4; ++fails_at) {
      const stet_test::memory_reader failing(bytes, fails_at);
      CHECK(outcome(stet::detail::read_some_members(failing, *members, is_wanted, nullptr)) == "io_error");
    }
  }

  TEST_CASE("a file of torch.save: contiguous, transposed, shared and big-endian storages") {
    const std::string object = pt::dict({pt::text("a"), pt::tensor("0", float_count, 0, {float_count}, {1}),
                                         pt::text("turned"), pt::tensor("1", float_count, 0, {256, 700}, {1, 256}),
                                         pt::text("tied"), pt::tensor("0", float_count, 0, {float_count}, {1}),
                                         pt::text("part"), pt::tensor("1", float_count, 7, {5, 6}, {6, 1})});
    const stet_test::pt_members storages{{"0", many_floats(1)}, {"1", many_floats(2)}};
    const std::string archive = stet_test::pytorch_file(object, storages);
    // The storage of the view that is not contiguous is read when it is opened.
    check_same(archive, large_member + 32768, 4);
    check_same(stet_test::pytorch_file(object, storages, {{"byteorder", "big"}}), large_member + 32768, 4);
  }

  TEST_CASE("a file of torch.save without views that are turned is opened by little more than its pickle") {
    std::vector<std::string> pairs;
    stet_test::pt_members storages;
    for (int i = 0; i < 8; ++i) {
      const std::string key = std::to_string(i);
      pairs.push_back(pt::text("t" + key));
      pairs.push_back(pt::tensor(key, float_count, 0, {float_count}, {1}));
      storages.emplace_back(key, many_floats(static_cast<float>(i)));
    }
    const std::string archive = stet_test::pytorch_file(pt::dict(pairs), storages);
    check_same(archive, 64 << 10, 8);
    // Each read that fails is the failure of opening.
    const one_archive counted(archive);
    REQUIRE(stet::compiled::open_any("m", {.files = &counted}));
    for (std::size_t fails_at = 0; fails_at < counted.calls(); ++fails_at) {
      const one_archive failing(archive, fails_at);
      CHECK(outcome(stet::compiled::open_any("m", {.files = &failing})) == "unreachable");
    }
  }

  TEST_CASE("an archive of small members is read as a whole") {
    const std::string archive = stet_test::example_pytorch_file();
    const one_archive files(archive);
    const auto opened = stet::compiled::open_any("m", {.files = &files});
    REQUIRE(opened);
    CHECK(opened->store.find("w")->bytes().data() != nullptr);
    CHECK(files.bytes_read() <= archive.size());
  }

  TEST_CASE("an npz archive: rows, columns, and members that are no arrays") {
    const std::string elements = many_floats(3);
    const std::string shape = "(" + std::to_string(256) + ", 700)";
    const std::string archive =
        stet_test::zip_of({{"a.npy", stet_test::numpy_array("'<f4'", shape, elements)},
                           {"f.npy", stet_test::numpy_array("'<f4'", shape, elements, true)},
                           {"big.npy", stet_test::numpy_array("'>f4'", shape, elements)},
                           {"named otherwise", stet_test::numpy_array("'<f4'", shape, elements)},
                           {"notes.txt", std::string(large_member, 'n')}});
    check_same(archive, large_member + 32768, 4);
  }
}
