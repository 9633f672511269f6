# SPDX-License-Identifier: MIT
"""What measure_numpy.py, measure_pytorch.py and measure_tflite.py share: a package reads files of 1,000 and 10,000 tensors beside stet, in
turns."""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time


def own_times(program, *arguments):
    """The seconds for each tensor by the name of the benchmark: the median of what `program` measures."""
    done = subprocess.run([program, "--benchmark_format=json", "--benchmark_min_time=0.5", *arguments], check=True, capture_output=True,
                          text=True)
    return {row["name"].split("/manual_time")[0]: row["stet"] for row in json.loads(done.stdout)["benchmarks"]}


def seconds_of(read, path, count):
    begin = time.perf_counter()
    read(path, count)
    return time.perf_counter() - begin


def measure(benchmark, ending, save, read, text, peer, goal, *arguments):
    """Says how many times faster stet is, and @return whether that is the goal. The script's arguments are the program and, if wanted, the
    number of rounds, 3. `save(path, count)` makes a file, `read(path, count)` reads it: the best of five counts, and of the
    rounds the median. `benchmark` is the name of stet's own, before "/COUNT"; `text` holds {count}."""
    program, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    met = True
    times = {1000: ([], []), 10000: ([], [])}
    with tempfile.TemporaryDirectory(dir=os.environ.get("STET_BENCHMARK_DIR")) as folder:
        for count in times:
            save(f"{folder}/{count}{ending}", count)
        for _ in range(rounds):
            own = own_times(program, *arguments)
            for count, (ours, theirs) in times.items():
                ours.append(own[f"{benchmark}/{count}"])
                theirs.append(min(seconds_of(read, f"{folder}/{count}{ending}", count) for _ in range(5)) / count)
    for count, (ours, theirs) in times.items():
        us, them = statistics.median(ours) * 1e9, statistics.median(theirs) * 1e9
        is_met = them / us >= goal
        met = met and is_met
        print(f"{text.format(count=f'{count:,}')}, ns each: stet {us:.4g}, {peer} {them:.4g}: {them / us:.3g} times "
              f"(>= {goal}{'' if is_met else ', MISSED'})")
    return met
