#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A library that computes takes tensors in place: the test of its adapter, and the example that serves the digits network, are compiled
with the library and run.

    runtimes.py STET FOLDER NAME DIGITS FORMATS [INCLUDE ...]

NAME is a row of RUNTIMES: include/stet/ext/NAME.hpp, tests/ext/NAME_test.cpp, examples/runtimes/serve_NAME.cpp where there is one. DIGITS is
the demo's program, which trains the model that is served; FORMATS is the library of compiled.hpp; INCLUDE are folders with the headers of
doctest and nlohmann/json where the compiler does not find them. The compiler is CXX's, or c++. Ends with 77 where the library cannot be had.
"""
import ctypes.util
import dataclasses
import fnmatch
import importlib.util
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tarfile
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wundef", "-Wold-style-cast", "-Werror"]


def skip(reason):
    print(f"SKIPPED: {reason}", flush=True)
    sys.exit(SKIPPED)


# ---- where a library is ----

@dataclasses.dataclass
class Library:
    """What a program that uses it is compiled and linked with."""
    includes: list
    libraries: list  # paths, and options of the linker
    defines: list = dataclasses.field(default_factory=list)

    def compile_options(self):
        return [*(f"-isystem{each}" for each in self.includes), *(f"-D{each}" for each in self.defines)]

    def link_options(self):
        folders = {str(pathlib.Path(each).parent) for each in self.libraries if not str(each).startswith("-")}
        # Some register what they have when they are loaded, and nothing in the program names them.
        return ["-Wl,--no-as-needed", *map(str, self.libraries), *(f"-Wl,-rpath,{each},-rpath-link,{each}" for each in sorted(folders))]


def wheel(package, includes, libraries, defines=()):
    """A package of Python that holds headers and libraries: folders in it, and patterns of the libraries' paths."""
    def find():
        found = importlib.util.find_spec(package)
        if found is None:
            skip(f"{sys.executable} has no package {package}")
        folder = pathlib.Path(next(iter(found.submodule_search_locations)))
        paths = []
        for pattern in libraries:
            matches = sorted(folder.glob(pattern))
            if len(matches) != 1:
                skip(f"the package {package} has not one library {pattern}")
            paths += matches
        return Library([folder / each for each in includes], paths, list(defines))
    return find


def pkg_config(*modules):
    """Packages of the system that pkg-config knows."""
    def find():
        try:
            done = subprocess.run(["pkg-config", "--cflags", "--libs", *modules], capture_output=True, text=True)
        except OSError:
            skip("there is no pkg-config")
        if done.returncode != 0:
            skip(f"pkg-config knows no {' '.join(modules)}")
        options = shlex.split(done.stdout)
        return Library([each[2:] for each in options if each.startswith("-I")], [each for each in options if each[:2] in ("-L", "-l")],
                       [each[2:] for each in options if each.startswith("-D")])
    return find


def system(header, folder, *libraries):
    """A package of the system that pkg-config does not know: the folder that holds `header`, and names of libraries."""
    def find():
        if not (pathlib.Path(folder) / header).exists() or not all(map(ctypes.util.find_library, libraries)):
            skip(f"the system has no {header} in {folder}, with {' '.join(libraries)}")
        return Library([folder], [f"-l{each}" for each in libraries])
    return find


def fetched(*command):
    """Runs a client of a package registry in a folder of the environment. @return the folder"""
    folder = pathlib.Path(sys.prefix) / "fetched"
    folder.mkdir(exist_ok=True)
    stamp = folder / "fetched"
    if not stamp.exists() or stamp.read_text() != " ".join(command):
        try:
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            skip(f"this cannot be fetched: {' '.join(command)}")
        stamp.write_text(" ".join(command))
    return folder


def unpacked(folder, archive, inside, wanted):
    """Unpacks what matches `inside`, a pattern, of an archive in `folder`. @return the one path there that matches `wanted`"""
    found = list(folder.glob(wanted))
    if not found:
        with tarfile.open(next(folder.glob(archive))) as tar:
            safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # since 3.11.4
            tar.extractall(folder, [each for each in tar.getmembers() if fnmatch.fnmatch(each.name, inside)], **safely)
        found = list(folder.glob(wanted))
    if len(found) != 1:
        skip(f"there is not one {wanted} in {archive}")
    return found[0]


def ggml():
    """ggml of the source distribution of llama-cpp-python, built for any processor of the kind; with its assertions."""
    folder = fetched(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "--no-build-isolation",
                     "llama-cpp-python==0.3.36")
    source = unpacked(folder, "llama_cpp_python-*.tar.gz", "*/vendor/llama.cpp/ggml/*", "*/vendor/llama.cpp/ggml")
    (source / "ggml.pc.in").touch()  # which the distribution lacks
    off = ["BUILD_SHARED_LIBS", "GGML_NATIVE", "GGML_SSE42", "GGML_AVX", "GGML_AVX2", "GGML_BMI2", "GGML_FMA", "GGML_F16C", "GGML_LLAMAFILE",
           "GGML_OPENMP", "GGML_CPU_REPACK", "GGML_BUILD_TESTS", "GGML_BUILD_EXAMPLES"]
    build = folder / "build"
    quietly = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run(["cmake", "-S", source, "-B", build, "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS_DEBUG=-O1 -w",
                    "-DCMAKE_CXX_FLAGS_DEBUG=-O0 -w", *(f"-D{each}=OFF" for each in off)], **quietly)
    subprocess.run(["cmake", "--build", build, "--target", "ggml"], **quietly)
    # The test has a buffer of a type of its own, whose declaration is ggml's own.
    libraries = [build / "src" / f"lib{each}.a" for each in ("ggml", "ggml-cpu", "ggml-base")]
    return Library([source / "include", source / "src"], [*libraries, "-ldl"])


