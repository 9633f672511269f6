#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Keras saves models, stet saves them again in each of Keras' forms, and Keras opens those: the same predictions, bit for bit.

    stet_to_keras.py STET FOLDER     FOLDER is made anew
"""
import json
import pathlib
import shutil
import subprocess
import sys
import warnings
import zipfile

import h5py
import keras
import numpy
import tf_keras
from keras import layers

from stet_command import Stet, Tally, run

tally = Tally()
warnings.simplefilter("ignore")


def images():
    """Everything that has to do with images, in one model."""
    pixels = keras.Input((12, 12, 3), name="pixels")
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(pixels)
    x = layers.BatchNormalization()(x)
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    y = layers.SeparableConv2D(4, 3, padding="same", use_bias=False)(x)
    y = layers.BatchNormalization(scale=False)(y)
    x = layers.Add()([x, y])
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2DTranspose(3, 2, strides=2)(x)
    x = layers.AveragePooling2D(2)(x)
    x = layers.PReLU(shared_axes=[1, 2])(x)
    x = layers.SpatialDropout2D(0.2)(x)
    flat = layers.Flatten()(x)
    volume = layers.Reshape((6, 6, 3, 1))(x)
    volume = layers.Conv3D(2, 2)(volume)
    volume = layers.GlobalAveragePooling3D()(volume)
    x = layers.Concatenate()([flat, volume])
    x = layers.GroupNormalization(groups=2)(x) if x.shape[-1] % 2 == 0 else x
    return keras.Model(pixels, [layers.Dense(3, "softmax", name="kind")(x), layers.Dense(1, name="size")(x)])


def sequences():
    """Words, recurrent layers, attention."""
    words = keras.Input((7,), dtype="int32")
    x = layers.Embedding(20, 6)(words)
    x = layers.Conv1D(6, 3, padding="same")(x)
    x = layers.LayerNormalization()(x)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 3)(x, x)])
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    x = layers.Dropout(0.3)(x)
    x = layers.GRU(5, return_sequences=True)(x)
    x = layers.SimpleRNN(4, return_sequences=True)(x)
    x = layers.TimeDistributed(layers.Dense(3))(x)
    x = layers.Activation("tanh")(x)
    return keras.Model(words, layers.Dense(2)(layers.GlobalMaxPooling1D()(x)))


def shared():
    """A layer called twice, two models of the same layers' names within the model, one within the other."""
    def tower(name, trainable):
        inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="dense"), layers.BatchNormalization(name="norm")], name="inner")
        made = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="dense"), inner, layers.Dense(4, name="last")], name=name)
        made.trainable = trainable
        return made
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    both = layers.Dense(4, name="dense")
    left, right = tower("left", True), tower("right", False)
    x = layers.Add()([left(both(a)), right(both(b))])
    return keras.Model([a, b], layers.Dense(2, name="norm")(layers.Multiply()([x, left(a)])))


def chain():
    return keras.Sequential([keras.Input((6,)), layers.Dense(5, "relu"), layers.Dropout(0.5), layers.Dense(5, "relu"), layers.Dense(2)])


@keras.saving.register_keras_serializable("tests")
class Scale(layers.Layer):
    """One that stet knows nothing of."""

    def __init__(self, factor=2, **others):
        super().__init__(**others)
        self.factor = factor

    def build(self, shape):
        self.gain = self.add_weight(shape=(shape[-1],), name="gain")

    def call(self, x):
        return x * self.gain * self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def custom():
    return keras.Sequential([keras.Input((4,)), layers.Dense(4), Scale(3), layers.Dense(2)])


def example_of(model, seed):
    """Inputs for a model, the same every time."""
    random = numpy.random.default_rng(seed)
    made = [random.integers(0, 20, (3, *each.shape[1:])) if "int" in str(each.dtype)
            else random.normal(size=(3, *each.shape[1:])).astype("float32") for each in model.inputs]
    return made if len(made) > 1 else made[0]


def outputs_of(model, inputs):
    found = model.predict(inputs, verbose=0)
    return [numpy.asarray(each) for each in (found if isinstance(found, (list, tuple)) else [found])]


def same(found, expected, what):
    for each, wanted in zip(found, expected, strict=True):
        tally.check(each.tobytes() == wanted.tobytes(), f"{what}: predictions differ by {abs(each - wanted).max()}")


