// SPDX-License-Identifier: MIT
// Transfer learning: the first layer of a trained network, frozen, under a new head that tells odd digits
// from even ones; saved as a delta that holds the head alone.
#ifndef DIGITS_TRANSFER_HPP
#define DIGITS_TRANSFER_HPP

#include "model_file.hpp"
#include "training.hpp"

#include <stet/checkpoint.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace digits {

inline constexpr std::size_t parity_count = 2;
inline std::uint8_t parity_of(std::uint8_t digit) noexcept { return digit % parity_count; }
inline constexpr const char* parity_names[parity_count] = {"even", "odd"};

// ---- the trunk: somebody else's numbers ----

/// The first layer of a trained network, its numbers where the mapping has them. They may be written to,
/// which would change this process's own copy of a page and never the file; a frozen trunk does not.
struct trunk {
  dense_layer<pixel_count, hidden_count, float> hidden;

  void bind(auto& field) noexcept { field("dense", hidden); }
};

/// A trunk and the model file that it views.
struct bound_trunk {
  stet::checkpoint_store model;
  trunk numbers;
  std::uint64_t copied_bytes = 0;
};

/// Maps a model copy-on-write and points a trunk at it.
/// Errors: those of stet::open_checkpoint and stet::restore.
inline stet::result<bound_trunk> bind_trunk(const char* model_path) {
  auto opened = stet::open_checkpoint(model_path, {.access = stet::access::copy_on_write});
  if (!opened) return opened.error();
  bound_trunk bound{std::move(*opened), {}, 0};
  stet::variable_list variables;
  if (const auto added = variables.add_model(bound.numbers); !added) return added.error();
  stet::restore_rules rules;
  rules.mode = stet::restore_mode::bind;
  rules.unexpected = stet::absence_policy::skip; // the head for ten digits, the optimizer's slots
  stet::restore_report report;
  if (const auto restored = stet::restore(*bound.model, variables, rules, &report); !restored) return restored.error();
  bound.copied_bytes = report.copied_bytes;
  return bound;
}

// ---- the head: what is learnt anew ----

/// The numbers of the head, owned.
struct head_parameters {
  std::array<float, hidden_count * parity_count> kernel{};
  std::array<float, parity_count> bias{};
};

/// The tensors of `owner`, under the names that the delta gives them.
template <class Float, class Parameters>
std::array<named_tensor<Float>, 2> list_head_tensors(Parameters& owner) noexcept {
  return {{{"odd_even/kernel", {hidden_count, parity_count}, 2, owner.kernel},
           {"odd_even/bias", {parity_count, 0}, 1, owner.bias}}};
}
inline auto tensors(head_parameters& owner) noexcept { return list_head_tensors<float>(owner); }
inline auto tensors(const head_parameters& owner) noexcept { return list_head_tensors<const float>(owner); }

using head_state = state_of<head_parameters>;

/// How the head learns: faster than a whole network may, since there is little to it.
inline training_plan head_plan() noexcept {
  training_plan plan;
  plan.learning_rate = 0.02f;
  plan.weight_decay = 0.0f;
  return plan;
}

/// What the trunk makes of each image, and whether its digit is odd.
struct seen_images {
  std::vector<std::array<float, hidden_count>> units;
  std::vector<std::uint8_t> labels;

  std::size_t size() const noexcept { return labels.size(); }
};

/// Shows the trunk every image, once: it is frozen, so it would answer the same each time.
inline seen_images look(const trunk& numbers, const image_set& set) {
  seen_images seen;
  image pixels;
  for (std::size_t at = 0; at < set.size(); ++at) {
    unpack(set, at, pixels);
    auto& units = seen.units.emplace_back();
    apply(numbers.hidden, pixels, units);
    relu(units);
    seen.labels.push_back(parity_of(set.labels[at]));
  }
  return seen;
}

/// The probabilities that the head gives even and odd.
inline std::array<float, parity_count> forward(const head_parameters& head,
                                               std::span<const float, hidden_count> units) noexcept {
  dense_layer<hidden_count, parity_count> layer;
  layer.kernel = {head.kernel.data(), layer.kernel.static_extents};
  layer.bias = {head.bias.data(), layer.bias.static_extents};
  std::array<float, parity_count> probabilities;
  apply(layer, units, probabilities);
  softmax(probabilities);
  return probabilities;
}

