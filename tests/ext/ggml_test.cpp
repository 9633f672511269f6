// SPDX-License-Identifier: MIT
// Tensors as tensors of ggml, with the real library. The suite has none; tests/interop/runtimes.py builds this with it.
#include <doctest/doctest.h>

#if defined(STET_HAS_GGML)

#include <ggml-alloc.h>
#include <ggml-backend.h>
#include <ggml-cpu.h>
#include <ggml.h>

#include <stet/ext/ggml.hpp>
#include <stet/formats/gguf.hpp>
#include <stet/formats/gguf/dequantize.hpp>
#include <stet/formats/gguf/ggml_type.hpp>
#include <stet/formats/gguf/quantize.hpp>
#include <stet/formats/numpy.hpp>
#include <stet/store/permute.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include "support/digits_case.hpp"
#include "support/gguf_files.hpp"
#include "support/native_bytes.hpp"
#include "support/npy_files.hpp"
#include "support/outcome.hpp"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using stet_test::outcome;

struct ggml_deleter {
  void operator()(ggml_context* of) const { ggml_free(of); }
  void operator()(ggml_backend_buffer* of) const { ggml_backend_buffer_free(of); }
  void operator()(ggml_backend* of) const { ggml_backend_free(of); }
};
using ggml_context_owner = std::unique_ptr<ggml_context, ggml_deleter>;
using ggml_buffer_owner = std::unique_ptr<ggml_backend_buffer, ggml_deleter>;
using ggml_backend_owner = std::unique_ptr<ggml_backend, ggml_deleter>;

ggml_context_owner ggml_room_for(std::size_t tensors, bool no_alloc = true) {
  return ggml_context_owner(ggml_init({tensors * ggml_tensor_overhead() + ggml_graph_overhead(), nullptr, no_alloc}));
}
ggml_buffer_owner ggml_buffer_over(const stet::store& store) {
  const auto made = stet::make_ggml_buffer(store.data());
  REQUIRE(outcome(made) == "ok");
  return ggml_buffer_owner(*made);
}
/// The tensor of ggml that `made` holds.
ggml_tensor* found(const stet::result<ggml_tensor*>& made) {
  REQUIRE(outcome(made) == "ok");
  return *made;
}

/// Computes `wanted`, of float32, whose inputs are in `context`: `input`, unless it is nullptr, is given `numbers`.
std::vector<float> ggml_numbers(ggml_context* context, ggml_tensor* wanted, ggml_tensor* input = nullptr,
                                std::span<const float> numbers = {}) {
  const ggml_backend_owner backend(ggml_backend_cpu_init());
  ggml_cgraph* const graph = ggml_new_graph(context);
  ggml_build_forward_expand(graph, wanted);
  const ggml_buffer_owner computed(ggml_backend_alloc_ctx_tensors(context, backend.get()));
  if (input != nullptr) ggml_backend_tensor_set(input, numbers.data(), 0, numbers.size_bytes());
  CHECK(ggml_backend_graph_compute(backend.get(), graph) == GGML_STATUS_SUCCESS);
  std::vector<float> made(static_cast<std::size_t>(ggml_nelements(wanted)));
  ggml_backend_tensor_get(wanted, made.data(), 0, made.size() * sizeof(float));
  return made;
}

} // namespace

