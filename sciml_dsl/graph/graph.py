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
from typing import Any, cast

from .integers import Affine, LoopIndex, indices
from .ops import COMMUTATIVE, EVALUATE, evaluate
from .rewrite import RULES, SEEN, SEEN_BY_NEG

Payload = float | int | tuple[int, ...] | None  # and what loops hold, see `position`, `whole_of`, `reduction`


class Graph:
    """An arena of scalar expressions.

    Attributes (parallel lists, read-only outside): `op` names, `args` tuples of
    node ids, `data` payloads (the value of a constant, the index of a leaf, the
    indices of a network projection, what a loop does).

    Example
    -------
    >>> g = Graph()
    >>> x = g.leaf("state", 0)
    >>> g.add(x, g.const(0.0)) == x
    True
    """

    __slots__ = ("_free", "_index", "args", "data", "op")

    def __init__(self) -> None:
        self.op: list[str] = []
        self.args: list[tuple[int, ...]] = []
        self.data: list[Payload] = []
        self._index: dict[tuple[object, ...], int] = {}
        self._free: dict[int, frozenset[LoopIndex]] = {}

    def __len__(self) -> int:
        return len(self.op)

    def copy(self) -> Graph:
        """The same nodes under the same numbers, to build on without leaving anything behind."""
        made = Graph()
        made.op, made.args, made.data = self.op.copy(), self.args.copy(), self.data.copy()
        made._index, made._free = self._index.copy(), self._free.copy()
        return made

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
        seen = SEEN.get(op)
        if seen is not None:  # arithmetic of arguments that no rule looks at: most nodes, so without detours
            a, b = args
            if ops[a] not in seen and ops[b] not in seen and (a != b or op != "sub"):
                key = (op, b, a) if a > b and op in COMMUTATIVE else (op, a, b)
                node = self._index.get(key)
                if node is None:
                    node = self._index[key] = len(ops)
                    ops.append(op)
                    self.args.append(args)
                    self.data.append(None)
                return node
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

    def _intern(self, key: tuple[object, ...], op: str, args: tuple[int, ...], data: Payload) -> int:
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
        if self.op[a] in SEEN_BY_NEG:
            return self.call("neg", a)
        return self._intern(("neg", a), "neg", (a,), None)

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

    # ------------------------------------------------------------ inside loops

    def element(self, vector: str, at: Affine) -> int:
        """The element at position `at` (from 0) of a vector: "state", "param", "seed", "const" or "temp"."""
        if at.is_constant and vector not in ("temp", "const"):
            return self.leaf(vector, at.constant)
        return self._intern(("element", vector, at), "element", (), cast(Any, (vector, at)))

    def whole(self, at: Affine) -> int:
        """A whole-number expression of loop indices as a number."""
        if at.is_constant:
            return self.const(float(at.constant))
        return self._intern(("index", at), "index", (), cast(Any, at))

    def reduce(self, op: str, loop: LoopIndex, body: int) -> int:
        """`body` over the turns of `loop`: "sum", "prod", "min", "max"; "argmin" and "argmax" give the first turn."""
        if loop.first == loop.last:
            return self.whole(loop.first) if op.startswith("arg") else body
        if op == "sum" and self.is_const(body, 0.0):
            return body
        fixed = loop.first.is_constant and loop.last.is_constant
        if fixed and loop not in self.free(body) and op in ("sum", "min", "max"):
            count = float(loop.last.constant - loop.first.constant + 1)
            return self.mul(self.const(count), body) if op == "sum" else body
        return self._intern(("reduce", op, loop, body), "reduce", (body,), cast(Any, (op, loop)))

    def position(self, node: int) -> tuple[str, Affine]:
        """(vector, position) of an "element" leaf."""
        return cast("tuple[str, Affine]", self.data[node])

    def whole_of(self, node: int) -> Affine:
        """The whole number that an "index" leaf is."""
        return cast(Affine, self.data[node])

    def reduction(self, node: int) -> tuple[str, LoopIndex]:
        """(operation, loop) of a "reduce" node."""
        return cast("tuple[str, LoopIndex]", self.data[node])

    def free(self, node: int) -> frozenset[LoopIndex]:
        """The loop indices that the value of `node` depends on."""
        known = self._free
        if node not in known:
            pending = [node]
            while pending:
                top = pending[-1]
                missing = [a for a in self.args[top] if a not in known]
                if missing:
                    pending.extend(missing)
                    continue
                known[pending.pop()] = self._free_of(top)
        return known[node]

    def _free_of(self, node: int) -> frozenset[LoopIndex]:
        op = self.op[node]
        if op == "element":
            return frozenset(indices(self.position(node)[1]))
        if op == "index":
            return frozenset(indices(self.whole_of(node)))
        found = frozenset[LoopIndex]().union(*(self._free[a] for a in self.args[node]))
        if op == "reduce":
            loop = self.reduction(node)[1]
            found = (found - {loop}).union(indices(loop.first), indices(loop.last))
        return found

    # ------------------------------------------------------------ questions

    def is_const(self, node: int, value: float | None = None) -> bool:
        """Is the node a number (this number)?"""
        return self.op[node] == "const" and (value is None or self.data[node] == value)

    def reachable(self, roots: Iterable[int]) -> list[int]:
        """Every node the roots depend on, roots included, in increasing (topological) order."""
        args = self.args
        stack = list(roots)
        seen = set(stack)
        while stack:
            for a in args[stack.pop()]:
                if a not in seen:
                    seen.add(a)
                    stack.append(a)
        return sorted(seen)

    def needed(self, roots: Iterable[int]) -> list[int]:
        """Every node the roots depend on but leaves, each right before it is first used, root by root.

        >>> g = Graph()
        >>> x = g.leaf("state", 0)
        >>> early, late = g.call("exp", x), g.call("sin", x)
        >>> g.needed([late, early]) == [late, early]
        True
        """
        args = self.args
        seen: set[int] = set()
        order: list[int] = []
        for root in roots:
            stack = [root]
            while stack:
                node = stack.pop()
                if node < 0:
                    order.append(~node)
                elif node not in seen:
                    seen.add(node)
                    below = args[node]
                    if below:
                        stack.append(~node)
                        stack.extend(below[::-1])
        return order
