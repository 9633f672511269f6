// SPDX-License-Identifier: MIT
// Models of all formats at URLs: what is asked for and fetched to open them, and the bytes that then come; skipped without libcurl.
#include <doctest/doctest.h>

#if STET_HAS_CURL && !defined(_WIN32)

#include <curl/curl.h>

#include <stet/ext/curl.hpp>
#include <stet/formats/check_model.hpp>
#include <stet/formats/compiled.hpp>
#include <stet/formats/description.hpp>
#include <stet/load.hpp>
#include <stet/writer.hpp>

#include "support/http_server.hpp"
#include "support/onnx_files.hpp"
#include "support/outcome.hpp"
#include "support/safetensors_files.hpp"
#include "support/temp_folder.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace {

using stet_test::http_reply;
using stet_test::http_request;
using stet_test::http_server;
using stet_test::outcome;
using stet_test::ranged;
using stet_test::temp_folder;

constexpr std::size_t remote_count = 40, remote_elements = 80 << 10;

/// The elements of tensor `number`.
std::vector<float> elements_of(std::size_t number) {
  std::vector<float> made(remote_elements);
  for (std::size_t i = 0; i < made.size(); ++i) made[i] = static_cast<float>((number * 31 + i) % 4096);
  return made;
}

std::string name_of_remote(std::size_t number) { return "layer_" + std::to_string(number) + "/kernel"; }

/// The files that are made when 40 tensors of 256 KiB are saved under this name, by their names.
std::map<std::string, std::string> saved_files_of(std::string_view name, const stet::save_any_options& options = {}) {
  const temp_folder folder(temp_folder::in_memory());
  std::vector<std::vector<float>> all;
  for (std::size_t number = 0; number < remote_count; ++number) all.push_back(elements_of(number));
  stet::writer out;
  for (std::size_t number = 0; number < remote_count; ++number)
    out.add(name_of_remote(number), all[number], {256, remote_elements / 256});
  const auto saved = stet::compiled::save_any(folder.path(name), out, options);
  CHECK(outcome(saved) == "ok");
  std::map<std::string, std::string> files;
  for (const std::string& each : folder.names()) {
    const std::vector<std::byte> bytes = folder.read(each);
    files[each] = std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return files;
}

/// Serves these files from a folder.
http_server::handler serving(const std::map<std::string, std::string>& files) {
  return [&files](const http_request& asked) {
    const auto found = files.find(asked.target.substr(asked.target.rfind('/') + 1));
    if (found != files.end()) return ranged(asked, found->second);
    http_reply none;
    none.status = 404;
    return none;
  };
}

std::uint64_t size_of_all(const std::map<std::string, std::string>& files) {
  std::uint64_t size = 0;
  for (const auto& each : files) size += each.second.size();
  return size;
}

} // namespace

