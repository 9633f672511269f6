// SPDX-License-Identifier: MIT
// `sharded train`: a network of the digits whose weights and images are split over the ranks, and which any number of ranks continues
// with the same bits.
#ifndef SHARDED_TRAIN_HPP
#define SHARDED_TRAIN_HPP

#include "../digits/images_file.hpp"
#include "../digits/network.hpp"
#include "ranks.hpp"

#include <stet/bytes/crc32c.hpp>
#include <stet/sharded.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sharded {

// Sums of floats depend on their order, so the order must not depend on the number of ranks. Each sum over ranks is one over parts of fixed
// number and size: a rank has whole parts, and whoever needs the sum gathers all of them and adds them in their order.
inline constexpr std::size_t unit_blocks = 16, units_per_block = 3, unit_count = unit_blocks * units_per_block;
inline constexpr std::size_t micro_batches = 4, images_per_micro_batch = 8,
                             batch_size = micro_batches * images_per_micro_batch;
inline constexpr std::size_t pixel_count = digits::pixel_count, class_count = digits::class_count;

/// The part `number` of `count` things that are split as evenly as possible over `parts`.
struct share {
  std::size_t first = 0, count = 0;

  static share of(std::size_t all, std::size_t number, std::size_t parts) noexcept {
    const std::size_t first = all * number / parts;
    return {first, all * (number + 1) / parts - first};
  }
};

/// The ranks as a grid: those of a row have the same images and other units, those of a column the same units and other images.
class grid {
public:
  /// @param size  at most `unit_blocks`
  grid(MPI_Comm all, std::size_t rank, std::size_t size) : all_(all) {
    for (std::size_t each = 2; each <= micro_batches && each * each <= size; ++each)
      if (size % each == 0) rows_ = each;
    columns_ = size / rows_;
    row_ = rank / columns_;
    column_ = rank % columns_;
    MPI_Comm_split(all, static_cast<int>(row_), static_cast<int>(rank), &same_row_);
    MPI_Comm_split(all, static_cast<int>(column_), static_cast<int>(rank), &same_column_);
  }
  grid(const grid&) = delete;
  grid& operator=(const grid&) = delete;
  ~grid() {
    MPI_Comm_free(&same_row_);
    MPI_Comm_free(&same_column_);
  }

  std::size_t rows() const noexcept { return rows_; }
  std::size_t columns() const noexcept { return columns_; }
  /// The blocks of units of this rank, and its micro-batches.
  share blocks() const noexcept { return share::of(unit_blocks, column_, columns_); }
  share batches() const noexcept { return share::of(micro_batches, row_, rows_); }

  /// Gathers parts of `size` numbers each: `own` are those of this rank, `into` all of them, in order.
  void gather_blocks(std::span<const float> own, std::span<float> into) const {
    gather(same_row_, columns_, unit_blocks, own, into);
  }
  void gather_batches(std::span<const float> own, std::span<float> into) const {
    gather(same_column_, rows_, micro_batches, own, into);
  }
  /// Makes one of what ranks have of `numbers`, which are 0 elsewhere; replicas are the same.
  void merge(std::span<float> numbers) const {
    static_assert(sizeof(float) == sizeof(std::uint32_t));
    MPI_Allreduce(MPI_IN_PLACE, numbers.data(), static_cast<int>(numbers.size()), MPI_UINT32_T, MPI_BOR, all_);
  }

private:
  static void gather(MPI_Comm among, std::size_t ranks, std::size_t parts, std::span<const float> own,
                     std::span<float> into) {
    std::vector<int> counts(ranks), places(ranks);
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      const share theirs = share::of(parts, rank, ranks);
      counts[rank] = static_cast<int>(theirs.count * (into.size() / parts));
      places[rank] = static_cast<int>(theirs.first * (into.size() / parts));
    }
    MPI_Allgatherv(own.data(), static_cast<int>(own.size()), MPI_FLOAT, into.data(), counts.data(), places.data(),
                   MPI_FLOAT, among);
  }

  MPI_Comm all_, same_row_ = MPI_COMM_NULL, same_column_ = MPI_COMM_NULL;
  std::size_t rows_ = 1, columns_ = 1, row_ = 0, column_ = 0;
};

/// What a rank has of a tensor of the network, with Adam's two moments of it.
struct parameter {
  const char* name;
  std::vector<std::uint64_t> shape, start, size;
  std::vector<float> weights, first_moment, second_moment;

