"""The names of one model, and the check of an expression against them.

Takes what every name is (state, parameter, ...); `Scope.check` walks an
expression, refuses what cannot be meant and says what to write instead.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from ..errors import ModelError, NameModelError, ReservedError, suggest
from ..language.ast import (
    REDUCTIONS,
    Binary,
    Bound,
    Call,
    Expr,
    IfElse,
    Index,
    Name,
    Num,
    Reduce,
    Span,
    Unary,
    children,
    fold,
    names,
    rebuild,
    scalar_part,
)
from ..language.complaint import Complaint
from ..language.names import (
    BUILTINS,
    ELSEWHERE,
    INFINITY,
    MATH_CONSTANTS,
    STIFF,
    TIME,
    is_implicit_network,
    split_primes,
)
from ..language.superscripts import split_superscript
from ..language.syntax import Document
from .arrays import Bounds, Ranges
from .constants import check_finite
from .problems import NOWHERE, Problems
from .spec import Network
from .subscripts import Loops, box, check_inside, check_integer, check_reduction
from .whole_arrays import with_ranges

VALUES = ("state", "parameter", "constant", "observable", "input")
OF_TIME = ("state", "observable", "input")
"""What may be written with its argument, `x(t)`."""
MAX_REDUCTIONS = 16


@dataclass
class Scope:
    """What each name of the model is.

    `kinds`: name -> one of "state", "parameter", "constant", "observable",
    "input", "function", "network".  `functions`: name -> its arguments.  `networks` also
    receives those that are only used (`NN(x, y)`).  `macro`: the text holds an
    @ode_def, whose parameters are listed behind `end`.  `arrays`: those of the
    names that are arrays, with the bounds of each dimension; `constants` are what
    subscripts and ranges are made of.  `loops` becomes True once an expression
    with elements or reductions was seen.  `problems` collects names without a meaning.
    """

    kinds: dict[str, str] = field(default_factory=dict)
    functions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    networks: dict[str, Network] = field(default_factory=dict)
    definitions: dict[str, Expr] = field(default_factory=dict)
    macro: bool = False
    arrays: dict[str, Bounds] = field(default_factory=dict)
    constants: dict[str, float] = field(default_factory=dict)
    loops: bool = False
    problems: Problems = field(default_factory=lambda: Problems(Document((), None)))

    def describe(self, name: str) -> str:
        """`name` in words: "a state", "an observable"."""
        kind = self.kinds[name]
        return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"

    def described(self) -> dict[str, str]:
        """All names in words, and the time."""
        return {TIME: "the time", **{name: self.describe(name) for name in self.kinds}}

    def check(
        self,
        expr: Expr,
        local: Collection[str] = (),
        *,
        networks: bool = True,
        time: bool = True,
        ranges: tuple[Bound, ...] = (),
    ) -> Expr:
        """`expr` with every name and call checked; aliases (`π`, `U(x)[1]` of a scalar) replaced.

        Arguments: `local`, arguments of the function whose body this is;
        `networks` and `time` say whether these may occur; `ranges`, the loops
        around the expression.  Raises `Complaint`; names without a meaning are reported,
        each once, and what else is wrong after them.
        """
        while True:
            try:
                return self._checked(expr, local, networks, time, ranges)
            except Complaint as complaint:
                if not self.problems.without_meaning(complaint):
                    raise

    def _checked(
        self, expr: Expr, local: Collection[str], networks: bool, time: bool, ranges: tuple[Bound, ...]
    ) -> Expr:
        arguments = local
        if self.arrays:
            taken = {*self.kinds, *local, *(bound.name for bound in ranges), *MATH_CONSTANTS, TIME}
            expr = with_ranges(expr, self.arrays, taken)
        if ranges:
            local = {*local, *(bound.name for bound in ranges)}
        changed = computed = False  # computed: some part consists of numbers alone

        def replace(node: Expr, parts: list[Expr]) -> Expr:
            same = all(a is b for a, b in zip(parts, children(node), strict=True))
            node = node if same else rebuild(node, parts)
            if isinstance(node, Name) and node.name == "π" and "π" not in self.kinds and "π" not in local:
                return Num(MATH_CONSTANTS["pi"], node.span) if "pi" in self.kinds else Name("pi", node.span)
            if isinstance(node, Call) and self.kinds.get(node.func) in OF_TIME and node.func not in local:
                return Name(node.func, node.span)
            if isinstance(node, Call) and node.index == 1 and self._outputs(node.func) == 1:
                return Call(node.func, node.args, None, node.span)
            return node

        kinds, arrays = self.kinds, self.arrays
        for node in scalar_part(expr):
            if isinstance(node, Name):
                name = node.name
                changed = changed or name == "π"
                if name not in local and (kinds.get(name) not in VALUES or name in arrays):
                    self._check_name(node, time)
            elif isinstance(node, Num):
                continue
            elif isinstance(node, Index):
                self.check_element(node, ranges, arguments)
            elif isinstance(node, Reduce):
                changed = True
                self._check_reduction(node, arguments, ranges)
                self.check(node.body, arguments, networks=networks, time=time, ranges=ranges + node.ranges)
            elif isinstance(node, Call):
                changed = changed or node.index is not None or self.kinds.get(node.func) in OF_TIME
                self._check_call(node, local, networks)
                if node.func == "ifelse":
                    self._check_condition(node.args[0], local)
                computed = computed or all(self._may_be_constant(arg) for arg in node.args)
            elif isinstance(node, IfElse):
                self._check_condition(node.cond, local)
            elif isinstance(node, Binary):
                alone = self._may_be_constant(node.right)
                computed = computed or (alone and (node.op == "/" or self._may_be_constant(node.left)))
                if node.op in ("and", "or"):
                    self._check_condition(node.left, local)
                    self._check_condition(node.right, local)
            elif isinstance(node, Unary) and node.op == "not":
                self._check_condition(node.arg, local)
        if computed:
            known = self.constants
            if local and self.constants:
                known = {name: value for name, value in known.items() if name not in local}
            check_finite(expr, known, self.shown)
        return fold(expr, replace) if changed else expr

    def _may_be_constant(self, node: Expr) -> bool:
        """The innermost parts made of numbers alone hold nothing else."""
        return isinstance(node, (Num, Unary)) or (isinstance(node, Name) and node.name in self.constants)

    def shown(self, span: Span) -> str:
        """The text at a place."""
        source = self.problems.source
        return source[span.start : span.end] if source and span.end > span.start else "..."

    def _outputs(self, network: str) -> int | None:
        found = self.networks.get(network)
        return None if found is None else found.n_out

    # ------------------------------------------------------------ arrays

    def _ranges(self) -> Ranges:
        return Ranges(self.constants, self.kinds, lambda name: self.describe(name) if name in self.kinds else None)

    def check_element(self, node: Index, ranges: tuple[Bound, ...], local: Collection[str] = ()) -> None:
        """Refuse an element that the array does not have, within the loops `ranges`."""
        self.loops = True
        name, span = node.name, node.span or NOWHERE
        bounds = self.arrays.get(name)
        if bounds is None:
            if name in self.problems.unclear:
                return
            raise self._no_array(node, local)
        if len(node.subscripts) != len(bounds):
            count = len(bounds)
            raise Complaint(
                f"`{name}` has {count} subscript{'' if count == 1 else 's'}, not {len(node.subscripts)}",
                span,
                f"its elements are {box(name, bounds)}",
                NameModelError,
            )
        describe = self._ranges().describe
        for subscript in node.subscripts:
            check_integer(subscript, self.constants, [bound.name for bound in ranges], describe)
        check_inside(node, bounds, Loops(ranges, self.constants))

    def _no_array(self, node: Index, local: Collection[str]) -> Complaint:
        name, span = node.name, node.span or NOWHERE
        if name in local:
            return Complaint(f"`{name}` is an argument, one number", span, f"write {name}", NameModelError)
        kind = self.kinds.get(name)
        if kind in VALUES:
            return Complaint(
                f"`{name}` is {self.describe(name)}, not an array",
                span,
                f"write {name}, or make it an array where it is defined: {_definition(name, str(kind))}",
                NameModelError,
            )
        if kind is not None or name in BUILTINS:
            what = "function" if kind is None else kind
            hint = f"write {name}(...)" + ("[1]" if kind == "network" else "")
            return Complaint(f"`{name}` is a {what}, not an array", span, hint, NameModelError)
        hint = suggest(name, self.arrays) or f"write {name}[i]' = ... for i in 1..N, or param {name}[1..N] = 1"
        return Complaint(f"the array `{name}` is not defined", span, hint, NameModelError, about=name)

    def _check_reduction(self, node: Reduce, local: Collection[str], outer: tuple[Bound, ...]) -> None:
        self.loops = True
        ranges = self._ranges()
        names = [bound.name for bound in outer]
        for bound in node.ranges:
            ranges.check_index(bound, names, tuple(local))
            ranges.ends(bound, names)
            names.append(bound.name)
        if len(names) > MAX_REDUCTIONS:
            raise Complaint(
                f"ranges are nested more than {MAX_REDUCTIONS} deep",
                node.span or NOWHERE,
                "name the inner sums",
                ModelError,
            )
        check_reduction(node, outer, self.constants)

    # ------------------------------------------------------------ names

    def _check_name(self, node: Name, time: bool) -> None:
        name, span = node.name, node.span or NOWHERE
        kind = self.kinds.get(name)
        if name in self.arrays:
            bounds = self.arrays[name]
            index = ", ".join("ijklmnpq"[: len(bounds)])
            raise Complaint(
                f"`{name}` is an array; say which element",
                span,
                f"write {name}[{', '.join(str(first) for first, _ in bounds)}], or sum({name}), which is "
                f"sum({name}[{index}] for {_ranges_written(bounds)})",
                NameModelError,
            )
        if kind in VALUES or (kind is None and name in MATH_CONSTANTS) or name in self.problems.unclear:
            return
        if name == TIME:
            if time:
                return
            raise Complaint(
                "the time `t` cannot be used here", span, "use numbers, parameters and constants", ModelError
            )
        if kind in ("function", "network"):
            args = ", ".join(self.functions.get(name, ("x", "y")))
            raise Complaint(f"`{name}` is a {kind}, not a value", span, f"write {name}({args})", NameModelError)
        if kind is None and name in BUILTINS:
            raise Complaint(
                f"`{name}` is a function, not a value",
                span,
                f"write {name}(...), or declare `param {name} = 1`",
                NameModelError,
            )
        raise self.undefined(name, span)

    def undefined(self, name: str, span: Span) -> Complaint:
        """The complaint about a name that is nothing."""
        base, order = split_primes(name)
        if order:
            if self.kinds.get(base) == "state":
                hint = f"name its right-hand side and use that name: rate = ...; {name} = rate"
                return Complaint(f"`{name}` is no state of this model", span, hint, NameModelError)
            return Complaint(
                f"`{name}` is not defined", span, f"write {name}' = ... to make it a state", NameModelError, about=name
            )
        if name in INFINITY:
            return Complaint(
                "an infinite number has no place in an equation",
                span,
                "infinity stands in bounds: in [0, inf]",
                ModelError,
            )
        for written in (f"d{name}dt", f"d{name}"):
            if self.kinds.get(written) == "observable":
                hint = f"you defined `{written}`; write d{name}/dt = ... (or {name}' = ...) to make {name} a state"
                return Complaint(f"`{name}` is not defined", span, hint, NameModelError, about=name)
        close = suggest(name, [*(n for n, kind in self.kinds.items() if kind in VALUES), TIME, "pi"])
        declare = f"write `param {name} = 1`"
        if self.macro:
            declare = f"list it behind `end`, or {declare}"
        product = self._product(name)
        close = f"write {product} for a product;" if product is not None else close
        hint = f"{close[:-1]}; otherwise {declare}" if close else declare
        return Complaint(f"`{name}` is not defined", span, hint, NameModelError, about=name)

    def _product(self, name: str) -> str | None:
        """`k*A^2` where a name is two known names written together, `kA²`."""
        base, power = split_superscript(name)
        for cut in range(1, len(base)):
            left, right = base[:cut], base[cut:]
            if all(self.kinds.get(part) in VALUES and part not in self.arrays for part in (left, right)):
                return f"{left}*{right}" + ("" if power is None else f"^{power}" if power >= 0 else f"^({power})")
        return None

    # ------------------------------------------------------------ calls

    def _check_call(self, node: Call, local: Collection[str], networks: bool) -> None:
        name, span, count = node.func, node.span or NOWHERE, len(node.args)
        if name == STIFF or (name in self.problems.unclear and name not in BUILTINS):
            return
        if name in REDUCTIONS and count == 1 and names(node.args[0]) & self.problems.unclear:
            return  # of an array about which there is a complaint
        if name in self.functions:
            args = self.functions[name]
            self._no_index(node)
            if count != len(args):
                raise Complaint(
                    _arity(name, str(len(args)), count), span, f"write {name}({', '.join(args)})", NameModelError
                )
        elif name in self.networks or is_implicit_network(name):
            if name in self.kinds and self.kinds[name] != "network":
                raise self._not_a_function(node, local)
            if not networks:
                raise Complaint(
                    f"the network `{name}` cannot be used here",
                    span,
                    "networks stand in equations and observables",
                    ModelError,
                )
            self._check_network(node)
        elif name in BUILTINS:
            self._no_index(node)
            least, most, _ = BUILTINS[name]
            if count < least or (most is not None and count > most):
                wanted = str(least) if most == least else f"at least {least}"
                raise Complaint(_arity(name, wanted, count), span, None, NameModelError)
        elif self.kinds.get(name) in OF_TIME and not {name, TIME} & {*local} and node.args == (Name(TIME),):
            self._no_index(node)
        elif name in local or name in self.kinds or name == TIME:
            raise self._not_a_function(node, local)
        else:
            raise self._unknown_function(node)

    def _check_network(self, node: Call) -> None:
        name, span = node.func, node.span or NOWHERE
        if not node.args:
            raise Complaint(f"the network `{name}` needs inputs", span, f"write {name}(x, y)", NameModelError)
        if name not in self.networks:
            self.networks[name] = Network(name, len(node.args))
            self.kinds[name] = "network"
        net = self.networks[name]
        if len(node.args) != net.n_in:
            where = "declared with" if net.declared else "first used with"
            raise Complaint(
                f"the network `{name}` is called with {len(node.args)} inputs but {where} {net.n_in}",
                span,
                "one name is one network; give another network another name",
                NameModelError,
            )
        if net.n_out > 1 and node.index is None:
            raise Complaint(
                f"the network `{name}` has {net.n_out} outputs; say which one",
                span,
                f"write {name}(...)[1], or unpack them: {', '.join('pqrsuvw'[: min(net.n_out, 7)])} = {name}(...)",
                NameModelError,
            )
        if node.index is not None and node.index > net.n_out:
            hint = f"write {name}(...)[1] to {name}(...)[{net.n_out}]" if net.n_out > 1 else None
            if not net.declared:
                inputs = ", ".join(f"x{i + 1}" for i in range(net.n_in))
                hint = f"declare its outputs: neural {name}({inputs}) -> {node.index}"
            outputs = f"{net.n_out} output" + ("s" if net.n_out > 1 else "")
            raise Complaint(f"the network `{name}` has {outputs}, not {node.index}", span, hint, NameModelError)

    def _no_index(self, node: Call) -> None:
        if node.index is not None:
            raise Complaint(
                f"`{node.func}` has a single value", node.span or NOWHERE, "leave the `[...]` out", NameModelError
            )

    def _not_a_function(self, node: Call, local: Collection[str]) -> Complaint:
        name, span = node.func, node.span or NOWHERE
        if name in local:
            return Complaint(f"`{name}` is an argument, not a function", span, f"write {name}*(...)", NameModelError)
        if name == TIME:
            return Complaint("`t` is the time, not a function", span, "write t*(...)", NameModelError)
        kind = self.kinds[name]
        if kind == "input" and len(node.args) == 1:
            return Complaint(
                f"the input `{name}` is taken at the time t only",
                span,
                f"write {name} or {name}(t); for a delayed input shift the times of its table",
                ReservedError,
            )
        if kind in ("state", "observable") and len(node.args) == 1:
            arg = node.args[0]
            if TIME in names(arg):
                return Complaint(
                    f"delays such as `{name}(t - τ)` are not built yet",
                    span,
                    f"replace the delay by a chain of states, x1' = ({name} - x1)/τ",
                    ReservedError,
                )
            if isinstance(arg, Num) and arg.value == 0.0:
                return Complaint(
                    f"the initial value `{name}(0)` cannot be used as a value",
                    span,
                    f"name it: param {name}0 = 1; {name}(0) = {name}0",
                    NameModelError,
                )
        return Complaint(
            f"`{name}` is {self.describe(name)}, not a function",
            span,
            f"write {name}*(...) for a product",
            NameModelError,
        )

    def _unknown_function(self, node: Call) -> Complaint:
        name, span = node.func, node.span or NOWHERE
        hint: str | None
        if "'" in name:
            base = split_primes(name)[0]
            return Complaint(f"`{name}(...)` is not a value", span, f"write {base}", NameModelError)
        if name in REDUCTIONS:
            message = f"`{name}` gathers a range or a whole array, and there is none here"
            hint = f"write {name}(u[i] for i in 1..N), or {name}(u) of an array u"
            return Complaint(message, span, hint, NameModelError)
        if name in ELSEWHERE:
            hint = f"write {ELSEWHERE[name]}"
        else:
            hint = suggest(name, [*self.functions, *self.networks, *BUILTINS])
            args = ", ".join("abcdefgh"[: max(1, min(len(node.args), 8))])
            define = f"define it, {name}({args}) = ..., or declare a network, neural {name}({args}) -> 1"
            hint = f"{hint[:-1]}; otherwise {define}" if hint else define
        return Complaint(f"`{name}` is not a function", span, hint, NameModelError, about=name)

    # ------------------------------------------------------------ conditions

    def _check_condition(self, node: Expr, local: Collection[str]) -> None:
        if self.is_condition(node, local):
            return
        raise Complaint(
            "a condition is needed here, and this is a number",
            node.span or NOWHERE,
            "compare it: x > 0",
            ModelError,
        )

    def is_condition(self, node: Expr, local: Collection[str] = ()) -> bool:
        """Whether `node` is true or false: comparisons, `and`, `or`, `not`, and names and functions of them."""
        seen: set[str] = set()
        while True:
            if isinstance(node, Binary):
                return node.op not in ("+", "-", "*", "/", "^")
            if isinstance(node, Unary):
                return node.op == "not"
            if isinstance(node, IfElse):
                node = node.then
            elif isinstance(node, Call):
                return node.func in self.functions or (node.func == "ifelse" and len(node.args) == 3)
            elif isinstance(node, (Name, Index)) and node.name in self.definitions and node.name not in seen:
                seen.add(node.name)
                node = self.definitions[node.name]
            else:
                return isinstance(node, Name) and node.name in local


def _definition(name: str, kind: str) -> str:
    return {
        "state": f"{name}[i]' = ... for i in 1..N",
        "parameter": f"param {name}[1..N] = 1",
        "constant": f"param {name}[1..N] = 1",
    }.get(kind, f"{name}[i] = ... for i in 1..N")


def _ranges_written(bounds: Bounds) -> str:
    pairs = zip("ijklmnpq", bounds, strict=False)
    return ", ".join(f"{index} in {first}..{last}" for index, (first, last) in pairs)


def _arity(name: str, wanted: str, count: int) -> str:
    return f"`{name}` takes {wanted} argument{'' if wanted == '1' else 's'}, not {count}"
