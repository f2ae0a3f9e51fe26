"""Figures: what they draw, that they are written whole, and what is said when they cannot be."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sympy

from sciml_dsl import plot
from sciml_dsl.errors import InputError
from sciml_dsl.fit.table import Measurements

pytest.importorskip("matplotlib")


@dataclass
class Exact:
    """x = exp(-t), y = scale * cos(t), with the attributes of a Solution."""

    t: np.ndarray
    scale: float = 1.0
    states: tuple[str, ...] = ("x", "y")

    def __call__(self, t: Any) -> np.ndarray:
        t = np.asarray(t)
        return np.stack([np.exp(-t), self.scale * np.cos(t)], axis=-1)

    @property
    def u(self) -> np.ndarray:
        return self(self.t)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.u[:, self.states.index(name)]


def fitted(experiments: int = 1) -> SimpleNamespace:
    t = np.linspace(0, 5, 11)
    table = Measurements(t, ("x", "y"), np.column_stack([np.exp(-t), np.where(t > 4, np.nan, np.cos(t))]))
    return SimpleNamespace(data=(table,) * experiments, solutions=(Exact(np.linspace(0, 5, 200)),) * experiments)


def discovered() -> SimpleNamespace:
    x = sympy.Symbol("x")
    t = np.linspace(0, 5, 50)
    return SimpleNamespace(
        **vars(fitted()),
        terms={"NN": -1.00000012345 * x},
        samples={"NN": {"t": t, "network": -np.exp(-t) + 0.01, "formula": -np.exp(-t)}},
        candidates=pd.DataFrame(
            {
                "formula": ["a*x", "a", "a*x + b", "a*x^9"],
                "loss": [0.01, 1.0, 0.009, np.inf],
                "complexity": [1, 1, 2, 1],
            }
        ),
        verdict="identified",
        confidence=0.97,
    )


def test_curve_is_fine_and_follows_the_interpolant() -> None:
    figure = plot.solution(Exact(np.linspace(0, 6, 7)))
    (panel,) = figure.axes
    lines = {line.get_label(): line for line in panel.get_lines()}
    assert set(lines) == {"x", "y"}
    t, y = lines["y"].get_data()
    assert len(t) > 300
    np.testing.assert_allclose(y, np.cos(t), atol=1e-12)
    assert lines["x"].get_color() != lines["y"].get_color()


def test_states_of_different_size_get_their_own_panel() -> None:
    assert len(plot.solution(Exact(np.linspace(0, 6, 50), scale=1e-4)).axes) == 2
    assert len(plot.solution(Exact(np.linspace(0, 6, 50), scale=0.5)).axes) == 1


def test_time_over_many_decades_is_logarithmic() -> None:
    (panel,) = plot.solution(Exact(np.concatenate([[0.0], np.geomspace(1e-6, 1e3, 80)]))).axes
    assert panel.get_xscale() == "log"
    assert all(line.get_xdata()[0] > 0 for line in panel.get_lines())


def test_draws_into_given_axes() -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    ax = figure.subplots()
    assert plot.solution(Exact(np.linspace(0, 1, 5), scale=1e-6), ax=ax) is figure
    assert len(ax.get_lines()) == 2


@pytest.mark.parametrize("experiments", [1, 3])
def test_fit_draws_points_and_lines_in_one_colour(experiments: int) -> None:
    figure = plot.fit(fitted(experiments))
    assert [panel.get_title() for panel in figure.axes] == ["x", "y"]
    for panel in figure.axes:
        lines = panel.get_lines()
        assert len(lines) == 2 * experiments
        assert {line.get_marker() for line in lines} == {"o", "None"}
        assert len({line.get_color() for line in lines}) == 1


def test_tables_may_be_data_frames() -> None:
    result = fitted()
    (table,) = result.data
    result.data = [pd.DataFrame({"t": table.t, **{name: table.column(name) for name in table.columns}})]
    points = [panel.get_lines()[1].get_ydata() for panel in plot.fit(result).axes]
    np.testing.assert_array_equal(np.column_stack(points), table.values)


def test_discovery_shows_data_terms_and_pareto_front() -> None:
    figure = plot.discovery(discovered())
    titles = [panel.get_title() for panel in figure.axes]
    assert titles == ["x", "y", "NN = -1.0*x", "candidates"]
    front = next(line for line in figure.axes[-1].get_lines() if line.get_label() == "Pareto front")
    np.testing.assert_array_equal(front.get_xdata(), [1, 2])
    np.testing.assert_array_equal(front.get_ydata(), [0.01, 0.009])
    assert figure.get_suptitle() == "identified (confidence 97%)"


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_written_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"figure{suffix}"
    plot.discovery(discovered(), path=path)
    assert path.stat().st_size > 5000
    assert list(tmp_path.iterdir()) == [path]


def test_refuses_places_and_formats(tmp_path: Path) -> None:
    sol = Exact(np.linspace(0, 1, 5))
    with pytest.raises(InputError, match=r"the directory .* does not exist\n  hint: mkdir -p"):
        plot.solution(sol, path=tmp_path / "absent" / "figure.png")
    with pytest.raises(InputError, match=r"`.xyz` is not a format of figures"):
        plot.solution(sol, path=tmp_path / "figure.xyz")
    assert not list(tmp_path.iterdir())


def test_old_figure_survives_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    path = tmp_path / "figure.png"
    path.write_bytes(b"old")

    def breaks(self: Figure, file: Path, **_: object) -> None:
        Path(file).write_bytes(b"half")
        raise RuntimeError("disk on fire")

    monkeypatch.setattr(Figure, "savefig", breaks)
    with pytest.raises(RuntimeError, match="disk on fire"):
        plot.solution(Exact(np.linspace(0, 1, 5)), path=path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_matplotlib_comes_only_with_the_first_figure() -> None:
    code = "import sys, sciml_dsl.plot; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_missing_matplotlib_is_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"pip install 'sciml-dsl\[plot\]'"):
        plot.solution(Exact(np.linspace(0, 1, 5)))
