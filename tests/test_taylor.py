"""Taylor series methods: coefficients against mpmath, solutions against analytic and published ones, refusals."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sciml_dsl as sd
from ivp_problems import PROBLEMS, Problem
from sciml_dsl.codegen.taylor_series import coefficients
from sciml_dsl.errors import UnsupportedError
from sciml_dsl.graph.evaluate import values
from sciml_dsl.graph.taylor import decompose
from sciml_dsl.solve.methods import taylor
from test_ivp_problems import distance

# ---------------------------------------------------------------- coefficients

ORDER = 10
T0, X0, X1, X2 = 0.3, 0.4, 0.3, -0.2  # x(t) = X0 + X1 (t - T0) + X2 (t - T0)^2
EXPRESSIONS = (
    "exp(x)", "expm1(x)", "log(x)", "log1p(x)", "log2(x)", "log10(x)", "sqrt(x)", "cbrt(x)", "cbrt(-x)", "sin(x)",
    "cos(x)", "sin(x) - cos(x)", "tan(x)", "sinh(x)", "cosh(x)", "tanh(x)", "asin(x)", "acos(x)", "atan(x)", "asinh(x)",
    "acosh(1 + x)", "atanh(x)", "erf(x)", "erfc(x)", "x^2", "x^3", "x^7", "x^(-1)", "x^(-2)", "x^1.7", "x^0.5",
    "x^(-0.5)", "x^1.5", "1/x^1.5", "3/x^2.5", "x/x^1.5", "2^x", "x^x", "x^t", "t^x", "(x - 1)^3", "1/x", "t/x",
    "x/(1 + x^2)", "2 - x", "x - 2", "-x", "x*3", "x/3", "t*x", "t^3 + x", "atan2(x, 2)", "atan2(2, x)", "atan2(x, t)",
    "atan2(t, -x)", "exp(-x^2)*sin(3*x + t)", "sqrt(1 + x*sin(t))/(2 + cos(x))", "tanh(x)*tanh(x) + x^2*x",
    "log(1 + exp(2*x - 1))",
    "if t < 1 then x^2 else x", "if t < 0.1 then 2 else x*t", "(if t > 0.2 and t < 5 then 2 else 3)*x", "x*max(2, 3)",
)  # fmt: skip
EXACT = {
    "exp": mp.exp, "expm1": mp.expm1, "log": mp.log, "log1p": lambda z: mp.log(1 + z), "log2": lambda z: mp.log(z, 2),
    "log10": mp.log10, "sqrt": mp.sqrt, "cbrt": lambda z: mp.sign(z) * mp.cbrt(abs(z)), "sin": mp.sin, "cos": mp.cos,
    "tan": mp.tan, "sinh": mp.sinh, "cosh": mp.cosh, "tanh": mp.tanh, "asin": mp.asin, "acos": mp.acos, "atan": mp.atan,
    "asinh": mp.asinh, "acosh": mp.acosh, "atanh": mp.atanh, "erf": mp.erf, "erfc": mp.erfc,
    "atan2": mp.atan2, "max": max,
}  # fmt: skip
CHOSEN = {
    "if t < 1 then x^2 else x": "x^2",
    "if t < 0.1 then 2 else x*t": "x*t",
    "(if t > 0.2 and t < 5 then 2 else 3)*x": "2*x",
}


def series(expression: str, order: int = ORDER) -> np.ndarray:
    """Coefficients of y, y' = expression, y(T0) = 0, with x as above."""
    m = sd.model(f"y' = {expression}; x' = {X1} + {2 * X2}*(t - {T0}); y(0) = 0; x(0) = 0")
    graph = m.system.graph.copy()
    rows = coefficients(decompose(graph, m.system.rhs, m.states), graph, 2, order)
    nodes = [graph.const(0.0) if c is None else c for row in rows for c in row]
    return np.array(values(graph, nodes, T0, [0.0, X0], [])).reshape(order + 1, 2)[:, 0]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_coefficients_of_every_operation(expression: str) -> None:
    code = CHOSEN.get(expression, expression).replace("^", "**")

    def along(s: mp.mpf) -> mp.mpf:
        x = mp.mpf(X0) + mp.mpf(X1) * s + mp.mpf(X2) * s * s
        return eval(code, dict(EXACT), {"x": x, "t": mp.mpf(T0) + s})  # the test's own text

    with mp.workdps(60):
        wanted = [mp.mpf(0)] + [c / (k + 1) for k, c in enumerate(mp.taylor(along, 0, ORDER - 1))]
    found = series(expression)
    largest = max(abs(float(c)) for c in wanted)
    for k in range(ORDER + 1):
        assert found[k] == pytest.approx(float(wanted[k]), rel=2e-12, abs=1e-13 * largest), k


