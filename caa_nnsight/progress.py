"""Progress bars on standard error, with the time left; quiet where nobody looks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int], None]


class Steps:
    """The steps of one job: a bar for each, and how long each took.

    Attributes:
        seconds: step -> wall time, as the steps end.
    """

    def __init__(self, bars=None) -> None:
        self._bars = bars
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, label: str) -> Iterator[Progress]:
        """Show a bar while the block runs; the block calls what it gets with (done, total)."""
        began = time.monotonic()
        if self._bars is None:
            print(f"{label} ...", file=sys.stderr, flush=True)
            yield lambda done, total: None
        else:
            task = self._bars.add_task(label, total=None)
            yield lambda done, total: self._bars.update(task, completed=done, total=total)
            total = self._bars.tasks[task].total or 1
            self._bars.update(task, completed=total, total=total)
        self.seconds[label] = round(time.monotonic() - began, 2)


@contextmanager
def progress_steps(quiet: bool = False) -> Iterator[Steps]:
    """Steps with bars on a terminal, and a line per step elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield Steps()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield Steps(bars)
