"""Lotka and Volterra's problem, as every contender of the cases `solve` and `gradient` writes it."""

from __future__ import annotations

from typing import Any

import numpy as np

P = np.array([1.5, 1.0, 3.0, 1.0])
U0 = np.array([1.0, 1.0])
TIMES = np.linspace(0.0, 10.0, 101)
T1 = 10.0
RTOL = ATOL = 1e-8

TEXT = """
x' =  p1*x - p2*x*y
y' = -p3*y + p4*x*y
x(0) = 1; y(0) = 1
param p1 = 1.5, p2 = 1, p3 = 3, p4 = 1
"""


def rhs(t: float, u: Any) -> tuple[float, float]:
    """Plain Python, the fastest form for scipy with two states."""
    x, y = u
    return 1.5 * x - x * y, -3.0 * y + x * y


def diffrax_field(t: Any, u: Any, p: Any) -> Any:
    """The right-hand side for diffrax, on an array of two."""
    import jax.numpy as jnp

    x, y = u
    return jnp.stack([p[0] * x - p[1] * x * y, -p[2] * y + p[3] * x * y])


def jax_setup() -> tuple[Any, Any, Any]:
    """(jax, jax.numpy, diffrax) with doubles switched on."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import diffrax
    import jax.numpy as jnp

    return jax, jnp, diffrax
