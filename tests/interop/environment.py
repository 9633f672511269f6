#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a script with packages from PyPI that it needs, in a virtual environment that is made once.

    environment.py FOLDER "PACKAGE ... [--no-deps PACKAGE ...]" SCRIPT [ARGUMENT ...]

What comes behind --no-deps is installed without what it asks for: tf-keras wants all of tensorflow, for which tensorflow-cpu will do.
Ends as the script ends; with 77, which CTest counts as skipped, where the packages cannot be had.
"""
import os
import pathlib
import subprocess
import sys

SKIPPED = 77


def skip(reason):
    print(f"SKIPPED: {reason}", flush=True)
    sys.exit(SKIPPED)


def main():
    folder, packages, script, *arguments = sys.argv[1:]
    folder = pathlib.Path(folder)
    python = folder / "bin" / "python"
    stamp = folder / "installed"  # a line for each list of packages: scripts share a folder
    if not stamp.exists() or packages not in stamp.read_text().splitlines():
        if subprocess.run([sys.executable, "-m", "venv", str(folder)]).returncode != 0:
            skip("python3 has no venv here")
        whole, _, alone = packages.partition("--no-deps")
        for options in (whole.split(), ["--no-deps", *alone.split()] if alone else []):
            install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *options]
            if options and subprocess.run(install).returncode != 0:
                skip(f"{packages} cannot be installed")
        with stamp.open("a") as lines:
            lines.write(packages + "\n")
    quiet = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="", TF_ENABLE_ONEDNN_OPTS="0")
    sys.exit(subprocess.run([str(python), script, *arguments], env=quiet).returncode)


if __name__ == "__main__":
    main()
