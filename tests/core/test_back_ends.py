"""Where passes run: requests are cut where they must be, found again, and need nothing of ours."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import zstandard
from nnsight.modeling import huggingface
from nnsight.modeling.transformers import TransformersModel

from caa_nnsight.errors import (
    RemoteError,
    RemoteInterventionError,
    RemoteMemoryError,
    RemoteTooLargeError,
)
from caa_nnsight.models import Model
from caa_nnsight.models.model import RemoteModel
from caa_nnsight.remote import RemoteJobs, RemoteSettings
from caa_nnsight.tracer import back_ends
from caa_nnsight.tracer.back_ends import LocalBackEnd, RemoteBackEnd, fingerprint
from caa_nnsight.tracer.way_check import WayCheck
from caa_nnsight.tracer.ways import WAYS
from tests.models.folders import tiny_folder
from tests.parity.cases import CHOICE_PROMPTS, SEQUENCES, STEERINGS, TEXT_PROMPTS

HOST, KEY = "http://127.0.0.1:9", "c0ffee11-2222-4333-8444-555566667777"
# Of the work in the test that names it.
PINNED = "221ed3f7bcdc9a86ae3c6f9ed7985f6299d3acdcb58db828201d29d138b472b8"

# -- fingerprints --------------------------------------------------------------------------


def work(**changes):
    """A made-up piece of work; every call builds it anew."""
    return {
        "host": HOST,
        "ids": torch.tensor([[1, 2, 3]]),
        "table": {2: [("add", torch.tensor([0.5, 1.0]))]},
        "settings": {"do_sample": False, "eos_token_id": [1], "max_new_tokens": 3},
        "add_up": True,
    } | changes


def test_equal_work_has_the_same_fingerprint_in_every_process():
    assert fingerprint(work()) == fingerprint(work())
    # A job of a process that is gone is found by it, so it may depend on nothing of a process.
    assert fingerprint(["a", 1, torch.arange(3), {"b": None, "a": 0.5}]) == PINNED


def test_the_order_of_entries_and_the_layout_in_memory_do_not_matter():
    mixed = dict(reversed(work().items()))
    assert fingerprint(mixed) == fingerprint(work())
    rows = torch.arange(6).reshape(2, 3)
    assert fingerprint(rows.T.contiguous()) == fingerprint(rows.T)


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "http://127.0.0.1:8"},
        {"ids": torch.tensor([[1, 2, 4]])},
        {"ids": torch.tensor([1, 2, 3])},
        {"ids": torch.tensor([[1, 2, 3]], dtype=torch.int32)},
        {"ids": [[1, 2, 3]]},
        {"table": {3: [("add", torch.tensor([0.5, 1.0]))]}},
        {"table": {2: [("ablate", torch.tensor([0.5, 1.0]))]}},
        {"table": {2: [("add", torch.tensor([0.5, 1.0 + 2**-23]))]}},
        {"settings": {"do_sample": False, "eos_token_id": 1, "max_new_tokens": 3}},
        {"add_up": 1},
        {"more": None},
    ],
    ids=str,
)
def test_any_difference_makes_another_fingerprint(changes):
    assert fingerprint(work(**changes)) != fingerprint(work())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["ab", "c"], ["a", "bc"]),
        ([[1], 2], [[1, 2]]),
        ([1, [2]], [1, 2]),
        ([""], []),
        (["1"], [1]),
        ([1.0], [1]),
        ([None], ["None"]),
    ],
)
def test_works_that_are_written_alike_are_told_apart(one, other):
    assert fingerprint(one) != fingerprint(other)


# -- cutting requests ----------------------------------------------------------------------


class Server:
    """Takes the place of nnsight and the server: requests of at most `most` passes succeed."""

    def __init__(self, monkeypatch, most: int = 10**9) -> None:
        self.most, self.error = most, RemoteTooLargeError("too large")
        self.requests: list[list[int]] = []
        monkeypatch.setattr(back_ends, "run_together", self.answer)

    def answer(self, lm, layers, sender, body, passes, arguments, add_up) -> None:
        self.requests.append([one["number"] for one in passes])
        if len(passes) > self.most:
            raise self.error
        values = [torch.tensor(float(one["number"])) for one in passes]
        if add_up and values:
            values = [torch.stack(values).sum()]
        sender.answer = ["torch.bfloat16", *values]


@pytest.fixture
def back_end():
    lm = SimpleNamespace(to_model_key=lambda: "model")
    return RemoteBackEnd(lm, None, SimpleNamespace(settings=RemoteSettings(HOST)))


def body():
    """Never called: it has a name."""


def passes(count: int) -> list[dict]:
    return [{"number": number} for number in range(count)]


@pytest.mark.parametrize("count", [1, 2, 7, 8])
@pytest.mark.parametrize("most", [1, 2, 3, 8])
def test_values_come_one_a_pass_in_order_however_a_request_is_cut(
    monkeypatch, back_end, count, most
):
    server = Server(monkeypatch, most)
    found = list(back_end.run(body, passes(count), ()))
    assert found == [(1, torch.tensor(float(number))) for number in range(count)]
    done = [number for one in server.requests if len(one) <= most for number in one]
    assert done == list(range(count))


def test_a_request_that_is_too_large_is_cut_in_halves_until_it_fits(monkeypatch, back_end):
    server = Server(monkeypatch, 2)
    list(back_end.run(body, passes(6), ()))
    assert server.requests == [[*range(6)], [0, 1, 2], [0, 1], [2, 3], [4, 5]]


def test_the_size_that_fits_is_remembered_for_the_same_kind_of_work(monkeypatch, back_end):
    server = Server(monkeypatch, 2)
    list(back_end.run(body, passes(4), ()))
    server.requests.clear()
    list(back_end.run(body, passes(4), ()))
    list(back_end.run(passes, passes(3), ()))
    assert server.requests == [[0, 1], [2, 3], [0, 1, 2], [0, 1], [2]]


def test_what_fits_is_one_request(monkeypatch, back_end):
    server = Server(monkeypatch)
    list(back_end.run(body, passes(50), ()))
    assert len(server.requests) == 1


@pytest.mark.parametrize("most", [2, 100])
def test_sums_say_how_many_passes_they_are_of(monkeypatch, back_end, most):
    Server(monkeypatch, most)
    found = list(back_end.run(body, passes(7), (), add_up=True))
    assert sum(count for count, _ in found) == 7
    assert sum(float(value) for _, value in found) == sum(range(7))
    assert len(found) == (1 if most == 100 else 4)


def test_a_single_pass_that_is_too_large_is_the_server_s_own_error(monkeypatch, back_end):
    server = Server(monkeypatch, 0)
    with pytest.raises(RemoteTooLargeError, match="too large"):
        list(back_end.run(body, passes(4), ()))
    assert server.requests == [[0, 1, 2, 3], [0, 1], [0]]


@pytest.mark.parametrize("error", [RemoteError("no"), RemoteMemoryError("no room")])
def test_other_errors_are_not_answered_by_cutting(monkeypatch, back_end, error):
    server = Server(monkeypatch, 0)
    server.error = error
    with pytest.raises(type(error)):
        list(back_end.run(body, passes(4), ()))
    assert len(server.requests) == 1


def test_values_are_given_before_what_comes_after_them_is_asked_for(monkeypatch, back_end):
    """So that a caller has the first half, whatever becomes of the second."""
    server = Server(monkeypatch, 2)
    run = back_end.run(body, passes(4), ())
    next(run)
    assert server.requests == [[0, 1, 2, 3], [0, 1]]


def test_any_answer_tells_the_dtype_and_only_without_one_it_is_asked_for(monkeypatch, back_end):
    server = Server(monkeypatch)
    list(back_end.run(body, passes(1), ()))
    assert back_end.dtype == torch.bfloat16
    assert len(server.requests) == 1
    fresh = RemoteBackEnd(back_end._lm, None, back_end.jobs)
    assert (fresh.dtype, fresh.dtype) == (torch.bfloat16, torch.bfloat16)
    assert server.requests[1:] == [[]]


@pytest.mark.parametrize("least", [1, 5, 16])
@pytest.mark.parametrize("total", [1, 4, 5, 63, 64, 65, 1000, 100_001])
def test_a_step_is_four_pieces_at_most_and_no_smaller_than_here(back_end, total, least):
    size = back_end.piece_size(total, least)
    assert size >= least
    assert -(-total // size) <= 4
    assert LocalBackEnd(None, None, torch.float32, None).piece_size(total, least) == least


@pytest.mark.parametrize("kind", [RemoteError, RemoteMemoryError, RemoteTooLargeError])
def test_a_server_that_can_t_be_asked_says_nothing_of_the_ways(monkeypatch, kind):
    with pytest.raises(kind):
        way_where_checks_raise(kind("no", "a traceback"), monkeypatch)


def test_memory_that_runs_out_says_nothing_of_the_ways(monkeypatch):
    with pytest.raises(MemoryError):
        way_where_checks_raise(MemoryError(), monkeypatch)


@pytest.mark.parametrize("error", [RemoteInterventionError("no", "a traceback"), TypeError("mask")])
def test_a_pass_that_fails_is_a_reason_for_the_plain_path(monkeypatch, error):
    assert way_where_checks_raise(error, monkeypatch) == "plain"


def way_where_checks_raise(error, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(WayCheck, "_difference", fail)
    return WayCheck(None, None, num_layers=2).first_right(WAYS, far=False)


# -- what is sent --------------------------------------------------------------------------


class Jobs(RemoteJobs):
    """Notes every request in place of sending it, and answers what is known by its fingerprint."""

    def __init__(self) -> None:
        super().__init__(RemoteSettings(HOST, KEY))
        self.sent: list[SimpleNamespace] = []
        self.answers: dict[str, dict] = {}

    def run(self, blob, model_key, *, fingerprint, label="", env=None):
        self.sent.append(
            SimpleNamespace(blob=blob, key=model_key, fingerprint=fingerprint, label=label)
        )
        if fingerprint not in self.answers:
            raise NotSentError
        return self.answers[fingerprint]


class NotSentError(RemoteError):
    def __init__(self) -> None:
        super().__init__("nothing is sent in this test")


STEERED = [STEERINGS[name] for name in ("none", "two layers", "add, then ablate", "from token -2")]
POSITIONS = [[-1]] * len(SEQUENCES)

CALLS = {
    "capture": lambda tracer: tracer.capture(SEQUENCES, [0, 2], POSITIONS),
    "sum_captures": lambda tracer: tracer.sum_captures(
        SEQUENCES, [3, 1], POSITIONS, [0.5, -1.0, 2.0, -0.25][: len(SEQUENCES)]
    ),
    "logits": lambda tracer: torch.cat(tracer.logits(SEQUENCES, STEERED[1])),
    "packed": lambda tracer: torch.from_numpy(
        tracer.score_choices(CHOICE_PROMPTS, STEERED, method="packed").logprob
    ),
    "plain": lambda tracer: torch.from_numpy(
        tracer.score_choices(CHOICE_PROMPTS, STEERED, method="plain").logprob
    ),
    "generate_ids": lambda tracer: tracer.generate_ids(
        TEXT_PROMPTS, STEERED, max_new_tokens=4, batch_size=3
    ),
    "sampled": lambda tracer: tracer.generate_ids(
        TEXT_PROMPTS, STEERED, max_new_tokens=4, batch_size=3, temperature=1.0, seed=5
    ),
    "plain model": lambda tracer: tracer.generate_ids(TEXT_PROMPTS[:1], max_new_tokens=3),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    tiny_folder(path)
    return path


@pytest.fixture(scope="module")
def here(folder):
    from caa_nnsight import load

    return load(folder, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def there(folder, here):
    """The same model as if it were on a server; its jobs go nowhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(huggingface._ID_CACHE, str(folder), "org/tiny")
        lm = TransformersModel(str(folder), task="text-generation", tokenizer=here.tokenizer)
        remote = RemoteModel(lm, Jobs(), HOST)
        model = Model(lm._module, here.tokenizer, name="org/tiny", source="ndif", remote=remote)
        # Known without a server here; that it is found out there is tested on a real one.
        vars(model.tracer).update(way="grown", prefix_reach=float("inf"))
        yield model


