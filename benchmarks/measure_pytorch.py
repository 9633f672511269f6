#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""torch.load beside stet on the task of bench_pytorch, in turns; needs Python with torch.

    measure_pytorch.py BENCH_PYTORCH [ROUNDS]     default: 3 rounds; exits with 1 when a goal is missed

A state dict of 1,000 or 10,000 tensors of 16 bytes is opened: by torch.load, with mmap=True where torch has it (2.1 and newer), the best
of five in a process whose imports are not counted, and by stet, the median of bench_pytorch. Of the rounds the medians count.
"""
import inspect

import torch

from measure_beside import measure

OPTIONS = {"mmap": True} if "mmap" in inspect.signature(torch.load).parameters else {}


def save(path, count):
    torch.save({f"model.layer_{i}.kernel": torch.full((4,), float(i)) for i in range(count)}, path)


def load(path, count):
    assert len(torch.load(path, weights_only=True, **OPTIONS)) == count


measure("open_pytorch", ".pt", save, load, "state dict of {count} tensors",
        "torch.load" + ("(mmap=True)" if OPTIONS else ", which has no mmap in this version,"), 100, "--benchmark_filter=open")
