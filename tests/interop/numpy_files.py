#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""NumPy and ml_dtypes write random arrays, stet reads them; stet writes them again as npz, npy and its own, and NumPy reads those.

    numpy_files.py STET FOLDER     FOLDER is made anew
"""
import json
import pathlib
import shutil
import sys
import zipfile

import ml_dtypes
import numpy

import stet_command
from stet_command import Stet, Tally

tally = Tally()
random = numpy.random.default_rng(14)
PLAIN = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]
NARROW = ["bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e4m3b11fnuz", "float8_e8m0fnu",
          "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn", "int4", "uint4", "int2", "uint2"]


def random_shape():
    return tuple(int(each) for each in random.integers(0, 5, random.integers(0, 5)))


def random_bytes(dtype, shape):
    dtype = numpy.dtype(dtype)
    count = int(numpy.prod(shape, dtype=numpy.int64))
    top = 2 if dtype == numpy.dtype("?") else 256
    return numpy.frombuffer(random.integers(0, top, count * dtype.itemsize, dtype="u1").tobytes(), dtype).reshape(shape)


def random_arrays(number):
    """Plain dtypes in both byte orders and both orders of axes, views with gaps, strings, dates and structures."""
    made = {}
    for i in range(40):
        array = random_bytes(numpy.dtype(str(random.choice(PLAIN))).newbyteorder(str(random.choice(["<", ">"]))), random_shape())
        how = random.integers(0, 4)
        if how == 1:
            array = numpy.asfortranarray(array)
        elif how == 2:
            array = array.T
        elif how == 3 and array.ndim:
            array = array[::2]
        made[f"layer_{i}/kernel {number}" if i % 3 else f"a.{i}"] = array
    made["bytes"] = numpy.array([b"one", b"", b"three"])
    made["text"] = numpy.array([["eins", "zw\u00f6lf"], ["", "\U0001f600"]])
    made["dates"] = numpy.array(["2026-11-29", "NaT"], "M8[s]")
    made["struct"] = numpy.array([(1, 2.5, b"ab"), (3, -1.0, b"")], [("a", "<i4"), ("b", ">f8", ()), ("c", "S3")])
    made["sub"] = numpy.zeros(3, [("x", "u1"), ("y", [("z", "<f4", (2, 3))])])
    made["void"] = numpy.array([b"abc"], "V3")
    return made


def is_plain(array):
    return array.dtype.kind in "?biufc" and array.dtype.names is None


def little(array):
    return numpy.ascontiguousarray(array, array.dtype.newbyteorder("<") if is_plain(array) else array.dtype).tobytes()


def compare_with_stet(what, stet, path, arrays):
    """The command lists and gives what NumPy had."""
    opened = Stet(stet, path)
    tally.check(opened.names() == sorted(arrays), f"{what}: {opened.names()} instead of {sorted(arrays)}")
    for name, array in arrays.items():
        row = opened.tensors.get(name)
        if row is None:
            continue
        tally.check(tuple(row["shape"]) == array.shape, f"{what} {name}: shape {row['shape']}")
        if is_plain(array):
            tally.check(row["dtype"] == array.dtype.newbyteorder("=").name, f"{what} {name}: {row['dtype']}")
        tally.check(opened.stored_bytes(name) == little(array), f"{what} {name}: other bytes")


def compare_with_numpy(what, path, arrays, aligned):
    """NumPy reads what stet wrote, of the same type and with the same elements; in place where that was asked for."""
    with numpy.load(path, allow_pickle=False) as read:
        tally.check(sorted(read.files) == sorted(arrays), f"{what}: {read.files}")
        for name, array in arrays.items():
            tally.check(read[name].dtype == (array.dtype.newbyteorder("<") if is_plain(array) else array.dtype), f"{what} {name}: {read[name].dtype}")
            tally.check(read[name].shape == array.shape and read[name].tobytes() == little(array), f"{what} {name}: other elements")
    with zipfile.ZipFile(path) as archive:
        tally.check(archive.testzip() is None, f"{what}: a checksum is wrong")
        for member in archive.infolist():
            with open(path, "rb") as file:
                file.seek(member.header_offset + 26)
                sizes = int.from_bytes(file.read(2), "little") + int.from_bytes(file.read(2), "little")
            tally.check(not aligned or (member.header_offset + 30 + sizes) % 64 == 0, f"{what} {member.filename}: not aligned")


def archives(stet, folder):
    for number, save in enumerate([numpy.savez, numpy.savez_compressed]):
        arrays = random_arrays(number)
        path = folder / f"from_numpy_{number}.npz"
        save(path, **arrays)
        compare_with_stet(f"npz {number}", stet, path, arrays)
        stet_command.run(stet, "verify", path)
        again = folder / f"again_{number}.npz"
        stet_command.run(stet, "convert", path, again)
        compare_with_numpy(f"npz again {number}", again, arrays, True)
        compare_with_stet(f"npz again {number}", stet, again, arrays)
        # Through a native file, with the types that only NumPy has.
        native = folder / f"native_{number}.stet"
        stet_command.run(stet, "convert", path, native)
        stet_command.run(stet, "convert", native, again)
        compare_with_numpy(f"npz through stet {number}", again, arrays, True)


def files(stet, folder):
    for i, (name, array) in enumerate(random_arrays(9).items()):
        path, again = folder / f"{i}.npy", folder / f"{i}_again.npy"
        numpy.save(path, array)
        compare_with_stet(f"npy {name}", stet, path, {"0": array})
        if i % 4 == 0:
            stet_command.run(stet, "convert", path, again)
            wanted = folder / "wanted.npy"
            numpy.save(wanted, numpy.ascontiguousarray(array, array.dtype.newbyteorder("<")) if is_plain(array) else numpy.ascontiguousarray(array))
            # ascontiguousarray makes a scalar one of one axis
            if array.ndim:
                tally.check(again.read_bytes() == wanted.read_bytes(), f"npy {name}: not the bytes of numpy.save")
            loaded = numpy.load(again, allow_pickle=False)
            tally.check(loaded.tobytes() == little(array) and loaded.shape == array.shape, f"npy {name}: other elements")
    # Headers that need version 2.0, and 3.0.
    wide = numpy.zeros(2, [(f"field_with_a_long_name_{i:06}", "<f4") for i in range(1700)])
    numpy.save(folder / "wide.npy", wide)
    compare_with_stet("npy wide", stet, folder / "wide.npy", {"0": wide})
    wide = numpy.zeros(2, [("f\u00fc\u4e2d", "<f4")])
    numpy.save(folder / "names.npy", wide)
    compare_with_stet("npy names", stet, folder / "names.npy", {"0": wide})


def narrow(stet, folder):
    """What only ml_dtypes has is written as it writes it itself, but for float8_e5m2, which NumPy then refuses."""
    import safetensors.numpy  # the carrier of the narrow types that stet reads

    arrays = {}
    for name in NARROW[:2] + ["float8_e5m2"]:
        arrays[name] = random_bytes(getattr(ml_dtypes, name), (3, 5))
    source = folder / "narrow.safetensors"
    safetensors.numpy.save_file(arrays, source)
    path = folder / "narrow.npz"
    stet_command.run(stet, "convert", source, path)
    with numpy.load(path, allow_pickle=False) as read:
        for name, array in arrays.items():
            tally.check(read[name].view(array.dtype).tobytes() == array.tobytes(), f"{name}: other elements")
            own = folder / f"{name}.npy"
            numpy.save(own, array)
            with zipfile.ZipFile(path) as archive:
                same = archive.read(f"{name}.npy") == own.read_bytes()
            tally.check(same or name == "float8_e5m2", f"{name}: not what ml_dtypes writes")
            if name != "float8_e5m2":
                tally.check(Stet(stet, own).stored_bytes("0") == array.tobytes(), f"{name}: stet reads other bytes")


def objects(stet, folder):
    path = folder / "objects.npz"
    numpy.savez(path, ok=numpy.arange(3), bad=numpy.array([{}, None], object))
    tally.check(Stet(stet, path).names() == ["ok"], "objects: listed")
    listing = json.loads(stet_command.run(stet, "ls", "--json", path))
    tally.check(listing["omitted"] == [{"name": "bad", "reason": "unsupported"}], "objects: the reason is not said")


def main():
    stet, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for title, body in [("archives", archives), ("files", files), ("narrow types", narrow), ("objects", objects)]:
        tally.case(title, body, stet, folder)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
