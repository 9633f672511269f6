#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Pickles that run code in Python run nothing in stet: it starts no process, opens no socket, and touches no file but the one it is given.

    hostile_pickles.py STET FOLDER     FOLDER is made anew

Called are all names that the scanners picklescan and fickling know as dangerous, by each opcode that calls; and fickling's own injections.
Each is in the forms of torch.save and torch.export. With strace, the system calls of opening it are compared with those of opening a sound
file and a damaged one; without it, only what the payload would do is looked for, and the test says so.
"""
import io
import os
import pathlib
import pickle
import re
import shutil
import struct
import subprocess
import sys
import zipfile

from fickling.fickle import UNSAFE_IMPORTS, Pickled
from picklescan import scanner

STET, FOLDER = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).absolute()
MARKER = FOLDER / "STET_HOSTILE_RAN"
COMMANDS = ("ls", "doctor")
CHILD = re.compile(r"^(clone|clone3|fork|vfork|socket|socketpair|connect|bind|listen|accept4?|send\w*|recv\w*)\(")


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def lines(module, name):
    return f"{module}\n{name}\n".encode()


def calls_of(module, name):
    """The opcodes that call a name with the payload, in each way that pickles have."""
    payload, name_of, stacked = text(f"echo > {MARKER}"), b"c" + lines(module, name), text(module) + text(name) + b"\x93"
    return {
        "reduce": name_of + payload + b"\x85R",
        "stack_global": stacked + payload + b"\x85R",
        "inst": b"(" + payload + b"i" + lines(module, name),
        "obj": b"(" + name_of + payload + b"o",
        "newobj": name_of + payload + b"\x85\x81",
        "newobj_ex": name_of + payload + b"\x85}\x92",
        "build": name_of + payload + b"\x85R}" + text("x") + payload + b"sb",
        "within": b"cm\nf\n(](" + name_of + payload + b"\x85RetR",
    }


TENSOR = (b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") +
          b"K\x02tQK\x00K\x02\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR")
ELEMENTS = struct.pack("<2f", 1, 2)


def pickled(call, protocol=4):
    """A dict with a tensor, and a call."""
    return b"\x80" + bytes([protocol]) + b"}(" + text("w") + TENSOR + text("x") + call + b"u."


def zip_of(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def saved(data):
    return zip_of([("m/data.pkl", data), ("m/data/0", ELEMENTS), ("m/version", "3\n")])


def legacy(data):
    return (b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}" + text("little_endian") + b"\x88s." + data +
            b"\x80\x02](" + text("0") + b"e." + struct.pack("<Q", 2) + ELEMENTS)


def exported(data):
    return zip_of([("serialized_exported_program.json", "{}"), ("serialized_state_dict.pt", saved(data)), ("version", "5.1")])


FORMS = {".pt": saved, ".pth": legacy, ".pt2": exported}


def dangerous_names():
    """Every name that one of the scanners knows; of a module that is dangerous as a whole, its common functions."""
    made = set()
    for module, names in scanner._unsafe_globals.items():
        names = ["system", "run", "open"] if names == "*" else [names] if isinstance(names, str) else names
        made |= {(module, name) for name in names}
    made |= {(module, "system") for module in UNSAFE_IMPORTS}
    return sorted(made)


def injected():
    """A sound pickle into which fickling injects code, by each of its functions."""
    code = f"__import__('os').system('echo > {MARKER}')"
    for protocol in (2, 3, 4):
        for first in (True, False):
            for as_result in (True, False):
                options = {"run_first": first, "use_output_as_unpickle_result": as_result}
                for name, inject in {
                    "exec": lambda to: to.insert_python_exec(code, **options),
                    "eval": lambda to: to.insert_python_eval(code, **options),
                    "system": lambda to: to.insert_python(f"echo > {MARKER}", module="os", attr="system", **options),
                }.items():
                    into = Pickled.load(io.BytesIO(pickled(b"N", protocol)))
                    inject(into)
                    yield f"fickling_{name}_{protocol}_{first}_{as_result}", into.dumps()
    into = Pickled.load(io.BytesIO(pickled(b"N", 2)))
    into.insert_function_call_on_unpickled_object(f"def f(x):\n    {code}\n    return x\n")
    yield "fickling_function", into.dumps()


def run(verb, path):
    """Runs the command. Gives its status and its system calls, or None without strace."""
    log = FOLDER / "strace.log"
    traced = [STRACE, "-f", "-qq", "-o", log, "-e", "trace=%process,%network,%file"] if STRACE else []
    done = subprocess.run([*traced, STET, verb, path], capture_output=True, cwd=FOLDER, stdin=subprocess.DEVNULL)
    if not STRACE:
        return done.returncode, None
    calls = set()
    for line in log.read_text(errors="replace").splitlines():
        call = re.sub(r"^\d+ +", "", line).split(" = ")[0].rstrip()
        calls.add(re.sub(r"0x[0-9a-f]+|st_size=\d+", "NUMBER", call))
    return done.returncode, calls


def find_strace():
    found = shutil.which("strace")
    works = found and subprocess.run([found, "-f", "-qq", "-o", os.devnull, "-e", "trace=%process", "true"], capture_output=True).returncode == 0
    return found if works else None


shutil.rmtree(FOLDER, ignore_errors=True)
FOLDER.mkdir(parents=True)
STRACE = find_strace()

# The attacks are ones: Python runs them.
for way, call in calls_of("os", "system").items():
    if way in ("reduce", "stack_global", "inst", "obj"):
        pickle.loads(b"\x80\x04" + call + b".")
        assert MARKER.exists(), way
        MARKER.unlink()

# What opening a sound file and a damaged one calls. All files have the same name.
usual = {verb: set() for verb in COMMANDS}
for ending, form in FORMS.items():
    path = FOLDER / ("file" + ending)
    whole = form(pickled(b"N"))
    for data, good in ((whole, True), (whole[: len(whole) // 2], False), (form(pickled(b"\xff")), False)):
        path.write_bytes(data)
        for verb in COMMANDS:
            status, calls = run(verb, path)
            assert (status == 0) == good, (verb, path, status)
            usual[verb] |= calls or set()
for verb in COMMANDS:
    assert not [call for call in usual[verb] if CHILD.match(call)], usual[verb]
    assert not STRACE or any(call.startswith("execve(") for call in usual[verb])

attacks = []
ways = list(calls_of("os", "system"))
for number, (module, name) in enumerate(dangerous_names()):
    way = ways[number % len(ways)]
    attacks.append((f"{module}.{name}.{way}", pickled(calls_of(module, name)[way])))
for module, name in (("os", "system"), ("posix", "system"), ("builtins", "eval"), ("builtins", "exec"), ("subprocess", "Popen"), ("socket", "create_connection")):
    attacks += [(f"{module}.{name}.{way}", pickled(call)) for way, call in calls_of(module, name).items()]
attacks += injected()

refused = opened = 0
for number, (name, data) in enumerate(attacks):
    # In turn, where there are many.
    endings = list(FORMS) if "fickling" in name or name.startswith("os.system") else [list(FORMS)[number % len(FORMS)]]
    for ending in endings:
        path = FOLDER / ("file" + ending)
        path.write_bytes(FORMS[ending](data))
        for verb in COMMANDS:
            status, calls = run(verb, path)
            assert status in (0, 1), (verb, name, status)
            strange = sorted((calls or set()) - usual[verb])
            assert not strange, (verb, name, strange)
            assert not MARKER.exists(), (verb, name)
        refused, opened = refused + (status == 1), opened + (status == 0)
assert refused > opened, (refused, opened)
how = "system calls compared" if STRACE else "without strace: only looked for what the payloads do"
print(f"{len(attacks)} attacks: {refused} files refused, {opened} opened without the call ({how})")
print(f"{refused + opened} passed, 0 failed")
