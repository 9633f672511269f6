// SPDX-License-Identifier: MIT
// Tests of bind.hpp: a struct of views bound at once, or left as it was with every mismatch named.
#include "support/byte_order.hpp"
#include "support/counted_memory.hpp"
#include "support/files.hpp"

#include <stet/store/bind.hpp>

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

using stet::dtype;
using stet::dynamic;
using stet::errc;
using stet_test::can_view_words;
using stet_test::code_of;
using stet_test::elements_of;
using stet_test::native_file;
using stet_test::native_tensor;
using stet_test::tensor_of;

namespace {

struct dense {
  stet::view<const float, dynamic, dynamic> kernel;
  stet::view<const float, 2> bias;
  void bind(auto& field) {
    field("kernel", kernel);
    field("bias", bias);
  }
};

struct network {
  dense hidden, answer;
  std::span<const std::int64_t> step;
  stet::packed_span<stet::uint4> codes;
  stet::string_span labels;
  stet::tensor raw;
  stet::view<const double> scale;
  void bind(auto& field) {
    field("dense", hidden);
    field("dense_1", answer);
    field("step", step);
    field("codes", codes);
    field("labels", labels);
    field("raw", raw);
    field("scale", scale);
  }
};

/// Whose fields can be viewed in either byte order.
struct tagger {
  stet::packed_span<stet::uint4> codes;
  stet::string_span labels;
  stet::tensor raw;
  stet::view<const std::uint8_t, 3> extra;
  void bind(auto& field) {
    field("codes", codes);
    field("labels", labels);
    field("raw", raw);
    field.optional("extra", extra);
  }
};

struct trainable {
  stet::view<std::int8_t, dynamic> bias;
  std::span<std::int8_t> all;
  void bind(auto& field) {
    field("bias", bias);
    field("bias", all);
  }
};
struct trainable_words {
  stet::view<float, dynamic> bias;
  void bind(auto& field) { field("dense/bias", bias); }
};

struct leaf {
  std::string name;
  stet::tensor value;
  void bind(auto& field) { field(name, value); }
};
struct branch {
  std::string name;
  leaf inner;
  void bind(auto& field) { field(name, inner); }
};

struct one_field {
  stet::view<const std::uint8_t, 4> bias;
  void bind(auto& field) { field("bias", bias); }
};

/// Of float32 and what a copy has to be made of otherwise.
struct copied_network {
  dense layer;
  std::span<const float> step;
  stet::packed_span<stet::uint4> codes;
  stet::string_span labels;
  stet::view<const stet::int4, 3> unpacked;
  stet::view<const double> scale;
  void bind(auto& field) {
    field("layer", layer);
    field("step", step);
    field("codes", codes);
    field("labels", labels);
    field("unpacked", unpacked);
    field("scale", scale);
  }
};

struct any_rank {
  stet::view<const float, stet::dynamic_rank> kernel;
  stet::view<const stet::int4, stet::dynamic_rank> unpacked;
  stet::view<const double, stet::dynamic_rank> scale;
  void bind(auto& field) {
    field("layer.kernel", kernel);
    field("unpacked", unpacked);
    field("scale", scale);
  }
};

/// Names as PyTorch's, of dtypes that a `copied_network` has to convert.
std::vector<native_tensor> torch_tensors() {
  std::vector<native_tensor> tensors;
  tensors.push_back(tensor_of<double>("model.layer.kernel", {3, 2}, {1, 2, 3, 4, 5, 6}));
  tensors.push_back(tensor_of<float>("model.layer.bias", {2}, {7, 8}));
  tensors.push_back(tensor_of<std::int64_t>("model.step", {1}, {1000}));
  tensors.push_back(tensor_of("model.codes", stet::element_layout::of(dtype::uint4), {3},
                              stet_test::bytes_of<unsigned char>({0x21, 3})));
  tensors.push_back(stet_test::strings_of("model.labels", {"zero", "one"}));
  tensors.push_back(tensor_of("model.unpacked", stet::element_layout::of(dtype::int4), {3},
                              stet_test::bytes_of<unsigned char>({0xF1, 3})));
  tensors.push_back(tensor_of<double>("model.scale", {}, {0.5}));
  return tensors;
}

bool is_right(const copied_network& net) {
  return net.layer.kernel.extent(0) == 3 && net.layer.kernel(2, 1) == 6 && net.layer.bias(1) == 8 &&
         net.step.size() == 1 && net.step[0] == 1000 && net.codes.element_count() == 3 && net.codes[1] == 2 &&
         net.labels.size() == 2 && net.labels[1] == "one" && net.unpacked(1) == -1 && net.scale() == 0.5;
}

std::vector<native_tensor> network_tensors() {
  std::vector<native_tensor> tensors;
  tensors.push_back(tensor_of<float>("dense/kernel", {3, 2}, {1, 2, 3, 4, 5, 6}));
  tensors.push_back(tensor_of<float>("dense/bias", {2}, {7, 8}));
  tensors.push_back(tensor_of<float>("dense_1/kernel", {2, 2}, {1, 0, 0, 1}));
  tensors.push_back(tensor_of<float>("dense_1/bias", {2}, {0, 0}));
  tensors.push_back(tensor_of<std::int64_t>("step", {1}, {1000}));
  tensors.push_back(
      tensor_of("codes", stet::element_layout::of(dtype::uint4), {3}, stet_test::bytes_of<unsigned char>({0x21, 3})));
  tensors.push_back(stet_test::strings_of("labels", {"zero", "one"}));
  tensors.push_back(tensor_of("raw", {dtype::block, 0, {"q8_0", 32, 34}}, {32}, stet_test::byte_vector(34)));
  tensors.push_back(tensor_of<double>("scale", {}, {0.5}));
  return tensors;
}

/// What is reported of fields of words that `lines` name, which stand in the way of binding on a big-endian machine only.
std::vector<std::string> other_byte_order(std::vector<std::array<std::string, 2>> lines) {
  std::vector<std::string> reported;
  if (can_view_words) return reported;
  for (const auto& [name, rest] : lines)
    reported.push_back(name + ": the bytes have the other byte order; copy_to swaps them; " + rest);
  return reported;
}

/// Binds and collects what is reported.
template <class Model> std::vector<std::string> mismatches_of(Model& model, const stet::store& store, errc expected) {
  std::vector<std::string> lines;
  const auto bound = stet::bind_model(model, store, [&](const stet::binding_mismatch& mismatch) noexcept {
    char buffer[256];
    stet::text_writer out(buffer, sizeof buffer);
    mismatch.print(out);
    lines.emplace_back(out.text());
  });
  CHECK((bound ? errc{} : bound.error().code()) == expected);
  return lines;
}

} // namespace