LEAVES = st.sampled_from(["x", "t", "0.7", "x*t"])
NESTED = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["sin({})", "cos({})", "tanh({})", "exp(-({})^2)", "atan({})", "1/(2 + ({})^2)", "sqrt(1 + ({})^2)", "(3 + sin({}))^1.3"]), inner).map(lambda p: p[0].format(p[1])),  # noqa: E501
        st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(NESTED)
def test_coefficients_of_random_expressions(expression: str) -> None:
    code = expression.replace("^", "**")

    def along(s: mp.mpf) -> mp.mpf:
        x = mp.mpf(X0) + mp.mpf(X1) * s + mp.mpf(X2) * s * s
        return eval(code, dict(EXACT), {"x": x, "t": mp.mpf(T0) + s}) + 0 * s

    order = 7
    with mp.workdps(60):
        wanted = [0.0] + [float(c / (k + 1)) for k, c in enumerate(mp.taylor(along, 0, order - 1))]
    found = series(expression, order)
    assert found == pytest.approx(np.array(wanted), rel=1e-9, abs=1e-11 * max(map(abs, wanted)))


def test_what_varies_in_nothing_is_left_out() -> None:
    m = sd.model("x' = sin(a)^2 + log(b)*x; x(0) = 1; param a = 1, b = 2")
    program = decompose(m.system.graph.copy(), m.system.rhs)
    assert [s.kind for s in program.series] == ["state", "scale", "shift"]
    m = sd.model("x' = 1/(x^2 + 1)^1.5 + sin(x) + cos(x); x(0) = 1")
    kinds = [s.kind for s in decompose(m.system.graph.copy(), m.system.rhs).series]
    assert kinds.count("power") == 1 and kinds.count("div") == 0 and kinds.count("integral") == 2


# ---------------------------------------------------------------- solutions

SOLVABLE = {
    "decay": ("x' = -k*x; x(0) = 2; param k = 0.7", 5.0, lambda t: 2 * np.exp(-0.7 * t)),
    "circle": ("x' = y; y' = -x; x(0) = 1; y(0) = 0", 20.0, np.cos),
    "logistic": ("x' = 4*x*(1 - x); x(0) = 0.01", 4.0, lambda t: 1 / (1 + 99 * np.exp(-4 * t))),
    "forced": ("x' = -x + sin(2*t); x(0) = 0", 10.0, lambda t: (np.sin(2 * t) - 2*np.cos(2*t) + 2*np.exp(-t)) / 5),
    "tangent": ("x' = 1 + x^2; x(0) = 0", 1.5, np.tan),
    "power of t": ("x' = 5*t^4; x(0) = 0", 2.0, lambda t: t**5),
    "pulse": ("x' = (if t < 1.3 then 1 else -2)*x; x(0) = 1", 2.0, lambda t: np.exp(np.where(t < 1.3, t, 3.9 - 2 * t))),
    "constant": ("x' = 0*x; y' = 1; x(0) = 2; y(0) = 0", 7.0, lambda t: 2 + 0 * t),
}  # fmt: skip


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize("name", SOLVABLE)
def test_errors_follow_the_tolerance(name: str, tolerance: float) -> None:
    text, t1, exact = SOLVABLE[name]
    m = sd.model(text)
    t = np.linspace(0, t1, 41)
    options = {"method": "taylor", "rtol": tolerance, "atol": tolerance}
    sol = m.solve((0, t1), saveat=t, **options)
    scale = 1 + np.abs(exact(t))
    assert sol.success and np.array_equal(sol.t, t)
    error = np.abs(sol.u[:, 0] - exact(t)) / scale
    assert error.max() < 30 * tolerance + 3e-15
    steps = m.solve((0, t1), **options)  # every step, and between them
    assert steps.stats["taylor_steps"] == steps.stats["steps"]
    assert np.abs(steps.u[:, 0] - exact(steps.t)).max() < 30 * tolerance * scale.max() + 1e-14
    assert (np.abs(steps(t)[:, 0] - exact(t)) / scale).max() < 30 * tolerance + 3e-15
    back = m.solve((t1, 0), u0=sol.u[-1], saveat=t[::-1], **options)
    assert back.success
    growth = 1e3 if name in ("logistic", "forced", "decay") else 100
    assert np.abs(back.u[:, 0] - exact(t[::-1])).max() < growth * 1e3 * tolerance + 1e-12


