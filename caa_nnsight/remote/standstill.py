"""When a job whose status stands still is taken for lost.

NDIF keeps its queue in memory: a server that was restarted answers again, but with the last
status of a job that it has forgotten.
"""

from __future__ import annotations

from collections.abc import Callable

from caa_nnsight.errors import RemoteError
from caa_nnsight.remote.faults import BusyError, UnreachableError

# Seconds of standing still after the server was seen away.
LOST_AFTER = 30.0
# Seconds in which a job that was just sent has no status at all.
UNSEEN_AFTER = 120.0
# Seconds between looks at whether the server has its cluster.
LOOK_EVERY = 10.0


class Standstill:
    """Follows one job's status.

    Args:
        clock: seconds that only grow.
        patience: seconds of standing still that are too many where a restart of the server may
            have gone unseen: after a failure of the network, for a job of an earlier run, and
            for a server that stays away.
        reattached: whether it is a job of an earlier run.
    """

    def __init__(self, clock: Callable[[], float], patience: float, *, reattached: bool) -> None:
        self._clock = clock
        self._patience = patience
        self._unwatched = reattached
        self._has_status = False
        self.moved(has_status=False)

    def moved(self, *, has_status: bool = True) -> None:
        """The status changed: whatever happened to the server, the job lives."""
        self._since = self._looked = self._clock()
        self._first_away: float | None = None
        self._last_away = 0.0
        # An answer to the first question says nothing of what happened before it.
        self._unwatched = self._unwatched and not self._has_status
        self._has_status = has_status

    def away(self) -> None:
        """The server didn't answer, or has no cluster."""
        self._last_away = self._clock()
        if self._first_away is None:
            self._first_away = self._last_away

    def saw(self, error: RemoteError) -> None:
        """A question about the job failed: does that speak of the server, or of the way to it?"""
        if isinstance(error, BusyError) and error.status >= 500:
            self.away()
        elif isinstance(error, UnreachableError):
            if error.reason in ("refused", "dropped"):
                self.away()
            else:
                self._unwatched = True
                self._since = self._clock()

    def look_is_due(self) -> bool:
        """Whether to ask if the server has its cluster; a status alone doesn't tell."""
        if self._clock() - self._looked < LOOK_EVERY:
            return False
        self._looked = self._clock()
        return True

    def lost(self) -> bool:
        """Whether the job is to be taken for lost."""
        now = self._clock()
        if self._first_away is not None:
            stayed_away = now - self._first_away >= max(self._patience, LOST_AFTER)
            return stayed_away or now - self._last_away >= LOST_AFTER
        if not self._has_status:
            return now - self._since >= UNSEEN_AFTER
        return self._unwatched and now - self._since >= max(self._patience, LOST_AFTER)
