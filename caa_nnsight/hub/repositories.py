"""Files of ours in a repository on the Hub: pushed in one commit, and fetched at one commit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from caa_nnsight.errors import HubError
from caa_nnsight.hub import asking
from caa_nnsight.hub.address import Address
from caa_nnsight.hub.faults import HubUnreachableError, explained
from caa_nnsight.progress import say
from caa_nnsight.sources import MAX_FILE_BYTES

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import DatasetInfo, ModelInfo

CARD = "README.md"
MAX_DECLARATION_BYTES = 2**20
# A repository that was just made on the Hub's page has some of these.
_BESIDE = {CARD, ".gitattributes", ".gitignore", "LICENSE", "LICENSE.md", "LICENSE.txt"}


@dataclass(frozen=True, slots=True)
class Kind:
    """What a repository of ours is.

    Attributes:
        repo_type: What the Hub calls it.
        noun: What we call it.
        holds: What is in it, for errors.
        main: The file that shows it to be one of ours.
        wanted: The files that are read, `main` among them, with the most bytes that each may have.
        beside: Other files that we write.
    """

    repo_type: Literal["model", "dataset"]
    noun: str
    holds: str
    main: str
    wanted: Mapping[str, int]
    beside: tuple[str, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """All files that we write."""
        return (*self.wanted, *self.beside)


VECTORS = Kind(
    "model",
    "model",
    "steering vectors",
    "vectors.safetensors",
    # Far more than the largest models need.
    {"vectors.safetensors": 2 * 2**30},
    (CARD, "results.json"),
)
BEHAVIOR = Kind(
    "dataset",
    "data set",
    "behavior",
    "behavior.json",
    {
        "behavior.json": MAX_DECLARATION_BYTES,
        "pairs.jsonl": MAX_FILE_BYTES,
        "held_out.jsonl": MAX_FILE_BYTES,
        "open_ended.jsonl": MAX_FILE_BYTES,
    },
    (CARD,),
)


@dataclass(frozen=True, slots=True)
class Pushed:
    """A commit that was pushed.

    Attributes:
        repo: Owner and name of the repository.
        commit: Its hash, which `from_pretrained` takes as `revision`.
        url: Its page on the Hub.

    Example:
        >>> page = "https://huggingface.co/you/refusal-vectors/commit/0a1b2c3"
        >>> Pushed("you/refusal-vectors", "0a1b2c3", page).address
        'hf:you/refusal-vectors@0a1b2c3'
    """

    repo: str
    commit: str
    url: str

    @property
    def address(self) -> str:
        """What the command line takes in place of a file or a behavior's name."""
        return str(Address(self.repo, self.commit))


