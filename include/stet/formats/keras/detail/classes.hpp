// SPDX-License-Identifier: MIT
// Keras' own classes: the names of their variables, and the classes of the objects in them.
#ifndef STET_FORMATS_KERAS_DETAIL_CLASSES_HPP
#define STET_FORMATS_KERAS_DETAIL_CLASSES_HPP

#include "../../hdf5/open.hpp"
#include "../../common/json_members.hpp"
#include "../config/class_group.hpp"
#include "../../common/words.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace stet::inline STET_NAMESPACE::detail {

/// The names of the variables of layers of some classes. For these classes, the number of a layer's variables, their ranks
/// and their dtypes determine the names. Both lists are separated by spaces.
struct keras_class_variables {
  std::string_view classes, names;
  bool is_quantized = false;
};
inline constexpr std::string_view keras_kernel_classes =
    "dense einsum_dense conv1d conv2d conv3d conv1d_transpose "
    "conv2d_transpose conv3d_transpose depthwise_conv1d depthwise_conv2d";
inline constexpr std::string_view keras_separable_classes = "separable_conv1d separable_conv2d";
inline constexpr std::string_view keras_cell_classes = "lstm_cell gru_cell simple_rnn_cell conv_lstm_cell";
inline constexpr keras_class_variables keras_variable_table[] = {
    {keras_kernel_classes, "kernel"},
    {keras_kernel_classes, "kernel bias"},
    {keras_kernel_classes, "kernel inputs_scale inputs_amax_history kernel_scale kernel_amax_history "
                           "outputs_grad_scale outputs_grad_amax_history"},
    {keras_kernel_classes, "kernel bias inputs_scale inputs_amax_history kernel_scale kernel_amax_history "
                           "outputs_grad_scale outputs_grad_amax_history"},
    {keras_kernel_classes, "kernel kernel_scale", true},
    {keras_kernel_classes, "kernel bias kernel_scale", true},
    {keras_kernel_classes, "kernel kernel_scale kernel_zero g_idx", true},
    {keras_kernel_classes, "kernel bias kernel_scale kernel_zero g_idx", true},
    {keras_separable_classes, "depthwise_kernel pointwise_kernel"},
    {keras_separable_classes, "depthwise_kernel pointwise_kernel bias"},
    {keras_cell_classes, "kernel recurrent_kernel"},
    {keras_cell_classes, "kernel recurrent_kernel bias"},
    {"batch_normalization", "moving_mean moving_variance"},
    {"batch_normalization", "gamma beta moving_mean moving_variance"},
    {"layer_normalization group_normalization", "gamma beta"},
    {"embedding", "embeddings"},
    {"embedding", "embeddings embeddings_scale", true},
    {"embedding", "embeddings embeddings_scale embeddings_zero g_idx", true},
};

/// The names of the variables of a layer of this class, separated by spaces; empty if they are ambiguous.
/// @param class_group  the class, by the name of its groups
/// @param variables    the variables of the layer, by number
inline std::string_view keras_variable_names(std::string_view class_group,
                                             const std::vector<const hdf5_tensor*>& variables) noexcept {
  const auto fits = [&](const keras_class_variables& row) {
    bool is_class = false;
    for (std::string_view classes = row.classes; !classes.empty() && !is_class;)
      is_class = take_word(classes) == class_group;
    if (!is_class || (variables[0]->row.layout.dtype == dtype::int8) != row.is_quantized) return false;
    std::string_view names = row.names;
    for (const hdf5_tensor* const each : variables) {
      const std::string_view name = take_word(names);
      const bool is_matrix = name.ends_with("kernel") || name == "embeddings";
      if (name.empty() || (is_matrix && each->shape.size() < 2)) return false;
    }
    return names.empty();
  };
  for (const keras_class_variables& row : keras_variable_table) {
    if (fits(row)) return row.names;
  }
  return {};
}

/// "dense" for "dense_12": Keras numbers the objects of one class. Names of private objects begin with '_'.
inline std::string_view without_number(std::string_view group) noexcept {
  group.remove_prefix((std::min)(group.find_first_not_of('_'), group.size()));
  const std::size_t last = group.find_last_not_of("0123456789");
  return last != std::string_view::npos && last + 1 != group.size() && group[last] == '_' ? group.substr(0, last)
                                                                                          : group;
}

/// An attribute of a Keras class, and the class of the object in it.
struct keras_inner_class {
  std::string_view classes, attribute, inner;
};
inline constexpr std::string_view keras_attention_classes = "multi_head_attention grouped_query_attention";
inline constexpr keras_inner_class keras_inner_classes[] = {
    {"lstm", "cell", "lstm_cell"},
    {"gru", "cell", "gru_cell"},
    {"simple_rnn", "cell", "simple_rnn_cell"},
    {"conv_lstm1d conv_lstm2d conv_lstm3d", "cell", "conv_lstm_cell"},
    {keras_attention_classes, "query_dense", "einsum_dense"},
    {keras_attention_classes, "key_dense", "einsum_dense"},
    {keras_attention_classes, "value_dense", "einsum_dense"},
    {keras_attention_classes, "output_dense", "einsum_dense"},
};

/// The class of the object in this attribute of a class; empty if it is not known.
inline std::string_view keras_inner_class_of(std::string_view class_group, std::string_view attribute) noexcept {
  attribute.remove_prefix((std::min)(attribute.find_first_not_of('_'), attribute.size()));
  for (const keras_inner_class& row : keras_inner_classes) {
    for (std::string_view classes = row.classes; !classes.empty();) {
      if (take_word(classes) == class_group && row.attribute == attribute) return row.inner;
    }
  }
  return {};
}

} // namespace stet::inline STET_NAMESPACE::detail

#endif
