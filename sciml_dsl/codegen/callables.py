"""What `m.rhs(...)` and `m.jac(...)` give: functions `f(t, u, p)` that check what they are called with.

Takes a function of a target (generated Python, a numba function, an address of machine code) and
the sizes of its model; gives a callable that raises `InputError` for arguments that do not fit,
writes into `out` where asked to, and travels between processes as its model.  Generated files
themselves check nothing: there the check would cost as much as a small right-hand side.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import InputError, NonFiniteError, clipped

if TYPE_CHECKING:
    from ..model.model import Model


class Sizes:
    """How many numbers `u` and `p` of a model hold.

    `p` are the parameters, then the weights of networks (`optional`: may be left out), then the
    tables of inputs, of any size; `tables` are the model's own, None where it has none.
    """

    def __init__(self, model: Model, *, optional: bool) -> None:
        spec = model.spec
        self.u = len(spec.states)
        self.p = len(spec.parameters) + spec.n_weights
        self.least = len(spec.parameters) if optional else self.p
        self.inputs = len(spec.inputs)
        self.tables: Any = None
        if self.inputs:
            from .program import tables_of

            self.tables = tables_of(spec)

    def fits(self, p: Any, size: int) -> bool:
        """Whether a `p` of `size` numbers can be meant, beyond the plain `self.p` of a model without inputs."""
        if size in (self.least, self.p):
            return not self.inputs or self.tables is not None
        if not self.inputs or size < self.p:
            return False
        from ..model.interpolate import untail

        return p.ndim != 1 or untail(p[self.p :], self.inputs) is not None

    def wrong_p(self, shape: tuple[int, ...]) -> InputError:
        if self.inputs:
            return InputError(
                f"p must hold {self.p} numbers and behind them the tables of the inputs\n"
                "  hint: m.parameter_vector(p, inputs=table) makes it; m.with_inputs(table) keeps the tables"
            )
        other = f" or ({self.least},)" if self.least != self.p else ""
        return InputError(f"p must have shape ({self.p},){other}, not {shape}")

    def wrong_u(self, shape: tuple[int, ...]) -> InputError:
        return InputError(f"u must have shape ({self.u},), not {shape}")


def _no_numbers(name: str, value: Any) -> NoReturn:
    from collections.abc import Mapping

    hint = ""
    if isinstance(value, Mapping):
        hint = "\n  hint: mappings of names go to m.solve; here numbers stand in the order of " + (
            "m.states" if name == "u" else "m.parameters; m.parameter_vector({...}) makes them"
        )
    raise InputError(f"{name} must be numbers in order, not {type(value).__name__}{hint}") from None


class Function:
    """A function `f(t, u, p)` of a model.

    `function` is the one of the target without checks; `out`, an array that the result is
    written into and that is returned.  Pickled, it is its model and target.
    """

    def __init__(self, made_by: Callable[..., Any], model: Model, target: str, options: dict[str, Any]) -> None:
        self.model, self.target = model, target
        self._made_by, self._options = made_by, options
        self._sizes = Sizes(model, optional=target not in ("numba", "native"))

    function: Any

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._made_by, self.model, self.target, self._options)

    def __repr__(self) -> str:
        return f'<{self._made_by.__name__}("{self.target}") of {self.model.spec.name}>'

    def _vectors(self, u: Any, p: Any) -> tuple[Any, Any]:
        """`u` and `p` as float64 arrays (n,) and (np,)."""
        import numpy as np

        u, p = self._array("u", u), self._array("p", p)
        sizes = self._sizes
        if u.shape != (sizes.u,):
            raise sizes.wrong_u(u.shape)
        if p.shape != (sizes.p,) or sizes.inputs:
            if p.ndim != 1 or not sizes.fits(p, p.size):
                raise sizes.wrong_p(p.shape)
            if sizes.inputs and p.size == sizes.p:
                p = np.concatenate([p, sizes.tables])
        return u, p

    @staticmethod
    def _array(name: str, value: Any) -> Any:
        import numpy as np

        try:
            return np.ascontiguousarray(value, np.float64) if np.ndim(value) else np.asarray(value, np.float64)
        except (TypeError, ValueError):
            _no_numbers(name, value)

    def _into(self, out: Any, result: Any) -> Any:
        """`result`, written into `out` where there is one."""
        if out is None:
            return result
        import numpy as np

        shape = np.shape(result)
        if not isinstance(out, np.ndarray) or out.shape != shape:
            raise InputError(f"out must be an array of shape {shape}, not {getattr(out, 'shape', type(out).__name__)}")
        out[...] = result
        return out


def _again(made_by: Callable[..., Any], model: Model, target: str, options: dict[str, Any]) -> Any:
    return made_by(model, target, **options)


def _of_numbers(error: Exception) -> bool:
    """Whether the error says that a number is too large or outside the domain of a function."""
    return isinstance(error, (OverflowError, ZeroDivisionError)) or "domain" in str(error) or "expected a" in str(error)


def _line(error: Exception) -> str:
    """The line of generated source where it happened."""
    from traceback import extract_tb

    return clipped((extract_tb(error.__traceback__)[-1].line or "").strip())


class PythonFunction(Function):
    """Of "python" and "numpy": `u` and `p` sequences of numbers; for "numpy" their last axis counts."""

    def __init__(self, function: Callable[..., Any], *rest: Any) -> None:
        super().__init__(*rest)
        self.function = function
        self._default = all(p.default is not None for p in self.model.spec.parameters)
        self._batches = self.target == "numpy"

    def __call__(self, t: Any, u: Any, p: Any = None, *, out: Any = None) -> Any:
        u = self._sequence("u", u)
        if p is None:
            if not self._default:
                raise InputError("p is missing, and not every parameter has a default")
            self._check_u(u)
            return self._into(out, self._value(t, u))
        p = self._sequence("p", p)
        self._check_u(u)
        shape = getattr(p, "shape", None) or (len(p),)
        if shape[-1] != self._sizes.p or self._sizes.inputs:
            flat = p
            if self._sizes.inputs and not hasattr(p, "ndim"):
                import numpy as np

                flat = np.asarray(p)
            if not self._sizes.fits(flat, shape[-1]):
                raise self._sizes.wrong_p(shape)
        if not self._batches and len(shape) != 1:
            raise self._sizes.wrong_p(shape)
        return self._into(out, self._value(t, u, p))

    def _value(self, *args: Any) -> Any:
        """The value; where Python has none, compiled targets give inf or NaN, and the reason is said here."""
        try:
            return self.function(*args)
        except (ValueError, ArithmeticError) as error:
            if self._batches or not _of_numbers(error):
                raise
            line = _line(error)
            raise NonFiniteError(
                f"no finite value at t = {args[0]}: {error}" + (f", in `{line}`" if line else "") + "\n"
                "  hint: u or p leave the domain of the model; the other targets give inf or nan there"
            ) from error

    def _check_u(self, u: Any) -> None:
        shape = getattr(u, "shape", None) or (len(u),)
        if shape[-1] != self._sizes.u or (not self._batches and len(shape) != 1):
            raise self._sizes.wrong_u(shape)

    def _sequence(self, name: str, value: Any) -> Any:
        import numpy as np

        if self._batches:
            if isinstance(value, np.ndarray) and value.dtype.kind in "fc" and value.ndim:
                return value
            try:
                made = np.asarray(value)
                made = made if made.dtype.kind in "fc" else made.astype(float)
            except (TypeError, ValueError):
                _no_numbers(name, value)
            if not made.ndim:
                _no_numbers(name, value)
            return made
        if isinstance(value, (list, tuple)):
            return value
        if isinstance(value, np.ndarray) and value.ndim:
            return value
        if isinstance(value, (str, bytes, dict, set)) or not (hasattr(value, "__len__") and hasattr(value, "__iter__")):
            _no_numbers(name, value)
        return list(value)


class NumbaFunction(Function):
    """Of "numba"; compiled functions call it by its name as they call any other, there without checks."""

    def __init__(self, function: Any, *rest: Any) -> None:
        super().__init__(*rest)
        self.function = function
        _seen_by_numba()

    def __call__(self, t: float, u: Any, p: Any, *, out: Any = None) -> Any:
        u, p = self._vectors(u, p)
        if out is None:
            return self.function(t, u, p)
        return self._into(out, self.function(t, u, p))

    def __getattr__(self, name: str) -> Any:
        if name == "function" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.function, name)


_registered = False


def _seen_by_numba() -> None:
    """Compiled code sees the compiled function in a `NumbaFunction`."""
    global _registered
    if _registered:
        return
    from numba.extending import typeof_impl

    @typeof_impl.register(NumbaFunction)  # type: ignore[untyped-decorator]
    def _of(value: NumbaFunction, context: Any) -> Any:
        return typeof_impl(value.function, context)

    _registered = True


_NATIVE = ctypes.CFUNCTYPE(None, ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


_addressof, _view = ctypes.addressof, ctypes.c_char.from_buffer


def _place(array: Any) -> int:
    """The address of an array's numbers: `array.ctypes.data`, at an eighth of its time where that can be."""
    if array.flags.writeable and array.size:
        return _addressof(_view(array))
    place: int = array.ctypes.data
    return place


