// SPDX-License-Identifier: MIT
// Every call of a save fails once, in every way it can: what is left is the old store or the new one, and no
// litter.
#include "support/faulty_files.hpp"
#include "support/sample_model.hpp"
#include "support/temp_folder.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace {

using stet::store_form;
using stet_test::fault;
using stet_test::faulty_files;
using stet_test::file_call;
using stet_test::is_applicable;
using stet_test::sample_model;
using stet_test::saved;
using stet_test::temp_folder;

struct save_case {
  std::string_view name;
  store_form form;
  /// What is there before.
  bool has_older;
  store_form older_form;
  bool is_durable;
  /// Whether the older store has the same tensors, so that its parts have the same names.
  bool is_same;
};
constexpr save_case save_cases[] = {
    {"a single file where nothing is", store_form::single_file, false, {}, true, false},
    {"a single file over another", store_form::single_file, true, store_form::single_file, true, false},
    {"a single file over another, not durable", store_form::single_file, true, store_form::single_file, false, false},
    {"parts where nothing is", store_form::sharded, false, {}, true, false},
    {"parts over other parts", store_form::sharded, true, store_form::sharded, true, false},
    {"parts over other parts, not durable", store_form::sharded, true, store_form::sharded, false, false},
    {"parts over the same parts", store_form::sharded, true, store_form::sharded, true, true},
    {"parts over a single file", store_form::sharded, true, store_form::single_file, true, false},
    {"a single file over parts", store_form::single_file, true, store_form::sharded, true, false},
    {"a loose store over another", store_form::loose, true, store_form::loose, true, false},
};

stet::save_options options_for(store_form form, bool is_durable, const stet::file_operations& operations) {
  stet::save_options options;
  options.form = form;
  options.max_part_size_bytes = 9000; // the kernel in a part of its own, the rest in another
  options.is_durable = is_durable;
  options.operations = &operations;
  return options;
}

/// A folder with the older store and other files, some of which are named almost like parts.
struct scene {
  explicit scene(const save_case& what, const sample_model& older) : path(folder.path("model.stet")) {
    folder.write("model-00000-of-00002-89abcdef.stet", std::string_view("listed by nobody"));
    folder.write("model.stet.backup", std::string_view("mine"));
    if (what.has_older)
      CHECK(older.writer().save(path, options_for(what.older_form, false, stet::system_file_operations())));
    before = folder.names();
  }
  temp_folder folder;
  std::string path;
  std::vector<std::string> before;
};

} // namespace

