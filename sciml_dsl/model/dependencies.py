"""Who needs whom: cycles among definitions, constants and functions, and the size of what they make.

Takes graphs as mappings name -> names needed; gives a cycle, an order, or
nothing.  All walks are iterative: chains of definitions may be long.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..language.ast import Call, Expr, names, postorder


def order(needs: Mapping[str, Iterable[str]]) -> tuple[list[str], list[str] | None]:
    """Names so that each comes after those it needs, or else a cycle `[a, b, ..., a]`."""
    done: dict[str, bool] = {}  # False while its needs are being visited
    result: list[str] = []
    for first in needs:
        if first in done:
            continue
        done[first] = False
        path = [(first, iter(needs[first]))]
        while path:
            name, rest = path[-1]
            below = next(rest, None)
            if below is None:
                path.pop()
                done[name] = True
                result.append(name)
            elif below not in needs or done.get(below):
                continue
            elif below in done:
                on_path = [step for step, _ in path]
                return result, [*on_path[on_path.index(below) :], below]
            else:
                done[below] = False
                path.append((below, iter(needs[below])))
    return result, None


def calls(expr: Expr) -> set[str]:
    """Names of the functions and networks called in `expr`."""
    return {node.func for node in postorder(expr) if isinstance(node, Call)}


def free_names(expr: Expr, bodies: Mapping[str, tuple[tuple[str, ...], Expr]]) -> set[str]:
    """Names `expr` needs, also through the bodies of the functions it calls."""
    found = names(expr)
    seen: set[str] = set()
    pending = [name for name in calls(expr) if name in bodies]
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        args, body = bodies[name]
        found |= names(body) - set(args)
        pending.extend(below for below in calls(body) if below in bodies)
    return found


def written_out_size(sequence: Iterable[str], bodies: Mapping[str, Expr]) -> dict[str, int]:
    """Number of operations of each function once the functions it calls are written out.

    `sequence` lists functions after those they call.
    """
    sizes: dict[str, int] = {}
    for name in sequence:
        sizes[name] = size(bodies[name], sizes)
    return sizes


def size(expr: Expr, functions: Mapping[str, int]) -> int:
    """Number of nodes of `expr` with the given sizes of functions written out."""
    return sum(functions.get(node.func, 1) if isinstance(node, Call) else 1 for node in postorder(expr))
