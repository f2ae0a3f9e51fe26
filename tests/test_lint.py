"""Warnings: each code where it belongs and nowhere else, with its place; `sciml-dsl check`."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sympy
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

import sciml_dsl as sd
from sciml_dsl.cli import main
from sciml_dsl.lint.warning import CODES
from tests.test_language_fuzz import STATEMENTS

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.sciml"))

# text -> (code, line, column) of every warning
WARNED: dict[str, list[tuple[str, int, int]]] = {
    "x' = -x\nparam k = 1": [("unused-parameter", 2, 7)],
    "x' = -x\nconst k = 1, g = k": [("unused-constant", 2, 14)],
    "x' = -x\nf(s) = s": [("unused-function", 2, 1)],
    "x' = f(x, x)\nf(s, q) = s": [("unused-argument", 2, 1)],
    "x' = -x\nneural U(x)": [("unused-network", 2, 8)],
    "x' = -x\nw' = x\nobs = 2*x": [("unused-state", 2, 1)],
    "x' = -e*x\nparam e = 1": [("shadowed-constant", 2, 7)],
    "x' = -π\nπ = 2": [("shadowed-constant", 2, 1)],
    "x' = -time\nparam time = 1": [("shadowed-constant", 2, 7)],
    "x' = f(x, 1)\nf(s, t) = s*t": [("shadowed-constant", 2, 1)],
    "x' = -k*x\nparam k": [("missing-default", 2, 7)],
    "@ode_def begin\n dx = -k*x\nend k": [("missing-default", 3, 5)],
    "x' = 1 + 2*sin(x)/x": [("removable-singularity", 1, 10)],
    "x' = f(x) + f(2*x)\nf(s) = s/(1 - exp(-s))": [("removable-singularity", 2, 8)],
    "x' = sqrt(x - 1)": [("possibly-negative-root", 1, 6)],
    "x' = sqrt(x) - 1": [("possibly-negative-root", 1, 6)],
    "x' = y + sqrt(x); y' = -x": [("possibly-negative-root", 1, 10)],
    "x' = -x\ny = log(x - 3)": [("possibly-negative-log", 2, 5)],
    "x' = -1\ny = x^0.5": [("possibly-negative-power", 2, 5)],
    "x' = -1\ny = x^n\nparam n = 2 in [1, 4]": [("possibly-negative-power", 2, 5)],
    "x' = f(x - 1)\nf(s) = sqrt(s)": [("possibly-negative-root", 2, 8)],
    "x' = -x\nz = sqrt(x)\nx(0) = 1\nwhen x < 0.5: x -= 2": [("possibly-negative-root", 2, 5)],
    "x' = -x/K\nparam K = 1 in [0, 2]": [("division-by-zero-bound", 1, 9)],
    "x' = -x/(2*K^2)\nparam K = 1 in [-1, 2]": [("division-by-zero-bound", 1, 12)],
    "x' = -x\nat 5: x += 1\nwhen k > 1: x = 0\nparam k = 1": [("event-never-fires", 3, 6)],
    "x' = -x\nevery 5 from 10 until 3: x += 1": [("event-never-fires", 2, 7)],
    "x' = y + x - x; y' = 1": [("cancelling-terms", 1, 14)],
    "x' = 2*x*y - 1 - y*2*x; y' = 1": [("cancelling-terms", 1, 18)],
    "x' = 1 + x/x": [("cancelling-terms", 1, 10)],
    "x' = a*x + 1 + x*a\nparam a = 1": [("repeated-term", 1, 16)],
    "x' = if x == 1 then 1 else 0": [("float-equality", 1, 9)],
    "x' = -x^1/2": [("ambiguous-division", 1, 6)],
    "x' = 1 + 2*x^1/3": [("ambiguous-division", 1, 10)],
    "input u\nx' = -x": [("unused-input", 1, 7)],
    "@ode_def begin\n dx = -1/2x\nend": [("ambiguous-division", 2, 7)],
}

SILENT = [
    "x' = -k*x; param k = 1; x(0) = 1",
    "x' = -x; x(0) = x0; param x0 = 1",
    "x' = -x; at tlag: x += 1; param tlag = 1",
    "x' = g*x; const half = 0.5, g = 2*half",
    "x' = k; const top = 3; param k = 1 in [0, top]",
    "A' = -k*A; B' = k*A; param k = 1",  # without observables every state is looked at
    "x' = -sqrt(x); x(0) = 1",
    "x' = -x*sqrt(y); y' = x - y; x(0) = 1; y(0) = 0",
    "x' = y*sqrt(x); y' = -x",  # x stops at zero
    "x' = -rate; rate = k*both; both = x*y; y' = -rate; z = sqrt(x) + log(1 + y); param k = 1; x(0) = 1; y(0) = 1",
    "x' = -f(x); f(s) = k*s*y; y' = -y; z = sqrt(x); param k = 1; x(0) = 1; y(0) = 1",
    "x' = sqrt(x^2 + 1) + log(exp(x)) + sqrt(abs(x)) + sqrt(x*x) + (x + 1)^2 + x^-2 + log(1 + x^2)",
    "x' = -1; y = sqrt(max(x, 0)); z = if x > 0 then sqrt(x) else 0; w = ifelse(x > 0, log(x), 0)",
    "x' = V*x^n/(K^n + x^n) - x; param V = 1, K = 1, n = 2 in [1, 4]; x(0) = 1",
    "x' = -1; y = x^n; param n = 2",  # a whole number that nothing lets change
    "x' = sqrt(k); param k = 1",
    "x' = x/K; param K = 1 in [0.1, 2]",
    "x' = x/K; param K = 1 in [0, 2] log",
    "x' = x/K; param K = 1",
    "x' = f(x); f(K) = 1/K; param q = 1 in [0, 1]; y = q*x",
    "x' = -x; when x < 0.1: x += 1",
    "x' = -x; when t > k: x += 1; param k = 1",
    "x' = if n == 1 then x else 0; param n = 1",  # a switch, which does not vary
    "x' = -x; when x == 0.5: x = 1",
    "x' = (x^1)/2 + x^(1/2)*0 + 1/3*x; x(0) = 1",
    "input u = [(0, 1), (1, 2)]; x' = u - x; y = sqrt(x) + sqrt(u); x(0) = 1",
    "x' = 2x/3 + x/(2x + 1)",
    "x' = x/(exp(x) + 1) + x - y; y' = x*y - y*2",
]


def codes(text: str) -> list[str]:
    return [w.code for w in sd.model(text).lint()]


@pytest.mark.parametrize("text", WARNED)
def test_warned(text):
    assert [(w.code, w.line, w.column) for w in sd.model(text).lint()] == WARNED[text]


@pytest.mark.parametrize("text", SILENT)
def test_silent(text):
    assert codes(text) == []


def test_every_code_is_tested():
    assert {code for found in WARNED.values() for code, _, _ in found} == set(CODES)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_examples_are_clean(path):
    assert sd.load(path).lint() == ()


def test_a_warning_is_data_and_shows_its_place():
    (warning,) = sd.model("x' = -α*x\nparam α=1, k = 1", "decay.sciml").lint()
    assert (warning.code, warning.start, warning.end) == ("unused-parameter", 21, 22)
    assert str(warning) == (
        "decay.sciml:2:12: warning: the parameter `k` is used nowhere [unused-parameter]\n"
        " 2 | param α=1, k = 1\n   |            ^\n  hint: leave it out, or use it"
    )
    assert pickle.loads(pickle.dumps(warning)) == warning
    assert warning.to_dict()["hint"] == "leave it out, or use it"


def test_places_of_changed_and_sympy_models_are_those_of_their_own_text():
    x, k, b = sympy.symbols("x k b")
    m = sd.from_sympy({x: -k * x}, parameters={k: 1, b: 2})
    (warning,) = m.lint()
    line = str(m).splitlines()[warning.line - 1]
    assert line[warning.column - 1] == "b" and warning.code == "unused-parameter"
    changed = sd.model("x' = NN(x) - x").with_terms({"NN": "sqrt(x - c)"}, parameters={"c": 1})
    (warning,) = changed.lint()
    line = str(changed).splitlines()[warning.line - 1]
    assert warning.code == "possibly-negative-root" and line[warning.column - 1 :].startswith("sqrt(x - c)")


@given(st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=8), st.sampled_from(["", "\nparam k, a1 = 2"]))
@settings(max_examples=150, deadline=None)
def test_any_model_can_be_looked_at(statements, more):
    text = "\n".join(statements) + more
    try:
        m = sd.model(text)
    except sd.ModelError:
        return
    for warning in m.lint():
        assert warning.code in CODES and text[warning.start : warning.end]
        assert warning.code in str(warning)


def test_large_models_stay_quick():
    states = "\n".join(f"v{i}' = -k*v{i}/(1 + v{i}) + a*v{(i + 1) % 3000}*v{i} - sqrt(v{i})" for i in range(3000))
    m = sd.model(states + "\nparam k = 1, a = 1")
    begin = time.perf_counter()
    assert m.lint() == ()
    assert time.perf_counter() - begin < 20
    assert codes("x' = " + " + ".join(["k*x"] * 20_000) + "; param k = 1") == ["repeated-term"]


# ---------------------------------------------------------------- the command


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("good.sciml").write_text("x' = -x\nx(0) = 1\n")
    Path("odd.sciml").write_text("x' = -x\nparam k\n")
    return tmp_path


def run(*args: str) -> Result:
    result = CliRunner().invoke(main, ["check", *args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_check_warns_on_stderr(here):
    result = run("odd.sciml")
    assert result.exit_code == 0 and "model: ok" in result.stdout
    assert "odd.sciml:2:7: warning: the parameter `k` is used nowhere [unused-parameter]" in result.stderr
    assert run("good.sciml").stderr == ""


def test_strict_and_ignore(here):
    assert run("--strict", "odd.sciml").exit_code == 1
    assert run("--strict", "good.sciml").exit_code == 0
    ignored = run("--strict", "--ignore", "unused-parameter", "--ignore", "missing-default", "odd.sciml")
    assert ignored.exit_code == 0 and ignored.stderr == ""
    wrong = run("--ignore", "unused-parameters", "odd.sciml")
    assert wrong.exit_code == 2 and "did you mean `unused-parameter`" in wrong.stderr


def test_json_holds_the_warnings(here):
    told = json.loads(run("--json", "odd.sciml").stdout)
    assert told["ok"] is True
    assert [(w["code"], w["line"], w["column"]) for w in told["warnings"]] == [
        ("missing-default", 2, 7),
        ("unused-parameter", 2, 7),
    ]
    assert json.loads(run("--json", "good.sciml").stdout)["warnings"] == []


def test_check_as_a_process_stays_light():
    """What takes long to import stays out; `make bench-compile` says how long it takes."""
    path = str(EXAMPLES[0])
    command = [sys.executable, "-m", "sciml_dsl.cli", "check", path]
    subprocess.run(command, check=True, capture_output=True)
    look = "import sys; from sciml_dsl.cli import main\ntry:\n main(['check', sys.argv[1]])\nexcept SystemExit: pass\n"
    look += "print([m for m in ('torch', 'sympy', 'numba', 'pandas', 'numpy', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", look, path], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_long_quotients_are_looked_through_once():
    """Work in proportion to the length: calls counted, for time would say nothing on a busy machine."""
    import sys

    def calls(n):
        m = sd.model("x' = " + "/".join(["x"] * n) + "; x(0) = 1")
        count = 0

        def tick(frame, event, argument):
            nonlocal count
            count += 1

        sys.setprofile(tick)
        try:
            m.lint()
        finally:
            sys.setprofile(None)
        return count

    calls(10)
    assert calls(800) < 3 * calls(400)