class NativeFunction(Function):
    """Machine code: `address` is that of `void f(double t, const double *u, const double *p, double *out)`."""

    def __init__(self, address: int, keepalive: object, shape: tuple[int, ...], *rest: Any) -> None:
        super().__init__(*rest)
        self.address, self.keepalive, self.shape = address, keepalive, shape
        self.function = _NATIVE(address)
        import numpy as np

        self._new, self._double, self._kind = np.empty, np.dtype(np.float64), np.ndarray
        self._u, self._p = (self._sizes.u,), (-1,) if self._sizes.inputs else (self._sizes.p,)

    def __call__(self, t: float, u: Any, p: Any, out: Any = None) -> Any:
        kind, double = self._kind, self._double
        if not (
            type(u) is kind
            and type(p) is kind
            and u.dtype is double
            and p.dtype is double
            and u.shape == self._u
            and p.shape == self._p
            and u.flags.c_contiguous
            and p.flags.c_contiguous
        ):
            u, p = self._vectors(u, p)
        if out is None:
            out = self._new(self.shape)
        elif (
            type(out) is not kind
            or out.shape != self.shape
            or out.dtype is not double
            or not out.flags.c_contiguous
            or not out.flags.writeable
        ):
            raise InputError(f"out must be a writable, contiguous float64 array of shape {self.shape}")
        try:
            self.function(t, _place(u), _place(p), _place(out))
        except (TypeError, ctypes.ArgumentError):
            raise InputError(f"t must be a number, not {type(t).__name__}") from None
        return out


