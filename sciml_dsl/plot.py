"""Every figure: of a solution, of an ensemble, of a fit, of a discovery.

Each function takes a result, reads only the attributes its docstring names,
and gives a matplotlib `Figure`; with `path` it also writes it, whole or not at
all.  matplotlib is imported when the first figure is drawn.  Without pyplot in
use (a script, the command line, no display) figures are drawn off screen.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .files import check_output, write_with
from .fit.table import TIME, Measurements

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .model.spec import Array

# Okabe and Ito's eight colours, distinct also to colour-blind readers (jfly.uni-koeln.de/color, 2002), black last.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")

_FINE = 600  # points of a smooth curve
_LINES = 8  # elements of an array drawn as lines
_PANELS = 12  # states of an ensemble drawn unless names are given
_STYLE: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "font.size": 10.0,
    "axes.titlesize": 10.5,
    "figure.dpi": 110.0,
    "savefig.dpi": 160.0,
}


def solution(
    sol: Any, names: Sequence[str] | str | None = None, ax: Axes | None = None, path: str | Path | None = None
) -> Figure:
    """Draw the states of a solution against time, or what `names` says.

    States of similar size share one panel, others get their own; time is drawn
    logarithmically where the solver's steps are spread over many decades.  Arrays of
    more than 8 elements are pictures: time by subscript, and with two dimensions the
    last moment.

    Arguments:
        sol: what `solve` gives: `t` (T,), `u` (T, n), `states` (n names), `arrays`, and
            `sol(t)`, which interpolates.
        names: states and observables to draw; default: all states.
        ax: axes to draw into instead of a new figure.
        path: where to write the figure as well (png, pdf or svg by its suffix).

    Returns:
        The figure.

    Raises:
        InputError: matplotlib is not installed, or `path` cannot be written.

    Example:
        >>> import sciml_dsl as sd
        >>> sol = sd.model("x' = -x; x(0) = 1").solve((0, 5))
        >>> figure = solution(sol)
    """
    _require_matplotlib()
    t, u = _smooth(sol)
    shown = tuple(sol.states) if names is None else (names,) if isinstance(names, str) else tuple(names)
    if names is not None:
        for name in shown:
            if sol[name].ndim > 1:
                raise InputError(f"`{name}` is an array; draw single elements, {name}[1], or all states without names")
        same = t.size == sol.t.size and np.array_equal(t, sol.t)
        u = np.stack([np.asarray(sol[name] if same else sol(t, name), dtype=float) for name in shown], axis=1)
    logarithmic = _spread_over_decades(np.asarray(sol.t))
    if logarithmic:
        t, u = t[t > 0], u[t > 0]
    kept = getattr(sol, "arrays", ()) if names is None and ax is None else ()
    arrays = [a for a in kept if a.kind == "state" and a.size > _LINES]
    pictured = {k for a in arrays for k in range(a.start, a.start + a.size)}
    lines = [i for i in range(len(shown)) if i not in pictured]
    groups = [lines] if ax is not None else [[lines[k] for k in group] for group in _by_size(u[:, lines])]
    with _style():
        if ax is None:
            count = len(groups) + len(arrays)
            figure = _figure((7.0, 1.2 + 2.6 * count))
            shared = not any(len(a.bounds) > 1 for a in arrays)
            axes = list(figure.subplots(count, 1, sharex=shared, squeeze=False)[:, 0])
            for panel, array in zip(axes[len(groups) :], arrays, strict=True):
                _picture(panel, array, t, u[:, array.elements].reshape(-1, *array.shape))
        else:
            figure = _figure_of(ax)
            axes = [ax]
        for panel, group in zip(axes, groups, strict=False):
            for i in group:
                panel.plot(t, u[:, i], color=_colour(i), label=shown[i])
            if logarithmic:
                panel.set_xscale("log")
            panel.legend(ncols=1 + (len(group) - 1) // 8, fontsize="small")
        (axes[-1] if not arrays or shared else axes[max(len(groups) - 1, 0)]).set_xlabel("t")
        return _finish(figure, path)


def _picture(panel: Axes, array: Array, t: NDArray[np.float64], values: NDArray[np.float64]) -> None:
    """The elements (T, *shape) of an array in colour."""
    first, *others = ([low - 0.5, high + 0.5] for low, high in array.bounds)
    if not others:
        low, high = array.bounds[0]
        mesh: Any = panel.pcolormesh(t, np.arange(low, high + 1), values.T, shading="nearest")
        panel.set_ylabel("subscript")
        panel.set_title(array.name)
    else:
        last = values[-1]
        while last.ndim > 2:  # the middle of further dimensions
            last = last[..., last.shape[-1] // 2]
        edges = (others[0][0], others[0][1], first[1], first[0])
        mesh = panel.imshow(last, extent=edges, aspect="auto", interpolation="nearest")
        panel.set_title(f"{array.name} at t = {t[-1]:g}")
        panel.grid(False)
    panel.figure.colorbar(mesh, ax=panel)


def ensemble(
    sol: Any,
    names: Sequence[str] | str | None = None,
    levels: Sequence[float] = (0.5, 0.9),
    path: str | Path | None = None,
) -> Figure:
    """Draw the spread of an ensemble over time as a fan: the median, and bands that hold most trajectories.

    Arguments:
        sol: what `Ensemble.solve` gives: `t` (T,), `states`, and `sol[name]` (B, T) with NaN
            after a trajectory's early end.
        names: states and observables to draw, one panel for each; default: all states, at most 12.
        levels: shares of the trajectories inside the bands, between 0 and 1.
        path: where to write the figure as well (png, pdf or svg by its suffix).

    Returns:
        The figure.

    Raises:
        InputError: matplotlib is not installed, a level is no share, or `path` cannot be written.
        UnknownNameError: a name is neither state nor observable.

    Example:
        >>> import sciml_dsl as sd
        >>> m = sd.model("x' = -k*x; x(0) = 1; param k = 1")
        >>> figure = ensemble(m.ensemble(p={"k": [0.5, 1.0, 1.5]}).solve((0, 5)))
    """
    _require_matplotlib()
    shares = sorted((float(level) for level in levels), reverse=True)
    if not all(0.0 < share < 1.0 for share in shares):
        raise InputError(f"levels are shares of the trajectories between 0 and 1, got {list(levels)}")
    wanted = [names] if isinstance(names, str) else list(names or sol.states[:_PANELS])
    t, values = np.asarray(sol.t, dtype=float), [sol[name] for name in wanted]
    across = min(len(wanted), 2 if len(wanted) < 5 else 3)
    down = -(-len(wanted) // across)
    with _style():
        figure = _figure((1.0 + 4.2 * across, 0.8 + 2.6 * down))
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for panel, (i, name) in zip(panels, enumerate(wanted), strict=False):
            alive = ~np.isnan(values[i]).all(axis=0)
            if not alive.any():
                panel.set_title(f"{name}: no trajectory reached an output time")
                continue
            at, drawn = t[alive], values[i][:, alive]
            for k, share in enumerate(shares):
                low, high = np.nanquantile(drawn, (0.5 - share / 2, 0.5 + share / 2), axis=0)
                panel.fill_between(
                    at, low, high, color=_colour(i), alpha=0.18 + 0.14 * k, linewidth=0, label=f"{share:.0%}"
                )
            panel.plot(at, np.nanmedian(drawn, axis=0), color=_colour(i), label="median")
            panel.set_title(name)
            panel.set_xlabel("t")
            if _spread_over_decades(t):
                panel.set_xscale("log")
        for panel in panels[len(wanted) :]:
            panel.set_visible(False)
        labelled = [panel for panel in panels[: len(wanted)] if panel.get_legend_handles_labels()[1]]
        for panel in labelled[:1]:
            panel.legend(fontsize="small")
        return _finish(figure, path)


def fit(result: Any, path: str | Path | None = None) -> Figure:
    """Draw measurements as points and the fitted model as lines, one panel for each column.

    Arguments:
        result: what `fit` gives: `data`, a sequence of tables (one for each experiment,
            `Measurements` or a DataFrame with a column `t`), and `solutions`, as many
            `Solution`s (`t`, and `solution[name]` for each column) on grids fine enough
            to draw.
        path: where to write the figure as well.

    Returns:
        The figure.

    Raises:
        InputError: matplotlib is not installed, or `path` cannot be written.

    Example:
        >>> import sciml_dsl as sd
        >>> m = sd.model("x' = -k*x; x(0) = 1; param k = 1 in [0, 9]")
        >>> figure = fit(m.fit({"t": [0, 1, 2], "x": [1.0, 0.61, 0.37]}))
    """
    _require_matplotlib()
    data, solutions = _tables(result.data), _sequence(result.solutions)
    columns = _columns(data)
    across = min(len(columns), 2 if len(columns) < 5 else 3)
    down = -(-len(columns) // across)
    with _style():
        figure = _figure((1.0 + 4.2 * across, 0.8 + 2.6 * down))
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for panel, (i, name) in zip(panels, enumerate(columns), strict=False):
            _data_and_model(panel, name, _colour(i), data, solutions)
            panel.set_title(name)
            panel.set_xlabel("t")
        for panel in panels[len(columns) :]:
            panel.set_visible(False)
        panels[0].legend(fontsize="small")
        return _finish(figure, path)


def discovery(result: Any, path: str | Path | None = None) -> Figure:
    """Draw a discovery: data and completed model, each learned term beside its formula, and the candidates.

    Arguments:
        result: what `discover` gives: `data` and `solutions` as in `fit`; `terms`, a
            mapping from a term's name to its formula; `samples`, a mapping from a term's
            name to a mapping with `t`, `network` and `formula` (arrays of equal shape: the
            term along the trajectory, as learned and as found); `candidates`, a table with
            `loss`, `complexity` and `formula`, best first; `verdict` and `confidence`.
        path: where to write the figure as well.

    Returns:
        The figure.

    Raises:
        InputError: matplotlib is not installed, or `path` cannot be written.

    Example:
        >>> import sciml_dsl as sd, numpy as np
        >>> m = sd.model("x' = NN(x); x(0) = 1")
        >>> t = np.linspace(0, 3, 31)
        >>> figure = discovery(m.discover({"t": t, "x": np.exp(-t)}))
    """
    _require_matplotlib()
    data, solutions = _tables(result.data), _sequence(result.solutions)
    columns = _columns(data)
    terms = [name for name in result.terms if name in result.samples]
    with _style():
        across = max(len(columns), len(terms) + 1)
        figure = _figure((max(7.0, 3.7 * across), 6.4))
        grid = figure.add_gridspec(2, 1)
        top = grid[0].subgridspec(1, len(columns))
        bottom = grid[1].subgridspec(1, len(terms) + 1)
        for i, name in enumerate(columns):
            panel = figure.add_subplot(top[i])
            _data_and_model(panel, name, _colour(i), data, solutions)
            panel.set_title(name)
            panel.set_xlabel("t")
            if i == 0:
                panel.legend(fontsize="small")
        for k, name in enumerate(terms):
            panel = figure.add_subplot(bottom[k])
            _term(panel, name, result.terms[name], result.samples[name], _colour(len(columns) + k))
        _pareto(figure.add_subplot(bottom[len(terms)]), result.candidates)
        figure.suptitle(_headline(result.verdict, result.confidence))
        return _finish(figure, path)


def check_path(path: str | Path) -> Path:
    """`path` as a `Path` if a figure can be written there, else an `InputError`; for use before long work."""
    _require_matplotlib()
    target = check_output(path)
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    if target.suffix.lstrip(".").lower() not in known:
        raise InputError(
            f"cannot write the figure {target}: `{target.suffix or 'no suffix'}` is not a format of figures\n"
            "  hint: end the name in .png, .pdf or .svg"
        )
    return target


def _require_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise InputError("figures need matplotlib\n  hint: pip install 'sciml-dsl[plot]'") from error


def _style() -> Any:
    import matplotlib

    return matplotlib.rc_context(_STYLE)


def _figure(size: tuple[float, float]) -> Figure:
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:  # the user works with pyplot, so plt.show() shall find the figure
        figure: Figure = pyplot.figure(figsize=size, layout="constrained")
        return figure
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _figure_of(ax: Axes) -> Figure:
    figure = ax.get_figure(root=True)
    if figure is None:
        raise InputError("these axes belong to no figure any more")
    return figure


def _finish(figure: Figure, path: str | Path | None) -> Figure:
    if path is not None:
        write_with(check_path(path), lambda temporary: figure.savefig(temporary))
    return figure


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def _tables(data: Any) -> list[Measurements]:
    return [table if isinstance(table, Measurements) else _measurements(table) for table in _sequence(data)]


def _measurements(frame: Any) -> Measurements:
    columns = tuple(name for name in frame.columns if name != TIME)
    return Measurements(np.asarray(frame[TIME], dtype=float), columns, np.asarray(frame[list(columns)], dtype=float))


def _sequence(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Sequence) else [value]


def _columns(data: Sequence[Measurements]) -> list[str]:
    return list(dict.fromkeys(name for table in data for name in table.columns))


def _smooth(sol: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A solution on a grid fine enough for a smooth curve, always with its own points."""
    t, u = np.asarray(sol.t, dtype=float), np.asarray(sol.u, dtype=float)
    if not 2 <= t.size < _FINE or t[0] == t[-1] or np.any(np.diff(t) == 0):
        return t, u
    between = 1 + _FINE // (t.size - 1)
    steps = np.arange(between) / between
    fine = np.append((t[:-1, None] + np.diff(t)[:, None] * steps).ravel(), t[-1])
    return fine, np.asarray(sol(fine), dtype=float)


