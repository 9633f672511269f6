// SPDX-License-Identifier: MIT
// ExecuTorch's .ptd files: tensors in place or in another order of axes, blobs, and what is wrong.
#include <stet/formats/executorch.hpp>
#include <stet/formats/executorch/format.hpp>

#include "support/counted_memory.hpp"
#include "support/exact_text.hpp"
#include "support/outcome.hpp"
#include "support/ptd_files.hpp"
#include "support/temp_folder.hpp"
#include "support/thinned.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace std::string_literals;
using namespace stet_test;

/// The name of the error and its subject; "ok" for none. Read from a block that ends where the file does.
std::string ptd_failure(std::string_view file) {
  const exact_text block(file);
  const auto opened = stet::open_executorch(block.bytes());
  if (opened) return "ok";
  CHECK((opened.error().offset_bytes() == stet::error::no_offset || opened.error().offset_bytes() <= file.size()));
  std::string text(stet::describe(opened.error().code()).name);
  if (!opened.error().subject().empty()) text.append(" ").append(opened.error().subject());
  return text;
}
std::string ptd_failure(const ptd_model_file& model) { return ptd_failure(model.bytes()); }

ptd_model_file one_row(ptd_row row, std::string bytes) {
  ptd_model_file made;
  made.rows = {std::move(row)};
  made.segments = {std::move(bytes)};
  return made;
}

std::vector<float> floats_of(const stet::store& of, std::string_view name) {
  const auto found = of.find(name);
  REQUIRE(found);
  std::vector<float> values(static_cast<std::size_t>(found->element_count()));
  REQUIRE(found->copy_to(std::span(values)));
  return values;
}

} // namespace

