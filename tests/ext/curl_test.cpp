// SPDX-License-Identifier: MIT
// URLs by libcurl, against a server on this machine that answers rightly and wrongly; skipped where the build has not found libcurl.
#include <doctest/doctest.h>

#if STET_HAS_CURL && !defined(_WIN32)

#include <curl/curl.h>

#include <stet/ext/curl.hpp>
#include <stet/stet.hpp>

#include "support/allocations.hpp"
#include "support/http_server.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <atomic>
#include <chrono>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using stet::errc;
using stet_test::http_reply;
using stet_test::http_request;
using stet_test::http_server;
using stet_test::outcome;
using stet_test::ranged;

constexpr std::size_t kib = 1024, mib = 1024 * kib;

/// `size` bytes that depend on their places.
std::string file_of(std::size_t size) {
  const std::vector<std::byte> bytes = stet_test::pattern(size);
  return std::string(reinterpret_cast<const char*>(bytes.data()), size);
}

/// Options with which a test does not wait.
stet::http_options quick() {
  stet::http_options made;
  made.retry_pause_ms = 1;
  made.stall_timeout_s = 2;
  return made;
}

/// The bytes of a range as text, or the name of the error.
std::string read_text(const stet::byte_reader& from, std::uint64_t offset, std::size_t size) {
  std::string into(size, '?');
  const auto read = from.read(offset, std::as_writable_bytes(std::span(into)));
  return read ? into : outcome(read);
}

/// What the error of opening `url` is about.
std::string subject_of(const stet::http_files& files, std::string_view url) {
  const auto opened = files.open_reader(url);
  return opened ? "ok" : std::string(opened.error().subject());
}

/// What comes of opening a file of 1 MiB and reading 256 KiB from 300000 on, where the answer to each request passes through `change`,
/// called with the number of the request, from 1 on.
struct told {
  std::string opened, read = "-";
  std::string reason;
  std::size_t request_count = 0;
};
template <class Change> told tell(Change change, stet::http_options options = quick()) {
  const std::string file = file_of(mib);
  std::atomic<int> number{0};
  http_server server([&](const http_request& asked) {
    http_reply reply = ranged(asked, file);
    change(++number, reply);
    return reply;
  });
  const stet::http_files files(options);
  told made;
  const auto opened = files.open_reader(server.url());
  made.opened = outcome(opened);
  if (opened) {
    std::string into(256 * kib, '?');
    const auto read = opened->read(300000, std::as_writable_bytes(std::span(into)));
    made.read = outcome(read);
    if (read && into != file.substr(300000, into.size())) made.read = "wrong bytes";
    if (!read) made.reason = read.error().subject();
  } else {
    made.reason = opened.error().subject();
  }
  const std::string url = server.url();
  if (made.reason.starts_with(url)) made.reason = made.reason.substr(url.size());
  made.request_count = server.request_count();
  return made;
}

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

} // namespace

