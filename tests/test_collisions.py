"""Names of models that are words of some target: every target must give the numbers of a model with harmless names."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import sciml_dsl as sd
from sciml_dsl.codegen import api
from sciml_dsl.codegen.load import load
from tests import julia_reader
from tests.c_library import CC, NVCC, compile_c, compile_cuda

# Python, its builtins and modules; numpy, numba, torch; C, C++ and CUDA; math.h; Julia; the files' own names
WORDS = """
lambda def class return import from as is None True False async await yield with global nonlocal pass raise try while
print list dict abs_ min_ sum len range type object int float bool str id input exec eval open math np numpy numba njit
torch nn nan inf NaN Inf e_ pi_ E I S N O Q beta gamma zeta Gamma erf_ j j0 j1 y0 y1 yn jn div exit abort main printf
double long short char void signed unsigned struct union enum typedef auto register static extern const_ volatile
restrict inline sizeof switch case default break continue goto do for_ namespace template typename using new delete this
operator private public virtual friend throw catch thread_local constexpr mutable explicit asm _Bool __global__ dim3
threadIdx blockIdx NAN INFINITY M_PI HUGE_VAL signbit isnan fmax fmin fabs tgamma remainder
function module begin_ end struct_ mutable_ let local quote macro baremodule export abstract primitive where isa in_
missing nothing im Float64 Vector zeros ones similar eltype length fill view push first last log2_ Base Main
f jacobian initial observables jvp vjp hessian roots event_times w_factor w_solve STATES PARAMETERS P0 U0 AFFECTS
t0 u p v w out nets self n m k_ x_ v1 n1 tables _input TABLES input_value _mlp _sign _try affect_0 matrix lu values
MODULE
dx dt du J ipow smaller larger modulo sign_of digamma_ i_ level knots table _ __ __init__ __class__ __name__ os sys
""".split()


def names() -> list[str]:
    """The words the language takes as names."""
    found = []
    for word in dict.fromkeys(WORDS):
        try:
            sd.model(f"{word}' = -{word}")
        except sd.ModelError:
            continue
        found.append(word)
    return found


NAMES = names()


def build(words: list[str]) -> sd.Model:
    """States, parameters, observables, functions with arguments, and an input, all with hostile names."""
    third = len(words) // 3
    states, parameters, observables = words[:third], words[third : 2 * third], words[2 * third :]
    lines = [
        f"{s}' = {parameters[i]}*{s} - {states[i - 1]}^2*{observables[i]} + sin(t)" for i, s in enumerate(states)
    ]
    for i, o in enumerate(observables):
        lines.append(f"{o} = {states[i % third]} + {parameters[i % third]}*max({states[0]}, 0.5)")
    lines += [f"param {p} = {0.1 * (i + 1)!r}" for i, p in enumerate(parameters)]
    return sd.model("\n".join(lines))


def by_hand(count: int, observed: int, t: float, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p = 0.1 * (np.arange(count) + 1)
    o = np.array([u[i % count] + p[i % count] * max(u[0], 0.5) for i in range(observed)])
    return np.array([p[i] * u[i] - u[i - 1] ** 2 * o[i] + np.sin(t) for i in range(count)]), o


def test_most_words_are_names():
    refused = set(WORDS) - set(NAMES)
    assert len(NAMES) > 200
    assert refused <= {"e_", "pi_"} | {w for w in WORDS if w in ("if", "and", "or", "not")}, refused


TARGETS = ["python", "numpy", "numba", "torch", "native", "julia"]
TARGETS += [pytest.param("c", marks=pytest.mark.skipif(CC is None, reason="no C compiler"))]
TARGETS += [pytest.param("cuda", marks=pytest.mark.skipif(NVCC is None, reason="no nvcc"))]


@pytest.mark.parametrize("turn", [0, 1, 2])
@pytest.mark.parametrize("target", TARGETS)
def test_words_of_targets_as_names(target, turn, tmp_path):
    third = len(NAMES) // 3
    words = NAMES[turn * third :] + NAMES[: turn * third]  # each word once as state, parameter and observable
    if target == "numba":
        words = words[: 60 if turn else 90]  # numba's front end takes seconds at full length
    words = words[: len(words) - len(words) % 3]
    m = build(words)
    count = len(m.states)
    u = np.random.default_rng(turn).uniform(0.2, 1.4, count)
    p = 0.1 * (np.arange(count) + 1)
    rhs, observed = by_hand(count, len(m.observables), 0.7, u)
    if target == "native":
        np.testing.assert_allclose(m.rhs("native")(0.7, u, p), rhs, rtol=1e-12)
        return
    text = api.code(m, target)
    if target in ("c", "cuda"):
        library = (compile_c if target == "c" else compile_cuda)(text, tmp_path)
        got = [library(name, (size,), 0.7, u, p) for name, size in (("f", count), ("observables", len(observed)))]
    elif target == "julia":
        got = [
            julia_reader.call(text, name, (size,), t=0.7, u=u.tolist(), p=p.tolist())
            for name, size in (("f!", count), ("observables!", len(observed)))
        ]
    else:
        module = load(text, "m")
        wrap = {"python": list, "torch": torch.tensor}.get(target, np.array)
        got = [np.asarray(function(0.7, wrap(u), wrap(p))) for function in (module.f, module.observables)]
    np.testing.assert_allclose(got[0], rhs, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(got[1], observed, rtol=1e-12)
    assert sd.model(m.code("sciml")) == m and m.code("latex")


@pytest.mark.parametrize("word", "lambda class double main end f math np torch module self".split())
@pytest.mark.parametrize("target", ["python", "numpy", "torch", "c", "julia"])
def test_words_as_names_of_models_functions_networks_and_inputs(word, target, tmp_path):
    text = f"model {word}\nx' = {word}1(x) + {word}0*x\n{word}1(a) = a*{word}0\ninput {word}0 = [(0, 1), (2, 3)]"
    m = sd.model(text)
    code = api.code(m, target)
    expected = [2 * 2.0 * 1.5]
    if target == "c":
        if CC is None:
            pytest.skip("no C compiler")
        got = compile_c(code, tmp_path)("f", (1,), 1.0, np.array([1.5]), m.parameter_vector())
    elif target == "julia":
        got = julia_reader.call(code, "f!", (1,), t=1.0, u=[1.5], p=[])
    else:
        wrap = torch.tensor if target == "torch" else np.array
        got = load(code, word).f(1.0, wrap([1.5]), wrap([]))
    np.testing.assert_allclose(np.asarray(got), expected)
    only = sd.model(f"{word}' = {word} + U{word}({word}); neural U{word}(a) -> 1 {{ hidden = [2] }}")
    assert api.code(only, target)
