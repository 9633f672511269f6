#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The crate pytorch-reader and stet read the fixtures of that crate equal: names, dtypes, shapes, and every byte.

    pytorch_reader.py STET FOLDER

Needs cargo, which fetches the crate with its fixtures, and builds a program in FOLDER that prints what it reads.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

SKIPPED = 77
STET, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
CRATE = pathlib.Path(__file__).with_name("pytorch_reader")
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32", "I16": "int16",
          "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "Bool": "bool"}
# The crate has no big-endian elements; the other file is three bytes.
STET_ALONE, NOBODY = {"big_endian.pt"}, {"broken.pt"}


def cargo(*arguments):
    where = shutil.which("cargo") or os.path.expanduser("~/.cargo/bin/cargo")
    try:
        done = subprocess.run([where, *arguments, "--locked", "--manifest-path", CRATE / "Cargo.toml"], capture_output=True)
    except OSError:
        done = None
    if done is None or done.returncode != 0:
        print("SKIPPED: cargo cannot have the crate pytorch-reader", done.stderr.decode(errors="replace") if done else "")
        sys.exit(SKIPPED)
    return done.stdout


def tensors_of_crate(program, files):
    """{file: {name: (dtype, shape, bytes)}}; None where it refuses the file."""
    made = {}
    for line in subprocess.run([program, *files], capture_output=True, check=True).stdout.decode().splitlines():
        name, *rest = line.split("\t")
        if not rest:
            read = made[pathlib.Path(name).name] = {}
            file = pathlib.Path(name).name
        elif name == "refused":
            made[file] = None
        else:
            read[name] = (DTYPES[rest[0]], json.loads(rest[1]), bytes.fromhex(rest[2]))
    return made


def tensors_of_stet(path):
    done = subprocess.run([STET, "ls", "--json", path], capture_output=True)
    if done.returncode != 0:
        return None
    made = {}
    for row in json.loads(done.stdout)["tensors"]:
        data = subprocess.run([STET, "cat", path, row["name"]], capture_output=True, check=True).stdout
        made[row["name"]] = (row["dtype"], row["shape"], data)
    return made


def main():
    found = [each for each in json.loads(cargo("metadata", "--format-version", "1"))["packages"] if each["name"] == "pytorch-reader"]
    fixtures = sorted((pathlib.Path(found[0]["manifest_path"]).parent / "src" / "tests" / "test_data").iterdir())
    assert len(fixtures) == 44, fixtures
    cargo("build", "--quiet", "--target-dir", str(FOLDER))
    theirs = tensors_of_crate(FOLDER / "debug" / "print_tensors", fixtures)
    count = 0
    for path in fixtures:
        ours, expected = tensors_of_stet(path), theirs[path.name]
        assert (expected is None) == (path.name in STET_ALONE | NOBODY), path.name
        assert (ours is None) == (path.name in NOBODY), path.name
        if expected is None:
            continue
        assert sorted(ours) == sorted(expected), (path.name, sorted(ours), sorted(expected))
        for name, tensor in expected.items():
            assert ours[name] == tensor, (path.name, name, ours[name], tensor)
            count += 1
    print(f"{len(fixtures)} files, {count} tensors read equal, 0 failed")


main()
