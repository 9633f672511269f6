// SPDX-License-Identifier: MIT
// Tensors as tensors of LibTorch, with the real library. The suite has none; tests/interop/runtimes.py builds this with it.
#if defined(STET_HAS_TORCH)
#include <torch/torch.h>
// doctest has macros of these names, too.
#undef CHECK
#undef CHECK_EQ
#undef CHECK_NE
#undef CHECK_LT
#undef CHECK_LE
#undef CHECK_GT
#undef CHECK_GE
#endif

#include <doctest/doctest.h>

#if defined(STET_HAS_TORCH)

#include <stet/ext/torch.hpp>
#include <stet/formats/numpy.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include "support/digits_case.hpp"
#include "support/native_bytes.hpp"
#include "support/npy_files.hpp"
#include "support/outcome.hpp"
#include "support/shared_store.hpp"
#include "support/temp_folder.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using stet_test::outcome;
using stet_test::shared;

/// The probabilities that the digits network gives the images, whose weights are `weights(name)`.
template <class Weights> torch::Tensor torch_answers(const torch::Tensor& images, Weights weights) {
  const torch::Tensor hidden = torch::relu(torch::matmul(images, weights("dense/kernel")).add(weights("dense/bias")));
  return torch::softmax(torch::matmul(hidden, weights("dense_1/kernel")).add(weights("dense_1/bias")), 1).contiguous();
}

std::vector<double> torch_numbers(const torch::Tensor& of) {
  const torch::Tensor doubles = of.to(torch::kDouble).contiguous();
  return {doubles.data_ptr<double>(), doubles.data_ptr<double>() + doubles.numel()};
}

} // namespace

