"""An NDIF server on this machine until Ctrl-C: `python -m tests.ndif`."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys

from tests.ndif.install import InstallError, install
from tests.ndif.models import REAL, TINY
from tests.ndif.server import NdifServer


def main() -> None:
    """Start the server, print what a client's environment needs, and wait."""
    parser = argparse.ArgumentParser(prog="python -m tests.ndif", description=__doc__)
    parser.add_argument("--auth", action="store_true", help="check keys")
    parser.add_argument("--sandbox", action="store_true", help="run requests apart from the model")
    parser.add_argument("--execution-timeout", type=float, default=3600.0, metavar="SECONDS")
    parser.add_argument("--tiny", action="store_true", help="only the tiny random models")
    options = parser.parse_args()
    try:
        install()
    except InstallError as error:
        sys.exit(str(error))
    # Closing a terminal or a service manager's stop must not leave processes behind either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with NdifServer(
        auth=options.auth,
        sandbox=options.sandbox,
        execution_timeout=options.execution_timeout,
        models=TINY if options.tiny else (*TINY, *REAL),
    ) as server:
        for name, value in server.environment.items():
            print(f"export {name}={shlex.quote(value)}")
        print(f"# {server.host} serves {', '.join(server.models)}; Ctrl-C stops it.", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
