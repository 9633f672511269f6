// SPDX-License-Identifier: MIT
// Tests of pytorch/open.hpp: names, views, shared storages, every container, and what is wrong or hostile.
#include <stet/formats/pytorch.hpp>

#include "support/exact_text.hpp"
#include "support/flipped_bits.hpp"
#include "support/keras_files.hpp"
#include "support/outcome.hpp"
#include "support/pytorch_files.hpp"
#include "support/thinned.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

TEST_SUITE_BEGIN("pytorch");

namespace {

using namespace std::literals;
using namespace stet_test;

std::span<const std::byte> pt_bytes(const std::string& file) { return std::as_bytes(std::span(file)); }
std::span<const std::byte> pt_bytes(std::string&&) = delete; // a model views the bytes

/// The names of all tensors, each with a space behind it, or the error with its subject.
std::string pt_names(const std::string& file, const stet::open_options& options = {}) {
  const exact_text block(file);
  const auto opened = stet::open_pytorch(block.bytes(), options);
  if (!opened) return outcome(opened) + " " + std::string(opened.error().subject());
  std::string made;
  for (const stet::tensor each : opened->store) made += std::string(each.name()) + " ";
  return made;
}
/// The omitted items: NAME CODE SUBJECT.
std::string pt_omitted(const std::string& file) {
  const auto opened = stet::open_pytorch(pt_bytes(file));
  if (!opened) return outcome(opened);
  std::string made;
  for (const stet::omitted_item& each : opened->omitted)
    made += each.name + " " + stet::describe(each.reason.code()).name + " " + std::string(each.reason.subject()) + "\n";
  return made;
}
std::vector<float> pt_values(const stet::model& of, std::string_view name) {
  const auto found = of.store.find(name);
  REQUIRE(found);
  std::vector<float> values(static_cast<std::size_t>(found->element_count()));
  CHECK(outcome(found->copy_to(std::span(values))) == "ok");
  return values;
}
/// The result of reading a tensor.
std::string pt_read(const stet::model& of, std::string_view name) {
  const auto found = of.store.find(name);
  REQUIRE(found);
  std::vector<std::byte> bytes(static_cast<std::size_t>(found->size_bytes()));
  const auto read = found->read(0, std::span(bytes));
  return read ? "ok" : outcome(read) + " " + std::string(read.error().subject());
}
const std::vector<float> pt_floats{0, 1, 2, 3, 4, 5}, pt_turned{0, 3, 1, 4, 2, 5};

std::string pt_one(const std::string& tensor, const pt_members& storages = {{"0", floats(6)}}) {
  return pytorch_file(pt::dict({pt::text("w"), tensor}), storages);
}

} // namespace

TEST_CASE("a contiguous tensor is in place") {
  const std::string file = example_pytorch_file();
  const auto model = stet::open_pytorch(pt_bytes(file));
  REQUIRE(model);
  const auto found = model->store.find("w");
  REQUIRE(found);
  CHECK(found->dtype() == stet::dtype::float32);
  CHECK(found->shape().rank() == 2);
  CHECK(found->shape()[0] == 2);
  CHECK(found->shape()[1] == 3);
  CHECK(model->is_in_file(*found));
  const std::size_t at = file.find(floats(6));
  CHECK(found->bytes().data() == pt_bytes(file).data() + at);
  CHECK(pt_values(*model, "w") == pt_floats);
  CHECK(model->checks.size() == 3);
}

