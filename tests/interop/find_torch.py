# SPDX-License-Identifier: MIT
"""Finds PyTorch for a script, with this Python or else /usr/bin/python3, which then runs the script anew; and gives tensors as bytes."""
import os
import subprocess
import sys

SKIPPED = 77


def find_torch():
    """The module torch. Does not come back where another Python runs the script, nor where there is no torch: that skips the test."""
    try:
        import torch
        return torch
    except ImportError:
        pass
    other = "/usr/bin/python3"
    has_torch = os.path.realpath(sys.executable) != os.path.realpath(other) and os.path.exists(other) and subprocess.run(
        [other, "-c", "import torch, numpy"], stderr=subprocess.DEVNULL).returncode == 0
    if has_torch:
        os.execv(other, [other, *sys.argv])
    print("SKIPPED: there is no torch")
    sys.exit(SKIPPED)


def content(tensor):
    """The elements in row-major order, as bytes."""
    import torch
    tensor = tensor.detach().resolve_conj().resolve_neg().contiguous()
    if tensor.numel() == 0:
        return b""
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.view(torch.int16)
    elif "float8" in str(tensor.dtype):
        tensor = tensor.view(torch.uint8)
    return tensor.numpy().tobytes()
