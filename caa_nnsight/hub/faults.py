"""What asking the Hub can raise, as one sentence that says what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from caa_nnsight.errors import CAAError, HubError

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

SITE = "https://huggingface.co"


class HubUnreachableError(HubError):
    """The Hub can't be asked, so whether it has something is not known."""


@contextmanager
def explained(
    repo: str,
    revision: str | None,
    *,
    noun: str = "model",
    to: Literal["read", "write"] = "read",
    error: type[CAAError] = HubError,
) -> Iterator[None]:
    """Turn what the Hub's client raises into an error of one sentence.

    Where the Hub can't be asked, that is a HubUnreachableError.

    Args:
        repo, revision: What is asked for.
        noun: What kind of repository it is, "model" or "data set".
        to: What is wanted of it.
        error: The error to raise where the Hub, or the disk, refuses.
    """
    from huggingface_hub import constants, errors

    allowed = f"set HF_TOKEN to a token that may {to} it"
    try:
        yield
    except CAAError:
        raise
    except errors.OfflineModeIsEnabled as cause:
        raise HubUnreachableError("The Hugging Face Hub is off (HF_HUB_OFFLINE).") from cause
    except errors.GatedRepoError as cause:
        page = f"{SITE}/{repo}" if noun == "model" else f"{SITE}/datasets/{repo}"
        raise error(f"{repo} is gated: accept its licence at {page}, then {allowed}.") from cause
    except errors.RevisionNotFoundError as cause:
        raise error(f"{repo} has no revision {revision!r} on the Hugging Face Hub.") from cause
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as cause:
        raise error(
            f"The Hugging Face Hub has no {noun} {repo}, or it is private: check the spelling, or "
            f"{allowed}."
        ) from cause
    except Exception as cause:
        answer = _answer(cause)
        if answer is not None:
            raise error(_refusal(answer, repo, allowed)) from cause
        if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
            raise error(
                f"The disk that holds the Hugging Face cache is full, so {repo} could not be "
                "downloaded: free some space, or name another folder with HF_HOME."
            ) from cause
        # Only the error's type: the text of some network errors carries the request's token.
        kind = type(cause).__name__
        # `errors.HTTPError` is the HTTP library's, of requests that got no answer.
        unreachable = (
            errors.HTTPError,
            errors.LocalEntryNotFoundError,
            ConnectionError,
            TimeoutError,
        )
        if isinstance(cause, unreachable):
            raise HubUnreachableError(
                f"The Hugging Face Hub can't be reached from here ({kind})."
            ) from None
        if isinstance(cause, OSError) and cause.strerror:
            raise error(
                f"The Hugging Face cache in {constants.HF_HUB_CACHE} can't be used "
                f"({cause.strerror}): mend that, or name another folder with HF_HOME."
            ) from None
        raise error(
            f"What was asked of the Hugging Face Hub for {repo} failed here ({kind})."
        ) from None


def _answer(error: BaseException | None) -> HfHubHTTPError | None:
    """Return what the Hub answered with, which an upload's error wraps up."""
    from huggingface_hub.errors import HfHubHTTPError

    while error is not None:
        if isinstance(error, HfHubHTTPError):
            return error
        error = error.__cause__
    return None


def _refusal(answer: HfHubHTTPError, repo: str, allowed: str) -> str:
    status = answer.response.status_code
    if status == 401:
        return f"The Hugging Face Hub doesn't accept the token for {repo}: {allowed}."
    if status == 403:
        return f"The token may not do this to {repo} on the Hugging Face Hub: {allowed}."
    if status in (409, 412):
        return (
            f"{repo} was made or changed on the Hugging Face Hub by somebody else meanwhile, or "
            f"the token can't see it: try again, or {allowed}."
        )
    if status == 429 or status >= 500:
        return f"The Hugging Face Hub answered {status} for {repo}: try again later."
    reason = " ".join((answer.server_message or "no reason given").split())[:200].rstrip(".")
    return f"The Hugging Face Hub refuses this for {repo} ({status}: {reason})."
