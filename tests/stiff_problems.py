"""Stiff initial value problems with published end values.

F. Mazzia & C. Magherini, Test Set for Initial Value Problem Solvers, release 2.4, University of Bari 2008;
E. Hairer & G. Wanner, Solving Ordinary Differential Equations II, IV.10 (VDPOL, ROBER, OREGO, HIRES, E5).
Equations and values were compared between the test set's Fortran and second sources (deTestSet for R,
the problem collections of other solvers).  Values of HIRES, OREGO, ROBER, VDPOL and Chemical Akzo Nobel
are recomputed in quadruple precision; the last digits the test set prints for OREGO and ROBER are wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import sciml_dsl as sd
from sciml_dsl.model.model import Model


@dataclass(frozen=True)
class Problem:
    """`end`: values at `t1` by state; `zero`: the size below which a value counts as zero (the absolute tolerance)."""

    text: str
    u0: tuple[float, ...]
    t1: float
    end: dict[str, float]
    zero: float = 1e-6

    def model(self) -> Model:
        return sd.model(self.text)

    def error(self, sol: sd.Solution) -> float:
        """Largest relative error of the end values."""
        assert sol.success and sol.t[-1] == self.t1
        return max(abs(float(sol[name][-1]) / value - 1.0) for name, value in self.end.items())


def _numbered(*values: float) -> dict[str, float]:
    return {f"y{i}": value for i, value in enumerate(values, 1)}


def _pollution() -> str:
    k = (
        ".35 26.6 12300 .00086 .00082 15000 .00013 24000 16500 9000 .022 12000 1.88 16300 4800000 .00035 .0175 1e8 "
        "4.44e11 1240 2.1 5.78 .0474 1780 3.12"
    ).split()
    who = (
        "y1 y2*y4 y5*y2 y7 y7 y7*y6 y9 y9*y6 y11*y2 y11*y1 y13 y10*y2 y14 y1*y6 y3 y4 y4 y16 y16 y17*y6 y19 y19 "
        "y1*y4 y19*y1 y20"
    ).split()
    rates = [f"r{i} = {a}*{b}" for i, (a, b) in enumerate(zip(k, who, strict=True), 1)]
    sums = (
        "-r1-r10-r14-r23-r24+r2+r3+r9+r11+r12+r22+r25 -r2-r3-r9-r12+r1+r21 -r15+r1+r17+r19+r22 -r2-r16-r17-r23+r15 "
        "-r3+2*r4+r6+r7+r13+r20 -r6-r8-r14-r20+r3+2*r18 -r4-r5-r6+r13 r4+r5+r6+r7 -r7-r8 -r12+r7+r9 -r9-r10+r8+r11 r9 "
        "-r11+r10 -r13+r12 r14 -r18-r19+r16 -r20 r20 -r21-r22-r24+r23+r25 -r25+r24"
    ).split()
    return "\n".join([*rates, *(f"y{i}' = {s}" for i, s in enumerate(sums, 1))])


def _medical_akzo(cells: int = 200) -> str:
    """A tracer enters tissue: diffusion on a stretched grid, and a reaction; the inflow stops at t = 5."""
    dz = 1.0 / cells
    lines = ["inflow = if t <= 5 then 2 else 0"]
    for j in range(1, cells + 1):
        z = j * dz
        a, b = 2.0 * (z - 1.0) ** 3 / 16.0, (z - 1.0) ** 4 / 16.0
        left = "inflow" if j == 1 else f"u{j - 1}"
        flow = ""
        if j < cells:
            flow = f"{a / (2 * dz)!r}*(u{j + 1} - {left}) + {b / dz**2!r}*({left} - 2*u{j} + u{j + 1})"
        lines += [f"u{j}' = {flow} - 100*u{j}*v{j}", f"v{j}' = -100*u{j}*v{j}"]
    return "\n".join(lines)


PROBLEMS = {
    "hires": Problem(
        """
        y1' = -1.71*y1 + 0.43*y2 + 8.32*y3 + 0.0007
        y2' = 1.71*y1 - 8.75*y2
        y3' = -10.03*y3 + 0.43*y4 + 0.035*y5
        y4' = 8.32*y2 + 1.71*y3 - 1.12*y4
        y5' = -1.745*y5 + 0.43*(y6 + y7)
        y6' = -280*y6*y8 + 0.69*y4 + 1.71*y5 - 0.43*y6 + 0.69*y7
        y7' = 280*y6*y8 - 1.81*y7
        y8' = -280*y6*y8 + 1.81*y7
        """,
        (1, 0, 0, 0, 0, 0, 0, 0.0057),
        321.8122,
        _numbered(
            7.371312573325667e-4, 1.4424857263161848e-4, 5.888729740967575e-5, 1.175651343283149e-3,
            2.3863561988313304e-3, 6.2389682527427956e-3, 2.8499983951857685e-3, 2.8500016048142313e-3,
        ),
        1e-4,
    ),
    "orego": Problem(
        "y1' = 77.27*(y2 + y1 - y1*y2 - 8.375e-6*y1^2); y2' = (y3 - (1 + y1)*y2)/77.27; y3' = 0.161*(y1 - y3)",
        (1, 2, 3),
        360.0,
        _numbered(1.0008148703185227, 1228.178521549888, 132.05549428465082),
    ),
    "rober": Problem(
        "r = 0.04*y1 - 1e4*y2*y3; y1' = -r; y2' = r - 3e7*y2^2; y3' = 3e7*y2^2",
        (1, 0, 0),
        1e11,
        _numbered(2.083340149701294e-8, 8.333360770334784e-14, 0.9999999791665152),
        1e-8,
    ),
    "vdpol": Problem(
        "x' = y; y' = 1000*(1 - x^2)*y - x", (2, 0), 2000.0, {"x": 1.706167732170465, "y": -8.928097010248165e-4}, 1e-3
    ),
    "vdpol_scaled": Problem(
        "x' = y; y' = ((1 - x^2)*y - x)/1e-6", (2, 0), 2.0, {"x": 1.706167732170465, "y": -0.8928097010248165}, 1.0
    ),
    "pollu": Problem(
        _pollution(),
        (0, 0.2, 0, 0.04, 0, 0, 0.1, 0.3, 0.01, 0, 0, 0, 0, 0, 0, 0, 0.007, 0, 0, 0),
        60.0,
        _numbered(
            0.5646255480022769e-1, 0.1342484130422339, 0.4139734331099427e-8, 0.5523140207484359e-2,
            0.2018977262302196e-6, 0.1464541863493966e-6, 0.7784249118997964e-1, 0.3245075353396018,
            0.7494013383880406e-2, 0.1622293157301561e-7, 0.1135863833257075e-7, 0.2230505975721359e-2,
            0.2087162882798630e-3, 0.1396921016840158e-4, 0.8964884856898295e-2, 0.4352846369330103e-17,
            0.6899219696263405e-2, 0.1007803037365946e-3, 0.1772146513969984e-5, 0.5682943292316392e-4,
        ),
        1e-14,
    ),
    # y2 - y3 - y4 is zero at all times, y4 vanishes, and y2 was 1e17 times as large before: kept as four
    # states, rounding decides which of y2 and y3 survives.  The values printed by the test set
    # (8.868e-23 and 8.855e-23) show that.  With three states the value is that of two ways in 40 digits
    # (benchmarks/suite/references.py).
    "e5": Problem(
        """
        a = 7.89e-10*y1; b = 1.1e7*y1*y3; c = 1.13e9*y2*y3; d = 1.13e3*y4
        y1' = -a - b; y2' = a - c; y4' = b - d
        y3 = y2 - y4
        """,
        (1.76e-3, 0, 0),
        1e13,
        {"y2": 8.861233521290992e-23, "y3": 8.861233521290992e-23},  # y1 is 1e-291
        1e-18,
    ),
    "akzo": Problem(
        """
        r1 = 18.7*y1^4*sqrt(y2); r2 = 0.58*y3*y4; r3 = 0.58/34.4*y1*y5; r4 = 0.09*y1*y4^2
        r5 = 0.42*(115.83*y1*y4)^2*sqrt(y2); fin = 3.3*(0.9/737 - y2)
        y1' = -2*r1 + r2 - r3 - r4; y2' = -0.5*r1 - r4 - 0.5*r5 + fin
        y3' = r1 - r2 + r3; y4' = -r2 + r3 - 2*r4; y5' = r2 - r3 + r5
        """,
        (0.444, 0.00123, 0, 0.007, 0),
        180.0,
        _numbered(
            0.11507949206617021, 0.001203831471567715, 0.16115628874079743, 3.656156421249283e-4, 0.017080108852644042
        ),
        1e-4,
    ),
    "medakzo": Problem(
        _medical_akzo(),
        (0, 1) * 200,
        20.0,
        {
            "u40": 0.2339942217046434e-3, "u67": 0.3576835958481664e-3, "u86": 0.3085949832350532e-3,
            "u100": 0.1173741304462833e-3, "v200": 1.0,
        },
        1e-4,
    ),
}  # fmt: skip
