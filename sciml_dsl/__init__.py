"""sciml_dsl: write the equations you know, NN(x, y) where you don't; get fast differentiable code,
a fit, and the missing formula back.

    import sciml_dsl as sd

    m = sd.model("x' = -k*x; x(0) = 1; param k = 0.5")
    m.solve((0, 10))["x"]

The public names stand here and load what they need when they are first used:
importing the package imports neither torch nor sympy nor matplotlib.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any

# `sd.model` and `sd.discover` are functions and also rooms of the house.  The rooms are imported
# first (they are empty but for their docstrings), so that Python does not later put the room in
# the function's place.
from . import discover as _discover_room
from . import model as _model_room

if TYPE_CHECKING:
    from .discover.result import Discovery
    from .errors import (
        DataError,
        FitError,
        InputError,
        MissingValueError,
        ModelError,
        NameModelError,
        NonFiniteError,
        ReservedError,
        SciMLError,
        SolveError,
        SyntaxModelError,
        UnknownNameError,
        UnsupportedError,
    )
    from .fit.experiment import Experiment
    from .model.model import Model

__version__ = "0.1.0"

_LAZY = {
    "Controller": "solve.methods.registry",
    "Experiment": "fit.experiment",
    "Model": "model.model",
    **dict.fromkeys(
        (
            "SciMLError ModelError SyntaxModelError NameModelError ReservedError UnsupportedError InputError "
            "MissingValueError UnknownNameError DataError SolveError NonFiniteError FitError"
        ).split(),
        "errors",
    ),
}

__all__ = [
    "Controller",
    "DataError",
    "Experiment",
    "FitError",
    "InputError",
    "MissingValueError",
    "Model",
    "ModelError",
    "NameModelError",
    "NonFiniteError",
    "ReservedError",
    "SciMLError",
    "SolveError",
    "SyntaxModelError",
    "UnknownNameError",
    "UnsupportedError",
    "__version__",
    "discover",
    "format",
    "from_sympy",
    "load",
    "model",
]


def model(text: str, filename: str | None = None) -> Model:
    """The model that `text` describes.

    Arguments: `text` in the language of the package (or a Julia `@ode_def`);
    `filename`, shown in errors.  Raises `ModelError` (with line, column and a
    hint) where the text is wrong.

    >>> import sciml_dsl as sd
    >>> sd.model("x' = -k*x; x(0) = 1; param k = 0.5").states
    ('x',)
    """
    from .model.model import Model

    return Model.from_text(text, filename)


def load(path: str | PathLike[str]) -> Model:
    """The model in the text file at `path` (UTF-8).

    Raises `InputError` where there is no such file or it is not text, `ModelError`
    where the text is wrong.
    """
    from .model.model import Model

    return Model.from_file(path)


def format(text: str, filename: str | None = None) -> str:
    """The text of a model laid out one way; comments, line breaks, names and dialect stay as written.

    Arguments: `text` in the language of the package (or a Julia `@ode_def`);
    `filename`, shown in errors.  Raises `ModelError` where the text does not parse.
    See `sciml_dsl.language.format.format_text`.

    >>> import sciml_dsl as sd
    >>> sd.format("x'=-k *x;param k=2")
    "x' = -k*x; param k = 2\\n"
    """
    from .language.format import format_text

    return format_text(text, filename)


def from_sympy(
    equations: Mapping[Any, Any] | Sequence[Any],
    initial: Mapping[Any, Any] | None = None,
    parameters: Mapping[Any, Any] | Sequence[Any] | None = None,
    observables: Mapping[Any, Any] | None = None,
    networks: Mapping[str, Any] | None = None,
    name: str = "model",
    algebraic: Sequence[Any] | None = None,
    inputs: Mapping[Any, Any] | Sequence[Any] | None = None,
) -> Model:
    """The model of sympy equations: `{x: a*x - b*x*y, ...}` or `[Eq(Derivative(x(t), t), ...), ...]`.

    See `sciml_dsl.model.sympy_bridge.from_sympy` for all arguments.

    >>> import sciml_dsl as sd, sympy
    >>> x, a = sympy.symbols("x a")
    >>> sd.from_sympy({x: -a*x}, initial={x: 1}, parameters={a: 0.5}).parameters
    ('a',)
    """
    from .model.sympy_bridge import from_sympy

    return from_sympy(equations, initial, parameters, observables, networks, name, algebraic, inputs)


def discover(table: Any, **options: Any) -> Discovery:
    """Discover equations from a table alone: every column but `t` is a state whose equation is unknown.

    Arguments: `table`, a pandas DataFrame with a column `t`; `options` as of
    `Model.discover`.  Returns a `Discovery`.
    """
    from .discover.api import discover_table

    return discover_table(table, **options)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(import_module(f".{_LAZY[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


del _discover_room, _model_room
