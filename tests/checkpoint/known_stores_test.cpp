// SPDX-License-Identifier: MIT
// Tests of known_stores.hpp: which files a store needs, remembered only while they are the same.
#include <stet/checkpoint/detail/known_stores.hpp>

#include "program.hpp"

#include "support/allocations.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <thread>

using stet::detail::known_stores;
using stet::detail::store_kind;
using stet_test::outcome;
using stet_test::program;
using stet_test::temp_folder;

namespace {

/// Saves a program, or what it has changed since a base.
void save_store(const temp_folder& folder, const program& of, std::string_view name, std::string_view base_name = {},
                stet::store_form form = stet::store_form::single_file) {
  stet::writer out;
  if (base_name.empty()) {
    CHECK(outcome(stet::add_variables(out, of.variables)) == "ok");
  } else {
    const auto base = stet::open_checkpoint(folder.path(base_name));
    REQUIRE(outcome(base) == "ok");
    if (!base) return;
    CHECK(outcome(stet::add_changed(out, of.variables, *base)) == "ok");
  }
  stet::save_options options;
  options.is_durable = false;
  options.form = form;
  CHECK(outcome(out.save(folder.path(name), options)) == "ok");
}

/// Waits until the files written so far differ from any that comes by the time of their change.
void wait_until_settled() { std::this_thread::sleep_for(std::chrono::milliseconds(3200)); }

} // namespace

