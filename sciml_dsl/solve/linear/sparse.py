"""Sparse LU: left-looking, with the pattern and the row exchanges of the first factorisation kept.

The matrix comes by columns, already in a fill-reducing order (`ordering`).  `find`
factorises and finds the pattern of the factors, column by column, by a depth-first
search in the part of L made so far (J. R. Gilbert & T. Peierls, Sparse partial
pivoting in time proportional to arithmetic operations, SIAM J. Sci. Stat. Comput. 9
(1988) 862-874); the diagonal is preferred as pivot unless it is small beside its
column.  `refine` repeats only the arithmetic, for the next matrix of the same pattern
(T. A. Davis & E. P. Natarajan, KLU, ACM TOMS 37 (2010) 36), and reports a pivot that has
become small, so that the caller searches again.

Where the factors lie is said in `layout`.
"""

from __future__ import annotations

from typing import Any

from ..compiled import inner
from .layout import HEAD, KNOWN, ROOM_L, ROOM_U

PREFERENCE = 1e-2  # the diagonal is the pivot if it has at least this part of the column's largest
TOLERATED = 1e-4  # with a kept order a pivot may become this small beside its column

SINGULAR, OK, SMALL_PIVOT, NO_ROOM = 0, 1, 2, 3


@inner()
def _search(root: int, column: int, s: Any, at_pinv: int, n: int, at_lp: int, at_li: int, top: int) -> int:
    """Rows that column `column` of U and L reaches from row `root`, put in topological order before `top`."""
    stack, place, mark, path = at_pinv + n, at_pinv + 2 * n, at_pinv + 3 * n, at_pinv + 4 * n
    depth = 0
    s[stack] = root
    s[mark + root] = column
    first = s[at_pinv + root]
    s[place] = s[at_lp + first] if first >= 0 else 0
    while depth >= 0:
        row = s[stack + depth]
        pivot = s[at_pinv + row]
        deeper = False
        if pivot >= 0:
            at, end = s[place + depth], s[at_lp + pivot + 1]
            while at < end:
                below = s[at_li + at]
                at += 1
                if s[mark + below] != column:
                    s[mark + below] = column
                    s[place + depth] = at
                    depth += 1
                    s[stack + depth] = below
                    next_pivot = s[at_pinv + below]
                    s[place + depth] = s[at_lp + next_pivot] if next_pivot >= 0 else 0
                    deeper = True
                    break
        if not deeper:
            depth -= 1
            top -= 1
            s[path + top] = row
    return top


@inner()
def _sift(s: Any, v: Any, at: int, values: int, root: int, size: int) -> None:
    """Let the entry at `root` of the heap sink to its place, row by row, its value with it."""
    row, value = s[at + root], v[values + root]
    while True:
        child = 2 * root + 1
        if child >= size:
            break
        if child + 1 < size and s[at + child + 1] > s[at + child]:
            child += 1
        if s[at + child] <= row:
            break
        s[at + root] = s[at + child]
        v[values + root] = v[values + child]
        root = child
    s[at + root] = row
    v[values + root] = value


