"""A model as a `torch.nn.Module`: solved natively, differentiable in torch.

`layer(model, saveat)` integrates with the compiled kernel on the CPU and gives
torch the exact derivatives of the steps that were taken, by forward sensitivities
or the discrete adjoint of Tsit5.  No Python runs inside a solve.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..codegen.native import functions
from ..errors import (
    InputError,
    MissingValueError,
    NonFiniteError,
    SolveError,
    UnknownNameError,
    UnsupportedError,
    suggest,
)
from ..model.inputs import check_span, kept_rows, read_rows, tables
from ..model.interpolate import tail
from ..sensitivity.discrete import pull_back
from ..solve import switched
from ..solve.algebraic import integrator as algebraic_integrator
from ..solve.choice import check_method
from ..solve.integrate import EMPTY, NO_COLUMNS, Integrator, Trajectory, vector
from ..solve.observe import observe
from ..solve.status import Status
from . import networks as mlp

if TYPE_CHECKING:
    from ..model.model import Model

SENSITIVITIES = ("forward", "discrete_adjoint", "auto")
PLANNED = ("interpolating_adjoint", "backsolve_adjoint", "quadrature_adjoint")
JUMPS = (
    "the equations jump where a condition turns (or sign, floor, mod), at times that depend on the solution or "
    "on parameters, and the discrete adjoint does not cross such jumps"
)
JUMPS_HINT = (
    'use sensitivity="forward" (for models without networks), or let the branches meet: '
    "max(0, x), or a smooth step 1/(1 + exp(-x/width))"
)
FORWARD_COLUMNS = 40
"""Up to so many parameters and initial values "auto" takes forward sensitivities."""

Values = torch.Tensor | Mapping[str, Any] | Sequence[float] | None


class SolveLayer(torch.nn.Module):
    """The solution of a model at fixed times, as a function of initial values, parameters and weights.

    Attributes
    ----------
    p: `torch.nn.Parameter` (np,), the model's parameters in order, from its defaults
        (NaN where it has none: pass them).
    networks: `ModuleDict`, for each network an ordinary `torch.nn.Sequential`; its
        weights are what is trained.  `load_state_dict`, optimisers and `nn.utils` work
        as always; `to_model()` carries the values back into a `Model`.
    """

    def __init__(
        self,
        model: Model,
        saveat: Any,
        *,
        method: str = "auto",
        rtol: float = 1e-6,
        atol: float = 1e-9,
        sensitivity: str = "auto",
        max_steps: int = 100_000,
        t0: float | None = None,
        seed: int = 0,
        inputs: Any = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.saveat = _times(saveat, t0)
        self.t0 = float(self.saveat[0]) if t0 is None else float(t0)
        self.sensitivity, self.method = _choose(model, sensitivity, method)
        self.rtol, self.atol, self.max_steps = rtol, atol, max_steps
        self._integrators: dict[tuple[bool, bool], Integrator] = {}
        found = tables(model.spec.inputs, kept_rows(model.spec.inputs) | _rows(model, inputs))
        check_span(model.spec.inputs, found, self.t0, float(self.saveat[-1]))
        self._tail = tail(found) if found else EMPTY
        values = [math.nan if q.default is None else q.default for q in model.spec.parameters]
        self.p = torch.nn.Parameter(torch.tensor(values, dtype=torch.float64))
        own = dict(model.spec.weights)
        self.networks = torch.nn.ModuleDict(
            {
                _key(net.name): mlp.build(net, own.get(net.name), seed=seed + k)
                for k, net in enumerate(model.spec.networks)
            }
        )

    def forward(self, u0: Values = None, p: Values = None) -> torch.Tensor:
        """States at `saveat`: (T, n), or (B, T, n) if `u0` or `p` is a batch.

        Arguments
        ---------
        u0: (n,) or (B, n), or a mapping of some names to numbers or tensors; default the
            model's own initial values, which may depend on `p`.
        p: (np,) or (B, np), or a mapping; default the layer's `p`.

        Results have the type and device of `u0` (else `p`); the integration itself
        is in double precision on the CPU.

        Raises
        ------
        SolveError: an integration failed; the message says which of the batch and where.
        InputError: a shape, name or number does not fit.
        """
        model = self.model
        if u0 is None and (p is None or p is self.p) and self.p.dtype == torch.float64 and not self.p.is_cuda:
            everything: torch.Tensor = self.p  # the common call, without a detour
            if self.networks:
                parts = [w.reshape(-1) for net in self.networks.values() for w in net.parameters()]
                if all(w.dtype == torch.float64 and w.device == self.p.device for w in parts):
                    whole: torch.Tensor = _Solve.apply(None, torch.cat([everything, *parts]), self)  # type: ignore[no-untyped-call]
                    return whole
            else:
                whole = _Solve.apply(None, everything, self)  # type: ignore[no-untyped-call]
                return whole
        parameters = _merge(p, self.p, model.parameters, "p")
        weights = [w.reshape(-1).to(torch.float64) for net in self.networks.values() for w in net.parameters()]
        like = u0 if isinstance(u0, torch.Tensor) else p if isinstance(p, torch.Tensor) else self.p
        start = self._start(u0, parameters)
        batch = {v.shape[0] for v in (parameters, start) if v is not None and v.dim() == 2}
        if len(batch) > 1:
            raise InputError(f"u0 and p have different batch sizes: {sorted(batch)}")
        everything = parameters.to("cpu", torch.float64)
        if weights:
            tail = torch.cat([w.to("cpu") for w in weights])
            everything = torch.cat([everything, tail.expand(*everything.shape[:-1], -1)], dim=-1)
        initial = None if start is None else start.to("cpu", torch.float64)
        if batch:
            size = batch.pop()
            if initial is not None:
                initial = initial.expand(size, -1) if initial.dim() == 1 else initial
            everything = everything.expand(size, -1) if everything.dim() == 1 else everything
        result: torch.Tensor = _Solve.apply(initial, everything, self)  # type: ignore[no-untyped-call]
        return result.to(like.device, like.dtype if like.is_floating_point() else torch.float64)

    def _ready(self, forward: bool, adjoint: bool) -> Integrator:
        """The compiled integrator, kept between calls and left out of pickles and copies."""
        key = (forward, adjoint)
        found = self._integrators.get(key)
        if found is None:
            native = functions(self.model, forward=forward, adjoint=adjoint)
            found = Integrator(native) if adjoint else switched.integrator(self.model, native, always=True)
            self._integrators[key] = found
        return found

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_integrators": {}}

    def _start(self, u0: Values, parameters: torch.Tensor) -> torch.Tensor | None:
        """Given initial values; NaN where the model's own holds; None if none are given."""
        if u0 is None:
            return None
        count = len(self.model.states)
        nothing = torch.full((count,), math.nan, dtype=torch.float64, device=parameters.device)
        return _merge(u0, nothing, self.model.states, "u0")

    def to_model(self) -> Model:
        """The model with the layer's parameters and weights as its own."""
        numbers = self.p.detach().cpu().numpy()
        known = {name: float(v) for name, v in zip(self.model.parameters, numbers, strict=True) if math.isfinite(v)}
        weights = {net.name: mlp.flatten(self.networks[_key(net.name)]) for net in self.model.spec.networks}
        return self.model.with_parameters(known).with_weights(weights)

    def load_network(self, name: str, module: torch.nn.Module) -> None:
        """Use an ordinary torch module of the declared layers as network `name` (shared, not copied).

        Raises InputError where it does not compute what the model declares.
        """
        net = next((net for net in self.model.spec.networks if net.name == name), None)
        if net is None:
            hint = suggest(name, self.model.networks) or f"networks are {', '.join(self.model.networks) or 'none'}"
            raise UnknownNameError(f"the model has no network `{name}`; {hint}")
        mlp.check(net, module)
        self.networks[_key(name)] = module


