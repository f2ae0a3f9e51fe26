"""Functions that generated torch source contains besides the model's own equations.

Source text only; nothing here imports torch.
"""

from __future__ import annotations

HELPERS = {
    "_input": '''
def _input(tables, k, t, order):
    """Input number k at the times t, or its derivative of that order, in double precision; NaN outside its table."""
    if tables.shape[-1] <= k:
        raise ValueError("p holds no tables of the inputs")
    shape = torch.broadcast_shapes(t.shape, tables.shape[:-1])
    tables, t = tables.double().expand(shape + tables.shape[-1:]), t.double().expand(shape)

    def number(i):
        return tables.gather(-1, i[..., None])[..., 0]

    begin = tables[..., k].long()
    m = number(begin).long()
    low, high = torch.zeros_like(m), m
    while bool((high - low > 1).any()):
        middle = (low + high)//2
        left = number(begin + 3 + middle) <= t
        low, high = torch.where(left, middle, low), torch.where(left, high, middle)
    s = t - number(begin + 3 + low)
    c0, c1, c2, c3 = (number(begin + 3 + m + 4*low + i) for i in range(4))
    if order == 0:
        value = c0 + s*(c1 + s*(c2 + s*c3))
    else:
        value = (c1 + s*(2.0*c2 + 3.0*s*c3), 2.0*c2 + 6.0*c3*s, 6.0*c3)[order - 1]
    inside = (number(begin + 1) <= t) & (t <= number(begin + 2))
    return torch.where(inside, value, math.nan)
''',
    "_cbrt": '''
def _cbrt(x):
    """Real cube root."""
    return torch.sign(x)*torch.abs(x)**(1/3)
''',
    "_gamma": '''
def _gamma(x):
    """Gamma function, by reflection below 1/2."""
    low = x < 0.5
    right = torch.exp(torch.lgamma(torch.where(low, 1.0 - x, x)))
    sine = torch.sin(math.pi*torch.where(low, x, 0.5))
    return torch.where(low, math.pi/(sine*right), right)
''',
}
"""Functions torch does not have, included where the model uses them."""

SUPPORT = {
    "_constant": '''
def _constant(value, like):
    """A number as a tensor of the type and device of `like`."""
    return torch.full((), value, dtype=like.dtype, device=like.device)
''',
    "_tensors": '''
def _tensors(t, u, p):
    """t and p in the type and on the device of u."""
    return torch.as_tensor(t, dtype=u.dtype, device=u.device), torch.as_tensor(p, dtype=u.dtype, device=u.device)
''',
    "_stacked": '''
def _stacked(values, shape, *arrays, t=None):
    """Numbers and tensors side by side, behind the batch axes of t and of `arrays` (all but their last)."""
    like = arrays[0]
    batch = [a.shape[:-1] for a in arrays] + [v.shape for v in values if isinstance(v, torch.Tensor)]
    batch = torch.broadcast_shapes(*batch, *([] if t is None else [t.shape]))
    values = [v.to(like.dtype) if isinstance(v, torch.Tensor) else _constant(v, like) for v in values]
    if not values:
        return torch.zeros(batch + shape, dtype=like.dtype, device=like.device)
    return torch.stack([v.expand(batch) for v in values], dim=-1).reshape(batch + shape)
''',
    "_scattered": '''
def _scattered(values, places, shape, fill):
    """An array of `fill` but for `values`, which stand at `places` (counted row by row)."""
    size = math.prod(shape)
    matrix = torch.full(values.shape[:-1] + (size,), fill, dtype=values.dtype, device=values.device)
    index = torch.tensor(places, device=values.device)
    return matrix.index_copy(-1, index, values).reshape(values.shape[:-1] + shape)
''',
    "_joined": '''
def _joined(inputs, like):
    """The inputs of a network on one last axis."""
    inputs = [x if isinstance(x, torch.Tensor) else _constant(x, like) for x in inputs]
    return torch.stack(torch.broadcast_tensors(*inputs), dim=-1)
''',
    "_mlp": '''
def _mlp(layers, activation, value, order):
    """(value, Jacobian, Hessian) of a multi-layer perceptron, as far as `order` asks.

    `layers` are pairs of a matrix and a bias; derivatives are carried along from layer to layer.
    """
    n = value.shape[-1]
    eye = torch.eye(n, dtype=value.dtype, device=value.device)
    jac = eye.expand(value.shape + (n,)) if order > 0 else None
    hess = torch.zeros(value.shape + (n, n), dtype=value.dtype, device=value.device) if order > 1 else None
    for layer, (matrix, bias) in enumerate(layers):
        value = torch.matmul(matrix, value[..., None])[..., 0] + bias
        if order > 0:
            jac = torch.matmul(matrix, jac)
        if order > 1:
            hess = torch.einsum("...ij,...jkl->...ikl", matrix, hess)
        if layer + 1 < len(layers):
            value, s1, s2 = activation(value)
            if order > 1:
                outer = jac[..., :, None]*jac[..., None, :]
                hess = s2[..., None, None]*outer + s1[..., None, None]*hess
            if order > 0:
                jac = s1[..., None]*jac
    return value, jac, hess
''',
    "_from_weights": '''
def _from_weights(widths, activation, w, at):
    """A network whose weights begin at w[..., at]: inputs, order -> value, Jacobian, Hessian."""
    layers = []
    for n_in, n_out in zip(widths, widths[1:]):
        matrix = w[..., at:at + n_out*n_in].reshape(w.shape[:-1] + (n_out, n_in))
        at += n_out*n_in
        layers.append((matrix, w[..., at:at + n_out]))
        at += n_out
    return lambda x, order: _mlp(layers, activation, x, order)
''',
    "_from_module": '''
def _from_module(module, activation):
    """A torch.nn.Sequential of Linear layers: inputs, order -> value, Jacobian, Hessian."""

    def evaluate(x, order):
        x = x.to(next(module.parameters()).dtype)
        if order == 0:
            return (module(x),)
        layers = [(layer.weight, layer.bias) for layer in module if isinstance(layer, torch.nn.Linear)]
        return _mlp(layers, activation, x, order)

    return evaluate
''',
    "_sequential": '''
def _sequential(widths, activation, dtype):
    """An ordinary torch network with these widths, its last layer linear."""
    layers = []
    for n_in, n_out in zip(widths, widths[1:]):
        layers += [torch.nn.Linear(n_in, n_out, dtype=dtype), activation()]
    return torch.nn.Sequential(*layers[:-1])
''',
}
"""Name -> source of functions that every file contains (`ALWAYS`) or that networks need (`NETWORK`)."""

