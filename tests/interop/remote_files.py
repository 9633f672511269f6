#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The command opens models at URLs of nginx, by http and https: the same tensors as from files, and of large ones only the table.

    remote_files.py STET FOLDER DIGITS_DATA     FOLDER is made anew; DIGITS_DATA is a native file

Skipped where there is no nginx, no openssl, or the command was built without libcurl.
"""
import json
import pathlib
import random
import shutil
import struct
import subprocess
import sys

import nginx
import remote_table

STET, FOLDER, DIGITS = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
SKIPPED = 77
checked = 0


def check(holds, what):
    global checked
    checked += 1
    if not holds:
        raise SystemExit(f"FAILED: {what}")


def run(*arguments):
    done = subprocess.run([STET, *map(str, arguments)], capture_output=True)
    return done.returncode, done.stdout, done.stderr.decode()


def stet(*arguments):
    status, out, complaint = run(*arguments)
    check(status == 0, f"{arguments}: {complaint}")
    return out


def refused(*arguments):
    status, _, complaint = run(*arguments)
    check(status == 1, f"{arguments}: status {status}: {complaint}")
    return complaint


def write_safetensors(path, sizes, fill):
    """A file with a tensor of random bytes for each size."""
    rows, at = {}, 0
    for number, size in enumerate(sizes):
        rows[f"layers.{number}.weight"] = {"dtype": "U8", "shape": [size], "data_offsets": [at, at + size]}
        at += size
    header = json.dumps(rows).encode()
    header += b" " * (-len(header) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for size in sizes:
            file.write(fill.randbytes(size))


def listed(path, *options):
    """What the command lists of a model, but for where the bytes are."""
    listing = json.loads(stet("ls", "--json", *options, path))
    for row in listing["tensors"]:
        for field in ("in_place", "offset_bytes", "file"):
            row.pop(field, None)
    return listing


def certificate(folder):
    """An authority, and a certificate of localhost by it."""
    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    ca, ca_key, key, request = (folder / name for name in ("ca.pem", "ca.key", "server.key", "server.csr"))
    made, extensions = folder / "server.pem", folder / "extensions"
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *new_key, "-keyout", ca_key, "-out", ca, "-days", "2", "-subj", "/CN=stet test authority",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
    openssl("req", *new_key, "-keyout", key, "-out", request, "-subj", "/CN=localhost")
    extensions.write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-out", made, "-days", "2", "-extfile", extensions)
    return ca, made, key


def same_from_there(server, ca, files):
    for name in files:
        here, local = FOLDER / "www" / name, listed(FOLDER / "www" / name)
        for url, options in ((server.url(name), ()), (server.secure_url(name), ("--ca-file", ca))):
            check(listed(url, *options) == local, f"{url} lists what {here} does not, or the other way round")
            for row in random.Random(name).sample(local["tensors"], min(3, len(local["tensors"]))):
                check(stet("cat", *options, url, row["name"]) == stet("cat", here, row["name"]), f"{url}: {row['name']} differs")
        check(stet("verify", server.url(name)).startswith(b"structure  ok"), f"{name} is not verified")
        stet("convert", server.url(name), FOLDER / "from_there.stet")
        stet("convert", here, FOLDER / "from_here.stet")
        check((FOLDER / "from_there.stet").read_bytes() == (FOLDER / "from_here.stet").read_bytes(), f"{name} is converted otherwise")


def large_file(server):
    """Of 2 GiB, the table is fetched alone."""
    remote_table.write_sparse_safetensors(FOLDER / "www" / "large.safetensors", 256, 2 << 30)
    server.forget()
    out = stet("ls", server.url("large.safetensors"))
    check(b"256 tensors" in out, "the large file is not listed")
    requests = server.requests()
    check(len(requests) <= 3 and all(status == 206 for status, _ in requests), f"the large file took {requests}")
    check(sum(size for _, size in requests) < 200_000, f"the large file took {requests}")
    print(f"ls of 2 GiB: {len(requests)} requests, {sum(size for _, size in requests)} bytes")
    server.forget()
    check(stet("cat", server.url("large.safetensors"), "model.layers.200.mlp.down_proj.weight") == bytes((2 << 30) // 256), "a tensor of the large file differs")
    check(sum(size for _, size in server.requests()) < 12 << 20, f"a tensor took {server.requests()}")


def refusals(server, ca):
    check("no such file" in refused("ls", server.url("none.stet")), "a file that is not there")
    check("may not be accessed" in refused("ls", server.url("closed/small.safetensors")), "a closed file")
    check("certificate" in refused("ls", server.secure_url("small.safetensors")), "a certificate that is not trusted")
    check("127.0.0.1" in refused("ls", "--ca-file", ca, server.secure_url("small.safetensors", "127.0.0.1")), "a certificate of another host")
    check("redirect to http" in refused("ls", "--ca-file", ca, server.secure_url("plain/small.safetensors")), "from https to http")
    check("whole files only" in refused("ls", server.url("no_ranges/large.safetensors")), "a server without ranges")
    check("status 503" in refused("ls", server.url("later/small.safetensors")), "a server that cannot")
    stet("ls", server.url("no_ranges/tiny.safetensors"))
    check(listed(server.url("moved/small.safetensors")) == listed(FOLDER / "www" / "small.safetensors"), "a redirect leads elsewhere")


def main():
    for tool in ("nginx", "openssl"):
        if (nginx.find() if tool == "nginx" else shutil.which(tool)) is None:
            print(f"SKIPPED: there is no {tool}")
            sys.exit(SKIPPED)
    if "without libcurl" in run("ls", "http://127.0.0.1:1/")[2]:
        print("SKIPPED: the command was built without libcurl")
        sys.exit(SKIPPED)
    shutil.rmtree(FOLDER, ignore_errors=True)
    www = FOLDER / "www"
    www.mkdir(parents=True)
    write_safetensors(www / "small.safetensors", [1 << 20, 12, 300_000, 0, 77_777], random.Random(1))
    write_safetensors(www / "tiny.safetensors", [16, 12], random.Random(2))
    shutil.copy(DIGITS, www / "digits.stet")
    for name, options in (("small.stet", ()), ("small.npz", ()), ("parts.stet", ("--shard-size", "500kB")),
                          ("shards.safetensors.index.json", ("--shard-size", "500kB"))):
        stet("convert", www / "small.safetensors", www / name, *options)
    stet("convert", www / "small.safetensors", www / "small.pt")
    ca, made, key = certificate(FOLDER)
    with nginx.Nginx(www, FOLDER / "nginx", made.resolve(), key.resolve()) as server:
        same_from_there(server, ca, ["small.safetensors", "tiny.safetensors", "digits.stet", "small.stet", "small.npz", "parts.stet",
                                     "shards.safetensors.index.json", "small.pt"])
        check(stet("manifest", server.url("digits.stet")) == stet("manifest", www / "digits.stet"), "another manifest")
        large_file(server)
        refusals(server, ca)
    (www / "large.safetensors").unlink()
    print(f"{checked} passed, 0 failed")


main()
