"""Conditions that make the equations jump, held fixed while steps are made: a model with modes.

Takes a `System`; gives one whose jumping conditions, signs and whole numbers are further
parameters (modes), and whose "switch" events say where a mode and its condition no longer
agree.  Between two switches its right-hand side is smooth, and at a switch both sides of the jump
are known exactly: that is what sensitivities need (the saltation matrix), because the time of
the jump moves with parameters and initial values.

Conditions whose branches agree where they meet (`if x > 0 then x else 0`) need no switch, nor do
those of time alone at fixed times.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from .compose import rebuilt
from .evaluate import operation
from .graph import Graph
from .ops import EVALUATE, LEAVES
from .system import EventNodes, System

ORDERS = frozenset({"lt", "le", "gt", "ge"})
JUMPING = ORDERS | {"sign", "floor", "ceil", "mod"}

SAMPLES, ATTEMPTS, STEPS = 8, 40, 60
"""Points on a boundary at which branches are compared, starts from which such points are sought, secant steps."""
AGREE = 1e-7
"""Relative difference up to which two branches count as equal there."""


def may_jump(graph: Graph, roots: Sequence[int]) -> bool:
    """Is there anything at all that could jump?  Quick, and True too often."""
    return any(graph.op[node] in JUMPING for node in graph.reachable(roots))


def jumps(
    graph: Graph, roots: Sequence[int], varies: Callable[[int], bool], p: Sequence[float], u: Sequence[float],
    smooth: frozenset[int] = frozenset(), conditions: Sequence[int] = (),
) -> list[int]:  # fmt: skip
    """The nodes below `roots` that make them jump at a time that something moves, in order.

    Arguments: `varies(node)`, whether a leaf changes along a solution (time besides); `p`, `u`, numbers near
    which branches are compared, NaN for unknown ones; `smooth`, conditions known to make no difference;
    `conditions`, root functions of events, where everything counts that jumps.
    """
    return _Finder(graph, roots, varies, p, u, smooth, conditions).find()


def switched(system: System, p: Sequence[float], u: Sequence[float]) -> System | None:
    """The system with modes, or None where nothing jumps; `p`, `u` as of `jumps`.

    The modes stand behind the other parameters.

    Example
    -------
    >>> import sciml_dsl as sd
    >>> m = sd.model("x' = if x > c then 2 else a; x(0) = 0; param a = 1, c = 0.7")
    >>> switched(m.system, [1.0, 0.7], [0.0]).n_params, m.system.n_params
    (3, 2)
    """
    graph, states = system.graph, set(system.state_leaves)
    conditions = [event.root for event in system.events if event.kind == "when"]
    found = jumps(
        graph, system.rhs, lambda node: node in states or graph.op[node] == "netcall", p, u, system.smooth, conditions
    )
    return _Modes(system, found).system() if found else None


@dataclass
class _Modes:
    """Replaces nodes by modes."""

    base: System
    nodes: list[int]

    def system(self) -> System:
        base, g = self.base, self.base.graph
        n_params = base.n_params
        events: list[EventNodes] = []
        values: list[int] = []
        new: dict[int, int] = {}
        chosen = set(self.nodes)
        when = [event for event in base.events if event.kind == "when"]
        for node in g.reachable([*base.rhs, *(node for event in when for node in (event.root, event.holds))]):
            args = tuple(new[a] for a in g.args[node])
            if node not in chosen:
                new[node] = rebuilt(g, node, args)
                continue
            mode = g.leaf("param", n_params + len(values))
            new[node], live, rules = self.mode(node, args, mode)
            events += [self.event(root, strict, (len(values), rule)) for root, strict, rule in rules]
            values.append(live)
        return replace(
            base,
            parameters=(*base.parameters, *(f"mode {k + 1}" for k in range(len(values)))),
            rhs=tuple(new[node] for node in base.rhs),
            events=(
                *(replace(e, root=new[e.root], holds=new[e.holds]) if e.kind == "when" else e for e in base.events),
                *events,
            ),
            modes=tuple(values),
            _memory={},
        )

    def mode(self, node: int, args: tuple[int, ...], mode: int) -> tuple[int, int, list[tuple[int, bool, str]]]:
        """(what stands for the node, the mode's value at a point, its switches: root, must exceed 0, rule)."""
        g, op, own = self.base.graph, self.base.graph.op[node], self.base.graph.args[node]
        one, two, zero = g.const(1.0), g.const(2.0), g.const(0.0)
        if op in ORDERS:
            a, b = args if op in ("gt", "ge") else args[::-1]
            side = g.sub(one, g.mul(two, mode))
            return mode, node, [(g.mul(side, g.sub(a, b)), True, "truth")]
        if op == "sign":
            live = g.select(g.call("ge", own[0], zero), one, g.const(-1.0))
            return mode, live, [(g.neg(g.mul(mode, args[0])), True, "sign")]
        if op == "floor":
            inside, live, value = args[0], node, mode
        elif op == "ceil":
            inside, live, value = g.neg(args[0]), g.call("floor", g.neg(own[0])), g.neg(mode)
        else:
            inside, live = g.div(*args), g.call("floor", g.div(*own))
            value = g.sub(args[0], g.mul(args[1], mode))
        up = g.sub(inside, g.add(mode, one))
        return value, live, [(up, False, "up"), (g.sub(mode, inside), True, "down")]

    def event(self, root: int, strict: bool, rule: tuple[int, str]) -> EventNodes:
        g = self.base.graph
        zero = g.const(0.0)
        holds = g.call("gt" if strict else "ge", root, zero)
        return EventNodes("switch", root, zero, zero, zero, self.base.state_leaves, False, -1, holds, 0, rule)


class _Finder:
    def __init__(
        self, graph: Graph, roots: Sequence[int], varies: Callable[[int], bool], p: Sequence[float],
        u: Sequence[float], smooth: frozenset[int], conditions: Sequence[int],
    ) -> None:  # fmt: skip
        self.graph, self.roots, self.p, self.u, self.smooth = graph, roots, p, u, smooth
        self.time = graph.leaf("t")
        self.order = graph.reachable([*roots, *conditions])
        self.of_equations = set(graph.reachable(roots))
        self.of_conditions = set(graph.reachable(conditions))
        # What each node depends on: something that varies, time, a parameter.
        self.state: dict[int, bool] = {}
        self.moving: dict[int, bool] = {}
        self.given: dict[int, bool] = {}
        for node in self.order:
            args = graph.args[node]
            self.state[node] = varies(node) or any(self.state[a] for a in args)
            self.moving[node] = node == self.time or any(self.moving[a] for a in args)
            self.given[node] = self._is_parameter(node) or any(self.given[a] for a in args)
        self.users: dict[int, list[int]] = {}
        for node in self.order:
            if node in self.of_equations:
                for a in graph.args[node]:
                    self.users.setdefault(a, []).append(node)
        self.branches = any(graph.op[node] == "select" for node in self.order)

    def _is_parameter(self, node: int) -> bool:
        op = self.graph.op[node]
        return op == "param" or (op == "element" and self.graph.position(node)[0] == "param")

    def find(self) -> list[int]:
        graph = self.graph
        first = []
        for node in self.order:
            if graph.op[node] not in JUMPING or node in self.smooth:
                continue
            if node in self.of_conditions and (self.state[node] or self.moving[node]):
                first.append(node)
                continue
            if not self.state[node] and not (self.moving[node] and self.given[node]):
                continue  # does not change, or at times that nothing moves
            if not self.continuous(node):
                first.append(node)
        if not first:
            return []
        chosen = set(first)
        below = graph.reachable([a for node in first for a in graph.args[node]])
        # What decides about a jump must not jump itself, at whatever times.
        chosen.update(
            node for node in below
            if graph.op[node] in JUMPING and node not in self.smooth and (self.state[node] or self.moving[node])
        )  # fmt: skip
        return sorted(chosen)

    # ------------------------------------------------------------ do branches agree where they meet?

    def continuous(self, node: int) -> bool:
        """Does nothing jump where this node does?  Looked at in points of its boundary; when in doubt, no."""
        graph = self.graph
        if graph.op[node] not in ORDERS:
            return not self.branches and self._same_value(node)
        pairs = self._decided(node)
        if pairs is None:
            return False
        a, b = graph.args[node]
        gap = graph.sub(a, b)
        points = self._points(gap, [n for pair in pairs for n in pair])
        return points is not None and all(
            _close(values[left], values[right]) for values in points for left, right in pairs
        )

    def _decided(self, node: int) -> list[tuple[int, int]] | None:
        """The branches that a comparison decides between; None where it is a value."""
        graph = self.graph
        pairs: list[tuple[int, int]] = []
        stack, seen = [node], {node}
        while stack:
            top = stack.pop()
            if top in self.roots:
                return None
            for user in self.users.get(top, ()):
                op, args = graph.op[user], graph.args[user]
                if op == "select" and args[0] == top:
                    if top in args[1:]:
                        return None
                    pairs.append((args[1], args[2]))
                elif op in ("and", "or", "not"):
                    if user not in seen:
                        seen.add(user)
                        stack.append(user)
                else:
                    return None
        return pairs

    def _same_value(self, node: int) -> bool:
        """As `continuous`, for signs and whole numbers: the values of all equations on either side."""
        graph, roots = self.graph, list(self.roots)
        op, args = graph.op[node], graph.args[node]
        inside = graph.div(*args) if op == "mod" else args[0]
        gap = inside if op == "sign" else graph.call("sin", graph.mul(graph.const(math.pi), inside))
        points = self._points(gap, [inside, *roots])
        if points is None:
            return False
        for values in points:
            whole = float(round(values[inside])) if math.isfinite(values[inside]) else math.nan
            sides = {
                "sign": (-1.0, 1.0),
                "floor": (whole - 1.0, whole),
                "ceil": (whole, whole + 1.0),
                "mod": (0.0, values[args[-1]]),
            }[op]
            atoms = {n: value for n, value in values.items() if self._is_atom(n)}
            left, right = (_values(graph, roots, {**atoms, node: side}) for side in sides)
            if not all(_close(left[r], right[r]) for r in roots):
                return False
        return True

    def _is_atom(self, node: int) -> bool:
        op = self.graph.op[node]
        return op != "const" and (op in LEAVES or op not in EVALUATE)

    def _points(self, gap: int, wanted: list[int]) -> list[dict[int, float]] | None:
        """Values of nodes at points where `gap` vanishes; None where too few are found."""
        graph = self.graph
        nodes = graph.reachable([gap, *wanted])
        atoms = [node for node in nodes if self._is_atom(node)]
        below = set(graph.reachable([gap]))
        free = [node for node in atoms if node in below]
        free.sort(key=lambda node: (self._is_parameter(node), node == self.time))
        source = random.Random(20)
        found = []
        for _ in range(ATTEMPTS):
            values = {node: self._number(node, source) for node in atoms}
            for leaf in free[:6]:
                if self._solve(gap, leaf, values, source):
                    found.append(_values(graph, nodes, values))
                    break
            if len(found) == SAMPLES:
                return found
        return None

    def _number(self, node: int, source: random.Random) -> float:
        """A number for a leaf, near what it is in the model."""
        data, op = self.graph.data[node], self.graph.op[node]
        base = math.nan
        if op == "param" and isinstance(data, int) and data < len(self.p):
            base = self.p[data]
        elif op == "state" and isinstance(data, int) and data < len(self.u):
            base = self.u[data]
        if node == self.time:
            return 10.0 * source.random()
        if math.isfinite(base) and base != 0.0:
            return base * (1.0 + (0.1 if op == "param" else 1.0) * source.gauss(0.0, 1.0))
        return source.gauss(0.0, 1.0)

    def _solve(self, gap: int, leaf: int, values: dict[int, float], source: random.Random) -> bool:
        """Move `leaf` until `gap` vanishes, by secants."""
        graph = self.graph
        nodes = graph.reachable([gap])

        def at(x: float) -> float:
            values[leaf] = x
            return _values(graph, nodes, values)[gap]

        start = values[leaf]
        x, y = start, start + (abs(start) + 1.0) * 0.1 * (1.0 + source.random())
        at_x, at_y = at(x), at(y)
        for _ in range(STEPS):
            if not (math.isfinite(at_x) and math.isfinite(at_y)):
                break
            if at_y == 0.0 or (abs(y - x) <= 1e-13 * max(abs(x), abs(y)) and abs(at_y) < 1e-9):
                values[leaf] = y
                return True
            if at_x == at_y:
                break
            x, y, at_x = y, y - at_y * (y - x) / (at_y - at_x), at_y
            at_y = at(y)
        values[leaf] = start
        return False


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= AGREE * (abs(a) + abs(b)) + 1e-11


def _values(graph: Graph, nodes: Sequence[int], given: dict[int, float]) -> dict[int, float]:
    """Numbers of `nodes` where those of some are given; NaN where there is none."""
    found = dict(given)
    for node in graph.reachable(nodes):
        if node in found:
            continue
        op = graph.op[node]
        if op == "const":
            found[node] = float(graph.data[node])  # type: ignore[arg-type]
        elif op not in EVALUATE:
            found[node] = math.nan
        else:
            found[node] = operation(op, [found[a] for a in graph.args[node]])
    return found
