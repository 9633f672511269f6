#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""stet writes, TensorFlow loads by each of its ways, and finds what was saved.

    stet_to_tensorflow.py STET FOLDER WRITER     FOLDER is made anew; WRITER is the program write_tensorflow
"""
import pathlib
import shutil
import subprocess
import sys

import numpy
import tensorflow as tf

from stet_command import Tally

v1 = tf.compat.v1
tally = Tally()
DTYPES = ["float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "bfloat16",
          "float8_e4m3fn", "float8_e5m2", "int4", "uint4"]
COUNTED = numpy.arange(15).reshape(3, 5)
KERNEL, BIAS = numpy.arange(6, dtype="float32").reshape(2, 3), numpy.arange(3, dtype="float32")


def expected(dtype):
    """What write_tensorflow saves for a dtype."""
    if dtype == "int4":
        return COUNTED % 8
    return COUNTED.astype("float32").astype(tf.as_dtype(dtype).as_numpy_dtype).astype("float32")


def by_name(prefix):
    """tf.train.load_checkpoint reads every tensor of every dtype."""
    reader = tf.train.load_checkpoint(str(prefix))
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    names = DTYPES + ["string", "no_strings", "empty", "scalar", "tied"]
    tally.check(sorted(shapes) == sorted(names), f"names {sorted(shapes)}")
    for dtype in DTYPES:
        tally.check(dtypes[dtype].name == dtype, f"{dtype}: dtype {dtypes[dtype]}")
        tally.check(shapes[dtype] == [3, 5], f"{dtype}: shape {shapes[dtype]}")
        found = reader.get_tensor(dtype)
        tally.check((found.astype("float32") == expected(dtype)).all(), f"{dtype}: {found}")
    tally.check(list(reader.get_tensor("string")) == [b"a", b"", b"b\0c"], "strings differ")
    tally.check(reader.get_tensor("no_strings").shape == (0,), "no_strings")
    tally.check(reader.get_tensor("empty").shape == (0, 3), "empty")
    tally.check(reader.get_tensor("scalar") == 2.5, "scalar")
    tally.check((reader.get_tensor("tied") == COUNTED).all(), "tied")


def saver(prefix):
    """tf.compat.v1.train.Saver restores variables by name, and init_from_checkpoint starts others from them."""
    with tf.Graph().as_default(), v1.Session() as session:
        variables = {name: v1.get_variable(name, [3, 5], tf.as_dtype(name)) for name in ("float32", "int64", "float64")}
        v1.train.Saver().restore(session, str(prefix))
        for name, variable in variables.items():
            tally.check((session.run(variable) == COUNTED).all(), f"Saver: {name}")
    with tf.Graph().as_default(), v1.Session() as session:
        variable = v1.get_variable("scope/other", [3, 5], tf.float32)
        v1.train.init_from_checkpoint(str(prefix), {"float32": "scope/other"})
        session.run(v1.global_variables_initializer())
        tally.check((session.run(variable) == COUNTED).all(), "init_from_checkpoint")


def latest(folder):
    """tf.train.latest_checkpoint finds what the state file names."""
    tally.check(tf.train.latest_checkpoint(str(folder)) == str(folder / "by_name"), f"latest {tf.train.latest_checkpoint(str(folder))}")


def objects(prefix):
    """tf.train.Checkpoint restores the variables of objects, all of them, and a Saver finds them by their full names."""
    net = tf.Module()
    net.kernel = tf.Variable(tf.zeros([2, 3]))
    setattr(net, "bias.with.dots", tf.Variable(tf.zeros([3])))
    step = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(net=net, step=step)
    checkpoint.restore(str(prefix)).assert_consumed()
    tally.check((net.kernel.numpy() == KERNEL).all(), "kernel")
    tally.check((getattr(net, "bias.with.dots").numpy() == BIAS).all(), "bias")
    tally.check(step.numpy() == 7, "step")
    tally.check(checkpoint.save_counter.numpy() == 1, "save_counter")
    with tf.Graph().as_default(), v1.Session() as session:
        kernel = v1.get_variable("net/kernel", [2, 3], tf.float32)
        v1.train.Saver().restore(session, str(prefix))
        tally.check((session.run(kernel) == KERNEL).all(), "Saver by full name")


def keras(prefix):
    """A Keras model takes its weights from a checkpoint, and predicts with them."""
    model = tf.keras.Sequential([tf.keras.Input((2,)), tf.keras.layers.Dense(3)])
    functional = tf.keras.Model(model.inputs, model.outputs)
    tf.train.Checkpoint(model=functional).read(str(prefix)).assert_existing_objects_matched()
    inputs = numpy.array([[1, 2], [0.5, -1]], "float32")
    tally.check((functional.predict(inputs, verbose=0) == inputs @ KERNEL + BIAS).all(), "predictions differ")


def many(prefix):
    """An index of several blocks is read to its end."""
    reader = tf.train.load_checkpoint(str(prefix))
    shapes = reader.get_variable_to_shape_map()
    tally.check(len(shapes) == 20000, f"{len(shapes)} tensors")
    for i in range(0, 20000, 37):
        name = f"layer_{i:05}/a_rather_long_name/variable"
        tally.check(reader.get_tensor(name)[0] == i, name)


def main():
    _, _, folder, writer = sys.argv
    folder = pathlib.Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run([writer, str(folder)], check=True)
    for name in ("by_name", "sharded", "dense"):
        tally.case(f"every dtype, {name}", by_name, folder / name)
        tally.case(f"Saver, {name}", saver, folder / name)
    tally.case("latest_checkpoint", latest, folder)
    tally.case("Checkpoint of objects", objects, folder / "objects-1")
    tally.case("Keras weights", keras, folder / "keras-1")
    tally.case("twenty thousand variables", many, folder / "many")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
