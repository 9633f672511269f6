// SPDX-License-Identifier: MIT
#include <stet/formats/tensorflow/detail/tensor_proto.hpp>

#include <doctest/doctest.h>

TEST_SUITE("formats/tensorflow/tensor_proto") {
  TEST_CASE("each dtype of a V1 checkpoint has its list, as tensor.proto numbers them") {
    using stet::detail::find_tensor_proto_list;
    struct row {
      stet::dtype dtype;
      std::uint32_t field, word_size_bytes;
    };
    for (const row& each :
         {row{stet::dtype::float32, 5, 4}, row{stet::dtype::float64, 6, 8}, row{stet::dtype::uint8, 7, 0},
          row{stet::dtype::string, 8, 0}, row{stet::dtype::complex64, 9, 4}, row{stet::dtype::int64, 10, 0},
          row{stet::dtype::boolean, 11, 0}, row{stet::dtype::complex128, 12, 8}, row{stet::dtype::bfloat16, 13, 0},
          row{stet::dtype::uint64, 17, 0}}) {
      const auto* const found = find_tensor_proto_list(each.dtype);
      REQUIRE(found != nullptr);
      CHECK(found->field == each.field);
      CHECK(found->word_size_bytes == each.word_size_bytes);
    }
    CHECK(find_tensor_proto_list(stet::dtype::int4) == nullptr);
    CHECK(find_tensor_proto_list(stet::dtype::block) == nullptr);
  }
}
