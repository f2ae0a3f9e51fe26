"""The functions of SUNDIALS by name, out of the libraries that scikit-sundae is linked with.

Its extension modules depend on SUNDIALS, and looking a symbol up in a library also searches
what that depends on; so no path of a library file is guessed.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
from functools import cache
from typing import Any

from ...errors import InputError

_P, _D, _I, _L = ctypes.c_void_p, ctypes.c_double, ctypes.c_int, ctypes.c_long
_DP, _LP, _IP = ctypes.POINTER(_D), ctypes.POINTER(_L), ctypes.POINTER(_I)

# name: (result, arguments...); sunindextype is an int, as `load` makes sure
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "SUNContext_Create": (_I, _I, ctypes.POINTER(_P)),
    "SUNContext_Free": (_I, ctypes.POINTER(_P)),
    "SUNContext_ClearErrHandlers": (_I, _P),
    "N_VMake_Serial": (_P, _I, _P, _P),
    "N_VDestroy": (None, _P),
    "N_VGetArrayPointer": (_P, _P),
    "SUNDenseMatrix": (_P, _I, _I, _P),
    "SUNDenseMatrix_Data": (_P, _P),
    "SUNBandMatrix": (_P, _I, _I, _I, _P),
    "SUNBandMatrix_Data": (_P, _P),
    "SUNSparseMatrix": (_P, _I, _I, _I, _I, _P),
    "SUNSparseMatrix_Data": (_P, _P),
    "SUNSparseMatrix_IndexValues": (_P, _P),
    "SUNSparseMatrix_IndexPointers": (_P, _P),
    "SUNMatDestroy": (None, _P),
    "SUNLinSol_Dense": (_P, _P, _P, _P),
    "SUNLinSol_Band": (_P, _P, _P, _P),
    "SUNLinSol_SuperLUMT": (_P, _P, _P, _I, _P),
    "SUNLinSol_SPGMR": (_P, _P, _I, _I, _P),
    "SUNLinSolFree": (_I, _P),
    "SUNNonlinSol_FixedPoint": (_P, _P, _I, _P),
    "SUNNonlinSolFree": (_I, _P),
}
for _prefix in ("CVode", "IDA"):
    _SIGNATURES |= {
        f"{_prefix}WFtolerances": (_I, _P, _P),
        f"{_prefix}SetUserData": (_I, _P, _P),
        f"{_prefix}SetMaxNumSteps": (_I, _P, _L),
        f"{_prefix}SetMaxStep": (_I, _P, _D),
        f"{_prefix}SetInitStep": (_I, _P, _D),
        f"{_prefix}SetStopTime": (_I, _P, _D),
        f"{_prefix}SetLinearSolver": (_I, _P, _P, _P),
        f"{_prefix}SetJacFn": (_I, _P, _P),
        f"{_prefix}GetDky": (_I, _P, _D, _I, _P),
        f"{_prefix}GetLastOrder": (_I, _P, _IP),
        f"{_prefix}GetCurrentStep": (_I, _P, _DP),
        f"{_prefix}Free": (None, ctypes.POINTER(_P)),
        **{
            f"{_prefix}GetNum{name}": (_I, _P, _LP)
            for name in ("Steps", "ErrTestFails", "JacEvals", "LinSolvSetups", "NonlinSolvConvFails")
        },
    }
_SIGNATURES |= {
    "CVodeCreate": (_P, _I, _P),
    "CVodeInit": (_I, _P, _P, _D, _P),
    "CVodeReInit": (_I, _P, _D, _P),
    "CVode": (_I, _P, _D, _P, _DP, _I),
    "CVodeSetNonlinearSolver": (_I, _P, _P),
    "CVodeSetMaxHnilWarns": (_I, _P, _I),
    "CVodeSetJacTimes": (_I, _P, _P, _P),
    "CVodeGetNumRhsEvals": (_I, _P, _LP),
    "CVodeGetNumLinRhsEvals": (_I, _P, _LP),
    "IDACreate": (_P, _P),
    "IDAInit": (_I, _P, _P, _D, _P, _P),
    "IDAReInit": (_I, _P, _D, _P, _P),
    "IDASolve": (_I, _P, _D, _DP, _P, _P, _I),
    "IDAGetNumResEvals": (_I, _P, _LP),
}


class Library:
    """SUNDIALS: its functions as attributes, `address(name)` for those that compiled code calls."""

    def __init__(self, libraries: list[ctypes.CDLL]) -> None:
        self._libraries = libraries
        for name, (result, *arguments) in _SIGNATURES.items():
            function = self._find(name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def address(self, name: str) -> int:
        """Where a function lies in memory."""
        return ctypes.cast(self._find(name), _P).value or 0

    def _find(self, name: str) -> Any:
        for library in self._libraries:
            try:
                return getattr(library, name)
            except AttributeError:
                continue
        raise InputError(
            f"the SUNDIALS that scikit-sundae brings has no function {name}; "
            "methods through SUNDIALS need scikit-sundae 1.1 or newer on Linux or macOS"
        )


@cache
def load() -> Library:
    """SUNDIALS, loaded once; raises `InputError` where scikit-sundae is not installed or is built otherwise."""
    if importlib.util.find_spec("sksundae") is None:
        raise InputError(
            'methods through SUNDIALS ("cvode_bdf", "cvode_adams", "ida") need scikit-sundae\n'
            "  hint: pip install 'sciml-dsl[sundials]'"
        )
    found = []
    for name in ("_cy_cvode", "_cy_ida"):
        module = importlib.import_module(f"sksundae.{name}")
        found.append(ctypes.CDLL(module.__file__))
    _check_build(importlib.import_module("sksundae._cy_common"))
    return Library(found)


def _check_build(common: Any) -> None:
    """Index and number types are compiled into SUNDIALS; ours are int and double."""
    config = getattr(common, "config", None) or {}
    kinds = {str(key).upper(): str(value) for key, value in dict(config).items()}
    index, real = kinds.get("SUNDIALS_INT_TYPE", "int"), kinds.get("SUNDIALS_FLOAT_TYPE", "double")
    if index != "int" or real != "double":
        raise InputError(f"this scikit-sundae is built for {index} and {real}; methods here need int and double")
