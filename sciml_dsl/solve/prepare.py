"""From names to arrays: what the solver needs of a model, prepared once and kept with it.

Takes initial values and parameters as users give them (by name or in order, whole or
in part), gives vectors in the model's order, or says which name or number is wrong.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, MissingValueError, UnknownNameError, suggest
from ..language.ast import names
from ..model.array_values import array_of, by_element, elements
from ..model.expanded import initial_expressions
from ..model.inputs import check_span, input_tail, kept_rows, read_rows
from ..model.interpolate import untail
from ..model.named import by_name
from . import switched
from .integrate import Integrator, vector
from .problem import NativeFunctions

if TYPE_CHECKING:
    from ..model.model import Model
    from .algebraic import AlgebraicIntegrator

Floats = NDArray[np.float64]
Given = Mapping[Any, Any] | Sequence[float] | Floats | None


class Prepared:
    """One model made ready to be solved many times."""

    def __init__(self, model: Model) -> None:
        from ..codegen.native import functions

        self._model = model
        spec = model.spec
        self.states = spec.states
        self.parameters = model.parameters
        self.observables = model.observables
        if spec.algebraic:
            from .algebraic import integrator

            self.integrator: Integrator | AlgebraicIntegrator = integrator(model)
        else:
            self.integrator = Integrator(functions(model))
        self.functions: NativeFunctions = self.integrator.functions
        self.event_sources = tuple(e.source for e in (model.loops if spec.as_loops else model.system).events)
        self.arrays = spec.arrays
        self.state_index = {name: i for i, name in enumerate(self.states)}
        self.parameter_index = {name: i for i, name in enumerate(self.parameters)}
        self._p, self.missing = self._default_parameters()
        self.inputs = spec.inputs
        self._rows = kept_rows(spec.inputs)
        self._spec_initial = spec.initial
        self.algebraic = bool(spec.algebraic)
        self._initial_function = ctypes.CFUNCTYPE(
            None, ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
        )(self.functions.initial)
        self.constant_initial = not any(names(expr) for expr in initial_expressions(spec))
        self._default_u0: tuple[float, Floats] | None = None
        self.again: dict[Any, Any] = {}  # what runs with the same options have in common, see `api`

    @cached_property
    def forward(self) -> Integrator | AlgebraicIntegrator:
        """The integrator with what forward sensitivities need, compiled when first used."""
        from ..codegen.native import functions

        if not isinstance(self.integrator, Integrator):
            switched.refuse_algebraic(self._model)
            return self.integrator
        return switched.integrator(self._model, functions(self._model, forward=True))

    @cached_property
    def observe(self) -> Callable[[Floats, Floats, Floats], Floats] | None:
        """Observables (T, k) from (t, u, p)."""
        if not self.observables:
            return None
        from .observe import observe

        functions = self.functions
        return lambda t, u, p: observe(functions.observables, functions.n_observables, t, u, p)

    def event_words(self, t: float, u: Floats, p: Floats) -> list[str]:
        """For each event how messages call it, with the numbers that its times have at (t, u, p)."""
        from ..codegen.sciml import event_head
        from .observe import observe

        functions = self.functions
        timed = [k for k, e in enumerate(functions.events) if e.kind in ("at", "every")]
        found = [f"event {k} (`{event_head(event)}`)" for k, event in enumerate(self._model.spec.events)]
        if timed:
            table = observe(functions.event_times, 4 * len(timed), np.array([t]), u[None, :].copy(), p)[0]
            for k, (first, period, *_) in zip(timed, table.reshape(-1, 4), strict=True):
                every = functions.events[k].kind == "every"
                numbers = f", first at {first:g}" + (f", then every {period:g}" if every else "")
                if not math.isfinite(first):
                    numbers += ", which is no time"
                elif every and not 0.0 < period < math.inf:
                    numbers += ", which is no period"
                found[self.event_sources[k]] += numbers
        return found

    @property
    def refine(self) -> Callable[[Floats, Floats, Floats], Floats] | None:
        """What moves interpolated states (T, n) onto algebraic equations, at t, with p."""
        integrator = self.integrator
        if isinstance(integrator, Integrator):
            return None

        def refine(t: Floats, u: Floats, p: Floats) -> Floats:
            whole = np.zeros((len(t), integrator.family.n))
            whole[:, : u.shape[1]] = u
            return integrator.refine(t, whole, p)[:, : u.shape[1]]

        return refine

    # ------------------------------------------------------------ parameters

    def _default_parameters(self) -> tuple[Floats, tuple[str, ...]]:
        spec = self._model.spec
        values = [math.nan if q.default is None else float(q.default) for q in spec.parameters]
        missing = [q.name for q in spec.parameters if q.default is None]
        weights = dict(spec.weights)
        for network in spec.networks:
            given = weights.get(network.name)
            if given is None:
                missing.append(network.name)
                values += [math.nan] * network.n_weights
            else:
                values += given
        return np.array(values, dtype=np.float64), tuple(missing)

    @cached_property
    def _tail(self) -> Floats:
        """The tables of the inputs, of the data kept with the model."""
        return input_tail(self.inputs, self._rows)

    @cached_property
    def _defaults(self) -> Floats:
        return np.concatenate([self._p, self._tail]) if self.inputs else self._p

    def check_span(self, p: Floats, t0: float, t1: float) -> None:
        """Raise `DataError` where an input has no data for a part of the time span."""
        if self.inputs:
            found = untail(p[self._p.size :], len(self.inputs))
            assert found is not None
            check_span(self.inputs, found, t0, t1)

    def p(self, given: Given, weights: Mapping[str, Any] | None, inputs: Any = None) -> Floats:
        """Parameters followed by all network weights and the tables of all inputs.

        Raises `UnknownNameError` for a name the model does not have, `MissingValueError`
        for what has no number, `InputError` for NaN, infinity or a wrong length.
        """
        if inputs is None and self.inputs and isinstance(given, np.ndarray) and given.size > self._p.size:
            return self._whole(given)
        if inputs is not None:
            rows = self._rows | read_rows(self.inputs, inputs)
            return np.concatenate([self._parameters(given, weights), input_tail(self.inputs, rows)])
        if given is None and weights is None:
            if self.missing:
                self._raise_missing(self.missing)
            return self._defaults
        values = self._parameters(given, weights)
        return np.concatenate([values, self._tail]) if self.inputs else values

    def _whole(self, given: Floats) -> Floats:
        """A `p` that holds everything, as `Model.parameter_vector` makes it."""
        values = vector(given, None, "p")
        if untail(values[self._p.size :], len(self.inputs)) is None:
            raise InputError(
                f"p: behind its first {self._p.size} numbers stand no tables of the model's inputs\n"
                "  hint: m.parameter_vector(p, inputs=table) makes such a vector"
            )
        if not math.isfinite(values.sum()):
            self._check_finite(values)
        return values

    def _parameters(self, given: Given, weights: Mapping[str, Any] | None) -> Floats:
        if given is None and weights is None and self.missing:
            self._raise_missing(self.missing)
        values = self._p.copy()
        count = len(self.parameters)
        if given is not None:
            given = by_name(given, "p")
            if isinstance(given, Mapping):
                for key, value in given.items():
                    name = str(key)
                    index = self.parameter_index.get(name)
                    if index is None:
                        whole = array_of(self.arrays, name, "parameter")
                        if whole is None:
                            raise UnknownNameError(unknown(name, self.parameters, "parameter"))
                        values[whole.elements] = elements(whole, value)
                        continue
                    values[index] = _number(value, name)
            else:
                array = vector(given, None, "p")
                if array.size not in (count, values.size):
                    extra = f" (or {values.size} with the network weights)" if values.size > count else ""
                    raise InputError(f"p: {array.size} numbers for {count} parameters{extra}: {_list(self.parameters)}")
                values[: array.size] = array
        if weights is not None:
            self._set_weights(values, weights)
        if not math.isfinite(values.sum()):  # cheaper than a test of each
            self._check_finite(values)
        return values

    def _set_weights(self, values: Floats, weights: Mapping[str, Any]) -> None:
        networks = self._model.spec.networks
        known = {network.name for network in networks}
        for name in weights:
            if name not in known:
                raise UnknownNameError(unknown(str(name), [n.name for n in networks], "network"))
        at = len(self.parameters)
        for network in networks:
            if network.name in weights:
                array = np.asarray(weights[network.name], dtype=np.float64).reshape(-1)
                if array.size != network.n_weights:
                    raise InputError(f"network `{network.name}` has {network.n_weights} weights, got {array.size}")
                values[at : at + network.n_weights] = array
            at += network.n_weights

    def _check_finite(self, values: Floats) -> None:
        missing = [name for i, name in enumerate(self.parameters) if math.isnan(values[i])]
        at = len(self.parameters)
        for network in self._model.spec.networks:
            if np.isnan(values[at : at + network.n_weights]).any():
                missing.append(network.name)
            at += network.n_weights
        absent = [name for name in missing if name in self.missing]
        if absent:
            self._raise_missing(absent)
        for i, name in enumerate(self.parameters):
            if not math.isfinite(values[i]):
                raise InputError(f"the parameter `{name}` is {values[i]}; it must be a finite number")
        if not np.isfinite(values).all():
            raise InputError("the network weights contain NaN or infinity")

    def _raise_missing(self, names: Iterable[str]) -> None:
        networks = {network.name for network in self._model.spec.networks}
        parameters = [name for name in names if name not in networks]
        if parameters:
            first = parameters[0]
            raise MissingValueError(
                f"no value for the parameter{'s' if len(parameters) > 1 else ''} {_list(parameters)}; give p={{"
                f'"{first}": ...}}, or a default in the model: param {first} = 1'
            )
        first = next(iter(names))
        raise MissingValueError(
            f"the network `{first}` has no weights yet; train it with fit or discover, "
            f'or give weights={{"{first}": flat array}}'
        )

    # ------------------------------------------------------------ initial values

    def u0(self, given: Given, p: Floats, t0: float) -> Floats:
        """Initial state: the model's own, with what is given in its place."""
        if given is None:
            if self.constant_initial or p is self.__dict__.get("_defaults"):
                if self._default_u0 is None or self._default_u0[0] != t0:
                    self._default_u0 = (t0, self._from_model(p, t0, ()))
                return self._default_u0[1]
            return self._from_model(p, t0, ())
        given = by_name(given, "u0")
        if isinstance(given, Mapping):
            found: dict[int, float] = {}
            for key, value in given.items():
                name = str(key)
                if name not in self.state_index:
                    name = name.removesuffix("(0)")
                index = self.state_index.get(name)
                if index is None:
                    array = array_of(self.arrays, name, "state")
                    if array is None:
                        raise UnknownNameError(unknown(name, self.states, "state"))
                    flat = elements(array, value)
                    if not math.isfinite(flat.sum()):
                        for k, item in enumerate(flat.tolist()):
                            _number(item, f"{self.states[array.start + k]}(0)")
                    found |= zip(range(array.start, array.start + array.size), flat.tolist(), strict=True)
                    continue
                found[index] = _number(value, f"{name}(0)")
            values = self._from_model(p, t0, found)
            for index, number in found.items():
                values[index] = number
            return values
        values = vector(given, None, "u0").copy()
        if values.size != len(self.states):
            raise InputError(f"u0: {values.size} numbers for {len(self.states)} states: {_list(self.states)}")
        if not math.isfinite(values.sum()):
            for name, number in zip(self.states, values, strict=True):
                if not (self.algebraic and math.isnan(number)):  # NaN: to be computed
                    _number(number, f"{name}(0)")
        return values

    def initial(self, p: Floats, t0: float) -> tuple[Floats, Floats]:
        """The model's own initial values (n,), NaN where it has none, and their derivatives (n, n_params)."""
        n, count, shown = self.functions.n, len(self.parameters), len(self.states)
        given = self.functions.initial_slopes == "given"
        out = np.empty(n + n * count if given else n)
        u = np.zeros(n)
        self._initial_function(t0, u.ctypes.data, p.ctypes.data, out.ctypes.data)
        slopes = out[n:].reshape(n, count) if given else np.broadcast_to(0.0, (n, count))
        return out[:shown], slopes[:shown]

    def _from_model(self, p: Floats, t0: float, given: Iterable[int]) -> Floats:
        values = self.initial(p, t0)[0].copy()
        if not math.isfinite(values.sum()):
            given = set(given)
            bad = [i for i in np.flatnonzero(~np.isfinite(values)).tolist() if i not in given]
            open_ones = [i for i in bad if self._spec_initial[i] is None]
            if self.algebraic:  # computed from the algebraic equations
                bad, open_ones = [i for i in bad if i not in open_ones], []
            missing = [self.states[i] for i in open_ones]
            if missing:
                first = missing[0]
                raise MissingValueError(
                    f'no initial value for {_list(missing)}; give u0={{"{first}": ...}}, '
                    f"or write it in the model: {first}(0) = 1"
                )
            if bad:
                raise InputError(
                    f"the initial value of `{self.states[bad[0]]}` works out as {values[bad[0]]}; check its expression"
                )
        return values

    # ------------------------------------------------------------ each state by itself

    def tolerance(self, given: Any, default: float, what: str) -> Any:
        """`given`, or where it is a mapping of states to numbers, a vector in the model's order."""
        if not isinstance(given, Mapping):
            return given
        values = np.full(len(self.states), default)
        for key, value in given.items():
            values[self._places(key)] = _number(value, f"{what} of {key}")
        return values

    def kept_positive(self, given: bool | str | Sequence[str], start: Floats) -> tuple[int, ...]:
        """Indices of the states that must not fall below zero; they must not begin there."""
        names = self.states if given is True else (given,) if isinstance(given, str) else given
        if not isinstance(names, Iterable):
            raise InputError(f"positive must be True or names of states, got {given!r}")
        found = tuple(place for name in names for place in self._places(name))
        for i in found:
            if start[i] < 0.0:
                raise InputError(f"`{self.states[i]}` is to stay positive but begins at {start[i]:g}")
        return found

    def _places(self, name: Any) -> list[int]:
        """The place of a state, the places of the elements of an array."""
        index = self.state_index.get(str(name))
        if index is not None:
            return [index]
        array = array_of(self.arrays, str(name), "state")
        if array is None:
            raise UnknownNameError(unknown(str(name), self.states, "state"))
        return list(range(array.start, array.start + array.size))

    # ------------------------------------------------------------ sensitivities

    def columns(self, names: Any, p: Floats, t0: float, given: Given) -> tuple[tuple[str, ...], Floats, Any]:
        """Names, S0 (n, m) and column indices of the sensitivities asked for.

        `names`: True for all parameters, or names of parameters and of initial values
        (`"x(0)"`, or `"x"`).
        """
        if names is True:
            wanted: tuple[str, ...] = self.parameters
        else:
            asked = (names,) if isinstance(names, str) else tuple(str(name) for name in names)
            wanted = tuple(element for name in asked for element in self._elements(name))
        if self.functions.initial_slopes == "missing":
            raise InputError("the initial values depend on too many parameters for forward sensitivities; give u0")
        derivatives = self.initial(p, t0)[1]
        given = by_name(given, "u0")
        if isinstance(given, Mapping):
            plain = {str(key) if str(key) in self.state_index else str(key).removesuffix("(0)"): 0.0 for key in given}
            fixed = [self.state_index[name] for name in by_element(plain, self.arrays, "state")]
        else:
            fixed = [] if given is None else list(range(len(self.states)))
        s0 = np.zeros((len(self.states), len(wanted)))
        columns = np.empty(len(wanted), np.int64)
        for c, name in enumerate(wanted):
            state = name[:-3] if name.endswith("(0)") else name
            if name in self.parameter_index:
                columns[c] = self.parameter_index[name]
                s0[:, c] = derivatives[:, columns[c]]
                s0[fixed, c] = 0.0
            elif state in self.state_index:
                columns[c] = -1
                s0[self.state_index[state], c] = 1.0
            else:
                known = (*self.parameters, *(f"{x}(0)" for x in self.states))
                raise UnknownNameError(unknown(name, known, "parameter or initial value"))
        return wanted, s0, columns


    def _elements(self, name: str) -> list[str]:
        """A parameter or initial value; the name of an array stands for its elements."""
        if name in self.parameter_index or name in self.state_index:
            return [name]
        array = array_of(self.arrays, name, "parameter")
        if array is not None:
            return list(self.parameters[array.elements])
        array = array_of(self.arrays, name.removesuffix("(0)"), "state")
        return [name] if array is None else [f"{state}(0)" for state in self.states[array.elements]]


def prepared(model: Model) -> Prepared:
    """The `Prepared` of a model, made once."""
    found = model.__dict__.get("_prepared")
    if found is None:
        found = model.__dict__["_prepared"] = Prepared(model)
    return found  # type: ignore[no-any-return]


def _number(value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"`{name}` must be a number, got {value!r}") from error
    if not math.isfinite(number):
        raise InputError(f"`{name}` is {number}; it must be a finite number")
    return number


def unknown(name: str, known: Sequence[str], kind: str) -> str:
    hint = suggest(name, known) or (f"the model has {_list(known)}" if known else f"the model has no {kind}s")
    return f"unknown {kind} `{name}`; {hint}"


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:20]) + (", ..." if len(names) > 20 else "")
