#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""examples/python/stet.py against the command and the C++ writer, by pytest: the same files byte for byte, what each reads of the other,
the same files refused.

    python_stet.py STET FOLDER WRITE_STET SOURCE     FOLDER is made anew; SOURCE is the source tree of stet
"""
import builtins
import errno
import json
import math
import os
import pathlib
import random
import re
import shutil
import stat
import struct
import subprocess
import sys

import ml_dtypes
import numpy
import pytest
import safetensors.numpy

if __name__ == "__main__":  # pytest imports this file again
    os.environ.update(zip(("STET_COMMAND", "STET_FOLDER", "STET_WRITE", "STET_SOURCE"), sys.argv[1:5]))
COMMAND, WRITE_STET, SOURCE = (os.environ.get(name, "") for name in ("STET_COMMAND", "STET_WRITE", "STET_SOURCE"))
sys.path.insert(0, str(pathlib.Path(SOURCE) / "examples" / "python"))
import stet  # noqa: E402

PLAIN = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "complex64", "complex128"]
NARROW = ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e4m3b11fnuz", "float8_e8m0fnu",
          "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn", "int4", "uint4", "int2", "uint2"]
BITS = {"float6_e2m3fn": 6, "float6_e3m2fn": 6, "float4_e2m1fn": 4, "int4": 4, "uint4": 4, "int2": 2, "uint2": 2}


def command(*arguments, status=0):
    done = subprocess.run([COMMAND, *map(str, arguments)], capture_output=True)
    assert done.returncode == status, done.stderr.decode()
    return done.stdout


def is_accepted(path):
    """Whether the command opens the file."""
    return subprocess.run([COMMAND, "ls", str(path)], capture_output=True).returncode == 0


def dtype_of(name):
    return numpy.dtype(getattr(ml_dtypes, name) if name in NARROW else name)


def random_array(chance, name, shape=None):
    shape = tuple(int(extent) for extent in chance.integers(0, 6, int(chance.integers(0, 5)))) if shape is None else shape
    dtype = dtype_of(name)
    most = 2 if name == "bool" else 1 << BITS.get(name, 8)
    data = chance.integers(0, most, math.prod(shape) * dtype.itemsize, dtype=numpy.uint8)
    return data.view(dtype).reshape(shape) if data.size else numpy.zeros(shape, dtype)


def random_view(chance, array):
    """The same elements with other strides or in the other byte order."""
    kind = int(chance.integers(0, 5))
    if kind == 0 and array.dtype.kind in "iufc":
        return array.astype(array.dtype.newbyteorder(">"))
    if kind == 1:
        return numpy.asfortranarray(array)
    if kind == 2 and array.ndim:
        return numpy.repeat(array, 3, axis=-1)[..., ::3]
    if kind == 3 and array.ndim:
        return array[::-1].copy()[::-1]
    return array


def little(array):
    """The bytes of the elements, row-major and little-endian."""
    is_plain = array.dtype.kind in "biufc" and array.dtype.name in PLAIN
    return numpy.ascontiguousarray(array, array.dtype.newbyteorder("<") if is_plain else array.dtype).tobytes()


def random_json(chance, depth=0):
    kind = int(chance.integers(0, 9 if depth < 3 else 6))
    if kind == 0:
        return int(chance.integers(-(2**63), 2**63, dtype=numpy.int64))
    if kind == 1:
        exponent = int(chance.integers(-320, 308))
        return float(f"{chance.integers(-9, 10)}.{chance.integers(0, 10**int(chance.integers(1, 17)))}e{exponent}")
    if kind == 2:
        return float(numpy.float32(chance.normal())) if chance.integers(2) else float(chance.integers(0, 1000)) / 10
    if kind == 3:
        return [None, True, False, 0, -0.0, 1e15, 1e14, 1e-4, 1e-5, 2**64 - 1, 5e-324, 1.7976931348623157e308][int(chance.integers(0, 12))]
    if kind in (4, 5):
        return "".join(chance.choice(list('aä"\\\n\x1f/\u2028😀\x7f'), int(chance.integers(0, 8))))
    if kind == 6:
        return [random_json(chance, depth + 1) for _ in range(int(chance.integers(0, 5)))]
    return {f"k{number}ä": random_json(chance, depth + 1) for number in range(int(chance.integers(0, 5)))}


def random_model(chance, count):
    names = PLAIN + NARROW
    model = {}
    for number in range(count):
        model[f"layer.{number}/wäight" if number % 5 == 0 else f"n{number}" * int(chance.integers(1, 6))] = random_view(
            chance, random_array(chance, names[int(chance.integers(0, len(names)))]))
        if chance.integers(8) == 0:
            model[f"tied {number}"] = next(reversed(model.values()))
    model["words"] = numpy.array(["metre", "", "ä"])
    model["blocks"] = stet.Raw("block", (2, 32), bytes(range(36)), block=stet.Block("q4_0", 32, 18))
    model["codes"] = stet.Raw("qint8", (3,), b"\1\2\3")
    model["int4 in bytes"] = stet.Raw("int4", (3,), b"\1\2\x0f", bits=8)
    return model


def table_of(path):
    return {row["name"]: row for row in json.loads(command("ls", "--json", path))["tensors"]}


@pytest.fixture(params=["numpy", "google"])
def checksums(request, monkeypatch):
    """Each way to compute checksums."""
    if request.param == "google" and stet._google is None:
        pytest.skip("google-crc32c is not installed")
    if request.param == "numpy":
        monkeypatch.setattr(stet, "_google", None)
        monkeypatch.setattr(stet, "_SHORT", 1 << 15)


# ---- checksums ----


def slow_crc32c(data, value=0):
    crc = value ^ 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@pytest.mark.usefixtures("checksums")
def test_crc32c_is_that_of_rfc_3720():
    assert stet.crc32c(bytes(32)) == 0x8A9136AA
    assert stet.crc32c(b"\xff" * 32) == 0x62A8AB43
    assert stet.crc32c(bytes(range(32))) == 0x46DD794E
    assert stet.crc32c(b"123456789") == 0xE3069283
    assert stet.crc32c(b"") == 0
    data = numpy.random.default_rng(1).integers(0, 256, 300, dtype=numpy.uint8).tobytes()
    for size in range(300):
        assert stet.crc32c(data[:size]) == slow_crc32c(data[:size])
        assert stet.crc32c(data[size:], stet.crc32c(data[:size])) == slow_crc32c(data)


def test_crc32c_of_long_input_is_that_of_its_pieces():
    chance = numpy.random.default_rng(2)
    data = chance.integers(0, 256, 3_000_000, dtype=numpy.uint8)
    for size in [1 << 15, 45_480, 90_960, 90_968, 90_975, 727_680, 727_688, 1_455_361, 2_999_990]:
        for start in (0, 3):
            octets, expected = data[start : start + size], 0
            for at in range(0, size, 1024):
                expected = stet._short_crcs([octets[at : at + 1024]], [expected])[0]
            assert stet._numpy_crc32c(octets, 0) == expected
            assert stet._numpy_crc32c(octets[7:], stet._numpy_crc32c(octets[:7], 0)) == expected
    if stet._google is not None:
        assert stet._google.value(data) == stet._numpy_crc32c(data, 0)


# ---- the same file as the C++ writer's ----


@pytest.mark.parametrize("alignment", [1, 64, 4096, 65536])
def test_writes_the_bytes_that_the_cpp_writer_writes(tmp_path, alignment):
    chance = numpy.random.default_rng(alignment)
    metadata = {f"m{number}": random_json(chance) for number in range(60)}
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    subprocess.run([WRITE_STET, str(tmp_path / "cpp.stet"), str(tmp_path / "metadata.json"), str(alignment)], check=True)

    kernel = (numpy.arange(7840, dtype=numpy.float32) / 8 - 400).reshape(784, 10)
    tensors = {"dense/kernel": kernel, "embedding/kernel": kernel, "nothing": numpy.zeros((0, 3)), "also nothing": numpy.zeros((3, 0))}
    order = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "bfloat16", "float32", "float64", *NARROW[1:]]
    for name in order:
        tensors[name] = numpy.array([1, 2 if name == "float8_e8m0fnu" else 0] * 6)[:11].astype(dtype_of(name))
    tensors["words"] = numpy.array(["metre", "", "ä"])
    tensors["step"] = numpy.int64(1200)
    tensors['ü\n"\\\x1f/name'] = kernel.reshape(10, 784)
    attributes = {"dense/kernel": {"trainable": True, "quantization": {"axis": 1, "scales": [0.1], "zero_points": [0]}},
                  "embedding/kernel": {"note": "tied"}}
    stet.save_file(tensors, tmp_path / "python.stet", metadata, attributes=attributes, alignment_bytes=alignment,
                   state={"global_step": 1200, "optimizer": {"name": "SGD", "learning_rate": 0.01}})
    assert (tmp_path / "python.stet").read_bytes() == (tmp_path / "cpp.stet").read_bytes()
    assert stet.open(tmp_path / "cpp.stet").verify() == []


@pytest.mark.usefixtures("checksums")
@pytest.mark.parametrize("seed", range(12))
def test_the_command_reads_it_and_writes_it_again_the_same(tmp_path, seed):
    chance = numpy.random.default_rng(seed)
    model = random_model(chance, 4 * seed)
    attributes = {name: {"trainable": bool(chance.integers(2)), "more": random_json(chance)} for name in list(model)[::3]}
    path = tmp_path / "model.stet"
    stet.save_file(model, path, {"any": random_json(chance)}, state={"global_step": seed}, graph={"nodes": []}, attributes=attributes,
                   alignment_bytes=1 << int(chance.integers(0, 13)))
    command("verify", path)
    command("convert", path, tmp_path / "again.stet")
    assert (tmp_path / "again.stet").read_bytes() == path.read_bytes()

    table = table_of(path)
    assert list(table) == list(model)
    loaded = stet.load_file(path)
    with stet.open(path) as store:
        assert store.verify() == []
        assert list(store) == list(model) and len(store) == len(model)
        assert stet.save(store, store.metadata, state=store.state, graph=store.graph, alignment_bytes=store.alignment_bytes) == path.read_bytes()
        for name, array in model.items():
            row, entry = table[name], store.tensor(name)
            assert (row["offset_bytes"], row["size_bytes"], row["shape"]) == (entry.offset_bytes, entry.size_bytes, list(entry.shape))
            assert row.get("alias_of") == entry.alias_of and int(row["crc32c"], 16) == entry.crc32c
            if isinstance(array, stet.Raw) or array.dtype.kind == "U":
                continue
            assert store[name].dtype.name == loaded[name].dtype.name == array.dtype.name
            assert little(store[name]) == little(loaded[name]) == little(array)
            assert store[name].shape == loaded[name].shape == array.shape
            if not array.dtype.name in BITS:
                assert command("cat", path, name) == little(array)
            assert loaded[name].flags.writeable
        assert store["words"].tolist() == [b"metre", b"", "ä".encode()]
        assert store["blocks"].tobytes() == bytes(range(36)) and store["blocks"].shape == (2, 18)
        assert store["codes"].tolist() == [1, 2, 3]
        assert store["int4 in bytes"].astype(int).tolist() == [1, 2, -1]
        assert not store["codes"].flags.writeable


def test_converts_as_the_command_does(tmp_path):
    chance = numpy.random.default_rng(5)
    arrays = {f"a{number}": random_view(chance, random_array(chance, name)) for number, name in enumerate(PLAIN * 3)}
    # The order and the byte order of an array in an archive are noted in the manifest; these have none to note.
    numpy.savez(tmp_path / "arrays.npz", **{name: array.astype(array.dtype.newbyteorder("="), order="C") for name, array in arrays.items()})
    command("convert", tmp_path / "arrays.npz", tmp_path / "cpp.stet")
    stet.save_file(arrays, tmp_path / "python.stet")
    assert (tmp_path / "python.stet").read_bytes() == (tmp_path / "cpp.stet").read_bytes()


def test_ten_thousand_tensors(tmp_path):
    model = {f"model.layers.{number // 10}.block.{number % 10}.weight": numpy.full((4, 4), number, "float32") for number in range(10_000)}
    stet.save_file(model, tmp_path / "many.stet")
    command("verify", tmp_path / "many.stet")
    command("convert", tmp_path / "many.stet", tmp_path / "again.stet")
    assert (tmp_path / "again.stet").read_bytes() == (tmp_path / "many.stet").read_bytes()
    with stet.open(tmp_path / "many.stet") as store:
        assert store.verify() == []
        assert all(store[name][0, 0] == number for number, name in enumerate(model))


# ---- what may be saved ----


def test_elements_are_right_for_all_strides_and_byte_orders(tmp_path, monkeypatch):
    monkeypatch.setattr(stet, "_PIECE", 256)  # so that these are copied in pieces
    base = numpy.arange(4 * 6 * 10, dtype=numpy.int32).reshape(4, 6, 10)
    views = {
        "transposed": base.T, "fortran": numpy.asfortranarray(base), "reversed": base[::-1, :, ::-1], "every other": base[:, ::2, 1::3],
        "broadcast": numpy.broadcast_to(base[0, 0], (50, 10)), "big": base.astype(">i4"), "big transposed": base.astype(">i4").transpose(1, 2, 0),
        "complex": (base * (1 + 2j)).astype(">c16").T, "half": base.astype(">f2")[:, ::-1], "bool": (base % 3 == 0).T,
        "bfloat16": base.astype(ml_dtypes.bfloat16).T, "int4": (base % 7).astype(ml_dtypes.int4).T, "one": base[1, 2, 3], "big one": numpy.array(7, ">f8"),
    }
    stet.save_file(views, tmp_path / "views.stet")
    for loaded in (stet.load_file(tmp_path / "views.stet"), stet.open(tmp_path / "views.stet")):
        for name, array in views.items():
            numpy.testing.assert_array_equal(loaded[name], array)
            assert loaded[name].dtype == array.dtype.newbyteorder("=")
    command("verify", tmp_path / "views.stet")


def test_shared_memory_becomes_an_alias_and_nothing_else_does(tmp_path):
    weight = numpy.arange(12.0).reshape(3, 4)

    class Lazy:  # makes an array anew each time, perhaps where the last one was
        def __init__(self, value):
            self.value = value

        def __array__(self, dtype=None, copy=None):
            return numpy.full(1000, self.value)

    same = Lazy(5)
    model = {"w": weight, "tied": weight, "view": weight[:], "transposed": weight.T, "row": weight[0], "equal": weight.copy(),
             "bits": weight.view(numpy.int64), "empty": weight[:0], "empty too": weight[:0],
             **{f"lazy{number}": Lazy(number) for number in range(20)}, "again": same}
    stet.save_file(model, tmp_path / "tied.stet")
    with stet.open(tmp_path / "tied.stet") as store:
        aliases = {row.name: row.alias_of for row in store.tensors() if row.alias_of}
        assert aliases == {"tied": "w", "view": "w"}
        assert all((store[f"lazy{number}"] == number).all() for number in range(20))
        assert store["tied"].__array_interface__["data"] == store["w"].__array_interface__["data"]
    loaded = stet.load_file(tmp_path / "tied.stet")
    assert loaded["tied"] is loaded["w"]
    command("verify", tmp_path / "tied.stet")


def test_metadata_has_types(tmp_path):
    metadata = {"int": 1, "float": 1.0, "null": None, "bool": True, "text": "ä\u2028", "list": [1, [2.5, {}]], "numpy": numpy.float32(0.5),
                "array": numpy.arange(3), "large": 2**64 - 1}
    stet.save_file({}, tmp_path / "m.stet", metadata)
    with stet.open(tmp_path / "m.stet") as store:
        assert store.metadata == {**metadata, "numpy": 0.5, "array": [0, 1, 2]}
        assert [type(store.metadata[key]) for key in ("int", "float", "bool")] == [int, float, bool]
        assert store.state == {} and len(store) == 0


@pytest.mark.parametrize("code, arguments", [
    ("bad_number", dict(metadata={"x": math.nan})), ("bad_number", dict(metadata={"x": 2**64})), ("wrong_type", dict(metadata={"x": {1: 2}})),
    ("wrong_type", dict(metadata={"x": {1, 2}})), ("wrong_type", dict(metadata=[1])), ("bad_json", dict(metadata={"x": "\ud800"})),
    ("duplicate_key", dict(attributes={"w": {"dtype": "int8"}})), ("wrong_type", dict(attributes={"w": {"trainable": 1}})),
    ("bad_quantization", dict(attributes={"w": {"quantization": {"axis": 2}}})),
    ("bad_quantization", dict(attributes={"w": {"quantization": {"scales": [1.0, 2.0]}}})),
    ("not_found", dict(attributes={"x": {}})), ("bad_alignment", dict(alignment_bytes=48)), ("bad_alignment", dict(alignment_bytes=0)),
])
def test_refuses_what_a_manifest_cannot_have(tmp_path, code, arguments):
    with pytest.raises(stet.Error) as failure:
        stet.save_file({"w": numpy.zeros((2, 3))}, tmp_path / "x.stet", **arguments)
    assert failure.value.code == code
    assert os.listdir(tmp_path) == []


def test_depth_of_json_is_bounded_as_in_cpp(tmp_path):
    nested = []
    for _ in range(61):
        nested = [nested]
    stet.save_file({}, tmp_path / "deep.stet", {"x": nested})  # with the manifest, metadata and the list: 64
    command("verify", tmp_path / "deep.stet")
    assert stet.open(tmp_path / "deep.stet").metadata == {"x": nested}
    with pytest.raises(stet.Error) as failure:
        stet.save_file({}, tmp_path / "deeper.stet", {"x": [nested]})
    assert failure.value.code == "too_deep"


@pytest.mark.parametrize("code, name, value", [
    ("bad_name", "", numpy.zeros(1)), ("bad_name", "a\0b", numpy.zeros(1)), ("bad_name", "\ud800", numpy.zeros(1)), ("bad_name", 7, numpy.zeros(1)),
    ("bad_name", "n" * 65536, numpy.zeros(1)), ("invalid_argument", "x", [1, 2]), ("invalid_argument", "x", 1.5), ("invalid_argument", "x", None),
    ("unknown_dtype", "x", numpy.zeros(1, "M8[s]")), ("unknown_dtype", "x", numpy.zeros(1, [("a", "f4")])), ("unknown_dtype", "x", numpy.zeros(1, "V3")),
    ("unsupported", "x", numpy.ma.masked_array([1], [True])), ("invalid_argument", "x", numpy.array([{}], object)),
    ("unknown_dtype", "x", numpy.zeros(1, numpy.dtype([("int4", "i1")]))), ("bad_size", "x", stet.Raw("float32", (3,), bytes(11))),
    ("unknown_dtype", "x", stet.Raw("float31", (3,), bytes(12))), ("unknown_dtype", "x", stet.Raw("int8", (3,), bytes(3), bits=4)),
    ("unknown_dtype", "x", stet.Raw("block", (3,), bytes(3))), ("bad_shape", "x", stet.Raw("block", (3,), bytes(3), block=stet.Block("b", 2, 2))),
    ("bad_shape", "x", stet.Raw("float32", (2**32, 2**32, 0), b"")), ("bad_shape", "x", stet.Raw("float32", (-1,), b"")),
])
def test_refuses_what_is_no_tensor(tmp_path, code, name, value):
    with pytest.raises(stet.Error) as failure:
        stet.save_file({name: value}, tmp_path / "x.stet")
    assert failure.value.code == code
    assert os.listdir(tmp_path) == []


# ---- atomic and durable ----


class Broken:
    """An array that cannot be read."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("the device is gone")


