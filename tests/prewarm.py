"""Compiles the native kernels into numba's disk cache, once, before parallel test processes need them.

The loop and the methods by address do not wait for each other, so each has a process.
"""

from __future__ import annotations

import multiprocessing
import time

import sciml_dsl as sd

MODEL = """
x' = α*x - β*x*y
y' = -δ*y + γ*x*y + U(x, y)
x(0) = 1; y(0) = 1
param α = 1.5, β = 1, γ = 1, δ = 3
neural U(x, y) -> 1 { hidden = [4], activation = tanh }
"""


def methods() -> None:
    """Compile the methods by address: of those that share one compiled function, one."""
    from sciml_dsl.solve.methods.registry import METHODS

    loaders = {method.load for method in METHODS.values() if method.load is not None}
    for load in loaders:
        load()


def main() -> None:
    start = time.perf_counter()
    beside = multiprocessing.get_context("spawn").Process(target=methods)
    beside.start()
    loop()
    beside.join()
    if beside.exitcode:
        raise SystemExit("the methods could not be compiled")
    solves()
    print(f"kernels ready after {time.perf_counter() - start:.1f} s")


def loop() -> None:
    """Compile the loop with the methods it has inside."""
    import sciml_dsl.solve.kernel  # noqa: F401


def solves() -> None:
    """What else a solve compiles."""
    model = sd.model(MODEL)
    known = model.with_terms({"U": "0"})
    for method in ("auto", "tsit5", "rodas5p"):
        known.solve((0.0, 1.0), method=method, saveat=0.5)
    for method in ("kvaerno5", "radau", "ndf"):
        known.solve((0.0, 1.0), method=method, saveat=0.5)
    sd.model("x' = 1 - @stiff 10*x; x(0) = 0").solve((0.0, 1.0), method="imex_kencarp4", saveat=0.5)


if __name__ == "__main__":
    main()
