"""What the HTTP servers of these tests have in common: answering one request, or breaking off."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler


class AnsweringHandler(BaseHTTPRequestHandler):
    """Leaves to `serve` what to answer."""

    protocol_version = "HTTP/1.1"
    # One packet an answer: of two, the second would wait for an acknowledgement.
    wbufsize = -1

    def do_GET(self) -> None:
        self.serve()

    def do_POST(self) -> None:
        self.serve()

    def serve(self) -> None:
        raise NotImplementedError

    def read_body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def send(
        self, status: int, headers: Mapping[str, str], content: bytes, sent: int | None = None
    ) -> None:
        """Answer; of the content, only as many bytes as `sent` says, if it does."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:sent])

    def break_off(self) -> None:
        """Reset the connection, as a killed server's connections are."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass
