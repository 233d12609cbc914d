"""Asking again where that can help: which failures, how long to wait, and when to give up."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from caa_nnsight.errors import RemoteError
from caa_nnsight.remote.faults import BusyError, UnreachableError

T = TypeVar("T")
FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
_NOT_WORTH_IT = ("tls", "proxy", "address")


class GivenUpError(RemoteError):
    """A failure that trying again has not cured while patience lasted."""


def worth_retrying(error: RemoteError) -> bool:
    """Whether the same request may succeed later: no answer, or one that says "not now"."""
    if isinstance(error, UnreachableError):
        return error.reason not in _NOT_WORTH_IT
    return isinstance(error, BusyError)


class Retries:
    """Calls that are tried again while patience lasts, counted from the call's first try.

    Args:
        patience: seconds; what fails for longer is given up.
        clock: seconds that only grow.
        sleep: waits for seconds.
        seed: of the jitter, which keeps many clients from coming back all at once.

    Example:
        >>> Retries(60, clock=lambda: 0.0, sleep=print).call(lambda: 7)
        7
    """

    def __init__(
        self,
        patience: float,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        seed: int = 0,
    ) -> None:
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._random = random.Random(seed)

    def call(
        self,
        function: Callable[[], T],
        *,
        deadline: float = float("inf"),
        report: Callable[[RemoteError, float], None] | None = None,
    ) -> T:
        """Call until it succeeds.

        Args:
            function: raises `RemoteError`s.
            deadline: the clock's time at which to give up, whatever the patience.
            report: called with the failure and the seconds until the next try.

        Raises:
            GivenUpError: trying again has not helped.
            RemoteError: the failure itself, where trying again can't help.
        """
        began = self._clock()
        end = min(began + self._patience, deadline)
        tries = 0
        while True:
            try:
                return function()
            except RemoteError as error:
                failure = error
            tries += 1
            if not worth_retrying(failure):
                raise failure
            delay = self._delay(tries, failure)
            if self._clock() + delay > end:
                raise self._given_up(failure, tries, self._clock() - began)
            if report:
                report(failure, delay)
            self._sleep(delay)

    def _delay(self, tries: int, failure: RemoteError) -> float:
        delay = min(FIRST_DELAY * 2 ** min(tries - 1, 10), LONGEST_DELAY)
        delay *= self._random.uniform(0.75, 1.25)
        return max(delay, getattr(failure, "retry_after", None) or 0.0)

    def _given_up(self, failure: RemoteError, tries: int, seconds: float) -> GivenUpError:
        asked = getattr(failure, "retry_after", None) or 0.0
        if asked > self._patience:
            return GivenUpError(f"{failure} It asks to come back in {asked:.0f} s.")
        times = "once" if tries == 1 else f"{tries} times in {seconds:.0f} s"
        return GivenUpError(f"{failure} It was tried {times}.")
