#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""One checkpoint of many ranks: stet beside a file for each rank, MPI-IO, parallel HDF5 and PyTorch's DCP, in turns; and its plans.

    measure_sharded.py MEASURE_SHARDED [ROUNDS] [simulate]     default: 5 rounds; exits with 1 when a goal is missed

8 ranks, `mpirun --oversubscribe -n 8`, hold 256 MiB, and 1 GiB, together: 14 matrices of float32 by rows, one by columns, and one of 4 KiB
that is the same on each. The folder is below the current one, or STET_BENCHMARK_DIR.

Saves are durable, and to new files; what was there is removed, and the system's writing ended, between the turns. Every contender has saved
before, so that its plan is there. Loads are by the same ranks, and by 4 ranks that want columns instead of rows and rows instead of
columns; from the page cache, and where the system lets its caches be dropped (root on Linux), from the disk. Memory is touched before.
After each load every element is compared, but for the file for each rank that 4 ranks read: its bytes are read, 1 MiB at a time, and are
no model. A turn lasts from where all ranks begin to where the last ends, opening and closing included. The medians of the rounds count.

DCP runs where Python has torch.distributed.checkpoint with DTensor, in processes of its own that wait for their turns, with cached plans.
HDF5 runs where the program was built with one for MPI.

`simulate`: also the messages, bytes and memory of the plans of 16 … 1,024 ranks with 10,000 tensors, by threads, in STET_BENCHMARK_MEMORY,
/dev/shm by default. Takes some minutes and about 8 GiB.
"""
import importlib.util
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

RANKS = 8
# Open MPI wants to be asked by root.
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_NUM_THREADS="1")
OURS = ("stet_node", "stet_rank")
FLOOR = "file_per_rank"


# ---- DCP: what runs in each process ----

def dcp_worker(folder, mib, rank, size, port, saved_by):
    """Saves, or loads, when a line says so, and answers with a line: seconds."""
    import numpy
    import torch
    import torch.distributed as dist
    import torch.distributed.checkpoint as dcp
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Replicate, Shard
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=size)
    mesh = init_device_mesh("cpu", (size,))
    is_other = size != saved_by
    columns = 1024 if mib < 1024 else 2048
    rows = (mib << 20) // 16 // 4 // columns
    matrices = [(f"layer{i}/kernel", rows, columns, 0) for i in range(14)] + [("output/kernel", rows, 2 * columns, 1),
                                                                              ("output/bias", 1, 1024, None)]

    def values(number, row_range, column_range, width):
        element = (numpy.arange(*row_range, dtype=numpy.uint64)[:, None] * numpy.uint64(width) +
                   numpy.arange(*column_range, dtype=numpy.uint64)).astype(numpy.uint32)
        return (element * numpy.uint32(2654435761) + numpy.uint32(number)) & numpy.uint32(0x3FFFFFFF)

    state, wanted = {}, []
    for number, (name, height, width, axis) in enumerate(matrices):
        if is_other and axis is not None:
            axis = 1 - axis
        row_range, column_range = (0, height), (0, width)
        if axis == 0:
            row_range = (height // size * rank, height // size * (rank + 1))
        elif axis == 1:
            column_range = (width // size * rank, width // size * (rank + 1))
        local = torch.from_numpy(numpy.ascontiguousarray(values(number, row_range, column_range, width)).view(numpy.float32))
        placement = Replicate() if axis is None else Shard(axis)
        state[name] = DTensor.from_local(local, mesh, [placement], run_check=False, shape=torch.Size((height, width)), stride=(width, 1))
        wanted.append((local, number, row_range, column_range, width))
    planner = dcp.DefaultSavePlanner(enable_plan_caching=True)

    def save(path):
        dcp.save(state, storage_writer=dcp.FileSystemWriter(path, single_file_per_rank=True, sync_files=True, thread_count=1), planner=planner)

    print("ready", flush=True)
    for line in sys.stdin:
        what = line.split()[0]
        path = f"{folder}/dcp/{line.split()[1]}"
        if what == "load":
            for local, *_ in wanted:
                local.fill_(float("nan"))
        dist.barrier()
        begin = time.perf_counter()
        if what == "save":
            save(path)
        else:
            dcp.load(state, storage_reader=dcp.FileSystemReader(path))
        seconds = torch.tensor([time.perf_counter() - begin])
        dist.all_reduce(seconds, dist.ReduceOp.MAX)
        if what == "load":
            for local, *of in wanted:
                if not numpy.array_equal(local.numpy().view(numpy.uint32), values(*of)):
                    raise SystemExit("wrong result: DCP")
        print(float(seconds), flush=True)
    dist.destroy_process_group()


class Dcp:
    """Processes that save and load with DCP, together."""

    def __init__(self, folder, mib, size):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, __file__, "--dcp", folder, str(mib)]
        self.processes = [subprocess.Popen(command + [str(rank), str(size), str(port), str(RANKS)], env=ENVIRONMENT, stdin=subprocess.PIPE,
                                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for rank in range(size)]
        for each in self.processes:
            if each.stdout.readline().strip() != "ready":
                raise SystemExit("DCP does not begin")

    def turn(self, command):
        for each in self.processes:
            each.stdin.write(command + "\n")
            each.stdin.flush()
        return [float(each.stdout.readline()) for each in self.processes][0]

    def end(self):
        for each in self.processes:
            each.stdin.close()
        for each in self.processes:
            each.wait()


# ---- turns ----

class Contest:
    """The contenders of one size, and their turns."""

    def __init__(self, program, folder, mib):
        self.folder, self.mib = folder, mib
        self.ranks = subprocess.Popen(["mpirun", "--oversubscribe", "-n", str(RANKS), program, "contest", folder, str(mib)], env=ENVIRONMENT,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready = self.ranks.stdout.readline().split()
        if not ready or ready[0] != "ready":
            raise SystemExit("the ranks do not begin")
        self.names = ready[1:]
        self.dcp, self.dcp_saves = {}, 0
        if has_dcp():
            os.mkdir(f"{folder}/dcp")
            self.names.append("dcp")
            self.dcp = {"same": Dcp(folder, mib, RANKS), "other": Dcp(folder, mib, RANKS // 2)}

    def files_of(self, name):
        if name == "dcp":
            return [each for each in pathlib.Path(self.folder, "dcp").rglob("*") if each.is_file()]
        at = pathlib.Path(self.folder, name)
        return [each for each in at.iterdir()] if at.is_dir() else [each for each in at.parent.glob(f"{name}*") if each.is_file()]

    def ask(self, command):
        self.ranks.stdin.write(command + "\n")
        self.ranks.stdin.flush()
        answer = self.ranks.stdout.readline()
        if not answer:
            raise SystemExit(f"the ranks have ended: {command}")
        return float(answer)

    def save(self, name):
        if name != "dcp":
            return self.ask(f"save {name}")
        for each in pathlib.Path(self.folder, "dcp").iterdir():
            shutil.rmtree(each)
        os.sync()
        self.dcp_saves += 1
        return self.dcp["same"].turn(f"save {self.dcp_saves}")

    def load(self, name, partition, is_cold):
        if is_cold:
            os.sync()
            with open("/proc/sys/vm/drop_caches", "w") as drop:
                drop.write("1")
        else:
            for path in self.files_of(name):
                with open(path, "rb") as file:
                    while file.read(1 << 24):
                        pass
        return self.dcp[partition].turn(f"load {self.dcp_saves}") if name == "dcp" else self.ask(f"load {name} {partition}")

    def measure(self, title, rounds, turn):
        """@return whether a goal is missed"""
        seconds = {name: [] for name in self.names}
        for number in range(rounds):
            for name in self.names if number % 2 == 0 else self.names[::-1]:
                seconds[name].append(turn(name))
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        print(f"{title}, {self.mib} MiB, {RANKS} ranks" if "4 ranks" not in title else f"{title}, {self.mib} MiB")
        for name, median in sorted(medians.items(), key=lambda item: item[1]):
            print(f"  {name:16} {median * 1000:9.1f} ms ({min(seconds[name]) * 1000:.1f} - {max(seconds[name]) * 1000:.1f})"
                  f"  {self.mib / 1024 / median:6.2f} GiB/s")
        is_missed = False
        for ours in OURS:
            for peer in self.names:
                if peer in OURS:
                    continue
                ratio, least = medians[peer] / medians[ours], 0.9 if peer == FLOOR else 1
                is_missed = is_missed or ratio < least
                print(f"  {ours} has {ratio:.2f} of the rate of {peer} (goal: >= {least}{', MISSED' if ratio < least else ''})", flush=True)
        return is_missed

    def end(self):
        for each in self.dcp.values():
            each.end()
        self.ranks.stdin.close()
        if self.ranks.wait() != 0:
            raise SystemExit("the ranks have failed")


def has_dcp():
    try:
        return (importlib.util.find_spec("torch.distributed.checkpoint") is not None and
                importlib.util.find_spec("torch.distributed.tensor") is not None)
    except ModuleNotFoundError:
        return False


def can_drop_caches():
    return os.access("/proc/sys/vm/drop_caches", os.W_OK)


def main():
    program = os.path.abspath(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    if shutil.which("mpirun") is None:
        print("SKIPPED: there is no mpirun")
        sys.exit(77)
    if not has_dcp():
        print("SKIPPED: Python has no torch.distributed.checkpoint with DTensor")
    is_missed = False
    for mib in (256, 1024):
        with tempfile.TemporaryDirectory(dir=os.environ.get("STET_BENCHMARK_DIR", ".")) as folder:
            contest = Contest(program, os.path.abspath(folder), mib)
            if "hdf5" not in contest.names:
                print("SKIPPED: the program was built without HDF5 for MPI")
            for name in contest.names:
                contest.save(name)
            is_missed = contest.measure("save, durable", rounds, contest.save) or is_missed
            for is_cold in (False, True):
                if is_cold and not can_drop_caches():
                    print("SKIPPED: the system's caches cannot be dropped, so that nothing is read from the disk")
                    continue
                where = "from the disk" if is_cold else "from the page cache"
                for partition, of in (("same", "load"), ("other", "load other blocks by 4 ranks")):
                    def turn(name):
                        return contest.load(name, partition, is_cold)
                    is_missed = contest.measure(f"{of}, {where}", rounds, turn) or is_missed
            contest.end()
    with tempfile.TemporaryDirectory(dir=os.environ.get("STET_BENCHMARK_MEMORY", "/dev/shm")) as memory:
        done = subprocess.run([program, "plan", f"{memory}/plan"])
        if done.returncode not in (0, 1):
            raise SystemExit("the plans have failed")
        is_missed = is_missed or done.returncode == 1
        if "simulate" in sys.argv[3:]:
            subprocess.run([program, "simulate"], check=True)
            for ranks in (16, 64, 256, 1024):
                subprocess.run([program, "simulate", f"{memory}/ranks", str(ranks), "10000"], check=True)
    sys.exit(1 if is_missed else 0)


if len(sys.argv) > 1 and sys.argv[1] == "--dcp":
    dcp_worker(sys.argv[2], *map(int, sys.argv[3:]))
else:
    main()
