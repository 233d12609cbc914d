"""Ending work that is no longer wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

from caa_nnsight.errors import RemoteError

if TYPE_CHECKING:
    from caa_nnsight.models import Model
    from caa_nnsight.remote.events import JobEvent


class StoppedError(Exception):
    """What was under way is no longer wanted."""


class JobLeftError(RemoteError):
    """A job is no longer waited for.

    One of the errors that servers cause, because the tracer takes others for its own mistakes.
    """


@contextmanager
def leaving_jobs(
    model: Model, stopped: Event, said: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Wait for no job of a model behind NDIF any longer than until `stopped` is set.

    The job itself goes on over there.

    Args:
        model: of any kind; one in this process has no jobs.
        stopped: may be set by another thread.
        said: called with what happens to the jobs, in sentences.

    Raises:
        StoppedError: it was stopped while a job was waited for.
    """
    if not model.remote:
        yield
        return
    jobs = model.remote.jobs
    sleep, report = jobs.sleep, jobs.report

    def until_stopped(seconds: float) -> None:
        if stopped.wait(seconds):
            raise JobLeftError("The job is no longer waited for.")

    def tell(event: JobEvent) -> None:
        if said:
            said(event.message)
        if report:
            report(event)

    jobs.sleep, jobs.report = until_stopped, tell
    try:
        yield
    except JobLeftError as error:
        raise StoppedError from error
    finally:
        jobs.sleep, jobs.report = sleep, report
