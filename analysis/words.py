"""Numbers in words: one way of writing them for sentences, tables and figures."""

from __future__ import annotations

import math

_MOST_DIGITS = 4


def number(value: float, digits: int = 2) -> str:
    """Return a number with a true minus sign, or "n/a" where there is none.

    >>> number(-0.0712), number(0.5), number(float("nan"))
    ('−0.07', '0.50', 'n/a')
    """
    if math.isnan(value):
        return "n/a"
    text = f"{abs(value):.{digits}f}"
    return f"−{text}" if value < 0 and float(text) != 0 else text


def signed(value: float, digits: int = 2) -> str:
    """Return a change, with its sign even where it is positive.

    >>> signed(0.684), signed(-0.07), signed(0.001)
    ('+0.68', '−0.07', '0.00')
    """
    text = number(value, digits)
    return text if text[0] in "−n" or float(text) == 0 else f"+{text}"


def times(multiplier: float) -> str:
    """Return a multiplier as short as it can be written.

    >>> times(-2.0), times(0.0), times(1.5)
    ('−2', '0', '+1.5')
    """
    text = f"{abs(multiplier):g}"
    return text if multiplier == 0 else f"{'−' if multiplier < 0 else '+'}{text}"


def percent(share: float) -> str:
    """Return a share as a whole percentage that says 0% or 100% of nothing else.

    >>> percent(0.94), percent(0.999), percent(0.001), percent(1.0)
    ('94%', '>99%', '<1%', '100%')
    """
    if math.isnan(share):
        return "n/a"
    if 0 < share < 0.005:
        return "<1%"
    if 0.995 <= share < 1:
        return ">99%"
    return f"{100 * share:.0f}%"


def interval(low: float, high: float, digits: int = 2, *, plus: bool = False) -> str:
    """Return an interval's bounds; `plus` writes them as changes.

    A bound that isn't zero never reads as zero: the interval's sides must stay visible.

    >>> interval(0.58, 0.784), interval(-0.07, 0.11, plus=True), interval(-0.04, -0.0014)
    ('0.58 to 0.78', '−0.07 to +0.11', '−0.040 to −0.001')
    """
    while digits < _MOST_DIGITS and any(v and round(v, digits) == 0 for v in (low, high)):
        digits += 1
    write = signed if plus else number
    return f"{write(low, digits)} to {write(high, digits)}"


def count(n: int, noun: str) -> str:
    """Return a number of things, with the noun's plural where there isn't one of it.

    >>> count(1, "item"), count(5, "random vector")
    ('1 item', '5 random vectors')
    """
    return f"{n} {noun}{'' if n == 1 else 's'}"


def split_name(split: str) -> str:
    """Return how a sentence calls a split's items: "held-out" or "validation"."""
    return split.replace("_", "-")
