# SPDX-License-Identifier: MIT
"""TensorFlow.js from Python: one process of Node.js that loads models and predicts with them."""
import json
import pathlib
import subprocess
import sys

import numpy

HERE = pathlib.Path(__file__).parent


class TensorFlowJs:
    """A process of Node.js that predicts. `is_there` is false where it cannot be had."""

    def __init__(self, folder):
        command = [sys.executable, HERE / "node_environment.py", folder, "@tensorflow/tfjs@4.22.0", HERE / "tfjs_predict.cjs"]
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.is_there = self.ask({"path": "", "inputs": []}) is not None
        if not self.is_there:
            print("SKIPPED: TensorFlow.js, which cannot be had here", flush=True)

    def ask(self, question):
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            while line := self.process.stdout.readline():
                if line.startswith("{"):
                    return json.loads(line)
        except BrokenPipeError:
            pass
        return None

    def predict(self, path, inputs):
        """The outputs. @raises ValueError  with what TensorFlow.js says"""
        answer = self.ask({"path": str(path), "inputs": [
            {"shape": each.shape, "dtype": "int32" if each.dtype.kind == "i" else "float32", "data": each.ravel().tolist()} for each in inputs]})
        if answer is None or "error" in answer:
            raise ValueError("it ended" if answer is None else answer["error"])
        return [numpy.array(each["data"], "float64").reshape(each["shape"]) for each in answer["outputs"]]

    def close(self):
        self.process.stdin.close()
        self.process.wait()
