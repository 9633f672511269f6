// SPDX-License-Identifier: MIT
// Checks a graph and resolves its names: inputs, users, and an order of computation.
#ifndef STET_MANIFEST_GRAPH_LINK_HPP
#define STET_MANIFEST_GRAPH_LINK_HPP

#include "graph_json.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {
class graph_linker;
}

/// Rules of the program for a graph. Each function may be empty.
struct graph_rules {
  /// True if the outputs of an op belong to the next iteration of a loop, so that they may close a cycle.
  /// If empty, no op may close a cycle.
  std::function<bool(std::string_view op)> may_close_cycle;
  /// The number of outputs of a node; nothing if it is unknown. If empty, it is unknown for every node.
  std::function<std::optional<std::uint32_t>(const graph_node& node)> output_count;
  /// True if a variable or tensor has this name. If empty, names are not checked.
  std::function<bool(std::string_view tensor)> has_variable;
};

/// The source of an input of a node.
struct graph_source {
  /// The number of the node in `graph_body::nodes`.
  std::uint32_t node;
  /// The number of its output; 0 for a control input.
  std::uint32_t output;
};

/// A use of an output of a node.
struct graph_use {
  /// The number of the node that uses it.
  std::uint32_t node;
  /// The number of the input of that node.
  std::uint32_t input;
  friend bool operator==(const graph_use&, const graph_use&) = default;
};

/// A valid graph with its names resolved, made by link_graph. Views the nodes, which must not change and must outlive it; the
/// graph may be moved. Safe to read from any thread.
class linked_graph {
public:
  /// The number that means "no node".
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  /// The nodes, in the order of the graph.
  [[nodiscard]] std::span<const graph_node> nodes() const noexcept { return nodes_; }
  /// The number of the node called `name`, or `none`. Cost: constant, or log n comparisons if the names were made to
  /// collide.
  [[nodiscard]] std::uint32_t number_of(std::string_view name) const {
    const std::size_t number = names_.number_of(name);
    return number == detail::name_table::none ? none : static_cast<std::uint32_t>(number);
  }
  /// The node called `name`, or nullptr.
  [[nodiscard]] const graph_node* find(std::string_view name) const {
    const std::uint32_t number = number_of(name);
    return number == none ? nullptr : &nodes_[number];
  }
  /// The sources of the inputs of node `number`, one for each of `graph_node::inputs`.
  [[nodiscard]] std::span<const graph_source> inputs(std::uint32_t number) const noexcept {
    return std::span(sources_).subspan(first_source_[number], first_source_[number + 1] - first_source_[number]);
  }
  /// The uses of the outputs of node `number`, control inputs included, in the order of users, then of inputs.
  [[nodiscard]] std::span<const graph_use> consumers(std::uint32_t number) const noexcept {
    return std::span(uses_).subspan(first_use_[number], first_use_[number + 1] - first_use_[number]);
  }
  /// The numbers of all nodes, each after those it takes an input from (those that may close a cycle apart).
  /// Nodes that stand in such an order already are left in it.
  [[nodiscard]] std::span<const std::uint32_t> order() const noexcept { return order_; }

private:
  friend class detail::graph_linker;
  std::span<const graph_node> nodes_;
  detail::name_table names_;
  std::vector<std::uint32_t> first_source_, first_use_, order_;
  std::vector<graph_source> sources_;
  std::vector<graph_use> uses_;
};

namespace detail {

/// errc::bad_graph about "KIND WHAT of OWNER", for example "input pixels of dense".
inline error graph_problem(std::string_view kind, std::string_view what, std::string_view owner = {}) noexcept {
  char buffer[error::max_subject_bytes];
  text_writer subject(buffer, sizeof buffer);
  subject.append(kind).append(" ").append(what);
  if (!owner.empty()) subject.append(" of ").append(owner);
  return error(errc::bad_graph, subject.text());
}

/// An error about something in a function: "SUBJECT in FUNCTION", but for a missing variable, which is the
/// store's.
inline error error_in_function(const error& problem, std::string_view function_name) noexcept {
  if (problem.code() == errc::not_found) return problem;
  char buffer[error::max_subject_bytes];
  text_writer subject(buffer, sizeof buffer);
  return problem.about(subject.append(problem.subject()).append(" in ").append(function_name).text());
}

/// Checks that the names of nodes, ports, signatures or functions are valid and distinct.
/// @param kind  the kind of the named elements, for messages
template <class Element>
result<void> check_names(const std::vector<Element>& elements, std::string Element::* name_of_it, std::string_view kind,
                         std::string_view owner = {}) {
  for (std::size_t number = 0; number < elements.size(); ++number) {
    if (!is_valid_name(elements[number].*name_of_it))
      return error(errc::bad_name, std::string(kind) + " " + std::to_string(number));
  }
  const std::size_t duplicate =
      find_duplicate(elements.size(), [&](std::size_t i) -> std::string_view { return elements[i].*name_of_it; });
  if (duplicate != name_table::none) return graph_problem(kind, elements[duplicate].*name_of_it, owner);
  return {};
}

/// True if free-form JSON is an object or null.
inline bool is_object_or_null(const json_value& value) noexcept { return value.is_object() || value.is_null(); }

/// Checks the fields of a node, and its references to tensors of the store.
inline result<void> check_node(const graph_node& node, const graph_rules& rules) {
  if (!is_valid_name(node.op)) return error_about({errc::bad_name, "op"}, node.name);
  if (!is_object_or_null(node.attributes)) return error_about({errc::wrong_type, "attributes"}, node.name);
  if (const auto checked = check_names(node.variables, &graph_variable::role, "variable", node.name); !checked)
    return checked.error();
  for (const graph_variable& variable : node.variables) {
    if (!is_valid_name(variable.tensor)) return error_about({errc::bad_name, "variables"}, node.name);
    if (rules.has_variable && !rules.has_variable(variable.tensor)) return error(errc::not_found, variable.tensor);
  }
  return {};
}

/// Makes a linked_graph from a body, and checks it.
class graph_linker {
public:
  graph_linker(const graph_body& body, const graph_rules& rules) noexcept : body_(body), rules_(rules) {}