def test_a_failed_save_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "model.stet"
    stet.save_file({"w": numpy.zeros(3)}, path)
    before = path.read_bytes()
    with pytest.raises(RuntimeError):
        stet.save_file({"a": numpy.zeros(300_000), "w": Broken()}, path)

    class Disk:
        def __init__(self, file, room):
            self.file, self.room = file, room

        def write(self, data):
            self.room -= memoryview(data).nbytes
            if self.room < 0:
                raise OSError(errno.ENOSPC, "no space")
            return self.file.write(data)

    real = stet._Plan.write_tensors
    for room in (0, 100_000, 3_000_000):
        monkeypatch.setattr(stet._Plan, "write_tensors", lambda self, write, room=room: real(self, Disk(type("F", (), {"write": staticmethod(write)}), room).write))
        with pytest.raises(OSError):
            stet.save_file({"a": numpy.zeros(200_000), "b": numpy.zeros(200_000)}, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["model.stet"]


def test_syncs_the_file_then_names_it_then_syncs_the_folder(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor):
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else os.fstat(descriptor).st_size)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", lambda old, new: (calls.append("rename"), replace(old, new)))
    path = tmp_path / "model.stet"
    stet.save_file({"w": numpy.zeros(1000)}, path)
    assert calls == [path.stat().st_size, "rename", "folder"]
    calls.clear()
    stet.save_file({"w": numpy.zeros(1000)}, path, durable=False)
    assert calls == ["rename"]


