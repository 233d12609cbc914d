"""Jobs come to their end whatever happens on the way, or say in a sentence why not."""

import dataclasses
import logging
import re

import pytest
import torch

from caa_nnsight.errors import (
    RemoteError,
    RemoteInterventionError,
    RemoteMemoryError,
    RemoteTooLargeError,
)
from caa_nnsight.remote import Ledger, RemoteJobs, RemoteSettings, client
from caa_nnsight.remote.failures import exception_line, explain
from caa_nnsight.remote.keys import ApiKey
from caa_nnsight.remote.results import decode
from tests.remote.fake_ndif import DONE, SIGNATURE, Answer, Drop, Hang, damaged, encoded
from tests.remote.test_client import everything_said_by

TRACEBACK = """Traceback (most recent call last):
  File "/home/me/caa.py", line 3, in body
    x = output[12]
IndexError: index 12 is out of range
and a second line of the message
"""
EVICTED = "Replica was evicted while processing your request. Please try again later."


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "jobs.jsonl")


@pytest.fixture
def events():
    return []


@pytest.fixture
def jobs(ndif, key, ledger, clock, events):
    settings = RemoteSettings(ndif.host, ApiKey(key), timeout=3600, patience=300)
    return RemoteJobs(
        settings, ledger=ledger, report=events.append, clock=clock, sleep=clock.sleep, seed=0
    )


def run(jobs, fingerprint="work"):
    return jobs.run(b"work", "model", fingerprint=fingerprint, label="chunk 1 of 2")


def kinds(events):
    return [event.kind for event in events]


def happened(ledger):
    return [(record["job"], record["event"]) for record in ledger.records()]


# -- undisturbed -------------------------------------------------------------------------


def test_a_job_is_sent_waited_for_and_its_values_fetched(ndif, jobs, ledger, events):
    ndif.plans = [[[], ("QUEUED", "Added to Queue at position 2."), "RUNNING", DONE]]
    values = run(jobs)
    assert torch.equal(values["mean"], ndif.result["mean"])
    assert ndif.blobs == [b"work"]
    assert happened(ledger) == [("job0", "submitted"), ("job0", "finished")]
    assert kinds(events) == ["submitted", "status", "status", "done"]
    assert [event.position for event in events] == [None, 2, None, None]
    assert events[1].message == "The job waits in the server's queue, at position 2."
    assert {(event.label, event.job) for event in events} == {("chunk 1 of 2", "job0")}


def test_a_status_is_told_once_and_a_new_place_in_the_queue_again(ndif, jobs, events):
    places = [("QUEUED", f"Moved to position {place} in Queue.") for place in (3, 3, 2, 2, 1)]
    ndif.plans = [[*places, DONE]]
    run(jobs)
    assert [event.position for event in events if event.kind == "status"] == [3, 2, 1]


def test_it_asks_often_at_first_and_then_every_two_seconds(ndif, jobs, clock):
    ndif.plans = [["RUNNING"] * 20 + [DONE]]
    run(jobs)
    assert clock.slept[0] == 0.1
    assert clock.slept == sorted(clock.slept)
    assert clock.slept[-1] == 2


def test_traffic_adds_up_over_jobs(ndif, jobs):
    run(jobs, "one")
    run(jobs, "two")
    traffic = jobs.traffic
    assert (traffic.requests, traffic.resubmissions) == (2, 0)
    assert traffic.http_calls == len(ndif.seen)
    assert traffic.bytes_down > 2 * len(ndif.content)
    assert traffic.seconds > 0


def test_neither_a_ledger_nor_a_report_is_needed(ndif, clock):
    jobs = RemoteJobs(RemoteSettings(ndif.host), clock=clock, sleep=clock.sleep)
    assert set(run(jobs)) == {"mean"}


# -- the server doesn't answer -----------------------------------------------------------


