// SPDX-License-Identifier: MIT
// Reads the subgraphs of a TFLite file as graphs. describe.hpp specifies them.
#ifndef STET_FORMATS_TFLITE_DETAIL_GRAPH_READER_HPP
#define STET_FORMATS_TFLITE_DETAIL_GRAPH_READER_HPP

#include "notes.hpp"
#include "operators.hpp"

#include "../../../manifest/graph.hpp"
#include "../../../store/store.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// Reads the graphs of one model. Used once.
class tflite_graph_reader {
public:
  /// @param prefix  of the names of its tensors in `constants`
  tflite_graph_reader(tflite_file& file, std::string_view prefix, const store& constants)
      : file_(file), in_(file.in()), prefix_(prefix), constants_(constants) {}

  /// Adds a graph for each subgraph. Errors: those of `describe_tflite`.
  result<void> read(std::vector<graph>& into) {
    const std::size_t first = into.size();
    const flatbuffer_vector codes = file_.model().references(tflite_field::operator_codes);
    for (std::uint32_t i = 0; i < codes.size() && in_.is_good(); ++i)
      operators_.push_back(operator_name(codes.table(i)));
    for (std::uint32_t i = 0; i < file_.subgraphs().size() && in_.is_good(); ++i) {
      if (auto read = read_subgraph(i, into.emplace_back()); !read) return read;
    }
    const flatbuffer_vector signatures = file_.model().references(tflite_field::signatures);
    for (std::uint32_t i = 0; i < signatures.size() && in_.is_good(); ++i) {
      if (auto read = read_signature(signatures.table(i), into, first); !read) return read;
    }
    return in_.is_good() ? result<void>() : in_.problem("graph");
  }

private:
  /// A subgraph while it is read, and afterwards for its signatures.
  struct subgraph_state {
    flatbuffer_vector tensors;
    /// The latest output that each tensor is, by its number.
    std::unordered_map<std::uint32_t, graph_endpoint> made;
    std::unordered_set<std::string> node_names;
  };

  static std::string operator_name(const flatbuffer_table& from) {
    const auto old = from.number<std::int8_t>(tflite_field::deprecated_code);
    const auto now = from.number<std::int32_t>(tflite_field::builtin_code);
    const std::int64_t code = (std::max)(std::int64_t{old}, std::int64_t{now});
    if (code == tflite_custom_operator) {
      std::string name(from.string(tflite_field::custom_code).text());
      return is_valid_name(name) ? name : "CUSTOM";
    }
    if (code >= 0 && static_cast<std::uint64_t>(code) < tflite_operator_count)
      return std::string(tflite_operators[static_cast<std::size_t>(code)]);
    return "BUILTIN_" + std::to_string(code);
  }

  [[nodiscard]] error bad(std::string_view what, const flatbuffer_table& at) const noexcept {
    return in_.is_good() ? error(errc::malformed, what, at.offset_bytes()) : in_.problem(what);
  }

  /// "NUMBER:NAME" of a tensor.
  std::string tensor_key(const subgraph_state& of, std::uint32_t number) {
    const std::string_view name = of.tensors.table(number).string(tflite_field::tensor_name).text();
    (void)in_.spend(name.size() / 4, 0);
    return std::to_string(number) + ":" + std::string(is_utf8_without_nul(name) ? name : std::string_view());
  }
  /// A name that no node has: `wanted`, or the same with a number.
  static std::string unused_name(subgraph_state& of, std::string wanted) {
    if (wanted.size() > max_name_size_bytes - 32) wanted.resize(wanted.find(':'));
    std::string name = wanted;
    for (std::size_t count = of.node_names.size(); !of.node_names.insert(name).second; ++count)
      name = wanted + "#" + std::to_string(count);
    return name;
  }

  /// The name of the constant in the store that tensor `number` is; empty if it is none.
  std::string constant_name(std::uint32_t subgraph, const std::string& key) const {
    std::string name = prefix_ + std::to_string(subgraph) + ":" + key;
    if (constants_.contains(name)) return name;
    return constants_.contains(name + ".values") ? name + ".values" : std::string();
  }

