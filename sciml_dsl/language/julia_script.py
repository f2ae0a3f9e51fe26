"""Scripts in Julia with an @ode_def in them, pasted whole.

Takes a text that could not be read; says which of its lines belong to Julia and
not to the model.
"""

from __future__ import annotations

import re

from .ast import Span
from .complaint import Complaint

_MACRO = re.compile(r"^[^\n#]*@ode_def", re.MULTILINE)
_END = re.compile(r"^[^\S\n]*end\b[^\n]*", re.MULTILINE)
_JULIA = re.compile(
    r"^[^\S\n]*(?:(?:using|import)\s+\w[^\n]*"
    r"|\w+\s*=\s*(?:ODEProblem|solve|remake|EnsembleProblem)\s*\([^\n]*"
    r"|(?:u0|u₀|tspan|p)\s*=\s*[\[(][^\n]*"
    r"|(?:plot|scatter|savefig|display|println|@time|@btime)\b[^\n]*)",
    re.MULTILINE,
)


def around_macro(text: str) -> Complaint | None:
    """The complaint about the first line outside of an @ode_def that is Julia; None where there is none."""
    macro = _MACRO.search(text)
    end = macro and _END.search(text, macro.end())
    if macro is None or end is None:
        return None
    for line in _JULIA.finditer(text):
        if macro.start() <= line.start() < end.end():
            continue
        start = line.start() + len(line.group()) - len(line.group().lstrip())
        last = " ".join(end.group().split())
        return Complaint(
            "this line is Julia around the model, not a part of it",
            Span(start, line.end()),
            f"copy only from `@ode_def` to `{last}`; initial values and times go to m.solve((0, 10), u0=[...])",
        )
    return None