TEST_CASE("names are the keys and positions on the way") {
  const std::string one = pt::tensor("0", 6, 0, {6}, {1}), two = pt::tensor("0", 6, 1, {1}, {1});
  CHECK(pt_names(pytorch_file(one, {{"0", floats(6)}})) == "<root> ");
  CHECK(pt_names(pytorch_file(pt::list({one, pt::dict({pt::text("x"), two})}), {{"0", floats(6)}})) == "0 1.x ");
  CHECK(pt_names(pytorch_file(pt::dict({pt::text("a"),
                                        pt::dict({pt::text("b"), pt::tuple({one, pt::list({two})})}),
                                        pt::integer(-3),
                                        one,
                                        "\x88",
                                        one,
                                        "N",
                                        one,
                                        pt::tuple({pt::text("t"), pt::integer(1)}),
                                        one,
                                        pt::tuple({pt::integer(1)}),
                                        two,
                                        pt::text("dot.ted"),
                                        two,
                                        "G\x3f\xf8\0\0\0\0\0\0"s,
                                        two,
                                        "G\x40\0\0\0\0\0\0\0"s,
                                        two,
                                        pt::text("n"),
                                        pt::integer(7),
                                        pt::text("e"),
                                        pt::dict({pt::text(""), two}),
                                        pt::global("m", "k"),
                                        two}),
                              {{"0", floats(6)}})) ==
        "a.b.0 a.b.1.0 -3 True None ('t', 1) (1,) dot.ted 1.5 2.0 e. #11 ");
  CHECK(pt_names(pytorch_file(pt::ordered_dict({pt::text("z"), one}) +
                                  pt::dict({pt::text("_metadata"), pt::ordered_dict({})}) + "b",
                              {{"0", floats(6)}})) == "z ");
  // Python 2 passes the pairs of an OrderedDict to its class.
  CHECK(pt_names(pytorch_file(
            pt::call(pt::global("collections", "OrderedDict"),
                     pt::tuple({pt::list({pt::list({pt::text("a"), one}), pt::tuple({pt::text("b"), two})})})),
            {{"0", floats(6)}})) == "a b ");
  CHECK(pt_names(pytorch_file(
            pt::call(pt::global("collections", "defaultdict"), pt::tuple({pt::global("__builtin__", "list")})) +
                pt::text("k") + pt::list({one}) + "s",
            {{"0", floats(6)}})) == "k.0 ");
  CHECK(pt_names(pytorch_file("N", {})) == "");
  CHECK(pt_names(pytorch_file(pt::dict({pt::text("a.b"), one, pt::text("a"), pt::dict({pt::text("b"), two})}),
                              {{"0", floats(6)}})) == "duplicate_name a.b");
  CHECK(pt_omitted(pytorch_file(pt::dict({pt::text("a\0"sv), one, pt::text("\xff"), one, pt::text(""), one}),
                                {{"0", floats(6)}})) == "a\0 bad_name a\0\n\xff bad_name \xff\n bad_name \n"s);
}

TEST_CASE("views have their elements in row-major order") {
  const std::string all = pytorch_file(
      pt::dict({pt::text("t"), pt::tensor("0", 6, 0, {3, 2}, {1, 3}), pt::text("column"),
                pt::tensor("0", 6, 1, {2}, {3}), pt::text("row"), pt::tensor("0", 6, 3, {3}, {1}), pt::text("wide"),
                pt::tensor("0", 6, 4, {2, 3}, {1, 0}), pt::text("one"), pt::tensor("0", 6, 5, {}, {}), pt::text("ones"),
                pt::tensor("0", 6, 3, {1, 3, 1}, {99, 1, 7}), pt::text("empty"), pt::tensor("0", 6, 99, {0, 5}, {5, 1}),
                pt::text("steps"), pt::tensor("0", 6, 0, {3}, {2})}),
      {{"0", floats(6)}});
  const auto model = stet::open_pytorch(pt_bytes(all));
  REQUIRE(model);
  CHECK(pt_values(*model, "t") == pt_turned);
  CHECK(pt_values(*model, "column") == std::vector<float>{1, 4});
  CHECK(pt_values(*model, "row") == std::vector<float>{3, 4, 5});
  CHECK(pt_values(*model, "wide") == std::vector<float>{4, 4, 4, 5, 5, 5});
  CHECK(pt_values(*model, "one") == std::vector<float>{5});
  CHECK(pt_values(*model, "ones") == std::vector<float>{3, 4, 5});
  CHECK(pt_values(*model, "empty").empty());
  CHECK(pt_values(*model, "steps") == std::vector<float>{0, 2, 4});
  for (const std::string_view name : {"row", "one", "ones"}) CHECK(model->is_in_file(*model->store.find(name)));
  for (const std::string_view name : {"t", "column", "wide", "steps"}) {
    CHECK_FALSE(model->is_in_file(*model->store.find(name)));
    CHECK(outcome(model->store.find(name)->as<float>()) == "not_resident");
  }
}

