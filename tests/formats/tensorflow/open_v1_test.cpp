// SPDX-License-Identifier: MIT
// Tests of open_v1.hpp: floats in place, everything else decoded, slices over several files; and hostile tables.
#include "support/outcome.hpp"
#include "support/sorted_tables.hpp"
#include "support/tensorflow_checkpoints.hpp"

#include <stet/formats/tensorflow/open_v1.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace {

using namespace std::literals;
using namespace stet_test;
using stet::open_tensorflow_checkpoint_v1;
using fill = std::function<void(protobuf_writer&)>;

/// One file of a V1 checkpoint in the making.
struct made_table {
  protobuf_writer meta;
  std::map<std::string, std::string> values;

  /// Lists a tensor.
  void list(std::string_view name, std::int64_t data_type, const std::vector<std::uint64_t>& shape,
            const std::vector<std::vector<slice_extent>>& slices) {
    meta.message(1, [&](protobuf_writer& tensor) {
      tensor.bytes(1, name).bytes(2, shape_message(shape)).integer(3, data_type);
      for (const auto& slice : slices) tensor.bytes(4, slice_message(slice));
    });
  }
  /// Adds what a slice holds: the fields of a TensorProto.
  void hold(std::string_view name, const std::vector<slice_extent>& slice, const fill& tensor) {
    protobuf_writer saved;
    saved.message(
        2, [&](protobuf_writer& data) { data.bytes(1, name).bytes(2, slice_message(slice)).message(3, tensor); });
    values[stet::detail::slice_key(name, slice)] = saved.take();
  }
  /// Both, for a tensor of one slice.
  void add(std::string_view name, std::int64_t data_type, const std::vector<std::uint64_t>& shape, const fill& tensor) {
    const std::vector<slice_extent> all(shape.size());
    list(name, data_type, shape, {all});
    hold(name, all, tensor);
  }

  [[nodiscard]] std::vector<std::pair<std::string, std::string>> entries() const {
    protobuf_writer head;
    head.bytes(1, meta.view());
    std::vector<std::pair<std::string, std::string>> all = {{"", head.take()}};
    all.insert(all.end(), values.begin(), values.end());
    return all;
  }
  [[nodiscard]] std::string plain() const {
    stet::detail::sorted_table_writer out;
    for (const auto& [key, value] : entries()) out.add(key, value);
    return out.finish();
  }
  [[nodiscard]] std::string compressed() const { return table_of_block(as_snappy_literals(block_of(entries())), 1); }
};

fill packed(std::uint32_t field, std::string bytes) {
  return [=](protobuf_writer& tensor) { tensor.bytes(field, bytes); };
}
fill packed_varints(std::uint32_t field, const std::vector<std::int64_t>& values) {
  std::string bytes;
  for (const std::int64_t value : values) stet::detail::append_varint(bytes, static_cast<std::uint64_t>(value));
  return packed(field, bytes);
}

/// A tensor of each type that V1 holds.
made_table everything_v1() {
  made_table made;
  made.add("f32", 1, {2, 2}, packed(5, bytes_of(std::vector<float>{1, 2, 3, 4})));
  made.add("f64", 2, {1}, packed(6, bytes_of(std::vector<double>{0.5})));
  made.add("i8", 6, {3}, packed_varints(7, {-1, 127, -128}));
  made.add("u16", 17, {2}, packed_varints(7, {65535, 1}));
  made.add("i64", 9, {2}, packed_varints(10, {-5, std::int64_t{1} << 40}));
  made.add("flag", 10, {2}, packed_varints(11, {1, 0}));
  made.add("half", 19, {2}, packed_varints(13, {0x3C00, 0xFC00}));
  made.add("c64", 8, {1}, packed(9, bytes_of(std::vector<float>{1, -1})));
  made.add("c128", 18, {1}, packed(12, bytes_of(std::vector<double>{1, -1})));
  made.add("scalar", 1, {}, [](protobuf_writer& tensor) { tensor.float32(5, 2.5f); });
  made.add("none", 1, {0, 3}, [](protobuf_writer&) {});
  made.add("text", 7, {2}, [](protobuf_writer& tensor) { tensor.bytes(8, "ab").bytes(8, ""); });
  return made;
}

