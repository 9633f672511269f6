// SPDX-License-Identifier: MIT
// Tests of open.hpp: every way to a store, what may be written to it, parts, and readers that fail.
#include "support/byte_order.hpp"
#include "support/files.hpp"

#include <stet/store/open.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <string>

using stet::access;
using stet::backing;
using stet::errc;
using stet_test::bytes_of;
using stet_test::code_of;
using stet_test::elements_of;
using stet_test::native_file;
using stet_test::tensor_of;
using stet_test::view_of_words;

namespace {

/// A store that can be written to in place in either byte order: bytes, another name for them, and a word.
native_file writable_store() {
  std::vector<stet_test::native_tensor> tensors{tensor_of<std::uint8_t>("codes", {3}, {1, 2, 3})};
  tensors.push_back(stet_test::alias_of("tied", tensors, 0));
  tensors.push_back(tensor_of<std::int64_t>("step", {}, {42}));
  return native_file(tensors);
}

/// Parts that lie in memory.
class two_parts_in_memory final : public stet::file_system {
public:
  std::vector<std::pair<std::string, stet_test::byte_vector>> parts;
  [[nodiscard]] stet::result<stet::source> open_file(std::string_view name) const noexcept override {
    for (const auto& [known, bytes] : parts) {
      if (known == name) return stet::source::borrow(bytes);
    }
    return stet::error(errc::file_not_found, "another name");
  }
};

/// A store of two parts, one tensor in each, and the parts.
struct two_part_store {
  stet_test::byte_vector first = stet_test::native_part(0, 2, 11, bytes_of<float>({1, 2}));
  stet_test::byte_vector second = stet_test::native_part(1, 2, 22, bytes_of<std::uint8_t>({3}));
  native_file store;

  two_part_store() : store(tensors(), options()) {}
  [[nodiscard]] std::vector<stet_test::native_tensor> tensors() const {
    std::vector<stet_test::native_tensor> made{tensor_of<float>("a", {2}, {1, 2}),
                                               tensor_of<std::uint8_t>("b", {1}, {3})};
    made[0].offset_bytes = 128;
    made[1].offset_bytes = 128;
    made[1].part = 1;
    return made;
  }
  [[nodiscard]] native_file::options options() const {
    native_file::options with;
    with.parts = {{"model-0.stet", first.size(), 11, true}, {"model-1.stet", second.size(), 22, true}};
    return with;
  }
  [[nodiscard]] two_parts_in_memory in_memory() const {
    two_parts_in_memory made;
    made.parts = {{"model-0.stet", first}, {"model-1.stet", second}};
    return made;
  }
};

stet::result<stet::store> open_with(const native_file& file, const stet::file_system& parts) {
  return stet::open(file.bytes, {.files = &parts});
}

} // namespace