def trained(model, inputs, optimizer):
    """With an optimizer that has a state, and statistics that are not those of a fresh model."""
    model.compile(optimizer, "mse")
    count = 3
    targets = [numpy.ones((count, *each.shape[1:]), "float32") for each in model.outputs]
    model.fit(inputs, targets if len(targets) > 1 else targets[0], epochs=2, verbose=0)
    return model


def h5_of(path):
    """The HDF5 file of a model, on its own, and where in the file it begins."""
    if path.suffix != ".keras":
        return path, 0
    with zipfile.ZipFile(path) as archive:
        tally.check(archive.testzip() is None, f"{path.name}: a checksum is wrong")
        into = path.with_suffix(".member.h5")
        into.write_bytes(archive.read("model.weights.h5"))
        info = archive.getinfo("model.weights.h5")
    with open(path, "rb") as file:
        file.seek(info.header_offset + 26)
        sizes = file.read(4)
    return into, info.header_offset + 30 + int.from_bytes(sizes[:2], "little") + int.from_bytes(sizes[2:], "little")


def accepted(stet, path):
    """h5py reads every dataset, all are aligned; HDF5's own tools accept the file; stet finds everything in place."""
    h5, base = h5_of(path)

    def visit(name, each):
        if isinstance(each, h5py.Dataset):
            each[()]
            if each.nbytes:
                tally.check((base + each.id.get_offset()) % 64 == 0, f"{path.name}: {name} is not aligned")

    with h5py.File(h5) as file:
        file.visititems(visit)
    for tool in TOOLS:
        done = subprocess.run([tool, str(h5)], capture_output=True)
        tally.check(done.returncode == 0 and not done.stderr, f"{tool} {path.name}: {done.stderr[:200]}")
    for name, row in Stet(stet, path).tensors.items():
        tally.check(row["in_place"] or row["size_bytes"] == 0, f"{path.name}: {name} is not in place")


def round_trip(stet, folder, name, build, policy, optimizer):
    keras.utils.set_random_seed(3)
    keras.backend.clear_session()
    keras.config.set_dtype_policy(policy)
    model = build()
    inputs = example_of(model, 5)
    trained(model, inputs, optimizer)
    expected = outputs_of(model, inputs)
    files = [folder / f"{name}.keras", folder / f"{name}.h5"]
    for from_file in files if policy != "bfloat16" else files[:1]:  # whose .h5 Keras cannot open either
        model.save(from_file)
        kept = folder / f"{name}_{from_file.suffix[1:]}.stet"
        run(stet, "convert", from_file, kept)
        for ending in (".keras", ".weights.h5", ".h5"):
            made = folder / f"{name}_{from_file.suffix[1:]}_again{ending}"
            what = f"{from_file.name} → {made.name}"
            run(stet, "convert", kept, made)
            once = made.read_bytes()
            run(stet, "convert", kept, made)
            tally.check(once == made.read_bytes(), f"{what}: two saves differ")
            accepted(stet, made)
            if ending == ".weights.h5":
                other = build()
                other.load_weights(made)
                same(outputs_of(other, inputs), expected, what)
                continue
            opened = keras.saving.load_model(made, compile=False)
            same(outputs_of(opened, inputs), expected, what)
            if ending == from_file.suffix:
                compiled(made, model, inputs, what)
    keras.config.set_dtype_policy("float32")


def compiled(path, model, inputs, what):
    """The optimizer goes on where it stopped."""
    if path.suffix == ".h5" and keras.config.dtype_policy().name.startswith("mixed"):
        return  # Keras itself loses the state then
    opened = keras.saving.load_model(path, compile=path.suffix != ".h5")
    if path.suffix == ".h5":  # Keras 3 does not find its own loss 'mse' there
        with h5py.File(path) as file:
            names = list(file["optimizer_weights"].attrs["weight_names"])
            found = [file["optimizer_weights"][each][()] for each in names]
    else:
        found = [each.numpy() for each in opened.optimizer.variables]
    expected = [each.numpy() for each in model.optimizer.variables]
    tally.check(len(found) == len(expected), f"{what}: {len(found)} of {len(expected)} variables of the optimizer")
    for each, wanted in zip(found, expected):
        tally.check(each.tobytes() == wanted.tobytes(), f"{what}: the optimizer's state differs")


