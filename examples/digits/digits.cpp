// SPDX-License-Identifier: MIT
// The demo: one process teaches a network to read digits and saves it; another maps the file and reads with
// it.
#include "drawing.hpp"
#include "measure.hpp"
#include "model_file.hpp"
#include "training.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#if !defined(DIGITS_DATA)
#define DIGITS_DATA "digits_data.stet"
#endif

namespace {

using namespace digits;

constexpr char usage[] = R"(Reads handwritten digits with a network whose weights stay in their file.

  digits train MODEL.stet    learn from 3,000 images, then save the network
  digits run MODEL.stet      map the saved network and read 600 images it has never seen

  --data FILE    the images (default: those that come with the source)
  --help         this text
)";

enum exit_status { done = 0, failed = 1, wrong_use = 2 };

// ---- words on the screen ----

/// printf into a string.
template <class... Values> std::string text(const char* format, Values... values) {
  const int size = std::snprintf(nullptr, 0, format, values...);
  std::string result(static_cast<std::size_t>((std::max)(size, 0)) + 1, '\0');
  std::snprintf(result.data(), result.size(), format, values...);
  result.pop_back();
  return result;
}

/// A line of the report: a word, and what there is to say about it.
void report(const char* word, const std::string& statement) {
  std::printf("  %-10s%s\n", word, statement.c_str());
}

int fail(const stet::error& error) {
  char line[256];
  const std::string_view message = error.print(line, sizeof line);
  std::fprintf(stderr, "digits: %.*s\n", static_cast<int>(message.size()), message.data());
  return failed;
}

/// A time in the unit in which people would say it.
std::string duration(double seconds) {
  if (seconds < 1e-3)
    return text("%.0f us", seconds * 1e6);
  return seconds < 0.1 ? text("%.1f ms", seconds * 1e3) : text("%.2f s", seconds);
}

std::string accuracy(const score& held_out) {
  return text("%zu of %zu read right, %.1f %%", held_out.right, held_out.total, 100.0 * held_out.accuracy());
}

/// A bar that fills while the network learns: redrawn in place on a terminal, elsewhere written once, at the
/// end.
void show_progress(std::uint64_t epoch, std::uint64_t epochs, const score& seen, double seconds) {
  static const bool redraw = can_redraw(stdout);
  static const bool blocks = style_of(stdout) == drawing_style::blocks;
  const bool last = epoch == epochs;
  if (!redraw && !last)
    return;
  std::string bar;
  for (std::uint64_t part = 1; part <= 20; ++part) {
    const bool full = part * epochs <= epoch * 20;
    bar += blocks ? (full ? "━" : "╌") : (full ? "#" : ".");
  }
  std::printf("%s  %-10s%s  epoch %2d of %d, loss %.3f, %.2f s%s", redraw ? "\r" : "", "learning",
              bar.c_str(), static_cast<int>(epoch), static_cast<int>(epochs), seen.mean_loss(), seconds,
              last ? "\n" : "");
  std::fflush(stdout);
}

// ---- the two commands ----

/// The numbers of a network, tensor by tensor.
using tensor_values = std::span<const std::span<const float>>;

/// One number for all weights, to see at a glance that two processes have the same.
std::uint32_t fingerprint(tensor_values weights) {
  std::uint32_t crc = 0;
  for (const auto values : weights)
    crc = stet::crc32c(std::as_bytes(values), crc);
  return crc;
}

bool same_bits(tensor_values left, tensor_values right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(), [](auto x, auto y) {
    return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size_bytes()) == 0;
  });
}

int train_command(const char* model_path, const char* data_path) {
  const auto images = open_images(data_path);
  if (!images)
    return fail(images.error());
  report("images", text("%zu to learn from, %zu held out", images->train.size(), images->test.size()));

  const training_plan plan;
  training_state state = start(plan);
  const std::uint64_t steps = steps_per_epoch(plan, images->train);
  const stopwatch learning;
  for (std::uint64_t epoch = 1; epoch <= plan.epochs; ++epoch) {
    const score seen = train(plan, images->train, epoch * steps, state);
    show_progress(epoch, plan.epochs, seen, learning.seconds());
  }
  const score held_out = evaluate(state.weights.view(), images->test);
  report("held out", accuracy(held_out));

  const stopwatch saving;
  if (const auto saved = save_model(model_path, plan, state, held_out); !saved)
    return fail(saved.error());
  const double saving_seconds = saving.seconds();

  const auto model = open_model(model_path);
  if (!model)
    return fail(model.error());
  const auto weights = model->net.weights();
  if (!same_bits(state.weights.view().values(), weights))
    return fail(stet::error(stet::errc::checksum_mismatch, model_path));
  report("saved", text("%s, %.1f KB in %s", model_path, static_cast<double>(model->size_bytes()) / 1000.0,
                       duration(saving_seconds).c_str()));
  report("weights",
         text("%08x, the same bits in memory and in the file", static_cast<unsigned>(fingerprint(weights))));
  return done;
}

/// The memory that opening a model and reading all its weights took.
std::string memory_taken(std::optional<std::uint64_t> before, std::optional<std::uint64_t> after) {
  if (!before || !after)
    return "not known on this system";
  const long long kib = (static_cast<long long>(*after) - static_cast<long long>(*before)) / 1024;
  return text("%lld KiB of this process's own, with every weight read", kib);
}

int run_command(const char* model_path, const char* data_path) {
  const auto images = open_images(data_path);
  if (!images)
    return fail(images.error());

  private_memory_bytes(); // the first question has a cost of its own
  const auto memory_before = private_memory_bytes();
  const stopwatch opening;
  auto opened = stet::open(model_path);
  const double opening_seconds = opening.seconds();
  if (!opened)
    return fail(opened.error());
  const stopwatch building;
  auto model = build_model(std::move(*opened));
  const double building_seconds = building.seconds();
  if (!model)
    return fail(model.error());
  const std::uint32_t weights = fingerprint(model->net.weights()); // touches every weight
  const auto memory_after = private_memory_bytes();

  score held_out;
  std::vector<picture> right, wrong;
  const stopwatch reading;
  for (std::size_t at = 0; at < images->test.size(); ++at) {
    picture shown;
    unpack(images->test, at, shown.pixels);
    const auto probabilities = model->net.run(shown.pixels);
    const std::uint8_t said = answer(probabilities), label = images->test.labels[at];
    held_out.count(probabilities, label);
    auto& pictures = said == label ? right : wrong;
    if (pictures.size() == 4)
      continue;
    shown.caption = said == label ? text("%d", label) : text("%d, it says %d", label, said);
    pictures.push_back(std::move(shown));
  }
  const double reading_seconds = reading.seconds();

  const drawing_style style = style_of(stdout);
  std::printf("  Some digits that it reads:\n\n%s\n", draw(right, style).c_str());
  if (!wrong.empty())
    std::printf("  And some that it misreads:\n\n%s\n", draw(wrong, style).c_str());

  report("opened", text("%s in %s", model_path, duration(opening_seconds).c_str()));
  report("network", text("%s, built from the file's graph in %s", model->net.description().c_str(),
                         duration(building_seconds).c_str()));
  report("weights",
         text("%08x, used where they lie in the file: %llu bytes copied", static_cast<unsigned>(weights),
              static_cast<unsigned long long>(model->copied_bytes())));
  report("memory", memory_taken(memory_before, memory_after));
  report("held out", accuracy(held_out) + ", in " + duration(reading_seconds));
  if (const auto before = model->right_before_saving; before && *before == held_out.right)
    std::printf("\n  As many as before it was saved: the model stands as it was.\n");
  return done;
}

} // namespace

int main(int argument_count, char** arguments) {
  const char* data_path = DIGITS_DATA;
  std::vector<const char*> words;
  for (int at = 1; at < argument_count; ++at) {
    const std::string_view argument = arguments[at];
    if (argument == "--help") {
      std::fputs(usage, stdout);
      return done;
    }
    if (argument == "--data" && at + 1 < argument_count)
      data_path = arguments[++at];
    else
      words.push_back(arguments[at]);
  }
  if (words.size() == 2 && std::string_view(words[0]) == "train")
    return train_command(words[1], data_path);
  if (words.size() == 2 && std::string_view(words[0]) == "run")
    return run_command(words[1], data_path);
  std::fputs(usage, stderr);
  return wrong_use;
}
