"""What to know before any work is sent: each thing that can be wrong, in a sentence of its own."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from caa_nnsight.errors import RemoteError
from caa_nnsight.remote.client import NdifClient, installed
from caa_nnsight.remote.deployments import Deployment, Readiness, deployments, find
from caa_nnsight.remote.failures import KEY_PROBLEMS
from caa_nnsight.remote.faults import RefusedError
from caa_nnsight.remote.settings import RemoteSettings

State = Literal["ok", "warning", "failed", "skipped"]
NAMED_MODELS = 5


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: its name, "ok", "warning", "failed" or "skipped", and why."""

    name: str
    state: State
    sentence: str


@dataclass(frozen=True)
class Preflight:
    """All checks, in order, and what the server says of the model, if it has it."""

    checks: tuple[Check, ...]
    deployment: dict[str, Any] | None

    def raise_for_failure(self) -> None:
        """Raise the sentence of the first failed check.

        Raises:
            RemoteError: a check failed.
        """
        for check in self.checks:
            if check.state == "failed":
                raise RemoteError(check.sentence)


def preflight(
    settings: RemoteSettings, repo_id: str | None = None, revision: str | None = None
) -> Preflight:
    """Check the server, the key, the versions on both sides, and the model.

    Nothing is sent to be run, and nothing is tried twice.

    Args:
        settings: the server and the key.
        repo_id: the model's id on the Hugging Face Hub; None leaves the model out.
        revision: its revision; None is the main one.

    Returns:
        every check in order, as far as they got; `raise_for_failure` raises the first that failed.

    Example:
        >>> found = preflight(RemoteSettings("http://127.0.0.1:9"))
        >>> found.checks[0].name, found.checks[0].state
        ('server', 'failed')
    """
    with NdifClient(settings) as client:
        reached = _checked("server", lambda: _server(client, settings))
        if reached.state == "failed":
            return Preflight((reached, *_skipped("the server can't be used", "compute")), None)
        whole = _checked("compute", lambda: _compute(client))
        if whole.state == "failed":
            return Preflight((reached, whole, *_skipped("the server has no compute cluster")), None)
        key = _checked("key", lambda: _key(client, settings))
        versions = tuple(_versions(client))
        model, deployment = _model(client, repo_id, revision)
    return Preflight((reached, whole, key, *versions, model), deployment)


def served_models(settings: RemoteSettings) -> list[Deployment]:
    """The models that a server has, readiest first.

    Raises:
        RemoteError: it can't be asked.
    """
    with NdifClient(settings) as client:
        return deployments(client.status())


def _checked(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except RemoteError as error:
        return Check(name, "failed", str(error))


def _skipped(because: str, *more: str) -> Iterator[Check]:
    for name in (*more, "key", "nnsight", "transformers", "python", "model"):
        yield Check(name, "skipped", f"Not checked: {because}.")


def _server(client: NdifClient, settings: RemoteSettings) -> Check:
    try:
        client.ping()
    except RefusedError as error:
        if error.status != 404:
            raise
        problem = f"What answers at {settings.host} is no NDIF server: check the host."
        return Check("server", "failed", problem)
    return Check("server", "ok", f"{settings.host} answers.")


def _compute(client: NdifClient) -> Check:
    if client.connected():
        return Check("compute", "ok", "The server has its compute cluster.")
    return Check(
        "compute",
        "failed",
        "The server has lost its compute cluster and is looking for it: try again in a few "
        "minutes.",
    )


def _key(client: NdifClient, settings: RemoteSettings) -> Check:
    state = client.check_key()
    if state in KEY_PROBLEMS:
        return Check("key", "failed", KEY_PROBLEMS[state])
    if state == "not checked":
        return Check("key", "warning", "The server doesn't say whether it accepts the API key.")
    if settings.api_key is None:
        return Check("key", "ok", "No API key is set, and the server asks for none.")
    return Check("key", "ok", "The server accepts the API key.")


# -- versions ----------------------------------------------------------------------------


def _versions(client: NdifClient) -> Iterator[Check]:
    try:
        environment = client.environment()
    except RemoteError as error:
        for name in ("nnsight", "transformers", "python"):
            yield Check(name, "warning", f"The server's version can't be had. {error}")
        return
    packages = environment.get("packages")
    packages = packages if isinstance(packages, dict) else {}
    yield _compared(
        "nnsight",
        installed("nnsight"),
        packages.get("nnsight"),
        "failed",
        "they don't understand each other's requests: install the server's here",
    )
    yield _compared(
        "transformers",
        installed("transformers"),
        packages.get("transformers"),
        "warning",
        "if the model is built differently there, a request fails or hits another part of it",
    )
    yield _compared(
        "python",
        platform.python_version(),
        environment.get("python_version"),
        "warning",
        "code that travels with a request may not load there",
    )


def _compared(name: str, here: str | None, there: Any, otherwise: State, risk: str) -> Check:
    """One version on both sides, equal if major and minor are."""
    theirs = there.split()[0] if isinstance(there, str) and there.strip() else None
    if here is None or theirs is None or _major_minor(theirs) is None:
        side = "here" if here is None else "on the server"
        return Check(name, "warning", f"The version of {name} {side} isn't known.")
    if _major_minor(here) == _major_minor(theirs):
        return Check(name, "ok", f"{here} here, {theirs} on the server.")
    return Check(name, otherwise, f"{name} is {here} here and {theirs} on the server: {risk}.")


def _major_minor(version: str) -> tuple[int, int] | None:
    match = re.match(r"(\d{1,6})\.(\d{1,6})", version)
    return (int(match[1]), int(match[2])) if match else None


# -- the model ---------------------------------------------------------------------------

_READY: dict[Readiness, tuple[State, str]] = {
    "running": ("ok", "is running"),
    "loading": ("warning", "is being loaded: jobs wait until it is there"),
    "parked": ("warning", "is in the server's memory, off its devices: the first job loads it"),
    "on disk": (
        "warning",
        "is only on the server's disk: the first job asks the server to load it, which takes "
        "minutes for a large model and may be refused",
    ),
    "unhealthy": ("failed", "has crashed on the server: ask whoever runs it to deploy it again"),
    "unknown": ("warning", "is on the server, which doesn't say whether it is running"),
}


def _model(
    client: NdifClient, repo_id: str | None, revision: str | None
) -> tuple[Check, dict[str, Any] | None]:
    if repo_id is None:
        return Check("model", "skipped", "Not checked: no model was named."), None
    try:
        served = deployments(client.status())
    except RemoteError as error:
        return Check("model", "warning", f"The server's models can't be listed. {error}"), None
    found, others = find(served, repo_id, revision)
    at = f" at revision {revision}" if revision else ""
    if found is not None:
        state, words = _READY[found.readiness]
        return Check("model", state, f"{repo_id}{at} {words}."), found.facts
    return Check("model", "warning", f"{repo_id}{at} {_not_served(served, others)}"), None


def _not_served(served: list[Deployment], others: list[Deployment]) -> str:
    asks = "the first job asks the server to load it, which it may refuse"
    if others:
        known = ", ".join(one.revision or "main" for one in others)
        return f"is not on the server, only at revision {known}: {asks}."
    running = [one.repo_id for one in served if one.readiness == "running"]
    if not running:
        return f"is not on the server, which runs no model now: {asks}."
    named = ", ".join(running[:NAMED_MODELS])
    more = f" and {len(running) - NAMED_MODELS} more" if len(running) > NAMED_MODELS else ""
    return f"is not on the server: {asks}. It runs {named}{more}."
