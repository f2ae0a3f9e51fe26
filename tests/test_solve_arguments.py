"""Arguments of `solve` and of ensembles: what is accepted, and what each wrong one is told."""

from __future__ import annotations

import math
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch

import sciml_dsl as sd
from sciml_dsl.errors import InputError, SolveInterrupted, UnknownNameError
from sciml_dsl.solve.status import Status


@pytest.fixture(scope="module")
def decay():
    return sd.model("x' = -a*x; x(0) = 1; param a = 1, b = 5")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rtol": "a"}, "rtol must be a number"),
        ({"rtol": None}, "rtol must be a number"),
        ({"rtol": -1}, "not negative"),
        ({"rtol": math.inf}, "finite"),
        ({"rtol": 1e-300}, "rounding of double precision"),
        ({"rtol": 0, "atol": 0}, "no tolerance at all for `x`: rtol is 0 too"),
        ({"atol": 0, "u0": {"x": 0.0}}, "`x` starts at 0"),
        ({"atol": [1e-3, 1e-3]}, "atol: expected one number or 1"),
        ({"max_steps": None}, "positive whole number"),
        ({"max_steps": 1.5}, "positive whole number"),
        ({"max_steps": math.nan}, "positive whole number"),
        ({"max_steps": 0}, "positive whole number"),
        ({"max_steps": 2**63}, "at most"),
        ({"dtmax": None}, "dtmax must be a number"),
        ({"dtmax": -1}, "dtmax must be positive, got -1"),
        ({"dtmin": "a"}, "dtmin must be a number"),
        ({"dt0": "a"}, "dt0 must be a number"),
        ({"dt0": 0.1, "dtmin": 0.2}, "dt0 = 0.1 is smaller than dtmin"),
        ({"dt": 0.1}, 'method="auto" chooses its steps: give dt0'),
        ({"dt": 0.0, "method": "rk4"}, "dt must be positive"),
        ({"dt": 1e-300, "method": "rk4"}, "dt = 1e-300 means 1e[+]300 steps"),
        ({"saveat": "a"}, "saveat must be numbers"),
        ({"saveat": {}}, "saveat must be numbers"),
        ({"saveat": -1}, "spacing must be positive"),
        ({"saveat": [0.5, 0.2]}, "must be increasing; use numpy.sort"),
        ({"saveat": [math.nan]}, "NaN"),
        ({"tstops": [2.0]}, "outside the time span"),
        ({"controller": 3}, "controller must be"),
        ({"dtype": "f2"}, "dtype must be"),
        ({"p": pd.Series([1.0, 2.0], index=[3, 4])}, "a Series needs names"),
        ({"p": {"a": torch.tensor(1.0, requires_grad=True)}}, "wants a gradient"),
        ({"p": torch.tensor([1.0, 2.0], requires_grad=True)}, "wants a gradient"),
    ],
)
def test_every_wrong_argument_is_named(decay, options, words):
    with pytest.raises(InputError, match=words):
        decay.solve((0, 1), **options)


@pytest.mark.parametrize(
    ("name", "words"), [("reltol", "write rtol="), ("t_eval", "write saveat="), ("max_step", "write dtmax="),
    ("tstop", "did you mean `tstops`"), ("colour", "it takes tspan, u0, p, ")],
)  # fmt: skip
def test_unknown_arguments_lead_to_the_one_that_was_meant(decay, name, words):
    with pytest.raises(InputError, match=f"solve has no argument `{name}`(.|\n)*{words}"):
        decay.solve((0, 1), **{name: 1e-3})


def test_saveat_of_a_span_that_runs_backwards_is_told_to_turn_round(decay):
    with pytest.raises(InputError, match=r"saveat\[::-1\]"):
        decay.solve((1, 0), saveat=[0, 0.5, 1])


