#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""torch beside stet on the tasks of bench_pytorch, in turns; needs Python with torch, and with numpy for the second task.

    measure_pytorch.py BENCH_PYTORCH [ROUNDS]     default: 3 rounds; exits with 1 when a goal is missed

A state dict of 1,000 or 10,000 tensors of 16 bytes is opened: by torch.load, with mmap=True where torch has it (2.1 and newer), the best
of five in a process whose imports are not counted, and by stet, the median of bench_pytorch. Then, where torch has it (2.5 and newer), a
folder of torch.distributed.checkpoint is loaded into variables: 16 tensors of 16 MiB in 64 pieces, which four processes saved. Of the
rounds the medians count.
"""
import importlib.util
import inspect
import os
import statistics
import sys
import tempfile
import time

import torch

from measure_beside import measure, own_times

OPTIONS = {"mmap": True} if "mmap" in inspect.signature(torch.load).parameters else {}
RANKS, TENSORS, SIDE = 4, 16, 2048


def save(path, count):
    torch.save({f"model.layer_{i}.kernel": torch.full((4,), float(i)) for i in range(count)}, path)


def load(path, count):
    assert len(torch.load(path, weights_only=True, **OPTIONS)) == count


def save_rank(rank, folder):
    """Saves a fourth of each tensor: one process of four."""
    from torch.distributed import checkpoint, device_mesh, init_process_group, destroy_process_group, tensor
    init_process_group("gloo", init_method=f"file://{folder}.meeting", rank=rank, world_size=RANKS)
    mesh = device_mesh.init_device_mesh("cpu", (RANKS,))
    whole = {f"layer_{i}.kernel": torch.full((SIDE, SIDE), float(i)) for i in range(TENSORS)}
    checkpoint.save({name: tensor.distribute_tensor(each, mesh, [tensor.Shard(0)]) for name, each in whole.items()}, checkpoint_id=folder)
    destroy_process_group()


def load_distributed(folder, state):
    from torch.distributed import checkpoint
    begin = time.perf_counter()
    checkpoint.load(state, checkpoint_id=folder, no_dist=True)
    seconds = time.perf_counter() - begin
    assert all(bool((each == i).all()) for i, each in enumerate(state.values()))
    for each in state.values():
        each.zero_()
    return seconds


def measure_distributed(goal):
    """@return whether the goal is met: how many times faster stet is"""
    program, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    ours, theirs = [], []
    with tempfile.TemporaryDirectory(dir=os.environ.get("STET_BENCHMARK_DIR")) as folder:
        folder += "/checkpoint"
        torch.multiprocessing.spawn(save_rank, (folder,), RANKS)
        assert sum(os.path.getsize(f"{folder}/{each}") for each in os.listdir(folder)) > TENSORS * SIDE * SIDE * 4
        state = {f"layer_{i}.kernel": torch.zeros(SIDE, SIDE) for i in range(TENSORS)}
        for _ in range(rounds):
            ours.append(own_times(program, "--benchmark_filter=load_distributed")["load_distributed"])
            theirs.append(min(load_distributed(folder, state) for _ in range(5)))
    us, them = statistics.median(ours) * 1e3, statistics.median(theirs) * 1e3
    is_met = them / us >= goal
    print(f"DCP folder of 64 pieces, 256 MiB, into variables, ms: stet {us:.4g}, torch {them:.4g}: {them / us:.3g} times "
          f"(>= {goal}{'' if is_met else ', MISSED'})")
    return is_met


if __name__ == "__main__":  # its processes import this file
    met = measure("open_pytorch", ".pt", save, load, "state dict of {count} tensors",
                  "torch.load" + ("(mmap=True)" if OPTIONS else ", which has no mmap in this version,"), 100, "--benchmark_filter=open")
    if importlib.util.find_spec("torch.distributed.tensor"):
        met = measure_distributed(1) and met
    sys.exit(not met)
