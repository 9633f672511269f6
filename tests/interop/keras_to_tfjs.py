#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Layers of Keras 3, each in a model that stet saves for TensorFlow.js: the same predictions there, or refused by name.

    keras_to_tfjs.py STET FOLDER NODE_FOLDER     FOLDER is made anew
"""
import pathlib
import shutil
import subprocess
import sys
import warnings

import keras
import numpy
from keras import layers

from stet_command import Tally
from tensorflow_js import TensorFlowJs

tally = Tally()
warnings.simplefilter("ignore")
IMAGE, SEQUENCE, VECTOR, WORDS = (6, 6, 4), (5, 3), (4,), (5,)


def chain(*all_layers):
    return keras.Sequential(list(all_layers))


def embedding():
    return layers.Embedding(20, 3, mask_zero=True)


def on_both(layer):
    """The layer, called with the input and another tensor."""
    return lambda x: layer([x, layers.Activation("tanh")(x)])


def inner(name="inner"):
    return chain(keras.Input(VECTOR), layers.Dense(3, name=name), layers.BatchNormalization())


def shared(x):
    model = inner()
    return layers.Add()([model(x), model(layers.Activation("tanh")(x))])


def two_deep(x):
    inputs = keras.Input(VECTOR)
    model = keras.Model(inputs, inner()(inputs), name="middle")
    return model(x)


def changed(change):
    layer = layers.Dense(3)
    layer.build((None, 4))
    change(layer)
    return layer


# What predicts the same there.
SAME = {
    VECTOR: [
        *[lambda a=a: layers.Dense(3, activation=a) for a in "elu selu relu relu6 sigmoid softplus softsign tanh softmax log_softmax silu mish gelu".split()],
        lambda: layers.ReLU(0.5), lambda: layers.LeakyReLU(0.2), lambda: layers.PReLU(), lambda: layers.ELU(), lambda: layers.Softmax(),
        lambda: layers.Dense(3, kernel_regularizer="l2", bias_regularizer=keras.regularizers.L1(0.1), kernel_constraint="max_norm"),
        lambda: layers.Dense(3, kernel_initializer="lecun_normal", name="my_dense_1"), lambda: layers.Dense(3, dtype="mixed_float16"),
        lambda: layers.BatchNormalization(), lambda: layers.BatchNormalization(scale=False), lambda: layers.BatchNormalization(center=False),
        lambda: layers.Dropout(0.2), lambda: layers.GaussianNoise(0.2), lambda: layers.GaussianDropout(0.2), lambda: layers.AlphaDropout(0.2),
        lambda: layers.RepeatVector(3), lambda: layers.Reshape((2, 2)), lambda: inner(), lambda: shared, lambda: two_deep,
        *[lambda m=m: on_both(m()) for m in (layers.Add, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum, layers.Concatenate)],
        lambda: on_both(layers.Dot(1)),
    ],
    SEQUENCE: [
        lambda: layers.Conv1D(4, 2), lambda: layers.Dense(3), lambda: layers.LayerNormalization(), lambda: layers.LayerNormalization(scale=False),
        lambda: layers.BatchNormalization(), lambda: layers.Permute((2, 1)), lambda: layers.SpatialDropout1D(0.2), lambda: layers.MaxPooling1D(2),
        lambda: layers.AveragePooling1D(2), lambda: layers.GlobalAveragePooling1D(), lambda: layers.GlobalMaxPooling1D(), lambda: layers.LSTM(3),
        lambda: layers.LSTM(3, return_sequences=True, go_backwards=True), lambda: layers.SimpleRNN(3, use_bias=False),
        lambda: layers.GRU(3, reset_after=False), lambda: layers.RNN(layers.LSTMCell(3)), lambda: layers.RNN(layers.SimpleRNNCell(3)),
        *[lambda m=m: layers.Bidirectional(layers.LSTM(3, name="my_lstm"), merge_mode=m) for m in ("concat", "sum", "ave", "mul")],
        lambda: layers.Bidirectional(layers.GRU(3, reset_after=False, return_sequences=True)), lambda: layers.Bidirectional(layers.SimpleRNN(3)),
        lambda: layers.TimeDistributed(layers.Dense(4)), lambda: layers.TimeDistributed(layers.BatchNormalization()),
        lambda: chain(layers.Masking(), layers.LSTM(3)),
    ],
    IMAGE: [
        lambda: layers.Conv2D(4, (2, 3), padding="same", activation="relu"), lambda: layers.Conv2D(4, 3, strides=2, use_bias=False),
        lambda: layers.Conv2D(4, 2, dilation_rate=2), lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
        lambda: layers.DepthwiseConv2D(2, strides=2, use_bias=False), lambda: layers.SeparableConv2D(3, 2, depth_multiplier=2),
        lambda: layers.Conv2DTranspose(3, 2, strides=2), lambda: layers.Conv2DTranspose(3, 3, strides=2, padding="same"),
        lambda: layers.Cropping2D(((1, 1), (0, 2))), lambda: layers.UpSampling2D(2), lambda: layers.ZeroPadding2D(((1, 2), (0, 1))),
        lambda: layers.MaxPooling2D(2, padding="same"), lambda: layers.AveragePooling2D(2, padding="same"), lambda: layers.GlobalAveragePooling2D(),
        lambda: layers.GlobalMaxPooling2D(), lambda: layers.BatchNormalization(), lambda: layers.Rescaling(0.5, 1.0), lambda: layers.Flatten(),
        lambda: layers.PReLU(shared_axes=[1, 2]),
    ],
    (3, *IMAGE): [lambda: layers.TimeDistributed(layers.DepthwiseConv2D(2)), lambda: layers.ConvLSTM2D(2, 2), lambda: layers.Conv3D(3, 2),
                  lambda: layers.Conv3DTranspose(2, 2), lambda: layers.MaxPooling3D(2), lambda: layers.AveragePooling3D(2)],
    (3, *SEQUENCE): [lambda: layers.TimeDistributed(layers.LSTM(2)), lambda: layers.TimeDistributed(layers.TimeDistributed(layers.Dense(2))),
                     lambda: layers.TimeDistributed(layers.Bidirectional(layers.LSTM(2)))],
    WORDS: [
        lambda: layers.Embedding(20, 3), lambda: chain(embedding(), layers.LSTM(3, return_sequences=True), layers.LSTM(2)),
        lambda: chain(embedding(), layers.Bidirectional(layers.LSTM(3))), lambda: chain(embedding(), layers.TimeDistributed(layers.Dense(3))),
        lambda: chain(embedding(), layers.Dense(3), layers.GlobalMaxPooling1D()), lambda: chain(embedding(), layers.Flatten(), layers.Dense(2)),
        lambda: chain(embedding(), layers.BatchNormalization(), layers.Activation("relu"), layers.Dropout(0.1), layers.GRU(2, reset_after=False)),
    ],
}

# What TensorFlow.js does not have, or computes otherwise.
REFUSED = {
    VECTOR: [
        *[lambda a=a: layers.Dense(3, activation=a) for a in "hard_sigmoid exponential leaky_relu celu".split()],
        lambda: layers.ReLU(negative_slope=0.1), lambda: layers.ELU(0.5), lambda: layers.Identity(), lambda: layers.Normalization(mean=1.0, variance=2.0),
        lambda: layers.Dense(3, kernel_regularizer=keras.regularizers.OrthogonalRegularizer()), lambda: layers.SpectralNormalization(layers.Dense(3)),
        lambda: on_both(layers.Subtract()), lambda: keras.ops.relu, lambda: lambda x: x + 1.0, lambda: lambda x: inner()(x) + inner("inner")(x),
        lambda: changed(lambda layer: layer.quantize("int8")),
    ],
    SEQUENCE: [
        lambda: layers.GRU(3), lambda: layers.Bidirectional(layers.GRU(3)), lambda: layers.LSTM(3, recurrent_activation="hard_sigmoid"),
        lambda: layers.RNN([layers.LSTMCell(3), layers.LSTMCell(2)]), lambda: layers.Bidirectional(layers.RNN(layers.LSTMCell(3))),
        lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.LSTM(3, go_backwards=True, activation="relu")),
        lambda: layers.Conv1D(4, 2, padding="causal"), lambda: layers.Softmax(1), lambda: layers.BatchNormalization(axis=1),
        lambda: layers.LayerNormalization(rms_scaling=True), lambda: layers.RMSNormalization(), lambda: layers.GlobalMaxPooling1D(keepdims=True),
        lambda: layers.EinsumDense("abc,cd->abd", (5, 2)), lambda: lambda x: layers.MultiHeadAttention(2, 3)(x, x),
        lambda: lambda x: layers.LSTM(3)(x, initial_state=[layers.Dense(3)(layers.Flatten()(x))] * 2),
    ],
    IMAGE: [
        lambda: layers.Conv2D(4, 2, groups=2), lambda: layers.Conv2DTranspose(3, 3, strides=2, output_padding=1), lambda: layers.GroupNormalization(2),
        lambda: layers.DepthwiseConv2D(2, dilation_rate=2), lambda: layers.UpSampling2D(2, interpolation="bilinear"), lambda: layers.Resizing(3, 4),
        lambda: layers.SpatialDropout2D(0.2),
    ],
    WORDS: [lambda: chain(embedding(), layers.Bidirectional(layers.LSTM(3, return_sequences=True))),
            lambda: chain(embedding(), layers.Conv1D(3, 2), layers.LSTM(2)), lambda: chain(embedding(), layers.GlobalAveragePooling1D())],
}


def model_of(shape, make):
    """A model, and inputs for it."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    numbers = numpy.random.default_rng(3)
    dtype = "int32" if shape == WORDS else "float32"
    inputs = keras.Input(shape, dtype=dtype)
    model = keras.Model(inputs, make()(inputs))
    for weight in model.weights:
        if "float" in str(weight.dtype) and "seed" not in weight.path:
            weight.assign(numpy.abs(numbers.normal(size=weight.shape)) * 0.5)
            if getattr(weight, "constraint", None):  # as after training; TensorFlow.js applies it to what it loads
                weight.assign(weight.constraint(weight))
    example = numbers.integers(0, 20, (2, *shape)).astype(dtype) if shape == WORDS else numbers.normal(size=(2, *shape)).astype(dtype)
    if len(shape) < 3:
        example[0, 3:] = example[1, :2] = 0  # which masks leave out
    return model, example


