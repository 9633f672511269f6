// SPDX-License-Identifier: MIT
// Tests of data_type.hpp: the numbers of types.proto, and what is not stored.
#include <stet/formats/tensorflow/detail/data_type.hpp>

#include <doctest/doctest.h>

#include <utility>

TEST_SUITE("tensorflow/data_type") {
  using stet::dtype;

  TEST_CASE("numbers are those of types.proto") {
    const std::pair<std::int32_t, dtype> table[] = {
        {1, dtype::float32}, {2, dtype::float64},        {3, dtype::int32},          {7, dtype::string},
        {9, dtype::int64},   {10, dtype::boolean},       {14, dtype::bfloat16},      {19, dtype::float16},
        {23, dtype::uint64}, {24, dtype::float8_e5m2},   {25, dtype::float8_e4m3fn}, {29, dtype::int4},
        {32, dtype::uint2},  {33, dtype::float4_e2m1fn}, {18, dtype::complex128},
    };
    for (const auto& [number, d] : table) {
      CHECK(stet::detail::dtype_of_tensorflow(number) == d);
      CHECK(stet::detail::tensorflow_of_dtype(d) == number);
    }
  }

  TEST_CASE("every number stands for one dtype and back") {
    for (std::int32_t number = 0; number < 40; ++number) {
      const dtype d = stet::detail::dtype_of_tensorflow(number);
      if (d != stet::detail::no_dtype) CHECK(stet::detail::tensorflow_of_dtype(d) == number);
    }
    CHECK(stet::detail::tensorflow_of_dtype(dtype::block) == 0);
    CHECK(stet::detail::tensorflow_of_dtype(dtype::float6_e2m3fn) == 0);
  }

  TEST_CASE("what is no type of stored tensors is none") {
    for (const std::int32_t number : {0, 20, 21, 34, 99, 101, 132, 200, -1, INT32_MIN, INT32_MAX})
      CHECK(stet::detail::dtype_of_tensorflow(number) == stet::detail::no_dtype);
  }

  TEST_CASE("an element has a byte of its own at least") {
    CHECK(stet::detail::tensorflow_layout(dtype::int4).bits == 8);
    CHECK(stet::detail::tensorflow_layout(dtype::uint2).bits == 8);
    CHECK(stet::detail::tensorflow_layout(dtype::bfloat16).bits == 16);
    CHECK(stet::detail::tensorflow_layout(dtype::complex128).bits == 128);
  }
}
