"""What a server says that it runs: its models, and how ready each is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Readiness = Literal["running", "loading", "parked", "on disk", "unhealthy", "unknown"]
# The best replica of a model says how ready the model is.
_ORDER: tuple[Readiness, ...] = (
    "running",
    "loading",
    "parked",
    "on disk",
    "unknown",
    "unhealthy",
)


@dataclass(frozen=True)
class Deployment:
    """A model on a server.

    Attributes:
        repo_id: its id on the Hugging Face Hub.
        revision: the revision that is loaded; None for the main one, or where it isn't loaded.
        readiness: "running", "loading" (being deployed), "parked" (in the server's memory, off
            its devices), "on disk", "unhealthy" or "unknown".
        replicas: how many copies the server has.
        facts: what the server says of its readiest copy.
    """

    repo_id: str
    revision: str | None
    readiness: Readiness
    replicas: int
    facts: dict[str, Any]


def deployments(status: Mapping[str, Any]) -> list[Deployment]:
    """The models in a server's status, readiest first, then by name.

    Example:
        >>> facts = {"repo_id": "a/b", "deployment_level": "COLD"}
        >>> deployments({"deployments": {"a/b": facts}})[0].readiness
        'on disk'
    """
    groups: dict[tuple[str, str | None], list[dict[str, Any]]] = {}
    for facts in status["deployments"].values():
        if isinstance(facts, dict) and isinstance(facts.get("repo_id"), str):
            groups.setdefault((facts["repo_id"], _revision(facts)), []).append(facts)
    found = []
    for (repo_id, revision), copies in groups.items():
        best = min(copies, key=lambda facts: _ORDER.index(_readiness(facts)))
        found.append(Deployment(repo_id, revision, _readiness(best), len(copies), best))
    return sorted(found, key=lambda one: (_ORDER.index(one.readiness), one.repo_id.lower()))


def find(
    found: list[Deployment], repo_id: str, revision: str | None
) -> tuple[Deployment | None, list[Deployment]]:
    """The model at the revision that is asked for, and the same model at others."""
    same = [one for one in found if one.repo_id.lower() == repo_id.lower()]
    wanted = None if revision == "main" else revision
    # What is only on disk has no revision: the server takes the one that a request names.
    at = [one for one in same if one.revision == wanted or one.readiness == "on disk"]
    return (at[0] if at else None), [one for one in same if one not in at]


def _revision(facts: Mapping[str, Any]) -> str | None:
    revision = facts.get("revision")
    return revision if isinstance(revision, str) and revision != "main" else None


def _readiness(facts: Mapping[str, Any]) -> Readiness:
    level, state = facts.get("deployment_level"), facts.get("application_state")
    if state == "UNHEALTHY":
        return "unhealthy"
    if level == "COLD":
        return "on disk"
    if level == "WARM":
        return "parked"
    if level == "HOT" and state in ("DEPLOYING", "NOT_STARTED"):
        return "loading"
    return "running" if level == "HOT" and state == "RUNNING" else "unknown"
