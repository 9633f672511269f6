#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A network's journey: trained in C++, fine-tuned in TensorFlow, served again in C++ from TensorFlow's own file.

    digits_story.py STET FOLDER DIGITS SERVE DATA     FOLDER is made anew; DIGITS and SERVE are programs
"""
import pathlib
import re
import shutil
import subprocess
import sys

import numpy
import tensorflow as tf

from stet_command import Stet, Tally

tally = Tally()


def output(*command):
    return subprocess.run([str(each) for each in command], check=True, capture_output=True, text=True).stdout


def tell(text):
    print(f"  {text}", flush=True)


def images(stet, data, which):
    """Pixels from 0 to 1, as the C++ program unpacks them, and labels."""
    pixels = numpy.frombuffer(subprocess.run([stet, "cat", str(data), f"{which}/images", "--as", "float32"], check=True, capture_output=True).stdout, "float32")
    return pixels.reshape(-1, 784) / numpy.float32(15), Stet(stet, data).array(f"{which}/labels")


def main():
    stet, folder, digits, serve, data = sys.argv[1], pathlib.Path(sys.argv[2]), *sys.argv[3:]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tf.keras.utils.set_random_seed(7)
    print("A network's journey", flush=True)

    model = folder / "digits.stet"
    output(digits, "train", model, "--epochs", "10", "--data", data)
    served = output(digits, "run", model, "--data", data)
    cpp_right = int(re.search(r"(\d+) of 600", served).group(1))
    tell(f"C++ trained it and saved {model.name}: reads {cpp_right} of 600 digits it has never seen")

    prefix = folder / "digits"
    output(stet, "convert", model, prefix, "--to", "tensorflow")
    reader = tf.train.load_checkpoint(str(prefix))
    network = tf.keras.Sequential([tf.keras.Input((784,)), tf.keras.layers.Dense(10, "relu"), tf.keras.layers.Dense(10, "softmax")])
    network.set_weights([reader.get_tensor(name) for name in ("dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias")])
    pixels, labels = images(stet, data, "test")
    keras_right = int((network.predict(pixels, verbose=0).argmax(1) == labels).sum())
    tell(f"stet convert made a checkpoint of it; in Keras the same weights read {keras_right} of 600")
    tally.check(keras_right == cpp_right, f"Keras reads {keras_right}, C++ {cpp_right}")

    train_pixels, train_labels = images(stet, data, "train")
    network.compile(tf.keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
    network.fit(train_pixels, train_labels, batch_size=32, epochs=15, verbose=0)
    tuned_right = int((network.predict(pixels, verbose=0).argmax(1) == labels).sum())
    names = ("dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias")
    weights = network.get_weights()
    tuned = folder / "tuned"
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, value in zip(names, weights):
            tf.compat.v1.get_variable(name, initializer=value)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(tuned), write_meta_graph=False)
    tell(f"TensorFlow trained it further ({tuned_right} of 600) and saved a checkpoint of its own")

    said = output(serve, model, tuned, data).strip()
    tell(f"C++ serves TensorFlow's file where it lies: {said}")
    tally.check(said == f"{tuned_right} right, 0 bytes copied, format tf-ckpt-v2", said)
    opened = Stet(stet, tuned)
    for name, value in zip(names, weights):
        tally.check((opened.array(name) == value).all(), f"{name} differs")

    back = folder / "tuned.stet"
    output(stet, "convert", tuned, back)
    output(stet, "verify", back)
    for name, value in zip(names, weights):
        tally.check((Stet(stet, back).array(name) == value).all(), f"{name} differs in {back.name}")
    tell(f"stet convert brings it home: {back.name}, the same to the last bit")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
