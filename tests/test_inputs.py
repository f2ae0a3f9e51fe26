"""Inputs from tables: against scipy's interpolation, through every target, against solve_ivp piece by piece."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
import sympy
import torch
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicSpline

import sciml_dsl as sd
from sciml_dsl.errors import DataError, InputError, MissingValueError, ModelError, UnknownNameError
from sciml_dsl.model.interpolate import breaks, evaluate, table, tail, untail
from sciml_dsl.model.spec import Input
from sciml_dsl.solve.methods.registry import METHODS
from tests.test_source_targets import TARGETS, functions

KINDS = ("linear", "constant", "cubic")
T = np.array([0.0, 0.7, 1.0, 2.2, 3.0, 3.1, 4.5, 6.0])
Y = np.array([0.3, 2.0, -1.5, 0.0, 4.0, 4.0, 1.0, 2.5])


def truth(kind, t=T, y=Y):
    """The interpolation by scipy or by hand, `f(t, order)`."""
    if kind == "cubic":
        spline = CubicSpline(t, y)  # not-a-knot
        return lambda s, order=0: spline(s, order)
    if kind == "constant":
        return lambda s, order=0: y[np.searchsorted(t, s, side="right") - 1] if order == 0 else 0.0 * np.asarray(s)
    slope = np.append(np.diff(y) / np.diff(t), np.diff(y)[-1] / np.diff(t)[-1])

    def lines(s, order=0):
        i = np.clip(np.searchsorted(t, s, side="right") - 1, 0, t.size - 1)
        return (np.interp(s, t, y), slope[i], 0.0 * slope[i])[min(order, 2)]

    return lines


# ---------------------------------------------------------------- interpolation


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [2, 3, 4, 8])
def test_pieces_agree_with_scipy(kind, rows):
    t, y = T[:rows], Y[:rows]
    piece, f = table(Input("u", kind), t, y), truth(kind, t, y)
    at = np.concatenate([np.linspace(t[0], t[-1], 57), t])
    for order in range(3):
        np.testing.assert_allclose(evaluate(piece, at, order), f(at, order), rtol=1e-12, atol=1e-11)
    assert np.isnan(evaluate(piece, t[0] - 0.1))
    assert np.isnan(evaluate(piece, t[-1] + 0.1)) == (kind != "constant")
    (back,) = untail(tail([piece]), 1)
    assert all(np.array_equal(a, b) for a, b in zip(piece, back, strict=True))


def test_breaks_are_jumps_and_kinks():
    np.testing.assert_array_equal(breaks(table(Input("u", "constant"), T, Y)), T[[1, 2, 3, 4, 6, 7]])
    np.testing.assert_array_equal(breaks(table(Input("u"), T, Y)), T[1:-1])
    assert breaks(table(Input("u", "cubic"), T, Y)).size == 0
    assert breaks(table(Input("u"), np.arange(5.0), 0.1 * np.arange(5.0))).size == 0
    np.testing.assert_array_equal(breaks(table(Input("u", "cubic", hold=True), T, Y)), T[[0, -1]])


@pytest.mark.parametrize("kind", KINDS)
def test_hold_keeps_the_end_values(kind):
    piece = table(Input("u", kind, hold=True), T, Y)
    assert evaluate(piece, np.array([-1e6, -0.5, 6.5, 1e6])).tolist() == [0.3, 0.3, 2.5, 2.5]
    np.testing.assert_allclose(evaluate(piece, T), Y, atol=1e-14)


@pytest.mark.parametrize("numbers", [[], [1.0], [5.0, 1, 2, 3], [1.0, 9, 0, 1, 2, 3], [1.0, -1, 0, 1], [0.0, 1, 0, 1]])
def test_what_is_no_tail_is_refused(numbers):
    assert untail(np.array(numbers), 1) is None
    m = sd.model("input u; x' = u; x(0) = 0")
    from sciml_dsl.codegen.native import functions as native
    from sciml_dsl.solve.integrate import Integrator

    with pytest.raises(InputError, match="no tables"):
        Integrator(native(m)).run(np.zeros(1), np.array(numbers), 0.0, 1.0)


# ---------------------------------------------------------------- every target, the same numbers

TEXT = """model Mixed
x' = -k*x + u*v + w(t)^2
y' = -y*g(x) + (if x > 1 then u else v^2)
total = x + u
g(a) = a + w
x(0) = 1; y(0) = k
param k = 1.3
input u, v constant hold, w cubic
when u > 3: y += v
"""
STATE, P, V = [1.7, 0.6], [1.3], [0.3, -1.1]
ALL = {"u": (T, Y), "v": (T[:3], Y[:3]), "w": (T[1:], Y[::-1][1:])}


@pytest.fixture(scope="module")
def mixed():
    return sd.model(TEXT).with_inputs(ALL)


def values(t):
    """(u, v, w) and their first derivatives, by scipy."""
    pairs = [(truth("linear"), t), (truth("constant", T[:3], Y[:3]), min(t, 1e9)), (truth("cubic", *ALL["w"]), t)]
    return [float(f(s)) for f, s in pairs], [float(f(s, 1)) for f, s in pairs]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("t", [0.8, 2.2, 5.9])
def test_every_target_gives_the_same_numbers(target, t, mixed, tmp_path):
    call, _ = functions(target, mixed, tmp_path)
    p = mixed.parameter_vector().tolist() if target in ("numba", "c", "cuda") else P
    (u, v, w), (du, dv, dw) = values(t)
    (x, y), (k,) = STATE, P
    expected = {
        "f": [-k * x + u * v + w**2, -y * (x + w) + u],
        "jacobian": [[-k, 0.0], [-y, -(x + w)]],
        "parameter_jacobian": [[-x], [0.0]],
        "time_gradient": [du * v + u * dv + 2 * w * dw, -y * dw + du],
        "observables": [x + u],
        "roots": [u - 3],
        "affect_0": [x, y + v],
    }
    for name, value in expected.items():
        got = call(name, np.shape(value), t, STATE, p)
        np.testing.assert_allclose(got, value, rtol=1e-12, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(call("jvp", (2,), t, STATE, p, V), np.array(expected["jacobian"]) @ V, rtol=1e-12)


@pytest.mark.parametrize("target", ["numba", "native", "numpy", "torch", "python"])
def test_callables_take_the_tables_behind_the_parameters(target):
    m = sd.model("input u cubic; x' = u - k*x; param k = 2")
    q = m.parameter_vector(inputs={"u": (T, Y)})
    f = m.rhs(target)
    wrap = {"torch": lambda a: torch.tensor(a, dtype=torch.float64), "python": list}.get(target, np.asarray)
    got = f(1.9, wrap([0.5]), wrap(q))
    np.testing.assert_allclose(np.asarray(got.detach() if target == "torch" else got), [CubicSpline(T, Y)(1.9) - 1.0])
    if target in ("numpy", "torch", "python"):
        with pytest.raises(ValueError, match="tables"):
            f(1.9, wrap([0.5]), wrap([2.0]))
    if target == "native":
        with pytest.raises(InputError, match="parameter_vector"):
            f(1.9, [0.5], [2.0])


def test_arrays_of_times_and_of_tables():
    m = sd.model("input u; x' = u*x")
    tables = np.stack([m.parameter_vector(inputs={"u": (T, s * Y)}) for s in (1.0, 2.0, -3.0)])
    times = np.array([0.1, 2.5, 5.0])
    expected = np.array([1.0, 2.0, -3.0]) * np.interp(times, T, Y) * 0.5
    got = m.rhs("numpy")(times, np.full((3, 1), 0.5), tables)
    np.testing.assert_allclose(got[:, 0], expected, rtol=1e-14)
    f = m.rhs("torch")
    t = torch.tensor(times, requires_grad=True)
    out = f(t, torch.full((3, 1), 0.5, dtype=torch.float64), torch.tensor(tables))
    np.testing.assert_allclose(out[:, 0].detach(), expected, rtol=1e-14)
    (slope,) = torch.autograd.grad(out.sum(), t)
    np.testing.assert_allclose(slope, np.array([0.5, 1.0, -1.5]) * truth("linear")(times, 1), rtol=1e-13)


# ---------------------------------------------------------------- solutions


def reference(f, t0, t1, x0, k, knots=T):
    """x' = f(t) - k x by solve_ivp, stopped at every knot, with one-sided values of f."""
    ends = [t0, *sorted((s for s in knots if min(t0, t1) < s < max(t0, t1)), reverse=t1 < t0), t1]
    for a, b in itertools.pairwise(ends):
        low, high = np.nextafter(min(a, b), np.inf), np.nextafter(max(a, b), -np.inf)
        done = solve_ivp(
            lambda s, x, low=low, high=high: f(np.clip(s, low, high)) - k * x, (a, b), [x0], rtol=1e-11, atol=1e-13
        )
        x0 = done.y[0, -1]
    return x0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["tsit5", "rodas5p"])
