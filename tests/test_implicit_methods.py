"""ESDIRK, Radau, NDF and IMEX methods: coefficients, orders, published end values, linear algebra, failures."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import sciml_dsl as sd
from order_conditions import defects, trees
from sciml_dsl.errors import InputError, UnsupportedError
from sciml_dsl.graph.split import split
from sciml_dsl.solve.methods import (
    imex_kencarp4,
    kencarp4,
    kvaerno5,
    ndf_coefficients,
    radau_tables,
    registry,
    trbdf2,
)
from stiff_problems import PROBLEMS

NEWTON = ("trbdf2", "kencarp4", "kvaerno5", "radauiia5", "radauiia9", "radauiia13", "radau", "ndf")

# ---------------------------------------------------------------- coefficients

DIAGONAL = {"trbdf2": (trbdf2, 2, 3), "kencarp4": (kencarp4, 4, 3), "kvaerno5": (kvaerno5, 5, 4)}


@pytest.mark.parametrize("name", DIAGONAL)
def test_diagonal_tableaux_satisfy_their_order_conditions(name):
    module, order, embedded = DIAGONAL[name]
    t = module.TABLEAU
    a = t.a.astype(np.longdouble)
    assert max(defects(a, list(a[-1]), order).values()) < 5e-16
    assert defects(a, list(a[-1]), order + 1)[order + 1] > 1e-4
    assert max(defects(a, list(a[-1] - t.e), embedded).values()) < 5e-16
    assert a @ t.c == pytest.approx(t.c**2 / 2, abs=1e-15)  # stages of order two
    assert np.diag(a)[1:] == pytest.approx(a[-1, -1]) and not np.triu(a, 1).any() and not a[0].any()
    for theta in (0.3, 0.7, 1.0):
        b = sum(t.dense[q] * theta ** (q + 1) for q in range(len(t.dense)))
        last = min(order, 4 if name != "trbdf2" else 3)
        assert max(defects(a, list(b), last, theta).values()) < 1e-14
    assert t.dense.sum(0) == pytest.approx(t.a[-1], abs=1e-14)
    assert t.dense[0] == pytest.approx(np.eye(t.stages)[0], abs=1e-13)  # slopes of both ends
    assert np.arange(1, len(t.dense) + 1) @ t.dense == pytest.approx(np.eye(t.stages)[-1], abs=1e-13)


def test_stability_at_infinity_and_on_the_imaginary_axis():
    for module, _, _ in DIAGONAL.values():
        t = module.TABLEAU

        def growth(z, a=t.a):
            inverse = np.linalg.solve(np.eye(len(a)) - z * a, np.ones(len(a)))
            return abs(1 + z * a[-1] @ inverse)

        assert growth(-1e9) < 1e-6  # L-stable
        assert max(growth(1j * y) for y in np.geomspace(0.01, 1e4, 200)) < 1 + 1e-9  # A-stable


def test_additive_tableau_satisfies_the_coupled_order_conditions():
    t = imex_kencarp4.TABLEAU
    parts = [t.implicit.astype(np.longdouble), t.explicit.astype(np.longdouble)]
    for a in parts:
        assert a.sum(1) == pytest.approx(t.c, abs=1e-15)

    def coloured(tree):
        """Elementary weights of a tree for every way to colour its edges."""
        found = [np.ones(6, dtype=np.longdouble)]
        for branch in tree:
            inner = [a @ w for a, w in product(parts, coloured(branch))]
            found = [w * v for w, v in product(found, inner)]
        return found

    def density(tree):
        return (1 + sum(map(size, tree))) * np.prod([density(branch) for branch in tree])

    def size(tree):
        return 1 + sum(map(size, tree))

    for order in range(1, 5):
        for tree in trees(order):
            for weight in coloured(tree):
                assert float(t.b @ weight) == pytest.approx(1 / density(tree), abs=1e-15)
                if order < 4:
                    assert float((t.b - t.e) @ weight) == pytest.approx(1 / density(tree), abs=1e-15)


@pytest.mark.parametrize("stages", [3, 5, 7])
def test_radau_tables_are_the_collocation_methods(stages):
    table = radau_tables.TABLES[stages]
    c = np.array(table.c)
    k = np.arange(1, stages + 1)
    # A from its definition: A c^(k-1) = c^k/k
    a = np.linalg.solve((c[:, None] ** (k - 1)).T, (c[:, None] ** k / k).T).T
    b = a[-1]
    assert [b @ c ** (q - 1) for q in range(1, 2 * stages)] == pytest.approx([1 / q for q in range(1, 2 * stages)])
    t, inverse = np.array(table.t), np.array(table.t_inverse)
    block = np.zeros((stages, stages))
    block[0, 0] = table.eigenvalues[0]
    for q in range(1, stages, 2):
        x, y = table.eigenvalues[q : q + 2]
        block[q : q + 2, q : q + 2] = [[x, -y], [y, x]]
    assert t @ inverse == pytest.approx(np.eye(stages), abs=1e-12)
    assert a @ t @ block == pytest.approx(t, abs=1e-11)
    # The error compares with the formula that gives the slope at the start the weight 1/lambda.
    weight = 1 / table.eigenvalues[0]
    embedded = np.linalg.solve((c[:, None] ** (k - 1)).T, 1 / k - weight * (k == 1))
    assert np.array(table.e) @ a / table.eigenvalues[0] + b == pytest.approx(embedded, abs=1e-11)
    assert table.powers @ c[:, None] ** k == pytest.approx(np.eye(stages), abs=1e-10)


def test_ndf_formulas_are_exact_for_polynomials_of_their_degree():
    # L. F. Shampine & M. W. Reichelt (1997), section 2.1: sum_{m<=k} nabla^m u/m - kappa gamma_k (u - guess) = h u'
    for k in range(1, 6):
        gamma = sum(1 / m for m in range(1, k + 1))
        assert ndf_coefficients.GAMMA[k] == pytest.approx(gamma)
        kappa = 1 - ndf_coefficients.ALPHA[k] / gamma
        assert ndf_coefficients.ERROR_CONSTANT[k] == pytest.approx(kappa * gamma + 1 / (k + 1))
        u = np.arange(k + 2.0)[::-1] ** k  # t^k at t = k+1, k, ..., 0
        differences = [u[0]]
        row = u
        for _ in range(k + 1):
            row = row[:-1] - row[1:]
            differences.append(row[0])
        slope = sum(differences[m] / m for m in range(1, k + 1)) - kappa * gamma * differences[k + 1]
        assert slope == pytest.approx(k * (k + 1.0) ** (k - 1))
        theta = np.array([-0.5, 0.3, 1.0])  # the interpolant passes through the same polynomial
        powers = theta[:, None] ** np.arange(6)
        value = powers @ ndf_coefficients.BASIS[: k + 1].T @ np.array(differences[: k + 1])
        assert value == pytest.approx((k + theta) ** k)


# ---------------------------------------------------------------- orders of the steps taken

FORCED = """
x' = -2*x + 0.3*y + cos(2*t)
y' = x - 3*y + t*sin(t)
x(0) = 1; y(0) = 0.5
"""


def forced(t, u):
    return [-2 * u[0] + 0.3 * u[1] + np.cos(2 * t), u[0] - 3 * u[1] + t * np.sin(t)]


@pytest.mark.parametrize(
    ("name", "order", "between", "steps"),
    [
        ("trbdf2", 2, 2, 20),
        ("kencarp4", 4, 4, 10),
        ("kvaerno5", 5, 4, 10),
        ("radauiia5", 5, 3, 6),
        ("radauiia9", 9, 5, 2),
        ("imex_kencarp4", 4, 3, 10),
    ],
)
def test_convergence_with_fixed_steps(name, order, between, steps):
    text = FORCED.replace("-2*x", "-@stiff(2*x)").replace("t*sin(t)", "@stiff(t*sin(t))")
    m = sd.model(text if name.startswith("imex") else FORCED)
    exact = solve_ivp(forced, (0, 3), [1, 0.5], "DOP853", rtol=1e-13, atol=1e-14, dense_output=True).sol
    times = np.linspace(0, 3, 37)
    ends, middles = [], []
    for n in (steps, 2 * steps):
        # nothing is rejected at this tolerance; the equations are linear, so each stage is solved exactly
        sol = m.solve((0, 3), method=name, rtol=0.5, atol=100.0, dt0=3 / n, dtmax=3 / n)
        assert sol.stats["steps"] == n
        ends.append(np.abs(sol.u[-1] - exact(3.0)).max())
        middles.append(np.abs(sol(times) - exact(times).T).max())
    assert order - 0.35 < np.log2(ends[0] / ends[1]) < order + 1.5
    assert np.log2(middles[0] / middles[1]) > min(between, order) - 0.35


def test_radau_of_order_13_needs_few_steps():
    exact = solve_ivp(forced, (0, 3), [1, 0.5], "DOP853", rtol=1e-13, atol=1e-14).y[:, -1]
    for n, error in ((2, 5e-9), (4, 2e-12)):
        sol = sd.model(FORCED).solve((0, 3), method="radauiia13", rtol=0.5, atol=100.0, dt0=3 / n, dtmax=3 / n)
        assert sol.stats["steps"] == n
        assert np.abs(sol.u[-1] - exact).max() < error


# ---------------------------------------------------------------- published end values

TOLERANCE = {"trbdf2": 1e-6, "kencarp4": 1e-8, "kvaerno5": 1e-9, "ndf": 1e-9, "radauiia5": 1e-9}
ALLOWED = {"trbdf2": 3e-3, "kencarp4": 3e-6, "kvaerno5": 3e-7, "ndf": 3e-7, "radauiia5": 3e-9}


@pytest.mark.parametrize("name", TOLERANCE)
@pytest.mark.parametrize("problem", ["hires", "orego", "rober", "vdpol", "pollu", "akzo"])
def test_published_end_values(problem, name):
    p, rtol = PROBLEMS[problem], TOLERANCE[name]
    sol = p.model().solve((0, p.t1), p.u0, method=name, rtol=rtol, atol=rtol * p.zero, saveat=[p.t1], max_steps=50_000)
    assert p.error(sol) < ALLOWED[name]


@pytest.mark.parametrize("name", ["radau", "radauiia9", "radauiia13"])
@pytest.mark.parametrize("problem", [p for p in PROBLEMS if p != "medakzo"])
def test_published_end_values_to_ten_digits(problem, name):
    p = PROBLEMS[problem]
    # ROBER conserves mass only to rounding, 1e-16 beside 1e-8 at the end; the tolerance of E5 is 1e-7 of its end value
    digits = {"rober": 3e-9, "e5": 2e-8, "orego": 2e-10, "vdpol": 2e-10}.get(problem, 1e-10)
    sol = p.model().solve((0, p.t1), p.u0, method=name, rtol=1e-11, atol=1e-11 * p.zero, saveat=[p.t1])
    assert p.error(sol) < digits
    assert sol.stats["steps"] < 3000


@pytest.mark.parametrize("name", ["radau", "ndf"])
def test_medical_akzo_nobel(name):
    p = PROBLEMS["medakzo"]
    rtol = {"radau": 1e-7, "ndf": 1e-8}[name]
    sol = p.model().solve((0, p.t1), p.u0, method=name, rtol=rtol, atol=rtol * p.zero, saveat=[p.t1])
    assert p.error(sol) < 2e-6


def test_radau_changes_its_order():
    p = PROBLEMS["vdpol"]
    loose = p.model().solve((0, p.t1), p.u0, method="radau", rtol=1e-5, atol=1e-8)
    five = p.model().solve((0, p.t1), p.u0, method="radauiia5", rtol=1e-5, atol=1e-8)
    assert p.error(loose) < 1e-4 and loose.stats["steps"] < 0.9 * five.stats["steps"]


# ---------------------------------------------------------------- dense output, events, linear algebra


@pytest.mark.parametrize("name", NEWTON)
def test_output_between_the_steps(name):
    m = sd.model("x' = -50*(x - cos(t)); y' = x*y - y^2; x(0) = 0; y(0) = 2")
    exact = solve_ivp(
        lambda t, u: [-50 * (u[0] - np.cos(t)), u[0] * u[1] - u[1] ** 2], (0, 4), [0, 2], "Radau",
        rtol=1e-11, atol=1e-12, dense_output=True,
    ).sol  # fmt: skip
    times = np.linspace(0, 4, 101)
    rtol = 1e-5 if name == "trbdf2" else 1e-7
    sol = m.solve((0, 4), method=name, rtol=rtol, atol=rtol, saveat=times)
    # what is stiff is interpolated to the order of the stages
    assert np.abs(sol.u - exact(times).T).max() < {"radau": 3000, "ndf": 3000}.get(name, 300) * rtol
    assert m.solve((0, 4), method=name, rtol=rtol, atol=rtol)(times) == pytest.approx(sol.u, abs=1e-12)


@pytest.mark.parametrize("name", NEWTON)
def test_events_and_backwards(name):
    m = sd.model("""
        x' = -y + 0*z; y' = x; z' = -1000*(z - x)
        x(0) = 1; y(0) = 0; z(0) = 1
        when x < 0: x += 2
        at 4: y += 1
    """)
    rtol = 1e-6 if name == "trbdf2" else 1e-8
    sol = m.solve((0, 6), method=name, rtol=rtol, atol=rtol)
    other = m.solve((0, 6), method="rodas5p", rtol=1e-10, atol=1e-10)
    assert [k for _, k in sol.events] == [k for _, k in other.events]
    assert [t for t, _ in sol.events] == pytest.approx([t for t, _ in other.events], abs=3e4 * rtol * 1e-2)
    assert sol.u[-1] == pytest.approx(other.u[-1], abs=3e4 * rtol * 1e-1)
    plain = sd.model("x' = -y; y' = x; x(0) = 1; y(0) = 0")
    back = plain.solve((3, 0), {"x": np.cos(3), "y": np.sin(3)}, method=name, rtol=rtol, atol=rtol)
    assert back.u[-1] == pytest.approx([1, 0], abs=300 * rtol)


def brusselator(n: int, mark: str = "") -> str:
    """Reaction and diffusion on a line: E. Hairer & G. Wanner, Solving Ordinary Differential Equations II, IV.10."""
    d = 0.02 * (n + 1) ** 2
    lines = []
    for i in range(1, n + 1):
        for q, end, source in (("u", 1, f"1 + u{i}^2*v{i} - 4*u{i}"), ("v", 3, f"3*u{i} - u{i}^2*v{i}")):
            left = f"{q}{i - 1}" if i > 1 else end
            right = f"{q}{i + 1}" if i < n else end
            lines.append(f"{q}{i}' = {source} + {mark}{d}*({left} - 2*{q}{i} + {right})")
        lines += [f"u{i}(0) = {1 + float(np.sin(2 * np.pi * i / (n + 1)))!r}", f"v{i}(0) = 3"]
    return "\n".join(lines)


@pytest.mark.parametrize("name", ["kvaerno5", "radau", "ndf", "imex_kencarp4"])
def test_every_kind_of_linear_algebra_gives_the_same(name):
    m = sd.model(brusselator(20, "@stiff "))
    exact = m.solve((0, 5), method="rodas5p", rtol=1e-11, atol=1e-11, saveat=[5.0]).u[-1]
    kinds = ["dense", "banded", "sparse"] + (["krylov"] if name != "radau" else [])
    for kind in kinds:
        sol = m.solve((0, 5), method=name, linear_solver=kind, rtol=1e-7, atol=1e-7, saveat=[5.0])
        assert sol.success
        assert sol.u[-1] == pytest.approx(exact, abs=3e-5 if name == "ndf" else 3e-6), kind
    if name == "radau":
        with pytest.raises(InputError, match="complex"):
            m.solve((0, 5), method=name, linear_solver="krylov")


def test_factors_serve_many_steps_of_large_models():
    m = sd.model(brusselator(40))
    for name in ("kvaerno5", "ndf"):
        stats = m.solve((0, 10), method=name, rtol=1e-6, atol=1e-8).stats
        assert stats["factorisations"] < 0.6 * stats["steps"]
        assert stats["jacobian_evaluations"] < 0.5 * stats["steps"]


# ---------------------------------------------------------------- how it fails


@pytest.mark.parametrize("name", (*NEWTON, "imex_kencarp4"))
def test_failures_have_a_status(name):
    def solve(text, t1, **options):
        return sd.model(text).solve((0, t1), method=name, **options)

    blowup = solve("x' = @stiff x^2; x(0) = 1", 2)
    assert blowup.status.name == "UNSTABLE" and blowup.t_end == pytest.approx(1, rel=1e-3)
    few = solve("x' = y; y' = @stiff 1000*(1 - x^2)*y - x; x(0) = 2; y(0) = 0", 2000, max_steps=10)
    assert few.status.name == "MAX_STEPS"
    nan = solve("x' = -1 - @stiff sqrt(x); x(0) = 1", 20)
    assert nan.status.name in ("NONFINITE", "DT_TOO_SMALL") and np.isfinite(nan.u).all()
    singular = solve("x' = @stiff exp(800*x); x(0) = 0.1", 1)
    assert not singular.success and np.isfinite(singular.u).all()


def test_names_and_what_they_need():
    assert set(NEWTON) | {"imex_kencarp4"} <= set(registry.METHODS)
    with pytest.raises(InputError, match="@stiff"):
        sd.model("x' = -x; x(0) = 1").solve((0, 1), method="imex_kencarp4")
    with pytest.raises(InputError, match="sensitivities"):
        sd.model("x' = -k*x; x(0) = 1; param k = 1").solve((0, 1), method="ndf", sensitivities=True)


# ---------------------------------------------------------------- the mark in the text


def parts(m, t, u, p):
    """Values of the stiff terms, of the rest, and of the right-hand sides."""
    from sciml_dsl.codegen.native import functions
    from sciml_dsl.solve.observe import observe

    found = functions(m).extend("stiff")
    u = np.array(u, dtype=float)
    return [
        observe(f, len(u), np.array([t]), u[None, :], np.array(p, dtype=float))[0]
        for f in (found.f_stiff, found.f_nonstiff, found.f)
    ]


def test_a_mark_changes_no_value_and_prints_back():
    text = """
        x' = a*x - @stiff k*(x - y)/2 + b; y' = -@stiff(x*y) + r
        r = @stiff(2*y) + 3*q(x); q(u) = u*@stiff(a) + u
        param a = 1.5, k = 2, b = 3; x(0) = 1; y(0) = 2
    """
    m = sd.model(text)
    plain = sd.model(text.replace("@stiff", ""))
    assert m == plain and m.equations == plain.equations
    assert m.code("latex") == plain.code("latex") and m.code("python") == plain.code("python")
    again = sd.model(m.code("sciml"))
    assert again.code("sciml") == m.code("sciml") and m.code("sciml").count("@stiff") == 4
    assert m.lint() == plain.lint() == ()
    x, y, a, k, b = 1.3, 0.4, 1.5, 2.0, 3.0
    stiff, rest, whole = parts(m, 0.0, (x, y), (a, k, b))
    assert stiff == pytest.approx([-k * (x - y) / 2, -x * y + 2 * y + 3 * x * a])
    assert rest == pytest.approx([a * x + b, 3 * x])
    assert stiff + rest == pytest.approx(whole)
    assert split(plain.spec, plain.system) is None


def test_marks_in_branches_and_in_julia():
    m = sd.model("x' = (if x > 1 then @stiff(-x) + 2 else 3*x)/2; x(0) = 2")
    for x, stiff, rest in ((2.0, -1.0, 1.0), (0.5, 0.0, 0.75)):
        assert parts(m, 0.0, [x], [])[:2] == [pytest.approx([stiff]), pytest.approx([rest])]
    julia = sd.model("@ode_def Decay begin\n dx = -@stiff k*x + 1\nend k")
    assert parts(julia, 0.0, [2.0], [3.0])[:2] == [pytest.approx([-6.0]), pytest.approx([1.0])]


def test_marks_in_arrays():
    m = sd.model("""
        const N = 4
        u[i]' = 1 - u[i] + @stiff 100*(u[i-1] - 2*u[i] + u[i+1]) for i in 2..N-1
        u[1]' = -u[1]*sum(1 + @stiff(u[j]^2) for j in 1..N); u[N]' = 0
        u[i](0) = i for i in 1..N
    """)
    u = np.array([1.0, 2, 4, 3])
    stiff, rest, whole = parts(m, 0.0, u, [])
    assert stiff == pytest.approx([-u[0] * (u**2).sum(), 100 * (1 - 4 + 4), 100 * (2 - 8 + 3), 0])
    assert rest == pytest.approx([-4 * u[0], -1, -3, 0])
    assert stiff + rest == pytest.approx(whole)
    assert sd.model(m.code("sciml")).code("sciml") == m.code("sciml") and "@stiff" in m.code("sciml")
    imex = m.solve((0, 1), method="imex_kencarp4", rtol=1e-8, atol=1e-8)
    assert imex.u[-1] == pytest.approx(m.solve((0, 1), method="radau", rtol=1e-9, atol=1e-9).u[-1], abs=1e-6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x' = sin(@stiff x)", "not linear"),
        ("x' = 1/(1 + @stiff x)", "not linear"),
        ("x' = r*r; r = @stiff(x) + 1", "not linear"),
    ],
)
def test_marks_that_are_no_terms(text, words):
    with pytest.raises(UnsupportedError, match=words):
        sd.model(text + "\nx(0) = 1").solve((0, 1), method="imex_kencarp4")
    assert sd.model(text + "\nx(0) = 1").solve((0, 0.2)).success  # other methods do not ask


def test_imex_solves_less_than_half_implicitly():
    m = sd.model(brusselator(20, "@stiff "))
    exact = m.solve((0, 5), method="rodas5p", rtol=1e-11, atol=1e-11, saveat=[5.0]).u[-1]
    errors = []
    for rtol in (1e-5, 1e-8):
        sol = m.solve((0, 5), method="imex_kencarp4", rtol=rtol, atol=rtol, saveat=[5.0])
        errors.append(np.abs(sol.u[-1] - exact).max())
        assert errors[-1] < 30 * rtol
    # the diffusion is linear and the same at all times: one Jacobian serves many steps
    assert sol.stats["jacobian_evaluations"] <= 1 + sol.stats["steps"] // 10
