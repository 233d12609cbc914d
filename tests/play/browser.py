"""`caa play` in a process of its own, and Chromium before it, cut off from all else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests.cli.calling import PROGRAM

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
# A busy machine takes its time.
PATIENCE = 120.0


@dataclass
class Served:
    """A page's server.

    Attributes:
        url: of the page.
        process: the server.
        lines: what it has written to standard error.
    """

    url: str
    process: subprocess.Popen
    lines: list[str] = field(default_factory=list)

    def talks_to(self) -> set[str]:
        """Where its connections lead."""
        connections = psutil.Process(self.process.pid).net_connections("inet")
        return {each.raddr.ip for each in connections if each.raddr}

    def listens_on(self) -> set[str]:
        connections = psutil.Process(self.process.pid).net_connections("inet")
        return {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}

    def end(self) -> int:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)


@contextmanager
def served(folder: Path, *words: str, **environment: str) -> Iterator[Served]:
    """Start `caa play` in a folder, on any port; it is gone after the block."""
    process = subprocess.Popen(
        [*PROGRAM, "play", *words, "--port=0"],
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
        | {"CAA_CACHE": str(folder / "cache")}
        | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    page = Served("", process)
    reader = threading.Thread(target=lambda: page.lines.extend(process.stderr), daemon=True)
    reader.start()
    try:
        for line in process.stdout:
            if line.startswith("Page: "):
                page.url = line.split()[1]
                break
        assert page.url, "".join(page.lines)
        yield page
    except BaseException:
        # pytest shows it with the failure.
        sys.stderr.writelines(page.lines)
        raise
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join(PATIENCE)
        process.stdout.close()
        process.stderr.close()


@contextmanager
def chromium() -> Iterator:
    """A browser that finds no name and no machine but this one."""
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """A tab with the page: what a user sees and does.

    Attributes:
        page: Playwright's.
        asked: every address that it asked for.
        errors: what its scripts complained of.
    """

    def __init__(self, browser, url: str, **settings) -> None:
        self.page = browser.new_page(**settings)
        self.page.set_default_timeout(PATIENCE * 1000)
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("websocket", lambda socket: self.asked.append(socket.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(url)
        self.button("Answer").wait_for()

    @property
    def hosts(self) -> set[str | None]:
        """The machines that it asked."""
        urls = [url for url in self.asked if not url.startswith(("data:", "blob:"))]
        return {urlsplit(url).hostname for url in urls}

    def button(self, name: str):
        return self.page.get_by_role("button", name=name)

    def field(self, name: str):
        return self.page.get_by_label(name, exact=True)

    def slider(self, name: str):
        return self.page.get_by_role("slider", name=name)

    def open(self, title: str) -> None:
        self.page.get_by_text(title, exact=True).click()

    def type(self, prompt: str, **fields: str) -> None:
        self.field("Prompt").fill(prompt)
        if fields:
            self.open("More settings")
        for name, value in fields.items():
            self.page.get_by_label(name.replace("_", " ")).fill(value)

    def ask(self, prompt: str, **fields: str) -> None:
        self.type(prompt, **fields)
        self.button("Answer").click()

    @property
    def answers(self) -> list[str]:
        """The plain and the steered answer."""
        return [each.text_content() for each in self.page.locator(".answer").all()]

    @property
    def status(self) -> str:
        return self.page.get_by_role("status").text_content()

    @property
    def complaint(self) -> str:
        return self.page.get_by_role("alert").text_content()

    def wait_until(self, condition: str) -> None:
        """Wait for a condition in JavaScript on `status`, `complaint` and `answers`."""
        self.page.wait_for_function(
            "condition => { const text = s => document.querySelector(s).textContent;"
            " const answers = [...document.querySelectorAll('.answer')].map(e => e.textContent);"
            " return new Function('status', 'complaint', 'answers', 'return ' + condition)("
            "text('[role=status]'), text('[role=alert]'), answers); }",
            arg=condition,
        )

    def wait_until_done(self) -> None:
        self.wait_until("status.startsWith('Done') || complaint")
        assert self.complaint == ""
