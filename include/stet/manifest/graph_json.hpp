// SPDX-License-Identifier: MIT
// Converts graphs to JSON and back, with one table row for each field.
#ifndef STET_MANIFEST_GRAPH_JSON_HPP
#define STET_MANIFEST_GRAPH_JSON_HPP

#include "check.hpp"
#include "graph.hpp"
#include "detail/json_fields.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE {

namespace detail {

// ---- reading: the rows ----

/// Appends a member to an object, or to null, which becomes one; without the search that ordered_json makes.
inline void append_member(json_value& object, std::string name, json_value value) {
  if (object.is_null()) object = json_value::object();
  object.get_ptr<json_value::object_t*>()->emplace_back(std::move(name), std::move(value));
}

/// A key that occurs twice in `members`, or `members.size()`.
inline std::size_t duplicate_member(const json_value::object_t& members) {
  const std::size_t found =
      find_duplicate(members.size(), [&](std::size_t i) -> std::string_view { return members.data()[i].first; });
  return found == name_table::none ? members.size() : found;
}

/// Reads a whole object into `owner` and keeps the fields that are not known in `extra`.
template <class Owner>
field_problem read_keeping(json_value& object, std::span<const field<Owner>> fields, Owner& owner, json_value& extra) {
  json_value::object_t* const members = object.get_ptr<json_value::object_t*>();
  if (members == nullptr) return errc::wrong_type;
  if (const std::size_t duplicate = duplicate_member(*members); duplicate != members->size())
    return {errc::duplicate_key, members->data()[duplicate].first};
  field_reader<Owner> reader(fields);
  for (auto& [name, value] : *members) {
    if (!reader.knows(name)) {
      append_member(extra, name, std::move(value));
    } else if (const field_problem problem = reader.read(name, value, owner)) {
      return problem;
    }
  }
  return reader.missing();
}

/// Reads the members of an object, each of which describes an `Element`, by `read(name, value, element)`.
template <class Element, class Read>
field_problem read_named(json_value& object, std::vector<Element>& into, Read read) {
  json_value::object_t* const members = object.get_ptr<json_value::object_t*>();
  if (members == nullptr) return errc::wrong_type;
  if (const std::size_t duplicate = duplicate_member(*members); duplicate != members->size())
    return {errc::duplicate_key, members->data()[duplicate].first};
  into.clear();
  into.reserve(members->size());
  for (auto& [name, value] : *members) {
    if (const field_problem problem = read(name, value, into.emplace_back())) return problem;
  }
  return {};
}

inline field_problem read_boolean(const json_value& value, bool& into) noexcept {
  if (!value.is_boolean()) return errc::wrong_type;
  into = *value.get_ptr<const json_value::boolean_t*>();
  return {};
}

inline field_problem read_port_dtype(json_value& value, graph_port& port) noexcept {
  return read_dtype_of(value, port);
}

inline field_problem read_port_shape(json_value& value, graph_port& port) {
  const json_value::array_t* const extents = value.get_ptr<const json_value::array_t*>();
  if (extents == nullptr) return errc::wrong_type;
  if (extents->size() > max_rank) return errc::bad_shape;
  std::vector<std::int64_t>& shape = port.shape.emplace();
  for (const json_value& extent : *extents) {
    std::uint64_t known = 0;
    if (extent.is_null()) {
      shape.push_back(unknown_extent);
    } else if (const field_problem problem = read_unsigned(extent, known)) {
      return problem;
    } else if (known > static_cast<std::uint64_t>((std::numeric_limits<std::int64_t>::max)())) {
      return errc::bad_shape;
    } else {
      shape.push_back(static_cast<std::int64_t>(known));
    }
  }
  return {};
}

inline constexpr field<graph_endpoint> endpoint_fields[] = {
    {"node", true, [](json_value& v, graph_endpoint& e) { return read_string(v, e.node); }},
    {"output", false, [](json_value& v, graph_endpoint& e) { return read_unsigned(v, e.output); }},
    {"output_name", false, [](json_value& v, graph_endpoint& e) { return read_string(v, e.output_name); }},
    {"control", false, [](json_value& v, graph_endpoint& e) { return read_boolean(v, e.is_control); }},
};

inline constexpr field<graph_port> port_fields[] = {
    {"node", true, [](json_value& v, graph_port& p) { return read_string(v, p.endpoint.node); }},
    {"output", false, [](json_value& v, graph_port& p) { return read_unsigned(v, p.endpoint.output); }},
    {"output_name", false, [](json_value& v, graph_port& p) { return read_string(v, p.endpoint.output_name); }},
    {"dtype", false, read_port_dtype},
    {"shape", false, read_port_shape},
};

inline field_problem read_endpoint(json_value& value, graph_endpoint& endpoint) {
  return value.is_string() ? read_string(value, endpoint.node)
                           : read_keeping<graph_endpoint>(value, endpoint_fields, endpoint, endpoint.extra);
}

inline field_problem read_endpoints(json_value& value, std::vector<graph_endpoint>& into) {
  json_value::array_t* const endpoints = value.get_ptr<json_value::array_t*>();
  if (endpoints == nullptr) return errc::wrong_type;
  into.reserve(endpoints->size());
  for (json_value& each : *endpoints) {
    if (const field_problem problem = read_endpoint(each, into.emplace_back())) return problem;
  }
  return {};
}

/// What is being read, and where reading failed: "dense", "node 17", "serving_default", "dense in cond_true".
template <class Owner> struct graph_read {
  Owner& into;
  std::string place{};
};

inline field_problem read_ports(json_value& value, std::vector<graph_port>& into, std::string& place) {
  return read_named(value, into, [&](const std::string& name, json_value& each, graph_port& port) {
    port.name = name;
    const field_problem problem = each.is_string()
                                      ? read_string(each, port.endpoint.node)
                                      : read_keeping<graph_port>(each, port_fields, port, port.endpoint.extra);
    if (problem) place = name;
    return problem;
  });
}

inline field_problem read_variables(json_value& value, std::vector<graph_variable>& into) {
  return read_named(value, into, [](const std::string& role, json_value& each, graph_variable& variable) {
    variable.role = role;
    return read_string(each, variable.tensor);
  });
}

inline constexpr field<graph_node> node_fields[] = {
    {"name", true, [](json_value& v, graph_node& n) { return read_string(v, n.name); }},
    {"op", true, [](json_value& v, graph_node& n) { return read_string(v, n.op); }},
    {"inputs", false, [](json_value& v, graph_node& n) { return read_endpoints(v, n.inputs); }},
    {"attributes", false, [](json_value& v, graph_node& n) { return read_free_form(v, n.attributes); }},
    {"variables", false, [](json_value& v, graph_node& n) { return read_variables(v, n.variables); }},
};

inline field_problem read_nodes(json_value& value, std::vector<graph_node>& into, std::string& place) {
  json_value::array_t* const nodes = value.get_ptr<json_value::array_t*>();
  if (nodes == nullptr) return errc::wrong_type;
  into.reserve(nodes->size());
  for (json_value& each : *nodes) {
    graph_node& node = into.emplace_back();
    // The name, before it is moved into the node.
    std::string name = "node " + std::to_string(into.size() - 1);
    if (each.is_object()) {
      const auto found = each.find("name");
      if (found != each.end() && found->is_string()) name = *found->get_ptr<const json_value::string_t*>();
    }
    if (const field_problem problem = read_keeping<graph_node>(each, node_fields, node, node.extra)) {
      place = std::move(name);
      return problem;
    }
  }
  return {};
}

/// The rows of ports, which graph, function and signature have in common.
template <class Owner>
inline constexpr field<graph_read<Owner>> inputs_field = {
    "inputs", false, [](json_value& v, graph_read<Owner>& r) { return read_ports(v, r.into.inputs, r.place); }};
template <class Owner>
inline constexpr field<graph_read<Owner>> outputs_field = {
    "outputs", false, [](json_value& v, graph_read<Owner>& r) { return read_ports(v, r.into.outputs, r.place); }};
/// The row of nodes, which graph and function have in common.
template <class Owner>
inline constexpr field<graph_read<Owner>> nodes_field = {
    "nodes", true, [](json_value& v, graph_read<Owner>& r) { return read_nodes(v, r.into.nodes, r.place); }};

inline constexpr field<graph_read<graph_signature>> signature_fields[] = {
    inputs_field<graph_signature>,
    outputs_field<graph_signature>,
};

inline constexpr field<graph_read<graph_function>> function_fields[] = {
    nodes_field<graph_function>,
    inputs_field<graph_function>,
    outputs_field<graph_function>,
    {"attributes", false,
     [](json_value& v, graph_read<graph_function>& r) { return read_free_form(v, r.into.attributes); }},
};

/// Reads the signatures or functions of a graph.
template <class Element>
field_problem read_parts_of_graph(json_value& value, std::vector<Element>& into,
                                  std::span<const field<graph_read<Element>>> fields, std::string& place) {
  return read_named(value, into, [&](const std::string& name, json_value& each, Element& made) {
    made.name = name;
    graph_read<Element> read{made};
    const field_problem problem = read_keeping<graph_read<Element>>(each, fields, read, made.extra);
    if (problem) place = read.place.empty() ? name : read.place + " in " + name;
    return problem;
  });
}

inline constexpr field<graph_read<graph>> graph_fields[] = {
    nodes_field<graph>,
    inputs_field<graph>,
    outputs_field<graph>,
    {"signatures", false,
     [](json_value& v, graph_read<graph>& r) {
       return read_parts_of_graph<graph_signature>(v, r.into.signatures, signature_fields, r.place);
     }},
    {"functions", false,
     [](json_value& v, graph_read<graph>& r) {
       return read_parts_of_graph<graph_function>(v, r.into.functions, function_fields, r.place);
     }},
    {"metadata", false, [](json_value& v, graph_read<graph>& r) { return read_free_form(v, r.into.metadata); }},
};

// ---- writing ----

/// Appends `member` to `object` unless there is nothing in it.
inline void append_if_any(json_value& object, std::string_view name, json_value member) {
  if (!member.is_null()) append_member(object, std::string(name), std::move(member));
}

/// Appends the members of `extra`, an object or null.
inline void append_members(json_value& object, const json_value& extra) {
  if (const json_value::object_t* const members = extra.get_ptr<const json_value::object_t*>()) {
    for (const auto& [name, value] : *members) append_member(object, name, value);
  }
}

/// The fields that nodes' inputs and ports have in common.
inline json_value endpoint_to_json(const graph_endpoint& endpoint) {
  json_value made = json_value::object();
  append_member(made, "node", endpoint.node);
  if (endpoint.output != 0) append_member(made, "output", endpoint.output);
  if (!endpoint.output_name.empty()) append_member(made, "output_name", endpoint.output_name);
  return made;
}

/// The short form of an endpoint: the node's name, if all other fields have their defaults.
inline json_value shortened(json_value endpoint) {
  return endpoint.size() == 1 ? json_value(std::move(endpoint.front())) : endpoint;
}

inline json_value input_to_json(const graph_endpoint& input) {
  json_value made = endpoint_to_json(input);
  if (input.is_control) append_member(made, "control", true);
  append_members(made, input.extra);
  return shortened(std::move(made));
}

inline json_value port_to_json(const graph_port& port) {
  json_value made = endpoint_to_json(port.endpoint);
  if (port.dtype) append_member(made, "dtype", name_of(*port.dtype));
  if (port.shape) {
    json_value::array_t extents;
    for (const std::int64_t extent : *port.shape)
      extents.push_back(extent < 0 ? json_value() : json_value(static_cast<std::uint64_t>(extent)));
    append_member(made, "shape", json_value(std::move(extents)));
  }
  append_members(made, port.endpoint.extra);
  return shortened(std::move(made));
}

/// An array of the results of `to_json` for each element; null if there are no elements.
template <class Element, class ToJson> json_value array_of(const std::vector<Element>& elements, ToJson to_json) {
  if (elements.empty()) return nullptr;
  json_value::array_t made;
  made.reserve(elements.size());
  for (const Element& each : elements) made.push_back(to_json(each));
  return made;
}

/// An object of the results of `to_json`, with the names in `name_of_it`; null if there are no elements.
template <class Element, class ToJson>
json_value object_of(const std::vector<Element>& elements, std::string Element::* name_of_it, ToJson to_json) {
  json_value made;
  for (const Element& each : elements) append_member(made, each.*name_of_it, to_json(each));
  return made;
}

inline json_value ports_to_json(const std::vector<graph_port>& ports) {
  return object_of(ports, &graph_port::name, port_to_json);
}

inline json_value node_to_json(const graph_node& node) {
  json_value made = json_value::object();
  append_member(made, "name", node.name);
  append_member(made, "op", node.op);
  append_if_any(made, "inputs", array_of(node.inputs, input_to_json));
  append_if_any(made, "attributes", node.attributes);
  append_if_any(made, "variables", object_of(node.variables, &graph_variable::role, [](const graph_variable& variable) {
                  return json_value(variable.tensor);
                }));
  append_members(made, node.extra);
  return made;
}

inline json_value body_to_json(const graph_body& body) {
  json_value made = json_value::object();
  json_value nodes = array_of(body.nodes, node_to_json);
  append_member(made, "nodes", nodes.is_null() ? json_value::array() : std::move(nodes));
  append_if_any(made, "inputs", ports_to_json(body.inputs));
  append_if_any(made, "outputs", ports_to_json(body.outputs));
  return made;
}

inline json_value signature_to_json(const graph_signature& signature) {
  json_value made = json_value::object();
  append_if_any(made, "inputs", ports_to_json(signature.inputs));
  append_if_any(made, "outputs", ports_to_json(signature.outputs));
  append_members(made, signature.extra);
  return made;
}

inline json_value function_to_json(const graph_function& function) {
  json_value made = body_to_json(function);
  append_if_any(made, "attributes", function.attributes);
  append_members(made, function.extra);
  return made;
}

} // namespace detail