  result<linked_graph> run() {
    if (auto listed = list_nodes(); !listed) return listed.error();
    if (auto resolved = resolve_inputs(); !resolved) return resolved.error();
    if (auto checked = check_ports(made_, body_.inputs, "input"); !checked) return checked.error();
    if (auto checked = check_ports(made_, body_.outputs, "output"); !checked) return checked.error();
    list_uses();
    if (auto ordered = put_in_order(); !ordered) return ordered.error();
    return std::move(made_);
  }

  /// Checks ports that refer to `in`: those of the body, or of the signature called `owner`.
  result<void> check_ports(const linked_graph& in, const std::vector<graph_port>& ports, std::string_view kind,
                           std::string_view owner = {}) const {
    if (auto checked = check_names(ports, &graph_port::name, kind, owner); !checked) return checked;
    for (const graph_port& port : ports) {
      if (port.endpoint.is_control || !resolve(in, port.endpoint)) return graph_problem(kind, port.name, owner);
      if (port.dtype && !is_known(*port.dtype)) return error(errc::unknown_dtype, port.name);
      if (!port.shape) continue;
      if (port.shape->size() > max_rank) return error(errc::bad_shape, port.name);
      for (const std::int64_t extent : *port.shape) {
        if (extent < unknown_extent) return error(errc::bad_shape, port.name);
      }
    }
    return {};
  }

private:
  result<void> list_nodes() {
    if (body_.nodes.size() >= linked_graph::none) return errc::too_large;
    made_.nodes_ = body_.nodes;
    made_.names_.reserve(body_.nodes.size());
    for (std::size_t number = 0; number < body_.nodes.size(); ++number) {
      const graph_node& node = body_.nodes[number];
      if (!is_valid_name(node.name)) return error(errc::bad_name, "node " + std::to_string(number));
      if (auto checked = check_node(node, rules_); !checked) return checked;
      made_.names_.add(node.name);
    }
    made_.names_.sort();
    if (const std::size_t duplicate = made_.names_.duplicate(); duplicate != name_table::none)
      return graph_problem("node", body_.nodes[duplicate].name);
    return {};
  }

  /// The output that an endpoint refers to; nothing if it does not exist.
  [[nodiscard]] std::optional<graph_source> resolve(const linked_graph& in, const graph_endpoint& endpoint) const {
    const std::uint32_t node = in.number_of(endpoint.node);
    if (node == linked_graph::none || endpoint.output >= max_output_count) return std::nullopt;
    if (endpoint.is_control) {
      return endpoint.output == 0 && endpoint.output_name.empty() ? std::optional(graph_source{node, 0}) : std::nullopt;
    }
    // The number of a named output is relative to that name, in the op's own table of outputs.
    if (rules_.output_count && endpoint.output_name.empty()) {
      const std::optional<std::uint32_t> count = rules_.output_count(in.nodes()[node]);
      if (count && endpoint.output >= *count) return std::nullopt;
    }
    return graph_source{node, endpoint.output};
  }

  result<void> resolve_inputs() {
    made_.first_source_.reserve(body_.nodes.size() + 1);
    made_.first_source_.push_back(0);
    for (const graph_node& node : body_.nodes) {
      for (const graph_endpoint& input : node.inputs) {
        const std::optional<graph_source> source = resolve(made_, input);
        if (!source) return graph_problem("input", input.node, node.name);
        made_.sources_.push_back(*source);
      }
      if (made_.sources_.size() >= linked_graph::none) return errc::too_large;
      made_.first_source_.push_back(static_cast<std::uint32_t>(made_.sources_.size()));
    }
    return {};
  }

  /// Inverts the inputs: counts the uses of each node, then stores each use.
  void list_uses() {
    const std::uint32_t count = static_cast<std::uint32_t>(body_.nodes.size());
    std::vector<std::uint32_t>& first = made_.first_use_;
    first.assign(std::size_t{count} + 1, 0);
    for (const graph_source& source : made_.sources_) ++first[source.node + 1];
    for (std::uint32_t node = 0; node < count; ++node) first[node + 1] += first[node];
    std::vector<std::uint32_t> next(first.begin(), first.end() - 1);
    made_.uses_.resize(made_.sources_.size());
    for (std::uint32_t node = 0; node < count; ++node) {
      const std::span<const graph_source> sources = made_.inputs(node);
      for (std::uint32_t input = 0; input < sources.size(); ++input)
        made_.uses_[next[sources[input].node]++] = {node, input};
    }
  }

