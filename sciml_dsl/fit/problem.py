"""The core of every fit: residuals, Jacobian, loss and gradient as functions of the vector θ.

Takes a model, prepared experiments and `Unknowns`.  Residuals come with their
Jacobian by forward sensitivities, the loss with its gradient by the discrete
adjoint, each with one native integration for an experiment.  A simulation that
fails gives infinite residuals and loss, never NaN and never an exception.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..codegen.native import functions
from ..errors import InputError, UnsupportedError
from ..sensitivity.discrete import pull_back
from ..solve import switched
from ..solve.algebraic import integrator as algebraic_integrator
from ..solve.integrate import Trajectory as Run
from ..solve.status import Status
from . import assemble
from .experiment import COMPUTE, Prepared, prepare
from .noise import scale
from .simulate import Simulation
from .unknowns import Unknowns, find_unknowns

if TYPE_CHECKING:
    from ..model.model import Model

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_NO_COLUMNS = np.empty(0, dtype=np.int64)
_NO_FACTORS = np.empty(0)
_NO_JACOBIAN = np.empty((0, 0))

_WHY = {
    Status.TERMINATED: "a terminating event ended the simulation before the last measurement",
    Status.MAX_STEPS: "too many steps were needed",
    Status.DT_TOO_SMALL: "the step size fell below the resolution of time",
    Status.NONFINITE: "the right-hand side became NaN or infinite",
    Status.UNSTABLE: "the solution grew without bound",
    Status.EVENT_CHATTERING: "an event fired without end",
    Status.EVENT_INVALID: "the time of an event was not a number",
    Status.INCONSISTENT: "the algebraic equations had no solution, or no single one,",
}


@dataclass(frozen=True)
class Failure:
    """Why a simulation could not be compared with the data."""

    experiment: str
    status: Status | None  # None: simulated, but a residual is not finite
    t: float
    state: str
    value: float
    why: str = ""  # in words, where there was not even a start

    def __str__(self) -> str:
        where = f"{self.experiment}: " if self.experiment else ""
        if self.why:
            return where + self.why
        if self.status is None:
            return f"{where}a simulated value cannot be compared with the data (it has no logarithm or is not finite)"
        return f"{where}{_WHY[self.status]} at t = {self.t:.6g}, where {self.state} = {self.value:.4g}"


@dataclass(frozen=True)
class Trajectory:
    """One simulated experiment: `u` (T, n) at its times, and du/dθ as `s` (T, n, m) for θ positions `columns` (m)."""

    u: Floats
    s: Floats
    columns: Indices


@dataclass(frozen=True)
class _Plan:
    """What one experiment needs for a set of active positions of θ."""

    columns: Indices  # parameter of each sensitivity column, -1 for an initial value
    units: Indices  # state of each initial value's column, else -1
    targets: Indices  # column of the Jacobian
    sources: Indices  # position in θ


class Problem:
    """A fit as a function of θ.

    Arguments:
        model: the model.
        experiments: prepared experiments (`experiment.prepare`).
        unknowns: what θ is (`unknowns.find_unknowns`).
        noise: noise model of the residuals, see `noise.scale`.
        method: "auto", "tsit5" or "rodas5p"; gradients by the adjoint always use Tsit5.
        rtol, atol: tolerances of the solver.
        max_steps: attempted steps after which a simulation counts as failed.

    Attributes:
        n: length of θ.  n_residuals: number of measured values.
        start, lower, upper: θ to begin with and its bounds, in θ's own (log) scale.
        failure: the last `Failure`, or None; changed by every evaluation.
        evaluations: number of simulated experiments so far.

    Example:
        >>> import sciml_dsl as sd, numpy as np
        >>> m = sd.model("x' = -k*x; x(0) = 1; param k = 1")
        >>> q = problem(m, {"t": [0, 1, 2], "x": [1.0, 0.6, 0.4]})
        >>> r, jac = q.residuals_and_jacobian(q.start)
        >>> r.shape, jac.shape
        ((3,), (3, 1))
    """

    def __init__(
        self,
        model: Model,
        experiments: list[Prepared],
        unknowns: Unknowns,
        *,
        noise: str | Mapping[str, str] = "additive",
        method: str = "auto",
        rtol: float = 1e-8,
        atol: float = 1e-10,
        max_steps: int = 20_000,
    ) -> None:
        if not (rtol > 0 and atol > 0 and np.isfinite(rtol) and np.isfinite(atol)):
            raise InputError(f"rtol = {rtol} and atol = {atol} must be positive numbers")
        if max_steps < 1:
            raise InputError(f"max_steps = {max_steps} must be at least 1")
        self.model, self.experiments, self.unknowns = model, experiments, unknowns
        self.noise, self.method, self.rtol, self.atol, self.max_steps = noise, method, rtol, atol, max_steps
        spec = model.spec
        self.n = unknowns.n
        self.start = unknowns.internal(unknowns.start)
        self.lower, self.upper = unknowns.internal(unknowns.lower), unknowns.internal(unknowns.upper)
        self.failure: Failure | None = None
        self.evaluations = 0
        self.n_params, self.n_states = len(spec.parameters), len(spec.states)
        self.free_states = np.array([i for i, s in enumerate(spec.states) if s not in spec.algebraic], np.int64)
        self._forward = self._adjoint = False
        self._scaling = scale(experiments, noise)
        self._follow = [self._following(e) for e in experiments] if spec.algebraic else [None] * len(experiments)
        observables = {d.name: k for k, d in enumerate(spec.definitions)}
        states = {name: i for i, name in enumerate(spec.states)}
        self._kinds = [
            np.array([states[c] if c in states else -1 - observables[c] for c in e.table.columns], dtype=np.int64)
            for e in experiments
        ]
        self._observed = any((kinds < 0).any() for kinds in self._kinds)
        self._rows = np.cumsum([0, *(e.table.n_values for e in experiments)])
        self.n_residuals = int(self._rows[-1])
        self._simulations: list[Simulation] = []
        self._bind()
        self._plans: dict[bytes, list[_Plan]] = {}
        self._inputs = [self._input(k) for k in range(len(experiments))]
        self._nothing = [_Plan(_NO_COLUMNS, _NO_COLUMNS, _NO_COLUMNS, _NO_COLUMNS)] * len(experiments)

    @property
    def hidden(self) -> bool:
        """Do constraints tie states that have a derivative (algebraic equations of index above 1)?"""
        return bool(self.model.spec.algebraic and self.model.system._memory["family"].reduced.hidden)

    def __reduce__(self) -> tuple[Any, ...]:
        """Native code and its buffers stay behind: a copy compiles its own when it is unpickled."""
        options = {name: getattr(self, name) for name in ("noise", "method", "rtol", "atol", "max_steps")}
        return _again, (self.model, self.experiments, self.unknowns, options)

    # ------------------------------------------------------------ residuals

    def residuals(self, theta: Floats) -> Floats:
        """Scaled residuals (N,), experiment by experiment, row by row; all infinite if a simulation fails."""
        out = np.empty(self.n_residuals)
        if self._evaluate(theta, self._nothing, out, _NO_JACOBIAN, None):
            return out
        return np.full(self.n_residuals, np.inf)

    def residuals_and_jacobian(self, theta: Floats, active: Indices | None = None) -> tuple[Floats, Floats]:
        """Residuals (N,) and their derivatives (N, m) with respect to θ[active] (default all of θ).

        Only the sensitivities of active positions are integrated.  If a simulation
        fails all residuals are infinite and all derivatives zero.
        """
        return self._residuals_and_jacobian(theta, active, None)

    def trajectories(self, theta: Floats, active: Indices | None = None) -> tuple[Floats, Floats, list[Trajectory]]:
        """As `residuals_and_jacobian`, and the simulations behind them (empty if one failed)."""
        kept: list[Trajectory] = []
        r, jac = self._residuals_and_jacobian(theta, active, kept)
        return r, jac, kept if len(kept) == len(self.experiments) and np.isfinite(r).all() else []

    def states(self, theta: Floats) -> list[Floats] | None:
        """Simulated states (T, n) of each experiment at its times, or None if a simulation fails."""
        kept: list[Trajectory] = []
        out = np.empty(self.n_residuals)
        if not self._evaluate(theta, self._nothing, out, _NO_JACOBIAN, kept):
            return None
        return [k.u for k in kept]

    def loss(self, theta: Floats) -> float:
        """Mean of the squared residuals; infinite if a simulation fails."""
        r = self.residuals(theta)
        return float(r @ r) / max(1, r.size)

    @cached_property
    def _jumps(self) -> bool:
        """Do the equations jump at times that the discrete adjoint would have to move?"""
        return switched.jumps(self.model)

    def loss_and_gradient(self, theta: Floats, active: Indices | None = None) -> tuple[float, Floats]:
        """Mean of the squared residuals and its gradient with respect to θ[active], by the discrete adjoint.

        Infinite with gradient zero if a simulation fails.  Through algebraic equations the gradient
        comes from forward sensitivities.

        Raises:
            UnsupportedError: the model has events, which the adjoint does not cross.
        """
        if self.model.spec.algebraic:
            r, jac = self._residuals_and_jacobian(theta, active, None)
            if not np.isfinite(r).all():
                return np.inf, np.zeros(jac.shape[1])
            return float(r @ r) / self.n_residuals, 2.0 * (jac.T @ r) / self.n_residuals
        if self._native.events:
            raise UnsupportedError(
                "the discrete adjoint does not cross events yet",
                hint="fit parameters by forward sensitivities, or take the events out of the model",
            )
        if self._jumps:
            raise UnsupportedError(
                "the equations jump where a condition turns (or sign, floor, mod), at times that depend on the "
                "solution or on parameters, and the discrete adjoint does not cross such jumps",
                hint="fit parameters by forward sensitivities, or let the branches meet: max(0, x), or a smooth "
                "step 1/(1 + exp(-x/width))",
            )
        if not self._native.vjp:
            self._bind(adjoint=True)
        active = np.arange(self.n) if active is None else active
        plans = self._plan(active)
        values = self.unknowns.natural(theta)
        first_weight = self.n - self.unknowns.n_weights
        gradient = np.zeros(self.n)
        total = 0.0
        for k, plan in enumerate(plans):
            simulation, table, scaling = self._simulations[k], self.experiments[k].table, self._scaling[k]
            p, given = self._fill(k, values)
            u0, s0 = assemble.start(
                self._native.initial, self.experiments[k].t0, p, self.n_params, given, plan.columns, plan.units
            )
            self.evaluations += 1
            result = simulation.run(u0, p, record=True)
            if not simulation.reached(result):
                self._fail(k, result)
                return np.inf, np.zeros(active.size)
            u = result.u
            du, dp = np.zeros(u.shape), np.zeros(self.n_params)
            part = assemble.cotangents(
                self._native.observables_jac, self._native.n_observables, table.t, u, p, self.n_params,
                self._kinds[k], scaling.values, scaling.weights, scaling.log, du, dp,
            )  # fmt: skip
            total += part
            cot = None
            if np.isfinite(part):
                cot = pull_back(self._native, p, result.times, result.states, result.record_k, table.t, du)
            if cot is None or not np.isfinite(cot).all():
                self.failure = Failure(self.experiments[k].name, None, float(table.t[-1]), "", np.nan)
                return np.inf, np.zeros(active.size)
            slopes = s0.reshape(self.n_states, -1).T @ cot[: self.n_states]
            of_parameter = plan.columns >= 0
            index = plan.columns[of_parameter]
            slopes[of_parameter] += cot[self.n_states + index] + dp[index]
            gradient[plan.sources] += slopes
            if self.unknowns.n_weights:
                gradient[first_weight:] += cot[self.n_states + self.n_params :]
        self.failure = None
        log = self.unknowns.log
        if log.size:
            gradient[log] *= values[log]
        return total / self.n_residuals, gradient[active] / self.n_residuals

    # ------------------------------------------------------------ θ in the user's words

    def parameters(self, theta: Floats) -> dict[str, float]:
        """All parameters of the model by name; those not sought at their fixed numbers."""
        base = self.unknowns.base.copy()
        base[self.unknowns.parameters] = self.unknowns.natural(theta)[: self.unknowns.parameters.size]
        return {p.name: float(base[i]) for i, p in enumerate(self.model.spec.parameters)}

    def initial_states(self, theta: Floats) -> list[Floats]:
        """Initial state (n) of each experiment."""
        values = self.unknowns.natural(theta)
        result = []
        for k, experiment in enumerate(self.experiments):
            p, given = self._fill(k, values)
            u0, _ = assemble.start(
                self._native.initial, experiment.t0, p, self._width, given, _NO_COLUMNS, _NO_COLUMNS
            )
            result.append(self._simulations[k].start(u0, p)[: self.n_states])
        return result

    def weights(self, theta: Floats) -> Floats:
        """All network weights, sought or not."""
        if self.unknowns.n_weights:
            return np.array(theta[self.n - self.unknowns.n_weights :])
        return self.unknowns.base[self.n_params :].copy()

    def inputs(self, theta: Floats) -> list[tuple[Floats, Floats]]:
        """For each experiment (u0, p), p with weights and tables of inputs behind the parameters."""
        values = self.unknowns.natural(theta)
        return [(u0, self._fill(k, values)[0]) for k, u0 in enumerate(self.initial_states(theta))]

    # ------------------------------------------------------------ inside

    def _residuals_and_jacobian(
        self, theta: Floats, active: Indices | None, kept: list[Trajectory] | None
    ) -> tuple[Floats, Floats]:
        active = np.arange(self.n) if active is None else active
        trained = self.unknowns.n_weights and active.size and active.max() >= self.n - self.unknowns.n_weights
        if trained and not self.model.spec.algebraic:
            raise UnsupportedError(
                "network weights have no forward sensitivities",
                hint="use `loss_and_gradient`, or leave the weights out of `active`",
            )
        if not self._native.fjp:
            self._bind(forward=True)
        out, jac = np.empty(self.n_residuals), np.zeros((self.n_residuals, active.size))
        if self._evaluate(theta, self._plan(active), out, jac, kept):
            return out, jac
        return np.full(self.n_residuals, np.inf), np.zeros((self.n_residuals, active.size))

    def _evaluate(
        self, theta: Floats, plans: list[_Plan], out: Floats, jac: Floats, kept: list[Trajectory] | None
    ) -> bool:
        native = self._native
        values = self.unknowns.natural(theta)
        for k, plan in enumerate(plans):
            simulation, scaling = self._simulations[k], self._scaling[k]
            p, given = self._fill(k, values)
            u0, s0 = assemble.start(
                native.initial, self.experiments[k].t0, p, self._width, given, plan.columns, plan.units
            )
            self.evaluations += 1
            result = simulation.run(u0, p, s0, plan.columns)
            if not simulation.reached(result):
                self._fail(k, result)
                return False
            u, s = result.u, result.s
            m = plan.columns.size
            factors = self._factors(values, plan) if m else _NO_FACTORS
            finite = assemble.residuals(
                native.observables_jac if m else native.observables, native.n_observables, simulation.times, u, s, p,
                self._width, self._kinds[k], scaling.values, scaling.weights, scaling.log,
                plan.columns, plan.targets, factors, out, jac, self._rows[k],
            )  # fmt: skip
            if not finite:
                self.failure = Failure(self.experiments[k].name, None, float(simulation.times[-1]), "", np.nan)
                return False
            if kept is not None:
                slopes = s.reshape(*u.shape, m) * factors
                kept.append(Trajectory(u[:, : self.n_states], slopes[:, : self.n_states], plan.sources))
        self.failure = None
        return True

    def _factors(self, values: Floats, plan: _Plan) -> Floats:
        """dvalue/dθ of each sensitivity column."""
        factors = np.ones(plan.sources.size)
        log = self.unknowns.log
        if log.size:
            inside = np.isin(plan.sources, log)
            factors[inside] = values[plan.sources[inside]]
        return factors

    def _bind(self, *, forward: bool = False, adjoint: bool = False) -> None:
        """Compile what is needed beyond what there is, and pack the simulations anew."""
        if adjoint and self.method not in ("auto", "tsit5"):
            raise InputError(
                f'method="{self.method}" has no discrete adjoint, which training network weights needs\n'
                '  hint: use method="tsit5"'
            )
        if adjoint and self.unknowns.n_weights and self._observed:
            self._check_observables()
        self._forward |= forward or (adjoint and self._observed)
        self._adjoint |= adjoint
        owner = None
        if self.model.spec.algebraic:
            owner = algebraic_integrator(self.model, weights=self.unknowns.n_weights > 0)
            native = owner.forward if self._forward else owner.functions
            if self._forward:
                switched.refuse_algebraic(self.model)
        else:
            native = functions(self.model, forward=self._forward, adjoint=self._adjoint)
        self._native, self._width = native, native.n_params
        if native.initial_slopes == "missing":
            raise UnsupportedError(
                "the initial values depend on parameters, and their derivatives are too many for a fit",
                hint="give initial values as numbers, u0={...}",
            )
        self._simulations = [
            Simulation(
                owner if owner is not None else switched.integrator(self.model, native, always=True),
                e.t0, e.table.t, self.method, self.rtol, self.atol, self.max_steps, follow,
            )
            for e, follow in zip(self.experiments, self._follow, strict=True)
        ]  # fmt: skip

    def _following(self, experiment: Prepared) -> NDArray[np.bool_]:
        """(n) states, those that index reduction adds included, that follow from the others at the start."""
        found = np.zeros(self.model.system.n, bool)
        found[: self.n_states] = [value == COMPUTE for value in experiment.initial]
        return found

    def _check_observables(self) -> None:
        system = self.model.system
        measured = {-1 - int(kind) for kinds in self._kinds for kind in kinds if kind < 0}
        for index in sorted(measured):
            stack, seen = [system.observables[index]], set()
            while stack:
                node = stack.pop()
                if system.graph.op[node] == "netcall":
                    raise UnsupportedError(
                        f"the measured observable `{system.observable_names[index]}` is itself made from a network, "
                        "whose weights cannot be trained through it yet",
                        hint="measure states, or observables of states, parameters and time",
                    )
                if node not in seen:
                    seen.add(node)
                    stack.extend(system.graph.args[node])

    def _input(self, k: int) -> tuple[Floats, Indices, Indices, Floats, Indices, Indices]:
        """(p, indices and θ positions of sought parameters, given u0, states and θ positions of sought ones)."""
        experiment, unknowns = self.experiments[k], self.unknowns
        p = unknowns.base.copy()
        for index, value in experiment.p.items():
            p[index] = value
        p = np.concatenate([p, experiment.tail])
        positions = [j for j, i in enumerate(unknowns.parameters) if int(i) not in experiment.p]
        indices = unknowns.parameters[positions]
        given = np.full(max(self._native.n, self.n_states), np.nan)
        given[: self.n_states] = [v if isinstance(v, float) else np.nan for v in experiment.initial]
        first = unknowns.parameters.size
        pairs = [(s, first + j) for j, (e, s) in enumerate(unknowns.initial) if e == k]
        states = np.array([s for s, _ in pairs], dtype=np.int64)
        places = np.array([j for _, j in pairs], dtype=np.int64)
        return p, indices, np.array(positions, dtype=np.int64), given, states, places

    def _fill(self, k: int, values: Floats) -> tuple[Floats, Floats]:
        base, indices, positions, given, states, places = self._inputs[k]
        p = base.copy()
        p[indices] = values[positions]
        if self.unknowns.n_weights:
            p[self.n_params : self.n_params + self.unknowns.n_weights] = values[self.n - self.unknowns.n_weights :]
        if states.size:
            given = given.copy()
            given[states] = values[places]
        return p, given

    def _plan(self, active: Indices) -> list[_Plan]:
        key = active.tobytes()
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) > 256:
                self._plans.clear()
            found = self._plans[key] = [self._plan_of(k, active) for k in range(len(self.experiments))]
        return found

    def _plan_of(self, k: int, active: Indices) -> _Plan:
        _, indices, positions, _, states, places = self._inputs[k]
        owner = {int(j): (int(i), -1) for i, j in zip(indices, positions, strict=True)}
        if self.model.spec.algebraic:  # else weights are the adjoint's
            tail = self.n - self.unknowns.n_weights
            owner |= {j: (self.n_params + j - tail, -1) for j in range(tail, self.n)}
        owner |= {int(j): (-1, int(s)) for s, j in zip(states, places, strict=True)}
        rows = [(*owner[int(j)], target, int(j)) for target, j in enumerate(active) if int(j) in owner]
        table = np.array(rows, dtype=np.int64).reshape(-1, 4)
        return _Plan(*(np.ascontiguousarray(table[:, c]) for c in range(4)))

    def _fail(self, k: int, result: Run) -> None:
        u = result.u_end
        worst = int(np.argmax(np.where(np.isfinite(u), np.abs(u), np.inf)[: self.n_states]))
        self.failure = Failure(
            self.experiments[k].name, Status(int(result.status)), float(result.t_end), self.model.spec.states[worst],
            float(u[worst]), self._simulations[k].why,
        )  # fmt: skip


def problem(
    model: Model,
    data: Any,
    *,
    parameters: Iterable[str] | None = None,
    fixed: Iterable[str] | Mapping[str, float] | None = None,
    start: Mapping[str, float] | None = None,
    u0: Mapping[str, Any] | str | None = None,
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
    weights: bool | None = None,
    seed: int = 0,
    sigma: Any = None,
    t0: float | None = None,
    **options: Any,
) -> Problem:
    """Make a `Problem` from what a user gives; arguments as of `prepare`, `find_unknowns` and `Problem`."""
    experiments = prepare(data, model, u0=u0, sigma=sigma, t0=t0)
    unknowns = find_unknowns(
        model, experiments, parameters=parameters, fixed=fixed, start=start, bounds=bounds, weights=weights, seed=seed
    )
    return Problem(model, experiments, unknowns, **options)


def _again(model: Model, experiments: list[Prepared], unknowns: Unknowns, options: dict[str, Any]) -> Problem:
    return Problem(model, experiments, unknowns, **options)


__all__ = ["Failure", "Problem", "Trajectory", "problem"]
