"""Finding the moment of a run at which something is to happen, and holding it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from tests.ndif.bench import Bench

SECONDS = 120.0


class MissedMomentError(Exception):
    """What was waited for has not come."""


def wait_until(seen: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not seen():
        if time.monotonic() > deadline:
            raise MissedMomentError(f"Waited {SECONDS:.0f} s for {what}.")
        time.sleep(0.005)


@contextmanager
def frozen_at_a_job(bench: Bench, name: str, after: int) -> Iterator[str]:
    """Freeze the model's process when a run has `after` results, and yield the job it then sends.

    The server has handed that job to the model, and it does not end before the block does.
    """

    def jobs(event: str) -> list[str]:
        return [job for job, noted in bench.events(name) if noted == event]

    wait_until(lambda: len(jobs("finished")) >= after, f"{after} results of {name}")
    actor = bench.server.pid("model_actor")
    os.kill(actor, signal.SIGSTOP)
    try:
        wait_until(lambda: len(jobs("submitted")) > after, f"the next job of {name}")
        job = jobs("submitted")[-1]
        wait_until(lambda: status(bench, job) in ("DISPATCHED", "RUNNING"), f"job {job}")
        yield job
    finally:
        # The process that the block killed is gone.
        try:
            os.kill(actor, signal.SIGCONT)
        except ProcessLookupError:
            pass


def status(bench: Bench, job: str) -> str | None:
    """What the server says of a job."""
    answer = httpx.get(f"{bench.server.host}/response/{job}", timeout=30)
    return answer.json()["status"] if answer.is_success else None
