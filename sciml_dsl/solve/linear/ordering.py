"""Orders of elimination for sparse matrices, and the fill they cause; from patterns only.

`minimum_degree` is the approximate minimum degree algorithm on a quotient graph
(P. R. Amestoy, T. A. Davis & I. S. Duff, An approximate minimum degree ordering
algorithm, SIAM J. Matrix Anal. Appl. 17 (1996) 886-905), `fill` counts the entries of
the factors column by column (J. W. H. Liu, The role of elimination trees in sparse
factorization, SIAM J. Matrix Anal. Appl. 11 (1990) 134-172).  Patterns are symmetric,
in CSR, without the diagonal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import int64, njit
from numba.types import UniTuple

_indices = int64[::1]


@njit([_indices(int64, _indices, _indices, int64)], cache=True)  # type: ignore[untyped-decorator]
def minimum_degree(n: int, indptr: Any, indices: Any, limit: int) -> Any:
    """An order (n) of elimination that keeps fill low: variable `order[k]` goes k-th.

    Empty as soon as the factor L has more than `limit` entries.
    """
    order = np.empty(n, np.int64)
    store = np.empty(indices.size + n + 1, np.int64)  # lists of variables, later of elements too
    start = np.empty(n, np.int64)
    length = np.empty(n, np.int64)
    elements = np.zeros(n, np.int64)  # how many elements lead the list of a variable
    degree = np.empty(n, np.int64)
    alive = np.ones(n, np.int64)  # 1 variable, 2 element, 0 neither
    head = np.full(n + 1, -1, np.int64)
    after = np.full(n, -1, np.int64)
    before = np.full(n, -1, np.int64)
    mark = np.full(n, -1, np.int64)
    outside = np.zeros(n, np.int64)  # variables of an element outside the pivot's
    stamp = np.full(n, -1, np.int64)
    free = 0
    dense = max(16, int(10.0 * np.sqrt(n)))
    count = 0
    entries = 0
    last = n
    for i in range(n):
        start[i] = free
        for q in range(indptr[i], indptr[i + 1]):
            store[free] = indices[q]
            free += 1
        length[i] = free - start[i]
        degree[i] = length[i]
        if length[i] > dense:  # touches almost everything: last, and out of the way
            last -= 1
            order[last] = i
            alive[i] = 0
    for i in range(n):
        if alive[i] == 1:
            d = degree[i]
            after[i] = head[d]
            if head[d] >= 0:
                before[head[d]] = i
            head[d] = i
    least = 0
    while count < last:
        while head[least] < 0:
            least += 1
        p = head[least]
        head[least] = after[p]
        if after[p] >= 0:
            before[after[p]] = -1
        order[count] = p
        step = count
        count += 1
        # The new element: every variable p touches, directly or through an element.
        need = length[p]
        for q in range(start[p], start[p] + elements[p]):
            need += length[store[q]]
        if free + need > store.size:
            larger = np.empty(2 * store.size + need, np.int64)
            larger[:free] = store[:free]
            store = larger
        first = free
        mark[p] = step
        for q in range(start[p], start[p] + elements[p]):
            e = store[q]
            if alive[e] != 2:
                continue
            for r in range(start[e], start[e] + length[e]):
                v = store[r]
                if alive[v] == 1 and mark[v] != step:
                    mark[v] = step
                    store[free] = v
                    free += 1
            alive[e] = 0
        for q in range(start[p] + elements[p], start[p] + length[p]):
            v = store[q]
            if alive[v] == 1 and mark[v] != step:
                mark[v] = step
                store[free] = v
                free += 1
        alive[p] = 2
        start[p] = first
        length[p] = free - first
        elements[p] = 0
        # How much of each neighbouring element lies outside the new one.
        for q in range(first, free):
            i = store[q]
            for r in range(start[i], start[i] + elements[i]):
                e = store[r]
                if alive[e] == 2:
                    if stamp[e] != step:
                        stamp[e] = step
                        outside[e] = length[e]
                    outside[e] -= 1
        size = free - first
        entries += size
        if entries > limit:
            return order[:0]
        kept = first
        for q in range(first, free):
            i = store[q]
            if before[i] >= 0:
                after[before[i]] = after[i]
            else:
                head[degree[i]] = after[i]
            if after[i] >= 0:
                before[after[i]] = before[i]
            write = start[i]
            total = 0
            for r in range(start[i], start[i] + elements[i]):
                e = store[r]
                if alive[e] == 2:
                    if outside[e] > 0:
                        total += outside[e]
                        store[write] = e
                        write += 1
                    else:
                        alive[e] = 0  # wholly inside the new element
            begin_variables = write
            for r in range(start[i] + elements[i], start[i] + length[i]):
                v = store[r]
                if alive[v] == 1 and mark[v] != step:
                    total += 1
                    store[write] = v
                    write += 1
            if total == 0:  # touches nothing else: goes at once, without further fill
                alive[i] = 0
                order[count] = i
                count += 1
                continue
            store[write] = store[begin_variables]
            store[begin_variables] = p
            elements[i] = begin_variables - start[i] + 1
            length[i] = write - start[i] + 1
            degree[i] = min(last - count, min(degree[i] + size - 1, total + size - 1))
            store[kept] = i
            kept += 1
        free = kept
        length[p] = kept - first
        for q in range(first, free):
            i = store[q]
            d = max(0, min(degree[i], n - 1))
            degree[i] = d
            after[i] = head[d]
            before[i] = -1
            if head[d] >= 0:
                before[head[d]] = i
            head[d] = i
            least = min(least, d)
    return order


@njit(  # type: ignore[untyped-decorator]
    [UniTuple(int64, 2)(int64, _indices, _indices, _indices, int64)], cache=True
)
def fill(n: int, indptr: Any, indices: Any, order: Any, limit: int) -> Any:
    """(entries of L without its diagonal, multiplications of L U) when eliminating in `order`.

    The pattern is symmetric and the pivots are on the diagonal, so U has as many.
    (-1, -1) as soon as there are more than `limit` entries.
    """
    place = np.empty(n, np.int64)
    for k in range(n):
        place[order[k]] = k
    parent = np.full(n, -1, np.int64)
    mark = np.full(n, -1, np.int64)
    counts = np.zeros(n, np.int64)
    entries = 0
    for k in range(n):
        mark[k] = k
        i = order[k]
        for q in range(indptr[i], indptr[i + 1]):
            j = place[indices[q]]
            while j < k and mark[j] != k:
                if parent[j] < 0:
                    parent[j] = k
                mark[j] = k
                counts[j] += 1
                entries += 1
                j = parent[j]
        if entries > limit:
            return -1, -1
    work = 0
    for k in range(n):
        work += counts[k] * (counts[k] + 1)
    return entries, work
