"""From the name of a method to what the kernel needs for it: addresses, constants, memory.

`choose` is called once for a model and a name; the arrays it makes are templates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .linear.layout import LARGE_DENSE
from .linear.plan import SMALL, Plan, plan_for
from .methods import abi, registry
from .methods.registry import Controller, Method
from .problem import NativeFunctions
from .slots import (
    AT_MODES,
    BY_ADDRESS,
    BY_PARTNER,
    DEGREE,
    FIRST_METHOD,
    N_FAMILIES,
    N_MODES,
    N_OPTIONS,
    N_PARAMS,
    N_TIMES,
    OTHER_METHOD,
    PARTNER_IWORK,
    PARTNER_WORK,
    RODAS5P,
    TSIT5,
    WATCH,
)
from .watching import WATCHED, first_look

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

FEW, MANY = 30, 2000
"""States up to which a model counts as small, and above which as one of the largest."""
VERY_FEW = 5
RADAU_VERY_FEW, RADAU_FEW, RADAU_MANY = 1.5e-10, 3e-9, 3e-7
"""Relative tolerances below which "auto" takes Radau for what is stiff: up to `VERY_FEW` states, `FEW` and more."""
ALGEBRAIC_FEW = 1e-5
"""The same of models with algebraic equations of up to `FEW` states."""
TIGHT, TIGHTER = 5e-7, 1e-9
"""Relative tolerances below which "auto" takes Vern7, then Vern9, in place of Tsit5."""
SERIES = 700
"""Operations of a power series up to which "auto" takes that in place of Vern7 and Vern9: compiling more of them
takes longer than the solves it speeds up."""
_NUMBERS = {"tsit5": TSIT5, "rodas5p": RODAS5P}


@dataclass(frozen=True)
class Choice:
    """What runs, as templates of the kernel's arguments."""

    method: Method
    partner: Method | None
    fn: Indices
    options: Indices
    times: Floats
    ints: Indices
    work: Floats
    iwork: Indices
    linear: tuple[str, ...]  # what each implicit method does about linear systems, in words
    keepalive: object

    @property
    def free_interpolant(self) -> bool:
        """Whether dense output costs no further evaluations."""
        return self.method.tableau is None or not self.method.tableau().extra_c

    @property
    def by_address(self) -> tuple[str, str]:
        """Names of the method and its partner, empty for those the loop contains."""
        names = [m.name if m is not None and m.load is not None else "" for m in (self.method, self.partner)]
        return names[0], names[1]


def control_row(method: Method, controller: Controller | None = None, worthwhile: float = 0.0) -> Floats:
    """The constants of a method's step size control, in the order of methods/abi.py."""
    c = controller or method.controller
    exponent = 1.0 / (method.error_order + 1)
    start = 1.0 / ((method.start_order or method.order) + 1)
    return np.array((c.beta1, c.beta2, c.beta3, np.log(c.safety), c.grow, exponent, start, method.stiff_at, worthwhile))


def memory(method: Method, functions: NativeFunctions, plan: Plan | None) -> tuple[Indices, Floats, Indices]:
    """Integers (slots of methods/abi.py), doubles and integers of a method by address, ready to be copied."""
    n = functions.n
    ints = np.zeros(abi.N_INTS, np.int64)
    ints[abi.N], ints[abi.N_PARAMS], ints[abi.DEGREE] = n, functions.n_params, method.degree
    mass = np.array(functions.mass)
    # one row of the interpolant is spare
    places = np.cumsum([0, n, n, n, (method.degree + 2) * n, mass.size, method.work_size(n)])
    ints[abi.AT_RTOL], ints[abi.AT_ATOL], ints[abi.AT_NEW], ints[abi.AT_POLY] = places[:4]
    ints[abi.AT_MASS], ints[abi.AT_OWN], ints[abi.AT_LIN] = places[4:]
    ints[abi.HAS_MASS] = mass.size > 0
    ints[abi.AT_ILIN] = method.iwork_size(n)
    work, iwork = np.zeros(int(places[-1])), np.zeros(method.iwork_size(n), np.int64)
    work[places[4] : places[4] + mass.size] = mass
    if method.fill is not None:
        method.fill(work[places[5] :], iwork, n)
    if method.states is not None:
        iwork[-n:] = method.states(functions, method.name)
    if plan is not None:
        ints[abi.LINEAR], ints[abi.LOWER], ints[abi.UPPER], ints[abi.NNZ] = plan.kind, plan.lower, plan.upper, plan.nnz
        work = np.concatenate((work, np.zeros(plan.n_doubles)))
        iwork = np.concatenate((iwork, plan.integers))
    return ints, work, iwork


