"""What remote work cost: requests, bytes and time."""

from __future__ import annotations

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
