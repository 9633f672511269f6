#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What including stet's headers costs the compiler, and how much code opening a store and finding a tensor makes.

    measure_compile.py [COMPILER] [ROUNDS] [--instructions]     defaults: g++ 25; 0 rounds: the code alone, also by a GCC for
                                                                another machine; exits with 1 when a goal is missed

Each contender is a file that holds nothing but its #include lines. Times are user times of the compiler with -O0 -c. The
contenders take turns; the least of all rounds counts, since whatever else the machine does only ever adds. A cost is a ratio
of two such times: to <nlohmann/json.hpp> alone, and for stet.hpp to its three standard headers. Headers of formats take
seconds each and have at most five rounds. --instructions counts under valgrind what the compiler executes instead, once for
each header: slow, and the same on a busy machine. Code is what a linked program holds more than an empty one (the sections that
`size` calls text: code, constants, tables for unwinding), and of that the code alone.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

INCLUDE = pathlib.Path(__file__).resolve().parent.parent / "include"
STANDARD = "<span> <string_view> <cstdint>"
JSON = "<nlohmann/json.hpp>"
# A header, what its cost is relative to, and the largest ratio that is wanted; None: only to compare with.
HEADERS = [
    (STANDARD, None, None),
    (JSON, None, None),
    ("<stet/stet.hpp>", STANDARD, 2),
    ("<stet/manifest.hpp>", JSON, None),
    ("<stet/restore.hpp>", JSON, 0.3),
    ("<stet/writer.hpp>", JSON, 0.4),
    ("<stet/checkpoint.hpp>", JSON, 0.8),
    ("<stet/formats/hdf5/open.hpp>", JSON, 1.5),
    ("<stet/formats/keras/open.hpp>", JSON, 1.5),
    ("<stet/formats/keras/save.hpp>", JSON, 1.5),
    ("<stet/formats/tensorflow/open.hpp>", JSON, 1.5),
    ("<stet/formats/tensorflow/save.hpp>", JSON, 1.5),
    ("<stet/formats/tfjs/open.hpp>", JSON, 1.5),
    ("<stet/formats/tfjs/save.hpp>", JSON, 1.5),
    ("<stet/formats/any.hpp>", JSON, 2),
]
EMPTY = "int main(int, char** arguments) { return arguments[0][0]; }\n"
OPEN_AND_FIND = """#include <stet/stet.hpp>
int main(int, char** arguments) {
  const auto store = stet::open(arguments[1]);
  if (!store) return 1;
  const auto kernel = store->find(arguments[2]);
  return kernel ? static_cast<int>(kernel->size_bytes()) : 2;
}
"""


def user_seconds(command):
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit("failed: " + " ".join(command))
    return usage.ru_utime


def instructions(command):
    """Millions of instructions of the command and what it starts."""
    counting = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", "--trace-children=yes"]
    lines = subprocess.run(counting + command, check=True, capture_output=True, text=True).stderr
    return sum(int(count.replace(",", "")) for count in re.findall(r"I\s+refs:\s+([\d,]+)", lines)) / 1e6


def include_costs(compiler, rounds, folder, measure, unit):
    """Measures each of HEADERS and prints its cost. Returns whether all goals are met."""
    commands = {}
    for number, (header, _, _) in enumerate(HEADERS):
        source = folder / f"header{number}.cpp"
        source.write_text("".join(f"#include {each}\n" for each in header.split()))
        commands[header] = [compiler, "-std=c++20", "-O0", f"-I{INCLUDE}", "-c", str(source), "-o", os.devnull]
    least = {}
    for turn in range(rounds):
        for header, command in commands.items():
            if turn < 5 or "formats/" not in header:
                least[header] = min(least.get(header, 1e9), measure(command))
    met = True
    for header, base, most in HEADERS:
        ratio = f", {least[header] / least[base]:.2f} times {base}" if base else ""
        goal = ""
        if most:
            is_met = least[header] <= most * least[base]
            met = met and is_met
            goal = f" (<= {most}{'' if is_met else ', MISSED'})"
        print(f"  {header:35} {least[header]:8.3f} {unit}{ratio}{goal}", flush=True)
    return met


def section_sizes(compiler, program):
    """Sizes of sections by name, as `size -A` prints them."""
    size = re.sub(r"(?<![^-/])(g\+\+|clang\+\+).*", "size", compiler)
    lines = subprocess.run([size, "-A", program], check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [line.split() for line in lines]
    return {row[0]: int(row[1]) for row in rows if len(row) == 3 and row[0].startswith(".")}


def main():
    words = [word for word in sys.argv[1:] if word != "--instructions"]
    compiler = words[0] if words else "g++"
    rounds = int(words[1]) if len(words) > 1 else 25
    met = True
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)

        if "--instructions" in sys.argv:
            print(f"including, {compiler} -O0, instructions")
            met = include_costs(compiler, 1, folder, instructions, "M")
        elif rounds > 0:
            print(f"including, {compiler} -O0, user time, least of {rounds}")
            met = include_costs(compiler, rounds, folder, user_seconds, "s")

        print("code of open + find, -Os, linked")
        options = {"": [], "without exceptions and RTTI": ["-fno-exceptions", "-fno-rtti"], "STET_SMALL_CODE=1": ["-DSTET_SMALL_CODE=1"]}
        for kind, more in options.items():
            sizes = {}
            for name, text in {"empty": EMPTY, "stet": OPEN_AND_FIND}.items():
                (folder / f"{name}.cpp").write_text(text)
                subprocess.run([compiler, "-std=c++20", "-Os", *more, f"-I{INCLUDE}", "-ffunction-sections", "-fdata-sections",
                                "-Wl,--gc-sections", str(folder / f"{name}.cpp"), "-o", str(folder / f"{name}.exe")], check=True)
                sizes[name] = section_sizes(compiler, folder / f"{name}.exe")
            code = sizes["stet"][".text"] - sizes["empty"][".text"]
            constants = [".rodata", ".rdata", ".pdata", ".xdata", ".ARM.extab", ".ARM.exidx", ".eh_frame", ".eh_frame_hdr", ".gcc_except_table", ".data.rel.ro"]
            rest = sum(sizes["stet"].get(s, 0) - sizes["empty"].get(s, 0) for s in constants)
            met = met and code < 16384
            missed = "" if code < 16384 else ", MISSED"
            print(f"  {code} bytes (< 16384{missed}), constants and tables {rest} bytes{', ' + kind if kind else ''}")
    sys.exit(0 if met else 1)


main()
