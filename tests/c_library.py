"""Generated C or CUDA as functions of arrays: the file is compiled and called through ctypes."""

from __future__ import annotations

import ctypes
import itertools
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np

CC = shutil.which("cc") or shutil.which("gcc")
NVCC = shutil.which("nvcc")
STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-overlength-strings"]
_COUNT = itertools.count()
_SIGNATURE = re.compile(r"^(?:__host__ __device__ inline )?(void|int) (\w+)\((.*)\)$", re.MULTILINE)


def compile_c(text: str, folder: Path, *options: str) -> Library:
    """Compile C source as strictly as a careful user would."""
    (folder / "model.c").write_text(text, encoding="utf-8")
    made = folder / f"model{next(_COUNT)}.so"  # a library that is loaded must not be written over
    command = [CC, *(options or STRICT), "-O1", "-shared", "-fPIC", "-o", made, folder / "model.c", "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Library(made, text)


def compile_cuda(text: str, folder: Path) -> Library:
    """Compile a CUDA header for device and host; the host's functions are called."""
    space = re.search(r"^namespace (\w+) ", text, re.MULTILINE)[1]
    lines = ['#include "model.cuh"']
    for kind, name, arguments in _SIGNATURE.findall(text):
        if "double *out" in arguments or name.startswith("w_"):
            passed = ", ".join(part.split()[-1].lstrip("*") for part in arguments.split(","))
            lines.append(f'extern "C" {kind} {name}_host({arguments}) {{ return {space}::{name}({passed}); }}')
            lines.append(f"__global__ void {name}_kernel({arguments}) {{ {space}::{name}({passed}); }}")
    (folder / "model.cuh").write_text(text, encoding="utf-8")
    (folder / "model.cu").write_text("\n".join(lines), encoding="utf-8")
    made = folder / f"cuda{next(_COUNT)}.so"
    command = [NVCC, "-O1", "-shared", "-Xcompiler", "-fPIC", "-o", made, folder / "model.cu"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Library(made, text, "_host")


class Library:
    """Its functions as `library(name, shape, *arguments)`, where arguments are numbers and arrays."""

    def __init__(self, path: Path, text: str, suffix: str = "") -> None:
        self.dll = ctypes.CDLL(str(path))
        self.suffix = suffix
        self.sizes = {name: int(size) for name, size in re.findall(r"^    N_(\w+) = (\d+)", text, re.MULTILINE)}

    def __call__(self, name: str, shape, *arguments):
        out = np.full(shape, 99.0)
        self.raw(name, *arguments, out)
        return out

    def raw(self, name: str, *arguments):
        function = getattr(self.dll, name + self.suffix)
        function.restype = ctypes.c_int
        passed = [ctypes.c_double(a) if isinstance(a, float) else a.ctypes.data_as(ctypes.c_void_p) for a in arguments]
        return function(*passed)

    def numbers(self, name: str, count: int, kind=ctypes.c_double) -> list:
        return list((kind * count).in_dll(self.dll, name))

    def strings(self, name: str, count: int) -> list[str]:
        return [text.decode() for text in (ctypes.c_char_p * count).in_dll(self.dll, name)]
