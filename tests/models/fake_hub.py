"""A Hugging Face Hub in a thread: one repository, served from a folder, as the client expects."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Serves `folder` as the repository `repo` at one commit, which is also the branch `main`.

    `refuse` makes file requests fail: a status and the Hub's error code. `requests` lists the
    paths that were asked for.
    """

    def __init__(self, repo: str, folder: Path) -> None:
        self.repo, self.folder = repo, folder
        self.refuse: tuple[int, str] | None = None
        self.requests: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                hub.answer(self)

            def do_HEAD(self):
                hub.answer(self)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> FakeHub:
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(request.path).path)
        self.requests.append(path)
        api = f"/api/models/{self.repo}"
        if path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
            return self._send_json(request, self._info())
        if path.startswith(f"{api}/tree/{COMMIT}"):
            return self._send_json(request, self._tree())
        if path.startswith(f"{api}/revision/"):
            return self._fail(request, 404, "RevisionNotFound")
        prefix = f"/{self.repo}/resolve/{COMMIT}/"
        if path.startswith(prefix):
            if self.refuse:
                return self._fail(request, *self.refuse)
            return self._send_file(request, self.folder / path.removeprefix(prefix))
        return self._fail(request, 404, "RepoNotFound")

    def _names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def _info(self) -> dict:
        siblings = [
            {"rfilename": name, "size": (self.folder / name).stat().st_size}
            for name in self._names()
        ]
        return {"id": self.repo, "modelId": self.repo, "sha": COMMIT, "siblings": siblings}

    def _tree(self) -> list[dict]:
        return [
            {
                "type": "file",
                "path": name,
                "size": (self.folder / name).stat().st_size,
                "oid": hashlib.sha1((self.folder / name).read_bytes()).hexdigest(),
            }
            for name in self._names()
        ]

    def _send_json(self, request: BaseHTTPRequestHandler, content: object) -> None:
        self._send(request, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send_file(self, request: BaseHTTPRequestHandler, path: Path) -> None:
        content = path.read_bytes()
        etag = hashlib.sha1(content).hexdigest()
        self._send(request, content, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})

    def _send(self, request: BaseHTTPRequestHandler, content: bytes, headers: dict) -> None:
        request.send_response(200)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(content)

    def _fail(self, request: BaseHTTPRequestHandler, status: int, code: str) -> None:
        request.send_response(status)
        request.send_header("X-Error-Code", code)
        request.send_header("X-Error-Message", code)
        request.send_header("Content-Length", "0")
        request.end_headers()
