// SPDX-License-Identifier: MIT
// Stores in a program's own files: in place or on demand, of one file and of several, and what such files refuse.
#include "support/files.hpp"
#include "support/outcome.hpp"
#include "support/own_files.hpp"

#include <stet/store/open.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <string>
#include <vector>

namespace {

using namespace stet_test;
using stet::backing;
using stet::errc;

/// The files of a store of two parts, below "assets/".
void add_files_of_parts(own_files& to) {
  for (const auto& [name, bytes] : files_of_two_parts()) to.add("assets/" + name, bytes);
}

/// Files whose memory may be written to.
class writable_files final : public stet::file_system {
public:
  mutable byte_vector bytes;
  [[nodiscard]] stet::result<stet::source> open_file(std::string_view) const noexcept override {
    return stet::source::borrow_writable(bytes);
  }
};

} // namespace

TEST_SUITE("own files") {
  TEST_CASE("parts are looked for beside the store, in the same file system") {
    for (const given how : {given::in_place, given::on_demand}) {
      for (const backing wanted : {backing::map, backing::read, backing::stream}) {
        CAPTURE(static_cast<int>(how));
        CAPTURE(static_cast<int>(wanted));
        own_files files(how);
        add_files_of_parts(files);
        const auto store = stet::open("assets/model.stet", {.backing = wanted, .files = &files});
        REQUIRE(outcome(store) == "ok");
        if (!store) return;
        CHECK(files.opened() == 3);
        const auto found = store->find("b");
        REQUIRE(found);
        if (!found) return;
        float value = 0;
        CHECK(found->copy_to(std::span(&value, 1)));
        CHECK(value == 3);
        const bool is_in_place = how == given::in_place || wanted == backing::read;
        constexpr bool is_other_order = std::endian::native == std::endian::big;
        CHECK(outcome(store->get<float>("b")) == (!is_in_place     ? "not_resident"
                                                  : is_other_order ? "wrong_byte_order"
                                                                   : "ok"));
        CHECK(outcome(store->verify_checksums()) == "ok");
        CHECK(store->prefetch());
        CHECK(store->evict());
      }
    }
  }

  TEST_CASE("what the file system refuses, is said about the file") {
    own_files files(given::in_place);
    add_files_of_parts(files);
    files.remove("assets/model-1.stet");
    const auto without_part = stet::open("assets/model.stet", {.files = &files});
    CHECK(outcome(without_part) == "missing_part");
    if (!without_part) CHECK(without_part.error().subject() == "model-1.stet");
    const auto missing = stet::open("assets/none.stet", {.files = &files});
    CHECK(outcome(missing) == "file_not_found");
    if (!missing) CHECK(missing.error().subject() == "assets/none.stet");
    CHECK(outcome(stet::open("assets", {.files = &files})) == "not_a_regular_file");
    files.add("assets/model-1.stet", native_part(1, 2, 23, bytes_of<float>({3})));
    CHECK(outcome(stet::open("assets/model.stet", {.files = &files})) == "part_mismatch");
  }

  TEST_CASE("the store may be a range of a file, in place and on demand") {
    const auto mixed = mixed_store();
    byte_vector package(192, std::byte{0x55});
    package.insert(package.end(), mixed.bytes.begin(), mixed.bytes.end());
    package.resize(package.size() + 100, std::byte{0xAA});
    for (const given how : {given::in_place, given::on_demand}) {
      CAPTURE(static_cast<int>(how));
      own_files files(how);
      files.add("p", package);
      stet::open_options options{.range = {192, mixed.bytes.size()}, .files = &files};
      const auto store = stet::open("p", options);
      REQUIRE(outcome(store) == "ok");
      if (!store) return;
      CHECK(outcome(store->verify_checksums()) == "ok");
      CHECK(store->data().size_bytes() == mixed.bytes.size());
      options.range.size_bytes = package.size();
      CHECK(outcome(stet::open("p", options)) == "bad_range");
    }
  }

  TEST_CASE("tensors may be written to where the memory may") {
    writable_files files;
    files.bytes = native_file({tensor_of<float>("a", {2}, {1, 2})}).bytes;
    if (std::endian::native == std::endian::big) return; // which sees no floats in place
    const auto store = stet::open("any", {.access = stet::access::shared_write, .files = &files});
    REQUIRE(outcome(store) == "ok");
    if (!store) return;
    const auto elements = store->find("a")->as_writable<float>();
    REQUIRE(elements);
    if (!elements) return;
    (*elements)[1] = 5;
    const auto again = stet::open("any", {.files = &files});
    REQUIRE(again);
    if (again) CHECK((*again->get<float>("a"))[1] == 5);
    own_files read_only(given::in_place);
    add_files_of_parts(read_only);
    for (const stet::access wanted : {stet::access::shared_write, stet::access::copy_on_write})
      CHECK(outcome(stet::open("assets/model.stet", {.access = wanted, .files = &read_only})) == "unsupported");
  }

  TEST_CASE("a part of a mapping keeps its pages' calls, and a part of what is on demand its own bytes") {
    const temp_folder folder;
    const byte_vector bytes = pattern(300000);
    auto whole = stet::source::map(folder.write("f", bytes));
    REQUIRE(whole);
    if (!whole) return;
    const auto part = stet::source::part_of(std::move(*whole), {5001, 200000});
    REQUIRE(part);
    if (!part) return;
    CHECK(part->size_bytes() == 200000);
    CHECK(std::equal(part->data(), part->data() + 200000, bytes.begin() + 5001));
    CHECK(part->prefetch(0, 200000));
    CHECK(part->evict(199999, 1));
    CHECK(outcome(part->prefetch(0, 200001)) == "bad_range");
    CHECK(part->data()[150000] == bytes[155001]);

    const memory_reader reader(bytes);
    const auto fetched = stet::source::part_of(stet::source::stream(reader), {5001, 10});
    REQUIRE(fetched);
    if (!fetched) return;
    std::byte read[10];
    CHECK(fetched->read_at(0, read));
    CHECK(std::equal(read, read + 10, bytes.begin() + 5001));
    CHECK(outcome(fetched->read_at(1, read)) == "bad_range");
    CHECK(outcome(stet::source::part_of(stet::source::stream(reader), {300001, 0})) == "bad_range");
  }
}
