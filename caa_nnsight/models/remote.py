"""Models on an NDIF server: their structure and tokenizer here, their weights there."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from caa_nnsight.errors import ModelError
from caa_nnsight.hub.address import HUB_ID
from caa_nnsight.hub.faults import HubUnreachableError, explained
from caa_nnsight.models.aliases import ALIASES
from caa_nnsight.models.complaints import (
    as_phrase,
    explained_load_errors,
    loading_alone,
    quiet_transformers,
)
from caa_nnsight.models.folder import causal_class, open_tokenizer
from caa_nnsight.models.hub import cached_snapshot, download_snapshot
from caa_nnsight.models.model import Model, RemoteModel
from caa_nnsight.suggest import did_you_mean

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from caa_nnsight.remote import RemoteSettings

# What the main revision goes by.
MAIN = (None, "main")


def load_remote(
    name: str,
    settings: RemoteSettings,
    *,
    revision: str | None = None,
    layers_path: str | None = None,
    trust_remote_code: bool = False,
) -> Model:
    """A model that an NDIF server holds. Its config and tokenizer come from the Hub, no weights.

    Args:
        name: a Hub id, or an alias, which stands for its Hub id.
        settings: the server, the key and the limits.
        revision, layers_path, trust_remote_code: see `load`.

    Raises:
        ModelError: the name is no Hub id, or the Hub doesn't have it.
        RemoteError: the server can't be used; see `preflight`.
    """
    from caa_nnsight.remote import RemoteJobs, preflight
    from caa_nnsight.tracer import model_without_weights

    alias = ALIASES.get(name.lower())
    repo = alias.hub_id if alias else name
    # Not what exists here under that name either: it would be read in place of the Hub's.
    if not HUB_ID.fullmatch(repo) or repo.lower().endswith(".gguf") or os.path.exists(repo):
        raise ModelError(
            f"A remote model is named by its Hub id, such as 'org/name', or by an alias "
            f"({', '.join(ALIASES)}), and not by a folder or file here, but got {name!r}."
            f"{did_you_mean(name, ALIASES)}"
        )
    found = preflight(settings, repo, revision)
    found.raise_for_failure()
    for check in found.checks:
        if check.state == "warning":
            warnings.warn(check.sentence, stacklevel=3)
    served = found.deployment or {}
    folder = _texts(repo, revision)
    with explained_load_errors(repo), loading_alone(), quiet_transformers():
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
        causal_class(config, repo)
        tokenizer = open_tokenizer(folder, trust_remote_code)
        lm = model_without_weights(
            repo,
            tokenizer,
            # A server may hold one model for several tasks and revisions, which are parts of
            # its key; the main one goes by two names.
            task=served.get("task") or "text-generation",
            revision=served.get("revision") if revision in MAIN else revision,
            trust_remote_code=trust_remote_code,
        )
        _take_generation_config(lm._module, folder)
    with _needs_hub(repo, revision):
        # nnsight asks the Hub how the id is really spelled: here, where a failure is explained.
        lm.to_model_key()
    return Model(
        lm._module,
        tokenizer,
        name=name,
        source=f"ndif:{settings.host}",
        # An alias without a revision would stand for the copy that it names here.
        revision=revision or "main",
        layers_path=layers_path,
        remote=RemoteModel(lm, RemoteJobs(settings), settings.host),
    )


def _texts(repo: str, revision: str | None) -> Path:
    """A folder with the repository's config and tokenizer: the Hub's cache, or fetched now."""
    folder = cached_snapshot(repo, revision)
    if folder is not None and any(folder.glob("tokenizer*")):
        return folder
    with _needs_hub(repo, revision):
        return download_snapshot(repo, revision, weights=False)


@contextmanager
def _needs_hub(repo: str, revision: str | None) -> Iterator[None]:
    try:
        with explained(repo, revision, error=ModelError):
            yield
    except HubUnreachableError as error:
        raise ModelError(
            f"The Hub is needed for the remote model {repo!r}, for its exact name, and for its "
            f"config and tokenizer where they aren't in the cache, but {as_phrase(error)}: connect "
            "and try again."
        ) from error


def _take_generation_config(module: PreTrainedModel, folder: Path) -> None:
    """Give a model built from its config the settings of generation that come with its weights.

    They say which tokens end an answer; a chat model's config often names but one of them.
    """
    from transformers import GenerationConfig

    if (folder / "generation_config.json").exists():
        module.generation_config = GenerationConfig.from_pretrained(folder)
