"""The methods by name: what `solve(method=...)` can choose from, described without compiling anything.

A `Method` says what a method is and how its steps are to be controlled.  `address` compiles
it (or reads it from numba's cache) when it is first asked for; importing this file imports no
compiled code.  The two methods the loop contains have no address.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, Literal

from ...errors import InputError, UnknownNameError, UnsupportedError, suggest
from . import taylor
from .rosenbrock_tableau import N_OWN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..problem import NativeFunctions
    from .rosenbrock_tableau import Tableau as RosenbrockTableau
    from .splitting import Splitting
    from .tableau import Tableau

    Floats = NDArray[np.float64]
    Indices = NDArray[np.int64]

Kind = Literal["explicit", "implicit", "imex", "symplectic", "fixed"]


@dataclass(frozen=True)
class Controller:
    """Step size control: factor = safety * e_n**-b1 * e_(n-1)**-b2 * e_(n-2)**-b3, at most `grow`.

    The exponents are those of the errors themselves, not yet divided by an order
    (G. Soderlind, Digital filters in adaptive time-stepping, ACM Transactions on
    Mathematical Software 29 (2003) 1-26).
    """

    beta1: float
    beta2: float = 0.0
    beta3: float = 0.0
    safety: float = 0.9
    grow: float = 10.0

    def __post_init__(self) -> None:
        for name in ("beta1", "beta2", "beta3", "safety", "grow"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
                raise InputError(f"Controller: {name} must be a finite number, got {value!r}")
        if self.beta1 < 0.0 or not 0.0 < self.safety <= 1.0 or self.grow < 1.0:
            raise InputError(
                "Controller: beta1 must not be negative, safety must lie above 0 and at most at 1, and grow at least "
                f"at 1; got {self}"
            )


def integral(order: int, safety: float = 0.9, grow: float = 6.0) -> Controller:
    """The elementary controller for an error estimate of `order`."""
    return Controller(1.0 / (order + 1), safety=safety, grow=grow)


def proportional(order: int, beta: float = 0.04, grow: float = 10.0) -> Controller:
    """PI control as in Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, II.4."""
    return Controller(1.0 / (order + 1) - 0.75 * beta, -beta, grow=grow)


def derivative(order: int, grow: float = 10.0) -> Controller:
    """PID control with the constants of C. A. Kennedy & M. H. Carpenter, Applied Numerical Mathematics 44 (2003)."""
    k = order + 1
    return Controller(0.58 / k, -0.21 / k, 0.10 / k, grow=grow)


CONTROLLERS: dict[str, Callable[[int], Controller]] = {
    "i": integral,
    "pi": proportional,
    "pid": derivative,
}


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes
    ----------
    name, label : as written in `solve(method=name)`, and in tables.
    order : of the solution; `error_order` of the error estimate (the lower of a pair).
    degree : of the interpolant as a polynomial in theta.
    kind : "explicit", "implicit", "imex", "symplectic", or "fixed" (no error estimate: dt is needed).
    controller : how steps follow from errors.
    load : gives the address of the compiled method; None for the two the loop contains.
    work_size, iwork_size : doubles and integers the method needs for n states, besides tolerances,
        new state, interpolant and linear algebra.
    fill : writes what is constant into them, `fill(own doubles, own integers, n)`, once for each model.
    states : what it must know of each state (n,), from a model; the end of its own integers.
    needs_jacobian : the model must have one; the method uses the linear algebra of `solve.linear`.
    n_complex : how many complex factors it keeps besides the real ones.
    mass : mass matrices are possible.
    start_order : order with which it begins (methods of variable order).
    stiff_at : |h lambda| from which an explicit method may be held back by stability.
    tableau, rosenbrock : of explicit Runge-Kutta methods, which share one compiled function,
        and of Rosenbrock methods, which share another.
    """

    name: str
    label: str
    order: int
    error_order: int
    degree: int
    kind: Kind
    controller: Controller
    load: Callable[[], int] | None = None
    work_size: Callable[[int], int] = lambda n: 0
    iwork_size: Callable[[int], int] = lambda n: 0
    fill: Callable[[Floats, Indices, int], None] | None = None
    states: Callable[[NativeFunctions, str], Indices] | None = None
    needs_jacobian: bool = False
    n_complex: int = 0
    mass: bool = False
    start_order: int = 0
    stiff_at: float = inf
    tableau: Callable[[], Tableau] | None = None
    rosenbrock: Callable[[], RosenbrockTableau] | None = None

    @property
    def fixed(self) -> bool:
        """Whether the step size is the user's: the method estimates no error."""
        return self.kind in ("fixed", "symplectic")


def _from(module: str, name: str = "address") -> Callable[[], int]:
    """The address that a module of this folder hands out, looked up when first needed."""

    @cache
    def load() -> int:
        return int(getattr(importlib.import_module(f".{module}", __package__), name)())

    return load