@pytest.mark.parametrize("path", ["/request", "/response", "/store"])
@pytest.mark.parametrize(
    "fault",
    [Drop(), Drop(sent=3), Answer(429), Answer(500), Answer(502), Answer(503), Answer(504)],
    ids=str,
)
def test_every_request_is_tried_again_until_it_succeeds(ndif, jobs, events, path, fault):
    ndif.faults[path] = [fault] * 3
    assert torch.equal(run(jobs)["mean"], ndif.result["mean"])
    retries = [event for event in events if event.kind == "retry"]
    assert len(retries) == 3
    assert all("Trying again in" in event.message for event in retries)


def test_the_time_between_tries_grows_and_what_the_server_asks_for_is_honored(ndif, jobs, clock):
    ndif.faults["/request"] = [Answer(500)] * 4 + [Answer(429, headers={"retry-after": "77"})]
    run(jobs)
    delays = clock.slept[:5]
    assert delays[:4] == sorted(delays[:4])
    assert 0.3 < delays[0] < 0.7
    assert delays[4] == 77


def test_the_same_seed_waits_for_the_same_times(ndif, clock):
    waits = []
    for seed in (1, 1, 2):
        ndif.faults["/request"] = [Answer(500)] * 4
        clock.slept.clear()
        settings = RemoteSettings(ndif.host)
        run(RemoteJobs(settings, clock=clock, sleep=clock.sleep, seed=seed))
        waits.append(clock.slept[:4])
    assert waits[0] == waits[1] != waits[2]


def test_patience_ends_with_the_reason_and_the_number_of_tries(ndif, jobs, clock, ledger):
    ndif.faults["/request"] = [Answer(503, "Reconnecting.")] * 1000
    with pytest.raises(RemoteError, match=r"HTTP 503\): Reconnecting\. It was tried \d+ times"):
        run(jobs)
    assert 200 < clock.now - 1000 <= 300
    assert happened(ledger) == []


def test_after_an_outage_while_waiting_the_same_command_picks_the_job_up(ndif, jobs, ledger):
    ndif.plans = [["RUNNING", DONE]]
    ndif.faults["/response"] = [Drop()] * 1000
    with pytest.raises(RemoteError, match=r"The same command picks job job0 up again\.$"):
        run(jobs)
    ndif.faults.clear()
    run(jobs)
    assert ndif.jobs == ["job0"]


def test_patience_starts_anew_with_every_request_that_succeeded(ndif, jobs, clock):
    outage = [Answer(503)] * 8
    ndif.plans = [["RUNNING"] * 4 + [DONE]]
    for _ in range(4):
        ndif.faults["/response"] += [*outage, None]
    run(jobs)
    assert clock.now - 1000 > 300


def test_a_server_that_asks_for_more_time_than_there_is_patience_is_not_waited_for(
    ndif, jobs, clock
):
    ndif.faults["/request"] = [Answer(429, headers={"retry-after": "3600"})]
    with pytest.raises(RemoteError, match=r"asks to come back in 3600 s"):
        run(jobs)
    assert clock.slept == []


def test_without_patience_nothing_is_tried_again(ndif, clock):
    ndif.faults["/request"] = [Answer(503)]
    jobs = RemoteJobs(RemoteSettings(ndif.host, patience=0), clock=clock, sleep=clock.sleep)
    with pytest.raises(RemoteError, match="It was tried once"):
        run(jobs)


def test_a_failed_secure_connection_is_not_tried_again(ndif, clock):
    settings = RemoteSettings(ndif.host.replace("http:", "https:"))
    with pytest.raises(RemoteError, match="certificate"):
        run(RemoteJobs(settings, clock=clock, sleep=clock.sleep))
    assert clock.slept == []


