"""Results for eyes and for machines: rich tables, markdown, JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from contest import OURS, Outcome, Row, Verdict, fastest, seconds_of

HEAD = ("library", "what", "median", "quartiles", "error", "times ours")


def duration(seconds: float) -> str:
    """Seconds in a readable unit.

    >>> duration(4.7e-5)
    '47.0 µs'
    """
    if not math.isfinite(seconds):
        return ""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= 0.9995 * size:
            return f"{seconds / size:.0f} {unit}" if seconds / size >= 100 else f"{seconds / size:.1f} {unit}"
    return f"{seconds / 1e-9:.0f} ns"


def ratio(value: float) -> str:
    """A ratio, short."""
    if not math.isfinite(value):
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def cells(row: Row, ours: Row | None) -> tuple[str, ...]:
    """The cells of one row of a table."""
    if row.timing is None:
        return (row.library, row.what, row.note, "", "", "")
    timing = row.timing
    spread = f"{duration(timing.low)} … {duration(timing.high)} ({timing.samples})"
    what = row.what
    if math.isfinite(row.kernel):
        what += f" (compiled part {duration(row.kernel)})"
    if row.note:
        what += f" ({row.note})"
    error = f"{row.error:.1e}" if math.isfinite(row.error) else ""
    times = ratio(seconds_of(row) / seconds_of(ours)) if ours else ""
    return (row.library, what, duration(timing.median), spread, error, times)


def verdict_cells(verdict: Verdict) -> tuple[str, ...]:
    """The cells of one target."""
    timed = not math.isnan(verdict.target.seconds)
    measured = duration(verdict.measured) if timed else ratio(verdict.measured)
    reached = {True: "reached", False: "NOT REACHED", None: "not measured"}[verdict.reached]
    return (verdict.target.text, measured or "-", reached, verdict.how)


def show(outcome: Outcome, console: Console) -> None:
    """Print a case as tables."""
    ours = fastest([row for row in outcome.rows if row.library == OURS and row.main])
    table = Table(title=outcome.title, caption=outcome.settings, title_justify="left", caption_justify="left")
    for index, head in enumerate(HEAD):
        width = 34 if head == "what" else None
        table.add_column(head, justify="right" if index > 1 else "left", overflow="fold", min_width=width)
    for row in outcome.rows:
        style = "bold" if row.library == OURS else "red" if row.failed else ""
        table.add_row(*(escape(cell) for cell in cells(row, ours)), style=style)
    console.print(table)
    for verdict in outcome.verdicts:
        text, measured, reached, how = verdict_cells(verdict)
        colour = {True: "green", False: "red", None: "yellow"}[verdict.reached]
        console.print(f"  target {text}: [bold]{measured}[/bold]  [{colour}]{reached}[/{colour}]  {escape(how)}")
    for note in outcome.notes:
        console.print(f"  {note}", style="dim", markup=False, highlight=False)
    console.print()


def markdown(outcomes: Sequence[Outcome], machine: Mapping[str, Any]) -> str:
    """All cases as markdown."""
    lines = ["# Benchmark results", "", *(f"- {key}: {value}" for key, value in machine.items()), ""]
    for outcome in outcomes:
        ours = fastest([row for row in outcome.rows if row.library == OURS and row.main])
        lines += [f"## {outcome.title}", "", outcome.settings, ""]
        lines += ["| " + " | ".join(HEAD) + " |", "|---|---|--:|--:|--:|--:|"]
        lines += ["| " + " | ".join(cells(row, ours)) + " |" for row in outcome.rows]
        lines.append("")
        if outcome.verdicts:
            lines += ["| target | measured | | how |", "|---|--:|---|---|"]
            lines += ["| " + " | ".join(verdict_cells(v)) + " |" for v in outcome.verdicts]
            lines.append("")
        lines += [f"{note}\n" for note in outcome.notes]
    return "\n".join(lines) + "\n"


def as_data(outcomes: Sequence[Outcome], machine: Mapping[str, Any]) -> dict[str, Any]:
    """All cases as plain data; numbers that do not exist are None."""
    cases = []
    for outcome in outcomes:
        rows = []
        for row in outcome.rows:
            data = asdict(row) | {"tags": sorted(row.tags)}
            rows.append({key: _number(value) for key, value in data.items()})
        verdicts = [
            {"target": v.target.text, "measured": _number(v.measured), "reached": v.reached, "how": v.how}
            for v in outcome.verdicts
        ]
        cases.append(
            {"name": outcome.name, "title": outcome.title, "settings": outcome.settings, "rows": rows,
             "targets": verdicts, "notes": list(outcome.notes)}
        )  # fmt: skip
    return {"machine": dict(machine), "cases": cases}


def write(
    outcomes: Sequence[Outcome], machine: Mapping[str, Any], folder: Path, stem: str = "latest"
) -> tuple[Path, Path]:
    """Write `{stem}.json` and `{stem}.md` into `folder`; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for name, text in (
        (f"{stem}.json", json.dumps(as_data(outcomes, machine), indent=1, ensure_ascii=False) + "\n"),
        (f"{stem}.md", markdown(outcomes, machine)),
    ):
        part = folder / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        found.append(part.replace(folder / name))
    return found[0], found[1]


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
