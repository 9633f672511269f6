// SPDX-License-Identifier: MIT
// Opening with an allocator of the program: the heap is not touched, nothing is lost, and no memory is an error.
#if __has_include(<memory_resource>) // the libc++ of LLVM 14 has none
#include <memory_resource>

#include <stet/ext/pmr.hpp>
#endif

#include "support/allocations.hpp"
#include "support/counted_memory.hpp"
#include "support/files.hpp"
#include "support/outcome.hpp"
#include "support/own_files.hpp"

#include <stet/store/open.hpp>

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace stet_test;
using stet::backing;
using stet::errc;

/// A store of two parts on the disk.
struct folder_of_parts {
  temp_folder folder;
  std::string path;

  folder_of_parts() {
    for (const auto& [name, bytes] : files_of_two_parts()) path = folder.write(name, bytes); // the table is the last
  }
};

/// Looks at all of a store as a program does. Allocates nothing itself.
bool use_whole_store(const stet::store& of) {
  bool is_sound = of.verify_checksums() && of.prefetch();
  std::array<std::byte, 256> into;
  for (const stet::tensor each : of) {
    is_sound = is_sound && of.find(each.name()) && each.size_bytes() <= into.size() &&
               each.read(0, std::span(into).first(static_cast<std::size_t>(each.size_bytes())));
    (void)each.as<float>();
    (void)each.as_strings();
  }
  return is_sound;
}

constexpr backing all_backings[] = {backing::map, backing::read, backing::stream};

} // namespace

TEST_SUITE("own memory") {
  TEST_CASE("files, handles, readers and the program's files are opened, used and closed without the heap") {
    const folder_of_parts sharded;
    const auto mixed = mixed_store();
    const std::string single = sharded.folder.write("single.stet", mixed.bytes);
    const memory_reader reader(mixed.bytes);
    const auto opened = stet::file::open(single);
    REQUIRE(opened);
    if (!opened) return;
    for (const backing how : all_backings) {
      CAPTURE(static_cast<int>(how));
      counted_memory memory;
      own_files files(given::on_demand, &memory), resident(given::in_place);
      for (own_files* const each : {&files, &resident}) {
        each->add("pak/single.stet", mixed.bytes);
        each->load("pak", sharded.folder.path());
      }
      stet::open_options options;
      options.backing = how;
      options.memory = &memory;
      stet::open_options own = options, in_place = options;
      own.files = &files;
      in_place.files = &resident;
      const allocations heap;
      int sound = 0;
      for (const char* const path : {single.c_str(), sharded.path.c_str()}) {
        const auto store = stet::open(path, options);
        sound += store && use_whole_store(*store);
      }
      {
        const auto store = stet::open(opened->handle(), options);
        sound += store && use_whole_store(*store);
      }
      for (const char* const path : {"pak/single.stet", "pak/model.stet"}) {
        for (const stet::open_options* const each : {&own, &in_place}) {
          const auto store = stet::open(path, *each);
          sound += store && use_whole_store(*store);
        }
      }
      if (how != backing::map) {
        auto store = stet::open(reader, {.backing = how, .memory = &memory});
        auto moved = std::move(store);
        sound += moved && use_whole_store(*moved);
      }
      const std::uint64_t count = heap.count();
      CHECK(count == 0);
      CHECK(sound == (how == backing::map ? 7 : 8));
      CHECK(memory.count() > 0); // parts at least
      CHECK(memory.live() == 0);
      CHECK(memory.is_sound());
    }
  }

  TEST_CASE("all bytes that are read come from it, at the alignment of pages") {
    const auto mixed = mixed_store();
    const temp_folder folder;
    counted_memory memory;
    const auto store =
        stet::open(folder.write("model.stet", mixed.bytes), {.backing = backing::read, .memory = &memory});
    REQUIRE(store);
    if (!store) return;
    CHECK(memory.count() == 1);
    CHECK(memory.bytes() == mixed.bytes.size());
    CHECK(memory.live() == 1);
    CHECK(reinterpret_cast<std::uintptr_t>(store->data().data()) % 65536 == 0);
  }

  TEST_CASE(
      "without memory, whichever allocation it is that gets none, opening is errc::out_of_memory and loses nothing") {
    const folder_of_parts sharded;
    for (const backing how : all_backings) {
      CAPTURE(static_cast<int>(how));
      bool has_opened = false;
      for (std::uint64_t fails_at = 0; !has_opened && fails_at < 20; ++fails_at) {
        counted_memory memory(fails_at);
        {
          const auto store = stet::open(sharded.path, {.backing = how, .memory = &memory});
          has_opened = static_cast<bool>(store);
          CHECK(outcome(store) == (has_opened ? "ok" : "out_of_memory"));
          CHECK(memory.count() == fails_at);
        }
        CHECK(memory.live() == 0);
      }
      CHECK(has_opened);
    }
  }

#if __has_include(<memory_resource>)
  TEST_CASE("a resource of the standard library serves, too, and says when it is used up") {
    const auto mixed = mixed_store();
    const memory_reader reader(mixed.bytes);
    std::vector<std::byte> room(200000);
    const allocations heap;
    std::uint64_t count = 0;
    bool is_sound = false;
    {
      std::pmr::monotonic_buffer_resource arena(room.data(), room.size(), std::pmr::null_memory_resource());
      stet::pmr_memory memory(arena);
      const auto store = stet::open(reader, {.backing = backing::read, .memory = &memory});
      is_sound = store && use_whole_store(*store);
      count = heap.count();
    }
    CHECK(is_sound);
    CHECK(count == 0);
#if defined(__cpp_exceptions) // which is how such a resource says it
    std::pmr::monotonic_buffer_resource small(room.data(), 100, std::pmr::null_memory_resource());
    stet::pmr_memory memory(small);
    CHECK(outcome(stet::open(reader, {.backing = backing::read, .memory = &memory})) == "out_of_memory");
#endif
  }
#endif
}