TEST_SUITE("open") {
  TEST_CASE("every way gives the same tensors") {
    const auto file = stet_test::mixed_store();
    const stet_test::every_way ways;
    std::size_t opened = 0;
    ways.open(file.bytes, [&](const stet_test::way_to_open& way, stet::result<stet::store>&& store) {
      CAPTURE(way.name);
      REQUIRE(store);
      if (!store) return;
      ++opened;
      CHECK(store->tensor_count() == 6);
      CHECK(store->manifest_text() == "{}");
      float values[6] = {};
      CHECK(code_of(store->find("tied")->copy_to(std::span<float>(values))) == errc{});
      CHECK(values[5] == 6);
      CHECK(store->find("tied")->is_in_place() == (way.is_resident && stet_test::can_view_words));
      CHECK(code_of(store->verify_checksums()) == errc{});
    });
    CHECK(opened == stet_test::every_way::way_count);
  }

  TEST_CASE("copy-on-write: tensors can be written to, the file stays") {
    const auto file = writable_store();
    const stet_test::temp_folder folder;
    const std::string path = folder.write("m.stet", file.bytes);
    stet::open_options options;
    options.access = access::copy_on_write;
    {
      const auto store = stet::open(path, options);
      REQUIRE(store);
      if (!store) return;
      const auto codes = store->find("codes")->as_writable<std::uint8_t>();
      REQUIRE(codes);
      if (!codes) return;
      (*codes)[0] = 77;
      CHECK((*store->get<std::uint8_t>("tied"))[0] == 77);
      CHECK(code_of(store->find("codes")->verify_checksum()) == errc::checksum_mismatch);
      const auto step = store->find("step")->as_writable<std::int64_t>();
      CHECK(code_of(step) == view_of_words());
      if (step) (*step)[0] = 43;
      CHECK(elements_of<std::int64_t>(store->find("step"))[0] == (step ? 43 : 42));
      CHECK(code_of(store->evict()) == errc::unsupported);
    }
    CHECK(folder.read("m.stet") == file.bytes);
  }

  TEST_CASE("shared-write: what is written reaches the file") {
    const auto file = writable_store();
    const stet_test::temp_folder folder;
    const std::string path = folder.write("m.stet", file.bytes);
    stet::open_options options;
    options.access = access::shared_write;
    {
      const auto store = stet::open(path, options);
      if (code_of(store) == errc::unsupported) {
        MESSAGE("skipped: no shared mappings on this platform");
        return;
      }
      REQUIRE(store);
      if (!store) return;
      const auto codes = store->find("codes")->as_view<std::uint8_t, 3>();
      REQUIRE(codes);
      if (!codes) return;
      (*codes)(1) = 77;
      const auto step = store->find("step")->as_view<std::int64_t>();
      CHECK(code_of(step) == view_of_words());
      if (step) (*step)() = 43;
      CHECK(code_of(store->data().flush(0, store->data().size_bytes())) == errc{});
    }
    const auto again = stet::open(path);
    REQUIRE(again);
    if (!again) return;
    CHECK(elements_of<std::uint8_t>(again->find("tied")) == std::vector<std::uint8_t>{1, 77, 3});
    CHECK(elements_of<std::int64_t>(again->find("step"))[0] == (stet_test::can_view_words ? 43 : 42));
    CHECK(code_of(again->verify_checksums()) == errc::checksum_mismatch);
  }

  TEST_CASE("by default nothing can be written to; memory that was read into can") {
    const auto file = writable_store();
    const stet_test::temp_folder folder;
    const std::string path = folder.write("m.stet", file.bytes);
    const auto mapped = stet::open(path);
    REQUIRE(mapped);
    if (!mapped) return;
    CHECK(code_of(mapped->find("codes")->as_writable<std::uint8_t>()) == errc::read_only);
    CHECK(code_of(mapped->find("step")->as_writable<std::int64_t>()) == view_of_words(errc::read_only));
    stet::open_options options;
    options.backing = backing::read;
    const auto read = stet::open(path, options);
    REQUIRE(read);
    if (!read) return;
    CHECK(code_of(read->find("codes")->as_writable<std::uint8_t>()) == errc{});
    CHECK(code_of(read->find("step")->as_writable<std::int64_t>()) == view_of_words());
    stet_test::exact_block block(file.bytes);
    const auto borrowed = stet::open(block.span());
    REQUIRE(borrowed);
    if (!borrowed) return;
    CHECK(code_of(borrowed->find("codes")->as_writable<std::uint8_t>()) == errc{});
    CHECK(code_of(borrowed->find("step")->as_writable<std::int64_t>()) == view_of_words());
  }

  TEST_CASE("a package holds stores at any offset; ranges outside of it are refused") {
    const auto file = stet_test::mixed_store();
    const stet_test::temp_folder folder;
    for (const std::size_t lead : {0u, 1u, 63u, 64u, 4095u, 4096u, 5000u}) {
      stet_test::byte_vector package(lead, std::byte{1});
      package.insert(package.end(), file.bytes.begin(), file.bytes.end());
      package.insert(package.end(), 10, std::byte{2});
      const std::string path = folder.write("package", package);
      for (const backing how : {backing::map, backing::read, backing::stream}) {
        stet::open_options options;
        options.backing = how;
        options.range = {lead, file.bytes.size()};
        const auto store = stet::open(path, options);
        REQUIRE(store);
        if (!store) return;
        std::int64_t step[1] = {};
        CHECK(code_of(store->find("step")->copy_to(std::span<std::int64_t>(step))) == errc{});
        CHECK(step[0] == 42);
        options.range.size_bytes = file.bytes.size() + 10;
        CHECK(code_of(stet::open(path, options)) == errc::trailing_bytes);
        options.range.size_bytes = stet::file_range::to_end;
        CHECK(code_of(stet::open(path, options)) == errc::trailing_bytes);
        options.range.size_bytes = file.bytes.size() - 1;
        CHECK(code_of(stet::open(path, options)) == errc::truncated);
        options.range.size_bytes = 0;
        CHECK(code_of(stet::open(path, options)) == errc::truncated);
        options.range.size_bytes = file.bytes.size() + 11;
        CHECK(code_of(stet::open(path, options)) == errc::bad_range);
        options.range = {package.size() + 1, 0};
        CHECK(code_of(stet::open(path, options)) == errc::bad_range);
        options.range = {lead, stet::file_range::to_end - 1};
        CHECK(code_of(stet::open(path, options)) == errc::bad_range);
        options.range = {stet::file_range::to_end, 1};
        CHECK(code_of(stet::open(path, options)) == errc::bad_range);
      }
    }
  }

  TEST_CASE("errors name the path") {
    const stet_test::temp_folder folder;
    const auto missing = stet::open(folder.path("none.stet"));
    CHECK(code_of(missing) == errc::file_not_found);
    CHECK(missing.error().subject() ==
          std::string_view(folder.path("none.stet")).substr(0, stet::error::max_subject_bytes));
    const std::string path = folder.write("empty.stet", std::string_view());
    const auto empty = stet::open(path);
    CHECK(code_of(empty) == errc::truncated);
    CHECK_FALSE(empty.error().subject().empty());
    CHECK(code_of(stet::open(folder.path())) == errc::not_a_regular_file);
    CHECK(code_of(stet::open("")) == errc::bad_path);
    CHECK(code_of(stet::open(std::string_view("a\0b", 3))) == errc::bad_path);
  }

  TEST_CASE("a file without an index says how to open it") {
    stet_test::native_file file(std::vector<stet_test::native_tensor>{});
    file.set(48, std::uint64_t{0}).set(56, std::uint64_t{0}).seal();
    const auto store = stet::open(std::span<const std::byte>(file.bytes));
    CHECK(code_of(store) == errc::no_index);
  }

  TEST_CASE("a reader that fails at its k-th call fails the open or the copy, whatever k is") {
    const auto file = stet_test::mixed_store();
    for (const backing how : {backing::stream, backing::read}) {
      bool has_opened = false;
      for (int k = 0; k < 6; ++k) {
        const stet_test::memory_reader reader(file.bytes, k);
        const auto store = stet::open(reader, {.backing = how});
        if (!store) {
          CHECK_FALSE(has_opened);
          CHECK(code_of(store) == errc::io_error);
          continue;
        }
        has_opened = true;
        float values[6] = {};
        const errc copied = code_of(store->find("tied")->copy_to(std::span<float>(values)));
        CHECK((copied == errc{} || (how == backing::stream && copied == errc::io_error)));
      }
      CHECK(has_opened);
      const stet_test::memory_reader at_last(file.bytes, how == backing::stream ? 2 : 1);
      const auto store = stet::open(at_last, {.backing = how});
      REQUIRE(store);
      if (!store) return;
      CHECK(code_of(store->verify_checksums()) == (how == backing::stream ? errc::io_error : errc{}));
    }
    const stet_test::memory_reader reader(file.bytes);
    CHECK(code_of(stet::open(reader, {.access = stet::access::copy_on_write})) == errc::unsupported);
  }

  TEST_CASE("a reader whose bytes end early fails with its own error") {
    class short_reader final : public stet::byte_reader {
    public:
      explicit short_reader(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}
      [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return bytes_.size(); }
      [[nodiscard]] stet::result<void> read(std::uint64_t offset, std::span<std::byte> into) const noexcept override {
        if (offset + into.size() > 600) return errc::truncated;
        std::memcpy(into.data(), bytes_.data() + offset, into.size());
        return {};
      }

    private:
      std::span<const std::byte> bytes_;
    };
    const auto file = stet_test::mixed_store();
    const short_reader reader(file.bytes);
    CHECK(code_of(stet::open(reader)) == errc::truncated);
    CHECK(code_of(stet::open(reader, {.backing = backing::read})) == errc::truncated);
  }

  TEST_CASE("a sharded store finds its parts, in memory and beside it") {
    const two_part_store model;
    const auto in_memory = model.in_memory();
    const auto store = open_with(model.store, in_memory);
    REQUIRE(store);
    if (!store) return;
    CHECK(elements_of<float>(store->find("a")) == std::vector<float>{1, 2});
    CHECK(elements_of<std::uint8_t>(store->find("b")) == std::vector<std::uint8_t>{3});
    CHECK(store->part(1).size_bytes() == model.second.size());
    CHECK(code_of(store->verify_checksums()) == errc{});
    CHECK(code_of(store->prefetch()) == errc{});

    const stet_test::temp_folder folder;
    folder.write("model-0.stet", model.first);
    folder.write("model-1.stet", model.second);
    const std::string path = folder.write("model.stet", model.store.bytes);
    for (const backing how : {backing::map, backing::read, backing::stream}) {
      stet::open_options options;
      options.backing = how;
      const auto opened = stet::open(path, options);
      REQUIRE(opened);
      if (!opened) return;
      std::uint8_t value[1] = {};
      CHECK(code_of(opened->find("b")->copy_to(std::span<std::uint8_t>(value))) == errc{});
      CHECK(value[0] == 3);
      CHECK(code_of(opened->verify_checksums()) == errc{});
    }
  }

  TEST_CASE("parts of a writable store can be written to") {
    const two_part_store model;
    const stet_test::temp_folder folder;
    folder.write("model-0.stet", model.first);
    folder.write("model-1.stet", model.second);
    const std::string path = folder.write("model.stet", model.store.bytes);
    stet::open_options options;
    options.access = access::shared_write;
    {
      const auto store = stet::open(path, options);
      if (code_of(store) == errc::unsupported) {
        MESSAGE("skipped: no shared mappings on this platform");
        return;
      }
      REQUIRE(store);
      if (!store) return;
      (*store->find("b")->as_writable<std::uint8_t>())[0] = 9;
    }
    CHECK(elements_of<std::uint8_t>(stet::open(path).value().find("b"))[0] == 9);
  }
}

