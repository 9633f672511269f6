#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""h5py and Keras beside stet on the same tasks as bench_keras, in turns; needs Python with keras and h5py.

    measure_keras.py BENCH_KERAS [ROUNDS]     default: 3 rounds; exits with 1 when a goal is missed

h5py opens a .weights.h5 and takes the first value of each of 64 datasets of 4 MiB, or visits 1,000 small ones and asks each for
dtype and shape; Keras loads and saves the weights of a model of 64 layers, 256 MiB. Each runs in a process of its own, its start
and its imports not counted, the best of five. stet's times are the medians of bench_keras. Of the rounds the medians count.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile

PRELUDE = """
import os, sys, time
import h5py
def timed(task):
    begin = time.perf_counter()
    task()
    return time.perf_counter() - begin
def best(task):
    print(min(timed(task) for _ in range(5)))
def model(count, floats):
    import keras
    made = keras.Sequential([keras.layers.Dense(floats, use_bias=False, name=f"dense_{i}") for i in range(count)])
    for layer in made.layers:
        layer.build((None, 1))
    made.built = True
    return made
"""
WRITE = "model(int(sys.argv[2]), int(sys.argv[3])).save_weights(sys.argv[1])\nprint(0)"
FIRST = """
def task():
    with h5py.File(sys.argv[1]) as file:
        for layer in file["layers"].values():
            layer["vars"]["0"][0, 0]
best(task)
"""
VISIT = """
def task():
    found = []
    with h5py.File(sys.argv[1]) as file:
        file.visititems(lambda name, item: found.append((name, item.dtype, item.shape)) if isinstance(item, h5py.Dataset) else None)
    assert len(found) == 1000
best(task)
"""
LOAD = "made = model(64, 1 << 20)\nbest(lambda: made.load_weights(sys.argv[1]))"
SAVE = "made = model(64, 1 << 20)\nbest(lambda: made.save_weights(sys.argv[1]))"
SAVE_ARCHIVE = """
made = model(64, 1 << 20)
import keras
source = keras.Input((1,))
made = keras.Model(source, [layer(source) for layer in made.layers])
best(lambda: made.save(sys.argv[1]))
"""

TASKS = {  # what: (stet's benchmark, of how many items its time is one, the rival's script, the unit, how many times as fast stet shall be)
    "first value of each of 64 tensors, us": ("open_keras/1", 1, FIRST, 1e6, None),
    "1,000 datasets, us": ("open_many/1", 1000, VISIT, 1e6, 10),
    "load 256 MiB of weights, ms": ("restore_keras/1", 1, LOAD, 1e3, None),
    "save 256 MiB of weights, not durable, ms": ("save_keras/1", 1, SAVE, 1e3, None),
    "save 256 MiB as .keras, not durable, ms": ("save_keras/0", 1, SAVE_ARCHIVE, 1e3, None),
}


def rival(script, *arguments):
    quiet = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    done = subprocess.run([sys.executable, "-c", PRELUDE + script, *map(str, arguments)], check=True, capture_output=True, text=True, env=quiet)
    return float(done.stdout.split()[-1])


def stet(program):
    done = subprocess.run([program, "--benchmark_format=json", "--benchmark_min_time=0.5"], check=True, capture_output=True, text=True)
    return {row["name"].split("/manual_time")[0]: row["stet"] for row in json.loads(done.stdout)["benchmarks"]}


def main():
    program, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    times = {task: ([], []) for task in TASKS}
    with tempfile.TemporaryDirectory(dir=os.environ.get("STET_BENCHMARK_DIR")) as folder:
        files = {FIRST: f"{folder}/large.weights.h5", LOAD: f"{folder}/large.weights.h5", VISIT: f"{folder}/many.weights.h5",
                 SAVE: f"{folder}/saved.weights.h5", SAVE_ARCHIVE: f"{folder}/saved.keras"}
        rival(WRITE, files[FIRST], 64, 1 << 20)
        rival(WRITE, files[VISIT], 1000, 4)
        for _ in range(rounds):
            own = stet(program)
            for task, (benchmark, count, script, _, _) in TASKS.items():
                times[task][0].append(own[benchmark] * count)
                times[task][1].append(rival(script, files[script]))
    met = True
    for task, (_, _, script, unit, goal) in TASKS.items():
        us, them = (statistics.median(each) for each in times[task])
        is_met = goal is None or them / us >= goal
        met = met and is_met
        wanted = "" if goal is None else f" (>= {goal}{'' if is_met else ', MISSED'})"
        who = "h5py" if script in (FIRST, VISIT) else "Keras"
        print(f"{task}: stet {us * unit:.4g}, {who} {them * unit:.4g}: {them / us:.3g} times{wanted}")
    sys.exit(0 if met else 1)


main()