TEST_CASE("the same view of a storage is an alias, another view is not") {
  const std::string one = pt::tensor("0", 6, 0, {6}, {1}), turned = pt::tensor("0", 6, 0, {3, 2}, {1, 3});
  const std::string file = pytorch_file(
      pt::dict({pt::text("a"), one, pt::text("b"), pt::tensor("0", 6, 1, {5}, {1}), pt::text("c"), one, pt::text("d"),
                turned, pt::text("e"), turned, pt::text("f"), pt::tensor("0", 6, 1, {5}, {1}), pt::text("g"),
                pt::tensor("1", 6, 0, {6}, {1}), pt::text("h"),
                pt::tensor("0", 6, 0, {6}, {1}, "FloatStorage", pt::dict({pt::text("neg"), "\x88"}))}),
      {{"0", floats(6)}, {"1", floats(6)}});
  const auto model = stet::open_pytorch(pt_bytes(file));
  REQUIRE(model);
  std::string aliases;
  for (const stet::tensor each : model->store) {
    const auto original = model->store.original_of(each);
    if (original) aliases += std::string(each.name()) + "=" + std::string(original->name()) + " ";
  }
  CHECK(aliases == "c=a e=d f=b ");
  CHECK(model->second_names.empty());
  CHECK(pt_values(*model, "e") == pt_turned);
}

TEST_CASE("types of elements") {
  struct one {
    std::string_view storage, want;
    std::size_t size;
  };
  for (const one& each :
       {one{"DoubleStorage", "float64", 8}, one{"HalfStorage", "float16", 2}, one{"BFloat16Storage", "bfloat16", 2},
        one{"LongStorage", "int64", 8}, one{"IntStorage", "int32", 4}, one{"ShortStorage", "int16", 2},
        one{"CharStorage", "int8", 1}, one{"ByteStorage", "uint8", 1}, one{"BoolStorage", "bool", 1},
        one{"ComplexFloatStorage", "complex64", 8}, one{"ComplexDoubleStorage", "complex128", 16}}) {
    CAPTURE(each.storage);
    const std::string file =
        pt_one(pt::tensor("0", 2, 0, {2}, {1}, each.storage), {{"0", std::string(2 * each.size, '\1')}});
    const auto model = stet::open_pytorch(pt_bytes(file));
    REQUIRE(model);
    CHECK(stet::name_of(model->store.find("w")->dtype()) == each.want);
    CHECK(model->store.find("w")->size_bytes() == 2 * each.size);
  }
  for (const one& each :
       {one{"uint16", "uint16", 2}, one{"uint64", "uint64", 8}, one{"float8_e4m3fn", "float8_e4m3fn", 1},
        one{"float32", "float32", 4}, one{"complex32", "complex32", 4}, one{"bits8", "bits8", 1},
        one{"float4_e2m1fn_x2", "float4_e2m1fn_x2", 1}}) {
    CAPTURE(each.storage);
    const std::string tensor = pt::call(
        pt::global("torch._utils", "_rebuild_tensor_v3"),
        pt::tuple({pt::tuple({pt::text("storage"), pt::global("torch.storage", "UntypedStorage"), pt::text("0"),
                              pt::text("cpu"), pt::integer(static_cast<std::int64_t>(3 * each.size))}) +
                       "Q",
                   pt::integer(1), pt::integers({2}), pt::integers({1}), "\x89", pt::ordered_dict({}),
                   pt::global("torch", each.storage)}));
    const std::string file = pt_one(tensor, {{"0", std::string(3 * each.size, '\1')}});
    const auto model = stet::open_pytorch(pt_bytes(file));
    REQUIRE(model);
    const auto found = model->store.find("w");
    CHECK(found->size_bytes() == 2 * each.size);
    CHECK(found->bytes().data() == pt_bytes(file).data() + file.find(std::string(3 * each.size, '\1')) + each.size);
    const std::string_view name =
        found->dtype() == stet::dtype::block ? found->layout().block.name : stet::name_of(found->dtype());
    CHECK(name == each.want);
  }
}

