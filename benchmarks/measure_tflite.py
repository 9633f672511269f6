#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""LiteRT's interpreter beside stet on the task of bench_tflite, in turns; needs Python with ai-edge-litert.

    measure_tflite.py BENCH_TFLITE [ROUNDS]     default: 3 rounds; exits with 1 when a goal is missed

A model of 1,000 or 10,000 constants, two of each layer, is opened: by the constructor of Interpreter, which maps the file, verifies it and
makes the tensors and operators, without allocating memory for what is between them, the best of five in a process whose imports are not
counted; and by stet, the median of bench_tflite. Of the rounds the medians count.
"""
import sys

import flatbuffers
import numpy
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from measure_beside import measure


def tensor(name, shape, dtype, buffer=0, scale=None):
    made = schema.TensorT()
    made.name, made.shape, made.type, made.buffer = name, shape, dtype, buffer
    made.quantization = schema.QuantizationParametersT()
    if scale is not None:
        made.quantization.scale, made.quantization.zeroPoint = [scale], [0]
    return made


def save(path, count):
    """Layers of a kernel of int8, a bias of int32 and a relu."""
    graph, model, code, empty = schema.SubGraphT(), schema.ModelT(), schema.OperatorCodeT(), schema.BufferT()
    types = schema.TensorType
    graph.tensors, graph.operators, model.buffers = [tensor("input", [1, 4], types.INT8, 0, 0.5)], [], [empty]
    for layer in range(count // 2):
        begin, name = len(graph.tensors), f"model/layer_{layer}"
        for _ in range(2):
            values = schema.BufferT()
            values.data = numpy.ones(16, "u1")
            model.buffers.append(values)
        buffers = len(model.buffers)
        graph.tensors += [tensor(f"{name}/MatMul", [4, 4], types.INT8, buffers - 2, 0.5),
                          tensor(f"{name}/BiasAdd", [4], types.INT32, buffers - 1, 0.25), tensor(f"{name}/Relu", [1, 4], types.INT8, 0, 0.5)]
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, [begin - 1, begin, begin + 1], [begin + 2]
        operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.FullyConnectedOptions, schema.FullyConnectedOptionsT()
        operator.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU
        graph.operators.append(operator)
    graph.inputs, graph.outputs = [0], [len(graph.tensors) - 1]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 4
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], [code]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    with open(path, "wb") as out:
        out.write(builder.Output())
    # It is a model: LiteRT runs it.
    runs = interpreter(path)
    runs.allocate_tensors()
    runs.invoke()


def interpreter(path):
    return Interpreter(path, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)


def load(path, count):
    assert interpreter(path)


sys.exit(not measure("open_tflite", ".tflite", save, load, "TFLite model of {count} constants", "LiteRT", 2))
