"""Faults in the middle of a run: processes that are killed or stand still."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cli.calling import Outcome as Called
from tests.cli.calling import start
from tests.ndif.bench import Bench
from tests.ndif.moments import finished, frozen, frozen_at_a_job, status, wait_until
from tests.ndif.outcomes import Outcome, outcome_of_a_run
from tests.ndif.proxy import Answer, Call, Proxy, is_job

# Results that a run has when something happens to it, of six.
AFTER = 2
# How long a part is away.
AWAY_SECONDS = 2.0
# How long a job of such a server may stand still.
LOST_SECONDS = 8.0


def api_killed(bench: Bench) -> Outcome:
    def disturb() -> None:
        with frozen_at_a_job(bench, "api-killed", AFTER):
            bench.server.kill("api")
        time.sleep(AWAY_SECONDS)
        bench.server.restart("api")

    done = bench.run_while("api-killed", disturb)
    fault = "API process killed mid-run and restarted"
    return outcome_of_a_run(bench, fault, "api-killed", (done,), _ledger(bench, "api-killed"))


def model_actor_killed(bench: Bench) -> Outcome:
    def disturb() -> None:
        with frozen_at_a_job(bench, "actor-killed", AFTER):
            bench.server.restart("model_actor")

    done = bench.run_while("actor-killed", disturb)
    fault = "model actor killed mid-run"
    return outcome_of_a_run(bench, fault, "actor-killed", (done,), _ledger(bench, "actor-killed"))


def redis_killed(bench: Bench) -> Outcome:
    """While a job waits in the queue behind another one: the server forgets it."""
    name = "redis-killed"
    queued: list[str] = []

    def disturb() -> None:
        wait_until(lambda: len(finished(bench, name)) >= AFTER, "the moment")
        with frozen(bench):
            wait_until(lambda: queued and status(bench, queued[0]) == "QUEUED", "a queued job")
            bench.server.kill("redis")
            time.sleep(AWAY_SECONDS)
            bench.server.restart("redis")

    def put_another_before_it(call: Call, forward: Callable[[], Answer]) -> Answer:
        held = not queued and is_job(call) and len(finished(bench, name)) >= AFTER
        if held:
            forward()
        answer = forward()
        if held:
            queued.append(answer.json()["id"])
        return answer

    with (
        Proxy(bench.server.host, put_another_before_it) as proxy,
        pytest.MonkeyPatch.context() as patch,
    ):
        # Half a minute by default.
        patch.setattr("caa_nnsight.remote.standstill.LOST_AFTER", LOST_SECONDS)
        done = bench.run_while(name, disturb, f"--host={proxy.host}")
    fault = "Redis killed mid-run and restarted, a job in the queue forgotten"
    return outcome_of_a_run(bench, fault, name, (done,), _ledger(bench, name))


def object_store_down(bench: Bench) -> Outcome:
    """Between the word that a job is done and the download; it comes back without its content."""
    down = threading.Event()
    answers = 0

    def kill_before_the_download(call: Call, forward: Callable[[], Answer]) -> Answer:
        nonlocal answers
        answer = forward()
        if call.path.startswith("/response/") and answer.status == 200:
            answers += answer.json()["status"] == "COMPLETED"
            if answers > AFTER and not down.is_set():
                bench.server.kill("object_store")
                down.set()
        return answer

    def bring_back() -> None:
        wait_until(down.is_set, "the job that ends")
        time.sleep(AWAY_SECONDS)
        bench.server.restart("object_store")

    with Proxy(bench.server.host, kill_before_the_download) as proxy:
        done = bench.run_while("store-down", bring_back, f"--host={proxy.host}")
    fault = "object store killed before a download, and back without its content"
    return outcome_of_a_run(bench, fault, "store-down", (done,), _ledger(bench, "store-down"))


def client_killed(bench: Bench) -> Outcome:
    name = "client-killed"
    process = start(*bench.command(name), folder=bench.place)
    try:
        with frozen_at_a_job(bench, name, AFTER) as job:
            process.send_signal(signal.SIGKILL)
            out, err = process.communicate()
            killed = Called(process.returncode, out, err)
            before = bench.events(name)
    finally:
        process.kill()
    assert killed.code == -signal.SIGKILL
    assert before[-1] == (job, "submitted")
    done = bench.run(name)
    _assert_picked_up(bench, name, job, before, done)
    fault = "client killed (SIGKILL) mid-run, and the same command again"
    return outcome_of_a_run(bench, fault, name, (killed, done), _ledger(bench, name))


def job_that_never_ends(bench: Bench) -> Outcome:
    name = "never-ends"
    jobs: list[str] = []
    over = threading.Event()

    def freeze() -> None:
        with frozen_at_a_job(bench, name, AFTER) as job:
            jobs.append(job)
            wait_until(over.is_set, "the end of the command")

    with ThreadPoolExecutor(1) as pool:
        frozen_meanwhile = pool.submit(freeze)
        stopped = bench.run(name, "--remote-timeout=6")
        over.set()
        frozen_meanwhile.result()
    (job,) = jobs
    assert job in stopped.sentence
    before = bench.events(name)
    done = bench.run(name)
    _assert_picked_up(bench, name, job, before, done)
    fault = "a job that never ends (the model's process stands still, and later goes on)"
    return outcome_of_a_run(bench, fault, name, (stopped, done), _ledger(bench, name))


def _assert_picked_up(
    bench: Bench, name: str, job: str, before: list[tuple[str, str]], done: Called
) -> None:
    """The second command finishes the first one's job, and repeats none of its finished ones."""
    assert f"Picking up job {job}" in done.err
    events = bench.events(name)
    assert events[: len(before)] == before
    assert (job, "finished") in events[len(before) :]
    records = bench.ledger(name).records()
    sent = [record["fingerprint"] for record in records if record["event"] == "submitted"]
    assert len(sent) == len(set(sent))


def _ledger(bench: Bench, name: str) -> str:
    """What the ledger notes, in numbers."""
    events = [event for _, event in bench.events(name)]
    counted = {event: events.count(event) for event in dict.fromkeys(events)}
    return "ledger: " + ", ".join(f"{count} {event}" for event, count in counted.items())