def layer(model: Model, saveat: Any, **options: Any) -> SolveLayer:
    """The solution of a model at the times `saveat` as a differentiable `torch.nn.Module`.

    Arguments
    ---------
    saveat: times (T,), increasing or decreasing; the first is where the initial values
        hold unless `t0` says otherwise.
    method: "auto", "tsit5" or "rodas5p"; the adjoint always takes Tsit5.
    rtol, atol: tolerances of the solver, default 1e-6 and 1e-9.
    sensitivity: "forward" (all methods, through events; not for network weights),
        "discrete_adjoint" (Tsit5; any number of parameters and weights; no events, no jumps), or
        "auto": the adjoint where there are weights or more than 40 parameters.
    max_steps: attempted steps before a solve counts as failed.
    t0: time of the initial values; default the first of `saveat`.
    seed: of the initial weights of networks for which the model has none.
    inputs: data of the model's inputs in place of its own, as in `Model.with_inputs`.

    Returns
    -------
    SolveLayer: `layer(u0=None, p=None) -> (T, n)` or `(B, T, n)`.

    Example
    -------
    >>> import torch, sciml_dsl as sd
    >>> m = sd.model("x' = -k*x; x(0) = 1; param k = 0.5")
    >>> solve = m.layer([0.0, 1.0, 2.0], rtol=1e-9, atol=1e-12)
    >>> solve()[-1, 0].backward()
    >>> round(float(solve.p.grad[0]), 6)  # d/dk exp(-2k)
    -0.735759
    """
    return SolveLayer(model, saveat, **options)


