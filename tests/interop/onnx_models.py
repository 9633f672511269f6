# SPDX-License-Identifier: MIT
"""onnx writes random models, which stet lists and reads as onnx.numpy_helper does; ONNX Runtime runs what both of them read.

    onnx_models.py STET FOLDER
"""
import pathlib
import shutil
import sys

import ml_dtypes  # noqa: F401
import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from stet_command import Failure, Stet, Tally, run

TYPES = [each for each in TensorProto.DataType.values() if each != TensorProto.UNDEFINED]
# Elements that onnx packs into bytes, and their bits.
BITS = {
    TensorProto.INT4: 4, TensorProto.UINT4: 4, TensorProto.FLOAT4E2M1: 4, TensorProto.INT2: 2, TensorProto.UINT2: 2,
    TensorProto.FLOAT6E2M3: 6, TensorProto.FLOAT6E3M2: 6,
}


def random_tensor(random, name, type_):
    """Gives a TensorProto with raw data or a list."""
    shape = [int(each) for each in random.integers(0 if random.random() < 0.1 else 1, 5, size=random.integers(0, 4))]
    count = int(numpy.prod(shape))
    if type_ == TensorProto.STRING:
        return helper.make_tensor(name, type_, shape, [random.bytes(int(random.integers(6))) for _ in range(count)])
    dtype = helper.tensor_dtype_to_np_dtype(type_)
    if type_ == TensorProto.BOOL:
        array = random.integers(2, size=shape).astype(bool)
    elif type_ in BITS:
        codes = random.integers(2 ** BITS[type_], size=shape).astype(numpy.uint8)
        array = codes.astype(numpy.int16).astype(dtype) if "int" in str(dtype) else codes.view(dtype).reshape(shape)
    else:
        array = numpy.frombuffer(random.bytes(count * dtype.itemsize), dtype).reshape(shape)
    if type_ in BITS or random.random() < 0.5:
        return numpy_helper.from_array(array, name)
    # A list: those of complex numbers and narrow floats hold their bits.
    made = TensorProto(name=name, data_type=type_, dims=shape)
    if type_ in (TensorProto.FLOAT, TensorProto.COMPLEX64):
        made.float_data.extend(array.reshape(-1).view(numpy.float32).tolist())
    elif type_ in (TensorProto.DOUBLE, TensorProto.COMPLEX128):
        made.double_data.extend(array.reshape(-1).view(numpy.float64).tolist())
    elif type_ == TensorProto.INT64:
        made.int64_data.extend(array.reshape(-1).tolist())
    elif type_ in (TensorProto.UINT32, TensorProto.UINT64):
        made.uint64_data.extend(array.reshape(-1).tolist())
    elif type_ in (TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.UINT8, TensorProto.UINT16, TensorProto.BOOL):
        made.int32_data.extend(array.reshape(-1).astype(numpy.int32).tolist())
    else:
        made.int32_data.extend(array.reshape(-1).view(numpy.uint16 if dtype.itemsize == 2 else numpy.uint8).tolist())
    return made


def packed(array, bits):
    """The bytes of elements below a byte: a stream of bits, the lowest first."""
    codes = array.reshape(-1).view(numpy.uint8) & (2**bits - 1)
    stream = (codes[:, None] >> numpy.arange(bits)) & 1
    return numpy.packbits(stream.astype(numpy.uint8).reshape(-1), bitorder="little").tobytes()


def random_model(random):
    tensors = [random_tensor(random, f"t{number}/{'n' * int(random.integers(20))}", TYPES[number % len(TYPES)]) for number in range(60)]
    value = random_tensor(random, "inner", TensorProto.FLOAT)
    branch = helper.make_graph([helper.make_node("Identity", ["b"], ["o"])], "branch", [], [helper.make_empty_tensor_value_info("o")], [
        random_tensor(random, "b", TensorProto.INT64)])
    nodes = [
        helper.make_node("Constant", [], ["c"], value=value),
        helper.make_node("If", ["cond"], ["y"], then_branch=branch, else_branch=branch),
    ]
    graph = helper.make_graph(nodes, "random", [], [], tensors)
    wanted = {each.name: each for each in tensors}
    wanted["node:Constant:c:value"] = value
    for name in ("then_branch", "else_branch"):
        wanted[f"sub:y:{name}/b"] = branch.initializer[0]
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], producer_name="interop"), wanted


def compare(tally, found, wanted):
    tally.check(found.format == "onnx", f"format {found.format}")
    tally.check(found.names() == sorted(wanted), "the names")
    for name, proto in wanted.items():
        if proto.data_type == TensorProto.STRING:
            tally.check(found.strings(name) == list(proto.string_data), f"{name}: strings")
            continue
        array = numpy_helper.to_array(proto)
        row = found.tensors[name]
        tally.check(row["dtype"] == str(array.dtype), f"{name}: dtype {row['dtype']}, not {array.dtype}")
        tally.check(row["shape"] == list(array.shape), f"{name}: shape {row['shape']}")
        bits = BITS.get(proto.data_type)
        expected = packed(array, bits) if bits else array.tobytes()
        tally.check(found.stored_bytes(name) == expected, f"{name}: bytes ({array.dtype})")


