// SPDX-License-Identifier: MIT
// Tests of the digits demo as a program: killed at any moment and started again with the same words.
#include "support/temp_folder.hpp"

#include <stet/checkpoint.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#if defined(DIGITS_COMMAND) && (defined(__unix__) || defined(__APPLE__))

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using stet_test::temp_folder;
using clock_type = std::chrono::steady_clock;

/// The program, running.
class process {
public:
  explicit process(const std::vector<std::string>& words) {
    std::vector<char*> arguments = {const_cast<char*>(DIGITS_COMMAND)};
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    process_ = ::fork();
    if (process_ != 0) return;
    const int nowhere = ::open("/dev/null", O_RDWR);
    for (int stream = 0; stream < 3; ++stream) ::dup2(nowhere, stream);
    ::execv(DIGITS_COMMAND, arguments.data());
    ::_exit(127);
  }
  process(const process&) = delete;
  process& operator=(const process&) = delete;
  ~process() {
    if (process_ > 0) kill();
  }

  /// Waits until the program has ended, or until `until`.
  bool has_ended(clock_type::time_point until) {
    while (process_ > 0 && ::waitpid(process_, &status_, WNOHANG) == 0) {
      if (clock_type::now() >= until) return false;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    process_ = -1;
    return true;
  }
  /// Ends the program as kill -9 does. Whether it was still there to be killed.
  bool kill() {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, &status_, 0);
    process_ = -1;
    return WIFSIGNALED(status_);
  }
  /// The status with which it ended.
  [[nodiscard]] int status() const { return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1; }

private:
  ::pid_t process_ = -1;
  int status_ = -1;
};

/// The words of a run that keeps everything in `folder`.
std::vector<std::string> training_in(const temp_folder& folder) {
  return {"train", folder.path("model.stet"), "--checkpoints", folder.path("checkpoints"), "--epochs", "4"};
}

bool has_same_tensors(const stet::store& a, const stet::store& b) {
  if (a.tensor_count() != b.tensor_count() || a.tensor_count() == 0) return false;
  for (const stet::tensor each : a) {
    const auto other = b.find(each.name());
    if (!other || other->dtype() != each.dtype() || other->size_bytes() != each.size_bytes() ||
        std::memcmp(other->bytes().data(), each.bytes().data(), each.bytes().size()) != 0)
      return false;
  }
  return true;
}

} // namespace

TEST_SUITE("digits command") {
  TEST_CASE("killed at any moment and started again with the same words, training ends with the same bits") {
    const temp_folder straight;
    const auto begin = clock_type::now();
    process whole(training_in(straight));
    REQUIRE(whole.has_ended(begin + std::chrono::minutes(5)));
    REQUIRE(whole.status() == 0);
    const auto duration = std::chrono::duration_cast<std::chrono::microseconds>(clock_type::now() - begin);
    const auto expected = stet::checkpoint_folder(straight.path("checkpoints")).open_latest();
    REQUIRE(expected);
    if (!expected) return;

    std::mt19937 random(3);
    int kill_count = 0, resume_count = 0;
    for (int round = 0; round < 5; ++round) {
      const temp_folder folder;
      const stet::checkpoint_folder checkpoints(folder.path("checkpoints"));
      bool is_done = false;
      for (int start = 0; start < 20 && !is_done; ++start) {
        const auto latest = checkpoints.latest();
        resume_count += latest && start != 0 ? 1 : 0;
        process run(training_in(folder));
        // The last start is left alone, so that the test ends on any machine.
        const auto patience =
            std::chrono::microseconds(random() % static_cast<std::uint32_t>(duration.count() * 3 / 4));
        is_done = run.has_ended(clock_type::now() + (start == 19 ? std::chrono::minutes(5) : patience));
        if (!is_done)
          kill_count += run.kill() ? 1 : 0;
        else
          CHECK(run.status() == 0);
      }
      REQUIRE(is_done);
      std::vector<stet::error> skipped;
      const auto found = checkpoints.open_latest({}, &skipped);
      REQUIRE(found);
      if (!found) return;
      CHECK(skipped.empty());
      CHECK(found->info.step == expected->info.step);
      CHECK(has_same_tensors(*found->opened, *expected->opened));
      CHECK(found->opened.file(0).manifest_text() == expected->opened.file(0).manifest_text());
      CHECK(folder.read("model.stet") == straight.read("model.stet"));
    }
    MESSAGE(kill_count << " kills, " << resume_count << " starts that went on after a checkpoint");
    CHECK(kill_count > 0);
    CHECK(resume_count > 0);
  }

  TEST_CASE("words that mean nothing are refused, and a folder that someone else saves into") {
    const temp_folder folder;
    const std::string model = folder.path("model.stet");
    const auto status_of = [](const std::vector<std::string>& words) {
      process run(words);
      return run.has_ended(clock_type::now() + std::chrono::minutes(5)) ? run.status() : -1;
    };
    const std::vector<std::string> wrong[] = {{},
                                              {"train"},
                                              {"transfer", model},
                                              {"train", model, "--epochs"},
                                              {"train", model, "--epochs", "0"},
                                              {"train", model, "--epochs", "-1"},
                                              {"train", model, "--epochs", "3x"},
                                              {"train", model, "--epochs", "99999999999999999999"},
                                              {"train", model, "--checkpoints"},
                                              {"train", model, "--checkpoint", "x"}};
    for (const auto& words : wrong) CHECK(status_of(words) == 2);
    CHECK(status_of({"transfer", model, folder.path("new.stet")}) == 1);
    CHECK(status_of({"train", "--checkpoints", folder.path("checkpoints"), "--epochs", "1"}) == 0);
    CHECK(stet::checkpoint_folder(folder.path("checkpoints")).latest());
    {
      const auto other = stet::checkpoint_manager::open_for_saving(folder.path("checkpoints"));
      REQUIRE(other);
      CHECK(status_of(training_in(folder)) == 1);
    }
    CHECK(folder.names() == std::vector<std::string>{"checkpoints"});
  }
}

#endif
