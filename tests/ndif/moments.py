"""Finding the moment of a run at which something is to happen, and holding it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from tests.ndif.bench import Bench

SECONDS = 120.0
UNDER_WAY = ("RECEIVED", "QUEUED", "DISPATCHED", "RUNNING")


class MissedMomentError(Exception):
    """What was waited for has not come."""


def wait_until(seen: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not seen():
        if time.monotonic() > deadline:
            raise MissedMomentError(f"Waited {SECONDS:.0f} s for {what}.")
        time.sleep(0.005)


@contextmanager
def frozen(bench: Bench) -> Iterator[None]:
    """Let the model's process stand still; it may be killed meanwhile."""
    actor = bench.server.pid("model_actor")
    os.kill(actor, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(actor, signal.SIGCONT)


@contextmanager
def frozen_at_a_job(bench: Bench, name: str, after: int) -> Iterator[str]:
    """Freeze the model's process when a run has `after` results, and yield the job that it holds.

    The job does not end before the block does: it is in the model's process, or waits behind one
    that is.
    """
    held = ""

    def holds_one() -> bool:
        nonlocal held
        events = bench.events(name)
        sent = [job for job, event in events if event == "submitted"]
        held = sent[-1] if sent else ""
        return status(bench, held) in UNDER_WAY

    wait_until(lambda: len(finished(bench, name)) >= after, f"{after} results of {name}")
    with frozen(bench):
        wait_until(holds_one, f"the next job of {name}")
        yield held


def finished(bench: Bench, name: str) -> list[str]:
    """The jobs whose results a run has."""
    return [job for job, event in bench.events(name) if event == "finished"]


def status(bench: Bench, job: str) -> str | None:
    """What the server says of a job."""
    answer = httpx.get(f"{bench.server.host}/response/{job}", timeout=30)
    return answer.json()["status"] if answer.is_success else None
