// SPDX-License-Identifier: MIT
// ONNX files: every element type and form of values, names, and what is wrong, by name.
#include <stet/formats/onnx.hpp>

#include "support/counted_memory.hpp"
#include "support/exact_text.hpp"
#include "support/onnx_files.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("onnx");

namespace {

using namespace std::string_view_literals;
using stet_test::example_onnx_model;
using stet_test::onnx_attribute;
using stet_test::onnx_field;
using stet_test::onnx_graph;
using stet_test::onnx_model;
using stet_test::onnx_node;
using stet_test::onnx_raw;
using stet_test::onnx_tensor;
using stet_test::onnx_writer;

class onnx_bytes_reader final : public stet::byte_reader {
public:
  explicit onnx_bytes_reader(std::string_view bytes) : bytes_(bytes) {}
  [[nodiscard]] std::uint64_t size_bytes() const noexcept override { return bytes_.size(); }
  [[nodiscard]] stet::result<void> read(std::uint64_t offset_bytes, std::span<std::byte> into) const noexcept override {
    if (offset_bytes > bytes_.size() || into.size() > bytes_.size() - offset_bytes) return stet::errc::bad_range;
    if (!into.empty()) std::memcpy(into.data(), bytes_.data() + offset_bytes, into.size());
    return {};
  }

private:
  std::string_view bytes_;
};

std::string onnx_text_of(const stet::error& failure) {
  std::string text(stet::describe(failure.code()).name);
  if (!failure.subject().empty()) text.append(" ").append(failure.subject());
  if (failure.offset_bytes() != stet::error::no_offset)
    text.append(" @").append(std::to_string(failure.offset_bytes()));
  return text;
}

/// The bytes of a tensor, row-major and little-endian.
std::string onnx_bytes_of(const stet::tensor& of) {
  std::string made(static_cast<std::size_t>(of.size_bytes()), '\0');
  if (auto copied = of.read(0, std::as_writable_bytes(std::span(made))); !copied) return onnx_text_of(copied.error());
  return made;
}

/// Opens a file in memory that ends where the file does, and on demand; the same must come of both.
/// @return "ok", or the error
std::string onnx_failure(std::string_view file, const stet::open_options& options = {}) {
  const stet_test::exact_text block(file);
  const auto opened = stet::open_onnx(block.bytes(), options);
  const std::string made = opened ? "ok" : onnx_text_of(opened.error());
  const onnx_bytes_reader reader(file);
  const auto streamed = stet::detail::open_onnx_source(stet::source::stream(reader), {}, options);
  CHECK((streamed ? "ok" : onnx_text_of(streamed.error())) == made);
  if (opened && streamed) {
    CHECK(opened->store.tensor_count() == streamed->store.tensor_count());
    for (const stet::tensor each : opened->store) {
      const auto other = streamed->store.find(each.name());
      CHECK(other);
      if (other) CHECK(onnx_bytes_of(each) == onnx_bytes_of(*other));
    }
  }
  return made;
}
std::string onnx_failure_of_tensor(const std::string& tensor) { return onnx_failure(onnx_model(onnx_graph({tensor}))); }

/// The names of the tensors of a file, in order, separated by spaces.
std::string onnx_names(std::string_view file) {
  const auto opened = stet::open_onnx(std::as_bytes(std::span(file.data(), file.size())));
  if (!opened) return onnx_text_of(opened.error());
  std::string made;
  for (const stet::tensor each : opened->store) made.append(made.empty() ? "" : " ").append(each.name());
  return made;
}

/// The only tensor of a model, as its bytes.
std::string onnx_values(const std::string& tensor) {
  const std::string file = onnx_model(onnx_graph({tensor}));
  CHECK(onnx_failure(file) == "ok");
  const auto opened = stet::open_onnx(std::as_bytes(std::span(file)));
  if (!opened) return onnx_text_of(opened.error());
  return onnx_bytes_of(*opened->store.find("x"));
}

} // namespace

