"""nnsight gives every object an attribute, and some classes of others don't bear it."""

import subprocess
import sys

import pytest

pytest.importorskip("anyio")


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [
        "import caa_nnsight.tracer, anyio; anyio.run(anyio.sleep, 0); import anyio.streams.tls",
        # As in a notebook, where a loop is running.
        "import asyncio\n"
        "async def main():\n"
        "    import caa_nnsight.tracer, anyio\n"
        "    await anyio.sleep(0)\n"
        "asyncio.run(main())",
    ],
)
def test_anyio_can_be_used_for_the_first_time_after_the_tracer_was_loaded(script):
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