TEST_SUITE("bind") {
  TEST_CASE("points every field at its tensor, in place") {
    const native_file file(network_tensors());
    const stet_test::exact_block block(file.bytes);
    const auto store = stet::open(std::span<const std::byte>(block.span()));
    REQUIRE(store);
    if (!store) return;
    network net;
    // In the other byte order, what cannot be viewed is named, and nothing is bound.
    CHECK(mismatches_of(net, *store, can_view_words ? errc{} : errc::binding_failed) ==
          other_byte_order({{"dense/kernel", "float32 [any, any] expected, float32 [3, 2] found"},
                            {"dense/bias", "float32 [2] expected, float32 [2] found"},
                            {"dense_1/kernel", "float32 [any, any] expected, float32 [2, 2] found"},
                            {"dense_1/bias", "float32 [2] expected, float32 [2] found"},
                            {"step", "int64 expected, int64 [1] found"},
                            {"scale", "float64 [] expected, float64 [] found"}}));
    CHECK(elements_of<float>(store->find("dense/kernel")) == std::vector<float>{1, 2, 3, 4, 5, 6});
    CHECK(elements_of<float>(store->find("dense/bias")) == std::vector<float>{7, 8});
    CHECK(elements_of<std::int64_t>(store->find("step")) == std::vector<std::int64_t>{1000});
    CHECK(elements_of<double>(store->find("scale")) == std::vector<double>{0.5});
    if (can_view_words) {
      CHECK(net.hidden.kernel.extent(0) == 3);
      CHECK(net.hidden.kernel(2, 1) == 6);
      CHECK(reinterpret_cast<const std::byte*>(net.hidden.kernel.data()) == block.span().data() + file.data_at());
      CHECK(net.hidden.bias(1) == 8);
      CHECK(net.answer.kernel(1, 1) == 1);
      CHECK(net.step[0] == 1000);
      CHECK(net.codes[2] == 3);
      CHECK(net.labels[1] == "one");
      CHECK(net.raw.layout().block.name == "q8_0");
      CHECK(net.scale() == 0.5);
    } else {
      CHECK(net.hidden.kernel.data() == nullptr);
      CHECK(net.scale.data() == nullptr);
      CHECK(net.codes.element_count() == 0);
      CHECK(net.labels.size() == 0);
      CHECK_FALSE(net.raw.entry());
    }

    tagger tags;
    CHECK(mismatches_of(tags, *store, errc{}).empty());
    CHECK(tags.codes[2] == 3);
    CHECK(tags.labels[1] == "one");
    CHECK(tags.raw.layout().block.name == "q8_0");
    CHECK(tags.extra.data() == nullptr);
  }

  TEST_CASE("an optional field is bound if it is there, and checked") {
    auto tensors = network_tensors();
    tensors.push_back(tensor_of<std::uint8_t>("extra", {3}, {1, 2, 3}));
    const native_file good(tensors);
    const stet_test::exact_block block(good.bytes);
    const auto opened = stet::open(std::span<const std::byte>(block.span()));
    REQUIRE(opened);
    if (!opened) return;
    tagger tags;
    CHECK(mismatches_of(tags, *opened, errc{}).empty());
    CHECK(tags.extra(2) == 3);

    tensors.back() = tensor_of<std::uint8_t>("extra", {2}, {1, 2});
    const native_file other(tensors);
    const stet_test::exact_block other_block(other.bytes);
    const auto wrong = stet::open(std::span<const std::byte>(other_block.span()));
    REQUIRE(wrong);
    if (!wrong) return;
    CHECK(mismatches_of(tags, *wrong, errc::binding_failed) ==
          std::vector<std::string>{"extra: uint8 [3] expected, uint8 [2] found"});
    CHECK(tags.extra(2) == 3);
  }

  TEST_CASE("reports every mismatch by name and changes nothing") {
    auto tensors = network_tensors();
    tensors[0] = tensor_of<float>("dense/kernel", {6}, {1, 2, 3, 4, 5, 6});
    tensors[1] = tensor_of<float>("dense/bias", {3}, {7, 8, 9});
    tensors[2] = tensor_of<double>("dense_1/kernel", {2, 2}, {1, 0, 0, 1});
    tensors[3].name = "elsewhere";
    tensors[4] = tensor_of<std::int32_t>("step", {1}, {1000});
    tensors[5] = tensor_of<std::uint8_t>("codes", {3}, {1, 2, 3});
    tensors[6].bytes[0] = std::byte{1};
    tensors[7].name = "raw\n";
    const native_file file(tensors);
    const stet_test::exact_block block(file.bytes);
    const auto store = stet::open(std::span<const std::byte>(block.span()));
    REQUIRE(store);
    if (!store) return;
    network net;
    const float before[] = {1, 2};
    const std::size_t two[] = {2, 0};
    net.hidden.bias = stet::view<const float, 2>(before, two);
    net.scale = stet::view<const double>();
    std::vector<std::string> expected =
        other_byte_order({{"dense/kernel", "float32 [any, any] expected, float32 [6] found"},
                          {"dense/bias", "float32 [2] expected, float32 [3] found"}});
    if (can_view_words)
      expected = {"dense/kernel: float32 [any, any] expected, float32 [6] found",
                  "dense/bias: float32 [2] expected, float32 [3] found"};
    const std::vector<std::string> in_either_order = {
        "dense_1/kernel: float32 [any, any] expected, float64 [2, 2] found",
        "dense_1/bias: no tensor has this name",
        "step: int64 expected, int32 [1] found",
        "codes: uint4 expected, uint8 [3] found",
        "labels: the offsets of the string tensor are not valid; string expected, string [2] found",
        "raw: no tensor has this name",
    };
    expected.insert(expected.end(), in_either_order.begin(), in_either_order.end());
    for (const std::string& each : other_byte_order({{"scale", "float64 [] expected, float64 [] found"}}))
      expected.push_back(each);
    CHECK(mismatches_of(net, *store, errc::binding_failed) == expected);
    CHECK(net.hidden.bias.data() == before);
    CHECK(net.hidden.kernel.data() == nullptr);
    CHECK(net.scale.data() == nullptr); // which would have fitted

    const auto silent = stet::bind_model(net, *store);
    REQUIRE_FALSE(silent);
    if (silent) return;
    CHECK(silent.error().subject().substr(0, 41) == "dense/kernel, dense/bias, dense_1/kernel,");
  }

  TEST_CASE("the error of one mismatch says what was expected and found") {
    const native_file file({tensor_of<std::uint8_t>("bias", {3}, {1, 2, 3})});
    const auto store = stet::open(file.bytes);
    REQUIRE(store);
    if (!store) return;
    one_field model;
    const auto bound = stet::bind_model(model, *store);
    REQUIRE_FALSE(bound);
    if (!bound) CHECK(bound.error().subject() == "bias: uint8 [4] expected, uint8 [3] found");
  }

  TEST_CASE("a prefix and another separator, and copies of what cannot be viewed") {
    const native_file file(torch_tensors());
    stet_test::every_way().open(file.bytes, [](const auto& way, const auto& store) {
      CAPTURE(way.name);
      REQUIRE(store);
      if (!store) return;
      copied_network net;
      stet::source copies;
      const auto bound =
          stet::bind_model(net, *store, {.separator = '.', .prefix = "model.", .if_unusable = stet::copy_into(copies)});
      REQUIRE(bound);
      CHECK(is_right(net));
      CHECK(copies.size_bytes() % 64 == 0);
      // The kernel, the step and the unpacked codes at least, a line of the cache each.
      CHECK(copies.size_bytes() >= 192);
      CHECK(copies.size_bytes() <= 7 * 64);
    });
  }

  TEST_CASE("copies of misaligned tensors lie in the program's memory, if they have room there") {
    const native_file file(torch_tensors());
    const stet_test::exact_block block(file.bytes, 1);
    const auto store = stet::open(std::span<const std::byte>(block.span()));
    REQUIRE(store);
    if (!store) return;
    alignas(64) std::byte arena[7 * 64 + 1];
    copied_network net;
    const auto bind_into = [&](std::span<std::byte> memory) {
      return stet::bind_model(net, *store,
                              {.separator = '.', .prefix = "model.", .if_unusable = stet::copy_into(memory)});
    };
    // Kernel, bias, step, scale and the unpacked codes; packed codes and strings are viewed at any address.
    const auto small = bind_into(std::span(arena).first(5 * 64 - 1));
    REQUIRE_FALSE(small);
    if (!small) CHECK(small.error() == errc::buffer_too_small);
    if (!small) CHECK(small.error().subject() == "memory for copies: 320 bytes needed, 319 given");
    const auto off_by_one = bind_into(std::span(arena).subspan(1, 5 * 64));
    REQUIRE_FALSE(off_by_one);
    if (!off_by_one) CHECK(off_by_one.error().subject() == "memory for copies: 383 bytes needed, 320 given");
    CHECK(net.layer.bias.data() == nullptr);
    REQUIRE(bind_into(std::span(arena).first(5 * 64)));
    CHECK(is_right(net));
    CHECK(reinterpret_cast<const std::byte*>(net.layer.kernel.data()) == arena);
    CHECK(reinterpret_cast<const std::byte*>(net.layer.bias.data()) == arena + 64);
    REQUIRE(bind_into(std::span(arena).subspan(1)));
    CHECK(reinterpret_cast<const std::byte*>(net.layer.kernel.data()) == arena + 64);
  }

  TEST_CASE("what no copy can mend is reported, and nothing changes") {
    auto tensors = torch_tensors();
    tensors[0] = tensor_of<double>("model.layer.kernel", {6}, {1, 2, 3, 4, 5, 6});
    tensors[2] = tensor_of<stet::complex64>("model.step", {1}, {{1, 2}});
    tensors[3] = tensor_of<std::uint8_t>("model.codes", {3}, {1, 2, 3});
    tensors[4].bytes[0] = std::byte{1};
    const native_file file(tensors);
    const stet_test::memory_reader reader(file.bytes);
    const auto store = stet::open(reader);
    REQUIRE(store);
    if (!store) return;
    copied_network net;
    stet::source copies;
    const stet::bind_options options{.separator = '.', .prefix = "model.", .if_unusable = stet::copy_into(copies)};
    std::vector<std::string> lines;
    const auto note = [&](const stet::binding_mismatch& mismatch) noexcept {
      char buffer[256];
      stet::text_writer out(buffer, sizeof buffer);
      mismatch.print(out);
      lines.emplace_back(out.text());
    };
    CHECK(code_of(stet::bind_model(net, *store, options, note)) == errc::binding_failed);
    CHECK(lines == std::vector<std::string>{
                       "model.layer.kernel: float32 [any, any] expected, float64 [6] found",
                       "model.step: float32 expected, complex64 [1] found",
                       "model.codes: uint4 expected, uint8 [3] found",
                   });
    CHECK(net.layer.bias.data() == nullptr);
    CHECK(copies.size_bytes() == 0);

    // A tensor that cannot be read, and strings that are found invalid only then.
    tensors = torch_tensors();
    tensors[4].bytes[0] = std::byte{1};
    const native_file invalid(tensors);
    const stet_test::memory_reader other(invalid.bytes);
    const auto second = stet::open(other);
    REQUIRE(second);
    if (!second) return;
    lines.clear();
    CHECK(code_of(stet::bind_model(net, *second, options, note)) == errc::binding_failed);
    CHECK(lines == std::vector<std::string>{"model.labels: the offsets of the string tensor are not valid; string "
                                            "expected, string [2] found"});
    CHECK(net.layer.bias.data() == nullptr);

    // A field that writes is given no copy.
    trainable_words words;
    const native_file native({tensor_of<double>("dense/bias", {2}, {1, 2})});
    const auto third = stet::open(native.bytes);
    REQUIRE(third);
    if (third)
      CHECK(code_of(stet::bind_model(words, *third, {.if_unusable = stet::copy_into(copies)})) == errc::binding_failed);
    // No name has room behind a prefix that is too long.
    const std::string prefix(1024, 'p');
    if (third) CHECK(code_of(stet::bind_model(words, *third, {.prefix = prefix})) == errc::binding_failed);
  }

  TEST_CASE("memory for copies comes from where the program says") {
    const native_file file(torch_tensors());
    const stet_test::memory_reader reader(file.bytes);
    const auto store = stet::open(reader);
    REQUIRE(store);
    if (!store) return;
    stet_test::counted_memory memory;
    {
      copied_network net;
      stet::source copies;
      REQUIRE(stet::bind_model(
          net, *store, {.separator = '.', .prefix = "model.", .if_unusable = stet::copy_into(copies, &memory)}));
      CHECK(memory.count() == 1);
      CHECK(memory.live() == 1);
      CHECK(is_right(net));
    }
    CHECK((memory.live() == 0 && memory.is_sound()));
    stet_test::counted_memory none(0);
    copied_network net;
    stet::source copies;
    CHECK(code_of(stet::bind_model(
              net, *store, {.separator = '.', .prefix = "model.", .if_unusable = stet::copy_into(copies, &none)})) ==
          errc::out_of_memory);
    CHECK(net.layer.bias.data() == nullptr);
  }

  TEST_CASE("a field that may be written to asks for a writable store") {
    trainable model;
    auto tensors = network_tensors();
    tensors.push_back(tensor_of<std::int8_t>("bias", {2}, {7, 8}));
    const native_file file(tensors);
    const stet_test::exact_block block(file.bytes);
    const auto fixed = stet::open(std::span<const std::byte>(block.span()));
    const auto open = stet::open(block.span());
    REQUIRE(fixed);
    REQUIRE(open);
    if (!fixed || !open) return;
    CHECK(mismatches_of(model, *fixed, errc::binding_failed) ==
          std::vector<std::string>{"bias: the store was opened read-only; int8 [any] expected, int8 [2] found",
                                   "bias: the store was opened read-only; int8 expected, int8 [2] found"});
    CHECK(mismatches_of(model, *open, errc{}).empty());
    model.bias(0) = 5;
    CHECK(model.all[0] == 5);

    trainable_words words;
    CHECK(mismatches_of(words, *open, can_view_words ? errc{} : errc::binding_failed) ==
          other_byte_order({{"dense/bias", "float32 [any] expected, float32 [2] found"}}));
    if (can_view_words) words.bias(0) = 5;
    CHECK(elements_of<float>(open->find("dense/bias"))[0] == (can_view_words ? 5.0f : 7.0f));
  }

  TEST_CASE("names are joined up to 1,023 bytes and refused beyond, however they are nested") {
    const std::string longest(1023, 'n');
    const native_file file({tensor_of<float>(longest, {}, {1}),
                            tensor_of<float>(std::string(1000, 'a') + "/" + std::string(22, 'b'), {}, {2})});
    const stet_test::exact_block block(file.bytes);
    const auto store = stet::open(std::span<const std::byte>(block.span()));
    REQUIRE(store);
    if (!store) return;
    leaf alone{longest, {}};
    CHECK(mismatches_of(alone, *store, errc{}).empty());
    alone.name += 'n';
    CHECK(mismatches_of(alone, *store, errc::binding_failed).size() == 1);
    branch nested{std::string(1000, 'a'), {std::string(22, 'b'), {}}};
    CHECK(mismatches_of(nested, *store, errc{}).empty());
    for (const std::size_t outer : {1000u, 1021u, 1022u, 1023u, 1024u}) {
      for (const std::size_t inner : {0u, 1u, 23u, 2000u, 70000u}) {
        nested = {std::string(outer, 'a'), {std::string(inner, 'b'), {}}};
        CHECK(mismatches_of(nested, *store, errc::binding_failed).size() == 1);
      }
    }
  }

  TEST_CASE("a view of any rank takes the shape of its tensor, in place or in a copy") {
    const native_file file(torch_tensors());
    const stet_test::exact_block block(file.bytes);
    const auto store = stet::open(std::span<const std::byte>(block.span()));
    REQUIRE(store);
    if (!store) return;
    any_rank of;
    CHECK(code_of(stet::bind_model(of, *store, {.prefix = "model."})) == errc::binding_failed);
    CHECK(of.kernel.data() == nullptr);
    stet::source copies;
    REQUIRE(stet::bind_model(of, *store, {.prefix = "model.", .if_unusable = stet::copy_into(copies)}));
    CHECK(of.kernel.extents().equals({3, 2}));
    CHECK(of.kernel(2, 1) == 6); // converted from double
    CHECK(of.unpacked.rank() == 1);
    CHECK(of.unpacked(1) == -1);
    CHECK(of.scale.rank() == 0);
    CHECK(of.scale() == 0.5);
  }
}
