"""Models with arrays at growing size: text to native functions, and how fast these are.

    python benchmarks/arrays.py

The heat equation by finite differences at N cells.  Compile times are those of a model
never seen (the cache on disk is off), the least of three.  f and the values of the
sparse Jacobian run beside the generated C through `cc -O3 -march=native`, and f beside
numpy slices, all on the same arrays; the least of many calls, differences relative to numpy.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

os.environ["SCIML_DSL_CACHE"] = ""

import numpy as np

import sciml_dsl as sd
from sciml_dsl.codegen.native import functions

TEXT = """model Heat{tag}
const N = {n}
param D = 0.1, h = 0.01
u[i]' = D*(u[i-1] - 2*u[i] + u[i+1])/h^2 for i in 2..N-1
u[1]' = 0
u[N]' = 0
u[i](0) = sin(pi*(i - 1)/(N - 1)) for i in 1..N
"""
SIZES = (100, 100_000, 1_000_000)
_pointer = ctypes.POINTER(ctypes.c_double)


def least(call: Callable[[], Any], seconds: float = 0.5) -> float:
    """The least time of one call."""
    best, began = float("inf"), perf_counter()
    while perf_counter() - began < seconds:
        start = perf_counter()
        call()
        best = min(best, perf_counter() - start)
    return best


def bound(address: Any, *arrays: Any) -> Callable[[], Any]:
    """A native function with its arguments."""
    kind = ctypes.CFUNCTYPE(None, ctypes.c_double, *[_pointer] * len(arrays))
    function = kind(address)
    passed = [a.ctypes.data_as(_pointer) for a in arrays]
    return lambda: function(0.0, *passed)


def compile_times(n: int) -> tuple[float, float, float]:
    """Seconds from text to the model, on to f, on to the values and pattern of the sparse Jacobian."""
    rows = []
    for tag in range(4):
        marks = [perf_counter()]
        m = sd.model(TEXT.format(n=n, tag=tag))
        marks.append(perf_counter())
        functions(m)
        marks.append(perf_counter())
        functions(m, sparse=True)
        marks.append(perf_counter())
        rows.append(np.diff(marks))
    first, second, third = min(rows[1:], key=sum)  # the first one loads LLVM
    return float(first), float(second), float(third)


def by_compiler(m: sd.Model, folder: str) -> ctypes.CDLL | None:
    """The generated C, compiled for this processor."""
    cc = shutil.which("cc") or shutil.which("gcc")
    if cc is None:
        return None
    source, made = Path(folder, "model.c"), Path(folder, f"model{len(m.states)}.so")
    source.write_text(m.code("c"), encoding="utf-8")
    subprocess.run([cc, "-O3", "-march=native", "-shared", "-fPIC", "-o", made, source, "-lm"], check=True)
    return ctypes.CDLL(str(made))


def main() -> None:
    print(f"{'':9} {'compile, s':^31} | {'run, us':^44}")
    print(
        "{:>9} {:>7} {:>7} {:>7} {:>7} | {:>8} {:>8} {:>8} {:>8} {:>8}".format(
            *"N model f J all f cc numpy J cc".split()
        )
    )
    for n in SIZES:
        times = compile_times(n)
        m = sd.model(TEXT.format(n=n, tag=""))
        fns = functions(m, sparse=True)
        u, p = np.random.default_rng(0).uniform(size=n), np.array([0.1, 0.01])
        out, other, expected = np.empty(n), np.empty(n), np.zeros(n)
        assert fns.jac_indices is not None
        values = np.empty(fns.jac_indices.size)

        def numpy_f(u: Any = u, expected: Any = expected) -> None:
            expected[1:-1] = 0.1 * (u[:-2] - 2.0 * u[1:-1] + u[2:]) / 0.01**2

        measured = [least(bound(fns.f, u, p, out))]
        with tempfile.TemporaryDirectory() as folder:
            library = by_compiler(m, folder)
            measured.append(least(bound(("f", library), u, p, other)) if library else float("nan"))
            measured += [least(numpy_f), least(bound(fns.jac_values, u, p, values))]
            measured.append(least(bound(("jacobian_values", library), u, p, values)) if library else float("nan"))
        scale = np.abs(expected).max()
        for found in (out, other) if library else (out,):
            assert np.abs(found - expected).max() < 1e-12 * scale
        text = " ".join(f"{t:7.3f}" for t in (*times, sum(times)))
        print(f"{n:9,} {text} | " + " ".join(f"{1e6 * t:8.1f}" for t in measured), flush=True)


if __name__ == "__main__":
    main()