TEST_SUITE("ext/torch") {
  TEST_CASE("the digits network served by LibTorch from the mapped file answers as its own code does") {
    stet_test::digits_case task;
    const auto store = shared(stet::open(task.path()));
    for (const stet::tensor each : *store) {
      const auto made = stet::torch_tensor(store, each);
      REQUIRE(outcome(made) == "ok");
      CHECK(made->data_ptr() == each.bytes().data()); // nothing is copied
      CHECK(made->is_contiguous());
      CHECK(!made->requires_grad());
    }
    const torch::NoGradGuard inference;
    const torch::Tensor images =
        torch::from_blob(task.images.data(), {std::int64_t{task.image_count}, std::int64_t{digits::pixel_count}});
    const torch::Tensor answers = torch_answers(images, [&](const char* name) {
      const auto made = stet::torch_tensor(store, name);
      REQUIRE(outcome(made) == "ok");
      return *made;
    });
    task.check({answers.data_ptr<float>(), static_cast<std::size_t>(answers.numel())});
  }

  TEST_CASE("tensors keep what owns their bytes until the last view is gone") {
    const float numbers[] = {1, 2, 3, 4, 5, 6};
    stet::writer out;
    out.add("a", numbers, {2, 3});
    const stet_test::temp_folder folder;
    REQUIRE(out.save(folder.path("a.stet")));
    {
      auto store = shared(stet::open(folder.path("a.stet")));
      const std::weak_ptr<const stet::store> alive = store;
      auto made = stet::torch_tensor(store, "a");
      REQUIRE(outcome(made) == "ok");
      CHECK((made->sizes() == at::IntArrayRef({2, 3})));
      CHECK((made->strides() == at::IntArrayRef({3, 1})));
      store.reset();
      torch::Tensor column = made->transpose(0, 1)[2];
      *made = torch::Tensor();
      CHECK(!alive.expired());
      CHECK(torch_numbers(column) == std::vector<double>{3, 6});
      column = torch::Tensor();
      CHECK(alive.expired());
    }
    // A tensor that was loaded for itself is kept with its store.
    auto owner = stet_test::shared_tensor(stet::open(folder.path("a.stet"), {.backing = stet::backing::stream}), "a");
    const std::weak_ptr<const stet_test::store_and_tensor> alive = owner;
    CHECK(outcome(stet::torch_tensor(owner, *owner->store.find("a"))) == "not_resident");
    auto made = stet::torch_tensor(owner, *owner->tensor);
    REQUIRE(outcome(made) == "ok");
    owner.reset();
    CHECK(torch_numbers(*made) == std::vector<double>{1, 2, 3, 4, 5, 6});
    *made = torch::Tensor();
    CHECK(alive.expired());
  }

  TEST_CASE("what LibTorch writes into a copy-on-write store, the store has, and the file has not") {
    const float numbers[] = {1, 2, 3};
    stet::writer out;
    out.add("a", numbers, {3});
    const stet_test::temp_folder folder;
    REQUIRE(out.save(folder.path("a.stet")));
    const auto store = shared(stet::open(folder.path("a.stet"), {.access = stet::access::copy_on_write}));
    const auto made = stet::torch_tensor(store, "a");
    REQUIRE(outcome(made) == "ok");
    torch::Tensor weights = *made;
    weights.requires_grad_(true);
    torch::optim::SGD optimizer({weights}, 0.5);
    weights.sum().backward();
    optimizer.step();
    const auto stepped = store->get<float>("a");
    REQUIRE(stepped);
    CHECK(std::vector<float>(stepped->begin(), stepped->end()) == std::vector<float>{0.5f, 1.5f, 2.5f});
    const auto again = shared(stet::open(folder.path("a.stet")));
    CHECK((*again->get<float>("a"))[0] == 1.0f);
  }

  TEST_CASE("every dtype is LibTorch's of the same bytes, or none") {
    std::string without;
    for (const auto& described : stet::dtype_table) {
      const at::ScalarType type = stet::torch_type(described.dtype);
      CAPTURE(described.name);
      if (type == at::ScalarType::Undefined) {
        without.append(described.name).append(" ");
        continue;
      }
      CHECK(c10::elementSize(type) * 8 == described.bits);
      CHECK(c10::isComplexType(type) == (described.kind == stet::dtype_kind::complex));
      CHECK(c10::isFloatingType(type) == (described.kind == stet::dtype_kind::floating));
      CHECK((type == at::ScalarType::Bool) == (described.kind == stet::dtype_kind::boolean));
      if (c10::isIntegralType(type, false))
        CHECK(c10::isSignedType(type) == (described.kind == stet::dtype_kind::signed_integer));
    }
#if TORCH_VERSION_MAJOR < 2
    CHECK(without ==
          "uint16 uint32 uint64 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e4m3b11fnuz "
          "float8_e8m0fnu float6_e2m3fn float6_e3m2fn float4_e2m1fn int4 uint4 int2 uint2 quint16 string "
          "block ");
#endif
    // Both have 16 bits.
    CHECK((stet::torch_type(stet::dtype::float16) == torch::kHalf));
    CHECK((stet::torch_type(stet::dtype::bfloat16) == torch::kBFloat16));
  }

  TEST_CASE("the types that only later releases have are found by their names") {
    // The enumerators of a release that has them all.
    enum class later {
      Undefined,
      Bool,
      Char,
      Short,
      Int,
      Long,
      Byte,
      Half,
      BFloat16,
      Float,
      Double,
      ComplexFloat,
      ComplexDouble,
      UInt16,
      UInt32,
      UInt64,
      Float8_e4m3fn,
      Float8_e5m2,
      Float8_e4m3fnuz,
      Float8_e5m2fnuz,
      Float8_e8m0fnu
    };
    using enum stet::dtype;
    CHECK((stet::torch_type<later>(uint16) == later::UInt16));
    CHECK((stet::torch_type<later>(quint16) == later::UInt16));
    CHECK((stet::torch_type<later>(uint32) == later::UInt32));
    CHECK((stet::torch_type<later>(uint64) == later::UInt64));
    CHECK((stet::torch_type<later>(float8_e4m3fn) == later::Float8_e4m3fn));
    CHECK((stet::torch_type<later>(float8_e5m2) == later::Float8_e5m2));
    CHECK((stet::torch_type<later>(float8_e4m3fnuz) == later::Float8_e4m3fnuz));
    CHECK((stet::torch_type<later>(float8_e5m2fnuz) == later::Float8_e5m2fnuz));
    CHECK((stet::torch_type<later>(float8_e8m0fnu) == later::Float8_e8m0fnu));
    CHECK((stet::torch_type<later>(int4) == later::Undefined));
  }

  TEST_CASE("elements of each kind are the numbers that they were") {
    const std::vector<stet::float16> halves = {stet::float16(1.5f), stet::float16(-2.0f)};
    const std::vector<stet::bfloat16> brains = {stet::bfloat16(1.5f), stet::bfloat16(-3.0f)};
    const std::vector<std::int64_t> longs = {-1, std::int64_t{1} << 40};
    const std::vector<stet::complex64> pairs = {{1, 2}, {3, -4}};
    const bool switches[] = {true, false};
    const float scalar[] = {7};
    const std::vector<float> nothing;
    stet::writer out;
    out.add("halves", halves, {2}).add("brains", brains, {2}).add("longs", longs, {2}).add("pairs", pairs, {2});
    out.add("switches", switches, {2}).add("scalar", scalar, {}).add("nothing", nothing, {0, 3});
    const auto file = out.save_to_memory();
    REQUIRE(outcome(file) == "ok");
    const auto store = shared(stet::open(*file));
    const auto tensor = [&](const char* name) {
      const auto made = stet::torch_tensor(store, name);
      REQUIRE(outcome(made) == "ok");
      CHECK(made->nbytes() == store->find(name)->size_bytes());
      return *made;
    };
    using doubles = std::vector<double>;
    CHECK(torch_numbers(tensor("halves")) == doubles{1.5, -2});
    CHECK(torch_numbers(tensor("brains")) == doubles{1.5, -3});
    CHECK(torch_numbers(tensor("longs")) == doubles{-1, 1099511627776});
    CHECK(torch_numbers(torch::view_as_real(tensor("pairs"))) == doubles{1, 2, 3, -4});
    CHECK(torch_numbers(tensor("switches")) == doubles{1, 0});
    CHECK(tensor("scalar").dim() == 0);
    CHECK(tensor("scalar").item<float>() == 7);
    CHECK((tensor("nothing").sizes() == at::IntArrayRef({0, 3})));
  }

  TEST_CASE("what LibTorch cannot use where it is has an error of its own") {
    const std::vector<double> doubles = {1, 2};
    const std::vector<stet::int4> nibbles(3);
    const std::vector<std::string> texts = {"a", "bc"};
    stet::writer out;
    out.add("doubles", doubles, {2}).add("nibbles", nibbles, {3}).add("texts", texts, {2});
    const auto file = out.save_to_memory();
    REQUIRE(outcome(file) == "ok");
    const auto store = shared(stet::open(*file));
    for (const char* const name : {"nibbles", "texts"})
      CHECK(outcome(stet::torch_tensor(store, name)) == "unsupported");
    CHECK(outcome(stet::torch_tensor(store, "nobody")) == "not_found");

    std::vector<std::byte> shifted(file->size() + 4);
    std::copy(file->begin(), file->end(), shifted.begin() + 4);
    const auto odd = shared(stet::open(std::span<const std::byte>(shifted).subspan(4)));
    CHECK(outcome(stet::torch_tensor(odd, "doubles")) == "misaligned");

    const stet_test::temp_folder folder;
    folder.write("big.npy", stet_test::numpy_array("'>f4'", "(2,)", std::string_view("\x3f\x80\0\0\x40\0\0\0", 8)));
    const auto big = shared(stet::open_npy(folder.path("big.npy")));
    for (const stet::tensor each : *big) CHECK(outcome(stet::torch_tensor(big, each)) == "wrong_byte_order");

    using stet::element_layout;
    const auto bytes = stet_test::bytes_of<unsigned char>({1, 2});
    const stet_test::native_file crafted(
        {stet_test::tensor_of("two", element_layout::of(stet::dtype::boolean), {2}, bytes)});
    const auto not_boolean = shared(stet::open(std::span<const std::byte>(crafted.bytes)));
    CHECK(outcome(stet::torch_tensor(not_boolean, "two")) == "bad_value");
  }
}

#else

TEST_SUITE("ext/torch") {
  TEST_CASE("tensors are tensors of LibTorch") { MESSAGE("skipped: built by interop.runtime_torch alone"); }
}

#endif
