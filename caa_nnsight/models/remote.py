"""Models on an NDIF server: their structure and tokenizer here, their weights there."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from caa_nnsight.errors import ModelError
from caa_nnsight.models.aliases import ALIASES
from caa_nnsight.models.complaints import explained_load_errors, quiet_transformers
from caa_nnsight.models.folder import causal_class, open_tokenizer
from caa_nnsight.models.hub import cached_snapshot, download_snapshot
from caa_nnsight.models.model import Model

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from caa_nnsight.remote import RemoteJobs, RemoteSettings


@dataclass(frozen=True, eq=False)
class RemoteModel:
    """What stands behind a `Model` whose weights are on an NDIF server.

    Attributes:
        lm: the nnsight model, without weights.
        jobs: sends requests to the server; its ledger and its report may be set.
        host: the server's address.
    """

    lm: Any
    jobs: RemoteJobs
    host: str


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
    if repo.count("/") != 1 or os.path.exists(os.path.expanduser(repo)):
        raise ModelError(
            f"A remote model is named by its Hub id, such as 'org/name', or by an alias "
            f"({', '.join(ALIASES)}), but got {name!r}."
        )
    found = preflight(settings, repo, revision)
    found.raise_for_failure()
    for check in found.checks:
        if check.state == "warning":
            warnings.warn(check.sentence, stacklevel=3)
    tokenizer = _tokenizer(repo, revision, trust_remote_code)
    with explained_load_errors(repo), quiet_transformers():
        lm = model_without_weights(
            repo,
            tokenizer,
            # A server may hold one model for several tasks; the task is a part of its key.
            task=(found.deployment or {}).get("task") or "text-generation",
            revision=revision,
            trust_remote_code=trust_remote_code,
        )
    return Model(
        lm._module,
        tokenizer,
        name=name,
        source=f"ndif:{settings.host}",
        revision=revision,
        layers_path=layers_path,
        remote=RemoteModel(lm, RemoteJobs(settings), settings.host),
    )


def _tokenizer(repo: str, revision: str | None, trust_remote_code: bool) -> PreTrainedTokenizerBase:
    """The tokenizer of a causal language model on the Hub; its config is then in the cache too."""
    folder = cached_snapshot(repo, revision)
    if folder is None or not any(folder.glob("tokenizer*")):
        folder = download_snapshot(repo, revision, weights=False)
    with explained_load_errors(repo), quiet_transformers():
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
        causal_class(config, repo)
        return open_tokenizer(folder, trust_remote_code)