TEST_CASE("every door takes a range, parts and a place for memory") {
  const auto file = stet_test::mixed_store();
  stet_test::byte_vector package(100, std::byte{0x55});
  package.insert(package.end(), file.bytes.begin(), file.bytes.end());
  package.resize(package.size() + 7);
  stet::open_options options;
  options.range = {100, file.bytes.size()};
  const auto is_whole = [&](const stet::result<stet::store>& opened) {
    CHECK(code_of(opened) == errc{});
    return opened && opened->tensor_count() == 6 && opened->verify_checksums();
  };
  const std::span<std::byte> bytes = package;
  CHECK(is_whole(stet::open(package, options)));
  CHECK(is_whole(stet::open(std::span<const std::byte>(bytes), options)));
  CHECK(is_whole(stet::open(bytes, options)));
  CHECK(is_whole(stet::open(stet::source::borrow(bytes), options)));
  const stet_test::memory_reader reader(package);
  CHECK(is_whole(stet::open(reader, options)));
  options.backing = backing::read;
  CHECK(is_whole(stet::open(reader, options)));
  options.range.size_bytes += 8;
  CHECK(code_of(stet::open(bytes, options)) == errc::bad_range);
  CHECK(code_of(stet::open(stet::source::borrow(bytes), options)) == errc::bad_range);

  const two_part_store sharded;
  CHECK(code_of(stet::open(sharded.store.bytes)) == errc::missing_part);
  const auto parts = sharded.in_memory();
  const stet_test::memory_reader table(sharded.store.bytes);
  stet_test::byte_vector copy = sharded.store.bytes;
  const auto has_parts = [](const stet::result<stet::store>& opened) {
    return opened && elements_of<float>(opened->find("a")) == std::vector<float>{1, 2};
  };
  CHECK(has_parts(stet::open(sharded.store.bytes, {.files = &parts})));
  CHECK(has_parts(stet::open(table, {.files = &parts})));
  CHECK(has_parts(stet::open(std::span<std::byte>(copy), {.files = &parts})));
}

