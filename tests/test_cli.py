"""The command line: exit statuses, errors without tracebacks, JSON, and files written whole."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sympy
from click.testing import CliRunner, Result

import sciml_dsl
from sciml_dsl.cli import main
from sciml_dsl.errors import FitError, InputError
from sciml_dsl.fit.table import check_table

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"

DECAY = "model Decay\nx' = -k*x\ntwice = 2*x\nx(0) = 3\nparam k = 0.5 in [0, 9]\n"
UNKNOWN = "model Unknown\nx' = NN(x)\nx(0) = 3\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "decay.sciml").write_text(DECAY)
    (tmp_path / "unknown.sciml").write_text(UNKNOWN)
    rows = [f"{t},{float(3 * np.exp(-0.7 * t))!r}" for t in range(6)]
    (tmp_path / "data.csv").write_text("\n".join(["t,x", *rows]))
    return tmp_path


def run(*args: str) -> Result:
    result = CliRunner().invoke(main, list(args))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


# Every kind of wrong input: status 2, said on stderr, no traceback.


def bad_model(here: Path) -> list[str]:
    (here / "bad.sciml").write_text("x' = -kk*x\nx(0) = 1\nparam k = 1\n")
    return ["check", "bad.sciml"]


BAD: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "undefined name": (bad_model, "bad.sciml:1:7: "),
    "missing file": (lambda _: ["check", "absent.sciml"], "absent.sciml"),
    "a directory": (lambda here: ["check", str(here)], ""),
    "unknown command": (lambda _: ["chek", "decay.sciml"], "did you mean `check`?"),
    "unknown option": (lambda _: ["check", "decay.sciml", "--jsn"], "--json"),
    "missing option": (lambda _: ["solve", "decay.sciml"], "--t1"),
    "unknown target": (lambda _: ["code", "decay.sciml", "--target", "pyton"], "python"),
    "bad assignment": (lambda _: ["solve", "decay.sciml", "--t1", "1", "-p", "k"], "name=value"),
    "bad number": (lambda _: ["solve", "decay.sciml", "--t1", "1", "-p", "k=x"], "not a number"),
    "bad saveat": (lambda _: ["solve", "decay.sciml", "--t1", "1", "--saveat", "0,a"], "list of numbers"),
    "unknown parameter": (lambda _: ["solve", "decay.sciml", "--t1", "1", "-p", "kk=1"], "`k`"),
    "unknown method": (lambda _: ["solve", "decay.sciml", "--t1", "1", "--method", "tsit"], "tsit5"),
    "no directory": (lambda _: ["solve", "decay.sciml", "--t1", "1", "-o", "no/out.csv"], "mkdir -p no"),
    "no such format": (lambda _: ["solve", "decay.sciml", "--t1", "1", "--plot", "a.xyz"], "not a format"),
    "no table": (lambda _: ["fit", "decay.sciml", "absent.csv"], "there is no such file"),
    "nothing unknown": (lambda _: ["discover", "decay.sciml", "data.csv"], "no unknown term"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_input_is_status_2_and_no_traceback(here: Path, case: str) -> None:
    build, expected = BAD[case]
    args = build(here)
    before = set(here.iterdir())
    result = run(*args)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert expected in result.stderr
    assert "Traceback" not in result.output and result.stdout == ""
    as_json = run(*args, "--json")
    assert as_json.exit_code == 2
    error = json.loads(as_json.stdout)["error"]
    assert set(error) == {"type", "message", "file", "line", "column", "hint"} and error["message"]
    assert set(here.iterdir()) == before


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("", "the table is empty"),
        ("t,x\n", "no rows"),
        ("time,x\n0,1\n", "rename the column `time` to `t`"),
        ("t,X\n0,1\n1,2\n", "neither a state nor an observable"),
        ("t,x\n0,1\n,2\n", "time in row 2 is NaN"),
        ("t,x\n0,1\n2,2\n1,3\n", "goes back from 2 in row 2"),
        ("t,x\n0,1\n1,two\n", "data.csv:3: column `x`: `two` is not a number"),
        ("t,x\n0,\n1,\n", "holds no measurement"),
    ],
)
@pytest.mark.parametrize("command", [["fit", "decay.sciml"], ["discover", "unknown.sciml"]])
def test_wrong_tables_are_refused_before_any_work(here: Path, command: list[str], table: str, expected: str) -> None:
    (here / "data.csv").write_text(table)
    result = run(*command, "data.csv")
    assert result.exit_code == 2 and expected in result.stderr


def test_error_as_json_has_its_place(here: Path) -> None:
    error = json.loads(run(*bad_model(here), "--json").stdout)["error"]
    assert (error["type"], error["file"], error["line"], error["column"]) == ("NameModelError", "bad.sciml", 1, 7)
    assert "k" in error["hint"]


# What works.


def test_help_lists_the_commands() -> None:
    for args in ([], ["--help"]):
        result = run(*args)
        assert result.exit_code == 0
        assert all(f"  {name} " in result.stdout for name in ("check", "code", "solve", "ensemble", "fit", "discover"))
    for name in ("check", "code", "solve", "ensemble", "fit", "discover"):
        assert run(name, "--help").exit_code == 0
    assert sciml_dsl.__version__ in run("--version").stdout


def test_check_says_what_the_model_is(here: Path) -> None:
    result = run("check", "decay.sciml")
    assert result.exit_code == 0
    assert "Decay: ok" in result.stdout and "k = 0.5 in [0, 9]" in result.stdout and "twice" in result.stdout
    told = json.loads(run("check", "decay.sciml", "--json").stdout)
    assert told["states"] == [{"name": "x", "initial": True}]
    assert told["parameters"] == [{"name": "k", "default": 0.5, "lower": 0, "upper": 9, "log": False}]
    assert told["observables"] == ["twice"]
    network = json.loads(run("check", "unknown.sciml", "--json").stdout)["networks"][0]
    assert network["name"] == "NN" and network["inputs"] == 1 and network["weights"] == 16 * 2 + 17 * 16 + 17


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.sciml")), ids=lambda p: p.stem)
def test_every_example_is_a_model(example: Path) -> None:
    assert run("check", str(example)).exit_code == 0


def test_unbounded_parameters_are_null_in_json(here: Path) -> None:
    (here / "open.sciml").write_text("x' = -k*x\nparam k\n")
    told = json.loads(run("check", "open.sciml", "--json").stdout)
    assert told["parameters"][0] == {"name": "k", "default": None, "lower": None, "upper": None, "log": False}
    assert "no default in the text for k" in run("check", "open.sciml").stdout


def test_check_stays_light(here: Path) -> None:
    code = (
        "import sys\nfrom sciml_dsl.cli import main\n"
        "try: main(['check', 'decay.sciml'])\nexcept SystemExit as e: assert e.code == 0\n"
        "heavy = {'torch', 'sympy', 'numba', 'scipy', 'pandas', 'matplotlib', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_code_runs_alone(here: Path) -> None:
    assert run("code", "decay.sciml", "--target", "python", "-o", "decay.py").exit_code == 0
    subprocess.run([sys.executable, "-I", "decay.py"], check=True, cwd=here, capture_output=True)
    assert run("code", "decay.sciml", "--target", "python").stdout.strip() == (here / "decay.py").read_text().strip()


def test_text_comes_back_as_the_same_model(here: Path) -> None:
    text = run("code", "decay.sciml", "--target", "sciml").stdout
    assert sciml_dsl.model(text) == sciml_dsl.load("decay.sciml")


def test_solve_matches_the_exact_solution(here: Path) -> None:
    args = "solve decay.sciml --t1 2 --saveat 0.5 -p k=2 -u x=5 --rtol 1e-10 --atol 1e-12".split()
    result = run(*args, "-o", "out.csv", "--json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    table = pd.read_csv("out.csv")
    assert list(table.columns) == ["t", "x", "twice"] == list(told["columns"])
    t = np.array([0, 0.5, 1, 1.5, 2])
    np.testing.assert_array_equal(table["t"], t)
    np.testing.assert_allclose(table["x"], 5 * np.exp(-2 * t), rtol=1e-8)
    np.testing.assert_array_equal(table["twice"], told["columns"]["twice"])
    assert told["status"] == "success" and told["success"]


def test_solve_shows_a_table_and_draws(here: Path) -> None:
    result = run("solve", "decay.sciml", "--t1", "2", "--saveat", "0,1,2", "--plot", "figure.png")
    assert result.exit_code == 0
    assert result.stdout.split()[:3] == ["t", "x", "twice"] and len(result.stdout.splitlines()) == 4
    assert (here / "figure.png").read_bytes()[1:4] == b"PNG"


def test_a_solution_that_blows_up_is_not_a_success(here: Path) -> None:
    (here / "blowup.sciml").write_text("x' = x^2\nx(0) = 1\n")
    result = run("solve", "blowup.sciml", "--t1", "2")
    assert result.exit_code in (1, 2)  # by whether the solver met a step too small or an infinity first
    assert "Traceback" not in result.output and result.stderr
    (here / "nan.sciml").write_text("x' = sqrt(x)\nx(0) = -1\n")
    result = run("solve", "nan.sciml", "--t1", "2")
    assert result.exit_code == 2 and result.stderr.startswith("error: ")


def test_ensemble_over_ranges_and_rows(here: Path) -> None:
    tight = "--t1 2 --saveat 1 --rtol 1e-10 --atol 1e-12".split()
    result = run("ensemble", "decay.sciml", *tight, "--vary", "k=0:2:5", "--vary", "x=1,-2", "-o", "out.csv", "--json")
    assert result.exit_code == 0
    table, told = pd.read_csv("out.csv"), json.loads(result.stdout)
    assert list(table.columns) == ["trajectory", "k", "x(0)", "t", "x", "twice"]
    assert told["trajectories"] == 10 and told["success"] and told["failures"] == []
    assert table["trajectory"].tolist() == np.repeat(np.arange(10), 3).tolist()
    assert table["k"][::6].tolist() == [0, 0.5, 1, 1.5, 2]
    exact = table["x(0)"] * np.exp(-table["k"] * table["t"])
    np.testing.assert_allclose(table["x"], exact, rtol=1e-8)
    last = exact[table["t"] == 2]
    assert told["summary"]["twice"]["mean"] == pytest.approx(2 * last.mean())
    assert told["summary"]["x"]["std"] == pytest.approx(last.std())
    (here / "rows.csv").write_text("# two of them\nk, x\n1, 3\n2, 4\n")
    result = run("ensemble", "decay.sciml", *tight, "--table", "rows.csv", "-o", "rows_out.csv", "--plot", "fan.png")
    assert result.exit_code == 0 and "2 trajectories at t = 2" in result.stdout
    table = pd.read_csv("rows_out.csv")
    np.testing.assert_allclose(table["x"], table["x(0)"] * np.exp(-table["k"] * table["t"]), rtol=1e-8)
    assert (here / "fan.png").read_bytes()[1:4] == b"PNG"


def test_failed_trajectories_are_named(here: Path) -> None:
    (here / "growth.sciml").write_text("x' = a*x^2\nx(0) = 1\nparam a = 0.1\n")
    result = run("ensemble", "growth.sciml", "--t1", "2", "--vary", "a=0.1,1")
    assert result.exit_code == 1
    assert "trajectory 1 failed: the solution blows up at t = 1" in result.stderr


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([], "say what varies"),
        (["--vary", "kk=0:1:3"], "did you mean `k`"),
        (["--vary", "k=0:1"], "neither first:last:count"),
        (["--vary", "k=0:1:0"], "neither first:last:count"),
        (["--vary", "k=1,2", "--vary", "k=3"], "`k` is varied twice"),
        (["--vary", "k=1,2", "-p", "k=3"], "`k` is given twice"),
        (["--table", "absent.csv"], "there is no file"),
        (["--table", "words.csv"], "row 2, column `k`: fast is not a finite number"),
    ],
)
def test_wrong_ensembles_are_said(here: Path, more: list[str], words: str) -> None:
    (here / "words.csv").write_text("k\n1\nfast\n")
    result = run("ensemble", "decay.sciml", "--t1", "1", *more)
    assert result.exit_code == 2
    assert words in result.stderr


# Fit and discover as the command line sees them, with results made up here.


class Stand:
    """A model whose fit and discovery are instant."""

    name = "Stand"
    states = ("x",)
    observables = ()
    networks = ("NN",)
    spec = SimpleNamespace(inputs=())

    def __init__(self, outcome: str = "identified") -> None:
        self.outcome = outcome
        self.options: dict[str, Any] = {}

    def code(self, target: str) -> str:
        assert target == "sciml"
        return "x' = -0.7*x\nx(0) = 3\n"

    def _work(self, table: Any, progress: Callable[[dict[str, Any]], None], options: dict[str, Any]) -> None:
        assert check_table(table, self).n_values == 6
        self.options = options
        for step in range(3):
            progress({"stage": "train", "step": step, "total": 3, "loss": 1.0 / (step + 1), "message": "[b] start 1"})
        if self.outcome == "interrupt":
            raise KeyboardInterrupt
        if self.outcome == "fails":
            raise FitError("no start gave a finite loss")

    def fit(self, table: Any, progress: Callable[[dict[str, Any]], None], **options: Any) -> Any:
        self._work(table, progress, options)
        covariance = pd.DataFrame([[0.04]], index=["k"], columns=["k"])
        return SimpleNamespace(
            p={"k": 0.7, "h": 1.0}, u0={"x": float("nan")}, loss=1e-9, covariance=covariance, model=self,
            message="converged", success=self.outcome == "identified", plot=self._plot, estimated=("k",),
            standard_errors={"k": 0.2}, rmse={"x": 0.1}, warnings=("k is on its bound",), seconds=0.1,
        )  # fmt: skip

    def discover(self, table: Any, progress: Callable[[dict[str, Any]], None], **options: Any) -> Any:
        self._work(table, progress, options)
        x = sympy.Symbol("x")
        return SimpleNamespace(
            terms={"NN": -0.70000004 * x}, equations={"x": -0.70000004 * x}, model=self, verdict=self.outcome,
            p={}, u0={"x": 3.0}, standard_errors={},
            confidence=0.93, message="", plot=self._plot,
            candidates=pd.DataFrame(
                {"formula": ["a*x", "a*x + b"], "loss": [1e-9, np.inf], "score": [-3.0, -1.0], "complexity": [1, 2]}
            ),
        )  # fmt: skip

    def _plot(self, path: Path) -> None:
        Path(path).write_bytes(b"figure")


@pytest.fixture
def stand(here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Stand]:
    def install(outcome: str) -> Stand:
        model = Stand(outcome)
        monkeypatch.setattr(sciml_dsl, "load", lambda path: model, raising=False)
        return model

    return install


def test_fit_reports_estimates_and_errors(here: Path, stand: Callable[[str], Stand]) -> None:
    model = stand("identified")
    result = run("fit", "m", "data.csv", "--starts", "3", "--seed", "7", "-o", "fitted.sciml", "--plot", "f.png")
    assert result.exit_code == 0
    assert model.options == {"starts": 3, "seed": 7}
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["k", "0.7", "0.2"] in lines and ["h", "1", "fixed"] in lines
    assert "note: k is on its bound" in result.stdout
    assert (here / "fitted.sciml").read_text() == model.code("sciml")
    assert (here / "f.png").exists()
    assert "train" in result.stderr and "loss 1" in result.stderr
    told = json.loads(run("fit", "m", "data.csv", "--json", "-q").stdout)
    assert told["p"] == {"k": 0.7, "h": 1.0} and told["u0"] == {"x": None} and told["covariance"] == {"k": {"k": 0.04}}


def test_discover_ends_with_formula_confidence_figure_and_model(here: Path, stand: Callable[[str], Stand]) -> None:
    stand("identified")
    result = run("discover", "thing.sciml", "data.csv", "--seed", "1")
    assert result.exit_code == 0
    for part in ("NN = -0.7*x", "x' = -0.7*x", "identified", "93%", "a*x + b", "out/thing.png", "    x' = -0.7*x"):
        assert part in result.stdout
    assert (here / "out" / "thing.png").read_bytes() == b"figure"
    told = json.loads(run("discover", "m", "data.csv", "--json", "--no-plot").stdout)
    assert told["candidates"][1]["loss"] is None
    assert float(sympy.sympify(told["terms"]["NN"]).coeff(sympy.Symbol("x"))) == -0.70000004
    assert told["plot"] is None and told["model"].startswith("x' =")


@pytest.mark.parametrize(
    ("outcome", "command", "status"),
    [
        ("ambiguous", "discover", 0),
        ("no term needed", "discover", 0),
        ("not identifiable", "discover", 1),
        ("not converged", "fit", 1),
        ("fails", "fit", 2),
        ("interrupt", "fit", 130),
        ("interrupt", "discover", 130),
    ],
)
def test_exit_status(here: Path, stand: Callable[[str], Stand], outcome: str, command: str, status: int) -> None:
    stand(outcome)
    result = run(command, "m", "data.csv", "-o", "result.sciml", "--plot", "f.png")
    assert result.exit_code == status
    assert "Traceback" not in result.output
    if status in (2, 130):
        assert not (here / "result.sciml").exists() and not (here / "f.png").exists()


def test_places_are_checked_before_the_work(here: Path, stand: Callable[[str], Stand]) -> None:
    model = stand("identified")
    for command in ("fit", "discover"):
        assert run(command, "m", "data.csv", "-o", "no/where.sciml").exit_code == 2
        assert run(command, "m", "data.csv", "--plot", "no/where.png").exit_code == 2
    assert model.options == {} and not (here / "no").exists()


def test_live_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from sciml_dsl.commands.progress import Progress

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress() as progress:
        for stage, total in (("train", 5), ("refit", None), ("train", 5)):
            for step in range(3):
                progress({"stage": stage, "step": step, "total": total, "loss": None, "message": "[not markup"})
    shown = capsys.readouterr().err
    assert "train" in shown and "refit" in shown and "[not markup" in shown


def test_closed_pipe_is_no_crash(here: Path) -> None:
    args = [sys.executable, "-m", "sciml_dsl.cli", "solve", "decay.sciml", "--t1", "1", "--saveat", "0.00005", "--json"]
    process = subprocess.Popen(
        args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    assert process.wait() == 1


# The same against the real thing.


def test_fit_recovers_a_rate(here: Path) -> None:
    result = run("fit", "decay.sciml", "data.csv", "-o", "fitted.sciml", "--plot", "fit.png", "--json", "-q")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["success"] and told["p"]["k"] == pytest.approx(0.7, abs=1e-6)
    fitted = sciml_dsl.load("fitted.sciml")
    assert fitted.parameters == ("k",)
    assert (here / "fit.png").read_bytes()[1:4] == b"PNG"
    assert run("fit", "decay.sciml", "data.csv", "--fixed", "k", "-q").exit_code == 2


def test_discover_recovers_a_term(here: Path) -> None:
    t = np.linspace(0, 4, 41)
    rows = [f"{a!r},{b!r}" for a, b in zip(t.tolist(), (3 * np.exp(-0.7 * t)).tolist(), strict=True)]
    (here / "data.csv").write_text("\n".join(["t,x", *rows]))
    result = run("discover", "unknown.sciml", "data.csv", "-o", "completed.sciml", "--seed", "0")
    assert result.exit_code == 0, result.output
    assert "verdict     identified" in result.stdout
    assert (here / "out" / "unknown.png").exists() and "networks" in result.stderr
    completed = sciml_dsl.load("completed.sciml")
    assert completed.networks == ()
    sol = completed.solve((0, 4), saveat=t, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(sol["x"], 3 * np.exp(-0.7 * t), rtol=1e-3)


# Files.


def test_files_are_replaced_in_one_step(here: Path) -> None:
    from sciml_dsl.files import write_text, write_with

    path = here / "result.txt"
    path.write_text("old")
    path.chmod(0o640)

    def breaks(temporary: Path) -> None:
        temporary.write_text("ha")
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"cannot write .*result.txt: No space left on device"):
        write_with(path, breaks)
    assert path.read_text() == "old"
    link = here / "link.txt"
    link.symlink_to(path)
    write_text(link, "new ü")
    assert link.is_symlink() and path.read_text("utf-8") == "new ü" and path.stat().st_mode & 0o777 == 0o640
    write_text(os.devnull, "gone")
    assert not Path(os.devnull).is_file()
    with pytest.raises(InputError, match="it is a directory"):
        write_text(here, "x")
    assert not [p for p in here.iterdir() if p.name.startswith(".")]


def test_results_never_replace_what_was_read(here: Path) -> None:
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    (here / "same.sciml").symlink_to(here / "decay.sciml")
    for arguments in (
        ["solve", "decay.sciml", "--t1", "1", "-o", "decay.sciml"],
        ["code", "decay.sciml", "-o", "same.sciml"],
        ["fit", "decay.sciml", "data.csv", "-o", "./data.csv"],
        ["fit", "decay.sciml", "data.csv", "-o", "decay.sciml"],
        ["discover", "unknown.sciml", "data.csv", "-o", "unknown.sciml"],
    ):
        result = run(*arguments)
        assert result.exit_code == 2 and "that is the input" in result.stderr, result.output
    assert {name: (here / name).read_bytes() for name in before} == before


def test_a_file_that_cannot_be_made_is_an_error_of_the_input(here: Path) -> None:
    result = run("code", "decay.sciml", "-o", "n" * 250 + ".py")  # room for the name, none for that of the temporary
    assert result.exit_code == 2 and "cannot write" in result.stderr and "Traceback" not in result.output


def test_trained_weights_are_kept_in_code(here: Path) -> None:
    (here / "net.sciml").write_text("x' = -x + U(x)\nx(0) = 3\nneural U(x) -> 1 { hidden = [2] }\n")
    result = run("fit", "net.sciml", "data.csv", "-q", "--max-time", "2", "-o", "fitted.py")
    assert "without the weights" not in result.stderr
    names: dict[str, object] = runpy.run_path("fitted.py")
    assert len(names["WEIGHTS"]) == 7  # type: ignore[arg-type]
    result = run("fit", "net.sciml", "data.csv", "-q", "--max-time", "2", "-o", "fitted.sciml")
    assert "-o NAME.py" in result.stderr and sciml_dsl.load("fitted.sciml").networks == ("U",)


def test_an_ensemble_takes_the_options_of_the_solver(here: Path) -> None:
    arguments = ["ensemble", "decay.sciml", "--t1", "1", "--vary", "k=0.5,1", "--saveat", "1", "--json"]
    result = run(*arguments, "--method", "rk4", "--dt", "0.01", "-u", "x=2")
    assert result.exit_code == 0, result.output
    mean = json.loads(result.output)["summary"]["x"]["mean"]
    assert mean == pytest.approx(np.exp(-0.5) + np.exp(-1.0), rel=1e-8)
    refused = run(*arguments, "--dt", "0.01")
    assert refused.exit_code == 2
    assert "chooses its steps" in refused.output + (refused.stderr if refused.stderr_bytes else "")
