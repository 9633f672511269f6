#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ExecuTorch's own serializer writes .ptd files, stet reads them: every tensor byte for byte, in any order of its axes, and data without a
layout.

    executorch_files.py STET FOLDER     FOLDER is made anew

The package's release decides the schema. That of 0.6 has tensors in one list, and data without a layout in another, its last field; the
serializer leaves that one empty, so data is put there on its way to the schema's compiler. Later schemas have one list. Nothing of torch,
which is of several gigabytes, is used but by annotations: where it is not installed, a stand-in is.
"""
import importlib.resources
import importlib.util
import itertools
import json
import math
import os
import pathlib
import random
import shutil
import subprocess
import sys
import types
from unittest import mock

STET, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
random = random.Random(15)
SIZES = {"uint8": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8, "float16": 2, "float32": 4, "float64": 8, "bool": 1, "bfloat16": 2}
CODES = {"uint8": "BYTE", "int8": "CHAR", "int16": "SHORT", "int32": "INT", "int64": "LONG", "float16": "HALF", "float32": "FLOAT",
         "float64": "DOUBLE", "bool": "BOOL", "bfloat16": "BFLOAT16"}


def find_serializer():
    """The module, without what its packages import besides: all of torch."""
    root = pathlib.Path(next(iter(importlib.util.find_spec("executorch").submodule_search_locations)))
    os.environ.setdefault("FLATC_EXECUTABLE", str(root / "data" / "bin" / "flatc"))
    if importlib.util.find_spec("torch") is None:
        sys.modules["torch"] = mock.MagicMock()
        sys.modules["executorch.exir.tensor"] = mock.MagicMock(ALIGNMENT=16)
    for name in ("exir", "exir._serialize", "exir.backend", "extension", "extension.flat_tensor", "extension.flat_tensor.serialize"):
        package = types.ModuleType(f"executorch.{name}")
        package.__path__ = [str(root.joinpath(*name.split(".")))]
        package.__spec__ = importlib.util.spec_from_file_location(package.__name__, root.joinpath(*name.split("."), "__init__.py"))
        sys.modules[package.__name__] = package
    # Of setuptools, which newer ones lack.
    resources = types.ModuleType("pkg_resources")
    resources.resource_string = lambda of, name: importlib.resources.files(of.rpartition(".")[0]).joinpath(name).read_bytes()
    sys.modules["pkg_resources"] = resources
    from executorch.extension.flat_tensor.serialize import serialize
    return serialize


serialize = find_serializer()
from executorch.exir._serialize import data_serializer  # noqa: E402
from executorch.exir.scalar_type import ScalarType  # noqa: E402

IS_OLDER = not hasattr(data_serializer, "DataEntry")


def make_tensors():
    """@return {name: (dtype, sizes, order of the axes in memory, bytes in that order, bytes in row-major order)}"""
    made = {}
    for number, dtype in enumerate(sorted(SIZES) * 3):
        sizes = [random.randint(1, 5) for _ in range(random.randint(1, 4))]
        order = random.sample(range(len(sizes)), len(sizes)) if number % 2 else list(range(len(sizes)))
        item = SIZES[dtype]
        elements = [random.randbytes(item) if dtype != "bool" else bytes([random.randint(0, 1)]) for _ in range(math.prod(sizes))]
        strides = [math.prod(sizes[axis + 1:]) for axis in range(len(sizes))]
        places = itertools.product(*(range(sizes[axis]) for axis in order))
        stored = b"".join(elements[sum(at * strides[axis] for at, axis in zip(place, order))] for place in places)
        made[f"layer.{number}.{dtype}"] = (dtype, sizes, order, stored, b"".join(elements))
    return made


def layout(of):
    dtype, sizes, order, *_ = of
    return data_serializer.TensorLayout(getattr(ScalarType, CODES[dtype]), sizes, order)


def written(tensors, blobs):
    buffers = [of[3] for of in tensors.values()] + list(blobs.values())
    if not IS_OLDER:
        entry = data_serializer.DataEntry
        data = {name: entry(number, 16, layout(of)) for number, (name, of) in enumerate(tensors.items())}
        data |= {name: entry(len(tensors) + number, 64, None) for number, name in enumerate(blobs)}
        data["tied"] = entry(0, 16, layout(next(iter(tensors.values()))))
        return bytes(serialize.FlatTensorSerializer().serialize(data_serializer.DataPayload(buffers, data)))
    entry = data_serializer.TensorEntry
    data = {name: entry(number, layout(of)) for number, (name, of) in enumerate(tensors.items())}
    data["tied"] = entry(0, layout(next(iter(tensors.values()))))
    # One segment with all tensors; then the blobs, in segments of their own.
    places, whole = serialize._extract_tensors, serialize.FlatTensor

    def with_blobs(fqn_to_tensor, all_buffers, segments, alignment):
        made = places(fqn_to_tensor, all_buffers, segments, alignment)
        segments += [serialize.Cord(each) for each in blobs.values()]
        return made

    def with_names(**fields):
        assert fields["named_data"] == []
        from executorch.extension.flat_tensor.serialize.flat_tensor_schema import NamedData
        return whole(**fields | {"named_data": [NamedData(name, 1 + number) for number, name in enumerate(blobs)]})

    payload = data_serializer.DataPayload(buffers[: len(tensors)], data)
    plain = bytes(serialize.FlatTensorSerializer().serialize(payload))
    with mock.patch.object(serialize, "_extract_tensors", with_blobs), mock.patch.object(serialize, "FlatTensor", with_names):
        return plain, bytes(serialize.FlatTensorSerializer().serialize(payload))


def stet(*arguments):
    done = subprocess.run([STET, *map(str, arguments)], capture_output=True)
    assert done.returncode == 0, (arguments, done.stderr.decode())
    return done.stdout


def compare(path, tensors, blobs):
    """@return how many tensors are as they were written"""
    first = next(iter(tensors.values()))
    want = {**tensors, "tied": first, **{name: ("uint8", [len(data)], [0], data, data) for name, data in blobs.items()}}
    rows = {each["name"]: each for each in json.loads(stet("ls", "--json", path))["tensors"]}
    assert sorted(rows) == sorted(want), sorted(set(rows) ^ set(want))
    for name, (dtype, sizes, order, stored, elements) in want.items():
        row = rows[name]
        assert (row["dtype"], row["shape"]) == (dtype, sizes), (name, row)
        # Axes of one element have no order.
        if [axis for axis in order if sizes[axis] != 1] == [axis for axis in range(len(sizes)) if sizes[axis] != 1]:
            assert row["in_place"], (name, row)
            assert path.read_bytes()[row["offset_bytes"]:][: len(stored)] == stored, name
        assert stet("cat", path, name) == elements, name
    stet("verify", path)
    return len(want)


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    tensors, blobs = make_tensors(), {"blob": random.randbytes(1000), "another/blob": b"x"}
    files = written(tensors, blobs)
    checked = 0
    for data, within in zip(files, ({}, blobs)) if IS_OLDER else ((files, blobs),):
        path = FOLDER / f"{'with' if within else 'without'}_blobs.ptd"
        path.write_bytes(data)
        checked += compare(path, tensors, within)
    print(f"{checked} passed, 0 failed")


main()
