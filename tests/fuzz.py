"""Coverage-guided fuzzing of the language by atheris: `make fuzz`, or `python tests/fuzz.py 50000`.

A fixed number of texts from a fixed seed, grown from the pieces of test_language_fuzz so
that they reach deep.  Anything but a model or one of the project's errors stops it with the text.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import atheris

with atheris.instrument_imports(include=["sciml_dsl.language", "sciml_dsl.model"]):
    import sciml_dsl as sd
    from sciml_dsl.language import diagnose, format, lexer, parse, recover, sides, transform  # noqa: F401
    from sciml_dsl.model import algebraic, array_statements, canonical, notation, resolve, scope, subscripts  # noqa: F401

from tests.test_language_fuzz import PIECES, STATEMENTS, check

CASES = 20_000


def text_from(data: bytes) -> str:
    """Statements, pieces and raw characters in the order that the bytes say."""
    draw = atheris.FuzzedDataProvider(data)
    parts: list[str] = []
    while draw.remaining_bytes() and len(parts) < 60:
        kind = draw.ConsumeIntInRange(0, 9)
        if kind < 4:
            parts.append(draw.PickValueInList(list(STATEMENTS)) + "\n")
        elif kind < 9:
            parts.append(draw.PickValueInList(list(PIECES)) + draw.PickValueInList([" ", "", "\n"]))
        else:
            parts.append(draw.ConsumeUnicodeNoSurrogates(6))
    return "".join(parts)


def one(data: bytes) -> None:
    """One case; the text is shown where it breaks something."""
    text = text_from(data)
    try:
        check(text)
        try:
            new = sd.format(text)
        except sd.ModelError:
            return
        assert sd.format(new) == new
    except BaseException:
        print(repr(text), file=sys.stderr)
        raise


if __name__ == "__main__":
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else CASES
    flags = [f"-atheris_runs={cases}", "-seed=1", "-max_len=400", "-len_control=0", "-verbosity=0", "-timeout=20"]
    atheris.Setup([sys.argv[0], *flags], one)
    atheris.Fuzz()