TEST_CASE("parameters, tensors with attributes and torch.Size are unwrapped") {
  const std::string plain = pt::tensor("0", 6, 0, {6}, {1});
  const auto parameter = [&](std::string_view function, const std::string& more) {
    return pt::call(pt::global("torch._utils", function), pt::tuple({plain, "\x88", pt::ordered_dict({}), more}));
  };
  const std::string typed =
      pt::call(pt::global("torch._tensor", "_rebuild_from_type_v2"),
               pt::tuple({pt::global("torch._utils", "_rebuild_tensor_v2"), pt::global("torch", "Tensor"),
                          pt::tuple({pt::storage("FloatStorage", "0", 6), pt::integer(0),
                                     pt::call(pt::global("torch", "Size"), pt::tuple({pt::integers({2, 3})})),
                                     pt::integers({3, 1}), "\x89", pt::ordered_dict({})}),
                          pt::dict({pt::text("note"), pt::integer(1)})}));
  CHECK(
      pt_names(pytorch_file(pt::dict({pt::text("a"), parameter("_rebuild_parameter", ""), pt::text("b"),
                                      parameter("_rebuild_parameter_with_state", pt::dict({})), pt::text("c"), typed}),
                            {{"0", floats(6)}})) == "a b c ");
}

TEST_CASE("a storage that is not as the pickle says costs its tensors only") {
  const auto read = [](const std::string& tensor, const pt_members& storages) {
    const std::string file =
        pytorch_file(pt::dict({pt::text("w"), tensor, pt::text("v"), pt::tensor("9", 1, 0, {1}, {1})}), storages);
    const auto model = stet::open_pytorch(pt_bytes(file));
    REQUIRE(model);
    CHECK(pt_values(*model, "v") == std::vector<float>{0});
    return pt_read(*model, "w");
  };
  const std::string six = pt::tensor("0", 6, 0, {6}, {1});
  CHECK(read(six, {{"0", floats(6)}, {"9", floats(1)}}) == "ok");
  CHECK(read(six, {{"9", floats(1)}}) == "missing_part data: 0");
  CHECK(read(six, {{"0", floats(5)}, {"9", floats(1)}}) == "bad_size data: 0");
  CHECK(read(six, {{"0", floats(7)}, {"9", floats(1)}}) == "bad_size data: 0");
  CHECK(read(pt::tensor("0", 6, 1, {6}, {1}), {{"0", floats(6)}, {"9", floats(1)}}) == "bad_offset data: 0");
  CHECK(read(pt::tensor("0", 6, 0, {2, 3}, {4, 1}), {{"0", floats(6)}, {"9", floats(1)}}) == "bad_offset data: 0");
  CHECK(read(pt::tensor("0", 6, (std::int64_t{1} << 62), {6}, {1}), {{"0", floats(6)}, {"9", floats(1)}}) ==
        "bad_offset data: 0");
  CHECK(read(pt::tensor("0", 6, 0, {3}, {std::int64_t{1} << 62}), {{"0", floats(6)}, {"9", floats(1)}}) ==
        "bad_offset data: 0");
  CHECK(read(pt::tensor("0", 6, 0, {0}, {1}), {{"9", floats(1)}}) == "ok");
}

TEST_CASE("an element that is repeated to very many is not made") {
  const std::string file = pt_one(pt::tensor("0", 1, 0, {std::int64_t{1} << 40}, {0}), {{"0", floats(1)}});
  const auto model = stet::open_pytorch(pt_bytes(file));
  REQUIRE(model);
  std::byte start[4];
  const auto read = model->store.find("w")->read(0, std::span(start));
  REQUIRE_FALSE(read);
  CHECK(read.error().code() == stet::errc::too_large);
}

