"""Compiles the native kernels into numba's disk cache, once, before parallel test processes need them."""

from __future__ import annotations

import time

import sciml_dsl as sd

MODEL = """
x' = α*x - β*x*y
y' = -δ*y + γ*x*y + U(x, y)
x(0) = 1; y(0) = 1
param α = 1.5, β = 1, γ = 1, δ = 3
neural U(x, y) -> 1 { hidden = [4], activation = tanh }
"""


def main() -> None:
    start = time.perf_counter()
    model = sd.model(MODEL)
    known = model.with_terms({"U": "0"})
    for method in ("auto", "tsit5", "rodas5p"):
        known.solve((0.0, 1.0), method=method, saveat=0.5)
    for method in ("kvaerno5", "radau", "ndf"):
        known.solve((0.0, 1.0), method=method, saveat=0.5)
    sd.model("x' = 1 - @stiff 10*x; x(0) = 0").solve((0.0, 1.0), method="imex_kencarp4", saveat=0.5)
    print(f"kernels ready after {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
