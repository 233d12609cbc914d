"""Models of the Hugging Face Hub: found in its local cache, or downloaded at one commit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from caa_nnsight.errors import HubError, ModelError
from caa_nnsight.hub.asking import REACH_SECONDS, checked_token, quiet_unless_terminal, within
from caa_nnsight.hub.faults import explained
from caa_nnsight.progress import say

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

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
        HubUnreachableError: the Hub can't be reached within a few seconds.
        ModelError: it knows no such repository or revision, or the repository is gated, or it
            holds no transformers model, or the token or the cache can't be used.
    """
    from huggingface_hub import snapshot_download

    with explained(repo, revision, error=ModelError), quiet_unless_terminal():
        try:
            checked_token(None)
        except HubError as error:
            raise ModelError(str(error)) from None
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

    return within(
        2 * REACH_SECONDS,
        lambda: HfApi().model_info(
            repo, revision=revision, timeout=REACH_SECONDS, files_metadata=True
        ),
    )


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
