"""Stiff reaction systems, the generated network among them."""

from __future__ import annotations

from typing import Any

import numpy as np

from suite.problem import Problem

TEST_SET = "Test Set for IVP Solvers, release 2.4, Bari 2008"


def hires(u: Any, phase: int = 0) -> list[Any]:
    a, b, c, d, e, f, g, h = u
    made = 280.0 * f * h
    return [
        -1.71 * a + 0.43 * b + 8.32 * c + 0.0007,
        1.71 * a - 8.75 * b,
        -10.03 * c + 0.43 * d + 0.035 * e,
        8.32 * b + 1.71 * c - 1.12 * d,
        -1.745 * e + 0.43 * f + 0.43 * g,
        -made + 0.69 * d + 1.71 * e - 0.43 * f + 0.69 * g,
        made - 1.81 * g,
        -made + 1.81 * g,
    ]


HIRES = """
y1' = -1.71*y1 + 0.43*y2 + 8.32*y3 + 0.0007
y2' = 1.71*y1 - 8.75*y2
y3' = -10.03*y3 + 0.43*y4 + 0.035*y5
y4' = 8.32*y2 + 1.71*y3 - 1.12*y4
y5' = -1.745*y5 + 0.43*y6 + 0.43*y7
y6' = -280*y6*y8 + 0.69*y4 + 1.71*y5 - 0.43*y6 + 0.69*y7
y7' = 280*y6*y8 - 1.81*y7
y8' = -280*y6*y8 + 1.81*y7
y1(0) = 1; y2(0) = 0; y3(0) = 0; y4(0) = 0; y5(0) = 0; y6(0) = 0; y7(0) = 0; y8(0) = 0.0057
"""


def rober(u: Any, phase: int = 0) -> list[Any]:
    a, b, c = u
    first, second, third = 0.04 * a, 3e7 * b * b, 1e4 * b * c
    return [third - first, first - second - third, second]


def orego(u: Any, phase: int = 0) -> list[Any]:
    a, b, c = u
    return [77.27 * (b + a - a * b - 8.375e-6 * a * a), (c - (1.0 + a) * b) / 77.27, 0.161 * (a - c)]


def e5(u: Any, phase: int = 0) -> list[Any]:
    """Without its third state, which is b - d at all times.

    Kept as four states, c = b - d is lost to rounding beside reactions 1e13 times as fast as the
    last one, and in doubles the end values of no method have a digit that is right.
    """
    a, b, d = u
    c = b - d
    first, second, third, fourth = 7.89e-10 * a, 1.1e7 * a * c, 1.13e9 * b * c, 1.13e3 * d
    return [-first - second, first - third, second - fourth]


K = (
    0.35, 26.6, 12300.0, 0.00086, 0.00082, 15000.0, 0.00013, 24000.0, 16500.0, 9000.0, 0.022, 12000.0, 1.88,
    16300.0, 4800000.0, 0.00035, 0.0175, 1e8, 4.44e11, 1240.0, 2.1, 5.78, 0.0474, 1780.0, 3.12,
)  # fmt: skip
POLLU_RATES = (
    (1,), (2, 4), (5, 2), (7,), (7,), (7, 6), (9,), (9, 6), (11, 2), (11, 1), (13,), (10, 2), (14,), (1, 6), (3,),
    (4,), (4,), (16,), (16,), (17, 6), (19,), (19,), (1, 4), (19, 1), (20,),
)  # fmt: skip
"""Species whose product, with K, is the rate of each of the 25 reactions."""
POLLU_SUMS = (
    (-1, -10, -14, -23, -24, 2, 3, 9, 11, 12, 22, 25), (-2, -3, -9, -12, 1, 21), (-15, 1, 17, 19, 22),
    (-2, -16, -17, -23, 15), (-3, 4, 4, 6, 7, 13, 20), (-6, -8, -14, -20, 3, 18, 18), (-4, -5, -6, 13),
    (4, 5, 6, 7), (-7, -8), (-12, 7, 9), (-9, -10, 8, 11), (9,), (-11, 10), (-13, 12), (14,), (-18, -19, 16),
    (-20,), (20,), (-21, -22, -24, 23, 25), (-25, 24),
)  # fmt: skip
"""Reactions that make (+) or use (-) each of the 20 species."""
POLLU_U0 = {2: 0.2, 4: 0.04, 7: 0.1, 8: 0.3, 9: 0.01, 17: 0.007}


def pollu(u: Any, phase: int = 0) -> list[Any]:
    rates = []
    for k, species in zip(K, POLLU_RATES, strict=True):
        rate: Any = k
        for s in species:
            rate = rate * u[s - 1]
        rates.append(rate)
    out = []
    for terms in POLLU_SUMS:
        total: Any = 0.0
        for r in terms:
            total = total + rates[r - 1] if r > 0 else total - rates[-r - 1]
        out.append(total)
    return out