TEST_CASE("descriptions of tensors that contradict themselves") {
  const auto verdict = [](const std::string& tensor) { return pt_names(pt_one(tensor)); };
  CHECK(verdict(pt::tensor("0", 6, 0, {6}, {1, 1})) == "bad_shape 0");
  CHECK(verdict(pt::tensor("0", 6, 0, {-6}, {1})) == "bad_shape 0");
  CHECK(verdict(pt::tensor("0", 6, 0, {6}, {-1})) == "bad_shape 0");
  CHECK(verdict(pt::tensor("0", 6, -1, {6}, {1})) == "malformed the offset of a tensor");
  for (const std::initializer_list<std::int64_t> size :
       {std::initializer_list<std::int64_t>{std::int64_t{1} << 32, std::int64_t{1} << 32},
        {std::int64_t{1} << 62, 2},
        {0, std::int64_t{1} << 62},
        {std::int64_t{1} << 62, 0},
        {std::int64_t{1} << 61, 1}})
    CHECK(verdict(pt::tensor("0", 6, 0, size, {0, 0})) == "bad_shape 0");
  CHECK(verdict(pt::tensor("../0", 6, 0, {6}, {1})) == "bad_path ../0");
  CHECK(verdict(pt::tensor("", 6, 0, {6}, {1})) == "bad_path data/");
  CHECK(verdict(pt::tensor("0", std::int64_t{1} << 62, 0, {6}, {1})) == "bad_size 0");
  CHECK(verdict(pt::tensor("0", -6, 0, {6}, {1})) == "malformed a tensor without a storage");
  CHECK(verdict(pt::tensor("0", 6, 0, {6}, {1}, "OddStorage")) == "unknown_dtype torch: OddStorage");
  CHECK(verdict(pt::call(pt::global("torch._utils", "_rebuild_tensor_v2"), ")")) ==
        "malformed a tensor without a storage");
  CHECK(verdict(pt::call(pt::global("torch._utils", "_rebuild_tensor_v2"), pt::tuple({pt::integer(0)}))) ==
        "malformed a tensor without a storage");
  CHECK(verdict(pt::call(pt::global("torch._utils", "_rebuild_tensor_v3"),
                         pt::tuple({pt::storage("FloatStorage", "0", 6), pt::integer(0), pt::integers({6}),
                                    pt::integers({1})}))) == "malformed a tensor without a dtype");
  CHECK(verdict(pt::tensor("0", 6, 0, {6}, {1}) + pt::dict({}) + "b") == "malformed a tensor with a state");
}

TEST_CASE("what the store cannot give is omitted with its reason, and costs no tensor") {
  const std::string w = pt::tensor("0", 6, 0, {6}, {1});
  const std::string file = pytorch_file(
      pt::dict(
          {pt::text("q"),
           pt::call(pt::global("torch._utils", "_rebuild_qtensor"), pt::tuple({pt::storage("QInt8Storage", "1", 4)})),
           pt::text("bare"), pt::storage("LongStorage", "1", 4), pt::text("args"),
           pt::call(pt::global("argparse", "Namespace"), ")") + pt::dict({pt::text("t"), w}) + "b", pt::text("when"),
           pt::call(pt::global("datetime", "datetime"), pt::tuple({"C\x01z"})), pt::text("w"), w}),
      {{"0", floats(6)}});
  CHECK(pt_names(file) == "w ");
  CHECK(pt_omitted(file) ==
        "q unsupported torch._utils: _rebuild_qtensor\nbare unsupported a storage without a tensor\n"
        "args unsupported argparse: Namespace\n");
}

TEST_CASE("a whole module gives the names of its state_dict") {
  const auto module = [](std::initializer_list<std::string> parameters, std::initializer_list<std::string> buffers,
                         std::initializer_list<std::string> modules, const std::string& passing = "") {
    std::string state = "}(" + pt::text("training") + "\x88" + pt::text("_parameters") + pt::ordered_dict(parameters) +
                        pt::text("_buffers") + pt::dict(buffers) + pt::text("_modules") + pt::ordered_dict(modules);
    if (!passing.empty()) state += pt::text("_non_persistent_buffers_set") + passing;
    return pt::global("proj.models", "Net") + ")\x81" + state + "ub";
  };
  const std::string w = pt::tensor("0", 6, 0, {6}, {1}), b = pt::tensor("0", 6, 1, {2}, {1});
  const std::string shared = module({pt::text("weight"), w, pt::text("bias"), "N"}, {}, {}) + "q\1";
  const std::string one = module({pt::text("scale"), b}, {pt::text("mean"), w, pt::text("mask"), w},
                                 {pt::text("first"), shared, pt::text("again"), "h\1", pt::text("none"), "N"},
                                 pt::call(pt::global("__builtin__", "set"), pt::tuple({pt::list({pt::text("mask")})})));
  CHECK(pt_names(pytorch_file(one, {{"0", floats(6)}})) == "scale mean first.weight again.weight ");
  CHECK(pt_names(pytorch_file(pt::dict({pt::text("model"), one, pt::text("epoch"), pt::integer(3)}),
                              {{"0", floats(6)}})) == "model.scale model.mean model.first.weight model.again.weight ");
  // With the set of protocol 4.
  const std::string four =
      module({}, {pt::text("mean"), w, pt::text("mask"), w}, {}, "\x8f(" + pt::text("mask") + "\x90");
  CHECK(pt_names(pytorch_file(four, {{"0", floats(6)}})) == "mean ");
}

