"""The fused step of small models against the stage-by-stage one, and times at which equations switch."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest

import sciml_dsl as sd
from sciml_dsl.codegen.native import functions
from sciml_dsl.sensitivity.discrete import reverse, reverse_fused
from sciml_dsl.solve.integrate import Integrator
from sciml_dsl.solve.methods.registry import METHODS

MODELS = {
    "lotka_volterra": "x' = a*x - b*x*y; y' = -c*y + d*x*y; x(0) = 1; y(0) = 1; param a = 1.5, b = 1, c = 3, d = 1",
    "forced": "x' = y; y' = -k*sin(x) - 0.1*y + cos(w*t); x(0) = 1; y(0) = 0; param k = 2, w = 1.3",
    "branches": "x' = if x > 1 then -a*x else -a*x^2; y' = min(x, 1.5) - max(y, 0.6); x(0) = 2; y(0) = 0; param a = 1",
}


@pytest.mark.parametrize("text", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("backwards", [False, True])
def test_fused_and_stagewise_steps_agree(text, backwards):
    m = sd.model(text)
    native = functions(m, adjoint=True)
    assert native.tsit5 and native.tsit5_vjp
    span = (6.0, 0.0) if backwards else (0.0, 6.0)
    saveat = np.linspace(*span, 23)
    p = np.array([q.default for q in m.spec.parameters])
    start = m.solve((0, 1)).u[0]
    runs = [
        Integrator(f).run(start, p, *span, method="tsit5", rtol=1e-7, atol=1e-9, saveat=saveat, record=True)
        for f in (native, replace(native, tsit5=0))
    ]
    assert runs[0].ok and len(runs[0].u) == len(saveat)
    assert runs[0].counts[:2].tolist() == runs[1].counts[:2].tolist()
    # rounding differs, and a step across a kink amplifies it; still far below the tolerance
    assert runs[0].u == pytest.approx(runs[1].u, rel=1e-8, abs=1e-8)
    cotangent = np.random.default_rng(0).normal(size=runs[0].u.shape)
    run = runs[0]
    record = (run.times, run.states, run.record_k, saveat, cotangent)
    slow = reverse(native.vjp, native.n, p, *record)
    fast = reverse_fused(native.tsit5_vjp, native.vjp, native.n, native.n_params, p, *record)
    assert fast == pytest.approx(slow, rel=1e-9, abs=1e-10)


@pytest.mark.parametrize("method", ["bs3", "vern7", "dop853", "vern9"])
@pytest.mark.parametrize("text", MODELS.values(), ids=MODELS)
def test_whole_steps_of_any_tableau_agree_with_the_stagewise_ones(text, method):
    m = sd.model(text)
    native = functions(m)
    assert all(native.own_step(METHODS[method].tableau()))
    p = np.array([q.default for q in m.spec.parameters])
    start = m.solve((0, 1)).u[0]
    # one step and its interpolant: over many, rounding in the error estimate makes the step sizes differ
    once = {"rtol": 1e-2, "atol": 1e-2, "dt0": 0.1, "saveat": np.linspace(0, 0.1, 23)}
    runs = [
        Integrator(f).run(start, p, 0.0, 0.1, method=method, **once) for f in (native, replace(native, own_step=None))
    ]
    assert runs[0].counts[0] == 1 and len(runs[0].u) == 23
    assert runs[0].u == pytest.approx(runs[1].u, rel=1e-11, abs=1e-11)  # large coefficients cancel in the interpolant
    full = [
        Integrator(f).run(start, p, 0.0, 3.0, method=method, rtol=1e-8, atol=1e-8)
        for f in (native, replace(native, own_step=None))
    ]
    assert full[0].u_end == pytest.approx(full[1].u_end, rel=2e-5)  # a step across a kink amplifies rounding


def test_large_models_and_networks_go_stage_by_stage():
    chain = "; ".join(f"x{i}' = x{(i + 1) % 30} - x{i}; x{i}(0) = {i}" for i in range(30))
    assert not functions(sd.model(chain)).tsit5
    assert functions(sd.model(chain)).own_step(METHODS["vern7"].tableau()) == (0, 0)
    assert not functions(sd.model("x' = NN(x); x(0) = 1")).tsit5


@pytest.mark.parametrize("method", ["auto", "tsit5", "rodas5p"])
def test_a_narrow_pulse_in_time_is_not_missed(method):
    m = sd.model("x' = if t < 5 then 0 else if t < 5 + w then 1/w else 0; x(0) = 0; param w = 0.001")
    assert m.solve((0, 10), method=method).u[-1, 0] == pytest.approx(1.0, rel=1e-6)
    assert m.solve((0, 10), p={"w": 1e-5}, method=method).u[-1, 0] == pytest.approx(1.0, rel=1e-6)
    late = sd.model("C' = -k*C + (if 2*t > 200 and t < 101 then 10 else 0); C(0) = 5; param k = 1")
    exact = 10 * (1 - math.exp(-1)) + 5 * math.exp(-101)
    assert late.solve((0, 101), method=method, rtol=1e-8).u[-1, 0] == pytest.approx(exact, rel=1e-5)


def test_switches_of_states_are_events_of_the_user_not_of_time():
    assert sd.model("x' = if x > t then 1 else 2; x(0) = 0").system.turns.families == ()
    assert len(sd.model("x' = if t > 1 or t > 2 then 1 else 2; x(0) = 0").system.turns.families) == 2


def test_sensitivities_from_an_equilibrium_stay_bounded():
    """Every error of the states vanishes there; x(t), y(t) linearise to a rotation of frequency 3."""
    m = sd.model("x' = a*x - b*x*y; y' = -c*y + d*x*y; x(0) = 1; y(0) = 1; param a = 3, b = 3, c = 3, d = 3")
    t = np.linspace(0, 10, 11)
    sol = m.solve((0, 10), saveat=t, sensitivities=["a"], rtol=1e-8, atol=1e-10)
    # s' = J s + (1, 0), J = [[0, -3], [3, 0]]: s = (sin 3t / 3, (1 - cos 3t)/3)
    exact = np.column_stack([np.sin(3 * t), 1 - np.cos(3 * t)]) / 3
    assert sol.sensitivities[:, :, 0] == pytest.approx(exact, abs=1e-5)


def test_layers_can_be_copied_and_pickled():
    layer = sd.model(MODELS["lotka_volterra"]).layer(np.linspace(0, 2, 5))
    first = layer().detach().numpy()
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert other().detach().numpy() == pytest.approx(first, rel=1e-12)


def test_a_state_pressed_against_its_own_clamp_is_said_not_lost():
    """x would have to be put back to 0 without end; without the check it drifts to -2 in silence."""
    pressed = sd.model("x' = -1; x(0) = 1; when x < 0: x = 0").solve((0, 3))
    assert not pressed.success and pressed.status.name == "EVENT_CHATTERING"
    assert pressed.t_end == pytest.approx(1.0)
    # what rests there, leaves it, or only passes through goes on
    rests = sd.model("x' = if x > 0 then -1 else 0; x(0) = 1; when x < 0: x = 0").solve((0, 3))
    assert rests.success and rests.u[-1, 0] == pytest.approx(0.0, abs=1e-9)
    saw = sd.model("x' = 1; x(0) = 0; when x > 1: x = 0").solve((0, 3.5))
    assert saw.success and saw.u[-1, 0] == pytest.approx(0.5)
    ball = sd.model("h' = v; v' = -9.81; h(0) = 1; v(0) = 0; when h < 0: h = 0, v = -0.8*v").solve((0, 1.0))
    fall = math.sqrt(2 / 9.81)
    after = 1.0 - fall
    assert ball.success and ball["h"][-1] == pytest.approx(0.8 * 9.81 * fall * after - 9.81 / 2 * after**2, rel=1e-6)
    through = sd.model("x' = 1; n' = 0; x(0) = 0; n(0) = 0; when x > 1: n += 1").solve((0, 3))
    assert through.success and through["n"][-1] == 1
