// SPDX-License-Identifier: MIT
// `stet graph`: the graph of a model, for people, for programs, and for Graphviz.
#include "commands.hpp"
#include "model.hpp"

#include <stet/manifest/graph_json.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace command {

namespace {

/// JSON on one line, of ASCII characters only.
std::string json_text(const stet::json_value& value) {
  return value.dump(-1, ' ', true, stet::json_value::error_handler_t::replace);
}

/// "name:2", or what stands for a control input: "^name".
std::string text_of(const stet::graph_endpoint& endpoint) {
  std::string text(endpoint.is_control ? "^" : "");
  text += endpoint.node;
  if (!endpoint.output_name.empty()) text.append(":").append(endpoint.output_name);
  if (endpoint.output != 0 || !endpoint.output_name.empty()) text.append(":").append(std::to_string(endpoint.output));
  return escaped(text);
}

/// "float32 [?, 784]"; what is not known is left out.
std::string type_of(const stet::graph_port& port) {
  std::string text(port.dtype ? stet::name_of(*port.dtype) : "");
  if (!port.shape) return text;
  text += text.empty() ? "[" : " [";
  for (std::size_t axis = 0; axis < port.shape->size(); ++axis) {
    const std::int64_t extent = (*port.shape)[axis];
    text += (axis == 0 ? "" : ", ") + (extent == stet::unknown_extent ? "?" : std::to_string(extent));
  }
  return text + "]";
}

/// The tags of a graph, joined: what it is for. Empty if it has none.
std::string tags_of(const stet::graph& graph) {
  std::string text;
  if (!graph.metadata.is_object() || !graph.metadata.contains("tags")) return text;
  for (const stet::json_value& tag : graph.metadata["tags"]) {
    if (tag.is_string()) text += (text.empty() ? "" : ", ") + tag.get<std::string>();
  }
  return escaped(text);
}

// ---- for people ----

class graph_printer {
public:
  explicit graph_printer(console& out) : out_(out) {}

  void print(const stet::graph& graph) {
    const std::string tags = tags_of(graph);
    out_.write(colour::cyan, "graph" + (tags.empty() ? "" : " " + tags));
    out_.write(": " + counted(graph.nodes.size(), "node") + ", " + counted(graph.signatures.size(), "signature") +
               ", " + counted(graph.functions.size(), "function") + "\n");
    ports("  input   ", graph.inputs);
    ports("  output  ", graph.outputs);
    for (const stet::graph_signature& signature : graph.signatures) {
      out_.write("  signature ").write(colour::cyan, escaped(signature.name)).write("\n");
      ports("    input   ", signature.inputs);
      ports("    output  ", signature.outputs);
    }
    nodes(graph);
    for (const stet::graph_function& function : graph.functions) {
      out_.write("  function ").write(colour::cyan, escaped(function.name)).write("\n");
      ports("    input   ", function.inputs);
      ports("    output  ", function.outputs);
      nodes(function);
    }
  }

private:
  // Wider names push the rest of their line aside, and no other line.
  static constexpr std::size_t widest = 40;

  void ports(std::string_view head, const std::vector<stet::graph_port>& all) {
    std::size_t names = 0, types = 0;
    for (const stet::graph_port& port : all) {
      names = (std::max)(names, (std::min)(widest, escaped(port.name).size()));
      types = (std::max)(types, (std::min)(widest, type_of(port).size()));
    }
    for (const stet::graph_port& port : all) {
      out_.write(head).write(left_aligned(escaped(port.name), names)).write("  ");
      out_.write(left_aligned(type_of(port), types)).write("  ").write(text_of(port.endpoint)).write("\n");
    }
  }

