"""How hares and lynx act on each other, from 21 years of pelt counts.

    python examples/hudson_bay.py

The growth of hares without lynx and the death of lynx without hares are known in form only;
their rates and the initial values are estimated together with the unknown interaction.  The
command line does the same: sciml-dsl discover examples/hudson_bay.sciml examples/hudson_bay.csv
"""

from __future__ import annotations

from pathlib import Path

import sciml_dsl as sd
from sciml_dsl.fit.table import read_table

here = Path(__file__).parent

model = sd.load(here / "hudson_bay.sciml")
found = model.discover(read_table(here / "hudson_bay.csv"), seed=0)

print(found)
print()
print(found.candidates[["formula", "loss", "delta"]].head(5).to_string(index=False))
print()
print(found.model)