TEST_CASE("an ONNX model opens in place") {
  const std::string file = example_onnx_model();
  const auto model = stet::open_onnx(std::as_bytes(std::span(file)));
  REQUIRE(model);
  CHECK(model->file_count == 1);
  CHECK(model->store.tensor_count() == 2);
  const auto w = model->store.find("w"), b = model->store.find("b");
  REQUIRE(w);
  REQUIRE(b);
  CHECK(w->dtype() == stet::dtype::float32);
  CHECK(w->shape().equals({2, 2}));
  CHECK(static_cast<const void*>(w->bytes().data()) == file.data() + file.find("\0\0\x80\x3f\0\0\0\x40"sv));
  CHECK(b->shape().equals({2}));
  CHECK(static_cast<const void*>(b->bytes().data()) == file.data() + file.find("\0\0\0\x3f\0\0\x80\xbf"sv));
  std::vector<float> values(4);
  REQUIRE(w->copy_to(std::span(values)));
  CHECK(values == std::vector<float>{1, 2, 3, 4});
  CHECK(model->is_in_file(*w));
  CHECK(model->is_in_file(*b));
}

TEST_CASE("an ONNX file opens mapped, read and on demand") {
  const stet_test::temp_folder folder;
  const std::string path = folder.write("m.onnx", example_onnx_model());
  for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
    const auto model = stet::open_onnx(path, {.backing = backing});
    REQUIRE(model);
    std::vector<float> values(2);
    REQUIRE(model->store.find("b")->copy_to(std::span(values)));
    CHECK(values == std::vector<float>{0.5f, -1});
    CHECK(model->store.index().part(0).path == "m.onnx");
  }
  CHECK(stet::open_onnx(folder.path("none.onnx")).error().code() == stet::errc::file_not_found);
  const auto text = stet::open_onnx(folder.write("t.onnx", "ir_version: 8"sv));
  CHECK(text.error().code() == stet::errc::unknown_format);
  CHECK(text.error().subject() == folder.path("t.onnx"));
}