def embedded(tally, stet, folder, random):
    for number in range(4):
        model, wanted = random_model(random)
        path = folder / f"embedded{number}.onnx"
        onnx.save(model, path)
        compare(tally, Stet(stet, path), wanted)


def external(tally, stet, folder, random):
    for number, options in enumerate([{"all_tensors_to_one_file": True}, {"all_tensors_to_one_file": False},
                                      {"all_tensors_to_one_file": True, "convert_attribute": True}]):
        model, wanted = random_model(random)
        wanted = {name: TensorProto.FromString(each.SerializeToString()) for name, each in wanted.items()}
        where = folder / f"external{number}"
        where.mkdir()
        onnx.save_model(model, str(where / "m.onnx"), save_as_external_data=True, location="m.data" if number != 1 else None,
                        size_threshold=0, **options)
        compare(tally, Stet(stet, where / "m.onnx"), wanted)


def described(tally, stet, folder, random):
    model, _ = random_model(random)
    path = folder / "graph.onnx"
    onnx.save(model, path)
    text = run(stet, "graph", path).decode()
    for part in ("Constant", "If", "Identity", "sub:y:then_branch"):
        tally.check(part in text, f"stet graph shows {part}")


def runs(tally, stet, folder, random):
    """The outputs of ONNX Runtime are those of the weights that stet reads."""
    w, b = random.normal(size=(3, 4)).astype(numpy.float32), random.normal(size=4).astype(numpy.float32)
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"])], "dense",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4])],
                              [numpy_helper.from_array(w, "w"), helper.make_tensor("b", TensorProto.FLOAT, [4], b)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = random.normal(size=(2, 3)).astype(numpy.float32)
    for name, options in (("plain.onnx", {}), ("beside.onnx", {"save_as_external_data": True, "location": "beside.data", "size_threshold": 0})):
        path = folder / name
        onnx.save_model(onnx.ModelProto.FromString(model.SerializeToString()), str(path), **options)
        found = Stet(stet, path)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        y = session.run(None, {"x": x})[0]
        tally.check(numpy.allclose(y, x @ found.array("w") + found.array("b"), atol=1e-5), f"{name}: outputs")


def patched(tally, stet, folder, random):
    """ONNX Runtime runs a patched model with the new weights, and onnx reads nothing else that is new."""
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["a"]),
                               helper.make_node("Reshape", ["a", "shape"], ["y"])], "dense",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["r", "c"])],
                              [numpy_helper.from_array(random.normal(size=(3, 4)).astype(numpy.float32), "w"),
                               helper.make_tensor("b", TensorProto.FLOAT, [4], random.normal(size=4).astype(numpy.float32)),
                               helper.make_tensor("shape", TensorProto.INT64, [2], [4, 2])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    w, b = random.normal(size=(3, 4)), random.normal(size=4).astype(numpy.float32)
    numpy.savez(folder / "new.npz", w=w, b=b, shape=numpy.array([1, 8]))
    x = random.normal(size=(2, 3)).astype(numpy.float32)
    for name, options in (("plain", {}), ("beside", {"save_as_external_data": True, "location": "beside.bin", "size_threshold": 0})):
        where = folder / f"patched_{name}"
        where.mkdir()
        onnx.save_model(onnx.ModelProto.FromString(model.SerializeToString()), str(where / "old.onnx"), **options)
        before = (where / "old.onnx").read_bytes()
        # In the same folder, in another one, and in place of the model.
        (folder / f"phone_{name}").mkdir()
        for out in (where / "new.onnx", folder / f"phone_{name}" / "new.onnx", where / "old.onnx"):
            tally.check((where / "old.onnx").read_bytes() == before, "the old model stays")
            run(stet, "patch", where / "old.onnx", folder / "new.npz", out)
            session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
            y = session.run(None, {"x": x})[0]
            tally.check(y.shape == (1, 8), f"{out}: shape")
            tally.check(numpy.allclose(y.reshape(2, 4), x @ w.astype(numpy.float32) + b, atol=1e-5), f"{out}: outputs")
            found = onnx.load(str(out))
            onnx.checker.check_model(found)
            wanted = onnx.ModelProto.FromString(model.SerializeToString())
            del found.graph.initializer[:], wanted.graph.initializer[:]
            tally.check(found == wanted, f"{out}: the graph")


def refused(tally, stet, folder, random):
    """What onnx.load refuses, stet refuses."""
    model, _ = random_model(random)
    path = folder / "whole.onnx"
    onnx.save(model, path)
    whole = path.read_bytes()
    for size in sorted(int(each) for each in random.integers(20, len(whole) - 60, size=8)):
        path.write_bytes(whole[:size])
        try:
            run(stet, "ls", path)
            tally.check(False, f"the first {size} bytes open")
        except Failure as failure:
            tally.check("status 1" in str(failure), str(failure))


def main():
    stet, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tally = Tally()
    random = numpy.random.default_rng(20)
    for case in (embedded, external, described, runs, patched, refused):
        tally.case(case.__name__, case, tally, stet, folder, random)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
