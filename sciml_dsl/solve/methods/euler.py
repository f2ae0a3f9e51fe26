"""Euler: the explicit Euler method, in steps of a given size.

L. Euler, Institutiones calculi integralis I (1768), section 650.  Between the steps the
solution is a straight line.
"""

from __future__ import annotations

from .tableau import Tableau

TABLEAU = Tableau(c=(0.0,), a=(), b=(1.0,), e=(0.0,), interpolant=((1.0,),))
