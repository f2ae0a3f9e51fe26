"""The benchmarks' own arithmetic: who is compared with whom, and what is called an error.

No test looks at how long anything takes.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

import report
import truth
from cases import NAMES, compile, gradient, lotka_volterra, robertson, solve, spiral
from contest import OURS, Call, Contender, Outcome, Row, Target, judge, run_contest
from measure import Timing, side_by_side


def row(library: str, seconds: float, error: float, what: str = "", tags: str = "", main: bool = True) -> Row:
    return Row(library, what, frozenset(tags.split()), main, Timing.of([seconds]), error)


def test_the_ratio_is_taken_to_the_fastest_comparable_peer() -> None:
    rows = [row(OURS, 1.0, 1e-8), row("peer", 30.0, 1e-8), row("peer", 20.0, 2e-8), row("peer", 2.0, 1e-3)]
    verdict = judge(Target("", ratio=15.0, library="peer"), rows)
    assert verdict.measured == pytest.approx(20.0)
    assert verdict.reached


def test_a_tag_narrows_the_peers() -> None:
    rows = [row(OURS, 1.0, 1e-8), row("peer", 30.0, 1e-8, tags="same"), row("peer", 20.0, 1e-8)]
    assert judge(Target("", ratio=25.0, library="peer", tag="same"), rows).reached
    assert not judge(Target("", ratio=25.0, library="peer"), rows).reached


def test_a_larger_error_of_ours_never_reaches_a_target() -> None:
    rows = [row(OURS, 1.0, 1e-6), row("peer", 30.0, 1e-7)]
    verdict = judge(Target("", ratio=3.0, slack=1.0), rows)
    assert verdict.reached is False
    assert "our error is larger" in verdict.how


def test_a_more_accurate_peer_meets_our_tighter_run() -> None:
    rows = [row(OURS, 1.0, 1e-6), row(OURS, 4.0, 1e-8, main=False), row("peer", 30.0, 1e-7)]
    verdict = judge(Target("", ratio=3.0, slack=1.0), rows)
    assert verdict.measured == pytest.approx(7.5)
    assert verdict.reached


def test_one_unmet_peer_is_enough_to_miss() -> None:
    rows = [row(OURS, 1.0, 1e-6), row("peer", 30.0, 1e-5), row("peer", 90.0, 1e-9)]
    assert judge(Target("", ratio=3.0, slack=1.0), rows).reached is False


def test_seconds_are_judged_on_the_row_named() -> None:
    rows = [row(OURS, 0.1, math.nan, "parse"), row(OURS, 1.4, math.nan, "whole")]
    verdict = judge(Target("", seconds=1.5, row="whole"), rows)
    assert verdict.measured == 1.4
    assert verdict.reached


def test_nothing_measured_is_not_reached() -> None:
    assert judge(Target("", ratio=2.0), [row(OURS, 1.0, 0.0)]).reached is None
    assert judge(Target("", ratio=2.0), [row("peer", 1.0, 0.0)]).reached is None


def test_missing_and_failing_peers_have_rows() -> None:
    def broken() -> Call:
        raise ValueError("it does not work")

    contenders = [
        Contender("no_such_library_here", "x", broken),
        Contender("numpy", "broken", broken),
        Contender("numpy", "no number", lambda: Call(lambda: 1.0, lambda _: math.nan)),
        Contender("numpy", "good", lambda: Call(lambda: 1.0, lambda value: value - 1.0)),
    ]
    missing, bad, wrong, good = run_contest(contenders, 0.001, lambda text: None)
    assert missing.note == "not installed"
    assert not missing.failed
    assert "it does not work" in bad.note
    assert bad.failed
    assert wrong.failed
    assert good.timing is not None
    assert good.error == 0.0


def test_every_contender_is_sampled_as_often_as_asked() -> None:
    counts = [0, 0]

    def count(k: int) -> None:
        counts[k] += 1

    first, second = side_by_side([lambda: count(0), lambda: count(1)], seconds=0.001, at_least=6, rounds=3)
    assert first.samples >= 6
    assert second.samples >= 6
    assert min(counts) >= 6


def test_the_error_norm_refuses_nan_and_wrong_shapes() -> None:
    reference = np.array([[1.0, 2.0]])
    assert truth.weighted_error([[1.0, 5.0]], reference) == pytest.approx(1.0)
    assert math.isnan(truth.weighted_error([[1.0, math.nan]], reference))
    assert math.isnan(truth.weighted_error([1.0], reference))


def test_the_reference_solver_against_an_exponential() -> None:
    times = np.array([0.5, 1.0])
    found = truth.integrate(lambda t, u: -u, [1.0], times)
    np.testing.assert_allclose(found.values[:, 0], np.exp(-times), rtol=1e-12)
    assert found.uncertainty < 1e-11


def test_hand_written_jacobian_of_robertson() -> None:
    u = np.array([0.6, 2e-5, 0.4])
    size = 1e-7
    for j in range(3):
        step = np.zeros(3)
        step[j] = size * max(u[j], 1e-3)
        difference = (np.array(robertson.rhs(0, u + step)) - np.array(robertson.rhs(0, u - step))) / (2 * step[j])
        np.testing.assert_allclose(np.array(robertson.jacobian(0, u))[:, j], difference, rtol=1e-6, atol=1e-6)


def test_reference_gradient_of_the_parameters_against_differences() -> None:
    data = gradient.make_data()
    reference, _ = gradient.reference_gradient(data)

    def loss(p: np.ndarray) -> float:
        a, b, c, d = p
        u = truth.integrate(
            lambda t, u: (a * u[0] - b * u[0] * u[1], -c * u[1] + d * u[0] * u[1]),
            lotka_volterra.U0,
            lotka_volterra.TIMES,
        ).values
        return float(np.sum((u - data) ** 2))

    for k in (0, 3):
        step = np.zeros(4)
        step[k] = 1e-4
        p = lotka_volterra.P
        difference = (loss(p + step) - loss(p - step)) / 2e-4
        assert reference[k] == pytest.approx(difference, rel=1e-4)


def test_ours_solve_what_the_peers_solve() -> None:
    reference = truth.integrate(lotka_volterra.rhs, lotka_volterra.U0, lotka_volterra.TIMES).values

    def error(values: object) -> float:
        return truth.weighted_error(values, reference)

    for call in (solve.ours(error, "auto"), solve.scipy_solver(error, "DOP853")):
        assert call.error(call.run()) < 1e-6


def test_the_gradients_compared_are_of_the_same_loss() -> None:
    data = gradient.make_data()
    right, _ = gradient.reference_gradient(data)
    for ours in (gradient.ours_forward, gradient.ours_fit):
        call = ours(lambda g: truth.relative_to_largest(g, right), data)
        assert call.error(call.run()) < 1e-6
    flat, points = spiral.weights(), spiral.make_data()
    reference, _ = spiral.reference_gradient(flat, points)
    call = spiral.ours_fit(lambda g: truth.relative_to_largest(g, reference), flat, points)
    assert call.error(call.run()) < 1e-5


def test_models_to_compile_are_distinct() -> None:
    found = compile.texts(30)
    assert len(set(found)) == 30


def test_a_report_is_valid_json_and_markdown(tmp_path: Path) -> None:
    rows = [row(OURS, 1e-5, 1e-8, "m.solve"), Row("diffrax", "Tsit5", note="not installed")]
    outcome = Outcome("solve", "Title", "settings", rows, [Target("2 x diffrax", ratio=2.0, library="diffrax")])
    data, text = report.write([outcome], {"python": "3"}, tmp_path)
    found = json.loads(data.read_text(encoding="utf-8"))
    assert found["cases"][0]["targets"][0]["reached"] is None
    assert "not installed" in text.read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest.json", "latest.md"]
    assert set(NAMES) >= {"solve", "gradient"}
