"""Discovery: formulas from data whose truth is known, verdicts, and the pieces underneath."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sympy

import sciml_dsl as sd
from sciml_dsl.codegen.sciml import expression
from sciml_dsl.discover import library, score
from sciml_dsl.discover.assemble import formula, tidy
from sciml_dsl.discover.regress import LinearProblem, project, propose, refit
from sciml_dsl.errors import DataError, InputError, UnknownNameError
from sciml_dsl.language import ast
from sciml_dsl.language.parse import parse_expression

EXAMPLES = Path(__file__).parent.parent / "examples"
x, y = sympy.symbols("x y")


def data(text, times, noise=0.0, seed=0, columns=None):
    """A table of a known model, with normal noise of a share of each mean."""
    sol = sd.model(text).solve((times[0], times[-1]), saveat=times, rtol=1e-10, atol=1e-12)
    rng = np.random.default_rng(seed)
    table = {"t": times}
    for name in columns or sol.states:
        table[name] = sol[name] + noise * np.mean(np.abs(sol[name])) * rng.standard_normal(len(times))
    return pd.DataFrame(table)


LV = "x' = 1.3*x - 0.9*x*y; y' = -1.8*y + 0.8*x*y; x(0) = 0.44249296; y(0) = 4.6280594"
PARTS = "x(0) = 0.44249296; y(0) = 4.6280594"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_missing_physics_from_several_draws_of_noise(seed):
    m = sd.model(f"x' = 1.3*x + NN1(x, y); y' = -1.8*y + NN2(x, y); {PARTS}")
    d = m.discover(data(LV, np.arange(0, 3.05, 0.1), 0.005, seed))
    assert d.verdict == "identified" and d.confidence > 0.5
    assert float(d.terms["NN1"] / (x * y)) == pytest.approx(-0.9, rel=0.05)
    assert float(d.terms["NN2"] / (x * y)) == pytest.approx(0.8, rel=0.05)
    assert d.equations["x"].coeff(x, 1).coeff(y, 0) == pytest.approx(1.3)
    again = d.model.solve((0, 3), saveat=[3.0], rtol=1e-10, atol=1e-12)
    truth = sd.model(LV).solve((0, 3), saveat=[3.0], rtol=1e-10, atol=1e-12)
    assert again.u == pytest.approx(truth.u, rel=0.02)
    assert sd.model(d.model.code("sciml")) == d.model


def test_real_hares_and_lynx_end_with_a_product_in_each_equation():
    table = pd.read_csv(EXAMPLES / "hudson_bay.csv", comment="#")
    m = sd.load(EXAMPLES / "hudson_bay.sciml")
    hare, lynx = sympy.symbols("hare lynx")
    for noise in ("additive", "log"):
        d = m.discover(table, noise=noise)
        ratio = [sympy.simplify(d.terms[name] / (hare * lynx)) for name in ("NN1", "NN2")]
        assert all(r.is_number for r in ratio)
        # compare Carpenter's Stan case study: 0.55, 0.028, 0.80, 0.024 with standard errors of about a tenth
        assert float(-ratio[0]) == pytest.approx(0.028, rel=0.2)
        assert float(ratio[1]) == pytest.approx(0.024, rel=0.2)
        assert d.p["α"] == pytest.approx(0.55, rel=0.2) and d.p["δ"] == pytest.approx(0.8, rel=0.2)
        assert d.verdict in ("identified", "ambiguous")


def test_one_unobserved_state():
    m = sd.model(f"x' = 1.3*x + NN1(x, y); y' = -1.8*y + 0.8*x*y; {PARTS}")
    d = m.discover(data(LV, np.arange(0, 6.05, 0.1), 0.01, 0, ["y"]))
    assert float(d.terms["NN1"] / (x * y)) == pytest.approx(-0.9, rel=0.02)


def test_saturation_is_found_with_its_constant():
    truth = "s' = -0.5*b*s/(0.3 + s); b' = 0.4*b*s/(0.3 + s) - 0.1*b; s(0) = 2; b(0) = 0.3"
    m = sd.model("s' = -1.25*U(s, b); b' = U(s, b) - 0.1*b; s(0) = 2; b(0) = 0.3\nneural U(s, b) -> 1 { hidden = [8] }")
    d = m.discover(data(truth, np.linspace(0, 20, 31), 0.005))
    assert d.verdict == "identified"
    s, b = sympy.symbols("s b")
    for point in ((0.1, 0.5), (0.5, 0.7), (2.0, 0.3)):
        got = float(d.terms["U"].subs({s: point[0], b: point[1]}))
        assert got == pytest.approx(0.4 * point[1] * point[0] / (0.3 + point[0]), rel=0.05)


def test_a_network_inside_a_function_of_the_model():
    m = sd.model(f"eaten(a, b) = a*NN(b); x' = 1.3*x - eaten(x, y); y' = -1.8*y + 0.8*x*y; {PARTS}")
    d = m.discover(data(LV, np.arange(0, 3.05, 0.1), 0.002))
    assert float(d.terms["NN"] / y) == pytest.approx(0.9, rel=0.02)


def test_outputs_of_a_vector_network_are_terms_of_their_own():
    m = sd.model(f"p, q = U(x, y); x' = 1.3*x + p; y' = -1.8*y + q; {PARTS}\nneural U(x, y) -> 2 {{ hidden = [8] }}")
    d = m.discover(data(LV, np.arange(0, 3.05, 0.1)))
    assert set(d.terms) == {"U[1]", "U[2]"}
    assert float(d.terms["U[1]"] / (x * y)) == pytest.approx(-0.9, rel=1e-3)
    assert not d.model.networks


def test_no_term_is_needed():
    d = sd.model("x' = -0.5*x + NN(x); x(0) = 2").discover(data("x' = -0.5*x; x(0) = 2", np.linspace(0, 6, 25), 0.01))
    assert d.verdict == "no term needed" and d.terms["NN"] == 0


def test_a_term_that_repeats_a_known_one_is_not_identifiable():
    m = sd.model("x' = -k*x + NN(x); x(0) = 2; param k = 0.4 in [0, 5]")
    d = m.discover(data("x' = -0.5*x; x(0) = 2", np.linspace(0, 6, 25), 0.002), degree=1, families=["polynomial"])
    assert "x" not in str(d.terms["NN"]), "k*x and c*x cannot be told apart, so c*x is never proposed"
    constant = sd.model("x' = NN(y) - x; y' = 0*y; x(0) = 0; y(0) = 1")
    d = constant.discover(data("x' = 2 - x; y' = 0*y; x(0) = 0; y(0) = 1", np.linspace(0, 4, 21)))
    assert d.verdict in ("ambiguous", "not identifiable"), "y never varies, so its function cannot be known"


def test_nothing_known():
    d = sd.discover(data(LV, np.arange(0, 6.05, 0.1)))
    found = {name: sympy.Poly(expr, x, y).as_dict() for name, expr in d.equations.items()}
    assert found["x"] == pytest.approx({(1, 0): 1.3, (1, 1): -0.9}, rel=1e-3)
    assert found["y"] == pytest.approx({(0, 1): -1.8, (1, 1): 0.8}, rel=1e-3)


def test_dosing_events_are_crossed():
    truth = "A' = -1.1*A; C' = 0.9*A - 0.7*C/(0.4 + C); A(0) = 1; C(0) = 0; every 4 from 4 until 8: A += 1"
    m = sd.model("A' = -1.1*A; C' = 0.9*A - NN(C); A(0) = 1; C(0) = 0; every 4 from 4 until 8: A += 1")
    d = m.discover(data(truth, np.linspace(0, 12, 61), 0.002))
    c = sympy.Symbol("C")
    for value in (0.05, 0.15, 0.3):
        assert float(d.terms["NN"].subs({c: value})) == pytest.approx(0.7 * value / (0.4 + value), rel=0.1)


def test_the_same_seed_gives_the_same_answer_and_progress_is_told():
    m = sd.model("x' = NN(x); x(0) = 0.2")
    table = data("x' = 0.7*x*(1 - x/3); x(0) = 0.2", np.linspace(0, 12, 25), 0.01)
    events = []
    first, second = m.discover(table, seed=3, progress=events.append), m.discover(table, seed=3)
    assert first.terms == second.terms and first.confidence == second.confidence
    pd.testing.assert_frame_equal(first.candidates, second.candidates)
    assert {e["stage"] for e in events} == {"networks", "formulas", "done"}
    assert set(first.samples["NN"]) == {"t", "network", "formula"}
    learned, found = first.samples["NN"]["network"], first.samples["NN"]["formula"]
    assert np.corrcoef(learned, found)[0, 1] > 0.98


def test_bad_input_is_refused_with_advice():
    table = {"t": np.linspace(0, 1, 11), "x": np.linspace(1, 2, 11)}
    m = sd.model("x' = NN(x); x(0) = 1")
    with pytest.raises(InputError, match="no unknown term"):
        sd.model("x' = -x; x(0) = 1").discover(table)
    with pytest.raises(DataError, match="too few data"):
        m.discover({"t": [0, 1, 2], "x": [1, 2, 3]})
    with pytest.raises(UnknownNameError, match="polynomial"):
        m.discover(table, families=["polynomials"])
    with pytest.raises(InputError, match="max_terms"):
        m.discover(table, max_terms=0)
    with pytest.raises(DataError, match="`z`"):
        m.discover({"t": table["t"], "z": table["x"]})
    with pytest.raises(UnknownNameError, match="column `t`"):
        sd.discover({"time": table["t"], "x": table["x"]})
    with pytest.raises(DataError):
        sd.discover({"t": table["t"]})


# ---------------------------------------------------------------- the pieces


def test_regression_finds_a_planted_support_and_refuses_what_is_known():
    rng = np.random.default_rng(0)
    always, candidates = rng.normal(size=(200, 2)), rng.normal(size=(200, 12))
    candidates[:, 7] = 2 * always[:, 0] - always[:, 1]
    target = always @ [0.5, -1.0] + 3 * candidates[:, 2] - 0.2 * candidates[:, 9]
    problem = LinearProblem(always, candidates, target, np.arange(12))
    assert np.flatnonzero(project(problem)[2]).tolist() == [7]
    best = min((p for p in propose(problem, largest=3) if len(p.support) == 2), key=lambda p: p.rss)
    assert best.support == (2, 9) and best.coefficients == pytest.approx([3, -0.2])
    known, chosen = refit(problem, best.support)
    assert known == pytest.approx([0.5, -1.0]) and chosen == pytest.approx([3, -0.2])


def test_variants_of_one_term_exclude_each_other():
    rng = np.random.default_rng(1)
    candidates = rng.normal(size=(50, 4))
    problem = LinearProblem(np.zeros((50, 0)), candidates, candidates @ [1, 1, 0, 0], np.array([0, 0, 1, 2]))
    assert all(not {0, 1} <= set(p.support) for p in propose(problem, largest=4))


def test_library_sizes_and_limits():
    assert [len(library.polynomial(n, d)) for n, d in ((1, 5), (2, 3), (3, 2))] == [6, 10, 10]
    assert len(library.build(2)) == 10 + 8 + 4
    assert len(library.build(2, widest=100.0)) == 10 + 8, "an argument that ranges over 100 is no angle"
    monomials = {t.expr for t in library.polynomial(2, 3)}
    for term in library.saturating(2):
        assert set(term.limits) <= monomials and term.has_inner


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a + (-b*c)", "a - b*c"),
        ("a - (-b*c + d)", "a + b*c - d"),
        ("a + (b - (c - d))", "a + b - c + d"),
        ("-(a + b)", "-(a + b)"),
        ("0 - a", "-a"),
    ],
)
def test_tidy_pulls_signs_into_sums(text, plain):
    assert expression(tidy(parse_expression(text).statements[0].expr)) == plain


def test_formula_writes_signs_and_constants():
    terms = library.polynomial(2, 2)
    body = formula([(terms[0], -2.0, None), (terms[4], -0.5, None), (terms[1], 1.5, None)])
    assert expression(library.substitute(body, {"_1": ast.Name("x"), "_2": ast.Name("y")})) == "-2 - 0.5*x*y + 1.5*x"
    bent = library.saturating(1)[0]
    assert expression(formula([(bent, 2.0, 0.3)])) == "2*(_1/(0.3 + _1))"


def test_score_pays_for_constants_and_refuses_what_is_not_finite():
    residuals, columns = np.full(40, 0.1), np.zeros(40, dtype=np.int64)
    (loglik,) = score.log_likelihood(residuals, columns)
    assert loglik == pytest.approx(-20 * (math.log(2 * math.pi * (0.01 + 1e-8)) + 1))
    few, many = (score.score(loglik, 40, k, 0, [1.0] * k).value for k in (1, 3))
    assert many - few > 2 * math.log(40)
    assert score.log_likelihood(np.array([np.inf]), columns[:1]).tolist() == [-math.inf]
    assert score.score(-math.inf, 40, 1, 0, []).value == math.inf
    assert score.score(loglik, 5, 4, 0, []).value == math.inf, "as many constants as data"


def test_correlated_residuals_count_for_less():
    rng = np.random.default_rng(0)
    white = rng.normal(size=400)
    walk = np.zeros(400)
    for i in range(1, 400):
        walk[i] = 0.6 * walk[i - 1] + white[i]
    assert score.independent_share([white]) > 0.9
    assert score.independent_share([walk]) == pytest.approx((1 - 0.55) / (1 + 0.55), rel=0.15)
    assert score.independent_share([1e-6 * walk]) == 1.0, "below the floor there is no evidence to weigh"
