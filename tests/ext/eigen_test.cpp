// SPDX-License-Identifier: MIT
// Views of tensors as Eigen's matrices and tensors, with the real library; skipped where the build has not found it.
#include <doctest/doctest.h>

#if defined(STET_HAS_EIGEN)

#include <Eigen/Core>
#include <unsupported/Eigen/CXX11/Tensor>

#include <stet/ext/eigen.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include "../../examples/digits/network.hpp"
#include "support/outcome.hpp"

#include <cmath>
#include <cstddef>
#include <type_traits>
#include <vector>

namespace {

using stet_test::outcome;

/// A store of a digits network whose numbers are random.
struct eigen_model {
  digits::parameters numbers;
  std::vector<std::byte> file;

  eigen_model() {
    digits::splitmix64 random{11};
    numbers = digits::glorot_uniform(random);
    for (float& each : numbers.hidden_bias) each = random.symmetric();
    for (float& each : numbers.answer_bias) each = random.symmetric();
    stet::writer out;
    for (const auto& each : digits::tensors(numbers)) out.add(each.name, each.values, stet::extents(each.shape()));
    auto saved = out.save_to_memory();
    REQUIRE(saved);
    file = std::move(*saved);
  }
};

} // namespace

TEST_SUITE("ext/eigen") {
  TEST_CASE("the digits network computed by Eigen on the stored bytes answers as its own code does") {
    const eigen_model model;
    const stet::result<stet::store> store = stet::open(model.file);
    REQUIRE(store);
    const auto kernel = store->view<float, digits::pixel_count, digits::hidden_count>("dense/kernel");
    REQUIRE(outcome(kernel) == "ok");
    const auto hidden = stet::to_eigen(*kernel);
    static_assert(decltype(hidden)::RowsAtCompileTime == 784 && decltype(hidden)::ColsAtCompileTime == 10);
    static_assert(std::is_const_v<std::remove_pointer_t<decltype(hidden.data())>>);
    CHECK(hidden.data() == kernel->data());
    const auto hidden_bias = stet::to_eigen<float, digits::hidden_count>(*store->find("dense/bias"));
    const auto answer = stet::to_eigen<float, stet::dynamic, stet::dynamic>(*store->find("dense_1/kernel"));
    const auto answer_bias = stet::to_eigen<float, stet::dynamic>(*store->find("dense_1/bias"));
    REQUIRE((hidden_bias && answer && answer_bias));
    CHECK(answer->rows() == 10);
    CHECK(answer->cols() == 10);

    digits::splitmix64 random{5};
    for (int i = 0; i < 200; ++i) {
      digits::image pixels;
      for (float& each : pixels) each = random.below(4) == 0 ? std::abs(random.symmetric()) : 0.0f;
      const digits::activations expected = digits::forward(model.numbers.view(), pixels);
      const Eigen::Map<const Eigen::VectorXf> input(pixels.data(), static_cast<Eigen::Index>(pixels.size()));
      const Eigen::VectorXf middle = (hidden.transpose() * input + *hidden_bias).cwiseMax(0.0f);
      Eigen::ArrayXf scores = (answer->transpose() * middle + *answer_bias).array();
      scores = (scores - scores.maxCoeff()).exp();
      scores /= scores.sum();
      Eigen::Index best = 0;
      scores.maxCoeff(&best);
      CHECK(best == digits::answer(expected.probabilities));
      for (std::size_t c = 0; c < digits::class_count; ++c)
        CHECK(std::abs(scores(static_cast<Eigen::Index>(c)) - expected.probabilities[c]) < 1e-5f);
    }
  }

  TEST_CASE("a map has the extents and the order of its view, whatever is fixed") {
    float elements[12];
    for (int i = 0; i < 12; ++i) elements[i] = static_cast<float>(i);
    const std::size_t wide[] = {3, 4}, column[] = {12, 1}, row[] = {1, 12}, flat[] = {12};
    const auto fixed = stet::to_eigen(stet::view<float, 3, 4>(elements, wide));
    CHECK(fixed(1, 2) == 6);
    const auto rows = stet::to_eigen(stet::view<float, stet::dynamic, 4>(elements, wide));
    static_assert(decltype(rows)::RowsAtCompileTime == Eigen::Dynamic && decltype(rows)::ColsAtCompileTime == 4);
    CHECK(rows.rows() == 3);
    CHECK(rows(2, 3) == 11);
    CHECK(stet::to_eigen(stet::view<float, 12, 1>(elements, column))(7, 0) == 7);
    CHECK(stet::to_eigen(stet::view<float, 1, 12>(elements, row))(0, 7) == 7);
    CHECK(stet::to_eigen(stet::view<float, 1, 1>(elements))(0, 0) == 0);
    CHECK(stet::to_eigen(stet::view<float, stet::dynamic, 1>(elements, column))(7, 0) == 7);
    CHECK(stet::to_eigen(stet::view<float, stet::dynamic, stet::dynamic>(elements, column))(7, 0) == 7);
    CHECK(stet::to_eigen(stet::view<float, 12>(elements, flat))(7) == 7);
    auto writable = stet::to_eigen(stet::view<float, stet::dynamic>(elements, flat));
    writable(3) = 42;
    CHECK(elements[3] == 42);
    CHECK(stet::to_eigen(stet::view<float, stet::dynamic>()).size() == 0);
  }

  TEST_CASE("bfloat16, half and complex numbers are Eigen's own") {
    const stet::bfloat16 brains[] = {stet::bfloat16(1.5f), stet::bfloat16(-2.0f)};
    const stet::float16 halves[] = {stet::float16(0.25f), stet::float16(-65504.0f)};
    const stet::complex64 complexes[] = {{1, 2}, {3, 4}};
    stet::writer out;
    out.add("brains", brains, {2}).add("halves", halves, {2, 1}).add("complexes", complexes, {2});
    const auto file = out.save_to_memory();
    REQUIRE(file);
    const auto store = stet::open(*file);
    REQUIRE(store);
    const auto brain = stet::to_eigen<stet::bfloat16, 2>(*store->find("brains"));
    const auto half = stet::to_eigen<stet::float16, stet::dynamic, 1>(*store->find("halves"));
    const auto complex = stet::to_eigen<stet::complex64, stet::dynamic>(*store->find("complexes"));
    REQUIRE((brain && half && complex));
    static_assert(std::is_same_v<std::remove_cvref_t<decltype(*brain)>::Scalar, Eigen::bfloat16>);
    static_assert(std::is_same_v<std::remove_cvref_t<decltype(*half)>::Scalar, Eigen::half>);
    CHECK(static_cast<float>((*brain)(0)) == 1.5f);
    CHECK(static_cast<float>((*brain)(1)) == -2.0f);
    CHECK(static_cast<float>((*half)(0, 0)) == 0.25f);
    CHECK(static_cast<float>((*half)(1, 0)) == -65504.0f);
    CHECK((*complex)(1) == std::complex<float>(3, 4));
    CHECK(outcome(stet::to_eigen<float, 2>(*store->find("brains"))) == "dtype_mismatch");
    CHECK(outcome(stet::to_eigen<stet::bfloat16, 3>(*store->find("brains"))) == "shape_mismatch");
  }

  TEST_CASE("an alignment is promised where the bytes have it, and an error elsewhere") {
    alignas(64) float elements[32] = {};
    const std::size_t extents[] = {2, 8};
    const stet::view<const float, 2, stet::dynamic> aligned(elements, extents), shifted(elements + 4, extents);
    const auto map = stet::to_eigen<Eigen::Aligned64>(aligned);
    REQUIRE(map);
    using promised = Eigen::Map<const Eigen::Matrix<float, 2, Eigen::Dynamic, Eigen::RowMajor>, Eigen::Aligned64>;
    static_assert(std::is_same_v<std::remove_cvref_t<decltype(*map)>, promised>);
    CHECK(map->data() == elements);
    CHECK(outcome(stet::to_eigen<Eigen::Aligned64>(shifted)) == "misaligned");
    CHECK(outcome(stet::to_eigen<Eigen::Aligned16>(shifted)) == "ok");
    CHECK(outcome(stet::to_eigen_tensor<Eigen::Aligned>(aligned)) == "ok");
    const stet::view<const float, 2, stet::dynamic> odd(elements + 1, extents);
    CHECK(outcome(stet::to_eigen_tensor<Eigen::Aligned>(odd)) == "misaligned");
  }

  TEST_CASE("a tensor map of any rank is row-major, with fixed sizes where the view has only such") {
    std::vector<float> elements(2 * 3 * 4 * 5);
    for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<float>(i);
    const std::size_t extents[] = {2, 3, 4, 5};
    const stet::view<const float, 2, stet::dynamic, stet::dynamic, 5> mixed(elements.data(), extents);
    const auto map = stet::to_eigen_tensor(mixed);
    CHECK(map.dimension(1) == 3);
    CHECK(map.dimension(3) == 5);
    CHECK(map.data() == elements.data());
    CHECK(map(1, 2, 3, 4) == mixed(1, 2, 3, 4));
    CHECK(map(1, 0, 2, 1) == mixed(1, 0, 2, 1));
    const stet::view<const float, 2, 3, 4, 5> fixed(elements.data());
    const auto small = stet::to_eigen_tensor(fixed);
    static_assert(decltype(small)::Dimensions::total_size == 120);
    CHECK(small(1, 2, 0, 3) == fixed(1, 2, 0, 3));
    const Eigen::Tensor<float, 0, Eigen::RowMajor> sum = map.sum(), again = small.sum();
    CHECK(sum() == 7140);
    CHECK(again() == 7140);
    float scalar = 9;
    auto single = stet::to_eigen_tensor(stet::view<float>(&scalar));
    single() = 10;
    CHECK(scalar == 10);

    stet::writer out;
    out.add("t", elements, {2, 3, 4, 5});
    const auto file = out.save_to_memory();
    REQUIRE(file);
    const auto store = stet::open(*file);
    REQUIRE(store);
    const auto stored = stet::to_eigen_tensor<float, stet::dynamic, 3, 4, 5>(*store->find("t"));
    REQUIRE(outcome(stored) == "ok");
    CHECK((*stored)(1, 2, 3, 4) == 119);
    CHECK(outcome(stet::to_eigen_tensor<float, 2, 3, 4, 6>(*store->find("t"))) == "shape_mismatch");
  }
}

#else

TEST_SUITE("ext/eigen") {
  TEST_CASE("views are Eigen's maps") { MESSAGE("skipped: the build has found no Eigen"); }
}

#endif
