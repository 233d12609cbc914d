"""A small HTTP server that speaks NDIF's protocol, and fails when it is told to.

It stands in where a real server can't be made to fail on demand, such as in the middle of an
answer. What NDIF itself does is tested against NDIF itself.
"""

from __future__ import annotations

import email.parser
import email.policy
import io
import json
import threading
import urllib.parse
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

import torch
import zstandard

from tests.answering import AnsweringHandler

SIGNATURE = "X-Amz-Signature=51gn4tur3"
DONE = ("COMPLETED", "Your job has been completed.")


@dataclass
class Answer:
    """An answer in place of the usual one."""

    status: int
    detail: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass
class Drop:
    """The connection ends, in the middle of the answer where `sent` says after how many bytes."""

    sent: int | None = None


@dataclass
class Hang:
    """No answer until the server is closed."""


def encoded(values: Any) -> bytes:
    """A result as NDIF writes it."""
    buffer = io.BytesIO()
    torch.save(values, buffer)
    return zstandard.ZstdCompressor(level=3).compress(buffer.getvalue())


def damaged(content: bytes) -> bytes:
    """The same result with one byte of a tensor changed, in a frame that is in order."""
    archive = bytearray(zstandard.ZstdDecompressor().decompress(content))
    archive[archive.index(b"PK\x03\x04", archive.index(b"data/0")) - 30] ^= 0xFF
    return zstandard.ZstdCompressor(level=3).compress(bytes(archive))


class FakeNdif:
    """The server's state; everything may be changed while it runs.

    Attributes:
        faults: by path, what to answer to the next requests instead.
        plans: by number of submission, the statuses of that job, one a poll; the last one stays.
        keys: which keys are known; None checks none.
        seen: (method, path, headers) of every request.
        jobs: ids, in the order of submission.
    """

    def __init__(self) -> None:
        self.faults: dict[str, list[Any]] = defaultdict(list)
        self.plans: list[list[Any]] = []
        self.keys: set[str] | None = None
        self.connected = True
        self.deployments: dict[str, Any] = {}
        self.environment: dict[str, Any] = {"python_version": "3.11.7 (main)", "packages": {}}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.jobs: list[str] = []
        self.blobs: list[bytes] = []
        self.envelopes: list[dict[str, Any]] = []
        self.statuses: dict[str, list[Any]] = {}
        self.result: dict[str, Any] = {"mean": torch.arange(1000.0)}
        self.content = encoded(self.result)
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.host = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def count(self, path: str) -> int:
        """How many requests went to a path that begins like this."""
        return sum(seen.startswith(path) for _, seen, _ in self.seen)

    def add_job(self, job: str, statuses: list[Any]) -> None:
        self.statuses[job] = list(statuses)

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        name = path.partition("?")[0]
        if name.startswith("/response/"):
            return self._response(name.removeprefix("/response/"))
        if name.startswith("/store/"):
            return Answer(200, body=self.content)
        if name == "/ping":
            return _json("pong")
        if name == "/whoami":
            return _json({"email": None, "tags": []})
        if not self.connected:
            return Answer(503, "Service temporarily unavailable: compute backend is reconnecting.")
        if name == "/connected":
            return _json({"status": "connected"})
        if name == "/status":
            return _json({"deployments": self.deployments, "cluster": {}})
        if name == "/env":
            return _json(self.environment)
        if (method, name) == ("POST", "/request"):
            return self._submit(headers, body)
        return Answer(404, "Not Found")

    def _submit(self, headers: dict[str, str], body: bytes) -> Answer:
        fields = _form(headers["content-type"], body)
        if self.keys is not None:
            key = headers.get("ndif-api-key")
            if not key:
                return Answer(401, "Missing or invalid API key.")
            if "-" not in key:
                return Answer(400, f"Invalid API key format: '{key}'. API keys must be UUIDs.")
            if key not in self.keys:
                return Answer(403, "Invalid API key.")
        if "blob" not in fields:
            return Answer(422, [{"type": "missing", "loc": ["body", "blob"]}])
        job = f"job{len(self.jobs)}"
        plan = self.plans[len(self.jobs)] if len(self.jobs) < len(self.plans) else ["RUNNING", DONE]
        self.jobs.append(job)
        self.blobs.append(fields["blob"])
        self.envelopes.append(json.loads(fields["data"]))
        self.add_job(job, plan)
        return _json({"id": job, "status": "RECEIVED", "description": "Received."})

    def _response(self, job: str) -> Answer:
        plan = self.statuses.get(job)
        step = plan and (plan.pop(0) if len(plan) > 1 else plan[0])
        if step is None or step == []:
            return Answer(404, f"No response for request {job}.")
        if not isinstance(step, str | tuple):
            return step
        status, description = (step, "") if isinstance(step, str) else step
        data = f"{self.host}/store/{job}.pt?{SIGNATURE}" if status == "COMPLETED" else None
        return _json({"id": job, "status": status, "description": description, "data": data})


def _json(value: Any) -> Answer:
    return Answer(200, body=json.dumps(value).encode())


def _form(content_type: str, body: bytes) -> dict[str, bytes]:
    if content_type.startswith("application/x-www-form-urlencoded"):
        return dict(urllib.parse.parse_qsl(body))
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        f"Content-Type: {content_type}\r\n\r\n".encode() + body
    )
    return {
        part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
        for part in message.iter_parts()
    }


def _handler(ndif: FakeNdif) -> type[AnsweringHandler]:
    class Handler(AnsweringHandler):
        def serve(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.read_body()
            ndif.seen.append((self.command, self.path, headers))
            faults = next(
                (found for name, found in ndif.faults.items() if self.path.startswith(name)), []
            )
            fault = faults.pop(0) if faults else None
            if isinstance(fault, Hang):
                ndif.closing.wait(10)
                return
            if isinstance(fault, Drop) and fault.sent is None:
                self.break_off()
                return
            answer = (
                fault
                if isinstance(fault, Answer)
                else ndif.answer(self.command, self.path, headers, body)
            )
            content = answer.body
            if content is None:
                content = json.dumps({"detail": answer.detail}).encode()
            if isinstance(fault, Drop):
                self.send(answer.status, answer.headers, content, fault.sent)
                self.break_off()
                return
            self.send(answer.status, answer.headers, content)

    return Handler


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
