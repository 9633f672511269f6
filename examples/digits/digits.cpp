// SPDX-License-Identifier: MIT
// The demo: one process teaches a network to read digits and saves it; another maps the file and reads with
// it; a third gives it a second trade.
#include "drawing.hpp"
#include "measure.hpp"
#include "model_file.hpp"
#include "training.hpp"
#include "transfer.hpp"

#include <algorithm>
#include <charconv>
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

  digits train [MODEL.stet]           learn from 3,000 images, then save the network
  digits run MODEL.stet               map the saved network and read 600 images it has never seen
  digits transfer MODEL.stet NEW.stet give it a new head that tells odd from even, save that head alone as a
                                      delta in the same folder, and serve both networks from one mapping

  --checkpoints DIR  save a checkpoint after each epoch of training; go on after the newest one there is.
                     With these, MODEL.stet may be left out
  --epochs N         how many times to learn from all images (default: 40)
  --data FILE        the images (default: those that come with the source)
  --help             this text
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
void report(const char* word, const std::string& statement) { std::printf("  %-10s%s\n", word, statement.c_str()); }

int fail(const stet::error& error) {
  char line[256];
  const std::string_view message = error.print(line, sizeof line);
  std::fprintf(stderr, "digits: %.*s\n", static_cast<int>(message.size()), message.data());
  return failed;
}

/// A time in the unit in which people would say it.
std::string duration(double seconds) {
  if (seconds < 1e-3) return text("%.0f us", seconds * 1e6);
  return seconds < 0.1 ? text("%.1f ms", seconds * 1e3) : text("%.2f s", seconds);
}

std::string accuracy(const score& held_out, const char* what = "read right") {
  return text("%zu of %zu %s, %.1f %%", held_out.right, held_out.total, what, 100.0 * held_out.accuracy());
}

double kilobytes(std::uint64_t size_bytes) { return static_cast<double>(size_bytes) / 1000.0; }

/// A bar that fills while the network learns: redrawn in place on a terminal, elsewhere written once, at the
/// end.
void show_progress(std::uint64_t epoch, std::uint64_t epochs, const score& seen, double seconds) {
  static const bool redraw = can_redraw(stdout);
  static const bool blocks = style_of(stdout) == drawing_style::blocks;
  const bool last = epoch == epochs;
  if (!redraw && !last) return;
  std::string bar;
  for (std::uint64_t part = 1; part <= 20; ++part) {
    const bool full = part * epochs <= epoch * 20;
    bar += blocks ? (full ? "━" : "╌") : (full ? "#" : ".");
  }
  std::printf("%s  %-10s%s  epoch %2d of %d, loss %.3f, %.2f s%s", redraw ? "\r" : "", "learning", bar.c_str(),
              static_cast<int>(epoch), static_cast<int>(epochs), seen.mean_loss(), seconds, last ? "\n" : "");
  std::fflush(stdout);
}

// ---- the commands ----

/// What the command line says.
struct wishes {
  std::vector<const char*> words;
  const char* data_path = DIGITS_DATA;
  const char* checkpoints_path = nullptr;
  std::optional<std::uint64_t> epochs;
};

/// The numbers of a network, tensor by tensor.
using tensor_values = std::span<const std::span<const float>>;

/// One number for all weights, to see at a glance that two processes have the same.
std::uint32_t fingerprint(tensor_values weights) {
  std::uint32_t crc = 0;
  for (const auto values : weights) crc = stet::crc32c(std::as_bytes(values), crc);
  return crc;
}

bool same_bits(tensor_values left, tensor_values right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(), [](auto x, auto y) {
    return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size_bytes()) == 0;
  });
}

/// The checkpoints of one run of training.
struct checkpoint_log {
  stet::checkpoint_manager manager;
  stet::variable_list variables;
  std::uint64_t count = 0, size_bytes = 0;
  double seconds = 0.0;

