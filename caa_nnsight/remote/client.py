"""One HTTP request each to an NDIF server: no retries here, and every failure has a type.

No text that leaves this module holds the key or the signature of a presigned address. Errors of
the HTTP library are never chained to ours: they keep the request, headers and all.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import quote, urlsplit

from caa_nnsight.remote.faults import (
    BusyError,
    ForeignServerError,
    RefusedError,
    classify,
    retry_after,
)
from caa_nnsight.remote.keys import scrub
from caa_nnsight.remote.logs import scrubbed_logs
from caa_nnsight.remote.settings import RemoteSettings
from caa_nnsight.remote.traffic import Traffic

if TYPE_CHECKING:
    import ssl

    import httpx

    from caa_nnsight.errors import RemoteError

KeyState = Literal["accepted", "missing", "malformed", "unknown", "not checked"]

# Seconds without a sign of life. A server gathers its status for up to a minute.
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0
GATHER_SECONDS = 75.0
TRANSFER_SECONDS = 120.0
_MAX_DETAIL = 400
_JOB_ID = re.compile(r"[\w-]{1,128}")


@dataclass(frozen=True)
class Submitted:
    """A job that the server has taken: its id, and the status it began with."""

    id: str
    status: str


class NdifClient:
    """The HTTP requests that NDIF answers; use it in a `with` block, which closes connections.

    Args:
        settings: the server and the key.
        traffic: counters that grow with every request.

    Every method raises `UnreachableError`, `BusyError`, `RefusedError` or `ForeignServerError`,
    all of them `RemoteError`s.
    """

    def __init__(self, settings: RemoteSettings, traffic: Traffic | None = None) -> None:
        self._settings = settings
        self._traffic = traffic or Traffic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ping(self) -> None:
        """Ask whether an NDIF server is there."""
        if self._json(self._get("/ping")) != "pong":
            raise self._foreign()

    def connected(self) -> bool:
        """Whether the server has its compute cluster."""
        try:
            self._get("/connected")
        except BusyError as error:
            if error.status == 503:
                return False
            raise
        return True

    def status(self) -> dict[str, Any]:
        """What the server runs: {"deployments": {name: facts}, "cluster": ...}."""
        answer = self._object("/status", seconds=GATHER_SECONDS)
        if not isinstance(answer.get("deployments"), dict):
            raise self._foreign()
        return answer

    def environment(self) -> dict[str, Any]:
        """The versions on the server: {"python_version": ..., "packages": {name: version}}."""
        return self._object("/env", seconds=GATHER_SECONDS)

    def whoami(self) -> dict[str, Any]:
        """Whose key it is: {"email", "tags"}, empty for any key that the server doesn't know."""
        return self._object("/whoami", headers=self._key_header())

    def check_key(self) -> KeyState:
        """Whether the server takes the key, asked by a request that holds no work.

        A server that checks no keys accepts any.
        """
        try:
            self._submit({"data": json.dumps(envelope(""))}, None)
        except RefusedError as error:
            # The key is checked first: who is told that the work is missing has passed.
            if error.status == 400 and "api key" not in error.detail.lower():
                return "not checked"
            states: dict[int, KeyState] = {
                401: "missing",
                400: "malformed",
                403: "unknown",
                422: "accepted",
            }
            return states.get(error.status, "not checked")
        except BusyError:
            return "not checked"
        return "not checked"

    def submit(self, blob: bytes, envelope: dict[str, Any]) -> Submitted:
        """Send one job.

        Args:
            blob: the work, as nnsight serializes and compresses it.
            envelope: what `envelope` makes.
        """
        answer = self._json(self._submit({"data": json.dumps(envelope)}, blob))
        job = answer.get("id") if isinstance(answer, dict) else None
        if not isinstance(job, str) or not _JOB_ID.fullmatch(job):
            raise self._foreign()
        return Submitted(job, str(answer.get("status")))

    def response(self, job: str) -> dict[str, Any] | None:
        """The latest status of a job, or None where there is none (yet)."""
        try:
            answer = self._object(f"/response/{quote(job, safe='')}", headers=self._key_header())
        except RefusedError as error:
            if error.status == 404:
                return None
            raise
        if not isinstance(answer.get("status"), str):
            raise self._foreign()
        return answer

    def download(self, url: str) -> bytes:
        """Get a result from where the server put it; the key is not sent there."""
        place = _store(url)
        if place is None:
            raise self._foreign()
        response = self._send(
            lambda: self._http.build_request("GET", url, timeout=self._timeouts(TRANSFER_SECONDS)),
            place,
        )
        if not response.is_success:
            # What it says is not shown: it may quote the signature.
            raise _failure(response, place, "")
        return response.content

    # -- one request ---------------------------------------------------------------------

    def _get(
        self, path: str, *, headers: dict[str, str] | None = None, seconds: float | None = None
    ) -> httpx.Response:
        return self._api(
            lambda: self._http.build_request(
                "GET",
                self._settings.host + path,
                headers=headers,
                timeout=self._timeouts(seconds or ANSWER_SECONDS),
            )
        )

    def _submit(self, data: dict[str, str], blob: bytes | None) -> httpx.Response:
        headers = {
            "nnsight-version": installed("nnsight") or "",
            # Some builds of Python break the line here, which no header may.
            "python-version": " ".join(sys.version.split()),
            "ndif-timestamp": repr(time.time()),
            **self._key_header(),
        }
        files = None if blob is None else {"blob": ("request", blob, "application/octet-stream")}
        return self._api(
            lambda: self._http.build_request(
                "POST",
                f"{self._settings.host}/request",
                data=data,
                files=files,
                headers=headers,
                timeout=self._timeouts(TRANSFER_SECONDS),
            )
        )

    def _api(self, build: Callable[[], httpx.Request]) -> httpx.Response:
        """A request to the server itself."""
        place = f"the NDIF server {self._settings.host}"
        response = self._send(build, place)
        if not response.is_success:
            raise _failure(response, place, self._detail(response))
        return response

    def _send(self, build: Callable[[], httpx.Request], place: str) -> httpx.Response:
        """Send a request and read all of the answer; no answer becomes an error of ours."""
        import httpx

        failure = None
        try:
            with scrubbed_logs(self._settings.api_key):
                request = build()
                self._traffic.http_calls += 1
                response = self._http.send(request, stream=True)
                try:
                    self._traffic.bytes_up += int(request.headers.get("content-length", 0))
                    self._read(response)
                finally:
                    response.close()
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            # Raised below, where the caught error is no longer its context.
            failure = classify(error, place)
        if failure is not None:
            raise failure
        return response

    def _read(self, response: httpx.Response) -> None:
        try:
            response.read()
        finally:
            self._traffic.bytes_down += response.num_bytes_downloaded

    @cached_property
    def _http(self) -> httpx.Client:
        import httpx

        return httpx.Client(verify=_trusted())

    @staticmethod
    def _timeouts(seconds: float) -> httpx.Timeout:
        import httpx

        return httpx.Timeout(seconds, connect=CONNECT_SECONDS)

    def _key_header(self) -> dict[str, str]:
        key = self._settings.api_key
        return {} if key is None else {"ndif-api-key": key.reveal()}

    # -- answers -------------------------------------------------------------------------

    def _object(self, path: str, **how: Any) -> dict[str, Any]:
        answer = self._json(self._get(path, **how))
        if not isinstance(answer, dict):
            raise self._foreign()
        return answer

    def _json(self, response: httpx.Response) -> Any:
        try:
            return response.json()
        except ValueError:
            pass
        raise self._foreign()

    def _foreign(self) -> ForeignServerError:
        return ForeignServerError(
            f"What answers at {self._settings.host} is no NDIF server: check the host."
        )

    def _detail(self, response: httpx.Response) -> str:
        """What the server says about its refusal, without secrets, and not at any length."""
        if location := response.headers.get("location"):
            text = f"moved to {location}"
        else:
            try:
                body = response.json()
            except ValueError:
                # A page of some proxy: its text is for a browser.
                return ""
            said = body.get("detail", "") if isinstance(body, dict) else body
            text = said if isinstance(said, str) else json.dumps(said)
        text = " ".join(scrub(text, self._settings.api_key).split())
        return text if len(text) <= _MAX_DETAIL else f"{text[:_MAX_DETAIL]}…"


def _store(url: str) -> str | None:
    """Which object store an address is of; None if it is no http(s) address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return f"the object store {parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _failure(response: httpx.Response, place: str, detail: str) -> RemoteError:
    """Whether an answer means "not now" or "no"."""
    if response.status_code in (408, 425, 429) or response.status_code >= 500:
        wait = retry_after(response.headers.get("retry-after"))
        return BusyError(place, response.status_code, detail, wait)
    return RefusedError(place, response.status_code, detail)


@lru_cache(maxsize=1)
def _trusted() -> ssl.SSLContext:
    """The certificates to trust: reading them takes longer than a request, so it is done once."""
    import httpx

    return httpx.create_ssl_context()


def envelope(model_key: str, env: dict[str, Any] | None = None) -> dict[str, Any]:
    """What goes with a job's bytes: the model, and that it is compressed and not waited for.

    Example:
        >>> envelope("some model")["session_id"]
        ''
    """
    return {"model_key": model_key, "session_id": "", "compress": True, "env": env or {}}


def installed(package: str) -> str | None:
    """The version of a package here, without importing it; None where it isn't installed.

    Example:
        >>> installed("no-such-package") is None
        True
    """
    try:
        return version(package)
    except PackageNotFoundError:
        return None
