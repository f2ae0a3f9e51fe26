"""`Model`: what users hold.

Owns a `ModelSpec` and gives its names, its sympy view, changed copies of
itself, and the way upwards to code, solving, fitting and discovery (imported
only when used).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from ..collector import uncollected
from ..errors import InputError, UnknownNameError, clipped, suggest
from .array_values import by_element, number
from .named import by_name
from .spec import Array, ModelSpec, Network, Parameter

if TYPE_CHECKING:
    from ..discover.result import Discovery
    from ..graph.loops import LoopSystem
    from ..graph.system import System
    from ..lint.warning import LintWarning
    from ..solve.ensemble import Ensemble
    from ..solve.solution import Solution

Values = Mapping[Any, Any] | Sequence[float]


@cache
@uncollected  # importing makes many objects that stay
def _solver() -> Callable[..., Solution]:
    """`solve.api.solve`: an import within a function costs as much as many steps of a small model."""
    from ..solve.api import solve

    return solve


class Model:
    """A model: equations, parameters, observables, unknown terms and events.  Immutable.

    Made by `sciml_dsl.model(text)`, `sciml_dsl.load(path)` or
    `sciml_dsl.from_sympy(...)`.  `print(m)` shows it as text.  Two models are
    equal when they have the same names in the same order, the same numbers and
    the same equations up to the order of sums and products.

    >>> import sciml_dsl as sd
    >>> m = sd.model("x' = a*x - b*x*y; y' = -y + x*y; param a = 1, b = 2; x(0) = 1; y(0) = 1")
    >>> m.states, m.parameters
    (('x', 'y'), ('a', 'b'))
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.__dict__["spec"] = spec

    spec: ModelSpec

    @classmethod
    def from_text(cls, text: str, filename: str | None = None) -> Model:
        """The model that `text` describes; `filename` is shown in errors."""
        from ..language.parse import parse
        from .resolve import resolve

        return cls(resolve(parse(text, filename, tolerant=True)))

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> Model:
        """The model in the UTF-8 text file at `path`.

        Raises `InputError` where the file cannot be read as text, `ModelError`
        where the text is wrong.
        """
        from ..files import read_text

        return cls.from_text(read_text(path), fspath(path))

    # ------------------------------------------------------------ names and numbers

    @property
    def name(self) -> str:
        """The name behind `model` or `@ode_def`; "model" where the text gives none."""
        return self.spec.name

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states, in the order of the solution's columns."""
        return self.spec.states

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters, in the order of `p`."""
        return tuple(p.name for p in self.spec.parameters)

    @property
    def observables(self) -> tuple[str, ...]:
        """Names of the observables: all definitions that are not derivatives."""
        return self.spec.observables

    @property
    def arrays(self) -> dict[str, tuple[int, ...]]:
        """`{array: shape}` of the arrays among states, parameters and observables.

        >>> import sciml_dsl as sd
        >>> m = sd.model("u[i]' = -k[i]*u[i] for i in 1..3; u(0) = 1; param k = [1, 2, 3]")
        >>> m.arrays, m.states
        ({'u': (3,), 'k': (3,)}, ('u[1]', 'u[2]', 'u[3]'))
        """
        return {array.name: array.shape for array in self.spec.arrays}

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the unknown terms."""
        return tuple(net.name for net in self.spec.networks)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs: measured forcings, whose data come from a table."""
        return tuple(i.name for i in self.spec.inputs)

    @property
    def defaults(self) -> dict[str, float | None]:
        """`{parameter: default}`; None where the text gives none."""
        return {p.name: p.default for p in self.spec.parameters}

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """`{parameter: (lower, upper)}`, infinite where the text gives none."""
        return {p.name: (p.lower, p.upper) for p in self.spec.parameters}

    @cached_property
    def system(self) -> System:
        """The expression graph of the model; with algebraic equations, of its index-1 form."""
        from ..graph.build import lower

        system = lower(self.spec)
        if not self.spec.algebraic:
            return system
        from ..structure.index_one import default_system

        return default_system(system, [math.nan if p.default is None else p.default for p in self.spec.parameters])

    @property
    def algebraic(self) -> tuple[str, ...]:
        """Names of the states that equations `0 = ...` determine; they have no derivative of their own."""
        return self.spec.algebraic

    @cached_property
    def loops(self) -> LoopSystem:
        """The model as loops over the elements of its arrays."""
        from ..graph.loops import lower_loops

        return lower_loops(self.spec)

    def lint(self) -> tuple[LintWarning, ...]:
        """What is allowed in this model and looks wrong, in the order of its text; see `sciml_dsl.lint.api.lint`.

        >>> import sciml_dsl as sd
        >>> [w.code for w in sd.model("x' = -k*x; param k = 1, b = 2").lint()]
        ['unused-parameter']
        """
        from ..lint.api import lint

        return lint(self.spec)

    # ------------------------------------------------------------ the sympy view

    @property
    def equations(self) -> dict[str, Any]:
        """`{state: right-hand side}` as sympy expressions.

        Symbols are plain `sympy.Symbol(name)`, the time is `Symbol("t")`, constants
        are numbers, functions and observables are written out.  Networks are
        undefined functions: `U(x, y)`, and for output k of a vector network the
        function named `U[k]`, as in `Discovery.terms`.
        """
        from .symbolic import equations

        return equations(self.spec)

    def jacobian(self) -> Any:
        """The sympy Matrix (n, n) of derivatives of the right-hand sides by the states."""
        from .symbolic import jacobian

        return jacobian(self.spec)

    def parameter_jacobian(self) -> Any:
        """The sympy Matrix (n, number of parameters) of derivatives by the parameters."""
        from .symbolic import parameter_jacobian

        return parameter_jacobian(self.spec)

    # ------------------------------------------------------------ code

    def code(self, target: str = "python") -> str:
        """Standalone source of the model for `target`; see `sciml_dsl.codegen.api.code`.

        "python", "numpy", "numba", "torch", "c", "cuda", "julia", "latex", "sciml", "llvm" or "asm".
        """
        from ..codegen.api import code

        return code(self, target)

    def rhs(self, target: str = "numba") -> Callable[..., Any]:
        """The right-hand side as a callable `f(t, u, p)` of `target`: "numba", "numpy" or "torch"."""
        from ..codegen.api import rhs

        return rhs(self, target)

    def jac(self, target: str = "numba", *, sparse: bool = False) -> Callable[..., Any]:
        """The Jacobian (n, n) as a callable `f(t, u, p)` of `target`; see `sciml_dsl.codegen.api.jac`.

        `sparse`: as a `scipy.sparse.csr_array`, for "native", "numba", "numpy" and "python".
        """
        from ..codegen.api import jac

        return jac(self, target, sparse=sparse)

    # ------------------------------------------------------------ introspection

    def sparsity(self) -> Any:
        """Which states each equation uses: the pattern of df/du, a boolean `scipy.sparse.csr_array` (n, n).

        >>> import sciml_dsl as sd
        >>> sd.model("x' = y; y' = -x - y; x(0) = 1; y(0) = 0").sparsity().toarray().astype(int).tolist()
        [[0, 1], [1, 1]]
        """
        from scipy.sparse import csr_array

        indptr, indices = (self.loops if self.spec.as_loops else self.system).jacobian_pattern
        return csr_array(([True] * len(indices), indices, indptr), shape=(len(self.states),) * 2)

    def coloring(self) -> Any:
        """Colours of the states, so that those of one colour share no equation.

        Returns a `Colouring`: `colours` (n,), `count`, and what makes the sparse Jacobian of
        `count` products with it (`seeds`, `values`).  See `sciml_dsl.graph.colouring`.

        >>> import sciml_dsl as sd
        >>> sd.model("x' = -x; y' = x - y; z' = y - z").coloring().count
        2
        """
        return (self.loops if self.spec.as_loops else self.system).colouring

    def operations(self, of: str = "f") -> dict[str, int]:
        """How many operations of each kind a routine of the generated code takes.

        Arguments: `of`, a routine: "f", "jacobian", "parameter_jacobian", "vjp" ...
        Shared subexpressions count once, networks as calls under their names.  Raises
        `UnknownNameError` for a routine the model does not have.

        >>> import sciml_dsl as sd
        >>> sd.model("x' = a*x*y - x; y' = a*x*y; param a = 1; x(0) = 1; y(0) = 1").operations()
        {'mul': 2, 'sub': 1}
        """
        from ..codegen.count import operations

        return operations(self.loops if self.spec.as_loops else self.system, of)

    def dependencies(self) -> dict[str, tuple[str, ...]]:
        """What the equation of each state, and each observable, uses: a graph as `{name: names}`.

        Names appear as the equation has them (observables are not written out,
        functions are): states, parameters, constants, observables, networks, inputs, then `t`.

        >>> import sciml_dsl as sd
        >>> sd.model("x' = -k*s; y' = NN(x, t); s = x + y; param k = 1").dependencies()
        {'x': ('k', 's'), 'y': ('x', 'NN', 't'), 's': ('x', 'y')}
        """
        from .introspect import dependencies

        return dependencies(self.spec)

    # ------------------------------------------------------------ solving, fitting, discovering

    def solve(
        self,
        tspan: tuple[float, float],
        u0: Values | None = None,
        p: Values | None = None,
        method: str = "auto",
        rtol: Any = 1e-6,
        atol: Any = 1e-9,
        saveat: Any = None,
        **options: Any,
    ) -> Solution:
        """Integrate from `tspan[0]` to `tspan[1]`; see `sciml_dsl.solve.api.solve` for all there is to say.

        Arguments: `u0` and `p` replace initial values and parameters (mapping by
        name or sequence in the order of `states` and `parameters`); `method`, "auto" or a name;
        `rtol`, `atol`, one number, one for each state, or a mapping; `saveat`, times or a spacing.
        Options: `max_steps`, `dtmax`, `dtmin`, `dt0` (first step), `dt` (methods of fixed steps), `tstops`,
        `d_discontinuities`, `positive`, `controller`, `progress`, `dtype`, `sensitivities`, `weights`,
        `linear_solver`, `inputs`, `initialization`.  Returns a `Solution`.
        """
        try:
            return _solver()(self, tspan, u0, p, method, rtol, atol, saveat, **options)
        except TypeError:
            from ..solve.options import arguments, check_names

            check_names(options, arguments(_solver()), "solve")
            raise

    def ensemble(self, u0: Any = None, p: Any = None, **options: Any) -> Ensemble:
        """Many trajectories of this model at once; see `sciml_dsl.solve.ensemble.Ensemble`.

        Arguments: `u0` and `p`, mappings of names to arrays (one number for each
        trajectory), arrays (B, n), DataFrames, or samplers with `size=` and `seed=`.

        >>> import sciml_dsl as sd
        >>> m = sd.model("x' = -k*x; x(0) = 1; param k = 0.5")
        >>> m.ensemble(p=lambda random: {"k": random.normal(1, 0.1)}, size=100).solve((0, 5)).u.shape
        (100, 101, 1)
        """
        from ..solve.ensemble import Ensemble

        return Ensemble(self, u0, p, **options)

    def layer(self, saveat: Any, **options: Any) -> Any:
        """The solution at the times `saveat` as a differentiable `torch.nn.Module`; see `sciml_dsl.nn.layer.layer`."""
        from ..nn.layer import layer

        return layer(self, saveat, **options)

    def fit(self, data: Any, **options: Any) -> Any:
        """Fit parameters, initial values and networks to a table; see `sciml_dsl.fit.api.fit`."""
        from ..fit.api import fit

        return fit(self, data, **options)

    def discover(self, data: Any, **options: Any) -> Discovery:
        """Find formulas for the networks from a table; see `sciml_dsl.discover.api.discover`."""
        from ..discover.api import discover

        return discover(self, data, **options)

    # ------------------------------------------------------------ changed copies

    def with_name(self, name: str) -> Model:
        """This model under another name."""
        from ..language.names import is_name

        if not isinstance(name, str) or not is_name(name):
            raise InputError(f"`{clipped(str(name))}` is not a name: letters, digits and underscores, a letter first")
        return Model(replace(self.spec, name=name))

    def with_parameters(self, values: Values) -> Model:
        """This model with other defaults.

        Arguments: `values`, numbers by parameter name (a list by the name of an
        array), or one for each parameter in order.  Raises `InputError` for a number outside the parameter's bounds.
        """
        given = _by_name(values, self.parameters, "parameter", self.spec.arrays)
        return Model(replace(self.spec, parameters=tuple(_new_default(p, given) for p in self.spec.parameters)))

    def with_initial(self, values: Values) -> Model:
        """This model with other initial values.

        Arguments: `values`, numbers by state name (an array of numbers by the name
        of an array), or one for each state in order.
        """
        given = _by_name(values, self.states, "state", self.spec.arrays)
        if self.spec.arrays:
            from .expanded import with_initial

            return Model(with_initial(self.spec, given))
        initial = tuple(
            number(given[state]) if state in given else old
            for state, old in zip(self.states, self.spec.initial, strict=True)
        )
        return Model(replace(self.spec, initial=initial))

    def with_weights(self, weights: Mapping[str, Any]) -> Model:
        """This model with trained networks.

        Arguments: `weights`, for each network in it a flat array (layer by layer the
        matrix row by row, then the bias: the order of `torch.nn.Linear.parameters()`)
        or a `torch.nn.Module` that computes the same.  Networks not named keep theirs.

        Raises: `UnknownNameError` for a name that is no network's, `InputError` where
        the number of weights is wrong, one is not finite, or the module differs.
        """
        sizes = {net.name: net.n_weights for net in self.spec.networks}
        known = dict(self.spec.weights)
        for name, values in weights.items():
            if name not in sizes:
                raise UnknownNameError(_unknown(name, self.networks, "network"))
            flat = _flat(self.spec.networks[self.networks.index(name)], values)
            if len(flat) != sizes[name]:
                raise InputError(f"the network `{name}` has {sizes[name]} weights, not {len(flat)}")
            known[name] = flat
        return Model(replace(self.spec, weights=tuple((name, known[name]) for name in sizes if name in known)))

    def with_inputs(self, inputs: Any) -> Model:
        """This model with data for its inputs.

        Arguments: `inputs`, a table (DataFrame or mapping of columns) with a column `t` and
        one for each input, or a mapping from inputs to (times, values); NaN is interpolated
        over.  Inputs it says nothing about keep their data.

        Raises: `UnknownNameError`, `DataError`, `InputError` where the data do not fit.

        >>> import sciml_dsl as sd
        >>> m = sd.model("input u constant; x' = u - x; x(0) = 0").with_inputs({"t": [0, 1], "u": [1.0, 0.0]})
        >>> float(m.solve((0, 2), saveat=[1.0])["x"][0].round(4))
        0.6321
        """
        from .inputs import as_data, read_rows, tables

        rows = read_rows(self.spec.inputs, inputs)
        changed = [replace(i, data=as_data(rows[i.name])) if i.name in rows else i for i in self.spec.inputs]
        tables([i for i in changed if i.name in rows], rows)  # enough rows for the interpolation
        return Model(replace(self.spec, inputs=tuple(changed)))

    def parameter_vector(self, p: Values | None = None, inputs: Any = None) -> Any:
        """All numbers generated code takes as `p`: parameters, network weights, tables of the inputs.

        Arguments: `p`, parameters in place of the defaults; `inputs`, data in place of the
        model's own, as in `with_inputs`.  Returns an array.

        >>> import sciml_dsl as sd
        >>> m = sd.model("input u = [(0, 1), (2, 3)]; x' = u - k*x; param k = 2")
        >>> f, q = m.rhs("native"), m.parameter_vector()
        >>> f(1.0, [0.5], q)
        array([1.])
        """
        from ..solve.prepare import prepared

        return prepared(self).p(p, None, inputs).copy()

    def with_terms(self, terms: Mapping[str, Any], parameters: Mapping[str, float | None] | None = None) -> Model:
        """This model with formulas in the place of networks: `m.with_terms({"U": "0.8*x*y"})`.

        Arguments: `terms`, network name (or `"U[2]"` for one output) -> formula as
        text, sympy expression or number; `parameters`, new parameters the formulas
        use, with their defaults.  A network no longer called is dropped.

        >>> import sciml_dsl as sd
        >>> m = sd.model("x' = -x + NN(x)").with_terms({"NN": "k*x^2"}, parameters={"k": 3})
        >>> print(m, end="")
        x' = -x + k*x^2
        <BLANKLINE>
        param k = 3
        """
        from .terms import with_terms

        return Model(with_terms(self.spec, terms, parameters))

    # ------------------------------------------------------------ as a value

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a Model is immutable (`{name}`); with_parameters, with_initial ... give a changed copy")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Model is immutable; `{name}` cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Model):
            return NotImplemented
        from .canonical import same_model

        return same_model(self.spec, other.spec)

    def __hash__(self) -> int:
        return hash((self.name, self.states, self.spec.parameters))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Model, (self.spec,))

    def __str__(self) -> str:
        from ..codegen.sciml import emit

        return emit(self.spec)

    def _repr_latex_(self) -> str:
        """The equations as a notebook shows them: at most 60 rows, `m.code("latex")` has all."""
        from ..codegen.latex import emit

        return f"$\\displaystyle {emit(self.spec, most=60).strip()}$"

    def __repr__(self) -> str:
        parts = [_count(self.states, "state"), _count(self.parameters, "parameter")]
        if self.observables:
            parts.append(_count(self.observables, "observable"))
        if self.networks:
            parts.append(_count(self.networks, "network"))
        if self.spec.inputs:
            parts.append(_count(self.inputs, "input"))
        if self.spec.events:
            parts.append(f"{len(self.spec.events)} event{'s' if len(self.spec.events) > 1 else ''}")
        return f"<Model {self.name}: {'; '.join(parts)}>"


def _count(names: tuple[str, ...], kind: str) -> str:
    if not names:
        return f"no {kind}s"
    shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
    return f"{len(names)} {kind}{'s' if len(names) > 1 else ''} {shown}"


def _unknown(name: Any, known: tuple[str, ...], kind: str) -> str:
    hint = suggest(str(name), known) or f"the {kind}s are: {', '.join(known[:10]) or 'none'}"
    return f"the model has no {kind} `{name}`; {hint}"


def _flat(network: Network, values: Any) -> tuple[float, ...]:
    """Weights as finite numbers, from an array or a torch module."""
    if hasattr(values, "named_parameters"):
        from ..nn.networks import check, flatten

        check(network, values)
        values = flatten(values)
    try:
        flat = tuple(float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the weights of `{network.name}` must be a flat array of {network.n_weights} numbers or a torch module"
        ) from error
    if not all(math.isfinite(value) for value in flat):
        raise InputError(f"the weights of `{network.name}` hold a number that is not finite")
    return flat


def _by_name(values: Values, known: tuple[str, ...], kind: str, arrays: tuple[Array, ...] = ()) -> dict[str, float]:
    """Numbers by name, from a mapping (names or sympy symbols) or a sequence in order."""
    names = set(known)
    values = by_name(values, kind)
    if isinstance(values, Mapping):
        pairs = by_element(values, arrays, kind) if arrays else {str(name): value for name, value in values.items()}
        for name in pairs:
            if name not in names:
                raise UnknownNameError(_unknown(name, known, kind))
    else:
        items = list(values)
        if len(items) != len(known):
            raise InputError(f"{len(items)} values for {len(known)} {kind}s ({', '.join(known[:10])})")
        pairs = dict(zip(known, items, strict=True))
    found: dict[str, float] = {}
    for name, value in pairs.items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise InputError(f"the {kind} `{name}` needs a number, not {value!r}") from None
        if number != number or abs(number) == float("inf"):
            raise InputError(f"the {kind} `{name}` needs a finite number, not {number!r}")
        found[name] = number
    return found


def _new_default(p: Parameter, given: Mapping[str, float]) -> Parameter:
    if p.name not in given:
        return p
    value = given[p.name]
    if not p.lower <= value <= p.upper or (p.log and value <= 0.0):
        raise InputError(f"{value!r} is outside the bounds [{p.lower!r}, {p.upper!r}] of `{p.name}`")
    return replace(p, default=value)
