"""CVODE and IDA of SUNDIALS as methods of `solve`: "cvode_bdf", "cvode_adams" and "ida".

`library.py` finds the shared libraries that scikit-sundae brings, `callbacks.py` are the
functions SUNDIALS calls, compiled, `stepper.py` owns one integration's memory, `api.py`
makes a `Solution` of it.  No Python runs inside a step.  A. C. Hindmarsh et al., SUNDIALS:
Suite of Nonlinear and Differential/Algebraic Equation Solvers, ACM TOMS 31 (2005) 363-396.
"""

from ..methods.registry import SUNDIALS as METHODS

__all__ = ["METHODS"]
