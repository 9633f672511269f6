#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""examples/python/stet.py with PyTorch: state dicts, modules, tied and non-contiguous tensors, there and back, and what the command reads.

    python_stet_torch.py STET FOLDER SOURCE     FOLDER is made anew; SOURCE is the source tree of stet

Runs with the first of this Python and /usr/bin/python3 that has torch. PyPI's is of several gigabytes; Debian has python3-torch.
"""
import pathlib
import shutil
import subprocess
import sys

from find_torch import content, find_torch

torch = find_torch()

sys.dont_write_bytecode = True
STET, FOLDER, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
sys.path.insert(0, str(SOURCE / "examples" / "python"))
import stet  # noqa: E402

checked = 0


def check(holds, what):
    global checked
    checked += 1
    if not holds:
        raise SystemExit(f"FAILED: {what}")


def command(*arguments):
    done = subprocess.run([STET, *map(str, arguments)], capture_output=True)
    check(done.returncode == 0, f"{arguments}: {done.stderr.decode()}")
    return done.stdout


def same_file_again(path):
    command("verify", path)
    command("convert", path, FOLDER / "again.stet")
    check((FOLDER / "again.stet").read_bytes() == path.read_bytes(), f"{path}: the C++ writer writes other bytes")


def tensors_of_every_kind():
    torch.manual_seed(16)
    path, model = FOLDER / "tensors.stet", {}
    dtypes = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
              torch.bool, torch.complex64, torch.complex128]
    dtypes += [getattr(torch, name) for name in ("float8_e4m3fn", "float8_e5m2", "uint16", "uint32", "uint64") if hasattr(torch, name)]
    for dtype in dtypes:
        base = torch.randint(0, 2 if dtype == torch.bool else 100, (2, 3, 4, 5)).to(dtype)
        model.update({f"{dtype}": base, f"{dtype} transposed": base.transpose(0, 3), f"{dtype} sliced": base[:, 1:, ::2],
                      f"{dtype} scalar": base[0, 0, 0, 0], f"{dtype} empty": base[:0], f"{dtype} expanded": base[:1].expand(3, 3, 4, 5),
                      f"{dtype} last": base.contiguous(memory_format=torch.channels_last)})
    z = torch.randn(3, dtype=torch.complex64)
    model.update({"conjugated": z.conj(), "negated": z.conj().imag, "parameter": torch.nn.Parameter(torch.randn(3))})
    stet.save_file(model, path)
    same_file_again(path)
    loaded = stet.load_torch(path)
    check(list(loaded) == list(model), "names")
    for name, tensor in model.items():
        check((tensor.dtype, tensor.shape) == (loaded[name].dtype, loaded[name].shape), f"{name}: another dtype or shape")
        check(content(tensor) == content(loaded[name]) == command("cat", path, name), f"{name}: other elements")
        check(not loaded[name].is_conj() and loaded[name].is_contiguous(), f"{name}: not plain")


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(50, 8)
        self.hidden = torch.nn.Linear(8, 8)
        self.norm = torch.nn.BatchNorm1d(8)
        self.decoder = torch.nn.Linear(8, 50, bias=False)
        self.decoder.weight = self.embedding.weight

    def forward(self, tokens):
        return self.decoder(self.norm(self.hidden(self.embedding(tokens))))


def modules():
    torch.manual_seed(3)
    network, path = Network(), FOLDER / "network.stet"
    network.hidden.weight.data = network.hidden.weight.data.t()  # not contiguous
    network(torch.arange(50))
    network.eval()
    stet.save_file(network, path, {"epochs": 3})
    same_file_again(path)
    with stet.open(path) as store:
        aliases = {row.name: row.alias_of for row in store.tensors() if row.alias_of}
        check(aliases == {"decoder.weight": "embedding.weight"}, f"aliases {aliases}")
        check(list(store) == list(network.state_dict()), "names of the state dict")
        check(store.metadata == {"epochs": 3}, "metadata")
    other = Network().eval()
    loaded = stet.load_torch(path)
    check(loaded["decoder.weight"] is loaded["embedding.weight"], "tied tensors are one")
    other.load_state_dict(loaded)
    check(all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in network.state_dict().items()), "other weights")
    check(torch.allclose(other(torch.arange(50)), network(torch.arange(50)), atol=1e-5), "another answer")
    stet.save_file(network.state_dict(), FOLDER / "dict.stet", {"epochs": 3})
    check((FOLDER / "dict.stet").read_bytes() == path.read_bytes(), "the state dict gives another file")


def what_is_refused():
    for name, tensor in [("sparse", torch.eye(3).to_sparse()), ("meta", torch.zeros(3, device="meta")),
                         ("quantized", torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8))]:
        try:
            stet.save_file({name: tensor}, FOLDER / "refused.stet")
        except stet.Error as failure:
            check(failure.code == "unsupported" and name in str(failure), f"{name}: {failure}")
        else:
            check(False, f"{name} was saved")
    check(not (FOLDER / "refused.stet").exists(), "a file is there")
    stet.save_file({"words": stet.np.array(["a"])}, FOLDER / "words.stet")
    try:
        stet.load_torch(FOLDER / "words.stet")
    except stet.Error as failure:
        check(failure.code == "unsupported", f"{failure}")
    else:
        check(False, "torch has no strings")


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    tensors_of_every_kind()
    modules()
    what_is_refused()
    print(f"{checked} checks with torch {torch.__version__}")


if __name__ == "__main__":
    main()
