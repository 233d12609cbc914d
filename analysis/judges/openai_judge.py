"""A judge behind any endpoint that speaks OpenAI's chat completions."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from caa_nnsight.errors import CAAError

from .keys import NO_KEY, TELLING, logs_without, without
from .parsing import parse_reply, shorten
from .protocol import Judge, JudgeQuestion, Rating
from .wording import ask

OPENAI_URL = "https://api.openai.com/v1"
KEY_VARIABLE, URL_VARIABLE = "OPENAI_API_KEY", "OPENAI_BASE_URL"

# Failures in a row, each after its retries, after which an endpoint is taken for dead.
_GIVE_UP_AFTER = 16


@dataclass(frozen=True, slots=True)
class Usage:
    """What a judge has cost since it was made.

    Attributes:
        requests: answered ones.
        tokens_in, tokens_out: as the endpoint counts them.
        cost: of the tokens, in the currency of the price; None without a price.
    """

    requests: int
    tokens_in: int
    tokens_out: int
    cost: float | None


class OpenAIJudge(Judge):
    """Asks a model behind an OpenAI-compatible endpoint, at temperature 0.

    The key comes from OPENAI_API_KEY and from nowhere else; an endpoint of one's own may need
    none. It is in no frame, cache, log or error of ours.

    Args:
        model: as the endpoint calls it.
        base_url: such as "http://localhost:8000/v1"; else OPENAI_BASE_URL, else OpenAI's.
        concurrency: requests under way at once.
        max_retries: after HTTP 408, 409, 429 and 5xx, timeouts and broken connections, ever more
            slowly, or as the endpoint asks.
        timeout: of a request, in seconds.
        max_tokens: of a reply. One that is longer is cut, and its last line not read.
        price: of a million tokens in and a million tokens out; see `usage`.
        options: further fields of each request, such as {"seed": 0}; the value None leaves a field
            out that would be sent otherwise, such as {"temperature": None}.

    Raises:
        CAAError: the extra `judge` isn't installed, there is no key, or an argument is unusable.

    >>> judge = OpenAIJudge("my-model", base_url="http://localhost:8000/v1")
    >>> judge.name, judge.usage.requests
    ('openai:my-model', 0)
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        concurrency: int = 8,
        max_retries: int = 5,
        timeout: float = 60.0,
        max_tokens: int = 256,
        price: tuple[float, float] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if concurrency < 1 or max_retries < 0 or max_tokens < 1 or not timeout > 0:
            raise CAAError(
                "A judge needs concurrency and max_tokens of at least 1, max_retries of at least 0 "
                f"and a timeout above 0, but got {concurrency}, {max_tokens}, {max_retries} and "
                f"{timeout}."
            )
        url = base_url or os.environ.get(URL_VARIABLE) or OPENAI_URL
        self.name = f"openai:{model}"
        self.host = _check_url(url)
        self.concurrency = concurrency
        self._model = model
        fields = {"temperature": 0, "max_tokens": max_tokens} | dict(options or {})
        self._fields = {name: value for name, value in fields.items() if value is not None}
        self._url = url.rstrip("/")
        self._key = _read_key(needed=self._url == OPENAI_URL)
        self._client = _client(self._key, self._url, max_retries, timeout)
        self._price = price
        self._lock = Lock()
        self._requests = self._tokens_in = self._tokens_out = 0
        self._failed_in_a_row = 0

    @property
    def identity(self) -> str:
        """Model, address and fields of the requests."""
        return f"{self.name} at {self._url} {json.dumps(self._fields, sort_keys=True)}"

    @property
    def usage(self) -> Usage:
        """What this judge has cost so far; ratings that a cache had cost nothing."""
        cost = None
        if self._price:
            cost = (self._tokens_in * self._price[0] + self._tokens_out * self._price[1]) / 1e6
        return Usage(self._requests, self._tokens_in, self._tokens_out, cost)

    def rate(self, questions: Sequence[JudgeQuestion]) -> list[Rating]:
        """Ask the endpoint each of the `questions`, several at once.

        What still fails after its retries is a rating "failed". After 16 such in a row, the
        endpoint is taken for dead and not asked again.

        Raises:
            CAAError: the endpoint doesn't take the key (HTTP 401, 403) or has no such model (404).
        """
        with (
            logs_without(self._key),
            ThreadPoolExecutor(self.concurrency, thread_name_prefix="judge") as pool,
        ):
            # Where one raises, those that haven't begun are dropped.
            return list(pool.map(self._rate, questions))

    def _rate(self, question: JudgeQuestion) -> Rating:
        if self._failed_in_a_row >= _GIVE_UP_AFTER:
            return Rating(None, f"not asked, after {_GIVE_UP_AFTER} failures in a row", "failed")
        rating = self._ask(question)
        with self._lock:
            failed = rating.problem == "failed"
            self._failed_in_a_row = self._failed_in_a_row + 1 if failed else 0
            self._requests += not failed
            self._tokens_in += rating.tokens_in
            self._tokens_out += rating.tokens_out
        return rating

    def _ask(self, question: JudgeQuestion) -> Rating:
        import openai

        # Nothing is raised inside of `except`: those errors carry what the server said, and a
        # server may repeat the key.
        status, code, said = 0, None, ""
        try:
            reply = self._client.chat.completions.create(
                model=self._model,
                messages=[{"role": "user", "content": ask(question)}],
                extra_body=self._fields,
            )
            return _read(reply, self._key)
        except openai.APIStatusError as error:
            status, code, said = error.status_code, error.code, str(error.message)
        except openai.APITimeoutError:
            said = "no answer in time"
        except openai.APIConnectionError:
            said = "no connection"
        except (openai.OpenAIError, ValueError, RecursionError):
            said = "an answer that is no chat completion"
        if code == "content_filter":
            return Rating(None, "the endpoint's content filter", "refused")
        if status in (401, 404) or (status == 403 and not self._requests):
            raise CAAError(self._hopeless(status))
        reason = f"HTTP {status}: {said}" if status else said
        return Rating(None, self._without_key(reason, status), "failed")

    def _hopeless(self, status: int) -> str:
        if status == 404:
            return (
                f"{self.host} has no model {self._model!r}, or no chat completions at this address "
                f"(HTTP 404): check the model's name, and {URL_VARIABLE}, which mostly ends in /v1."
            )
        given = "the API key" if self._key != NO_KEY else "requests without an API key"
        return (
            f"{self.host} doesn't take {given} (HTTP {status}): set {KEY_VARIABLE} to a key of "
            f"this endpoint that may use {self._model!r}."
        )

    def _without_key(self, reason: str, status: int) -> str:
        """A reason of failure in one line, or only its status where it may show the key."""
        starts = range(len(self._key) - TELLING + 1)  # none for a key that is no secret
        parts = (self._key[start : start + TELLING] for start in starts)
        if any(part.lower() in reason.lower() for part in parts):
            return f"HTTP {status}"
        return " ".join(shorten(reason).split())[:200]