def test_each_state_has_its_tolerance() -> None:
    """A state in units 1e-6 as large is as exact as the others."""
    m = sd.model("x' = y*1e6; y' = -x*1e-6; x(0) = 1; y(0) = 0")
    sol = m.solve((0, 10), method="taylor", rtol=1e-10, atol={"x": 1e-10, "y": 1e-16}, saveat=[10])
    assert sol["x"][-1] == pytest.approx(np.cos(10), abs=1e-9)
    assert sol["y"][-1] == pytest.approx(-1e-6 * np.sin(10), abs=1e-15)
    loose = m.solve((0, 10), method="taylor", rtol=1e-10, atol={"x": 1e-3, "y": 1e-9}, saveat=[10])
    assert loose.stats["steps"] < sol.stats["steps"]


NONSTIFF = [p for p in PROBLEMS if not p.stiff and p.name != "chemakzo"]


@pytest.mark.parametrize("problem", NONSTIFF, ids=lambda p: p.name)
def test_published_end_values(problem: Problem) -> None:
    m = sd.model(problem.native)
    options = {"rtol": 1e-13, "atol": 1e-19 * np.abs(problem.values).max(), "saveat": [problem.t_end]}
    sol = m.solve((0, problem.t_end), method="taylor", max_steps=1_000_000, **options)
    assert sol.success, sol.message
    assert distance(problem, sol.u[-1]) < (1e-9 if problem.name == "arenstorf_SB1" else 1e-10)


def test_events_stops_and_positive_states() -> None:
    fall = sd.model("h' = v; v' = -9.81; h(0) = 1; v(0) = 0; when h < 0: v = -0.5*v, h = 0")
    sol = fall.solve((0, 0.7), method="taylor", rtol=1e-12, atol=1e-12)
    hit = np.sqrt(2 / 9.81)
    assert sol.events[0][0] == pytest.approx(hit, abs=1e-12)
    after = 0.7 - hit
    assert sol["h"][-1] == pytest.approx(0.5 * 9.81 * hit * after - 9.81 / 2 * after**2, abs=1e-12)
    dosed = sd.model("A' = -k*A; A(0) = 0; param k = 0.1; every 24 from 0 until 48: A += 100")
    sol = dosed.solve((0, 60), method="taylor", rtol=1e-11, atol=1e-11, saveat=[30.0, 60.0])
    assert sol["A"] == pytest.approx(
        [100 * sum(np.exp(-0.1 * (t - d)) for d in (0, 24, 48) if d <= t) for t in (30, 60)]
    )
    ended = sd.model("x' = x; x(0) = 1; when x > 2: terminate").solve((0, 9), method="taylor", rtol=1e-12, atol=1e-12)
    assert ended.t_end == pytest.approx(np.log(2), abs=1e-12) and ended.status.name == "TERMINATED"
    stopped = sd.model("x' = -x; x(0) = 1").solve((0, 3), method="taylor", tstops=[0.5, 1.5], d_discontinuities=[2.0])
    assert {0.5, 1.5, 2.0} <= set(stopped.t) and stopped["x"][-1] == pytest.approx(np.exp(-3), rel=1e-5)
    kept = sd.model("x' = -100*x*y; y' = -x; x(0) = 1; y(0) = 1").solve((0, 2), method="taylor", positive=True)
    assert kept.success and (kept.u >= 0).all()


