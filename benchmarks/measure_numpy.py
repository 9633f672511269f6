#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""NumPy beside stet on the task of bench_numpy, in turns; needs Python with numpy.

    measure_numpy.py BENCH_NUMPY [ROUNDS]     default: 3 rounds; exits with 1 when a goal is missed

An npz archive of 1,000 or 10,000 arrays of 4 KiB is opened and a value of each is read: by numpy.load, the best of five in a process
whose imports are not counted, and by stet, the median of bench_numpy. Of the rounds the medians count.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy

GOAL = 20


def stet(program):
    done = subprocess.run([program, "--benchmark_format=json", "--benchmark_min_time=0.5"], check=True, capture_output=True, text=True)
    return {row["name"].split("/manual_time")[0]: row["stet"] for row in json.loads(done.stdout)["benchmarks"]}


def touch(path, count):
    begin = time.perf_counter()
    with numpy.load(path) as read:
        total = sum(float(read[name][0]) for name in read.files)
    assert total > count
    return time.perf_counter() - begin


def main():
    program, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    met = True
    times = {1000: ([], []), 10000: ([], [])}
    with tempfile.TemporaryDirectory(dir=os.environ.get("STET_BENCHMARK_DIR")) as folder:
        for count in times:
            numpy.savez(f"{folder}/{count}.npz", **{f"layer_{i}/kernel": numpy.full(1024, i + 1, "f4") for i in range(count)})
        for _ in range(rounds):
            own = stet(program)
            for count, (ours, theirs) in times.items():
                ours.append(own[f"touch_npz/{count}"])
                theirs.append(min(touch(f"{folder}/{count}.npz", count) for _ in range(5)) / count)
    for count, (ours, theirs) in times.items():
        us, them = statistics.median(ours) * 1e9, statistics.median(theirs) * 1e9
        is_met = them / us >= GOAL
        met = met and is_met
        print(f"npz of {count:,} arrays, ns each: stet {us:.4g}, NumPy {them:.4g}: {them / us:.3g} times (>= {GOAL}{'' if is_met else ', MISSED'})")
    sys.exit(0 if met else 1)


main()