def test_replaces_a_file_that_is_open(tmp_path):
    path = tmp_path / "model.stet"
    stet.save_file({"w": numpy.arange(5000.0)}, path)
    store = stet.open(path)
    array = store["w"]
    stet.save_file({"w": array[::-1], "more": array}, path)  # its own content, over itself
    assert array.tolist() == list(range(5000))
    store.close()
    assert array[17] == 17
    assert stet.load_file(path)["w"].tolist() == list(range(4999, -1, -1))


def test_keeps_permissions_and_follows_links(tmp_path):
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "model.stet"
    stet.save_file({"w": numpy.zeros(3)}, target)
    target.chmod(0o640)
    (tmp_path / "link.stet").symlink_to(target)
    stet.save_file({"w": numpy.ones(3)}, tmp_path / "link.stet")
    assert (tmp_path / "link.stet").is_symlink() and stat.S_IMODE(target.stat().st_mode) == 0o640
    assert stet.load_file(target)["w"].tolist() == [1, 1, 1]


def test_removes_the_file_of_a_killed_save_and_not_that_of_a_running_one(tmp_path):
    import fcntl

    (tmp_path / ".model.stet.0.stet-tmp").write_bytes(b"abandoned")
    stet.save_file({"w": numpy.zeros(3)}, tmp_path / "model.stet")
    assert os.listdir(tmp_path) == ["model.stet"]
    with open(tmp_path / ".model.stet.0.stet-tmp", "wb") as running:
        fcntl.flock(running, fcntl.LOCK_EX)
        stet.save_file({"w": numpy.ones(3)}, tmp_path / "model.stet")
        assert sorted(os.listdir(tmp_path)) == [".model.stet.0.stet-tmp", "model.stet"]
    # A program that is killed in the middle of a save.
    code = ("import os, sys; sys.path.insert(0, sys.argv[1]); import numpy, stet\n"
            "stet._sync = lambda descriptor: os.kill(os.getpid(), 9)\n"
            "stet.save_file({'w': numpy.full(3, 2.0)}, sys.argv[2])\n")
    assert subprocess.run([sys.executable, "-c", code, str(pathlib.Path(SOURCE, "examples", "python")), str(tmp_path / "model.stet")]).returncode == -9
    assert stet.load_file(tmp_path / "model.stet")["w"].tolist() == [1, 1, 1]
    command("convert", tmp_path / "model.stet", tmp_path / "other.stet")
    stet.save_file({"w": numpy.full(3, 3.0)}, tmp_path / "model.stet")
    assert sorted(os.listdir(tmp_path)) == ["model.stet", "other.stet"]