template <class T> std::vector<T> values_of_v1(const stet::model& in, std::string_view name) {
  const auto found = in.store.find(name);
  if (!found) return {};
  std::vector<T> values(static_cast<std::size_t>(found->element_count()));
  CHECK(found->copy_to(std::span<T>(values)));
  return values;
}

std::string open_outcome_v1(const std::string& table) {
  const temp_folder folder;
  return outcome(open_tensorflow_checkpoint_v1({folder.write("model", table)}));
}

} // namespace

TEST_SUITE("tensorflow/checkpoint_v1") {
  TEST_CASE("reads every type, floats where they lie") {
    const temp_folder folder;
    for (const bool is_compressed : {false, true}) {
      const std::string path =
          folder.write("model", is_compressed ? everything_v1().compressed() : everything_v1().plain());
      const auto opened = open_tensorflow_checkpoint_v1({path});
      REQUIRE(opened);
      CHECK(opened->store.tensor_count() == 12);
      CHECK(opened->file_count == 1);
      CHECK(opened->store.index().part(0).path == "model");
      CHECK(values_of_v1<float>(*opened, "f32") == std::vector<float>{1, 2, 3, 4});
      CHECK(values_of_v1<double>(*opened, "f64") == std::vector<double>{0.5});
      CHECK(values_of_v1<std::int8_t>(*opened, "i8") == std::vector<std::int8_t>{-1, 127, -128});
      CHECK(values_of_v1<std::uint16_t>(*opened, "u16") == std::vector<std::uint16_t>{65535, 1});
      CHECK(values_of_v1<std::int64_t>(*opened, "i64") == std::vector<std::int64_t>{-5, std::int64_t{1} << 40});
      const auto flag = opened->store.get<bool>("flag");
      REQUIRE(flag);
      CHECK((*flag)[0]);
      CHECK_FALSE((*flag)[1]);
      CHECK(values_of_v1<stet::float16>(*opened, "half")[0] == stet::float16(1.0f));
      CHECK(values_of_v1<float>(*opened, "scalar") == std::vector<float>{2.5f});
      CHECK(opened->store.find("none")->size_bytes() == 0);
      CHECK((*opened->store.find("text")->as_strings())[0] == "ab");
      for (const char* const name : {"f32", "f64", "c64", "c128"})
        CHECK(opened->is_in_file(*opened->store.find(name)) == !is_compressed);
      CHECK_FALSE(opened->is_in_file(*opened->store.find("i8")));
      CHECK(opened->store.verify_checksums());
    }
  }

  TEST_CASE("values may come loose, in pieces, and with others between") {
    const temp_folder folder;
    made_table made;
    made.add("f", 1, {3}, [](protobuf_writer& tensor) {
      tensor.float32(5, 1).varint(1, 1).bytes(5, bytes_of(std::vector<float>{2, 3})).bytes(100, "new");
    });
    made.add("i", 3, {3}, [](protobuf_writer& tensor) { tensor.integer(7, -1).bytes(7, "\x02\x03"); });
    made.add("g", 1, {2}, packed(5, bytes_of(std::vector<float>{4, 5})));
    const auto opened = open_tensorflow_checkpoint_v1({folder.write("model", made.plain())});
    REQUIRE(opened);
    CHECK(values_of_v1<float>(*opened, "f") == std::vector<float>{1, 2, 3});
    CHECK(values_of_v1<std::int32_t>(*opened, "i") == std::vector<std::int32_t>{-1, 2, 3});
    CHECK(opened->is_in_file(*opened->store.find("g")));
  }

  TEST_CASE("slices are gathered from several files") {
    const temp_folder folder;
    const std::vector<slice_extent> top = {{0, 1}, {0, 2}}, bottom = {{1, 2}, {0, 2}};
    made_table first, second;
    first.list("p", 1, {3, 2}, {top});
    second.list("p", 1, {3, 2}, {bottom});
    first.hold("p", top, packed(5, bytes_of(std::vector<float>{1, 2})));
    second.hold("p", bottom, packed(5, bytes_of(std::vector<float>{3, 4, 5, 6})));
    const std::string a = folder.write("m-00000-of-00002", first.plain()),
                      b = folder.write("m-00001-of-00002", second.plain());
    const auto opened = open_tensorflow_checkpoint_v1({a, b}, {}, "sub/");
    REQUIRE(opened);
    CHECK(opened->store.index().part(1).path == "sub/m-00001-of-00002");
    CHECK(values_of_v1<float>(*opened, "p") == std::vector<float>{1, 2, 3, 4, 5, 6});
    CHECK(outcome(opened->store.find("p")->verify_checksum()) == "ok");
    CHECK(outcome(open_tensorflow_checkpoint_v1({a})) == "bad_slice");
    CHECK(outcome(open_tensorflow_checkpoint_v1({a, folder.path("absent")})) == "missing_part");
    made_table other;
    other.list("p", 1, {3, 3}, {bottom});
    CHECK(outcome(open_tensorflow_checkpoint_v1({a, folder.write("other", other.plain())})) == "duplicate_name");
  }

  TEST_CASE("refuses tensors that lie, each with its own error") {
    const std::vector<slice_extent> all = {{0, -1}};
    const std::string two = bytes_of(std::vector<float>{1, 2});
    struct attack {
      const char* what;
      std::function<void(made_table&)> make;
      const char* expected;
    };
    const attack table[] = {
        {"too few values", [&](made_table& t) { t.add("t", 1, {3}, packed(5, two)); }, "bad_size"},
        {"too many values", [&](made_table& t) { t.add("t", 1, {1}, packed(5, two)); }, "bad_size"},
        {"values in another list", [&](made_table& t) { t.add("t", 1, {2}, packed(6, two)); }, "bad_size"},
        {"no values", [&](made_table& t) { t.add("t", 1, {2}, [](protobuf_writer&) {}); }, "bad_size"},
        {"a shape that asks for everything", [&](made_table& t) { t.add("t", 1, {1ull << 40}, packed(5, two)); },
         "bad_size"},
        {"a shape that overflows", [&](made_table& t) { t.add("t", 1, {1ull << 62}, packed(5, two)); }, "bad_shape"},
        {"packed words cut off", [&](made_table& t) { t.add("t", 1, {2}, packed(5, two.substr(0, 7))); },
         "bad_protobuf"},
        {"packed varints cut off", [&](made_table& t) { t.add("t", 3, {2}, packed(7, "\x01\x80")); }, "bad_protobuf"},
        {"too few strings", [&](made_table& t) { t.add("t", 7, {2}, packed(8, "a")); }, "bad_size"},
        {"2^60 strings", [&](made_table& t) { t.add("t", 7, {1ull << 60}, packed(8, "a")); }, "bad_shape"},
        {"no slices", [&](made_table& t) { t.list("t", 1, {2}, {}); }, "bad_slice"},
        {"a slice that is not there", [&](made_table& t) { t.list("t", 1, {2}, {all}); }, "bad_slice"},
        {"the same slice twice",
         [&](made_table& t) {
           t.list("t", 1, {2}, {all, all});
           t.hold("t", all, packed(5, two));
         },
         "bad_slice"},
        {"a slice of another rank", [&](made_table& t) { t.list("t", 1, {2}, {{}}); }, "bad_slice"},
        {"strings in slices",
         [&](made_table& t) {
           t.list("t", 7, {2}, {{{0, 1}}, {{1, 1}}});
           t.hold("t", {{0, 1}}, packed(8, "a"));
           t.hold("t", {{1, 1}}, packed(8, "b"));
         },
         "unsupported"},
        {"listed twice",
         [&](made_table& t) {
           t.add("t", 1, {2}, packed(5, two));
           t.list("t", 1, {2}, {});
         },
         "ok"},
        {"listed twice with another type",
         [&](made_table& t) {
           t.add("t", 1, {2}, packed(5, two));
           t.list("t", 3, {2}, {});
         },
         "duplicate_name"},
        {"no name", [&](made_table& t) { t.add("", 1, {2}, packed(5, two)); }, "bad_name"},
    };
    for (const attack& each : table) {
      CAPTURE(each.what);
      made_table made;
      made.add("good", 1, {2}, packed(5, two));
      each.make(made);
      CHECK(open_outcome_v1(made.plain()) == each.expected);
      CHECK(open_outcome_v1(made.compressed()) == each.expected);
    }
  }

  TEST_CASE("tensors of dtypes that such checkpoints do not have are omitted with their reason") {
    const std::string two = bytes_of(std::vector<float>{1, 2});
    made_table made;
    made.add("future", 40, {2}, packed(5, two));
    made.add("good", 1, {2}, packed(5, two));
    made.add("iterator", 21, {2}, packed(5, two));
    const temp_folder folder;
    const auto opened = open_tensorflow_checkpoint_v1({folder.write("model", made.plain())});
    REQUIRE(opened);
    CHECK(opened->store.tensor_count() == 1);
    CHECK(opened->store.contains("good"));
    REQUIRE(opened->omitted.size() == 2);
    for (const stet::omitted_item& each : opened->omitted) {
      const bool is_future = each.name == "future";
      CHECK(each.name == (is_future ? "future" : "iterator"));
      CHECK(each.reason.code() == (is_future ? stet::errc::unknown_dtype : stet::errc::unsupported));
      CHECK(each.reason.subject() == (is_future ? "dtype 40" : "dtype variant"));
    }
  }

  TEST_CASE("refuses tables that are none of V1") {
    CHECK(open_outcome_v1("") == "truncated");
    CHECK(open_outcome_v1(std::string(100, 'x')) == "bad_magic");
    stet::detail::sorted_table_writer out;
    CHECK(open_outcome_v1(out.finish()) == "bad_header");
    out.add("a", "x");
    CHECK(open_outcome_v1(out.finish()) == "bad_header");
    out.add("", "\x0a");
    CHECK(open_outcome_v1(out.finish()) == "bad_protobuf");
    const temp_folder folder;
    CHECK(open_tensorflow_checkpoint_v1({folder.write("x", "")}).error().subject() == folder.path("x"));
  }

  TEST_CASE("every truncation is refused, and every flip of a bit noticed") {
    const std::string good = everything_v1().plain();
    for (std::size_t size = 0; size < good.size(); ++size)
      CHECK(open_outcome_v1(good.substr(0, size)) == (size < 48 ? "truncated" : "bad_magic"));
    for (std::size_t bit = 0; bit < (good.size() - 48) * 8; ++bit) {
      std::string damaged = good;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      CHECK(open_outcome_v1(damaged) == "table_checksum");
    }
  }

  TEST_CASE("every flip of a bit in a value, sealed anew, opens or is refused") {
    const auto entries = everything_v1().entries();
    const temp_folder folder;
    for (std::size_t number = 0; number < entries.size(); ++number) {
      for (std::size_t bit = 0; bit < entries[number].second.size() * 8; ++bit) {
        auto damaged = entries;
        char& byte = damaged[number].second[bit / 8];
        byte = static_cast<char>(byte ^ (1 << bit % 8));
        stet::detail::sorted_table_writer out;
        for (const auto& [key, value] : damaged) out.add(key, value);
        const auto opened = open_tensorflow_checkpoint_v1({folder.write("model", out.finish())});
        if (opened) CHECK(opened->store.verify_checksums());
      }
    }
  }
}