class _Solve(torch.autograd.Function):
    """(u0 (n) or (B, n), NaN or None where the model's own holds; p with weights) -> states, natively."""

    @staticmethod
    def forward(ctx: Any, u0: torch.Tensor | None, p: torch.Tensor, owner: SolveLayer) -> torch.Tensor:
        single = (u0 is None or u0.dim() == 1) and p.dim() == 1
        values = p.detach().numpy()
        starts = None if u0 is None else u0.detach().numpy()
        wanted = (ctx.needs_input_grad[0], ctx.needs_input_grad[1])
        ctx.owner, ctx.single, ctx.given = owner, single, u0 is not None
        if single:
            ctx.runs = [_run(owner, starts, values, wanted, "")]
            return torch.from_numpy(ctx.runs[0].trajectory.u)
        many = [None] * len(values) if starts is None else starts
        ctx.runs = [
            _run(owner, start, value, wanted, f" (number {k} of the batch)")
            for k, (start, value) in enumerate(zip(many, values, strict=True))
        ]
        return torch.from_numpy(np.stack([run.trajectory.u for run in ctx.runs]))

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[Any, ...]:
        cotangents = grad.detach().to(torch.float64).numpy()
        if ctx.single:
            a, b = ctx.runs[0].pull(ctx.owner, np.ascontiguousarray(cotangents))
            return (torch.from_numpy(a) if ctx.given else None, torch.from_numpy(b), None)
        pairs = [run.pull(ctx.owner, np.ascontiguousarray(c)) for run, c in zip(ctx.runs, cotangents, strict=True)]
        du0 = torch.from_numpy(np.stack([a for a, _ in pairs])) if ctx.given else None
        return du0, torch.from_numpy(np.stack([b for _, b in pairs])), None


class _Run:
    """One integration and what its reverse sweep needs."""

    def __init__(self, trajectory: Trajectory, p: Any, size: int, own: Any, slope: Any, start_columns: int) -> None:
        self.trajectory, self.p, self.size = trajectory, p, size  # size: of p without the tables of inputs
        self.own = own  # states whose initial value is the model's
        self.slope = slope  # d(initial)/dp (n, np)
        self.start_columns = start_columns  # sensitivity columns of initial values

    def pull(self, owner: SolveLayer, cotangent: Any) -> tuple[Any, Any]:
        """Cotangents of (u0, p) from those of the states (T, n)."""
        rows, n = cotangent.shape
        trajectory, first = self.trajectory, self.start_columns
        if owner.sensitivity == "forward":
            du0, dp = np.zeros(n), np.zeros(self.size)
            flat = cotangent.reshape(-1) @ trajectory.s.reshape(rows * n, -1)
            du0[:first], dp[: flat.size - first] = flat[:first], flat[first:]
        else:
            native = owner._ready(False, True).functions
            out = pull_back(
                native, self.p, trajectory.times, trajectory.states, trajectory.record_k, owner.saveat, cotangent
            )
            du0, dp = out[:n].copy(), out[n:]
            if self.slope is not None:
                dp[: native.n_params] += (du0 * self.own) @ self.slope
        du0[self.own] = 0.0
        if not (math.isfinite(du0.sum()) and math.isfinite(dp.sum())):
            raise NonFiniteError("the gradient of a solution became NaN or infinite")
        return du0, dp


