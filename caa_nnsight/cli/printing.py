"""Texts of others on a terminal, which they must not steer."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    r"""Return a text on one line, with a "?" for what isn't shown, such as escape sequences.

    >>> printable("tea\x1b[2J\nand milk")
    'tea?[2J and milk'
    """
    return " ".join(printable_lines(text).split("\n"))


def printable_lines(text: str) -> str:
    r"""Return a text likewise, whose lines stay.

    >>> printable_lines("tea\x1b[2J\nand milk")
    'tea?[2J\nand milk'
    """
    return "\n".join("".join(map(_shown, line)) for line in text.splitlines())


def _shown(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return " " if character == "\t" else "?"
