#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""examples/python/stet.py beside safetensors' own package, in turns; needs Python with numpy and safetensors, and measures google-crc32c
where it is installed.

    measure_python.py [ROUNDS]     default: 9 rounds; exits with 1 when a goal is missed

Saving and loading 256 MiB in 16 tensors, with and without a wait for the disk, and opening 10,000 tensors of 64 bytes. Of the rounds the
medians count. safetensors does not wait for the disk by itself; for the durable comparison its file is synced after the save.
"""
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


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    large = {f"t{number}": numpy.random.default_rng(number).random(1 << 22, "float32") for number in range(16)}
    small = {f"model.layers.{number // 10}.block.{number % 10}.weight": numpy.full((4, 4), number, "float32") for number in range(10_000)}
    ways = {"NumPy": with_numpy, **({"google-crc32c": lambda case: case} if stet._google else {})}
    met = True
    with tempfile.TemporaryDirectory(dir=os.environ.get("STET_BENCHMARK_DIR")) as folder:
        theirs, ours = os.path.join(folder, "a.safetensors"), os.path.join(folder, "a.stet")
        measures = [
            ("save 256 MiB", 1 / 0.8, lambda: safetensors.numpy.save_file(large, theirs), lambda: stet.save_file(large, ours, durable=False)),
            ("save 256 MiB, durable", 1 / 0.8, lambda: (safetensors.numpy.save_file(large, theirs), synced(theirs)), lambda: stet.save_file(large, ours)),
            ("load 256 MiB, checksums compared", None, lambda: safetensors.numpy.load_file(theirs), lambda: stet.load_file(ours)),
            ("save 10,000 tensors", None, lambda: safetensors.numpy.save_file(small, theirs), lambda: stet.save_file(small, ours, durable=False)),
            ("open 10,000 tensors", 2, lambda: safetensors.safe_open(theirs, "np"), lambda: stet.open(ours)),
        ]
        for title, goal, their_case, our_case in measures:
            found = medians({"safetensors": their_case, **{name: way(our_case) for name, way in ways.items()}}, rounds)
            for name in ways:
                ratio = found[name] / found["safetensors"]
                is_met = goal is None or ratio <= goal
                met = met and is_met
                wanted = "" if goal is None else f" (<= {goal:.3g}{'' if is_met else ', MISSED'})"
                print(f"{title}, by {name}: stet {found[name] * 1e3:.4g} ms, safetensors {found['safetensors'] * 1e3:.4g} ms: "
                      f"{ratio:.3g} of its time{wanted}", flush=True)
    sys.exit(0 if met else 1)


main()
