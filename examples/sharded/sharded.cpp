// SPDX-License-Identifier: MIT
// One checkpoint of many ranks of MPI: a network that any number of them goes on training, and a checker of the library. README.md has
// the page that explains it.
#include "save_and_load.hpp"
#include "train.hpp"

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#if !defined(DIGITS_DATA)
#define DIGITS_DATA "digits_data.stet"
#endif

namespace {

constexpr char usage[] =
    R"(One checkpoint of many ranks. Each command runs with any number of them: mpirun -n 4 sharded …

  sharded train FOLDER        train the digits network, split over the ranks; go on after the newest checkpoint
    --steps S                 up to this step (default: 100)
    --save-every K            save at each step that is a multiple (default: 10)
    --stop-at S               the last rank ends after this step, as if it had crashed
    --data FILE               the images (default: those that come with the source)
  sharded save FOLDER         save random tensors, cut at random
  sharded load FOLDER         load them, cut in another way, and compare every element
    --seed X                  what is random comes from this (default: 1)
    --count K                 as many seeds, one after the other (default: 1)
    --verify 1                loading compares checksums, too

Exit status 0: done; 1: it failed, or an element differs; 2: wrong use.
)";

/// What the command line says.
struct wishes {
  std::vector<std::string> words;
  sharded::train_options train{.data = DIGITS_DATA};
  std::uint64_t seed = 1, count = 1, verify = 0;
};

bool read(int argc, char** argv, wishes& into) {
  struct numbered {
    std::string_view name;
    std::uint64_t& value;
  } const options[] = {{"--steps", into.train.steps},     {"--save-every", into.train.save_every},
                       {"--stop-at", into.train.stop_at}, {"--seed", into.seed},
                       {"--count", into.count},           {"--verify", into.verify}};
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (!word.starts_with("--")) {
      into.words.emplace_back(word);
      continue;
    }
    if (++i == argc) return false;
    if (word == "--data") {
      into.train.data = argv[i];
      continue;
    }
    bool is_known = false;
    for (const numbered& each : options) {
      if (each.name != word) continue;
      const char* const end = argv[i] + std::strlen(argv[i]);
      const auto [rest, failure] = std::from_chars(argv[i], end, each.value);
      is_known = failure == std::errc() && rest == end;
    }
    if (!is_known) return false;
  }
  return into.words.size() == 2 && into.train.save_every != 0;
}

/// @return what main returns
int run(const wishes& what) {
  auto ranks = stet::mpi_communicator::from(MPI_COMM_WORLD);
  if (!ranks) {
    std::fprintf(stderr, "%s\n", stet::error_text(ranks.error()).c_str());
    MPI_Abort(MPI_COMM_WORLD, 1);
    return 1;
  }
  const std::string &command = what.words[0], &folder = what.words[1];
  if (command == "train") return sharded::train(*ranks, folder, what.train);
  for (std::uint64_t seed = what.seed; seed < what.seed + what.count; ++seed) {
    const int status = command == "save" ? sharded::save_seed(*ranks, folder, seed)
                                         : sharded::load_seed(*ranks, folder, seed, what.verify != 0);
    if (status != 0) return status;
  }
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  wishes what;
  int status = 2;
  if (read(argc, argv, what) && (what.words[0] == "train" || what.words[0] == "save" || what.words[0] == "load")) {
    status = run(what);
  } else {
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0) std::fputs(usage, stderr);
  }
  MPI_Finalize();
  return status;
}
