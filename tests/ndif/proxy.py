"""A reverse proxy between a client and a server, as real deployments have, that can misbehave."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.answering import AnsweringHandler

# Headers that are about one connection, or that this server writes by itself.
_OWN_HEADERS = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}


@dataclass(frozen=True)
class Call:
    """A request on its way to the server: its method, its path and the size of its body."""

    method: str
    path: str
    size: int


@dataclass(frozen=True)
class Answer:
    """What a client is given."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        return json.loads(self.body)


def is_job(call: Call) -> bool:
    """Whether a request holds work, as the question whether a key is accepted does not."""
    return call.path == "/request" and call.size > 1000


class BrokenConnection(Exception):  # noqa: N818
    """Raised by a rule: the client's connection is reset instead of being answered."""


# A rule sees each request, may ask the server with the function, and says what the client gets.
Rule = Callable[[Call, Callable[[], Answer]], Answer]


class Proxy:
    """Serves from a thread inside its `with` block.

    Args:
        upstream: the server's address.
        rule: what to do with a request; by default the server's answer is passed on.
        port: where to listen, any free port by default.
    """

    def __init__(self, upstream: str, rule: Rule | None = None, port: int = 0) -> None:
        self._upstream = urlsplit(upstream)
        self.rule = rule or (lambda call, forward: forward())
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self.host = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()

    def forward(self, call: Call, headers: dict[str, str], body: bytes) -> Answer:
        """Ask the server."""
        address = (self._upstream.hostname, self._upstream.port)
        with contextlib.closing(http.client.HTTPConnection(*address, timeout=120)) as server:
            server.request(call.method, call.path, body, headers)
            got = server.getresponse()
            kept = {name: value for name, value in got.getheaders() if not _is_own(name)}
            return Answer(got.status, got.read(), kept)


def _is_own(name: str) -> bool:
    return name.lower() in _OWN_HEADERS


def _handler(proxy: Proxy) -> type[AnsweringHandler]:
    class Handler(AnsweringHandler):
        def serve(self) -> None:
            body = self.read_body()
            call = Call(self.command, self.path, len(body))
            headers = {name: value for name, value in self.headers.items() if not _is_own(name)}
            try:
                answer = proxy.rule(call, lambda: proxy.forward(call, headers, body))
            except (BrokenConnection, OSError, http.client.HTTPException):
                self.break_off()
                return
            self.send(answer.status, answer.headers, answer.body)

    return Handler
