// SPDX-License-Identifier: MIT
// Tests of delta.hpp: what changed and nothing else is saved, and comes back, or an error that says what is
// wrong.
#include "small_program.hpp"
#include "support/outcome.hpp"
#include "support/temp_folder.hpp"

#include <stet/json.hpp>
#include <stet/bytes/crc32c.hpp>
#include <stet/checkpoint/compact.hpp>
#include <stet/checkpoint/delta.hpp>
#include <stet/manifest/verify.hpp>
#include <stet/restore.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#if STET_FILES

using stet::variable_list;
using stet_test::outcome;
using stet_test::save_delta;
using stet_test::save_whole;
using stet_test::small_program;
using stet_test::temp_folder;

namespace {

/// A model that can do without its only tensor.
struct optional_bias {
  stet::view<const float, 10> bias;
  void bind(auto& field) { field.optional("dense/bias", bias); }
};

std::string names_of(const stet::store& of) {
  std::string names;
  for (const stet::tensor each : of) names.append(names.empty() ? "" : " ").append(each.name());
  return names;
}

/// The names of the tensors in a file alone.
std::string names_in(const std::string& path) {
  const auto opened = stet::open(path);
  return opened ? names_of(*opened) : outcome(opened);
}

/// Whether compacting the checkpoint `name` gives the bytes of saving `from` whole.
bool compacts_to(const temp_folder& folder, std::string_view name, const variable_list& from, std::uint64_t step) {
  const auto compacted = stet::compact(folder.path(name), folder.path("compact.stet"));
  CHECK(outcome(compacted) == "ok");
  CHECK(outcome(save_whole(from, folder.path("whole.stet"), step)) == "ok");
  return folder.read("compact.stet") == folder.read("whole.stet");
}

/// Whether restoring the checkpoint at `path` gives the values that the variables have now.
bool restores_to(const std::string& path, const variable_list& expected) {
  const auto opened = stet::open_checkpoint(path);
  CHECK(outcome(opened) == "ok");
  if (!opened) return false;
  if (names_of(**opened).empty() != (expected.size() == 0)) return false;
  stet::detail::comparison compared;
  for (const stet::variable& each : expected) {
    const auto found = (*opened)->find(each.name());
    compared.add(found ? &*found : nullptr, each);
  }
  compared.run(1);
  for (std::size_t number = 0; number < expected.size(); ++number) {
    if (!compared.is_unchanged(number)) return false;
  }
  return (*opened)->tensor_count() == expected.size() && stet::verify_store(**opened, {.thread_count = 1}).is_sound();
}

/// Five bytes that can be flipped anywhere without another CRC-32C: the polynomial itself, its highest power
/// first, from the lowest bit of the first byte on.
std::vector<std::byte> invisible_to_crc32c() {
  constexpr std::uint64_t polynomial = 0x11EDC6F41u;
  std::vector<std::byte> flips(5);
  for (unsigned bit = 0; bit <= 32; ++bit)
    flips[bit / 8] |= static_cast<std::byte>((polynomial >> (32 - bit) & 1u) << bit % 8);
  return flips;
}

} // namespace