TEST_CASE("every element type of ONNX, as raw bytes and in its list") {
  using stet::dtype;
  struct row {
    dtype type;
    int list;               // the number of the field
    std::string_view bytes; // of 3 elements
  };
  constexpr row rows[] = {
      {dtype::float32, 4, "abcdefghijkl"},
      {dtype::uint8, 5, "\x01\x02\xff"},
      {dtype::int8, 5, "\x01\x02\xff"},
      {dtype::uint16, 5, "\x01\x00\x02\x00\xff\xff"sv},
      {dtype::int16, 5, "\x01\x00\x02\x00\xff\xff"sv},
      {dtype::int32, 5, "\x01\x00\x00\x00\x02\x00\x00\x80\xff\xff\xff\xff"sv},
      {dtype::int64, 7, "\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\x80\xff\xff\xff\xff\xff\xff\xff\xff"sv},
      {dtype::string, 6, {}},
      {dtype::boolean, 5, "\x01\x00\x01"sv},
      {dtype::float16, 5, "\x01\x00\x02\x00\xff\xff"sv},
      {dtype::float64, 10, "abcdefghijklmnopqrstuvwx"},
      {dtype::uint32, 11, "\x01\x00\x00\x00\x02\x00\x00\x80\xff\xff\xff\xff"sv},
      {dtype::uint64, 11, "\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\x80\xff\xff\xff\xff\xff\xff\xff\xff"sv},
      {dtype::complex64, 4, "abcdefghijklmnopqrstuvwx"},
      {dtype::complex128, 10, "abcdefghijklmnopqrstuvwxabcdefghijklmnopqrstuvwx"},
      {dtype::bfloat16, 5, "\x01\x00\x02\x00\xff\xff"sv},
      {dtype::float8_e4m3fn, 5, "\x01\x02\xff"},
      {dtype::float8_e4m3fnuz, 5, "\x01\x02\xff"},
      {dtype::float8_e5m2, 5, "\x01\x02\xff"},
      {dtype::float8_e5m2fnuz, 5, "\x01\x02\xff"},
      {dtype::uint4, 5, "\x21\x0f"},
      {dtype::int4, 5, "\x21\x0f"},
      {dtype::float4_e2m1fn, 5, "\x21\x0f"},
      {dtype::float8_e8m0fnu, 5, "\x01\x02\xff"},
      {dtype::uint2, 5, "\x39"},
      {dtype::int2, 5, "\x39"},
      {dtype::float6_e2m3fn, 5, "\x28\x09\x01"}, // 0x28, 0x24, 0x10 of 6 bits each
      {dtype::float6_e3m2fn, 5, "\x28\x09\x01"}};
  std::uint64_t number = 0;
  for (const row& each : rows) {
    ++number;
    CAPTURE(number);
    if (each.type == dtype::string) continue;
    const std::string raw = onnx_raw("x", number, {3}, each.bytes);
    CHECK(onnx_values(raw) == each.bytes);
    const std::size_t bits = stet::describe(each.type).bits, size = bits < 8 ? 1 : bits / 8;
    const auto add_values = [&](auto&& add) {
      if (bits == 6) {
        for (const std::uint64_t code : {0x28u, 0x24u, 0x10u}) add(code);
        return;
      }
      for (std::size_t at = 0; at < each.bytes.size(); at += size) {
        std::uint64_t value = 0;
        for (std::size_t i = size; i-- > 0;) value = value << 8 | static_cast<unsigned char>(each.bytes[at + i]);
        // A negative number is written with its sign.
        const bool is_signed = stet::describe(each.type).kind == stet::dtype_kind::signed_integer && bits >= 8;
        if (is_signed && bits < 64 && (value >> (bits - 1) & 1) != 0) value |= ~std::uint64_t{0} << bits;
        add(value);
      }
    };
    const std::uint32_t list = static_cast<std::uint32_t>(each.list);
    const bool is_fixed = list == 4 || list == 10;
    const std::string packed = onnx_tensor("x", number, {3}, [&](onnx_writer& out) {
      if (is_fixed) {
        out.bytes(list, each.bytes);
        return;
      }
      std::string varints;
      add_values([&](std::uint64_t value) { stet::detail::append_varint(varints, value); });
      out.bytes(list, varints);
    });
    CHECK(onnx_values(packed) == each.bytes);
    const std::string file = onnx_model(onnx_graph({packed}));
    const auto opened = stet::open_onnx(std::as_bytes(std::span(file)));
    REQUIRE(opened);
    CHECK(opened->store.find("x")->dtype() == each.type);
    CHECK(opened->is_in_file(*opened->store.find("x")) == is_fixed);
    // One field for each value; and a list in two pieces.
    const std::string loose = onnx_tensor("x", number, {3}, [&](onnx_writer& out) {
      if (is_fixed) {
        const std::size_t word = list == 4 ? 4 : 8;
        for (std::size_t at = 0; at < each.bytes.size(); at += word) {
          std::uint64_t value = 0;
          for (std::size_t i = word; i-- > 0;) value = value << 8 | static_cast<unsigned char>(each.bytes[at + i]);
          if (word == 4) {
            out.fixed32(4, static_cast<std::uint32_t>(value));
          } else {
            out.fixed64(10, value);
          }
        }
        return;
      }
      add_values([&](std::uint64_t value) { out.varint(list, value); });
    });
    CHECK(onnx_values(loose) == each.bytes);
    if (is_fixed) {
      const std::string two = onnx_tensor("x", number, {3}, [&](onnx_writer& out) {
        out.bytes(list, each.bytes.substr(0, 8)).bytes(list, each.bytes.substr(8));
      });
      CHECK(onnx_values(two) == each.bytes);
      const std::string two_file = onnx_model(onnx_graph({two}));
      const auto decoded = stet::open_onnx(std::as_bytes(std::span(two_file)));
      REQUIRE(decoded);
      CHECK_FALSE(decoded->is_in_file(*decoded->store.find("x")));
    }
    // The list of another type has no values of this one.
    const std::uint32_t other = list == 5 ? 7 : 5;
    CHECK(onnx_failure_of_tensor(onnx_tensor("x", number, {1}, [&](onnx_writer& out) { out.varint(other, 1); })) ==
          "malformed x: values of another type");
  }
  CHECK(number == std::size(stet::detail::onnx_types));
}

