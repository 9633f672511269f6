// SPDX-License-Identifier: MIT
// Reads any text as a manifest and uses what it says besides tensors: the graph, the session, the base of a
// delta; and as the state file of a folder of checkpoints. Whatever is read without an error must come back
// the same from what is written of it.
#include "require.hpp"

#include <stet/checkpoint.hpp>
#include <stet/json.hpp>
#include <stet/manifest.hpp>
#include <stet/manifest/graph_link.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

/// Every node once, and after those that it takes an input from.
void use_linked(const stet::graph_body& body) {
  const auto linked = stet::link_graph(body);
  require(bool(linked) && linked->order().size() == body.nodes.size());
  std::vector<bool> is_done(body.nodes.size());
  for (const std::uint32_t number : linked->order()) {
    require(number < is_done.size() && !is_done[number]);
    for (const stet::graph_source& source : linked->inputs(number)) require(is_done[source.node]);
    is_done[number] = true;
    require(linked->number_of(body.nodes[number].name) == number);
  }
}

void use_graph(const stet::json_value& json) {
  const auto graph = stet::graph_from_json(json);
  if (!graph || !stet::check_graph(*graph)) return;
  use_linked(*graph);
  for (const stet::graph_function& each : graph->functions) use_linked(each);
  const stet::json_value written = stet::graph_to_json(*graph);
  const auto again = stet::graph_from_json(written);
  require(again && stet::check_graph(*again) && stet::graph_to_json(*again) == written);
}

void use_session(const stet::json_text& json) {
  const auto session = stet::to_session(json);
  if (!session) return;
  const stet::json_text written = stet::to_json(*session);
  const auto again = stet::to_session(written);
  require(again && again->global_step == session->global_step && stet::to_json(*again) == written);
}

/// What can be saved comes back from the file.
void use_as_file(stet::manifest&& parsed) {
  stet::writer out;
  out.graph = std::move(parsed.graph);
  out.state = std::move(parsed.state);
  out.metadata = std::move(parsed.metadata);
  out.set_extra(std::move(parsed.extra));
  const auto file = out.save_to_memory();
  if (!file) return;
  const auto opened = stet::open(std::span<const std::byte>(*file));
  require(bool(opened));
  const auto again = stet::parse_manifest(opened->manifest_text());
  require(again && again->graph == out.graph && again->state == out.state && again->metadata == out.metadata);
  (void)stet::base_of(*opened);
}

void use_as_state_file(std::string_view text) {
  stet::detail::state_file state;
  stet::detail::state_file_parser(state, false).run(text);
  stet::detail::state_file latest_only;
  stet::detail::state_file_parser(latest_only, true).run(text);
  require(latest_only.all.size() <= state.all.size());
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  use_as_state_file(text);
  auto parsed = stet::parse_manifest(text);
  if (!parsed) return 0;
  use_graph(stet::to_json_value(parsed->graph));
  use_session(parsed->state);
  if (const auto base = stet::detail::base_in(*parsed); base && *base)
    require(stet::detail::is_part_name((*base)->file_name));
  use_as_file(std::move(*parsed));
  return 0;
}
