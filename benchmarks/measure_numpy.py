#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""NumPy beside stet on the task of bench_numpy, in turns; needs Python with numpy.

    measure_numpy.py BENCH_NUMPY [ROUNDS]     default: 3 rounds; exits with 1 when a goal is missed

An npz archive of 1,000 or 10,000 arrays of 4 KiB is opened and a value of each is read: by numpy.load, the best of five in a process
whose imports are not counted, and by stet, the median of bench_numpy. Of the rounds the medians count.
"""
import sys

import numpy

from measure_beside import measure


def save(path, count):
    numpy.savez(path, **{f"layer_{i}/kernel": numpy.full(1024, i + 1, "f4") for i in range(count)})


def touch(path, count):
    with numpy.load(path) as read:
        total = sum(float(read[name][0]) for name in read.files)
    assert total > count


sys.exit(not measure("touch_npz", ".npz", save, touch, "npz of {count} arrays", "NumPy", 20))
