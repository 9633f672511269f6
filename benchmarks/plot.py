#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws what compare.py measured: plot.py RESULTS writes RESULTS/by_count.svg and RESULTS/ratios.svg; needs Python with matplotlib.

by_count.svg: time by the number of tensors, both axes logarithmic, for each benchmark with at least two numbers. ratios.svg: stet's time
divided by that of what stands beside it, one bar each, for the largest number of each benchmark.
"""
import json
import pathlib
import re
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "stet"  # the same figures give the same file
import matplotlib.pyplot as plot  # noqa: E402

STET = "stet"


def read(folder):
    """{benchmark: {number or None: {contender: seconds per item}}} of the programs."""
    found = {}
    for path in sorted(folder.glob("bench_*.json")):
        for figure in json.loads(path.read_text(encoding="utf-8"))["figures"]:
            match = re.fullmatch(r"(.*?)/(\d+)", figure["name"])
            name, number = (match[1], int(match[2])) if match else (figure["name"], None)
            key = f"{path.stem.removeprefix('bench_')}: {name}"
            found.setdefault(key, {})[number] = figure["seconds_per_item"]
    return found


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
        axis.grid(True, which="both", linewidth=0.3)
        axis.legend(fontsize=6)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def draw_ratios(found, path):
    bars = []
    for name, by_number in found.items():
        number = max(by_number, key=lambda n: n or 0)
        seconds = by_number[number]
        if STET not in seconds:
            continue
        label = name if number is None else f"{name}, {number:,}"
        bars += [(f"{label} / {other}", seconds[STET] / value) for other, value in seconds.items() if other != STET and value > 0]
    if not bars:
        return
    bars.sort(key=lambda bar: bar[1])
    figure, axis = plot.subplots(figsize=(9, 0.2 * len(bars) + 1))
    axis.barh([label for label, _ in bars], [ratio for _, ratio in bars],
              color=["tab:green" if ratio <= 1 else "tab:orange" for _, ratio in bars])
    axis.set_xscale("log")
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_xlabel("stet's time divided by that of what stands beside it; less is better", fontsize=8)
    axis.tick_params(labelsize=6)
    axis.set_ylim(-0.7, len(bars) - 0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


folder = pathlib.Path(sys.argv[1])
measured = read(folder)
draw_by_count(measured, folder / "by_count.svg")
draw_ratios(measured, folder / "ratios.svg")
