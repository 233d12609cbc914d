"""Work in a thread that doesn't keep the program from ending."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any


async def in_thread(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run `work` in a thread and wait for what it gives.

    `asyncio.to_thread` would hold Ctrl-C until the model is done with its pass.

    Raises:
        Exception: what `work` raises.
    """
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def settle(settled: Callable[[Any], None], value: Any) -> None:
        def unless_cancelled() -> None:
            if not ended.done():
                settled(value)

        # The loop is closed where the program ends first.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(unless_cancelled)

    def run() -> None:
        try:
            value = work(*args, **kwargs)
        except BaseException as error:
            settle(ended.set_exception, error)
        else:
            settle(ended.set_result, value)

    Thread(target=run, daemon=True).start()
    return await ended
