"""Integration of models with algebraic equations, around the ordinary kernel.

Takes a model whose graph has a family of index-1 forms (`structure.index_one`);
gives trajectories through the same `run` as `Integrator`.  Between two points where
something happens, the kernel integrates one form.  Here the rest is done: initial
values and states after an event are made consistent, and where the chosen dummies
come close to singular the next form takes over.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, MissingValueError, SolveInterrupted, UnsupportedError
from .consistent import CLOSE, Evaluate, newton
from .integrate import EMPTY, NO_COLUMNS, Integrator, Trajectory
from .observe import observe
from .problem import EventInfo, NativeFunctions
from .slots import FIRED, N_COUNTS, N_STATISTICS
from .status import Status

if TYPE_CHECKING:
    from ..graph.system import System
    from ..model.model import Model
    from .choice import Choice

Floats = NDArray[np.float64]
GUESSES = (0.0, 1.0, -1.0)  # where a search for what nothing is known of begins, in units of the known states
ROUNDS = 20  # of events making further events true at one time
RESTARTS_AT_ONE_TIME = 25
_POINTERS = (ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
Native = Callable[..., None]


class InconsistentError(InputError):
    """No states near those given satisfy the algebraic equations."""


class AlgebraicIntegrator:
    """Integration of one model with equations `0 = ...`; `run` is that of `Integrator`.

    States whose start is NaN are found; given ones must fit the constraints, unless
    `initialization="project"` moves them to the nearest point that does.
    """

    def __init__(self, model: Model) -> None:
        from ..codegen.native import compile_constraints, compile_system

        self._compile = compile_system
        system = model.system
        self.family = system._memory["family"]
        self.names: tuple[str, ...] = self.family.reduced.names
        self.functions: NativeFunctions = compile_system(system)
        self._shown = len(self.family.original.states)
        self._unknown = np.zeros(self.family.n, bool)
        self._unknown[list(self.family.reduced.unknowns)] = True
        self._keep, value, jacobian = compile_constraints(self.family)
        self._addresses = value, jacobian
        self._value, self._jacobian = _native(value), _native(jacobian)
        self._forms: dict[int, _Form] = {}
        self._first = self._compiled(system)

    def choice(self, *arguments: Any) -> Choice:
        """As of `Integrator`."""
        return self._first.integrator.choice(*arguments)

    # ------------------------------------------------------------ constraints

    def constraints(self, t: float, u: Floats, p: Floats) -> tuple[Floats, Floats]:
        """All that vanishes (m,), hidden constraints first, and its Jacobian (m, n)."""
        value = np.empty(len(self.family.constraints))
        entries = np.empty(len(self.family.jacobian))
        self._value(t, u.ctypes.data, p.ctypes.data, value.ctypes.data)
        self._jacobian(t, u.ctypes.data, p.ctypes.data, entries.ctypes.data)
        return value, self.family.dense(entries.tolist())

    def start(self, t: float, given: Floats, p: Floats, initialization: str = "check") -> Floats:
        """A consistent state (n,) from initial values with NaN for those not given.

        Those of unknowns are starting guesses.  Raises `InputError` where given values contradict
        the constraints, `MissingValueError` where what is missing has no or no unique value.
        """
        if initialization not in ("check", "project"):
            raise InputError(f'initialization must be "check" or "project", got {initialization!r}')
        u = np.full(self.family.n, math.nan)
        u[: given.size] = given
        if len(self.family.reduced.hidden):
            u = self._differential(t, u, p, initialization == "project")
        elif np.isnan(u[~self._unknown]).any():
            raise self._open(np.flatnonzero(np.isnan(u) & ~self._unknown), None)
        return self._algebraic(t, u, p)

    def _differential(self, t: float, u: Floats, p: Floats, project: bool) -> Floats:
        """`u` with the states that have a derivative completed so that the hidden constraints hold."""
        missing = np.isnan(u) & ~self._unknown
        unit = float(np.nanmax(np.abs(u[~self._unknown]), initial=0.0)) or 1.0
        solutions: list[Floats] = []
        closest: Floats | None = None
        for guess in GUESSES:
            begin = np.where(np.isnan(u), guess * unit, u)
            point = newton(self._hidden(t, p), begin, ~self._unknown if project else missing)
            relative = np.nan_to_num(point.relative, nan=np.inf)
            if point.converged or (relative <= CLOSE).all():
                point = newton(self._hidden(t, p), point.u, ~self._unknown)
            if point.converged:
                solutions.append(np.where(self._unknown, u, point.u))
            elif closest is None or relative.max() < closest.max():
                closest = relative
            if not missing.any():
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

    def after_event(self, t: float, u: Floats, p: Floats, assigned: NDArray[np.bool_]) -> Floats:
        """A consistent state after a change: what was assigned stays if it can, the rest moves little."""
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
        unknowns.  A row for which that would be more than a small correction stays as it is.
        """
        done = u.copy()
        room = max(1, 2_000_000 // max(1, len(self.family.constraints) * self.family.n))
        for first in range(0, len(t), room):
            rows = slice(first, first + room)
            done[rows] = self._refined(np.ascontiguousarray(t[rows]), done[rows], p)
        return done

    def _refined(self, t: Floats, u: Floats, p: Floats) -> Floats:
        hidden, unknowns = len(self.family.reduced.hidden), list(self.family.reduced.unknowns)
        scale = np.maximum(np.abs(u).max(axis=0), 1e-3 * np.abs(u).max(initial=1e-300))
        moved = u.copy()
        with np.errstate(all="ignore"):
            for _ in range(2 if hidden else 0):
                value, jacobian = self._constraints_at(t, moved, p)
                rows = jacobian[:, :hidden] * scale
                rows[:, :, unknowns] = 0.0
                moved -= scale * np.einsum("tij,ti->tj", rows, _solved(rows @ rows.mT, value[:, :hidden]))
            for _ in range(2):
                value, jacobian = self._constraints_at(t, moved, p)
                moved[:, unknowns] -= _solved(jacobian[:, hidden:, unknowns], value[:, hidden:])
            near = (np.abs(moved - u) <= 0.05 * scale).all(axis=1)
        return np.where(near[:, None], moved, u)

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
        **options: Any,
    ) -> Trajectory:
        """As `Integrator.run`, forwards only; steps are not recorded and sensitivities not carried along."""
        if columns.size or record:
            raise UnsupportedError("sensitivities through algebraic equations are not built yet")
        if t1 < t0:
            raise UnsupportedError("models with algebraic equations are integrated forwards only")
        return _Run(self, p, t1, method, saveat, tstops, save_steps, dense, max_steps, options).trajectory(
            t0, self.start(t0, u0, p, initialization)
        )

    def form(self, t: float, u: Floats, p: Floats) -> _Form:
        """The form whose dummies suit this point."""
        try:
            system = self.family.system(self.constraints(t, u, p)[1], u)
        except np.linalg.LinAlgError as error:
            raise InconsistentError(
                f"at t = {t:g} the algebraic equations depend on each other ({error}), so they do not determine "
                "the states; start elsewhere, or look for an equation that repeats another"
            ) from error
        return self._compiled(system)

    def _compiled(self, system: System) -> _Form:
        found = self._forms.get(id(system))
        if found is None:
            found = self._forms[id(system)] = _Form(self._compile(system), system)
        return found


