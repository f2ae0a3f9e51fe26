"""Every library on every problem, results on disk as they come.

Takes names of problems and libraries and minutes; gives a dict of results.  A result on
disk is used again when it was measured with the same settings, versions and, for ours, the
same sources.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic
from typing import Any

from machine import ROOT
from suite.contenders import OURS

PACKAGES = {"sksundae": "scikit-sundae", "roadrunner": "libroadrunner"}
GRACE = 45.0
"""Seconds beyond its share after which a library counts as hung: compiling is not in the share."""

Result = dict[str, Any]


class Server:
    """A library in a process of its own, started when first asked."""

    def __init__(self, library: str) -> None:
        self.library = library
        self._process: subprocess.Popen[str] | None = None
        self._replies: queue.Queue[str | None] = queue.Queue()
        self._said: Any = None

    def ask(self, request: dict[str, Any], timeout: float) -> Result:
        """The answer to a request; a crash or a hang is an answer too."""
        if self._process is None:
            self._start()
        process = self._process
        assert process is not None and process.stdin is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = self._replies.get(timeout=timeout)
        except queue.Empty:
            self.close()
            return {"ways": [], "note": f"no answer within {timeout:.0f} s"}
        except OSError:
            line = None
        if line is None:
            self.close()
            self._said.seek(0)
            last = (self._said.read().strip().splitlines() or ["without a message"])[-1]
            return {"ways": [], "note": f"its process ended: {last[:160]}"}
        found: Result = json.loads(line)
        return found

    def _start(self) -> None:
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._replies = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py")), self.library],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, text=True, cwd=ROOT,
        )  # fmt: skip
        threading.Thread(target=self._read, args=(self._process, self._replies), daemon=True).start()

    @staticmethod
    def _read(process: subprocess.Popen[str], replies: queue.Queue[str | None]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            replies.put(line)
        replies.put(None)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def versions(library: str) -> str:
    """What a library's results depend on besides the settings."""
    module = import_module(f"suite.contenders.{library}").MODULE
    if library == OURS:
        return _sources()
    try:
        found = version(PACKAGES.get(module, module))
    except PackageNotFoundError:
        found = "not installed"
    return found + (" " + _sources() if library == "sundials" else "")


def _sources() -> str:
    digest = hashlib.sha256()
    for path in sorted((ROOT / "sciml_dsl").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def run(
    names: Sequence[str], libraries: Sequence[str], folder: Path, *, minutes: float, quick: bool, fresh: bool,
    tell: Callable[[str], None],
) -> dict[str, dict[str, Result]]:  # fmt: skip
    """Measure; `results[problem][library]` has `ways`, `note`, `label`.

    Arguments: `folder` keeps one file for each problem and library; `minutes` bounds the
    whole: what did not get its turn says so and is measured by the next run; `fresh`
    measures everything again; `tell`, told what is being done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    servers = {library: Server(library) for library in libraries}
    keys = {library: versions(library) for library in libraries}
    results: dict[str, dict[str, Result]] = {name: {} for name in names}
    waiting = []
    for name in names:
        for library in libraries:
            path = folder / f"{name}.{library}.json"
            key = f"{'quick' if quick else 'full'} {keys[library]}"
            known = None if fresh or not path.exists() else json.loads(path.read_text(encoding="utf-8"))
            if known is not None and known.get("key") == key:
                results[name][library] = known
            else:
                waiting.append((name, library, path, key))
    end = monotonic() + 60.0 * minutes
    try:
        for done, (name, library, path, key) in enumerate(waiting):
            contender = import_module(f"suite.contenders.{library}")
            left = end - monotonic()
            if importlib.util.find_spec(contender.MODULE) is None:
                found: Result = {"ways": [], "note": "not installed"}
            elif left <= 0.0:
                results[name][library] = {"ways": [], "note": "not measured: out of time", "label": contender.LABEL}
                continue
            else:
                weight = 2.0 if library == OURS else 1.0  # it has twice as many methods to try
                share = weight * min(0.7 if quick else 6.0, 0.8 * left / (len(waiting) - done))
                tell(f"{name}: {contender.LABEL} ({done + 1} of {len(waiting)}, {left / 60:.1f} min left)")
                request = {"problem": name, "seconds": share, "quick": quick}
                found = servers[library].ask(request, share + GRACE)
            found |= {"key": key, "label": contender.LABEL}
            part = path.with_suffix(".part")
            part.write_text(json.dumps(found) + "\n", encoding="utf-8")
            part.replace(path)
            results[name][library] = found
    finally:
        for server in servers.values():
            server.close()
    return results
