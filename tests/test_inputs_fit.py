"""Fits and discoveries of models with inputs, and the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import sympy
from click.testing import CliRunner

import sciml_dsl as sd
from sciml_dsl.cli import main
from sciml_dsl.errors import DataError, MissingValueError
from sciml_dsl.fit.problem import problem
from sciml_dsl.fit.table import read_table

TEXT = "input u {kind}; x' = k*u - d*x; x(0) = 0.5; param k = 1 in [0, 9], d = 1 in [0, 9]"


def held(t, times, values):
    """x of TEXT for a piecewise constant u, k = 2, d = 0.8: from row to row by its formula."""
    x, out = 0.5, []
    edges = np.append(times[1:], np.inf)
    for i, s in enumerate(t):
        start = t[i - 1] if i else t[0]
        while start < s:
            k = int(np.searchsorted(times, start, side="right")) - 1
            stop = min(s, edges[k])
            rest = 2 * values[k] / 0.8
            x, start = rest + (x - rest) * np.exp(-0.8 * (stop - start)), stop
        out.append(x)
    return np.array(out)


@pytest.fixture(scope="module")
def measured():
    t = np.linspace(0, 8, 33)
    u = np.where(t < 2, 1.0, np.where(t < 5, 3.0, 0.5))
    return {"t": t, "u": u, "x": held(t, t, u)}


def test_a_fit_takes_the_column_of_the_input(measured):
    m = sd.model(TEXT.format(kind="constant"))
    fit = m.fit(measured)
    assert fit.p["k"] == pytest.approx(2.0, rel=1e-5) and fit.p["d"] == pytest.approx(0.8, rel=1e-5)
    assert fit.data[0].columns == ("x",)
    sol = fit.model.solve((0, 8), saveat=measured["t"])  # the data stay with the model
    np.testing.assert_allclose(sol["x"], measured["x"], atol=1e-5)
    assert fit.solutions[0].success and "k" in fit.summary()


def test_nan_of_an_input_is_interpolated_over(measured):
    m = sd.model(TEXT.format(kind="linear"))
    whole = {**measured, "u": np.interp(measured["t"], [0, 4, 8], [0.0, 2.0, 1.0])}
    thin = whole["u"].copy()
    thin[[1, 2, 3, 9, 20, 21]] = np.nan
    a, b = problem(m, whole), problem(m, {**whole, "u": thin})
    np.testing.assert_allclose(a.residuals(a.start), b.residuals(b.start), atol=1e-7)


def test_experiments_have_tables_of_their_own(measured):
    m = sd.model(TEXT.format(kind="constant"))
    t = measured["t"]
    parts = []
    for k, level in enumerate((0.3, 1.0, 4.0)):
        times, values = np.array([0.0, 1.0 + k, 6.0]), level * np.array([1.0, 2.0, 0.0])
        parts.append(sd.Experiment({"t": t, "x": held(t, times, values)}, inputs={"u": (times, values)}, name=f"e{k}"))
    fit = m.fit(parts)
    assert fit.p["k"] == pytest.approx(2.0, rel=1e-5) and fit.p["d"] == pytest.approx(0.8, rel=1e-5)
    assert fit.model.spec.inputs[0].data is None and all(s.success for s in fit.solutions)


@pytest.mark.parametrize("kind", ["linear", "constant", "cubic"])
def test_jacobians_and_gradients_against_differences(kind, measured):
    q = problem(sd.model(TEXT.format(kind=kind)), measured, rtol=1e-11, atol=1e-13)
    theta = q.start + 0.1
    _, jac = q.residuals_and_jacobian(theta)
    h = 1e-4
    for j in range(q.n):
        e = np.eye(q.n)[j] * h
        slope = (8 * (q.residuals(theta + e) - q.residuals(theta - e))
                 - (q.residuals(theta + 2 * e) - q.residuals(theta - 2 * e))) / (12 * h)  # fmt: skip
        np.testing.assert_allclose(jac[:, j], slope, atol=1e-5 * np.abs(slope).max())
    r = q.residuals(theta)
    _, gradient = q.loss_and_gradient(theta)
    np.testing.assert_allclose(gradient, 2 * jac.T @ r / r.size, rtol=1e-5)


def test_data_that_do_not_cover_the_fit(measured):
    m = sd.model(TEXT.format(kind="linear"))
    with pytest.raises(MissingValueError, match="input `u`"):
        m.fit({"t": measured["t"], "x": measured["x"]})
    late = measured["u"].copy()
    late[:3] = np.nan
    with pytest.raises(DataError, match=r"from t = 0\.75 to 8, but is needed from 0 to 8"):
        m.fit({**measured, "u": late})
    sd.model(TEXT.format(kind="linear hold")).fit({**measured, "u": late})


def test_discovery_of_a_term_with_an_input():
    t = np.linspace(0, 10, 81)
    u = np.where((t >= 2) & (t < 5), 1.5, 0.2)
    truth = sd.model("input u constant; x' = 0.6*u*x - 0.9*x; x(0) = 1").with_inputs({"u": (t, u)})
    x = truth.solve((0, 10), saveat=t, rtol=1e-10, atol=1e-12)["x"]
    m = sd.model("input u constant; x' = -0.9*x + NN(x, u); x(0) = 1")
    d = m.discover({"t": t, "u": u, "x": x}, degree=2, families=["polynomial"], epochs=50, polish=60)
    time = sympy.Symbol("t")
    found = d.terms["NN"].subs(sympy.Function("u")(time), sympy.Symbol("u"))
    (product,) = found.as_ordered_terms()
    assert product.free_symbols == {sympy.Symbol("x"), sympy.Symbol("u")}
    assert float(product.as_coeff_Mul()[0]) == pytest.approx(0.6, rel=1e-3)
    assert d.model.inputs == ("u",) and d.model.solve((0, 10)).success
    assert sd.model(str(d.model)) == d.model


# ---------------------------------------------------------------- command line


def test_command_line(tmp_path, measured):
    model, table = tmp_path / "m.sciml", tmp_path / "d.csv"
    model.write_text(TEXT.format(kind="constant") + "\ny = 2*u\n")
    rows = zip(*measured.values(), strict=True)
    table.write_text("t,u,x\n" + "\n".join(",".join(map(repr, map(float, row))) for row in rows))
    run = CliRunner()
    solve = ["solve", str(model), "--t1", "8", "--saveat", "0.25", "-p", "k=2", "-p", "d=0.8", "--json", "--inputs"]
    done = run.invoke(main, [*solve, str(table)])
    assert done.exit_code == 0, done.output
    columns = json.loads(done.output)["columns"]
    np.testing.assert_allclose(columns["x"], measured["x"], atol=1e-5)
    np.testing.assert_allclose(columns["y"], 2 * measured["u"])
    assert run.invoke(main, [*solve[:-1], "--method", "tsit5"]).exit_code == 2  # no data
    assert run.invoke(main, [*solve, str(tmp_path / "none.csv")]).exit_code == 2
    fitted = tmp_path / "fitted.sciml"
    done = run.invoke(main, ["fit", str(model), str(table), "-o", str(fitted)])
    assert done.exit_code == 0, done.output
    again = sd.load(fitted)
    assert again.defaults["k"] == pytest.approx(2.0, rel=1e-4) and again.solve((0, 8)).success
    assert len(read_table(table)) == 33
    done = run.invoke(main, ["check", str(model)])
    assert done.exit_code == 0 and "inputs 1        u (constant)" in done.output
