// SPDX-License-Identifier: MIT
// The classes of layers of TensorFlow.js, and their differences from Keras.
#ifndef STET_FORMATS_TFJS_DETAIL_CLASSES_HPP
#define STET_FORMATS_TFJS_DETAIL_CLASSES_HPP

#include "../../../vocabulary/config.hpp"

#include <string_view>

// TensorFlow.js 4.22 registers the classes below and ignores fields that it does not know. The name of a weight is
// LAYER/WEIGHT, or LAYER/forward_INNER/WEIGHT in a half of Bidirectional, where INNER is the configured name of the
// inner layer. A weight with another name makes loading fail; a field that is ignored or misread changes the
// outputs. Resizing, CenterCrop, CategoryEncoding and StackedRNNCells are registered, but cannot load the
// configurations of Keras.
//
// Source: tensorflow/tfjs 4.22, tfjs-layers/src/layers and src/engine/container.ts (loadWeights); outputs were
// compared with those of Keras 3.15 (tests/interop/keras_to_tfjs.py).

namespace stet::inline STET_NAMESPACE::detail {

/// A weight of the layers of some classes: its name in Keras and in TensorFlow.js, and the field of the configuration that
/// is false if a layer lacks the weight.
struct tfjs_class_weight {
  std::string_view classes, name, tfjs_name, field;
};
inline constexpr std::string_view tfjs_recurrent_layers = "LSTM GRU SimpleRNN",
                                  tfjs_recurrent_cells = "LSTMCell GRUCell SimpleRNNCell",
                                  tfjs_kernel_layers =
                                      "Dense Conv1D Conv2D Conv3D Conv2DTranspose Conv3DTranspose LSTM "
                                      "GRU SimpleRNN ConvLSTM2D LSTMCell GRUCell SimpleRNNCell";
/// The weights, in the order of their numbers in Keras.
inline constexpr tfjs_class_weight tfjs_class_weights[] = {
    {tfjs_kernel_layers, "kernel", "kernel", ""},
    {"DepthwiseConv2D", "kernel", "depthwise_kernel", ""},
    {"SeparableConv2D", "depthwise_kernel", "depthwise_kernel", ""},
    {"SeparableConv2D", "pointwise_kernel", "pointwise_kernel", ""},
    {"LSTM GRU SimpleRNN ConvLSTM2D LSTMCell GRUCell SimpleRNNCell", "recurrent_kernel", "recurrent_kernel", ""},
    {tfjs_kernel_layers, "bias", "bias", "use_bias"},
    {"DepthwiseConv2D SeparableConv2D", "bias", "bias", "use_bias"},
    {"Embedding", "embeddings", "embeddings", ""},
    {"PReLU", "alpha", "alpha", ""},
    {"BatchNormalization LayerNormalization", "gamma", "gamma", "scale"},
    {"BatchNormalization LayerNormalization", "beta", "beta", "center"},
    {"BatchNormalization", "moving_mean", "moving_mean", ""},
    {"BatchNormalization", "moving_variance", "moving_variance", ""},
};

/// The classes without weights.
inline constexpr std::string_view tfjs_plain_layers =
    "InputLayer Placeholder Activation ReLU LeakyReLU ELU ThresholdedReLU Softmax Cropping2D UpSampling2D Dropout "
    "SpatialDropout1D Flatten RepeatVector Reshape Permute Masking Add Multiply Average Maximum Minimum Concatenate "
    "Dot "
    "GaussianNoise GaussianDropout AlphaDropout ZeroPadding2D MaxPooling1D AveragePooling1D MaxPooling2D "
    "AveragePooling2D MaxPooling3D AveragePooling3D GlobalAveragePooling1D GlobalMaxPooling1D GlobalAveragePooling2D "
    "GlobalMaxPooling2D Rescaling";

/// The layers that contain another layer, in this field of the configuration.
struct tfjs_wrapper {
  std::string_view op, field, inner_classes;
};
inline constexpr tfjs_wrapper tfjs_wrappers[] = {
    {"Bidirectional", "layer", tfjs_recurrent_layers},
    {"RNN", "cell", tfjs_recurrent_cells},
    {"TimeDistributed", "layer", ""}, // of any class
};

/// A field of the layers of some classes (empty: of all) that changes their results, and the values, a JSON array, for
/// which TensorFlow.js gives the same results. An absent or null field does, too.
struct tfjs_field_values {
  std::string_view classes, field, values;
};
inline constexpr tfjs_field_values tfjs_field_table[] = {
    {"", "data_format", R"(["channels_last"])"},
    {"Conv1D Conv2D Conv3D", "groups", "[1]"},
    {"Conv1D Conv2D Conv3D", "padding", R"(["valid","same"])"},
    {"Conv2DTranspose Conv3DTranspose", "output_padding", "[]"},
    {"Conv2DTranspose Conv3DTranspose DepthwiseConv2D", "dilation_rate", "[1,[1,1],[1,1,1]]"},
    {"ReLU", "negative_slope", "[0]"},
    {"ReLU", "threshold", "[0]"},
    {"ELU", "alpha", "[1]"},
    {"Softmax", "axis", "[-1]"},
    {"UpSampling2D", "interpolation", R"(["nearest"])"},
    {"GRU GRUCell", "reset_after", "[false]"},
    {"LayerNormalization", "rms_scaling", "[false]"},
    {"GlobalAveragePooling1D GlobalMaxPooling1D GlobalAveragePooling2D GlobalMaxPooling2D", "keepdims", "[false]"},
    {"Bidirectional", "merge_mode", R"(["concat","sum","ave","mul"])"},
};

/// A value of a field, or a field, with another name in TensorFlow.js. Empty: TensorFlow.js has none, and it is left out.
struct tfjs_name {
  std::string_view name, tfjs_name;
};
inline constexpr tfjs_name tfjs_activations[] = {
    {"silu", "swish"},        {"swish", "swish"},       {"elu", "elu"},
    {"selu", "selu"},         {"relu", "relu"},         {"relu6", "relu6"},
    {"linear", "linear"},     {"sigmoid", "sigmoid"},   {"hard_sigmoid", "hard_sigmoid"},
    {"softplus", "softplus"}, {"softsign", "softsign"}, {"tanh", "tanh"},
    {"softmax", "softmax"},   {"gelu", "gelu"},         {"log_softmax", "log_softmax"},
    {"mish", "mish"},
};
inline constexpr tfjs_name tfjs_initializers[] = {
    {"LecunNormal", "LeCunNormal"},
    {"LecunUniform", "LeCunUniform"},
};
inline constexpr std::string_view tfjs_own_initializers =
    "Zeros Ones Constant RandomUniform RandomNormal TruncatedNormal Identity VarianceScaling GlorotUniform "
    "GlorotNormal "
    "HeNormal HeUniform LeCunNormal LeCunUniform Orthogonal";

/// The layers that give the same results as in Keras after a mask, which Masking and some Embeddings produce. The layers
/// of the first list pass the mask on.
inline constexpr std::string_view tfjs_mask_keepers =
    "Masking Embedding Dense Dropout BatchNormalization Activation TimeDistributed LSTM GRU SimpleRNN RNN";
inline constexpr std::string_view tfjs_mask_enders = "Flatten GlobalMaxPooling1D Bidirectional";

} // namespace stet::inline STET_NAMESPACE::detail

#endif
