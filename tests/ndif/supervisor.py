"""A process that starts others on request, and ends them all when its input ends.

`python supervisor.py FOLDER`: each line of standard input is a JSON object with `argv`, `env`,
`log` and `user` (null for the own); the answer is one with `pid` or `error`. When the one who asks
closes the pipe or is killed, every process that was started ends, with its descendants, and
FOLDER is removed. Daemons don't get away: Linux makes this process the parent of those whose own
parent is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time

import psutil

PR_SET_CHILD_SUBREAPER = 36
GRACE_SECONDS = 2.0
KILL_SECONDS = 10.0


def main() -> int:
    """Serve requests; 1 if processes were left."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    signal.signal(signal.SIGCHLD, _bury)
    for line in sys.stdin:
        try:
            answer = {"pid": _start(**json.loads(line))}
        except OSError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)
    ended = _end_all()
    shutil.rmtree(sys.argv[1], ignore_errors=True)
    return int(not ended)


def _start(argv: list[str], env: dict[str, str], log: str, user: str | None) -> int:
    with open(log, "ab") as file:
        process = subprocess.Popen(
            argv,
            env=env,
            cwd="/",
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # Ended children are buried below, whoever started them.
    process.returncode = 0
    return process.pid


def _bury(*_) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _end_all() -> bool:
    """Ask first, because some clean up; then insist."""
    began = time.monotonic()
    sockets = set()
    asked = set()
    while (passed := time.monotonic() - began) < KILL_SECONDS:
        left = psutil.Process().children(recursive=True)
        if not left:
            break
        for process in left:
            with contextlib.suppress(psutil.Error):
                if passed > GRACE_SECONDS:
                    process.kill()
                elif process not in asked:
                    asked.add(process)
                    sockets.update(_sockets_named(process))
                    process.terminate()
        time.sleep(0.05)
        _bury()
    for path in sockets:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    return not psutil.Process().children(recursive=True)


def _sockets_named(process: psutil.Process) -> list[str]:
    """Sockets that a sandbox is told to listen at; killed, it leaves them in /tmp."""
    names = []
    for word in process.cmdline():
        with contextlib.suppress(OSError):
            if word.startswith("/tmp/") and stat.S_ISSOCK(os.stat(word).st_mode):
                names.append(word)
    return names


if __name__ == "__main__":
    sys.exit(main())