COLD, HOT = 2000, 8000
"""Operations up to which a model gets its own step of a Rosenbrock method: named at once, else when hot."""


def own_step(method: Method, functions: NativeFunctions, requested: str, columns: bool, largest: int) -> Any:
    """Addresses of the model's own step of a Rosenbrock method and its interpolant; zeros for none."""
    tableau = (registry.LARGE_RODAS5P if method is registry.RODAS5P else method).rosenbrock
    if tableau is None or columns or not largest or functions.own_step is None or requested not in ("auto", "dense"):
        return 0, 0
    return functions.own_step(tableau(), largest)


def linear_algebra(
    method: Method, functions: NativeFunctions, requested: str, columns: bool, own: bool, written: bool
) -> tuple[Method, NativeFunctions, Plan | None]:
    """A method, the functions and the plan with which it solves linear systems.

    Rodas5P is the one the loop contains (no plan) where dense matrices of moderate size are
    best and where sensitivities ride along, and called by address elsewhere; `own`: the model
    has its own step of the method, and the plan is for where that does not serve; `written`: its factorisation
    may be compiled.
    """
    if not method.needs_jacobian:
        return method, functions, None
    inside = method is registry.RODAS5P
    if inside and columns and requested not in ("auto", "dense"):
        raise InputError(f'sensitivities are carried with dense matrices, not with linear_solver="{requested}"')
    if inside and not own and (columns or (functions.n <= SMALL and requested == "auto")):
        return method, functions, None
    if method.kind == "imex":
        if functions.extend is None and not functions.f_stiff:
            raise InputError(f'method "{method.name}" needs the functions f_stiff and f_nonstiff')
        if functions.extend is not None:
            functions = functions.extend("stiff")  # the Jacobian is now that of the stiff terms
    if functions.extend is not None and functions.jac_indptr is None and functions.n > SMALL:
        functions = functions.extend("sparse")  # of loops the pattern comes with this part, and the plan needs it
    factors: tuple[int, ...] = ()
    written = written and not own and not functions.mass and requested in ("auto", "dense")
    if written and functions.written_factors is not None:
        factors = functions.written_factors(method.n_complex > 0)
    plan = plan_for(functions, requested=requested, n_complex=method.n_complex, written=factors)
    if inside and not own and plan.name == "dense" and functions.n < LARGE_DENSE:
        return method, functions, None
    if functions.extend is not None and not functions.jac_values and (plan.name != "dense" or not functions.jac):
        functions = functions.extend("sparse")
    return registry.LARGE_RODAS5P if inside else method, functions, plan


def has_jacobian(functions: NativeFunctions) -> bool:
    """Whether there is a Jacobian, or there will be one when it is asked for."""
    return functions.jac != 0 or functions.jac_values != 0 or functions.extend is not None


def _worthwhile(n: int, plan: Plan | None) -> float:
    """How much longer implicit steps must be to pay: about what one costs in explicit ones."""
    return 3.0 + 0.1 * (n if plan is None or plan.name == "dense" else min(n, LARGE_DENSE))


def stiff_partner(n: int, tolerance: float, columns: bool, linear: str) -> Method:
    """The implicit method that "auto" changes to.

    Rodas5P for small models, whose native step is hard to beat, and for sensitivities.  High orders
    win at tight tolerances, the sooner the dearer a step is; and for the largest models a
    method that keeps its factors over steps (benchmarks/stiff.py).
    """
    if columns:
        return registry.RODAS5P
    radau = RADAU_VERY_FEW if n <= VERY_FEW else RADAU_FEW if n <= FEW else RADAU_MANY
    if tolerance < radau and n <= MANY and linear != "krylov":
        return registry.METHODS["radau"]
    return registry.RODAS5P if n <= MANY else registry.METHODS["kvaerno5"]


