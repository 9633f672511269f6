#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws what compare.py measured: plot.py RESULTS writes RESULTS/by_count.svg and RESULTS/ratios.svg; needs Python with matplotlib.

by_count.svg: time by the number of tensors, both axes logarithmic, for each benchmark of a program that has several numbers. ratios.svg:
stet's time divided by that of other libraries, and by what the machine takes for the same bytes, a bar each, for the largest number of each
benchmark.
"""
import json
import pathlib
import re
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "stet"  # the same figures give the same file
matplotlib.rcParams["svg.fonttype"] = "none"  # letters, not their outlines
import matplotlib.pyplot as plot  # noqa: E402

STET = "stet"
# In the figures of programs: the crate of safetensors, or of PyTorch's files, and a JSON manifest. All else is a floor.
LIBRARIES = {"crate", "json"}
# What is not beside stet's own time in a figure of stet's: other ways of stet, parts of it, and rates.
OWN = {STET, "stet_open", "floor_open", "in_memory", "native", "one_thread", "loop", "bytes_per_second"}
# In the lines of scripts.
FLOORS = {"fio", "file_per_rank", "curl"}
LEAST_COUNT = 100  # a smaller number is a choice, not a count


def read(folder):
    """{benchmark: {number or None: {contender: seconds per item}}} of the programs."""
    found = {}
    for path in sorted(folder.glob("bench_*.json")):
        for figure in json.loads(path.read_text(encoding="utf-8"))["figures"]:
            match = re.fullmatch(r"([^/]*)/(\d+)(?:/0)?", figure["name"])
            is_count = match is not None and int(match[2]) >= LEAST_COUNT
            name, number = (match[1], int(match[2])) if is_count else (figure["name"], None)
            program = path.stem.removeprefix("bench_")
            key = name if program in name else f"{program}: {name}"
            found.setdefault(key, {})[number] = figure["seconds_per_item"]
    return found


def read_lines(folder):
    """(what, other, ratio of stet's time to the other's) of the lines of the scripts."""
    for path in sorted(folder.glob("measure_*.json")):
        title = ""
        for line in json.loads(path.read_text(encoding="utf-8"))["figures"]:
            times = re.match(r"(.+?)(?:, (?:ns each|us|ms|µs))?: stet ([\d.e+-]+)(?: ms)?,"
                             r"(?: .* times\),)? (\S[^,]*?) ([\d.e+-]+)(?: ms)?[:,] ", line)
            ratio = re.match(r"  (.+) / (.+): ([\d.]+) \(at most", line)
            rate = re.match(r"  (stet_\w+) has ([\d.]+) of the rate of (\w+)", line)
            if times and times[3] != "without delay":
                of = "stet.py: " if path.stem == "measure_python" else ""
                yield of + times[1], times[3], float(times[2]) / float(times[4])
            elif ratio:
                yield f"{title}, {ratio[1]}", ratio[2], float(ratio[3])
            elif rate:
                yield f"{title}, {rate[1].removeprefix('stet_')}", rate[3], 1 / float(rate[2])
            elif not line.startswith(" "):
                title = line


def draw_by_count(found, path):
    families = {name: rows for name, rows in found.items() if len(rows) > 1 and None not in rows}
    if not families:
        return
    columns = 3
    rows = -(-len(families) // columns)
    figure, axes = plot.subplots(rows, columns, figsize=(4.2 * columns, 3.2 * rows), squeeze=False)
    for axis in axes.flat[len(families):]:
        axis.set_visible(False)
    for axis, (name, by_number) in zip(axes.flat, families.items()):
        numbers = sorted(by_number)
        for contender in by_number[numbers[0]]:
            points = [(n, by_number[n][contender] * n * 1e3) for n in numbers if contender in by_number[n]]
            axis.loglog(*zip(*points), marker="o", markersize=3, linewidth=2 if contender == STET else 1, label=contender)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("items", fontsize=8)
        axis.set_ylabel("ms", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(True, linewidth=0.3)
        axis.legend(fontsize=6)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def draw_ratios(found, lines, path):
    libraries, floors = [], []
    for name, by_number in found.items():
        number = max(by_number, key=lambda n: n or 0)
        seconds = by_number[number]
        label = name if number is None else f"{name}, {number:,}"
        for other, value in seconds.items():
            if STET in seconds and other not in OWN and value > 0:
                (libraries if other in LIBRARIES else floors).append((f"{label} / {other}", seconds[STET] / value))
    for what, other, ratio in lines:
        (floors if other in FLOORS else libraries).append((f"{what} / {other}", ratio))
    panels = [(title, sorted(bars, key=lambda bar: bar[1])) for title, bars in
              (("stet's time / the time of other libraries", libraries), ("stet's time / the time of the machine's floor", floors)) if bars]
    if not panels:
        return
    heights = [0.2 * len(bars) + 1 for _, bars in panels]
    figure, axes = plot.subplots(len(panels), 1, figsize=(10, sum(heights)), squeeze=False, height_ratios=heights)
    for axis, (title, bars) in zip(axes.flat, panels):
        axis.barh([label for label, _ in bars], [ratio for _, ratio in bars],
                  color=["tab:green" if ratio <= 1 else "tab:orange" for _, ratio in bars])
        axis.set_xscale("log")
        axis.axvline(1, color="black", linewidth=0.8)
        axis.set_title(f"{title}; less is better", fontsize=8)
        axis.tick_params(labelsize=6)
        axis.set_ylim(-0.7, len(bars) - 0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


folder = pathlib.Path(sys.argv[1])
measured = read(folder)
draw_by_count(measured, folder / "by_count.svg")
draw_ratios(measured, read_lines(folder), folder / "ratios.svg")
