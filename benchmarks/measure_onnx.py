#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""onnx.load beside stet on the task of bench_onnx, in turns; needs Python with onnx.

    measure_onnx.py BENCH_ONNX [ROUNDS]     default: 3 rounds; exits with 1 when a goal is missed

A model of 1,000 initializers, 256 MiB, in the file or beside it, is opened and its initializers are listed: by onnx.load, the best of
three in a process whose imports are not counted, and by stet, the median of bench_onnx. Of the rounds the medians count.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import onnx
from onnx import helper, numpy_helper

GOAL = 20


def stet(program):
    done = subprocess.run([program, "--benchmark_format=json", "--benchmark_min_time=0.5"], check=True, capture_output=True, text=True)
    return {row["name"].split("/manual_time")[0]: row for row in json.loads(done.stdout)["benchmarks"]}


def load(path):
    begin = time.perf_counter()
    model = onnx.load(path)
    names = [(each.name, list(each.dims)) for each in model.graph.initializer]
    assert len(names) == 1000
    return time.perf_counter() - begin


def main():
    program, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    met = True
    with tempfile.TemporaryDirectory(dir=os.environ.get("STET_BENCHMARK_DIR")) as folder:
        values = numpy.full((256 << 20) // 1000 // 4, 1, "f4")
        tensors = [numpy_helper.from_array(values, f"layer_{i}/kernel") for i in range(1000)]
        model = helper.make_model(helper.make_graph([], "many", [], [], tensors))
        onnx.save(model, f"{folder}/0.onnx")
        onnx.save_model(model, f"{folder}/1.onnx", save_as_external_data=True, location="1.data", size_threshold=0)
        del model, tensors
        times = {0: ([], [], []), 1: ([], [], [])}
        for _ in range(rounds):
            own = stet(program)
            for beside, (ours, floors, theirs) in times.items():
                row = own[f"list_onnx/beside:{beside}"]
                ours.append(row["stet"])
                floors.append(row["floor"])
                theirs.append(min(load(f"{folder}/{beside}.onnx") for _ in range(3)))
    for beside, (ours, floors, theirs) in times.items():
        us, floor, them = (statistics.median(each) * 1e6 for each in (ours, floors, theirs))
        is_met = them / us >= GOAL
        met = met and is_met
        print(f"ONNX, 1,000 initializers{' beside the model' if beside else ''}, µs: stet {us:.4g}, map and touch {floor:.4g} ({us / floor:.3g} times), "
              f"onnx.load {them:.4g}: {them / us:.4g} times (>= {GOAL}{'' if is_met else ', MISSED'})")
    sys.exit(0 if met else 1)


main()
