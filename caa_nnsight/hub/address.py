"""Which repository on the Hub is meant, and at which revision: `hf:OWNER/NAME@REVISION`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from caa_nnsight.errors import HubError

PREFIX = "hf:"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Address:
    """A repository on the Hub.

    Attributes:
        repo: Its owner and name, such as "somebody/refusal".
        revision: A branch, tag or commit; None means the branch `main`.
    """

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        """Return the address as the command line takes it."""
        return f"{PREFIX}{self.repo}" + (f"@{self.revision}" if self.revision else "")

    @property
    def is_fixed(self) -> bool:
        """Whether the revision is a commit, whose files never change."""
        return bool(_COMMIT.fullmatch(self.revision or ""))


def is_address(text: str | os.PathLike[str]) -> bool:
    """Tell whether a text names a repository on the Hub, as `hf:OWNER/NAME` does.

    >>> is_address("hf:somebody/refusal"), is_address("refusal.safetensors")
    (True, False)
    """
    return os.fspath(text).startswith(PREFIX)


def parse_address(text: str, revision: str | None = None) -> Address:
    """Read `OWNER/NAME` or `hf:OWNER/NAME[@REVISION]`.

    Args:
        text: What the user wrote.
        revision: Given apart from it.

    Raises:
        HubError: If the text is neither, or names another revision than `revision`.

    Examples:
        >>> parse_address("hf:somebody/refusal@v2")
        Address(repo='somebody/refusal', revision='v2')
    """
    repo, at, named = text.removeprefix(PREFIX).partition("@")
    if not HUB_ID.fullmatch(repo) or (at and not named):
        raise HubError(
            f"{text[:120]!r} names no repository on the Hugging Face Hub: write OWNER/NAME, or "
            "hf:OWNER/NAME@REVISION."
        )
    if revision and named and revision != named:
        raise HubError(
            f"{text!r} names the revision {named!r}, but revision is {revision!r}: give one of "
            "them."
        )
    return Address(repo, revision or named or None)
