"""Problems that are not stiff, and van der Pol's oscillator."""

from __future__ import annotations

from typing import Any

from suite.problem import Problem


def lotka_volterra(u: Any, phase: int = 0) -> list[Any]:
    x, y = u
    return [1.5 * x - x * y, -3.0 * y + x * y]


def lorenz(u: Any, phase: int = 0) -> list[Any]:
    x, y, z = u
    return [10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z]


MU = 0.012277471


def arenstorf(u: Any, phase: int = 0) -> list[Any]:
    x, y, vx, vy = u
    rest = 1.0 - MU
    d1 = ((x + MU) ** 2 + y**2) ** 1.5
    d2 = ((x - rest) ** 2 + y**2) ** 1.5
    return [
        vx,
        vy,
        x + 2.0 * vy - rest * (x + MU) / d1 - MU * (x - rest) / d2,
        y - 2.0 * vx - rest * y / d1 - MU * y / d2,
    ]


def pleiades(u: Any, phase: int = 0) -> list[Any]:
    x, y, vx, vy = u[:7], u[7:14], u[14:21], u[21:28]
    ax: list[Any] = []
    ay: list[Any] = []
    for i in range(7):
        sx: Any = 0.0
        sy: Any = 0.0
        for j in range(7):
            if i != j:
                cube = ((x[j] - x[i]) ** 2 + (y[j] - y[i]) ** 2) ** 1.5
                sx = sx + (j + 1.0) * (x[j] - x[i]) / cube
                sy = sy + (j + 1.0) * (y[j] - y[i]) / cube
        ax.append(sx)
        ay.append(sy)
    return [*vx, *vy, *ax, *ay]


def van_der_pol(u: Any, phase: int = 0) -> list[Any]:
    x, y = u
    return [y, ((1.0 - x * x) * y - x) * 1e6]


STARS = (
    (3, 3, -1, -3, 2, -2, 2),
    (3, -3, 2, 0, 0, -4, 4),
    (0, 0, 0, 0, 0, 1.75, -1.5),
    (0, 0, 0, -1.25, 1, 0, 0),
)


def _pleiades_text() -> str:
    names = [[f"{kind}{i}" for i in range(1, 8)] for kind in ("x", "y", "v", "w")]
    lines = []
    for i in range(1, 8):
        for j in range(1, 8):
            if i < j:
                lines.append(f"c{i}{j} = 1/((x{j} - x{i})^2 + (y{j} - y{i})^2)^1.5")
    rows: dict[str, list[str]] = {"x": [], "y": [], "v": [], "w": []}
    for i in range(1, 8):
        rows["x"].append(f"x{i}' = v{i}")
        rows["y"].append(f"y{i}' = w{i}")
        for kind, place in (("v", "x"), ("w", "y")):
            terms = [f"{j}*({place}{j} - {place}{i})*c{min(i, j)}{max(i, j)}" for j in range(1, 8) if i != j]
            rows[kind].append(f"{kind}{i}' = " + " + ".join(terms))
    for kind in rows:
        lines += rows[kind]
    for group, values in zip(names, STARS, strict=True):
        lines.append("; ".join(f"{name}(0) = {value}" for name, value in zip(group, values, strict=True)))
    return "\n".join(lines)


def problems() -> tuple[Problem, ...]:
    """The problems of this file."""
    return (
        Problem(
            "lotka_volterra", "Lotka-Volterra",
            "x' = 1.5*x - x*y; y' = -3*y + x*y; x(0) = 1; y(0) = 1",
            lotka_volterra, (1.0, 1.0), 10.0,
            "A. J. Lotka, Elements of Physical Biology, 1925; constants as in DifferentialEquations.jl's tutorial",
            stiff=False,
        ),
        Problem(
            "lorenz", "Lorenz",
            "x' = 10*(y - x); y' = x*(28 - z) - y; z' = x*y - 8/3*z; x(0) = 1; y(0) = 0; z(0) = 0",
            lorenz, (1.0, 0.0, 0.0), 10.0,
            "E. N. Lorenz, J. Atmos. Sci. 20 (1963) 130-141", stiff=False,
        ),
        Problem(
            "pleiades", "Pleiades",
            _pleiades_text(), pleiades, tuple(float(v) for group in STARS for v in group), 3.0,
            "E. Hairer, S. P. Nørsett & G. Wanner, Solving ODEs I, II.10; Test Set for IVP Solvers, release 2.4",
            stiff=False,
        ),
        Problem(
            "three_body", "three-body (Arenstorf)",
            f"""
            d1 = ((x + {MU!r})^2 + y^2)^1.5
            d2 = ((x - {1 - MU!r})^2 + y^2)^1.5
            x' = vx
            y' = vy
            vx' = x + 2*vy - {1 - MU!r}*(x + {MU!r})/d1 - {MU!r}*(x - {1 - MU!r})/d2
            vy' = y - 2*vx - {1 - MU!r}*y/d1 - {MU!r}*y/d2
            x(0) = 0.994; y(0) = 0; vx(0) = 0; vy(0) = -2.00158510637908252
            """,
            arenstorf, (0.994, 0.0, 0.0, -2.00158510637908252), 17.0652165601579625588917206249,
            "R. F. Arenstorf, Amer. J. Math. 85 (1963) 27-35; numbers of Hairer, Nørsett & Wanner I, II.0",
            stiff=False,
        ),
        Problem(
            "van_der_pol", "van der Pol, 1e6",
            "x' = y; y' = ((1 - x*x)*y - x)*1e6; x(0) = 2; y(0) = 0",
            van_der_pol, (2.0, 0.0), 2.0,
            "Test Set for IVP Solvers, release 2.4, VDPOL; E. Hairer & G. Wanner, Solving ODEs II, IV.10", stiff=True,
        ),
    )  # fmt: skip
