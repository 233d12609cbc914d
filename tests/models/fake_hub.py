"""A Hugging Face Hub on this machine: repositories served from folders, as the client expects."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Serves folders as repositories, each at one commit, which is also the branch `main`.

    `repositories` maps names to folders, or is a function that does. `refuse` makes file requests
    fail: a status and the Hub's error code. `requests` lists the paths that were asked for.
    As a context manager, it serves from a thread.
    """

    def __init__(
        self,
        repositories: Mapping[str, Path] | Callable[[str], Path | None],
        port: int = 0,
    ) -> None:
        self.folder_of = repositories if callable(repositories) else repositories.get
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

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
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
        of_api = path.startswith("/api/models/")
        owner, name, kind, revision, inner = _split(path.removeprefix("/api/models"))
        folder = self.folder_of(f"{owner}/{name}")
        if folder is None:
            return _fail(request, 404, "RepoNotFound")
        if revision not in ("main", COMMIT):
            return _fail(request, 404, "RevisionNotFound")
        if of_api and kind in ("", "revision"):
            return _send_json(request, _info(f"{owner}/{name}", folder))
        if of_api and kind == "tree" and not inner:
            return _send_json(request, _tree(folder))
        if kind == "resolve" and self.refuse:
            return _fail(request, *self.refuse)
        if kind == "resolve" and inner in _names(folder):
            return _send_file(request, folder / inner)
        return _fail(request, 404, "EntryNotFound")


def _split(path: str) -> tuple[str, str, str, str, str]:
    """Owner, name, kind of request, revision and the path inside of a repository."""
    owner, name, kind, revision, inner, *_ = [*path.strip("/").split("/", 4), "", "", "", "", ""]
    return owner, name, kind, revision or "main", inner


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _info(repo: str, folder: Path) -> dict:
    siblings = [
        {"rfilename": name, "size": (folder / name).stat().st_size} for name in _names(folder)
    ]
    parameters = _count_parameters(folder)
    return {
        "id": repo,
        "modelId": repo,
        "sha": COMMIT,
        "siblings": siblings,
        "safetensors": {"parameters": {"F32": parameters}, "total": parameters},
    }


def _tree(folder: Path) -> list[dict]:
    return [
        {
            "type": "file",
            "path": name,
            "size": (folder / name).stat().st_size,
            "oid": _etag(folder / name),
        }
        for name in _names(folder)
    ]


def _count_parameters(folder: Path) -> int:
    """Add up the shapes in the headers of the safetensors files."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        header.pop("__metadata__", None)
        total += sum(math.prod(tensor["shape"]) for tensor in header.values())
    return total


def _etag(path: Path) -> str:
    """Name a file's content by what changes with it, without reading what may be large."""
    facts = path.stat()
    return hashlib.sha1(f"{path} {facts.st_size} {facts.st_mtime_ns}".encode()).hexdigest()


def _send_json(request: BaseHTTPRequestHandler, content: object) -> None:
    body = json.dumps(content).encode()
    _send_head(request, len(body), {"Content-Type": "application/json"})
    if request.command == "GET":
        request.wfile.write(body)


def _send_file(request: BaseHTTPRequestHandler, path: Path) -> None:
    facts = {"ETag": f'"{_etag(path)}"', "X-Repo-Commit": COMMIT}
    _send_head(request, path.stat().st_size, facts)
    if request.command == "GET":
        with path.open("rb") as file:
            shutil.copyfileobj(file, request.wfile)


def _send_head(request: BaseHTTPRequestHandler, size: int, headers: dict) -> None:
    request.send_response(200)
    for name, value in headers.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(size))
    request.end_headers()


def _fail(request: BaseHTTPRequestHandler, status: int, code: str) -> None:
    request.send_response(status)
    request.send_header("X-Error-Code", code)
    request.send_header("X-Error-Message", code)
    request.send_header("Content-Length", "0")
    request.end_headers()
