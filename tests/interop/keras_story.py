#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A network's journey by load_model: trained in C++, opened and trained further by Keras, served again in C++.

    keras_story.py STET FOLDER DIGITS SERVE DATA     FOLDER is made anew; DIGITS and SERVE are programs
"""
import pathlib
import re
import shutil
import sys

import keras
import numpy

from digits_story import images, output, tell
from stet_command import Stet, Tally

tally = Tally()


def main():
    stet, folder, digits, serve, data = sys.argv[1], pathlib.Path(sys.argv[2]), *sys.argv[3:]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    keras.utils.set_random_seed(7)
    print("A network's journey, in a .keras file", flush=True)
    pixels, labels = images(stet, data, "test")

    model = folder / "digits.stet"
    output(digits, "train", model, "--epochs", "10", "--data", data)
    cpp_right = int(re.search(r"(\d+) of 600", output(digits, "run", model, "--data", data)).group(1))
    tell(f"C++ trained it and saved {model.name}: reads {cpp_right} of 600 digits it has never seen")

    for_keras = folder / "digits.keras"
    output(stet, "convert", model, for_keras)
    network = keras.saving.load_model(for_keras)
    keras_right = int((network.predict(pixels, verbose=0).argmax(1) == labels).sum())
    tell(f"stet convert made {for_keras.name}; keras.saving.load_model opens it, {len(network.layers)} layers: {keras_right} of 600")
    tally.check(keras_right == cpp_right, f"Keras reads {keras_right}, C++ {cpp_right}")
    original = Stet(stet, model)
    for name, value in zip(("dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"), network.get_weights(), strict=True):
        tally.check((original.array(name) == value).all(), f"{name} differs in {for_keras.name}")

    train_pixels, train_labels = images(stet, data, "train")
    network.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
    network.fit(train_pixels, train_labels, batch_size=32, epochs=15, verbose=0)
    tuned_right = int((network.predict(pixels, verbose=0).argmax(1) == labels).sum())
    tuned = folder / "tuned.keras"
    network.save(tuned)
    tell(f"Keras trained it further ({tuned_right} of 600) and saved {tuned.name}, its optimizer with it")

    # Keras packs the data of its own files as it comes; after stet convert every tensor can be used where it lies.
    aligned = folder / "served.keras"
    output(stet, "convert", tuned, aligned)
    said = output(serve, model, aligned, data).strip()
    tell(f"C++ serves it from the .keras file where it lies: {said}")
    tally.check(said == f"{tuned_right} right, 0 bytes copied, format keras-v3", said)

    again = keras.saving.load_model(aligned)
    tally.check((again.predict(pixels, verbose=0) == network.predict(pixels, verbose=0)).all(), "predictions differ")
    tally.check(int(again.optimizer.iterations) == int(network.optimizer.iterations) > 0, "the optimizer's step")
    for mine, its in zip(again.optimizer.variables, network.optimizer.variables, strict=True):
        tally.check((numpy.asarray(mine) == numpy.asarray(its)).all(), f"{its.path} differs")
    tell(f"Keras opens that file, too, the same to the last bit, and its optimizer goes on at step {int(again.optimizer.iterations)}")

    back = folder / "tuned.stet"
    output(stet, "convert", tuned, back)
    output(stet, "verify", back)
    tell(f"stet convert brings it home: {back.name}")
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