def test_a_whole_array_model_and_an_ensemble() -> None:
    m = sd.model("const N = 6\nu[i]' = u[mod(i, N) + 1] - u[i] for i in 1..N\nu[i](0) = i for i in 1..N")
    sol = m.solve((0, 2), method="taylor", rtol=1e-12, atol=1e-12, saveat=[2.0])
    matrix = np.roll(np.eye(6), 1, axis=1) - np.eye(6)
    lam, vectors = np.linalg.eig(matrix)
    exact = (vectors @ np.diag(np.exp(2 * lam)) @ np.linalg.inv(vectors)).real @ np.arange(1.0, 7.0)
    assert sol.u[-1] == pytest.approx(exact, rel=1e-11)
    decay = sd.model("x' = -k*x; x(0) = 1; param k = 1")
    many = decay.ensemble(p={"k": [0.5, 1.0, 2.0]}).solve((0, 1), method="taylor", rtol=1e-11, atol=1e-11, saveat=[1.0])
    assert many.u[:, 0, 0] == pytest.approx(np.exp([-0.5, -1, -2]), rel=1e-10)


# ---------------------------------------------------------------- what may go wrong


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x' = -x; y' = abs(y); x(0) = 1; y(0) = 1", r"`abs`.*kink.*equation of `y`"),
        ("x' = min(x, 2); x(0) = 1", "`min`"),
        ("x' = if x > 1 then 1 else 2; x(0) = 1", "condition on states"),
        ("x' = if sin(t) > 0 then 1 else 2; x(0) = 1", "condition on states|conditions linear in t"),
        ("x' = floor(t); x(0) = 1", "`floor`"),
        ("x' = gamma(x); x(0) = 1", "`gamma`"),
        ("x' = NN(x); x(0) = 1", "neural network"),
        ("input u; x' = u - x; x(0) = 1", "measured input"),
    ],
)
def test_what_has_no_series_is_refused_with_its_name(text: str, said: str) -> None:
    m = sd.model(text)
    if "input" in text:
        m = m.with_inputs({"u": ([0, 1, 2], [1.0, 2.0, 0.0])})
    with pytest.raises(UnsupportedError, match=said) as refused:
        if m.networks:
            decompose(m.system.graph.copy(), m.system.rhs, m.states)
        m.solve((0, 1), method="taylor")
    assert "vern" in str(refused.value)


def test_large_models_are_refused_and_the_order_is_bounded() -> None:
    chain = "; ".join(f"x{i}' = x{(i + 1) % 200}^2 - x{i}; x{i}(0) = {i}" for i in range(200))
    with pytest.raises(UnsupportedError, match="small models"):
        sd.model(chain).solve((0, 1), method="taylor", rtol=1e-12)
    orders = [taylor.order(10.0**-k) for k in range(1, 18)]
    assert orders == sorted(orders) and min(orders) >= taylor.LOWEST and max(orders) <= taylor.HIGHEST
    with pytest.raises(sd.errors.InputError, match="sensitivities"):
        sd.model("x' = -x; x(0) = 1").solve((0, 1), method="taylor", sensitivities=["x(0)"])


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("x' = x^2; x(0) = 1", "UNSTABLE"),
        ("x' = log(x - 2); x(0) = 1", "NONFINITE"),
        ("x' = -sqrt(x) - 0.3; x(0) = 1", None),
        ("x' = 1/(t - 1.5); x(0) = 0", None),
    ],
)
def test_failures_are_said(text: str, status: str | None) -> None:
    sol = sd.model(text).solve((0, 4), method="taylor", rtol=1e-9, atol=1e-9, max_steps=5000)
    assert not sol.success and np.isfinite(sol.u).all()
    assert status is None or sol.status.name == status


