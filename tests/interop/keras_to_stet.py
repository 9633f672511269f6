#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Keras 3 and tf-keras 2 write, stet reads: every variable of every kind of file, byte for byte, by its path and by the names of
layer and variable.

    keras_to_stet.py STET FOLDER     FOLDER is made anew
"""
import io
import json
import pathlib
import shutil
import sys
import warnings
import zipfile

import h5py
import keras
import ml_dtypes
import numpy
import tf_keras

import stet_command
from stet_command import Stet, Tally

warnings.simplefilter("ignore")
tally = Tally()
random = numpy.random.default_rng(7)
STEP, RATE = 12, 0.015625


def convolutions(of):
    """One and three dimensions, and all that images pass through."""
    layers = of.layers
    line = layers.Input((16, 4), name="line")
    x = layers.Conv1D(6, 3, name="conv_line")(line)
    x = layers.SeparableConv1D(4, 3)(x)
    x = layers.MaxPooling1D()(x)
    x = layers.Flatten()(x)
    volume = layers.Input((4, 4, 4, 2), name="volume")
    y = layers.Conv3D(3, 2, activation="relu")(volume)
    y = layers.BatchNormalization()(y)
    y = layers.GlobalAveragePooling3D()(y)
    image = layers.Input((8, 8, 3), name="image")
    z = layers.Conv2D(4, 3, padding="same")(image)
    z = layers.BatchNormalization()(z)
    z = layers.Activation("relu")(z)
    z = layers.DepthwiseConv2D(3, use_bias=False)(z)
    z = layers.SeparableConv2D(6, 3)(z)
    z = layers.Conv2DTranspose(2, 3)(z)
    z = layers.AveragePooling2D(2)(z)
    z = layers.Dropout(0.25)(z)
    z = layers.Reshape((-1,))(z)
    out = layers.Dense(3, name="head")(layers.Concatenate()([x, y, z]))
    return of.Model([line, volume, image], out, name="convolutions")


def sequences(of):
    layers = of.layers
    words = layers.Input((7,), dtype="int32", name="words")
    x = layers.Embedding(20, 8)(words)
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    y = layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = layers.LayerNormalization()(layers.Add()([x, y]))
    x = layers.LSTM(5, return_sequences=True, name="reader")(x)
    x = layers.TimeDistributed(layers.Dense(4))(x)
    x = layers.GRU(3)(x)
    return of.Model(words, layers.Dense(2, use_bias=False)(x), name="sequences")


def nested(of):
    """Models within models, and layers that are called twice."""
    layers = of.layers
    inner_input = layers.Input((4,))
    encoder = of.Model(inner_input, layers.Dense(3, name="deep")(layers.Dense(4)(inner_input)), name="encoder")
    block = of.Sequential([layers.Input((3,)), layers.Dense(5), of.Sequential([layers.Input((5,)), layers.LayerNormalization()], name="norm")], name="block")
    shared = layers.Dense(4, name="shared")
    left, right = layers.Input((4,), name="left"), layers.Input((4,), name="right")
    both = layers.Add()([encoder(shared(left)), encoder(shared(right))])
    return of.Model([left, right], layers.Dense(1)(block(both)), name="nested")


def sequential(of):
    layers = of.layers
    return of.Sequential([layers.Input((6,)), layers.Dense(4, activation="relu"), layers.Dropout(0.5), layers.Dense(2)])


def fill(model, of):
    """Another value in every element of every variable, those of the optimizer among them."""
    model.compile(of.optimizers.Adam(RATE), "mse")
    model.optimizer.build(model.trainable_variables)
    slots = model.optimizer.variables() if callable(model.optimizer.variables) else model.optimizer.variables
    for variable in [*model.weights, *[each for each in slots if len(each.shape) > 0]]:
        variable.assign(random.normal(size=tuple(variable.shape)).astype("float32"))
    for optimizer in {model.optimizer, getattr(model.optimizer, "inner_optimizer", model.optimizer)}:
        optimizer.iterations.assign(STEP)
    return model


def datasets(path):
    """Every dataset of a file, by its path; of an archive, of the weights in it."""
    data = io.BytesIO(zipfile.ZipFile(path).read("model.weights.h5")) if path.suffix == ".keras" else path
    found = {}
    with h5py.File(data) as file:
        def visit(name, item):
            if isinstance(item, h5py.Dataset):
                value = item[()]
                found["/" + name] = value.view(ml_dtypes.bfloat16) if item.attrs.get("dtype") == "bfloat16" else numpy.asarray(value)
        file.visititems(visit)
    return found


def compare_paths(opened, path, expected):
    tally.check(opened.names() == sorted(expected), f"{path.name}: paths {sorted(set(expected) ^ set(opened.names()))[:5]}")
    for name in sorted(set(expected) & set(opened.tensors)):
        row, wanted = opened.tensors[name], expected[name]
        tally.check(row["shape"] == list(wanted.shape), f"{path.name}: {name}: shape {row['shape']}, h5py {wanted.shape}")
        dtype = "opaque2" if wanted.dtype.kind == "V" and wanted.dtype.fields is None and wanted.dtype != ml_dtypes.bfloat16 else wanted.dtype.name
        tally.check(row["dtype"] == dtype, f"{path.name}: {name}: dtype {row['dtype']}, h5py {dtype}")
        tally.check(row["in_place"] and opened.stored_bytes(name) == wanted.tobytes(), f"{path.name}: {name}: bytes differ")


def compare_names(opened, path, model, is_told=lambda name, found: found == name or found.endswith("/" + name)):
    """Each variable of the model by what Keras calls it."""
    names = {second: path for path, row in opened.tensors.items() for second in row.get("names", [])}
    for variable in model.weights:
        name = getattr(variable, "path", variable.name.removesuffix(":0"))
        name = name.removeprefix(model.name + "/")
        found = [each for each in names if is_told(name, each)]
        if tally.check(len(found) == 1, f"{path.name}: {name}: {found} of {sorted(names)[:40]}"):
            tally.check(opened.stored_bytes(names[found[0]]) == variable.numpy().tobytes(), f"{path.name}: {name}: bytes differ")


def without_config(name, found):
    """Beside weights alone nothing tells the class of a wrapped layer: its variables keep their numbers."""
    layer, role = name.split("/")[0], name.split("/")[-1]
    numbers = {"bidirectional": ("kernel", "recurrent_kernel", "bias"), "time_distributed": ("kernel", "bias")}
    for prefix, roles in numbers.items():
        if layer.startswith(prefix):
            name = name[:-len(role)] + str(roles.index(role))
    return found == name or found.endswith("/" + name)


def compare_graph(stet, path, opened, model):
    """A node for each layer, with its class and variables."""
    graph = json.loads(stet_command.run(stet, "graph", "--json", path))["graphs"][0]
    nodes = {each["name"]: each for each in graph["nodes"]}
    for layer in model.layers:
        node = nodes.get(layer.name)
        if not tally.check(node is not None and node["op"] == type(layer).__name__, f"{path.name}: node of {layer.name}: {node and node['op']}"):
            continue
        values = sorted(opened.stored_bytes(each) for each in node.get("variables", {}).values())
        wanted = sorted(each.numpy().tobytes() for each in layer.weights)
        if not hasattr(layer, "layers"):  # the weights of a model within are those of its own nodes
            tally.check(values == wanted, f"{path.name}: variables of {layer.name}: {node.get('variables')}")


def compare_state(stet, path, folder):
    native = folder / (path.name + ".stet")
    stet_command.run(stet, "convert", path, native)
    state = json.loads(stet_command.run(stet, "manifest", native))["state"]
    tally.check(state["global_step"] == STEP, f"{path.name}: state {state.get('global_step')}")
    tally.check(state["optimizer"].get("learning_rate", RATE) == RATE, f"{path.name}: {state['optimizer']}")


def keras3(stet, folder, make, policy):
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = fill(make(keras), keras)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    archive, weights, legacy = (folder / name for name in ("model.keras", "model.weights.h5", "model.h5"))
    model.save(archive)
    model.save_weights(weights)
    model.save(legacy)
    for path in (archive, weights, legacy):
        opened = Stet(stet, path)
        tally.check(opened.format == ("keras-v3" if path is archive else "hdf5"), f"{path.name}: {opened.format}")
        compare_paths(opened, path, datasets(path))
        compare_names(opened, path, model, *([without_config] if path is weights else []))
        if path is not weights:
            compare_graph(stet, path, opened, model)
    compare_state(stet, archive, folder)
    compare_state(stet, legacy, folder)


def shards(stet, folder):
    """Weights in several files, a layer cut between two of them."""
    model = fill(sequences(keras), keras)
    index = folder / "model.weights.json"
    model.save_weights(index, max_shard_size=1e-6)
    opened = Stet(stet, index)
    files = sorted(folder.glob("*.weights.h5"))
    tally.check(len(files) > 3, f"{len(files)} shards")
    expected = {}
    for file in files:
        expected.update(datasets(file))
    compare_paths(opened, index, expected)
    compare_names(opened, index, model, without_config)


def quantized(stet, folder, mode):
    model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(8), keras.layers.Dense(4, use_bias=False)])
    fill(model, keras).quantize(mode)
    for path in (folder / "model.keras", folder / "model.weights.h5"):
        model.save(path) if path.suffix == ".keras" else model.save_weights(path)
        opened = Stet(stet, path)
        compare_paths(opened, path, datasets(path))
        kernels = [second for row in opened.tensors.values() for second in row.get("names", []) if second.endswith("/kernel")]
        tally.check(len(kernels) == 2, f"{path.name}: {kernels}")


def custom(stet, folder):
    """Layers of one's own: lists, dicts and attributes of layers, variables by any key."""
    @keras.saving.register_keras_serializable("stet")
    class Block(keras.layers.Layer):
        def __init__(self, **more):
            super().__init__(**more)
            self.stack = [keras.layers.Dense(4), keras.layers.Dense(4)]
            self.table = {"a": keras.layers.Dense(4), "b": keras.layers.LayerNormalization()}

        def build(self, shape):
            self.scale = self.add_weight(shape=(4,), name="scale")
            for layer in [*self.stack, *self.table.values()]:
                layer.build(shape)

        def call(self, x):
            for layer in [*self.stack, *self.table.values()]:
                x = layer(x)
            return x * self.scale

        def save_own_variables(self, store):
            store["scale"] = self.scale

    model = keras.Sequential([keras.Input((4,)), Block(name="own")])
    fill(model, keras)
    path = folder / "model.keras"
    model.save(path)
    opened = Stet(stet, path)
    compare_paths(opened, path, datasets(path))
    compare_names(opened, path, model)


