// SPDX-License-Identifier: MIT
// Tests of zip.hpp: what other programs write, every place that can contradict another, truncations and flipped bits.
#include "support/exact_text.hpp"
#include "support/files.hpp"
#include "support/outcome.hpp"
#include "support/zip_archives.hpp"

#include <stet/wire/zip.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace std::literals;
using namespace stet_test;

/// A reader of a text.
memory_reader reader_of(std::string_view text, int fails_at_call = memory_reader::never) {
  return memory_reader(std::as_bytes(std::span(text.data(), text.size())), fails_at_call);
}

/// Checks that a file on demand has the same members, or is refused for the same reason, as in memory.
void check_on_demand(std::string_view file, const stet::result<std::vector<stet::detail::zip_member>>& in_memory) {
  const memory_reader reader = reader_of(file);
  std::vector<std::byte> kept;
  const auto members = stet::detail::read_zip_directory(reader, kept);
  CHECK(outcome(members) == outcome(in_memory));
  if (!members || !in_memory) {
    if (!members && !in_memory) {
      CHECK(members.error().subject() == in_memory.error().subject());
      CHECK(members.error().offset_bytes() == in_memory.error().offset_bytes());
    }
    return;
  }
  REQUIRE(members->size() == in_memory->size());
  for (std::size_t i = 0; i < members->size(); ++i) {
    const stet::detail::zip_member &a = (*members)[i], &b = (*in_memory)[i];
    const bool is_same = a.name == b.name && a.entry_bytes == b.entry_bytes && a.header_bytes == b.header_bytes &&
                         a.offset_bytes == b.offset_bytes && a.stored_size_bytes == b.stored_size_bytes &&
                         a.size_bytes == b.size_bytes && a.end_bytes == b.end_bytes && a.crc32 == b.crc32 &&
                         a.method == b.method;
    CHECK(is_same);
  }
}

/// "ok", or "CODE SUBJECT".
std::string verdict(std::string_view file) {
  const exact_text block(file);
  const auto members = stet::detail::read_zip(block.bytes());
  check_on_demand(file, members);
  if (!members) {
    const std::string subject(members.error().subject());
    return outcome(members) + (subject.empty() ? "" : " " + subject);
  }
  for (const stet::detail::zip_member& each : *members) {
    // Within the file, whatever it says.
    CHECK(each.offset_bytes >= each.header_bytes);
    CHECK(each.end_bytes >= each.offset_bytes + each.stored_size_bytes);
    CHECK(each.end_bytes <= file.size());
    CHECK(stet::detail::is_zip_name(each.name));
  }
  return "ok";
}

/// Each member as NAME=BYTES.
std::vector<std::string> contents(std::string_view file) {
  std::vector<std::string> made;
  const auto members = stet::detail::read_zip(std::as_bytes(std::span(file.data(), file.size())));
  if (!members) return {outcome(members)};
  for (const stet::detail::zip_member& each : *members)
    made.push_back(std::string(each.name) + "=" +
                   std::string(file.substr(static_cast<std::size_t>(each.offset_bytes),
                                           static_cast<std::size_t>(each.stored_size_bytes))));
  return made;
}

made_archive two() { return {{{"a.txt", "alpha"}, {"b/c", "be"}}}; }
constexpr std::uint32_t ones = 0xFFFFFFFFu;
/// The directory of two(): its place and size.
constexpr std::uint32_t two_at = 35 + 5 + 33 + 2, two_size = 46 + 5 + 46 + 3;

/// Lets both of a member's headers say a thing.
void set_flags(made_member& member, std::uint16_t flags) { member.local.flags = member.central.flags = flags; }
/// Makes a member one whose sizes follow its bytes.
void let_follow(made_member& member, const std::string& descriptor) {
  set_flags(member, 8);
  member.local.crc32 = member.local.stored_size = member.local.size = 0;
  member.descriptor = descriptor;
}
std::string descriptor_of(const made_member& member, std::size_t size_size) {
  return little(member.central.crc32, 4) + little(member.data.size(), size_size) +
         little(member.data.size(), size_size);
}

struct row {
  const char* what;
  const char* verdict;
  void (*change)(made_archive&);
};

