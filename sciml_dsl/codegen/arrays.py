"""Nodes -> statements of a target that computes whole arrays (numpy, torch).

The counterpart of `blocks`: there is no control flow, so values are written
where they are first needed, each in its context (see `contexts`), and branches
are choices between finished values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..graph.graph import Graph
from ..graph.ops import INPUT, LEAVES
from .blocks import DEEPEST, LONGEST, Body, Names, network_orders
from .contexts import Contexts, Instance, assign
from .printer import BIT_AND, BIT_OR, NEG, Printer, Text, within


class ArrayPrinter(Printer):
    """A printer for a target without control flow; `MASKED` asks for arguments that are
    harmless where a branch is not taken."""

    MASKED = False
    weights = "w"  # the weights of all networks, with the axes that values have

    def leaf(self, kind: str, index: int) -> str:
        array = {"state": "u", "param": "p", "seed": "v"}[kind]
        return f"{array}[..., {index}]"

    def projection(self, call: str, indices: tuple[int, ...], n_in: int) -> str:
        return f"{call}[{len(indices) - 1}][..., {', '.join(str(i) for i in indices)}]"

    def boolean(self, op: str, args: Sequence[Text]) -> Text:
        if op == "not":
            return self._join(f"~{within(args[0], NEG)}", NEG, *args, truth=True)
        sign, level = ("&", BIT_AND) if op == "and" else ("|", BIT_OR)
        code = f"{within(args[0], level)} {sign} {within(args[1], level + 1)}"
        return self._join(code, level, *args, truth=True)

    def mask(self, outer: str | None, cond: Text, side: bool) -> Text:
        """The truth value of a context: `outer` and (`cond` is `side`)."""
        inner = cond if side else self.boolean("not", [cond])
        return inner if outer is None else self.boolean("and", [Text(outer, truth=True), inner])

    def protect(self, op: str, args: Sequence[Text], mask: str) -> list[Text]:
        """The arguments of `op`, replaced by harmless ones where `mask` is false."""
        raise NotImplementedError("this target does not protect branches")


@dataclass
class _Writer:
    graph: Graph
    printer: ArrayPrinter
    names: Names
    contexts: Contexts
    orders: dict[int, int]
    texts: dict[Instance, Text] = field(default_factory=dict)
    masks: dict[int, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    leaves: set[tuple[str, int]] = field(default_factory=set)
    networks: bool = False
    inputs: bool = False

    def below(self, instance: Instance) -> list[Instance]:
        """The values that must exist before this one."""
        node, context = instance
        graph, found = self.graph, self.contexts
        inner = [context] * len(graph.args[node])
        if node in found.split:
            cond = graph.args[node][0]
            inner[1:] = [found.inside(context, cond, True), found.inside(context, cond, False)]
        return [(a, found.where(a, c)) for a, c in zip(graph.args[node], inner, strict=True)]

    def write(self, root: Instance) -> Text:
        stack = [root]
        while stack:
            instance = stack[-1]
            if instance in self.texts:
                stack.pop()
                continue
            missing = [i for i in self.below(instance) if i not in self.texts]
            if instance[1] and instance[1] not in self.masks:
                missing += self.open(instance[1])
            if missing:
                stack.extend(reversed(missing))
                continue
            stack.pop()
            self.texts[instance] = self.value(instance)
        return self.texts[root]

    def open(self, context: int) -> list[Instance]:
        """Write the mask of a context, or say which conditions it waits for."""
        chain = []
        while context and context not in self.masks:
            chain.append(context)
            context = self.contexts.path[context][0]
        conditions = []
        for c in chain:
            parent, cond, _ = self.contexts.path[c]
            conditions.append((cond, self.contexts.where(cond, parent)))
        missing = [i for i in conditions if i not in self.texts]
        if not missing:
            for c, condition in zip(reversed(chain), reversed(conditions), strict=True):
                parent, _, side = self.contexts.path[c]
                truth = self.printer.as_truth(self.texts[condition])
                text = self.printer.mask(self.masks.get(parent), truth, side)
                self.masks[c] = self.name(text, "m")
        return missing

    def name(self, text: Text, stem: str, wanted: str | None = None) -> str:
        if text.depth == 0 and wanted is None:
            return text.code
        name = wanted or self.names.free.fresh(stem)
        self.lines.append(f"{name} = {text.code}")
        return name

    def value(self, instance: Instance) -> Text:
        node, context = instance
        op, data = self.graph.op[node], self.graph.data[node]
        if op in LEAVES:
            return self.leaf(op, data)
        parts = [self.texts[i] for i in self.below(instance)]
        if op == "netcall":
            assert isinstance(data, int)
            self.networks = True
            inputs = [self.printer.as_number(a).code for a in parts]
            call = self.printer.network(self.names.networks[data], data, inputs, self.orders.get(node, 0))
            return Text(self.name(Text(call, depth=1), "n"))
        if op in ("net", "net_jac", "net_hess"):
            assert isinstance(data, tuple)
            n_in = len(self.graph.args[self.graph.args[node][0]])
            text = self.printer.projection(parts[0].code, data, n_in)
            return self.keep(instance, Text(text, depth=1))
        if op == INPUT:
            assert isinstance(data, tuple)
            self.inputs = True
            return self.keep(instance, self.printer.input(data[0], self.printer.as_number(parts[0]), data[1]))
        if op.startswith("net"):
            raise NotImplementedError(f"source targets do not print the operation {op!r}")
        if context:
            parts = self.printer.protect(op, parts, self.masks[context])
        return self.keep(instance, self.printer.apply(op, parts))

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

    def keep(self, instance: Instance, text: Text) -> Text:
        node, context = instance
        wanted = self.names.nodes.get(node)
        if wanted is not None and len(self.contexts.needed[node]) > 1:
            wanted = f"{wanted}_{context}" if context else wanted
            wanted = self.names.free.claim(wanted)
        cheap = self.graph.op[node] == "neg" and text.depth <= 1
        once = self.contexts.uses[instance] == 1 or cheap
        if wanted is None and once and len(text.code) <= LONGEST and text.depth <= DEEPEST:
            return text
        return Text(self.name(text, "v", wanted), truth=text.truth)


def write(graph: Graph, roots: Sequence[int], printer: ArrayPrinter, names: Names) -> Body:
    """The statements that compute `roots`, and their values as expressions."""
    contexts = assign(graph, roots, printer.MASKED)
    writer = _Writer(graph, printer, names, contexts, network_orders(graph, graph.reachable(roots)))
    values = [printer.as_number(writer.write((root, 0))) for root in roots]
    return Body(writer.lines, values, sorted(writer.leaves), writer.networks, writer.inputs)
