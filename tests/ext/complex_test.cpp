// SPDX-License-Identifier: MIT
#include <complex>

#include <stet/ext/complex.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <vector>

TEST_SUITE("ext/complex") {
  TEST_CASE("std::complex is saved and viewed in place") {
    const std::vector<std::complex<float>> values = {{1.0f, -2.0f}, {0.5f, 4.0f}};
    stet::writer out;
    out.add("signal", values, {2});
    const auto file = out.save_to_memory();
    REQUIRE(file);
    if (!file) return;
    const auto model = stet::open(std::span<const std::byte>(*file));
    REQUIRE(model);
    if (!model) return;
    const auto viewed = model->get<std::complex<float>>("signal");
    REQUIRE(viewed);
    if (!viewed) return;
    CHECK(std::vector<std::complex<float>>(viewed->begin(), viewed->end()) == values);
    CHECK((*model->get<stet::complex64>("signal"))[1] == stet::complex64{0.5f, 4.0f});
  }
}
