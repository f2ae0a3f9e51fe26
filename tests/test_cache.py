"""The cache on disk: never trusted, never in the way, never larger than it may be."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import sciml_dsl as sd
from sciml_dsl import cache
from sciml_dsl.codegen import jit
from sciml_dsl.codegen.native import functions

TEXT = "x' = -k*x*exp(-x/3) + sin(y); y' = x - y^2/(1 + x); x(0) = 1; y(0) = 0.5; param k = 0.7"
NAME = cache.key("an entry")
OURS = os.name == "posix"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    place = tmp_path / "cache"
    monkeypatch.setenv("SCIML_DSL_CACHE", str(place))
    monkeypatch.setattr(cache, "_written", 0)
    return place


def _right() -> bool:
    """A freshly made model gives f as numpy says it is."""
    f = sd.model(TEXT).rhs("native")
    x, y, k = 1.2, 0.4, 0.7
    wanted = [-k * x * np.exp(-x / 3) + np.sin(y), x - y**2 / (1 + x)]
    return bool(np.allclose(f(0.0, [x, y], [k]), wanted, rtol=1e-15, atol=1e-15))


def _native(folder):
    return sorted(folder.glob("native-*"))


def test_code_is_compiled_once_and_then_read(folder, monkeypatch):
    assert _right()
    (file,) = _native(folder)
    monkeypatch.setattr(jit, "_parsed", lambda *rest: pytest.fail("compiled again"))
    assert _right()
    assert _native(folder) == [file]


def test_damage_at_any_byte_is_seen(folder):
    assert _right()
    (file,) = _native(folder)
    good = file.read_bytes()
    draw = random.Random(0)
    for _ in range(40):
        at = draw.randrange(len(good))
        file.write_bytes(good[:at] + bytes([good[at] ^ (1 << draw.randrange(8))]) + good[at + 1 :])
        assert cache.read("native", file.name[7:71]) is None
        assert not file.exists()
    for cut in (0, 1, len(good) // 2, len(good) - 1):
        file.write_bytes(good[:cut])
        assert _right()
        assert file.read_bytes() == good  # made again, the same
    file.write_bytes(good + b"x")
    assert _right()


def test_an_entry_under_another_name_is_refused(folder):
    cache.write("native", NAME, b"payload")
    other = cache.key("another entry")
    (folder / f"native-{NAME}.cached").rename(folder / f"native-{other}.cached")
    assert cache.read("native", other) is None
    assert cache.read("native", NAME) is None


def test_another_version_is_another_entry(folder, monkeypatch):
    assert _right()
    triple, processor, features = jit._host()
    other = (triple, processor, features + ",")
    for module, name, value in (
        (jit, "__version__", "0.0.0+other"),
        (jit.llvmlite, "__version__", "0.0.0"),
        (jit, "_host", lambda: other),
    ):
        before = len(_native(folder))
        with monkeypatch.context() as patch:
            patch.setattr(module, name, value)
            assert _right()
        assert len(_native(folder)) == before + 1


def test_models_are_told_apart(folder):
    first, second = sd.model("x' = -2*x"), sd.model("x' = -3*x")
    assert first.rhs("native")(0.0, [1.0], [])[0] == -2.0
    assert second.rhs("native")(0.0, [1.0], [])[0] == -3.0
    assert len(_native(folder)) == 2


def test_without_a_cache(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("")
    for place in ("", str(file / "below"), "/proc/nowhere"):
        monkeypatch.setenv("SCIML_DSL_CACHE", place)
        assert _right()
        assert not cache.write("native", NAME, b"x")
        assert cache.read("native", NAME) is None


@pytest.mark.skipif(not OURS, reason="permissions of POSIX")
def test_what_others_could_have_written_is_not_read(folder):
    assert cache.write("native", NAME, b"payload")
    file = folder / f"native-{NAME}.cached"
    assert file.stat().st_mode & 0o077 == 0
    for path, mode, back in ((file, 0o666, 0o600), (file, 0o620, 0o600), (folder, 0o777, 0o700)):
        path.chmod(mode)
        assert cache.read("native", NAME) is None
        path.chmod(back)
        assert cache.read("native", NAME) == b"payload"
    folder.chmod(0o777)
    assert not cache.write("native", NAME, b"other")
    folder.chmod(0o700)
    elsewhere = folder.parent / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    assert cache.read("native", NAME) is None


def test_a_folder_that_may_only_be_read(folder, monkeypatch):
    assert _right()

    def refused(*args, **options):
        raise PermissionError

    monkeypatch.setattr(cache.tempfile, "mkstemp", refused)
    with monkeypatch.context() as patch:
        patch.setattr(jit, "_parsed", lambda *rest: pytest.fail("compiled again"))
        assert _right()
    assert sd.model("x' = -4*x").rhs("native")(0.0, [1.0], [])[0] == -4.0
    assert len(_native(folder)) == 1


def test_the_folder_stays_within_its_bound(folder, monkeypatch):
    monkeypatch.setenv("SCIML_DSL_CACHE_SIZE", "0.1")
    names = [cache.key(str(i)) for i in range(40)]
    now = time.time()
    for i, name in enumerate(names):
        cache.write("native", name, bytes(10_000))
        path = folder / f"native-{name}.cached"
        if path.exists():
            os.utime(path, (now - 1000 + i, now - 1000 + i))
        assert sum(f.stat().st_size for f in folder.iterdir()) < 0.1e6 + 2 * 10_300
    assert cache.read("native", names[-1]) is not None
    assert cache.read("native", names[0]) is None


def test_what_was_never_finished_is_removed(folder):
    folder.mkdir()
    old, young = folder / "unfinished-old", folder / "unfinished-young"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * cache.STALE,) * 2)
    cache.write("native", NAME, b"payload")
    assert not old.exists()
    assert young.exists()


def test_no_text_becomes_a_path(folder):
    for kind, name in (("native", "../../etc/passwd"), ("../x", NAME), ("native", ""), ("native", "A" * 64)):
        with pytest.raises(ValueError, match="no key"):
            cache.write(kind, name, b"")


def test_many_processes_at_once(folder):
    program = (
        "import sciml_dsl as sd\n"
        "for k in range(6):\n"
        "    m = sd.model(f\"x' = -{k}*x + {k + 1}; x(0) = 1\")\n"
        "    assert m.rhs('native')(0.0, [2.0], [])[0] == 1.0 - k, k\n"
        "print('right')"
    )
    with ThreadPoolExecutor(4) as pool:
        runs = list(
            pool.map(
                lambda _: subprocess.run([sys.executable, "-c", program], capture_output=True, text=True), range(4)
            )
        )
    assert [run.stdout.strip() for run in runs] == ["right"] * 4, [run.stderr for run in runs]
    assert len(_native(folder)) == 6
    assert not list(folder.glob("unfinished-*"))


def test_functions_of_a_cached_model_are_all_there(folder):
    text = TEXT + "\nwhen x < 0.2: x += 1\nat 3: y = 0\ntotal = x + y"
    fresh = functions(sd.model(text), forward=True, adjoint=True)
    again = functions(sd.model(text), forward=True, adjoint=True)
    for name in ("f", "jac", "fjp", "djp", "vjp", "observables", "initial", "roots", "event_times"):
        assert getattr(fresh, name) and getattr(again, name)
        assert getattr(fresh, name) != getattr(again, name)
    assert len(fresh.affect) == len(again.affect) == 2
