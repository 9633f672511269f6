// SPDX-License-Identifier: MIT
// Tests of live_store.hpp: what is published is found, what is damaged is not, and readers keep what they
// have.
#include "support/counted_memory.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <stet/checkpoint/live_store.hpp>
#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#if STET_FILES

using stet::live_store;
using stet_test::outcome;

namespace {

constexpr std::size_t value_count = 20000;

/// Publishes a store whose every value is its version.
bool publish(const std::string& path, std::uint32_t version) {
  const std::vector<std::uint32_t> values(value_count, version);
  stet::writer out;
  out.add("first", values, {value_count});
  out.add("second", values, {value_count});
  stet::save_options options;
  options.is_durable = false;
  return static_cast<bool>(out.save(path, options));
}

/// The version of a store, or 0 if its values are of several: a torn read.
std::uint32_t version_of(const stet::store& of) {
  const auto first = of.get<std::uint32_t>("first"), second = of.get<std::uint32_t>("second");
  if (!first || !second) return 0;
  const std::uint32_t version = first->front();
  for (std::size_t i = 0; i < value_count; ++i) {
    if ((*first)[i] != version || (*second)[i] != version) return 0;
  }
  return version;
}

/// One file of the program's own, whose revision counts how often it was published.
class published_files final : public stet::file_system {
public:
  /// Publishes other bytes; those before stay where they are, as files in memory do whose stores are still open.
  void set(std::vector<std::byte> bytes) { versions_.push_back(std::move(bytes)); }
  [[nodiscard]] stet::result<stet::source> open_file(std::string_view) const noexcept override {
    if (versions_.empty()) return stet::errc::file_not_found;
    ++opened;
    return stet::source::borrow(versions_.back());
  }
  [[nodiscard]] stet::result<std::uint64_t> revision(std::string_view path) const noexcept override {
    if (!has_revisions) return stet::file_system::revision(path);
    return versions_.size();
  }
  mutable int opened = 0;
  bool has_revisions = true;

private:
  std::deque<std::vector<std::byte>> versions_;
};

} // namespace

