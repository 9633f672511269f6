#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""examples/python/stet.py beside safetensors' own package, in turns; needs Python with numpy and safetensors, and measures google-crc32c
and Keras where they are installed.

    measure_python.py [ROUNDS]     default: 9 rounds; exits with 1 when a goal is missed

Saving and loading 256 MiB in 16 tensors, with and without a wait for the disk, and opening 10,000 tensors of 64 bytes. Of the rounds the
medians count. safetensors does not wait for the disk by itself; for the durable comparison its file is synced after the save. A Keras
model of 16 dense layers, 256 MiB, is loaded by load_model, and made of its configuration and loaded by stet.load_keras.
"""
import importlib.util
import os
import pathlib
import statistics
import sys
import tempfile
import time

import numpy
import safetensors
import safetensors.numpy

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "examples" / "python"))
import stet  # noqa: E402


def synced(path):
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def medians(cases, rounds):
    times = {name: [] for name in cases}
    for _ in range(rounds + 1):  # the first one warms up
        for name, case in cases.items():
            begin = time.perf_counter()
            case()
            times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(each[1:]) for name, each in times.items()}


def with_numpy(case):
    """The case with checksums by NumPy alone."""

    def run():
        kept = stet._google, stet._SHORT
        stet._google, stet._SHORT = None, 1 << 15
        try:
            case()
        finally:
            stet._google, stet._SHORT = kept

    return run


def keras_measures(folder):
    """The measures with Keras; none where it is not installed."""
    if not importlib.util.find_spec("keras"):
        return []
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    model = keras.Sequential([keras.Input((2048,)), *(keras.layers.Dense(2048, use_bias=False, name=f"layer_{i}") for i in range(16))])
    config, theirs, ours = model.get_config(), os.path.join(folder, "a.keras"), os.path.join(folder, "keras.stet")
    model.save(theirs)
    stet.save_file(model, ours)

    def load():
        made = keras.Sequential.from_config(config)
        stet.load_keras(made, ours)
        return made

    for one, other in zip(keras.saving.load_model(theirs, compile=False).get_weights(), load().get_weights(), strict=True):
        assert numpy.array_equal(one, other)
    return [("load a Keras model of 256 MiB", "load_model", 1, lambda: keras.saving.load_model(theirs, compile=False), load)]


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    large = {f"t{number}": numpy.random.default_rng(number).random(1 << 22, "float32") for number in range(16)}
    small = {f"model.layers.{number // 10}.block.{number % 10}.weight": numpy.full((4, 4), number, "float32") for number in range(10_000)}
    ways = {"NumPy": with_numpy, **({"google-crc32c": lambda case: case} if stet._google else {})}
    met = True
    with tempfile.TemporaryDirectory(dir=os.environ.get("STET_BENCHMARK_DIR")) as folder:
        theirs, ours = os.path.join(folder, "a.safetensors"), os.path.join(folder, "a.stet")
        measures = [
            ("save 256 MiB", "safetensors", 1 / 0.8, lambda: safetensors.numpy.save_file(large, theirs),
             lambda: stet.save_file(large, ours, durable=False)),
            ("save 256 MiB, durable", "safetensors", 1 / 0.8, lambda: (safetensors.numpy.save_file(large, theirs), synced(theirs)),
             lambda: stet.save_file(large, ours)),
            ("load 256 MiB, checksums compared", "safetensors", None, lambda: safetensors.numpy.load_file(theirs),
             lambda: stet.load_file(ours)),
            ("save 10,000 tensors", "safetensors", None, lambda: safetensors.numpy.save_file(small, theirs),
             lambda: stet.save_file(small, ours, durable=False)),
            ("open 10,000 tensors", "safetensors", 2, lambda: safetensors.safe_open(theirs, "np"), lambda: stet.open(ours)),
            *keras_measures(folder),
        ]
        for title, peer, goal, their_case, our_case in measures:
            found = medians({peer: their_case, **{name: way(our_case) for name, way in ways.items()}}, rounds)
            for name in ways:
                ratio = found[name] / found[peer]
                is_met = goal is None or ratio <= goal
                met = met and is_met
                wanted = "" if goal is None else f" (<= {goal:.3g}{'' if is_met else ', MISSED'})"
                print(f"{title}, by {name}: stet {found[name] * 1e3:.4g} ms, {peer} {found[peer] * 1e3:.4g} ms: "
                      f"{ratio:.3g} of its time{wanted}", flush=True)
    sys.exit(0 if met else 1)


main()