@pytest.mark.parametrize("span", [(0.0, 6.0), (6.0, 0.0), (0.7, 3.0), (3.0, 0.7), (0.2, 0.6)])
def test_solutions_agree_with_solve_ivp(kind, method, span):
    m = sd.model(f"input u {kind}; x' = u - k*x; x(0) = 1; param k = 0.7")
    sol = m.solve(span, inputs={"u": (T, Y)}, method=method, rtol=1e-10, atol=1e-12)
    assert sol.success
    assert sol.u[-1, 0] == pytest.approx(reference(truth(kind), *span, 1.0, 0.7), abs=3e-8)
    assert sol.stats["rejected"] < 20


def test_a_pulse_against_its_formula():
    """One compartment, infusion of rate 2 from t = 1 to 4, elimination k: the textbook's formula."""
    m = sd.model("input rate = [(0, 0), (1, 2), (4, 0)] constant; A' = rate - k*A; A(0) = 0; param k = 0.3")
    t = np.linspace(0, 12, 49)
    falling = (np.exp(0.9) - 1) * np.exp(-0.3 * (t - 1))
    level = np.where(t < 1, 0.0, np.where(t < 4, 1 - np.exp(-0.3 * (t - 1)), falling))
    sol = m.solve((0, 12), saveat=t, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(sol["A"], 2 / 0.3 * level, atol=1e-8)
    assert {1.0, 4.0} <= set(m.solve((0, 12)).t)  # the solver stepped on the jumps


def test_events_and_observables_see_the_input():
    m = sd.model("input u = [(0, 0), (4, 8)]; x' = 0; y = 2*u + x; x(0) = 1; when u > 3: x += u")
    sol = m.solve((0, 4), saveat=[1.0, 1.4, 1.6, 4.0])
    np.testing.assert_allclose(sol["x"], [1, 1, 4, 4], atol=1e-9)
    np.testing.assert_allclose(sol["y"], [5, 6.6, 10.4, 20], atol=1e-9)
    steps = sd.model("input u = [(0, 0), (1, 5), (2, 0)] constant; x' = 0; x(0) = 1; when u > 3: x += 1")
    np.testing.assert_allclose(steps.solve((0, 3), saveat=[0.9, 1.1, 2.5])["x"], [1, 2, 2])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["tsit5", "rodas5p"])
