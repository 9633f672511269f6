// SPDX-License-Identifier: MIT
// Tests of index.hpp: look-up, order, aliases, block types and parts of a checked index.
#include "index/golden_store.hpp"
#include "support/native_bytes.hpp"

#include <stet/index/detail/check.hpp>

#include <doctest/doctest.h>

#include <string>
#include <type_traits>
#include <vector>

using stet::dtype;

namespace {
stet::result<stet::tensor_index> golden_index() {
  stet::index_limits limits;
  limits.alignment_bytes = 64;
  limits.data_begin_bytes = stet_test::golden_data_offset;
  limits.data_end_bytes = sizeof stet_test::golden_store;
  return stet::check_index(std::as_bytes(std::span(stet_test::golden_store))
                               .subspan(stet_test::golden_index_offset, stet_test::golden_index_size),
                           limits);
}
} // namespace

TEST_SUITE("index") {
  TEST_CASE("finds each tensor by name and says what it is") {
    const auto index = golden_index();
    REQUIRE(index);
    if (!index) return;
    CHECK(index->tensor_count() == 4);
    CHECK(index->part_count() == 0);
    const auto kernel = index->find("layer_0/kernel");
    REQUIRE(kernel);
    CHECK(kernel.name() == "layer_0/kernel");
    CHECK(kernel.dtype() == dtype::float32);
    CHECK(kernel.bits() == 32);
    CHECK(kernel.shape().equals({2, 1}));
    CHECK(kernel.element_count() == 2);
    CHECK(kernel.size_bytes() == 8);
    CHECK(kernel.offset_bytes() == stet_test::golden_data_offset);
    CHECK(kernel.has_crc32c());
    CHECK_FALSE(kernel.is_big_endian());
    CHECK(kernel.part() == 0);
    CHECK(kernel.number() == 0);
    CHECK(index->layout(index->find("w4")).bits == 4);
    for (const char* name : {"", "layer_0", "layer_0/kernel/", "Tied", "w", "w44"}) CHECK_FALSE(index->find(name));
  }

  TEST_CASE("iterates in manifest order") {
    const auto index = golden_index();
    REQUIRE(index);
    if (!index) return;
    std::vector<std::string> names;
    for (const stet::index_entry entry : *index) {
      CHECK(entry.number() == names.size());
      CHECK(index->find(entry.name()) == entry);
      names.emplace_back(entry.name());
    }
    CHECK(names == std::vector<std::string>{"layer_0/kernel", "w4", "labels", "tied"});
  }

  TEST_CASE("leads from an alias to its original") {
    const auto index = golden_index();
    REQUIRE(index);
    if (!index) return;
    CHECK(index->original_of(index->find("tied")) == index->find("layer_0/kernel"));
    CHECK_FALSE(index->original_of(index->find("w4")));
  }

  TEST_CASE("a default index is empty and can be asked") {
    const stet::tensor_index none;
    CHECK(none.tensor_count() == 0);
    CHECK_FALSE(none.find("a"));
    CHECK_FALSE(none.find(""));
    CHECK(none.begin() == none.end());
    CHECK(none.bytes().empty());
    static_assert(std::is_trivially_copyable_v<stet::tensor_index>);
  }

  TEST_CASE("knows block types and parts by number") {
    stet_test::native_file::options with;
    with.parts = {{"model-0.stet", 1000, 11, true}, {"model-1.stet", 2000, 22, false}};
    std::vector<stet_test::native_tensor> tensors;
    tensors.push_back(
        stet_test::tensor_of("q", {dtype::block, 0, {"q4_k", 256, 144}}, {256}, stet_test::byte_vector(144)));
    tensors.push_back(stet_test::tensor_of("p", {dtype::block, 0, {"iq2", 32, 9}}, {64}, stet_test::byte_vector(18)));
    tensors[0].offset_bytes = 128;
    tensors[1].part = 1;
    tensors[1].offset_bytes = 0;
    const stet_test::native_file file(tensors, with);
    stet::index_limits limits;
    limits.alignment_bytes = 64;
    const auto index = stet::check_index(
        std::span(file.bytes).subspan(file.index_at(), static_cast<std::size_t>(file.header.index_size_bytes)), limits);
    REQUIRE(index);
    if (!index) return;
    CHECK(index->layout(index->find("q")).block == stet::block_type{"q4_k", 256, 144});
    CHECK(index->layout(index->find("p")).block == stet::block_type{"iq2", 32, 9});
    CHECK(index->part_count() == 2);
    CHECK(index->part(0).path == "model-0.stet");
    CHECK(index->part(0).has_header);
    CHECK(index->part(1).path == "model-1.stet");
    CHECK(index->part(1).size_bytes == 2000);
    CHECK(index->part(1).content_id == 22);
    CHECK_FALSE(index->part(1).has_header);
    CHECK(index->find("p").part() == 1);
  }
}
