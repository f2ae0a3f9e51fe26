"""Integration of models with algebraic equations, around the ordinary kernel.

Takes a model whose graph has a family of index-1 forms (`structure.index_one`);
gives trajectories through the same `run` as `Integrator`.  Between two points where
something happens, the kernel integrates one form (`pieces`).  Here states are made
consistent, at the start, after events and between the steps, and the sensitivities
that ride along with them (`algebraic_tangents`).
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, MissingValueError, UnsupportedError
from .algebraic_tangents import HOLDS, Tangents, solved
from .consistent import CLOSE, Evaluate, InconsistentError, newton
from .integrate import EMPTY, NO_COLUMNS, Integrator, Trajectory
from .many_unknowns import MANY, Unknowns
from .observe import observe
from .pieces import Form, Run, native
from .problem import NativeFunctions

if TYPE_CHECKING:
    from ..graph.system import System
    from ..model.model import Model
    from .choice import Choice

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
GUESSES = (0.0, 1.0, -1.0)  # where a search for what nothing is known of begins, in units of the known states


class AlgebraicIntegrator:
    """Integration of one model with equations `0 = ...`; `run` is that of `Integrator`.

    States whose start is NaN are found; given ones must fit the constraints, unless
    `initialization="project"` moves them to the nearest point that does.
    """

    def __init__(self, system: System) -> None:
        from ..codegen.native import compile_constraints, compile_system

        self._compile = compile_system
        self.family = system._memory["family"]
        self.names: tuple[str, ...] = self.family.reduced.names
        self.functions: NativeFunctions = compile_system(system)
        self.shown = len(self.family.original.states)
        self._unknown = np.zeros(self.family.n, bool)
        self._unknown[list(self.family.reduced.unknowns)] = True
        self._keep, value, jacobian = compile_constraints(self.family)
        self._addresses = value, jacobian
        self._value, self._jacobian = native(value), native(jacobian)
        self._forms: dict[int, Form] = {}
        self._first = self._compiled(system)

    def choice(self, method: str, rtol: Any = 1e-6, columns: bool = False, *more: Any) -> Choice:
        """As of `Integrator`."""
        form = self._first
        return (form.forward if columns else form.integrator).choice(method, rtol, columns, *more)

    @property
    def first(self) -> Integrator:
        """The kernel of the form chosen at the model's own initial values."""
        return self._first.integrator

    @cached_property
    def forward(self) -> NativeFunctions:
        """The functions of the model with those of forward sensitivities."""
        return self._first.forward_functions

    @cached_property
    def tangents(self) -> Tangents:
        """What sensitivities need, compiled when first used."""
        return Tangents(self.family, self.constraints)

    # ------------------------------------------------------------ constraints

    def constraints(self, t: float, u: Floats, p: Floats) -> tuple[Floats, Floats]:
        """All that vanishes (m,), hidden constraints first, and its Jacobian (m, n)."""
        value, entries = self._entries(t, u, p)
        return value, self.family.dense(entries.tolist())

    def _entries(self, t: float, u: Floats, p: Floats) -> tuple[Floats, Floats]:
        """All that vanishes (m,), and the entries of its Jacobian in the order of `family.jacobian`."""
        value = np.empty(len(self.family.constraints))
        entries = np.empty(len(self.family.jacobian))
        self._value(t, u.ctypes.data, p.ctypes.data, value.ctypes.data)
        self._jacobian(t, u.ctypes.data, p.ctypes.data, entries.ctypes.data)
        return value, entries

    @cached_property
    def _many(self) -> Unknowns | None:
        """Sparse linear algebra for the unknowns, where there are many."""
        reduced = self.family.reduced
        if len(reduced.unknowns) < MANY:
            return None
        return Unknowns(self.family.jacobian, len(reduced.hidden), reduced.unknowns)

    def start(
        self, t: float, given: Floats, p: Floats, initialization: str = "check", guess: Floats = EMPTY
    ) -> Floats:
        """A consistent state (n,) from initial values with NaN for those not given.

        Those of unknowns are starting guesses; `guess` (n,) holds those of states, NaN for none.
        Raises `InputError` where given values contradict the constraints, `MissingValueError` where
        what is missing has no or no unique value.
        """
        if initialization not in ("check", "project"):
            raise InputError(f'initialization must be "check" or "project", got {initialization!r}')
        u = np.full(self.family.n, math.nan)
        u[: given.size] = given
        if len(self.family.reduced.hidden):
            u = self._differential(t, u, p, initialization == "project", guess)
        elif np.isnan(u[~self._unknown]).any():
            raise self._open(np.flatnonzero(np.isnan(u) & ~self._unknown), None)
        return self._algebraic(t, u, p)

    def start_columns(
        self, t: float, u: Floats, given: Floats, p: Floats, s0: Floats, columns: Indices, initialization: str
    ) -> Floats:
        """The columns (n, c) of the state `u` that `start` found from `given`, where those given have `s0`.

        Raises `InputError` where the given values satisfy the constraints only as long as nothing changes.
        """
        s = np.zeros((self.family.n, columns.size))
        s[: s0.size // columns.size] = s0.reshape(-1, columns.size)
        whole = np.full(self.family.n, math.nan)
        whole[: given.size] = given
        fixed = np.isfinite(whole) & ~self._unknown
        project = initialization == "project"
        if project and (np.abs(whole - u)[fixed] > CLOSE * (np.abs(u[fixed]) + 1e-300)).any():
            raise UnsupportedError(
                'sensitivities do not go through initialization="project" where it moves initial values',
                hint="leave out the initial values that shall follow the others, and they are computed",
            )
        free = ~self._unknown if project else ~(self._unknown | fixed)
        s[~fixed] = 0.0
        try:
            s, left = self.tangents.onto(t, u, p, s, columns, free)
        except np.linalg.LinAlgError as error:
            raise self._dependent(t, error) from error
        if left.size and left.max() > HOLDS:
            row, c = np.unravel_index(int(np.argmax(left)), left.shape)
            states = [self.names[j] for (i, j) in self.family.jacobian if i == row and fixed[j]]
            listed = ", ".join(f"{name}(0)" for name in states[:6])
            what = f"`{self.family.original.parameters[columns[c]]}`" if columns[c] >= 0 else "one of them alone"
            raise InconsistentError(
                f"the initial values {listed} satisfy {self.family.describe(int(row))} only as they are: where {what} "
                f"changes they no longer do, so there is no derivative; leave out one of them "
                f"({states[-1]}(0)) and it is computed, or write it with the parameters"
            )
        return s

    def _differential(self, t: float, u: Floats, p: Floats, project: bool, near: Floats) -> Floats:
        """`u` with the states that have a derivative completed so that the hidden constraints hold."""
        missing = np.isnan(u) & ~self._unknown
        unit = float(np.nanmax(np.abs(u[~self._unknown]), initial=0.0)) or 1.0
        solutions: list[Floats] = []
        closest: Floats | None = None
        wanted = np.where(np.isnan(u), near, u) if near.size else u
        for guess in GUESSES:
            begin = np.where(np.isnan(wanted), guess * unit, wanted)
            point = newton(self._hidden(t, p), begin, ~self._unknown if project else missing)
            relative = np.nan_to_num(point.relative, nan=np.inf)
            if point.converged or (relative <= CLOSE).all():
                point = newton(self._hidden(t, p), point.u, ~self._unknown)
            if point.converged:
                solutions.append(np.where(self._unknown, u, point.u))
            elif closest is None or relative.max() < closest.max():
                closest = relative
            if not missing.any() or (solutions and not np.isnan(wanted[missing]).any()):
                break
        if not solutions:
            assert closest is not None
            raise self._contradiction(t, u, closest)
        if missing.any():
            begin = np.where(np.isnan(solutions[0]), 0.0, solutions[0])
            rows = self._hidden(t, p)(begin)[1][:, missing]
            count = int(missing.sum()) - int(np.linalg.matrix_rank(rows / (np.abs(rows).max() or 1.0), tol=1e-10))
            if count:
                raise self._open(np.flatnonzero(missing), count)
        for other in solutions[1:]:
            for i in np.flatnonzero(missing & (np.abs(other - solutions[0]) > 1e-6 * (np.abs(other) + unit))):
                name, values = self.names[i], (solutions[0][i], other[i])
                raise MissingValueError(
                    f"no initial value for `{name}`, and the algebraic equations leave a choice: {values[0]:.6g} "
                    f"or {values[1]:.6g}; write {name}(0) = {values[0]:.6g} or {name}(0) = {values[1]:.6g}"
                )
        return solutions[0]

    def _algebraic(self, t: float, u: Floats, p: Floats) -> Floats:
        """`u` with the unknowns solved for, from their guesses."""
        known = u[~self._unknown]
        unit = float(np.abs(known).max(initial=0.0)) or 1.0
        closest: Floats | None = None
        for guess in GUESSES:
            begin = np.where(np.isnan(u), guess * unit, u)
            found = None if self._many is None else self._many.newton(self._entries, t, begin, p)
            if found is not None:
                return found
            point = newton(self._active(t, p), begin, self._unknown)
            if point.converged:
                return point.u
            relative = np.nan_to_num(point.relative, nan=np.inf)
            if closest is None or relative.max() < closest.max():
                closest = relative
            if not np.isnan(u).any():
                break
        assert closest is not None
        hidden = len(self.family.reduced.hidden)
        which = self.family.describe(hidden + int(np.argmax(closest)))
        names = ", ".join(f"`{self.names[i]}`" for i in self.family.reduced.unknowns[:5])
        what = "has no finite value" if not np.isfinite(closest).all() else "has no solution near the guesses"
        raise InconsistentError(
            f"{which} {what} at t = {t:g} (searching for {names}); give starting guesses, in the model or as u0: "
            f"{self.names[self.family.reduced.unknowns[0]]}(0) = 1"
        )

    def _hidden(self, t: float, p: Floats) -> Evaluate:
        count = len(self.family.reduced.hidden)

        def evaluate(u: Floats) -> tuple[Floats, Floats]:
            value, jacobian = self.constraints(t, np.where(np.isnan(u), 0.0, u), p)
            return value[:count], jacobian[:count]

        return evaluate

    def _active(self, t: float, p: Floats) -> Evaluate:
        count = len(self.family.reduced.hidden)

        def evaluate(u: Floats) -> tuple[Floats, Floats]:
            value, jacobian = self.constraints(t, u, p)
            return value[count:], jacobian[count:]

        return evaluate

    def after_event(
        self, t: float, u: Floats, p: Floats, assigned: NDArray[np.bool_]
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """A consistent state after a change: what was assigned stays if it can, the rest moves little.

        Returns it, and which of the states with a derivative could move.
        """
        free = ~self._unknown
        if len(self.family.reduced.hidden):
            for free in (~assigned & ~self._unknown, ~self._unknown):
                point = newton(self._hidden(t, p), u, free)
                if point.converged:
                    u = point.u
                    break
            else:
                raise InconsistentError(
                    f"after the event at t = {t:g} no states nearby satisfy the algebraic equations; "
                    "let the event change the states so that they fit"
                )
        return self._algebraic(t, u, p), free

    def _open(self, which: NDArray[np.int64], count: int | None) -> MissingValueError:
        names = ", ".join(f"`{self.names[i]}`" for i in which[:8])
        first = self.names[which[0]]
        if count is None or count == len(which):
            return MissingValueError(f"no initial value for {names}; write {first}(0) = 1 in the model, or give u0")
        return MissingValueError(
            f"no initial value for {names}: the algebraic equations leave {count} of them open; give "
            f"{'one' if count == 1 else count} of them, in the model or as u0"
        )

    def _contradiction(self, t: float, u: Floats, relative: Floats) -> InconsistentError:
        worst = int(np.argmax(relative))
        which = self.family.describe(worst)
        if not np.isfinite(relative).all():
            return InconsistentError(
                f"{which} has no finite value at the initial values (t = {t:g}); look for a division by zero"
            )
        given = [self.names[j] for (i, j) in self.family.jacobian if i == worst and np.isfinite(u[j])]
        listed = ", ".join(f"{name}(0)" for name in given[:6]) or "the missing ones"
        return InconsistentError(
            f"the initial values {listed} do not satisfy {which} (t = {t:g}; it is off by {relative[worst]:.2g} of "
            "its size): leave out one of them and it is computed, or move them to the nearest point that fits "
            'with initialization="project"'
        )

    # ------------------------------------------------------------ between the steps

    def refine(self, t: Floats, u: Floats, p: Floats) -> Floats:
        """States (T, n) interpolated between steps, moved onto the constraints.

        An interpolant is less exact than the steps, most of all in the unknowns.  Two steps of
        Newton's method for each row: of least norm onto the hidden constraints, then for the
        unknowns.  A row for which that would be more than a small correction stays as it is.
        """
        return self.refine_columns(t, u, np.empty((len(t), 0)), p, NO_COLUMNS)[0]

    def refine_columns(self, t: Floats, u: Floats, s: Floats, p: Floats, columns: Indices) -> tuple[Floats, Floats]:
        """`refine`, and the same of the sensitivities `s` (T, n c)."""
        u, s = u.copy(), s.copy()
        m, n, c = len(self.family.constraints), self.family.n, columns.size
        room = max(1, 2_000_000 // max(1, m * n, n * c))
        for first in range(0, len(t), room):
            rows = slice(first, first + room)
            times = np.ascontiguousarray(t[rows])
            u[rows], near = self._refined(times, u[rows], p)
            if c:
                jacobian = self._constraints_at(times, u[rows], p)[1]
                columns_at = s[rows].reshape(-1, n, c)
                moved = self.tangents.refined(times, u[rows], jacobian, columns_at, p, columns)
                s[rows] = np.where(near[:, None, None], moved, columns_at).reshape(-1, n * c)
        return u, s

    def _refined(self, t: Floats, u: Floats, p: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        hidden, unknowns = len(self.family.reduced.hidden), list(self.family.reduced.unknowns)
        scale = np.maximum(np.abs(u).max(axis=0), 1e-3 * np.abs(u).max(initial=1e-300))
        moved = u.copy()
        with np.errstate(all="ignore"):
            for _ in range(2 if hidden else 0):
                value, jacobian = self._constraints_at(t, moved, p)
                rows = jacobian[:, :hidden] * scale
                rows[:, :, unknowns] = 0.0
                moved -= scale * np.einsum(
                    "tij,ti->tj", rows, solved(rows @ rows.mT, value[:, :hidden, None])[..., 0]
                )
            if self._many is not None:
                moved = self._many.refine(self._entries, t, moved, p)
            for _ in range(0 if self._many is not None else 2):
                value, jacobian = self._constraints_at(t, moved, p)
                moved[:, unknowns] -= solved(jacobian[:, hidden:, unknowns], value[:, hidden:, None])[..., 0]
            near = (np.abs(moved - u) <= 0.05 * scale).all(axis=1)
        return np.where(near[:, None], moved, u), near

    def _constraints_at(self, t: Floats, u: Floats, p: Floats) -> tuple[Floats, Floats]:
        """Constraints (T, m) and their Jacobians (T, m, n)."""
        u = np.ascontiguousarray(u)
        entries = observe(self._addresses[1], len(self.family.jacobian), t, u, p)
        jacobian = np.zeros((len(t), len(self.family.constraints), self.family.n))
        places = np.array(list(self.family.jacobian)).reshape(-1, 2)
        jacobian[:, places[:, 0], places[:, 1]] = entries
        return observe(self._addresses[0], len(self.family.constraints), t, u, p), jacobian

    # ------------------------------------------------------------ running

    def run(
        self,
        u0: Floats,
        p: Floats,
        t0: float,
        t1: float,
        *,
        method: str = "auto",
        saveat: Floats = EMPTY,
        tstops: Floats = EMPTY,
        s0: Floats = EMPTY,
        columns: Any = NO_COLUMNS,
        save_steps: bool = False,
        dense: bool = False,
        record: bool = False,
        max_steps: int = 100_000,
        initialization: str = "check",
        guess: Floats = EMPTY,
        whole: bool = False,
        **options: Any,
    ) -> Trajectory:
        """As `Integrator.run`, forwards only; steps are not recorded.

        `u0` (n) or those of the model's own states, NaN for what is to be computed, from `guess` where
        that has a number; `s0` belongs to those given.  `whole`: states that index reduction added
        are part of the result.
        """
        if record:
            raise UnsupportedError("steps of models with algebraic equations are not recorded")
        if t1 < t0:
            raise UnsupportedError("models with algebraic equations are integrated forwards only")
        u = self.start(t0, u0, p, initialization, guess)
        s = np.empty((u.size, 0))
        if columns.size:
            s = self.start_columns(t0, u, u0, p, s0, columns, initialization)
        run = Run(self, p, t1, method, saveat, tstops, save_steps, dense, max_steps, columns, s, options)
        return run.trajectory(t0, u, self.family.n if whole else self.shown)

    def form(self, t: float, u: Floats, p: Floats) -> Form:
        """The form whose dummies suit this point."""
        if not self.family.reduced.hidden:
            return self._first
        try:
            system = self.family.system(self.constraints(t, u, p)[1], u)
        except np.linalg.LinAlgError as error:
            raise self._dependent(t, error) from error
        return self._compiled(system)

    @staticmethod
    def _dependent(t: float, error: Exception) -> InconsistentError:
        return InconsistentError(
            f"at t = {t:g} the algebraic equations depend on each other ({error}), so they do not determine "
            "the states; start elsewhere, or look for an equation that repeats another"
        )

    def _compiled(self, system: System) -> Form:
        found = self._forms.get(id(system))
        if found is None:
            found = self._forms[id(system)] = Form(self._compile(system), system)
        return found


def integrator(model: Model, weights: bool = False) -> AlgebraicIntegrator:
    """The integrator of a model with algebraic equations, made once.

    With `weights` networks are written out, and the sensitivity columns behind those of the
    parameters are those of the weights.
    """
    kept = model.__dict__.setdefault("_algebraic_integrators", {})
    if weights not in kept:
        kept[weights] = AlgebraicIntegrator(_with_weights(model) if weights else model.system)
    return kept[weights]  # type: ignore[no-any-return]


def _with_weights(model: Model) -> System:
    from ..graph.build import lower
    from ..graph.written_networks import written
    from ..structure.index_one import default_system

    given = dict(model.spec.weights)
    p = [math.nan if q.default is None else q.default for q in model.spec.parameters]
    for net in model.spec.networks:
        p += given.get(net.name) or [math.nan] * net.n_weights
    return default_system(written(lower(model.spec)), p)
