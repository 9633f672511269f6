#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The safetensors package writes, stet reads; stet rewrites, the package reads: every tensor byte for byte, with the metadata, in one
file and in shards. One model has 70,000 tensors in 33 shards, with copies in shards that are not theirs.

    safetensors_both_ways.py STET FOLDER     FOLDER is made anew
"""
import collections
import json
import pathlib
import shutil
import sys

import ml_dtypes
import numpy
import safetensors
import safetensors.numpy

from stet_command import Failure, Stet, Tally, run

tally = Tally()
random = numpy.random.default_rng(11)
DTYPES = ["bool", "int8", "uint8", "int16", "uint16", "float16", "int32", "uint32", "float32", "int64", "uint64", "float64", "complex64"]
NARROW = [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]


def random_array(dtype):
    shape = tuple(int(extent) for extent in random.integers(0, 6, int(random.integers(0, 5))))
    count = int(numpy.prod(shape, dtype=int)) * numpy.dtype(dtype).itemsize
    data = random.integers(0, 2 if dtype == "bool" else 256, count, dtype=numpy.uint8)
    return data.view(dtype).reshape(shape) if count else numpy.zeros(shape, dtype)


def random_model(count, dtypes=(*DTYPES, *NARROW)):
    names = ["layer.%d/weight" % number for number in range(count)] + ["ümläut", 'quote"back\\slash', "line\nbreak"]
    return {name: random_array(dtypes[number % len(dtypes)]) for number, name in enumerate(names)}


def save_shards(folder, parts, decoys=()):
    """Writes the parts of a model as shards with their index. A decoy, (shard, name, array), is not in the index."""
    folder.mkdir(parents=True)
    weight_map, total = {}, 0
    for number, part in enumerate(parts):
        name = f"model-{number + 1:05}-of-{len(parts):05}.safetensors"
        extra = {key: array for shard, key, array in decoys if shard == number}
        safetensors.numpy.save_file({**part, **extra}, folder / name, {"format": "np"})
        weight_map.update(dict.fromkeys(part, name))
        total += sum(array.nbytes for array in part.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
    return path


def compare_with_stet(stet, path, model, sample=None):
    """stet lists the tensors of the model, and those of the sample have its bytes."""
    opened = Stet(stet, path)
    tally.check(opened.format == "safetensors", f"format {opened.format}")
    if not tally.check(opened.names() == sorted(model), f"{path}: names"):
        return opened
    wrong = [name for name, array in model.items() if (opened.tensors[name]["dtype"], opened.tensors[name]["shape"]) != (array.dtype.name, list(array.shape))]
    tally.check(not wrong, f"{path}: dtype or shape of {wrong[:3]}")
    for name in sample or model:
        tally.check(opened.tensors[name]["in_place"], f"{path}: {name!r} is in place")
        tally.check(opened.stored_bytes(name) == model[name].tobytes(), f"{path}: bytes of {name!r}")
    return opened


def read_with_package(path):
    """All tensors and the metadata of a file, or of the shards that an index lists."""
    path, found, metadata = pathlib.Path(path), {}, {}
    files = collections.defaultdict(list)
    if path.suffix == ".json":
        index = json.loads(path.read_text())
        for name, file in index["weight_map"].items():
            files[file].append(name)
    else:
        files[path.name] = None
    for file, names in files.items():
        with safetensors.safe_open(path.parent / file, "np") as opened:
            metadata.update(opened.metadata() or {})
            if names is not None:
                tally.check(sorted(names) == sorted(opened.keys()), f"{file}: the tensors of the index")
        # By bytes: numpy lacks some of the dtypes.
        for name, row in safetensors.deserialize((path.parent / file).read_bytes()):
            found[name] = row
    if path.suffix == ".json":
        tally.check(index["metadata"]["total_size"] == sum(len(row["data"]) for row in found.values()), "total_size")
    return found, metadata


def compare_with_package(path, model, metadata):
    found, found_metadata = read_with_package(path)
    tally.check(sorted(found) == sorted(model), f"{path}: names that the package reads")
    for name, array in model.items():
        row = found.get(name)
        tally.check(row is not None and row["shape"] == list(array.shape) and bytes(row["data"]) == array.tobytes(), f"{path}: {name!r} by the package")
    tally.check(found_metadata == metadata, f"{path}: metadata {found_metadata}")


def one_file(stet, folder):
    for number in range(4):
        model = random_model(12 * number)
        path = folder / f"one{number}.safetensors"
        metadata = {"format": "np", "note": 'ä"\n', "number": str(number)}
        safetensors.numpy.save_file(model, path, metadata)
        compare_with_stet(stet, path, model)
        again = folder / f"again{number}.safetensors"
        run(stet, "convert", path, again)
        compare_with_package(again, model, metadata)
        compare_with_stet(stet, again, model)
        # By way of a native file, in shards, and back.
        run(stet, "convert", path, folder / f"native{number}.stet")
        (folder / f"shards{number}").mkdir()
        index = folder / f"shards{number}" / "model.safetensors.index.json"
        run(stet, "convert", folder / f"native{number}.stet", index)
        compare_with_package(index, model, metadata)
        run(stet, "convert", index.parent, folder / f"back{number}.safetensors")
        tally.check((folder / f"back{number}.safetensors").read_bytes() == again.read_bytes(), "the same bytes by every way")


def alignment(stet, folder):
    model = random_model(40, DTYPES)  # what the package makes arrays of
    path = folder / "aligned.safetensors"
    safetensors.numpy.save_file(model, folder / "given.safetensors")
    run(stet, "convert", folder / "given.safetensors", path)
    for name, row in Stet(stet, path).tensors.items():
        tally.check(row["offset_bytes"] % model[name].dtype.itemsize == 0 or model[name].size == 0, f"{name!r} is aligned")
    for name, array in safetensors.numpy.load_file(path).items():
        tally.check(array.dtype == model[name].dtype and array.tobytes() == model[name].tobytes(), f"load_file: {name!r}")


def sharded(stet, folder):
    model = random_model(60)
    names = list(model)
    parts = [{name: model[name] for name in names[number::5]} for number in range(5)]
    path = save_shards(folder / "five", parts)
    compare_with_stet(stet, path, model)
    compare_with_stet(stet, path.parent, model)
    again = folder / "five_again.safetensors"
    run(stet, "convert", path, again)
    compare_with_package(again, model, {"format": "np"})
    # A shard that is not there fails its tensors alone.
    (path.parent / "model-00003-of-00005.safetensors").unlink()
    compare_with_stet(stet, path, {name: array for name, array in model.items() if name not in parts[2]})
    lost = next(iter(parts[2]))
    try:
        run(stet, "cat", path, lost)
        tally.check(False, "a tensor of a missing shard has bytes")
    except Failure as failure:
        tally.check("model-00003-of-00005.safetensors" in str(failure), f"the message names the shard: {failure}")


def large(stet, folder):
    """70,000 tensors in 33 shards, and 2,000 copies with other values in shards that are not theirs."""
    count, shards = 70_000, 33
    values = numpy.arange(count, dtype=numpy.uint32)
    model = {"model.layers.%d.mlp.experts.%d.weight" % (number // 500, number % 500): values[number : number + 1] for number in range(count)}
    names = list(model)
    parts = [{name: model[name] for name in names[number * count // shards : (number + 1) * count // shards]} for number in range(shards)]
    decoys = []
    for _ in range(2000):
        shard = int(random.integers(shards))
        name = names[int(random.integers(count))]
        if name not in parts[shard]:
            decoys.append((shard, name, numpy.array([0xFFFFFFFF], numpy.uint32)))
    path = save_shards(folder / "large", parts, decoys)
    opened = compare_with_stet(stet, path, model, names[::1000])
    tally.check({row["file"] for row in opened.tensors.values()} == {f"model-{number + 1:05}-of-00033.safetensors" for number in range(33)}, "files")
    run(stet, "convert", path, folder / "large.safetensors")
    found, _ = read_with_package(folder / "large.safetensors")
    tally.check({name: bytes(row["data"]) for name, row in found.items()} == {name: array.tobytes() for name, array in model.items()}, "every value of the large model")


def main():
    stet, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tally.case("one file, both ways", one_file, stet, folder)
    tally.case("tensors are aligned", alignment, stet, folder)
    tally.case("shards, by index and folder", sharded, stet, folder)
    tally.case("70,000 tensors in 33 shards, with decoys", large, stet, folder)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
