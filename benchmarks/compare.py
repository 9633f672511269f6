#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures stet beside its peers in one go: installs them, runs every benchmark, writes results/*.json, and draws the plots.

    compare.py BUILD_DIR [--only NAME,…] [--seconds SECONDS] [--rounds ROUNDS]

BUILD_DIR has the programs (preset compare: build/compare). Peers in C++ and Rust are in the programs, where the machine can build them;
those in Python come from PyPI to BUILD_DIR/peers. What cannot be installed is left out, aloud. --only chooses benchmarks by name (bench_open,
measure_numpy), --seconds is the least time of each measurement of a program (0.5), --rounds that of a script (3).

BUILD_DIR/results/NAME.json holds the machine, the versions, the command and the figures of one program or script; BUILD_DIR/results/*.svg
the plots that plot.py makes of them. Copied to benchmarks/results they are what the README shows.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
# The scripts, what each needs from PyPI, what it is better with (a group is left out where it cannot be had), and the programs that it runs.
SCRIPTS = {
    "measure_numpy": ("numpy", (), ("bench_numpy",)),
    "measure_pytorch": ("torch numpy", (), ("bench_pytorch",)),
    "measure_onnx": ("onnx numpy", (), ("bench_onnx",)),
    "measure_tflite": ("ai-edge-litert flatbuffers numpy", (), ("bench_tflite",)),
    "measure_keras": ("keras tensorflow-cpu h5py", (), ("bench_keras",)),
    "measure_tensorflow": ("tensorflow-cpu", (), ("bench_tensorflow",)),
    "measure_load": ("numpy", ("torch safetensors runai-model-streamer", "gguf llama-cpp-python"), ("measure_load",)),
    "measure_python": ("numpy safetensors google-crc32c", (), ()),
    "measure_remote": ("", (), ("stet", "measure_remote")),
    "measure_sharded": ("", ("torch numpy",), ("measure_sharded",)),
}


def run(*command, **options):
    return subprocess.run([str(part) for part in command], **options)


def machine():
    def first(path, key):
        try:
            for line in open(path, encoding="utf-8"):
                if line.startswith(key):
                    return line.split(":", 1)[1].strip()
        except OSError:
            pass
        return ""
    return {"processor": first("/proc/cpuinfo", "model name") or platform.processor(), "processors": os.cpu_count(),
            "memory": first("/proc/meminfo", "MemTotal"), "system": f"{platform.system()} {platform.release().split('-')[0]}"}


class Peers:
    """An environment with packages of PyPI, made when the first is asked for."""

    def __init__(self, folder):
        self.python = folder / "bin" / "python"
        self.folder = folder

    def install(self, packages):
        """The versions of `packages`; None if one cannot be had."""
        if not self.python.exists():
            run(sys.executable, "-m", "venv", self.folder, check=True)
        if packages and run(self.python, "-m", "pip", "-q", "install", *packages).returncode != 0:
            return None
        listed = json.loads(run(self.python, "-m", "pip", "list", "--format=json", check=True, capture_output=True).stdout)
        wanted = {name.lower() for name in packages}
        return {row["name"]: row["version"] for row in listed if row["name"].lower() in wanted}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("build", type=pathlib.Path)
    arguments.add_argument("--only", default="")
    arguments.add_argument("--seconds", type=float, default=0.5)
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    build = given.build.resolve()
    results = build / "results"
    results.mkdir(exist_ok=True)
    only = set(filter(None, given.only.split(",")))
    peers = Peers(build / "peers")
    scratch = build / "scratch"
    scratch.mkdir(exist_ok=True)
    failed = []

    def note(name, command, versions, figures):
        facts = {"benchmark": name, "date": datetime.date.today().isoformat(), "machine": machine(), "versions": versions,
                 "command": command, "figures": figures}
        (results / f"{name}.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    programs = sorted(build.glob("bench_*"))
    if not programs:
        sys.exit(f"there are no programs in {build}")
    for program in programs:
        if not os.access(program, os.X_OK) or program.is_dir() or program.suffix or (only and program.name not in only):
            continue
        print(f"==== {program.name}", flush=True)
        options = [f"--benchmark_min_time={given.seconds}", "--benchmark_format=json"]
        done = run(program, *options, cwd=scratch, capture_output=True, text=True)
        if done.returncode != 0:
            print(done.stderr)
            failed.append(program.name)
            continue
        rows = json.loads(done.stdout)["benchmarks"]
        ours = ("name", "run_name", "run_type", "repetitions", "repetition_index", "threads", "iterations", "real_time", "cpu_time",
                "time_unit", "label", "family_index", "per_family_instance_index")
        figures = [{"name": row["name"].removesuffix("/manual_time"), "goals": row.get("label", ""),
                    "seconds_per_item": {key: value for key, value in row.items() if key not in ours}} for row in rows]
        for figure in figures:
            print(f"{figure['name']}: {figure['goals']}", flush=True)
        note(program.name, f"{program.name} {' '.join(options)}", {}, figures)

    for name, (packages, further, own) in SCRIPTS.items():
        if only and name not in only:
            continue
        print(f"==== {name}", flush=True)
        missing = [program for program in own if not (build / program).exists()]
        if missing:
            print(f"SKIPPED: {', '.join(missing)} was not built")
            continue
        versions = peers.install(packages.split())
        if versions is None:
            print(f"SKIPPED: {packages} cannot be installed")
            continue
        for group in further:
            found = peers.install(group.split())
            if found is None:
                print(f"SKIPPED: {group} cannot be installed")
            versions.update(found or {})
        command = [peers.python, HERE / f"{name}.py", *(build / program for program in own), str(given.rounds)]
        # 1 says that a goal is missed.
        done = run(*command, cwd=scratch, capture_output=True, text=True)
        print(done.stdout, end="", flush=True)
        if done.returncode not in (0, 1) or not done.stdout.strip():
            print(done.stderr)
            failed.append(name)
            continue
        note(name, " ".join([f"{name}.py", *own, str(given.rounds)]), versions, done.stdout.strip().splitlines())

    if peers.install(["matplotlib"]) is None:
        print("SKIPPED: matplotlib cannot be installed, so there are no plots")
    elif run(peers.python, HERE / "plot.py", results).returncode != 0:
        failed.append("plot.py")
    if failed:
        print("FAILED: " + ", ".join(failed))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