class SparseFunction(Function):
    """The Jacobian as a `scipy.sparse.csr_array`, made of its `values(t, u, p)` by `build`."""

    def __init__(self, values: Function, build: Callable[[Any], Any], *rest: Any) -> None:
        super().__init__(*rest)
        self.function, self._build = values, build

    def __call__(self, t: float, u: Any, *p: Any) -> Any:
        return self._build(self.function(t, u, *p))


class TorchCheck:
    """A hook of a generated torch module: looks at the shapes of `u` and `p` before it is called."""

    def __init__(self, model: Model) -> None:
        self._sizes = Sizes(model, optional=True)

    def __call__(self, module: Any, args: tuple[Any, ...]) -> None:
        for name, value in zip(("u", "p"), args[1:], strict=False):
            if name == "p" and value is None:
                continue
            if not hasattr(value, "dtype") or not hasattr(value, "new_empty"):
                raise InputError(f"{name} must be a torch tensor, not {type(value).__name__}")
            size = value.shape[-1] if value.ndim else -1
            if name == "u" and size != self._sizes.u:
                raise self._sizes.wrong_u(tuple(value.shape))
            known = size in (self._sizes.least, self._sizes.p) or (self._sizes.inputs and size > self._sizes.p)
            if name == "p" and not known:
                raise self._sizes.wrong_p(tuple(value.shape))


class TorchFunction(Function):
    """The Jacobian of a generated torch module, with its checks."""

    def __init__(self, module: Any, *rest: Any) -> None:
        super().__init__(*rest)
        self.function = module.jacobian
        self._check = TorchCheck(self.model)

    def __call__(self, t: Any, u: Any, p: Any = None) -> Any:
        self._check(None, (t, u, p))
        return self.function(t, u, p)
