"""The faults of a server and of the way to it, each really produced, and what came of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.ndif import keys
from tests.ndif.bench import Bench
from tests.ndif.outcomes import Outcome
from tests.ndif import faults_dying, faults_limits, faults_refused, faults_way


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        produce: makes it happen on a bench, and mends it.
        said: words that the user must have been shown.
    """

    produce: Callable[[Bench], Outcome]
    said: tuple[str, ...]
