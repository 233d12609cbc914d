"""How the Hub is asked: for no longer than a few seconds, and without bars in logs."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import TypeVar

from caa_nnsight.errors import HubError

T = TypeVar("T")

REACH_SECONDS = 5.0


def within(seconds: float, ask: Callable[[], T]) -> T:
    """Return what `ask` gives, or raise TimeoutError.

    A request's own time limit does not cover the name look-up, which can hang for a minute.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()
    return answer.result(timeout=seconds)


def checked_token(token: str | None) -> str | None:
    """Return a token without white space around it; None leaves it to HF_TOKEN or the login.

    Raises:
        HubError: If no header can carry it, or the one at hand where None is given, as the HTTP
            library would tell by showing it.
    """
    from huggingface_hub import get_token

    sent = get_token() if token is None else token.strip()
    if sent is not None and not re.fullmatch(r"[!-~]+", sent):
        raise HubError(
            "The token for the Hugging Face Hub is empty or holds characters that no token has, "
            "such as spaces: copy it again from https://huggingface.co/settings/tokens."
        )
    return None if token is None else sent


@contextmanager
def quiet_unless_terminal() -> Iterator[None]:
    """Keep the Hub's progress bars out of logs: they are for a terminal."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
