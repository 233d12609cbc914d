"""Models of the Hugging Face Hub: found in its local cache, or downloaded at one commit."""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from caa_nnsight.errors import ModelError
from caa_nnsight.progress import say

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

REACH_SECONDS = 5.0
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*")


class HubUnreachableError(ModelError):
    """The Hub can't be asked, so whether it has the model is not known."""


_WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json")
_PICKLED = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin|pytorch_model\.bin\.index\.json")
_TEXT = re.compile(
    r"(config|generation_config)\.json|(tokenizer|special_tokens|added_tokens|vocab|merges|"
    r"chat_template|spiece|sentencepiece|tekken)[^/]*|[^/]*\.(model|tiktoken|jinja|py)|"
    r"additional_chat_templates/[^/]*"
)


def cached_snapshot(repo: str, revision: str | None = None) -> Path | None:
    """The folder of `repo` in the Hub's local cache, or None; asks the network nothing.

    It may be incomplete: an interrupted download leaves what it had.
    """
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(repo, "config.json", revision=revision)
    return Path(config).parent if isinstance(config, str) else None


def snapshot_commit(folder: Path) -> str:
    """The commit of a folder that `cached_snapshot` or `download_snapshot` gave."""
    return folder.name


def download_snapshot(repo: str, revision: str | None = None, *, weights: bool = True) -> Path:
    """Download what is needed to load `repo` and return its folder in the Hub's cache.

    Without `weights`, that is the config and the tokenizer. The revision is resolved to a commit,
    and every file comes from that commit. Python files of the repository's own come too, to be
    read; nothing runs them without trust_remote_code.

    Raises:
        ModelError: the Hub can't be reached within a few seconds, or knows no such repository or
            revision, or the repository is gated, or it holds no transformers model.
    """
    from huggingface_hub import snapshot_download

    with explained_hub_errors(repo, revision), _quiet_unless_terminal():
        info = _reach(repo, revision)
        wanted = _wanted_files(repo, info, weights)
        sizes = [file.size or 0 for file in info.siblings or () if file.rfilename in wanted]
        size = f"{sum(sizes) / 1e6:.0f} MB" if weights else f"{sum(sizes) / 1e6:.1f} MB, no weights"
        say(f"Downloading {repo} from the Hugging Face Hub ({size})")
        # By the revision's own name, not its commit: the cache then knows the name when offline.
        return Path(snapshot_download(repo, revision=revision, allow_patterns=sorted(wanted)))


def _reach(repo: str, revision: str | None) -> ModelInfo:
    """Ask for the repository's facts: one request, no retries, and no longer than a few seconds."""
    from huggingface_hub import HfApi

    answer: Future[ModelInfo] = Future()

    def ask() -> None:
        try:
            answer.set_result(
                HfApi().model_info(
                    repo, revision=revision, timeout=REACH_SECONDS, files_metadata=True
                )
            )
        except BaseException as error:
            answer.set_exception(error)

    # The request's own time limit does not cover the name look-up, which can hang for a minute.
    Thread(target=ask, daemon=True).start()
    return answer.result(timeout=2 * REACH_SECONDS)


def _wanted_files(repo: str, info: ModelInfo, with_weights: bool) -> set[str]:
    names = {file.rfilename for file in info.siblings or ()}
    if "config.json" not in names:
        hint = (
            "it holds GGUF files: download one and pass its path"
            if any(name.endswith(".gguf") for name in names)
            else "name a repository that holds a transformers model"
        )
        raise ModelError(f"{repo} on the Hugging Face Hub has no config.json: {hint}.")
    texts = {name for name in names if _TEXT.fullmatch(name)}
    if not with_weights:
        return texts
    weights = {name for name in names if _WEIGHTS.fullmatch(name)}
    weights = weights or {name for name in names if _PICKLED.fullmatch(name)}
    if not weights:
        raise ModelError(
            f"{repo} on the Hugging Face Hub has no weights that transformers reads "
            "(model.safetensors)."
        )
    return weights | texts


@contextmanager
def explained_hub_errors(repo: str, revision: str | None) -> Iterator[None]:
    """Turn what asking the Hub raises into a ModelError of one sentence."""
    from huggingface_hub import errors

    try:
        yield
    except ModelError:
        raise
    except errors.OfflineModeIsEnabled as error:
        raise HubUnreachableError("The Hugging Face Hub is off (HF_HUB_OFFLINE).") from error
    except errors.GatedRepoError as error:
        raise ModelError(
            f"{repo} is gated: accept its licence at https://huggingface.co/{repo}, then set "
            "HF_TOKEN to a token that may read it."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(f"{repo} has no revision {revision!r} on the Hugging Face Hub.") from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise ModelError(
            f"The Hugging Face Hub has no model {repo}, or it is private: check the spelling, or "
            "set HF_TOKEN to a token that may read it."
        ) from error
    except errors.HfHubHTTPError as error:
        raise ModelError(
            f"The Hugging Face Hub answered {error.response.status_code} for {repo}: try again "
            "later."
        ) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise ModelError(
                f"The disk that holds the Hugging Face cache is full, so {repo} could not be "
                "downloaded: free some space, or name another folder with HF_HOME."
            ) from error
        # Only the error's type: the text of some network errors carries the request's token.
        raise HubUnreachableError(
            f"The Hugging Face Hub can't be reached from here ({type(error).__name__})."
        ) from error


@contextmanager
def _quiet_unless_terminal() -> Iterator[None]:
    """Keep the Hub's progress bars out of logs: they are for a terminal."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