void check(std::initializer_list<row> table) {
  for (const row& each : table) {
    made_archive made = two();
    each.change(made);
    CAPTURE(each.what);
    CHECK(verdict(made.bytes()) == std::string(each.verdict));
  }
}

} // namespace

TEST_SUITE("zip") {
  TEST_CASE("lists what an archive has, where it lies") {
    CHECK(contents(two().bytes()) == std::vector{"a.txt=alpha"s, "b/c=be"s});
    CHECK(contents(made_archive{}.bytes()).empty());
    CHECK(contents(zip_of({{"empty", ""}, {"folder/", ""}, {"folder/x", "y"}})) ==
          std::vector{"empty="s, "folder/="s, "folder/x=y"s});
    CHECK(stet::detail::is_zip(std::as_bytes(std::span("PK\3\4", 4))));
    CHECK(!stet::detail::is_zip(std::as_bytes(std::span("PK\3\5", 4))));
    CHECK(!stet::detail::is_zip(std::as_bytes(std::span("PK\3", 3))));
  }

  TEST_CASE("reads a member as Python's zipfile wrote it") {
    // zipfile.ZipFile(f, "w").writestr("x", b"hi") of Python 3.11
    const std::string file =
        "PK\3\4\x14\0\0\0\0\0\0\0!\0\xac*\x93\xd8\2\0\0\0\2\0\0\0\1\0\0\0xhi"
        "PK\1\2\x14\3\x14\0\0\0\0\0\0\0!\0\xac*\x93\xd8\2\0\0\0\2\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\x80\1\0\0\0\0x"
        "PK\5\6\0\0\0\0\1\0\1\0/\0\0\0!\0\0\0\0\0"s;
    CHECK(contents(file) == std::vector{"x=hi"s});
  }

  TEST_CASE("accepts the freedom that writers have") {
    check({
        {"a comment of the archive", "ok", [](made_archive& it) { it.comment = std::string(65535, 'c'); }},
        {"a comment of a member", "ok", [](made_archive& it) { it.members[0].comment = "c"; }},
        {"gaps between members", "ok", [](made_archive& it) { it.members[1].gap = "gap", it.gap = "gap"; }},
        {"members in another order", "ok",
         [](made_archive& it) {
           it.members[0].offset = 35, it.members[1].offset = 0;
           std::swap(it.members[0].central, it.members[1].central);
           std::swap(it.members[0].local, it.members[1].local);
           std::swap(it.members[0].data, it.members[1].data);
           it.members[0].offset.reset(), it.members[1].offset.reset();
         }},
        {"other extra fields, and padding", "ok",
         [](made_archive& it) {
           it.members[0].local.extra = "\xff\xff\2\0ab"s + "\0\0\0"s;
           it.members[0].central.extra = "\xfe\xca\0\0"s;
         }},
        {"zeros for alignment", "ok", [](made_archive& it) { it.members[0].local.extra = std::string(29, '\0'); }},
        {"a name that is said to be UTF-8 in one place", "ok",
         [](made_archive& it) { it.members[0].central.flags = 0x0800; }},
        {"a method that nobody knows", "ok",
         [](made_archive& it) { it.members[0].local.method = it.members[0].central.method = 99; }},
    });
    made_archive deflated{{{"d", 8, "\3\0"s, 0}}};
    CHECK(verdict(deflated.bytes()) == "ok");
  }

  TEST_CASE("data descriptors have to say what the directory says") {
    for (const std::size_t size_size : {4u, 8u}) {
      for (const char* const mark : {"", "PK\7\x08"}) {
        made_archive made = two();
        const std::string descriptor = mark + descriptor_of(made.members[0], size_size);
        let_follow(made.members[0], descriptor);
        CAPTURE(size_size);
        CHECK(contents(made.bytes()) == std::vector{"a.txt=alpha"s, "b/c=be"s});
        made.members[0].local.crc32 = made.members[0].central.crc32; // a writer that knew
        CHECK(verdict(made.bytes()) == "ok");
        for (std::size_t at = 0; at < descriptor.size(); ++at) {
          made.members[0].descriptor = descriptor;
          made.members[0].descriptor[at] = static_cast<char>(descriptor[at] ^ 1);
          CHECK(verdict(made.bytes()) == "bad_archive a.txt");
        }
        made.members[0].descriptor = descriptor.substr(0, descriptor.size() - 1);
        CHECK(verdict(made.bytes()) == "bad_archive a.txt");
      }
    }
    check({
        {"none", "bad_archive b/c", [](made_archive& it) { let_follow(it.members[1], ""); }},
        {"sizes of 0 without one", "bad_archive a.txt",
         [](made_archive& it) { it.members[0].local.stored_size = it.members[0].local.size = 0; }},
        {"a checksum of 0 without one", "bad_archive a.txt", [](made_archive& it) { it.members[0].local.crc32 = 0; }},
        {"announced in the header alone", "bad_archive a.txt", [](made_archive& it) { it.members[0].local.flags = 8; }},
        {"announced in the directory alone", "bad_archive a.txt",
         [](made_archive& it) { it.members[0].central.flags = 8; }},
        {"another size in the header", "bad_archive a.txt",
         [](made_archive& it) {
           let_follow(it.members[0], descriptor_of(it.members[0], 4));
           it.members[0].local.size = 4;
         }},
    });
  }

  TEST_CASE("refuses what header and directory say differently") {
    check({
        {"the name", "bad_archive a.txt", [](made_archive& it) { it.members[0].local.name = "A.txt"; }},
        {"the size of the name", "bad_archive a.txt", [](made_archive& it) { it.members[0].local.name = "a.txtx"; }},
        {"the method", "bad_archive a.txt", [](made_archive& it) { it.members[0].local.method = 8; }},
        {"the stored size", "bad_archive a.txt", [](made_archive& it) { it.members[0].local.stored_size = 4; }},
        {"the size", "bad_archive a.txt", [](made_archive& it) { it.members[0].local.size = 6; }},
        {"the checksum", "bad_archive a.txt", [](made_archive& it) { it.members[0].local.crc32 ^= 1; }},
        {"that it is encrypted", "bad_archive a.txt", [](made_archive& it) { it.members[0].local.flags = 1; }},
        {"a stored member of two sizes", "bad_archive a.txt",
         [](made_archive& it) { it.members[0].local.size = it.members[0].central.size = 6; }},
        {"a header that is none", "bad_archive a.txt", [](made_archive& it) { it.members[0].offset = 1; }},
        {"a header in the directory", "bad_archive b/c", [](made_archive& it) { it.members[1].offset = two_at; }},
        {"a header out of the file", "bad_archive b/c", [](made_archive& it) { it.members[1].offset = 0x7FFFFFFF; }},
        {"extra fields up to the directory", "bad_archive b/c",
         [](made_archive& it) { it.members[1].local.extra = "\7\0\xff\xff"s; }},
    });
  }

  TEST_CASE("of members with one name the last in the directory is read, where a caller wants that") {
    made_archive archive{{{"a", "1"}, {"b", "2"}, {"a", "3"}, {"a", "4"}}};
    const std::string file = archive.bytes();
    const exact_text block(file);
    CHECK(outcome(stet::detail::read_zip(block.bytes())) == "bad_archive");
    const auto members = stet::detail::read_zip(block.bytes(), stet::detail::zip_repeats::last_wins);
    REQUIRE(members);
    REQUIRE(members->size() == 2);
    CHECK((*members)[0].name == "b");
    CHECK((*members)[1].name == "a");
    CHECK(file[static_cast<std::size_t>((*members)[1].offset_bytes)] == '4');
    // They still must not share bytes.
    archive.members[3].offset = static_cast<std::uint32_t>((*members)[0].header_bytes);
    const exact_text shared(archive.bytes());
    CHECK(outcome(stet::detail::read_zip(shared.bytes(), stet::detail::zip_repeats::last_wins)) == "bad_archive");
  }

  TEST_CASE("headers of large members come through a reader of the same file, one read for each") {
    constexpr std::size_t large = 64 << 10;
    made_archive archive{
        {{"a", std::string(large, 'a')}, {"b", std::string(large, 'b')}, {"c/d", std::string(large, 'c')}}};
    archive.members[1].local.extra =
        little(0x4246, 2) + little(600, 2) + std::string(600, 'Z'); // longer than what is kept
    const std::string directory_starts = "PK\1\2";
    for (const bool is_followed : {false, true}) {
      CAPTURE(is_followed);
      if (is_followed) {
        for (made_member& each : archive.members)
          let_follow(each, "PK\7\x08"s + little(each.central.crc32, 4) + little(large, 4) + little(large, 4));
      }
      const std::string file = archive.bytes();
      const auto expected = stet::detail::read_zip(std::as_bytes(std::span(file.data(), file.size())));
      REQUIRE(outcome(expected) == "ok");
      // What is in memory has no headers, so that nobody can have read them there.
      std::string blank = file;
      for (const stet::detail::zip_member& each : *expected) {
        const auto at = static_cast<std::size_t>(each.header_bytes);
        if (&each != &(*expected)[1]) blank.replace(at, 30, 30, '\0');
      }
      const exact_text block(blank);
      const memory_reader reader = reader_of(file);
      const auto read = stet::detail::read_zip(block.bytes(), stet::detail::zip_repeats::refused, &reader);
      REQUIRE(outcome(read) == "ok");
      REQUIRE(read->size() == 3);
      for (std::size_t i = 0; i < 3; ++i) {
        CHECK((*read)[i].name == (*expected)[i].name);
        CHECK((*read)[i].offset_bytes == (*expected)[i].offset_bytes);
        CHECK((*read)[i].end_bytes == (*expected)[i].end_bytes);
      }
      CHECK(reader.calls() == (is_followed ? 4 : 3));
      // Where the reader fails, memory is read.
      const memory_reader broken = reader_of(file, 1);
      const exact_text whole(file);
      CHECK(outcome(stet::detail::read_zip(whole.bytes(), stet::detail::zip_repeats::refused, &broken)) == "ok");
      CHECK(broken.calls() == 1);
      // What the reader has is checked as memory is.
      std::string contradicting = file;
      contradicting[static_cast<std::size_t>((*expected)[2].header_bytes) + 30] = 'X'; // of its name
      const memory_reader other = reader_of(contradicting);
      const auto refused = stet::detail::read_zip(whole.bytes(), stet::detail::zip_repeats::refused, &other);
      CHECK(outcome(refused) == "bad_archive");
      CHECK(refused.error().subject() == "c/d");
    }
    // Small members have their headers on few pages.
    const std::string small = zip_of({{"a", "1"}, {"b", "2"}});
    const exact_text block(small);
    const memory_reader reader = reader_of(small);
    CHECK(outcome(stet::detail::read_zip(block.bytes(), stet::detail::zip_repeats::refused, &reader)) == "ok");
    CHECK(reader.calls() == 0);
  }

  TEST_CASE("refuses members that lie out of the archive, share bytes, or have one name") {
    check({
        {"bytes up into the directory", "bad_archive b/c",
         [](made_archive& it) {
           for (zip_header* each : {&it.members[1].local, &it.members[1].central}) each->stored_size = each->size = 3;
         }},
        {"bytes out of the file", "bad_archive b/c",
         [](made_archive& it) {
           for (zip_header* each : {&it.members[1].local, &it.members[1].central})
             each->stored_size = each->size = 0xFFFFFFFE;
         }},
        {"bytes up into the next header", "bad_archive b/c",
         [](made_archive& it) {
           for (zip_header* each : {&it.members[0].local, &it.members[0].central}) each->stored_size = each->size = 6;
         }},
        {"a member within another", "bad_archive b/c",
         [](made_archive& it) {
           made_archive inner{{it.members[1]}};
           const std::string header = inner.bytes().substr(0, 35);
           it.members[0] = made_member("a.txt", header);
           it.members[1].offset = 35;
           it.members[1].data = "xx";
         }},
        {"a header in the extra fields of another", "bad_archive b/c",
         [](made_archive& it) {
           const std::string header = made_archive{{it.members[1]}}.bytes().substr(0, 33);
           it.members[0].local.extra = "\7\0"s + little(header.size(), 2) + header;
           it.members[1].offset = 35 + 4;
         }},
        {"one member twice", "bad_archive a.txt",
         [](made_archive& it) {
           it.members[1] = it.members[0];
           it.members[1].offset = 0;
         }},
        {"two members of one name", "bad_archive a.txt",
         [](made_archive& it) { it.members[1] = made_member("a.txt", "other"); }},
        {"bytes before the first", "bad_archive a.txt", [](made_archive& it) { it.members[0].gap = "#!"; }},
    });
  }

  TEST_CASE("refuses names that lead elsewhere") {
    for (const std::string& name :
         {""s,     "/a"s,  "/"s,    "../a"s, "a/../b"s, "a/.."s, ".."s,   "."s,    "./a"s, "a/./b"s,
          "a//b"s, "a//"s, "a\\b"s, "\\"s,   "..\\a"s,  "C:a"s,  "c:/a"s, "a\0b"s, "\0"s,  "\\\\?\\a"s}) {
      CAPTURE(name);
      CHECK(!stet::detail::is_zip_name(name));
      CHECK(verdict(zip_of({{"x", "y"}, {name, "z"}})) == "bad_path" + (name.empty() ? "" : " " + name));
    }
    for (const std::string& name :
         {"a"s, "a/"s, "..."s, ".a"s, "a..b/c.."s, "a b"s, "\xc3\xa9"s, "%2e%2e/a"s, "::"s.substr(1)}) {
      CAPTURE(name);
      CHECK(stet::detail::is_zip_name(name));
    }
  }

  TEST_CASE("refuses what is encrypted, in any way") {
    check({
        {"as of old", "unsupported a.txt", [](made_archive& it) { set_flags(it.members[0], 1); }},
        {"strongly", "unsupported a.txt", [](made_archive& it) { set_flags(it.members[0], 0x40); }},
        {"the directory", "unsupported a.txt", [](made_archive& it) { set_flags(it.members[0], 0x2000); }},
        {"a patch", "unsupported a.txt", [](made_archive& it) { set_flags(it.members[0], 0x20); }},
    });
  }

  TEST_CASE("an end record has to be the end, and true") {
    check({
        {"one entry more", "bad_archive", [](made_archive& it) { it.here = it.count = 3; }},
        {"one entry fewer", "bad_archive", [](made_archive& it) { it.here = it.count = 1; }},
        {"none", "bad_archive", [](made_archive& it) { it.here = it.count = 0; }},
        {"more than there is room for", "bad_archive", [](made_archive& it) { it.here = it.count = 0xFFFE; }},
        {"two counts", "bad_archive", [](made_archive& it) { it.here = 1; }},
        {"another disk", "bad_archive", [](made_archive& it) { it.disk = 1; }},
        {"a directory on another disk", "bad_archive", [](made_archive& it) { it.first_disk = 1; }},
        {"a member on another disk", "bad_archive a.txt", [](made_archive& it) { it.members[0].disk = 1; }},
        {"a directory that begins later", "bad_archive", [](made_archive& it) { it.directory = two_at + 1; }},
        {"a directory that begins earlier", "bad_archive", [](made_archive& it) { it.directory = two_at - 1; }},
        {"a shorter directory", "bad_archive", [](made_archive& it) { it.directory_size = two_size - 1; }},
        {"a longer directory", "bad_archive", [](made_archive& it) { it.directory_size = two_size + 1; }},
        {"a directory that wraps", "bad_archive",
         [](made_archive& it) { it.directory = 0xFFFFFFF0, it.directory_size = two_at + two_size + 16; }},
        {"bytes in front, the offsets as before", "bad_archive",
         [](made_archive& it) {
           it.members[0].gap = "#!", it.members[0].offset = 0, it.members[1].offset = 40, it.directory = two_at;
         }},
        {"bytes between directory and end", "bad_archive", [](made_archive& it) { it.end64 = "x"; }},
        {"a mark in the comment", "bad_archive",
         [](made_archive& it) { it.comment = "see PK\5\6, and more than an end record has"; }},
        {"an end record as the comment", "bad_archive", [](made_archive& it) { it.comment = made_archive{}.bytes(); }},
        {"an archive as the comment", "bad_archive", [](made_archive& it) { it.comment = two().bytes(); }},
        {"a mark too late in the comment to be a record", "ok", [](made_archive& it) { it.comment = "PK\5\6"; }},
    });
    CHECK(verdict(two().bytes() + "x") == "bad_archive");
    CHECK(verdict(two().bytes() + std::string(70000, 'x')) == "bad_archive");
    CHECK(verdict("") == "truncated");
    CHECK(verdict(std::string(21, 'P')) == "truncated");
    CHECK(verdict(std::string(22, 'P')) == "bad_archive");
    // An archive in an archive's comment, its offsets made to fit: another reader could take the one in front.
    made_archive second = two();
    const std::string front = zip_of({{"a.txt", "other"}});
    second.members[0].gap = front;
    CHECK(verdict(second.bytes()) == "bad_archive a.txt");
  }

  TEST_CASE("reads ZIP64, where every number has to be said once or be the same") {
    check({
        {"a record that nothing needs", "ok", [](made_archive& it) { it.end64 = zip64_end(2, two_size, two_at); }},
        {"a record with more in it", "ok", [](made_archive& it) { it.end64 = zip64_end(2, two_size, two_at, "more"); }},
        {"everything left to the record", "ok",
         [](made_archive& it) {
           it.end64 = zip64_end(2, two_size, two_at);
           it.disk = it.first_disk = 0xFFFF, it.here = it.count = 0xFFFF, it.directory = it.directory_size = ones;
         }},
        {"all ones without a record", "bad_archive", [](made_archive& it) { it.directory = ones; }},
        {"a count of all ones without a record", "bad_archive", [](made_archive& it) { it.here = it.count = 0xFFFF; }},
        {"a record of another count", "bad_archive",
         [](made_archive& it) { it.end64 = zip64_end(1, two_size, two_at); }},
        {"a record of a large count", "bad_archive",
         [](made_archive& it) {
           it.end64 = zip64_end(std::uint64_t{1} << 60, two_size, two_at), it.here = it.count = 0xFFFF;
         }},
        {"a record of another directory", "bad_archive",
         [](made_archive& it) { it.end64 = zip64_end(2, two_size, two_at - 35), it.directory = ones; }},
        {"a record that lies elsewhere", "bad_archive",
         [](made_archive& it) { it.end64 = zip64_end(2, two_size, two_at).replace(56 + 8, 8, little(two_at, 8)); }},
        {"a record out of the file", "bad_archive",
         [](made_archive& it) {
           it.end64 = zip64_end(2, two_size, two_at).replace(56 + 8, 8, little(~std::uint64_t{0}, 8));
         }},
        {"a record over its locator", "bad_archive",
         [](made_archive& it) {
           it.end64 = zip64_end(2, two_size, two_at).replace(56 + 8, 8, little(two_at + two_size + 1, 8));
         }},
        {"a record of another size", "bad_archive",
         [](made_archive& it) { it.end64 = zip64_end(2, two_size, two_at).replace(4, 8, little(43, 8)); }},
        {"a record whose size wraps", "bad_archive",
         [](made_archive& it) {
           it.end64 = zip64_end(2, two_size, two_at).replace(4, 8, little(~std::uint64_t{0}, 8));
         }},
        {"a record on another disk", "bad_archive",
         [](made_archive& it) { it.end64 = zip64_end(2, two_size, two_at).replace(56 + 4, 4, little(1, 4)); }},
        {"a record of several disks", "bad_archive",
         [](made_archive& it) { it.end64 = zip64_end(2, two_size, two_at).replace(56 + 16, 4, little(2, 4)); }},
        {"entries on other disks", "bad_archive",
         [](made_archive& it) { it.end64 = zip64_end(2, two_size, two_at).replace(24, 8, little(1, 8)); }},
        {"a locator without a record", "bad_archive",
         [](made_archive& it) { it.end64 = zip64_end(2, two_size, two_at).substr(56); }},
        {"a locator alone, all ones", "bad_archive",
         [](made_archive& it) { it.end64 = zip64_end(2, two_size, two_at).substr(56), it.directory = ones; }},
    });
    check({
        {"sizes in the extra field of the directory", "ok",
         [](made_archive& it) {
           it.members[0].central.size = it.members[0].central.stored_size = ones,
           it.members[0].central.extra = zip64_field({5, 5});
         }},
        {"one size there", "ok",
         [](made_archive& it) {
           it.members[0].central.stored_size = ones, it.members[0].central.extra = zip64_field({5});
         }},
        {"the offset there", "ok",
         [](made_archive& it) { it.members[1].offset = ones, it.members[1].central.extra = zip64_field({40}); }},
        {"the disk left open", "ok", [](made_archive& it) { it.members[1].disk = 0xFFFF; }},
        {"sizes in the extra field of the header", "ok",
         [](made_archive& it) {
           it.members[0].local.size = it.members[0].local.stored_size = ones,
           it.members[0].local.extra = zip64_field({5, 5});
         }},
        {"other sizes there", "bad_archive a.txt",
         [](made_archive& it) {
           it.members[0].local.size = it.members[0].local.stored_size = ones,
           it.members[0].local.extra = zip64_field({4, 4});
         }},
        {"other sizes in the directory", "bad_archive a.txt",
         [](made_archive& it) {
           it.members[0].central.size = it.members[0].central.stored_size = ones,
           it.members[0].central.extra = zip64_field({4, 4});
         }},
        {"sizes that wrap", "bad_archive a.txt",
         [](made_archive& it) {
           for (zip_header* each : {&it.members[0].local, &it.members[0].central})
             each->size = each->stored_size = ones, each->extra = zip64_field({~std::uint64_t{0}, ~std::uint64_t{0}});
         }},
        {"an offset that wraps", "bad_archive b/c",
         [](made_archive& it) {
           it.members[1].offset = ones, it.members[1].central.extra = zip64_field({~std::uint64_t{0} - 29});
         }},
        {"no extra field in the directory", "bad_archive a.txt",
         [](made_archive& it) { it.members[0].central.size = ones; }},
        {"no extra field in the header", "bad_archive a.txt",
         [](made_archive& it) { it.members[0].local.size = ones; }},
        {"an extra field with too little", "bad_archive a.txt",
         [](made_archive& it) {
           it.members[0].central.size = it.members[0].central.stored_size = ones,
           it.members[0].central.extra = zip64_field({5});
         }},
        {"two extra fields", "bad_archive a.txt",
         [](made_archive& it) {
           it.members[0].central.stored_size = ones, it.members[0].central.extra = zip64_field({5}) + zip64_field({4});
         }},
        {"an extra field that is cut off", "bad_archive a.txt",
         [](made_archive& it) { it.members[0].central.extra = "\7\0\1\0"s; }},
    });
  }

  TEST_CASE("every truncation is refused") {
    made_archive made = two();
    made.comment = "comment";
    made.end64 = zip64_end(2, two_size, two_at);
    const std::string whole = made.bytes();
    CHECK(verdict(whole) == "ok");
    for (std::size_t size = 0; size < whole.size(); ++size) {
      CAPTURE(size);
      CHECK(verdict(std::string_view(whole).substr(0, size)) == (size < 22 ? "truncated" : "bad_archive"));
      if (size != 0) CHECK(verdict(std::string_view(whole).substr(size)) != "ok");
    }
  }

  TEST_CASE("a flipped bit is noticed, or changes no place, size or name") {
    made_archive made = two();
    const std::string descriptor = "PK\7\x08" + descriptor_of(made.members[0], 4);
    let_follow(made.members[0], descriptor);
    made.end64 = zip64_end(2, two_size, two_at + 16);
    const std::string whole = made.bytes();
    const std::vector<std::string> sound = contents(whole);
    CHECK(sound == std::vector{"a.txt=alpha"s, "b/c=be"s});
    std::size_t noticed = 0;
    for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
      std::string damaged = whole;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      CAPTURE(bit);
      if (verdict(damaged) != "ok") {
        ++noticed;
        continue;
      }
      // In the members' bytes, in what says nothing (versions, times, attributes), or in a mark that may be left out.
      std::vector<std::string> found = contents(damaged);
      const bool is_in_data = (bit / 8 >= 35 && bit / 8 < 40) || (bit / 8 >= two_at + 14 && bit / 8 < two_at + 16);
      if (is_in_data) found = sound;
      CHECK(found == sound);
    }
    CHECK(noticed > whole.size() * 8 * 6 / 10);
  }
}
