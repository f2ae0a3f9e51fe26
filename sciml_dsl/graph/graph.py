"""The expression graph: scalar nodes in one arena, shared as they are built.

A node is an integer; its operation, arguments and payload stand in three
parallel lists.  Building a node that already exists returns the old one
(hash-consing), so common subexpressions exist once; arguments always precede
their users, so increasing ids are a topological order.  A short table of local
rewrites (`rewrite.py`) runs at construction.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from .ops import COMMUTATIVE, EVALUATE, evaluate
from .rewrite import RULES


class Graph:
    """An arena of scalar expressions.

    Attributes (parallel lists, read-only outside): `op` names, `args` tuples of
    node ids, `data` payloads (the value of a constant, the index of a leaf, the
    indices of a network projection).

    Example
    -------
    >>> g = Graph()
    >>> x = g.leaf("state", 0)
    >>> g.add(x, g.const(0.0)) == x
    True
    """

    __slots__ = ("_index", "args", "data", "op")

    def __init__(self) -> None:
        self.op: list[str] = []
        self.args: list[tuple[int, ...]] = []
        self.data: list[float | int | tuple[int, ...] | None] = []
        self._index: dict[tuple[object, ...], int] = {}

    def __len__(self) -> int:
        return len(self.op)

    # ------------------------------------------------------------ leaves

    def const(self, value: float) -> int:
        """A number; -0.0 and 0.0 are different nodes."""
        value = float(value)
        return self._intern(("const", value, math.copysign(1.0, value)), "const", (), value)

    def leaf(self, kind: str, index: int = 0) -> int:
        """`kind` is "t", "state", "param", or "seed" (a direction in a derivative)."""
        return self._intern((kind, index), kind, (), index)

    # ------------------------------------------------------------ operations

    def call(self, op: str, *args: int) -> int:
        """The node `op(args)`, folded and simplified where a rule says so."""
        ops = self.op
        for a in args:
            if ops[a] != "const":
                break
        else:
            folded = evaluate(op, *(self.data[a] for a in args))  # type: ignore[arg-type]
            if folded is not None:
                return self.const(folded)
        rule = RULES.get(op)
        if rule is not None:
            found = rule(self, args)
            if found is not None:
                return found
        return self._make(op, args)

    def _make(self, op: str, args: tuple[int, ...]) -> int:
        if op not in EVALUATE:
            raise KeyError(f"unknown operation {op!r}")
        key = (op, args[1], args[0]) if op in COMMUTATIVE and args[0] > args[1] else (op, *args)
        return self._intern(key, op, args, None)

    def _intern(
        self, key: tuple[object, ...], op: str, args: tuple[int, ...], data: float | int | tuple[int, ...] | None
    ) -> int:
        node = self._index.get(key)
        if node is None:
            node = len(self.op)
            self._index[key] = node
            self.op.append(op)
            self.args.append(args)
            self.data.append(data)
        return node

    def add(self, a: int, b: int) -> int:
        return self.call("add", a, b)

    def sub(self, a: int, b: int) -> int:
        return self.call("sub", a, b)

    def mul(self, a: int, b: int) -> int:
        return self.call("mul", a, b)

    def div(self, a: int, b: int) -> int:
        return self.call("div", a, b)

    def pow(self, a: int, b: int) -> int:
        return self.call("pow", a, b)

    def neg(self, a: int) -> int:
        return self.call("neg", a)

    def select(self, cond: int, a: int, b: int) -> int:
        """`a` where `cond` is true, else `b`; the other branch does not count."""
        return self.call("select", cond, a, b)

    def sum(self, terms: Sequence[int]) -> int:
        """The sum as a balanced tree, so that depth stays logarithmic."""
        level = list(terms)
        if not level:
            return self.const(0.0)
        while len(level) > 1:
            level = [
                self.add(level[i], level[i + 1]) if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)
            ]
        return level[0]

    # ------------------------------------------------------------ networks

    def netcall(self, network: int, args: Sequence[int]) -> int:
        """A call of network number `network`; its values are read by `net`."""
        return self._intern(("netcall", network, *args), "netcall", tuple(args), network)

    def net(self, call: int, i: int) -> int:
        """Output `i` (from 0) of a network call."""
        return self._intern(("net", call, i), "net", (call,), (i,))

    def net_jac(self, call: int, i: int, j: int) -> int:
        """Derivative of output `i` with respect to input `j`."""
        return self._intern(("net_jac", call, i, j), "net_jac", (call,), (i, j))

    def net_hess(self, call: int, i: int, j: int, k: int) -> int:
        """Second derivative of output `i` with respect to inputs `j` and `k`."""
        j, k = min(j, k), max(j, k)
        return self._intern(("net_hess", call, i, j, k), "net_hess", (call,), (i, j, k))

    def net_vjp(self, call: int, cotangents: Sequence[int]) -> int:
        """The reverse sweep through a call; its effect on the weights' cotangent is a side effect."""
        return self._intern(("net_vjp", call, *cotangents), "net_vjp", (call, *cotangents), None)

    def net_vjp_in(self, vjp: int, j: int) -> int:
        """Cotangent of input `j` from a reverse sweep."""
        return self._intern(("net_vjp_in", vjp, j), "net_vjp_in", (vjp,), (j,))

    # ------------------------------------------------------------ inputs

    def input(self, k: int, time: int, order: int = 0) -> int:
        """Input number `k` at `time`, or its derivative of `order`; pieces are cubic, so the fourth is 0."""
        if order > 3:
            return self.const(0.0)
        return self._intern(("input", k, order, time), "input", (time,), (k, order))

    # ------------------------------------------------------------ questions

    def is_const(self, node: int, value: float | None = None) -> bool:
        """Is the node a number (this number)?"""
        return self.op[node] == "const" and (value is None or self.data[node] == value)

    def reachable(self, roots: Iterable[int]) -> list[int]:
        """Every node the roots depend on, roots included, in increasing (topological) order."""
        seen: set[int] = set()
        stack = list(roots)
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack.extend(a for a in self.args[node] if a not in seen)
        return sorted(seen)