TEST_CASE("the forms of a TensorProto that are the same tensor") {
  const std::string_view floats = "abcdefgh";
  CHECK(onnx_values(onnx_raw("x", 1, {2}, floats)) == floats);
  // Fields in any order, packed extents, fields that are not known, and a field that occurs twice.
  CHECK(onnx_values(onnx_writer().bytes(9, floats).bytes(8, "x").varint(2, 1).bytes(1, "\x02").take()) == floats);
  CHECK(onnx_values(onnx_writer()
                        .bytes(1, "\x02\x01"sv)
                        .bytes(99, "?")
                        .varint(98, 1)
                        .varint(2, 7)
                        .varint(2, 1)
                        .bytes(9, "old")
                        .bytes(9, floats)
                        .bytes(8, "y")
                        .bytes(8, "x")
                        .bytes(12, "doc")
                        .take()) == floats);
  // More bits than the element has are lost; a bool is 0 or 1.
  CHECK(onnx_values(onnx_tensor("x", 2, {2}, [](onnx_writer& out) { out.varint(5, 0x101).varint(5, 300); })) ==
        "\x01\x2c");
  CHECK(onnx_values(onnx_tensor("x", 9, {2}, [](onnx_writer& out) { out.varint(5, 256).varint(5, 0); })) == "\x01\0"sv);
  // A scalar has no extents, and no elements need no values.
  CHECK(onnx_values(onnx_raw("x", 1, {}, "abcd")) == "abcd");
  CHECK(onnx_values(onnx_raw("x", 1, {0, 3}, "")).empty());
  CHECK(onnx_values(onnx_tensor("x", 7, {3, 0}, [](onnx_writer& out) { out.bytes(7, ""); })).empty());
}

TEST_CASE("strings of ONNX become a string tensor") {
  const std::string three =
      onnx_tensor("x", 8, {3}, [](onnx_writer& out) { out.bytes(6, "a").bytes(6, "").bytes(6, "b\0c"sv); });
  CHECK(onnx_values(three) == "\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0ab\0c"sv);
  CHECK(onnx_values(onnx_tensor("x", 8, {0}, [](onnx_writer&) {})) == std::string(8, '\0'));
  CHECK(onnx_failure_of_tensor(onnx_tensor("x", 8, {2}, [](onnx_writer& out) { out.bytes(6, "a"); })) == "bad_size x");
  CHECK(onnx_failure_of_tensor(onnx_raw("x", 8, {1}, "a")) == "malformed x: strings as raw bytes");
}

TEST_CASE("tensors of graphs, functions and attributes have the names of their places") {
  const auto tensor = [](std::string_view name) { return onnx_raw(name, 2, {1}, "v"); };
  const auto sparse = [&](std::string_view name) {
    const std::string indices = onnx_tensor("i", 7, {1}, [](onnx_writer& out) { out.bytes(7, "\x03"); });
    return onnx_field(1, tensor(name)) + onnx_field(2, indices) + onnx_writer().varint(3, 5).take();
  };
  const std::string inner = onnx_graph({tensor("w")}, onnx_field(15, sparse("s")));
  const std::string graph = onnx_graph(
      {tensor("w")},
      onnx_field(1, onnx_node("Constant", {}, {"c"}, {onnx_attribute("value", 5, tensor("ignored"))})) +
          onnx_field(1, onnx_node("If", {"w"}, {"y", "z"},
                                  {onnx_attribute("then_branch", 6, inner),
                                   onnx_attribute("else_branch", 6, onnx_graph({tensor("e")}))})) +
          onnx_field(1, onnx_node("Custom", {}, {},
                                  {onnx_attribute("many", 10, tensor("a")) + onnx_field(10, tensor("b")),
                                   onnx_attribute("graphs", 11, inner) + onnx_field(11, inner),
                                   onnx_attribute("sparse", 22, sparse("n")),
                                   onnx_attribute("sparses", 23, sparse("n")) + onnx_field(23, sparse(""))})) +
          onnx_field(1, onnx_node("Custom", {}, {}, {onnx_attribute("t", 5, tensor(""))}, "called")) +
          onnx_field(15, sparse("sp")));
  const std::string function_nodes =
      onnx_field(7, onnx_node("Constant", {}, {"k"}, {onnx_attribute("value", 5, tensor(""))}));
  const std::string training = onnx_field(1, onnx_graph({tensor("i")})) + onnx_field(2, onnx_graph({tensor("a")}));
  const std::string file =
      onnx_model(graph, onnx_field(25, onnx_field(1, "F") + function_nodes) +
                            onnx_field(25, function_nodes + onnx_field(1, "F")) + onnx_field(20, training));
  CHECK(onnx_failure(file) == "ok");
  CHECK(onnx_names(file) ==
        "w node:Constant:c:value sub:y:then_branch/w sub:y:then_branch/sparse:s:values "
        "sub:y:then_branch/sparse:s:indices "
        "sub:y:else_branch/e node:Custom:#2:many:0 node:Custom:#2:many:1 sub:#2:graphs:0/w "
        "sub:#2:graphs:0/sparse:s:values "
        "sub:#2:graphs:0/sparse:s:indices sub:#2:graphs:1/w sub:#2:graphs:1/sparse:s:values "
        "sub:#2:graphs:1/sparse:s:indices node:Custom:#2:sparse:sparse:n:values node:Custom:#2:sparse:sparse:n:indices "
        "node:Custom:#2:sparses:0:sparse:n:values node:Custom:#2:sparses:0:sparse:n:indices "
        "node:Custom:#2:sparses:1:sparse::values node:Custom:#2:sparses:1:sparse::indices node:Custom:called:t "
        "sparse:sp:values sparse:sp:indices function:F/node:Constant:k:value function:F_1/node:Constant:k:value "
        "training:initialization/i training:algorithm/a");
  // Two graphs of a model are merged, as Protocol Buffers do.
  CHECK(onnx_names(onnx_model(onnx_graph({tensor("a")}), onnx_field(7, onnx_graph({tensor("b")})))) == "a b");
  CHECK(onnx_names(onnx_model(onnx_graph({tensor("a"), tensor("a")}))) == "duplicate_name a");
}

