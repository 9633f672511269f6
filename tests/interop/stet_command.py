# SPDX-License-Identifier: MIT
"""The `stet` command from Python: what it lists, and the bytes of each tensor, read where it says they lie."""
import json
import os
import pathlib
import struct
import subprocess

import numpy

# NumPy knows the narrow types only through this package.
import ml_dtypes  # noqa: F401


class Failure(Exception):
    pass


class Stet:
    """A model that the command opened. `stet` is the path of the command."""

    def __init__(self, stet, path):
        self.stet, self.path = stet, str(path)
        listing = json.loads(self.run("ls", "--json", self.path))
        self.format = listing["format"]
        self.tensors = {each["name"]: each for each in listing["tensors"]}

    def run(self, *arguments):
        return run(self.stet, *arguments)

    def names(self):
        return sorted(self.tensors)

    def stored_bytes(self, name):
        """The bytes of a tensor: from the file where they lie in place, else as `stet cat` gives them."""
        row = self.tensors[name]
        if not row["in_place"]:
            return self.run("cat", self.path, name)
        folder = self.path if os.path.isdir(self.path) else os.path.dirname(self.path)
        with open(os.path.join(folder, row["file"]), "rb") as file:
            file.seek(row["offset_bytes"])
            return file.read(row["size_bytes"])

    def strings(self, name):
        data, found = self.run("cat", self.path, name), []
        while data:
            size = struct.unpack_from("<Q", data)[0]
            found.append(data[8 : 8 + size])
            data = data[8 + size :]
        return found

    def array(self, name):
        row = self.tensors[name]
        return numpy.frombuffer(self.stored_bytes(name), numpy.dtype(row["dtype"])).reshape(row["shape"])


def run(stet, *arguments):
    """Runs the command; gives its output. What it complains of is a Failure."""
    done = subprocess.run([stet, *map(str, arguments)], capture_output=True)
    if done.returncode != 0:
        raise Failure(f"stet {' '.join(map(str, arguments))}: status {done.returncode}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


class Tally:
    """Counts checks, prints a line for each case, and ends the program."""

    def __init__(self):
        self.checks, self.failures = 0, 0

    def check(self, holds, what):
        self.checks += 1
        if not holds:
            self.failures += 1
            print(f"  FAILED: {what}", flush=True)
        return holds

    def case(self, title, body, *arguments):
        """Runs one case; an exception is a failure of it, not the end of the others."""
        before = self.checks, self.failures
        try:
            body(*arguments)
        except Exception as failure:  # whatever the case runs into
            self.check(False, f"{type(failure).__name__}: {failure}")
        failed = self.failures - before[1]
        print(f"{'ok  ' if failed == 0 else 'BAD '} {title}: {self.checks - before[0]} checks", flush=True)

    def finish(self):
        print(f"{self.checks} checks, {self.failures} failed")
        return 1 if self.failures else 0
