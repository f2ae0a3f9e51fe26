"""f's own speed: our machine code beside gcc -O3 on the C we generate, from 3 to 1,000 states."""

from __future__ import annotations

import ctypes
import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cases import Effort
from contest import OURS, Outcome, Row, Target, Verdict, fail
from generated import network, ring
from measure import Timing, once
from native_call import repeat
from truth import weighted_error

TITLE = "One call of the right-hand side"
SETTINGS = (
    "the same address called in a compiled loop, all contenders in turns, least of 30 samples of a millisecond "
    "(quartiles of the samples); the C is that of m.code('c'), f alone; error: against the generated numpy source"
)
LORENZ = (
    "x' = s*(y - x); y' = x*(r - z) - y; z' = x*y - b*z; x(0) = 1; y(0) = 1; z(0) = 1; param s = 10, r = 28, b = 2.667"
)
SLOWER = 1.2
FLAGS = (("-O3",), ("-O3", "-march=native"), ("-O3", "-march=native", "-ffast-math"))


def models() -> list[tuple[str, str]]:
    """(what it is, its text)."""
    return [
        ("Lorenz, 3 states", LORENZ),
        *((f"ring with exponentials, {n:,} states", ring(n)) for n in (20, 100, 1000)),
        *((f"mass-action network, {n:,} states", network(n, 2 * n).text) for n in (20, 100, 1000)),
    ]


def build(model: Any, flags: tuple[str, ...], folder: Path, name: str) -> tuple[int, Any, float]:
    """(address of f, what keeps it, seconds of the compiler)."""
    from sciml_dsl.codegen.c import source

    text, library = folder / f"{name}.c", folder / f"{name}.so"
    text.write_text(source(model, ("f",)))
    command = ["gcc", *flags, "-std=c99", "-fPIC", "-shared", str(text), "-o", str(library), "-lm"]
    seconds, _ = once(lambda: subprocess.run(command, check=True, capture_output=True))
    loaded = ctypes.CDLL(str(library))
    address = ctypes.cast(loaded.f, ctypes.c_void_p).value
    assert address
    return address, loaded, seconds


def run(effort: Effort, tell: Callable[[str], None]) -> Outcome:
    """Each model with every compiler."""
    rows: list[Row] = []
    verdicts: list[Verdict] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        for k, (what, text) in enumerate(models()):
            tell(what)
            rows += one_model(k, what, text, Path(place), verdicts, notes)
    return Outcome("machine_code", TITLE, SETTINGS, rows, (), notes, verdicts)


def one_model(
    k: int, what: str, text: str, folder: Path, verdicts: list[Verdict], notes: list[str]
) -> list[Row]:  # fmt: skip
    import sciml_dsl as sd

    model = sd.model(text)
    n, n_p = len(model.states), len(model.parameters)
    draw = np.random.default_rng(0)
    u, p = draw.uniform(0.5, 1.5, n), draw.uniform(0.5, 1.5, n_p)
    exact = model.rhs("numpy")(0.0, u, p)
    native = model.rhs("native")
    contenders: list[tuple[Row, int, Any]] = [(Row(OURS, what), native.address, native)]
    compilers = []
    for flags in FLAGS:
        row = Row("gcc", f"{what}, {' '.join(flags)}")
        if shutil.which("gcc") is None:
            row.note = "not installed"
            contenders.append((row, 0, None))
            continue
        try:
            address, keep, seconds = build(model, flags, folder, f"f{k}{len(contenders)}")
        except (subprocess.CalledProcessError, OSError) as problem:
            fail(row, problem)
            contenders.append((row, 0, None))
            continue
        compilers.append(f"{' '.join(flags)} {seconds:.2f} s")
        contenders.append((row, address, keep))
    measure(contenders, u, p, exact)
    if compilers:
        notes.append(f"{what}: gcc took {', '.join(compilers)}")
    verdicts.append(verdict(what, [row for row, _, _ in contenders]))
    return [row for row, _, _ in contenders]


def measure(contenders: list[tuple[Row, int, Any]], u: Any, p: Any, exact: Any) -> None:
    """Fill the rows: samples in turns."""
    out = np.empty(len(u))
    counts: dict[int, int] = {}
    taken: dict[int, list[float]] = {}
    for row, address, _ in contenders:
        if not address:
            continue
        repeat(address, 1, u, p, out)
        row.error = weighted_error(out, exact)
        count = 1
        while repeat(address, count, u, p, out) < 1e-3:
            count *= 2
        counts[address], taken[address] = count, []
    for _ in range(30):
        for address, count in counts.items():
            taken[address].append(repeat(address, count, u, p, out) / count)
    for row, address, _ in contenders:
        if address:
            timing = Timing.of(taken[address], counts[address])
            row.timing = Timing(min(taken[address]), timing.low, timing.high, timing.samples, timing.repeats)


def verdict(what: str, rows: list[Row]) -> Verdict:
    """Our time over that of gcc -O3."""
    target = Target(f"within {SLOWER} x of gcc -O3: {what}", ratio=SLOWER)
    ours, gcc = rows[0].timing, rows[1].timing
    if ours is None or gcc is None:
        return Verdict(target, math.nan, None, "no gcc on this machine")
    measured = ours.median / gcc.median
    return Verdict(target, measured, measured <= SLOWER, "our time over gcc's")