TEST_CASE("a file with a single tensor") {
  CHECK(onnx_names(onnx_raw("t", 1, {1}, "abcd")) == "t");
  CHECK(onnx_names(onnx_raw("", 1, {1}, "abcd")) == "<unnamed>");
  CHECK(onnx_names(onnx_writer().bytes(1, "\x01").varint(2, 1).bytes(9, "abcd").take()) == "<unnamed>");
  CHECK(onnx_failure(onnx_raw("", 1, {1}, "abc")) == "bad_size <unnamed>");
  // Fields alone do not make a tensor: those of other messages do not fit, and one without a type or values is none.
  for (const std::string& other :
       {onnx_writer().varint(1, 1).bytes(2, "abcd").take(), onnx_writer().varint(1, 1).take(),
        onnx_writer().varint(1, 1).varint(2, 1).take(), onnx_writer().varint(1, 1).varint(2, 0).bytes(9, "a").take(),
        onnx_writer().varint(1, 1).varint(2, 99).bytes(9, "a").take(), onnx_raw("t", 1, {1}, "abcd") + "\x0b",
        onnx_raw("t", 1, {1}, "abcd") + onnx_field(17, ""), std::string()})
    CHECK(onnx_failure(other) == "unknown_format");
}

TEST_CASE("the tensors of a sequence are omitted") {
  const std::string tensor = onnx_raw("t", 1, {1}, "abcd");
  const std::string sequence = onnx_writer().bytes(1, "s").varint(2, 1).bytes(3, tensor).bytes(3, tensor).take();
  CHECK(onnx_failure(sequence) == "ok");
  const auto opened = stet::open_onnx(std::as_bytes(std::span(sequence)));
  REQUIRE(opened);
  CHECK(opened->store.tensor_count() == 0);
  REQUIRE(opened->omitted.size() == 1);
  CHECK(opened->omitted[0].reason.code() == stet::errc::unsupported);
  CHECK(onnx_failure(onnx_writer().bytes(1, "s").varint(2, 2).bytes(3, tensor).take()) == "unknown_format");
  CHECK(onnx_failure(onnx_writer().bytes(1, "s").varint(2, 1).bytes(3, "text").take()) == "unknown_format");
  CHECK(onnx_failure(onnx_writer().bytes(1, "s").varint(2, 1).take()) == "unknown_format");
  CHECK(onnx_failure(sequence.substr(0, sequence.size() - 1)) == "truncated @" + std::to_string(sequence.size() - 1));
}

