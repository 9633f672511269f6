# SPDX-License-Identifier: MIT
"""Large files of which only the table is there."""
import json
import struct


def write_sparse_safetensors(path, count, size):
    """A safetensors file of `count` tensors with `size` bytes together, which are a hole."""
    rows, at, each = {}, 0, size // count
    for number in range(count):
        end = size if number == count - 1 else at + each
        rows[f"model.layers.{number}.mlp.down_proj.weight"] = {"dtype": "U8", "shape": [end - at], "data_offsets": [at, end]}
        at = end
    header = json.dumps(rows).encode()
    header += b" " * (-len(header) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + size)
