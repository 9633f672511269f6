// SPDX-License-Identifier: MIT
// Hostile files: parts of a sharded store, and the paths to them. Each with its exact code, through a part
// opener of the program and as files in every backing.
#include "support/files.hpp"

#include <stet/store/open.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

using stet::errc;
using stet_test::byte_vector;
using stet_test::bytes_of;
using stet_test::code_of;
using stet_test::native_file;
using stet_test::tensor_of;

namespace {

using named_bytes = std::pair<std::string, byte_vector>;

/// A store, and what lies beside it.
struct sharded {
  byte_vector store;
  std::vector<named_bytes> files;
};

/// Parts in memory, by name. It opens whatever it is asked for: what may be asked for is for the library to
/// decide.
class parts_in_memory final : public stet::file_system {
public:
  explicit parts_in_memory(const std::vector<named_bytes>& files) : files_(files) {}
  [[nodiscard]] stet::result<stet::source> open_file(std::string_view name) const noexcept override {
    ++calls;
    for (const auto& [known, bytes] : files_) {
      if (known == name) return stet::source::borrow(bytes);
    }
    return errc::file_not_found;
  }
  mutable std::size_t calls = 0;

private:
  const std::vector<named_bytes>& files_;
};

byte_vector first_part() { return stet_test::native_part(0, 2, 11, bytes_of<float>({1, 2})); }
byte_vector second_part() { return stet_test::native_part(1, 2, 22, bytes_of<float>({3, 4})); }

native_file table(const std::vector<stet::index_part>& parts) {
  std::vector<stet_test::native_tensor> tensors{tensor_of<float>("a", {2}, {1, 2}), tensor_of<float>("b", {2}, {3, 4})};
  tensors[0].offset_bytes = 128;
  tensors[1].offset_bytes = 128;
  tensors[1].part = parts.size() > 1 ? 1 : 0;
  if (parts.size() == 1) tensors[1].offset_bytes = 192;
  native_file::options with;
  with.parts = parts;
  return native_file(tensors, with);
}
std::vector<stet::index_part> two_parts() {
  return {{"p0.stet", first_part().size(), 11, true}, {"p1.stet", second_part().size(), 22, true}};
}
sharded good() { return {table(two_parts()).bytes, {{"p0.stet", first_part()}, {"p1.stet", second_part()}}}; }

/// Opens in memory and as files, mapped, read and streamed; expects the same code of each.
void expect_of_parts(const sharded& made, errc expected, std::string_view subject = {}) {
  const parts_in_memory opener(made.files);
  const auto in_memory = stet::open(made.store, {.files = &opener});
  CHECK(code_of(in_memory) == expected);
  if (!in_memory && !subject.empty()) CHECK(in_memory.error().subject() == subject);
  const stet_test::temp_folder folder;
  for (const auto& [name, bytes] : made.files) folder.write(name, bytes);
  const std::string path = folder.write("model.stet", made.store);
  for (const stet::backing how : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
    stet::open_options options;
    options.backing = how;
    const auto opened = stet::open(path, options);
    CHECK(code_of(opened) == expected);
    if (!opened && !subject.empty()) CHECK(opened.error().subject() == subject);
    if (opened) CHECK(code_of(opened->verify_checksums()) == errc{});
  }
}

} // namespace

