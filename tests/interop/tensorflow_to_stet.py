#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""TensorFlow writes, stet reads: every tensor of every kind of checkpoint, byte for byte.

    tensorflow_to_stet.py STET FOLDER     FOLDER is made anew
"""
import pathlib
import shutil
import sys

import numpy
import tensorflow as tf

import stet_command
from stet_command import Stet, Tally

tally = Tally()
PLAIN = ["float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool",
         "float16", "bfloat16", "complex64", "complex128"]
random = numpy.random.default_rng(7)


def values(dtype, shape):
    """Values of a dtype; random bits would hold NaNs, which equal nothing."""
    if dtype == "bool":
        return random.integers(0, 2, shape).astype(bool)
    if dtype.startswith("complex"):
        return (random.normal(size=shape) + 1j * random.normal(size=shape)).astype(dtype)
    if "int" in dtype:
        return random.integers(0, 100, shape).astype(dtype)
    return random.normal(size=shape).astype(tf.as_dtype(dtype).as_numpy_dtype)


def compare(stet, path, prefix, unreadable=()):
    """Compares what stet finds at `path` with what TensorFlow reads from the checkpoint `prefix`."""
    opened = Stet(stet, path)
    reader = tf.train.load_checkpoint(str(prefix))
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    tally.check(opened.names() == sorted(shapes), f"{path}: names {sorted(set(shapes) ^ set(opened.names()))[:5]}")
    for name in sorted(set(shapes) & set(opened.tensors)):
        row = opened.tensors[name]
        tally.check(row["shape"] == list(shapes[name]), f"{name}: shape {row['shape']}, TensorFlow {shapes[name]}")
        if not tally.check(row["dtype"] == dtypes[name].name, f"{name}: dtype {row['dtype']}, TensorFlow {dtypes[name].name}"):
            continue
        if name in unreadable:  # TensorFlow's own reader refuses these
            continue
        expected = reader.get_tensor(name)
        if row["dtype"] == "string":
            found = opened.strings(name)
            wanted = [expected] if isinstance(expected, bytes) else list(numpy.asarray(expected, object).reshape(-1))
            tally.check(found == wanted, f"{name}: strings differ")
        else:
            data = opened.stored_bytes(name)
            wanted = numpy.ascontiguousarray(expected).tobytes()
            if row["dtype"] in ("int4", "uint4"):  # one element a byte, high bits without meaning
                data, wanted = (bytes(byte & 15 for byte in each) for each in (data, wanted))
            tally.check(data == wanted, f"{name}: bytes differ")
    verified = stet_command.run(stet, "verify", path).decode()
    tally.check("BAD" not in verified, f"{path}: {verified}")
    return opened


def v1_saver(stet, folder, version):
    """tf.compat.v1.train.Saver, with partitioned variables."""
    v1 = tf.compat.v1
    prefix = folder / "model"
    with tf.Graph().as_default(), v1.Session() as session:
        for dtype in PLAIN:
            if dtype in ("bfloat16", "uint32", "uint64") and version == 1:
                continue  # the older format has no field for these
            v1.get_variable(f"scope/{dtype}", initializer=values(dtype, (3, 5)))
        v1.get_variable("scalar", initializer=numpy.float32(2.5))
        v1.get_variable("empty", initializer=numpy.zeros((0, 4), numpy.float32))
        for axis in (0, 1):
            v1.get_variable(f"partitioned{axis}", (10, 6), initializer=v1.random_normal_initializer(seed=7),
                            partitioner=v1.fixed_size_partitioner(3, axis))
        session.run(v1.global_variables_initializer())
        saver = v1.train.Saver(write_version=v1.train.SaverDef.V1 if version == 1 else v1.train.SaverDef.V2)
        written = saver.save(session, str(prefix))
    # TensorFlow reads these types of the older format back by its restore operation alone.
    unreadable = [f"scope/{each}" for each in ("float16", "uint16", "complex64", "complex128")] if version == 1 else []
    if version == 1:
        unreadable += ["partitioned0", "partitioned1"]
    compare(stet, written, written, unreadable)
    if version == 2:
        compare(stet, folder, written)  # by the state file of the folder


def objects(stet, folder):
    """tf.train.Checkpoint of every dtype, strings, nested objects and an optimizer's slots."""
    root = tf.Module()
    root.variables_by_dtype = {dtype: tf.Variable(values(dtype, (2, 3)), name=f"v_{dtype}") for dtype in PLAIN}
    root.text = tf.Variable([["", "a"], ["\u00fc\0x", "x" * 1000]], name="text")
    root.one_text = tf.Variable("alone")
    root.narrow = tf.Variable(tf.cast(tf.constant([-8, -1, 0, 7], tf.int8), tf.dtypes.experimental.int4))
    root.nested = tf.Module()
    root.nested.again = root.variables_by_dtype["float32"]
    model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(3), tf.keras.layers.Dense(2)])
    model.compile("adam", "mse")
    model.fit(values("float32", (8, 4)), values("float32", (8, 2)), verbose=0)
    prefix = tf.train.Checkpoint(root=root, model=model, optimizer=model.optimizer).save(str(folder / "ckpt"))
    opened = compare(stet, prefix, prefix)
    second = [name for row in opened.tensors.values() for name in row.get("names", [])]
    tally.check(any(name.endswith("v_float32") for name in second), f"second names by the object graph: {second[:4]}")
    compare(stet, folder, prefix)


