// SPDX-License-Identifier: MIT
// Finds the tensors of an ONNX file: those of its graphs, of functions, and of attributes of nodes.
#ifndef STET_FORMATS_ONNX_DETAIL_TENSORS_HPP
#define STET_FORMATS_ONNX_DETAIL_TENSORS_HPP

#include "names.hpp"
#include "tensor_proto.hpp"

#include "../../model.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// A message that holds tensors, or one that holds such a message.
struct onnx_message {
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  /// The offset of its size, which is a varint in front of it.
  std::uint64_t length_offset_bytes = 0;
  onnx_range content;
  /// The number of the message that holds it; none: the file does.
  std::uint32_t parent = none;
};

/// The message that fills a file.
enum class onnx_kind : std::uint8_t { none, model, tensor, sequence };

/// The tensors of a file.
struct onnx_tensors {
  std::vector<onnx_tensor> tensors;
  /// Those of an element type that stet does not have.
  std::vector<omitted_item> omitted;
  /// The messages of the tensors, and those around them.
  std::vector<onnx_message> messages;
};

/// Finds the tensors of a file. Used once; failures are those of the input.
class onnx_finder {
public:
  onnx_finder(onnx_input& in, onnx_tensors& into) noexcept
      : in_(in), into_(into), names_left_((std::uint64_t{1} << 16) + 16 * in.size_bytes()) {}

  void find(onnx_kind kind) {
    const onnx_range file{0, in_.size_bytes()};
    if (kind == onnx_kind::tensor) return add_tensor(file, "<unnamed>");
    onnx_fields fields(in_, file);
    if (kind == onnx_kind::sequence) {
      into_.omitted.push_back({"<sequence>", error(errc::unsupported, "a sequence of tensors")});
      while (fields.next()) {
      } // a malformed one is an error
      return;
    }
    bool has_graph = false;
    while (fields.next()) {
      if (fields.tag() == bytes_field(7)) {
        has_graph = true;
        enter(fields, &onnx_finder::find_in_graph);
      } else if (fields.tag() == bytes_field(20)) {
        enter(fields, &onnx_finder::find_in_training);
      } else if (fields.tag() == bytes_field(25)) {
        enter(fields, &onnx_finder::find_in_function);
      }
    }
    if (!has_graph) in_.fail(error(errc::malformed, "no graph"));
  }

private:
  /// A message around the one that is read.
  struct level {
    onnx_message message;
    /// Its number among `messages`; none: it is not there yet.
    std::uint32_t number = onnx_message::none;
  };
  /// What is known of the node that is read.
  struct node_facts {
    std::string op, label;
    /// The beginning of the names of the tensors in its attributes.
    [[nodiscard]] std::string name(std::string_view attribute) const { return onnx_node_name(op, label, attribute); }
  };

  /// Calls a member function for the message that a field is.
  template <class Read, class... Arguments>
  void enter(const onnx_fields& field, Read read, const Arguments&... arguments) {
    if (levels_.size() + 1 >= max_protobuf_depth) return in_.fail(error(errc::too_deep, {}, field.offset_bytes()));
    levels_.push_back({{field.length_offset_bytes(), field.payload(), onnx_message::none}, onnx_message::none});
    (this->*read)(field.payload(), arguments...);
    levels_.pop_back();
  }

  /// Lists the messages around the tensor that is read. @return the number of the innermost
  std::uint32_t list_messages() {
    std::uint32_t parent = onnx_message::none;
    for (level& each : levels_) {
      if (each.number == onnx_message::none) {
        each.number = static_cast<std::uint32_t>(into_.messages.size());
        each.message.parent = parent;
        into_.messages.push_back(each.message);
      }
      parent = each.number;
    }
    return parent;
  }

  void find_in_graph(const onnx_range& graph) {
    std::uint64_t number = 0;
    onnx_fields fields(in_, graph);
    while (fields.next()) {
      if (fields.tag() == bytes_field(1)) enter(fields, &onnx_finder::find_in_node, number++);
      if (fields.tag() == bytes_field(5)) enter(fields, &onnx_finder::add_tensor, std::string());
      if (fields.tag() == bytes_field(15)) enter(fields, &onnx_finder::add_sparse, std::string());
    }
  }

