#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""TensorFlow beside stet on the same tasks as bench_tensorflow, in turns; needs Python with tensorflow.

    measure_tensorflow.py BENCH_TENSORFLOW [ROUNDS]     default: 3 rounds; exits with 1 when a goal is missed

TensorFlow's opening (load_checkpoint and get_variable_to_shape_map) runs in a process of its own each time, its start and its
imports not counted; so do restoring (RestoreV2) and saving (SaveV2) of 256 MiB in 64 variables, the best of five each. stet's times
are the medians of bench_tensorflow. Of the rounds the medians count.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile

COUNTS = (1000, 10000, 100000)
LEAVES = ("query/kernel", "query/bias", "key/kernel", "key/bias", "value/kernel", "value/bias", "output/kernel", "output/bias",
          "up/kernel", "down/kernel", "norm_1/scale", "norm_2/scale")
PRELUDE = """
import json, os, sys, time
import numpy, tensorflow as tf
leaves = %r
def names(count):
    return [f"model/layer_{i // 12}/attention/{leaves[i %% 12]}" for i in range(count)]
def save(prefix, count, floats):
    values = tf.constant(numpy.arange(floats, dtype="float32"))
    tensors = [values + i for i in range(count)]
    begin = time.perf_counter()
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names(count), shape_and_slices=[""] * count, tensors=tensors)
    return time.perf_counter() - begin
""" % (LEAVES,)
OPEN = """
begin = time.perf_counter()
reader = tf.train.load_checkpoint(sys.argv[1])
assert len(reader.get_variable_to_shape_map()) == int(sys.argv[2])
print(time.perf_counter() - begin)
"""
RESTORE = """
def restore():
    begin = time.perf_counter()
    tf.raw_ops.RestoreV2(prefix=sys.argv[1], tensor_names=names(64), shape_and_slices=[""] * 64, dtypes=[tf.float32] * 64)
    return time.perf_counter() - begin
print(min(restore() for _ in range(5)))
"""
SAVE = "print(min(save(sys.argv[1] + str(i), int(sys.argv[2]), int(sys.argv[3])) for i in range(int(sys.argv[4]))))\n"


def tensorflow(script, *arguments):
    quiet = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    done = subprocess.run([sys.executable, "-c", PRELUDE + script, *map(str, arguments)], check=True, capture_output=True, text=True, env=quiet)
    return float(done.stdout.split()[-1])


def stet(program):
    done = subprocess.run([program, "--benchmark_format=json", "--benchmark_min_time=0.5"], check=True, capture_output=True, text=True)
    return {row["name"].split("/manual_time")[0]: row["stet"] for row in json.loads(done.stdout)["benchmarks"]}


def main():
    program, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    times = {}  # task: (stet's, TensorFlow's), seconds for each variable or in all
    with tempfile.TemporaryDirectory(dir=os.environ.get("STET_BENCHMARK_DIR")) as folder:
        for count in COUNTS:
            tensorflow(SAVE, f"{folder}/{count}_", count, 4, 1)
        for _ in range(rounds):
            own = stet(program)
            for count in COUNTS:
                task = times.setdefault(f"open, {count:,} variables, ns each", ([], [], 1e9, 8))
                task[0].append(own[f"open_checkpoint/{count}"])
                task[1].append(tensorflow(OPEN, f"{folder}/{count}_0", count) / count)
            saved = times.setdefault("save 256 MiB, not durable, ms", ([], [], 1e3, 1))
            saved[0].append(own["write_checkpoint"])
            saved[1].append(tensorflow(SAVE, f"{folder}/large_", 64, 1 << 20, 5))
            restored = times.setdefault("restore 256 MiB, ms", ([], [], 1e3, None))
            restored[0].append(own["restore_checkpoint"])
            restored[1].append(tensorflow(RESTORE, f"{folder}/large_0"))
    met = True
    for task, (ours, theirs, unit, goal) in times.items():
        us, them = statistics.median(ours), statistics.median(theirs)
        is_met = goal is None or them / us >= goal
        met = met and is_met
        wanted = "" if goal is None else f" (>= {goal}{'' if is_met else ', MISSED'})"
        print(f"{task}: stet {us * unit:.4g}, TensorFlow {them * unit:.4g}: {them / us:.3g} times{wanted}")
    sys.exit(0 if met else 1)


main()