# -- the server refuses ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (Answer(413), RemoteTooLargeError, "larger than the server"),
        (
            Answer(400, "There was an error parsing the body"),
            RemoteTooLargeError,
            "larger than the server",
        ),
        (Answer(401, "Missing API key."), RemoteError, "asks for an API key: set NDIF_API_KEY"),
        (Answer(403, "Invalid API key."), RemoteError, "doesn't know the API key"),
        (Answer(400, "Invalid API key format: 'x'."), RemoteError, "doesn't have the form"),
        (
            Answer(400, "Client nnsight version 0.1 is below the minimum supported 0.9."),
            RemoteError,
            r"refuses the versions here: Client nnsight version 0\.1 is below.*caa remote check",
        ),
        (Answer(404), RemoteError, "Check that the host is that of an NDIF"),
        (Answer(418, "I'm a teapot"), RemoteError, r"HTTP 418\): I'm a teapot"),
    ],
    ids=lambda value: str(value.status) if isinstance(value, Answer) else "",
)
def test_a_refusal_is_explained_and_not_repeated(ndif, jobs, answer, kind, sentence):
    ndif.faults["/request"] = [answer] * 2
    with pytest.raises(kind, match=sentence):
        run(jobs)
    assert ndif.count("/request") == 1


# -- the server fails the job ------------------------------------------------------------


@pytest.mark.parametrize(
    ("description", "kind", "sentence"),
    [
        (
            TRACEBACK,
            RemoteInterventionError,
            r"failed on the server: IndexError: index 12 is out of range$",
        ),
        (
            TRACEBACK.replace("IndexError: index", "torch.OutOfMemoryError: CUDA out of memory."),
            RemoteMemoryError,
            "ran out of memory",
        ),
        (
            TRACEBACK.replace(
                "IndexError: index", "RuntimeError: DefaultCPUAllocator: can't allocate memory:"
            ),
            RemoteMemoryError,
            "ran out of memory",
        ),
        ("CUDA out of memory.", RemoteMemoryError, "ran out of memory"),
        ("Your job exceeded the execution timeout of 20.0s.", RemoteTooLargeError, "limit of 20 s"),
        (
            "Could not deploy this model. CANT_ACCOMMODATE: placed 0 of 1",
            RemoteError,
            r"can't load the model: CANT_ACCOMMODATE: placed 0 of 1\. Check its name",
        ),
        (
            "Could not deploy this model. a/b is not a valid model identifier.\nUse a token\n"
            + TRACEBACK,
            RemoteError,
            r"can't load the model: a/b is not a valid model identifier\. Check its name",
        ),
        (
            f"Could not deploy this model. {TRACEBACK}",
            RemoteError,
            r"can't load the model: IndexError: index 12 is out of range\. Check its name",
        ),
        ("Could not deploy this model. ", RemoteError, r"model: it doesn't say why\. Check"),
        (
            "Your request payload could not be read (EOFError: x). It may be truncated.",
            RemoteError,
            r"can't read the request \(EOFError: x\): align.*caa remote check",
        ),
        (
            "The model architecture on this server doesn't match the one your code was traced "
            "against: it has no module at 'model.x'.\n\nThis usually means",
            RemoteError,
            r"no module at 'model\.x'\. Align the version of transformers",
        ),
        ("Request cancelled by operator.", RemoteError, "runs the server canceled the job"),
        ("Something new.", RemoteError, r"failed the job: Something new\.$"),
        ("", RemoteError, "gives no reason"),
    ],
)
def test_each_failure_has_its_own_sentence_and_is_not_repeated(
    ndif, jobs, ledger, description, kind, sentence
):
    ndif.plans = [["RUNNING", ("ERROR", description)]]
    with pytest.raises(RemoteError, match=sentence) as caught:
        run(jobs)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    assert caught.value.details == description
    assert happened(ledger) == [("job0", "submitted"), ("job0", "failed")]


def test_the_whole_traceback_is_only_in_the_details_and_at_debug_level(ndif, jobs, caplog):
    caplog.set_level(logging.DEBUG, logger="caa_nnsight")
    ndif.plans = [[("ERROR", TRACEBACK)]]
    with pytest.raises(RemoteError) as caught:
        run(jobs)
    assert caught.value.details == TRACEBACK
    (record,) = [record for record in caplog.records if "x = output[12]" in record.getMessage()]
    assert record.levelno == logging.DEBUG


