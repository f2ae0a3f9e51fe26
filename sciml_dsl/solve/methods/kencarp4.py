"""KenCarp4, published as ESDIRK4(3)6L[2]SA, the implicit half of ARK4(3)6L[2]SA; order 4(3), six stages, L-stable.

C. A. Kennedy & M. H. Carpenter, Additive Runge-Kutta schemes for convection-diffusion-reaction
equations, Applied Numerical Mathematics 44 (2003) 139-181.
"""

from __future__ import annotations

from .diagonal import tableau

GAMMA = 1 / 4
IMPLICIT = (
    (),
    (1 / 4, GAMMA),
    (8611 / 62500, -1743 / 31250, GAMMA),
    (5012029 / 34652500, -654441 / 2922500, 174375 / 388108, GAMMA),
    (15267082809 / 155376265600, -71443401 / 120774400, 730878875 / 902184768, 2285395 / 8070912, GAMMA),
    (82889 / 524892, 0.0, 15625 / 83664, 69875 / 102672, -2260 / 8211, GAMMA),
)
EMBEDDED = (
    4586570599 / 29645900160, 0.0, 178811875 / 945068544, 814220225 / 1159782912, -3700637 / 11593932, 61727 / 225920,
)  # fmt: skip

TABLEAU = tableau(IMPLICIT, EMBEDDED)