def test_errors_of_the_system_are_python_s(tmp_path):
    with pytest.raises(FileNotFoundError):
        stet.open(tmp_path / "none.stet")
    with pytest.raises(FileNotFoundError):
        stet.save_file({}, tmp_path / "no folder" / "x.stet")
    with pytest.raises(OSError):
        stet.open(tmp_path / ("n" * 300))
    for path in (tmp_path, "/dev/null"):
        with pytest.raises((stet.Error, IsADirectoryError)) as failure:
            stet.open(path)
        assert getattr(failure.value, "code", "not_a_regular_file") == "not_a_regular_file"
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(stet.Error):
        stet.open(tmp_path / "fifo")
    with pytest.raises(stet.Error):
        stet.save_file({}, tmp_path)


# ---- hostile files ----


def small_store(tmp_path, **arguments):
    weight = numpy.arange(6, dtype="float32").reshape(2, 3)
    path = tmp_path / "small.stet"
    stet.save_file({"a": weight, "a tied": weight, "a longer name than eight": numpy.zeros(3, "int8"), "words": numpy.array(["x", "yz"]),
                    "blocks": stet.Raw("block", (2, 32), bytes(36), block=stet.Block("q4_0", 32, 18)), "empty": numpy.zeros((0, 2)),
                    "int4": numpy.arange(3).astype(ml_dtypes.int4), "ä": weight.astype("float64")}, path, {"k": 1}, durable=False, **arguments)
    return path