TEST_SUITE("delta") {
  TEST_CASE("holds only what changed, and gives everything") {
    const temp_folder folder;
    small_program of;
    const variable_list variables = of.variables();
    const std::string base = folder.path("ckpt-1.stet"), delta = folder.path("ckpt-2.stet");
    REQUIRE(outcome(save_whole(variables, base)) == "ok");
    of.bias[3] = 1234;
    of.step[0] = 2;
    const auto report = save_delta(variables, base, delta, 2);
    REQUIRE(outcome(report) == "ok");
    if (!report) return;
    CHECK(report->changed_count == 2);
    CHECK(report->unchanged_count == 2);
    CHECK(report->changed_bytes == 48);
    CHECK(report->unchanged_bytes == 20007);
    CHECK(names_in(delta) == "dense/bias step");
    CHECK(std::filesystem::file_size(delta) < 2500);
    CHECK(restores_to(delta, variables));

    const auto opened = stet::open_checkpoint(delta);
    REQUIRE(outcome(opened) == "ok");
    if (!opened) return;
    const stet::store& all = **opened;
    CHECK(opened->file_count() == 2);
    CHECK(opened->file_name(0) == "ckpt-2.stet");
    CHECK(opened->file_name(1) == "ckpt-1.stet");
    CHECK(names_of(all) == "dense/kernel dense/bias codes step");
    CHECK(stet::layer_of(all, *all.find("step")) == "ckpt-2.stet");
    CHECK(stet::layer_of(all, *all.find("dense/kernel")) == "ckpt-1.stet");
    CHECK(all.find("dense/kernel")->bytes().data() == opened->file(1).find("dense/kernel")->bytes().data());

    small_program fresh;
    const variable_list into = fresh.variables();
    CHECK(outcome(stet::restore(all, into)) == "ok");
    CHECK(fresh.bias == of.bias);
    CHECK(fresh.step == of.step);
  }

  TEST_CASE("is a checkpoint of no bytes where nothing changed") {
    const temp_folder folder;
    small_program of;
    const variable_list variables = of.variables();
    REQUIRE(outcome(save_whole(variables, folder.path("a.stet"))) == "ok");
    const auto report = save_delta(variables, folder.path("a.stet"), folder.path("b.stet"), 7);
    REQUIRE(outcome(report) == "ok");
    CHECK(report->changed_count == 0);
    CHECK(names_in(folder.path("b.stet")).empty());
    CHECK(restores_to(folder.path("b.stet"), variables));
    CHECK(compacts_to(folder, "b.stet", variables, 7));
  }

  TEST_CASE("a whole checkpoint opens as itself") {
    const temp_folder folder;
    small_program of;
    const variable_list variables = of.variables();
    const std::string path = folder.path("a.stet");
    REQUIRE(outcome(save_whole(variables, path)) == "ok");
    auto opened = stet::open_checkpoint(path);
    REQUIRE(outcome(opened) == "ok");
    if (!opened) return;
    CHECK(opened->file_count() == 1);
    CHECK(&**opened == &opened->file(0));
    const stet::store* const before = &**opened;
    const stet::checkpoint_store moved(std::move(*opened));
    CHECK(&*moved == before);
    CHECK(moved->tensor_count() == 4);
    CHECK(compacts_to(folder, "a.stet", variables, 1));
    CHECK(outcome(stet::open_checkpoint(folder.path("none.stet"))) == "file_not_found");
  }

  TEST_CASE("counts another dtype or shape as a change, and packed elements as equal") {
    const temp_folder folder;
    small_program of;
    REQUIRE(outcome(save_whole(of.variables(), folder.path("a.stet"))) == "ok");
    std::vector<std::int32_t> integers(10);
    std::memcpy(integers.data(), of.bias.data(), 40); // the same bytes
    variable_list variables;
    CHECK(variables.add("dense/kernel", of.kernel, {10, 500}));
    CHECK(variables.add("dense/bias", integers, {10}));
    CHECK(variables.add("codes", of.codes, {7}));
    CHECK(variables.add("step", of.step, {}, false));
    REQUIRE(outcome(save_delta(variables, folder.path("a.stet"), folder.path("b.stet"))) == "ok");
    CHECK(names_in(folder.path("b.stet")) == "dense/kernel dense/bias");
    of.codes[6] = stet::int4(-1);
    REQUIRE(outcome(save_delta(variables, folder.path("b.stet"), folder.path("c.stet"))) == "ok");
    CHECK(names_in(folder.path("c.stet")) == "codes");
    CHECK(restores_to(folder.path("c.stet"), variables));
    CHECK(compacts_to(folder, "c.stet", variables, 1));
  }

  TEST_CASE("finds changes that a checksum does not see, and zeros of another sign") {
    const temp_folder folder;
    small_program of;
    const variable_list variables = of.variables();
    of.bias[0] = 0.0F;
    REQUIRE(outcome(save_whole(variables, folder.path("a.stet"))) == "ok");
    const std::span<std::byte> kernel = std::as_writable_bytes(std::span(of.kernel));
    const std::uint32_t crc = stet::crc32c(kernel);
    const std::vector<std::byte> flips = invisible_to_crc32c();
    for (std::size_t i = 0; i < flips.size(); ++i) kernel[1000 + i] ^= flips[i];
    REQUIRE(stet::crc32c(kernel) == crc);
    of.bias[0] = -0.0F;
    REQUIRE(outcome(save_delta(variables, folder.path("a.stet"), folder.path("b.stet"))) == "ok");
    CHECK(names_in(folder.path("b.stet")) == "dense/kernel dense/bias");
    CHECK(restores_to(folder.path("b.stet"), variables));
  }

  TEST_CASE("deltas of deltas: changed, removed, added, added again") {
    const temp_folder folder;
    small_program of;
    std::vector<float> extra = {1, 2, 3}, late = {4};
    const variable_list all = of.variables();
    REQUIRE(outcome(save_whole(all, folder.path("1.stet"))) == "ok");

    of.step[0] = 2;
    variable_list second; // without the bias, with something new
    CHECK(second.add("dense/kernel", of.kernel, {500, 10}));
    CHECK(second.add("codes", of.codes, {7}));
    CHECK(second.add("step", of.step, {}, false));
    CHECK(second.add("extra", extra, {3}));
    REQUIRE(outcome(save_delta(second, folder.path("1.stet"), folder.path("2.stet"), 2)) == "ok");
    CHECK(names_in(folder.path("2.stet")) == "step extra");
    CHECK(restores_to(folder.path("2.stet"), second));
    CHECK(compacts_to(folder, "2.stet", second, 2));

    of.step[0] = 3;
    variable_list third; // the bias is back, at the end; what was new is gone
    CHECK(third.add("dense/kernel", of.kernel, {500, 10}));
    CHECK(third.add("codes", of.codes, {7}));
    CHECK(third.add("step", of.step, {}, false));
    CHECK(third.add("dense/bias", of.bias, {10}));
    REQUIRE(outcome(save_delta(third, folder.path("2.stet"), folder.path("3.stet"), 3)) == "ok");
    CHECK(names_in(folder.path("3.stet")) == "step dense/bias");
    CHECK(stet::open(folder.path("3.stet")).value().manifest_text().find("\"order\"") == std::string_view::npos);
    CHECK(restores_to(folder.path("3.stet"), third));
    CHECK(compacts_to(folder, "3.stet", third, 3));

    variable_list fourth; // another order, and one in the middle
    CHECK(fourth.add("step", of.step, {}, false));
    CHECK(fourth.add("late", late, {1}));
    CHECK(fourth.add("dense/bias", of.bias, {10}));
    CHECK(fourth.add("dense/kernel", of.kernel, {500, 10}));
    REQUIRE(outcome(save_delta(fourth, folder.path("3.stet"), folder.path("4.stet"), 4)) == "ok");
    CHECK(names_in(folder.path("4.stet")) == "late");
    CHECK(restores_to(folder.path("4.stet"), fourth));
    CHECK(compacts_to(folder, "4.stet", fourth, 4));

    variable_list fifth; // "late" goes and comes again in the sixth: at its end, not where it was
    CHECK(fifth.add("step", of.step, {}, false));
    CHECK(fifth.add("dense/bias", of.bias, {10}));
    CHECK(fifth.add("dense/kernel", of.kernel, {500, 10}));
    REQUIRE(outcome(save_delta(fifth, folder.path("4.stet"), folder.path("5.stet"), 5)) == "ok");
    CHECK(compacts_to(folder, "5.stet", fifth, 5));
    CHECK(fifth.add("late", late, {1}));
    REQUIRE(outcome(save_delta(fifth, folder.path("5.stet"), folder.path("6.stet"), 6)) == "ok");
    CHECK(restores_to(folder.path("6.stet"), fifth));
    CHECK(compacts_to(folder, "6.stet", fifth, 6));
    const auto opened = stet::open_checkpoint(folder.path("6.stet"));
    CHECK((opened && opened->file_count() == 6));

    // What is made whole needs its bases no more, and the deltas above it still are right.
    REQUIRE(outcome(stet::compact(folder.path("6.stet"), folder.path("6.stet"))) == "ok");
    for (const char* name : {"1.stet", "2.stet", "3.stet", "4.stet", "5.stet"})
      (void)std::remove(folder.path(name).c_str());
    CHECK(restores_to(folder.path("6.stet"), fifth));
  }

  TEST_CASE("keeps what a manifest says of tensors that did not change") {
    const temp_folder folder;
    small_program of;
    REQUIRE(outcome(save_whole(of.variables(true), folder.path("a.stet"))) == "ok");
    const variable_list frozen = of.variables(false);
    const auto report = save_delta(frozen, folder.path("a.stet"), folder.path("b.stet"), 2);
    REQUIRE(outcome(report) == "ok");
    CHECK(report->changed_count == 0); // a frozen trunk costs no bytes
    CHECK(compacts_to(folder, "b.stet", frozen, 2));
    of.step[0] = 3;
    REQUIRE(outcome(save_delta(frozen, folder.path("b.stet"), folder.path("c.stet"), 3)) == "ok");
    CHECK(compacts_to(folder, "c.stet", frozen, 3));
  }

  TEST_CASE("any number of threads finds every change, wherever it is in a large variable") {
    constexpr std::size_t count = 1500001; // more than five pieces of a comparison, and not a whole number of them
    const temp_folder folder;
    std::vector<float> large(count, 1.5F), other(count, 2.5F);
    std::vector<std::uint8_t> little{1, 2, 3};
    variable_list variables;
    CHECK(variables.add("large", std::span(large), {count}));
    CHECK(variables.add("little", std::span(little), {3}));
    CHECK(variables.add("other", std::span(other), {count}));
    REQUIRE(outcome(save_whole(variables, folder.path("a.stet"))) == "ok");
    const auto base = stet::open_checkpoint(folder.path("a.stet"));
    REQUIRE(outcome(base) == "ok");
    if (!base) return;
    for (const unsigned thread_count : {0u, 1u, 2u, 5u, 64u}) {
      CAPTURE(thread_count);
      stet::writer same;
      const auto none = stet::add_changed(same, variables, *base, thread_count);
      REQUIRE(outcome(none) == "ok");
      CHECK(none->changed_count == 0);
      CHECK(none->unchanged_bytes == 2 * count * sizeof(float) + 3);
      for (const std::size_t at : {std::size_t{0}, std::size_t{262143}, std::size_t{262144}, count / 2, count - 1}) {
        CAPTURE(at);
        other[at] = -2.5F;
        stet::writer changed;
        const auto one = stet::add_changed(changed, variables, *base, thread_count);
        REQUIRE(outcome(one) == "ok");
        CHECK(one->changed_count == 1);
        CHECK(one->changed_bytes == count * sizeof(float));
        other[at] = 2.5F;
      }
    }
  }

  TEST_CASE("variables that are bound to the base cost no comparison, but what was written there is saved") {
    const temp_folder folder;
    small_program of;
    REQUIRE(outcome(save_whole(of.variables(), folder.path("a.stet"))) == "ok");
    stet::view<const float, 500, 10> shown;
    stet::view<float, 10> bias;
    stet::open_options options;
    options.access = stet::access::copy_on_write;
    const auto base = stet::open_checkpoint(folder.path("a.stet"), options);
    REQUIRE(outcome(base) == "ok");
    if (!base) return;
    variable_list variables;
    CHECK(variables.add_view("dense/kernel", shown));
    CHECK(variables.add_view("dense/bias", bias));
    stet::restore_rules rules;
    rules.mode = stet::restore_mode::bind;
    rules.unexpected = stet::absence_policy::skip;
    REQUIRE(outcome(stet::restore(**base, variables, rules)) == "ok");
    bias(4) = 99;
    // Against a mapping of its own: the file tells what changed.
    REQUIRE(outcome(save_delta(variables, folder.path("a.stet"), folder.path("b.stet"))) == "ok");
    CHECK(names_in(folder.path("b.stet")) == "dense/bias");
    // Against the very memory that was written to: nothing tells, so everything is saved.
    stet::writer out;
    const auto report = stet::add_changed(out, variables, *base);
    REQUIRE(outcome(report) == "ok");
    CHECK(report->changed_count == 2);

    const auto read_only = stet::open_checkpoint(folder.path("a.stet"));
    REQUIRE(outcome(read_only) == "ok");
    if (!read_only) return;
    stet::view<const float, 10> bias_shown;
    variable_list shown_only;
    CHECK(shown_only.add_view("dense/kernel", shown));
    CHECK(shown_only.add_view("dense/bias", bias_shown));
    REQUIRE(outcome(stet::restore(**read_only, shown_only, rules)) == "ok");
    stet::writer unknown;
    CHECK(outcome(stet::add_changed(unknown, stet::snapshot(), *read_only)) == "invalid_argument");
    stet::writer again;
    const auto same = stet::add_changed(again, shown_only, *read_only);
    REQUIRE(outcome(same) == "ok");
    CHECK(same->changed_count == 0);
  }

  TEST_CASE("a view of nothing is an error to save, or left out if optional") {
    const temp_folder folder;
    small_program of;
    REQUIRE(outcome(save_whole(of.variables(), folder.path("a.stet"))) == "ok");
    stet::view<const float, 10> nothing;
    variable_list variables;
    CHECK(variables.add_view("dense/bias", nothing));
    CHECK(outcome(save_delta(variables, folder.path("a.stet"), folder.path("b.stet"))) == "size_mismatch");
    CHECK(outcome(save_whole(variables, folder.path("b.stet"))) == "size_mismatch");
  }

  TEST_CASE("an optional view of nothing is removed, and comes back") {
    const temp_folder folder;
    small_program of;
    optional_bias bound;
    bound.bias = stet::view<const float, 10>(of.bias.data(), bound.bias.static_extents);
    variable_list variables;
    CHECK(variables.add("dense/kernel", of.kernel, {500, 10}));
    CHECK(variables.add_model(bound));
    REQUIRE(outcome(save_whole(variables, folder.path("a.stet"))) == "ok");
    bound.bias = {};
    REQUIRE(outcome(save_delta(variables, folder.path("a.stet"), folder.path("b.stet"))) == "ok");
    const auto without = stet::open_checkpoint(folder.path("b.stet"));
    CHECK((without && names_of(**without) == "dense/kernel"));
    bound.bias = stet::view<const float, 10>(of.bias.data(), bound.bias.static_extents);
    REQUIRE(outcome(save_delta(variables, folder.path("b.stet"), folder.path("c.stet"))) == "ok");
    CHECK(restores_to(folder.path("c.stet"), variables));
  }

  TEST_CASE("bases may be streamed, read, and of several files") {
    const temp_folder folder;
    small_program of;
    const variable_list variables = of.variables();
    stet::writer out;
    CHECK(stet::add_variables(out, variables));
    stet::save_options sharded;
    sharded.form = stet::store_form::sharded;
    sharded.max_part_size_bytes = 1000;
    REQUIRE(outcome(out.save(folder.path("a.stet"), sharded)) == "ok");
    of.bias[0] = 77;
    for (const stet::backing backing : {stet::backing::map, stet::backing::read, stet::backing::stream}) {
      stet::open_options options;
      options.backing = backing;
      const auto base = stet::open_checkpoint(folder.path("a.stet"), options);
      REQUIRE(outcome(base) == "ok");
      if (!base) return;
      stet::writer delta;
      const auto report = stet::add_changed(delta, variables, *base);
      REQUIRE(outcome(report) == "ok");
      CHECK(report->changed_count == 1);
      REQUIRE(outcome(delta.save(folder.path("b.stet"))) == "ok");
      const auto opened = stet::open_checkpoint(folder.path("b.stet"), options);
      REQUIRE(outcome(opened) == "ok");
      if (!opened) return;
      float bias[10] = {};
      CHECK(outcome((*opened)->find("dense/bias")->copy_to(std::span<float>(bias))) == "ok");
      CHECK(bias[0] == 77);
      CHECK(stet::layer_of(**opened, *(*opened)->find("dense/kernel")).starts_with("a.stet/a-00000-of-"));
      CHECK(outcome((*opened)->verify_checksums()) == "ok");
    }
    CHECK(restores_to(folder.path("b.stet"), variables));
  }

  TEST_CASE("a base that is missing, another, damaged or a link is an error that names it") {
    const temp_folder folder;
    small_program of;
    const variable_list variables = of.variables();
    const std::string base = folder.path("base.stet"), delta = folder.path("delta.stet");
    REQUIRE(outcome(save_whole(variables, base)) == "ok");
    of.bias[0] = 9;
    REQUIRE(outcome(save_delta(variables, base, delta)) == "ok");
    const auto check = [&](std::string_view expected) {
      const auto opened = stet::open_checkpoint(delta);
      CHECK(outcome(opened) == expected);
      if (!opened) CHECK(opened.error().subject() == "base.stet");
      CHECK(outcome(stet::compact(delta, folder.path("c.stet"))) == expected);
    };
    SUBCASE("missing") {
      REQUIRE(std::remove(base.c_str()) == 0);
      check("missing_base");
    }
    SUBCASE("of another save") {
      REQUIRE(outcome(save_whole(variables, base)) == "ok"); // as it is now
      check("part_mismatch");
    }
    SUBCASE("of the same tensors at another step") {
      of.bias[0] = -5;
      REQUIRE(outcome(save_whole(variables, base, 2)) == "ok");
      check("part_mismatch");
    }
    SUBCASE("damaged") {
      auto bytes = folder.read("base.stet");
      bytes[300] ^= std::byte{1};
      folder.write("base.stet", bytes);
      check("manifest_checksum");
    }
    SUBCASE("no store") {
      folder.write("base.stet", "hello");
      check("bad_magic");
    }
#if !defined(_WIN32)
    SUBCASE("a link") {
      REQUIRE(std::rename(base.c_str(), folder.path("elsewhere").c_str()) == 0);
      std::filesystem::create_symlink(folder.path("elsewhere"), base);
      check("bad_path");
      stet::open_options options;
      options.follow_links = true;
      CHECK(outcome(stet::open_checkpoint(delta, options)) == "ok");
    }
#endif
  }

  TEST_CASE("hostile fields are refused by name") {
    const temp_folder folder;
    small_program of;
    const variable_list variables = of.variables();
    REQUIRE(outcome(save_whole(variables, folder.path("base.stet"))) == "ok");
    const auto base = stet::open(folder.path("base.stet"));
    REQUIRE(outcome(base) == "ok");
    if (!base) return;
    const std::string right = stet::detail::hex_of(stet::content_digest(*base));
    std::string upper = right;
    for (char& c : upper) c = static_cast<char>(c >= 'a' && c <= 'f' ? c - 'a' + 'A' : c);
    using json = stet::json_value;
    struct row {
      json field;
      const char* expected;
    };
    const row rows[] = {
        {json({{"file", "base.stet"}, {"sha256", right}}), "ok"},
        {json({{"file", "base.stet"},
               {"sha256", right},
               {"removed", json::array({"codes", "codes", "none"})},
               {"order", json::array({"step", "none", "step"})}}),
         "ok"},
        {json({{"file", "base.stet"}, {"sha256", right}, {"unknown", 1}}), "ok"},
        {json("base.stet"), "wrong_type"},
        {json(nullptr), "wrong_type"},
        {json::array(), "wrong_type"},
        {json::object(), "missing_field"},
        {json({{"file", "base.stet"}}), "missing_field"},
        {json({{"sha256", right}}), "missing_field"},
        {json({{"file", 1}, {"sha256", right}}), "wrong_type"},
        {json({{"file", "base.stet"}, {"sha256", 7}}), "wrong_type"},
        {json({{"file", "base.stet"}, {"sha256", ""}}), "bad_checksum_field"},
        {json({{"file", "base.stet"}, {"sha256", right.substr(1)}}), "bad_checksum_field"},
        {json({{"file", "base.stet"}, {"sha256", right + "0"}}), "bad_checksum_field"},
        {json({{"file", "base.stet"}, {"sha256", upper}}), "bad_checksum_field"},
        {json({{"file", "base.stet"}, {"sha256", std::string(64, 'g')}}), "bad_checksum_field"},
        {json({{"file", "base.stet"}, {"sha256", std::string(64, '0')}}), "part_mismatch"},
        {json({{"file", "../base.stet"}, {"sha256", right}}), "bad_path"},
        {json({{"file", folder.path("base.stet")}, {"sha256", right}}), "bad_path"},
        {json({{"file", "sub/base.stet"}, {"sha256", right}}), "bad_path"},
        {json({{"file", "..\\base.stet"}, {"sha256", right}}), "bad_path"},
        {json({{"file", "C:base.stet"}, {"sha256", right}}), "bad_path"},
        {json({{"file", ""}, {"sha256", right}}), "bad_path"},
        {json({{"file", "."}, {"sha256", right}}), "bad_path"},
        {json({{"file", ".."}, {"sha256", right}}), "bad_path"},
        {json({{"file", std::string("base.stet\0x", 11)}, {"sha256", right}}), "bad_path"},
        {json({{"file", "none.stet"}, {"sha256", right}}), "missing_base"},
        {json({{"file", "base.stet"}, {"sha256", right}, {"removed", "codes"}}), "wrong_type"},
        {json({{"file", "base.stet"}, {"sha256", right}, {"removed", json::array({1})}}), "wrong_type"},
        {json({{"file", "base.stet"}, {"sha256", right}, {"order", json::object()}}), "wrong_type"},
        {json({{"file", "base.stet"}, {"sha256", right}, {"order", json::array({nullptr})}}), "wrong_type"},
        {json({{"file", "base.stet"}, {"sha256", right}, {"attributes", json::array()}}), "wrong_type"},
        {json({{"file", "base.stet"}, {"sha256", right}, {"attributes", json({{"codes", 1}})}}), "wrong_type"},
    };
    for (const row& each : rows) {
      CAPTURE(each.field.dump());
      stet::writer out;
      out.set_extra(stet::json_value{{"base", each.field}});
      REQUIRE(outcome(out.save(folder.path("delta.stet"))) == "ok");
      const auto opened = stet::open_checkpoint(folder.path("delta.stet"));
      CHECK(outcome(opened) == each.expected);
      CHECK(outcome(stet::compact(folder.path("delta.stet"), folder.path("compact.stet"))) == each.expected);
    }
    // What only looks like a base is none.
    stet::writer out;
    out.metadata = stet::json_value{{"base", "a word"}, {"note", "\"base\""}};
    REQUIRE(outcome(out.save(folder.path("delta.stet"))) == "ok");
    const auto opened = stet::open_checkpoint(folder.path("delta.stet"));
    CHECK((opened && opened->file_count() == 1));
  }

  TEST_CASE("a base that is spelt with escapes is one") {
    const temp_folder folder;
    small_program of;
    REQUIRE(outcome(save_whole(of.variables(), folder.path("base.stet"))) == "ok");
    // The writer never spells a key so; a file may.
    const std::string text = "{\"stet\":{\"version\":1,\"minimum_reader\":1},\"tensors\":{},\"b\\u0061se\":{"
                             "\"file\":\"base.stet\",\"sha256\":\"" +
                             std::string(64, '0') + "\"}}";
    stet::store::contents made;
    made.manifest = text;
    const auto base = stet::base_of(stet::store(std::move(made)));
    REQUIRE(outcome(base) == "ok");
    CHECK(base->has_value());
  }

  TEST_CASE("circles and endless chains end in an error") {
    const temp_folder folder;
    const auto save_naming = [&folder](const std::string& name, const std::string& base, const std::string& digest) {
      stet::writer out;
      out.set_extra(stet::json_value{{"base", {{"file", base}, {"sha256", digest}}}});
      CHECK(outcome(out.save(folder.path(name))) == "ok");
      const auto opened = stet::open(folder.path(name));
      return opened ? stet::detail::hex_of(stet::content_digest(*opened)) : std::string();
    };
    const std::string zeros(64, '0');
    SUBCASE("itself") {
      const std::string digest = save_naming("a.stet", "a.stet", zeros);
      CHECK(outcome(stet::open_checkpoint(folder.path("a.stet"))) == "bad_path");
      // Whatever digest it gives: a store is no part of itself.
      save_naming("a.stet", "a.stet", digest);
      CHECK(outcome(stet::open_checkpoint(folder.path("a.stet"))) == "bad_path");
    }
    SUBCASE("each other") {
      const std::string digest = save_naming("a.stet", "b.stet", zeros);
      const std::string other = save_naming("b.stet", "a.stet", digest);
      save_naming("a.stet", "b.stet", other);
      CHECK(outcome(stet::open_checkpoint(folder.path("a.stet"))) == "bad_path");
      CHECK(outcome(stet::open_checkpoint(folder.path("b.stet"))) == "part_mismatch");
    }
    SUBCASE("a long chain") {
      stet::writer whole;
      REQUIRE(outcome(whole.save(folder.path("0"))) == "ok");
      std::string digest = stet::detail::hex_of(stet::content_digest(stet::open(folder.path("0")).value()));
      for (int i = 1; i < 65; ++i) digest = save_naming(std::to_string(i), std::to_string(i - 1), digest);
      const auto longest = stet::open_checkpoint(folder.path("63"));
      REQUIRE(longest);
      CHECK(longest->file_count() == 64);
      stet::writer next;
      const auto added = stet::add_changed(next, stet::variable_list(), *longest);
      CHECK(outcome(added) == "too_deep");
      CHECK(added.error().subject() == "63");
      CHECK(outcome(stet::open_checkpoint(folder.path("64"))) == "too_deep");
    }
  }
}

#endif