/// Makes a graph of the JSON in a manifest's field `graph`. Whether the graph is sound is for check_graph to
/// say; this reads what is written.
///
///     auto manifest = stet::parse_manifest(store.manifest_text());
///     auto graph = stet::graph_from_json(stet::to_json_value(manifest->graph));
///
/// The error's subject is the field, or "FIELD of NODE", the node's name or "node NUMBER"; a function's or
/// signature's name likewise.
/// @retval errc::wrong_type     a value has another JSON type than its field
/// @retval errc::missing_field  a required field is not there
/// @retval errc::duplicate_key  a key occurs twice in one object
/// @retval errc::bad_number     an output's number or an extent is not an unsigned integer that fits
/// @retval errc::unknown_dtype  a port's dtype is not known
/// @retval errc::bad_shape      a port has more than `max_rank` dimensions, or an extent above 2^63 - 1
/// Cost: one pass over the fields, n log n in the members of one object; what is free-form is moved, not
/// copied.
/// Source: graph.hpp, "The graph, field `graph` of the manifest".
inline result<graph> graph_from_json(json_value json) {
  graph made;
  detail::graph_read<graph> read{made};
  if (const detail::field_problem problem =
          detail::read_keeping<detail::graph_read<graph>>(json, detail::graph_fields, read, made.extra)) {
    return read.place.empty() ? error(problem.code, problem.field) : detail::error_about(problem, read.place);
  }
  return made;
}

/// The JSON of a graph, for a manifest's field `graph`. Read again it gives `from`, if check_graph accepts
/// it; an empty object as `extra` apart, which says the same as none.
///
///     writer.graph = stet::graph_to_json(graph);
///
/// Cost: copies everything once.
/// Source: graph.hpp, "As written by this library".
inline json_value graph_to_json(const graph& from) {
  json_value made = detail::body_to_json(from);
  detail::append_if_any(made, "signatures",
                        detail::object_of(from.signatures, &graph_signature::name, detail::signature_to_json));
  detail::append_if_any(made, "functions",
                        detail::object_of(from.functions, &graph_function::name, detail::function_to_json));
  detail::append_if_any(made, "metadata", from.metadata);
  detail::append_members(made, from.extra);
  return made;
}

} // namespace stet::inline STET_NAMESPACE

#endif