@pytest.fixture(scope="module")
def blobs(there):
    """What each call sends."""
    jobs = there.remote.jobs
    sent = {}
    for name, call in CALLS.items():
        with pytest.raises(NotSentError):
            call(there.tracer)
        sent[name] = jobs.sent[-1]
    assert len(jobs.sent) == len(CALLS)
    return sent


@pytest.fixture(scope="module")
def answers(blobs, folder, tmp_path_factory):
    """What a process without this package makes of them."""
    place = tmp_path_factory.mktemp("blobs")
    for number, sent in enumerate(blobs.values()):
        (place / str(number)).write_bytes(sent.blob)
    done = subprocess.run(
        [sys.executable, "-P", Path(__file__).with_name("on_another_machine.py"), folder]
        + [place / str(number) for number in range(len(blobs))],
        cwd=place,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return {
        sent.fingerprint: torch.load(place / f"{number}.saved", weights_only=True)
        for number, sent in enumerate(blobs.values())
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_what_is_sent_runs_without_this_package_and_gives_what_it_gives_here(
    name, there, here, answers, monkeypatch
):
    monkeypatch.setattr(there.remote.jobs, "answers", answers)
    found, expected = (CALLS[name](model.tracer) for model in (there, here))
    if isinstance(expected, list):
        assert found == expected
    else:
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_the_answer_tells_the_dtype_that_masks_must_have(there, answers):
    assert {saved["answer"][0] for saved in answers.values()} == {"torch.float32"}


@pytest.mark.slow
def test_only_the_sum_of_a_sum_and_only_scores_of_scores_come_back(there, blobs, answers):
    saved = answers[blobs["sum_captures"].fingerprint]
    assert set(saved) == {"answer"}
    (total,) = saved["answer"][1:]
    assert (total.dtype, tuple(total.shape)) == (torch.float64, (2, there.hidden_size))
    scores = answers[blobs["packed"].fingerprint]["answer"][1:]
    assert sum(len(each) for each in scores) == len(CHOICE_PROMPTS) * len(STEERED)
    assert {each.shape[1] for each in scores} == {2}


def test_the_same_call_sends_the_same_work_again_and_another_call_other_work(there, blobs):
    for name, call in CALLS.items():
        with pytest.raises(NotSentError):
            call(there.tracer)
        assert there.remote.jobs.sent[-1].fingerprint == blobs[name].fingerprint
    assert len({sent.fingerprint for sent in blobs.values()}) == len(CALLS)


def test_requests_name_the_model_as_nnsight_does_and_the_body_they_run(blobs):
    assert {'"org/tiny"' in sent.key for sent in blobs.values()} == {True}
    assert blobs["capture"].label == "read_blocks"
    assert blobs["plain"].label == "read_choices"


def test_neither_the_key_nor_the_server_s_address_is_in_what_is_sent(blobs):
    for sent in blobs.values():
        content = zstandard.ZstdDecompressor().decompress(sent.blob)
        assert b"trace" in content
        assert KEY.encode() not in content
        assert HOST.encode() not in content
        assert KEY not in sent.key + sent.fingerprint + sent.label


def test_nothing_but_source_and_plain_values_is_sent(blobs, folder):
    """Neither weights nor a path's worth of anybody's files."""
    weights = sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))
    for sent in blobs.values():
        assert len(sent.blob) < min(100_000, weights / 2)
