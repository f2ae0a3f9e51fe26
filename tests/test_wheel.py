"""The wheel holds all it needs: built, installed elsewhere, and run from there."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("build")
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=out)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


def test_wheel_holds_the_package_and_its_grammar(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"sciml_dsl/grammar/sciml.lark", "sciml_dsl/grammar/sciml.tmLanguage.json"} <= set(names)
    assert "sciml_dsl/py.typed" in names
    assert not [n for n in names if n.endswith((".nbi", ".nbc", ".pyc")) or n.startswith(("tests/", "benchmarks/"))]
    (entry,) = [n for n in names if n.endswith("entry_points.txt")]
    entries = zipfile.ZipFile(wheel).read(entry).decode()
    assert "sciml-dsl = sciml_dsl.cli:main" in entries and "SciMLLexer" in entries


def test_installed_wheel_works_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    model = work / "model.sciml"
    model.write_text("x' = -k*x + NN(x)\nx(0) = 1\nparam k = 1\n", encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(site), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    console = [str(site / "bin" / "sciml-dsl")]
    module = [sys.executable, "-m", "sciml_dsl.cli"]
    for program in (console, module):
        done = subprocess.run([*program, "check", "model.sciml"], cwd=work, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "NN (1-16-16-1 tanh" in done.stdout
    origin = [sys.executable, "-c", "import sciml_dsl; print(sciml_dsl.__file__)"]
    shown = subprocess.run(origin, cwd=work, env=env, capture_output=True, text=True, check=True).stdout
    assert Path(shown.strip()).is_relative_to(site)
