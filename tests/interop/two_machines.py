# SPDX-License-Identifier: MIT
"""Two machines on one: network namespaces, joined by a cable whose delay can be chosen and which can be pulled out."""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess


def run(*command):
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)


class TwoMachines:
    """Machines with an address each; programs run there by Open MPI's mpirun, which starts its helper on the other by a script."""

    def __init__(self, folder):
        self.names = [f"st{os.getpid()}{end}" for end in "ab"]
        self.network = "10.77.0.0/24"
        self.agent = pathlib.Path(folder) / "on_machine.sh"
        self.agent.write_text('#!/bin/sh\nhost=$1\nshift\nexec ip netns exec "$host" sh -c "$*"\n')
        self.agent.chmod(0o755)

    def connect(self):
        first, second = self.names
        for name in self.names:
            run("ip", "netns", "add", name)
        run("ip", "link", "add", "name", first, "netns", first, "type", "veth", "peer", "name", second, "netns", second)
        for number, name in enumerate(self.names):
            run("ip", "-n", name, "address", "add", f"10.77.0.{number + 1}/24", "dev", name)
            run("ip", "-n", name, "link", "set", name, "up")
            run("ip", "-n", name, "link", "set", "lo", "up")

    def end_programs(self):
        """Ends what runs on the machines."""
        for name in self.names:
            for process in subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)

    def disconnect(self):
        self.end_programs()
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)

    def set_delay(self, milliseconds):
        """@return whether the system can do that"""
        delay = ("root", "netem", "delay", f"{milliseconds}ms")
        return all(subprocess.run(["tc", "-n", name, "qdisc", "replace", "dev", name, *delay], capture_output=True).returncode == 0
                   for name in self.names)

    def pull_cable(self):
        run("ip", "-n", self.names[0], "link", "set", self.names[0], "down")

    def command(self, mpirun, ranks_each, *arguments):
        """The command that runs a program on both, with so many ranks on each."""
        # TCP is the only way between them, and to the helper.
        options = ["plm rsh", f"plm_rsh_agent {self.agent}", "btl tcp,self", "pml ob1", f"oob_tcp_if_include {self.network}",
                   f"btl_tcp_if_include {self.network}"]
        hosts = ",".join(f"{name}:{ranks_each}" for name in self.names)
        return ["ip", "netns", "exec", self.names[0], mpirun, *(word for each in options for word in ("--mca", *each.split(" ", 1))),
                "--oversubscribe", "-H", hosts, "-n", str(2 * ranks_each), *map(str, arguments)]


@contextlib.contextmanager
def two_machines(folder):
    """Two connected machines; None, aloud, where the system does not let this program have them."""
    if shutil.which("ip") is None or shutil.which("tc") is None:
        print("SKIPPED: there is no ip and tc for two machines", flush=True)
        yield None
        return
    made = TwoMachines(folder)
    try:
        try:
            made.connect()
        except subprocess.CalledProcessError as failed:
            print(f"SKIPPED: no two machines here: {failed.stderr.decode().strip()}", flush=True)
            yield None
            return
        yield made
    finally:
        made.disconnect()
