// SPDX-License-Identifier: MIT
// Every call of a save of a TensorFlow checkpoint fails once, in every way it can: a checkpoint under a new prefix is there whole
// or not at all, and there is no litter.
#include "support/faulty_files.hpp"
#include "support/temp_folder.hpp"

#include <stet/formats/tensorflow/format.hpp>
#include <stet/formats/tensorflow/save.hpp>

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

namespace {

using stet_test::fault;
using stet_test::faulty_files;
using stet_test::file_call;
using stet_test::is_applicable;
using stet_test::temp_folder;

} // namespace

TEST_SUITE("tensorflow/write_faults") {
  TEST_CASE("a fault at any call leaves a whole checkpoint or none, and no litter") {
    const std::array<float, 100> first = {1}, second = {2};
    stet::writer out;
    out.add("a", first, {100});
    out.add("b", second, {100});
    stet::tensorflow_save_options options;
    options.max_shard_size_bytes = 500;
    options.state = stet::tensorflow_state{"new", {"old", "new"}, {}, 0};
    const std::vector<std::string> whole = {"checkpoint", "new.data-00000-of-00002", "new.data-00001-of-00002",
                                            "new.index"};

    std::vector<faulty_files::call> calls;
    {
      const temp_folder folder;
      faulty_files watched(fault::none, faulty_files::never, stet_test::without_syncing());
      options.operations = &watched.operations();
      REQUIRE(save_tensorflow_checkpoint(folder.path("new"), out, options));
      calls = watched.calls();
      CHECK(folder.names() == whole);
      // The order in which files appear.
      std::vector<std::string> renamed;
      for (const auto& call : calls) {
        if (call.entry == file_call::rename_over) renamed.push_back(call.path.substr(call.path.find_last_of('/') + 1));
      }
      CHECK(renamed == std::vector<std::string>{whole[1], whole[2], whole[3], whole[0]});
    }

    std::size_t fault_count = 0, failed_count = 0;
    for (const fault kind :
         {fault::failure, fault::late_failure, fault::interruption, fault::short_write, fault::no_reservation}) {
      for (std::size_t number = 0; number < calls.size(); ++number) {
        if (!is_applicable(kind, calls[number].entry)) continue;
        CAPTURE(number);
        CAPTURE(static_cast<int>(kind));
        CAPTURE(static_cast<int>(calls[number].entry));
        ++fault_count;
        const temp_folder folder;
        const std::string old_state = "model_checkpoint_path: \"old\"\n";
        folder.write("checkpoint", std::string_view(old_state));
        faulty_files faulty(kind, number, stet_test::without_syncing());
        options.operations = &faulty.operations();
        const auto done = save_tensorflow_checkpoint(folder.path("new"), out, options);
        const bool is_survivable =
            kind == fault::interruption || kind == fault::short_write || kind == fault::no_reservation;
        // The search for what killed programs left, and the lock that tells others not to remove this, may fail without a word.
        const file_call entry = calls[number].entry;
        const bool is_of_lock = entry == file_call::close && calls[number - 1].entry == file_call::rename_over;
        const bool is_beside = entry == file_call::list_folder || entry == file_call::keep_locked ||
                               entry == file_call::remove_unlocked || is_of_lock;
        CHECK(static_cast<bool>(done) == (is_survivable || is_beside));
        const auto opened = stet::open_tensorflow_checkpoint(folder.path("new"));
        if (opened) {
          CHECK(folder.names() == whole);
          CHECK(opened->store.verify_checksums());
          CHECK(opened->store.tensor_count() == 2);
        } else {
          CHECK_FALSE(done);
          ++failed_count;
          // A shard that got its name although that was denied stays, as a part of a native store does.
          if (kind != fault::late_failure || calls[number].entry != file_call::rename_over)
            CHECK(folder.names() == std::vector<std::string>{"checkpoint"});
          CHECK(folder.read("checkpoint").size() == old_state.size());
        }
      }
    }
    CHECK(fault_count > 60);
    CHECK(failed_count > 20);
  }
}