  /// The output that tensor `number` is at this point. Where nothing has made it, a node is added.
  graph_endpoint endpoint_of(subgraph_state& of, std::uint32_t subgraph, std::uint32_t number, graph_body& body) {
    if (const auto found = of.made.find(number); found != of.made.end()) return found->second;
    const std::string key = tensor_key(of, number);
    graph_node& node = body.nodes.emplace_back();
    node.name = unused_name(of, key);
    const std::string constant = constant_name(subgraph, key);
    node.op = constant.empty() ? "Variable" : "Const";
    if (!constant.empty()) node.variables.push_back({"value", constant});
    return of.made[number] = graph_endpoint(node.name);
  }

  /// A port for tensor `number`.
  graph_port port_of(const subgraph_state& of, std::uint32_t number, std::string name, graph_endpoint endpoint) {
    graph_port made;
    made.name = std::move(name);
    made.endpoint = std::move(endpoint);
    const flatbuffer_table table = of.tensors.table(number);
    if (const tflite_type* const type = find_tflite_type(table.number<std::int8_t>(tflite_field::type)))
      made.dtype = type->dtype;
    flatbuffer_vector shape = table.vector(tflite_field::shape_signature, 4);
    if (shape.size() == 0) shape = table.vector(tflite_field::shape, 4);
    const bool is_known = shape.is_present() || table.number<std::uint8_t>(tflite_field::has_rank) != 0;
    if (!is_known || shape.size() > max_rank || !in_.spend(shape.size(), shape.offset_bytes())) return made;
    made.shape.emplace();
    for (std::uint32_t i = 0; i < shape.size(); ++i)
      made.shape->push_back((std::max)(std::int64_t{shape.number<std::int32_t>(i)}, unknown_extent));
    return made;
  }
  static std::string unused_port_name(const std::vector<graph_port>& ports, std::unordered_set<std::string>& used,
                                      std::string_view key) {
    std::string name(key.substr(key.find(':') + 1));
    if (name.empty() || used.contains(name)) name = key;
    while (!used.insert(name).second) name.append("#").append(std::to_string(ports.size()));
    return name;
  }

  result<void> read_subgraph(std::uint32_t number, graph& into) {
    const flatbuffer_table from = file_.subgraphs().table(number);
    subgraph_state& state = states_.emplace_back();
    state.tensors = from.references(tflite_field::tensors);
    json_value about{{"subgraph", number}};
    const std::string_view name = from.string(tflite_field::subgraph_name).text();
    if (!name.empty() && is_utf8_without_nul(name)) about["name"] = name;
    if (!prefix_.empty()) about["model"] = prefix_.substr(0, prefix_.size() - 1);
    into.metadata["tflite"] = std::move(about);

    std::unordered_set<std::string> names;
    const flatbuffer_vector inputs = from.vector(tflite_field::inputs, 4);
    for (std::uint32_t i = 0; i < inputs.size() && in_.is_good(); ++i) {
      const auto tensor = inputs.number<std::int32_t>(i);
      if (tensor < 0 || static_cast<std::uint32_t>(tensor) >= state.tensors.size()) return bad("inputs", from);
      const auto place = static_cast<std::uint32_t>(tensor);
      const std::string key = tensor_key(state, place);
      if (!state.made.contains(place)) {
        graph_node& node = into.nodes.emplace_back();
        node.name = unused_name(state, key);
        node.op = "Placeholder";
        state.made[place] = graph_endpoint(node.name);
      }
      std::string port = unused_port_name(into.inputs, names, key);
      into.inputs.push_back(port_of(state, place, std::move(port), state.made[place]));
    }
    const flatbuffer_vector operators = from.references(tflite_field::operators);
    for (std::uint32_t i = 0; i < operators.size() && in_.is_good(); ++i) {
      if (auto read = read_operator(state, number, i, operators.table(i), into); !read) return read;
    }
    names.clear();
    const flatbuffer_vector outputs = from.vector(tflite_field::outputs, 4);
    for (std::uint32_t i = 0; i < outputs.size() && in_.is_good(); ++i) {
      const auto tensor = outputs.number<std::int32_t>(i);
      if (tensor < 0 || static_cast<std::uint32_t>(tensor) >= state.tensors.size()) return bad("outputs", from);
      const auto place = static_cast<std::uint32_t>(tensor);
      std::string port = unused_port_name(into.outputs, names, tensor_key(state, place));
      graph_endpoint endpoint = endpoint_of(state, number, place, into);
      into.outputs.push_back(port_of(state, place, std::move(port), std::move(endpoint)));
    }
    return in_.is_good() ? result<void>() : in_.problem("subgraph");
  }