def shards(stet, folder):
    """Several data files: large variables in pieces."""
    root = tf.Module()
    root.large = [tf.Variable(values("float32", (64, 128))) for _ in range(4)]
    root.half = tf.Variable(values("float16", (4,)))
    options = tf.train.CheckpointOptions(
        experimental_sharding_callback=tf.train.experimental.MaxShardSizePolicy(max_shard_size=40_000))
    prefix = tf.train.Checkpoint(root=root).save(str(folder / "ckpt"), options)
    count = len(list(folder.glob("ckpt-1.data-*")))
    tally.check(count > 3, f"{count} shards")
    compare(stet, prefix, prefix)


def thousands(stet, folder):
    """So many variables with such long names that the index has several blocks."""
    root = tf.Module()
    root.all = [tf.Variable(numpy.float32([i, -i]), name=f"{'long/' * 12}{i}") for i in range(5000)]
    prefix = tf.train.Checkpoint(root=root).write(str(folder / "many"))
    compare(stet, prefix, prefix)


def saved_model(stet, folder):
    """A SavedModel with signatures."""
    class Scale(tf.Module):
        def __init__(self):
            self.factor = tf.Variable(values("float32", (3,)), name="factor")

        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, "x")])
        def __call__(self, x):
            return {"y": x * self.factor + tf.constant([1.0, 2.0, 3.0])}

    module = Scale()
    tf.saved_model.save(module, str(folder), signatures=module.__call__)
    opened = Stet(stet, folder)
    factor = [name for name in opened.tensors if name.startswith("factor")]
    tally.check(len(factor) == 1 and (opened.array(factor[0]) == module.factor.numpy()).all(), f"factor: {factor}")
    graph = stet_command.run(stet, "graph", folder).decode()
    tally.check("serving_default" in graph, "stet graph shows the signature")
    keras = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(3)])
    keras.export(str(folder / "keras"), verbose=False)
    tally.check(Stet(stet, folder / "keras").names() != [], "an exported Keras model has variables")


def main():
    stet, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    print(f"TensorFlow {tf.__version__} writes, stet reads")
    cases = {
        "Saver": (v1_saver, 2), "Saver, version 1": (v1_saver, 1), "Checkpoint with objects, strings, int4, Adam's slots": (objects,),
        "several shards with pieces of variables": (shards,), "5,000 variables": (thousands,), "SavedModel and Keras export": (saved_model,),
    }
    for number, (title, (body, *arguments)) in enumerate(cases.items()):
        place = folder / str(number)
        place.mkdir(parents=True)
        tally.case(title, body, stet, place, *arguments)
    sys.exit(tally.finish())


if __name__ == "__main__":
    main()