  void find_in_training(const onnx_range& training) {
    onnx_fields fields(in_, training);
    while (fields.next()) {
      const bool is_first = fields.tag() == bytes_field(1);
      if (!is_first && fields.tag() != bytes_field(2)) continue;
      const std::size_t before = prefix_.size();
      prefix_ += functions_.unique_name(is_first ? "training:initialization" : "training:algorithm");
      prefix_ += '/';
      enter(fields, &onnx_finder::find_in_graph);
      prefix_.resize(before);
    }
  }

  void find_in_function(const onnx_range& function) {
    std::string name;
    onnx_fields facts(in_, function);
    while (facts.next()) {
      if (facts.tag() == bytes_field(1)) name = short_text(facts);
    }
    prefix_ = functions_.unique_name("function:" + name) + "/";
    std::uint64_t number = 0;
    onnx_fields fields(in_, function);
    while (fields.next()) {
      if (fields.tag() == bytes_field(7)) enter(fields, &onnx_finder::find_in_node, number++);
    }
    prefix_.clear();
  }

  void find_in_node(const onnx_range& node, std::uint64_t number) {
    node_facts facts;
    std::string name;
    bool has_attributes = false, has_output = false;
    onnx_fields fields(in_, node);
    while (fields.next()) {
      if (fields.tag() == bytes_field(2) && !has_output) {
        has_output = true;
        facts.label = short_text(fields);
      } else if (fields.tag() == bytes_field(3)) {
        name = short_text(fields);
      } else if (fields.tag() == bytes_field(4)) {
        facts.op = short_text(fields);
      }
      has_attributes = has_attributes || fields.tag() == bytes_field(5);
    }
    if (!has_attributes) return;
    facts.label = onnx_node_label(facts.label, name, number);
    onnx_fields again(in_, node);
    while (again.next()) {
      if (again.tag() == bytes_field(5)) enter(again, &onnx_finder::find_in_attribute, facts);
    }
  }

  void find_in_attribute(const onnx_range& attribute, const node_facts& node) {
    std::string name;
    bool has_any = false;
    onnx_fields facts(in_, attribute);
    while (facts.next()) {
      if (facts.tag() == bytes_field(1)) name = short_text(facts);
      has_any = has_any || holds_tensors(facts.tag());
    }
    if (!has_any) return;
    std::uint64_t numbers[32] = {}; // of the fields so far
    onnx_fields fields(in_, attribute);
    while (fields.next()) {
      if (!holds_tensors(fields.tag())) continue;
      const std::uint64_t number = numbers[fields.number()]++;
      const bool is_list =
          fields.tag() == bytes_field(10) || fields.tag() == bytes_field(11) || fields.tag() == bytes_field(23);
      const bool is_graph = fields.tag() == bytes_field(6) || fields.tag() == bytes_field(11);
      // Of a message that occurs twice, the fields would have to be merged. Graphs that are merged are read one by one.
      if (!is_list && !is_graph && number != 0) return in_.fail(error(errc::malformed, name, fields.offset_bytes()));
      if (!spend_on_names(node.op.size() + node.label.size() + name.size())) return;
      const std::string own = is_list ? name + ":" + std::to_string(number) : name;
      if (is_graph) {
        const std::size_t before = prefix_.size();
        prefix_ += onnx_subgraph_name(node.label, own) + "/";
        enter(fields, &onnx_finder::find_in_graph);
        prefix_.resize(before);
      } else if (fields.tag() == bytes_field(5) || fields.tag() == bytes_field(10)) {
        enter(fields, &onnx_finder::add_tensor, node.name(own));
      } else {
        enter(fields, &onnx_finder::add_sparse, node.name(own) + ":");
      }
    }
  }
  static constexpr bool holds_tensors(std::uint32_t tag) noexcept {
    return tag == bytes_field(5) || tag == bytes_field(6) || tag == bytes_field(10) || tag == bytes_field(11) ||
           tag == bytes_field(22) || tag == bytes_field(23);
  }

