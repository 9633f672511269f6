// SPDX-License-Identifier: MIT
#include <stet/formats/common/finish_model.hpp>
#include <stet/formats/common/store_builder.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

namespace {

constexpr std::array<float, 6> six_values = {1, 2, 3, 4, 5, 6};

stet::index_row row_of(std::string_view name, std::span<const std::uint64_t> shape, std::uint32_t part,
                       std::uint64_t offset_bytes, std::uint64_t size_bytes) {
  stet::index_row row;
  row.name = name;
  row.layout = stet::element_layout::of(stet::dtype::float32);
  row.shape = shape;
  row.part = part;
  row.offset_bytes = offset_bytes;
  row.size_bytes = size_bytes;
  return row;
}

} // namespace

TEST_SUITE("formats/store_builder") {
  TEST_CASE("tensors are found in the files and decoded bytes that were added, in any order") {
    stet::store_builder builder(2);
    const std::uint32_t file =
        builder.add_file("folder/weights.bin", stet::source::borrow(std::as_bytes(std::span(six_values))));
    auto copied = stet::source::copy(std::as_bytes(std::span(six_values).first(2)));
    REQUIRE(copied);
    const std::uint32_t decoded = builder.add_decoded(std::move(*copied));
    CHECK(builder.file_count() == 1);
    {
      std::string name = "second"; // names and shapes need not live on
      std::vector<std::uint64_t> shape = {2, 1};
      builder.add(row_of(name, shape, file, 16, 8));
      name = "first";
      shape = {3};
      builder.add(row_of(name, shape, file, 0, 12));
      name = "unpacked";
      shape = {2};
      builder.add(row_of(name, shape, decoded, 0, 8));
    }
    CHECK(builder.tensor_count() == 3);
    auto made = builder.finish();
    REQUIRE(made);
    stet::store store = std::move(*made);
    const auto second = store.get<float>("second");
    REQUIRE(second);
    CHECK(second->data() == six_values.data() + 4);
    CHECK(store.get<float>("first")->data() == six_values.data());
    CHECK((*store.get<float>("unpacked"))[1] == 2.0f);
    CHECK(store.index().part(0).path == "folder/weights.bin");
    CHECK((*store.begin()).name() == "second");
  }

  TEST_CASE("a second name leads to the same bytes") {
    stet::store_builder builder;
    builder.add_file("w", stet::source::borrow(std::as_bytes(std::span(six_values))));
    const std::uint64_t shape[] = {6};
    stet::index_row row = row_of("dense/kernel", shape, 0, 0, 24);
    builder.add(row);
    row.name = "layer-0/kernel";
    row.alias_of = 0;
    builder.add(row);
    auto made = builder.finish();
    REQUIRE(made);
    CHECK(made->get<float>("layer-0/kernel")->data() == six_values.data());
    CHECK(made->original_of(*made->find("layer-0/kernel"))->name() == "dense/kernel");
  }

  TEST_CASE("tensors that share bytes may only be read, those of other files and second names be written to") {
    std::array<float, 6> shared = six_values, apart = six_values, inner = six_values;
    for (const bool is_reversed : {false, true}) {
      stet::store_builder builder;
      builder.add_file("shared", stet::source::borrow_writable(std::as_writable_bytes(std::span(shared))));
      builder.add_file("apart", stet::source::borrow_writable(std::as_writable_bytes(std::span(apart))));
      builder.add_file("inner", stet::source::borrow_writable(std::as_writable_bytes(std::span(inner))));
      const std::uint64_t one[] = {1}, two[] = {2}, three[] = {3}, six[] = {6}, none[] = {0};
      std::vector<stet::index_row> rows = {
          row_of("shared/a", two, 0, 0, 8),   row_of("shared/b", two, 0, 4, 8),    row_of("shared/c", two, 0, 16, 8),
          row_of("apart/a", three, 1, 0, 12), row_of("apart/b", three, 1, 12, 12), row_of("apart/none", none, 1, 4, 0),
          row_of("inner/a", six, 2, 0, 24),   row_of("inner/b", one, 2, 4, 4),     row_of("inner/c", one, 2, 20, 4),
      };
      if (is_reversed) std::reverse(rows.begin(), rows.end());
      for (const stet::index_row& row : rows) builder.add(row);
      builder.add_alias(static_cast<std::uint32_t>(is_reversed ? 5 : 3), "apart/second");
      auto made = builder.finish();
      REQUIRE(made);
      for (const stet::tensor each : *made) {
        CAPTURE(each.name());
        const bool is_apart = each.name().starts_with("apart/");
        CHECK(each.is_writable() == is_apart);
        const auto writable = each.as_writable<float>();
        CHECK((writable ? stet::errc{} : writable.error().code()) == (is_apart ? stet::errc{} : stet::errc::read_only));
        CHECK(each.as<float>());
      }
      CHECK(made->get<float>("inner/b")->data() == inner.data() + 1);
    }
  }

  TEST_CASE("second names are found however many tensors were expected") {
    const std::string end = "/value";
    const std::uint64_t shape[] = {1};
    for (const std::size_t expected : {0u, 100u, 3000u, 100000u}) {
      CAPTURE(expected);
      stet::store_builder builder(expected);
      builder.add_file("w", stet::source::borrow(std::as_bytes(std::span(six_values))));
      for (std::uint32_t i = 0; i < 1000; ++i) builder.add(row_of(std::to_string(i) + end, shape, 0, i % 6 * 4, 4));
      for (std::uint32_t i = 0; i < 1000; ++i) {
        CHECK(builder.name(i) == std::to_string(i) + end);
        builder.add_alias(i, builder.name(i).size() - end.size());
        builder.add_alias(i, "other/" + std::to_string(i));
      }
      const auto made = builder.finish();
      REQUIRE(made);
      CHECK(made->tensor_count() == 3000);
      for (std::uint32_t i = 0; i < 1000; ++i) {
        for (const std::string& name : {std::to_string(i), "other/" + std::to_string(i)}) {
          const auto values = made->get<float>(name);
          REQUIRE(values);
          CHECK((*values)[0] == six_values[i % 6]);
          CHECK(made->original_of(*made->find(name))->name() == std::to_string(i) + end);
        }
      }
    }
  }

  TEST_CASE("a second name of nothing, or of a second name, or too long, is refused") {
    const std::uint64_t shape[] = {6};
    const std::string long_name(65536, 'n');
    struct attack {
      std::uint32_t original;
      std::string_view name;
      stet::errc code;
    };
    for (const attack& each : {attack{2, "late", stet::errc::bad_alias},
                               {1, "twice", stet::errc::bad_alias},
                               {0, long_name, stet::errc::bad_name},
                               {0, "", stet::errc::bad_name},
                               {0, "a\xff", stet::errc::bad_name},
                               {0, "whole", stet::errc::duplicate_name}}) {
      CAPTURE(each.original);
      stet::store_builder builder;
      builder.add_file("w", stet::source::borrow(std::as_bytes(std::span(six_values))));
      builder.add(row_of("whole", shape, 0, 0, 24));
      builder.add_alias(0, "other");
      stet::index_row row = row_of(each.name, shape, 0, 0, 24);
      row.alias_of = each.original;
      builder.add(row);
      const auto made = builder.finish();
      REQUIRE(!made);
      CHECK(made.error().code() == each.code);
    }
  }

  TEST_CASE("what does not lie in its file, has a wrong size or occurs twice is refused by name") {
    const std::uint64_t shape[] = {6};
    struct attack {
      stet::index_row row;
      stet::errc code;
    };
    const attack attacks[] = {
        {row_of("far", shape, 0, 4, 24), stet::errc::bad_offset},
        {row_of("wrapped", shape, 0, ~std::uint64_t{0} - 3, 24), stet::errc::bad_offset},
        {row_of("size", shape, 0, 0, 20), stet::errc::bad_size},
        {row_of("", shape, 0, 0, 24), stet::errc::bad_name},
        {row_of("whole", shape, 0, 0, 24), stet::errc::duplicate_name},
    };
    for (const attack& each : attacks) {
      stet::store_builder builder;
      builder.add_file("w", stet::source::borrow(std::as_bytes(std::span(six_values))));
      builder.add(row_of("whole", shape, 0, 0, 24));
      builder.add(each.row);
      const auto made = builder.finish();
      REQUIRE(!made);
      CHECK(made.error().code() == each.code);
      CHECK(made.error().subject() == each.row.name);
    }
  }

  TEST_CASE("a model without tensors is a store without tensors") {
    stet::store_builder builder;
    const auto made = builder.finish();
    REQUIRE(made);
    CHECK(made->tensor_count() == 0);
  }

  TEST_CASE("what a store cannot give is listed with its reason") {
    stet::store_builder builder;
    builder.omit("link", stet::error(stet::errc::external_data, "link"));
    builder.omit("variant", stet::error(stet::errc::unknown_dtype, "variant"));
    const auto made = stet::finish_model(builder);
    REQUIRE(made);
    CHECK(made->store.tensor_count() == 0);
    REQUIRE(made->omitted.size() == 2);
    CHECK(made->omitted[0].name == "link");
    CHECK(made->omitted[0].reason.code() == stet::errc::external_data);
    CHECK(made->omitted[1].name == "variant");
    CHECK(made->omitted[1].reason.code() == stet::errc::unknown_dtype);
  }
}
