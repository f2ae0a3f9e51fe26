"""Functions and words of Julia that generated source needs besides the model's own equations."""

from __future__ import annotations

TRY = '''
"""`value()`, or NaN where it is undefined: for numbers that a branch may turn out not to need."""
function _try(value)
    try
        return value()
    catch problem
        problem isa DomainError || rethrow()
        return NaN
    end
end
'''

INPUT = '''
"""
    _input(tables, k, t, order)

Input number k (from 0) at time t, or its derivative of that order; NaN outside its table.
"""
function _input(tables, k, t, order)
    at = Int(tables[k+1])
    m = Int(tables[at+1])
    if !(tables[at+2] <= t && t <= tables[at+3])
        return NaN*t
    end
    at += 3
    low, high = 0, m
    while high - low > 1
        middle = div(low + high, 2)
        if tables[at+middle+1] <= t
            low = middle
        else
            high = middle
        end
    end
    s = t - tables[at+low+1]
    at += m + 4*low
    c0, c1, c2, c3 = tables[at+1], tables[at+2], tables[at+3], tables[at+4]
    if order == 0
        return c0 + s*(c1 + s*(c2 + s*c3))
    elseif order == 1
        return c1 + s*(2*c2 + 3*s*c3)
    elseif order == 2
        return 2*c2 + 6*c3*s
    end
    return 6*c3
end
'''

_SLOPES = {
    "tanh": "y = tanh(x)\nd = 1 - y*y\nreturn y, d, -2*y*d",
    "sigmoid": "e = exp(-abs(x))\ny = (x >= 0 ? one(e) : e)/(1 + e)\nd = e/((1 + e)*(1 + e))\nreturn y, d, d*(1 - 2*y)",
    "softplus": (
        "e = exp(-abs(x))\ns = (x >= 0 ? one(e) : e)/(1 + e)\nreturn max(x, 0) + log1p(e), s, e/((1 + e)*(1 + e))"
    ),
    "relu": "return max(x, zero(x)), (x > 0 ? one(x) : zero(x)), zero(x)",
    "gelu": (
        "cdf = 0.5*erfc(-x*0.7071067811865476)\npdf = 0.3989422804014327*exp(-0.5*x*x)\n"
        "return x*cdf, cdf + x*pdf, pdf*(2 - x*x)"
    ),
    "swish": (
        "e = exp(-abs(x))\ns = (x >= 0 ? one(e) : e)/(1 + e)\nd = e/((1 + e)*(1 + e))\n"
        "return x*s, s + x*d, d*(2 + x*(1 - 2*s))"
    ),
    "sin": "y = sin(x)\nreturn y, cos(x), -y",
    "rbf": "y = exp(-x*x)\nreturn y, -2*x*y, (4*x*x - 2)*y",
    "identity": "return x, one(x), zero(x)",
}

ACTIVATIONS = {
    name: f"\n# {name}(x), its first and second derivative\nfunction _{name}(x)\n"
    + "".join(f"    {line}\n" for line in body.split("\n"))
    + "end\n"
    for name, body in _SLOPES.items()
}
"""Activation -> a function of one number."""

MLP = '''
"""
    _mlp(widths, activation, w, at, x, order)

(value, Jacobian, Hessian) of a multi-layer perceptron at x, as far as `order` asks. Its weights begin behind
w[at]. Derivatives are carried along from layer to layer.
"""
function _mlp(widths, activation, w, at, x, order)
    n = length(x)
    T = promote_type(eltype(x), eltype(w))
    value = T[x...]
    jac = T[i == j for i in 1:n, j in 1:n]
    hess = zeros(T, n, n, n)
    for layer in 1:length(widths)-1
        n_in, n_out = widths[layer], widths[layer + 1]
        matrix = permutedims(reshape(w[at+1:at+n_in*n_out], n_in, n_out))
        at += n_in*n_out
        value = matrix*value + w[at+1:at+n_out]
        at += n_out
        if order > 0
            jac = matrix*jac
        end
        if order > 1
            hess = reshape(matrix*reshape(hess, n_in, n*n), n_out, n, n)
        end
        if layer + 1 < length(widths)
            for i in 1:n_out
                y, s1, s2 = activation(value[i])
                value[i] = y
                if order > 1
                    for k in 1:n, j in 1:n
                        hess[i, j, k] = s2*jac[i, j]*jac[i, k] + s1*hess[i, j, k]
                    end
                end
                if order > 0
                    jac[i, :] .*= s1
                end
            end
        end
    end
    return value, jac, hess
end
'''

ALGEBRA = '''
"""The inverse of df/du."""
function inverse_jacobian(u, p, t)
    J = Matrix{float(promote_type(eltype(u), eltype(p), typeof(t)))}(undef, length(STATES), length(STATES))
    jac!(J, u, p, t)
    return inv(J)
end

"""LU factorisation of W = I - gamma df/du in the matrix W; `w_factor!(W, u, p, gamma, t) \\\\ b` solves W x = b."""
function w_factor!(W, u, p, gamma, t)
    jac!(W, u, p, t)
    W .*= -gamma
    for i in axes(W, 1)
        W[i, i] += 1
    end
    return lu!(W)
end
'''

WORDS = frozenset(
    (
        "baremodule begin break catch const continue do else elseif end export false finally for function global if "
        "import let local macro module quote return struct true try using while where in isa outer abstract mutable "
        "primitive type public as Inf NaN Inf32 NaN32 pi im missing nothing Any Float64 Float32 Int Int64 Bool String "
        "Vector Matrix Array eltype length similar fill! zeros ones undef view reshape permutedims promote_type typeof "
        "float one zero max min abs sign floor ceil mod rem div exp expm1 log log1p log2 log10 sqrt cbrt sin cos tan "
        "asin acos atan sinh cosh tanh asinh acosh atanh erf erfc gamma digamma logabsgamma first rethrow DomainError "
        "inv lu lu! axes Base Core Main eval include ans π ℯ"
    ).split()
)
"""Keywords of Julia and what generated source calls."""
