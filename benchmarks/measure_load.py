#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""All tensors of a file into memory: stet beside fio, and beside the loaders of PyTorch, safetensors, Run:ai and llama.cpp, in turns.

    measure_load.py MEASURE_LOAD [ROUNDS] [MIB]     default: 5 rounds, 1024 MiB; exits with 1 when a goal is missed

Needs fio for the floor; torch, safetensors and runai-model-streamer, and llama-cpp-python with gguf, are measured where Python has them. The
file, 64 tensors, for llama.cpp a model of its kind, is read from the disk (its pages are dropped before each turn) and from the page
cache. What a loader leaves in a mapping is touched, page by page, within the time. Each turn is a process of its own, whose imports are not counted. Of the rounds the medians count.
"""
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

STET = sys.argv[1]
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 5
MIB = int(sys.argv[3]) if len(sys.argv) > 3 else 1024
TIMED = """
import sys, time
{imports}
begin = time.perf_counter()
{work}
print(time.perf_counter() - begin)
"""
TOUCH = "sum(int(t.view(torch.uint8).flatten()[::4096].sum()) for t in tensors.values())"


def python(imports, work):
    def run(path):
        code = TIMED.format(imports=imports, work=work)
        return float(subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True).stdout.split()[-1])
    return run


def stet(way):
    return lambda path: float(subprocess.run([STET, path, way], check=True, capture_output=True, text=True).stdout)


def fio(path):
    best = None
    for engine, depth in (("io_uring", 16), ("psync", 1)):
        threads = 1 if depth > 1 else 16
        size = os.path.getsize(path) // (1 << 20) // threads
        if depth == 1 and size == 0:
            continue
        command = ["fio", "--name=x", f"--filename={path}", "--rw=read", "--readonly", "--direct=1", "--bs=1M", f"--ioengine={engine}",
                   f"--iodepth={depth}", f"--size={size}m", "--thread", f"--numjobs={threads}", f"--offset_increment={size}m",
                   "--group_reporting", "--output-format=json"]
        read = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["jobs"][0]["read"]
        seconds = os.path.getsize(path) / read["bw_bytes"]
        best = seconds if best is None else min(best, seconds)
        if threads == 1:
            forget(path)
    return best


def forget(path):
    with open(path, "rb") as file:
        os.fdatasync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def has(*modules):
    return all(importlib.util.find_spec(module) for module in modules)


def measure(title, files, contenders, goals, mib=MIB):
    """`goals`: for each, whether it counts from the disk, from the page cache (None: both), of which contender to which, and the most."""
    missed = False
    for is_cold in (True, False):
        seconds = {name: [] for name, _, cold_only in contenders if is_cold or not cold_only}
        for number in range(ROUNDS):
            turns = [c for c in contenders if c[0] in seconds]
            for name, run, _ in turns if number % 2 == 0 else turns[::-1]:
                path = files[name]
                if is_cold:
                    forget(path)
                else:
                    with open(path, "rb") as file:
                        while file.read(1 << 24):
                            pass
                seconds[name].append(run(path))
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        print(f"{title}, {mib} MiB, {'from the disk' if is_cold else 'from the page cache'}")
        for name, median in sorted(medians.items(), key=lambda item: item[1]):
            print(f"  {name:42} {median * 1000:9.1f} ms  {mib / 1024 / median:6.2f} GiB/s")
        for when, of, to, most in goals:
            if when in (None, is_cold) and of in medians and to in medians:
                ratio = medians[of] / medians[to]
                is_missed = ratio > most
                missed = missed or is_missed
                print(f"  {of} / {to}: {ratio:.2f} (at most {most:.2f}{', MISSED' if is_missed else ''})")
    return missed


def llama_model(path, numpy):
    """Writes a model of llama's kind of about MIB, its matrices of float16, without a vocabulary."""
    import gguf
    width, inner, heads = 2048, 5632, 16
    layer = {"attn_q": (width, width), "attn_k": (width, width), "attn_v": (width, width), "attn_output": (width, width),
             "ffn_gate": (inner, width), "ffn_up": (inner, width), "ffn_down": (width, inner)}
    count = max(1, (MIB << 20) // sum(rows * columns * 2 for rows, columns in layer.values()))
    out = gguf.GGUFWriter(path, "llama")
    out.add_context_length(128)
    out.add_embedding_length(width)
    out.add_block_count(count)
    out.add_feed_forward_length(inner)
    out.add_head_count(heads)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_vocab_size(256)
    out.add_tokenizer_model("none")
    random = numpy.random.default_rng(1)

    def matrix(rows, columns):
        return random.integers(-2**10, 2**10, (rows, columns), dtype=numpy.int16).astype(numpy.float16)

    norm = numpy.ones(width, numpy.float32)
    out.add_tensor("token_embd.weight", matrix(256, width))
    for number in range(count):
        for name in ("attn_norm", "ffn_norm"):
            out.add_tensor(f"blk.{number}.{name}.weight", norm)
        for name, shape in layer.items():
            out.add_tensor(f"blk.{number}.{name}.weight", matrix(*shape))
    out.add_tensor("output_norm.weight", norm)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def llama(mode):
    """llama_model_load_from_file, which touches every page of what it maps; without packing the weights for the processor."""
    return python("import llama_cpp\nllama_cpp.llama_backend_init()\nparams = llama_cpp.llama_model_default_params()\n"
                  f"assert hasattr(params, 'load_mode')\nparams.load_mode = llama_cpp.LLAMA_LOAD_MODE_{mode}\n"
                  "params.n_gpu_layers, params.use_extra_bufts = 0, False\n"
                  "quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)\nllama_cpp.llama_log_set(quiet, None)",
                  "model = llama_cpp.llama_model_load_from_file(sys.argv[1].encode(), params)\nassert model")


def measure_llama(folder, numpy):
    if not has("gguf", "llama_cpp"):
        print("SKIPPED: there is no llama-cpp-python with gguf")
        return False
    path = f"{folder}/model.gguf"
    llama_model(path, numpy)
    contenders = [("load_all", stet("stream"), False), ("prefetch", stet("prefetch"), False),
                  ("llama.cpp", llama("NONE"), False), ("llama.cpp, direct", llama("DIRECT_IO"), False),
                  ("llama.cpp, mapped", llama("MMAP"), False)]
    goals = [(None, "load_all", "llama.cpp", 1), (True, "load_all", "llama.cpp, direct", 1), (None, "prefetch", "llama.cpp, mapped", 1)]
    missed = measure("a GGUF model", dict.fromkeys([c[0] for c in contenders], path), contenders, goals, os.path.getsize(path) >> 20)
    os.remove(path)
    return missed


def main():
    with tempfile.TemporaryDirectory(dir=".") as folder:
        import numpy
        sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "examples" / "python"))
        import stet as stet_python
        base = numpy.random.default_rng(1).integers(0, 2**32, (MIB << 20) // 64 // 4, dtype=numpy.uint32)
        tensors = {f"layer{i}.kernel": (base + i).view(numpy.float32) for i in range(64)}
        native = f"{folder}/model.stet"
        stet_python.save_file(tensors, native)
        contenders = [("fio", fio, True), ("load_all", stet("stream"), False), ("load_all, mapped", stet("map"), False),
                      ("prefetch", stet("prefetch"), False), ("backing::read", stet("read"), False)]
        goals = [(True, "load_all", "fio", 1 / 0.95), (True, "prefetch", "fio", 1 / 0.95)]
        missed = measure("a native file", dict.fromkeys([c[0] for c in contenders], native), contenders, goals)
        os.remove(native)
        missed = measure_llama(folder, numpy) or missed
        if not has("torch", "safetensors"):
            print("SKIPPED: there is no torch with safetensors")
            return missed
        import torch
        from safetensors.numpy import save_file
        weights, archive = f"{folder}/model.safetensors", f"{folder}/model.pt"
        save_file(tensors, weights)
        torch.save({name: torch.from_numpy(tensor) for name, tensor in tensors.items()}, archive)
        contenders = [("load_all", stet("stream"), False), ("prefetch", stet("prefetch"), False),
                      ("safetensors.torch.load_file", python("import torch, safetensors.torch",
                                                             f"tensors = safetensors.torch.load_file(sys.argv[1]); {TOUCH}"), False)]
        files = dict.fromkeys([c[0] for c in contenders], weights)
        if has("runai_model_streamer"):
            contenders.append(("runai_model_streamer", python(
                "import torch\nfrom runai_model_streamer import SafetensorsStreamer",
                "with SafetensorsStreamer() as streamer:\n    streamer.stream_file(sys.argv[1])\n"
                "    tensors = {name: tensor.clone() for name, tensor in streamer.get_tensors()}"), False))
            files["runai_model_streamer"] = weights
        else:
            print("SKIPPED: there is no runai_model_streamer")
        for name, options in (("torch.load", ""), ("torch.load(mmap=True)", ", mmap=True")):
            contenders.append((name, python("import torch", f"tensors = torch.load(sys.argv[1], weights_only=True{options}); {TOUCH}"), False))
            files[name] = archive
        for name, way in (("load_all of the .pt", "stream"), ("prefetch of the .pt", "prefetch")):
            contenders.append((name, stet(way), False))
            files[name] = archive
        # What leaves tensors in a mapping is compared with what does, too, where nothing has to be read.
        goals = [(None, "load_all", "runai_model_streamer", 1), (None, "load_all of the .pt", "torch.load", 1)]
        for of, to in (("", "safetensors.torch.load_file"), (" of the .pt", "torch.load(mmap=True)")):
            goals += [(True, f"load_all{of}", to, 1), (False, f"prefetch{of}", to, 1)]
        return measure("safetensors and .pt", files, contenders, goals) or missed


sys.exit(1 if main() else 0)
