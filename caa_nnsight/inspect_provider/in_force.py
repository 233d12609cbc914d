"""The steering in force: what the arguments ask for, read anew where its file was replaced."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from caa_nnsight.errors import SteeringError
from caa_nnsight.inspect_provider.arguments import Arguments
from caa_nnsight.steering import NO_STEERING, Steering

if TYPE_CHECKING:
    from caa_nnsight.models import Model

logger = logging.getLogger(__name__)


class SteeringInForce:
    """The steering of one provider.

    Inspect keeps a provider for as long as its arguments stay the same, and these name a file.

    Args:
        arguments: which vectors, and how.
        model: what they steer.

    Attributes:
        steering: as the file has it now; see `refresh`.
        digest: 16 hexadecimal digits over all that answers depend on besides what is asked: the
            model and the steering.

    Raises:
        SteeringError: if a file has several layers and none is chosen.
        VectorError: if the vectors can't be read, or don't fit.
        HubError: of `hf:OWNER/NAME`, if it can't be read.
    """

    def __init__(self, arguments: Arguments, model: Model) -> None:
        if arguments.vectors is not None and os.path.isfile(arguments.vectors):
            # Inspect goes to the task's folder while it runs one.
            arguments = replace(arguments, vectors=os.path.abspath(arguments.vectors))
        self._arguments = arguments
        self._facts = _facts(model)
        self._read(model)

    def refresh(self, model: Model) -> None:
        """Read the vectors again if their file isn't the one that was read.

        Raises:
            CAAError: as when they are first read.
        """
        stamp = _stamp(self._arguments.vectors)
        # Vectors of a file that is gone are still those that were asked for.
        if stamp is None or stamp == self._stamp:
            return
        logger.warning(
            "%s was replaced: its new vectors steer from here on.", self._arguments.vectors
        )
        self._read(model)

    def _read(self, model: Model) -> None:
        from caa_nnsight.tracer.back_ends import fingerprint

        # Before the file is read: what is written meanwhile is seen the next time.
        stamp = _stamp(self._arguments.vectors)
        self.steering = steering_of(self._arguments, model)
        edits = [
            [edit.layer, edit.multiplier, edit.operator, edit.vector.float().cpu()]
            for edit in self.steering.edits
        ]
        self.digest = fingerprint([self._facts, edits, self.steering.start])[:16]
        self._stamp = stamp


def steering_of(arguments: Arguments, model: Model) -> Steering:
    """What the arguments ask for; see `SteeringInForce` for what is raised."""
    if arguments.vectors is None:
        return NO_STEERING
    from caa_nnsight.vectors import SteeringVectors

    vectors = SteeringVectors.load(arguments.vectors, model=model)
    if arguments.layers is None and len(vectors) > 1:
        raise SteeringError(
            f"{arguments.vectors} holds vectors of {len(vectors)} layers, and to steer all at once "
            "is seldom meant: say which, as in -M layers=14."
        )
    # Made at 0 too, so that a wrong layer is found there.
    steering = vectors.steering(
        arguments.multiplier, layers=arguments.layers, start=arguments.start
    )
    # As in caa_nnsight.generate, 0 is the plain model.
    return steering if arguments.multiplier else NO_STEERING


def _facts(model: Model) -> list:
    from caa_nnsight.models.files import files_of

    # A server's dtype would cost a request.
    numbers = [] if model.remote else [str(model.dtype), str(model.device)]
    return [model.source, model.revision, model.digest, *numbers, *files_of(model)]


def _stamp(path: str | None) -> tuple[int, int] | None:
    """Time and size of a file; None where there is none, as for vectors on the Hub."""
    try:
        stat = os.stat(path or "")
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size
