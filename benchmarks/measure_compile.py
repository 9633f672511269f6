#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What including stet.hpp costs the compiler, and how much code opening a store and finding a tensor makes.

    measure_compile.py [COMPILER] [ROUNDS]     defaults: g++ 25; 0 rounds: the code alone, also by a GCC for another machine;
                                               exits with 1 when a goal is missed

Times are user times of the compiler with -O0. The contenders take turns; the least of all rounds counts, since whatever else
the machine does only ever adds. Code is what a linked program holds more than an empty one (the sections that `size` calls
text: code, constants, tables for unwinding), and of that the code alone.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

INCLUDE = pathlib.Path(__file__).resolve().parent.parent / "include"
STANDARD = "#include <span>\n#include <string_view>\n#include <cstdint>\n"
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


def section_sizes(compiler, program):
    """Sizes of sections by name, as `size -A` prints them."""
    size = re.sub(r"(?<![^-/])(g\+\+|clang\+\+).*", "size", compiler)
    lines = subprocess.run([size, "-A", program], check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [line.split() for line in lines]
    return {row[0]: int(row[1]) for row in rows if len(row) == 3 and row[0].startswith(".")}


def main():
    compiler = sys.argv[1] if len(sys.argv) > 1 else "g++"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 25
    met = True
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)

        sources = {"standard": STANDARD, "stet": "#include <stet/stet.hpp>\n", "json": "#include <nlohmann/json.hpp>\n"}
        least = {}
        for name, text in sources.items():
            (folder / f"{name}.cpp").write_text(text)
        for turn in range(rounds):
            for name in sources:
                if name == "json" and turn >= 2:  # only to compare with
                    continue
                command = [compiler, "-std=c++20", "-O0", f"-I{INCLUDE}", "-c", str(folder / f"{name}.cpp"), "-o", os.devnull]
                least[name] = min(least.get(name, 1e9), user_seconds(command))
        if rounds > 0:
            ratio = least["stet"] / least["standard"]
            met = met and ratio <= 2
            print(f"including, {compiler} -O0, user time, least of {rounds}")
            print(f"  <span> <string_view> <cstdint>  {least['standard']:.3f} s")
            print(f"  <stet/stet.hpp>                 {least['stet']:.3f} s, {ratio:.2f} times (<= 2{'' if ratio <= 2 else ', MISSED'})")
            print(f"  <nlohmann/json.hpp>             {least['json']:.3f} s")

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
