"""What the user sees while work goes on: bars on a terminal, else one line per step.

Everything goes to standard error, so that a command's output stays clean.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from functools import lru_cache
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

    from caa_nnsight.remote import JobEvent

Progress = Callable[[int, int], None]


def _on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def stderr_console() -> Console:
    """The one console on standard error: displays that share it nest, others overwrite each other.

    It keeps the stream that is there now, so it goes on working while `sys.stderr` is redirected.
    """
    return _console_on(getattr(sys.stderr, "rich_proxied_file", sys.stderr))


@lru_cache(maxsize=1)
def _console_on(stream: TextIO) -> Console:
    from rich.console import Console

    return Console(file=stream)


def say(text: str) -> None:
    """Print one line to standard error."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def byte_bar(text: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar over `total` bytes; call the yielded function with the bytes done so far."""
    if not _on_terminal():
        say(f"{text} ({total / 1e6:.0f} MB)")
        yield lambda done: None
        return

    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr_console()) as progress:
        task = progress.add_task(text, total=total)
        yield lambda done: progress.update(task, completed=min(done, total))
        progress.update(task, completed=total)


@contextmanager
def spinner(text: str) -> Iterator[None]:
    """Show that a step of unknown length is under way, and how long it has taken.

    What other libraries write to standard error meanwhile is dropped: their own bars would
    fight with this one. Their errors are exceptions and pass through.
    """
    if not _on_terminal():
        say(text)
        with redirect_stderr(io.StringIO()):
            yield
        return

    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=stderr_console()) as progress:
        progress.add_task(text, total=None)
        with redirect_stderr(io.StringIO()):
            yield


class Steps:
    """The steps of one job: a bar for each, and how long each took.

    Attributes:
        seconds: step -> wall time, as the steps end.
    """

    def __init__(self, bars=None) -> None:
        self._bars = bars
        self._task = None
        self._label = ""
        self._told = ""
        self._said, self._said_at = 0, 0.0
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, label: str) -> Iterator[Progress]:
        """Show a bar while the block runs; the block calls what it gets with (done, total)."""
        began = time.monotonic()
        self._label, self._told, self._said = label, "", 0
        if self._bars is None:
            say(f"{label} ...")
            yield self._say_progress
        else:
            task = self._task = self._bars.add_task(label, total=None)
            yield lambda done, total: self._bars.update(task, completed=done, total=total)
            total = self._bars.tasks[task].total or 1
            self._bars.update(task, description=label, completed=total, total=total)
            self._task = None
        self.seconds[label] = round(time.monotonic() - began, 2)

    def tell(self, event: JobEvent) -> None:
        """Show what became of a job on a server: beside the bar, or as a line."""
        if self._task is not None:
            shown = "" if event.kind == "done" else f" ({event.message.rstrip('.')})"
            self._bars.update(self._task, description=f"{self._label}{shown}")
        elif event.message != self._told and not _is_routine(event):
            say(f"  {event.message}")
        # Lines of progress are for waits as long as a server's.
        self._told = event.message

    def _say_progress(self, done: int, total: int) -> None:
        now = time.monotonic()
        # Of what comes back together, one line will do.
        if self._told and done != self._said and (done == total or now > self._said_at + 1):
            self._said, self._said_at = done, now
            say(f"  {done} of {total}")


def _is_routine(event: JobEvent) -> bool:
    """Whether every job goes through this, and none stays there for long."""
    if event.kind == "status":
        return event.status in ("RECEIVED", "DISPATCHED", "RUNNING", "COMPLETED")
    return event.kind in ("submitted", "done")


@contextmanager
def progress_steps(quiet: bool = False) -> Iterator[Steps]:
    """Steps with bars on a terminal, and a line per step elsewhere."""
    if quiet or not _on_terminal():
        yield Steps()
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        # A server's words stand there too: brackets in them are no markup.
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr_console()) as bars:
        yield Steps(bars)
