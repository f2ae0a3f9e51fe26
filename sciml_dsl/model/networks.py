"""The declaration of a network, `neural U(x, y) -> 1 { hidden = [16, 16], activation = tanh }`.

Takes the statement, gives a `spec.Network`, or says which option is wrong.
"""

from __future__ import annotations

from ..errors import ModelError, NameModelError, suggest
from ..language import syntax
from ..language.ast import Name, Span
from ..language.complaint import Complaint
from .spec import Network

ACTIVATIONS = ("tanh", "sigmoid", "softplus", "relu", "gelu", "swish", "sin", "rbf", "identity")
MAX_WIDTH = 100_000
MAX_WEIGHTS = 50_000_000
_OPTIONS = ("hidden", "activation")


def declare(statement: syntax.Network) -> Network:
    """The network a `neural` statement declares.  Raises `Complaint`."""
    name = statement.name.name
    inputs: list[str] = []
    for arg in statement.inputs:
        if not isinstance(arg, Name) or "'" in arg.name:
            raise Complaint(
                "the inputs of a network are plain names here",
                arg.span or statement.span,
                f"write neural {name}(x, y) -> 1 and call it with any expressions, {name}(x^2, y)",
            )
        if arg.name in inputs:
            raise Complaint(f"the input `{arg.name}` stands twice", arg.span or statement.span, None, NameModelError)
        inputs.append(arg.name)
    if not inputs:
        raise Complaint(f"the network `{name}` has no inputs", statement.span, f"write neural {name}(x, y) -> 1")
    n_out = 1 if statement.outputs is None else _whole(statement.outputs, "the number of outputs", statement.span)
    hidden: tuple[int, ...] = (16, 16)
    activation = "tanh"
    seen: set[str] = set()
    for option in statement.options:
        key = option.name.name
        if key not in _OPTIONS:
            hint = suggest(key, _OPTIONS) or "the options are hidden = [16, 16] and activation = tanh"
            raise Complaint(f"a network has no option `{key}`", option.name.span or option.span, hint, NameModelError)
        if key in seen:
            raise Complaint(f"the option `{key}` is given twice", option.name.span or option.span, None, NameModelError)
        seen.add(key)
        if key == "hidden":
            hidden = _hidden(option)
        else:
            activation = _activation(option)
    network = Network(name, len(inputs), n_out, hidden, activation, declared=True)
    if network.n_weights > MAX_WEIGHTS:
        raise Complaint(
            f"the network `{name}` would have {network.n_weights:,} weights; {MAX_WEIGHTS:,} is the most",
            statement.span,
            None,
            ModelError,
        )
    return network


def _whole(value: float, what: str, span: Span) -> int:
    if value != int(value) or not 1 <= value <= MAX_WIDTH:
        raise Complaint(f"{what} must be a whole number from 1 to {MAX_WIDTH:,}", span, None, ModelError)
    return int(value)


def _hidden(option: syntax.Option) -> tuple[int, ...]:
    value = option.value
    if isinstance(value, str):
        raise Complaint("`hidden` is a list of widths", option.span, "write hidden = [16, 16]", ModelError)
    widths = value if isinstance(value, tuple) else (value,)
    return tuple(_whole(width, "the width of a layer", option.span) for width in widths)


def _activation(option: syntax.Option) -> str:
    value = option.value
    if isinstance(value, str) and value in ACTIVATIONS:
        return value
    shown = value if isinstance(value, str) else "a number"
    hint = suggest(str(value), ACTIVATIONS) or f"choose one of {', '.join(ACTIVATIONS)}"
    raise Complaint(f"`{shown}` is not an activation", option.span, hint, NameModelError)