class _Form:
    """One index-1 form, compiled: the kernel sees its `when` events, each ending the run, and its watch."""

    def __init__(self, functions: NativeFunctions, system: System) -> None:
        self.system = system
        self.whole = functions
        self.when = [k for k, e in enumerate(functions.events) if e.kind == "when"]
        self.timed = [k for k, e in enumerate(functions.events) if e.kind != "when"]
        infos = [EventInfo("when", True, functions.events[k].resets) for k in self.when]
        affects = [functions.affect[k] for k in self.when]
        if system.watch is not None:
            infos.append(EventInfo("when", True))
            affects.append(functions.watched)
        self.integrator = Integrator(
            replace(functions, events=tuple(infos), affect=tuple(affects), affect_jac=(), event_times=0)
        )
        self.affect = [_native(address) for address in functions.affect]
        self.roots = _native(functions.roots) if functions.roots else None


class _Run:
    """One integration: pieces of kernel runs, and what happens between them."""

    def __init__(
        self, owner: AlgebraicIntegrator, p: Floats, t1: float, method: str, saveat: Floats, tstops: Floats,
        save_steps: bool, dense: bool, max_steps: int, options: dict[str, Any],
    ) -> None:  # fmt: skip
        self.owner, self.p, self.t1, self.method = owner, p, t1, method
        self.saveat, self.tstops, self.save_steps, self.dense = saveat, tstops, save_steps, dense
        self.left, self.options = max_steps, options
        self.pieces: list[Trajectory] = []
        self.log: list[tuple[float, int]] = []

    def trajectory(self, t: float, u: Floats) -> Trajectory:
        """From a consistent state; where no further one is found on the way, it ends with a status."""
        form = self.owner.form(t, u, self.p)
        try:
            return self._onwards(form, t, u)
        except InconsistentError:
            end, state = (self.pieces[-1].t_end, self.pieces[-1].u_end) if self.pieces else (t, u)
            return self._joined(self._still(end, state, Status.INCONSISTENT))

    def _onwards(self, form: _Form, t: float, u: Floats) -> Trajectory:
        owner, p = self.owner, self.p
        schedule = _Schedule(form, t, u, p)
        if not schedule.valid:
            return self._joined(self._still(t, u, Status.EVENT_INVALID))
        restarts, last = 0, math.nan
        ended = False
        while True:
            due = schedule.due(t)
            if due:
                u, ended, status = self._fire(form, t, u, due)
                if status is not None:
                    return self._joined(self._still(t, u, status))
                form = owner.form(t, u, p)
            if ended:
                return self._joined(self._still(t, u, Status.TERMINATED, rows=True))
            end = min(self.t1, schedule.next())
            piece = self._piece(form, t, end, u)
            self.left -= int(piece.counts[0] + piece.counts[1])
            u, t = piece.u_end.copy(), piece.t_end
            if piece.status == Status.TERMINATED:
                fired = [form.when[k] for k in piece.event_k.tolist() if k < len(form.when)]
                self.log += [(t, k) for k in fired]
                ended = any(form.whole.events[k].terminate for k in fired)
                self.pieces.append(self._without_end(piece, 1 if fired else 2))
                u = self._consistent(t, u, fired, form)  # between steps the state is interpolated: not exact enough
                restarts = restarts + 1 if t == last else 0
                last = t
                if restarts > RESTARTS_AT_ONE_TIME:
                    return self._joined(self._still(t, u, Status.EVENT_CHATTERING))
                form = owner.form(t, u, p)
            elif piece.status == Status.SUCCESS and schedule.next() <= self.t1:
                self.pieces.append(self._without_end(piece, 0))
            else:
                self.pieces.append(piece)
                return self._joined(piece)
            if self.left <= 0 and t < self.t1:
                return self._joined(self._still(t, u, Status.MAX_STEPS))

    def _piece(self, form: _Form, t: float, end: float, u: Floats) -> Trajectory:
        within = self.saveat[((self.saveat >= t) | _same(self.saveat, t)) & (self.saveat <= end)]
        options = dict(self.options)
        for name in ("rtol", "atol"):
            given = np.asarray(options[name])
            if given.size == self.owner._shown != u.size:  # what became unknown is held as tightly as anything
                options[name] = np.append(given, np.full(u.size - given.size, given.min()))
        for name, times in (("tstops", self.tstops), ("restarts", options.pop("restarts", EMPTY))):
            options[name] = np.ascontiguousarray(times[(times > t) & (times < end)])
        try:
            return form.integrator.run(
                u, self.p, t, end, method=self.method, saveat=np.ascontiguousarray(within),
                save_steps=self.save_steps, dense=self.dense, max_steps=max(self.left, 1), **options,
            )  # fmt: skip
        except SolveInterrupted as stop:
            self.pieces.append(stop.solution)
            raise SolveInterrupted(str(stop), self._joined(stop.solution)) from stop

    def _without_end(self, piece: Trajectory, drop: int) -> Trajectory:
        """Without what the next piece writes again: `drop` rows of every-step output, or all output at the end."""
        if self.save_steps:
            keep = np.arange(piece.t.size) < piece.t.size - drop
        else:
            keep = ~_same(piece.t, piece.t_end)
        return piece._replace(t=piece.t[keep], u=piece.u[keep])

    def _still(self, t: float, u: Floats, status: Status, rows: bool = False) -> Trajectory:
        """A piece in which no time passes."""
        template = self.pieces[-1] if self.pieces else None
        n = u.size
        wanted = self.save_steps or rows
        within = self.saveat[_same(self.saveat, t)] if rows else EMPTY
        times = within if within.size else (np.array([t]) if wanted else EMPTY)
        counts = np.zeros(N_COUNTS, np.int64) if template is None else np.zeros_like(template.counts)
        none, no = np.empty(0), np.empty(0, np.int64)
        piece = Trajectory(
            int(status), t, counts, times, np.repeat(u[None, :], times.size, axis=0), np.empty((times.size, 0)), none,
            none, np.empty((0, 5, n)), np.empty((0, n)), np.empty((0, 7, n)), none, no, u,
        )  # fmt: skip
        self.pieces.append(piece)
        return piece

    # ------------------------------------------------------------ events

    def _fire(self, form: _Form, t: float, u: Floats, due: list[int]) -> tuple[Floats, bool, Status | None]:
        """Timed events, and `when` events they turn true; the state is consistent again afterwards."""
        p = self.p
        ended = False
        all_fired: list[int] = []
        for _ in range(ROUNDS):
            before = self._roots(form, t, u)
            for k in due:
                after = np.empty(u.size)
                form.affect[k](t, u.ctypes.data, p.ctypes.data, after.ctypes.data)
                u = after
                self.log.append((t, k))
                all_fired.append(k)
                ended = ended or form.whole.events[k].terminate
            if not np.isfinite(u).all():
                return u, False, Status.NONFINITE
            u = self._consistent(t, u, due, form)
            now = self._roots(form, t, u)
            due = [k for r, k in enumerate(form.when) if before[r] < 0.0 <= now[r]]
            if ended or not due:
                return u, ended, None
        return u, False, Status.EVENT_CHATTERING

    def _roots(self, form: _Form, t: float, u: Floats) -> Floats:
        if form.roots is None:
            return np.empty(0)
        out = np.empty(len(form.when) + 1)
        form.roots(t, u.ctypes.data, self.p.ctypes.data, out.ctypes.data)
        return out[: len(form.when)]

    def _consistent(self, t: float, u: Floats, fired: list[int], form: _Form) -> Floats:
        owner = self.owner
        assigned = np.zeros(u.size, bool)
        leaves = form.system.state_leaves
        for k in fired:
            for i, (node, leaf) in enumerate(zip(form.system.events[k].affect, leaves, strict=True)):
                assigned[i] = assigned[i] or node != leaf
        return owner.after_event(t, u, self.p, assigned)

    # ------------------------------------------------------------ the whole

    def _joined(self, last: Trajectory) -> Trajectory:
        pieces, n = self.pieces, self.owner._shown
        counts = last.counts.copy()
        counts[:N_STATISTICS] = sum(piece.counts[:N_STATISTICS] for piece in pieces)
        counts[FIRED] = len(self.log)

        def join(name: str) -> Any:
            return np.concatenate([getattr(piece, name) for piece in pieces])

        u = join("u")
        if not self.save_steps and len(u):
            u = self.owner.refine(join("t"), u, self.p)
        polys = [piece.polys for piece in pieces if piece.polys.shape[0]]
        return last._replace(
            counts=counts,
            t=join("t"),
            u=np.ascontiguousarray(u[:, :n]),
            s=np.empty((sum(piece.t.size for piece in pieces), 0)),
            starts=join("starts"),
            lengths=join("lengths"),
            polys=np.ascontiguousarray(np.concatenate(polys)[:, :, :n]) if polys else last.polys[:, :, :n],
            event_t=np.array([t for t, _ in self.log]),
            event_k=np.array([k for _, k in self.log], dtype=np.int64),
            u_end=np.ascontiguousarray(last.u_end[:n]),
        )


