"""Did-you-mean: the nearest known word to one that isn't known."""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a sentence such as `" Did you mean 'refusal'?"`, or nothing.

    The leading space lets the result be glued to the end of an error message.

    Examples:
        >>> did_you_mean("refusual", ["refusal", "sycophancy"])
        " Did you mean 'refusal'?"
        >>> did_you_mean("weather", ["refusal", "sycophancy"])
        ''
    """
    by_folded = {option.casefold(): option for option in known}
    near = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return f" Did you mean {by_folded[near[0]]!r}?" if near else ""