  stet::result<void> save(const training_plan& plan, const training_state& state) {
    const stopwatch saving;
    const auto saved = manager.save(describe_session(plan, state), variables, graph);
    if (!saved) return saved.error();
    seconds += saving.seconds();
    size_bytes = saved->report.file_size_bytes;
    ++count;
    return {};
  }
  stet::json_value graph = stet::graph_to_json(describe_graph());
};

/// Opens a folder of checkpoints, and brings `state` to the newest one if there is any.
stet::result<checkpoint_log> go_on(const char* path, const training_plan& plan, std::uint64_t steps,
                                   training_state& state) {
  auto manager = stet::checkpoint_manager::open_for_saving(path);
  if (!manager) return manager.error();
  auto variables = list_variables(state);
  if (!variables) return variables.error();
  if (const auto restored = manager->restore_latest(*variables)) {
    if (const auto resumed = resume(restored->session, plan, state); !resumed)
      return resumed.error().about(restored->info.path);
    report("resumed",
           text("after epoch %d, from %s", static_cast<int>(state.step / steps), restored->info.path.c_str()));
  } else if (restored.error().code() != stet::errc::file_not_found) {
    return restored.error();
  }
  return checkpoint_log{std::move(*manager), std::move(*variables)};
}

/// Saves the network, maps the file, and compares.
int save_and_compare(const char* model_path, const training_plan& plan, const training_state& state,
                     const score& held_out) {
  const stopwatch saving;
  if (const auto saved = save_model(model_path, plan, state, held_out); !saved) return fail(saved.error());
  const double saving_seconds = saving.seconds();

  const auto model = open_model(model_path);
  if (!model) return fail(model.error());
  const auto weights = model->net.weights();
  if (!same_bits(state.weights.view().values(), weights))
    return fail(stet::error(stet::errc::checksum_mismatch, model_path));
  report("saved",
         text("%s, %.1f KB in %s", model_path, kilobytes(model->size_bytes()), duration(saving_seconds).c_str()));
  report("weights", text("%08x, the same bits in memory and in the file", static_cast<unsigned>(fingerprint(weights))));
  return done;
}

int train_command(const wishes& wish) {
  const auto images = open_images(wish.data_path);
  if (!images) return fail(images.error());
  report("images", text("%zu to learn from, %zu held out", images->train.size(), images->test.size()));

  training_plan plan;
  plan.epochs = wish.epochs.value_or(plan.epochs);
  training_state state = start(plan);
  const std::uint64_t steps = steps_per_epoch(plan, images->train);
  std::optional<checkpoint_log> checkpoints;
  if (wish.checkpoints_path != nullptr) {
    auto opened = go_on(wish.checkpoints_path, plan, steps, state);
    if (!opened) return fail(opened.error());
    checkpoints.emplace(std::move(*opened));
  }
  const stopwatch learning;
  for (std::uint64_t epoch = state.step / steps + 1; epoch <= plan.epochs; ++epoch) {
    const score seen = train(plan, images->train, epoch * steps, state);
    if (checkpoints) {
      if (const auto saved = checkpoints->save(plan, state); !saved) return fail(saved.error());
    }
    show_progress(epoch, plan.epochs, seen, learning.seconds());
  }
  if (checkpoints && checkpoints->count != 0)
    report("epochs",
           text("%d checkpoints saved to %s, %.1f KB each, %s on average", static_cast<int>(checkpoints->count),
                wish.checkpoints_path, kilobytes(checkpoints->size_bytes),
                duration(checkpoints->seconds / static_cast<double>(checkpoints->count)).c_str()));
  const score held_out = evaluate(state.weights.view(), images->test);
  report("held out", accuracy(held_out));

  if (wish.words.size() > 1) return save_and_compare(wish.words[1], plan, state, held_out);
  report("weights", text("%08x", static_cast<unsigned>(fingerprint(state.weights.view().values()))));
  return done;
}