def test_a_pole_is_not_stepped_over() -> None:
    """tan has poles at pi/2 + k pi; a step across one looks fine to anyone who does not ask there."""
    sol = sd.model("x' = 1 + x^2; x(0) = 0").solve((0, 3), method="taylor", rtol=1e-3, atol=1e-3)
    assert not sol.success and sol.t_end < np.pi / 2 + 1e-2


def test_what_no_coefficient_at_the_start_knows_is_not_missed() -> None:
    late = sd.model("x' = 30*t^29; x(0) = 0").solve((0, 1.5), method="taylor", rtol=1e-9, atol=1e-9, saveat=[1.5])
    assert late["x"][-1] == pytest.approx(1.5**30, rel=1e-8)
    for steep in (10, 200):  # steeper ones need dtmax, as with Vern9
        bell = sd.model("x' = exp(-a*(t - 2)^2); x(0) = 0; param a = 1")
        sol = bell.solve((0, 4), p={"a": steep}, method="taylor", rtol=1e-9, atol=1e-9)
        assert sol["x"][-1] == pytest.approx(np.sqrt(np.pi / steep), rel=1e-7)


@pytest.mark.parametrize(
    ("text", "end", "exact"),
    [
        ("x' = sqrt(x) + 0.1; x(0) = 0", 1.0, None),
        ("x' = 1 - x + x^n/(1 + x^n); x(0) = 0; param n = 2", 3.0, None),
        ("x' = -cbrt(x - 1); x(0) = 1", 1.0, 1.0),
        ("v' = -1 - 0.1*sqrt(v^2)*v; v(0) = 1; at 1.5: v = 0", 3.0, -np.tanh(np.sqrt(0.1) * 1.5) / np.sqrt(0.1)),
    ],
)
def test_auto_goes_on_where_the_series_does_not_exist(text, end, exact):
    m = sd.model(text)
    reference = m.solve((0, end), method="dop853", rtol=1e-12, atol=1e-13).u[-1, 0] if exact is None else exact
    for options in ({}, {"saveat": [end]}, {"dtmax": 10.0}):
        sol = m.solve((0, end), rtol=1e-9, atol=1e-11, **options)
        assert sol.success
        assert sol.u[-1, 0] == pytest.approx(reference, rel=1e-7)
        assert np.isfinite(sol(end / 2)).all()
    many = m.ensemble(size=2).solve((0, end), rtol=1e-9, atol=1e-11)
    assert many.u[:, -1, 0] == pytest.approx(reference, rel=1e-7)
    if "^n" not in text:
        named = m.solve((0, end), rtol=1e-9, method="taylor")
        assert not named.success
        assert "power series" in named.message


@pytest.mark.parametrize("w", [1e14, 1e10, 1e-10, 1e-13, 1e-18])
@pytest.mark.parametrize("rtol", [1e-8, 1e-12])
def test_the_unit_of_time_does_not_matter(w, rtol):
    m = sd.model("x' = w*v; v' = -w*x; x(0) = 1; v(0) = 0; param w = 1")
    steps = m.solve((0, 20), method="taylor", rtol=rtol, atol=1e-12).stats["steps"]
    sol = m.solve((0, 20 / w), method="taylor", p={"w": w}, rtol=rtol, atol=1e-12)
    assert sol.u[-1, 0] == pytest.approx(np.cos(20.0), abs=30 * rtol)
    assert sol.stats["steps"] <= 3 * steps + 20  # the first ones grow from small
