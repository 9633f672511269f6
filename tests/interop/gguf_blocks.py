#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random blocks of every type that gguf-py decodes and stet does: the same numbers, bit by bit, from `stet cat --dequantize` and from a
converted file."""
import pathlib
import shutil
import sys

import numpy

import gguf
from gguf import GGMLQuantizationType as Type
from gguf import quants

from stet_command import Stet, Tally

TYPES = """Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S IQ4_NL IQ4_XS TQ1_0 TQ2_0 MXFP4
    NVFP4 BF16 F16 F32""".split()


def same(numbers, expected):
    """The same bits; any NaN is one."""
    both = numpy.isnan(numbers) & numpy.isnan(expected)
    return numpy.array_equal(numbers.view(numpy.uint32)[~both], expected.view(numpy.uint32)[~both])


def main():
    stet, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    seed = 14
    random = numpy.random.default_rng(seed)
    path, tally = folder / "blocks.gguf", Tally()
    writer = gguf.GGUFWriter(str(path), "test")
    expected = {}
    for name in TYPES:
        kind = Type[name]
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        stored = random.integers(0, 256, (3, 512 // elements * size), dtype=numpy.uint8)
        with numpy.errstate(all="ignore"):
            expected[name] = quants.dequantize(stored, kind).astype(numpy.float32)
        writer.add_tensor(name, stored, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    model = Stet(stet, path)
    model.run("convert", path, folder / "numbers.stet", "--dequantize", "--dtype", "float32")
    converted = Stet(stet, folder / "numbers.stet")

    def compare(name):
        how = ("--as", "float32") if name in ("BF16", "F16", "F32") else ("--dequantize",)
        numbers = numpy.frombuffer(model.run("cat", path, name, *how), numpy.float32).reshape(3, 512)
        tally.check(same(numbers, expected[name]), f"{name}: numbers of cat")
        tally.check(converted.tensors[name]["dtype"] == "float32", f"{name}: dtype")
        tally.check(same(converted.array(name), expected[name]), f"{name}: numbers of convert")

    for name in TYPES:
        tally.case(name, compare, name)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
