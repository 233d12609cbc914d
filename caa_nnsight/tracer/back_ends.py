"""Where passes run: in this process, or in requests to an NDIF server. The bodies are the same."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import nnsight
import torch
from nnsight.schema.request import RequestModel
from nnsight.tracing.backend import Backend

from caa_nnsight.errors import (
    RemoteError,
    RemoteInterventionError,
    RemoteTooLargeError,
    SteeringError,
)
from caa_nnsight.positions import is_watched
from caa_nnsight.tracer.inputs import Tokens
from caa_nnsight.tracer.out_of_memory import is_out_of_memory
from caa_nnsight.tracer.traces import run_together
from caa_nnsight.versions import library_versions

if TYPE_CHECKING:
    from caa_nnsight.remote import RemoteJobs

logger = logging.getLogger(__name__)

# (nnsight model, blocks, pass, dtype, what passes share, *arguments) -> tensor; see `traces`.
Body = Callable[..., torch.Tensor]

# Requests that a step, such as an extraction, is divided into: what a lost one costs, against
# the time that each spends in a queue.
REQUESTS_PER_STEP = 4


def is_the_pass_s_own(error: Exception) -> bool:
    """Whether a pass failed by what it is.

    And not because memory or the server failed it, or the model is in use.
    """
    if isinstance(error, RemoteError):
        return isinstance(error, RemoteInterventionError)
    return not isinstance(error, SteeringError) and not is_out_of_memory(error)


class BackEnd(Protocol):
    """What the tracer asks of the place where passes run.

    Attributes:
        device: where tables of edits are kept.
        stops: whether a pass may stop after the last layer that it reads.
    """

    device: torch.device
    stops: bool

    @property
    def dtype(self) -> torch.dtype:
        """Of the residual stream."""

    def run(
        self, body: Body, passes: Sequence[Tokens], arguments: tuple, *, add_up: bool = False
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """What the body gives for the passes, in their order.

        Args:
            body: a function of `traces`.
            passes: see `inputs`.
            arguments: the body's further arguments, plain values and tensors.
            add_up: sums over passes will do, as many as suit the place.

        Yields:
            a number of passes, 1 unless they are added up, and the value for them.
        """

    def keeping(self) -> AbstractContextManager[None]:
        """Keep a prefix that all rows share from one call to the next, as long as this lasts.

        Not longer, because the model's weights may change between two pieces of work.
        """

    def piece_size(self, total: int, least: int) -> int:
        """How many of `total` units of work belong between two checkpoints, `least` or more."""


class LocalBackEnd:
    """Runs passes one after the other in this process.

    Args:
        lm: the nnsight model.
        layers: its blocks.
        dtype: of the residual stream.
        device: where the model takes its inputs.
    """

    def __init__(self, lm: Any, layers: Any, dtype: torch.dtype, device: torch.device) -> None:
        self._lm, self._layers = lm, layers
        self.dtype = dtype
        self.device = device
        self.stops = True
        # Where prefixes are kept from one call to the next, None for not at all.
        self._kept: dict[str, Any] | None = None

    def run(
        self, body: Body, passes: Sequence[Tokens], arguments: tuple, *, add_up: bool = False
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """See `BackEnd.run`.

        Raises:
            SteeringError: hooks steer the model.
        """
        kept = {} if self._kept is None else self._kept
        for one in passes:
            if is_watched(self._layers._module):
                raise SteeringError(
                    "This model is being steered by caa.steered: leave it before caa.generate, "
                    "caa.score or caa.extract."
                )
            yield 1, body(self._lm, self._layers, one, self.dtype, kept, *arguments)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """See `BackEnd.keeping`."""
        outer, self._kept = self._kept, {}
        try:
            yield
        finally:
            self._kept = outer

    def piece_size(self, total: int, least: int) -> int:
        """See `BackEnd.piece_size`."""
        return least


class RemoteBackEnd:
    """Runs passes on an NDIF server, many in one request.

    Args:
        lm: the nnsight model, without weights.
        layers: its blocks.
        jobs: sends requests and waits for them.
    """

    def __init__(self, lm: Any, layers: Any, jobs: RemoteJobs) -> None:
        self._lm, self._layers = lm, layers
        self.jobs = jobs
        self.device = torch.device("cpu")
        # A server's sandbox (NDIF 0.1.2) gets lost in a session after a trace that was stopped.
        self.stops = False
        self._dtype: torch.dtype | None = None
        # How many passes of a body fitted into one request, where not all of them did.
        self._most: dict[Body, int] = {}
        # Servers don't have this package: its functions go along with the request.
        nnsight.register("caa_nnsight")

    @property
    def dtype(self) -> torch.dtype:
        """The residual stream's dtype on the server, known from its first answer."""
        if self._dtype is None:
            self._ask(None, [], (), False)
        return self._dtype

    def run(
        self, body: Body, passes: Sequence[Tokens], arguments: tuple, *, add_up: bool = False
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """See `BackEnd.run`; a request that is too large for the server is cut in halves."""
        first = 0
        while first < len(passes):
            part = passes[first : first + self._most.get(body, len(passes))]
            try:
                values = self._ask(body, part, arguments, add_up)
            except RemoteTooLargeError as error:
                if len(part) == 1:
                    raise
                self._most[body] = -(-len(part) // 2)
                logger.info("going on with requests of half the size: %s", error)
                continue
            first += len(part)
            count = len(part) if add_up else 1
            for value in values:
                yield count, value

    def keeping(self) -> AbstractContextManager[None]:
        """See `BackEnd.keeping`. A request has nothing of the one before it."""
        return nullcontext()

    def piece_size(self, total: int, least: int) -> int:
        """See `BackEnd.piece_size`."""
        return max(least, -(-total // REQUESTS_PER_STEP))

    def _ask(
        self, body: Body | None, passes: Sequence[Tokens], arguments: tuple, add_up: bool
    ) -> list[torch.Tensor]:
        key = self._lm.to_model_key()
        name = body.__name__ if body else "dtype"
        where = [self.jobs.settings.host, key, library_versions()["caa_nnsight"]]
        work = [where, name, passes, arguments, add_up]
        sender = _Sender(self.jobs, key, fingerprint(work), name)
        run_together(self._lm, self._layers, sender, body, passes, arguments, add_up)
        dtype, *values = sender.answer
        self._dtype = getattr(torch, dtype.removeprefix("torch."))
        return values


class _Sender(Backend):
    """What nnsight hands a captured session to: it goes to the server.

    Attributes:
        answer: what the session saved as `answer`.
    """

    def __init__(self, jobs: RemoteJobs, model_key: str, fingerprint: str, label: str) -> None:
        super().__init__()
        self._jobs, self._model_key = jobs, model_key
        self._fingerprint, self._label = fingerprint, label
        self.answer: list = []

    def __call__(self, tracer: Any) -> None:
        blob = RequestModel.serialize(tracer, True)
        saved = self._jobs.run(
            blob, self._model_key, fingerprint=self._fingerprint, label=self._label
        )
        self.answer = saved["answer"]


def fingerprint(work: Any) -> str:
    """SHA-256 of plain values and tensors: the same work has the same, in every process.

    Example:
        >>> fingerprint([1, {"a": torch.ones(2)}]) == fingerprint([1, {"a": torch.ones(2)}])
        True
        >>> fingerprint([1]) == fingerprint(["1"])
        False
    """
    digest = hashlib.sha256()
    _feed(digest, work)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        digest.update(f"tensor {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.contiguous().numpy().tobytes())
    elif isinstance(value, Mapping):
        digest.update(f"mapping {len(value)} ".encode())
        for key in sorted(value, key=str):
            _feed(digest, key)
            _feed(digest, value[key])
    elif isinstance(value, list | tuple):
        digest.update(f"list {len(value)} ".encode())
        for each in value:
            _feed(digest, each)
    else:
        digest.update(f"{type(value).__name__} {value!r} ".encode())
