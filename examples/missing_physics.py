"""The missing terms of a predator-prey model from 31 noisy points.

    python examples/missing_physics.py

The linear terms are known, the interactions are networks.  The data were made with
x' = 1.3x - 0.9xy, y' = -1.8y + 0.8xy and noise of 0.5 % of each mean, so the answer can be
checked (the setting of C. Rackauckas et al., Universal differential equations for scientific
machine learning, arXiv:2001.04385).
"""

from __future__ import annotations

from pathlib import Path

import sciml_dsl as sd
from sciml_dsl.fit.table import read_table

here = Path(__file__).parent

model = sd.load(here / "missing_physics.sciml")  # x' = α*x + NN1(x, y), y' = -δ*y + NN2(x, y)
found = model.discover(read_table(here / "missing_physics.csv"), seed=0)

print(found)  # NN1 = -0.90*x*y, NN2 = 0.81*x*y
print()
print(found.model)