def _read(reply: Any, key: str) -> Rating:
    """A chat completion as a rating; the client checks none of its fields."""
    usage = getattr(reply, "usage", None)
    tokens = {
        "tokens_in": _count(getattr(usage, "prompt_tokens", 0)),
        "tokens_out": _count(getattr(usage, "completion_tokens", 0)),
    }
    choices = getattr(reply, "choices", None)
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = getattr(choice, "message", None)
    content, refusal = getattr(message, "content", None), getattr(message, "refusal", None)
    ending = getattr(choice, "finish_reason", None)
    if isinstance(refusal, str) and refusal:
        return Rating(None, shorten(without(key, refusal)), "refused", **tokens)
    if ending == "content_filter":
        return Rating(None, "the endpoint's content filter", "refused", **tokens)
    if message is not None and content is None:
        content = ""
    if not isinstance(content, str):
        return Rating(None, "an answer that is no chat completion", "failed", **tokens)
    # What is kept is rid of the key; what is read isn't, or a key could change the rating.
    rating = parse_reply(content, cut=ending == "length", **tokens)
    return replace(rating, raw=shorten(without(key, content)))


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 < value < 2**31 else 0


def _check_url(url: str) -> str:
    """The host of a base URL, as errors may show it."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname
        host = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    except ValueError:
        usable = None
    if not usable:
        raise CAAError(
            "The judge's base URL is no address of the form https://host/v1: check "
            f"{URL_VARIABLE}, or the argument base_url."
        )
    if parts.username or parts.password or parts.query:
        raise CAAError(
            f"The judge's base URL for {host} holds a user name, a password or a query, which "
            f"would show in logs: give the bare address, and the key in {KEY_VARIABLE}."
        )
    return host


def _read_key(*, needed: bool) -> str:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key and needed:
        raise CAAError(
            f"A judge at OpenAI needs an API key: set {KEY_VARIABLE}, or {URL_VARIABLE} to the "
            "address of another endpoint."
        )
    if not re.fullmatch(r"[!-~]*", key):
        raise CAAError(
            f"{KEY_VARIABLE} holds characters that no key has, such as spaces: copy it again from "
            "where you got it."
        )
    return key or NO_KEY


def _client(key: str, url: str, max_retries: int, timeout: float) -> Any:
    try:
        from openai import OpenAI
    except ImportError:
        raise CAAError(
            "A judge behind an endpoint needs the package openai, which isn't installed: run "
            "pip install 'caa_nnsight[judge]'."
        ) from None
    return OpenAI(api_key=key, base_url=url, max_retries=max_retries, timeout=timeout)