@pytest.mark.parametrize("span", ["01", (0, math.nan), (0,), 3, (0, "x")])
def test_a_time_span_is_two_finite_numbers(decay, span):
    with pytest.raises(InputError, match="time span"):
        decay.solve(span)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("RK45", "tsit5"), ("BDF", "ndf"), ("LSODA", "auto"), ("ode15s", "ndf"), ("CVODE", "cvode_bdf")],
)
def test_names_of_other_packages_lead_to_the_nearest_method(decay, name, nearest):
    with pytest.raises(UnknownNameError, match=f'the nearest to .{name}. here is "{nearest}"'):
        decay.solve((0, 1), method=name)


def test_values_with_names_go_by_name(decay):
    series = pd.Series({"b": 7.0, "a": 2.0})
    table = pd.DataFrame({"b": [7.0], "a": [2.0]})
    for given in (series, table.iloc[0], {"a": 2.0}):
        sol = decay.solve((0, 1), p=given, rtol=1e-10, atol=1e-12)
        assert sol.u[-1, 0] == pytest.approx(math.exp(-2.0), rel=1e-8)
    assert decay.with_parameters(series).solve((0, 1), rtol=1e-10).u[-1, 0] == pytest.approx(math.exp(-2.0), rel=1e-7)
    assert decay.solve((0, 1), p=pd.Series([2.0, 7.0]), rtol=1e-10).u[-1, 0] == pytest.approx(math.exp(-2.0), rel=1e-7)
    many = decay.ensemble(p=lambda random: pd.Series({"b": 0.0, "a": 2.0}), size=2).solve((0, 1), rtol=1e-10)
    assert many.u[:, -1, 0] == pytest.approx(math.exp(-2.0), rel=1e-7)
    assert decay.solve((0, 1), u0={"x(0)": 3.0}).u[0, 0] == 3.0


def test_times_off_by_rounding_are_the_ends(decay):
    sol = decay.solve((0, 0.3), saveat=np.arange(0, 0.35, 0.1))  # the last is 0.30000000000000004
    assert sol.t[-1] == 0.3
    assert decay.solve((0, 0.3))(0.1 * 3).shape == (1,)
    with pytest.raises(InputError, match="outside"):
        decay.solve((0, 0.3), saveat=[0.3 + 1e-12])


def test_tolerances_absolute_or_relative_alone(decay):
    absolute = decay.solve((0, 1), rtol=0, atol=1e-8)
    relative = decay.solve((0, 1), rtol=1e-8, atol=0)
    assert absolute.u[-1, 0] == pytest.approx(math.exp(-1), abs=1e-6)
    assert relative.u[-1, 0] == pytest.approx(math.exp(-1), rel=1e-6)
    assert decay.solve((0, 1), max_steps=1e6).success


def test_messages_name_the_limit_that_was_hit(decay):
    assert "dtmin = 0.5" in decay.solve((0, 1), dtmin=0.5).message
    stuck = sd.model("x' = sin(1e3*t) + x/1e9; x(0) = 1e6").solve((0, 1), rtol=0, atol=1e-14, max_steps=500)
    assert not stuck.success
    assert "below its rounding in double precision" in stuck.message


def test_status_and_names(decay):
    sol = decay.solve((0, 1))
    assert f"{sol.status}" == "SUCCESS"
    assert f"{sol.status:d}" == "0"
    assert sol["t"] is sol.t
    with pytest.raises(InputError, match="takes times"):
        sol("x")
    with pytest.raises(InputError, match="name of a state"):
        sol[0]
    panel = sol.plot("x").axes[0]
    assert panel.get_lines()[0].get_label() == "x"


@pytest.mark.parametrize("values", [{"beta1": math.nan}, {"beta1": -1.0}, {"beta1": 0.2, "safety": 0.0}])
def test_a_controller_is_checked(values):
    with pytest.raises(InputError, match="Controller"):
        sd.Controller(**values)


# ------------------------------------------------------------ ensembles