TEST_CASE("a module of TorchScript gives its parameters and buffers") {
  const std::string w = pt::tensor("0", 6, 0, {6}, {1});
  const std::string inner =
      pt::global("__torch__.a.mangle_3", "Inner") + ")\x81" + pt::dict({pt::text("weight"), w}) + "b";
  const std::string object = pt::global("__torch__", "Net") + ")\x81" +
                             pt::dict({pt::text("training"), "\x88", pt::text("w"), w, pt::text("cache"), w,
                                       pt::text("buf"), w, pt::text("inner"), inner, pt::text("list"), pt::list({w})}) +
                             "b";
  const std::string code =
      "class Net_(Module):\n  __parameters__ = [\"cache\", ]\nclass Net(Module):\n  __parameters__ = [\"w\", ]\n"
      "  __buffers__ = [\"buf\", ]\n  w : Tensor\nclass Other(Module):\n  __parameters__ = [\"list\", ]\n";
  CHECK(pt_names(pytorch_file(object, {{"0", floats(6)}}, {{"code/__torch__.py", code}})) == "w buf inner.weight ");
  // Without the code, every tensor that is an attribute is listed.
  CHECK(pt_names(pytorch_file(object, {{"0", floats(6)}})) == "w cache buf inner.weight list.0 ");
}

TEST_CASE("big-endian elements are swapped when they are copied") {
  std::string swapped;
  for (std::size_t i = 0; i < 6; ++i) {
    const std::string each = floats(1, static_cast<float>(i));
    swapped.append(each.rbegin(), each.rend());
  }
  const std::string zip = pytorch_file(
      pt::dict({pt::text("w"), pt::tensor("0", 6, 0, {6}, {1}), pt::text("t"), pt::tensor("0", 6, 0, {3, 2}, {1, 3})}),
      {{"0", swapped}}, {{"byteorder", "big"}});
  const std::string legacy = legacy_pytorch_file(
      pt::dict({pt::text("w"), pt::tensor("0", 6, 0, {6}, {1}), pt::text("t"), pt::tensor("0", 6, 0, {3, 2}, {1, 3})}),
      {{"0", 6, swapped}}, false);
  for (const std::string& file : {zip, legacy}) {
    const auto model = stet::open_pytorch(pt_bytes(file));
    REQUIRE(model);
    CHECK(pt_values(*model, "w") == pt_floats);
    CHECK(pt_values(*model, "t") == pt_turned);
    CHECK(model->store.find("w")->entry().is_big_endian());
  }
  CHECK(pt_names(pytorch_file("N", {}, {{"byteorder", "middle"}})) == "malformed byteorder");
}

TEST_CASE("deflated members are decompressed") {
  made_archive archive;
  const std::string object = pt::pickle(pt::dict({pt::text("w"), pt::tensor("0", 6, 0, {2, 3}, {3, 1})}));
  archive.members = {deflated_member("m/data.pkl", object), deflated_member("m/data/0", floats(6))};
  const std::string file = archive.bytes();
  CHECK(pt_names(file) == "compressed m/data.pkl");
  stet::open_options options;
  options.inflate = inflate_stored;
  const auto model = stet::open_pytorch(pt_bytes(file), options);
  REQUIRE(model);
  CHECK(pt_values(*model, "w") == pt_floats);
  CHECK_FALSE(model->is_in_file(*model->store.find("w")));
}

