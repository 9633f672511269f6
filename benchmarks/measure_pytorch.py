#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""torch.load beside stet on the task of bench_pytorch, in turns; needs Python with torch.

    measure_pytorch.py BENCH_PYTORCH [ROUNDS]     default: 3 rounds; exits with 1 when a goal is missed

A state dict of 1,000 or 10,000 tensors of 16 bytes is opened: by torch.load, with mmap=True where torch has it (2.1 and newer), the best
of five in a process whose imports are not counted, and by stet, the median of bench_pytorch. Of the rounds the medians count.
"""
import inspect
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import torch

GOAL = 100
OPTIONS = {"mmap": True} if "mmap" in inspect.signature(torch.load).parameters else {}


def stet(program):
    done = subprocess.run([program, "--benchmark_format=json", "--benchmark_min_time=0.5", "--benchmark_filter=open"], check=True,
                          capture_output=True, text=True)
    return {row["name"].split("/manual_time")[0]: row["stet"] for row in json.loads(done.stdout)["benchmarks"]}


def load(path, count):
    begin = time.perf_counter()
    tensors = torch.load(path, weights_only=True, **OPTIONS)
    assert len(tensors) == count
    return time.perf_counter() - begin


def main():
    program, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    met = True
    times = {1000: ([], []), 10000: ([], [])}
    with tempfile.TemporaryDirectory(dir=os.environ.get("STET_BENCHMARK_DIR")) as folder:
        for count in times:
            torch.save({f"model.layer_{i}.kernel": torch.full((4,), float(i)) for i in range(count)}, f"{folder}/{count}.pt")
        for _ in range(rounds):
            own = stet(program)
            for count, (ours, theirs) in times.items():
                ours.append(own[f"open_pytorch/{count}"])
                theirs.append(min(load(f"{folder}/{count}.pt", count) for _ in range(5)) / count)
    how = "torch.load" + ("(mmap=True)" if OPTIONS else ", which has no mmap in this version,")
    for count, (ours, theirs) in times.items():
        us, them = statistics.median(ours) * 1e9, statistics.median(theirs) * 1e9
        is_met = them / us >= GOAL
        met = met and is_met
        print(f"state dict of {count:,} tensors, ns each: stet {us:.4g}, {how} {them:.4g}: {them / us:.3g} times (>= {GOAL}{'' if is_met else ', MISSED'})")
    sys.exit(0 if met else 1)


main()