LOOP_HELPERS = '''
def _filled(value, size, *arrays, t=None):
    """A vector of `size` equal numbers behind the batch axes of t and of `arrays` (all but their last)."""
    batch = torch.broadcast_shapes(*(a.shape[:-1] for a in arrays), *([] if t is None else [t.shape]))
    return torch.full(batch + (size,), value, dtype=arrays[0].dtype, device=arrays[0].device)


def _turns(mask, shape):
    """The places of all turns: an array of indices for each axis of `shape`, and one for the last axis of mask."""
    return torch.nonzero(mask.expand(tuple(shape) + mask.shape[-1:]), as_tuple=True)


def _seats(at, shape):
    """The number of each place of a grid, row by row."""
    number = 0
    for k, size in zip(at, shape):
        number = number*size + k
    return number


def _carried(value, seats, shape):
    """The values at some places of a grid."""
    batch = value.shape[:value.dim() - len(shape)]
    return value.expand(batch + tuple(shape)).reshape(batch + (-1,))[..., seats]


def _gathered(op, value, seats, shape):
    """The sum, prod, min or max of the values of each place of a grid."""
    starts = {"sum": ("sum", 0.0), "prod": ("prod", 1.0), "min": ("amin", math.inf), "max": ("amax", -math.inf)}
    name, start = starts[op]
    value = value.expand(value.shape[:-1] + seats.shape)
    out = torch.full(value.shape[:-1] + (math.prod(shape),), start, dtype=value.dtype, device=value.device)
    out = out.scatter_reduce(-1, seats.expand(value.shape), value, name)
    return out.reshape(value.shape[:-1] + tuple(shape))


def _first(op, value, turns, seats, shape):
    """The first turn at which the value is the min or max of its place."""
    best = _carried(_gathered(op, value, seats, shape), seats, shape)
    return _gathered("min", torch.where(value == best, turns.to(value.dtype), math.inf), seats, shape)


def _added(out, places, shape, value):
    """Adds the values of a grid into out[..., places], where places may repeat."""
    shape = tuple(shape)
    places = torch.as_tensor(places, device=out.device).expand(shape).reshape(-1)
    value = value if isinstance(value, torch.Tensor) else _constant(value, out)
    out.index_add_(-1, places, value.expand(out.shape[:-1] + shape).reshape(out.shape[:-1] + (-1,)))
'''
"""What files of models with arrays contain; `LOOP_NAMES` are their names."""

LOOP_NAMES = ["_filled", "_turns", "_seats", "_carried", "_gathered", "_first", "_added"]

ALGEBRA = '''
def inverse_jacobian(t, u, p):
    """The inverse of df/du, shape (..., n, n)."""
    return torch.linalg.inv(jacobian(t, u, p))


def w_factor(t, u, p, gamma):
    """LU factorisation with row exchanges of W = I - gamma df/du: (factors, pivots), for `w_solve`."""
    matrix = jacobian(t, u, p)
    gamma = torch.as_tensor(gamma, dtype=matrix.dtype, device=matrix.device)
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return torch.linalg.lu_factor(eye - gamma[..., None, None]*matrix)


def w_solve(lu, pivots, b):
    """The solution x (..., n) of W x = b from the factors of `w_factor`."""
    return torch.linalg.lu_solve(lu, pivots, b[..., None])[..., 0]
'''

MASS_FOR_EYE = (
    "torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)",
    "torch.diag(torch.tensor(MASS, dtype=matrix.dtype, device=matrix.device))",
)
"""What `ALGEBRA` has for the identity, and what stands there where the model has algebraic equations."""
"""Solutions of linear equations with the Jacobian."""

ALWAYS = ["_constant", "_tensors", "_stacked", "_scattered"]
NETWORK = ["_joined", "_mlp", "_from_weights", "_from_module", "_sequential"]

_SIN = '''
class Sin(torch.nn.Module):
    """sin(x)"""

    def forward(self, x):
        return torch.sin(x)
'''

_GAUSSIAN = '''
class Gaussian(torch.nn.Module):
    """exp(-x*x)"""

    def forward(self, x):
        return torch.exp(-x*x)
'''

MODULES = {
    "tanh": ("torch.nn.Tanh", ""),
    "sigmoid": ("torch.nn.Sigmoid", ""),
    "softplus": ("lambda: torch.nn.Softplus(threshold=40.0)", ""),
    "relu": ("torch.nn.ReLU", ""),
    "gelu": ("torch.nn.GELU", ""),
    "swish": ("torch.nn.SiLU", ""),
    "sin": ("Sin", _SIN),
    "rbf": ("Gaussian", _GAUSSIAN),
    "identity": ("torch.nn.Identity", ""),
}
"""Activation -> (how its torch module is made, source of the module where torch lacks it)."""