TEST_CASE("files of before 1.6") {
  const std::string file = example_legacy_pytorch_file();
  const auto model = stet::open_pytorch(pt_bytes(file));
  REQUIRE(model);
  CHECK(pt_values(*model, "w") == pt_floats);
  CHECK(model->store.find("w")->bytes().data() == pt_bytes(file).data() + file.size() - 24);
  // A storage may be a view of another: (key, offset, count).
  const std::string view = pt::call(
      pt::global("torch._utils", "_rebuild_tensor"),
      pt::tuple({pt::tuple({pt::text("storage"), pt::global("torch", "FloatStorage"), pt::text("7"), pt::text("cpu"),
                            pt::integer(6), pt::tuple({pt::text("8"), pt::integer(2), pt::integer(3)})}) +
                     "Q",
                 pt::integer(1), pt::integers({2}), pt::integers({1})}));
  const std::string viewed = legacy_pytorch_file(pt::dict({pt::text("v"), view}), {{"7", 6, floats(6)}});
  const auto second = stet::open_pytorch(pt_bytes(viewed));
  REQUIRE(second);
  CHECK(pt_values(*second, "v") == std::vector<float>{3, 4});

  const std::string w = pt::dict({pt::text("w"), pt::tensor("7", 6, 0, {6}, {1})});
  CHECK(pt_names(legacy_pytorch_file(w, {{"7", 5, floats(5)}})) == "bad_size 7");
  CHECK(pt_names(legacy_pytorch_file(w, {{"7", ~std::uint64_t{0}, floats(6)}})) == "bad_size 7");
  CHECK(pt_names(legacy_pytorch_file(w, {{"7", 6, floats(5)}})) == "truncated 7");
  CHECK(pt_names(legacy_pytorch_file(w, {{"8", 6, floats(6)}})) == "malformed a storage without a class");
  CHECK(pt_names(pt::pickle(w)) == "unknown_format a pickle that torch.save did not write");
}

TEST_CASE("a tar archive of before 0.1.10") {
  const std::string file = example_tar_pytorch_file();
  const auto model = stet::open_pytorch(pt_bytes(file));
  REQUIRE(model);
  CHECK(pt_values(*model, "w") == pt_floats);
  CHECK(pt_values(*model, "t") == pt_turned);
  CHECK(model->store.find("w")->bytes().data() == pt_bytes(file).data() + file.find(floats(6)));
}

TEST_CASE("a tar archive whose pickle has the ids of storages") {
  const std::string id = pt::tuple(
      {pt::text("storage"), pt::global("torch", "FloatStorage"), pt::text("0"), pt::text("cpu"), pt::integer(6)});
  const std::string tensor = pt::call(
      pt::global("torch._utils", "_rebuild_tensor_v2"),
      pt::tuple({id, pt::integer(0), pt::integers({2, 3}), pt::integers({3, 1}), "\x89", pt::ordered_dict({})}));
  const std::string storages =
      pt::pickle(pt::integer(1)) +
      pt::pickle(pt::tuple({pt::text("0"), pt::text("cpu"), pt::global("torch", "FloatStorage")})) + little(6, 8) +
      floats(6);
  const std::string file = tar_of({{"sys_info", pt::pickle(pt::dict({pt::text("little_endian"), "\x88"}))},
                                   {"pickle", pt::pickle(pt::dict({pt::text("w"), tensor}))},
                                   {"storages", storages}});
  const auto model = stet::open_pytorch(pt_bytes(file));
  REQUIRE(model);
  CHECK(pt_values(*model, "w") == pt_floats);
  // Elsewhere an id that is not persistent is no storage.
  CHECK(pt_names(pytorch_file(pt::dict({pt::text("w"), tensor}), {{"0", floats(6)}})) ==
        "malformed a tensor without a storage");
}

