"""The examples that ship, run as they stand and checked against what is known about them.

Truths: the constants the data were made with, the published end value of Robertson's
problem, and for real data the form that the literature gives the interaction.
"""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import sympy
from scipy.integrate import solve_ivp

import sciml_dsl as sd
from sciml_dsl.fit.table import check_table, read_table
from sciml_dsl.model.inputs import without_inputs

EXAMPLES = Path(__file__).parent.parent / "examples"
X, Y = sympy.symbols("x y")


def run(name: str) -> dict[str, object]:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")


def test_hudson_bay_ends_with_a_product_in_each_equation(capsys):
    found = run("hudson_bay")["found"]
    hare, lynx = sympy.symbols("hare lynx")
    for term, sign in (("NN1", -1), ("NN2", 1)):
        product = sympy.expand(found.terms[term]).coeff(hare * lynx)
        assert product != 0 and sympy.sign(product) == sign, found.terms  # eaten hares feed lynx
    assert found.verdict in ("identified", "ambiguous")
    solution = found.model.solve((0, 20), saveat=1.0)
    data = read_table(EXAMPLES / "hudson_bay.csv")
    for state in ("hare", "lynx"):
        misfit = np.mean((solution[state] - data[state]) ** 2) / np.var(data[state])
        assert misfit < 0.1, (state, misfit)
    assert sd.model(str(found.model)) == found.model
    assert "verdict" in capsys.readouterr().out


def test_missing_physics_finds_both_products_within_five_percent():
    found = run("missing_physics")["found"]
    for term, truth in (("NN1", -0.9), ("NN2", 0.8)):
        formula = sympy.expand(found.terms[term])
        assert formula.free_symbols == {X, Y}
        constant = formula.coeff(X * Y)
        assert sympy.expand(formula - constant * X * Y) == 0
        assert abs(float(constant) / truth - 1) < 0.05
    assert found.verdict == "identified"


def test_missing_physics_data_are_what_their_header_says():
    """t = 0:0.1:3 and noise of 0.5 % of each mean, around an independent solution."""
    table = read_table(EXAMPLES / "missing_physics.csv")
    assert np.allclose(table["t"], 0.1 * np.arange(31), atol=1e-12)
    exact = solve_ivp(
        lambda t, u: [1.3 * u[0] - 0.9 * u[0] * u[1], -1.8 * u[1] + 0.8 * u[0] * u[1]],
        (0, 3),
        [0.44249296, 4.6280594],
        method="DOP853",
        t_eval=table["t"],
        rtol=1e-12,
        atol=1e-13,
    )
    for column, values in zip("xy", exact.y, strict=True):
        share = (table[column] - values) / (0.005 * values.mean())
        assert 0.7 < share.std() < 1.3 and abs(share.mean()) < 0.5


def test_lotka_volterra_fit_recovers_its_parameters():
    space = run("lotka_volterra_fit")
    assert list(space["model"].defaults.values()) == [1.6, 1.4, 2.0, 0.8]
    assert np.abs(np.array(list(space["fit"].p.values())) - [1.5, 1.0, 3.0, 1.0]).max() < 1e-6
    assert space["fit"].success


def test_heated_room_gives_insulation_and_heating():
    fit = run("heated_room")["fit"]
    assert fit.success and fit.p["tau"] == pytest.approx(8.5, rel=0.05) and fit.p["P"] == pytest.approx(2.2, rel=0.05)
    assert abs(fit.p["T0"] - 17) < 0.2 and 0.08 < fit.rmse["T"] < 0.12


def test_rober_reaches_the_published_end():
    space = run("rober")
    assert space["solution"].t[-1] == 1e11
    assert space["error"] < 1e-6
    assert space["solution"].stats["switches"] >= 1  # "auto" found the stiffness by itself


def test_spiral_is_learned():
    space = run("spiral_neural_ode")
    assert np.sum((space["learned"].u - space["solution"].u) ** 2) < 1e-3
    network = space["model"].spec.networks[0]
    assert network.sizes == (2, 50, 2) and network.activation == "tanh"
    assert len(space["data"]) == 30


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.sciml")), ids=lambda path: path.stem)
def test_every_model_reads_and_prints_back(path):
    model = sd.load(path)
    assert sd.model(model.code("sciml")) == model
    table = path.with_suffix(".csv")
    if table.exists():
        check_table(without_inputs(model.spec.inputs, read_table(table)), model)
