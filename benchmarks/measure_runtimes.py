#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A runtime loads 256 MiB of weights by stet's adapter, and by its own loader: memory and time until the first answer.

    measure_runtimes.py NAME [ROUNDS]     default: 5 rounds; exits with 1 when a goal is missed

NAME is a row of tests/interop/runtimes.py with a program benchmarks/runtimes/NAME.cpp; the Python is that which has the library, such as
build/test/interop/NAME_python/bin/python. The network "dense" has 16 layers of 2048 × 2048, "lookup" takes a row of each of 16 such
tables. Each way of loading is a process of its own, in turns; the files are in the page cache. Memory is what belongs to no file (smaps:
Anonymous), beside that of the same network of 16 × 16. Times are from the start of loading. Of the rounds the medians count.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "interop"))
import runtimes

# How a program loads, besides "small" and "adapter", which are stet's: the library's own ways, and what is said of them.
WAYS = {
    "openvino": {"own": "its IR"},
    "executorch": {"own": "its .ptd, read", "own_mapped": "its .ptd, mapped"},
    "ggml": {"own": "gguf_init_from_file"},
    "onnxruntime": {"own": "external data", "own_unpacked": "… not packed"},
    "tensorflow": {"own": "its GraphDef"},
    "torch": {"own": "torch.jit"},
}
# The networks of each, and whether it uses their weights where they are; else it packs them for its kernels.
NETWORKS = {
    "openvino": {"dense": False, "lookup": True},
    "executorch": {"dense": True},
    "ggml": {"dense": True},
    "onnxruntime": {"dense": True},
    "tensorflow": {"dense": True},
    "torch": {"dense": True},
}
GOAL = 1.1


def measure(name, network, rounds, program, folder):
    """@return whether the goal is met, where there is one"""
    ways = ["small", "adapter", *WAYS[name]]
    subprocess.run([program, "prepare", network, folder], check=True)
    rows = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            done = subprocess.run([program, way, network, folder], check=True, capture_output=True, text=True)
            rows[way].append(json.loads(done.stdout.splitlines()[-1]))
    answer = rows["adapter"][0]["sum"]
    for way in ways[1:]:
        assert all(abs(row["sum"] - answer) <= 1e-4 * abs(answer) for row in rows[way]), (way, rows[way], answer)
    of = {way: {key: statistics.median(row[key] for row in rows[way]) for key in rows[way][0]} for way in ways}
    print(f"{name}, {network}, 256 MiB of weights")
    for way in ways:
        text = {"small": "without weights", "adapter": "the adapter"}.get(way) or WAYS[name][way]
        print(f"  {text:18} {of[way]['loaded_kib'] / 1024:7.1f} MiB when loaded, {of[way]['kib'] / 1024:7.1f} MiB after the first answer, "
              f"which took {of[way]['seconds'] * 1e3:.0f} ms")
    ratio = of["adapter"]["loaded_kib"] / of["small"]["loaded_kib"]
    met = ratio <= GOAL or not NETWORKS[name][network]
    print(f"  loaded by the adapter: {ratio:.2f} × of that without weights" + ("" if met else f" (<= {GOAL}, MISSED)"))
    return met


def main():
    name, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    library = runtimes.RUNTIMES[name]()
    with tempfile.TemporaryDirectory(dir=os.environ.get("STET_BENCHMARK_DIR")) as folder:
        program = runtimes.compiled(pathlib.Path(folder), "measure", [f"benchmarks/runtimes/{name}.cpp"],
                                    ["-O2", *library.compile_options()], library.link_options())
        met = [measure(name, network, rounds, program, folder) for network in NETWORKS[name]]
    sys.exit(not all(met))


if __name__ == "__main__":
    main()
