"""What came of a fault: what the user saw, what was tried again, and that nothing was lost."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.cli.calling import Outcome as Called
from tests.ndif.bench import Bench

# What a run says when something is out of order, among its other lines.
TROUBLE = re.compile(r"^Error: | Trying again in |^ *(Sent again|Picking up|The result is damaged)")
JOB = re.compile(r"\b[0-9a-f]{32}\b")


@dataclass(frozen=True)
class Outcome:
    """What came of a fault.

    Attributes:
        fault: what was done.
        saw: the sentences that the user was shown, in order, each once.
        retried: what was tried again.
        kept: how it was shown that nothing was lost.
        calls: the commands that were given, in order; the last one ends well.
        runs: names of the runs' folders.
        difference: the largest between the results and undisturbed ones.
    """

    fault: str
    saw: tuple[str, ...]
    retried: str
    kept: str
    calls: tuple[Called, ...]
    runs: tuple[str, ...]
    difference: float


def outcome_of_a_run(
    bench: Bench,
    fault: str,
    name: str,
    calls: tuple[Called, ...],
    kept: str = "",
    retried: str | None = None,
) -> Outcome:
    """The outcome where the last of the commands has finished a run; `retried` by its traffic."""
    assert calls[-1].code == 0, calls[-1].err
    difference = bench.difference(name)
    same = f"the run ends with {how_equal(difference)} those of an undisturbed one"
    return Outcome(
        fault,
        sentences(calls),
        retried or _retried(bench, name, calls),
        f"{kept}; {same}" if kept else same,
        calls,
        (name,),
        difference,
    )


def how_equal(difference: float) -> str:
    return "results identical to" if difference == 0 else f"results within {difference:.0e} of"


def sentences(calls: tuple[Called, ...]) -> tuple[str, ...]:
    """Of all that the commands printed, what is about trouble."""
    found: dict[str, str] = {}
    for called in calls:
        for line in called.err.splitlines():
            if TROUBLE.search(line):
                sentence = JOB.sub("…", line.strip())
                # Waits grow from one try to the next.
                found.setdefault(re.sub(r"in \d+ s", "", sentence), sentence)
    return tuple(found.values())


def _retried(bench: Bench, name: str, calls: tuple[Called, ...]) -> str:
    """What was asked again and what was sent again, in numbers."""
    asked = sum(called.err.count(" Trying again in ") for called in calls)
    found = sum(called.err.count("Picking up job") for called in calls)
    traffic = bench.traffic(name)
    parts = []
    if asked:
        parts.append(f"{asked} HTTP request{'s' * (asked > 1)}")
    if again := int(traffic["resubmissions"]):
        parts.append(f"{again} of {int(traffic['requests'])} jobs sent anew")
    if found:
        parts.append(f"{found} job{'s' * (found > 1)} of the first command picked up")
    return ", ".join(parts) or "nothing"


@contextmanager
def logged() -> Iterator[list[str]]:
    """The lines that `--verbose` shows, as they come."""
    lines: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    keeper, log = Keeper(logging.INFO), logging.getLogger("caa_nnsight")
    level = log.level
    log.setLevel(logging.INFO)
    log.addHandler(keeper)
    try:
        yield lines
    finally:
        log.removeHandler(keeper)
        log.setLevel(level)
