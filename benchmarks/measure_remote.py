#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Files at URLs: nginx on this machine, directly and behind a delay of 10 ms each way.

    measure_remote.py STET MEASURE_REMOTE [ROUNDS]     default: 5 rounds; exits with 1 when a goal is missed

1. `stet ls` of a sparse safetensors file of 2 GiB: the time of the whole command, requests and bytes, with the delay.
2. 256 MiB by 8 connections: MEASURE_REMOTE beside `curl --parallel` with 8 ranges, whole processes in turns. The medians count. What is
   streamed goes through memory that is used again, curl's to /dev/null; what is kept goes to fresh memory, curl's to files: set
   STET_BENCHMARK_DIR to a folder in memory.

The delay is that of a proxy in this script, which holds back what passes, because not every kernel has netem. It accepts connections at
once, so that a connection costs no round trip by itself. With the delay, the rates are those of the proxy.
"""
import asyncio
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "interop"))
import nginx  # noqa: E402
import remote_table  # noqa: E402

CONNECTIONS, SIZE, DELAY = 8, 256 << 20, 0.010


class DelayingProxy:
    """Passes bytes on to a port of this machine, each after DELAY."""

    def __init__(self, to_port):
        self.to_port = to_port
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()

        async def start():
            self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, limit=1 << 20)
            self.port = self.server.sockets[0].getsockname()[1]
            ready.set()

        def run():
            self.loop.create_task(start())
            self.loop.run_forever()

        threading.Thread(target=run, daemon=True).start()
        ready.wait()

    async def serve(self, reader, writer):
        there = await asyncio.open_connection("127.0.0.1", self.to_port, limit=1 << 20)
        await asyncio.gather(self.pass_on(reader, there[1]), self.pass_on(there[0], writer), return_exceptions=True)

    async def pass_on(self, reader, writer):
        queue = asyncio.Queue()

        async def send():
            while True:
                due, data = await queue.get()
                left = due - self.loop.time()
                if left > 0:
                    await asyncio.sleep(left)
                if not data:
                    break
                writer.write(data)
                await writer.drain()
            writer.close()

        sender = self.loop.create_task(send())
        while True:
            data = await reader.read(1 << 18)
            queue.put_nowait((self.loop.time() + DELAY, data))
            if not data:
                break
        await sender


def seconds_of(*command):
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin


def curl_command(url, folder):
    """Each range into a file in `folder`, or where that is None, to nowhere."""
    command = ["curl", "--silent", "--fail", "--parallel", "--parallel-max", str(CONNECTIONS)]
    piece = SIZE // CONNECTIONS
    for number in range(CONNECTIONS):
        command += (["--next", "--silent", "--fail"] if number else []) + ["--range", f"{number * piece}-{(number + 1) * piece - 1}",
                                                                           "--output", f"{folder}/{number}" if folder else "/dev/null", url]
    return command


def main():
    stet, measure = sys.argv[1], sys.argv[2]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    if nginx.find() is None or shutil.which("curl") is None:
        print("SKIPPED: there is no nginx, or no curl")
        sys.exit(77)
    met = True

    def report(text, value, goal, holds):
        nonlocal met
        met = met and holds
        print(f"{text}: {value} (goal: {goal}{'' if holds else ', MISSED'})", flush=True)

    with tempfile.TemporaryDirectory(dir=os.environ.get("STET_BENCHMARK_DIR")) as folder:
        www = pathlib.Path(folder) / "www"
        www.mkdir()
        remote_table.write_sparse_safetensors(www / "large.safetensors", 300, 2 << 30)
        with open(www / "bytes", "wb") as file:
            for _ in range(SIZE >> 20):
                file.write(os.urandom(1 << 20))
        with nginx.Nginx(www, pathlib.Path(folder) / "nginx") as server:
            proxy = DelayingProxy(server.port)
            delayed = lambda name: f"http://127.0.0.1:{proxy.port}/{name}"  # noqa: E731
            seconds_of(stet, "ls", delayed("large.safetensors"))
            times = []
            for _ in range(rounds):
                server.forget()
                times.append(seconds_of(stet, "ls", delayed("large.safetensors")))
                requests = server.requests()
            size = sum(each for _, each in requests)
            report("stet ls of 2 GiB, 20 ms for a round trip: requests", len(requests), "<= 3", len(requests) <= 3)
            report("... bytes", size, "< 200,000", size < 200_000)
            print(f"... the command: {statistics.median(times) * 1e3:.1f} ms, without delay "
                  f"{statistics.median(seconds_of(stet, 'ls', server.url('large.safetensors')) for _ in range(rounds)) * 1e3:.1f} ms")
            for name, url in (("directly", server.url("bytes")), ("with the delay", delayed("bytes"))):
                for mode, kept in (("stream", None), ("split", folder)):
                    ours, theirs = [], []
                    for _ in range(rounds):
                        ours.append(seconds_of(measure, url, str(CONNECTIONS), mode))
                        theirs.append(seconds_of(*curl_command(url, kept)))
                    us, them = statistics.median(ours), statistics.median(theirs)
                    report(f"256 MiB {name}, {CONNECTIONS} connections, {mode}: stet {us * 1e3:.0f} ms, curl {them * 1e3:.0f} ms, of its rate",
                           f"{them / us:.2f}", ">= 0.9", them / us >= 0.9)
    sys.exit(0 if met else 1)


main()
