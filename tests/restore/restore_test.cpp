// SPDX-License-Identifier: MIT
// Tests of restore.hpp: all or nothing, every rule, copies and views, and reports that a dry run gives, too.
#include "support/byte_order.hpp"
#include "support/counted_memory.hpp"
#include "support/files.hpp"
#include "support/outcome.hpp"

#include <stet/formats/common/store_builder.hpp>
#include <stet/restore.hpp>
#include <stet/stet.hpp>
#include <stet/store/detail/strided_bytes.hpp>
#include <stet/writer.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <vector>

using stet::errc;
using stet::rename_rule;
using stet::restore_entry;
using stet::restore_mode;
using stet::restore_outcome;
using stet::restore_report;
using stet::restore_rules;
using stet::shape_policy;
using stet::variable_list;
using stet_test::can_view_words;
using stet_test::outcome;

namespace {

constexpr stet::absence_policy skip = stet::absence_policy::skip;

std::vector<float> count_from(float first, std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

/// A store in memory.
stet::store store_of(const stet::writer& from) {
  auto bytes = from.save_to_memory();
  CHECK(outcome(bytes) == "ok");
  if (!bytes) return {};
  auto copied = stet::source::copy(*bytes);
  if (!copied) return {};
  auto opened = stet::open(std::move(*copied));
  CHECK(outcome(opened) == "ok");
  return opened ? std::move(*opened) : stet::store();
}

/// Two tensors, and a program with their variables, all -1.
struct program {
  std::vector<float> stored_kernel = count_from(10, 6), stored_bias = count_from(20, 3);
  std::vector<float> kernel = std::vector<float>(6, -1), bias = std::vector<float>(3, -1);
  variable_list variables;

  program() {
    CHECK(variables.add("dense/kernel", kernel, {2, 3}));
    CHECK(variables.add("dense/bias", bias, {3}));
  }
  program(const program&) = delete;
  program& operator=(const program&) = delete;

  [[nodiscard]] stet::writer writer() const {
    stet::writer out;
    out.add("dense/kernel", stored_kernel, {2, 3});
    out.add("dense/bias", stored_bias, {3});
    return out;
  }
  [[nodiscard]] bool is_untouched() const {
    return kernel == std::vector<float>(6, -1) && bias == std::vector<float>(3, -1);
  }
  [[nodiscard]] bool is_restored() const { return kernel == stored_kernel && bias == stored_bias; }
};

struct scaled_bias {
  stet::view<const std::uint8_t, 3> bias, scale;
  void bind(auto& field) {
    field("dense/bias", bias);
    field.optional("dense/scale", scale);
  }
};

/// Restores; the dry run must have said the same, and must have changed nothing.
template <class IsUntouched>
stet::result<void> restore_twice(const stet::store& from, const variable_list& to, const restore_rules& rules,
                                 restore_report& report, IsUntouched&& is_untouched) {
  const restore_report planned = stet::plan_restore(from, to, rules);
  CHECK(is_untouched());
  auto done = stet::restore(from, to, rules, &report);
  CHECK(planned.to_json() == report.to_json());
  CHECK(planned.to_text() == report.to_text());
  CHECK(planned.is_good() == static_cast<bool>(done));
  return done;
}
stet::result<void> restore_twice(const stet::store& from, const program& to, const restore_rules& rules,
                                 restore_report& report) {
  return restore_twice(from, to.variables, rules, report, [&to] { return to.is_untouched(); });
}

std::string outcomes(const restore_report& report) {
  std::string all;
  for (const restore_entry& each : report.entries) {
    all += all.empty() ? "" : " ";
    all += stet::name_of(each.outcome);
    if (each.is_error) all += "!";
  }
  return all;
}

} // namespace

TEST_SUITE("restore") {
  TEST_CASE("restores everything, and says so") {
    program to;
    const stet::store from = store_of(to.writer());
    restore_report report;
    CHECK(outcome(restore_twice(from, to, {}, report)) == "ok");
    CHECK(to.is_restored());
    CHECK(outcomes(report) == "copied copied");
    CHECK(report.copied_bytes == 36);
    CHECK(report.to_text() == "  copied  dense/kernel\n  copied  dense/bias\n2 copied, 36 bytes to copy\n");
  }

  TEST_CASE("is strict by default: whatever differs is an error, and nothing changes") {
    program to;
    std::vector<float> other(4, -1);
    std::vector<double> doubles(3, -1);
    stet::writer out = to.writer();
    restore_report report;
    std::string expected, names;
    SUBCASE("a variable is missing") {
      CHECK(to.variables.add("extra", other, {4}));
      expected = "copied copied missing!";
      names = "extra";
    }
    SUBCASE("a tensor is not expected") {
      out.add("extra", other, {4});
      expected = "copied copied unexpected!";
      names = "extra";
    }
    SUBCASE("a shape differs") {
      out.add("extra", other, {2, 2});
      CHECK(to.variables.add("extra", other, {4}));
      expected = "copied copied shape_mismatch!";
      names = "extra";
    }
    SUBCASE("a dtype differs") {
      out.add("extra", doubles, {3});
      CHECK(to.variables.add("extra", std::span(other).first(3), {3}));
      expected = "copied copied dtype_mismatch!";
      names = "extra";
    }
    SUBCASE("several things differ") {
      out.add("extra", doubles, {3});
      CHECK(to.variables.add("other", other, {4}));
      expected = "copied copied missing! unexpected!";
      names = "other, extra";
    }
    const stet::store from = store_of(out);
    const auto done = restore_twice(from, to, {}, report);
    CHECK(outcome(done) == "binding_failed");
    CHECK(done.error().subject() == names);
    CHECK(outcomes(report) == expected);
    CHECK(to.is_untouched());
    CHECK(other == std::vector<float>(4, -1));
  }

  TEST_CASE("says why, in numbers") {
    program to;
    stet::writer out;
    out.add("dense/kernel", to.stored_kernel, {3, 2});
    const std::vector<double> doubles(3);
    out.add("dense/bias", doubles, {3});
    out.add("scalar", std::span(doubles).first(1), {});
    restore_report report;
    CHECK(outcome(restore_twice(store_of(out), to, {}, report)) == "binding_failed");
    CHECK(report.to_text() ==
          "! shape_mismatch  dense/kernel: float32 [3, 2] in the store, float32 [2, 3] in the program\n"
          "! dtype_mismatch  dense/bias: float64 [3] in the store, float32 [3] in the program\n"
          "! unexpected      scalar: float64 []\n"
          "1 unexpected, 1 shape_mismatch, 1 dtype_mismatch, 0 bytes to copy; there are errors, so nothing "
          "is restored\n");
  }

  TEST_CASE("skips what the rules let it skip") {
    program to;
    std::vector<float> extra(4, -1);
    CHECK(to.variables.add("missing", extra, {4}));
    CHECK(to.variables.add("other shape", extra, {4}));
    stet::writer out = to.writer();
    out.add("unexpected", to.stored_bias, {3});
    out.add("other shape", to.stored_bias, {3});
    restore_rules rules;
    rules.missing = skip;
    rules.unexpected = skip;
    rules.shape = shape_policy::skip;
    restore_report report;
    CHECK(outcome(restore_twice(store_of(out), to, rules, report)) == "ok");
    CHECK(outcomes(report) == "copied copied missing shape_mismatch unexpected");
    CHECK(to.is_restored());
    CHECK(extra == std::vector<float>(4, -1));
  }

  TEST_CASE("includes, then excludes") {
    program to;
    const stet::store from = store_of(to.writer());
    restore_rules rules;
    restore_report report;
    SUBCASE("only what is included") {
      rules.include = {"**/bias", "other"};
      CHECK(outcome(restore_twice(from, to, rules, report)) == "ok");
      CHECK(outcomes(report) == "excluded copied");
      CHECK(to.bias == to.stored_bias);
      CHECK(to.kernel == std::vector<float>(6, -1));
    }
    SUBCASE("but what is excluded") {
      rules.include = {"dense/*"};
      rules.exclude = {"*/k*"};
      CHECK(outcome(restore_twice(from, to, rules, report)) == "ok");
      CHECK(outcomes(report) == "excluded copied");
    }
    SUBCASE("nothing at all") {
      rules.exclude = {"**"};
      CHECK(outcome(restore_twice(from, to, rules, report)) == "ok");
      CHECK(to.is_untouched());
    }
    CHECK(report.count(restore_outcome::unexpected) == 0); // the program knows what it excludes
  }

  TEST_CASE("ignores tensors that are no surprise") {
    program to;
    stet::writer out = to.writer();
    out.add("dense/kernel/Adam/m", to.stored_kernel, {6});
    out.add("dense/kernel/Adam/v", to.stored_kernel, {6});
    const stet::store from = store_of(out);
    restore_rules rules;
    restore_report report;
    CHECK(outcome(restore_twice(from, to, rules, report)) == "binding_failed");
    rules.ignore = {"**/Adam/?"};
    CHECK(outcome(restore_twice(from, to, rules, report)) == "ok");
    CHECK(report.entries.size() == 2);
  }

  TEST_CASE("renames by the first rule that knows the variable") {
    program to;
    stet::writer out;
    out.add("old/layer_7/kernel", to.stored_kernel, {2, 3});
    out.add("b", to.stored_bias, {3});
    const stet::store from = store_of(out);
    restore_rules rules;
    restore_report report;
    SUBCASE("names") {
      rules.renames = {rename_rule::exact("dense/bias", "b"), rename_rule::exact("dense/kernel", "old/layer_7/kernel")};
    }
    SUBCASE("a prefix, after a name") {
      rules.renames = {rename_rule::exact("dense/bias", "b"), rename_rule::prefix("dense/", "old/layer_7/")};
    }
    SUBCASE("a pattern") {
      rules.renames = {rename_rule::matching("*/bia?", "b"), rename_rule::matching("*/*l", "old/layer_7/$2l")};
    }
    SUBCASE("scopes") {
      rules.renames = {rename_rule::assignment("b", "dense/bias"), rename_rule::assignment("old/layer_7/", "dense/")};
    }
    SUBCASE("a function") {
      rules.renames = {
          rename_rule::callback([](std::string_view name) -> std::optional<std::string> {
            if (name == "dense/bias") return "b";
            return std::nullopt;
          }),
          rename_rule::callback([](std::string_view name) { return "old/layer_7/" + std::string(name.substr(6)); })};
    }
    CHECK(outcome(restore_twice(from, to, rules, report)) == "ok");
    CHECK(to.is_restored());
    CHECK(report.entries[0].variable == "dense/kernel");
    CHECK(report.entries[0].tensor == "old/layer_7/kernel");
    CHECK(report.to_text().find("dense/bias <- b\n") != std::string::npos);
  }

  TEST_CASE("several variables may take one tensor, and a name that a rule makes may be no name") {
    program to;
    std::vector<float> twin(3);
    CHECK(to.variables.add("twin", twin, {3}));
    const stet::store from = store_of(to.writer());
    restore_rules rules;
    rules.renames = {rename_rule::exact("twin", "dense/bias")};
    CHECK(outcome(stet::restore(from, to.variables, rules)) == "ok");
    CHECK(twin == to.stored_bias);
    rules.renames = {rename_rule::exact("twin", "")};
    CHECK(outcome(stet::restore(from, to.variables, rules)) == "binding_failed");
  }

  TEST_CASE("who has taken one of several names of the same bytes has taken all") {
    program to;
    stet::writer out;
    out.add("embedding", to.stored_kernel, {2, 3});
    out.add_alias("dense/kernel", "embedding");
    out.add_alias("output", "embedding");
    out.add("dense/bias", to.stored_bias, {3});
    restore_report report;
    CHECK(outcome(restore_twice(store_of(out), to, {}, report)) == "ok");
    CHECK(to.is_restored());
    CHECK(outcomes(report) == "copied copied");
  }

  TEST_CASE("copies what two shapes have in common, of every rank") {
    std::mt19937 random(11);
    for (std::size_t rank = 1; rank <= 4; ++rank) {
      for (int round = 0; round < 40; ++round) {
        std::vector<std::uint64_t> from(rank), to(rank);
        for (std::uint64_t& extent : from) extent = random() % 5;
        for (std::uint64_t& extent : to) extent = random() % 5;
        if (from == to) continue;
        const auto count = [](const std::vector<std::uint64_t>& shape) {
          std::uint64_t product = 1;
          for (const std::uint64_t extent : shape) product *= extent;
          return static_cast<std::size_t>(product);
        };
        const std::vector<float> stored = count_from(1, count(from));
        std::vector<float> kept = count_from(-1000, count(to)), expected = kept;
        // The slow way: each element of the program, by its indices.
        std::uint64_t common = 0;
        for (std::size_t i = 0; i < expected.size(); ++i) {
          std::size_t rest = i, at = 0, stride = 1;
          bool is_common = true;
          for (std::size_t axis = rank; axis-- > 0;) {
            const std::size_t index = rest % static_cast<std::size_t>(to[axis]);
            rest /= static_cast<std::size_t>(to[axis]);
            is_common = is_common && index < from[axis];
            at += index * stride;
            stride *= static_cast<std::size_t>(from[axis]);
          }
          if (!is_common) continue;
          expected[i] = stored[at];
          ++common;
        }
        stet::writer out;
        out.add("a", stored, from);
        variable_list variables;
        CHECK(variables.add("a", kept, to));
        restore_rules rules;
        rules.shape = shape_policy::overlap;
        restore_report report;
        CHECK(outcome(stet::restore(store_of(out), variables, rules, &report)) == "ok");
        CHECK(outcomes(report) == "overlapped");
        CHECK(report.copied_bytes == common * sizeof(float));
        CHECK(kept == expected);
      }
    }
  }

  TEST_CASE("overlaps convert, but ranks must be equal") {
    const std::vector<std::int32_t> stored = {1, 2, 3, 4};
    stet::writer out;
    out.add("a", stored, {2, 2});
    const stet::store from = store_of(out);
    restore_rules rules;
    rules.shape = shape_policy::overlap;
    rules.dtype = stet::dtype_policy::cast;
    std::vector<float> kept(3, -1);
    {
      variable_list variables;
      CHECK(variables.add("a", kept, {3, 1}));
      CHECK(outcome(stet::restore(from, variables, rules)) == "ok");
      CHECK(kept == std::vector<float>{1, 3, -1});
    }
    variable_list variables;
    CHECK(variables.add("a", kept, {3}));
    restore_report report;
    CHECK(outcome(stet::restore(from, variables, rules, &report)) == "binding_failed");
    CHECK(outcomes(report) == "shape_mismatch!");
  }

  TEST_CASE("a function of the program fills variables of another shape") {
    program to;
    std::vector<float> wide(4, -1);
    CHECK(to.variables.add("wide", wide, {4}));
    stet::writer out = to.writer();
    out.add("wide", std::span(to.stored_bias).first(2), {2});
    const stet::store from = store_of(out);
    restore_rules rules;
    rules.shape = shape_policy::ask;
    restore_report report;
    SUBCASE("as it likes") {
      rules.reshape = [](const stet::tensor& tensor, const stet::variable& into,
                         std::span<std::byte> bytes) -> stet::result<void> {
        CHECK(into.name() == "wide");
        CHECK(bytes.size() == 16);
        float last = 0;
        std::memcpy(&last, bytes.data() + 12, sizeof last);
        CHECK(last == -1); // what the variable holds
        return tensor.copy_to(std::span(reinterpret_cast<float*>(bytes.data()), 2));
      };
      CHECK(outcome(restore_twice(from, to, rules, report)) == "ok");
      CHECK(outcomes(report) == "copied copied reshaped");
      CHECK(wide == std::vector<float>{20, 21, -1, -1});
      CHECK(to.is_restored());
    }
    SUBCASE("or fails, and nothing has changed") {
      rules.reshape = [](const stet::tensor&, const stet::variable&, std::span<std::byte> bytes) -> stet::result<void> {
        std::memset(bytes.data(), 0x55, bytes.size());
        return errc::unsupported;
      };
      const auto done = stet::restore(from, to.variables, rules, &report);
      CHECK(outcome(done) == "unsupported");
      CHECK(done.error().subject() == "wide");
      CHECK(outcomes(report) == "copied copied failed!");
      CHECK(report.entries[2].reason == "not supported here");
      CHECK(report.copied_bytes == 36);
      CHECK(to.is_untouched());
      CHECK(wide == std::vector<float>(4, -1));
    }
    SUBCASE("or is not there") {
      CHECK(outcome(restore_twice(from, to, rules, report)) == "binding_failed");
      CHECK(outcomes(report) == "copied copied shape_mismatch!");
    }
  }

  TEST_CASE("a function that fills variables is called once for each, and not for empty ones") {
    std::vector<float> some(2);
    variable_list variables;
    CHECK(variables.add("empty", std::span<float>(), {0}));
    CHECK(variables.add("some", some, {2}));
    stet::writer out;
    out.add("empty", std::span(some).first(1), {1});
    out.add("some", std::span(some).first(1), {1});
    restore_rules rules;
    rules.shape = shape_policy::ask;
    int call_count = 0;
    rules.reshape = [&](const stet::tensor&, const stet::variable&, std::span<std::byte>) {
      return ++call_count, stet::result<void>();
    };
    CHECK(outcome(stet::restore(store_of(out), variables, rules)) == "ok");
    CHECK(call_count == 1);
  }

  TEST_CASE("converts dtypes when asked to") {
    const std::vector<std::int16_t> shorts = {-3, 0, 700};
    const std::vector<stet::int4> codes = {stet::int4(-8), stet::int4(3), stet::int4(7)};
    const bool flags[] = {true, false, true};
    const std::vector<stet::complex64> complexes(3);
    std::vector<float> to_float(3, -1), packed_to_float(3, -1), flags_to_float(3, -1), refused(3, -1);
    stet::writer out;
    out.add("shorts", shorts, {3});
    out.add("codes", codes, {3});
    out.add("flags", flags, {3});
    variable_list variables;
    CHECK(variables.add("shorts", to_float, {3}));
    CHECK(variables.add("codes", packed_to_float, {3}));
    CHECK(variables.add("flags", flags_to_float, {3}));
    restore_rules rules;
    rules.dtype = stet::dtype_policy::cast;
    restore_report report;
    CHECK(outcome(restore_twice(store_of(out), variables, rules, report, [&] { return to_float[0] == -1.0F; })) ==
          "ok");
    CHECK(outcomes(report) == "converted converted converted");
    CHECK(to_float == std::vector<float>{-3, 0, 700});
    CHECK(packed_to_float == std::vector<float>{-8, 3, 7});
    CHECK(flags_to_float == std::vector<float>{1, 0, 1});

    out.add("complex", complexes, {3});
    CHECK(variables.add("complex", refused, {3}));
    CHECK(outcome(stet::restore(store_of(out), variables, rules, &report)) == "binding_failed");
    CHECK(outcomes(report) == "converted converted converted dtype_mismatch!");
  }

  TEST_CASE("strings are no elements of variables") {
    const std::string_view texts[] = {"a", "b", "c"};
    stet::writer out;
    out.add("a", texts, {3});
    std::vector<float> memory(3, -1);
    variable_list variables;
    CHECK(variables.add("a", memory, {3}));
    restore_rules rules;
    rules.dtype = stet::dtype_policy::cast;
    restore_report report;
    CHECK(outcome(stet::restore(store_of(out), variables, rules, &report)) == "binding_failed");
    CHECK(outcomes(report) == "dtype_mismatch!");
  }

  TEST_CASE("restores from stores wherever their bytes are") {
    const std::vector<stet::uint4> codes = {stet::uint4(1), stet::uint4(2), stet::uint4(3), stet::uint4(15),
                                            stet::uint4(0)};
    const bool flags[] = {true, false, true};
    const std::vector<double> doubles = {0.1, -0.0, 1e300};
    stet::writer out;
    out.add("codes", codes, {5});
    out.add("flags", flags, {3});
    out.add("empty", std::span<const double>(), {0, 7});
    out.add("doubles", doubles, {3});
    stet::save_options dense;
    dense.alignment_bytes = 1; // the doubles lie at an odd address
    const auto bytes = out.save_to_memory(dense);
    REQUIRE(outcome(bytes) == "ok");
    if (!bytes) return;
    std::size_t way_count = 0;
    stet_test::every_way().open(*bytes, [&](const stet_test::way_to_open& way, stet::result<stet::store>&& opened) {
      CAPTURE(way.name);
      REQUIRE(outcome(opened) == "ok");
      if (!opened) return;
      ++way_count;
      std::vector<stet::uint4> to_codes(5);
      bool to_flags[3] = {};
      std::vector<double> to_doubles(3, -1);
      variable_list variables;
      CHECK(variables.add("codes", to_codes, {5}));
      CHECK(variables.add("flags", to_flags, {3}));
      CHECK(variables.add("empty", std::span<double>(), {0, 7}));
      CHECK(variables.add("doubles", to_doubles, {3}));
      restore_rules rules;
      rules.verify_checksums = true;
      restore_report report;
      CHECK(outcome(restore_twice(*opened, variables, rules, report, [&] { return to_doubles[0] == -1.0; })) == "ok");
      CHECK(std::memcmp(to_codes.data(), codes.data(), 5) == 0);
      CHECK(std::memcmp(to_flags, flags, 3) == 0);
      CHECK(std::memcmp(to_doubles.data(), doubles.data(), 24) == 0);
    });
    CHECK(way_count == stet_test::every_way::way_count);
  }

  TEST_CASE("words in the other byte order become the program's, with no memory in between") {
    constexpr std::size_t count = 20000;
    const std::uint64_t extents[] = {count};
    stet::index_row rows[] = {{"counts", stet::element_layout::of(stet::dtype::uint16), extents}};
    rows[0].size_bytes = count * 2;
    rows[0].big_endian = can_view_words;
    std::vector<std::byte> index(static_cast<std::size_t>(*stet::index_size_bytes(rows, {}))), stored(count * 2);
    REQUIRE(stet::build_index(rows, {}, index));
    for (std::size_t i = 0; i < stored.size(); ++i)
      stored[i] = static_cast<std::byte>(i % 2 == (can_view_words ? 1u : 0u) ? 7 : 1);
    stet::index_limits limits;
    limits.data_end_bytes = stored.size();
    limits.foreign = true;
    const auto checked = stet::check_index(index, limits);
    REQUIRE(outcome(checked) == "ok");
    if (!checked) return;
    stet::store::contents made;
    made.index = *checked;
    made.data = stet::source::borrow(stored);
    const stet::store from(std::move(made));
    std::vector<std::uint16_t> counts(count);
    variable_list variables;
    CHECK(variables.add("counts", counts, {count}));
    stet_test::counted_memory memory;
    restore_rules rules;
    rules.memory = &memory;
    CHECK(outcome(stet::restore(from, variables, rules)) == "ok");
    CHECK(counts == std::vector<std::uint16_t>(count, 0x0107));
    CHECK(memory.count() == 0);
  }

  TEST_CASE("a reader that fails changes nothing, whenever it fails") {
    program to;
    const auto bytes = to.writer().save_to_memory();
    REQUIRE(outcome(bytes) == "ok");
    if (!bytes) return;
    bool is_done = false;
    int fails_at = 0;
    for (; !is_done; ++fails_at) {
      REQUIRE(fails_at < 100);
      const stet_test::memory_reader reader(*bytes, fails_at);
      const auto opened = stet::open(reader);
      if (!opened) continue;
      restore_report report;
      const auto done = stet::restore(*opened, to.variables, {}, &report);
      is_done = static_cast<bool>(done);
      if (is_done) break;
      CHECK(outcome(done) == "io_error");
      CHECK(to.is_untouched());
      CHECK(report.count(restore_outcome::failed) == 1);
      CHECK_FALSE(report.is_good());
      CHECK(report.copied_bytes < 36);
    }
    CHECK(to.is_restored());
    CHECK(fails_at >= 2); // the reader failed at least once while tensors were read
  }

  TEST_CASE("what is fetched before anything changes is in the program's memory") {
    program to;
    const auto file = to.writer().save_to_memory();
    REQUIRE(file);
    if (!file) return;
    const stet_test::memory_reader reader(*file);
    const auto from = stet::open(reader);
    REQUIRE(from);
    if (!from) return;
    bool is_done = false;
    for (std::uint64_t fails_at = 0; !is_done && fails_at < 5; ++fails_at) {
      stet_test::counted_memory memory(fails_at);
      restore_rules rules;
      rules.memory = &memory;
      const auto done = stet::restore(*from, to.variables, rules);
      is_done = static_cast<bool>(done);
      CHECK(outcome(done) == (is_done ? "ok" : "out_of_memory"));
      CHECK(to.is_untouched() != is_done);
      CHECK(memory.live() == 0);
      CHECK(memory.is_sound());
      if (is_done) CHECK(memory.bytes() == 36);
    }
    CHECK(to.is_restored());
  }

  TEST_CASE("what a reader gathers from memory goes to the variables at once, but for bools, which may be none") {
    const auto columns = stet_test::bytes_of<float>({0, 3, 1, 4, 2, 5});
    for (const auto flag : {std::uint8_t{1}, std::uint8_t{2}}) {
      const std::uint8_t flags[] = {0, flag, 1, 0};
      stet::store_builder builder;
      const std::uint32_t floats = builder.add_file("floats", stet::source::borrow(columns));
      const std::uint32_t bytes = builder.add_file("flags", stet::source::borrow(std::as_bytes(std::span(flags))));
      const auto add = [&](std::string_view name, stet::dtype dtype, std::uint32_t part, std::uint64_t rows,
                           std::uint64_t size_bytes) {
        stet::detail::strided_bytes turned(builder.part(part), 0, size_bytes);
        turned.add_axis(2, 1);
        turned.add_axis(rows, 2);
        auto kept = stet::source::keep(std::move(turned));
        REQUIRE(kept);
        const std::uint64_t extents[] = {2, rows};
        stet::index_row row{name, stet::element_layout::of(dtype), extents};
        row.size_bytes = 2 * rows * size_bytes;
        row.part = builder.add_decoded(std::move(*kept));
        builder.add(row);
      };
      add("kernel", stet::dtype::float32, floats, 3, 4);
      add("mask", stet::dtype::boolean, bytes, 2, 1);
      const auto from = builder.finish();
      REQUIRE(from);
      if (!from) return;
      CHECK(from->find("kernel")->reads_from_memory());
      std::vector<float> kernel(6, -1);
      bool mask[4] = {};
      variable_list variables;
      CHECK(variables.add("kernel", kernel, {2, 3}));
      CHECK(variables.add("mask", std::span(mask), {2, 2}));
      stet_test::counted_memory memory;
      restore_rules rules;
      rules.memory = &memory;
      CHECK(outcome(stet::restore(*from, variables, rules)) == (flag == 1 ? "ok" : "bad_value"));
      CHECK(memory.bytes() == 4);
      CHECK(kernel == (flag == 1 ? count_from(0, 6) : std::vector<float>(6, -1)));
      CHECK(mask[1] == (flag == 1));
      CHECK(mask[2] == (flag == 1));
    }
  }

  TEST_CASE("much is restored with several threads: all of it or nothing, with as little memory as one by one") {
    std::vector<std::vector<float>> values;
    stet::writer all;
    for (std::size_t i = 0; i < 9; ++i) {
      values.push_back(count_from(static_cast<float>(i), 300'000 + i));
      all.add("layer" + std::to_string(i), values[i]);
    }
    const auto file = all.save_to_memory();
    REQUIRE(file);
    if (!file) return;
    const stet_test::temp_folder folder;
    const std::string path = folder.write("model.stet", *file);
    const stet_test::memory_reader broken(*file, 9);
    const stet::result<stet::store> stores[] = {stet::open(path), stet::open(path, {.backing = stet::backing::stream}),
                                                stet::open(broken)};
    for (std::size_t number = 0; number < 3; ++number) {
      CAPTURE(number);
      const auto& from = stores[number];
      REQUIRE(from);
      if (!from) return;
      for (std::uint64_t fails_at = 0; fails_at < 40; fails_at += fails_at < 20 ? 1 : 19) {
        std::vector<std::vector<float>> into;
        std::vector<double> wide(values[4].size(), -1);
        for (const auto& each : values) into.emplace_back(each.size(), -1.0f);
        variable_list to;
        for (std::size_t i = 0; i < values.size(); ++i) {
          if (i == 4)
            CHECK(to.add("layer4", wide, {wide.size()}));
          else
            CHECK(to.add("layer" + std::to_string(i), into[i], {into[i].size()}));
        }
        stet_test::counted_memory memory(fails_at);
        restore_rules rules;
        rules.dtype = stet::dtype_policy::cast;
        rules.memory = &memory;
        restore_report report;
        const auto done = stet::restore(*from, to, rules, &report);
        // In place, it needs no memory; staged, it needs that of the tensors.
        const std::string expected = number == 0             ? "ok"
                                     : done || fails_at > 30 ? (number == 1 ? "ok" : "io_error")
                                                             : outcome(done);
        CHECK(outcome(done) == expected);
        CHECK((done || outcome(done) == "out_of_memory" || number == 2));
        CHECK(memory.live() == 0);
        for (std::size_t i = 0; i < values.size(); ++i) {
          if (i == 4)
            CHECK(wide == (done ? std::vector<double>(values[4].begin(), values[4].end())
                                : std::vector<double>(values[4].size(), -1)));
          else
            CHECK(into[i] == (done ? values[i] : std::vector<float>(values[i].size(), -1.0f)));
        }
        CHECK(report.count(restore_outcome::failed) == (done ? 0 : 1));
      }
    }
  }

  TEST_CASE("verifies checksums when asked to, before anything changes") {
    program to;
    auto bytes = to.writer().save_to_memory();
    REQUIRE(outcome(bytes) == "ok");
    if (!bytes) return;
    (*bytes)[bytes->size() - 1 - stet::tail_padding_bytes] ^= std::byte{1}; // of the bias
    const auto opened = stet::open(std::span<const std::byte>(*bytes));
    REQUIRE(outcome(opened) == "ok");
    if (!opened) return;
    restore_rules rules;
    rules.verify_checksums = true;
    restore_report report;
    CHECK(outcome(restore_twice(*opened, to, rules, report)) == "binding_failed");
    CHECK(outcomes(report) == "copied failed!");
    CHECK(report.entries[1].reason.starts_with("the bytes of the tensor are damaged"));
    CHECK(to.is_untouched());
    rules.verify_checksums = false;
    CHECK(outcome(stet::restore(*opened, to.variables, rules)) == "ok");
  }

  TEST_CASE("a checksum that is asked for and not there is an error") {
    std::vector<stet_test::native_tensor> tensors = {stet_test::tensor_of<float>("a", {2}, {1, 2})};
    tensors[0].has_crc32c = false;
    const stet_test::native_file file(tensors);
    const auto opened = stet::open(std::span<const std::byte>(file.bytes));
    REQUIRE(outcome(opened) == "ok");
    if (!opened) return;
    std::vector<float> memory(2, -1);
    variable_list variables;
    CHECK(variables.add("a", memory, {2}));
    restore_rules rules;
    rules.verify_checksums = true;
    restore_report report;
    CHECK(outcome(stet::restore(*opened, variables, rules, &report)) == "binding_failed");
    CHECK(report.entries[0].reason == "the tensor has no checksum to verify");
    CHECK(memory == std::vector<float>(2, -1));
  }

  TEST_CASE("bytes that are no bools are found before anything changes") {
    std::vector<stet_test::native_tensor> tensors = {stet_test::tensor_of<float>("a", {2}, {1, 2}),
                                                     stet_test::tensor_of<std::uint8_t>("flags", {2}, {1, 2})};
    tensors[1].layout = stet::element_layout::of(stet::dtype::boolean);
    const stet_test::native_file file(tensors);
    stet_test::every_way().open(file.bytes, [&](const stet_test::way_to_open& way, stet::result<stet::store>&& opened) {
      CAPTURE(way.name);
      REQUIRE(outcome(opened) == "ok");
      if (!opened) return;
      std::vector<float> memory(2, -1), flags_as_floats(2, -1);
      bool flags[2] = {true, true};
      variable_list variables;
      CHECK(variables.add("a", memory, {2}));
      restore_rules rules;
      SUBCASE("as bools") { CHECK(variables.add("flags", flags, {2})); }
      SUBCASE("converted") {
        CHECK(variables.add("flags", flags_as_floats, {2}));
        rules.dtype = stet::dtype_policy::cast;
      }
      restore_report report;
      const auto done = stet::restore(*opened, variables, rules, &report);
      CHECK(outcome(done) == (way.is_resident ? "binding_failed" : "bad_value"));
      CHECK(memory == std::vector<float>(2, -1));
      CHECK(flags_as_floats == std::vector<float>(2, -1));
      CHECK((flags[0] && flags[1]));
    });
  }

  TEST_CASE("memory of the store itself is no place to read from while it is written") {
    // Two tensors change places: each variable lies where the other's tensor does.
    std::vector<std::uint8_t> a = {1, 2, 3}, b = {4, 5, 6};
    stet::writer out;
    out.add("a", a, {3});
    out.add("b", b, {3});
    auto bytes = out.save_to_memory();
    REQUIRE(outcome(bytes) == "ok");
    if (!bytes) return;
    const auto opened = stet::open(std::span(*bytes));
    REQUIRE(outcome(opened) == "ok");
    if (!opened) return;
    const auto tensor_a = opened->find("a")->as_writable<std::uint8_t>(),
               tensor_b = opened->find("b")->as_writable<std::uint8_t>();
    variable_list variables;
    CHECK(variables.add("a", *tensor_a, {3}));
    CHECK(variables.add("b", *tensor_b, {3}));
    restore_rules rules;
    rules.renames = {rename_rule::exact("a", "b"), rename_rule::exact("b", "a")};
    CHECK(outcome(stet::restore(*opened, variables, rules)) == "ok");
    CHECK(std::equal(b.begin(), b.end(), tensor_a->begin()));
    CHECK(std::equal(a.begin(), a.end(), tensor_b->begin()));
    CHECK(outcome(stet::restore(*opened, variables)) == "ok"); // each from itself
  }

  TEST_CASE("variables that are only read, and views of nothing, are no place to copy to") {
    program to;
    const std::vector<float> constant(3, -1);
    stet::view<float, 3> nothing;
    const stet::store from = store_of(to.writer());
    restore_rules rules;
    rules.renames = {rename_rule::exact("own", "dense/bias")};
    restore_report report;
    SUBCASE("const memory") {
      CHECK(to.variables.add("own", constant, {3}));
      CHECK(outcome(restore_twice(from, to, rules, report)) == "binding_failed");
      CHECK(report.entries[2].reason.find("only read") != std::string::npos);
      CHECK(constant == std::vector<float>(3, -1));
    }
    SUBCASE("a view of nothing") {
      CHECK(to.variables.add_view("own", nothing));
      CHECK(outcome(restore_twice(from, to, rules, report)) == "binding_failed");
      CHECK(report.entries[2].reason.find("no memory") != std::string::npos);
    }
    CHECK(outcomes(report) == "copied copied failed!");
    CHECK(to.is_untouched());
  }

  TEST_CASE("a view that has other extents than it was added with is bound to those, and is no place to copy to") {
    if (!can_view_words) return;
    std::vector<float> own(3, -1), other(1, -1);
    const std::size_t three = 3, one = 1;
    stet::view<float, stet::dynamic> bias(own.data(), &three);
    variable_list variables;
    REQUIRE(variables.add_view("dense/bias", bias));
    const program other_program;
    stet::store from = store_of(other_program.writer());
    restore_rules rules;
    rules.unexpected = skip;
    for (const bool is_cleared : {true, false}) {
      bias = is_cleared ? stet::view<float, stet::dynamic>() : stet::view<float, stet::dynamic>(other.data(), &one);
      rules.mode = restore_mode::copy;
      CHECK(outcome(stet::restore(from, variables, rules)) == "binding_failed");
      rules.mode = restore_mode::bind;
      CHECK(outcome(stet::restore(from, variables, rules)) == "ok");
      CHECK(bias.extent(0) == 3);
      CHECK((bias.data() != nullptr && bias[2] == 22));
    }
    CHECK(other[0] == -1);
  }

  TEST_CASE("an optional variable need not be in the store") {
    scaled_bias bound;
    const std::uint8_t stored[] = {20, 21, 22};
    stet::writer out;
    out.add("dense/bias", stored, {3});
    variable_list variables;
    CHECK(variables.add_model(bound));
    restore_rules rules;
    rules.mode = restore_mode::bind;
    restore_report report;
    const stet::store from = store_of(out);
    CHECK(outcome(stet::restore(from, variables, rules, &report)) == "ok");
    CHECK(outcomes(report) == "bound missing");
    CHECK(bound.bias(2) == 22);
    CHECK(bound.scale.data() == nullptr);
  }
}

TEST_SUITE("restore: binding") {
  TEST_CASE("points views at the bytes of the store, and copies nothing") {
    program to;
    const stet::store from = store_of(to.writer());
    stet::view<const float, 2, 3> kernel;
    stet::view<const float, 3> bias;
    std::vector<float> plain(3, -1);
    variable_list variables;
    CHECK(variables.add_view("dense/kernel", kernel));
    CHECK(variables.add_view("dense/bias", bias));
    CHECK(variables.add("plain", plain, {3}));
    restore_rules rules;
    rules.mode = restore_mode::bind;
    rules.renames = {rename_rule::exact("plain", "dense/bias")};
    restore_report report;
    const auto done = restore_twice(from, variables, rules, report, [&] { return kernel.data() == nullptr; });
    CHECK(stet_test::elements_of<float>(from.find("dense/kernel")) == to.stored_kernel);
    if (can_view_words) {
      CHECK(outcome(done) == "ok");
      CHECK(outcomes(report) == "bound bound copied"); // plain memory cannot be pointed elsewhere
      CHECK(report.copied_bytes == 12);
      CHECK(plain == to.stored_bias);
      CHECK(kernel(1, 2) == 15);
      CHECK(static_cast<const void*>(kernel.data()) == from.find("dense/kernel")->bytes().data());
      CHECK(variables[0].bytes().data() == from.find("dense/kernel")->bytes().data());
    } else { // the report names what can only be copied
      CHECK(outcome(done) == "binding_failed");
      CHECK(done.error().subject() == "dense/kernel, dense/bias");
      CHECK(outcomes(report) == "failed! failed! copied");
      CHECK(report.entries[0].reason == "the bytes have the other byte order; copy_to swaps them");
      CHECK(kernel.data() == nullptr);
      CHECK(plain == std::vector<float>(3, -1));
      rules.mode = restore_mode::copy;
      rules.include = {"plain"};
      CHECK(outcome(stet::restore(from, variables, rules)) == "ok");
      CHECK(plain == to.stored_bias);
    }
  }

  TEST_CASE("refuses bytes that a view cannot show") {
    const std::vector<stet::uint4> codes(4);
    const std::vector<double> doubles = {1, 2};
    const std::vector<std::int32_t> integers = {1, 2};
    stet::writer out;
    out.add("codes", codes, {4});
    out.add("pad", std::span(codes).first(1), {1});
    out.add("doubles", doubles, {2});
    out.add("integers", integers, {2});
    stet::save_options dense;
    dense.alignment_bytes = 1;
    const auto bytes = out.save_to_memory(dense);
    REQUIRE(outcome(bytes) == "ok");
    if (!bytes) return;
    stet::view<const stet::uint4, 4> codes_view;
    stet::view<const double, 2> doubles_view;
    stet::view<const float, 2> floats_view;
    stet::view<const std::int32_t, 3> longer_view;
    restore_rules rules;
    rules.mode = restore_mode::bind;
    rules.unexpected = skip;
    rules.dtype = stet::dtype_policy::cast; // for what is copied; a view cannot convert
    rules.shape = shape_policy::overlap;
    const auto reason = [&](auto& view, const char* tensor, const stet::store& from) {
      variable_list variables;
      CHECK(variables.add_view("v", view));
      rules.renames = {rename_rule::exact("v", tensor)};
      restore_report report;
      CHECK(outcome(restore_twice(from, variables, rules, report, [&] { return view.data() == nullptr; })) ==
            "binding_failed");
      CHECK(view.data() == nullptr);
      return std::string(stet::name_of(report.entries[0].outcome)) + ": " + report.entries[0].reason;
    };
    const stet_test::exact_block block(*bytes);
    auto data = stet::open(std::span<const std::byte>(block.span()));
    const stet_test::memory_reader reader(*bytes);
    auto streamed = stet::open(reader);
    REQUIRE((data && streamed));
    if (!data || !streamed) return;
    CHECK(reason(codes_view, "codes", *data) ==
          "failed: the elements are packed below a byte; as_packed views them, copy_to unpacks them");
    const bool is_odd = reinterpret_cast<std::uintptr_t>(data->find("doubles")->bytes().data()) % alignof(double) != 0;
    REQUIRE(is_odd);
    CHECK(reason(doubles_view, "doubles", *data) ==
          (can_view_words ? "failed: the bytes are not aligned for this type; copy_to, bind_model with copy_into or "
                            "opening with backing::read give them"
                          : "failed: the bytes have the other byte order; copy_to swaps them"));
    CHECK(reason(doubles_view, "doubles", *streamed) == "failed: the bytes are not in memory; copy_to fetches them");
    CHECK(reason(floats_view, "integers", *data) ==
          "dtype_mismatch: int32 [2] in the store, float32 [2] in the program");
    CHECK(reason(longer_view, "integers", *data) == "shape_mismatch: int32 [2] in the store, int32 [3] in the program");
  }

  TEST_CASE("one view that cannot be bound leaves all as they were") {
    program to;
    stet::view<const float, 2, 3> kernel;
    stet::view<const float, 4> bias;
    std::vector<float> plain(3, -1);
    variable_list variables;
    CHECK(variables.add_view("dense/kernel", kernel));
    CHECK(variables.add_view("dense/bias", bias));
    CHECK(variables.add("plain", plain, {3}));
    restore_rules rules;
    rules.mode = restore_mode::bind;
    rules.renames = {rename_rule::exact("plain", "dense/bias")};
    restore_report report;
    CHECK(outcome(stet::restore(store_of(to.writer()), variables, rules, &report)) == "binding_failed");
    CHECK(outcomes(report) == (can_view_words ? "bound shape_mismatch! copied" : "failed! shape_mismatch! copied"));
    CHECK(kernel.data() == nullptr);
    CHECK(plain == std::vector<float>(3, -1));
  }

  TEST_CASE("an empty tensor is bound wherever its file lies") {
    stet::writer out;
    out.add("empty", std::span<const double>(), {0, 3});
    const auto bytes = out.save_to_memory();
    REQUIRE(outcome(bytes) == "ok");
    if (!bytes) return;
    const stet_test::exact_block block(*bytes, 1);
    const auto opened = stet::open(std::span<const std::byte>(block.span()));
    REQUIRE(outcome(opened) == "ok");
    if (!opened) return;
    stet::view<const double, 0, 3> view;
    variable_list variables;
    CHECK(variables.add_view("empty", view));
    restore_rules rules;
    rules.mode = restore_mode::bind;
    CHECK(outcome(stet::restore(*opened, variables, rules)) == "ok");
    CHECK(view.element_count() == 0);
  }

#if STET_FILES
  TEST_CASE("views that are written to need a store that may be; fine-tuning does not reach the file") {
    const std::uint8_t stored[] = {10, 11, 12, 13, 14, 15};
    stet::writer out;
    out.add("dense/kernel", stored, {2, 3});
    out.add("dense/bias", std::span(stored).first(3), {3});
    const stet_test::temp_folder folder;
    const std::string path = folder.path("base.stet");
    REQUIRE(outcome(out.save(path)) == "ok");
    const auto before = folder.read("base.stet");
    stet::view<std::uint8_t, 2, 3> kernel;
    stet::view<const std::uint8_t, 3> bias;
    variable_list variables;
    CHECK(variables.add_view("dense/kernel", kernel));
    CHECK(variables.add_view("dense/bias", bias));
    restore_rules rules;
    rules.mode = restore_mode::bind;
    restore_report report;
    {
      const auto opened = stet::open(path);
      REQUIRE(outcome(opened) == "ok");
      if (!opened) return;
      CHECK(outcome(stet::restore(*opened, variables, rules, &report)) == "binding_failed");
      CHECK(outcomes(report) == "failed! bound");
      CHECK(report.entries[0].reason == "the store was opened read-only");
      CHECK(kernel.data() == nullptr);
    }
    stet::open_options options;
    options.access = stet::access::copy_on_write;
    const auto opened = stet::open(path, options), other = stet::open(path);
    REQUIRE((opened && other));
    if (!opened || !other) return;
    CHECK(outcome(stet::restore(*opened, variables, rules, &report)) == "ok");
    CHECK(outcomes(report) == "bound bound");
    kernel(0, 0) = 123;
    CHECK(folder.read("base.stet") == before);
    CHECK(*other->find("dense/kernel")->as<std::uint8_t>()->data() == 10);
    CHECK(*opened->find("dense/kernel")->as<std::uint8_t>()->data() == 123);
  }

#if defined(__linux__)
  TEST_CASE("fine-tuning pays memory for the pages it changes only") {
    constexpr std::size_t page_count = 512, page_size = 4096;
    const std::vector<std::uint8_t> stored(page_count * page_size, 1);
    stet::writer out;
    out.add("a", stored, {page_count, page_size});
    const stet_test::temp_folder folder;
    const std::string path = folder.path("base.stet");
    stet::save_options options;
    options.is_durable = false;
    REQUIRE(outcome(out.save(path, options)) == "ok");
    stet::open_options writable;
    writable.access = stet::access::copy_on_write;
    const auto opened = stet::open(path, writable);
    REQUIRE(outcome(opened) == "ok");
    if (!opened) return;
    stet::view<std::uint8_t, page_count, page_size> view;
    variable_list variables;
    CHECK(variables.add_view("a", view));
    restore_rules rules;
    rules.mode = restore_mode::bind;
    REQUIRE(outcome(stet::restore(*opened, variables, rules)) == "ok");
    std::size_t sum = 0;
    for (std::size_t page = 0; page < page_count; ++page) sum += view(page, 0);
    CHECK(sum == page_count);
    for (std::size_t page = 0; page < 10; ++page) view(page * 50, 0) = 2;
    // The system's own account of the mapping: how much of it is this process's alone.
    std::ifstream smaps("/proc/self/smaps");
    std::string line;
    bool is_here = false;
    std::size_t private_kib = 0;
    while (std::getline(smaps, line)) {
      if (line.find("-") < line.find(' ') && line.find(':') > line.find(' '))
        is_here = line.find("base.stet") != std::string::npos;
      if (is_here && line.starts_with("Anonymous:"))
        private_kib += static_cast<std::size_t>(std::strtoul(line.c_str() + 10, nullptr, 10));
    }
    CHECK(private_kib >= 40);
    CHECK(private_kib <= 100); // of 2,048
  }
#endif
#endif
}