def push_files(
    address: Address,
    kind: Kind,
    files: Mapping[str, bytes],
    *,
    private: bool | None = None,
    commit_message: str | None = None,
    token: str | None = None,
) -> Pushed:
    """Push files to a repository, which is made where there is none.

    All go in one commit, so that no reader finds a part of them. Those of `kind.files` that aren't
    among them are removed by it, since they would belong to an earlier push.

    Raises:
        HubError: The repository holds something else, is public where `private` was asked for, or
            can't be written to; or the Hub can't be reached.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    repo, branch = address.repo, address.revision
    if address.is_fixed:
        raise HubError(
            f"{branch} is a commit of {repo}, and a push makes a new one: give a branch, or none."
        )
    with (
        explained(repo, branch, noun=kind.noun, to="write"),
        asking.quiet_unless_terminal(),
    ):
        api = HfApi(token=asking.checked_token(token), library_name="caa_nnsight")
        found = _find(api, address, kind)
        if found is None:
            api.create_repo(repo, repo_type=kind.repo_type, private=private)
            found = _find(api, address, kind)
        if found is None:
            raise HubError(
                f"{repo} was made on the Hugging Face Hub, but it can't be read: try again."
            )
        info, has_branch = found
        names = _names(info)
        _refuse_other(info, kind, repo, names, private)
        if not has_branch:
            api.create_branch(repo, repo_type=kind.repo_type, branch=branch, exist_ok=True)
        left = [name for name in kind.files if name in names and name not in files]
        try:
            commit = api.create_commit(
                repo,
                repo_type=kind.repo_type,
                operations=[
                    *(CommitOperationAdd(name, content) for name, content in files.items()),
                    *(CommitOperationDelete(name) for name in left),
                ],
                commit_message=commit_message or f"Push {kind.holds} with caa_nnsight",
                revision=branch,
                # What was looked at is what is changed.
                parent_commit=info.sha,
            )
        except ValueError as error:
            told = _against_the_card(error)
            if told is None:
                raise
            raise HubError(
                f"The Hugging Face Hub refuses the metadata of the card of {repo} ({told})."
            ) from error
    return Pushed(repo, commit.oid, commit.commit_url)


def fetch_files(address: Address, kind: Kind, *, token: str | None = None) -> Path:
    """Return the folder in the Hub's cache that holds the files of `kind.wanted`, of one commit.

    What is in the cache serves where the revision is a commit, or the Hub can't be reached.

    Args:
        address: The repository; a branch or tag is resolved to the commit that it is at now.
        kind: What it has to be; `kind.main` must be there, other files may be missing.
        token: As a text; HF_TOKEN or the login by default.

    Raises:
        HubError: There is no such repository or revision, it holds something else or a file that
            is too large, or the token may not read it; or the Hub can't be reached, and the cache
            doesn't have it.
    """
    from huggingface_hub import HfApi, constants, snapshot_download

    repo = address.repo
    cached = _cached(address, kind)
    if cached and address.is_fixed and _is_whole(cached, address, kind):
        return cached
    try:
        with explained(repo, address.revision, noun=kind.noun), asking.quiet_unless_terminal():
            token = asking.checked_token(token)
            info = _info(HfApi(token=token, library_name="caa_nnsight"), address, kind)
            names = _names(info)
            if kind.main not in names:
                raise HubError(_holds_something_else(repo, kind, names))
            _refuse_too_large(info, address, kind)
            folder = Path(
                snapshot_download(
                    repo,
                    repo_type=kind.repo_type,
                    # By the revision's own name: the cache then knows the name when offline.
                    revision=address.revision,
                    allow_patterns=sorted(names.intersection(kind.wanted)),
                    token=token,
                    library_name="caa_nnsight",
                )
            )
            if cached and folder.name == cached.name != info.sha:
                # It asks the Hub a second time, and falls back to the cache without a word.
                raise HubUnreachableError("The Hugging Face Hub stopped answering.")
            return folder
    except HubUnreachableError as error:
        if cached is None:
            raise HubUnreachableError(
                f"{str(error).rstrip('.')}, and its cache here doesn't have {address}: connect "
                "once, or give a folder."
            ) from error
        # Who switched the Hub off expects it.
        if not constants.HF_HUB_OFFLINE:
            say(f"{error} The copy of {repo} in the cache is taken (commit {cached.name[:8]}).")
        return cached


def _find(api: HfApi, address: Address, kind: Kind) -> tuple[ModelInfo | DatasetInfo, bool] | None:
    """Return a repository's facts, and whether it has the branch; None where it isn't there."""
    from huggingface_hub import errors

    try:
        return _info(api, address, kind), True
    except errors.RevisionNotFoundError:
        return _info(api, Address(address.repo), kind), False
    except errors.GatedRepoError:
        raise
    except errors.RepositoryNotFoundError:
        return None


def _info(api: HfApi, address: Address, kind: Kind) -> ModelInfo | DatasetInfo:
    return asking.within(
        2 * asking.REACH_SECONDS,
        lambda: api.repo_info(
            address.repo,
            repo_type=kind.repo_type,
            revision=address.revision,
            timeout=asking.REACH_SECONDS,
            files_metadata=True,
        ),
    )


def _names(info: ModelInfo | DatasetInfo) -> set[str]:
    return {file.rfilename for file in info.siblings or ()}


def _refuse_other(
    info: ModelInfo | DatasetInfo,
    kind: Kind,
    repo: str,
    names: Collection[str],
    private: bool | None,
) -> None:
    """Refuse to overwrite what isn't ours, or to publish what is to be private."""
    if kind.main not in names and set(names) - _BESIDE:
        raise HubError(f"{_holds_something_else(repo, kind, names)} Nothing was changed.")
    if private and not info.private:
        raise HubError(
            f"{repo} is a public repository already, so what is pushed there isn't private: make "
            "it private on its page, or give another name."
        )


def _refuse_too_large(info: ModelInfo | DatasetInfo, address: Address, kind: Kind) -> None:
    """Refuse before the download what reading would refuse after it."""
    for file in info.siblings or ():
        most = kind.wanted.get(file.rfilename)
        if most is not None and (file.size or 0) > most:
            raise HubError(
                f"{file.rfilename} of {address} has {(file.size or 0) / 2**20:.0f} MiB, but at "
                f"most {most // 2**20} MiB are read, so it is not downloaded: give another "
                "repository."
            )


def _holds_something_else(repo: str, kind: Kind, names: Collection[str]) -> str:
    others = sorted(set(names) - _BESIDE)
    shown = f"it has {', '.join(others[:3])}" if others else "it is empty"
    return (
        f"{repo} on the Hugging Face Hub holds no {kind.holds} of caa_nnsight, as there is no "
        f"{kind.main} ({shown}): give another name."
    )


def _cached(address: Address, kind: Kind) -> Path | None:
    from huggingface_hub import errors, try_to_load_from_cache

    try:
        main = try_to_load_from_cache(
            address.repo, kind.main, revision=address.revision, repo_type=kind.repo_type
        )
    except errors.HFValidationError:
        return None
    return Path(main).parent if isinstance(main, str) else None


def _is_whole(folder: Path, address: Address, kind: Kind) -> bool:
    """Tell whether a commit's folder in the cache has all that is wanted of it."""
    from huggingface_hub import errors, get_cached_repo_tree

    try:
        tree = get_cached_repo_tree(
            address.repo, repo_type=kind.repo_type, revision=address.revision
        )
    except errors.CachedRepoTreeNotFoundError:
        return False
    return all((folder / file.path).is_file() for file in tree if file.path in kind.wanted)


def _against_the_card(error: ValueError) -> str | None:
    """Return what the Hub has against the card's metadata, where that is what is wrong."""
    text = " ".join(str(error).split())
    if not text.startswith("Invalid metadata"):
        return None
    return text.partition("README.md.")[2].strip(" -.")[:200]