def of_high_order(tolerance: float) -> Method:
    """The Runge-Kutta method that "auto" takes at tight tolerances."""
    return registry.METHODS["vern7" if tolerance >= TIGHTER else "vern9"]


def pair(
    functions: NativeFunctions, name: str, tolerance: float, columns: bool, linear: str = "auto", series: bool = True
) -> tuple[Method, Method | None]:
    """The method of a name, and for "auto" the one it changes to; `series`: it may take a power series."""
    if functions.mass:
        return _algebraic(name, columns, functions.n, tolerance, linear), None
    if isinstance(name, str) and name.lower() == "auto":
        explicit = registry.TSIT5
        if not columns and tolerance < TIGHT:
            expanded = registry.taylor_of(functions, tolerance, SERIES) if series else None
            explicit = expanded or of_high_order(tolerance)
        if not has_jacobian(functions):
            return explicit, None
        return explicit, stiff_partner(functions.n, tolerance, columns, linear)
    method = registry.method(name)
    if method is registry.TAYLOR and not columns:
        power = registry.taylor_of(functions, tolerance)
        assert power is not None
        return power, None
    if method.needs_jacobian and not has_jacobian(functions):
        raise InputError(f'method "{method.name}" needs the Jacobian of the model; use method="tsit5"')
    if columns and method.name not in _NUMBERS:
        raise InputError(
            f'method "{method.name}" carries no sensitivities; use method="auto", "tsit5" or "rodas5p" with them'
        )
    return method, None


def _algebraic(name: str, columns: bool, n: int, tolerance: float, linear: str) -> Method:
    """The method of a name for a model with algebraic equations: one that takes a mass matrix.

    "auto" takes Radau where it is about as fast as Rodas5P and mostly more exact (benchmarks/algebraic.py).
    """
    if isinstance(name, str) and name.lower() == "auto":
        few = tolerance <= (ALGEBRAIC_FEW if n <= FEW else RADAU_MANY)
        if few and not columns and n <= MANY and linear != "krylov":
            return registry.METHODS["radau"]
        method = registry.RODAS5P
    else:
        method = registry.method(name)
    if method is registry.RODAS5P:
        return method if columns else registry.LARGE_RODAS5P
    if not method.mass:
        able = ", ".join(f'"{m.name}"' for m in registry.METHODS.values() if m.mass)
        raise InputError(f'method "{method.name}" takes no algebraic equations; use "auto", "rodas5p" or one of {able}')
    if columns:
        raise InputError(
            f'method "{method.name}" carries no sensitivities through algebraic equations; use "auto" or "rodas5p"'
        )
    return method


def is_method(name: object) -> bool:
    """Whether `name` is "auto" or a method's, in any case."""
    return isinstance(name, str) and (name.lower() == "auto" or name.lower() in registry.METHODS)


def check_method(name: str) -> None:
    """Raise `UnknownNameError` unless `name` is "auto" or a method's."""
    if not is_method(name):
        registry.method(name)


