"""Which NDIF server, with which key, and how long to wait for it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from caa_nnsight.errors import RemoteError
from caa_nnsight.remote.keys import ApiKey, read_key_file

DEFAULT_HOST = "https://api.ndif.us"
DEFAULT_TIMEOUT = 3600.0
DEFAULT_PATIENCE = 300.0


@dataclass(frozen=True)
class RemoteSettings:
    """An NDIF server and how to treat it; shows no key.

    Attributes:
        host: where the server's API is, without a slash at its end.
        api_key: the key that it is sent, or None; a plain string is hidden.
        timeout: seconds that one job may take, waiting in the server's queue included.
        patience: seconds during which a server that doesn't answer is tried again.

    Raises:
        RemoteError: the host is no plain http(s) address, or a time is out of range.

    Example:
        >>> RemoteSettings("http://127.0.0.1:5001/", timeout=60).host
        'http://127.0.0.1:5001'
    """

    host: str
    api_key: ApiKey | str | None = None
    timeout: float = DEFAULT_TIMEOUT
    patience: float = DEFAULT_PATIENCE

    def __post_init__(self) -> None:
        object.__setattr__(self, "host", _checked_host(self.host))
        if isinstance(self.api_key, str):
            object.__setattr__(self, "api_key", _key(self.api_key))
        if not (self.timeout > 0 and math.isfinite(self.timeout)):
            raise RemoteError(
                f"The time that a remote job may take must be a positive number of seconds, but "
                f"is {self.timeout}."
            )
        if not (self.patience >= 0 and math.isfinite(self.patience)):
            raise RemoteError(
                "The time for which a server is tried again must be a number of seconds of at "
                f"least 0, but is {self.patience}."
            )


def remote_settings(
    host: str | None = None,
    *,
    api_key_file: str | Path | None = None,
    timeout: float | None = None,
    patience: float | None = None,
    configured: Callable[[], tuple[str | None, str | None]] | None = None,
) -> RemoteSettings:
    """Find the server and the key: arguments, then the environment, then nnsight's configuration.

    Args:
        host: the server's address; else `NDIF_HOST`, what `configured` says, or the public NDIF.
        api_key_file: a file with the key; else `NDIF_API_KEY`, or what `configured` says.
        timeout: seconds that one job may take; an hour by default.
        patience: seconds during which a server that doesn't answer is tried again; 300 by default.
        configured: returns the host and the key of nnsight's configuration, None where it has
            none; called only where something is still missing.

    Raises:
        RemoteError: the address, the key or a time is unusable, or the key file can't be read.
    """
    host = host or os.environ.get("NDIF_HOST", "").strip()
    key = read_key_file(api_key_file) if api_key_file else _key(os.environ.get("NDIF_API_KEY"))
    if configured and (not host or key is None):
        known_host, known_key = configured()
        host = host or known_host or ""
        key = key or _key(known_key)
    return RemoteSettings(
        host or DEFAULT_HOST,
        key,
        DEFAULT_TIMEOUT if timeout is None else timeout,
        DEFAULT_PATIENCE if patience is None else patience,
    )


def _key(text: str | None) -> ApiKey | None:
    return ApiKey(text) if text and text.strip() else None


def _checked_host(host: str) -> str:
    host = host.strip()
    hint = f"write it like {DEFAULT_HOST} or http://127.0.0.1:5001"
    try:
        parts = urlsplit(host)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, known = None, False
    # First, and without the address: it would show the password.
    if "@" in host:
        raise RemoteError(
            "The host of the NDIF server has a user name or password in it: leave these out, and "
            "give the key in NDIF_API_KEY or in a file."
        )
    if parts is None or not known or any(not "!" <= letter <= "~" for letter in host):
        raise RemoteError(f"The host {host!r} is no address of an NDIF server: {hint}.")
    # Not shown either: people put tokens there.
    if "?" in host or "#" in host:
        raise RemoteError(f"The host of the NDIF server has a '?' or '#' in it: {hint}.")
    return host.rstrip("/")
