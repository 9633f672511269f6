#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a script of Node.js with packages from npm that it needs, in a folder where they are installed once.

    node_environment.py FOLDER "PACKAGE PACKAGE ..." SCRIPT [ARGUMENT ...]

Ends as the script ends; with 77, which CTest counts as skipped, where Node.js or the packages cannot be had.
"""
import os
import pathlib
import shutil
import subprocess
import sys

SKIPPED = 77


def skip(reason):
    print(f"SKIPPED: {reason}", flush=True)
    sys.exit(SKIPPED)


def main():
    folder, packages, script, *arguments = sys.argv[1:]
    folder = pathlib.Path(folder).resolve()
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        skip("there is no Node.js here")
    stamp = folder / "installed"
    if not stamp.exists() or stamp.read_text() != packages:
        folder.mkdir(parents=True, exist_ok=True)
        install = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *packages.split()]
        if subprocess.run(install).returncode != 0:
            skip(f"{packages} cannot be installed")
        stamp.write_text(packages)
    # Modules are looked for from the script's own folder on, which is in the source tree.
    environment = dict(os.environ, NODE_PATH=str(folder / "node_modules"))
    sys.exit(subprocess.run([node, script, *arguments], env=environment).returncode)


if __name__ == "__main__":
    main()