TEST_SUITE("ext/curl_formats") {
  TEST_CASE("of formats with a table, it alone is fetched, in few requests; a tensor comes by one more") {
    struct row {
      const char* name;
      std::size_t request_count;
      std::uint64_t size_bytes;
    };
    // A request for the beginning, one for the end; GGUF is read in windows of 128 KiB.
    constexpr std::uint64_t kib = 1024;
    for (const row& each :
         {row{"m.stet", 2, 96 * kib}, row{"m.safetensors", 2, 96 * kib}, row{"m.gguf", 3, 160 * kib}}) {
      CAPTURE(each.name);
      const std::map<std::string, std::string> files = saved_files_of(each.name);
      http_server server(serving(files));
      const stet::http_files http;
      const auto opened = stet::compiled::open_any(server.url("/folder/" + std::string(each.name)), {.files = &http});
      REQUIRE(outcome(opened) == "ok");
      CHECK(server.request_count() == each.request_count);
      CHECK(server.body_size_bytes() == each.size_bytes);
      CHECK(server.connection_count() == 1);
      CHECK(opened->store.tensor_count() == remote_count);
      for (const std::size_t number : {0u, 17u, 39u}) {
        server.reset_counts();
        const auto found = opened->store.find(name_of_remote(number));
        REQUIRE(found);
        CHECK(found->bytes().data() == nullptr);
        std::vector<float> values(remote_elements);
        CHECK(outcome(found->copy_to(std::span(values))) == "ok");
        CHECK((values == elements_of(number)));
        CHECK(server.request_count() == 1);
        CHECK(server.body_size_bytes() <= remote_elements * sizeof(float));
      }
    }
  }

  TEST_CASE("tensors that are loaded together come by large requests, over several connections at once") {
    for (const char* const name : {"m.stet", "m.safetensors", "m.gguf"}) {
      CAPTURE(name);
      const std::map<std::string, std::string> files = saved_files_of(name);
      http_server server(serving(files));
      const stet::http_files http;
      const auto opened = stet::compiled::open_any(server.url("/folder/" + std::string(name)), {.files = &http});
      REQUIRE(outcome(opened) == "ok");
      server.reset_counts();
      const auto loaded = stet::load_all(opened->store);
      REQUIRE(outcome(loaded) == "ok");
      if (!loaded) return;
      // 12.5 MiB: a request for each MiB of the file, and two where that is in front of what was read ahead or behind it.
      CHECK(server.request_count() <= 13 + 3);
      CHECK(server.body_size_bytes() <= size_of_all(files) + (64 << 10));
      CHECK(server.connection_count() <= 8);
      for (std::size_t number = 0; number < remote_count; ++number) {
        const auto values = loaded->get<float>(name_of_remote(number));
        REQUIRE(outcome(values) == "ok");
        const std::vector<float> expected = elements_of(number);
        CHECK(std::equal(values->begin(), values->end(), expected.begin(), expected.end()));
      }
    }
  }

  TEST_CASE("a file that `open` opens without a probe takes one request") {
    const std::map<std::string, std::string> files = saved_files_of("m.stet");
    http_server server(serving(files));
    const stet::http_files http;
    const auto opened = stet::open(server.url("/m.stet"), {.files = &http});
    REQUIRE(outcome(opened) == "ok");
    CHECK(server.request_count() == 1);
    CHECK(server.body_size_bytes() == 65536);
    std::vector<float> values(remote_elements);
    CHECK(outcome(opened->find(name_of_remote(3))->copy_to(std::span(values))) == "ok");
    CHECK((values == elements_of(3)));
  }

  TEST_CASE("the parts of a store and the shards of an index are opened beside the URL, each by its beginning") {
    stet::save_any_options options;
    options.max_shard_size_bytes = 3 << 20;
    for (const char* const name : {"m.stet", "m.safetensors"}) {
      CAPTURE(name);
      const std::map<std::string, std::string> files = saved_files_of(name, options);
      REQUIRE(files.size() > 3);
      std::string main = name;
      if (!files.contains(main)) main = "m.safetensors.index.json";
      http_server server(serving(files));
      const stet::http_files http;
      const auto opened = stet::compiled::open_any(server.url("/" + main), {.files = &http});
      REQUIRE(outcome(opened) == "ok");
      CHECK(server.request_count() <= 1 + files.size());
      CHECK(server.body_size_bytes() <= files.size() * 65536 + 32768);
      for (const std::size_t number : {0u, 20u, 39u}) {
        std::vector<float> values(remote_elements);
        CHECK(outcome(opened->store.find(name_of_remote(number))->copy_to(std::span(values))) == "ok");
        CHECK((values == elements_of(number)));
      }
    }
  }

  TEST_CASE("an ONNX model is walked through from tensor to tensor, without their bytes") {
    std::string graph;
    const std::string raw(1 << 20, 'w');
    for (int number = 0; number < 8; ++number) {
      const std::string tensor = stet_test::onnx_raw("w" + std::to_string(number), 2, {1 << 20}, raw);
      graph += stet_test::onnx_field(5, tensor);
    }
    const std::map<std::string, std::string> files{
        {"m.onnx", stet_test::onnx_model(graph + stet_test::onnx_field(2, "g"))}};
    http_server server(serving(files));
    const stet::http_files http;
    const auto opened = stet::compiled::open_any(server.url("/m.onnx"), {.files = &http});
    REQUIRE(outcome(opened) == "ok");
    CHECK(opened->store.tensor_count() == 8);
    // The beginning, the end, and what lies between two tensors, but the first of them.
    CHECK(server.request_count() == 2 + 7);
    CHECK(server.body_size_bytes() == (64 + 32 + 7 * 16) * 1024);
    std::string values(raw.size(), '?');
    const auto found = opened->store.find("w5");
    REQUIRE(found);
    CHECK(outcome(found->read(0, std::as_writable_bytes(std::span(values)))) == "ok");
    CHECK((values == raw));
  }

  TEST_CASE("of archives with large tensors, what opening needs is fetched, and a request for each header") {
    for (const char* const name : {"m.pt", "m.npz"}) {
      CAPTURE(name);
      const std::map<std::string, std::string> files = saved_files_of(name);
      http_server server(serving(files));
      const stet::http_files http;
      const auto opened = stet::compiled::open_any(server.url("/" + std::string(name)), {.files = &http});
      REQUIRE(outcome(opened) == "ok");
      CHECK(server.request_count() <= 4 + remote_count);
      CHECK(server.body_size_bytes() <= (64 + 32 + (2 + remote_count) * 16) * 1024);
      CHECK(opened->store.tensor_count() == remote_count);
      std::vector<float> values(remote_elements);
      for (const std::size_t number : {0u, 17u, 39u}) {
        server.reset_counts();
        const auto found = opened->store.find(name_of_remote(number));
        REQUIRE(found);
        CHECK(found->bytes().data() == nullptr);
        CHECK(outcome(found->copy_to(std::span(values))) == "ok");
        CHECK((values == elements_of(number)));
        CHECK(server.request_count() <= 2);
      }
      CHECK(outcome(stet::check_ranges(*opened)) == "ok");
      CHECK(outcome(stet::describe(*opened)) == "ok");
    }
  }

  TEST_CASE("formats that are opened in memory are fetched once, as a whole") {
    for (const char* const name : {"m.h5", "model.json"}) {
      CAPTURE(name);
      const std::map<std::string, std::string> files = saved_files_of(name);
      http_server server(serving(files));
      const stet::http_files http;
      const auto opened = stet::compiled::open_any(server.url("/" + std::string(name)), {.files = &http});
      REQUIRE(outcome(opened) == "ok");
      CHECK(server.request_count() <= 2 + files.size() * 2);
      CHECK(server.body_size_bytes() <= size_of_all(files) + 96 * 1024);
      CHECK(opened->store.tensor_count() >= remote_count);
      std::vector<float> values(remote_elements);
      std::size_t same = 0;
      for (const stet::tensor each : opened->store) {
        if (each.size_bytes() != remote_elements * sizeof(float)) continue;
        REQUIRE(outcome(each.copy_to(std::span(values))) == "ok");
        for (std::size_t number = 0; number < remote_count; ++number) same += values == elements_of(number) ? 1u : 0u;
      }
      CHECK(same >= remote_count);
    }
  }

  TEST_CASE("a shard that is missing, or whose name leads elsewhere, costs what it costs in a folder") {
    const auto index_of = [](std::string_view shard) {
      return std::string(R"({"weight_map":{"a":")").append(shard).append(R"(","b":"there.safetensors"}})");
    };
    std::map<std::string, std::string> files{{"there.safetensors", stet_test::shard_of({"b"}, 'b')}};
    http_server server(serving(files));
    for (const std::string shard :
         {"none.safetensors", "x%2f..%2fy", "x?delete", "../there.safetensors", "http://127.0.0.1:1/x", "a#b"}) {
      CAPTURE(shard);
      files["m.safetensors.index.json"] = index_of(shard);
      const stet::http_files http;
      server.reset_counts();
      const auto opened = stet::compiled::open_any(server.url("/d/m.safetensors.index.json"), {.files = &http});
      CHECK(outcome(opened) == (shard == "none.safetensors" ? "ok" : "bad_path"));
      for (const http_request& each : server.requests()) {
        CHECK((each.target == "/d/m.safetensors.index.json" || each.target == "/d/there.safetensors" ||
               each.target == "/d/none.safetensors"));
      }
      if (shard == "none.safetensors") {
        REQUIRE(opened);
        CHECK(opened->omitted.size() == 1);
      }
    }
  }

  TEST_CASE("what is at a URL and no model, is not there, or may not be had is told") {
    std::map<std::string, std::string> files{{"page.html", "<!DOCTYPE html>" + std::string(1 << 20, '\n')}};
    http_server server(serving(files));
    const stet::http_files http;
    CHECK(outcome(stet::compiled::open_any(server.url("/page.html"), {.files = &http})) == "unknown_format");
    CHECK(server.body_size_bytes() <= 512 * 1024); // some formats may begin later in a file
    CHECK(outcome(stet::compiled::open_any(server.url("/none.pt"), {.files = &http})) == "file_not_found");
    CHECK(outcome(stet::compiled::open_any(server.url("/folder/"), {.files = &http})) == "not_a_regular_file");
  }

  TEST_CASE("a server that does not answer is waited for once, whatever formats look for") {
    http_server server([](const http_request&) {
      http_reply later;
      later.status = 503;
      return later;
    });
    stet::http_options options;
    options.retry_pause_ms = 1;
    const stet::http_files http(options);
    const auto opened = stet::compiled::open_any(server.url("/m.pt"), {.files = &http});
    CHECK(outcome(opened) == "unreachable");
    CHECK(opened.error().subject() == server.url("/m.pt") + ": status 503");
    CHECK(server.request_count() == 5);
  }

  TEST_CASE("a model that is replaced while it is open is an error of its tensors") {
    std::map<std::string, std::string> files = saved_files_of("m.safetensors");
    std::string tag = "\"1\"";
    std::mutex mutex;
    http_server server([&](const http_request& asked) {
      const std::lock_guard lock(mutex);
      return ranged(asked, files["m.safetensors"], tag);
    });
    const stet::http_files http;
    const auto opened = stet::compiled::open_any(server.url("/m.safetensors"), {.files = &http});
    REQUIRE(outcome(opened) == "ok");
    {
      const std::lock_guard lock(mutex);
      tag = "\"2\"";
    }
    std::vector<float> values(remote_elements);
    CHECK(outcome(opened->store.find(name_of_remote(3))->copy_to(std::span(values))) == "changed");
  }
}

#endif