TEST_CASE("what is no ONNX model") {
  CHECK(onnx_failure(onnx_model(onnx_graph({}))) == "ok");
  CHECK(onnx_failure(onnx_writer().varint(1, 8).bytes(2, "producer").take()) == "unknown_format"); // no graph
  CHECK(onnx_failure(onnx_field(7, onnx_graph({}))) == "unknown_format");                          // no version
  CHECK(onnx_failure(onnx_field(7, onnx_graph({})) + onnx_writer().varint(1, 8).take()) == "ok");
  CHECK(onnx_failure(onnx_writer().varint(1, 8).varint(7, 1).take()) == "unknown_format");
  CHECK(onnx_failure(onnx_writer().varint(1, 8).bytes(9, "x").bytes(7, "").take()) ==
        "unknown_format"); // no such field
  CHECK(onnx_failure(onnx_writer().varint(1, 8).bytes(7, onnx_writer().varint(1, 1).take()).take()) ==
        "unknown_format");
  CHECK(onnx_failure(onnx_writer().varint(1, 8).bytes(7, onnx_field(3, "")).take()) == "unknown_format");
  // Fields of a later version do not matter.
  CHECK(onnx_failure(onnx_writer().varint(30, 1).varint(1, 8).bytes(7, onnx_field(40, "")).take()) == "ok");
}

TEST_CASE("what is wrong with a tensor of ONNX is said by name") {
  const auto with = [](auto&& fill) { return onnx_tensor("x", 1, {2}, fill); };
  CHECK(onnx_failure_of_tensor(onnx_raw("x", 1, {2}, "abcdefg")) == "bad_size x");
  CHECK(onnx_failure_of_tensor(onnx_raw("x", 1, {2}, "abcdefghi")) == "bad_size x");
  CHECK(onnx_failure_of_tensor(onnx_raw("x", 1, {0}, "a")) == "bad_size x");
  CHECK(onnx_failure_of_tensor(with([](onnx_writer&) {})) == "bad_size x");
  CHECK(onnx_failure_of_tensor(with([](onnx_writer& out) { out.bytes(4, "abcdefg"); })) == "bad_size x");
  CHECK(onnx_failure_of_tensor(with([](onnx_writer& out) { out.fixed32(4, 1).fixed32(4, 1).fixed32(4, 1); })) ==
        "bad_size x");
  CHECK(onnx_failure_of_tensor(with([](onnx_writer& out) { out.bytes(4, "abcdefgh").bytes(9, "abcdefgh"); })) ==
        "malformed x: values in two places");
  for (const int count : {1, 3}) {
    const std::string list = onnx_tensor(
        "x", 7, {2}, [&](onnx_writer& out) { out.bytes(7, std::string(static_cast<std::size_t>(count), '\1')); });
    CHECK(onnx_failure_of_tensor(list) == "bad_size x");
  }
  CHECK(onnx_failure_of_tensor(onnx_tensor("x", 7, {1}, [](onnx_writer& out) {
          out.bytes(7, "\x80\x80");
        })).starts_with("bad_protobuf x @"));
  CHECK(onnx_failure_of_tensor(onnx_raw("x", 0, {1}, "abcd")) == "unknown_dtype x");
  CHECK(onnx_failure_of_tensor(onnx_writer().bytes(8, "x").take()) == "unknown_dtype x");
  CHECK(onnx_failure_of_tensor(onnx_raw("x", 1, {-1}, "abcd")) == "bad_shape x");
  CHECK(onnx_failure_of_tensor(onnx_raw("x", 1, {std::int64_t{1} << 32, std::int64_t{1} << 32}, "")) == "bad_shape x");
  CHECK(onnx_failure_of_tensor(onnx_raw("x", 1, {0, INT64_MAX, INT64_MAX}, "")) == "bad_shape x");
  CHECK(onnx_failure_of_tensor(onnx_raw("x", 11, {INT64_MAX}, "")) == "bad_shape x");
  // Shapes that would need more memory than the file accounts for.
  CHECK(onnx_failure_of_tensor(onnx_tensor("x", 7, {1 << 30}, [](onnx_writer& out) { out.varint(7, 1); })) ==
        "bad_size x");
  CHECK(onnx_failure_of_tensor(onnx_tensor("x", 8, {1 << 30}, [](onnx_writer& out) { out.bytes(6, "a"); })) ==
        "bad_size x");
  for (const std::size_t rank : {std::size_t{254}, std::size_t{255}}) {
    const std::string tensor =
        onnx_writer().bytes(1, std::string(rank, '\1')).varint(2, 2).bytes(9, "a").bytes(8, "x").take();
    CHECK(onnx_failure_of_tensor(tensor) == (rank == 254 ? "ok" : "bad_shape x"));
  }
  CHECK(onnx_failure_of_tensor(onnx_raw("x", 1, {1}, "abcd") + onnx_field(3, "")) ==
        "unsupported x: a segment of a tensor");
  CHECK(onnx_failure_of_tensor(onnx_raw("", 1, {1}, "abcd")).starts_with("bad_name @"));
  CHECK(onnx_failure_of_tensor(onnx_raw(std::string(65536, 'n'), 1, {1}, "abcd")).starts_with("bad_name @"));
  CHECK(onnx_failure_of_tensor(onnx_raw(std::string(65535, 'n'), 1, {1}, "abcd")) == "ok");
  // An element type of a later version costs no other tensor.
  const std::string later = onnx_model(onnx_graph({onnx_raw("later", 29, {1}, "a"), onnx_raw("x", 2, {1}, "a")}));
  CHECK(onnx_names(later) == "x");
  const auto opened = stet::open_onnx(std::as_bytes(std::span(later)));
  REQUIRE(opened->omitted.size() == 1);
  CHECK(opened->omitted[0].name == "later");
  CHECK(opened->omitted[0].reason.code() == stet::errc::unknown_dtype);
}