TEST_SUITE("ext/ggml") {
  TEST_CASE("the digits network served by ggml from the mapped file answers as its own code does") {
    const stet_test::digits_case task;
    // As PyTorch and GGUF have kernels: [out, in].
    const stet_test::temp_folder folder;
    {
      const auto trained = stet::open(task.path());
      REQUIRE(outcome(trained) == "ok");
      std::deque<std::vector<float>> turned;
      stet::writer out;
      for (const stet::tensor each : *trained) {
        if (each.shape().rank() == 2) {
          auto& copy = turned.emplace_back(static_cast<std::size_t>(each.element_count()));
          REQUIRE(each.copy_to(std::span<float>(copy), stet::permute({1, 0})));
          out.add(each.name(), copy, {each.shape()[1], each.shape()[0]});
        } else {
          out.add(each.name(), each);
        }
      }
      REQUIRE(out.save(folder.path("turned.stet")));
    }

    const auto store = stet::open(folder.path("turned.stet"));
    REQUIRE(outcome(store) == "ok");
    const ggml_buffer_owner buffer = ggml_buffer_over(*store);
    CHECK(ggml_backend_buffer_get_usage(buffer.get()) == GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    const ggml_context_owner weights = ggml_room_for(4), net = ggml_room_for(16);
    const auto weight = [&](const char* name) {
      ggml_tensor* const made = found(stet::make_ggml_tensor(weights.get(), buffer.get(), *store, name));
      CHECK(made->data == store->find(name)->bytes().data()); // nothing is copied
      CHECK(ggml_get_name(made) == std::string_view(name));
      return made;
    };
    ggml_tensor* const kernel = weight("dense/kernel");
    CHECK(kernel->ne[0] == digits::pixel_count);
    CHECK(kernel->ne[1] == digits::hidden_count);
    CHECK(ggml_n_dims(kernel) == 2);
    ggml_tensor* const images = ggml_new_tensor_2d(net.get(), GGML_TYPE_F32, digits::pixel_count, task.image_count);
    ggml_tensor* const hidden =
        ggml_relu(net.get(), ggml_add(net.get(), ggml_mul_mat(net.get(), kernel, images), weight("dense/bias")));
    ggml_tensor* const scores =
        ggml_add(net.get(), ggml_mul_mat(net.get(), weight("dense_1/kernel"), hidden), weight("dense_1/bias"));
    task.check(ggml_numbers(net.get(), ggml_soft_max(net.get(), scores), images, task.images));
  }

  TEST_CASE("quantized blocks are used where they are") {
    constexpr std::size_t rows = 3, columns = 64;
    std::vector<float> numbers(rows * columns), input(columns);
    digits::splitmix64 random{5};
    for (float& each : numbers) each = random.symmetric();
    for (float& each : input) each = random.symmetric();
    for (const std::uint32_t code : {8u, 2u}) { // q8_0, q4_0
      const stet::block_type block = stet::find_ggml_type(code)->block();
      CAPTURE(std::string(block.name));
      std::vector<std::byte> blocks(rows * columns / block.element_count * block.size_bytes);
      REQUIRE(stet::quantize_blocks(block, numbers, blocks));
      stet_test::gguf_file file;
      file.tensor("w", {columns, rows}, code, {reinterpret_cast<const char*>(blocks.data()), blocks.size()});
      const stet_test::temp_folder folder;
      folder.write("w.gguf", file.bytes());
      const auto store = stet::open_gguf(folder.path("w.gguf"));
      REQUIRE(outcome(store) == "ok");
      const ggml_buffer_owner buffer = ggml_buffer_over(*store);
      const ggml_context_owner weights = ggml_room_for(1), net = ggml_room_for(4);
      ggml_tensor* const made = found(stet::make_ggml_tensor(weights.get(), buffer.get(), *store, "w"));
      CHECK(made->data == store->find("w")->bytes().data());
      CHECK(static_cast<std::uint32_t>(made->type) == code);
      CHECK(made->ne[0] == columns);
      CHECK(made->ne[1] == rows);
      std::vector<float> exact(rows * columns);
      REQUIRE(store->find("w")->copy_to(std::span<float>(exact), stet::dequantize));

      ggml_tensor* const column = ggml_new_tensor_1d(net.get(), GGML_TYPE_F32, columns);
      const auto products = ggml_numbers(net.get(), ggml_mul_mat(net.get(), made, column), column, input);
      REQUIRE(products.size() == rows);
      for (std::size_t row = 0; row < rows; ++row) {
        float expected = 0;
        for (std::size_t i = 0; i < columns; ++i) expected += exact[row * columns + i] * input[i];
        CHECK(std::abs(products[row] - expected) < 0.05f); // ggml makes q8_0 of the input
      }
    }
  }

  TEST_CASE("every type of GGUF files is ggml's of that code, and no other dtype is one") {
    for (const stet::ggml_type& each : stet::ggml_types) {
      const stet::element_layout layout =
          each.is_plain() ? stet::element_layout::of(each.dtype) : stet::element_layout{each.dtype, 0, each.block()};
      CAPTURE(std::string(each.name));
      CHECK(static_cast<std::uint32_t>(stet::ggml_type_of(layout)) == each.code);
    }
    for (const auto& described : stet::dtype_table) {
      CAPTURE(described.name);
      const stet::element_layout layout = stet::element_layout::of(described.dtype);
      CHECK((stet::ggml_type_of(layout) != GGML_TYPE_COUNT) == (stet::find_ggml_type(described.dtype) != nullptr));
    }
    for (const stet::block_type& each : {stet::block_type{"q8_0", 32, 36}, stet::block_type{"q8_0", 64, 34},
                                         stet::block_type{"q8_00", 32, 34}, stet::block_type{"q8_", 32, 34}})
      CHECK((stet::ggml_type_of({stet::dtype::block, 0, each}) == GGML_TYPE_COUNT));
  }

  TEST_CASE("scalars, four dimensions, halves, and long names") {
    const std::vector<stet::float16> halves = {stet::float16(1.5f), stet::float16(-2.0f), stet::float16(0.5f),
                                               stet::float16(3.0f)};
    const float scalar[] = {7};
    const std::string name(100, 'n');
    stet::writer out;
    out.add("scalar", scalar, {}).add(name, halves, {1, 2, 1, 2});
    const stet_test::temp_folder folder;
    REQUIRE(out.save(folder.path("a.stet")));
    const auto store = stet::open(folder.path("a.stet"));
    REQUIRE(outcome(store) == "ok");
    const ggml_buffer_owner buffer = ggml_buffer_over(*store);
    const ggml_context_owner weights = ggml_room_for(2), net = ggml_room_for(4);
    ggml_tensor* const one = found(stet::make_ggml_tensor(weights.get(), buffer.get(), *store, "scalar"));
    CHECK(ggml_is_scalar(one));
    CHECK(*static_cast<const float*>(one->data) == 7);
    ggml_tensor* const four = found(stet::make_ggml_tensor(weights.get(), buffer.get(), *store, name));
    CHECK(ggml_get_name(four) == std::string(GGML_MAX_NAME - 1, 'n'));
    CHECK(std::vector<std::int64_t>(four->ne, four->ne + 4) == std::vector<std::int64_t>{2, 1, 2, 1});
    CHECK(ggml_numbers(net.get(), ggml_cast(net.get(), four, GGML_TYPE_F32)) == std::vector<float>{1.5f, -2, 0.5f, 3});
  }

  TEST_CASE("bytes that begin nowhere special have a buffer, and each tensor's own place is what counts") {
    const float numbers[] = {1, 2, 3, 4};
    stet::writer out;
    out.add("a", numbers, {4});
    const auto saved = out.save_to_memory();
    REQUIRE(outcome(saved) == "ok");
    std::vector<std::byte> memory(saved->size() + 128);
    const std::size_t before = 64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64;
    const auto at = [&](std::size_t shift) {
      std::memcpy(memory.data() + before + shift, saved->data(), saved->size());
      auto store = stet::open(std::span<const std::byte>(memory).subspan(before + shift, saved->size()));
      REQUIRE(outcome(store) == "ok");
      const ggml_buffer_owner buffer = ggml_buffer_over(*store); // ggml would end the program
      const ggml_context_owner weights = ggml_room_for(1);
      return outcome(stet::make_ggml_tensor(weights.get(), buffer.get(), *store, "a"));
    };
    CHECK(at(0) == "ok");
    CHECK(at(32) == "ok");
    CHECK(at(16) == "misaligned");
    CHECK(at(1) == "misaligned");

    // A source of fewer bytes than lead to an aligned address.
    const auto odd = stet::source::borrow(std::span<const std::byte>(memory).subspan(before + 1, 31));
    CHECK(outcome(stet::make_ggml_buffer(odd)) == "buffer_too_small");

    // GGUF whose tensors are less aligned than ggml's.
    stet_test::gguf_file file;
    const std::string_view floats(reinterpret_cast<const char*>(numbers), 8);
    file.alignment(8).tensor("first", {2}, 0, floats).tensor("second", {2}, 0, floats);
    const stet_test::temp_folder folder;
    folder.write("a.gguf", file.bytes());
    const auto store = stet::open_gguf(folder.path("a.gguf"));
    REQUIRE(outcome(store) == "ok");
    const ggml_buffer_owner buffer = ggml_buffer_over(*store);
    const ggml_context_owner weights = ggml_room_for(2);
    std::size_t misaligned = 0;
    for (const stet::tensor each : *store)
      misaligned += outcome(stet::make_ggml_tensor(weights.get(), buffer.get(), each)) == "misaligned";
    CHECK(misaligned >= 1); // they are 8 bytes apart
  }

  TEST_CASE("what ggml has no type or no place for is an error, where ggml would end the program") {
    const std::vector<float> deep(1), nothing;
    const std::vector<std::uint8_t> codes(3);
    const float numbers[] = {1, 2, 3, 4};
    std::vector<std::byte> block(34);
    const stet::element_layout q8_0{stet::dtype::block, 0, stet::find_ggml_type(8)->block()};
    stet::writer out;
    out.add("deep", deep, {1, 1, 1, 1, 1}).add("codes", codes, {3}).add("a", numbers, {4}).add("b", numbers, {4});
    out.add("nothing", nothing, {0, std::uint64_t{1} << 60}).add_bytes("rows", q8_0, {2, 16}, block);
    const stet_test::temp_folder folder;
    REQUIRE(out.save(folder.path("a.stet")));
    const auto store = stet::open(folder.path("a.stet"));
    REQUIRE(outcome(store) == "ok");
    const ggml_buffer_owner buffer = ggml_buffer_over(*store);
    const ggml_context_owner weights(ggml_init({ggml_tensor_overhead(), nullptr, true}));
    const auto made = [&](const char* name) {
      return outcome(stet::make_ggml_tensor(weights.get(), buffer.get(), *store, name));
    };
    for (const char* const name : {"deep", "codes", "nothing", "rows"}) CHECK(made(name) == "unsupported");
    CHECK(made("nobody") == "not_found");
    CHECK(made("a") == "ok");
    CHECK(made("b") == "out_of_memory");

    const ggml_context_owner allocates = ggml_room_for(4, false);
    CHECK(outcome(stet::make_ggml_tensor(allocates.get(), buffer.get(), *store, "b")) == "invalid_argument");
    const ggml_context_owner more = ggml_room_for(4);
    const ggml_backend_owner backend(ggml_backend_cpu_init());
    const ggml_buffer_owner other(ggml_backend_alloc_buffer(backend.get(), 64));
    CHECK(outcome(stet::make_ggml_tensor(more.get(), other.get(), *store, "b")) == "invalid_argument");

    const auto streamed = stet::open(folder.path("a.stet"), {.backing = stet::backing::stream});
    REQUIRE(outcome(streamed) == "ok");
    CHECK(outcome(stet::make_ggml_buffer(streamed->data())) == "not_resident");
    CHECK(outcome(stet::make_ggml_tensor(more.get(), buffer.get(), *streamed, "a")) == "not_resident");
  }

  TEST_CASE("numbers and blocks in the other byte order are refused") {
    const stet_test::temp_folder folder;
    folder.write("big.npy", stet_test::numpy_array("'>f4'", "(2,)", std::string_view("\x3f\x80\0\0\x40\0\0\0", 8)));
    const auto numbers = stet::open_npy(folder.path("big.npy"));
    REQUIRE(outcome(numbers) == "ok");
    const ggml_buffer_owner buffer = ggml_buffer_over(*numbers);
    const ggml_context_owner weights = ggml_room_for(2);
    for (const stet::tensor each : *numbers)
      CHECK(outcome(stet::make_ggml_tensor(weights.get(), buffer.get(), each)) == "wrong_byte_order");

    stet_test::gguf_file file(3, true);
    file.tensor("q", {32}, 8, std::string(34, '\1')).tensor("brains", {2}, 30, std::string(4, '\1'));
    folder.write("big.gguf", file.bytes());
    const auto blocks = stet::open_gguf(folder.path("big.gguf"));
    REQUIRE(outcome(blocks) == "ok");
    const ggml_buffer_owner over_blocks = ggml_buffer_over(*blocks);
    for (const char* const name : {"q", "brains"})
      CHECK(outcome(stet::make_ggml_tensor(weights.get(), over_blocks.get(), *blocks, name)) == "wrong_byte_order");
  }
}

#else

TEST_SUITE("ext/ggml") {
  TEST_CASE("tensors are tensors of ggml") { MESSAGE("skipped: built by interop.runtime_ggml alone"); }
}

#endif
