"""Compiled functions from numba's cache: quick, and no damaged file is in the way."""

from __future__ import annotations

import importlib.util
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from numba import config

SOURCE = """
from numba import carray, float64, types

from sciml_dsl.solve.stored import stored, stored_callback


@stored(float64[::1](float64[::1]), error_model="numpy")
def twice(x):
    out = x.copy()
    for i in range(x.size):
        out[i] += x[i]
    return out


@stored_callback(types.void(types.CPointer(types.float64)))
def increase(x):
    carray(x, (1,))[0] += 1.0
"""
USE = """
import ctypes, sys
import numpy as np
import compiled
assert compiled.twice(np.arange(3.0)).tolist() == [0.0, 2.0, 4.0]
number = ctypes.c_double(41.0)
ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_double))(compiled.increase.address)(ctypes.byref(number))
assert number.value == 42.0
print(sum(compiled.twice.stats.cache_hits.values()), "numba.np.arraymath" in sys.modules)
from numba import njit                     # and numba itself works on
@njit
def total(x):
    return twice(x).sum() + np.linalg.norm(x) * 0.0
twice = compiled.twice
assert total(np.arange(3.0)) == 6.0
"""


def run(folder):
    """(how often `twice` came from disk, whether that took numba's library) in a new process."""
    path = os.pathsep.join([str(folder), *sys.path])
    env = {**os.environ, "PYTHONPATH": path, "NUMBA_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run([sys.executable, "-c", USE], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    hits, library = done.stdout.split()
    return int(hits), library == "True"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "compiled.py").write_text(SOURCE)
    return tmp_path


def test_a_second_process_loads_without_the_compiler(folder):
    assert run(folder) == (0, True)
    assert run(folder) == (1, False)


def files(folder, ending):
    return sorted(folder.glob(f"**/*.{ending}"))


_number = itertools.count()


def load(folder):
    """The module once more, as a new process would see it; and how often `twice` came from disk."""
    spec = importlib.util.spec_from_file_location(f"compiled_{next(_number)}", folder / "compiled.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, sum(module.twice.stats.cache_hits.values())


@pytest.mark.parametrize(("ending", "damage"), [("nbi", "cut"), ("nbi", "empty"), ("nbc", "noise"), ("nbc", "other")])
def test_a_damaged_file_is_made_again(folder, ending, damage, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", str(folder / "cache"))
    _, hits = load(folder)
    assert hits == 0
    assert load(folder)[1] == 1
    damaged = files(folder, ending)
    assert len(damaged) == 2
    for file in damaged:
        whole = file.read_bytes()
        damages = {"empty": b"", "cut": whole[: len(whole) // 2], "noise": bytes(range(256)), "other": b"\x80\x04N."}
        file.write_bytes(damages[damage])
    module, hits = load(folder)
    assert hits == 0
    assert module.twice(np.ones(2)).tolist() == [2.0, 2.0]
    assert load(folder)[1] == 1  # written again