def _spread_over_decades(t: NDArray[np.float64]) -> bool:
    positive = t[t > 0]
    if positive.size < 10 or t[0] < 0 or positive[-1] / positive[0] < 1e4:
        return False
    return bool(np.median(positive) < 0.02 * positive[-1])


def _by_size(u: NDArray[np.float64]) -> list[list[int]]:
    """Columns grouped so that none is drawn over 30 times larger than another of its panel; at most four panels."""
    n = u.shape[1]
    with np.errstate(all="ignore"):
        size = np.nanmax(np.abs(np.where(np.isfinite(u), u, np.nan)), axis=0, initial=0.0)
    groups: list[list[int]] = []
    largest = 0.0
    for i in sorted(range(n), key=lambda j: -size[j]):
        if not groups or (size[i] < largest / 30 and size[i] > 0 and len(groups) < 4):
            groups.append([])
            largest = size[i]
        groups[-1].append(i)
    return sorted((sorted(group) for group in groups), key=lambda group: group[0])


def _data_and_model(
    panel: Axes, name: str, colour: str, data: Sequence[Measurements], solutions: Sequence[Any]
) -> None:
    alpha = 1.0 if len(data) == 1 else 0.7
    for k, (table, sol) in enumerate(zip(data, solutions, strict=True)):
        if name not in table.columns:
            continue
        first = k == 0
        panel.plot(sol.t, sol[name], color=colour, alpha=alpha, label="model" if first else None)
        values = table.column(name)
        panel.plot(
            table.t, values, "o", color=colour, markersize=4.5, markerfacecolor="white", markeredgewidth=1.3,
            alpha=alpha, label="data" if first else None,
        )  # fmt: skip


