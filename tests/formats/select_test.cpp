// SPDX-License-Identifier: MIT
#include <stet/formats/check_model.hpp>
#include <stet/formats/compiled.hpp>
#include <stet/formats/select.hpp>

#include "support/keras_files.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <array>
#include <span>
#include <string>
#include <utility>
#include <vector>

TEST_SUITE("formats/select") {
  TEST_CASE("a native model without a tensor keeps the rest, and an alias of what is left out has the bytes") {
    const stet_test::temp_folder folder;
    const std::array<float, 2> values = {1, 2};
    stet::writer out;
    out.add("a", values, {2}, stet::json_value{{"trainable", true}});
    out.add_alias("tied", "a", stet::json_value{{"note", 1}});
    out.add("b", values, {2});
    out.metadata = stet::json_value{{"author", "me"}};
    const std::string path = folder.path("m.stet");
    REQUIRE(out.save(path));
    auto opened = stet::compiled::open_any(path);
    REQUIRE(opened);
    std::vector<std::string> left_out;
    const auto rest = stet::without_tensors(
        std::move(*opened), [](const stet::tensor& each) { return each.name() == "a"; }, &left_out);
    REQUIRE(rest);
    CHECK(left_out == std::vector<std::string>{"a"});
    CHECK(rest->store.tensor_count() == 2);
    CHECK((*rest->store.get<float>("tied"))[1] == 2);
    stet::writer copy;
    REQUIRE(stet::compiled::add_model(copy, *rest));
    REQUIRE(copy.save(folder.path("copy.stet")));

    stet::writer expected;
    expected.add("tied", values, {2}, stet::json_value{{"note", 1}});
    expected.add("b", values, {2});
    expected.metadata = stet::json_value{{"author", "me"}};
    REQUIRE(expected.save(folder.path("expected.stet")));
    CHECK(folder.read("copy.stet") == folder.read("expected.stet"));

    // And once more, of what was left.
    auto again = stet::compiled::open_any(path);
    REQUIRE(again);
    auto fewer = stet::without_tensors(std::move(*again), [](const stet::tensor& each) { return each.name() == "a"; });
    REQUIRE(fewer);
    fewer = stet::without_tensors(std::move(*fewer), [](const stet::tensor& each) { return each.name() == "tied"; });
    REQUIRE(fewer);
    CHECK(fewer->store.tensor_count() == 1);
    stet::writer last;
    CHECK(stet::compiled::add_model(last, *fewer));
  }

  TEST_CASE("a tensor of a foreign format goes with all its names") {
    const stet_test::temp_folder folder;
    const std::string path = folder.write("m.keras", stet_test::keras_archive().bytes());
    for (const char* const name : {"probe/kernel", "/layers/dense/vars/0"}) {
      CAPTURE(name);
      auto opened = stet::compiled::open_any(path);
      REQUIRE(opened);
      std::vector<std::string> left_out;
      const auto rest = stet::without_tensors(
          std::move(*opened), [&](const stet::tensor& each) { return each.name() == name; }, &left_out);
      REQUIRE(rest);
      CHECK(left_out == std::vector<std::string>{"/layers/dense/vars/0"});
      CHECK_FALSE(rest->store.contains("probe/kernel"));
      CHECK_FALSE(rest->store.contains("/layers/dense/vars/0"));
      CHECK(rest->store.contains("probe/bias"));
      CHECK(rest->is_in_file(*rest->store.find("probe/bias")));
      CHECK(rest->checks.size() == 3);
      CHECK(stet::check_ranges(*rest));
    }
  }

  TEST_CASE("a second name in a native file goes and stays with its tensor") {
    const stet_test::temp_folder folder;
    const std::array<float, 2> values = {1, 2};
    stet::writer out;
    out.add("/layers/dense/vars/0", values);
    out.add_alias("dense/kernel", "/layers/dense/vars/0", stet::json_value{{"second_name", true}});
    out.add_alias("tied", "/layers/dense/vars/0");
    out.add("b", values);
    const std::string path = folder.path("m.stet");
    REQUIRE(out.save(path));
    for (const char* const name : {"/layers/dense/vars/0", "dense/kernel"}) {
      CAPTURE(name);
      const auto is_named = [&](const stet::tensor& each) { return each.name() == name; };
      auto opened = stet::compiled::open_any(path);
      REQUIRE(opened);
      std::vector<std::string> left_out;
      const auto rest = stet::without_tensors(std::move(*opened), is_named, &left_out);
      REQUIRE(rest);
      CHECK(left_out == std::vector<std::string>{"/layers/dense/vars/0"});
      CHECK_FALSE(rest->store.contains("/layers/dense/vars/0"));
      CHECK_FALSE(rest->store.contains("dense/kernel"));
      CHECK(rest->store.contains("b"));
      // An alias that is no second name is a tensor of its own, and has the bytes.
      CHECK((*rest->store.get<float>("tied"))[1] == 2);

      auto once_more = stet::compiled::open_any(path);
      REQUIRE(once_more);
      left_out.clear();
      const auto only = stet::only_tensors(std::move(*once_more), is_named, &left_out);
      REQUIRE(only);
      CHECK(left_out == std::vector<std::string>{"tied", "b"});
      CHECK(only->store.tensor_count() == 2);
      CHECK(only->is_second_name(*only->store.find("dense/kernel")));
    }
  }

  TEST_CASE("only the tensors that are wanted stay, by any of their names") {
    const stet_test::temp_folder folder;
    const std::string path = folder.write("m.keras", stet_test::keras_archive().bytes());
    for (const char* const name : {"probe/kernel", "/layers/dense/vars/0"}) {
      CAPTURE(name);
      auto opened = stet::compiled::open_any(path);
      REQUIRE(opened);
      std::vector<std::string> left_out;
      const auto rest = stet::only_tensors(
          std::move(*opened), [&](const stet::tensor& each) { return each.name() == name; }, &left_out);
      REQUIRE(rest);
      CHECK(rest->store.find("/layers/dense/vars/0"));
      CHECK(rest->store.find("probe/kernel"));
      CHECK(!rest->store.find("/layers/dense/vars/1"));
      CHECK(!left_out.empty());
    }
    const std::array<float, 2> values = {1, 2};
    stet::writer out;
    out.add("a", values).add_alias("tied", "a").add("b", values);
    REQUIRE(out.save(folder.path("m.stet")));
    auto opened = stet::compiled::open_any(folder.path("m.stet"));
    REQUIRE(opened);
    const auto rest =
        stet::only_tensors(std::move(*opened), [](const stet::tensor& each) { return each.name() == "tied"; });
    REQUIRE(rest);
    CHECK(rest->store.tensor_count() == 1);
    CHECK((*rest->store.get<float>("tied"))[1] == 2);
  }
}