TEST_SUITE("live_store") {
  TEST_CASE("finds what is published, and only then") {
    const stet_test::temp_folder folder;
    const std::string path = folder.path("model.stet");
    CHECK(outcome(live_store::open(path)) == "file_not_found");
    REQUIRE(publish(path, 1));
    auto live = live_store::open(path);
    REQUIRE(outcome(live) == "ok");
    if (!live) return;
    const auto kept = live->current();
    CHECK(version_of(*kept) == 1);
    auto polled = live->poll();
    REQUIRE(outcome(polled) == "ok");
    CHECK_FALSE(*polled);
    REQUIRE(publish(path, 2));
    CHECK(version_of(*live->current()) == 1);
    polled = live->poll();
    REQUIRE(outcome(polled) == "ok");
    CHECK(*polled);
    CHECK(version_of(*live->current()) == 2);
    CHECK(version_of(*kept) == 1); // as long as it is kept
    polled = live->poll();
    CHECK((polled && !*polled));
  }

  TEST_CASE("a damaged file leaves the old store, and is an error once") {
    const stet_test::temp_folder folder;
    const std::string path = folder.path("model.stet");
    REQUIRE(publish(path, 1));
    auto live = live_store::open(path);
    REQUIRE(outcome(live) == "ok");
    if (!live) return;
    std::vector<std::byte> bytes = folder.read("model.stet");
    bytes[200] ^= std::byte{1}; // in the manifest
    folder.write("damaged", bytes);
    const stet::file_operations& operations = stet::system_file_operations();
    REQUIRE(outcome(operations.rename_over(operations.context, folder.path("damaged"), path)) == "ok");
    CHECK(outcome(live->poll()) == "manifest_checksum");
    CHECK(version_of(*live->current()) == 1);
    auto polled = live->poll();
    CHECK((polled && !*polled));
    REQUIRE(publish(path, 3));
    polled = live->poll();
    CHECK((polled && *polled));
    CHECK(version_of(*live->current()) == 3);
  }

  TEST_CASE("a file that is gone leaves the old store, and is found when it comes back") {
    const stet_test::temp_folder folder;
    const std::string path = folder.path("model.stet");
    REQUIRE(publish(path, 1));
    auto live = live_store::open(path);
    REQUIRE(outcome(live) == "ok");
    if (!live) return;
    REQUIRE(std::rename(path.c_str(), folder.path("elsewhere").c_str()) == 0);
    for (int i = 0; i < 3; ++i) CHECK(outcome(live->poll()) == "file_not_found");
    CHECK(version_of(*live->current()) == 1);
    REQUIRE(publish(path, 2));
    const auto polled = live->poll();
    CHECK((polled && *polled));
    CHECK(version_of(*live->current()) == 2);
  }

  TEST_CASE("follows a file of the program's own by its revision, in the program's memory") {
    const stet_test::temp_folder folder;
    published_files files;
    const std::string path = folder.path("model.stet");
    stet_test::counted_memory memory;
    {
      CHECK(outcome(live_store::open("ai/brain.stet", {.files = &files, .memory = &memory})) == "file_not_found");
      REQUIRE(publish(path, 1));
      files.set(folder.read("model.stet"));
      auto live = live_store::open("ai/brain.stet", {.files = &files, .memory = &memory});
      REQUIRE(outcome(live) == "ok");
      if (!live) return;
      CHECK(files.opened == 1);
      const auto kept = live->current();
      CHECK(version_of(*kept) == 1);
      auto polled = live->poll();
      CHECK((polled && !*polled));
      CHECK(files.opened == 1);
      REQUIRE(publish(path, 2));
      files.set(folder.read("model.stet"));
      polled = live->poll();
      CHECK((polled && *polled));
      CHECK(version_of(*live->current()) == 2);
      CHECK(version_of(*kept) == 1);
      // Damaged once: an error once, and the store before stays.
      files.set({});
      CHECK(outcome(live->poll()) == "truncated");
      polled = live->poll();
      CHECK((polled && !*polled));
      CHECK(version_of(*live->current()) == 2);
      CHECK(memory.live() == 2);
    }
    CHECK(memory.live() == 0);
    CHECK(memory.is_sound());
    stet_test::counted_memory none(0);
    files.set(folder.read("model.stet"));
    CHECK(outcome(live_store::open("ai/brain.stet", {.files = &files, .memory = &none})) == "out_of_memory");
    files.has_revisions = false;
    const auto without = live_store::open("ai/brain.stet", {.files = &files});
    CHECK(outcome(without) == "unsupported");
    if (!without) CHECK(without.error().subject() == "ai/brain.stet");
  }

  TEST_CASE("where the operating system failed, the next poll tries again") {
    const stet_test::temp_folder folder;
    const std::string path = folder.path("model.stet");
    REQUIRE(publish(path, 1));
    stet::errc failure{};
    auto live = live_store::open(path, [&failure](std::string_view at) -> stet::result<stet::store> {
      if (failure != stet::errc{}) return failure;
      return stet::open(at);
    });
    REQUIRE(outcome(live) == "ok");
    if (!live) return;
    REQUIRE(publish(path, 2));
    for (const stet::errc system : {stet::errc::out_of_memory, stet::errc::io_error}) {
      failure = system;
      CHECK_FALSE(live->poll());
      CHECK_FALSE(live->poll());
    }
    failure = stet::errc{};
    const auto polled = live->poll();
    CHECK((polled && *polled));
    CHECK(version_of(*live->current()) == 2);
  }

#if defined(__cpp_exceptions)
  TEST_CASE("what opens the store may throw: the old one stays, and the next poll tries again") {
    const stet_test::temp_folder folder;
    const std::string path = folder.path("model.stet");
    REQUIRE(publish(path, 1));
    bool throws = false;
    auto live = live_store::open(path, [&](std::string_view from) -> stet::result<stet::store> {
      if (throws) throw std::bad_alloc();
      return stet::open(from);
    });
    REQUIRE(outcome(live) == "ok");
    if (!live) return;
    REQUIRE(publish(path, 2));
    throws = true;
    CHECK_THROWS_AS((void)live->poll(), std::bad_alloc);
    CHECK(version_of(*live->current()) == 1);
    throws = false;
    const auto polled = live->poll();
    CHECK((polled && *polled));
    CHECK(version_of(*live->current()) == 2);
  }
#endif

  TEST_CASE("readers in a storm of reloads see whole stores, none older than one before") {
    constexpr std::uint32_t version_count = 300;
    const stet_test::temp_folder folder;
    const std::string path = folder.path("model.stet");
    REQUIRE(publish(path, 1));
    auto live = live_store::open(path);
    REQUIRE(outcome(live) == "ok");
    if (!live) return;
    std::atomic<bool> is_done{false};
    std::atomic<std::uint32_t> torn{0}, older{0}, failed{0}, swapped{0};
    std::vector<std::thread> threads;
    for (int reader = 0; reader < 3; ++reader) {
      threads.emplace_back([&] {
        std::uint32_t before = 0;
        while (!is_done) {
          const std::shared_ptr<const stet::store> current = live->current();
          const std::uint32_t version = version_of(*current);
          torn += version == 0 ? 1u : 0u;
          older += version < before ? 1u : 0u;
          before = version;
        }
      });
    }
    threads.emplace_back([&] {
      while (!is_done) {
        const auto polled = live->poll();
        failed += polled || stet_test::is_of_replacing(polled.error()) ? 0u : 1u;
        swapped += polled && *polled ? 1u : 0u;
      }
    });
    bool is_published = true;
    for (std::uint32_t version = 2; version <= version_count && is_published; ++version) {
      is_published = publish(path, version);
      // At least every second one is to be seen, however the threads are scheduled.
      for (int i = 0; i < 100000 && swapped < version / 2; ++i) std::this_thread::yield();
    }
    is_done = true;
    for (std::thread& each : threads) each.join();
    CHECK(is_published);
    CHECK(torn == 0);
    CHECK(older == 0);
    CHECK(failed == 0);
    CHECK(swapped >= version_count / 3);
    (void)live->poll();
    CHECK(version_of(*live->current()) == version_count);
  }
}

#endif
