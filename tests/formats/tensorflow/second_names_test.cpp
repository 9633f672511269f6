// SPDX-License-Identifier: MIT
// Tests of second_names.hpp: which names variables get, and which they do not.
#include "support/sorted_tables.hpp"
#include "support/tensorflow_checkpoints.hpp"

#include <stet/formats/tensorflow/detail/second_names.hpp>

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

namespace {

const std::string suffix = "/.ATTRIBUTES/VARIABLE_VALUE";

/// The names that variables of these keys get, with which variable each is of, in the order of the store.
std::vector<std::pair<std::string, std::string>>
names_of(const std::vector<std::string>& keys, const std::vector<std::pair<std::string, std::string>>& full_names) {
  static constexpr std::byte bytes[2048] = {};
  stet::store_builder into;
  (void)into.add_file("file", stet::source::borrow(bytes));
  const std::uint64_t shape[] = {2};
  for (std::size_t i = 0; i < keys.size(); ++i) {
    stet::index_row row;
    row.name = keys[i];
    row.layout = stet::element_layout::of(stet::dtype::uint8);
    row.shape = shape;
    row.offset_bytes = i * 2;
    row.size_bytes = 2;
    into.add(row);
  }
  const stet_test::exact_text graph(stet_test::object_graph_of(full_names));
  stet::detail::add_second_names(into, graph.bytes());
  std::vector<std::pair<std::string, std::string>> found;
  const auto made = into.finish();
  CHECK(made);
  if (!made) return found;
  for (const stet::tensor each : *made) {
    if (const auto original = made->original_of(each)) found.emplace_back(each.name(), original->name());
  }
  return found;
}

using list = std::vector<std::pair<std::string, std::string>>;

} // namespace

TEST_SUITE("tensorflow/second_names") {
  TEST_CASE("variables get the path of their key, and their full name") {
    CHECK(names_of({"a" + suffix, "b/c" + suffix, "plain"}, {{"full", "b/c" + suffix}}) ==
          list{{"a", "a" + suffix}, {"b/c", "b/c" + suffix}, {"full", "b/c" + suffix}});
  }

  TEST_CASE("a name of two variables, or of a tensor, is none") {
    CHECK(names_of({"a" + suffix, "b" + suffix}, {{"x", "a" + suffix}, {"x", "b" + suffix}}) ==
          list{{"a", "a" + suffix}, {"b", "b" + suffix}});
    CHECK(names_of({"a" + suffix, "b" + suffix}, {{"b", "a" + suffix}}) == list{{"a", "a" + suffix}});
    CHECK(names_of({"a", "a" + suffix}, {{"x", "a" + suffix}}) == list{{"x", "a" + suffix}});
    CHECK(names_of({"a" + suffix}, {{"x", "a" + suffix}, {"x", "a" + suffix}, {"a", "a" + suffix}}) ==
          list{{"a", "a" + suffix}, {"x", "a" + suffix}});
  }

  TEST_CASE("a full name of a variable and its copy by Keras is the variable's") {
    const std::string copy = "_all_variables/0" + suffix, variable = "variables/1" + suffix, other = "b" + suffix;
    const list paths = {{"_all_variables/0", copy}, {"variables/1", variable}, {"b", other}};
    const auto with = [&](list more) {
      list all = paths;
      all.insert(all.end(), more.begin(), more.end());
      return all;
    };
    CHECK(names_of({copy, variable, other}, {{"x", copy}, {"x", variable}}) == with({{"x", variable}}));
    CHECK(names_of({copy, variable, other}, {{"x", variable}, {"x", copy}}) == with({{"x", variable}}));
    CHECK(names_of({copy, variable, other}, {{"x", copy}, {"x", variable}, {"x", other}}) == paths);
    CHECK(names_of({copy, variable, other}, {{"x", variable}, {"x", other}, {"x", copy}}) == paths);
    CHECK(names_of({copy, variable, other}, {{"b", copy}}) == list{paths[0], paths[1]});
    CHECK(names_of({copy, variable, other}, {{"x", copy}}) == with({{"x", copy}}));
    const std::string second = "_all_variables/2" + suffix;
    CHECK(names_of({copy, second}, {{"x", copy}, {"x", second}}) == list{paths[0], {"_all_variables/2", second}});
  }

  TEST_CASE("a full name through another full name, or of nothing, is none") {
    CHECK(names_of({"a" + suffix}, {{"x", "a" + suffix}, {"y", "x" + suffix}, {"z", "absent" + suffix}, {"w", "a"}}) ==
          list{{"a", "a" + suffix}, {"x", "a" + suffix}});
  }

  TEST_CASE("each of many variables gets its names, whatever the order of the graph") {
    std::vector<std::string> keys;
    list full_names, expected;
    for (int i = 0; i < 1000; ++i) {
      const std::string number = std::to_string(i * 7919 % 1000);
      keys.push_back(std::to_string(i) + suffix);
      full_names.emplace_back("full/" + number, number + suffix);
      expected.emplace_back(std::to_string(i), keys.back());
    }
    for (const auto& named : full_names) expected.push_back(named);
    CHECK(names_of(keys, full_names) == expected);
  }

  TEST_CASE("what is no name, or could be a key, is left out") {
    CHECK(names_of({suffix, "a" + suffix + suffix},
                   {{"bad\xff", "a" + suffix + suffix}, {"k" + suffix, "a" + suffix + suffix}})
              .empty());
    CHECK(names_of({}, {{"x", "a" + suffix}}).empty());
  }
}
