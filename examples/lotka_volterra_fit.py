"""Parameters of Lotka and Volterra's equations from measurements, starting at wrong ones.

    python examples/lotka_volterra_fit.py

The data are exact, so the parameters must come back exactly: p = (1.5, 1, 3, 1).
"""

from __future__ import annotations

from pathlib import Path

import sciml_dsl as sd
from sciml_dsl.fit.table import read_table

here = Path(__file__).parent

model = sd.load(here / "lotka_volterra_fit.sciml")  # p = (1.6, 1.4, 2.0, 0.8)
fit = model.fit(read_table(here / "lotka_volterra_fit.csv"))

print(fit)  # p = (1.5, 1, 3, 1)
print()
print(fit.model)
