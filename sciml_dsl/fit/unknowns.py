"""The vector θ of a fit: which numbers are sought, their names, bounds and transformations.

θ is parameters, then unknown initial values experiment by experiment, then all
network weights.  Parameters declared `log` enter by their natural logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, MissingValueError, UnknownNameError, suggest
from .experiment import ESTIMATE, Prepared, number

if TYPE_CHECKING:
    from ..graph.system import System
    from ..model.model import Model
    from .scaling import NetworkUnits, Units

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Unknowns:
    """What is estimated.

    Attributes:
        names: of parameters and initial values, `x(0)` or `x(0)[experiment]`.
        parameters: index of each sought parameter among the model's.
        initial: (experiment, state) of each sought initial value.
        n_weights: number of sought network weights (the tail of θ), 0 or all.
        start, lower, upper: natural values (not logarithms), shape (n,).
        log: positions in θ that hold logarithms.
        base: (n_params + n_weights) values of everything that is not sought.
        networks: units of the networks, for training.
    """

    names: tuple[str, ...]
    parameters: NDArray[np.int64]
    initial: tuple[tuple[int, int], ...]
    n_weights: int
    start: Floats
    lower: Floats
    upper: Floats
    log: NDArray[np.int64]
    base: Floats = field(repr=False)
    networks: tuple[NetworkUnits, ...] = field(default=(), repr=False)

    def units(self) -> Units:
        """Variables of order one for training: sizes of the starts, networks in units of the data.

        A parameter's unit is its start, a tenth of its bounds' range where that is 0, and 1
        for logarithms.
        """
        from .scaling import Units

        with np.errstate(invalid="ignore"):
            width = np.where(np.isfinite(self.upper - self.lower), 0.1 * (self.upper - self.lower), 1.0)
        size = np.where(self.start != 0.0, np.abs(self.start), np.maximum(width, 1e-12))
        size[self.n - self.n_weights :] = 1.0
        size[self.log] = 1.0
        return Units(size, self.n_weights, self.networks if self.n_weights else ())

    @property
    def n(self) -> int:
        """Length of θ."""
        return len(self.start)

    def natural(self, theta: Floats) -> Floats:
        """Natural values of θ: logarithms undone."""
        if not self.log.size:
            return theta
        values = theta.copy()
        with np.errstate(over="ignore"):
            values[self.log] = np.exp(values[self.log])
        return values

    def internal(self, values: Floats) -> Floats:
        """θ of natural values."""
        theta = np.array(values, dtype=float)
        if self.log.size:
            with np.errstate(divide="ignore"):
                theta[self.log] = np.log(theta[self.log])
        return theta


def find_unknowns(
    model: Model,
    experiments: Sequence[Prepared],
    *,
    parameters: Iterable[str] | None = None,
    fixed: Iterable[str] | Mapping[str, float] | None = None,
    start: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
    weights: bool | None = None,
    seed: int = 0,
) -> Unknowns:
    """Decide what is estimated.

    Arguments:
        model: the model.
        experiments: prepared experiments.
        parameters: names to estimate; default all.
        fixed: names not to estimate, at their defaults, or a mapping to the numbers
            they have.
        start: where to start, for parameters and initial values (`"x(0)"`); default the
            model's defaults (1, moved into the bounds, where it has none), and the
            first measurement of a state.
        bounds: (lower, upper) by name, in place of the model's; None means unbounded.
        weights: whether the weights of networks are sought; default if there are any.
        seed: of the weights' initialisation, where the model holds none.

    Raises:
        UnknownNameError, InputError, MissingValueError: a name or number does not fit.

    Example:
        >>> import sciml_dsl as sd
        >>> from sciml_dsl.fit.experiment import prepare
        >>> m = sd.model("x' = -k*x; param k = 1 in [0, 9]")
        >>> find_unknowns(m, prepare({"t": [0, 1], "x": [2.0, 1.0]}, m)).names
        ('k', 'x(0)')
    """
    spec = model.spec
    start, bounds = dict(start or {}), dict(bounds or {})
    held = dict(fixed) if isinstance(fixed, Mapping) else dict.fromkeys(fixed or ())
    names = [p.name for p in spec.parameters]
    for what, given in (("parameters", parameters), ("fixed", held)):
        for name in [given] if isinstance(given, str) else given or ():
            if name not in names:
                _unknown(what, name, names)
    if parameters is not None:
        wanted = {parameters} if isinstance(parameters, str) else set(parameters)
        both = sorted(wanted & held.keys())
        if both:
            raise InputError(f"`{both[0]}` is both in `parameters` and in `fixed`")
    else:
        # a parameter every experiment knows has nothing to be estimated from
        everywhere = set.intersection(*(set(e.p) for e in experiments)) if experiments else set()
        wanted = {n for i, n in enumerate(names) if n not in held and i not in everywhere}
    lists = _Lists()
    base = np.full(len(names) + spec.n_weights, np.nan)
    for i, p in enumerate(spec.parameters):
        if p.name in wanted:
            lower, upper = _bounds(p.name, bounds.pop(p.name, (p.lower, p.upper)))
            value = start.pop(p.name, p.default)
            if value is None:
                value = _inside(lower, upper, p.log)
            log = p.log and upper > 0
            lists.add(p.name, number(value, f"start of `{p.name}`"), max(lower, 0.0) if log else lower, upper, log)
            lists.parameters.append(i)
            continue
        value = held.get(p.name)
        if value is None:
            value = start.pop(p.name, p.default)
        if value is not None:
            base[i] = number(value, f"fixed value of `{p.name}`")
        elif any(i not in e.p for e in experiments):
            raise MissingValueError(
                f"parameter `{p.name}` is not estimated and has no number\n"
                f'  hint: write `param {p.name} = 1` in the model, or fixed={{"{p.name}": 1}}'
            )
    several = len(experiments) > 1
    own = _own_starts(model) if model.algebraic else {}
    pairs = []
    for k, experiment in enumerate(experiments):
        for s, state in enumerate(spec.states):
            if experiment.initial[s] != ESTIMATE:
                continue
            plain = f"{state}(0)"
            name = f"{plain}[{experiment.name}]" if several else plain
            lower, upper = _bounds(name, bounds.get(name, bounds.get(plain, (None, None))))
            value = start.get(name, start.get(plain, start.get(state)))
            if value is None:
                value = min(max(_first(experiment, state, own.get(state, 1.0)), lower), upper)
            lists.add(name, number(value, f"start of `{name}`"), lower, upper, False)
            pairs.append((k, s))
    allowed = {f"{s}(0)" for _, i in pairs for s in (spec.states[i],)} | {spec.states[i] for _, i in pairs}
    for what, given in (("start", start), ("bounds", bounds)):
        for name in given:
            if name not in lists.names and name not in allowed:
                _unknown(what, name, [*names, *lists.names])
    first_weight = len(names)
    units: tuple[NetworkUnits, ...] = ()
    has_weights = spec.n_weights > 0
    if has_weights:
        from .scaling import fresh_weights, network_units

        known = np.where(np.isfinite(base), base, 1.0)
        known[lists.parameters] = lists.start[: len(lists.parameters)]
        known[first_weight:] = 0.0
        units = network_units(model, experiments, known)
        base[first_weight:] = fresh_weights(units, dict(spec.weights), seed)
    free_weights = has_weights and weights is not False
    n_weights = spec.n_weights if free_weights else 0
    tail = base[first_weight:] if free_weights else np.empty(0)
    return Unknowns(
        tuple(lists.names),
        np.array(lists.parameters, dtype=np.int64),
        tuple(pairs),
        n_weights,
        np.concatenate([np.array(lists.start), tail]),
        np.concatenate([np.array(lists.lower), np.full(n_weights, -np.inf)]),
        np.concatenate([np.array(lists.upper), np.full(n_weights, np.inf)]),
        np.array(lists.log, dtype=np.int64),
        base,
        units,
    )


class _Lists:
    def __init__(self) -> None:
        self.names: list[str] = []
        self.parameters: list[int] = []
        self.start: list[float] = []
        self.lower: list[float] = []
        self.upper: list[float] = []
        self.log: list[int] = []

    def add(self, name: str, start: float, lower: float, upper: float, log: bool) -> None:
        if not lower <= start <= upper:
            raise InputError(
                f"the start {start:g} of `{name}` lies outside its bounds [{lower:g}, {upper:g}]\n"
                f'  hint: move it, start={{"{name}": ...}}, or widen the bounds'
            )
        if log:
            if start <= 0:
                raise InputError(f"`{name}` is declared `log` but starts at {start:g}\n  hint: start above 0")
            self.log.append(len(self.names))
        self.names.append(name)
        self.start.append(start)
        self.lower.append(lower)
        self.upper.append(upper)


def _bounds(name: str, pair: tuple[float | None, float | None]) -> tuple[float, float]:
    try:
        lower, upper = pair
        low = -math.inf if lower is None else float(lower)
        high = math.inf if upper is None else float(upper)
    except (TypeError, ValueError):
        raise InputError(f"bounds of `{name}` are {pair!r}\n  hint: a pair of numbers, ({name}: (0, 10))") from None
    if not low < high:
        raise InputError(f"bounds of `{name}` are [{low:g}, {high:g}], which holds no interval")
    return low, high


def _inside(lower: float, upper: float, log: bool) -> float:
    """A start for a parameter without default: 1, or the middle of the bounds where they exclude it."""
    if lower <= 1.0 <= upper:
        return 1.0
    if math.isfinite(lower) and math.isfinite(upper):
        return math.sqrt(lower * upper) if log and lower > 0 else 0.5 * (lower + upper)
    return lower + 1.0 if math.isfinite(lower) else upper - 1.0


def _own_starts(model: Model) -> dict[str, float]:
    """The model's own initial values, of its default parameters, where they are numbers.

    Constraints may leave only a small range for a start, which an invented number would miss.
    """
    from ..graph.evaluate import values

    system = model.system
    p = [math.nan if q.default is None else q.default for q in model.spec.parameters]
    found = ((s, values(system.graph, [node], 0.0, (), p)[0]) for s, node in _given(system))
    return {s: value for s, value in found if math.isfinite(value)}


def _given(system: System) -> list[tuple[str, int]]:
    return [(s, node) for s, node in zip(system.states, system.initial, strict=True) if node is not None]


def _first(experiment: Prepared, state: str, otherwise: float) -> float:
    """First measurement of a state."""
    table = experiment.table
    if state in table.columns:
        y = table.column(state)
        return float(y[~np.isnan(y)][0])
    return otherwise


def _unknown(what: str, name: str, known: Sequence[str]) -> None:
    hint = suggest(name, known) or f"known are {', '.join(f'`{k}`' for k in known)}"
    raise UnknownNameError(f"{what}: nothing that could be estimated is called `{name}`\n  hint: {hint}")


__all__ = ["Unknowns", "find_unknowns"]
