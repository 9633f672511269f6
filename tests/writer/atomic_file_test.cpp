// SPDX-License-Identifier: MIT
#include "support/faulty_files.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <stet/source/source.hpp>
#include <stet/writer/atomic_file.hpp>

#include <doctest/doctest.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#if !defined(_WIN32) && !defined(__wasi__) && !defined(__EMSCRIPTEN__)
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace {

using stet::atomic_file;
using stet_test::fault;
using stet_test::faulty_files;
using stet_test::outcome;
using stet_test::pattern;
using stet_test::temp_folder;

const stet::file_operations& system_calls = stet::system_file_operations();

stet::result<atomic_file> create(const temp_folder& folder, std::string_view name, std::uint64_t size_bytes,
                                 const stet::file_operations& operations = system_calls) {
  return atomic_file::create(operations, folder.path() + "/", name, size_bytes);
}
std::span<const std::byte> text_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
using names = std::vector<std::string>;

} // namespace

TEST_SUITE("writer/atomic_file") {
  TEST_CASE("a file has its name when it is published, and not before") {
    const temp_folder folder;
    folder.write("a", std::string_view("old"));
    auto file = create(folder, "a", 5);
    REQUIRE(file);
    CHECK(folder.names() == names{".a.0.stet-tmp", "a"});
    CHECK(file->write_at(2, text_bytes("345")));
    CHECK(file->write_at(0, text_bytes("12")));
    CHECK(file->finish(true));
    CHECK(folder.read("a").size() == 3);
    CHECK(file->publish());
    CHECK(file->sync_folder());
    CHECK(folder.names() == names{"a"});
    CHECK(folder.read("a") == std::vector<std::byte>(text_bytes("12345").begin(), text_bytes("12345").end()));
  }

  TEST_CASE("what is not written is zero, and the file as large as was said") {
    const temp_folder folder;
    for (const bool can_reserve : {true, false}) {
      faulty_files files(can_reserve ? fault::none : fault::no_reservation, 4);
      auto file = create(folder, "a", 10000, files.operations());
      REQUIRE(file);
      CHECK(file->write_at(5000, text_bytes("x")));
      REQUIRE(file->finish(false));
      REQUIRE(file->publish());
      std::vector<std::byte> expected(10000);
      expected[5000] = std::byte{'x'};
      CHECK(folder.read("a") == expected);
    }
  }

  TEST_CASE("bytes of a mapping are written whole, from any address and in more than one call of the system") {
    const temp_folder folder;
    std::vector<std::byte> bytes = pattern((std::size_t{16} << 20) + 70001);
    folder.write("from", std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    const auto mapped = stet::source::map(folder.path("from"));
    REQUIRE(mapped);
    for (const std::size_t begin : {std::size_t{0}, std::size_t{4097}}) {
      auto file = create(folder, "a", bytes.size() - begin);
      REQUIRE(file);
      CHECK(file->write_at(0, std::span(mapped->data() + begin, bytes.size() - begin)));
      CHECK(file->finish(false));
      CHECK(file->publish());
      CHECK(folder.read("a") ==
            std::vector<std::byte>(bytes.begin() + static_cast<std::ptrdiff_t>(begin), bytes.end()));
    }
  }

  TEST_CASE("a file that is not published goes, at whatever stage") {
    const temp_folder folder;
    for (int stage = 0; stage < 4; ++stage) {
      auto file = create(folder, "a", 5);
      REQUIRE(file);
      if (stage > 0) CHECK(file->write_at(0, text_bytes("12345")));
      if (stage > 1) CHECK(file->finish(false));
      if (stage > 2) CHECK(file->discard());
      if (stage > 2) CHECK_FALSE(file->discard());
    }
    CHECK(folder.names().empty());
  }

  TEST_CASE("a provisionally published file goes unless it is kept") {
    const temp_folder folder;
    for (const bool is_kept : {false, true}) {
      {
        auto file = create(folder, "a", 0);
        REQUIRE(file);
        REQUIRE(file->finish(false));
        REQUIRE(file->publish_provisionally());
        CHECK(folder.names() == names{"a"});
        if (is_kept) file->keep();
      }
      CHECK(folder.names() == (is_kept ? names{"a"} : names{}));
    }
  }

  TEST_CASE("moving a file leaves nothing to the one moved from") {
    const temp_folder folder;
    {
      auto file = create(folder, "a", 3);
      REQUIRE(file);
      {
        atomic_file moved = std::move(*file);
        REQUIRE(moved.write_at(0, text_bytes("abc")));
        REQUIRE(moved.finish(false));
        atomic_file again = std::move(moved);
        REQUIRE(again.publish());
      }
      CHECK_FALSE(file->discard());
    }
    CHECK(folder.names() == names{"a"});
  }

  TEST_CASE("the name may be decided last") {
    const temp_folder folder;
    auto file = create(folder, "a", 0);
    REQUIRE(file);
    REQUIRE(file->finish(false));
    file->set_name("b");
    REQUIRE(file->publish());
    CHECK(folder.names() == names{"b"});
  }

  TEST_CASE("many unfinished files of one name stand beside each other, and those of a program that ended go") {
    const temp_folder folder;
    const names others = {".a.0.stet-tmp.b", ".a.x.stet-tmp", ".b.0.stet-tmp"};
    for (const std::string& name : others) folder.write(name, std::string_view("mine"));
    for (int i = 0; i < 1010; ++i) folder.write(".a." + std::to_string(i) + ".stet-tmp", std::string_view("left over"));
    std::vector<atomic_file> files;
    for (int i = 0; i < 5; ++i) {
      auto file = create(folder, "a", 0);
      REQUIRE(file);
      files.push_back(std::move(*file));
    }
    CHECK(folder.names().size() == others.size() + 5);
    REQUIRE(files[0].finish(false));
#if !defined(_WIN32) // where a file that is to be renamed cannot stay locked
    CHECK(create(folder, "a", 0));
#endif
    CHECK(files[0].publish());
    files.clear();
    names expected = others;
    expected.push_back("a");
    CHECK(folder.names() == expected);
  }

  TEST_CASE("what a killed program left goes in a folder that cannot be listed, too") {
    stet::file_operations operations = system_calls;
    operations.list_folder = [](void*, std::string_view, bool (*)(void*, std::string_view) noexcept,
                                void*) noexcept -> stet::result<void> { return stet::errc::access_denied; };
    const temp_folder folder;
    folder.write(".a.0.stet-tmp", std::string_view("left over"));
    auto file = create(folder, "a", 0, operations);
    REQUIRE(file);
    CHECK(folder.names() == names{".a.0.stet-tmp"});
    REQUIRE(file->finish(false));
    REQUIRE(file->publish());
    CHECK(folder.names() == names{"a"});
  }

  TEST_CASE("a table without the later entries saves as well") {
    stet::file_operations operations = system_calls;
    operations.keep_locked = nullptr;
    operations.remove_unlocked = nullptr;
    operations.copy_access = nullptr;
    operations.read_link = nullptr;
    const temp_folder folder;
    auto file = create(folder, "a", 0, operations);
    REQUIRE(file);
    REQUIRE(file->finish(true));
    REQUIRE(file->publish());
    CHECK(folder.names() == names{"a"});
  }

  TEST_CASE("names as long as the system lets them be") {
    const temp_folder folder;
    for (const std::size_t size : {200u, 201u, 241u, 242u, 250u, 255u}) {
      CAPTURE(size);
      std::string name;
      while (name.size() + 2 <= size) name += "\xC3\xA9"; // characters of two bytes
      name.append(size - name.size(), 'x');
      auto file = create(folder, name, 0);
      auto other = create(folder, std::string(name).replace(size - 1, 1, "y"), 0);
      REQUIRE(file);
      if (size == 255) CHECK(other);
      REQUIRE(file->finish(false));
      REQUIRE(file->publish());
      CHECK(folder.read(name).empty());
      CHECK(std::filesystem::exists(stet_test::to_path(folder.path(name))));
    }
  }

#if !defined(_WIN32) && !defined(__wasi__) && !defined(__EMSCRIPTEN__)
  TEST_CASE("a file that replaces another has its permissions from the first byte on") {
    using std::filesystem::perms;
    const temp_folder folder;
    const std::filesystem::path path = stet_test::to_path(folder.write("a", std::string_view("old")));
    for (const perms mode : {perms(0600), perms(0444), perms(0666), perms(0640)}) {
      std::filesystem::permissions(path, mode);
      auto file = create(folder, "a", 3);
      REQUIRE(file);
      CHECK(std::filesystem::status(stet_test::to_path(folder.path(".a.0.stet-tmp"))).permissions() == mode);
      CHECK(file->write_at(0, text_bytes("new")));
      REQUIRE(file->finish(false));
      REQUIRE(file->publish());
      CHECK(std::filesystem::status(path).permissions() == mode);
    }
  }

  TEST_CASE("a file that replaces another keeps its owner where that is permitted") {
    const temp_folder folder;
    const std::string path = folder.write("a", std::string_view("before"));
    if (::chown(path.c_str(), 12345, 23456) != 0) {
      MESSAGE("skipped: this user may not give files away");
      return;
    }
    auto file = create(folder, "a", 3);
    REQUIRE(file);
    CHECK(file->write_at(0, text_bytes("new")));
    REQUIRE(file->finish(false));
    REQUIRE(file->publish());
    struct stat status{};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK(status.st_uid == 12345);
    CHECK(status.st_gid == 23456);
    CHECK(folder.read("a").size() == 3);
  }

  TEST_CASE("where a link is, the file that it leads to is replaced") {
    const temp_folder folder;
    std::filesystem::create_directory(stet_test::to_path(folder.path("real")));
    folder.write("real/target", std::string_view("old"));
    const auto link = [&](std::string_view to, std::string_view from) {
      std::filesystem::create_symlink(stet_test::to_path(to), stet_test::to_path(folder.path(from)));
    };
    link("real/target", "near");
    link(folder.path("near"), "far");
    link("real/new", "dangling");
    link("loop", "loop");
    for (const std::string name : {"near", "far", "dangling"}) {
      CAPTURE(name);
      auto file = create(folder, name, 5);
      REQUIRE(file);
      CHECK(file->write_at(0, text_bytes("12345")));
      REQUIRE(file->finish(true));
      REQUIRE(file->publish());
      CHECK(std::filesystem::is_symlink(stet_test::to_path(folder.path(name))));
      CHECK(folder.read(name).size() == 5);
    }
    CHECK(folder.read("real/target").size() == 5);
    CHECK(folder.read("real/new").size() == 5);
    CHECK(outcome(create(folder, "loop", 5)) == "bad_path");
  }
#endif

  TEST_CASE("a folder that cannot be synced is told apart from a file that is not there") {
    for (const bool has_part : {false, true}) {
      stet::file_operations operations = system_calls;
      operations.sync_folder = [](void*, std::string_view) noexcept -> stet::result<void> {
        return stet::error(stet::errc::io_error).with_system_code(5);
      };
      const temp_folder folder;
      std::vector<atomic_file> parts;
      if (has_part) {
        auto part = create(folder, "part", 0, operations);
        REQUIRE(part);
        REQUIRE(part->finish(true, true));
        parts.push_back(std::move(*part));
      }
      auto head = create(folder, "head", 0, operations);
      REQUIRE(head);
      REQUIRE(head->finish(true));
      const auto done = stet::publish_together(parts, *head, true, [](std::size_t) { return false; });
      CHECK(outcome(done) == (has_part ? "io_error" : "not_durable"));
      CHECK(done.error().system_code() == 5);
      CHECK(std::filesystem::exists(stet_test::to_path(folder.path("head"))) == !has_part);
    }
  }

  TEST_CASE("a call that signals interrupt without end fails in the end") {
    if (!stet_test::has_interruptions()) return;
    stet::file_operations operations = system_calls;
    operations.sync = [](void*, stet::native_handle) noexcept -> stet::result<void> {
      return stet::error(stet::errc::io_error).with_system_code(EINTR);
    };
    const temp_folder folder;
    auto file = create(folder, "a", 0, operations);
    REQUIRE(file);
    CHECK(outcome(file->finish(true)) == "io_error");
  }

  TEST_CASE("short writes are continued and interrupted calls repeated") {
    const temp_folder folder;
    const std::vector<std::byte> content = pattern(1000);
    for (const fault kind : {fault::short_write, fault::interruption}) {
      if (kind == fault::interruption && !stet_test::has_interruptions()) continue;
      for (std::size_t at = 0; at < 10; ++at) {
        if (at == 8 && kind == fault::interruption) continue; // the close
        CAPTURE(at);
        faulty_files files(kind, at);
        auto file = create(folder, "a", content.size(), files.operations());
        REQUIRE(file);
        REQUIRE(file->write_at(0, content));
        REQUIRE(file->finish(true));
        REQUIRE(file->publish());
        CHECK(folder.read("a") == content);
      }
    }
  }

  TEST_CASE("a write that writes nothing is an error, not a loop") {
    stet::file_operations operations = system_calls;
    operations.write_at = [](void*, stet::native_handle, std::uint64_t,
                             std::span<const std::byte>) noexcept -> stet::result<std::size_t> {
      return std::size_t{0};
    };
    const temp_folder folder;
    auto file = create(folder, "a", 5, operations);
    REQUIRE(file);
    CHECK(outcome(file->write_at(0, text_bytes("12345"))) == "io_error");
  }

  TEST_CASE("errors are about the path, with the system's number") {
    const temp_folder folder;
    const auto missing = atomic_file::create(system_calls, folder.path("none/"), "a", 5);
    REQUIRE_FALSE(missing);
    CHECK(outcome(missing) == "file_not_found");
    CHECK(missing.error().system_code() != 0);
    CHECK(std::string(missing.error().subject()).ends_with("none/a"));
    CHECK(outcome(create(folder, "", 5)) == "bad_path");
    CHECK(outcome(create(folder, std::string_view("a\0b", 3), 5)) == "bad_path");
    const std::string too_long = outcome(create(folder, std::string(300, 'x'), 5));
#if defined(_WIN32)
    CHECK(too_long == "ok"); // an unfinished file has a short name; to publish it is what fails
#else
    CHECK(too_long == "bad_path");
#endif
    CHECK(folder.names().empty());
  }

  TEST_CASE("a full disk is found before anything is written") {
    const temp_folder folder;
    constexpr std::size_t reserving = 4; // after the looks at the link and the folder, and the making
    faulty_files files(fault::failure, reserving);
    CHECK(outcome(create(folder, "a", 5, files.operations())) == "no_space");
    CHECK(folder.names().empty());
    REQUIRE(files.calls().size() == 7);
    CHECK(files.calls()[reserving].entry == stet_test::file_call::reserve);
    CHECK(files.calls()[5].entry == stet_test::file_call::close);
    CHECK(files.calls()[6].entry == stet_test::file_call::remove);
  }
}
