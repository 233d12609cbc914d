"""One model serves many tabs: who comes first is served first, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Desk:
    """A line before the model.

    Example:
        >>> async def visit(desk):
        ...     async with desk.turn(print):
        ...         return "served"
        >>> asyncio.run(visit(Desk()))
        'served'
    """

    def __init__(self) -> None:
        self._line: list[object] = []
        self._moved = asyncio.Condition()

    @asynccontextmanager
    async def turn(self, told: Callable[[int], None]) -> AsyncIterator[None]:
        """Wait for one's turn, and have it while the block runs.

        Args:
            told: called with the number of those before, whenever it changes.
        """
        ticket = object()
        self._line.append(ticket)
        try:
            async with self._moved:
                while ahead := self._line.index(ticket):
                    told(ahead)
                    await self._moved.wait()
            yield
        finally:
            self._line.remove(ticket)
            async with self._moved:
                self._moved.notify_all()
