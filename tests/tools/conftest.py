"""Other tools for these tests, installed on first use, and a table of what was compared.

Where one can't be installed, its tests are skipped, and the summary says why. With
CAA_TOOLS=required they fail.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tools.environments import InstallError, python_of


@pytest.fixture(scope="session")
def tool_python() -> Callable[[str], Path]:
    """The interpreter of another tool's environment, by the environment's name."""

    def find(name: str) -> Path:
        try:
            return python_of(name)
        except InstallError as error:
            if os.environ.get("CAA_TOOLS") == "required":
                pytest.fail(str(error), pytrace=False)
            pytest.skip(str(error))

    return find


@pytest.fixture
def compared(record_property) -> Callable[[str, str, float], None]:
    """Note for the table: a tool with its version, what was compared, the largest difference."""

    def note(tool: str, what: str, difference: float) -> None:
        record_property("compared", [tool, what, f"{difference:.1e}" if difference else "0"])

    return note


def pytest_terminal_summary(terminalreporter) -> None:
    """Print what was compared, as a table in Markdown."""
    rows = sorted(set(_rows(terminalreporter.stats.get("passed", []))))
    if rows:
        terminalreporter.section("compared with other tools")
        for row in (("tool", "what was compared", "largest difference"), ("---",) * 3, *rows):
            terminalreporter.write_line(f"| {' | '.join(row)} |")


def _rows(reports) -> Iterator[tuple[str, ...]]:
    for report in reports:
        for name, value in getattr(report, "user_properties", ()):
            if name == "compared":
                yield tuple(value)
