"""Work against achieved error on models with algebraic equations: Rodas5P beside Radau, between which "auto" chooses.

    python benchmarks/algebraic.py

Errors are those of the angle form of the pendulum (scipy's DOP853 at 1e-13), of published end values for
Andrews' squeezing mechanism (F. Mazzia & C. Magherini, Test Set for IVP Solvers, 2008), and of the explicit
form of a rectifier (scipy's Radau at 1e-11); times are the shortest of several solves, in one run.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # runs from a checkout, installed or not

import numpy as np  # noqa: E402
from scipy.integrate import solve_ivp  # noqa: E402

import sciml_dsl as sd  # noqa: E402

PENDULUM = "x'' = -T*x; y'' = -T*y - 9.81; 0 = x^2 + y^2 - 1; "
RECTIFIER = """
    C*vc' = i - vc/R
    0 = i - Is*(exp((5*sin(2*pi*50*t) - vc)/0.026) - 1)
    vc(0) = 0
    param C = 1e-4, R = 1000, Is = 1e-12
"""
SQUEEZER = {"β": 0.1581077119629904e2, "θ": -0.1575637105984298e2, "γ": 0.4082224013073101e-1, "Ω": 0.5347301163226948}
TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10)
REPEATS = 4


def swing(t: float, angle: float, speed: float) -> float:
    """x of the pendulum at `t`."""
    sol = solve_ivp(
        lambda t, u: [u[1], -9.81 * math.sin(u[0])], (0, t), [angle, speed], "DOP853", rtol=1e-13, atol=1e-13
    )
    return math.sin(sol.y[0, -1])


def rectified(t: float) -> float:
    """Voltage of the rectifier at `t`."""

    def slope(t: float, v: Any) -> list[float]:
        current = 1e-12 * math.expm1(min((5 * math.sin(100 * math.pi * t) - v[0]) / 0.026, 600.0))
        return [(current - v[0] / 1000) / 1e-4]

    return float(solve_ivp(slope, (0, t), [0.0], "Radau", rtol=1e-11, atol=1e-13, max_step=2e-5).y[0, -1])


def problems() -> list[tuple[str, sd.Model, float, float, Callable[[Any], float]]]:
    """(name, model, end, atol/rtol, error of a solution)."""
    turning, hanging, voltage = swing(30, 0.0, 6.5), swing(20, math.pi / 2, 0.0), rectified(0.1)
    return [
        (
            "pendulum, turning", sd.model(PENDULUM + "x(0) = 0; y(0) = -1; x'(0) = 6.5; y'(0) = 0"), 30.0, 1.0,
            lambda sol: abs(sol["x"][-1] - turning),
        ),
        (
            "pendulum, hanging", sd.model(PENDULUM + "x(0) = 1; y(0) = 0; x'(0) = 0; y'(0) = 0"), 20.0, 1.0,
            lambda sol: abs(sol["x"][-1] - hanging),
        ),
        (
            "squeezer", sd.load(HERE.parent / "examples" / "andrews_squeezer.sciml"), 0.03, 1.0,
            lambda sol: max(abs(sol[name][-1] / value - 1) for name, value in SQUEEZER.items()),
        ),
        ("rectifier", sd.model(RECTIFIER), 0.1, 1e-3, lambda sol: abs(sol["vc"][-1] - voltage)),
    ]  # fmt: skip


def main() -> None:
    """Print a table."""
    columns = "".join(f"{name + ': error':>18}{'steps':>8}{'ms':>8}" for name in ("Rodas5P", "Radau"))
    print(f"{'problem':20}{'rtol':>8}{columns}")
    for name, model, end, zero, error in problems():
        for rtol in TOLERANCES:
            row = f"{name:20}{rtol:8.0e}"
            for method in ("rodas5p", "radau"):
                best, sol = math.inf, None
                for _ in range(REPEATS):
                    began = perf_counter()
                    sol = model.solve(
                        (0, end), method=method, rtol=rtol, atol=rtol * zero, saveat=[end], max_steps=1_000_000
                    )
                    best = min(best, perf_counter() - began)
                assert sol is not None
                off = error(sol) if sol.success else np.nan
                row += f"{off:18.1e}{sol.stats['steps']:8}{1e3 * best:8.1f}"
            print(row, flush=True)


if __name__ == "__main__":
    main()
