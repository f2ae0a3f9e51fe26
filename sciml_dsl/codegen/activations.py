"""Activation functions of networks as source, with first and second derivative.

`SCALAR` is for numbers (plain Python and numba), `ARRAY` for whole arrays (numpy
and torch).  Each function returns (value, first derivative, second derivative)
and never divides overflowing numbers.
"""

from __future__ import annotations

from collections.abc import Iterable

SCALAR = {
    "tanh": """
def _tanh(x):
    y = math.tanh(x)
    d = 1.0 - y*y
    return y, d, -2.0*y*d
""",
    "sigmoid": """
def _sigmoid(x):
    e = math.exp(-abs(x))
    y = (1.0 if x >= 0.0 else e)/(1.0 + e)
    d = e/((1.0 + e)*(1.0 + e))
    return y, d, d*(1.0 - 2.0*y)
""",
    "softplus": """
def _softplus(x):
    e = math.exp(-abs(x))
    s = (1.0 if x >= 0.0 else e)/(1.0 + e)
    return max(x, 0.0) + math.log1p(e), s, e/((1.0 + e)*(1.0 + e))
""",
    "relu": """
def _relu(x):
    return max(x, 0.0), (1.0 if x > 0.0 else 0.0), 0.0
""",
    "gelu": """
def _gelu(x):
    cdf = 0.5*math.erfc(-x*0.7071067811865476)
    pdf = 0.3989422804014327*math.exp(-0.5*x*x)
    return x*cdf, cdf + x*pdf, pdf*(2.0 - x*x)
""",
    "swish": """
def _swish(x):
    e = math.exp(-abs(x))
    s = (1.0 if x >= 0.0 else e)/(1.0 + e)
    d = e/((1.0 + e)*(1.0 + e))
    return x*s, s + x*d, d*(2.0 + x*(1.0 - 2.0*s))
""",
    "sin": """
def _sin(x):
    if not math.isfinite(x):
        return math.nan, math.nan, math.nan
    y = math.sin(x)
    return y, math.cos(x), -y
""",
    "rbf": """
def _rbf(x):
    y = math.exp(-x*x)
    return y, -2.0*x*y, (4.0*x*x - 2.0)*y
""",
    "identity": """
def _identity(x):
    return x, 1.0, 0.0
""",
}
"""Activation -> source of a function of one number."""

_NUMPY = {
    "tanh": """
def _tanh(x):
    y = np.tanh(x)
    d = 1.0 - y*y
    return y, d, -2.0*y*d
""",
    "sigmoid": """
def _sigmoid(x):
    e = np.exp(-np.abs(x))
    y = np.where(x >= 0.0, 1.0, e)/(1.0 + e)
    d = e/((1.0 + e)*(1.0 + e))
    return y, d, d*(1.0 - 2.0*y)
""",
    "softplus": """
def _softplus(x):
    e = np.exp(-np.abs(x))
    s = np.where(x >= 0.0, 1.0, e)/(1.0 + e)
    return np.maximum(x, 0.0) + np.log1p(e), s, e/((1.0 + e)*(1.0 + e))
""",
    "relu": """
def _relu(x):
    return np.maximum(x, 0.0), np.where(x > 0.0, 1.0, 0.0), np.zeros_like(x)
""",
    "gelu": """
def _gelu(x):
    cdf = 0.5*_erfc(-x*0.7071067811865476)
    pdf = 0.3989422804014327*np.exp(-0.5*x*x)
    return x*cdf, cdf + x*pdf, pdf*(2.0 - x*x)
""",
    "swish": """
def _swish(x):
    e = np.exp(-np.abs(x))
    s = np.where(x >= 0.0, 1.0, e)/(1.0 + e)
    d = e/((1.0 + e)*(1.0 + e))
    return x*s, s + x*d, d*(2.0 + x*(1.0 - 2.0*s))
""",
    "sin": """
def _sin(x):
    y = np.sin(x)
    return y, np.cos(x), -y
""",
    "rbf": """
def _rbf(x):
    y = np.exp(-x*x)
    return y, -2.0*x*y, (4.0*x*x - 2.0)*y
""",
    "identity": """
def _identity(x):
    return x, np.ones_like(x), np.zeros_like(x)
""",
}

_TORCH = {
    "tanh": """
def _tanh(x):
    y = torch.tanh(x)
    d = 1.0 - y*y
    return y, d, -2.0*y*d
""",
    "sigmoid": """
def _sigmoid(x):
    y = torch.sigmoid(x)
    d = y*torch.sigmoid(-x)
    return y, d, d*(1.0 - 2.0*y)
""",
    "softplus": """
def _softplus(x):
    s = torch.sigmoid(x)
    return torch.nn.functional.softplus(x, threshold=40.0), s, s*torch.sigmoid(-x)
""",
    "relu": """
def _relu(x):
    return torch.relu(x), (x > 0.0).to(x.dtype), torch.zeros_like(x)
""",
    "gelu": """
def _gelu(x):
    cdf = 0.5*torch.special.erfc(-x*0.7071067811865476)
    pdf = 0.3989422804014327*torch.exp(-0.5*x*x)
    return x*cdf, cdf + x*pdf, pdf*(2.0 - x*x)
""",
    "swish": """
def _swish(x):
    s = torch.sigmoid(x)
    d = s*torch.sigmoid(-x)
    return x*s, s + x*d, d*(2.0 + x*(1.0 - 2.0*s))
""",
    "sin": """
def _sin(x):
    y = torch.sin(x)
    return y, torch.cos(x), -y
""",
    "rbf": """
def _rbf(x):
    y = torch.exp(-x*x)
    return y, -2.0*x*y, (4.0*x*x - 2.0)*y
""",
    "identity": """
def _identity(x):
    return x, torch.ones_like(x), torch.zeros_like(x)
""",
}

ARRAY = {"numpy": _NUMPY, "torch": _TORCH}
"""Module -> activation -> source of a function of an array."""

RESERVED = tuple(f"_{name}" for name in SCALAR)
"""The names these functions have in generated source."""


def used(table: dict[str, str], activations: Iterable[str]) -> list[str]:
    """Source of the activations in use, each once, in the table's order."""
    wanted = set(activations)
    return [source.strip("\n") for name, source in table.items() if name in wanted]