TEST_SUITE("writer/save_faults") {
  TEST_CASE("a fault at any call leaves the old store or the new one, and no litter") {
    const sample_model older(1), different(2);
    std::size_t fault_count = 0, failed_count = 0;
    for (const save_case& what : save_cases) {
      CAPTURE(what.name);
      const sample_model& newer = what.is_same ? older : different;
      const stet::writer out = newer.writer();

      // Without a fault: which calls there are, and what the folder holds afterwards.
      faulty_files watched(fault::none, faulty_files::never, stet_test::without_syncing());
      std::vector<std::string> after;
      {
        const scene here(what, older);
        REQUIRE(out.save(here.path, options_for(what.form, what.is_durable, watched.operations())));
        after = here.folder.names();
        CHECK(stet_test::which_is_at(here.path, older, newer) == (what.is_same ? saved::older : saved::newer));
        CHECK(std::none_of(after.begin(), after.end(), [](const std::string& name) {
          return name.ends_with(stet::atomic_file::temporary_suffix);
        }));
        CHECK(here.folder.read("model-00000-of-00002-89abcdef.stet").size() == 16);
        CHECK(here.folder.read("model.stet.backup").size() == 4);
      }
      const std::vector<faulty_files::call>& calls = watched.calls();
      const auto is_of_head = [](const faulty_files::call& call) {
        return call.entry == file_call::rename_over && call.path.ends_with("model.stet");
      };
      const std::size_t publishing =
          static_cast<std::size_t>(std::find_if(calls.begin(), calls.end(), is_of_head) - calls.begin());
      REQUIRE(publishing < calls.size());

      for (const fault kind :
           {fault::failure, fault::late_failure, fault::interruption, fault::short_write, fault::no_reservation}) {
        for (std::size_t number = 0; number < calls.size(); ++number) {
          if (!is_applicable(kind, calls[number].entry)) continue;
          CAPTURE(number);
          CAPTURE(static_cast<int>(kind));
          CAPTURE(static_cast<int>(calls[number].entry));
          ++fault_count;
          const scene here(what, older);
          faulty_files faulty(kind, number, stet_test::without_syncing());
          const auto done = out.save(here.path, options_for(what.form, what.is_durable, faulty.operations()));
          const saved found = stet_test::which_is_at(here.path, older, newer);
          const std::vector<std::string> names = here.folder.names();

          const bool is_survivable =
              kind == fault::interruption || kind == fault::short_write || kind == fault::no_reservation;
          if (is_survivable) CHECK(done);
          if (done) {
            CHECK((is_survivable || stet_test::is_beside_the_save(calls, number)));
            CHECK(found == (what.is_same ? saved::older : saved::newer));
            if (calls[number].entry == file_call::remove) {
              CHECK(std::includes(names.begin(), names.end(), after.begin(), after.end()));
              CHECK(names.size() <= after.size() + 1);
            } else {
              CHECK(names == after);
            }
            continue;
          }
          ++failed_count;
          CHECK(done.error().system_code() != 0);
          CHECK(!done.error().subject().empty());
          const bool is_published = number > publishing || (number == publishing && kind == fault::late_failure);
          if (is_published) {
            // The name is there; only whether it is on the disk is not known. The parts of the old store are
            // still there.
            CHECK(found == (what.is_same ? saved::older : saved::newer));
            CHECK(std::includes(names.begin(), names.end(), after.begin(), after.end()));
            CHECK(std::includes(names.begin(), names.end(), here.before.begin(), here.before.end()));
          } else {
            CHECK(found == (what.has_older ? saved::older : saved::neither));
            if (kind == fault::late_failure && calls[number].entry == file_call::rename_over) {
              // A part that got its name although that was denied stays: it may be the part of a store.
              CHECK(std::includes(names.begin(), names.end(), here.before.begin(), here.before.end()));
            } else {
              CHECK(names == here.before);
            }
          }
        }
      }
    }
    MESSAGE(fault_count << " faults, " << failed_count << " of which made the save fail");
    CHECK(fault_count > 400);
    CHECK(failed_count > 200);
  }

  TEST_CASE("a reader finds the old store or the new one after each call of a save") {
    const sample_model older(1), newer(2);
    for (const save_case& what : save_cases) {
      if (!what.has_older || what.is_same) continue;
      CAPTURE(what.name);
      const scene here(what, older);
      faulty_files watched;
      std::size_t seen_older = 0, seen_newer = 0, seen_neither = 0;
      watched.after_call = [&](const faulty_files::call&) {
        const saved found = stet_test::which_is_at(here.path, older, newer);
        seen_older += found == saved::older ? 1u : 0u;
        seen_newer += found == saved::newer ? 1u : 0u;
        seen_neither += found == saved::neither || (found == saved::older && seen_newer != 0) ? 1u : 0u;
      };
      REQUIRE(newer.writer().save(here.path, options_for(what.form, what.is_durable, watched.operations())));
      CHECK(seen_neither == 0);
      CHECK(seen_older > 0);
      CHECK(seen_newer > 0);
    }
  }

  TEST_CASE("what is durable is synced before it is named, and named before anything is removed") {
    const sample_model older(1), newer(2);
    const scene here({"", store_form::sharded, true, store_form::sharded, true, false}, older);
    faulty_files watched;
    REQUIRE(newer.writer().save(here.path, options_for(store_form::sharded, true, watched.operations())));
    std::string order;
    for (const faulty_files::call& call : watched.calls()) {
      switch (call.entry) {
      case file_call::create_exclusive:
        order += 'c';
        break;
      case file_call::reserve:
        order += 'v';
        break;
      case file_call::write_at:
        if (order.back() != 'w') order += 'w';
        break;
      case file_call::sync:
        order += 's';
        break;
      case file_call::close:
        order += 'x';
        break;
      case file_call::list_folder:
        order += 'l';
        break;
      case file_call::rename_over:
        order += call.path.ends_with("/model.stet") ? 'N' : 'n';
        break;
      case file_call::sync_folder:
        order += 'f';
        break;
      case file_call::remove:
        order += 'r';
        break;
      case file_call::keep_locked:
        order += 'k';
        break;
      case file_call::copy_access:
        order += 'a';
        break;
      case file_call::read_link:
        order += 'i';
        break;
      default:
        order += '?';
        break;
      }
    }
    const std::string_view name_taken = "N"
#if !defined(_WIN32)
                                        "x" // the lock is given up, where one was kept
#endif
        ;
    CHECK(order == std::string("iil"      // The path is no link, and nothing was left over;
                               "cavwsx"   // a part is made whole,
                               "icavwsx"  // and another,
                               "icavwskx" // and the store, which stays locked;
                               "lnnf")    // the parts get their names, which are put on the disk,
                       .append(name_taken)
                       .append("f")    // then the store its own,
                       .append("rr")); // and the old parts go.
  }
}