  /// Sorts the nodes depth first, inputs before their users. It uses an explicit stack, so that chains may have any length.
  result<void> put_in_order() {
    enum : unsigned char { unseen, on_the_way, done };
    const std::uint32_t count = static_cast<std::uint32_t>(body_.nodes.size());
    std::vector<unsigned char> states(count, unseen);
    struct step {
      std::uint32_t node, next_input;
    };
    std::vector<step> way;
    made_.order_.reserve(count);
    for (std::uint32_t start = 0; start < count; ++start) {
      if (states[start] != unseen) continue;
      way.push_back({start, 0});
      states[start] = on_the_way;
      while (!way.empty()) {
        step& here = way.back();
        const std::span<const graph_source> sources = made_.inputs(here.node);
        if (here.next_input == sources.size()) {
          states[here.node] = done;
          made_.order_.push_back(here.node);
          way.pop_back();
          continue;
        }
        const std::uint32_t source = sources[here.next_input++].node;
        if (states[source] == done || may_close_cycle(source)) continue;
        if (states[source] == on_the_way) return graph_problem("cycle through", body_.nodes[source].name);
        states[source] = on_the_way;
        way.push_back({source, 0});
      }
    }
    return {};
  }
  [[nodiscard]] bool may_close_cycle(std::uint32_t node) const {
    return rules_.may_close_cycle && rules_.may_close_cycle(body_.nodes[node].op);
  }

  const graph_body& body_;
  const graph_rules& rules_;
  linked_graph made_;
};

} // namespace detail

/// Resolves the names of a graph, or of one of its functions, and checks it.
///
///     auto linked = stet::link_graph(graph);
///     for (const std::uint32_t number : linked->order())
///       build(linked->nodes()[number], linked->inputs(number));
///
/// @retval errc::bad_name       a name is empty, too long, not UTF-8, or holds a NUL: "node NUMBER",
///                              "input NUMBER", "output NUMBER", "variable NUMBER", "op of NODE"
/// @retval errc::wrong_type     attributes are not an object
/// @retval errc::not_found      a node uses a variable that does not exist: the subject is its name
/// @retval errc::unknown_dtype  the dtype of a port (the subject) is invalid
/// @retval errc::bad_shape      the shape of a port (the subject) has too many or negative extents
/// @retval errc::too_large      there are 2^32 - 1 nodes or inputs, or more
/// @retval errc::bad_graph      the subject is the fault:
///   "node NAME"           two nodes have this name
///   "input NAME of NODE"  the node takes its input from a node, or from an output of it, that does not exist
///   "input PORT", "output PORT"    so does a port of the graph, or two have this name
///   "variable ROLE of NODE"        the node has two variables of this role
///   "cycle through NODE"  the node's inputs lead back to it
/// Cost: allocates 50 to 100 bytes a node; linear in nodes and inputs, except for sorting the names. No recursion.
/// Source: graph.hpp, "The graph, field `graph` of the manifest".
inline result<linked_graph> link_graph(const graph_body& body, const graph_rules& rules = {}) {
  return detail::graph_linker(body, rules).run();
}

/// Checks a whole graph: its nodes and ports, its signatures, and every function.
///
/// Errors: those of link_graph. Additional subjects of errc::bad_graph are "input PORT of SIGNATURE", "output PORT of
/// SIGNATURE", and "signature NAME" or "function NAME" if two have this name. The subject of a fault in a function is
/// "… in FUNCTION". Free-form JSON is checked when a manifest is saved (check_manifest).
inline result<void> check_graph(const graph& whole, const graph_rules& rules = {}) {
  detail::graph_linker linker(whole, rules);
  const result<linked_graph> linked = linker.run();
  if (!linked) return linked.error();
  if (!detail::is_object_or_null(whole.metadata)) return error(errc::wrong_type, "metadata");
  if (auto checked = detail::check_names(whole.signatures, &graph_signature::name, "signature"); !checked)
    return checked;
  for (const graph_signature& signature : whole.signatures) {
    if (auto checked = linker.check_ports(*linked, signature.inputs, "input", signature.name); !checked) return checked;
    if (auto checked = linker.check_ports(*linked, signature.outputs, "output", signature.name); !checked)
      return checked;
  }
  if (auto checked = detail::check_names(whole.functions, &graph_function::name, "function"); !checked) return checked;
  for (const graph_function& function : whole.functions) {
    if (!detail::is_object_or_null(function.attributes))
      return detail::error_about({errc::wrong_type, "attributes"}, function.name);
    if (const auto linked_function = link_graph(function, rules); !linked_function)
      return detail::error_in_function(linked_function.error(), function.name);
  }
  return {};
}

} // namespace stet::inline STET_NAMESPACE

#endif