TEST_CASE("memory of bytes, of unsigned char, and that may be written to") {
  auto file = writable_store();
  const std::vector<unsigned char> chars(reinterpret_cast<const unsigned char*>(file.bytes.data()),
                                         reinterpret_cast<const unsigned char*>(file.bytes.data()) + file.bytes.size());
  const auto from_chars = stet::open(chars);
  REQUIRE(from_chars);
  if (from_chars) CHECK_FALSE(from_chars->find("codes")->is_writable());
  alignas(64) static unsigned char in_flash[4096];
  REQUIRE(chars.size() <= sizeof in_flash);
  std::memcpy(in_flash, chars.data(), chars.size());
  CHECK(code_of(stet::open(in_flash)) == errc::trailing_bytes);
  CHECK(stet::open(in_flash, {.range = {0, chars.size()}}).has_value());

  const auto vector = stet::open(file.bytes);
  REQUIRE(vector);
  if (vector) CHECK_FALSE(vector->find("codes")->is_writable());
  const auto span = stet::open(std::span(file.bytes));
  REQUIRE(span);
  if (span) CHECK(span->find("codes")->is_writable());
}

#if !defined(__wasi__) // whose C++ library has no <filesystem>
TEST_CASE("the path of a std::filesystem::path") {
  const stet_test::temp_folder folder;
  const std::string path = folder.write("m\xC3\xB6"
                                        "del.stet",
                                        stet_test::mixed_store().bytes);
  const std::filesystem::path native(reinterpret_cast<const char8_t*>(path.c_str()));
  const auto opened = stet::open(native);
  REQUIRE(opened);
  if (opened) CHECK(opened->contains("tied"));
  CHECK(code_of(stet::open(native.parent_path() / "none", {.backing = backing::read})) == errc::file_not_found);
}
#endif

