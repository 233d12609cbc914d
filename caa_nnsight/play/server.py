"""The page's server: on this machine's own address, and for its own pages only."""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import Callable
from importlib.util import find_spec
from urllib.parse import urlsplit

from caa_nnsight.errors import CAAError

ADDRESS = "127.0.0.1"
_NAMES = (ADDRESS, "localhost")


def load_library() -> None:
    """Load what the page is made with, before the model that takes its time.

    Raises:
        CAAError: it isn't installed.
    """
    if find_spec("nicegui") is None:
        raise CAAError(
            "The page needs NiceGUI, which isn't installed: pip install 'caa_nnsight[play]'."
        )
    import nicegui  # noqa: F401


def bind(port: int) -> socket.socket:
    """Take a port of this machine's own address; 0 takes any that is free.

    Raises:
        CAAError: it is taken, or not for everyone to take.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # What a server that has ended left behind doesn't keep the port.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((ADDRESS, port))
        # Only now is a port refused that another server listens on.
        sock.listen()
    except OSError as error:
        sock.close()
        why = {
            errno.EADDRINUSE: "another program has it",
            errno.EACCES: "this user may not take it",
        }.get(error.errno, error.strerror or str(error))
        raise CAAError(
            f"Port {port} can't be used ({why}): give another with --port, or 0 for any that is "
            "free."
        ) from error
    return sock


def serve(sock: socket.socket, build: Callable[[], None], end: Callable[[], None]) -> None:
    """Serve a page until Ctrl-C.

    Args:
        sock: where to listen; see `bind`.
        build: puts the elements of the page together, once for each tab.
        end: called when the server ends, before it waits for work that is under way.

    Raises:
        KeyboardInterrupt: Ctrl-C, once the server has ended.
    """
    import uvicorn
    from fastapi import FastAPI
    from nicegui import ui

    outer = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    ui.run_with(
        outer,
        root=build,
        title="caa play",
        favicon="🎛️",
        # As the user's system has it, light or dark.
        dark=None,
        language="en-US",
        tailwind=False,
        show_welcome_message=False,
        binding_refresh_interval=None,
        # A model that is at work may keep the server from saying in time that it lives.
        reconnect_timeout=60.0,
    )
    config = uvicorn.Config(
        OnlyFromHere(outer),
        log_level="warning",
        access_log=False,
        server_header=False,
        # Tabs are left open: their connections don't keep the server.
        timeout_graceful_shutdown=2,
    )

    class Server(uvicorn.Server):
        interrupted = False

        def handle_exit(self, number, frame) -> None:
            self.interrupted |= number == signal.SIGINT
            end()
            super().handle_exit(number, frame)

    server = Server(config)
    server.run(sockets=[sock])
    # uvicorn gives the signal on once it has ended; on a busy machine, it has been seen to return.
    if server.interrupted:
        raise KeyboardInterrupt


class OnlyFromHere:
    """Refuses what the pages of other sites make a browser ask, and forbids ours to ask elsewhere.

    A site may send requests to this machine, also under a name of its own that leads here. Such a
    request carries that name, or that of the page that it comes from.

    Args:
        app: the ASGI application behind it.
    """

    def __init__(self, app) -> None:
        self._app = app

    async def __call__(self, scope, receive, send) -> None:
        """Pass an ASGI event on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {key.decode("latin-1"): each.decode("latin-1") for key, each in scope["headers"]}
        host, origin = headers.get("host", ""), headers.get("origin")
        if not _is_ours(host, origin):
            await _refuse(scope, receive, send)
            return

        async def send_with_policy(message) -> None:
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", _policy(host).encode("latin-1"))
                message = message | {"headers": [*message["headers"], policy]}
            await send(message)

        await self._app(scope, receive, send_with_policy)


def _is_ours(host: str, origin: str | None) -> bool:
    """Whether a request goes to this machine's own name, and comes from no page of another."""
    try:
        there = urlsplit(f"//{host}").hostname in _NAMES
        return there and (not origin or urlsplit(origin).netloc == host)
    except ValueError:
        # No address at all, such as a bracket.
        return False


def _policy(host: str) -> str:
    return (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
        f"connect-src 'self' ws://{host}; frame-ancestors 'none'; form-action 'none'"
    )


async def _refuse(scope, receive, send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    from starlette.responses import PlainTextResponse

    await PlainTextResponse("Only pages of this machine may ask.", 403)(scope, receive, send)
