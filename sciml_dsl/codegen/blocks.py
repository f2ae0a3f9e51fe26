"""Nodes -> statements of a target with control flow (plain Python, numba, C, Julia).

Nodes used once are written where they are used, shared ones become
temporaries, branches become conditional expressions or `if` blocks.  Lines are
kept short, which also keeps every expression shallow: a sum of ten thousand
terms is many short statements, never one deep tree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..graph.graph import Graph
from ..graph.ops import INPUT, LEAVES, NETWORK_OPS
from .chunks import Unit
from .identifiers import Identifiers
from .printer import Printer, Text
from .regions import Regions, place

LONGEST = 92
DEEPEST = 24


@dataclass
class Names:
    """Identifiers of one function: `leaves` (kind, index) -> local variable, `nodes`
    the named ones (observables), `networks` the function of each network, `free`
    the source of names for temporaries."""

    leaves: Mapping[tuple[str, int], str]
    nodes: Mapping[int, str]
    networks: Sequence[str]
    free: Identifiers


@dataclass
class Body:
    """The inside of a function: statements, the value of each root, the leaves it reads,
    and whether it calls networks or looks up inputs."""

    lines: list[str]
    values: list[Text]
    leaves: list[tuple[str, int]]
    networks: bool = False
    inputs: bool = False
    units: Sequence[Unit] = ()  # the same lines, statement by statement; empty with networks and inputs


class _Assignment(str):
    """The statement that makes a variable, knowing which."""

    target: str
    truth: bool


@dataclass
class _If:
    """`target` becomes `then_value` or `other_value`, after the statements of that side."""

    target: str
    cond: str
    then: list[str | _If]
    then_value: str
    other: list[str | _If]
    other_value: str
    truth: bool = False


@dataclass
class _Writer:
    graph: Graph
    printer: Printer
    names: Names
    regions: Regions
    texts: dict[int, Text] = field(default_factory=dict)
    blocks: dict[int, list[str | _If]] = field(default_factory=dict)
    leaves: set[tuple[str, int]] = field(default_factory=set)
    networks: bool = False
    inputs: bool = False

    def block(self, region: int) -> list[str | _If]:
        return self.blocks.setdefault(region, [])

    def write(self, node: int, orders: Mapping[int, int]) -> None:
        op, args, data = self.graph.op[node], self.graph.args[node], self.graph.data[node]
        if op in LEAVES:
            self.texts[node] = self.leaf(op, data)
        elif op in NETWORK_OPS:
            self.network(node, orders)
        elif op == INPUT:
            assert isinstance(data, tuple)
            self.inputs = True
            self.keep(node, self.printer.input(data[0], self.printer.as_number(self.texts[args[0]]), data[1]))
        elif node in self.regions.arms and any(self.blocks.get(arm) for arm in self.regions.arms[node]):
            self.branch(node)
        else:
            self.keep(node, self.printer.apply(op, [self.texts[a] for a in args]))

    def leaf(self, op: str, data: object) -> Text:
        if op == "const":
            assert isinstance(data, float)
            return self.printer.number(data)
        if op == "t":
            return Text("t")
        if op == "local":
            return data  # type: ignore[return-value]
        assert isinstance(data, int)
        self.leaves.add((op, data))
        return Text(self.names.leaves[op, data])

    def keep(self, node: int, text: Text) -> None:
        """Write the node where it is used, or give it a name."""
        name = self.names.nodes.get(node)
        cheap = self.graph.op[node] == "neg" and self.texts[self.graph.args[node][0]].depth == 0
        once = self.regions.uses[node] == 1 or cheap
        if name is None and once and len(text.code) <= LONGEST and text.depth <= DEEPEST:
            self.texts[node] = text
            return
        name = name or self.names.free.fresh("v")
        code = self.guarded(node, text)
        statement = _Assignment(self.printer.assign(name, code, text.truth))
        statement.target, statement.truth = name, text.truth
        self.block(self.regions.region[node]).append(statement)
        self.texts[node] = Text(name, truth=text.truth)

    def guarded(self, node: int, text: Text) -> str:
        return text.code if self.regions.certain[node] else self.printer.guard(text)

    def branch(self, node: int) -> None:
        """An `if` block for a branch with statements inside its arms."""
        op, args = self.graph.op[node], self.graph.args[node]
        then, other = self.regions.arms[node]
        cond = self.printer.as_truth(self.texts[args[0]])
        name = self.names.nodes.get(node) or self.names.free.fresh("v")
        if op == "select":
            truth = False
            sides = [self.printer.as_number(self.texts[a]) for a in args[1:]]
        else:
            truth = True
            right = self.printer.as_truth(self.texts[args[1]])
            sides = [right, Text(self.printer.FALSE)]
            if op == "or":
                cond = self.printer.boolean("not", [cond])
                sides[1] = Text(self.printer.TRUE)
        first, second = (self.guarded(node, side) for side in sides)
        self.block(self.regions.region[node]).append(
            _If(name, self.guarded(node, cond), self.block(then), first, self.block(other), second, truth)
        )
        self.texts[node] = Text(name, truth=truth)

    def network(self, node: int, orders: Mapping[int, int]) -> None:
        op, args, data = self.graph.op[node], self.graph.args[node], self.graph.data[node]
        if op == "netcall":
            assert isinstance(data, int)
            self.networks = True
            inputs = [self.printer.as_number(self.texts[a]).code for a in args]
            name = self.names.free.fresh("n")
            call = self.printer.network_call(name, self.names.networks[data], data, inputs, orders.get(node, 0))
            self.block(self.regions.region[node]).extend(call)
            self.texts[node] = Text(name)
            return
        if op not in ("net", "net_jac", "net_hess"):
            raise NotImplementedError(f"source targets do not print the operation {op!r}")
        assert isinstance(data, tuple)
        n_in = len(self.graph.args[args[0]])
        self.keep(node, Text(self.printer.projection(self.texts[args[0]].code, data, n_in), depth=1))


def network_orders(graph: Graph, nodes: Sequence[int]) -> dict[int, int]:
    """netcall -> the highest derivative of it that `nodes` read (0 value, 1 Jacobian, 2 Hessian)."""
    orders: dict[int, int] = {}
    for node in nodes:
        if graph.op[node] in ("net_jac", "net_hess"):
            call = graph.args[node][0]
            orders[call] = max(orders.get(call, 0), 1 if graph.op[node] == "net_jac" else 2)
    return orders


def write(graph: Graph, roots: Sequence[int], printer: Printer, names: Names) -> Body:
    """The statements that compute `roots`, and their values as expressions."""
    regions = place(graph, roots)
    writer = _Writer(graph, printer, names, regions)
    orders = network_orders(graph, regions.order)
    for node in regions.order:
        writer.write(node, orders)
    lines: list[str] = []
    units: list[Unit] = []
    for statement in writer.blocks.get(0, []):
        begin = len(lines)
        _lines([statement], 0, lines, printer)
        if isinstance(statement, (_Assignment, _If)):
            units.append(Unit(tuple(lines[begin:]), statement.target, statement.truth))
    if writer.networks or writer.inputs:
        units = []
    values = [printer.as_number(writer.texts[root]) for root in roots]
    return Body(lines, values, sorted(writer.leaves), writer.networks, writer.inputs, units)


def _lines(block: list[str | _If], indent: int, out: list[str], printer: Printer) -> None:
    for statement in block:
        if isinstance(statement, str):
            out.append("    " * indent + statement)
        else:
            out += ["    " * indent + line for line in printer.declare(statement.target, statement.truth)]
            _if_lines(statement, statement.target, indent, out, printer)


def _if_lines(statement: _If, target: str, indent: int, out: list[str], printer: Printer) -> None:
    margin = "    " * indent
    first = True
    while True:
        out.append(margin + printer.branch(statement.cond, first))
        _arm(statement.then, statement.then_value, target, indent + 1, out, printer)
        last = statement.other[0] if len(statement.other) == 1 else None
        if isinstance(last, _If) and last.target == statement.other_value:
            statement, first = last, False
            continue
        out.append(margin + printer.OTHERWISE)
        _arm(statement.other, statement.other_value, target, indent + 1, out, printer)
        if printer.CLOSE is not None:
            out.append(margin + printer.CLOSE)
        return


def _arm(block: list[str | _If], value: str, target: str, indent: int, out: list[str], printer: Printer) -> None:
    last = block[-1] if block else None
    if isinstance(last, _If) and last.target == value:
        _lines(block[:-1], indent, out, printer)
        _if_lines(last, target, indent, out, printer)
        return
    _lines(block, indent, out, printer)
    out.append("    " * indent + printer.put(target, value))
