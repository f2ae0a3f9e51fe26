"""Symplectic methods for separable Hamiltonians: kicks and drifts in turn, as a method by address.

States fall into positions, whose derivatives depend on momenta (and time) only, and momenta,
whose derivatives depend on positions only; `partition` finds the two from the pattern of the
Jacobian.  Each stage is a kick, p += b_i h p'(q), and a drift, q += a_i h q'(p).  E. Hairer,
C. Lubich & G. Wanner, Geometric Numerical Integration, 2nd edition (2006), I.1, II.5 and VI.3.

Own doubles: drift coefficients (s), kick coefficients (s), slope at (t, u) (n), slope at the end
(n), slope of a stage (n).  Own integers: s, whether a slope is ready, then 1 for each momentum (n).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from . import abi

if TYPE_CHECKING:
    from ..problem import NativeFunctions

STAGES, READY, MOMENTA = range(3)


@dataclass(frozen=True)
class Splitting:
    """Coefficients: a kick by `kicks[i]`, then a drift by `drifts[i]`, stage by stage."""

    kicks: tuple[float, ...]
    drifts: tuple[float, ...]

    def doubles(self, n: int) -> int:
        """Size of the method's own doubles."""
        return 2 * len(self.kicks) + 3 * n

    def integers(self, n: int) -> int:
        """Size of its own integers."""
        return MOMENTA + n

    def fill(self, work: NDArray[np.float64], iwork: NDArray[np.int64], n: int) -> None:
        """Write the coefficients into the memory of a method."""
        s = len(self.kicks)
        work[:s], work[s : 2 * s] = self.drifts, self.kicks
        iwork[STAGES] = s


def composed(weights: tuple[float, ...]) -> Splitting:
    """The composition of Verlet steps of relative sizes `weights`, neighbouring half kicks joined."""
    ends = (0.0, *weights, 0.0)
    kicks = tuple((left + right) / 2 for left, right in pairwise(ends))
    return Splitting(kicks, (*weights, 0.0))


def momenta(functions: NativeFunctions, name: str) -> NDArray[np.int64]:
    """(n,) 1 for momenta, 0 for positions; in each group of coupled states the first is a position.

    Raises `InputError` where the model does not fall into two such halves.
    """
    if functions.extend is not None and functions.jac_indptr is None:
        functions = functions.extend("sparse")
    if functions.jac_indptr is None or functions.jac_indices is None:
        raise InputError(f'method "{name}" needs to know which state depends on which, which is not known here')
    n = functions.n
    neighbours: list[set[int]] = [set() for _ in range(n)]
    for i in range(n):
        for j in functions.jac_indices[functions.jac_indptr[i] : functions.jac_indptr[i + 1]]:
            neighbours[i].add(int(j))
            neighbours[int(j)].add(i)
    kind = np.full(n, -1, np.int64)
    for start in range(n):
        if kind[start] >= 0:
            continue
        kind[start] = 0
        waiting = [start]
        while waiting:
            i = waiting.pop()
            for j in neighbours[i]:
                if kind[j] < 0:
                    kind[j] = 1 - kind[i]
                    waiting.append(j)
                elif kind[j] == kind[i]:
                    a, b = functions.state_name(i), functions.state_name(j)
                    why = f"the derivative of {a} depends on itself"
                    if i != j:
                        why = f"{a} and {b} would both have to be of one kind and depend on each other"
                    raise InputError(
                        f'method "{name}" is for separable Hamiltonians, where positions change with momenta only and '
                        f'momenta with positions only (no friction), but {why}; use method="auto"'
                    )
    return kind


def _build(version: int) -> Any:
    from numba import carray

    from ..call import call_at
    from ..compiled import METHOD_SIGNATURE
    from ..stored import stored_callback

    anything = (1 << 40,)

    @stored_callback(METHOD_SIGNATURE, error_model="numpy", fastmath={"contract"})
    def method(task: int, fn_: Any, reals_: Any, ints_: Any, u_: Any, p_: Any, work_: Any, iwork_: Any) -> None:
        n, own = ints_[abi.N], ints_[abi.AT_OWN]
        iown = ints_[abi.AT_IOWN] + version - version
        work, u, p = carray(work_, anything), carray(u_, anything), carray(p_, anything)
        t, h, f = reals_[abi.T], reals_[abi.H], fn_[abi.F]
        s = iwork_[iown + STAGES]
        kicks, start = own + s, own + 2 * s
        end, slope = start + n, start + 2 * n
        new = ints_[abi.AT_NEW]

        if task == abi.START:
            iwork_[iown + READY] = 0
        elif task == abi.ACCEPT:
            for i in range(n):
                work[start + i] = work[end + i]
            iwork_[iown + READY] = 1
        elif task == abi.ATTEMPT:
            if iwork_[iown + READY] == 0:
                call_at(f, t, u, 0, p, work, start)
                ints_[abi.COUNT_F] += 1
                iwork_[iown + READY] = 1
            for i in range(n):
                work[new + i] = u[i]
                work[slope + i] = work[start + i]
            drifted = 0.0
            kicked = 0.0
            fresh = True  # the slopes in `slope` are those of the positions now
            for stage in range(s):
                kick, drift = work[kicks + stage], work[own + stage]
                if kick != 0.0:
                    if not fresh:
                        call_at(f, t + drifted * h, work, new, p, work, slope)
                        ints_[abi.COUNT_F] += 1
                    for i in range(n):
                        if iwork_[iown + MOMENTA + i] != 0:
                            work[new + i] += kick * h * work[slope + i]
                    kicked += kick
                if drift != 0.0:
                    call_at(f, t + kicked * h, work, new, p, work, slope)
                    ints_[abi.COUNT_F] += 1
                    for i in range(n):
                        if iwork_[iown + MOMENTA + i] == 0:
                            work[new + i] += drift * h * work[slope + i]
                    drifted += drift
                    fresh = False
            call_at(f, t + h, work, new, p, work, end)
            ints_[abi.COUNT_F] += 1
            reals_[abi.ERROR] = 0.0
            reals_[abi.FACTOR] = 1.0
            for i in range(n):
                if not np.isfinite(work[end + i]):
                    reals_[abi.ERROR] = np.nan
        elif task == abi.DENSE:  # the cubic through both ends and their slopes
            poly = ints_[abi.AT_POLY]
            for i in range(n):
                step = work[new + i] - u[i]
                first, last = h * work[start + i], h * work[end + i]
                work[poly + i] = u[i]
                work[poly + n + i] = first
                work[poly + 2 * n + i] = 3.0 * step - 2.0 * first - last
                work[poly + 3 * n + i] = first + last - 2.0 * step

    return method


@cache
def _compiled() -> Any:
    from ..compiled import source_digest

    return _build(source_digest())


def address() -> int:
    """The compiled method's."""
    return int(_compiled().address)