class _Schedule:
    """The timed events of a model: which are due, and when the next is."""

    def __init__(self, form: _Form, t: float, u: Floats, p: Floats) -> None:
        self.kinds = [form.whole.events[k].kind for k in form.timed]
        self.index = form.timed
        table = np.empty(4 * len(form.timed))
        if form.timed:
            _native(form.whole.event_times)(t, u.ctypes.data, p.ctypes.data, table.ctypes.data)
        self.table = table.reshape(-1, 4)
        self.valid = all(
            math.isfinite(first) and 0.0 <= period < math.inf and not (kind == "every" and period == 0.0)
            for kind, (first, period, _, _) in zip(self.kinds, self.table, strict=True)
        )
        self.number = [0] * len(form.timed)
        if not self.valid:
            return
        for j, (first, period, _, _) in enumerate(self.table):
            if period > 0.0 and first < t:
                self.number[j] = max(0, math.floor((t - first) / period))
            while self._time(j) < t and not _same(self._time(j), t):
                self.number[j] += 1

    def _time(self, j: int) -> float:
        first, period, last, _ = self.table[j].tolist()
        if period == 0.0:
            return float(first) if self.number[j] == 0 else math.inf
        time = first + self.number[j] * period
        return math.inf if time > last and not _same(time, last) else float(time)

    def due(self, t: float) -> list[int]:
        """Events of time `t`, each moved to its next occurrence."""
        found = []
        for j, k in enumerate(self.index):
            if self._time(j) <= t or _same(self._time(j), t):
                found.append(k)
                self.number[j] += 1
        return found

    def next(self) -> float:
        """Time of the next occurrence, infinite where there is none."""
        return min((self._time(j) for j in range(len(self.index))), default=math.inf)


def _same(a: Any, b: float) -> Any:
    """As `events.same_time`, for arrays too."""
    return (a == b) | (abs(a - b) < 1.8e-15 * np.maximum(abs(a), abs(b)))


def _solved(matrix: Floats, value: Floats) -> Floats:
    """Solutions of many small systems; NaN where one is singular."""
    try:
        return np.asarray(np.linalg.solve(matrix, value[..., None])[..., 0])
    except np.linalg.LinAlgError:
        singular = ~(np.abs(np.linalg.det(matrix)) > 0.0)
        regular = np.where(singular[:, None, None], np.eye(matrix.shape[-1]), matrix)
        found = np.asarray(np.linalg.solve(regular, value[..., None])[..., 0])
        found[singular] = np.nan
        return found


def _native(address: int) -> Native:
    return ctypes.CFUNCTYPE(None, *_POINTERS)(address)
