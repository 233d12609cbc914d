"""What the package says of itself says the same everywhere: version, license, names, addresses."""

from __future__ import annotations

import re
from importlib.metadata import metadata
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

from tests.packaging.project import PYPROJECT, ROOT

PROJECT = PYPROJECT["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
PAPER = CITATION["preferred-citation"]
# "## [1.2.3] - 2026-01-31", or "unreleased" in place of the day.
ENTRY = re.compile(r"^## \[(.+?)\](?: - (.+))?$", re.MULTILINE)
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def changelog_entries() -> list[tuple[str, str]]:
    """Version and day of each entry, newest first; "unreleased" stands for either."""
    return [
        (name, day or "unreleased")
        for name, day in ENTRY.findall((ROOT / "CHANGELOG.md").read_text("utf-8"))
    ]


def test_the_version_is_a_semantic_one():
    assert re.fullmatch(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?", PROJECT["version"])


def test_the_version_is_that_of_the_newest_named_entry_of_the_changelog():
    named = [name for name, _ in changelog_entries() if name.lower() != "unreleased"]
    assert named[0] == PROJECT["version"]


def test_the_entries_of_the_changelog_go_down_and_have_a_day_or_are_unreleased():
    entries = changelog_entries()
    versions = [Version(name) for name, _ in entries if name.lower() != "unreleased"]
    assert versions == sorted(set(versions), reverse=True)
    days = [day for _, day in entries]
    assert all(DAY.fullmatch(day) for day in days if day != "unreleased")
    # What isn't released can only be the newest.
    assert "unreleased" not in days[1:]


def test_the_installed_package_and_the_citation_have_the_same_version():
    assert metadata("caa_nnsight")["Version"] == PROJECT["version"]
    assert CITATION["version"] == PROJECT["version"]


def test_the_citation_has_the_day_of_the_release_and_none_before_it():
    day = dict(changelog_entries())[PROJECT["version"]]
    released = CITATION.get("date-released")
    assert (str(released) if released else "unreleased") == day


def test_the_license_is_the_same_everywhere():
    assert CITATION["license"] == PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text("utf-8")
    assert PROJECT["license"] in (ROOT / "README.md").read_text("utf-8")


def test_the_citation_is_of_this_package_and_of_the_paper_that_the_readme_names():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert CITATION["title"] == PROJECT["name"]
    assert CITATION["abstract"] == PROJECT["description"]
    assert CITATION["keywords"] == PROJECT["keywords"]
    assert PAPER["url"] in readme
    assert [author["family-names"] for author in PAPER["authors"] if "family-names" in author] == (
        re.findall(r"\w+", re.search(r"The method is by (.+?)\n", readme)[1].replace(" and ", " "))
    )


def test_the_project_names_no_address_that_the_pages_do_not():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    text = "".join(page.read_text("utf-8") for page in pages)
    assert [url for url in PROJECT.get("urls", {}).values() if url not in text] == []
    assert {"repository-code", "url"} & set(CITATION) == set() or "urls" in PROJECT


def test_nobody_is_asked_to_write_to_an_address_by_mail():
    files = [ROOT / name for name in ("SECURITY.md", "CONTRIBUTING.md", "CITATION.cff")]
    files += [path for path in (ROOT / ".github").rglob("*") if path.is_file()]
    mail = re.compile(r"[\w.+-]+@[\w-]+\.\w+")
    assert [file.name for file in files if mail.search(file.read_text("utf-8"))] == []


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_has_what_github_asks_for(form: Path):
    content = yaml.safe_load(form.read_text("utf-8"))
    if form.stem == "config":
        for link in content["contact_links"]:
            assert set(link) == {"name", "url", "about"}
        return
    assert {"name", "description", "body"} <= set(content)
    fields = [field for field in content["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in fields} <= {"textarea", "input", "dropdown", "checkboxes"}
    names = [field["id"] for field in fields]
    assert len(set(names)) == len(names) >= 1
    assert all(field["attributes"]["label"] for field in fields)
