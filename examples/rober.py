"""Robertson's reaction from 0 to 1e11: rates from 0.04 to 3e7 in one model.

    python examples/rober.py

The text is Julia's @ode_def macro as it stands.  The solver begins with an explicit method and
changes to Rodas5P by itself; the end is compared with the value published with the IVP test set
(F. Mazzia & C. Magherini, Test Set for Initial Value Problem Solvers, release 2.4, 2008).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import sciml_dsl as sd

model = sd.load(Path(__file__).parent / "rober.sciml")
solution = model.solve((0, 1e11), rtol=1e-9, atol=1e-14, saveat=[1e11])

published = np.array([2.083340149701255e-08, 8.333360770334713e-14, 0.999999979166505])
end = solution.u[-1]
error = np.max(np.abs(end / published - 1))

print(solution.message)
for name, value in zip(solution.states, end, strict=True):
    print(f"  {name}(1e11) = {value:.10g}")
print(f"largest relative difference from the published values: {error:.1e}")