def _run(owner: SolveLayer, given: Any, p: Any, wanted: tuple[bool, bool], where: str) -> _Run:
    model = owner.model
    if model.spec.algebraic:
        return _run_algebraic(owner, given, p, any(wanted), wanted[0], where)
    forward = any(wanted) and owner.sensitivity == "forward"
    adjoint = any(wanted) and owner.sensitivity == "discrete_adjoint"
    integrator = owner._ready(forward, adjoint)
    native = integrator.functions
    n, n_params = native.n, native.n_params
    size, p = _numbers(owner, p, where)
    slopes = native.initial_slopes
    if slopes == "missing" and (forward or adjoint):
        raise UnsupportedError(
            f"the initial values depend on parameters, and their {n:,} x {n_params:,} derivatives are too many",
            hint="pass u0 to the layer instead",
        )
    count = n + n * n_params if slopes == "given" else n
    initial = observe(native.initial, count, np.array([owner.t0]), np.zeros((1, n)), p)[0]
    own = np.ones(n, dtype=bool) if given is None else np.isnan(given)
    start = initial[:n] if given is None else np.where(own, initial[:n], given)
    if not math.isfinite(start.sum()):
        bad = np.flatnonzero(~np.isfinite(start))
        if bad.size:
            raise MissingValueError(
                f"state `{model.states[bad[0]]}` has no initial value{where}\n"
                f"  hint: write {model.states[bad[0]]}(0) = ... in the model or pass u0"
            )
    slope = initial[n:].reshape(n, n_params) if slopes == "given" else None
    s0, columns, start_columns = EMPTY, NO_COLUMNS, 0
    if forward:
        start_columns = n if wanted[0] else 0
        s0 = np.zeros((n, n_params)) if slope is None else slope * own[:, None]
        columns = np.arange(-start_columns, n_params)
        if start_columns:
            s0 = np.hstack([np.eye(n), s0])
            columns[:n] = -1
    trajectory = integrator.run(
        start,
        p,
        owner.t0,
        float(owner.saveat[-1]),
        method=owner.method,
        rtol=owner.rtol,
        atol=owner.atol,
        saveat=owner.saveat,
        s0=s0,
        columns=columns,
        record=adjoint,
        max_steps=owner.max_steps,
    )
    if not trajectory.ok or trajectory.t.size != owner.saveat.size:
        raise _failed(owner, trajectory, where)
    p = integrator.one_sided(p, owner.t0, float(owner.saveat[-1]))
    return _Run(trajectory, p, size, own, slope, start_columns)


def _numbers(owner: SolveLayer, p: Any, where: str) -> tuple[int, Any]:
    """(size of p without the tables of inputs, p with them); all numbers are finite."""
    p = vector(p, None, "p")
    if not math.isfinite(p.sum()):
        bad = np.flatnonzero(~np.isfinite(p))
        if bad.size:
            names = owner.model.parameters
            name = names[bad[0]] if bad[0] < len(names) else "a network weight"
            raise MissingValueError(f"parameter `{name}` is {p[bad[0]]}{where}\n  hint: give it a default or pass p")
    return p.size, np.concatenate([p, owner._tail]) if owner._tail.size else p


def _run_algebraic(owner: SolveLayer, given: Any, p: Any, forward: bool, by_start: bool, where: str) -> _Run:
    """As `_run`, through algebraic equations: values given for what these determine are guesses, without a gradient."""
    integrator = algebraic_integrator(owner.model, weights=bool(owner.model.networks))
    native = integrator.forward if forward else integrator.functions
    shown, width = integrator.shown, native.n_params
    size, p = _numbers(owner, p, where)
    initial = observe(native.initial, native.n * (1 + width), np.array([owner.t0]), np.zeros((1, native.n)), p)[0]
    own = np.ones(shown, dtype=bool) if given is None else np.isnan(given)
    start = np.where(own, initial[:shown], initial[:shown] if given is None else given)
    s0, columns, start_columns = EMPTY, NO_COLUMNS, 0
    if forward:
        start_columns = shown if by_start else 0
        s0 = initial[native.n :].reshape(native.n, width)[:shown] * own[:, None]
        columns = np.arange(-start_columns, width)
        if start_columns:
            s0 = np.hstack([np.eye(shown), s0])
            columns[:shown] = -1
    try:
        trajectory = integrator.run(
            start, p, owner.t0, float(owner.saveat[-1]), method=owner.method, rtol=owner.rtol, atol=owner.atol,
            saveat=owner.saveat, s0=s0, columns=columns, max_steps=owner.max_steps,
        )  # fmt: skip
    except (InputError, MissingValueError) as error:
        raise type(error)(f"{error}{where}") from error
    if not trajectory.ok or trajectory.t.size != owner.saveat.size:
        raise _failed(owner, trajectory, where)
    return _Run(trajectory, p, size, own, None, start_columns)


def _failed(owner: SolveLayer, trajectory: Trajectory, where: str) -> SolveError:
    status = Status(trajectory.status)
    worst = int(np.argmax(np.abs(np.nan_to_num(trajectory.u_end, nan=np.inf))))
    text = (
        f"the integration{where} ended with status {status.name.lower()} at t = {trajectory.t_end:g} of "
        f"{float(owner.saveat[-1]):g}, where {owner.model.states[worst]} = {trajectory.u_end[worst]:.4g}"
    )
    if status == Status.MAX_STEPS and owner.method == "tsit5":
        text += '\n  hint: the model may be stiff; sensitivity="forward" works with method="auto" and "rodas5p"'
    return NonFiniteError(text) if status == Status.NONFINITE else SolveError(text)