TEST_SUITE("ext/curl") {
  TEST_CASE("bytes come by their offsets, from one connection") {
    const std::string file = file_of(mib + 17);
    http_server server([&](const http_request& asked) { return ranged(asked, file); });
    const stet::http_files files(quick());
    const auto opened = files.open_reader(server.url());
    REQUIRE(opened);
    CHECK(opened->size_bytes() == file.size());
    for (const std::size_t offset : {0u, 1u, 65535u, 65536u, 500000u, 700001u, 1048576u}) {
      for (const std::size_t size : {1u, 16u, 5000u, 140000u}) {
        if (offset + size > file.size()) continue;
        CAPTURE(offset);
        CAPTURE(size);
        CHECK((read_text(*opened, offset, size) == file.substr(offset, size)));
      }
    }
    CHECK(read_text(*opened, file.size() - 17, 17) == file.substr(mib));
    CHECK(read_text(*opened, file.size(), 0).empty());
    CHECK(read_text(*opened, file.size() - 1, 2) == "truncated");
    CHECK(read_text(*opened, ~std::uint64_t{0}, 2) == "truncated");
    CHECK(server.connection_count() == 1);
    const stet::http_counts counts = files.counts();
    CHECK(counts.request_count == server.request_count());
    CHECK(counts.body_size_bytes == server.body_size_bytes());
    for (const http_request& each : server.requests()) {
      CHECK(each.method == "GET");
      CHECK(each.field("accept-encoding") == "identity");
      CHECK(each.field("user-agent") == "stet/" STET_VERSION_STRING);
    }
  }

  TEST_CASE("small reads from front to back take requests that grow, the end one, and large reads what is missing") {
    const std::string file = file_of(8 * mib);
    http_server server([&](const http_request& asked) { return ranged(asked, file); });
    const stet::http_files files(quick());
    const auto opened = files.open_reader(server.url());
    REQUIRE(opened);
    for (std::size_t at = 0; at < 960 * kib; at += 4 * kib)
      REQUIRE((read_text(*opened, at, 4 * kib) == file.substr(at, 4 * kib)));
    CHECK((read_text(*opened, file.size() - 4096, 4096) == file.substr(file.size() - 4096)));
    CHECK((read_text(*opened, file.size() - 32 * kib, 9) == file.substr(file.size() - 32 * kib, 9)));
    CHECK((read_text(*opened, 900 * kib, mib) == file.substr(900 * kib, mib)));
    CHECK((read_text(*opened, 5 * mib, 10) == file.substr(5 * mib, 10)));
    std::vector<std::string> ranges;
    for (const http_request& each : server.requests()) ranges.push_back(each.field("range"));
    CHECK(ranges == std::vector<std::string>{"bytes=0-65535", "bytes=65536-131071", "bytes=131072-262143",
                                             "bytes=262144-524287", "bytes=524288-1048575", "bytes=8355840-8388607",
                                             "bytes=1048576-1970175", "bytes=5242880-5259263"});
  }

  TEST_CASE("without a cache each read is a request for what is read") {
    const std::string file = file_of(mib);
    http_server server([&](const http_request& asked) { return ranged(asked, file); });
    stet::http_options options = quick();
    options.cache_size_bytes = 0;
    options.first_read_size_bytes = 512;
    const stet::http_files files(options);
    const auto opened = files.open_reader(server.url());
    REQUIRE(opened);
    CHECK(read_text(*opened, 0, 10) == file.substr(0, 10));
    CHECK(read_text(*opened, 0, 10) == file.substr(0, 10));
    CHECK(server.request_count() == 3);
    CHECK(server.body_size_bytes() == 532);
  }

  TEST_CASE("an empty file, and one of a byte") {
    for (const std::size_t size : {0u, 1u}) {
      const std::string file = file_of(size);
      http_server server([&](const http_request& asked) { return ranged(asked, file); });
      const stet::http_files files(quick());
      const auto opened = files.open_reader(server.url());
      REQUIRE(opened);
      CHECK(opened->size_bytes() == size);
      CHECK(read_text(*opened, 0, size) == file);
    }
  }

  TEST_CASE("several threads read at once, by as many connections as are allowed") {
    const std::string file = file_of(4 * mib);
    http_server server([&](const http_request& asked) {
      http_reply reply = ranged(asked, file);
      reply.delay_ms = 5;
      return reply;
    });
    stet::http_options options = quick();
    options.max_connections = 3;
    const stet::http_files files(options);
    const auto opened = files.open_reader(server.url());
    REQUIRE(opened);
    std::atomic<int> wrong{0};
    {
      std::vector<std::thread> threads;
      for (std::size_t number = 0; number < 8; ++number) {
        threads.emplace_back([&, number] {
          for (std::size_t i = 0; i < 12; ++i) {
            const std::size_t size = i % 3 == 0 ? 200 * kib : 3 * kib,
                              at = (number * 7919 * 64 + i * 99991) % (4 * mib - size);
            std::string into(size, '?');
            const auto read = opened->read(at, std::as_writable_bytes(std::span(into)));
            if (!read || into != file.substr(at, size)) ++wrong;
          }
        });
      }
      for (std::thread& each : threads) each.join();
    }
    CHECK(wrong == 0);
    CHECK(server.connection_count() <= 3);
    CHECK(server.most_at_once() >= 2);
  }

  TEST_CASE("a very large read is several requests at once") {
    const std::string file = file_of(5 * mib + 3);
    http_server server([&](const http_request& asked) {
      http_reply reply = ranged(asked, file);
      reply.delay_ms = 20;
      return reply;
    });
    stet::http_options options = quick();
    options.split_size_bytes = mib;
    options.max_connections = 4;
    const stet::http_files files(options);
    const auto opened = files.open_reader(server.url());
    REQUIRE(opened);
    CHECK((read_text(*opened, 0, file.size()) == file));
    CHECK(server.request_count() == 1 + 5); // what is behind the first 64 KiB, in pieces
    CHECK(server.most_at_once() > 1);
    CHECK(server.connection_count() <= 4);
  }

  TEST_CASE("a failure of one of several pieces is the failure of the read") {
    const std::string file = file_of(4 * mib);
    http_server server([&](const http_request& asked) {
      http_reply reply = ranged(asked, file);
      if (asked.field("range").starts_with("bytes=2162688-")) reply.set("Content-Range", "bytes 0-1048575/4194304");
      return reply;
    });
    stet::http_options options = quick();
    options.split_size_bytes = mib;
    const stet::http_files files(options);
    const auto opened = files.open_reader(server.url());
    REQUIRE(opened);
    CHECK(read_text(*opened, 64 * kib, 3 * mib) == "bad_response");
  }

  TEST_CASE("a file that is opened again is not asked for again, for a time; a missing one neither") {
    const std::string file = file_of(mib);
    http_server server([&](const http_request& asked) {
      http_reply reply = ranged(asked, file);
      if (asked.target == "/none") reply = {}, reply.status = 404;
      return reply;
    });
    for (const bool is_reused : {true, false}) {
      CAPTURE(is_reused);
      stet::http_options options = quick();
      if (!is_reused) options.reuse_time_ms = 0;
      const stet::http_files files(options);
      server.reset_counts();
      for (int i = 0; i < 3; ++i) {
        const auto opened = files.open_reader(server.url());
        REQUIRE(opened);
        CHECK((read_text(*opened, 0, 60 * kib) == file.substr(0, 60 * kib)));
        CHECK(outcome(files.open_file(server.url("/none"))) == "file_not_found");
        if (!is_reused) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
      CHECK(server.request_count() == (is_reused ? 2 : 6));
    }
  }

  // ---- a file that is replaced ----

  TEST_CASE("a strong ETag is sent as If-Range; a replaced file is an error, and its new bytes are not waited for") {
    std::string file = file_of(mib), tag = "\"one\"";
    std::mutex mutex;
    http_server server([&](const http_request& asked) {
      const std::lock_guard lock(mutex);
      return ranged(asked, file, tag);
    });
    const stet::http_files files(quick());
    const auto opened = files.open_reader(server.url());
    REQUIRE(opened);
    CHECK((read_text(*opened, 200000, 140000) == file.substr(200000, 140000)));
    CHECK(server.requests().back().field("if-range") == "\"one\"");
    {
      const std::lock_guard lock(mutex);
      file = std::string(128 * mib, 'n');
      tag = "\"two\"";
    }
    CHECK(read_text(*opened, 500000, 140000) == "changed");
    CHECK(files.counts().body_size_bytes < mib);
    const std::size_t count = server.request_count();
    CHECK(read_text(*opened, 600000, 140000) == "changed"); // known by now
    CHECK(server.request_count() == count);
    const auto again = files.open_reader(server.url());
    REQUIRE(again);
    CHECK(again->size_bytes() == 128 * mib);
    CHECK(read_text(*again, 100 * mib, 3) == "nnn");
  }

  TEST_CASE("where a server ignores If-Range, the ETag of the answer tells that the file was replaced") {
    const told made = tell([](int number, http_reply& reply) { reply.set("ETag", number == 1 ? "\"a\"" : "\"b\""); });
    CHECK(made.opened == "ok");
    CHECK(made.read == "changed");
    CHECK(made.reason == ": it has another ETag or time than before");
    CHECK(made.request_count == 2);
  }

  TEST_CASE("a weak ETag is compared, and never sent as If-Range") {
    for (const bool changes : {false, true}) {
      const std::string file = file_of(mib);
      std::atomic<int> number{0};
      http_server server([&](const http_request& asked) {
        return ranged(asked, file, changes && ++number > 1 ? "W/\"b\"" : "W/\"a\"");
      });
      const stet::http_files files(quick());
      const auto opened = files.open_reader(server.url());
      REQUIRE(opened);
      CHECK((read_text(*opened, 200000, 140000) == (changes ? "changed" : file.substr(200000, 140000))));
      for (const http_request& each : server.requests()) CHECK(each.field("if-range").empty());
    }
  }

  TEST_CASE("ETags that are no entity tags are not sent; without ETag, the time and the size are compared") {
    for (const std::string& tag :
         {std::string("plain"), std::string("\"a\"b\""), "\"" + std::string(200, 'x') + "\""}) {
      const std::string file = file_of(mib);
      http_server server([&](const http_request& asked) { return ranged(asked, file, tag); });
      const stet::http_files files(quick());
      const auto opened = files.open_reader(server.url());
      REQUIRE(opened);
      CHECK((read_text(*opened, 200000, 140000) == file.substr(200000, 140000)));
      CHECK(server.requests().back().field("if-range").empty());
    }
    const told time = tell([](int number, http_reply& reply) {
      reply.drop("ETag").set("Last-Modified",
                             number == 1 ? "Tue, 01 Dec 2026 00:00:00 GMT" : "Tue, 01 Dec 2026 00:00:01 GMT");
    });
    CHECK(time.read == "changed");
    const told same =
        tell([](int, http_reply& reply) { reply.drop("ETag").set("Last-Modified", "Tue, 01 Dec 2026 00:00:00 GMT"); });
    CHECK(same.read == "ok");
    const told nothing = tell([](int, http_reply& reply) { reply.drop("ETag"); });
    CHECK(nothing.read == "ok");
    const told size = tell([](int number, http_reply& reply) {
      if (number > 1) reply.drop("ETag").set("Content-Range", "bytes 300000-562143/1048577");
    });
    CHECK(size.read == "changed");
    CHECK(size.reason == ": it has another size than before");
    const told shorter = tell([](int number, http_reply& reply) {
      if (number == 1) return;
      reply = {};
      reply.status = 416;
      reply.set("Content-Range", "bytes */1000");
    });
    CHECK(shorter.read == "changed");
  }

  TEST_CASE("the revision of a file is another once its ETag, time or size is") {
    const std::string file = file_of(mib);
    std::string tag = "\"a\"";
    http_server server([&](const http_request& asked) { return ranged(asked, file, tag); });
    const stet::http_files files(quick());
    const auto first = files.revision(server.url()), second = files.revision(server.url());
    REQUIRE(first);
    REQUIRE(second);
    CHECK(*first == *second);
    tag = "\"b\"";
    const auto third = files.revision(server.url());
    REQUIRE(third);
    CHECK(*first != *third);
    CHECK(server.body_size_bytes() == 3 * 512);
    // What was opened before is another file by now, and is not given again.
    const auto opened = files.open_reader(server.url());
    REQUIRE(opened);
    tag = "\"c\"";
    CHECK(read_text(*opened, 0, 4) == file.substr(0, 4)); // read ahead
    CHECK(files.revision(server.url()));
    CHECK(read_text(*opened, 0, 4) == "changed");
    const auto again = files.open_reader(server.url());
    REQUIRE(again);
    CHECK(read_text(*again, 300000, 4) == file.substr(300000, 4));
  }

  // ---- answers that are wrong ----

  TEST_CASE("a server without ranges is an error that says so, and nothing is downloaded; a small file is taken") {
    const std::string small_file = file_of(60 * kib), large_file = file_of(128 * mib);
    http_server server([&](const http_request& asked) {
      http_reply reply;
      reply.body = asked.target == "/large" ? large_file : small_file;
      reply.is_chunked = asked.target == "/chunked";
      return reply;
    });
    const stet::http_files files(quick());
    CHECK(outcome(files.open_reader(server.url("/large"))) == "no_ranges");
    CHECK(subject_of(files, server.url("/large")) == server.url("/large") + ": status 200");
    CHECK(server.body_size_bytes() < 16 * mib); // what fits the buffers of sockets
    CHECK(files.counts().body_size_bytes == 0);
    for (const char* const path : {"/file", "/chunked"}) {
      server.reset_counts();
      const auto opened = files.open_reader(server.url(path));
      REQUIRE(opened);
      CHECK(opened->size_bytes() == small_file.size());
      CHECK((read_text(*opened, 0, small_file.size()) == small_file));
      CHECK((read_text(*opened, 50 * kib, 99) == small_file.substr(50 * kib, 99)));
      CHECK(server.request_count() == 1);
    }
    stet::http_options options = quick();
    options.first_read_size_bytes = 512;
    options.cache_size_bytes = 0;
    const stet::http_files few(options);
    CHECK(outcome(few.open_reader(server.url())) == "no_ranges");
    CHECK(outcome(few.open_reader(server.url("/chunked"))) == "no_ranges");
    // One that gives ranges at first and then no more.
    const told later = tell([](int number, http_reply& reply) {
      if (number > 1) reply.status = 200, reply.drop("Content-Range"), reply.body = file_of(mib);
    });
    CHECK(later.read == "no_ranges");
  }

  TEST_CASE("an answer that is not the range that was asked for is refused") {
    struct lie {
      const char* field;
      const char* value;
      const char* reason;
    };
    const char* const not_valid = ": the Content-Range is not valid";
    const char* const another = ": another range than was asked for";
    for (const lie& each : std::initializer_list<lie>{
             {"Content-Range", "bytes 1-65536/1048576", another},
             {"Content-Range", "bytes 0-65534/1048576", another},
             {"Content-Range", "bytes 0-65536/1048576", another},
             {"Content-Range", "bytes 0-65535/*", not_valid},
             {"Content-Range", "bytes 0-65535/65535", not_valid},
             {"Content-Range", "bytes 5-4/1048576", not_valid},
             {"Content-Range", "bytes */1048576", not_valid},
             {"Content-Range", "bytes 0-65535/99999999999999999999", not_valid},
             {"Content-Range", "lines 0-65535/1048576", not_valid},
             {"Content-Range", "bytes 0-65535/1048576, 7", not_valid},
             {"Content-Range", "bytes", not_valid},
             {"Content-Range", "", not_valid},
             {"Content-Type", "multipart/byteranges; boundary=x", ": several ranges, where one was asked for"},
             {"Content-Encoding", "gzip", ": Content-Encoding, where identity was asked for"}}) {
      CAPTURE(each.field);
      CAPTURE(each.value);
      const told made = tell([&](int, http_reply& reply) { reply.set(each.field, each.value); });
      CHECK(made.opened == "bad_response");
      CHECK(made.reason == each.reason);
      CHECK(made.request_count == 1);
    }
    const told none = tell([](int, http_reply& reply) { reply.drop("Content-Range"); });
    CHECK(none.opened == "bad_response");
    CHECK(none.reason == ": no Content-Range");
    const told twice =
        tell([](int, http_reply& reply) { reply.fields.push_back("Content-Range: bytes 0-65535/1048577"); });
    CHECK(twice.opened == "bad_response");
    const told length = tell([](int, http_reply& reply) { reply.set("Content-Length", "65537"), reply.body += "x"; });
    CHECK(length.reason == ": Content-Length contradicts Content-Range");
    const told same = tell([](int, http_reply& reply) {
      reply.set("Content-Encoding", "identity"), reply.set("Content-Type", "application/octet-stream");
    });
    CHECK(same.read == "ok");
    const told later = tell([](int number, http_reply& reply) {
      if (number > 1) reply.set("Content-Range", "bytes 300001-562144/1048576");
    });
    CHECK(later.read == "bad_response");
    const told encoded = tell([](int, http_reply& reply) {
      reply.status = 200, reply.drop("Content-Range"), reply.body = "small";
      reply.set("Content-Encoding", "gzip");
    });
    CHECK(encoded.opened == "bad_response");
  }

  TEST_CASE("bodies with fewer or more bytes than their header states are refused") {
    const told fewer = tell([](int, http_reply& reply) { reply.is_chunked = true, reply.body.pop_back(); });
    CHECK(fewer.opened == "bad_response");
    CHECK(fewer.reason == ": fewer bytes than were asked for");
    const told more = tell([](int, http_reply& reply) { reply.is_chunked = true, reply.body += "x"; });
    CHECK(more.opened == "bad_response");
    CHECK(more.reason == ": more bytes than were asked for");
    const told later = tell([](int number, http_reply& reply) {
      if (number > 1) reply.is_chunked = true, reply.body.pop_back();
    });
    CHECK(later.read == "bad_response");
    const told chunked = tell([](int, http_reply& reply) { reply.is_chunked = true; });
    CHECK(chunked.read == "ok");
  }

  TEST_CASE("statuses have their codes") {
    const std::pair<int, const char*> all[] = {{404, "file_not_found"}, {410, "file_not_found"}, {401, "access_denied"},
                                               {403, "access_denied"},  {451, "access_denied"},  {416, "bad_response"},
                                               {204, "bad_response"},   {300, "bad_response"},   {304, "bad_response"},
                                               {418, "bad_response"},   {501, "bad_response"},   {999, "bad_response"}};
    for (const auto& each : all) {
      CAPTURE(each.first);
      const int status = each.first;
      const told made = tell([&](int, http_reply& reply) { reply = {}, reply.status = status; });
      CHECK(made.opened == each.second);
      CHECK(made.request_count == 1);
    }
    const told what = tell([](int, http_reply& reply) { reply = {}, reply.status = 418; });
    CHECK(what.reason == ": status 418");
  }

  TEST_CASE("what is no HTTP is an error") {
    const auto answered = [](const std::string& text) {
      return tell([&](int, http_reply& reply) { reply.is_raw = true, reply.raw = text; });
    };
    CHECK(answered("SSH-2.0-OpenSSH_9.2\r\n").opened == "bad_response");
    CHECK(answered("HTTP/1.1 abc\r\n\r\n").opened == "bad_response");
    // libcurl itself refuses a very long line, in words that differ; and there may be many.
    CHECK(answered("HTTP/1.1 206 Partial\r\n" + std::string(400000, 'x') + ": y\r\n\r\n").opened != "ok");
    std::string many = "HTTP/1.1 206 Partial\r\n";
    for (int i = 0; i < 20000; ++i) many += "X-Field: " + std::to_string(i) + "\r\n";
    CHECK(answered(many + "\r\n").reason == ": a very long header");
    const told nothing = answered("");
    CHECK(nothing.opened == "unreachable");
    CHECK(nothing.request_count == 5);
    CHECK(answered("HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-65535/1048576\r\n").opened ==
          "bad_response"); // no end
    // An interim answer comes before the answer; fields behind a chunked body are none of its header.
    const told interim = answered("HTTP/1.1 103 Early Hints\r\nETag: \"x\"\r\n\r\nHTTP/1.1 206 Partial\r\n"
                                  "Content-Range: bytes 0-0/1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
                                  "Content-Range: bytes 5-6/7\r\n\r\n");
    CHECK(interim.opened == "ok");
    CHECK(interim.read == "truncated");
  }

  TEST_CASE("a server that states a huge size makes nothing be allocated") {
    http_server server([&](const http_request& asked) {
      http_reply reply = ranged(asked, file_of(mib));
      std::uint64_t first = 0, last = 0;
      REQUIRE(asked.range(first, last));
      return reply.set("Content-Range",
                       "bytes " + std::to_string(first) + "-" + std::to_string(last) + "/9223372036854775807");
    });
    const stet::http_files files(quick());
    const stet_test::allocations all;
    const auto opened = files.open_reader(server.url());
    REQUIRE(opened);
    CHECK(opened->size_bytes() == 9223372036854775807u);
    CHECK((read_text(*opened, 0, 100) == file_of(mib).substr(0, 100)));
    CHECK(outcome(stet::open(*opened)) == "bad_magic");
    if (stet_test::counts_allocations) CHECK(all.largest_bytes() <= 2 * mib); // the server's own, too
  }

  // ---- servers that fail for a time ----

  TEST_CASE("a request is repeated while the server says that it cannot answer") {
    for (const int status : {408, 429, 500, 502, 503, 504}) {
      CAPTURE(status);
      const told made = tell([&](int number, http_reply& reply) {
        if (number % 3 != 0) reply = {}, reply.status = status, reply.body = "later";
      });
      CHECK(made.read == "ok");
      CHECK(made.request_count == 6);
    }
    stet::http_options options = quick();
    options.max_retries = 2;
    const told never = tell([](int, http_reply& reply) { reply = {}, reply.status = 503; }, options);
    CHECK(never.opened == "unreachable");
    CHECK(never.reason == ": status 503");
    CHECK(never.request_count == 3);
    options.max_retries = 0;
    CHECK(tell([](int, http_reply& reply) { reply = {}, reply.status = 429; }, options).request_count == 1);
  }

  TEST_CASE("Retry-After is waited for, as seconds or as a date, and not for longer than is allowed") {
    auto begin = std::chrono::steady_clock::now();
    const told made = tell([](int number, http_reply& reply) {
      if (number == 1) reply = {}, reply.status = 429, reply.set("Retry-After", "1");
    });
    CHECK(made.read == "ok");
    CHECK(seconds_since(begin) >= 1.0);
    begin = std::chrono::steady_clock::now();
    stet::http_options options = quick();
    options.max_retry_time_ms = 300;
    for (const std::string& after : {std::string("99999999999999"), std::string("Sat, 01 Jan 2050 00:00:00 GMT")}) {
      const told capped = tell(
          [&](int, http_reply& reply) { reply = {}, reply.status = 503, reply.set("Retry-After", after); }, options);
      CHECK(capped.opened == "unreachable");
      CHECK(capped.request_count == 2);
    }
    CHECK(seconds_since(begin) >= 0.6);
    CHECK(seconds_since(begin) < 20);
  }

  TEST_CASE("a connection that is lost within a body is made anew, and what has come does not come again") {
    for (const bool resets : {false, true}) {
      CAPTURE(resets);
      const std::string file = file_of(mib);
      std::atomic<int> number{0};
      http_server server([&](const http_request& asked) {
        http_reply reply = ranged(asked, file);
        if (++number == 2) reply.cut_after = 100 * kib, reply.resets = resets;
        return reply;
      });
      const stet::http_files files(quick());
      const auto opened = files.open_reader(server.url());
      REQUIRE(opened);
      CHECK((read_text(*opened, 300000, 256 * kib) == file.substr(300000, 256 * kib)));
      const std::vector<http_request> all = server.requests();
      REQUIRE(all.size() == 3);
      std::uint64_t first = 0, last = 0;
      REQUIRE(all[2].range(first, last));
      CHECK(last == 562143);
      if (!resets) CHECK(first == 300000 + 100 * kib); // a reset may take away what was sent before
      CHECK(all[2].field("if-range") == "\"1\"");
    }
    const told at_open = tell([](int number, http_reply& reply) {
      if (number == 1) reply.cut_after = 1000;
    });
    CHECK(at_open.read == "ok");
    CHECK(at_open.request_count == 3);
    stet::http_options options = quick();
    options.max_retries = 3;
    const told always = tell(
        [](int number, http_reply& reply) {
          if (number > 1) reply.cut_after = 10;
        },
        options);
    CHECK(always.read == "unreachable");
    CHECK(always.request_count == 5);
  }

  TEST_CASE("a file that is replaced between an attempt and the next one is an error") {
    const told made = tell([](int number, http_reply& reply) {
      if (number == 2) reply.cut_after = 100 * kib;
      if (number == 3) reply.set("ETag", "\"2\"");
    });
    CHECK(made.read == "changed");
  }

  TEST_CASE("a server that sends nothing any more is given up, in header and body") {
    stet::http_options options = quick();
    options.stall_timeout_s = 1;
    options.max_retries = 0;
    const auto begin = std::chrono::steady_clock::now();
    const told header = tell([](int, http_reply& reply) { reply.stalls_in_header = true; }, options);
    CHECK(header.opened == "unreachable");
    const told body = tell(
        [](int number, http_reply& reply) {
          if (number > 1) reply.stall_after = 1000;
        },
        options);
    CHECK(body.read == "unreachable");
    CHECK(seconds_since(begin) < 30);
  }

  TEST_CASE("where no server is, and where no host is") {
    std::string url;
    {
      http_server server([](const http_request&) { return http_reply{}; });
      url = server.url();
    }
    const stet::http_files files(quick());
    CHECK(outcome(files.open_file(url)) == "unreachable");
    CHECK(outcome(files.open_file("http://name.invalid/file")) == "unreachable");
    CHECK(files.counts().request_count == 2);
  }

  // ---- redirects ----

  TEST_CASE("redirects are followed, and later reads go where they led to") {
    const std::string file = file_of(mib);
    for (const int status : {301, 302, 303, 307, 308}) {
      CAPTURE(status);
      http_server server([&](const http_request& asked) {
        if (asked.target == "/there") return ranged(asked, file);
        http_reply reply;
        reply.status = status;
        reply.body = "over there";
        return reply.set("Location", "/there");
      });
      const stet::http_files files(quick());
      const auto opened = files.open_reader(server.url());
      REQUIRE(opened);
      CHECK((read_text(*opened, 300000, 256 * kib) == file.substr(300000, 256 * kib)));
      const std::vector<http_request> all = server.requests();
      REQUIRE(all.size() == 3);
      CHECK(all[1].target == "/there");
      CHECK(all[2].target == "/there");
      CHECK(all[2].field("range") == "bytes=300000-562143");
      CHECK(server.connection_count() == 1);
    }
  }

  TEST_CASE("where a redirect led to may end: the server is asked again") {
    const std::string file = file_of(mib);
    std::atomic<int> number{0};
    std::atomic<bool> is_over{false};
    http_server server([&](const http_request& asked) {
      http_reply reply;
      if (asked.target.starts_with("/signed")) {
        if (!is_over && asked.target == "/signed?" + std::to_string(number.load())) return ranged(asked, file);
        reply.status = 403;
        return reply;
      }
      reply.status = 302;
      return reply.set("Location", "/signed?" + std::to_string(++number));
    });
    const stet::http_files files(quick());
    const auto opened = files.open_reader(server.url());
    REQUIRE(opened);
    ++number; // the signature ends
    CHECK((read_text(*opened, 300000, 140000) == file.substr(300000, 140000)));
    CHECK(server.request_count() == 5);
    is_over = true;
    CHECK(read_text(*opened, 500000, 140000) == "access_denied"); // the new one is refused, too
    CHECK(server.request_count() == 8);
  }

  TEST_CASE("too many redirects, and redirects to what may not be opened, are errors") {
    const auto redirected = [&](const std::string& to) {
      return tell([&](int, http_reply& reply) { reply = {}, reply.status = 302, reply.set("Location", to); });
    };
    const told loop = redirected("/file");
    CHECK(loop.opened == "bad_response");
    CHECK(loop.reason == ": too many redirects");
    CHECK(loop.request_count == 6);
    for (const char* const to :
         {"file:///etc/passwd", "ftp://127.0.0.1/file", "gopher://127.0.0.1/", "http://user:pw@127.0.0.1:1/"}) {
      CAPTURE(to);
      const told made = redirected(to);
      CHECK(made.opened == "bad_path");
      CHECK(made.request_count == 1);
    }
    const told nowhere = tell([](int, http_reply& reply) { reply = {}, reply.status = 302; });
    CHECK(nowhere.opened == "bad_response");
    CHECK(redirected("/" + std::string(17000, 'x')).opened == "bad_response");
    stet::http_options options = quick();
    options.max_redirects = 0;
    const told none =
        tell([](int, http_reply& reply) { reply = {}, reply.status = 302, reply.set("Location", "/x"); }, options);
    CHECK(none.opened == "bad_response");
    CHECK(none.request_count == 1);
  }

  TEST_CASE("the token and added fields go to the server of the URL, and not where a redirect leads") {
    const std::string file = file_of(mib);
    http_server other([&](const http_request& asked) { return ranged(asked, file); });
    http_server server([&](const http_request& asked) {
      http_reply reply;
      reply.status = 307;
      return reply.set("Location", asked.target == "/host"   ? server.url("/end", "localhost")
                                   : asked.target == "/port" ? other.url("/end")
                                                             : "/end");
    });
    const auto add = [](void* context, std::string_view url, stet::http_headers& to) noexcept {
      *static_cast<std::string*>(context) = url;
      to.add("X-Signature", "of me");
      to.add("X-Empty", "");
    };
    for (const std::string path : {"/port", "/host"}) {
      CAPTURE(path);
      std::string asked_about;
      stet::http_options options = quick();
      options.bearer_token = "secret";
      options.sends_token_over_http = true;
      options.max_redirects = 1;
      options.add_headers = add;
      options.context = &asked_about;
      server.reset_counts(), other.reset_counts();
      const stet::http_files files(options);
      const bool is_opened = bool(files.open_reader(server.url(path)));
      CHECK(is_opened == (path == "/port"));
      CHECK(asked_about == server.url(path));
      const http_request first = server.requests().front();
      CHECK(first.field("authorization") == "Bearer secret");
      CHECK(first.field("x-signature") == "of me");
      CHECK(first.fields.contains("x-empty"));
      const std::vector<http_request> rest = path == "/port" ? other.requests() : server.requests();
      const http_request last = rest.back();
      CHECK(last.target == "/end");
      CHECK(!last.fields.contains("authorization"));
      CHECK(!last.fields.contains("x-signature"));
    }
    // Without permission it is not sent unencrypted at all.
    stet::http_options options = quick();
    options.bearer_token = "secret";
    other.reset_counts();
    const stet::http_files files(options);
    CHECK(files.open_reader(other.url()));
    CHECK(!other.requests().front().fields.contains("authorization"));
  }

  TEST_CASE("fields that would begin others, or that stet sets itself, are refused before anything is sent") {
    http_server server([](const http_request& asked) { return ranged(asked, "file"); });
    stet::http_options options = quick();
    options.bearer_token = "a\r\nX-Evil: 1";
    options.sends_token_over_http = true;
    CHECK(outcome(stet::http_files(options).open_file(server.url())) == "invalid_argument");
    options.bearer_token = {};
    using adder = void (*)(void*, std::string_view, stet::http_headers&) noexcept;
    for (const adder add :
         {adder([](void*, std::string_view, stet::http_headers& to) noexcept { to.add("X", "a\nb"); }),
          adder([](void*, std::string_view, stet::http_headers& to) noexcept { to.add("X: y\r\nZ", "a"); }),
          adder([](void*, std::string_view, stet::http_headers& to) noexcept { to.add("", "a"); }),
          adder([](void*, std::string_view, stet::http_headers& to) noexcept { to.add("if-range", "a"); }),
          adder([](void*, std::string_view, stet::http_headers& to) noexcept { to.add("RANGE", "bytes=0-1"); })}) {
      options.add_headers = add;
      CHECK(outcome(stet::http_files(options).open_file(server.url())) == "invalid_argument");
    }
    CHECK(server.request_count() == 0);
  }

  // ---- names ----

  TEST_CASE("only http and https are opened, without users and fragments, and without escapes that change a folder") {
    const stet::http_files files(quick());
    for (const std::string_view url : {std::string_view("file:///etc/passwd"),
                                       std::string_view("ftp://127.0.0.1/x"),
                                       std::string_view("model.stet"),
                                       std::string_view("127.0.0.1/x"),
                                       std::string_view(""),
                                       std::string_view("http://"),
                                       std::string_view("http://u:p@127.0.0.1/x"),
                                       std::string_view("http://127.0.0.1/x#y"),
                                       std::string_view("http://127.0.0.1/a%2fb"),
                                       std::string_view("http://127.0.0.1/%2e%2E"),
                                       std::string_view("http://127.0.0.1/a%5Cb"),
                                       std::string_view("http://127.0.0.1/a%252fb"),
                                       std::string_view("http://127.0.0.1/a%0d"),
                                       std::string_view("http://127.0.0.1/a%2"),
                                       std::string_view("http://127.0.0.1/a%"),
                                       std::string_view("http://127.0.0.1/a%zz"),
                                       std::string_view("http://127.0.0.1/a\0b", 20),
                                       std::string_view("http://127.0.0.1/a\r\nX: y"),
                                       std::string_view("dict://127.0.0.1/x"),
                                       std::string_view("smb://127.0.0.1/x")}) {
      CAPTURE(url);
      CHECK(outcome(files.open_file(url)) == "bad_path");
    }
    CHECK(outcome(files.open_file("http://127.0.0.1/folder/")) == "not_a_regular_file");
    CHECK(outcome(files.list_folder("http://127.0.0.1/folder/", nullptr, nullptr)) == "unsupported");
    CHECK(files.counts().request_count == 0);
  }

  TEST_CASE("a name beside a URL may be escaped, and may not have a query; a URL of its own may") {
    http_server server([](const http_request& asked) { return ranged(asked, "a file"); });
    const stet::http_files files(quick());
    CHECK(files.open_file(server.url("/other/model?signature=a/b%2f")));
    CHECK(server.requests().back().target == "/other/model?signature=a/b%2f");
    CHECK(files.open_file(server.url("/folder/index.json")));
    CHECK(files.open_file(server.url("/folder/part%20one")));
    CHECK(server.requests().back().target == "/folder/part%20one");
    CHECK(files.open_file(server.url("/folder/part two \xC3\xA4{}|.st")));
    CHECK(server.requests().back().target == "/folder/part%20two%20%C3%A4%7B%7D%7C.st");
    CHECK(outcome(files.open_file(server.url("/folder/part?delete=all"))) == "bad_path");
    CHECK(server.request_count() == 4);
  }

  TEST_CASE("a query does not appear in errors") {
    http_server server([](const http_request&) {
      http_reply reply;
      reply.status = 403;
      return reply;
    });
    const stet::http_files files(quick());
    CHECK(subject_of(files, server.url("/a?token=secret")) == server.url("/a") + ": status 403");
  }
}

#else

TEST_SUITE("ext/curl") {
  TEST_CASE("models at URLs") { MESSAGE("skipped: the build has found no libcurl, or there are no POSIX sockets"); }
}

#endif
