"""Models, solutions and fits travel between processes: pickle, spawned and forked pools, cloudpickle as in dask."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import sciml_dsl as sd

EVENTS = """
model Dosing
A' = -ka*A + U(A, C)[1]*0
C' = ka*A - ke*C + total*0
total = A + C
A(0) = 10; C(0) = c0
param ka = 1.2 in [0, 5], ke = 0.3, c0 = 0.1 log
every 4 from 4 until 12: A += 5
when C > 6: C = 5.5
neural U(A, C) -> 2 { hidden = [3] }
"""


def dosing() -> sd.Model:
    model = sd.model(EVENTS)
    return model.with_weights({"U": np.linspace(-1, 1, model.spec.networks[0].n_weights)})


def end_of(model: sd.Model) -> list[float]:
    return model.solve((0, 10), saveat=[10.0]).u[-1].tolist()


def test_a_model_comes_back_equal_with_its_weights_events_and_places():
    model = dosing()
    model.solve((0, 1))  # what was compiled stays behind
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        back = pickle.loads(pickle.dumps(model, protocol))
        assert back == model
        assert back.spec.weights == model.spec.weights
        assert back.spec.source == model.spec.source
        assert end_of(back) == end_of(model)
        assert str(back) == str(model)


def test_long_equations_need_no_recursion():
    model = sd.model("x' = " + " + ".join(f"{k}*x^{k % 5}" for k in range(1, 20_000)) + "\nx(0) = 0.1")
    assert pickle.loads(pickle.dumps(model)) == model


def test_a_solution_comes_back_whole():
    solution = dosing().solve((0, 10), saveat=0.5)
    back = pickle.loads(pickle.dumps(solution))
    np.testing.assert_array_equal(back.t, solution.t)
    np.testing.assert_array_equal(back.u, solution.u)
    np.testing.assert_array_equal(back["total"], solution["total"])
    np.testing.assert_array_equal(back(3.3), solution(3.3))
    assert (back.status, back.success) == (solution.status, solution.success)


def test_a_fit_comes_back_whole():
    model = sd.model("x' = -k*x; x(0) = 2; param k = 0.5")
    times = np.linspace(0, 3, 12)
    fit = model.fit({"t": times, "x": 2 * np.exp(-0.8 * times)})
    back = pickle.loads(pickle.dumps(fit))
    assert back.p == fit.p
    assert back.p["k"] == pytest.approx(0.8, rel=1e-5)
    assert back.model == fit.model
    assert back.to_pandas().equals(fit.to_pandas())
    np.testing.assert_array_equal(back.covariance, fit.covariance)


@pytest.mark.parametrize("start", sorted({"spawn", "fork"} & set(multiprocessing.get_all_start_methods())))
def test_pools_of_processes(start):
    model = dosing()
    context = multiprocessing.get_context(start)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        found = list(pool.map(end_of, [model.with_parameters({"ka": k}) for k in (0.5, 1.2)]))
    assert found == [end_of(model.with_parameters({"ka": k})) for k in (0.5, 1.2)]


def test_cloudpickle_carries_functions_that_hold_models():
    cloudpickle = pytest.importorskip("cloudpickle")
    model = dosing()
    scale = 2.0
    work = cloudpickle.dumps(lambda: [scale * x for x in model.solve((0, 10), saveat=[10.0]).u[-1].tolist()])
    assert pickle.loads(work)() == [2.0 * x for x in end_of(model)]


@pytest.mark.parametrize("target", ["native", "numba", "numpy", "python"])
def test_callables_are_made_again_where_they_arrive(target):
    model = dosing()
    f = model.rhs(target)
    u, p = np.linspace(0.5, 1.5, len(model.states)), model.parameter_vector()
    back = pickle.loads(pickle.dumps(f))
    np.testing.assert_array_equal(back(0.3, u, p), f(0.3, u, p))
