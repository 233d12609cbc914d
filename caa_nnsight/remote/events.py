"""What happens to a job, as a user is told of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["submitted", "status", "retry", "resubmitted", "reattached", "done"]

_SENTENCES = {
    "RECEIVED": "The server has received the job.",
    "QUEUED": "The job waits in the server's queue.",
    "PROVISIONING": "The server is finding room for the model.",
    "DEPLOYING": "The server is loading the model.",
    "DISPATCHED": "The job has been handed to the model.",
    "RUNNING": "The job is running.",
    "COMPLETED": "The job is done.",
    "ERROR": "The job has failed.",
}
OTHER_STATUS = "OTHER"


@dataclass(frozen=True)
class JobEvent:
    """One thing that happened to a job.

    Attributes:
        kind: "submitted", "status" (it moved on), "retry" (the server didn't answer, and is asked
            again), "resubmitted" (sent anew), "reattached" (a job of an earlier run was found),
            or "done".
        status: the server's word for where the job is, such as "QUEUED"; "" where none is told.
        position: its place in the queue, from 1, where the server tells.
        message: a plain sentence for the user.
        label: what the caller named the job.
        job: the server's id, or "" where it has none yet.
    """

    kind: Kind
    status: str
    position: int | None
    message: str
    label: str
    job: str


def queue_position(description: str) -> int | None:
    """The place in the queue that a status's description tells, if it does.

    Example:
        >>> queue_position("Moved to position 3 in Queue.")
        3
    """
    match = re.search(r"\bposition (\d{1,6})\b", description)
    return int(match[1]) if match else None


def known_status(status: str) -> str:
    """The status, or "OTHER" for one that NDIF didn't have when this was written.

    Example:
        >>> known_status("RUNNING"), known_status("Running!")
        ('RUNNING', 'OTHER')
    """
    return status if status in _SENTENCES else OTHER_STATUS


def status_sentence(status: str, position: int | None) -> str:
    """Where a job is, as a sentence.

    Example:
        >>> status_sentence("QUEUED", 3)
        "The job waits in the server's queue, at position 3."
    """
    sentence = _SENTENCES.get(status, "The job is at a stage that has no name here.")
    return sentence if position is None else f"{sentence[:-1]}, at position {position}."
