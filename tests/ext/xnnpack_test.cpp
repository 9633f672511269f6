// SPDX-License-Identifier: MIT
// Tensors as static data of XNNPACK, with the real library; skipped where the build has not found it.
#include <doctest/doctest.h>

#if defined(STET_HAS_XNNPACK)

#include <xnnpack.h>

#include <stet/ext/xnnpack.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include "support/digits_case.hpp"
#include "support/native_bytes.hpp"
#include "support/outcome.hpp"

#include <cstddef>
#include <cstring>
#include <limits>
#include <vector>

namespace {

using stet_test::outcome;

/// A subgraph of XNNPACK, which is initialized while it lives.
struct xnnpack_graph {
  xnn_subgraph_t graph = nullptr;

  explicit xnnpack_graph(std::uint32_t external_count) {
    REQUIRE(xnn_initialize(nullptr) == xnn_status_success);
    REQUIRE(xnn_create_subgraph(external_count, 0, &graph) == xnn_status_success);
  }
  xnnpack_graph(const xnnpack_graph&) = delete;
  xnnpack_graph& operator=(const xnnpack_graph&) = delete;
  ~xnnpack_graph() {
    xnn_delete_subgraph(graph);
    xnn_deinitialize();
  }

  std::uint32_t define(std::vector<std::size_t> dims, std::uint32_t external, std::uint32_t flags) {
    std::uint32_t id = XNN_INVALID_VALUE_ID;
    CHECK(xnn_define_tensor_value(graph, xnn_datatype_fp32, dims.size(), dims.data(), nullptr, external, flags, &id) ==
          xnn_status_success);
    return id;
  }
};

/// The probabilities that the digits network gives each of `images`, whose weights `value(name)` defines.
template <class Value> std::vector<float> xnnpack_answers(std::vector<float>& images, Value value) {
  const std::size_t count = images.size() / digits::pixel_count;
  images.resize(images.size() + XNN_EXTRA_BYTES / sizeof(float));
  std::vector<float> answers(count * digits::class_count + XNN_EXTRA_BYTES / sizeof(float));
  xnnpack_graph net(2);
  const std::uint32_t input = net.define({count, digits::pixel_count}, 0, XNN_VALUE_FLAG_EXTERNAL_INPUT),
                      output = net.define({count, digits::class_count}, 1, XNN_VALUE_FLAG_EXTERNAL_OUTPUT),
                      hidden = net.define({count, digits::hidden_count}, XNN_INVALID_VALUE_ID, 0),
                      scores = net.define({count, digits::class_count}, XNN_INVALID_VALUE_ID, 0);
  const auto dense = [&](const char* kernel, const char* bias, std::uint32_t from, std::uint32_t to, float least) {
    const stet::result<std::uint32_t> weights = value(net.graph, kernel), added = value(net.graph, bias);
    REQUIRE(outcome(weights) == "ok");
    REQUIRE(outcome(added) == "ok");
    // Keras has a kernel as [in, out], XNNPACK as [out, in] unless it is told.
    CHECK(xnn_define_fully_connected(net.graph, least, std::numeric_limits<float>::infinity(), from, *weights, *added,
                                     to, XNN_FLAG_TRANSPOSE_WEIGHTS) == xnn_status_success);
  };
  dense("dense/kernel", "dense/bias", input, hidden, 0);
  dense("dense_1/kernel", "dense_1/bias", hidden, scores, -std::numeric_limits<float>::infinity());
  CHECK(xnn_define_softmax(net.graph, scores, output, 0) == xnn_status_success);
  xnn_runtime_t runtime = nullptr;
  REQUIRE(xnn_create_runtime(net.graph, &runtime) == xnn_status_success);
  const xnn_external_value ends[] = {{input, images.data()}, {output, answers.data()}};
  CHECK(xnn_setup_runtime(runtime, 2, ends) == xnn_status_success);
  CHECK(xnn_invoke_runtime(runtime) == xnn_status_success);
  CHECK(xnn_delete_runtime(runtime) == xnn_status_success);
  answers.resize(count * digits::class_count);
  return answers;
}

} // namespace

