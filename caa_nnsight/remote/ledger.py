"""The ledger: which jobs were sent and what became of them, on disk before anything else happens.

A run that was killed reads it and asks for its jobs again. It holds fingerprints, job ids and
plain facts, never keys or addresses.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

EVENTS = ("submitted", "finished", "failed", "abandoned")


class Ledger:
    """An append-only file of JSON lines.

    Args:
        path: the file; it and its folder are made with the first record.

    Example:
        >>> import tempfile
        >>> ledger = Ledger(Path(tempfile.mkdtemp()) / "jobs.jsonl")
        >>> ledger.record("chunk-1", "a1b2", "submitted")
        >>> ledger.last_job("chunk-1")
        'a1b2'
        >>> ledger.record("chunk-1", "a1b2", "failed")
        >>> ledger.last_job("chunk-1") is None
        True
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def record(self, fingerprint: str, job: str, event: str, **facts: Any) -> None:
        """Append one line, and return when it is on disk.

        Args:
            fingerprint: what the job computes; the same work has the same fingerprint.
            job: the server's id of the job.
            event: "submitted", "finished", "failed" or "abandoned".
            facts: what else is worth keeping, as JSON can hold it.

        Raises:
            OSError: it can't be written.
            ValueError: there is no such event.
        """
        if event not in EVENTS:
            raise ValueError(f"A ledger has the events {', '.join(EVENTS)}, not {event!r}.")
        facts = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "fingerprint": fingerprint,
            "job": job,
            "event": event,
            **facts,
        }
        line = json.dumps(facts).encode() + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            # Behind a line that a kill tore off, or both would be lost.
            start = b"\n" if self._is_torn(file) else b""
            file.write(start + line)
            file.flush()
            os.fsync(file.fileno())

    def records(self) -> Iterator[dict[str, Any]]:
        """All whole lines, oldest first; what a kill tore off is left out."""
        if not self.path.exists():
            return
        for line in self.path.read_bytes().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and {"fingerprint", "job", "event"} <= record.keys():
                yield record

    def last_job(self, fingerprint: str) -> str | None:
        """The latest job of this work that may still be asked for, or None."""
        states: dict[str, str] = {}
        for record in self.records():
            if record["fingerprint"] == fingerprint:
                states[record["job"]] = record["event"]
        alive = [job for job, event in states.items() if event in ("submitted", "finished")]
        return alive[-1] if alive else None

    @staticmethod
    def _is_torn(file) -> bool:
        size = file.seek(0, os.SEEK_END)
        if not size:
            return False
        file.seek(size - 1)
        return file.read(1) != b"\n"
