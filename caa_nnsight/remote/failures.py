"""Why a job was refused or failed: what the server wrote, turned into what to do.

The server tells most reasons in words only, so these are recognized by their wording.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from caa_nnsight.errors import (
    RemoteError,
    RemoteInterventionError,
    RemoteMemoryError,
    RemoteTooLargeError,
)
from caa_nnsight.remote.faults import RefusedError

KEY_PROBLEMS = {
    "missing": "The server asks for an API key: set NDIF_API_KEY, or put the key into a file and "
    "name it with --api-key-file; keys of the public NDIF come from https://login.ndif.us.",
    "malformed": "The API key doesn't have the form that the server's keys have: copy it again "
    "from where you got it.",
    "unknown": "The server doesn't know the API key: check that it belongs to this server and "
    "hasn't been withdrawn.",
}
_NOT_DEPLOYED = "Could not deploy this model."
_TRACEBACK = "Traceback (most recent call last):"
_OUT_OF_MEMORY = (
    "out of memory",
    "OutOfMemoryError",
    "can't allocate memory",
    "not enough memory",
    "MemoryError",
    "std::bad_alloc",
)
# The server dropped a job that had nothing wrong with it.
_DROPPED = (
    ("Replica was evicted", "the model was taken off its device while the job ran"),
    ("cancelled or preempted by the server", "the server stopped the job for another"),
    ("Error submitting request to model deployment", "the model's process didn't take the job"),
    ("Critical server error", "the server lost its compute cluster"),
    ("Error starting model", "the server couldn't start the model"),
    ("Error provisioning model", "the server couldn't make room for the model"),
)
_MAX_QUOTED = 300


@dataclass(frozen=True)
class Failure:
    """Why a job failed.

    Attributes:
        error: what to raise.
        dropped: why the server dropped a job that is in order, so that sending it again may
            help; None where it can't.
    """

    error: RemoteError
    dropped: str | None = None


def explain_refusal(error: RefusedError) -> RemoteError:
    """Why the server doesn't take a job at all."""
    detail = error.detail.lower()
    # The second is what a server with nnsight and anyio 4.16 says of all beyond a megabyte.
    if error.status == 413 or (error.status == 400 and "parsing the body" in detail):
        return RemoteTooLargeError(
            "The request is larger than the server, or a proxy before it, accepts: send less "
            "work in one request.",
            error.detail,
        )
    if error.status in (401, 403):
        return RemoteError(KEY_PROBLEMS["missing" if error.status == 401 else "unknown"])
    if error.status == 400 and "api key" in detail:
        return RemoteError(KEY_PROBLEMS["malformed"])
    if error.status == 400 and "version" in detail:
        return RemoteError(
            f"The server refuses the versions here: {error.detail.rstrip('.')}. Align them with "
            "the server's (`caa remote check` shows both).",
            error.detail,
        )
    if error.status in (404, 405):
        return RemoteError(f"{error} Check that the host is that of an NDIF server's API.")
    return error


def explain(description: str) -> Failure:
    """Read what the server says of a failed job; the text must hold no secrets any more.

    Example:
        >>> type(explain("Your job exceeded the execution timeout of 20s.").error).__name__
        'RemoteTooLargeError'
        >>> explain("Replica was evicted while processing your request.").dropped
        'the model was taken off its device while the job ran'
    """
    if known := _from_sentence(description):
        return Failure(known)
    if _TRACEBACK in description:
        return Failure(_from_traceback(description))
    if match := re.search(r"exceeded the execution timeout(?: of ([\d.]+) ?s)?", description):
        limit = f" of {float(match[1]):g} s" if match[1] else ""
        return Failure(
            RemoteTooLargeError(
                f"The job ran longer than the server's limit{limit}: send less work in one "
                "request, or ask whoever runs the server for a longer limit.",
                description,
            )
        )
    for wording, reason in _DROPPED:
        if wording in description:
            return Failure(
                RemoteError(
                    f"The server dropped the job again and again ({reason}): try later, or "
                    "choose a model that it keeps running.",
                    description,
                ),
                reason,
            )
    if any(wording in description for wording in _OUT_OF_MEMORY):
        return Failure(_out_of_memory(description, description))
    said = _quoted(description) or "it gives no reason."
    return Failure(RemoteError(f"The server failed the job: {said}", description))


def _from_sentence(description: str) -> RemoteError | None:
    """NDIF's own words about a job that never ran; the reason behind them may be a traceback."""
    if description.startswith(_NOT_DEPLOYED):
        reason = description.removeprefix(_NOT_DEPLOYED).strip()
        if reason.startswith(_TRACEBACK):
            reason = exception_line(reason)
        said = _quoted(reason.partition("\n")[0]).rstrip(".") or "it doesn't say why"
        return RemoteError(
            f"The server can't load the model: {said}. Check its name, or choose one that "
            "`caa remote models` lists.",
            description,
        )
    if match := re.match(r"Your request payload could not be read \((.*?)\)\. It may", description):
        return RemoteError(
            f"The server can't read the request ({_quoted(match[1])}): align the versions of "
            "nnsight, transformers and Python with the server's (`caa remote check` shows both).",
            description,
        )
    if description.startswith("The model architecture on this server doesn't match"):
        return RemoteError(
            f"The model is built differently on the server: {_quoted(description)} Align the "
            "version of transformers with the server's (`caa remote check` shows both).",
            description,
        )
    if description.startswith("Request cancelled by operator"):
        return RemoteError(
            "Whoever runs the server canceled the job: ask them why before you try again.",
            description,
        )
    return None


def _from_traceback(text: str) -> RemoteError:
    cause = exception_line(text)
    if any(wording in cause for wording in _OUT_OF_MEMORY):
        return _out_of_memory(cause, text)
    return RemoteInterventionError(f"The intervention failed on the server: {_quoted(cause)}", text)


def _out_of_memory(cause: str, text: str) -> RemoteMemoryError:
    return RemoteMemoryError(
        f"The server ran out of memory ({_quoted(cause)}): use shorter prompts or fewer rows in a "
        "pass.",
        text,
    )


def exception_line(traceback: str) -> str:
    """The exception of a traceback, without frames: its type and the first line of its message.

    Example:
        >>> exception_line('Traceback (most recent call last):\\n  File "x"\\nIndexError: 7\\nmore')
        'IndexError: 7'
    """
    last = traceback.rpartition(_TRACEBACK)[2]
    for line in last.splitlines():
        # Frames and their source are indented; a message's own further lines come after.
        if line.strip() and not line[0].isspace():
            return line.strip()
    return last.strip().splitlines()[-1].strip() if last.strip() else "an unknown error"


def _quoted(text: str) -> str:
    """The first paragraph on one line, cut where it is very long."""
    line = " ".join(text.strip().split("\n\n")[0].split())
    return line if len(line) <= _MAX_QUOTED else f"{line[:_MAX_QUOTED].rstrip()}…"
