"""Insulation and heating power of a room, from its temperature and two measured inputs."""

from pathlib import Path

import sciml_dsl as sd
from sciml_dsl.fit.table import read_table

here = Path(__file__).parent

fit = sd.load(here / "heated_room.sciml").fit(read_table(here / "heated_room.csv"))
print(fit)