  result<void> read_operator(subgraph_state& state, std::uint32_t subgraph, std::uint32_t number,
                             const flatbuffer_table& from, graph_body& into) {
    const auto code = from.number<std::uint32_t>(tflite_field::opcode_index);
    const flatbuffer_vector inputs = from.vector(tflite_field::op_inputs, 4);
    const flatbuffer_vector outputs = from.vector(tflite_field::op_outputs, 4);
    if (!in_.is_good() || code >= operators_.size()) return bad("operator", from);
    graph_node node;
    node.op = operators_[code];
    node.attributes = json_value::object();
    read_options(from, node.attributes);
    node.attributes["tensors"]["inputs"] = tflite_numbers<std::int32_t>(in_, inputs);
    node.attributes["tensors"]["outputs"] = tflite_numbers<std::int32_t>(in_, outputs);
    for (std::uint32_t i = 0; i < inputs.size() && in_.is_good(); ++i) {
      const auto tensor = inputs.number<std::int32_t>(i);
      if (tensor < 0) continue; // absent
      const auto place = static_cast<std::uint32_t>(tensor);
      if (place >= state.tensors.size()) return bad("operator", from);
      const bool is_made = state.made.contains(place);
      std::string constant = is_made ? std::string() : constant_name(subgraph, tensor_key(state, place));
      if (!constant.empty()) {
        node.variables.push_back({std::to_string(i), std::move(constant)});
      } else {
        node.inputs.push_back(endpoint_of(state, subgraph, place, into));
      }
    }
    std::optional<std::string> name;
    for (std::uint32_t i = 0; i < outputs.size() && in_.is_good(); ++i) {
      const auto tensor = outputs.number<std::int32_t>(i);
      if (tensor < 0) continue;
      const auto place = static_cast<std::uint32_t>(tensor);
      if (place >= state.tensors.size() || i >= max_output_count) return bad("operator", from);
      if (!name) name = unused_name(state, tensor_key(state, place));
      state.made[place] = graph_endpoint(*name, i);
    }
    node.name = name ? std::move(*name) : unused_name(state, "operator:" + std::to_string(number));
    into.nodes.push_back(std::move(node));
    return in_.is_good() ? result<void>() : in_.problem("operator");
  }