TEST_SUITE("formats/executorch") {
  TEST_CASE("tensors are in place by their keys, and blobs are bytes") {
    const std::string file = example_ptd_model().bytes();
    const exact_text block(file);
    const auto store = stet::open_executorch(block.bytes());
    REQUIRE(store);
    CHECK(store->tensor_count() == 4);
    const auto w = store->find("w");
    REQUIRE(w);
    CHECK(w->is_in_place());
    CHECK((w->bytes().data() - block.bytes().data()) % 16 == 0);
    CHECK(floats_of(*store, "w") == std::vector<float>{1, 2, 3, 4, 5, 6});
    CHECK(store->find("alias")->bytes().data() == w->bytes().data());
    const auto blob = store->find("blob");
    CHECK(blob->dtype() == stet::dtype::uint8);
    CHECK(blob->shape().equals({6}));
    CHECK(blob->bytes()[0] == std::byte{'o'});
  }

  TEST_CASE("a tensor whose axes are in another order in memory is read row-major") {
    const std::string file = example_ptd_model().bytes();
    const exact_text block(file);
    const auto store = stet::open_executorch(block.bytes());
    REQUIRE(store);
    CHECK_FALSE(store->find("t")->is_in_place());
    CHECK(store->find("t")->shape().equals({2, 3}));
    CHECK(floats_of(*store, "t") == std::vector<float>{1, 2, 3, 4, 5, 6});
    // Axes of extent 1 may be anywhere.
    const std::string ones = one_row({"o", 0, std::int8_t{1}, {3, 1, 2}, {1, 0, 2}}, "abcdef").bytes();
    const exact_text other(ones);
    const auto in_place = stet::open_executorch(other.bytes());
    REQUIRE(in_place);
    CHECK(in_place->find("o")->is_in_place());
    // [2, 2, 2] as (2, 0, 1): the last axis is the outermost.
    const std::string turned = one_row({"u", 0, std::int8_t{0}, {2, 2, 2}, {2, 0, 1}}, "acegbdfh").bytes();
    const exact_text third(turned);
    const auto read = stet::open_executorch(third.bytes());
    REQUIRE(read);
    std::vector<std::uint8_t> letters(8);
    REQUIRE(read->find("u")->copy_to(std::span(letters)));
    CHECK(std::string(letters.begin(), letters.end()) == "abcdefgh");
  }

  TEST_CASE("files of the first schema have tensors within segments, and named bytes") {
    ptd_model_file model = example_ptd_model();
    model.is_older = true;
    model.rows[1] = {"last", 0, std::int8_t{6}, {2}, {0}, 16};
    const std::string file = model.bytes();
    const exact_text block(file);
    const auto store = stet::open_executorch(block.bytes());
    REQUIRE(store);
    CHECK(store->tensor_count() == 4);
    CHECK(floats_of(*store, "w") == std::vector<float>{1, 2, 3, 4, 5, 6});
    CHECK(floats_of(*store, "last") == std::vector<float>{5, 6});
    CHECK(store->find("last")->is_in_place());
    CHECK(floats_of(*store, "t") == std::vector<float>{1, 2, 3, 4, 5, 6});
    CHECK(store->find("blob")->shape().equals({6}));
    for (const std::uint64_t offset : {std::uint64_t{17}, std::uint64_t{25}, ~std::uint64_t{0}}) {
      model.rows[1].offset = offset;
      CHECK(ptd_failure(model) == "bad_size last");
    }
    model.rows[1].offset = 16;
    model.rows[1].segment = 3;
    CHECK(ptd_failure(model) == "bad_offset last");
    model.rows[1] = {"last", 0, std::int8_t{6}, {2}, {1}};
    CHECK(ptd_failure(model) == "bad_shape last");
    model.rows[1] = {"last", 0, std::int8_t{16}, {2}, {0}}; // of an unknown type, and left out
    const std::string unknown = model.bytes();
    const exact_text other(unknown);
    const auto without = stet::open_executorch(other.bytes());
    REQUIRE(without);
    CHECK(without->tensor_count() == 3);
    model.rows = {{"only", 2}};
    CHECK(ptd_failure(model) == "ok");
  }

  TEST_CASE("a .ptd file is recognised, and an unknown type is omitted") {
    const temp_folder folder;
    const std::string path = folder.write("m.ptd", example_ptd_model().bytes());
    stet::format_probe probe(path);
    CHECK(stet::executorch_format.recognises(probe));
    const auto model = stet::open_as(stet::executorch_format, path);
    REQUIRE(model);
    CHECK(model->file_count == 1);
    CHECK_FALSE(model->is_in_file(*model->store.find("t")));
    const auto described = stet::describe(*model);
    REQUIRE(described);
    REQUIRE(described->tensors.size() == 2);
    CHECK(described->tensors[0].name == "t");
    CHECK(described->tensors[0].attributes.dump() == R"({"executorch":{"dim_order":[1,0]}})");
    CHECK(described->tensors[1].attributes.dump() == R"({"executorch":{"tensor":false}})");
    CHECK(described->metadata.dump() == R"({"executorch":{"version":1}})");
    const auto unknown = stet::open_as(
        stet::executorch_format, folder.write("u.ptd", one_row({"q", 0, std::int8_t{16}, {2}, {0}}, "a").bytes()));
    REQUIRE(unknown);
    CHECK(unknown->store.tensor_count() == 0);
    REQUIRE(unknown->omitted.size() == 1);
    CHECK(unknown->omitted[0].reason.code() == stet::errc::unknown_dtype);
    CHECK(outcome(stet::open_executorch(folder.path("none.ptd"))) == "file_not_found");
  }

  TEST_CASE("a header that is missing or leads astray is an error") {
    CHECK(ptd_failure("") == "malformed");
    CHECK(ptd_failure("\x08\0\0\0FT01"s) == "truncated header");
    ptd_model_file model = example_ptd_model();
    model.magic = "FH02";
    CHECK(ptd_failure(model) == "malformed header");
    model = example_ptd_model();
    model.base_error = 1 << 20;
    CHECK(ptd_failure(model) == "truncated segments");
    model.base_error = -(std::int64_t{1} << 40);
    CHECK(ptd_failure(model) == "truncated segments");
    model = example_ptd_model();
    model.offset_error = 16; // "t" then ends behind the blob
    CHECK(ptd_failure(model) == "truncated t");
    model.offset_error = -64;
    CHECK(ptd_failure(model) == "truncated w");
    model = example_ptd_model();
    model.size_error = -1;
    CHECK(ptd_failure(model) == "bad_size w");
    model.size_error = -64;
    CHECK(ptd_failure(model) == "truncated w");
  }

  TEST_CASE("layouts that cannot be are errors about the key") {
    const auto failure = [](std::vector<std::int32_t> sizes, std::vector<std::uint8_t> order, std::string bytes) {
      return ptd_failure(one_row({"k", 0, std::int8_t{0}, std::move(sizes), std::move(order)}, std::move(bytes)));
    };
    CHECK(failure({}, {}, "a") == "ok");
    CHECK(failure({0, 5}, {1, 0}, "") == "ok");
    CHECK(failure({2}, {0}, "abc") == "bad_size k");
    CHECK(failure({-1}, {0}, "a") == "bad_shape k");
    CHECK(failure({2, 2}, {0}, "abcd") == "bad_shape k");
    CHECK(failure({2, 2}, {0, 0}, "abcd") == "bad_shape k");
    CHECK(failure({2, 2}, {0, 2}, "abcd") == "bad_shape k");
    CHECK(failure({0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF}, {0, 1, 2}, "a") == "bad_shape k");
    CHECK(failure({0, 0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF}, {0, 1, 2, 3}, "") == "bad_shape k");
    CHECK(ptd_failure(one_row({"", 0}, "a")) == "bad_name");
    CHECK(ptd_failure(one_row({"\xFF", 0}, "a")).starts_with("bad_name"));
    CHECK(ptd_failure(one_row({"k", 1}, "a")) == "bad_offset k");
    ptd_model_file twice = one_row({"k", 0}, "a");
    twice.rows.push_back({"k", 0});
    CHECK(ptd_failure(twice) == "duplicate_name k");
  }

  TEST_CASE("every failure of memory is an error") {
    const std::string file = example_ptd_model().bytes();
    const exact_text block(file);
    for (std::uint64_t fails_at = 0;; ++fails_at) {
      counted_memory memory(fails_at);
      const bool is_open = bool(stet::open_executorch(block.bytes(), {.memory = &memory}));
      CHECK(memory.live() == 0);
      if (is_open) break;
      REQUIRE(fails_at < 20);
    }
  }

  TEST_CASE("any truncation is an error, and any flipped bit is an error or tensors in the file") {
    for (const bool is_older : {false, true}) {
      ptd_model_file model = example_ptd_model();
      model.is_older = is_older;
      const std::string file = model.bytes();
      for (std::size_t size = 0; size < file.size(); size += step_if_thinned(3))
        CHECK(ptd_failure(file.substr(0, size)) != "ok");
      for (std::size_t bit = 0; bit < file.size() * 8; bit += step_if_thinned(5)) {
        std::string flipped = file;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
        const exact_text block(flipped);
        const auto store = stet::open_executorch(block.bytes());
        if (!store) continue;
        for (const stet::tensor each : *store) {
          std::vector<std::byte> bytes(static_cast<std::size_t>(each.size_bytes()));
          CHECK(each.read(0, bytes));
        }
      }
    }
  }
}
