"""What the kernel and those who call it say to each other: names of the places in its small arrays."""

from __future__ import annotations

# Which method makes a step: two are part of the loop, two are called by address.
TSIT5, RODAS5P, BY_ADDRESS, BY_PARTNER = range(4)

# Options of an integration.
(
    FIRST_METHOD,
    MAX_STEPS,
    SAVE_STEPS,
    KEEP_DENSE,
    RECORD,
    N_PARAMS,
    OTHER_METHOD,  # to change to and back, or -1
    DEGREE,  # of the interpolants
    PARTNER_WORK,  # where the partner's memory begins
    PARTNER_IWORK,
    WATCH,  # attempts before the first look at signals, 0: never
    PROGRESS,  # address of a callback, or 0
    CAUGHT,  # three words: what a signal handler raised
    CAUGHT_VALUE,
    CAUGHT_TRACE,
    N_POSITIVE,  # how many indices of states follow that must not be negative
    N_FAMILIES,  # of times at which the equations turn by themselves
    AT_MODES,  # where in p the modes of switches begin
    N_MODES,
) = range(19)
N_OPTIONS = 19
N_TIMES = 8  # t0, t1, dt0, dtmax, dtmin, unused; then the control rows

# Counts, in this order; those before N_STATISTICS are handed out.
(
    ACCEPTED,
    REJECTED,
    N_F,
    N_JAC,
    N_LU,
    SWITCHES,
    BY_TSIT5,
    BY_RODAS5P,
    FIRED,
    STEPS_BY_ADDRESS,
    STEPS_BY_PARTNER,
    N_SOLVE,
    N_NEWTON_FAIL,
) = range(13)
N_STATISTICS = 13
(
    IN_USE, ROWS, STORED, LOGGED, ATTEMPTS, NEXT_SAVE, NEXT_STOP, CLOSE_ROOTS, STIFF_COUNT, CALM_COUNT,
    PATIENCE, RESTART, READY, HAVE_JACOBIAN, WAS_REJECTED, TRIAL, FRESH, LIFTED, NEXT_WATCH, BUDGET, LAST_CLOCK,
) = range(N_STATISTICS, N_STATISTICS + 21)  # fmt: skip
N_COUNTS = 36
(
    TIME, NEXT_END, STEP_SIZE, LOG_PREVIOUS, LAST_ROOT_TIME, LARGEST0, H_EXPLICIT, LOG_BEFORE,
) = range(8)  # fmt: skip
N_REALS = 8

# Kinds of events.
KIND_WHEN, KIND_AT, KIND_EVERY, KIND_SWITCH = range(4)
# What a switch does to its mode; the mode's place in `p` stands above these bits.
RULE_TRUTH, RULE_SIGN, RULE_UP, RULE_DOWN = range(4)
RULE_BITS = 2