/// The memory that opening a model and reading all its weights took.
std::string memory_taken(std::optional<std::uint64_t> before, std::optional<std::uint64_t> after) {
  if (!before || !after) return "not known on this system";
  const long long kib = (static_cast<long long>(*after) - static_cast<long long>(*before)) / 1024;
  return text("%lld KiB of this process's own, with every weight read", kib);
}

int run_command(const wishes& wish) {
  const char* const model_path = wish.words[1];
  const auto images = open_images(wish.data_path);
  if (!images) return fail(images.error());

  private_memory_bytes(); // the first question has a cost of its own
  const auto memory_before = private_memory_bytes();
  const stopwatch opening;
  auto opened = stet::open(model_path);
  const double opening_seconds = opening.seconds();
  if (!opened) return fail(opened.error());
  const stopwatch building;
  auto model = build_model(std::move(*opened));
  const double building_seconds = building.seconds();
  if (!model) return fail(model.error());
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
    if (pictures.size() == 4) continue;
    shown.caption = said == label ? text("%d", label) : text("%d, it says %d", label, said);
    pictures.push_back(std::move(shown));
  }
  const double reading_seconds = reading.seconds();

  const drawing_style style = style_of(stdout);
  std::printf("  Some digits that it reads:\n\n%s\n", draw(right, style).c_str());
  if (!wrong.empty()) std::printf("  And some that it misreads:\n\n%s\n", draw(wrong, style).c_str());

  report("opened", text("%s in %s", model_path, duration(opening_seconds).c_str()));
  report("network", text("%s, built from the file's graph in %s", model->net.description().c_str(),
                         duration(building_seconds).c_str()));
  report("weights", text("%08x, used where they lie in the file: %llu bytes copied", static_cast<unsigned>(weights),
                         static_cast<unsigned long long>(model->copied_bytes())));
  report("memory", memory_taken(memory_before, memory_after));
  report("held out", accuracy(held_out) + ", in " + duration(reading_seconds));
  if (const auto before = model->right_before_saving; before && *before == held_out.right)
    std::printf("\n  As many as before it was saved: the model stands as it was.\n");
  return done;
}

