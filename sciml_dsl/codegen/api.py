"""Models as source and as callables: the registry of targets.

`code` prints a model for a target; `rhs` and `jac` give functions of `(t, u,
p)` made from the same source (or, for "native", from machine code).  Targets
are imported when asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from ..errors import InputError, UnknownNameError, UnsupportedError, suggest
from .callables import (
    Function,
    NativeFunction,
    NumbaFunction,
    PythonFunction,
    SparseFunction,
    TorchCheck,
    TorchFunction,
)
from .load import load

if TYPE_CHECKING:
    from ..model.model import Model

_OWN_FILE = ("python", "numpy", "numba", "torch", "c", "cuda", "julia", "latex", "sciml", "asm")
SOURCES: Mapping[str, str] = {
    **{name: f"{__package__}.{name}" for name in _OWN_FILE},
    "llvm": f"{__package__}.ir",
}
"""Target of `code` -> module with `source(model) -> str` (for "sciml" and "latex": `emit(spec) -> str`)."""

CALLABLES = ("numba", "numpy", "torch", "python", "native")
"""Targets of `rhs` and `jac`."""


def code(model: Model, target: str = "python") -> str:
    """The model as standalone source.

    Arguments: `target`, one of "python" (needs only `math`), "numpy", "numba",
    "torch", "c" (C99, needs only math.h), "cuda", "julia", "latex", "sciml" (the
    modelling language itself), and what the solvers run on this machine: "llvm" and
    "asm".  The same model gives the same text.  Raises `UnknownNameError` for another
    target.

    Example
    -------
    >>> import sciml_dsl as sd
    >>> m = sd.model("x' = -k*x; x(0) = 1; param k = 2")
    >>> "def f(t, u, p" in code(m, "python")
    True
    """
    _check(target, tuple(SOURCES))
    module = import_module(SOURCES[target])
    text: str = module.emit(model.spec) if target in ("sciml", "latex") else module.source(model)
    return text


def rhs(model: Model, target: str = "numba") -> Callable[..., Any]:
    """The right-hand side du/dt as a callable `f(t, u, p)`.

    `p` are the parameters in order, followed by the weights of all networks (those
    may be left out where the model has trained weights, except for "numba" and
    "native").  By target:

    - "numba": a compiled function; `u` and `p` are float64 arrays (n,), (np,);
      callable from other compiled functions.
    - "numpy": arrays whose last axis are states or parameters; others broadcast.
    - "torch": a `torch.nn.Module`, also callable as `f(t, u)` with its own
      parameters `f.p` and `f.networks`, on any batch, device and floating type;
      made for `torchdiffeq.odeint(f, u0, t)`.
    - "python": lists of floats.
    - "native": machine code, the same the solvers call; float64 arrays.  Its `address` is that of
      `void f(double t, const double *u, const double *p, double *out)`, valid as long as it lives.

    Where every parameter has a default, "numpy" and "python" take it for a missing `p`.
    All but "torch" take `out=`, an array that the result is written into and that is returned.
    What comes back can be pickled (not "torch"): the other process makes it again from the model.
    Raises `UnknownNameError` for another target; the callable raises `InputError` where `u` or
    `p` do not fit.  Called from a compiled function, "numba" checks nothing, as numba itself.

    Example
    -------
    >>> import numpy as np, sciml_dsl as sd
    >>> f = rhs(sd.model("x' = -k*x; x(0) = 1; param k = 2"), "numpy")
    >>> f(0.0, np.array([3.0]), np.array([2.0]))
    array([-6.])
    """
    _check(target, CALLABLES)
    if target == "native":
        shape = (len(model.spec.states),)
        if model.spec.as_loops:
            return _native(model, "f", shape)
        from .native import right_hand_side

        return NativeFunction(*right_hand_side(model.system), shape, rhs, model, target, {})
    module = load(code(model, target), model.spec.name)
    if target == "torch":
        made = _torch_module(model, module)
        made.register_forward_pre_hook(TorchCheck(model))
        return cast("Callable[..., Any]", made)
    if target == "numba":
        return NumbaFunction(module.f, rhs, model, target, {})
    return PythonFunction(module.f, rhs, model, target, {})


def jac(model: Model, target: str = "numba", *, sparse: bool = False) -> Callable[..., Any]:
    """The Jacobian df/du as a callable `jac(t, u, p)`; arguments as for `rhs`.

    Gives (n, n), for "numpy" and "torch" behind the batch axes, for "python" a
    list of rows.  For "torch" `p` may be left out: the model's defaults.  With `sparse` it is a
    `scipy.sparse.csr_array`; "torch" has none (its file has `jacobian_values`).

    Raises `InputError` for the dense native Jacobian of a model with arrays that is too large
    to have one.

    Example
    -------
    >>> import sciml_dsl as sd
    >>> m = sd.model("x' = -k*x; y' = x; param k = 2; x(0) = 1; y(0) = 0")
    >>> jac(m, "native", sparse=True)(0.0, [1.0, 0.0], [2.0]).toarray().tolist()
    [[-2.0, 0.0], [1.0, 0.0]]
    """
    _check(target, CALLABLES)
    if sparse:
        return _sparse(model, target)
    if target == "native":
        n = len(model.spec.states)
        return _native(model, "jac", (n, n))
    module = load(code(model, target), model.spec.name)
    if target == "torch":
        return TorchFunction(_torch_module(model, module), jac, model, target, {})
    if target == "numba":
        return NumbaFunction(module.jacobian, jac, model, target, {})
    return PythonFunction(module.jacobian, jac, model, target, {})


def _sparse(model: Model, target: str) -> Callable[..., Any]:
    """The Jacobian as a csr_array; the pattern is shared by all that are made."""
    import numpy as np
    from scipy.sparse import csr_array

    if target == "torch":
        raise UnsupportedError(
            "the sparse Jacobian is not a torch tensor",
            hint='use jac("native", sparse=True), or `jacobian_values` of m.code("torch")',
        )
    if model.spec.as_loops:
        return _sparse_loops(model, target)
    options = {"sparse": True}
    rest = (jac, model, target, options)
    system = model.system
    indptr, indices = system.jacobian_pattern
    shape = (system.n, system.n)
    if target == "native":
        from .native import jacobian_values

        by_rows = NativeFunction(*jacobian_values(system), (len(indices),), jac, model, target, options)
        return SparseFunction(by_rows, lambda values: csr_array((values, indices, indptr), shape=shape), *rest)
    by_columns = _checked(load(code(model, target), system.name).jacobian_values, rest)
    order = np.argsort(np.lexsort((np.repeat(np.arange(system.n), np.diff(indptr)), indices)))

    def build(values: Any) -> Any:
        return csr_array((np.asarray(values)[order], indices, indptr), shape=shape)

    return SparseFunction(by_columns, build, *rest)


def _checked(function: Any, rest: tuple[Any, ...]) -> Function:
    return (NumbaFunction if rest[2] == "numba" else PythonFunction)(function, *rest)


def _sparse_loops(model: Model, target: str) -> Callable[..., Any]:
    """As `_sparse`, for a model with arrays, whose files give values, rows and columns."""
    from scipy.sparse import coo_array, csr_array

    shape = (len(model.spec.states),) * 2
    rest = (jac, model, target, {"sparse": True})
    if target == "native":
        from .native import functions

        compiled = functions(model, sparse=True)
        indptr, indices = compiled.jac_indptr, compiled.jac_indices
        assert indptr is not None and indices is not None
        values = NativeFunction(compiled.jac_values, compiled, (indices.size,), *rest)
        return SparseFunction(values, lambda found: csr_array((found, indices, indptr), shape=shape), *rest)
    module = load(code(model, target), model.spec.name)
    places = (module.jacobian_rows(), module.jacobian_columns())
    by_places = _checked(module.jacobian_values, rest)
    return SparseFunction(by_places, lambda found: coo_array((found, places), shape=shape).tocsr(), *rest)


def _check(target: str, known: tuple[str, ...]) -> None:
    if target in known:
        return
    hint = suggest(str(target), known)
    listed = ", ".join(f'"{name}"' for name in known)
    raise UnknownNameError(
        f'there is no target "{target}"; the targets are {listed}' + (f"\n  hint: {hint}" if hint else "")
    )


def _torch_module(model: Model, module: Any) -> Any:
    """The generated module; networks that are not trained start from the usual weights (seed 0)."""
    from ..nn.networks import load as load_weights
    from ..nn.weights import initial_weights

    made = module.MODULE()
    trained = {name for name, _ in model.spec.weights}
    for k, network in enumerate(model.spec.networks):
        if not trained >= {net.name for net in model.spec.networks}:
            load_weights(made.networks[k], initial_weights(network, k))
    return made


def _native(model: Model, name: str, shape: tuple[int, ...]) -> Callable[..., Any]:
    """A function of native code as a Python callable on arrays."""
    from .native import functions

    compiled = functions(model)
    if not getattr(compiled, name):
        n = compiled.n
        raise InputError(f'a dense Jacobian of {n:,} states is too large; take jac(target="native", sparse=True)')
    made_by = rhs if name == "f" else jac
    return NativeFunction(getattr(compiled, name), compiled, shape, made_by, model, "native", {})