  parameter(const char* name_, std::vector<std::uint64_t> shape_, std::vector<std::uint64_t> start_,
            std::vector<std::uint64_t> size_)
      : name(name_), shape(std::move(shape_)), start(std::move(start_)), size(std::move(size_)) {
    std::size_t count = 1;
    for (const std::uint64_t extent : size) count *= static_cast<std::size_t>(extent);
    weights.resize(count);
    first_moment.resize(count);
    second_moment.resize(count);
  }

  /// The number in the whole tensor of element `at` of this part: tensors here have one axis or two.
  std::size_t place_of(std::size_t at) const noexcept {
    if (shape.size() == 1) return static_cast<std::size_t>(start[0]) + at;
    const auto columns = static_cast<std::size_t>(size[1]);
    return static_cast<std::size_t>((start[0] + at / columns) * shape[1] + start[1]) + at % columns;
  }
  std::size_t whole_count() const noexcept {
    return static_cast<std::size_t>(shape.size() == 1 ? shape[0] : shape[0] * shape[1]);
  }
};

/// 784 pixels, 48 units of which a rank has some, ten answers.
class network {
public:
  explicit network(const grid& ranks)
      : ranks_(ranks), first_unit_(ranks.blocks().first * units_per_block),
        own_units_(ranks.blocks().count * units_per_block),
        kernel_("dense/kernel", {pixel_count, unit_count}, {0, first_unit_}, {pixel_count, own_units_}), // columns
        bias_("dense/bias", {unit_count}, {first_unit_}, {own_units_}),
        answer_kernel_("dense_1/kernel", {unit_count, class_count}, {first_unit_, 0},
                       {own_units_, class_count}),                        // rows
        answer_bias_("dense_1/bias", {class_count}, {0}, {class_count}) { // the same on every rank
    for (parameter* each : {&kernel_, &answer_kernel_}) {
      const float limit = std::sqrt(6.0f / static_cast<float>(each->shape[0] + each->shape[1]));
      for (std::size_t at = 0; at < each->weights.size(); ++at) {
        digits::splitmix64 random{each->place_of(at) * 2 + (each == &kernel_ ? 0u : 1u)};
        each->weights[at] = limit * random.symmetric();
      }
    }
  }

  /// Registers all that has to be saved. A rank says what it has, and nobody says who has the rest.
  stet::result<void> add_to(stet::sharded_variable_list& variables) {
    for (parameter* each : parameters()) {
      if (auto added = variables.add_block(each->name, each->weights, each->shape, each->start, each->size); !added)
        return added;
      if (auto added = variables.add_slot(each->name, "Adam/m", each->first_moment); !added) return added;
      if (auto added = variables.add_slot(each->name, "Adam/v", each->second_moment); !added) return added;
    }
    if (auto added = variables.add("Adam/beta_1_power", beta_1_power_, {}, false); !added) return added;
    return variables.add("Adam/beta_2_power", beta_2_power_, {}, false);
  }

  /// One number for all weights and moments of all ranks.
  std::uint32_t checksum() {
    std::uint32_t crc = 0;
    for (parameter* each : parameters()) {
      for (const std::vector<float>* part : {&each->weights, &each->first_moment, &each->second_moment}) {
        std::vector<float> whole(each->whole_count());
        for (std::size_t at = 0; at < part->size(); ++at) whole[each->place_of(at)] = (*part)[at];
        ranks_.merge(whole);
        crc = stet::crc32c(std::as_bytes(std::span(whole)), crc);
      }
    }
    return crc;
  }

  /// Learns from the batch of a step. @return how many of its images were right before
  std::size_t learn(const digits::image_set& set, std::uint64_t step) {
    const share batches = ranks_.batches();
    std::vector<std::uint32_t> images(batches.count * images_per_micro_batch);
    for (std::size_t i = 0; i < images.size(); ++i) {
      digits::splitmix64 random{step * batch_size + batches.first * images_per_micro_batch + i};
      images[i] = static_cast<std::uint32_t>(random.below(set.size()));
    }
    see(set, images);
    std::vector<float> right_counts(batches.count, 0.0f);
    for (std::size_t i = 0; i < images.size(); ++i)
      right_counts[i / images_per_micro_batch] += digits::answer(scores_of(i)) == set.labels[images[i]] ? 1.0f : 0.0f;

    const std::size_t size = gradient_size();
    std::vector<float> own(batches.count * size, 0.0f), all(micro_batches * size);
    for (std::size_t i = 0; i < images.size(); ++i)
      add_gradient(i, set.labels[images[i]], std::span(own).subspan(i / images_per_micro_batch * size, size));
    ranks_.gather_batches(own, all);
    step_along(all);
    std::vector<float> all_right(micro_batches);
    ranks_.gather_batches(right_counts, all_right);
    float right = 0.0f;
    for (const float each : all_right) right += each;
    return static_cast<std::size_t>(right);
  }

