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
from ..graph.evaluate import values
from ..graph.forcing import frequencies
from .algebraic_tangents import HOLDS, Tangents, solved
from .consistent import CLOSE, Evaluate, InconsistentError, nearest, newton, sizes
from .integrate import EMPTY, NO_COLUMNS, Integrator, Trajectory
from .many_unknowns import MANY, Unknowns
from .observe import observe
from .pieces import Form, Run, native
from .problem import NativeFunctions
from .settle import settle

if TYPE_CHECKING:
    from ..graph.system import System
    from ..model.model import Model
    from .choice import Choice

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
STEPS_OF_A_PERIOD = 16  # of a forcing, at least: shorter than the pulses that follow from it
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
        self.unknown = np.zeros(self.family.n, bool)
        self.unknown[list(self.family.reduced.unknowns)] = True
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

    @cached_property
    def _frequencies(self) -> tuple[int, ...]:
        system = self.family.original
        return frequencies(system.graph, system.rhs, system.time_leaf)

    def longest_step(self, t0: float, t1: float, p: Floats) -> float:
        """A part of the shortest period with which a forcing acts, infinite where none does."""
        nodes = self._frequencies
        if not nodes:
            return math.inf
        times = [t0] if t0 == t1 else np.linspace(t0, t1, 33).tolist()
        found = [values(self.family.original.graph, nodes, t, (), p.tolist()) for t in times]
        fastest = float(np.max(np.nan_to_num(np.abs(found), nan=0.0, posinf=0.0)))
        return 2.0 * math.pi / (STEPS_OF_A_PERIOD * fastest) if fastest > 0.0 else math.inf

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
        elif np.isnan(u[~self.unknown]).any():
            raise self._open(np.flatnonzero(np.isnan(u) & ~self.unknown), None)
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
        fixed = np.isfinite(whole) & ~self.unknown
        project = initialization == "project"
        if project and (np.abs(whole - u)[fixed] > CLOSE * (np.abs(u[fixed]) + 1e-300)).any():
            raise UnsupportedError(
                'sensitivities do not go through initialization="project" where it moves initial values',
                hint="leave out the initial values that shall follow the others, and they are computed",
            )
        free = ~self.unknown if project else ~(self.unknown | fixed)
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
        missing = np.isnan(u) & ~self.unknown
        unit = float(np.nanmax(np.abs(u[~self.unknown]), initial=0.0)) or 1.0
        solutions: list[Floats] = []
        closest: Floats | None = None
        wanted = np.where(np.isnan(u), near, u) if near.size else u
        for guess in GUESSES:
            begin = np.where(np.isnan(wanted), guess * unit, wanted)
            if project:
                point = nearest(self._hidden(t, p), begin, ~self.unknown)
            else:
                point = newton(self._hidden(t, p), begin, missing)
            relative = np.nan_to_num(point.relative, nan=np.inf)
            if point.converged or (relative <= CLOSE).all():
                point = newton(self._hidden(t, p), point.u, ~self.unknown)
            if point.converged:
                solutions.append(np.where(self.unknown, u, point.u))
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
        """`u` with the unknowns solved for, from their guesses; the solution nearest to 0 where they have none.

        Raises `MissingValueError` where two are as near, `InconsistentError` where there is none or
        the equations do not determine it.
        """
        known = u[~self.unknown]
        unit = float(np.abs(known).max(initial=0.0)) or 1.0
        guessed = ~np.isnan(u).any()
        closest: Floats | None = None
        solutions: list[Floats] = []
        for guess in GUESSES:
            begin = np.where(np.isnan(u), guess * unit, u)
            found = None if self._many is None else self._many.newton(self._entries, t, begin, p)
            if found is not None:
                return found
            point = newton(self._active(t, p), begin, self.unknown)
            if point.converged:
                solutions.append(point.u)
                if guessed or guess == 0.0:
                    break
                continue
            relative = np.nan_to_num(point.relative, nan=np.inf)
            if closest is None or relative.max() < closest.max():
                closest = relative
            if guessed:
                break
        if solutions:
            self._only_one(t, u, solutions, unit)
            self._determined(t, solutions[0], p)
            return solutions[0]
        assert closest is not None
        hidden = len(self.family.reduced.hidden)
        which = self.family.describe(hidden + int(np.argmax(closest)))
        names = ", ".join(f"`{self.names[i]}`" for i in self.family.reduced.unknowns[:5])
        what = "has no finite value" if not np.isfinite(closest).all() else "has no solution near the guesses"
        raise InconsistentError(
            f"{which} {what} at t = {t:g} (searching for {names}); give starting guesses, in the model or as u0: "
            f"{self.names[self.family.reduced.unknowns[0]]}(0) = 1"
        )

    def _only_one(self, t: float, u: Floats, solutions: list[Floats], unit: float) -> None:
        """Raise where searches for unknowns without a guess ended apart, and none of them began at 0."""
        for other in solutions[1:]:
            apart = np.abs(other - solutions[0]) > 1e-6 * (np.abs(other) + unit)
            for i in np.flatnonzero(apart & np.isnan(u)):
                name, one, two = self.names[i], f"{solutions[0][i]:.6g}", f"{other[i]:.6g}"
                raise MissingValueError(
                    f"the algebraic equations leave a choice for `{name}` at t = {t:g}: {one} or {two}; give a guess "
                    f"that decides, {name}(0) = {one} or {name}(0) = {two}, in the model or as u0"
                )

    def _determined(self, t: float, u: Floats, p: Floats) -> None:
        """Raise `InconsistentError` where the equations of the unknowns do not determine them at this point."""
        if self._many is not None:  # sparse factors, which fail where the equations do
            return
        unknowns = list(self.family.reduced.unknowns)
        part = self._active(t, p)(u)[1][:, unknowns] * sizes(u)[unknowns]
        rows = np.abs(part).max(axis=1, initial=0.0)
        if (rows > 0.0).all():
            _, strengths, directions = np.linalg.svd(part / rows[:, None])
            if strengths[-1] > 1e-13 * strengths[0]:
                return
            weight = np.abs(directions[-1])
            loose = [unknowns[i] for i in np.flatnonzero(weight > 0.1 * weight.max())]
        else:
            active = self.family.reduced.active
            loose = [i for i, row in zip(unknowns, rows, strict=True) if not row > 0.0]
            which = self.family.describe(len(self.family.reduced.hidden) + unknowns.index(loose[0]))
            loose = [j for j in unknowns if j in self._inside(active[loose[0]].node)]
            raise self._undetermined(t, loose, f"; the slope of {which} by {'it' if len(loose) == 1 else 'them'} is 0")
        raise self._undetermined(t, loose, "; one of their equations repeats others there" if len(loose) > 1 else "")

    def _inside(self, node: int) -> set[int]:
        graph = self.family.original.graph
        return {int(graph.data[k]) for k in graph.reachable([node]) if graph.op[k] == "state"}  # type: ignore[arg-type]

    def _undetermined(self, t: float, loose: list[int], why: str) -> InconsistentError:
        names = ", ".join(f"`{self.names[i]}`" for i in loose[:5])
        return InconsistentError(
            f"at t = {t:g} the algebraic equations do not determine {names}{why}: two solutions may meet there, or "
            "there may be infinitely many; start elsewhere, or write an equation that says which"
        )

    def fold(self, t: float, u: Floats, p: Floats, left: float) -> InconsistentError | None:
        """What steps that became too small at `u` say, if they did because two solutions meet: unknowns that would
        change without bound in the time `left` while the other states do not."""
        try:
            self._determined(t, u, p)
            with np.errstate(all="ignore"):
                change = np.abs(self.tangents.slope(t, u, p)) * left / sizes(u)
        except InconsistentError as error:
            return error
        except np.linalg.LinAlgError:
            change = np.where(self.unknown, np.inf, 0.0)
        fast = self.unknown & ~(change < 1e4) & ~(change < 1e3 * np.max(change[~self.unknown], initial=1.0))
        if not fast.any():
            return None
        names = ", ".join(f"`{self.names[i]}`" for i in np.flatnonzero(fast)[:5])
        return InconsistentError(
            f"at t = {t:g} {names} changes without bound: two solutions of the algebraic equations meet there "
            "(a fold), and beyond there may be none; end the integration before with an event, or correct the equations"
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
    ) -> tuple[Floats, NDArray[np.bool_], bool]:
        """A consistent state after a change (`settle`): what was assigned stays, the rest moves little.

        Returns it, which of the states with a derivative could move, and whether that left a choice.
        Raises `InconsistentError` where what was assigned contradicts the constraints.
        """
        family = self.family
        free, choice = ~self.unknown, False
        if family.reduced.hidden:
            orders = [c.order for c in family.reduced.hidden]
            kept = assigned | self.unknown
            found = settle(self._hidden(t, p), u, kept, orders, family.pattern, family.successor)
            if found.failed is not None:
                held = sorted(family.pattern[found.failed])
                names = ", ".join(f"`{self.names[i]}`" for i in np.flatnonzero(assigned))
                others = ", ".join(f"`{self.names[i]}`" for i in held if not assigned[i])
                raise InconsistentError(
                    f"what it assigns ({names}) contradicts {family.describe(found.failed)}; "
                    + (f"no change of {others} that leaves the rest as it is mends that; " if others else "")
                    + "assign other values, or fewer of the states, and the others follow"
                )
            u, free, choice = found.u, found.free, found.choice
        return self._algebraic(t, u, p), free, choice

    def projected(self, t: float, u: Floats, p: Floats) -> Floats:
        """The consistent state next to one that a step or an interpolant gave."""
        if self.family.reduced.hidden:
            point = newton(self._hidden(t, p), u, ~self.unknown)
            if not point.converged:
                worst = int(np.argmax(np.nan_to_num(point.relative, nan=np.inf)))
                raise InconsistentError(f"{self.family.describe(worst)} has no solution near the states reached")
            u = point.u
        return self._algebraic(t, u, p)

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
        unknowns.  A row for which that would be more than a small correction keeps its states; its
        unknowns are solved for.
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
        found = np.where(near[:, None], moved, u)
        for k in np.flatnonzero(~near):  # unknowns may have jumped at the start of a step: its interpolant has not
            solution = self._solved_again(float(t[k]), found[k], p)
            if solution is not None:
                found[k], near[k] = solution, True
        return found, near

    def _solved_again(self, t: float, u: Floats, p: Floats) -> Floats | None:
        """`u` with its unknowns solved for, however far they are; None where that does not converge."""
        if self._many is not None:
            return self._many.newton(self._entries, t, u, p)
        point = newton(self._active(t, p), u, self.unknown)
        return point.u if point.converged else None

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
        """As `Integrator.run`; steps are not recorded.

        `u0` (n) or those of the model's own states, NaN for what is to be computed, from `guess` where
        that has a number; `s0` belongs to those given.  `whole`: states that index reduction added
        are part of the result.
        """
        if record:
            raise UnsupportedError("steps of models with algebraic equations are not recorded")
        if t1 < t0 and self.functions.events:
            raise InputError(
                f"cannot integrate backwards (from {t0:g} to {t1:g}) through events: "
                "a state change has no inverse; swap the ends of the time span"
            )
        if options.get("dtmax", math.inf) == math.inf:
            options["dtmax"] = self.longest_step(t0, t1, p)
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