def choose(
    functions: NativeFunctions, name: str, tolerance: float, columns: bool, tail: tuple[int, ...], linear: str = "auto",
    hot: bool = False, series: bool = True,
) -> Choice:  # fmt: skip
    """What runs for a method's name.

    Arguments: `tolerance`, the relative one ("auto" looks at it); `columns`, whether
    sensitivities ride along; `tail`, addresses of the events; `linear`, the linear solver asked for;
    `hot`, the model is solved so often that compiling its own steps pays; `series`, "auto" may take a power series.

    Raises `UnknownNameError` for a name that is no method's, `InputError` where the
    model lacks what the method needs.
    """
    first, partner = pair(functions, name, tolerance, columns, linear, series)
    plans: list[Plan | None] = [None, None]
    largest = HOT if hot else COLD
    steps = [own_step(first, functions, linear, columns, largest), (0, 0)]
    first, functions, plans[0] = linear_algebra(first, functions, linear, columns, steps[0][0] != 0, True)
    if partner is not None:
        steps[1] = own_step(partner, functions, linear, columns, largest if hot else 0)
        partner, functions, plans[1] = linear_algebra(partner, functions, linear, columns, steps[1][0] != 0, hot)
    if linear != "auto" and not any(m is not None and m.needs_jacobian for m in (first, partner)):
        raise InputError(f'linear_solver="{linear}" is for implicit methods; "{first.name}" solves no linear systems')
    numbers = [_NUMBERS[first.name] if first.load is None else BY_ADDRESS, -1]
    if partner is not None:
        numbers[1] = _NUMBERS[partner.name] if partner.load is None else BY_PARTNER
    head = np.zeros(abi.HEAD, np.int64)
    head[abi.F], head[abi.JAC], head[abi.DFDT] = functions.f, functions.jac, functions.dfdt
    head[abi.FJP], head[abi.DJP], head[abi.STEP] = functions.fjp, functions.djp, functions.tsit5
    head[abi.JAC_VALUES], head[abi.JVP] = functions.jac_values, functions.jvp
    head[abi.F_STIFF], head[abi.F_NONSTIFF] = functions.f_stiff, functions.f_nonstiff
    head[abi.ROOTS], head[abi.EVENT_TIMES] = functions.roots, functions.event_times
    head[abi.TURNS], head[abi.MODES] = functions.turns, functions.modes
    head[abi.CLOCK : abi.CLOCK + len(WATCHED)] = WATCHED
    blocks = []
    for which, (method, number) in enumerate(zip((first, partner), numbers, strict=True)):
        if method is None or number < BY_ADDRESS:
            blocks.append((np.zeros(abi.N_INTS, np.int64), np.empty(0), np.empty(0, np.int64)))
        else:
            assert method.load is not None
            head[abi.METHOD + which] = method.load()
            if method.needs_jacobian:
                from .linear.by_address import address

                head[abi.LINEAR_ALGEBRA] = address()
            blocks.append(memory(method, functions, plans[which]))
            blocks[-1][0][abi.WANT_STIFF] = partner is not None
            blocks[-1][0][abi.OWN_STEP], blocks[-1][0][abi.OWN_DENSE] = steps[which]
            if method.tableau is not None and functions.own_step is not None:
                head[abi.FUSED], head[abi.FUSED_DENSE] = functions.own_step(method.tableau())
    external = any(number >= BY_ADDRESS for number in numbers)
    options = np.zeros(N_OPTIONS, np.int64)
    options[FIRST_METHOD], options[OTHER_METHOD], options[N_PARAMS] = *numbers, functions.n_params
    options[DEGREE] = max(4, first.degree, partner.degree if partner else 0)
    options[PARTNER_WORK], options[PARTNER_IWORK] = blocks[0][1].size, blocks[0][2].size
    options[WATCH] = first_look(functions.n)
    options[N_FAMILIES], options[N_MODES] = functions.n_families, functions.n_modes
    options[AT_MODES] = functions.n_params - functions.n_modes
    rows: list[Any] = [np.zeros(abi.N_CONTROL)] * 4
    for method, number, plan in zip((first, partner), numbers, plans, strict=True):
        if method is not None:
            rows[number] = control_row(method, None, _worthwhile(functions.n, plan))
    return Choice(
        first,
        partner,
        np.concatenate((head, np.array(tail, np.int64))),
        options,
        np.concatenate((np.zeros(N_TIMES), *rows)),
        np.concatenate([block[0] for block in blocks]) if external else np.empty(0, np.int64),
        np.concatenate([block[1] for block in blocks]) if external else np.array(functions.mass, np.float64),
        np.concatenate([block[2] for block in blocks]),
        tuple(plan.describe for plan in plans if plan is not None),
        functions,
    )
