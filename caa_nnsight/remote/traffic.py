"""What remote work cost: requests, bytes and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass
class Traffic:
    """Counters that grow as jobs go on.

    Attributes:
        requests: jobs sent to the server, those sent again included.
        resubmissions: how many of them were sent again, because the server lost or dropped them.
        http_calls: HTTP requests of any kind, questions about a job's status included.
        bytes_up: bytes of all request bodies.
        bytes_down: bytes of all answers' bodies, results included.
        seconds: wall time spent on jobs.

    Example:
        >>> Traffic(requests=2).as_dict()["requests"]
        2
    """

    requests: int = 0
    resubmissions: int = 0
    http_calls: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, int | float]:
        """The counters by name, for a manifest."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}

    def __str__(self) -> str:
        """The costs in one line."""
        return summary(self.as_dict())


def summary(traffic: Mapping[str, float]) -> str:
    """Counters in one line, for people.

    Example:
        >>> summary({"requests": 5, "bytes_up": 79_100, "bytes_down": 1_470_000, "seconds": 4.24})
        '5 requests to the server, 0.08 MB up, 1.47 MB down, 4.2 s'
    """
    requests = int(traffic["requests"])
    return (
        f"{requests} request{'s' if requests != 1 else ''} to the server, "
        f"{traffic['bytes_up'] / 1e6:.2f} MB up, {traffic['bytes_down'] / 1e6:.2f} MB down, "
        f"{traffic['seconds']:.1f} s"
    )