def error_of(path, whole=False):
    try:
        with stet.open(path) as store:
            if whole:
                store.verify()
            for name in store:
                store[name]
        return None
    except stet.Error as failure:
        return failure.code


def test_every_truncation_is_an_error(tmp_path):
    data = small_store(tmp_path).read_bytes()
    cut = tmp_path / "cut.stet"
    for size in range(len(data)):
        cut.write_bytes(data[:size])
        assert error_of(cut) == "truncated", size
    cut.write_bytes(data + b"\0")
    assert error_of(cut) == "trailing_bytes"
    cut.write_bytes(b"PK\3\4" + data)
    assert error_of(cut) == "bad_magic"


def test_every_flipped_bit_is_an_error(tmp_path):
    data = bytearray(small_store(tmp_path).read_bytes())
    store = stet.open(tmp_path / "small.stet")
    begin = store._header.data_offset
    flipped = tmp_path / "flipped.stet"
    for at in range(len(data)):
        bits = range(8) if at < 128 else (at % 8,)
        for bit in bits:
            data[at] ^= 1 << bit
            flipped.write_bytes(data)
            is_table = at < begin and any(first <= at < first + size for first, size in [
                (0, 128), (store._header.manifest_offset, store._header.manifest_size), (store._header.index_offset, store._header.index_size)])
            if is_table:
                assert error_of(flipped) is not None, at
            assert error_of(flipped, whole=True) is not None, at
            data[at] ^= 1 << bit


def with_checksums(data):
    """The file with the checksums that its sections have now."""
    data = bytearray(data)
    for offset_at, crc_at in ((32, 80), (48, 84)):
        offset, size = struct.unpack_from("<QQ", data, offset_at)
        if size:
            struct.pack_into("<I", data, crc_at, stet.crc32c(bytes(data[offset : offset + size])))
    struct.pack_into("<I", data, 124, stet.crc32c(bytes(data[:124])))
    return bytes(data)


def test_refuses_the_damaged_indexes_that_cpp_refuses(tmp_path):
    """Each field of the index takes values that it must not have, under right checksums: the command and Python agree on each file."""
    data = small_store(tmp_path).read_bytes()
    offset, size = struct.unpack_from("<QQ", data, 48)
    chance = random.Random(16)
    places = [(at, width) for width in (1, 2, 4, 8) for at in range(offset, offset + size, width)]
    damaged, refused = tmp_path / "damaged.stet", 0
    for at, width in chance.sample(places, 500):
        old = int.from_bytes(data[at : at + width], "little")
        value = chance.choice([0, 1, old + 1, old - 1, old ^ 1 << chance.randrange(8 * width), chance.getrandbits(8 * width), (1 << 8 * width) - 1,
                               1 << 8 * width - 1]) % (1 << 8 * width)
        damaged.write_bytes(with_checksums(data[:at] + value.to_bytes(width, "little") + data[at + width :]))
        code = error_of(damaged)
        if code == "bad_string_table":
            code = None  # the tensor's bytes, not the index
        assert (code is None) == is_accepted(damaged), (at - offset, width, value, code)
        refused += code is not None
    assert refused > 250


def without_index(path, manifest, into):
    """A native file with the data of `path`, another manifest, and no index."""
    data = path.read_bytes()
    header = list(stet._HEADER.unpack_from(data))
    begin = stet._align_up(128 + len(manifest), 4096)
    content = data[header[10] :]
    header[3], header[5], header[7], header[8], header[9], header[10], header[12], header[13] = begin + len(content), 64, len(manifest), 0, 0, begin, stet.crc32c(manifest), 0
    packed = stet._HEADER.pack(*header)
    table = packed + struct.pack("<I", stet.crc32c(packed)) + manifest
    into.write_bytes(table + bytes(begin - len(table)) + content)


def moved_manifest(path, begin):
    """The manifest of a file whose data is moved to `begin`."""
    store = stet.open(path)
    manifest = json.loads(store._text)
    for row in manifest["tensors"].values():
        if row["size_bytes"]:
            row["offset_bytes"] += begin - store._header.data_offset
    return manifest


def test_opens_a_file_without_index(tmp_path):
    path = small_store(tmp_path)
    plain = tmp_path / "plain.stet"
    without_index(path, json.dumps(moved_manifest(path, 4096)).encode(), plain)
    assert is_accepted(plain)
    with stet.open(plain) as store, stet.open(path) as original:
        assert store.verify() == [] and list(store) == list(original)
        for name in store:
            assert store[name].tobytes() == original[name].tobytes() or store[name].dtype == object
        assert store.tensor("a tied").alias_of == "a" and store.metadata == {"k": 1}


WRONG_TEXTS = [
    b"", b"[]", b"{", b"{}", b"\xef\xbb\xbf{}", b'{"stet":{"version":1,"minimum_reader":1},"tensors":{}} x', b'{"stet":1,"tensors":{}}',
    b'{"stet":{"version":1,"minimum_reader":2},"tensors":{}}', b'{"stet":{"version":2,"minimum_reader":2},"tensors":{}}',
    b'{"stet":{"version":0,"minimum_reader":0},"tensors":{}}', b'{"stet":{"version":1,"minimum_reader":1}}',
    b'{"stet":{"version":1,"minimum_reader":1},"tensors":[]}', b'{"stet":{"version":1,"minimum_reader":1},"tensors":{"a":1}}',
    b'{"stet":{"version":1.0,"minimum_reader":1},"tensors":{}}', b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"tensors":{}}',
    b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"x":{"y":1,"y":2}}', b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"x":"\xff"}',
    b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"x":"\\ud800"}', b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"x":NaN}',
    b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"x":1e999}', b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"x":18446744073709551616}',
    b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"x":-9223372036854775809}', b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"x":01}',
    b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"x":' + b"[" * 64 + b"]" * 64 + b"}",
    b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"alignment_bytes":3}', b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"metadata":1}',
    b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"data":["a/b"]}', b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"data":["wrong.json"]}',
    b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"data":["none.bin"]}', b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"data":[".."]}',
    b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"data":["weights.bin","weights.bin"]}', b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"data":[{}]}',
    b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"data":[{"path":"weights.bin","size_bytes":9}]}',
    b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"data":[{"path":"weights.bin","content_id":"0123456789abcdef"}]}',
    b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"data":["link.bin"]}', b'{"stet":{"version":1,"minimum_reader":1},"tensors":{},"data":["NUL.bin"]}',
]
WRONG_FIELDS = [
    dict(dtype="float31"), dict(dtype=1), dict(dtype="block"), dict(dtype="float64"), dict(shape=[2, 2]), dict(shape=[-1]), dict(shape=[1.5]), dict(shape=3),
    dict(shape=[2**32, 2**32], size_bytes=0), dict(shape=[0, 2**63, 2], size_bytes=0), dict(shape=[1] * 255), dict(offset_bytes=-64), dict(offset_bytes=1),
    dict(offset_bytes=2**63), dict(offset_bytes=0, size_bytes=0, shape=[0]), dict(offset_bytes=64, size_bytes=0, shape=[0]), dict(offset_bytes=1 << 20),
    dict(size_bytes=25), dict(size_bytes=2**64 - 1), dict(crc32c="0A1B2C3D"), dict(crc32c="1234"), dict(crc32c=1), dict(data=1), dict(data="x"), dict(bits=8),
    dict(bits=33), dict(block={"name": "x", "elements": 1, "size_bytes": 4}), dict(alias_of="none"), dict(alias_of="first"), dict(alias_of="second"),
    dict(trainable=1), dict(quantization=[]), dict(quantization={"axis": 2}), dict(quantization={"axis": 1, "scales": [1, 2]}),
    dict(quantization={"scales": 0}), dict(quantization={"scales": "first"}), dict(quantization={"scales": [0.5], "zero_points": [1, 2]}),
    dict(quantization={"zero_points": 1.5}), dict(quantization={"scales": [True]}), dict(quantization={"axis": 1, "scales": [1, 2, 3], "zero_points": [0, 0, 1]}),
    dict(quantization=None), dict(second_name=True), dict(anything={"x": [1]}), {}, dict(offset_bytes=128),
]


def test_refuses_the_manifests_that_cpp_refuses(tmp_path):
    (tmp_path / "weights.bin").write_bytes(bytes(range(256)))
    (tmp_path / "link.bin").symlink_to("weights.bin")
    wrong = tmp_path / "wrong.json"
    for text in WRONG_TEXTS:
        wrong.write_bytes(text)
        assert error_of(wrong) is not None, text
        assert not is_accepted(wrong), text
    accepted = 0
    for fields in WRONG_FIELDS:
        plain = {"dtype": "float32", "shape": [2, 3], "offset_bytes": 0, "size_bytes": 24}
        tensors = {"first": plain, "second": {**plain, "offset_bytes": 64, **fields}, "third": {**plain, "offset_bytes": 128}}
        wrong.write_text(json.dumps({"stet": {"version": 1, "minimum_reader": 1}, "alignment_bytes": 64, "data": ["weights.bin"], "tensors": tensors}))
        code = error_of(wrong)
        assert (code is None) == is_accepted(wrong), (fields, code)
        accepted += code is None
    assert 4 <= accepted <= 10


def test_zero_points_fit_their_dtype(tmp_path):
    for dtype, size in (("int8", 1), ("uint8", 1), ("qint8", 1), ("int16", 2), ("float32", 4), ("uint64", 8), ("string", 16)):
        for point in (-129, -128, -1, 0, 127, 128, 255, 256, 2**63, -(2**63)):
            manifest = {"stet": {"version": 1, "minimum_reader": 1}, "data": ["w.bin"],
                        "tensors": {"t": {"dtype": dtype, "shape": [1], "offset_bytes": 0, "size_bytes": size, "quantization": {"zero_points": point}}}}
            (tmp_path / "w.bin").write_bytes(bytes(16))
            (tmp_path / "m.json").write_text(json.dumps(manifest))
            try:
                stet.open(tmp_path / "m.json")
                accepted = True
            except stet.Error as failure:
                assert failure.code == "bad_quantization"
                accepted = False
            assert accepted == is_accepted(tmp_path / "m.json"), (dtype, point)


def test_an_index_that_differs_from_the_manifest_is_found(tmp_path):
    path = small_store(tmp_path)
    data = path.read_bytes()
    changed = with_checksums(data.replace(b'"shape":[2,3]', b'"shape":[3,2]', 1))
    path.write_bytes(changed)
    with stet.open(path) as store, pytest.raises(stet.Error) as failure:
        store.verify()
    assert failure.value.code in ("manifest_mismatch", "bad_alias")
    command("verify", path, status=1)


def test_padding_that_is_not_zero_is_found(tmp_path):
    one, sharded = tmp_path / "one.stet", tmp_path / "sharded.stet"
    stet.save_file({"a": numpy.ones(3), "b": numpy.ones(100)}, one, alignment_bytes=4096)
    command("convert", one, sharded, "--shard-size", 200)
    (first, second) = sorted(tmp_path.glob("sharded-*"))
    index_end = sum(struct.unpack_from("<QQ", sharded.read_bytes(), 48))
    places = [(one, one, stet.open(one).tensor("a").offset_bytes + 24), (one, one, 4095), (sharded, sharded, index_end), (first, sharded, 128),
              (second, sharded, 4095)]
    for file, opened, at in places:
        data = file.read_bytes()
        assert data[at] == 0 and stet.open(opened).verify() == []
        file.write_bytes(data[:at] + b"\1" + data[at + 1 :])
        with stet.open(opened) as store, pytest.raises(stet.Error) as failure:
            store.verify()
        assert failure.value.code == "nonzero_padding"
        command("verify", opened, status=1)
        file.write_bytes(data)


# ---- other forms of a store ----