def test_trajectories_with_numbers_that_are_none_fail_alone(decay):
    sol = decay.ensemble(p={"a": [1.0, math.nan, 2.0], "b": [1.0, 1.0, 1.0]}).solve((0, 1), saveat=[1.0], rtol=1e-9)
    assert sol.success.tolist() == [True, False, True]
    assert sol.u[[0, 2], 0, 0] == pytest.approx(np.exp([-1.0, -2.0]), rel=1e-7)
    assert "the parameter `a` is nan" in sol.message(1)
    assert Status(sol.status[1]) == Status.NONFINITE
    with pytest.raises(InputError, match="nan"):
        decay.ensemble(p={"a": [math.nan, math.nan]}).solve((0, 1))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"p": {}}, r"m\.ensemble\(p=\.\.\.\)"),
        ({"max_step": 3}, "write dtmax="),
        ({"dt": 0.1}, "chooses its steps"),
        ({"rtol": "a"}, "rtol"),
        ({"dtmax": "a"}, "dtmax"),
        ({"progress": 3}, "progress"),
        ({"executor": ThreadPoolExecutor}, "submit"),
    ],
)
def test_wrong_options_of_ensembles(decay, options, words):
    with pytest.raises(InputError, match=words):
        decay.ensemble(size=2).solve((0, 1), **options)


def test_an_ensemble_beyond_memory_is_refused(decay):
    with pytest.raises(InputError, match="GiB"):
        decay.ensemble(size=10**12)
    with pytest.raises(InputError, match="GiB"):
        decay.ensemble(size=1000).solve((0, 1), saveat=2e-8)


def test_an_executor_that_takes_no_more_work_loses_only_the_rest(decay):
    class Full:
        def __init__(self, pool):
            self.pool, self.left = pool, 2

        def submit(self, function, *arguments):
            self.left -= 1
            if self.left < 0:
                raise RuntimeError("full")
            return self.pool.submit(function, *arguments)

    with ThreadPoolExecutor(1) as pool:
        sol = decay.ensemble(p={"a": np.linspace(0, 1, 5)}).solve((0, 1), executor=Full(pool), part=1)
    assert sol.success.tolist() == [True, True, False, False, False]
    assert "full" in sol.message(3)


def test_progress_may_end_an_ensemble():
    many = sd.model("x' = a*cos(100*t); x(0) = 0; param a = 1").ensemble(p={"a": np.linspace(1, 2, 2000)})
    sol = many.solve((0, 1000), saveat=[1000.0], progress=lambda state: True, threads=1, max_steps=10**9)
    done = sol.success.sum()
    assert 0 < done < 2000
    assert Status(sol.status[-1]) == Status.INTERRUPTED
    assert sol.message(1999) == "not begun when the ensemble was interrupted"


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupted_ensemble_keeps_what_was_computed(threads):
    many = sd.model("x' = a*cos(1e5*t); x(0) = 0; param a = 0").ensemble(p={"a": [0.0, 1.0, 1.0, 1.0]})
    many.solve((0, 1e-3), threads=threads)
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(SolveInterrupted) as caught:
        many.solve((0, 1e4), max_steps=1e9, saveat=[1e4], threads=threads)
    timer.join()
    sol = caught.value.solution
    assert Status(sol.status[-1]) == Status.INTERRUPTED
    assert sol.status.shape == (4,)
    assert (sol.t_end[sol.status == Status.INTERRUPTED] < 1e4).any()


def test_single_precision_and_inputs(decay):
    sol = decay.ensemble(size=3).solve((0, 1), dtype=np.float32)
    assert sol.u.dtype == np.float32
    forced = sd.model("input u; x' = u - x; x(0) = 0")
    many = forced.ensemble(u0={"x": [0.0, 1.0]}, inputs={"u": ([0, 2], [1.0, 1.0])}).solve((0, 2), rtol=1e-9)
    assert many.u[:, -1, 0] == pytest.approx([1 - math.exp(-2), 1.0], rel=1e-7)
