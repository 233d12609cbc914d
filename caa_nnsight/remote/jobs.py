"""Jobs on an NDIF server: sent, waited for, fetched; picked up again after any interruption."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from caa_nnsight.errors import RemoteError
from caa_nnsight.remote.client import NdifClient, envelope
from caa_nnsight.remote.events import (
    JobEvent,
    Kind,
    known_status,
    queue_position,
    status_sentence,
)
from caa_nnsight.remote.failures import explain, explain_refusal
from caa_nnsight.remote.faults import RefusedError
from caa_nnsight.remote.keys import scrub
from caa_nnsight.remote.ledger import Ledger
from caa_nnsight.remote.results import DamagedResultError, decode
from caa_nnsight.remote.retries import GivenUpError, Retries
from caa_nnsight.remote.settings import RemoteSettings
from caa_nnsight.remote.standstill import Standstill
from caa_nnsight.remote.traffic import Traffic

T = TypeVar("T")
# How often a job that the server dropped or lost is sent again.
RESUBMISSIONS = 3
# Seconds before each of them: a server that lost a model needs a while.
PAUSES = (1.0, 5.0, 20.0)
# A result that can't be had is rarely cured by doing the work again.
RESUBMISSIONS_FOR_RESULT = 1
DOWNLOADS = 3
FIRST_WAIT, LONGEST_WAIT, GROWTH = 0.1, 2.0, 1.5

logger = logging.getLogger(__name__)


class RemoteJobs:
    """Runs jobs on one server, one at a time.

    Args:
        settings: the server, the key, and how long to wait.
        ledger: where jobs are noted, so that a later call picks them up; may be set later.
        report: called with every `JobEvent`; may be set later.
        clock: seconds that only grow.
        sleep: waits for seconds.
        seed: of the jitter between tries; by default another one every time.

    Attributes:
        traffic: what all jobs so far have cost.
    """

    def __init__(
        self,
        settings: RemoteSettings,
        *,
        ledger: Ledger | None = None,
        report: Callable[[JobEvent], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        seed: int | None = None,
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.report = report
        self.traffic = Traffic()
        self.clock = clock
        self.sleep = sleep
        self.retries = Retries(
            settings.patience,
            clock=clock,
            # Looked up each time: a page waits another way, so that jobs can be left.
            sleep=lambda seconds: self.sleep(seconds),
            seed=seed,
        )

    def run(
        self,
        blob: bytes,
        model_key: str,
        *,
        fingerprint: str,
        label: str = "",
        env: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Run one job and return the values that it saved.

        A job of the same fingerprint that the ledger knows is picked up, where the server still
        has it. A job that the server drops or forgets is sent again.

        Args:
            blob: the work, as nnsight serializes and compresses it.
            model_key: nnsight's name of the model.
            fingerprint: what is computed, server and model included: equal for equal work.
            label: what events call the job.
            env: settings that the server applies to the model.

        Returns:
            saved values by name, tensors on the CPU.

        Raises:
            RemoteTooLargeError: too large, or longer than the server allows.
            RemoteMemoryError: the server ran out of memory.
            RemoteError: the server can't be reached while patience lasts, refuses, or fails the
                job for good, or the job takes longer than `settings.timeout`.
        """
        began = self.clock()
        try:
            with NdifClient(self.settings, self.traffic) as client:
                work = _Work(blob, envelope(model_key, env), fingerprint, label)
                return _Run(self, client, work, began + self.settings.timeout).result()
        finally:
            self.traffic.seconds += self.clock() - began


@dataclass(frozen=True)
class _Work:
    blob: bytes
    envelope: dict[str, Any]
    fingerprint: str
    label: str


@dataclass(frozen=True)
class _Again:
    """The job has to be sent anew.

    `event` is what the ledger notes of the old one, `error` what to raise when `limit` is reached.
    """

    reason: str
    event: str
    error: RemoteError
    limit: int


