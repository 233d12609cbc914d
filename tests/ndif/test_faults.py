"""Every fault of a server costs a sentence at most: work goes on, and ends with the same results.

Each is really produced: processes are killed or stopped, memory and time really run out.
"""

import pytest

from tests.ndif import keys
from tests.ndif.fault_refusals import MALFORMED
from tests.ndif.faults import FAULTS, bench_on_a_new_server

pytestmark = [pytest.mark.ndif, pytest.mark.servers]

# Keys, and what signs the addresses of results.
SECRETS = (keys.KNOWN, keys.UNKNOWN, MALFORMED, "Signature", "X-Amz")


@pytest.fixture(scope="module")
def bench(ndif_installed, tmp_path_factory):
    with bench_on_a_new_server(tmp_path_factory.mktemp("faults")) as bench:
        yield bench


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.produce.__name__)
def test_after_a_fault_the_work_goes_on_and_nothing_is_lost(bench, fault):
    outcome = fault.produce(bench)
    assert tuple(called.code for called in outcome.calls) == fault.codes
    told = " ".join(outcome.saw)
    for words in fault.said:
        assert words in told
    assert outcome.difference <= fault.allowed
    printed = "".join(called.out + called.err for called in outcome.calls)
    assert "Traceback" not in printed
    kept = [printed, told, *map(_texts, (bench.place / run for run in outcome.runs))]
    for secret in SECRETS:
        assert not any(secret.lower() in text.lower() for text in kept)


def _texts(folder):
    """All that is in a run's folder, read as text."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert folder / "jobs.jsonl" in files
    return "".join(path.read_bytes().decode("latin-1") for path in files)
