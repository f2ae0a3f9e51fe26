"""Runs of models with algebraic equations: pieces of kernel runs, and what happens between them.

Takes an `AlgebraicIntegrator` and a consistent state; gives a trajectory.  The kernel
integrates one index-1 form until an event, or until the chosen dummies come close to
singular; here events change the state, the state is made consistent again and the
next form takes over.  Sensitivities are carried across by `algebraic_tangents`.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SolveInterrupted, UnsupportedError
from .algebraic_tangents import columns_of
from .consistent import InconsistentError
from .integrate import EMPTY, Integrator, Trajectory
from .problem import EventInfo, NativeFunctions
from .slots import FIRED, N_COUNTS, N_STATISTICS
from .status import Status

if TYPE_CHECKING:
    from ..graph.system import System
    from .algebraic import AlgebraicIntegrator

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
ROUNDS = 20  # of events making further events true at one time
RESTARTS_AT_ONE_TIME = 25
CORRECTED = 100.0  # tolerances by which a state is set right where steps became too small
_STUCK = (Status.DT_TOO_SMALL, Status.NONFINITE)
_POINTERS = (ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
Native = Callable[..., None]


class Form:
    """One index-1 form, compiled: the kernel stops at its `when` events and at its watch, and changes nothing."""

    def __init__(self, functions: NativeFunctions, system: System) -> None:
        self.system = system
        self.whole = functions
        self.when = [k for k, e in enumerate(functions.events) if e.kind == "when"]
        self.timed = [k for k, e in enumerate(functions.events) if e.kind != "when"]
        self.integrator = self._stopping(functions)
        self.affect = [native(address) for address in functions.affect]
        self.roots = native(functions.roots) if functions.roots else None

    def _stopping(self, functions: NativeFunctions) -> Integrator:
        stops = len(self.when) + (self.system.watch is not None)
        still, still_jac = (functions.watched,) * stops, (functions.watched_jac,) * stops
        events = (EventInfo("when", True),) * stops
        found = Integrator(replace(functions, events=events, affect=still, affect_jac=still_jac, event_times=0))
        found.reversible = not functions.events
        return found

    @cached_property
    def forward_functions(self) -> NativeFunctions:
        """The functions with those of forward sensitivities, compiled when first used."""
        assert self.whole.extend is not None
        return self.whole.extend("forward")

    @cached_property
    def forward(self) -> Integrator:
        """The kernel with sensitivities."""
        return self._stopping(self.forward_functions)

    @cached_property
    def affect_jac(self) -> list[Native]:
        """Events with their derivatives."""
        return [native(address) for address in self.forward_functions.affect_jac]


class Run:
    """One integration: pieces of kernel runs, and what happens between them."""

    def __init__(
        self, owner: AlgebraicIntegrator, p: Floats, t1: float, method: str, saveat: Floats, tstops: Floats,
        save_steps: bool, dense: bool, max_steps: int, columns: Indices, s: Floats, options: dict[str, Any],
    ) -> None:  # fmt: skip
        self.owner, self.p, self.t1, self.method = owner, p, t1, method
        self.saveat, self.tstops, self.save_steps, self.dense = saveat, tstops, save_steps, dense
        self.left, self.options = max_steps, options
        self.columns, self.s = columns, s  # sensitivities (n, c) at the time reached
        self.moved = np.zeros(columns.size)  # how that time moves with each of them
        self.pieces: list[Trajectory] = []
        self.log: list[tuple[float, int]] = []
        self.stuck_at = math.nan  # where steps became too small last
        self.edges: dict[int, float] = {}  # events that fired and may seem to do so again by rounding, until when

    def trajectory(self, t: float, u: Floats, shown: int) -> Trajectory:
        """From a consistent state; where no further one is found on the way, it ends with a status.

        `shown`: how many of the states the result has.
        """
        self.shown = shown
        form = self.owner.form(t, u, self.p)
        try:
            return self._onwards(form, t, u)
        except InconsistentError as error:
            end, state = (self.pieces[-1].t_end, self.pieces[-1].u_end) if self.pieces else (t, u)
            return self._joined(self._still(end, state, Status.INCONSISTENT)._replace(note=str(error)))

    def _onwards(self, form: Form, t: float, u: Floats) -> Trajectory:
        owner, p = self.owner, self.p
        schedule = _Schedule(form, t, u, p)
        if not schedule.valid:
            return self._joined(self._still(t, u, Status.EVENT_INVALID))
        restarts, last = 0, math.nan
        ended = False
        while True:
            due = schedule.due(t)
            if due:
                if self.pieces:  # what an event does not touch shall not seem to contradict anything
                    u = self._consistent(t, u, [], form)
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
                again = bool(fired) and all(self._again(k, t) for k in fired)
                self.pieces.append(self._without_end(piece, 1 if fired and not again else 2))
                if fired and not again:
                    at, u = u, self._consistent(t, u, [], form)  # between steps the state is interpolated only
                    slack = np.abs(self._roots(form, t, u) - self._roots(form, t, at))
                    u, ended, status = self._fire(form, t, u, fired, slack)
                    if status is not None:
                        return self._joined(self._still(t, u, status))
                elif not again:
                    u = self._consistent(t, u, [], form)
                restarts = restarts + 1 if t == last else 0
                last = t
                if restarts > RESTARTS_AT_ONE_TIME:
                    return self._joined(self._still(t, u, Status.EVENT_CHATTERING))
                form = owner.form(t, u, p)
            elif piece.status == Status.SUCCESS and schedule.next() <= self.t1:
                self.pieces.append(self._without_end(piece, 0))
            elif piece.status in _STUCK and (better := self._freed(t, u)) is not None:
                self.pieces.append(self._without_end(piece, 1))
                t, u = better
                form = owner.form(t, u, p)
            else:
                if piece.status in _STUCK and np.isfinite(u).all():
                    fold = owner.fold(t, u, p, abs(self.t1 - t))
                    if fold is not None:
                        piece = piece._replace(status=int(Status.INCONSISTENT), note=str(fold))
                self.pieces.append(piece)
                return self._joined(piece)
            if self.left <= 0 and t != self.t1:
                return self._joined(self._still(t, u, Status.MAX_STEPS))

    def _freed(self, t: float, u: Floats) -> tuple[float, Floats] | None:
        """A time and state at which steps that became too small may go on, or None.

        Steps satisfy the equations as well as the tolerances ask; where that is off by more than
        the next step's tolerance, it fails however short it is.  So the unknowns are solved for
        again, once for each such place; no more than a correction of what the tolerances allowed,
        or, where equations switch by time, the jump of unknowns from one side of it to the other.
        """
        if self.stuck_at == t or not np.isfinite(u).all() or self.left <= 0:
            return None
        if self.columns.size:  # steps that fail leave none of these
            return None
        self.stuck_at = t
        new = self._consistent(t, u, [], None)
        allowed = np.min(self.options["atol"]) + np.min(self.options["rtol"]) * np.maximum(np.abs(u), np.abs(new))
        if not (np.abs(new - u) <= CORRECTED * allowed).all():
            return None
        behind = float(np.nextafter(t, self.t1))
        jumped = self._consistent(behind, new, [], None)
        unmoved = (np.abs(jumped - new) <= CORRECTED * allowed)[~self.owner.unknown].all()
        return (behind, jumped) if unmoved and (jumped != new).any() else (t, new)

    def _piece(self, form: Form, t: float, end: float, u: Floats) -> Trajectory:
        sign = 1.0 if end >= t else -1.0
        behind, before = sign * (self.saveat - t) >= 0.0, sign * (self.saveat - end) <= 0.0
        within = self.saveat[(behind | _same(self.saveat, t)) & before]
        options = dict(self.options)
        for name in ("rtol", "atol"):
            given = np.asarray(options[name])
            if given.size == self.owner.shown != u.size:  # what became unknown is held as tightly as anything
                options[name] = np.append(given, np.full(u.size - given.size, given.min()))
        for name, times in (("tstops", self.tstops), ("restarts", options.pop("restarts", EMPTY))):
            options[name] = np.ascontiguousarray(times[(sign * (times - t) > 0.0) & (sign * (times - end) < 0.0)])
        extra = bool(self.columns.size) and not (within.size and within[-1] == end)  # columns are read off output
        if extra:
            within = np.append(within, end)
        if self.columns.size:
            options |= {"s0": self.s, "columns": self.columns}
        try:
            piece = (form.forward if self.columns.size else form.integrator).run(
                u, self.p, t, end, method=self.method, saveat=np.ascontiguousarray(within),
                save_steps=self.save_steps, dense=self.dense, max_steps=max(self.left, 1), **options,
            )  # fmt: skip
        except SolveInterrupted as stop:
            self.pieces.append(stop.solution)
            raise SolveInterrupted(str(stop), self._joined(stop.solution)) from stop
        if self.columns.size and piece.status in (Status.SUCCESS, Status.TERMINATED):
            self.s = piece.s[-1].reshape(self.s.shape)
            if extra and piece.status == Status.SUCCESS:
                piece = piece._replace(t=piece.t[:-1], u=piece.u[:-1], s=piece.s[:-1])
        return piece

    def _without_end(self, piece: Trajectory, drop: int) -> Trajectory:
        """Without what the next piece writes again: `drop` rows of every-step output, or all output at the end."""
        if self.save_steps:
            keep = np.arange(piece.t.size) < piece.t.size - drop
        else:
            keep = ~_same(piece.t, piece.t_end)
        return piece._replace(t=piece.t[keep], u=piece.u[keep], s=piece.s[keep])

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
            int(status), t, counts, times, np.repeat(u[None, :], times.size, axis=0),
            np.repeat(self.s.reshape(1, -1), times.size, axis=0), none, none, np.empty((0, 5, n)), np.empty((0, n)),
            np.empty((0, 7, n)), none, no, u,
        )  # fmt: skip
        self.pieces.append(piece)
        return piece

    # ------------------------------------------------------------ events

    def _fire(
        self, form: Form, t: float, u: Floats, due: list[int], slack: Floats = EMPTY
    ) -> tuple[Floats, bool, Status | None]:
        """Events that are due, and `when` events they turn true; the state is consistent again afterwards.

        `slack`: how exactly the root functions are known to vanish.
        """
        p = self.p
        ended = False
        fired: set[int] = set()
        for number in range(ROUNDS):
            before = self._roots(form, t, u)
            for k in due:
                after = np.empty(u.size)
                if self.columns.size:
                    self._jump(form, k, t, u, own_time=number == 0)
                form.affect[k](t, u.ctypes.data, p.ctypes.data, after.ctypes.data)
                u = after
                self.log.append((t, k))
                ended = ended or form.whole.events[k].terminate
            if not (np.isfinite(u).all() and np.isfinite(self.s).all()):
                return u, False, Status.NONFINITE
            u = self._consistent(t, u, due, form)
            fired |= set(due)
            now = self._roots(form, t, u)
            due = [k for r, k in enumerate(form.when) if before[r] < 0.0 <= now[r]]
            if ended or not due:
                if self.moved.any():
                    self._in_time(np.zeros(self.moved.size), t, u)
                pressed = not ended and self._on_the_edge(form, t, u, fired, slack)
                return u, ended, Status.EVENT_CHATTERING if pressed else None
        return u, False, Status.EVENT_CHATTERING

    def _on_the_edge(self, form: Form, t: float, u: Floats, fired: set[int], slack: Floats) -> bool:
        """Look after events whose root function still vanishes, but for rounding, and rises.

        One that is below zero would fire once more at once, and is noted (`edges`).  True where
        an event put itself there: it would have to fire without end (`events.settle`).
        """
        own = [r for r, k in enumerate(form.when) if k in fired]
        if not own:
            return False
        now = self._roots(form, t, u)
        near, later = t + 1e-6 * abs(t), u + 1e-6 * np.abs(u)
        size = np.abs(self._roots(form, t, later) - now) + np.abs(self._roots(form, near, u) - now)
        close = 1e-6 * size + 10.0 * (slack if slack.size else 0.0)  # the first: twelve digits of its terms
        own = [r for r in own if abs(now[r]) <= close[r]]
        if not own:
            return False
        slope = self.owner.tangents.slope(t, u, self.p)
        fast, large = float(np.abs(slope).max(initial=0.0)), float(np.abs(u).max(initial=0.0))
        step = 1e-6 * min(self.t1 - t, large / fast if fast > 0.0 < large else math.inf)
        if not step > 0.0:
            return False
        rate = (self._roots(form, t + step, u + step * slope) - now) / step
        for r in own:
            if rate[r] > 0.0 and form.whole.events[form.when[r]].resets:
                return True
            if rate[r] > 0.0 > now[r]:
                self.edges[form.when[r]] = t - 1e3 * now[r] / rate[r] + 1e-12 * abs(t)
        return False

    def _again(self, k: int, t: float) -> bool:
        """Does event `k` only seem to fire, for it has just done so?"""
        return t <= self.edges.pop(k, -math.inf)

    def _in_time(self, moved: Floats, t: float, u: Floats) -> None:
        """The columns at a time that moves otherwise with them."""
        self.s = self.s + np.outer(self.owner.tangents.slope(t, u, self.p), moved - self.moved)
        self.moved = moved

    def _jump(self, form: Form, k: int, t: float, u: Floats, own_time: bool) -> None:
        """Carry the columns across event `k`, which changes `u`: as `forward.jump`, but the time stays moved.

        `own_time`: the event has one; others follow at once from what those before did.
        """
        n, count = u.size, form.forward_functions.n_params
        out = np.empty(3 * n + n * n + count * (n + 1) + 1)
        form.affect_jac[k](t, u.ctypes.data, self.p.ctypes.data, out.ctypes.data)
        by_state, by_p, by_t, root_u, root_p, root_t = np.split(
            out[n:], np.cumsum([n * n, n * count, n, n, count])
        )  # fmt: skip
        if own_time:
            shift = -(root_u @ (self.s - np.outer(self.owner.tangents.slope(t, u, self.p), self.moved)))
            shift -= columns_of(root_p, self.columns)
            if shift.any():
                with np.errstate(divide="ignore", invalid="ignore"):
                    shift /= root_u @ self.owner.tangents.slope(t, u, self.p) + root_t[0]
            if (shift != self.moved).any():
                self._in_time(shift, t, u)
        self.s = by_state.reshape(n, n) @ self.s + np.outer(by_t, self.moved)
        self.s += columns_of(by_p.reshape(n, count), self.columns)

    def _roots(self, form: Form, t: float, u: Floats) -> Floats:
        if form.roots is None:
            return np.empty(0)
        out = np.empty(2 * len(form.when) + 2)  # behind them whether the conditions hold, which `kernel` reads
        form.roots(t, u.ctypes.data, self.p.ctypes.data, out.ctypes.data)
        return out[: len(form.when)]

    def _consistent(self, t: float, u: Floats, fired: list[int], form: Form | None) -> Floats:
        """The consistent state after the events `fired`, or where there are none, next to `u`."""
        owner = self.owner
        free, choice = ~owner.unknown, False
        if fired and form is not None:
            assigned = np.zeros(u.size, bool)
            leaves = form.system.state_leaves
            for k in fired:
                for i, (node, leaf) in enumerate(zip(form.system.events[k].affect, leaves, strict=True)):
                    assigned[i] = assigned[i] or node != leaf
            try:
                new, free, choice = owner.after_event(t, u, self.p, assigned)
            except InconsistentError as error:
                which = sorted({form.system.events[k].source + 1 for k in fired})
                what = f"event {which[0]}" if len(which) == 1 else "events " + ", ".join(map(str, which))
                raise InconsistentError(f"{what} of the model cannot happen at t = {t:g}: {error}") from error
        else:
            new = owner.projected(t, u, self.p)
        if self.columns.size:
            if choice:
                raise UnsupportedError(
                    f"sensitivities do not go through the event at t = {t:g}: it leaves open which states follow",
                    hint="let the event assign all states that the constraints do not determine",
                )
            try:
                self.s, _ = owner.tangents.onto(t, new, self.p, self.s, self.columns, free, self.moved)
            except np.linalg.LinAlgError as error:
                raise InconsistentError(f"the unknowns are not determined at t = {t:g}") from error
        return new

    # ------------------------------------------------------------ the whole

    def _joined(self, last: Trajectory) -> Trajectory:
        pieces, n, columns = self.pieces, self.shown, self.columns
        counts = last.counts.copy()
        counts[:N_STATISTICS] = sum(piece.counts[:N_STATISTICS] for piece in pieces)
        counts[FIRED] = len(self.log)

        def join(name: str) -> Any:
            return np.concatenate([getattr(piece, name) for piece in pieces])

        width = self.owner.family.n * columns.size
        u, s = join("u"), np.concatenate([p.s if p.t.size else np.empty((0, width)) for p in pieces])
        if not self.save_steps and len(u):
            u, s = self.owner.refine_columns(join("t"), u, s, self.p, columns)
        if columns.size:
            s = np.ascontiguousarray(s.reshape(len(u), self.owner.family.n, columns.size)[:, :n].reshape(len(u), -1))
        polys = [piece.polys for piece in pieces if piece.polys.shape[0]]
        return last._replace(
            counts=counts,
            t=join("t"),
            u=np.ascontiguousarray(u[:, :n]),
            s=s,
            starts=join("starts"),
            lengths=join("lengths"),
            polys=np.ascontiguousarray(np.concatenate(polys)[:, :, :n]) if polys else last.polys[:, :, :n],
            event_t=np.array([t for t, _ in self.log]),
            event_k=np.array([k for _, k in self.log], dtype=np.int64),
            u_end=np.ascontiguousarray(last.u_end[:n]),
        )


class _Schedule:
    """The timed events of a model: which are due, and when the next is."""

    def __init__(self, form: Form, t: float, u: Floats, p: Floats) -> None:
        self.kinds = [form.whole.events[k].kind for k in form.timed]
        self.index = form.timed
        table = np.empty(4 * len(form.timed))
        if form.timed:
            native(form.whole.event_times)(t, u.ctypes.data, p.ctypes.data, table.ctypes.data)
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


def native(address: int) -> Native:
    """A native function as Python calls it: t, then addresses of u, p and the output."""
    return ctypes.CFUNCTYPE(None, *_POINTERS)(address)