TEST_SUITE("ext/xnnpack") {
  TEST_CASE("the digits network served by XNNPACK from the mapped file answers as its own code does") {
    const stet_test::digits_case task;
    const auto store = stet::open(task.path());
    REQUIRE(store);
    for (const stet::tensor each : *store) {
      const auto data = stet::xnnpack_data(*store, each);
      REQUIRE(outcome(data) == "ok");
      CHECK(*data == each.bytes().data()); // nothing is copied
    }
    std::vector<float> input = task.images;
    task.check(xnnpack_answers(input, [&](xnn_subgraph_t graph, const char* name) {
      return stet::define_xnnpack_value(graph, *store, name);
    }));

    // Streamed, each tensor is loaded for itself, with what XNNPACK reads behind it.
    const auto streamed = stet::open(task.path(), {.backing = stet::backing::stream});
    REQUIRE(streamed);
    std::vector<stet::loaded_tensor> kept;
    kept.reserve(4);
    input = task.images;
    task.check(xnnpack_answers(input, [&](xnn_subgraph_t graph, const char* name) {
      CHECK(outcome(stet::define_xnnpack_value(graph, *streamed, name)) == "not_resident");
      auto loaded = streamed->load(name, nullptr, XNN_EXTRA_BYTES);
      REQUIRE(loaded);
      kept.push_back(std::move(*loaded));
      return stet::define_xnnpack_value(graph, kept.back());
    }));
  }

  TEST_CASE("a tensor at the very end of its bytes is an error, and works as a copy") {
    const float numbers[] = {1, 2, 3, 4};
    stet::writer out;
    out.add("a", numbers, {4}).add("z", numbers, {2, 2});
    const auto saved = out.save_to_memory();
    REQUIRE(saved);
    // The same file as a writer makes it that puts nothing behind the last tensor.
    std::vector<std::byte> file(saved->begin(), saved->end() - stet::tail_padding_bytes);
    stet::detail::store_little(file.data() + 16, std::uint64_t{file.size()});
    stet::detail::store_little(file.data() + 72, stet::detail::load_little<std::uint64_t>(file.data() + 72) - 128);
    stet::detail::store_little(file.data() + 124, stet::crc32c(std::span(file).first(124)));
    const auto store = stet::open(std::span<const std::byte>(file));
    REQUIRE(outcome(store) == "ok");
    xnnpack_graph net(0);
    CHECK(outcome(stet::define_xnnpack_value(net.graph, *store, "a")) == "ok");
    CHECK(outcome(stet::define_xnnpack_value(net.graph, *store, "z")) == "unpadded");
    CHECK(outcome(stet::xnnpack_data(*store, *store->find("z"))) == "unpadded");
    const auto plain = store->load("z"), copied = store->load("z", nullptr, XNN_EXTRA_BYTES);
    REQUIRE((plain && copied));
    CHECK(outcome(stet::define_xnnpack_value(net.graph, *plain)) == "unpadded");
    CHECK(outcome(stet::define_xnnpack_value(net.graph, *copied)) == "ok");
    const auto data = stet::xnnpack_data(*copied);
    REQUIRE(data);
    CHECK(*data != store->find("z")->bytes().data());
    CHECK(std::memcmp(*data, numbers, sizeof numbers) == 0);
  }

  TEST_CASE("what XNNPACK has no type or no place for is refused") {
    const std::vector<double> doubles(4);
    const std::vector<float> deep(1);
    const std::vector<stet::float16> halves(6);
    const std::vector<std::int8_t> codes(6);
    stet::writer out;
    out.add("doubles", doubles, {4}).add("deep", deep, {1, 1, 1, 1, 1, 1, 1}).add("halves", halves, {2, 3});
    out.add("codes", codes, {2, 3});
    const auto file = out.save_to_memory();
    REQUIRE(file);
    const auto store = stet::open(*file);
    REQUIRE(store);
    xnnpack_graph net(0);
    CHECK(outcome(stet::define_xnnpack_value(net.graph, *store, "doubles")) == "unsupported");
    CHECK(outcome(stet::define_xnnpack_value(net.graph, *store, "deep")) == "unsupported");
    CHECK(outcome(stet::define_xnnpack_value(net.graph, *store, "nobody")) == "not_found");
    CHECK(outcome(stet::define_xnnpack_value(net.graph, *store, "halves")) == "ok");
    // Codes want a scale, which the caller has.
    CHECK(outcome(stet::define_xnnpack_value(net.graph, *store, "codes")) == "unsupported");
    const auto data = stet::xnnpack_data(*store, *store->find("codes"));
    REQUIRE(data);
    const std::size_t dims[] = {2, 3};
    std::uint32_t id = XNN_INVALID_VALUE_ID;
    CHECK(xnn_define_quantized_tensor_value(net.graph, xnn_datatype_qint8, 0, 0.5f, 2, dims, *data,
                                            XNN_INVALID_VALUE_ID, 0, &id) == xnn_status_success);
  }

  TEST_CASE("bytes that no vector may be loaded from are misaligned") {
    const float numbers[] = {1, 2, 3, 4};
    stet::writer out;
    out.add("a", numbers, {4});
    const auto saved = out.save_to_memory();
    REQUIRE(saved);
    std::vector<std::byte> shifted(saved->size() + 1);
    std::memcpy(shifted.data() + 1, saved->data(), saved->size());
    const auto store = stet::open(std::span<const std::byte>(shifted).subspan(1));
    REQUIRE(outcome(store) == "ok");
    CHECK(outcome(stet::xnnpack_data(*store, *store->find("a"))) == "misaligned");
  }
}

#else

TEST_SUITE("ext/xnnpack") {
  TEST_CASE("tensors are static data of XNNPACK") { MESSAGE("skipped: the build has found no XNNPACK"); }
}

#endif
