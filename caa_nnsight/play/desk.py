"""One model serves many tabs: who comes first is served first, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from threading import Event

from caa_nnsight.play.stopping import StoppedError


class Desk:
    """A line before the model.

    Example:
        >>> async def visit(desk):
        ...     async with desk.turn(print, Event()):
        ...         return "served"
        >>> asyncio.run(visit(Desk()))
        'served'
    """

    def __init__(self) -> None:
        self._line: list[object] = []
        self._moved = asyncio.Condition()

    @asynccontextmanager
    async def turn(self, told: Callable[[int], None], stopped: Event) -> AsyncIterator[None]:
        """Wait for one's turn, and have it while the block runs.

        Args:
            told: called with the number of those before, whenever it changes.
            stopped: when it is set, `look_up` ends the waiting.

        Raises:
            StoppedError: it was stopped before its turn.
        """
        ticket = object()
        self._line.append(ticket)
        try:
            async with self._moved:
                while (ahead := self._line.index(ticket)) and not stopped.is_set():
                    told(ahead)
                    await self._moved.wait()
            if stopped.is_set():
                raise StoppedError
            yield
        finally:
            self._line.remove(ticket)
            await self.look_up()

    async def look_up(self) -> None:
        """Have all who wait see where they stand now, and whether they are stopped."""
        async with self._moved:
            self._moved.notify_all()
