"""Velocity Verlet: half a kick, a drift, half a kick; symplectic, order two.

L. Verlet, Computer "experiments" on classical fluids, Physical Review 159 (1967) 98-103;
W. C. Swope et al., The Journal of Chemical Physics 76 (1982) 637-649.
"""

from __future__ import annotations

from .splitting import composed

SPLITTING = composed((1.0,))