TEST_CASE("sparse tensors and attributes that cannot be told apart are refused") {
  const std::string values = onnx_field(1, onnx_raw("s", 2, {1}, "v"));
  const std::string indices = onnx_field(2, onnx_raw("", 7, {1}, "12345678"));
  const auto failure = [](const std::string& sparse) {
    return onnx_failure(onnx_model(onnx_graph({}, onnx_field(15, sparse))));
  };
  CHECK(failure(values + indices) == "ok");
  CHECK(failure(values) == "malformed sparse:s: no values or indices");
  CHECK(failure(indices) == "malformed sparse:: no values or indices");
  CHECK(failure(values + values + indices).starts_with("malformed s @"));
  CHECK(failure(values + indices + onnx_field(3, std::string(255, '\1'))) == "bad_shape sparse:s");
  const std::string twice =
      onnx_attribute("value", 5, onnx_raw("", 2, {1}, "a")) + onnx_field(5, onnx_raw("", 2, {1}, "b"));
  CHECK(onnx_failure(onnx_model(onnx_graph({}, onnx_field(1, onnx_node("C", {}, {"c"}, {twice})))))
            .starts_with("malformed value @"));
}

TEST_CASE("every truncation of an ONNX model is an error, but those between its fields") {
  const std::string file = example_onnx_model();
  const std::size_t graph_begin = 3, graph_end = file.size() - 4;
  for (std::size_t size = 0; size < file.size(); ++size) {
    CAPTURE(size);
    const std::string failure = onnx_failure(std::string_view(file).substr(0, size));
    if (size == graph_end) {
      CHECK(failure == "ok"); // the operator sets are missing, which no tensor needs
    } else if (size < graph_begin) {
      CHECK(failure == "unknown_format");
    } else {
      CHECK(failure == "truncated @" + std::to_string(size));
    }
  }
}

TEST_CASE("damaged ONNX models open or fail, and are never read outside of their bytes") {
  const auto tensor = [](std::string_view name) { return onnx_raw(name, 2, {1}, "v"); };
  const std::string files[] = {
      example_onnx_model(),
      onnx_model(onnx_graph(
          {onnx_tensor("i", 7, {2}, [](onnx_writer& out) { out.bytes(7, "\x01\x80\x01"); }),
           onnx_tensor("s", 8, {2}, [](onnx_writer& out) { out.bytes(6, "ab").bytes(6, "c"); }),
           stet_test::onnx_external("e", 2, {1}, {{"location", "w.bin"}, {"offset", "3"}, {"length", "1"}})},
          onnx_field(1, onnx_node("If", {}, {"y"}, {onnx_attribute("then", 6, onnx_graph({tensor("w")}))})))),
      onnx_raw("t", 1, {1}, "abcd")};
  for (const std::string& whole : files) {
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string file = whole;
        file[at] = static_cast<char>(file[at] ^ (1 << bit));
        CHECK_FALSE(onnx_failure(file).empty());
      }
    }
    for (std::size_t size = 0; size < whole.size(); ++size)
      CHECK_FALSE(onnx_failure(std::string_view(whole).substr(0, size)).empty());
  }
}