def keras2(stet, folder, make):
    model = fill(make(tf_keras), tf_keras)
    archive, weights, legacy, bare = (folder / name for name in ("model.keras", "model.weights.h5", "model.h5", "bare.h5"))
    model.save(archive)
    model.save(legacy, save_format="h5")
    model.save_weights(weights)
    model.save_weights(bare, save_format="h5")

    def by_layer(name, found):
        # The file has the names of layers; objects within them are called as their groups.
        # Of one variable, the name has changed since.
        steps, parts = name.split("/"), found.split("/")
        layer, role = steps[0], steps[-1]
        if layer.startswith("depthwise"):
            role = role.replace("depthwise_kernel", "kernel")
        inner = {"attention_output": "output_dense"}
        objects = [inner.get(step, step) for step in steps if step in ("query", "key", "value", "attention_output")]
        return (layer in parts[:-1] and parts[-1] == role and all(each in found for each in objects)
                and ("backward" in found) == ("backward" in name))

    for path in (archive, weights, legacy, bare):
        opened = Stet(stet, path)
        compare_paths(opened, path, datasets(path))
        if path in (legacy, bare):
            compare_names(opened, path, model)
            if path is legacy:
                compare_graph(stet, path, opened, model)
                compare_state(stet, path, folder)
        elif path is archive:
            compare_names(opened, path, model, by_layer)
            compare_graph(stet, path, opened, model)
            compare_state(stet, path, folder)


def main():
    stet, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    print(f"Keras {keras.__version__} and tf-keras {tf_keras.__version__} write, stet reads")
    cases = {}
    for make in (convolutions, sequences, nested, sequential):
        cases[f"Keras 3, {make.__name__}"] = (keras3, make, "float32")
    for policy in ("mixed_bfloat16", "bfloat16", "mixed_float16", "float16", "float64"):
        cases[f"Keras 3, {policy}"] = (keras3, sequential, policy)
    cases["Keras 3, layers in bfloat16"] = (keras3, sequences, "mixed_bfloat16")
    cases["Keras 3, shards"] = (shards,)
    for mode in ("int8", "int4", "float8"):
        cases[f"Keras 3, quantized to {mode}"] = (quantized, mode)
    cases["Keras 3, layers of one's own"] = (custom,)
    for make in (convolutions, sequences, nested, sequential):
        cases[f"tf-keras 2, {make.__name__}"] = (keras2, make)
    for number, (title, (body, *arguments)) in enumerate(cases.items()):
        place = folder / str(number)
        place.mkdir(parents=True)
        tally.case(title, body, stet, place, *arguments)
    sys.exit(tally.finish())


if __name__ == "__main__":
    main()