/// Shows the head what the trunk made of image `at`: counts its answer, and adds to `gradient` what the loss
/// says.
inline void learn(const seen_images& set, std::size_t at, const head_parameters& head, head_parameters& gradient,
                  score& result) noexcept {
  auto scores = forward(head, set.units[at]);
  result.count(scores, set.labels[at]);
  scores[set.labels[at]] -= 1.0f;
  add_layer_gradient(set.units[at], scores, gradient.kernel, gradient.bias);
}

inline score evaluate(const head_parameters& head, const seen_images& set) noexcept {
  score result;
  for (std::size_t at = 0; at < set.size(); ++at) result.count(forward(head, set.units[at]), set.labels[at]);
  return result;
}

// ---- the file ----

/// What the new network computes: the trunk's layer, then the head.
inline stet::graph describe_transfer() {
  stet::graph graph;
  graph.add("pixels", "Placeholder");
  graph.add("dense", "Dense", {"pixels"}, {{"units", hidden_count}, {"activation", "relu"}},
            {{"kernel", "dense/kernel"}, {"bias", "dense/bias"}});
  graph.add("odd_even", "Dense", {"dense"}, {{"units", parity_count}, {"activation", "softmax"}},
            {{"kernel", "odd_even/kernel"}, {"bias", "odd_even/bias"}});
  graph.inputs = {{"pixels", "pixels", stet::dtype::float32, {{pixel_count}}}};
  graph.outputs = {{"probabilities", "odd_even", stet::dtype::float32, {{parity_count}}}};
  return graph;
}

/// What saving a delta wrote.
struct saved_delta {
  stet::delta_report difference;
  stet::save_report file;
};

/// Saves the new network as a delta of the model it came from: the trunk is the model's, bit for bit, and so
/// only the head is written. Both files must be in one folder. Errors: those of stet::open_checkpoint,
/// stet::add_changed and stet::writer::save.
inline stet::result<saved_delta> save_transfer(const char* path, const char* model_path, bound_trunk& bound,
                                               head_state& state, const score& held_out) {
  stet::variable_list variables;
  if (const auto added = variables.add_model(bound.numbers, false); !added) // not trainable: frozen
    return added.error();
  for (const auto& tensor : tensors(state.weights)) {
    const auto shape = tensor.shape();
    if (const auto added = variables.add(tensor.name, tensor.values, shape); !added) return added.error();
  }
  // Compared with the file as it is, not with the mapping that could have been written to.
  const auto base = stet::open_checkpoint(model_path);
  if (!base) return base.error();
  stet::writer out;
  const auto difference = stet::add_changed(out, variables, *base);
  if (!difference) return difference.error();
  out.graph = stet::graph_to_json(describe_transfer());
  out.state = stet::to_json(stet::session_state{state.step});
  out.metadata = stet::json_value{
      {"title", "Tells odd digits from even ones: the trunk of another network, and a head of its own"},
      {"held_out", {{"right", held_out.right}, {"total", held_out.total}}}};
  const auto saved = out.save(path);
  if (!saved) return saved.error();
  return saved_delta{*difference, *saved};
}

/// Two networks that are served from one mapping of the model and one of the delta.
struct served_pair {
  stet::checkpoint_store files; ///< the delta, and the model that it builds on
  described_network digits, parity;

  /// Whether both have their first layer at the same address.
  bool share_trunk() const {
    return digits.net.layers.front().numbers.kernel.data() == parity.net.layers.front().numbers.kernel.data();
  }
};

/// Opens a delta, and builds its network and that of its base.
/// @retval stet::errc::wrong_type  the file at `path` is not a delta of one model
/// or an error of stet::open_checkpoint or build_described
inline stet::result<served_pair> serve_both(const char* path) {
  auto opened = stet::open_checkpoint(path);
  if (!opened) return opened.error();
  if (opened->file_count() != 2) return stet::error(stet::errc::wrong_type, path);
  auto digits = build_described(opened->file(1).manifest_text(), opened->file(1), class_count);
  if (!digits) return digits.error();
  auto parity = build_described(opened->file(0).manifest_text(), **opened, parity_count);
  if (!parity) return parity.error();
  return served_pair{std::move(*opened), std::move(*digits), std::move(*parity)};
}

} // namespace digits

#endif
