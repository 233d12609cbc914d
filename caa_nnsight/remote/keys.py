"""API keys: held so that they can't be shown by accident, and taken out of every text."""

from __future__ import annotations

import html
import json
import os
import re
import stat
import warnings
from pathlib import Path
from typing import NoReturn, Self
from urllib.parse import quote

from caa_nnsight.errors import RemoteError

HIDDEN = "***"
# A shorter key, such as the "x" that servers without keys are given, is part of ordinary words.
_LONG_ENOUGH = 8
_LONGEST = 4096
_PASSWORD = re.compile(r"(\bhttps?://)[^\s/?#'\"<>@]*@", re.IGNORECASE)
_SIGNED_QUERY = re.compile(r"(\bhttps?://[^\s?#'\"<>]+)\?[^\s'\"<>]*", re.IGNORECASE)


class ApiKey:
    """An NDIF API key. It shows itself as `***`, and can be neither pickled nor written as JSON.

    Args:
        secret: the key itself; white space around it is dropped.

    Raises:
        RemoteError: it is empty, or holds what no HTTP header can carry. The message doesn't
            show it.

    Example:
        >>> print(ApiKey("3f2b9c1e-secret"))
        ***
    """

    __slots__ = ("__secret",)

    def __init__(self, secret: str) -> None:
        secret = secret.strip()
        if not secret or len(secret) > _LONGEST or not re.fullmatch(r"[!-~]+", secret):
            raise RemoteError(
                "The API key is empty or holds characters that no key has, such as spaces: "
                "copy it again from where you got it."
            )
        self.__secret = secret

    def reveal(self) -> str:
        """The key itself, for the header of a request and nothing else."""
        return self.__secret

    def __repr__(self) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ApiKey) and self.__secret == other.reveal()

    def __hash__(self) -> int:
        return hash(self.__secret)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("An API key is not to be stored, so it can't be pickled.")


def scrub(text: str, key: ApiKey | None) -> str:
    """Take the key, however it is escaped, and passwords and signatures of URLs out of a text.

    Scrub before cutting a text short: half a key is a leak too.

    Example:
        >>> scrub("bad key 'c0ffee-1234' for http://store/x?Signature=abc", ApiKey("c0ffee-1234"))
        "bad key '***' for http://store/x?***"
    """
    if key is not None:
        secret = key.reveal()
        forms = {
            secret,
            quote(secret, safe=""),
            quote(secret),
            json.dumps(secret)[1:-1],
            repr(secret)[1:-1],
            html.escape(secret),
        }
        pattern = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
        if len(secret) < _LONG_ENOUGH:
            pattern = rf"(?<!\w)(?:{pattern})(?!\w)"
        text = re.sub(pattern, HIDDEN, text, flags=re.IGNORECASE)
    text = _PASSWORD.sub(rf"\1{HIDDEN}@", text)
    return _SIGNED_QUERY.sub(rf"\1?{HIDDEN}", text)


def read_key_file(path: str | Path) -> ApiKey:
    """Read a key from a file that holds nothing else; warns where other users can read it.

    Raises:
        RemoteError: the file can't be read, or holds no key, or more than one line.
    """
    path = Path(path).expanduser()
    problem = None
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(2 * _LONGEST)
            mode = os.fstat(file.fileno()).st_mode
    except UnicodeDecodeError:
        # Raised below: that error carries the file's content.
        problem = "is not a text file"
    except OSError as error:
        problem = f"can't be read ({error.strerror or type(error).__name__})"
    if problem:
        raise RemoteError(f"The API key file {path} {problem}: name a file that holds the key.")
    lines = text.split()
    if len(lines) != 1:
        found = "is empty" if not lines else "holds more than one word"
        raise RemoteError(f"The API key file {path} {found}: put the key in it, and nothing else.")
    if os.name == "posix" and mode & (stat.S_IRGRP | stat.S_IROTH):
        warnings.warn(
            f"The API key file {path} can be read by other users of this machine: "
            f"run `chmod 600 {path}`.",
            stacklevel=2,
        )
    return ApiKey(lines[0])