def _term(panel: Axes, name: str, formula: Any, samples: Mapping[str, Any], colour: str) -> None:
    panel.plot(samples["t"], samples["network"], color="0.55", linewidth=4.0, alpha=0.6, label="learned")
    panel.plot(samples["t"], samples["formula"], color=colour, linestyle="--", label="formula")
    panel.set_title(_shorten(f"{name} = {_short_formula(formula)}", 52), fontsize="medium")
    panel.set_xlabel("t")
    panel.legend(fontsize="small")


def _pareto(panel: Axes, candidates: Any) -> None:
    """Loss against complexity of every candidate; the front as a line, the chosen one as a star."""
    from matplotlib.ticker import MaxNLocator

    loss = np.asarray(candidates["loss"], dtype=float)
    complexity = np.asarray(candidates["complexity"], dtype=float)
    usable = np.isfinite(loss)
    panel.set_title("candidates", fontsize="medium")
    panel.set_xlabel("complexity")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set_ylabel("loss")
    if not usable.any():
        panel.text(0.5, 0.5, "none", ha="center", va="center", transform=panel.transAxes)
        return
    if (loss[usable] > 0).all() and loss[usable].max() > 20 * loss[usable].min():
        panel.set_yscale("log")
    panel.plot(complexity[usable], loss[usable], "o", color="0.6", markersize=5)
    front, best = [], np.inf
    for i in sorted(np.flatnonzero(usable), key=lambda j: (complexity[j], loss[j])):
        if loss[i] < best:
            front.append(i)
            best = loss[i]
    panel.plot(complexity[front], loss[front], color=COLOURS[0], linewidth=1.2, label="Pareto front")
    if usable[0]:
        panel.plot(complexity[0], loss[0], "*", color=COLOURS[1], markersize=14, label="chosen")
    panel.legend(fontsize="small")


def _short_formula(formula: Any) -> str:
    """A formula with its numbers to four digits."""
    import sympy

    if not isinstance(formula, sympy.Basic):
        return str(formula)
    rounded = formula.xreplace({number: sympy.Float(number, 4) for number in formula.atoms(sympy.Float)})
    return str(rounded)


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _headline(verdict: str, confidence: Any) -> str:
    if isinstance(confidence, (int, float)):
        return f"{verdict} (confidence {confidence:.0%})"
    return verdict