def _tableau(module: str) -> Callable[[], Any]:
    """The tableau in a module of this folder, looked up when first needed."""

    @cache
    def load() -> Any:
        return importlib.import_module(f".{module}", __package__).TABLEAU

    return load


def _by_tableau(
    name: str, label: str, orders: tuple[int, int, int], kind: Kind, compiled: str, controller: Controller,
    module: str = "", **more: Any,
) -> Method:  # fmt: skip
    """A method that is nothing but a tableau, in the module of its name (or `module`).

    `orders`: of the solution, of the error estimate, degree of the interpolant;
    `compiled`: the module with the compiled function that all of a kind share.
    """
    tableau = _tableau(module or name)
    sizes: dict[str, Any] = {
        "work_size": lambda n: tableau().doubles(n),
        "iwork_size": lambda n: tableau().integers(n),
        "fill": lambda work, iwork, n: tableau().fill(work, iwork, n),
    }
    return Method(name, label, *orders, kind, controller, load=_from(compiled), **(sizes | more))


def _explicit(module: str, label: str, order: int, error_order: int, degree: int, stiff_at: float = inf) -> Method:
    """An explicit Runge-Kutta method."""
    orders = order, error_order, degree
    return _by_tableau(
        module, label, orders, "explicit", "explicit", proportional(error_order), stiff_at=stiff_at,
        tableau=_tableau(module),
    )  # fmt: skip


def _rosenbrock(name: str, label: str, order: int, error_order: int, degree: int, module: str = "") -> Method:
    """A Rosenbrock method."""
    return _by_tableau(
        name, label, (order, error_order, degree), "implicit", "rosenbrock", integral(error_order), module,
        iwork_size=lambda n: N_OWN, needs_jacobian=True, mass=True, rosenbrock=_tableau(module or name),
    )  # fmt: skip


def _fixed(module: str, label: str, order: int, degree: int) -> Method:
    """An explicit method without error estimate."""
    return replace(
        _explicit(module, label, order, order, degree), kind="fixed", controller=Controller(0.0, grow=1.0)
    )  # fmt: skip


def _symplectic(module: str, label: str, order: int) -> Method:
    """A splitting method, in the module of its name."""

    def splitting() -> Splitting:
        found: Splitting = importlib.import_module(f".{module}", __package__).SPLITTING
        return found

    def momenta(functions: NativeFunctions, name: str) -> Indices:
        from .splitting import momenta

        return momenta(functions, name)

    return Method(
        module,
        label,
        order,
        order,
        3,
        "symplectic",
        Controller(0.0, grow=1.0),
        load=_from("splitting"),
        work_size=lambda n: splitting().doubles(n),
        iwork_size=lambda n: splitting().integers(n),
        fill=lambda work, iwork, n: splitting().fill(work, iwork, n),
        states=momenta,
    )


def _diagonal(module: str, label: str, order: int, error_order: int, degree: int) -> Method:
    """A diagonally implicit method."""
    return _by_tableau(
        module, label, (order, error_order, degree), "implicit", "esdirk", integral(error_order),
        needs_jacobian=True, mass=True,
    )  # fmt: skip


def _radau(name: str, label: str, fewest: int, most: int) -> Method:
    """A Radau IIA method, or all of those with `fewest` to `most` stages."""

    def tables() -> Any:
        return importlib.import_module(".radau_tables", __package__)

    return Method(
        name,
        label,
        2 * fewest - 1,
        fewest,
        most,
        "implicit",
        integral(fewest),
        load=_from("radau"),
        work_size=lambda n: int(tables().doubles(n, most)),
        iwork_size=lambda n: int(tables().integers(n)),
        fill=lambda work, iwork, n: tables().fill(work, iwork, fewest, most),
        needs_jacobian=True,
        n_complex=(most - 1) // 2,
        mass=True,
    )


def _ndf() -> Method:
    def coefficients() -> Any:
        return importlib.import_module(".ndf_coefficients", __package__)

    return Method(
        "ndf",
        "NDF",
        5,
        5,
        5,
        "implicit",
        integral(5, grow=10.0),
        load=_from("ndf"),
        work_size=lambda n: int(coefficients().doubles(n)),
        iwork_size=lambda n: int(coefficients().integers(n)),
        needs_jacobian=True,
        mass=True,
        start_order=1,
    )


def _additive(module: str, label: str, order: int, error_order: int, degree: int) -> Method:
    """A method for terms marked `@stiff` and the rest: two tableaux."""
    return _by_tableau(
        module, label, (order, error_order, degree), "imex", "additive", integral(error_order), needs_jacobian=True
    )  # fmt: skip


TSIT5 = Method("tsit5", "Tsit5", 5, 4, 4, "explicit", proportional(4), stiff_at=2.0)
RODAS5P = Method("rodas5p", "Rodas5P", 5, 4, 4, "implicit", integral(4), needs_jacobian=True)
LARGE_RODAS5P = _rosenbrock("rodas5p", "Rodas5P", 5, 4, 4, "rodas5p_tableau")
"""The same for larger models and mass matrices: by address, with any linear algebra."""

