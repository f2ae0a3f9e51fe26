"""The parser's loop: tokens and lark's LALR tables -> what the reductions build.

lark makes the tables from the one grammar; this loop runs them.  It differs
from lark's own in one thing.  Between a name and a sum lie ten levels of
precedence, each a rule such as `?sum: product` that changes nothing.  Where such
a chain leads depends only on the state below it and the next token, so it is
walked once and remembered, which makes parsing several times faster.
Errors stay lark's business: `UnexpectedAt` says at which token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .tokens import Token

Reduction = tuple[int, str, Callable[[list[Any]], Any] | None]
"""Number of symbols on the right, the symbol on the left, and what to call (None: a chain rule)."""


class UnexpectedAt(Exception):
    """Raised where the token `index` (the number of tokens: the end) cannot follow those before it."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


class Driver:
    """The tables of one parser, ready to run.  Threads may share it: what it learns is only added."""

    def __init__(self, lark: Any) -> None:
        from lark.parsers.lalr_analysis import Shift

        conf = lark.parse_interactive().parser_state.parse_conf
        made: dict[Any, Reduction] = {}
        self.first = conf.start_state
        self.last = conf.end_state
        self.shifts: dict[Any, dict[str, Any]] = {}
        self.reductions: dict[Any, dict[str, Reduction]] = {}
        self.actions: dict[Any, dict[str, Any]] = {}  # both in one: a state, or a reduction
        for state, row in conf.states.items():
            shifts = self.shifts[state] = {}
            reductions = self.reductions[state] = {}
            for symbol, (action, target) in row.items():
                if action is Shift:
                    shifts[symbol] = target
                else:
                    if target not in made:
                        made[target] = _reduction(target, conf.callbacks)
                    reductions[symbol] = made[target]
            self.actions[state] = shifts | reductions
        self.jumps: dict[tuple[Any, str, str], Any] = {}

    def run(self, tokens: Sequence[Token]) -> Any:
        """What the reduction to the start symbol built.  Raises `UnexpectedAt`."""
        actions, jumps = self.actions, self.jumps
        state = self.first
        states: list[Any] = [state]
        values: list[Any] = []
        push_state, push_value = states.append, values.append
        for index, token in enumerate(tokens):
            kind = token.type
            while True:
                found = actions[state].get(kind)
                if type(found) is not tuple:
                    if found is None:
                        raise UnexpectedAt(index)
                    state = found
                    push_state(state)
                    push_value(token)
                    break
                size, symbol, build = found
                if size == 1:
                    del states[-1]
                    if build is not None:
                        values[-1] = build([values[-1]])
                elif size:
                    children = values[-size:]
                    del states[-size:]
                    del values[-size:]
                    push_value(build(children))  # type: ignore[misc]
                else:
                    push_value(build([]))  # type: ignore[misc]
                below = states[-1]
                key = (below, symbol, kind)
                state = jumps.get(key)
                if state is None:
                    state = jumps[key] = self._jump(below, symbol, kind)
                push_state(state)
        return self._finish(states, values, len(tokens))

    def _jump(self, below: Any, symbol: str, kind: str) -> Any:
        """The state above `below` once `symbol` stands there and all chain rules before `kind` are done."""
        state = self.shifts[below][symbol]
        while True:
            found = self.reductions[state].get(kind)
            if found is None or found[2] is not None:
                return state
            state = self.shifts[below][found[1]]

    def _finish(self, states: list[Any], values: list[Any], index: int) -> Any:
        while True:
            found = self.reductions[states[-1]].get("$END")
            if found is None:
                raise UnexpectedAt(index)
            size, symbol, build = found
            children = values[len(values) - size :]
            del states[len(states) - size :]
            del values[len(values) - size :]
            values.append(children[0] if build is None else build(children))
            states.append(self.shifts[states[-1]][symbol])
            if states[-1] == self.last:
                return values[-1]


def _reduction(rule: Any, callbacks: Any) -> Reduction:
    """A rule of lark's; chain rules are those that hand their only symbol on unchanged."""
    chain = rule.options.expand1 and rule.alias is None and len(rule.expansion) == 1 and not rule.expansion[0].is_term
    return len(rule.expansion), rule.origin.name, None if chain else callbacks[rule]