  /// Adds the fields of the options of an operator.
  void read_options(const flatbuffer_table& from, json_value& into) {
    for (const std::uint8_t set : {std::uint8_t{1}, std::uint8_t{2}}) {
      const std::uint32_t field = set == 1 ? tflite_field::options_type : tflite_field::options_2_type;
      const auto code = from.number<std::uint8_t>(field);
      const flatbuffer_table options = from.table(field + 1);
      if (code == 0 || !options.is_present()) continue;
      for (const tflite_option& each : tflite_options) {
        if (each.set == set && each.code == code) into[std::string(each.name)] = option(options, each);
      }
    }
    const flatbuffer_vector custom = from.vector(tflite_field::custom_options, 1);
    if (custom.size() == 0 || !in_.spend(custom.size(), custom.offset_bytes())) return;
    std::string hex;
    for (const std::byte each : custom.bytes()) {
      const auto value = std::to_integer<unsigned>(each);
      hex.append({"0123456789abcdef"[value >> 4], "0123456789abcdef"[value & 15]});
    }
    into["custom_options"] = json_value{{"hex", std::move(hex)}};
  }
  json_value option(const flatbuffer_table& from, const tflite_option& of) {
    const auto name_in = [](const auto& names, std::int8_t code) {
      const auto number = static_cast<std::size_t>(static_cast<unsigned char>(code));
      return number < std::size(names) ? json_value(names[number]) : json_value(code);
    };
    const auto integer = [&]<class T>(T) { return from.number<T>(of.field, static_cast<T>(of.otherwise)); };
    switch (of.kind) {
    case tflite_option::boolean:
      return integer(std::uint8_t{}) != 0;
    case tflite_option::int8:
      return integer(std::int8_t{});
    case tflite_option::int32:
      return integer(std::int32_t{});
    case tflite_option::uint32:
      return integer(std::uint32_t{});
    case tflite_option::int64:
      return integer(std::int64_t{});
    case tflite_option::padding:
      return name_in(tflite_paddings, integer(std::int8_t{}));
    case tflite_option::activation:
      return name_in(tflite_activations, integer(std::int8_t{}));
    case tflite_option::type: {
      const auto code = integer(std::int8_t{});
      const auto number = static_cast<std::size_t>(static_cast<unsigned char>(code));
      return number < tflite_type_count ? json_value(tflite_types[number].name) : json_value(code);
    }
    case tflite_option::float32: {
      const auto value = from.number<float>(of.field, static_cast<float>(of.otherwise));
      if (std::isfinite(value)) return static_cast<double>(value);
      return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
    }
    case tflite_option::string: {
      const std::string_view text = from.string(of.field).text();
      return in_.spend(text.size() / 4, 0) && is_utf8_without_nul(text) ? json_value(text) : json_value();
    }
    case tflite_option::booleans:
    case tflite_option::uint8s:
      return tflite_numbers<std::uint8_t>(in_, from.vector(of.field, 1));
    case tflite_option::int32s:
      return tflite_numbers<std::int32_t>(in_, from.vector(of.field, 4));
    case tflite_option::uint32s:
      return tflite_numbers<std::uint32_t>(in_, from.vector(of.field, 4));
    case tflite_option::int64s:
      return tflite_numbers<std::int64_t>(in_, from.vector(of.field, 8));
    case tflite_option::float32s: {
      json_value::array_t numbers;
      const flatbuffer_vector values = from.vector(of.field, 4);
      if (!in_.spend(values.size(), values.offset_bytes())) return numbers;
      for (std::uint32_t i = 0; i < values.size(); ++i) {
        const auto value = values.number<float>(i);
        numbers.push_back(std::isfinite(value) ? json_value(static_cast<double>(value)) : json_value());
      }
      return numbers;
    }
    }
    return {};
  }

  result<void> read_signature(const flatbuffer_table& from, std::vector<graph>& graphs, std::size_t first) {
    const auto subgraph = from.number<std::uint32_t>(tflite_field::subgraph_index);
    if (!in_.is_good() || subgraph >= states_.size()) return bad("signature", from);
    subgraph_state& state = states_[subgraph];
    graph& of = graphs[first + subgraph];
    graph_signature made;
    made.name = from.string(tflite_field::signature_key).text();
    if (!is_valid_name(made.name)) made.name = "signature:" + std::to_string(of.signatures.size());
    for (const graph_signature& each : of.signatures) {
      if (each.name == made.name) return bad("signature", from);
    }
    for (const bool is_output : {false, true}) {
      std::vector<graph_port>& ports = is_output ? made.outputs : made.inputs;
      std::unordered_set<std::string> names;
      const flatbuffer_vector maps =
          from.references(is_output ? tflite_field::signature_outputs : tflite_field::signature_inputs);
      for (std::uint32_t i = 0; i < maps.size() && in_.is_good(); ++i) {
        const flatbuffer_table each = maps.table(i);
        const auto tensor = each.number<std::uint32_t>(tflite_field::map_tensor);
        std::string name(each.string(tflite_field::map_name).text());
        if (!in_.is_good() || tensor >= state.tensors.size()) return bad("signature", each);
        if (!is_valid_name(name) || !names.insert(name).second)
          name = unused_port_name(ports, names, tensor_key(state, tensor));
        graph_endpoint endpoint = endpoint_of(state, subgraph, tensor, of);
        ports.push_back(port_of(state, tensor, std::move(name), std::move(endpoint)));
      }
    }
    of.signatures.push_back(std::move(made));
    return in_.is_good() ? result<void>() : in_.problem("signature");
  }

  tflite_file& file_;
  flatbuffer& in_;
  std::string prefix_;
  const store& constants_;
  std::vector<std::string> operators_;
  std::vector<subgraph_state> states_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
