// SPDX-License-Identifier: MIT
// The model as a stet store that one process saves and another opens.
#ifndef DIGITS_MODEL_FILE_HPP
#define DIGITS_MODEL_FILE_HPP

#include "images_file.hpp"
#include "layers.hpp"
#include "session.hpp"

#include <stet/json.hpp>
#include <stet/manifest/graph_json.hpp>
#include <stet/manifest.hpp>
#include <stet/stet.hpp>
#include <stet/writer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace digits {

// ---- saving the model ----

/// What the network computes: enough to build it again, which is all that `open_model` has.
inline stet::graph describe_graph() {
  stet::graph graph;
  graph.add("pixels", "Placeholder");
  graph.add("dense", "Dense", {"pixels"}, {{"units", hidden_count}, {"activation", "relu"}},
            {{"kernel", "dense/kernel"}, {"bias", "dense/bias"}});
  graph.add("dense_1", "Dense", {"dense"}, {{"units", class_count}, {"activation", "softmax"}},
            {{"kernel", "dense_1/kernel"}, {"bias", "dense_1/bias"}});
  graph.inputs = {{"pixels", "pixels", stet::dtype::float32, {{pixel_count}}}};
  graph.outputs = {{"probabilities", "dense_1", stet::dtype::float32, {{class_count}}}};
  return graph;
}

/// Saves weights, optimizer slots, graph and session as one store: a checkpoint, and what the network makes
/// of the held-out images in its metadata. The same arguments give the same file.
inline stet::result<stet::save_report> save_model(const char* path, const training_plan& plan,
                                                  const training_state& state, const score& held_out) {
  const auto variables = list_variables(state);
  if (!variables) return variables.error();
  stet::writer out;
  if (const auto added = stet::add_variables(out, *variables); !added) return added.error();
  out.graph = stet::graph_to_json(describe_graph());
  out.state = stet::to_json(describe_session(plan, state));
  out.metadata = stet::json_value{{"title", "Reads handwritten digits: 784 pixels, 10 hidden units, 10 answers"},
                                  {"trained_on", "train/images of digits_data.stet"},
                                  {"held_out", {{"right", held_out.right}, {"total", held_out.total}}}};
  return out.save(path);
}

// ---- opening it ----

/// An open model: the file's mapping, and a network that views it.
struct model_file {
  stet::store store;
  built_network net;
  /// How many held-out images were read right before the model was saved, if the file says so.
  std::optional<std::uint64_t> right_before_saving;

  std::uint64_t size_bytes() const noexcept { return store.data().size_bytes(); }

  /// How many bytes of the weights do not lie in the mapped file, counted by their addresses.
  std::uint64_t copied_bytes() const {
    const auto begin = reinterpret_cast<std::uintptr_t>(store.data().data());
    const auto end = begin + static_cast<std::uintptr_t>(size_bytes());
    std::uint64_t copied = 0;
    for (const auto values : net.weights()) {
      const auto first = reinterpret_cast<std::uintptr_t>(values.data());
      if (first < begin || first > end || values.size_bytes() > end - first) copied += values.size_bytes();
    }
    return copied;
  }
};

/// A network and what its file says of it.
struct described_network {
  built_network net;
  std::optional<std::uint64_t> right_before_saving;
};

/// Builds the network that a manifest describes, of the tensors of `store`. Its weights stay where they are,
/// and none is read.
/// @retval stet::errc::shape_mismatch  the network does not answer 28 × 28 pixels with `answer_count`
/// probabilities; or an error of stet::parse_manifest, stet::graph_from_json or build_network
inline stet::result<described_network> build_described(std::string_view manifest_text, const stet::store& store,
                                                       std::size_t answer_count) {
  auto manifest = stet::parse_manifest(manifest_text);
  if (!manifest) return manifest.error();
  const auto graph = stet::graph_from_json(stet::to_json_value(manifest->graph));
  if (!graph) return graph.error();
  auto net = build_network(*graph, store);
  if (!net) return net.error();
  if (net->input_count != pixel_count || net->output_count() != answer_count)
    return stet::error(stet::errc::shape_mismatch, "graph");
  described_network made{std::move(*net), std::nullopt};
  const stet::json_value::json_pointer at("/held_out/right");
  const stet::json_value metadata = stet::to_json_value(manifest->metadata);
  if (metadata.contains(at) && metadata[at].is_number_unsigned())
    made.right_before_saving = metadata[at].get<std::uint64_t>();
  return made;
}

/// Builds the network of an open store that reads digits. Errors: those of build_described.
inline stet::result<model_file> build_model(stet::store&& store) {
  auto made = build_described(store.manifest_text(), store, class_count);
  if (!made) return made.error();
  return model_file{std::move(store), std::move(made->net), made->right_before_saving};
}

/// Opens a model in place and builds its network from the file alone.
/// Errors: those of stet::open and build_model.
inline stet::result<model_file> open_model(const char* path) {
  auto opened = stet::open(path);
  if (!opened) return opened.error();
  return build_model(std::move(*opened));
}

} // namespace digits

#endif
