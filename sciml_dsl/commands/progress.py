"""Progress of fits and discoveries on stderr: a live bar on a terminal, plain lines elsewhere.

Takes the events that `fit` and `discover` send to their `progress` argument:
dicts with `stage`, `step`, `total`, `loss` and `message`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import click

_EVERY = 2.0  # seconds between plain lines of one stage


class Progress:
    """A callable that shows progress events while its `with` block runs.

    Example:
        >>> with Progress(quiet=True) as progress:
        ...     progress({"stage": "train", "step": 1, "total": 10, "loss": 0.5, "message": ""})
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live: _Live | None = None
        self._stage = ""
        self._message = ""
        self._start = self._last = 0.0

    def __enter__(self) -> Progress:
        self._start = time.monotonic()
        if not self._quiet and sys.stderr.isatty():
            self._live = _Live()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: Mapping[str, Any]) -> None:
        if self._quiet:
            return
        if self._live is not None:
            self._live.show(event)
            return
        stage, message = str(event.get("stage", "")), str(event.get("message") or "")
        now = time.monotonic()
        if stage == self._stage and message == self._message and now - self._last < _EVERY:
            return
        if stage == self._stage and now - self._last < _EVERY / 4:
            return
        self._stage, self._message, self._last = stage, message, now
        click.echo(f"[{now - self._start:6.1f} s] {_line(event)}", err=True)


def _line(event: Mapping[str, Any]) -> str:
    step, total, loss = event.get("step"), event.get("total"), event.get("loss")
    parts = [str(event.get("stage", ""))]
    if step is not None and (total is None or total > 1):
        parts.append(f"{step}/{total}" if total else str(step))
    if loss is not None:
        parts.append(f"loss {loss:.6g}")
    if event.get("message"):
        parts.append(str(event["message"]))
    return "  ".join(parts)


class _Live:
    """One rich bar for each stage."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.fields[stage]:<12}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]:>11}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, Any] = {}
        self._current = ""
        self._bars.start()

    def show(self, event: Mapping[str, Any]) -> None:
        stage = str(event.get("stage", ""))
        step, total, loss = event.get("step") or 0, event.get("total"), event.get("loss")
        if stage != self._current:
            self._finish(self._current)
            self._current = stage
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task("", total=total, stage=stage, count="", detail="")
        detail = "" if loss is None else f"loss {loss:.5g}"
        if event.get("message"):
            detail = f"{detail}  {event['message']}".strip()
        self._bars.update(
            self._tasks[stage], completed=step, total=total, detail=detail,
            count=f"{step}/{total}" if total else str(step),
        )  # fmt: skip

    def stop(self) -> None:
        self._finish(self._current)
        self._bars.stop()

    def _finish(self, stage: str) -> None:
        if stage in self._tasks:
            task = next(t for t in self._bars.tasks if t.id == self._tasks[stage])
            done = max(1, task.completed)
            self._bars.update(task.id, total=done, completed=done)