/// A head of its own for a trunk that somebody else trained; then both networks at work at once.
int transfer_command(const wishes& wish) {
  const char *const model_path = wish.words[1], *const new_path = wish.words[2];
  const auto images = open_images(wish.data_path);
  if (!images) return fail(images.error());
  auto bound = bind_trunk(model_path);
  if (!bound) return fail(bound.error());
  const auto& frozen = bound->numbers.hidden;
  const std::size_t trunk_bytes = frozen.kernel.flat().size_bytes() + frozen.bias.flat().size_bytes();
  report("trunk", text("784 > Dense 10 relu, frozen: %.1f KB bound copy-on-write, %llu bytes copied",
                       kilobytes(trunk_bytes), static_cast<unsigned long long>(bound->copied_bytes)));

  training_plan plan = head_plan();
  plan.epochs = wish.epochs.value_or(plan.epochs);
  const stopwatch learning;
  const seen_images lessons = look(bound->numbers, images->train), exam = look(bound->numbers, images->test);
  head_state state = start<head_parameters>(plan);
  const std::uint64_t steps = steps_per_epoch(plan, lessons);
  for (std::uint64_t epoch = 1; epoch <= plan.epochs; ++epoch) {
    const score seen = train(plan, lessons, epoch * steps, state);
    show_progress(epoch, plan.epochs, seen, learning.seconds());
  }
  const score held_out = evaluate(state.weights, exam);
  report("held out", accuracy(held_out, "told odd from even"));

  const stopwatch saving;
  const auto saved = save_transfer(new_path, model_path, *bound, state, held_out);
  if (!saved) return fail(saved.error());
  report("saved",
         text("%s, %.1f KB in %s: a delta, %llu bytes of head", new_path, kilobytes(saved->file.file_size_bytes),
              duration(saving.seconds()).c_str(), static_cast<unsigned long long>(saved->difference.changed_bytes)));
  report("left",
         text("%.1f KB of trunk, where they are: in %s", kilobytes(saved->difference.unchanged_bytes), model_path));

  const stopwatch opening;
  auto both = serve_both(new_path);
  if (!both) return fail(both.error());
  report("serving", text("both networks, opened in %s; the trunk is %s", duration(opening.seconds()).c_str(),
                         both->share_trunk() ? "mapped once, for both" : "there twice"));
  report("reads", both->digits.net.description());
  report("tells", both->parity.net.description());

  score digits_seen, parity_seen;
  std::vector<picture> agreed, disputed;
  const stopwatch reading;
  for (std::size_t at = 0; at < images->test.size(); ++at) {
    picture shown;
    unpack(images->test, at, shown.pixels);
    const auto digit_probabilities = both->digits.net.run(shown.pixels);
    const auto parity_probabilities = both->parity.net.run(shown.pixels);
    const std::uint8_t digit = answer(digit_probabilities), parity = answer(parity_probabilities);
    const std::uint8_t label = images->test.labels[at];
    digits_seen.count(digit_probabilities, label);
    parity_seen.count(parity_probabilities, parity_of(label));
    const bool agrees = parity_of(digit) == parity;
    auto& pictures = agrees ? agreed : disputed;
    if (pictures.size() == 4 || (agrees && digit != label)) continue;
    shown.caption = text(agrees ? "%d, %s" : "%d, yet %s", digit, parity_names[parity]);
    pictures.push_back(std::move(shown));
  }
  const double reading_seconds = reading.seconds();

  const drawing_style style = style_of(stdout);
  std::printf("\n  What both say:\n\n%s\n", draw(agreed, style).c_str());
  if (!disputed.empty()) std::printf("  And where they contradict each other:\n\n%s\n", draw(disputed, style).c_str());
  report("digits", accuracy(digits_seen));
  report("odd, even", accuracy(parity_seen, "told odd from even") + ", both together in " + duration(reading_seconds));
  if (both->digits.right_before_saving == digits_seen.right && both->parity.right_before_saving == parity_seen.right)
    std::printf("\n  Each as many as before it was saved.\n");
  return done;
}

} // namespace

int main(int argument_count, char** arguments) {
  wishes wish;
  bool is_understood = true;
  for (int at = 1; at < argument_count; ++at) {
    const std::string_view argument = arguments[at];
    if (argument == "--help") {
      std::fputs(usage, stdout);
      return done;
    }
    if (!argument.starts_with("--")) {
      wish.words.push_back(arguments[at]);
      continue;
    }
    const char* const value = at + 1 < argument_count ? arguments[++at] : "";
    const std::string_view digits = value;
    if (argument == "--data")
      wish.data_path = value;
    else if (argument == "--checkpoints")
      wish.checkpoints_path = value;
    else if (argument == "--epochs") {
      const auto [end, problem] = std::from_chars(value, value + digits.size(), wish.epochs.emplace());
      is_understood = is_understood && problem == std::errc() && *end == '\0' && *wish.epochs != 0;
    } else
      is_understood = false;
    is_understood = is_understood && !digits.empty();
  }
  const struct {
    std::string_view name;
    std::size_t least_words, most_words;
    int (*run)(const wishes&);
  } commands[] = {{"train", wish.checkpoints_path != nullptr ? 1u : 2u, 2, train_command},
                  {"run", 2, 2, run_command},
                  {"transfer", 3, 3, transfer_command}};
  for (const auto& [name, least_words, most_words, run] : commands) {
    const std::size_t count = wish.words.size();
    if (is_understood && count >= least_words && count <= most_words && wish.words[0] == name) return run(wish);
  }
  std::fputs(usage, stderr);
  return wrong_use;
}