TEST_CASE("malformed messages of ONNX") {
  const std::string good = onnx_raw("x", 2, {1}, "v");
  const auto in_graph = [&](std::string_view bytes) { return onnx_failure(onnx_model(onnx_graph({good}, bytes))); };
  const std::size_t at = 2 + 2 + 2 + good.size(); // after the version, the head of the graph, and the tensor
  const std::string place = " @" + std::to_string(at);
  CHECK(in_graph("\x0b\x0c") == "bad_protobuf" + place);   // a group
  CHECK(in_graph("\x2c") == "bad_protobuf" + place);       // the end of one
  CHECK(in_graph("\x02\x00"sv) == "bad_protobuf" + place); // a field numbered 0
  CHECK(in_graph("\x2a\x7f") == "bad_protobuf" + place);   // longer than the graph
  CHECK(in_graph("\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01") == "bad_protobuf" + place);
  CHECK(in_graph("\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01") == "bad_protobuf" + place); // 11 bytes
  CHECK(in_graph("\xff\xff\xff\xff\xff\x01\x00"sv) == "bad_protobuf" + place);                   // a tag of 6 bytes
  CHECK(in_graph("\x0d\x01\x02\x03") == "bad_protobuf" + place);                                 // 3 bytes of a fixed32
  CHECK(in_graph("\x09\x01\x02\x03\x04\x05\x06\x07") == "bad_protobuf" + place);                 // 7 of a fixed64
}

TEST_CASE("graphs in graphs are read to the depth of Protocol Buffers") {
  const auto nested = [](int levels) {
    std::string graph = onnx_graph({onnx_raw("w", 2, {1}, "v")});
    for (int level = 0; level < levels; ++level)
      graph = onnx_graph({}, onnx_field(1, onnx_node("If", {}, {"y"}, {onnx_attribute("b", 6, graph)})));
    return onnx_model(graph);
  };
  // Model, graph, tensor; and three messages for each level.
  CHECK(onnx_failure(nested(32)) == "ok");
  CHECK(onnx_failure(nested(33)).starts_with("too_deep @"));
  CHECK(onnx_failure(nested(5000)).starts_with("too_deep @"));
}

TEST_CASE("names that many tensors share as a prefix are bounded") {
  std::string initializers;
  for (int i = 0; i < 3000; ++i) initializers += onnx_field(5, onnx_raw(std::to_string(i), 2, {1}, "v"));
  const std::string node = onnx_node("If", {}, {std::string(60000, 'y')}, {onnx_attribute("b", 6, initializers)});
  CHECK(onnx_failure(onnx_model(onnx_graph({}, onnx_field(1, node)))) == "too_large names of tensors");
  std::string attributes;
  for (int i = 0; i < 3000; ++i) attributes += onnx_field(5, onnx_attribute("b", 6, ""));
  const std::string empty_graphs = onnx_field(2, std::string(60000, 'y')) + attributes;
  CHECK(onnx_failure(onnx_model(onnx_graph({}, onnx_field(1, empty_graphs)))) == "too_large names of tensors");
}

TEST_CASE("an ONNX model needs little memory, and the lack of any is an error") {
  const std::string file = onnx_model(onnx_graph(
      {onnx_raw("w", 2, {1}, "v"), onnx_tensor("i", 7, {3}, [](onnx_writer& out) { out.bytes(7, "\x01\x02\x03"); }),
       onnx_tensor("s", 8, {1}, [](onnx_writer& out) { out.bytes(6, "text"); })}));
  const stet_test::exact_text block(file);
  for (std::uint64_t fails_at = 0;; ++fails_at) {
    stet_test::counted_memory memory(fails_at);
    {
      const auto opened = stet::open_onnx(block.bytes(), {.memory = &memory});
      if (opened) {
        CHECK(fails_at > 2);
        break;
      }
      CHECK(opened.error().code() == stet::errc::out_of_memory);
    }
    CHECK(memory.live() == 0);
    REQUIRE(fails_at < 20);
  }
}

TEST_SUITE_END();