TEST_SUITE("hostile parts") {
  TEST_CASE("a good sharded store opens") { expect_of_parts(good(), errc{}); }

  TEST_CASE("P1: a part's name cannot lead anywhere, and nothing is opened by it") {
    const std::string_view names[] = {
        "../p0.stet", "..",           ".",           "...",       "/etc/passwd",    "/p0.stet",
        "a/p0.stet",  "a/../p0.stet", "a/../../x",   "./p0.stet", "p0.stet/",       "C:\\x",
        "C:x",        "\\\\?\\x",     "..\\p0.stet", "a\\b",      "p0.stet:stream", "p0.stet.",
        "p0.stet ",   "p\n0.stet",    "p\x1b[2J",    "p\x7f",     "p\xC2\x85",      "file:///etc/passwd"};
    const stet_test::temp_folder folder;
    for (const std::string_view name : names) {
      CAPTURE(std::string(name));
      auto parts = two_parts();
      parts[0].path = name;
      const auto made = table(parts).bytes;
      const std::vector<named_bytes> files = {{std::string(name), first_part()}, {"p1.stet", second_part()}};
      const parts_in_memory opener(files);
      const auto opened = stet::open(stet::source::borrow(made), {.files = &opener});
      CHECK(code_of(opened) == errc::bad_path);
      CHECK(opener.calls == 0);
      if (!opened) CHECK(opened.error().subject() == name);
      folder.write("p0.stet", first_part());
      folder.write("p1.stet", second_part());
      CHECK(code_of(stet::open(folder.write("model.stet", made))) == errc::bad_path);
    }
    for (const std::size_t size : {256u, 5000u, 65536u}) {
      auto parts = two_parts();
      const std::string name(size, 'p');
      parts[0].path = name;
      const errc expected = size <= stet::max_name_size_bytes ? errc::bad_path : errc::bad_index;
      CHECK(code_of(stet::open(folder.write("model.stet", table(parts).bytes))) == expected);
    }
    for (const std::string_view name : {std::string_view(), std::string_view("p\0", 2), std::string_view("\xFF"),
                                        std::string_view("\xC0\xAE\xC0\xAE")}) {
      auto parts = two_parts();
      parts[0].path = name;
      CHECK(code_of(stet::open(folder.write("model.stet", table(parts).bytes))) == errc::bad_index);
    }
  }

  TEST_CASE("P1: names that only look like paths are plain names") {
    for (const std::string_view name :
         {"%2e%2e%2fp0", "\xE2\x80\xA4\xE2\x80\xA4", "..p0", "p..0", ".p0", "-p0", "\xEF\xBC\x8Fp0", "p 0", "~"}) {
      CAPTURE(std::string(name));
      auto parts = two_parts();
      parts[0].path = name;
      expect_of_parts({table(parts).bytes, {{std::string(name), first_part()}, {"p1.stet", second_part()}}}, errc{});
      expect_of_parts({table(parts).bytes, {{"p1.stet", second_part()}}}, errc::missing_part, name);
    }
  }

#if !defined(_WIN32)
  TEST_CASE("P2: links do not lead out of the folder unless the program says so") {
    const stet_test::temp_folder outside, folder;
    const std::string path = folder.write("model.stet", good().store);
    folder.write("p0.stet", first_part());
    const std::string target = outside.write("secret", second_part());
    std::error_code failure;
    stet::open_options following;
    following.follow_links = true;

    std::filesystem::create_symlink(target, folder.path("p1.stet"), failure);
    if (failure) {
      MESSAGE("skipped: this system makes no links to other folders");
      return;
    }
    const auto linked = stet::open(path);
    CHECK(code_of(linked) == errc::bad_path);
    CHECK(linked.error().subject() == "p1.stet");
    CHECK(code_of(stet::open(path, following)) == errc{});

    std::filesystem::remove(folder.path("p1.stet"), failure);
    std::filesystem::create_hard_link(target, folder.path("p1.stet"), failure);
    if (failure) {
      MESSAGE("skipped: this system makes no hard links here");
    } else {
      CHECK(code_of(stet::open(path)) == errc::bad_path);
      CHECK(code_of(stet::open(path, following)) == errc{});
    }

    std::filesystem::remove(folder.path("p1.stet"), failure);
    std::filesystem::create_symlink(folder.path("p1.stet"), folder.path("p1.stet"), failure); // a loop
    CHECK(code_of(stet::open(path)) == errc::bad_path);
    CHECK(code_of(stet::open(path, following)) == errc::io_error);

    std::filesystem::remove(folder.path("p1.stet"), failure);
    std::filesystem::create_symlink(outside.path("nothing"), folder.path("p1.stet"), failure);
    CHECK(code_of(stet::open(path)) == errc::bad_path);
    CHECK(code_of(stet::open(path, following)) == errc::missing_part);

    std::filesystem::remove(folder.path("p1.stet"), failure);
    std::filesystem::create_directory(folder.path("p1.stet"), failure);
    CHECK(code_of(stet::open(path)) == errc::not_a_regular_file);
  }
#endif

  TEST_CASE("P3: parts that are missing, cut, lengthened, exchanged, or of another save") {
    auto made = good();
    made.files.pop_back();
    expect_of_parts(made, errc::missing_part, "p1.stet");
    made = good();
    made.files[1].second.pop_back();
    expect_of_parts(made, errc::part_size, "p1.stet");
    made.files[1].second.clear();
    expect_of_parts(made, errc::part_size, "p1.stet");
    made = good();
    made.files[0].second.push_back(std::byte{0});
    expect_of_parts(made, errc::part_size, "p0.stet");
    made = good();
    std::swap(made.files[0].second, made.files[1].second);
    expect_of_parts(made, errc::part_mismatch, "p0.stet");
    made = good();
    made.files[1].second = stet_test::native_part(1, 2, 23, bytes_of<float>({3, 5}));
    expect_of_parts(made, errc::part_mismatch, "p1.stet");
  }

  TEST_CASE("P4: parts that say they are another, or of another number of parts") {
    auto made = good();
    made.files[1].second = stet_test::native_part(1, 3, 22, bytes_of<float>({3, 4}));
    expect_of_parts(made, errc::part_mismatch, "p1.stet");
    made.files[1].second = stet_test::native_part(0, 2, 22, bytes_of<float>({3, 4}));
    expect_of_parts(made, errc::part_mismatch, "p1.stet");
    auto parts = two_parts();
    parts[1] = parts[0]; // one file, listed twice
    made = {table(parts).bytes, {{"p0.stet", first_part()}}};
    expect_of_parts(made, errc::part_mismatch, "p0.stet");
    parts = two_parts();
    parts.push_back({"p2.stet", first_part().size(), 11, true});
    made = {table(parts).bytes, good().files};
    expect_of_parts(made, errc::part_mismatch, "p0.stet"); // says that it is one of two
  }

  TEST_CASE("P4: a million parts cost no more than their table") {
    std::vector<stet::index_part> parts(1'000'000, {"p0.stet", first_part().size(), 11, true});
    parts[0].path = "none";
    const auto file = table(parts);
    const stet_test::temp_folder folder;
    const auto opened = stet::open(folder.write("model.stet", file.bytes));
    CHECK(code_of(opened) == errc::missing_part);
    CHECK(opened.error().subject() == "none");
    CHECK(code_of(stet::open(std::span<const std::byte>(file.bytes))) == errc::missing_part);
  }

  TEST_CASE("P5: the store itself, or another store, is no part") {
    auto parts = two_parts();
    parts[0].path = "model.stet";
    auto file = table(parts);
    parts[0].size_bytes = file.bytes.size();
    file = table(parts);
    const stet_test::temp_folder folder;
    folder.write("p1.stet", second_part());
    CHECK(code_of(stet::open(folder.write("model.stet", file.bytes))) == errc::bad_path);
    auto made = good();
    const auto other = stet_test::mixed_store();
    parts = two_parts();
    parts[0].size_bytes = other.bytes.size();
    expect_of_parts({table(parts).bytes, {{"p0.stet", other.bytes}, {"p1.stet", second_part()}}}, errc::part_mismatch,
                    "p0.stet");
  }

  TEST_CASE("a part alone is no store, and bytes alone are a store without its parts") {
    const auto part = first_part();
    CHECK(code_of(stet::open(std::span<const std::byte>(part))) == errc::bad_header);
    const auto opened = stet::open(std::span<const std::byte>(good().store));
    CHECK(code_of(opened) == errc::missing_part);
    CHECK(opened.error().subject() == "p0.stet");
  }

  TEST_CASE("every flipped bit of a part's header is noticed") {
    const auto made = good();
    for (std::size_t bit = 0; bit < 128 * 8; ++bit) {
      auto damaged = made;
      damaged.files[1].second[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
      const parts_in_memory opener(damaged.files);
      const auto opened = stet::open(stet::source::borrow(damaged.store), {.files = &opener});
      CHECK(code_of(opened) == (bit < 64 ? errc::bad_magic : errc::header_checksum));
      if (!opened) CHECK(opened.error().subject() == "p1.stet");
    }
  }

  TEST_CASE("a part without a header that is shorter than one, and places outside a part") {
    // Raw files hold tensors from their first byte on.
    std::vector<stet_test::native_tensor> tensors{tensor_of<float>("a", {2}, {1, 2})};
    tensors[0].offset_bytes = 0;
    native_file::options with;
    with.parts = {{"raw", 8, 0, false}};
    const native_file raw(tensors, with);
    expect_of_parts({raw.bytes, {{"raw", bytes_of<float>({1, 2})}}}, errc{});

    struct lie {
      std::size_t at;
      std::uint64_t value;
      errc expected;
    };
    const std::uint64_t most = ~std::uint64_t{0};
    const lie lies[] = {
        {raw.part_at(0) + 8, 7, errc::bad_offset},     // a part too small for its tensor
        {raw.part_at(0) + 8, 9, errc::part_size},      // larger than its file
        {raw.part_at(0) + 8, most, errc::part_size},   //
        {raw.part_at(0) + 24, 1, errc::bad_offset},    // with a header, the tensor would lie in it
        {raw.part_at(0) + 24, 2, errc::bad_index},     // an unknown flag
        {raw.part_at(0) + 24, most, errc::bad_index},  // reserved bytes
        {raw.part_at(0), 4ull << 32, errc::bad_index}, // the name's size
        {raw.part_at(0), 1 | 3ull << 32, errc::bad_index},
        {raw.part_at(0), 0xFFFFFFFF | 3ull << 32, errc::bad_index},
        {raw.part_at(0), 0xFFFFFFFFull << 32, errc::bad_index},
        {raw.part_at(0), most, errc::bad_index},
        {raw.entry_at(0), 64, errc::bad_offset},
        {raw.entry_at(0), most - 7, errc::bad_offset},
    };
    for (const lie& each : lies) {
      CAPTURE(each.at);
      CAPTURE(each.value);
      auto file = raw;
      expect_of_parts({file.set(each.at, each.value).seal().bytes, {{"raw", bytes_of<float>({1, 2})}}}, each.expected);
    }
    auto file = raw;
    file.set(file.part_at(0) + 8, std::uint64_t{136})
        .set(file.part_at(0) + 24, std::uint64_t{1})
        .set(file.entry_at(0), std::uint64_t{128});
    expect_of_parts({file.seal().bytes, {{"raw", byte_vector(136)}}}, errc::bad_magic, "raw");
    file = raw;
    file.set(file.part_at(0) + 8, std::uint64_t{100})
        .set(file.part_at(0) + 24, std::uint64_t{1})
        .set(file.entry_at(0), std::uint64_t{0});
    file.set(file.entry_at(0) + 8, std::uint64_t{0})
        .set(file.entry_at(0) + 16, std::uint64_t{0})
        .set(file.extents_at(0), std::uint64_t{0});
    expect_of_parts({file.seal().bytes, {{"raw", byte_vector(100)}}}, errc::part_size,
                    "raw"); // too short for the header it has
  }

  TEST_CASE("tensors must lie within their part and not overlap in it") {
    auto file = table(two_parts());
    const std::uint64_t size = second_part().size();
    for (const std::uint64_t offset :
         {std::uint64_t{0}, std::uint64_t{64}, std::uint64_t{132}, size, ~std::uint64_t{0} - 7}) {
      file.set(file.entry_at(1), offset);
      expect_of_parts({file.seal().bytes, good().files}, errc::bad_offset);
    }
    file = table(two_parts());
    file.set(file.entry_at(1) + 28, 2u);
    expect_of_parts({file.seal().bytes, good().files}, errc::bad_index);
    file = table(two_parts());
    file.set(file.entry_at(1) + 28, 0u);
    expect_of_parts({file.seal().bytes, good().files}, errc::overlap);
    file = table(two_parts());
    file.set(file.entry_at(0) + 28, 1u).set(file.entry_at(1) + 28, 0u);
    expect_of_parts({file.seal().bytes, good().files}, errc::overlap); // parts out of order
  }
}
