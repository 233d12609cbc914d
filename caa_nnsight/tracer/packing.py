"""Packing: many prompts and many steerings as one row of tokens, a tree with shared prefixes.

Steering leaves every token before its start untouched, so prompts that begin alike, and one
prompt under many steerings, can share those tokens. A row holds a tree of tokens: each token
attends to its ancestors only and stands at its own depth, so every path from the root is
computed as if it were alone in the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

UNSTEERED = -1


@dataclass(frozen=True)
class Request:
    """One path through the model.

    Attributes:
        ids: token ids from the beginning of the prompt.
        steering: index of the steering applied, or `UNSTEERED`.
        start: index of the first steered token.
        key: what the caller finds the result by.
    """

    ids: tuple[int, ...]
    steering: int
    start: int
    key: tuple[int, ...]


@dataclass
class Row:
    """A tree of tokens, in an order in which parents come before their children.

    Attributes:
        ids, depths, parents, steerings: one entry per token; the root's parent is -1.
        reads: `(request, index of its last token)`.
    """

    ids: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    steerings: list[int] = field(default_factory=list)
    reads: list[tuple[Request, int]] = field(default_factory=list)
    _children: dict[tuple[int, int, int], int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, request: Request, token_budget: int) -> bool:
        """Lay the request's tokens below the longest prefix that is already there.

        Returns:
            Whether it fits into `token_budget`; an empty row takes any request, and one that the
            request itself begins with takes the rest of it.
        """
        parent, depth = self._walk(request)
        if depth < len(self) and len(self) + len(request.ids) - depth > token_budget:
            return False
        for position in range(depth, len(request.ids)):
            edge = (parent, *_label(request, position))
            parent = self._children[edge] = len(self.ids)
            self.ids.append(edge[1])
            self.steerings.append(edge[2])
            self.parents.append(edge[0])
            self.depths.append(position)
        self.reads.append((request, parent))
        return True

    def _walk(self, request: Request) -> tuple[int, int]:
        parent = -1
        for position in range(len(request.ids)):
            child = self._children.get((parent, *_label(request, position)))
            if child is None:
                return parent, position
            parent = child
        return parent, len(request.ids)


def visible_tokens(parents: Sequence[int]) -> np.ndarray:
    """Which tokens each token of a tree attends to: bool `[tokens, tokens]`.

    That is itself and its ancestors. Parents come before their children; the root's is -1.
    """
    mask = np.zeros((len(parents), len(parents)), dtype=bool)
    for index, parent in enumerate(parents):
        if parent >= 0:
            mask[index] = mask[parent]
        mask[index, index] = True
    return mask


def _label(request: Request, position: int) -> tuple[int, int]:
    # Tokens are shared only when they are steered alike.
    steered = position >= request.start
    return request.ids[position], request.steering if steered else UNSTEERED


def pack(requests: Iterable[Request], token_budget: int) -> list[Row]:
    """Fill rows of at most `token_budget` tokens; a longer single request gets its own row.

    Requests that share a prefix should follow one another, as those of one prompt do.
    """
    rows: list[Row] = []
    for request in requests:
        if not rows or not rows[-1].add(request, token_budget):
            rows.append(Row())
            rows[-1].add(request, token_budget)
    return rows


@dataclass(frozen=True)
class PaddedBatch:
    """Requests side by side, padded on the left: the plain way, without sharing.

    Attributes:
        ids, attention, positions, steerings: int arrays `[rows, tokens]`; padding has
            attention 0 and the steering `UNSTEERED`.
        requests: one per row; its last token is the last column.
    """

    ids: np.ndarray
    attention: np.ndarray
    positions: np.ndarray
    steerings: np.ndarray
    requests: tuple[Request, ...]


def pad(requests: Sequence[Request], pad_id: int) -> PaddedBatch:
    """Lay requests out as a left-padded batch, each with positions counted from its own start."""
    width = max(len(request.ids) for request in requests)
    shape = (len(requests), width)
    ids = np.full(shape, pad_id, dtype=np.int64)
    attention = np.zeros(shape, dtype=np.int64)
    positions = np.zeros(shape, dtype=np.int64)
    steerings = np.full(shape, UNSTEERED, dtype=np.int64)
    for row, request in enumerate(requests):
        length = len(request.ids)
        first = width - length
        ids[row, first:] = request.ids
        attention[row, first:] = 1
        positions[row, first:] = np.arange(length)
        steerings[row, first + request.start :] = request.steering
    return PaddedBatch(ids, attention, positions, steerings, tuple(requests))


@dataclass
class Stretch:
    """Requests of which each begins with the one before: one row answers all of them.

    Attributes:
        requests: in order of length, steered alike.
    """

    requests: list[Request]

    @property
    def longest(self) -> Request:
        """The request whose tokens are the row."""
        return self.requests[-1]

    @property
    def tail(self) -> int:
        """Number of tokens at the row's end among which all reads lie."""
        return len(self.longest.ids) - len(self.requests[0].ids) + 1

    def add(self, request: Request) -> bool:
        """Take a request that goes on where the longest ends; tell whether it does."""
        last = self.longest
        alike = request.steering == last.steering and (
            request.steering == UNSTEERED or request.start == last.start
        )
        goes_on = alike and request.ids[: len(last.ids)] == last.ids
        if goes_on:
            self.requests.append(request)
        return goes_on


def stretches(requests: Iterable[Request]) -> list[Stretch]:
    """Put neighboring requests together where one begins with the other."""
    found: list[Stretch] = []
    for request in requests:
        if not found or not found[-1].add(request):
            found.append(Stretch([request]))
    return found


def batches(rows: Sequence[Stretch], token_budget: int, max_rows: int = 64) -> list[list[Stretch]]:
    """Group rows of like length so that padded batches stay within `token_budget` tokens."""
    ordered = sorted(rows, key=lambda row: len(row.longest.ids))
    groups: list[list[Stretch]] = []
    for row in ordered:
        fits = (
            groups
            and len(groups[-1]) < max_rows
            and (len(groups[-1]) + 1) * len(row.longest.ids) <= token_budget
        )
        if fits:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups
