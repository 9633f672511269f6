# SPDX-License-Identifier: MIT
"""gguf-py writes random models, which stet lists, reads and writes again, byte for byte; gguf-py reads what stet wrote.

    gguf_models.py STET FOLDER
"""
import pathlib
import shutil
import sys

import gguf
import numpy
from gguf import GGMLQuantizationType, GGUFEndian, GGUFReader, GGUFValueType, GGUFWriter

from stet_command import Stet, Tally, run

PLAIN = [numpy.float32, numpy.float16, numpy.float64, numpy.int8, numpy.int16, numpy.int32, numpy.int64]
# Q8_1 never stands in a file, and gguf-py has another size for it than ggml.
BLOCKS = [each for each in GGMLQuantizationType if gguf.GGML_QUANT_SIZES[each][0] > 1 and each != GGMLQuantizationType.Q8_1]
SCALARS = {
    GGUFValueType.UINT8: (0, 2**8), GGUFValueType.INT8: (-(2**7), 2**7), GGUFValueType.UINT16: (0, 2**16), GGUFValueType.INT16: (-(2**15), 2**15),
    GGUFValueType.UINT32: (0, 2**32), GGUFValueType.INT32: (-(2**31), 2**31), GGUFValueType.UINT64: (0, 2**64), GGUFValueType.INT64: (-(2**63), 2**63),
}


def random_integer(random, low, high):
    edges = [low, high - 1, max(low, 0), max(low, 0) + 1]
    return edges[random.integers(4)] if random.random() < 0.5 else low + int.from_bytes(random.bytes(8), "little") % (high - low)


def random_value(random, type_):
    if type_ in SCALARS:
        return random_integer(random, *SCALARS[type_])
    if type_ == GGUFValueType.BOOL:
        return bool(random.integers(2))
    if type_ == GGUFValueType.STRING:
        return random.choice(["", "a", "ünï\n", "x" * 300, '"\\', "\0", "nan"]) + str(random.integers(1000))
    if type_ == GGUFValueType.FLOAT32:
        return float(numpy.float32(random.choice([0.0, -0.0, 1.5, 1e-45, 3.4e38, numpy.inf, -numpy.inf, numpy.nan, random.normal()])))
    return float(random.choice([0.0, -0.0, 0.5, 5e-324, 1.7e308, numpy.inf, -numpy.inf, numpy.nan, random.normal()]))


SIMPLE = [*SCALARS, GGUFValueType.BOOL, GGUFValueType.STRING, GGUFValueType.FLOAT32, GGUFValueType.FLOAT64]


def add_metadata(writer, random):
    for number in range(random.integers(1, 30)):
        type_ = SIMPLE[random.integers(len(SIMPLE))]
        if random.random() < 0.5:
            writer.add_key_value(f"key.{number}", random_value(random, type_), type_)
        else:
            values = [random_value(random, type_) for _ in range(random.integers(1, 9))]
            writer.add_key_value(f"key.{number}", values, GGUFValueType.ARRAY, sub_type=type_)


def add_tensors(writer, random, plain_only=False):
    """Gives the bytes, little-endian, and the shape of each tensor."""
    made = {}
    for number in range(random.integers(1, 20)):
        name = f"blk.{number}.weight" + "n" * random.integers(30)
        outer = [int(each) for each in random.integers(1, 4, size=random.integers(0, 3))]
        if plain_only or random.random() < 0.5:
            dtype = PLAIN[random.integers(len(PLAIN))]
            shape = (*outer, int(random.integers(1, 40)))
            count = int(numpy.prod(shape))
            array = numpy.frombuffer(random.bytes(count * numpy.dtype(dtype).itemsize), dtype).reshape(shape)
            writer.add_tensor(name, array.copy())
            made[name] = (array.tobytes(), list(shape), numpy.dtype(dtype).name)
        else:
            type_ = BLOCKS[random.integers(len(BLOCKS))]
            elements, size = gguf.GGML_QUANT_SIZES[type_]
            blocks = int(random.integers(1, 4))
            array = numpy.frombuffer(random.bytes(int(numpy.prod([*outer, blocks * size]))), numpy.uint8).reshape(*outer, blocks * size)
            writer.add_tensor(name, array.copy(), raw_dtype=type_)
            made[name] = (array.tobytes(), [*outer, blocks * elements], type_.name.lower())
    return made


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def fields_of(path):
    reader = GGUFReader(path)
    internal = ("GGUF.version", "GGUF.tensor_count", "GGUF.kv_count")
    return {name: (field.types, repr(field.contents())) for name, field in reader.fields.items() if not name.startswith(internal)}


def compare(tally, stet, path, made):
    opened = Stet(stet, path)
    tally.check(opened.format == "gguf", "the format")
    tally.check(list(opened.tensors) == list(made), "the names in order")
    for name, (data, shape, dtype) in made.items():
        row = opened.tensors[name]
        tally.check(row["shape"] == shape and row["dtype"] == dtype, f"{name}: {row['dtype']} {row['shape']}, not {dtype} {shape}")
        tally.check(opened.stored_bytes(name) == data, f"{name}: bytes")


def both_ways(tally, stet, folder, seed):
    random = numpy.random.default_rng(seed)
    path, again = folder / f"model{seed}.gguf", folder / f"again{seed}.gguf"
    writer = GGUFWriter(path, "test")
    if random.random() < 0.5:
        writer.add_custom_alignment(int(random.choice([16, 64, 128, 4096])))
    add_metadata(writer, random)
    made = add_tensors(writer, random)
    finish(writer)
    compare(tally, stet, path, made)
    run(stet, "convert", path, again)
    tally.check(path.read_bytes() == again.read_bytes(), "written again as it was")
    run(stet, "convert", path, folder / "native.stet")
    run(stet, "convert", folder / "native.stet", again)
    tally.check(path.read_bytes() == again.read_bytes(), "the same by way of a native file")
    tensors = {each.name: each for each in GGUFReader(again).tensors}
    tally.check(fields_of(path) == fields_of(again), "gguf-py reads the same keys")
    for name, (data, _, _) in made.items():
        tally.check(tensors[name].data.tobytes() == data, f"gguf-py reads {name}")


def big_endian(tally, stet, folder, seed):
    random = numpy.random.default_rng(seed)
    path, again = folder / f"big{seed}.gguf", folder / f"little{seed}.gguf"
    writer = GGUFWriter(path, "test", endianess=GGUFEndian.BIG)
    add_metadata(writer, random)
    made = add_tensors(writer, random, plain_only=True)
    finish(writer)
    compare(tally, stet, path, made)
    run(stet, "convert", path, again)
    compare(tally, stet, again, made)
    tally.check(fields_of(path) == fields_of(again), "gguf-py reads the same keys")


def split(tally, stet, folder, seed):
    random = numpy.random.default_rng(seed)
    inside = folder / f"split{seed}"
    inside.mkdir()
    writer = GGUFWriter(inside / "model.gguf", "test", split_max_tensors=3, small_first_shard=bool(seed % 2))
    add_metadata(writer, random)
    made = add_tensors(writer, random)
    finish(writer)
    parts = sorted(inside.glob("*.gguf"))
    for path in (*parts, inside) if len(parts) > 1 else parts:
        compare(tally, stet, path, made)
    run(stet, "convert", parts[-1], folder / "whole.gguf")
    compare(tally, stet, folder / "whole.gguf", made)
    tally.check([each.name for each in GGUFReader(folder / "whole.gguf").tensors] == list(made), "gguf-py reads the whole")


def main():
    stet, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tally = Tally()
    for seed in range(12):
        tally.case(f"both ways, seed {seed}", both_ways, tally, stet, folder, seed)
    for seed in range(4):
        tally.case(f"big-endian, seed {seed}", big_endian, tally, stet, folder, seed)
        tally.case(f"split, seed {seed}", split, tally, stet, folder, seed)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
