"""Ports for a server, all free and next to one another, that no other server takes meanwhile."""

from __future__ import annotations

import errno
import os
import socket

# Below what Ray gives its workers (10002 and up) and systems to outgoing connections (32768 and
# up): a port of ours is not taken by chance between its choice and its use.
FIRST, LAST = 8200, 9999


class Ports:
    """One port per name.

    The port before them stays bound as long as this object is open. That is what keeps other
    servers off the block, also those of other users, and a killed process leaves no claim behind.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        size = len(names) + 1
        blocks = (LAST + 1 - FIRST) // size
        for turn in range(blocks):
            start = FIRST + (os.getpid() + turn) % blocks * size
            claim = _bound(start)
            if claim is None:
                continue
            if all(map(_is_free, range(start + 1, start + size))):
                self._claim = claim
                self.numbers = dict(zip(names, range(start + 1, start + size), strict=True))
                return
            claim.close()
        raise OSError(errno.EADDRINUSE, f"no {size} free ports in a row from {FIRST} to {LAST}")

    def __getitem__(self, name: str) -> int:
        return self.numbers[name]

    def close(self) -> None:
        self._claim.close()


def _bound(port: int) -> socket.socket | None:
    opened = socket.socket()
    try:
        opened.bind(("127.0.0.1", port))
    except OSError:
        opened.close()
        return None
    return opened


def _is_free(port: int) -> bool:
    opened = _bound(port)
    if opened is None:
        return False
    opened.close()
    return True
