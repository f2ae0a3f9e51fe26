"""The cache of parser tables: quick, never trusted, never in the way."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sciml_dsl.language import tables
from sciml_dsl.language.parse import parse


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SCIML_DSL_CACHE", str(tmp_path / "cache"))
    tables.tables.cache_clear()
    yield tmp_path / "cache"
    tables.tables.cache_clear()


def _works() -> bool:
    tables.tables.cache_clear()
    return len(parse("x' = a*x; param a = 1").statements) == 2


def test_written_once_then_read(folder, monkeypatch):
    assert _works()
    (file,) = folder.iterdir()
    import lark

    monkeypatch.setattr(lark.Lark, "__init__", lambda *a, **k: pytest.fail("built again"))
    assert _works()
    assert list(folder.iterdir()) == [file]


def test_damage_means_building_again(folder):
    assert _works()
    (file,) = folder.iterdir()
    good = file.read_bytes()
    evil = b"cos\nsystem\n(S'touch stolen'\ntR."
    for bad in (
        b"",
        b"x" * 10,
        good[:-100],
        good[:200] + b"\0" + good[201:],
        hashlib.sha256(evil).digest() + evil,
        hashlib.sha256(pickle.dumps({"data": {}})).digest() + pickle.dumps({"data": {}}),
        hashlib.sha256(pickle.dumps([1])).digest() + pickle.dumps([1]),
    ):
        file.write_bytes(bad)
        assert _works()
        assert file.read_bytes() != bad  # written anew
    assert not os.path.exists("stolen")


def test_a_folder_that_cannot_be_used(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    for place in (str(file / "below"), "", "/proc/nowhere"):
        monkeypatch.setenv("SCIML_DSL_CACHE", place)
        assert _works()
    tables.tables.cache_clear()


def test_many_processes_at_once(folder):
    program = "from sciml_dsl.language.parse import parse; print(len(parse('x\\' = 1').statements))"
    with ThreadPoolExecutor(4) as pool:
        runs = list(
            pool.map(
                lambda _: subprocess.run([sys.executable, "-c", program], capture_output=True, text=True), range(4)
            )
        )
    assert [run.stdout.strip() for run in runs] == ["1"] * 4, runs
    assert len(list(folder.iterdir())) == 1


def test_many_threads_share_one_parser():
    texts = [f"x{i}' = " + " + ".join(f"k*x{i}^{j}" for j in range(50)) for i in range(40)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(parse, texts)) == [parse(text) for text in texts]


def test_grammar_text_is_found():
    assert "start:" in tables.grammar_text()


@given(st.text(st.sampled_from("xyE1.2e'′_ \t\n#;=<>!&|/*+-^(),[]{}@:?√ℯẋθ₁²\x00é") | st.characters(), max_size=40))
@example("@ode_defx @ode_def @stiffer @stiff 1..2 1.5.. x'' xy' !== != ! && // 2ẋ'")
def test_a_piece_of_text_is_told_by_its_letters_alone(text):
    """The lexer looks each distinct piece up once; read in its place it must be the same."""
    scanner = tables.tables().pattern
    pieces = scanner.pieces.findall(text)
    assert "".join(pieces) == text
    in_place = [(match.lastgroup, match.group()) for match in scanner.kind.finditer(text)]
    assert in_place == [(scanner.kind.match(piece).lastgroup, piece) for piece in pieces]
