"""Partial differential equations by the method of lines."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from suite.problem import Problem

ALPHA = 0.02  # diffusion of the one-dimensional Brusselator


def brusselator(points: int) -> Callable[..., list[Any]]:
    """Right-hand side on `points` inner points; u and v alternate, so the Jacobian is banded."""

    def rhs(w: Any, phase: int = 0) -> list[Any]:
        c = ALPHA * (points + 1) ** 2
        out: list[Any] = []
        for i in range(points):
            u, v = w[2 * i], w[2 * i + 1]
            left = (w[2 * i - 2], w[2 * i - 1]) if i > 0 else (1.0, 3.0)
            right = (w[2 * i + 2], w[2 * i + 3]) if i < points - 1 else (1.0, 3.0)
            reaction = u * u * v
            out.append(1.0 + reaction - 4.0 * u + c * (left[0] - 2.0 * u + right[0]))
            out.append(3.0 * u - reaction + c * (left[1] - 2.0 * v + right[1]))
        return out

    return rhs


def _brusselator_text(points: int) -> str:
    c = ALPHA * (points + 1) ** 2
    lines = []
    for i in range(1, points + 1):
        left = (f"u{i - 1}", f"v{i - 1}") if i > 1 else ("1", "3")
        right = (f"u{i + 1}", f"v{i + 1}") if i < points else ("1", "3")
        lines.append(f"u{i}' = 1 + u{i}*u{i}*v{i} - 4*u{i} + {c!r}*({left[0]} - 2*u{i} + {right[0]})")
        lines.append(f"v{i}' = 3*u{i} - u{i}*u{i}*v{i} + {c!r}*({left[1]} - 2*v{i} + {right[1]})")
    start = _brusselator_start(points)
    for i in range(points):
        lines.append(f"u{i + 1}(0) = {start[2 * i]!r}; v{i + 1}(0) = {start[2 * i + 1]!r}")
    return "\n".join(lines)


def _brusselator_start(points: int) -> tuple[float, ...]:
    found: list[float] = []
    for i in range(1, points + 1):
        found += [1.0 + math.sin(2.0 * math.pi * i / (points + 1)), 3.0]
    return tuple(found)


SIDE, SPREAD = 16, 10.0  # the two-dimensional one: periodic, with a source that starts at t = 1.1


def _source(i: int, j: int) -> bool:
    x, y = i / (SIDE - 1), j / (SIDE - 1)
    return (x - 0.3) ** 2 + (y - 0.6) ** 2 <= 0.01


def _neighbours(i: int, j: int) -> list[tuple[int, int]]:
    return [((i - 1) % SIDE, j), ((i + 1) % SIDE, j), (i, (j - 1) % SIDE), (i, (j + 1) % SIDE)]


def brusselator_2d(w: Any, phase: int = 0) -> list[Any]:
    c = SPREAD * (SIDE - 1) ** 2
    out: list[Any] = []
    for i in range(SIDE):
        for j in range(SIDE):
            at = 2 * (i * SIDE + j)
            u, v = w[at], w[at + 1]
            around = [2 * (k * SIDE + m) for k, m in _neighbours(i, j)]
            du: Any = w[around[0]] + w[around[1]] + w[around[2]] + w[around[3]] - 4.0 * u
            dv: Any = w[around[0] + 1] + w[around[1] + 1] + w[around[2] + 1] + w[around[3] + 1] - 4.0 * v
            reaction = u * u * v
            made = 6.0 if phase > 0 and _source(i, j) else 1.0
            out.append(made + reaction - 4.4 * u + c * du)
            out.append(3.4 * u - reaction + c * dv)
    return out


def _brusselator_2d_text() -> str:
    c = SPREAD * (SIDE - 1) ** 2
    lines = ["made = if t < 1.1 then 1 else 6"]
    start = _brusselator_2d_start()
    for i in range(SIDE):
        for j in range(SIDE):
            name = f"{i}_{j}"
            around = [f"{k}_{m}" for k, m in _neighbours(i, j)]
            du = " + ".join(f"u{k}" for k in around)
            dv = " + ".join(f"v{k}" for k in around)
            made = "made" if _source(i, j) else "1"
            lines.append(f"u{name}' = {made} + u{name}*u{name}*v{name} - 4.4*u{name} + {c!r}*({du} - 4*u{name})")
            lines.append(f"v{name}' = 3.4*u{name} - u{name}*u{name}*v{name} + {c!r}*({dv} - 4*v{name})")
            at = 2 * (i * SIDE + j)
            lines.append(f"u{name}(0) = {start[at]!r}; v{name}(0) = {start[at + 1]!r}")
    return "\n".join(lines)


def _brusselator_2d_start() -> tuple[float, ...]:
    found: list[float] = []
    for i in range(SIDE):
        for j in range(SIDE):
            x, y = i / (SIDE - 1), j / (SIDE - 1)
            found += [22.0 * (y * (1.0 - y)) ** 1.5, 27.0 * (x * (1.0 - x)) ** 1.5]
    return tuple(found)


CELLS = 200  # of the medical Akzo Nobel problem


def _akzo(j: int) -> tuple[float, float]:
    """Convection and diffusion of cell j, with the factors of the differences."""
    width = 1.0 / CELLS
    depth = j * width - 1.0
    return 2.0 * depth**3 / 16.0 / (2.0 * width), depth**4 / 16.0 / width**2


def akzo(y: Any, phase: int = 0) -> list[Any]:
    inflow = 2.0 if phase == 0 else 0.0
    out: list[Any] = []
    for j in range(1, CELLS + 1):
        convection, diffusion = _akzo(j)
        here, bound = y[2 * j - 2], y[2 * j - 1]
        left = y[2 * j - 4] if j > 1 else inflow
        right = y[2 * j] if j < CELLS else here
        met = 100.0 * here * bound
        out.append(convection * (right - left) + diffusion * (left - 2.0 * here + right) - met)
        out.append(-met)
    return out


def _akzo_text() -> str:
    lines = ["inflow = if t <= 5 then 2 else 0"]
    for j in range(1, CELLS + 1):
        convection, diffusion = _akzo(j)
        left = f"u{j - 1}" if j > 1 else "inflow"
        right = f"u{j + 1}" if j < CELLS else f"u{j}"
        lines.append(
            f"u{j}' = {convection!r}*({right} - {left}) + {diffusion!r}*({left} - 2*u{j} + {right}) - 100*u{j}*v{j}"
        )
        lines.append(f"v{j}' = -100*u{j}*v{j}; u{j}(0) = 0; v{j}(0) = 1")
    return "\n".join(lines)


def problems() -> tuple[Problem, ...]:
    """The problems of this file."""
    brusselators = [
        Problem(
            f"brusselator_{2 * points}", f"Brusselator 1D, {2 * points} states",
            _brusselator_text(points), brusselator(points), _brusselator_start(points), 10.0,
            "E. Hairer & G. Wanner, Solving ODEs II, IV.1, alpha = 1/50", stiff=True, band=(2, 2),
        )
        for points in (20, 500)
    ]  # fmt: skip
    return (
        brusselators[0],
        Problem(
            "akzo", "medical Akzo Nobel", _akzo_text(), akzo, (0.0, 1.0) * CELLS, 20.0,
            "Test Set for IVP Solvers, release 2.4, MEDAKZO", stiff=True, floor=1e-4, stops=(5.0,), band=(2, 2),
        ),
        Problem(
            "brusselator_2d", f"Brusselator 2D, {2 * SIDE**2} states", _brusselator_2d_text(), brusselator_2d,
            _brusselator_2d_start(), 11.5,
            "E. Hairer & G. Wanner, Solving ODEs II, IV.10 and SciMLBenchmarks.jl (periodic, alpha = 10, 16 x 16)",
            stiff=True, stops=(1.1,),
        ),
        brusselators[1],
    )  # fmt: skip
