"""A whole NDIF server of this machine, for tests: real processes, on loopback, without a GPU."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
from filelock import FileLock

from tests.ndif import keys, parts
from tests.ndif.install import find_program, home
from tests.ndif.models import TINY, write_models
from tests.ndif.ports import Ports

# A busy machine takes several times the twenty seconds of an idle one.
START_SECONDS = 300.0
PART_SECONDS = 120.0
POLL_SECONDS = 0.2
SUPERVISOR = Path(__file__).with_name("supervisor.py")

# Past any proxy of the environment.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class ServerError(Exception):
    """The server did not do as told; the message ends with what its logs say."""


class NdifServer:
    """Starts in `start` or on entering, and is gone, with all its processes and files, after it.

    Args:
        auth: check keys (`keys.KNOWN`, `keys.TRUSTED`); otherwise any key or none will do.
        sandbox: run requests that aren't trusted in processes of their own.
        execution_timeout: seconds that a request may run.
        min_nnsight_version: refuse older clients.
        models: what the Hub has; names from `models.TINY` and `models.REAL`.
    """

    def __init__(
        self,
        *,
        auth: bool = False,
        sandbox: bool = False,
        execution_timeout: float = 60.0,
        min_nnsight_version: str | None = None,
        models: Iterable[str] = tuple(TINY),
    ) -> None:
        self.options = parts.Options(auth, sandbox, execution_timeout, min_nnsight_version)
        self.models = tuple(models)
        self.pids: dict[str, int] = {}

    def __enter__(self) -> NdifServer:
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()

    def start(self) -> NdifServer:
        """Start all parts at once and return when requests are taken."""
        # Ray keeps sockets in it, whose paths may have 107 characters: not in a user's cache.
        self.state = Path(tempfile.mkdtemp(prefix="caa-ndif-", dir="/tmp"))
        self.state.chmod(0o711)
        for name in ("logs", "actors", "hub", "hf", "client"):
            (self.state / name).mkdir()
        self.ports = Ports(parts.PORTS)
        self._shared = parts.shared_environment(self.state, self.ports, self.options)
        self._supervisor = _start_supervisor(self.state)
        try:
            # Ray gives its clients ports from one range, and two servers would pick the same.
            with FileLock(home() / "start.lock"):
                self._start_parts()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End every process that was started and remove the server's files."""
        self._supervisor.stdin.close()
        if self._supervisor.wait():
            raise ServerError("Processes of the NDIF server could not be ended.")
        self.ports.close()

    def kill(self, part: str, model: str | None = None) -> None:
        """End a part the hard way: api, redis, object_store, hub or model_actor.

        `model` says which actor, where several models are loaded.
        """
        process = psutil.Process(self.pid(part, model))
        # The children of a killed API would go on taking requests.
        doomed = [process, *process.children(recursive=True)]
        for each in doomed:
            each.kill()
        _, left = psutil.wait_procs(doomed, timeout=PART_SECONDS)
        if left:
            raise ServerError(f"{part} could not be killed: {left}")

    def restart(self, part: str, model: str | None = None) -> None:
        """Kill a part if it lives, and return when its successor answers.

        Ray restarts a model actor by itself: then this only waits, and NDIF may answer the next
        request with "try again later". With Redis goes the API, whose dispatcher doesn't get over
        the loss.
        """
        if part == "model_actor":
            before = self.pid(part, model)
            self.kill(part, model)
            return self._wait(lambda: self.pid(part, model) != before, "a new model actor")
        together = ("redis", "api") if part == "redis" else (part,)
        for each in together:
            if psutil.pid_exists(self.pids[each]):
                self.kill(each)
        if part == "api":
            # The mark of the killed dispatcher, which would be taken for its successor's.
            _ask_redis(self.ports["redis"], "DEL ray:connected")
        with FileLock(home() / "start.lock"):
            for each in together:
                self._spawn(each)
                self._wait(self._answers(each), each)

    def pid(self, part: str, model: str | None = None) -> int:
        """The process of a part; of the API, the first of its processes."""
        if part != "model_actor":
            return self.pids[part]
        actors = sorted(path.name for path in (self.state / "actors").iterdir())
        wanted = [name for name in actors if model is None or name == model.replace("/", "--")]
        if len(wanted) != 1:
            raise ServerError(f"Which model actor of {actors} is meant by {model}?")
        return int((self.state / "actors" / wanted[0]).read_text())

    def logs(self, part: str, model: str | None = None) -> str:
        """What a part has written so far."""
        if part == "model_actor":
            files = (self.state / "ray").glob(f"session_2*/logs/*-{self.pid(part, model)}.*")
        else:
            files = [self.state / "logs" / f"{part}.log"]
        return "".join(file.read_text(errors="replace") for file in sorted(files))

    @property
    def host(self) -> str:
        """The address of the API."""
        return parts.address(self.ports, "api")

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a client needs."""
        return {
            "NDIF_HOST": self.host,
            "NDIF_API_KEY": keys.KNOWN,
            "HF_ENDPOINT": parts.address(self.ports, "hub"),
            "HF_HOME": str(self.state / "client"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def processes(self) -> list[psutil.Process]:
        """All processes of the server that run now."""
        return psutil.Process(self._supervisor.pid).children(recursive=True)

    def _start_parts(self) -> None:
        for part in ("ray", "controller", "api", "redis", "object_store", "hub"):
            self._spawn(part)
        if self.options.auth:
            self._start_postgres()
        write_models(self.state / "hub", self.models)
        for part in ("object_store", "hub", "api"):
            self._wait(self._answers(part), part, START_SECONDS)

    def _start_postgres(self) -> None:
        folder = self.state / "postgres"
        folder.mkdir()
        # PostgreSQL refuses to run as root.
        user = "postgres" if os.geteuid() == 0 else None
        if user:
            shutil.chown(folder, user, user)
        program = find_program("postgres")
        initdb = str(Path(program).with_name("initdb"))
        for command, text in (
            ([initdb, "-D", str(folder), "-A", "trust", "-U", "postgres", "--no-sync"], ""),
            ([program, "--single", "-D", str(folder), "postgres"], keys.SQL),
        ):
            done = subprocess.run(
                command,
                input=text,
                text=True,
                user=user,
                group=user,
                cwd="/",
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            if done.returncode or "ERROR" in done.stdout:
                raise ServerError(f"PostgreSQL could not be set up: {done.stdout}")
        self._spawn("postgres", user)

    def _spawn(self, part: str, user: str | None = None) -> None:
        order = {
            "argv": parts.command(part, self.state, self.ports),
            "env": parts.environment_of(part, self._shared),
            "log": str(self.state / "logs" / f"{part}.log"),
            "user": user,
        }
        self._supervisor.stdin.write(json.dumps(order) + "\n")
        self._supervisor.stdin.flush()
        answer = json.loads(self._supervisor.stdout.readline())
        if "error" in answer:
            raise ServerError(f"{part} could not be started: {answer['error']}")
        self.pids[part] = answer["pid"]

    def _answers(self, part: str) -> Callable[[], bool]:
        """How to see that a part works."""
        if part == "api":
            return lambda: _status(f"{self.host}/connected") == 200
        if part == "redis":
            return lambda: _ask_redis(self.ports[part], "PING") == "+PONG"
        if part == "object_store":
            # A real store would still have the bucket, which is made only once by its users.
            bucket = f"{parts.address(self.ports, part)}/{parts.BUCKET}"
            return lambda: _status(bucket, "PUT") == 200
        repository = f"{parts.address(self.ports, part)}/api/models/{self.models[0]}"
        return lambda: _status(repository) == 200

    def _wait(self, done: Callable[[], bool], what: str, patience: float = PART_SECONDS) -> None:
        deadline = time.monotonic() + patience
        while not done():
            if time.monotonic() > deadline:
                raise ServerError(f"Waited {patience:.0f} s for {what}.\n{self._last_words()}")
            time.sleep(POLL_SECONDS)

    def _last_words(self) -> str:
        return "\n".join(f"--- {part}\n{self.logs(part)[-2000:]}" for part in self.pids)


def _start_supervisor(state: Path) -> subprocess.Popen:
    with (state / "logs" / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(SUPERVISOR), str(state)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            # Ctrl-C at the tests must reach the tests, not the server under them.
            start_new_session=True,
        )


def _ask_redis(port: int, command: str) -> str | None:
    """Redis's answer to a command, or None where it doesn't run."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(f"{command}\r\n".encode())
            return client.recv(1024).decode().strip()
    except OSError:
        return None


def _status(url: str, method: str = "GET") -> int | None:
    """The status that answers, or None where nobody does."""
    try:
        with _open(urllib.request.Request(url, method=method), timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None