  /// How many of a set it reads right.
  std::size_t count_right(const digits::image_set& set) {
    std::size_t right = 0;
    for (std::uint32_t first = 0; first < set.size(); first += batch_size) {
      std::vector<std::uint32_t> images;
      for (std::uint32_t at = first; at < set.size() && at < first + batch_size; ++at) images.push_back(at);
      see(set, images);
      for (std::size_t i = 0; i < images.size(); ++i) right += digits::answer(scores_of(i)) == set.labels[images[i]];
    }
    return right;
  }

private:
  std::vector<parameter*> parameters() { return {&kernel_, &bias_, &answer_kernel_, &answer_bias_}; }
  std::span<const float> scores_of(std::size_t image) const noexcept {
    return std::span(probabilities_).subspan(image * class_count, class_count);
  }
  std::span<const float> units_of(std::size_t image) const noexcept {
    return std::span(units_).subspan(image * own_units_, own_units_);
  }

  /// Shows the network some images: the ranks of a row have the same. Keeps pixels, this rank's units, and probabilities.
  void see(const digits::image_set& set, std::span<const std::uint32_t> images) {
    pixels_.resize(images.size());
    units_.assign(images.size() * own_units_, 0.0f);
    // By block of units, for each image: what the block adds to the scores.
    const std::size_t block_size = images.size() * class_count;
    std::vector<float> own(own_units_ / units_per_block * block_size, 0.0f), all(unit_blocks * block_size);
    for (std::size_t i = 0; i < images.size(); ++i) {
      digits::unpack(set, images[i], pixels_[i]);
      const auto units = std::span(units_).subspan(i * own_units_, own_units_);
      std::copy(bias_.weights.begin(), bias_.weights.end(), units.begin());
      for (std::size_t pixel = 0; pixel < pixel_count; ++pixel) {
        if (pixels_[i][pixel] == 0.0f) continue;
        for (std::size_t unit = 0; unit < own_units_; ++unit)
          units[unit] += pixels_[i][pixel] * kernel_.weights[pixel * own_units_ + unit];
      }
      digits::relu(units);
      for (std::size_t unit = 0; unit < own_units_; ++unit) {
        float* const scores = own.data() + unit / units_per_block * block_size + i * class_count;
        for (std::size_t answer = 0; answer < class_count; ++answer)
          scores[answer] += units[unit] * answer_kernel_.weights[unit * class_count + answer];
      }
    }
    ranks_.gather_blocks(own, all);
    probabilities_.resize(block_size);
    for (std::size_t i = 0; i < block_size; ++i) {
      probabilities_[i] = answer_bias_.weights[i % class_count];
      for (std::size_t block = 0; block < unit_blocks; ++block) probabilities_[i] += all[block * block_size + i];
    }
    for (std::size_t i = 0; i < images.size(); ++i)
      digits::softmax(std::span(probabilities_).subspan(i * class_count, class_count));
  }

  std::size_t gradient_size() {
    std::size_t size = 0;
    for (parameter* each : parameters()) size += each->weights.size();
    return size;
  }
  /// Adds what image `i` of those seen says to the gradient: its parts are those of `parameters()`, one after the other.
  void add_gradient(std::size_t i, std::uint8_t label, std::span<float> into) {
    const auto next = [&](const parameter& of) {
      const auto part = into.first(of.weights.size());
      into = into.subspan(of.weights.size());
      return part;
    };
    const auto kernel = next(kernel_), bias = next(bias_), answer_kernel = next(answer_kernel_),
               answer_bias = next(answer_bias_);
    std::vector<float> scores(scores_of(i).begin(), scores_of(i).end()), units(own_units_, 0.0f);
    scores[label] -= 1.0f;
    digits::add_layer_gradient(units_of(i), scores, answer_kernel, answer_bias);
    for (std::size_t unit = 0; unit < own_units_; ++unit) {
      if (units_of(i)[unit] == 0.0f) continue; // relu was flat here
      for (std::size_t answer = 0; answer < class_count; ++answer)
        units[unit] += answer_kernel_.weights[unit * class_count + answer] * scores[answer];
    }
    digits::add_layer_gradient(pixels_[i], units, kernel, bias);
  }