  void nodes(const stet::graph_body& body) {
    std::size_t names = 0, ops = 0;
    for (const stet::graph_node& node : body.nodes) {
      names = (std::max)(names, (std::min)(widest, escaped(node.name).size()));
      ops = (std::max)(ops, (std::min)(widest, escaped(node.op).size()));
    }
    for (const stet::graph_node& node : body.nodes) {
      out_.write("    ").write(left_aligned(escaped(node.name), names)).write("  ");
      const bool is_end = node.inputs.empty() && node.variables.empty() && node.attributes.empty();
      out_.write(colour::cyan, is_end ? escaped(node.op) : left_aligned(escaped(node.op), ops))
          .write(is_end ? "" : " ");
      for (std::size_t input = 0; input < node.inputs.size(); ++input)
        out_.write(input == 0 ? " (" : ", ").write(text_of(node.inputs[input]));
      out_.write(node.inputs.empty() ? "" : ")");
      for (const stet::graph_variable& variable : node.variables)
        out_.write(" ").write(escaped(variable.role)).write("=").write(escaped(variable.tensor));
      if (!node.attributes.empty()) out_.write("  ").write(colour::faint, shortened(json_text(node.attributes)));
      out_.write("\n");
    }
  }

  /// Attributes can be long: what there is room for on a line.
  static std::string shortened(std::string text) {
    constexpr std::size_t room = 100;
    if (text.size() > room) text.replace(room - 3, std::string::npos, "...");
    return text;
  }

  console& out_;
};

// ---- for Graphviz ----

/// A label in quotes: NAME, line break, OP.
std::string label_of(const std::vector<std::string_view>& lines) {
  std::string text = "\"";
  for (std::size_t line = 0; line < lines.size(); ++line) {
    text += line == 0 ? "" : "\\n";
    for (const char c : escaped(lines[line])) text.append(c == '"' || c == '\\' ? "\\" : "").append(1, c);
  }
  return text + "\"";
}

/// The nodes and edges of a graph or function, which are called PREFIX and their number.
void draw_body(const stet::graph_body& body, const std::string& prefix, console& out) {
  std::vector<std::pair<std::string_view, std::size_t>> numbers;
  for (std::size_t number = 0; number < body.nodes.size(); ++number) {
    const stet::graph_node& node = body.nodes[number];
    numbers.emplace_back(node.name, number);
    out.write("  " + prefix + std::to_string(number) + " [label=" + label_of({node.name, node.op}) +
              (node.variables.empty() ? "" : ", style=filled") + "];\n");
  }
  std::sort(numbers.begin(), numbers.end());
  for (std::size_t number = 0; number < body.nodes.size(); ++number) {
    for (const stet::graph_endpoint& input : body.nodes[number].inputs) {
      const auto from =
          std::lower_bound(numbers.begin(), numbers.end(), std::pair(std::string_view(input.node), std::size_t{0}));
      if (from == numbers.end() || from->first != input.node) continue;
      out.write("  " + prefix + std::to_string(from->second) + " -> " + prefix + std::to_string(number) +
                (input.is_control ? " [style=dashed]" : "") + ";\n");
    }
  }
}

void draw(const std::vector<stet::graph>& graphs, console& out) {
  out.write("digraph {\n  node [shape=box];\n");
  for (std::size_t number = 0; number < graphs.size(); ++number) {
    const std::string prefix = std::string("g").append(std::to_string(number));
    draw_body(graphs[number], prefix + "n", out);
    for (std::size_t function = 0; function < graphs[number].functions.size(); ++function) {
      const std::string within = prefix + "f" + std::to_string(function);
      out.write("  subgraph cluster_" + within + " {\n  label=" + label_of({graphs[number].functions[function].name}) +
                ";\n");
      draw_body(graphs[number].functions[function], within + "n", out);
      out.write("  }\n");
    }
  }
  out.write("}\n");
}

} // namespace

status print_graph(const arguments& given, console& out) {
  const std::string_view path = given.operands[0];
  const stet::result<stet::model> opened = open_model(path);
  if (!opened) return fail_to_open(path, opened.error(), out);
  const stet::result<stet::model_description> described = describe_model(*opened);
  if (!described) return out.fail(path, described.error());
  if (described->graphs.empty()) return out.fail(path, "there is no graph in it");
  if (given.has("--json")) {
    std::string_view separator = "{\"graphs\": [\n";
    for (const stet::graph& graph : described->graphs) {
      out.write(separator).write(json_text(stet::graph_to_json(graph)));
      separator = ",\n";
    }
    out.write("\n]}\n");
  } else if (given.has("--dot")) {
    draw(described->graphs, out);
  } else {
    for (const stet::graph& graph : described->graphs) graph_printer(out).print(graph);
  }
  return status::done;
}

} // namespace command