def _rows(model: Model, inputs: Any) -> dict[str, Any]:
    return {} if inputs is None else read_rows(model.spec.inputs, inputs)


def _times(saveat: Any, t0: float | None) -> Any:
    times = vector(saveat.detach().cpu().numpy() if isinstance(saveat, torch.Tensor) else saveat, None, "saveat")
    ends = times if t0 is None else np.concatenate([[t0], times])
    steps = np.diff(ends)
    if times.size == 0 or not np.isfinite(ends).all():
        raise InputError("saveat must hold at least one time, and no NaN or infinity")
    if times.size + (t0 is not None) < 2:
        raise InputError("saveat must hold at least two times (the first is where the initial values hold), or give t0")
    if not ((steps >= 0).all() or (steps <= 0).all()) or (np.diff(times) == 0).any():
        raise InputError("saveat must increase (or decrease) from t0 on; use numpy.unique")
    return np.ascontiguousarray(times)


def _choose(model: Model, sensitivity: str, method: str) -> tuple[str, str]:
    """(sensitivity, method) that fit the model, or an error that says what does."""
    check_method(method)
    if sensitivity in PLANNED:
        raise UnsupportedError(
            f'sensitivity="{sensitivity}" is not built yet', hint='use "discrete_adjoint" or "forward"'
        )
    if sensitivity not in SENSITIVITIES:
        hint = suggest(str(sensitivity), SENSITIVITIES) or f"choose one of {', '.join(SENSITIVITIES)}"
        raise UnknownNameError(f"sensitivity `{sensitivity}` is not known; {hint}")
    spec = model.spec
    if spec.algebraic:
        if sensitivity == "discrete_adjoint":
            raise UnsupportedError(
                "the discrete adjoint does not go through algebraic equations",
                hint='use sensitivity="forward", which carries network weights through them too',
            )
        switched.refuse_algebraic(model)
        return "forward", method
    many = len(spec.parameters) + len(spec.states) > FORWARD_COLUMNS
    if sensitivity == "auto":
        adjoint = bool(spec.networks) or (
            many and not spec.events and method != "rodas5p" and not switched.jumps(model)
        )
        sensitivity = "discrete_adjoint" if adjoint else "forward"
    if sensitivity == "discrete_adjoint":
        if spec.events:
            raise UnsupportedError(
                "the discrete adjoint does not cross events yet",
                hint='use sensitivity="forward" (for models without networks)',
            )
        if switched.jumps(model):
            raise UnsupportedError(JUMPS, hint=JUMPS_HINT)
        if method == "rodas5p":
            raise UnsupportedError(
                "the discrete adjoint is that of Tsit5", hint='use method="tsit5", or sensitivity="forward"'
            )
        return sensitivity, "tsit5"
    if spec.networks:
        raise UnsupportedError(
            "network weights have no forward sensitivities", hint='use sensitivity="discrete_adjoint"'
        )
    return sensitivity, method


def _merge(given: Values, default: torch.Tensor, names: tuple[str, ...], what: str) -> torch.Tensor:
    """A tensor in the model's order from what the user gave."""
    if given is None:
        return default
    if isinstance(given, Mapping):
        for key in given:
            if str(key) not in names:
                hint = suggest(str(key), names) or f"known are {', '.join(names)}"
                raise UnknownNameError(f"{what}: `{key}` is not in the model; {hint}")
        by_name = {str(key): value for key, value in given.items()}
        parts = [
            torch.as_tensor(by_name.get(name, default[..., i]), dtype=torch.float64) for i, name in enumerate(names)
        ]
        return torch.stack(torch.broadcast_tensors(*parts), dim=-1) if parts else default
    tensor = given if isinstance(given, torch.Tensor) else torch.as_tensor(given, dtype=torch.float64)
    if tensor.dim() not in (1, 2) or tensor.shape[-1] != len(names):
        raise InputError(
            f"{what} has shape {tuple(tensor.shape)}; expected ({len(names)},) or (B, {len(names)}): {', '.join(names)}"
        )
    return tensor


def _key(name: str) -> str:
    """A name torch accepts for a module (no dots, nothing empty)."""
    return name.replace(".", "_")
