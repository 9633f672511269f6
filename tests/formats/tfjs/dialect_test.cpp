// SPDX-License-Identifier: MIT
// Tests of tfjs/dialect.hpp: classes, fields and weights in the terms of TensorFlow.js, and what it cannot express.
#include "support/outcome.hpp"

#include <stet/formats/tfjs/detail/dialect.hpp>

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using dialect_weights = std::vector<std::pair<std::string, std::string>>;

stet::json_value dialect_json(std::string_view text) {
  auto parsed = stet::parse_json(text);
  CHECK_MESSAGE(parsed, text);
  return parsed ? std::move(*parsed) : stet::json_value();
}

/// A model of one layer called "l" behind an input.
stet::graph one_layer(const std::string& op, std::string_view config, const dialect_weights& weights,
                      std::string_view extra = "{}") {
  stet::graph made;
  made.add("x", "InputLayer");
  std::vector<stet::graph_variable> variables;
  for (const auto& [role, tensor] : weights) variables.push_back({role, tensor});
  made.add("l", op, {"x"}, dialect_json(config), std::move(variables)).extra = dialect_json(extra);
  made.inputs = {{"x", "x", stet::dtype::float32, {{-1, 3}}}};
  made.outputs = {{"y", "l", std::nullopt, std::nullopt}};
  return made;
}

/// "ROLE=TENSOR ..." and the configuration after translation; or the subject of errc::not_expressible.
std::string translated(const stet::graph& from, bool is_keras_3 = true) {
  const auto made = stet::detail::tfjs_translator(from, is_keras_3).run();
  if (!made) {
    CHECK(made.error().code() == stet::errc::not_expressible);
    return std::string(made.error().subject());
  }
  std::string text;
  for (const stet::graph_variable& each : made->nodes[1].variables)
    text.append(each.role).append("=").append(each.tensor).append(" ");
  return text + made->nodes[1].attributes.dump();
}

const dialect_weights kernel_and_bias{{"kernel", "k"}, {"bias", "b"}};
const dialect_weights both_halves{{"forward_in/lstm_cell/kernel", "fk"},
                                  {"forward_in/lstm_cell/recurrent_kernel", "fr"},
                                  {"forward_in/lstm_cell/bias", "fb"},
                                  {"backward_in/lstm_cell/kernel", "bk"},
                                  {"backward_in/lstm_cell/recurrent_kernel", "br"},
                                  {"backward_in/lstm_cell/bias", "bb"}};

constexpr std::string_view refused_end = ": can be saved as tfjs-weights";

} // namespace