def check(stet, folder, tfjs, shape, make, is_expected):
    model, example = model_of(shape, make)
    what = " ".join(f"{type(each).__name__}" for each in model.layers[1:])
    for ending in ("keras", "h5"):
        source, into = folder / f"m.{ending}", folder / ending / "model.json"
        try:
            model.save(source)
        except Exception:  # Keras has no .h5 for some
            continue
        shutil.rmtree(into.parent, ignore_errors=True)
        into.parent.mkdir()
        done = subprocess.run([stet, "convert", source, into], capture_output=True, text=True)
        if not is_expected:
            is_named = "layer " in done.stderr and "can be saved as tfjs-weights" in done.stderr
            tally.check(done.returncode == 1 and is_named, f"{what}, {ending}: {done.stdout}{done.stderr}")
            continue
        if not tally.check(done.returncode == 0, f"{what}, {ending}: {done.stderr}"):
            continue
        try:
            [found] = tfjs.predict(into, [example])
            wanted = numpy.asarray(model(example, training=False))
            is_half = any("float16" in each.dtype_policy.name for each in model.layers)  # TensorFlow.js computes with float32
            tally.check(found.shape == wanted.shape and abs(found - wanted).max() < (2e-2 if is_half else 2e-3), f"{what}, {ending}: predictions differ")
        except ValueError as failure:
            tally.check(False, f"{what}, {ending}: {failure}")


def main():
    stet, folder, node_folder = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
    tfjs = TensorFlowJs(node_folder)
    if not tfjs.is_there:
        return 77
    for table, is_expected in ((SAME, True), (REFUSED, False)):
        for shape, all_makes in table.items():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)

            def run_all():
                for make in all_makes:
                    check(stet, folder, tfjs, shape, make, is_expected)

            tally.case(f"{len(all_makes)} layers of {shape}: {'the same there' if is_expected else 'refused'}", run_all)
    tfjs.close()
    return tally.finish()


sys.exit(main())
