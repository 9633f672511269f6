#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Ranks of MPI save and load one checkpoint: the adapter's test and examples/sharded are compiled with each MPI that is there, and run.

    many_ranks.py STET FOLDER PROGRAM [INCLUDE ...]

FOLDER is made anew. PROGRAM is examples/sharded as the build has made it, which serves for its MPI, or "none". INCLUDE are folders with the headers of doctest where the compiler does not find them. The compiler is
CXX's, or c++. Ends with 77 where there is no MPI; one of Open MPI and MPICH that is missing is said, and left out.
"""
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import two_machines

ROOT = pathlib.Path(__file__).resolve().parents[2]
STET, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2]).absolute()
SKIPPED = 77
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wundef", "-Wold-style-cast", "-Werror"]
# Open MPI wants to be asked by root, and waits for a processor it does not have by giving it away.
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
passed = 0


def check(holds, what):
    global passed
    if not holds:
        raise SystemExit(f"FAILED: {what}")
    passed += 1


class Mpi:
    """An MPI: its compiler's options, and how its programs run."""

    def __init__(self, name, suffix, options):
        self.name, self.run_options = name, options
        self.mpirun = shutil.which("mpirun" + suffix)
        wrapper = shutil.which("mpicxx" + suffix)
        self.is_there = self.mpirun is not None and wrapper is not None
        if self.is_there:
            shown = shlex.split(subprocess.run([wrapper, "-show"], capture_output=True, text=True, check=True).stdout)[1:]
            # Its headers are not ours to warn about, and its bindings for C++ are not used.
            self.compile_options = [f"-isystem{each[2:]}" for each in shown if each.startswith("-I")]
            self.compile_options += ["-DOMPI_SKIP_MPICXX=1", "-DMPICH_SKIP_MPICXX=1"]
            self.link_options = [each for each in shown if not each.startswith("-I")]

    def command(self, ranks, *arguments):
        return [self.mpirun, *self.run_options, "-n", str(ranks), *map(str, arguments)]

    def run(self, ranks, *arguments, expected=0, machines=None):
        """@return what it says, when it has ended as expected"""
        command = self.command(ranks, *arguments) if machines is None else machines.command(self.mpirun, ranks // 2, *arguments)
        try:
            done = subprocess.run(command, cwd=FOLDER, env=ENVIRONMENT, capture_output=True, text=True, timeout=60,
                                  stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired as late:
            raise SystemExit(f"FAILED: {self.name}: {ranks} ranks of {arguments} do not end: {late.stdout}")
        check(done.returncode == expected, f"{self.name}: {ranks} ranks of {arguments}: status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def build(self, program, sources, options):
        return build(f"{program}_{self.name}", sources, [*self.compile_options, *options], self.link_options)


def build(program, sources, options, link_options=()):
    """Compiles `sources`, paths within the repository, or objects. @return the program, or the object"""
    made = FOLDER / program
    subprocess.run([*shlex.split(os.environ.get("CXX", "c++")), "-std=c++20", "-ffp-contract=off", *WARNINGS, f"-I{ROOT / 'include'}",
                    f"-I{ROOT / 'tests'}", *options, *(ROOT / each for each in sources), *link_options, "-pthread", "-o", made], check=True)
    return made


def built_with(mpi, program):
    """Whether a program uses an MPI."""
    if program == "none":
        return False
    used = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return {"openmpi": "libmpi.so", "mpich": "libmpich.so"}[mpi.name] in used


def stet(*arguments):
    done = subprocess.run([STET, *map(str, arguments)], capture_output=True, text=True)
    check(done.returncode == 0, f"stet {arguments}: {done.stdout}{done.stderr}")
    return done.stdout


# ---- the adapter ----

def test_adapter(mpi, objects, options, most_ranks):
    program = mpi.build("mpi_test", [*objects, "tests/ext/mpi_test.cpp"], ["-DSTET_HAS_MPI=1", *options])
    alone = subprocess.run([program, "--no-colors", "--minimal"], env=ENVIRONMENT, capture_output=True, text=True)  # without mpirun
    check(alone.returncode == 0, f"{mpi.name}: one rank: {alone.stdout}{alone.stderr}")
    for ranks in range(1, most_ranks + 1):
        said = mpi.run(ranks, program, "--no-colors")
        check(len(re.findall(r"Status: SUCCESS", said)) == ranks, f"{mpi.name}: {ranks} ranks: {said}")


# ---- random tensors, random partitions ----

def test_partitions(savers, loaders):
    """Each of `savers` (mpi, program, ranks, first seed, count) saves, and each of `loaders` (mpi, program, ranks) loads all of that."""
    folder = FOLDER / "tensors"
    folder.mkdir()
    seeds = 0
    for mpi, program, ranks, first, count in savers:
        mpi.run(ranks, program, "save", folder, "--seed", first, "--count", count)
        seeds += count
        for other, other_program, other_ranks in loaders:
            said = other.run(other_ranks, other_program, "load", folder, "--seed", first, "--count", count, "--verify", other_ranks % 2)
            check(said.count("each as it was saved") == count, said)
    print(f"  {seeds} seeds, saved by {len(savers)} numbers of ranks, each loaded by {len(loaders)}", flush=True)
    for seed in (savers[0][3], savers[-1][3]):
        head = folder / f"seed-{seed}.stet"
        stet("verify", head)
        tensors = json.loads(stet("ls", head, "--json"))["tensors"]
        check(0 < len(tensors) <= 12 and all("tensor_" in each["name"] for each in tensors), f"ls {head}: {tensors}")
    return folder


def damage(folder, seed):
    """Changes every byte of the largest tensor of a checkpoint's largest shard."""
    shard = max(folder.glob(f"seed-{seed}-*.stet"), key=lambda path: path.stat().st_size)
    tensor = max(json.loads(stet("ls", shard, "--json"))["tensors"], key=lambda each: each["size_bytes"])
    with open(shard, "r+b") as file:
        file.seek(tensor["offset_bytes"])
        there = file.read(tensor["size_bytes"])
        file.seek(tensor["offset_bytes"])
        file.write(bytes(each ^ 1 for each in there))


def test_checker(mpi, program, folder, seeds):
    """Bytes that differ are found, and what cannot be done is one error, from which every rank returns."""
    compared = verified = ""
    for seed in seeds:
        damage(folder, seed)
        compared += mpi.run(3, program, "load", folder, "--seed", seed, expected=1)
        verified += mpi.run(3, program, "load", folder, "--seed", seed, "--verify", 1, expected=1)
        done = subprocess.run([STET, "verify", folder / f"seed-{seed}.stet"], capture_output=True, text=True)
        check(done.returncode == 1, f"stet verify finds no damage: {done.stdout}")
    # The program sees it wherever it is; the library, if asked, in whole tensors and slices, but not in a part of a tensor.
    check(compared.count("is wrong") >= len(seeds), compared)
    check("the bytes of the tensor are damaged" in verified, verified)
    said = mpi.run(3, program, "save", FOLDER / "none" / "of", "--seed", 1, expected=1)
    check("no such file" in said, said)
    said = mpi.run(2, program, "load", folder, "--seed", 999999999, expected=1)
    check(said.count(": no such file (") == 2, said)


# ---- training ----

def lines_of(said):
    """Step: checksum, of what was saved, and of what was resumed."""
    found = {"saved": {}, "resumed": {}}
    for what, step, checksum in re.findall(r"^(saved|resumed) step (\d+), .*: weights ([0-9a-f]{8})", said, re.MULTILINE):
        found[what][int(step)] = checksum
    return found


def ranks_of(program):
    """The processes that run a program."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "exe") == str(program):
                found.append(int(process.name))
        except OSError:
            pass  # ended, or another user's
    return found


def interrupted(mpi, program, ranks, folder, options, how, machines=None):
    """Runs a training that `how(processes)` interrupts. @return what it said, and its status"""
    with open(FOLDER / "interrupted.txt", "w+") as output:
        arguments = [program, "train", folder, *options]
        command = mpi.command(ranks, *arguments) if machines is None else machines.command(mpi.mpirun, ranks // 2, *arguments)
        running = subprocess.Popen(command, cwd=FOLDER, env=ENVIRONMENT, stdout=output, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        begin = time.monotonic()
        while len(ranks_of(program)) < ranks or "step" not in (FOLDER / "interrupted.txt").read_text():
            check_time = time.monotonic() - begin
            if running.poll() is not None or check_time > 30:
                raise SystemExit(f"FAILED: {ranks} ranks of {mpi.name} do not train")
            time.sleep(0.02)
        how(ranks_of(program))
        try:
            status = running.wait(timeout=60)
        except subprocess.TimeoutExpired:
            for process in [running.pid, *ranks_of(program)]:
                os.kill(process, signal.SIGKILL)
            raise SystemExit(f"FAILED: {mpi.name}: the ranks wait for one that was killed")
        output.seek(0)
        return output.read(), status


def test_training(mpi, program, others):
    fill = random.Random(7)
    steps, every = 300, 3
    options = ["--steps", steps, "--save-every", every]
    whole = lines_of(mpi.run(1, program, "train", FOLDER / "whole", *options))["saved"]
    check(len(whole) == steps // every, f"{len(whole)} saves")
    folder = FOLDER / "interrupted"

    def agrees(said, least):
        """What it says of the weights is what one rank says of them, from step `least` on. @return the last step that was saved"""
        found = lines_of(said)
        for step, checksum in [*found["saved"].items(), *found["resumed"].items()]:
            check(whole[step] == checksum, f"step {step}: {checksum}, but {whole[step]} on one rank")
        check(least == 0 or (len(found["resumed"]) == 1 and min(found["resumed"]) >= least), f"resumed after {least}: {said}")
        return max([*found["saved"], *found["resumed"], 0])

    def kill(processes):
        time.sleep(fill.uniform(0.0, 0.3))
        os.kill(fill.choice(processes), signal.SIGKILL)

    last = 0
    for ranks in (4, 3, 8, 1, 5, 2):
        said, status = interrupted(mpi, program, ranks, folder, options, kill)
        if status == 0:
            break  # the machine was faster than the killer
        last = agrees(said, last)
    check(last > 0, "nothing was saved before the end")
    print(f"  killed up to step {last}", flush=True)

    # A rank that only stands still is waited for, and nothing becomes the newest checkpoint meanwhile.
    def stop(processes):
        stopped = fill.choice(processes)
        os.kill(stopped, signal.SIGSTOP)
        time.sleep(0.3)
        before = sorted(path.name for path in folder.glob("ckpt-*[0-9].stet"))
        time.sleep(0.7)
        check(before == sorted(path.name for path in folder.glob("ckpt-*[0-9].stet")), "a checkpoint without a rank")
        os.kill(stopped, signal.SIGCONT)
    if last < steps - 100:
        said, status = interrupted(mpi, program, 2, folder, ["--steps", steps - 60, "--save-every", every], stop)
        check(status == 0, said)
        last = agrees(said, last)
    for until, (other, other_program, ranks) in zip(range(steps - 4 * every * (len(others) - 1), steps + 1, 4 * every), others):
        last = agrees(other.run(ranks, other_program, "train", folder, "--steps", until, "--save-every", every), last)
    check(last == steps, f"step {last}")
    check(not list(folder.glob("*.tmp*")), f"unfinished files: {list(folder.iterdir())}")

    # Without MPI it is a folder of checkpoints, and the newest of them a model.
    stet("verify", folder)
    head = folder / f"ckpt-{steps}.stet"
    tensors = {each["name"]: each for each in json.loads(stet("ls", head, "--json"))["tensors"]}
    check(tensors["dense/kernel"]["shape"] == [784, 48] and tensors["dense/kernel/Adam/v"]["dtype"] == "float32", f"{tensors}")
    check("Adam/beta_1_power" in tensors and len(tensors) == 14, f"{sorted(tensors)}")
    stet("diff", FOLDER / "whole" / head.name, head)
    stet("convert", head, FOLDER / "trained.safetensors")

    # One file of it, and that cut into several again, are checkpoints like any other.
    from_what = head
    for way, cut in (("one", []), ("cut", ["--shard-size", "100kB"])):
        (FOLDER / way).mkdir()
        stet("convert", from_what, FOLDER / way / head.name, *cut)
        check((len(list((FOLDER / way).iterdir())) > 2) == bool(cut), f"{list((FOLDER / way).iterdir())}")
        from_what = FOLDER / way / head.name
        stet("diff", head, from_what)
        resumed = lines_of(mpi.run(3, program, "train", FOLDER / way, "--steps", steps + every, "--save-every", every))
        check(resumed["resumed"] == {steps: whole[steps]}, f"{way}: {resumed}")
        check(list(resumed["saved"]) == [steps + every], f"{way}: {resumed}")


# ---- a full disk ----

def test_full_disk(mpi, program):
    """A file system without room for a second checkpoint: every rank is told so, the first stays and nothing else, and with room it goes on."""
    folder = FOLDER / "small"
    folder.mkdir()

    def mount(*options):
        return subprocess.run(["mount", *options, folder], stderr=subprocess.DEVNULL).returncode == 0
    try:
        if not mount("-t", "tmpfs", "-o", "size=800k", "stet-test"):
            print("SKIPPED: no file system of a size can be mounted: no full disk", flush=True)
            return
    except FileNotFoundError:
        print("SKIPPED: there is no mount: no full disk", flush=True)
        return
    try:
        said = mpi.run(3, program, "train", folder, "--steps", 40, expected=1)
        saved = lines_of(said)["saved"]
        check(list(saved) == [10] and "no space" in said, said)
        before = sorted(path.name for path in folder.iterdir())
        check(len([name for name in before if name.startswith("ckpt")]) == 2, f"more than a head and a shard: {before}")
        stet("verify", folder)
        check(mount("-o", "remount,size=4m"), "the file system does not grow")
        resumed = lines_of(mpi.run(2, program, "train", folder, "--steps", 40))
        check(resumed["resumed"] == saved and list(resumed["saved"]) == [20, 30, 40], f"{resumed}")
    finally:
        subprocess.run(["umount", folder], check=True)


# ---- two machines ----

def test_machines(mpi, program):
    """Two machines of two ranks each, 2 ms from each other: a shard on each, the same bits; and a cable that is pulled out."""
    with two_machines.two_machines(FOLDER) as machines:
        if machines is None:
            return
        if not machines.set_delay(2):
            print("SKIPPED: tc netem is not there: no delay between the machines", flush=True)
        folder = FOLDER / "of_machines"
        folder.mkdir()
        said = mpi.run(4, program, "save", folder, "--seed", 5000, "--count", 6, machines=machines)
        check(re.search(r"saved by 4 ranks, 2 shards", said) is not None, f"not a shard of each machine: {said}")
        for ranks, where in ((3, None), (4, machines)):
            said = mpi.run(ranks, program, "load", folder, "--seed", 5000, "--count", 6, machines=where)
            check(said.count("each as it was saved") == 6, said)
        whole = lines_of(mpi.run(1, program, "train", folder / "whole", "--steps", 40))["saved"]

        def pull(_):
            time.sleep(0.1)
            machines.pull_cable()
            time.sleep(1)  # what is on its way arrives, or does not
            saved = sorted(path.name for path in (folder / "parted").glob("ckpt-*"))
            time.sleep(1)
            check(saved == sorted(path.name for path in (folder / "parted").glob("ckpt-*")), "half the ranks save a checkpoint")
            machines.end_programs()  # as an operator would
        said, _ = interrupted(mpi, program, 4, folder / "parted", ["--steps", 100000], pull, machines)
        before = lines_of(said)["saved"]
        resumed = lines_of(mpi.run(2, program, "train", folder / "parted", "--steps", max(before) + 10))
        check(len(resumed["resumed"]) == 1 and min(resumed["resumed"]) >= max(before), f"{said} {resumed}")
        for step, checksum in [*before.items(), *resumed["resumed"].items(), *resumed["saved"].items()]:
            check(step not in whole or whole[step] == checksum, f"step {step}: {checksum}, but {whole.get(step)} on one rank")
        check(whole.keys() & before.keys(), f"nothing to compare: {before}")
        print(f"  two machines, up to step {max(before)} before they were parted", flush=True)


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    # The system's own folder, named, would stand before those of the compiler.
    options = [f"-isystem{each}" for each in sys.argv[4:] if each != "/usr/include"]
    options.append(f'-DDIGITS_DATA="{ROOT / "examples/digits/digits_data.stet"}"')
    known = [Mpi("openmpi", ".openmpi", ["--oversubscribe"]), Mpi("mpich", ".mpich", [])]
    for each in known:
        if not each.is_there:
            print(f"SKIPPED: there is no mpicxx and mpirun of {each.name}", flush=True)
    there = [each for each in known if each.is_there]
    if not there:
        sys.exit(SKIPPED)
    begin = time.monotonic()
    objects = [build(f"{pathlib.Path(each).stem}.o", [each], ["-c", *options]) for each in ("tests/main.cpp", "tests/support/allocations_test.cpp")]
    programs = {}
    for mpi in there:
        # MPICH's ranks do not give away a processor while they wait: more ranks than processors are slow.
        test_adapter(mpi, objects, options, 5 if mpi.name == "openmpi" else 2)
        is_built = built_with(mpi, sys.argv[3])
        programs[mpi.name] = pathlib.Path(sys.argv[3]).resolve() if is_built else mpi.build("sharded", ["examples/sharded/sharded.cpp"], options)
        print(f"  {mpi.name}: the adapter, {time.monotonic() - begin:.0f} s", flush=True)
    first, last = there[0], there[-1]
    counts = (1, 2, 3, 5, 8) if first.name == "openmpi" else (1, 2, 3)
    loaders = [(first, programs[first.name], ranks) for ranks in counts]
    savers = [(first, programs[first.name], ranks, 1000 * ranks, 12) for ranks in counts]
    if last is not first:
        loaders.append((last, programs[last.name], 2))
        savers += [(last, programs[last.name], ranks, 10000 * ranks, 3) for ranks in (2, 3)]
    folder = test_partitions(savers, loaders)
    test_checker(first, programs[first.name], folder, (2001, 2002))
    print(f"  partitions, {time.monotonic() - begin:.0f} s", flush=True)
    test_training(first, programs[first.name], [(last, programs[last.name], 2)])
    test_full_disk(first, programs[first.name])
    if first.name == "openmpi":
        test_machines(first, programs[first.name])
    print(f"  training, {time.monotonic() - begin:.0f} s", flush=True)
    print(f"{passed} passed, 0 failed")


if __name__ == "__main__":
    main()