def test_sensitivities_and_layers_agree_with_differences(kind, method):
    m = sd.model(f"input u {kind}; x' = u*x - k*x^2; x(0) = 1; param k = 0.7").with_inputs({"u": (T, 0.3 * Y)})
    tight = {"rtol": 1e-11, "atol": 1e-13, "method": method}
    at = np.array([1.0, 3.05, 6.0])

    def x(k):
        return m.solve((0, 6), p={"k": k}, saveat=at, **tight)["x"]

    slope = (8 * (x(0.701) - x(0.699)) - (x(0.702) - x(0.698))) / 0.012
    sol = m.solve((0, 6), saveat=at, sensitivities=["k"], **tight)
    np.testing.assert_allclose(sol.sensitivities[:, 0, 0], slope, rtol=2e-6)
    for sensitivity in ("forward", "discrete_adjoint"):
        if sensitivity == "discrete_adjoint" and method != "tsit5":
            continue
        layer = m.layer(at, t0=0.0, sensitivity=sensitivity, **tight)
        layer()[-1, 0].backward()
        assert float(layer.p.grad[0]) == pytest.approx(slope[-1], rel=2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_every_method_and_ensembles(kind):
    m = sd.model(f"input u {kind}; x' = u - k*x; x(0) = 1; param k = 0.7").with_inputs({"u": (T, Y)})
    end = reference(truth(kind), 0.0, 4.5, 1.0, 0.7)
    marked = sd.model(m.code("sciml").replace("k*x", "@stiff k*x"))  # IMEX methods need a marked term
    for method in ("auto", *(name for name, entry in METHODS.items() if not entry.fixed and name != "taylor")):
        imex = method != "auto" and METHODS[method].kind == "imex"
        sol = (marked if imex else m).solve((0, 4.5), method=method, rtol=1e-8, atol=1e-10)
        assert sol.success and sol.u[-1, 0] == pytest.approx(end, abs=2e-5), method
    ks = np.array([0.2, 0.7, 3.0])
    many = m.ensemble(p={"k": ks}).solve((0, 4.5), saveat=[1.0, 4.5], rtol=1e-9, atol=1e-11)
    for i, k in enumerate(ks):
        one = m.solve((0, 4.5), p={"k": float(k)}, saveat=[1.0, 4.5], rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(many.u[i], one.u, rtol=1e-9)
    with pytest.raises(DataError, match="is needed from"):
        m.ensemble(p={"k": ks}).solve((-1, 4))


# ---------------------------------------------------------------- tables


def test_tables_of_many_kinds():
    import pandas

    m = sd.model("input T from temperature; x' = T; x(0) = 0")
    frame = pandas.DataFrame({"t": [0, 1, 2, 4], "temperature": [1.0, np.nan, 3.0, 5.0], "other": list("abcd")})
    wanted = m.solve((0, 4), inputs={"T": ([0, 2, 4], [1.0, 3.0, 5.0])}).u[-1, 0]
    for given in (
        frame,
        {"t": frame["t"], "temperature": frame["temperature"]},
        {"T": pandas.Series([1.0, 3.0, 5.0], index=[0, 2, 4])},
    ):
        assert m.solve((0, 4), inputs=given).u[-1, 0] == wanted == pytest.approx(12.0)
        assert m.with_inputs(given).solve((0, 4)).u[-1, 0] == wanted
    assert m.solve((0, 4), inputs={"T": 2.5}).u[-1, 0] == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"v": ([0, 1], [1, 2])}, UnknownNameError, "no input `v`"),
        ({"t": [0, 1], "v": [1, 2]}, UnknownNameError, "no column `u`"),
        ({"u": ([0, 1], [1, 2, 3])}, DataError, "2 times and 3 values"),
        ({"u": ([1, 0], [1, 2])}, DataError, "must increase"),
        ({"u": ([0, 0, 1], [1, 2, 3])}, DataError, "two values at t = 0"),
        ({"u": ([0, 1], [np.nan, np.nan])}, DataError, "no measured value"),
        ({"u": ([0, 1], [np.nan, 1.0])}, DataError, "one row"),
        ({"u": ([0, np.nan], [1, 1.0])}, DataError, "not a finite"),
        ({"u": ([0, 1], [1, np.inf])}, DataError, "infinite"),
        ({"u": "abc"}, InputError, "pair of times"),
        ({"u": ("ab", "cd")}, DataError, "must hold numbers"),
        ({"u": np.sin}, InputError, "is a function"),
        (3.0, InputError, "inputs are a table"),
        ({"u": ([0, 3], [1, 2])}, DataError, r"from t = 0 to 3, but is needed from 0 to 4"),
        ({"u": ([1, 4], [1, 2])}, DataError, r"from t = 1 to 4, but is needed from 0 to 4"),
    ],
)
def test_tables_that_do_not_fit(given, error, message):
    m = sd.model("input u; x' = u; x(0) = 0")
    with pytest.raises(error, match=message):
        m.solve((0, 4), inputs=given)


