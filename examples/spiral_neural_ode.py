"""A neural ODE: a network of the cubed state learns to draw a spiral.

    python examples/spiral_neural_ode.py

The data come from u' = A u^3 with A = [-0.1 2; -2 -0.1] and u(0) = (2, 0), 30 points up to
t = 1.5 (the spiral of R. T. Q. Chen et al., Neural ordinary differential equations, 2018).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import sciml_dsl as sd

truth = sd.model("""
    x' = -0.1*x^3 + 2*y^3
    y' = -2*x^3 - 0.1*y^3
    x(0) = 2; y(0) = 0
""")
solution = truth.solve((0, 1.5), saveat=np.linspace(0, 1.5, 30), rtol=1e-10, atol=1e-12)
data = solution.to_pandas()

model = sd.load(Path(__file__).parent / "spiral.sciml")  # x', y' = U(x^3, y^3): 2-50-2, tanh
fit = model.fit(data, seed=0)

learned = fit.model.solve((0, 1.5), saveat=solution.t, rtol=1e-7, atol=1e-9)
print(fit)
print(f"sum of squared errors over the 60 numbers: {np.sum((learned.u - solution.u) ** 2):.2e}")
