#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""torch writes, stet reads; stet rewrites, torch reads with weights_only=True: every tensor byte for byte, of random models in each form
that torch.save has. Pickles that run code in Python run nothing in stet.

    pytorch_models.py STET FOLDER     FOLDER is made anew

Runs with the first of this Python and /usr/bin/python3 that has torch. PyPI's is of several gigabytes; Debian has python3-torch.
"""
import io
import json
import os
import pathlib
import pickle
import random
import shutil
import subprocess
import sys
import zipfile

from find_torch import content, find_torch

torch = find_torch()

STET, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
          torch.bool, torch.complex64, torch.complex128]
random = random.Random(15)
torch.manual_seed(15)
checked = 0


def stet(*arguments):
    done = subprocess.run([STET, *map(str, arguments)], capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"FAILED: {arguments}: {done.stderr.decode()}")
    return done.stdout


def random_tensor():
    dtype = random.choice(DTYPES)
    shape = [random.randint(0, 5) for _ in range(random.randint(0, 4))]
    made = torch.randint(0, 2 if dtype == torch.bool else 100, shape).to(dtype)
    form = random.randint(0, 5)
    if form == 0 and made.dim() > 1:
        made = made.transpose(0, -1)
    elif form == 1 and made.dim() > 0 and made.shape[0] > 2:
        made = made[1:]
    elif form == 2 and made.dim() == 4:
        made = made.contiguous(memory_format=torch.channels_last)
    elif form == 3:
        made = made.unsqueeze(0).expand(3, *made.shape)
    return made


def random_object(depth=0):
    """Dicts and lists of tensors and of other values."""
    made = {}
    for number in range(random.randint(1, 6)):
        kind = random.randint(0, 9)
        if kind < 6 or depth > 3:
            made[f"t{number}"] = random_tensor()
        elif kind < 8:
            made[f"d{number}"] = random_object(depth + 1)
        elif kind == 8:
            made[f"l{number}"] = [random_tensor(), number, (random_tensor(), "text")]
        else:
            made[number] = random.choice([1.5, None, "x", b"y", True, 2**70])
    if made and random.randint(0, 2) == 0:
        name, value = random.choice(sorted(made.items(), key=str))
        made["tied"] = value
    return made


def tensors_of(value, name=""):
    if isinstance(value, torch.Tensor):
        return {name or "<root>": value}
    if isinstance(value, dict):
        items = [(str(key), each) for key, each in value.items()]
    elif isinstance(value, (list, tuple)):
        items = [(str(number), each) for number, each in enumerate(value)]
    else:
        return {}
    made = {}
    for key, each in items:
        made.update(tensors_of(each, f"{name}.{key}" if name else key))
    return made


def compare(path, want):
    """Every tensor that stet lists, with its bytes: in the file where they lie in place."""
    global checked
    rows = {each["name"]: each for each in json.loads(stet("ls", "--json", path))["tensors"]}
    assert sorted(rows) == sorted(want), (path, sorted(set(rows) ^ set(want)))
    for name, tensor in want.items():
        row = rows[name]
        assert row["shape"] == list(tensor.shape), (path, name, row)
        assert row["dtype"] == str(tensor.dtype).replace("torch.", ""), (path, name, row)
        if row["in_place"]:
            with open(path, "rb") as file:
                file.seek(row["offset_bytes"])
                data = file.read(row["size_bytes"])
        else:
            data = stet("cat", path, name)
        assert data == content(tensor), (path, name)
        checked += 1


def both_ways(name, value, **options):
    path = FOLDER / f"{name}.pt"
    torch.save(value, path, **options)
    want = tensors_of(value)
    compare(path, want)
    back = FOLDER / f"{name}-back.pt"
    stet("convert", path, back)
    loaded = torch.load(back, weights_only=True)
    assert sorted(loaded) == sorted(want), (name, sorted(set(loaded) ^ set(want)))
    for key, tensor in want.items():
        assert loaded[key].dtype == tensor.dtype and loaded[key].shape == tensor.shape, (name, key)
        assert content(loaded[key]) == content(tensor), (name, key)
    compare(back, want)


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.norm = torch.nn.BatchNorm2d(4)
        self.register_buffer("mask", torch.ones(2), persistent=False)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Block()
        self.again = self.first
        self.head = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.LSTM(4, 3))
        self.head[0].weight = torch.nn.Parameter(torch.randn(4, 4))
        self.scale = torch.nn.Parameter(torch.tensor(2.0))


def torch_bytes(value, **options):
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def check_patch(net):
    """torch loads a patched file with the new weights, and finds every checksum right; also one within an archive of torch.export."""
    old = net.state_dict()
    values = {each.data_ptr(): torch.rand(each.shape).to(each.dtype) for each in old.values()}  # tied ones stay tied
    new = {name: values[each.data_ptr()] for name, each in old.items()}
    torch.save(old, FOLDER / "old.pt")
    torch.save(new, FOLDER / "new.pt")
    with zipfile.ZipFile(FOLDER / "old.pt2", "w") as archive:
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", torch_bytes(old))
        archive.writestr("serialized_constants.pt", torch_bytes({}))
    for ending in ("pt", "pt2"):
        path = FOLDER / f"patched.{ending}"
        compare(FOLDER / f"old.{ending}", old)
        stet("patch", FOLDER / f"old.{ending}", FOLDER / "new.pt", path)
        compare(path, new)
        stet("verify", path)
        data = path.read_bytes()
        if ending == "pt2":
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None
                data = archive.read("serialized_state_dict.pt")
        assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
        loaded = torch.load(io.BytesIO(data), weights_only=True)
        assert list(loaded) == list(old)
        for name, tensor in new.items():
            assert content(loaded[name]) == content(tensor), name


def check_exported(net):
    """The forms of torch.export that have files of torch.save within."""
    state = net.state_dict()
    forms = {
        "flat": {"serialized_exported_program.json": b"{}", "serialized_state_dict.pt": torch_bytes(state)},
        "legacy": {"serialized_exported_program.json": b"{}", "serialized_state_dict.json": torch_bytes(state, _use_new_zipfile_serialization=False)},
        "folder": {"m/models/model.json": b"{}", "m/data/weights/model.pt": torch_bytes(state)},
    }
    config = {name: {"path_name": f"weight_{number}", "is_param": True, "use_pickle": True, "tensor_meta": None} for number, name in enumerate(state)}
    forms["pickled"] = {f"m/data/weights/weight_{number}": torch_bytes(each) for number, each in enumerate(state.values())}
    forms["pickled"]["m/data/weights/model_weights_config.json"] = json.dumps({"config": config}).encode()
    for name, members in forms.items():
        for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            path = FOLDER / f"{name}-{how}.pt2"
            with zipfile.ZipFile(path, "w", how) as archive:
                for member, data in members.items():
                    archive.writestr(member, data)
            compare(path, state)


class Runs:
    """Unpickling it calls a function with arguments."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def check_nothing_runs():
    marker = FOLDER / "STET_HOSTILE_RAN"
    os.environ["STET_HOSTILE"] = "1"
    attacks = [Runs(os.system, f"echo > {marker}"), Runs(eval, f"open({str(marker)!r}, 'w')"),
               Runs(exec, f"open({str(marker)!r}, 'w')"), Runs(__import__, "antigravity"),
               Runs(pickle.loads, pickle.dumps(Runs(os.system, f"echo > {marker}")))]
    for number, attack in enumerate(attacks):
        for zipped in (True, False):
            path = FOLDER / f"attack{number}-{zipped}.pt"
            torch.save({"w": torch.ones(2), "x": attack, "y": [attack]}, path, _use_new_zipfile_serialization=zipped)
            done = subprocess.run([STET, "ls", path], capture_output=True)
            assert done.returncode == 1, path
            assert not marker.exists(), path
    # The same attack does run in Python: what was tested is one.
    torch.load(FOLDER / "attack0-True.pt", **({"weights_only": False} if "weights_only" in torch.load.__code__.co_varnames else {}))
    assert marker.exists()


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for number in range(12):
        both_ways(f"random{number}", random_object())
    for protocol in (2, 3, 4):
        both_ways(f"protocol{protocol}", random_object(), pickle_protocol=protocol)
    both_ways("legacy", random_object(), _use_new_zipfile_serialization=False)
    both_ways("root", {"w": torch.randn(2, 3)})

    net = Net()
    both_ways("state_dict", net.state_dict())
    torch.save(net, FOLDER / "module.pt")
    compare(FOLDER / "module.pt", net.state_dict())
    optimizer = torch.optim.Adam(net.parameters())
    sum(each.sum() for each in net.parameters()).backward()
    optimizer.step()
    checkpoint = {"model": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    torch.save(checkpoint, FOLDER / "checkpoint.pt")
    compare(FOLDER / "checkpoint.pt", tensors_of(checkpoint))
    script = torch.jit.script(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)))
    script.save(str(FOLDER / "script.pt"))
    compare(FOLDER / "script.pt", script.state_dict())

    # Tied weights stay tied, and a model loads them.
    linear = torch.nn.Linear(3, 3, bias=False)
    tied = {"a.weight": linear.weight.detach(), "b.weight": linear.weight.detach()}
    torch.save(tied, FOLDER / "tied.pt")
    stet("convert", FOLDER / "tied.pt", FOLDER / "tied-back.pt")
    loaded = torch.load(FOLDER / "tied-back.pt", weights_only=True)
    assert loaded["a.weight"].data_ptr() == loaded["b.weight"].data_ptr()
    net.load_state_dict(torch.load(FOLDER / "state_dict-back.pt", weights_only=True))
    check_exported(net)
    check_patch(net)
    check_nothing_runs()
    print(f"{checked} passed, 0 failed")


main()