def onnxruntime():
    """The library of the wheel, with headers that an npm package for Unity has: the wheel has none. They are of an earlier release, whose
    functions the library has, too."""
    library = wheel("onnxruntime", ["capi"], ["capi/libonnxruntime.so.*"])().libraries[0]
    folder = fetched("npm", "pack", "--silent", "com.github.asus4.onnxruntime@0.4.9")
    headers = unpacked(folder, "com.github.asus4.onnxruntime-*.tgz", "*/ios-arm64/onnxruntime.framework/Headers/*",
                       "package/Plugins/*/*/ios-arm64/onnxruntime.framework/Headers")
    name = folder / "libonnxruntime.so.1"  # as it calls itself
    name.unlink(missing_ok=True)
    name.symlink_to(library)
    return Library([headers], [name])


def torch():
    """Debian's libtorch-dev."""
    compiler = subprocess.run([*shlex.split(os.environ.get("CXX", "c++")), "--version"], capture_output=True, text=True)
    if "clang" in compiler.stdout:
        skip("the headers of LibTorch 1.13 are no C++20 to Clang")
    return system("torch/torch.h", "/usr/include/torch/csrc/api/include", "torch", "torch_cpu", "c10")()


# NAME: what finds the library.
RUNTIMES = {
    "ggml": ggml,
    "onnxruntime": onnxruntime,
    "tensorflow": wheel("tensorflow", ["include"], ["libtensorflow_cc.so.*", "libtensorflow_framework.so.*"]),
    "torch": torch,
    "openvino": wheel("openvino", ["include"], ["libs/libopenvino.so.*"]),
    # The definitions are those of its CMake package.
    "executorch": wheel("executorch", ["include", "include/executorch/runtime/core/portable_type/c10"],
                        ["lib/libexecutorch.so", "lib/libexecutorch_kernels_optimized.so"],
                        ["C10_USING_CUSTOM_GENERATED_MACROS", "ET_EVENT_TRACER_ENABLED"]),
}

# NAME: what writes the digits network in a form of the library's own, for the example, and the ending of its file.
NETWORKS = {
    "executorch": ("tests/interop/write_digits_pte.cpp", ".pte"),
}

# NAME: a script that has the library's own tools make such a file, which is served, too; it ends with 77 where they are not installed.
EXPORTERS = {
    "executorch": "tests/interop/export_digits_pte.py",
}


# ---- programs ----

def compiled(folder, program, sources, options, link_options):
    """Compiles `sources`, paths within the repository. @return the program"""
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    flags = ["-std=c++20", "-O0", *WARNINGS, f"-I{ROOT / 'include'}", f"-I{ROOT / 'tests'}", *options]
    objects = []
    for source in sources:
        objects.append(folder / (source.replace("/", "_") + ".o"))
        subprocess.run([*compiler, *flags, "-c", ROOT / source, "-o", objects[-1]], check=True)
    subprocess.run([*compiler, *objects, *link_options, "-pthread", "-o", folder / program], check=True)
    return folder / program


def output_of(folder, *command):
    """Runs a program, and shows what it says: indented, as what it counts is counted here. @return what it says, and whether it ended well"""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    print(textwrap.indent(done.stdout + done.stderr, "  "), flush=True)
    return done.stdout, done.returncode == 0


def main():
    stet, folder, name, digits, formats, *includes = sys.argv[1:]
    del stet  # which all scripts of the folder are given
    library = RUNTIMES[name]()
    folder = pathlib.Path(folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    # The system's own folder, named, would stand before those of the compiler.
    options = [f"-isystem{each}" for each in includes if each != "/usr/include"]
    options += [f"-DSTET_HAS_{name.upper()}=1", "-DSTET_HAS_ZLIB=0", *library.compile_options()]

    tests = compiled(folder, "tests", ["tests/main.cpp", "tests/support/allocations_test.cpp", f"tests/ext/{name}_test.cpp"], options,
                     [formats, *library.link_options()])
    said, good = output_of(folder, tests, "--no-colors")
    counts = re.search(r"test cases:\s*(\d+) \|\s*(\d+) passed \|\s*(\d+) failed", said)
    passed, failed = (int(counts[2]), int(counts[3])) if counts else (0, 1)
    # A test that was compiled without its library says that it is skipped.
    failed += (not good and failed == 0) + ("skipped:" in said)

    if (ROOT / f"examples/runtimes/serve_{name}.cpp").exists():
        files = [folder / "digits.stet", ROOT / "examples/digits/digits_data.stet"]
        if not files[0].exists():
            subprocess.run([digits, "train", files[0]], check=True, stdout=subprocess.DEVNULL)
        if name in NETWORKS:
            source, ending = NETWORKS[name]
            files.append(folder / f"digits{ending}")
            subprocess.run([compiled(folder, "write_network", [source], options, []), files[-1]], check=True)
        serve = compiled(folder, "serve", [f"examples/runtimes/serve_{name}.cpp"], options, library.link_options())
        tasks = [files]
        if name in EXPORTERS:
            exported = folder / f"exported{files[-1].suffix}"
            done = subprocess.run([sys.executable, ROOT / EXPORTERS[name], exported])
            if done.returncode == 0:
                tasks.append([*files[:-1], exported])
            elif done.returncode != SKIPPED:
                failed += 1
        for task in tasks:
            said, good = output_of(folder, serve, *task)
            served = good and "the same answers as the network's own" in said
            passed, failed = passed + served, failed + (not served)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed != 0 or passed == 0)


if __name__ == "__main__":
    main()