def test_the_last_exception_of_a_chain_is_the_cause_whatever_source_lines_say():
    text = (
        TRACEBACK
        + "\nDuring handling, another exception occurred:\n\n"
        + TRACEBACK.replace("x = output[12]", "raise OutOfMemoryError").replace(
            "IndexError", "ValueError"
        )
    )
    assert exception_line(text).startswith("ValueError: index 12")
    assert type(explain(text).error) is RemoteInterventionError


@pytest.mark.parametrize(
    "description",
    [
        EVICTED,
        "Your job was cancelled or preempted by the server.",
        "Error submitting request to model deployment. Please try again later.",
        "Critical server error occurred. Please try again later.",
        "Error starting model. Please try again later.",
    ],
)
def test_a_job_that_the_server_dropped_is_sent_again(ndif, jobs, ledger, events, description):
    ndif.plans = [["RUNNING", ("ERROR", description)]] * 2
    assert torch.equal(run(jobs)["mean"], ndif.result["mean"])
    assert ndif.blobs == [b"work"] * 3
    assert (jobs.traffic.requests, jobs.traffic.resubmissions) == (3, 2)
    assert kinds(events).count("resubmitted") == 2
    assert happened(ledger)[1] == ("job0", "failed")
    assert happened(ledger)[-1] == ("job2", "finished")


def test_a_job_that_is_dropped_again_and_again_is_given_up(ndif, jobs, clock):
    ndif.plans = [[("ERROR", EVICTED)]] * 10
    with pytest.raises(RemoteError, match=r"again and again \(the model was taken off"):
        run(jobs)
    assert len(ndif.jobs) == 4
    assert clock.slept == [1, 5, 20]


# -- the server forgets the job ----------------------------------------------------------


@pytest.mark.parametrize("fault", [Drop(), Answer(503), Answer(500)], ids=str)
def test_a_status_that_stands_still_after_an_outage_means_the_job_is_lost(
    ndif, jobs, ledger, clock, fault
):
    ndif.plans = [["QUEUED"]]
    ndif.faults["/response"] = [None, fault, fault]
    run(jobs)
    assert happened(ledger)[1] == ("job0", "abandoned")
    assert happened(ledger)[-1] == ("job1", "finished")
    assert 30 <= clock.now - 1000 < 60


def test_a_server_that_asks_for_fewer_questions_has_not_forgotten_the_job(ndif, jobs):
    ndif.plans = [["RUNNING"] * 60 + [DONE]]
    ndif.faults["/response"] = [None, Answer(429), Answer(429)]
    ndif.faults["/connected"] = [Answer(429)] * 3
    run(jobs)
    assert ndif.jobs == ["job0"]


def test_after_a_failure_of_the_network_a_job_is_given_as_long_as_patience(
    ndif, jobs, clock, monkeypatch
):
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.05)
    ndif.plans = [["RUNNING"] * 60 + [DONE], ["RUNNING"]]
    ndif.faults["/response"] = [None, Hang()]
    run(jobs, "one")
    assert ndif.jobs == ["job0"]
    ndif.faults["/response"] = [None, Hang()]
    began = clock.now
    run(jobs, "two")
    assert ndif.jobs == ["job0", "job1", "job2"]
    assert 300 <= clock.now - began < 330


def test_a_job_that_is_given_up_is_not_promised_to_be_picked_up(ndif, jobs):
    ndif.plans = [[("ERROR", EVICTED)]]
    ndif.faults["/request"] = [None, *[Answer(503)] * 1000]
    with pytest.raises(RemoteError, match=r"The same command goes on from here\.$"):
        run(jobs)


def test_a_status_that_moves_on_after_an_outage_means_the_job_lives(ndif, jobs):
    ndif.plans = [["QUEUED"] * 3 + ["RUNNING"] * 40 + [DONE]]
    ndif.faults["/response"] = [None, Drop(), Drop()]
    run(jobs)
    assert ndif.jobs == ["job0"]


def test_a_job_that_runs_for_long_on_a_server_that_was_never_away_is_waited_for(ndif, jobs, clock):
    ndif.plans = [["RUNNING"] * 1000 + [DONE]]
    run(jobs)
    assert ndif.jobs == ["job0"]
    assert clock.now - 1000 > 1500
    # It was asked now and then whether the server has its cluster.
    assert 100 < ndif.count("/connected") < 250


def test_a_cluster_that_went_away_behind_a_server_that_answers_is_noticed(ndif, jobs, ledger):
    ndif.plans = [["RUNNING"]]
    ndif.faults["/connected"] = [Answer(503), Answer(503)]
    run(jobs)
    assert happened(ledger)[1] == ("job0", "abandoned")


def test_a_job_without_any_status_is_sent_again_after_a_while(ndif, jobs, clock):
    ndif.plans = [[[]]]
    run(jobs)
    assert ndif.jobs == ["job0", "job1"]
    assert 120 <= clock.now - 1000 < 150


def test_a_cluster_that_stays_away_ends_in_a_sentence(ndif, jobs, clock):
    ndif.plans = [["RUNNING"]]
    ndif.faults["/connected"] = [Answer(503)] * 10_000
    ndif.faults["/request"] = [None] + [Answer(503, "Backend is reconnecting.")] * 1000
    with pytest.raises(RemoteError, match=r"HTTP 503\): Backend is reconnecting\."):
        run(jobs)
    assert clock.now - 1000 < 700


def test_a_server_that_forgets_every_job_is_given_up(ndif, jobs):
    ndif.plans = [["QUEUED"]] * 10
    ndif.faults["/response"] = [None, Drop()] * 1000
    with pytest.raises(RemoteError, match="lost the job again and again"):
        run(jobs)
    assert len(ndif.jobs) == 4


# -- the result --------------------------------------------------------------------------