TAYLOR = Method("taylor", "Taylor", *(taylor.HIGHEST,) * 3, "explicit", integral(taylor.HIGHEST))
"""Taylor series methods of any order; `taylor_of` makes the one for a model and a tolerance."""


def taylor_of(functions: NativeFunctions, tolerance: float, largest: int | None = None) -> Method | None:
    """The Taylor series method for a tolerance.

    Where the model has no power series, or one of more than `largest` operations: None if that number is given,
    else an `UnsupportedError`.
    """
    order = taylor.order(max(tolerance, 1e-300))  # what is no tolerance is refused by whoever runs it
    own = functions.own_taylor
    if largest is not None and (own is None or not own(order, largest)):
        return None
    if own is None:
        raise UnsupportedError(
            'method="taylor" needs the equations of the model, not just compiled functions', hint='use method="vern9"'
        )
    return replace(
        TAYLOR,
        order=order,
        error_order=order,
        degree=order,
        controller=integral(order),
        load=lambda: own(order),
        work_size=lambda n: taylor.Slots(n, order).doubles,
        iwork_size=lambda n: taylor.N_INTEGERS,
        stiff_at=taylor.stiff_at(order),
    )


def is_taylor(name: object) -> bool:
    """Is this the name of the method whose order depends on the tolerance?"""
    return isinstance(name, str) and name.lower() == TAYLOR.name


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        _explicit("bs3", "BS3", 3, 2, 3),
        TSIT5,
        _explicit("vern7", "Vern7", 7, 6, 7, 2.5),
        _explicit("dop853", "DOP853", 8, 7, 7, 3.5),
        _explicit("vern9", "Vern9", 9, 8, 9, 2.5),
        TAYLOR,
        RODAS5P,
        _rosenbrock("rodas4", "Rodas4", 4, 3, 3),
        _rosenbrock("rosenbrock23", "Rosenbrock23", 2, 2, 2),
        _diagonal("trbdf2", "TR-BDF2", 2, 2, 3),
        _diagonal("kencarp4", "KenCarp4", 4, 3, 4),
        _diagonal("kvaerno5", "Kvaerno5", 5, 4, 4),
        _radau("radauiia5", "RadauIIA5", 3, 3),
        _radau("radauiia9", "RadauIIA9", 5, 5),
        _radau("radauiia13", "RadauIIA13", 7, 7),
        _radau("radau", "Radau", 3, 7),
        _ndf(),
        _additive("imex_kencarp4", "KenCarp4 (IMEX)", 4, 3, 3),
        _fixed("rk4", "RK4", 4, 3),
        _fixed("euler", "Euler", 1, 1),
        _symplectic("verlet", "velocity Verlet", 2),
        _symplectic("mclachlan4", "McLachlan-Atela 4", 4),
        _symplectic("yoshida4", "Yoshida 4", 4),
        _symplectic("yoshida6", "Yoshida 6", 6),
    )
}


SUNDIALS = ("cvode_bdf", "cvode_adams", "ida")
"""Methods of `solve` that are not ours (`solve.sundials`)."""

_ELSEWHERE = {
    other: ours
    for ours, others in {
        "tsit5": "rk45 dopri5 dp5 ode45",
        "bs3": "rk23 ode23",
        "dop853": "dp8 dopri8",
        "vern7": "ode78",
        "vern9": "ode89",
        "auto": "lsoda",
        "ndf": "bdf qndf fbdf ode15s",
        "cvode_bdf": "vode cvode cvodes",
        "ida": "ode15i",
        "rosenbrock23": "ode23s",
        "trbdf2": "ode23t ode23tb",
        "rodas5p": "rodas5",
        "radauiia5": "radau5",
        "kencarp4": "kencarp3",
        "verlet": "leapfrog velocityverlet stormerverlet",
        "euler": "forwardeuler",
        "cvode_adams": "adams",
    }.items()
    for other in others.split()
}
"""What other packages call a method: the nearest one here."""


def is_fixed(name: object) -> bool:
    """Whether a method's steps are of one size; raises for a name that is no method's."""
    if name in SUNDIALS or (isinstance(name, str) and name.lower() == "auto"):
        return False
    return method(name).fixed


def method(name: object) -> Method:
    """The method of a name, in capitals or small letters; raises `UnknownNameError` with the list of methods."""
    found = METHODS.get(name.lower()) if isinstance(name, str) else None
    if found is None:
        names = ("auto", *METHODS, *SUNDIALS)
        plain = str(name).lower().replace("_", "").replace("-", "").replace(" ", "")
        near = _ELSEWHERE.get(plain)
        hint = f'the nearest to {name!r} here is "{near}"' if near else suggest(str(name).lower(), names)
        known = ", ".join(f'"{m}"' for m in names)
        raise UnknownNameError(f"unknown method {name!r}; choose one of {known}" + (f" ({hint})" if hint else ""))
    return found
