"""IMEX KenCarp4, published as ARK4(3)6L[2]SA: order 4(3), six stages, the implicit half L-stable.

C. A. Kennedy & M. H. Carpenter, Additive Runge-Kutta schemes for convection-diffusion-reaction
equations, Applied Numerical Mathematics 44 (2003) 139-181.
"""

from __future__ import annotations

import numpy as np

from .diagonal import AdditiveTableau
from .kencarp4 import EMBEDDED
from .kencarp4 import TABLEAU as IMPLICIT

EXPLICIT = (
    (),
    (1 / 2,),
    (13861 / 62500, 6889 / 62500),
    (-116923316275 / 2393684061468, -2731218467317 / 15368042101831, 9408046702089 / 11113171139209),
    (
        -451086348788 / 2902428689909, -2682348792572 / 7519795681897, 12662868775082 / 11960479115383,
        3355817975965 / 11060851509271,
    ),
    (
        647845179188 / 3216320057751, 73281519250 / 8382639484533, 552539513391 / 3454668386233,
        3354512671639 / 8306763924573, 4040 / 17871,
    ),
)  # fmt: skip


def _explicit() -> AdditiveTableau:
    explicit = np.zeros((6, 6))
    for i, row in enumerate(EXPLICIT):
        explicit[i, : len(row)] = row
    b = IMPLICIT.a[-1].copy()
    return AdditiveTableau(IMPLICIT.a, explicit, IMPLICIT.c, b, b - np.array(EMBEDDED))


TABLEAU = _explicit()
