// SPDX-License-Identifier: MIT
// Builds the object graph of an object-based TensorFlow checkpoint from the names of its variables.
#ifndef STET_FORMATS_TENSORFLOW_DETAIL_BUILD_OBJECT_GRAPH_HPP
#define STET_FORMATS_TENSORFLOW_DETAIL_BUILD_OBJECT_GRAPH_HPP

#include "object_graph.hpp"

#include "../../../wire/protobuf_writer.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The form of the name of an edge in a key: "." becomes "..", "/" becomes ".S".
/// Source: tensorflow/python/trackable/trackable_utils.py, escape_local_name.
inline std::string escape_edge(std::string_view name) {
  std::string escaped;
  for (const char c : name) {
    if (c == '.' || c == '/') escaped += '.';
    escaped += c == '/' ? 'S' : c;
  }
  return escaped;
}
/// The name whose form in a key is `escaped`.
inline std::string unescape_edge(std::string_view escaped) {
  std::string name;
  for (std::size_t i = 0; i < escaped.size(); ++i) {
    const char next = escaped[i] == '.' && i + 1 < escaped.size() ? escaped[i + 1] : '\0';
    const bool is_escape = next == '.' || next == 'S';
    name += !is_escape ? escaped[i] : next == 'S' ? '/' : '.';
    if (is_escape) ++i;
  }
  return name;
}

/// Collects variables by their paths in the object graph of a program, "model/dense/kernel".
class object_graph_builder {
public:
  /// Adds a variable. @param name  its path, '/'-separated, or its key of another checkpoint
  /// @param full_name  the name for programs that use names only
  /// @return  the key of the variable
  std::string add(std::string_view name, std::string_view full_name) {
    const bool is_key = name.ends_with(variable_suffix);
    std::string_view rest = is_key ? without_variable_suffix(name) : name;
    std::size_t at = 0;
    std::string path;
    for (bool is_last = false; !is_last;) {
      const std::size_t slash = rest.find('/');
      is_last = slash == std::string_view::npos;
      const std::string_view part = rest.substr(0, slash);
      rest.remove_prefix(is_last ? rest.size() : slash + 1);
      if (!path.empty()) path += '/';
      path += is_key ? std::string(part) : escape_edge(part);
      const auto [found, is_new] = nodes_by_path_.try_emplace(path, nodes_.size());
      if (is_new) {
        nodes_[at].children.emplace_back(is_key ? unescape_edge(part) : std::string(part), nodes_.size());
        nodes_.emplace_back();
      }
      at = found->second;
    }
    std::string key = path.append(variable_suffix);
    nodes_[at].full_name = full_name;
    nodes_[at].key = key;
    return key;
  }

  /// The TrackableObjectGraph.
  [[nodiscard]] std::string finish() const {
    protobuf_writer graph;
    for (const node& each : nodes_) {
      graph.message(1, [&](protobuf_writer& out) {
        for (const auto& child : each.children) {
          out.message(1, [&](protobuf_writer& edge) { edge.varint(1, child.second).bytes(2, child.first); });
        }
        if (!each.key.empty()) {
          out.message(2, [&](protobuf_writer& attribute) {
            attribute.bytes(1, variable_attribute).bytes(2, each.full_name).bytes(3, each.key);
          });
        }
        out.message(5, [](protobuf_writer& has_values) { has_values.varint(1, 1); });
      });
    }
    return graph.take();
  }

private:
  struct node {
    std::vector<std::pair<std::string, std::size_t>> children;
    std::string full_name, key;
  };
  std::vector<node> nodes_{1}; // the root
  std::map<std::string, std::size_t> nodes_by_path_;
};

} // namespace stet::inline STET_NAMESPACE::detail

#endif