@inner()
def _in_order(s: Any, v: Any, at: int, values: int, size: int) -> int:
    """Sort one column by rows (heapsort); where the run of adjacent rows begins that ends it."""
    for root in range(size // 2 - 1, -1, -1):
        _sift(s, v, at, values, root, size)
    for last in range(size - 1, 0, -1):
        row, value = s[at], v[values]
        s[at], v[values] = s[at + last], v[values + last]
        s[at + last], v[values + last] = row, value
        _sift(s, v, at, values, 0, last)
    run = size - 1
    while run > 0 and s[at + run - 1] + 1 == s[at + run]:
        run -= 1
    return max(run, 0)


@inner("contract")
def _subtract(s: Any, v: Any, at: int, run: int, end: int, shift: int, value: Any, out: Any) -> None:
    """out[row] -= entry * value for one column: scattered up to `run`, then a run of adjacent rows.

    `at`, `run`, `end` count in `s`; the entry of place q is v[q + shift].
    """
    for q in range(at, run):
        out[s[q]] -= v[q + shift] * value
    if run < end:
        first = s[run] - run
        for q in range(run, end):
            out[first + q] -= v[q + shift] * value


@inner("contract")
def find(n: int, bp: Any, bi: Any, bx: Any, s: Any, v: Any, preference: float) -> int:
    """Factorise the matrix with columns `bp`, `bi`, `bx` and find the pattern; SINGULAR, OK or NO_ROOM."""
    pinv = HEAD
    mark, path = pinv + 3 * n, pinv + 4 * n
    lp = pinv + 5 * n
    up = lp + n + 1
    li = up + n + 1
    ui = li + s[ROOM_L]
    diagonal = n
    lx = 2 * n
    ux = lx + s[ROOM_L]
    s[KNOWN] = 0
    for i in range(n):
        s[pinv + i] = -1
        s[mark + i] = -1
        v[i] = 0.0
    n_l = 0
    n_u = 0
    for k in range(n):
        s[lp + k] = n_l
        s[up + k] = n_u
        top = n
        for q in range(bp[k], bp[k + 1]):
            if s[mark + bi[q]] != k:
                top = _search(bi[q], k, s, pinv, n, lp, li, top)
        if n_l + n - top > s[ROOM_L] or n_u + n - top > s[ROOM_U]:
            pivots_found = 0
            for q in range(top, n):
                if s[pinv + s[path + q]] >= 0:
                    pivots_found += 1
            if n_u + pivots_found > s[ROOM_U] or n_l + n - top - pivots_found - 1 > s[ROOM_L]:
                return NO_ROOM
        for q in range(bp[k], bp[k + 1]):
            v[bi[q]] += bx[q]
        best = -1
        largest = -1.0
        for q in range(top, n):
            row = s[path + q]
            j = s[pinv + row]
            if j < 0:
                continue
            value = v[row]
            s[ui + n_u] = j
            v[ux + n_u] = value
            n_u += 1
            v[row] = 0.0
            if value != 0.0:
                for at in range(s[lp + j], s[lp + j + 1]):
                    v[s[li + at]] -= v[lx + at] * value
        for q in range(top, n):
            row = s[path + q]
            if s[pinv + row] < 0:
                size = abs(v[row])
                if not size <= largest:  # NaN wins and is caught below
                    largest = size
                    best = row
        if best < 0 or not largest > 0.0 or not largest < 1e300:
            return SINGULAR
        if s[mark + k] == k and s[pinv + k] < 0:
            size = abs(v[k])
            if size > 0.0 and size >= preference * largest:
                best = k
        inverse = 1.0 / v[best]
        v[diagonal + k] = inverse
        v[best] = 0.0
        s[pinv + best] = k
        for q in range(top, n):
            row = s[path + q]
            if s[pinv + row] < 0:
                s[li + n_l] = row
                v[lx + n_l] = v[row] * inverse
                n_l += 1
                v[row] = 0.0
    s[lp + n] = n_l
    s[up + n] = n_u
    for at in range(n_l):
        s[li + at] = s[pinv + s[li + at]]
    ls, us = pinv + n, pinv + 2 * n
    for k in range(n):
        begin = s[lp + k]
        s[ls + k] = begin + _in_order(s, v, li + begin, lx + begin, s[lp + k + 1] - begin)
        begin = s[up + k]
        s[us + k] = begin + _in_order(s, v, ui + begin, ux + begin, s[up + k + 1] - begin)
    s[KNOWN] = 1
    return OK


@inner("contract")
def refine(n: int, bp: Any, bi: Any, bx: Any, s: Any, v: Any) -> int:
    """Factorise another matrix of the same pattern by the order found before; SINGULAR, OK or SMALL_PIVOT."""
    pinv = HEAD
    lp = pinv + 5 * n
    up = lp + n + 1
    li = up + n + 1
    ui = li + s[ROOM_L]
    ls = pinv + n
    diagonal = n
    lx = 2 * n
    ux = lx + s[ROOM_L]
    for i in range(n):
        v[i] = 0.0
    for k in range(n):
        for q in range(bp[k], bp[k + 1]):
            v[s[pinv + bi[q]]] += bx[q]
        for q in range(s[up + k], s[up + k + 1]):
            j = s[ui + q]
            value = v[j]
            v[j] = 0.0
            v[ux + q] = value
            if value != 0.0:
                _subtract(s, v, li + s[lp + j], li + s[ls + j], li + s[lp + j + 1], lx - li, value, v)
        pivot = v[k]
        v[k] = 0.0
        size = abs(pivot)
        if not (size > 0.0 and size < 1e300):
            return SMALL_PIVOT
        inverse = 1.0 / pivot
        v[diagonal + k] = inverse
        largest = 0.0
        for at in range(s[lp + k], s[lp + k + 1]):
            row = s[li + at]
            value = v[row]
            v[row] = 0.0
            largest = max(largest, abs(value))
            v[lx + at] = value * inverse
        if not TOLERATED * largest <= size:
            return SMALL_PIVOT
    return OK


@inner("contract")
def factorise_sparse(n: int, bp: Any, bi: Any, bx: Any, s: Any, v: Any) -> bool:
    """Factors of the matrix, by the known order where it still serves.  False if singular.

    Room for the factors is what pivots on the diagonal need, several times over; where
    row exchanges would fill more, the diagonal is taken whenever it is not zero.
    """
    if s[KNOWN] != 0 and refine(n, bp, bi, bx, s, v) == OK:
        return True
    code = find(n, bp, bi, bx, s, v, PREFERENCE)
    if code == NO_ROOM:
        code = find(n, bp, bi, bx, s, v, 1e-10)
    if code != OK:
        s[KNOWN] = 0
    return bool(code == OK)


@inner("contract")
def solve_sparse(n: int, s: Any, v: Any, b: Any) -> None:
    """Solve in place; `b` (n) is in the order of the pivots."""
    lp = HEAD + 5 * n
    up = lp + n + 1
    li = up + n + 1
    ui = li + s[ROOM_L]
    ls, us = HEAD + n, HEAD + 2 * n
    diagonal = n
    lx = 2 * n
    ux = lx + s[ROOM_L]
    for k in range(n):
        value = b[k]
        if value != 0.0:
            _subtract(s, v, li + s[lp + k], li + s[ls + k], li + s[lp + k + 1], lx - li, value, b)
    for k in range(n - 1, -1, -1):
        value = b[k] * v[diagonal + k]
        b[k] = value
        if value != 0.0:
            _subtract(s, v, ui + s[up + k], ui + s[us + k], ui + s[up + k + 1], ux - ui, value, b)