  /// Adds the parts of a SparseTensorProto: its values and their indices.
  void add_sparse(const onnx_range& message, const std::string& before) {
    std::string name;
    std::vector<std::int64_t> dims;
    bool has_values = false, has_indices = false;
    onnx_fields facts(in_, message);
    while (facts.next()) {
      bool* const seen = facts.tag() == bytes_field(1)   ? &has_values
                         : facts.tag() == bytes_field(2) ? &has_indices
                                                         : nullptr;
      if (seen != nullptr) {
        if (*seen) return in_.fail(error(errc::malformed, name, facts.offset_bytes()));
        *seen = true;
      }
      if (facts.tag() == bytes_field(1)) {
        onnx_fields values(in_, facts.payload());
        while (values.next()) {
          if (values.tag() == bytes_field(8)) name = short_text(values);
        }
      }
      const auto add = [&](std::uint64_t extent) {
        if (dims.size() <= max_rank) dims.push_back(static_cast<std::int64_t>(extent));
      };
      if (facts.tag() == varint_field(3)) add(facts.value());
      if (facts.tag() == bytes_field(3)) for_each_packed_varint(in_, facts.payload(), add);
    }
    if (in_.failure()) return;
    const std::string own = before + "sparse:" + name;
    if (!has_values || !has_indices) return in_.fail(error_about(errc::malformed, own, "no values or indices"));
    if (dims.size() > max_rank) return in_.fail(error(errc::bad_shape, own));
    onnx_fields fields(in_, message);
    while (fields.next()) {
      if (fields.tag() == bytes_field(1)) {
        const std::size_t count = into_.tensors.size();
        enter(fields, &onnx_finder::add_tensor, own + ":values");
        if (into_.tensors.size() > count) into_.tensors.back().sparse_shape = dims;
      } else if (fields.tag() == bytes_field(2)) {
        enter(fields, &onnx_finder::add_tensor, own + ":indices");
      }
    }
  }

  /// Adds a tensor.
  /// @param given_name  the name behind the prefix; empty: the tensor must have its own, which counts for one that is no part of a
  ///                    model, too
  void add_tensor(const onnx_range& message, const std::string& given_name) {
    onnx_tensor_proto proto;
    proto.read(in_, message);
    if (in_.failure()) return;
    const bool has_own_name = given_name.empty() || (levels_.empty() && !proto.name.empty());
    const std::string& name = has_own_name ? proto.name : given_name;
    if (name.empty() || (has_own_name && proto.has_long_name))
      return in_.fail(error(errc::bad_name, prefix_, message.begin));
    if (!spend_on_names(prefix_.size() + name.size())) return;
    onnx_tensor made;
    made.name.reserve(prefix_.size() + name.size());
    made.name.append(prefix_).append(name);
    made.message = message;
    if (auto read = proto.make(made); !read) {
      if (read.error() == errc::unknown_dtype && proto.data_type != 0) {
        into_.omitted.push_back({std::move(made.name), read.error()});
      } else {
        in_.fail(read.error());
      }
      return;
    }
    made.message_number = list_messages();
    into_.tensors.push_back(std::move(made));
  }

  /// One long name may be in front of any number of others: all names together are bounded. @return false after a failure
  bool spend_on_names(std::size_t size_bytes) {
    if (size_bytes > names_left_) return in_.fail(error(errc::too_large, "names of tensors")), false;
    names_left_ -= size_bytes;
    return true;
  }

  /// The text of a field, unless it is longer than a name may be.
  [[nodiscard]] std::string short_text(const onnx_fields& field) {
    if (field.payload().size_bytes() <= max_name_size_bytes) return std::string(field.text());
    in_.fail(error(errc::bad_name, {}, field.offset_bytes()));
    return {};
  }

  onnx_input& in_;
  onnx_tensors& into_;
  std::vector<level> levels_;
  std::string prefix_;
  distinct_names functions_;
  std::uint64_t names_left_;
};

/// Finds the tensors of the file.
/// @retval errc::bad_protobuf, truncated  see `onnx_fields`
/// @retval errc::malformed   the model has no graph; or a message that may occur once occurs twice
/// @retval errc::too_deep    messages are nested deeper than Protocol Buffers allow
/// @retval errc::bad_name    a tensor has no name, or one that is too long
/// @retval errc::too_large   the names with those of the nodes around them are more than 64 KiB and 16 times the file
/// or an error of `onnx_tensor_proto::make`
inline result<onnx_tensors> find_onnx_tensors(onnx_input& in, onnx_kind kind) {
  onnx_tensors made;
  onnx_finder(in, made).find(kind);
  if (in.failure()) return *in.failure();
  return made;
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
