"""End values of the suite's problems, to more digits than any run measured against them.

    python benchmarks/suite/references.py [NAME]...

They are computed by heyoka (F. Biscani & D. Izzo, MNRAS 504 (2021) 2614-2628), a Taylor
method of order about 22 in 80-bit floating point (64 bits of mantissa), at two
tolerances: their difference is the uncertainty.  Nothing of sciml_dsl takes part.  Where
an explicit method cannot go, ROBER and E5 are computed by implicit ones in 40 digits, by
collocation and by extrapolation; the values of POLLU are the published ones.  Published values of the
others are compared with what was computed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

HERE = Path(__file__).resolve().parent.parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

import numpy as np  # noqa: E402

from suite import collocation, extrapolation  # noqa: E402
from suite.problem import REFERENCES, Problem, problems  # noqa: E402

TEST_SET = "Test Set for IVP Solvers, release 2.4"
PUBLISHED: dict[str, tuple[str, dict[int, float]]] = {
    "rober": (
        f"{TEST_SET}, recomputed in quadruple precision",
        {0: 2.083340149701294e-08, 1: 8.333360770334783e-14, 2: 9.999999791665152e-01},
    ),
    "orego": (TEST_SET, {0: 1.000814870318523, 1: 1228.178521549917, 2: 132.0554942846706}),
    "van_der_pol": (TEST_SET, {0: 1.706167732170469, 1: -0.8928097010248125}),
    "hires": (
        TEST_SET,
        dict(
            enumerate(
                (
                    0.7371312573325668e-3, 0.1442485726316185e-3, 0.5888729740967575e-4, 0.1175651343283149e-2,
                    0.2386356198831331e-2, 0.6238968252742796e-2, 0.2849998395185769e-2, 0.2850001604814231e-2,
                )
            )
        ),
    ),
    "pollu": (
        f"{TEST_SET}, RADAU5 at rtol = atol = 1.1e-18 with a rounding unit of 1.01e-19",
        dict(
            enumerate(
                (
                    0.5646255480022769e-1, 0.1342484130422339, 0.4139734331099427e-8, 0.5523140207484359e-2,
                    0.2018977262302196e-6, 0.1464541863493966e-6, 0.7784249118997964e-1, 0.3245075353396018,
                    0.7494013383880406e-2, 0.1622293157301561e-7, 0.1135863833257075e-7, 0.2230505975721359e-2,
                    0.2087162882798630e-3, 0.1396921016840158e-4, 0.8964884856898295e-2, 0.4352846369330103e-17,
                    0.6899219696263405e-2, 0.1007803037365946e-3, 0.1772146513969984e-5, 0.5682943292316392e-4,
                )
            )
        ),
    ),
    "pleiades": (
        TEST_SET,
        {0: 0.3706139143970502, 1: 3.237284092057233, 6: -0.7003092922212495, 7: -3.943437585517392,
         13: 1.091449240428980, 14: 3.417003806314313, 27: -1.947020434263292},
    ),
    "akzo": (
        TEST_SET,
        {78: 0.2339942217046434e-3, 132: 0.3576835958481664e-3, 170: 0.3085949832350532e-3,
         198: 0.1173741304462833e-3, 199: 0.6190822732534586e-5},
    ),
}  # fmt: skip
COMPUTED_ELSEWHERE = {"pollu": 1e-13}
"""With their uncertainty."""
IMPLICIT = {"rober": (12, 24), "e5": (24, 48)}
"""Steps a decade.  E5: the values printed by the test set, 8.868e-23 and 8.855e-23 for two numbers that are equal,
are good to 2e-4; they went through rounding as four states."""


def end_value(problem: Problem, tolerance: float) -> list[np.longdouble]:
    """State at `t1` by heyoka in 80-bit numbers."""
    import heyoka

    wide = np.longdouble
    names = [f"u{i}" for i in range(problem.n)]
    symbols = heyoka.make_vars(*names) if problem.n > 1 else [heyoka.make_vars(*names)]
    state, t = np.array([wide(value) for value in problem.u0]), wide(0)
    for phase, end in enumerate(problem.ends):
        system = list(zip(symbols, problem.rhs(list(symbols), phase), strict=True))
        stepper: Any = heyoka.taylor_adaptive(
            system, state, time=t, tol=wide(tolerance), compact_mode=problem.n > 10, fp_type=wide
        )
        outcome = stepper.propagate_until(wide(end))[0]
        if outcome != heyoka.taylor_outcome.time_limit:
            raise RuntimeError(f"{problem.name}: heyoka ended with {outcome}")
        state, t = stepper.state.copy(), wide(end)
    return list(state)


def make(problem: Problem) -> dict[str, Any]:
    """Values, uncertainty and how they were found."""
    how, published = PUBLISHED.get(problem.name, ("", {}))
    if problem.name in COMPUTED_ELSEWHERE:
        return {
            "values": [published[i] for i in range(problem.n)],
            "uncertainty": COMPUTED_ELSEWHERE[problem.name],
            "how": how,
        }
    if problem.name in IMPLICIT:
        few, many = IMPLICIT[problem.name]
        loose, tight = (
            np.array([np.longdouble(str(x)) for x in collocation.end_value(problem, k)]) for k in (few, many)
        )
        method = f"Radau IIA of order 9 in 40 digits, {few} and {many} steps a decade"
    else:
        loose, tight = (np.array(end_value(problem, tolerance)) for tolerance in (1e-17, 1e-19))
        method = "heyoka 80-bit, tolerances 1e-17 and 1e-19"
    spread = np.abs(loose - tight) / (problem.floor + np.abs(tight))
    found = {
        "values": [float(value) for value in tight],
        "uncertainty": float(max(spread.max(), 2e-16)),
        "how": method,
    }
    if problem.name in IMPLICIT:
        other = np.array([np.longdouble(str(x)) for x in extrapolation.end_value(problem, IMPLICIT[problem.name][0])])
        gap = float((np.abs(other - tight) / (problem.floor + np.abs(tight))).max())
        found["second way"] = {"how": "extrapolated linearly implicit Euler in 40 digits", "difference": gap}
    if published:
        gap = max(abs(float(tight[i]) - value) / (problem.floor + abs(value)) for i, value in published.items())
        found["published"] = {"source": how, "difference": gap}
    return found


def main(names: list[str]) -> None:
    """Compute the named references, or all, and write them beside this file."""
    known = json.loads(REFERENCES.read_text(encoding="utf-8")) if REFERENCES.exists() else {}
    for name in names or list(problems()):
        began = perf_counter()
        known[name] = make(problems()[name])
        summary = {key: value for key, value in known[name].items() if key != "values"}
        print(f"{name}: {summary} ({perf_counter() - began:.1f} s)", flush=True)
        ordered = {key: known[key] for key in problems() if key in known}
        REFERENCES.write_text(json.dumps(ordered, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