class _Run:
    """One piece of work on its way through as many jobs as it takes."""

    def __init__(self, jobs: RemoteJobs, client: NdifClient, work: _Work, deadline: float) -> None:
        self._jobs = jobs
        self._client = client
        self._work = work
        self._deadline = deadline
        self._job = ""

    def result(self) -> dict[str, Any]:
        ledger = self._jobs.ledger
        known = ledger.last_job(self._work.fingerprint) if ledger else None
        if known:
            self._job = known
            self._tell("reattached", f"Picking up job {known} of an earlier run.")
            outcome = self._follow(reattached=True)
        else:
            self._submit()
            outcome = self._follow()
        resent: Counter[str] = Counter()
        while isinstance(outcome, _Again):
            self._note(outcome.event, reason=outcome.reason)
            self._job = ""
            # What became of an earlier run's job says little of how a new one will fare.
            if not known:
                if resent[outcome.reason] >= outcome.limit or resent.total() >= RESUBMISSIONS:
                    raise outcome.error
                self._jobs.sleep(PAUSES[resent.total()])
                resent[outcome.reason] += 1
            known = None
            self._submit(outcome.reason)
            outcome = self._follow()
        return outcome

    def _submit(self, again: str | None = None) -> None:
        refusal = None
        try:
            sent = self._ask(partial(self._client.submit, self._work.blob, self._work.envelope))
        except RefusedError as error:
            refusal = explain_refusal(error)
        if refusal is not None:
            raise refusal
        # Before anything else can go wrong: from here on the server has it.
        self._job = sent.id
        self._note("submitted")
        traffic = self._jobs.traffic
        traffic.requests += 1
        if again is None:
            self._tell("submitted", f"Sent as job {sent.id}.", known_status(sent.status))
        else:
            traffic.resubmissions += 1
            self._tell(
                "resubmitted", f"Sent again as job {sent.id}: {again}.", known_status(sent.status)
            )

    def _follow(self, *, reattached: bool = False) -> dict[str, Any] | _Again:
        """Wait until the job has ended, and fetch its result."""
        settings, clock = self._jobs.settings, self._jobs.clock
        still = Standstill(clock, settings.patience, reattached=reattached)
        wait = FIRST_WAIT
        last: tuple[str, int | None] | None = None
        while True:
            answer = self._ask(partial(self._client.response, self._job), still)
            if answer is None and reattached and last is None:
                return self._lost("the server no longer knows the earlier job")
            if answer is not None:
                said = scrub(str(answer.get("description") or ""), settings.api_key)
                now = (known_status(answer["status"]), queue_position(said))
                if now[0] == "COMPLETED":
                    return self._fetch(answer.get("data"))
                if now[0] == "ERROR":
                    return self._failed(said, reattached=reattached)
                if now != last:
                    last = now
                    still.moved()
                    self._tell("status", status_sentence(*now), *now)
            if still.look_is_due():
                self._look(still)
            if still.lost():
                return self._lost("the server has forgotten the job")
            if clock() >= self._deadline:
                raise self._too_late(last[0] if last else "RECEIVED")
            self._jobs.sleep(wait)
            wait = min(wait * GROWTH, LONGEST_WAIT)

    def _fetch(self, url: Any) -> dict[str, Any] | _Again:
        """Download and read the result."""
        if not isinstance(url, str):
            raise RemoteError(
                f"The server says that job {self._job} is done, but not where its result is: is "
                "its version of NDIF supported?"
            )
        for left in reversed(range(DOWNLOADS)):
            try:
                content = self._ask(partial(self._client.download, url))
                values = decode(content)
            except RefusedError as error:
                # Addresses of results run out after a while, and results are deleted.
                gone = RemoteError(f"The result of job {self._job} can't be fetched: {error}")
                return _Again(
                    "its result is no longer there", "abandoned", gone, RESUBMISSIONS_FOR_RESULT
                )
            except DamagedResultError as error:
                if left:
                    self._tell("retry", f"{error} Downloading it again.", "COMPLETED")
                    self._jobs.sleep(FIRST_WAIT)
                continue
            self._note("finished", bytes=len(content))
            self._tell("done", "The job is done.", "COMPLETED")
            return values
        damaged = RemoteError(
            f"The result of job {self._job} arrived damaged {DOWNLOADS} times: check the disk "
            "and the network of the server's object store."
        )
        return _Again("its result is damaged", "abandoned", damaged, RESUBMISSIONS_FOR_RESULT)

    def _failed(self, said: str, *, reattached: bool) -> _Again:
        logger.debug("job %s failed: %s", self._job, said)
        failure = explain(said)
        if failure.dropped:
            return _Again(failure.dropped, "failed", failure.error, RESUBMISSIONS)
        if reattached:
            return _Again("the earlier job failed", "failed", failure.error, RESUBMISSIONS)
        self._note("failed")
        raise failure.error

    def _lost(self, reason: str) -> _Again:
        error = RemoteError(
            f"The server lost the job again and again ({reason}): ask whoever runs it what is "
            "wrong, then give the same command again."
        )
        return _Again(reason, "abandoned", error, RESUBMISSIONS)

    def _look(self, still: Standstill) -> None:
        """Whether the server has its cluster."""
        try:
            if not self._client.connected():
                still.away()
        except RemoteError as error:
            # What needs more than that comes up again with the next question about the job.
            still.saw(error)

    def _ask(self, question: Callable[[], T], still: Standstill | None = None) -> T:
        """One request, tried again while patience lasts."""

        def tell(error: RemoteError, delay: float) -> None:
            if still:
                still.saw(error)
            logger.info("%s Trying again in %.1f s.", error, delay)
            self._tell("retry", f"{error} Trying again in {delay:.{0 if delay >= 10 else 1}f} s.")

        try:
            return self._jobs.retries.call(question, deadline=self._deadline, report=tell)
        except GivenUpError as error:
            given_up = error
        raise RemoteError(f"{given_up}{self._picked_up()}")

    def _too_late(self, status: str) -> RemoteError:
        return RemoteError(
            f"Job {self._job} hasn't ended after {self._jobs.settings.timeout:.0f} s; its last "
            f"status is {status}. Allow more time with --remote-timeout.{self._picked_up()}"
        )

    def _picked_up(self) -> str:
        """That nothing is lost, where that is so."""
        if not self._jobs.ledger:
            return ""
        if not self._job:
            return " The same command goes on from here."
        return f" The same command picks job {self._job} up again."

    def _note(self, event: str, **facts: Any) -> None:
        if self._jobs.ledger:
            self._jobs.ledger.record(
                self._work.fingerprint, self._job, event, label=self._work.label, **facts
            )

    def _tell(
        self, kind: Kind, message: str, status: str = "", position: int | None = None
    ) -> None:
        if self._jobs.report:
            self._jobs.report(
                JobEvent(kind, status, position, message, self._work.label, self._job)
            )