TEST_SUITE("known_stores") {
  TEST_CASE("remembers what did not change, and looks again at what did, down to the base and the parts") {
    const temp_folder folder;
    program of(100, 50);
    of.train();
    save_store(folder, of, "base", {}, stet::store_form::sharded);
    of.train();
    save_store(folder, of, "delta", "base");
    save_store(folder, of, "whole");
    folder.write("notes", "not a store");
    known_stores stores(folder.path() + "/");
    const auto allocations_of = [&](const char* name) {
      const stet_test::allocations seen;
      const auto known = stores.look_at(name);
      const std::uint64_t count = seen.count();
      CHECK(known);
      return count;
    };
    // What changed lately may change again without another time.
    const std::uint64_t first = allocations_of("delta");
    CHECK(allocations_of("delta") >= first / 2);
    wait_until_settled();
    for (const char* name : {"delta", "whole", "notes", "base"}) {
      CAPTURE(name);
      (void)allocations_of(name);
      const auto known = stores.look_at(name);
      CHECK((known && (*known)->is_final));
      const std::uint64_t again = allocations_of(name);
      if (std::string_view(name) != "notes" && stet_test::counts_allocations) CHECK(again < first / 4);
    }
    const auto delta = stores.look_at("delta");
    REQUIRE(delta);
    if (!delta) return;
    CHECK((*delta)->kind == store_kind::native);
    CHECK((*delta)->is_sound);
    CHECK((*delta)->base == "base");
    CHECK((*delta)->needs == std::vector<std::string>{"base"});
    CHECK((*delta)->seen.size() == 3);
    const auto notes = stores.look_at("notes");
    CHECK((notes && (*notes)->kind == store_kind::none && (*notes)->needs.empty()));

    // Written anew with bytes of the same size.
    const std::vector<std::byte> whole = folder.read("whole");
    std::vector<std::byte> other = whole;
    other[200] ^= std::byte{1};
    folder.write("whole", other);
    const auto damaged = stores.look_at("whole");
    CHECK((damaged && !(*damaged)->is_sound && (*damaged)->kind == store_kind::native));
    folder.write("whole", whole);
    const auto repaired = stores.look_at("whole");
    CHECK((repaired && (*repaired)->is_sound));

    // A file further down, which goes and comes back.
    const std::string part = [&] {
      const auto base = stores.look_at("base");
      return base && (*base)->needs.size() == 1 ? (*base)->needs[0] : std::string();
    }();
    REQUIRE(part.starts_with("base-00000-of-00001-"));
    for (const std::string& name : {part, std::string("base")}) {
      const std::vector<std::byte> bytes = folder.read(name);
      CHECK(outcome(stet::system_file_operations().remove(nullptr, folder.path(name))) == "ok");
      const auto unsound = stores.look_at("delta");
      CHECK((unsound && !(*unsound)->is_sound && !(*unsound)->is_final &&
             (*unsound)->needs == std::vector<std::string>{"base"}));
      folder.write(name, bytes);
      const auto sound = stores.look_at("delta");
      CHECK((sound && (*sound)->is_sound));
    }
    CHECK(outcome(stores.look_at("missing")) == "file_not_found");
    const std::uint64_t known_count = allocations_of("notes");
    stores.keep_only({"delta", "notes"});
    CHECK(allocations_of("notes") == known_count);
    stores.keep_only({"delta"});
    if (stet_test::counts_allocations) CHECK(allocations_of("notes") > known_count);
  }

  TEST_CASE("what stores need, over any number of bases, circles and gaps included") {
    const temp_folder folder;
    program of(100, 50);
    of.train();
    save_store(folder, of, "1", {}, stet::store_form::sharded);
    for (const char* const name : {"2", "3", "4"}) {
      of.train();
      save_store(folder, of, name, std::string(1, static_cast<char>(name[0] - 1)));
    }
    save_store(folder, of, "tuned.json", "2", stet::store_form::loose);
    known_stores stores(folder.path() + "/");
    const auto needed_by = [&](std::vector<std::string> names) {
      const auto needed = stores.needed_by(std::move(names));
      CHECK(outcome(needed) == "ok");
      std::string all;
      if (needed) {
        for (const std::string& each : *needed)
          all += each.substr(0, each.find("-0000")) + (each.find('-') == std::string::npos ? " " : ":part ");
      }
      return all;
    };
    CHECK(needed_by({}).empty());
    CHECK(needed_by({"1"}) == "1:part ");
    CHECK(needed_by({"4"}) == "1 1:part 2 3 ");
    CHECK(needed_by({"tuned.json", "missing"}) == "1 1:part 2 tuned:part ");
    CHECK(outcome(stet::system_file_operations().remove(nullptr, folder.path("2"))) == "ok");
    CHECK(needed_by({"4"}) == "2 3 ");
    folder.write("2", folder.read("4")); // 2 needs 3, and 3 needs 2
    CHECK(needed_by({"4"}) == "2 3 ");
    const auto circle = stores.look_at("4");
    CHECK((circle && !(*circle)->is_sound));
  }

  TEST_CASE("what is left of a damaged store still tells what it needs; other files need nothing") {
    const temp_folder folder;
    program of(100, 50);
    of.train();
    save_store(folder, of, "base.stet");
    of.train();
    save_store(folder, of, "delta.stet", "base.stet", stet::store_form::sharded);
    known_stores stores(folder.path() + "/");
    const std::vector<std::byte> sound = folder.read("delta.stet");
    const auto needs_of = [&](const char* name) {
      const auto known = stores.look_at(name);
      CHECK(outcome(known) == "ok");
      return known ? (*known)->needs : std::vector<std::string>{"failed"};
    };
    const std::vector<std::string> needs = needs_of("delta.stet");
    REQUIRE(needs.size() == 2);
    std::vector<std::byte> bytes = sound;
    const auto header = stet::decode_header(std::span(bytes).first(stet::file_header::size_bytes), bytes.size());
    REQUIRE(header);
    if (!header) return;
    bytes[static_cast<std::size_t>(header->index_offset_bytes) + 20] ^= std::byte{1};
    folder.write("delta.stet", bytes);
    CHECK(needs_of("delta.stet").back() == "base.stet");
    folder.write("delta.stet", sound);
    CHECK(outcome(stet::system_file_operations().remove(nullptr, folder.path("base.stet"))) == "ok");
    CHECK(needs_of("delta.stet") == needs); // its parts, too
    for (const char* const text :
         {"", "{", "{\"base\": 5}", "  \n{\"base\": {\"file\": \"base.stet\"}}", "[\"base\"]", "x"}) {
      folder.write("other", std::string_view(text));
      CHECK(needs_of("other").empty());
    }
    for (const std::size_t size : {1u, 8u, 95u, 96u, 200u}) {
      folder.write("other", std::span(sound).first(size));
      CHECK(needs_of("other").empty());
    }
    CHECK(needs_of(".").empty()); // a folder
  }
}
