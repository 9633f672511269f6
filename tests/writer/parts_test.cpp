// SPDX-License-Identifier: MIT
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <stet/manifest/open.hpp>
#include <stet/writer/detail/parts.hpp>
#include <stet/writer/writer.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

using stet::detail::is_like_part_name;
using stet::detail::listed_parts;
using stet::detail::part_name;

TEST_SUITE("writer/parts") {
  TEST_CASE("FNV-1a gives the published values") {
    // Source: Noll's test vectors, http://www.isthe.com/chongo/src/fnv/test_fnv.c, fnv1a_64.
    CHECK(stet::detail::fnv1a().value() == 0xCBF29CE484222325u);
    CHECK(stet::detail::fnv1a().add("a").value() == 0xAF63DC4C8601EC8Cu);
    CHECK(stet::detail::fnv1a().add("foobar").value() == 0x85944171F73967E8u);
    CHECK(stet::detail::fnv1a().add(0x6F66, 2).add("obar").value() == 0x85944171F73967E8u);
  }

  TEST_CASE("a part is called after its store, its number and its content") {
    const std::string name = part_name("model.stet", 0, 3, 42, ".stet");
    CHECK(name.substr(0, 21) == "model-00000-of-00003-");
    CHECK(name.size() == 21 + 8 + 5);
    CHECK(is_like_part_name(name, "model.stet"));
    CHECK(part_name("model.stet", 0, 3, 43, ".stet") != name);
    CHECK(part_name("model.stet", 0, 3, 42, ".stet") == name);
    CHECK(is_like_part_name(part_name("model.stet", 123456, 1000000, ~std::uint64_t{0}, ".bin"), "model.stet"));
    CHECK(is_like_part_name(part_name("model", 1, 2, 3, ".bin"), "model"));
    CHECK(is_like_part_name(part_name(".hidden", 1, 2, 3, ".bin"), ".hidden"));
  }

  TEST_CASE("stores that share a stem share no part") {
    CHECK(part_name("model.stet", 0, 1, 42, ".stet") != part_name("model.v2", 0, 1, 42, ".stet"));
    CHECK(part_name("model.stet", 0, 1, 42, ".stet") != part_name("model", 0, 1, 42, ".stet"));
  }

  TEST_CASE("other names are not those of parts") {
    const char* const others[] = {"",
                                  "model.stet",
                                  "model-00000-of-00003-89abcdef",
                                  "model-00000-of-00003-89abcdef.txt",
                                  "model-00000-of-00003-89abcdef.stet.bak",
                                  "model-00000-of-00003-89ABCDEF.stet",
                                  "model-00000-of-00003-89abcde.stet",
                                  "model-00000-of-00003-89abcdef0.stet",
                                  "model-0000-of-00003-89abcdef.stet",
                                  "model-0000a-of-00003-89abcdef.stet",
                                  "model-00000-of-00003.stet",
                                  "model-00000-00003-89abcdef.stet",
                                  "model_00000-of-00003-89abcdef.stet",
                                  "model2-00000-of-00003-89abcdef.stet",
                                  "mode-00000-of-00003-89abcdef.stet",
                                  "other-00000-of-00003-89abcdef.stet",
                                  "../model-00000-of-00003-89abcdef.stet",
                                  "./model-00000-of-00003-89abcdef.stet",
                                  "-00000-of-00003-89abcdef.stet"};
    for (const char* const other : others) {
      CAPTURE(other);
      CHECK_FALSE(is_like_part_name(other, "model.stet"));
    }
    CHECK(is_like_part_name("model-00000-of-00003-89abcdef.stet", "model.stet"));
    CHECK(is_like_part_name("model-00000-of-00003-89abcdef.bin", "model.stet"));
  }

  TEST_CASE("parts that are not those of this very store are not its own") {
    for (const auto& [form, name, extension] : {std::tuple{stet::store_form::sharded, "model.stet", ".stet"},
                                                {stet::store_form::loose, "model.json", ".bin"}}) {
      const std::string_view which = name;
      CAPTURE(which);
      const stet_test::temp_folder folder;
      const std::vector<float> values(100, 1.0f);
      const std::vector<float> others(100, 2.0f);
      stet::writer out, other;
      out.add("a", values, {100});
      other.add("a", others, {100});
      stet::save_options options;
      options.form = form;
      REQUIRE(out.save(folder.path(name), options));
      const std::vector<std::string> parts = listed_parts(folder.path(name));
      REQUIRE(parts.size() == 1);
      // A copy of the file with the table lists the parts of the first.
      folder.write("model.bak", folder.read(name));
      CHECK(listed_parts(folder.path("model.bak")).empty());
      REQUIRE(other.save(folder.path("model.bak"), options));
      CHECK(stet::open(folder.path(name), {.read_manifest = stet::read_manifest}));
      // A file of the part's name that is not the part.
      const std::vector<std::byte> part = folder.read(parts[0]);
      folder.write(parts[0], std::string_view("mine"));
      CHECK(listed_parts(folder.path(name)).empty());
      REQUIRE(other.save(folder.path(name), options));
      CHECK(folder.read(parts[0]).size() == 4);
    }
  }

#if !defined(_WIN32) && !defined(__wasi__) && !defined(__EMSCRIPTEN__)
  TEST_CASE("parts lie beside the file that a link leads to, and so that has to be in the folder of the link") {
    for (const stet::store_form form : {stet::store_form::sharded, stet::store_form::loose}) {
      const stet_test::temp_folder folder;
      std::filesystem::create_directory(stet_test::to_path(folder.path("real")));
      folder.write("real/far.json", std::string_view("old"));
      std::filesystem::create_symlink("real/far.json", stet_test::to_path(folder.path("far.json")));
      std::filesystem::create_symlink("near.json", stet_test::to_path(folder.path("link.json")));
      const std::vector<float> values(100, 1.0f);
      stet::writer out;
      out.add("a", values, {100});
      stet::save_options options;
      options.form = form;
      const auto refused = out.save(folder.path("far.json"), options);
      CHECK(stet_test::outcome(refused) == "unsupported");
      CHECK(folder.read("real/far.json").size() == 3);
      CHECK(stet_test::outcome(out.save(folder.path("link.json"), options)) == "ok");
      CHECK(std::filesystem::is_symlink(stet_test::to_path(folder.path("link.json"))));
      CHECK(stet::open(folder.path("near.json"), {.read_manifest = stet::read_manifest}));
      CHECK(stet::open(folder.path("link.json"), {.read_manifest = stet::read_manifest}));
    }
  }
#endif

  TEST_CASE("a file that lists parts of the right look takes none along") {
    const stet_test::temp_folder folder;
    folder.write("model-00000-of-00001-89abcdef.bin", std::string(256, 'x'));
    const std::string path = folder.write(
        "model.json", std::string_view(R"({"stet": {"version": 1, "minimum_reader": 1}, "alignment_bytes": 1,
      "data": [{"path": "model-00000-of-00001-89abcdef.bin", "size_bytes": 256}], "tensors": {}})"));
    CHECK(stet::open(path, {.read_manifest = stet::read_manifest}));
    CHECK(listed_parts(path).empty());
    REQUIRE(stet::writer().save(path));
    CHECK(folder.read("model-00000-of-00001-89abcdef.bin").size() == 256);
  }

  TEST_CASE("the parts of a store are read from its index or its manifest, and from nothing else") {
    const stet_test::temp_folder folder;
    const std::vector<float> values(100, 1.0f);
    stet::writer out;
    for (const char* const name : {"a", "b", "c"}) out.add(name, values, {100});
    stet::save_options options;
    options.max_part_size_bytes = 700;
    for (const auto& [form, name, extension] : {std::tuple{stet::store_form::sharded, "model.stet", ".stet"},
                                                {stet::store_form::loose, "model.json", ".bin"}}) {
      options.form = form;
      REQUIRE(out.save(folder.path(name), options));
      const std::vector<std::string> parts = listed_parts(folder.path(name));
      REQUIRE(parts.size() == 3);
      for (std::size_t number = 0; number < 3; ++number) {
        CHECK(is_like_part_name(parts[number], name));
        CHECK(parts[number].find("-0000" + std::to_string(number) + "-of-00003-") != std::string::npos);
        CHECK(parts[number].ends_with(extension));
        CHECK(!folder.read(parts[number]).empty());
      }
      CHECK(listed_parts(folder.path(parts[0])).empty()); // a part is no store
    }
    options.form = stet::store_form::single_file;
    REQUIRE(out.save(folder.path("single.stet"), options));
    CHECK(listed_parts(folder.path("single.stet")).empty());
    CHECK(listed_parts(folder.path("missing.stet")).empty());
    CHECK(listed_parts(folder.path()).empty());
    CHECK(listed_parts("").empty());
    CHECK(listed_parts(folder.write("empty", std::string_view())).empty());
    CHECK(listed_parts(folder.write("text", std::string_view("model-00000-of-00003-89abcdef.stet"))).empty());
    CHECK(listed_parts(folder.write("json", std::string_view(R"({"data": ["model-00000-of-00003-89abcdef.bin"]})")))
              .empty());

    // Every truncation and every flipped bit of a head: never a crash, and never another name.
    const std::vector<std::byte> head = folder.read("model.stet");
    const std::vector<std::string> parts = listed_parts(folder.path("model.stet"));
    for (std::size_t size = 0; size < head.size(); size += 7) {
      CHECK(listed_parts(folder.write("damaged.stet", std::span(head).first(size))).empty());
    }
  }
}
