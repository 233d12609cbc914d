"""Faults on the way to a server: a proxy that breaks off, is busy, or takes no large requests."""

from __future__ import annotations

from collections.abc import Callable

from tests.ndif.bench import Bench
from tests.ndif.outcomes import Outcome, outcome_of_a_run
from tests.ndif.proxy import Answer, BrokenConnection, Call, Proxy, is_job


def sockets_dropped(bench: Bench) -> Outcome:
    """One request is lost on its way there, one answer on its way back, and two statuses."""
    calls: dict[str, int] = {}

    def drop(call: Call, forward: Callable[[], Answer]) -> Answer:
        kind = _kind(call)
        calls[kind] = calls.get(kind, 0) + 1
        if (kind, calls[kind]) in (("job", 2), ("status", 4)):
            raise BrokenConnection
        answer = forward()
        if (kind, calls[kind]) in (("job", 4), ("status", 7)):
            raise BrokenConnection
        return answer

    with Proxy(bench.server.host, drop) as proxy:
        done = bench.run("dropped", f"--host={proxy.host}")
    fault = "connections reset, before and after the server got the request"
    return outcome_of_a_run(bench, fault, "dropped", (done,))


def server_busy(bench: Bench) -> Outcome:
    """Two jobs and two statuses are turned away, with a time to come back."""
    calls: dict[str, int] = {}
    busy = {
        ("job", 2): Answer(429, b"slow down", {"Retry-After": "1"}),
        ("job", 3): Answer(503, b"", {"Retry-After": "2"}),
        ("status", 3): Answer(429, b"", {"Retry-After": "1"}),
        ("status", 5): Answer(502),
    }

    def turn_away(call: Call, forward: Callable[[], Answer]) -> Answer:
        kind = _kind(call)
        calls[kind] = calls.get(kind, 0) + 1
        return busy.get((kind, calls[kind])) or forward()

    with Proxy(bench.server.host, turn_away) as proxy:
        done = bench.run("busy", f"--host={proxy.host}")
    return outcome_of_a_run(bench, "429, 503 and 502, with Retry-After", "busy", (done,))


def request_too_large(bench: Bench) -> Outcome:
    """NDIF itself has no limit; proxies before it do."""
    limit = int(max(bench.sizes) * 0.9)
    refused: list[int] = []

    def limited(call: Call, forward: Callable[[], Answer]) -> Answer:
        if call.size > limit:
            refused.append(call.size)
            return Answer(413, b"<html>413 Request Entity Too Large</html>")
        return forward()

    with Proxy(bench.server.host, limited) as proxy:
        done = bench.run("too-large", f"--host={proxy.host}")
    assert refused
    fault = "request too large for a proxy (413)"
    halves = f"{len(refused)} requests over {limit} bytes, each in halves"
    return outcome_of_a_run(bench, fault, "too-large", (done,), retried=halves)


def _kind(call: Call) -> str:
    """What a request is about."""
    if is_job(call):
        return "job"
    return "status" if call.path.startswith("/response/") else call.path