  /// One step of Adam along the gradients of all micro-batches. Source: as digits::adam_step
  void step_along(std::span<const float> gradients) {
    constexpr float beta_1 = 0.9f, beta_2 = 0.999f, learning_rate = 0.003f, epsilon = 1e-7f;
    beta_1_power_ *= beta_1;
    beta_2_power_ *= beta_2;
    const float step_size = learning_rate * std::sqrt(1.0f - beta_2_power_) / (1.0f - beta_1_power_);
    std::size_t at = 0;
    const std::size_t size = gradients.size() / micro_batches;
    for (parameter* each : parameters()) {
      for (std::size_t i = 0; i < each->weights.size(); ++i, ++at) {
        float slope = 0.0f;
        for (std::size_t batch = 0; batch < micro_batches; ++batch) slope += gradients[batch * size + at];
        slope /= static_cast<float>(batch_size);
        float &mean = each->first_moment[i], &square = each->second_moment[i];
        mean += (1.0f - beta_1) * (slope - mean);
        square += (1.0f - beta_2) * (slope * slope - square);
        each->weights[i] -= step_size * mean / (std::sqrt(square) + epsilon);
      }
    }
  }

  const grid& ranks_;
  std::size_t first_unit_, own_units_;
  parameter kernel_, bias_, answer_kernel_, answer_bias_;
  float beta_1_power_ = 1.0f, beta_2_power_ = 1.0f;
  std::vector<digits::image> pixels_;
  std::vector<float> units_, probabilities_;
};

/// What the command line says.
struct train_options {
  const char* data = nullptr;
  std::uint64_t steps = 100, save_every = 10;
  std::uint64_t stop_at = 0; ///< 0: at no step
};

/// Trains, from the newest checkpoint of the folder if there is one. @return what main returns
inline int train(stet::mpi_communicator& ranks, const std::string& folder, const train_options& options) {
  if (ranks.size() > unit_blocks) {
    say(ranks, "at most " + std::to_string(unit_blocks) + " ranks can have units of the network");
    return 2;
  }
  const auto images = digits::open_images(options.data);
  const auto all_opened = on_every_rank(ranks, static_cast<bool>(images));
  if (!all_opened) return failed(ranks, all_opened.error());
  if (!*all_opened) return images ? 1 : failed(ranks, images.error());

  const grid places(MPI_COMM_WORLD, ranks.rank(), ranks.size());
  network own(places);
  stet::sharded_variable_list variables;
  if (auto added = own.add_to(variables); !added) return failed(ranks, added.error());
  auto manager = stet::sharded_checkpoint_manager::open_for_saving(ranks, folder);
  if (!manager) return failed(ranks, manager.error());

  const auto tell = [&](const char* what, std::uint64_t step, const std::string& more) {
    char crc[9];
    std::snprintf(crc, sizeof crc, "%08x", static_cast<unsigned>(own.checksum()));
    say(ranks, std::string(what) + " step " + std::to_string(step) + ", " + std::to_string(places.rows()) + " x " +
                   std::to_string(places.columns()) + " ranks: weights " + crc + more);
  };
  std::uint64_t step = 0;
  if (auto restored = manager->restore_latest(variables)) {
    step = restored->session.global_step;
    tell("resumed", step, "");
  } else if (restored.error().code() != stet::errc::file_not_found) {
    return failed(ranks, restored.error());
  }

  std::size_t right = 0, seen = 0;
  while (step < options.steps) {
    right += own.learn(images->train, step);
    seen += batch_size;
    ++step;
    if (step == options.stop_at && ranks.rank() + 1 == ranks.size()) std::_Exit(1);
    if (step % options.save_every != 0 && step != options.steps) continue;
    const auto saved = manager->save({.global_step = step}, variables);
    if (!saved) return failed(ranks, saved.error());
    tell("saved", step, ", " + std::to_string(right * 100 / seen) + " % right");
    right = seen = 0;
  }
  say(ranks, "reads " + std::to_string(own.count_right(images->test)) + " of " + std::to_string(images->test.size()) +
                 " images that it has never seen");
  return 0;
}

} // namespace sharded

#endif
