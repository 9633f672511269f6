#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Exports the digits network by torch.export and ExecuTorch's compiler as a program without weights, for one image.

    export_digits_pte.py PROGRAM.pte

The parameters have the names of the demo's file, and any values: those that count come from the file. Ends with 77 where this Python has no
torch, or not all that the compiler imports.
"""
import pathlib
import sys

try:
    import torch
    from executorch.exir import ExecutorchBackendConfig, to_edge
except ImportError as failure:
    print(f"SKIPPED: {failure}")
    sys.exit(77)


class Digits(torch.nn.Module):
    def __init__(self):
        super().__init__()
        for name, shape in {"dense/kernel": (784, 10), "dense/bias": (10,), "dense_1/kernel": (10, 10), "dense_1/bias": (10,)}.items():
            self.register_parameter(name, torch.nn.Parameter(torch.rand(shape)))

    def forward(self, pixels):
        hidden = torch.relu(pixels @ getattr(self, "dense/kernel") + getattr(self, "dense/bias"))
        return torch.softmax(hidden @ getattr(self, "dense_1/kernel") + getattr(self, "dense_1/bias"), -1)


program = torch.export.export(Digits(), (torch.zeros(1, 784),))
made = to_edge(program).to_executorch(ExecutorchBackendConfig(external_constants=True))
assert len(made.buffer) < 784 * 10 * 4, "the weights are within the program"
pathlib.Path(sys.argv[1]).write_bytes(made.buffer)