TEST_CASE("a pickle that names what runs code is refused") {
  const std::string w = pt::tensor("0", 6, 0, {6}, {1});
  struct one {
    std::string_view module, name;
  };
  for (const one& each :
       {one{"os", "system"}, one{"posix", "system"}, one{"nt", "system"}, one{"subprocess", "Popen"},
        one{"builtins", "eval"}, one{"__builtin__", "exec"}, one{"builtins", "__import__"}, one{"runpy", "_run_code"},
        one{"importlib", "import_module"}, one{"_pickle", "loads"}, one{"torch", "load"}, one{"os.path", "join"},
        one{"socket", "create_connection"}, one{"pty", "spawn"}, one{"sys", "exit"}}) {
    CAPTURE(each.name);
    const std::string called = pt::call(pt::global(each.module, each.name), pt::tuple({pt::text("echo")}));
    CHECK(pt_names(pytorch_file(pt::dict({pt::text("x"), called, pt::text("w"), w}), {{"0", floats(6)}}))
              .starts_with("malformed "));
    CHECK(pt_names(pytorch_file(called, {})).starts_with("malformed "));
    CHECK(pt_names(legacy_pytorch_file(called, {})).starts_with("malformed "));
    CHECK(pt_names(pytorch_file(pt::call(pt::global("m", "f"), pt::tuple({called})), {})).starts_with("malformed "));
  }
  // A name that only begins alike is any other name.
  CHECK(
      pt_names(pytorch_file(pt::dict({pt::text("x"), pt::call(pt::global("osmium", "system"), ")"), pt::text("w"), w}),
                            {{"0", floats(6)}})) == "w ");
}

TEST_CASE("nesting and sharing beyond those of models") {
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "](";
  deep += pt::tensor("0", 6, 0, {6}, {1});
  for (int i = 0; i < 100000; ++i) deep += "e";
  CHECK(pt_names(pytorch_file(deep, {{"0", floats(6)}})) == "too_deep pickle");
  std::string bomb = pt::tensor("0", 6, 0, {6}, {1}) + "q\0"s;
  for (int i = 0; i < 60; ++i)
    bomb += "](h"s + static_cast<char>(i) + "h"s + static_cast<char>(i) + "eq"s + static_cast<char>(i + 1);
  CHECK(pt_names(pytorch_file(bomb, {{"0", floats(6)}})) == "too_large the names of tensors");
  // Without tensors in it, it costs nothing.
  std::string harmless = "]q\0"s;
  for (int i = 0; i < 60; ++i)
    harmless += "](h"s + static_cast<char>(i) + "h"s + static_cast<char>(i) + "eq"s + static_cast<char>(i + 1);
  CHECK(pt_names(pytorch_file(pt::dict({pt::text("x"), harmless, pt::text("w"), pt::tensor("0", 6, 0, {6}, {1})}),
                              {{"0", floats(6)}})) == "w ");
  // A list within itself.
  CHECK(pt_names(pytorch_file("]q\0h\0a"s + pt::tensor("0", 6, 0, {6}, {1}) + "a", {{"0", floats(6)}})) == "1 ");
}

TEST_CASE("every part of a file is an error") {
  for (const std::string& whole : {example_pytorch_file(), example_legacy_pytorch_file(),
                                   exported_pytorch_file(std::string(exported_meta), floats(6))}) {
    for (std::size_t size = 0; size < whole.size(); size += step_if_thinned(7)) {
      CAPTURE(size);
      const exact_text block(std::string_view(whole).substr(0, size));
      CHECK_FALSE(stet::open_pytorch(block.bytes()));
    }
  }
  const std::string tar = example_tar_pytorch_file();
  for (std::size_t size = 0; size < tar.size() - 1024; size += step_if_thinned(7)) {
    const exact_text block(std::string_view(tar).substr(0, size));
    const auto opened = stet::open_pytorch(block.bytes());
    CHECK((!opened || opened->store.tensor_count() == 2)); // the padding of the last file may be cut off
  }
}

TEST_CASE("a flipped bit is an error or another model, never a read outside") {
  for (const std::string& file : {example_pytorch_file(), example_legacy_pytorch_file(), example_tar_pytorch_file()}) {
    open_with_flipped_bits(file, step_if_thinned(11), [](auto bytes) { return stet::open_pytorch(bytes); });
  }
}

TEST_SUITE_END();
