"""What the integration loop and a method by address say to each other: names of all slots.

A method is one compiled function

    void method(int64 task, int64 *fn, double *reals, int64 *ints,
                double *u, double *p, double *work, int64 *iwork)

which the loop calls through its address, so a further method never recompiles the
loop.  `fn` are addresses of the model's functions, `reals` and `ints` the slots named
below, `u` (n) the state, `p` the parameters, `work` and `iwork` all memory there is;
slots whose name begins with AT_ are places in `work` (AT_I... in `iwork`).
"""

from __future__ import annotations

# Tasks.
START = 0  # first call, and after every discontinuity: history is lost, the slope must be found again
ATTEMPT = 1  # try a step of reals[H] from (reals[T], u); must not change u
ACCEPT = 2  # the loop took the step: u and reals[T] are new, reals[H] is the step just taken
DENSE = 3  # the step's interpolant in powers of theta, (degree + 1, n), to work[ints[AT_POLY]:]
STIFFNESS = 4  # write reals[STIFF], an estimate of |h lambda|, for switching

# Reals.
T = 0
H = 1
ERROR = 2  # out: weighted error over tolerance, at most 1 to be accepted; NaN: failed (singular, not finite, ...)
FACTOR = 3  # out: what the method itself wants the next or repeated step multiplied with; 0: the loop decides
STIFF = 4
T1 = 5
HMAX = 6
N_REALS = 16

# Integers.
(
    N,
    N_PARAMS,
    COUNT_F,
    COUNT_JAC,
    COUNT_LU,
    COUNT_SOLVE,
    COUNT_NEWTON_FAIL,
    AT_RTOL,  # relative tolerances (n)
    AT_ATOL,  # absolute tolerances (n)
    AT_NEW,  # the new state (n)
    AT_POLY,  # the interpolant (degree + 1, n)
    DEGREE,
    AT_OWN,  # the method's own doubles
    AT_IOWN,  # and integers
    AT_LIN,  # what the linear algebra keeps (solve.linear)
    AT_ILIN,
    LINEAR,  # its kind: DENSE_LU, BANDED, SPARSE_LU or KRYLOV
    LOWER,  # bandwidths
    UPPER,
    NNZ,  # stored entries of the Jacobian
    HAS_MASS,
    AT_MASS,  # diagonal of the mass matrix (n)
    FIRST,  # 1 on the first attempt after START
    REJECTED,  # 1 when this attempt repeats a rejected step
    WANT_STIFF,  # 1: an explicit method's ATTEMPT writes reals[STIFF] too
    OWN_STEP,  # address of the model's own step of an implicit method, 0: none
    OWN_DENSE,  # and of its interpolant
) = range(27)
N_INTS = 32

# Addresses, before those of the events.
(
    F,
    JAC,
    DFDT,
    FJP,
    DJP,
    ROOTS,
    EVENT_TIMES,
    STEP,  # the model's own step of Tsit5
    JAC_VALUES,  # Jacobian in CSR order
    JVP,
    F_STIFF,  # parts of a split right-hand side
    F_NONSTIFF,
    FUSED,  # the model's own step of this method
    FUSED_DENSE,  # and its own interpolant of that step
    METHOD,  # the method by address, 0 for those the loop contains
    PARTNER,  # the method "auto" changes to and back
    CLOCK,  # the C function `clock`
    GIL_ENSURE,  # the interpreter's functions that tell whether the user interrupted
    CHECK_SIGNALS,
    FETCH_ERROR,
    GIL_RELEASE,
    LINEAR_ALGEBRA,  # the compiled function of linear/by_address.py
    TURNS,  # times at which conditions in the equations turn by themselves
    MODES,  # the values that the modes of switches have at a point
) = range(24)
HEAD = 24

# Control, one row for each kind of method, all of them behind the times (see kernel.py).
(
    BETA1,  # exponents of the last three errors in the step size controller
    BETA2,
    BETA3,
    LOG_SAFETY,
    GROW,  # largest factor
    EXPONENT,  # of the error of a rejected step
    START_EXPONENT,  # of the first step
    STIFF_AT,  # |h lambda| that may mean "held back by stability"; infinite for implicit methods
    WORTHWHILE,  # how many times longer than the other method's its steps must be to pay
) = range(9)
N_CONTROL = 9