def quantized(stet, folder):
    """Quantized weights go over as they are."""
    for mode in ("int8", "int4", "float8"):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((16,)), layers.Dense(8, name="one"), layers.Dense(4, name="two")])
        inputs = example_of(model, 7)
        model.quantize(mode)
        expected = outputs_of(model, inputs)
        model.save(folder / f"{mode}.keras")
        run(stet, "convert", folder / f"{mode}.keras", folder / f"{mode}.stet")
        run(stet, "convert", folder / f"{mode}.stet", folder / f"{mode}_again.keras")
        same(outputs_of(keras.saving.load_model(folder / f"{mode}_again.keras"), inputs), expected, mode)


def keras2(stet, folder):
    """What tf-keras 2 saved, stet saves so that tf-keras 2 opens it."""
    tf_keras.utils.set_random_seed(3)
    old = tf_keras.layers
    pixels, words = tf_keras.Input((8, 8, 2)), tf_keras.Input((5,), dtype="int32")
    x = old.BatchNormalization()(old.Conv2D(3, 3, activation="relu")(pixels))
    x = old.Flatten()(old.MaxPooling2D()(old.DepthwiseConv2D(2)(x)))
    inner = tf_keras.Sequential([tf_keras.Input((5, 4)), old.Dense(4), old.LayerNormalization()], name="inner")
    y = old.Bidirectional(old.LSTM(2, return_sequences=True))(old.Embedding(20, 4)(words))
    y = old.GRU(3)(old.Dropout(0.2)(inner(y)))
    model = tf_keras.Model([pixels, words], old.Dense(2)(old.Concatenate()([x, y])))
    inputs = example_of(model, 9)
    trained(model, inputs, "adam")
    expected = outputs_of(model, inputs)
    model.save(folder / "old.h5", save_format="h5")
    model.save(folder / "old.keras")
    for source in ("old.h5", "old.keras"):
        run(stet, "convert", folder / source, folder / "old.stet")
        for ending in (source[3:], ".weights.h5", ".h5"):
            made = folder / f"old_{source[4:]}_again{ending}"
            run(stet, "convert", folder / "old.stet", made)
            accepted(stet, made)
            if ending == ".weights.h5":
                tf_keras.backend.clear_session()
                opened = tf_keras.models.clone_model(model)
                opened.load_weights(made)
            else:
                opened = tf_keras.models.load_model(made, compile=False)
            same(outputs_of(opened, inputs), expected, f"{source} → {made.name}")


def refused(stet, folder):
    """What cannot be said in a form is an error that names it, and no file."""
    keras.config.set_dtype_policy("float32")
    custom_model = folder / "stack.keras"
    inner = keras.layers.StackedRNNCells([layers.LSTMCell(2), layers.GRUCell(2)])
    keras.Sequential([keras.Input((3, 2)), layers.RNN(inner)]).save(custom_model)
    made = folder / "stack.h5"
    done = subprocess.run([stet, "convert", str(custom_model), str(made)], capture_output=True, text=True)
    tally.check(done.returncode == 1 and "layer rnn (RNN): can be saved as keras" in done.stderr and not made.exists(), f"{done.returncode} {done.stderr}")
    run(stet, "convert", custom_model, folder / "stack_again.keras")
    keras.saving.load_model(folder / "stack_again.keras")


TOOLS = [tool for tool in ("h5dump", "h5stat") if shutil.which(tool)]


def main():
    stet, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if len(TOOLS) < 2:
        print("SKIPPED: h5dump and h5stat (package hdf5-tools) are not installed", flush=True)
    for name, build, policy, optimizer in (
        ("images", images, "float32", "adam"),
        ("sequences", sequences, "float32", "adamw"),
        ("shared", shared, "float32", keras.optimizers.SGD(0.01, momentum=0.9)),
        ("chain", chain, "float32", "adam"),
        ("chain_float16", chain, "float16", "sgd"),
        ("chain_bfloat16", chain, "bfloat16", "adam"),
        ("chain_mixed", chain, "mixed_bfloat16", "adam"),
        ("chain_float64", chain, "float64", "rmsprop"),
        ("custom", custom, "float32", "adam"),
    ):
        tally.case(f"{name} ({policy}): .keras and .h5, each to .keras, .weights.h5 and .h5", round_trip, stet, folder, name, build, policy, optimizer)
    tally.case("quantized", quantized, stet, folder)
    tally.case("tf-keras 2: .h5 and .keras, each to its own form, .weights.h5 and .h5", keras2, stet, folder)
    tally.case("refused", refused, stet, folder)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
