// SPDX-License-Identifier: MIT
// Tests of dtype.hpp: the table is complete, and its numbers and names are those of files.
#include <stet/vocabulary/dtype.hpp>

#include <doctest/doctest.h>

#include <cstddef>

using stet::dtype;

TEST_SUITE("dtype") {
  TEST_CASE("each row stands at the number of its dtype and is found by its name") {
    for (std::size_t i = 0; i < stet::dtype_count; ++i) {
      const stet::dtype_description& row = stet::dtype_table[i];
      CHECK(static_cast<std::size_t>(row.dtype) == i + 1);
      CHECK(&stet::describe(row.dtype) == &row);
      CHECK(stet::find_dtype(row.name) == &row);
      CHECK(stet::name_of(row.dtype) == row.name);
      const bool has_width = row.kind != stet::dtype_kind::string && row.kind != stet::dtype_kind::block;
      CHECK((row.bits != 0) == has_width);
      CHECK(row.word_size_bytes >= 1);
    }
  }

  TEST_CASE("the numbers that stand in files stay what they are") {
    static_assert(static_cast<int>(dtype::boolean) == 1 && static_cast<int>(dtype::uint8) == 6);
    static_assert(static_cast<int>(dtype::float16) == 10 && static_cast<int>(dtype::float32) == 12);
    static_assert(static_cast<int>(dtype::complex64) == 14 && static_cast<int>(dtype::float8_e4m3fn) == 16);
    static_assert(static_cast<int>(dtype::int4) == 25 && static_cast<int>(dtype::qint8) == 29);
    static_assert(static_cast<int>(dtype::string) == 34 && static_cast<int>(dtype::block) == 35);
    static_assert(stet::dtype_count == 35);
  }

  TEST_CASE("other numbers and names are not known") {
    CHECK_FALSE(stet::is_known(dtype{0}));
    CHECK(stet::is_known(dtype{1}));
    CHECK(stet::is_known(dtype{35}));
    CHECK_FALSE(stet::is_known(dtype{36}));
    CHECK_FALSE(stet::is_known(dtype{255}));
    for (const char* name : {"", "float", "Float32", "float32 ", "int128", "boolean"})
      CHECK(stet::find_dtype(name) == nullptr);
  }

  TEST_CASE("quantized and narrow dtypes have the widths that TensorFlow and ml_dtypes give them") {
    CHECK(stet::find_dtype("qint32")->bits == 32);
    CHECK(stet::find_dtype("float6_e2m3fn")->bits == 6);
    CHECK(stet::find_dtype("uint2")->bits == 2);
    CHECK(stet::find_dtype("complex128")->bits == 128);
    CHECK(stet::find_dtype("complex128")->word_size_bytes == 8);
  }
}