def _pollu_text() -> str:
    lines = [
        f"r{i} = {k!r}*" + "*".join(f"y{s}" for s in species)
        for i, (k, species) in enumerate(zip(K, POLLU_RATES, strict=True), 1)
    ]
    for i, terms in enumerate(POLLU_SUMS, 1):
        lines.append(f"y{i}' = " + " ".join(f"{'+' if r > 0 else '-'} r{abs(r)}" for r in terms))
    lines += [f"y{i}(0) = {POLLU_U0.get(i, 0)}" for i in range(1, 21)]
    return "\n".join(lines)


SPECIES, REACTIONS = 100, 500


def _network() -> list[tuple[float, tuple[int, ...], tuple[int, ...]]]:
    """Rate, reactants and products of each reaction: one or two species become one or two others.

    Rates are log-uniform over six decades.  A first ring of reactions joins all species.
    """
    random = np.random.default_rng(500)
    found = []
    for k in range(REACTIONS):
        rate = float(10.0 ** random.uniform(-3.0, 3.0))
        if k < SPECIES:
            found.append((rate, (k,), ((k + 1) % SPECIES,)))
            continue
        species = [int(s) for s in random.choice(SPECIES, size=4, replace=False)]
        many = int(random.integers(1, 3))
        found.append((rate, tuple(species[:many]), tuple(species[2 : 2 + many])))
    return found


def network(u: Any, phase: int = 0) -> list[Any]:
    out: list[Any] = [0.0] * SPECIES
    for k, reactants, products in _network():
        rate: Any = k
        for s in reactants:
            rate = rate * u[s]
        for s in reactants:
            out[s] = out[s] - rate
        for s in products:
            out[s] = out[s] + rate
    return out


def _network_start() -> tuple[float, ...]:
    return tuple(1.0 if i % 5 == 0 else 0.0 for i in range(SPECIES))


def _network_text() -> str:
    lines, sums = [], [""] * SPECIES
    for i, (k, reactants, products) in enumerate(_network()):
        lines.append(f"r{i} = {k!r}*" + "*".join(f"s{s}" for s in reactants))
        for s in reactants:
            sums[s] += f" - r{i}"
        for s in products:
            sums[s] += f" + r{i}"
    lines += [f"s{s}' ={total}" for s, total in enumerate(sums)]
    lines += [f"s{s}(0) = {value}" for s, value in enumerate(_network_start())]
    return "\n".join(lines)


def problems() -> tuple[Problem, ...]:
    """The problems of this file."""
    return (
        Problem(
            "rober", "ROBER to 1e11",
            "a' = 1e4*b*c - 0.04*a; b' = 0.04*a - 3e7*b*b - 1e4*b*c; c' = 3e7*b*b; a(0) = 1; b(0) = 0; c(0) = 0",
            rober, (1.0, 0.0, 0.0), 1e11, f"H. H. Robertson 1966; {TEST_SET}", stiff=True, floor=1e-8,
        ),
        Problem(
            "orego", "OREGO",
            "a' = 77.27*(b + a - a*b - 8.375e-6*a*a); b' = (c - (1 + a)*b)/77.27; c' = 0.161*(a - c)"
            "; a(0) = 1; b(0) = 2; c(0) = 3",
            orego, (1.0, 2.0, 3.0), 360.0, f"R. J. Field & R. M. Noyes 1974; {TEST_SET}", stiff=True,
        ),
        Problem(
            "e5", "E5 to 1e13",
            "c = b - d; r1 = 7.89e-10*a; r2 = 1.1e7*a*c; r3 = 1.13e9*b*c; r4 = 1.13e3*d"
            "; a' = -r1 - r2; b' = r1 - r3; d' = r2 - r4; a(0) = 1.76e-3; b(0) = 0; d(0) = 0",
            e5, (1.76e-3, 0.0, 0.0), 1e13,
            f"W. H. Enright, T. E. Hull & B. Lindberg 1975; {TEST_SET}; its third state eliminated", stiff=True,
            floor=1e-22,
        ),
        Problem(
            "hires", "HIRES", HIRES, hires, (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0057), 321.8122,
            f"E. Schäfer 1975; {TEST_SET}", stiff=True, floor=1e-4,
        ),
        Problem(
            "pollu", "POLLU", _pollu_text(), pollu, tuple(POLLU_U0.get(i, 0.0) for i in range(1, 21)), 60.0,
            f"J. G. Verwer, SIAM J. Sci. Comput. 15 (1994) 1243-1259; {TEST_SET}", stiff=True, floor=1e-6,
        ),
        Problem(
            "network", "500 reactions", _network_text(), network, _network_start(), 10.0,
            "generated here: 500 mass-action reactions of 100 species, rates over six decades", stiff=True, floor=1e-3,
        ),
    )  # fmt: skip