TEST_CASE("shared writing to what is not mapped is refused") {
  const stet_test::temp_folder folder;
  const std::string path = folder.write("model.stet", writable_store().bytes);
  for (const backing where : {backing::read, backing::stream}) {
    stet::open_options options;
    options.access = access::shared_write;
    options.backing = where;
    const auto opened = stet::open(path, options);
    CHECK(code_of(opened) == errc::unsupported);
    CHECK(opened.error().subject().ends_with("model.stet"));
    options.access = access::read_only;
    CHECK(stet::open(path, options));
  }
}

TEST_CASE("a store is no part of itself, and a part is opened once") {
  const stet_test::temp_folder folder;
  std::vector<stet_test::native_tensor> tensors{tensor_of<std::uint8_t>("a", {1}, {1})};
  tensors[0].offset_bytes = 128;
  const auto write = [&](std::vector<stet::index_part> parts) {
    native_file::options options;
    options.parts = std::move(parts);
    return folder.write("model.stet", native_file(tensors, options).bytes);
  };
  folder.write("a.bin", std::string(192, 'x'));
  folder.write("b.bin", std::string(192, 'x'));
  CHECK(code_of(stet::open(write({{"a.bin", 192, 0, false}, {"b.bin", 192, 0, false}}))) == errc());
  CHECK(code_of(stet::open(write({{"a.bin", 192, 0, false}, {"b.bin", 192, 0, false}, {"a.bin", 192, 0, false}}))) ==
        errc::duplicate_part);
  CHECK(code_of(stet::open(write({{"model.stet", 192, 0, false}}))) == errc::bad_path);
  CHECK(code_of(stet::open(write({{"NUL.txt", 192, 0, false}}))) == errc::bad_path);
}

TEST_CASE("an indexed file with a manifest or an index that is too large is refused before they are read") {
  class header_only final : public stet::byte_reader {
  public:
    explicit header_only(std::span<const std::byte> head) : head_(head) {}
    [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return std::uint64_t{3} << 30; }
    [[nodiscard]] stet::result<void> read(std::uint64_t offset, std::span<std::byte> into) const noexcept override {
      if (offset != 0 || into.size() > head_.size()) return errc::io_error;
      std::copy_n(head_.begin(), into.size(), into.begin());
      return {};
    }

  private:
    std::span<const std::byte> head_;
  };
  const struct {
    std::uint64_t manifest_size_bytes, index_size_bytes;
    errc code;
    std::string_view subject;
  } table[] = {
      {stet::max_manifest_size_bytes + 1, 64, errc::too_large, "manifest"},
      {2, stet::max_index_size_bytes + 64, errc::too_large, "index"},
      {2, stet::max_index_size_bytes, errc::io_error, ""}, // is read
  };
  for (const auto& each : table) {
    CAPTURE(each.index_size_bytes);
    stet::file_header header;
    header.alignment_bytes = 64;
    header.manifest_size_bytes = each.manifest_size_bytes;
    header.index_size_bytes = each.index_size_bytes;
    CHECK(stet::place_sections(header));
    std::byte head[stet::file_header::size_bytes];
    header.file_size_bytes = std::uint64_t{3} << 30;
    header.data_size_bytes = header.file_size_bytes - header.data_offset_bytes;
    stet::encode_header(header, head);
    const header_only sparse(head);
    const auto opened = stet::open(sparse);
    CHECK(code_of(opened) == each.code);
    CHECK(opened.error().subject() == each.subject);
  }
}