def test_reads_sharded_and_loose_stores(tmp_path):
    model = random_model(numpy.random.default_rng(8), 30)
    model["big"] = numpy.arange(30_000.0)
    stet.save_file(model, tmp_path / "one.stet", {"k": 1})
    command("convert", tmp_path / "one.stet", tmp_path / "sharded.stet", "--shard-size", 100_000)
    (tmp_path / "loose").mkdir()
    command("unpack", tmp_path / "one.stet", tmp_path / "loose")
    one = stet.load_file(tmp_path / "one.stet")
    for path in (tmp_path / "sharded.stet", tmp_path / "loose" / "one.json"):
        with stet.open(path) as store:
            assert store.verify() == [] and store.metadata == {"k": 1}
        other = stet.load_file(path)
        assert list(other) == list(one)
        assert all(other[name].tobytes() == one[name].tobytes() for name in one if one[name].dtype != object)
    parts = sorted(tmp_path.glob("sharded-*.stet"))
    assert len(parts) > 1
    assert error_of(parts[0]) == "bad_header"
    moved = parts[0].read_bytes()
    parts[0].write_bytes(parts[1].read_bytes())
    assert error_of(tmp_path / "sharded.stet") in ("part_size", "part_mismatch")
    parts[0].unlink()
    assert error_of(tmp_path / "sharded.stet") == "missing_part"
    (tmp_path / "elsewhere").write_bytes(moved)
    parts[0].symlink_to("elsewhere")
    assert error_of(tmp_path / "sharded.stet") == "bad_path"
    parts[0].unlink()
    os.link(tmp_path / "elsewhere", parts[0])
    assert error_of(tmp_path / "sharded.stet") == "bad_path"
    assert not is_accepted(tmp_path / "sharded.stet")


def test_without_ml_dtypes_narrow_tensors_are_raw(tmp_path, monkeypatch):
    stet.save_file({"b": numpy.ones(3, ml_dtypes.bfloat16), "f": numpy.ones(2)}, tmp_path / "n.stet")
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    stet._array_dtype.cache_clear()
    try:
        with stet.open(tmp_path / "n.stet") as store:
            assert store["f"].tolist() == [1, 1]
            with pytest.raises(stet.Error) as failure:
                store["b"]
            assert failure.value.code == "unsupported" and "ml_dtypes" in str(failure.value)
            assert store.raw("b").data.view("<u2").tolist() == [0x3F80] * 3
            assert stet.save(store) == (tmp_path / "n.stet").read_bytes()
    finally:
        stet._array_dtype.cache_clear()


def test_reads_what_the_command_makes_of_safetensors(tmp_path):
    chance = numpy.random.default_rng(3)
    arrays = {f"t{number}": random_array(chance, name) for number, name in enumerate([*PLAIN[:12], "bfloat16", "float8_e4m3fn"])}
    safetensors.numpy.save_file(arrays, tmp_path / "a.safetensors", {"format": "pt"})
    command("convert", tmp_path / "a.safetensors", tmp_path / "a.stet")
    with stet.open(tmp_path / "a.stet") as store:
        assert store.verify() == [] and store.metadata.get("format") == "pt"
        assert all(store[name].tobytes() == array.tobytes() and store[name].dtype == array.dtype for name, array in arrays.items())


# ---- documentation and installation ----


def python_blocks(page):
    text = (pathlib.Path(SOURCE) / page).read_text()
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_writer_in_ten_lines_of_the_manifest_s_page_is_right(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chance = numpy.random.default_rng(9)
    arrays = {f"a{number}": random_view(chance, random_array(chance, name)) for number, name in enumerate((PLAIN + NARROW[:7]) * 4)}
    (block,) = python_blocks("include/stet/manifest/README.md")
    opened = []
    real = builtins.open

    def watched(*arguments, **options):
        opened.append(real(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(builtins, "open", watched)
    exec(compile(block, "include/stet/manifest/README.md", "exec"), {"arrays": arrays})
    monkeypatch.setattr(builtins, "open", real)
    assert len(opened) == 2 and all(file.closed for file in opened)
    command("verify", "model.json")
    command("pack", "model.json", "packed.stet")
    for path in ("model.json", "packed.stet"):
        with stet.open(path) as store:
            assert list(store) == list(arrays)
            assert all(store[name].tobytes() == little(array) and store[name].shape == array.shape for name, array in arrays.items())


def test_the_blocks_of_the_page_of_this_module_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks("examples/python/README.md")
    assert blocks
    names = {}
    for block in blocks:
        exec(compile(block, "examples/python/README.md", "exec"), names)
    command("verify", "model.stet")


def test_is_installed_by_pip(tmp_path):
    shutil.copytree(pathlib.Path(SOURCE) / "examples" / "python", tmp_path / "python", ignore=shutil.ignore_patterns("__pycache__"))
    target = tmp_path / "installed"
    # What builds the package is in this environment, so that the test needs no network.
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation",
                    "--target", str(target), str(tmp_path / "python")], check=True)
    code = "import sys, stet; assert stet.__file__.startswith(sys.argv[1]), stet.__file__; print(stet.__version__)"
    printed = subprocess.run([sys.executable, "-c", code, str(target)], env={**os.environ, "PYTHONPATH": str(target)}, cwd=tmp_path, check=True,
                             capture_output=True, text=True).stdout.strip()
    assert printed == stet.__version__
    assert list(target.glob(f"stet-{printed}.dist-info"))
    version = (pathlib.Path(SOURCE) / "include" / "stet" / "vocabulary" / "version.hpp").read_text()
    assert f'STET_VERSION_STRING "{printed}"' in version


def main():
    folder = os.environ["STET_FOLDER"]
    shutil.rmtree(folder, ignore_errors=True)
    pathlib.Path(folder).parent.mkdir(parents=True, exist_ok=True)
    return pytest.main([__file__, "-q", "-p", "no:cacheprovider", f"--basetemp={folder}", *sys.argv[5:]])


if __name__ == "__main__":
    sys.exit(main())
