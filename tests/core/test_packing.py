"""Packing, on seeded random requests: each path must be computed as if it were alone."""

import numpy as np
import pytest

from caa_nnsight.tracer.packing import (
    UNSTEERED,
    Request,
    batches,
    pack,
    pad,
    stretches,
    visible_tokens,
)

SEEDS = range(40)


def random_requests(seed: int, count: int = 30) -> list[Request]:
    """Paths over a tiny alphabet, so that many share a prefix; some are steered, some not."""
    rng = np.random.default_rng(seed)
    requests = []
    while len(requests) < count:
        prompt = rng.integers(0, 3, rng.integers(1, 9)).tolist()
        start = int(rng.integers(0, len(prompt)))
        for steering in rng.choice([UNSTEERED, 0, 1, 2], rng.integers(1, 5), replace=False):
            steered = steering != UNSTEERED
            begin = start if steered else len(prompt)
            requests.append(Request(tuple(prompt), int(steering), begin, (len(requests),)))
    return requests


def labels(request: Request) -> list[tuple[int, int]]:
    """What each token of a request is: its id, and by which steering it is edited."""
    return [
        (token, request.steering if position >= request.start else UNSTEERED)
        for position, token in enumerate(request.ids)
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_each_path_sees_exactly_its_own_tokens_in_order(seed):
    for row in pack(random_requests(seed), token_budget=60):
        visible = visible_tokens(row.parents)
        for request, last in row.reads:
            seen = np.flatnonzero(visible[last])
            assert [(row.ids[i], row.steerings[i]) for i in seen] == labels(request)
            # What each of the path's tokens sees is the path up to itself, and nothing else.
            for position, token in enumerate(seen):
                assert np.flatnonzero(visible[token]).tolist() == seen[: position + 1].tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_depths_are_the_positions_that_tokens_have_alone(seed):
    for row in pack(random_requests(seed), token_budget=60):
        visible = visible_tokens(row.parents)
        for _, last in row.reads:
            seen = np.flatnonzero(visible[last])
            assert [row.depths[i] for i in seen] == list(range(len(seen)))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_row_holds_each_shared_prefix_once(seed):
    """Tokens are shared exactly where both the ids and the steering so far are the same."""
    for row in pack(random_requests(seed), token_budget=60):
        prefixes = {
            tuple(labels(request)[: length + 1])
            for request, _ in row.reads
            for length in range(len(request.ids))
        }
        assert len(row) == len(prefixes)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_request_is_read_once_and_in_order(seed):
    requests = random_requests(seed)
    read = [request for row in pack(requests, token_budget=25) for request, _ in row.reads]
    assert read == requests


@pytest.mark.parametrize("budget", [1, 8, 25, 60, 10**9])
@pytest.mark.parametrize("seed", range(10))
def test_rows_keep_to_the_budget_unless_one_request_alone_exceeds_it(seed, budget):
    for row in pack(random_requests(seed), token_budget=budget):
        longest = max(len(request.ids) for request, _ in row.reads)
        assert len(row) <= max(budget, longest)


@pytest.mark.parametrize("steering", [UNSTEERED, 0])
def test_a_long_answer_read_token_by_token_is_not_computed_once_per_token(steering):
    ids = tuple(range(90))
    requests = [Request(ids[:end], steering, 49, (0,)) for end in range(50, 91)]
    rows = pack(requests, token_budget=60)
    assert sum(len(row) for row in rows) <= 2 * len(ids)


def test_tokens_before_the_start_of_steering_are_shared_and_later_ones_are_not():
    prompt = (5, 6, 7, 8)
    requests = [Request(prompt, UNSTEERED, 4, (0,))] + [
        Request(prompt, steering, 2, (steering + 1,)) for steering in range(3)
    ]
    (row,) = pack(requests, token_budget=100)
    assert row.ids == [5, 6, 7, 8, 7, 8, 7, 8, 7, 8]
    assert row.steerings == [UNSTEERED] * 4 + [0, 0, 1, 1, 2, 2]
    assert row.depths == [0, 1, 2, 3, 2, 3, 2, 3, 2, 3]
    assert row.parents == [-1, 0, 1, 2, 1, 4, 1, 6, 1, 8]
    assert [last for _, last in row.reads] == [3, 5, 7, 9]


def test_steering_from_the_first_token_shares_nothing_with_the_plain_path():
    (row,) = pack([Request((5, 6), UNSTEERED, 2, (0,)), Request((5, 6), 0, 0, (1,))], 100)
    assert row.parents == [-1, 0, -1, 2]
    assert visible_tokens(row.parents).astype(int).tolist() == [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 1, 1],
    ]


def test_the_same_path_asked_for_twice_is_computed_once_and_read_twice():
    (row,) = pack([Request((5, 6), 0, 1, (0,)), Request((5, 6), 0, 1, (1,))], 100)
    assert len(row) == 2
    assert [last for _, last in row.reads] == [1, 1]


def test_a_path_that_ends_inside_another_is_read_there():
    (row,) = pack([Request((5, 6, 7), UNSTEERED, 3, (0,)), Request((5, 6), UNSTEERED, 2, (1,))], 9)
    assert len(row) == 3
    assert [last for _, last in row.reads] == [2, 1]


def test_a_padded_batch_is_left_padded_with_positions_from_each_row_s_own_start():
    requests = [Request((5, 6, 7), 1, 2, (0,)), Request((8,), UNSTEERED, 1, (1,))]
    batch = pad(requests, pad_id=9)
    assert batch.ids.tolist() == [[5, 6, 7], [9, 9, 8]]
    assert batch.attention.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert batch.positions.tolist() == [[0, 1, 2], [0, 0, 0]]
    assert batch.steerings.tolist() == [[-1, -1, 1], [-1, -1, -1]]
    assert batch.requests == tuple(requests)


@pytest.mark.parametrize("seed", range(10))
def test_padding_is_never_steered_nor_attended_to(seed):
    requests = random_requests(seed)
    batch = pad(requests, pad_id=0)
    for row, request in enumerate(requests):
        padding = batch.ids.shape[1] - len(request.ids)
        assert batch.attention[row].tolist() == [0] * padding + [1] * len(request.ids)
        assert (batch.steerings[row, :padding] == UNSTEERED).all()
        found = zip(batch.ids[row, padding:], batch.steerings[row, padding:], strict=True)
        assert list(found) == labels(request)


@pytest.mark.parametrize("max_rows", [1, 4, 64])
@pytest.mark.parametrize("budget", [5, 20, 200])
@pytest.mark.parametrize("seed", range(5))
def test_batches_hold_every_request_once_within_both_bounds(seed, budget, max_rows):
    requests = random_requests(seed)
    groups = batches(stretches(requests), token_budget=budget, max_rows=max_rows)
    keys = [request.key for group in groups for row in group for request in row.requests]
    assert sorted(keys) == [request.key for request in requests]
    for group in groups:
        assert len(group) <= max_rows
        longest = max(len(row.longest.ids) for row in group)
        assert len(group) == 1 or len(group) * longest <= budget
