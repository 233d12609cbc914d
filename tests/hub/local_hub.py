"""A Hub on this machine that can be written to: repositories, commits, large files, tokens.

It speaks as much of the Hub's HTTP as `huggingface_hub` needs to make a repository, push one commit
and read it back, and what `datasets` needs to read data.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

WRITER, READER, STRANGER = "hf_writerwriterwriter", "hf_readerreader", "hf_strangerstranger"
OWNER = "somebody"


@dataclass
class Commit:
    """All files of a repository at one moment."""

    oid: str
    files: dict[str, bytes]
    message: str


@dataclass
class Repository:
    """Branches, each a list of commits, the latest last."""

    private: bool
    branches: dict[str, list[Commit]] = field(default_factory=dict)

    def at(self, revision: str) -> Commit | None:
        if revision in self.branches:
            return self.branches[revision][-1]
        every = (commit for commits in self.branches.values() for commit in commits)
        return next((commit for commit in every if commit.oid == revision), None)


@dataclass
class Fault:
    """What befalls requests whose method and path match: a status, "disconnect", or a wait.

    The first `after` of them are answered as usual.
    """

    where: str
    what: int | str | threading.Event
    times: int = 1000
    after: int = 0


class LocalHub:
    """Serves repositories from memory.

    Attributes:
        repositories: (kind, "owner/name") -> repository; kinds are "models" and "datasets".
        large: SHA-256 -> content of the files that were uploaded apart from a commit.
        faults: what goes wrong, looked through in order.
        against_cards: what it has against the metadata of any card, or nothing.
        requests: "METHOD path" of all requests, and the tokens that came with them.
    """

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.large: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.against_cards = ""
        self.requests: list[str] = []
        self.tokens: list[str | None] = []
        self.reached = threading.Event()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Else each answer's second packet waits for the first to be acknowledged.
            disable_nagle_algorithm = True

            def log_message(self, *args):
                pass

        for method in ("GET", "HEAD", "POST", "PUT"):
            setattr(Handler, f"do_{method}", lambda request: hub.answer(Request(request)))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> LocalHub:
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()

    def make(self, kind: str, repo: str, files: dict[str, bytes], *, private=False) -> Repository:
        """Make a repository as somebody else might have."""
        made = Repository(private, {"main": [_commit({}, files, "made")]})
        self.repositories[kind, repo] = made
        return made

    def files(self, kind: str, repo: str, revision: str = "main") -> dict[str, bytes]:
        """The files of a repository, without the one that each begins with."""
        files = self.repositories[kind, repo].at(revision).files
        return {name: content for name, content in files.items() if name != ".gitattributes"}

    # -- answering -------------------------------------------------------------------------

    def answer(self, request: Request) -> None:
        path = request.path
        self.requests.append(f"{request.method} {path}")
        self.tokens.append(request.token)
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.where, f"{request.method} {path}"):
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.times -= 1
                self.reached.set()
                if isinstance(fault.what, threading.Event):
                    fault.what.wait()
                    return request.hang_up()
                if fault.what == "disconnect":
                    return request.hang_up()
                return request.fail(fault.what, "", "Something is wrong.")
        if request.token not in (None, WRITER, READER, STRANGER):
            return request.fail(401, "", "Invalid credentials in Authorization header")
        for pattern, handle in ROUTES:
            match = re.fullmatch(pattern, f"{request.method} {path}")
            if match:
                return handle(self, request, **match.groupdict())
        return request.fail(404, "", f"There is nothing at {path}.")

    def find(self, request: Request, kind: str, repo: str, revision: str = "main"):
        """The repository and commit that a token may see; answers where there is none."""
        found = self.repositories.get((kind, repo))
        hidden = found is not None and found.private and request.token not in (WRITER, READER)
        if found is None or hidden:
            # Without a token, the Hub doesn't tell what is missing from what is private.
            request.fail(404 if request.token else 401, "RepoNotFound", "Repository not found")
            return None, None
        commit = found.at(unquote(revision))
        if commit is None:
            request.fail(404, "RevisionNotFound", "Invalid rev id")
        return found, commit

    def may_write(self, request: Request, repo: str) -> bool:
        if request.token is None:
            request.fail(401, "", "Invalid username or password.")
        elif request.token != WRITER or not repo.startswith(f"{OWNER}/"):
            request.fail(403, "", "You don't have the rights to do this")
        else:
            return True
        return False

    def create(self, request: Request) -> None:
        asked = request.json()
        repo = f"{asked.get('organization') or OWNER}/{asked['name']}"
        kind = f"{asked.get('type') or 'model'}s"
        if not self.may_write(request, repo):
            return
        if (kind, repo) in self.repositories:
            return request.fail(409, "", "You already created this repo")
        self.make(kind, repo, {}, private=asked.get("visibility") == "private")
        request.send({"url": f"{self.address}/{_prefix(kind)}{repo}"})

    def info(self, request: Request, kind: str, repo: str, revision: str = "main") -> None:
        found, commit = self.find(request, kind, repo, revision)
        if commit:
            siblings = [
                {"rfilename": name, "size": len(content)} for name, content in commit.files.items()
            ]
            facts = {"id": repo, "private": found.private, "sha": commit.oid, "siblings": siblings}
            request.send(facts)

    def tree(self, request: Request, kind: str, repo: str, revision: str, path: str = "") -> None:
        _, commit = self.find(request, kind, repo, revision)
        if commit:
            request.send([_entry(name, commit.files[name]) for name in commit.files])

    def paths_info(self, request: Request, kind: str, repo: str, revision: str) -> None:
        _, commit = self.find(request, kind, repo, revision)
        if commit:
            asked = request.form().get("paths", [])
            request.send(
                [_entry(path, commit.files[path]) for path in asked if path in commit.files]
            )

    def validate(self, request: Request) -> None:
        errors = [{"message": self.against_cards}] if self.against_cards else []
        request.send({"errors": errors, "warnings": []}, status=400 if errors else 200)

    def preupload(self, request: Request, kind: str, repo: str, revision: str) -> None:
        _, commit = self.find(request, kind, repo, revision)
        if commit is None or not self.may_write(request, repo):
            return
        request.send(
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if _is_large(file["path"]) else "regular",
                        "shouldIgnore": False,
                        "oid": _oid(file["path"], commit.files.get(file["path"])),
                    }
                    for file in request.json()["files"]
                ]
            }
        )

    def batch(self, request: Request, repo: str, prefix: str | None = None) -> None:
        if not self.may_write(request, repo):
            return
        objects = []
        for wanted in request.json()["objects"]:
            actions = {}
            if wanted["oid"] not in self.large:
                href = f"{self.address}/large/{wanted['oid']}"
                actions = {
                    "actions": {"upload": {"href": href}, "verify": {"href": f"{href}/verify"}}
                }
            objects.append(wanted | actions)
        request.send({"transfer": "basic", "objects": objects})

    def store(self, request: Request, oid: str) -> None:
        content = request.body()
        if hashlib.sha256(content).hexdigest() != oid:
            return request.fail(400, "", "The content has another digest.")
        self.large[oid] = content
        request.send({})

    def verify(self, request: Request, oid: str) -> None:
        size = request.json()["size"]
        known = oid in self.large and len(self.large[oid]) == size
        request.send({}, status=200 if known else 404)

    def commit(self, request: Request, kind: str, repo: str, revision: str) -> None:
        found, before = self.find(request, kind, repo, revision)
        if before is None or not self.may_write(request, repo):
            return
        lines = [json.loads(line) for line in request.body().splitlines()]
        files, header = dict(before.files), lines[0]["value"]
        if header.get("parentCommit") not in (None, before.oid):
            return request.fail(412, "", "A commit has happened since.")
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.large[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        made = _commit(before.files, files, header["summary"])
        found.branches[unquote(revision)].append(made)
        url = f"{self.address}/{_prefix(kind)}{repo}/commit/{made.oid}"
        request.send({"commitUrl": url, "commitOid": made.oid})

    def branch(self, request: Request, kind: str, repo: str, branch: str) -> None:
        found, _ = self.find(request, kind, repo)
        if found is None or not self.may_write(request, repo):
            return
        if unquote(branch) in found.branches:
            return request.fail(409, "", "Reference already exists")
        found.branches[unquote(branch)] = [found.at("main")]
        request.send({})

    def resolve(
        self, request: Request, repo: str, revision: str, path: str, prefix: str | None = None
    ) -> None:
        kind = "datasets" if prefix else "models"
        _, commit = self.find(request, kind, repo, revision)
        if commit is None:
            return
        if path not in commit.files:
            return request.fail(404, "EntryNotFound", "Entry not found")
        content = commit.files[path]
        request.send(content, {"ETag": f'"{_oid(path, content)}"', "X-Repo-Commit": commit.oid})


class Request:
    """One request, and ways to answer it."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self.handler = handler
        self.method = handler.command
        self.path = urlsplit(handler.path).path
        scheme = handler.headers.get("Authorization", "")
        self.token = scheme.removeprefix("Bearer ") or None
        self._body: bytes | None = None

    def body(self) -> bytes:
        if self._body is None:
            self._body = b""
            if self.handler.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.handler.rfile.readline(), 16):
                    self._body += self.handler.rfile.read(size)
                    self.handler.rfile.readline()
                self.handler.rfile.readline()
            else:
                size = int(self.handler.headers.get("Content-Length") or 0)
                self._body = self.handler.rfile.read(size)
        return self._body

    def json(self):
        return json.loads(self.body())

    def form(self) -> dict:
        from urllib.parse import parse_qs

        if self.handler.headers.get("Content-Type", "").startswith("application/json"):
            return self.json()
        return parse_qs(self.body().decode())

    def send(self, content: object, headers: dict | None = None, status: int = 200) -> None:
        self.body()
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.handler.send_response(status)
        for name, value in (headers or {"Content-Type": "application/json"}).items():
            self.handler.send_header(name, value)
        self.handler.send_header("Content-Length", str(len(body)))
        self.handler.end_headers()
        if self.method != "HEAD":
            self.handler.wfile.write(body)

    def fail(self, status: int, code: str, message: str) -> None:
        self.send({"error": message}, {"X-Error-Code": code, "X-Error-Message": message}, status)

    def hang_up(self) -> None:
        self.handler.close_connection = True
        self.handler.connection.close()


_REPO = r"(?P<repo>[^/]+/[^/]+)"
_API = rf"/api/(?P<kind>models|datasets)/{_REPO}"
ROUTES = [
    (r"POST /api/repos/create", LocalHub.create),
    (r"POST /api/validate-yaml", LocalHub.validate),
    (rf"GET {_API}", LocalHub.info),
    (rf"GET {_API}/revision/(?P<revision>.+)", LocalHub.info),
    (rf"GET {_API}/tree/(?P<revision>[^/]+)(/(?P<path>.*))?", LocalHub.tree),
    (rf"POST {_API}/paths-info/(?P<revision>[^/]+)", LocalHub.paths_info),
    (rf"POST {_API}/preupload/(?P<revision>[^/]+)", LocalHub.preupload),
    (rf"POST {_API}/commit/(?P<revision>[^/]+)", LocalHub.commit),
    (rf"POST {_API}/branch/(?P<branch>.+)", LocalHub.branch),
    (rf"POST /(?P<prefix>datasets/)?{_REPO}\.git/info/lfs/objects/batch", LocalHub.batch),
    (r"PUT /large/(?P<oid>\w+)", LocalHub.store),
    (r"POST /large/(?P<oid>\w+)/verify", LocalHub.verify),
    (
        rf"(GET|HEAD) /(?P<prefix>datasets/)?{_REPO}/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
        LocalHub.resolve,
    ),
]


def _prefix(kind: str) -> str:
    return "datasets/" if kind == "datasets" else ""


def _is_large(path: str) -> bool:
    return path.endswith((".safetensors", ".parquet"))


def _oid(path: str, content: bytes | None) -> str | None:
    """A large file is named by its digest, another one as git does it."""
    if content is None:
        return None
    if _is_large(path):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(path: str, content: bytes) -> dict:
    entry = {"type": "file", "path": path, "size": len(content), "oid": _oid(path, content)}
    if _is_large(path):
        entry["lfs"] = {"oid": _oid(path, content), "size": len(content), "pointerSize": 130}
    return entry


def _commit(before: dict[str, bytes], files: dict[str, bytes], message: str) -> Commit:
    files = {".gitattributes": b"*.safetensors filter=lfs\n"} | files
    content = repr((sorted(before.items()), sorted(files.items()), message))
    return Commit(hashlib.sha1(content.encode()).hexdigest(), files, message)