def test_missing_data_and_models_without_inputs():
    m = sd.model("input u, v; x' = u + v; x(0) = 0")
    with pytest.raises(MissingValueError, match="no data for the input `v`"):
        m.solve((0, 1), inputs={"u": ([0, 1], [1, 2])})
    kept = m.with_inputs({"u": ([0, 1], [1, 2])})
    assert kept.solve((0, 1), inputs={"v": ([0, 1], [1, 1])}).u[-1, 0] == pytest.approx(2.5)
    with pytest.raises(UnknownNameError, match="no inputs"):
        sd.model("x' = 1; x(0) = 0").solve((0, 1), inputs={"u": 1})


# ---------------------------------------------------------------- the language


def test_text_round_trip_pickle_and_equality(mixed):
    assert mixed.inputs == ("u", "v", "w")
    again = sd.model(str(mixed))
    assert again == mixed == pickle.loads(pickle.dumps(mixed))
    assert again != sd.model(TEXT)
    assert sd.model(str(sd.model(TEXT))) == sd.model(TEXT)
    many = sd.model("input u; x' = u").with_inputs({"u": (np.arange(99.0), np.sin(np.arange(99.0)))})
    assert sd.model(str(many)) == many
    assert repr(many).endswith("1 input u>")
    assert many.dependencies() == {"x": ("u",)}


def test_sympy_sees_a_function_of_time(mixed):
    t, x = sympy.symbols("t x")
    m = sd.model("input u; x' = -x*u + NN(x); x(0) = 1")
    assert m.equations["x"].subs(sympy.Function("NN")(x), 0) == -x * sympy.Function("u")(t)
    assert m.jacobian()[0, 0].has(sympy.Function("u")(t))
    found = m.with_terms({"NN": 2 * sympy.Function("u")(t) * x})
    assert found == sd.model("input u; x' = -x*u + 2*u*x; x(0) = 1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("input u = [(0, 1), (0, 2)]; x' = u", "must increase"),
        ("input u = [(0, 1)]; x' = u", "one row is no table"),
        ("input u = [(0, a), (1, 2)]; x' = u; param a = 1", "must be a number"),
        ("input u; x' = u; x(0) = u", "depends on the input `u`"),
        ("input u; x' = 1; at u: x += 1", "depends on the input `u`"),
        ("input u; x' = u(t - 1)", "at the time t only"),
        ("input u; x' = u(x)", "at the time t only"),
        ("input u; u' = 1", "is an input and defined"),
        ("input t; x' = t", "`t` is the time"),
        ("input u cubist; x' = u", "cubist"),
        ("input u = cubic; x' = u", "input u cubic"),
        ("input u (cubic); x' = u", "input u cubic"),
        ("input u; when x > 1: u += 1; x' = u", "cannot change it"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(ModelError, match=message.replace("(", r"\(")):
        sd.model(text)


def test_the_words_are_names_elsewhere():
    m = sd.model("input' = -input; input(0) = 1; hold = linear*input; param linear = 2, constant = 1, cubic = 3")
    assert m.states == ("input",) and m.observables == ("hold",)
    text = "input constant constant, from, linear hold from cubic = [(0, 1), (1, 2)]; x' = constant + from + linear"
    m = sd.model(text)
    assert [(i.name, i.interpolation, i.hold, i.column) for i in m.spec.inputs] == [
        ("constant", "constant", False, None),
        ("from", "linear", False, None),
        ("linear", "linear", True, "cubic"),
    ]


def test_arrays_are_driven_by_an_input():
    m = sd.model("x[i]' = i*u - x[i] for i in 1..3; x(0) = 0; input u constant").with_inputs({"u": (T, Y)})
    one = sd.model("x' = u - x; x(0) = 0; input u constant").with_inputs({"u": (T, Y)})
    tight = {"rtol": 1e-10, "atol": 1e-12, "saveat": [1.0, 4.5]}
    np.testing.assert_allclose(m.solve((0, 6), **tight).u, one.solve((0, 6), **tight).u * [1, 2, 3], rtol=1e-8)
    assert sd.model(str(m)) == m


# ---------------------------------------------------------------- many rows

LAG = "T' = (u - T)/2; T(0) = 0; input u"


def lag(t, u):
    """The solution of LAG at the rows, line by line in closed form."""
    out = np.zeros(t.size)
    for k in range(t.size - 1):
        h = t[k + 1] - t[k]
        s = (u[k + 1] - u[k]) / h
        out[k + 1] = (out[k] - (u[k] - 2 * s)) * np.exp(-h / 2) + u[k + 1] - 2 * s
    return out


def scaled_error(t, u, rtol, **options):
    every = t.size // 100
    table = {"u": (t, u)}
    sol = sd.model(LAG).solve((t[0], t[-1]), inputs=table, saveat=t[::every], rtol=rtol, atol=rtol / 100, **options)
    assert sol.success
    truth = lag(t, u)[::every]
    return np.abs(sol["T"] - truth).max() / np.abs(truth).max() / rtol, sol.stats["steps"]


def test_rows_that_the_tolerance_cannot_see_cost_no_step():
    t = np.linspace(0, 100, 100_001)
    smooth = np.sin(t) + 0.3 * np.cos(3.1 * t)
    for rtol, most in ((1e-4, 2_000), (1e-6, 5_000)):
        error, steps = scaled_error(t, smooth, rtol)
        assert error < 2 and steps < most
    error, steps = scaled_error(t, smooth, 1e-8)  # here they are seen; more stops than max_steps are no failure
    assert error < 2 and steps > 90_000


def test_rough_rows_are_all_stopped_at():
    t = np.linspace(0, 100, 5_001)
    error, steps = scaled_error(t, np.random.default_rng(3).normal(size=t.size), 1e-6)
    assert error < 2 and steps >= 4_999
    few = np.linspace(0, 100, 901)
    assert breaks(table(Input("u"), few, np.sin(few)), 1e-2).size >= 890


@pytest.mark.parametrize("height", [1.0, 0.01])
def test_a_smooth_bump_of_many_rows_is_not_stepped_over(height):
    t = np.linspace(0, 1000, 200_001)
    u = height * np.exp(-(((t - 613.0) / 0.3) ** 2)) + np.where(t > 990.0, np.sin(t - 990.0) ** 2, 0.0)
    sol = sd.model(LAG).solve((0, 1000), inputs={"u": (t, u)}, saveat=[614.0, 620.0], rtol=1e-6, atol=1e-10)
    truth = lag(t, u)[np.searchsorted(t, [614.0, 620.0])]
    assert sol["T"] == pytest.approx(truth, rel=1e-4)
    assert sol.stats["steps"] < 20_000


def test_max_steps_are_beside_the_rows():
    t = np.linspace(0, 10, 301)
    u = np.arange(t.size) % 2.0
    sol = sd.model(LAG).solve((0, 10), inputs={"u": (t, u)}, max_steps=50)
    assert sol.success and sol.stats["steps"] >= 299