@pytest.mark.parametrize("harm", ["one byte", "cut", "not compressed", "empty"])
def test_a_damaged_result_is_downloaded_again(ndif, jobs, events, harm):
    good = ndif.content
    bad = {
        "one byte": damaged(good),
        "cut": good[: len(good) // 2],
        "not compressed": b"hello",
        "empty": b"",
    }[harm]
    ndif.faults["/store"] = [Answer(200, body=bad)] * 2
    assert torch.equal(run(jobs)["mean"], ndif.result["mean"])
    assert ndif.count("/store") == 3
    assert sum("damaged" in event.message for event in events) == 2


def test_a_result_that_stays_damaged_is_made_once_more_and_then_given_up(ndif, jobs):
    ndif.content = damaged(ndif.content)
    with pytest.raises(RemoteError, match=r"job1 arrived damaged 3 times: check the disk"):
        run(jobs)
    assert ndif.jobs == ["job0", "job1"]


@pytest.mark.parametrize("status", [403, 404])
def test_a_result_that_is_gone_is_made_again(ndif, jobs, ledger, status):
    ndif.faults["/store"] = [Answer(status)]
    run(jobs)
    assert happened(ledger)[1] == ("job0", "abandoned")
    assert ndif.jobs == ["job0", "job1"]


def test_an_object_store_that_refuses_every_download_is_named(ndif, jobs):
    ndif.faults["/store"] = [Answer(403)] * 10
    with pytest.raises(RemoteError, match=r"can't be fetched: The object store http\S+ refuses"):
        run(jobs)
    assert ndif.jobs == ["job0", "job1"]


def test_an_object_store_that_is_down_is_named_and_the_job_kept(ndif, jobs, ledger):
    ndif.faults["/store"] = [Drop()] * 1000
    with pytest.raises(RemoteError, match=r"Can't reach the object store .* picks job job0 up"):
        run(jobs)
    assert ledger.last_job("work") == "job0"
    ndif.faults.clear()
    run(jobs)
    assert ndif.jobs == ["job0"]


def test_a_result_that_would_run_code_is_refused(ndif, jobs, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    ndif.content = encoded({"x": Evil()})
    with pytest.raises(RemoteError, match="can't be read safely"):
        run(jobs)
    assert not (tmp_path / "ran").exists()
    assert ndif.count("/store") == 1


@pytest.mark.parametrize("values", [[torch.zeros(2)], {3: torch.zeros(2)}, 7])
def test_a_result_that_names_nothing_is_refused(values):
    with pytest.raises(RemoteError, match="no set of named values"):
        decode(encoded(values))


def test_results_keep_types_shapes_and_nesting():
    values = {
        "a": torch.randn(3, 4, dtype=torch.bfloat16),
        "b": [torch.zeros(0), {"c": 1, "d": "text", "e": None}],
        "f": (1.5, True),
    }
    found = decode(encoded(values))
    assert found["a"].dtype == torch.bfloat16
    assert torch.equal(found["a"], values["a"])
    assert found["b"][1] == values["b"][1]
    assert found["f"] == values["f"]


def test_a_result_without_an_address_is_said_to_be_so(ndif, jobs):
    body = b'{"status": "COMPLETED", "data": null}'
    ndif.faults["/response"] = [Answer(200, body=body)]
    with pytest.raises(RemoteError, match="not where its result is"):
        run(jobs)


# -- time runs out -----------------------------------------------------------------------


def test_a_job_that_never_ends_is_left_at_the_deadline_and_picked_up_later(
    ndif, jobs, ledger, clock
):
    ndif.plans = [["RUNNING"]]
    with pytest.raises(RemoteError) as caught:
        run(jobs)
    assert re.match(
        r"Job job0 hasn't ended after 3600 s; its last status is RUNNING", str(caught.value)
    )
    assert "picks job job0 up" in str(caught.value)
    assert 3600 <= clock.now - 1000 < 3610
    assert ledger.last_job("work") == "job0"
    ndif.statuses["job0"] = [DONE]
    run(jobs)
    assert ndif.jobs == ["job0"]


def test_without_a_ledger_nothing_is_promised(ndif, clock):
    ndif.plans = [["RUNNING"]]
    jobs = RemoteJobs(RemoteSettings(ndif.host, timeout=5), clock=clock, sleep=clock.sleep)
    with pytest.raises(RemoteError, match=r"Allow more time with --remote-timeout\.$"):
        run(jobs)


def test_the_deadline_ends_retries_too(ndif, clock):
    ndif.faults["/request"] = [Drop()] * 1000
    jobs = RemoteJobs(RemoteSettings(ndif.host, timeout=20), clock=clock, sleep=clock.sleep)
    with pytest.raises(RemoteError, match="broke off"):
        run(jobs)
    assert clock.now - 1000 <= 20


# -- interrupted and picked up -----------------------------------------------------------


def test_an_interrupted_job_stays_in_the_ledger_and_is_picked_up(ndif, jobs, ledger, clock, events):
    ndif.plans = [["RUNNING"]]

    def interrupt(seconds):
        raise KeyboardInterrupt

    jobs.sleep = interrupt
    with pytest.raises(KeyboardInterrupt):
        run(jobs)
    assert happened(ledger) == [("job0", "submitted")]
    jobs.sleep = clock.sleep
    ndif.statuses["job0"] = ["RUNNING", DONE]
    events.clear()
    assert torch.equal(run(jobs)["mean"], ndif.result["mean"])
    assert ndif.jobs == ["job0"]
    assert kinds(events) == ["reattached", "status", "done"]


def test_a_finished_job_is_fetched_again_without_doing_its_work_again(ndif, jobs):
    first, second = run(jobs), run(jobs)
    assert torch.equal(first["mean"], second["mean"])
    assert ndif.jobs == ["job0"]
    assert jobs.traffic.requests == 1


def test_other_work_is_not_mistaken_for_it(ndif, jobs):
    run(jobs, "one")
    run(jobs, "two")
    assert ndif.jobs == ["job0", "job1"]


@pytest.mark.parametrize(
    "status", [[], ("ERROR", EVICTED), ("ERROR", TRACEBACK)], ids=["unknown", "dropped", "failed"]
)
def test_an_earlier_job_that_came_to_nothing_is_sent_anew_at_once(
    ndif, jobs, ledger, clock, status
):
    ledger.record("work", "before", "submitted")
    ndif.add_job("before", [status])
    run(jobs)
    assert ledger.last_job("work") == "job0"
    assert clock.now - 1000 < 1


def test_an_earlier_job_whose_result_has_run_out_is_sent_anew(ndif, jobs, ledger):
    ledger.record("work", "before", "finished")
    ndif.add_job("before", [DONE])
    ndif.faults["/store"] = [Answer(403)]
    run(jobs)
    assert ndif.jobs == ["job0"]


def test_what_an_earlier_job_did_leaves_all_resubmissions_to_a_new_one(ndif, jobs, ledger):
    ledger.record("work", "before", "submitted")
    ndif.add_job("before", [("ERROR", EVICTED)])
    ndif.plans = [[("ERROR", EVICTED)]] * 3
    run(jobs)
    assert len(ndif.jobs) == 4


def test_an_earlier_job_that_stands_still_for_longer_than_patience_is_sent_anew(
    ndif, jobs, ledger, clock
):
    ledger.record("work", "before", "submitted")
    ndif.add_job("before", ["QUEUED"])
    run(jobs)
    assert ndif.jobs == ["job0"]
    assert 300 <= clock.now - 1000 < 310


def test_an_earlier_job_that_moves_on_is_waited_for(ndif, jobs, ledger):
    ledger.record("work", "before", "submitted")
    ndif.add_job("before", ["QUEUED", *["RUNNING"] * 400, DONE])
    run(jobs)
    assert ndif.jobs == []


# -- nothing leaks -----------------------------------------------------------------------

LEAKS = {
    "malformed key": {"/request": lambda key: Answer(400, f"Invalid API key format: '{key}'.")},
    "busy": {"/request": lambda key: Answer(503, f"key {key} must wait")},
    "refused": {"/request": lambda key: Answer(418, f"key {key}")},
    "poll": {"/response": lambda key: Answer(400, f"key {key}")},
    "poll, busy": {"/response": lambda key: Answer(500, f"key {key}")},
    "download": {"/store": lambda key: Answer(403, f"{key} {SIGNATURE}")},
    "download, busy": {"/store": lambda key: Answer(503, f"http://a/b?{SIGNATURE}")},
    "download, cut": {"/store": lambda key: Drop(sent=10)},
    "failed": {
        "/response": lambda key: Answer(
            200,
            body=b'{"status": "ERROR", "description": "Traceback (most recent call last):\\n'
            b"  File x\\nKeyError: " + key.encode() + b" http://a/b?" + SIGNATURE.encode() + b'"}',
        )
    },
    "queued": {
        "/response": lambda key: Answer(
            200, body=b'{"status": "' + key.encode() + b'", "description": ""}'
        )
    },
    "damaged": {"/store": lambda key: Answer(200, body=key.encode())},
}


@pytest.mark.parametrize("case", LEAKS)
def test_no_key_and_no_signature_in_errors_logs_events_or_the_ledger(
    ndif, clock, ledger, events, caplog, key, case
):
    caplog.set_level(logging.DEBUG)
    jobs = RemoteJobs(
        RemoteSettings(ndif.host, ApiKey(key), timeout=100, patience=30),
        ledger=ledger,
        report=events.append,
        clock=clock,
        sleep=clock.sleep,
    )
    for path, fault in LEAKS[case].items():
        ndif.faults[path] = [fault(key)] * 10_000
    with pytest.raises(RemoteError) as caught:
        run(jobs)
    said = everything_said_by(caught.value)
    said += "\n".join(record.getMessage() for record in caplog.records)
    said += "\n".join(str(dataclasses.asdict(event)) for event in events)
    said += ledger.path.read_text() if ledger.path.exists() else ""
    said += repr(vars(jobs))
    for secret in (key, key[4:20], SIGNATURE):
        assert secret not in said


def test_the_ledger_holds_no_address(ndif, jobs, ledger):
    ndif.plans = [[("ERROR", EVICTED)]]
    ndif.faults["/store"] = [Drop(), Answer(403)]
    run(jobs)
    assert "http" not in ledger.path.read_text()
