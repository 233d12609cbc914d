"""All faults: each is really produced on an NDIF server and mended again.

`python -m tests.ndif.fault_table` prints what came of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.ndif import fault_deaths, fault_limits, fault_network, fault_refusals
from tests.ndif.bench import MODEL, Bench
from tests.ndif.client import pointed_at
from tests.ndif.outcomes import Outcome
from tests.ndif.server import NdifServer

# Seconds that the server lets a job run; those of the bench take a tenth of one.
EXECUTION_SECONDS = 3.0


@dataclass(frozen=True)
class Fault:
    """One fault and what is to come of it.

    Attributes:
        produce: makes it happen on a bench, and mends it.
        codes: exit codes of the commands that it gives.
        said: words that the user is shown.
        allowed: how far results may be from undisturbed ones; they are identical by default.
    """

    produce: Callable[[Bench], Outcome]
    codes: tuple[int, ...] = ()
    said: tuple[str, ...] = ()
    allowed: float = 0.0


REFUSED, CHECKED_AND_REFUSED, UNHARMED = (2, 0), (2, 2, 0), (0,)
AGAIN = "Trying again in"

FAULTS = (
    Fault(fault_refusals.server_not_started, REFUSED, ("nothing listens there",)),
    Fault(fault_refusals.unknown_key, CHECKED_AND_REFUSED, ("doesn't know the API key",)),
    Fault(fault_refusals.malformed_key, CHECKED_AND_REFUSED, ("doesn't have the form",)),
    Fault(fault_refusals.no_key, CHECKED_AND_REFUSED, ("NDIF_API_KEY", "--api-key-file")),
    Fault(
        fault_refusals.model_unknown_to_the_hub,
        REFUSED,
        ("has no model test-org/no-such-model",),
    ),
    Fault(fault_refusals.model_unknown_to_the_server, REFUSED, ("can't load the model",)),
    Fault(fault_refusals.server_wants_a_newer_client, REFUSED, ("0.8.0 is below the minimum",)),
    Fault(fault_refusals.client_of_another_series, CHECKED_AND_REFUSED, ("nnsight is 0.6.0 here",)),
    Fault(
        fault_refusals.token_that_the_model_lacks,
        REFUSED,
        ("failed on the server", "IndexError"),
    ),
    Fault(
        fault_limits.exception_in_our_block,
        said=("failed on the server", "IndexError: index 7 is out of bounds"),
    ),
    Fault(
        fault_limits.out_of_memory,
        said=("passes of at most", "ran out of memory"),
        # Passes of other lengths: float32 rounds differently.
        allowed=1e-4,
    ),
    Fault(fault_limits.execution_timeout),
    Fault(fault_network.request_too_large, UNHARMED),
    Fault(fault_network.sockets_dropped, UNHARMED, ("the connection broke off", AGAIN)),
    Fault(fault_network.server_busy, UNHARMED, ("HTTP 429", "HTTP 503", "HTTP 502", AGAIN)),
    Fault(fault_deaths.client_killed, (-9, 0), ("Picking up job",)),
    Fault(
        fault_deaths.job_that_never_ends,
        REFUSED,
        ("hasn't ended after 6 s", "--remote-timeout", "The same command picks job"),
    ),
    Fault(fault_deaths.object_store_down, UNHARMED, ("Can't reach the object store", "Sent again")),
    Fault(fault_deaths.model_actor_killed, UNHARMED, ("Sent again",)),
    Fault(fault_deaths.api_killed, UNHARMED, ("nothing listens there", AGAIN)),
    Fault(fault_deaths.redis_killed, UNHARMED, ("Sent again", "has forgotten the job")),
)


@contextmanager
def bench_on_a_new_server(place: Path) -> Iterator[Bench]:
    """A server that checks keys and versions and has a time limit, and a folder with data."""
    server = NdifServer(
        auth=True,
        execution_timeout=EXECUTION_SECONDS,
        min_nnsight_version=version("nnsight"),
        models=[MODEL],
    )
    with server, pointed_at(server):
        yield Bench.over(server, place)