TEST_SUITE("tfjs/dialect") {
  TEST_CASE("weights get the names that TensorFlow.js has for them") {
    CHECK(translated(one_layer("Dense", R"({"units":2})", kernel_and_bias)) == R"(kernel=k bias=b {"units":2})");
    CHECK(translated(one_layer("DepthwiseConv2D", R"({"use_bias":false})", {{"kernel", "k"}})) ==
          R"(depthwise_kernel=k {"use_bias":false})");
    CHECK(translated(one_layer("DepthwiseConv2D", R"({"use_bias":false})", {{"depthwise_kernel", "k"}})) ==
          R"(depthwise_kernel=k {"use_bias":false})");
    CHECK(translated(one_layer("SimpleRNN", R"({"use_bias":false})",
                               {{"simple_rnn_cell/kernel", "k"}, {"simple_rnn_cell/recurrent_kernel", "r"}})) ==
          R"(kernel=k recurrent_kernel=r {"use_bias":false})");
    CHECK(translated(one_layer("TimeDistributed",
                               R"({"layer":{"module":"keras.layers","class_name":"Dense","config":{}}})",
                               {{"dense/kernel", "k"}, {"dense/bias", "b"}})) ==
          R"(kernel=k bias=b {"layer":{"class_name":"Dense","config":{}}})");
    // Numbers are those of Keras.
    CHECK(translated(one_layer("PReLU", "{}", {{"0", "a"}})) == "alpha=a {}");
    CHECK(translated(one_layer("BatchNormalization", R"({"scale":false})", {{"2", "v"}, {"0", "b"}, {"1", "m"}})) ==
          R"(moving_variance=v beta=b moving_mean=m {"scale":false})");
  }

  TEST_CASE("the halves of Bidirectional are called after the inner layer, the second is made of the first") {
    const std::string expected = "forward_in/kernel=fk forward_in/recurrent_kernel=fr forward_in/bias=fb "
                                 "backward_in/kernel=bk backward_in/recurrent_kernel=br backward_in/bias=bb ";
    for (const std::string_view name : {"in", "forward_in"}) {
      const std::string layer = R"({"class_name":"LSTM","config":{"name":")" + std::string(name) + R"("}})";
      CHECK(translated(one_layer("Bidirectional", R"({"layer":)" + layer + "}", both_halves)) ==
            expected + R"({"layer":{"class_name":"LSTM","config":{"name":"in"}}})");
    }
    const auto with_second = [&](std::string_view second) {
      return translated(
          one_layer("Bidirectional",
                    R"({"layer":{"class_name":"LSTM","config":{"name":"in","units":3,"go_backwards":false}},)"
                    R"("backward_layer":)" +
                        std::string(second) + "}",
                    both_halves));
    };
    CHECK(with_second(R"({"class_name":"LSTM","config":{"name":"b","units":3,"go_backwards":true}})") ==
          expected + R"({"layer":{"class_name":"LSTM","config":{"name":"in","units":3,"go_backwards":false}}})");
    for (const std::string_view other :
         {R"({"class_name":"GRU","config":{"name":"b","units":3,"go_backwards":true}})",
          R"({"class_name":"LSTM","config":{"name":"b","units":4,"go_backwards":true}})",
          R"({"class_name":"LSTM","config":{"name":"b","units":3,"go_backwards":false}})",
          R"({"class_name":"LSTM","config":{"units":3,"more":1,"go_backwards":true}})"}) {
      CAPTURE(other);
      CHECK(with_second(other) == "layer l (Bidirectional) with this backward_layer" + std::string(refused_end));
    }
  }

  TEST_CASE("fields are put into its words") {
    CHECK(translated(one_layer("LeakyReLU", R"({"negative_slope":0.5})", {})) == R"({"alpha":0.5})");
    CHECK(translated(one_layer("Activation", R"({"activation":"silu"})", {})) == R"({"activation":"swish"})");
    CHECK(translated(one_layer("Activation", R"({"activation":"hard_sigmoid"})", {}), false) ==
          R"({"activation":"hard_sigmoid"})");
    const auto dtype = [](std::string_view written) {
      return translated(one_layer("Flatten", R"({"dtype":)" + std::string(written) + "}", {}));
    };
    CHECK(dtype(R"({"module":"keras","class_name":"DTypePolicy","config":{"name":"mixed_float16"}})") ==
          R"({"dtype":"float32"})");
    CHECK(dtype(R"("int64")") == R"({"dtype":"int32"})");
    CHECK(dtype(R"("string")") == R"({"dtype":"string"})");
    CHECK(translated(one_layer(
              "Embedding",
              R"({"embeddings_regularizer":{"module":"keras.regularizers","class_name":"L2","config":{"l2":0.1}},)"
              R"("embeddings_initializer":{"class_name":"LecunNormal","config":{}},)"
              R"("other_initializer":{"class_name":"STFT","config":{}}})",
              {{"embeddings", "e"}})) ==
          R"(embeddings=e {"embeddings_regularizer":{"class_name":"L1L2","config":{"l2":0.1,"l1":0}},)"
          R"("embeddings_initializer":{"class_name":"LeCunNormal","config":{}},"other_initializer":null})");
  }

  TEST_CASE("what TensorFlow.js does not have, or computes otherwise, is refused by the layer's name") {
    const struct {
      const char *op, *config, *problem;
      const char* extra = "{}";
    } rows[] = {
        {"MultiHeadAttention", "{}", ""},
        {"GroupNormalization", "{}", ""},
        {"Resizing", "{}", ""},
        {"Lambda", "{}", ""},
        {"tests>Scale", "{}", ""},
        {"Dropout", "{}", "", R"({"module":"mine","registered_name":"mine>Dropout"})"},
        {"Add", "{}", "", R"({"module":"keras.src.ops.numpy"})"}, // a function that is called as a layer is
        {"GRU", R"({"reset_after":true})", " with this reset_after"},
        {"Conv1D", R"({"padding":"causal"})", " with this padding"},
        {"Conv2D", R"({"groups":2})", " with this groups"},
        {"DepthwiseConv2D", R"({"dilation_rate":[2,2]})", " with this dilation_rate"},
        {"Conv2D", R"({"data_format":"channels_first"})", " with this data_format"},
        {"UpSampling2D", R"({"interpolation":"bilinear"})", " with this interpolation"},
        {"Softmax", R"({"axis":1})", " with this axis"},
        {"ReLU", R"({"negative_slope":0.1})", " with this negative_slope"},
        {"GlobalMaxPooling1D", R"({"keepdims":true})", " with this keepdims"},
        {"Activation", R"({"activation":"hard_sigmoid"})", " with this activation"},
        {"Activation", R"({"activation":"celu"})", " with this activation"},
        {"Activation", R"({"activation":{"class_name":"function","config":"f"}})", " with this activation"},
        {"Dense", R"({"kernel_regularizer":{"class_name":"OrthogonalRegularizer","config":{}}})",
         " with this kernel_regularizer"},
        {"Dense", R"({"dtype":{"class_name":"QuantizedDTypePolicy","config":{"mode":"int8"}}})", " with this dtype"},
        {"BatchNormalization", R"({"axis":1})", " with this axis", R"({"build_config":{"input_shape":[null,5,3]}})"},
        {"BatchNormalization", R"({"axis":-1})", " with this axis",
         R"({"build_config":{"input_shape":[null,5,5,5,3]}})"},
        {"BatchNormalization", R"({"axis":1})", " with this axis"},
        {"RNN", R"({"cells":[{"class_name":"LSTMCell","config":{}}]})", " of several cells"},
        {"RNN", R"({"cell":{"class_name":"StackedRNNCells","config":{}}})", " of StackedRNNCells"},
        {"Bidirectional", R"({"layer":{"class_name":"RNN","config":{}}})", " of RNN"},
        {"TimeDistributed", R"({"layer":{"class_name":"EinsumDense","config":{}}})", " of EinsumDense"},
        {"TimeDistributed", R"({"layer":{"class_name":"GRU","config":{"reset_after":true}}})",
         " with this reset_after"},
        {"Dense", "{}", " and its arguments", R"({"call":{"args":[{"$input":0},1],"kwargs":{}}})"},
        {"Dense", "{}", " and its arguments", R"({"call":{"args":[{"$input":0}],"kwargs":{"mask":{"$input":0}}}})"},
    };
    for (const auto& row : rows) {
      CAPTURE(row.op);
      CAPTURE(row.config);
      const std::string layer = "layer l (" + std::string(row.op) + ")";
      CHECK(translated(one_layer(row.op, row.config, {}, row.extra)) == layer + row.problem + std::string(refused_end));
    }
    // The same as far as it goes.
    CHECK(translated(one_layer("Flatten", "{}", {},
                               R"({"call":{"args":[{"$input":0}],"kwargs":{"mask":null,"training":false}}})")) == "{}");
    CHECK(translated(one_layer("Dropout", "{}", {}, R"({"module":"keras.layers","registered_name":null})")) == "{}");
    const auto behind_mask = [](const char* op, std::string_view config, const char* from = "l") {
      stet::graph masked = one_layer("Masking", "{}", {});
      masked.add("last", "Activation", {"l"});
      masked.add("next", op, {from}, dialect_json(config));
      return translated(masked);
    };
    CHECK(behind_mask("Flatten", "{}") == "{}");
    CHECK(behind_mask("GlobalAveragePooling1D", "{}", "x") == "{}");
    for (const auto& [op, config] : {std::pair{"GlobalAveragePooling1D", "{}"}, std::pair{"Reshape", "{}"},
                                     std::pair{"Bidirectional", R"({"layer":{"config":{"return_sequences":true}}})"}}) {
      CHECK(behind_mask(op, config, "last") ==
            "layer next (" + std::string(op) + ") behind a mask" + std::string(refused_end));
    }
    for (const bool is_masked : {true, false}) { // by a model within the model
      stet::graph outer = one_layer("Sequential", R"({"function":"f"})", {});
      stet::graph_function& f = outer.functions.emplace_back();
      f.name = "f";
      f.add("m", is_masked ? "Masking" : "Flatten");
      f.outputs = {{"y", "m", std::nullopt, std::nullopt}};
      outer.add("next", "Reshape", {"l"});
      CHECK(translated(outer) ==
            (is_masked ? "layer next (Reshape) behind a mask" + std::string(refused_end) : R"({"function":"f"})"));
    }
    stet::graph subclassed = one_layer("Flatten", "{}", {});
    subclassed.metadata = dialect_json(R"({"keras":{"module":"mine","class_name":"Mine"}})");
    CHECK(translated(subclassed) == "model of class Mine" + std::string(refused_end));
  }

  TEST_CASE("a layer has its weights, each with a name of its own, or is refused") {
    CHECK(translated(one_layer("Dense", "{}", {{"kernel", "k"}})) ==
          "layer l (Dense) without bias" + std::string(refused_end));
    CHECK(translated(one_layer("Dense", "{}", {{"2", "k"}, {"1", "b"}})) ==
          "layer l (Dense) and weight 2" + std::string(refused_end));
    CHECK(translated(one_layer("Dense", "{}", {{"0", "k"}, {"kernel", "b"}})) ==
          "layer l (Dense) and weight kernel" + std::string(refused_end));
    CHECK(translated(one_layer("Dense", "{}", {{"a/kernel", "k"}, {"b/kernel", "b"}})) ==
          "layer l (Dense) and weight b/kernel" + std::string(refused_end));
    CHECK(translated(one_layer("Dense", "{}", {{"kernel", "k"}, {"bias", "b"}, {"kernel_scale", "s"}})) ==
          "layer l (Dense) and weight kernel_scale" + std::string(refused_end));
    stet::graph twice = one_layer("Dense", "{}", kernel_and_bias);
    twice.functions.emplace_back().name = "f";
    twice.functions.back().add("l", "Dense", {}, stet::json_value::object(), {{"kernel", "k2"}, {"bias", "b2"}});
    CHECK(translated(twice) == "layer l (Dense), whose name is not valid or taken" + std::string(refused_end));
    stet::graph spaced = one_layer("Dense", "{}", kernel_and_bias);
    spaced.nodes[1].name = "a b";
    CHECK(translated(spaced) == "layer a b (Dense), whose name is not valid or taken" + std::string(refused_end));
  }
}
