"""The results as tables and figures: one table for each problem, the ranking, and work-precision plots."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from report import duration
from suite.contenders import CVODE, OURS
from suite.curve import Point, Standing, ratio, standing
from suite.problem import problems

Results = Mapping[str, Mapping[str, dict[str, Any]]]

SMALL = 20
"""States up to which the target against CVODE holds."""
COLOURS = ("#D55E00", "#0072B2", "#56B4E9", "#009E73", "#000000", "#CC79A7", "#E69F00", "#999999", "#7F5F00")


def points(result: Mapping[str, Any]) -> list[Point]:
    """Everything a library measured on a problem as (error, seconds)."""
    return [(error, seconds) for way in result["ways"] for _, error, seconds in way["points"]]


def standings(results: Results) -> dict[str, Standing]:
    """The standing on each problem, of the libraries that measured something."""
    return {name: standing({lib: points(found) for lib, found in row.items()}) for name, row in results.items()}


def label(results: Results, library: str) -> str:
    """How a library is called in tables."""
    return next((str(row[library]["label"]) for row in results.values() if library in row), library)


def _at(seconds: float) -> str:
    return duration(seconds) if math.isfinite(seconds) else "-"


def problem_table(results: Results, name: str, table: Standing) -> list[str]:
    """One problem as markdown."""
    problem, row = problems()[name], results[name]
    lines = [
        f"## {problem.title}",
        "",
        f"{problem.n} states, t = 0 .. {problem.t1:g}, atol = {problem.floor:g} rtol; {problem.citation}; "
        f"reference trusted to {problem.uncertainty:.0e}.",
        "",
    ]
    heads = [f"{error:.0e}" for error in table.errors]
    lines += ["| library | " + " | ".join(heads) + " | times the best |", "|---|" + "--:|" * (len(heads) + 1)]
    order = [*table.order, *(lib for lib in row if lib not in table.seconds)]
    for library in order:
        if library in table.seconds:
            cells = [_at(seconds) for seconds in table.seconds[library]]
            score = table.score(library)
            lines.append(f"| {row[library]['label']} | " + " | ".join(cells) + f" | {score:.3g} |")
        else:
            notes = row[library]["note"] or "; ".join(n for way in row[library]["ways"] for n in way["notes"][:1])
            lines.append(f"| {row[library]['label']} | {notes or 'no result'}" + " |" * (len(heads) + 1))
    lines.append("")
    used = [way for way in row.get(OURS, {"ways": []})["ways"] if way["points"]]
    if used:
        each = []
        for way in used:
            tol, error, seconds = min(way["points"], key=lambda point: abs(math.log10(max(point[1], 1e-16)) + 7.0))
            each.append(f"{way['what']} {duration(seconds)} (error {error:.0e} at rtol {tol:.0e})")
        lines += ["Ours, each near an error of 1e-7: " + "; ".join(each) + ".", ""]
    return lines


def ranking(results: Results, tables: Mapping[str, Standing]) -> list[str]:
    """Who is first where, how far ours is from the best, and the targets."""
    names = [name for name in results if OURS in tables[name].seconds]
    lines = ["## Ranking", "", "| problem | first | ours: times the best, worst | over the best CVODE, least |",
             "|---|---|--:|--:|"]  # fmt: skip
    first, worst, least = 0, 0.0, math.inf
    for name in names:
        table = tables[name]
        slow = max(table.slowdown(OURS), default=math.inf)  # no error of the range was reached
        over = ratio(table, OURS, CVODE)
        first += table.order[0] == OURS
        worst = max(worst, slow)
        if problems()[name].n <= SMALL and over:
            least = min(least, min(over))
        best = results[name][table.order[0]]["label"]
        shown = f"{min(over):.2f}" if over and math.isfinite(min(over)) else "-"
        lines.append(f"| {problems()[name].title} | {best} | {slow:.2f} | {shown} |")
    lines += [
        "",
        f"- First at {first} of {len(names)} (target: 10 of 15), by the geometric mean over the errors.",
        f"- Never worse than {worst:.2f} times the best at any error from 1e-4 to 1e-10 (target: 1.5).",
    ]
    if math.isfinite(least):
        lines.append(f"- At up to {SMALL} states at least {least:.2f} times the best CVODE (target: 3).")
    return [*lines, ""]


def markdown(results: Results, machine: Mapping[str, Any]) -> str:
    """Everything as one page."""
    tables = standings(results)
    lines = ["# Work against achieved error", "", *(f"- {key}: {value}" for key, value in machine.items()), ""]
    lines += [
        "Seconds of a whole call at equal achieved error (largest |u - reference| / (floor + |reference|) at the end), "
        "interpolated between tolerances 1e-3 .. 1e-13; each library by its best way at each error.",
        "",
    ]
    lines += ranking(results, tables)
    for name in results:
        lines += problem_table(results, name, tables[name])
    return "\n".join(lines) + "\n"


def figure(results: Results, path: Path) -> None:
    """Time against achieved error, a panel for each problem; every way a thin line, each library's edge a thick one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from suite.curve import edge

    libraries = list(dict.fromkeys(lib for row in results.values() for lib in row))
    colours = dict(zip(libraries, COLOURS, strict=False))
    across = min(5, len(results))
    down = -(-len(results) // across)
    drawing = Figure(figsize=(3.6 * across, 3.1 * down + 0.6), layout="constrained")
    FigureCanvasAgg(drawing)
    panels = drawing.subplots(down, across, squeeze=False).ravel()
    for panel, (name, row) in zip(panels, results.items(), strict=False):
        for library, found in row.items():
            for way in found["ways"]:
                if way["points"]:
                    panel.plot(
                        [max(p[1], 1e-16) for p in way["points"]], [p[2] for p in way["points"]],
                        color=colours[library], linewidth=0.6, alpha=0.35,
                    )  # fmt: skip
            curve = edge(points(found))
            if curve:
                panel.plot(
                    [max(p[0], 1e-16) for p in curve], [p[1] for p in curve], "o-", markersize=2.5,
                    color=colours[library], linewidth=2.2 if library == OURS else 1.2, label=found["label"],
                )  # fmt: skip
        panel.set(xscale="log", yscale="log", title=problems()[name].title, xlabel="achieved error")
        panel.set_xlim(1e-2, 1e-13)
        panel.grid(alpha=0.25)
    for panel in panels[len(results) :]:
        panel.set_visible(False)
    panels[0].set_ylabel("seconds")
    handles = {t: h for panel in panels for h, t in zip(*panel.get_legend_handles_labels(), strict=True)}
    drawing.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=5, fontsize="small")
    drawing.savefig(path, dpi=130)


def write(results: Results, machine: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write `solve.md`, `solve.json` and, with matplotlib, `work_precision.png` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    text, data = folder / "solve.md", folder / "solve.json"
    text.write_text(markdown(results, machine), encoding="utf-8")
    data.write_text(json.dumps({"machine": dict(machine), "results": results}, indent=1) + "\n", encoding="utf-8")
    written = [text, data]
    try:
        figure(results, folder / "work_precision.png")
    except ImportError:
        return written
    return [*written, folder / "work_precision.png"]
