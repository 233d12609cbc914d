"""Start NDIF's controller in a Ray cluster that may itself be starting: `python launch.py PORT`.

The imports take seconds, as Ray's start does: both go on at the same time.
"""

from __future__ import annotations

import socket
import sys
import time

import ray
from ndif.services.ray.deployments.controller.controller import app

PATIENCE_SECONDS = 120.0


def wait_for(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    wait_for(int(sys.argv[1]))
    ray.init(address=f"127.0.0.1:{sys.argv[1]}", namespace="NDIF", logging_level="error")
    app()
