"""The ways in which one HTTP request fails, as errors that say where and why."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from caa_nnsight.errors import RemoteError

Reason = Literal["name", "network", "refused", "timeout", "tls", "proxy", "dropped", "address"]

_SENTENCES: dict[Reason, str] = {
    "name": "its name is not known here: check the host and your network",
    "network": "there is no way to it from here: check your network",
    "refused": "nothing listens there: check the host and the port, and that the server runs",
    "timeout": "it didn't answer in time: check your network, or try later",
    "tls": "its certificate isn't trusted or the secure connection fails",
    "proxy": "the proxy in between refuses: check HTTP_PROXY, HTTPS_PROXY and NO_PROXY",
    "dropped": "the connection broke off",
    "address": "the address can't be used",
}


_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)


class UnreachableError(RemoteError):
    """No answer, or only a part of one.

    Attributes:
        reason: "name", "network", "refused", "timeout", "tls", "proxy", "dropped" or "address".
    """

    def __init__(self, place: str, reason: Reason, note: str = "") -> None:
        super().__init__(f"Can't reach {place}: {_SENTENCES[reason]}{note and f' ({note})'}.")
        self.reason = reason


class BusyError(RemoteError):
    """The server answers that it can't now: 429, 5xx and the like.

    Attributes:
        status: the HTTP status.
        retry_after: seconds that it asks to wait, or None.
    """

    def __init__(self, place: str, status: int, detail: str, retry_after: float | None) -> None:
        because = f": {detail.rstrip('.')}" if detail else ""
        super().__init__(f"{_capital(place)} can't answer now (HTTP {status}){because}.")
        self.status = status
        self.retry_after = retry_after


class RefusedError(RemoteError):
    """The server answers that it won't, and would again.

    Attributes:
        status: the HTTP status.
        detail: what it says, without secrets.
    """

    def __init__(self, place: str, status: int, detail: str) -> None:
        because = f": {detail.rstrip('.')}" if detail else ""
        super().__init__(f"{_capital(place)} refuses (HTTP {status}){because}.")
        self.status = status
        self.detail = detail


class ForeignServerError(RemoteError):
    """Something answers, but not as NDIF does."""


def classify(error: Exception, place: str) -> UnreachableError:
    """One of our errors for one of the HTTP library's, whose own text may hold secrets."""
    import httpx

    causes = list(_chain(error))
    if tls := next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None):
        # OpenSSL's words on a certificate or a handshake; nothing of the request is in them.
        note = getattr(tls, "verify_message", None) or (tls.reason or "").replace("_", " ").lower()
        return UnreachableError(place, "tls", note)
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return UnreachableError(place, "name")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return UnreachableError(place, "refused")
    if any(getattr(cause, "errno", None) in _NO_WAY for cause in causes):
        return UnreachableError(place, "network")
    if isinstance(error, httpx.TimeoutException):
        return UnreachableError(place, "timeout")
    if isinstance(error, httpx.ProxyError):
        return UnreachableError(place, "proxy")
    if isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError | httpx.DecodingError):
        return UnreachableError(place, "dropped")
    return UnreachableError(place, "address", type(error).__name__)


def retry_after(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait by a Retry-After header: a number or a date; None if it is neither.

    Example:
        >>> retry_after("7"), retry_after("soon")
        (7.0, None)
    """
    if header is None:
        return None
    if re.fullmatch(r"\s*\d{1,9}\s*", header):
        return float(header)
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _capital(place: str) -> str:
    return place[:1].upper() + place[1:]
