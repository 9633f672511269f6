// SPDX-License-Identifier: MIT
// Tests of zip_file_system.hpp: stores in an uncompressed archive, opened in place, parts and folders included.
#include "support/files.hpp"
#include "support/native_bytes.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"
#include "support/zip_archives.hpp"

#include <stet/formats/zip_file_system.hpp>
#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <span>
#include <string>
#include <utility>
#include <vector>

using stet_test::outcome;

namespace {

std::string text_of_bytes(const stet_test::byte_vector& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// An archive of a store of one file, one of two parts at the top and in a folder, and a deflated member.
std::string pak_bytes() {
  stet_test::made_archive made;
  // So many bytes before the first store that its tensors are aligned to 64.
  const std::string first = "ai/brain.stet";
  made.members.emplace_back("fill", std::string(128 - 30 - 4 - (30 + first.size()), 'f'));
  made.members.emplace_back(first, text_of_bytes(stet_test::mixed_store().bytes));
  for (const auto& [name, bytes] : stet_test::files_of_two_parts()) {
    made.members.emplace_back("ai/" + name, text_of_bytes(bytes));
    made.members.emplace_back(name, text_of_bytes(bytes));
  }
  made.members.emplace_back("ai-notes", "notes");
  made.members.emplace_back("empty/", "");
  made.members.emplace_back("small", 8, "\3\0", 0);
  return made.bytes();
}

std::span<const std::byte> bytes_of_text(const std::string& text) { return std::as_bytes(std::span(text)); }

} // namespace

TEST_SUITE("zip_file_system") {
  TEST_CASE("a store at any offset of an archive is aligned with backing::read") {
    const stet_test::temp_folder folder;
    const std::vector<float> values{1, 2, 3};
    stet::writer out;
    out.add("w", values, {3});
    const auto saved = out.save_to_memory();
    REQUIRE(saved);
    for (std::size_t shift = 0; shift < 4; ++shift) {
      CAPTURE(shift);
      stet_test::made_archive made;
      made.members.emplace_back("fill", std::string(shift, 'f'));
      made.members.emplace_back("m.stet", text_of_bytes(*saved));
      const std::string archive = made.bytes();
      const auto pak = stet::zip_file_system::open(folder.write("pak.zip", bytes_of_text(archive)));
      REQUIRE(outcome(pak) == "ok");
      if (!pak) return;
      const auto read = stet::open("m.stet", {.backing = stet::backing::read, .files = &*pak});
      REQUIRE(outcome(read) == "ok");
      if (read) CHECK(outcome(read->get<float>("w")) == "ok");
      const auto in_place = stet::open("m.stet", {.files = &*pak});
      REQUIRE(outcome(in_place) == "ok");
      const bool is_misaligned = archive.find("\x89STET") % alignof(float) != 0;
      if (in_place) CHECK(outcome(in_place->get<float>("w")) == (is_misaligned ? "misaligned" : "ok"));
    }
  }

  TEST_CASE("a store in an archive is opened in place, by the archive's path or by its name alone") {
    const stet_test::temp_folder folder;
    const std::string path = folder.write("pak.zip", bytes_of_text(pak_bytes()));
    const auto pak = stet::zip_file_system::open(path);
    REQUIRE(outcome(pak) == "ok");
    if (!pak) return;
    CHECK(pak->member_count() == 11);
    for (const std::string& name : {path + "!ai/brain.stet", path + "!/ai/brain.stet", std::string("ai/brain.stet")}) {
      CAPTURE(name);
      const auto store = stet::open(name, {.files = &*pak});
      REQUIRE(outcome(store) == "ok");
      if (!store) return;
      CHECK(store->tensor_count() == 6);
      CHECK(outcome(store->verify_checksums()) == "ok");
      float values[6] = {};
      REQUIRE(store->find("tied")->copy_to(std::span<float>(values)));
      CHECK(values[5] == 6);
    }
    // In place: where the archive's bytes are, which are the member's.
    const auto bytes = pak->open_file("ai-notes"), again = pak->open_file(path + "!ai-notes");
    REQUIRE(bytes);
    REQUIRE(again);
    if (bytes && again) CHECK((bytes->data() == again->data() && bytes->size_bytes() == 5 && !bytes->is_writable()));
  }

  TEST_CASE("aligned members give aligned tensors") {
    const stet_test::exact_block block(bytes_of_text(pak_bytes()));
    const auto pak = stet::zip_file_system::open(stet::source::borrow(block.span()), "x.pak");
    REQUIRE(pak);
    if (!pak) return;
    const auto store = stet::open("x.pak!ai/brain.stet", {.files = &*pak});
    REQUIRE(store);
    if (!store) return;
    CHECK(reinterpret_cast<std::uintptr_t>(store->find("dense/kernel")->bytes().data()) % 64 == 0);
    CHECK(store->data().data() > block.span().data());
    CHECK(store->data().data() < block.span().data() + block.span().size());
  }

  TEST_CASE("parts are found beside the store, in a folder and at the top") {
    const std::string whole = pak_bytes();
    const auto pak = stet::zip_file_system::open(stet::source::borrow(bytes_of_text(whole)), "dir/x.pak");
    REQUIRE(pak);
    if (!pak) return;
    const std::string table = stet_test::files_of_two_parts().back().first;
    for (const std::string& name : {"dir/x.pak!ai/" + table, "dir/x.pak!/" + table, table}) {
      CAPTURE(name);
      const auto store = stet::open(name, {.files = &*pak});
      REQUIRE(outcome(store) == "ok");
      if (store) CHECK(outcome(store->verify_checksums()) == "ok");
    }
    CHECK(outcome(stet::open("dir/x.pak!" + table, {.files = &*pak})) == "missing_part");
  }

  TEST_CASE("what is no stored member says so") {
    const std::string whole = pak_bytes();
    const auto pak = stet::zip_file_system::open(stet::source::borrow(bytes_of_text(whole)), "x.pak");
    REQUIRE(pak);
    if (!pak) return;
    CHECK(outcome(pak->open_file("x.pak!ai/none")) == "file_not_found");
    CHECK(outcome(pak->open_file("y.pak!ai/brain.stet")) == "file_not_found");
    CHECK(outcome(pak->open_file("a")) == "file_not_found");
    CHECK(outcome(pak->open_file("x.pak!ai")) == "not_a_regular_file");
    CHECK(outcome(pak->open_file("ai/")) == "not_a_regular_file");
    CHECK(outcome(pak->open_file("empty")) == "not_a_regular_file");
    CHECK(outcome(pak->open_file("x.pak!")) == "not_a_regular_file");
    CHECK(outcome(pak->open_file("small")) == "compressed");

    std::vector<std::string> names;
    const auto note = [](void* visitor, std::string_view name) noexcept {
      static_cast<std::vector<std::string>*>(visitor)->emplace_back(name);
      return name != "brain.stet";
    };
    REQUIRE(pak->list_folder("x.pak!ai/", note, &names));
    CHECK(names == std::vector<std::string>{"brain.stet"}); // and there it was told to stop
    names.clear();
    REQUIRE(pak->list_folder("", note, &names));
    CHECK(names.size() == 6);
    CHECK(std::find(names.begin(), names.end(), "brain.stet") == names.end());
  }

  TEST_CASE("an archive that is damaged, cut off, or not in memory is refused") {
    const std::string whole = pak_bytes();
    const stet_test::temp_folder folder;
    const std::string path = folder.write("pak.zip", bytes_of_text(whole));
    CHECK(outcome(stet::zip_file_system::open(path, {.backing = stet::backing::stream})) == "not_resident");
    CHECK(outcome(stet::zip_file_system::open(path, {.backing = stet::backing::read})) == "ok");
    CHECK(outcome(stet::zip_file_system::open(folder.path("none.zip"))) == "file_not_found");
    for (std::size_t size = 0; size < whole.size(); size += 37) {
      const auto cut = stet::zip_file_system::open(stet::source::borrow(bytes_of_text(whole).first(size)), "x.pak");
      CHECK(outcome(cut) == (size < 22 ? "truncated" : "bad_archive"));
    }
  }
}
